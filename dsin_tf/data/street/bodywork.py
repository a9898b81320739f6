"""How vehicles look: lacquer, glass, lamps, plates, wheels."""

import numpy as np

from dsin_tf.data.street import textures
from dsin_tf.data.street.looks import Look, chosen
from dsin_tf.data.street.noise import hash_unit

_F = np.float32


def car_side(s):
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


def car_cabin(s):
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


def glass(s):
    a, up = s.u / s.size(0), s.v / s.size(1)
    seats = hash_unit(31, s.p(3).astype(np.int32), np.floor(a * _F(4))) < _F(0.5)
    shape = (up < _F(0.55)) & seats & (np.abs(a * 4 - np.floor(a * 4) - _F(0.5)) < _F(0.32))
    tone = np.where(shape, _F(0.008), (_F(0.02) + _F(0.05) * up) * _mirrored(s))
    border = (np.minimum(a, 1 - a) * s.size(0) < _F(0.05)) | (np.minimum(up, 1 - up) * s.size(1) < _F(0.04))
    color = chosen([tone * _F(0.9), tone, tone * _F(1.1)], (0.01, 0.01, 0.01), border)
    normal = s.normal()
    return Look(color, normal, mirror=np.where(border, _F(0), (_F(0.03) + _F(0.16) * up) * _mirrored(s)), bias=0.35)


def paint(s):
    normal = s.normal()
    # Panels of a body are arched across.
    a = s.u / s.size(0) * 2 - 1
    b = s.v / s.size(1)
    streak = _F(0.75) + _F(0.35) * b - _F(0.25) * a * a
    return Look(s.color, normal, mirror=_shine(s, normal, 0.30) * streak, bias=0.35)


def car_front(s):
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


def car_rear(s):
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


def wheel(s):
    radius = s.size(0) * _F(0.5)
    a, b = (s.u - radius) / radius, (s.v - radius) / radius
    r2 = a * a + b * b
    rim = r2 < _F(0.42)
    # Spokes where the angle's pattern is high: products of coordinates make five-fold-like sectors.
    spoke = np.abs(a * b * (a * a - b * b)) < r2 * r2 * _F(0.13)
    hub = r2 < _F(0.03)
    tone = np.where(rim & (spoke | hub | (r2 > _F(0.34))), _F(0.32), np.where(rim, _F(0.03), _F(0.018)))
    return Look([tone, tone, tone * _F(1.02)], s.normal(), open=_F(0.75) + _F(0.25) * b, bias=0.5)


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
    """What a car mirrors of its surroundings, 0.3 to 1.4: streaks along the body."""
    clump, height = textures.leaves().at(
        s.u * _F(0.35) + s.p(3), s.v * _F(1.3), s.foot_u * _F(0.35), s.foot_v * _F(1.3), "clump", "height"
    )
    return _F(0.3) + clump * _F(0.8) + height * _F(0.3)


def _plated(s, color, plate):
    """A number plate with strokes on it."""
    seed = s.p(3).astype(np.int32)
    stroke = hash_unit(32, seed, np.floor(s.u * _F(45)), np.floor(s.v * _F(14))) < _F(0.4)
    tone = np.where(stroke, _F(0.05), _F(0.62))
    return chosen(color, [tone, tone, tone * _F(0.97)], plate)
