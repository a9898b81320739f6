"""Rate-distortion figures as PNG and SVG.

Published curves are dashed with hollow markers, ours are solid with filled ones. A method has one colour (Okabe and
Ito's palette, told apart by colour-blind eyes) and one marker in every figure, so that a copy without colour can be
read as well; the legend lists the curves from the best to the worst at their right end. The same input gives
the same bytes.
"""

import io
import textwrap

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from dsin_tf import files
from eval import curves, tables

# Okabe and Ito's colours without yellow, which white paper swallows.
_BLUE, _RED, _GREEN, _SKY = "#0072B2", "#D55E00", "#009E73", "#56B4E9"
_PINK, _BLACK, _ORANGE = "#CC79A7", "#000000", "#E69F00"
_PURPLE = "#5D3A9B"  # not theirs: for where more codecs meet than they have colours
_FIXED = {
    "jpeg2000": (_BLUE, "s"),
    "bpg": (_RED, "^"),
    "avif": (_GREEN, "D"),
    "webp": (_SKY, "v"),
    "jpeg": (_PINK, "X"),
    "dsin": (_BLACK, "o"),
    "dsin-no_mask": (_SKY, "o"),
    "dsin-raw_y": (_GREEN, "p"),
    "dsin-no_si": (_PINK, "o"),
    "cpm": (_ORANGE, "D"),
    "ndic_balle2017": (_GREEN, "<"),
    "ndic_balle2018": (_SKY, ">"),
    "ndic_cam": (_PURPLE, "*"),
    "balle2017": (_PINK, "d"),
    "balle2018": (_ORANGE, "h"),
    "dsc_msf": (_BLACK, "p"),
    "lee2019": (_PINK, "8"),
    "multichannel": (_BLACK, "P"),
}
_COLOURS = (_ORANGE, _GREEN, _PINK, _SKY, _BLACK, _BLUE, _RED)
_MARKERS = ("o", "d", "p", "<", "h", ">", "8", "*")

STYLE = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same letters on every machine
    "font.size": 9.5,
    "axes.edgecolor": "#555555",
    "axes.labelcolor": "#222222",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.7,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "legend.frameon": False,
    "svg.hashsalt": "dsin_tf",
    "svg.fonttype": "path",
}
_WIDTH = 5.4  # inches; at a phone's width the letters are still about 9 px high


def styles(results, published=()):
    """Colours and markers for plots that are to agree.

    Known codecs keep theirs in every report; other methods take what is left, in the order given. Of several results
    of ours with the same method (an ablation, another preset) the first has the method's own, which published curves
    of the method share.

    Args:
      results: list of `RDResult`, ours.
      published: list of `RDResult`, published curves.

    Returns:
      {(method, name): (colour, marker)}, distinct for some fifty methods.
    """
    methods = {}  # method -> the name that has the method's style
    for r in (*results, *published):
        methods.setdefault(r.meta["method"], r.name)
    found = {(method, name): _FIXED[method] for method, name in methods.items() if method in _FIXED}
    every = [pair for by in range(len(_MARKERS)) for pair in zip(_COLOURS, _MARKERS[by:] + _MARKERS[:by])]
    free = [pair for pair in every if pair not in _FIXED.values()]
    for r in results:
        _take((r.meta["method"], r.name), found, free)
    for r in published:
        method = r.meta["method"]
        _take((method, methods[method]), found, free)
        found.setdefault((method, r.name), found[method, methods[method]])
    return found


