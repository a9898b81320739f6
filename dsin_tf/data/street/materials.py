"""How surfaces look: albedo, the way they face, and what they mirror, from a place on them.

Each function takes a `Batch` of samples of one material and returns a `Look`. Colours are linear.
"""

import dataclasses
import functools
from typing import Optional

import numpy as np

from dsin_tf.data.street import buildings, furniture, textures
from dsin_tf.data.street.noise import hash_unit
from dsin_tf.data.street.surfaces import Material

_F = np.float32


@dataclasses.dataclass
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

    @functools.cache  # noqa: B019  lives as long as its batch
    def p(self, k):
        """Parameter k of each sample's surface."""
        return np.take(np.ascontiguousarray(self.surfaces.parameters[:, k]), self.ids)

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

    __hash__ = object.__hash__
    __eq__ = object.__eq__


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


def look(material, batch):
    """The `Look` of a batch."""
    return _LOOKS[material](batch)


def mixed(colors, others, weight):
    """Colours that turn to `others` (three arrays or numbers) where `weight` is 1."""
    return [a + (b - a) * weight for a, b in zip(colors, others)]


def chosen(colors, others, where):
    """Colours, replaced by `others` where a mask is set."""
    return [np.where(where, _F(b) if np.isscalar(b) else b, a) for a, b in zip(colors, others)]


def scaled(colors, gain):
    """Colours times a gain."""
    return [c * gain for c in colors]


def _facade(s):
    color, blotch = _wall(s)
    # A darker plinth, and dirt that runs down.
    color = scaled(color, 1 - np.clip(1 - s.v * _F(1 / 0.9), 0, 1) * _F(0.3))
    windowed = np.flatnonzero(s.p(4) > 0)
    if len(windowed):
        with_windows = _windows(s.subset(windowed), [c[windowed] for c in color], blotch[windowed])
        for whole, part in zip(color, with_windows):
            whole[windowed] = part
    return Look(color, s.normal())


def _wall(s):
    """Plaster with stains, or bricks: (colours, stains 0 to 1)."""
    grain, blotch, mottle = textures.mineral().at(s.u + s.p(3), s.v, s.foot_u, s.foot_v, "grain", "blotch", "mottle")
    large = textures.mineral().at(
        s.u * _F(0.15), s.v * _F(0.12) + s.p(3), s.foot_u * _F(0.15), s.foot_v * _F(0.12), "blotch"
    )
    tone = _F(0.47) + grain * _F(0.38) + blotch * _F(0.22) + mottle * _F(0.28) + (large - _F(0.5)) * _F(0.45)
    bricks = np.flatnonzero(s.p(8) == buildings.BRICK)
    if len(bricks):
        places = (part[bricks] for part in (s.u, s.v, s.foot_u, s.foot_v))
        block, shade, rough = textures.brick().at(*places, "block", "tone", "grain")
        tone[bricks] *= (_F(0.55) + shade * _F(0.6) + rough * _F(0.2)) * (_F(1.5) - block * _F(0.55))
    return scaled(s.color, tone), blotch


