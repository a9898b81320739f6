"""Light on what the rays met: sun, sky, shadows, haze."""

import numpy as np

from dsin_tf.data.street import ground, looks, materials, textures
from dsin_tf.data.street.surfaces import CONE, Material
from dsin_tf.data.street.visibility import dot, to_camera, world_rays

_F = np.float32
_BATCH = 16384  # samples of one material that are worked on at once; as many as stay in a processor's cache
_BRIGHTEST = 1.5  # a sample cannot outshine its neighbours without bound: keeps edges against the sky smooth


def shade(hits, surfaces, road, light, shadows, pose, grid, across, down):
    """Linear light that reaches the camera along each ray: three float32 [rows, columns]."""
    x, y = grid.rays(across, down)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        rays = world_rays(pose, x, y)
        picture = [np.zeros(hits.surface.shape, np.float32) for _ in range(3)]
        above = np.flatnonzero(hits.surface.ravel() < 0)
        for plane, color in zip(picture, _sky(light, [ray.ravel()[above] for ray in rays])):
            plane.ravel()[above] = color
        groups = _groups(hits.surface, surfaces)
        feet = _Footprints(surfaces, pose, grid)
        for material, places in groups:
            depth = hits.depth.ravel()[places]
            ids = hits.surface.ravel()[places]
            u, v = hits.u.ravel()[places], hits.v.ravel()[places]
            directions = [ray.ravel()[places] for ray in rays]
            wx, wy, wz = (_F(p) + depth * r for p, r in zip(pose.position, directions))
            is_ground = material in (Material.ROAD, Material.GROUND, Material.KERB)
            foot_u, foot_v = feet.at(ids, depth, u, v, is_ground)
            if material == Material.ROAD:
                look = ground.road(road, u, v, foot_u, foot_v)
            elif material == Material.GROUND:
                look = ground.pavement(road, u, v, foot_u, foot_v)
            elif material == Material.KERB:
                look = ground.kerb(road, u, v, foot_u)
            else:
                look = materials.look(material, looks.Batch(surfaces, ids, u, v, foot_u, foot_v, wx, wy, wz))
            colors = _lit(look, light, shadows, wx, wy, wz, is_ground)
            # Half of what is seen from haze_m is haze.
            haze = depth / (depth + _F(light.haze_m))
            for plane, color, veil in zip(picture, colors, light.horizon_rgb):
                color += (_F(min(veil, 1.0)) - color) * haze
                plane.ravel()[places] = color
        for plane in picture:
            np.clip(plane, 0, _F(_BRIGHTEST), out=plane)
    return picture


def _groups(surface, surfaces):
    """(Material, flat places) of all samples that are not sky, in batches."""
    kinds = np.concatenate((surfaces.material, [Material.ROAD, Material.GROUND, Material.KERB, -1])).astype(np.int8)
    kind = np.take(kinds, surface.ravel())  # the sky's -1 takes the last
    for material in Material:
        places = np.flatnonzero(kind == material)
        for begin in range(0, len(places), _BATCH):
            yield material, places[begin : begin + _BATCH]


