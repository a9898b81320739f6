"""Claims on a page: what was measured stands in a table, the rest is folded, colours can be read."""

import re

import pytest

from eval import claims, report_claims, report_page
from tests.eval.report_cases import Page, checked


def cells(made):
    """The text of each table cell with its heading: [(heading, text)]."""
    return [(head, re.sub("<.*?>", "|", text)) for head, text in re.findall(r'<td data-head="(.+?)">(.*?)</td>', made)]


def test_a_measured_claim_shows_its_numbers_and_what_they_are_of():
    made = report_claims.section([checked(explanation="Because.")], "dsin")
    assert Page(made).text.count("A <is> better.") == 1
    shown = dict(cells(made))
    assert "+3 &lt;dB&gt;" in shown["published"]
    assert "Fig. 1" in shown["published"]
    assert "|+2.00 dB| |[+1.00, +3.00]|" in shown["measured"]
    assert "kitti_small test; 34 images; 9 steps" in shown["measured"]
    assert "reproduced" in shown["verdict"]
    assert "Because." in made
    assert "<details>" not in made


def test_what_was_not_measured_is_folded_with_its_reason():
    found = [checked(), *[checked("not measured", missing="b not <there>.", id=f"c{at}") for at in range(2)]]
    made = Page(report_claims.section(found, "dsin"))
    assert "2 not measured here: which, and what is missing" in made.text
    assert made.folded.count("b not <there>.") == 2
    assert "3 A <is> better." in made.folded
    assert "+2.00 dB" not in made.folded
    assert len(made.all("table")) == 2


def test_a_paper_of_which_nothing_was_measured_has_no_open_table():
    made = Page(report_claims.section([checked("not measured", missing="Nothing.")], "dsin"))
    assert [tag for tag, _ in made.tags if tag in ("details", "table")] == ["details", "table"]


def test_only_claims_of_the_paper_are_shown():
    other = checked(paper="ndic", statement="Another.")
    assert "Another." not in report_claims.section([checked(), other], "dsin")
    assert "1</span> Another." in report_claims.section([checked(), other], "ndic")


def test_a_command_is_named_once_with_the_claims_that_it_measures():
    found = [checked(commands=("run --a=<1>", "run b")), checked(commands=("run b",)), checked()]
    made = Page(report_claims.section(found, "dsin"))
    assert "Measure it again: 2 commands" in made.text
    assert re.findall(r"(run \S+) (claims? [\d, ]+)", made.folded) == [
        ("run --a=<1>", "claim 1"),
        ("run b", "claims 1, 2"),
    ]


def test_the_overview_has_the_headline_and_counts_all_claims():
    found = [
        checked(headline=True),
        checked("same sign", statement="More."),
        checked("same sign"),
        checked("not measured", paper="ndic", headline=True, missing="Nothing."),
    ]
    made = report_claims.overview(found)
    page = Page(made)
    assert [a["href"] for a in page.all("a")] == ["#paper_dsin", "#paper_ndic"]
    assert "More." not in page.text
    rows = re.findall(r"<tr>.*?</tr>", made)[1:]
    assert [Page(row).text.count("reproduced") for row in rows] == [2, 0]  # the verdict, and the count
    assert "1 reproduced 2 same sign" in Page(rows[0]).text
    assert "1 not measured" in Page(rows[1]).text
    shares = re.findall(r'class="([\w-]+)" style="flex-grow: (\d+)"', rows[0])
    assert shares == [("reproduced", "1"), ("same-sign", "2")]


def test_the_summary_counts_all_claims_and_is_nothing_where_nothing_was_measured():
    absent = checked("not measured", missing="Nothing.")
    assert "2 claims: 1 reproduced 1 not measured" in Page(report_claims.summary([checked(), absent])).text
    assert report_claims.summary([absent]) == ""


def luminance(colour):
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
def test_words_of_verdicts_can_be_read_on_their_ground(scheme):
    style = report_page.TEMPLATE.read_text(encoding="utf-8")
    blocks = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    colours = [dict(re.findall(r"--([\w-]+): (#\w+);", block.replace("#fff;", "#ffffff;"))) for block in blocks]
    found = colours[["light", "dark", "print"].index(scheme)]
    paper = luminance(found["paper"])
    for verdict in claims.VERDICTS:
        word = luminance(found[verdict.replace(" ", "-")])
        contrast = (max(word, paper) + 0.05) / (min(word, paper) + 0.05)
        assert contrast >= 4.5, verdict  # of the web's guidelines, for text of this size
