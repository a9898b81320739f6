import math

import numpy as np
import pytest

from eval import published_numbers as published

ALL = published.curves()


def by_method(paper, dataset, metric):
    return {c.meta["method"]: c for c in published.curves(paper, dataset, metric)}


def table(paper, title):
    (found,) = [t for t in published.tables(paper) if t.title.startswith(title)]
    return found


@pytest.mark.parametrize("curve", ALL, ids=lambda c: "-".join(c.meta[k] for k in ("paper", "dataset", "method")))
def test_every_curve_ascends_in_rate_and_names_its_source(curve):
    columns = dict(curve.results)
    rates = columns.pop("bpp")
    assert all(a < b for a, b in zip(rates, rates[1:]))
    assert rates[0] > 0
    assert rates[-1] < 2
    ranges = {"psnr-rgb": (15, 45), "ms-ssim-rgb": (0.8, 1), "ms-ssim-dsin": (0.8, 1), "ms-ssim-db": (8, 20)}
    assert columns
    for key, values in columns.items():
        low, high = ranges[key]
        assert low < min(values) <= max(values) < high
    meta = curve.meta
    assert meta["source"]
    assert meta["figure"]
    assert meta["note"]
    assert set(meta["reading_error"]) == set(curve.results)
    assert meta["digitised"] == any(meta["reading_error"].values())
    classical = meta["method"] in ("bpg", "jpeg2000")
    assert meta["rate"] == ("file" if classical else "estimated")
    for index in meta.get("rough_points", {}).get("indices", []):
        assert 0 <= index < len(rates)
    assert len(meta.get("lambda", rates)) == len(rates)


def test_file_names_say_what_is_inside_and_no_two_curves_are_the_same():
    keys = [(c.meta["paper"], c.meta["dataset"], c.meta["method"], *c.results) for c in ALL]
    assert len(set(keys)) == len(keys)
    names = {path.stem for path in published.FOLDER.glob("*_*.json") if not path.stem.endswith("_tables")}
    assert len(names) == len(ALL)
    for curve in ALL:
        meta = curve.meta
        assert any(
            n.startswith(f"{meta['paper']}_{meta['dataset']}_") and n.endswith(f"_{meta['method']}") for n in names
        )


# Markers counted in the figures, and points in the printed tables.
@pytest.mark.parametrize(
    ("paper", "dataset", "metric", "counts"),
    [
        (
            "ndic",
            "kitti_stereo",
            "psnr-rgb",
            {"ndic_balle2017": 10, "ndic_balle2018": 10, "bpg": 11, "balle2018": 9, "balle2017": 8, "dsin": 6},
        ),
        (
            "ndic",
            "kitti_stereo",
            "ms-ssim-rgb",
            {"ndic_balle2017": 8, "ndic_balle2018": 11, "bpg": 7, "balle2018": 8, "balle2017": 8, "dsin": 8},
        ),
        (
            "ndic",
            "cityscapes",
            "psnr-rgb",
            {"ndic_balle2017": 14, "ndic_balle2018": 11, "bpg": 15, "balle2018": 15, "balle2017": 19, "dsin": 5},
        ),
        (
            "ndic",
            "cityscapes",
            "ms-ssim-rgb",
            {"ndic_balle2017": 9, "ndic_balle2018": 7, "bpg": 6, "balle2018": 6, "balle2017": 5, "dsin": 8},
        ),
        (
            "ndic_preprint",
            "kitti_stereo",
            "psnr-rgb",
            {
                "ndic_balle2017": 10,
                "ndic_balle2018": 7,
                "bpg": 11,
                "balle2018": 9,
                "balle2017": 7,
                "dsin": 1,
                "jpeg2000": 4,
            },
        ),
        (
            "ndic_preprint",
            "kitti_stereo",
            "ms-ssim-rgb",
            {"ndic_balle2017": 7, "ndic_balle2018": 5, "bpg": 8, "balle2018": 8, "balle2017": 6, "dsin": 7},
        ),
        ("ndic_cam", "kitti_stereo", "psnr-rgb", {"ndic_balle2017": 15, "ndic_balle2018": 14, "dsin": 18}),
        (
            "ndic_cam",
            "kitti_stereo",
            "ms-ssim-db",
            {"ndic_cam": 7, "ndic_balle2017": 9, "ndic_balle2018": 14, "dsin": 12},
        ),
        (
            "dsc_msf",
            "kitti_scenes",
            "psnr-rgb",
            {"jpeg2000": 6, "bpg": 4, "lee2019": 6, "dsc_msf": 6, "dsc_msf_grdn": 6},
        ),
        ("dsc_msf", "kitti_scenes", "ms-ssim-dsin", {"jpeg2000": 6, "bpg": 4, "lee2019": 6, "dsc_msf": 6}),
        ("lee2019", "kodak", "psnr-rgb", {"lee2019": 9}),
    ],
)
def test_every_point_is_there(paper, dataset, metric, counts):
    found = by_method(paper, dataset, metric)
    assert {method: len(curve.results["bpp"]) for method, curve in found.items()} == counts


