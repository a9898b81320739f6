import functools

import numpy as np
import pytest
import tensorflow as tf

from dsin_tf import layers
from dsin_tf.layers import fusion
from dsin_tf.models import storage

FULL, SMALL, TINY = (48, 64, 96), (16, 24, 32), (3, 4, 5)


@functools.cache
def tiny(multi_scale=True):
    """With random biases and a random last layer, which are zero at the start."""
    layer = layers.MultiScaleFusion(TINY if multi_scale else (2, 3), 1, multi_scale, seed=1)
    rng = np.random.default_rng(0)
    for variable in layer.weights:
        variable.assign(rng.normal(scale=0.2, size=variable.shape))
    return layer


def images(height, width, count=1, seed=0):
    """x_dec, y_syn, score."""
    rng = np.random.default_rng(seed)
    of_images = [rng.uniform(size=(count, height, width, 3)) for _ in range(2)]
    return [array.astype(np.float32) for array in (*of_images, rng.uniform(-1, 1, (count, height, width, 1)))]


def by_hand(layer, blocks, scales, x_dec, y_syn, score):
    """The table of the module's docstring, in terms of TensorFlow's own operations."""
    weights = storage.named_variables([layer])
    used = set()

    def conv(x, name, stride=1):
        used.add(name)
        kernel, bias = weights[f"fusion/{name}/kernel"], weights[f"fusion/{name}/bias"]
        return (tf.nn.conv2d(x, kernel, stride, "SAME") + bias).numpy()

    def block(x, name):
        inner = conv(x, f"{name}/conv1")
        return x + conv(np.maximum(inner, inner / 5), f"{name}/conv2")

    def chain(x, name, stride=1):
        x = conv(x, f"{name}/conv", stride)
        for b in range(blocks):
            x = block(x, f"{name}/block{b}")
        return x

    f_x, f_y, f = x_dec, np.concatenate([y_syn, score], axis=-1), {}
    for scale in scales:
        f_x, f_y = (chain(v, f"scale{scale}/{side}", min(scale, 2)) for v, side in ((f_x, "x"), (f_y, "y")))
        gate = conv(np.concatenate([f_x, f_y], axis=-1), f"scale{scale}/gate1")
        gate = conv(np.maximum(gate, gate / 5), f"scale{scale}/gate2")
        f[scale] = f_x + conv(f_y, f"scale{scale}/taken") / (1 + np.exp(-gate))
        f[scale] = block(f[scale], f"scale{scale}/fused")
    if len(scales) == 1:
        decoded = chain(f[1], "scale1/decoder")
    else:
        decoded = f[scales[-1]]
        for scale in scales[-2::-1]:
            up = conv(decoded, f"scale{scale}/up")
            n, h, w, c = up.shape
            up = up.reshape(n, h, w, 2, 2, c // 4).transpose(0, 1, 3, 2, 4, 5).reshape(n, 2 * h, 2 * w, c // 4)
            decoded = chain(np.concatenate([up, f[scale]], axis=-1), f"scale{scale}/decoder")
    x_msf = x_dec + conv(decoded, "last")
    assert 2 * len(used) == len(weights)
    return x_msf


def test_it_is_the_table():
    inputs = images(8, 12, count=2)
    x_msf = tiny()(*inputs)
    assert x_msf.shape == (2, 8, 12, 3)
    np.testing.assert_allclose(x_msf, by_hand(tiny(), 1, (1, 2, 4), *inputs), rtol=1e-4, atol=1e-4)


def test_without_the_other_scales_it_is_the_first_column_of_the_table():
    inputs = images(5, 6)
    expected = by_hand(tiny(multi_scale=False), 3, (1,), *inputs)
    np.testing.assert_allclose(tiny(multi_scale=False)(*inputs), expected, rtol=1e-4, atol=1e-4)


def test_it_has_as_many_parameters_as_the_table():
    """A conv 3x3 has 9 in out + out; so a residual block has 18 c^2 + 2 c, a scale's gate and fusion 46 c^2 + 5 c."""
    blocks = {c: 2 * (18 * c**2 + 2 * c) for c in FULL}
    pyramids = (27 + 1 + 36 + 1) * 48 + 2 * ((9 * 48 + 1) * 64 + (9 * 64 + 1) * 96 + sum(blocks.values()))
    fusions = sum(46 * c**2 + 5 * c for c in FULL)
    half = (9 * 96 + 1) * 256 + (9 * 128 + 1) * 64 + blocks[64]
    whole = (9 * 64 + 1) * 192 + (9 * 96 + 1) * 48 + blocks[48]
    last = 9 * 48 * 3 + 3
    assert pyramids + fusions + half + whole + last == 2_694_403
    assert layers.MultiScaleFusion().count_params() == 2_694_403


@pytest.mark.parametrize(("channels", "width"), [(FULL, 84), (SMALL, 29), ((12, 16, 24), 21)])
def test_the_ablation_is_of_the_same_size(channels, width):
    assert fusion.single_scale_width(channels, 2) == width
    of_scales = layers.MultiScaleFusion(channels).count_params()
    alone = layers.MultiScaleFusion(channels, multi_scale=False)
    assert abs(alone.count_params() / of_scales - 1) < 0.02
    # With c channels and six residual blocks: 379 c^2 + 134 c + 3.
    assert alone.count_params() == 379 * width**2 + 134 * width + 3
    for other in (width - 1, width + 1):
        assert abs(379 * other**2 + 134 * other + 3 - of_scales) > abs(alone.count_params() - of_scales)


@pytest.mark.parametrize("multi_scale", [True, False])
def test_it_begins_as_the_identity_at_any_size(multi_scale):
    layer = layers.MultiScaleFusion(TINY, 1, multi_scale)
    for size in ((8, 8), (5, 7), (1, 1)):
        x_dec, y_syn, score = images(*size)
        np.testing.assert_array_equal(layer(x_dec, y_syn, score), x_dec)


def test_an_odd_size_is_that_of_the_image_with_its_edges_repeated():
    inputs = images(5, 7)
    padded = [np.pad(image, ((0, 0), (0, 3), (0, 1), (0, 0)), mode="edge") for image in inputs]
    np.testing.assert_allclose(tiny()(*inputs), tiny()(*padded)[:, :5, :7], rtol=1e-5, atol=1e-5)


def test_gradients_reach_every_weight_and_every_input():
    inputs = [tf.constant(image) for image in images(8, 8)]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        loss = tf.reduce_sum(tiny()(*inputs) ** 2)
    for gradient in tape.gradient(loss, [*tiny().trainable_weights, *inputs]):
        assert np.abs(gradient).max() > 0


def test_initial_weights_follow_from_the_seed():
    first, again, other = (layers.MultiScaleFusion((3, 4), 1, seed=seed).get_weights() for seed in (1, 1, 2))
    for one, same, different in zip(first, again, other):
        np.testing.assert_array_equal(one, same)
        assert not one.any() or not np.array_equal(one, different)  # biases and the last kernel are zero
    assert sum(one.any() for one in first) == (len(first) - 2) // 2


def test_weights_are_named_after_their_places():
    names = storage.named_variables([tiny()])
    assert {"fusion/scale1/x/block0/conv1/kernel", "fusion/scale4/gate2/bias", "fusion/scale2/up/kernel"} <= {*names}
