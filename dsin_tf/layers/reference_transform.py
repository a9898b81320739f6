"""Reference transform: an image of the same set, already decoded, made to look like the image being decoded.

Wang, Shi, Xing, Ling and Yin, "Deep correlated image set compression based on distributed source coding and multi-scale
fusion", DCC 2022, equations (1) and (2): for each patch of x_dec the window of y_dec that correlates best, and what y
shows there. That is the search of DSIN, see `si_finder`, with a decoded y. `y_dec` is coded as x_dec is, so that it has
the same artefacts; `y` is the best that the decoder has of the same image.

Ours, since nothing else is published:

- Score. Fusion gets the correlation of each chosen window, -1 ... 1, without the mask that the search weighs it with,
  0 where there is none. Of a patch that reaches out of the image only the part inside counts.
- Photometric step, which sends no bits. For each patch and colour, with mean mu and standard deviation sigma of x_dec's
  patch and of its window in y_dec,

      y_syn = a y + b,    a = clip(sigma_x / sigma_y, 1/2, 2),    b = mu_x - a mu_y

  where the correlation exceeds 1/2. Colours whose sigma_y is below a tenth of a grey level keep a = 1. Nothing is cut
  off at 0 and 255.
- An image set may hold several sizes: y and y_dec are first resized to that of x_dec.
- Geometric step: `warp` y and y_dec by a homography that the sender finds in both originals. It costs 16 bytes, and it
  is no longer distributed source coding in the strict sense, since the sender of x looks at y.
"""

import numpy as np
import tensorflow as tf

from dsin_tf import patches
from dsin_tf.layers import si_finder

_SIMILAR = 0.5  # correlation above which a window is taken to show the same thing
_GAINS = (0.5, 2.0)
_FLAT = 0.1  # grey levels, standard deviation below which a gain would stretch noise

_STEP = 1 / 8  # pixels, in which the corners of a homography are counted
_LEAST_DIVISOR = 1e-3  # of a homography at a corner, where it is 1 at the first


class ReferenceTransform(tf.keras.layers.Layer):
    """`y_syn, score = transform(x_dec, y_dec, y)`: float32 `[N, H, W, 3]` and `[N, H, W, 1]`, of x_dec's size.

    It has no weights, and no gradient passes.

    Args:
      patch_size: (height, width) of a patch in pixels.
      mask: whether the search prefers windows near the patch's own place.
      photometric: whether windows get brightness and contrast of x_dec.
      name: of the layer.
    """

    def __init__(self, patch_size=(20, 24), mask=True, photometric=True, name="reference_transform"):
        # Without autocast=False, mixed precision would round images to float16 before they are compared.
        super().__init__(name=name, trainable=False, autocast=False)
        self.finder = si_finder.SIFinder(patch_size, mask)
        self.photometric = photometric

    def call(self, x_dec, y_dec, y):
        """The side image, neither clipped nor rounded, and for each pixel the correlation of its patch.

        Args:
          x_dec: `[N, H, W, 3]`, 0 ... 255, of any size.
          y_dec, y: `[N, H', W', 3]`, 0 ... 255.
        """
        x_dec, y_dec, y = (tf.stop_gradient(tf.cast(image, tf.float32)) for image in (x_dec, y_dec, y))
        height, width = tf.shape(x_dec)[1], tf.shape(x_dec)[2]
        y_dec, y = (_resized(image, x_dec) for image in (y_dec, y))
        y_syn, score = self._synthesize(*(grown(image, *self.finder.patch_size) for image in (x_dec, y_dec, y)))
        y_syn, score = y_syn[:, :height, :width], score[:, :height, :width]
        return tf.ensure_shape(y_syn, x_dec.shape), tf.ensure_shape(score, (*x_dec.shape[:3], 1))

    def _synthesize(self, x_dec, y_dec, y):
        """The same for images of one size into which a patch fits."""
        match = self.finder.match(x_dec, y_dec)
        found = self.finder.synthesize(match, y_dec), self.finder.synthesize(match, y)
        # The windows cut to what lies inside, in the shape of patches, with zeros around them.
        x_cut, y_dec_cut, y_cut, inside = (
            patches.to_patches(image, *self.finder.patch_size) for image in (x_dec, *found, tf.ones_like(x_dec))
        )
        rho = _correlation(x_cut, y_dec_cut, inside)
        if self.photometric:
            y_cut = tf.where(rho > _SIMILAR, _adjusted(y_cut, x_cut, y_dec_cut, inside), y_cut)
        height, width = tf.shape(x_dec)[1], tf.shape(x_dec)[2]
        return tuple(patches.from_patches(cut, height, width) for cut in (y_cut, rho * inside[..., :1]))


def grown(image, height, width):
    """`image [N, H, W, C]`, its last row and column repeated until it has `height` rows and `width` columns or more."""
    for axis, least in ((1, height), (2, width)):
        if image.shape[axis] is None or image.shape[axis] < least:
            side = tf.shape(image)[axis]
            image = tf.gather(image, tf.minimum(tf.range(tf.maximum(side, least)), side - 1), axis=axis)
    return image


