import math

import numpy as np
import pytest
import tensorflow as tf

from dsin_tf import bitstream, layers
from dsin_tf.entropy import exact, hyperprior


def gaussian_mass(value, sigma, mean=0.0):
    """Phi((v - mu + 1/2) / sigma) - Phi((v - mu - 1/2) / sigma) with the digits of erfc: on the lower side."""
    distance = -abs(value - mean)

    def phi(t):
        return 0.5 * math.erfc(-t / math.sqrt(2))

    return phi((distance + 0.5) / sigma) - phi((distance - 0.5) / sigma)


def expected_likelihood(values, sigma, mean):
    pairs = np.broadcast(values, sigma, mean)
    masses = [max(gaussian_mass(float(v), max(float(s), 0.11), float(m)), 1e-9) for v, s, m in pairs]
    return np.array(masses).reshape(pairs.shape)


@pytest.fixture(scope="module")
def tables():
    made = hyperprior.ScaleTables()
    made.build_tables()
    return made


def make_network(channels, gain, seed=0, activation=tf.nn.relu):
    """A hyper synthesis with random weights whose outputs reach over the scales; `channels` come out."""
    make = layers.Maker(seed)
    network = tf.keras.Sequential(
        [
            make.up_conv(6, 5, 2, activation=activation, name="conv1"),
            make.up_conv(6, 5, 2, activation=activation, name="conv2"),
            make.up_conv(channels, 3, 1, name="conv3"),
        ]
    )
    network.build((None, None, None, 4))
    network.layers[-1].kernel_parameter.assign(gain * network.layers[-1].kernel_parameter)
    return network


def whole(indexes):
    """All of them as one tile."""
    return [(np.s_[:, :], indexes)]


def hyper_latents(shape=(3, 4, 4)):
    return np.random.default_rng(3).normal(scale=5, size=shape).round().astype(np.int32)


def test_likelihood_is_the_mass_of_a_unit_box():
    rng = np.random.default_rng(0)
    values, mean = rng.normal(scale=5, size=200), rng.normal(size=200)
    sigma = np.exp(rng.uniform(-3, 4, 200))
    result = hyperprior.likelihood(*(np.float32(a) for a in (values, sigma, mean)))
    np.testing.assert_allclose(result, expected_likelihood(values, sigma, mean), rtol=2e-3, atol=1e-12)


@pytest.mark.parametrize("sigma", [0.05, 0.0, -3.0])
def test_scales_below_the_bound_count_as_the_bound(sigma):
    values = np.float32([0.0, 0.4, -0.6])
    result = hyperprior.likelihood(values, np.full(3, sigma, np.float32))
    np.testing.assert_allclose(result, hyperprior.likelihood(values, np.full(3, 0.11, np.float32)))


def test_a_scale_below_the_bound_learns_to_grow_but_not_to_shrink():
    sigma = tf.constant([0.01])

    def gradient(value):
        with tf.GradientTape() as tape:
            tape.watch(sigma)
            cost = -tf.math.log(hyperprior.likelihood(tf.constant([value]), sigma))
        return float(tape.gradient(cost, sigma)[0])

    assert gradient(0.6) < 0  # a value that a wider Gaussian would make cheaper
    assert gradient(0.4) == 0  # one that a narrower would


def test_a_symbol_far_outside_costs_thirty_bits_and_not_thousands():
    bits = hyperprior.bits(tf.fill([1, 1, 1, 1], 8.0), tf.fill([1, 1, 1, 1], 0.11))
    np.testing.assert_allclose(bits, [-math.log2(1e-9)], rtol=1e-6)


def test_bits_are_summed_over_an_image():
    rng = np.random.default_rng(1)
    values, sigma = rng.integers(-3, 4, (2, 3, 2, 4)), rng.uniform(0.1, 4, (2, 3, 2, 4))
    expected = -np.log2(expected_likelihood(values, sigma, 0.0)).reshape(2, -1).sum(axis=1)
    np.testing.assert_allclose(hyperprior.bits(np.float32(values), np.float32(sigma)), expected, rtol=1e-5)


def test_scales_are_64_evenly_spaced_in_their_logarithm():
    assert hyperprior.SCALES[0] == pytest.approx(0.11)
    assert hyperprior.SCALES[-1] == pytest.approx(256)
    np.testing.assert_allclose(np.diff(np.log(hyperprior.SCALES)), math.log(256 / 0.11) / 63)


