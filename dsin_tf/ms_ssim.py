"""Multi-scale structural similarity as one differentiable TensorFlow function, for losses and for metrics.

Wang, Simoncelli and Bovik, "Multiscale structural similarity for image quality assessment", Asilomar 2003.
Each channel is measured by itself: the mean contrast-structure term of every scale but the coarsest, and the
mean SSIM of the coarsest, clipped at 0 and raised to the scale's weight, are multiplied; the result is the mean
over channels. Scales are made by 2x2 averaging.

The value is that of `tf.image.ssim_multiscale` (to float32 accuracy). What differs is that the Gaussian is
applied as two one-dimensional filters, several times faster on a CPU, and the gradient where a term is clipped
at 0: `tf.image.ssim_multiscale` gives NaN there. Zero would be correct, and of no use: a network that begins with a
colour inverted, as DSIN's does with its random last layer, would never turn it round. Ours is that of terms of
`_FLOOR`, which points towards a positive term.

Odd sides: the last row or column is repeated before averaging, as in the usual implementations (and in the one
behind DSIN's figures). NDIC's reference code pads with one row of zeros on both sides instead and counts the
zeros, which moves the result by up to 2e-3; at its own size, 128x256, every scale is even and the two agree.
"""

import numpy as np
import tensorflow as tf

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # finest scale first

_K1, _K2 = 0.01, 0.03
_FLOOR = 0.01  # smaller mean terms have the gradient of this one, for that of a power grows beyond bounds at 0; ours


def ms_ssim(x, x_hat, max_val, window=11, sigma=1.5, weights=WEIGHTS):
    """MS-SSIM of each image of a batch.

    Args:
      x: `[N, H, W, C]` floating-point tensor.
      x_hat: the same shape and type. The measure is symmetric, and differentiable in both.
      max_val: span of the values, 255 or 1; it scales the two constants of SSIM.
      window: side of the Gaussian window, 11 as published, 7 where images are too small for it (NDIC).
      sigma: standard deviation of the window in pixels.
      weights: exponent of each scale, finest first; as many scales are used.

    Returns:
      `[N]`, 0 to 1; 1 for equal images. float64 for float64 images, else float32.

    Raises:
      ValueError: shapes differ or are not `[N, H, W, C]`, or the coarsest scale does not hold one window.
      tf.errors.InvalidArgumentError: too small likewise, where a graph learns the size only when it runs.
      TypeError: the images are not of one floating-point type.
    """
    return tf.reduce_mean(ms_ssim_per_channel(x, x_hat, max_val, window, sigma, weights), axis=-1)


def ms_ssim_per_channel(x, x_hat, max_val, window=11, sigma=1.5, weights=WEIGHTS):
    """MS-SSIM of each channel of each image, `[N, C]`; arguments and errors are those of `ms_ssim`."""
    x, x_hat = _checked(x, x_hat)
    _refuse_small(x, window, len(weights))
    kernel = _gaussian(window, sigma)
    terms = []
    for scale in range(len(weights)):
        if scale > 0:
            # "SAME" averages over the pixels that are there, which is what repeating the last row would give.
            x, x_hat = (tf.nn.avg_pool2d(image, 2, 2, "SAME") for image in (x, x_hat))
        luminance, contrast_structure = _ssim_terms(x, x_hat, max_val, kernel)
        is_coarsest = scale == len(weights) - 1
        term = luminance * contrast_structure if is_coarsest else contrast_structure
        terms.append(tf.reduce_mean(term, axis=[1, 2]))
    return _product_of_powers(terms, weights)


def smallest_side(window=11, scales=5):
    """Pixels that either side of an image must have: halved, rounding up, the coarsest scale still holds a window."""
    return 2 ** (scales - 1) * (window - 1) + 1


