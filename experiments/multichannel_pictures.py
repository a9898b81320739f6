"""The figures of `experiments.multichannel_figures` that are made of pictures, models and files, not of results alone:
where colours are wrong, importance maps, and what each stream of a file takes.
"""

import dataclasses
import math
import textwrap
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dsin_tf import bitstream, images
from dsin_tf.models import binary_codec
from eval import colour_maps, curves, figures, metrics, published_numbers, rd_results, strips, tables
from experiments import codec_driver, codec_evaluation, common, figure_files, kept_pictures, multichannel
from experiments.multichannel_comparison import POSTER

_KINDS = {
    "lab-difference": (colour_maps.lab_difference, strips.ERROR_MAP, "ΔE76 {:.2f}"),
    "rgb-angle": (colour_maps.rgb_angle, "YlGnBu", "angle {:.2f}°"),
}
_UNKNOWN = "#bbbbbb"
_KEY = (
    "Light is as in the original. ΔE76, above, counts brightness and colour; the angle, beside, is blind to "
    "brightness. Grey pixels are black in one of the two and have no angle."
)

_STREAMS = {"content_weighted": ("map", "code"), "multichannel": ("map", "luma", "cb", "cr")}
# Heads and colours of what a file is made of, in this order.
_PARTS = {
    "map": ("importance map", "#777777"),
    "code": ("code of all colours", "#CC79A7"),
    "luma": ("Y", "#E69F00"),
    "cb": ("Cb", "#0072B2"),
    "cr": ("Cr", "#D55E00"),
    "container": ("header and checksum", "#000000"),
}


# ---------------------------------------------------------------------------------------------------------------------
# Where colours are wrong.


def compare_pictures(folder):
    """Pictures of the poster's rows, below each the maps of its colour difference and of its RGB angle.

    Args:
      folder: holds a folder for each image; see `kept_pictures`.

    Returns:
      A `figure_files.Made` for each image.
    """
    found = sorted(path.parent for path in Path(folder).glob("*/x.png"))
    if not found:
        raise common.UserError(f"--pictures={folder}: holds no pictures. Evaluate with --pictures and --pictures_dir.")
    made = []
    for each in found:
        strip = strips.load(each, methods=POSTER)
        panels = {panel.key: panel for panel in strip.panels if panel.about and panel.image is not None}
        panels = [panels[method] for method in POSTER if method in panels]
        if not panels:
            raise common.UserError(
                f"{each}: holds nothing of {', '.join(POSTER)}, which this figure compares. Evaluate these with one "
                "--pictures_dir."
            )
        numbers = [{"method": panel.key, "label": panel.label, **_measured(each, strip.x, panel)} for panel in panels]
        keys = ("bpp", "psnr-rgb", "lab-difference", "rgb-angle")
        rows = [
            tables.Row((of["label"],), tuple(tables.Cell(of[key], 4 if key == "bpp" else 2) for key in keys))
            for of in numbers
        ]
        heads = tuple(curves.metric(key).title for key in keys)
        note = "Of the whole image; the figure shows a detail of it."
        table = tables.Table(strip.name, ("method",), heads, tuple(rows), note)
        window = dataclasses.asdict(strip.window)
        content = {"image": strip.name, "target_bpp": strip.target_bpp, "window": window, "methods": numbers}
        figure = _picture_figure(strip, panels, numbers)
        made.append(figure_files.Made(f"visual_{figure_files.as_name(strip.name)}", content, table, figure))
    return made


def _measured(folder, x, panel):
    """Numbers of a whole picture; those of colour are not in its JSON."""
    x_hat = images.read(folder / f"{panel.key}.png")
    found = {key: panel.about[key] for key in ("bpp", "psnr-rgb")}
    return {**found, "lab-difference": metrics.lab_difference(x, x_hat), "rgb-angle": metrics.rgb_angle(x, x_hat)}


