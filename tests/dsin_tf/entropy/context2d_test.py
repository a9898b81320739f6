import functools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from dsin_tf import bitstream, layers
from dsin_tf.entropy import context2d, exact, hyperprior
from dsin_tf.models import lee2019

ROOT = Path(__file__).resolve().parents[3]
CHANNELS, FILTERS = 6, 5  # of latents, of hyper latents
BEFORE = 12  # places of a 5x5 window that come before its centre in raster order


@functools.cache
def make_tables():
    tables = hyperprior.ScaleTables()
    tables.build_tables()
    return tables


class Made:
    """A hyper synthesis, a context model that makes use of both its inputs, and their twin in integers."""

    def __init__(self, seed=0, channels=CHANNELS, log_sigma=0.5):
        make = layers.Maker(seed)
        self.synthesis = lee2019.hyper_synthesis(make, FILTERS, channels)
        self.synthesis.build((None, None, None, FILTERS))
        self.context = context2d.Context2D(channels, seed)
        rng = np.random.default_rng(seed)
        for bias in self.context.biases:
            bias.assign(rng.normal(scale=0.3, size=bias.shape))
        self.context.kernels[0].assign(0.4 * self.context.kernels[0])  # else what is sampled one by one explodes
        self.context.kernels[-1].assign(1.5 * self.context.kernels[-1])
        self.context.biases[-1][:channels].assign(rng.normal(log_sigma, 0.5, size=channels))
        self.twin = context2d.ExactContext2D(self.synthesis, self.context, make_tables())
        self.twin.quantize()

    def features(self, z):
        return self.synthesis(z[None].astype(np.float32))[0].numpy()


@pytest.fixture(scope="module")
def made():
    return Made()


def draw_z(height, width, seed=0):
    return np.random.default_rng(seed).normal(scale=2, size=(height, width, FILTERS)).round().astype(np.int32)


def draw_latents(z, seed=0, channels=CHANNELS):
    return np.random.default_rng(seed).normal(scale=2, size=(4 * z.shape[0], 4 * z.shape[1], channels))


def symbols(values):
    return np.clip(np.round(values[0]), -(2**20) + 1, 2**20 - 1).astype(np.int32)


def place_by_place(context, features, value):
    """What a decoder computes, in raster order and float64: latents and parameters `[h, w, ...]`.

    Args:
      context: a `Context2D`.
      features: `[h, w, 2 C]`.
      value: gives the latents `[C]` of a place (row, column) by their sigma and mean.
    """
    height, width, channels = features.shape[0], features.shape[1], features.shape[2] // 2
    (first, *dense), (bias, *biases) = (
        [w.numpy().astype(float) for w in ws] for ws in (context.kernels, context.biases)
    )
    first = first.reshape(25, channels, -1)[:BEFORE].reshape(BEFORE * channels, -1)
    latents = np.zeros((height + 2, width + 4, channels))  # two rows above, two columns to either side
    parameters = np.zeros(features.shape)
    for row, column in np.ndindex(height, width):
        window = latents[row : row + 3, column : column + 5].reshape(15, channels)[:BEFORE]
        x = np.concatenate([window.ravel() @ first + bias, features[row, column]])
        for kernel, b in zip(dense[:-1], biases):
            x = x @ kernel + b
            x = np.maximum(x, 0.2 * x)
        x = parameters[row, column] = x @ dense[-1] + biases[-1]
        latents[row + 2, column + 2] = value((row, column), np.exp(x[:channels]), x[channels:])
    return latents[2:, 2:-2], parameters


def sampled(context, features, seed=0):
    """Latents as the model expects them: float32 `[h, w, C]`."""
    rng = np.random.default_rng(seed)

    def value(place, sigma, mean):
        return np.round(rng.normal(scale=np.maximum(sigma, 0.11))) + np.round(64 * mean) / 64

    return np.float32(place_by_place(context, features, value)[0])


def coded(twin, latents, z):
    """What the coder makes of each place: latents (k + mean) and means, float64, and rows of the tables."""
    found, means = np.zeros(latents.shape), np.zeros(latents.shape)
    indexes = np.zeros(latents.shape, int)

    def code(place, rows, mean):
        k = symbols(latents[place][None] - mean)
        found[place], means[place], indexes[place] = k + mean, mean, rows
        return k

    twin._run(z, code)
    return found, means, indexes


