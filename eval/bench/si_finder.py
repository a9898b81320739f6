"""How long the SI-Finder takes beside the authors' formulation, how much memory, and whether the choices are the same.

    python -m eval.bench.si_finder                                              # Street pairs, 320x1224
    python -m eval.bench.si_finder --dataset=kitti_stereo_clean --data_dir=DIR  # the middle 320x1224 of KITTI's
    python -m eval.bench.si_finder --bpp=0 --nomask                             # undistorted images, no mask

The authors' formulation is written from the paper's formulas: float32, all patches as kernels of one convolution, all
scores and the mask of all in memory (6 GB at this size; --ways=conv,auto leaves it out). Its mask is made beforehand
and not timed. The ways take turns, pair by pair, after a round on the first pair that is not counted.

"peak" is the most memory of a process that does nothing else, as Linux knows it. "same" counts patches with the window
of the first way, usually the authors'. "short" counts patches whose window scores more than 1e-5 less, in double
precision, than what another way found.

What is compared in a decoder are decoded images. JPEG 2000 at --bpp stands in for them.
"""

import io
import multiprocessing
import os
import statistics
import time

import numpy as np
import tensorflow as tf
from absl import app, flags
from PIL import Image

from dsin_tf import data, layers, patches

PATCH = (20, 24)
MEAN = (93.70454143384742, 98.28243432206516, 94.84678088809876)
STD = (73.56493292844912, 75.88547006820752, 76.74838442810665)
WAYS = ("authors", "conv", "auto")


def define_flags():
    """Defined when this is run, not when it is imported: the benchmarks share names."""
    flags.DEFINE_string("dataset", "street", "Data set of pairs; the middle 320x1224 of each is used.")
    flags.DEFINE_string("data_dir", None, "Folder that holds it; Street needs none.")
    flags.DEFINE_integer("limit", 2, "How many pairs.", lower_bound=1)
    flags.DEFINE_integer("repeats", 3, "How often each way takes its turn on a pair.", lower_bound=1)
    flags.DEFINE_float("bpp", 0.1, "Rate of the distorted images that are compared; 0 compares undistorted ones.")
    flags.DEFINE_bool("mask", True, "Whether the Gaussian mask is on.")
    flags.DEFINE_list("ways", ",".join(WAYS), "Which ways to compare.")


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected argument {argv[1]!r}; every setting is a flag (--name=value).")
    options = flags.FLAGS
    unknown = [way for way in options.ways if way not in WAYS]
    if unknown or not options.ways:
        raise app.UsageError(f"--ways={','.join(options.ways)}: expected some of {','.join(WAYS)}.")
    where = {"size": (320, 1224)} if options.dataset.startswith("street") else {"partial": True}
    source = data.load(options.dataset, "test", data_dir=options.data_dir, limit=options.limit, **where)
    protocol = data.protocols.get("dsin")
    pairs = []
    for number in range(len(source)):
        pairs.append([distorted(protocol.evaluate(image), options.bpp) for image in source.read(number)[:2]])
    found = measure(pairs, options.mask, options.ways, options.repeats)
    what = "undistorted" if options.bpp == 0 else f"{options.bpp} bpp"
    mask = "with" if options.mask else "without"
    print(f"{len(pairs)} pairs of {options.dataset}, {what}, {mask} mask, {os.cpu_count()} processors")
    patch_count = found[options.ways[0]]["patches"]
    print(f"{'':10}{'seconds':>9}{'ratio':>8}{'peak MB':>9}{'same':>8}{'short':>7}  of {patch_count} patches")
    reference = found[options.ways[0]]["seconds"]
    for way, row in found.items():
        numbers = (
            f"{row['seconds']:9.2f}{reference / row['seconds']:8.2f}{peak(way, pairs[0], options.mask) / 2**20:9.0f}"
        )
        print(f"{way:10}{numbers}{row['same']:8}{row['short']:7}", flush=True)


def distorted(image, bpp):
    """`image`, uint8 `[H, W, 3]`, after JPEG 2000 at about `bpp` bits a pixel; at 0 the image."""
    if bpp == 0:
        return image
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG2000", quality_mode="rates", quality_layers=[24 / bpp], irreversible=True)
    return np.asarray(Image.open(buffer).convert("RGB"))


def measure(pairs, mask, ways=WAYS, repeats=1):
    """Times the ways in turns.

    Args:
      pairs: `(x_dec, y_dec)`, uint8 `[H, W, 3]` of one size, whose sides divide by the patch's.
      mask: whether the mask is on.
      ways: some of `WAYS`; the first is what the others are compared with.
      repeats: turns on each pair.

    Returns:
      For each way a dict: `seconds`, the median of a search; `same`, `short` and `patches`, counts.
    """
    pairs = [as_tensors(pair) for pair in pairs]
    searches = {way: search(way, pairs[0], mask) for way in ways}
    for run in searches.values():
        run(*pairs[0])
    found = {way: {"seconds": [], "same": 0, "short": 0, "patches": 0} for way in ways}
    for pair in pairs:
        for _ in range(repeats):
            chosen = {}
            for way, run in searches.items():
                start = time.perf_counter()
                match = run(*pair)
                chosen[way] = np.stack([match[0].numpy()[0], match[1].numpy()[0]], axis=1)
                found[way]["seconds"].append(time.perf_counter() - start)
        scores = {way: exact_scores(*pair, windows, mask) for way, windows in chosen.items()}
        best = np.max(list(scores.values()), axis=0)
        for way, row in found.items():
            row["same"] += int((chosen[way] == chosen[ways[0]]).all(axis=1).sum())
            row["short"] += int((scores[way] < best - 1e-5).sum())
            row["patches"] += len(best)
    for row in found.values():
        row["seconds"] = statistics.median(row["seconds"])
    return found


