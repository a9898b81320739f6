"""Houses and blocks along a street."""

import math

from dsin_tf.data.street.surfaces import Material

_PLASTER = (
    (0.62, 0.58, 0.48),
    (0.60, 0.58, 0.53),
    (0.55, 0.46, 0.32),
    (0.60, 0.48, 0.38),
    (0.48, 0.47, 0.44),
    (0.66, 0.60, 0.42),
    (0.42, 0.36, 0.30),
    (0.64, 0.63, 0.60),
)
_BRICK = ((0.30, 0.13, 0.08), (0.26, 0.14, 0.10), (0.35, 0.20, 0.12), (0.40, 0.30, 0.20))
_ROOFS = ((0.22, 0.09, 0.05), (0.26, 0.11, 0.06), (0.12, 0.08, 0.07), (0.09, 0.09, 0.10), (0.18, 0.10, 0.07))
_TRIM = ((0.60, 0.57, 0.50), (0.45, 0.42, 0.36), (0.70, 0.69, 0.66))
_ROOF_EDGE = (0.30, 0.28, 0.26)

_BALCONY_M, _PIPE_M = 80, 45  # farther off these cannot be told
PLASTER, BRICK, MODERN = 0.0, 1.0, 2.0


class _Side:
    """The street front of a building: turns metres along it and into the plot into panels of either roadside."""

    def __init__(self, builder, frame, side, length, depth):
        self.builder, self.frame, self.side, self.length, self.depth = builder, frame, side, length, depth
        self.along = frame.back if side > 0 else frame.ahead  # to the right for somebody in the street
        self.outward = frame.left if side > 0 else frame.right
        self.inward = frame.right if side > 0 else frame.left

    def at(self, along, up, inward):
        """World place of metres along the front (from its left end), up, and away from the street."""
        start = self.length / 2 if self.side > 0 else -self.length / 2
        return self.frame.at(self.side * inward, up, start - self.side * along)

    def front(self, along, up, size, material, parameters, inward=0.0, **options):
        """A panel parallel to the street."""
        self.builder.panel(self.at(along, up, inward), self.along, self.frame.UP, size, material, parameters, **options)

    def ends(self, along, up, inward, size, deep, material, parameters, **options):
        """Both panels across the street's direction, `size` = (run along the front, height)."""
        wide, high = size
        left, right = self.at(along, up, inward + deep), self.at(along + wide, up, inward)
        self.builder.panel(left, self.outward, self.frame.UP, (deep, high), material, parameters, **options)
        self.builder.panel(right, self.inward, self.frame.UP, (deep, high), material, parameters, **options)

    def block(self, along, up, inward, size, deep, material, parameters, top=True, **options):
        """A box by its size along the front and up, and its depth."""
        self.front(along, up, size, material, parameters, inward, **options)
        self.ends(along, up, inward, size, deep, material, parameters, **options)
        if top:
            self.builder.panel(
                self.at(along, up + size[1], inward),
                self.along,
                self.inward,
                (size[0], deep),
                material,
                parameters,
                **options,
            )