def visits(twin, z):
    """The places in the order of coding: a list of arrays `[n, 2]`, one a front."""
    fronts = []

    def code(place, rows, mean):
        fronts.append(np.stack(place, axis=1))
        return np.zeros(rows.shape, int)

    twin._run(z, code)
    return fronts


def test_a_latent_changes_what_comes_after_it_in_raster_order_within_the_window_only(made):
    """Causality by perturbation, of every place."""
    rng, (height, width) = np.random.default_rng(0), (6, 7)
    latents, features = rng.normal(size=(height, width, CHANNELS)), rng.normal(size=(height, width, 2 * CHANNELS))

    def parameters(latents):
        return made.context(np.float32(latents)[None], np.float32(features)[None])[0].numpy()

    plain = parameters(latents)
    for place in np.ndindex(height, width):
        other = latents.copy()
        other[place] += 3
        changed = np.argwhere(np.any(parameters(other) != plain, axis=-1))
        window = {(place[0] + down, place[1] + right) for down in range(3) for right in range(-2, 3)}
        after = {at for at in window if at > place and at[0] < height and 0 <= at[1] < width}
        assert set(map(tuple, changed.tolist())) == after


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (6, 1), (2, 2), (5, 9), (9, 4)])
def test_the_decoder_in_a_graph_goes_place_by_place(made, shape):
    rng = np.random.default_rng(1)
    latents = rng.normal(scale=3, size=(2, *shape, CHANNELS)).astype(np.float32)
    features = rng.normal(size=(2, *shape, 2 * CHANNELS)).astype(np.float32)
    unknown = [tf.TensorSpec([None, None, None, size], tf.float32) for size in (CHANNELS, 2 * CHANNELS)]
    found, parameters = tf.function(made.context.decode, input_signature=unknown)(latents, features)
    for i in range(2):
        expected, expected_parameters = place_by_place(
            made.context,
            features[i],
            lambda place, sigma, mean, i=i: (
                np.round(latents[i][place] - np.round(64 * mean) / 64) + np.round(64 * mean) / 64
            ),
        )
        np.testing.assert_array_equal(found[i], expected)
        np.testing.assert_allclose(parameters[i], expected_parameters, rtol=1e-4, atol=1e-4)
    # With all of them known, the convolution gives the same at once.
    np.testing.assert_allclose(made.context(found, features), parameters, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(made.context.decode(latents, features)[0], found)


def test_places_are_coded_front_by_front_and_none_before_what_it_reads(made):
    fronts = visits(made.twin, draw_z(2, 3))
    assert len(fronts) == 3 * 7 + 12
    for t, front in enumerate(fronts):
        rows, columns = front.T
        np.testing.assert_array_equal(3 * rows + columns, t)
        assert (np.diff(rows) > 0).all()
    assert sorted(map(tuple, np.concatenate(fronts).tolist())) == list(np.ndindex(8, 12))


def test_no_smaller_number_orders_the_fronts():
    taps = np.array(list(np.ndindex(5, 5)))[:BEFORE] - 2
    assert [step for step in range(6) if (taps @ [step, 1] < 0).all()][0] == 3
    assert (taps @ [3, 1]).min() == -8


@pytest.mark.parametrize("tile", [2**19, 2**9])
def test_fronts_compute_what_the_convolution_gives_in_integers(made, monkeypatch, tile):
    monkeypatch.setattr(hyperprior, "_TILE", tile)
    monkeypatch.setattr(hyperprior, "_TILE_COLUMNS", 3)
    z = draw_z(5, 7)
    found, means, indexes = coded(made.twin, draw_latents(z), z)
    kernels, biases = ([w.numpy() for w in ws] for ws in (made.context.kernels, made.context.biases))
    before = (np.arange(25) < BEFORE).reshape(5, 5, 1, 1)
    conv = exact.Network([exact.Conv(kernels[0], biases[0], mask=before)], input=hyperprior.MEANS)
    dense = [exact.Conv(kernel, bias) for kernel, bias in zip(kernels[1:], biases[1:])]
    dense = [dense[0], exact.LeakyRelu(0.2), dense[1], exact.LeakyRelu(0.2), dense[2]]
    dense = exact.Network(dense, input=exact.ACTIVATIONS)
    features = hyperprior.integer_network(made.synthesis)(z[None])
    # Over the borders of tiles the convolution sees zeros.
    tiles = [place for place, _ in hyperprior.tiles(hyperprior.integer_network(made.synthesis), z)]
    assert len(tiles) == {2**19: 3, 2**9: 9}[tile]
    for rows, columns in tiles:
        place = np.s_[:, rows, columns]
        parameters = dense(np.concatenate([conv(64 * found[None][place]), features[place]], axis=-1))[0]
        logarithms, expected = np.split(parameters, 2, axis=-1)
        np.testing.assert_array_equal(means[place[1:]], np.floor(expected / 64 + 0.5) / 64)  # of 2**-12
        edges = np.log(hyperprior.SCALES[1:] * hyperprior.SCALES[:-1]) / 2
        chosen = (logarithms[..., None] / 4096 >= edges).sum(axis=-1)
        np.testing.assert_array_equal(indexes[place[1:]], chosen)


@pytest.mark.parametrize("tile", [2**19, 2**9])
@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (5, 1), (3, 4)])
def test_decompress_gives_back_what_compress_coded(made, monkeypatch, shape, tile):
    monkeypatch.setattr(hyperprior, "_TILE", tile)
    z = draw_z(*shape)
    latents = draw_latents(z, seed=2)
    latents[0, 0, 0], latents[-1, -1, -1] = 70000.3, -3000.7  # escapes, and beyond what the context model is told
    decoded = made.twin.decompress(made.twin.compress(latents, z, symbols), latents.shape, z)
    expected, means, _ = coded(made.twin, latents, z)
    assert decoded.dtype == np.float32
    np.testing.assert_array_equal(decoded, expected)
    np.testing.assert_array_equal(64 * means, np.round(64 * means))
    assert np.abs(decoded - latents).max() <= 0.5 + 1e-6


