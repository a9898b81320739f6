"""Training steps per second of the models, by number of channels.

    python -m eval.bench.training                                   # Ballé 2017 and 2018 at N = 192 and 64, 128x256
    python -m eval.bench.training --models=balle2017 --filters=32 --size=320x960

What is timed is the step alone, on one batch of noise that is in memory: forward, backward, optimiser. The loss is read
after each step, as in a run. The first two steps are not counted: they build the graph.
"""

import os
import time

import numpy as np
import tensorflow as tf
from absl import app, flags

from dsin_tf import models
from dsin_tf.training import fitting


def define_flags():
    """Defined when this is run, not when it is imported: the benchmarks share names."""
    flags.DEFINE_list("models", "balle2017,balle2018", "Models to time.")
    flags.DEFINE_list("filters", "192,64", "Channels N.")
    flags.DEFINE_string("size", "128x256", "HEIGHTxWIDTH of the images in pixels.")
    flags.DEFINE_integer("batch_size", 1, "Images in a step.", lower_bound=1)
    flags.DEFINE_float("seconds", 20.0, "How long each rate is measured, in seconds.", lower_bound=0.0)


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected argument {argv[1]!r}; every setting is a flag (--name=value).")
    size = tuple(int(side) for side in flags.FLAGS.size.split("x"))
    devices = [device.device_type for device in tf.config.list_physical_devices()]
    print(f"batches of {flags.FLAGS.batch_size}, {flags.FLAGS.size}, {', '.join(devices)}, {os.cpu_count()} processors")
    print(f"{'model':12}{'N':>5}{'steps/s':>10}{'s/step':>10}")
    for name in flags.FLAGS.models:
        for filters in map(int, flags.FLAGS.filters):
            rate = measure(name, filters, size, flags.FLAGS.batch_size, flags.FLAGS.seconds)
            print(f"{name:12}{filters:5}{rate:10.2f}{1 / rate:10.3f}", flush=True)


def measure(name, filters, size, batch_size, seconds):
    """Steps per second of a model.

    Args:
      name: of `dsin_tf.models.names()`.
      filters: N.
      size: (height, width) of the images.
      batch_size: images a step.
      seconds: measure at least this long.

    Returns:
      The rate, a float.
    """
    model = models.create(name, "paper", filters=filters, distortion="mse", lmbda=8e-4)
    fitting.compile_model(model, fitting.Config(steps=1))
    batch = np.random.default_rng(0).integers(0, 256, (batch_size, *size, 3), dtype=np.uint8)
    batches = iter(tf.data.Dataset.from_tensors(batch).repeat())
    step = model.make_train_function()
    for _ in range(2):
        step(batches)
    count, start = 0, time.perf_counter()
    while count == 0 or time.perf_counter() - start < seconds:
        float(step(batches)["loss"])
        count += 1
    return count / (time.perf_counter() - start)


if __name__ == "__main__":
    define_flags()
    app.run(main)