def _windows(s, color, blotch):
    """Walls of colours `color` with their windows, doors, shops and trims."""
    seed = s.p(3).astype(np.int32)
    u, v = s.u, s.v
    cell, storey, ground = s.p(4), s.p(5), s.p(9)
    upper = v >= ground
    shop = ~upper
    level = np.where(upper, v - ground, v)
    tall = np.where(upper, storey, np.maximum(ground, _F(0.1)))
    column, floor = np.floor(u / cell), np.floor(level / tall)
    in_u = u - column * cell - cell * _F(0.5)
    in_v = level - floor * tall
    window = column * 64 + floor + np.where(upper, _F(8), _F(0))
    dice = hash_unit(11, seed, window)
    half_w = cell * np.where(shop, _F(0.42), s.p(6) * _F(0.5))
    sill = np.where(shop, _F(0.35), storey * _F(0.27))
    high = np.where(shop, tall - _F(1.0), storey * s.p(7))
    # Doors on the ground floor reach the ground.
    door = (floor == 0) & (shop | (ground == 0)) & (dice < _F(0.22))
    sill = np.where(door, _F(0.08), sill)
    high = np.where(door, _F(2.15), high)
    half_w = np.where(door, np.minimum(_F(0.55), cell * _F(0.42)), half_w)
    edge_u = half_w - np.abs(in_u)
    edge_v = np.minimum(in_v - sill, sill + high - in_v)
    edge = np.minimum(edge_u, edge_v)
    fits = (v < s.p(11) - _F(0.3)) & (u > _F(0.05))
    inside = fits & (edge > 0)

    # Cornices between storeys, a surround, a sill, and dirt that runs down from it.
    line = upper & (in_v < _F(0.12)) & (s.p(8) != buildings.MODERN) & (seed % 2 == 0)
    color = chosen(color, scaled(color, _F(1.25)), line)
    around = fits & (edge > _F(-0.14)) & ~inside & (seed % 5 < 3)
    color = chosen(color, [_F(0.5) * c + _F(0.22) for c in color], around)
    ledge = fits & ~door & (np.abs(in_u) < half_w + _F(0.1)) & (in_v > sill - _F(0.1)) & (in_v < sill)
    color = chosen(color, (0.55, 0.54, 0.5), ledge)
    streak = fits & (np.abs(in_u) < half_w) & (in_v < sill - _F(0.1)) & upper
    color = chosen(color, scaled(color, _F(0.72) + blotch * _F(0.35)), streak)

    shutter = fits & (s.p(10) > 0) & (edge_v > 0) & (edge_u < _F(-0.03)) & (edge_u > -half_w * _F(0.95)) & ~door
    hue = (seed % 16).astype(np.float32) * _F(1 / 16)
    slats = in_v * _F(1 / 0.07)
    slat = _F(0.6) + _F(0.5) * (slats - np.floor(slats))
    paint = [slat * (_F(0.05) + hue * _F(0.1)), slat * (_F(0.10) + _F(0.05) * hue), slat * _F(0.06)]
    color = chosen(color, paint, shutter)

    panes = np.flatnonzero(inside)
    if len(panes):
        cut = [part[panes] for part in (seed, window, in_u, in_v, half_w, sill, high, edge, edge_v, door, shop, dice)]
        for whole, part in zip(color, _panes(s.subset(panes), *cut)):
            whole[panes] = part

    boards = np.flatnonzero(shop & (in_v > tall - _F(0.62)) & (in_v < tall - _F(0.12)))
    if len(boards):
        cut = [part[boards] for part in (seed, column, in_v - tall + _F(0.37))]
        for whole, part in zip(color, _fascia(s.subset(boards), *cut)):
            whole[boards] = part
    return color


def _panes(s, seed, window, in_u, in_v, half_w, sill, high, edge, edge_v, door, shop, dice):
    """Glass: dark rooms, curtains, blinds, goods, the mirrored other side of the street; frames; doors."""
    other = hash_unit(12, seed, window)
    pattern = textures.leaves().at(
        s.u * _F(0.9) + dice * _F(5), s.v * _F(0.9), s.foot_u * _F(0.9), s.foot_v * _F(0.9), "clump"
    )
    depth = (in_v - sill) / np.maximum(high, _F(0.1))
    mirrored = _F(0.02) + _F(0.16) * np.clip(depth * _F(1.6) - _F(0.7) + (pattern - _F(0.5)) + (dice - _F(0.5)), 0, 1)
    glass = [mirrored * _F(0.9), mirrored, mirrored * _F(1.08)]
    curtain = (other < _F(0.35)) & (np.abs(in_u) > half_w * (_F(0.25) + other)) & ~shop
    folds = _F(0.20) + _F(0.16) * hash_unit(16, seed, np.floor(s.u * _F(9)))
    glass = chosen(glass, [folds, folds, folds * _F(0.93)], curtain)
    blind = (other > _F(0.72)) & (depth > _F(1.9) - other * _F(1.4)) & ~shop
    rows = in_v * _F(1 / 0.06)
    rib = _F(0.30) + _F(0.16) * (rows - np.floor(rows))
    glass = chosen(glass, [rib, rib * _F(0.98), rib * _F(0.9)], blind)
    if shop.any():
        goods = [hash_unit(17 + k, seed, np.floor(s.u * _F(7)), np.floor(s.v * _F(5))) for k in range(3)]
        stock = [goods[0] * (_F(0.13) + _F(0.10) * tint) for tint in goods]
        glass = chosen(glass, stock, shop & (depth < _F(0.55)) & (goods[0] > _F(0.45)))
    white = np.where(seed % 3 > 0, _F(0.62), _F(0.10))
    bar = (np.abs(in_u) < _F(0.035)) & (half_w > _F(0.4)) & (s.p(6) < _F(0.6))
    transom = (np.abs(depth - _F(0.7)) * high < _F(0.03)) & (seed % 4 < 2)
    glass = chosen(glass, [white, white, white * _F(0.95)], (edge < _F(0.07)) | bar | transom)
    leaf = _F(0.08) + _F(0.3) * dice
    glass = chosen(glass, [leaf, leaf * _F(0.7), leaf * _F(0.5)], door & (depth < _F(0.85)) & (edge > _F(0.06)))
    # The wall is thick: light from above does not reach the upper edge of the pane.
    return scaled(glass, np.where((edge_v < _F(0.16)) & (depth > _F(0.5)), _F(0.35), _F(1)))


