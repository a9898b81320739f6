"""Ballé 2017: one transform with GDN, one factorised prior.

Ballé, Laparra and Simoncelli, "End-to-end optimized image compression", ICLR 2017,
https://arxiv.org/abs/1611.01704; here in the form in which NDIC (Mital et al., DCC 2022,
https://arxiv.org/abs/2106.11723) compares against it: N = 192, images in [0, 1], strides 4, 2, 2.

What differs from Ballé, as in NDIC's code: three layers 9-5-5 with biases, the prior of Ballé 2018 instead of a
piecewise linear density, rounding to plain integers, likelihoods not below 1e-9. What differs from NDIC's code is
that sides need not divide by 16 (the last row and column are repeated) and that there are real bytes.
"""

import tensorflow as tf

from dsin_tf import layers
from dsin_tf.entropy import factorized, latents
from dsin_tf.models import codec

PRESETS = {
    # As published; NDIC's rates come from lmbda 2e-4 ... 4.8e-3 for MSE, 4e-6 ... 1.8e-4 for MS-SSIM.
    "paper": {"filters": 192, "lmbda": 3e-5, "distortion": "ms-ssim"},
    # Trains in tens of minutes on two CPU cores at 128x256.
    "small": {"filters": 32, "lmbda": 8e-4, "distortion": "mse"},
    # For tests.
    "tiny": {"filters": 8, "lmbda": 8e-4, "distortion": "mse"},
}


class Balle2017(codec.TransformCodec):
    """x -> analysis -> y -> round -> y_hat -> synthesis -> x_hat, and bits from the prior of y_hat.

    Args:
      filters: N, channels of every layer but the image's.
      lmbda: weight of the distortion; loss = bpp + lmbda * 255^2 * distortion.
      distortion: "mse" (of [0, 1]) or "ms-ssim" (1 - MS-SSIM, window 7).
      seed: of the initial weights and of the noise in training.
    """

    def __init__(self, filters, lmbda, distortion="mse", seed=0):
        super().__init__(lmbda=lmbda, distortion=distortion, seed=seed, architecture={"filters": filters})
        make = layers.Maker(seed)
        self.analysis = analysis(make, filters)
        self.synthesis = synthesis(make, filters)
        self.prior = factorized.FactorizedPrior(filters, seed=make.next_seed())
        self.build_networks((self.analysis, 3), (self.synthesis, filters))
        self.coder = latents.Factorized(self.prior)


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
