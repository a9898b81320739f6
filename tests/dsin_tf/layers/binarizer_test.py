import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from dsin_tf import layers

BELOW_1 = float(np.nextafter(np.float32(1), np.float32(0)))


def slopes(function, p, channels, levels, **options):
    """The gradient that each channel alone sends to the map: `[channels]`."""
    p = tf.constant(p, tf.float32, [1, 1, 1, 1])
    with tf.GradientTape() as tape:
        tape.watch(p)
        mask = function(p, channels, levels, **options)
    return tape.jacobian(mask, p).numpy().ravel()


def test_bits_are_one_above_a_half():
    e = tf.constant([0.0, 0.4999, 0.5, 0.5001, 1.0])
    bits = layers.binarize(e)
    assert bits.numpy().tolist() == [0, 0, 0, 1, 1]
    assert bits.dtype == tf.float32


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_the_gradient_of_bits_is_that_of_clipping(dtype):
    e = tf.constant([-0.5, 0.0, 0.25, 0.75, 1.0, 1.5], dtype)
    with tf.GradientTape() as tape:
        tape.watch(e)
        loss = tf.reduce_sum(layers.binarize(e) * tf.constant([1.0, 2, 3, 4, 5, 6]))
    gradient = tape.gradient(loss, e)
    assert gradient.numpy().tolist() == [0, 2, 3, 4, 5, 0]
    assert gradient.dtype == dtype


@pytest.mark.parametrize(("p", "expected"), [(0, 0), (0.24, 0), (0.25, 1), (0.5, 2), (0.76, 3), (BELOW_1, 3), (1, 3)])
def test_a_map_has_levels_of_equal_width_and_the_end_belongs_to_the_last(p, expected):
    q = layers.quantize_map(tf.constant([[[[p]]]], tf.float32), 4)
    assert q.numpy().tolist() == [[[[expected]]]]
    assert q.dtype == tf.int32


@settings(max_examples=50, deadline=None)
@given(p=st.floats(0, 1, width=32), levels=st.sampled_from([2, 4, 8, 16, 32]), group=st.integers(1, 5))
def test_the_mask_is_the_papers(p, levels, group):
    """m_k = 1 if k <= (n/L) Q(p), and the paper's other form, ceil(k L/n) <= L p, wherever that has a level for p."""
    channels = group * levels
    mask = layers.importance_mask(tf.constant([[[[p]]]], tf.float32), channels, levels).numpy().ravel()
    q = min(math.floor(levels * p), levels - 1)
    assert mask.tolist() == [float(k <= group * q) for k in range(1, channels + 1)]
    if p < 1:
        assert mask.tolist() == [float(math.ceil(k / group) <= levels * p) for k in range(1, channels + 1)]


@settings(max_examples=50, deadline=None)
@given(levels=st.integers(2, 20), channels=st.integers(1, 40))
def test_masks_grow_with_the_map_and_fall_along_the_channels(levels, channels):
    p = tf.reshape(tf.linspace(0.0, 1.0, 101), [1, 101, 1, 1])
    mask = layers.chroma_mask(p, channels, levels).numpy()[0, :, 0]
    assert (np.diff(mask, axis=0) >= 0).all()
    assert (np.diff(mask, axis=1) <= 0).all()
    assert not mask[0].any()
    expected = [
        math.ceil(channels * min(math.floor(np.float32(levels) * x), levels - 1) / levels) for x in p.numpy().ravel()
    ]
    assert mask.sum(axis=1).tolist() == expected


def test_a_decoder_makes_the_same_mask_of_levels_alone():
    p = tf.random.stateless_uniform([2, 5, 4, 1], [1, 2])
    for function, channels in [(layers.importance_mask, 32), (layers.chroma_mask, 5)]:
        again = layers.mask_of_levels(layers.quantize_map(p, 16), channels, 16)
        np.testing.assert_array_equal(again, function(p, channels, 16))


@pytest.mark.parametrize(("p", "expected"), [(0.03, 128), (0.5, 192), (0.51, 192), (0.97, 128)])
def test_the_local_gradient_is_that_of_the_groups_next_to_the_cut(p, expected):
    by_channel = slopes(layers.importance_mask, p, 64, 16)
    assert by_channel.sum() == expected
    for k, slope in enumerate(by_channel, 1):
        assert slope == (16 if 16 * p - 1 <= math.ceil(k * 16 / 64) < 16 * p + 2 else 0)


def test_the_global_gradient_is_one_everywhere():
    np.testing.assert_array_equal(slopes(layers.importance_mask, 0.3, 32, 16, gradient="global"), np.ones(32))


@pytest.mark.parametrize(("gradient", "expected"), [("local", 8.0), ("global", 1.0)])
def test_colour_sends_its_gradient_to_the_map_too(gradient, expected):
    # Of two channels at eight levels, the first opens at level 1, the second at level 5.
    by_channel = slopes(layers.chroma_mask, 0.55, 2, 8, gradient=gradient)
    assert by_channel.tolist() == [0 if gradient == "local" else 1, expected]


def test_the_gradient_carries_what_arrives_from_above():
    p = tf.constant([0.2, 0.9], shape=[1, 1, 2, 1])
    weights = np.random.default_rng(0).normal(size=(1, 1, 2, 16)).astype(np.float32)

    @tf.function
    def gradient(p):
        with tf.GradientTape() as tape:
            tape.watch(p)
            loss = tf.reduce_sum(weights * layers.importance_mask(p, 16, 8))
        return tape.gradient(loss, p)

    alone = [slopes(layers.importance_mask, value, 16, 8) for value in (0.2, 0.9)]
    np.testing.assert_allclose(gradient(p).numpy().ravel(), (weights[0, 0] * alone).sum(axis=-1), rtol=1e-5)


def test_channels_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match="40 channels cannot be cut at 16 levels"):
        layers.importance_mask(tf.zeros([1, 1, 1, 1]), 40, 16)


def test_an_unknown_gradient_is_refused():
    with pytest.raises(ValueError, match="gradient is 'none'; one of local, global"):
        layers.importance_mask(tf.zeros([1, 1, 1, 1]), 32, 16, gradient="none")
