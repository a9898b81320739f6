"""What the functions that colour surfaces take and return, and how they mix colours.

Colours are linear and come as three arrays, one for each of red, green and blue.
"""

import dataclasses
from typing import Optional

import numpy as np

_F = np.float32


@dataclasses.dataclass(eq=False)
class Batch:
    """Samples of one material; arrays [n].

    Attributes:
      surfaces: the `Surfaces` they lie on.
      ids: which of them.
      u, v: places on them, metres.
      foot_u, foot_v: extent of a pixel there, metres.
      x, y, z: places in the world, metres.
    """

    surfaces: object
    ids: np.ndarray
    u: np.ndarray
    v: np.ndarray
    foot_u: np.ndarray
    foot_v: np.ndarray
    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    _taken: dict = dataclasses.field(default_factory=dict, init=False, repr=False)

    def p(self, k):
        """Parameter k of each sample's surface."""
        if k not in self._taken:
            self._taken[k] = np.take(np.ascontiguousarray(self.surfaces.parameters[:, k]), self.ids)
        return self._taken[k]

    @property
    def color(self):
        """The first three parameters."""
        return [self.p(0), self.p(1), self.p(2)]

    def size(self, k):
        """Extent of each sample's surface along u (0) or v (1)."""
        return np.take(self.surfaces.size[:, k].astype(np.float32), self.ids)

    def normal(self):
        """The panel's normal."""
        normal = self.surfaces.normal.astype(np.float32)
        return [np.take(np.ascontiguousarray(normal[:, k]), self.ids) for k in range(3)]

    def subset(self, places):
        """Some of these samples."""
        names = ("ids", "u", "v", "foot_u", "foot_v", "x", "y", "z")
        return Batch(self.surfaces, *(getattr(self, name)[places] for name in names))


@dataclasses.dataclass
class Look:
    """What light meets.

    Attributes:
      color: albedo, three arrays.
      normal: three arrays or numbers.
      open: part of the sky that is not hidden by what is near.
      mirror: part of the light that comes from a mirrored sky, or None.
      bias: metres by which a surface forgives its own shadow.
      soft: 0 light only from the front to 1 light all around (leaves).
      glow: light of its own, or None.
    """

    color: list
    normal: list
    open: object = 1.0
    mirror: Optional[np.ndarray] = None
    bias: float = 0.25
    soft: float = 0.0
    glow: Optional[np.ndarray] = None


def mixed(colors, others, weight):
    """Colours that turn to `others` (three arrays or numbers) where `weight` is 1."""
    return [a + (b - a) * weight for a, b in zip(colors, others)]


def chosen(colors, others, where):
    """Colours, replaced by `others` where a mask is set."""
    return [np.where(where, _F(b) if np.isscalar(b) else b, a) for a, b in zip(colors, others)]


def scaled(colors, gain):
    """Colours times a gain."""
    return [c * gain for c in colors]
