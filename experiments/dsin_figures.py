"""The figures of DSIN's paper that are computed, from runs of experiments.dsin and experiments.anchors.

    python -m experiments.dsin_figures --figure=5 --results='runs/*/results.json,runs/anchors/*.json'
    python -m experiments.dsin_figures --figure=7 --workdir=runs/dsin/target_bpp_0.1 \\
        --baseline=runs/cpm/target_bpp_0.1 --dataset=kitti_small --data_dir=DIR

     5      rate and distortion of DSIN, the autoencoder alone, BPG and JPEG 2000; of each data set a plot
     6, 10  picture strips at about equal rate, without (6) and with (10) SI-Finder's mask
     7      for each image the correlation of x and y_syn, and what side information gains in MS-SSIM
     8      as 5: SI-Finder with and without mask
     9      y_syn as it is found with and without mask; its numbers also where y itself is searched in place of y_dec
    11      as 5: what SI-Net gets, y_syn or y or nothing
    match   not in the paper: how far off SI-Finder's choice is on Street, whose disparity is known, at each rate

Each writes its numbers as JSON and CSV, and the picture as PNG and SVG, into --out. For 5, 8 and 11 evaluate the runs
first; for 6 and 10 with --pictures and one --pictures_dir for all; for 7 both runs, on the images it is told of.
"""

from pathlib import Path

import matplotlib
import numpy as np
from absl import flags
from matplotlib.figure import Figure

from dsin_tf import data
from eval import figures, match_error, metrics, rd_results, tables
from experiments import codec_driver, common, figure_files, kept_pictures

# The methods that each figure compares; the paper's Fig. 5 to 7 are without the mask, its release is with it.
_CURVES = {
    "5": ("dsin", "dsin-no_mask", "cpm", "bpg", "jpeg2000"),
    "8": ("dsin", "dsin-no_mask", "cpm"),
    "11": ("dsin", "dsin-raw_y", "dsin-no_si", "cpm"),
}
_STRIPS = {
    "6": ("dsin-no_mask", "cpm", "bpg", "jpeg2000"),
    "10": ("dsin", "cpm", "bpg", "jpeg2000"),
}
_MASKS = {True: "with mask", False: "without mask"}
_IN_Y = "with mask, in y itself"
_SEARCH_COLOURS = {True: ("#000000", "o"), False: ("#E69F00", "d")}


def define_flags():
    """The driver's flags; defined when it is run, not when it is imported."""
    with common.flag_group("Figure"):
        flags.DEFINE_enum(
            "figure", None, [*_CURVES, *_STRIPS, "7", "9", "match"], "Which figure of the paper.", required=True
        )
        flags.DEFINE_string("out", "runs/dsin_figures", "Folder for data and pictures.")
        flags.DEFINE_string("metric", "ms-ssim-rgb", "Column of the results that 5, 8 and 11 draw.")
        flags.DEFINE_list("results", None, "Results files of 5, 8 and 11; may hold * and ?.")
        flags.DEFINE_string("pictures", None, "Folder of kept pictures, of 6 and 10.")
        flags.DEFINE_string("workdir", None, "Run directory of DSIN, of 7, 9 and match; match takes a sweep as well.")
        flags.DEFINE_string("baseline", None, "Run directory of the autoencoder alone, of 7.")
        flags.DEFINE_integer("count", 2, "How many images 9 draws, spread over the data set.", lower_bound=1)
        flags.DEFINE_string("size", None, "HEIGHTxWIDTH of street's pictures in pixels; by default 128x256.")
        flags.DEFINE_enum("weights", "best", ["best", "last"], "Weights to use: best in validation, or the last.")
    common.define_data_flags()


def main(argv):
    """Makes the figure that the flags ask for."""
    del argv
    values = flags.FLAGS
    number, out = values.figure, Path(values.out)
    if number in _CURVES:
        made = compare_curves(number, figure_files.needed("results"), values.metric)
    elif number in _STRIPS:
        made = compare_pictures(number, figure_files.needed("pictures"))
    else:
        protocol = data.protocols.get(values.protocol)
        workdir = figure_files.needed("workdir")
        baseline = figure_files.needed("baseline") if number == "7" else None
        source = common.load_data(**codec_driver.data_options())
        if number == "7":
            made = correlation_and_gain(workdir, baseline, source, protocol, values.weights)
        elif number == "9":
            made = compare_side_images(workdir, source, protocol, values.count, values.weights)
        else:
            made = measure_matches(workdir, source, protocol, values.weights)
    figure_files.write_all(made, out)


# ---------------------------------------------------------------------------------------------------------------------
# Figures 5, 8, 11: curves.


