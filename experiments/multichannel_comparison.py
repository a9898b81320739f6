"""Codecs at equal rate, for `experiments.multichannel_figures`: the poster's table with ours beside it, and what makes
it, images of which each is read at one rate.
"""

import dataclasses
import itertools
import math
import statistics
import textwrap
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from eval import curves, figures, published_numbers, rd_results, report, tables
from experiments import common, figure_files, multichannel

# {row of the poster: {ours: how it is trained}}.
ROWS = {
    "[7]": {"content_weighted": "--model=content_weighted"},
    "Without fusion": {
        "multichannel-no_fusion_16": "--fuse_at=none --chroma_channels=16",
        "multichannel-no_fusion_8": "--fuse_at=none --chroma_channels=8",
    },
    "With fusion": {"multichannel": "--model=multichannel"},
}
POSTER = tuple(method for ours in ROWS.values() for method in ours)
LEARNED = ("content_weighted", "multichannel")
_OTHERS = "not on the poster"
_PRINTED = {
    "Rate (bpp)": "bpp",
    "MSE": "mse",
    "PSNR (dB)": "psnr-rgb",
    "SSIM": "ssim",
    "CMSSIM": "cmssim",
    "Lab": "lab-difference-00",
    "RGB angle": "rgb-angle",
}
_LAB_NOTE = "Printed as Lab, neither kind nor unit is given. Its size fits ΔE00, and as well the mean error of L*a*b*."
# Heads of the columns; `curves.METRICS` has longer ones.
METRICS = {
    "mse": "MSE",
    "psnr-rgb": "PSNR (dB)",
    "psnr-y": "PSNR-Y (dB)",
    "ssim": "SSIM",
    "cmssim": "CMSSIM (ours)",
    "lab-difference": "ΔE76",
    "lab-difference-00": "ΔE00",
    "lab-mae": "|Δ| of L*a*b*",
    "rgb-angle": "angle (°)",
}
RATE_NOTE = (
    "bpp is the whole file. Each image is read between its measured points, linearly in log(bpp), and never beyond "
    "them; means are over the n images that every codec with a value reaches."
)
METRIC_NOTE = (
    "MSE and PSNR are of the same 8-bit RGB pixels; PSNR-Y and SSIM are of luma. CMSSIM is our definition, as the "
    "published one could not be obtained: its digits are not the poster's."
)
_POSTER_NOTE = (
    "The poster's numbers look like those of one example picture. Its MSE and PSNR contradict each other: 49.436 is "
    "31.19 dB where 29.122 is printed, 30.995 is 33.22 (30.864), 28.503 is 33.58 (31.451). Its [7] (Li et al., CVPR "
    "2018) has the fewest bits there, the others take 18-22 % more; ours are at equal rate."
)
_STEP = 0.01  # of the rates that `choose_rate` looks at
LOOKS = list(zip(("#000000", "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"), "osD^vPX"))


# ---------------------------------------------------------------------------------------------------------------------
# Results at equal rate.


def choose_rate(results):
    """The rate at which most images of most learned codecs can be compared.

    Args:
      results: {method: `RDResult`}.

    Returns:
      bpp, a multiple of 0.01; of equals the one at which most codecs of any kind are, then the one next to the
      poster's. None where nothing can be compared.
    """
    rates = [rate for result in results.values() for image in result.images for rate in image.points["bpp"]]
    published, found = _published()["With fusion"]["bpp"], {}
    low, high = min(rates, default=1) / _STEP, max(rates, default=0) / _STEP
    for at in range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1):
        rate = round(at * _STEP, 2)
        values = at_rate(results, rate, ())
        # Each beside another one: a codec alone would count nothing.
        compared = _learned(values) - (_learned(results) > 1)
        images = max((len(columns["bpp"]) for columns in values.values()), default=0)
        found[compared * images, len(values), -abs(math.log(rate / published))] = rate
    best = max(found, default=(0,))
    return found[best] if best[0] > 0 else None


