"""Integer networks: against TensorFlow's float layers, against Python's integers, and in every way of running them.

Run as a program it prints the digests of all cells of one process; see `test_every_way_of_running_gives_...`.
"""

import hashlib
import itertools
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dsin_tf.entropy import coder, exact

ROOT = Path(__file__).resolve().parents[3]
FINE = exact.Format(fraction=20, limit=2**40)  # for comparisons with float layers


def random_layer(rng, window, channels_in, channels_out):
    """`(kernel, bias)` of the size that a trained layer has."""
    fan = channels_in * math.prod(window)
    return rng.uniform(-1, 1, (*window, channels_in, channels_out)) * (3 / fan) ** 0.5, rng.uniform(
        -0.2, 0.2, channels_out
    )


def hyper_decoder_numbers(seed=0, channels=8):
    """The three layers of the hyper-decoder of Ballé et al. 2018, as (kernel, bias, strides)."""
    rng = np.random.default_rng(seed)
    return [(*random_layer(rng, (k, k), channels, channels), strides) for k, strides in ((5, 2), (5, 2), (3, 1))]


def hyper_decoder(seed=0, channels=8):
    """T(5,2), ReLU, T(5,2), ReLU, T(3,1)."""
    first, second, third = (exact.TransposedConv(*n) for n in hyper_decoder_numbers(seed, channels))
    return exact.Network([first, exact.Relu(), second, exact.Relu(), third])


def signal_conv(kernel, bias, **options):
    """tensorflow-compression's layer with these weights, in float64."""
    tf = pytest.importorskip("tensorflow")
    tfc = pytest.importorskip("tensorflow_compression")
    options = {"padding": "same_zeros", "kernel_parameter": "variable", "use_bias": True, **options}
    layer = tfc.SignalConv2D(kernel.shape[-1], kernel.shape[:2], dtype=tf.float64, **options)
    layer.build((None, None, None, kernel.shape[2]))
    layer.set_weights([kernel, bias] if layer.weights[0].shape.rank == 4 else [bias, kernel])
    return layer


def classifier_numbers(seed=0, channels=4, classes=6):
    """The four layers of DSIN's context model, as (masked kernel, bias)."""
    rng = np.random.default_rng(seed)
    first = np.ones((2, 3, 3, 1, 1))
    first[1, 1, 1:] = first[1, 2] = 0
    other = first.copy()
    other[1, 1, 1] = 1
    sizes = ((1, channels), (channels, channels), (channels, channels), (channels, classes))
    numbers = [random_layer(rng, (2, 3, 3), *size) for size in sizes]
    return [(kernel * mask, bias) for (kernel, bias), mask in zip(numbers, (first, other, other, other))]


def classifier(seed=0):
    """DSIN's context model: masked 2x3x3 convolutions, ReLU, one residual block on cropped input."""
    first, inner, outer, last = (exact.Conv(*n, padding="valid") for n in classifier_numbers(seed))
    residual = exact.Residual([inner, exact.Relu(), outer], crop=[(2, 0), (2, 2), (2, 2)])
    layers = [first, exact.Relu(), residual, last, exact.Relu()]
    return exact.Network(layers, input=exact.Format(fraction=10, limit=2**14))


def context_model(seed=0, channels=6):
    """Lee et al. 2019: masked 5x5, joined with another tensor (here |x|), 1x1 convolutions, LeakyReLU of slope 0.2."""
    rng = np.random.default_rng(seed)
    mask = np.ones((5, 5, 1, 1))
    mask[2, 2:] = mask[3:] = 0
    context = exact.Network([exact.Conv(*random_layer(rng, (5, 5), channels, channels), mask=mask)])
    other = exact.Network([exact.Abs()])
    joint = exact.Network(
        [
            exact.Conv(*random_layer(rng, (1, 1), 2 * channels, 10)),
            exact.LeakyRelu(0.2),
            exact.Conv(*random_layer(rng, (), 10, 2 * channels)),
            exact.LeakyRelu(rng.uniform(0, 1, 2 * channels)),
        ],
        input=exact.ACTIVATIONS,
    )
    return lambda x: joint(exact.concat([(context(x), context.output), (other(x), other.output)]))


NETWORKS = {
    "hyper_decoder": (hyper_decoder, (3, 4, 8), 9),
    "classifier": (classifier, (9, 13, 11, 1), 4096),
    "context_model": (context_model, (7, 9, 6), 30),
}


def inputs(name, batch=4):
    """Integers [batch, ...] for the network of this name; the same first ones for every batch size."""
    _, shape, reach = NETWORKS[name]
    return np.random.default_rng(1).integers(-reach, reach + 1, (4, *shape))[:batch]


