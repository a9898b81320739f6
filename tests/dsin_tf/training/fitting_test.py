import dataclasses
import io
import json
import re

import numpy as np
import pytest
import tensorflow as tf
from rich.console import Console
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

from dsin_tf import data, images, models, training
from dsin_tf.training import callbacks, fitting, metrics_file
from tests.dsin_tf.training import tiny_model

NATIVE = data.protocols.get("native")


def config(**more):
    return training.Config(**{"steps": 16, "log_every": 3, "checkpoint_every": 5, "learning_rate": 1e-3, **more})


def fit(workdir, model=None, validate=True, kind="images", broken=None, **more):
    """Trains on 7 images, validates on 2; a model is made if none is given. Returns (model, history)."""
    model = model or tiny_model.TinyModel(trains_on=kind)
    source = tiny_model.Noise(kind=kind, broken=broken)
    validation = tiny_model.Noise(2, kind, split="val") if validate else None
    quiet = Console(file=io.StringIO())
    return model, training.fit(model, source, validation, NATIVE, config(**more), workdir, console=quiet)


@pytest.mark.parametrize("step", [0, 1, 6, 7, 8, 15])
def test_epochs_cover_every_step_once_and_end_where_epochs_end(step):
    for steps in range(step, 30):
        covered = []
        for first, epochs, count in fitting.epochs_from(step, steps, 7):
            for epoch in range(epochs):
                begin = first + epoch * count
                covered += range(begin, begin + count)
                assert (begin + count) % 7 == 0 or begin + count == steps
        assert covered == list(range(step, steps))


@pytest.mark.parametrize("stop", [1, 5, 7, 13, 14])
def test_a_run_in_two_parts_equals_one_in_one(tmp_path, stop):
    whole, _ = fit(tmp_path / "whole")
    fit(tmp_path / "parts", steps=stop)
    parts, history = fit(tmp_path / "parts")
    assert (history.first_step, history.step) == (stop, 16)
    assert tiny_model.digest(parts) == tiny_model.digest(whole)


def test_each_thing_that_a_checkpoint_holds_matters(tmp_path):
    """Otherwise the tests of resumed runs could pass without it."""
    whole, _ = fit(tmp_path / "whole")
    fit(tmp_path / "parts", steps=8)
    for forget in (
        lambda model: model.step.assign(0),
        lambda model: [v.assign(0 * v) for v in model.optimizer.variables if v.name.startswith("vhat")],
        lambda model: model.optimizer.iterations.assign(0),
    ):
        model = tiny_model.TinyModel()
        fitting.compile_model(model, config())
        training.restore(model, tmp_path / "parts", "last")
        forget(model)
        batches = data.pipeline.train(tiny_model.Noise(), NATIVE, 1, seed=0, start_step=8)
        model.fit(batches, steps_per_epoch=8, verbose=0)
        assert tiny_model.digest(model) != tiny_model.digest(whole)


def test_a_finished_run_is_left_alone(tmp_path):
    model, _ = fit(tmp_path)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file() and p.name != ".lock"}
    again, history = fit(tmp_path)
    assert (history.first_step, history.step) == (16, 16)
    assert tiny_model.digest(again) == tiny_model.digest(model)
    assert before == {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file() and p.name != ".lock"}


def test_the_run_directory_says_what_the_run_is(tmp_path):
    fit(tmp_path)
    configuration = json.loads((tmp_path / "config.json").read_text())
    assert configuration["model"] == {"name": "tiny", "preset": "tiny", "lmbda": 0.01, "seed": 0}
    assert configuration["data"]["train"] == {"name": "noise", "split": "train", "count": 7, "digest": "0123"}
    assert configuration["data"]["protocol"]["name"] == "native"
    assert configuration["training"] == {**dataclasses.asdict(config()), "steps_per_epoch": 7}
    assert configuration["precision"] == "float32"
    assert (tmp_path / "environment.json").is_file()


