"""Pinhole cameras in the geometry of KITTI's colour stereo rig.

A KITTI frame of 375x1242 pixels has focal length 721.5 pixels and principal point (609.6, 172.9); the right
camera stands 0.54 m beside the left one, both 1.65 m above the road.

A picture of another size shows the centre crop of that frame which its own preparation would show:

  * up to KITTI's usual crops (any size that covers 370 rows or 1224 columns) it is a crop at full resolution, so
    320x1224 has the pixels of the middle of 375x1242;
  * smaller pictures are that crop made small: 128x256 shows the middle 370x740 as NDIC's preparation does;
  * larger ones enlarge the frame until it is filled, with detail rendered at the larger size.
"""

import dataclasses

import numpy as np

FRAME = (375, 1242)
FOCAL = 721.5
CENTER = (609.6, 172.9)  # x, y
BASELINE_M = 0.54
HEIGHT_M = 1.65
STEPS_PER_SECOND = 10


@dataclasses.dataclass(frozen=True)
class Grid:
    """Where the pixels of a picture lie in KITTI's frame.

    Attributes:
      height, width: of the picture, pixels.
      scale: pixels of the picture for one pixel of the frame.
      top, left: the frame's pixel at the picture's upper left corner.
      margin: pixels of the picture around it that are rendered as well (counted in height and width).
    """

    height: int
    width: int
    scale: float
    top: int
    left: int
    margin: int = 0

    @classmethod
    def of(cls, height, width):
        """The grid for a picture size, by the rule in the module's docstring."""
        smallest = max(height / 370, width / 1224)
        largest = max(height / FRAME[0], width / FRAME[1])
        scale = max(largest, min(1.0, smallest))
        top = (FRAME[0] - round(height / scale)) // 2
        left = (FRAME[1] - round(width / scale)) // 2
        return cls(height, width, scale, top, left)

    @property
    def focal(self):
        """Focal length in pixels of the picture."""
        return FOCAL * self.scale

    def with_margin(self, margin):
        """The grid of the same picture with pixels around it."""
        height, width = self.height + 2 * margin, self.width + 2 * margin
        return dataclasses.replace(self, height=height, width=width, margin=margin)

    def rays(self, across, down):
        """Directions of samples: `across` a row and `down` a column of samples in each pixel, evenly spread.

        Returns:
          x `float32 [width * across]` and y `float32 [height * down]`: the ray of a sample is (x, y, 1) in the
          camera's axes right, down, forward.
        """
        x = ((np.arange(self.width * across) + 0.5) / across - self.margin) / self.scale - 0.5 + self.left
        y = ((np.arange(self.height * down) + 0.5) / down - self.margin) / self.scale - 0.5 + self.top
        return ((x - CENTER[0]) / FOCAL).astype(np.float32), ((y - CENTER[1]) / FOCAL).astype(np.float32)

    def sample_of(self, x, y, across, down):
        """Position (column, row) in the sample grid of `rays` of the ray (x, y, 1); arrays or floats."""
        column = ((x * FOCAL + CENTER[0] + 0.5 - self.left) * self.scale + self.margin) * across - 0.5
        row = ((y * FOCAL + CENTER[1] + 0.5 - self.top) * self.scale + self.margin) * down - 0.5
        return column, row


@dataclasses.dataclass(frozen=True)
class Pose:
    """Where a camera is and how it looks; world axes are X right, Y up, Z along the road at the start.

    Attributes:
      position: metres.
      right, down, forward: the camera's axes, unit vectors.
    """

    position: tuple
    right: tuple
    down: tuple
    forward: tuple

    @classmethod
    def looking(cls, position, yaw, pitch):
        """A camera at `position` turned by `yaw` to the right and `pitch` upwards (half-angle tangents)."""
        sin_yaw, cos_yaw = turn(yaw)
        sin_pitch, cos_pitch = turn(pitch)
        right = (cos_yaw, 0.0, -sin_yaw)
        forward = (sin_yaw * cos_pitch, sin_pitch, cos_yaw * cos_pitch)
        down = (sin_yaw * sin_pitch, -cos_pitch, cos_yaw * sin_pitch)
        return cls(tuple(position), right, down, forward)

    def moved_right(self, metres):
        """The camera beside this one."""
        position = tuple(p + metres * r for p, r in zip(self.position, self.right))
        return dataclasses.replace(self, position=position)


def turn(half_tangent):
    """(sine, cosine) of the angle whose half has this tangent; exact arithmetic where sin() and cos() are not."""
    q = half_tangent
    scale = 1 / (1 + q * q)
    return 2 * q * scale, (1 - q * q) * scale