def test_latents_beyond_all_limits_saturate(made):
    z = draw_z(1, 2)
    latents = np.full((4, 8, CHANNELS), 1e30) * np.sign(draw_latents(z))
    decoded = made.twin.decompress(made.twin.compress(latents, z, symbols), latents.shape, z)
    np.testing.assert_array_equal(np.sign(decoded), np.sign(latents))
    assert (np.abs(decoded) >= 2**20 - 2**14).all()


def test_integers_follow_the_floats(made):
    z = draw_z(4, 6)
    found, means, indexes = coded(made.twin, sampled(made.context, made.features(z)), z)
    parameters = made.context(np.float32(found)[None], made.features(z)[None])[0]
    sigma, expected = hyperprior.split(parameters)
    np.testing.assert_allclose(means, expected, atol=1 / 128 + 2e-3)
    nearest = np.abs(np.log(sigma)[..., None] - np.log(hyperprior.SCALES)).argmin(axis=-1)
    assert len(np.unique(indexes)) > 10
    assert np.mean(indexes != nearest) < 0.02
    assert np.abs(indexes - nearest).max() <= 1


@pytest.mark.parametrize("log_sigma", [1.0, -0.5, -2.0])  # the last: almost all is 0
def test_bytes_are_the_estimate(log_sigma):
    made, z = Made(seed=3, log_sigma=log_sigma), draw_z(8, 10)
    latents = sampled(made.context, made.features(z))
    decoded, parameters = made.context.decode(latents[None], made.features(z)[None])
    estimate = float(hyperprior.bits(decoded, *hyperprior.split(parameters))[0]) / 8
    assert abs(len(made.twin.compress(latents, z, symbols)) - estimate) <= 0.01 * estimate + 4


def test_latents_before_tell_of_the_next(made):
    """Without them the same latents would cost more: the context is of use, to floats as to integers."""
    z = draw_z(8, 10)
    latents = sampled(made.context, made.features(z))
    blind = Made()
    blind.context.kernels[0].assign(tf.zeros_like(blind.context.kernels[0]))
    blind.twin.quantize()
    sizes = [len(each.twin.compress(latents, z, symbols)) for each in (made, blind)]
    assert sizes[0] < 0.97 * sizes[1]


def test_images_of_a_batch_do_not_touch_each_other(made):
    rng = np.random.default_rng(4)
    latents = rng.normal(scale=3, size=(3, 8, 8, CHANNELS)).astype(np.float32)
    features = rng.normal(size=(3, 8, 8, 2 * CHANNELS)).astype(np.float32)
    together = made.context.decode(latents, features)
    for i in range(3):
        alone = made.context.decode(latents[i : i + 1], features[i : i + 1])
        np.testing.assert_array_equal(together[0][i], alone[0][0])
        np.testing.assert_allclose(together[1][i], alone[1][0], atol=1e-5)


