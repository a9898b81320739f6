"""The driver of NDIC with models of a few channels, on little pairs."""

import json
import re
import types

import numpy as np
import pytest

from dsin_tf import data, images, models, training
from eval import metrics, published_numbers, rd_results
from experiments import codec_driver, common, ndic
from tests.dsin_tf.zoo import ndic_import_test, torch_files
from tests.experiments import driving

NATIVE = data.protocols.get("native")
CONFIG = training.Config(steps=2, schedule="constant", learning_rate=1e-3, steps_per_epoch=2, log_every=1)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """An evaluated run directory."""
    folder = tmp_path_factory.mktemp("runs") / "ndic"
    sources = driving.Pairs(), None
    codec_driver.train("ndic_balle2017", "tiny", [{"lmbda": 0.02}], *sources, NATIVE, CONFIG, folder)
    codec_driver.evaluate(folder, driving.Pairs("test"), NATIVE, ndic.FAMILY.labels)
    return folder


def test_results_say_which_decoder_and_which_weights_made_them(run):
    result = rd_results.load(run / "results.json")
    assert result.name == "NDIC (Ballé 2017) (tiny)"
    told = {"decoder": "corrected", "alpha": 1.0, "beta": 1.0, "filters": 8, "lmbda": [0.02]}
    assert {**result.meta["settings"], **told} == result.meta["settings"]
    assert "decoder corrected" in result.description


def test_the_table_names_both_kinds_of_psnr(run):
    table = codec_driver.evaluation_table(rd_results.load(run / "results.json"))
    assert {"PSNR (dB)", "unclipped"} <= set(table.columns)


def test_both_kinds_of_psnr_are_measured_from_the_file(run):
    result, model = rd_results.load(run / "results.json"), models.load(run)
    for index, image in enumerate(result.images):
        x, y = driving.Pairs("test").read(index)
        blob = (run / "files" / f"{index:05d}.dsin").read_bytes()
        unrounded = model.decompress(blob, y, rounded=False)
        (psnr,), (unclipped,) = image.points["psnr-rgb"], image.points["psnr-unclipped"]
        assert psnr == pytest.approx(metrics.psnr(x, model.decompress(blob, y)))
        assert unclipped == pytest.approx(10 * np.log10(255**2 / np.mean((x - unrounded.astype(float)) ** 2)))


def test_an_exported_model_decodes_the_runs_files(run, tmp_path):
    line = codec_driver.export(run, tmp_path / "small", ndic.FAMILY.labels)
    whole, kept = (
        sum(int(np.prod(variable.shape)) for variable in models.load(folder).trainable_variables)
        for folder in (run, tmp_path / "small")
    )
    assert f"{kept} of {whole} weights ({100 - 100 * kept / whole:.1f} % smaller, without analysis_y" in line
    assert sorted(path.name for path in (tmp_path / "small").iterdir()) == ["model.json", "weights.npz"]
    x, y = driving.Pairs("test").read(0)
    images.write(tmp_path / "y.png", y)
    source = run / "files" / "00000.dsin"
    for folder, name in ((run, "whole.png"), (tmp_path / "small", "small.png")):
        codec_driver.decompress(folder, source, tmp_path / name, side=tmp_path / "y.png")
    np.testing.assert_array_equal(images.read(tmp_path / "small.png"), images.read(tmp_path / "whole.png"))
    with pytest.raises(common.UserError, match="is there already"):
        codec_driver.export(run, tmp_path / "small", ndic.FAMILY.labels)


def test_the_published_sweeps_are_those_of_the_result_notes():
    (notes,) = (t for t in published_numbers.tables(paper="ndic") if t.title.startswith("Trade-off parameters"))
    assert notes.columns == ("Model", "MSE", "MS-SSIM")
    methods = {label: method for method, label in ndic.FAMILY.labels.items()}
    for label, *lists in notes.rows:
        for distortion, printed in zip(("mse", "ms-ssim"), lists):
            expected = sorted(float(value) for value in printed.split(","))
            assert sorted(ndic.LAMBDAS[methods[label], distortion]) == pytest.approx(expected)
    assert len(notes.rows) == 4


