"""Does a decoder use its side information y, and does it need the right one?

    python -m experiments.y_check --workdirs=runs/ndic_balle2017,dsin-kitti-small-0.08 \\
        --results=eval/results/cpm_kitti_small.json --dataset=kitti_small --data_dir=DIR

Each image is compressed once, and its one file is decoded three times:

    true     with the image's own y
    wrong    with the y of another image, of another recording where the names tell recordings apart
    blank    with a y that is grey, 128 everywhere

Where the three agree, the decoder does not look at y. Where only true and wrong agree, any y will do. --results draws
codecs without side information beside: a wrong y may be worse than none at all. Into --out go a figure of the curves
and strips of some images, each as PNG and SVG with its numbers as JSON and CSV.
"""

import dataclasses
import re
import statistics
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from absl import flags
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from dsin_tf import data, zoo
from dsin_tf.data import kitti_recordings
from eval import anchor_points, curves, figures, rd_results, report, tables
from experiments import codec_driver, common, dsin, figure_files, kept_pictures, ndic

BLANK = 128  # grey level of the blank y
WHICH = ("true", "wrong", "blank")
METRICS = ("psnr-rgb", "ms-ssim-rgb")

_LABELS = {**dsin.FAMILY.labels, **ndic.FAMILY.labels}
# How a curve shows which y it is of, so that it can be told without colour, and from a single point.
_LINES = {
    "true": {"ls": "-", "lw": 1.8, "ms": 7},
    "wrong": {"ls": (0, (4, 2.5)), "lw": 1.4, "ms": 7, "mfc": "white"},
    "blank": {"ls": (0, (1, 1.6)), "lw": 1.4, "ms": 7, "fillstyle": "bottom"},
}
_REFERENCE = {"ls": (0, (8, 2, 1.5, 2)), "lw": 1, "ms": 4}
_KITTI_IMAGE = re.compile(r"(?:(\w+/\w+)/)?(?:image_[23]|colored_[01])/(\d{6})_\d\d")
_KITTI_SMALL = "data_scene_flow_multiview/training"  # where the small images come from; their names do not say so


def define_flags():
    """The driver's flags; defined when it is run, not when it is imported."""
    with common.flag_group("Check"):
        flags.DEFINE_list(
            "workdirs",
            None,
            "Models that decode with y: run directories, folders of sweeps, names of shipped weights. Those of one "
            "model at several rates make a curve.",
            required=True,
        )
        flags.DEFINE_enum("weights", "best", ["best", "last"], "Weights to use: best in validation, or the last.")
        flags.DEFINE_list("results", [], "Results files of other codecs, drawn for reference; may hold * and ?.")
        flags.DEFINE_integer(
            "count", 2, "How many images to draw, spread over the data set, at each model's lowest rate.", lower_bound=1
        )
        flags.DEFINE_string("size", None, "HEIGHTxWIDTH of street's pictures in pixels; by default 128x256.")
        flags.DEFINE_string("out", "runs/y_check", "Folder for data and pictures.")
    common.define_data_flags()


def main(argv):
    """Checks the models that the flags name."""
    del argv
    values = flags.FLAGS
    source, protocol = common.load_data(**codec_driver.data_options()), data.protocols.get(values.protocol)
    references = load_references(values.results, source, protocol)
    models = load_models(values.workdirs, values.weights)
    figure_files.write_all(check(models, source, protocol, references, values.count), Path(values.out))


def load_models(workdirs, weights="best"):
    """The models to check, ready to code, each once.

    Args:
      workdirs: run directories, folders of sweeps, or names of shipped weights.
      weights: "best" or "last".

    Raises:
      common.UserError: there is no model, or one that takes no side information.
    """
    folders = {}
    for workdir in workdirs:
        if workdir not in zoo.names() and not Path(workdir).is_dir():
            raise common.UserError(
                f"--workdirs: {workdir} is no folder, and the names of shipped weights are {', '.join(zoo.names())}. "
                "Name a run directory or one of these."
            )
        found = [zoo.folder(workdir)] if workdir in zoo.names() else codec_driver.run_folders(workdir)
        folders.update(dict.fromkeys(found))
    if not folders:
        raise common.UserError("--workdirs names no model; one at least was expected. Name a run directory.")
    models = [codec_driver.load(folder, weights) for folder in folders]
    for folder, model in zip(folders, models):
        if not model.uses_side:
            raise common.UserError(
                f"{folder}: {_label(model)} decodes without side information; a model with was expected. Evaluate it "
                "and name its results in --results to see it beside the others."
            )
    return models


