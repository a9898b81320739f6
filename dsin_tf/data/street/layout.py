"""Plans a street: the road and what stands along both its sides.

Places are given in the road's own metres: d across (0 is the middle of the camera's lane, positive to the
right) and z along. The road bends, so that its middle lies at X = bend / 2 * z * z.
"""

import dataclasses
import enum

from dsin_tf.data.street import buildings, furniture, plants, vehicles
from dsin_tf.data.street.surfaces import Frame

BEGIN, END = -32.0, 150.0  # metres of street that are built, along z

KERB_M = 0.12  # height of pavements over the road


class Cover(enum.IntEnum):
    """What the ground is made of."""

    PAVING = 0
    GRASS = 1
    GRAVEL = 2
    TARMAC = 3
    MEADOW = 4


@dataclasses.dataclass(frozen=True)
class Verge:
    """One side of the road.

    Attributes:
      edge: where it begins, metres from the middle of the camera's lane (positive on both sides).
      raised: behind a kerb.
      bands: (width in metres, Cover) from the road outwards; the last one goes on for ever.
    """

    edge: float
    raised: bool
    bands: tuple  # of (float, Cover)


@dataclasses.dataclass(frozen=True)
class Road:
    """The ground of a scene.

    Attributes:
      bend: curvature, 1/metres.
      left, right: the sides.
      lane: width of a lane, metres.
      lanes_left, lanes_right: how many lanes there are left and right of the camera's.
      edge_lines: painted lines where the lanes end.
      dash: (length, period) of the dashed lines, metres.
      solid: the line between the two directions is not dashed.
      crossing: z of a zebra crossing, metres, or None.
      tone: albedo of the asphalt.
      wear: 0 new to 1 old: cracks, patches, pale paint.
      seed: names the pattern of stains.
    """

    bend: float
    left: Verge
    right: Verge
    lane: float
    lanes_left: int
    lanes_right: int
    edge_lines: bool
    dash: tuple
    solid: bool
    crossing: float
    tone: float
    wear: float
    seed: int

    def frame(self, d, z, raised=False, turned=0.0):
        """Axes at a place, ahead along the road; `turned` adds to the heading (a small tangent)."""
        slope = self.bend * z + turned
        scale = 1 / (1 + slope * slope / 4)
        sine, cosine = slope * scale, (1 - slope * slope / 4) * scale
        return Frame(self.bend / 2 * z * z + d, KERB_M if raised else 0.0, z, sine, cosine)

    def oncoming(self, d, z):
        """Axes at a place, ahead against the camera's direction."""
        frame = self.frame(d, z)
        return Frame(frame.x, frame.y, frame.z, -frame.ahead[0], -frame.ahead[2])


@dataclasses.dataclass(frozen=True)
class Traveller:
    """A vehicle that moves.

    Attributes:
      key: names its random numbers.
      d, z: where it is at step 10, metres.
      step_m: metres along the road each time step, negative when it comes towards the camera.
      heavy: a lorry.
    """

    key: int
    d: float
    z: float
    step_m: float
    heavy: bool


SIDES = ("urban", "houses", "avenue", "woods", "fields", "open")

# Which pairs of sides make a street.
_STREETS = (
    ("urban", "urban"),
    ("urban", "urban"),
    ("urban", "avenue"),
    ("avenue", "urban"),
    ("houses", "houses"),
    ("houses", "houses"),
    ("houses", "avenue"),
    ("houses", "woods"),
    ("avenue", "avenue"),
    ("avenue", "houses"),
    ("avenue", "open"),
    ("open", "avenue"),
    ("open", "urban"),
    ("woods", "woods"),
    ("woods", "fields"),
    ("fields", "woods"),
    ("open", "houses"),
)


