"""Where the sun does not reach, and how much of the sky the ground sees.

Both are maps over the ground. Along the direction of the sun every point falls onto one place of the ground;
the map of shadows holds, for each place, the height of the highest thing on that line. A point lies in shadow
when something on its line is higher than the point itself. The same map with the sun overhead tells what
stands over the ground; smoothed, it is the part of the sky that is hidden there.
"""

import numpy as np

from dsin_tf.data.street import cutouts
from dsin_tf.data.street.surfaces import PANEL, Material

_F = np.float32
_X = (-26.0, 26.0)
_Z = (-6.0, 92.0)  # from the camera
_COVER_CELL = 0.4  # metres
_DETAIL_M = 45.0
_OPEN = -100.0  # height where nothing casts a shadow


class Shadows:
    """Maps for one moment of a scene.

    Args:
      surfaces: `Surfaces`.
      road: `Road`.
      light: `Light`.
      z: where the camera is, metres along the road.
      cell: edge of a cell, metres.
    """

    def __init__(self, surfaces, road, light, z, cell):
        middle = road.bend / 2 * (z + 25) * (z + 25)
        self._x0, self._z0, self.cell = _X[0] + middle, z + _Z[0], cell
        self._shift = (light.sun[0] / light.sun[1], light.sun[2] / light.sun[1])
        self._top = self._heights(surfaces, light.sun, cell)
        over = self._heights(surfaces, (0.0, 1.0, 0.0), _COVER_CELL)
        self._cover = _blurred((over > _F(0.45)).astype(np.float32), 1)

    def sunlit(self, x, y, z, bias):
        """Part of the sun that reaches points, 0 to 1: float32 like x.

        What stands less than `bias` metres over a point does not count: it is the point's own surface.
        """
        ground_x, ground_z = x - y * _F(self._shift[0]), z - y * _F(self._shift[1])
        level = y + _F(bias)
        total = None
        for value, weight in self._corners(self._top, self.cell, ground_x, ground_z):
            part = (value <= level) * weight
            total = part if total is None else total + part
        return total

    def sky(self, x, z):
        """Part of the sky that the ground sees, 0 to 1: float32 like x."""
        total = None
        for value, weight in self._corners(self._cover, _COVER_CELL, x, z):
            total = value * weight if total is None else total + value * weight
        return 1 - total

    def _corners(self, plane, cell, x, z):
        """The four cells around places, each with its weight."""
        rows, columns = plane.shape
        column = np.clip((x - _F(self._x0)) * _F(1 / cell), 0, columns - 1.001)
        row = np.clip((z - _F(self._z0)) * _F(1 / cell), 0, rows - 1.001)
        low_c, low_r = np.floor(column), np.floor(row)
        fc, fr = column - low_c, row - low_r
        start = low_r.astype(np.int32) * columns + low_c.astype(np.int32)
        flat = plane.ravel()
        yield flat[start], (1 - fc) * (1 - fr)
        yield flat[start + 1], fc * (1 - fr)
        yield flat[start + columns], (1 - fc) * fr
        yield flat[start + columns + 1], fc * fr

    def _heights(self, surfaces, sun, cell):
        """Height of the highest thing on the line towards the sun through each cell: float32 [rows, columns]."""
        shift = (sun[0] / sun[1], sun[2] / sun[1])
        shape = (int((_Z[1] - _Z[0]) / cell), int((_X[1] - _X[0]) / cell))
        normal = surfaces.normal
        facing = normal[:, 0] * sun[0] + normal[:, 1] * sun[1] + normal[:, 2] * sun[2]
        # Of a closed body the faces towards the sun cast all of its shadow.
        chosen = surfaces.casts & (surfaces.kind == PANEL) & ((facing > 0.02) | surfaces.double | ~surfaces.visible)
        # The shadow of a small thing far away cannot be told.
        close = np.abs(surfaces.origin[:, 2] - self._z0) < _DETAIL_M
        chosen &= close | (surfaces.size[:, 0] * surfaces.size[:, 1] > 0.8)
        heights = np.full(shape, _OPEN, np.float32)
        origin, u, v, size = surfaces.origin, surfaces.u, surfaces.v, surfaces.size

        def fall(vectors):
            return vectors[:, 0] - shift[0] * vectors[:, 1], vectors[:, 2] - shift[1] * vectors[:, 1]

        ox, oz = fall(origin)
        ux, uz = fall(u)
        vx, vz = fall(v)
        area = ux * vz - uz * vx
        cells = 1 / cell
        span_u, span_v = size[:, 0], size[:, 1]
        limits = []
        for start, along, up, begin, length in (
            (ox, ux, vx, self._x0, shape[1]),
            (oz, uz, vz, self._z0, shape[0]),
        ):
            ends = np.stack((start, start + along * span_u, start + up * span_v, start + along * span_u + up * span_v))
            limits.append(np.clip(np.floor((ends.min(axis=0) - begin) * cells), 0, length).astype(np.int64))
            limits.append(np.clip(np.ceil((ends.max(axis=0) - begin) * cells) + 1, 0, length).astype(np.int64))
        left, right, near, far = limits
        chosen = chosen & (np.abs(area) > 0.02) & (left < right) & (near < far)
        xs = (self._x0 + np.arange(shape[1]) * cell).astype(np.float32)
        zs = (self._z0 + np.arange(shape[0]) * cell).astype(np.float32)
        for k in np.flatnonzero(chosen):
            gx = xs[left[k] : right[k]][None, :] - _F(ox[k])
            gz = zs[near[k] : far[k]][:, None] - _F(oz[k])
            inverse = 1 / area[k]
            at_u = gx * _F(vz[k] * inverse) - gz * _F(vx[k] * inverse)
            at_v = gz * _F(ux[k] * inverse) - gx * _F(uz[k] * inverse)
            low, high = surfaces.taper[k]
            inside = (at_v >= 0) & (at_v <= _F(span_v[k]))
            inside &= (at_u >= at_v * _F(low)) & (at_u <= _F(span_u[k]) - at_v * _F(high))
            material = Material(surfaces.material[k])
            if material == Material.FOLIAGE:
                places = np.flatnonzero(inside)
                p = surfaces.parameters[k]
                inside.ravel()[places] = cutouts.solid(
                    material, p, size[k], surfaces.taper[k], at_u.ravel()[places], at_v.ravel()[places], cell * 0.5
                )
            height = at_u * _F(u[k, 1]) + at_v * _F(v[k, 1]) + _F(origin[k, 1])
            window = heights[near[k] : far[k], left[k] : right[k]]
            np.maximum(window, height, out=window, where=inside)
        return heights


def _blurred(plane, reach):
    """`plane` averaged over a window of 2 * reach + 1 cells each way, twice."""
    for axis in (0, 1):
        for _ in range(2):
            total = plane.copy()
            for shift in range(1, reach + 1):
                for way in (shift, -shift):
                    total += _shifted(plane, way, axis)
            plane = total * _F(1 / (2 * reach + 1))
    return plane


def _shifted(plane, way, axis):
    """`plane` moved by some cells, its edge repeated."""
    index = np.clip(np.arange(plane.shape[axis]) - way, 0, plane.shape[axis] - 1)
    return np.take(plane, index, axis=axis)