def test_another_configuration_is_refused(tmp_path):
    fit(tmp_path)
    with pytest.raises(training.RunError, match=r"training\.learning_rate is 0\.001 there, 0\.002 was asked for"):
        fit(tmp_path, learning_rate=2e-3)
    with pytest.raises(training.RunError, match=r"model\.lmbda is 0\.01 there, 0\.5 was asked for"):
        fit(tmp_path, model=tiny_model.TinyModel(lmbda=0.5))


def test_rows_stand_at_intervals_checkpoints_and_epochs(tmp_path):
    fit(tmp_path)
    rows = metrics_file.read(tmp_path / "metrics.csv")
    assert [row["step"] for row in rows] == [3, 5, 6, 7, 9, 10, 12, 14, 15, 16]
    assert [row["step"] for row in rows if row["val_loss"] is not None] == [7, 14, 16]
    assert list(rows[0]) == ["step", "learning_rate", "loss", "bpp", "psnr", "val_loss", "val_bpp", "val_psnr"]


def test_a_row_is_the_mean_since_the_row_before(tmp_path):
    fit(tmp_path / "all", log_every=1)
    fit(tmp_path / "rows")
    each = {row["step"]: row["loss"] for row in metrics_file.read(tmp_path / "all" / "metrics.csv")}
    last = 0
    for row in metrics_file.read(tmp_path / "rows" / "metrics.csv"):
        steps = range(last + 1, int(row["step"]) + 1)
        assert row["loss"] == pytest.approx(np.mean([each[step] for step in steps]), rel=1e-5)
        last = steps[-1]


def test_validation_is_the_mean_over_the_set_and_the_best_is_kept(tmp_path):
    model, history = fit(tmp_path, learning_rate=1e-2, steps=70)
    rows = [row for row in metrics_file.read(tmp_path / "metrics.csv") if row["val_loss"] is not None]
    best = min(rows, key=lambda row: row["val_loss"])
    assert (history.best_step, history.step) == (best["step"], 70)
    assert history.best_loss == pytest.approx(best["val_loss"], rel=1e-6)
    other = tiny_model.TinyModel()
    assert training.restore(other, tmp_path, "best") == best["step"]
    losses = [other.test_step(tf.constant(tiny_model.Noise(2, split="val").read(k)[None])) for k in range(2)]
    assert float(losses[-1]["loss"]) == pytest.approx(best["val_loss"], rel=1e-5)
    assert training.restore(other, tmp_path, "last") == 70
    for ours, theirs in zip(other.trainable_weights, model.trainable_weights):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_without_validation_the_last_weights_are_the_best(tmp_path):
    _, history = fit(tmp_path, validate=False, schedule="constant")
    assert (history.best_step, history.best_loss) == (None, None)
    assert training.restore(tiny_model.TinyModel(), tmp_path, "best") == 16
    assert "val_loss" not in metrics_file.read(tmp_path / "metrics.csv")[0]


