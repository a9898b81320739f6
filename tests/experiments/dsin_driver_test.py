"""The driver of DSIN with models of a few channels, on little pairs."""

import json
import shutil

import numpy as np
import pytest

from dsin_tf import bitstream, data, images, models, training, zoo
from eval import metrics, rd_results
from experiments import codec_driver, codec_evaluation, common, dsin
from tests.dsin_tf.models import lively
from tests.dsin_tf.zoo import published
from tests.experiments.driving import Pairs, drive

NATIVE = data.protocols.get("native")
STILL = training.Config(steps=2, schedule="constant", learning_rate=1e-12, steps_per_epoch=2)
RATES = (0.1, 0.5)


class Images(Pairs):
    kind = "images"

    def read(self, index):
        return super().read(index)[0]

    read_x = read


def train(name, workdir, rates=RATES, config=STILL, init_from=None, **settings):
    settings = [{"target_bpp": rate, **settings} for rate in rates]
    sources = Pairs("train"), Pairs("val")
    return codec_driver.train(name, "tiny", settings, *sources, NATIVE, config, workdir, init_from=init_from)


def save(name, folder, **settings):
    """A folder with a model as it would be after six steps."""
    model = lively.make(name, **settings)
    model.step.assign(6)
    model.prepare_for_coding()
    models.save(model, folder)


@pytest.fixture(scope="module")
def stage1(tmp_path_factory):
    """The folder of two autoencoders."""
    workdir = tmp_path_factory.mktemp("runs") / "cpm"
    for seed, rate in enumerate(RATES):
        save("cpm", workdir / f"target_bpp_{rate:g}", target_bpp=rate, seed=seed)
    return workdir


@pytest.fixture(scope="module")
def stage2(stage1):
    """The folder of the models that began with them, evaluated. To save time, y is not searched for patches."""
    workdir = stage1.parent / "dsin"
    folders = train("dsin", workdir, init_from=stage1, side="raw_y")
    assert folders == [workdir / "target_bpp_0.1", workdir / "target_bpp_0.5"]
    codec_driver.evaluate(workdir, Pairs("test"), NATIVE, dsin.FAMILY.labels, pictures=1)
    return workdir


def weights(model, network):
    return [variable.numpy() for variable in getattr(model, network).trainable_weights]


def test_the_second_stage_begins_with_the_run_of_its_rate(stage1, stage2):
    for rate in RATES:
        first, second = (codec_driver.load(folder / f"target_bpp_{rate:g}") for folder in (stage1, stage2))
        assert (first.target_bpp, second.target_bpp) == (rate, rate)
        for network in ("analysis", "synthesis", "classifier"):
            for one, other in zip(weights(first, network), weights(second, network)):
                np.testing.assert_allclose(one, other, atol=1e-8)  # two steps of 1e-12
        (start,) = json.loads((stage2 / f"target_bpp_{rate:g}" / "environment.json").read_text())
        assert start["init_from"]["run"] == str(stage1 / f"target_bpp_{rate:g}")
        assert start["init_from"]["step"] == int(first.step)


def test_a_sweep_may_begin_with_shipped_weights_of_its_rates(stage1, tmp_path, monkeypatch):
    monkeypatch.setattr(zoo, "PLACE", tmp_path / "zoo")
    for rate in RATES:
        shutil.copytree(stage1 / f"target_bpp_{rate:g}", zoo.PLACE / f"cpm-made_up-{rate:g}")
    runs = train("cpm", tmp_path / "runs", init_from="cpm-made_up-0.1,cpm-made_up-0.5")
    for rate, run in zip(RATES, runs):
        (start,) = json.loads((run / "environment.json").read_text())
        assert start["init_from"]["run"] == str(zoo.PLACE / f"cpm-made_up-{rate:g}")


def test_a_run_goes_on_only_from_where_it_began(stage1, stage2, tmp_path, capsys):
    assert train("dsin", stage2, RATES[:1], init_from=stage1 / "target_bpp_0.1", side="raw_y") == [
        stage2 / "target_bpp_0.1"
    ]
    assert "target_bpp_0.1: finished before, at step 2." in capsys.readouterr().err
    with pytest.raises(common.UserError, match=r"began with .*target_bpp_0.1 at step 6, not with weights of its own\."):
        train("dsin", stage2, RATES[:1], side="raw_y")
    with pytest.raises(common.UserError, match=r"not with .*target_bpp_0.5 at step 6\. Name another --workdir"):
        train("dsin", stage2, RATES[:1], init_from=stage1 / "target_bpp_0.5", side="raw_y")


def test_a_rate_without_first_stage_is_named(stage1, tmp_path):
    with pytest.raises(common.UserError, match=r"cpm: holds several runs, but not target_bpp_0.3\."):
        train("dsin", tmp_path, (0.3,), init_from=stage1)
    with pytest.raises(common.UserError, match="nothing: holds no trained model"):
        train("dsin", tmp_path, (0.1,), init_from=tmp_path / "nothing")


