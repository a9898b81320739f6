"""KITTI's scenes as sets: the split, what is drawn from a scene, the sample."""

import os
import pickle

import numpy as np
import pytest
from PIL import Image

from dsin_tf import data
from dsin_tf.data import kitti_recordings, kitti_scenes, sources

_PARTS = ("train", "val", "test")
_TEST_SCENE = ("data_scene_flow_multiview/training", 105)


def _lines(folder, number, frames=range(21)):
    return [f"{folder}/image_{camera}/{number:06d}_{frame:02d}.png" for frame in frames for camera in (2, 3)]


def _put(top, lines):
    """Links one small picture under every line."""
    one = top / "one.png"
    if not one.exists():
        Image.fromarray(np.full((6, 8, 3), 77, np.uint8)).save(one)
    for line in lines:
        (top / line).parent.mkdir(parents=True, exist_ok=True)
        os.link(one, top / line)


def test_parts_hold_all_789_scenes_once():
    parts = [kitti_scenes.scenes_of(part) for part in _PARTS]
    assert [len(part) for part in parts] == [667, 26, 96]
    everything = sum(parts, [])
    assert len(set(everything)) == len(everything) == 200 + 200 + 194 + 195


def test_no_known_recording_in_two_parts():
    drive_of = {scene: drive for drive, scenes in kitti_recordings.recordings().items() for scene in scenes}
    drives = [{drive_of[scene] for scene in kitti_scenes.scenes_of(part) if scene in drive_of} for part in _PARTS]
    # Of 27, 9 and 9 drives of the clean split, 2011_09_30_drive_0033 went from val to test, with DSIN's scene 49.
    assert [len(found) for found in drives] == [27, 8, 10]
    assert len(set.union(*drives)) == 45
    assert "2011_09_30_drive_0033" in drives[2]


def test_test_begins_with_the_scenes_of_the_published_lists(sample_data):
    published = {
        (line.split("/image_")[0], int(line[-13:-7]))
        for split in ("val", "test")
        for pair in sources.read_list(sample_data / f"kitti_lists/KITTI_general_{split}.txt")
        for line in pair
    }
    test = kitti_scenes.scenes_of("test")
    assert len(published) == 20
    assert set(test[:20]) == published


def test_a_whole_copy(tmp_path):
    for folder, number in kitti_scenes.scenes_of("val"):
        _put(tmp_path, _lines(folder, number))
    source = data.load("kitti_scenes", "val", tmp_path)
    assert (source.kind, len(source), source.names[0]) == ("sets", 26, "data_scene_flow_multiview/training/000007")
    assert {source.count(k) for k in range(26)} == {8}
    copy = pickle.loads(pickle.dumps(source))
    assert (copy.digest, len(copy.read(3))) == (source.digest, 8)
    whole = data.load("kitti_scenes", "val", tmp_path, set_size=42)
    assert [os.path.relpath(path, tmp_path) for path in whole.files(0)] == _lines(*kitti_scenes.scenes_of("val")[0])
    for k in range(26):
        drawn = source.files(k)
        assert [path for path in whole.files(k) if path in drawn] == list(drawn)  # in order of time
    places = {tuple(whole.files(k).index(path) for path in source.files(k)) for k in range(26)}
    assert len(places) == 26  # each scene is drawn from for itself


def test_the_draw_follows_the_seed_and_nothing_else(tmp_path):
    for scene in kitti_scenes.scenes_of("val"):
        _put(tmp_path, _lines(*scene))
    source = data.load("kitti_scenes", "val", tmp_path)
    assert data.load("kitti_scenes", "val", tmp_path, partial=True).digest == source.digest
    assert data.load("kitti_scenes", "val", tmp_path, seed=1).digest != source.digest
    alone = data.load("kitti_scenes", "val", tmp_path, scenes="training/000112")
    assert alone.names == ("data_scene_flow_multiview/training/000112",)
    assert alone.files(0) == source.files(source.names.index(alone.names[0]))
    # A picture that is lost is replaced by one, the others stay.
    os.remove(alone.files(0)[0])
    again = data.load("kitti_scenes", "val", tmp_path, partial=True, scenes="training/000112")
    assert set(alone.files(0)[1:]) < set(again.files(0))
    assert again.count(0) == 8
    with pytest.raises(data.MissingFilesError, match="kitti_scenes val: 25 of 26 sets.*1 files are missing"):
        data.load("kitti_scenes", "val", tmp_path)


