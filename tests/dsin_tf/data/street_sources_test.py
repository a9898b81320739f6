"""Street as data sets: what a source promises, splits, the cache."""

import pickle

import numpy as np
import pytest

from dsin_tf import data, images
from dsin_tf.data.sources import DataError
from dsin_tf.data.street import STEPS, VERSION, Moment, StreetGeneral, StreetPairs, StreetSets

SIZE = (24, 40)
KINDS = (StreetPairs, StreetGeneral, StreetSets)


@pytest.mark.parametrize("kind", KINDS)
def test_read_x_is_the_first_of_read(kind):
    source = kind("test", SIZE, count=2)
    everything = source.read(1)
    np.testing.assert_array_equal(source.read_x(1), everything[0])
    for picture in everything:
        assert picture.shape == (*SIZE, 3)
        assert picture.dtype == np.uint8


def test_read_x_renders_one_picture(monkeypatch):
    def refuse(*_):
        raise AssertionError("y was rendered")

    source = StreetPairs("test", SIZE, count=1)
    monkeypatch.setattr(Moment, "right", refuse)
    source.read_x(0)


@pytest.mark.parametrize("kind", KINDS)
def test_splits_share_no_scene(kind):
    names = {split: set(kind(split, SIZE, count=50).names) for split in ("train", "val", "test")}
    scenes = {split: {name.split("/")[1][:7] for name in found} for split, found in names.items()}
    assert all(len(found) == 50 for found in names.values())
    assert not scenes["train"] & scenes["val"]
    assert not scenes["train"] & scenes["test"]
    assert not scenes["val"] & scenes["test"]


def test_usual_counts():
    assert [len(StreetPairs(split)) for split in ("train", "val", "test")] == [2000, 100, 100]
    assert [len(StreetSets(split)) for split in ("train", "val", "test")] == [200, 20, 20]


@pytest.mark.parametrize("kind", KINDS)
def test_source_survives_pickling(kind):
    source = kind("val", SIZE, count=2)
    copy = pickle.loads(pickle.dumps(source))
    assert (copy.names, copy.digest, len(copy)) == (source.names, source.digest, 2)
    np.testing.assert_array_equal(copy.read_x(0), source.read_x(0))


def test_digest_tells_lists_apart_and_a_longer_list_begins_with_the_shorter():
    base = StreetPairs("test", SIZE, count=3)
    others = [
        StreetPairs("test", SIZE, count=4),
        StreetPairs("test", (24, 41), count=3),
        StreetPairs("test", SIZE, count=3, seed=1),
        StreetPairs("val", SIZE, count=3),
    ]
    assert len({source.digest for source in (base, *others)}) == 5
    assert others[0].names[:3] == base.names
    assert StreetPairs("test", SIZE, count=3).digest == base.digest


def test_general_pairs_are_one_to_three_steps_apart_in_opposite_cameras():
    source = StreetGeneral("train", SIZE, count=300)
    gaps, firsts = set(), set()
    for index in range(len(source)):
        (x_camera, x_step), (y_camera, y_step) = source.views(index)
        assert {x_camera, y_camera} == {"left", "right"}
        assert 0 <= min(x_step, y_step) <= max(x_step, y_step) < STEPS
        gaps.add(y_step - x_step)
        firsts.add(x_camera)
    assert gaps == {-3, -2, -1, 1, 2, 3}
    assert firsts == {"left", "right"}
    x, y = source.read(0)
    (x_camera, x_step), (y_camera, y_step) = source.views(0)
    np.testing.assert_array_equal(x, getattr(Moment(source.scene(0), SIZE, x_step), x_camera)())
    np.testing.assert_array_equal(y, getattr(Moment(source.scene(0), SIZE, y_step), y_camera)())


def test_a_drive_is_drawn_from_all_steps_and_both_cameras():
    whole = StreetSets("test", SIZE, count=1, set_size=42, views="drive")
    drawn = StreetSets("test", SIZE, count=1, set_size=8, views="drive")
    every, some = whole._set_views(2_000_000), drawn._set_views(2_000_000)
    assert len(set(every)) == 42
    assert len(set(some)) == 8
    assert [view for view in every if view in some] == some
    assert len(drawn.read(0)) == 8


