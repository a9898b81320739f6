"""Pairs per second that the tf.data pipeline delivers from KITTI-sized PNGs, for each protocol, cached and not.

    python -m eval.bench.data_pipeline
    python -m eval.bench.data_pipeline --data_dir=DIR          # a folder of pairs, for example of KITTI's own

"Cached" is the rate from the second epoch on, when every decoded image is in memory; "read" is the rate when each
is decoded again. Without --data_dir the images are made here: smooth shapes with the grain of a camera, which
PNG packs about as well as KITTI's; they decode about twice as fast, so measure real ones where you have them.
"""

import os
import tempfile
import time
from pathlib import Path

import numpy as np
from absl import app, flags, logging

from dsin_tf import data, images

_SIZE = (375, 1242)


def define_flags():
    """Defined when this is run, not when it is imported: the benchmarks share names."""
    flags.DEFINE_string("data_dir", None, "Folder of pairs (see data set 'pairs'); none makes images here.")
    flags.DEFINE_string("split", "train", "Part of the folder, where it has parts.")
    flags.DEFINE_integer("pairs", 24, "Pairs in the list.", lower_bound=1)
    flags.DEFINE_float("seconds", 5.0, "How long each rate is measured, in seconds.", lower_bound=0.0)
    flags.DEFINE_integer("batch_size", 1, "Pairs in a batch.", lower_bound=1)
    flags.DEFINE_integer("workers", None, "Images decoded at once; none means one a processor.", lower_bound=1)


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected argument {argv[1]!r}; every setting is a flag (--name=value).")
    logging.set_verbosity(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        if flags.FLAGS.data_dir is None:
            make_pairs(folder, flags.FLAGS.pairs)
        source = data.load("pairs", flags.FLAGS.split, flags.FLAGS.data_dir or folder, limit=flags.FLAGS.pairs)
        print(
            f"{len(source)} pairs, batches of {flags.FLAGS.batch_size}, {flags.FLAGS.workers or os.cpu_count()} workers"
        )
        print(f"{'protocol':10}{'read':>12}{'cached':>12}   pairs/s")
        for name in data.protocols.names():
            rates = [
                measure(
                    source,
                    data.protocols.get(name),
                    memory_mb,
                    flags.FLAGS.seconds,
                    flags.FLAGS.batch_size,
                    flags.FLAGS.workers,
                )
                for memory_mb in (0, 8192)
            ]
            print(f"{name:10}{rates[0]:12.1f}{rates[1]:12.1f}", flush=True)


def measure(source, protocol, memory_mb, seconds, batch_size=1, workers=None):
    """Pairs per second of `data.pipeline.train` after its first epoch.

    Args:
      source: a source of pairs.
      protocol: a `protocols.Protocol`.
      memory_mb: memory for decoded images, in MiB; 0 reads every image every time.
      seconds: measure at least this long.
      batch_size, workers: as of `data.pipeline.train`.

    Returns:
      The rate, a float.
    """
    batches = data.pipeline.train(source, protocol, batch_size, seed=0, memory_mb=memory_mb, workers=workers)
    batches = iter(batches)
    for _ in range(-(-len(source) // batch_size) + 4):  # 4: what prefetching may have ready before the clock starts
        next(batches)
    count, start = 0, time.perf_counter()
    while count == 0 or time.perf_counter() - start < seconds:
        next(batches)
        count += batch_size
    return count / (time.perf_counter() - start)


def make_pairs(folder, count, size=_SIZE):
    """Writes `count` pairs of PNGs, left/NNNNNN.png and right/NNNNNN.png, of `size` (height, width)."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    for k in range(count):
        rng = np.random.default_rng(k)
        for side, shift in (("left", 0), ("right", 20)):
            waves = [60 * np.sin((rows * a + (columns + shift) * b) / 90 + c) for a, b, c in rng.uniform(-1, 1, (3, 3))]
            image = 128 + np.stack(waves, axis=-1) + rng.normal(0, 6, (*size, 3))
            images.write(Path(folder) / side / f"{k:06d}.png", images.to_uint8(image))


if __name__ == "__main__":
    define_flags()
    app.run(main)
