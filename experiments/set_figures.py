"""Results of image sets as the figures of `experiments.dsc_msf_figures` take them, and those figures that are about
sets as such: what side information gains by depth in the tree and by the number of images, and the trees themselves.
"""

import collections
import dataclasses
import math
import statistics
import textwrap
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from dsin_tf import sets
from eval import figures, rd_results, report, tables, tree_figure
from experiments import common, figure_files

# Decoded along the tree; along a chain, where depths are greatest; with references that have no errors to hand on.
DEPTH_METHODS = ("dsc_msf", "dsc_msf-no_ir", "dsc_msf-original_reference")

_GAIN = "PSNR above the codec alone (dB)"
_COLOURS = ("#000000", "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_LINES = ("-", (0, (4, 2)), (0, (1, 1.5)), (0, (4, 2, 1, 2)))


@dataclasses.dataclass(frozen=True)
class Measured:
    """What was measured on the images of one data set.

    Attributes:
      group: the `report.Group` of them.
      slug: ends the names of its files; no other data set has it.
      results: {method: `RDResult`}.
    """

    group: report.Group
    slug: str
    results: dict

    @property
    def set_sizes(self):
        """How many images each set has."""
        return _set_sizes(self.group)

    @property
    def title(self):
        count = len(self.set_sizes)
        return f"{self.group.heading}, {count} {'set' if count == 1 else 'sets'} of {_span(self.set_sizes)}"

    def trained(self, methods):
        """A sentence on how many steps the models of these methods were trained."""
        names = collections.defaultdict(list)
        for result in (self.results[method] for method in methods if method in self.results):
            if "steps" in result.meta:
                names[f"{result.meta['steps']} steps"].append(result.name)
        return "Trained: " + "; ".join(f"{', '.join(of)}: {steps}" for steps, of in names.items()) + "."

    def about(self, methods):
        """What every number is about, and the means of those of `methods` that are there."""
        entries = {name: self.group.meta.get(name) for name in ("dataset", "split", "protocol", "data_digest")}
        shown = {m: self.results[m] for m in methods if m in self.results}
        trained = ("preset", "steps", "settings")
        return {
            **entries,
            "sets": len(self.set_sizes),
            "images": sum(self.set_sizes),
            "methods": {
                m: {"name": r.name, **{k: r.meta[k] for k in trained if k in r.meta}, "means": r.results}
                for m, r in shown.items()
            },
        }


def load(patterns, compared, fewest=1):
    """Reads results of image sets.

    Args:
      patterns: results files, may hold wildcards.
      compared: the methods that a figure is about.
      fewest: how many of them a data set must have; others are passed over.

    Returns:
      List of `Measured`, one for each data set.

    Raises:
      common.UserError: there is none, or two results of one method on the same images.
    """
    loaded = [(rd_results.load(path), Path(path)) for path in report.find(patterns)]
    groups = [(group, {result.meta["method"] for result in group.results}) for group in report.group(loaded)]
    groups = [
        group
        for group, methods in groups
        if len(methods & set(compared)) >= fewest and any(method.startswith("dsc_msf") for method in methods)
    ]
    if not groups:
        raise common.UserError(
            f"--results={','.join(patterns)}: holds no data set with {fewest} of {', '.join(compared)}. Measure them "
            "with --mode=evaluate of experiments.dsc_msf on the same images first; what follows dsc_msf- in a name is "
            "its --ablation."
        )
    slugs, found = [f"{group.slug}_sets_of_{_span(_set_sizes(group), '-')}" for group in groups], []
    for group, slug in zip(groups, report.unique(slugs)):
        results = {}
        for result in group.results:
            other = results.setdefault(result.meta["method"], result)
            if other is not result:
                paths = " and ".join(str(path) for each, path in loaded if each is other or each is result)
                raise common.UserError(
                    f"{paths} are both of {result.meta['method']} on {group.title}. Name one of them."
                )
        found.append(Measured(group, slug, results))
    return found


def operating_points(result):
    """{lmbda: {image: {column: value}}} of a learned codec, in the order of lmbda; empty for others."""
    found = {}
    for image in result.images if "lmbda" in result.results else ():
        for values in zip(*image.points.values()):
            point = dict(zip(image.points, values))
            found.setdefault(point["lmbda"], {})[image.name] = point
    return dict(sorted(found.items()))


def gains(points):
    """{image: PSNR above that of the codec alone} of an operating point."""
    return {name: point["psnr-rgb"] - point["psnr-codec"] for name, point in points.items()}


def mean_and_error(values):
    """The mean of numbers and its standard error, None of a single one."""
    values = list(values)
    error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else None
    return statistics.fmean(values), error


# ---------------------------------------------------------------------------------------------------------------------
# Depth in the tree.


def gain_by_depth(patterns):
    """What side information gains in images of each depth: whether errors of references add up.

    Args:
      patterns: results files, may hold wildcards.

    Returns:
      A list of one `figure_files.Made`.
    """
    measured, lines = load(patterns, DEPTH_METHODS), []
    for each in measured:
        for method in (m for m in DEPTH_METHODS if m in each.results):
            for lmbda, points in operating_points(each.results[method]).items():
                by_depth = collections.defaultdict(list)
                for name, gain in gains(points).items():
                    by_depth[points[name]["depth"]].append(gain)
                depths = []
                for depth, found in sorted(by_depth.items()):
                    mean, error = mean_and_error(found)
                    depths.append({"depth": depth, "images": len(found), "gain": mean, "standard error": error})
                name, bpp = each.results[method].name, statistics.fmean(p["bpp"] for p in points.values())
                about = {"data": each.title, "method": method, "name": name, "lmbda": lmbda, "bpp": bpp}
                lines.append({**about, "depths": depths})
    content = {"data": [each.about(DEPTH_METHODS) for each in measured], "lines": lines}
    return [figure_files.Made("depth", content, _depth_table(lines), _depth_figure(lines))]


def _depth_table(lines):
    every = sorted({entry["depth"] for line in lines for entry in line["depths"]})
    rows = []
    for line in lines:
        at = {entry["depth"]: entry for entry in line["depths"]}
        name = f"{line['name']}, {line['bpp']:.3f} bpp"
        means = [
            tables.Cell(at[d]["gain"], 3, at[d]["images"], signed=True) if d in at else tables.Cell(None) for d in every
        ]
        errors = [tables.Cell(at[d]["standard error"] if d in at else None, 3) for d in every]
        rows += [tables.Row((line["data"], name, "mean"), means), tables.Row((line["data"], name, "± error"), errors)]
    note = (
        "What is decoded less what the codec alone makes of the same bytes; n images. An image of depth 0 has no "
        "reference: the networks see the image itself in its place. ± is the standard error of the mean over images. "
        "Which images are how deep is the tree's choice, so depths differ in their images, too."
    )
    title = f"{_GAIN}, by depth in the tree"
    return tables.Table(title, ("data", "model", ""), tuple(f"depth {d}" for d in every), tuple(rows), note)


def _depth_figure(lines):
    """A plot for each model: a line for each rate of each data set."""
    models, data, lmbdas = (list(dict.fromkeys(line[key] for line in lines)) for key in ("name", "data", "lmbda"))
    drawn = {}  # label -> one of its lines, which look the same in all plots
    with matplotlib.rc_context(figures.STYLE):
        figure = Figure(figsize=(1 + 3.4 * len(models), 3.6 + 0.1 * len(lines)), layout="constrained")
        plots = figure.subplots(1, len(models), sharey=True, squeeze=False)[0]
        for axes, model in zip(plots, models):
            axes.axhline(0, color="#888888", lw=1)
            of_model = [line for line in lines if line["name"] == model]
            for at, line in enumerate(of_model):
                look = _look(data.index(line["data"]), lmbdas.index(line["lmbda"]))
                apart = 0.3 * ((at + 0.5) / len(of_model) - 0.5)  # so that bars of errors stand beside each other
                bars = axes.errorbar(
                    [entry["depth"] + apart for entry in line["depths"]],
                    [entry["gain"] for entry in line["depths"]],
                    [entry["standard error"] or 0 for entry in line["depths"]],
                    **look,
                )
                drawn.setdefault(f"{line['data']}, lmbda {line['lmbda']:g}", bars)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.set_xlabel("depth in the tree")
            axes.set_title(textwrap.fill(model, 34), loc="left", fontsize=10)
        plots[0].set_ylabel(_GAIN)
        columns = 1 if len(models) == 1 else 2
        figure.legend(drawn.values(), drawn.keys(), loc="outside lower center", ncols=columns, fontsize=8.5)
    return figure


# ---------------------------------------------------------------------------------------------------------------------
# Images in a set.


def gain_by_set_size(patterns):
    """Rate of the files and what side information gains, by the number of images in a set.

    Args:
      patterns: results files of DSC-MSF on sets of several sizes, may hold wildcards.

    Returns:
      A list of one `figure_files.Made`.
    """
    measured, rows = load(patterns, ("dsc_msf",)), []
    for each in measured:
        result = each.results["dsc_msf"]
        for lmbda, points in operating_points(result).items():
            gain, error = mean_and_error(gains(points).values())
            keys = ("bpp", "bpp-payload", "psnr-rgb", "psnr-codec")
            means = {key: statistics.fmean(point[key] for point in points.values()) for key in keys}
            about = {"data": each.group.heading, "images a set": statistics.fmean(each.set_sizes), "lmbda": lmbda}
            sizes = {"set sizes": _span(each.set_sizes), "sets": len(each.set_sizes), "images": len(points)}
            rows.append({**about, **sizes, **means, "gain": gain, "standard error": error})
    rows.sort(key=lambda row: (row["data"], row["lmbda"], row["images a set"]))
    content = {"data": [each.about(("dsc_msf",)) for each in measured], "rows": rows}
    return [figure_files.Made("set_size", content, _size_table(rows), _size_figure(rows))]


def _size_table(rows):
    made = []
    for row in rows:
        cells = [
            tables.Cell(row["images"], 0),
            tables.Cell(row["bpp"], 4),
            tables.Cell(row["bpp"] - row["bpp-payload"], 5),
            *(tables.Cell(row[key], 2) for key in ("psnr-codec", "psnr-rgb")),
            tables.Cell(row["gain"], 3, signed=True),
            tables.Cell(row["standard error"], 3),
        ]
        made.append(tables.Row((row["data"], f"{row['lmbda']:g}", row["set sizes"]), tuple(cells)))
    columns = ("images", "bpp", "of it headers", "codec alone (dB)", "PSNR (dB)", "gain (dB)", "± error")
    note = (
        "Means over all images. Headers are those of the images' files and the set's own, with its tree; the rest is "
        "the images' payload. The gain is PSNR above the codec alone, of the same files; ± is its standard error over "
        "images. Sets of different sizes hold different images."
    )
    title = "Rate and gain by the number of images in a set"
    return tables.Table(title, ("data", "lmbda", "images a set"), columns, tuple(made), note)


def _size_figure(rows):
    """Rate and gain over the number of images: a line for each lmbda of each data set."""
    data = list(dict.fromkeys(row["data"] for row in rows))
    lmbdas = sorted({row["lmbda"] for row in rows})
    ticks = sorted({row["images a set"] for row in rows})
    with matplotlib.rc_context(figures.STYLE):
        figure = Figure(figsize=(9.2, 4.2), layout="constrained")
        plots = figure.subplots(1, 2)
        for line in sorted({(row["data"], row["lmbda"]) for row in rows}):
            shown = [row for row in rows if (row["data"], row["lmbda"]) == line]
            look = _look(data.index(line[0]), lmbdas.index(line[1]))
            sizes = [row["images a set"] for row in shown]
            plots[0].errorbar(sizes, [row["bpp"] for row in shown], **look, label=f"{line[0]}, lmbda {line[1]:g}")
            plots[1].errorbar(
                sizes, [row["gain"] for row in shown], [row["standard error"] or 0 for row in shown], **look
            )
        for axes, label in zip(plots, ("rate (bits per pixel)", _GAIN)):
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(FixedLocator(ticks))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.set_xlabel("images in a set (logarithmic)")
            axes.set_ylabel(label)
        plots[0].set_ylim(bottom=0)
        plots[1].axhline(0, color="#888888", lw=1)
        figure.legend(loc="outside lower center", ncols=2, fontsize=8.5)
    return figure


# ---------------------------------------------------------------------------------------------------------------------
# Trees.


def trees(source, protocol, max_depth):
    """The tree of each set, as evaluation plans it from SIFT features.

    Args:
      source: a data set of sets.
      protocol: what becomes of the images first.
      max_depth: of the trees; None is no limit.

    Returns:
      A `figure_files.Made` for each set.

    Raises:
      common.UserError: the source is not of sets.
    """
    if source.kind != "sets":
        raise common.UserError(
            f"{source.name} is a source of {source.kind}; trees are of sets. Choose a data set of those, such as "
            "kitti_scenes, street_sets or image_sets."
        )
    made = []
    for index, name in enumerate(source.names):
        images = [protocol.evaluate(source.read_image(index, k)) for k in range(source.count(index))]
        weights = sets.weights(images, "sift")
        tree = sets.span(weights, max_depth)
        costs = weights[range(len(images)), tree.parents]
        rows = []
        for k, (parent, depth, cost) in enumerate(zip(tree.parents, tree.depths, costs)):
            reference = (
                [tables.Cell(None)] * 2
                if parent == k
                else [tables.Cell(parent, 0), tables.Cell(float(cost) if math.isfinite(cost) else None, 3)]
            )
            rows.append(tables.Row((str(k),), (tables.Cell(depth, 0), *reference)))
        title = f"Tree of {name}, {source.name} {source.split}"
        note = (
            "The reference is the image that helps to decode this one. Its weight is small where the two have much in "
            f"common, {sets.similarity.UNRELATED} where nothing."
        )
        table = tables.Table(title, ("image",), ("depth", "reference", "weight"), tuple(rows), note)
        about = {"dataset": source.name, "split": source.split, "protocol": protocol.name, "set": name}
        content = {**about, "feature": "sift", "max_depth": max_depth, "parents": tree.parents}
        figure = tree_figure.figure(images, tree, costs=costs)
        stem = f"tree_{figure_files.as_name(f'{source.name}_{source.split}_{name}')}"
        made.append(figure_files.Made(stem, content, table, figure))
    return made


def _look(colour, kind):
    """How a line is drawn: a colour for each data set, a marker and dashes for each rate."""
    colour, marker = _COLOURS[colour % len(_COLOURS)], _MARKERS[kind % len(_MARKERS)]
    dots = {"marker": marker, "ms": 6.5, "mec": "white", "mew": 0.7, "capsize": 2.5, "elinewidth": 1}
    return {"color": colour, "ls": _LINES[kind % len(_LINES)], "lw": 1.6, **dots}


def _set_sizes(group):
    """How many images each set of a `report.Group` has; an image's name is that of its set and a number."""
    names = [image.name for image in group.results[0].images]
    return tuple(collections.Counter(name.rpartition("/")[0] for name in names).values())


def _span(numbers, dash="–"):
    """The number that all are, or the least and the greatest."""
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low}{dash}{high}"