def test_the_learning_rate_follows_the_schedule(tmp_path):
    fit(tmp_path, schedule="staircase", decay_steps=6, log_every=1, learning_rate=1e-2)
    rates = {row["step"]: row["learning_rate"] for row in metrics_file.read(tmp_path / "metrics.csv")}
    assert rates == {step: pytest.approx(1e-2 * 0.1 ** ((step - 1) // 6)) for step in range(1, 17)}


def test_the_optimizer_is_ndics_and_gets_the_rate():
    model = tiny_model.TinyModel()
    fitting.compile_model(model, config(clip_norm=1.0))
    settings = model.optimizer.get_config()
    assert {key: settings[key] for key in ("epsilon", "amsgrad", "beta_1", "beta_2", "global_clipnorm")} == {
        "epsilon": 1e-8,
        "amsgrad": True,
        "beta_1": 0.9,
        "beta_2": 0.999,
        "global_clipnorm": 1.0,
    }
    rate = callbacks.LearningRate(callbacks.Clock(5, 10, 10, 1, 1), training.fitting.schedules.Constant(3e-4))
    rate.set_model(model)
    rate.on_train_batch_begin(0)
    assert float(model.optimizer.learning_rate) == pytest.approx(3e-4)


def test_pairs_train_a_model_with_side_information_and_x_alone_one_without(tmp_path):
    fit(tmp_path / "pairs", kind="pairs")
    x_alone, _ = fit(tmp_path / "x", model=tiny_model.TinyModel(), kind="pairs")
    images_, _ = fit(tmp_path / "images")
    assert tiny_model.digest(x_alone) == tiny_model.digest(images_)


def fit_on(source, validation, workdir, model, **more):
    """Trains; returns what config.json says of the data."""
    quiet = Console(file=io.StringIO())
    training.fit(model, source, validation, NATIVE, config(steps=4, **more), workdir, console=quiet)
    return json.loads((workdir / "config.json").read_text())["data"]


def test_sets_are_single_images_to_a_model_of_those(tmp_path):
    model, singly = tiny_model.TinyModel(), tiny_model.TinyModel()
    described = fit_on(tiny_model.NoiseSets(), tiny_model.NoiseSets(1, "val"), tmp_path / "sets", model)
    assert [described[part]["count"] for part in ("train", "validation")] == [6, 3]
    fit_on(tiny_model.Noise(6), tiny_model.Noise(3, split="val"), tmp_path / "images", singly)
    assert tiny_model.digest(model) == tiny_model.digest(singly)


def test_sets_are_chains_to_a_model_of_those(tmp_path):
    model = tiny_model.TinyModel(trains_on="chains")
    described = fit_on(tiny_model.NoiseSets(), tiny_model.NoiseSets(1, "val"), tmp_path, model)
    # Of each image one without a reference, one whose reference has none, one whose reference has another.
    assert [described[part]["count"] for part in ("train", "validation")] == [18, 9]
    assert described["train"]["digest"] == data.chains.Chains(tiny_model.NoiseSets()).digest
    assert int(model.step) == 4


def test_dsc_msf_trains_on_sets(tmp_path):
    model = models.create("dsc_msf", "tiny", enhancement="none")
    before = [weight.numpy() for weight in model.fusion.weights]
    described = fit_on(tiny_model.NoiseSets(), None, tmp_path, model, schedule="constant")
    assert described["train"]["count"] == 18
    assert any(not np.array_equal(weight, old) for weight, old in zip(model.fusion.weights, before))


@pytest.mark.parametrize(
    ("kind", "trains_on", "message"),
    [
        ("images", "pairs", "noise is a source of images; tiny trains on pairs. Choose a data set of pairs."),
        ("pairs", "chains", "noise is a source of pairs; tiny trains on chains. Choose a data set of chains or sets."),
        ("sets", "pairs", "noise_sets is a source of sets; tiny trains on pairs. Choose a data set of pairs."),
        ("chains", "images", "noise is a source of chains; .* Choose a data set of images or pairs or sets."),
    ],
)
def test_data_of_which_a_models_items_cannot_be_made_is_refused(tmp_path, kind, trains_on, message):
    source = tiny_model.NoiseSets() if kind == "sets" else tiny_model.Noise(kind=kind)
    with pytest.raises(data.DataError, match=message):
        training.fit(tiny_model.TinyModel(trains_on=trains_on), source, None, NATIVE, config(), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("steps_per_epoch", [None, 100])
def test_a_loss_that_is_not_finite_stops_the_run(tmp_path, steps_per_epoch):
    good, _ = fit(tmp_path / "good", steps=10, steps_per_epoch=steps_per_epoch)
    with pytest.raises(training.NonFiniteError) as caught:
        fit(tmp_path / "bad", model=tiny_model.TinyModel(broken_at=11), steps_per_epoch=steps_per_epoch)
    assert (caught.value.good_step, caught.value.bad_step) == (11, 12)
    message = str(caught.value)
    assert "The loss became nan between step 11 and step 12; the checkpoint of step 10 is kept as it was" in message
    kept = tiny_model.TinyModel()
    assert training.restore(kept, tmp_path / "bad", "last") == 10
    for ours, theirs in zip(kept.trainable_weights, good.trainable_weights):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_weights_that_are_not_finite_are_never_saved(tmp_path):
    """The update of step 15 breaks them; no loss shows it before the checkpoint that is due."""
    model = tiny_model.TinyModel(broken_at=14, broken="weights")
    with pytest.raises(training.NonFiniteError, match="Weights became NaN .* between step 14 and step 15") as caught:
        fit(tmp_path, model=model, validate=False, schedule="constant")
    assert (caught.value.good_step, caught.value.bad_step) == (14, 15)
    kept = tiny_model.TinyModel()
    assert training.restore(kept, tmp_path) == 14
    assert all(np.isfinite(weight.numpy()).all() for weight in kept.weights)


def test_a_validation_loss_that_is_not_finite_is_named_as_such(tmp_path):
    model = tiny_model.TinyModel(broken_at=14, broken="validation")
    with pytest.raises(training.NonFiniteError, match="The validation loss became nan between step .* and step 14"):
        fit(tmp_path, model=model, steps_per_epoch=7)


def test_a_loss_that_breaks_at_once_says_that_there_is_no_checkpoint(tmp_path):
    with pytest.raises(training.NonFiniteError, match="between step 0 and step 1; there is no checkpoint yet"):
        fit(tmp_path, model=tiny_model.TinyModel(broken_at=0))


def test_an_image_that_cannot_be_read_ends_in_its_own_line(tmp_path):
    with pytest.raises(images.ImageError) as caught:
        fit(tmp_path, broken=3)
    assert str(caught.value) == "train/3.png: cannot be decoded (cut off). Get a whole copy."


def test_errors_that_are_not_the_data_sets_stay_as_they_are(tmp_path):
    class Wrong(tiny_model.TinyModel):
        def train_step(self, batch):
            tf.debugging.assert_less(tf.cast(self.step, tf.int32), 2, "two steps are enough")
            return super().train_step(batch)

    with pytest.raises(tf.errors.InvalidArgumentError, match="two steps are enough"):
        fit(tmp_path, model=Wrong())


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"steps": 0}, "steps is 0; a number above 0"),
        ({"learning_rate": -1.0}, r"learning_rate is -1\.0"),
        ({"checkpoint_every": 0}, "checkpoint_every is 0"),
        ({"schedule": "stairs"}, "no schedule 'stairs'; the names are: plateau, staircase, constant"),
        ({"schedule": "staircase"}, "decay_steps None; decay_steps belongs to 'staircase'"),
        ({"decay_steps": 5}, "schedule is 'plateau' and decay_steps 5"),
    ],
)
def test_impossible_configurations_are_refused(more, message):
    with pytest.raises(ValueError, match=message):
        config(**more)


