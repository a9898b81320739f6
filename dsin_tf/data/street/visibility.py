"""Finds for each ray of a camera the surface that it meets first, and where."""

import dataclasses

import numpy as np

from dsin_tf.data.street import cutouts
from dsin_tf.data.street.layout import KERB_M
from dsin_tf.data.street.surfaces import CONE, Material

NEAR_M = 0.4
_SMALLEST = 3.0  # pixels; a surface in a smaller rectangle is left out
GROUND_M = 400.0  # the ground is drawn up to here
_F = np.float32


@dataclasses.dataclass(frozen=True)
class Hits:
    """What the rays met; arrays [rows, columns] of samples.

    Attributes:
      surface: index of the surface; `len(surfaces)` and the two after it are the road's level, the ground
        behind kerbs, and the kerbs; -1 is the sky. int32.
      depth: distance along the camera's forward axis, metres; infinite in the sky. float32, as the next two.
      u, v: the place on the surface, metres; on the ground world X and Z.
    """

    surface: np.ndarray
    depth: np.ndarray
    u: np.ndarray
    v: np.ndarray


def to_camera(pose, vectors):
    """World vectors [..., 3] in the camera's axes right, down, forward."""
    axes = (pose.right, pose.down, pose.forward)
    parts = [vectors[..., 0] * a[0] + vectors[..., 1] * a[1] + vectors[..., 2] * a[2] for a in axes]
    return np.stack(parts, axis=-1)


def world_rays(pose, x, y):
    """The rays (x, y, 1) in world axes: three float32 [rows, columns]."""
    row, column = x[None, :], y[:, None]
    return tuple((row * _F(pose.right[k]) + _F(pose.forward[k])) + column * _F(pose.down[k]) for k in range(3))


def trace(surfaces, road, pose, grid, across, down):
    """Meets the rays of `grid.rays(across, down)` with the surfaces and the ground: `Hits`."""
    x, y = grid.rays(across, down)
    shape = (len(y), len(x))
    hits = Hits(
        np.full(shape, -1, np.int32),
        np.full(shape, np.inf, np.float32),
        np.zeros(shape, np.float32),
        np.zeros(shape, np.float32),
    )
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        _trace_surfaces(hits, surfaces, pose, grid, x, y, across, down)
        _trace_ground(hits, len(surfaces), road, pose, x, y)
    return hits


def _trace_surfaces(hits, surfaces, pose, grid, x, y, across, down):
    """Panels and cones, nearest first, each within its own rectangle of the picture."""
    position = np.array(pose.position)
    origin = to_camera(pose, surfaces.origin - position)
    u, v = to_camera(pose, surfaces.u), to_camera(pose, surfaces.v)
    normal = to_camera(pose, surfaces.normal)
    cone = surfaces.kind == CONE

    # A cone's outline lies within an upright panel through its axis.
    radius = surfaces.u[:, :1]
    level = np.array([[1.0, 0.0, 0.0]])
    step_u = np.where(cone[:, None], level * radius * 2.2, u * surfaces.size[:, :1])
    start = np.where(cone[:, None], origin - level * radius * 1.1, origin)
    step_v = v * surfaces.size[:, 1:]
    corners = np.stack((start, start + step_u, start + step_u + step_v, start + step_v), axis=1)
    nearest = corners[:, :, 2].min(axis=1) - np.where(cone, radius[:, 0], 0.0)

    box, area = _rectangles(corners, grid, across, down, hits.depth.shape)
    plane = dot(normal, origin)
    front = cone | surfaces.double | (plane < 0)
    shown = surfaces.visible & front & (box[:, 0] < box[:, 1]) & (box[:, 2] < box[:, 3])
    shown &= area > _SMALLEST * across * down
    shown &= np.abs(plane) + cone > 1e-9
    # Stable order, so that equal distances never depend on the sorting algorithm.
    order = np.flatnonzero(shown)
    order = order[np.argsort(nearest[order], kind="stable")]

    # What is needed of a panel: its normal and distance, and its axes with their offsets.
    columns = (normal, plane[:, None], u, dot(origin, u)[:, None], v, dot(origin, v)[:, None])
    forms = np.concatenate(columns, axis=1).astype(np.float32)
    pixel = 1 / grid.focal
    known = tuple(Material)
    materials = [known[number] for number in surfaces.material.tolist()]
    # Plain numbers are quicker to come by than elements of arrays.
    box, tapers, sizes = box.tolist(), surfaces.taper.tolist(), surfaces.size.tolist()
    for k in order.tolist():
        left, right, top, bottom = box[k]
        window = (slice(top, bottom), slice(left, right))
        depth = hits.depth[window]
        if depth.max() <= nearest[k]:
            continue
        row, column = x[left:right][None, :], y[top:bottom][:, None]
        if cone[k]:
            z, at_u, at_v, inside = _meet_cone(surfaces, k, pose, row, column)
            inside &= z < depth
        else:
            nx, ny, nz, distance, ux, uy, uz, u_offset, vx, vy, vz, v_offset = forms[k]
            z = distance / ((row * nx + nz) + column * ny)
            inside = z < depth
            if not inside.any():
                continue
            at_u = z * ((row * ux + uz) + column * uy) - u_offset
            at_v = z * ((row * vx + vz) + column * vy) - v_offset
            low, high = tapers[k]
            wide, tall = sizes[k]
            inside &= at_v >= 0
            inside &= at_v <= _F(tall)
            inside &= at_u >= (at_v * _F(low) if low else _F(0))
            inside &= at_u <= (_F(wide) - at_v * _F(high) if high else _F(wide))
        if nearest[k] < NEAR_M:
            inside &= z > _F(NEAR_M)
        if not inside.any():
            continue
        if materials[k] in cutouts.TESTED:
            chosen = np.flatnonzero(inside)
            foot = max(nearest[k], NEAR_M) * pixel
            places = at_u.ravel()[chosen], at_v.ravel()[chosen]
            inside.ravel()[chosen] = cutouts.solid(
                materials[k], surfaces.parameters[k], sizes[k], tapers[k], *places, foot
            )
        np.copyto(depth, z, where=inside)
        np.copyto(hits.u[window], at_u, where=inside)
        np.copyto(hits.v[window], at_v, where=inside)
        np.copyto(hits.surface[window], np.int32(k), where=inside)


