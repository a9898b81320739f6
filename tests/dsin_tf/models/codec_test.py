"""What all models promise, tested on each of them."""

import numpy as np
import pytest
import tensorflow as tf

from dsin_tf import bitstream, images, models
from dsin_tf.models import codec
from tests.dsin_tf.models import lively

SIZES = [(1, 1), (1, 130), (15, 17), (64, 64), (100, 37)]


def train(model, steps, first=0):
    """Some steps of training; the batches follow from the step's number."""
    if model.optimizer is None:
        model.compile(optimizer=tf.keras.optimizers.Adam(1e-3, amsgrad=True))
    for step in range(first, first + steps):
        batch = np.stack([lively.picture(64, 64, 2 * step), lively.picture(64, 64, 2 * step + 1)])
        model.train_step((batch, batch[::-1].copy()) if model.uses_side else batch)
    return [variable.numpy() for variable in model.trainable_variables]


@pytest.mark.parametrize("size", SIZES)
def test_a_decoded_image_is_what_the_model_computes(model, size):
    x = lively.picture(*size)
    blob = model.compress(x)
    x_hat = model.decompress(blob)
    assert x_hat.dtype == np.uint8
    assert x_hat.shape == x.shape
    expected = model(x[None], training=False)["x_hat"][0].numpy()
    # The same float network on the same latents, but perhaps in another order of summation.
    np.testing.assert_allclose(x_hat, np.clip(expected, 0, 255), atol=0.502)


def test_an_unrounded_image_is_what_the_rounded_one_was_made_of(model):
    if not model.decodes_unrounded:
        pytest.skip(f"{model.name} decodes 8-bit images alone")
    x = lively.picture(40, 70)
    blob = model.compress(x)
    unrounded = model.decompress(blob, rounded=False)
    assert unrounded.dtype == np.float32
    np.testing.assert_allclose(unrounded, model(x[None], training=False)["x_hat"][0], atol=2e-3)
    np.testing.assert_array_equal(np.clip(np.rint(unrounded), 0, 255), model.decompress(blob))


def test_latents_are_decoded_bit_by_bit(model):
    x = lively.picture(80, 130)
    header, latents = model.decode_latents(model.compress(x))
    out = model(x[None], training=False)
    assert (header.height, header.width) == (80, 130)
    for name, values in latents.items():
        np.testing.assert_array_equal(values, out[name])
        assert np.abs(values).max() > 2 or set(np.unique(values)) == {0, 1}


@pytest.mark.parametrize("size", [(64, 64), (100, 200), (128, 256), (33, 65)])
def test_payload_is_the_estimate(model, size):
    for seed in range(4):
        x = lively.picture(*size, seed)
        estimated = float(model(x[None], training=False)["bpp_estimated"][0]) * x.shape[0] * x.shape[1] / 8
        payload = sum(bitstream.inspect(model.compress(x)).lengths)
        assert abs(payload - estimated) <= 0.01 * estimated + 16


def test_estimated_rate_counts_only_the_pixels_of_the_image(model):
    x = lively.picture(50, 70)
    padded = images.pad_to_multiple(x, model.stride)
    rate, padded_rate = (float(model(image[None])["bpp_estimated"][0]) for image in (x, padded))
    assert rate * x[..., 0].size == pytest.approx(padded_rate * padded[..., 0].size, rel=1e-5)


def test_images_of_a_batch_do_not_touch_each_other(model):
    batch = np.stack([lively.picture(64, 64, seed) for seed in range(3)])
    together = model(batch, training=False)
    for i, image in enumerate(batch):
        alone = model(image[None], training=False)
        np.testing.assert_allclose(together["x_hat"][i], alone["x_hat"][0], atol=1e-2)
        np.testing.assert_allclose(together["bpp_estimated"][i], alone["bpp_estimated"][0], rtol=1e-4)


def test_call_takes_any_size_in_one_graph(model):
    call = tf.function(model, input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8)])
    for size in SIZES:
        assert call(lively.picture(*size)[None])["x_hat"].shape == (1, *size, 3)