def _picture_figure(strip, panels, numbers):
    """A column for x and each codec: the detail, its colour differences, its angles."""
    x = strip.window.cut(strip.x)
    shape = strip.window.height / strip.window.width
    with matplotlib.rc_context({**figures.STYLE, "axes.grid": False}):
        across = 2.7 * (1 + len(panels)) + 0.8
        figure = Figure(figsize=(across, 3 * 2.6 * shape + 1.5), layout="constrained")
        figure.suptitle(f"{strip.name}: numbers are those of the whole image", fontsize=10, x=0.004, ha="left")
        grid = figure.subplots(3, 1 + len(panels), squeeze=False)
        for axes in grid.flat:
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        grid[0, 0].imshow(x, interpolation="nearest")
        grid[0, 0].set_title("original", loc="left", fontsize=9, fontweight="bold")
        grid[1, 0].imshow(strips.located(strip))
        grid[1, 0].set_title("where this is in the image", loc="left", fontsize=9)
        grid[2, 0].text(0, 1, textwrap.fill(_KEY, 44), va="top", fontsize=9, transform=grid[2, 0].transAxes)
        for axes, panel, of in zip(grid[0, 1:], panels, numbers):
            axes.imshow(panel.image, interpolation="nearest")
            label = f"{textwrap.fill(panel.label, 38)}\n{of['bpp']:.3f} bpp, {of['psnr-rgb']:.2f} dB"
            axes.set_title(label, loc="left", fontsize=9, fontweight="bold")
        for row, (key, (pixels, colours, form)) in zip(grid[1:], _KINDS.items()):
            maps = [pixels(x, panel.image) for panel in panels]
            # The scale ends where 1 % of the pixels of the worst picture lie beyond, as in `strips`.
            end = math.ceil(max(np.percentile(np.nan_to_num(each), 99) for each in maps)) or 1
            for axes, each, of in zip(row[1:], maps, numbers):
                axes.set_facecolor(_UNKNOWN)
                shown = axes.imshow(each, cmap=colours, vmin=0, vmax=end, interpolation="nearest")
                axes.set_title(f"mean {form.format(of[key])}", loc="left", fontsize=9)
            bar = figure.colorbar(shown, ax=list(row[1:]), aspect=16, pad=0.01, extend="max")
            bar.set_label(curves.metric(key).title)
    return figure


# ---------------------------------------------------------------------------------------------------------------------
# Importance maps.


def draw_maps(workdirs, source, protocol, count, weights="best"):
    """Importance maps, and how many places have each level.

    Args:
      workdirs: run directories of models with a map, or folders of sweeps.
      source, protocol: the images.
      count: how many of them are drawn, spread over the data set.
      weights: "best" or "last".

    Returns:
      A `figure_files.Made` for each image.
    """
    models = [_with_map(folder, weights) for each in workdirs for folder in codec_driver.run_folders(each)]
    made = []
    with common.progress("coding", len(models) * count) as advance:
        for index, folder in kept_pictures.folders(source, ".", count).items():
            x, found, image = protocol.evaluate(source.read_x(index)), [], source.names[index]
            for name, model in models:
                found.append({"model": name, **_mapped(model, x)})
                advance(note=image)
            about = {"dataset": source.name, "split": source.split, "protocol": protocol.name, "image": image}
            # A row of the map is a line of text.
            lines = [{**of, "map": [" ".join(map(str, row)) for row in of["map"].tolist()]} for of in found]
            stem, content = f"map_{figure_files.as_name(folder.name)}", {**about, "models": lines}
            made.append(figure_files.Made(stem, content, _map_table(image, found), _map_figure(image, x, found)))
    return made


def _with_map(folder, weights):
    """(label, model) of a run, which must be of a model with an importance map."""
    model = codec_driver.load(folder, weights)
    if not isinstance(model, binary_codec.BinaryCodec):
        raise common.UserError(
            f"{folder}: {model.name} has no importance map. Name a run of content_weighted or multichannel."
        )
    setting = next(name for name in codec_driver.RATE_SETTINGS if name in model.settings)
    return f"{codec_driver.label(model, multichannel.FAMILY.labels)}, {setting} {model.settings[setting]:g}", model


def _mapped(model, x):
    """What a model sends of an image: the levels of its map, the share of the code that they let pass."""
    latents = model.analyze(x)
    levels, first = latents["map"], next(iter(model.codes))
    return {
        "bpp": 8 * len(model.pack(x, model.strings(latents))) / x[..., 0].size,
        "share": float(model.masks_of(levels)[first].mean()),
        "places": np.bincount(levels.ravel(), minlength=model.settings["levels"]).tolist(),
        "map": levels[..., 0],
    }


