import numpy as np
import pytest
import tensorflow as tf

from dsin_tf import layers
from dsin_tf.layers import correction


def pictures(*shape, seed=0, count=2):
    rng = np.random.default_rng(seed)
    return [rng.uniform(size=shape).astype(np.float32) for _ in range(count)]


def difference():
    first, second = inputs = [tf.keras.Input((None, None, 3)) for _ in range(2)]
    return tf.keras.Model(inputs, first - second)


@pytest.mark.parametrize("size", [(4, 8), (5, 7), (1, 1)])
def test_what_the_network_says_is_added(size):
    x, y = pictures(2, *size, 3)
    layer = correction.Correction(difference(), 4, "layer")
    np.testing.assert_allclose(layer.correct(x, y), 2 * x - y, atol=1e-6)


def test_the_network_sees_sides_that_divide_with_the_edges_repeated():
    image = tf.keras.Input((None, None, 3))
    layer = correction.Correction(
        tf.keras.Model([image], tf.reduce_mean(image, axis=(1, 2), keepdims=True)), 4, "layer"
    )
    (x,) = pictures(1, 5, 7, 3, count=1)
    padded = np.pad(x, ((0, 0), (0, 3), (0, 1), (0, 0)), mode="edge")
    np.testing.assert_allclose(layer.correct(x), x + padded.mean(axis=(1, 2), keepdims=True), atol=1e-6)


def test_sizes_may_be_unknown_until_the_graph_runs():
    layer = correction.Correction(difference(), 4, "layer")
    graph = tf.function(layer.correct, input_signature=[tf.TensorSpec([None, None, None, 3])] * 2)
    for size in ((4, 8), (3, 9)):
        x, y = pictures(1, *size, 3)
        np.testing.assert_allclose(graph(x, y), 2 * x - y, atol=1e-6)


def test_kernels_are_glorot_uniform_and_follow_from_the_seed():
    def kernel(seed):
        conv = correction.conv(layers.Maker(seed), 20, 3, name="conv")
        conv.build((None, None, None, 10))
        assert (conv.bias.numpy() == 0).all()
        return conv.kernel.numpy()

    np.testing.assert_array_equal(kernel(1), kernel(1))
    assert not np.array_equal(kernel(1), kernel(2))
    limit = np.sqrt(6 / (9 * (10 + 20)))
    assert 0.95 * limit < np.abs(kernel(1)).max() <= limit


def test_two_layers_of_one_maker_differ():
    make = layers.Maker(0)
    first, second = (correction.conv(make, 4, name="conv") for _ in range(2))
    first.build((None, None, None, 4))
    second.build((None, None, None, 4))
    assert not np.array_equal(first.kernel, second.kernel)


def test_an_image_is_not_rounded_in_mixed_precision():
    tf.keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        image = tf.keras.Input((None, None, 3))
        layer = correction.Correction(tf.keras.Model([image], correction.last_conv()(image)), 2, "layer")
        (x,) = pictures(1, 4, 4, 3, count=1)
        np.testing.assert_array_equal(layer.correct(x), x)
    finally:
        tf.keras.mixed_precision.set_global_policy("float32")
