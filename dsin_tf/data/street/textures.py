"""Procedural textures, made once per process, looked up at any resolution without aliasing.

A texture is a tile of a few channels in [0, 1]. Every channel is kept averaged to every pair of powers of two
along its two directions, so that a surface seen at a grazing angle loses detail only along the direction that
is foreshortened. All are fixed: scenes differ in where and how they use them.
"""

import functools

import numpy as np

from dsin_tf.data.street.noise import Random, fractal, hash_unit, value_noise

_F = np.float32


class Texture:
    """A tile of named channels, usually of values in [0, 1].

    Args:
      texel_m: edge of a texel, metres.
      channels: name -> `float32 [size, size]`, size a power of two.
    """

    def __init__(self, texel_m, **channels):
        self.texel_m = texel_m
        self._size = next(iter(channels.values())).shape[0]
        self._levels = self._size.bit_length()
        offsets = np.zeros((self._levels, self._levels), np.intp)
        position = 0
        for down in range(self._levels):
            for across in range(self._levels):
                offsets[down, across] = position
                position += (self._size >> down) * (self._size >> across)
        self._offsets = offsets.ravel()
        self._planes = {name: _averages(plane, self._levels) for name, plane in channels.items()}

    def at(self, u, v, foot_u, foot_v, *names):
        """The named channels at places (u, v) in metres, averaged over a footprint in metres; `float32` like u.

        The footprints are arrays like u, or one number for all places, which is quicker.
        """
        per_metre = _F(1 / self.texel_m)
        i0, i1, wi, level_u = self._axis(u * per_metre, foot_u * per_metre)
        j0, j1, wj, level_v = self._axis(v * per_metre, foot_v * per_metre)
        base = self._offsets[level_v * self._levels + level_u]
        width = np.right_shift(np.intp(self._size), level_u)
        j0 *= width
        j1 *= width
        j0 += base
        j1 += base
        places = (j0 + i0, j0 + i1, j1 + i0, j1 + i1)
        found = []
        for name in names:
            plane = self._planes[name]
            a, b, c, d = (plane.take(place) for place in places)
            b -= a
            b *= wi
            a += b
            d -= c
            d *= wi
            c += d
            c -= a
            c *= wj
            a += c
            found.append(a)
        return found[0] if len(found) == 1 else found

    def _axis(self, position, footprint):
        """Both neighbours, the weight of the second, and the level, along one direction."""
        # The exponent of a float is the floor of its logarithm; reading its bits is exact.
        level = (np.maximum(footprint, _F(1)).view(np.int32) >> np.int32(23)) - np.int32(127)
        level = np.minimum(level, np.int32(self._levels - 1))
        position *= _HALVES[level]
        position -= _F(0.5)
        low = np.floor(position)
        position -= low
        first = low.astype(np.intp)  # what take() wants, so that it need not convert
        second = first + 1
        wrap = np.right_shift(np.intp(self._size - 1), level)
        first &= wrap
        second &= wrap
        return first, second, position, level


_HALVES = np.array([1 / (1 << level) for level in range(24)], np.float32)


def _averages(plane, levels):
    """All averages of a channel by powers of two down and across, one after the other."""
    parts = []
    row = np.ascontiguousarray(plane, dtype=np.float32)
    for _ in range(levels):
        column = row
        for _ in range(levels):
            parts.append(column.ravel())
            column = (column[:, ::2] + column[:, 1::2]) * _F(0.5) if column.shape[1] > 1 else column
        row = (row[::2] + row[1::2]) * _F(0.5) if row.shape[0] > 1 else row
    return np.concatenate(parts)