def test_tables_cost_what_the_gaussians_say(tables):
    integers = np.arange(-3000, 3001)
    assert len(tables.tables) == 64
    for index in range(0, 64, 7):
        pmf = np.array([gaussian_mass(v, hyperprior.SCALES[index]) for v in integers])
        entropy = -(pmf * np.log2(np.maximum(pmf, 1e-300))).sum()
        cost = (pmf * tables.tables.bits(integers, np.full(len(integers), index))).sum()
        assert entropy - 1e-6 <= cost <= 1.001 * entropy + 2e-4


def test_decompress_gives_back_what_compress_took(tables):
    rng = np.random.default_rng(2)
    indexes = rng.integers(0, 64, (5, 6, 3)).astype(np.int32)
    symbols = (rng.normal(size=(5, 6, 3)) * hyperprior.SCALES[indexes]).round().astype(np.int32)
    symbols[0, 0, 0] = 99999  # an escape
    data = tables.compress(symbols, whole(indexes))
    np.testing.assert_array_equal(tables.decompress(data, indexes.shape, whole(indexes)), symbols)
    with pytest.raises(bitstream.PayloadError):
        tables.decompress(data + b"\0", indexes.shape, whole(indexes))


def test_indexes_are_those_of_the_nearest_scale_but_for_ties():
    network = make_network(5, gain=20)
    parameters = hyperprior.ExactParameters(network)
    parameters.quantize()
    z = hyper_latents()
    indexes = parameters(z)
    sigma = network(z[None].astype(np.float32))[0].numpy()
    nearest = np.abs(np.log(np.maximum(sigma, 0.01))[..., None] - np.log(hyperprior.SCALES)).argmin(axis=-1)
    assert indexes.shape == (12, 16, 5)
    assert indexes.dtype == np.int32
    assert len(np.unique(indexes)) > 20
    assert np.mean(indexes != nearest) < 0.01
    assert np.abs(indexes - nearest).max() <= 1


def test_exactness_and_the_64_scales_cost_less_than_half_a_percent(tables):
    network = make_network(32, gain=2)
    parameters = hyperprior.ExactParameters(network)
    parameters.quantize()
    z = hyper_latents((10, 10, 4))
    sigma = np.maximum(network(z[None].astype(np.float32)).numpy(), 0.11)
    symbols = np.round(np.random.default_rng(4).normal(size=sigma.shape) * sigma).astype(np.int32)
    estimate = float(hyperprior.bits(np.float32(symbols), sigma)[0])
    coded = 8 * len(tables.compress(symbols[0], parameters.tiles(z)))
    assert abs(coded - estimate) < 0.005 * estimate + 16


def test_means_are_multiples_of_a_64th_that_float32_holds_exactly():
    network = make_network(10, gain=20)
    parameters = hyperprior.ExactParameters(network, has_means=True)
    parameters.quantize()
    z = hyper_latents()
    _, means = parameters(z)
    _, expected = np.split(network(z[None].astype(np.float32))[0].numpy(), 2, axis=-1)
    assert means.shape == expected.shape
    assert means.dtype == np.float32
    np.testing.assert_array_equal(64 * means, np.round(64 * means.astype(np.float64)))
    np.testing.assert_allclose(means, expected, atol=1 / 128 + 4e-3)
    symbols = np.random.default_rng(5).integers(-(2**16), 2**16, means.shape)
    np.testing.assert_array_equal(symbols.astype(np.float32) + means, symbols + means.astype(np.float64))


def test_with_means_the_network_gives_logarithms_of_scales():
    network = make_network(10, gain=25)
    parameters = hyperprior.ExactParameters(network, has_means=True)
    parameters.quantize()
    z = hyper_latents()
    indexes, _ = parameters(z)
    logarithms = network(z[None].astype(np.float32))[0, ..., :5].numpy()
    nearest = np.abs(logarithms[..., None] - np.log(hyperprior.SCALES)).argmin(axis=-1)
    assert indexes.shape == (12, 16, 5)
    assert indexes.dtype == np.int32
    assert len(np.unique(indexes)) > 40
    assert np.mean(indexes != nearest) < 0.01
    assert np.abs(indexes - nearest).max() <= 1