def dot(a, b):
    """Scalar products of rows, added in a fixed order."""
    return a[..., 0] * b[..., 0] + a[..., 1] * b[..., 1] + a[..., 2] * b[..., 2]


def _rectangles(corners, grid, across, down, shape):
    """Sample rectangles that hold four-cornered outlines.

    Returns:
      (left, right, top, bottom), ends exclusive, within the picture: int64 [P, 4]. And how many samples they
      have with what lies outside the picture: float64 [P].
    """
    z = corners[:, :, 2]
    following = np.roll(corners, -1, axis=1)
    # Where an edge passes the near plane the outline gets a corner there.
    part = (NEAR_M - z) / (following[:, :, 2] - z)
    crossing = corners + (following - corners) * part[:, :, None]
    crosses = (z < NEAR_M) != (following[:, :, 2] < NEAR_M)
    points = np.concatenate((corners, crossing), axis=1)
    valid = np.concatenate((z >= NEAR_M, crosses), axis=1)
    depth = np.maximum(points[:, :, 2], NEAR_M * 0.5)
    column, row = grid.sample_of(points[:, :, 0] / depth, points[:, :, 1] / depth, across, down)
    limits, area = [], 1.0
    for place, length in ((column, shape[1]), (row, shape[0])):
        low = np.floor(np.where(valid, place, np.inf).min(axis=1))
        high = np.ceil(np.where(valid, place, -np.inf).max(axis=1)) + 1
        limits += [np.clip(end, 0, length).astype(np.int64) for end in (low, high)]
        area = area * np.maximum(high - low, 0)
    return np.stack(limits, axis=1), area


def _meet_cone(surfaces, k, pose, row, column):
    """Depth, part of the normal along X, height over the foot, and whether the ray meets the cone at all."""
    radius, narrowing, _ = surfaces.u[k]
    ox, oy, oz = (_F(c - f) for c, f in zip(pose.position, surfaces.origin[k]))
    dx, dy, dz = ((row * _F(pose.right[i]) + _F(pose.forward[i])) + column * _F(pose.down[i]) for i in range(3))
    level = dx * dx + dz * dz
    closest = -(dx * ox + dz * oz) / level
    thick = _F(radius) - _F(narrowing) * (closest * dy + oy)
    miss = dz * ox - dx * oz
    room = thick * thick * level - miss * miss
    z = closest - np.sqrt(np.maximum(room, 0)) / level
    height = z * dy + oy
    inside = (room > 0) & (height >= 0) & (height <= _F(surfaces.size[k, 1])) & (thick > 0)
    across = np.clip((z * dx + ox) / thick, -1, 1)
    return z, across, height, inside


def _trace_ground(hits, first, road, pose, x, y):
    """The road, the higher ground behind kerbs, and the kerbs between them, where nothing stands before them."""
    free = np.flatnonzero(hits.surface.ravel() < 0)
    rows, columns = np.divmod(free, len(x))
    dx, dy, dz = ((x[columns] * _F(pose.right[k]) + _F(pose.forward[k])) + y[rows] * _F(pose.down[k]) for k in range(3))
    below = dy < _F(-pose.position[1] / GROUND_M)
    free, dx, dy, dz = free[below], dx[below], dy[below], dz[below]
    cx, cy, cz = (_F(c) for c in pose.position)

    def meet(level):
        z = (_F(level) - cy) / dy
        place_x, place_z = z * dx + cx, z * dz + cz
        return z, place_x, place_z, place_x - _F(road.bend / 2) * place_z * place_z

    z_low, x_low, w_low, d_low = meet(0.0)
    surface = np.full(len(free), first, np.int32)
    depth, at_u, at_v = z_low, x_low, w_low
    if road.left.raised or road.right.raised:
        z_high, x_high, w_high, d_high = meet(KERB_M)
        for edge, raised, sign in ((road.right.edge, road.right.raised, 1), (road.left.edge, road.left.raised, -1)):
            if not raised:
                continue
            on_top = d_high * _F(sign) > _F(edge)
            # The ray passes over the road at kerb height and would go under the pavement: it meets the kerb.
            on_kerb = ~on_top & (d_low * _F(sign) > _F(edge))
            surface = np.where(on_top, np.int32(first + 1), np.where(on_kerb, np.int32(first + 2), surface))
            part = np.clip((_F(edge * sign) - d_high) / (d_low - d_high), 0, 1)
            depth = np.where(on_top, z_high, np.where(on_kerb, z_high + (z_low - z_high) * part, depth))
            at_u = np.where(on_top, x_high, np.where(on_kerb, w_high + (w_low - w_high) * part, at_u))
            at_v = np.where(on_top, w_high, np.where(on_kerb, _F(KERB_M) * (1 - part), at_v))
    hits.surface.ravel()[free] = surface
    hits.depth.ravel()[free] = depth
    hits.u.ravel()[free] = at_u
    hits.v.ravel()[free] = at_v
