"""Measures of claims against closed forms, and their intervals."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval import claim_measures, curves, evidence
from tests.eval.claim_cases import DATA, A, B, lines, measure, result


def sample(parameters, *results, data=(DATA,), figures=()):
    function, _ = claim_measures.KINDS[parameters["kind"]]
    return function(evidence.Evidence(results, figures), parameters, data)


def straight(rates, slope=6.0, offset=40.0):
    return [offset + slope * math.log2(rate) for rate in rates]


# ---------------------------------------------------------------------------------------------------------------------
# Gains at equal rate.


def test_a_gain_is_read_at_the_rates_that_are_given():
    # In octaves above 0.1 bpp b is 30 + 2 x and a is 31 + 3 x: a gains 1 + x.
    a, b = lines("a", (0.1, 0.4), (31, 37)), lines("b", (0.1, 0.4), (30, 34))
    for rate, expected in (([0.1], 1), ([0.2], 2), ([0.1, 0.2, 0.4], 2), ("low", 1), ("high", 3), ("mean", 2)):
        assert sample(measure("gain", rate=rate), a, b).value == pytest.approx(expected)
        assert sample(measure("gain", rate=rate, of=B, over=A), a, b).value == pytest.approx(-expected)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.floats(0.01, 2), min_size=2, max_size=5, unique=True).map(sorted),
    st.lists(st.floats(0.01, 2), min_size=2, max_size=5, unique=True).map(sorted),
    st.floats(-3, 3),
    st.floats(-9, 9),
)
def test_a_mean_gain_is_the_gain_at_the_middle_of_the_common_range_of_two_lines(first, second, slope, offset):
    low, high = max(first[0], second[0]), min(first[-1], second[-1])
    a, b = lines("a", first, straight(first)), lines("b", second, straight(second, 6 + slope, 40 + offset))
    if high < low * 1.001:
        return
    middle = -offset - slope * math.log2(low * high) / 2
    assert sample(measure("gain", rate="mean"), a, b).value == pytest.approx(middle, abs=1e-6)


def test_images_on_which_not_both_have_the_rate_do_not_count():
    a = result(
        "a", {n: {"bpp": [0.1, 0.2], "psnr-rgb": [g, g]} for n, g in (("x", 1), ("y", 2), ("z", 4), ("alone", 9))}
    )
    b = result("b", {n: {"bpp": [r, 1.0], "psnr-rgb": [0, 0]} for n, r in (("x", 0.1), ("y", 0.2), ("z", 0.3))})
    found = sample(measure("gain", rate="mean"), a, b)
    assert (found.value, found.counts) == (1.5, (2,))
    with pytest.raises(evidence.Missing, match="1 of at least 2 images on made_up test"):
        sample(measure("gain", rate=[0.15]), a, b)
    with pytest.raises(evidence.Missing, match="A and B share no rate and PSNR of an image on made_up"):
        sample(measure("gain", rate=[0.05]), a, b)
    with pytest.raises(evidence.Missing, match="A and B share no rate and MS-SSIM"):
        sample(measure("gain", rate="low", metric="ms-ssim-rgb"), a, b)


def test_a_difference_of_gains_of_the_same_images_is_taken_image_by_image():
    rates = (0.1, 0.4)
    a = result("a", {f"{g}": {"bpp": rates, "psnr-rgb": (g + 3, g + 1)} for g in (0, 5, 70)})
    b = result("b", {f"{g}": {"bpp": rates, "psnr-rgb": (0, 0)} for g in (0, 5, 70)})
    found = sample(measure("difference_of_gains", first={"rate": "low"}, second={"rate": "high"}), a, b)
    assert (found.value, found.interval(), found.counts) == (2, (2, 2), (3,))


def test_a_difference_of_gains_of_two_data_sets_resamples_each():
    other = evidence.DataSet("other", {"dataset": "other"})
    here = [lines(m, (0.1, 0.4), v, shifts=[0, 0]) for m, v in (("a", (5, 5)), ("b", (0, 0)))]
    there = [lines(m, (0.2, 0.3), v, dataset="other") for m, v in (("a", (2, 2)), ("b", (0, 0)))]
    ask = measure("difference_of_gains", first={"rate": "mean"}, second={"rate": "mean"})
    found = sample(ask, *here, *there, data=(DATA, other))
    assert (found.value, found.counts) == (3, (2, 3))
    assert found.data == "made_up test, at 0.100–0.400 bpp − other test, at 0.200–0.300 bpp"


# ---------------------------------------------------------------------------------------------------------------------
# Rates at equal quality.


@pytest.mark.parametrize(
    ("key", "values"),
    [("psnr-rgb", (30, 36)), ("ms-ssim-rgb", (0.9, 0.99)), ("mse", (80.0, 20.0))],
    ids=lambda each: each if isinstance(each, str) else "",
)
@pytest.mark.parametrize("quality", ["low", "high", "mean"])
def test_a_curve_at_six_tenths_of_the_rate_saves_forty_percent(key, values, quality):
    a, b = lines("a", (0.06, 0.24), values, key), lines("b", (0.1, 0.4), values, key)
    assert sample(measure("rate_saving", metric=key, quality=quality), a, b).value == pytest.approx(40)
    back = sample(measure("rate_saving", metric=key, quality=quality, of=B, over=A), a, b)
    assert back.value == pytest.approx(100 - 100 / 0.6)


def test_a_saving_at_a_quality_lies_where_the_lines_say():
    # a: 0.1 bpp at 30 dB, 0.2 at 33, 0.4 at 36; b: 0.4 bpp at 33 dB, 0.8 at 39, so 0.4 times 2 ** 0.5 at 36.
    a, b = lines("a", (0.1, 0.4), (30, 36)), lines("b", (0.4, 0.8), (33, 39))
    assert sample(measure("rate_saving", quality=33), a, b).value == pytest.approx(50)
    assert sample(measure("rate_saving", quality="high"), a, b).value == pytest.approx(100 * (1 - 2**-0.5))
    with pytest.raises(
        evidence.Missing, match=r"30 not in common on made_up: in PSNR A 30\.00–36\.00, B 33\.00–39\.00"
    ):
        sample(measure("rate_saving", quality=30), a, b)


def test_without_a_common_quality_there_is_no_saving():
    a, b = lines("a", (0.1, 0.4), (30, 31)), lines("b", (0.1, 0.4), (32, 33))
    for quality in claim_measures.RANGE:
        with pytest.raises(evidence.Missing, match="no range in common"):
            sample(measure("rate_saving", quality=quality), a, b)


@pytest.mark.parametrize("better", [(0.6, 0.8), (0.8, 0.6)], ids=["more at the low end", "more at the high end"])
def test_between_two_points_each_a_mean_saving_is_the_bd_rate(better):
    qualities = (0.92, 0.96)
    shifted = [1 - (1 - quality) * part for quality, part in zip(qualities, better)]
    a, b = (lines(m, (0.1, 0.25), q, "ms-ssim-rgb", shifts=(0, 0)) for m, q in (("a", shifted), ("b", qualities)))
    means = [dataclasses.replace(r, images=[], results=r.images[0].points) for r in (b, a)]
    expected = -curves.bd_rate(*means, "ms-ssim-rgb", min_points=2).value
    assert sample(measure("rate_saving", metric="ms-ssim-rgb", quality="mean"), a, b).value == pytest.approx(expected)


def test_points_are_means_of_each_model_also_where_one_spends_more_on_an_image_than_the_next():
    # Of the second image the model of lmbda 1 has the larger file; its points stand in the order of rate.
    images = {
        "x": {"bpp": [0.1, 0.3], "psnr-rgb": [30.0, 36.0], "lmbda": [1, 2]},
        "y": {"bpp": [0.1, 0.3], "psnr-rgb": [38.0, 32.0], "lmbda": [2, 1]},
    }
    a = result("a", images, settings={"lmbda": [1, 2]})  # (0.2, 31) and (0.2, 37)
    b = result("b", {n: {"bpp": [0.4, 0.8], "psnr-rgb": [30.0, 40.0]} for n in "xy"})
    assert sample(measure("rate_saving", quality=37), a, b).value == pytest.approx(100 * (1 - 0.5 / 2**0.7))


def test_of_a_classical_codec_the_points_are_the_rates_aimed_at_that_all_images_reach():
    images = {
        n: {"bpp": rates, "psnr-rgb": straight(rates)} for n, rates in (("x", [0.05, 0.3, 0.9]), ("y", [0.1, 0.9]))
    }
    b = result("b", images, targets=[0.06, 0.2, 0.8])
    a = result("a", {n: {"bpp": [0.1, 0.4], "psnr-rgb": straight([0.2, 0.8])} for n in "xy"})
    assert sample(measure("rate_saving", quality="mean"), a, b).value == pytest.approx(50)
    b.meta["targets"] = [0.06]
    with pytest.raises(evidence.Missing, match="B has no operating points that all its images share"):
        sample(measure("rate_saving", quality="mean"), a, b)


# ---------------------------------------------------------------------------------------------------------------------
# Numbers of figures, lowest rates.

NUMBERS = [(1.0, 2.0), (2.0, 4.0), (3.0, 9.0)]


@pytest.mark.parametrize(
    ("statistic", "expected"),
    [("difference", -3), ("percent less", 60), ("correlation", np.corrcoef(*zip(*NUMBERS))[0, 1])],
)
def test_statistics_of_two_numbers_of_each_image(statistic, expected):
    rows = [{"image": f"{at}", "one": a, "other": b} for at, (a, b) in enumerate(NUMBERS)]
    document = {"dataset": "made_up", "protocol": "dsin", "settings": {"steps": 3}, "images": rows}
    ask = {"kind": "values", "figure": evidence.Figure("f", "f.json"), "statistic": statistic}
    ask |= {"first": "images/one", "second": "images/other"}
    found = sample(ask, figures=(("f.json", document),))
    assert found.value == pytest.approx(expected)
    assert (found.counts, found.steps, found.data) == ((3,), (3,), "made_up (protocol dsin)")


def test_the_lowest_rate_is_a_codecs_floor_where_that_was_measured():
    a = lines("a", (0.1, 0.4), (30, 36), shifts=(0, 0))
    ask = measure("lowest_rate", than=0.02)
    assert sample(ask, a).value == pytest.approx(0.08)
    a.images[0].extra["floor_bpp"] = 0.06
    assert sample(ask, a).value == pytest.approx(0.06)


# ---------------------------------------------------------------------------------------------------------------------
# Intervals.


def test_an_interval_of_equal_gains_has_no_width():
    a = lines("a", (0.1, 0.4), (31, 37), shifts=(1, 2, 3, 4))
    b = lines("b", (0.1, 0.4), (30, 36), shifts=(1, 2, 3, 4))
    assert sample(measure("gain", rate="mean"), a, b).interval() == pytest.approx((1, 1))


def test_an_interval_of_a_mean_is_two_standard_errors_to_each_side_and_always_the_same():
    gains = np.random.default_rng(3).normal(0.5, 2, 400)
    found = [claim_measures.Sample(lambda i: gains[i].mean(), (400,), "", ()).interval() for _ in range(2)]
    error = 1.96 * gains.std() / 20
    assert found[0] == found[1]
    assert found[0] == pytest.approx((gains.mean() - error, gains.mean() + error), abs=0.02)


def test_resamples_without_a_value_are_left_out_as_long_as_they_are_few():
    def defined_if(share):
        return claim_measures.Sample(lambda i: 1.0 if i.mean() < share else np.nan, (100,), "here", ())

    assert defined_if(60).interval() == (1, 1)  # 3.6 standard errors above the mean of 49.5
    with pytest.raises(evidence.Missing, match=r"\d+ of 2000 resamples of the images have no value \(here\)"):
        defined_if(50).interval()