# Values at given rates, interpolated linearly between markers when the figures were read and listed apart from the
# points: a shifted, swapped or mistyped point shows.
AT_RATE = {
    ("ndic", "kitti_stereo", "psnr-rgb"): (
        (0.05, 0.10, 0.15, 0.20, 0.25, 0.30),
        {
            "ndic_balle2017": (None, 23.55, 24.60, 25.50, 26.18, 26.75),
            "ndic_balle2018": (21.67, 23.00, 24.27, 25.26, 26.23, 27.06),
            "balle2018": (20.59, 22.40, 24.06, 24.87, 25.74, 26.48),
            "balle2017": (None, 21.85, 23.17, 24.11, 24.81, 25.54),
            "bpg": (None, 22.82, 24.28, 25.37, 26.27, 27.04),
            "dsin": (None, 20.60, 20.94, 21.06, 22.26, None),
        },
    ),
    ("ndic", "kitti_stereo", "ms-ssim-rgb"): (
        (0.02, 0.05, 0.10, 0.15, 0.20, 0.25),
        {
            "ndic_balle2017": (0.9028, 0.9320, 0.9439, 0.9559, 0.9635, 0.9681),
            "ndic_balle2018": (0.9035, 0.9214, 0.9350, 0.9474, 0.9599, 0.9699),
            "balle2018": (None, None, 0.9165, 0.9403, 0.9553, 0.9651),
            "balle2017": (None, None, None, 0.9386, 0.9535, 0.9608),
            "bpg": (None, None, None, 0.9111, 0.9300, 0.9424),
            "dsin": (None, 0.9042, 0.9165, 0.9250, 0.9308, 0.9353),
        },
    ),
    ("ndic", "cityscapes", "psnr-rgb"): (
        (0.02, 0.05, 0.10, 0.15, 0.20, 0.25, 0.30),
        {
            "ndic_balle2017": (28.47, 29.24, 30.11, 30.80, 31.54, 32.19, 32.76),
            "ndic_balle2018": (28.21, 29.35, 30.17, 30.97, 31.88, 32.57, 33.04),
            "balle2018": (None, 25.86, 27.91, 29.76, 30.83, 31.65, 32.61),
            "balle2017": (None, 25.98, 27.91, 29.15, 30.00, 30.74, 31.43),
            "bpg": (None, 25.84, 28.29, 29.85, 31.03, 32.02, 32.90),
            "dsin": (None, None, None, 26.43, 27.26, 27.53, 27.91),
        },
    ),
    ("ndic", "cityscapes", "ms-ssim-rgb"): (
        (0.02, 0.05, 0.10, 0.15, 0.20, 0.25),
        {
            "ndic_balle2017": (0.9713, 0.9808, 0.9827, 0.9830, 0.9844, 0.9866),
            "ndic_balle2018": (None, 0.9803, 0.9842, 0.9868, 0.9877, None),
            "balle2018": (None, None, None, 0.9655, 0.9765, 0.9817),
            "balle2017": (None, None, None, 0.9579, 0.9695, 0.9776),
            "bpg": (None, None, None, 0.9427, 0.9568, 0.9659),
            "dsin": (0.9431, 0.9449, 0.9597, 0.9643, 0.9659, 0.9674),
        },
    ),
    ("ndic_cam", "kitti_stereo", "ms-ssim-db"): (
        (0.03, 0.05, 0.075, 0.10, 0.15, 0.20, 0.25, 0.30),
        {
            "ndic_cam": (11.63, 12.32, 12.92, 13.59, 14.62, 15.27, 15.84, 16.39),
            "ndic_balle2017": (10.68, 11.68, 12.08, 12.53, 13.57, 14.40, 14.97, 15.61),
            "ndic_balle2018": (10.68, 11.06, 11.47, 11.87, 12.80, 13.98, 15.24, 16.05),
            "dsin": (9.57, 10.19, 10.46, 10.79, 11.26, 11.60, 11.89, 12.03),
        },
    ),
    ("ndic_cam", "kitti_stereo", "ms-ssim-rgb"): (
        (0.03, 0.05, 0.075, 0.10, 0.15, 0.20, 0.25, 0.30),
        {
            "ndic_cam": (0.9310, 0.9412, 0.9488, 0.9557, 0.9652, 0.9701, 0.9739, 0.9770),
            "ndic_balle2017": (0.9128, 0.9321, 0.9378, 0.9440, 0.9560, 0.9636, 0.9681, 0.9724),
            "ndic_balle2018": (0.9143, 0.9214, 0.9286, 0.9349, 0.9474, 0.9599, 0.9700, 0.9751),
            "dsin": (0.8890, 0.9042, 0.9100, 0.9165, 0.9250, 0.9307, 0.9352, 0.9374),
        },
    ),
}