class _Footprints:
    """Extent of a pixel on a surface along u and v.

    On a panel u = depth * (ray . U) - c with depth = D / (ray . N), so that
    du/dx = depth * (U_x - (u + c) * N_x / D), and likewise for v and for y.
    """

    def __init__(self, surfaces, pose, grid):
        count = len(surfaces)
        position = np.array(pose.position)
        origin = to_camera(pose, surfaces.origin - position)
        u, v = to_camera(pose, surfaces.u), to_camera(pose, surfaces.v)
        normal = to_camera(pose, surfaces.normal)
        plane = dot(normal, origin)
        plane = np.where(np.abs(plane) < 1e-6, 1e-6, plane)
        table = np.zeros((8, count + 3))
        table[:, :count] = [
            u[:, 0],
            u[:, 1],
            v[:, 0],
            v[:, 1],
            normal[:, 0] / plane,
            normal[:, 1] / plane,
            dot(origin, u),
            dot(origin, v),
        ]
        cone = np.flatnonzero(surfaces.kind == CONE)
        table[:, cone] = [[1.0], [0.0], [0.0], [1.0], [0.0], [0.0], [0.0], [0.0]]
        # The ground: u is X, v is Z, and the plane lies below the camera.
        axes = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
        right, ahead, up = to_camera(pose, axes)
        fall = -pose.position[1]
        level = [right[0], right[1], ahead[0], ahead[1], up[0] / fall, up[1] / fall, -position[0], -position[2]]
        table[:, count] = table[:, count + 1] = level
        table[:, count + 2] = [2.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]
        self._table = table.astype(np.float32)
        self._pixel = _F(1 / grid.focal)

    def at(self, ids, depth, u, v, one):
        """(foot_u, foot_v) in metres; `one` tells that all ids are equal."""
        # All samples of the ground lie on one surface.
        ux, uy, vx, vy, nx, ny, cu, cv = self._table[:, ids[0]] if one else (row.take(ids) for row in self._table)
        size = depth * self._pixel
        u, v = u + cu, v + cv
        foot_u = np.maximum(np.abs(ux - u * nx), np.abs(uy - u * ny))
        foot_v = np.maximum(np.abs(vx - v * nx), np.abs(vy - v * ny))
        return foot_u * size, foot_v * size


def _lit(look, light, shadows, x, y, z, is_ground):
    """Light that a surface sends to the camera: three arrays."""
    nx, ny, nz = look.normal
    facing = nx * _F(light.sun[0]) + ny * _F(light.sun[1]) + nz * _F(light.sun[2])
    soft = _F(look.soft)
    facing = np.maximum((facing + soft) / (1 + soft), 0)
    # Looked up a little before the surface, so that a wall in grazing light does not shadow itself.
    lift = _F(1.5 * shadows.cell)
    sunlit = shadows.sunlit(x + nx * lift, y + ny * lift, z + nz * lift, look.bias) * facing
    # The upper half of the world is sky, the lower half ground that the sun shines on.
    up = _F(0.5) + _F(0.5) * ny
    sky = look.open * up
    if is_ground:
        sky = sky * (_F(0.15) + _F(0.85) * shadows.sky(x, z))
    bounce = look.open * (1 - up)
    clear = shadows.sky(x, z) if look.mirror is not None else None
    colors = []
    for k, color in enumerate(look.color):
        ground_light = _F(0.12 * (light.sun_rgb[k] * light.sun[1] * 0.6 + light.sky_rgb[k]))
        total = sunlit * _F(light.sun_rgb[k]) + sky * _F(light.sky_rgb[k]) + bounce * ground_light
        out = color * total
        if look.mirror is not None:
            out = out + look.mirror * (_F(0.25) + _F(0.75) * clear) * _F(min(light.horizon_rgb[k], 1.0))
        if look.glow is not None:
            out = out + look.glow[k]
        colors.append(out)
    return colors


def _sky(light, rays):
    """The sky along some rays: three float32 arrays."""
    dx, dy, dz = rays
    rise = np.maximum(dy, _F(0)) / np.sqrt(dx * dx + dz * dz)
    height = np.minimum(rise * _F(2.6), 1)
    height = height * (2 - height)
    planes = [_F(low) + _F(top - low) * height for top, low in zip(light.zenith_rgb, light.horizon_rgb)]
    if light.cloud_cover > 0.1:
        # Clouds lie on a level far above.
        flat = 1 / (rise + _F(0.12))
        foot = np.full_like(rise, 0.004) * flat
        cover = textures.clouds().at(
            dx * flat * _F(0.35) + _F(light.cloud_offset[0]),
            flat * _F(0.35) + _F(light.cloud_offset[1]),
            foot,
            foot * 3,
            "cover",
        )
        cloud = np.clip((cover - _F(0.75 - 0.4 * light.cloud_cover)) * _F(3.5), 0, 1)
        planes = [p + (_F(c) - p) * cloud for p, c in zip(planes, light.cloud_rgb)]
    return planes
