"""Street as data sets: stereo pairs, pairs some time steps apart, sets of views of one scene.

Train, validation and test use scenes of their own: each split has a range of a million scene indices, so they
share no scene whatever their sizes.
"""

import hashlib
from pathlib import Path

from dsin_tf import images
from dsin_tf.data.sources import DataError, check_whole, is_whole
from dsin_tf.data.street.noise import Random, mix
from dsin_tf.data.street.render import Moment
from dsin_tf.data.street.scene import REFERENCE_STEP, STEPS, Scene

VERSION = 1  # of the renderer; changes whenever any picture changes, and with it the names of cached files

_RANGE = 1_000_000
_SPLITS = {"train": (0, 2000), "val": (_RANGE, 100), "test": (2 * _RANGE, 100)}  # first scene, default count
_MAX_SIDE = 8192

_LEFT, _RIGHT = "left", "right"


class _Street:
    """What the three sources share: the list of scenes, names, the cache."""

    kind = "pairs"
    name = ""

    def __init__(self, split, size=(128, 256), count=None, cache_dir=None, seed=0):
        """Lists scenes; renders none.

        Args:
          split: "train", "val" or "test".
          size: (height, width) of the pictures, pixels.
          count: how many items; None takes 2000 for train and 100 for val and test.
          cache_dir: folder that keeps rendered pictures as PNG files; None renders on every read.
          seed: names the series of scenes.

        Raises:
          DataError: unknown split, or a size, count or seed that cannot be.
        """
        if split not in _SPLITS:
            raise DataError(f"{self.name} has no split {split!r}; it has: {', '.join(_SPLITS)}.")
        first, usual = _SPLITS[split]
        count = usual if count is None else count
        check_whole("count", count, 1, _RANGE)
        check_whole("seed", seed, 0, 2**63)
        try:
            height, width = size
        except (TypeError, ValueError):
            height = width = None
        if not is_whole(height, 1, _MAX_SIDE) or not is_whole(width, 1, _MAX_SIDE):
            raise DataError(
                f"size is {size!r}, two whole numbers (height, width) of 1 to {_MAX_SIDE} pixels were expected."
            )
        self.split, self.size, self.seed = split, (int(height), int(width)), int(seed)
        self._scenes = tuple(range(first, first + count))
        self._cache = None
        if cache_dir is not None:
            self._cache = Path(cache_dir) / f"street_v{VERSION}_{height}x{width}_seed{seed}"
        self.names = tuple(self._item_name(scene) for scene in self._scenes)
        text = "".join(f"{name}\n" for name in (f"street v{VERSION} {height}x{width}", *self.names))
        self.digest = hashlib.sha256(text.encode("utf-8")).hexdigest()

    def __len__(self):
        return len(self._scenes)

    def __repr__(self):
        return f"<{self.name} {self.split}: {len(self)} {self.kind} of {self.size[0]}x{self.size[1]}>"

    def scene(self, index):
        """The `Scene` of item `index`."""
        return Scene(self.seed, self._scenes[index])

    def _item_name(self, scene):
        return f"seed{self.seed}/{scene:07d}"

    def _pictures(self, index, views):
        """Pictures of the scene of item `index`, from the cache where it has them.

        Args:
          index: the item.
          views: (camera, number, light) of each picture. Camera "left" or "right" at time step `number`, or
            "scattered" from place `number`.
        """
        scene, moments, pictures = None, {}, []
        for camera, number, light in views:
            path = None
            if self._cache is not None:
                path = self._cache / f"{self._scenes[index]:07d}_{camera}_{number:02d}_{light}.png"
                picture = self._cached(path)
                if picture is not None:
                    pictures.append(picture)
                    continue
            scene = scene or self.scene(index)
            step = REFERENCE_STEP if camera == "scattered" else number
            if (step, light) not in moments:
                moments[step, light] = Moment(scene, self.size, step, light)
            moment = moments[step, light]
            picture = moment.scattered(number) if camera == "scattered" else getattr(moment, camera)()
            if path is not None:
                images.write(path, picture)
            pictures.append(picture)
        return pictures

    def _cached(self, path):
        """The picture in a file of the cache; None when there is none, or none that can be used."""
        if not path.is_file():
            return None
        try:
            picture = images.read(path)
        except images.ImageError:  # cut off or damaged: made again
            return None
        return picture if picture.shape[:2] == self.size else None