def _resized(image, like):
    """The image in the size of another; bilinear, and smoothed first where it shrinks."""
    sides = image.shape[1:3]
    if sides.is_fully_defined() and sides == like.shape[1:3]:
        return image
    return tf.image.resize(image, tf.shape(like)[1:3], antialias=True)


def _correlation(x, y, inside):
    """Correlation `[N, P, 1, 1, 1]` of patches `[N, P, h, w, 3]`, all as `SIFinder` has it, over what is `inside`."""
    axes = (2, 3, 4)
    (_, x, sigma_x), (_, y, sigma_y) = (_moments(si_finder.transformed(cut), inside, axes) for cut in (x, y))
    covariance = _mean(x * y, inside, axes)
    usable = tf.minimum(sigma_x, sigma_y) > si_finder.FLAT
    return tf.where(usable, tf.clip_by_value(covariance / (sigma_x * sigma_y), -1, 1), 0)


def _adjusted(y, x_dec, y_dec, inside):
    """Patches of y with what makes brightness and contrast of y_dec those of x_dec."""
    axes = (2, 3)
    (mu_x, _, sigma_x), (mu_y, _, sigma_y) = (_moments(cut, inside, axes) for cut in (x_dec, y_dec))
    a = tf.clip_by_value(tf.where(sigma_y > _FLAT, sigma_x / sigma_y, 1), *_GAINS)
    return a * y + (mu_x - a * mu_y)


def _moments(values, inside, axes):
    """Mean, what is left without it (0 outside), standard deviation."""
    mean = _mean(values, inside, axes)
    centred = inside * (values - mean)
    return mean, centred, tf.sqrt(_mean(centred**2, inside, axes))


def _mean(values, inside, axes):
    total, count = (tf.reduce_sum(part, axes, keepdims=True) for part in (inside * values, inside))
    return total / count


def warp(y, homography, size=None):
    """y as it would be seen from x's place: `[N, height, width, C]`, bilinear, edges repeated.

    Args:
      y: float32 `[N, H, W, C]`.
      homography: `[3, 3]`, takes (column, row, 1) of a pixel of x to those in y, times any number.
      size: (height, width) of x; y's own by default.
    """
    matrix = tf.cast(homography, tf.float32)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=y,
        transforms=tf.reshape(matrix / matrix[2, 2], [1, 9])[:, :8],
        output_shape=tf.shape(y)[1:3] if size is None else size,
        fill_value=0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )


def quantize_homography(matrix, height, width):
    """A homography as eight integers of 16 bits: how far each corner of x moves, in eighths of a pixel.

    Args:
      matrix: `[3, 3]`, as of `warp`.
      height, width: of x.

    Returns:
      int16 `[8]`, column and row of the corners (column, row) = (0, 0), (width, 0), (0, height), (width, height). None
      where the matrix is of no use: a corner goes further than 4095 pixels, or the image folds or collapses.
    """
    corners = _corners(height, width)
    with np.errstate(all="ignore"):
        mapped = np.column_stack([corners, np.ones(4)]) @ np.asarray(matrix, np.float64).T
        moved = np.round((mapped[:, :2] / mapped[:, 2:] - corners) / _STEP).reshape(-1)
    if not (np.abs(moved) < 2**15).all():  # not a number is not below it, either
        return None
    integers = moved.astype(np.int16)
    try:
        homography_from_integers(integers, height, width)
    except ValueError:
        return None
    return integers


def homography_from_integers(integers, height, width):
    """The homography, float64 `[3, 3]`, that `quantize_homography` put into integers, up to their precision.

    Raises:
      ValueError: no homography moves the corners so.
    """
    corners = _corners(height, width)
    moved = corners + _STEP * np.asarray(integers, np.float64).reshape(4, 2)
    # For (u, v) -> (s, t) and h_22 = 1:  u h_00 + v h_01 + h_02 - s u h_20 - s v h_21 = s, and likewise for t.
    known, zeros = np.column_stack([corners, np.ones(4)]), np.zeros((4, 3))
    of_s = np.hstack([known, zeros, -moved[:, :1] * corners])
    of_t = np.hstack([zeros, known, -moved[:, 1:] * corners])
    try:
        numbers = np.linalg.solve(np.vstack([of_s, of_t]), moved.T.reshape(-1))
    except np.linalg.LinAlgError:
        numbers = np.full(8, np.nan)
    matrix = np.append(numbers, 1).reshape(3, 3)
    # Where the divisor changes its sign, the image is torn along the horizon.
    if not (known @ matrix[2] > _LEAST_DIVISOR).all():
        raise ValueError(
            f"{list(map(int, np.ravel(integers)))} are no corners of a homography of a {height}x{width} image; eight "
            "integers of quantize_homography were expected. Use those that it gave for this size."
        )
    return matrix


def _corners(height, width):
    """(column, row) of the outer corners, which differ even where the image is one pixel wide."""
    return np.array([(0, 0), (width, 0), (0, height), (width, height)], np.float64)
