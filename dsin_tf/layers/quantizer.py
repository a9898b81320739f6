"""Quantisation to learned centres, with the gradient of a soft assignment.

Mentzer, Agustsson, Tschannen, Timofte and Van Gool, "Conditional probability models for deep image compression",
CVPR 2018, https://arxiv.org/abs/1801.04260, which DSIN (Ayzik and Avidan, ECCV 2020) takes over.
"""

import tensorflow as tf

_RANGE = 2.0
_SEED, _GRAPH_SEED = 666, 87654321  # as released, whatever the seed of the model; TensorFlow 1's where none is set
_PHILOX = 1


class CentersQuantizer(tf.keras.layers.Layer):
    """The nearest of L scalar centres, which all channels share and training moves.

    With d_j = (z - c_j)^2,

        symbol = argmin_j d_j,    q_hard = c_symbol,    q_soft = sum_j c_j softmax_j(-d_j),
        q_bar = stop_gradient(q_hard) + (q_soft - stop_gradient(q_soft))

    q_bar has the value of q_hard, and to z and the centres the gradient of q_soft. Of two centres equally near the
    first is taken. Centres begin uniformly at random in (-2, 2), as TensorFlow 1 draws them from the released seed, and
    are not in order.

    Called with float `[...]` it gives `(q_bar, symbols)`, float32 and int32 `[...]`.

    Attributes:
      centers: float32 variable `[L]`.

    Args:
      count: L.
    """

    def __init__(self, count=6, name="quantizer"):
        super().__init__(name=name, autocast=False)
        self.centers = self.add_weight("centers", (count,), tf.float32, _initial, experimental_autocast=False)

    def call(self, z):
        distances = self._distances(z)
        soft = tf.linalg.matvec(tf.nn.softmax(-distances), self.centers)
        symbols = tf.argmin(distances, axis=-1, output_type=tf.int32)
        hard = tf.stop_gradient(self.dequantize(symbols))
        return hard + (soft - tf.stop_gradient(soft)), symbols  # the difference is 0; so the value is the centre's own

    def symbols(self, z):
        """Only the symbols, int32."""
        return tf.argmin(self._distances(z), axis=-1, output_type=tf.int32)

    def dequantize(self, symbols):
        """The centres that symbols `[...]` stand for, float32."""
        return tf.gather(self.centers, symbols)

    def _distances(self, z):
        return tf.math.squared_difference(tf.cast(z, tf.float32)[..., None], self.centers)


def _initial(shape, dtype=None, **_):
    """What `random_uniform_initializer(-2, 2, seed=666)` gives first in a TensorFlow 1 graph without a seed."""
    key, counter = tf.constant([_GRAPH_SEED], tf.uint64), tf.constant([0, _SEED], tf.uint64)
    unit = tf.raw_ops.StatelessRandomUniformV2(shape=shape, key=key, counter=counter, alg=_PHILOX, dtype=dtype)
    return _RANGE * (2 * unit - 1)
