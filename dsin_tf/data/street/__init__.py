"""Street: rendered street scenes seen by a stereo rig in KITTI's geometry. Built in; nothing to download.

`Scene(seed, index)` is everything about a scene: a road, what stands along it, what drives on it, the cameras'
path and the light. `Moment(scene, size)` takes pictures of it. The sources of `sources.py` make data sets of them.

    noise ──► textures ──► materials (facades, bodywork), ground ──► shading ──► sensor ──► 8-bit picture
    light, layout (vehicles, plants, buildings, furniture) ──► scene ──► surfaces
    surfaces, camera ──► visibility, shadows ──► shading

The rule that everything in this package keeps: **the picture of scene n of seed s is the same on every
machine**, at 8 bits, and stays the same as long as `VERSION` does. So the package computes with

  * integers (hashes instead of random number generators), and
  * additions, subtractions, multiplications, divisions, square roots, roundings, comparisons and selections
    of single float32 or float64 numbers, which IEEE 754 rounds in one way only;

and never with anything whose last bit depends on the processor or the library: no sin, exp or power (rational
functions of the half-angle's tangent stand in for angles), no sums, means or matrix products over arrays (their
order of addition is not fixed; what is added is added pair by pair), no sorting without a stable order.
"""

from dsin_tf.data.street.render import Moment
from dsin_tf.data.street.scene import REFERENCE_STEP, STEPS, Scene
from dsin_tf.data.street.sources import VERSION, StreetGeneral, StreetPairs, StreetSets

__all__ = ["REFERENCE_STEP", "STEPS", "VERSION", "Moment", "Scene", "StreetGeneral", "StreetPairs", "StreetSets"]
