"""What networks that correct an image have in common: x_hat = x + network(x, ...), at first x itself."""

import tensorflow as tf

from dsin_tf.layers.transforms import pad_to_multiple


class Correction(tf.keras.layers.Layer):
    """An image plus what a network says about it. The last layer of the network begins at zero; see `last_conv`.

    Args:
      network: a `tf.keras.Model` of a list of maps, the image first, that gives `[N, H, W, 3]`.
      multiple: what its images' sides need to divide by. Others are extended, last row and column repeated, and cut.
      name: of the layer.
    """

    def __init__(self, network, multiple, name):
        # Without autocast=False, mixed precision would round the image to float16 before it is corrected.
        super().__init__(name=name, autocast=False)
        self._network, self._multiple = network, multiple
        self.built = True  # the network's channels are known, so its variables are there

    def correct(self, x, *others):
        """`x [N, H, W, 3]` and what the network says of it and of the other maps, of the same size."""
        correction = self._network([pad_to_multiple(image, self._multiple) for image in (x, *others)])
        return x + tf.cast(correction[:, : tf.shape(x)[1], : tf.shape(x)[2]], x.dtype)


def conv(make, filters, support=3, stride=1, activation=None, kind=tf.keras.layers.Conv2D, name=None):
    """A convolution with bias, padded as TensorFlow's "same"; its kernel begins Glorot uniform.

    Args:
      make: a `Maker`, for its seeds.
      filters: channels that come out.
      support: side of the kernel.
      stride: of the convolution.
      activation: function, or Keras' name of one.
      kind: `Conv2D` or `Conv2DTranspose`.
      name: of the layer, and with it of the variables.
    """
    kernel = tf.keras.initializers.GlorotUniform(make.next_seed())
    return kind(filters, support, stride, "same", activation=activation, kernel_initializer=kernel, name=name)


def last_conv():
    """3x3 to three channels, all zeros."""
    return tf.keras.layers.Conv2D(3, 3, padding="same", kernel_initializer="zeros", name="last")


def leaky_relu(x):
    """max(x, x / 5)."""
    return tf.nn.leaky_relu(x, alpha=0.2)
