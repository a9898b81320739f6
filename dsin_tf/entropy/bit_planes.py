"""Coding of binary codes, of which an importance map says what is sent, and of the map itself.

Li, Zuo, Gu, Zhao and Zhang, "Learning convolutional networks for content-weighted image compression", CVPR 2018,
https://arxiv.org/abs/1703.10553. What is coded are planes, bits `[h, w, n]`, with a mask `[h, w, n]` that the decoder
has, too: bits whose mask is 0 are skipped. Each bit's probability comes from a context of bits before it, whose entries
are 0 (outside, masked, or not yet coded), 1 (a bit 0) and 2 (a bit 1). There are two coders with one interface:

    AdaptiveCoder        counts bits while it codes; needs no training (ours)
    ExactPlaneContext    the paper's learned context, 5 x 5 places of 4 planes, in integers

    coder = AdaptiveCoder()
    data = coder.compress(planes, mask)          # bytes
    planes = coder.decompress(data, mask)        # int32, 0 where nothing was sent

A map of L levels is coded as log2 L planes (`planes_of_map`), all of which are sent, and before its code. Every call
makes a string of its own that depends on nothing else, so that brightness is decoded without colour.

**Fronts.** Bits are in the order of a t = a plane + b row + column for which every entry of a context has a smaller t.
So all bits of one t, a front, are coded at once: 64 x 96 places of 64 planes take 222 steps with counts, 852 with the
network. Within a front bits are in order of their planes, then of their rows. All of this is part of the file format.
"""

import math

import numpy as np
import tensorflow as tf

from dsin_tf.bitstream import PayloadError
from dsin_tf.entropy import coder, exact

_CERTAIN = 32  # of 2**16: no bit is less probable, so that none costs more than 11 bits or less than 1/1420

# Contexts as (planes, rows, columns) off the place.
_ABOVE, _ASIDE, _BEFORE = 2, 2, 3
_MASK = np.ones((_BEFORE + 1, 2 * _ABOVE + 1, 2 * _ASIDE + 1), np.float32)
_MASK[_BEFORE, _ABOVE, _ASIDE:] = _MASK[_BEFORE, _ABOVE + 1 :] = 0  # only what comes before the place itself
_CUBE = np.argwhere(_MASK) - (_BEFORE, _ABOVE, _ASIDE)
_CROSS = np.array([(-1, 0, 0), (-2, 0, 0), (-3, 0, 0), (0, 0, -1), (0, -1, 0)])

# Of the counts.
_COARSER = 4  # bits that the coarser context is worth
_MOST = 255  # bits of one context before they are halved


def planes_of_map(q, levels):
    """The planes, int32 `[h, w, log2 L]`, of a quantised map, integers `[h, w, 1]` in 0 ... L - 1.

    They are those of its Gray code, highest first (ours), in which neighbouring levels differ in one bit only.

    Raises:
      ValueError: L is not a power of two, or the map has other levels.
    """
    q = np.asarray(q).astype(np.int32)
    shifts = np.arange(map_depth(levels), dtype=np.int32)[::-1]
    if q.size and not (q.min() >= 0 and q.max() < levels):
        raise ValueError(f"The map has levels {q.min()} to {q.max()}, 0 to {levels - 1} were expected.")
    return (q ^ q >> 1) >> shifts & 1


def map_of_planes(planes):
    """The inverse of `planes_of_map`: int32 `[h, w, 1]`."""
    bits = np.bitwise_xor.accumulate(np.asarray(planes, np.int32), axis=-1)
    return bits @ (1 << np.arange(bits.shape[-1], dtype=np.int32)[::-1])[:, None]


def map_depth(levels):
    """log2 L, the number of planes of a map.

    Raises:
      ValueError: L is not a power of two.
    """
    depth = int(levels).bit_length() - 1
    if depth < 1 or levels != 2**depth:
        raise ValueError(f"The map has {levels} levels; a power of two was expected, as 16 or 32.")
    return depth


def raw_bits(q, levels, *masks):
    """What a map `[h, w, 1]`, at log2 L bits a place, and the codes of some masks take without entropy coding."""
    return np.size(q) * map_depth(levels) + sum(int(np.count_nonzero(mask)) for mask in masks)


