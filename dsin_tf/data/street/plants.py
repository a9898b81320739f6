"""Trees, bushes, hedges and woods. Foliage is layers of leaf-cut panels that face along the street."""

import math

from dsin_tf.data.street.surfaces import Material

_EAST, _UP, _NORTH = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)

# Outlines that FOLIAGE knows.
ROUND, WALL, SPIRE = 0.0, 1.0, 2.0

_GREENS = ((0.085, 0.115, 0.03), (0.065, 0.10, 0.025), (0.10, 0.13, 0.035), (0.06, 0.085, 0.03), (0.13, 0.14, 0.035))
_AUTUMN = ((0.17, 0.12, 0.035), (0.16, 0.08, 0.025), (0.15, 0.13, 0.035))
_BARK = ((0.16, 0.13, 0.10), (0.10, 0.08, 0.06), (0.30, 0.28, 0.24), (0.20, 0.18, 0.15))


def foliage_color(rng, autumn=0.06):
    """A leaf's albedo."""
    color = rng.choice(_AUTUMN if rng.chance(autumn) else _GREENS)
    gain = rng.uniform(0.8, 1.25)
    return tuple(gain * c for c in color)


def tree(builder, rng, x, base, z, height, autumn=0.06):
    """Adds a broad-leaved tree.

    Args:
      builder: `Builder`.
      rng: `Random`.
      x, base, z: the foot of the trunk, metres.
      height: metres.
      autumn: how often leaves are yellow or brown.
    """
    color = foliage_color(rng, autumn)
    spread = height * rng.uniform(0.26, 0.38)
    rise = height * rng.uniform(0.30, 0.38)
    middle = base + height - rise
    trunk = 0.05 + height * rng.uniform(0.014, 0.026)
    bark = rng.choice(_BARK)
    seed = float(rng.integer(0, 4096))
    builder.cone((x, base, z), height * 0.72, trunk, Material.TRUNK, (*bark, seed), narrowing=trunk * 0.9 / height)
    # Trees that are never seen from close by have fewer layers of leaves.
    layers = 9 if -20 < z < 26 else 5 if -20 < z < 60 else 3
    near = layers == 9
    # Low branches from the trunk into the crown.
    for _ in range(3 if near else 0):
        lean = rng.uniform(0.5, 1.1) * rng.choice((-1, 1))
        length = math.sqrt(lean * lean + 1)
        along = (lean / length, 1 / length, 0.0)
        across = (1 / length, -lean / length, 0.0)
        builder.panel(
            (x, base + height * rng.uniform(0.28, 0.45), z + rng.uniform(-0.1, 0.1)),
            across,
            along,
            (trunk * 0.8, height * rng.uniform(0.2, 0.3)),
            Material.PLAIN,
            (*(0.8 * b for b in bark), seed, 0.3),
            double=True,
            casts=False,
        )
    for k in range(layers):
        # Clumps sit near the surface of the crown; the first one fills its middle.
        ox, oy, oz = (rng.uniform(-1, 1) for _ in range(3))
        reach = 0.66
        size = rng.uniform(0.40, 0.62) if near else rng.uniform(0.5, 0.7)
        if k == 0:
            ox, oy, oz, size = 0.0, 0.0, 0.3, 0.88
        cx, cy, cz = x + ox * spread * reach, middle + oy * rise * reach, z + oz * spread * 0.8
        wide, high = spread * size, rise * size * rng.uniform(0.8, 1.05)
        _leaves(builder, rng, (cx, cy, cz), wide, high, color, (ox, oy, -oz))
    for level in (-0.35, 0.25):
        _shade(builder, rng, x, middle + level * rise, z, spread * rng.uniform(0.75, 1), color)
    _trunk_shadow(builder, x, base, z, height * 0.6, trunk)


