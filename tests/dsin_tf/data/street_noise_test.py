"""The hashes and noise that every Street picture rests on."""

import numpy as np
import pytest

from dsin_tf.data.street import noise


def splitmix64(state):
    """The published SplitMix64 step, in plain integers: (state after it, output)."""
    mask = 2**64 - 1
    state = (state + 0x9E3779B97F4A7C15) & mask
    z = state
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return state, z ^ (z >> 31)


@pytest.mark.parametrize("value", [0, 1, 12345, 2**64 - 1])
def test_mix_of_one_integer_is_splitmix64(value):
    assert noise.mix(value) == splitmix64(value)[1]


def test_mix_depends_on_order_and_length():
    keys = {noise.mix(*key) for key in ((1, 2), (2, 1), (1,), (2,), (1, 2, 0), (0, 1, 2))}
    assert len(keys) == 6


def test_stream_is_repeatable_and_within_its_limits():
    first, second = noise.Random(3, 4), noise.Random(3, 4)
    numbers = [first.uniform(-2, 5) for _ in range(500)]
    assert numbers == [second.uniform(-2, 5) for _ in range(500)]
    assert min(numbers) >= -2
    assert max(numbers) < 5
    assert abs(np.mean(numbers) - 1.5) < 0.3
    assert {first.integer(3, 6) for _ in range(100)} == {3, 4, 5}


def test_hash_unit_is_uniform_and_differs_with_each_index():
    values = noise.hash_unit(7, np.arange(200)[:, None], np.arange(300)[None, :])
    assert values.dtype == np.float32
    assert values.shape == (200, 300)
    counts = np.histogram(values, bins=10, range=(0, 1))[0]
    assert np.all(np.abs(counts - 6000) < 400)
    assert abs(np.corrcoef(values[:, :-1].ravel(), values[:, 1:].ravel())[0, 1]) < 0.02
    assert not np.array_equal(values, noise.hash_unit(8, np.arange(200)[:, None], np.arange(300)[None, :]))


def test_hash_takes_negative_and_whole_float_indices():
    assert noise.hash_bits(1, np.array([-3])) == noise.hash_bits(1, np.array([-3.0], np.float32))
    assert noise.hash_bits(1, np.array([-3])) != noise.hash_bits(1, np.array([3]))


def test_value_noise_passes_through_its_lattice_and_repeats():
    field = noise.value_noise(64, (4, 8), 5)
    lattice = noise.hash_unit(5, np.arange(4)[:, None], np.arange(8)[None, :])
    np.testing.assert_array_equal(field[::16, ::8], lattice)
    # Across the edge it is as smooth as inside.
    assert np.abs(field[0] - field[-1]).max() <= np.abs(np.diff(field, axis=0)).max() + 1e-6