@pytest.mark.parametrize("key", AT_RATE, ids=" ".join)
def test_curves_pass_through_the_values_listed_at_given_rates(key):
    rates, expected = AT_RATE[key]
    found = by_method(*key)
    tolerance = 0.011 if key[2] in ("psnr-rgb", "ms-ssim-db") else 0.00015  # the lists' own rounding
    for method, values in expected.items():
        results = found[method].results
        for rate, value in zip(rates, values):
            if value is not None:
                # 0.001: the error of reading a rate.
                assert results["bpp"][0] - 0.001 <= rate <= results["bpp"][-1]
                at_rate = np.interp(rate, results["bpp"], results[key[2]])
                assert at_rate == pytest.approx(value, abs=tolerance), f"{method} at {rate} bpp"


def test_values_in_decibels_and_plain_ones_are_the_same():
    for curve in published.curves(metric="ms-ssim-db"):
        plain = [1 - 10 ** (-decibels / 10) for decibels in curve.results["ms-ssim-db"]]
        np.testing.assert_allclose(curve.results["ms-ssim-rgb"], plain, atol=1e-6)


@pytest.mark.parametrize(
    ("metric", "value_error"), [("psnr-rgb", 0.03), ("ms-ssim-rgb", 0.0004)], ids=["psnr", "ms-ssim"]
)
def test_the_reading_of_ndics_figure_agrees_with_its_numbers_as_printed_elsewhere(metric, value_error):
    # Both sources hold these points: every marker of the figure has a printed point within the reading error.
    read, printed = by_method("ndic", "kitti_stereo", metric), by_method("ndic_cam", "kitti_stereo", metric)
    for method in ("ndic_balle2017", "ndic_balle2018", "dsin"):
        exact = np.array([printed[method].results["bpp"], printed[method].results[metric]]).T
        for point in zip(read[method].results["bpp"], read[method].results[metric]):
            distance = np.abs(exact - point) / (0.001, value_error)
            assert distance.max(axis=1).min() <= 1, f"{method}: no printed point near {point}"


