"""The tables and figures of the multi-channel poster, from results of experiments.multichannel and experiments.anchors.

    python -m experiments.multichannel_figures --figure=table --results='runs/*/results.json,runs/anchors/*.json'
    python -m experiments.multichannel_figures --figure=visual --pictures=runs/pictures
    python -m experiments.multichannel_figures --figure=map --workdirs=runs/li,runs/fusion \\
        --dataset=images --data_dir=DIR
    python -m experiments.multichannel_figures --figure=channels --workdirs=runs/li,runs/fusion

    table     the poster's table with ours at equal rate beside it, and what fusion gains
    curves    PSNR, CMSSIM, colour difference and RGB angle over the rate
    side      what the decoders of colour gain from side information
    sweep     all runs with their weights of rate and colours, and how these set rate and quality
    visual    pictures with maps of where their colours are wrong
    map       importance maps: how much of the code each place sends
    channels  what the map and each stream take of the files of evaluated runs

Each writes its numbers as JSON and CSV, and the picture as PNG and SVG, into --out, which `python -m eval.report
--figures` shows. All but map need evaluated runs; visual needs them with --pictures, --picture_bpp and one
--pictures_dir for all. The last three are made by experiments.multichannel_pictures.
"""

import itertools
from pathlib import Path

import matplotlib
from absl import flags
from matplotlib.figure import Figure

from dsin_tf import data
from eval import curves, figures, rd_results, report, tables
from experiments import codec_driver, common, figure_files
from experiments import multichannel_comparison as comparison
from experiments import multichannel_pictures as pictures

_CURVES = ("psnr-rgb", "cmssim", "lab-difference", "rgb-angle")
_SWEEP = {
    "map-share": ("map's mean", 3),
    "bpp-raw": ("bpp uncoded", 4),
    "bpp-estimated": ("bpp estimated", 4),
    "bpp": ("bpp", 4),
    **{
        key: (comparison.METRICS[key], curves.metric(key).digits)
        for key in ("psnr-rgb", "psnr-y", "lab-difference", "rgb-angle")
    },
}


def define_flags():
    """The driver's flags; defined when it is run, not when it is imported."""
    names = ["table", "curves", "side", "sweep", "visual", "map", "channels"]
    with common.flag_group("Figure"):
        flags.DEFINE_enum("figure", None, names, "Which figure to make.", required=True)
        flags.DEFINE_string("out", "runs/multichannel_figures", "Folder for data and pictures.")
        flags.DEFINE_list("results", None, "Results files of table, curves, side and sweep; may hold * and ?.")
        flags.DEFINE_float(
            "bpp", None, "Rate of table and side; by default the one that most images of most codecs reach.", 1e-6
        )
        flags.DEFINE_string("pictures", None, "Folder of kept pictures, of visual.")
        flags.DEFINE_list("workdirs", None, "Run directories: of map; of channels as evaluation left them.")
        flags.DEFINE_integer("count", 2, "How many images map draws, spread over the data set.", lower_bound=1)
        flags.DEFINE_string("size", None, "HEIGHTxWIDTH of street's pictures in pixels; by default 128x256.")
        flags.DEFINE_enum("weights", "best", ["best", "last"], "Weights of map: best in validation, or the last.")
    common.define_data_flags()


def main(argv):
    """Makes the figure that the flags ask for."""
    del argv
    values = flags.FLAGS
    needed = figure_files.needed
    if values.figure == "table":
        made = comparison.compare_rows(needed("results"), values.bpp)
    elif values.figure == "curves":
        made = compare_curves(needed("results"))
    elif values.figure == "side":
        made = gain_of_side(needed("results"), values.bpp)
    elif values.figure == "sweep":
        made = compare_weights(needed("results"))
    elif values.figure == "visual":
        made = pictures.compare_pictures(needed("pictures"))
    elif values.figure == "channels":
        made = pictures.compare_streams(needed("workdirs"))
    else:
        workdirs = needed("workdirs")
        source = common.singly(common.load_data(**codec_driver.data_options()))
        made = pictures.draw_maps(workdirs, source, data.protocols.get(values.protocol), values.count, values.weights)
    figure_files.write_all(made, Path(values.out))


# ---------------------------------------------------------------------------------------------------------------------
# Curves.


def compare_curves(patterns):
    """PSNR, CMSSIM, colour difference and RGB angle over the rate; see `figure_files.curves_of`.

    Args:
      patterns: results files, may hold wildcards; a metric is drawn of those that have it.

    Returns:
      A list of `figure_files.Made`.
    """
    loaded = {path: rd_results.load(path) for path in report.find(patterns)}
    methods = comparison.in_order(result.meta["method"] for result in loaded.values())
    learned = [method for method in methods if method.startswith(comparison.LEARNED)]
    if not learned:
        raise comparison.nothing_found(patterns)
    made = []
    for key in _CURVES:
        having = [path for path, result in loaded.items() if key in result.results]
        if having:
            made += figure_files.curves_of(f"curves_{key}", methods, learned, having, key, means=True)
    return made


# ---------------------------------------------------------------------------------------------------------------------
# Side information.


