"""The benchmark of the SI-Finder runs, and its authors' formulation is the formula; the times are not judged here."""

import numpy as np
import pytest
import tensorflow as tf

from dsin_tf import data
from eval.bench import si_finder


@pytest.fixture(scope="module")
def pair():
    return data.load("street", "test", size=(40, 96), limit=1).read(0)


@pytest.mark.parametrize("mask", [False, True])
def test_ways_agree(pair, mask):
    found = si_finder.measure([pair], mask)
    assert list(found) == ["authors", "conv", "auto"]
    for row in found.values():
        assert row["seconds"] > 0
        assert (row["patches"], row["short"]) == (8, 0)
    assert found["authors"]["same"] == 8


def test_peak_memory_is_that_of_a_process(pair):
    assert 2**26 < si_finder.peak("auto", pair, mask=True) < 2**32


def test_the_authors_formulation_is_pearson(pair):
    x, y = (si_finder.transformed(image.astype(np.float64)) for image in pair)
    rows, columns = si_finder.authors(*(tf.constant(image[None], tf.float32) for image in pair))
    windows = np.lib.stride_tricks.sliding_window_view(y, si_finder.PATCH, axis=(0, 1))
    windows = windows.transpose(0, 1, 3, 4, 2).reshape(21 * 73, -1)
    for n in range(8):
        i, j = divmod(n, 4)
        part = x[20 * i : 20 * i + 20, 24 * j : 24 * j + 24].ravel()
        scores = np.corrcoef(np.vstack([part, windows]))[0, 1:]
        assert scores[rows[0, n] * 73 + columns[0, n]] == pytest.approx(scores.max(), abs=1e-5)


def test_masks_are_highest_one_pixel_off_the_own_place():
    masks = si_finder.all_masks(40, 96).numpy()
    assert masks.shape == (21, 73, 8)
    assert masks[1, 25, 1] == masks.max() == 1
    np.testing.assert_allclose(masks[0, 24, 1], np.exp(-4 * np.log(2) * (1 / 20**2 + 1 / 48**2)), rtol=1e-6)


def test_distorts_to_the_rate_that_was_asked_for(pair):
    assert si_finder.distorted(pair[0], 0) is pair[0]
    coarse, fine = (si_finder.distorted(pair[0], bpp) for bpp in (0.2, 4.0))
    error = [np.abs(image.astype(int) - pair[0]).mean() for image in (coarse, fine)]
    assert coarse.shape == pair[0].shape
    assert error[0] > 2 * error[1] > 0