def values(network, x):
    """The network's output as floats."""
    return exact.dequantize(network(x), network.output)


# Layers, against float64 layers of other people


@pytest.mark.parametrize(("size", "strides"), [(5, 2), (3, 1), (9, 4), (3, 2), (5, 1)])
@pytest.mark.parametrize("up", [True, False])
def test_convolutions_are_those_of_tensorflow_compression(size, strides, up):
    rng = np.random.default_rng(0)
    kernel, bias = random_layer(rng, (size, size), 4, 6)
    x = rng.integers(-9, 10, (2, 7, 5, 4)).astype(np.float64)
    options = {"strides_up": strides, "corr": False} if up else {"strides_down": strides, "corr": True}
    expected = signal_conv(kernel, bias, **options)(x).numpy()
    layer = exact.TransposedConv if up else exact.Conv
    network = exact.Network([layer(kernel, bias, strides=strides, weight_bits=30, output=FINE)])
    assert values(network, x).shape == expected.shape
    np.testing.assert_allclose(values(network, x), expected, atol=1e-5)


def test_valid_convolutions_in_three_dimensions_and_dense_layers_are_those_of_tensorflow():
    tf = pytest.importorskip("tensorflow")
    rng = np.random.default_rng(0)
    x = rng.integers(-9, 10, (2, 5, 6, 7, 3))
    kernel, bias = random_layer(rng, (2, 3, 3), 3, 4)
    mask = rng.integers(0, 2, (2, 3, 3, 1, 1))
    network = exact.Network([exact.Conv(kernel, bias, mask=mask, padding="valid", weight_bits=30, output=FINE)])
    expected = tf.nn.conv3d(x.astype(np.float64), kernel * mask, [1] * 5, "VALID") + bias
    np.testing.assert_allclose(values(network, x), expected, atol=1e-5)

    kernel, bias = random_layer(rng, (), 3, 8)
    network = exact.Network([exact.Conv(kernel, bias, weight_bits=30, output=FINE)])
    np.testing.assert_allclose(values(network, x), x @ kernel + bias, atol=1e-5)

    uneven = exact.Network([exact.Conv(np.ones((1, 2, 1, 1)), padding=[(0, 0), (1, 0)])])
    assert values(uneven, np.arange(1, 5).reshape(1, 1, 4, 1)).ravel().tolist() == [1, 3, 5, 7]


def test_whole_networks_are_the_float_networks_within_the_steps_of_their_formats():
    tf = pytest.importorskip("tensorflow")
    numbers = classifier_numbers()
    x = inputs("classifier")

    def conv(x, i):
        return tf.nn.conv3d(x, numbers[i][0], [1] * 5, "VALID") + numbers[i][1]

    first = tf.nn.relu(conv(x / 1024.0, 0))
    added = conv(tf.nn.relu(conv(first, 1)), 2) + first[:, 2:, 2:-2, 2:-2]
    expected = tf.nn.relu(conv(added, 3))
    network = classifier()
    assert values(network, x).shape == expected.shape
    np.testing.assert_allclose(values(network, x), expected, atol=2e-3)


def test_activations_by_hand():
    unit = exact.Format(fraction=2, limit=100)
    x = np.array([[-100.0, -5.0, -1.0, 0.0, 3.0]])
    assert exact.Network([exact.Relu()], unit)(x).tolist() == [[0, 0, 0, 0, 3]]
    assert exact.Network([exact.Abs()], unit)(x).tolist() == [[100, 5, 1, 0, 3]]
    # 0.2 is 13107 / 65536, a little less than a fifth; results are rounded down.
    assert exact.Network([exact.LeakyRelu(0.2)], unit)(x).tolist() == [[-20, -1, -1, 0, 3]]
    steep = exact.Network([exact.LeakyRelu([0.5, 1.0, -2.0, 0.5, 0.5])], unit)
    assert steep(x).tolist() == [[-50, -5, 2, 0, 3]]
    assert steep.output == exact.Format(fraction=2, limit=200)


def test_formats_are_converted_by_rounding_half_up_and_saturate():
    coarse, fine = exact.Format(1, 10), exact.Format(3, 1000)
    x = np.array([-7.0, -6.0, -5.0, 5.0, 6.0, 7.0, 1000.0])
    assert exact.convert(x, fine, coarse).tolist() == [-2, -1, -1, 1, 2, 2, 10]
    assert exact.convert(np.array([-3.0, 10.0]), coarse, fine).tolist() == [-12, 40]
    assert exact.quantize(np.array([0.24, 0.25, -0.25, 99.0]), coarse).tolist() == [0, 1, 0, 10]
    assert exact.dequantize(np.array([3]), coarse).tolist() == [1.5]
    joined = exact.concat([(np.array([[8.0]]), fine), (np.array([[3.0]]), coarse)], coarse)
    assert joined.tolist() == [[2, 3]]


