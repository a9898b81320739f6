"""The SI-Finder against all scores computed in double precision from the formulas."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from dsin_tf import color, layers
from dsin_tf.layers import si_search
from tests.dsin_tf.layers.moved import MEAN, STD, pictures

SMALL = (5, 4)


@functools.cache
def finder(**settings):
    """One of each kind: each builds its graph once."""
    return layers.SIFinder(**{"patch_size": SMALL, **settings})


def transformed(image):
    red, green, blue = np.moveaxis((image.astype(np.float64) - MEAN) / STD, -1, 0)
    return np.stack([red + green, red - green, (red + blue) / 2], axis=-1)


def cut(image, patch):
    """Patches in raster order, after extension by zeros, and their corners in the image: lists."""
    (height, width), (ph, pw) = image.shape[:2], patch
    down, right = -height % ph, -width % pw
    whole = np.pad(image, ((down // 2, down - down // 2), (right // 2, right - right // 2), (0, 0)))
    corners = [(r, c) for r in range(0, height + down, ph) for c in range(0, width + right, pw)]
    return [whole[r : r + ph, c : c + pw] for r, c in corners], [(r - down // 2, c - right // 2) for r, c in corners]


def all_scores(x_dec, y_dec, patch, mask):
    """`[P, R, S]` by the formulas of the paper and the released mask, in double precision."""
    (height, width), (ph, pw) = x_dec.shape[:2], patch
    windows = np.lib.stride_tricks.sliding_window_view(transformed(y_dec), (ph, pw), axis=(0, 1))
    windows = windows.reshape(*windows.shape[:2], -1)
    windows = windows - windows.mean(axis=2, keepdims=True)
    y = np.arange(height - ph + 1)[:, None] + ph // 2 - 1
    x = np.arange(width - pw + 1) + pw // 2 - 1
    scores = []
    for part, (row, column) in zip(*cut(x_dec, patch)):
        part = np.moveaxis(transformed(part), -1, 0).ravel()
        part = part - part.mean()
        score = windows @ part / np.sqrt((part**2).sum() * (windows**2).sum(axis=2))
        if mask:
            far = (y - row - ph / 2) ** 2 / (0.5 * height) ** 2 + (x - column - pw / 2) ** 2 / (0.5 * width) ** 2
            score = score * np.exp(-4 * np.log(2) * far)
        scores.append(score)
    return np.array(scores)


def assert_is_best(match, scores, tolerance=1e-5):
    """The chosen windows' scores are the reported ones, and no other window is better."""
    rows, columns = np.asarray(match.rows), np.asarray(match.columns)
    chosen = scores[np.arange(len(scores)), rows, columns]
    np.testing.assert_allclose(match.score, chosen, atol=tolerance)
    assert (chosen >= scores.max(axis=(1, 2)) - tolerance).all()


def first(match):
    return layers.si_finder.Match(*(part[0] for part in match))


@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize("method", ["auto", "conv"])
@settings(max_examples=12, deadline=None)
@given(st.integers(5, 41), st.integers(4, 45), st.integers(0, 10**6), st.sampled_from([0.0, 6.0, 60.0]))
def test_finds_the_best_window(method, mask, height, width, seed, noise):
    x_dec, y_dec, _ = pictures(height, width, seed, noise=noise)
    match = finder(method=method, mask=mask).match(x_dec, y_dec)
    assert match.rows.dtype == match.columns.dtype == tf.int32
    assert_is_best(first(match), all_scores(x_dec[0], y_dec[0], SMALL, mask))


@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize("dense", [0.0, 2.0])
def test_either_way_of_finishing_is_exact(monkeypatch, dense, mask):
    monkeypatch.setattr(si_search, "_DENSE", dense)  # what cannot be ruled out: all convolved, or all one by one
    monkeypatch.setattr(si_search, "_TILES_AT_ONCE", 50)
    monkeypatch.setattr(si_search, "COMPONENTS", 4)
    x_dec, y_dec, _ = pictures(40, 60, noise=25.0)
    match = layers.SIFinder(SMALL, mask=mask).match(x_dec, y_dec)
    assert_is_best(first(match), all_scores(x_dec[0], y_dec[0], SMALL, mask))


@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize("kept", [1, 4000, 12000])
def test_a_search_in_bands_is_exact(monkeypatch, kept, mask):
    """Of 35 x 53 windows 8 rows at once, and one row of patches; or more of both."""
    monkeypatch.setattr(si_search, "_KEPT_AT_ONCE", kept)
    monkeypatch.setattr(si_search, "COMPONENTS", 4)
    x_dec, y_dec, _ = pictures(40, 60, noise=25.0)
    match = layers.SIFinder(SMALL, mask=mask).match(x_dec, y_dec)
    assert_is_best(first(match), all_scores(x_dec[0], y_dec[0], SMALL, mask))