def compare_curves(number, patterns, key):
    """Rate and distortion of the methods that figure "5", "8" or "11" compares; see `figure_files.curves_of`."""
    learned = ("cpm", "dsin", "dsin-no_mask", "dsin-no_si", "dsin-raw_y")
    return figure_files.curves_of(f"fig{number}", _CURVES[number], learned, patterns, key)


# ---------------------------------------------------------------------------------------------------------------------
# Figures 6 and 10: pictures.


def compare_pictures(number, folder):
    """Strips of the methods that figure "6" or "10" compares; see `figure_files.strips_of`."""
    return figure_files.strips_of(f"fig{number}", _STRIPS[number], folder)


# ---------------------------------------------------------------------------------------------------------------------
# Figure 7: does a better y_syn help more?


def correlation_and_gain(workdir, baseline, source, protocol, weights="best"):
    """For each image the correlation of x and y_syn, and the ratio of MS-SSIM with to without side information.

    MS-SSIM and rates are those of the evaluation of the two runs, of files that were decoded again.

    Args:
      workdir: run directory of a model with y_syn, evaluated.
      baseline: run directory of a model without side information, evaluated on the same images.
      source, protocol: the images.
      weights: "best" or "last".

    Returns:
      A list of one `figure_files.Made`.
    """
    model = _searching(workdir, weights)
    own, other = (_evaluated(folder, source, protocol) for folder in (workdir, baseline))
    patch_size = model.settings["patch_size"]
    rows = []
    with common.progress("measuring", len(source)) as advance:
        for index, name in enumerate(source.names):
            x, y = map(protocol.evaluate, source.read(index))
            y_syn = figure_files.as_image(model((x[None], y[None]), training=False)["y_syn"][0])
            points = {"": own[name], "baseline ": other[name]}
            row = {"image": name, "pearson": metrics.patch_pearson(x, y_syn, patch_size)}
            for start, point in points.items():
                row.update({f"{start}bpp": point["bpp"], f"{start}ms-ssim-rgb": point["ms-ssim-rgb"]})
            row["ratio"] = row["ms-ssim-rgb"] / row["baseline ms-ssim-rgb"]
            rows.append(row)
            advance(note=name)
    pearson, ratio = (np.array([row[key] for row in rows]) for key in ("pearson", "ratio"))
    means = {key: float(np.mean([row[key] for row in rows])) for key in ("bpp", "baseline bpp")}
    related = float(np.corrcoef(pearson, ratio)[0, 1]) if len(rows) > 1 and pearson.std() * ratio.std() > 0 else None
    with matplotlib.rc_context(figures.STYLE):
        figure = Figure(figsize=(5.4, 4.2), layout="constrained")
        axes = figure.add_subplot()
        axes.axhline(1, color="#888888", lw=1)
        axes.plot(pearson, ratio, "o", color="black", ms=5, mec="white", mew=0.5)
        axes.set_xlabel(f"correlation of x and y_syn in patches of {patch_size[0]}×{patch_size[1]}")
        axes.set_ylabel("MS-SSIM with side information / without")
        known = "" if related is None else f", correlation {related:.2f}"
        title = f"{len(rows)} images{known}\nwith {means['bpp']:.3f} bpp, without {means['baseline bpp']:.3f} bpp"
        axes.set_title(title, loc="left", fontsize=10)
    columns = [key for key in rows[0] if key != "image"]
    cells = [tables.Row((row["image"],), tuple(tables.Cell(row[key], 4) for key in columns)) for row in rows]
    table = tables.Table("Correlation of x and y_syn, and gain in MS-SSIM", ("image",), tuple(columns), tuple(cells))
    content = {
        **figure_files.measured_on(source, protocol, model),
        "correlation of the two": related,
        **means,
        "images": rows,
    }
    return [figure_files.Made("fig7", content, table, figure)]


def _evaluated(folder, source, protocol):
    """{image: its point} of a run's results, which must be of these images."""
    path = Path(folder) / "results.json"
    if not path.is_file():
        raise common.UserError(f"{folder}: is not evaluated yet. Run experiments.dsin --mode=evaluate on it first.")
    result = rd_results.load(path)
    measured = tuple(result.meta.get(key) for key in ("data_digest", "protocol"))
    if measured != (source.digest, protocol.name):
        raise common.UserError(
            f"{path}: was measured on {result.meta['dataset']} {result.meta.get('split')}, protocol {measured[1]}, "
            f"not on {source.name} {source.split}, protocol {protocol.name}. Name the same images here and there."
        )
    if "ms-ssim-rgb" not in result.results:
        raise common.UserError(f"{path}: has no MS-SSIM; the images are too small for any. Take larger ones.")
    points = {image.name: image.points for image in result.images}
    if any(len(of_image["bpp"]) != 1 for of_image in points.values()):
        raise common.UserError(f"{folder}: is a sweep; one run was expected. Name one of its folders.")
    return {name: {key: values[0] for key, values in of_image.items()} for name, of_image in points.items()}


