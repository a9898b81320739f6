"""Street's pictures: the same everywhere, and true to the geometry they claim."""

import hashlib
import os
import re
import subprocess
import sys
import types
import weakref

import numpy as np
import pytest

from dsin_tf.data.street import REFERENCE_STEP, Moment, Scene, looks, visibility
from dsin_tf.data.street.camera import BASELINE_M, FOCAL, Grid, Pose
from dsin_tf.data.street.layout import KERB_M
from dsin_tf.data.street.sensor import Sensor
from dsin_tf.data.street.surfaces import CONE, Builder, Material

# SHA-256 over the left, the right and a scattered picture of scene (seed, index) at (height, width). They change
# only together with sources.VERSION.
DIGESTS = {
    (0, 0, 128, 256): "613e2ac33085187967437f5b5df4e68de3b7c12795971cbc3c7fa2f7277dda04",
    (0, 17, 128, 256): "52efafce357dc35fd7d6dfd61e17ca2124bbf9b11ccda8c1b5d00453f3668ee6",
    (1, 2_000_005, 96, 160): "0d19ceec1bf9e8b50dd5f85b0f62b851a2644a44a132cec24a4552b6a13d491e",
    (0, 3, 37, 53): "7b4184b4c96bd77b51e0709874f0bb8b1e0a482d6ca6d7799091b66ecaa0cd09",
    (9, 0, 1, 1): "22c62fb759eb73f387582d1ec248b79a917db76780b969a687766eb4b21629e5",
    (2, 8, 100, 1224): "113258b305b26e0ce97dded09f1fde404797b70790a525d429782d717966b51c",
}

SIZE = (120, 400)


def digest(seed, index, height, width):
    moment = Moment(Scene(seed, index), (height, width))
    pictures = (moment.left(), moment.right(), moment.scattered(1))
    return hashlib.sha256(b"".join(picture.tobytes() for picture in pictures)).hexdigest()


@pytest.fixture(scope="module")
def moment():
    return Moment(Scene(0, 10), SIZE)


@pytest.fixture(scope="module")
def pair(moment):
    return moment.left(), moment.right()


@pytest.fixture(scope="module")
def truth(moment):
    return moment.disparity(), moment.occlusion()


@pytest.mark.parametrize("key", DIGESTS, ids=str)
def test_pictures_are_those_of_the_stored_digest(key):
    assert digest(*key) == DIGESTS[key]


def test_pictures_do_not_depend_on_the_processors_instructions():
    from numpy.core import _multiarray_umath as core

    off = [name for name in core.__cpu_dispatch__ if core.__cpu_features__.get(name)]
    if not off:
        pytest.skip("numpy uses no optional instructions on this processor")
    key = (0, 17, 128, 256)
    code = f"import street_render_test as t; print(t.digest(*{key}))"
    path = os.pathsep.join([os.path.dirname(__file__), *filter(None, sys.path)])
    environment = {**os.environ, "NPY_DISABLE_CPU_FEATURES": " ".join(off), "PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == DIGESTS[key]


def test_sources_of_inexact_arithmetic_are_not_used():
    """The rule in the package's docstring, as far as names can tell."""
    forbidden = re.compile(
        r"np\.(sin|cos|tan|arctan2?|exp|exp2|log|log2|power|hypot|cbrt|sum|mean|std|var|dot|matmul|einsum|inner|interp"
        r"|convolve|cumsum|prod|random|linalg|fft)\b|\.(sum|mean|std|var|dot)\(|math\.(?!sqrt)|\s@\s|\brandom\.[a-z]"
    )
    folder = os.path.dirname(visibility.__file__)
    for name in sorted(os.listdir(folder)):
        if name.endswith(".py"):
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                for number, line in enumerate(file, 1):
                    assert not forbidden.search(line), f"{name}:{number}: {line}"


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (37, 53), (64, 5), (1, 200)])
def test_any_size(size):
    moment = Moment(Scene(4, 4), size)
    for picture in (moment.left(), moment.right()):
        assert picture.shape == (*size, 3)
        assert picture.dtype == np.uint8
    assert moment.disparity().shape == moment.occlusion().shape == size


