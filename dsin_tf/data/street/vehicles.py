"""Cars, vans and lorries out of panels."""

from dsin_tf.data.street.surfaces import Material

# Albedos of car paint, by how often they are met: greys, black, white, then colours.
_PAINTS = (
    (0.30, 0.31, 0.33),
    (0.42, 0.43, 0.44),
    (0.16, 0.17, 0.18),
    (0.02, 0.02, 0.025),
    (0.03, 0.03, 0.035),
    (0.52, 0.52, 0.51),
    (0.02, 0.04, 0.12),
    (0.30, 0.015, 0.015),
    (0.02, 0.06, 0.04),
    (0.22, 0.17, 0.10),
    (0.03, 0.10, 0.28),
)
_DETAIL_M = 40  # cars beyond this have no mirrors and no treads
_DARK = (0.012, 0.012, 0.013)

# length, width, height, bonnet, boot, belt height, windscreen run, rear window run (metres)
_SHAPES = {
    "hatchback": (3.95, 1.70, 1.45, 0.95, 0.05, 0.90, 0.75, 0.35),
    "saloon": (4.55, 1.78, 1.43, 1.15, 0.85, 0.91, 0.80, 0.65),
    "estate": (4.60, 1.78, 1.48, 1.15, 0.05, 0.92, 0.80, 0.30),
    "offroad": (4.50, 1.88, 1.74, 1.10, 0.05, 1.08, 0.60, 0.25),
    "van": (4.90, 1.92, 1.98, 0.75, 0.03, 1.12, 0.70, 0.08),
}


def car(builder, rng, frame):
    """Adds a passenger car or a van; `frame` is the middle of its footprint, its front is ahead."""
    detailed = -20 < frame.z < _DETAIL_M
    shape = rng.choice(("hatchback", "hatchback", "saloon", "estate", "estate", "offroad", "van"))
    length, width, height, bonnet, boot, belt, front_run, rear_run = _SHAPES[shape]
    stretch = rng.uniform(0.96, 1.05)
    length, bonnet, boot = length * stretch, bonnet * stretch, boot * stretch
    paint = rng.choice(_PAINTS)
    if shape == "van" and rng.chance(0.6):
        paint = (0.55, 0.55, 0.54)
    seed = float(rng.integer(0, 4096))
    base = (*paint, seed)

    sill, nose, tail = 0.22, belt - 0.22, belt - 0.06
    half_l, half_w = length / 2, width / 2
    wheel, axle = 0.31 + 0.05 * (height > 1.6), length * 0.305

    # The body below the windows.
    side = (bonnet, nose - sill, belt - sill, boot, tail - sill, axle, wheel)
    body = (length, belt - sill)
    builder.panel(frame.at(half_w, sill, -half_l), frame.ahead, frame.UP, body, Material.CAR_SIDE, (*base, 0.0, *side))
    builder.panel(frame.at(-half_w, sill, half_l), frame.back, frame.UP, body, Material.CAR_SIDE, (*base, 1.0, *side))
    builder.panel(frame.at(half_w, sill, half_l), frame.left, frame.UP, (width, nose - sill), Material.CAR_FRONT, base)
    builder.panel(
        frame.at(-half_w, sill, -half_l), frame.right, frame.UP, (width, tail - sill), Material.CAR_REAR, base
    )
    up, slope = frame.leaning(frame.back, bonnet, belt - nose)
    builder.panel(frame.at(half_w, nose, half_l), frame.left, up, (width, slope), Material.PAINT, (*base, 0.35))
    up, slope = frame.leaning(frame.ahead, max(boot, 0.03), belt - tail)
    builder.panel(frame.at(-half_w, tail, -half_l), frame.right, up, (width, slope), Material.PAINT, (*base, 0.35))

    # The cabin leans inwards on all sides.
    rise, lean = height - belt, 0.16
    cabin = length - bonnet - boot
    rear, front = -half_l + boot, half_l - bonnet
    windows = 1.0 if shape == "van" else 2.0 if shape in ("hatchback", "saloon") else 3.0
    up, slope = frame.leaning(frame.left, lean, rise)
    taper = (rear_run / slope, front_run / slope)
    tail_end = (*base, 0.0, windows)
    builder.panel(
        frame.at(half_w, belt, rear), frame.ahead, up, (cabin, slope), Material.CAR_CABIN, tail_end, taper=taper
    )
    up, slope = frame.leaning(frame.right, lean, rise)
    nose_end = (*base, 1.0, windows)
    builder.panel(
        frame.at(-half_w, belt, front), frame.back, up, (cabin, slope), Material.CAR_CABIN, nose_end, taper=taper[::-1]
    )
    up, slope = frame.leaning(frame.back, front_run, rise)
    screen = (lean / slope, lean / slope)
    builder.panel(
        frame.at(half_w, belt, front), frame.left, up, (width, slope), Material.GLASS, (*base, 0.0), taper=screen
    )
    up, slope = frame.leaning(frame.ahead, rear_run, rise)
    screen = (lean / slope, lean / slope)
    builder.panel(
        frame.at(-half_w, belt, rear), frame.right, up, (width, slope), Material.GLASS, (*base, 1.0), taper=screen
    )
    roof = (width - 2 * lean, cabin - front_run - rear_run)
    builder.panel(
        frame.at(-half_w + lean, height, rear + rear_run), frame.right, frame.ahead, roof, Material.PAINT, (*base, 0.1)
    )
    _wheels(builder, frame, half_w, axle, wheel, sill, detailed)
    for across in (-1, 1) if detailed else ():
        frame.box(
            builder,
            across * (half_w + 0.09) - 0.08,
            belt + 0.02,
            front - 0.35,
            (0.16, 0.14, 0.06),
            Material.PLAIN,
            (*paint, seed),
            casts=False,
        )


