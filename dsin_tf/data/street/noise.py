"""Random numbers and noise that are the same on every machine, for ever.

Everything is integer hashing and exactly rounded float arithmetic; see the package's docstring for the rule.
"""

import numpy as np

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_MULTIPLY_1 = 0xBF58476D1CE4E5B9
_MULTIPLY_2 = 0x94D049BB133111EB


def mix(*key):
    """A 64-bit integer that depends on every integer of `key` and on their order (SplitMix64, chained)."""
    state = 0
    for value in key:
        state = (state ^ (value & _MASK)) + _GOLDEN & _MASK
        state = (state ^ (state >> 30)) * _MULTIPLY_1 & _MASK
        state = (state ^ (state >> 27)) * _MULTIPLY_2 & _MASK
        state ^= state >> 31
    return state


class Random:
    """A stream of random numbers named by integers; two streams with different names are unrelated."""

    def __init__(self, *key):
        self._key = mix(*key)
        self._count = 0

    def bits(self):
        """The next 64 random bits."""
        self._count += 1
        return mix(self._key, self._count)

    def uniform(self, low=0.0, high=1.0):
        """The next float of [low, high)."""
        return low + (high - low) * ((self.bits() >> 11) * 2.0**-53)

    def integer(self, low, high):
        """The next integer of [low, high)."""
        return low + self.bits() % (high - low)

    def chance(self, probability):
        """True with this probability."""
        return self.uniform() < probability

    def choice(self, options):
        """One of a sequence."""
        return options[self.integer(0, len(options))]


def hash_bits(key, *indices):
    """64 random bits for each place of broadcast integer arrays `indices`: `uint64`."""
    state = np.asarray(mix(key), dtype=np.uint64)
    for index in indices:
        state = state ^ np.asarray(index).astype(np.int64).astype(np.uint64)
        state = state * np.uint64(_GOLDEN) + np.uint64(_MULTIPLY_1)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(_MULTIPLY_1)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(_MULTIPLY_2)
        state = state ^ (state >> np.uint64(31))
    return state


def hash_unit(key, *indices):
    """A float32 of [0, 1) for each place of broadcast integer arrays `indices`."""
    bits = hash_bits(key, *indices) >> np.uint64(40)
    return bits.astype(np.float32) * np.float32(2.0**-24)


def value_noise(size, cells, key):
    """Smooth random field `float32 [size, size]` in [0, 1) that repeats at its edges.

    Args:
      size: rows and columns.
      cells: (rows, columns) of the lattice; how many bumps fit along each side.
      key: names the field.
    """
    lattice = hash_unit(key, np.arange(cells[0])[:, None], np.arange(cells[1])[None, :])
    field = lattice
    for axis in (0, 1):
        position = np.arange(size, dtype=np.float64) * cells[axis] / size
        low = np.floor(position)
        t = (position - low).astype(np.float32)
        weight = t * t * (3 - 2 * t)
        weight = weight[:, None] if axis == 0 else weight[None, :]
        first = low.astype(np.int64) % cells[axis]
        a = np.take(field, first, axis=axis)
        b = np.take(field, (first + 1) % cells[axis], axis=axis)
        field = a + (b - a) * weight
    return field


def fractal(size, cells, octaves, key, falloff=0.5):
    """Sum of `octaves` noise fields, each twice as fine and `falloff` as strong: `float32 [size, size]` around 0.5."""
    total = np.zeros((size, size), np.float32)
    strength = 1.0
    for octave in range(octaves):
        layer = value_noise(size, (cells[0] << octave, cells[1] << octave), mix(key, octave))
        total += np.float32(strength) * (layer - np.float32(0.5))
        strength *= falloff
    return total + np.float32(0.5)
