"""Content-weighted compression: a code of bits, and a map that says how many of its channels each place sends.

Li, Zuo, Gu, Zhao and Zhang, "Learning convolutional networks for content-weighted image compression", CVPR 2018,
https://arxiv.org/abs/1703.10553; with the layers of the authors' released network definitions. What the map and the
bits are stands in layers/binarizer.py, how they are coded in entropy/bit_planes.py.

Where paper and release differ: `map_gradient` "local" is the paper's rule, "global" the one that the release has turned
on. What is held at the target is the mean of p, as printed; in the release it is the share of the code that is sent,
which is smaller by about 1 / 2L. The release's optional push towards bits that are 0 is left out.

Ours, where neither is clear or at hand: ReLUs after all convolutions that begin a stage; one unit for both terms of the
loss (see the class); gamma, 32 times the larger released one, since there Euclidean distances are divided by a batch of
32 and gradients of the map are not; a fifth of training without map; coding by counts unless `context` is "learned",
and then by a network that differs from the paper's (see `bit_planes.PlaneContext`).
"""

import tensorflow as tf

from dsin_tf import bitstream, layers
from dsin_tf.layers.residual import Residual
from dsin_tf.models import binary_codec, codec

PRESETS = {
    # As released for less than half a bit a pixel; above that 128 channels and 32 levels. Rates come from target_share.
    "paper": {
        "filters": 128,
        "channels": 64,
        "levels": 16,
        "target_share": 0.33,
        "steps_without_map": 32_000,
    },
    # Ours, for two CPU cores: a third of the filters and half the code.
    "small": {
        "filters": 48,
        "channels": 32,
        "levels": 16,
        "target_share": 0.33,
        "steps_without_map": 2000,
    },
    # For tests.
    "tiny": {
        "filters": 8,
        "channels": 8,
        "levels": 4,
        "target_share": 0.33,
        "steps_without_map": 2,
    },
}

_MIDDLE = _SCALE = 127.5  # of 0 ... 255
_SYNTHESIS_HALO = 8  # 1 for each convolution and 2 for each block at the code's size, less than 2 for the others


