"""Enhancement: the last correction of a decoded image, with another look at the side information or without.

`IEN` (image enhancement network): Wang, Shi, Xing, Ling and Yin, "Deep correlated image set compression based on
distributed source coding and multi-scale fusion", DCC 2022, have one and show that it beats GRDN. Its layers are not
published, and there is no code: these are ours. What it has that no filter of the same size can have is y_syn.

`GRDN`, what it is compared with: Kim, Chung and Jung, "GRDN: grouped residual dense network for real image denoising
and GAN-based real-world noise modeling", CVPR workshops 2019, https://arxiv.org/abs/1905.11172. Its attention is that
of Woo, Park, Lee and Kweon, "CBAM: convolutional block attention module", ECCV 2018, https://arxiv.org/abs/1807.06521,
without batch normalisation.

Both average over the whole image, so a large one cannot be computed in parts. And both are called alike, so that a
model can have either.
"""

import tensorflow as tf

from dsin_tf.layers.correction import Correction, conv, last_conv, leaky_relu
from dsin_tf.layers.si_net import dilated_conv
from dsin_tf.layers.transforms import Maker

# Ours, of the size of a small IEN: 253,608 parameters. What DCC 2022 compared with is not published.
GRDN_LITE = {"groups": 2, "blocks": 3, "convs": 4, "filters": 32, "growth": 16}

_IEN_REDUCTION, _CBAM_REDUCTION = 8, 16  # channels over those inside channel attention


class IEN(Correction):
    """`x_hat = ien(x_msf, y_syn)`, images float32 `[N, H, W, 3]`, about 0 ... 1; x_msf itself at the start.

    conv 3x3 of (x_msf, y_syn); residual blocks and a conv 3x3, with a long skip over them; conv 3x3. A block is a
    dilated conv 3x3, LReLU (max(v, v / 5)), conv 3x3, channel attention. 491,891 parameters by default.

    Args:
      filters: channels between the layers.
      dilations: of the residual blocks, one each.
      sees_side: off for the ablation, in which x_msf alone goes in.
      seed: of the initial kernels.
      name: of the layer.
    """

    def __init__(self, filters=64, dilations=(1, 2, 4, 8, 4, 2), sees_side=True, seed=0, name="ien"):
        super().__init__(_ien(Maker(seed), filters, dilations, sees_side), 1, name)
        self._sees_side = sees_side

    def call(self, x_msf, y_syn):
        """x_hat, float32 `[N, H, W, 3]`."""
        return self.correct(x_msf, y_syn) if self._sees_side else self.correct(x_msf)


class GRDN(Correction):
    """`x_hat = grdn(x_msf, y_syn)`, images as of `IEN`; y_syn is not used, since this is a filter of one image.

    conv 3x3; conv 4x4, stride 2; groups; transposed conv 4x4, stride 2; attention to channels, then to places; conv
    3x3. A group is residual: blocks one after the other, a conv 1x1 of all their outputs. So is a block: convs 3x3 with
    ReLUs, each of which sees the block's input and all outputs before it, and a conv 1x1 of all these.

    Args:
      groups: 4 by default, with 22,033,898 parameters. The numbers that are given for the original go from 4 to 10.
      blocks: in a group.
      convs: in a block.
      filters: channels between blocks.
      growth: channels that a conv inside a block adds.
      seed: of the initial kernels.
      name: of the layer.
    """

    def __init__(self, groups=4, blocks=4, convs=8, filters=64, growth=64, seed=0, name="grdn"):
        super().__init__(_grdn(Maker(seed), groups, blocks, convs, filters, growth), 2, name)

    def call(self, x_msf, y_syn):
        """x_hat, float32 `[N, H, W, 3]`."""
        del y_syn
        return self.correct(x_msf)


class _DilatedConv(tf.keras.layers.Layer):
    """3x3 with taps `dilation` apart, bias, LReLU."""

    def __init__(self, make, filters, dilation, name):
        super().__init__(name=name)
        self._filters, self._dilation = filters, dilation
        self._initializer = tf.keras.initializers.GlorotUniform(make.next_seed())

    def build(self, input_shape):
        shape = (3, 3, input_shape[-1], self._filters)
        self.kernel = self.add_weight("kernel", shape, initializer=self._initializer)
        self.bias = self.add_weight("bias", shape[-1:], initializer="zeros")
        super().build(input_shape)

    def call(self, x):
        return leaky_relu(dilated_conv(x, self.kernel, self._dilation) + self.bias)


def _ien(make, filters, dilations, sees_side):
    inputs = [tf.keras.Input((None, None, 3)) for _ in range(2 if sees_side else 1)]
    x = first = conv(make, filters, name="first")(tf.concat(inputs, axis=-1))
    for b, dilation in enumerate(dilations):
        inner = _DilatedConv(make, filters, dilation, f"block{b}/conv1")(x)
        inner = conv(make, filters, name=f"block{b}/conv2")(inner)
        x += _attend_to_channels(make, inner, _IEN_REDUCTION, [tf.reduce_mean], f"block{b}/attention")
    x = first + conv(make, filters, name="after")(x)
    return tf.keras.Model(inputs, last_conv()(x))


def _grdn(make, groups, blocks, convs, filters, growth):
    image = tf.keras.Input((None, None, 3))
    x = conv(make, filters, name="first")(image)
    x = conv(make, filters, 4, 2, name="down")(x)
    for g in range(groups):
        x = _group(make, x, blocks, convs, growth, f"group{g}")
    x = conv(make, filters, 4, 2, kind=tf.keras.layers.Conv2DTranspose, name="up")(x)
    x = _attend_to_channels(make, x, _CBAM_REDUCTION, [tf.reduce_mean, tf.reduce_max], "attention")
    of_places = tf.concat([pool(x, axis=-1, keepdims=True) for pool in (tf.reduce_mean, tf.reduce_max)], axis=-1)
    x *= conv(make, 1, 7, activation="sigmoid", name="attention/places")(of_places)
    return tf.keras.Model([image], last_conv()(x))


def _group(make, x, blocks, convs, growth, name):
    """GRDB: residual dense blocks in a row, and all their outputs."""
    outputs = [x]
    for b in range(blocks):
        outputs.append(_dense_block(make, outputs[-1], convs, growth, f"{name}/block{b}"))
    return x + conv(make, x.shape[-1], 1, name=f"{name}/join")(tf.concat(outputs[1:], axis=-1))


def _dense_block(make, x, convs, growth, name):
    """RDB."""
    known = x
    for k in range(convs):
        new = conv(make, growth, activation="relu", name=f"{name}/conv{k}")(known)
        known = tf.concat([known, new], axis=-1)
    return x + conv(make, x.shape[-1], 1, name=f"{name}/join")(known)


def _attend_to_channels(make, x, reduction, pools, name):
    """x, each channel times a number in 0 ... 1 that follows from all channels' pools over the image."""
    count = x.shape[-1]
    squeeze = conv(make, max(count // reduction, 1), 1, activation="relu", name=f"{name}/squeeze")
    excite = conv(make, count, 1, name=f"{name}/excite")
    return x * tf.sigmoid(sum(excite(squeeze(pool(x, axis=(1, 2), keepdims=True))) for pool in pools))