def at_rate(results, rate, keys=tuple(METRICS)):
    """What results have at a rate, on the images that all of them reach.

    A result that reaches the rate on no image is left out and does not narrow the images of the others.

    Args:
      results: {method: `RDResult`}.
      rate: bpp.
      keys: columns.

    Returns:
      {method: {column: {image: value}}}; with the keys "bpp", which is the rate.
    """
    reached = {method: set(curves.image_values(result, "bpp", rate)) for method, result in results.items()}
    reached = {method: images for method, images in reached.items() if images}
    shared = set.intersection(*reached.values()) if reached else set()
    found = {}
    for method in reached if shared else ():
        columns = {key: curves.image_values(results[method], key, rate) for key in keys}
        found[method] = {"bpp": dict.fromkeys(sorted(shared), rate)}
        found[method].update({key: {n: of[n] for n in sorted(shared & of.keys())} for key, of in columns.items()})
    return found


def differences(values, one, other):
    """{column: [value of `one` less that of `other`, for each image]}; `values` are those of `at_rate`."""
    return {
        key: [values[one][key][name] - value for name, value in values[other][key].items() if name in values[one][key]]
        for key in METRICS
    }


def better(key, found):
    """How many of the differences of a metric are for the better: "17 of 24"."""
    sign = 1 if curves.metric(key).larger_is_better else -1
    return f"{sum(sign * difference > 0 for difference in found)} of {len(found)}"


def load(patterns, compared):
    """[(`report.Group`, {method: `RDResult`})] of the data sets with a method that the function `compared` accepts."""
    loaded = [(rd_results.load(path), Path(path)) for path in report.find(patterns)]
    found = []
    for group in report.group(loaded):
        if not any(compared(result.meta["method"]) for result in group.results):
            continue
        results = {}
        for result in group.results:
            if results.setdefault(result.meta["method"], result) is not result:
                raise common.UserError(
                    f"--results={','.join(patterns)}: two results are of {result.meta['method']} on {group.title}. "
                    "Name one of them; sweep is for several."
                )
        found.append((group, {method: results[method] for method in in_order(results)}))
    if not found:
        raise nothing_found(patterns)
    return found


def in_order(methods):
    """Methods, the poster's first."""
    return sorted(dict.fromkeys(methods), key=lambda method: POSTER.index(method) if method in POSTER else len(POSTER))


def nothing_found(patterns):
    """The `common.UserError` of a figure that none of the results is about."""
    return common.UserError(
        f"--results={','.join(patterns)}: holds no result that this figure is about. Measure some with --mode=evaluate "
        "of experiments.multichannel first."
    )


def about_group(group, results):
    """What every number of a figure is about."""
    trained = ("preset", "steps", "settings")
    return {
        **{name: group.meta.get(name) for name in ("dataset", "split", "protocol", "data_digest")},
        "methods": {m: {"name": r.name, **{k: r.meta[k] for k in trained if k in r.meta}} for m, r in results.items()},
    }


def _published():
    """{row of the poster: {column: number}}."""
    table = next(t for t in published_numbers.tables(paper="multichannel") if "MSE" in t.columns)
    heads = [_PRINTED.get(head, head) for head in table.columns]
    return {row[0]: dict(zip(heads[1:], row[1:])) for row in table.rows}


def means_of(values):
    """{column: mean or None} of {column: {image: value}}."""
    return {key: statistics.fmean(of_images.values()) if of_images else None for key, of_images in values.items()}


# ---------------------------------------------------------------------------------------------------------------------
# The poster's table.


def compare_rows(patterns, bpp=None):
    """The poster's table with ours beside it, and the differences of its rows.

    Args:
      patterns: results files, may hold wildcards.
      bpp: the rate; by default `choose_rate` of the learned codecs.

    Returns:
      Two `figure_files.Made` for each data set, the second where there are two codecs to compare.
    """
    made = []
    for group, results in load(patterns, lambda method: method in POSTER):
        rate = rate_of(results, bpp, group.title)
        values = at_rate(results, rate)
        images = max(len(columns["bpp"]) for columns in values.values())
        title = f"at {rate:g} bpp, {group.heading}, {images} images"
        about = {"bpp": rate, **about_group(group, results)}
        rows, note = _level_rows(results, values), f"{METRIC_NOTE} {RATE_NOTE} {_POSTER_NOTE}"
        table = tables.Table(f"Colours {title}", ("poster", ""), ("bpp", *METRICS.values()), tuple(rows), note)
        figure = _level_figure(results, values, title)
        made.append(figure_files.Made(f"table_{group.slug}", {**about, "values": values}, table, figure))
        pairs = _pairs([method for method in values if method.startswith(LEARNED)])
        if pairs:
            made.append(_gains(f"gains_{group.slug}", results, values, pairs, title, about))
    return made


