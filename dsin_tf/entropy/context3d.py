"""A causal 3-D convolutional network that tells the probabilities of symbols, and coding with it.

Mentzer, Agustsson, Tschannen, Timofte and Van Gool, "Conditional probability models for deep image compression",
CVPR 2018, https://arxiv.org/abs/1801.04260, "res_shallow"; as the released code of DSIN (Ayzik and Avidan, ECCV 2020)
has it, a ReLU on the logits included.

The symbols of an image are a volume: channels are its depth, rows and columns as usual. A symbol's probabilities come
from those before it, in the four channels before its own and, in its own, in the rows above and to the left, all
within four rows and columns. Outside the volume there is the first centre. Every convolution is 2 x 3 x 3 and valid:

    centres -> conv0, ReLU -> h1 -> res1_conv1, ReLU -> h2 -> res1_conv2, + h1 -> h3 -> conv2, ReLU -> logits

**Fronts.** At the place (channel, row, column) every layer reads the layer before at that place (but for conv0) and
at the taps that the masks leave: (-1, -1 ... 1, -1 ... 1), (0, -1, -1 ... 1) and (0, 0, -1). With

    t = 4 channel + 2 row + column

all of these taps have a smaller t, by 7 at the most, and 4 and 2 are the smallest numbers for which that holds. So
all symbols of one t, a front, are coded at once, and 196 thousand symbols of a KITTI image take 355 steps. Within a
front they are in order of their channels, then of their rows. This order is part of the file format.

Each layer is computed at each place once, when its front comes, and of each only the last eight fronts are kept; so
memory does not grow with the width of an image.
"""

import math

import numpy as np
import tensorflow as tf

from dsin_tf.bitstream import PayloadError
from dsin_tf.entropy import coder, exact

CENTERS = exact.Format(fraction=16, limit=2**24)  # centres at coding time: steps of 2**-16 up to 256

_HALF = [[1, 1, 1], [1, 0, 0], [0, 0, 0]]
_FIRST_MASK = np.array([np.ones((3, 3)), _HALF], np.float32)  # [depth, row, column]; without the place itself
_OTHER_MASK = _FIRST_MASK.copy()
_OTHER_MASK[1, 1, 1] = 1
_LAYERS = 4  # the context reaches as many channels, rows and columns as there are layers
_NAMES = ("conv0", "res1_conv1", "res1_conv2", "conv2")
_MASKS = (_FIRST_MASK, _OTHER_MASK, _OTHER_MASK, _OTHER_MASK)

_STEPS = np.array([4, 2, 1])  # of t along channel, row and column
_KEPT = 8  # fronts of each layer; the taps reach 7 back


class Classifier3D(tf.keras.layers.Layer):
    """The network in floats, for training and estimates.

    Args:
      count: L, number of centres.
      features: k, of the hidden layers.
      seed: of the initial kernels (Glorot uniform of the shape without mask); biases begin at zero.
    """

    def __init__(self, count=6, features=24, seed=0, name="classifier"):
        super().__init__(name=name, autocast=False)
        self.kernels, self.biases = [], []
        widths = [1, features, features, features, count]
        seeds = np.random.SeedSequence(seed).generate_state(_LAYERS) >> 1
        for layer, width, filters, seed in zip(_NAMES, widths, widths[1:], seeds):
            glorot = tf.keras.initializers.GlorotUniform(int(seed))
            settings = {"dtype": tf.float32, "experimental_autocast": False}
            self.kernels.append(
                self.add_weight(f"{layer}/kernel", (2, 3, 3, width, filters), initializer=glorot, **settings)
            )
            self.biases.append(self.add_weight(f"{layer}/bias", (filters,), initializer="zeros", **settings))

    def call(self, q, padding):
        """The logits of every symbol.

        Args:
          q: float `[N, h, w, C]`, the centres that symbols stand for.
          padding: scalar, the value outside: the first centre.

        Returns:
          float32 `[N, h, w, C, L]`.
        """
        x = tf.transpose(q, [0, 3, 1, 2])
        margins = [[_LAYERS, 0], [_LAYERS, _LAYERS], [_LAYERS, _LAYERS]]  # nothing comes after the last channel
        x = tf.pad(x, [[0, 0], *margins], constant_values=padding)[..., None]
        h1 = tf.nn.relu(self._conv(0, x))
        h2 = tf.nn.relu(self._conv(1, h1))
        h3 = self._conv(2, h2) + h1[:, 2:, 2:-2, 2:-2]
        logits = tf.nn.relu(self._conv(3, h3))
        return tf.transpose(logits, [0, 2, 3, 1, 4])

    def bits(self, q, symbols, padding):
        """What each symbol costs: float32 `[N, h, w, C]`, for int32 `symbols` and as in `call`."""
        cross_entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(symbols, self(q, padding))
        return cross_entropy / math.log(2)

    def _conv(self, i, x):
        """A masked convolution `[N, D, H, W, F]` to `[N, D - 1, H - 2, W - 2, F']`.

        Its depth is 2, so it is one in two dimensions over pairs of neighbours, which CPUs compute much faster.
        """
        kernel = self.kernels[i] * _MASKS[i][..., None, None]
        pairs = tf.concat([x[:, :-1], x[:, 1:]], axis=-1)
        sizes = tf.shape(pairs)
        y = tf.nn.conv2d(
            tf.reshape(pairs, [-1, sizes[2], sizes[3], 2 * kernel.shape[3]]),
            tf.concat([kernel[0], kernel[1]], axis=2),
            strides=1,
            padding="VALID",
        )
        y = tf.nn.bias_add(y, self.biases[i])
        return tf.reshape(y, [sizes[0], sizes[1], sizes[2] - 2, sizes[3] - 2, kernel.shape[4]])


