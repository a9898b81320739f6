import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from dsin_tf import bitstream
from dsin_tf.entropy import coder, context3d, exact

ROOT = Path(__file__).resolve().parents[3]
CENTERS = np.float32([1.3, 0.2, -0.7, 0.25, -1.8])
FIRST = np.array([[[1] * 3] * 3, [[1, 1, 1], [1, 0, 0], [0, 0, 0]]])
OTHER = np.array([[[1] * 3] * 3, [[1, 1, 1], [1, 1, 0], [0, 0, 0]]])


def make(features=6, seed=0):
    """A classifier that prefers some symbols to others, and its twin in integers."""
    rng = np.random.default_rng(seed)
    classifier = context3d.Classifier3D(len(CENTERS), features, seed)
    for kernel, bias in zip(classifier.kernels, classifier.biases):
        kernel.assign(2 * kernel)
        bias.assign(rng.normal(scale=0.5, size=bias.shape))
    twin = context3d.ExactClassifier3D(classifier, tf.Variable(CENTERS))
    twin.quantize()
    return classifier, twin


@pytest.fixture(scope="module")
def pair():
    return make()


def draw(shape, seed=0):
    return np.random.default_rng(seed).choice(len(CENTERS), shape, p=[0.05, 0.5, 0.2, 0.2, 0.05])


def logits(classifier, symbols):
    return classifier(CENTERS[symbols][None], CENTERS[0])[0].numpy()


def counts_by_place(twin, symbols):
    """What the coder uses for each symbol: int `[h, w, C, L]`."""
    found = np.zeros((*symbols.shape, len(CENTERS)), int)

    def code(counts, place):
        found[place] = counts
        return symbols[place]

    twin._run(symbols.shape, code)
    return found


def test_parameters_are_as_many_as_published():
    classifier = context3d.Classifier3D(6, 24)
    assert sum(np.prod(variable.shape) for variable in classifier.trainable_variables) == 23838
    visible = sum(np.prod(kernel.shape[3:]) * FIRST.sum() for kernel in classifier.kernels[:1])
    visible += sum(np.prod(kernel.shape[3:]) * OTHER.sum() for kernel in classifier.kernels[1:])
    assert visible + sum(bias.shape[0] for bias in classifier.biases) == 18534


def test_kernels_are_glorot_uniform_of_the_whole_shape():
    kernel = context3d.Classifier3D(6, 24).kernels[1].numpy()
    limit = np.sqrt(6 / (18 * 48))
    assert 0.95 * limit < np.abs(kernel).max() <= limit


def test_logits_are_four_masked_convolutions(pair):
    """Every sum written out."""
    classifier, symbols = pair[0], draw((3, 4, 2))

    def conv(x, i, mask):
        kernel = classifier.kernels[i].numpy() * mask[..., None, None]
        y = np.zeros((*np.subtract(x.shape[:3], (1, 2, 2)), kernel.shape[-1]))
        for place in np.ndindex(*y.shape[:3]):
            window = x[tuple(slice(p, p + k) for p, k in zip(place, (2, 3, 3)))]
            y[place] = np.einsum("zyxi,zyxio->o", window, kernel) + classifier.biases[i].numpy()
        return y

    volume = CENTERS[symbols].transpose(2, 0, 1).astype(float)
    volume = np.pad(volume, [(4, 0), (4, 4), (4, 4)], constant_values=CENTERS[0])[..., None]
    first = np.maximum(conv(volume, 0, FIRST), 0)
    second = conv(np.maximum(conv(first, 1, OTHER), 0), 2, OTHER) + first[2:, 2:-2, 2:-2]
    expected = np.maximum(conv(second, 3, OTHER), 0)
    np.testing.assert_allclose(logits(classifier, symbols), expected.transpose(1, 2, 0, 3), rtol=1e-4, atol=1e-5)