def test_a_first_stage_of_another_size_is_refused(stage1, tmp_path):
    with pytest.raises(ValueError, match="Start from a model of the same preset and settings"):
        train("dsin", tmp_path, (0.1,), init_from=stage1, filters=4)
    assert not (tmp_path / "config.json").exists()


def test_results_are_of_files_that_were_decoded_with_y(stage2):
    result = rd_results.load(stage2 / "results.json")
    assert (result.name, result.meta["method"]) == ("DSIN with y as it is (tiny)", "dsin-raw_y")
    assert sorted(result.results["target_bpp"]) == list(RATES)
    assert result.meta["settings"]["side"] == "raw_y"
    assert "target_bpp" not in result.description
    for rate in RATES:
        folder = stage2 / f"target_bpp_{rate:g}"
        model = models.load(folder)
        for index, image in enumerate(result.images):
            x, y = Pairs("test").read(index)
            blob = (folder / "files" / f"{index:05d}.dsin").read_bytes()
            at = image.points["target_bpp"].index(rate)
            point = {column: values[at] for column, values in image.points.items()}
            assert point["bpp"] == pytest.approx(8 * len(blob) / (24 * 40))
            assert point["bpp-payload"] == pytest.approx(8 * sum(bitstream.inspect(blob).lengths) / (24 * 40))
            estimated = float(model((x[None], y[None]), training=False)["bpp_estimated"][0])
            assert point["bpp-estimated"] == pytest.approx(estimated, rel=1e-4)
            assert point["psnr-rgb"] == pytest.approx(metrics.psnr(x, model.decompress(blob, y)))


def test_tables_are_by_target(stage2):
    table = codec_driver.evaluation_table(rd_results.load(stage2 / "results.json"))
    assert table.corner[0] == "target_bpp"
    assert sorted(row.labels[0] for row in table.rows) == ["0.1", "0.5"]
    table = codec_driver.training_table("title", codec_driver.run_folders(stage2))
    assert [row.labels[0] for row in table.rows] == ["0.1", "0.5"]


def test_pictures_of_variants_have_names_of_their_own(stage2):
    (folder,) = (stage2 / "pictures").iterdir()
    assert sorted(p.name for p in folder.iterdir()) == ["dsin-raw_y.json", "dsin-raw_y.png", "x.png", "y.png"]


def test_every_ablation_is_a_variant_with_a_label():
    for name, settings in dsin.ABLATIONS.items():
        model = models.create("dsin", "tiny", **settings)
        assert model.variant == ("" if name == "none" else name)
        assert codec_driver.method(model) in dsin.FAMILY.labels


def test_a_model_without_side_information_takes_images(tmp_path):
    save("dsin", tmp_path, **dsin.ABLATIONS["no_si"])
    result = rd_results.load(codec_driver.evaluate(tmp_path, Images("test"), NATIVE, dsin.FAMILY.labels))
    assert result.name == "DSIN without side information (tiny)"
    blob = tmp_path / "files" / "00000.dsin"
    codec_driver.decompress(tmp_path, blob, tmp_path / "x_hat.png")
    expected = models.load(tmp_path).decompress(blob.read_bytes())
    np.testing.assert_array_equal(images.read(tmp_path / "x_hat.png"), expected)
    with pytest.raises(common.UserError, match=r"dsin-no_si takes no side information\. Leave --side=y\.png out"):
        codec_driver.decompress(tmp_path, blob, tmp_path / "x_hat.png", side="y.png")


def test_evaluation_needs_pairs(stage2, tmp_path):
    with pytest.raises(common.UserError, match="made_up is a source of images; dsin decodes with side information"):
        codec_evaluation.measure(
            lambda: models.load(stage2 / "target_bpp_0.1"), Images("test"), NATIVE, tmp_path / "files", {}
        )
    assert not (tmp_path / "files").exists()


def test_a_picture_goes_through_a_file_and_back_with_y(stage2, tmp_path):
    x, y = Pairs("test").read(1)
    images.write(tmp_path / "x.png", x)
    images.write(tmp_path / "y.png", y)
    images.write(tmp_path / "small.png", y[:, :32])
    folder = stage2 / "target_bpp_0.5"
    codec_driver.compress(folder, tmp_path / "x.png", tmp_path / "x.dsin")
    line = codec_driver.decompress(folder, tmp_path / "x.dsin", tmp_path / "x_hat.png", tmp_path / "y.png")
    assert line == f"{tmp_path / 'x_hat.png'}: 24x40"
    blob = (tmp_path / "x.dsin").read_bytes()
    np.testing.assert_array_equal(images.read(tmp_path / "x_hat.png"), models.load(folder).decompress(blob, y))
    with pytest.raises(common.UserError, match="dsin decodes with side information and there is no --side"):
        codec_driver.decompress(folder, tmp_path / "x.dsin", tmp_path / "no.png")
    with pytest.raises(images.ImageError, match="24x32"):
        codec_driver.decompress(folder, tmp_path / "x.dsin", tmp_path / "no.png", tmp_path / "small.png")
    assert not (tmp_path / "no.png").exists()


