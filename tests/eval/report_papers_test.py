"""Sections of papers: each paper has one, figures find theirs, and what cannot be compared is folded."""

from pathlib import Path

import pytest

from eval import claims, exhibits, figures, published_numbers, report_groups, report_page, report_papers, tables
from eval.report_pictures import Drawn
from tests.eval.report_cases import Page, nothing_measured, result


@pytest.fixture(autouse=True)
def _no_png(monkeypatch):
    monkeypatch.setattr(figures, "to_png", lambda figure: b"")  # pages hold none of them, and they take time


def section(tmp_path, name, results=(), drawn=(), known=None):
    known = published_numbers.curves(name) if known is None else known
    groups = report_groups.group([(each, tmp_path / "results.json") for each in results])
    page = report_page.Page(tmp_path)
    style = figures.styles(results, known)
    return Page(report_papers.section(page, name, nothing_measured(), list(results), groups, known, style, list(drawn)))


def test_every_paper_has_one_section():
    members = [paper for papers in report_papers.MEMBERS.values() for paper in papers]
    assert len(members) == len(set(members))
    assert set(members) == set(published_numbers.papers()) == {each.paper for each in exhibits.load()}
    assert set(report_papers.MEMBERS) == set(report_papers.ABOUT) == {*claims.PAPERS, report_papers.BASELINES}


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("runs/dsin_figures/fig5_a.json", "dsin"),
        ("runs/dsin_figures/match.json", "dsin"),
        ("runs/my_ndic_figures_2/bd_psnr.json", "ndic"),
        ("runs/multichannel_figures/table_kodak.json", "multichannel"),
        ("runs/multichannel_figures/channels.json", "baselines"),
        ("runs/figures/alpha_beta_000.json", "ndic"),
        ("runs/figures/tree_105.json", "dsc_msf"),
        ("runs/figures/visual_000.json", None),  # of three commands
        ("runs/figures/holiday.json", None),
    ],
)
def test_figures_are_sorted_by_folder_and_name(path, name):
    table = tables.Table("t", ("",), (), ())
    assert report_papers.section_of(Drawn(Path(path), table, Path(path))) == name


def test_published_tables_with_ours_are_open_and_say_nothing_of_what_was_not_measured(tmp_path):
    ours = result("dsc_msf", "DSC-MSF", dataset="kitti_scenes", protocol="unstated")
    made = section(tmp_path, "dsc_msf", [ours])
    (psnr, *_) = (t.title for t in published_numbers.tables("dsc_msf"))
    assert psnr in made.text
    assert psnr not in made.folded
    rows = made.text[made.text.index(psnr) :].partition("Codec")[2].partition("Wang, Shi")[0]
    assert rows.count("measured") == rows.count("difference") == 1
    assert rows.count("published") == 5
    assert "solid: ours, on kitti_scenes test, protocol unstated, 2 images" in made.text
    assert "Ablations" not in made.text


def test_published_tables_of_other_data_are_folded(tmp_path):
    ours = result("dsc_msf", "DSC-MSF", dataset="kodak", protocol="native")
    made = section(tmp_path, "dsc_msf", [ours])
    assert "DSC and multi-scale fusion (Wang et al., 2022): 2 plots and 3 tables with nothing of ours" in made.text
    assert all(table.title in made.folded for table in published_numbers.tables("dsc_msf"))
    assert "Published values only" in made.folded


def test_ablations_are_those_of_the_papers_models_beside_the_whole(tmp_path):
    names = ("dsin", "dsin-no_si", "lee2019", "lee2019-no_context", "dsc_msf-no_msf")
    results = [result(name, name.upper(), at, dataset="kodak") for at, name in enumerate(names)]
    made = section(tmp_path, "dsin", results, known=[])
    text = made.text.partition("Ablations")[2].partition("Everything shown")[0]
    assert "DSIN-NO_SI" in text
    assert "LEE" not in text
    assert "Ablations" not in section(tmp_path, "dsc_msf", results, known=[]).text  # of which the whole is not there
    assert sorted(path.name for path in (tmp_path / "tables").glob("ablations*.md")) == [
        "ablations_dsin_kodak_test_ndic_ms-ssim-rgb.md",
        "ablations_dsin_kodak_test_ndic_psnr-rgb.md",
    ]


def test_rates_so_low_that_they_would_squeeze_a_plot_are_left_to_the_table(tmp_path, monkeypatch):
    limits = []
    draw = figures.rate_distortion
    monkeypatch.setattr(
        figures, "rate_distortion", lambda *args, **more: limits.append(more["limits"]) or draw(*args, **more)
    )
    published = published_numbers.curves("ndic_cam")
    assert min(rate for curve in published for rate in curve.results["bpp"]) < 0.001
    section(tmp_path, "ndic", known=published)
    assert len(limits) == 2
    assert all(low > 0.009 for low, _ in limits)


def test_everything_that_a_paper_shows_is_listed_and_baselines_have_no_claims(tmp_path):
    made = section(tmp_path, "multichannel", known=[])
    assert all(each.exhibit in made.folded for each in exhibits.load("multichannel"))
    assert f"Everything shown there: {len(exhibits.load('multichannel'))} exhibits" in made.text
    count = sum(claim.paper == "multichannel" for claim in claims.load())
    assert f"{count} not measured here" in made.text
    assert "Claims" not in section(tmp_path, "baselines", known=[]).text
