import numpy as np
import pytest
import tensorflow as tf

from dsin_tf import bitstream, models
from dsin_tf.entropy import hyperprior
from tests.dsin_tf.models import lively

CONTEXTS = ("ar", "none")


@pytest.fixture(scope="module")
def stated():
    """{context: a small model prepared for coding, with means that differ from place to place}."""
    made = {context: lively.make("lee2019", context=context) for context in CONTEXTS}
    for model in made.values():
        model.prepare_for_coding()
    return made


@pytest.fixture(params=CONTEXTS)
def model(request, stated):
    return stated[request.param]


@pytest.fixture(scope="module", params=CONTEXTS)
def trained(request):
    """(model prepared for coding, loss before training, loss after it)."""
    model = models.create("lee2019", "tiny", context=request.param, lmbda=3e-3)
    step = lively.training_step(model, 3e-3)
    batches = [tf.constant(np.stack([lively.picture(64, 64, seed) for seed in (2 * k, 2 * k + 1)])) for k in range(60)]
    before = float(model.test_step(batches[0])["loss"])
    for batch in batches:
        step(batch)
    model.reset_metrics()
    model.prepare_for_coding()
    return model, before, float(model.test_step(batches[0])["loss"])


def conv(window, inputs, outputs):
    """Numbers of a convolution with bias."""
    return window**2 * inputs * outputs + outputs


def gdn(channels):
    return channels**2 + channels


def test_parameters_are_as_many_as_in_the_paper_s_layers():
    n, m = 128, 192
    transforms = conv(5, 3, n) + conv(5, m, n) + 4 * conv(5, n, n) + 6 * gdn(n) + conv(5, n, m) + conv(5, n, 3)
    hyper_analysis = conv(3, m, n) + 2 * conv(5, n, n)
    hyper_synthesis = conv(5, n, n) + conv(5, n, m) + conv(3, m, 2 * m)
    prior = n * (3 + 9 + 9 + 3 + 3 * 3 + 1 + 3 * 3)  # widths 1, 3, 3, 3, 1: matrices, biases, factors
    expected = transforms + hyper_analysis + hyper_synthesis + prior
    context = conv(5, m, 2 * m) + conv(1, 4 * m, 640) + conv(1, 640, 512) + conv(1, 512, 2 * m)
    for settings, more in (({"context": "none"}, 0), ({}, context)):
        model = models.create("lee2019", **settings)
        assert sum(np.prod(variable.shape) for variable in model.trainable_variables) == expected + more


def test_the_codec_without_context_has_another_name(stated):
    assert [(model.name, model.variant) for model in stated.values()] == [("lee2019", ""), ("lee2019", "no_context")]
    assert models.create("lee2019", "tiny").settings["context"] == "ar"


def test_call_is_the_equation_of_the_paper(model):
    x = lively.picture(64, 128)
    out = model(x[None], training=False)
    y = model.analysis(x[None].astype(np.float32) / 255).numpy()
    z_hat = np.round(model.hyper_analysis(y))
    parameters = model.hyper_synthesis(z_hat).numpy()
    if hasattr(model, "context"):
        parameters = model.context(out["y"], parameters).numpy()
    logarithms, mean = np.split(parameters, 2, axis=-1)
    np.testing.assert_array_equal(out["z"], z_hat)
    np.testing.assert_allclose(out["sigma"], np.exp(logarithms), rtol=1e-3)
    np.testing.assert_allclose(out["mean"], mean, atol=1e-4)
    rounded = np.round(64 * out["mean"].numpy()) / 64
    np.testing.assert_allclose(out["y"], np.round(y - rounded) + rounded, atol=1e-5)
    np.testing.assert_allclose(out["x_hat"], 255 * model.synthesis(out["y"]), rtol=1e-5, atol=1e-3)
    bits = sum(
        -np.log2(likelihood.numpy().astype(float)).sum()
        for likelihood in (hyperprior.likelihood(out["y"], out["sigma"], out["mean"]), model.prior.likelihood(z_hat))
    )
    assert float(out["bpp_estimated"][0]) == pytest.approx(bits / (64 * 128), rel=1e-4)


def test_training_sees_noisy_latents(model):
    x = lively.picture(64, 128)[None]
    out = model(x, training=True)
    y = model.analysis(x.astype(np.float32) / 255).numpy()
    noise = out["y"].numpy() - y
    assert np.abs(noise).max() <= 0.5 + 1e-5
    assert noise.std() == pytest.approx(12**-0.5, rel=0.1)
    parameters = model.hyper_synthesis(out["z"]).numpy()
    if hasattr(model, "context"):
        parameters = model.context(out["y"], parameters).numpy()
    np.testing.assert_allclose(out["mean"], parameters[..., 12:], atol=1e-4)


def test_gradients_reach_every_weight(model):
    x = lively.picture(64, 64)[None]
    with tf.GradientTape() as tape:
        loss = model.rate_distortion(x, model(x, training=True))["loss"]
    assert all(np.any(gradient) for gradient in tape.gradient(loss, model.trainable_variables))


def test_training_lowers_the_loss(trained):
    _, before, after = trained
    assert after < 0.8 * before


