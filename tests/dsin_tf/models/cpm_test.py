import io

import numpy as np
import pytest
import tensorflow as tf
from rich.console import Console

from dsin_tf import bitstream, data, layers, models, training
from dsin_tf.models import cpm
from dsin_tf.ms_ssim import ms_ssim
from dsin_tf.training import fitting
from tests.dsin_tf.models import lively
from tests.dsin_tf.training import tiny_model

NATIVE = data.protocols.get("native")


def count(variables):
    return sum(np.prod(variable.shape) for variable in variables)


@pytest.fixture
def model(prepared):
    return prepared["cpm"]


def test_parameters_are_as_many_as_in_the_published_code():
    model = models.create("cpm")
    assert count([*model.analysis.trainable_variables, model.quantizer.centers]) == 5_042_440
    assert count(model.synthesis.trainable_variables) == 4_973_638
    assert count(model.classifier.trainable_variables) == 23_838
    assert count(model.trainable_variables) == 5_042_440 + 4_973_638 + 23_838
    averages = [count(network.non_trainable_variables) for network in (model.analysis, model.synthesis)]
    assert averages == [8_642, 8_582]
    kernels = [*layers.convolutions(model.analysis), *layers.convolutions(model.synthesis)]
    assert len(kernels) == 70
    assert model.quantizer.centers.shape == (6,)


def test_settings_are_those_of_the_constructor():
    model = models.create("cpm", "tiny", target_bpp=0.3, distortion="psnr", regularize=True, seed=5)
    assert (model.name, model.preset, model.stride, model.uses_side) == ("cpm", "tiny", 8, False)
    assert model.settings == {
        "filters": 8,
        "arch_param_b": 1,
        "channels": 8,
        "centers": 6,
        "k": 4,
        "target_bpp": 0.3,
        "distortion": "psnr",
        "regularize": True,
        "seed": 5,
    }


def test_call_is_the_data_flow_of_the_paper(model):
    x = lively.picture(32, 48)
    out = model(x[None], training=False)
    mean, variance = np.array(cpm.MEAN), np.array(cpm.VARIANCE)
    b = model.analysis(np.float32((x[None] - mean) / np.sqrt(variance + 1e-10))).numpy()
    channels, centers = b.shape[-1] - 1, model.quantizer.centers.numpy()
    h = channels / (1 + np.exp(-b[..., :1]))
    mask = np.clip(h - np.arange(channels), 0, 1)
    np.testing.assert_allclose(out["mask"], mask, atol=1e-4)
    np.testing.assert_allclose(out["z"], mask * b[..., 1:], atol=1e-4)
    symbols = np.argmin((out["z"].numpy()[..., None] - centers) ** 2, axis=-1)
    np.testing.assert_array_equal(out["symbols"], symbols)
    np.testing.assert_array_equal(out["q_bar"], centers[symbols])
    x_dec = model.synthesis(centers[symbols]).numpy() * np.sqrt(variance + 1e-10) + mean
    np.testing.assert_allclose(out["x_dec"], np.clip(x_dec, 0, 255), atol=0.01)
    np.testing.assert_array_equal(out["x_hat"], out["x_dec"])
    bits = model.classifier.bits(centers[symbols], symbols.astype(np.int32), centers[0])
    np.testing.assert_allclose(out["bit_cost"], bits, rtol=1e-5)
    assert out["bit_cost"].shape == (1, 4, 6, 8)
    assert float(out["bpp_estimated"][0]) == pytest.approx(float(tf.reduce_sum(bits)) / (32 * 48), rel=1e-5)


def test_what_is_masked_gets_the_center_nearest_to_zero(model):
    out = model(lively.picture(64, 64)[None], training=False)
    masked = out["mask"].numpy() == 0
    assert masked.any()
    assert set(out["symbols"].numpy()[masked]) == {np.argmin(np.abs(model.quantizer.centers.numpy()))}


def test_a_symbol_sees_8_pixels_a_side(model):
    assert model(lively.picture(17, 8)[None])["symbols"].shape == (1, 3, 1, 8)


