"""Measures a codec of image sets: a file for each set, decoded again from disk by a model that was loaded for it."""

import time
from pathlib import Path

from dsin_tf import bitstream, files, sets
from dsin_tf.bitstream import image_sets
from dsin_tf.models import set_codec
from eval import anchor_points, metrics
from experiments import codec_evaluation, common

SUFFIX = ".dset"

ORDERS = ("tree", "natural")


def measure(
    load_model,
    source,
    protocol,
    folder,
    about,
    max_pixels=bitstream.MAX_PIXELS,
    keep=(),
    order="tree",
    feature="sift",
    max_depth=4,
    geometry=False,
    originals=False,
):
    """Codes every set into a file, then decodes every file with a model loaded anew.

    An image's rate is that of its own file and of an equal share of what its set has besides.

    Args:
      load_model, protocol, about, max_pixels: as of `codec_evaluation.measure`.
      source: a `dsin_tf.data.chains.Flat`, whose sets are coded.
      folder: where the files go; they stay there.
      keep: indexes of the images, in all sets, whose result is kept.
      order: "tree", or "natural" for each image with the help of the one before it in the set.
      feature, max_depth: of the tree; see `set_codec.plan`.
      geometry: whether it is sent how references are warped.
      originals: decodes with references as they were before coding, which no receiver has.

    Returns:
      A `codec_evaluation.Measured` of the images.
    """
    folder = Path(folder)
    scenes = source.sets
    paths = [folder / f"{index:05d}{SUFFIX}" for index in range(len(scenes))]
    points, sizes, pictures = [], [], {}
    window = anchor_points.ms_ssim_window(protocol.evaluate(scenes.read_x(0)))

    def images_of(index):
        return [protocol.evaluate(scenes.read_image(index, k)) for k in range(scenes.count(index))]

    with common.progress("measuring", 2 * len(scenes)) as advance:
        model = load_model()
        for index, path in enumerate(paths):
            images = images_of(index)
            model.compress(images[0])  # the first call is slow and not what is timed
            start = time.perf_counter()
            tree = _tree(model, images, order, feature, max_depth)
            blob = set_codec.compress(model, images, tree, geometry)
            seconds = (time.perf_counter() - start) / len(images)
            files.write_bytes(path, blob)
            for image, depth in zip(images, tree.depths):
                points.append({"bpp-estimated": model.estimate(image), "encode-s": seconds, "depth": depth})
                sizes.append(image.shape[:2])
            advance(note=scenes.names[index])
        model, first = load_model(), 0
        for index, path in enumerate(paths):
            images = images_of(index)
            references = images if originals else None
            measured = _decoded(model, path.read_bytes(), images, window, max_pixels, references)
            for k, (values, x_hat) in enumerate(measured):
                points[first + k].update(values)
                if first + k in keep:
                    pictures[first + k] = x_hat
            first += len(images)
            advance(note=scenes.names[index])
    return codec_evaluation.Measured(source.names, tuple(sizes), tuple(points), about, window, pictures)


def _tree(model, images, order, feature, max_depth):
    return sets.natural(len(images)) if order == "natural" else set_codec.plan(model, images, feature, max_depth)


def _decoded(model, blob, images, window, max_pixels, references):
    """For each image of a set's file ({column: value}, x_hat)."""
    tree, blobs, warps = set_codec.read(blob)
    shared = (len(blob) - sum(map(len, blobs))) / len(blobs)
    found = {}
    start = time.perf_counter()
    for index, x_hat, error in set_codec.iterate(model, tree, blobs, warps, max_pixels, originals=references):
        seconds = time.perf_counter() - start
        if error is not None:
            raise error
        x = images[index]
        bits_a_pixel = 8 / (x.shape[0] * x.shape[1])
        x_dec = model.decode(blobs[index], max_pixels)[0].round().clip(0, 255).astype("uint8")
        values = {
            "bpp": (len(blobs[index]) + shared) * bits_a_pixel,
            "bpp-payload": sum(bitstream.inspect(blobs[index]).lengths) * bits_a_pixel,
            "psnr-codec": min(metrics.psnr(x, x_dec), anchor_points.PSNR_CAP_DB),
            "decode-s": seconds,
            **anchor_points.measure(x, x_hat, window),
        }
        found[index] = values, x_hat
        start = time.perf_counter()
    return [found[index] for index in range(len(images))]


def describe(blob):
    """What the file of a set says about itself, as text; needs no model."""
    header, blobs = image_sets.unpack(blob)
    tree = sets.unpack(header.tree, len(header.lengths))
    lines = [
        f"images      {len(header.lengths)}",
        f"tree        {len(header.tree)} bytes, root {tree.root}, depth {max(tree.depths)}",
        f"geometry    {len(header.geometry)} bytes",
    ]
    for index, length in enumerate(header.lengths):
        reference = "none" if tree.parents[index] == index else f"image {tree.parents[index]}"
        lines.append(f"image {index:<5d} {length} bytes, reference {reference}")
    where = "the images' files follow" if blobs is not None else "an index; the images' files are beside it"
    return "\n".join([*lines, f"whole file  {len(blob)} bytes, {where}"])
