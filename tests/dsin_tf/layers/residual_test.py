import numpy as np
import pytest
import tensorflow as tf

from dsin_tf import layers


@pytest.fixture(scope="module")
def networks():
    """A small encoder and decoder with statistics of batch normalisation that are not those of the start."""
    make = layers.ResidualMaker(layers.Maker(0))
    encoder, decoder = make.encoder(8, 2, 5), make.decoder(8, 2)
    encoder.build((None, None, None, 3))
    decoder.build((None, None, None, 4))
    rng = np.random.default_rng(0)
    for convolution in (*layers.convolutions(encoder), *layers.convolutions(decoder)):
        norm = convolution.norm
        norm.gamma.assign(rng.uniform(0.5, 1.5, norm.gamma.shape))
        norm.beta.assign(rng.normal(scale=0.3, size=norm.beta.shape))
        norm.moving_mean.assign(rng.normal(scale=0.3, size=norm.beta.shape))
        norm.moving_variance.assign(rng.uniform(0.5, 1.5, norm.beta.shape))
    return encoder, decoder


def by_hand(x, convolutions, strides, up):
    """The sheet's table, row by row, in terms of TensorFlow's own operations."""
    waiting = iter(convolutions)

    def conv_bn(x, stride, relu):
        layer = next(waiting)
        norm = layer.norm
        if up and stride == 2:
            shape = [x.shape[0], 2 * x.shape[1], 2 * x.shape[2], layer.kernel.shape[2]]
            y = tf.nn.conv2d_transpose(x, layer.kernel, shape, 2, "SAME").numpy().astype(float)
        else:
            y = tf.nn.conv2d(x, layer.kernel, stride, "SAME").numpy().astype(float)
        y = (y - norm.moving_mean.numpy()) / np.sqrt(norm.moving_variance.numpy() + 1e-5)
        y = y * norm.gamma.numpy() + norm.beta.numpy()
        return np.maximum(y, 0) if relu else y

    def block(x, relu):
        return x + conv_bn(conv_bn(x, 1, relu), 1, False)

    before, after = strides
    for stride in before:
        x = conv_bn(x, stride, True)
    skip = x
    for _ in range(2):
        group = x
        for _ in range(3):
            x = block(x, True)
        x = x + group
    x = block(x, False) + skip
    for i in range(after):
        x = conv_bn(x, 2, i < after - 1)
    assert next(waiting, None) is None
    return x


def test_the_encoder_is_the_table(networks):
    x = np.random.default_rng(1).normal(size=(2, 16, 40, 3)).astype(np.float32)
    y = networks[0](x, training=False)
    assert y.shape == (2, 2, 5, 5)
    expected = by_hand(x, layers.convolutions(networks[0]), ([2, 2], 1), up=False)
    np.testing.assert_allclose(y, expected, rtol=1e-3, atol=1e-3)


def test_the_decoder_is_the_table(networks):
    q = np.random.default_rng(1).normal(size=(2, 2, 5, 4)).astype(np.float32)
    y = networks[1](q, training=False)
    assert y.shape == (2, 16, 40, 3)
    expected = by_hand(q, layers.convolutions(networks[1]), ([2], 2), up=True)
    np.testing.assert_allclose(y, expected, rtol=1e-3, atol=1e-3)


def test_training_normalises_by_the_batch_and_moves_the_averages_by_a_tenth():
    encoder = layers.ResidualMaker(layers.Maker(0)).encoder(8, 1, 5)
    encoder.build((None, None, None, 3))
    first = layers.convolutions(encoder)[0]
    x = np.random.default_rng(2).normal(loc=2, size=(2, 16, 16, 3)).astype(np.float32)
    y = tf.nn.conv2d(x, first.kernel, 2, "SAME").numpy()
    encoder(x, training=False)
    np.testing.assert_array_equal(first.norm.moving_mean, np.zeros(4))
    encoder(x, training=True)
    np.testing.assert_allclose(first.norm.moving_mean, 0.1 * y.mean(axis=(0, 1, 2)), rtol=1e-4)
    variance = y.var(axis=(0, 1, 2), ddof=1)
    np.testing.assert_allclose(first.norm.moving_variance, 0.9 + 0.1 * variance, rtol=1e-4)
    z = first(x, training=True).numpy()
    normal = (y - y.mean(axis=(0, 1, 2))) / np.sqrt(y.var(axis=(0, 1, 2)) + 1e-5)
    np.testing.assert_allclose(z, np.maximum(normal, 0), atol=1e-4)


