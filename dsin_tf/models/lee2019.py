"""Lee 2019: Gaussians with mean and scale from a hyperprior and from the latents decoded before.

Lee, Cho and Beack, "Context-adaptive entropy model for end-to-end optimized image compression", ICLR 2019,
https://arxiv.org/abs/1809.10452. It is what Wang et al. (DCC 2022; see dsc_msf.py) compare with, by all that their
slides tell, and what their codec of single images is here.

As in the authors' released program: latents at 1/16 and hyper latents at 1/64 of the image's sides, three stages with
GDN, M = 192 latent channels, Gaussians integrated over a unit box. Ours, where that program leaves it open or where
real bytes ask for it:

- The layers' widths, N = 128, and the hyper networks are as in Minnen, Ballé and Toderici (NeurIPS 2018,
  https://arxiv.org/abs/1809.02736), and so is the context model: a masked 5x5 convolution before the dense layers. The
  program has windows of 4x4 of the decoded latents and of the hyper synthesis' output.
- Latents are rounded at whole distances from their means, not to integers.
- The prior of z is the factorised one of the Ballé models; the program has a Gaussian for each channel.
- The hybrid model of the four higher rates is left out: it begins at 0.7 bits a pixel.
- `context="none"` leaves the context model out. That is another, faster codec with a name of its own in all tables,
  `lee2019-no_context`: a hyperprior with means and scales.
"""

import tensorflow as tf

from dsin_tf import layers
from dsin_tf.entropy import context2d, factorized, hyperprior, latents
from dsin_tf.models import codec

CONTEXTS = ("ar", "none")

PRESETS = {
    # The released configuration's channels; lmbda 1e-4 ... 3.2e-3 are near 0.02 ... 0.2 bits a pixel on streets.
    "paper": {"filters": 128, "latents": 192, "context": "ar", "lmbda": 1e-4, "distortion": "mse"},
    # Ours, for two CPU cores.
    "small": {"filters": 48, "latents": 64, "context": "ar", "lmbda": 1e-4, "distortion": "mse"},
    # For tests.
    "tiny": {"filters": 8, "latents": 12, "context": "ar", "lmbda": 8e-4, "distortion": "mse"},
}


class Lee2019(codec.TransformCodec):
    """A hyperprior, and with it what is already decoded, tell where y is and how widely it scatters.

        x -> analysis -> y ------------- round at mu + k ----------> y_hat -> synthesis -> x_hat
                         |                                            |
                  hyper analysis -> z -> round -> hyper synthesis -> context model -> mu, sigma
                                                                      |
                                                     y_hat above and to the left

    For coding, mu and sigma are computed in integer arithmetic, the same on every machine.

    Args:
      filters: N, channels of the transforms' layers.
      latents: M, channels of y.
      context: "ar", or "none" for mu and sigma from the hyper synthesis alone.
      lmbda: weight of the distortion; loss = bpp + lmbda * 255^2 * distortion.
      distortion: "mse" (of [0, 1]) or "ms-ssim" (1 - MS-SSIM, window 7).
      seed: of the initial weights and of the noise in training.
    """

    def __init__(self, filters, latents, context, lmbda, distortion="mse", seed=0):
        if context not in CONTEXTS:
            raise ValueError(f"There is no context {context!r}; there are: {', '.join(CONTEXTS)}.")
        architecture = {"filters": filters, "latents": latents, "context": context}
        super().__init__(lmbda=lmbda, distortion=distortion, seed=seed, architecture=architecture)
        make_networks(self, layers.Maker(seed), filters, latents, context)

    @property
    def variant(self):
        """ "", or "no_context"."""
        return "" if self._architecture["context"] == "ar" else "no_context"


def make_networks(model, make, filters, channels, context):
    """Gives a model the networks of this codec, and its `coder`.

    Args:
      model: a `codec.TransformCodec`.
      make: a `layers.Maker`.
      filters, channels, context: N, M and which context, as of `Lee2019`.
    """
    model.analysis = layers.analysis(make, filters, channels)
    model.synthesis = layers.synthesis(make, filters)
    model.hyper_analysis = hyper_analysis(make, filters)
    model.hyper_synthesis = hyper_synthesis(make, filters, channels)
    model.prior = factorized.FactorizedPrior(filters, seed=make.next_seed())
    model.build_networks(
        (model.analysis, 3),
        (model.synthesis, channels),
        (model.hyper_analysis, channels),
        (model.hyper_synthesis, filters),
    )
    networks = (model.hyper_analysis, model.hyper_synthesis, model.prior)
    if context == "ar":
        model.context = context2d.Context2D(channels, make.next_seed())
        model.coder = latents.Context(*networks, model.context)
    else:
        model.coder = latents.MeanScale(*networks)


def hyper_analysis(make, filters):
    """Latents `[N, h, w, M]` to hyper latents `[N, h / 4, w / 4, filters]`."""
    return tf.keras.Sequential(
        [
            make.conv(filters, 3, 1, activation=hyperprior.leaky_relu, name="conv1"),
            make.conv(filters, 5, 2, activation=hyperprior.leaky_relu, name="conv2"),
            make.conv(filters, 5, 2, name="conv3"),
        ],
        name="hyper_analysis",
    )


def hyper_synthesis(make, filters, channels):
    """Hyper latents `[N, h / 4, w / 4, filters]` to `[N, h, w, 2 channels]`: logarithms of sigma, then means."""
    return tf.keras.Sequential(
        [
            make.up_conv(filters, 5, 2, activation=hyperprior.leaky_relu, name="conv1"),
            make.up_conv(channels, 5, 2, activation=hyperprior.leaky_relu, name="conv2"),
            make.conv(2 * channels, 3, 1, name="conv3"),
        ],
        name="hyper_synthesis",
    )