class _PlaneCoder:
    """What the coders share: all but where the probabilities come from.

    A subclass has `_steps`, the (a, b, 1) of t, `_taps`, the places of the context, and `_begin(channels)`, which gives
    for one run of coding the functions `predict(plane, context)`, counts of 2**16 `[m]` that bits are 1, of their
    planes `[m]` and contexts `[m, taps]`, and `learn(bits)`, called with the bits that were predicted.
    """

    def compress(self, planes, mask):
        """The bytes of planes.

        Args:
          planes: integers `[h, w, n]`, 0 or 1; anything where the mask is 0.
          mask: `[h, w, n]`, 0 (or False) where nothing is sent.

        Raises:
          ValueError: the two have different shapes.
        """
        planes, encoder = _check_planes(planes, mask), coder.Encoder()

        def code(counts, place):
            encoder.encode_with_counts(planes[place], counts)
            return planes[place]

        self._run(mask, code)
        return encoder.finish()

    def decompress(self, data, mask):
        """The planes, int32 `[h, w, n]`, 0 where the mask is 0, of what `compress` wrote with the same mask.

        Raises:
          bitstream.PayloadError: `data` is not what `compress` writes.
        """
        _check_length(data, int(np.count_nonzero(mask)))
        planes, decoder = np.zeros(np.shape(mask), np.int32), coder.Decoder(data)

        def code(counts, place):
            planes[place] = decoder.decode_with_counts(counts)
            return planes[place]

        self._run(mask, code)
        decoder.finish()
        return planes

    def bits(self, planes, mask):
        """What `compress` spends by the coder's probabilities: a float, to compare with estimates."""
        planes, total = _check_planes(planes, mask), []

        def code(counts, place):
            found = np.take_along_axis(counts, planes[place][:, None], axis=1)
            total.append(np.sum(coder.PRECISION - np.log2(found)))
            return planes[place]

        self._run(mask, code)
        return float(np.sum(total))

    def _run(self, mask, code):
        """Goes through the fronts.

        Args:
          mask: as of `compress`.
          code: called with counts `[m, 2]` and the places of a front (three index arrays) gives its bits `[m]`.
        """
        mask = np.asarray(mask) != 0
        height, width, channels = mask.shape
        # Entries with margins that are never sent; an entry's neighbours are at fixed distances in the flat array.
        entries = np.zeros((channels + _BEFORE, height + 2 * _ABOVE, width + 2 * _ASIDE), np.uint8)
        strides = np.array(entries.strides)
        distances = self._taps @ strides
        predict, learn = self._begin(channels)
        flat = entries.reshape(-1)
        for plane, row, column in _fronts(mask, self._steps):
            at = np.stack([plane + _BEFORE, row + _ABOVE, column + _ASIDE], axis=-1) @ strides
            ones = np.clip(predict(plane, flat[at[:, None] + distances]), _CERTAIN, 2**coder.PRECISION - _CERTAIN)
            bits = code(np.stack([2**coder.PRECISION - ones, ones], axis=-1), (row, column, plane))
            flat[at] = 1 + bits
            learn(bits)


