"""The data sets by name."""

import pickle

import numpy as np
import pytest

from dsin_tf import data, images


def test_names():
    assert data.names() == (
        *("kitti_stereo", "kitti_stereo_clean", "kitti_general", "kitti_scenes", "kitti_small", "cityscapes"),
        *("list", "pairs", "images", "image_sets", "street", "street_general", "street_sets"),
    )


def test_unknown_name_lists_the_valid_ones():
    with pytest.raises(data.DataError, match="no data set 'kiti'.*kitti_stereo, .*street_sets"):
        data.load("kiti")


def test_unknown_split_option_and_folder(tmp_path):
    with pytest.raises(data.DataError, match="kitti_stereo has no split 'valid'; it has: train, val, test"):
        data.load("kitti_stereo", "valid", tmp_path)
    with pytest.raises(data.DataError, match="pairs has no option 'step'; the options it takes: steps, both_dir"):
        data.load("pairs", "test", tmp_path, step=1)
    with pytest.raises(data.DataError, match="got no data_dir"):
        data.load("cityscapes")
    with pytest.raises(data.DataError, match="none: does not exist; the folder of data set images"):
        data.load("images", data_dir=tmp_path / "none")
    (tmp_path / "file").write_text("")
    with pytest.raises(data.DataError, match="file: is a file"):
        data.load("images", data_dir=tmp_path / "file")


def test_every_opening_function_exists():
    for name in data.names():
        if not name.startswith("street"):
            with pytest.raises(data.DataError, match="no option 'nonsense'"):
                data.load(name, "train", data_dir=".", nonsense=1)


@pytest.mark.parametrize(("name", "kind"), [("street", "pairs"), ("street_general", "pairs"), ("street_sets", "sets")])
def test_street_needs_no_folder(name, kind):
    source = data.load(name, "test", limit=2, size=(32, 64))
    assert (len(source), source.kind, source.split, source.name) == (2, kind, "test", name)
    copy = pickle.loads(pickle.dumps(source))
    assert (copy.names, copy.digest) == (source.names, source.digest)
    x = source.read_x(1)
    assert (x.shape, x.dtype) == ((32, 64, 3), np.uint8)
    np.testing.assert_array_equal(x, copy.read_x(1))


def test_street_says_what_it_does_not_have():
    with pytest.raises(data.DataError, match="street has no option 'speed'"):
        data.load("street", speed=3)


def test_joined_names_are_one_source(tmp_path):
    for name in ("one/a.png", "one/b.png", "two/c.png"):
        images.write(tmp_path / name, np.full((5, 6, 3), 7, np.uint8))
    options = {"size": (32, 64), "set_size": 2, "views": "drive"}
    source = data.load("image_sets+street_sets", "val", tmp_path, limit=1, **options)
    assert (source.name, source.split, source.kind) == ("image_sets+street_sets", "val", "sets")
    assert source.names == ("image_sets/one", "street_sets/seed0/1000000_drive_2")  # the limit is each one's
    street = data.load("street_sets", "val", limit=1, **options)
    np.testing.assert_array_equal(source.read(1), street.read(0))
    # set_size is of use to both, size and views to street_sets alone, and the order of the names is that of the items.
    turned = data.load("street_sets+image_sets", "val", tmp_path, limit=1, **options)
    assert turned.names == source.names[::-1]
    assert turned.digest != source.digest


def test_joined_names_that_do_not_go_together(tmp_path):
    images.write(tmp_path / "a.png", np.zeros((5, 6, 3), np.uint8))
    with pytest.raises(data.DataError, match="found: image_sets of sets, street of pairs"):
        data.load("image_sets+street", "test", tmp_path)
    with pytest.raises(data.DataError, match=r"street\+street names a data set twice"):
        data.load("street+street")
    with pytest.raises(data.DataError, match="no data set 'stret'"):
        data.load("street+stret")
    with pytest.raises(data.DataError, match=r"street\+street_general has no option 'views'; .* size, count"):
        data.load("street+street_general", views="drive")
    with pytest.raises(data.DataError, match="image_sets got no data_dir"):
        data.load("street_sets+image_sets")


def test_splits_of_joined_names_are_those_of_all():
    assert data.splits("kitti_small+street") == ("train", "test")
    assert data.splits("street+kitti_general") == ("train", "val", "test")
    assert data.splits("image_sets+street_sets") == ("train", "val", "test")
    assert data.splits("images+pairs") is None