def test_a_symbol_changes_the_logits_after_it_within_the_context_only(pair):
    """Causality by perturbation, of every place of a volume with more channels than the context."""
    classifier, shape = pair[0], (5, 6, 6)
    symbols = draw(shape)
    plain = logits(classifier, symbols)
    changed_by = np.zeros((*shape, *shape), bool)
    for place in np.ndindex(*shape):
        other = symbols.copy()
        other[place] = (other[place] + 2) % len(CENTERS)
        changed_by[place] = np.any(logits(classifier, other) != plain, axis=-1)
    for row, column, channel in np.ndindex(*shape):
        changed = np.argwhere(changed_by[row, column, channel]) - (row, column, channel)
        for down, right, deeper in changed:
            assert 0 <= deeper <= 4
            assert max(abs(down), abs(right)) <= 4
            assert deeper > 0 or (down, right) > (0, 0)
            assert 4 * deeper + 2 * down + right > 0  # so the symbol is on an earlier front
    assert changed_by[0, 0, 0, 0, 1, 0]
    assert changed_by[2, 2, 0, 1, 1, 1]


def test_no_smaller_numbers_order_the_fronts():
    """The steps are the smallest for which all taps, but the place itself, are on earlier fronts."""
    taps = np.argwhere(OTHER) - (1, 1, 1)
    taps = taps[np.any(taps, axis=1)]
    good = [steps for steps in itertools.product(range(6), range(6), [1]) if (taps @ steps < 0).all()]
    assert min(good) == (4, 2, 1)
    assert min(step[0] for step in good) == 4
    assert min(step[1] for step in good) == 2


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 9, 3), (7, 1, 2), (3, 4, 7), (9, 12, 5), (20, 2, 3)])
def test_fronts_compute_what_the_convolutions_give_in_integers(pair, shape):
    classifier, twin = pair
    symbols = draw(shape, seed=1)

    def conv(i, mask):
        mask = mask[..., None, None]
        return exact.Conv(classifier.kernels[i].numpy(), classifier.biases[i].numpy(), padding="valid", mask=mask)

    wide = exact.Format(exact.ACTIVATIONS.fraction, 2 * exact.ACTIVATIONS.limit)
    residual = exact.Residual(
        [conv(1, OTHER), exact.Relu(), conv(2, OTHER)], crop=[(2, 0), (2, 2), (2, 2)], output=wide
    )
    layers = [conv(0, FIRST), exact.Relu(), residual, conv(3, OTHER), exact.Relu()]
    network = exact.Network(layers, input=context3d.CENTERS)
    centers = np.floor(CENTERS.astype(float) * 2**16 + 0.5)
    volume = np.pad(centers[symbols].transpose(2, 0, 1), [(4, 0), (4, 4), (4, 4)], constant_values=centers[0])
    counts = exact.counts_from_logits(network(volume[None, ..., None])[0], exact.ACTIVATIONS.fraction)
    np.testing.assert_array_equal(counts_by_place(twin, symbols), counts.transpose(1, 2, 0, 3))


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 30, 4), (30, 1, 4), (11, 13, 8)])
def test_decoding_gives_the_symbols(pair, shape):
    twin, symbols = pair[1], draw(shape, seed=2)
    data = twin.compress(symbols)
    decoded = twin.decompress(data, shape)
    np.testing.assert_array_equal(decoded, symbols)
    assert decoded.dtype == np.int32


def test_integers_take_hardly_more_bits_than_floats(pair):
    classifier, twin = pair
    symbols = draw((24, 40, 8), seed=3)
    bits = classifier.bits(CENTERS[symbols][None], symbols[None], CENTERS[0]).numpy()[0]
    log_p = np.log2(np.exp(logits(classifier, symbols).astype(float)))
    by_hand = np.log2(np.exp2(log_p).sum(axis=-1)) - np.take_along_axis(log_p, symbols[..., None], axis=-1)[..., 0]
    np.testing.assert_allclose(bits, by_hand, rtol=1e-4, atol=1e-5)
    assert abs(twin.bits(symbols) / bits.sum() - 1) < 0.005
    assert abs(8 * len(twin.compress(symbols)) - twin.bits(symbols)) < 17


