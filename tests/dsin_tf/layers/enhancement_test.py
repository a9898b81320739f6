import numpy as np
import pytest
import tensorflow as tf

from dsin_tf import layers
from dsin_tf.models import storage

TINY_IEN = {"filters": 8, "dilations": (1, 3)}
TINY_GRDN = {"groups": 2, "blocks": 2, "convs": 3, "filters": 4, "growth": 3}
KINDS = {
    "ien": lambda **settings: layers.IEN(**TINY_IEN, **settings),
    "blind": lambda **settings: layers.IEN(**TINY_IEN, sees_side=False, **settings),
    "grdn": lambda **settings: layers.GRDN(**TINY_GRDN, **settings),
}


def images(height, width, count=1, seed=0):
    """x_msf, y_syn."""
    rng = np.random.default_rng(seed)
    return [rng.uniform(size=(count, height, width, 3)).astype(np.float32) for _ in range(2)]


def randomized(layer):
    """The layer with random biases and a random last kernel, too."""
    rng = np.random.default_rng(0)
    for variable in layer.weights:
        variable.assign(rng.normal(scale=0.25, size=variable.shape))
    return layer


class Hand:
    """Convolutions with a layer's weights by name, in terms of TensorFlow's own operations."""

    def __init__(self, layer):
        self._name, self._weights, self._used = layer.name, storage.named_variables([layer]), set()

    def variables(self, name):
        self._used.add(name)
        return (self._weights[f"{self._name}/{name}/{part}"].numpy() for part in ("kernel", "bias"))

    def conv(self, x, name, stride=1, dilation=1):
        kernel, bias = self.variables(name)
        return tf.nn.conv2d(x, kernel, stride, "SAME", dilations=dilation).numpy() + bias

    def attend(self, x, name, pools):
        logits = 0
        for pool in pools:
            logits += self.conv(np.maximum(self.conv(pool(x), f"{name}/squeeze"), 0), f"{name}/excite")
        return x * sigmoid(logits)

    def used_all(self):
        return 2 * len(self._used) == len(self._weights)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def mean(x):
    return x.mean(axis=(1, 2), keepdims=True)


def highest(x):
    return x.max(axis=(1, 2), keepdims=True)


def test_ien_is_its_definition():
    layer = randomized(layers.IEN(**TINY_IEN))
    hand = Hand(layer)
    x_msf, y_syn = images(7, 10, count=2)
    x = first = hand.conv(np.concatenate([x_msf, y_syn], axis=-1), "first")
    for b, dilation in enumerate(TINY_IEN["dilations"]):
        inner = hand.conv(x, f"block{b}/conv1", dilation=dilation)
        inner = hand.conv(np.maximum(inner, inner / 5), f"block{b}/conv2")
        x = x + hand.attend(inner, f"block{b}/attention", [mean])
    expected = x_msf + hand.conv(first + hand.conv(x, "after"), "last")
    assert hand.used_all()
    np.testing.assert_allclose(layer(x_msf, y_syn), expected, rtol=1e-4, atol=1e-4)


def test_grdn_is_its_definition():
    layer = randomized(layers.GRDN(**TINY_GRDN))
    hand = Hand(layer)
    image, y_syn = images(6, 8, count=2)
    x = hand.conv(hand.conv(image, "first"), "down", stride=2)
    for g in range(2):
        group, outputs = x, []
        for b in range(2):
            name = f"group{g}/block{b}"
            known = x
            for k in range(3):
                new = np.maximum(hand.conv(known, f"{name}/conv{k}"), 0)
                known = np.concatenate([known, new], axis=-1)
            x = x + hand.conv(known, f"{name}/join")
            outputs.append(x)
        x = group + hand.conv(np.concatenate(outputs, axis=-1), f"group{g}/join")
    kernel, bias = hand.variables("up")
    x = tf.nn.conv2d_transpose(x, kernel, (2, 6, 8, 4), 2, "SAME").numpy() + bias
    x = hand.attend(x, "attention", [mean, highest])
    of_places = np.concatenate([x.mean(axis=-1, keepdims=True), x.max(axis=-1, keepdims=True)], axis=-1)
    x = x * sigmoid(hand.conv(of_places, "attention/places"))
    expected = image + hand.conv(x, "last")
    assert hand.used_all()
    np.testing.assert_allclose(layer(image, y_syn), expected, rtol=1e-4, atol=1e-4)