@pytest.mark.parametrize("mask", [False, True])
def test_pruning_computes_few_windows(monkeypatch, mask):
    computed = []
    tried = si_search._tried
    monkeypatch.setattr(si_search, "_tried", lambda *a: computed.append(len(a[4])) or tried(*a))
    convolved = si_search._convolved
    monkeypatch.setattr(si_search, "_convolved", lambda *a: computed.append(len(a[1]) * 200) or convolved(*a))
    tf.config.run_functions_eagerly(True)
    try:
        x_dec, y_dec, _ = pictures(80, 204, noise=2.0)
        finder(patch_size=(10, 12), mask=mask).match(x_dec, y_dec)
    finally:
        tf.config.run_functions_eagerly(False)
    assert 8 * sum(computed) < 0.1 * (8 * 17) * (71 * 193)


def test_published_patch_size():
    x_dec, y_dec, _ = pictures(60, 96)
    for mask in (False, True):
        match = layers.SIFinder(mask=mask).match(x_dec, y_dec)
        assert match.score.shape == (1, 3 * 4)
        assert_is_best(first(match), all_scores(x_dec[0], y_dec[0], (20, 24), mask))


@pytest.mark.parametrize("method", ["auto", "conv"])
def test_a_shifted_image_is_found_exactly(method):
    y = np.random.default_rng(0).uniform(0, 255, (1, 40, 48, 3)).astype(np.float32)
    x = np.roll(y, (3, -7), axis=(1, 2))
    match = finder(method=method, mask=False).match(x, y)
    rows, columns = np.meshgrid(np.arange(0, 40, 5) - 3, np.arange(0, 48, 4) + 7, indexing="ij")
    inside = ((rows >= 0) & (columns <= 44)).ravel()
    np.testing.assert_array_equal(match.rows[0][inside], rows.ravel()[inside])
    np.testing.assert_array_equal(match.columns[0][inside], columns.ravel()[inside])
    np.testing.assert_allclose(match.score[0][inside], 1, atol=1e-5)
    y_syn = finder(method=method, mask=False)(x, y, y)
    np.testing.assert_array_equal(y_syn[:, 5:, :40], x[:, 5:, :40])


def test_y_syn_is_made_of_y_and_not_of_y_dec():
    x_dec, y_dec, y = pictures(17, 22, count=2)
    match = finder().match(x_dec, y_dec)
    y_syn = finder()(x_dec, y_dec, y)
    assert y_syn.shape == y.shape
    assert y_syn.dtype == tf.float32
    for n in range(2):
        for k, (row, column) in enumerate(cut(y[n], SMALL)[1]):
            r, c = int(match.rows[n, k]), int(match.columns[n, k])
            top, left = max(row, 0), max(column, 0)  # of a patch that reaches out of the image the part inside
            window = y[n, r : r + 5, c : c + 4][top - row :, left - column :]
            part = y_syn[n, top : row + 5, left : column + 4]
            np.testing.assert_array_equal(part, window[: part.shape[0], : part.shape[1]])


def test_resampling_has_the_released_coordinates():
    y = np.random.default_rng(1).uniform(0, 255, (1, 40, 72, 3)).astype(np.float32)
    rows, columns = np.array([[0, 20, 7, 13, 3, 20]]), np.array([[0, 48, 11, 30, 48, 1]])
    match = layers.si_finder.Match(tf.constant(rows, tf.int32), tf.constant(columns, tf.int32), None)
    y_syn = layers.SIFinder(fetch="resample").synthesize(match, y)[0].numpy()
    for k in range(6):
        at_row = rows[0, k] * 39 / 40 + np.arange(20) * 20 * 39 / (19 * 40)
        at_column = columns[0, k] * 71 / 72 + np.arange(24) * 24 * 71 / (23 * 72)
        expected = bilinear(bilinear(y[0], at_row).swapaxes(0, 1), at_column).swapaxes(0, 1)
        i, j = divmod(k, 3)
        np.testing.assert_allclose(y_syn[20 * i : 20 * i + 20, 24 * j : 24 * j + 24], expected, atol=2e-3)


def bilinear(image, at):
    low = np.minimum(np.floor(at + 1e-9).astype(int), len(image) - 1)
    share = (at - low)[:, None, None]
    return image[low] * (1 - share) + image[np.minimum(low + 1, len(image) - 1)] * share


@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize("method", ["auto", "conv"])
def test_flat_patches_and_windows(method, mask):
    grey = MEAN + STD * [0.3, 0, 0.3]  # H1 = H2 = H3: the one kind of colour whose 1440 values are all equal
    x_dec, y_dec, _ = pictures(15, 22)
    x_dec[0, 5:10, 7:11] = grey  # patch 8: of 3 x 6, the first of which begins one column left of the image
    y_dec[0, 4:14, 8:18] = grey
    match = first(finder(method=method, mask=mask).match(x_dec, y_dec))
    rows, columns, scores = (np.asarray(part) for part in match)
    assert (rows[8], columns[8], scores[8]) == (5, 7, 0)
    assert np.isfinite(scores).all()
    assert not ((rows >= 4) & (rows <= 9) & (columns >= 8) & (columns <= 14)).any()
    # Nothing at all to choose from: every patch takes its own place, moved inside where it reaches out.
    match = first(finder(method=method, mask=mask).match(x_dec, np.broadcast_to(grey, x_dec.shape)))
    np.testing.assert_array_equal(match.rows, np.repeat([0, 5, 10], 6))
    np.testing.assert_array_equal(match.columns, np.tile([0, 3, 7, 11, 15, 18], 3))
    np.testing.assert_array_equal(match.score, 0)


