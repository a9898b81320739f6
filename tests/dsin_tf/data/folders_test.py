"""A user's own images: list files and folders of pairs, images and sets."""

import numpy as np
import pytest
from PIL import Image

from dsin_tf import data


def _picture(path, level=0, size=(6, 8)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), level, np.uint8)).save(path)


def _levels(source, index=0):
    return [int(image[0, 0, 0]) for image in source.read(index)]


@pytest.mark.parametrize(
    "sides", [("left", "right"), ("image_2", "image_3"), ("colored_0", "colored_1"), ("leftImg8bit", "rightImg8bit")]
)
@pytest.mark.parametrize("above", ["", "training", "test"])
def test_pairs_of_camera_folders(tmp_path, sides, above):
    for level, side in enumerate(sides):
        for name in ("b.png", "a.png"):
            _picture(tmp_path / above / side / name, level)
    source = data.load("pairs", "test", tmp_path)
    assert source.names == (f"{sides[0]}/a.png", f"{sides[0]}/b.png")
    assert _levels(source) == [0, 1]


def test_pairs_whose_names_carry_the_side_and_another_ending(tmp_path):
    _picture(tmp_path / "left/city/f_left.png", 1)
    _picture(tmp_path / "right/city/f_right.bmp", 2)
    assert _levels(data.load("pairs", "test", tmp_path)) == [1, 2]


def test_pair_of_two_files_and_a_folder_of_such(tmp_path):
    for k, name in enumerate(("one", "two")):
        _picture(tmp_path / name / "left.png", 10 * k)
        _picture(tmp_path / name / "right.png", 10 * k + 1)
    assert _levels(data.load("pairs", "test", tmp_path / "two")) == [10, 11]
    together = data.load("pairs", "test", tmp_path)
    assert together.names == ("one/left.png", "two/left.png")
    assert _levels(together, 1) == [10, 11]


def test_an_image_without_partner_names_the_partner(tmp_path):
    _picture(tmp_path / "left/a.png")
    _picture(tmp_path / "right/a.png")
    _picture(tmp_path / "right/b.png")
    with pytest.raises(data.MissingFilesError, match=r"1 of 2 pairs.*left.b\.png"):
        data.load("pairs", "test", tmp_path)


def test_part_folders_are_told_apart(tmp_path):
    for level, part in enumerate(("train", "test")):
        for side in ("left", "right"):
            _picture(tmp_path / part / side / "a.png", level)
    assert _levels(data.load("pairs", "train", tmp_path)) == [0, 0]
    assert _levels(data.load("pairs", "test", tmp_path)) == [1, 1]
    with pytest.raises(data.DataError, match=r"several folders of pairs \(test, train\) and none is called 'val'"):
        data.load("pairs", "val", tmp_path)


def test_empty_folder(tmp_path):
    with pytest.raises(data.DataError, match="no pairs found.*left and right"):
        data.load("pairs", "test", tmp_path)
    with pytest.raises(data.DataError, match="holds no images"):
        data.load("images", "test", tmp_path)
    with pytest.raises(data.DataError, match="holds no images"):
        data.load("image_sets", "test", tmp_path)
    (tmp_path / "left").mkdir()
    (tmp_path / "right").mkdir()
    with pytest.raises(data.DataError, match="no pairs found"):
        data.load("pairs", "test", tmp_path)


def test_steps_apart(tmp_path):
    for t in range(4):
        _picture(tmp_path / f"left/s_{t:02d}.png", t)
        _picture(tmp_path / f"right/s_{t:02d}.png", 100 + t)
    _picture(tmp_path / "left/other_00.png")
    _picture(tmp_path / "right/other_00.png")
    source = data.load("pairs", "test", tmp_path, steps=(1, 2))
    # 3 instants a step apart and 2 two steps, each both ways in time and from either camera.
    assert len(source) == 4 * (3 + 2)
    for x, y in (_levels(source, k) for k in range(len(source))):
        assert (x >= 100) != (y >= 100)
        assert abs(x % 100 - y % 100) in (1, 2)
    with pytest.raises(data.DataError, match="no two images are 9 frames apart"):
        data.load("pairs", "test", tmp_path, steps=(9,))


def test_both_directions(tmp_path):
    _picture(tmp_path / "left/a.png", 1)
    _picture(tmp_path / "right/a.png", 2)
    source = data.load("pairs", "test", tmp_path, both_directions=True)
    assert [_levels(source, k) for k in range(len(source))] == [[1, 2], [2, 1]]


def test_images_and_sets(tmp_path):
    for name in ("one/a.png", "one/b.png", "two/c.png"):
        _picture(tmp_path / name)
    assert data.load("images", "test", tmp_path / "one").names == ("a.png", "b.png")
    sets = data.load("image_sets", "test", tmp_path)
    assert (sets.kind, sets.names, [len(sets.read(k)) for k in range(2)]) == ("sets", ("one", "two"), [2, 1])
    assert data.load("image_sets", "test", tmp_path / "one").names == ("one",)


def _set_levels(source):
    return {name: [int(image[0, 0, 0]) for image in source.read(k)] for k, name in enumerate(source.names)}


