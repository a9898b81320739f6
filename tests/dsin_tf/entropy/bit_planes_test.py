import collections
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from dsin_tf import bitstream
from dsin_tf.entropy import bit_planes, exact

ROOT = Path(__file__).resolve().parents[3]
CUBE = np.zeros((4, 5, 5))  # planes, rows and columns that the learned context sees, up to the place itself
CUBE[:3] = CUBE[3, :2] = CUBE[3, 2, :2] = 1


def make_learned(channels=5, features=6, seed=0):
    """A context that sees something in everything, and its coder."""
    rng = np.random.default_rng(seed)
    context = bit_planes.PlaneContext(channels, features, seed)
    for kernel, bias in zip(context.kernels, context.biases):
        kernel.assign(2 * kernel)
        bias.assign(rng.normal(scale=0.5, size=bias.shape))
    learned = bit_planes.ExactPlaneContext(context)
    learned.quantize()
    return context, learned


@pytest.fixture(scope="module")
def pair():
    return make_learned()


@pytest.fixture(params=["counts", "learned"])
def plane_coder(request, pair):
    return bit_planes.AdaptiveCoder() if request.param == "counts" else pair[1]


def draw(shape, seed=0, share=0.7):
    """Planes that depend on their neighbours, and a mask that does not."""
    rng = np.random.default_rng(seed)
    planes = rng.integers(2, size=shape)
    for row, column, plane in np.argwhere(rng.random(shape) < 0.8):
        planes[row, column, plane] = planes[row, max(column - 1, 0), max(plane - 1, 0)]
    return planes, (rng.random(shape) < share).astype(int)


def bits_by_hand(planes, mask):
    """The bits that counting takes, one bit after the other."""
    places = np.argwhere(mask)  # (row, column, plane)
    places = places[np.lexsort((places[:, 0], places[:, 2], places.sum(axis=1)))]
    counts = collections.defaultdict(lambda: [0, 0])
    total, front, waiting = 0.0, None, []

    def entry(row, column, plane):
        inside = row >= 0 and column >= 0 and plane >= 0 and mask[row, column, plane]
        return 1 + planes[row, column, plane] if inside else 0

    def add(waiting):
        for context, bit in waiting:
            counts[context][bit] += 1
        for context in {context for context, _ in waiting}:
            if sum(counts[context]) > 255:
                counts[context] = [(count + 1) // 2 for count in counts[context]]

    for row, column, plane in places.tolist():
        if front != row + column + plane:
            add(waiting)
            front, waiting = row + column + plane, []
        before = tuple(entry(row, column, plane - i) for i in (1, 2, 3))
        beside = (entry(row, column - 1, plane), entry(row - 1, column, plane))
        probability = 2**15
        for context in [(plane,), (plane, *before), (plane, *before, *beside)]:
            zeros, ones = counts[context]
            probability = (2**16 * ones + 4 * probability) // (zeros + ones + 4)
            waiting.append((context, planes[row, column, plane]))
        probability = min(max(probability, 32), 2**16 - 32)
        total += 16 - np.log2(probability if planes[row, column, plane] else 2**16 - probability)
    return total


def entropy(p):
    return -p * np.log2(p) - (1 - p) * np.log2(1 - p)


# Maps.


@pytest.mark.parametrize("levels", [2, 16, 32])
def test_a_map_is_as_many_planes_as_it_takes_and_comes_back(levels):
    q = np.arange(2 * levels).reshape(4, -1, 1) % levels
    planes = bit_planes.planes_of_map(q, levels)
    assert planes.shape == (*q.shape[:2], np.log2(levels))
    assert len({tuple(bits) for bits in planes.reshape(2 * levels, -1).tolist()}) == levels
    again = bit_planes.map_of_planes(planes)
    np.testing.assert_array_equal(again, q)
    assert planes.dtype == again.dtype == np.int32


def test_neighbouring_levels_differ_in_one_plane():
    planes = bit_planes.planes_of_map(np.arange(32)[:, None, None], 32)[:, 0]
    assert (np.abs(np.diff(planes, axis=0)).sum(axis=1) == 1).all()


def test_maps_without_planes_are_refused():
    with pytest.raises(ValueError, match="12 levels; a power of two"):
        bit_planes.planes_of_map(np.zeros((2, 2, 1)), 12)
    with pytest.raises(ValueError, match="levels 0 to 16, 0 to 15 were expected"):
        bit_planes.planes_of_map([[[0], [16]]], 16)


def test_raw_bits_are_those_of_the_map_and_of_every_mask():
    mask = np.zeros((3, 4, 6), np.float32)
    mask[1:, :, :2] = 1
    assert bit_planes.raw_bits(np.zeros((3, 4, 1)), 16, mask, np.ones((3, 4, 2))) == 3 * 4 * 4 + 16 + 24


# Both coders.


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 7), st.integers(1, 7), st.just(5)),
    seed=st.integers(0, 999),
    share=st.sampled_from([0.0, 0.1, 0.7, 1.0]),
)
def test_what_is_sent_comes_back(pair, shape, seed, share):
    planes, mask = draw(shape, seed, share)
    for plane_coder in (bit_planes.AdaptiveCoder(), pair[1]):
        data = plane_coder.compress(planes, mask)
        decoded = plane_coder.decompress(data, mask)
        np.testing.assert_array_equal(decoded, planes * mask)
        assert decoded.dtype == np.int32
        assert abs(8 * len(data) - plane_coder.bits(planes, mask)) < 8 * 8


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 20, 2), (20, 1, 3), (9, 8, 17)])
def test_counts_code_any_number_of_planes(shape):
    planes, mask = draw(shape)
    data = bit_planes.AdaptiveCoder().compress(planes, mask)
    np.testing.assert_array_equal(bit_planes.AdaptiveCoder().decompress(data, mask), planes * mask)


