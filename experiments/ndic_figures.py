"""NDIC's figures, from runs of experiments.ndic, experiments.dsin and experiments.anchors.

    python -m experiments.ndic_figures --figure=curves --results='runs/*/results.json,runs/anchors/*.json'
    python -m experiments.ndic_figures --figure=visual --pictures=runs/pictures
    python -m experiments.ndic_figures --figure=alpha_beta --workdirs=runs/1_1,runs/1_0.001,runs/0_0,runs/0_1 \\
        --dataset=kitti_small --data_dir=DIR
    python -m experiments.ndic_figures --figure=bd --results='eval/results/*_kitti_small.json'

    curves      PSNR and MS-SSIM over the rate, of each data set, beside the published curves of its kind
    visual      pictures beside those of Ballé 2018 and DSIN, with the rates that the authors quote for theirs
    alpha_beta  what the weights of the loss do: rate and quality, and what is decoded from the common information w
                alone, from the private v_x alone, and from both; its JSON says of each how its colours, what is large
                in it and its details correlate with those of x
    bd          Bjøntegaard differences in rate of every pair of codecs, measured and published

Each writes its numbers as JSON and CSV, and the picture as PNG and SVG, into --out. For curves and bd evaluate the runs
first; for visual with --pictures, --picture_bpp and one --pictures_dir for all.
"""

import dataclasses
from pathlib import Path

import matplotlib
import numpy as np
import tensorflow as tf
from absl import flags
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dsin_tf import data
from eval import anchor_points, curves, figures, metrics, published_numbers, rd_results, report, tables
from experiments import codec_driver, common, dsin, figure_files, kept_pictures, ndic

_LEARNED = ("ndic_cam", "ndic_balle2018", "ndic_balle2017", "dsin", "balle2018", "balle2017", "cpm")
_COMPARED = (*_LEARNED, "bpg", "jpeg2000")
_VISUAL = ("balle2018", "dsin", "ndic_balle2017", "ndic_balle2018", "ndic_cam")
_NAMES = {"bpg": "BPG", **dsin.FAMILY.labels, **ndic.FAMILY.labels}
METRICS = ("psnr-rgb", "ms-ssim-rgb")
_PARTS = ("both", "w alone", "v_x alone")
# What of x is in a part.
_HELD = {
    "colour": metrics.colour_correlation,
    "coarse": metrics.coarse_correlation,
    "fine": metrics.fine_correlation,
}
# Two points fix a line, and rates of two models that overlap are enough to compare those.
_BD_POINTS = 2


def define_flags():
    """The driver's flags; defined when it is run, not when it is imported."""
    with common.flag_group("Figure"):
        flags.DEFINE_enum(
            "figure", None, ["curves", "visual", "alpha_beta", "bd"], "Which figure to make.", required=True
        )
        flags.DEFINE_string("out", "runs/ndic_figures", "Folder for data and pictures.")
        flags.DEFINE_list("results", None, "Results files of curves and bd; may hold * and ?.")
        flags.DEFINE_string("pictures", None, "Folder of kept pictures, of visual.")
        flags.DEFINE_list("workdirs", None, "Run directories of NDIC, of alpha_beta.")
        flags.DEFINE_integer("count", 2, "How many images alpha_beta draws, spread over the data set.", lower_bound=1)
        flags.DEFINE_string("size", None, "HEIGHTxWIDTH of street's pictures in pixels; by default 128x256.")
        flags.DEFINE_enum("weights", "best", ["best", "last"], "Weights to use: best in validation, or the last.")
    common.define_data_flags()


def main(argv):
    """Makes the figure that the flags ask for."""
    del argv
    values = flags.FLAGS
    if values.figure == "curves":
        made = compare_curves(figure_files.needed("results"))
    elif values.figure == "visual":
        made = compare_pictures(figure_files.needed("pictures"))
    elif values.figure == "bd":
        made = compare_rates(figure_files.needed("results"))
    else:
        workdirs = figure_files.needed("workdirs")
        source, protocol = common.load_data(**codec_driver.data_options()), data.protocols.get(values.protocol)
        made = compare_weights(workdirs, source, protocol, values.count, values.weights)
    figure_files.write_all(made, Path(values.out))


# ---------------------------------------------------------------------------------------------------------------------
# Curves, and pictures at the quoted rates.


def compare_curves(patterns, keys=METRICS):
    """PSNR and MS-SSIM of all codecs over the rate; see `figure_files.curves_of`.

    Points are means over all images; dashed beside them is what NDIC's final figure shows for data of the kind. PSNR of
    ours is then of unclipped images, too, as there.

    Args:
      patterns: results files, may hold wildcards.
      keys: columns, each of which makes a figure.

    Returns:
      A `figure_files.Made` for each metric of each data set.
    """
    known = published_numbers.curves(paper="ndic") + published_numbers.curves(paper="ndic_cam")
    return [
        made
        for key in keys
        for made in figure_files.curves_of(f"curves_{key}", _COMPARED, _LEARNED, patterns, key, known, means=True)
    ]


