"""The tables of Wang et al. beside results made by hand."""

import json

import numpy as np
import pytest

from dsin_tf import data
from eval import published_numbers, report
from experiments import common, dsc_msf_figures, kept_pictures
from tests.experiments import driving, figure_cases, set_cases

RATES = ("0.02", "0.04", "0.06", "0.08", "0.10", "0.20")
SLUG = "kitti_scenes_test_native_sets_of_2"


@pytest.fixture
def results(tmp_path):
    """Results of the codec alone, DSC-MSF and JPEG 2000, as one pattern."""
    folder = tmp_path / "results"
    set_cases.codec(folder / "codec.json")
    set_cases.sets(folder / "dsc.json")
    jpeg2000 = {
        image: {
            "bpp": [0.02, 0.08, 0.32],
            "psnr-rgb": [20.0 + at, 22.0 + at, 24.0 + at],
            "ms-ssim-rgb": [0.5, 0.6, 0.7],
            "ms-ssim-dsin": [0.7, 0.8, 0.9],
        }
        for at, image in enumerate(set_cases.IMAGES)
    }
    set_cases.save(folder / "jpeg2000.json", "jpeg2000", jpeg2000)
    return [str(folder / "*.json")]


def by_stem(made):
    return {each.stem: each for each in made}


def row_of(rows, *labels):
    """The row of a CSV whose first cells are `labels`."""
    (found,) = (row for row in rows if tuple(row.values())[: len(labels)] == labels)
    return found


def cells_of(table, *labels):
    (found,) = (row.cells for row in table.rows if row.labels == labels)
    return found


def texts(cells):
    return [cell.text for cell in cells]


def test_published_rows_are_those_that_the_paper_prints(results, tmp_path):
    made = by_stem(dsc_msf_figures.compare_psnr(results) + dsc_msf_figures.compare_ms_ssim(results))
    printed = {table.title: table for table in published_numbers.tables(paper="dsc_msf")}
    for title, stem in (("PSNR (dB)", "psnr"), ("MS-SSIM", "ms_ssim_dsin")):
        _, rows, picture = figure_cases.written(made[f"{stem}_{SLUG}"], tmp_path / "out")
        expected = printed[f"{title}, KITTI image sets"].rows
        assert len(expected) in (4, 5)
        for label, *values in expected:
            shown = row_of(rows, label, "published")
            assert [float(shown[rate]) if shown[rate] else None for rate in RATES] == values
        assert picture.std() > 10
    assert not [row for row in made[f"ms_ssim_rgb_{SLUG}"].table.rows if "published" in row.labels]


def test_ours_stand_beside_them_with_the_images_that_reach_a_rate(results):
    table = by_stem(dsc_msf_figures.compare_psnr(results))[f"psnr_{SLUG}"].table
    cells = cells_of(table, "Lee", "LEE2019-NO_CONTEXT")
    assert [cell.count if cell.value is not None else None for cell in cells] == [None, None, 3, 4, 4, 4]
    at_010 = [set_cases.at_rate(set_cases.codec_psnr(at), at, 0.1) for at in range(4)]
    assert cells[4].value == pytest.approx(np.mean(at_010))
    assert cells_of(table, "JPEG2000", "JPEG2000")[3].value == pytest.approx(22 + 1.5)
    assert "compare gains, not levels" in table.note
    assert "DSC_MSF: 200 steps" in table.note
    assert "LEE2019-NO_CONTEXT: 100 steps" in table.note


def test_what_is_not_measured_says_how_to(results):
    table = by_stem(dsc_msf_figures.compare_psnr(results))[f"psnr_{SLUG}"].table
    missing = {row.labels[1]: row.cells for row in table.rows if row.cells[0].note}
    assert all(cell.value is None for cells in missing.values() for cell in cells)
    notes = {label: cells[0].note.partition(": ")[2] for label, cells in missing.items()}
    assert notes == {
        "BPG (stand-in)": "experiments.anchors --codecs=bpg.",
        "Lee 2019": "--mode=evaluate of a run of --mode=train --model=lee2019 --context=ar.",
        "DSC-MSF trained jointly": "--mode=evaluate of a run of --mode=train --stage=joint.",
        "DSC-MSF with GRDN": "--mode=evaluate of a run of --mode=train --ablation=grdn.",
        "DSC-MSF with GRDN (lite)": "--mode=evaluate of a run of --mode=train --ablation=grdn_lite.",
        "DSC-MSF without side information": "--mode=evaluate of a run of --mode=train --ablation=no_side.",
        "DSC-MSF shown originals": "--mode=evaluate --ablation=original_reference of a run of --mode=train.",
        "DSC-MSF trained with originals, shown originals": "--mode=evaluate --ablation=original_reference of a run of "
        "--mode=train --ablation=original_training.",
    }


