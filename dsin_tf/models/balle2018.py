"""Ballé 2018: Gaussians whose scales a hyperprior tells.

Ballé, Minnen, Singh, Hwang and Johnston, "Variational image compression with a scale hyperprior", ICLR 2018,
https://arxiv.org/abs/1802.01436; here in the form in which NDIC (Mital et al., DCC 2022,
https://arxiv.org/abs/2106.11723) compares against it: N = M = 192, images in [0, 1].

What differs from Ballé, as in NDIC's code: no ReLU between the first two layers of the hyper analysis, and the hyper
synthesis gives the standard deviation itself. What differs from NDIC's code: its hyper synthesis ends in 192 channels
whatever N is, here in N; sides need not divide by 64 (the last row and column are repeated); likelihoods are computed
so that small ones keep their digits; and there are real bytes, for which the hyper synthesis is computed in integers.
"""

import tensorflow as tf

from dsin_tf import bitstream, layers
from dsin_tf.entropy import factorized, hyperprior
from dsin_tf.models import codec

PRESETS = {
    # As published; NDIC's rates come from lmbda 2e-4 ... 4.8e-3 for MSE, 4e-6 ... 2.6e-4 for MS-SSIM.
    "paper": {"filters": 192, "lmbda": 3e-5, "distortion": "ms-ssim"},
    # Trains in tens of minutes on two CPU cores at 128x256.
    "small": {"filters": 32, "lmbda": 8e-4, "distortion": "mse"},
    # For tests.
    "tiny": {"filters": 8, "lmbda": 8e-4, "distortion": "mse"},
}


class Balle2018(codec.Codec):
    """Two levels of latents; z tells how widely y scatters.

        x -> analysis -> y --------- round -------> y_hat -> synthesis -> x_hat
                         |                            |
                        |y|                         bits: Gaussian(0, sigma)
                         |                            |
                  hyper analysis -> z -> round -> z_hat -> hyper synthesis -> sigma
                                                    |
                                                  bits: prior

    For coding, sigma is computed from z_hat in integer arithmetic, the same on every machine.

    Args:
      filters: N, channels of every layer but the image's.
      lmbda: weight of the distortion; loss = bpp + lmbda * 255^2 * distortion.
      distortion: "mse" (of [0, 1]) or "ms-ssim" (1 - MS-SSIM, window 7).
      seed: of the initial weights and of the noise in training.
    """

    stride = 64

    def __init__(self, filters, lmbda, distortion="mse", seed=0):
        super().__init__(lmbda=lmbda, distortion=distortion, seed=seed, architecture={"filters": filters})
        make = layers.Maker(seed)
        self.analysis = layers.analysis(make, filters)
        self.synthesis = layers.synthesis(make, filters)
        self.hyper_analysis = layers.hyper_analysis(make, filters)
        self.hyper_synthesis = layers.hyper_synthesis(make, filters)
        self.prior = factorized.FactorizedPrior(filters, seed=make.next_seed())
        networks = (self.synthesis, self.hyper_analysis, self.hyper_synthesis)
        self.build_networks((self.analysis, 3), *((network, filters) for network in networks))
        self.scale_tables = hyperprior.ScaleTables()
        self.exact_scales = hyperprior.ExactParameters(self.hyper_synthesis)

    def call(self, x, training=False):
        """Codes and decodes without bytes.

        Args:
          x: `[N, H, W, 3]`, 0 ... 255, uint8 or float.
          training: adds uniform noise in place of rounding.

        Returns:
          A dict: `x_hat`, float32 `[N, H, W, 3]` on the 0 ... 255 scale, neither clipped nor rounded;
          `bpp_estimated` `[N]`, over the pixels of x; `y` and `z`, the noisy or rounded latents; `sigma`.
        """
        y = tf.cast(self.analysis(self.normalize(x)), tf.float32)
        z = tf.cast(self.hyper_analysis(tf.abs(y)), tf.float32)
        if training:
            y_hat, z_hat = y + self.noise(y, stream=0), z + self.noise(z, stream=1)
        else:
            y_hat, z_hat = tf.round(y), tf.round(z)
        sigma = self.hyper_synthesis(z_hat)
        bits = hyperprior.bits(y_hat, sigma) + self.prior.bits(z_hat)
        return self.result(x, self.synthesis(y_hat), bits, y=y_hat, z=z_hat, sigma=sigma)

    def prepare_for_coding(self):
        """Makes the tables and integers that `compress` and `decompress` share; to be called once, after training."""
        self.prior.build_tables()
        self.scale_tables.build_tables()
        self.exact_scales.quantize()
        self.mark_prepared()

    @property
    def coding_parts(self):
        return {"prior": self.prior, "scale_tables": self.scale_tables, "exact_scales": self.exact_scales}

    @property
    def decoder_networks(self):
        return (self.synthesis,)

    def compress(self, x):
        """The file, bytes, of one image, uint8 `[H, W, 3]` of any size."""
        y = self.analyze(x)
        z = self.symbols(self.hyper_analysis(tf.abs(y)))
        y = self.symbols(y)
        return self.pack(x, [self.prior.compress(z), self.scale_tables.compress(y, self.exact_scales.tiles(z))])

    def decompress(self, blob, max_pixels=bitstream.MAX_PIXELS):
        """The image, uint8 `[H, W, 3]`, of a file that `compress` wrote; see `unpack` for errors.

        Args:
          blob: bytes, the whole file.
          max_pixels: refuse larger images. Memory and time of decoding grow with them.
        """
        header, latents = self.decode_latents(blob, max_pixels)
        return self.picture(header, latents["y"])

    def decode_latents(self, blob, max_pixels=bitstream.MAX_PIXELS):
        """The first half of `decompress`: the header and integers `{"y": [1, h, w, filters], "z"}`, as float32."""
        header, (z_string, y_string) = self.unpack(blob, 2, max_pixels)
        z = self.prior.decompress(z_string, self.latent_shape(header, 64))
        shape = (*self.latent_shape(header), z.shape[-1])
        y = self.scale_tables.decompress(y_string, shape, self.exact_scales.tiles(z))
        return header, {"y": tf.cast(y[None], tf.float32), "z": tf.cast(z[None], tf.float32)}
