"""What the codecs of bits share is tested in binary_codec_test.py."""

import numpy as np
import pytest
import tensorflow as tf

from dsin_tf import layers, models
from tests.dsin_tf.models import lively


@pytest.fixture(scope="module")
def model():
    model = lively.make("content_weighted", steps_without_map=0)
    model.prepare_for_coding()
    return model


def conv(support, inputs, outputs):
    """Numbers of a convolution with bias."""
    return support**2 * inputs * outputs + outputs


def block(inner, channels):
    return conv(3, channels, inner) + conv(3, inner, channels)


def test_parameters_are_those_of_the_released_layers():
    model = models.create("content_weighted")
    f, n = 128, 64
    encoder = conv(8, 3, f) + block(f, f) + conv(4, f, 256) + block(f, 256) + conv(3, 256, 256) + block(f, 256)
    decoder = conv(3, n, 512) + block(f, 512) + conv(3, 512, 512) + block(f, 512)
    decoder += conv(3, 512 // 4, 256) + block(f, 256) + conv(3, 256 // 16, 32) + conv(3, 32, 3)
    code, of_map = conv(1, 256, n), conv(3, 256, f) + conv(1, f, 1)
    networks = (model.analysis, model.synthesis, model.to_code, model.to_map)
    counts = [sum(np.prod(variable.shape) for variable in network.weights) for network in networks]
    assert counts == [encoder, decoder, code, of_map]
    assert sum(np.prod(variable.shape) for variable in model.trainable_variables) == sum(counts)


def test_more_than_half_a_bit_takes_128_channels_and_32_levels():
    model = models.create("content_weighted", "tiny", channels=128, levels=32)
    assert model.codes == {"code": 128}
    out = model(lively.picture(16, 24)[None])
    assert out["code"].shape == (1, 2, 3, 128)
    assert out["map"].shape == (1, 2, 3, 1)


def by_hand(x, network):
    """Convolutions with ReLUs, blocks and rearrangements, layer by layer, with TensorFlow's own operations."""
    for layer in network.layers:
        if layer.name.startswith("block"):
            first, second = layer.inner
            inner = np.maximum(convolve(x, first), 0)
            x = np.maximum(x + np.maximum(convolve(inner, second), 0), 0)
        elif layer.name.startswith("depth_to_space"):
            x = tf.nn.depth_to_space(x, int(layer.name[-1])).numpy()
        else:
            x = convolve(x, layer)
            x = x if layer is network.layers[-1] else np.maximum(x, 0)
    return x


def convolve(x, layer):
    kernel, bias = layer.weights
    stride = {"conv1": {8: 4}, "conv2": {4: 2}}.get(layer.name, {}).get(kernel.shape[0], 1)
    return tf.nn.conv2d(x, kernel, stride, "SAME").numpy() + bias.numpy()


def test_call_is_the_data_flow_of_the_paper(model):
    x = lively.picture(32, 48)
    out = model(x[None])
    features = by_hand(np.float32(x[None] / 127.5 - 1), model.analysis)
    np.testing.assert_allclose(out["p"], 1 / (1 + np.exp(-by_hand(features, model.to_map))), atol=1e-4)
    assert out["code"].shape == (1, 4, 6, 8)
    assert [layer.name for layer in model.analysis.layers] == ["conv1", "block1", "conv2", "block2", "conv3", "block3"]
    expected = by_hand(out["code"].numpy(), model.synthesis)
    np.testing.assert_allclose(out["x_hat"], 127.5 * (expected + 1), atol=0.02)


def test_the_last_group_of_channels_is_never_sent(model):
    model.to_map.weights[-1].assign_add([30.0])
    out = model(lively.picture(32, 48)[None])
    model.to_map.weights[-1].assign_sub([30.0])
    np.testing.assert_array_equal(out["masks"]["code"][0, 0, 0], [1] * 6 + [0] * 2)
    assert np.all(out["map"] == 3)


@pytest.mark.parametrize(("target", "pays"), [(0.2, True), (0.6, False)])
def test_the_loss_is_half_the_squares_of_a_place_and_a_hinge(target, pays):
    model = models.create("content_weighted", "tiny", target_share=target, gamma=3.0)
    x = np.stack([lively.picture(16, 24, seed) for seed in range(2)])
    x_hat = (x + np.random.default_rng(0).normal(scale=20, size=x.shape)).astype(np.float32)
    out = {"x_hat": tf.constant(x_hat), "bpp_estimated": tf.constant([0.3, 0.4]), "p_mean": tf.constant([0.1, 0.6])}
    squares = ((x / 127.5 - x_hat / 127.5) ** 2).reshape(2, 2, 8, 3, 8, 3).sum(axis=(2, 4, 5))
    hinge = 3 * max(0.35 - target, 0)
    assert (hinge > 0) == pays
    terms = model.rate_distortion(x, out)
    np.testing.assert_allclose(terms["loss"], squares.mean(axis=(1, 2)) / 2 + hinge, rtol=1e-4)
    np.testing.assert_array_equal(terms["bpp"], out["bpp_estimated"])
    shown = np.clip(np.rint(x_hat), 0, 255)
    np.testing.assert_allclose(terms["psnr"], 10 * np.log10(255**2 / ((x - shown) ** 2).mean((1, 2, 3))), rtol=1e-5)


@pytest.mark.parametrize(("target", "pays"), [(0.05, True), (0.95, False)])
def test_below_the_target_the_rate_has_no_gradient(target, pays):
    model, x = lively.make("content_weighted", target_share=target, steps_without_map=0), lively.picture(32, 32)[None]
    with tf.GradientTape() as tape:
        rate = model.rate_distortion(x, model(x, training=True))["rate"]
    gradients = tape.gradient(rate, model.to_map.trainable_variables, unconnected_gradients="zero")
    assert np.any(gradients[-1]) == pays


def test_training_sends_what_the_target_says_and_lowers_the_distortion():
    model = models.create("content_weighted", "tiny", target_share=0.3, steps_without_map=20)
    step = lively.training_step(model, 5e-3)
    x = tf.constant(lively.picture(64, 64)[None])
    first, p_first = float(model.test_step(x)["psnr"]), float(model(x)["p_mean"][0])
    for _ in range(100):
        step(x)
    model.reset_metrics()
    assert float(model.test_step(x)["psnr"]) > first + 2
    assert p_first > 0.4
    assert 0.2 < float(model(x)["p_mean"][0]) < 0.35


def test_large_images_see_all_that_whole_ones_do(model, monkeypatch):
    x = lively.picture(300, 120)
    latents, x_hat = model.analyze(x), model.decompress(model.compress(x))
    monkeypatch.setattr("dsin_tf.layers.strips._LARGEST", 2**12)
    monkeypatch.setattr("dsin_tf.layers.strips._STRIP", 2**12)
    pieces = model.analyze(x)
    assert all(np.mean(pieces[name] != values) < 1e-3 for name, values in latents.items())
    codes = tf.constant(latents["code"][None], tf.float32)
    in_parts = layers.in_strips(model.decode, codes, 8, 8)
    np.testing.assert_allclose(in_parts, model.decode(codes), atol=1e-2)
    assert np.mean(np.abs(model.decompress(model.compress(x)) - x_hat.astype(int)) > 1) < 1e-2


def test_the_way_of_coding_is_part_of_the_name():
    assert [models.create("content_weighted", "tiny", context=c).variant for c in ("counts", "learned")] == [
        "",
        "learned_context",
    ]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"target_share": 0.0}, "target_share is 0.0; above 0 and at most 1"),
        ({"target_share": float("nan")}, "target_share is nan"),
        ({"gamma": 0.0}, "gamma is 0.0; a number above 0"),
        ({"filters": 12}, "filters is 12; a multiple of 8"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        models.create("content_weighted", "tiny", **settings)
