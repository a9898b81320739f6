"""Figures: dashed and solid, told apart without colour, and the same bytes every time."""

import io
from pathlib import Path

import matplotlib.colors
import numpy as np
import pytest
from PIL import Image

from eval import figures
from eval.rd_results import ImagePoints, RDResult

META = {"dataset": "made_up", "protocol": "native", "rate": "file"}


def ours(method, rates=(0.03, 0.1, 0.5), lift=0.0):
    points = {"bpp": list(rates), "psnr-rgb": [30 + lift + 5 * np.log2(r) for r in rates]}
    images = [ImagePoints(n, 8, 8, points) for n in "ab"]
    return RDResult(method.upper(), "", {"method": method, **META}, {"bpp": [], "psnr-rgb": []}, images)


def theirs(method, rates=(0.04, 0.2)):
    points = {"bpp": list(rates), "psnr-rgb": [20.0 + i for i in range(len(rates))]}
    return RDResult(method.upper(), "", {"method": method, **META, "rate": "estimated"}, points)


def lines(figure):
    """The curves of a plot: its lines that join points."""
    return [line for line in figure.axes[0].lines if line.get_linestyle() != "None"]


def test_ours_are_solid_and_published_ones_dashed_with_hollow_markers():
    figure = figures.rate_distortion([ours("bpg")], "psnr-rgb", [theirs("dsin")])
    solid, dashed = lines(figure)
    assert solid.get_linestyle() == "-"
    assert dashed.get_linestyle() == "--"
    handles = {h.get_label(): h for h in figure.legends[0].legend_handles}
    assert set(handles) == {"BPG (file rate)", "DSIN (estimated rate), published"}
    assert handles["BPG (file rate)"].get_markerfacecolor() == solid.get_color()
    assert handles["DSIN (estimated rate), published"].get_markerfacecolor() == "white"


def test_the_legend_goes_from_the_best_to_the_worst():
    figure = figures.rate_distortion([ours("low", lift=-3), ours("high", lift=3), ours("mid")], "psnr-rgb")
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["HIGH", "MID", "LOW"]


def test_markers_stand_where_the_tables_read_the_curve():
    figure = figures.rate_distortion([ours("bpg", (0.03, 0.1))], "psnr-rgb")
    (dots,) = [line for line in figure.axes[0].lines if line.get_linestyle() == "None"]
    at = dict(zip(dots.get_xdata(), dots.get_ydata()))
    assert sorted(at) == [0.03, 0.04, 0.06, 0.08, 0.1]
    assert at[0.04] == pytest.approx(30 + 5 * np.log2(0.04), abs=1e-2)  # a straight line in log-rate


def test_axes_name_their_units():
    axes = figures.rate_distortion([ours("bpg")], "psnr-rgb").axes[0]
    assert "bits per pixel" in axes.get_xlabel()
    assert axes.get_ylabel() == "PSNR (dB)"


def test_published_points_far_off_do_not_squeeze_ours():
    figure = figures.rate_distortion([ours("bpg", (0.03, 0.1))], "psnr-rgb", [theirs("dsin", (0.05, 8.0, 9.0))])
    assert figure.axes[0].get_xlim()[1] < 0.2
    assert figure.axes[0].get_ylim()[1] < 21


def test_nothing_to_draw_is_none():
    assert figures.rate_distortion([ours("bpg")], "ms-ssim-rgb") is None
    assert figures.rate_distortion([], "psnr-rgb") is None
    assert figures.rate_distortion([], "psnr-rgb", [theirs("dsin")]) is not None


def test_styles_are_distinct_and_fixed_for_known_codecs():
    names = ["jpeg2000", "bpg", *(f"model{i}" for i in range(30)), "dsin", "ndic_cam", "dsc_msf"]
    style = figures.styles([ours(name) for name in names])
    assert len(set(style.values())) == len(names)
    assert style["jpeg2000", "JPEG2000"] == figures.styles([ours("jpeg2000")])["jpeg2000", "JPEG2000"]
    assert len(figures.styles([ours(f"model{i}") for i in range(99)])) == 99


def test_published_curves_share_their_methods_style_and_ablations_do_not():
    ablation, paper = ours("dsin"), theirs("dsin")
    ablation.name, paper.name = "DSIN without mask", "DSIN (paper)"
    style = figures.styles([ours("dsin"), ablation], [paper])
    assert style["dsin", "DSIN (paper)"] == style["dsin", "DSIN"] != style["dsin", "DSIN without mask"]


def test_curves_differ_in_marker_as_well_as_colour():
    style = figures.styles([ours(m) for m in ("jpeg", "webp", "jpeg2000", "bpg", "avif", "dsin", "a", "b", "c")])
    assert len({marker for _, marker in style.values()}) == len(style)
    greys = [np.dot(matplotlib.colors.to_rgb(colour), (0.299, 0.587, 0.114)) for colour, _ in style.values()]
    assert max(greys) < 0.75  # seen on white paper


def test_the_same_input_gives_the_same_bytes(tmp_path):
    made = [figures.rate_distortion([ours("bpg")], "psnr-rgb", [theirs("dsin")]) for _ in range(2)]
    assert figures.to_svg(made[0]) == figures.to_svg(made[1])
    assert figures.to_png(made[0]) == figures.to_png(made[1])
    assert b"<dc:date>" not in figures.to_svg(made[0])
    png, svg = figures.save(made[0], tmp_path / "new" / "plot")
    assert Image.open(png).format == "PNG"
    assert Image.open(io.BytesIO(figures.to_png(made[0], dpi=80))).width < Image.open(png).width
    assert Path(svg).read_bytes().startswith(b"<?xml")