def lorry(builder, rng, frame):
    """Adds a box lorry; its front is ahead."""
    length, width, height = rng.uniform(6.5, 9), 2.4, rng.uniform(3.1, 3.7)
    half_l, half_w = length / 2, width / 2
    paint = rng.choice(((0.5, 0.5, 0.49), (0.55, 0.55, 0.53), (0.5, 0.1, 0.03), (0.05, 0.14, 0.4), (0.6, 0.5, 0.08)))
    seed = float(rng.integer(0, 4096))
    cab = 1.9
    load = (width, height - 0.9, length - cab - 0.15)
    frame.box(builder, -half_w, 0.9, -half_l, load, Material.PLAIN, (*paint, seed, -0.27))
    # Doors and lamps at the back, lettering as a band of the other colour.
    builder.panel(
        frame.at(-half_w, 0.45, -half_l - 0.02), frame.right, frame.UP, (width, 0.5), Material.CAR_REAR, (*_DARK, seed)
    )
    band = (length - cab - 1.6, 0.5)
    ink = rng.choice(((0.4, 0.03, 0.02), (0.02, 0.08, 0.35), (0.03, 0.2, 0.06)))
    builder.panel(
        frame.at(half_w + 0.01, height * 0.6, -half_l + 0.7),
        frame.ahead,
        frame.UP,
        band,
        Material.SIGN,
        (*ink, seed, 6.0),
    )
    builder.panel(
        frame.at(-half_w - 0.01, height * 0.6, half_l - cab - 0.9),
        frame.back,
        frame.UP,
        band,
        Material.SIGN,
        (*ink, seed, 6.0),
    )
    color = rng.choice(_PAINTS)
    base = (*color, seed)
    deck = half_l - cab
    frame.box(builder, -half_w, 0.5, deck, (width, 1.1, cab), Material.PLAIN, base, top=False)
    builder.panel(frame.at(half_w, 0.5, half_l + 0.01), frame.left, frame.UP, (width, 0.8), Material.CAR_FRONT, base)
    cabin = (0.0, 1.0)
    builder.panel(frame.at(half_w, 1.6, deck), frame.ahead, frame.UP, (cab, 0.95), Material.CAR_CABIN, (*base, *cabin))
    builder.panel(
        frame.at(-half_w, 1.6, half_l), frame.back, frame.UP, (cab, 0.95), Material.CAR_CABIN, (*base, *cabin)
    )
    builder.panel(frame.at(half_w, 1.5, half_l), frame.left, frame.UP, (width, 1.05), Material.GLASS, (*base, 0.0))
    builder.panel(frame.at(-half_w, 2.55, deck), frame.right, frame.ahead, (width, cab), Material.PAINT, (*base, 0.1))
    _wheels(builder, frame, half_w, length * 0.32, 0.48, 0.6, True)


def _wheels(builder, frame, half_w, axle, radius, sill, detailed):
    """Four wheels, and what is dark under a car."""
    size = (2 * radius, 2 * radius)
    for ahead in (-axle, axle):
        builder.panel(
            frame.at(half_w + 0.012, 0, ahead - radius), frame.ahead, frame.UP, size, Material.WHEEL, casts=False
        )
        builder.panel(
            frame.at(-half_w - 0.012, 0, ahead + radius), frame.back, frame.UP, size, Material.WHEEL, casts=False
        )
        for right in (-half_w + 0.02, half_w - 0.22) if detailed else ():
            builder.panel(
                frame.at(right, 0, ahead - 0.6 * radius),
                frame.right,
                frame.UP,
                (0.2, sill),
                Material.PLAIN,
                _DARK,
                double=True,
            )
    for ahead in (-axle + 0.2, axle - 0.2) if detailed else (0.0,):
        builder.panel(
            frame.at(-half_w, 0.1, ahead),
            frame.right,
            frame.UP,
            (2 * half_w, sill),
            Material.PLAIN,
            _DARK,
            double=True,
        )
