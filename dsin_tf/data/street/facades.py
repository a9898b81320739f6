"""How buildings look: walls, windows, doors, shops, roofs."""

import numpy as np

from dsin_tf.data.street import buildings, textures
from dsin_tf.data.street.looks import Look, chosen, mixed, scaled
from dsin_tf.data.street.noise import hash_unit

_F = np.float32


def facade(s):
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


def roof(s):
    ridge, tone, grain = textures.tiles().at(s.u + s.p(3), s.v, s.foot_u, s.foot_v, "ridge", "tone", "grain")
    places = s.u * _F(0.2), s.v * _F(0.2) + s.p(3), s.foot_u * _F(0.2), s.foot_v * _F(0.2)
    moss = textures.mineral().at(*places, "blotch")
    light = (_F(0.4) + ridge) * (_F(0.65) + _F(0.5) * tone) * (_F(0.8) + _F(0.4) * grain)
    return Look(mixed(scaled(s.color, light), (0.06, 0.065, 0.04), np.clip(moss * 2 - _F(1.1), 0, _F(0.7))), s.normal())
