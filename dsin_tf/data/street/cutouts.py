"""Which points of a surface are solid: outlines of cars and signs, gaps between leaves and pickets."""

import numpy as np

from dsin_tf.data.street import furniture, plants, textures
from dsin_tf.data.street.noise import hash_unit
from dsin_tf.data.street.surfaces import Material

_F = np.float32


def solid(material, p, size, taper, u, v, foot):
    """True where a surface is solid, or None when it has no holes.

    Args:
      material: `Material`.
      p: its parameters, PARAMETERS floats.
      size, taper: of the panel.
      u, v: places on it, metres, arrays.
      foot: size of a pixel there, metres, one number.
    """
    test = _TESTS.get(material)
    return None if test is None else test(p, size, taper, u, v, foot)


def foliage_place(p, u, v):
    """Where in the leaf texture a place of a FOLIAGE panel lies."""
    return (u * p[10] + p[4]), (v * p[10] + p[5])


def _foliage(p, size, taper, u, v, foot):
    half_w, half_h = _F(size[0] / 2), _F(size[1] / 2)
    outline = p[9]
    if outline == plants.WALL:
        return _ragged(p, size, u, v, foot)
    if outline == plants.ROUND:
        reach = np.square((u - half_w) / half_w) + np.square((v - half_h) / half_h)
    else:
        half = half_w - v * _F(taper[0])
        reach = np.square((u - half_w) / np.maximum(half, _F(0.02)))
    scale = _F(p[10])
    su, sv = foliage_place(p, u, v)
    foot = _F(foot) * scale
    return textures.leaves().at(su, sv, foot, foot, "cover") > reach * _F(0.95) - _F(0.22)


def _ragged(p, size, u, v, foot):
    """A wall of leaves whose top goes up and down as crowns do."""
    su, sv = foliage_place(p, u, v)
    foot = _F(foot) * _F(p[10])
    height = textures.leaves().at(su, sv, foot, foot, "height")
    level = su * 0 + _F(p[3])
    crowns = textures.leaves().at(su * _F(0.11), level, foot * _F(0.11), _F(0), "clump")
    twigs = textures.leaves().at(su * _F(0.6), level, foot * _F(0.6), _F(0), "clump")
    top = _F(size[1]) * (_F(0.25) + _F(0.55) * crowns + _F(0.2) * twigs)
    # It comes down to the ground at its ends.
    end = np.minimum(u, _F(size[0]) - u) * _F(3 / size[1])
    top = top * np.minimum(end * (2 - np.minimum(end, 1)), 1)
    return v < top + (height - _F(0.6)) * _F(0.8)


def _hedge(p, size, taper, u, v, foot):
    foot = _F(foot)
    clump = textures.leaves().at(u + _F(p[3]), v, foot, foot, "clump")
    return v < _F(size[1]) - clump * _F(0.16)


def _blades(p, size, taper, u, v, foot):
    foot = _F(foot)
    ragged = textures.grass().at(u * _F(1.3) + _F(p[3]), v * _F(0.25), foot, foot, "height")
    return v < _F(size[1]) * (_F(0.1) + _F(1.1) * ragged * ragged)


def _car_side(p, size, taper, u, v, foot):
    along = u if p[4] == 0 else _F(size[0]) - u  # metres from the rear
    bonnet, nose, belt, boot, tail = (_F(x) for x in p[5:10])
    front = _F(size[0]) - along
    top = np.minimum(nose + (belt - nose) * front / bonnet, tail + (belt - tail) * along / np.maximum(boot, _F(0.03)))
    # Bumpers are rounded, wheel arches cut out.
    corner = np.minimum(front, along)
    bottom = np.maximum(_F(0.12) - corner, _F(0)) * _F(0.9)
    top = np.minimum(top, belt) - np.maximum(_F(0.10) - corner, _F(0)) * _F(0.8)
    return (v < top) & (v > bottom)


