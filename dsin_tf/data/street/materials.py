"""How each material looks: albedo, the way it faces, what it mirrors, from places on its surfaces.

Each function takes a `Batch` of samples of one material and returns a `Look`.
"""

import numpy as np

from dsin_tf.data.street import bodywork, facades, furniture, textures
from dsin_tf.data.street.looks import Look, chosen, mixed, scaled
from dsin_tf.data.street.noise import hash_unit
from dsin_tf.data.street.surfaces import Material

_F = np.float32


def look(material, batch):
    """The `Look` of a batch."""
    return _LOOKS[material](batch)


def _plain(s):
    grain, blotch = textures.mineral().at(s.u + s.p(3), s.v, s.foot_u, s.foot_v, "grain", "blotch")
    rough = _F(0.35) + s.p(4)
    tone = 1 + rough * (grain - _F(0.5)) + rough * _F(0.8) * (blotch - _F(0.5))
    return Look(scaled(s.color, tone), s.normal(), bias=0.15)


def _leafy(s, scale, ou, ov, contrast=1.0):
    """Light and colour of leaves: (tone around 1, rgb)."""
    tone, hue, clump = textures.leaves().at(
        s.u * scale + ou, s.v * scale + ov, s.foot_u * scale, s.foot_v * scale, "tone", "hue", "clump"
    )
    light = _F(0.06) + _F(2.7) * tone * (_F(0.12) + _F(1.75) * clump)
    warm = (hue - _F(0.5)) * _F(0.5)
    r, g, b = s.color
    return light, clump, [r * (1 + warm), g * (1 + warm * _F(0.3)), b * (1 - warm * _F(0.4))]


def _foliage(s):
    wide, high = s.size(0) * _F(0.5), s.size(1) * _F(0.5)
    light, clump, color = _leafy(s, s.p(10), s.p(4), s.p(5))
    color = scaled(color, light * s.p(11))
    # The layer bulges: leaves at its rim face outwards, and those of a clump deep in the crown get less light.
    a, b = (s.u - wide) / wide, (s.v - high) / high
    outline = s.p(9)
    rounded = np.where(outline == 0, _F(1), _F(0.25))
    normal = [s.p(6) * _F(0.8) + a * rounded, s.p(7) * _F(0.8) + b * rounded + _F(0.25), -s.p(8) * _F(0.5) - _F(0.35)]
    length = np.sqrt(normal[0] * normal[0] + normal[1] * normal[1] + normal[2] * normal[2])
    normal = [n / length for n in normal]
    shade = np.clip(_F(0.55) + _F(0.35) * normal[1] + _F(0.25) * (clump - _F(0.5)), _F(0.1), 1)
    wall = np.clip(_F(0.25) + _F(0.75) * s.v / s.size(1), 0, 1)
    return Look(color, normal, open=np.where(outline == 1, shade * wall, shade), bias=1.2, soft=0.45)


def _hedge(s):
    light, clump, color = _leafy(s, _F(1.4), s.p(3), s.p(3))
    low = np.clip(_F(0.35) + s.v, 0, 1)
    normal = s.normal()
    return Look(scaled(color, light), normal, open=low * (_F(0.6) + _F(0.4) * clump), bias=0.6, soft=0.35)


def _blades(s):
    tone, hue = textures.grass().at(s.u * _F(1.3) + s.p(3), s.v * _F(0.5), s.foot_u, s.foot_v, "tone", "hue")
    color = mixed(scaled(s.color, _F(0.35) + _F(1.7) * tone), (0.2, 0.17, 0.07), hue * _F(0.4))
    up = np.clip(s.v / s.p(4), 0, 1)
    zero = np.zeros_like(up)
    return Look(scaled(color, _F(0.5) + _F(0.6) * up), [zero, zero + 1, zero], open=_F(0.5) + _F(0.5) * up, soft=0.5)


def _cone_normal(s):
    """Normals of cones from the part along X; the camera sees the side that faces back along Z."""
    x = np.clip(s.u, -1, 1)
    return [x, np.zeros_like(x), -np.sqrt(np.maximum(1 - x * x, 0))]


def _pole(s):
    normal = _cone_normal(s)
    grain = textures.mineral().at(s.u * _F(0.1) + s.p(3), s.v, s.foot_u, s.foot_v, "blotch")
    return Look(scaled(s.color, _F(0.7) + _F(0.6) * grain), normal, bias=0.6)


def _trunk(s):
    places = s.u * _F(0.35) + s.p(3), s.v * _F(0.5), s.foot_u, s.foot_v * _F(0.5)
    tone, mottle = textures.bark().at(*places, "tone", "mottle")
    light = (_F(0.3) + _F(1.2) * tone) * (_F(0.6) + _F(0.8) * mottle)
    return Look(scaled(s.color, light), _cone_normal(s), open=0.7, bias=0.8)


