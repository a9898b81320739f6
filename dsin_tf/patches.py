"""Cutting images into patches that touch and do not overlap, and putting them together again.

Where a side does not divide by the patch's, the image is first extended by zeros to the next multiple: half of what is
missing, rounded down, above and on the left, the rest below and on the right. That is TensorFlow's rule "SAME".
"""

import numpy as np
import tensorflow as tf


def padding(side, patch):
    """Zeros `(before, after)` an image side of `side` pixels for patches of `patch`; integers or integer tensors."""
    missing = -side % patch
    return missing // 2, missing - missing // 2


def to_patches(image, patch_height, patch_width):
    """The patches of images, row by row.

    Args:
      image: `[N, H, W, C]`, array or tensor of any type and size.
      patch_height, patch_width: size of a patch in pixels.

    Returns:
      `[N, rows * columns, patch_height, patch_width, C]` of the same kind and type, with rows = ceil(H / patch_height),
      columns = ceil(W / patch_width).

    Raises:
      ValueError: not four axes, or a patch without pixels.
    """
    _check_axes(image, "image", "[N, H, W, C]")
    if min(patch_height, patch_width) < 1:
        raise ValueError(
            f"A patch is {patch_height}x{patch_width}; at least one pixel each way was expected. Use a larger patch."
        )
    library, (count, height, width, channels) = _library_and_shape(image)
    pads = [(0, 0), padding(height, patch_height), padding(width, patch_width), (0, 0)]
    image = library.pad(image, pads)
    rows, columns = -(-height // patch_height), -(-width // patch_width)
    image = library.reshape(image, (count, rows, patch_height, columns, patch_width, channels))
    image = library.transpose(image, (0, 1, 3, 2, 4, 5))
    return library.reshape(image, (count, rows * columns, patch_height, patch_width, channels))


def from_patches(patches, height, width):
    """Undoes `to_patches`.

    Args:
      patches: `[N, rows * columns, patch_height, patch_width, C]`, array or tensor.
      height, width: size of the images in pixels; what `to_patches` added is cut off.

    Returns:
      `[N, height, width, C]` of the same kind and type.

    Raises:
      ValueError: not five axes, or a number of patches that images of this size do not have.
    """
    _check_axes(patches, "patches", "[N, rows * columns, patch_height, patch_width, C]")
    library, (count, found, patch_height, patch_width, channels) = _library_and_shape(patches)
    rows, columns = -(-height // patch_height), -(-width // patch_width)
    if all(isinstance(number, int) for number in (found, rows, columns)) and found != rows * columns:
        raise ValueError(
            f"There are {found} patches; an image of {height}x{width} has {rows} x {columns} = {rows * columns} "
            f"patches of {patch_height}x{patch_width}. Give the height and width of the image that was cut."
        )
    image = library.reshape(patches, (count, rows, columns, patch_height, patch_width, channels))
    image = library.transpose(image, (0, 1, 3, 2, 4, 5))
    image = library.reshape(image, (count, rows * patch_height, columns * patch_width, channels))
    top, left = padding(height, patch_height)[0], padding(width, patch_width)[0]
    return image[:, top : top + height, left : left + width]


def _library_and_shape(value):
    """numpy or tensorflow, and the shape: integers where they are known, tensors where the graph learns them later."""
    if isinstance(value, np.ndarray):
        return np, value.shape
    dynamic = tf.shape(value)
    return tf, [dynamic[axis] if side is None else side for axis, side in enumerate(value.shape)]


def _check_axes(value, name, expected):
    if len(value.shape) != expected.count(",") + 1:
        raise ValueError(f"{name} has shape {tuple(value.shape)}, {expected} was expected. Add or drop an axis.")
