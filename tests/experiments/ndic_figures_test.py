"""The commands of NDIC's figures, on models of a few channels and on results made by hand."""

import json

import numpy as np
import pytest

from dsin_tf import data, models
from eval import metrics, rd_results
from experiments import common, kept_pictures, ndic_figures
from tests.dsin_tf.models import lively
from tests.experiments import driving, figure_cases

NATIVE = data.protocols.get("native")
PAIRS = driving.Pairs("test", 104, 112, 16)  # large enough for MS-SSIM


def result(path, method, rates, psnr, **columns):
    """Results of two images, the second 2 dB better, without a common rate."""
    meta = {"method": method, "dataset": "kitti_small", "split": "test", "protocol": "native", "rate": "file"}
    images, off = [], ((0.5, -1), (1.5, 1))
    for k, (factor, better) in enumerate(off):
        points = {"bpp": [factor * rate for rate in rates], "psnr-rgb": [value + better for value in psnr]}
        images.append(rd_results.ImagePoints(f"{k}", 128, 256, points))
    means = {"bpp": list(rates), "psnr-rgb": list(psnr), **columns}
    rd_results.save(rd_results.RDResult(method.upper(), "", {**meta, "images": 2}, means, images), path)
    return str(path)


def test_curves_are_means_beside_the_published_ones(tmp_path):
    paths = [
        figure_cases.result(tmp_path / "ndic.json", "ndic_balle2017"),
        figure_cases.result(tmp_path / "avif.json", "avif"),
    ]
    made = {each.stem: each for each in ndic_figures.compare_curves(paths, ["ms-ssim-rgb"])}
    assert set(made) == {
        "curves_ms-ssim-rgb_kitti_small_test_native",
        "curves_ms-ssim-rgb_cityscapes_published",
    }
    content, rows, picture = figure_cases.written(made["curves_ms-ssim-rgb_kitti_small_test_native"], tmp_path / "out")
    ours = [each for each in content["methods"] if each["published by"] is None]
    assert [each["method"] for each in ours] == ["ndic_balle2017"]
    assert ours[0]["curve"]["bpp"] == [0.1, 0.2]
    theirs = {each["method"] for each in content["methods"] if each["published by"] == "ndic"}
    assert theirs == {"balle2017", "balle2018", "bpg", "dsin", "ndic_balle2017", "ndic_balle2018"}
    assert picture.std() > 10
    assert {row["bpp"] for row in rows} == {"NDIC_BALLE2017"}


def test_psnr_beside_published_curves_is_of_unclipped_images(tmp_path):
    unclipped = {"psnr-unclipped": [23.5, 25.0]}
    path = result(tmp_path / "ndic.json", "ndic_balle2018", (0.1, 0.2), (24.0, 26.0), **unclipped)
    document = json.loads((tmp_path / "ndic.json").read_text())
    for image in document["images"]:
        image["points"].update(unclipped)
    (tmp_path / "ndic.json").write_text(json.dumps(document))
    made, *_ = ndic_figures.compare_curves([path], ["psnr-rgb"])
    (ours,) = (each for each in made.data["methods"] if each["published by"] is None)
    assert ours["curve"] == {"bpp": [0.1, 0.2], "psnr-rgb": [23.5, 25.0]}