class AdaptiveCoder(_PlaneCoder):
    """Coding with counts of the bits coded so far: no weights, integers only.

    A bit has three contexts, each finer than the one before: its plane; with it, the same place in the three planes
    before; with these, its neighbours to the left and above. A coarser context speaks for a finer one that was seldom:

        p_0 = 1/2,    p_i = (n_i(1) + 4 p_{i-1}) / (n_i(0) + n_i(1) + 4),    i = 1, 2, 3

    with p in units of 2**-16, rounded down, and n_i counting the bits that had the context on the fronts before. Where
    these have become more than 255 after a front, both counts are halved, rounded up.
    """

    _steps = (1, 1, 1)
    _taps = _CROSS

    def state(self):
        """Every number that decoding depends on: `{name: array}`."""
        return {"constants": np.array([_COARSER, _MOST, _CERTAIN], np.int64)}

    def load_state(self, state):
        """Checks that `state` was returned by a coder with the same constants; there is nothing to take over.

        Raises:
          exact.ExactError: it was not.
        """
        own, stored = (np.asarray(numbers.get("constants")) for numbers in (self.state(), state))
        if not np.array_equal(own, stored):
            raise exact.ExactError(
                f"The stored constants of an AdaptiveCoder are {stored.tolist()}, {own.tolist()} was expected. They "
                "belong to another version; decode with the one that wrote the files."
            )

    def _begin(self, channels):
        tables = [np.zeros((channels * 3**entries, 2), np.int64) for entries in (0, 3, 5)]
        powers = 3 ** np.arange(len(_CROSS))[::-1]
        contexts = ()

        def predict(plane, context):
            nonlocal contexts
            finest = plane * 3 ** len(_CROSS) + context @ powers
            contexts = plane, finest // 9, finest
            ones = np.full(len(plane), 2 ** (coder.PRECISION - 1))
            for table, seen in zip(tables, contexts):
                counts = table[seen]
                ones = (2**coder.PRECISION * counts[:, 1] + _COARSER * ones) // (counts.sum(axis=1) + _COARSER)
            return ones

        def learn(bits):
            for table, seen in zip(tables, contexts):
                np.add.at(table, (seen, bits), 1)
                many = seen[table[seen].sum(axis=1) > _MOST]
                table[many] = (table[many] + 1) >> 1  # a context that occurs twice in `many` is halved once

        return predict, learn


class PlaneContext(tf.keras.layers.Layer):
    """The learned context in floats, for training and estimates.

    A masked convolution of 4 x 5 x 5 with a bias for each plane, and two dense layers, ReLU in between. The paper's
    network, four convolutions and two dense layers, goes through the cube of each bit anew; that neighbours share the
    convolution, and that planes have a bias of their own, is ours.

    Args:
      channels: n, number of planes.
      features: of the hidden layers.
      seed: of the initial kernels (Glorot uniform); biases begin at zero.
    """

    def __init__(self, channels, features=32, seed=0, name="plane_context"):
        super().__init__(name=name, autocast=False)
        self.channels = channels
        shapes = [(*_MASK.shape, 2, features), (features, features), (features, 1)]
        biases = [(channels, features), (features,), (1,)]
        seeds = np.random.SeedSequence(seed).generate_state(len(shapes)) >> 1
        settings = {"dtype": tf.float32, "experimental_autocast": False}
        self.kernels, self.biases = [], []
        for layer, shape, bias, seed in zip(("conv", "dense1", "dense2"), shapes, biases, seeds):
            glorot = tf.keras.initializers.GlorotUniform(int(seed))
            self.kernels.append(self.add_weight(f"{layer}/kernel", shape, initializer=glorot, **settings))
            self.biases.append(self.add_weight(f"{layer}/bias", bias, initializer="zeros", **settings))

    def call(self, planes, mask):
        """The logits of every bit to be 1, float32 `[N, h, w, n]`.

        Args:
          planes: `[N, h, w, n]`, 0 or 1.
          mask: `[N, h, w, n]`, 0 or 1; bits where it is 0 are not seen.
        """
        planes, mask = (tf.transpose(tf.cast(x, tf.float32), [0, 3, 1, 2]) for x in (planes, mask))
        entries = tf.stack([mask * (1 - planes), mask * planes], axis=-1)  # 0, 1 and 2 of the paper as two features
        margins = [[0, 0], [_BEFORE, 0], [_ABOVE, _ABOVE], [_ASIDE, _ASIDE], [0, 0]]
        entries = tf.pad(entries, margins)
        # The planes that a bit sees become features of its own: a convolution in two dimensions, faster on CPUs.
        seen = tf.concat([entries[:, i : i + self.channels] for i in range(_BEFORE + 1)], axis=-1)
        sizes, features = tf.shape(seen), self.kernels[0].shape[-1]
        kernel = tf.transpose(self.kernels[0] * _MASK[..., None, None], [1, 2, 0, 3, 4])
        x = tf.nn.conv2d(
            tf.reshape(seen, [-1, sizes[2], sizes[3], seen.shape[-1]]),
            tf.reshape(kernel, [*_MASK.shape[1:], -1, features]),
            strides=1,
            padding="VALID",
        )
        x = tf.reshape(x, [sizes[0], self.channels, sizes[2] - 2 * _ABOVE, sizes[3] - 2 * _ASIDE, features])
        x = tf.nn.relu(x + self.biases[0][:, None, None])
        x = tf.nn.relu(tf.tensordot(x, self.kernels[1], 1) + self.biases[1])
        logits = tf.tensordot(x, self.kernels[2], 1) + self.biases[2]
        return tf.transpose(logits[..., 0], [0, 2, 3, 1])

    def bits(self, planes, mask):
        """What each bit costs: float32 `[N, h, w, n]`, 0 where the mask is 0; as in `call`."""
        planes, mask = tf.cast(planes, tf.float32), tf.cast(mask, tf.float32)
        entropy = tf.nn.sigmoid_cross_entropy_with_logits(planes, self(planes, mask))
        return mask * entropy / math.log(2)


