"""Tables say what they hold in every form, with counts and footnotes, and never make a number up."""

import csv
import html.parser
import io

import pytest
from rich.console import Console

from eval import curves, tables
from eval.rd_results import ImagePoints, RDResult
from eval.tables import Cell, Row, Table


def result(name, images, **meta):
    """A result from {image: (rates, PSNRs)}."""
    meta = {"method": name.lower(), "dataset": "made_up", "protocol": "native", "rate": "file", **meta}
    images = [ImagePoints(n, 8, 8, {"bpp": list(r), "psnr-rgb": list(v)}) for n, (r, v) in images.items()]
    return RDResult(name, "", meta, {"bpp": [], "psnr-rgb": []}, images)


MIXED = Table(
    "PSNR <dB>",
    ("codec",),
    ("0.10", "a|b"),
    (
        Row(("A & B",), (Cell(24.064, 2, count=13, best=True), Cell("text"))),
        Row(("C",), (Cell(None, note="floor is 0.2 bpp"), Cell(-0.5, 1, signed=True, note="other data"))),
        Row(("D",), (Cell(1.0, 2, count=2, note="floor is 0.2 bpp"), Cell(0.25, 1, signed=True))),
    ),
    note="Means of images.",
)


class Outline(html.parser.HTMLParser):
    """Collects (tag, attributes) and the text of every table cell."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.cells, self._open = [], [], []
        self.feed(text)
        assert not self._open, f"not closed: {self._open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._open.append(tag)
        if tag in ("th", "td"):
            self.cells.append("")

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if "th" in self._open or "td" in self._open:
            self.cells[-1] += data


def test_cells_print_their_value_and_a_dash_for_nothing():
    assert Cell(24.064).text == "24.06"
    assert Cell(-0.5, 1, signed=True).text == "−0.5"
    assert Cell(0.5, 1, signed=True).text == "+0.5"
    assert Cell("yes").text == "yes"
    assert Cell(None, count=0).text == "–"
    assert Cell(None, count=0).shown_count is None


def test_rows_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"row \('x',\) has 1 labels and 2 cells; 1 and 1 were expected"):
        Table("t", ("a",), ("b",), (Row(("x",), (Cell(1), Cell(2))),))


def test_markdown():
    assert tables.to_markdown(MIXED).splitlines() == [
        "**PSNR <dB>**",
        "",
        "| codec | 0.10 | a\\|b |",
        "|---|---:|---:|",
        "| A & B | **24.06 (n 13)** | text |",
        "| C | – [1] | −0.5 [2] |",
        "| D | 1.00 (n 2) [1] | +0.2 |",
        "",
        "Means of images.",
        "",
        "[1] floor is 0.2 bpp",
        "",
        "[2] other data",
    ]


def test_csv_has_plain_numbers_and_columns_for_counts_and_notes():
    rows = list(csv.DictReader(io.StringIO(tables.to_csv(MIXED))))
    assert rows[0] == {
        "codec": "A & B",
        "0.10": "24.0640",
        "0.10 n": "13",
        "0.10 note": "",
        "a|b": "text",
        "a|b note": "",
    }
    assert rows[1]["0.10"] == ""
    assert rows[1]["0.10 n"] == ""
    assert float(rows[1]["a|b"]) == -0.5
    assert rows[2]["0.10 note"] == "floor is 0.2 bpp"


def test_html_has_scoped_headings_escapes_text_and_marks_footnotes():
    outline = Outline(tables.to_html(MIXED))
    scopes = [attributes["scope"] for tag, attributes in outline.tags if tag == "th"]
    assert scopes == ["col", "col", "col", "row", "row", "row"]
    assert outline.cells[:3] == ["codec", "0.10", "a|b"]
    assert [" ".join(c.split()) for c in outline.cells[3:6]] == ["A & B", "24.06 n 13", "text"]
    assert [t for t, _ in outline.tags].count("li") == 2
    assert "<dB>" not in tables.to_html(MIXED)


def test_html_joins_equal_outer_labels():
    rows = [Row((codec, line), (Cell(1.0),)) for codec in "ab" for line in ("published", "measured")]
    outline = Outline(tables.to_html(Table("t", ("codec", ""), ("v",), tuple(rows))))
    heads = [(a["scope"], a.get("rowspan")) for tag, a in outline.tags if tag == "th"]
    assert heads[3:] == [("rowgroup", "2"), ("row", None), ("row", None)] * 2
    assert [t for t, _ in outline.tags].count("tbody") == 2


def test_terminal_shows_counts_and_footnotes():
    console = Console(width=100, file=io.StringIO(), color_system=None)
    console.print(tables.to_terminal(MIXED))
    text = console.file.getvalue()
    for part in ("PSNR <dB>", "24.06 (n 13)", "– [1]", "[2] other data", "Means of images."):
        assert part in text


A = result("A", {"p": ([0.02, 0.08], [20, 24]), "q": ([0.02, 0.08], [30, 34])})
B = result("B", {"p": ([0.03, 0.08], [23, 25]), "q": ([0.05, 0.08], [40, 41])})


def test_rate_table_gives_each_codec_its_own_mean_with_its_count():
    table = tables.rate_table([A, B], "psnr-rgb", (0.02, 0.04, 0.08))
    assert table.columns == ("0.02", "0.04", "0.08")
    assert [[(c.text, c.shown_count) for c in row.cells] for row in table.rows] == [
        [("25.00", 2), ("27.00", 2), ("29.00", 2)],
        [("–", None), ("23.59", 1), ("33.00", 2)],  # 23 + 2 log(4/3) / log(8/3) on image p alone
    ]
    assert not any(c.best for row in table.rows for c in row.cells)


def test_common_rate_table_compares_equal_images_and_marks_the_best():
    table = tables.rate_table([A, B], "psnr-rgb", (0.02, 0.04, 0.08), common=True)
    assert [[(c.text, c.shown_count, c.best) for c in row.cells] for row in table.rows] == [
        [("25.00", 2, False), ("22.00", 1, False), ("29.00", 2, False)],
        [("–", None, False), ("23.59", 1, True), ("33.00", 2, True)],
    ]


def test_rate_table_refuses_other_data():
    with pytest.raises(curves.CurveError, match="differ in dataset"):
        tables.rate_table([A, result("C", {}, dataset="else")], "psnr-rgb")


def test_rows_name_the_kind_of_rate_where_it_is_not_the_same_for_all():
    estimated = result("E", {"p": ([0.02, 0.08], [20, 24])}, rate="estimated")
    assert tables.row_labels([A, B]) == ["A", "B"]
    assert tables.row_labels([A, estimated]) == ["A (file rate)", "E (estimated rate)"]


RATES = [0.05, 0.1, 0.2, 0.4]


def test_bd_table_gives_differences_or_the_reason_why_not():
    anchor = result("anchor", {"p": (RATES, [20, 22, 24, 26])})
    better = result("better", {"p": ([r * 0.9 for r in RATES], [20, 22, 24, 26])})
    short = result("short", {"p": (RATES[:2], [20, 22])})
    table = tables.bd_table([anchor, better, short], anchor, "psnr-rgb")
    assert [row.labels for row in table.rows] == [("better",), ("short",)]
    cells = table.rows[0].cells
    assert [c.text for c in cells[:2]] == ["−10.0", "−10.0"]
    assert cells[2].text == cells[3].text == "+0.30"  # 2 dB an octave: -2 log2(0.9)
    assert cells[4].text == "20.00–26.00 dB; 0.05–0.36 bpp"
    assert all(c.value is None for c in table.rows[1].cells)
    assert "has 2 points" in table.rows[1].cells[0].note


def test_points_table_shows_achieved_rates():
    r = RDResult("A", "", A.meta, {"bpp": [0.0196, 0.04], "psnr-rgb": [20.0, 21.5], "images": [2, 2]})
    table = tables.points_table([r])
    assert table.columns == ("bpp", "images", "PSNR (dB)")
    assert [c.text for c in table.rows[0].cells] == ["0.0196", "2", "20.00"]