def test_the_plateau_rule_needs_something_to_watch(tmp_path):
    with pytest.raises(ValueError, match="no validation set to watch"):
        fit(tmp_path, validate=False)
    assert list(tmp_path.iterdir()) == []


def test_a_run_without_checkpoint_cannot_be_restored(tmp_path):
    with pytest.raises(training.RunError, match="holds no checkpoint"):
        training.restore(tiny_model.TinyModel(), tmp_path)


@pytest.mark.parametrize("kind", ["images", "pairs"])
def test_tensorboard_shows_scalars_and_strips_once(tmp_path, kind):
    fit(tmp_path, kind=kind)
    # As a run killed at step 20 leaves it, which is resumed from the checkpoint of step 16.
    writer = tf.summary.create_file_writer(str(tmp_path / "events"), filename_suffix=".killed")
    with writer.as_default(step=18):
        tf.summary.scalar("training/loss", -1.0)
    writer.close()
    for path in (tmp_path / "events").iterdir():  # TensorBoard goes by the time of the start, in whole seconds
        _, time, rest = re.split(r"tfevents\.(\d+)", path.name)
        path.rename(path.with_name(f"events.out.tfevents.{int(time) - 60}{rest}"))
    fit(tmp_path, kind=kind, steps=28)
    events = EventAccumulator(str(tmp_path / "events"), size_guidance={"tensors": 0})
    events.Reload()
    tags = events.Tags()["tensors"]
    assert {"training/loss", "training/bpp", "training/psnr", "learning_rate", "validation/psnr"} <= set(tags)
    rows = [row["step"] for row in metrics_file.read(tmp_path / "metrics.csv")]
    found = [(event.step, float(tf.make_ndarray(event.tensor_proto))) for event in events.Tensors("training/loss")]
    assert [step for step, _ in found] == rows
    assert min(value for _, value in found) > 0
    parts = 3 if kind == "pairs" else 2
    name = "x, x_hat, y" if kind == "pairs" else "x, x_hat"
    strips = events.Tensors(f"{name}/1")
    assert [event.step for event in strips] == [7, 14, 16, 21, 28]
    width, height, png = strips[0].tensor_proto.string_val[:3]
    assert (int(width), int(height)) == (24, 16 * parts)  # wide pictures stand one above the other
    picture = tf.io.decode_png(png).numpy()
    np.testing.assert_array_equal(picture[:16], tiny_model.Noise(2, split="val").read_x(1))