class Plan:
    """The road, the vehicles that move on it, and a way to build all that stands still.

    Args:
      rng: `Random`.
      step_m: the camera's metres a time step.
    """

    def __init__(self, rng, step_m):
        self.sides = rng.choice(_STREETS)
        rural = "woods" in self.sides and "houses" not in self.sides
        wide = not rural and rng.chance(0.35)
        self.lane = rng.uniform(2.9, 3.6)
        self._parking = {
            side: rng.chance({"urban": 0.75, "houses": 0.5, "avenue": 0.3}.get(kind, 0.0))
            for side, kind in zip((-1, 1), self.sides)
        }
        self.lanes_left = 2 if wide and rng.chance(0.6) else 1
        self.lanes_right = 1 if wide and rng.chance(0.7) else 0
        verges = [self._verge(rng, side, kind) for side, kind in zip((-1, 1), self.sides)]
        self.road = Road(
            bend=rng.choice((0.0, 1.0, 1.0, -1.0, -1.0)) * rng.uniform(0.0002, 0.0035),
            left=verges[0],
            right=verges[1],
            lane=self.lane,
            lanes_left=self.lanes_left,
            lanes_right=self.lanes_right,
            edge_lines=rural or rng.chance(0.4),
            dash=(3.0, 9.0) if rural or wide else (rng.uniform(1.5, 3), rng.uniform(4.5, 8)),
            solid=rng.chance(0.2),
            crossing=rng.uniform(16, 45) if not rural and rng.chance(0.3) else None,
            tone=rng.uniform(0.09, 0.19),
            wear=rng.uniform(0.1, 1.0),
            seed=rng.integer(0, 4096),
        )
        self.travellers = tuple(self._travellers(rng, step_m))
        self._key = rng.bits()
        self._random = type(rng)

    def _verge(self, rng, side, kind):
        """The ground on one side of the road."""
        lanes = self.lanes_left if side < 0 else self.lanes_right
        edge = self.lane * (lanes + 0.5) + (2.35 if self._parking[side] else rng.uniform(0.3, 0.8))
        walk = rng.uniform(1.6, 2.6)
        hard = rng.choice((Cover.PAVING, Cover.PAVING, Cover.TARMAC))
        bands = {
            "urban": ((walk + rng.uniform(0.6, 1.6), hard), (1.0, hard)),
            "houses": ((walk, hard), (1.0, Cover.GRASS)),
            "avenue": ((rng.uniform(2, 4), Cover.GRASS), (walk, hard), (1.0, Cover.GRASS)),
            "woods": ((rng.uniform(0.4, 1.0), Cover.GRAVEL), (rng.uniform(2, 4), Cover.GRASS), (1.0, Cover.MEADOW)),
            "fields": ((rng.uniform(0.4, 1.0), Cover.GRAVEL), (rng.uniform(3, 6), Cover.GRASS), (1.0, Cover.MEADOW)),
            "open": ((walk, hard), (rng.uniform(5, 10), Cover.GRASS), (8.0, Cover.TARMAC), (1.0, Cover.GRASS)),
        }[kind]
        return Verge(edge, kind not in ("woods", "fields"), bands)

    def _travellers(self, rng, step_m):
        """Vehicles in the lanes."""
        ahead = rng.uniform(14, 45)
        while ahead < 100 and rng.chance(0.75):
            yield Traveller(rng.bits(), 0.0, ahead, step_m * rng.uniform(0.85, 1.1), rng.chance(0.12))
            ahead += rng.uniform(12, 50)
        for lane in range(1, self.lanes_left + 1):
            z = rng.uniform(10, 60)
            while z < 140 and rng.chance(0.8):
                speed = -step_m * rng.uniform(0.7, 1.2)
                yield Traveller(rng.bits(), -self.lane * lane, z, speed, rng.chance(0.08))
                z += rng.uniform(12, 50)
        for lane in range(1, self.lanes_right + 1):
            z = rng.uniform(9, 40)
            while z < 100 and rng.chance(0.7):
                speed = step_m * rng.uniform(0.8, 1.15)
                yield Traveller(rng.bits(), self.lane * lane, z, speed, rng.chance(0.1))
                z += rng.uniform(12, 50)

    def build(self, builder):
        """Adds everything that stands still to a `Builder`."""
        for side, kind in zip((-1, 1), self.sides):
            rng = self._random(self._key, side)
            verge = self.road.left if side < 0 else self.road.right
            if self._parking[side]:
                self._park(builder, rng, side * (verge.edge - 1.1), side)
            getattr(self, f"_build_{kind}")(builder, rng, side, verge)
        self._backdrop(builder, self._random(self._key, 2))

    def _park(self, builder, rng, d, side):
        """A row of parked cars at the kerb."""
        z = BEGIN + rng.uniform(0, 6)
        busy = rng.uniform(0.4, 0.95)
        while z < 90:
            # Beside the camera a gap is likely: few of KITTI's disparities pass 100 pixels.
            if rng.chance(busy * 0.25 if 0 < z < 6.5 else busy) and not self._near_crossing(z):
                place = d + rng.uniform(-0.12, 0.12)
                frame = self.road.frame(place, z) if side > 0 or rng.chance(0.3) else self.road.oncoming(place, z)
                vehicles.car(builder, rng, frame)
            z += rng.uniform(5.2, 6.4)

    def _near_crossing(self, z):
        return self.road.crossing is not None and abs(z - self.road.crossing) < 7

    def _along(self, rng, low, high, begin=BEGIN, end=END):
        """Places z, `low` to `high` metres apart."""
        z = begin + rng.uniform(0, high)
        while z < end:
            yield z
            z += rng.uniform(low, high)

    def _lamps_and_signs(self, builder, rng, side, verge, offset=0.7):
        """What stands at the edge of most roads."""
        d = side * (verge.edge + offset)
        height = rng.uniform(6, 9)
        if rng.chance(0.75):
            for z in self._along(rng, 24, 34):
                furniture.lamp(builder, rng, self.road.frame(d, z, verge.raised), side, height)
        for z in self._along(rng, 10, 45, begin=4, end=80):
            frame = self.road.frame(d + side * rng.uniform(-0.2, 0.4), z, verge.raised)
            what = rng.uniform()
            if what < 0.55:
                furniture.sign(builder, rng, frame)
            elif what < 0.72 and verge.raised:
                furniture.signal(builder, rng, frame, rng.integer(0, 3))
            elif what < 0.86 and verge.raised:
                furniture.box(builder, rng, frame)
            elif verge.raised:
                furniture.beacon(builder, rng, frame)
        if self.road.crossing is not None and rng.chance(0.6):
            frame = self.road.frame(d, self.road.crossing, verge.raised)
            furniture.signal(builder, rng, frame, rng.integer(0, 3))

    def _people(self, builder, rng, side, verge, many):
        """People on the pavement."""
        for z in self._along(rng, many * 0.5, many * 2, begin=7, end=70):
            d = side * (verge.edge + rng.uniform(0.7, 2.0))
            furniture.person(builder, rng, self.road.frame(d, z, verge.raised))

    def _row_of_trees(self, builder, rng, d, raised, spacing, height, begin=BEGIN):
        """Trees of one kind in a line."""
        for z in self._along(rng, spacing * 0.8, spacing * 1.25, begin):
            frame = self.road.frame(d + rng.uniform(-0.4, 0.4), z, raised)
            plants.tree(builder, rng, frame.x, frame.y, z, height * rng.uniform(0.8, 1.2))

    def _build_urban(self, builder, rng, side, verge):
        front = verge.edge + verge.bands[0][0]
        z = BEGIN
        while z < END:
            length = rng.uniform(9, 24)
            if rng.chance(0.12):  # a gap between houses, with trees
                for _ in range(2):
                    d = side * (front + rng.uniform(2, 9))
                    frame = self.road.frame(d, z + rng.uniform(0.2, 0.8) * length, verge.raised)
                    plants.tree(builder, rng, frame.x, frame.y, frame.z, rng.uniform(6, 12))
                back = self.road.frame(side * (front + 11), z + length, verge.raised)
                plants.thicket(builder, rng, back.x, back.y, back.z, 20, rng.uniform(3, 8))
            else:
                setback = rng.uniform(0, 0.6) if rng.chance(0.7) else rng.uniform(1, 4)
                frame = self.road.frame(side * (front + setback), z + length / 2, verge.raised)
                buildings.building(builder, rng, frame, side, length, rng.uniform(9, 14), rng.integer(2, 6), True)
            z += length + (rng.uniform(0.0, 4.0) if rng.chance(0.3) else 0.02)
        if rng.chance(0.5):
            self._row_of_trees(
                builder, rng, side * (verge.edge + 0.9), verge.raised, rng.uniform(9, 18), rng.uniform(5, 10)
            )
        self._lamps_and_signs(builder, rng, side, verge)
        self._people(builder, rng, side, verge, 14)

    def _build_houses(self, builder, rng, side, verge):
        boundary = verge.edge + verge.bands[0][0]
        setback = rng.uniform(3, 7)
        z = BEGIN
        while z < END:
            length = rng.uniform(8, 15)
            gap = rng.uniform(3, 9)
            frame = self.road.frame(side * (boundary + setback), z + length / 2, verge.raised)
            buildings.building(builder, rng, frame, side, length, rng.uniform(8, 11), rng.integer(1, 4), False)
            self._garden(builder, rng, side, boundary, setback, z, length + gap, verge.raised)
            z += length + gap
        if rng.chance(0.4):
            self._row_of_trees(builder, rng, side * (boundary - 0.3), verge.raised, rng.uniform(8, 16), 7)
        self._lamps_and_signs(builder, rng, side, verge)
        self._people(builder, rng, side, verge, 30)

    def _garden(self, builder, rng, side, boundary, setback, z, length, raised):
        """The border of a garden, and what grows in it."""
        frame = self.road.frame(side * boundary, z, raised)
        kind = rng.integer(0, 5)
        run = length - 3.0
        if kind <= 1:
            thick = rng.uniform(0.6, 1.0)
            size = (thick, rng.uniform(0.8, 1.9), run)
            plants.hedge(builder, rng, frame, 0.0 if side > 0 else -thick, 0.0, size)
        elif kind == 2:
            furniture.wall(builder, rng, frame, 0.0 if side > 0 else -0.25, 0.0, run, rng.uniform(0.5, 1.3))
        elif kind == 3:
            furniture.fence(builder, rng, frame, 0.0, 0.0, run, 0)
        for _ in range(rng.integer(1, 4)):
            spot = self.road.frame(side * (boundary + rng.uniform(0.8, setback)), z + rng.uniform(0, length), raised)
            if rng.chance(0.45):
                plants.tree(builder, rng, spot.x, spot.y, spot.z, rng.uniform(4, 9))
            elif rng.chance(0.25):
                plants.conifer(builder, rng, spot.x, spot.y, spot.z, rng.uniform(5, 11))
            else:
                plants.bush(builder, rng, spot.x, spot.y, spot.z, rng.uniform(0.9, 2.2))
        if rng.chance(0.6):
            back = self.road.frame(side * (boundary + setback + 12), z + length, raised)
            plants.thicket(builder, rng, back.x, back.y, back.z, 14, rng.uniform(4, 9))

    def _build_avenue(self, builder, rng, side, verge):
        lawn, walk = verge.bands[0][0], verge.bands[1][0]
        height = rng.uniform(7, 14)
        self._row_of_trees(builder, rng, side * (verge.edge + lawn / 2), verge.raised, rng.uniform(7, 14), height)
        beyond = verge.edge + lawn + walk
        what = rng.uniform()
        if what < 0.4:
            for z in self._along(rng, 14, 20):
                size = (1.0, rng.uniform(1, 2), 12)
                d = side * beyond if side > 0 else side * beyond - 1.0
                plants.hedge(builder, rng, self.road.frame(d, z, verge.raised), 0.0, 0.0, size)
        if what < 0.65:
            self._row_of_trees(builder, rng, side * (beyond + 3), verge.raised, rng.uniform(6, 11), height * 0.9)
            self._screen(builder, rng, side, beyond + 6, 8, verge.raised)
        else:
            for z in self._along(rng, 24, 40):
                setback = beyond + rng.uniform(4, 12)
                frame = self.road.frame(side * setback, z, verge.raised)
                length, floors = rng.uniform(12, 22), rng.integer(2, 6)
                buildings.building(builder, rng, frame, side, length, 11, floors, urban=rng.chance(0.6))
            for z in self._along(rng, 5, 14):
                frame = self.road.frame(side * (beyond + rng.uniform(0.5, 3.5)), z, verge.raised)
                plants.bush(builder, rng, frame.x, frame.y, z, rng.uniform(0.8, 2.4))
            self._screen(builder, rng, side, beyond + 24, 10, verge.raised)
        self._lamps_and_signs(builder, rng, side, verge)
        self._people(builder, rng, side, verge, 40)

    def _screen(self, builder, rng, side, d, height, raised, step=9.0):
        """Walls of leaves one behind the other that close the view to the side."""
        z = 8.0
        while z < END:
            frame = self.road.frame(side * (d + 10), z, raised)
            plants.thicket(builder, rng, frame.x, frame.y, z, 20, height * rng.uniform(0.6, 1.2))
            z += step * (1 + z / 50)

    def _build_woods(self, builder, rng, side, verge):
        begin = verge.edge + verge.bands[0][0] + verge.bands[1][0]
        height = rng.uniform(10, 17)
        firs = rng.uniform(0, 0.5)
        for row in range(2):
            for z in self._along(rng, 4.5 + row, 8.5 + 2 * row, end=120):
                frame = self.road.frame(side * (begin + 3.2 * row + rng.uniform(0, 2.4)), z)
                if rng.chance(firs):
                    plants.conifer(builder, rng, frame.x, 0.0, z, height * rng.uniform(0.8, 1.2))
                else:
                    plants.tree(builder, rng, frame.x, 0.0, z, height * rng.uniform(0.75, 1.25), 0.12)
        for z in self._along(rng, 2.5, 6, begin=-5, end=80):
            frame = self.road.frame(side * (begin + rng.uniform(-0.5, 2.0)), z)
            plants.bush(builder, rng, frame.x, 0.0, z, rng.uniform(0.7, 2.2), 0.12)
        self._screen(builder, rng, side, begin + 3, height * 0.6, False, step=6.0)
        self._rural_edge(builder, rng, side, verge)

    def _build_fields(self, builder, rng, side, verge):
        begin = verge.edge + verge.bands[0][0] + verge.bands[1][0]
        for z in self._along(rng, 15, 45):
            frame = self.road.frame(side * (begin + rng.uniform(0, 18)), z)
            if rng.chance(0.5):
                plants.tree(builder, rng, frame.x, 0.0, z, rng.uniform(5, 11))
            else:
                plants.bush(builder, rng, frame.x, 0.0, z, rng.uniform(1, 3.5))
        for z in self._along(rng, 30, 60, begin=50):
            frame = self.road.frame(side * (begin + rng.uniform(20, 60)), z)
            plants.thicket(builder, rng, frame.x, 0.0, z, rng.uniform(20, 60), rng.uniform(3, 9))
        self._rural_edge(builder, rng, side, verge)

    def _rural_edge(self, builder, rng, side, verge):
        """Guard rail or posts, signs and long grass at the edge of a country road."""
        if rng.chance(0.35):
            for z in self._along(rng, 30, 31, begin=BEGIN):
                frame = self.road.frame(side * (verge.edge + 0.7), z)
                furniture.fence(builder, rng, frame, 0.0, 0.0, 31, 2)
        else:
            for z in self._along(rng, 24, 26):
                furniture.post(builder, rng, self.road.frame(side * (verge.edge + 0.5), z))
        for z in self._along(rng, 25, 70, begin=6, end=100):
            furniture.sign(builder, rng, self.road.frame(side * (verge.edge + 1.3), z))
        color = (0.13, 0.15, 0.05) if rng.chance(0.7) else (0.22, 0.19, 0.09)
        z = -20.0
        while z < 70:
            frame = self.road.frame(side * (verge.edge + rng.uniform(1.2, 1.8)), z)
            left = 0.0 if side > 0 else -9.0
            plants.blades(builder, rng, frame, left, 0.0, 9.0, rng.uniform(0.15, 0.45), color)
            z += rng.uniform(0.7, 1.6) * (1 + max(z, 0) / 12)

    def _build_open(self, builder, rng, side, verge):
        lawn = verge.edge + verge.bands[0][0]
        lot = lawn + verge.bands[1][0]
        if rng.chance(0.5):
            for z in self._along(rng, 9, 20):
                frame = self.road.frame(side * (lawn + rng.uniform(0.8, 3)), z, verge.raised)
                plants.tree(builder, rng, frame.x, frame.y, z, rng.uniform(4, 9))
        else:
            frame = self.road.frame(side * (lawn + 0.5), BEGIN, verge.raised)
            furniture.fence(builder, rng, frame, 0.0, 0.0, 60, rng.choice((1, 3)))
        for z in self._along(rng, 2.7, 5.2, begin=0, end=80):  # a car park
            frame = self.road.frame(side * (lot + 3), z, verge.raised, turned=-side * 1.9)
            vehicles.car(builder, rng, frame)
        for z in self._along(rng, 30, 60):
            frame = self.road.frame(side * (lot + rng.uniform(9, 18)), z, verge.raised)
            buildings.building(builder, rng, frame, side, rng.uniform(18, 40), 16, rng.integer(1, 5), True)
        for z in self._along(rng, 12, 30):
            frame = self.road.frame(side * (lot + rng.uniform(8, 22)), z, verge.raised)
            plants.tree(builder, rng, frame.x, frame.y, z, rng.uniform(6, 11))
        self._screen(builder, rng, side, lot + 26, 9, verge.raised, step=14.0)
        self._lamps_and_signs(builder, rng, side, verge)

    def _backdrop(self, builder, rng):
        """What closes the view at the end of the street: trees, a house or two, wooded hills."""
        end = self.road.frame(0.0, END)
        for z, height in ((END + 6, 7), (END + 40, 11), (END + 90, 17)):
            for x in range(-160, 161, 40):
                place = end.x * (1.0 if z < END + 20 else 1.3) + x + rng.uniform(-8, 8)
                high = height * rng.uniform(0.4, 1.2)
                plants.thicket(builder, rng, place, -2.0, z + rng.uniform(0, 9), rng.uniform(36, 60), high, 0.05)
        for _ in range(3):
            frame = self.road.frame(rng.uniform(-45, 45), END + rng.uniform(2, 30))
            frame = Frame(frame.x, 0.0, frame.z, -1.0, 0.0)
            buildings.building(builder, rng, frame, 1, rng.uniform(10, 20), 9, rng.integer(2, 5), rng.chance(0.5))
