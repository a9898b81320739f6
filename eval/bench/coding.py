"""Time to compress and to decompress an image, by model, and what the integer hyper synthesis costs.

    python -m eval.bench.coding                                         # Ballé 2017 and 2018 at N = 192, 320x1224
    python -m eval.bench.coding --workdir=runs/balle2018/lmbda_0.0008   # a trained model that is ready to code

The image is a rendered one. "hyper" is the hyper synthesis, in integers and as the float network that it stands for;
"more bits" is what choosing the tables with its integers adds to the file. Models without --workdir are untrained: only
their times mean something. Each time is the median of --repeats.
"""

import os
import statistics
import time

import numpy as np
from absl import app, flags

from dsin_tf import data, models
from dsin_tf.entropy import hyperprior


def define_flags():
    """Defined when this is run, not when it is imported: the benchmarks share names."""
    flags.DEFINE_list("models", "balle2017,balle2018", "Models to time.")
    flags.DEFINE_integer("filters", 192, "Channels N.", lower_bound=1)
    flags.DEFINE_string("workdir", None, "Folder of a trained model, to be timed in place of --models.")
    flags.DEFINE_string("size", "320x1224", "HEIGHTxWIDTH of the image in pixels.")
    flags.DEFINE_integer("repeats", 5, "How often each is timed.", lower_bound=1)


def main(argv):
    x = picture(argv)
    print(f"{flags.FLAGS.size}, {os.cpu_count()} processors")
    columns = ("bpp", "encode s", "decode s", "hyper ms", "float ms", "more bits")
    print(f"{'model':12}{'N':>5}" + "".join(f"{column:>11}" for column in columns))
    for name in flags.FLAGS.models if flags.FLAGS.workdir is None else [None]:
        model = trained_or_untrained(name, filters=flags.FLAGS.filters)
        found = measure(model, x, flags.FLAGS.repeats)
        numbers = [f"{found['bpp']:.4f}", f"{found['encode']:.3f}", f"{found['decode']:.3f}"]
        if "hyper" in found:
            numbers += [f"{1e3 * found['hyper']:.1f}", f"{1e3 * found['float']:.1f}", f"{100 * found['more']:+.3f} %"]
        numbers += ["–"] * (len(columns) - len(numbers))
        print(f"{model.name:12}{model.settings['filters']:5}" + "".join(f"{n:>11}" for n in numbers), flush=True)


def picture(argv):
    """The rendered picture, uint8 `[H, W, 3]` of --size, that is coded."""
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected argument {argv[1]!r}; every setting is a flag (--name=value).")
    size = tuple(int(side) for side in flags.FLAGS.size.split("x"))
    return data.load("street", "test", size=size, limit=1).read_x(0)


def trained_or_untrained(name, **settings):
    """The model in --workdir, or else an untrained one of preset paper, ready to code."""
    if flags.FLAGS.workdir is not None:
        return models.load(flags.FLAGS.workdir)
    model = models.create(name, "paper", **settings)
    model.prepare_for_coding()
    return model


def measure(model, x, repeats):
    """What coding takes.

    Args:
      model: prepared for coding.
      x: uint8 `[H, W, 3]`.
      repeats: how often each is timed.

    Returns:
      A dict of seconds, `encode` and `decode`, and `bpp` of the file; with a hyperprior also seconds of the hyper
      synthesis in integers, `hyper`, and in floats, `float`, and `more`, bits of y with the first over bits with the
      second, less 1.
    """
    blob = model.compress(x)
    found = {
        "bpp": 8 * len(blob) / x[..., 0].size,
        "encode": median(lambda: model.compress(x), repeats),
        "decode": median(lambda: model.decompress(blob), repeats),
    }
    if "exact_scales" in model.coding_parts:
        _, latents = model.decode_latents(blob)
        y, z = (latents[name].numpy().astype(np.int32)[0] for name in ("y", "z"))
        found["hyper"] = median(lambda: model.coder.exact_scales(z), repeats)
        found["float"] = median(lambda: model.hyper_synthesis(latents["z"]).numpy(), repeats)
        sigma = model.hyper_synthesis(latents["z"]).numpy()[0]
        nearest = np.searchsorted(np.sqrt(hyperprior.SCALES[:-1] * hyperprior.SCALES[1:]), sigma)
        tables = model.coder.scale_tables.tables
        exact_bits, float_bits = (tables.bits(y, indexes).sum() for indexes in (model.coder.exact_scales(z), nearest))
        found["more"] = exact_bits / float_bits - 1
    return found


def median(function, repeats):
    """Seconds that a call takes, after one that is not counted."""
    function()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


if __name__ == "__main__":
    define_flags()
    app.run(main)
