"""The tables and figures of Wang et al. (DCC 2022), from results of experiments.dsc_msf and experiments.anchors.

    python -m experiments.dsc_msf_figures --figure=psnr --results='runs/*/results*.json,runs/anchors/*.json'
    python -m experiments.dsc_msf_figures --figure=visual --pictures=runs/pictures
    python -m experiments.dsc_msf_figures --figure=tree --dataset=kitti_scenes --data_dir=DIR --limit=2

    psnr, ms_ssim  the two published tables with ours beside them, what DSC-MSF gains, and all operating points
    grdn           the same for GRDN in place of the enhancement network
    msf, ir_ien    the ablations: without multi-scale fusion; in natural order, without enhancement, without both
    reference      what coding takes from references: decoded with the originals in their place
    depth          what side information gains in images of each depth in the tree
    set_size       rate and gain by the number of images in a set, from results of sets of several sizes
    visual         pictures of the codec alone, DSC-MSF and what it is without its parts
    tree           the tree of each set of a data set

Each writes its numbers as JSON and CSV, and the picture as PNG and SVG, into --out, which `python -m eval.report
--figures` shows. But for tree evaluate the runs first; for visual with --pictures, --picture_bpp and one --pictures_dir
for all. What is not evaluated has a row of its own that says how to.
"""

import dataclasses
import itertools
import statistics
import textwrap
from pathlib import Path

import matplotlib
import numpy as np
from absl import flags
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from dsin_tf import data
from eval import curves, figures, published_numbers, tables
from experiments import codec_driver, common, dsc_msf, figure_files, set_figures

_CODEC = "lee2019-no_context"  # the codec alone, which DSC-MSF stands on
_IEN, _GRDN = "Proposed (IEN)", "Proposed with GRDN in place of IEN"
# {row as published: (published method, ours)}; below them what the paper has not.
_ROWS = {
    "JPEG2000": ("jpeg2000", ("jpeg2000",)),
    "BPG": ("bpg", ("bpg",)),
    "Lee": ("lee2019", ("lee2019", _CODEC)),
    _IEN: ("dsc_msf", ("dsc_msf", "dsc_msf-joint")),
    _GRDN: ("dsc_msf_grdn", ("dsc_msf-grdn", "dsc_msf-grdn_lite")),
    "No side information": (None, ("dsc_msf-no_side",)),
    "Original references": (
        None,
        ("dsc_msf-original_reference", "dsc_msf-original_training-original_reference"),
    ),
}
_COMPARED = [method for _, ours in _ROWS.values() for method in ours]
_GRDN_ROWS = (_IEN, _GRDN)
# Differences of rows, which are what is to be reproduced.
_GAINS = ((_IEN, "Lee"), (_IEN, "JPEG2000"), (_IEN, "No side information"))
_GRDN_GAINS = ((_IEN, _GRDN),)

_ABLATIONS = {
    "grdn": (_CODEC, "dsc_msf", "dsc_msf-grdn", "dsc_msf-grdn_lite"),
    "msf": (_CODEC, "dsc_msf", "dsc_msf-no_msf"),
    "ir_ien": (_CODEC, "dsc_msf", "dsc_msf-no_ir", "dsc_msf-no_ien", "dsc_msf-no_ien-no_ir"),
    "reference": (
        *(_CODEC, "dsc_msf", "dsc_msf-original_reference"),
        *("dsc_msf-original_training", "dsc_msf-original_training-original_reference"),
    ),
}
_QUOTED = {"msf": "MSF", "ir_ien": "IR"}  # how the rates begin that the paper quotes with pictures
_VISUAL = (_CODEC, "dsc_msf", *(f"dsc_msf-{part}" for part in ("no_msf", "no_ien", "no_ir", "no_ien-no_ir", "no_side")))

