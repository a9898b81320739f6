"""What stands beside a street: lamps, signs, signals, fences, guard rails, bollards, people."""

from dsin_tf.data.street.surfaces import Material

# What SIGN can show.
DISC, WARNING, BLUE, PRIORITY, SIGNAL, DIRECTION, LETTERING, BEACON = range(8)

_STEEL = (0.28, 0.29, 0.30)
_LAMP_M = 35  # farther off a lamp's arm and head are one strip
_CLOTHES = ((0.03, 0.03, 0.05), (0.25, 0.03, 0.03), (0.05, 0.09, 0.2), (0.4, 0.38, 0.34), (0.08, 0.1, 0.07))
_RED, _INK = (0.45, 0.02, 0.02), (0.02, 0.09, 0.36)


def lamp(builder, rng, frame, side, height):
    """Adds a street lamp whose arm reaches over the road; `side` is 1 on the right of the road."""
    seed = float(rng.integer(0, 4096))
    gain = rng.uniform(0.4, 1.3)
    steel = (*(gain * c for c in _STEEL), seed)
    builder.cone(frame.at(0, 0, 0), height, 0.10, Material.POLE, steel, narrowing=0.05 / height)
    builder.panel(frame.at(-0.06, 0, 0), frame.right, frame.UP, (0.12, height), Material.PLAIN, steel, visible=False)
    reach = rng.uniform(1.0, 2.2)
    if frame.z > _LAMP_M:
        left = (-reach - 0.4) if side > 0 else 0.0
        arm = frame.at(left, height - 0.1, 0)
        builder.panel(arm, frame.right, frame.UP, (reach + 0.4, 0.12), Material.PLAIN, steel, double=True, casts=False)
        return
    left = -reach if side > 0 else 0.0
    frame.box(builder, left, height - 0.05, -0.04, (reach, 0.08, 0.08), Material.PLAIN, steel)
    head = -reach - 0.4 if side > 0 else reach - 0.2
    frame.box(builder, head, height - 0.12, -0.12, (0.6, 0.13, 0.25), Material.PLAIN, (0.4, 0.4, 0.4, seed))


def sign(builder, rng, frame, kind=None):
    """Adds a traffic sign on a post, facing back along the road."""
    seed = float(rng.integer(0, 4096))
    kind = rng.choice((DISC, DISC, DISC, WARNING, WARNING, BLUE, BLUE, PRIORITY, DIRECTION)) if kind is None else kind
    foot = rng.uniform(2.0, 2.4)
    size = {DIRECTION: (2.4, 1.3), BLUE: (0.6, 0.6), WARNING: (0.9, 0.8)}.get(kind, (0.65, 0.65))
    color = {DISC: _RED, WARNING: _RED, BLUE: _INK, PRIORITY: (0.65, 0.42, 0.02), DIRECTION: (0.65, 0.48, 0.02)}[kind]
    for right in (-0.8, 0.8) if kind == DIRECTION else (0.0,):
        builder.cone(frame.at(right, 0, 0.06), foot + size[1] * 0.9, 0.04, Material.POLE, (*_STEEL, seed))
    origin = frame.at(-size[0] / 2, foot, 0)
    builder.panel(origin, frame.right, frame.UP, size, Material.SIGN, (*color, seed, kind), double=True)
    if kind != DIRECTION and rng.chance(0.3):
        plate = frame.at(-0.3, foot - 0.4, 0)
        builder.panel(plate, frame.right, frame.UP, (0.6, 0.33), Material.SIGN, (0.03, 0.03, 0.03, seed, LETTERING))


def signal(builder, rng, frame, state):
    """Adds a traffic light; `state` 0, 1, 2 is red, amber, green."""
    seed = float(rng.integer(0, 4096))
    builder.cone(frame.at(0, 0, 0.1), 3.4, 0.06, Material.POLE, (*_STEEL, seed))
    size = (0.32, 0.95)
    frame.box(builder, -0.16, 2.4, -0.05, (0.32, 0.95, 0.22), Material.PLAIN, (0.015, 0.017, 0.016, seed))
    face = frame.at(-0.16, 2.4, -0.06)
    builder.panel(
        face, frame.right, frame.UP, size, Material.SIGN, (0.012, 0.013, 0.012, seed, SIGNAL, state), casts=False
    )


def fence(builder, rng, frame, right, ahead, length, kind):
    """Adds a fence along the road; kind 0 pickets, 1 rails, 2 a steel guard rail, 3 wire mesh."""
    seed = float(rng.integer(0, 4096))
    height, spacing, color = (
        (1.1, 0.13, rng.choice(((0.30, 0.20, 0.12), (0.55, 0.54, 0.5), (0.04, 0.05, 0.05)))),
        (1.0, 2.0, (0.3, 0.3, 0.3)),
        (0.75, 4.0, (0.42, 0.43, 0.44)),
        (1.8, 2.5, (0.10, 0.14, 0.11)),
    )[kind]
    builder.panel(
        frame.at(right, 0, ahead),
        frame.ahead,
        frame.UP,
        (length, height),
        Material.FENCE,
        (*color, seed, float(kind), spacing),
        double=True,
    )


def wall(builder, rng, frame, right, ahead, length, height):
    """Adds a low garden wall along the road."""
    gain = rng.uniform(0.5, 1.0)
    color = tuple(gain * c for c in (0.45, 0.42, 0.38))
    frame.box(
        builder, right, 0, ahead, (0.25, height, length), Material.PLAIN, (*color, float(rng.integer(0, 4096)), 0.8)
    )


def post(builder, rng, frame):
    """Adds one of the white delineator posts of a country road."""
    frame.box(builder, -0.06, 0, 0, (0.12, 1.0, 0.1), Material.PLAIN, (0.65, 0.65, 0.63, float(rng.integer(0, 4096))))
    band = frame.at(-0.06, 0.7, -0.01)
    builder.panel(band, frame.right, frame.UP, (0.12, 0.2), Material.PLAIN, (0.02, 0.02, 0.02), casts=False)


def beacon(builder, rng, frame):
    """Adds a red and white striped warning board."""
    seed = float(rng.integer(0, 4096))
    origin = frame.at(-0.15, 0.1, 0)
    builder.panel(origin, frame.right, frame.UP, (0.3, 1.1), Material.SIGN, (*_RED, seed, BEACON), double=True)


def box(builder, rng, frame):
    """Adds a cabinet or a litter bin."""
    color = rng.choice(((0.30, 0.32, 0.30), (0.04, 0.10, 0.06), (0.35, 0.25, 0.02), (0.12, 0.12, 0.13)))
    size = (rng.uniform(0.4, 1.2), rng.uniform(0.8, 1.4), rng.uniform(0.35, 0.5))
    frame.box(builder, -size[0] / 2, 0, 0, size, Material.PLAIN, (*color, float(rng.integer(0, 4096)), 0.2))


def person(builder, rng, frame):
    """Adds somebody on foot, seen from the front or behind."""
    height = rng.uniform(1.55, 1.9)
    cloth = rng.choice(_CLOTHES)
    wide = height * 0.34
    builder.panel(
        frame.at(-wide / 2, 0, 0),
        frame.right,
        frame.UP,
        (wide, height),
        Material.PERSON,
        (*cloth, float(rng.integer(0, 4096))),
        double=True,
    )
