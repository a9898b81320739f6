"""Gaussians whose scale, and mean if there is one, are told by a hyperprior.

Ballé, Minnen, Singh, Hwang and Johnston, "Variational image compression with a scale hyperprior", ICLR 2018,
https://arxiv.org/abs/1802.01436; with means: Minnen, Ballé and Toderici, "Joint autoregressive and hierarchical
priors for learned image compression", NeurIPS 2018, https://arxiv.org/abs/1809.02736. As in NDIC's code

    L(v) = Phi((v - mu + 1/2) / sigma) - Phi((v - mu - 1/2) / sigma),   sigma >= 0.11,   L >= 1e-9

For coding sigma is one of 64 scales from 0.11 to 256, evenly spaced in their logarithm, each with a stored table;
which one, integer arithmetic decides (`exact.scale_index`), on both sides alike. The estimate `bits` uses sigma
itself. The nearest scale costs at most 0.006 bits a symbol more, 0.002 on average, less where sigma is small.

With means, what is coded is the integer k = round(y - mu), with the table of a Gaussian around 0, and the latent is
k + mu. So mu has to be equal on both sides to the last bit: at coding time it comes from the same integer
arithmetic, rounded to a multiple of 1/64 below 2^14, and float32 holds k + mu exactly while |k| < 2^17. Being off by
d costs at most d^2 / (2 sigma^2) nats a symbol: for d = 1/128, 0.004 bits at the smallest scale, 0.00005 at 1.
"""

import itertools
import math

import numpy as np
import tensorflow as tf
import tensorflow_compression as tfc

from dsin_tf.entropy import coder, exact
from dsin_tf.entropy.factorized import LIKELIHOOD_FLOOR, TAIL_MASS

SCALE_MIN, SCALE_MAX, SCALE_COUNT = 0.11, 256.0, 64
SCALES = np.geomspace(SCALE_MIN, SCALE_MAX, SCALE_COUNT)

# Latents coded at once, and hyper latents across: part of the file format. A KITTI image is one tile.
_TILE, _TILE_COLUMNS = 2**19, 64
_HALO = 3  # hyper latents that a scale can depend on to either side, and more

MEANS = exact.Format(fraction=6, limit=2**20)  # of means, and of latents around them


def leaky_relu(x):
    """max(x, x / 5), an activation of hyper syntheses that has its twin in integers."""
    return tf.nn.leaky_relu(x, 0.2)


def split(parameters):
    """`(sigma, mean)` of a network that gives logarithms of standard deviations and, after them, means.

    Args:
      parameters: `[..., 2 C]`.

    Returns:
      Two float32 `[..., C]`.
    """
    logarithms, mean = tf.split(tf.cast(parameters, tf.float32), 2, axis=-1)
    return tf.exp(tf.clip_by_value(logarithms, math.log(SCALE_MIN) - 1, math.log(SCALE_MAX))), mean


def round_around(values, mean):
    """`values` at a whole distance from the mean that coding uses, which is a multiple of 1/64: float32."""
    mean = tf.round(mean * 2.0**MEANS.fraction) * 2.0**-MEANS.fraction
    return tf.round(values - mean) + mean


def likelihood(values, sigma, mean=0.0):
    """L of noisy or integer-spaced values: float32, the shape of `values`, at least 1e-9.

    Where a floor holds (of sigma, of L), gradients pass only if they lead away from it.

    Args:
      values: `[...]`.
      sigma: standard deviations as the network gives them, the same shape; below 0.11 they count as 0.11.
      mean: means, the same shape, or one number.
    """
    sigma = tfc.lower_bound(tf.cast(sigma, tf.float32), SCALE_MIN)
    gaussian = tfc.NoisyNormal(loc=tf.cast(mean, tf.float32), scale=sigma)
    return tfc.lower_bound(gaussian.prob(tf.cast(values, tf.float32)), LIKELIHOOD_FLOOR)


def bits(values, sigma, mean=0.0):
    """What values `[N, h, w, C]` cost by `likelihood`: float32 `[N]`."""
    log2 = tf.math.log(likelihood(values, sigma, mean)) / np.log(2)
    return -tf.reduce_sum(log2, axis=[1, 2, 3])


class ScaleTables:
    """The 64 stored tables of Gaussians around 0, and coding with them.

    The counts are those of tensorflow-compression's `LocationScaleIndexedEntropyModel`, which is what its users
    know; the range coder is this package's.

    Attributes:
      tables: `coder.Tables`, a row a scale; None before `build_tables` or `load_state`.
    """

    def __init__(self):
        self.tables = None

    def build_tables(self):
        """Makes the tables for coding, once; from then on they are stored, never made again."""
        model = tfc.LocationScaleIndexedEntropyModel(
            tfc.NoisyNormal,
            num_scales=SCALE_COUNT,
            scale_fn=lambda index: tf.gather(tf.constant(SCALES, tf.float32), tf.cast(index, tf.int32)),
            coding_rank=3,
            compression=True,
            tail_mass=TAIL_MASS,
            range_coder_precision=coder.PRECISION,
        )
        # One vector: for each scale the negated precision and then its cumulative counts, 0 ... 2^precision, the
        # last step being that of the escape.
        numbers = model.cdf.numpy()
        cumulatives = np.split(numbers, np.flatnonzero(numbers < 0)[1:])
        rows = [np.diff(cumulative[1:]) for cumulative in cumulatives]
        self.tables = coder.Tables.from_rows(rows, model.cdf_offset.numpy())

    def compress(self, symbols, tiles):
        """Codes integers as bytes.

        Args:
          symbols: `[h, w, C]`.
          tiles: pairs (place, indexes) that cover the symbols: two slices, and for each symbol there 0 ... 63, its
            scale. Any iterable; encoder and decoder must tile alike.
        """
        encoder = coder.Encoder()
        for place, indexes in tiles:
            encoder.encode(symbols[place], indexes, self.tables)
        return encoder.finish()

    def decompress(self, data, shape, tiles):
        """The integers int32 `[h, w, C]`, which is `shape`, that `compress` made `data` of with the same tiles.

        Raises:
          bitstream.PayloadError: `data` is not what `compress` writes.
        """
        coder.check_length(data, math.prod(shape), self.tables)  # before the first tile is computed
        decoder = coder.Decoder(data)
        symbols = np.zeros(shape, np.int32)
        for place, indexes in tiles:
            symbols[place] = decoder.decode(indexes, self.tables)
        decoder.finish()
        return symbols

    def state(self):
        """Every number that decoding depends on: `{name: array}`."""
        return self.tables.state()

    def load_state(self, state):
        """Takes over what `state` returned."""
        self.tables = coder.Tables.from_state(state)