def test_a_smaller_native_size_is_the_middle_of_the_frame():
    scene = Scene(0, 3)
    frame, crop = Moment(scene, (375, 1242)), Moment(scene, (320, 1224))
    np.testing.assert_array_equal(frame.left()[27:347, 9:1233], crop.left())
    np.testing.assert_array_equal(frame.disparity()[27:347, 9:1233], crop.disparity())


def test_right_picture_at_true_disparity_is_the_left_one(pair, truth):
    left, right = (picture.astype(float) for picture in pair)
    disparity, hidden = truth
    difference = np.abs(warped(right, disparity) - left).mean(axis=2)
    seen = ~hidden
    assert 0.7 < seen.mean() < 0.99
    # What is left: the cameras' gains, noise, and edges that two pixel grids sample at different places.
    assert np.median(difference[seen]) < 5
    assert difference[seen].mean() < 8
    # A disparity that is off by two pixels, or no disparity, explains the picture much worse.
    for wrong in (disparity + 2, disparity - 2, 0 * disparity):
        assert np.abs(warped(right, wrong) - left).mean(axis=2)[seen].mean() > 1.5 * difference[seen].mean()


def test_occluded_pixels_do_not_match(pair, truth):
    left, right = (picture.astype(float) for picture in pair)
    disparity, hidden = truth
    inside = np.arange(SIZE[1])[None, :] - disparity > 0
    difference = np.abs(warped(right, disparity) - left).mean(axis=2)
    assert difference[hidden & inside].mean() > 2 * difference[~hidden].mean()


def test_occlusion_is_where_a_nearer_point_or_the_edge_is_in_the_way(truth):
    disparity, hidden = truth
    columns = np.arange(SIZE[1])[None, :] - disparity
    assert hidden[columns < -0.5].all()
    # Where the left picture's pixels fall in the right one, and the nearest of those that fall on each place.
    place = np.rint(columns).astype(int)
    covered = uncovered = seen_though_covered = hidden_though_uncovered = 0
    for row in range(SIZE[0]):
        nearest = np.full(SIZE[1] + 2, -1.0)  # one place more at either end
        inside = place[row] >= 0
        np.maximum.at(nearest, place[row][inside] + 1, disparity[row][inside])
        around = np.stack([nearest[place[row][inside] + shift] for shift in (0, 1, 2)])
        behind_all = disparity[row][inside] < around.min(axis=0) - 1
        behind_none = disparity[row][inside] > around.max(axis=0) - 0.2
        covered += behind_all.sum()
        uncovered += behind_none.sum()
        seen_though_covered += (behind_all & ~hidden[row][inside]).sum()
        hidden_though_uncovered += (behind_none & hidden[row][inside]).sum()
    assert covered > 100
    assert uncovered > 10_000
    assert seen_though_covered < 0.05 * covered
    assert hidden_though_uncovered < 0.03 * uncovered


def test_disparity_on_the_road_follows_from_the_cameras_height(moment, truth):
    disparity, _ = truth
    pose = moment.scene.pose()
    hits = visibility.trace(moment._surfaces, moment.scene.road, pose, Grid.of(*SIZE), 1, 1)
    road = hits.surface == len(moment._surfaces)
    assert road.mean() > 0.15
    x, y = Grid.of(*SIZE).rays(1, 1)
    # Z = height / (fall of the ray for each metre ahead); d = f B / Z.
    fall = -(x[None, :] * pose.right[1] + y[:, None] * pose.down[1] + pose.forward[1])
    expected = Grid.of(*SIZE).focal * BASELINE_M * fall / pose.position[1]
    np.testing.assert_allclose(disparity[road], expected[road], rtol=1e-4)