def test_bits_that_are_not_sent_change_nothing_and_cost_nothing(plane_coder):
    planes, mask = draw((6, 7, 5))
    data = plane_coder.compress(planes, mask)
    assert plane_coder.compress(np.where(mask, planes, 1 - planes), mask) == data
    assert plane_coder.compress(planes, mask.astype(bool)) == data
    assert plane_coder.compress(planes, np.zeros_like(mask)) == b""
    np.testing.assert_array_equal(plane_coder.decompress(b"", np.zeros_like(mask)), np.zeros_like(planes))


def test_strings_depend_on_nothing_coded_before(plane_coder):
    """So colour is coded alike after any brightness, and one colour after another."""
    first, second = draw((6, 6, 5), seed=1), draw((6, 6, 5), seed=2)
    alone = plane_coder.compress(*second)
    assert plane_coder.compress(*first) != alone
    assert plane_coder.compress(*second) == alone


def test_damaged_strings_are_refused_or_become_other_bits(plane_coder):
    planes, mask = draw((7, 8, 5))
    data, refused = plane_coder.compress(planes, mask), 0
    rng = np.random.default_rng(0)
    damages = [b"", data[:-3], data[:-1], data + b"\0", data + b"\1\2\3"]
    for _ in range(35):
        damages.append(bytearray(data))
        damages[-1][rng.integers(len(data))] ^= 1 << rng.integers(8)
    for damaged in damages:
        try:
            assert not np.array_equal(plane_coder.decompress(damaged, mask), planes * mask)
        except bitstream.PayloadError:
            refused += 1
    assert refused > 15


def test_a_string_too_short_for_its_mask_is_refused_before_it_is_read(plane_coder):
    with pytest.raises(bitstream.PayloadError, match="of 4 bytes is damaged: 1280000 bits take 100 bytes at the least"):
        plane_coder.decompress(b"1234", np.broadcast_to(True, (512, 500, 5)))


def test_planes_and_masks_of_different_shapes_are_refused(plane_coder):
    with pytest.raises(ValueError, match=r"planes \[2, 2, 5\] and mask \[2, 3, 5\] must agree"):
        plane_coder.compress(np.zeros((2, 2, 5)), np.ones((2, 3, 5)))


def test_what_are_not_bits_is_refused(plane_coder):
    with pytest.raises(ValueError, match="0 to 1 were expected"):
        plane_coder.compress(np.full((2, 2, 5), 2), np.ones((2, 2, 5)))


# Counts.


@pytest.mark.parametrize(("shape", "share"), [((9, 8, 6), 0.6), ((30, 31, 2), 1.0), ((1, 1, 40), 0.9)])
def test_counting_takes_the_bits_it_takes_by_hand(shape, share):
    planes, mask = draw(shape, share=share)
    assert bit_planes.AdaptiveCoder().bits(planes, mask) == pytest.approx(bits_by_hand(planes, mask), rel=1e-9)


@pytest.mark.parametrize("p", [0.05, 0.3])
def test_counts_learn_what_the_plane_before_and_the_neighbours_tell(p):
    """A bit is the exclusive or of the one before it and the one to its left, but for flips with probability p."""
    shape = (48, 64, 8)
    planes = (np.random.default_rng(0).random(shape) < p).astype(int)
    for plane in range(shape[-1]):
        if plane:
            planes[..., plane] ^= planes[..., plane - 1]
        planes[..., plane] = np.bitwise_xor.accumulate(planes[..., plane], axis=1)
    bits = bit_planes.AdaptiveCoder().bits(planes, np.ones(shape)) / planes.size
    assert entropy(p) < bits < 1.1 * entropy(p) + 0.03