def test_ien_has_as_many_parameters_as_by_hand():
    block = 2 * (9 * 64 * 64 + 64) + (64 * 8 + 8) + (8 * 64 + 64)
    total = (9 * 6 * 64 + 64) + 6 * block + (9 * 64 * 64 + 64) + (9 * 64 * 3 + 3)
    assert total == 491_891
    assert layers.IEN().count_params() == total
    seeing, blind = (KINDS[kind]().count_params() for kind in ("ien", "blind"))
    assert seeing - blind == 9 * 3 * 8


def grdn_parameters(groups, blocks, convs, filters, growth):
    convolutions = sum(9 * (filters + k * growth) * growth + growth for k in range(convs))
    block = convolutions + (filters + convs * growth) * filters + filters
    group = blocks * block + blocks * filters**2 + filters
    squeezed = filters // 16
    attention = (filters + 1) * squeezed + (squeezed + 1) * filters + 7 * 7 * 2 + 1
    ends = (27 + 1) * filters + (9 * filters + 1) * 3
    return ends + 2 * (16 * filters**2 + filters) + groups * group + attention


def test_grdn_has_as_many_parameters_as_by_hand():
    assert layers.GRDN().count_params() == grdn_parameters(4, 4, 8, 64, 64) == 22_033_898
    assert layers.GRDN(**layers.GRDN_LITE).count_params() == grdn_parameters(2, 3, 4, 32, 16) == 253_608


@pytest.mark.parametrize("kind", KINDS)
def test_it_begins_as_the_identity_at_any_size(kind):
    layer = KINDS[kind]()
    for size in ((8, 8), (5, 7), (1, 1)):
        x_msf, y_syn = images(*size)
        np.testing.assert_array_equal(layer(x_msf, y_syn), x_msf)


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_ien_that_sees_it_depends_on_the_side_information(kind):
    layer = randomized(KINDS[kind]())
    x_msf, y_syn = images(8, 8)
    changed = np.abs(layer(x_msf, y_syn) - layer(x_msf, 1 - y_syn)).max() > 1e-3
    assert changed == (kind == "ien")


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_every_weight(kind):
    layer = randomized(KINDS[kind]())
    for variable in layer.weights:
        variable.assign(tf.abs(variable) / 5)  # so that no ReLU is off for the whole image
    x_msf, y_syn = (tf.constant(image) for image in images(8, 8))
    with tf.GradientTape() as tape:
        tape.watch(x_msf)
        loss = tf.reduce_sum(layer(x_msf, y_syn) ** 2)
    for gradient in tape.gradient(loss, [*layer.trainable_weights, x_msf]):
        assert np.abs(gradient).max() > 0


@pytest.mark.parametrize("kind", KINDS)
def test_initial_weights_follow_from_the_seed(kind):
    first, again, other = (KINDS[kind](seed=seed).get_weights() for seed in (1, 1, 2))
    for one, same, different in zip(first, again, other):
        np.testing.assert_array_equal(one, same)
        assert not one.any() or not np.array_equal(one, different)  # biases and the last kernel are zero
    assert sum(one.any() for one in first) == (len(first) - 2) // 2


def test_weights_are_named_after_their_places():
    names = storage.named_variables([layers.IEN(**TINY_IEN), layers.GRDN(**TINY_GRDN)])
    assert {"ien/block1/conv1/kernel", "ien/block0/attention/excite/bias", "grdn/group1/block0/conv2/kernel"} <= {
        *names
    }


def test_an_odd_size_is_that_of_the_image_with_its_edges_repeated():
    layer = randomized(layers.GRDN(**TINY_GRDN))
    x_msf, y_syn = images(5, 7)
    padded = np.pad(x_msf, ((0, 0), (0, 1), (0, 1), (0, 0)), mode="edge")
    expected = layer(padded, padded)[:, :5, :7]
    np.testing.assert_allclose(layer(x_msf, y_syn), expected, rtol=1e-5, atol=1e-5)