def compare_pictures(folder):
    """Strips of NDIC, DSIN and Ballé 2018, each with the rates quoted by the authors; see `figure_files.strips_of`."""
    (quoted,) = (t for t in published_numbers.tables(paper="ndic") if t.title.startswith("Rates of the visual"))
    rates = [dict(zip(quoted.columns, row)) for row in quoted.rows]
    return [
        dataclasses.replace(made, data={**made.data, "rates quoted by the authors": rates})
        for made in figure_files.strips_of("visual", _VISUAL, folder)
    ]


# ---------------------------------------------------------------------------------------------------------------------
# The weights alpha and beta.


def compare_weights(workdirs, source, protocol, count, weights="best"):
    """Rate and quality of runs with different alpha and beta, and what each of their latents holds.

    Every file is decoded three times: from both private and common latents; with v_x set to 0, from w alone; with w
    set to 0, from v_x alone.

    Args:
      workdirs: run directories of NDIC.
      source, protocol: the images.
      count: how many images are drawn, spread over the data set.
      weights: "best" or "last".

    Returns:
      A list of `figure_files.Made`: the numbers, then the pictures of each image that is drawn.
    """
    if source.kind != "pairs":
        raise common.UserError(
            f"{source.name} is a source of {source.kind}; NDIC needs pairs. Choose a data set of those."
        )
    models = [_decomposable(folder, weights) for folder in workdirs]
    drawn = kept_pictures.folders(source, ".", count)
    points, pictures = [[] for _ in models], {}
    window = anchor_points.ms_ssim_window(protocol.evaluate(source.read_x(0)))
    with common.progress("decoding", len(source) * len(models)) as advance:
        for index, name in enumerate(source.names):
            x, y = map(protocol.evaluate, source.read(index))
            for model, of_model in zip(models, points):
                blob = model.compress(x)
                decoded = dict(zip(_PARTS, decompose(model, blob, y)))
                measured = {part: _measure(x, x_hat, window) for part, x_hat in decoded.items()}
                point = {"image": name, "bpp": 8 * len(blob) / x[..., 0].size, "parts": measured}
                of_model.append(point)
                if index in drawn:
                    label = f"alpha, beta = {_as_text(model.alpha, model.beta)}"
                    pictures.setdefault(index, []).append((label, point, {"x": x, "y": y, **decoded}))
                advance(note=name)
    rows = [_means(model, of_model) for model, of_model in zip(models, points)]
    about = {**figure_files.measured_on(source, protocol, models[0]), "ms_ssim_window": window}
    content = {**about, "published": _published_weights(), "runs": rows}
    images = f"{source.name} {source.split}, {len(source)} images, protocol {protocol.name}"
    made = [figure_files.Made("alpha_beta", content, _weights_table(rows, images), _weights_figure(rows, images))]
    for index, of_image in pictures.items():
        lines = [
            (f"{weights}: {about['bpp']:.4f} bpp", _labelled(shown, about["parts"]))
            for weights, about, shown in of_image
        ]
        cells = [
            tables.Row((weights,), tuple(tables.Cell(about["parts"][part]["psnr-rgb"], 2) for part in _PARTS))
            for weights, about, _ in of_image
        ]
        table = tables.Table(f"{source.names[index]}: PSNR (dB)", ("weights",), _PARTS, tuple(cells))
        figure = figure_files.rows_of_pictures(source.names[index], lines)
        content = {**about, "runs": [{"weights": weights, **point} for weights, point, _ in of_image]}
        made.append(figure_files.Made(f"alpha_beta_{figure_files.as_name(drawn[index].name)}", content, table, figure))
    return made


def decompose(model, blob, y):
    """What a file gives with y, from w alone and from v_x alone: three uint8 `[H, W, 3]`.

    Args:
      model: a `dsin_tf.models.ndic.NDIC`, ready to code.
      blob: a file of it.
      y: the side information, uint8.
    """
    header, decoded = model.decode_latents(blob)
    v_x, w = decoded["v_x"], model.analyze(y, model.analysis_w)
    pairs = ((v_x, w), (tf.zeros_like(v_x), w), (v_x, tf.zeros_like(w)))
    return [model.picture(header, tf.concat(pair, axis=-1)) for pair in pairs]


def _measure(x, x_hat, window):
    return {**anchor_points.measure(x, x_hat, window), **{name: of(x, x_hat) for name, of in _HELD.items()}}


