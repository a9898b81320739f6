import numpy as np
import pytest
import tensorflow as tf

from dsin_tf import layers


def logit(p):
    return np.log(p / (1 - p))


@pytest.mark.parametrize(
    ("h", "expected"),
    [(0.25, [0.25, 0, 0, 0]), (2.75, [1, 1, 0.75, 0]), (3.5, [1, 1, 1, 0.5]), (2.0, [1, 1, 0, 0])],
)
def test_the_mask_is_one_below_h_and_a_fraction_at_it(h, expected):
    b = np.zeros((1, 1, 1, 5), np.float32)
    b[..., 0], b[..., 1:] = logit(h / 4), [3, -2, 5, 7]
    z, mask = layers.ImportanceMap()(b)
    np.testing.assert_allclose(mask[0, 0, 0], expected, atol=1e-6)
    np.testing.assert_allclose(z[0, 0, 0], np.multiply(expected, [3, -2, 5, 7]), atol=1e-5)


def test_each_place_has_its_own_mask_from_the_first_channel():
    b = np.random.default_rng(0).normal(scale=3, size=(2, 3, 4, 9)).astype(np.float32)
    z, mask = layers.ImportanceMap()(b)
    for place in np.ndindex(2, 3, 4):
        h = 8 / (1 + np.exp(-float(b[place][0])))
        by_hand = [max(min(h - c, 1), 0) for c in range(8)]
        np.testing.assert_allclose(mask[place], by_hand, atol=1e-5)
        np.testing.assert_allclose(z[place], by_hand * b[place][1:], atol=1e-4)


def test_the_gradient_passes_through_the_fractional_channel_alone():
    b = tf.Variable([[[[logit(2.75 / 4), 1.0, 1.0, 1.0, 1.0]]]], dtype=tf.float32)
    with tf.GradientTape() as tape:
        _, mask = layers.ImportanceMap()(b)
    by_channel = tape.jacobian(mask, b).numpy().reshape(4, 5)
    p = 2.75 / 4
    expected = np.zeros((4, 5))
    expected[2, 0] = 4 * p * (1 - p)
    np.testing.assert_allclose(by_channel, expected, atol=1e-5)


def test_half_precision_comes_out_as_float32():
    z, mask = layers.ImportanceMap()(tf.zeros([1, 2, 2, 3], tf.float16))
    assert z.dtype == mask.dtype == tf.float32