_LABELS = {**dsc_msf.FAMILY.labels, "jpeg2000": "JPEG 2000", "bpg": "BPG (stand-in)"}
_POINT_KEYS = ("bpp", "psnr-rgb", "ms-ssim-rgb", "ms-ssim-dsin")
_NOTES = {
    "psnr-rgb": "The published level of PSNR is not explained by any usual definition on KITTI images: compare gains, "
    "not levels.",
    "ms-ssim-rgb": "Standard MS-SSIM. What was published stands beside MS-SSIM (DSIN), which it fits.",
    "ms-ssim-dsin": "MS-SSIM (DSIN) is what DSIN's released evaluation computes, which takes the height of the image "
    "for the batch. The published levels fit this and not the standard measure: an inference.",
}
_RATE_NOTE = (
    "Ours: bpp of whole files with their share of the set's tree; mean over the n images that reach the rate, between "
    f"measured points linearly in log(bpp). {tables.MISSING} out of range: nothing is extrapolated. Published: KITTI "
    "image sets, which of them is not said; rates of learned codecs are taken for estimates, and Lee for the codec of "
    "ICLR 2019, which has a context model. Our DSC-MSF stands on it without."
)
# Of methods that would look like others in the same plot.
_LOOKS = {
    "dsc_msf-original_reference": ("#5D3A9B", "v"),
    "dsc_msf-original_training-original_reference": ("#5D3A9B", "^"),
}
_PAIR_COLOURS = ("#000000", "#0072B2", "#009E73")


def define_flags():
    """The driver's flags; defined when it is run, not when it is imported."""
    names = ["psnr", "ms_ssim", *_ABLATIONS, "depth", "set_size", "visual", "tree"]
    with common.flag_group("Figure"):
        flags.DEFINE_enum("figure", None, names, "Which figure to make.", required=True)
        flags.DEFINE_string("out", "runs/dsc_msf_figures", "Folder for data and pictures.")
        flags.DEFINE_list("results", None, "Results files; may hold * and ?. Those of other methods are passed over.")
        flags.DEFINE_string("pictures", None, "Folder of kept pictures, of visual.")
        flags.DEFINE_integer("max_depth", 4, "Of tree: how many images are decoded before one; 0 is no limit.", 0)
        flags.DEFINE_string("size", None, "HEIGHTxWIDTH of street's pictures in pixels; by default 128x256.")
    common.define_data_flags()


def main(argv):
    """Makes the figure that the flags ask for."""
    del argv
    values = flags.FLAGS
    name = values.figure
    if name == "tree":
        source, protocol = common.load_data(**codec_driver.data_options()), data.protocols.get(values.protocol)
        made = set_figures.trees(source, protocol, values.max_depth or None)
    elif name == "visual":
        made = compare_pictures(figure_files.needed("pictures"))
    else:
        make = {
            "psnr": compare_psnr,
            "ms_ssim": compare_ms_ssim,
            "depth": set_figures.gain_by_depth,
            "set_size": set_figures.gain_by_set_size,
        }
        patterns = figure_files.needed("results")
        made = make[name](patterns) if name in make else compare_ablation(name, patterns)
    figure_files.write_all(made, Path(values.out))


def compare_psnr(patterns):
    """The published table of PSNR, gains and operating points; a list of `figure_files.Made` for each data set."""
    return [
        made for each in set_figures.load(patterns, _COMPARED, 2) for made in _compared(each, "psnr", ("psnr-rgb",))
    ]


def compare_ms_ssim(patterns):
    """As `compare_psnr` of both MS-SSIM, the standard one and the one that was published."""
    keys = ("ms-ssim-rgb", "ms-ssim-dsin")
    return [made for each in set_figures.load(patterns, _COMPARED, 2) for made in _compared(each, "ms_ssim", keys)]


def compare_ablation(name, patterns):
    """DSC-MSF and what it is without a part.

    Args:
      name: "grdn", "msf", "ir_ien" or "reference".
      patterns: results files, may hold wildcards.

    Returns:
      A list of `figure_files.Made` for each data set.
    """
    made, (_, *compared) = [], _ABLATIONS[name]
    for each in set_figures.load(patterns, compared, 2):
        if name == "grdn":
            made += _at_rates(each, name, "psnr-rgb", _GRDN_ROWS, _GRDN_GAINS)
        made.append(_at_points(each, name, _ABLATIONS[name], "dsc_msf", "psnr-rgb"))
    return made


def compare_pictures(folder):
    """Strips of the codec alone, DSC-MSF and its ablations, with the rates that the authors quote for theirs."""
    columns = ("ablation", "without", "with")
    rates = [dict(zip(columns, row)) for row in _quoted_rates()]
    return [
        dataclasses.replace(made, data={**made.data, "rates quoted by the authors (bpp)": rates})
        for made in figure_files.strips_of("visual", _VISUAL, folder)
    ]


