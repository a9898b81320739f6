"""KITTI Stereo and KITTI General: the lists of DSIN (Ayzik and Avidan, ECCV 2020), made by their rules.

Both use KITTI's two multi-view archives, unpacked side by side in one folder:

    data_scene_flow_multiview/{training,testing}/{image_2,image_3}/SSSSSS_FF.png      KITTI 2015, 200 + 200 scenes
    data_stereo_flow_multiview/{training,testing}/{image_2,image_3}/SSSSSS_FF.png     KITTI 2012, 194 + 195 scenes
                                                  (or colored_0, colored_1)

SSSSSS is the scene, FF its time step 00...20, ten a second; image_2 is the left colour camera, image_3 the right.
"""

from dsin_tf.data import kitti_recordings
from dsin_tf.data.sources import DataError, FilePairs, read_list

# Archive -> part -> how many scenes.
SCENES = {
    "data_scene_flow_multiview": {"training": 200, "testing": 200},
    "data_stereo_flow_multiview": {"training": 194, "testing": 195},
}
FRAMES = 21  # of each camera in a scene
_DIRECTIONS = (("image_2", "image_3"), ("image_3", "image_2"))
_STEREO = {"train": ("training", (10, 11)), "val": ("testing", (11,)), "test": ("testing", (10,))}

# DSIN validates and tests KITTI General on these scenes of the testing folders and trains on all others.
GENERAL_HELD_OUT = {
    "data_scene_flow_multiview": (29, 79, 85, 100, 105, 110, 129, 150, 158, 175),
    "data_stereo_flow_multiview": (4, 33, 41, 44, 49, 52, 122, 158, 166, 167),
}
_STEPS = (1, 2, 3)


def stereo_pairs(split):
    """The published list of KITTI Stereo as a list of (x, y): 1576 (train), 790 (val) or 790 (test) pairs.

    `sources.list_text` of it equals the published file byte for byte. Validation and test are the same
    scenes a tenth of a second apart; `kitti_recordings.clean_pairs` is the split without that.
    """
    part, frames = _STEREO[split]
    return [
        (_line(archive, part, x, scene, frame), _line(archive, part, y, scene, frame))
        for archive, scenes in SCENES.items()
        for x, y in _DIRECTIONS
        for scene in range(scenes[part])
        for frame in frames
    ]


def general_pairs(split):
    """The pairs that KITTI General draws from: opposite cameras, one to three steps apart, both directions.

    228 pairs a scene: 175 332 from 769 scenes for "train", 4560 from 20 scenes for "heldout". The published
    validation (912) and test (3607) lists are a random choice from the latter.
    """
    return [
        (_line(archive, part, x, scene, t_x), _line(archive, part, y, scene, t_y))
        for archive, parts in SCENES.items()
        for part, count in parts.items()
        for scene in range(count)
        if (part == "testing" and scene in GENERAL_HELD_OUT[archive]) == (split == "heldout")
        for x, y in _DIRECTIONS
        for t_x in range(FRAMES)
        for t_y in range(FRAMES)
        if abs(t_x - t_y) in _STEPS
    ]


def open_stereo(split, data_dir, partial, limit):
    """KITTI Stereo as a source; see `stereo_pairs`."""
    return FilePairs("kitti_stereo", split, data_dir, stereo_pairs(split), partial, limit)


def open_stereo_clean(split, data_dir, partial, limit):
    """KITTI Stereo split by recording, no recording in two parts; see `kitti_recordings`."""
    return FilePairs("kitti_stereo_clean", split, data_dir, kitti_recordings.clean_pairs(split), partial, limit)


def open_general(split, data_dir, partial, limit, list_file=None):
    """KITTI General as a source.

    Args:
      split: "train" or "heldout" (made by rule), "val" or "test" (from the published lists).
      data_dir: the folder with both archives.
      partial, limit: see `dsin_tf.data.load`.
      list_file: the published list of this split; "{split}" in it stands for the split.

    Raises:
      DataError: val or test without a list file, or a list with a pair that is not of this data set.
    """
    if list_file is None and split in ("val", "test"):
        raise DataError(
            f"kitti_general has no list of its own for split {split!r}: the published one is a random choice that "
            f"cannot be made again. Give it as list_file (KITTI_general_{split}.txt of the DSIN release), or use "
            "split='heldout' for all 4560 pairs it was chosen from."
        )
    pairs = general_pairs("train" if split == "train" else "heldout")
    if list_file is not None:
        list_file = str(list_file).replace("{split}", split)
        allowed, pairs = set(pairs), read_list(list_file)
        for k, pair in enumerate(pairs):
            if pair not in allowed:
                raise DataError(
                    f"{list_file}: lines {2 * k + 1} and {2 * k + 2}, {pair[0]} and {pair[1]}, are no pair of "
                    f"kitti_general's {split} scenes: opposite cameras, one to three steps apart, were expected. "
                    "Use data set 'list' for lists of your own."
                )
    return FilePairs("kitti_general", split, data_dir, pairs, partial, limit)


def open_small(split, data_dir, partial, limit, both_directions=False):
    """KITTI at 128x256, one pair a scene, split by recording.

    Args:
      split: "train" (78 pairs of 12 drives) or "test" (34 pairs of 5).
      data_dir: a folder with image_2 and image_3. Its images are cropped and made small already as
        protocol ndic does it; use them with protocol native.
      partial, limit: see `dsin_tf.data.load`.
      both_directions: also use each pair the other way round, right image coded, left image at hand.
    """
    pairs = kitti_recordings.small_pairs(split, both_directions)
    return FilePairs("kitti_small", split, data_dir, pairs, partial, limit)


def _line(archive, part, camera, scene, frame):
    return f"{archive}/{part}/{camera}/{scene:06d}_{frame:02d}.png"
