"""Distortion between two 8-bit RGB pictures: what a user would look at, after clipping and rounding.

Every function takes two `uint8 [H, W, 3]` arrays, original first, and returns a float. All raise
`dsin_tf.images.ImageError` unless both are such arrays of one shape.

| function             | measures                                                   | equal images | better |
|----------------------|------------------------------------------------------------|--------------|--------|
| `mse`                | squared error over R, G and B                              | 0            | lower  |
| `psnr`               | the same in dB                                             | inf          | higher |
| `psnr_y`             | squared error of luma in dB                                | inf          | higher |
| `ssim`               | structure of luma at one scale                             | 1            | higher |
| `ms_ssim`            | structure of R, G and B at five scales                     | 1            | higher |
| `ms_ssim_dsin`       | what DSIN's released evaluation calls MS-SSIM (see there)  | 1            | higher |
| `cmssim`             | structure of L*, a* and b* at five scales (ours)           | 1            | higher |
| `lab_difference`     | CIE colour difference, or error of L*, a* and b*           | 0            | lower  |
| `rgb_angle`          | change of hue and saturation in degrees, blind to gain     | 0            | lower  |
| `patch_pearson`      | correlation of RGB values inside patches                   | 1            | higher |
| `colour_correlation` | correlation of Cb and of Cr                                | 1            | higher |
| `coarse_correlation` | correlation of luma's means over blocks                    | 1            | higher |
| `fine_correlation`   | correlation of what luma has besides                       | 1            | higher |

Of a plane of one value every correlation is 0, of equal images, too.

TensorFlow is imported by the first call of `ms_ssim` or `cmssim` only.
"""

import math

import numpy as np

from dsin_tf import color, images

LAB_KINDS = ("76", "00", "mae")

_PEAK = 255.0
_SSIM_WINDOW, _SSIM_SIGMA = 11, 1.5
_C1, _C2 = (0.01 * _PEAK) ** 2, (0.03 * _PEAK) ** 2
# The next two are those of dsin_tf.ms_ssim, which is not imported here because it imports TensorFlow.
MS_SSIM_SIDES = {11: 161, 7: 97}  # window: pixels that either side must have
_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_SINGLE = 1e-6  # grey levels; values that differ less than that differ by rounding


def mse(x, x_hat):
    """Mean squared error over all pixels and the three channels, in squared grey levels."""
    _check_pair(x, x_hat)
    return float(np.mean(np.square(x.astype(np.float64) - x_hat)))


def psnr(x, x_hat):
    """Peak signal-to-noise ratio of `mse` in dB, for a peak of 255; infinite for equal images."""
    return _decibels(mse(x, x_hat))


def psnr_unclipped(x, x_hat):
    """The same of a decoder's own output, float `[H, W, 3]`, neither clipped nor rounded: what NDIC's paper counts."""
    images.check(x, "the original")
    _check_shapes(x, x_hat)
    return _decibels(float(np.mean(np.square(x - np.asarray(x_hat, np.float64)))))


def psnr_y(x, x_hat):
    """Peak signal-to-noise ratio in dB of luma alone (JFIF's Y, not rounded)."""
    _check_pair(x, x_hat)
    return _decibels(float(np.mean(np.square(_luma(x) - _luma(x_hat)))))


def ssim(x, x_hat):
    """Structural similarity of luma, one scale: Wang, Bovik, Sheikh and Simoncelli, IEEE TIP 13(4), 2004.

    Gaussian window 11x11 of standard deviation 1.5, K = 0.01 and 0.03, range 255; mean over all places where the
    whole window fits.

    Raises:
      images.ImageError: also for images with a side below 11 pixels.
    """
    _check_pair(x, x_hat)
    if min(x.shape[:2]) < _SSIM_WINDOW:
        raise images.ImageError(
            f"SSIM of images of {x.shape[0]}x{x.shape[1]} pixels: at least {_SSIM_WINDOW} a side are needed for its "
            f"{_SSIM_WINDOW}x{_SSIM_WINDOW} window. Measure larger images."
        )
    luminance, contrast_structure = _ssim_terms(_luma(x), _luma(x_hat), _SSIM_WINDOW, _SSIM_SIGMA)
    return float(np.mean(luminance * contrast_structure))


def ms_ssim(x, x_hat, window=11):
    """Multi-scale structural similarity of R, G and B, mean of the three (`dsin_tf.ms_ssim`).

    Args:
      x, x_hat: the two images.
      window: side of the Gaussian window; 11 as published, 7 in NDIC.

    Raises:
      ValueError: a side is below 161 pixels (97 for window 7): the coarsest of five scales holds no window.
    """
    _check_pair(x, x_hat)
    from dsin_tf import ms_ssim as multi_scale

    pair = (image[None].astype(np.float32) for image in (x, x_hat))
    return float(multi_scale.ms_ssim(*pair, max_val=_PEAK, window=window)[0])