def test_gradients_reach_what_the_mask_leaves(made):
    rng = np.random.default_rng(5)
    latents, features = (rng.normal(size=(1, 6, 6, n * CHANNELS)).astype(np.float32) for n in (1, 2))
    with tf.GradientTape() as tape:
        cost = tf.reduce_sum(hyperprior.bits(latents, *hyperprior.split(made.context(latents, features))))
    kernel, *others = tape.gradient(cost, made.context.trainable_variables)
    reached = np.any(kernel.numpy().reshape(25, -1) != 0, axis=1)
    np.testing.assert_array_equal(reached, np.arange(25) < BEFORE)
    assert all(np.any(gradient) for gradient in others)


def test_stored_integers_write_and_read_the_same_bytes(made):
    z = draw_z(3, 3)
    latents, other = draw_latents(z), Made(seed=9)
    data = made.twin.compress(latents, z, symbols)
    assert other.twin.compress(latents, z, symbols) != data
    other.twin.load_state({name: np.array(array) for name, array in made.twin.state().items()})
    assert other.twin.compress(latents, z, symbols) == data
    assert other.twin.state().keys() == made.twin.state().keys()
    assert all(np.issubdtype(array.dtype, np.integer) for array in made.twin.state().values())


def test_numbers_of_another_network_are_refused(made):
    state = made.twin.state()
    for part in ("hyper.", "conv.", "dense."):
        with pytest.raises(exact.ExactError, match="nothing"):
            Made().twin.load_state({name: array for name, array in state.items() if not name.startswith(part)})
    with pytest.raises(exact.ExactError, match="'kernel'"):
        Made(channels=7).twin.load_state(state)
    with pytest.raises(exact.ExactError, match=r"\[62\] as 'thresholds', \[63\] was expected"):
        Made().twin.load_state({**state, "thresholds": state["thresholds"][1:]})


def test_damaged_strings_are_refused_or_become_other_latents(made):
    z = draw_z(3, 4)
    latents = draw_latents(z)
    data, refused, rng = made.twin.compress(latents, z, symbols), 0, np.random.default_rng(0)
    whole = made.twin.decompress(data, latents.shape, z)
    for _ in range(40):
        damaged = bytearray(data)
        damaged[rng.integers(len(data))] ^= 1 << rng.integers(8)
        try:
            assert not np.array_equal(made.twin.decompress(bytes(damaged), latents.shape, z), whole)
        except bitstream.PayloadError:
            refused += 1
    assert refused > 20
    for damaged in (b"", data[:-3], data + b"\1\2\3"):
        with pytest.raises(bitstream.PayloadError):
            made.twin.decompress(damaged, latents.shape, z)


def test_latents_that_no_string_so_short_can_hold_are_refused_before_they_are_made(made):
    with pytest.raises(bitstream.PayloadError, match="takes? .* bytes at the least"):
        made.twin.decompress(b"1234", (2**18, 2**18, CHANNELS), z=None)


def decode(folder):
    """In another process: prints whether the string gives the latents, and these the string."""
    twin = Made(seed=1, channels=48).twin
    with np.load(folder / "state.npz") as state:
        twin.load_state(dict(state))
    with np.load(folder / "latents.npz") as known:
        z, latents, decoded = known["z"], known["latents"], known["decoded"]
    data = (folder / "data").read_bytes()
    print(np.array_equal(twin.decompress(data, latents.shape, z), decoded), twin.compress(latents, z, symbols) == data)


@pytest.mark.parametrize(("threads", "core"), [("1", "Haswell"), ("2", "Sandybridge")])
def test_other_matrix_routines_and_threads_give_the_same(tmp_path, threads, core):
    twin, z = Made(channels=48).twin, draw_z(5, 10)
    latents = draw_latents(z, channels=48)
    data = twin.compress(latents, z, symbols)
    np.savez(tmp_path / "state.npz", **twin.state())
    np.savez(tmp_path / "latents.npz", z=z, latents=latents, decoded=twin.decompress(data, latents.shape, z))
    (tmp_path / "data").write_bytes(data)
    settings = {"OPENBLAS_NUM_THREADS": threads, "OPENBLAS_CORETYPE": core, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, __file__, str(tmp_path)]
    done = subprocess.run(command, env={**os.environ, **settings}, capture_output=True, text=True)
    assert done.stdout == "True True\n", done.stderr


if __name__ == "__main__":
    decode(Path(sys.argv[1]))
