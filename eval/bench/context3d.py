"""Time to code the symbols of an image with the 3-D context model, and what its bytes are to its estimate.

    python -m eval.bench.context3d                                  # CPM as published, untrained, 320x1224
    python -m eval.bench.context3d --workdir=runs/dsin/bpp_0.02     # a trained model that is ready to code

The image is a rendered one. "encode" and "decode" are the symbols' way to bytes and back alone; the two networks around
them stand beside. "integers" is what the bytes should be by the integers' probabilities; "masked" are the symbols that
the importance map leaves nothing of. An untrained model's rates mean nothing, but that the three agree. Each time is
the median of --repeats.
"""

import os

import numpy as np
import tensorflow as tf
from absl import app, flags

from eval.bench import coding


def define_flags():
    """Defined when this is run, not when it is imported: the benchmarks share names."""
    flags.DEFINE_string("workdir", None, "Folder of a trained model of centres; by default an untrained cpm is timed.")
    flags.DEFINE_string("size", "320x1224", "HEIGHTxWIDTH of the image in pixels.")
    flags.DEFINE_integer("repeats", 5, "How often each is timed.", lower_bound=1)


def main(argv):
    x, model = coding.picture(argv), coding.trained_or_untrained("cpm")
    found = measure(model, x, flags.FLAGS.repeats)
    print(f"{model.name}, {flags.FLAGS.size}, {found['symbols']} symbols, {os.cpu_count()} processors")
    print(f"encode    {found['encode']:6.2f} s    analysis  {found['analysis']:6.2f} s")
    print(f"decode    {found['decode']:6.2f} s    synthesis {found['synthesis']:6.2f} s")
    pixels = x[..., 0].size
    estimate = found["estimate"]
    print(f"estimate  {estimate / pixels:.5f} bpp")
    for name in ("integers", "payload"):
        print(f"{name:9} {found[name] / pixels:.5f} bpp, {100 * (found[name] / estimate - 1):+.3f} %")
    share = found["masked"] / found["symbols"]
    print(f"masked    {100 * share:.1f} % of the symbols, {100 * found['masked_bits'] / estimate:.2f} % of the bits")


def measure(model, x, repeats):
    """What coding the symbols of an image takes.

    Args:
      model: a `cpm.CPM`, prepared for coding.
      x: uint8 `[H, W, 3]`.
      repeats: how often each is timed.

    Returns:
      A dict: seconds `encode` and `decode` of the symbols, `analysis` and `synthesis` of the networks; `symbols`, how
      many; bits of them all by the float network, `estimate`, by the integers, `integers`, and in bytes, `payload`;
      `masked`, how many symbols have a mask of 0, and `masked_bits`, what these cost by the estimate.
    """
    symbols = model.analyze(x)
    string = model.context.compress(symbols)
    if not np.array_equal(model.context.decompress(string, symbols.shape), symbols):
        raise RuntimeError(f"{len(string)} bytes of {symbols.size} symbols do not decode to them. The coder is broken.")
    code = model.encode(tf.constant(x)[None])
    cost, masked = code["bit_cost"].numpy(), code["mask"].numpy() == 0
    return {
        "encode": coding.median(lambda: model.context.compress(symbols), repeats),
        "decode": coding.median(lambda: model.context.decompress(string, symbols.shape), repeats),
        "analysis": coding.median(lambda: model.analyze(x), repeats),
        "synthesis": coding.median(lambda: model.reconstruct(symbols[None]).numpy(), repeats),
        "symbols": symbols.size,
        "estimate": float(cost.sum()),
        "integers": model.context.bits(symbols),
        "payload": 8 * len(string),
        "masked": int(masked.sum()),
        "masked_bits": float(cost[masked].sum()),
    }


if __name__ == "__main__":
    define_flags()
    app.run(main)