def _smooth(field, low, high):
    """0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((field - _F(low)) / _F(high - low), 0, 1)
    return t * t * (3 - 2 * t)


@functools.cache
def mineral():
    """Asphalt, plaster, concrete: grain, mottle (soft spots), blotch (large stains), crack (1 inside one)."""
    size = 512
    white = hash_unit(1, np.arange(size)[:, None], np.arange(size)[None, :])
    stones = value_noise(size, (256, 256), 2)
    grain = np.clip(0.5 + 0.6 * (white - 0.5) + 0.9 * (stones - 0.5), 0, 1)
    mottle = np.clip(fractal(size, (32, 32), 4, 3, 0.7), 0, 1)
    blotch = np.clip(0.5 + 1.1 * (fractal(size, (4, 4), 6, 4, 0.6) - 0.5), 0, 1)
    ridge = np.abs(fractal(size, (5, 5), 6, 5, 0.55) - 0.5)
    presence = _smooth(fractal(size, (4, 4), 2, 6), 0.45, 0.65)
    crack = np.clip(1 - ridge / 0.012, 0, 1) * presence
    return Texture(0.008, grain=grain, mottle=mottle, blotch=blotch, crack=crack)


@functools.cache
def grass():
    """Grass from above and aside: tone (blades), hue (green to straw), height."""
    size = 512
    rng = Random(20)
    tone = np.clip(0.25 + 0.3 * (fractal(size, (32, 32), 4, 21, 0.7) - 0.5), 0, 1)
    hue = np.clip(0.5 + 1.3 * (fractal(size, (6, 6), 6, 22, 0.65) - 0.5), 0, 1)
    rows, columns = np.indices((14, 7), dtype=np.float32)
    for _ in range(5200):
        # A blade: a thin leaning stroke, brighter towards its tip.
        lean = rng.uniform(-0.25, 0.25)
        top, left = rng.integer(0, size), rng.integer(0, size)
        length = rng.uniform(6, 14)
        stroke = (np.abs(columns - 3 - lean * (rows - 7)) < 0.8) & (rows < length)
        bright = _F(rng.uniform(0.35, 0.8)) * (1 - 0.05 * rows)
        place = np.ix_((np.arange(14) + top) % size, (np.arange(7) + left) % size)
        tone[place] = np.where(stroke, bright, tone[place])
    return Texture(0.012, tone=tone, hue=hue, height=np.clip(fractal(size, (24, 8), 5, 23, 0.75), 0, 1))


@functools.cache
def leaves():
    """Foliage: tone (light on a leaf), hue, height (how far a leaf stands out; 0 between leaves), clump, cover.

    `cover` tells what remains where foliage thins out: high on leaves that stand out, and in clumps.
    """
    size = 512
    rng = Random(30)
    tone = np.full((size, size), 0.06, np.float32)
    height = np.zeros((size, size), np.float32)
    hue = np.full((size, size), 0.5, np.float32)
    clump = np.clip(0.5 + 1.5 * (fractal(size, (5, 5), 5, 31, 0.6) - 0.5), 0, 1)
    rows, columns = np.indices((15, 15), dtype=np.float32) - 7
    count = 6500
    for k in range(count):
        top, left = rng.integer(0, size), rng.integer(0, size)
        order = k / count
        # Leaves gather in twigs: outer (late) ones only where the clump field is high.
        if float(clump[(top + 7) % size, (left + 7) % size]) < 0.15 + 0.6 * order + rng.uniform(-0.12, 0.12):
            continue
        q = rng.uniform(-1, 1)
        s, c = 2 * q / (1 + q * q), (1 - q * q) / (1 + q * q)
        along, across = rows * _F(c) + columns * _F(s), columns * _F(c) - rows * _F(s)
        long, wide = rng.uniform(3.2, 6.8), rng.uniform(1.6, 3.4)
        body = np.square(along / _F(long)) + np.square(across / _F(wide)) < 1
        # Each leaf lies at its own angle to the light, and is folded along its midrib.
        light = rng.uniform(0.25, 1.0)
        bright = _F((0.12 + 0.88 * order) * light) * np.where(across > 0, _F(1), _F(rng.uniform(0.55, 1)))
        place = np.ix_((np.arange(15) + top) % size, (np.arange(15) + left) % size)
        tone[place] = np.where(body, bright, tone[place])
        hue[place] = np.where(body, _F(rng.uniform()), hue[place])
        height[place] = np.where(body, _F(0.15 + 0.85 * order), height[place])
    cover = height * _F(0.75) + (clump - _F(0.5)) * _F(1.1)
    return Texture(0.010, tone=tone, hue=hue, height=height, clump=clump, cover=cover)


def _courses(size, rows, columns, joint, key):
    """Staggered blocks: (distance from the joints: 1 on a block, 0 in a joint; a random tone for each block)."""
    v, u = np.indices((size, size), dtype=np.float32)
    v, u = (v + 0.5) * _F(rows / size), (u + 0.5) * _F(columns / size)
    row = np.floor(v)
    u = u + np.where(row % 2 == 1, _F(0.5), _F(0))
    column = np.floor(u)
    fu, fv = u - column, v - row
    edge_u = np.minimum(fu, 1 - fu) * _F(size / columns)
    edge_v = np.minimum(fv, 1 - fv) * _F(size / rows)
    block = np.clip((np.minimum(edge_u, edge_v) - _F(joint)) + 0.5, 0, 1)
    tone = hash_unit(key, row, column % columns)
    return block, tone


@functools.cache
def brick():
    """Brickwork of 25 cm by 8 cm: block (0 in the mortar), tone of each brick, grain."""
    size = 512
    block, tone = _courses(size, 64, 20, 0.6, 41)
    grain = np.clip(fractal(size, (128, 128), 3, 42, 0.8), 0, 1)
    return Texture(0.01, block=block, tone=tone, grain=grain)


@functools.cache
def paving():
    """Slabs of 40 cm and their joints: block, tone, grain."""
    size = 512
    block, tone = _courses(size, 16, 10, 0.7, 51)
    grain = np.clip(fractal(size, (64, 64), 4, 52, 0.85), 0, 1)
    return Texture(0.01, block=block, tone=tone, grain=grain)


@functools.cache
def tiles():
    """Roof tiles of 30 cm by 22 cm: ridge (light along a tile's height), tone, grain."""
    size = 512
    _, tone = _courses(size, 16, 24, 0.5, 61)
    v, u = np.indices((size, size), dtype=np.float32)
    fv = v * _F(16 / size) - np.floor(v * _F(16 / size))
    fu = u * _F(24 / size) - np.floor(u * _F(24 / size))
    ridge = np.clip(0.35 + 0.65 * fv, 0, 1) * (0.55 + 1.8 * fu * (1 - fu))
    grain = np.clip(fractal(size, (32, 32), 5, 62, 0.75), 0, 1)
    return Texture(0.01, ridge=ridge, tone=tone, grain=grain)


@functools.cache
def bark():
    """Bark with furrows along the second direction: tone, mottle."""
    size = 256
    tone = np.clip(0.5 + 1.1 * (fractal(size, (8, 40), 3, 71, 0.8) - 0.5), 0, 1)
    return Texture(0.012, tone=tone, mottle=np.clip(fractal(size, (8, 8), 4, 72, 0.6), 0, 1))


@functools.cache
def clouds():
    """Sky: cover."""
    return Texture(0.01, cover=np.clip(fractal(256, (4, 4), 6, 81, 0.55), 0, 1))
