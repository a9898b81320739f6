"""Ballé 2018: Gaussians whose scales a hyperprior tells.

Ballé, Minnen, Singh, Hwang and Johnston, "Variational image compression with a scale hyperprior", ICLR 2018,
https://arxiv.org/abs/1802.01436; here in the form in which NDIC (Mital et al., DCC 2022,
https://arxiv.org/abs/2106.11723) compares against it: N = M = 192, images in [0, 1].

What differs from Ballé, as in NDIC's code: no ReLU between the first two layers of the hyper analysis, and the hyper
synthesis gives the standard deviation itself. What differs from NDIC's code: its hyper synthesis ends in 192 channels
whatever N is, here in N; sides need not divide by 64 (the last row and column are repeated); likelihoods are computed
so that small ones keep their digits; and there are real bytes, for which the hyper synthesis is computed in integers.
"""

from dsin_tf import layers
from dsin_tf.entropy import factorized, latents
from dsin_tf.models import codec

PRESETS = {
    # As published; NDIC's rates come from lmbda 2e-4 ... 4.8e-3 for MSE, 4e-6 ... 2.6e-4 for MS-SSIM.
    "paper": {"filters": 192, "lmbda": 3e-5, "distortion": "ms-ssim"},
    # Trains in tens of minutes on two CPU cores at 128x256.
    "small": {"filters": 32, "lmbda": 8e-4, "distortion": "mse"},
    # For tests.
    "tiny": {"filters": 8, "lmbda": 8e-4, "distortion": "mse"},
}


class Balle2018(codec.TransformCodec):
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
        self.coder = latents.Hyperprior(self.hyper_analysis, self.hyper_synthesis, self.prior)
