"""Cityscapes' layout, order and counts."""

import numpy as np
import pytest
from PIL import Image

from dsin_tf import data

_FRAMES = ("zurich/zurich_000000_000019", "aachen/aachen_000001_000019", "aachen/aachen_000000_000019")


def _make(folder, sides=("leftImg8bit", "rightImg8bit")):
    for side in sides:
        for frame in _FRAMES:
            path = folder / side / "val" / f"{frame}_{side}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((8, 16, 3), len(side), np.uint8)).save(path)


def test_pairs_left_with_right_in_sorted_order(tmp_path):
    _make(tmp_path)
    source = data.load("cityscapes", "val", tmp_path, partial=True)
    assert [name.split("/", 2)[2] for name in source.names] == [f"{f}_leftImg8bit.png" for f in sorted(_FRAMES)]
    assert [image[0, 0, 0] for image in source.read(0)] == [len("leftImg8bit"), len("rightImg8bit")]


def test_counts_against_the_published_500(tmp_path):
    _make(tmp_path)
    with pytest.raises(data.MissingFilesError, match="cityscapes val: 3 of 500 pairs"):
        data.load("cityscapes", "val", tmp_path)


def test_a_side_that_is_missing_is_named(tmp_path):
    _make(tmp_path, sides=("rightImg8bit",))
    _make(tmp_path / "other")
    with pytest.raises(data.MissingFilesError, match="0 of 500.*aachen_000000_000019_leftImg8bit.png"):
        data.load("cityscapes", "val", tmp_path, partial=True)


def test_wrong_folder(tmp_path):
    with pytest.raises(data.DataError, match="no images in .*leftImg8bit.test"):
        data.load("cityscapes", "test", tmp_path)
