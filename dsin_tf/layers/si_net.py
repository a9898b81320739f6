"""SI-Net: makes one image of two, the decoded one and the synthesised side image.

Source: Ayzik and Avidan, "Deep image compression using decoder side information", ECCV 2020,
https://arxiv.org/abs/2001.04753. Its shape is that of Chen, Xu and Koltun, "Fast image processing with
fully-convolutional networks", ICCV 2017, https://arxiv.org/abs/1709.00643.

Dilations reach 128, further than a small image is wide. Convolutions are computed on every d-th pixel at a time, as
ordinary ones, and without the taps that lie outside of the image for every pixel. That is the same function, and it
trains on CPUs: TensorFlow's own dilated convolution has a gradient there only with oneDNN, and then takes about five
times as long for it where the dilation is 32 or more.
"""

import tensorflow as tf

DILATIONS = (1, 2, 4, 8, 16, 32, 64, 128, 1)
HALO = sum(DILATIONS)  # pixels to either side that a pixel can depend on


class SINet(tf.keras.Sequential):
    """`[N, H, W, 6]` to `[N, H, W, 3]`, both normalised; x_dec comes first, then y_syn.

    Nine 3x3 convolutions with biases and leaky ReLUs, zeros outside of the image, then a 1x1 convolution. At the start
    the nine hand their input on, and the last one is random. 75,843 parameters with 32 filters.

    Args:
      filters: channels between the layers.
      seed: of the last kernel.
      name: of the network.
    """

    def __init__(self, filters=32, seed=0, name="si_net"):
        hidden = [_DilatedConv(filters, dilation, name=f"conv{k}") for k, dilation in enumerate(DILATIONS, start=1)]
        last = tf.keras.layers.Conv2D(
            3, 1, kernel_initializer=tf.keras.initializers.GlorotUniform(seed), name="conv_last"
        )
        super().__init__([*hidden, last], name=name)


class _DilatedConv(tf.keras.layers.Layer):
    """3x3, dilated, then max(v, v / 5)."""

    def __init__(self, filters, dilation, name):
        super().__init__(name=name)
        self._filters, self._dilation = filters, dilation

    def build(self, input_shape):
        shape = (3, 3, input_shape[-1], self._filters)
        self.kernel = self.add_weight("kernel", shape, initializer=_identity)
        self.bias = self.add_weight("bias", shape[-1:], initializer="zeros")
        super().build(input_shape)

    def call(self, x):
        return tf.nn.leaky_relu(dilated_conv(x, self.kernel, self._dilation) + self.bias, alpha=0.2)


def dilated_conv(x, kernel, dilation):
    """The correlation of x with a 3x3 kernel whose taps are `dilation` apart; zeros outside.

    Args:
      x: `[N, H, W, C]`.
      kernel: `[3, 3, C, C']`.
      dilation: 1 or more.

    Returns:
      `[N, H, W, C']`.
    """
    steps = [dilation, dilation]
    for axis in (0, 1):
        side = x.shape[1 + axis]
        if side is not None and side <= dilation:
            kernel = kernel[1:2] if axis == 0 else kernel[:, 1:2]
            steps[axis] = 1
    if steps == [1, 1]:
        return tf.nn.conv2d(x, kernel, 1, "SAME")
    sides = tf.shape(x)[1:3]
    crops = [[0, -sides[axis] % step] for axis, step in enumerate(steps)]
    every_step = tf.space_to_batch(x, steps, crops)
    return tf.ensure_shape(
        tf.batch_to_space(tf.nn.conv2d(every_step, kernel, 1, "SAME"), steps, crops),
        (*x.shape[:3], kernel.shape[-1]),
    )


def _identity(shape, dtype=None, **_):
    """A kernel that hands each channel on to the one of the same number."""
    centre = tf.eye(shape[2], shape[3], dtype=dtype or tf.float32)
    return tf.pad(centre[None, None], [[1, 1], [1, 1], [0, 0], [0, 0]])