@pytest.mark.parametrize(("target_bpp", "pays"), [(0.05, True), (3.0, False)])
def test_the_rate_is_a_hinge_at_the_target(target_bpp, pays):
    model = models.create("cpm", "tiny", target_bpp=target_bpp)
    bit_cost = np.random.default_rng(0).uniform(0, 3, (2, 3, 4, 8)).astype(np.float32)
    mask = np.random.default_rng(1).uniform(size=(2, 3, 4, 8)).astype(np.float32)
    soft = 0.5 * ((bit_cost * mask).mean() + bit_cost.mean())
    h_target = target_bpp * 64 / 8
    expected = 500 * max(soft - h_target, 0)
    assert (expected > 0) == pays
    assert float(model.rate({"bit_cost": bit_cost, "mask": mask})) == pytest.approx(expected, rel=1e-5)


def test_the_published_target_is_in_bits_a_symbol():
    """H_target = 2 * target_bpp with 32 channels."""
    model = models.create("cpm", "tiny", channels=32, target_bpp=0.02)
    out = {"bit_cost": tf.fill([1, 2, 2, 32], 0.05), "mask": tf.ones([1, 2, 2, 32])}
    assert float(model.rate(out)) == pytest.approx(500 * (0.05 - 0.04), rel=1e-4)


@pytest.mark.parametrize("distortion", cpm.DISTORTIONS)
def test_the_loss_is_distortion_and_rate(distortion):
    model = models.create("cpm", "tiny", distortion=distortion, target_bpp=1.0)
    x = np.stack([lively.picture(176, 176, seed) for seed in range(2)])
    x_dec = np.clip(x + np.random.default_rng(0).normal(scale=20, size=x.shape), 0, 255).astype(np.float32)
    out = {
        "x_dec": tf.constant(x_dec),
        "x_hat": tf.constant(x_dec),
        "bit_cost": tf.fill([2, 2, 2, 8], 9.0),
        "mask": tf.ones([2, 2, 2, 8]),
        "bpp_estimated": tf.constant([0.1, 0.2]),
    }
    error = x.astype(float) - x_dec
    expected = {
        "mae": np.abs(error).mean(),
        "mse": (error**2).mean(),
        "psnr": 100 - np.mean(10 * np.log10(255**2 / (error**2).mean(axis=(1, 2, 3)))),
        "ms-ssim": 5000 * (1 - np.mean(ms_ssim(x.astype(np.float32), x_dec, 255.0))),
    }[distortion]
    terms = model.rate_distortion(x, out)
    assert float(terms["distortion"]) == pytest.approx(expected, rel=1e-4)
    assert float(terms["loss"]) == pytest.approx(expected + 500 * (9 - 8), rel=1e-4)
    shown = np.clip(np.rint(x_dec), 0, 255)
    psnr = 10 * np.log10(255**2 / ((x - shown) ** 2).mean(axis=(1, 2, 3)))
    np.testing.assert_allclose(terms["psnr"], psnr, rtol=1e-5)


def test_images_too_small_for_the_window_of_ms_ssim_get_a_smaller_one():
    model = models.create("cpm", "tiny", distortion="ms-ssim")
    x = lively.picture(128, 160)[None]
    x_dec = tf.constant(np.clip(x + 9.0, 0, 255), tf.float32)
    similarity = float(ms_ssim(x.astype(np.float32), x_dec, 255.0, window=7)[0])
    assert float(model.distance(x, x_dec)) == pytest.approx(5000 * (1 - similarity), rel=1e-4)


def test_where_only_the_run_tells_the_size_ms_ssim_has_the_window_that_fits_small_images():
    model = models.create("cpm", "tiny", distortion="ms-ssim")
    x = tf.constant(lively.picture(128, 160)[None])
    x_dec = tf.clip_by_value(tf.cast(x, tf.float32) + 9, 0, 255)
    any_size = [tf.TensorSpec([None, None, None, 3], image.dtype) for image in (x, x_dec)]
    in_graph = tf.function(model.distance, input_signature=any_size)
    assert float(in_graph(x, x_dec)) == pytest.approx(float(model.distance(x, x_dec)), rel=1e-2)


