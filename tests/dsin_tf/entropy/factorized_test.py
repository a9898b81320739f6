import numpy as np
import pytest
import tensorflow as tf

from dsin_tf import bitstream
from dsin_tf.entropy import factorized


def make_prior(channels=3, scale=1.0, shift=0.0):
    """A prior with random weights in place of the smooth initial ones, `scale` times as narrow, moved by `shift`."""
    prior = factorized.FactorizedPrior(channels, seed=1)
    rng = np.random.default_rng(2)
    for variable in prior.trainable_variables:
        kind = variable.name.split("/")[-1].split("_")[0]
        if kind in ("matrix", "factor"):
            variable.assign_add(rng.normal(scale=0.3, size=variable.shape))
        if "matrix_0" in variable.name:
            variable.assign(tf.math.log(tf.math.expm1(scale * tf.nn.softplus(variable))))
        if "bias_0" in variable.name:
            variable.assign_sub(shift * tf.nn.softplus(weights(prior)["matrix_0"]))
    return prior


def weights(prior):
    return {variable.name.split("/")[-1].split(":")[0]: variable.numpy() for variable in prior.trainable_variables}


def cumulative_logits(prior, values):
    """The network of appendix 6.1 in float64, channel by channel: values [n, C] -> [n, C]."""
    w = {name: value.astype(np.float64) for name, value in weights(prior).items()}
    result = np.zeros(values.shape)
    for channel in range(values.shape[1]):
        u = values[None, :, channel].astype(np.float64)  # [r, n]
        for k in range(4):
            u = np.log1p(np.exp(w[f"matrix_{k}"][channel])) @ u + w[f"bias_{k}"][channel]
            if k < 3:
                u = u + np.tanh(w[f"factor_{k}"][channel]) * np.tanh(u)
        result[:, channel] = u[0]
    return result


def likelihood(prior, values):
    """L by its definition, with the difference taken where float64 has the digits."""
    lower, upper = cumulative_logits(prior, values - 0.5), cumulative_logits(prior, values + 0.5)
    sign = np.where(lower + upper > 0, -1.0, 1.0)
    sigmoid = [1 / (1 + np.exp(np.minimum(-sign * logits, 700))) for logits in (upper, lower)]
    return np.maximum(np.abs(sigmoid[0] - sigmoid[1]), 1e-9)


def test_43_numbers_a_channel():
    prior = factorized.FactorizedPrior(5, seed=0)
    assert sum(np.prod(variable.shape) for variable in prior.trainable_variables) == 5 * 43


def test_initial_weights_are_those_of_the_paper():
    w = weights(factorized.FactorizedPrior(4, seed=0))
    for k, width in enumerate((3, 3, 3, 1)):
        expected = np.log(np.expm1(1 / (10 ** (1 / 4) * width)))
        np.testing.assert_allclose(w[f"matrix_{k}"], expected, rtol=1e-5)
        assert np.abs(w[f"bias_{k}"]).max() <= 0.5
    assert all(not w[f"factor_{k}"].any() for k in range(3))
    np.testing.assert_array_equal(w["bias_1"], weights(factorized.FactorizedPrior(4, seed=0))["bias_1"])
    assert not np.array_equal(w["bias_1"], weights(factorized.FactorizedPrior(4, seed=1))["bias_1"])


@pytest.mark.parametrize("shift", [0.0, 4.0])
def test_likelihood_is_that_of_the_network_in_float64(shift):
    prior = make_prior(shift=shift)
    values = np.random.default_rng(3).uniform(-40, 40, (50, 3)).astype(np.float32)
    result = prior.likelihood(values.reshape(1, 5, 10, 3)).numpy().reshape(50, 3)
    np.testing.assert_allclose(result, likelihood(prior, values), rtol=3e-3, atol=1e-12)


def test_rare_values_keep_their_digits():
    prior = make_prior()
    values = np.float32([[100.0], [140.0], [-100.0], [-140.0]]) * np.ones((1, 3), np.float32)
    expected = likelihood(prior, values)
    assert ((expected > 1e-9) & (expected < 1e-6)).any()
    np.testing.assert_allclose(prior.likelihood(values), expected, rtol=1e-3, atol=1e-12)


