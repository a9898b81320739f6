"""The autoencoder of CPM: convolutions with batch normalisation, in residual blocks and groups of them.

Mentzer, Agustsson, Tschannen, Timofte and Van Gool, "Conditional probability models for deep image compression",
CVPR 2018, https://arxiv.org/abs/1801.04260, architecture "CVPR"; with the details of the released code of DSIN
(Ayzik and Avidan, ECCV 2020), which takes it over.

Every convolution, the last ones too, is without bias, padded as TensorFlow's "same" (which shifts the grid where the
stride is 2 and the side even), and followed by batch normalisation and then its activation, if it has one. Kernels
begin Glorot uniform.
"""

import tensorflow as tf

_EPSILON, _MOMENTUM = 1e-5, 0.9  # of batch normalisation


class ConvBN(tf.keras.layers.Layer):
    """Convolution, batch normalisation, activation: `[N, H, W, C]` to `[N, ceil(H / stride), ..., filters]`.

    Args:
      filters: channels that come out.
      support: side of the kernel.
      stride: by how much smaller the output is; with `up`, larger.
      activation: function, or None.
      up: whether this is a transposed convolution.
      seed: of the initial kernel.
    """

    def __init__(self, filters, support, stride, activation, up, seed, name):
        super().__init__(name=name)
        kind = tf.keras.layers.Conv2DTranspose if up else tf.keras.layers.Conv2D
        initializer = tf.keras.initializers.GlorotUniform(seed)
        self._conv = kind(filters, support, stride, "same", use_bias=False, kernel_initializer=initializer, name="conv")
        self._norm = tf.keras.layers.BatchNormalization(momentum=_MOMENTUM, epsilon=_EPSILON, name="norm")
        self._activation = activation

    @property
    def kernel(self):
        """The kernel's variable: `[k, k, in, out]`, of a transposed convolution `[k, k, out, in]`."""
        return self._conv.kernel

    @property
    def norm(self):
        """The batch normalisation, with `gamma`, `beta`, `moving_mean` and `moving_variance`."""
        return self._norm

    def call(self, x, training=False):
        x = self._norm(self._conv(x), training=training)
        return x if self._activation is None else self._activation(x)


class Residual(tf.keras.layers.Layer):
    """x + the layers one after the other, nothing after the sum; the layers keep the shape.

    Attributes:
      inner: the layers.
    """

    def __init__(self, inner, name):
        super().__init__(name=name)
        self.inner = list(inner)

    def call(self, x, training=False):
        y = x
        for layer in self.inner:
            y = layer(y, training=training)
        return x + y


class ResidualMaker:
    """Makes the layers of one autoencoder.

    Args:
      make: a `Maker`, for its seeds.
    """

    def __init__(self, make):
        self._make = make

    def encoder(self, filters, groups, channels, name="analysis"):
        """Normalised image `[N, H, W, 3]` to `[N, H / 8, W / 8, channels]`; `filters` in the middle, half before."""
        return tf.keras.Sequential(
            [
                self._conv_bn(filters // 2, 5, 2, tf.nn.relu, "h1"),
                self._conv_bn(filters, 5, 2, tf.nn.relu, "h2"),
                self._body(filters, groups),
                self._conv_bn(channels, 5, 2, None, "to_bn"),
            ],
            name=name,
        )

    def decoder(self, filters, groups, name="synthesis"):
        """Centres `[N, h, w, C]` to normalised image `[N, 8 h, 8 w, 3]`."""
        return tf.keras.Sequential(
            [
                self._conv_bn(filters, 3, 2, tf.nn.relu, "from_bn", up=True),
                self._body(filters, groups),
                self._conv_bn(filters // 2, 5, 2, tf.nn.relu, "h12", up=True),
                self._conv_bn(3, 5, 2, None, "h13", up=True),
            ],
            name=name,
        )

    def _body(self, filters, groups):
        """Groups of three blocks, then a block without activations; the long skip goes over all of it."""
        inner = []
        for g in range(groups):
            blocks = [self._block(filters, tf.nn.relu, f"block{b}") for b in range(3)]
            inner.append(Residual(blocks, f"group{g}"))
        return Residual([*inner, self._block(filters, None, "last")], "body")

    def _block(self, filters, activation, name):
        """The second convolution of a block never has an activation."""
        convs = [self._conv_bn(filters, 3, 1, activation, "conv1"), self._conv_bn(filters, 3, 1, None, "conv2")]
        return Residual(convs, name)

    def _conv_bn(self, filters, support, stride, activation, name, up=False):
        return ConvBN(filters, support, stride, activation, up, self._make.next_seed(), name)


def convolutions(network):
    """Every `ConvBN` in a Sequential of `ConvBN` and `Residual`, in order."""
    found, waiting = [], list(network.layers)
    while waiting:
        layer = waiting.pop(0)
        if isinstance(layer, Residual):
            waiting = [*layer.inner, *waiting]
        else:
            found.append(layer)
    return found
