import numpy as np
import pytest
import tensorflow as tf

from dsin_tf import images, layers


def correlate(x, kernel, stride):
    """C(k, stride) of x [H, W, C] by its definition: (k - 1) / 2 zeros around, every stride-th place."""
    k = kernel.shape[0]
    pad = (k - 1) // 2
    padded = np.pad(x, ((pad, pad), (pad, pad), (0, 0)))
    rows, columns = -(-x.shape[0] // stride), -(-x.shape[1] // stride)
    result = np.zeros((rows, columns, kernel.shape[3]))
    for i in range(rows):
        for j in range(columns):
            window = padded[i * stride : i * stride + k, j * stride : j * stride + k]
            result[i, j] = np.einsum("abc,abcd->d", window, kernel)
    return result


def transpose_correlate(x, kernel, stride):
    """T(k, stride): every value of x [H, W, C] lays the kernel down, centred; what falls outside is cut off."""
    k = kernel.shape[0]
    pad = (k - 1) // 2
    height, width = x.shape[0] * stride, x.shape[1] * stride
    canvas = np.zeros((height + 2 * k, width + 2 * k, kernel.shape[3]))
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            top, left = i * stride - pad + k, j * stride - pad + k
            canvas[top : top + k, left : left + k] += np.einsum("c,abcd->abd", x[i, j], kernel)
    return canvas[k : k + height, k : k + width]


def random(*shape):
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
    ("support", "stride", "size"), [(5, 2, (6, 8)), (5, 2, (7, 5)), (9, 4, (8, 9)), (3, 1, (4, 5))]
)
def test_conv_is_a_correlation_with_zeros_on_both_sides(support, stride, size):
    layer = layers.Maker(0).conv(4, support, stride)
    x = random(*size, 3)
    result = layer(x[None])[0].numpy()
    expected = correlate(x, layer.kernel.numpy().astype(float), stride) + layer.bias.numpy()
    np.testing.assert_allclose(result, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("support", "stride", "size"), [(5, 2, (3, 4)), (9, 4, (2, 3)), (3, 1, (4, 5)), (5, 2, (1, 1))]
)
def test_up_conv_is_the_transpose_and_multiplies_sides(support, stride, size):
    layer = layers.Maker(0).up_conv(4, support, stride)
    x = random(*size, 3)
    result = layer(x[None])[0].numpy()
    expected = transpose_correlate(x, layer.kernel.numpy().astype(float), stride) + layer.bias.numpy()
    assert result.shape == (size[0] * stride, size[1] * stride, 4)
    np.testing.assert_allclose(result, expected, atol=1e-5)


@pytest.mark.parametrize("inverse", [False, True])
def test_gdn_is_the_square_root_of_a_sum_of_squares(inverse):
    layer = layers.Maker(0).gdn(inverse=inverse)
    x = 3 * random(2, 3, 3, 4)
    layer.build((None, None, None, 4))
    beta, gamma = np.float32([0.5, 1, 2, 1e-3]), np.abs(random(4, 4))
    stored = {"reparam_beta": np.sqrt(beta + 2.0**-36), "reparam_gamma": np.sqrt(gamma + 2.0**-36)}
    for variable in layer.weights:
        variable.assign(stored[variable.name.split("/")[-1].split(":")[0]])
    pool = np.sqrt(beta + np.einsum("nhwj,ji->nhwi", x.astype(float) ** 2, gamma))
    np.testing.assert_allclose(layer(x).numpy(), x * pool if inverse else x / pool, rtol=2e-5)


def test_gdn_begins_with_a_tenth_of_the_identity():
    layer = layers.Maker(0).gdn()
    layer.build((None, None, None, 3))
    np.testing.assert_allclose(layer.gamma.numpy(), 0.1 * np.eye(3), atol=1e-7)
    np.testing.assert_allclose(layer.beta.numpy(), np.ones(3), rtol=1e-6)


@pytest.mark.parametrize(("make", "fan"), [("conv", 25 * 6), ("up_conv", 25 * 40)])
def test_initial_weights_have_pytorchs_range(make, fan):
    layer = getattr(layers.Maker(3), make)(40, 5, 2)
    layer.build((None, None, None, 6))
    bound = fan**-0.5
    for values in (layer.kernel.numpy(), layer.bias.numpy()):
        assert 0.8 * bound < np.abs(values).max() <= bound
    assert abs(layer.kernel.numpy().std() - bound / np.sqrt(3)) < 0.05 * bound


def test_initial_weights_depend_on_the_seed_and_the_place_alone():
    def kernels(seed):
        tf.random.uniform([3])  # other draws of the process must not matter
        make = layers.Maker(seed)
        network = tf.keras.Sequential([make.conv(3, 3), make.conv(3, 3)])
        network.build((None, None, None, 3))
        return [layer.kernel.numpy() for layer in network.layers]

    first, again, other = kernels(5), kernels(5), kernels(6)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first[0], first[1])
    assert not np.array_equal(first[0], other[0])


def test_stacks_have_the_strides_of_the_paper():
    make, n = layers.Maker(0), 4
    x = random(1, 64, 128, 3)
    y = layers.analysis(make, n)(x)
    z = layers.hyper_analysis(make, n)(tf.abs(y))
    assert y.shape == (1, 4, 8, n)
    assert z.shape == (1, 1, 2, n)
    assert layers.hyper_synthesis(make, n)(z).shape == y.shape
    assert layers.synthesis(make, n)(tf.concat([y, y], axis=-1)).shape == x.shape


def test_hyper_analysis_has_a_relu_after_its_second_layer_alone():
    network = layers.hyper_analysis(layers.Maker(0), 2)
    network.build((None, None, None, 2))
    assert [layer.activation is tf.nn.relu for layer in network.layers] == [False, True, False]
    assert [layer.use_bias for layer in network.layers] == [True, True, False]


@pytest.mark.parametrize("shape", [(16, 32), (1, 1), (15, 17), (33, 16)])
@pytest.mark.parametrize("known", [True, False])
def test_padding_repeats_the_edge(shape, known):
    x = np.random.default_rng(0).integers(0, 255, (*shape, 3)).astype(np.float32)
    signature = [tf.TensorSpec([1, *shape, 3] if known else [None, None, None, 3], tf.float32)]
    pad = tf.function(lambda t: layers.pad_to_multiple(t, 16), input_signature=signature)
    np.testing.assert_array_equal(pad(x[None])[0], images.pad_to_multiple(x, 16))