def _sign(s):
    kind = s.p(4)
    a, b = s.u / s.size(0) * 2 - 1, s.v / s.size(1) * 2 - 1
    r2 = a * a + b * b
    seed = s.p(3).astype(np.int32)
    white = (0.66, 0.66, 0.64)
    mark = hash_unit(33, seed, np.floor(np.abs(a) * 5), np.floor(b * 5)) < _F(0.5)
    color = s.color
    disc = (kind == furniture.DISC) & (r2 < _F(0.6))
    color = chosen(color, white, disc)
    color = chosen(color, (0.02, 0.02, 0.02), disc & mark & (r2 < _F(0.3)))
    inner = (kind == furniture.WARNING) & (np.abs(a) < (1 - b) * _F(0.5) - _F(0.2)) & (b > _F(-0.8))
    color = chosen(color, white, inner)
    color = chosen(color, (0.02, 0.02, 0.02), inner & mark & (np.abs(a) < _F(0.2)) & (b < _F(0.2)))
    blue = (kind == furniture.BLUE) & ((np.maximum(np.abs(a), np.abs(b)) > _F(0.92)) | (mark & (r2 < _F(0.4))))
    color = chosen(color, white, blue)
    rim = np.abs(a) + np.abs(b)
    color = chosen(color, white, (kind == furniture.PRIORITY) & (rim > _F(0.72)))
    board = kind == furniture.DIRECTION
    border = np.minimum((1 - np.abs(a)) * s.size(0), (1 - np.abs(b)) * s.size(1)) < _F(0.06)
    line = np.floor((b + 1) * _F(2.5))
    stroke = hash_unit(34, seed, line, np.floor(a * _F(22)), np.floor(b * _F(14))) < _F(0.5)
    inside = (np.abs(b * _F(2.5) + _F(2.5) - line - _F(0.5)) < _F(0.32)) & (np.abs(a) < _F(0.8)) & stroke
    color = chosen(color, (0.02, 0.02, 0.02), board & (border | inside))
    band = kind == furniture.LETTERING
    color = chosen(color, white, band & (hash_unit(35, seed, np.floor(s.u * 12), np.floor(s.v * 12)) < _F(0.4)))
    slant = (s.u + s.v) * _F(1 / 0.36)
    color = chosen(color, white, (kind == furniture.BEACON) & (slant - np.floor(slant) < _F(0.5)))
    glow = None
    lights = kind == furniture.SIGNAL
    if lights.any():
        place = np.floor((1 - b) * _F(1.5))
        rb = b - (_F(2 / 3) - place * _F(2 / 3))
        lamp = lights & (np.square(a * _F(0.5)) + np.square(rb * _F(1.48)) < _F(0.13))
        lit = lamp & (place == s.p(5))
        red, green = np.where(place < 2, _F(0.9), _F(0.1)), np.where(place == 0, _F(0.08), _F(0.7))
        glow = [red * lit, green * lit, np.where(place == 2, _F(0.45), _F(0.02)) * lit]
        color = chosen(color, (0.03, 0.03, 0.03), lamp & ~lit)
    return Look(color, s.normal(), bias=0.4, glow=glow)


def _fence(s):
    grain, blotch = textures.mineral().at(s.u + s.p(3), s.v, s.foot_u, s.foot_v, "grain", "blotch")
    tone = _F(0.6) + _F(0.4) * grain + _F(0.4) * blotch
    # The guard rail's profile: two ridges.
    ridge = (s.v - _F(0.58)) * _F(1 / 0.16)
    wave = _F(0.65) + _F(0.6) * np.abs(np.abs(ridge) - _F(0.5))
    tone = np.where(s.p(4) == 2, tone * wave, tone)
    return Look(scaled(s.color, tone), s.normal(), bias=0.5)


def _person(s):
    tall = s.size(1)
    a, b = (s.u - s.size(0) * _F(0.5)) / tall, s.v / tall
    seed = s.p(3).astype(np.int32)
    tone = _F(0.6) + _F(0.7) * textures.mineral().at(s.u * 2 + s.p(3), s.v * 2, s.foot_u, s.foot_v, "blotch")
    color = scaled(s.color, tone)
    trousers = _F(0.02) + _F(0.12) * hash_unit(36, seed)
    color = chosen(color, [trousers, trousers, trousers * _F(1.4)], b < _F(0.49))
    color = chosen(color, (0.02, 0.018, 0.016), b < _F(0.03))
    face = hash_unit(37, seed) < _F(0.5)
    skin = (b > _F(0.86)) & (b < _F(0.955)) & face
    color = chosen(chosen(color, (0.05, 0.035, 0.02), b > _F(0.86)), (0.36, 0.22, 0.15), skin)
    normal = [a * _F(5), np.zeros_like(a) + _F(0.15), np.zeros_like(a) - _F(0.7)]
    length = np.sqrt(normal[0] * normal[0] + normal[1] * normal[1] + normal[2] * normal[2])
    return Look(color, [n / length for n in normal], bias=0.6)


_LOOKS = {
    Material.FACADE: facades.facade,
    Material.PLAIN: _plain,
    Material.ROOF: facades.roof,
    Material.FOLIAGE: _foliage,
    Material.HEDGE: _hedge,
    Material.CAR_SIDE: bodywork.car_side,
    Material.CAR_CABIN: bodywork.car_cabin,
    Material.CAR_FRONT: bodywork.car_front,
    Material.CAR_REAR: bodywork.car_rear,
    Material.PAINT: bodywork.paint,
    Material.GLASS: bodywork.glass,
    Material.WHEEL: bodywork.wheel,
    Material.POLE: _pole,
    Material.TRUNK: _trunk,
    Material.SIGN: _sign,
    Material.FENCE: _fence,
    Material.GRASS_BLADES: _blades,
    Material.PERSON: _person,
}