def _fascia(s, seed, column, middle):
    """The sign over a shop's window; `middle` is metres over its middle line."""
    unit = np.floor(column / 2)
    band = [_F(0.04) + _F(0.5) * hash_unit(24 + k, seed, unit) for k in range(3)]
    letter = hash_unit(28, np.floor(s.u * _F(14)), np.floor(s.v * _F(14)), seed) < _F(0.55)
    written = letter & (np.abs(middle) < _F(0.14)) & (hash_unit(29, seed, column) < _F(0.6))
    return chosen(band, (0.6, 0.6, 0.55), written)


def _plain(s):
    grain, blotch = textures.mineral().at(s.u + s.p(3), s.v, s.foot_u, s.foot_v, "grain", "blotch")
    rough = _F(0.35) + s.p(4)
    tone = 1 + rough * (grain - _F(0.5)) + rough * _F(0.8) * (blotch - _F(0.5))
    return Look(scaled(s.color, tone), s.normal(), bias=0.15)


def _roof(s):
    ridge, tone, grain = textures.tiles().at(s.u + s.p(3), s.v, s.foot_u, s.foot_v, "ridge", "tone", "grain")
    places = s.u * _F(0.2), s.v * _F(0.2) + s.p(3), s.foot_u * _F(0.2), s.foot_v * _F(0.2)
    moss = textures.mineral().at(*places, "blotch")
    light = (_F(0.4) + ridge) * (_F(0.65) + _F(0.5) * tone) * (_F(0.8) + _F(0.4) * grain)
    return Look(mixed(scaled(s.color, light), (0.06, 0.065, 0.04), np.clip(moss * 2 - _F(1.1), 0, _F(0.7))), s.normal())


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


def _bulged(s, low, high):
    """Normals of a panel that curves from facing down a little to facing up: a car's side."""
    part = _F(low) + _F(high - low) * s.v / s.size(1)
    normal = s.normal()
    normal[1] = normal[1] + part
    length = np.sqrt(normal[0] * normal[0] + normal[1] * normal[1] + normal[2] * normal[2])
    return [n / length for n in normal]


def _shine(s, normal, strength):
    """How much of the sky a lacquered surface mirrors: more where it faces up, less where trees are mirrored."""
    return _F(strength) * np.clip(_F(0.12) + _F(0.9) * normal[1], _F(0.03), 1) * _mirrored(s)


def _mirrored(s):
    """What a car mirrors of its surroundings, 0.1 to 1.6: streaks along the body."""
    clump, height = textures.leaves().at(
        s.u * _F(0.35) + s.p(3), s.v * _F(1.3), s.foot_u * _F(0.35), s.foot_v * _F(1.3), "clump", "height"
    )
    return _F(0.1) + clump * _F(1.1) + height * _F(0.4)