def load_references(patterns, source, protocol):
    """Results of other codecs, which must be of the same images.

    Args:
      patterns: results files, may hold wildcards.
      source, protocol: the images.

    Returns:
      A list of `RDResult` without images: their means alone are drawn, as those of the models are.

    Raises:
      common.UserError: a result is of other images, or its rate is not that of whole files.
    """
    expected = (source.digest, protocol.name, "file")
    references = []
    for path in report.find(patterns):
        result = rd_results.load(path)
        meta = result.meta
        if tuple(meta.get(key) for key in ("data_digest", "protocol", "rate")) != expected:
            raise common.UserError(
                f"{path}: was measured on {meta['dataset']} {meta.get('split')} ({meta.get('images')} images), "
                f"protocol {meta['protocol']}, rate {meta['rate']}; {source.name} {source.split} ({len(source)} "
                f"images), protocol {protocol.name}, rate file was expected. Name results of the images checked."
            )
        references.append(dataclasses.replace(result, images=[]))
    return references


# ---------------------------------------------------------------------------------------------------------------------
# The wrong y.


def places(dataset, names):
    """Where images were taken, as far as their names tell.

    Of KITTI the recording is the drive, or the scene where nobody knows the drive; elsewhere it is the image's folder,
    which of Cityscapes is the city.

    Args:
      dataset: name of the data set.
      names: of the images.

    Returns:
      ("recording", that of each image), or, where all are of one, ("scene", that of each image).
    """
    drives = {scene: drive for drive, scenes in kitti_recordings.recordings().items() for scene in scenes}
    recordings, scenes = [], []
    for name in names:
        match = _KITTI_IMAGE.search(name) if dataset.startswith("kitti_") else None
        scene = (match[1] or _KITTI_SMALL, int(match[2])) if match else name
        scenes.append(scene)
        recordings.append(drives.get(scene, scene) if match else name.rpartition("/")[0])
    return ("recording", recordings) if len(set(recordings)) > 1 else ("scene", scenes)