def test_regularisation_is_off_as_released_and_on_as_designed():
    plain, designed = (models.create("cpm", "tiny", regularize=on) for on in (False, True))
    kernels = [v.numpy() for v in designed.trainable_variables if v.shape.rank == 4]
    assert len(kernels) == 2 * (2 + 2 * 4 + 1)
    by_hand = 0.005 * sum((kernel.astype(float) ** 2).sum() for kernel in kernels) / 2
    by_hand += 0.1 * (designed.quantizer.centers.numpy().astype(float) ** 2).sum() / 2
    assert float(designed.regularization()) == pytest.approx(by_hand, rel=1e-5)
    assert float(plain.regularization()) == 0
    x = lively.picture(16, 16)[None]
    losses = [float(model.rate_distortion(x, model(x))["loss"]) for model in (plain, designed)]
    assert losses[1] - losses[0] == pytest.approx(by_hand, rel=1e-3)


def test_the_rate_reaches_the_encoder_through_the_mask_alone():
    model = lively.make("cpm")
    x = lively.picture(32, 32)[None]
    with tf.GradientTape() as tape:
        code = model.encode(x, training=True)
        tape.watch(code["mask"])
        rate = model.rate(code)
    last = layers.convolutions(model.analysis)[-1]
    gradients = tape.gradient(
        rate,
        [last.norm.beta, model.quantizer.centers, *model.classifier.trainable_variables],
        unconnected_gradients="zero",
    )
    assert gradients[0][0] != 0  # the importance channel
    np.testing.assert_array_equal(gradients[0][1:], np.zeros(8))
    np.testing.assert_array_equal(gradients[1], np.zeros(6))
    assert all(np.any(gradient) for gradient in gradients[2:])


def test_gradients_reach_every_weight():
    model = lively.make("cpm")
    x = lively.picture(64, 64)[None]
    with tf.GradientTape() as tape:
        loss = model.rate_distortion(x, model(x, training=True))["loss"]
    assert all(np.any(gradient) for gradient in tape.gradient(loss, model.trainable_variables))


def test_below_the_target_the_rate_has_no_gradient():
    model = models.create("cpm", "tiny", target_bpp=3.0)
    x = lively.picture(32, 32)[None]
    with tf.GradientTape() as tape:
        loss = model.rate_distortion(x, model(x, training=True))["loss"]
    assert not any(np.any(gradient) for gradient in tape.gradient(loss, model.classifier.trainable_variables))


def config(**more):
    settings = {"steps": 6, "learning_rate": 1e-3, "schedule": "staircase", "decay_steps": 4, "log_every": 2}
    return training.Config(**{**settings, "checkpoint_every": 2, **more})


def fit(workdir, **more):
    model = models.create("cpm", "tiny")
    source, validation = tiny_model.Noise(), tiny_model.Noise(2, split="val")
    training.fit(model, source, validation, NATIVE, config(**more), workdir, console=Console(file=io.StringIO()))
    return model


def numbers(model):
    """Everything that training goes on from."""
    optimizers = [*model.optimizer.variables, *model.classifier_optimizer.variables]
    return [variable.numpy() for variable in (*model.variables, *optimizers)]


def test_a_run_in_two_parts_equals_one_in_one(tmp_path):
    whole = fit(tmp_path / "whole")
    fit(tmp_path / "parts", steps=3)
    parts = fit(tmp_path / "parts")
    assert int(parts.step) == 6
    for one, other in zip(numbers(parts), numbers(whole)):
        np.testing.assert_array_equal(one, other)
    for optimizer in (whole.optimizer, whole.classifier_optimizer):
        assert int(optimizer.iterations) == 6
        assert float(optimizer.learning_rate) == pytest.approx(1e-4)  # what the schedule says after 4 steps


def test_two_optimisers_share_out_all_variables():
    model = models.create("cpm", "tiny")
    fitting.compile_model(model, config())
    slots = [len(o.variables) for o in (model.optimizer, model.classifier_optimizer)]
    own = len(model.classifier.trainable_variables)
    assert slots[1] - own * 2 <= 3  # besides iterations and learning rate, two slots a variable
    assert slots[0] - (len(model.trainable_variables) - own) * 2 <= 3
    x = np.stack([lively.picture(32, 32, seed) for seed in range(2)])
    before = [variable.numpy() for variable in model.trainable_variables]
    model.train_step(x)
    moved = [np.abs(v.numpy() - b).max() for v, b in zip(model.trainable_variables, before)]
    np.testing.assert_allclose(moved, 1e-3, rtol=0.05)  # Adam's first step is the learning rate