# ---------------------------------------------------------------------------------------------------------------------
# Figure 9: y_syn with and without mask, and of a search in y itself.


def compare_side_images(workdir, source, protocol, count, weights="best"):
    """y_syn of every image as it is found in y_dec, with and without mask, and in y, and pictures of the first two.

    Its patches are taken out of y whatever is searched.

    Args:
      workdir: run directory of a model with y_syn.
      source, protocol: the images.
      count: how many images are drawn, spread over the data set.
      weights: "best" or "last".

    Returns:
      A list of one `figure_files.Made` for each image that is drawn; the numbers in each are those of all images.
    """
    model = _searching(workdir, weights)
    finders = {mask: _finder(model, mask) for mask in _MASKS}
    drawn = kept_pictures.folders(source, ".", count)
    measured, pictures = {label: [] for label in (*_MASKS.values(), _IN_Y)}, {}
    with common.progress("searching", len(source)) as advance:
        for index, name in enumerate(source.names):
            x, y = map(protocol.evaluate, source.read(index))
            out = model((x[None], y[None]), training=False)
            searches = {**{label: (mask, out["y_dec"]) for mask, label in _MASKS.items()}, _IN_Y: (True, y[None])}
            found = {
                label: figure_files.as_image(finders[mask](out["x_dec"], searched, y[None])[0])
                for label, (mask, searched) in searches.items()
            }
            for label, y_syn in found.items():
                pearson = metrics.patch_pearson(x, y_syn, model.settings["patch_size"])
                measured[label].append({"image": name, "pearson": pearson, "psnr": metrics.psnr(x, y_syn)})
            if index in drawn:
                shown = {f"y_syn {label}": found[label] for label in _MASKS.values()}
                pictures[drawn[index].name] = {"x": x, "y": y, **shown}
            advance(note=name)
    rows = []
    for label, of_label in measured.items():
        pearson, psnr = (float(np.mean([row[key] for row in of_label])) for key in ("pearson", "psnr"))
        rows.append(tables.Row((label,), (tables.Cell(pearson, 4), tables.Cell(psnr, 2))))
    title = f"x and y_syn, means over {len(source)} images"
    table = tables.Table(title, ("y_syn",), ("correlation", "PSNR (dB)"), tuple(rows))
    content = {**figure_files.measured_on(source, protocol, model), **measured}
    return [
        figure_files.Made(f"fig9_{figure_files.as_name(name)}", content, table, _side_by_side(name, shown))
        for name, shown in pictures.items()
    ]