def test_a_part_of_a_scene_is_a_set_of_two_or_more(tmp_path):
    folder = "data_stereo_flow_multiview/training"
    scenes = [scene for scene in kitti_scenes.scenes_of("train") if scene[0] == folder][:3]
    _put(tmp_path, _lines(*scenes[0], frames=(10, 11)))
    _put(tmp_path, _lines(*scenes[1], frames=(10,))[:1])
    _put(tmp_path, _lines(*scenes[2], frames=range(6)))
    source = data.load("kitti_scenes", "train", tmp_path, partial=True)
    assert source.names == tuple(f"{folder}/{number:06d}" for _, number in (scenes[0], scenes[2]))
    assert [source.count(k) for k in range(2)] == [4, 8]
    assert source.expected == 667
    assert [path[-22:] for path in source.files(0)] == [line[-22:] for line in _lines(*scenes[0], frames=(10, 11))]


def test_scenes_by_the_end_of_their_name(tmp_path):
    for number, archive in ((105, "scene"), (4, "stereo")):
        _put(tmp_path, _lines(f"data_{archive}_flow_multiview/testing", number))
    _put(tmp_path, _lines(*_TEST_SCENE))
    both = data.load("kitti_scenes", "test", tmp_path, scenes="000105")
    assert both.names == ("data_scene_flow_multiview/testing/000105", "data_scene_flow_multiview/training/000105")
    two = data.load("kitti_scenes", "test", tmp_path, scenes="training/000105, 000004", limit=5)
    assert two.names == ("data_stereo_flow_multiview/testing/000004", "data_scene_flow_multiview/training/000105")
    with pytest.raises(data.DataError, match="kitti_scenes train has no scene 'data_scene_.*000106'; it is in test"):
        data.load("kitti_scenes", "train", tmp_path, scenes="data_scene_flow_multiview/training/000106")
    with pytest.raises(data.DataError, match="no scene '106'; a name such as '000105' was expected"):
        data.load("kitti_scenes", "test", tmp_path, scenes="106")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"set_size": 1}, "set_size is 1, a whole number of 2 to 42"),
        ({"set_size": 43}, "set_size is 43"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_impossible_options_are_refused_by_value(tmp_path, options, message):
    with pytest.raises(data.DataError, match=message):
        data.load("kitti_scenes", "test", tmp_path, **options)


def test_the_long_scene_of_the_sample_is_for_test(sample_data):
    parts = {part: data.load("kitti_scenes", part, sample_data / "kitti_sample", partial=True) for part in _PARTS}
    assert [len(parts[part]) for part in _PARTS] == [25, 9, 6]
    name = "data_scene_flow_multiview/training/000105"
    assert [name in parts[part].names for part in _PARTS] == [False, False, True]
    source = data.load("kitti_scenes", "test", sample_data / "kitti_sample", True, scenes="000105", set_size=16)
    assert (source.names, source.count(0)) == ((name,), 16)
    assert [path[-21:] for path in source.files(0)[:2]] == ["image_2/000105_07.png", "image_3/000105_07.png"]
    np.testing.assert_array_equal(source.read_image(0, 3), source.read(0)[3])
    # KITTI 2012's colour folders have names of their own.
    assert parts["train"].read_x(parts["train"].names.index("data_stereo_flow_multiview/training/000000")).ndim == 3