def _wheel(p, size, taper, u, v, foot):
    radius = _F(size[0] / 2)
    return np.square(u - radius) + np.square(v - radius) < radius * radius


def _sign(p, size, taper, u, v, foot):
    kind = p[4]
    a, b = u / _F(size[0]) * 2 - 1, v / _F(size[1]) * 2 - 1
    if kind == furniture.DISC:
        return a * a + b * b < 1
    if kind == furniture.WARNING:
        return np.abs(a) < (1 - b) * _F(0.5)
    if kind == furniture.PRIORITY:
        return np.abs(a) + np.abs(b) < 1
    if kind == furniture.LETTERING:
        return lettering(p, size, u, v) if size[1] < 0.6 and p[0] + p[1] > 0.1 else np.ones(u.shape, bool)
    return np.ones(u.shape, bool)


def lettering(p, size, u, v):
    """True inside the strokes of something like writing."""
    height = _F(size[1])
    cell = height * _F(0.62)
    column = np.floor(u / cell)
    x, y = u / cell - column, v / height
    # A letter is a random choice of strokes in a 3 by 5 raster.
    px, py = np.floor(x * _F(4)), np.floor((y - _F(0.15)) * _F(7))
    stroke = hash_unit(int(p[3]), column, px, py) < _F(0.62)
    space = hash_unit(int(p[3]) + 1, column) < _F(0.15)
    return stroke & (px < 3) & (py >= 0) & (py < 5) & ~space


def _fence(p, size, taper, u, v, foot):
    kind, spacing, height = p[4], _F(p[5]), _F(size[1])
    phase = u / spacing
    phase = phase - np.floor(phase)
    near_post = phase * spacing
    if kind == 0:  # pickets and two rails
        rail = (np.abs(v - height * _F(0.92)) < _F(0.04)) | (np.abs(v - height * _F(0.15)) < _F(0.04))
        return (phase < _F(0.38)) | rail
    if kind == 1:  # posts and rails
        rail = (np.abs(v - height * _F(0.95)) < _F(0.035)) | (np.abs(v - height * _F(0.5)) < _F(0.03))
        return (near_post < _F(0.08)) | rail
    if kind == 2:  # guard rail
        return (np.abs(v - _F(0.58)) < _F(0.16)) | ((near_post < _F(0.12)) & (v < _F(0.5)))
    # Wire mesh: posts, a frame, and wires as far as they can be told apart.
    mesh_u, mesh_v = u * _F(1 / 0.06), v * _F(1 / 0.06)
    wire = np.minimum(np.abs(mesh_u - np.rint(mesh_u)), np.abs(mesh_v - np.rint(mesh_v))) < _F(0.05)
    return (near_post < _F(0.07)) | (v > height - _F(0.05)) | (wire & (foot < 0.03))


def _person(p, size, taper, u, v, foot):
    tall = _F(size[1])
    a, b = (u - _F(size[0] / 2)) / tall, v / tall
    head = np.square(a / _F(0.055)) + np.square((b - _F(0.935)) / _F(0.065)) < 1
    stride = _F(0.02 + 0.03 * ((int(p[3]) >> 3) % 4))
    width = _F(0.135) - np.abs(b - _F(0.70)) * _F(0.16)
    torso = (np.abs(a) < width) & (b > _F(0.46)) & (b < _F(0.86))
    leg = _F(0.05) + (_F(0.5) - b) * stride
    legs = (np.abs(np.abs(a) - leg * _F(0.9)) < _F(0.042)) & (b <= _F(0.5))
    return head | torso | legs


_TESTS = {
    Material.FOLIAGE: _foliage,
    Material.HEDGE: _hedge,
    Material.GRASS_BLADES: _blades,
    Material.CAR_SIDE: _car_side,
    Material.WHEEL: _wheel,
    Material.SIGN: _sign,
    Material.FENCE: _fence,
    Material.PERSON: _person,
}

TESTED = frozenset(_TESTS)  # materials that `solid` knows; all others have no holes