def _side_by_side(title, shown):
    """Pictures `{label: image}` in two rows, or one below the other where they are wide."""
    height, width = shown["x"].shape[:2]
    columns = 2 if width < 3 * height else 1
    lines = -(-len(shown) // columns)
    across = 7.2
    with matplotlib.rc_context({**figures.STYLE, "axes.grid": False}):
        figure = Figure(figsize=(across, lines * (across / columns * height / width + 0.3) + 0.3), layout="constrained")
        figure.suptitle(title, fontsize=9, x=0.01, ha="left")
        for axes, (label, image) in zip(figure.subplots(lines, columns, squeeze=False).flat, shown.items()):
            axes.imshow(image, interpolation="nearest")
            axes.set_title(label, loc="left", fontsize=9)
            axes.set_axis_off()
    return figure


# ---------------------------------------------------------------------------------------------------------------------
# Beyond the paper: the true place.


def measure_matches(workdir, source, protocol, weights="best"):
    """How far SI-Finder's windows are from the true ones, at each rate of a sweep and in undistorted images.

    Args:
      workdir: a run directory of a model with y_syn, or the folder of a sweep.
      source: Street, of which the disparity is known.
      protocol: of evaluation; must leave the images as they are, as disparity comes of whole images.
      weights: "best" or "last".

    Returns:
      A list of one `figure_files.Made`.
    """
    if not hasattr(source, "disparity"):
        raise common.UserError(f"--dataset={source.name}: has no known disparity. Choose street.")
    if protocol.name != "native":
        raise common.UserError(f"--protocol={protocol.name}: the true disparity is of whole images. Choose native.")
    runs = [_searching(folder, weights) for folder in codec_driver.run_folders(workdir)]
    patch_size = runs[0].settings["patch_size"]
    finders = {mask: _finder(runs[0], mask) for mask in _MASKS}
    found = {}  # (which run or None, mask) -> errors of all patches
    rates = np.zeros(len(runs))
    with common.progress("searching", len(source) * (len(runs) + 1)) as advance:
        for index, name in enumerate(source.names):
            x, y = source.read(index)
            truth = source.disparity(index), source.occlusion(index)
            pairs = [(None, x[None], y[None])]
            for at, model in enumerate(runs):
                out = model((x[None], y[None]), training=False)
                rates[at] += 8 * len(model.compress(x)) / (x.shape[0] * x.shape[1]) / len(source)
                pairs.append((at, out["x_dec"], out["y_dec"]))
            for at, one, other in pairs:
                for mask, finder in finders.items():
                    errors = match_error.match_errors(finder.match(one, other), *truth, patch_size)
                    found.setdefault((at, mask), []).append(errors)
                advance(note=name)
    rows = []
    for (at, mask), errors in found.items():
        errors = np.concatenate(errors)
        rows.append(
            {
                "bpp": None if at is None else float(rates[at]),
                "target_bpp": None if at is None else runs[at].target_bpp,
                "mask": mask,
                "patches": len(errors),
                "mean error": float(errors.mean()),
                "median error": float(np.median(errors)),
                "within 2 px": float(np.mean(errors <= match_error.NEAR)),
            }
        )
    rows.sort(key=lambda row: (row["bpp"] is None, row["bpp"] or 0, not row["mask"]))
    content = {**figure_files.measured_on(source, protocol, runs[0]), "rows": rows}
    return [
        figure_files.Made("match", content, _match_table(rows, source, patch_size), _match_figure(rows, patch_size))
    ]


def _match_table(rows, source, patch_size):
    digits = {"mean error": 2, "median error": 2, "within 2 px": 4, "patches": 0}
    made = []
    for row in rows:
        where = "undistorted" if row["bpp"] is None else f"{row['bpp']:.4f}"
        cells = [tables.Cell(row[key], count) for key, count in digits.items()]
        made.append(tables.Row((where, _MASKS[row["mask"]]), tuple(cells)))
    title = f"SI-Finder's choice on {len(source)} images of {source.name}, patches of {patch_size[0]}×{patch_size[1]}"
    note = (
        "Errors in pixels, from the place where the patch's median disparity is; patches of which y shows less than "
        "half do not count. bpp is the whole file."
    )
    return tables.Table(title, ("bpp", "search"), tuple(digits), tuple(made), note)


def _match_figure(rows, patch_size):
    """The share of patches that are found, over the rate."""
    number = matplotlib.ticker.FuncFormatter(lambda value, _: f"{value:g}")
    with matplotlib.rc_context(figures.STYLE):
        figure = Figure(figsize=(5.4, 4.4), layout="constrained")
        axes = figure.add_subplot()
        for mask, label in _MASKS.items():
            colour, marker = _SEARCH_COLOURS[mask]
            of_mask = [row for row in rows if row["mask"] == mask]
            measured = [(row["bpp"], row["within 2 px"]) for row in of_mask if row["bpp"] is not None]
            axes.plot(*zip(*measured), color=colour, marker=marker, ms=7, mec="white", label=label)
            (whole,) = (row["within 2 px"] for row in of_mask if row["bpp"] is None)
            axes.axhline(whole, color=colour, ls=(0, (4, 2.5)), lw=1.1, label=f"{label}, undistorted images")
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(number)
        axes.xaxis.set_minor_formatter(number)
        axes.set_ylim(0, 1)
        axes.set_xlabel("rate (bits per pixel, logarithmic)")
        axes.set_ylabel("share of patches within 2 pixels")
        axes.set_title(f"Patches of {patch_size[0]}×{patch_size[1]}", loc="left", fontsize=10)
        figure.legend(loc="outside lower center", ncols=2, fontsize=8.5)
    return figure


# ---------------------------------------------------------------------------------------------------------------------
# What they share.


def _searching(folder, weights):
    """The model of a run, which must be one that searches patches."""
    model = codec_driver.load(folder, weights)
    if getattr(model, "finder", None) is None:
        raise common.UserError(f"{folder}: {model.name} {model.variant} searches no patches. Name a run of dsin.")
    return model


def _finder(model, mask):
    """The model's SI-Finder, with or without mask."""
    config = model.finder.get_config()
    return type(model.finder).from_config({**config, "mask": mask})


if __name__ == "__main__":
    define_flags()
    common.run(main)