def test_what_is_almost_certain_costs_almost_nothing(pair):
    classifier, twin = make(seed=4)
    classifier.biases[3].assign([0, 12, 0, 0, 0])
    twin.quantize()
    assert 8 * len(twin.compress(np.ones((40, 40, 8), int))) < 0.01 * 40 * 40 * 8


def test_stored_integers_write_and_read_the_same_bytes(pair):
    twin, symbols = pair[1], draw((8, 9, 3))
    other_classifier, other = make(seed=9)
    assert other.compress(symbols) != twin.compress(symbols)
    other.load_state(twin.state())
    assert other.compress(symbols) == twin.compress(symbols)
    assert all(array.dtype.kind == "i" for array in twin.state().values())
    assert other.state().keys() == twin.state().keys()


def test_numbers_of_another_network_are_refused(pair):
    twin = pair[1]
    state = twin.state()
    with pytest.raises(exact.ExactError, match=r"centres \[3\], \[5\] was expected"):
        twin.load_state({**state, "centers": np.zeros(3)})
    with pytest.raises(exact.ExactError, match="'kernel'"):
        make(features=7)[1].load_state(state)
    with pytest.raises(exact.ExactError, match="nothing"):
        make()[1].load_state({name: array for name, array in state.items() if not name.startswith("conv2")})


def test_damaged_strings_are_refused_or_become_other_symbols(pair):
    twin, symbols = pair[1], draw((10, 12, 4))
    data, refused = twin.compress(symbols), 0
    rng = np.random.default_rng(0)
    for _ in range(100):
        damaged = bytearray(data)
        damaged[rng.integers(len(data))] ^= 1 << rng.integers(8)
        try:
            assert not np.array_equal(twin.decompress(bytes(damaged), symbols.shape), symbols)
        except bitstream.PayloadError:
            refused += 1
    assert refused > 50
    for damaged in (b"", data[:-3], data + b"\1\2\3"):
        with pytest.raises(bitstream.PayloadError):
            twin.decompress(damaged, symbols.shape)


def test_a_volume_that_no_string_so_short_can_hold_is_refused_before_it_is_made(pair):
    with pytest.raises(bitstream.PayloadError, match="takes? .* bytes at the least"):
        pair[1].decompress(b"1234", (2**20, 2**20, 32))


def test_symbols_that_are_no_centers_are_refused(pair):
    with pytest.raises(ValueError, match="0 to 4 were expected"):
        pair[1].compress(np.full((2, 2, 2), 5))


def decode(folder):
    """In another process: prints whether every string gives its symbols."""
    twin = make(features=24, seed=1)[1]
    with np.load(folder / "state.npz") as state:
        twin.load_state(dict(state))
    symbols = np.load(folder / "symbols.npy")
    data = (folder / "data").read_bytes()
    print(np.array_equal(twin.decompress(data, symbols.shape), symbols), twin.compress(symbols) == data)


@pytest.mark.parametrize(("threads", "core"), [("1", "Haswell"), ("2", "Sandybridge")])
def test_other_matrix_routines_and_threads_give_the_same(tmp_path, threads, core):
    twin, symbols = make(features=24)[1], draw((24, 60, 8))
    np.savez(tmp_path / "state.npz", **twin.state())
    np.save(tmp_path / "symbols.npy", symbols)
    (tmp_path / "data").write_bytes(twin.compress(symbols))
    settings = {"OPENBLAS_NUM_THREADS": threads, "OPENBLAS_CORETYPE": core, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, __file__, str(tmp_path)]
    done = subprocess.run(command, env={**os.environ, **settings}, capture_output=True, text=True)
    assert done.stdout == "True True\n", done.stderr


def test_every_symbol_costs_what_its_count_says(pair):
    twin, symbols = pair[1], draw((6, 7, 3))
    counts = counts_by_place(twin, symbols)
    assert (counts.sum(axis=-1) == 2**coder.PRECISION).all()
    own = np.take_along_axis(counts, symbols[..., None], axis=-1)
    assert twin.bits(symbols) == pytest.approx(float((16 - np.log2(own)).sum()), rel=1e-9)


if __name__ == "__main__":
    decode(Path(sys.argv[1]))
