"""Cutting into patches and putting together, against slices."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from dsin_tf import patches


def ramp(count, height, width, channels):
    return np.arange(1, count * height * width * channels + 1, dtype=np.float32).reshape(count, height, width, channels)


def test_patches_are_slices_in_raster_order():
    image = ramp(2, 6, 8, 3)
    cut = patches.to_patches(image, 3, 2)
    assert cut.shape == (2, 8, 3, 2, 3)
    for n in range(2):
        for i in range(2):
            for j in range(4):
                np.testing.assert_array_equal(cut[n, 4 * i + j], image[n, 3 * i : 3 * i + 3, 2 * j : 2 * j + 2])


def test_what_is_missing_is_zero_and_split_with_the_odd_line_below_and_right():
    cut = patches.to_patches(ramp(1, 5, 7, 1), 4, 5)[0, ..., 0]  # 3 rows and 3 columns are missing: 1 before, 2 after
    whole = np.zeros((8, 10), np.float32)
    whole[1:6, 1:8] = ramp(1, 5, 7, 1)[0, ..., 0]
    np.testing.assert_array_equal(cut, [whole[:4, :5], whole[:4, 5:], whole[4:, :5], whole[4:, 5:]])


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 9), st.integers(1, 9), st.booleans())
def test_round_trip(height, width, patch_height, patch_width, as_tensor):
    image = ramp(2, height, width, 2)
    cut = patches.to_patches(tf.constant(image) if as_tensor else image, patch_height, patch_width)
    assert tf.is_tensor(cut) == as_tensor
    assert cut.shape[1:] == (-(-height // patch_height) * -(-width // patch_width), patch_height, patch_width, 2)
    back = patches.from_patches(cut, height, width)
    assert tf.is_tensor(back) == as_tensor
    np.testing.assert_array_equal(back, image)


def test_extends_as_tensorflow_does():
    image = ramp(1, 13, 17, 3)
    expected = tf.image.extract_patches(image, [1, 4, 6, 1], [1, 4, 6, 1], [1, 1, 1, 1], "SAME")
    np.testing.assert_array_equal(patches.to_patches(image, 4, 6).reshape(1, 4, 3, -1), expected)


def test_sizes_may_be_unknown_until_the_graph_runs():
    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3])])
    def there_and_back(image):
        return patches.from_patches(patches.to_patches(image, 4, 6), tf.shape(image)[1], tf.shape(image)[2])

    for height, width in ((8, 12), (5, 7)):
        np.testing.assert_array_equal(there_and_back(ramp(2, height, width, 3)), ramp(2, height, width, 3))


def test_mistakes_are_named():
    with pytest.raises(ValueError, match=r"image has shape \(4, 4, 3\), \[N, H, W, C\] was expected"):
        patches.to_patches(np.zeros((4, 4, 3)), 2, 2)
    with pytest.raises(ValueError, match="A patch is 0x2"):
        patches.to_patches(np.zeros((1, 4, 4, 3)), 0, 2)
    with pytest.raises(ValueError, match=r"patches has shape \(1, 4, 2\)"):
        patches.from_patches(np.zeros((1, 4, 2)), 4, 4)
    with pytest.raises(ValueError, match=r"There are 4 patches; an image of 6x4 has 3 x 2 = 6 patches of 2x2"):
        patches.from_patches(np.zeros((1, 4, 2, 2, 3)), 6, 4)
