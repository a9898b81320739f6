"""KITTI's multi-view scenes as sets of images: 789 scenes of 21 left and 21 right pictures, two seconds of a drive.

The data are those of Wang, Shi, Xing, Ling and Yin, "Deep Correlated Image Set Compression Based on Distributed
Source Coding and Multi-Scale Fusion" (DCC 2022), in the folders that `dsin_tf.data.kitti` describes. The authors
publish neither what a set is nor a split. Both are ours:

A set is 8 pictures of one scene, drawn at random from both cameras and all 21 instants, in order of time, left
before right.

The split is by scene, and by recording ("drive") where that is known; see `kitti_recordings`:

    test    96 scenes: first the 20 that DSIN (Ayzik and Avidan, ECCV 2020) holds out of KITTI General, so that
            limit=20 is those alone; then all of the drives that kitti_stereo_clean tests on, and of the one drive
            known of the 20
    val     26 scenes: all of the drives that kitti_stereo_clean validates on, without that one
    train   667 scenes: all others

No known drive is in two parts. But 492 scenes have no known drive, among them 19 of DSIN's 20, and nobody can show
that the 473 of them that are in train are from other drives.
"""

import numpy as np

from dsin_tf.data import kitti, kitti_recordings
from dsin_tf.data.sources import DataError, FileSets, check_whole, there

PICTURES = 2 * kitti.FRAMES  # of a whole scene


def scenes_of(split):
    """The scenes of a part: a list of (folder, number), such as ("data_scene_flow_multiview/training", 105)."""
    general = [(f"{archive}/testing", k) for archive, held_out in kitti.GENERAL_HELD_OUT.items() for k in held_out]
    of_drive = kitti_recordings.recordings()
    test_drives = {drive for drive, members in of_drive.items() if not set(general).isdisjoint(members)}
    test_drives.update(kitti_recordings.clean_drives("test"))
    val_drives = set(kitti_recordings.clean_drives("val")) - test_drives
    test, val = ({scene for drive in drives for scene in of_drive[drive]} for drives in (test_drives, val_drives))
    if split == "test":
        return general + sorted(test.difference(general))
    if split == "val":
        return sorted(val)
    elsewhere = test.union(val, general)
    return [scene for scene in _all_scenes() if scene not in elsewhere]


def open_scenes(split, data_dir, partial, limit, set_size=8, seed=0, scenes=None):
    """A set of pictures of each scene.

    Args:
      split: "train", "val" or "test".
      data_dir: the folder with both archives.
      partial: draw from the pictures that are there. Scenes with fewer than `set_size` give all they have, those
        with fewer than 2 are left out.
      limit: see `dsin_tf.data.load`.
      set_size: how many pictures to draw from a scene; 42 is the whole scene.
      seed: another seed draws others.
      scenes: only these scenes of the part: the ends of their names, with commas between, such as "000105" or
        "data_scene_flow_multiview/training/000105,testing/000029". None takes all.

    Raises:
      DataError: set_size or seed is out of range, or the part has no such scene.
      MissingFilesError: pictures that were drawn are missing (with `partial`: all scenes are).
    """
    check_whole("set_size", set_size, 2, PICTURES)
    check_whole("seed", seed, 0)
    chosen = _choose(split, scenes)
    pictures = {scene: _pictures(*scene) for scene in chosen}
    usable = {line for lines in pictures.values() for line in lines}
    if partial:
        usable = there(data_dir, usable)
    # By a scene's place among all of them, so that it gives the same set whatever else is chosen.
    place = {scene: k for k, scene in enumerate(_all_scenes())}
    sets = [_draw(pictures[scene], usable, set_size, np.random.default_rng([seed, place[scene]])) for scene in chosen]
    names = [_name(*scene) for scene in chosen]
    return FileSets("kitti_scenes", split, data_dir, sets, names, partial=partial, limit=limit)


def _all_scenes():
    return [
        (f"{archive}/{part}", number)
        for archive, parts in kitti.SCENES.items()
        for part, count in parts.items()
        for number in range(count)
    ]


def _name(folder, number):
    return f"{folder}/{number:06d}"


def _pictures(folder, number):
    """A scene's lines in order of time, left before right."""
    return [
        f"{folder}/{camera}/{number:06d}_{frame:02d}.png"
        for frame in range(kitti.FRAMES)
        for camera in ("image_2", "image_3")
    ]


def _draw(lines, usable, set_size, rng):
    """The first `set_size` usable lines of a random order, in order of time again; what is missing moves no other."""
    order = rng.permutation(len(lines))
    drawn = [k for k in order if lines[k] in usable][:set_size]
    if len(drawn) < 2:  # no set: left to the look-up, which tells what is missing
        drawn = order[:set_size]
    return tuple(lines[k] for k in sorted(drawn))


def _choose(split, text):
    """The scenes of a part whose names end as one of those in `text`."""
    if text is None:
        return scenes_of(split)
    words = [word.strip() for word in text.split(",")]
    for word in words:
        parts = [part for part in ("train", "val", "test") if _called(part, (word,))]
        if split not in parts:
            instead = f"it is in {' and '.join(parts)}" if parts else "a name such as '000105' was expected"
            raise DataError(f"kitti_scenes {split} has no scene {word!r}; {instead}.")
    return _called(split, words)


def _called(split, words):
    return [
        (folder, number)
        for folder, number in scenes_of(split)
        if any(f"/{_name(folder, number)}".endswith(f"/{word}") for word in words)
    ]