def test_published_weights_become_a_run_directory(tmp_path, capsys):
    prefix = published.write(tmp_path / "model", published.random_numbers())
    workdir = tmp_path / "authors"
    line = codec_driver.import_weights(dsin.FAMILY, prefix, workdir, {"target_bpp": 0.02})
    assert line.startswith(f"{workdir}: DSIN, 10115759 parameters, step 123")
    x, y = (lively.picture(24, 40, seed)[None] for seed in (1, 2))
    model = codec_driver.load(workdir)
    x_hat = model.decompress(model.compress(x[0]), y[0])
    np.testing.assert_allclose(x_hat, np.clip(model((x, y))["x_hat"][0], 0, 255), atol=0.6)
    with pytest.raises(common.UserError, match=r"holds a model already \(model\.json\)"):
        codec_driver.import_weights(dsin.FAMILY, prefix, workdir, {})


def test_the_published_schedule_is_that_of_the_release():
    full, alone = (training.Config(**without_crop(dsin.FAMILY.training_config(m, "paper"))) for m in ("dsin", "cpm"))
    assert (full.steps, full.batch_size, full.learning_rate) == (300_000, 1, 1e-4)
    assert (full.schedule, full.decay_steps) == ("staircase", 31_520)
    assert (alone.batch_size, alone.learning_rate, alone.schedule) == (30, 1e-4, "constant")
    assert dsin.FAMILY.training_config("cpm", "paper")["crop"] == (160, 160)


def without_crop(arguments):
    return {key: value for key, value in arguments.items() if key != "crop"}


# ---------------------------------------------------------------------------------------------------------------------
# From outside.


def test_by_flags_through_both_stages(tmp_path):
    for k in range(2):
        x, y = Pairs().read(k)
        images.write(tmp_path / "data" / "left" / f"{k}.png", x)
        images.write(tmp_path / "data" / "right" / f"{k}.png", y)
    shared = ("--dataset=pairs", f"--data_dir={tmp_path / 'data'}")
    tiny = ("--mode=train", "--preset=tiny", "--steps=3", "--target_bpp=0.3", *shared)
    trained = drive("dsin", *tiny, "--model=cpm", "--crop=16x24", "--distortion=mse", f"--workdir={tmp_path / 'cpm'}")
    assert trained.returncode == 0, trained.stderr
    assert "Autoencoder alone (CPM), preset tiny, trained on pairs" in trained.stdout
    configuration = json.loads((tmp_path / "cpm" / "config.json").read_text())
    assert configuration["data"]["protocol"]["train_crop"] == [16, 24]
    assert configuration["model"]["distortion"] == "mse"
    more = ("--ablation=no_mask", "--patch_size=4x6", "--alpha=0.5", "--fetch=resample")
    trained = drive("dsin", *tiny, *more, f"--init_from={tmp_path / 'cpm'}", f"--workdir={tmp_path / 'dsin'}")
    assert trained.returncode == 0, trained.stderr
    described = json.loads((tmp_path / "dsin" / "config.json").read_text())["model"]
    expected = {"name": "dsin", "mask": False, "patch_size": [4, 6], "alpha": 0.5, "fetch": "resample"}
    assert {**described, **expected, "side": "si_finder", "target_bpp": 0.3} == described
    evaluated = drive("dsin", "--mode=evaluate", *shared, f"--workdir={tmp_path / 'dsin'}")
    assert evaluated.returncode == 0, evaluated.stderr
    assert "DSIN without mask (tiny)" in evaluated.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--mode=import", "--workdir=w"), "--mode=import needs --checkpoint"),
        (("--mode=import", "--workdir=w", "--checkpoint=nowhere"), "nowhere: holds no checkpoint that can be read"),
        (("--mode=train", "--workdir=w", "--model=cpm", "--ablation=raw_y"), "--model=cpm has no side. Leave out"),
        (("--mode=train", "--workdir=w", "--patch_size=8"), "--patch_size=8: HEIGHTxWIDTH in pixels was expected"),
        (("--mode=train", "--workdir=w", "--target_bpp=0"), "--target_bpp=0: a number above 0 was expected."),
    ],
)
def test_mistakes_end_in_one_line(arguments, message):
    shown = drive("dsin", *arguments)
    assert (shown.returncode, shown.stdout) == (1, "")
    assert shown.stderr.startswith(f"error: {message}")
    assert shown.stderr.count("\n") == 1


def test_a_family_without_published_weights_has_no_import():
    shown = drive("balle", "--mode=import")
    assert shown.returncode == 1
    assert "--mode" in shown.stderr