class StreetPairs(_Street):
    """Stereo pairs at one moment: x is the left picture, y the right one."""

    name = "street"

    def read(self, index):
        """Pair `index`: `(x, y)`, both `uint8 [H, W, 3]`."""
        return tuple(self._pictures(index, [(_LEFT, REFERENCE_STEP, 0), (_RIGHT, REFERENCE_STEP, 0)]))

    def read_x(self, index):
        """The left picture of pair `index`; the right one is not rendered."""
        return self._pictures(index, [(_LEFT, REFERENCE_STEP, 0)])[0]

    def disparity(self, index):
        """True disparity of x, `float32 [H, W]` in pixels: y shows at column c - disparity what x shows at c."""
        return Moment(self.scene(index), self.size).disparity()

    def occlusion(self, index):
        """Where y does not show what x shows: `bool [H, W]`."""
        return Moment(self.scene(index), self.size).occlusion()


class StreetGeneral(_Street):
    """Pairs of pictures one to three time steps apart, one from the left and one from the right camera.

    As in KITTI General either camera can be x's, and y can come before or after x.
    """

    name = "street_general"

    def read(self, index):
        """Pair `index`: `(x, y)`, both `uint8 [H, W, 3]`."""
        return tuple(self._pictures(index, self._views(self._scenes[index])))

    def read_x(self, index):
        """The first picture of pair `index`; the second is not rendered."""
        return self._pictures(index, self._views(self._scenes[index])[:1])[0]

    def views(self, index):
        """((camera, time step) of x, (camera, time step) of y)."""
        return tuple((camera, step) for camera, step, _ in self._views(self._scenes[index]))

    def _item_name(self, scene):
        (x_camera, x_step, _), (y_camera, y_step, _) = self._views(scene)
        return f"seed{self.seed}/{scene:07d}_{x_camera}_{x_step:02d}_{y_camera}_{y_step:02d}"

    def _views(self, scene):
        rng = Random(self.seed, scene, mix(1))
        gap = rng.integer(1, 4)
        earlier = rng.integer(0, STEPS - gap)
        steps = (earlier, earlier + gap) if rng.chance(0.5) else (earlier + gap, earlier)
        cameras = (_LEFT, _RIGHT) if rng.chance(0.5) else (_RIGHT, _LEFT)
        return [(camera, step, 0) for camera, step in zip(cameras, steps)]


class StreetSets(_Street):
    """Sets of pictures of one scene.

    Args:
      split, size, count, cache_dir, seed: as for the pairs; an item is a set. Without `count`: 200 sets for
        train, 20 for val and test.
      set_size: how many pictures a set has.
      views: "scattered": from places around the reference camera, each in its own light. "drive": taken by the
        two cameras of the rig at the 21 time steps, drawn without repetition and in order of time; at most 42.
    """

    kind = "sets"
    name = "street_sets"

    def __init__(self, split, size=(128, 256), count=None, cache_dir=None, seed=0, set_size=8, views="scattered"):
        most = {"scattered": 99, "drive": 2 * STEPS}
        if views not in most:
            raise DataError(f"views is {views!r}; expected one of: {', '.join(most)}.")
        check_whole("set_size", set_size, 1, most[views])
        self.set_size, self.views = set_size, views
        if count is None and split in _SPLITS:
            count = max(20, _SPLITS[split][1] // 10)
        super().__init__(split, size, count, cache_dir, seed)

    def read(self, index):
        """Set `index`: a list of `uint8 [H, W, 3]`."""
        return self._pictures(index, self._set_views(self._scenes[index]))

    def read_x(self, index):
        """The first picture of set `index`."""
        return self.read_image(index, 0)

    def count(self, index):
        """How many pictures set `index` has: as many as every other."""
        return self.set_size

    def read_image(self, index, k):
        """Picture `k` of set `index`, `uint8 [H, W, 3]`; the others are not rendered."""
        return self._pictures(index, [self._set_views(self._scenes[index])[k]])[0]

    def _item_name(self, scene):
        return f"seed{self.seed}/{scene:07d}_{self.views}_{self.set_size}"

    def _set_views(self, scene):
        if self.views == "scattered":
            # A light for each picture; the first has the scene's own.
            return [("scattered", k, k) for k in range(self.set_size)]
        rng = Random(self.seed, scene, mix(2))
        left = [(camera, step, 0) for step in range(STEPS) for camera in (_LEFT, _RIGHT)]
        while len(left) > self.set_size:
            left.pop(rng.integer(0, len(left)))
        return left
