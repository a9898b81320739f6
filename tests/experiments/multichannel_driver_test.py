"""The driver of the codecs of bits with models of a few channels, on little pictures."""

import dataclasses
import json
import re

import numpy as np
import pytest

from dsin_tf import bitstream, data, images, models, training
from dsin_tf.training import metrics_file
from eval import metrics, rd_results
from experiments import codec_driver, common, multichannel
from tests.dsin_tf.models import lively
from tests.experiments.driving import Pairs, drive

NATIVE = data.protocols.get("native")
CONFIG = training.Config(steps=2, schedule="constant", learning_rate=1e-3, steps_per_epoch=2)
LABELS = multichannel.FAMILY.labels
WEIGHTS = (2.0, 20.0)
COLOUR = {"mse", "psnr-y", "ssim", "cmssim", "lab-difference", "lab-difference-00", "lab-mae", "rgb-angle"}


class Pictures:
    """Pictures of the sizes given."""

    name, kind, digest = "made_up", "images", "d1"

    def __init__(self, split, *sizes):
        self.split, self._sizes = split, sizes
        self.names = tuple(f"{split} {k}" for k in range(len(sizes)))

    def __len__(self):
        return len(self._sizes)

    def read_x(self, index):
        return lively.picture(*self._sizes[index], index + len(self.split))

    read = read_x


TRAIN = Pictures("train", (32, 40), (32, 40))
TEST = Pictures("test", (168, 176), (176, 168))


def train(name, workdir, settings, source=TRAIN, protocol=NATIVE, init_from=None):
    return codec_driver.train(name, "tiny", settings, source, None, protocol, CONFIG, workdir, init_from=init_from)


def save(name, folder, level=0.0, **settings):
    """A folder with a model as it would be after six steps; with a lower level it sends less."""
    model = lively.make(name, **settings)
    model.to_map.weights[-1].assign_add([level])
    model.step.assign(6)
    model.prepare_for_coding()
    models.save(model, folder)
    return model


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """The folder of two models, evaluated; the second one began from the first, so that all of it was with map."""
    folder = tmp_path_factory.mktemp("runs") / "fusion"
    for weight, level, without in zip(WEIGHTS, (0, -1), (2, 0)):
        place = folder / f"rate_weight_{weight:g}"
        save("multichannel", place, level, rate_weight=weight, steps_without_map=without)
    codec_driver.evaluate(folder, TEST, NATIVE, LABELS, pictures=1, colour=True)
    return folder


@pytest.fixture(scope="module")
def li(tmp_path_factory):
    """The folder of one content-weighted model, not evaluated."""
    folder = tmp_path_factory.mktemp("runs") / "li"
    save("content_weighted", folder, target_share=0.5)
    return folder


def points(result):
    """For each point of each image (index, {column: value})."""
    for index, image in enumerate(result.images):
        for at in range(len(image.points["bpp"])):
            yield index, {column: values[at] for column, values in image.points.items()}


def luma(image):
    return image.astype(float) @ [0.299, 0.587, 0.114]


def test_results_have_every_metric_of_the_poster(sweep):
    result = rd_results.load(sweep / "results.json")
    assert (result.name, result.meta["method"]) == ("Multi-channel (tiny)", "multichannel")
    assert sorted(result.results["rate_weight"]) == list(WEIGHTS)
    assert set(result.results) >= {"bpp", "bpp-raw", "map-share", "psnr-rgb", "ms-ssim-rgb", *COLOUR}
    found = list(points(result))
    assert len(found) == 4
    for index, point in found:
        x, folder = TEST.read(index), sweep / f"rate_weight_{point['rate_weight']:g}"
        x_hat = models.load(folder).decompress((folder / "files" / f"{index:05d}.dsin").read_bytes())
        error = x.astype(float) - x_hat
        assert point["mse"] == pytest.approx(np.mean(error**2))
        assert point["psnr-rgb"] == pytest.approx(10 * np.log10(255**2 / point["mse"]))
        squares = np.mean((luma(x) - luma(x_hat)) ** 2)
        assert point["psnr-y"] == pytest.approx(10 * np.log10(255**2 / squares))
        for column, expected in {
            "ssim": metrics.ssim(x, x_hat),
            "cmssim": metrics.cmssim(x, x_hat),
            "lab-difference": metrics.lab_difference(x, x_hat, "76"),
            "lab-difference-00": metrics.lab_difference(x, x_hat, "00"),
            "lab-mae": metrics.lab_difference(x, x_hat, "mae"),
            "rgb-angle": metrics.rgb_angle(x, x_hat),
        }.items():
            assert point[column] == pytest.approx(expected)


