"""What a scene is built from: flat panels, upright cones, and the table that the renderer reads them from.

A panel is a rectangle (or a trapezoid) with its own axes in metres: u runs to the right and v upwards as seen
from its front, so its normal is v x u. A cone stands upright: v is the height over its foot, u the part of its
surface normal that points to world X.
"""

import dataclasses
import enum
import math

import numpy as np


class Material(enum.IntEnum):
    """How a surface looks; `shading` has a function for each. Those of `CUT_OUT` have holes."""

    ROAD = 0
    GROUND = 1
    KERB = 2
    FACADE = 3
    PLAIN = 4
    ROOF = 5
    FOLIAGE = 6
    HEDGE = 7
    CAR_SIDE = 8
    CAR_CABIN = 9
    CAR_FRONT = 10
    CAR_REAR = 11
    PAINT = 12
    GLASS = 13
    WHEEL = 14
    POLE = 15
    TRUNK = 16
    SIGN = 17
    FENCE = 18
    GRASS_BLADES = 19
    PERSON = 20


PARAMETERS = 12  # numbers that a material may read for each surface

PANEL, CONE = 0, 1


@dataclasses.dataclass(frozen=True)
class Surfaces:
    """All surfaces of a scene at one moment, as arrays with one row a surface.

    Attributes:
      kind: PANEL or CONE. int32 [P].
      origin: the corner u = v = 0 of a panel, the foot of a cone's axis. float64 [P, 3], as the next two.
      u, v: unit axes of a panel; a cone has u = (radius at the foot, metres it loses each metre, 0).
      size: extent along u and v, metres (a cone: 2 and its height). float64 [P, 2].
      taper: metres that the left and right edges move inwards for each metre of v. float64 [P, 2].
      material: Material. int32 [P].
      double: also seen from behind. bool [P], as the next two.
      visible: drawn (False: only casts a shadow).
      casts: throws a shadow.
      parameters: float32 [P, PARAMETERS].
    """

    kind: np.ndarray
    origin: np.ndarray
    u: np.ndarray
    v: np.ndarray
    size: np.ndarray
    taper: np.ndarray
    material: np.ndarray
    double: np.ndarray
    visible: np.ndarray
    casts: np.ndarray
    parameters: np.ndarray

    def __len__(self):
        return len(self.kind)

    @property
    def normal(self):
        """Unit normals v x u: float64 [P, 3]; no meaning for cones."""
        return cross(self.v, self.u)

    def joined(self, other):
        """These surfaces and then the other ones."""
        return Surfaces(
            *(
                np.concatenate((getattr(self, field.name), getattr(other, field.name)))
                for field in dataclasses.fields(self)
            )
        )


def cross(a, b):
    """Cross products of rows, with no call into a linear algebra library."""
    return np.stack(
        (
            a[..., 1] * b[..., 2] - a[..., 2] * b[..., 1],
            a[..., 2] * b[..., 0] - a[..., 0] * b[..., 2],
            a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0],
        ),
        axis=-1,
    )


class Builder:
    """Collects surfaces one after the other."""

    def __init__(self):
        self._rows = []

    def panel(
        self, origin, u, v, size, material, parameters=(), taper=(0.0, 0.0), double=False, visible=True, casts=True
    ):
        """Adds a panel; `u` and `v` are unit vectors at a right angle. See `Surfaces` for the rest."""
        self._rows.append((PANEL, origin, u, v, size, taper, material, double, visible, casts, parameters))

    def cone(self, foot, height, radius, material, parameters=(), narrowing=0.0):
        """Adds an upright cone (a cylinder when `narrowing`, metres of radius lost each metre, is 0)."""
        axes = (radius, narrowing, 0.0), (0.0, 1.0, 0.0)
        self._rows.append((CONE, foot, *axes, (2.0, height), (0.0, 0.0), material, True, True, False, parameters))

    def finish(self):
        """The collected `Surfaces`."""
        rows = self._rows
        table = np.zeros((len(rows), PARAMETERS), np.float32)
        for place, row in enumerate(rows):
            table[place, : len(row[10])] = row[10]

        def column(k, shape, dtype):
            return np.array([row[k] for row in rows], dtype=dtype).reshape((len(rows), *shape))

        return Surfaces(
            kind=column(0, (), np.int32),
            origin=column(1, (3,), np.float64),
            u=column(2, (3,), np.float64),
            v=column(3, (3,), np.float64),
            size=column(4, (2,), np.float64),
            taper=column(5, (2,), np.float64),
            material=column(6, (), np.int32),
            double=column(7, (), bool),
            visible=column(8, (), bool),
            casts=column(9, (), bool),
            parameters=table,
        )


class Frame:
    """A place on the ground with a heading; gives objects their own axes right, up, ahead.

    Args:
      x, y, z: the place, metres.
      sine, cosine: of the heading, 0 along Z, positive to the right.
    """

    UP = (0.0, 1.0, 0.0)

    def __init__(self, x, y, z, sine=0.0, cosine=1.0):
        self.x, self.y, self.z = x, y, z
        self.right = (cosine, 0.0, -sine)
        self.ahead = (sine, 0.0, cosine)
        self.left = (-cosine, 0.0, sine)
        self.back = (-sine, 0.0, -cosine)

    def at(self, right, up, ahead):
        """The world place of local metres."""
        return (
            self.x + right * self.right[0] + ahead * self.ahead[0],
            self.y + up,
            self.z + right * self.right[2] + ahead * self.ahead[2],
        )

    def leaning(self, direction, run, rise):
        """Unit vector and length of `run` metres along a horizontal direction and `rise` metres upwards."""
        length = math.sqrt(run * run + rise * rise)
        return tuple(d * run / length + (rise / length if k == 1 else 0.0) for k, d in enumerate(direction)), length

    def box(self, builder, right, up, ahead, size, material, parameters, top=True, **options):
        """A box by its near lower left corner and its size (right, up, ahead): front, sides and top."""
        wide, high, deep = size
        builder.panel(self.at(right, up, ahead), self.right, self.UP, (wide, high), material, parameters, **options)
        builder.panel(
            self.at(right, up, ahead + deep), self.back, self.UP, (deep, high), material, parameters, **options
        )
        builder.panel(
            self.at(right + wide, up, ahead), self.ahead, self.UP, (deep, high), material, parameters, **options
        )
        builder.panel(
            self.at(right + wide, up, ahead + deep), self.left, self.UP, (wide, high), material, parameters, **options
        )
        if top:
            builder.panel(
                self.at(right, up + high, ahead), self.right, self.ahead, (wide, deep), material, parameters, **options
            )