def strangers(place_of, index):
    """The indexes of all images of other places than one of them, beginning half the data set further on."""
    count = len(place_of)
    onwards = ((index + count // 2 + k) % count for k in range(count))
    return [other for other in onwards if place_of[other] != place_of[index]]


def _wrong_side(source, protocol, x, y, candidates):
    """(index, y) of the first candidate whose y has the size of x and is none of the two pictures."""
    for other in candidates:
        found = protocol.evaluate(source.read(other)[1])
        if found.shape == x.shape and not np.array_equal(found, x) and not np.array_equal(found, y):
            return other, found
    raise common.UserError(
        f"{source.name} {source.split}: of {len(candidates)} images of another place none has a y of "
        f"{x.shape[0]}x{x.shape[1]} (height x width). Choose a --protocol that makes all images alike."
    )


# ---------------------------------------------------------------------------------------------------------------------
# Measuring.


@dataclasses.dataclass(frozen=True)
class Checked:
    """One model on all images.

    Attributes:
      model: the codec.
      rows: for each image {"image", "bpp", metric: {which y: value}}.
      pictures: {image index: {which y: x_hat}} of the images that are drawn.
    """

    model: Any
    rows: list = dataclasses.field(default_factory=list)
    pictures: dict = dataclasses.field(default_factory=dict)

    @property
    def label(self):
        return _label(self.model)

    @property
    def means(self):
        """Over all images, as a row; only metrics that every image has."""
        keys = [key for key in METRICS if all(key in row for row in self.rows)]
        return {
            "bpp": statistics.fmean(row["bpp"] for row in self.rows),
            **{key: {which: statistics.fmean(row[key][which] for row in self.rows) for which in WHICH} for key in keys},
        }


def check(models, source, protocol, references=(), count=2):
    """Decodes every image's file with the true, a wrong and a blank y.

    Args:
      models: codecs with side information, ready to code; those of one name differ in nothing but their rate.
      source, protocol: the images, pairs of two scenes at least.
      references: list of `RDResult` of the same images, drawn beside.
      count: how many images are drawn, spread over the data set.

    Returns:
      A list of `figure_files.Made`: the curves with all numbers, then a strip of each image that is drawn.

    Raises:
      common.UserError: the images are no pairs or of one scene, or models of one name differ in more than their rate.
    """
    if source.kind != "pairs":
        raise common.UserError(
            f"{source.name} is a source of {source.kind}, pairs were expected: x and its y. Choose a data set of pairs."
        )
    place, place_of = places(source.name, source.names)
    if len(set(place_of)) < 2:
        raise common.UserError(
            f"{source.name} {source.split} holds one scene (images: {len(source)}), and a wrong y has to come from "
            "another; two at least were expected. Use more of the data set, or another."
        )
    _require_sweeps(models)
    drawn = kept_pictures.folders(source, ".", count)
    checked, wrong_of, given = [Checked(model) for model in models], {}, {}
    window = anchor_points.ms_ssim_window(protocol.evaluate(source.read_x(0)))
    with common.progress("decoding", len(source) * len(models)) as advance:
        for index, name in enumerate(source.names):
            x, y = map(protocol.evaluate, source.read(index))
            other, wrong = _wrong_side(source, protocol, x, y, strangers(place_of, index))
            wrong_of[name] = source.names[other]
            ys = {"true": y, "wrong": wrong, "blank": np.full_like(y, BLANK)}
            if index in drawn:
                given[index] = {"x": x, **ys}
            for each in checked:
                blob = each.model.compress(x)
                decoded = {which: each.model.decompress(blob, side) for which, side in ys.items()}
                each.rows.append({"image": name, "bpp": 8 * len(blob) / x[..., 0].size, **_rated(x, decoded, window)})
                if index in drawn:
                    each.pictures[index] = decoded
                advance(note=name)
    labels = list(dict.fromkeys(each.label for each in checked))
    checked.sort(key=lambda each: (labels.index(each.label), each.means["bpp"]))
    lowest = [next(each for each in checked if each.label == label) for label in labels]
    about = {"blank y": BLANK, "wrong y from": f"another {place}", "wrong y of": wrong_of, "ms_ssim_window": window}
    return [
        _curves_made(checked, source, protocol, references, about),
        *(_strip_made(drawn[index].name, lowest, index, source, protocol, about, given[index]) for index in given),
    ]


def _require_sweeps(models):
    """Raises UserError where models that would make one curve differ in more than their rate."""
    known = {}
    for model in models:
        swept = next(name for name in codec_driver.RATE_SETTINGS if name in model.settings)
        settings = {name: value for name, value in model.settings.items() if name not in (swept, "seed")}
        first = known.setdefault(_label(model), settings)
        other = [name for name in settings if settings[name] != first.get(name)]
        if other:
            raise common.UserError(
                f"--workdirs: {_label(model)} comes with {other[0]} {first.get(other[0])} and {settings[other[0]]}; "
                f"one model at several {swept} was expected. Check them one by one, each with its own --out."
            )


def _rated(x, decoded, window):
    """{metric: {which y: value}} of one image's pictures."""
    measured = {which: anchor_points.measure(x, x_hat, window) for which, x_hat in decoded.items()}
    return {key: {which: measured[which][key] for which in WHICH} for key in METRICS if key in measured["true"]}


def _label(model):
    """What tables and plots call a model."""
    return codec_driver.label(model, _LABELS)


# ---------------------------------------------------------------------------------------------------------------------
# Numbers.


def _entry(each, row, source, protocol):
    """What the JSON says of a model and of a row of its numbers."""
    model = figure_files.measured_on(source, protocol, each.model)
    return {"label": each.label, **model, "identity": each.model.identity.hex(), **_with_differences(row)}


def _with_differences(row):
    """The row; each metric also says what the true y has above the others."""
    return {
        key: {**value, **{f"true - {other}": value["true"] - value[other] for other in WHICH if other != "true"}}
        if key in METRICS
        else value
        for key, value in row.items()
    }


def _wins(rows, key):
    """In how many images the true y is better than both others."""
    return sum(row[key]["true"] > max(row[key]["wrong"], row[key]["blank"]) for row in rows)


def _table(title, checked, rows, note=""):
    """A table of one row for each model."""
    columns = [(curves.metric(key), which) for key in METRICS for which in WHICH]
    made = []
    for each, row in zip(checked, rows):
        values = [tables.Cell(row[m.key][which] if m.key in row else None, m.digits) for m, which in columns]
        made.append(tables.Row((each.label,), (tables.Cell(row["bpp"], 4), *values)))
    headings = ("bpp", *(f"{m.label} {which}" for m, which in columns))
    return tables.Table(title, ("model",), headings, tuple(made), note)


# ---------------------------------------------------------------------------------------------------------------------
# Curves.


def _curves_made(checked, source, protocol, references, about):
    """The curves of all models, with all numbers."""
    images = f"{source.name} {source.split}, {len(source)} images, protocol {protocol.name}"
    window = about["ms_ssim_window"]
    ms_ssim = f"MS-SSIM with window {window}" if window else "The images are too small for MS-SSIM"
    note = (
        "Means over all images; true, wrong and blank say which y. bpp is the whole file, the same for all three. The "
        f"wrong y is from {about['wrong y from']}, the blank one is grey ({BLANK}). PSNR in dB. {ms_ssim}."
    )
    means = [each.means for each in checked]
    entries = [
        {
            **_entry(each, mean, source, protocol),
            "images where the true y is best": {key: _wins(each.rows, key) for key in METRICS if key in mean},
            "images": [_with_differences(row) for row in each.rows],
        }
        for each, mean in zip(checked, means)
    ]
    compared = [{"name": r.name, "method": r.meta["method"], **r.results} for r in references]
    ours = {which: _results(checked, which, source, protocol) for which in WHICH}
    return figure_files.Made(
        f"y_check_{source.name}",
        {**about, "models": entries, "references": compared},
        _table(f"The true, a wrong and a blank y: {images}", checked, means, note),
        _curve_figure(ours, references, f"Decoded with the true, a wrong and a blank y\n{images}"),
    )


def _results(checked, which, source, protocol):
    """What the models reach with one of the ys: for each label an `RDResult` of means."""
    grouped = {}
    for each in checked:
        grouped.setdefault(each.label, []).append(each)
    results = []
    for label, group in grouped.items():
        meta = {
            "method": codec_driver.method(group[0].model),
            "dataset": source.name,
            "protocol": protocol.name,
            "rate": "file",
        }
        means = [each.means for each in group]
        points = {key: [mean[key][which] for mean in means] for key in METRICS if key in means[0]}
        results.append(rd_results.RDResult(label, "", meta, {"bpp": [mean["bpp"] for mean in means], **points}))
    return results


def _curve_figure(ours, references, title):
    """The metrics over the rate, `ours` being {which y: list of `RDResult`}.

    All curves go through the means over images at the measured points, which are those of the table.
    """
    style = figures.styles([*ours["true"], *references])
    lines = [(r, _REFERENCE) for r in references] + [(r, _LINES[which]) for which in WHICH for r in ours[which]]
    keys = [key for key in METRICS if key in ours["true"][0].results]
    rates = [rate for r in ours["true"] for rate in r.results["bpp"]]
    low, high = min(rates) / 1.2, max(rates) * 1.2
    with matplotlib.rc_context(figures.STYLE):
        legend_rows = max(len(style), len(WHICH))
        figure = Figure(figsize=(4.7 * len(keys), 4.4 + 0.19 * legend_rows), layout="constrained")
        figure.suptitle(title, fontsize=10, x=0.01, ha="left")
        for axes, key in zip(figure.subplots(1, len(keys), squeeze=False).flat, keys):
            heights = []
            for result, look in lines:
                x, y = curves.mean_curve(result, key)
                axes.plot(x, y, **_look(*style[result.meta["method"], result.name], look))
                heights.extend(y[(low <= x) & (x <= high)])
            room = 0.05 * (max(heights) - min(heights)) or 0.01
            axes.set_ylim(min(heights) - room, max(heights) + room)
            axes.set_ylabel(curves.metric(key).title)
            axes.set_xscale("log")
            axes.set_xlim(low, high)
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 4, 6, 8) if high < 6 * low else (1, 2, 5)))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.set_xlabel("rate (bits per pixel, logarithmic)")
        of_y = [Line2D([], [], label=f"{which} y", **_look("#555555", "o", _LINES[which])) for which in WHICH]
        of_codec = [
            Line2D([], [], label=result.name, **_look(*style[result.meta["method"], result.name], look))
            for results, look in ((ours["true"], _LINES["true"]), (references, _REFERENCE))
            for result in results
        ]
        for handles, end in ((of_y, "left"), (of_codec, "right")):
            text = {"fontsize": 8.5, "handlelength": 4, "labelspacing": 0.35}
            figure.legend(handles=handles, loc=f"outside lower {end}", **text)
    return figure


