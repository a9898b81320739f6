"""The reference transform against its formulas in double precision, for the windows that the search chose."""

import functools

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from dsin_tf import layers
from tests.dsin_tf.layers import moved
from tests.dsin_tf.layers.moved import MEAN, STD

PATCH = (5, 4)


@functools.cache
def transform(**settings):
    """One of each kind: each builds its graph once."""
    return layers.ReferenceTransform(**{"patch_size": PATCH, **settings})


def pictures(height, width, count=1, noise=10.0):
    """x_dec, y_dec and a darker y of less contrast; see `moved.pictures`."""
    return moved.pictures(height, width, count=count, noise=noise, contrast=0.7, brightness=15)


def cuts(height, width, match):
    """For each patch of image 0: where it lies, cut to the image, as slices; and where its window does, likewise."""
    corners = [
        (row, column)
        for row in range(-(-height % PATCH[0] // 2), height, PATCH[0])
        for column in range(-(-width % PATCH[1] // 2), width, PATCH[1])
    ]
    for corner, *window in zip(corners, match.rows[0].numpy(), match.columns[0].numpy()):
        spans = []
        for start, found, patch, side in zip(corner, window, PATCH, (height, width)):
            first, last = max(start, 0), min(start + patch, side)
            spans.append((slice(first, last), slice(found + first - start, found + last - start)))
        yield tuple(here for here, _ in spans), tuple(there for _, there in spans)


def transformed(image):
    red, green, blue = np.moveaxis((image.astype(np.float64) - MEAN) / STD, -1, 0)
    return np.stack([red + green, red - green, (red + blue) / 2], axis=-1)


def by_hand(x_dec, y_dec, y, match, photometric=True):
    """y_syn and score of image 0."""
    x_dec, y_dec, y = (image[0].astype(np.float64) for image in (x_dec, y_dec, y))
    y_syn, score = np.full(x_dec.shape, np.nan), np.full((*x_dec.shape[:2], 1), np.nan)
    for here, there in cuts(*x_dec.shape[:2], match):
        x_part, y_part, window = x_dec[here], y_dec[there], y[there]
        rho = np.corrcoef(transformed(x_part).ravel(), transformed(y_part).ravel())[0, 1]
        if photometric and rho > 0.5:
            a = np.clip(x_part.std(axis=(0, 1)) / y_part.std(axis=(0, 1)), 0.5, 2)
            window = a * window + x_part.mean(axis=(0, 1)) - a * y_part.mean(axis=(0, 1))
        y_syn[here], score[here] = window, rho
    return y_syn, score


@pytest.mark.parametrize("photometric", [True, False])
@pytest.mark.parametrize("size", [(20, 24), (23, 30), (17, 21)])
def test_side_image_and_score_are_the_formulas(size, photometric):
    x_dec, y_dec, y = pictures(*size, noise=25.0)
    y = y[:, ::-1]  # nothing to do with what is searched
    layer = transform(photometric=photometric)
    y_syn, score = layer(x_dec, y_dec, y)
    expected_y_syn, expected_score = by_hand(x_dec, y_dec, y, layer.finder.match(x_dec, y_dec), photometric)
    np.testing.assert_allclose(score[0], expected_score, atol=1e-5)
    np.testing.assert_allclose(y_syn[0], expected_y_syn, atol=2e-2)
    assert (np.abs(score) <= 1).all()
    assert expected_score.min() < 0.5 < expected_score.max()


def test_without_a_mask_the_score_is_that_of_the_search():
    x_dec, y_dec, y = pictures(20, 24, count=2)
    layer = transform(mask=False)
    _, score = layer(x_dec, y_dec, y)
    assert score.shape == (2, 20, 24, 1)
    of_patches = layer.finder.match(x_dec, y_dec).score.numpy().reshape(2, 4, 6)
    np.testing.assert_allclose(score[..., 0], np.repeat(np.repeat(of_patches, 5, axis=1), 4, axis=2), atol=1e-5)


def test_what_was_moved_is_found_and_y_is_moved_likewise():
    rng = np.random.default_rng(0)
    y_dec, y = (rng.uniform(0, 255, (1, 40, 48, 3)).astype(np.float32) for _ in range(2))
    x_dec, expected = (np.roll(image, (3, -7), axis=(1, 2)) for image in (y_dec, y))
    y_syn, score = transform(mask=False, photometric=False)(x_dec, y_dec, y)
    np.testing.assert_array_equal(y_syn[:, 5:, :40], expected[:, 5:, :40])
    np.testing.assert_allclose(score[:, 5:, :40], 1, atol=1e-5)
    y_syn, _ = transform(mask=False)(x_dec, y_dec, y)
    np.testing.assert_allclose(y_syn[:, 5:, :40], expected[:, 5:, :40], atol=1e-2)


def test_gain_and_offset_are_undone_and_not_cut_off():
    y_dec = np.random.default_rng(0).uniform(40, 180, (1, 20, 24, 3)).astype(np.float32)
    gain, offset = np.array([1.3, 1.3, 0.9], np.float32), np.array([10, 10, -20], np.float32)
    y = y_dec + np.float32(90)
    y_syn, _ = transform()(gain * y_dec + offset, y_dec, y)
    np.testing.assert_allclose(y_syn, gain * y + offset, atol=2e-2)
    assert y_syn.numpy().max() > 256


@pytest.mark.parametrize(("gain", "nearest"), [(2.5, 2), (0.2, 0.5)])
def test_gains_end_at_a_half_and_two(gain, nearest):
    _, y_dec, _ = pictures(20, 24)
    x_dec = (MEAN + gain * (y_dec - MEAN)).astype(np.float32)  # the same place: the correlation there is 1
    y_syn, _ = transform()(x_dec, y_dec, y_dec)
    mu_x, mu_y = (image.reshape(4, 5, 6, 4, 3).mean(axis=(1, 3)).repeat(5, 0).repeat(4, 1) for image in (x_dec, y_dec))
    np.testing.assert_allclose(y_syn[0], mu_x + nearest * (y_dec[0] - mu_y), atol=2e-2)


def test_a_flat_colour_is_moved_and_not_stretched():
    _, y_dec, y = pictures(20, 24)
    x_dec = y_dec.copy()
    x_dec[..., 2], y_dec[..., 2] = 50, 80
    y_syn, _ = transform()(x_dec, y_dec, y)
    np.testing.assert_allclose(y_syn[..., 2], y[..., 2] - 30, atol=2e-2)


def test_flat_patches_have_score_0_and_take_their_own_place():
    x_dec, y_dec, y = pictures(20, 24)
    x_dec[:, 5:10, 8:12] = MEAN + STD * [0.3, 0, 0.3]  # all values equal after the transform of colours
    y_syn, score = transform()(x_dec, y_dec, y)
    assert (score[0, 5:10, 8:12] == 0).numpy().all()
    np.testing.assert_array_equal(y_syn[0, 5:10, 8:12], y[0, 5:10, 8:12])
    assert np.isfinite(y_syn).all()
    assert np.isfinite(score).all()


def test_a_batch_is_its_images():
    x_dec, y_dec, y = pictures(23, 30, count=2)
    whole = transform()(x_dec, y_dec, y)
    for n in range(2):
        alone = transform()(x_dec[n : n + 1], y_dec[n : n + 1], y[n : n + 1])
        for of_all, of_one in zip(whole, alone):
            np.testing.assert_allclose(of_all[n], of_one[0], atol=1e-4)


@pytest.mark.parametrize("size", [(31, 40), (14, 50)])
def test_references_of_another_size_are_resized(size):
    x_dec, *_ = pictures(20, 24)
    _, y_dec, y = pictures(*size)
    found = transform()(x_dec, y_dec, y)

    def resized(image):
        """Pillow's bilinear filter is wider where an image shrinks, as TensorFlow's with antialias."""
        channels = [PIL.Image.fromarray(image[0, :, :, c]).resize((24, 20), PIL.Image.BILINEAR) for c in range(3)]
        return np.stack(channels, axis=-1)[None]

    for one, expected in zip(found, transform()(x_dec, resized(y_dec), resized(y))):
        np.testing.assert_allclose(one, expected, atol=2e-2)


def test_sizes_may_be_unknown_until_the_graph_runs():
    graph = tf.function(transform(), input_signature=[tf.TensorSpec([None, None, None, 3])] * 3)
    for size in ((20, 24), (17, 23)):
        for one, expected in zip(graph(*pictures(*size)), transform()(*pictures(*size))):
            np.testing.assert_allclose(one, expected, atol=1e-3)


@pytest.mark.parametrize("size", [(1, 1), (3, 30), (12, 2)])
def test_images_into_which_no_patch_fits(size):
    x_dec, y_dec, y = pictures(*size)
    y_syn, score = transform()(x_dec, y_dec, y)
    assert (y_syn.shape, score.shape) == ((1, *size, 3), (1, *size, 1))
    grown = [
        np.pad(image, ((0, 0), (0, max(5 - size[0], 0)), (0, max(4 - size[1], 0)), (0, 0)), mode="edge")
        for image in (x_dec, y_dec, y)
    ]
    expected, _ = transform()(*grown)
    np.testing.assert_allclose(y_syn, expected[:, : size[0], : size[1]], atol=1e-3)


def test_it_has_no_weights_and_passes_no_gradient():
    images = [tf.constant(image) for image in pictures(20, 24)]
    with tf.GradientTape() as tape:
        tape.watch(images)
        y_syn, score = transform()(*images)
        total = tf.reduce_sum(y_syn) + tf.reduce_sum(score)
    assert tape.gradient(total, images) == [None, None, None]
    assert transform().weights == []


# The geometric step.

TILTED = np.array([[1.05, 0.08, -3.3], [-0.04, 0.97, 2.6], [4e-4, -3e-4, 1.0]])


def warped(image, matrix, height, width):
    """Bilinear, the edges repeated, pixel by pixel."""
    found = np.zeros((height, width, image.shape[2]))
    for row, column in np.ndindex(height, width):
        u, v, w = matrix @ (column, row, 1)
        at = np.clip([v / w, u / w], 0, np.array(image.shape[:2]) - 1)
        low = np.minimum(at.astype(int), np.array(image.shape[:2]) - 2)
        (r, c), (dr, dc) = low, at - low
        found[row, column] = (1 - dr) * ((1 - dc) * image[r, c] + dc * image[r, c + 1])
        found[row, column] += dr * ((1 - dc) * image[r + 1, c] + dc * image[r + 1, c + 1])
    return found


@pytest.mark.parametrize("size", [None, (9, 31)])
def test_warping_is_bilinear_with_edges_repeated(size):
    _, image, _ = pictures(20, 24, count=2)
    found = layers.warp(image, 2.5 * TILTED, size)
    assert found.shape == (2, *(size or (20, 24)), 3)
    for n in range(2):
        np.testing.assert_allclose(found[n], warped(image[n], TILTED, *found.shape[1:3]), atol=1e-2)


def test_warping_by_whole_pixels_is_exact():
    _, image, _ = pictures(20, 24)
    np.testing.assert_array_equal(layers.warp(image, np.eye(3)), image)
    found = layers.warp(image, [[1, 0, 3], [0, 1, -2], [0, 0, 1]])  # pixel (row, column) of it is (row - 2, column + 3)
    np.testing.assert_array_equal(found[:, 2:, :-3], image[:, :-2, 3:])
    np.testing.assert_array_equal(found[:, :2, :-3], np.repeat(image[:, :1, 3:], 2, axis=1))


def mapped_corners(matrix, height, width):
    corners = np.array([(0, 0, 1), (width, 0, 1), (0, height, 1), (width, height, 1)]) @ np.transpose(matrix)
    return corners[:, :2] / corners[:, 2:]


@settings(max_examples=50, deadline=None)
@given(
    st.integers(1, 4000),
    st.integers(1, 4000),
    st.lists(st.floats(-1, 1), min_size=8, max_size=8),
    st.floats(0.01, 100),
)
def test_a_homography_survives_16_bytes(height, width, numbers, scale):
    a, b, c, d, e, f, g, h = numbers
    bend = 0.2 / np.array([width, height])  # the divisor goes from 0.6 to 1.4
    matrix = scale * np.array(
        [[1 + 0.3 * a, 0.2 * b, 200 * c], [0.2 * d, 1 + 0.3 * e, 200 * f], [g * bend[0], h * bend[1], 1]]
    )
    moves = np.abs(mapped_corners(matrix, height, width) - mapped_corners(np.eye(3), height, width))
    integers = layers.quantize_homography(matrix, height, width)
    if integers is None:
        # Further than counts, or so few pixels that rounding folds them.
        assert moves.max() > 4095 or min(height, width) < 3
        return
    assert integers.dtype == np.int16
    assert len(integers.tobytes()) == 16
    again = layers.homography_from_integers(integers, height, width)
    error = mapped_corners(again, height, width) - mapped_corners(matrix, height, width)
    assert np.abs(error).max() < 1 / 16 + 1e-3
    np.testing.assert_array_equal(layers.quantize_homography(again, height, width), integers)


def test_the_integers_are_eighths_of_pixels_that_corners_move():
    integers = layers.quantize_homography([[1, 0, 3], [0, 1, -2.25], [0, 0, 1]], 20, 24)
    np.testing.assert_array_equal(integers, [24, -18] * 4)
    stretched = layers.quantize_homography(np.diag([2, 1, 1]), 20, 24)
    np.testing.assert_array_equal(stretched, [0, 0, 192, 0, 0, 0, 192, 0])


@pytest.mark.parametrize(
    "matrix",
    [
        [[1, 0, 4100], [0, 1, 0], [0, 0, 1]],  # too far
        [[1, 0, 0], [0, 1, 0], [-0.1, 0, 1]],  # the horizon goes through the image
        [[1, 0, 0], [0, 1, 0], [-1 / 24, 0, 1]],  # a corner lies on it
        [[0, 0, 5], [0, 0, 5], [0, 0, 1]],  # all corners in one point
        [[1, 1, 0], [1, 1, 0], [0, 0, 1]],  # all on one line
        np.zeros((3, 3)),
        np.full((3, 3), np.nan),
    ],
)
def test_homographies_of_no_use_have_no_integers(matrix):
    assert layers.quantize_homography(matrix, 20, 24) is None


def test_integers_that_are_no_homography_are_refused():
    with pytest.raises(ValueError, match=r"\[0, 0, -192, .* are no corners of a homography of a 20x24 image"):
        layers.homography_from_integers([0, 0, -192, 0, 0, -160, -192, -160], 20, 24)