def _decomposable(folder, weights):
    """The model of a run, which must be NDIC's."""
    model = codec_driver.load(folder, weights)
    if model.name not in ("ndic_balle2017", "ndic_balle2018"):
        raise common.UserError(
            f"{folder}: {model.name} was found, ndic_balle2017 or ndic_balle2018 was expected. Name a run of these."
        )
    return model


def _means(model, points):
    """A run's means over the images."""
    keys = [
        key for key in (*METRICS, *_HELD) if all(key in point["parts"][part] for point in points for part in _PARTS)
    ]
    parts = {
        part: {key: float(np.mean([point["parts"][part][key] for point in points])) for key in keys} for part in _PARTS
    }
    settings = {**model.settings, "model": model.name, "preset": model.preset, "steps": int(model.step)}
    bpp = float(np.mean([point["bpp"] for point in points]))
    return {
        "alpha": model.alpha,
        "beta": model.beta,
        "bpp": bpp,
        "parts": parts,
        "settings": settings,
        "images": points,
    }


def _published_weights():
    """{(alpha, beta) as text: rate at similar quality}, of the authors' slides."""
    (table,) = (t for t in published_numbers.tables(paper="ndic") if t.title.startswith("Rate at similar quality"))
    return {_as_text(alpha, beta): rate for alpha, beta, rate in table.rows}


def _weights_table(rows, images):
    published = _published_weights()
    made = []
    for row in rows:
        parts = row["parts"]
        cells = [tables.Cell(row["bpp"], 4), *(tables.Cell(parts[part]["psnr-rgb"], 2) for part in _PARTS)]
        cells.insert(2, tables.Cell(parts["both"].get("ms-ssim-rgb"), 4))
        text = _as_text(row["alpha"], row["beta"])
        made.append(tables.Row((text,), (*cells, tables.Cell(published.get(text), 4))))
    columns = ("bpp", "PSNR (dB)", "MS-SSIM", "PSNR, w alone", "PSNR, v_x alone", "published bpp")
    note = (
        "bpp is the whole file. The published rates are at similar quality, of larger models on other data: they "
        "compare with each other only."
    )
    return tables.Table(f"Weights alpha and beta: {images}", ("alpha, beta",), columns, tuple(made), note)


def _weights_figure(rows, images):
    """Rate and PSNR of each run, and PSNR from each part of its latents."""
    labels = [_as_text(row["alpha"], row["beta"]) for row in rows]
    with matplotlib.rc_context(figures.STYLE):
        figure = Figure(figsize=(9.4, 3.9), layout="constrained")
        figure.suptitle(f"NDIC with weights alpha, beta\n{images}", fontsize=10, x=0.01, ha="left")
        rates, bars = figure.subplots(1, 2)
        for label, row in zip(labels, rows):
            point = row["bpp"], row["parts"]["both"]["psnr-rgb"]
            rates.plot(*point, "o", color="black", ms=7)
            rates.annotate(label, point, xytext=(7, 5), textcoords="offset points", fontsize=9)
        rates.margins(0.25)
        rates.xaxis.set_major_locator(MaxNLocator(5))
        rates.set_xlabel("rate (bits per pixel)")
        rates.set_ylabel("PSNR (dB)")
        width = 0.8 / len(_PARTS)
        for k, (part, colour) in enumerate(zip(_PARTS, ("#000000", "#0072B2", "#E69F00"))):
            heights = [row["parts"][part]["psnr-rgb"] for row in rows]
            places = np.arange(len(rows)) + (k - 1) * width
            drawn = bars.bar(places, heights, width, color=colour, label={"both": "v_x and w"}.get(part, part))
            bars.bar_label(drawn, fmt="%.1f", fontsize=7.5)
        bars.set_xticks(range(len(rows)), labels)
        bars.set_xlabel("alpha, beta")
        bars.set_ylabel("PSNR (dB)")
        bars.grid(visible=False, axis="x")
        bars.set_axisbelow(True)
        bars.legend(fontsize=8.5, ncols=3, loc="upper center", bbox_to_anchor=(0.5, 1.13))
    return figure


def _labelled(shown, parts):
    """Pictures with their PSNR: ((label, picture), ...)."""
    return [
        (f"{part}, {parts[part]['psnr-rgb']:.2f} dB" if part in parts else part, picture)
        for part, picture in shown.items()
    ]


def _as_text(alpha, beta):
    return f"{alpha:g}, {beta:g}"


# ---------------------------------------------------------------------------------------------------------------------
# Bjøntegaard differences.