def test_pictures_stand_beside_the_quoted_rates(tmp_path):
    folder_of = kept_pictures.folders(PAIRS, tmp_path / "pictures", 1)
    kept_pictures.write_originals(PAIRS, NATIVE, folder_of)
    ((index, folder),) = folder_of.items()
    about = {"bpp": 0.03, "psnr-rgb": 22.0, "ms-ssim-rgb": 0.9, "target_bpp": 0.0152}
    kept_pictures.write(folder, "ndic_balle2017", "NDIC", PAIRS.read_x(index), about)
    kept_pictures.write(folder, "jpeg2000", "JPEG 2000", PAIRS.read_x(index), about)
    (made,) = ndic_figures.compare_pictures(tmp_path / "pictures")
    content, rows, _ = figure_cases.written(made, tmp_path / "out")
    assert [each["method"] for each in content["methods"]] == ["ndic_balle2017"]
    assert rows[0]["bpp"] == "0.0300"
    first = content["rates quoted by the authors"][0]
    assert (first["Ballé 2018"], first["DSIN"], first["NDIC (Ballé 2017)"]) == (0.0261, 0.0187, 0.0152)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two run directories with different weights of the loss."""
    folders = []
    for alpha, beta in ((1, 0.001), (0, 0)):
        model = lively.make("ndic_balle2017", alpha=alpha, beta=beta)
        model.prepare_for_coding()
        folders.append(tmp_path_factory.mktemp("runs") / f"{alpha}_{beta}")
        models.save(model, folders[-1])
    return folders


def test_latents_are_decoded_together_and_alone(runs, tmp_path):
    numbers, *pictures = ndic_figures.compare_weights(runs, PAIRS, NATIVE, count=1)
    content, rows, picture = figure_cases.written(numbers, tmp_path)
    assert [row["alpha, beta"] for row in rows] == ["1, 0.001", "0, 0"]
    assert [row["published bpp"] for row in rows] == ["0.1281", "0.1572"]
    model, run = models.load(runs[0]), content["runs"][0]
    for index, point in enumerate(run["images"]):
        x, y = PAIRS.read(index)
        assert point["bpp"] == pytest.approx(8 * len(model.compress(x)) / (104 * 112))
        out = model((x[None], y[None]))
        v_x, w = out["v_x"].numpy(), out["w"].numpy()
        for part, (of_x, of_y) in {"both": (1, 1), "w alone": (0, 1), "v_x alone": (1, 0)}.items():
            x_hat = 255 * model.synthesis(np.concatenate([of_x * v_x, of_y * w], axis=-1))[0, :104, :112]
            x_hat = np.clip(np.rint(x_hat), 0, 255).astype(np.uint8)
            measured = point["parts"][part]
            assert measured["psnr-rgb"] == pytest.approx(metrics.psnr(x, x_hat), abs=0.01)
            assert measured["colour"] == pytest.approx(metrics.colour_correlation(x, x_hat), abs=0.01)
            assert measured["coarse"] == pytest.approx(metrics.coarse_correlation(x, x_hat), abs=0.01)
            assert measured["fine"] == pytest.approx(metrics.fine_correlation(x, x_hat), abs=0.01)
    assert run["parts"]["both"]["psnr-rgb"] == pytest.approx(
        np.mean([point["parts"]["both"]["psnr-rgb"] for point in run["images"]])
    )
    assert picture.std() > 10
    (drawn,) = pictures
    content, rows, _ = figure_cases.written(drawn, tmp_path)
    assert [row["weights"] for row in rows] == ["alpha, beta = 1, 0.001", "alpha, beta = 0, 0"]


def test_bd_rates_are_those_of_the_means(tmp_path):
    # The second needs half the rate of the first everywhere, and nobody has a rate in common with the third.
    paths = [
        result(tmp_path / "a.json", "balle2017", (0.1, 0.4), (24.0, 28.0)),
        result(tmp_path / "b.json", "ndic_balle2017", (0.05, 0.2), (24.0, 28.0)),
        result(tmp_path / "c.json", "dsin", (0.1, 0.2), (10.0, 12.0)),
    ]
    (made,) = ndic_figures.compare_rates(paths)
    content, rows, picture = figure_cases.written(made, tmp_path / "out")
    assert content["measured"]["NDIC (Ballé 2017)"] == {"Ballé 2017": pytest.approx(-50)}
    assert content["measured"]["Ballé 2017"] == {"NDIC (Ballé 2017)": pytest.approx(100)}
    assert content["measured"]["DSIN"] == {}
    # Published curves of the same methods are compared with each other, here NDIC's with that of Ballé 2018.
    assert content["published"]["NDIC (Ballé 2018)"]["Ballé 2018"] < 0
    assert {row["codec"] for row in rows} >= {"NDIC (Ballé 2017)", "NDIC (Ballé 2018)"}
    assert picture.std() > 10


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda path: ndic_figures.compare_rates([str(path / "bpg.json")]), "no two results of one data set"),
        (lambda path: ndic_figures.compare_curves([str(path / "avif.json")]), "holds no result of ndic_cam"),
        (lambda path: ndic_figures.compare_rates([str(path / "avif.json")]), "holds no result of ndic_cam"),
        (lambda path: ndic_figures.compare_pictures(path), "holds no pictures"),
        (lambda path: ndic_figures.compare_weights([path / "cam"], PAIRS, NATIVE, 1), "ndic_cam was found"),
    ],
)
def test_what_does_not_make_a_figure_is_named(act, message, tmp_path):
    for method in ("bpg", "avif"):
        figure_cases.result(tmp_path / f"{method}.json", method)
    models.save(models.create("ndic_cam", "tiny"), tmp_path / "cam")
    with pytest.raises(common.UserError, match=message):
        act(tmp_path)