def test_results_have_every_rate(sweep):
    for index, point in points(rd_results.load(sweep / "results.json")):
        folder = sweep / f"rate_weight_{point['rate_weight']:g}"
        blob = (folder / "files" / f"{index:05d}.dsin").read_bytes()
        pixels = 168 * 176
        assert point["bpp"] == pytest.approx(8 * len(blob) / pixels)
        assert point["bpp-payload"] == pytest.approx(8 * sum(bitstream.inspect(blob).lengths) / pixels)
        assert point["bpp-payload"] == pytest.approx(point["bpp-estimated"], rel=0.01, abs=128 / pixels)
        model = models.load(folder)
        levels = model.decode_latents(blob)[1]["map"].numpy()
        raw = levels.size * 2 + levels.sum() * 2 + 2 * levels.size * 8  # the map, 8 / 4 channels a level, two colours
        assert point["bpp-raw"] == pytest.approx(raw / pixels)
        p, _ = model.encode(model.normalize(TEST.read(index)[None]))
        assert point["map-share"] == pytest.approx(p.numpy().mean(), rel=1e-5)


def test_a_sweep_is_one_model_however_its_trainings_began(sweep):
    settings = rd_results.load(sweep / "results.json").meta["settings"]
    assert settings["nu"] == 1
    assert "steps_without_map" not in settings


def test_the_table_shows_rates_and_colours(sweep):
    table = codec_driver.evaluation_table(rd_results.load(sweep / "results.json"))
    assert table.corner[0] == "rate_weight"
    assert {"bpp", "estimated", "raw", "mean p", "SSIM", "CMSSIM (ours)", "ΔE76", "angle (°)"} <= set(table.columns)


def test_colours_are_measured_only_where_asked_for(li, tmp_path):
    options = {"source": TEST, "protocol": NATIVE, "labels": LABELS}
    plain = rd_results.load(codec_driver.evaluate(li, out=tmp_path / "plain", **options))
    assert plain.name == "Li et al. 2018 (tiny)"
    assert not COLOUR & set(plain.results)
    assert {"bpp-raw", "map-share"} < set(plain.results)
    with pytest.raises(common.UserError, match="--colour is for images that are coded one by one"):
        codec_driver.evaluate(li, measure=lambda *args, **options: None, colour=True, **options)


def test_pictures_of_several_sizes_are_one_data_set(li, tmp_path):
    source = Pictures("test", (24, 40), (40, 24), (17, 11))
    path = codec_driver.evaluate(li, source, NATIVE, LABELS, out=tmp_path, colour=True)
    result = rd_results.load(path)
    assert [(image.height, image.width) for image in result.images] == [(24, 40), (40, 24), (17, 11)]
    assert COLOUR - set(result.results) == {"cmssim"}


def test_a_picture_smaller_than_the_crop_is_named(tmp_path):
    source = Pictures("train", (64, 64), (24, 40))
    crop = dataclasses.replace(NATIVE, train_crop=(32, 32))
    with pytest.raises(images.ImageError, match="The image is 24x40 .* cuts 32x32 out of it for training"):
        train("content_weighted", tmp_path, [{"target_share": 0.3}], source, crop)


# ---------------------------------------------------------------------------------------------------------------------
# Brightness alone.


def test_brightness_is_written_as_a_grey_picture(sweep, tmp_path):
    x, folder = lively.picture(33, 42), sweep / "rate_weight_20"
    images.write(tmp_path / "x.png", x)
    codec_driver.compress(folder, tmp_path / "x.png", tmp_path / "x.dsin")
    line = multichannel.decompress_luma(folder, tmp_path / "x.dsin", tmp_path / "grey.png")
    assert line == f"{tmp_path / 'grey.png'}: 33x42, brightness alone"
    grey = images.read(tmp_path / "grey.png")
    ycbcr = models.load(folder)(x[None])["ycbcr"][0].numpy()
    np.testing.assert_allclose(grey, np.clip(np.repeat(ycbcr[..., :1], 3, axis=-1), 0, 255), atol=0.502)


def test_files_without_brightness_of_its_own_have_none(li, sweep, tmp_path):
    images.write(tmp_path / "x.png", lively.picture(16, 24))
    codec_driver.compress(li, tmp_path / "x.png", tmp_path / "x.dsin")
    with pytest.raises(common.UserError, match="content_weighted does not code brightness by itself"):
        multichannel.decompress_luma(li, tmp_path / "x.dsin", tmp_path / "grey.png")
    with pytest.raises(bitstream.BitstreamError):
        multichannel.decompress_luma(sweep, tmp_path / "x.png", tmp_path / "grey.png")
    assert not (tmp_path / "grey.png").exists()


