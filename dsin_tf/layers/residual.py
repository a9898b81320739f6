"""The autoencoder of CPM: convolutions with batch normalisation, in residual blocks and groups of them.

Mentzer, Agustsson, Tschannen, Timofte and Van Gool, "Conditional probability models for deep image compression",
CVPR 2018, https://arxiv.org/abs/1801.04260, architecture "CVPR"; with the details of the released code of DSIN
(Ayzik and Avidan, ECCV 2020), which takes it over.

Every convolution, the last ones too, is without bias, padded as TensorFlow's "same" (which shifts the grid where the
stride is 2 and the side even), and followed by batch normalisation and then its activation, if it has one. Kernels
begin Glorot uniform.

Batches of a few images are normalised in another way than evaluation does it. So batch normalisation can be left out
(ours): then convolutions have a bias, the second one of each block begins at zero, and skips over several blocks give
the mean of both ways and not their sum. Without these a body of five groups would begin as multiplication by 33.
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
      initializer: of the kernel.
      norm: off for a bias in place of batch normalisation.
    """

    def __init__(self, filters, support, stride, activation, up, initializer, norm, name):
        super().__init__(name=name)
        kind = tf.keras.layers.Conv2DTranspose if up else tf.keras.layers.Conv2D
        self._conv = kind(
            filters, support, stride, "same", use_bias=not norm, kernel_initializer=initializer, name="conv"
        )
        self._norm = None
        if norm:
            self._norm = tf.keras.layers.BatchNormalization(momentum=_MOMENTUM, epsilon=_EPSILON, name="norm")
        self._activation = activation

    @property
    def kernel(self):
        """The kernel's variable: `[k, k, in, out]`, of a transposed convolution `[k, k, out, in]`."""
        return self._conv.kernel

    @property
    def norm(self):
        """The batch normalisation, with `gamma`, `beta`, `moving_mean` and `moving_variance`; None without."""
        return self._norm

    def call(self, x, training=False):
        x = self._conv(x)
        if self._norm is not None:
            x = self._norm(x, training=training)
        return x if self._activation is None else self._activation(x)


class Residual(tf.keras.layers.Layer):
    """x + the layers one after the other, nothing after the sum; the layers keep the shape.

    Args:
      inner: the layers, also an attribute.
      mean: gives half of that.
    """

    def __init__(self, inner, name, mean=False):
        super().__init__(name=name)
        self.inner, self._mean = list(inner), mean

    def call(self, x, training=False):
        y = x
        for layer in self.inner:
            y = layer(y, training=training)
        return (x + y) / 2 if self._mean else x + y


class ResidualMaker:
    """Makes the layers of one autoencoder.

    Args:
      make: a `Maker`, for its seeds.
      norm: off for convolutions without batch normalisation, see above.
    """

    def __init__(self, make, norm=True):
        self._make, self._norm = make, norm

    def encoder(self, filters, groups, channels, activation=None, name="analysis"):
        """Normalised image `[N, H, W, C]` to `[N, H / 8, W / 8, channels]`; `filters` in the middle, half before."""
        return tf.keras.Sequential(
            [
                self.conv(filters // 2, 5, 2, tf.nn.relu, "h1"),
                self.conv(filters, 5, 2, tf.nn.relu, "h2"),
                self._body(filters, groups),
                self.conv(channels, 5, 2, activation, "to_bn"),
            ],
            name=name,
        )

    def decoder(self, filters, groups, channels=3, last=True, name="synthesis"):
        """Code `[N, h, w, C]` to normalised image `[N, 8 h, 8 w, channels]`; `last` as of the body."""
        return tf.keras.Sequential(
            [
                self.conv(filters, 3, 2, tf.nn.relu, "from_bn", up=True),
                self._body(filters, groups, last),
                self.conv(filters // 2, 5, 2, tf.nn.relu, "h12", up=True),
                self.conv(channels, 5, 2, None, "h13", up=True),
            ],
            name=name,
        )

    def conv(self, filters, support, stride, activation, name, up=False, zero=False):
        """A `ConvBN`, whose kernel begins at zero where it is asked to."""
        glorot = tf.keras.initializers.GlorotUniform(self._make.next_seed())
        return ConvBN(filters, support, stride, activation, up, "zeros" if zero else glorot, self._norm, name)

    def _body(self, filters, groups, last=True):
        """Groups of three blocks, then (`last`) one without activations; the long skip goes over all of it."""
        inner = []
        for g in range(groups):
            blocks = [self._block(filters, tf.nn.relu, f"block{b}") for b in range(3)]
            inner.append(Residual(blocks, f"group{g}", mean=not self._norm))
        if last:
            inner.append(self._block(filters, None, "last"))
        return Residual(inner, "body", mean=not self._norm)

    def _block(self, filters, activation, name):
        """The second convolution of a block never has an activation."""
        first = self.conv(filters, 3, 1, activation, "conv1")
        second = self.conv(filters, 3, 1, None, "conv2", zero=not self._norm)
        return Residual([first, second], name)


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
