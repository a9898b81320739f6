"""The factorised prior: one learned density a channel, the same everywhere in the image.

Ballé, Minnen, Singh, Hwang and Johnston, "Variational image compression with a scale hyperprior", ICLR 2018,
appendix 6.1, https://arxiv.org/abs/1802.01436, with the sizes of NDIC's code: the cumulative of each channel is a
network 1-3-3-3-1 that only grows, and

    L(v) = c(v + 1/2) - c(v - 1/2)

is the probability of the integer v as well as the density of a value with uniform noise. Values are rounded to plain
integers, no median is subtracted, and no likelihood counts as less than 1e-9.

NDIC's code takes the difference on the side of the cumulative where both numbers are close to 1, which leaves
nothing of likelihoods below 1e-6. Here it is taken on the other side.
"""

import numpy as np
import tensorflow as tf
import tensorflow_compression as tfc

from dsin_tf.entropy import coder

LIKELIHOOD_FLOOR = 1e-9
# What the tables leave to the escape symbol, on both sides together: 8 counts of 65536. Less would spend counts on
# symbols that never come, more would send symbols that do come the long way.
TAIL_MASS = 2**-13

_WIDEST = 2**13  # tables reach no further than this from 0


class FactorizedPrior(tf.keras.layers.Layer):
    """A density for each channel.

    Args:
      channels: C.
      seed: of the initial weights.
      name: of the layer.

    Attributes:
      tables: `coder.Tables`, a row a channel; None before `build_tables` or `load_state`.
    """

    def __init__(self, channels, seed, name="prior"):
        super().__init__(name=name, dtype="float32")  # also under mixed precision
        self._channels = channels
        self._density = tfc.NoisyDeepFactorized(batch_shape=(channels,), num_filters=(3, 3, 3), init_scale=10)
        biases = [variable for variable in self.trainable_variables if "bias" in variable.name]
        for i, bias in enumerate(biases):
            # What tensorflow-compression draws, but from a seed.
            bias.assign(tf.random.stateless_uniform(bias.shape, [seed, i], -0.5, 0.5))
        self.tables = None

    def likelihood(self, values):
        """L of noisy or integer values `[..., C]`: float32, the same shape, at least 1e-9.

        Where the floor holds, gradients pass only if they raise the likelihood.
        """
        return tfc.lower_bound(self._density.prob(tf.cast(values, tf.float32)), LIKELIHOOD_FLOOR)

    def bits(self, values):
        """What values `[N, h, w, C]` cost by this density: float32 `[N]`."""
        log2 = tf.math.log(self.likelihood(values)) / np.log(2)
        return -tf.reduce_sum(log2, axis=[1, 2, 3])

    def build_tables(self):
        """Makes the tables for coding, once; from then on they are stored, never made again.

        (tensorflow-compression finds the same tails by gradient steps of at most 0.1, which takes it seconds.)
        """
        radius = 16
        while radius < _WIDEST and self._tails(radius) > TAIL_MASS / 2:
            radius *= 2
        symbols = np.arange(-radius, radius + 1)
        pmf = self._density.prob(_column(symbols)).numpy()  # [2 radius + 1, C], as all below
        inside = (self._density.base.cdf(_column(symbols + 0.5)).numpy() > TAIL_MASS / 2) & (
            self._density.base.survival_function(_column(symbols - 0.5)).numpy() > TAIL_MASS / 2
        )
        inside[radius] |= ~inside.any(axis=0)  # a density that is all beyond the radius keeps its 0
        kept = [np.flatnonzero(column) for column in inside.T]
        pmfs = [pmf[rows, channel] for channel, rows in enumerate(kept)]
        self.tables = coder.Tables.from_pmfs(pmfs, [symbols[rows[0]] for rows in kept])

    def compress(self, symbols):
        """Codes integers `[h, w, C]` as bytes."""
        encoder = coder.Encoder()
        for channel in range(self._channels):
            encoder.encode(symbols[..., channel], self._rows(symbols.shape[:2], channel), self.tables)
        return encoder.finish()

    def decompress(self, data, shape):
        """The integers int32 `[h, w, C]` that `compress` made `data` of; `shape` is `(h, w)`.

        Channel by channel, so that data too short for the shape are found out before there is an array for all of it.

        Raises:
          bitstream.PayloadError: `data` is not what `compress` writes.
        """
        coder.check_length(data, self._channels * shape[0] * shape[1], self.tables)
        decoder = coder.Decoder(data)
        channels = [decoder.decode(self._rows(shape, channel), self.tables) for channel in range(self._channels)]
        decoder.finish()
        return np.stack(channels, axis=-1)

    def state(self):
        """Every number that decoding depends on: `{name: array}`."""
        return self.tables.state()

    def load_state(self, state):
        """Takes over what `state` returned."""
        self.tables = coder.Tables.from_state(state)

    @staticmethod
    def _rows(shape, channel):
        """The row of each symbol of a channel: the channel's number."""
        return np.broadcast_to(np.int32(channel), shape)

    def _tails(self, radius):
        """The largest mass that any channel has on one side beyond +-(radius + 1/2)."""
        below = self._density.base.cdf(_column([-radius - 0.5]))
        above = self._density.base.survival_function(_column([radius + 0.5]))
        return max(float(tf.reduce_max(below)), float(tf.reduce_max(above)))


def _column(values):
    """float32 `[n, 1]`, to be broadcast over channels."""
    return tf.constant(values, tf.float32)[:, None]