def test_likelihood_has_a_floor_that_lets_helpful_gradients_pass():
    prior = make_prior()
    value = tf.fill([1, 3], 10000.0)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(value)
        likelihoods = prior.likelihood(value)
        cost, gain = -tf.reduce_sum(tf.math.log(likelihoods)), tf.reduce_sum(likelihoods)
    np.testing.assert_array_equal(likelihoods, np.full((1, 3), 1e-9, np.float32))
    # Raising a likelihood lowers the cost, so the cost's gradient reaches the weights; a gain's would not help.
    assert all(gradient is not None for gradient in tape.gradient(cost, prior.trainable_variables))
    assert not np.any(tape.gradient(gain, value))


def test_bits_are_summed_over_an_image():
    prior = make_prior()
    values = np.random.default_rng(4).integers(-9, 9, (2, 3, 4, 3)).astype(np.float32)
    expected = -np.log2(likelihood(prior, values.reshape(-1, 3))).reshape(2, -1).sum(axis=1)
    np.testing.assert_allclose(prior.bits(values), expected, rtol=1e-4)


def test_likelihoods_of_integers_sum_to_one():
    integers = np.arange(-300, 301, dtype=np.float32)[:, None] * np.ones((1, 3), np.float32)
    np.testing.assert_allclose(make_prior().likelihood(integers).numpy().sum(axis=0), 1, atol=1e-4)


@pytest.mark.parametrize(("scale", "shift"), [(1, 0), (10, 0), (100, 0.4), (0.3, 0), (1, 150), (3, -37.3)])
def test_tables_cost_what_the_density_says(scale, shift):
    prior = make_prior(scale=scale, shift=shift)
    prior.build_tables()
    tables = prior.tables
    assert len(tables) == 3
    integers = np.arange(-8000, 8001)
    pmf = likelihood(prior, integers[:, None] * np.ones(3))
    pmf[pmf <= 1e-9] = 0
    for channel in range(3):
        cost = tables.bits(integers, np.full(len(integers), channel))
        entropy = -(pmf[:, channel] * np.log2(np.maximum(pmf[:, channel], 1e-30))).sum()
        assert (pmf[:, channel] * cost).sum() <= 1.003 * entropy + 2e-3


def test_a_density_far_from_every_integer_that_is_coded_still_has_a_table():
    prior = make_prior(shift=1e6)
    prior.build_tables()
    symbols = np.array([[[0, 5, -7]]], np.int32)
    np.testing.assert_array_equal(prior.decompress(prior.compress(symbols), (1, 1)), symbols)


def test_decompress_gives_back_what_compress_took():
    prior = make_prior()
    prior.build_tables()
    symbols = np.random.default_rng(5).normal(scale=8, size=(4, 6, 3)).round().astype(np.int32)
    symbols[0, 0] = [5000, -7000, 2**20 - 1]  # escapes
    data = prior.compress(symbols)
    decoded = prior.decompress(data, (4, 6))
    assert decoded.dtype == np.int32
    np.testing.assert_array_equal(decoded, symbols)
    with pytest.raises(bitstream.PayloadError):
        prior.decompress(data, (4, 7))


def test_compressed_size_is_the_estimate():
    prior = make_prior()
    prior.build_tables()
    rng = np.random.default_rng(6)
    integers = np.arange(-300, 301)
    pmf = likelihood(prior, integers[:, None] * np.ones(3))
    drawn = [rng.choice(integers, 2000, p=column / column.sum()) for column in pmf.T]
    symbols = np.stack(drawn, axis=-1).reshape(40, 50, 3)
    estimate = float(prior.bits(symbols[None].astype(np.float32))[0]) / 8
    assert abs(len(prior.compress(symbols)) - estimate) < 0.002 * estimate + 2


def test_another_prior_codes_with_stored_tables():
    prior, other = make_prior(), factorized.FactorizedPrior(3, seed=9)
    prior.build_tables()
    other.load_state({name: array.copy() for name, array in prior.state().items()})
    symbols = np.arange(12).reshape(2, 2, 3) - 6
    assert prior.compress(symbols) == other.compress(symbols)
