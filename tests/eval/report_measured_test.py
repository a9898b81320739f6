"""Sections of data sets: which tables there are, what is open and what is folded; where results are from."""

from eval import figures, rd_results, report_groups, report_measured, report_page
from tests.eval.report_cases import RATES, Page, result, save_result


def group(*results):
    (found,) = report_groups.group([(each, report_page.TEMPLATE) for each in results])
    return found


def test_tables_of_a_group_begin_with_the_reach_and_follow_the_metrics():
    made = report_measured.tables_of(group(result("bpg", "BPG", 1.0, RATES[1:] + [0.5]), result("jpeg2000", "JPEG")))
    titles = [table.title for _, table in made]
    assert [key for key, _ in made][:2] == [None, "psnr-rgb"]
    assert titles[0] == "Codecs and the lowest rates they reach"
    assert "PSNR (dB) at equal rate, same images in every row" not in titles  # both codecs reach the same images
    assert "Bjøntegaard differences in PSNR" in titles
    own = made[1][1]
    assert own.columns == ("0.02", "0.04", "0.06", "0.08", "0.10", "0.20", "0.40")
    assert [c.text for c in own.rows[0].cells[:2]] == ["–", "12.42"]
    assert own.rows[1].cells[1].text == "11.42"


def test_differences_that_cannot_be_given_make_no_table_of_dashes():
    few = result("dsin", "DSIN", 2.0, RATES[1:3])
    titles = [table.title for _, table in report_measured.tables_of(group(few, result("jpeg2000", "JPEG 2000")))]
    assert not any(title.startswith("Bjøntegaard") for title in titles)


def test_the_page_names_what_has_no_difference_and_the_written_table_says_why(tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "to_png", lambda figure: b"")
    few = result("dsin", "DSIN", 2.0, RATES[1:3])
    codecs = (few, result("bpg", "BPG", 1.0), result("jpeg2000", "JPEG 2000"))
    made = Page(report_measured.section(report_page.Page(tmp_path), group(*codecs), "k", [], None, []))
    assert "Without a value, for too few points or other rates: DSIN." in made.text
    assert "are needed" not in made.text
    written = [path.read_text() for path in (tmp_path / "tables").glob("k_*.md")]
    assert any("Bjøntegaard" in text and "4 are needed" in text for text in written)
    assert "MS-SSIM (DSIN) at equal rate" in made.folded
    assert "Other measures: MS-SSIM (DSIN)" in made.text
    assert "PSNR (dB) at equal rate" not in made.folded


def test_each_results_file_says_where_it_is_from(tmp_path):
    path = save_result(tmp_path, "bpg", "BPG <4:4:4>")
    numbers = tmp_path / "numbers.json"
    numbers.write_text("{}")
    made = Page(report_measured.provenance([(rd_results.load(path), path)], [numbers]))
    for text in ("BPG <4:4:4>, as set", "digest 5f2b90", "pillow 13.0.0", "--codecs=bpg <&>", "bpg.json, SHA-256 "):
        assert text in made.folded
    # printf '{}' | sha256sum
    assert "numbers.json, SHA-256 44136fa355b3678a" in made.text
    assert "No results file was given" in report_measured.provenance([])
