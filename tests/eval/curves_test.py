"""Values at a rate, means with counts, and Bjøntegaard differences against closed forms."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval import curves
from eval.rd_results import ImagePoints, RDResult


def result(name, images, **meta):
    """A result from {image: (rates, values)} or {image: {column: values}}."""
    meta = {"method": name, "dataset": "made_up", "protocol": "native", "rate": "file", **meta}
    images = [
        ImagePoints(n, 8, 8, p if isinstance(p, dict) else {"bpp": list(p[0]), "psnr-rgb": list(p[1])})
        for n, p in images.items()
    ]
    return RDResult(name, "", meta, {"bpp": [], "psnr-rgb": []}, images)


def straight(rates, slope=6.0, offset=40.0):
    """PSNR that is linear in log2(bpp)."""
    return [offset + slope * math.log2(r) for r in rates]


RATES = (
    st.lists(st.floats(1e-3, 8), min_size=4, max_size=9, unique=True)
    .map(sorted)
    .filter(lambda r: all(b / a > 1.01 for a, b in zip(r, r[1:])))
)


@given(RATES, st.floats(0.1, 20), st.floats(-50, 50), st.floats(0, 1))
def test_value_at_is_exact_where_the_metric_is_linear_in_log_rate(rates, slope, offset, where):
    rate = rates[0] ** (1 - where) * rates[-1] ** where
    if rates[0] <= rate <= rates[-1]:
        expected = offset + slope * math.log2(rate)
        assert curves.value_at(rates, straight(rates, slope, offset), rate) == pytest.approx(expected, abs=1e-9)


@given(RATES, st.floats(1.0001, 10))
def test_nothing_is_said_outside_the_measured_range(rates, factor):
    assert curves.value_at(rates, straight(rates), rates[0] / factor) is None
    assert curves.value_at(rates, straight(rates), rates[-1] * factor) is None


def test_value_at_by_hand():
    # Half-way between 0.1 and 0.4 in log-rate is 0.2.
    assert curves.value_at([0.1, 0.4], [30.0, 34.0], 0.2) == pytest.approx(32.0)
    assert curves.value_at([0.1, 0.4], [30.0, 34.0], 0.1) == 30.0
    assert curves.value_at([0.1, 0.2, 0.4], [None, 31.0, 34.0], 0.15) is None  # not measured at 0.1
    assert curves.value_at([0.1, 0.1, 0.4], [29.0, 30.0, 34.0], 0.1) == 30.0
    assert curves.value_at([0.3], [33.0], 0.3) == 33.0
    assert curves.value_at([], [], 0.3) is None


def test_values_at_a_rate_take_points_as_they_are_even_where_more_bits_gave_less():
    assert curves.value_at([0.1, 0.2, 0.4], [30.0, 29.0, 34.0], 0.2) == 29.0


def test_means_carry_the_number_of_images_behind_them():
    r = result("a", {"p": ([0.1, 0.4], [30, 34]), "q": ([0.2, 0.4], [20, 24]), "s": ([0.3, 0.4], [10, 14])})
    assert curves.mean_at(r, "psnr-rgb", 0.2) == curves.Mean(pytest.approx(26.0), 2, 3)
    assert curves.mean_at(r, "psnr-rgb", 0.4) == curves.Mean(pytest.approx(24.0), 3, 3)
    assert curves.mean_at(r, "psnr-rgb", 0.05) == curves.Mean(None, 0, 3)
    assert curves.mean_at(r, "ms-ssim-rgb", 0.4) == curves.Mean(None, 0, 3)


def test_a_result_without_images_is_read_as_one_curve_without_a_count():
    published = RDResult(
        "p", "", {"method": "p", "dataset": "d", "protocol": "n", "rate": "estimated"}, {"bpp": [0.1, 0.4], "x": [1, 3]}
    )
    assert curves.mean_at(published, "x", 0.2) == curves.Mean(pytest.approx(2.0), None, None)


def test_common_means_use_the_images_that_all_codecs_reach():
    a = result("a", {"p": ([0.1, 0.4], [30, 34]), "q": ([0.1, 0.4], [20, 24])})
    b = result("b", {"p": ([0.1, 0.4], [31, 35]), "q": ([0.3, 0.4], [10, 14])})
    none = result("floor", {"p": ([0.35, 0.4], [1, 2]), "q": ([0.35, 0.4], [1, 2])})
    at_02 = curves.common_means([a, b, none], "psnr-rgb", 0.2)
    assert at_02 == [
        curves.Mean(pytest.approx(32.0), 1, 2),
        curves.Mean(pytest.approx(33.0), 1, 2),
        curves.Mean(None, 0, 2),
    ]
    assert [m.count for m in curves.common_means([a, b, none], "psnr-rgb", 0.4)] == [2, 2, 2]
    assert curves.common_means([a, b], "psnr-rgb", 9.0) == [curves.Mean(None, 0, 2)] * 2


def test_mean_curve_lies_where_every_image_counts():
    r = result("a", {"p": ([0.1, 0.4], [30, 34]), "q": ([0.2, 0.8], [20, 24])})
    rates, values = curves.mean_curve(r, "psnr-rgb")
    assert rates[0] == pytest.approx(0.2)
    assert rates[-1] == pytest.approx(0.4)
    assert values[0] == pytest.approx((32 + 20) / 2)
    assert values[-1] == pytest.approx((34 + 22) / 2)
    apart = result("a", {"p": ([0.1, 0.2], [30, 34]), "q": ([0.3, 0.8], [20, 24])})
    assert curves.mean_curve(apart, "psnr-rgb")[0].size == 0
    assert curves.mean_curve(r, "ms-ssim-rgb")[0].size == 0


def test_envelope_keeps_the_points_that_nothing_beats():
    rates, values = curves.envelope([0.4, 0.1, 0.2, 0.3, 0.3], [33, 30, 29, 31, 32])
    assert list(rates) == [0.1, 0.3, 0.4]
    assert list(values) == [30, 32, 33]
    rates, values = curves.envelope([0.1, 0.2, 0.3], [5.0, 6.0, 4.0], larger_is_better=False)
    assert list(rates) == [0.1, 0.3]
    assert list(values) == [5.0, 4.0]


@given(RATES)
@settings(max_examples=40, deadline=None)
def test_identical_curves_do_not_differ(rates):
    r = result("a", {"p": (rates, straight(rates)), "q": (rates, straight(rates, 4, 33))})
    for per_image in (False, True):
        assert curves.bd_rate(r, r, per_image=per_image).value == pytest.approx(0, abs=1e-9)
        assert curves.bd_psnr(r, r, per_image=per_image).value == pytest.approx(0, abs=1e-9)


@given(RATES, st.sampled_from([0.5, 0.9, 1.25]))
@settings(max_examples=40)
def test_bd_rate_of_scaled_rates_is_the_scale(rates, scale):
    values = {n: [o + 3 * i + i**0.5 for i in range(len(rates))] for n, o in (("p", 30), ("q", 20))}
    a = result("a", {n: (rates, v) for n, v in values.items()})
    b = result("b", {n: ([r * scale for r in rates], v) for n, v in values.items()})
    for per_image in (False, True):
        assert curves.bd_rate(a, b, per_image=per_image).value == pytest.approx(100 * (scale - 1), abs=1e-6)


def test_bd_psnr_of_a_lifted_curve_is_the_lift():
    rates = [0.05, 0.1, 0.2, 0.4]
    a = result("a", {"p": (rates, straight(rates))})
    b = result("b", {"p": (rates, [v + 1.5 for v in straight(rates)])})
    found = curves.bd_psnr(a, b, per_image=True)
    assert found.value == pytest.approx(1.5)
    assert (found.unit, found.count, found.of) == ("dB", 1, 1)
    assert (found.low, found.high) == pytest.approx((0.05, 0.4))


def test_bd_rate_uses_the_common_range_only():
    # Equal up to 40 dB; the second curve goes on far above, which must not matter.
    rates = [0.05, 0.1, 0.2, 0.4]
    a = result("a", {"p": (rates, straight(rates))})
    b = result("b", {"p": ([*rates, 3.0], [*straight(rates), 60.0])})
    found = curves.bd_rate(a, b, per_image=True)
    assert found.high == pytest.approx(straight(rates)[-1])
    assert found.value == pytest.approx(0, abs=1.0)  # pchip's slope at the last common point sees the next one


def test_bd_rate_of_ms_ssim_is_taken_in_decibels():
    rates = [0.05, 0.1, 0.2, 0.4]
    ms_ssim = [1 - 10 ** (-v / 10) for v in (6, 9, 12, 15)]
    a = result("a", {"p": {"bpp": rates, "ms-ssim-rgb": ms_ssim}})
    b = result("b", {"p": {"bpp": [r * 0.8 for r in rates], "ms-ssim-rgb": ms_ssim}})
    found = curves.bd_rate(a, b, "ms-ssim-rgb", per_image=True)
    assert found.value == pytest.approx(-20)
    assert (found.low, found.high) == pytest.approx((ms_ssim[0], ms_ssim[-1]))
    # 3 dB more for every doubling of the rate: a factor of 0.8 in rate is 3 log2(1/0.8) dB.
    assert curves.bd_psnr(a, b, "ms-ssim-rgb", per_image=True).value == pytest.approx(-3 * math.log2(0.8))


def test_errors_count_as_smaller_is_better():
    rates = [0.05, 0.1, 0.2, 0.4]
    a = result("a", {"p": {"bpp": rates, "mse": [80.0, 60.0, 45.0, 30.0]}})
    b = result("b", {"p": {"bpp": rates, "mse": [70.0, 50.0, 35.0, 20.0]}})
    found = curves.bd_rate(a, b, "mse", per_image=True)
    assert found.value < 0
    assert (found.low, found.high) == (30.0, 70.0)
    assert curves.bd_psnr(a, b, "mse", per_image=True).value == pytest.approx(-10)


def test_points_that_others_beat_do_not_break_bjontegaard_differences():
    rates = [0.05, 0.1, 0.2, 0.4]
    a = result("a", {"p": (rates, straight(rates))})
    b = result("b", {"p": ([0.05, 0.1, 0.15, 0.2, 0.4], [*straight(rates[:2]), 1.0, *straight(rates[2:])])})
    assert curves.bd_rate(a, b, per_image=True).value == pytest.approx(0, abs=1e-9)


def test_images_that_cannot_be_compared_are_not_counted():
    rates = [0.05, 0.1, 0.2, 0.4]
    a = result("a", {"p": (rates, straight(rates)), "q": (rates, straight(rates)), "only a": (rates, straight(rates))})
    b = result("b", {"p": (rates, straight(rates)), "q": (rates[:2], straight(rates[:2]))})
    found = curves.bd_rate(a, b, per_image=True)
    assert (found.count, found.of) == (1, 2)


def test_too_few_points_are_refused_with_their_number():
    a = result("a", {"p": ([0.1, 0.2, 0.4], [30, 31, 32])})
    for per_image in (False, True):
        with pytest.raises(curves.CurveError, match="has 3 points.*4 are needed"):
            curves.bd_rate(a, a, per_image=per_image)
    assert curves.bd_rate(a, a, min_points=3).value == pytest.approx(0)


def test_no_overlap_is_refused_with_both_ranges():
    rates = [0.05, 0.1, 0.2, 0.4]
    a = result("a", {"p": (rates, [20, 21, 22, 23])})
    b = result("b", {"p": (rates, [30, 31, 32, 33])})
    for per_image in (False, True):
        with pytest.raises(curves.CurveError, match="no common range of PSNR .30 to 33 against 20 to 23"):
            curves.bd_rate(a, b, per_image=per_image)
    assert curves.bd_psnr(a, b).value == pytest.approx(10)


def test_kinds_of_rate_are_mixed_only_on_request_and_then_named():
    rates = [0.05, 0.1, 0.2, 0.4]
    a = result("a", {"p": (rates, straight(rates))})
    b = result("b", {"p": (rates, straight(rates))}, rate="estimated")
    with pytest.raises(curves.CurveError, match="a: file, b: estimated"):
        curves.bd_rate(a, b)
    assert "file against estimated" in curves.bd_rate(a, b, mixed_rates=True).label


@pytest.mark.parametrize("entry", ["dataset", "split", "protocol", "data_digest"])
def test_other_data_is_refused(entry):
    rates = [0.05, 0.1, 0.2, 0.4]
    a = result("a", {"p": (rates, straight(rates))}, split="test", data_digest="0")
    b = result("b", {"p": (rates, straight(rates))}, **{"split": "test", "data_digest": "0", entry: "else"})
    with pytest.raises(curves.CurveError, match=f"differ in {entry}.*'else'"):
        curves.bd_psnr(a, b)


def test_a_published_curve_can_be_compared_but_not_image_by_image():
    rates = [0.05, 0.1, 0.2, 0.4]
    a = result("a", {"p": (rates, straight(rates))})
    meta = {"method": "p", "dataset": "made_up", "protocol": "native", "rate": "file"}
    published = RDResult("p", "", meta, {"bpp": rates, "psnr-rgb": list(np.add(straight(rates), 2.0))})
    assert curves.bd_psnr(a, published).value == pytest.approx(2.0)
    assert curves.bd_psnr(a, published).count is None
    with pytest.raises(curves.CurveError, match="no points of single images"):
        curves.bd_psnr(a, published, per_image=True)


def test_errors_of_colour_are_better_where_they_are_smaller_and_told_apart():
    keys = ("lab-difference", "lab-difference-00", "lab-mae", "rgb-angle")
    assert not any(curves.metric(key).larger_is_better for key in keys)
    assert len({curves.metric(key).title for key in keys}) == 4
    rates, errors = [0.1, 0.2, 0.4, 0.8], [6.0, 5.0, 4.0, 3.0]
    a = result("a", {"p": {"bpp": rates, "lab-difference-00": errors}})
    b = result("b", {"p": {"bpp": rates, "lab-difference-00": [error - 0.5 for error in errors]}})
    assert curves.bd_psnr(a, b, "lab-difference-00").value == pytest.approx(-0.5)