def rate_distortion(results, key, published=(), title=None, limits=None, style=None):
    """A rate-distortion plot.

    A solid line is the mean over images at each rate, drawn only where every image of the result has that rate; its
    markers stand at round rates, among them those of the tables, and show the numbers printed there.

    Args:
      results: list of `RDResult`, ours. Those without the metric are left out.
      key: the metric's column.
      published: list of `RDResult` without images, drawn dashed through their own points.
      title: heading of the plot; the metric by default.
      limits: (lowest, highest) bpp shown; by default what ours cover, without any of ours what is published.
      style: what `styles` gave for this and other plots; by default for this one alone.

    Returns:
      A matplotlib `Figure`, or None when there is nothing to draw.
    """
    m = curves.metric(key)
    style = style or styles(results, published)
    ours = [(r, *curves.mean_curve(r, key)) for r in results]
    ours = [c for c in ours if len(c[1])]
    theirs = [(r, *curves.mean_curve(r, key)) for r in published]
    limits = limits or _limits([x for _, x, _ in ours] or [x for _, x, _ in theirs if len(x)])
    ours, theirs = ([c for c in drawn if any(limits[0] <= x <= limits[1] for x in c[1])] for drawn in (ours, theirs))
    if not ours and not theirs:
        return None

    labels = tables.row_labels([r for r, _, _ in ours + theirs])
    entries, heights = [], []  # (height at the right end, legend handle); every height that is seen
    rows = (len(labels) + 1) // 2 if max(map(len, labels)) <= 26 else len(labels)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(_WIDTH, 3.9 + 0.19 * rows), layout="constrained")
        axes = figure.add_subplot()
        for at, (r, x, y) in enumerate(ours + theirs):
            colour, marker = style[r.meta["method"], r.name]
            is_ours = at < len(ours)
            drawn = {"color": colour, "lw": 1.8 if is_ours else 1.2, "ls": "-" if is_ours else (0, (4, 2.5))}
            dots = {"marker": marker, "ms": 6.5, "mec": "white" if is_ours else colour, "mew": 0.7 if is_ours else 1.1}
            dots["mfc"] = colour if is_ours else "white"
            axes.plot(x, y, **drawn, zorder=3 if is_ours else 2)
            at_x, at_y = _marked(x, y) if r.images else (x, y)
            axes.plot(at_x, at_y, ls="none", **dots, zorder=4 if is_ours else 2.5)
            label = labels[at] if is_ours else f"{labels[at]}, published"
            seen = y[(limits[0] <= x) & (x <= limits[1])]
            heights.extend(seen)
            entries.append((seen[-1], Line2D([], [], label=textwrap.fill(label, 58), **drawn, **dots)))
        axes.set_xscale("log")
        axes.set_xlim(*limits)
        room = 0.05 * (max(heights) - min(heights)) or 0.01
        axes.set_ylim(min(heights) - room, max(heights) + room)
        axes.xaxis.set_major_locator(FixedLocator(_ticks(*limits)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_xlabel("rate (bits per pixel, logarithmic)")
        axes.set_ylabel(m.title)
        axes.set_title(title or m.label, loc="left", fontsize=11, fontweight="bold", color="#222222")
        entries.sort(key=lambda e: -e[0] if m.larger_is_better else e[0])
        columns = 2 if rows < len(labels) else 1
        figure.legend(
            handles=[handle for _, handle in entries],
            loc="outside lower center",
            ncols=columns,
            fontsize=8.5,
            handlelength=3,
            labelspacing=0.35,
        )
    return figure


def to_svg(figure):
    """The figure as SVG bytes, without date or program version."""
    return _rendered(figure, "svg", {"Date": None, "Creator": None})


def to_png(figure, dpi=160):
    """The figure as PNG bytes, without date or program version."""
    return _rendered(figure, "png", {"Software": None}, dpi=dpi)


def save(figure, stem):
    """Writes `<stem>.png` and `<stem>.svg`; returns both paths."""
    files.write_bytes(f"{stem}.png", to_png(figure))
    files.write_bytes(f"{stem}.svg", to_svg(figure))
    return f"{stem}.png", f"{stem}.svg"


def _rendered(figure, kind, metadata, **options):
    data = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(data, format=kind, metadata=metadata, facecolor="white", **options)
    return data.getvalue()


def _take(key, found, free):
    """Gives `key` a free style, if it has none: one whose marker nothing else has, else the first."""
    if key not in found:
        used = {marker for _, marker in found.values()}
        found[key] = next((pair for pair in free if pair[1] not in used), free[0])
        free.append(free.pop(free.index(found[key])))  # comes again only when all others are taken


def _limits(rates):
    """Limits of the axis with a little room; any when nothing is drawn."""
    if not rates:
        return 0.01, 1.0
    return min(r.min() for r in rates) / 1.08, max(r.max() for r in rates) * 1.08


def _marked(x, y):
    """The points of a mean curve that carry a marker: at round rates, or its two ends where it has none."""
    at = _round_rates(x[0], x[-1]) or [x[0], x[-1]]
    return at, np.interp(np.log(at), np.log(x), y)


def _round_rates(low, high):
    """Rates in [low, high] that people ask for, the roundest first: 1, 2, 4, 6, 8 and 3 times a power of ten."""
    powers = range(-4, 3)
    rates = [round(digit * 10.0**power, 6) for digit in (1, 2, 4, 6, 8, 3) for power in powers]
    return [r for r in rates if low <= r <= high]


def _ticks(low, high):
    """Round rates at least a twelfth of the axis apart, so that their numbers do not touch."""
    gap = np.log(high / low) / 12
    kept = []
    for rate in _round_rates(low, high):
        if all(abs(np.log(rate / other)) > gap for other in kept):
            kept.append(rate)
    return sorted(kept)
