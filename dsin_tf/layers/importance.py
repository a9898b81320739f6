"""The importance map: how many of the channels a place in the image may use.

Mentzer, Agustsson, Tschannen, Timofte and Van Gool, "Conditional probability models for deep image compression",
CVPR 2018, https://arxiv.org/abs/1801.04260, which DSIN (Ayzik and Avidan, ECCV 2020) takes over.
"""

import tensorflow as tf


class ImportanceMap(tf.keras.layers.Layer):
    """Masks features by a map that the encoder gives along with them.

    Of C + 1 channels b the first is the map, the others are the features:

        h = C sigmoid(b_0),    m_c = max(min(h - c, 1), 0),    z_c = m_c b_{c + 1},    c = 0 ... C - 1

    So the mask is 1 below floor(h), a fraction at one channel and 0 above. It is differentiable as it stands: h is
    not rounded. The map is not transmitted; a masked feature is 0, which costs next to nothing to code.

    Called with float `[N, h, w, C + 1]` it gives `(z, mask)`, float32 `[N, h, w, C]` both.
    """

    def call(self, b):
        b = tf.cast(b, tf.float32)
        channels = b.shape[-1] - 1
        h = channels * tf.sigmoid(b[..., :1])
        mask = tf.clip_by_value(h - tf.range(channels, dtype=tf.float32), 0.0, 1.0)
        return mask * b[..., 1:], mask