def test_bits_without_any_order_cost_little_more_than_themselves():
    planes = np.random.default_rng(0).integers(2, size=(32, 48, 8))
    bits = bit_planes.AdaptiveCoder().bits(planes, np.ones_like(planes))
    assert planes.size - 300 < bits < 1.06 * planes.size


def test_what_is_always_the_same_costs_almost_nothing():
    shape = (64, 96, 16)
    assert bit_planes.AdaptiveCoder().bits(np.ones(shape), np.ones(shape)) < 0.005 * np.prod(shape)


def test_the_strings_of_counts_never_change():
    """Files stay readable; taken from the first version."""
    row, column, plane = np.indices((5, 6, 4))
    planes, mask = (row * row + column * plane + plane) % 3 % 2, (row + column) // 2 >= plane
    assert bit_planes.AdaptiveCoder().compress(planes, mask).hex() == "4ce0ae03e8550388ff39"


def test_counts_are_stored_with_the_constants_they_use():
    state = bit_planes.AdaptiveCoder().state()
    bit_planes.AdaptiveCoder().load_state(state)
    for other in ({}, {"constants": state["constants"] + 1}):
        with pytest.raises(exact.ExactError, match="another version"):
            bit_planes.AdaptiveCoder().load_state(other)


# The learned context.


def test_logits_are_a_masked_convolution_and_two_dense_layers(pair):
    """Every sum written out."""
    context, (planes, mask) = pair[0], draw((4, 3, 5))
    kernel, dense1, dense2 = (kernel.numpy().astype(float) for kernel in context.kernels)
    bias, bias1, bias2 = (bias.numpy().astype(float) for bias in context.biases)
    entries = np.stack([mask * (1 - planes), mask * planes], axis=-1).transpose(2, 0, 1, 3)
    entries = np.pad(entries, [(3, 0), (2, 2), (2, 2), (0, 0)])
    expected = np.zeros(planes.shape)
    for row, column, plane in np.ndindex(*planes.shape):
        window = entries[plane : plane + 4, row : row + 5, column : column + 5] * CUBE[..., None]
        x = np.maximum(np.einsum("zyxi,zyxio->o", window, kernel) + bias[plane], 0)
        expected[row, column, plane] = (np.maximum(x @ dense1 + bias1, 0) @ dense2 + bias2)[0]
    np.testing.assert_allclose(context(planes[None], mask[None])[0], expected, rtol=1e-4, atol=1e-5)


def test_a_bit_changes_only_logits_after_it_and_only_if_it_is_sent(pair):
    """Causality by perturbation, of every place."""
    context, shape = pair[0], (4, 6, 5)
    planes, mask = draw(shape, share=0.8)
    places = list(np.ndindex(*shape))
    others = np.tile(planes, (len(places), 1, 1, 1))
    for other, place in zip(others, places):
        other[place] = 1 - other[place]
    masks = np.tile(mask, (len(places), 1, 1, 1))
    changed = np.abs(context(others, masks).numpy() - context(planes[None], mask[None]).numpy()) > 1e-6
    for place, found in zip(places, changed):
        assert mask[place] or not found.any()
        for down, right, deeper in np.argwhere(found) - place:
            assert 0 <= deeper <= 3
            assert max(abs(down), abs(right)) <= 2
            assert deeper > 0 or (down, right) > (0, 0)
            assert 9 * deeper + 3 * down + right > 0  # so the bit is on an earlier front
    assert changed[places.index((2, 2, 0))].sum() > 50