def test_brightness_needs_no_side_information(tmp_path):
    model = save("multichannel", tmp_path, side=True)
    x, y = Pairs().read(0)
    for name, picture in (("x", x), ("y", y)):
        images.write(tmp_path / f"{name}.png", picture)
    codec_driver.compress(tmp_path, tmp_path / "x.png", tmp_path / "x.dsin")
    with pytest.raises(common.UserError, match="multichannel decodes with side information and there is no --side"):
        codec_driver.decompress(tmp_path, tmp_path / "x.dsin", tmp_path / "x_hat.png")
    codec_driver.decompress(tmp_path, tmp_path / "x.dsin", tmp_path / "x_hat.png", tmp_path / "y.png")
    blob = (tmp_path / "x.dsin").read_bytes()
    np.testing.assert_array_equal(images.read(tmp_path / "x_hat.png"), model.decompress(blob, y))
    multichannel.decompress_luma(tmp_path, tmp_path / "x.dsin", tmp_path / "grey.png")
    np.testing.assert_array_equal(images.read(tmp_path / "grey.png")[..., 1], model.decode_luma(blob))


# ---------------------------------------------------------------------------------------------------------------------
# Learned contexts.


def test_contexts_are_learned_for_the_run_of_the_same_rate(sweep, tmp_path):
    settings = [{"rate_weight": 20.0, "context": "learned"}]
    (folder,) = train("multichannel", tmp_path, settings, init_from=sweep)
    (start,) = json.loads((folder / "environment.json").read_text())
    before, after = codec_driver.load(sweep / "rate_weight_20"), codec_driver.load(folder)
    assert start["init_from"]["identity"] == before.identity.hex()
    assert codec_driver.label(after, LABELS) == "Multi-channel with learned contexts (tiny)"
    assert before.identity != after.identity
    x = lively.picture(40, 48)
    np.testing.assert_array_equal(after.decompress(after.compress(x)), before.decompress(before.compress(x)))


def test_contexts_of_another_model_are_refused(sweep, tmp_path):
    settings = [{"context": "learned"}]
    with pytest.raises(ValueError, match="multichannel has rate_weight 2.0, rate_weight 5.0 was asked for. Give the"):
        train("multichannel", tmp_path / "run", settings, init_from=sweep / "rate_weight_2")
    assert not (tmp_path / "run").exists()


# ---------------------------------------------------------------------------------------------------------------------
# The family.


@pytest.mark.parametrize(
    ("name", "settings", "label"),
    [
        ("multichannel", {}, "Multi-channel"),
        ("multichannel", {"fuse_at": "none", "chroma_channels": 16}, "Multi-channel without fusion, 16"),
        ("multichannel", {"fuse_at": "feature"}, "Multi-channel with fusion of features, 8"),
        (
            "multichannel",
            {"chroma_channels": 64, "chroma_mask": True, "side": True, "context": "learned"},
            "Multi-channel with fusion, 64, with colours under the map, with side information, with learned contexts",
        ),
        ("content_weighted", {}, "Li et al. 2018"),
        ("content_weighted", {"context": "learned"}, "Li et al. 2018 with learned contexts"),
    ],
)
def test_every_variant_has_a_label(name, settings, label):
    assert codec_driver.label(models.create(name, "tiny", **settings), LABELS) == f"{label} (tiny)"


@pytest.mark.parametrize("name", multichannel.FAMILY.models)
def test_a_fifth_of_every_training_is_without_map(name):
    for preset in ("paper", "small"):
        steps = multichannel.FAMILY.training_config(name, preset)["steps"]
        assert models.presets(name)[preset]["steps_without_map"] == steps / 5


def test_each_model_has_its_own_rate_setting():
    family = multichannel.FAMILY
    assert family.rate_settings == ("rate_weight", "target_share")
    for name in family.models:
        assert family.rate_setting_for(name) in models.create(name, "tiny").settings


# ---------------------------------------------------------------------------------------------------------------------
# From outside.