def test_decoded_latents_are_64ths_beside_those_of_the_estimate(model):
    """An integer network may round a mean to the next 64th, which then moves what depends on it, but little."""
    x = lively.picture(100, 200)
    _, decoded = model.decode_latents(model.compress(x))
    out = model(x[None])
    np.testing.assert_array_equal(decoded["z"], out["z"])
    y = decoded["y"].numpy().astype(float)
    np.testing.assert_array_equal(64 * y, np.round(64 * y))
    assert np.mean(y != np.round(y)) > 0.9
    off = np.abs(y - out["y"])
    assert np.mean(off > 2 / 64) < 0.02  # rounded to another whole distance
    assert off.max() <= 1 + 2 / 64
    # Where they come out is within half a step of what was put in, by whichever means.
    latents = model.analyze(x)[0].numpy()
    assert np.abs(y[0] - latents).max() <= 0.5 + 1e-5


def test_a_decoded_image_is_what_the_synthesis_makes_of_decoded_latents(model):
    x = lively.picture(70, 90)
    blob = model.compress(x)
    _, decoded = model.decode_latents(blob)
    expected = 255 * model.synthesis(decoded["y"])[0, :70, :90].numpy()
    np.testing.assert_allclose(model.decompress(blob), np.clip(expected, 0, 255), atol=0.502)
    np.testing.assert_allclose(expected, model(x[None])["x_hat"][0], atol=8)


@pytest.mark.parametrize("size", [(64, 64), (100, 200), (128, 256)])
def test_payload_is_the_estimate(model, size):
    for seed in range(3):
        x = lively.picture(*size, seed)
        estimated = model.estimate(x) * size[0] * size[1] / 8
        payload = sum(bitstream.inspect(model.compress(x)).lengths)
        assert abs(payload - estimated) <= 0.01 * estimated + 16


def test_a_trained_model_keeps_its_promises(trained):
    """Most of its latents cost little."""
    model, *_ = trained
    x = lively.picture(256, 384, 999)
    blob = model.compress(x)
    estimated = model.estimate(x) * 256 * 384 / 8
    assert abs(sum(bitstream.inspect(blob).lengths) - estimated) <= 0.01 * estimated + 16
    _, decoded = model.decode_latents(blob)
    assert np.abs(decoded["y"][0] - model.analyze(x)[0]).max() <= 0.5 + 1e-5


def test_large_images_are_coded_in_tiles_that_do_not_know_each_other(model, monkeypatch):
    x = lively.picture(200, 330)
    whole = model.decode_latents(model.compress(x))[1]
    monkeypatch.setattr("dsin_tf.layers.strips._LARGEST", 2**13)
    monkeypatch.setattr("dsin_tf.layers.strips._STRIP", 2**13)
    monkeypatch.setattr("dsin_tf.entropy.hyperprior._TILE", 2**9)
    blob = model.compress(x)
    _, pieces = model.decode_latents(blob)
    assert np.abs(pieces["y"][0] - model.analyze(x)[0]).max() <= 0.5 + 1e-5
    # A tile is one row of hyper latents, 4 of latents. Those of the first one know all that they would in the whole.
    off = np.abs(pieces["y"] - whole["y"])[0]
    assert off[:4].mean() < 1e-3  # what floats round to the other side
    assert (off[4:].mean() > 0.01) == hasattr(model, "context")
    assert np.mean(off > 0.5) < 0.2
    estimated = model.estimate(x) * 200 * 330 / 8
    assert sum(bitstream.inspect(blob).lengths) < 1.1 * estimated
    assert model.decompress(blob).shape == x.shape


def test_stored_integers_decide_and_not_the_float_networks(stated):
    for context in CONTEXTS:
        model, x = lively.make("lee2019", context=context), lively.picture(64, 128)
        model.prepare_for_coding()
        blob = model.compress(x)
        _, before = model.decode_latents(blob)
        networks = [model.hyper_synthesis, *([model.context] if context == "ar" else [])]
        for network in networks:
            for variable in network.trainable_variables:
                variable.assign(tf.zeros_like(variable))
        _, after = model.decode_latents(blob)
        np.testing.assert_array_equal(before["y"], after["y"])


def test_mixed_precision_codes_as_exactly():
    try:
        tf.keras.mixed_precision.set_global_policy("mixed_float16")
        for context in CONTEXTS:
            model = lively.make("lee2019", context=context)
            model.prepare_for_coding()
            x = lively.picture(64, 128)
            out = model(x[None], training=True)
            assert model.analysis.layers[0].compute_dtype == "float16"
            assert out["y"].dtype == out["mean"].dtype == out["bpp_estimated"].dtype == tf.float32
            _, decoded = model.decode_latents(model.compress(x))
            latents = tf.cast(model.analyze(x), tf.float32)
            assert np.abs(decoded["y"] - latents).max() <= 0.5 + 1e-5
    finally:
        tf.keras.mixed_precision.set_global_policy("float32")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"context": "checkerboard"}, "no context 'checkerboard'; there are: ar, none"),
        ({"latents": 0}, "latents is 0"),
        ({"filters": 0}, "filters is 0"),
        ({"distortion": "psnr"}, "'psnr'; there are: mse, ms-ssim"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        models.create("lee2019", "tiny", **settings)


def test_weights_of_the_codec_without_context_start_the_one_with_it():
    without, model = models.create("lee2019", "tiny", context="none", seed=5), models.create("lee2019", "tiny")
    context = [variable.numpy() for variable in model.context.trainable_variables]
    model.start_from(without)
    for network in ("analysis", "synthesis", "hyper_analysis", "hyper_synthesis", "prior"):
        for one, other in zip(getattr(model, network).weights, getattr(without, network).weights):
            np.testing.assert_array_equal(one, other)
    for one, other in zip(model.context.trainable_variables, context):
        np.testing.assert_array_equal(one, other)
