"""README: its verdicts, and the example of "Add a model" with what that section says that one can do with it."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from dsin_tf import bitstream, data, images, models
from eval import claims, rd_results, tables

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")
SECTION = re.search(r"^## Add a model\n(.*?)(?=^## |\Z)", README, re.S | re.M)[1]
EXAMPLE, PRINTED = re.findall(r"^```(?:python)?\n(.*?)^```$", SECTION, re.S | re.M)


def run(folder, *arguments):
    """Runs Python in the folder, as from a checkout; returns stdout."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder in which the example was run, and what it printed."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "joined.py").write_text(EXAMPLE, "utf-8")
    return folder, run(folder, "joined.py")


@pytest.fixture
def model(finished, monkeypatch):
    """The example's model, loaded here."""
    monkeypatch.setattr(models, "_REGISTERED", {})
    runpy.run_path(str(finished[0] / "joined.py"), run_name="joined")
    return models.load(finished[0] / "runs/joined")


@pytest.fixture(scope="module")
def pair():
    """The pair whose x is in the example's file."""
    return data.load("street", "test", size=(64, 128), limit=4).read(0)


def test_the_verdicts_are_those_of_the_results_that_are_kept():
    table = tables.to_markdown(claims.overview(claims.check([ROOT / "eval" / "results"])))
    rows = [line for line in table.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(claims.PAPERS)
    assert "\n".join(rows) in README


def test_the_example_is_short():
    lines = EXAMPLE.splitlines()
    assert len(lines) <= 60
    assert max(map(len, lines)) <= 120


def test_it_prints_what_the_section_says(finished):
    # Two machines need not train to the same last digits.
    number = re.compile(r"\d+\.?\d*")
    last = "".join(finished[1].splitlines(keepends=True)[-2:])
    assert number.sub("N", last) == number.sub("N", PRINTED)
    found, said = ([float(text) for text in number.findall(lines)] for lines in (last, PRINTED))
    assert found == pytest.approx(said, rel=0.2)


def test_fit_made_the_loss_smaller(finished):
    first, second = (float(loss) for loss in re.findall(r"- loss: (\S+)", finished[1]))
    assert second < first / 2


def test_another_process_decodes_the_same_picture(finished, model, pair):
    folder, printed = finished
    blob = (folder / "x.dsin").read_bytes()
    assert printed.endswith(f"x.dsin: {len(blob)} bytes\n")
    assert model.compress(pair[0]) == blob
    np.testing.assert_array_equal(model.decompress(blob, pair[1]), images.read(folder / "x_hat.png"))


def test_the_decoder_sees_y(finished, model, pair):
    blob = (finished[0] / "x.dsin").read_bytes()
    x_hat, other = (model.decompress(blob, y).astype(float) for y in (pair[1], np.zeros_like(pair[1])))
    assert np.abs(x_hat - other).mean() > 1
    with pytest.raises(images.ImageError, match="64x120.*64x128"):
        model.decompress(blob, pair[1][:, :120])


def test_a_file_is_refused_where_weights_of_ys_features_are_others(finished, model, pair):
    kernel = model.features.trainable_variables[0]
    kernel.assign(kernel * 1.001)
    with pytest.raises(bitstream.ModelError):
        model.decompress((finished[0] / "x.dsin").read_bytes(), pair[1])


def test_images_have_any_size(model, pair):
    x, y = (image[:37, :50] for image in pair)
    x_hat = model.decompress(model.compress(x), y)
    assert (x_hat.shape, x_hat.dtype) == ((37, 50, 3), np.uint8)


def test_it_computes_in_mixed_precision(model, pair):
    tf.keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        out = models.create("joined", "tiny")(tuple(image[None] for image in pair), training=True)
    finally:
        tf.keras.mixed_precision.set_global_policy("float32")
    assert np.isfinite(out["x_hat"]).all()


def test_it_is_ndic_without_what_that_has_for_training_alone(model):
    ndic = models.create("ndic_balle2017", "tiny")
    ndic.strip()
    shapes = [sorted(tuple(v.shape) for v in m.trainable_variables) for m in (model, ndic)]
    assert shapes[0] == shapes[1]


@pytest.mark.slow
def test_a_copy_of_the_balle_driver_trains_and_evaluates_it(finished):
    folder, _ = finished
    driver = (ROOT / "experiments/balle.py").read_text("utf-8")
    for old, new in ((r"^from absl", "import joined\nfrom absl"), (r"models=\{.*?\}", 'models={"joined": "Joined"}')):
        driver, replaced = re.subn(old, new, driver, flags=re.M)
        assert replaced == 1
    (folder / "driver.py").write_text(driver, "utf-8")
    where = ("--dataset=street", "--size=32x48", "--limit=1", "--workdir=runs/driven")
    run(folder, "driver.py", "--mode=train", "--preset=tiny", "--steps=2", *where)
    assert "Joined (tiny): street test" in run(folder, "driver.py", "--mode=evaluate", *where)
    result = rd_results.load(folder / "runs/driven/results.json")
    assert (result.meta["method"], result.results["step"]) == ("joined", [2])
    file = folder / "runs/driven/files/00000.dsin"
    assert result.results["bpp"] == pytest.approx([8 * file.stat().st_size / (32 * 48)])