@pytest.mark.parametrize("name", ["ndic_balle2018", "ndic_cam"])
def test_published_weights_become_a_run(name, tmp_path):
    state = {key: torch_files.tensor(array) for key, array in ndic_import_test.numbers(name).items()}
    torch_files.write(tmp_path / "theirs.pt", {"model_state_dict": state, "optimizer_state_dict": {}})
    settings = {"lmbda": 2e-4, "distortion": "mse", **({"size": (64, 64)} if name == "ndic_cam" else {})}
    line = codec_driver.import_weights(ndic.FAMILY, str(tmp_path / "theirs.pt"), tmp_path / "run", settings)
    assert line.startswith(f"{tmp_path / 'run'}: {ndic.FAMILY.models[name]}, ")
    model = codec_driver.load(tmp_path / "run")
    assert (model.name, model.lmbda, model.preset) == (name, 2e-4, "paper")
    x, y = driving.Pairs(height=64, width=64).read(0)
    assert model.decompress(model.compress(x), y).shape == x.shape


def test_flags_make_the_model_that_is_trained(tmp_path):
    for k in range(2):
        x, y = driving.Pairs().read(k)
        images.write(tmp_path / "data" / "left" / f"{k}.png", x)
        images.write(tmp_path / "data" / "right" / f"{k}.png", y)
    places = ("--dataset=pairs", f"--data_dir={tmp_path / 'data'}", f"--workdir={tmp_path / 'run'}")
    settings = ("--preset=tiny", "--steps=3", "--lmbda=0.01", "--decoder=published", "--alpha=0.5", "--beta=0")
    trained = driving.drive("ndic", "--mode=train", "--model=ndic_balle2018", *settings, *places)
    assert trained.returncode == 0, trained.stderr
    assert "NDIC (Ballé 2018), preset tiny, trained on pairs" in trained.stdout
    described = json.loads((tmp_path / "run" / "config.json").read_text())["model"]
    expected = {"name": "ndic_balle2018", "decoder": "published", "alpha": 0.5, "beta": 0.0, "lmbda": 0.01}
    assert {**described, **expected} == described


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--model=balle2018", "--alpha=1", "--decoder=published"), "--model=balle2018 has no alpha, decoder"),
        (("--model=ndic_cam", "--preset=tiny", "--lmbda=published"), "nothing was published for ndic_cam with .* mse"),
        (("--model=ndic_cam", "--decoder=published"), "--model=ndic_cam has no decoder"),
        (("--model=ndic_balle2017", "--image_size=64x64"), "--model=ndic_balle2017 has no image_size"),
        (("--model=ndic_cam", "--image_size=64"), "--image_size=64: HEIGHTxWIDTH in pixels was expected"),
    ],
)
def test_flags_that_do_not_fit_are_named(arguments, message, tmp_path):
    done = driving.drive("ndic", "--mode=train", f"--workdir={tmp_path}", "--dataset=street", *arguments)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert re.search(message, " ".join(done.stderr.split()))


@pytest.mark.parametrize(
    ("preset", "settings", "expected"),
    [
        ("paper", {"distortion": "mse"}, "NDIC-CAM"),
        ("small", {"distortion": "ms-ssim"}, "NDIC-CAM (small), for MS-SSIM"),
        ("tiny", {}, "NDIC-CAM (tiny)"),
    ],
)
def test_labels_say_what_is_not_the_paper_s_preset_and_what_was_trained_for_ms_ssim(preset, settings, expected):
    model = types.SimpleNamespace(name="ndic_cam", variant="", preset=preset, settings=settings)
    assert codec_driver.label(model, ndic.FAMILY.labels) == expected
