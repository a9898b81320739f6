"""What the figure commands share: a figure with its numbers, plots of curves, strips of pictures."""

import dataclasses
import json
import re
import textwrap
from pathlib import Path

import matplotlib
import numpy as np
from absl import flags
from matplotlib.figure import Figure

from dsin_tf import files
from eval import comparison, curves, figures, rd_results, report, strips, tables
from experiments import common


@dataclasses.dataclass(frozen=True)
class Made:
    """A figure with its numbers: `data` goes into the JSON, `table` into the CSV, and for `eval.report` into both."""

    stem: str
    data: dict
    table: tables.Table
    figure: Figure

    def write(self, folder):
        """Writes the four files."""
        data = {**self.data, "table": dataclasses.asdict(self.table)}
        files.write_text(folder / f"{self.stem}.json", json.dumps(data, indent=1, allow_nan=False) + "\n")
        files.write_text(folder / f"{self.stem}.csv", tables.to_csv(self.table))
        figures.save(self.figure, folder / self.stem)


def needed(name):
    """The value of a flag that the figure of --figure cannot do without."""
    value = getattr(flags.FLAGS, name)
    if not value:
        raise common.UserError(f"--figure={flags.FLAGS.figure} needs --{name}. Name it; --help says what it is.")
    return value


def write_all(made, folder):
    """Writes figures, prints their tables and says where they are."""
    for each in made:
        each.write(folder)
        common.show_table(each.table)
    print(f"Written: {', '.join(str(folder / each.stem) for each in made)} (.json, .csv, .png, .svg)")


def curves_of(stem, methods, learned, patterns, key, published=(), means=False):
    """Rate and distortion of the methods that a figure compares.

    Args:
      stem: begins the names of the files.
      methods: as results name them, in the order of the table.
      learned: those of them whose rates decide which rates are shown, where any is there.
      patterns: results files, may hold wildcards.
      key: column.
      published: list of `RDResult`, published curves; those of a data set are drawn beside ours, which then count as
        they do (`comparison.on_published_terms`), and alone where there is nothing of ours.
      means: draw the means over all images at each setting of a codec, as most papers do; otherwise means at equal
        rate, which need that every image reaches it.

    Returns:
      A `Made` for each data set that the results or the published curves are of.
    """
    loaded = [(rd_results.load(path), Path(path)) for path in report.find(patterns)]
    loaded = [(result, path) for result, path in loaded if result.meta["method"] in methods]
    if not loaded:
        raise common.UserError(
            f"--results={','.join(patterns)}: holds no result of {', '.join(methods)}, which this figure compares. "
            "Evaluate these first."
        )
    style = figures.styles([result for result, _ in loaded], published)
    made, shown = [], []
    for group in report.group(loaded):
        theirs = report.matching(published, group.meta, key)
        shown += theirs
        results = sorted(group.results, key=lambda result: methods.index(result.meta["method"]))
        results = [comparison.on_published_terms(result, theirs, key) for result in results]
        if means:
            results = [dataclasses.replace(result, images=[]) for result in results]
        limits = _limits([result for result in results if result.meta["method"] in learned], key)
        figure = figures.rate_distortion(results, key, theirs, title=group.title, limits=limits, style=style)
        if figure is None:
            raise common.UserError(
                f"--metric={key}: no rate is reached by every image of {group.title} in any of {len(results)} results, "
                "or none has this column. Train at rates that lie closer, or choose another metric."
            )
        rates = [rate for rate in report.RATES if any(curves.mean_at(r, key, rate).value is not None for r in results)]
        table = tables.rate_table(results, key, rates) if rates else tables.points_table(results)
        made.append(Made(f"{stem}_{group.slug}", _curves(group.meta, results + theirs, key), table, figure))
    drawn = {(curve.meta["dataset"], curve.meta["protocol"]) for curve in shown}
    for (_, *on, column), theirs in comparison.curve_sets(published).items():
        if column == key and tuple(on) not in drawn:
            title = f"{report.DATASETS.get(on[0], on[0])}, as published"
            figure = figures.rate_distortion([], key, theirs, title=title, style=style)
            table = comparison.curve_table(theirs, key, [])
            made.append(Made(f"{stem}_{on[0]}_published", _curves(theirs[0].meta, theirs, key), table, figure))
    return made


