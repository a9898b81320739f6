"""Stereo pairs per second that Street renders, at several sizes, on one core.

    python -m eval.bench.street
    python -m eval.bench.street --sizes=128x256,320x1224 --pairs=10

Each pair is another scene, so the time includes laying it out and its shadows. What a process does once, making
the textures, is measured apart.
"""

import os
import time

from absl import app, flags

from dsin_tf.data.street import Moment, Scene


def define_flags():
    """Defined when this is run, not when it is imported: the benchmarks share names."""
    flags.DEFINE_list("sizes", ["128x256", "320x1224", "375x1242"], "Sizes of the pictures, HEIGHTxWIDTH pixels.")
    flags.DEFINE_integer("pairs", 8, "Pairs that each rate is measured over.", lower_bound=1)


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected argument {argv[1]!r}; every setting is a flag (--name=value).")
    sizes = [parse_size(text) for text in flags.FLAGS.sizes]
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    start = time.perf_counter()
    Moment(Scene(0, 0), (16, 32)).left()
    print(f"first picture of a process (16x32): {time.perf_counter() - start:.2f} s")
    print(f"{'size':>10}{'s/pair':>10}{'pairs/s':>10}")
    for size in sizes:
        seconds = measure(size, flags.FLAGS.pairs)
        print(f"{size[0]:>5}x{size[1]:<4}{seconds:10.3f}{1 / seconds:10.2f}", flush=True)


def parse_size(text):
    """(height, width) from "HEIGHTxWIDTH"."""
    parts = text.split("x")
    if len(parts) != 2 or not all(part.isdecimal() and int(part) for part in parts):
        raise app.UsageError(f"--sizes has {text!r}; HEIGHTxWIDTH in pixels was expected, for example 128x256.")
    return int(parts[0]), int(parts[1])


def measure(size, count):
    """Seconds a stereo pair of `size` (height, width) takes, the mean over `count` scenes."""
    start = time.perf_counter()
    for index in range(count):
        moment = Moment(Scene(0, index), size)
        moment.left()
        moment.right()
    return (time.perf_counter() - start) / count


if __name__ == "__main__":
    define_flags()
    app.run(main)
