"""The driver of Ballé 2017 and 2018 with models of a few channels, on little pictures."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from dsin_tf import bitstream, data, images, models, training
from dsin_tf.training import metrics_file
from eval import metrics, rd_results, report
from experiments import balle, codec_driver, common
from tests.experiments import driving

NATIVE = data.protocols.get("native")
CONFIG = training.Config(steps=4, schedule="constant", learning_rate=1e-3, steps_per_epoch=2, log_every=1)
LMBDAS = (0.0008, 0.004)


class Pictures:
    """Three smooth pictures, 40x56."""

    name, kind, digest = "made_up", "images", "d1"

    def __init__(self, split="train"):
        self.split = split
        self.names = tuple(f"{split} {k}" for k in range(3))

    def __len__(self):
        return 3

    def read_x(self, index):
        rows, columns = np.mgrid[:40, :56] / 8
        planes = np.sin(rows + index), np.cos(columns + len(self.split))
        picture = 128 + 60 * np.stack([planes[0], planes[1], planes[0] * planes[1]], axis=-1)
        return images.to_uint8(picture)

    read = read_x


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """The folder of two small runs of Ballé 2018, evaluated."""
    workdir = tmp_path_factory.mktemp("runs") / "balle2018"
    folders = train(workdir)
    assert folders == [workdir / "lmbda_0.0008", workdir / "lmbda_0.004"]
    path = codec_driver.evaluate(workdir, Pictures("test"), NATIVE, balle.FAMILY.models)
    assert path == workdir / "results.json"
    return workdir


def train(workdir, lmbdas=LMBDAS, config=CONFIG, **more):
    settings = [{"lmbda": lmbda} for lmbda in lmbdas]
    sources = Pictures("train"), Pictures("val")
    return codec_driver.train("balle2018", "tiny", settings, *sources, NATIVE, config, workdir, **more)


def test_a_sweep_makes_one_run_directory_each(sweep):
    for lmbda in LMBDAS:
        configuration = training.Run(sweep / f"lmbda_{lmbda:g}").configuration()
        assert configuration["model"]["lmbda"] == lmbda
        assert configuration["model"]["name"] == "balle2018"


def test_finished_runs_are_skipped_and_others_join_the_sweep(sweep, tmp_path, capsys):
    before = {path: path.stat().st_mtime_ns for path in sweep.rglob("*.csv")}
    assert train(sweep, LMBDAS[:1]) == [sweep / "lmbda_0.0008"]
    assert "lmbda_0.0008: finished before, at step 4." in capsys.readouterr().err
    assert before == {path: path.stat().st_mtime_ns for path in sweep.rglob("*.csv")}


def test_a_single_run_and_a_sweep_do_not_share_a_folder(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(common.UserError, match="holds one run, a folder for several was expected"):
        train(tmp_path)


def test_the_table_of_training_shows_the_best_step_of_each_run(sweep):
    table = codec_driver.training_table("title", codec_driver.run_folders(sweep))
    assert [row.labels[0] for row in table.rows] == ["0.0008", "0.004"]
    for row, lmbda in zip(table.rows, LMBDAS):
        rows = [r for r in metrics_file.read(sweep / f"lmbda_{lmbda:g}/metrics.csv") if r["val_loss"] is not None]
        best = min(rows, key=lambda r: r["val_loss"])
        expected = [4, best["step"], best["val_loss"], best["val_bpp"], best["val_psnr"]]
        assert [cell.value for cell in row.cells] == expected


def test_results_are_what_the_files_say(sweep):
    result = rd_results.load(sweep / "results.json")
    expected = {
        "method": "balle2018",
        "preset": "tiny",
        "dataset": "made_up",
        "split": "test",
        "protocol": "native",
        "rate": "file",
    }
    assert {key: result.meta[key] for key in expected} == expected
    assert (result.name, result.meta["data_digest"]) == ("Ballé 2018 (tiny)", "d1")
    assert result.meta["settings"]["trained on"] == "made_up train"
    steps = sorted(set(result.results["step"]))
    assert result.meta["steps"] == (steps[0] if len(steps) == 1 else f"{steps[0]} to {steps[1]}")
    assert result.results["bpp"] == sorted(result.results["bpp"])
    assert sorted(result.results["lmbda"]) == sorted(LMBDAS)
    for index, image in enumerate(result.images):
        x = Pictures("test").read_x(index)
        assert (image.name, image.height, image.width) == (f"test {index}", 40, 56)
        for at, lmbda in enumerate(image.points["lmbda"]):
            folder = sweep / f"lmbda_{lmbda:g}"
            blob = (folder / "files" / f"{index:05d}.dsin").read_bytes()
            model = models.load(folder)
            point = {column: values[at] for column, values in image.points.items()}
            assert point["bpp"] == pytest.approx(8 * len(blob) / (40 * 56))
            assert point["bpp-payload"] == pytest.approx(8 * sum(bitstream.inspect(blob).lengths) / (40 * 56))
            estimated = float(model(x[None], training=False)["bpp_estimated"][0])
            assert point["bpp-estimated"] == pytest.approx(estimated, rel=1e-4)
            assert point["psnr-rgb"] == pytest.approx(metrics.psnr(x, model.decompress(blob)))
            unclipped = model.decompress(blob, rounded=False)
            assert point["psnr-unclipped"] == pytest.approx(metrics.psnr_unclipped(x, unclipped))
            assert 0 < point["decode-s"] < 60
            assert 0 < point["encode-s"] < 60
            assert point["step"] == int(model.step)
            assert "ms-ssim-rgb" not in point  # too small for any window


def test_means_are_over_the_images(sweep):
    result = rd_results.load(sweep / "results.json")
    for at, lmbda in enumerate(result.results["lmbda"]):
        points = [(image.points, image.points["lmbda"].index(lmbda)) for image in result.images]
        for column in ("bpp", "psnr-rgb", "decode-s", "bpp-estimated"):
            mean = np.mean([values[column][k] for values, k in points])
            assert result.results[column][at] == pytest.approx(mean)


def test_each_run_of_a_sweep_has_its_own_results(sweep):
    for lmbda in LMBDAS:
        result = rd_results.load(sweep / f"lmbda_{lmbda:g}" / "results.json")
        assert result.results["lmbda"] == [lmbda]
        assert all(len(image.points["bpp"]) == 1 for image in result.images)


def test_the_report_shows_the_results(sweep, tmp_path):
    path = report.build([sweep / "results.json"], tmp_path / "report.html", published=False)
    assert "Ballé 2018 (tiny)" in path.read_text()


def test_pictures_are_those_of_the_model_closest_in_rate(sweep, tmp_path):
    result = rd_results.load(sweep / "results.json")
    for target in (1e-3, 10.0):
        codec_driver.evaluate(
            sweep,
            Pictures("test"),
            NATIVE,
            balle.FAMILY.models,
            pictures=2,
            picture_bpp=target,
            pictures_dir=tmp_path,
        )
        folders = sorted(tmp_path.iterdir())
        assert [folder.name for folder in folders] == ["00000-test_0", "00002-test_2"]
        for index, folder in zip((0, 2), folders):
            np.testing.assert_array_equal(images.read(folder / "x.png"), Pictures("test").read_x(index))
            about = json.loads((folder / "balle2018.json").read_text())
            rates = result.images[index].points["bpp"]
            assert about["bpp"] == pytest.approx((min if target < 1 else max)(rates))
            x_hat = images.read(folder / "balle2018.png")
            assert about["psnr-rgb"] == pytest.approx(metrics.psnr(Pictures("test").read_x(index), x_hat))


def test_a_sweep_over_more_than_lmbda_is_not_one_curve(sweep, tmp_path):
    for name in ("lmbda_0.0008", "lmbda_0.004"):
        (tmp_path / name).mkdir()
        for file in ("model.json", "weights.npz"):
            (tmp_path / name / file).write_bytes((sweep / name / file).read_bytes())
    described = json.loads((tmp_path / "lmbda_0.004/model.json").read_text())
    described["settings"]["seed"] = 7
    (tmp_path / "lmbda_0.004/model.json").write_text(json.dumps(described))
    with pytest.raises(common.UserError, match="one model at several lmbda was expected"):
        codec_driver.evaluate(tmp_path, Pictures("test"), NATIVE, balle.FAMILY.models)


def test_a_picture_goes_through_a_file(sweep, tmp_path):
    x = Pictures("test").read_x(2)
    images.write(tmp_path / "x.png", x)
    folder = sweep / "lmbda_0.004"
    line = codec_driver.compress(folder, tmp_path / "x.png", tmp_path / "x.dsin")
    blob = (tmp_path / "x.dsin").read_bytes()
    assert line == f"{tmp_path / 'x.dsin'}: {len(blob)} bytes, {8 * len(blob) / 2240:.4f} bpp, 40x56"
    assert blob == (folder / "files" / "00002.dsin").read_bytes()
    codec_driver.decompress(folder, tmp_path / "x.dsin", tmp_path / "x_hat.png")
    np.testing.assert_array_equal(images.read(tmp_path / "x_hat.png"), models.load(folder).decompress(blob))


def test_size_limits_hold_both_ways(sweep, tmp_path):
    images.write(tmp_path / "x.png", Pictures("test").read_x(0))
    folder = sweep / "lmbda_0.004"
    with pytest.raises(images.ImageError, match="2240 pixels, the limit is 2239"):
        codec_driver.compress(folder, tmp_path / "x.png", tmp_path / "x.dsin", max_pixels=2239)
    codec_driver.compress(folder, tmp_path / "x.png", tmp_path / "x.dsin", max_pixels=2240)
    for function in (codec_driver.info, lambda *a, **k: codec_driver.decompress(folder, *a, tmp_path / "y.png", **k)):
        with pytest.raises(bitstream.SizeError):
            function(tmp_path / "x.dsin", max_pixels=2239)
    assert not (tmp_path / "y.png").exists()


def test_a_file_of_other_weights_is_refused(sweep, tmp_path):
    blob = sweep / "lmbda_0.0008" / "files" / "00000.dsin"
    with pytest.raises(bitstream.ModelError):
        codec_driver.decompress(sweep / "lmbda_0.004", blob, tmp_path / "x.png")


@pytest.mark.parametrize("function", [codec_driver.compress, codec_driver.decompress])
def test_the_folder_of_a_sweep_is_not_one_model(sweep, tmp_path, function):
    images.write(tmp_path / "x.png", Pictures("test").read_x(0))
    source = tmp_path / "x.png" if function is codec_driver.compress else sweep / "lmbda_0.004/files/00000.dsin"
    with pytest.raises(common.UserError, match=r"holds several models \(lmbda_0\.0008, lmbda_0\.004\)"):
        function(sweep, source, tmp_path / "out.png")


def test_a_folder_without_model_is_named(tmp_path):
    with pytest.raises(common.UserError, match="holds no trained model"):
        codec_driver.evaluate(tmp_path, Pictures("test"), NATIVE, balle.FAMILY.models)


def test_the_coding_model_follows_the_run(tmp_path):
    """best or last as asked for, and made anew when the run went on."""
    train(tmp_path, LMBDAS[:1])
    assert int(codec_driver.load(tmp_path, "last").step) == 4
    longer = training.Config(**{**CONFIG.__dict__, "steps": 6})
    with contextlib.redirect_stderr(None):
        train(tmp_path, LMBDAS[:1], longer)
    model = codec_driver.load(tmp_path, "last")
    assert int(model.step) == 6
    best = training.Run(tmp_path).checkpoints.best()["step"]
    assert int(codec_driver.load(tmp_path, "best").step) == best
    assert codec_driver.load(tmp_path, "last").identity == model.identity


def test_mixed_precision_trains_and_codes_in_float32(tmp_path):
    # The loss is scaled up for float16, at first so far that the steps overflow and are left out.
    config = training.Config(**{**CONFIG.__dict__, "steps": 24})
    train(tmp_path, LMBDAS[:1], config, precision="mixed_float16")
    assert training.Run(tmp_path).configuration()["precision"] == "mixed_float16"
    rows = metrics_file.read(tmp_path / "metrics.csv")
    assert all(np.isfinite(row["loss"]) for row in rows)
    assert rows[-1]["val_loss"] < rows[1]["val_loss"]
    model = codec_driver.load(tmp_path)
    x = Pictures("test").read_x(0)
    assert model.decompress(model.compress(x)).shape == x.shape
    assert {weight.dtype.name for weight in model.weights if weight.dtype.is_floating} == {"float32"}


# ---------------------------------------------------------------------------------------------------------------------
# From outside.


@pytest.fixture
def folder(tmp_path):
    for k in range(3):
        images.write(tmp_path / "data" / f"{k}.png", Pictures().read_x(k))
    return tmp_path / "data"


def test_by_flags_from_training_to_results(folder, tmp_path):
    shared = ("--dataset=images", f"--data_dir={folder}", f"--workdir={tmp_path / 'run'}")
    trained = driving.drive(
        "balle",
        "--mode=train",
        "--model=balle2017",
        "--preset=tiny",
        "--steps=5",
        "--lmbda=0.002",
        "--filters=4",
        *shared,
    )
    assert trained.returncode == 0, trained.stderr
    assert "Ballé 2017, preset tiny, trained on images" in trained.stdout
    assert "step 5 of 5: loss" in trained.stderr
    configuration = json.loads((tmp_path / "run" / "config.json").read_text())
    assert configuration["model"] == {
        "name": "balle2017",
        "preset": "tiny",
        "filters": 4,
        "lmbda": 0.002,
        "distortion": "mse",
        "seed": 0,
    }
    assert configuration["training"]["learning_rate"] == 1e-3  # the preset's
    evaluated = driving.drive("balle", "--mode=evaluate", *shared)
    assert evaluated.returncode == 0, evaluated.stderr
    assert f"Results: {tmp_path / 'run' / 'results.json'}" in evaluated.stdout
    assert len(rd_results.load(tmp_path / "run" / "results.json").images) == 3


def test_info_needs_no_model(sweep):
    path = sweep / "lmbda_0.004" / "files" / "00000.dsin"
    blob = path.read_bytes()
    header = bitstream.inspect(blob)
    shown = driving.drive("balle", "--mode=info", f"--input={path}")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert f"model       {header.identity.hex()}" in shown.stdout
    assert "size        40x56 (height x width)" in shown.stdout
    assert f"whole file  {len(blob)} bytes, {8 * len(blob) / 2240:.4f} bpp" in shown.stdout


def test_help_groups_the_flags():
    shown = driving.drive("balle", "--help")
    assert shown.returncode == 0
    for title in ("Run:", "Data:", "Devices:", "Model:"):
        assert f"\n{title}\n" in shown.stdout
    assert "--mode=<train | evaluate | compress | decompress | export | info>" in shown.stdout


def test_a_broken_image_ends_training_in_one_line(folder, tmp_path):
    path = folder / "1.png"
    path.write_bytes(path.read_bytes()[:200])
    shown = driving.drive(
        "balle",
        "--mode=train",
        "--preset=tiny",
        "--dataset=images",
        f"--data_dir={folder}",
        f"--workdir={tmp_path / 'run'}",
    )
    assert (shown.returncode, shown.stdout) == (1, "")
    errors = [line for line in shown.stderr.splitlines() if not line.startswith("note:")]
    assert len(errors) == 1
    assert errors[0].startswith(f"error: {path}: cannot be decoded")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--mode=train",), "--mode=train needs --workdir"),
        (("--mode=info",), "--mode=info needs --input"),
        (("--mode=compress", "--workdir=w", "--input=x.png"), "--mode=compress needs --output"),
        (("--mode=info", "--input=missing.dsin"), "missing.dsin: cannot be read (No such file or directory)"),
        (("--mode=train", "--workdir=w", "--lmbda=0.1,x"), "--lmbda=x: a number above 0 was expected."),
        (("--mode=train", "--workdir=w", "--size=12"), "--size=12: HEIGHTxWIDTH in pixels was expected"),
    ],
)
def test_mistakes_end_in_one_line(arguments, message):
    shown = driving.drive("balle", *arguments)
    assert (shown.returncode, shown.stdout) == (1, "")
    assert shown.stderr.startswith(f"error: {message}")
    assert shown.stderr.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("model", ["balle2017", "balle2018"])
def test_the_driver_killed_ten_times_ends_with_the_same_model(folder, tmp_path, model):
    chance = random.Random(str(time.time_ns()))
    command = ["--mode=train", f"--model={model}", "--preset=tiny", "--steps=600", "--dataset=images"]
    command += [f"--data_dir={folder}", "--val_split=val"]
    assert driving.drive("balle", *command, f"--workdir={tmp_path / 'calm'}").returncode == 0
    line = [sys.executable, "-m", "experiments.balle", *command, f"--workdir={tmp_path / 'killed'}"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    kills = 0
    while kills < 10:
        process = subprocess.Popen(line, cwd=driving.ROOT, **quiet)
        try:
            process.wait(timeout=chance.uniform(4, 9))
            break  # it came to its end
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
    subprocess.run(line, cwd=driving.ROOT, check=True, **quiet)
    assert kills >= 3
    calm, killed = (np.load(tmp_path / run / "weights.npz") for run in ("calm", "killed"))
    assert sorted(calm.files) == sorted(killed.files)
    for name in calm.files:
        np.testing.assert_array_equal(calm[name], killed[name])
    assert (tmp_path / "calm/metrics.csv").read_bytes() == (tmp_path / "killed/metrics.csv").read_bytes()