def _checked(x, x_hat):
    """Both images as tensors of one computing type."""
    x, x_hat = tf.convert_to_tensor(x), tf.convert_to_tensor(x_hat)
    if x.shape.rank != 4 or not x.shape.is_compatible_with(x_hat.shape):
        raise ValueError(
            f"MS-SSIM of shapes {tuple(x.shape)} and {tuple(x_hat.shape)}: two equal shapes [N, H, W, C] were "
            "expected. Add the batch axis in front (image[None]) or crop both images alike."
        )
    if x.dtype != x_hat.dtype or not x.dtype.is_floating:
        raise TypeError(
            f"MS-SSIM of {x.dtype.name} and {x_hat.dtype.name} images: one floating-point type was expected. "
            "Cast both to float32 first."
        )
    # Sums of squares up to 255^2 do not fit the half-precision types.
    dtype = tf.float64 if x.dtype == tf.float64 else tf.float32
    return tf.cast(x, dtype), tf.cast(x_hat, dtype)


def _refuse_small(x, window, scales):
    """Raises where the coarsest scale does not hold one window; the mean over no window would be NaN."""
    smallest = smallest_side(window, scales)
    advice = (
        f"at least {smallest} pixels a side are needed for a {window}x{window} window at {scales} scales. "
        f"Measure larger images, or use a smaller window (7 needs {smallest_side(7, scales)} pixels)."
    )
    height, width = x.shape[1:3]
    if height is None or width is None:  # inside a graph for any size: known only when it runs
        shape = tf.shape(x)
        tf.debugging.assert_greater_equal(tf.minimum(shape[1], shape[2]), smallest, f"MS-SSIM: {advice}")
    elif min(height, width) < smallest:
        raise ValueError(f"MS-SSIM of images of {height}x{width} pixels: {advice}")


def _gaussian(window, sigma):
    """Samples of a Gaussian, `[window]`, that sum to 1; their outer product is the window of SSIM."""
    distance = np.arange(window) - (window - 1) / 2
    samples = np.exp(-(distance**2) / (2 * sigma**2))
    return samples / samples.sum()


def _ssim_terms(x, x_hat, max_val, kernel):
    """Maps of SSIM's two factors, luminance and contrast-structure, at every place where the window fits."""
    c1, c2 = (_K1 * max_val) ** 2, (_K2 * max_val) ** 2
    # Only the sum of both variances is needed, so one filter pass serves four maps.
    maps = tf.concat([x, x_hat, x * x + x_hat * x_hat, x * x_hat], axis=-1)
    mean_x, mean_x_hat, mean_squares, mean_product = tf.split(_filter(maps, kernel), 4, axis=-1)
    product_of_means = mean_x * mean_x_hat
    squares_of_means = mean_x * mean_x + mean_x_hat * mean_x_hat
    luminance = (2 * product_of_means + c1) / (squares_of_means + c1)
    contrast_structure = (2 * (mean_product - product_of_means) + c2) / (mean_squares - squares_of_means + c2)
    return luminance, contrast_structure


def _filter(maps, kernel):
    """Weighted means under the window, down the columns and then along the rows; only whole windows count."""
    channels = maps.shape[-1]
    column = tf.constant(np.tile(kernel[:, None, None, None], (1, 1, channels, 1)), maps.dtype)
    maps = tf.nn.depthwise_conv2d(maps, column, [1, 1, 1, 1], "VALID")
    return tf.nn.depthwise_conv2d(maps, tf.transpose(column, [1, 0, 2, 3]), [1, 1, 1, 1], "VALID")


def _product_of_powers(terms, exponents):
    """The product of max(term, 0) ** exponent, with the gradient of one whose terms are at least `_FLOOR`."""
    value = sloping = 1.0
    for term, exponent in zip(terms, exponents):
        value *= tf.maximum(term, 0) ** exponent
        sloping *= (term + tf.stop_gradient(tf.maximum(term, _FLOOR) - term)) ** exponent
    return sloping + tf.stop_gradient(value - sloping)
