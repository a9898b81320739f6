"""Time to code the latents of an image with the 2-D context model, and what its bytes are to its estimate.

    python -m eval.bench.context2d                                  # lee2019 as published, untrained, 320x1224
    python -m eval.bench.context2d --context=none                   # with means and scales from the hyperprior alone
    python -m eval.bench.context2d --workdir=runs/lee2019/rate      # a trained model that is ready to code

The image is a rendered one. "encode" and "decode" are the latents' way to bytes and back alone, hyper latents included;
the two networks around them stand beside, and so does "estimate s", the whole model without bytes. "other means" is the
share of latents that integers put around another 64th than floats do. An untrained model's rates mean nothing, but
that estimate and payload agree. Each time is the median of --repeats.
"""

import os

import numpy as np
from absl import app, flags

from dsin_tf.models import lee2019
from eval.bench import coding


def define_flags():
    """Defined when this is run, not when it is imported: the benchmarks share names."""
    flags.DEFINE_string("workdir", None, "Folder of a trained model; by default an untrained lee2019 is timed.")
    flags.DEFINE_enum("context", "ar", lee2019.CONTEXTS, "Context model of the untrained one.")
    flags.DEFINE_string("size", "320x1224", "HEIGHTxWIDTH of the image in pixels.")
    flags.DEFINE_integer("repeats", 5, "How often each is timed.", lower_bound=1)


def main(argv):
    x, model = coding.picture(argv), coding.trained_or_untrained("lee2019", context=flags.FLAGS.context)
    found = measure(model, x, flags.FLAGS.repeats)
    name = "-".join(filter(None, (model.name, model.variant)))
    print(f"{name}, {flags.FLAGS.size}, {found['latents']} latents, {os.cpu_count()} processors")
    print(f"encode      {found['encode']:6.2f} s    analysis   {found['analysis']:6.2f} s")
    print(f"decode      {found['decode']:6.2f} s    synthesis  {found['synthesis']:6.2f} s")
    print(f"estimate    {found['float']:6.2f} s    {100 * found['other_means']:.2f} % other means")
    pixels = x[..., 0].size
    more = 100 * (found["payload"] / found["estimate"] - 1)
    print(f"estimate    {found['estimate'] / pixels:.5f} bpp")
    print(f"payload     {found['payload'] / pixels:.5f} bpp    {more:+.3f} %")


def measure(model, x, repeats):
    """What coding takes.

    Args:
      model: a `lee2019.Lee2019`, prepared for coding.
      x: uint8 `[H, W, 3]`.
      repeats: how often each is timed.

    Returns:
      A dict: seconds `encode` and `decode` of the latents, `analysis` and `synthesis` of the networks, `float` of the
      model without bytes; `latents`, how many; bits of them all by the float network, `estimate`, and in bytes,
      `payload`; `other_means`, the share of latents that are not the same in both ways.
    """
    y = model.analyze(x)
    strings = model.coder.compress(y, model.symbols)

    def decode():
        return model.coder.decompress(strings, lambda cell: tuple(16 * side // cell for side in y.shape[1:3]))

    decoded = decode()["latents"]
    if np.abs(decoded - y[0]).max() > 0.501:
        raise RuntimeError(f"{decoded.size} latents are not decoded to what is nearest to them. The coder is broken.")
    out = model(x[None])
    return {
        "encode": coding.median(lambda: model.coder.compress(y, model.symbols), repeats),
        "decode": coding.median(decode, repeats),
        "analysis": coding.median(lambda: model.analyze(x), repeats),
        "synthesis": coding.median(lambda: model.synthesize(decoded[None].astype(np.float32)).numpy(), repeats),
        "float": coding.median(lambda: model(x[None]), repeats),
        "latents": decoded.size,
        "estimate": float(out["bpp_estimated"][0]) * x[..., 0].size,
        "payload": 8 * sum(map(len, strings)),
        "other_means": float(np.mean(decoded != out["y"][0])),
    }


if __name__ == "__main__":
    define_flags()
    app.run(main)
