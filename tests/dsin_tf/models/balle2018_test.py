import numpy as np
import pytest
import tensorflow as tf

from dsin_tf import bitstream, models
from dsin_tf.entropy import hyperprior
from tests.dsin_tf.models import lively


@pytest.mark.parametrize(("filters", "expected"), [(192, 10141251), (16, 73523)])
def test_parameters_are_as_many_as_in_the_published_code(filters, expected):
    model = models.create("balle2018", filters=filters)
    assert sum(np.prod(variable.shape) for variable in model.trainable_variables) == expected


def test_call_is_the_equation_of_the_paper():
    model = lively.make("balle2018")
    x = lively.picture(64, 128)
    out = model(x[None], training=False)
    y = model.analysis(x[None].astype(np.float32) / 255)
    z_hat = np.round(model.hyper_analysis(np.abs(y)))  # of the latents before rounding
    y_hat = np.round(y)
    sigma = model.hyper_synthesis(z_hat)
    np.testing.assert_array_equal(out["z"], z_hat)
    np.testing.assert_array_equal(out["y"], y_hat)
    np.testing.assert_allclose(out["sigma"], sigma, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(out["x_hat"], 255 * model.synthesis(y_hat), rtol=1e-5, atol=1e-3)
    bits = sum(
        -np.log2(likelihood.numpy().astype(float)).sum()
        for likelihood in (hyperprior.likelihood(y_hat, sigma), model.prior.likelihood(z_hat))
    )
    assert float(out["bpp_estimated"][0]) == pytest.approx(bits / (64 * 128), rel=1e-4)


def test_hyper_synthesis_sees_noisy_hyper_latents_in_training():
    model = lively.make("balle2018")
    out = model(lively.picture(64, 64)[None], training=True)
    assert not np.array_equal(out["z"], np.round(out["z"]))
    np.testing.assert_allclose(out["sigma"], model.hyper_synthesis(out["z"]), rtol=1e-4, atol=1e-5)


def test_a_hyper_latent_sees_64_pixels_a_side():
    out = lively.make("balle2018")(lively.picture(65, 64)[None])
    assert out["y"].shape == (1, 8, 4, 8)
    assert out["z"].shape == (1, 2, 1, 8)


def test_hyper_latents_come_first_in_the_file(prepared):
    model, x = prepared["balle2018"], lively.picture(64, 64)
    z = model(x[None])["z"][0].numpy().astype(np.int32)
    _, strings = bitstream.unpack(model.compress(x))
    assert strings[0] == model.prior.compress(z)
    assert len(strings) == 2


def test_stored_integers_choose_the_tables_and_not_the_float_network():
    model, x = lively.make("balle2018"), lively.picture(64, 128)
    model.prepare_for_coding()
    blob = model.compress(x)
    _, before = model.decode_latents(blob)
    for variable in model.hyper_synthesis.trainable_variables:
        variable.assign(tf.zeros_like(variable))
    _, after = model.decode_latents(blob)
    np.testing.assert_array_equal(before["y"], after["y"])


def test_gradients_reach_every_weight():
    model = lively.make("balle2018")
    x = lively.picture(64, 64)[None]
    with tf.GradientTape() as tape:
        loss = model.rate_distortion(x, model(x, training=True))["loss"]
    assert all(np.any(gradient) for gradient in tape.gradient(loss, model.trainable_variables))