class ExactClassifier3D:
    """The network in integers (see `exact`), and coding with it: the same bytes and symbols on every machine.

    At one place a convolution is a dense layer over what its taps read.

    Args:
      classifier: a trained `Classifier3D`.
      centers: float variable `[L]`.
    """

    def __init__(self, classifier, centers):
        self._classifier, self._centers = classifier, centers
        self._layers = None
        self._values = None

    def quantize(self):
        """Makes the integers, once, after training; from then on they are stored, never made again."""
        self._values = exact.quantize(self._centers.numpy(), CENTERS)
        self._build(None)

    def compress(self, symbols):
        """The bytes of symbols `[h, w, C]`, each in 0 ... L - 1."""
        symbols = np.asarray(symbols)
        encoder = coder.Encoder()

        def code(counts, place):
            encoder.encode_with_counts(symbols[place], counts)
            return symbols[place]

        self._run(symbols.shape, code)
        return encoder.finish()

    def decompress(self, data, shape):
        """The symbols, int32 `[h, w, C]`, which is `shape`, that `compress` made `data` of.

        Raises:
          bitstream.PayloadError: `data` is not what `compress` writes.
        """
        self._check_length(data, math.prod(shape))
        decoder = coder.Decoder(data)
        symbols = np.zeros(shape, np.int32)

        def code(counts, place):
            symbols[place] = decoder.decode_with_counts(counts)
            return symbols[place]

        self._run(shape, code)
        decoder.finish()
        return symbols

    def bits(self, symbols):
        """What all of `symbols` cost with the integers' probabilities: a float, to compare with the estimate."""
        symbols, total = np.asarray(symbols), []

        def code(counts, place):
            found = np.take_along_axis(counts, symbols[place][:, None], axis=1)
            total.append(np.sum(coder.PRECISION - np.log2(found)))
            return symbols[place]

        self._run(symbols.shape, code)
        return float(np.sum(total))

    def state(self):
        """Every number that decoding depends on: `{name: array}`."""
        state = {"centers": self._values.astype(np.int64)}
        for layer, dense in zip(_NAMES, self._layers):
            state.update({f"{layer}.{name}": array for name, array in dense.state().items()})
        return state

    def load_state(self, state):
        """Takes over what `state` returned.

        Raises:
          exact.ExactError: numbers are missing, have another shape, or do not fit the Formats.
        """
        expected = tuple(self._centers.shape)
        if np.shape(state.get("centers")) != expected:
            raise exact.ExactError(
                f"The stored numbers have centres {list(np.shape(state.get('centers')))}, {list(expected)} was "
                "expected. They belong to another network; load them into a model of the preset they were made with."
            )
        self._values = np.asarray(state["centers"], np.float64)
        self._build(state)

    def _build(self, stored):
        """The four convolutions as dense layers, their integers made or taken from `stored`."""
        added = exact.Format(exact.ACTIVATIONS.fraction, 2 * exact.ACTIVATIONS.limit)  # h3, the sum of two
        sources = (CENTERS, exact.ACTIVATIONS, exact.ACTIVATIONS, added)
        self._layers = []
        for i, (name, source) in enumerate(zip(_NAMES, sources)):
            kernel = self._classifier.kernels[i].numpy()
            kernel = kernel[_MASKS[i] > 0].reshape(-1, kernel.shape[-1])  # [taps * in, out]
            dense = exact.Conv(kernel, self._classifier.biases[i].numpy())
            start = f"{name}."
            own = stored and {key[len(start) :]: value for key, value in stored.items() if key.startswith(start)}
            dense.build(source, own)
            self._layers.append(dense)

    def _run(self, shape, code):
        """Goes through the fronts of a volume `[h, w, C]`.

        Args:
          shape: (h, w, C).
          code: called with counts `[n, L]` and the places of a front (three index arrays) gives its symbols `[n]`.
        """
        conv0, res1_conv1, res1_conv2, conv2 = self._layers
        height, width, channels = shape
        fronts = _Fronts(height, width, channels)
        outside = self._values[:1]
        q = fronts.kept(outside)
        # Before the first channel everything is outside, so every layer is the same everywhere.
        h1_before = _relu(conv0(np.tile(outside, (1, _taps(0)))))
        h2_before = _relu(res1_conv1(np.tile(h1_before, (1, _taps(1)))))
        h3_before = res1_conv2(np.tile(h2_before, (1, _taps(2)))) + h1_before
        h1, h2, h3 = (fronts.kept(before[0]) for before in (h1_before, h2_before, h3_before))
        for t in range(fronts.first, fronts.last + 1):
            slot = t % _KEPT
            at = fronts.places(t, margin=3)
            h1[slot, at] = _relu(conv0(fronts.context(q, 0, t, at)))
            at = fronts.places(t, margin=2)
            h2[slot, at] = _relu(res1_conv1(fronts.context(h1, 1, t, at)))
            at = fronts.places(t, margin=1)
            h3[slot, at] = res1_conv2(fronts.context(h2, 2, t, at)) + h1[slot, at]
            at = fronts.places(t, margin=0)
            q[slot] = outside
            if at.size:
                logits = _relu(conv2(fronts.context(h3, 3, t, at)))
                counts = exact.counts_from_logits(logits, exact.ACTIVATIONS.fraction)
                q[slot, at, 0] = self._values[code(counts, fronts.coordinates(t, at))]

    def _check_length(self, data, count):
        """Refuses data too short for `count` symbols, before anything is computed."""
        dearest = 2**coder.PRECISION - (len(self._values) - 1)  # every symbol has a count of 1 at least
        # Up to 64 bits are in the coder's state and not yet in its words; 32 more are for the rounding of intervals.
        least = count * (coder.PRECISION - math.log2(dearest)) - 96
        if 8 * len(data) < least:
            raise PayloadError(
                f"A string of {len(data)} bytes is damaged: {count} symbols take {int(least / 8)} bytes at the least. "
                "Get a clean copy of the file.",
                length=len(data),
            )