def ms_ssim_db(value):
    """An MS-SSIM value in dB, -10 log10(1 - value), as NDIC reports it; infinite for 1."""
    return math.inf if value >= 1 else -10 * math.log10(1 - value)


def ms_ssim_dsin(x, x_hat):
    """What DSIN's released evaluation calls MS-SSIM; for comparison with figures that come from it, no other use.

    It hands H x W x 3 images, with an axis added at the end, to a function for batches of N x H x W x C. So rows
    become the batch, columns the height and the three *colours the width*. The window shrinks with that width to
    3x3, then 2x2, then 1x1 (its standard deviation in proportion), where the contrast-structure term is 1 whatever
    the images hold; rows are never filtered nor subsampled. Values are higher and much flatter over the rate than
    those of `ms_ssim`: 0.885 to 0.940 instead of 0.700 to 0.917 for JPEG 2000 from 0.02 to 0.20 bpp on KITTI.
    """
    _check_pair(x, x_hat)
    planes, planes_hat = x.astype(np.float64), x_hat.astype(np.float64)  # [row as batch, column, colour]
    result = 1.0
    for scale, weight in enumerate(_SCALE_WEIGHTS):
        if scale > 0:
            planes, planes_hat = _halved(planes), _halved(planes_hat)
        window = min(_SSIM_WINDOW, *planes.shape[1:])
        luminance, contrast_structure = _ssim_terms(planes, planes_hat, window, _SSIM_SIGMA * window / _SSIM_WINDOW)
        is_coarsest = scale == len(_SCALE_WEIGHTS) - 1
        term = np.mean(luminance * contrast_structure if is_coarsest else contrast_structure)
        result *= max(term, 0.0) ** weight
    return float(result)


def cmssim(x, x_hat):
    """Colour multi-scale SSIM in our definition: MS-SSIM of L*, times that of a*, times that of b*.

    Five scales, window 11, range 100 for each channel. The published measure of this name (Hassan and Bhagvati,
    IJCA 43(14), 2012) has a formula that could not be obtained, so values are not comparable digit by digit with
    those of others.

    Raises:
      ValueError: a side is below 161 pixels.
    """
    _check_pair(x, x_hat)
    from dsin_tf import ms_ssim as multi_scale

    pair = (color.rgb_to_lab(image)[None] for image in (x, x_hat))
    return float(np.prod(multi_scale.ms_ssim_per_channel(*pair, max_val=100.0)[0]))


def lab_difference(x, x_hat, kind="76"):
    """Mean colour difference over the pixels, in CIE Lab.

    Args:
      x, x_hat: the two images, taken as sRGB.
      kind: "76" for CIE 1976 (distance in Lab), "00" for CIEDE2000, "mae" for the mean absolute error of the three
        coordinates.

    Raises:
      ValueError: an unknown kind.
    """
    _check_pair(x, x_hat)
    if kind not in LAB_KINDS:
        raise ValueError(f"lab_difference of kind {kind!r}; one of {', '.join(map(repr, LAB_KINDS))} was expected.")
    lab, lab_hat = color.rgb_to_lab(x), color.rgb_to_lab(x_hat)
    if kind == "00":
        return float(np.mean(color.ciede2000(lab, lab_hat)))
    if kind == "76":
        return float(np.mean(np.linalg.norm(lab - lab_hat, axis=-1)))
    return float(np.mean(np.abs(lab - lab_hat)))


def rgb_angle(x, x_hat):
    """Mean angle in degrees between the RGB vectors of corresponding pixels: 0 for the same colour at any brightness.

    Pixels that are black in either image have no direction and are left out; 0 if none remains.
    """
    _check_pair(x, x_hat)
    # Whole numbers up to 255^4 are exact in float64, so that parallel vectors give an angle of exactly 0.
    a, b = x.astype(np.float64).reshape(-1, 3), x_hat.astype(np.float64).reshape(-1, 3)
    squares = np.sum(a * a, axis=1) * np.sum(b * b, axis=1)
    seen = squares > 0
    if not seen.any():
        return 0.0
    cosine = np.sum(a * b, axis=1)[seen] / np.sqrt(squares[seen])
    return float(np.degrees(np.mean(np.arccos(np.minimum(cosine, 1.0)))))