@pytest.mark.parametrize("shape", [(1, 1, 5), (1, 9, 5), (7, 6, 5)])
def test_fronts_compute_what_the_convolution_gives_in_integers(pair, shape):
    context, learned = pair
    planes, mask = draw(shape, seed=3)
    channels = shape[-1]
    kernel = np.zeros((4, 5, 5, 2 + channels, 6))  # which plane it is becomes features, which the place itself sees
    kernel[..., :2, :] = context.kernels[0].numpy() * CUBE[..., None, None]
    kernel[3, 2, 2, 2:] = context.biases[0].numpy()
    layers = [exact.Conv(kernel, padding=[(3, 0), (2, 2), (2, 2)]), exact.Relu()]
    for dense, bias in zip(context.kernels[1:], context.biases[1:]):
        layers += [exact.Conv(dense.numpy()[None, None, None], bias.numpy()), exact.Relu()]
    network = exact.Network(layers[:-1], input=exact.Format(0, 1))
    of_plane = np.broadcast_to(np.eye(channels), (*shape[:2], channels, channels))
    features = np.concatenate([np.stack([mask * (1 - planes), mask * planes], axis=-1), of_plane], axis=-1)
    logits = network(features.transpose(2, 0, 1, 3)[None])[0].transpose(1, 2, 0, 3)
    counts = exact.counts_from_logits(np.concatenate([0 * logits, logits], axis=-1), exact.ACTIVATIONS.fraction)
    own = np.clip(np.take_along_axis(counts, planes[..., None], axis=-1)[..., 0], 32, 2**16 - 32)
    assert learned.bits(planes, mask) == pytest.approx(float((mask * (16 - np.log2(own))).sum()), rel=1e-9)


def test_integers_take_hardly_more_bits_than_floats(pair):
    context, learned = pair
    planes, mask = draw((24, 30, 5), seed=4)
    bits = context.bits(planes[None], mask[None]).numpy()[0]
    logits = context(planes[None], mask[None]).numpy()[0].astype(float)
    by_hand = mask * np.log2(1 + np.exp(np.where(planes, -logits, logits)))
    np.testing.assert_allclose(bits, by_hand, rtol=1e-4, atol=1e-4)
    assert abs(learned.bits(planes, mask) / bits.sum() - 1) < 0.01


def test_training_finds_what_counts_find():
    """A plane repeats the one before it but for one bit in ten."""
    rng = np.random.default_rng(0)
    planes = np.bitwise_xor.accumulate(rng.random((8, 12, 12, 4)) < [0.5, 0.1, 0.1, 0.1], axis=-1).astype(int)
    mask = np.ones_like(planes)
    context = bit_planes.PlaneContext(4, features=8)
    optimizer = tf.keras.optimizers.Adam(0.02)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(context.bits(planes, mask))
        variables = context.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))

    for _ in range(40):
        step()
    learned = bit_planes.ExactPlaneContext(context)
    learned.quantize()
    possible = (1 + 3 * entropy(0.1)) / 4
    assert learned.bits(planes[0], mask[0]) / planes[0].size == pytest.approx(possible, rel=0.15)


def test_stored_integers_write_and_read_the_same_bytes(pair):
    learned, (planes, mask) = pair[1], draw((8, 9, 5))
    other = make_learned(seed=9)[1]
    assert other.compress(planes, mask) != learned.compress(planes, mask)
    other.load_state(learned.state())
    assert other.compress(planes, mask) == learned.compress(planes, mask)
    assert all(array.dtype.kind == "i" for array in learned.state().values())


def test_numbers_and_planes_of_another_context_are_refused(pair):
    learned = pair[1]
    with pytest.raises(exact.ExactError, match="'kernel'"):
        make_learned(features=7)[1].load_state(learned.state())
    with pytest.raises(ValueError, match="There are 4 planes, the context was made for 5"):
        learned.compress(np.ones((2, 2, 4)), np.ones((2, 2, 4)))


def decode(folder):
    """In another process: prints for both coders whether the string gives its planes."""
    learned = make_learned(features=24, seed=1)[1]
    with np.load(folder / "arrays.npz") as stored:
        arrays = dict(stored)
    planes, mask = arrays.pop("planes"), arrays.pop("mask")
    learned.load_state(arrays)
    for name, plane_coder in (("counts", bit_planes.AdaptiveCoder()), ("learned", learned)):
        data = (folder / name).read_bytes()
        print(np.array_equal(plane_coder.decompress(data, mask), planes * mask))


def test_another_process_with_other_matrix_routines_decodes_the_same(tmp_path):
    learned, (planes, mask) = make_learned(features=24)[1], draw((24, 30, 5))
    np.savez(tmp_path / "arrays.npz", planes=planes, mask=mask, **learned.state())
    for name, plane_coder in (("counts", bit_planes.AdaptiveCoder()), ("learned", learned)):
        (tmp_path / name).write_bytes(plane_coder.compress(planes, mask))
    settings = {"OPENBLAS_NUM_THREADS": "1", "OPENBLAS_CORETYPE": "Sandybridge", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, __file__, str(tmp_path)]
    done = subprocess.run(command, env={**os.environ, **settings}, capture_output=True, text=True)
    assert done.stdout == "True\nTrue\n", done.stderr


if __name__ == "__main__":
    decode(Path(sys.argv[1]))