def _compared(measured, stem, keys):
    made = []
    for key in keys:
        if any(key in result.results for result in measured.results.values()):
            made += _at_rates(measured, stem if len(keys) == 1 else key.replace("-", "_"), key, _ROWS, _GAINS)
    order = {method: at for at, method in enumerate(_LABELS)}
    methods = [method for method in measured.results if method.startswith(("lee2019", "dsc_msf"))]
    methods.sort(key=lambda method: (method.startswith("dsc_msf"), order.get(method, len(order))))
    shown = next(key for key in keys if any(key in measured.results[method].results for method in methods))
    return [*made, _at_points(measured, stem, methods, _CODEC, shown)]


def _missing(method):
    """Where a method is not evaluated: how it would be."""
    if not method.startswith(("dsc_msf", "lee2019")):
        return f"{_LABELS[method]} is not measured on these images: experiments.anchors --codecs={method}."
    words = method.split("-")[1:]
    kind = {"lee2019": "--model=lee2019 --context=ar", _CODEC: "--model=lee2019 --context=none"}.get(method, "")
    trained = [f"--ablation={word}" for word in words if word in dsc_msf.ABLATIONS]
    trained += ["--stage=joint"] if "joint" in words else []
    measured = [f"--ablation={word}" for word in words if word in dsc_msf.EVALUATION_ABLATIONS]
    run = " ".join(filter(None, ("a run of --mode=train", kind, *trained)))
    return f"{_LABELS[method]} is not measured on these images: {' '.join(('--mode=evaluate', *measured))} of {run}."


# ---------------------------------------------------------------------------------------------------------------------
# At the published rates.


def _at_rates(measured, stem, key, rows, gains):
    """Two `figure_files.Made`: a metric at the published rates, and differences of its rows."""
    theirs = {curve.meta["method"]: curve for curve in published_numbers.curves(paper="dsc_msf", metric=key)}
    ours = [m for row in rows for m in _ROWS[row][1] if m in measured.results]
    results = [dataclasses.replace(measured.results[m], images=[]) for m in ours]
    metric, note = curves.metric(key), f"{_NOTES[key]} {_RATE_NOTE} {measured.trained(ours)}"
    heads = tuple(f"{rate:.2f}" for rate in tables.RATES)
    about = {"metric": key, **measured.about(ours)}
    made = []

    lines = [line for row in rows for line in _level_rows(measured, row, key, theirs)]
    table = tables.Table(f"{metric.title} at equal rate, {measured.title}", ("bpp", ""), heads, tuple(lines), note)
    style = {name: _LOOKS.get(name[0], look) for name, look in figures.styles(results).items()}
    figure = figures.rate_distortion(
        results, key, title=textwrap.fill(f"{metric.label}, {measured.title}", 55), style=style
    )
    if figure is not None:
        made.append(figure_files.Made(f"{stem}_{measured.slug}", about, table, figure))

    pairs = {gain: _pairs(measured, gain, key, theirs) for gain in gains}
    lines = [line for gain, found in pairs.items() for line in _gain_rows(gain, found, metric)]
    if any(cell.value is not None for line in lines for cell in line.cells):
        title = f"Differences in {metric.title} at equal rate, {measured.title}"
        note = f"Of ours over the n images that both reach. {note}"
        table = tables.Table(title, ("bpp", ""), heads, tuple(lines), note)
        figure = _gain_figure(pairs, metric, measured.title)
        made.append(figure_files.Made(f"{stem}_gains_{measured.slug}", about, table, figure))
    return made


def _level_rows(measured, row, key, theirs):
    """A published row, and ours of it."""
    published, ours = _ROWS[row]
    digits, rows = curves.metric(key).digits, []
    if published in theirs:
        cells = [tables.Cell(curves.mean_at(theirs[published], key, rate).value, digits) for rate in tables.RATES]
        rows.append(tables.Row((row, "published"), tuple(cells)))
    for method in ours:
        result = measured.results.get(method)
        if result is None:
            rows.append(_missing_row((row, _LABELS[method]), method, tables.RATES))
            continue
        means = [curves.mean_at(result, key, rate) for rate in tables.RATES]
        rows.append(tables.Row((row, result.name), tuple(tables.Cell(m.value, digits, m.count) for m in means)))
    return rows


