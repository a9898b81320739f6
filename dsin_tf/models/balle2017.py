"""Ballé 2017: one transform with GDN, one factorised prior.

Ballé, Laparra and Simoncelli, "End-to-end optimized image compression", ICLR 2017,
https://arxiv.org/abs/1611.01704; here in the form in which NDIC (Mital et al., DCC 2022,
https://arxiv.org/abs/2106.11723) compares against it: N = 192, images in [0, 1], strides 4, 2, 2.

What differs from Ballé, as in NDIC's code: three layers 9-5-5 with biases, the prior of Ballé 2018 instead of a
piecewise linear density, rounding to plain integers, likelihoods not below 1e-9. What differs from NDIC's code is
that sides need not divide by 16 (the last row and column are repeated) and that there are real bytes.
"""

import tensorflow as tf

from dsin_tf import bitstream, layers
from dsin_tf.entropy import factorized
from dsin_tf.models import codec

PRESETS = {
    # As published; NDIC's rates come from lmbda 2e-4 ... 4.8e-3 for MSE, 4e-6 ... 1.8e-4 for MS-SSIM.
    "paper": {"filters": 192, "lmbda": 3e-5, "distortion": "ms-ssim"},
    # Trains in tens of minutes on two CPU cores at 128x256.
    "small": {"filters": 32, "lmbda": 8e-4, "distortion": "mse"},
    # For tests.
    "tiny": {"filters": 8, "lmbda": 8e-4, "distortion": "mse"},
}


class Balle2017(codec.Codec):
    """x -> analysis -> y -> round -> y_hat -> synthesis -> x_hat, and bits from the prior of y_hat.

    Args:
      filters: N, channels of every layer but the image's.
      lmbda: weight of the distortion; loss = bpp + lmbda * 255^2 * distortion.
      distortion: "mse" (of [0, 1]) or "ms-ssim" (1 - MS-SSIM, window 7).
      seed: of the initial weights and of the noise in training.
    """

    stride = 16

    def __init__(self, filters, lmbda, distortion="mse", seed=0):
        super().__init__(lmbda=lmbda, distortion=distortion, seed=seed, architecture={"filters": filters})
        make = layers.Maker(seed)
        self.analysis = analysis(make, filters)
        self.synthesis = synthesis(make, filters)
        self.prior = factorized.FactorizedPrior(filters, seed=make.next_seed())
        self.build_networks((self.analysis, 3), (self.synthesis, filters))

    def call(self, x, training=False):
        """Codes and decodes without bytes.

        Args:
          x: `[N, H, W, 3]`, 0 ... 255, uint8 or float.
          training: adds uniform noise in place of rounding.

        Returns:
          A dict: `x_hat`, float32 `[N, H, W, 3]` on the 0 ... 255 scale, neither clipped nor rounded;
          `bpp_estimated` `[N]`, over the pixels of x; `y`, the noisy or rounded latents `[N, h, w, filters]`.
        """
        y = tf.cast(self.analysis(self.normalize(x)), tf.float32)
        y_hat = y + self.noise(y) if training else tf.round(y)
        bits = self.prior.bits(y_hat)
        return self.result(x, self.synthesis(y_hat), bits, y=y_hat)

    def prepare_for_coding(self):
        """Makes the tables that `compress` and `decompress` share; to be called once, after training."""
        self.prior.build_tables()
        self.mark_prepared()

    @property
    def coding_parts(self):
        return {"prior": self.prior}

    @property
    def decoder_networks(self):
        return (self.synthesis,)

    def compress(self, x):
        """The file, bytes, of one image, uint8 `[H, W, 3]` of any size."""
        y = self.symbols(self.analyze(x))
        return self.pack(x, [self.prior.compress(y)])

    def decompress(self, blob, max_pixels=bitstream.MAX_PIXELS):
        """The image, uint8 `[H, W, 3]`, of a file that `compress` wrote; see `unpack` for errors.

        Args:
          blob: bytes, the whole file.
          max_pixels: refuse larger images. Memory and time of decoding grow with them.
        """
        header, latents = self.decode_latents(blob, max_pixels)
        return self.picture(header, latents["y"])

    def decode_latents(self, blob, max_pixels=bitstream.MAX_PIXELS):
        """The first half of `decompress`: `(header, {"y": float32 [1, h, w, filters]})`, integers bit by bit."""
        header, (string,) = self.unpack(blob, 1, max_pixels)
        y = self.prior.decompress(string, self.latent_shape(header))
        return header, {"y": tf.cast(y[None], tf.float32)}


def analysis(make, filters):
    """Image `[N, H, W, 3]` to latents `[N, H / 16, W / 16, filters]`."""
    return tf.keras.Sequential(
        [
            make.conv(filters, 9, 4, name="conv1"),
            make.gdn(name="gdn1"),
            make.conv(filters, 5, 2, name="conv2"),
            make.gdn(name="gdn2"),
            make.conv(filters, 5, 2, name="conv3"),
        ],
        name="analysis",
    )


def synthesis(make, filters):
    """Latents `[N, h, w, filters]` to image `[N, 16 h, 16 w, 3]`."""
    return tf.keras.Sequential(
        [
            make.up_conv(filters, 5, 2, name="conv1"),
            make.gdn(inverse=True, name="igdn1"),
            make.up_conv(filters, 5, 2, name="conv2"),
            make.gdn(inverse=True, name="igdn2"),
            make.up_conv(3, 9, 4, name="conv3"),
        ],
        name="synthesis",
    )