def test_disparities_are_of_kittis_size():
    largest = [Moment(Scene(0, index), (94, 310)).disparity().max() * 4 for index in range(8)]
    assert 55 < np.median(largest) < 100
    assert max(largest) < 230
    assert Grid.of(375, 1242).focal == FOCAL


def test_steps_of_time_move_the_camera_through_a_world_that_stands_still():
    scene = Scene(0, 10)
    before, after = Moment(scene, SIZE, step=10), Moment(scene, SIZE, step=11)
    grid = Grid.of(*SIZE)
    old, new = scene.pose(10), scene.pose(11)
    moved = np.subtract(new.position, old.position)
    assert 0.5 < np.sqrt((moved**2).sum()) < 1.6
    assert moved[2] > 0
    # Take every pixel of the later picture to its place in the earlier one.
    depth = (grid.focal * BASELINE_M / np.maximum(after.disparity(), 1e-6)).astype(float)
    x, y = (part.astype(float) for part in grid.rays(1, 1))
    rays = x[None, :, None] * new.right + y[:, None, None] * new.down + np.asarray(new.forward)
    world = depth[:, :, None] * rays + new.position
    seen = (world - old.position) @ np.array([old.right, old.down, old.forward]).T
    columns, rows = grid.sample_of(seen[..., 0] / seen[..., 2], seen[..., 1] / seen[..., 2], 1, 1)
    first, second = before.left().astype(float), after.left().astype(float)
    near = (depth < 60) & (columns > 1) & (columns < SIZE[1] - 2) & (rows > 1) & (rows < SIZE[0] - 2)
    nearest = [np.clip(np.rint(part), 0, n - 1).astype(int) for part, n in zip((rows, columns), SIZE)]
    picked = first[nearest[0], nearest[1]]
    assert near.mean() > 0.4
    moved_right = np.median(np.abs(picked - second).mean(axis=2)[near])
    not_moved = np.median(np.abs(first - second).mean(axis=2)[near])
    assert moved_right < 0.75 * not_moved
    assert moved_right < 10


def test_vehicles_move_with_time():
    scene = next(scene for scene in (Scene(0, index) for index in range(20)) if scene.plan.travellers)
    before, after = scene.surfaces(10), scene.surfaces(11)
    still = len(before) - int((np.abs(before.origin - after.origin).max(axis=1) > 0.2).sum())
    assert 0 < still < len(before)


def test_noise_of_two_cameras_and_of_two_moments_is_unrelated():
    scene, grid = Scene(0, 0), Grid.of(64, 96).with_margin(1)
    flat = [np.full((2 * grid.height, 2 * grid.width), 0.2, np.float32)] * 3
    left, right = Sensor.random(scene.sensor_key(0, 0)), Sensor.random(scene.sensor_key(1, 0))
    taken = [sensor.develop(flat, 1.0, grid).astype(float) for sensor in (left, right, left.with_noise(5))]
    # Differences of neighbours: without what the lens does to all pictures alike.
    noise = [(picture[:, 1:] - picture[:, :-1]).ravel() for picture in taken]
    assert all(1 < part.std() < 5 for part in noise)
    for k in (1, 2):
        assert abs(np.corrcoef(noise[0], noise[k])[0, 1]) < 0.03


def test_cameras_of_a_rig_differ_a_little(pair):
    left, right = pair
    assert 0 < abs(left.mean() - right.mean()) < 12
    assert not np.array_equal(left, right)


def test_scenes_seeds_steps_and_lights_make_different_pictures():
    size = (24, 48)
    pictures = [
        Moment(Scene(0, 0), size).left(),
        Moment(Scene(0, 1), size).left(),
        Moment(Scene(1, 0), size).left(),
        Moment(Scene(0, 0), size, step=12).left(),
        Moment(Scene(0, 0), size, light=1).left(),
        Moment(Scene(0, 0), size).scattered(0),
        Moment(Scene(0, 0), size).scattered(1),
    ]
    for k, one in enumerate(pictures):
        for other in pictures[:k]:
            assert np.abs(one.astype(float) - other).mean() > 2
    np.testing.assert_array_equal(pictures[0], Moment(Scene(0, 0), size).left())


