import numpy as np
import pytest
import tensorflow as tf
from scipy import signal

from dsin_tf.ms_ssim import WEIGHTS, ms_ssim, ms_ssim_per_channel, smallest_side


def textured(height, width, batch=1, channels=3, seed=0):
    """Smooth shapes with fine texture in 0…255, so that every scale has something to compare."""
    random = np.random.default_rng(seed)
    coarse = random.uniform(0, 255, (batch, height // 16 + 1, width // 16 + 1, channels))
    smooth = np.repeat(np.repeat(coarse, 16, axis=1), 16, axis=2)[:, :height, :width]
    return np.clip(0.7 * smooth + 0.3 * random.uniform(0, 255, smooth.shape), 0, 255).astype(np.float32)


def noisy(image, amplitude=30, seed=1):
    return np.clip(image + np.random.default_rng(seed).normal(0, amplitude, image.shape), 0, 255).astype(np.float32)


def reference(x, x_hat, max_val, window):
    """The definition, one channel at a time with a two-dimensional window, in float64."""
    distance = np.arange(window) - (window - 1) / 2
    kernel = np.exp(-(distance[:, None] ** 2 + distance**2) / (2 * 1.5**2))
    kernel /= kernel.sum()

    def smooth(plane):
        return signal.convolve2d(plane, kernel, mode="valid")

    def of_planes(a, b):
        product = 1.0
        for scale, weight in enumerate(WEIGHTS):
            if scale:
                a, b = (np.pad(p, [(0, p.shape[0] % 2), (0, p.shape[1] % 2)], mode="edge") for p in (a, b))
                a, b = (p.reshape(p.shape[0] // 2, 2, p.shape[1] // 2, 2).mean(axis=(1, 3)) for p in (a, b))
            mean_a, mean_b = smooth(a), smooth(b)
            variance_a, variance_b = smooth(a * a) - mean_a**2, smooth(b * b) - mean_b**2
            c1, c2 = (0.01 * max_val) ** 2, (0.03 * max_val) ** 2
            term = (2 * (smooth(a * b) - mean_a * mean_b) + c2) / (variance_a + variance_b + c2)
            if scale == len(WEIGHTS) - 1:
                term = term * (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
            product *= max(term.mean(), 0) ** weight
        return product

    x, x_hat = x.astype(np.float64), x_hat.astype(np.float64)
    return np.array([[of_planes(a[..., c], b[..., c]) for c in range(a.shape[-1])] for a, b in zip(x, x_hat)])


# Even at every scale, odd at some, odd at all, and the smallest for each window.
@pytest.mark.parametrize(("size", "window"), [((128, 256), 7), ((97, 101), 7), ((176, 200), 11), ((161, 179), 11)])
def test_agrees_with_the_definition_in_float64_and_with_tensorflow(size, window):
    x = textured(*size, batch=2)
    x_hat = noisy(x)
    expected = reference(x, x_hat, 255, window)
    assert 0.3 < expected.min() < expected.max() < 0.99
    np.testing.assert_allclose(ms_ssim_per_channel(x, x_hat, 255.0, window), expected, atol=1e-5)
    np.testing.assert_allclose(ms_ssim(x, x_hat, 255.0, window), expected.mean(axis=1), atol=1e-5)
    tensorflow = tf.image.ssim_multiscale(x, x_hat, 255.0, filter_size=window)
    np.testing.assert_allclose(ms_ssim(x, x_hat, 255.0, window), tensorflow, atol=1e-5)


def test_double_precision_is_kept():
    x = textured(161, 161).astype(np.float64)
    value = ms_ssim(x, noisy(x).astype(np.float64), 255.0)
    assert value.dtype == tf.float64
    np.testing.assert_allclose(value, reference(x, noisy(x), 255, 11).mean(axis=1), atol=1e-12)


def test_equal_images_give_one_and_scale_of_values_does_not_matter():
    x = textured(128, 160, batch=2)
    np.testing.assert_allclose(ms_ssim(x, x, 255.0, window=7), [1, 1], atol=1e-6)
    in_255, in_1 = ms_ssim(x, noisy(x), 255.0, window=7), ms_ssim(x / 255, noisy(x) / 255, 1.0, window=7)
    np.testing.assert_allclose(in_255, in_1, atol=1e-5)


def test_is_symmetric_and_treats_images_and_channels_apart():
    x = textured(97, 97, batch=2)
    x_hat = np.stack([noisy(x[0]), x[1]])
    values = ms_ssim(x, x_hat, 255.0, window=7).numpy()
    np.testing.assert_allclose(values, ms_ssim(x_hat, x, 255.0, window=7), atol=1e-6)
    assert values[0] < 0.95
    assert values[1] == pytest.approx(1, abs=1e-6)
    x_hat = x.copy()
    x_hat[..., 2] = noisy(x)[..., 2]
    per_channel = ms_ssim_per_channel(x, x_hat, 255.0, window=7).numpy()
    np.testing.assert_allclose(per_channel[:, :2], 1, atol=1e-6)
    assert per_channel[:, 2].max() < 0.95


def test_gradient_agrees_with_finite_differences():
    x = textured(97, 97, channels=1).astype(np.float64)
    x_hat = tf.constant(noisy(x).astype(np.float64))
    direction = np.random.default_rng(2).normal(size=x.shape)
    with tf.GradientTape() as tape:
        tape.watch(x_hat)
        value = ms_ssim(x, x_hat, 255.0, window=7)
    slope = np.sum(tape.gradient(value, x_hat) * direction)
    step = 1e-3
    ahead, behind = (ms_ssim(x, x_hat + sign * step * direction, 255.0, window=7)[0] for sign in (1, -1))
    np.testing.assert_allclose(slope, (ahead - behind) / (2 * step), rtol=1e-5)


FLAT = np.full((1, 97, 97, 3), 128, np.float32)


@pytest.mark.parametrize(
    ("x", "x_hat", "expected"),
    [
        pytest.param(textured(97, 97), textured(97, 97), 1, id="equal"),
        pytest.param(textured(97, 97), 255 - textured(97, 97), 0, id="negative, clipped at 0"),
        pytest.param(textured(97, 97), FLAT, None, id="flat reconstruction"),
        pytest.param(FLAT, FLAT, 1, id="both flat"),
        pytest.param(0 * FLAT, 0 * FLAT, 1, id="both black"),
    ],
)
def test_gradient_is_finite_at_the_edges(x, x_hat, expected):
    x_hat = tf.constant(x_hat)
    with tf.GradientTape() as tape:
        tape.watch(x_hat)
        value = ms_ssim(x, x_hat, 255.0, window=7)
    assert np.isfinite(tape.gradient(value, x_hat)).all()
    if expected is not None:
        np.testing.assert_allclose(value, [expected], atol=1e-6)


def test_the_gradient_turns_an_inverted_image_round():
    x = textured(97, 97)
    contrast = tf.Variable(-0.5)
    for step in range(30):
        with tf.GradientTape() as tape:
            value = ms_ssim(x, 128 + contrast * (x - 128), 255.0, window=7)
        if step == 0:
            np.testing.assert_array_equal(value, [0])
        contrast.assign_add(0.05 * tf.sign(tape.gradient(value, contrast)))
    assert value[0] > 0.99
    assert float(contrast) == pytest.approx(1, abs=0.1)


def test_ascending_its_gradient_improves_the_image():
    x = textured(97, 97)
    x_hat = tf.Variable(noisy(x))
    start = ms_ssim(x, x_hat, 255.0, window=7)[0]
    optimizer = tf.keras.optimizers.legacy.Adam(2.0)
    for _ in range(10):
        optimizer.minimize(lambda: -tf.reduce_mean(ms_ssim(x, x_hat, 255.0, window=7)), [x_hat])
    assert ms_ssim(x, x_hat, 255.0, window=7)[0] > start + 0.01


def test_the_smallest_side_is_the_one_that_leaves_a_window_at_the_coarsest_scale():
    assert (smallest_side(11), smallest_side(7)) == (161, 97)
    x = textured(161, 161)
    assert np.isfinite(ms_ssim(x, noisy(x), 255.0)).all()
    with pytest.raises(ValueError, match=r"161x160 pixels: at least 161 .* 11x11 window at 5 scales.*7 needs 97"):
        ms_ssim(x[:, :, :160], x[:, :, :160], 255.0)
    with pytest.raises(ValueError, match=r"96x161 pixels: at least 97"):
        ms_ssim(x[:, :96], x[:, :96], 255.0, window=7)


def test_graphs_for_any_size_work_and_refuse_small_images_when_they_run():
    image = tf.TensorSpec([None, None, None, 3])
    in_graph = tf.function(lambda x, x_hat: ms_ssim(x, x_hat, 255.0, window=7), input_signature=[image, image])
    x = textured(99, 130)
    np.testing.assert_allclose(in_graph(x, noisy(x)), ms_ssim(x, noisy(x), 255.0, window=7), atol=1e-6)
    with pytest.raises(tf.errors.InvalidArgumentError, match="at least 97 pixels"):
        in_graph(x[:, :90], x[:, :90])


def test_half_precision_images_are_measured_in_single_precision():
    x = textured(97, 97)
    halves = tf.cast(x, tf.float16), tf.cast(noisy(x), tf.float16)
    value = ms_ssim(*halves, 255.0, window=7)
    assert value.dtype == tf.float32
    np.testing.assert_allclose(value, ms_ssim(x, noisy(x), 255.0, window=7), atol=1e-3)


def test_unlike_images_are_refused_with_both_shapes_or_types():
    x = textured(97, 97)
    with pytest.raises(ValueError, match=r"\(1, 97, 97, 3\) and \(1, 96, 97, 3\)"):
        ms_ssim(x, x[:, 1:], 255.0)
    with pytest.raises(ValueError, match=r"\(97, 97, 3\).*\[N, H, W, C\]"):
        ms_ssim(x[0], x[0], 255.0)
    with pytest.raises(TypeError, match="uint8 and uint8 .* Cast"):
        ms_ssim(x.astype(np.uint8), x.astype(np.uint8), 255.0)
    with pytest.raises(TypeError, match="float32 and float64"):
        ms_ssim(x, x.astype(np.float64), 255.0)
