"""Multi-scale fusion: corrects the decoded image by a side image that fits here and does not fit there.

Wang, Shi, Xing, Ling and Yin, "Deep correlated image set compression based on distributed source coding and multi-scale
fusion", DCC 2022. That the fusion has several scales is published; of its layers nothing is, and there is no code. What
follows is ours. At each scale, from full size down, with c channels and B residual blocks in a chain:

    pyramids   F_x, F_y = conv 3x3 and chain, of x_dec and of (y_syn, score); below, with stride 2, of those above
    gate       G = sigmoid(conv 3x3(LReLU(conv 3x3(F_x, F_y))))
    fusion     F = F_x + G * conv 1x1(F_y), then a residual block
    decoder    D = conv 3x3 and chain, of (up, F); up is the D below after conv 3x3 to 4 c and depth to space;
               at the coarsest scale D = F

and x_msf = x_dec + conv 3x3(D) at full size.

LReLU(v) = max(v, v / 5); a residual block is v + conv 3x3(LReLU(conv 3x3(v))). The two pyramids have weights of their
own. The score tells the gate where the side image can be trusted.
"""

import tensorflow as tf

from dsin_tf.layers.correction import Correction, conv, last_conv, leaky_relu
from dsin_tf.layers.transforms import Maker

_SINGLE_SCALE_BLOCKS = 3  # times as many residual blocks without the other scales


class MultiScaleFusion(Correction):
    """`x_msf = fusion(x_dec, y_syn, score)`; x_dec itself at the start. 2,694,403 parameters by default.

    The ablation has full size alone, where D is conv 3x3 and chain of F: three times the residual blocks, and the
    number of channels that comes closest to the same number of parameters (`single_scale_width`), so that it measures
    the scales and not the size. With all its convolutions at full size it costs three to four times the operations.

    Args:
      channels: at each scale, from full size down; each has half the sides of the one before.
      blocks: B.
      multi_scale: off for the ablation.
      seed: of the initial kernels.
      name: of the layer.
    """

    def __init__(self, channels=(48, 64, 96), blocks=2, multi_scale=True, seed=0, name="fusion"):
        if not multi_scale:
            channels, blocks = (single_scale_width(channels, blocks),), _SINGLE_SCALE_BLOCKS * blocks
        super().__init__(_network(Maker(seed), channels, blocks), 2 ** (len(channels) - 1), name)

    def call(self, x_dec, y_syn, score):
        """x_msf, float32 `[N, H, W, 3]`.

        Args:
          x_dec, y_syn: float32 `[N, H, W, 3]`, about 0 ... 1.
          score: float32 `[N, H, W, 1]`, how well y_syn fits, -1 ... 1.
        """
        return self.correct(x_dec, tf.concat([y_syn, score], axis=-1))


def _network(make, channels, blocks):
    """The correction of a list of x `[N, H, W, 3]` and y `[N, H, W, 4]`."""
    of_x, of_y = inputs = [tf.keras.Input((None, None, count)) for count in (3, 4)]
    fused = []
    for k, count in enumerate(channels):
        name, stride = _scale(k), 1 if k == 0 else 2
        of_x = _chain(make, of_x, count, stride, blocks, f"{name}/x")
        of_y = _chain(make, of_y, count, stride, blocks, f"{name}/y")
        gate = conv(make, count, activation=leaky_relu, name=f"{name}/gate1")(tf.concat([of_x, of_y], axis=-1))
        gate = conv(make, count, activation="sigmoid", name=f"{name}/gate2")(gate)
        taken = conv(make, count, 1, name=f"{name}/taken")(of_y)
        fused.append(_residual_block(make, of_x + gate * taken, f"{name}/fused"))
    decoded = fused[-1]
    for k in reversed(range(len(channels) - 1)):
        up = conv(make, 4 * channels[k], name=f"{_scale(k)}/up")(decoded)
        joined = tf.concat([tf.nn.depth_to_space(up, 2), fused[k]], axis=-1)
        decoded = _chain(make, joined, channels[k], 1, blocks, f"{_scale(k)}/decoder")
    if len(channels) == 1:
        decoded = _chain(make, decoded, channels[0], 1, blocks, f"{_scale(0)}/decoder")
    return tf.keras.Model(inputs, last_conv()(decoded))


def _scale(k):
    return f"scale{2**k}"


def _chain(make, x, count, stride, blocks, name):
    x = conv(make, count, 3, stride, name=f"{name}/conv")(x)
    for b in range(blocks):
        x = _residual_block(make, x, f"{name}/block{b}")
    return x


def _residual_block(make, x, name):
    count = x.shape[-1]
    inner = conv(make, count, activation=leaky_relu, name=f"{name}/conv1")(x)
    return x + conv(make, count, name=f"{name}/conv2")(inner)


def single_scale_width(channels, blocks):
    """How many channels one scale needs to have about as many parameters as these scales have; see the ablation.

    The nearest whole number: 84 and 0.3 % fewer parameters by default, 29 and 1.9 % fewer for (16, 24, 32).
    """
    wanted = _parameters(channels, blocks)
    candidates = range(1, sum(channels) + 1)
    return min(candidates, key=lambda count: abs(_parameters([count], _SINGLE_SCALE_BLOCKS * blocks) - wanted))


def _parameters(channels, blocks):
    """The size of `_network`."""

    def conv(c_in, c_out, taps=9):
        return (taps * c_in + 1) * c_out

    def chain(c_in, c_out):
        return conv(c_in, c_out) + 2 * blocks * conv(c_out, c_out)

    total = conv(channels[0], 3)
    for of_x, of_y, count in zip([3, *channels], [4, *channels], channels):
        total += chain(of_x, count) + chain(of_y, count)
        total += conv(2 * count, count) + 3 * conv(count, count) + conv(count, count, taps=1)
    for fine, coarse in zip(channels, channels[1:]):
        total += conv(coarse, 4 * fine) + chain(2 * fine, fine)
    return total if len(channels) > 1 else total + chain(channels[0], channels[0])
