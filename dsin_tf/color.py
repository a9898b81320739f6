"""Colour spaces: JFIF YCbCr in floating point, and CIE Lab with its colour difference.

The YCbCr conversions take numpy arrays and TensorFlow tensors alike, so that the codecs, the networks and
the metrics share one set of formulas. Nothing is rounded or clipped here.
"""

import numpy as np

# ITU-R BT.601 luma weights, as JFIF (ITU-T T.871) uses them, and the spans of B - Y and R - Y that JFIF
# scales to one unit of Cb and Cr. Everything below follows from these.
_KR, _KG, _KB = 0.299, 0.587, 0.114
_CB_SPAN, _CR_SPAN = 2 * (1 - _KB), 2 * (1 - _KR)  # 1.772, 1.402

# Linear sRGB to CIE XYZ under D65 (ITU-R BT.709 primaries). The white point is its row sums, so that
# every grey has a* = b* = 0.
_RGB_TO_XYZ = np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]])
_WHITE = _RGB_TO_XYZ.sum(axis=1)


def rgb_to_ycbcr(rgb):
    """Full-range YCbCr as JFIF defines it (ITU-R BT.601 luma, chroma centred at 128).

    Args:
      rgb: `[..., 3]` array or tensor, values 0…255. Integers are taken as floats first.

    Returns:
      `[..., 3]` of the same kind, floating point and unrounded: Y in 0…255, Cb and Cr in 0.5…255.5.

    Raises:
      ValueError: the last axis does not hold three channels.
    """
    rgb = _as_floats(rgb, "rgb")
    r, g, b = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    y = _KR * r + _KG * g + _KB * b
    return _stack([y, 128 + (b - y) / _CB_SPAN, 128 + (r - y) / _CR_SPAN])


def ycbcr_to_rgb(ycbcr):
    """Undoes `rgb_to_ycbcr`.

    Args:
      ycbcr: `[..., 3]` array or tensor; Y, Cb, Cr as `rgb_to_ycbcr` returns them. Integers are taken as floats first.

    Returns:
      `[..., 3]` of the same kind, floating point; unclipped, since not every YCbCr triple is an RGB colour.

    Raises:
      ValueError: the last axis does not hold three channels.
    """
    ycbcr = _as_floats(ycbcr, "ycbcr")
    y, cb, cr = ycbcr[..., 0], ycbcr[..., 1], ycbcr[..., 2]
    b = y + _CB_SPAN * (cb - 128)
    r = y + _CR_SPAN * (cr - 128)
    return _stack([r, (y - _KR * r - _KB * b) / _KG, b])


def rgb_to_lab(rgb):
    """CIE L*a*b* of 8-bit sRGB, for the D65 white point and the 2 degree observer.

    Args:
      rgb: `[..., 3]` numpy array, sRGB values 0…255.

    Returns:
      float64 `[..., 3]`: L* in 0…100; a* and b* about -86…98 and -108…94.

    Raises:
      ValueError: the last axis does not hold three channels.
    """
    encoded = _as_floats(np.asarray(rgb), "rgb").astype(np.float64) / 255
    # Negative bases never reach the power: np.where evaluates both branches.
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((np.maximum(encoded, 0) + 0.055) / 1.055) ** 2.4)
    ratio = linear @ _RGB_TO_XYZ.T / _WHITE
    # CIE 15: cube root, continued by its tangent below (6/29)^3.
    f = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def ciede2000(lab_1, lab_2):
    """The CIEDE2000 colour difference, with all parametric factors 1.

    Luo, Cui and Rigg, "The development of the CIE 2000 colour-difference formula", Color Research and
    Application 26(5), 2001; in the notation of Sharma, Wu and Dalal's implementation notes (30(1), 2005).

    Args:
      lab_1: `[..., 3]` numpy array of L*, a*, b*.
      lab_2: the same shape; the difference is symmetric.

    Returns:
      float64 `[...]`, non-negative.
    """
    lightness_1, a_1, b_1 = np.moveaxis(np.asarray(lab_1, np.float64), -1, 0)
    lightness_2, a_2, b_2 = np.moveaxis(np.asarray(lab_2, np.float64), -1, 0)

    # a' stretches the neighbourhood of grey, where a* is too small for what the eye sees.
    def saturation(chroma):
        return np.sqrt(chroma**7 / (chroma**7 + 25.0**7))

    stretch = 1.5 - 0.5 * saturation((np.hypot(a_1, b_1) + np.hypot(a_2, b_2)) / 2)
    chroma_1, chroma_2 = np.hypot(stretch * a_1, b_1), np.hypot(stretch * a_2, b_2)
    hue_1, hue_2 = np.arctan2(b_1, stretch * a_1), np.arctan2(b_2, stretch * a_2)

    # Hue is an angle: take the difference the short way round, and the mean on the side where that way lies.
    # A grey has no hue; its chroma of 0 removes the difference, and the mean is then the other colour's hue.
    turn = hue_2 - hue_1
    turn -= 2 * np.pi * np.round(turn / (2 * np.pi))
    grey_1, grey_2 = chroma_1 == 0, chroma_2 == 0
    hue = np.where(grey_1, hue_2, np.where(grey_2, hue_1, hue_1 + turn / 2))

    d_lightness = lightness_2 - lightness_1
    d_chroma = chroma_2 - chroma_1
    d_hue = 2 * np.sqrt(chroma_1 * chroma_2) * np.sin(turn / 2)

    lightness, chroma = (lightness_1 + lightness_2) / 2, (chroma_1 + chroma_2) / 2
    t = (
        1
        - 0.17 * np.cos(hue - np.radians(30))
        + 0.24 * np.cos(2 * hue)
        + 0.32 * np.cos(3 * hue + np.radians(6))
        - 0.20 * np.cos(4 * hue - np.radians(63))
    )
    s_lightness = 1 + 0.015 * (lightness - 50) ** 2 / np.sqrt(20 + (lightness - 50) ** 2)
    s_chroma = 1 + 0.045 * chroma
    s_hue = 1 + 0.015 * chroma * t
    # The rotation term couples chroma and hue around blue (275 degrees).
    rotation = -2 * saturation(chroma) * np.sin(np.radians(60) * np.exp(-(((np.degrees(hue) % 360 - 275) / 25) ** 2)))

    chroma_part, hue_part = d_chroma / s_chroma, d_hue / s_hue
    squared = (d_lightness / s_lightness) ** 2 + chroma_part**2 + hue_part**2 + rotation * chroma_part * hue_part
    return np.sqrt(np.maximum(squared, 0))


def _as_floats(image, name):
    """Checks the channel axis; integers become float64 (numpy) or float32 (TensorFlow)."""
    if not hasattr(image, "shape"):
        image = np.asarray(image)
    if len(image.shape) == 0 or image.shape[-1] != 3:
        raise ValueError(
            f"{name} has shape {tuple(image.shape)}; its last axis must hold 3 colour channels. "
            "Move the channels to the end, or repeat a grey image over three of them."
        )
    if isinstance(image, np.ndarray):
        return image if np.issubdtype(image.dtype, np.floating) else image.astype(np.float64)
    import tensorflow as tf  # only for tensors, so that arrays never wait for it

    return image if image.dtype.is_floating else tf.cast(image, tf.float32)


def _stack(channels):
    """Puts the channels side by side on a new last axis."""
    if isinstance(channels[0], (np.ndarray, np.floating)):
        return np.stack(channels, axis=-1)
    import tensorflow as tf

    return tf.stack(channels, axis=-1)