def test_progress_is_a_line_now_and_then_where_there_is_no_terminal(tmp_path):
    text = io.StringIO()
    model = tiny_model.TinyModel()
    source = tiny_model.Noise()
    training.fit(model, source, source, NATIVE, config(), tmp_path, console=Console(file=text))
    (line,) = text.getvalue().splitlines()
    last = metrics_file.read(tmp_path / "metrics.csv")[-1]
    shown = f"loss {last['loss']:.4g}, {last['bpp']:.4f} bpp, {last['psnr']:.2f} dB"
    assert line == f"step 16 of 16: {shown}, 0 s left"


def test_progress_lines_tell_the_time_left(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(callbacks.time, "monotonic", lambda: now[0])
    text = io.StringIO()
    clock = callbacks.Clock(100, 8000, 50, 10, 10)
    progress = callbacks.ProgressBar(clock, Console(file=text))
    with progress:
        for _ in range(13):
            now[0] += 10
            clock.on_train_batch_end(0)
            progress.on_train_batch_end(0, {"loss": 1.5, "bpp": 0.25, "psnr": 30.0, "other": 1.0})
    assert text.getvalue().splitlines() == [
        "step 106 of 8000: loss 1.5, 0.2500 bpp, 30.00 dB, 21 h 55 min left",
        "step 112 of 8000: loss 1.5, 0.2500 bpp, 30.00 dB, 21 h 54 min left",
    ]


def test_progress_is_a_bar_on_a_terminal(tmp_path):
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=120)
    training.fit(tiny_model.TinyModel(), tiny_model.Noise(), tiny_model.Noise(), NATIVE, config(), tmp_path, console)
    assert "16/16" in text.getvalue()
    assert "bpp" in text.getvalue()
    assert "left" not in text.getvalue()


def test_wide_pictures_are_stacked_and_tall_ones_stand_side_by_side():
    class Same:
        def __call__(self, item, training):
            return {"x_hat": tf.cast(item, tf.float32) + 300.0}

    assert callbacks.strip(Same(), tf.zeros([1, 4, 6, 3], tf.uint8)).shape == (1, 8, 6, 3)
    tall = callbacks.strip(Same(), tf.zeros([1, 6, 4, 3], tf.uint8))
    assert tall.shape == (1, 6, 8, 3)
    assert tall[0, 0].tolist() == [[0, 0, 0]] * 4 + [[255, 255, 255]] * 4