@pytest.mark.parametrize("views", ["scattered", "drive"])
def test_one_image_of_a_set_is_rendered_alone(views, monkeypatch):
    source = StreetSets("test", SIZE, count=2, set_size=3, views=views)
    everything = source.read(1)
    assert source.count(1) == len(everything) == 3
    for k, picture in enumerate(everything):
        np.testing.assert_array_equal(source.read_image(1, k), picture)
    rendered = []
    pictures = StreetSets._pictures
    monkeypatch.setattr(StreetSets, "_pictures", lambda *a: rendered.extend(a[2]) or pictures(*a))
    source.read_image(1, 2)
    assert rendered == source._set_views(2_000_001)[2:]


def test_scattered_sets_differ_in_place_and_light():
    pictures = StreetSets("test", SIZE, count=1, set_size=4).read(0)
    means = [picture.mean() for picture in pictures]
    assert len(pictures) == 4
    assert max(means) - min(means) > 5


def test_disparity_and_occlusion_are_those_of_the_scene():
    source = StreetPairs("test", SIZE, count=1)
    moment = Moment(source.scene(0), SIZE)
    np.testing.assert_array_equal(source.disparity(0), moment.disparity())
    np.testing.assert_array_equal(source.occlusion(0), moment.occlusion())
    assert source.disparity(0).dtype == np.float32
    assert source.occlusion(0).dtype == bool


def test_cache_holds_what_was_rendered_and_is_used(tmp_path, monkeypatch):
    cached = StreetPairs("test", SIZE, count=1, cache_dir=tmp_path)
    expected = StreetPairs("test", SIZE, count=1).read(0)
    for one, other in zip(cached.read(0), expected):
        np.testing.assert_array_equal(one, other)
    files = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png"))
    folder = f"street_v{VERSION}_24x40_seed0"
    assert files == [f"{folder}/2000000_left_10_0.png", f"{folder}/2000000_right_10_0.png"]
    monkeypatch.setattr(Moment, "left", None)
    monkeypatch.setattr(Moment, "right", None)
    for one, other in zip(cached.read(0), expected):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "size"])
def test_broken_cache_files_are_made_again(tmp_path, damage):
    source = StreetPairs("test", SIZE, count=1, cache_dir=tmp_path)
    expected = source.read_x(0)
    (path,) = tmp_path.rglob("*.png")
    whole = path.read_bytes()
    if damage == "size":
        images.write(path, np.zeros((5, 5, 3), np.uint8))
    else:
        path.write_bytes({"cut": whole[: len(whole) // 2], "empty": b"", "text": b"not a picture"}[damage])
    np.testing.assert_array_equal(source.read_x(0), expected)
    assert path.read_bytes() == whole


def test_registered_under_its_names():
    for name, kind in (("street", "pairs"), ("street_general", "pairs"), ("street_sets", "sets")):
        source = data.load(name, split="val", limit=2, size=SIZE)
        assert (source.name, source.kind, source.split, len(source)) == (name, kind, "val", 2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"split": "dev"}, ["'dev'", "train, val, test"]),
        ({"count": 0}, ["count is 0", "1 to 1000000"]),
        ({"count": True}, ["count is True"]),
        ({"size": (0, 5)}, ["(0, 5)", "height, width"]),
        ({"size": 128}, ["size is 128", "height, width"]),
        ({"size": (128, 2.5)}, ["(128, 2.5)"]),
        ({"seed": -1}, ["seed is -1", "of 0 to"]),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_impossible_options_are_refused_by_value(kind, options, words):
    with pytest.raises(DataError) as error:
        kind(**{"split": "test", **options})
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"views": "orbit"}, ["'orbit'", "scattered, drive"]), ({"set_size": 43, "views": "drive"}, ["43", "1 to 42"])],
)
def test_impossible_sets_are_refused_by_value(options, words):
    with pytest.raises(DataError) as error:
        StreetSets("test", SIZE, **options)
    for word in words:
        assert word in str(error.value)
