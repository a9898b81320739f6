"""KITTI's lists by rule, against the published ones."""

import hashlib

import pytest

from dsin_tf import data
from dsin_tf.data import kitti, sources

# SHA-256 and pairs of the list files in the DSIN release.
_PUBLISHED = {
    "train": ("a0e71c08bdb278b9f688dd326f8bd5faf50cc43edd1e6187003a9b46a39f30dc", 1576),
    "val": ("06f00c0c30d13fa7eefe916d73fa6fc47036f6d16816bb840c620ef5407a093f", 790),
    "test": ("abab44a4fc24e72b5137449628cda5c6bbe34c336b29bee75e946ba879167a08", 790),
}


@pytest.mark.parametrize("split", _PUBLISHED)
def test_stereo_lists_have_the_published_digest(split):
    pairs = kitti.stereo_pairs(split)
    digest, count = _PUBLISHED[split]
    assert len(pairs) == count
    assert hashlib.sha256(sources.list_text(pairs).encode()).hexdigest() == digest


@pytest.mark.parametrize("split", _PUBLISHED)
def test_stereo_lists_equal_the_published_files(split, sample_data):
    published = (sample_data / f"kitti_lists/KITTI_stereo_{split}.txt").read_text()
    assert sources.list_text(kitti.stereo_pairs(split)) == published


def test_general_counts():
    train, heldout = kitti.general_pairs("train"), kitti.general_pairs("heldout")
    assert (len(train), len(heldout)) == (175332, 4560)
    assert len(set(train)) == 175332
    assert not {x for x, _ in train} & {image for pair in heldout for image in pair}


def test_general_pairs_are_opposite_cameras_one_to_three_steps_apart():
    for x, y in kitti.general_pairs("heldout"):
        assert {x.split("/")[2], y.split("/")[2]} == {"image_2", "image_3"}
        assert x.split("/")[3][:6] == y.split("/")[3][:6]
        assert 1 <= abs(int(x[-6:-4]) - int(y[-6:-4])) <= 3


@pytest.mark.parametrize(("split", "count"), [("val", 912), ("test", 3607)])
def test_published_general_lists_are_members_of_the_rule(split, count, sample_data):
    published = sources.read_list(sample_data / f"kitti_lists/KITTI_general_{split}.txt")
    assert len(published) == count
    assert set(published) <= set(kitti.general_pairs("heldout"))


def test_general_needs_the_published_list_for_val_and_test(tmp_path):
    with pytest.raises(sources.DataError, match="'val'.*KITTI_general_val.txt.*heldout"):
        data.load("kitti_general", "val", tmp_path)


def test_general_refuses_a_list_of_other_pairs(tmp_path):
    (tmp_path / "l.txt").write_text("a.png\nb.png\n")
    with pytest.raises(sources.DataError, match="lines 1 and 2, a.png and b.png"):
        data.load("kitti_general", "val", tmp_path, list_file=tmp_path / "l.txt")


def test_general_reads_the_published_list_through_its_name(sample_data):
    lists = sample_data / "kitti_lists/KITTI_general_{split}.txt"
    with pytest.raises(sources.MissingFilesError, match="kitti_general test: 0 of 3607") as caught:
        data.load("kitti_general", "test", sample_data / "kitti_sample", partial=True, list_file=lists)
    assert caught.value.expected == 3607


@pytest.mark.parametrize(("split", "count", "whole"), [("train", 72, 1576), ("val", 6, 790), ("test", 10, 790)])
def test_stereo_sample_loads_in_part(split, count, whole, sample_data):
    source = data.load("kitti_stereo", split, sample_data / "kitti_sample", partial=True)
    assert (len(source), source.expected) == (count, whole)
    x, y = source.read(len(source) - 1)  # KITTI 2012, in colored_0 and colored_1
    assert x.shape == y.shape
    assert (x != y).any()


def test_stereo_sample_is_incomplete(sample_data):
    with pytest.raises(sources.MissingFilesError, match="10 of 790 pairs.*--partial"):
        data.load("kitti_stereo", "test", sample_data / "kitti_sample")


def test_general_sample(sample_data):
    source = data.load("kitti_general", "train", sample_data / "kitti_sample", partial=True)
    # 8 steps in a row: 7 + 6 + 5 pairs of instants; 2012's _10 and _11: 1; each two ways, each two cameras.
    assert len(source) == 4 * (7 + 6 + 5) + 4 * (1 + 1 + 1)
    assert len(set(source.names)) == len(source)


@pytest.mark.parametrize(("split", "count"), [("train", 78), ("test", 34)])
def test_small(split, count, sample_data):
    source = data.load("kitti_small", split, sample_data / "kitti_small_256x128")
    assert len(source) == count
    assert source.read_x(0).shape == (128, 256, 3)
    both = data.load("kitti_small", split, sample_data / "kitti_small_256x128", both_directions=True)
    assert len(both) == 2 * count
    assert (both.read(count)[0] == source.read(0)[1]).all()
