"""SI-Finder: a side image put together from the parts of y that look most like the parts of x.

Ayzik and Avidan, "Deep Image Compression using Decoder Side Information", ECCV 2020,
https://arxiv.org/abs/2001.04753, section 3.2. Symbols: `x_dec`, `y_dec` decoded images, `y` the side information as it
is, `y_syn` the result. x_dec is cut into patches that do not overlap; for each the window of y_dec with the highest
Pearson correlation is found, and what y shows there becomes that part of y_syn.

As in the released code:

- Correlation is taken over all 20 x 24 x 3 values of a patch at once, with one mean for the three channels, after the
  colour transform H1 = R + G, H2 = R - G, H3 = (R + B) / 2 of the normalised channels. (The paper's reference for the
  transform has another H3, and so has a comment in the released code.)
- The mask is a Gaussian whose full widths at half maximum are half the image's sides, although the paper calls that
  its variance. Its peak lies one pixel below and to the right of the patch's own place.
- Sides that do not divide are extended by zeros; see `dsin_tf.patches`.

The paper copies the window from y (`fetch="copy"`); the released code crops and resizes bilinearly, which stretches it
by about 5 % (`fetch="resample"`).

Ours, where the release leaves it open or fails:

- A patch or a window whose 1440 values have a standard deviation below 0.001 (under a tenth of a grey level: a constant
  mid grey; white or black is no such case, since the three channels differ) has no correlation. Such a window is never
  chosen, and such a patch takes the window at its own place, with score 0; so does any where no window is left.
- With the mask the release needs sides that divide. Here each patch's mask is centred on the patch where it lies in the
  image that was not extended, with that image's sides as its measure: for sides that divide, the same.
- The own place of a patch that reaches out of the image is the nearest window inside.
"""

import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from dsin_tf import patches
from dsin_tf.layers import si_search

FETCHES = ("copy", "resample")
METHODS = ("auto", "conv")
DISTANCES = ("pearson", "l2_lab", "l2_lab_released")

# Of KITTI, on the scale 0 ... 255: what the release normalises with.
_MEAN = (93.70454143384742, 98.28243432206516, 94.84678088809876)
_STD = (73.56493292844912, 75.88547006820752, 76.74838442810665)
FLAT = 1e-3  # standard deviation of transformed values below which there is nothing to correlate

# Linear sRGB to XYZ, and its white, as in dsin_tf.color.
_RGB_TO_XYZ = ((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227))


class Match(NamedTuple):
    """The window chosen for each patch, patches in raster order.

    Attributes:
      rows, columns: int32 `[N, patches]`, the window's upper left corner in y.
      score: float32 `[N, patches]`: correlation, times the mask if there is one; with an L2 distance, less the sum of
        squared differences.
    """

    rows: tf.Tensor
    columns: tf.Tensor
    score: tf.Tensor


class SIFinder(tf.keras.layers.Layer):
    """`y_syn = finder(x_dec, y_dec, y)`, images `[N, H, W, 3]` on the scale 0 ... 255, of one size, any size.

    It has no weights, and no gradient passes.

    Args:
      patch_size: (height, width) of a patch in pixels.
      mask: favour windows near the patch's own place, by a Gaussian. Not for L2 distances: a mask times a distance
        would favour what is far.
      fetch: "copy" takes the window as it is (the paper), "resample" crops and resizes (the released code).
      method: "conv" correlates every patch with every window, patches as the kernels of convolutions. "auto" finds the
        same windows, sooner, by ruling most of them out; where two scores differ by less than 1e-5 it may choose
        the other. Distances other than "pearson" are always computed by convolution.
      distance: "pearson"; "l2_lab", the least squared difference in CIE Lab; or "l2_lab_released", the same with
        0 ... 255 put into formulas for 0 ... 1, as the released code has it.

    Raises:
      ValueError: a setting that does not exist, or a mask with an L2 distance.
    """

    def __init__(
        self, patch_size=(20, 24), mask=True, fetch="copy", method="auto", distance="pearson", name=None, **kwargs
    ):
        # Without autocast=False, mixed precision would round images to float16 before they are compared.
        super().__init__(name=name, **{"trainable": False, "autocast": False, **kwargs})
        _check_one_of("fetch", fetch, FETCHES)
        _check_one_of("method", method, METHODS)
        _check_one_of("distance", distance, DISTANCES)
        if mask and distance != "pearson":
            raise ValueError(
                f"mask is {mask!r} with distance {distance!r}; the mask weighs correlations and would favour "
                "far windows if it weighed distances. Use mask=False."
            )
        self.patch_size, self.mask, self.fetch = _checked_patch_size(patch_size), bool(mask), fetch
        self.method, self.distance = method, distance

    def get_config(self):
        """The constructor's arguments."""
        settings = ("patch_size", "mask", "fetch", "method", "distance")
        return {**super().get_config(), **{name: getattr(self, name) for name in settings}}

    def call(self, x_dec, y_dec, y):
        """`y_syn`, float32 `[N, H, W, 3]`."""
        x_dec, y_dec, y = _checked_images(self.patch_size, x_dec=x_dec, y_dec=y_dec, y=y)
        return tf.stop_gradient(self.synthesize(self.match(x_dec, y_dec), y))

    def match(self, x_dec, y_dec):
        """Where in y_dec each patch of x_dec is found: a `Match`."""
        x_dec, y_dec = _checked_images(self.patch_size, x_dec=x_dec, y_dec=y_dec)
        found = tf.map_fn(
            lambda pair: tuple(self._match_one(*pair)),
            (tf.stop_gradient(x_dec), tf.stop_gradient(y_dec)),
            parallel_iterations=1,
            fn_output_signature=(tf.TensorSpec([None], tf.int32),) * 2 + (tf.TensorSpec([None], tf.float32),),
        )
        return Match(*found)

    def synthesize(self, match, y):
        """The side image that a match makes of y.

        Args:
          match: from `match`.
          y: `[N, H, W, 3]`, of the size that was searched.

        Returns:
          float32 `[N, H, W, 3]`.
        """
        (y,) = _checked_images(self.patch_size, y=y)
        height, width = tf.shape(y)[1], tf.shape(y)[2]
        windows = (_resampled if self.fetch == "resample" else _copied)(y, match.rows, match.columns, self.patch_size)
        y_syn = patches.from_patches(windows, height, width)
        y_syn.set_shape(y.shape)
        return y_syn

    @tf.function(input_signature=(tf.TensorSpec([None, None, 3]),) * 2, autograph=False)
    def _match_one(self, x_dec, y_dec):
        """Rows, columns and scores `[P]` of one pair."""
        if self.distance == "pearson":
            return _match_by_correlation(self, x_dec, y_dec)
        problem, squares = _l2(self, x_dec, y_dec)
        best = si_search.by_convolution(problem)
        return best.row, best.column, best.score - squares