def rate_of(results, bpp, title):
    """The rate to compare results at: `bpp`, or that of `choose_rate`.

    Raises:
      common.UserError: no two learned codecs have an image there.
    """
    rate = bpp or choose_rate(results)
    if rate is None or _learned(at_rate(results, rate, ())) < min(_learned(results), 2):
        rates = {r.name: r.results["bpp"] for r in results.values() if r.results["bpp"]}
        ranges = "; ".join(f"{name}: {min(of):.3f} to {max(of):.3f}" for name, of in rates.items())
        at = "any rate" if rate is None else f"{rate:g} bpp"
        raise common.UserError(
            f"{title}: no image can be compared at {at} (means are {ranges} bpp). Train at rates on both sides of one "
            "rate, or name another --bpp."
        )
    return rate


def _learned(methods):
    return sum(method.startswith(LEARNED) for method in methods)


def _pairs(methods):
    """{(row, row): [(method, method), ...]}, of which the differences are to be reproduced; last, all beside Li."""
    found = {}
    for one, other in (("With fusion", "Without fusion"), ("With fusion", "[7]"), ("Without fusion", "[7]")):
        of_rows = [(a, b) for a in ROWS[one] for b in ROWS[other] if a in methods and b in methods]
        if of_rows:
            found[one, other] = of_rows
    (li,) = ROWS["[7]"]
    rest = [(method, li) for method in methods if method not in POSTER and li in methods]
    return {**found, **({(_OTHERS, "[7]"): rest} if rest else {})}


def _level_rows(results, values):
    means = {method: means_of(columns) for method, columns in values.items()}
    best = {}
    for key in METRICS:
        found = [of_method[key] for of_method in means.values() if of_method[key] is not None]
        if len(found) > 1:
            best[key] = (max if curves.metric(key).larger_is_better else min)(found)
    rows = []
    others = [method for method in results if method not in POSTER]
    for row, methods in {**ROWS, _OTHERS: others}.items():
        printed = _published().get(row)
        if printed:
            cells = [tables.Cell(printed.get(key), 3) for key in ("bpp", *METRICS)]
            at = 1 + list(METRICS).index("lab-difference-00")
            cells[at] = dataclasses.replace(cells[at], note=_LAB_NOTE)
            rows.append(tables.Row((row, "published"), tuple(cells)))
        for method in methods:
            of_method = means.get(method, {})
            cells = [
                tables.Cell(mean, curves.metric(key).digits, best=mean is not None and mean == best.get(key))
                for key, mean in ((key, of_method.get(key)) for key in METRICS)
            ]
            note = "" if of_method else _missing(method, method in results)
            rate = tables.Cell(of_method.get("bpp"), 3, len(values.get(method, {}).get("bpp", ())), note)
            name = results[method].name if method in results else multichannel.FAMILY.labels[method]
            rows.append(tables.Row((row, name), (rate, *cells)))
    return rows


def _missing(method, is_measured):
    """Why a method has no values."""
    if is_measured:
        return "No image has this rate between its measured points."
    (how,) = (ours[method] for ours in ROWS.values() if method in ours)
    return f"Not measured on these images: --mode=evaluate of a run of --mode=train {how}."


def _gains(stem, results, values, pairs, title, about):
    """A `figure_files.Made` of differences at equal rate: means, and on how many images they are for the better."""
    published, rows, lines = _published(), [], {}
    for (one, other), of_rows in pairs.items():
        label = f"{one} − {other}"
        high, low = published.get(one, {}), published.get(other, {})
        if high:
            cells = [
                tables.Cell(high[key] - low[key] if None not in (high.get(key), low.get(key)) else None, 3, signed=True)
                for key in METRICS
            ]
            rows.append(tables.Row((label, "published"), tuple(cells)))
        for pair in of_rows:
            name = " − ".join(results[method].name for method in pair)
            lines[name] = differences(values, *pair)
            rows += [tables.Row((label, text), cells) for text, cells in difference_rows(name, lines[name])]
    note = (
        "Less the same metric of the other codec at equal rate, image by image: the mean, and on how many images that "
        "is for the better; errors are better where they are smaller. The poster's differences are not at equal rate: "
        f"with fusion 0.596 bpp, without 0.577, [7] 0.489. {METRIC_NOTE} {RATE_NOTE}"
    )
    figure = difference_figure(lines, f"Differences {title}: every image, and the mean")
    table = tables.Table(f"Differences {title}", ("poster", ""), tuple(METRICS.values()), tuple(rows), note)
    return figure_files.Made(stem, {**about, "differences": lines}, table, figure)