def _missing_row(labels, method, columns):
    return _row(labels, [tables.Cell(None, note=_missing(method))], columns)


def _row(labels, cells, columns):
    """A row of the first cells of all columns; the others are missing."""
    return tables.Row(labels, (*cells, *[tables.Cell(None)] * (len(columns) - len(cells))))


def _pairs(measured, gain, key, theirs):
    """{label: a `curves.Mean` of the difference at each rate}, published first, of two rows."""
    (high, ours_high), (low, ours_low) = (_ROWS[row] for row in gain)
    found = {}
    if high in theirs and low in theirs:
        found["published"] = [_difference(theirs[high], theirs[low], key, rate) for rate in tables.RATES]
    for one, other in itertools.product(ours_high, ours_low):
        if one in measured.results and other in measured.results:
            one, other = measured.results[one], measured.results[other]
            found[f"{one.name} − {other.name}"] = [_difference(one, other, key, rate) for rate in tables.RATES]
    return found


def _difference(one, other, key, rate):
    """The mean of one less that of the other, over the images that both reach."""
    if one.images:
        high, low = curves.common_means([one, other], key, rate)
    else:
        high, low = (curves.mean_at(curve, key, rate) for curve in (one, other))
    known = high.value is not None and low.value is not None
    return curves.Mean(high.value - low.value if known else None, high.count)


def _gain_rows(gain, pairs, metric):
    label, rows = f"{gain[0]} − {gain[1]}", []
    for name, means in pairs.items():
        cells = tuple(tables.Cell(mean.value, metric.digits, mean.count, signed=True) for mean in means)
        rows.append(tables.Row((label, name), cells))
    return rows if set(pairs) - {"published"} else [*rows, _row((label, "measured"), [], tables.RATES)]


def _gain_figure(pairs, metric, title):
    """Differences over the rate: published ones dashed with hollow markers, ours solid."""
    with matplotlib.rc_context(figures.STYLE):
        figure = Figure(figsize=(5.4, 4.4), layout="constrained")
        axes = figure.add_subplot()
        axes.axhline(0, color="#888888", lw=1)
        for colour, (gain, found) in zip(_PAIR_COLOURS, pairs.items()):
            markers = iter("osD^vP")
            for name, means in found.items():
                is_ours = name != "published"
                look = {"ls": "-" if is_ours else (0, (4, 2.5)), "lw": 1.8 if is_ours else 1.2}
                look.update(marker=next(markers), ms=6.5, mec=colour, mfc=colour if is_ours else "white")
                values = [np.nan if mean.value is None else mean.value for mean in means]
                label = name if is_ours else f"{gain[0]} − {gain[1]}, {name}"
                axes.plot(tables.RATES, values, color=colour, **look, label=label)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(tables.RATES))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_xlabel("rate (bits per pixel, logarithmic)")
        axes.set_ylabel(f"difference in {metric.title}")
        axes.set_title(textwrap.fill(title, 64), loc="left", fontsize=10)
        figure.legend(loc="outside lower center", fontsize=8)
    return figure


# ---------------------------------------------------------------------------------------------------------------------
# At the operating points.


def _at_points(measured, stem, methods, anchor, key):
    """A `figure_files.Made`: methods at each lmbda beside another one at the same lmbda, of which `key` is drawn."""
    entries = _entries(measured, methods, anchor)
    named = {column: curves.metric(column) for column in _POINT_KEYS}
    columns = [m.title for m in named.values()]
    columns += [f"Δ {title}" for title in columns] + (["parameters"] if stem == "grdn" else [])
    rows = [_row(labels, [tables.Cell(bpp, 4)], columns) for labels, bpp in _quoted_points(stem)]
    for method in methods:
        if method not in measured.results:
            rows.append(_missing_row((_LABELS[method], tables.MISSING), method, columns))
        for entry in (e for e in entries if e["method"] == method):
            cells = [tables.Cell(entry["means"].get(column), m.digits) for column, m in named.items()]
            for column, m in named.items():
                mean = entry["differences"].get(column, {}).get("mean")
                cells.append(tables.Cell(mean, max(m.digits, 3) + (column == "bpp"), signed=True))
            cells.append(tables.Cell(entry["parameters"], 0))
            rows.append(_row((entry["name"], f"{entry['lmbda']:g}"), cells[: len(columns)], columns))
    name = measured.results[anchor].name if anchor in measured.results else _LABELS[anchor]
    note = (
        f"Means over all images; bpp is the whole file with its share of the set's tree. Δ: less {name} at the same "
        f"lmbda, so at nearly the same rate; {tables.MISSING} where that is not measured. Bars in the plot are "
        f"standard errors over images. {_NOTES['ms-ssim-dsin']} {measured.trained(methods)}"
    )
    note += "" if anchor in measured.results else f" {_missing(anchor)}"
    note += " Published are the rates of the pictures that the authors show." if stem in _QUOTED else ""
    table = tables.Table(f"Operating points, {measured.title}", ("model", "lmbda"), tuple(columns), tuple(rows), note)
    content = {"metric": key, "beside": anchor, "points": entries, **measured.about(methods)}
    figure = _point_figure(entries, key, name, measured.title)
    return figure_files.Made(f"{stem}_points_{measured.slug}", content, table, figure)


