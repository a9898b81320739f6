"""Where in a picture colours are wrong: what `metrics.lab_difference` and `metrics.rgb_angle` are the means of."""

import numpy as np

from dsin_tf import color


def lab_difference(x, x_hat):
    """CIE 1976 colour difference of every pixel: float64 `[H, W]`.

    Args:
      x, x_hat: uint8 `[H, W, 3]`, taken as sRGB.
    """
    return np.linalg.norm(color.rgb_to_lab(x) - color.rgb_to_lab(x_hat), axis=-1)


def rgb_angle(x, x_hat):
    """The angle in degrees between the RGB vectors of every pixel.

    Args:
      x, x_hat: uint8 `[H, W, 3]`.

    Returns:
      float64 `[H, W]`; not a number where a pixel is black in either image and has no direction.
    """
    a, b = x.astype(np.float64), x_hat.astype(np.float64)
    squares = np.sum(a * a, axis=-1) * np.sum(b * b, axis=-1)
    product = np.where(squares > 0, np.sum(a * b, axis=-1), np.nan)
    return np.degrees(np.arccos(np.minimum(product / np.sqrt(np.maximum(squares, 1)), 1)))