def difference_rows(name, found):
    """[(label, cells)]: the means of differences, and the number of images."""
    digits = {key: max(curves.metric(key).digits, 3) for key in METRICS}
    means = [
        tables.Cell(statistics.fmean(found[key]) if found[key] else None, digits[key], signed=True) for key in METRICS
    ]
    counts = [tables.Cell(better(key, found[key]) if found[key] else None) for key in METRICS]
    return [(name, tuple(means)), ("better on", tuple(counts))]


def _level_figure(results, values, title):
    """A dot for each codec in each metric; hollow ones are the poster's, of another picture."""
    lines = []
    for row, methods in {**ROWS, _OTHERS: [m for m in values if m not in POSTER]}.items():
        if row in _published():
            lines.append((f"{row}, as published", _published()[row], None))
        of_row = [(results[m].name, means_of(values[m]), m) for m in methods if m in values]
        lines += of_row
    looks = dict(zip((method for *_, method in lines if method), itertools.cycle(LOOKS)))

    def draw(axes, key):
        for at, (_, means, method) in enumerate(lines):
            if means.get(key) is not None:
                colour, marker = looks.get(method, ("#777777", "o"))
                filling = {} if method else {"mfc": "white", "mew": 1.3}
                axes.plot(means[key], at, marker, color=colour, ms=7, **filling)
        axes.margins(x=0.15)

    return _small_plots([name for name, *_ in lines], [m for _, m, _ in lines], draw, f"Colours {title}")


def difference_figure(lines, title):
    """A dot for each image, a bar for their mean, of each pair of codecs in each metric."""

    def draw(axes, key):
        axes.axvline(0, color="#888888", lw=1)
        for at, (found, (colour, _)) in enumerate(zip(lines.values(), itertools.cycle(LOOKS))):
            if found[key]:
                # Dots that would cover each other stand in rows of five.
                places = at + np.linspace(-0.25, 0.25, 5)[np.argsort(np.argsort(found[key])) % 5]
                axes.plot(found[key], places, "o", color=colour, ms=3.5, alpha=0.45, mew=0)
                axes.plot([statistics.fmean(found[key])] * 2, [at - 0.38, at + 0.38], color=colour, lw=2.5)
                count = f"better on {better(key, found[key])}"
                place = {"ha": "right", "va": "center", "transform": axes.get_yaxis_transform()}
                box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.5}
                axes.text(0.99, at - 0.45, count, fontsize=7.5, color="#555555", bbox=box, **place)

    halves = [name.replace(" − ", "\n− ").splitlines() for name in lines]
    labels = ["\n".join(textwrap.fill(half, 42, break_on_hyphens=False) for half in of) for of in halves]
    return _small_plots(labels, lines.values(), draw, title, height=0.62)


def _small_plots(labels, lines, draw, title, height=0.3):
    """A plot for each metric that some of `lines`, {column: ...} each, has; `draw(axes, key)` fills it."""
    keys = [key for key in METRICS if any(line.get(key) for line in lines)]
    columns = min(3, len(keys))
    deep = -(-len(keys) // columns)
    with matplotlib.rc_context(figures.STYLE):
        figure = Figure(figsize=(1.5 + 3.0 * columns, 0.5 + deep * (0.75 + height * len(labels))), layout="constrained")
        figure.suptitle(title, fontsize=10, x=0.01, ha="left")
        plots = list(figure.subplots(deep, columns, sharey=True, squeeze=False).flat)
        for axes in plots[len(keys) :]:
            axes.set_visible(False)
        for axes, key in zip(plots, keys):
            draw(axes, key)
            is_larger = curves.metric(key).larger_is_better
            axes.set_title(METRICS[key], loc="left", fontsize=10, fontweight="bold")
            axes.set_title("better →" if is_larger else "← better", loc="right", fontsize=8.5, color="#555555")
            axes.xaxis.set_major_locator(MaxNLocator(4))
            axes.set_yticks(range(len(labels)), labels)
            axes.set_ylim(len(labels) - 0.4, -0.6)
    return figure
