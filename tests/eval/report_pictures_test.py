"""Figures of folders: read with their tables and pictures, named where they are not whole, sorted by exhibit."""

import base64
from pathlib import Path

import pytest

from eval import exhibits, report_pictures, tables
from tests.eval.report_cases import SVG, Page, write_figure


def test_figures_are_read_in_the_order_of_their_names_with_their_pictures(tmp_path):
    shown = {stem: write_figure(tmp_path, stem, end) for stem, end in (("b_0.08", ".svg"), ("a", ".png"))}
    a, b = report_pictures.drawn(tmp_path)
    assert (a.path.stem, b.path.stem) == ("a", "b_0.08")
    assert all(tables.to_html(shown[each.path.stem]) in each.html for each in (a, b))
    sources = [Page(each.html).all("img")[0]["src"] for each in (a, b)]
    assert sources == [
        "data:image/png;base64," + base64.b64encode((tmp_path / "a.png").read_bytes()).decode(),
        "data:image/svg+xml;base64," + base64.b64encode(SVG).decode(),  # which is taken where there are both
    ]
    assert Page(a.html).all("img")[0]["alt"] == "Gains of a & more: numbers in the table."


def test_of_a_figure_without_picture_the_table_is_shown(tmp_path):
    write_figure(tmp_path / "bare", "a", None)
    (figure,) = report_pictures.drawn(tmp_path / "bare")
    assert "<img" not in figure.html
    assert figure.html == tables.to_html(figure.table)


@pytest.mark.parametrize(("count", "folded"), [(20, False), (21, True)])
def test_a_long_table_is_folded(tmp_path, count, folded):
    rows = tuple(tables.Row((f"image {at}",), (tables.Cell(float(at)),)) for at in range(count))
    table = tables.Table("Every image", ("image",), ("value",), rows)
    page = Page(report_pictures.Drawn(tmp_path / "a.json", table).html)
    assert ("image 19" in page.folded) == folded
    assert "image 19" in page.text
    assert ("Every image: 21 rows" in page.text) == folded


def test_folders_without_whole_figures_are_named(tmp_path):
    with pytest.raises(report_pictures.FigureError, match="empty: holds no figure. Name the --out"):
        report_pictures.drawn(tmp_path / "empty")
    (tmp_path / "old").mkdir()
    for content in ('{"metric": 1}', "{", '{"table": {"title": "t"}}', "[]"):
        (tmp_path / "old" / "b.json").write_text(content)
        with pytest.raises(report_pictures.FigureError, match=r"b\.json: holds no table of a figure"):
            report_pictures.drawn(tmp_path / "old")


def names(path, paper=None):
    figure = report_pictures.Drawn(Path(path), tables.Table("t", ("",), (), ()), Path(path))
    return [each.exhibit for each in report_pictures.made_for(figure, exhibits.load(paper))]


def test_a_figure_is_for_the_exhibits_of_its_command():
    assert names("runs/dsin_figures/fig10_000.json") == ["Fig. 1", "Fig. 10"]
    assert names("runs/dsin_figures/tree_1.json") == []  # another command's name
    assert names("runs/ndic_figures/visual_0.json") == [
        "Pictures of the slides",
        "Pictures of the repository (teaser.png, example.png)",
        "Pictures",
    ]


def test_in_a_folder_of_another_name_the_figures_name_must_tell_the_command():
    assert names("runs/all/fig10_000.json") == ["Fig. 1", "Fig. 10"]
    assert names("runs/all/visual_0.json") == []


def test_figures_stand_under_their_exhibits_in_the_papers_order_others_last(tmp_path):
    folder = tmp_path / "dsin_figures"
    for stem in ("fig10_a", "fig5_a", "match", "fig5_b"):
        write_figure(folder, stem)
    text = Page(report_pictures.by_exhibit(report_pictures.drawn(folder), exhibits.load("dsin"))).text
    titles = [f"Gains of {stem}" for stem in ("fig10_a", "fig5_a", "fig5_b", "match")]
    parts = ["Fig. 1; Fig. 10", titles[0], "Fig. 5; Text, rate", titles[1], titles[2], "Others", titles[3]]
    order = [text.index(part) for part in parts]
    assert order == sorted(order)