# Exactness


def test_the_largest_sum_that_a_layer_allows_is_exact():
    """Inputs at their limit with the signs of the weights, against Python's integers."""
    rng = np.random.default_rng(0)
    kernel, bias = random_layer(rng, (3, 3), 64, 5)
    source = exact.Format(0, 2**31)
    network = exact.Network([exact.Conv(kernel, bias, padding="valid", output=exact.Format(5, 2**52))], source)
    stored = network.state()
    fraction = int(stored["0.format"][0])
    signs = np.where(kernel[..., 2] < 0, -1, 1)
    total = sum(abs(int(w)) * 2**31 for w in stored["0.kernel"][..., 2].ravel()) + int(stored["0.bias"][2])
    assert 2**51 < total < 2**53  # as fine as it can be
    expected = (total + 2 ** (fraction - 6)) >> (fraction - 5)
    assert int(network(signs[None] * 2.0**31)[0, 0, 0, 2]) == expected


@pytest.mark.parametrize("weight_bits", [8, 12, 18])
def test_the_largest_weight_has_the_bits_asked_for(weight_bits):
    for largest in (3e-4, 0.24, 0.25, 100.0):
        kernel = np.array([[[[largest, -largest / 2, 0.0]]]])
        state = exact.Network([exact.Conv(kernel, weight_bits=weight_bits)]).state()
        assert 2 ** (weight_bits - 1) <= np.abs(state["0.kernel"]).max() <= 2**weight_bits
        np.testing.assert_allclose(state["0.kernel"] * 2.0 ** -state["0.format"][0], kernel, rtol=2.0**-weight_bits * 2)


def test_a_layer_that_cannot_be_exact_is_refused_with_the_numbers():
    kernel = np.ones((5, 5, 64, 2))
    with pytest.raises(exact.ExactError, match=r"\[5, 5, 64, 2\], inputs up to 4398046511104 and 8 bits .* 2\*\*53"):
        exact.Network([exact.Conv(kernel)], exact.Format(0, 2**42))
    with pytest.raises(exact.ExactError, match=r"\[1, 1, 1, 1\], inputs up to 4096"):
        exact.Network([exact.Conv(np.ones((1, 1, 1, 1)), [-(2.0**50)])])
    with pytest.raises(exact.ExactError, match="slope up to 1 can reach"):
        exact.Network([exact.LeakyRelu(0.1)], exact.Format(0, 2**40))
    with pytest.raises(exact.ExactError, match=r"not finite"):
        exact.Conv(np.full((1, 1, 1, 1), np.nan))


def test_inputs_and_activations_saturate():
    network = exact.Network([exact.Conv(np.full((1, 1, 1, 1), 2.0), output=exact.Format(1, 100))], exact.Format(0, 60))
    x = np.array([-1e9, -60, -26, -20, 24, 25, 1e9]).reshape(1, 1, 7, 1)
    assert network(x).ravel().tolist() == [-100, -100, -100, -80, 96, 100, 100]
    wide = exact.Network([exact.Conv(np.full((1, 1, 1, 1), 2.0), output=exact.Format(0, 1000))], exact.Format(0, 60))
    assert wide(x).ravel().tolist() == [-120, -120, -52, -40, 48, 50, 120]


def test_order_of_channels_does_not_change_a_bit():
    """Sums in another order; in float layers this alone moves the last bits."""
    network, x = hyper_decoder(), inputs("hyper_decoder")
    expected = network(x)
    order = np.random.default_rng(5).permutation(8)
    state = network.state()
    state["0.kernel"] = state["0.kernel"][:, :, order]
    network.load_state(state)
    np.testing.assert_array_equal(network(x[..., order]), expected)


def run_cells():
    """Lines "name digest", one for each way of running each network in this process."""
    import tensorflow as tf

    threads = int(os.environ["EXACT_TEST_THREADS"])
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    for name, (make, shape, _) in NETWORKS.items():
        network = make()
        unknown = tf.TensorSpec([None] * len(shape) + [shape[-1]], tf.int32)
        ways = {
            "numpy": network,
            "eager": lambda x, network=network: network(tf.constant(x)),
            "graph": tf.function(network, input_signature=[unknown]),
            "xla": tf.function(network, jit_compile=True),
        }
        for way, batch in itertools.product(ways, (1, 4)):
            x = inputs(name).astype(np.int32)
            parts = [np.asarray(ways[way](x[i : i + batch])) for i in range(0, 4, batch)]
            whole = np.concatenate(parts)
            assert whole.dtype == np.float64
            assert (whole == np.floor(whole)).all()
            assert np.abs(whole).max() > 100
            print(name, hashlib.sha256(whole.astype("<i8").tobytes()).hexdigest())


