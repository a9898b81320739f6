"""Published numbers beside measured ones: which measurement is taken, and when a difference is given."""

import pytest

from eval import comparison, published_numbers
from eval.published_numbers import Table
from eval.rd_results import ImagePoints, RDResult


def ours(method, dataset, protocol, psnr, **meta):
    points = {"bpp": [0.01, 1.0], "psnr-rgb": [psnr, psnr]}
    meta = {"method": method, "dataset": dataset, "protocol": protocol, "rate": "file", "split": "test", **meta}
    images = [ImagePoints(n, 8, 8, points) for n in "ab"]
    return RDResult(f"our {method}", "", meta, {"bpp": [], "psnr-rgb": []}, images)


def theirs(method, psnr, rates=(0.05, 0.1), paper="p", **meta):
    meta = {
        "method": method,
        "dataset": "kitti_stereo",
        "protocol": "ndic",
        "rate": "estimated",
        "paper": paper,
        **meta,
    }
    return RDResult(f"their {method}", "", meta, {"bpp": list(rates), "psnr-rgb": list(psnr)})


def cells(table):
    return {row.labels: [c.text for c in row.cells] for row in table.rows}


def test_the_closest_data_are_taken():
    curve = theirs("bpg", [24.0, 25.0])
    street = ours("bpg", "street", "ndic", 1.0)
    general = ours("bpg", "kitti_general", "ndic", 2.0)
    stereo = ours("bpg", "kitti_stereo", "dsin", 3.0)
    exact = ours("bpg", "kitti_stereo", "ndic", 4.0)
    other = ours("jpeg", "kitti_stereo", "ndic", 5.0)
    every = [street, other, general, stereo, exact]
    assert comparison.closest(curve, "psnr-rgb", every) == (exact, True)
    assert comparison.closest(curve, "psnr-rgb", every[:-1]) == (stereo, True)
    assert comparison.closest(curve, "psnr-rgb", every[:-2]) == (general, True)
    assert comparison.closest(curve, "psnr-rgb", every[:-3]) == (street, False)
    assert comparison.closest(curve, "psnr-rgb", [other]) == (None, False)
    assert comparison.closest(curve, "ms-ssim-rgb", every) == (None, False)


def test_a_curve_becomes_published_measured_and_difference():
    curves = [theirs("bpg", [24.0, 25.0], reading_error={"psnr-rgb": 0.03}), theirs("dsin", [20.0, 21.0])]
    table = comparison.curve_table(curves, "psnr-rgb", [ours("bpg", "kitti_stereo", "dsin", 24.5)])
    assert table.columns == ("0.05", "0.10")
    assert cells(table) == {
        ("their bpg", "published"): ["24.00", "25.00"],
        ("their bpg", "measured"): ["24.50", "24.50"],
        ("their bpg", "difference"): ["+0.50", "−0.50"],
        ("their dsin", "published"): ["20.00", "21.00"],
        ("their dsin", "measured"): ["–", "–"],
    }
    assert table.footnotes == ("kitti_stereo test, protocol dsin, 2 images, bpp of the whole file",)
    assert [c.shown_count for c in table.rows[1].cells] == [2, 2]
    assert "±0.03" in table.note
    assert "kitti_stereo, protocol ndic" in table.title


def test_ours_are_measured_as_the_published_curve_of_the_method_was():
    as_theirs = {"measured_as": {"psnr-rgb": "psnr-unclipped"}}
    curves = [
        theirs("ndic", [24.0, 25.0], **as_theirs),
        theirs("bpg", [20.0, 21.0]),
        theirs("dsin", [1, 1], **as_theirs),
    ]
    ndic, bpg, dsin = (ours(method, "kitti_stereo", "ndic", 20.0) for method in ("ndic", "bpg", "dsin"))
    for result in (ndic, bpg):
        result.results["psnr-unclipped"] = []
        for image in result.images:
            image.points["psnr-unclipped"] = [19.5, 19.5]
    table = comparison.curve_table(curves, "psnr-rgb", [ndic, bpg, dsin])
    measured = {labels[0]: values for labels, values in cells(table).items() if labels[1] == "measured"}
    assert measured == {"their ndic": ["19.50"] * 2, "their bpg": ["20.00"] * 2, "their dsin": ["20.00"] * 2}
    notes = [row.cells[0].note for row in table.rows if row.labels[1] == "measured"]
    assert ["unclipped" in note for note in notes] == [True, False, False]
    assert ndic.images[0].points["psnr-rgb"] == [20.0, 20.0]  # the result itself stays