class ContentWeighted(binary_codec.BinaryCodec):
    """The code passes where the map lets it.

        x -> analysis -> F --+--> to_map -> p -> levels -> mask
                             |                              |
                             +--> to_code -> e -> bits --> (*) -> code -> synthesis -> x_hat

    F, and with it map and code, has an eighth of the image's sides. The loss is, for each place of the map,

        |x - x_hat|^2 / 2 of its 8 x 8 pixels in -1 ... 1  +  gamma max(mean(p) - r, 0)

    with means over all places of a batch: below the target r the rate does not matter.

    Args:
      filters: channels at 1/4 of the sides, of which the other layers have multiples; a multiple of 8.
      channels: n, of the code; a multiple of `levels`.
      levels: L, of the map; a power of two.
      target_share: r, the share of the code's channels that the rate is not driven below, 0 ... 1.
      gamma: weight of the rate above its target.
      context, map_gradient, steps_without_map: as of `binary_codec.BinaryCodec`.
      distortion: "mse".
      seed: of the initial weights.
    """

    distortions = ("mse",)
    model_name = "content_weighted"
    analysis_halo = 72  # 6 for the convolution that begins, 8 and 16 for every block, 8 for the other convolutions

    def __init__(
        self,
        filters=128,
        channels=64,
        levels=16,
        target_share=0.33,
        gamma=9.6,
        context="counts",
        map_gradient="local",
        steps_without_map=0,
        distortion="mse",
        seed=0,
    ):
        if not 0 < target_share <= 1:
            raise ValueError(f"target_share is {target_share!r}; above 0 and at most 1 was expected.")
        if not gamma > 0:
            raise ValueError(f"gamma is {gamma!r}; a number above 0 was expected.")
        if filters % 8:
            raise ValueError(f"filters is {filters}; a multiple of 8 was expected, one eighth goes to the last layers.")
        super().__init__(
            codes={"code": channels},
            masked=["code"],
            levels=levels,
            context=context,
            map_gradient=map_gradient,
            steps_without_map=steps_without_map,
            distortion=distortion,
            seed=seed,
            architecture={"filters": filters, "channels": channels},
        )
        self.target_share, self.gamma = float(target_share), float(gamma)
        blocks = layers.ResidualMaker(layers.Maker(seed), norm=False)
        self.analysis = _analysis(blocks, filters)
        self.to_code = binary_codec.to_code(blocks, channels)
        self.to_map = binary_codec.to_map(blocks, filters)
        self.synthesis = _synthesis(blocks, filters)
        self.build_networks(
            (self.analysis, 3),
            (self.to_code, 2 * filters),
            (self.to_map, 2 * filters),
            (self.synthesis, channels),
        )

    @property
    def settings(self):
        return {**super().settings, "target_share": self.target_share, "gamma": self.gamma}

    @property
    def variant(self):
        """ "", or "learned_context"."""
        return "learned_context" if self.contexts else ""

    # What `call` is made of.

    def normalize(self, x):
        """`[N, H, W, 3]`, 0 ... 255, any type -> float32 in -1 ... 1, the edges repeated up to multiples of 8."""
        return (layers.pad_to_multiple(tf.cast(x, tf.float32), self.stride) - _MIDDLE) / _SCALE

    def encode(self, x, training=False):
        features = self.analysis(x, training=training)
        p, e = (tf.sigmoid(tf.cast(network(features), tf.float32)) for network in (self.to_map, self.to_code))
        return p, {"code": e}

    def decode(self, code, training=False):
        """Codes `[N, h, w, n]`, 0 or 1, to images float32 `[N, 8 h, 8 w, 3]`, about 0 ... 255, not clipped."""
        return _MIDDLE + _SCALE * tf.cast(self.synthesis(code, training=training), tf.float32)

    def call(self, x, training=False):
        """Codes and decodes without bytes.

        Args:
          x: `[N, H, W, 3]`, 0 ... 255, uint8 or float.
          training: as of `code`.

        Returns:
          A dict: `x_hat`, float32 `[N, H, W, 3]`, 0 ... 255, neither clipped nor rounded; what `code` returns.
        """
        code = self.code(x, training)
        return {"x_hat": self.crop(self.decode(code["code"], training), x), **code}

    # Training.

    def rate_distortion(self, x, out):
        """The loss and its terms; see the class. All are `[N]` but `rate`, the hinge's term, which is a scalar."""
        mse = codec.mean_square(tf.cast(x, tf.float32) - out["x_hat"])
        distortion = 3 * self.stride**2 / 2 * mse / _SCALE**2
        rate = self.gamma * tf.maximum(tf.reduce_mean(out["p_mean"]) - self.target_share, 0)
        return {**self.terms(x, out, distortion + rate), "rate": rate}

    # Coding. `compress` is `BinaryCodec`'s.

    @property
    def decoder_networks(self):
        return (self.synthesis,)

    def decompress(self, blob, max_pixels=bitstream.MAX_PIXELS):
        """The image, uint8 `[H, W, 3]`, of a file that `compress` wrote; see `unpack` for errors.

        Args:
          blob: bytes, the whole file.
          max_pixels: refuse larger images. Memory and time of decoding grow with them.
        """
        header, latents = self.decode_latents(blob, max_pixels)

        def pixels(part):
            return codec.to_pixels(self.decode(part) / 255)

        x_hat = layers.in_strips(pixels, latents["code"], self.stride, _SYNTHESIS_HALO)
        return x_hat[0, : header.height, : header.width].numpy()


def _analysis(blocks, filters):
    """Image `[N, H, W, 3]` to F, `[N, H / 8, W / 8, 2 filters]`."""
    return tf.keras.Sequential(
        [
            blocks.conv(filters, 8, 4, tf.nn.relu, "conv1"),
            _block(blocks, filters, filters, "block1"),
            blocks.conv(2 * filters, 4, 2, tf.nn.relu, "conv2"),
            _block(blocks, filters, 2 * filters, "block2"),
            blocks.conv(2 * filters, 3, 1, tf.nn.relu, "conv3"),
            _block(blocks, filters, 2 * filters, "block3"),
        ],
        name="analysis",
    )


def _synthesis(blocks, filters):
    """Code `[N, h, w, n]` to image `[N, 8 h, 8 w, 3]`."""
    return tf.keras.Sequential(
        [
            blocks.conv(4 * filters, 3, 1, tf.nn.relu, "conv1"),
            _block(blocks, filters, 4 * filters, "block1"),
            blocks.conv(4 * filters, 3, 1, tf.nn.relu, "conv2"),
            _block(blocks, filters, 4 * filters, "block2"),
            _depth_to_space(2),
            blocks.conv(2 * filters, 3, 1, tf.nn.relu, "conv3"),
            _block(blocks, filters, 2 * filters, "block3"),
            _depth_to_space(4),
            blocks.conv(filters // 4, 3, 1, tf.nn.relu, "conv4"),
            blocks.conv(3, 3, 1, None, "conv5"),
        ],
        name="synthesis",
    )


def _block(blocks, filters, channels, name):
    """x + ReLU(conv 3x3(ReLU(conv 3x3))). The ReLU after the sum would change nothing: no x here is negative."""
    inner = [blocks.conv(filters, 3, 1, tf.nn.relu, "conv1"), blocks.conv(channels, 3, 1, tf.nn.relu, "conv2")]
    return Residual(inner, name)


def _depth_to_space(factor):
    return tf.keras.layers.Lambda(lambda x: tf.nn.depth_to_space(x, factor), name=f"depth_to_space{factor}")
