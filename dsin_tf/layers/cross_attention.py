"""Cross-attention between the feature maps of two images: one asks, the other answers.

Mital, Özyılkan, Garjani and Gündüz, "Neural distributed image compression with cross-attention feature alignment",
WACV 2023, https://arxiv.org/abs/2207.08489; in the form of the released code (github.com/ipc-lab/NDIC-CAM).

A token is one sixteenth of one channel: channels are cut into 4 x 4 patches, each channel for itself, so there are
sixteen tokens a channel whatever the size of the map, and a token may take from any channel and place of the other map.
There is no code of positions. Each head is as wide as the model, so that eight of 256 have 2048 numbers inside. Since a
token's length is that of a patch, the weights belong to one size of map.

What that code computes and throws away is not computed here: the keys and values of the asking map, the queries of the
answering one. Their weights, a sixth of the model, are left out.
"""

import tensorflow as tf

GRID = 4
_DROPOUT = 0.1
_SCORES_AT_ONCE = 2**24  # of all heads; a map of 192 channels has 75 million


class CrossAttention(tf.keras.layers.Layer):
    """What the answering map g has that is most like the asking map a: float `[N, h, w, C]` of both.

    Args:
      width: numbers of an embedded token, and of each head.
      heads: how many.
      seeds: a function that gives a new seed at every call.
      name: of the layer.
    """

    def __init__(self, width, heads, seeds, name):
        super().__init__(name=name)

        def dense(units, name, use_bias=True):
            return _Dense(units, seeds(), use_bias, name=name)

        self._width, self._heads, self._dense = width, heads, dense
        self._embed_a, self._embed_g = dense(width, "embed_a"), dense(width, "embed_g")
        self._norm = tf.keras.layers.LayerNormalization(epsilon=1e-5, name="norm")
        self._query, self._key, self._value = (
            dense(heads * width, name, use_bias=False) for name in ("query", "key", "value")
        )
        self._out = dense(width, "out")
        self._unpack = None

    def build(self, input_shape):
        shape, _ = input_shape
        length = shape[1] * shape[2] // GRID**2
        self._unpack = self._dense(length, "unpack")
        for layer, width in (
            *((layer, length) for layer in (self._embed_a, self._embed_g)),
            *((layer, self._width) for layer in (self._norm, self._query, self._key, self._value, self._unpack)),
            (self._out, self._heads * self._width),
        ):
            with tf.name_scope(layer.name):
                layer.build((None, None, width))
        super().build(input_shape)

    def call(self, inputs, noise=None):
        """`[N, h, w, C]` of maps `(a, g)`; h and w divide by 4.

        Args:
          inputs: (a, g).
          noise: for training: draws uniform noise in +-1/2 of a tensor's shape, which says what drops out.
        """
        a, g = inputs
        asking = self._norm(self._embed_a(to_tokens(a)))
        answering = self._norm(self._embed_g(to_tokens(g)))
        q, k, v = (self._split(x) for x in (self._query(asking), self._key(answering), self._value(answering)))
        found = attend(q, k, v)  # [N, heads, tokens, width]
        found = tf.reshape(tf.transpose(found, (0, 2, 1, 3)), [tf.shape(a)[0], -1, self._heads * self._width])
        found = self._out(found)
        if noise is not None:
            found = tf.where(noise(found) < _DROPOUT - 0.5, 0.0, found / (1 - _DROPOUT))
        return from_tokens(self._unpack(found), *a.shape[1:])

    def _split(self, x):
        """`[N, tokens, heads * width]` to `[N, heads, tokens, width]`; a head's numbers lie side by side."""
        x = tf.reshape(x, [tf.shape(x)[0], x.shape[1], self._heads, self._width])
        return tf.transpose(x, (0, 2, 1, 3))


def to_tokens(image):
    """Maps `[N, h, w, C]` as tokens `[N, 16 C, h w / 16]`: by channel, then patches, then pixels, both row by row."""
    _, height, width, channels = image.shape
    cut = tf.reshape(image, [-1, GRID, height // GRID, GRID, width // GRID, channels])
    cut = tf.transpose(cut, (0, 5, 1, 3, 2, 4))
    return tf.reshape(cut, [-1, GRID**2 * channels, height * width // GRID**2])


def from_tokens(tokens, height, width, channels):
    """Undoes `to_tokens`."""
    cut = tf.reshape(tokens, [-1, channels, GRID, GRID, height // GRID, width // GRID])
    cut = tf.transpose(cut, (0, 2, 4, 3, 5, 1))
    return tf.reshape(cut, [-1, height, width, channels])


def attend(q, k, v):
    """softmax(q k^T / sqrt(width)) v, of `[N, heads, tokens, width]`; some queries at a time, which bounds memory."""
    tokens, scale = q.shape[2], q.shape[3] ** -0.5
    at_once = max(_SCORES_AT_ONCE // (q.shape[1] * tokens), 1)
    parts = []
    for first in range(0, tokens, at_once):
        scores = tf.nn.softmax(tf.matmul(q[:, :, first : first + at_once] * scale, k, transpose_b=True))
        parts.append(tf.matmul(scores, v))
    return tf.concat(parts, axis=2)


class _Dense(tf.keras.layers.Dense):
    """With PyTorch's initial values: uniform in +-1 / sqrt(numbers that go in), the bias, too."""

    def __init__(self, units, seed, use_bias, name):
        super().__init__(units, use_bias=use_bias, name=name)
        self._seed = seed

    def build(self, input_shape):
        bound = input_shape[-1] ** -0.5
        initializers = [tf.keras.initializers.RandomUniform(-bound, bound, self._seed ^ part) for part in (0, 1)]
        self.kernel_initializer, self.bias_initializer = initializers
        super().build(input_shape)