def _entries(measured, methods, anchor):
    """For each method and lmbda its means, and the means of its images' differences from the anchor's."""
    known = {m: set_figures.operating_points(measured.results[m]) for m in (*methods, anchor) if m in measured.results}
    entries = []
    for method in (m for m in methods if m in known):
        for lmbda, points in known[method].items():
            beside = known.get(anchor, {}).get(lmbda, {}) if method != anchor else {}
            means, differences = {}, {}
            for key in (k for k in _POINT_KEYS if k in measured.results[method].results):
                means[key] = statistics.fmean(point[key] for point in points.values())
                if beside:
                    mean, error = set_figures.mean_and_error(points[i][key] - beside[i][key] for i in points)
                    differences[key] = {"mean": mean, "standard error": error}
            result = measured.results[method]
            about = {"method": method, "name": result.name, "lmbda": lmbda, "parameters": result.meta.get("parameters")}
            entries.append({**about, "means": means, "differences": differences})
    return entries


def _quoted_rates():
    """(ablation, bpp without, bpp with) of the pictures that the authors show."""
    (table,) = (t for t in published_numbers.tables(paper="dsc_msf") if t.title.startswith("Rates of the visual"))
    return table.rows


def _quoted_points(stem):
    """Those of an ablation: ((label, which), bpp)."""
    for label, *rates in _quoted_rates():
        if stem in _QUOTED and label.startswith(_QUOTED[stem]):
            for which, bpp in zip(("without", "with"), rates):
                yield (f"published: {label}", which), bpp


def _point_figure(entries, key, beside, title):
    """Differences with their standard errors: a line of the plot for each model, a mark for each lmbda."""
    shown = [entry for entry in entries if key in entry["differences"]]
    names = list(dict.fromkeys(entry["name"] for entry in shown))
    lmbdas = sorted({entry["lmbda"] for entry in shown})
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.75, len(lmbdas)))
    with matplotlib.rc_context(figures.STYLE):
        figure = Figure(figsize=(7.2, 1.9 + 0.42 * len(names)), layout="constrained")
        axes = figure.add_subplot()
        axes.axvline(0, color="#888888", lw=1)
        for at, (lmbda, colour) in enumerate(zip(lmbdas, colours)):
            of_lmbda = [entry for entry in shown if entry["lmbda"] == lmbda]
            found = [entry["differences"][key] for entry in of_lmbda]
            axes.errorbar(
                [each["mean"] for each in found],
                [names.index(entry["name"]) + 0.3 * ((at + 0.5) / len(lmbdas) - 0.5) for entry in of_lmbda],
                xerr=[each["standard error"] or 0 for each in found],
                **{"color": colour, "ls": "none", "marker": "osD^vP"[at % 6], "ms": 6.5, "capsize": 2.5},
                label=f"lmbda {lmbda:g}, about {statistics.fmean(e['means']['bpp'] for e in of_lmbda):.3f} bpp",
            )
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(max(len(names), 1) - 0.5, -0.5)
        axes.set_xlabel(f"difference in {curves.metric(key).title}" if shown else "nothing to compare with")
        figure.suptitle(f"Beside {beside}, at the same lmbda\n{title}", fontsize=10, x=0.01, ha="left")
        if shown:
            figure.legend(loc="outside lower center", ncols=2, fontsize=8.5)
    return figure


if __name__ == "__main__":
    define_flags()
    common.run(main)