@pytest.mark.parametrize("name", ["balle2017", "balle2018"])
def test_evaluation_rounds_and_training_adds_noise(prepared, name):
    model = prepared[name]
    x = lively.picture(64, 64)[None]
    rounded, noisy = model(x, training=False)["y"].numpy(), model(x, training=True)["y"].numpy()
    np.testing.assert_array_equal(rounded, np.round(rounded))
    exact = model.analysis(model.normalize(x)).numpy()
    noise = noisy - exact
    assert np.abs(noise).max() <= 0.5
    assert noise.std() == pytest.approx(12**-0.5, rel=0.1)


def test_noise_follows_from_seed_step_and_stream_alone():
    def draw(seed, step, stream=0, shape=(2, 3, 4, 5)):
        model = models.create("balle2017", "tiny", seed=seed)
        model.step.assign(step)
        tf.random.uniform([2])  # other draws of the process must not matter
        return model.noise(tf.zeros(shape), stream).numpy()

    noise = draw(1, 7)
    np.testing.assert_array_equal(noise, draw(1, 7))
    for other in (draw(2, 7), draw(1, 8), draw(1, 7, stream=1)):
        assert not np.any(noise == other)
    assert not np.any(noise[0] == noise[1])


@pytest.mark.parametrize("name", models.names())
def test_training_with_the_same_seed_gives_the_same_weights(name):
    # A search for patches has no weights and takes long.
    settings = {"dsin": {"side": "raw_y"}, "dsc_msf": {"side": False}}.get(name, {})
    first, again = (train(models.create(name, "tiny", seed=3, **settings), 2) for _ in range(2))
    for one, other in zip(first, again):
        np.testing.assert_array_equal(one, other)


def test_a_training_step_counts_and_changes_every_weight():
    model = lively.make("balle2018")
    before = [variable.numpy() for variable in model.trainable_variables]
    after = train(model, 1)
    assert int(model.step) == 1
    assert all(not np.array_equal(one, other) for one, other in zip(before, after))


def test_training_lowers_the_loss():
    model = models.create("balle2017", "tiny", lmbda=0.01)
    step = lively.training_step(model, 3e-3)
    x = np.stack([lively.picture(64, 64)] * 2)
    before = float(model.test_step(x)["loss"])
    for _ in range(30):
        step(tf.constant(x))
    model.reset_metrics()
    assert float(model.test_step(x)["loss"]) < 0.8 * before


def test_pairs_are_taken_and_their_second_image_ignored():
    model = lively.make("balle2017")
    x, y = lively.picture(64, 64)[None], lively.picture(64, 64, 5)[None]
    alone = float(model.test_step(x)["loss"])
    model.reset_metrics()
    assert float(model.test_step((x, y))["loss"]) == alone


def test_metrics_are_means_over_images_that_reset(model):
    batch = np.stack([lively.picture(64, 64, seed) for seed in range(2)])
    model.reset_metrics()
    terms = model.rate_distortion(batch, model(batch))
    for image in batch:
        result = model.test_step(image[None])
    assert set(result) >= {"loss", "bpp", "psnr"}
    for name, value in result.items():
        assert float(value) == pytest.approx(float(np.mean(terms[name])), rel=1e-4)
    model.reset_metrics()
    assert float(model.metrics[0].result()) == 0


def test_loss_is_bits_plus_weighted_mean_square_error():
    model = models.create("balle2017", "tiny", lmbda=0.002)
    x = lively.picture(16, 24)[None]
    x_hat = x + np.random.default_rng(0).normal(scale=20, size=x.shape).astype(np.float32)
    terms = model.rate_distortion(x, {"x_hat": tf.constant(x_hat), "bpp_estimated": tf.constant([0.7])})
    mse = np.mean((x.astype(float) / 255 - x_hat.astype(float) / 255) ** 2)
    assert float(terms["loss"][0]) == pytest.approx(0.7 + 0.002 * 255**2 * mse, rel=1e-5)
    assert float(terms["mse"][0]) == pytest.approx(255**2 * mse, rel=1e-5)
    shown = np.clip(np.rint(x_hat), 0, 255).astype(np.uint8)
    psnr = 10 * np.log10(255**2 / np.mean((x.astype(float) - shown) ** 2))
    assert float(terms["psnr"][0]) == pytest.approx(psnr, rel=1e-5)


