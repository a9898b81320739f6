import numpy as np
import pytest
import tensorflow as tf

from dsin_tf import models
from tests.dsin_tf.models import lively


@pytest.mark.parametrize(("filters", "expected"), [(192, 3937155), (16, 35235)])
def test_parameters_are_as_many_as_in_the_published_code(filters, expected):
    model = models.create("balle2017", filters=filters)
    assert sum(np.prod(variable.shape) for variable in model.trainable_variables) == expected


def test_call_is_the_equation_of_the_paper():
    model = lively.make("balle2017")
    x = lively.picture(32, 48)
    out = model(x[None], training=False)
    y = np.round(model.analysis(x[None].astype(np.float32) / 255))
    np.testing.assert_array_equal(out["y"], y)
    np.testing.assert_allclose(out["x_hat"], 255 * model.synthesis(y), rtol=1e-5, atol=1e-3)
    bits = -np.log2(model.prior.likelihood(y).numpy().astype(float)).sum()
    assert float(out["bpp_estimated"][0]) == pytest.approx(bits / (32 * 48), rel=1e-5)


def test_training_rate_is_that_of_the_noisy_latents():
    model = lively.make("balle2017")
    out = model(lively.picture(32, 32)[None], training=True)
    assert float(out["bpp_estimated"][0]) == pytest.approx(float(model.prior.bits(out["y"])[0]) / 1024, rel=1e-6)


def test_a_latent_sees_16_pixels_a_side():
    model = lively.make("balle2017")
    assert model(lively.picture(33, 16)[None])["y"].shape == (1, 3, 1, 8)


def test_one_string_and_at_most_20_bytes_besides(prepared):
    model, x = prepared["balle2017"], lively.picture(320, 1224)
    blob = model.compress(x)
    _, latents = model.decode_latents(blob)
    string = model.prior.compress(latents["y"][0].numpy().astype(np.int32))
    assert len(blob) - len(string) <= 20


def test_gradients_reach_every_weight():
    model = lively.make("balle2017")
    x = lively.picture(32, 32)[None]
    with tf.GradientTape() as tape:
        loss = model.rate_distortion(x, model(x, training=True))["loss"]
    assert all(np.any(gradient) for gradient in tape.gradient(loss, model.trainable_variables))
