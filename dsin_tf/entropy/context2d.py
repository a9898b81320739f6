"""What the latents decoded before it tell of a latent, beside the hyperprior: a context model in two dimensions.

Lee, Cho and Beack, "Context-adaptive entropy model for end-to-end optimized image compression", ICLR 2019,
https://arxiv.org/abs/1809.10452, in the form of Minnen, Ballé and Toderici, NeurIPS 2018,
https://arxiv.org/abs/1809.02736: a masked 5x5 convolution of the decoded latents and the features of the hyper
synthesis go through three dense layers, which give for all channels of the place at once the logarithm of sigma, and
mu. What is coded is k = round(y - mu), and the latent is k + mu; see `hyperprior`.

**Fronts.** The convolution reads two rows above, two columns to either side, and two places to the left. With

    t = 3 row + column

everything it reads has a smaller t, by 8 at the most. So all places of one t, a front, are coded at once: an image of
20 x 80 latents takes 137 steps. Within a front they are in order of their rows. This order is part of the file format,
and so is that large images are coded in the tiles of `hyperprior.tiles`, over whose borders the convolution sees zeros.
"""

import math

import numpy as np
import tensorflow as tf

from dsin_tf.entropy import coder, exact, hyperprior

_WINDOW = 5
_MASK = np.zeros((_WINDOW, _WINDOW), bool)
_MASK.flat[: _WINDOW**2 // 2] = True  # raster order, up to the place itself
_TAPS = [tuple(tap) for tap in np.argwhere(_MASK) - _WINDOW // 2]  # (rows, columns) off the place: negative or 0, any
_ABOVE = _WINDOW // 2
_ROW_STEP = 3  # of t
_KEPT = 8  # fronts; the taps reach 8 back


class Context2D(tf.keras.layers.Layer):
    """The network in floats.

    Args:
      channels: M, of the latents; the hyper synthesis gives 2 M features.
      seed: of the initial kernels (Glorot uniform); biases begin at zero.
    """

    def __init__(self, channels, seed, name="context"):
        super().__init__(name=name, autocast=False)
        self._channels = channels
        # As Minnen's 640 and 512 for 192 channels.
        widths = [4 * channels, 10 * channels // 3, 8 * channels // 3, 2 * channels]
        shapes = [(_WINDOW, _WINDOW, channels, 2 * channels), *zip(widths, widths[1:])]
        names = ("masked_conv", "dense1", "dense2", "dense3")
        seeds = np.random.SeedSequence(seed).generate_state(len(names)) >> 1
        settings = {"dtype": tf.float32, "experimental_autocast": False}
        self.kernels, self.biases = [], []
        for layer, shape, seed in zip(names, shapes, seeds):
            glorot = tf.keras.initializers.GlorotUniform(int(seed))
            self.kernels.append(self.add_weight(f"{layer}/kernel", shape, initializer=glorot, **settings))
            self.biases.append(self.add_weight(f"{layer}/bias", shape[-1:], initializer="zeros", **settings))
        # What is masked has no gradient and stays zero, which takes no room in a file.
        self.kernels[0].assign(self.kernels[0] * _MASK[..., None, None])

    def call(self, latents, features):
        """Parameters `[N, h, w, 2 M]`, as `hyperprior.split` takes them, where all latents are known.

        Args:
          latents: `[N, h, w, M]`.
          features: `[N, h, w, 2 M]`, of the hyper synthesis.
        """
        kernel = self.kernels[0] * _MASK[..., None, None]
        context = tf.nn.bias_add(tf.nn.conv2d(latents, kernel, 1, "SAME"), self.biases[0])
        return self._dense(context, features)

    @tf.function(reduce_retracing=True)  # a dozen times as fast as op by op
    def decode(self, latents, features):
        """Goes through the fronts as the decoder does: what it gets, and with which parameters.

        Args:
          latents: `[N, h, w, M]`, not yet rounded.
          features: as in `call`.

        Returns:
          `(latents, parameters)`: whole distances from the means, and `[N, h, w, 2 M]`.
        """
        shape = tf.shape(latents)
        count, height, width, channels = shape[0], shape[1], shape[2], self._channels
        row, column, inside = _fronts(height, width)
        places = tf.where(inside, row * width + column, 0)
        inside = tf.cast(inside, tf.float32)[:, None, :, None]  # [T, 1, h, 1]
        # [T, N, h, C]: fronts first.
        latents, features = (
            tf.transpose(tf.gather(tf.reshape(x, [count, -1, x.shape[-1]]), places, axis=1), [1, 0, 2, 3])
            for x in (latents, features)
        )
        kernel = tf.reshape(tf.boolean_mask(self.kernels[0], _MASK), [len(_TAPS) * channels, 2 * channels])

        def step(t, kept, found):
            context = [kept[_ROW_STEP * up + across, :, _ABOVE + up : _ABOVE + up + height] for up, across in _TAPS]
            context = tf.concat(context, axis=-1) @ kernel + self.biases[0]
            parameters = self._dense(context, features[t])
            rounded = hyperprior.round_around(latents[t], hyperprior.split(parameters)[1]) * inside[t]
            kept = tf.concat([kept[1:], tf.pad(rounded, [[0, 0], [_ABOVE, 0], [0, 0]])[None]], axis=0)
            return t + 1, kept, found.write(t, tf.concat([rounded, parameters], axis=-1))

        steps = tf.shape(places)[0]
        kept = tf.zeros([_KEPT, count, height + _ABOVE, channels])
        found = tf.TensorArray(tf.float32, steps, element_shape=[latents.shape[1], None, 3 * channels])
        _, _, found = tf.while_loop(lambda t, *_: t < steps, step, (0, kept, found))
        found = tf.transpose(found.stack(), [1, 0, 2, 3])  # [N, T, h, 3 M]
        row, column = tf.meshgrid(tf.range(height), tf.range(width), indexing="ij")
        flat = tf.reshape(found, [count, steps * height, 3 * channels])
        found = tf.gather(flat, (_ROW_STEP * row + column) * height + row, axis=1)
        return found[..., :channels], found[..., channels:]

    def _dense(self, context, features):
        x = tf.concat([context, features], axis=-1)
        for kernel, bias in list(zip(self.kernels, self.biases))[1:-1]:
            x = hyperprior.leaky_relu(tf.tensordot(x, kernel, 1) + bias)
        return tf.tensordot(x, self.kernels[-1], 1) + self.biases[-1]


def _fronts(height, width):
    """Row and column of the place that front t has in each row, `[T, h]`, and whether it is inside the image."""
    t, row = tf.meshgrid(tf.range(_ROW_STEP * (height - 1) + width), tf.range(height), indexing="ij")
    column = t - _ROW_STEP * row
    return row, column, (column >= 0) & (column < width)


class ExactContext2D:
    """The network and the hyper synthesis in integers (see `exact`), and coding with them.

    Args:
      hyper_synthesis: a Keras Sequential as `hyperprior.ExactParameters` takes it; gives the features.
      context: a trained `Context2D`.
      tables: `hyperprior.ScaleTables`.

    Attributes:
      network: the hyper synthesis in integers, an `exact.Network`; None before `quantize` or `load_state`.
    """

    def __init__(self, hyper_synthesis, context, tables):
        self._hyper_synthesis, self._context, self._tables = hyper_synthesis, context, tables
        self.network = self._conv = self._dense = self._thresholds = None

    def quantize(self):
        """Makes the integers, once, after training; from then on they are stored, never made again."""
        self._build()
        self._thresholds = exact.scale_thresholds(hyperprior.SCALES, self._dense.output.fraction, logarithms=True)

    def compress(self, latents, z, symbols):
        """The bytes of latents.

        Args:
          latents: float `[h, w, M]`, not yet rounded.
          z: integers, the hyper latents.
          symbols: makes integers `[n, M]` of floats `[1, n, M]`.
        """
        encoder = coder.Encoder()

        def code(place, indexes, means):
            integers = symbols(latents[place][None] - means)
            encoder.encode(integers, indexes, self._tables.tables)
            return integers

        self._run(z, code)
        return encoder.finish()

    def decompress(self, data, shape, z):
        """The latents, float32 `[h, w, M]`, which is `shape`, of what `compress` wrote.

        Raises:
          bitstream.PayloadError: `data` is not what `compress` writes.
        """
        coder.check_length(data, math.prod(shape), self._tables.tables)
        decoder = coder.Decoder(data)
        latents = np.zeros(shape, np.float32)

        def code(place, indexes, means):
            integers = decoder.decode(indexes, self._tables.tables)
            latents[place] = integers + means
            return integers

        self._run(z, code)
        decoder.finish()
        return latents

    def state(self):
        """Every number that decoding depends on: `{name: array}`."""
        networks = {"hyper": self.network, "conv": self._conv, "dense": self._dense}
        state = {f"{part}.{name}": array for part, net in networks.items() for name, array in net.state().items()}
        return {**state, "thresholds": self._thresholds}

    def load_state(self, state):
        """Takes over what `state` returned.

        Raises:
          exact.ExactError: numbers are missing, have another shape, or do not fit the Formats.
        """
        self._build()
        for part, network in {"hyper": self.network, "conv": self._conv, "dense": self._dense}.items():
            start = f"{part}."
            network.load_state({n[len(start) :]: array for n, array in state.items() if n.startswith(start)})
        self._thresholds = exact.take(state, "thresholds", (hyperprior.SCALE_COUNT - 1,))

    def _build(self):
        """The networks, with integers of the weights at hand."""
        kernels, biases = ([weight.numpy() for weight in w] for w in (self._context.kernels, self._context.biases))
        taps = kernels[0][_MASK].reshape(-1, kernels[0].shape[-1])  # at one place a convolution is a dense layer
        self.network = hyperprior.integer_network(self._hyper_synthesis)
        self._conv = exact.Network([exact.Conv(taps, biases[0])], input=hyperprior.MEANS)
        dense = [exact.Conv(kernel, bias) for kernel, bias in zip(kernels[1:], biases[1:])]
        between = [layer for conv in dense[:-1] for layer in (conv, exact.LeakyRelu(0.2))]
        self._dense = exact.Network([*between, dense[-1]], input=exact.ACTIVATIONS)

    def _run(self, z, code):
        """Goes through the tiles, and in each through its fronts.

        Args:
          z: integers `[h / 4, w / 4, ...]`.
          code: called with a place (two index arrays `[n]`), `indexes` and `means` `[n, M]` (float64), gives k.
        """
        for (rows, columns), features in hyperprior.tiles(self.network, z):
            self._run_tile(features, rows.start, columns.start, code)

    def _run_tile(self, features, top, left, code):
        height, width, channels = features.shape[0], features.shape[1], features.shape[2] // 2
        kept = np.zeros((_KEPT, _ABOVE + height, channels))  # front t at t mod 8; rows above the tile stay 0
        for t in range(_ROW_STEP * (height - 1) + width):
            row = np.arange(max(-((width - 1 - t) // _ROW_STEP), 0), min(t // _ROW_STEP + 1, height))
            column = t - _ROW_STEP * row
            read = [kept[(t + _ROW_STEP * up + across) % _KEPT, _ABOVE + row + up] for up, across in _TAPS]
            context = self._conv(np.concatenate(read, axis=-1))
            joined = exact.concat([(context, self._conv.output), (features[row, column], self.network.output)])
            parameters = self._dense(joined)
            indexes, means = hyperprior.index_and_mean(parameters, self._dense.output, self._thresholds)
            integers = code((top + row, left + column), indexes, exact.dequantize(means, hyperprior.MEANS))
            kept[t % _KEPT] = 0  # this slot was read above: the farthest tap is as many fronts back as are kept
            kept[t % _KEPT, _ABOVE + row] = integers * 2.0**hyperprior.MEANS.fraction + means