def test_curves_on_other_rates_are_read_at_round_ones():
    curves = [theirs("bpg", [24.0, 26.0], (0.05, 0.2)), theirs("dsin", [20.0, 21.0], (0.09, 0.16))]
    table = comparison.curve_table(curves, "psnr-rgb", [])
    assert table.columns == ("0.05", "0.10", "0.15", "0.20")
    assert cells(table)["their bpg", "published"][:2] == ["24.00", "25.00"]
    assert cells(table)["their dsin", "published"][0] == "–"
    assert "Not measured yet" in table.note


def test_no_difference_is_given_between_data_of_another_family():
    table = comparison.curve_table([theirs("bpg", [24.0, 25.0])] * 2, "psnr-rgb", [ours("bpg", "street", "ndic", 30.0)])
    assert ("their bpg", "measured") in cells(table)
    assert ("their bpg", "difference") not in cells(table)


def test_preset_and_steps_are_said():
    result = ours("dsin", "street", "native", 1.0, preset="small", steps=4000, rate="estimated")
    assert comparison.measured_on(result) == (
        "street test, protocol native, 2 images, preset small, 4000 steps, estimated bpp"
    )


def test_rows_of_a_printed_table_are_found_by_their_numbers():
    printed = Table("p", "PSNR (dB)", "slides", "", ("Codec", "0.05 bpp", "0.10 bpp"), (("B", None, 25.0), ("L", 1, 2)))
    curves = [theirs("bpg", [25.0], (0.1,)), theirs("bpg", [25.0], (0.1,), paper="q")]
    table, covered = comparison.printed_table(printed, curves, [ours("bpg", "kitti_stereo", "ndic", 26.0)])
    assert cells(table) == {
        ("B", "published"): ["–", "25.00"],
        ("B", "measured"): ["26.00", "26.00"],
        ("B", "difference"): ["–", "+1.00"],
        ("L", "published"): ["1", "2"],
        ("L", "measured"): ["–", "–"],
    }
    assert covered == {("p", "kitti_stereo", "ndic", "psnr-rgb")}


def test_tables_of_texts_have_no_lines_for_measurements():
    printed = Table("p", "Statements", "paper", "note", ("About", "Statement"), (("rates", "low"), ("gain", "large")))
    table, _ = comparison.printed_table(printed, [], [])
    assert cells(table) == {("rates",): ["low"], ("gain",): ["large"]}


def test_a_table_of_rates_alone_has_no_label_column():
    printed = Table("p", "Example", "paper", "", ("Without (bpp)", "With (bpp)"), ((0.03199, 0.03019),))
    table, _ = comparison.printed_table(printed, [], [])
    assert table.columns == ("Without (bpp)", "With (bpp)")
    assert cells(table)["", "published"] == ["0.03199", "0.03019"]


@pytest.mark.parametrize("printed", published_numbers.tables(), ids=lambda t: f"{t.paper}: {t.title}")
def test_every_stored_table_keeps_all_its_numbers(printed):
    table, _ = comparison.printed_table(printed, published_numbers.curves(), [])
    shown = [c.value for row in table.rows if "measured" not in row.labels for c in row.cells]
    shown += [label for row in table.rows for label in row.labels]
    for row in printed.rows:
        for value in row:
            assert value in shown or str(value) in shown


def test_the_stored_rate_tables_are_recognised():
    found = {
        t.title: comparison.printed_table(t, published_numbers.curves(), [])[1] for t in published_numbers.tables()
    }
    keys = {key for covered in found.values() for _, _, _, key in covered}
    assert {"psnr-rgb", "ms-ssim-dsin"} <= keys


def test_curve_sets_keep_paper_data_protocol_and_metric_apart():
    curves = [theirs("a", [1.0, 2.0]), theirs("b", [1.0, 2.0]), theirs("a", [1.0, 2.0], dataset="cityscapes")]
    sets = comparison.curve_sets(curves)
    assert {on: [c.meta["method"] for c in s] for on, s in sets.items()} == {
        ("p", "kitti_stereo", "ndic", "psnr-rgb"): ["a", "b"],
        ("p", "cityscapes", "ndic", "psnr-rgb"): ["a"],
    }