def test_pictures_have_the_brightness_and_contrast_of_photographs():
    pictures = np.stack([Moment(Scene(0, index), (64, 128)).left() for index in range(16)]).astype(float)
    means, spreads = pictures.mean(axis=(1, 2, 3)), pictures.std(axis=(1, 2, 3))
    assert 90 < means.mean() < 135  # KITTI made small: 119
    assert means.std() > 10  # 23
    assert 55 < spreads.mean() < 85  # 77


def test_kerbs_raise_the_pavement(moment):
    hits = visibility.trace(moment._surfaces, moment.scene.road, moment.scene.pose(), Grid.of(*SIZE), 1, 1)
    first = len(moment._surfaces)
    assert (hits.surface == first + 1).any()
    kerb = hits.surface == first + 2
    assert kerb.any()
    assert hits.v[kerb].min() >= 0
    assert hits.v[kerb].max() <= KERB_M


def test_a_cone_and_a_panel_are_met_where_geometry_says():
    builder = Builder()
    builder.panel((-1.0, 0.0, 10.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (2.0, 3.0), Material.PLAIN)
    builder.cone((3.0, 0.0, 8.0), 4.0, 0.5, Material.POLE)
    surfaces = builder.finish()
    scene = Scene(0, 0)
    pose = Pose.looking((0.0, 1.5, 0.0), 0.0, 0.0)
    grid = Grid.of(375, 1242)
    hits = visibility.trace(surfaces, scene.road, pose, grid, 1, 1)
    panel = hits.surface == 0
    np.testing.assert_allclose(hits.depth[panel], 10, rtol=1e-5)
    # 2 m by 3 m at 10 m; the lowest row lies on the ground.
    assert panel.sum() == pytest.approx(2 * 3 * (FOCAL / 10) ** 2, rel=0.02)
    assert hits.u[panel].min() >= 0
    assert hits.u[panel].max() <= 2
    cone = hits.surface == 1
    assert surfaces.kind[1] == CONE
    rows, columns = np.nonzero(cone)
    x, y = (part.astype(float) for part in grid.rays(1, 1))
    depth = hits.depth[cone].astype(float)
    distance = np.sqrt((x[columns] * depth - 3) ** 2 + (depth - 8) ** 2)
    np.testing.assert_allclose(distance, 0.5, atol=2e-3)
    np.testing.assert_allclose(hits.v[cone], 1.5 - y[rows] * depth, atol=1e-4)


def test_reference_step_is_the_default():
    scene = Scene(0, 0)
    assert scene.pose() == scene.pose(REFERENCE_STEP)
    assert scene.pose(0).position[2] < scene.pose(20).position[2]


def warped(picture, disparity):
    """`picture [H, W, 3]` looked up at column c - disparity, linearly."""
    rows = np.arange(picture.shape[0])[:, None]
    columns = np.clip(np.arange(picture.shape[1])[None, :] - disparity, 0, picture.shape[1] - 1.001)
    first = np.floor(columns).astype(int)
    part = (columns - first)[:, :, None]
    return picture[rows, first] * (1 - part) + picture[rows, first + 1] * part


def test_what_a_picture_was_made_of_does_not_stay_in_memory():
    surfaces = types.SimpleNamespace(parameters=np.arange(6.0).reshape(2, 3))
    ids = np.array([1, 0, 1])
    batch = looks.Batch(surfaces, ids, *[np.zeros(3)] * 7)
    np.testing.assert_array_equal(batch.p(2), [5, 2, 5])
    assert batch.p(2) is batch.p(2)
    gone = weakref.ref(batch)
    del batch
    assert gone() is None