def _check_one_of(name, value, allowed):
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}; expected one of: {', '.join(allowed)}.")


def _checked_patch_size(patch_size):
    try:
        height, width = (int(side) for side in patch_size)
        correct = (height, width) == tuple(patch_size) and min(height, width) >= 1 and height * width > 1
    except (TypeError, ValueError):
        correct = False
    if not correct:
        raise ValueError(
            f"patch_size is {patch_size!r}; two whole numbers (height, width), together at least 2 pixels, "
            "were expected. The paper has (20, 24)."
        )
    return height, width


def _checked_images(patch_size, **named):
    """The images as float32 tensors, known to be of one shape as far as it is known at all."""
    tensors = {name: tf.cast(value, tf.float32) for name, value in named.items()}
    first_name, first = next(iter(tensors.items()))
    for name, tensor in tensors.items():
        shape = tensor.shape
        if shape.rank != 4 or shape[3] != 3:
            raise ValueError(f"{name} has shape {shape}; [N, H, W, 3] was expected. Add the missing axis.")
        if not shape.is_compatible_with(first.shape):
            raise ValueError(
                f"{name} has shape {shape}, {first_name} {first.shape}; images of one size were expected. "
                "Crop or pad them to the same size."
            )
        for side, patch_side in zip(shape[1:3], patch_size):
            if side is not None and side < patch_side:
                raise ValueError(
                    f"{name} has shape {shape}; at least one patch of {patch_size[0]}x{patch_size[1]} was expected "
                    "to fit. Use larger images or a smaller patch_size."
                )
    return tensors.values()


def _match_by_correlation(finder, x_dec, y_dec):
    """Rows, columns and scores `[P]`, where there is none those of the patch's own place."""
    problem = _pearson(finder, x_dec, y_dec)
    best = si_search.by_pruning(problem) if finder.method == "auto" else si_search.by_convolution(problem)
    found = tf.math.is_finite(best.score) & tf.reduce_any(problem.patches != 0, axis=(1, 2, 3))
    rows, columns = tf.meshgrid(problem.home_rows, problem.home_columns, indexing="ij")
    return (
        tf.where(found, best.row, tf.reshape(rows, [-1])),
        tf.where(found, best.column, tf.reshape(columns, [-1])),
        tf.where(found, best.score, 0),
    )


def _pearson(finder, x_dec, y_dec):
    """Pearson correlation as a search problem; patches that have none are zero."""
    height, width = finder.patch_size
    cut = transformed(patches.to_patches(x_dec[None], height, width)[0])
    cut -= tf.reduce_mean(cut, axis=(1, 2, 3), keepdims=True)
    squares = tf.reduce_sum(cut * cut, axis=(1, 2, 3), keepdims=True)
    count = 3 * height * width
    cut = tf.where(squares > count * FLAT**2, cut * tf.math.rsqrt(squares), 0)

    # Not shifted: windows of little contrast are greyish here, so near zero already, which keeps rounding small.
    image = transformed(y_dec)
    wide = tf.cast(image, tf.float64)
    sums = _window_sums(tf.reduce_sum(wide, axis=2), height, width)
    squares = _window_sums(tf.reduce_sum(wide * wide, axis=2), height, width) - sums * sums / count
    usable = squares > count * FLAT**2
    gain = tf.cast(tf.where(usable, tf.math.rsqrt(tf.where(usable, squares, 1)), 0), tf.float32)
    offset = tf.where(usable, 0.0, -np.float32(np.inf))
    return _problem(finder, cut, image, gain, offset)


