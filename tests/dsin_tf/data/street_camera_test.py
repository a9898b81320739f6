"""Which part of KITTI's frame a picture shows."""

import math

import numpy as np
import pytest

from dsin_tf.data.street.camera import CENTER, FOCAL, Grid, Pose, turn


@pytest.mark.parametrize(
    ("size", "focal", "top", "left"),
    [
        ((375, 1242), 721.5, 0, 0),
        ((320, 1224), 721.5, 27, 9),  # (375 - 320) // 2, (1242 - 1224) // 2
        ((370, 740), 721.5, 2, 251),
        ((128, 256), 721.5 * 128 / 370, 2, 251),  # NDIC: the middle 370x740 made small
        ((750, 2484), 1443.0, 0, 0),
    ],
)
def test_size_decides_focal_length_and_crop(size, focal, top, left):
    grid = Grid.of(*size)
    assert grid.focal == pytest.approx(focal)
    assert (grid.top, grid.left) == (top, left)


def test_principal_point_sees_straight_ahead():
    x, y = Grid.of(375, 1242).rays(1, 1)
    assert np.interp(0, x, np.arange(1242)) == pytest.approx(CENTER[0], abs=1e-3)
    assert np.interp(0, y, np.arange(375)) == pytest.approx(CENTER[1], abs=1e-3)
    assert x[1] - x[0] == pytest.approx(1 / FOCAL, rel=1e-4)


@pytest.mark.parametrize("size", [(1, 1), (37, 53), (128, 256), (320, 1224)])
def test_samples_and_rays_are_each_others_inverse(size):
    grid = Grid.of(*size).with_margin(2)
    x, y = grid.rays(2, 3)
    assert (len(x), len(y)) == (2 * (size[1] + 4), 3 * (size[0] + 4))
    columns, rows = grid.sample_of(x.astype(float), 0.0, 2, 3)[0], grid.sample_of(0.0, y.astype(float), 2, 3)[1]
    np.testing.assert_allclose(columns, np.arange(len(x)), atol=2e-2)
    np.testing.assert_allclose(rows, np.arange(len(y)), atol=2e-2)


def test_small_pictures_show_the_same_middle():
    native, small = Grid.of(370, 740).rays(1, 1), Grid.of(128, 256).rays(1, 1)
    for wide, narrow in zip(native, small):
        half = 0.5 * (wide[1] - wide[0])
        edge = 0.5 * (narrow[1] - narrow[0])
        assert wide[0] - half == pytest.approx(narrow[0] - edge, abs=1e-5)
        assert wide[-1] + half == pytest.approx(narrow[-1] + edge, abs=1e-5)


def test_turn_is_sine_and_cosine_of_twice_the_angle():
    for angle in (-1.2, 0.0, 0.3, 2.0):
        assert turn(math.tan(angle / 2)) == pytest.approx((math.sin(angle), math.cos(angle)))


def test_a_level_pose_has_the_worlds_axes_and_turns_right_and_up():
    level = Pose.looking((0, 0, 0), 0.0, 0.0)
    assert (level.right, level.down, level.forward) == ((1, 0, 0), (0, -1, 0), (0, 0, 1))
    assert Pose.looking((0, 0, 0), 0.1, 0.0).forward[0] > 0
    assert Pose.looking((0, 0, 0), 0.0, 0.1).forward[1] > 0


def test_axes_of_a_pose_are_orthonormal():
    pose = Pose.looking((1, 2, 3), 0.2, -0.1)
    axes = np.array([pose.right, pose.down, pose.forward])
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(pose.moved_right(0.54).position, np.array([1, 2, 3]) + 0.54 * axes[0])
