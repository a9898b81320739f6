"""Networks over images that are too large to be computed at once."""

import tensorflow as tf

_LARGEST = 2**21  # pixels of an image, on the larger side of the network, that is computed at once
_STRIP = 2**19  # pixels of a strip, about


def in_strips(network, x, factor, halo, multiple=1):
    """`network(x)`; of a large image a strip at a time, across its longer side, so that memory hardly grows with it.

    The result is that of the whole image, but for the order in which floats are added up.

    Args:
      network: convolutions with zeros outside and what works point by point; `[1, h, w, C]` to
        `[1, h * factor, w * factor, C']`.
      x: `[1, h, w, C]`.
      factor: by how much the network makes its input larger. Below 1, smaller: 1 / factor then divides h, w and halo.
      halo: rows or columns of x to either side that an output can depend on.
      multiple: strips begin at multiples of it, for networks that make images smaller inside; it divides halo.
    """
    height, width = x.shape[1], x.shape[2]
    pixels_each = max(factor, 1) ** 2
    if height * width * pixels_each <= _LARGEST:
        return network(x)
    axis, length, across = (1, height, width) if height >= width else (2, width, height)
    unit = max(round(1 / factor), multiple)
    size = max(round(_STRIP / (across * pixels_each * unit)), 1) * unit
    parts = []
    for first in range(0, length, size):
        last, start = min(first + size, length), max(first - halo, 0)
        part = network(_cut(x, axis, start, min(last + halo, length)))
        parts.append(_cut(part, axis, round((first - start) * factor), round((last - start) * factor)))
    return tf.concat(parts, axis=axis)


def _cut(x, axis, start, end):
    return x[:, start:end] if axis == 1 else x[:, :, start:end]