def patch_pearson(x, x_hat, patch_size=(20, 24)):
    """Mean correlation of the R, G and B values inside patches, as in DSIN's Fig. 7.

    Pearson's coefficient of all values of a patch at once, one mean for the three channels. Patches begin at the upper
    left corner and do not overlap; what is left of the sides, and patches of one value in either image, are left out.

    Args:
      x, x_hat: the images.
      patch_size: (height, width).

    Raises:
      images.ImageError: also where no patch is left.
    """
    _check_pair(x, x_hat)
    height, width = patch_size
    rows, columns = x.shape[0] // height, x.shape[1] // width
    both = np.stack([x, x_hat])[:, : rows * height, : columns * width].astype(np.float64)
    both = both.reshape(2, rows, height, columns, width, 3).transpose(0, 1, 3, 2, 4, 5)
    both = both.reshape(2, rows * columns, height * width * 3)
    both -= both.mean(axis=2, keepdims=True)
    power = np.prod(np.sum(both**2, axis=2), axis=0)
    usable = power > 0
    if not usable.any():
        raise images.ImageError(
            f"Images of {x.shape[0]}x{x.shape[1]} pixels hold no patch of {height}x{width} that is not constant; one "
            "was expected. Measure other images, or smaller patches."
        )
    return float(np.mean(np.sum(np.prod(both[:, usable], axis=0), axis=1) / np.sqrt(power[usable])))


def colour_correlation(x, x_hat):
    """Pearson's coefficient of Cb (JFIF) in the one image with that in the other, the mean of it and of that of Cr."""
    _check_pair(x, x_hat)
    (_, cb, cr), (_, cb_hat, cr_hat) = (np.moveaxis(color.rgb_to_ycbcr(image), -1, 0) for image in (x, x_hat))
    return (_correlation(cb, cb_hat) + _correlation(cr, cr_hat)) / 2


def coarse_correlation(x, x_hat, block=16):
    """Pearson's coefficient of what is large in two images: luma's means over blocks of `block` pixels a side.

    Blocks begin at the upper left corner; what is left of the sides is left out.

    Raises:
      images.ImageError: also where no block is left.
    """
    return _correlation(*(means for means, _ in _in_blocks(x, x_hat, block)))


def fine_correlation(x, x_hat, block=16):
    """The same of their details: what luma has in each pixel besides its block's mean."""
    return _correlation(*(rest for _, rest in _in_blocks(x, x_hat, block)))


def _in_blocks(x, x_hat, block):
    """For each of two images the means over blocks of luma, and luma less these."""
    _check_pair(x, x_hat)
    rows, columns = x.shape[0] // block, x.shape[1] // block
    if not rows * columns:
        raise images.ImageError(
            f"Images of {x.shape[0]}x{x.shape[1]} pixels hold no block of {block}x{block}; one was expected. Measure "
            "larger images, or smaller blocks."
        )
    for image in (x, x_hat):
        luma = _luma(image[: rows * block, : columns * block]).reshape(rows, block, columns, block)
        means = luma.mean(axis=(1, 3), keepdims=True)
        yield means, luma - means


def _correlation(one, other):
    """Pearson's coefficient of all values, 0 where one of the two has a single value."""
    if min(one.std(), other.std()) < _SINGLE:
        return 0.0
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def _check_pair(x, x_hat):
    """Raises ImageError unless both are 8-bit RGB arrays of one shape."""
    images.check(x, "the original")
    images.check(x_hat, "the reconstruction")
    _check_shapes(x, x_hat)


def _check_shapes(x, x_hat):
    if x.shape != x_hat.shape:
        raise images.ImageError(
            f"The original is {list(x.shape)}, the reconstruction {list(x_hat.shape)}; equal shapes were expected. "
            "Crop what padding added before measuring."
        )


def _decibels(mean_squared_error):
    return math.inf if mean_squared_error == 0 else 10 * math.log10(_PEAK**2 / mean_squared_error)


def _luma(image):
    return color.rgb_to_ycbcr(image)[..., 0]


def _ssim_terms(x, x_hat, window, sigma):
    """SSIM's luminance and contrast-structure maps over the last two axes, at every place where the window fits."""
    distance = np.arange(window) - (window - 1) / 2
    kernel = np.exp(-(distance**2) / (2 * sigma**2))
    kernel /= kernel.sum()

    mean_x, mean_x_hat = _filtered(x, kernel), _filtered(x_hat, kernel)
    squares_of_means, product_of_means = mean_x**2 + mean_x_hat**2, mean_x * mean_x_hat
    variances = _filtered(x * x + x_hat * x_hat, kernel) - squares_of_means
    covariance = _filtered(x * x_hat, kernel) - product_of_means
    return (2 * product_of_means + _C1) / (squares_of_means + _C1), (2 * covariance + _C2) / (variances + _C2)


def _filtered(values, kernel):
    """Weighted means under a separable window over the last two axes, whole windows only."""
    for axis in (-2, -1):
        length = values.shape[axis] - len(kernel) + 1
        values = sum(tap * values.take(range(k, k + length), axis) for k, tap in enumerate(kernel))
    return values


def _halved(planes):
    """2x2 means over the last two axes; for an odd side the last row or column is repeated first."""
    padding = [(0, 0)] * (planes.ndim - 2) + [(0, planes.shape[-2] % 2), (0, planes.shape[-1] % 2)]
    planes = np.pad(planes, padding, mode="edge")
    return (planes[..., ::2, ::2] + planes[..., 1::2, ::2] + planes[..., ::2, 1::2] + planes[..., 1::2, 1::2]) / 4