def test_ms_ssim_loss_has_the_same_scale_and_a_window_of_seven():
    model = models.create("balle2017", "tiny", lmbda=3e-5, distortion="ms-ssim")
    x = lively.picture(128, 128)[None].astype(np.float32)
    x_hat = x + np.random.default_rng(0).normal(scale=20, size=x.shape).astype(np.float32)
    terms = model.rate_distortion(x, {"x_hat": tf.constant(x_hat), "bpp_estimated": tf.constant([0.1])})
    similarity = float(tf.image.ssim_multiscale(x, x_hat, 255, filter_size=7)[0])
    assert float(terms["loss"][0]) == pytest.approx(0.1 + 3e-5 * 255**2 * (1 - similarity), rel=1e-4)
    assert float(terms["ms_ssim_db"][0]) == pytest.approx(-10 * np.log10(1 - similarity), rel=1e-3)
    assert {metric.name for metric in model.metrics} == {"loss", "bpp", "psnr", "ms_ssim_db"}


def test_a_perfect_image_has_a_finite_psnr():
    model = models.create("balle2017", "tiny")
    x = lively.picture(16, 16)[None]
    out = {"x_hat": tf.cast(x, tf.float32), "bpp_estimated": tf.constant([0.0])}
    assert float(model.rate_distortion(x, out)["psnr"][0]) == pytest.approx(100, abs=0.01)


def test_large_images_are_coded_piece_by_piece(model, monkeypatch):
    x = lively.picture(200, 330)
    whole = model.decompress(model.compress(x)).astype(int)
    monkeypatch.setattr("dsin_tf.layers.strips._LARGEST", 2**13)
    monkeypatch.setattr("dsin_tf.layers.strips._STRIP", 2**13)
    monkeypatch.setattr("dsin_tf.entropy.hyperprior._TILE", 2**9)
    _, latents = model.decode_latents(model.compress(x))
    expected = model(x[None], training=False)
    for name, values in latents.items():
        assert np.mean(values.numpy() != expected[name]) < 1e-3  # what float32 rounds to the other side
    pieces = model.decompress(model.compress(x)).astype(int)
    assert np.mean(np.abs(pieces - whole) > 1) < 1e-2


def test_coding_without_tables_is_refused():
    model = models.create("balle2017", "tiny")
    for act in (lambda: model.compress(lively.picture(16, 16)), lambda: model.decompress(b""), lambda: model.identity):
        with pytest.raises(codec.NotPreparedError, match=r"prepare_for_coding\(\)"):
            act()


def test_coding_with_tables_older_than_the_weights_is_refused():
    model = lively.make("balle2017")
    model.prepare_for_coding()
    train(model, 2)
    with pytest.raises(codec.NotPreparedError, match="step 0, the model is at step 2"):
        model.compress(lively.picture(16, 16))
    model.prepare_for_coding()
    assert model.decompress(model.compress(lively.picture(16, 16))).shape == (16, 16, 3)


def test_only_8_bit_rgb_images_are_compressed(model):
    with pytest.raises(images.ImageError, match=r"float32 \[16, 16, 3\]"):
        model.compress(np.zeros((16, 16, 3), np.float32))


def test_broken_weights_do_not_write_files():
    model = lively.make("balle2017")
    model.prepare_for_coding()
    bias = model.analysis.layers[-1].bias_parameter
    bias.assign(np.full(bias.shape, np.nan))
    with pytest.raises(ValueError, match="not finite"):
        model.compress(lively.picture(16, 16))


