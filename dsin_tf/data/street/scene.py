"""A street scene: everything about it that does not depend on the size of a picture."""

import functools

from dsin_tf.data.street import vehicles
from dsin_tf.data.street.camera import BASELINE_M, HEIGHT_M, Pose
from dsin_tf.data.street.layout import Plan
from dsin_tf.data.street.light import Light
from dsin_tf.data.street.noise import Random, mix
from dsin_tf.data.street.surfaces import Builder

STEPS = 21  # time steps of a scene, 0 to 20, ten a second; step 10 is the one of a stereo pair
REFERENCE_STEP = 10

# Names of a scene's streams of random numbers.
_PLAN, _LIGHT, _DRIVE, _SCATTER, _SENSOR = range(5)


class Scene:
    """Scene `index` of the endless series that `seed` names; the same on every machine.

    Args:
      seed, index: non-negative integers.
    """

    def __init__(self, seed, index):
        self.seed, self.index = seed, index
        self._key = mix(seed, index)
        rng = Random(self._key, _DRIVE)
        self.step_m = rng.uniform(0.6, 1.4)
        self._pitch = rng.uniform(-0.006, 0.006)
        self._yaw = rng.uniform(-0.012, 0.012)
        self._turning = rng.uniform(-0.0008, 0.0008)
        self._offset = rng.uniform(-0.25, 0.25)
        self._drift = rng.uniform(-0.01, 0.01)
        self.plan = Plan(Random(self._key, _PLAN), self.step_m)

    @property
    def road(self):
        """The `Road`."""
        return self.plan.road

    @functools.lru_cache(maxsize=4)  # noqa: B019  a scene lives as long as its pictures are made
    def light(self, variant=0):
        """The `Light` of the scene; `variant` 1, 2, ... are other hours and days."""
        return Light.random(Random(self._key, _LIGHT, variant))

    @functools.cached_property
    def _still(self):
        builder = Builder()
        self.plan.build(builder)
        return builder.finish()

    def surfaces(self, step=REFERENCE_STEP):
        """All `Surfaces` at a time step."""
        builder = Builder()
        for traveller in self.plan.travellers:
            z = traveller.z + traveller.step_m * (step - REFERENCE_STEP)
            place = self.road.frame if traveller.step_m > 0 else self.road.oncoming
            make = vehicles.lorry if traveller.heavy else vehicles.car
            make(builder, Random(traveller.key), place(traveller.d, z))
        moving = builder.finish()
        return self._still.joined(moving) if len(moving) else self._still

    def pose(self, step=REFERENCE_STEP, right=False):
        """Pose of the left or the right camera at a time step."""
        time = step - REFERENCE_STEP
        z = self.step_m * time
        frame = self.road.frame(self._offset + self._drift * time, z)
        bump = Random(self._key, _DRIVE, 1 + step)
        yaw = self._yaw + self._turning * time + self.road.bend * z / 2
        pitch = self._pitch + bump.uniform(-0.0012, 0.0012)
        height = HEIGHT_M + bump.uniform(-0.012, 0.012)
        pose = Pose.looking((frame.x, height, z), yaw, pitch)
        return pose.moved_right(BASELINE_M) if right else pose

    def scattered_pose(self, view):
        """Pose of a photographer who walks about: view 0, 1, ... of the same place."""
        rng = Random(self._key, _SCATTER, view)
        z = rng.uniform(-7, 7)
        edge = min(self.road.right.edge, 3.0)
        frame = self.road.frame(rng.uniform(-edge, edge) * 0.8, z)
        # Turned back towards a common point far ahead, give or take.
        target = 40.0
        yaw = (self.road.bend * target * target / 2 - frame.x) / (target - z) / 2 + rng.uniform(-0.06, 0.06)
        height = HEIGHT_M + rng.uniform(-0.25, 0.6)
        return Pose.looking((frame.x, height, z), yaw, rng.uniform(-0.02, 0.03))

    def sensor_key(self, *names):
        """A key for the sensor noise of a picture that integers name."""
        return mix(self._key, _SENSOR, *names)
