"""The clean split: no recording in two parts."""

import csv

from dsin_tf.data import kitti, kitti_recordings

_PARTS = ("train", "val", "test")


def test_table_has_each_scene_once():
    scenes = [scene for scenes in kitti_recordings.recordings().values() for scene in scenes]
    assert len(scenes) == len(set(scenes)) == 142 + 89 + 66


def test_table_agrees_with_the_development_kit(sample_data):
    drive_of = {scene: drive for drive, scenes in kitti_recordings.recordings().items() for scene in scenes}
    with open(sample_data / "kitti_sample/scenes_kitti2015_training.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 112
    for row in rows:
        drive = drive_of["data_scene_flow_multiview/training", int(row["scene"])]
        assert drive + "_sync" == row["raw_drive"]


def test_no_recording_and_no_image_in_two_parts():
    drives = [set(kitti_recordings.clean_drives(part)) for part in _PARTS]
    assert [len(d) for d in drives] == [27, 9, 9]
    assert len(set.union(*drives)) == 45
    drive_of = {scene: drive for drive, scenes in kitti_recordings.recordings().items() for scene in scenes}
    for part, expected in zip(_PARTS, drives):
        seen = set()
        for x, y in kitti_recordings.clean_pairs(part):
            for line in (x, y):
                archive, folder, _, file = line.split("/")
                seen.add(drive_of[f"{archive}/{folder}", int(file[:6])])
        assert seen == expected


def test_counts_and_frames():
    assert [len(kitti_recordings.clean_pairs(part)) for part in _PARTS] == [776, 80, 126]
    assert {x[-6:-4] for x, _ in kitti_recordings.clean_pairs("train")} == {"10", "11"}
    assert {x[-6:-4] for part in ("val", "test") for x, _ in kitti_recordings.clean_pairs(part)} == {"10"}


def test_clean_pairs_are_pairs_of_the_published_lists():
    published = {pair for part in _PARTS for pair in kitti.stereo_pairs(part)}
    for part in _PARTS:
        assert set(kitti_recordings.clean_pairs(part)) <= published


def test_small_split_is_by_drive_and_takes_every_fourth():
    test = {x[8:14] for x, _ in kitti_recordings.small_pairs("test")}
    train = {x[8:14] for x, _ in kitti_recordings.small_pairs("train")}
    # Drives 9, 15, 28, 57 and 101 of 2011_09_26 are the 1st, 5th, 9th, 13th and 17th of the 17.
    expected = [*range(7, 13), *range(34, 43), *range(62, 70), *range(112, 118), *range(144, 149)]
    assert sorted(map(int, test)) == expected
    assert (len(train), len(test), len(train | test)) == (78, 34, 112)
    drive_of = {scene: drive for drive, scenes in kitti_recordings.recordings().items() for scene in scenes}
    drives = [{drive_of["data_scene_flow_multiview/training", int(scene)] for scene in part} for part in (train, test)]
    assert (len(drives[0]), len(drives[1])) == (12, 5)
    assert not drives[0] & drives[1]