def test_index_and_mean_of_integers_by_hand():
    format = exact.Format(fraction=12, limit=2**26)
    thresholds = exact.scale_thresholds(hyperprior.SCALES, 12, logarithms=True)
    logarithms = np.floor(4096 * np.log([0.01, 0.11, 1.0, 256.0, 5000.0]))
    means = [0, 31, 32, -32, -(2**26)]  # of 2^-12; a 64th is 64 of them
    indexes, found = hyperprior.index_and_mean(np.concatenate([logarithms, means]), format, thresholds)
    middle = 63 * math.log(1 / 0.11) / math.log(256 / 0.11)
    assert indexes.tolist() == [0, 0, round(middle), 63, 63]
    assert found.tolist() == [0, 0, 1, 0, -(2**20)]


def test_split_gives_standard_deviations_within_bounds_and_means():
    parameters = np.float32([[-1000, -2.5, 0, 1.5, 1000, 7, -8, 0.25, 1e6, 3]])
    sigma, mean = hyperprior.split(parameters)
    expected = [0.11 / math.e, math.exp(-2.5), 1, math.exp(1.5), 256]
    np.testing.assert_allclose(sigma, [expected], rtol=1e-6)
    np.testing.assert_array_equal(mean, parameters[:, 5:])
    assert hyperprior.split(np.float16(parameters[:, 1:3]))[0].dtype == tf.float32


def test_rounded_values_lie_at_whole_distances_from_64ths():
    rng = np.random.default_rng(7)
    values, mean = rng.normal(scale=100, size=1000).astype(np.float32), rng.normal(size=1000).astype(np.float32)
    rounded = hyperprior.round_around(values, mean).numpy().astype(float)
    coded_mean = np.floor(64 * mean.astype(float) + 0.5) / 64  # nothing is on an edge here
    assert np.abs(coded_mean - mean).max() <= 1 / 128
    np.testing.assert_array_equal(rounded - coded_mean, np.round(rounded - coded_mean))
    assert 0.49 < np.abs(rounded - values).max() <= 0.5


def test_integers_have_the_activations_of_the_network():
    z = hyper_latents()
    outputs = {}
    for activation in (tf.nn.relu, hyperprior.leaky_relu, None):
        network = make_network(4, gain=20, activation=activation)
        twin = hyperprior.integer_network(network)
        expected = network(z[None].astype(np.float32)).numpy()
        np.testing.assert_allclose(exact.dequantize(twin(z[None]), twin.output), expected, atol=1e-2)
        outputs[activation] = expected
    assert all(np.abs(outputs[one] - outputs[hyperprior.leaky_relu]).max() > 0.1 for one in (tf.nn.relu, None))


@pytest.mark.parametrize("has_means", [False, True])
@pytest.mark.parametrize("shape", [(1, 1, 4), (23, 9, 4), (8, 150, 4)])
def test_tiles_are_parts_of_the_whole(monkeypatch, shape, has_means):
    monkeypatch.setattr(hyperprior, "_TILE", 2**13)
    parameters = hyperprior.ExactParameters(make_network(4, gain=20), has_means)
    parameters.quantize()
    z = hyper_latents(shape)
    expected = parameters(z) if has_means else (parameters(z),)
    seen = np.zeros(expected[0].shape, int)
    for place, found in parameters.tiles(z):
        seen[place] += 1
        for ours, all_of_them in zip(found if has_means else (found,), expected):
            np.testing.assert_array_equal(ours, all_of_them[place])
    assert (seen == 1).all()
    tiles = len(list(parameters.tiles(z)))
    assert tiles == {(1, 1, 4): 1, (23, 9, 4): 2, (8, 150, 4): 12}[shape]


@pytest.mark.parametrize("has_means", [False, True])
def test_stored_integers_decide_and_not_the_network_they_are_loaded_beside(has_means):
    parameters = hyperprior.ExactParameters(make_network(4, gain=20), has_means)
    parameters.quantize()
    other = hyperprior.ExactParameters(make_network(4, gain=5, seed=1), has_means)
    other.load_state({name: np.array(array) for name, array in parameters.state().items()})
    z = hyper_latents()
    np.testing.assert_array_equal(parameters(z), other(z))
    assert all(np.issubdtype(array.dtype, np.integer) for array in parameters.state().values())
    with pytest.raises(exact.ExactError, match=r"\[64\] as 'thresholds', \[63\] was expected"):
        other.load_state({**parameters.state(), "thresholds": np.arange(64)})


def test_scale_tables_are_stored(tables):
    other = hyperprior.ScaleTables()
    other.load_state(tables.state())
    symbols, indexes = np.arange(-4, 4).reshape(2, 2, 2), np.full((2, 2, 2), 30)
    assert tables.compress(symbols, whole(indexes)) == other.compress(symbols, whole(indexes))