def test_training_lowers_distortion_and_reaches_the_target_from_above():
    model = models.create("cpm", "tiny", target_bpp=0.2)
    step = lively.training_step(model, 5e-3)
    x = tf.constant(np.stack([lively.picture(64, 64, seed) for seed in range(2)]))
    first = {name: float(value) for name, value in step(x).items()}
    for _ in range(120):
        model.reset_metrics()
        last = {name: float(value) for name, value in step(x).items()}
    assert last["psnr"] > first["psnr"] + 3
    assert last["bpp"] < 0.3 < first["bpp"]


def test_training_for_ms_ssim_raises_it_and_shows_it():
    model = models.create("cpm", "tiny", distortion="ms-ssim", target_bpp=0.3)
    step = lively.training_step(model, 5e-3)
    x = tf.constant(lively.picture(112, 112)[None])
    first = {name: float(value) for name, value in step(x).items()}
    for _ in range(25):
        model.reset_metrics()
        last = {name: float(value) for name, value in step(x).items()}
    assert set(last) == {"loss", "bpp", "psnr", "ms_ssim_db"}
    assert last["loss"] < 0.8 * first["loss"]
    assert last["ms_ssim_db"] > first["ms_ssim_db"] + 0.5
    out = model(x)
    shown = float(model.rate_distortion(x, out)["ms_ssim_db"][0])
    similarity = float(ms_ssim(tf.cast(x, tf.float32), out["x_hat"], 255.0, window=7)[0])
    assert shown == pytest.approx(-10 * np.log10(1 - similarity), rel=1e-4)


def test_one_string_and_at_most_20_bytes_besides(model):
    blob = model.compress(lively.picture(320, 1224))
    header = bitstream.inspect(blob)
    assert len(header.lengths) == 1
    assert len(blob) - header.lengths[0] <= 20


def test_identity_covers_what_decoding_depends_on_and_nothing_else():
    def prepared(change=lambda model: None, **settings):
        model = lively.make("cpm", **settings)
        model.prepare_for_coding()
        change(model)
        return model.identity

    def change_kernel(model):
        kernel = layers.convolutions(model.synthesis)[0].kernel
        kernel.assign(kernel + 1e-6)

    def change_average(model):
        average = layers.convolutions(model.synthesis)[2].norm.moving_mean
        average.assign(average + 1e-6)

    def change_centers(model):
        model.quantizer.centers.assign(model.quantizer.centers + 1e-6)

    def change_integer(model):
        state = {name: array.copy() for name, array in model.context.state().items()}
        state["conv2.kernel"].flat[0] += 1
        model.context.load_state(state)

    def change_encoder(model):
        kernel = layers.convolutions(model.analysis)[0].kernel
        kernel.assign(kernel + 1e-3)

    plain = prepared()
    assert plain == prepared() == prepared(change_encoder)
    assert plain == prepared(target_bpp=0.7, distortion="mse", regularize=True)
    changed = [prepared(change) for change in (change_kernel, change_average, change_centers, change_integer)]
    assert len({plain, *changed}) == 5


def test_broken_weights_do_not_write_files():
    model = lively.make("cpm")
    model.prepare_for_coding()
    beta = layers.convolutions(model.analysis)[-1].norm.beta
    beta.assign(np.full(beta.shape, np.nan))
    with pytest.raises(ValueError, match="not finite"):
        model.compress(lively.picture(16, 16))


def test_mixed_precision_leaves_all_but_the_convolutions_in_float32():
    try:
        tf.keras.mixed_precision.set_global_policy("mixed_float16")
        model = lively.make("cpm")
        out = model(lively.picture(64, 64)[None], training=True)
        assert model.analysis.layers[0].compute_dtype == "float16"
    finally:
        tf.keras.mixed_precision.set_global_policy("float32")
    assert all(variable.dtype == tf.float32 for variable in model.trainable_variables)
    assert all(out[name].dtype == tf.float32 for name in ("x_hat", "bpp_estimated", "z", "q_bar", "bit_cost"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"target_bpp": 0.0}, "target_bpp is 0.0"),
        ({"target_bpp": float("nan")}, "target_bpp is nan"),
        ({"filters": 7}, "filters is 7; an even number"),
        ({"centers": 1}, "centers is 1; 2 or more"),
        ({"channels": 0}, "channels is 0"),
        ({"distortion": "l1"}, "'l1'; there are: mae, mse, psnr, ms-ssim"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        models.create("cpm", "tiny", **settings)