def conifer(builder, rng, x, base, z, height):
    """Adds a spruce: spires of dark needles before one another."""
    color = tuple(rng.uniform(0.7, 1.0) * c for c in (0.045, 0.062, 0.022))
    seed = float(rng.integer(0, 4096))
    spread = height * rng.uniform(0.18, 0.26)
    builder.cone((x, base, z), height * 0.9, 0.03 + height * 0.012, Material.TRUNK, (*_BARK[1], seed), 0.01)
    for depth, part in ((-0.5, 0.8), (-0.2, 0.95), (0.15, 1.0)):
        wide, high = spread * part, height * 0.92 * part
        leaf = _leaf_parameters(rng, color, (0.0, 0.3, -depth), SPIRE)
        origin = (x - wide + rng.uniform(-0.1, 0.1) * spread, base + height * 0.06, z + depth * spread)
        builder.panel(
            origin, _EAST, _UP, (2 * wide, high), Material.FOLIAGE, leaf, (wide / high,) * 2, double=True, casts=False
        )
    _shade(builder, rng, x, base + height * 0.3, z, spread, color)
    _shade(builder, rng, x, base + height * 0.6, z, spread * 0.5, color)


def bush(builder, rng, x, base, z, height, autumn=0.06):
    """Adds a bush."""
    color = foliage_color(rng, autumn)
    wide = height * rng.uniform(0.6, 1.0)
    for k in range(4 if -20 < z < 30 else 2):
        ox, oz = rng.uniform(-0.6, 0.6) * (k > 0), rng.uniform(-0.7, 0.7)
        high = height * rng.uniform(0.45, 0.6)
        _leaves(
            builder, rng, (x + ox * wide, base + high * 0.8, z + oz * wide), wide * 0.75, high, color, (ox, 0.2, -oz)
        )
    _shade(builder, rng, x, base + height * 0.55, z, wide, color)


def hedge(builder, rng, frame, right, ahead, size):
    """Adds a clipped hedge: a box of leaves, `size` (right, up, ahead) metres, from a near lower left corner."""
    color = foliage_color(rng, 0.02)
    seed = float(rng.integer(0, 4096))
    frame.box(builder, right, 0.0, ahead, size, Material.HEDGE, (*color, seed))


def thicket(builder, rng, x, base, z, width, height, autumn=0.06, color=None):
    """Adds an upright wall of leaves across the view, ragged at its top: the inside or the far edge of a wood."""
    color = color or foliage_color(rng, autumn)
    leaf = _leaf_parameters(rng, color, (0.0, 0.15, 0.4), WALL)
    origin = (x - width / 2, base, z)
    builder.panel(origin, _EAST, _UP, (width, height), Material.FOLIAGE, leaf, double=True, casts=False)


def blades(builder, rng, frame, right, ahead, length, height, color):
    """Adds a strip of long grass across the view."""
    parameters = (*color, float(rng.integer(0, 4096)), height)
    builder.panel(
        frame.at(right, 0, ahead),
        frame.right,
        frame.UP,
        (length, height),
        Material.GRASS_BLADES,
        parameters,
        double=True,
        casts=False,
    )


def _leaf_parameters(rng, color, facing, outline):
    """Parameters of FOLIAGE: albedo, seed, place in the leaf texture, direction it faces, outline, leaves a metre."""
    leaf = rng.uniform(1.6, 2.2) if outline == SPIRE else rng.uniform(0.8, 1.3)
    return (
        *color,
        float(rng.integer(0, 4096)),
        rng.uniform(0, 7),
        rng.uniform(0, 7),
        *facing,
        outline,
        leaf,
        rng.uniform(0.85, 1.15),
    )


def _leaves(builder, rng, center, wide, high, color, facing):
    """A round layer of leaves."""
    leaf = _leaf_parameters(rng, color, facing, ROUND)
    origin = (center[0] - wide, center[1] - high, center[2])
    builder.panel(origin, _EAST, _UP, (2 * wide, 2 * high), Material.FOLIAGE, leaf, double=True, casts=False)


def _shade(builder, rng, x, y, z, radius, color):
    """A flat layer of leaves that is not drawn but casts the crown's shadow."""
    leaf = _leaf_parameters(rng, color, (0.0, 1.0, 0.0), ROUND)
    origin = (x - radius, y, z - radius)
    builder.panel(origin, _EAST, _NORTH, (2 * radius, 2 * radius), Material.FOLIAGE, leaf, visible=False)


def _trunk_shadow(builder, x, base, z, height, radius):
    """Crossed strips that cast a trunk's shadow, whatever way the sun shines."""
    builder.panel((x - radius, base, z), _EAST, _UP, (2 * radius, height), Material.PLAIN, visible=False)
    builder.panel((x, base, z - radius), _NORTH, _UP, (2 * radius, height), Material.PLAIN, visible=False)