def building(builder, rng, frame, side, length, depth, floors, urban):
    """Adds a building.

    Args:
      builder: `Builder`.
      rng: `Random`.
      frame: the middle of its street front, ahead along the street.
      side: -1 on the left of the street, 1 on the right.
      length, depth: metres along and away from the street.
      floors: how many.
      urban: shops, cornices and flat roofs rather than shutters and gables.
    """
    place = _Side(builder, frame, side, length, depth)
    seed = float(rng.integer(0, 4096))
    style = rng.choice((PLASTER, PLASTER, BRICK, MODERN) if urban else (PLASTER, PLASTER, PLASTER, BRICK))
    gain = rng.uniform(0.75, 1.1)
    color = tuple(gain * c for c in rng.choice(_BRICK if style == BRICK else _PLASTER))
    trim = rng.choice(_TRIM)
    storey = rng.uniform(2.8, 3.5)
    ground = storey * rng.uniform(1.05, 1.35) if urban and rng.chance(0.6) else 0.0
    height = floors * storey + (ground - storey if ground else 0.0) + 0.5
    cells = max(1, round(length / rng.uniform(1.9, 3.4)))
    cell = length / cells
    window = rng.uniform(0.36, 0.52) if style != MODERN else rng.uniform(0.55, 0.85)
    tall = rng.uniform(0.42, 0.58)
    shutters = 1.0 if not urban and rng.chance(0.5) else 0.0
    wall = (*color, seed, cell, storey, window, tall, style, ground, shutters, height)
    # End walls have fewer windows, or none where the next house stands close.
    end_cell = depth / max(1, round(depth / 4.5)) if rng.chance(0.6) else 0.0
    end = (*color, seed + 1, end_cell, storey, window * 0.6, tall, style, 0.0, 0.0, height)
    place.front(0, 0, (length, height), Material.FACADE, wall)
    place.ends(0, 0, 0, (length, height), depth, Material.FACADE, end)

    if urban:
        place.block(-0.05, height - 0.35, -0.3, (length + 0.1, 0.35), 0.5, Material.PLAIN, (*trim, seed, 0.3))
        if ground:
            place.block(0, ground - 0.12, -0.12, (length, 0.2), 0.3, Material.PLAIN, (*trim, seed, 0.3), casts=False)
    if not urban or rng.chance(0.6):
        _roof(place, rng, height, color, end, seed, urban)
    else:
        flat = (0.2, 0.2, 0.2, seed)
        builder.panel(place.at(0, height - 0.05, 0), place.along, place.inward, (length, depth), Material.PLAIN, flat)
    if urban and rng.chance(0.4) and frame.z < _BALCONY_M:
        _balconies(place, rng, cell, cells, storey, ground, floors, trim, seed)
    if frame.z < _PIPE_M:
        pipe = place.at(0.25, 0, -0.06)
        builder.cone(pipe, height - 0.4, 0.05, Material.POLE, (0.25, 0.22, 0.2, seed))


def _roof(place, rng, height, color, wall, seed, urban):
    """A ridged roof along the street, its gables, dormers and chimneys."""
    length, depth = place.length, place.depth
    half = depth / 2
    rise = half * rng.uniform(0.6, 1.1)
    tile = (*rng.choice(_ROOFS), seed)
    slope = math.sqrt(half * half + rise * rise)
    over = 0.4  # the eaves stand out
    up = tuple((i * half + u * rise) / slope for i, u in zip(place.inward, place.frame.UP))
    drop = over * rise / half
    size = (length + 2 * 0.25, slope * (1 + over / half))
    place.builder.panel(place.at(-0.25, height - drop, -over), place.along, up, size, Material.ROOF, tile)
    blank = (*wall[:4], 0.0, *wall[5:])
    gable = (half / rise, half / rise)
    place.ends(0, height, 0, (length, rise), depth, Material.FACADE, blank, taper=gable)
    place.front(-0.25, height - drop - 0.12, (length + 0.5, 0.14), Material.PLAIN, (*_ROOF_EDGE, seed), inward=-over)
    for _ in range(rng.integer(0, 3)):
        place.block(
            rng.uniform(0.2, 0.8) * length,
            height + rise * 0.6,
            half * 0.8,
            (0.7, rise * 0.6 + 0.7),
            0.7,
            Material.PLAIN,
            (0.26, 0.14, 0.10, seed, 0.4),
        )
    if rise > 3 and (urban or rng.chance(0.4)):
        count = max(1, int(length / 4.5))
        inside = half * 0.28
        for k in range(count):
            dormer = (*color, seed, 1.4, 1.5, 0.62, 0.66, 0.0, 0.0, 0.0, 1.5)
            along = (k + 0.5) * length / count - 0.7
            place.block(along, height + inside * rise / half, inside, (1.4, 1.5), half * 0.5, Material.FACADE, dormer)


def _balconies(place, rng, cell, cells, storey, ground, floors, trim, seed):
    """Slabs with railings before some columns of windows."""
    step = rng.integer(2, 4)
    for column in range(rng.integer(0, step), cells, step):
        for floor in range(1, floors):
            up = (ground or storey) + (floor - 1) * storey - 0.1
            wide = cell * 0.9
            along = column * cell + cell * 0.05
            place.block(along, up, -1.0, (wide, 0.16), 1.0, Material.PLAIN, (*trim, seed, 0.3))
            rail = (0.05, 0.05, 0.055, seed, 0.0, 0.13)
            place.front(along, up + 0.16, (wide, 0.95), Material.FENCE, rail, inward=-0.98, double=True)
            place.ends(along, up + 0.16, -0.98, (wide, 0.95), 0.98, Material.FENCE, rail, double=True, casts=False)