def _limits(results, key):
    """The rates of results with a little room; None, where there are none, leaves the choice to the plot."""
    rates = np.concatenate([np.empty(0), *(curves.mean_curve(r, key)[0] for r in results)])
    return (rates.min() / 1.08, rates.max() * 1.08) if rates.size else None


def _curves(meta, results, key):
    """The data of a plot: what was measured or published, and the curves as they are drawn."""
    drawn = []
    for result in results:
        rates, means = curves.mean_curve(result, key)
        drawn.append(
            {
                "name": result.name,
                "method": result.meta["method"],
                "rate": result.meta["rate"],
                "published by": result.meta.get("paper"),
                "settings": result.meta.get("settings"),
                "points": {"bpp": result.results["bpp"], key: result.results.get(key)},
                "curve": {"bpp": rates.tolist(), key: means.tolist()},
            }
        )
    about = {name: meta.get(name) for name in ("dataset", "split", "protocol", "data_digest", "images")}
    return {"metric": key, **about, "methods": drawn}


def strips_of(stem, methods, folder):
    """Strips of pictures of the methods that a figure compares.

    Args:
      stem: begins the names of the files.
      methods: as results name them, in order.
      folder: holds a folder for each image; see `kept_pictures`.

    Returns:
      A `Made` for each image.
    """
    found = sorted(path.parent for path in Path(folder).glob("*/x.png"))
    if not found:
        raise common.UserError(f"--pictures={folder}: holds no pictures. Evaluate with --pictures and --pictures_dir.")
    made = []
    for each in found:
        strip = strips.load(each, methods=methods)
        rows, panels = [], []
        for panel in strip.panels:
            if panel.about:
                numbers = {key: panel.about.get(key) for key in ("bpp", "psnr-rgb", "ms-ssim-rgb")}
                panels.append({"method": panel.key, "label": panel.label, **numbers})
                cells = [tables.Cell(value, digits) for value, digits in zip(numbers.values(), (4, 2, 4))]
                rows.append(tables.Row((panel.label,), tuple(cells)))
        if not rows:
            raise common.UserError(
                f"{each}: holds nothing of {', '.join(methods)}, which this figure compares. Evaluate these with one "
                "--pictures_dir."
            )
        table = tables.Table(strip.name, ("method",), ("bpp", "PSNR (dB)", "MS-SSIM"), tuple(rows))
        window = dataclasses.asdict(strip.window)
        content = {"image": strip.name, "target_bpp": strip.target_bpp, "window": window, "methods": panels}
        made.append(Made(f"{stem}_{as_name(strip.name)}", content, table, strips.figure(strip)))
    return made


def measured_on(source, protocol, model):
    """What every number of a figure is about."""
    return {
        "dataset": source.name,
        "split": source.split,
        "protocol": protocol.name,
        "data_digest": source.digest,
        "model": model.name,
        "preset": model.preset,
        "settings": {**model.settings, "steps": int(model.step)},
    }


def rows_of_pictures(title, lines):
    """A figure of `lines`, each (heading, ((label, picture), ...)). Six wide pictures take two rows of three."""
    height, width = lines[0][1][0][1].shape[:2]
    count = len(lines[0][1])
    columns = count if width < 3 * height else -(-count // 2)
    deep, across = -(-count // columns), 13
    tall = deep * (across / columns * height / width + 0.25) + 0.3
    with matplotlib.rc_context({**figures.STYLE, "axes.grid": False}):
        figure = Figure(figsize=(across, len(lines) * tall + 0.3), layout="constrained")
        figure.suptitle(textwrap.fill(title, 150), fontsize=10, x=0.004, ha="left")
        for part, (heading, panels) in zip(figure.subfigures(len(lines), 1, squeeze=False).flat, lines):
            part.suptitle(heading, fontsize=10, fontweight="bold", x=0.004, ha="left")
            every = list(part.subplots(deep, columns, squeeze=False).flat)
            for axes in every:
                axes.set_axis_off()
            for axes, (label, picture) in zip(every, panels):
                axes.imshow(picture, interpolation="nearest")
                axes.set_title(label, loc="left", fontsize=9.5)
    return figure


def as_image(values):
    """Float `[H, W, 3]`, 0 ... 255, as uint8."""
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


def as_name(text):
    """A text as part of a file name."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", text)
