"""What the figure commands share: a figure with its numbers, plots of curves, strips of pictures."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from rich.console import Console

from dsin_tf import files
from eval import curves, figures, rd_results, report, strips, tables
from experiments import common


@dataclasses.dataclass(frozen=True)
class Made:
    """A figure with its numbers: `data` goes into the JSON, `table` into the CSV."""

    stem: str
    data: dict
    table: tables.Table
    figure: Figure

    def write(self, folder):
        """Writes the four files."""
        files.write_text(folder / f"{self.stem}.json", json.dumps(self.data, indent=1, allow_nan=False) + "\n")
        files.write_text(folder / f"{self.stem}.csv", tables.to_csv(self.table))
        figures.save(self.figure, folder / self.stem)


def write_all(made, folder):
    """Writes figures, prints their tables and says where they are."""
    for each in made:
        each.write(folder)
        Console().print(tables.to_terminal(each.table))
    print(f"Written: {', '.join(str(folder / each.stem) for each in made)} (.json, .csv, .png, .svg)")


def curves_of(stem, methods, learned, patterns, key, published=()):
    """Rate and distortion of the methods that a figure compares.

    Args:
      stem: begins the names of the files.
      methods: as results name them, in the order of the table.
      learned: those of them whose rates decide which rates are shown, where any is there.
      patterns: results files, may hold wildcards.
      key: column.
      published: list of `RDResult` without images, drawn beside ours.

    Returns:
      A `Made` for each data set that the results are of.
    """
    loaded = [(rd_results.load(path), Path(path)) for path in report.find(patterns)]
    loaded = [(result, path) for result, path in loaded if result.meta["method"] in methods]
    if not loaded:
        raise common.UserError(
            f"--results={','.join(patterns)}: holds no result of {', '.join(methods)}, which this figure compares. "
            "Evaluate these first."
        )
    style = figures.styles([result for result, _ in loaded], published)
    made = []
    for group in report.group(loaded):
        results = sorted(group.results, key=lambda result: methods.index(result.meta["method"]))
        limits = _limits([result for result in results if result.meta["method"] in learned], key)
        figure = figures.rate_distortion(results, key, published, title=group.title, limits=limits, style=style)
        if figure is None:
            raise common.UserError(
                f"--metric={key}: no rate is reached by every image of {group.title} in any of {len(results)} results, "
                "or none has this column. Train at rates that lie closer, or choose another metric."
            )
        rates = [rate for rate in report.RATES if any(curves.mean_at(r, key, rate).value is not None for r in results)]
        table = tables.rate_table(results, key, rates) if rates else tables.points_table(results)
        made.append(Made(f"{stem}_{group.slug}", _curves(group, results, key), table, figure))
    return made


def _limits(results, key):
    """The rates of results with a little room; None, where there are none, leaves the choice to the plot."""
    rates = np.concatenate([np.empty(0), *(curves.mean_curve(r, key)[0] for r in results)])
    return (rates.min() / 1.08, rates.max() * 1.08) if rates.size else None


def _curves(group, results, key):
    """The data of a plot: what was measured, and the curves as they are drawn."""
    drawn = []
    for result in results:
        rates, means = curves.mean_curve(result, key)
        drawn.append(
            {
                "name": result.name,
                "method": result.meta["method"],
                "rate": result.meta["rate"],
                "settings": result.meta.get("settings"),
                "points": {"bpp": result.results["bpp"], key: result.results.get(key)},
                "curve": {"bpp": rates.tolist(), key: means.tolist()},
            }
        )
    about = {name: group.meta.get(name) for name in ("dataset", "split", "protocol", "data_digest", "images")}
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


def as_image(values):
    """Float `[H, W, 3]`, 0 ... 255, as uint8."""
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


def as_name(text):
    """A text as part of a file name."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", text)
