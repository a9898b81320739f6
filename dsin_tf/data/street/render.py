"""Pictures of scenes, and what is known about them."""

import numpy as np

from dsin_tf.data.street import shading, visibility
from dsin_tf.data.street.camera import BASELINE_M, Grid
from dsin_tf.data.street.noise import mix
from dsin_tf.data.street.scene import REFERENCE_STEP
from dsin_tf.data.street.sensor import Sensor, margin
from dsin_tf.data.street.shadows import Shadows

_SAMPLES = 2  # samples a pixel, across and down
_LEFT, _RIGHT, _SCATTERED = 0, 1, 2


class Moment:
    """A scene at one time step in one light; pictures from several cameras share what they can.

    Args:
      scene: `Scene`.
      size: (height, width) of the pictures, pixels.
      step: time step, 0 to 20.
      light: which light, see `Scene.light`.
    """

    def __init__(self, scene, size, step=REFERENCE_STEP, light=0):
        self.scene, self.step = scene, step
        self.grid = Grid.of(*size)
        self._light_number = light
        self._light = scene.light(light)
        self._surfaces = scene.surfaces(step)
        # Fine enough for the pixels of the picture on the ground some metres ahead.
        cell = min(0.3, max(0.1, 0.1 / self.grid.scale))
        self._shadows = Shadows(self._surfaces, scene.road, self._light, scene.pose(step).position[2], cell)

    def left(self):
        """What the left camera takes: `uint8 [H, W, 3]`."""
        return self._picture(self.scene.pose(self.step), _LEFT, self.step)

    def right(self):
        """What the right camera takes: `uint8 [H, W, 3]`."""
        return self._picture(self.scene.pose(self.step, right=True), _RIGHT, self.step)

    def scattered(self, view):
        """What somebody's camera takes from about here: `uint8 [H, W, 3]`."""
        return self._picture(self.scene.scattered_pose(view), _SCATTERED, view)

    def _picture(self, pose, which, number):
        surfaces, road, grid = self._surfaces, self.scene.road, self.grid.with_margin(margin(self.grid))
        hits = visibility.trace(surfaces, road, pose, grid, _SAMPLES, _SAMPLES)
        light = shading.shade(hits, surfaces, road, self._light, self._shadows, pose, grid, _SAMPLES, _SAMPLES)
        camera = self.scene.sensor_key(which, number if which == _SCATTERED else 0)
        sensor = Sensor.random(camera)
        noise = mix(camera, number, self._light_number)
        return sensor.with_noise(noise).develop(light, self._light.exposure, grid)

    def disparity(self):
        """True disparity of the left camera's pixels: float32 [H, W], pixels; 0 in the sky.

        What the left camera sees at column c the right one sees at c - disparity.
        """
        hits = self._trace(self.scene.pose(self.step), 1)
        return _disparity(hits.depth, self.grid)

    def occlusion(self):
        """True where the right camera does not see what the left one sees: bool [H, W].

        Either something stands before it, or it lies beyond the right picture's edge.
        """
        mine = self.disparity()
        across = 4
        hits = self._trace(self.scene.pose(self.step, right=True), across)
        theirs = _disparity(hits.depth, self.grid)
        columns = np.arange(self.grid.width, dtype=np.float32)[None, :] - mine
        outside = (columns < -0.5) | (columns > self.grid.width - 0.5)
        place = (columns + np.float32(0.5)) * np.float32(across) - np.float32(0.5)
        rows = np.arange(self.grid.height)[:, None]
        hidden = np.ones(mine.shape, bool)
        for shift in (0, 1):
            sample = np.clip(np.floor(place) + shift, 0, theirs.shape[1] - 1).astype(np.int64)
            hidden &= theirs[rows, sample] - mine > 0.25
        return hidden | outside

    def _trace(self, pose, across):
        return visibility.trace(self._surfaces, self.scene.road, pose, self.grid, across, 1)


def _disparity(depth, grid):
    """Pixels between the two pictures of a point at some depth; 0 at infinity."""
    return np.float32(grid.focal * BASELINE_M) / depth