def search(way, pair, mask):
    """A function from x_dec and y_dec, of the size of `pair`, to rows and columns of the windows, `[1, P]` each."""
    if way != "authors":
        return layers.SIFinder(PATCH, mask=mask, method=way).match
    weights = all_masks(*pair[0].shape[1:3]) if mask else None
    return lambda x_dec, y_dec: authors(x_dec, y_dec, weights)


def as_tensors(pair):
    """Float32 `[1, H, W, 3]` of uint8 `[H, W, 3]`."""
    return [tf.constant(image[None], tf.float32) for image in pair]


def peak(way, pair, mask):
    """The most memory that a fresh process takes for one search, in bytes."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_peak_here, (way, pair, mask))


def _peak_here(way, pair, mask):
    tensors = as_tensors(pair)
    search(way, tensors, mask)(*tensors)
    with open("/proc/self/status") as file:  # not getrusage: what that says begins with the parent's memory
        return 1024 * next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))


@tf.function(reduce_retracing=True)
def authors(x_dec, y_dec, weights=None):
    """Rows and columns `[1, P]` of the best windows, by the paper's formulas as they stand.

    Args:
      x_dec, y_dec: float32 `[1, H, W, 3]`.
      weights: the masks of all patches, `[R, S, P]`, or None.
    """
    height, width = PATCH
    count = 3.0 * height * width
    x = transformed(patches.to_patches(x_dec, height, width)[0])
    y = transformed(y_dec)
    ones = tf.ones([height, width, 3, 1])
    sum_xy = tf.nn.conv2d(y, tf.transpose(x, (1, 2, 3, 0)), 1, "VALID")[0]
    sum_y = tf.nn.conv2d(y, ones, 1, "VALID")[0]
    sum_yy = tf.nn.conv2d(y * y, ones, 1, "VALID")[0]
    sum_x, sum_xx = tf.reduce_sum(x, axis=(1, 2, 3)), tf.reduce_sum(x * x, axis=(1, 2, 3))
    mean_x, mean_y = sum_x / count, sum_y / count
    numerator = sum_xy - mean_y * sum_x - mean_x * sum_y + count * mean_x * mean_y
    spread_x = sum_xx - 2 * mean_x * sum_x + count * mean_x * mean_x
    spread_y = sum_yy - 2 * mean_y * sum_y + count * mean_y * mean_y
    scores = numerator / tf.sqrt(spread_x * spread_y)
    if weights is not None:
        scores *= weights
    across = tf.shape(scores)[1]
    best = tf.argmax(tf.reshape(scores, [-1, tf.shape(scores)[2]]), axis=0, output_type=tf.int32)[None]
    return best // across, best % across


def transformed(image):
    """The colour transform; of tensors and arrays in their own precision."""
    channels = [(image[..., k] - MEAN[k]) / STD[k] for k in range(3)]
    stack = np.stack if isinstance(image, np.ndarray) else tf.stack
    return stack([channels[0] + channels[1], channels[0] - channels[1], 0.5 * (channels[0] + channels[2])], axis=-1)


def all_masks(height, width):
    """The Gaussians of all patches of an image, float32 `[R, S, P]`."""
    rows, columns = (gaussians(*sides).astype(np.float32) for sides in zip((height, width), PATCH))
    return tf.reshape(tf.einsum("ri,sj->rsij", rows, columns), [len(rows), len(columns), -1])


def gaussians(side, patch):
    """One axis of the masks, `[windows, patches]`."""
    corner = np.arange(side - patch + 1)[:, None] + patch // 2 - 1
    centre = (np.arange(side // patch) + 0.5) * patch
    return np.exp(-4 * np.log(2) * ((corner - centre) / (0.5 * side)) ** 2)


def exact_scores(x_dec, y_dec, windows, mask):
    """Scores in double precision of one window `(row, column)` for each patch: `[P]`."""
    height, width = PATCH
    x = transformed(patches.to_patches(x_dec.numpy().astype(np.float64), height, width)[0])
    image = transformed(y_dec.numpy().astype(np.float64)[0])
    y = np.stack([image[row : row + height, column : column + width] for row, column in windows])
    x, y = (part.reshape(len(x), -1) - part.mean(axis=(1, 2, 3))[:, None] for part in (x, y))
    norms = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    scores = (x * y).sum(axis=1) / np.where(norms > 0, norms, 1)
    if mask:
        rows, columns = (gaussians(*sides) for sides in zip(image.shape[:2], PATCH))
        in_row, in_column = np.divmod(np.arange(len(windows)), columns.shape[1])
        scores *= rows[windows[:, 0], in_row] * columns[windows[:, 1], in_column]
    return scores


if __name__ == "__main__":
    define_flags()
    app.run(main)