def gain_of_side(patterns, bpp=None):
    """Every model with side information for the decoders of colour beside the same model without, at equal rate.

    Args:
      patterns: results files, may hold wildcards.
      bpp: the rate; by default `choose_rate` of each two models.

    Returns:
      A list of one `figure_files.Made`.
    """
    rows, lines, about = [], {}, []
    for group, results in comparison.load(patterns, lambda method: "side" in method.split("-")):
        for with_side in (method for method in results if "side" in method.split("-")):
            without = "-".join(word for word in with_side.split("-") if word != "side")
            if without not in results:
                raise common.UserError(
                    f"{group.title}: there is {with_side} but not {without}, which is what it is compared with. "
                    "Evaluate that on the same images, too."
                )
            pair = {method: results[method] for method in (without, with_side)}
            rate = comparison.rate_of(pair, bpp, group.title)
            values = comparison.at_rate(pair, rate)
            for method in pair:
                means = comparison.means_of(values[method])
                cells = [tables.Cell(rate, 2, len(values[method]["bpp"]))]
                cells += [tables.Cell(means[key], curves.metric(key).digits) for key in comparison.METRICS]
                rows.append(tables.Row((group.heading, results[method].name), tuple(cells)))
            found = comparison.differences(values, with_side, without)
            lines[f"{group.heading}, {rate:g} bpp: {results[with_side].name}"] = found
            for text, cells in comparison.difference_rows("gain", found):
                rows.append(tables.Row((group.heading, text), (tables.Cell(None), *cells)))
            about.append({"bpp": rate, **comparison.about_group(group, pair), "values": values, "differences": found})
    note = (
        "Only the decoders of colour see the other image of the pair; the bytes do not depend on it. The gain is the "
        "mean over images of with less without; errors are better where they are smaller. "
        f"{comparison.METRIC_NOTE} {comparison.RATE_NOTE}"
    )
    title = "Side information for the decoders of colour"
    table = tables.Table(title, ("data", ""), ("bpp", *comparison.METRICS.values()), tuple(rows), note)
    figure = comparison.difference_figure(lines, "With less without side information: every image, and the mean")
    return [figure_files.Made("side", {"data": about}, table, figure)]


# ---------------------------------------------------------------------------------------------------------------------
# Weights of the loss.


def compare_weights(patterns):
    """Every operating point with its weights of rate (the poster's lambda) and of colours (nu).

    Args:
      patterns: results files of the multi-channel model, may hold wildcards.

    Returns:
      A `figure_files.Made` for each data set.
    """
    loaded = [(rd_results.load(path), Path(path)) for path in report.find(patterns)]
    loaded = [(result, path) for result, path in loaded if "rate_weight" in result.results]
    if not loaded:
        raise comparison.nothing_found(patterns)
    made = []
    for group in report.group(loaded):
        points = []
        for result in group.results:
            about = {"method": result.meta["method"], "name": result.name, "nu": result.meta["settings"]["nu"]}
            for values in zip(*result.results.values()):
                points.append({**about, **dict(zip(result.results, values))})
        points.sort(key=lambda point: (point["name"], point["nu"], point["rate_weight"]))
        shown = {key: form for key, form in _SWEEP.items() if any(key in point for point in points)}
        rows = [
            tables.Row(
                (point["name"], *(f"{point[key]:g}" for key in ("nu", "rate_weight", "step"))),
                tuple(tables.Cell(point.get(key), digits) for key, (_, digits) in shown.items()),
            )
            for point in points
        ]
        note = (
            "Means over all images. rate_weight is the poster's lambda, nu the weight of both colours' losses; neither "
            "is published. The map's mean is what the loss counts as rate, bpp uncoded is what map and bits take "
            "without entropy coding, bpp the whole file."
        )
        heads = tuple(head for head, _ in shown.values())
        title = f"Weights of the loss, {group.heading}"
        table = tables.Table(title, ("model", "nu", "rate_weight", "steps"), heads, tuple(rows), note)
        about = comparison.about_group(group, {})
        made.append(
            figure_files.Made(f"sweep_{group.slug}", {**about, "points": points}, table, _sweep_figure(points, title))
        )
    return made


def _sweep_figure(points, title):
    """The map's mean over the rate, and luma's PSNR over the colour difference: a line for each model and nu."""
    lines = list(dict.fromkeys((point["name"], point["nu"]) for point in points))
    with matplotlib.rc_context(figures.STYLE):
        figure = Figure(figsize=(9.4, 3.9 + 0.2 * len(lines)), layout="constrained")
        figure.suptitle(title, fontsize=10, x=0.01, ha="left")
        plots = figure.subplots(1, 2)
        axes_of = (("bpp", "map-share", "mean of the map"), ("lab-difference", "psnr-y", curves.metric("psnr-y").title))
        for line, (colour, marker) in zip(lines, itertools.cycle(comparison.LOOKS)):
            of_line = [point for point in points if (point["name"], point["nu"]) == line]
            for axes, (x, y, _) in zip(plots, axes_of):
                drawn = [(point[x], point[y], point["rate_weight"]) for point in of_line if x in point and y in point]
                look = {"color": colour, "marker": marker, "ms": 6.5, "mec": "white", "mew": 0.7}
                axes.plot([at[0] for at in drawn], [at[1] for at in drawn], **look, label=f"{line[0]}, nu {line[1]:g}")
                beside = {"xytext": (5, 5), "textcoords": "offset points", "fontsize": 7.5, "color": colour}
                for *at, weight in drawn:
                    axes.annotate(f"{weight:g}", at, **beside)
        for axes, (x, _, label) in zip(plots, axes_of):
            axes.margins(0.12)
            axes.set_ylabel(label)
            axes.set_xlabel({"bpp": "rate (bits per pixel)"}.get(x, curves.metric(x).title))
        plots[0].set_title("numbers: rate_weight", loc="right", fontsize=8.5, color="#555555")
        plots[1].set_title("↖ better", loc="left", fontsize=8.5, color="#555555")
        figure.legend(*plots[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=8.5)
    return figure


if __name__ == "__main__":
    define_flags()
    common.run(main)