@pytest.mark.parametrize("cells", ["10 21", pytest.param("10 11 20 21", marks=pytest.mark.slow)])
def test_every_way_of_running_gives_the_same_integers(cells):
    """numpy, eager, tf.function of unknown sizes, XLA; batches of 1 and 4; 1 and 2 threads with oneDNN off and on."""
    processes = []
    for threads, onednn in cells.split():
        settings = {"EXACT_TEST_THREADS": threads, "TF_ENABLE_ONEDNN_OPTS": onednn, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, __file__]
        processes.append(subprocess.Popen(command, env={**os.environ, **settings}, stdout=subprocess.PIPE, text=True))
    lines = []
    for process in processes:
        printed = process.communicate()[0].splitlines()
        assert process.returncode == 0
        assert len(printed) == len(NETWORKS) * 4 * 2
        lines += printed
    assert len(set(lines)) == len(NETWORKS)


def test_numpy_alone_suffices_without_tensorflow():
    code = (
        "import sys, numpy as np; from dsin_tf.entropy import coder, exact;"
        "n = exact.Network([exact.Conv(np.ones((3, 3, 1, 1))), exact.Relu()]); n(np.ones((1, 4, 4, 1)));"
        "assert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


# Stored numbers


@pytest.mark.parametrize("make", [hyper_decoder, classifier])
def test_stored_numbers_make_any_network_of_the_same_layers_the_same(make):
    network, other = make(seed=0), make(seed=1)
    name = make.__name__
    x = inputs(name, batch=1)
    assert (network(x) != other(x)).any()
    state = {name: np.array(value) for name, value in network.state().items()}
    assert all(np.issubdtype(value.dtype, np.integer) for value in state.values())
    other.load_state(state)
    np.testing.assert_array_equal(other(x), network(x))
    assert {name: value.tolist() for name, value in other.state().items()} == {
        name: value.tolist() for name, value in state.items()
    }


def test_numbers_stored_for_another_network_are_refused():
    network = hyper_decoder()
    with pytest.raises(exact.ExactError, match=r"have \[5, 5, 4, 4\] as 'kernel', \[5, 5, 8, 8\]"):
        network.load_state(hyper_decoder(channels=4).state())
    with pytest.raises(exact.ExactError, match="have nothing as 'format'"):
        network.load_state({})
    state = network.state()
    state["0.format"] = state["0.format"] + [0, 1, 0]
    with pytest.raises(exact.ExactError, match=r"Format\(fraction=13, .* this network has Format\(fraction=12"):
        network.load_state(state)
    state = network.state()
    state["2.kernel"] = state["2.kernel"] * 2**12
    with pytest.raises(exact.ExactError, match="can reach"):
        network.load_state(state)


def test_layers_that_are_none_are_refused():
    with pytest.raises(exact.ExactError, match=r"\[2, 3\]"):
        exact.Conv(np.ones((2, 3, 1, 1)))
    with pytest.raises(exact.ExactError, match="'full'"):
        exact.Conv(np.ones((3, 3, 1, 1)), padding="full")
    with pytest.raises(exact.ExactError, match="smaller than the strides 4"):
        exact.TransposedConv(np.ones((3, 3, 1, 1)), strides=4)


# What the integers are for


def test_scale_index_is_the_scale_nearest_in_ratio():
    scales = 0.11 * (256 / 0.11) ** (np.arange(64) / 63)
    thresholds = exact.scale_thresholds(scales, 12)
    sigma = np.unique(np.concatenate([np.arange(-5, 3000), np.geomspace(1, 2**26, 500).astype(np.int64)]))
    nearest = np.abs(np.log(np.maximum(sigma, 1)[:, None] / 4096 / scales)).argmin(axis=1)
    index = exact.scale_index(sigma.astype(np.float64).reshape(1, -1), thresholds)[0]
    assert index.dtype == np.int32
    # A sigma exactly between two may go to either, by the rounding of the threshold to an integer.
    assert (np.abs(index - nearest) <= 1).all()
    assert (index != nearest).mean() < 0.01
    assert (exact.scale_index([-5, 0, 2**26], thresholds) == [0, 0, 63]).all()
    assert (exact.scale_index(thresholds, thresholds) == np.arange(1, 64)).all()


def test_scale_index_of_logarithms_is_the_nearest_one():
    scales = 0.11 * (256 / 0.11) ** (np.arange(64) / 63)
    thresholds = exact.scale_thresholds(scales, 12, logarithms=True)
    logarithms = np.arange(-20000, 30000)  # of 2^-12; the first scales are below 1, where these are negative
    nearest = np.abs(logarithms[:, None] / 4096 - np.log(scales)).argmin(axis=1)
    np.testing.assert_array_equal(exact.scale_index(logarithms, thresholds), nearest)


def softmax_by_hand(logits, fraction):
    """`counts_from_logits` in Python's integers, from its description."""
    steps = [((max(logits) - logit) * 1549082005) >> (20 + fraction) for logit in logits]
    weights = [exact._exp2_table().tolist()[step % 1024] >> (step // 1024) for step in steps]
    counts = [1 + weight * (65536 - len(logits)) // sum(weights) for weight in weights]
    counts[logits.index(max(logits))] += 65536 - sum(counts)
    return counts


def test_counts_from_logits_are_the_integers_described():
    rng = np.random.default_rng(0)
    for fraction in (0, 12, 20):
        logits = rng.integers(-(2**fraction) * 12, 2**fraction * 12, (50, 6))
        counts = exact.counts_from_logits(logits.astype(np.float64), fraction)
        assert counts.dtype == np.int32
        assert counts.tolist() == [softmax_by_hand(row, fraction) for row in logits.tolist()]
    assert exact.counts_from_logits(np.array([[5, 5]]), 3).tolist() == [[32768, 32768]]
    assert exact.counts_from_logits(np.array([5, 5, 5]), 3).tolist() == [21846, 21845, 21845]
    assert exact.counts_from_logits(np.array([[-(2**52), 2**52, 0]]), 12).tolist() == [[1, 65534, 1]]
    wrapping = -(-(2**64) // 1549082005)  # times log2(e) just over 2**64
    assert exact.counts_from_logits(np.array([[-wrapping, 0]]), 12).tolist() == [[1, 65535]]


def test_the_table_of_powers_of_two_never_changes():
    table = exact._exp2_table()
    np.testing.assert_allclose(table / 2**30, 2.0 ** (-np.arange(1024) / 1024), atol=2**-29)
    assert hashlib.sha256(table.astype("<i8").tobytes()).hexdigest()[:16] == "14699b8fad89bcab"


@pytest.mark.parametrize("spread", [0.3, 1.0, 3.0])
def test_integer_softmax_costs_less_than_half_a_percent(spread):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20000, 6)) * spread * 2
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    symbols = (probabilities.cumsum(axis=1) < rng.random((20000, 1))).sum(axis=1)
    counts = exact.counts_from_logits(exact.quantize(logits, exact.ACTIVATIONS), 12)
    assert (counts.sum(axis=1) == 2**16).all()
    assert counts.min() >= 1
    each = np.arange(20000), symbols
    ideal = -np.log2(probabilities[each]).sum()
    integer = -np.log2(counts[each] / 2**16).sum()
    assert abs(integer / ideal - 1) < 0.0005

    encoder = coder.Encoder()
    encoder.encode_with_counts(symbols, counts)
    assert len(encoder.finish()) <= integer / 8 + 8


def test_an_exact_hyper_decoder_costs_less_than_half_a_percent():
    """Symbols drawn from the float network's sigma; what they cost with it, and with the exact one's."""
    rng = np.random.default_rng(0)
    x = rng.integers(-6, 7, (1, 6, 8, 16)).astype(np.float64)
    sigma = x
    for kernel, bias, strides in hyper_decoder_numbers(channels=16):
        if sigma is not x:
            sigma = np.maximum(sigma, 0)
        sigma = signal_conv(kernel, bias, strides_up=strides, corr=False)(sigma).numpy()
    sigma = np.maximum(sigma, 0.11)
    exact_sigma = np.maximum(values(hyper_decoder(channels=16), x), 0.11)
    np.testing.assert_allclose(exact_sigma, sigma, atol=2e-3)
    symbols = np.rint(rng.normal(size=sigma.shape) * sigma)

    def bits(sigma):
        phi = np.vectorize(lambda t: 0.5 * math.erfc(-t / 2**0.5))
        near, far = (0.5 - np.abs(symbols)) / sigma, (-0.5 - np.abs(symbols)) / sigma
        return -np.log2(np.maximum(phi(near) - phi(far), 1e-9)).sum()

    assert abs(bits(exact_sigma) / bits(sigma) - 1) < 0.005


if __name__ == "__main__":
    run_cells()
