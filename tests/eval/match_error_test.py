"""The error of matches, of windows whose true place is known by hand."""

import numpy as np
import pytest

from dsin_tf import data, layers, patches
from dsin_tf.layers.si_finder import Match
from eval import match_error


def match_of(windows):
    rows, columns = np.array(windows, np.int32).T
    return Match(rows[None], columns[None], np.zeros((1, len(windows)), np.float32))


def test_the_error_is_the_distance_from_the_median_disparity():
    disparity = np.zeros((8, 12), np.float32)
    disparity[:, 4:8] = 2
    disparity[0, 4:8] = 90  # fewer than half of the pixels: not the median
    disparity[:, 8:] = 3.5
    truth = [(0, 0), (0, 2), (0, 4.5), (4, 0), (4, 2), (4, 4.5)]
    moved = [(0, 0), (3, 4), (0, 0.5), (0, 0), (-1, 0), (0, -0.5)]
    match = match_of([(r + i, c + j) for (r, c), (i, j) in zip(truth, moved)])
    errors = match_error.match_errors(match, disparity, np.zeros((8, 12), bool), (4, 4))
    np.testing.assert_allclose(errors, [0, 5, 0.5, 0, 1, 0.5])


def test_what_y_does_not_show_is_not_counted():
    disparity = np.full((4, 12), 1.0, np.float32)
    occlusion = np.zeros((4, 12), bool)
    occlusion[:, :3] = True  # three quarters of the first patch
    occlusion[:, 4:6] = True  # half of the second, whose hidden pixels say something else
    disparity[:, 4:6] = 50
    errors = match_error.match_errors(match_of([(0, 0), (0, 3), (0, 9)]), disparity, occlusion, (4, 4))
    np.testing.assert_allclose(errors, [0, 2])


def test_patches_that_reach_out_of_the_image_are_where_their_inside_is():
    """Sides of 6 and 9 take two and three patches of 4: the first begins at -1, the columns at -1."""
    disparity = np.full((6, 9), 1.0, np.float32)
    assert (patches.padding(6, 4), patches.padding(9, 4)) == ((1, 1), (1, 2))
    starts = [(row, column) for row in (-1, 3) for column in (-1, 3, 7)]
    errors = match_error.match_errors(
        match_of([(row, column - 1) for row, column in starts]), disparity, np.zeros((6, 9), bool), (4, 4)
    )
    # At the corners an image shows a quarter to a half of a patch, what is outside is not visible.
    visible = [9, 12, 6, 9, 12, 6]
    np.testing.assert_allclose(errors, np.zeros(sum(count >= 8 for count in visible)))


@pytest.mark.parametrize("mask", [True, False])
def test_undistorted_streets_are_matched_where_their_disparity_says(mask, tmp_path):
    source = data.load("street", "test", size=(96, 192), limit=1, cache_dir=tmp_path)
    x, y = source.read(0)
    finder = layers.SIFinder((16, 16), mask=mask)
    truth = source.disparity(0), source.occlusion(0)
    errors = match_error.match_errors(finder.match(x[None], y[None]), *truth, (16, 16))
    swapped = match_error.match_errors(finder.match(x[None], y[None]), -truth[0], truth[1], (16, 16))
    assert np.mean(errors <= 2) > 0.6
    assert np.mean(swapped <= 2) < np.mean(errors <= 2) / 2
