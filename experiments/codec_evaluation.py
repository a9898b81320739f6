"""Measures a learned codec on a data set: real files, decoded again from disk by a model that was loaded for it."""

import dataclasses
import statistics
import time
from pathlib import Path
from typing import Optional

from dsin_tf import bitstream, files
from eval import anchor_points, metrics, rd_results
from experiments import common

SUFFIX = ".dsin"

# What a model says of an image's rate -> column.
_ESTIMATES = {"bpp_estimated": "bpp-estimated", "bpp_raw": "bpp-raw", "p_mean": "map-share"}

# Means over the images, and each image's own points, have these columns, as far as they were measured: the rate without
# entropy coding and the share that a map lets pass of models of bits; of images those metrics that were asked for and
# that they are large enough for; the unclipped PSNR of models that can give such images; of sets the PSNR before side
# information, and how many images are decoded before this one.
COLUMNS = (
    *("bpp", "bpp-payload", *_ESTIMATES.values(), *anchor_points.METRICS),
    *("psnr-unclipped", "psnr-codec", "depth", "encode-s", "decode-s"),
)


@dataclasses.dataclass(frozen=True)
class Measured:
    """One model on one data set.

    Attributes:
      names: of the images.
      sizes: (height, width) of each.
      points: for each image {column: value}.
      about: what the point is about, {column: value}, the same for all images (lmbda, step).
      window: of MS-SSIM, or None where an image is too small for any.
      pictures: {image index: x_hat}, of those that were to be kept.
    """

    names: tuple
    sizes: tuple
    points: tuple
    about: dict
    window: Optional[int]
    pictures: dict


def measure(load_model, source, protocol, folder, about, max_pixels=bitstream.MAX_PIXELS, keep=(), colour=False):
    """Codes every image into a file, then decodes every file with a model loaded anew.

    Args:
      load_model: gives the model, ready to code; is called once for coding and once for decoding.
      source: a data set of `dsin_tf.data`, of pairs if the model uses side information.
      protocol: a protocol of `dsin_tf.data.protocols`.
      folder: where the files go; they stay there.
      about: see `Measured`.
      max_pixels: larger images are refused.
      keep: indexes of the images whose result is kept.
      colour: whether brightness and colours are also measured apart; see `anchor_points.measure`.

    Returns:
      A `Measured`.

    Raises:
      common.UserError: the data set is empty, or holds no side information for a model that needs it.
    """
    count = len(source)
    if not count:
        raise common.UserError(f"{source.name} {source.split} holds no image; at least one was expected.")
    folder = Path(folder)
    paths = [folder / f"{index:05d}{SUFFIX}" for index in range(count)]
    first = protocol.evaluate(source.read_x(0))
    window = anchor_points.ms_ssim_window(first)
    with common.progress("measuring", 2 * count) as advance:
        model = load_model()
        _check_kind(model, source)
        model.compress(first)  # the first call is slow and not what is timed
        points, sizes, pictures = [], [], {}
        for index, path in enumerate(paths):
            x = protocol.evaluate(source.read_x(index))
            blob, seconds = _timed(model.compress, x)
            files.write_bytes(path, blob)
            sizes.append(x.shape[:2])
            estimates = {_ESTIMATES[name]: value for name, value in model.estimates(x).items()}
            points.append({**estimates, "encode-s": seconds})
            advance(note=source.names[index])
        model = load_model()
        for index, path in enumerate(paths):
            item = source.read(index) if model.uses_side else (source.read_x(index),)
            x, *side = map(protocol.evaluate, item)
            blob = path.read_bytes()
            if index == 0:
                model.decompress(blob, *side, max_pixels=max_pixels)  # slow, as above
            x_hat, seconds = _timed(model.decompress, blob, *side, max_pixels=max_pixels)
            if index in keep:
                pictures[index] = x_hat
            bits_a_pixel = 8 / (x.shape[0] * x.shape[1])
            points[index].update(
                {
                    "bpp": len(blob) * bits_a_pixel,
                    "bpp-payload": sum(bitstream.inspect(blob).lengths) * bits_a_pixel,
                    "decode-s": seconds,
                    **anchor_points.measure(x, x_hat, window, colour),
                }
            )
            if model.decodes_unrounded:
                unclipped = model.decompress(blob, *side, max_pixels=max_pixels, rounded=False)
                points[index]["psnr-unclipped"] = metrics.psnr_unclipped(x, unclipped)
            advance(note=source.names[index])
    return Measured(source.names, tuple(sizes), tuple(points), about, window, pictures)


def result(name, description, meta, measured):
    """One or more operating points of a method on one data set, in the format of `eval/rd_results.py`.

    Args:
      name: the curve's label.
      description: of the method, in words.
      meta: method, dataset and so on; "rate", the number of images and MS-SSIM's window are added.
      measured: list of `Measured`, of the same images.

    Returns:
      An `RDResult`, points in the order of rising rate.
    """
    columns = [c for c in COLUMNS if all(c in point for m in measured for point in m.points)]
    means = [
        {**{column: statistics.fmean(p[column] for p in m.points) for column in columns}, **m.about} for m in measured
    ]
    images = []
    for index, (image, (height, width)) in enumerate(zip(measured[0].names, measured[0].sizes)):
        rows = [{**{column: m.points[index][column] for column in columns}, **m.about} for m in measured]
        images.append(rd_results.ImagePoints(image, height, width, _by_rate(rows)))
    meta = {
        **meta,
        "rate": "file",
        "images": len(images),
        "ms_ssim_window": measured[0].window,
        "psnr_cap_db": anchor_points.PSNR_CAP_DB,
    }
    return rd_results.RDResult(
        name, description, meta, {**_by_rate(means), "images": [len(images)] * len(means)}, images
    )


def _check_kind(model, source):
    """Raises UserError where a model lacks its side information."""
    if model.uses_side and source.kind != "pairs":
        raise common.UserError(
            f"{source.name} is a source of {source.kind}; {model.name} decodes with side information and needs pairs. "
            "Choose a data set of pairs."
        )


def _by_rate(rows):
    """Rows as columns, in the order of rising rate."""
    rows = sorted(rows, key=lambda row: row["bpp"])
    return {column: [row[column] for row in rows] for column in rows[0]}


def _timed(function, *args, **kwargs):
    start = time.perf_counter()
    value = function(*args, **kwargs)
    return value, time.perf_counter() - start
