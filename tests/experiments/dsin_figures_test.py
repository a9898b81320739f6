"""The commands of DSIN's figures, on models of a few channels and on results made by hand."""

import numpy as np
import pytest

from dsin_tf import data, layers, models
from eval import match_error, metrics
from experiments import codec_driver, common, dsin, dsin_figures, kept_pictures
from tests.dsin_tf.models import lively
from tests.experiments import driving, figure_cases

NATIVE = data.protocols.get("native")


PAIRS = driving.Pairs("test", 104, 112, 16)  # large enough for MS-SSIM


def save(name, folder, **settings):
    model = lively.make(name, **settings)
    model.prepare_for_coding()
    models.save(model, folder)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with an evaluated run of dsin and one of cpm."""
    folder = tmp_path_factory.mktemp("runs")
    for name in ("dsin", "cpm"):
        save(name, folder / name)
        codec_driver.evaluate(folder / name, PAIRS, NATIVE, dsin.FAMILY.labels)
    return folder


def test_curves_are_of_the_methods_that_the_figure_compares(tmp_path):
    names = ["dsin", "dsin-no_mask", "dsin-raw_y", "cpm", "jpeg2000", "balle2017"]
    paths = [figure_cases.result(tmp_path / f"{name}.json", name, gain=0.01 * k) for k, name in enumerate(names)]
    shown = {"5": {"dsin", "dsin-no_mask", "cpm", "jpeg2000"}, "8": {"dsin", "dsin-no_mask", "cpm"}}
    shown["11"] = {"dsin", "dsin-raw_y", "cpm"}
    for number, methods in shown.items():
        (made,) = dsin_figures.compare_curves(number, paths, "ms-ssim-rgb")
        content, rows, picture = figure_cases.written(made, tmp_path / "out")
        assert made.stem == f"fig{number}_kitti_small_test_native"
        assert {each["method"] for each in content["methods"]} == methods
        assert {row["bpp"] for row in rows} == {name.upper() for name in methods}
        assert picture.std() > 10
    dsin_curve = content["methods"][0]["curve"]
    assert dsin_curve["bpp"][0] == pytest.approx(0.1)
    assert dsin_curve["ms-ssim-rgb"][-1] == pytest.approx(0.8 + 0.1 + 0.01)  # the mean of two images at 0.2 bpp


def test_each_data_set_has_its_plot(tmp_path):
    figure_cases.result(tmp_path / "one.json", "dsin")
    figure_cases.result(tmp_path / "two.json", "dsin", dataset="kitti_general")
    made = dsin_figures.compare_curves("5", [str(tmp_path / "*.json")], "ms-ssim-rgb")
    assert sorted(each.stem for each in made) == ["fig5_kitti_general_test_native", "fig5_kitti_small_test_native"]


def test_results_that_do_not_make_the_figure_are_named(tmp_path):
    path = figure_cases.result(tmp_path / "one.json", "balle2017")
    with pytest.raises(common.UserError, match=r"no result of dsin, dsin-no_mask, cpm, which this figure compares"):
        dsin_figures.compare_curves("8", [path], "ms-ssim-rgb")
    path = figure_cases.result(tmp_path / "two.json", "dsin")
    with pytest.raises(common.UserError, match="--metric=psnr-rgb"):
        dsin_figures.compare_curves("8", [path], "psnr-rgb")


def test_strips_show_the_methods_of_their_figure(tmp_path):
    folders = kept_pictures.folders(PAIRS, tmp_path / "pictures", 2)
    kept_pictures.write_originals(PAIRS, NATIVE, folders)
    for index, folder in folders.items():
        for name, off in (("dsin", 2), ("dsin-no_mask", 4), ("cpm", 6)):
            picture = np.clip(PAIRS.read_x(index), 10, 240) + np.uint8(off)
            about = {"bpp": off / 20, "psnr-rgb": 30.0 - off, "ms-ssim-rgb": 0.9}
            kept_pictures.write(folder, name, name.upper(), picture, about)
        kept_pictures.write(folder, "bpg", "BPG", None, {"missing": "needs more"})
    for number, method in (("6", "dsin-no_mask"), ("10", "dsin")):
        made = dsin_figures.compare_pictures(number, tmp_path / "pictures")
        assert len(made) == 2
        content, rows, picture = figure_cases.written(made[0], tmp_path / "out")
        assert [each["method"] for each in content["methods"]] == [method, "cpm"]
        assert [float(row["bpp"]) for row in rows] == [0.1 if method == "dsin" else 0.2, 0.3]
        assert picture.std() > 10
    with pytest.raises(common.UserError, match="out: holds no pictures"):
        dsin_figures.compare_pictures("6", tmp_path / "out")


def test_correlation_and_gain_of_each_image(runs, tmp_path):
    (made,) = dsin_figures.correlation_and_gain(runs / "dsin", runs / "cpm", PAIRS, NATIVE)
    content, rows, picture = figure_cases.written(made, tmp_path)
    assert [row["image"] for row in rows] == list(PAIRS.names)
    model, alone = models.load(runs / "dsin"), models.load(runs / "cpm")
    for index, row in enumerate(content["images"]):
        x, y = PAIRS.read(index)
        blob, other = model.compress(x), alone.compress(x)
        assert row["bpp"] == pytest.approx(8 * len(blob) / (104 * 112))
        assert row["baseline bpp"] == pytest.approx(8 * len(other) / (104 * 112))
        with_y, without = (
            metrics.ms_ssim(x, model.decompress(blob, y), 7),
            metrics.ms_ssim(x, alone.decompress(other), 7),
        )
        assert row["ratio"] == pytest.approx(with_y / without, rel=1e-5)
        y_syn = model((x[None], y[None]))["y_syn"][0].numpy().astype(np.uint8)
        assert row["pearson"] == pytest.approx(metrics.patch_pearson(x, y_syn, (8, 8)), rel=1e-5)
    assert picture.std() > 5


def test_correlation_is_compared_on_equal_images_only(runs, tmp_path):
    other = driving.Pairs("test", 104, 112, 16)
    other.digest = "d2"
    with pytest.raises(common.UserError, match="Name the same images here and there"):
        dsin_figures.correlation_and_gain(runs / "dsin", runs / "cpm", other, NATIVE)
    with pytest.raises(common.UserError, match="is not evaluated yet"):
        dsin_figures.correlation_and_gain(runs / "dsin", tmp_path, PAIRS, NATIVE)
    with pytest.raises(common.UserError, match="cpm  ?searches no patches"):
        dsin_figures.correlation_and_gain(runs / "cpm", runs / "cpm", PAIRS, NATIVE)


def test_side_images_are_those_of_each_search(runs, tmp_path):
    made = dsin_figures.compare_side_images(runs / "dsin", PAIRS, NATIVE, 2)
    assert [each.stem for each in made] == ["fig9_00000-test_0", "fig9_00002-test_2"]
    content, rows, picture = figure_cases.written(made[0], tmp_path)
    model = models.load(runs / "dsin")
    for label, mask, in_y in (
        ("with mask", True, False),
        ("without mask", False, False),
        ("with mask, in y itself", True, True),
    ):
        finder = layers.SIFinder((8, 8), mask=mask)
        for index, row in enumerate(content[label]):
            x, y = PAIRS.read(index)
            out = model((x[None], y[None]))
            match = finder.match(out["x_dec"], y[None] if in_y else out["y_dec"])
            y_syn = finder.synthesize(match, y[None])[0].numpy().astype(np.uint8)
            assert row["psnr"] == pytest.approx(metrics.psnr(x, y_syn))
        (mean,) = (float(row["PSNR (dB)"]) for row in rows if row["y_syn"] == label)
        assert mean == pytest.approx(np.mean([row["psnr"] for row in content[label]]), abs=1e-3)
    assert picture.std() > 10


def test_matches_are_measured_at_each_rate_and_undistorted(tmp_path):
    for rate in (0.1, 0.5):
        save("dsin", tmp_path / "sweep" / f"target_bpp_{rate}", target_bpp=rate, seed=int(10 * rate))
    source = data.load("street", "test", size=(64, 96), limit=2, cache_dir=tmp_path / "street")
    (made,) = dsin_figures.measure_matches(tmp_path / "sweep", source, NATIVE)
    content, rows, picture = figure_cases.written(made, tmp_path / "out")
    assert [(row["target_bpp"], row["mask"]) for row in content["rows"][-2:]] == [(None, True), (None, False)]
    assert len(rows) == len(content["rows"]) == 6
    loaded = {rate: models.load(tmp_path / "sweep" / f"target_bpp_{rate}") for rate in (0.1, 0.5)}
    finders = {mask: layers.SIFinder((8, 8), mask=mask) for mask in (True, False)}
    for row in content["rows"]:
        errors = []
        for index in range(2):
            x, y = (image[None] for image in source.read(index))
            if row["target_bpp"] is not None:
                x, y = map(loaded[row["target_bpp"]].autoencode, (x, y))
            match = finders[row["mask"]].match(x, y)
            truth = source.disparity(index), source.occlusion(index)
            errors.append(match_error.match_errors(match, *truth, (8, 8)))
        errors = np.concatenate(errors)
        assert row["mean error"] == pytest.approx(errors.mean(), rel=0.02)
        assert row["within 2 px"] == pytest.approx(np.mean(errors <= 2), abs=0.01)
        assert row["patches"] == len(errors)
    assert picture.std() > 5
    with pytest.raises(common.UserError, match="has no known disparity. Choose street"):
        dsin_figures.measure_matches(tmp_path / "sweep", PAIRS, NATIVE)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--figure=5",), "--figure=5 needs --results"),
        (("--figure=7", "--workdir=w"), "--figure=7 needs --baseline"),
        (("--figure=5", "--results=nowhere.json"), "nowhere.json: cannot be read"),
    ],
)
def test_mistakes_end_in_one_line(arguments, message):
    shown = driving.drive("dsin_figures", *arguments)
    assert (shown.returncode, shown.stdout) == (1, "")
    assert shown.stderr.startswith(f"error: {message}")


def test_a_figure_by_flags(tmp_path):
    figure_cases.result(tmp_path / "dsin.json", "dsin")
    results, out = tmp_path / "*.json", tmp_path / "out"
    shown = driving.drive("dsin_figures", "--figure=8", f"--results={results}", f"--out={out}")
    assert shown.returncode == 0, shown.stderr
    assert "DSIN" in shown.stdout
    assert sorted(path.suffix for path in out.iterdir()) == [".csv", ".json", ".png", ".svg"]