def test_flags_make_the_model_that_is_trained_and_its_files(tmp_path):
    for k in range(2):
        images.write(tmp_path / "data" / f"{k}.png", lively.picture(24 + 8 * k, 40, k))
    images.write(tmp_path / "x.png", lively.picture(24, 40))
    workdir, places = f"--workdir={tmp_path / 'run'}", ("--dataset=images", f"--data_dir={tmp_path / 'data'}")
    given = {
        **{"fuse_at": "none", "chroma_channels": 3, "chroma_mask": True, "batch_norm": True, "nu": 0.5},
        **{"map_gradient": "global", "channels": 16, "levels": 8, "filters": 6, "steps_without_map": 3},
    }
    settings = [f"--{name}={str(value).lower()}" for name, value in given.items()]
    shared = ("--mode=train", "--preset=tiny", "--steps=4", "--crop=16x24", *places, workdir)
    validation = ("--val_dataset=street", "--limit=2")
    trained = drive("multichannel", *shared, "--rate_weight=7", *settings, *validation)
    assert trained.returncode == 0, trained.stderr
    assert "Multi-channel, preset tiny, trained on images" in trained.stdout
    configuration = json.loads((tmp_path / "run" / "config.json").read_text())
    for use, expected in {"train": ("images", "train", 2), "validation": ("street", "val", 2)}.items():
        assert tuple(configuration["data"][use][key] for key in ("name", "split", "count")) == expected
    described = configuration["model"]
    assert {**described, **given, "rate_weight": 7.0, "side": False, "context": "counts"} == described
    codec_driver.compress(tmp_path / "run", tmp_path / "x.png", tmp_path / "x.dsin")
    files = (f"--input={tmp_path / 'x.dsin'}", f"--output={tmp_path / 'grey.png'}")
    shown = drive("multichannel", "--mode=decompress", "--luma", workdir, *files)
    assert shown.stdout == f"{tmp_path / 'grey.png'}: 24x40, brightness alone\n", shown.stderr
    line = codec_driver.export(tmp_path / "run", tmp_path / "small", LABELS)
    assert "Multi-channel without fusion, 3, with colours under the map" in line


def test_flags_make_a_sweep_over_the_target_share(tmp_path):
    for k in range(2):
        images.write(tmp_path / "data" / f"{k}.png", lively.picture(24 + 8 * k, 40, k))
    workdir, places = f"--workdir={tmp_path / 'runs'}", ("--dataset=images", f"--data_dir={tmp_path / 'data'}")
    shared = ("--mode=train", "--model=content_weighted", "--preset=tiny", "--steps=10", *places, workdir)
    trained = drive("multichannel", *shared, "--target_share=0.2,0.5", "--gamma=2")
    assert trained.returncode == 0, trained.stderr
    for share in (0.2, 0.5):
        described = json.loads((tmp_path / "runs" / f"target_share_{share}" / "config.json").read_text())["model"]
        assert {**described, "target_share": share, "gamma": 2.0, "steps_without_map": 2} == described
        rows = metrics_file.read(tmp_path / "runs" / f"target_share_{share}" / "metrics.csv")
        assert 0 < rows[0]["p_mean"] <= 3 / 5  # of the first five steps two are without map
        assert rows[0]["p_mean"] < rows[-1]["p_mean"] < 1
    path = codec_driver.evaluate(tmp_path / "runs", Pictures("test", (24, 40)), NATIVE, LABELS)
    assert sorted(rd_results.load(path).results["target_share"]) == [0.2, 0.5]


def test_colours_are_measured_unless_the_flag_says_not_to():
    shown = drive("multichannel", "--help")
    assert re.search(r"--\[no\]colour\n +Also measure [^-]+\(default: true\)", shown.stdout)
    assert "[no]luma" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--mode=train", "--workdir=w", "--target_share=0.3"), "--model=multichannel has no target_share; its rate"),
        (
            ("--mode=train", "--workdir=w", "--model=content_weighted", "--chroma_mask"),
            "content_weighted has no setting 'chroma_mask'; its settings: filters, channels",
        ),
        (("--mode=train", "--workdir=w", "--rate_weight=published"), "--rate_weight=published: a number above 0"),
        (("--mode=train", "--workdir=w", "--context=learned"), "--context=learned trains contexts alone"),
        (("--mode=compress", "--luma"), "--luma is for --mode=decompress, not for compress."),
        (("--mode=decompress", "--luma", "--side=y.png"), "--luma takes no side information. Leave --side=y.png out."),
        (("--mode=decompress", "--luma"), "--mode=decompress needs --workdir"),
    ],
)
def test_mistakes_end_in_one_line(arguments, message, tmp_path):
    shown = drive("multichannel", *arguments)
    assert (shown.returncode, shown.stdout) == (1, "")
    assert shown.stderr.startswith(f"error: {message}")
    assert shown.stderr.count("\n") == 1