def test_huge_latents_saturate_at_what_can_be_coded():
    model = lively.make("balle2017")
    model.prepare_for_coding()
    bias = model.analysis.layers[-1].bias_parameter
    bias.assign(np.float32([1e9, -1e9] * 4))
    _, latents = model.decode_latents(model.compress(lively.picture(16, 16)))
    assert set(latents["y"].numpy().ravel()) == {2.0**20 - 1, -(2.0**20) + 1}


def test_identity_covers_what_decoding_depends_on_and_nothing_else():
    def prepared(change=lambda model: None, **settings):
        model = lively.make("balle2018", **settings)
        model.prepare_for_coding()
        change(model)
        return model.identity

    def change_synthesis(model):
        model.synthesis.layers[0].bias_parameter.assign_add(np.full(8, 1e-6))

    def change_table(model):
        counts = model.prior.tables.counts.copy()
        most = counts[: model.prior.tables.lengths[0]].argmax()
        counts[most : most + 2] += [-1, 1]
        model.prior.load_state({**model.prior.state(), "counts": counts})

    def change_integer(model):
        state = {name: array.copy() for name, array in model.coder.exact_scales.state().items()}
        state["0.kernel"].flat[0] += 1
        model.coder.exact_scales.load_state(state)

    def change_encoder(model):
        model.analysis.layers[0].bias_parameter.assign_add(np.full(8, 1e-3))

    plain = prepared()
    assert len(plain) == 4
    assert plain == prepared()
    assert plain == prepared(lmbda=0.5, distortion="ms-ssim")
    assert plain == prepared(change_encoder)
    changed = [prepared(change) for change in (change_synthesis, change_table, change_integer)]
    assert len({plain, *changed}) == 4


def test_a_file_of_other_weights_is_refused_and_named(prepared):
    blob = prepared["balle2017"].compress(lively.picture(20, 20))
    with pytest.raises(bitstream.ModelError) as caught:
        prepared["balle2018"].decompress(blob)
    assert caught.value.wanted == prepared["balle2017"].identity
    assert caught.value.given == prepared["balle2018"].identity


def test_a_file_with_another_number_of_strings_is_refused(model):
    blob = bitstream.pack(model.identity, 16, 16, [b"", b"", b""])
    with pytest.raises(bitstream.LengthError, match="3 strings"):
        model.decompress(blob)


def test_images_over_the_limit_are_refused_before_decoding(model):
    blob = model.compress(lively.picture(64, 130))
    padded = 64 * (130 + -130 % model.stride)
    for limit in (64 * 130 - 1, padded - 1):
        with pytest.raises(bitstream.SizeError, match="64x130"):
            model.decompress(blob, max_pixels=limit)
    assert model.decompress(blob, max_pixels=padded).shape == (64, 130, 3)


def test_mixed_precision_leaves_entropy_models_in_float32():
    try:
        tf.keras.mixed_precision.set_global_policy("mixed_float16")
        model = lively.make("balle2018")
        out = model(lively.picture(64, 64)[None], training=True)
        assert model.analysis.layers[0].compute_dtype == "float16"
        assert all(variable.dtype == tf.float32 for variable in model.trainable_variables)
        assert out["x_hat"].dtype == out["bpp_estimated"].dtype == out["y"].dtype == tf.float32
        train(model, 1)
        model.prepare_for_coding()
        stored = model.coder.exact_scales.state()
    finally:
        tf.keras.mixed_precision.set_global_policy("float32")
    twin = lively.make("balle2018")
    for variable, trained in zip(twin.trainable_variables, model.trainable_variables):
        variable.assign(trained)
    twin.prepare_for_coding()
    # The integers come from the weights themselves, not from their 16-bit copies.
    for name, array in twin.coder.exact_scales.state().items():
        np.testing.assert_array_equal(array, stored[name])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lmbda": 0.0}, "lmbda is 0.0"),
        ({"lmbda": float("nan")}, "lmbda is nan"),
        ({"distortion": "psnr"}, "'psnr'; there are: mse, ms-ssim"),
        ({"filters": 0}, "filters is 0"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        models.create("balle2017", "tiny", **settings)