def _l2(finder, x_dec, y_dec):
    """The search problem with scores <2 x, y> - sum y^2, and sum x^2 `[P]`, which makes them -sum (x - y)^2."""
    height, width = finder.patch_size
    scale = 1 if finder.distance == "l2_lab_released" else 255
    image = _lab(y_dec / scale)
    middle = tf.reduce_mean(image, axis=(0, 1))  # changes no difference; numbers near zero round less
    image -= middle
    cut = _lab(patches.to_patches(x_dec[None], height, width)[0] / scale) - middle
    squares = _window_sums(tf.reduce_sum(tf.cast(image, tf.float64) ** 2, axis=2), height, width)
    offset = -tf.cast(squares, tf.float32)
    problem = _problem(finder, 2 * cut, image, tf.ones_like(offset), offset)
    return problem, tf.reduce_sum(cut * cut, axis=(1, 2, 3))


def _problem(finder, cut, image, gain, offset):
    """What is left to add: places and masks."""
    places, masks = [], []
    for axis in (0, 1):
        side, patch = tf.shape(image)[axis], finder.patch_size[axis]
        start = tf.range(-(-side // patch)) * patch - patches.padding(side, patch)[0]
        places.append(tf.clip_by_value(start, 0, side - patch))
        masks.append(_mask(start, side, patch) if finder.mask else None)
    return si_search.Problem(cut, image, gain, offset, *places, *masks)


def _mask(start, side, patch):
    """One axis of the Gaussians of patches that begin at `start`: `[patches, windows]`, at each window's corner."""
    corner = tf.cast(tf.range(side - patch + 1) + patch // 2 - 1, tf.float64)
    centre = tf.cast(start, tf.float64)[:, None] + patch / 2
    full_width = tf.cast(side, tf.float64) / 2  # at half maximum
    return tf.cast(tf.exp(-4 * math.log(2) * ((corner - centre) / full_width) ** 2), tf.float32)


def transformed(image):
    """H1 = R + G, H2 = R - G, H3 = (R + B) / 2 of the normalised channels."""
    red, green, blue = tf.unstack((image - tf.constant(_MEAN)) / tf.constant(_STD), axis=-1)
    return tf.stack([red + green, red - green, 0.5 * (red + blue)], axis=-1)


def _lab(rgb):
    """CIE L*a*b* (D65) of sRGB in 0 ... 1; the tensor's twin of `color.rgb_to_lab`, which takes 0 ... 255."""
    linear = tf.where(rgb <= 0.04045, rgb / 12.92, ((tf.maximum(rgb, 0) + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(_RGB_TO_XYZ)
    ratio = tf.tensordot(linear, tf.constant((to_xyz / to_xyz.sum(axis=1, keepdims=True)).T, tf.float32), 1)
    f = tf.where(ratio > (6 / 29) ** 3, tf.maximum(ratio, 1e-9) ** (1 / 3), ratio * ((29 / 6) ** 2 / 3) + 4 / 29)
    x, y, z = tf.unstack(f, axis=-1)
    return tf.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def _window_sums(values, height, width):
    """Sums over all height x width windows of `[H, W]`: `[H - height + 1, W - width + 1]`."""
    total = tf.pad(tf.cumsum(tf.cumsum(values, axis=0), axis=1), ((1, 0), (1, 0)))
    rows = total[height:] - total[:-height]
    return rows[:, width:] - rows[:, :-width]


def _copied(y, rows, columns, patch_size):
    """The windows of y `[N, H, W, 3]`, as they are: `[N, P, h, w, 3]`."""
    rows = rows[..., None, None] + tf.range(patch_size[0])[:, None]
    columns = columns[..., None, None] + tf.range(patch_size[1])
    width = tf.shape(y)[2]
    flat = tf.reshape(y, [tf.shape(y)[0], -1, 3])
    return tf.gather(flat, rows * width + columns, axis=1, batch_dims=1)


def _resampled(y, rows, columns, patch_size):
    """The windows of y, cut and resized as in the release: `[N, P, h, w, 3]`.

    It gives the corners as fractions of H and W. The operator takes them for fractions of H - 1 and W - 1, and puts the
    first and the last sample on the corners themselves.
    """
    count, height, width = tf.unstack(tf.shape(y)[:3])
    sides = tf.cast(tf.stack([height, width, height, width]), tf.float32)
    corners = tf.stack([rows, columns, rows + patch_size[0], columns + patch_size[1]], axis=-1)
    boxes = tf.reshape(tf.cast(corners, tf.float32) / sides, [-1, 4])
    images = tf.repeat(tf.range(count), tf.shape(rows)[1])
    windows = tf.image.crop_and_resize(y, boxes, images, patch_size)
    return tf.reshape(windows, [count, -1, *patch_size, 3])