def test_gains_stand_beside_the_published_gains(results, tmp_path):
    made = by_stem(dsc_msf_figures.compare_psnr(results) + dsc_msf_figures.compare_ms_ssim(results))
    table = made[f"psnr_gains_{SLUG}"].table
    lee, jpeg2000 = "Proposed (IEN) − Lee", "Proposed (IEN) − JPEG2000"
    assert texts(cells_of(table, lee, "published")) == ["+1.43", "+1.16", "+1.14", "+1.10", "+1.08", "+0.79"]
    assert texts(cells_of(table, jpeg2000, "published"))[::5] == ["+2.35", "+1.72"]
    ours = cells_of(table, lee, "DSC_MSF − LEE2019-NO_CONTEXT")
    assert [cell.count if cell.value is not None else None for cell in ours] == [None, None, 3, 4, 4, 4]
    # DSC-MSF's curves are those of files that are 0.001 bpp larger.
    differences = []
    for at, (alone, gain) in enumerate((set_cases.codec_psnr(at), (1 + at % 2, (1 + at % 2) / 2)) for at in range(4)):
        better = np.add(alone, gain)
        rates = np.add(set_cases.RATES[at], 0.001)
        differences.append(np.interp(np.log(0.1), np.log(rates), better) - set_cases.at_rate(alone, at, 0.1))
    assert ours[4].value == pytest.approx(np.mean(differences))
    nothing = cells_of(table, "Proposed (IEN) − No side information", "measured")
    assert [cell.value for cell in nothing] == [None] * 6

    dsin = made[f"ms_ssim_dsin_gains_{SLUG}"].table
    expected = ["+0.0127", "+0.0096", "+0.0091", "+0.0083", "+0.0074", "+0.0049"]
    assert texts(cells_of(dsin, lee, "published")) == expected
    assert "takes the height of the image for the batch" in dsin.note
    assert not [row for row in made[f"ms_ssim_rgb_gains_{SLUG}"].table.rows if row.labels[1] == "published"]
    assert figure_cases.written(made[f"psnr_gains_{SLUG}"], tmp_path)[2].std() > 5


def test_codecs_with_and_without_context_model_are_never_mixed(results, tmp_path):
    set_cases.codec(tmp_path / "results" / "lee.json", "lee2019", gain=0.5)
    made = by_stem(dsc_msf_figures.compare_psnr(results))
    table = made[f"psnr_gains_{SLUG}"].table
    without, with_context = (
        cells_of(table, "Proposed (IEN) − Lee", f"DSC_MSF − {name}")[4].value
        for name in ("LEE2019-NO_CONTEXT", "LEE2019")
    )
    assert with_context == pytest.approx(without - 0.5)
    points = made[f"psnr_points_{SLUG}"]
    assert cells_of(points.table, "LEE2019", "0.0012")[5].value == pytest.approx(0.5)
    assert "less LEE2019-NO_CONTEXT" in points.table.note


def test_operating_points_are_compared_at_the_same_lmbda(results, tmp_path):
    content, rows, picture = figure_cases.written(
        by_stem(dsc_msf_figures.compare_psnr(results))[f"psnr_points_{SLUG}"], tmp_path / "out"
    )
    low, high = (row_of(rows, "DSC_MSF", lmbda) for lmbda in ("0.0002", "0.0012"))
    assert float(low["bpp"]) == pytest.approx((3 * 0.05 + 0.075) / 4 + 0.001, abs=1e-4)
    assert float(low["PSNR (dB)"]) == pytest.approx(25.5 + 1.5)  # 24 ... 27, and 1, 2, 1, 2
    assert (float(low["Δ PSNR (dB)"]), float(high["Δ PSNR (dB)"])) == (1.5, 0.75)
    assert float(low["Δ bpp"]) == 0.001
    assert float(low["Δ MS-SSIM"]) == pytest.approx(1.5 / 40, abs=1e-4)
    assert float(low["Δ MS-SSIM (DSIN)"]) == pytest.approx(1.5 / 80, abs=1e-4)
    assert row_of(rows, "LEE2019-NO_CONTEXT", "0.0002")["Δ PSNR (dB)"] == ""
    (entry,) = (e for e in content["points"] if e["method"] == "dsc_msf" and e["lmbda"] == 0.0012)
    # Differences of 0.5, 1, 0.5, 1: their deviation over the root of four.
    assert entry["differences"]["psnr-rgb"]["standard error"] == pytest.approx((0.25 / 3) ** 0.5 / 2)
    assert content["methods"]["dsc_msf"]["steps"] == 200
    assert picture.std() > 5


def test_an_lmbda_or_a_codec_that_is_missing_leaves_no_difference(tmp_path):
    set_cases.sets(tmp_path / "dsc.json")
    set_cases.sets(tmp_path / "no_side.json", "dsc_msf-no_side")
    made = by_stem(dsc_msf_figures.compare_psnr([str(tmp_path / "*.json")]))[f"psnr_points_{SLUG}"]
    assert all(cell.value is None for row in made.table.rows for cell in row.cells[4:])
    assert "--model=lee2019 --context=none" in made.table.note
    assert figure_cases.written(made, tmp_path / "out")[2].std() > 1


