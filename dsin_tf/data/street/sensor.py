"""From light to the 8-bit picture of one camera.

KITTI's cameras see one colour at each pixel and make up the other two from its neighbours, which gives fine
detail false colours. Pictures at about the resolution of KITTI's frames are made that way; in those that are
much smaller the false colours have been averaged away, so each pixel sees its three colours.
"""

import dataclasses

import numpy as np

from dsin_tf.data.street.noise import Random, hash_bits

_F = np.float32
_MOSAIC_SCALE = 0.75  # pixels a pixel of KITTI's frame from which on colours are made up


@dataclasses.dataclass(frozen=True)
class Sensor:
    """What makes a camera's picture differ from its neighbour's.

    Attributes:
      gain: of red, green, blue.
      offset: black level, on the scale of 0 to 1.
      bend: how far mid tones are lifted.
      vignette: light lost in the corners of KITTI's frame.
      read, shot: noise in grey levels at black, and what light adds to it at white.
      key: names the noise.
    """

    gain: tuple
    offset: float
    bend: float
    vignette: float
    read: float
    shot: float
    key: int

    @classmethod
    def random(cls, key):
        """A camera on some day; equal keys make equal cameras."""
        rng = Random(key)
        gain = rng.uniform(0.96, 1.04)
        return cls(
            gain=tuple(gain * rng.uniform(0.985, 1.015) for _ in range(3)),
            offset=rng.uniform(-0.004, 0.004),
            bend=rng.uniform(-0.02, 0.02),
            vignette=rng.uniform(0.04, 0.12),
            read=rng.uniform(0.8, 1.4),
            shot=rng.uniform(0.8, 1.8),
            key=key,
        )

    def with_noise(self, key):
        """The same camera at another moment: its noise is new."""
        return dataclasses.replace(self, key=key)

    def develop(self, planes, exposure, grid):
        """The picture without its margin, `uint8 [H, W, 3]`.

        Args:
          planes: linear red, green and blue light, 2 by 2 samples a pixel.
          exposure: the scene's gain.
          grid: `Grid` of the samples, with the `margin` it needs.
        """
        x, y = grid.rays(1, 1)
        fall = 1 - _F(1.2 * self.vignette) * (np.square(x)[None, :] + np.square(y)[:, None])
        rows = np.arange(grid.height)[:, None] - grid.margin + grid.top
        columns = np.arange(grid.width)[None, :] - grid.margin + grid.left
        noise = self._noise(rows, columns)
        mosaic = grid.scale >= _MOSAIC_SCALE
        # A triangle two pixels wide, with which pictures are made small, gives 0.125; KITTI's own blur adds to it.
        lens = 0.0 if mosaic else 0.21
        levels = []
        for k, plane in enumerate(planes):
            light = _gathered(_gathered(plane, 0, lens), 1, lens)
            value = tone_curve(light * (fall * _F(exposure * self.gain[k])))
            value = value + _F(self.bend) * value * (1 - value) + _F(self.offset)
            levels.append(value * _F(255) + noise[k] * (_F(self.read) + _F(self.shot) * value))
        if mosaic:
            levels = _through_mosaic(levels, rows, columns)
        inner = slice(grid.margin, -grid.margin)
        picture = np.stack([level[inner, inner] for level in levels], axis=-1)
        return np.clip(np.rint(picture), 0, 255).astype(np.uint8)

    def _noise(self, rows, columns):
        """Three planes of noise with variance about 1, tied to the pixels of KITTI's frame."""
        bits = hash_bits(self.key, rows, columns)
        # Sums of two bytes are near enough to a bell curve; neighbours in colour share a part.
        parts = [((bits >> np.uint64(8 * k)) & np.uint64(255)).astype(np.float32) for k in range(8)]
        unit = _F(1 / 104.5)
        common = (parts[6] + parts[7] - 255) * unit
        return [_F(0.5) * common + _F(0.87) * (parts[2 * k] + parts[2 * k + 1] - 255) * unit for k in range(3)]


def margin(grid):
    """Pixels around a picture that its own pixels depend on."""
    return 3 if grid.scale >= _MOSAIC_SCALE else 1


def tone_curve(light):
    """Light of 0 to 1 as picture values of 0 to 1: a square root, steeper in the shadows as KITTI's cameras are."""
    root = np.sqrt(np.clip(light, 0, 1))
    return root * (_F(0.42) + _F(0.58) * root)


def _gathered(plane, axis, lens):
    """Pairs of samples along an axis to pixels, `lens` of whose light comes from either neighbouring sample."""
    count = plane.shape[axis]
    first = np.take(plane, np.arange(0, count, 2), axis=axis)
    second = np.take(plane, np.arange(1, count, 2), axis=axis)
    before = np.take(plane, np.maximum(np.arange(-1, count - 1, 2), 0), axis=axis)
    after = np.take(plane, np.minimum(np.arange(2, count + 1, 2), count - 1), axis=axis)
    return (first + second) * _F(0.5 - lens) + (before + after) * _F(lens)


def _spread(plane, axis, part, own=None):
    """`plane` with `part` of each pixel given to either neighbour along an axis, and `own` (the rest) kept."""
    last = plane.shape[axis] - 1
    before = np.take(plane, np.maximum(np.arange(-1, last), 0), axis=axis)
    after = np.take(plane, np.minimum(np.arange(1, last + 2), last), axis=axis)
    return plane * (1 - 2 * part if own is None else own) + (before + after) * part


def _through_mosaic(levels, rows, columns):
    """What a sensor with one colour a pixel makes of three planes: the missing two are means of neighbours.

    Red sits at even rows and columns of the frame, blue at odd ones, green at the others.
    """
    odd_row, odd_column = rows % 2 == 1, columns % 2 == 1
    red, green, blue = levels
    red = np.where(odd_row | odd_column, _F(0), red)
    blue = np.where(odd_row & odd_column, blue, _F(0))
    at_green = odd_row != odd_column
    green = np.where(at_green, green, _F(0))
    one, half = _F(1), _F(0.5)
    beside = _spread(green, 0, _F(0.25), _F(0)) + _spread(green, 1, _F(0.25), _F(0))
    return [
        _spread(_spread(red, 0, half, one), 1, half, one),
        np.where(at_green, green, beside),
        _spread(_spread(blue, 0, half, one), 1, half, one),
    ]
