"""Curves, gains of side information and sweeps of weights, of results made by hand."""

import json

import pytest

from eval import report
from experiments import common, multichannel_figures
from tests.experiments import driving, figure_cases
from tests.experiments.multichannel_cases import QUARTER, row_of, rows_of, save

SIDE = "multichannel-chroma_mask-side"
WITHOUT = "multichannel-chroma_mask"


def test_curves_are_means_of_the_codecs_that_have_the_metric(tmp_path):
    save(tmp_path / "fusion.json", "multichannel", {"a": (QUARTER, (30, 34)), "b": ((0.35, 1.1), (32, 36))})
    save(tmp_path / "jpeg.json", "jpeg", {"a": (QUARTER, (24, 28))}, colour=False)
    made = {each.stem: each for each in multichannel_figures.compare_curves([str(tmp_path / "*.json")])}
    assert set(made) == {"curves_psnr-rgb_kodak_all_native", "curves_rgb-angle_kodak_all_native"}
    content, _, picture = figure_cases.written(made["curves_psnr-rgb_kodak_all_native"], tmp_path / "out")
    drawn = {each["method"]: each["curve"] for each in content["methods"]}
    assert drawn["multichannel"] == {"bpp": [pytest.approx(0.3), pytest.approx(1.05)], "psnr-rgb": [31, 35]}
    assert set(drawn) == {"multichannel", "jpeg"}
    assert picture.std() > 10
    assert [each["method"] for each in made["curves_rgb-angle_kodak_all_native"].data["methods"]] == ["multichannel"]


def test_side_information_is_compared_with_the_same_model_without(tmp_path):
    for dataset, more in (("street", 1), ("kitti_small", -0.5)):
        images = {"a": (QUARTER, (30, 34)), "b": (QUARTER, (32, 36))}
        save(tmp_path / dataset / "without.json", WITHOUT, images, dataset=dataset)
        images = {"a": (QUARTER, (30 + more, 34 + more)), "b": (QUARTER, (32.25, 36.25))}
        save(tmp_path / dataset / "side.json", SIDE, images, dataset=dataset)
    (made,) = multichannel_figures.gain_of_side([str(tmp_path / "*" / "*.json")], 0.5)
    rows = rows_of(made.table)
    assert float(row_of(rows, "Street, all", WITHOUT.upper())["PSNR (dB)"]) == pytest.approx(33)
    assert float(row_of(rows, "Street, all", SIDE.upper())["PSNR (dB)"]) == pytest.approx(33.625)
    assert float(row_of(rows, "Street, all", "gain")["PSNR (dB)"]) == pytest.approx(0.625)
    assert row_of(rows, "Street, all", "better on")["PSNR (dB)"] == "2 of 2"
    assert float(row_of(rows, "KITTI, small, all", "gain")["angle (°)"]) == pytest.approx(0.125)  # worse
    assert row_of(rows, "KITTI, small, all", "better on")["angle (°)"] == "1 of 2"
    assert [each["dataset"] for each in made.data["data"]] == ["kitti_small", "street"]


def test_side_information_needs_the_model_without(tmp_path):
    path = save(tmp_path / "side.json", SIDE, {"a": (QUARTER, (30, 34))})
    with pytest.raises(common.UserError, match=f"there is {SIDE} but not {WITHOUT}"):
        multichannel_figures.gain_of_side([path])
    path = save(tmp_path / "without.json", WITHOUT, {"a": (QUARTER, (30, 34))})
    with pytest.raises(common.UserError, match="holds no result that this figure is about"):
        multichannel_figures.gain_of_side([path])


def test_sweeps_have_a_row_for_each_rate_weight_and_nu(tmp_path):
    for nu, psnr in ((2.0, (30, 33)), (0.5, (31, 34))):
        save(tmp_path / f"{nu}.json", "multichannel", {"a": (QUARTER, psnr)}, settings={"nu": nu})
        document = json.loads((tmp_path / f"{nu}.json").read_text())
        document["results"].update({"rate_weight": [20, 5], "step": [100, 90], "map-share": [0.2, 0.4]})
        document["results"].update({"bpp-raw": [0.3, 1.1], "lab-difference": [4.0, 3.0]})
        (tmp_path / f"{nu}.json").write_text(json.dumps(document))
    save(tmp_path / "jpeg.json", "jpeg", {"a": (QUARTER, (24, 28))})
    (made,) = multichannel_figures.compare_weights([str(tmp_path / "*.json")])
    content, rows, picture = figure_cases.written(made, tmp_path / "out")
    assert [(row["nu"], row["rate_weight"], row["steps"]) for row in rows] == [
        *(("0.5", "5", "90"), ("0.5", "20", "100"), ("2", "5", "90"), ("2", "20", "100"))
    ]
    assert [float(row["PSNR-Y (dB)"]) for row in rows] == [35, 32, 34, 31]
    first = {"map's mean": 0.4, "bpp uncoded": 1.1, "bpp": 1, "PSNR (dB)": 34, "ΔE76": 3, "angle (°)": 6}
    assert {column: float(rows[0][column]) for column in first} == first
    assert "bpp estimated" not in rows[0]  # not measured
    assert {point["nu"] for point in content["points"]} == {0.5, 2.0}
    assert picture.std() > 10
    with pytest.raises(common.UserError, match="holds no result that this figure is about"):
        multichannel_figures.compare_weights([str(tmp_path / "jpeg.json")])


def test_figures_by_flags_make_a_section_of_the_report(tmp_path):
    for method in ("content_weighted", "multichannel"):
        save(tmp_path / "results" / f"{method}.json", method, {"a": (QUARTER, (30, 34)), "b": (QUARTER, (28, 34))})
    results, out = f"--results={tmp_path}/results/*.json", tmp_path / "poster"
    shown = driving.drive("multichannel_figures", "--figure=table", results, "--bpp=0.5", f"--out={out}")
    assert shown.returncode == 0, shown.stderr
    assert "+2.329" in shown.stdout
    stems = {path.stem for path in out.iterdir()}
    assert stems == {"table_kodak_all_native", "gains_kodak_all_native"}
    page = report.build([], tmp_path / "report.html", published=False, figure_folders=[out]).read_text()
    assert "Colours at 0.5 bpp, Kodak, all, 2 images" in page
    assert "49.436" in page


def test_a_figure_without_its_files_ends_in_one_line():
    shown = driving.drive("multichannel_figures", "--figure=map")
    assert (shown.returncode, shown.stdout) == (1, "")
    assert shown.stderr.startswith("error: --figure=map needs --workdirs")