def _car_side(s):
    length, high = s.size(0), s.size(1)
    along = np.where(s.p(4) == 0, s.u, length - s.u)
    normal = _bulged(s, -0.35, 0.45)
    color = s.color
    middle, axle, radius = length * _F(0.5), s.p(10), s.p(11)
    mirror = _shine(s, normal, 0.30)
    # Doors, handles, a rubbing strip, a dark sill.
    doors = np.minimum(np.abs(along - middle + _F(0.15)), np.abs(along - middle - axle + _F(0.45)))
    doors = np.minimum(doors, np.abs(along - middle + axle - _F(0.35)))
    joint = (doors < _F(0.012)) & (s.v > _F(0.06))
    strip = (np.abs(s.v - high * _F(0.45)) < _F(0.022)) & (np.abs(along - middle) < axle - radius)
    handle = (np.abs(s.v - high * _F(0.82)) < _F(0.018)) & (np.abs(along - middle + _F(0.32)) < _F(0.09))
    sill = s.v < _F(0.06)
    dark = joint | strip | handle | sill
    arch = None
    for center in (middle - axle, middle + axle):
        ring = np.square(along - center) + np.square(s.v + _F(0.22) - radius) < np.square(radius + _F(0.06))
        arch = ring if arch is None else arch | ring
    color = chosen(color, (0.012, 0.012, 0.012), dark | arch)
    lamp_v = np.abs(s.v - high * _F(0.72)) < _F(0.08)
    front, rear = lamp_v & (along > length - _F(0.22)), lamp_v & (along < _F(0.16))
    color = chosen(chosen(color, (0.45, 0.45, 0.42), front), (0.35, 0.02, 0.015), rear)
    return Look(color, normal, mirror=np.where(dark | arch, _F(0), mirror), bias=0.35)


def _car_cabin(s):
    length, high = s.size(0), s.size(1)
    low, taper = (np.take(s.surfaces.taper[:, k].astype(np.float32), s.ids) for k in (0, 1))
    left, right = low * s.v, length - taper * s.v
    part = (s.u - left) / np.maximum(right - left, _F(0.01))
    count = s.p(5)
    pane = part * count - np.floor(part * count)
    pillar = np.minimum(pane, 1 - pane) / count * (right - left)
    edge = np.minimum(np.minimum(s.v, high - s.v) - _F(0.02), np.minimum(s.u - left, right - s.u) - _F(0.04))
    window = (edge > _F(0.02)) & (pillar > _F(0.035)) & (count > 0)
    normal = _bulged(s, 0.0, 0.5)
    up = s.v / high
    murky = (_F(0.008) + _F(0.07) * up) * _mirrored(s)
    color = chosen(s.color, [murky * _F(0.8), murky, murky * _F(1.1)], window)
    return Look(color, normal, mirror=_shine(s, normal, 0.25), bias=0.35)


def _glass(s):
    a, up = s.u / s.size(0), s.v / s.size(1)
    seats = hash_unit(31, s.p(3).astype(np.int32), np.floor(a * _F(4))) < _F(0.5)
    shape = (up < _F(0.55)) & seats & (np.abs(a * 4 - np.floor(a * 4) - _F(0.5)) < _F(0.32))
    tone = np.where(shape, _F(0.008), (_F(0.02) + _F(0.05) * up) * _mirrored(s))
    border = (np.minimum(a, 1 - a) * s.size(0) < _F(0.05)) | (np.minimum(up, 1 - up) * s.size(1) < _F(0.04))
    color = chosen([tone * _F(0.9), tone, tone * _F(1.1)], (0.01, 0.01, 0.01), border)
    normal = s.normal()
    return Look(color, normal, mirror=np.where(border, _F(0), (_F(0.03) + _F(0.16) * up) * _mirrored(s)), bias=0.35)


def _paint(s):
    normal = s.normal()
    # Panels of a body are arched across.
    a = s.u / s.size(0) * 2 - 1
    b = s.v / s.size(1)
    streak = _F(0.75) + _F(0.35) * b - _F(0.25) * a * a
    return Look(s.color, normal, mirror=_shine(s, normal, 0.30) * streak, bias=0.35)


