"""The page: contents of its sections, files beside it, folds."""

from eval import report_page
from eval.tables import Cell, Row, Table
from tests.eval.report_cases import Page

TABLE = Table("T", ("a",), ("b",), (Row(("full",), (Cell(1.0),)), Row(("empty",), (Cell(None, note="why"),))))


def test_the_contents_have_a_line_for_each_part(tmp_path):
    page = report_page.Page(tmp_path)
    for part, title, anchor in (("Papers", "A & B", "a"), ("Further", "C", "c"), ("Papers", "D", "d")):
        page.add(part, title, anchor, f"<p>body of {anchor}</p>")
    text = page.render("<T>", "<p>lead</p>", "<p>verdicts</p>")
    made = Page(text)
    assert list(made.sections) == ["how-to-read", "a", "c", "d"]
    contents = text[text.index("<nav") : text.index("</nav>")]
    assert [Page(line).text for line in contents.splitlines()[1:-1]] == [
        "StartHow to read this",
        "PapersA & B D",
        "FurtherC",
    ]
    assert "<h1>&lt;T&gt;</h1>" in text
    assert "body of d" in made.sections["d"]
    assert "verdicts" in made.sections["how-to-read"]


def test_a_table_is_written_whole_also_where_less_of_it_is_shown(tmp_path):
    page = report_page.Page(tmp_path)
    shown = page.table(TABLE, "t", report_page.filled(TABLE))
    assert "full" in shown
    assert "empty" not in shown
    assert "empty" in (tmp_path / "tables" / "t.csv").read_text()
    assert "why" in (tmp_path / "tables" / "t.md").read_text()
    assert "empty" in page.table(TABLE, "t")


def test_a_fold_has_a_summary_and_nothing_is_folded_where_there_is_nothing():
    assert Page(report_page.fold("a < b", "<p>body</p>")).text.split() == ["a", "<", "b", "body"]
    assert report_page.fold("a", "") == ""
    assert report_page.plots([]) == report_page.plots(["", ""]) == ""


def test_one_is_not_plural():
    assert [report_page.counted(n, "plot") for n in (0, 1, 2)] == ["0 plots", "1 plot", "2 plots"]