@pytest.mark.parametrize("sides", [("left", "right"), ("image_2", "image_3")])
def test_camera_folders_are_one_set_in_order_of_time(tmp_path, sides):
    drive = tmp_path / "drive"
    for t in (2, 0, 1):
        for level, side in enumerate(sides):
            if (t, level) != (1, 0):  # an image without partner is an image of the set all the same
                _picture(drive / side / f"{t:02d}.png", 10 * t + level)
    _picture(tmp_path / "plain/b.png", 5)
    _picture(tmp_path / "plain/a.png", 4)
    assert _set_levels(data.load("image_sets", "test", drive)) == {"drive": [0, 1, 11, 20, 21]}
    assert _set_levels(data.load("image_sets", "test", tmp_path)) == {"drive": [0, 1, 11, 20, 21], "plain": [4, 5]}


def test_set_size_spreads_evenly_over_a_set(tmp_path):
    for k in range(7):
        _picture(tmp_path / f"long/{k}.png", k)
    for k in range(2):
        _picture(tmp_path / f"short/{k}.png", k)
    expected = {None: [0, 1, 2, 3, 4, 5, 6], 1: [0], 2: [0, 6], 3: [0, 3, 6], 4: [0, 2, 4, 6], 99: list(range(7))}
    for size, levels in expected.items():
        source = data.load("image_sets", "test", tmp_path, set_size=size)
        assert _set_levels(source) == {"long": levels, "short": [0] if size == 1 else [0, 1]}
    with pytest.raises(data.DataError, match="set_size is 0, a whole number of at least 1"):
        data.load("image_sets", "test", tmp_path, set_size=0)


def test_one_image_of_a_set_is_read_alone(tmp_path):
    for k in range(3):
        _picture(tmp_path / f"s/{k}.png", k)
    source = data.load("image_sets", "test", tmp_path)
    (tmp_path / "s/0.png").write_bytes(b"")  # not read
    assert source.count(0) == 3
    assert [int(source.read_image(0, k)[0, 0, 0]) for k in (1, 2)] == [1, 2]


def test_sample_drive_is_one_set_of_both_cameras(sample_data):
    source = data.load("image_sets", data_dir=sample_data / "kitti_odometry_sample")
    assert (source.names, source.count(0)) == (("kitti_odometry_sample",), 12)
    assert [path[-18:] for path in source.files(0)[:3]] == [
        "image_2/000000.png",
        "image_3/000000.png",
        "image_2/000001.png",
    ]


def test_list_relative_to_its_own_folder_or_below_data_dir(tmp_path):
    _picture(tmp_path / "sub/x.png", 1)
    _picture(tmp_path / "sub/y.png", 2)
    (tmp_path / "a.txt").write_text("sub/x.png\nsub/y.png\n")
    (tmp_path / "b.txt").write_text("/x.png\n/y.png\n")
    (tmp_path / "c.txt").write_text(f"{tmp_path}/sub/x.png\n{tmp_path}/sub/y.png\n")
    assert _levels(data.load("list", list_file=tmp_path / "a.txt")) == [1, 2]
    assert _levels(data.load("list", data_dir=tmp_path, list_file=tmp_path / "a.txt")) == [1, 2]
    assert _levels(data.load("list", data_dir=tmp_path / "sub", list_file=tmp_path / "b.txt")) == [1, 2]
    assert _levels(data.load("list", list_file=tmp_path / "c.txt")) == [1, 2]
    (tmp_path / "d.txt").write_text("/x.png\ny.png\n")
    with pytest.raises(data.DataError, match="some lines begin with '/'"):
        data.load("list", list_file=tmp_path / "d.txt")


def test_list_file_of_a_split(tmp_path):
    _picture(tmp_path / "x.png")
    (tmp_path / "val.txt").write_text("x.png\nx.png\n")
    assert len(data.load("list", "val", list_file=tmp_path / "{split}.txt")) == 1
    with pytest.raises(data.DataError, match="test.txt: does not exist"):
        data.load("list", "test", list_file=tmp_path / "{split}.txt")


def test_list_naming_a_missing_file(tmp_path):
    _picture(tmp_path / "x.png")
    (tmp_path / "l.txt").write_text("x.png\nnone.png\n")
    with pytest.raises(data.MissingFilesError, match=r"list test: 0 of 1 pairs.*none\.png"):
        data.load("list", list_file=tmp_path / "l.txt")
    with pytest.raises(data.DataError, match="got no list_file"):
        data.load("list", data_dir=tmp_path)


@pytest.mark.parametrize(
    ("name", "folder", "count", "options"),
    [
        ("pairs", "kitti_object_sample", 3, {}),
        ("pairs", "kitti_odometry_sample", 6, {}),
        ("pairs", "kitti_odometry_sample", 4 * (5 + 4 + 3), {"steps": (1, 2, 3)}),
        ("pairs", "stereo_misc/aloe", 1, {}),
        ("pairs", "stereo_misc", 5, {}),
        ("images", "kodak", 24, {}),
        ("image_sets", "image_sets", 2, {}),
        ("image_sets", "image_sets/lund_street", 1, {}),
    ],
)
def test_samples_load_unchanged(sample_data, name, folder, count, options):
    source = data.load(name, data_dir=sample_data / folder, **options)
    assert len(source) == count
    assert source.read_x(0).dtype == np.uint8