def _car_front(s):
    a, b = s.u / s.size(0), s.v / s.size(1)
    normal = _bulged(s, -0.4, 0.5)
    off = np.abs(a - _F(0.5))
    lamp = (off > _F(0.30)) & (off < _F(0.47)) & (b > _F(0.60)) & (b < _F(0.90))
    grille = (off < _F(0.26)) & (b > _F(0.62)) & (b < _F(0.85))
    intake = (off < _F(0.36)) & (b > _F(0.06)) & (b < _F(0.25))
    ribs = b * _F(18) - np.floor(b * _F(18)) < _F(0.5)
    plate = (off < _F(0.15)) & (b > _F(0.30)) & (b < _F(0.52))
    color = chosen(s.color, (0.012, 0.012, 0.013), (grille & ribs) | intake)
    core = np.square((off - _F(0.385)) / _F(0.06)) + np.square((b - _F(0.75)) / _F(0.11)) < 1
    color = chosen(chosen(color, (0.30, 0.31, 0.32), lamp), (0.75, 0.75, 0.7), lamp & core)
    color = _plated(s, color, plate)
    return Look(color, normal, mirror=np.where(grille | intake | plate, _F(0), _shine(s, normal, 0.25)), bias=0.35)


def _car_rear(s):
    a, b = s.u / s.size(0), s.v / s.size(1)
    normal = _bulged(s, -0.4, 0.35)
    off = np.abs(a - _F(0.5))
    lamp = (off > _F(0.36)) & (off < _F(0.485)) & (b > _F(0.52)) & (b < _F(0.92))
    bumper = np.abs(b - _F(0.34)) < _F(0.02)
    plate = (off < _F(0.16)) & (b > _F(0.5)) & (b < _F(0.68))
    low = b < _F(0.08)
    color = chosen(s.color, (0.015, 0.015, 0.015), bumper | low)
    color = chosen(color, (0.32, 0.012, 0.012), lamp)
    color = chosen(color, (0.5, 0.25, 0.2), lamp & (b > _F(0.64)) & (b < _F(0.74)))
    color = _plated(s, color, plate)
    return Look(color, normal, mirror=np.where(plate | low, _F(0), _shine(s, normal, 0.22)), bias=0.35)


def _plated(s, color, plate):
    """A number plate with strokes on it."""
    seed = s.p(3).astype(np.int32)
    stroke = hash_unit(32, seed, np.floor(s.u * _F(45)), np.floor(s.v * _F(14))) < _F(0.4)
    tone = np.where(stroke, _F(0.05), _F(0.62))
    return chosen(color, [tone, tone, tone * _F(0.97)], plate)


def _wheel(s):
    radius = s.size(0) * _F(0.5)
    a, b = (s.u - radius) / radius, (s.v - radius) / radius
    r2 = a * a + b * b
    rim = r2 < _F(0.42)
    # Spokes where the angle's pattern is high: products of coordinates make five-fold-like sectors.
    spoke = np.abs(a * b * (a * a - b * b)) < r2 * r2 * _F(0.13)
    hub = r2 < _F(0.03)
    tone = np.where(rim & (spoke | hub | (r2 > _F(0.34))), _F(0.32), np.where(rim, _F(0.03), _F(0.018)))
    return Look([tone, tone, tone * _F(1.02)], s.normal(), open=_F(0.75) + _F(0.25) * b, bias=0.5)


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
    Material.FACADE: _facade,
    Material.PLAIN: _plain,
    Material.ROOF: _roof,
    Material.FOLIAGE: _foliage,
    Material.HEDGE: _hedge,
    Material.CAR_SIDE: _car_side,
    Material.CAR_CABIN: _car_cabin,
    Material.CAR_FRONT: _car_front,
    Material.CAR_REAR: _car_rear,
    Material.PAINT: _paint,
    Material.GLASS: _glass,
    Material.WHEEL: _wheel,
    Material.POLE: _pole,
    Material.TRUNK: _trunk,
    Material.SIGN: _sign,
    Material.FENCE: _fence,
    Material.GRASS_BLADES: _blades,
    Material.PERSON: _person,
}
