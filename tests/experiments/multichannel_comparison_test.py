"""The poster's table beside results made by hand, at the middle of two points."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval import curves, published_numbers, rd_results
from experiments import common, multichannel_comparison
from tests.experiments import figure_cases
from tests.experiments.multichannel_cases import QUARTER, row_of, rows_of, save

SLUG = "kodak_all_native"
NO_FUSION_16 = "multichannel-no_fusion_16"


@pytest.fixture
def results(tmp_path):
    """Fusion, which beats no fusion on one of two images that both reach at 0.5; Li; JPEG at other rates."""
    folder = tmp_path / "results"
    save(
        folder / "fusion.json",
        "multichannel",
        {"a": (QUARTER, (30, 34)), "b": (QUARTER, (33, 35)), "c": ((0.6, 1.2), (20, 24))},
    )
    save(
        folder / "no_fusion.json",
        NO_FUSION_16,
        {"a": (QUARTER, (28, 34)), "b": (QUARTER, (34, 35)), "c": (QUARTER, (20, 24))},
    )
    save(folder / "li.json", "content_weighted", dict.fromkeys("abc", (QUARTER, (24, 28))))
    save(folder / "jpeg.json", "jpeg", dict.fromkeys("abc", ((0.02, 0.1), (20, 24))), colour=False)
    return [str(folder / "*.json")]


def test_ours_are_read_at_the_rate_on_the_images_that_all_reach(results, tmp_path):
    table, _ = multichannel_comparison.compare_rows(results, 0.5)
    content, rows, picture = figure_cases.written(table, tmp_path / "out")
    assert table.stem == f"table_{SLUG}"
    fusion = row_of(rows, "With fusion", "MULTICHANNEL")
    assert (float(fusion["bpp"]), int(fusion["bpp n"])) == (0.5, 2)  # not c, which fusion does not reach
    assert float(fusion["PSNR (dB)"]) == pytest.approx((32 + 34) / 2)
    assert float(fusion["PSNR-Y (dB)"]) == pytest.approx(34)
    assert float(fusion["angle (°)"]) == pytest.approx(7)
    assert float(row_of(rows, "Without fusion", NO_FUSION_16.upper())["PSNR (dB)"]) == pytest.approx((31 + 34.5) / 2)
    assert float(row_of(rows, "[7]", "CONTENT_WEIGHTED")["MSE"]) == pytest.approx(100 - 26)
    assert fusion["ΔE76"] == fusion["CMSSIM (ours)"] == ""  # not measured
    assert content["values"]["multichannel"]["psnr-rgb"] == {"a": pytest.approx(32), "b": pytest.approx(34)}
    assert picture.std() > 10


def test_the_best_of_ours_is_marked(results):
    table, _ = multichannel_comparison.compare_rows(results, 0.5)
    best = {row.labels[1]: [cell.text for cell in row.cells if cell.best] for row in table.table.rows}
    assert best["MULTICHANNEL"] == ["67.00", "33.00", "34.00", "17.000", "7.000"]
    assert not any(texts for name, texts in best.items() if name != "MULTICHANNEL")


def test_published_rows_are_those_that_the_poster_prints(results):
    made, _ = multichannel_comparison.compare_rows(results, 0.5)
    rows = rows_of(made.table)
    printed = published_numbers.tables(paper="multichannel")[0].rows
    assert len(printed) == 3
    for label, *values in printed:
        shown = row_of(rows, label, "published")
        columns = ("bpp", "MSE", "PSNR (dB)", "SSIM", "CMSSIM (ours)", "ΔE00", "angle (°)")
        assert [float(shown[column]) if shown[column] else None for column in columns] == values
        assert shown["ΔE00 note"].startswith("Printed as Lab")
    assert "49.436 is 31.19 dB where 29.122 is printed" in made.table.note


def test_what_has_no_value_says_why(results):
    table, _ = multichannel_comparison.compare_rows(results, 0.5)
    notes = {row.labels[1]: row.cells[0].note for row in table.table.rows if row.cells[0].note}
    assert notes == {
        "Multi-channel without fusion, 8": "Not measured on these images: --mode=evaluate of a run of --mode=train "
        "--fuse_at=none --chroma_channels=8.",
        "JPEG": "No image has this rate between its measured points.",
    }


def test_gains_are_means_of_differences_with_the_number_of_images_for_the_better(results, tmp_path):
    _, gains = multichannel_comparison.compare_rows(results, 0.5)
    content, rows, picture = figure_cases.written(gains, tmp_path / "out")
    fusion = f"MULTICHANNEL − {NO_FUSION_16.upper()}"
    assert float(row_of(rows, "With fusion − Without fusion", fusion)["PSNR (dB)"]) == pytest.approx((1 - 0.5) / 2)
    counts = row_of(rows, "With fusion − Without fusion", "better on")
    assert (counts["PSNR (dB)"], counts["MSE"], counts["SSIM"]) == ("1 of 2", "1 of 2", "")
    assert content["differences"][fusion]["psnr-rgb"] == [pytest.approx(1), pytest.approx(-0.5)]
    published = row_of(rows, "With fusion − Without fusion", "published")
    texts = [published[column] for column in ("PSNR (dB)", "CMSSIM (ours)", "ΔE00", "angle (°)")]
    assert [round(float(text), 3) for text in texts] == [0.587, 0.033, -0.104, -0.251]  # the poster's claim
    beside_li = row_of(rows, "With fusion − [7]", "MULTICHANNEL − CONTENT_WEIGHTED")
    assert float(beside_li["PSNR (dB)"]) == pytest.approx((6 + 8) / 2)
    assert row_of(rows, "With fusion − [7]", "published")["angle (°)"] == ""  # not printed for [7]
    assert picture.std() > 10


def test_codecs_that_are_not_on_the_poster_are_compared_with_li(results, tmp_path):
    save(tmp_path / "results" / "more.json", "multichannel-feature_fusion_8", {"a": (QUARTER, (30, 36))})
    table, gains = multichannel_comparison.compare_rows(results, 0.5)
    labels = [row.labels for row in table.table.rows]
    assert labels[-2:] == [("not on the poster", "JPEG"), ("not on the poster", "MULTICHANNEL-FEATURE_FUSION_8")]
    (row,) = (row for row in gains.table.rows if row.labels[1].startswith("MULTICHANNEL-FEATURE"))
    assert row.labels[0] == "not on the poster − [7]"
    assert row.cells[1].value == pytest.approx(33 - 26)


def made_up(**images_of):
    """{method: `RDResult`} of {method: {image: rates}}."""
    found = {}
    for method, images in images_of.items():
        points = [
            rd_results.ImagePoints(name, 8, 8, {"bpp": list(rates), "psnr-rgb": [30 + rate for rate in rates]})
            for name, rates in images.items()
        ]
        meta = {"method": method, "dataset": "d", "protocol": "native", "rate": "file"}
        found[method] = rd_results.RDResult(method, "", meta, {"bpp": []}, points)
    return found


def test_the_rate_is_where_most_images_are_compared_and_of_equals_next_to_the_posters():
    wide = dict.fromkeys("abc", (0.1, 0.9))
    assert multichannel_comparison.choose_rate(made_up(multichannel=wide, content_weighted=wide)) == 0.6
    narrow = {"a": (0.1, 0.3), "b": (0.2, 0.4), "c": (0.25, 0.9)}
    assert multichannel_comparison.choose_rate(made_up(multichannel=wide, content_weighted=narrow)) == 0.3
    # Alone, any rate does; a codec of another kind only decides between equals.
    assert multichannel_comparison.choose_rate(made_up(multichannel=dict.fromkeys("ab", (0.111, 0.125)))) == 0.12
    jpeg = dict.fromkeys("abc", (0.05, 0.2))
    assert multichannel_comparison.choose_rate(made_up(multichannel=wide, content_weighted=wide, jpeg=jpeg)) == 0.2
    assert multichannel_comparison.choose_rate(made_up(multichannel=wide, content_weighted=narrow, jpeg=jpeg)) == 0.3


def test_codecs_without_a_common_rate_are_not_compared():
    apart = made_up(multichannel={"a": (0.1, 0.2)}, content_weighted={"a": (0.3, 0.4)})
    assert multichannel_comparison.choose_rate(apart) is None


RATES = st.lists(st.floats(0.05, 2), min_size=1, max_size=4, unique=True).map(sorted)
RESULTS = st.dictionaries(
    st.sampled_from(("multichannel", "jpeg", "bpg")), st.dictionaries(st.sampled_from("abcd"), RATES)
)


@settings(max_examples=40, deadline=None)
@given(RESULTS)
def test_means_are_those_of_the_images_that_all_codecs_reach(images_of):
    results = made_up(**images_of)
    values = multichannel_comparison.at_rate(results, 0.4, ("psnr-rgb",))
    for method, mean in zip(results, curves.common_means(list(results.values()), "psnr-rgb", 0.4)):
        means = multichannel_comparison.means_of(values.get(method, {"psnr-rgb": {}}))
        assert means["psnr-rgb"] == pytest.approx(mean.value)
        assert len(values.get(method, {"bpp": ()})["bpp"]) == mean.count


def test_what_cannot_be_compared_is_named(results, tmp_path):
    with pytest.raises(common.UserError, match=r"no image can be compared at 2 bpp \(means are .*MULTICHANNEL: 0\.367"):
        multichannel_comparison.compare_rows(results, 2)
    with pytest.raises(common.UserError, match="jpeg.json: holds no result that this figure is about"):
        multichannel_comparison.compare_rows([str(tmp_path / "results" / "jpeg.json")])
    save(tmp_path / "results" / "again.json", "multichannel", {"a": (QUARTER, (30, 36))})
    with pytest.raises(common.UserError, match="two results are of multichannel on Kodak, all"):
        multichannel_comparison.compare_rows(results)