class ExactParameters:
    """A hyper synthesis in integer arithmetic: which table, and which mean, each latent is coded with.

    Args:
      network: the trained hyper synthesis, a Keras Sequential of tfc.SignalConv2D layers with ReLU, leaky ReLU or no
        activation. It gives sigma, or with means twice the channels: the logarithm of sigma first, then mu.
      has_means: whether it does.

    Attributes:
      network: its twin in integers, an `exact.Network`; None before `quantize` or `load_state`.
    """

    def __init__(self, network, has_means=False):
        self._float_network = network
        self._has_means = has_means
        self.network = None
        self._thresholds = None

    def quantize(self):
        """Makes the integers from the network's weights, once; from then on they are stored, never made again."""
        self.network = integer_network(self._float_network)
        self._thresholds = exact.scale_thresholds(SCALES, self.network.output.fraction, logarithms=self._has_means)

    def __call__(self, z):
        """The coder's side of the hyperprior.

        Args:
          z: integers `[h, w, C]`, the hyper latents.

        Returns:
          `indexes`, int32 `[4 h, 4 w, C']` for strides of 4: rows of `ScaleTables`. With means `(indexes, means)`,
          means being float32 of the same shape.
        """
        return self._parameters(self.network(np.asarray(z)[None])[0])

    def tiles(self, z):
        """What a call returns in tiles, `((rows, columns), part)` with slices: the same numbers.

        A large image thus takes little memory, and a damaged one ends with the tile in which that shows.
        """
        for place, output in tiles(self.network, z):
            yield place, self._parameters(output)

    def _parameters(self, output):
        if not self._has_means:
            return exact.scale_index(output, self._thresholds)
        indexes, mean = index_and_mean(output, self.network.output, self._thresholds)
        return indexes, exact.dequantize(mean, MEANS).astype(np.float32)

    def state(self):
        """Every number that decoding depends on: `{name: array}`."""
        return {**self.network.state(), "thresholds": self._thresholds}

    def load_state(self, state):
        """Takes over what `state` returned."""
        network = integer_network(self._float_network)
        network.load_state(state)
        self.network, self._thresholds = network, exact.take(state, "thresholds", (SCALE_COUNT - 1,))


def tiles(network, z):
    """What a hyper synthesis in integers gives, in tiles: the same numbers as at once, in less memory.

    Args:
      network: an `exact.Network` that makes 4 x 4 places of each one.
      z: integers `[h, w, C]`.

    Yields:
      `((rows, columns), output)`: slices that cover `[4 h, 4 w]`, and float64 integers.
    """
    z = np.asarray(z)
    height, width, channels = z.shape
    columns = min(width, _TILE_COLUMNS)
    rows = max(_TILE // (16 * columns * channels), 1)
    for top, left in itertools.product(range(0, height, rows), range(0, width, columns)):
        bottom, right = min(top + rows, height), min(left + columns, width)
        above, before = min(top, _HALO), min(left, _HALO)
        output = network(z[None, top - above : bottom + _HALO, left - before : right + _HALO])[0]
        wanted = output[4 * above :, 4 * before :][: 4 * (bottom - top), : 4 * (right - left)]
        yield (slice(4 * top, 4 * bottom), slice(4 * left, 4 * right)), wanted


def index_and_mean(output, format, thresholds):
    """What a latent is coded with, by integers `[..., 2 C]` of `format`: logarithms of sigma, then means.

    Returns:
      `(index, mean)`: int32 rows of `ScaleTables`; float64 integers of Format `MEANS`.
    """
    logarithms, mean = np.split(output, 2, axis=-1)
    return exact.scale_index(logarithms, thresholds), exact.convert(mean, format, MEANS)


def integer_network(network):
    """The exact twin of a Sequential of SignalConv2D layers."""
    layers = []
    for layer in network.layers:
        # The variables, not `layer.kernel`, which mixed precision rounds to 16 bits.
        kernel = layer.kernel_parameter.numpy()
        bias = layer.bias_parameter.numpy() if layer.use_bias else None
        if layer.corr:
            layers.append(exact.Conv(kernel, bias, strides=layer.strides_down[0]))
        else:
            layers.append(exact.TransposedConv(kernel, bias, strides=layer.strides_up[0]))
        if layer.activation is tf.nn.relu:
            layers.append(exact.Relu())
        elif layer.activation is leaky_relu:
            layers.append(exact.LeakyRelu(0.2))
    return exact.Network(layers)