def _map_table(image, found):
    rows = []
    for of in found:
        places = 100 * np.array(of["places"]) / sum(of["places"])
        cells = [tables.Cell(of["bpp"], 4), tables.Cell(len(places), 0), tables.Cell(100 * of["share"], 1)]
        cells += [tables.Cell(share, 1) for share in (places[0], places[-1])]
        rows.append(tables.Row((of["model"],), tuple(cells)))
    heads = ("bpp", "levels", "code sent (%)", "places at the lowest level (%)", "at the highest (%)")
    note = (
        "bpp is the whole file. Code sent is the share of the bits of the code that the map is for, before entropy "
        "coding; at the highest level the last part of the code stays behind, too. A place is 8x8 pixels."
    )
    return tables.Table(f"Importance map of {image}", ("model",), heads, tuple(rows), note)


def _map_figure(title, x, found):
    """x, and for each model its map and below how many places have each level, in the colours of the map."""
    height, width = x.shape[:2]
    across = 3.3
    with matplotlib.rc_context({**figures.STYLE, "axes.grid": False}):
        tall = across * height / width
        figure = Figure(figsize=((1 + len(found)) * across, tall + 2.5), layout="constrained")
        figure.suptitle(title, fontsize=10, x=0.004, ha="left")
        upper, lower = figure.subplots(2, 1 + len(found), height_ratios=(tall, 1.4), squeeze=False)
        upper[0].imshow(x)
        upper[0].set_title("original", loc="left", fontsize=9.5)
        lower[0].set_axis_off()
        explained = "The higher its level, the more of its code a place of 8×8 pixels sends. The bars are the key."
        lower[0].text(0, 0.95, textwrap.fill(explained, 44), va="top", fontsize=9)
        for axes, bars, of in zip(upper[1:], lower[1:], found):
            levels, places = of["map"], 100 * np.array(of["places"]) / sum(of["places"])
            last = len(places) - 1
            axes.imshow(
                levels,
                vmin=0,
                vmax=last,
                cmap="viridis",
                interpolation="nearest",
                extent=(0, 8 * levels.shape[1], 8 * levels.shape[0], 0),  # in pixels, with those of the padding
            )
            numbers = f"{of['bpp']:.3f} bpp, {100 * of['share']:.1f} % of the code sent"
            axes.set_title(f"{textwrap.fill(of['model'], 42)}\n{numbers}", loc="left", fontsize=9.5)
            bars.bar(range(last + 1), places, 0.9, color=matplotlib.colormaps["viridis"](np.linspace(0, 1, last + 1)))
            bars.xaxis.set_major_locator(MaxNLocator(8, integer=True))
            bars.set_xlabel("level")
        lower[1].set_ylabel("places (%)")
        for axes in upper:
            axes.set(xlim=(0, width), ylim=(height, 0), xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        for bars in lower[2:]:
            bars.sharey(lower[1])
    return figure


# ---------------------------------------------------------------------------------------------------------------------
# What each stream takes.


def compare_streams(workdirs):
    """What the map and each code take of the files that evaluation wrote, in bits a pixel.

    Args:
      workdirs: folders of evaluated runs, or of sweeps of them.

    Returns:
      A list of one `figure_files.Made`.
    """
    entries = [_streams(folder) for workdir in workdirs for folder in _evaluated(workdir)]
    entries.sort(key=lambda entry: (entry["data"], entry["name"], sum(entry["bpp"].values())))
    entries = _published_streams() + entries
    rows = []
    for entry in entries:
        parts, whole = entry["bpp"], sum(entry["bpp"].values())
        cells = [tables.Cell(whole, 4), *(tables.Cell(parts.get(part), 4) for part in _PARTS)]
        cells.append(tables.Cell(100 * parts["map"] / whole, 1))
        cells.append(tables.Cell(100 * (parts["cb"] + parts["cr"]) / whole if "cb" in parts else None, 1))
        rows.append(tables.Row((entry["data"], f"{entry['name']}{entry['rate']}"), tuple(cells)))
    heads = ("bpp", *(head for head, _ in _PARTS.values()), "map (%)", "Cb and Cr (%)")
    note = (
        "Bits a pixel of the strings in the files that evaluation wrote, means over all images; shares are of these "
        "means. Published: Li et al.'s released results, 24 Kodak images cropped to 752x496, without a container."
    )
    title = "What the streams of a file take"
    table = tables.Table(title, ("data", "model"), heads, tuple(rows), note)
    return [figure_files.Made("channels", {"runs": entries}, table, _stream_figure(entries, title))]


def _evaluated(workdir):
    """The folders in which evaluation left files and a result: the workdir itself, or those of its runs."""
    inside = sorted(Path(workdir).glob("*/")) if Path(workdir).is_dir() else []
    found = [p for p in (Path(workdir), *inside) if (p / "files").is_dir() and (p / "results.json").is_file()]
    if not found:
        raise common.UserError(f"{workdir}: holds no evaluated run. Run --mode=evaluate on it first.")
    return found


def _streams(folder):
    """Mean bits a pixel of each part of the files in an evaluated folder."""
    result = rd_results.load(folder / "results.json")
    family = result.meta["method"].split("-")[0]
    if family not in _STREAMS:
        raise common.UserError(
            f"{folder}: holds files of {result.meta['method']}, {' or '.join(_STREAMS)} was expected. Name another run."
        )
    found = []
    for index, image in enumerate(result.images):
        blob = (folder / "files" / f"{index:05d}{codec_evaluation.SUFFIX}").read_bytes()
        header = bitstream.inspect(blob)
        pixels = header.height * header.width
        if not np.isclose(8 * len(blob) / pixels, image.points["bpp"][0]):
            raise common.UserError(
                f"{folder}: file {index} takes {8 * len(blob) / pixels:.4f} bpp, not {image.points['bpp'][0]:.4f} as "
                "results.json says. Evaluate the run again."
            )
        parts = dict(zip(_STREAMS[family], header.lengths), container=len(blob) - sum(header.lengths))
        found.append({part: 8 * size / pixels for part, size in parts.items()})
    setting = next(name for name in codec_driver.RATE_SETTINGS if name in result.results)
    return {
        "data": f"{result.meta['dataset']} {result.meta['split']}, {len(found)} images",
        "name": result.name,
        "rate": f", {setting} {result.results[setting][0]:g}",
        "bpp": {part: float(np.mean([of[part] for of in found])) for part in found[0]},
    }


def _published_streams():
    (table,) = (t for t in published_numbers.tables(paper="li2018") if "Importance map" in t.columns)
    about = {"data": "Kodak", "name": "Li et al., published", "rate": ""}
    return [{**about, "bpp": {"map": of_map, "code": codes}} for codes, of_map, _ in table.rows]


def _stream_figure(entries, title):
    """A bar for each run, of its parts."""
    with matplotlib.rc_context(figures.STYLE):
        figure = Figure(figsize=(9.4, 1.3 + 0.34 * len(entries)), layout="constrained")
        axes = figure.add_subplot()
        wholes = [sum(entry["bpp"].values()) for entry in entries]
        starts = np.zeros(len(entries))
        for part, (label, colour) in _PARTS.items():
            widths = np.array([entry["bpp"].get(part, 0) for entry in entries])
            if not widths.any():
                continue
            bars = axes.barh(range(len(entries)), widths, 0.72, starts, color=colour, label=label)
            texts = [f"{width:.3f}" if width > 0.06 * max(wholes) else "" for width in widths]
            axes.bar_label(bars, texts, label_type="center", fontsize=7.5, color="white")
            starts += widths
        for at, (entry, whole) in enumerate(zip(entries, wholes)):
            shares = {"map": entry["bpp"]["map"], "colours": sum(entry["bpp"].get(part, 0) for part in ("cb", "cr"))}
            text = ", ".join(f"{name} {100 * of / whole:.0f} %" for name, of in shares.items() if of)
            axes.text(whole, at, f"  {text}", va="center", fontsize=8)
        axes.set_yticks(range(len(entries)), [f"{entry['name']}{entry['rate']}" for entry in entries])
        axes.set_ylim(len(entries) - 0.4, -0.6)
        axes.set_xlim(0, 1.25 * max(wholes))  # with room for the texts
        axes.grid(visible=False, axis="y")
        axes.set_axisbelow(True)
        axes.set_xlabel("rate (bits per pixel)")
        figure.suptitle(title, fontsize=10, x=0.01, ha="left")
        figure.legend(loc="outside lower center", ncols=6, fontsize=8.5)
    return figure