def test_kernels_are_glorot_uniform_and_follow_from_the_seed():
    def kernels(seed):
        decoder = layers.ResidualMaker(layers.Maker(seed)).decoder(32, 1)
        decoder.build((None, None, None, 4))
        return [convolution.kernel.numpy() for convolution in layers.convolutions(decoder)]

    for kernel, again, other in zip(kernels(1), kernels(1), kernels(2)):
        np.testing.assert_array_equal(kernel, again)
        assert not np.array_equal(kernel, other)
        limit = np.sqrt(6 / (np.prod(kernel.shape[:2]) * (kernel.shape[2] + kernel.shape[3])))
        assert 0.95 * limit < np.abs(kernel).max() <= limit


def test_convolutions_are_listed_in_order(networks):
    names = [convolution.name for convolution in layers.convolutions(networks[0])]
    assert names == ["h1", "h2", *["conv1", "conv2"] * 7, "to_bn"]
    assert [convolution.name for convolution in layers.convolutions(networks[1])][-2:] == ["h12", "h13"]


@pytest.fixture(scope="module")
def plain():
    """Encoder and decoder without batch normalisation, as they begin."""
    make = layers.ResidualMaker(layers.Maker(0), norm=False)
    encoder, decoder = make.encoder(8, 2, 5, tf.nn.relu), make.decoder(8, 2, channels=1, last=False)
    encoder.build((None, None, None, 1))
    decoder.build((None, None, None, 4))
    return encoder, decoder


def test_without_batch_normalisation_convolutions_have_a_bias(plain):
    for network, convs, in_out in zip(plain, (2 + 2 * 7 + 1, 1 + 2 * 6 + 2), ((1, 5), (4, 1))):
        kernels = [convolution.kernel for convolution in layers.convolutions(network)]
        assert len(kernels) == convs
        assert len(network.weights) == len(network.trainable_variables) == 2 * convs
        assert all(convolution.norm is None for convolution in layers.convolutions(network))
        assert (kernels[0].shape[2 if network is plain[0] else 3], network.weights[-1].shape[0]) == in_out


def test_without_batch_normalisation_a_body_begins_as_identity_and_learns(plain):
    encoder, _ = plain
    x = tf.constant(np.random.default_rng(0).normal(size=(1, 6, 7, 8)), tf.float32)
    body = encoder.layers[2]
    np.testing.assert_allclose(body(x), x, atol=1e-6)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(body(x) ** 2)
    zero = [v for v in body.trainable_variables if "conv2/" in v.name and "kernel" in v.name]
    assert len(zero) == 7
    assert all(np.any(gradient) for gradient in tape.gradient(loss, zero))


def test_without_batch_normalisation_skips_over_blocks_are_means():
    make = layers.ResidualMaker(layers.Maker(0), norm=False)
    decoder = make.decoder(4, 2, channels=2, last=False)
    decoder.build((None, None, None, 3))
    rng = np.random.default_rng(1)
    for variable in decoder.weights:
        variable.assign(rng.normal(scale=0.2, size=variable.shape))
    body = decoder.layers[1]
    x = skip = rng.normal(size=(1, 5, 4, 4)).astype(np.float32)
    waiting = iter(zip(body.weights[::2], body.weights[1::2]))
    for _ in range(2):
        group = x
        for _ in range(3):
            (kernel, bias), (kernel2, bias2) = next(waiting), next(waiting)
            inner = np.maximum(tf.nn.conv2d(x, kernel, 1, "SAME").numpy() + bias.numpy(), 0)
            x = x + tf.nn.conv2d(inner, kernel2, 1, "SAME").numpy() + bias2.numpy()
        x = (x + group) / 2
    assert next(waiting, None) is None
    np.testing.assert_allclose(body(skip), (x + skip) / 2, rtol=1e-4, atol=1e-5)
    assert decoder(skip[..., :3]).shape == (1, 40, 32, 2)