def test_ablations_stand_beside_the_model_and_the_quoted_rates(results, tmp_path):
    gains = ((0.5, 0.5), (1, 1), (0.5, 0.5), (1, 1))
    for name in ("no_msf", "no_ir", "no_ien-no_ir", "grdn_lite", "original_reference"):
        set_cases.sets(tmp_path / "results" / f"{name}.json", f"dsc_msf-{name}", gains, parameters=1234)

    (made,) = dsc_msf_figures.compare_ablation("msf", results)
    content, rows, picture = figure_cases.written(made, tmp_path / "out")
    assert made.stem == f"msf_points_{SLUG}"
    assert row_of(rows, "published: MSF, first picture", "without")["bpp"] == "0.0435"
    assert row_of(rows, "published: MSF, second picture", "with")["bpp"] == "0.0512"
    assert float(row_of(rows, "DSC_MSF-NO_MSF", "0.0002")["Δ PSNR (dB)"]) == -0.75
    assert float(row_of(rows, "LEE2019-NO_CONTEXT", "0.0012")["Δ PSNR (dB)"]) == -0.75
    assert "parameters" not in rows[0]
    assert content["beside"] == "dsc_msf"
    assert picture.std() > 5

    (made,) = dsc_msf_figures.compare_ablation("ir_ien", results)
    labels = [row.labels[0] for row in made.table.rows]
    assert labels[:2] == ["published: IR and IEN"] * 2
    assert labels.count("DSC_MSF-NO_IEN-NO_IR") == labels.count("DSC_MSF-NO_IR") == 2
    assert "--ablation=no_ien" in cells_of(made.table, "DSC-MSF without IEN", "–")[0].note

    (made,) = dsc_msf_figures.compare_ablation("reference", results)
    assert cells_of(made.table, "DSC_MSF-ORIGINAL_REFERENCE", "0.0002")[5].value == pytest.approx(-0.75)
    assert not [row for row in made.table.rows if row.labels[0].startswith("published")]

    made = by_stem(dsc_msf_figures.compare_ablation("grdn", results))
    assert set(made) == {f"{stem}_{SLUG}" for stem in ("grdn", "grdn_gains", "grdn_points")}
    published, ours = made[f"grdn_gains_{SLUG}"].table.rows
    assert texts(published.cells) == ["+0.72", "+0.54", "+0.48", "+0.47", "+0.46", "+0.36"]
    assert ours.labels[1] == "DSC_MSF − DSC_MSF-GRDN_LITE"
    points = made[f"grdn_points_{SLUG}"].table
    assert points.columns[-1] == "parameters"
    assert cells_of(points, "DSC_MSF-GRDN_LITE", "0.0002")[-1].text == "1234"
    assert cells_of(points, "DSC_MSF", "0.0002")[-1].value is None


def test_an_ablation_that_no_data_set_has_is_named(results):
    with pytest.raises(common.UserError, match=r"no data set with 2 of dsc_msf, dsc_msf-no_msf\. Measure them"):
        dsc_msf_figures.compare_ablation("msf", results)


def test_pictures_stand_beside_the_quoted_rates(tmp_path):
    pairs = driving.Pairs("test", 48, 64)
    ((index, folder),) = kept_pictures.folders(pairs, tmp_path / "pictures", 1).items()
    kept_pictures.write_originals(pairs, data.protocols.get("native"), {index: folder})
    about = {"bpp": 0.06, "psnr-rgb": 22.0, "ms-ssim-rgb": 0.9, "target_bpp": 0.06}
    for off, method in enumerate(("lee2019-no_context", "dsc_msf", "dsc_msf-no_msf", "jpeg2000")):
        about = {**about, "psnr-rgb": 22.0 + off}
        kept_pictures.write(folder, method, method.upper(), pairs.read_x(index) // 2, about)
    (made,) = dsc_msf_figures.compare_pictures(tmp_path / "pictures")
    content, rows, picture = figure_cases.written(made, tmp_path / "out")
    assert [row["method"] for row in rows] == ["DSC_MSF-NO_MSF", "DSC_MSF", "LEE2019-NO_CONTEXT"]
    quoted = content["rates quoted by the authors (bpp)"]
    assert quoted[2] == {"ablation": "IR and IEN", "without": 0.0601, "with": 0.0573}
    assert picture.std() > 10


def test_figures_by_flags_make_a_section_of_the_report(results, tmp_path):
    out = tmp_path / "wang"
    shown = driving.drive("dsc_msf_figures", "--figure=psnr", f"--results={results[0]}", f"--out={out}")
    assert shown.returncode == 0, shown.stderr
    assert "+1.43" in shown.stdout
    stems = {path.stem for path in out.iterdir()}
    assert stems == {f"psnr_{SLUG}", f"psnr_gains_{SLUG}", f"psnr_points_{SLUG}"}
    page = report.build([], tmp_path / "report.html", published=False, figure_folders=[out]).read_text()
    for stem in stems:
        table = json.loads((out / f"{stem}.json").read_text())["table"]
        assert f"<caption>{table['title']}</caption>" in page
    assert "+1.43" in page


def test_a_figure_without_its_files_ends_in_one_line():
    shown = driving.drive("dsc_msf_figures", "--figure=visual")
    assert (shown.returncode, shown.stdout) == (1, "")
    assert shown.stderr.startswith("error: --figure=visual needs --pictures")