def _look(colour, marker, look):
    """Arguments of a line; `mfcalt` is the empty half of a half-filled marker."""
    return {"color": colour, "marker": marker, "mfc": colour, "mfcalt": "white", **look}


# ---------------------------------------------------------------------------------------------------------------------
# Strips.


def _strip_made(name, checked, index, source, protocol, about, given):
    """The pictures of one image with their numbers, a row for each model; `given` are x and the ys."""
    rows = [each.rows[index] for each in checked]
    image = source.names[index]
    about = {**about, "image": image, "wrong y of": about["wrong y of"][image]}
    lines = []
    for each, row in zip(checked, rows):
        x_hat = {
            which: (f"x_hat with {which} y, {row['psnr-rgb'][which]:.2f} dB", picture)
            for which, picture in each.pictures[index].items()
        }
        panels = (
            ("x", given["x"]),
            ("true y", given["true"]),
            x_hat["true"],
            ("wrong y", given["wrong"]),
            x_hat["wrong"],
            x_hat["blank"],
        )
        lines.append((f"{each.label}, {row['bpp']:.4f} bpp", panels))
    title = f"{image}; wrong y: that of {about['wrong y of']}"
    content = {**about, "models": [_entry(each, row, source, protocol) for each, row in zip(checked, rows)]}
    stem = f"y_check_{source.name}_{figure_files.as_name(name)}"
    return figure_files.Made(stem, content, _table(title, checked, rows), figure_files.rows_of_pictures(title, lines))


if __name__ == "__main__":
    define_flags()
    common.run(main)