class ExactPlaneContext(_PlaneCoder):
    """The learned context in integers (see `exact`), and coding with it.

    At one place the convolution is a dense layer over what its taps read and, for the bias, over which plane it is.

    Args:
      context: a trained `PlaneContext`.
    """

    _steps = (9, 3, 1)
    _taps = _CUBE

    def __init__(self, context):
        self._context = context
        self._network = None

    def quantize(self):
        """Makes the integers, once, after training; from then on they are stored, never made again."""
        kernels, biases = ([weight.numpy() for weight in w] for w in (self._context.kernels, self._context.biases))
        taps = kernels[0][_MASK > 0].reshape(-1, kernels[0].shape[-1])
        layers = [
            exact.Conv(np.concatenate([taps, biases[0]])),
            exact.Relu(),
            exact.Conv(kernels[1], biases[1]),
            exact.Relu(),
            exact.Conv(kernels[2], biases[2]),
        ]
        self._network = exact.Network(layers, input=exact.Format(fraction=0, limit=1))

    def state(self):
        """Every number that decoding depends on: `{name: array}`."""
        return self._network.state()

    def load_state(self, state):
        """Takes over what `state` returned.

        Raises:
          exact.ExactError: numbers are missing, have another shape, or do not fit the Formats.
        """
        self.quantize()
        self._network.load_state(state)

    def _begin(self, channels):
        if channels != self._context.channels:
            raise ValueError(f"There are {channels} planes, the context was made for {self._context.channels}.")
        features = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])  # of an entry
        planes = np.eye(channels)

        def predict(plane, context):
            read = features[context].reshape(len(plane), -1)
            logits = self._network(np.concatenate([read, planes[plane]], axis=-1))
            logits = np.concatenate([np.zeros_like(logits), logits], axis=-1)
            return exact.counts_from_logits(logits, self._network.output.fraction)[:, 1].astype(np.int64)

        return predict, lambda bits: None


def _fronts(mask, steps):
    """Yields the places with a mask, as index arrays (planes, rows, columns), of one front after the other."""
    height, width, channels = mask.shape
    plane, row = np.divmod(np.arange(channels * height), height)
    start = steps[0] * plane + steps[1] * row  # t of column 0
    for t in range(start[-1] + width if start.size else 0):
        inside = np.flatnonzero((start <= t) & (t < start + width))
        inside = inside[mask[row[inside], t - start[inside], plane[inside]]]
        if inside.size:
            yield plane[inside], row[inside], t - start[inside]


def _check_planes(planes, mask):
    planes = np.asarray(planes).astype(np.int32)
    if planes.shape != np.shape(mask) or planes.ndim != 3:
        raise ValueError(f"planes {list(planes.shape)} and mask {list(np.shape(mask))} must agree: [h, w, n].")
    return planes


def _check_length(data, count):
    """Refuses data too short for `count` bits, before anything is computed."""
    cheapest = coder.PRECISION - math.log2(2**coder.PRECISION - _CERTAIN)
    # Up to 64 bits are in the coder's state and not yet in its words; 32 more are for the rounding of intervals.
    least = count * cheapest - 96
    if 8 * len(data) < least:
        raise PayloadError(
            f"A string of {len(data)} bytes is damaged: {count} bits take {int(least / 8)} bytes at the least. "
            "Get a clean copy of the file.",
            length=len(data),
        )