def compare_rates(patterns):
    """How much less rate each codec takes than each other at equal quality, measured and as published.

    Args:
      patterns: results files, may hold wildcards; those of one data set are compared.

    Returns:
      A `figure_files.Made` for each metric of each data set.
    """
    loaded = [(rd_results.load(path), Path(path)) for path in report.find(patterns)]
    loaded = [(result, path) for result, path in loaded if result.meta["method"] in _COMPARED]
    if not loaded:
        raise common.UserError(
            f"--results={','.join(patterns)}: holds no result of {', '.join(_COMPARED)}. Evaluate some first."
        )
    made = []
    for group in report.group(loaded):
        for key in METRICS:
            results = [dataclasses.replace(r, images=[]) for r in group.results if len(r.results.get(key, ())) > 1]
            theirs = report.matching(published_numbers.curves(), group.meta, key)
            theirs = [p for p in theirs if p.meta["method"] in _COMPARED]
            results, theirs = (
                sorted(found, key=lambda result: _COMPARED.index(result.meta["method"])) for found in (results, theirs)
            )
            if len(results) > 1:
                made.append(_differences(group, key, results, theirs))
    if not made:
        raise common.UserError(
            f"--results={','.join(patterns)}: no two results of one data set have two rates. Train at more rates."
        )
    return made


def _differences(group, key, results, published):
    """The `figure_files.Made` of one data set and metric."""
    sides = {"measured": results, **({"published": published} if len(published) > 1 else {})}
    entries = {side: _matrix(found, key) for side, found in sides.items()}
    columns = list(dict.fromkeys(_name(result) for found in sides.values() for result in found))
    rows = [
        tables.Row((side, test), tuple(tables.Cell(against.get(anchor), 1, signed=True) for anchor in columns))
        for side, matrix in entries.items()
        for test, against in matrix.items()
    ]
    label = curves.metric(key).label
    note = (
        f"Percent of rate that the codec of the row needs beside that of the column for the same {label}, over the "
        f"range that both cover; negative is less. Curves of means over all images, of {_BD_POINTS} points at least. "
        f"{tables.MISSING} where no range is common."
    )
    title = f"BD-rate (%) in {label}: {group.title}"
    table = tables.Table(title, ("", "codec"), tuple(columns), tuple(rows), note)
    about = {name: group.meta.get(name) for name in ("dataset", "split", "protocol", "data_digest", "images")}
    points = {_name(r): {"bpp": r.results["bpp"], key: r.results[key], **_trained(r)} for r in results}
    content = {"metric": key, **about, "points": points, **entries}
    stem = f"bd_{key}_{group.slug}"
    return figure_files.Made(stem, content, table, _matrix_figure(title, sides, entries))


def _matrix(results, key):
    """{test: {anchor: BD-rate in percent}} of every pair that can be compared."""
    found = {_name(result): {} for result in results}
    for test in results:
        for anchor in results:
            if test is anchor:
                continue
            try:
                difference = curves.bd_rate(anchor, test, key, mixed_rates=True, min_points=_BD_POINTS)
            except curves.CurveError:
                continue
            found[_name(test)][_name(anchor)] = difference.value
    return found


def _trained(result):
    return {name: result.meta[name] for name in ("preset", "steps") if name in result.meta}


def _name(result):
    """A codec's name without its preset, the same measured and published."""
    return _NAMES.get(result.meta["method"], result.name)


def _matrix_figure(title, sides, entries):
    """A square of numbers for each side, coloured by sign and size."""
    with matplotlib.rc_context({**figures.STYLE, "axes.grid": False}):
        largest = max(len(found) for found in sides.values())
        figure = Figure(figsize=(1.7 + len(sides) * (1.9 + 0.72 * largest), 2.2 + 0.5 * largest), layout="constrained")
        figure.suptitle(title, fontsize=11, fontweight="bold", x=0.01, ha="left")
        for axes, (side, found) in zip(figure.subplots(1, len(sides), squeeze=False).flat, sides.items()):
            labels = [_name(result) for result in found]
            values = np.array([[entries[side][test].get(anchor, np.nan) for anchor in labels] for test in labels])
            axes.imshow(values, cmap="PuOr", vmin=-100, vmax=100, alpha=0.75, aspect="auto")
            for (row, column), value in np.ndenumerate(values):
                text = "" if row == column else tables.MISSING if np.isnan(value) else f"{value:+.0f}".replace("-", "−")
                is_dark = abs(value) > 70
                axes.text(
                    column, row, text, ha="center", va="center", fontsize=9, color="white" if is_dark else "black"
                )
            axes.set_xticks(range(len(labels)), labels, rotation=40, ha="right")
            axes.set_yticks(range(len(labels)), labels)
            axes.tick_params(length=0)
            axes.set_title(side, loc="left", fontsize=10)
            axes.set_xlabel("compared with")
    return figure


if __name__ == "__main__":
    define_flags()
    common.run(main)
