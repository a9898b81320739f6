import numpy as np
import pytest
import tensorflow as tf

from dsin_tf.layers import si_net


def correlate(x, kernel, dilation):
    """The definition, a tap at a time."""
    n, h, w, _ = x.shape
    out = np.zeros((n, h, w, kernel.shape[-1]))
    for i in range(3):
        for j in range(3):
            down, right = (i - 1) * dilation, (j - 1) * dilation
            for r in range(max(0, -down), min(h, h - down)):
                for c in range(max(0, -right), min(w, w - right)):
                    out[:, r, c] += x[:, r + down, c + right] @ kernel[i, j]
    return out


@pytest.mark.parametrize("dilation", [1, 2, 3, 4, 8, 9, 11, 12, 128])
@pytest.mark.parametrize("known", [True, False])
def test_a_dilated_convolution_is_its_definition(dilation, known):
    rng = np.random.default_rng(dilation)
    x, kernel = rng.normal(size=(2, 9, 11, 3)), rng.normal(size=(3, 3, 3, 4))
    signature = tf.TensorSpec((2, 9, 11, 3) if known else (None, None, None, 3), tf.float64)
    function = tf.function(lambda x: si_net.dilated_conv(x, tf.constant(kernel), dilation), [signature])
    assert function.get_concrete_function().output_shapes.as_list()[-1] == 4
    np.testing.assert_allclose(function(x), correlate(x, kernel, dilation), atol=1e-12)


def test_gradients_are_those_of_the_definition():
    """The function is bilinear, so the gradient of sum(g * f(x, k)) is known from f of unit kernels."""
    rng = np.random.default_rng(0)
    x, kernel, g = rng.normal(size=(1, 5, 6, 2)), rng.normal(size=(3, 3, 2, 1)), rng.normal(size=(1, 5, 6, 1))
    for dilation in (2, 5, 16):
        with tf.GradientTape() as tape:
            inputs = [tf.constant(x), tf.constant(kernel)]
            tape.watch(inputs)
            total = tf.reduce_sum(g * si_net.dilated_conv(*inputs, dilation))
        by_x, by_kernel = tape.gradient(total, inputs)
        flipped = kernel[::-1, ::-1].transpose(0, 1, 3, 2)
        np.testing.assert_allclose(by_x, correlate(g, flipped, dilation), atol=1e-12)
        expected = np.zeros_like(kernel)
        for at in np.ndindex(*kernel.shape):
            unit = np.zeros_like(kernel)
            unit[at] = 1
            expected[at] = (g * correlate(x, unit, dilation)).sum()
        np.testing.assert_allclose(by_kernel, expected, atol=1e-12)


def test_it_has_the_size_and_the_layers_of_the_paper():
    net = si_net.SINet()
    net.build((None, None, None, 6))
    assert net.count_params() == 75_843
    shapes = [tuple(variable.shape) for variable in net.trainable_variables if variable.shape.rank == 4]
    assert shapes == [(3, 3, 6, 32), *[(3, 3, 32, 32)] * 8, (1, 1, 32, 3)]


def test_it_begins_as_the_identity_before_the_last_layer():
    """Channels 0 ... 5 carry the input, the leaky ReLUs of nine layers make what is below 0 0.2^9 of it."""
    net = si_net.SINet(filters=8, seed=3)
    x = np.random.default_rng(0).normal(size=(1, 10, 12, 6)).astype(np.float32)
    found = net(x).numpy()
    carried = np.where(x > 0, x, 0.2**9 * x)
    expected = carried @ net.layers[-1].kernel.numpy()[0, 0, :6]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert (net.layers[-1].bias.numpy() == 0).all()


def test_the_last_kernel_is_glorot_uniform_and_follows_the_seed():
    def kernel(seed):
        net = si_net.SINet(seed=seed)
        net.build((None, None, None, 6))
        return net.layers[-1].kernel.numpy()

    np.testing.assert_array_equal(kernel(1), kernel(1))
    assert not np.array_equal(kernel(1), kernel(2))
    bound = np.sqrt(6 / (32 + 3))
    assert 0.8 * bound < np.abs(kernel(1)).max() <= bound


def test_the_network_is_its_definition_with_random_weights():
    rng = np.random.default_rng(5)
    net = si_net.SINet(filters=3)
    net.build((None, None, None, 6))
    for variable in net.weights:
        variable.assign(rng.normal(scale=0.3, size=variable.shape))
    x = rng.normal(size=(2, 6, 7, 6))
    v = x
    for layer, dilation in zip(net.layers, (1, 2, 4, 8, 16, 32, 64, 128, 1)):
        v = correlate(v, layer.kernel.numpy(), dilation) + layer.bias.numpy()
        v = np.maximum(0.2 * v, v)
    expected = v @ net.layers[-1].kernel.numpy()[0, 0] + net.layers[-1].bias.numpy()
    np.testing.assert_allclose(net(x.astype(np.float32)), expected, rtol=1e-4, atol=1e-5)


def test_a_pixel_depends_on_nothing_beyond_the_halo():
    net = si_net.SINet(filters=6)
    x = np.zeros((1, 1, 600, 6), np.float32)
    net(x)
    rng = np.random.default_rng(1)
    for variable in net.weights:
        variable.assign(rng.uniform(0.01, 0.2, size=variable.shape))
    base = net(x).numpy()
    x[0, 0, 300] = 1
    changed = np.flatnonzero(np.abs(net(x).numpy() - base).max(axis=(0, 1, 3)) > 0)
    assert (changed.min(), changed.max()) == (300 - si_net.HALO, 300 + si_net.HALO)