@pytest.mark.parametrize("method", ["auto", "conv"])
def test_saturated_images_have_a_result(method):
    white = np.full((1, 25, 24, 3), 255, np.float32)
    for mask in (False, True):
        match = finder(method=method, mask=mask).match(white, white)
        assert_is_best(first(match), all_scores(white[0], white[0], SMALL, mask))


@pytest.mark.parametrize("released", [False, True])
def test_least_difference_in_lab(released):
    x_dec, y_dec, _ = pictures(18, 21)
    match = finder(distance="l2_lab_released" if released else "l2_lab", mask=False).match(x_dec, y_dec)
    scale = 255 if released else 1
    windows = np.lib.stride_tricks.sliding_window_view(color.rgb_to_lab(y_dec[0] * scale), SMALL, axis=(0, 1))
    parts = [np.moveaxis(color.rgb_to_lab(part * scale), -1, 0) for part in cut(x_dec[0], SMALL)[0]]
    scores = np.array([-((windows - part) ** 2).sum(axis=(2, 3, 4)) for part in parts])
    assert_is_best(first(match), scores, tolerance=1e-5 * -scores.min())


def test_a_batch_is_its_images():
    x_dec, y_dec, y = pictures(23, 30, count=3)
    whole, match = finder()(x_dec, y_dec, y), finder().match(x_dec, y_dec)
    for n in range(3):
        one = slice(n, n + 1)
        np.testing.assert_array_equal(whole[one], finder()(x_dec[one], y_dec[one], y[one]))
        np.testing.assert_array_equal(match.rows[one], finder().match(x_dec[one], y_dec[one]).rows)


def test_sizes_may_be_unknown_until_the_graph_runs():
    unknown = tf.TensorSpec([None, None, None, 3])
    graph = tf.function(lambda *images: finder()(*images), input_signature=[unknown] * 3)
    for size in ((20, 24), (17, 23)):
        images = pictures(*size)
        np.testing.assert_array_equal(graph(*images), finder()(*images))


def test_trains_inside_a_model_and_passes_no_gradient():
    x, y = tf.keras.Input((None, None, 3)), tf.keras.Input((None, None, 3))
    x_dec = tf.keras.layers.Conv2D(3, 1, name="coder")(x)
    si_finder = layers.SIFinder(SMALL)
    y_syn = si_finder(x_dec, y, y)
    model = tf.keras.Model([x, y], tf.keras.layers.Conv2D(3, 1, name="after")(y_syn))
    assert si_finder.weights == []
    images, _, side = pictures(20, 24, count=2)
    before = model.get_layer("after").kernel.numpy()
    model.compile("sgd", "mae")
    model.fit((images, side), images, batch_size=1, epochs=1, verbose=0)
    assert (model.get_layer("after").kernel.numpy() != before).any()
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(model((images, side)))
    assert tape.gradient(total, model.get_layer("coder").kernel) is None


def test_settings_survive_the_config():
    settings = {"patch_size": (4, 6), "mask": False, "fetch": "resample", "method": "conv", "distance": "l2_lab"}
    config = layers.SIFinder(**settings).get_config()
    again = layers.SIFinder.from_config(config)
    assert {name: getattr(again, name) for name in settings} == settings
    assert again.get_config() == config


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fetch": "paste"}, "fetch is 'paste'; expected one of: copy, resample"),
        ({"method": "fast"}, "method is 'fast'; expected one of: auto, conv"),
        ({"distance": "l1"}, "distance is 'l1'; expected one of: pearson, l2_lab, l2_lab_released"),
        ({"distance": "l2_lab"}, "mask is True with distance 'l2_lab'.*Use mask=False"),
        ({"patch_size": 20}, "patch_size is 20; two whole numbers"),
        ({"patch_size": (20, 2.5)}, r"patch_size is \(20, 2.5\)"),
        ({"patch_size": (0, 24)}, r"patch_size is \(0, 24\)"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        layers.SIFinder(**settings)


def test_wrong_images_are_named():
    good = np.zeros((1, 20, 24, 3), np.float32)
    with pytest.raises(ValueError, match=r"x_dec has shape \(20, 24, 3\); \[N, H, W, 3\] was expected"):
        finder().match(good[0], good)
    with pytest.raises(
        ValueError, match=r"y_dec has shape \(1, 20, 20, 3\), x_dec \(1, 20, 24, 3\); images of one size"
    ):
        finder().match(good, good[:, :, :20])
    with pytest.raises(ValueError, match=r"x_dec has shape \(1, 4, 24, 3\); at least one patch of 5x4"):
        finder().match(good[:, :4], good[:, :4])