class _Fronts:
    """Which places lie on which front, and where what they depend on is kept.

    A front is a table with a row for every channel, of which one more comes before the first, and every row, of which
    four more come on either side; the column follows from t. `kept` arrays are `[8, rows of the table, features]`,
    front t at t mod 8.
    """

    def __init__(self, height, width, channels):
        self._width, self._lines = width, height + 2 * _LAYERS
        channel, row = np.divmod(np.arange((channels + 1) * self._lines), self._lines)
        self._channel, self._row = channel - 1, row - _LAYERS
        self._start = 4 * self._channel + 2 * self._row  # t of column 0
        beyond = np.maximum(-self._row, self._row - (height - 1))  # rows outside the image
        # The places of each layer: those that the next one reads.
        self._inside = [np.flatnonzero((self._channel >= 0) & (beyond <= margin)) for margin in range(_LAYERS)]
        self.first = int(-3 * (2 + 1))
        self.last = 4 * (channels - 1) + 2 * (height - 1) + width - 1
        self._buffer = np.empty(0)
        self._offsets = [np.argwhere(mask) - (1, 1, 1) for mask in _MASKS]

    def kept(self, value):
        """Room for the last fronts of a layer, full of its value before the first channel `[features]`."""
        return np.tile(value, (_KEPT, len(self._start), 1))

    def places(self, t, margin):
        """Rows of the table that front t has in the image and `margin` rows and columns around it."""
        inside = self._inside[margin]
        column = t - self._start[inside]
        return inside[(column >= -margin) & (column < self._width + margin)]

    def context(self, kept, i, t, at):
        """What layer i reads of the layer before at places `at` of front t: `[n, taps * features]`.

        It is overwritten by the next call.
        """
        offsets = self._offsets[i]
        slots = (t + offsets @ _STEPS) % _KEPT
        moved = slots * kept.shape[1] + offsets[:, 0] * self._lines + offsets[:, 1]
        features = kept.shape[-1]
        size = len(at) * len(offsets) * features
        if self._buffer.size < size:  # one buffer for all: new memory each time would take longer than the copying
            self._buffer = np.empty(size)
        read = self._buffer[:size].reshape(len(at), len(offsets), features)
        np.take(kept.reshape(-1, features), at[:, None] + moved, axis=0, out=read, mode="clip")  # "raise" would copy
        return read.reshape(len(at), len(offsets) * features)

    def coordinates(self, t, at):
        """Places `at` of front t as indexes into `[h, w, C]`."""
        return self._row[at], t - self._start[at], self._channel[at]


def _taps(i):
    """Taps that the mask of layer i leaves."""
    return int(_MASKS[i].sum())


def _relu(x):
    return np.maximum(x, 0.0)