def test_curves_of_the_image_set_paper_are_its_tables():
    rows = {"JPEG2000": "jpeg2000", "BPG": "bpg", "Lee": "lee2019", "Proposed (IEN)": "dsc_msf"}
    grdn = {"Proposed with GRDN in place of IEN": "dsc_msf_grdn"}
    for title, metric, names in (("PSNR", "psnr-rgb", {**rows, **grdn}), ("MS-SSIM", "ms-ssim-dsin", rows)):
        printed = table("dsc_msf", title)
        rates = [float(head.split()[0]) for head in printed.columns[1:]]
        found = by_method("dsc_msf", "kitti_scenes", metric)
        assert {row[0] for row in printed.rows} == set(names)
        for row in printed.rows:
            results = found[names[row[0]]].results
            points = [(rate, value) for rate, value in zip(rates, row[1:]) if value is not None]
            assert list(zip(results["bpp"], results[metric])) == points


def test_gains_of_the_image_set_paper_are_those_its_authors_report():
    curves = by_method("dsc_msf", "kitti_scenes", "psnr-rgb")
    proposed, lee, grdn = (np.array(curves[m].results["psnr-rgb"]) for m in ("dsc_msf", "lee2019", "dsc_msf_grdn"))
    np.testing.assert_allclose(proposed - lee, [1.43, 1.16, 1.14, 1.10, 1.08, 0.79], atol=1e-9)
    np.testing.assert_allclose(proposed - grdn, [0.72, 0.54, 0.48, 0.47, 0.46, 0.36], atol=1e-9)
    curves = by_method("dsc_msf", "kitti_scenes", "ms-ssim-dsin")
    gain = np.subtract(curves["dsc_msf"].results["ms-ssim-dsin"], curves["lee2019"].results["ms-ssim-dsin"])
    np.testing.assert_allclose(gain, [0.0127, 0.0096, 0.0091, 0.0083, 0.0074, 0.0049], atol=1e-9)


def test_every_table_is_rectangular_and_names_its_source():
    found = published.tables()
    assert {t.paper for t in found} == {"dsin", "ndic", "ndic_cam", "dsc_msf", "multichannel", "li2018"}
    for t in found:
        assert t.title
        assert t.source
        assert t.note
        assert t.rows
        assert all(len(row) == len(t.columns) for row in t.rows)
        numbers = [cell for row in t.rows for cell in row if isinstance(cell, float)]
        assert all(math.isfinite(n) for n in numbers)
    assert len({(t.paper, t.title) for t in found}) == len(found)


def test_numbers_of_the_texts():
    assert table("dsin", "Rate at equal MS-SSIM").rows == ((0.93, 0.05, 0.03, 40), (0.94, 0.08, 0.065, 20))
    assert table("dsin", "Example").rows == ((0.03199, 0.03019),)
    assert (1, 0.001, 0.1281) in table("ndic", "Rate at similar quality").rows
    assert table("ndic", "Rates of the visual").rows[0][1:] == (0.0261, 0.0187, 0.0152)
    assert table("dsc_msf", "Rates of the visual").rows[-1] == ("IR and IEN", 0.0601, 0.0573)
    without, fused = table("multichannel", "Colour compression").rows[1:]
    gains = np.subtract(fused[1:], without[1:])
    np.testing.assert_allclose(gains[[2, 4, 5, 6]], [0.587, 0.033, -0.104, -0.251], atol=1e-9)
    for codes, importance, total in table("li2018", "Mean rates").rows:
        assert codes + importance == pytest.approx(total)


def test_selections_narrow_down_and_an_unknown_paper_is_named():
    names = ("dsc_msf", "dsin", "lee2019", "li2018", "multichannel", "ndic", "ndic_cam", "ndic_preprint")
    assert published.papers() == names
    assert len(published.curves("ndic")) == 24
    assert {c.meta["dataset"] for c in published.curves(dataset="cityscapes")} == {"cityscapes"}
    assert published.curves("dsin") == []
    assert published.curves(dataset="street") == []
    with pytest.raises(ValueError, match="'ndci'; there is .*ndic"):
        published.curves("ndci")
    with pytest.raises(ValueError, match="'balle'"):
        published.tables("balle")
