"""The light of a scene: where the sun stands, how bright everything is, what the sky looks like."""

import dataclasses

from dsin_tf.data.street.camera import turn


@dataclasses.dataclass(frozen=True)
class Light:
    """Linear light, on a scale where sensor values clip at 1.

    Attributes:
      sun: unit vector to the sun.
      sun_rgb: what a white wall that faces the sun gets from it.
      sky_rgb: what a white roof gets from the sky.
      zenith_rgb, horizon_rgb: the sky.
      cloud_rgb, cloud_cover: colour of clouds, and how much of the sky they take, 0 to 1.
      cloud_offset: metres, where in the pattern of clouds.
      haze_m: distance at which half of the light is haze.
      exposure: gain of the cameras.
    """

    sun: tuple
    sun_rgb: tuple
    sky_rgb: tuple
    zenith_rgb: tuple
    horizon_rgb: tuple
    cloud_rgb: tuple
    cloud_cover: float
    cloud_offset: tuple
    haze_m: float
    exposure: float

    @classmethod
    def random(cls, rng):
        """Some light of a day with sun, now and then behind clouds."""
        sine, cosine = turn(rng.uniform(-1, 1))
        if rng.chance(0.35):  # the other half of the compass: the sun in front of the car
            cosine = -cosine
        sine, cosine = sine, -cosine
        rise, level = turn(rng.uniform(0.22, 0.46))
        sun = (sine * level, rise, cosine * level)
        overcast = rng.chance(0.15)
        warmth = rng.uniform(0, 0.12)
        strength = rng.uniform(0.25, 0.7) if overcast else rng.uniform(2.4, 3.4)
        sun_rgb = tuple(strength * (1 + k * warmth) for k in (0.5, 0.0, -1.2))
        base = rng.uniform(0.7, 1.0) if overcast else rng.uniform(0.09, 0.23)
        tint = 0.03 if overcast else 0.15
        sky_rgb = tuple(base * (1 + k * tint) for k in (-0.7, 0.0, 0.8))
        if overcast or rng.chance(0.35):  # a sky that is brighter than the sensor can tell
            white = rng.uniform(0.8, 1.6)
            zenith, horizon = (white * 0.9, white * 0.96, white), (white, white * 1.02, white)
        else:
            depth = rng.uniform(0.6, 1.1)
            zenith = (0.22 * depth, 0.50 * depth, 0.95 * depth)
            horizon = (0.55 * depth + 0.2, 0.85 * depth + 0.15, 0.95 * depth + 0.25)
        return cls(
            sun=sun,
            sun_rgb=sun_rgb,
            sky_rgb=sky_rgb,
            zenith_rgb=zenith,
            horizon_rgb=horizon,
            cloud_rgb=(1.1, 1.12, 1.12),
            cloud_cover=rng.uniform(0.0, 0.6),
            cloud_offset=(rng.uniform(0, 2.5), rng.uniform(0, 2.5)),
            haze_m=rng.uniform(500, 2500),
            exposure=(1.8 if overcast else 1.0) * (1.05 + 1.6 * rng.uniform() * rng.uniform(0.4, 1.2)),
        )
