"""The benchmark of NDIC runs, and both sides of it compute the same; the times are not judged here."""

import collections
import fractions
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from eval.bench import ndic
from tests.dsin_tf.models import lively

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="PyTorch, which is no dependency, is not installed: pip install torch")


def batch():
    """x and y, uint8 `[2, 64, 128, 3]` each."""
    return [np.stack([lively.picture(64, 128, seed + i) for i in range(2)]) for seed in (0, 100)]


def ours(name):
    """Our side with small latents that are not all 0."""
    side = ndic.Ours(name, 8, *batch())
    side.model.start_from(lively.make(name))
    return side


def gradients(side):
    """Those of a training step of our side, as of `Ours.weights`."""
    x, y = (tf.constant(image) for image in batch())
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(side.model.rate_distortion(x, side.model((x, y), training=True))["loss"])
    variables = side.model.trainable_variables
    values = [variable.numpy() for variable in variables]
    for variable, gradient in zip(variables, tape.gradient(loss, variables)):
        variable.assign(gradient)
    found = side.weights()
    for variable, value in zip(variables, values):
        variable.assign(value)
    return found


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "eval.bench.ndic", *arguments], cwd=ROOT, capture_output=True, text=True
    )


def test_prints_what_our_side_takes_alone():
    settings = ["--filters=16", "--size=64x64", "--rounds=2", "--steps=1", "--notorch", "--coding"]
    result = run("--models=ndic_balle2017", *settings)
    assert result.returncode == 0, result.stderr
    line, coding = (line.split() for line in result.stdout.splitlines() if line.startswith("ndic_"))
    assert line[:3] == ["ndic_balle2017", "TensorFlow", tf.__version__]
    assert coding[1::3] == ["compress", "decompress"]
    *times, peak, parameters, loss = line[3:]
    assert len(times) == 4
    assert 100 < float(peak) < 4000
    assert parameters == "121,238"
    assert float(loss) > 0


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--models=ndic_balle2017,dsin", "--models=ndic_balle2017,dsin: expected some of ndic_balle2017,"),
        ("--size=120x256", "--size=120x256: expected HEIGHTxWIDTH, multiples of 64."),
    ],
)
def test_settings_that_do_not_fit_are_named(argument, message):
    result = run(argument)
    assert result.returncode != 0
    assert message in result.stdout + result.stderr


@pytest.mark.parametrize("name", ndic.MODELS)
def test_our_side_evaluates_and_codes_as_the_model_does(name):
    side = ours(name)
    x, y = batch()
    out = side.model((x, y))
    assert side.evaluate() == pytest.approx(np.mean(side.model.rate_distortion(x, out)["loss"]), rel=1e-6)
    assert len(side.compress()) > 100
    shown = np.clip(np.round(out["x_hat"][0]), 0, 255)
    assert np.abs(side.decompress() - shown).max() <= 1


def test_a_worker_calls_methods_of_its_object():
    with ndic.Worker(collections.Counter, "abcab") as worker:
        assert dict(worker.call("copy")) == {"a": 2, "b": 2, "c": 1}
        assert len(worker.seconds("most_common", 4)) == 4
        assert 2**20 < worker.peak() < 2**32


def test_a_worker_that_ends_is_an_error():
    with ndic.Worker(fractions.Fraction, 1, 0) as worker, pytest.raises(RuntimeError, match="'as_integer_ratio' ended"):
        worker.call("as_integer_ratio")


@pytest.mark.parametrize("name", ndic.MODELS)
def test_pytorch_computes_the_same(name, torch):
    here = ours(name)
    there = ndic.Theirs(here.weights(), *batch())
    assert there.evaluate() == pytest.approx(here.evaluate(), rel=1e-6)
    # The same noise on both sides.
    here.model.noise = lambda like, stream=0, normal=False: tf.fill(tf.shape(like), 0.7 if normal else 0.2)
    there.noise = lambda like, normal=False: torch.full_like(like, 0.7 if normal else 0.2)
    of_ours, before = gradients(here), here.weights()
    assert there.train() == pytest.approx(here.train(), rel=2e-6)
    assert there.about()["parameters"] == here.about()["parameters"]
    assert set(there.weights) == set(of_ours)
    for key, gradient in of_ours.items():
        np.testing.assert_allclose(there.weights[key].grad, gradient, atol=3e-5 * np.abs(gradient).max(), err_msg=key)
    for side in (here, there):
        side.train()
    assert all((array != before[key]).any() for key, array in here.weights().items())
    assert there.evaluate() == pytest.approx(here.evaluate(), rel=1e-4)


def test_pytorch_takes_turns(torch):
    found = ndic.measure("ndic_balle2018", 4, (64, 64), rounds=1, steps=1, with_torch=True)
    assert [row["version"] for row in found.values()] == [tf.__version__, torch.__version__]
    here, there = found["TensorFlow"], found["PyTorch"]
    assert there["parameters"] == here["parameters"]
    assert there["loss"] == pytest.approx(here["loss"], rel=1e-5)
    assert all(row["peak"] > 2**26 for row in (here, there))


def test_gradients_pass_the_lower_bound_where_they_lead_up(torch):
    values = torch.tensor([-1.0, -1.0, 2.0, 2.0], requires_grad=True)
    bounded = ndic._lower_bound()(values, 0.5)
    assert bounded.tolist() == [0.5, 0.5, 2.0, 2.0]
    bounded.backward(torch.tensor([1.0, -1.0, 1.0, -1.0]))
    assert values.grad.tolist() == [0.0, -1.0, 1.0, -1.0]
