import numpy as np
import pytest
import tensorflow as tf

from dsin_tf import layers
from dsin_tf.layers import strips
from dsin_tf.models import balle2017

TRANSFORMS = {
    "five by five": (layers.analysis, layers.synthesis),
    "nine by nine": (balle2017.analysis, balle2017.synthesis),
}


@pytest.fixture
def small_strips(monkeypatch):
    monkeypatch.setattr(strips, "_LARGEST", 2**12)
    monkeypatch.setattr(strips, "_STRIP", 2**11)


def counting(network, sizes):
    def call(x):
        sizes.append(x.shape[1:3])
        return network(x)

    return call


@pytest.mark.parametrize("transforms", TRANSFORMS)
@pytest.mark.parametrize("size", [(160, 64), (64, 320), (16, 1024), (1040, 16)])
def test_strips_give_the_whole(small_strips, transforms, size):
    analysis, synthesis = (make(layers.Maker(0), 6) for make in TRANSFORMS[transforms])
    x = np.random.default_rng(0).normal(size=(1, *size, 3)).astype(np.float32)
    seen = []
    latents = layers.in_strips(counting(analysis, seen), x, 1 / 16, halo=32)
    assert len(seen) > 1
    assert max(height * width for height, width in seen) < size[0] * size[1]
    np.testing.assert_allclose(latents, analysis(x), atol=1e-5)
    seen.clear()
    x_hat = layers.in_strips(counting(synthesis, seen), latents, 16, halo=3)
    assert len(seen) > 1
    np.testing.assert_allclose(x_hat, synthesis(latents), atol=1e-5)


def test_a_smaller_halo_would_show(small_strips):
    analysis = layers.analysis(layers.Maker(0), 6)
    x = np.random.default_rng(0).normal(size=(1, 160, 64, 3)).astype(np.float32)
    wrong = layers.in_strips(analysis, x, 1 / 16, halo=16)
    assert np.abs(wrong - analysis(x)).max() > 1e-4


def test_strips_of_a_network_that_makes_images_smaller_inside_begin_where_its_grid_does(small_strips):
    convs = [
        tf.keras.layers.Conv2D(4, 3, 2, "same", kernel_initializer=tf.keras.initializers.GlorotUniform(seed))
        for seed in (0, 1)
    ]

    def network(x):
        small = convs[1](convs[0](layers.pad_to_multiple(x, 4)))
        return tf.repeat(tf.repeat(small, 4, axis=1), 4, axis=2)[:, : x.shape[1], : x.shape[2]]

    for size in ((163, 70), (70, 163)):
        x = np.random.default_rng(0).normal(size=(1, *size, 3)).astype(np.float32)
        seen = []
        result = layers.in_strips(counting(network, seen), x, 1, halo=8, multiple=4)
        assert len(seen) > 1
        np.testing.assert_allclose(result, network(x), atol=1e-5)
        elsewhere = layers.in_strips(network, x, 1, halo=8)
        assert np.abs(elsewhere - network(x)).max() > 1e-2


def test_small_images_are_not_cut(small_strips):
    seen = []
    layers.in_strips(counting(tf.identity, seen), np.zeros((1, 64, 64, 1)), 1, halo=2)
    assert seen == [(64, 64)]
