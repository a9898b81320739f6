"""NDIC: what x has in common with y is taken from y, and only the rest is sent.

Mital, Özyılkan, Garjani and Gündüz, "Neural distributed image compression using common information", DCC 2022,
https://arxiv.org/abs/2106.11723, on two backbones. Names as there: v_x and v_y are private to an image, w is common.

The form is that of the released code (github.com/ipc-lab/NDIC), which differs from the paper and its slides in this:

- The published weights and curves come from a decoder with a mistake: its second up-convolution is applied twice, its
  third never. `decoder="published"` is that one, and what preset `paper` has; `decoder="corrected"` applies each once.
  The authors report that training again after the correction did not change much.
- "Ballé 2017" here has the four-layer transform of Ballé 2018 and a factorised prior.
- w gets noise of variance 0.001 in training; v_y and w are never rounded, and their rates only regularise.

What differs from that code: sides need not divide by 16 or 64 (the last row and column are repeated), the hyper
synthesis ends in N channels for every N, likelihoods are computed so that small ones keep their digits, and there are
real bytes.
"""

import tensorflow as tf

from dsin_tf import bitstream, layers
from dsin_tf.entropy import factorized, latents
from dsin_tf.models import codec

DECODERS = ("corrected", "published")

PRESETS = {
    # As published; the rates come from the lambdas of experiments/ndic.py.
    "paper": {"filters": 192, "lmbda": 3e-5, "distortion": "ms-ssim", "decoder": "published"},
    # Trains in tens of minutes on two CPU cores at 128x256.
    "small": {"filters": 32, "lmbda": 8e-4, "distortion": "mse"},
    # For tests.
    "tiny": {"filters": 8, "lmbda": 8e-4, "distortion": "mse"},
}

_COMMON_DEVIATION = 0.001**0.5  # of the noise that w gets in training
_COMMON_STREAM = 2  # of that noise; coders have 0 and 1


class NDIC(codec.TransformCodec):
    """Three encoders and two decoders; what is dotted is for training alone.

        x --> E_x --> v_x ~~~ coder ~~~> v_x --+
                                               +--> D_x --> x_hat
        y --> E_w --> w -----------------------+
                      :........................
        y ..> E_y ..> v_y .....................+..> D_y ..> y_hat

    The loss, with R in bits a pixel and D as of `codec.Codec.rate_distortion`, is

        (R_x + alpha R_y + beta R_w) + lmbda 255^2 (D_x + alpha D_y)

    and what is sent is R_x.

    Args:
      filters: N, channels of every layer but the images'.
      lmbda: weight of the distortion.
      distortion: "mse" (of [0, 1]) or "ms-ssim" (1 - MS-SSIM, window 7).
      alpha: weight of y's rate and distortion, 0 or more.
      beta: weight of the common information's rate, 0 or more.
      decoder: "corrected" or "published", see above.
      seed: of the initial weights and of the noise in training.
    """

    uses_side = True
    latents_name = "v_x"
    training_parts = ("analysis_y", "synthesis_y", "prior_w", "coder_y")

    def __init__(self, filters, lmbda, distortion="mse", alpha=1.0, beta=1.0, decoder="corrected", seed=0):
        if decoder not in DECODERS:
            raise ValueError(f"There is no decoder {decoder!r}; there are: {', '.join(DECODERS)}.")
        for name, value in (("alpha", alpha), ("beta", beta)):
            if not value >= 0:
                raise ValueError(f"{name} is {value!r}; 0 or more was expected.")
        architecture = {"filters": filters, "decoder": decoder}
        super().__init__(lmbda=lmbda, distortion=distortion, seed=seed, architecture=architecture)
        self.alpha, self.beta = float(alpha), float(beta)
        make = layers.Maker(seed)
        self.analysis = layers.analysis(make, filters)
        self.analysis_w = layers.analysis(make, filters, name="analysis_w")
        self.analysis_y = layers.analysis(make, filters, name="analysis_y")
        self.synthesis = self._make_decoder(make, filters)
        self.synthesis_y = layers.synthesis(make, filters, name="synthesis_y")
        self.prior_w = factorized.FactorizedPrior(filters, seed=make.next_seed(), name="prior_w")
        self.build_networks(*((network, 3) for network in (self.analysis, self.analysis_w, self.analysis_y)))
        self.build_networks(*((network, 2 * filters) for network in (self.synthesis, self.synthesis_y)))
        self.coder, self.coder_y = self._make_coder(make, filters, ""), self._make_coder(make, filters, "_y")

    def _make_decoder(self, make, filters):
        """D_x."""
        return layers.synthesis(make, filters)

    def _make_coder(self, make, filters, suffix):
        """An object of `entropy.latents`, for private latents; its layers become attributes, named with the suffix."""
        raise NotImplementedError

    @property
    def settings(self):
        return {**super().settings, "alpha": self.alpha, "beta": self.beta}

    def call(self, inputs, training=False):
        """Codes x and decodes it with y, without bytes.

        Args:
          inputs: (x, y), each `[N, H, W, 3]`, 0 ... 255, uint8 or float.
          training: adds noise in place of rounding, and to w.

        Returns:
          A dict: `x_hat`, `y_hat`, float32 `[N, H, W, 3]` on the 0 ... 255 scale, neither clipped nor rounded;
          `bpp_estimated` `[N]`, of what is sent, over the pixels of x; `bpp_y` and `bpp_w`, which only the loss knows;
          `v_x`, noisy or rounded, `v_y`, `w`, and what the coder adds; `y` as it came in.
        """
        if self.is_stripped:
            raise codec.StrippedError(
                f"{self.name} was saved for coding alone and has no parts to train with. Load the run it was made of."
            )
        x, y = inputs
        v_x, bits_x, more = self.code(x, training)
        v_y, w = (tf.cast(network(self.normalize(y)), tf.float32) for network in (self.analysis_y, self.analysis_w))
        if training:
            w += _COMMON_DEVIATION * self.noise(w, _COMMON_STREAM, normal=True)
        x_hat, y_hat = self.decode(tf.concat([v_x, w], axis=-1), tf.concat([v_y, w], axis=-1), training)
        of_x, of_y = self.result(x, x_hat, bits_x), self.result(y, y_hat, self.coder_y.bits(v_y))
        pixels = tf.cast(tf.shape(x)[1] * tf.shape(x)[2], tf.float32)
        rates = {"bpp_y": of_y["bpp_estimated"], "bpp_w": self.prior_w.bits(w) / pixels}
        return {**of_x, "y_hat": of_y["x_hat"], **rates, "v_x": v_x, "v_y": v_y, "w": w, "y": y, **more}

    def decode(self, of_x, of_y, training=False):
        """The padded images (x_hat, y_hat) in [0, 1] of private and common latents, both `[N, h, w, 2 filters]`."""
        del training
        return self.synthesize(of_x), self.synthesize(of_y, self.synthesis_y)

    def synthesize(self, latents, network=None):
        """The padded image in [0, 1] of private and common latents `[N, h, w, 2 filters]`.

        Args:
          latents: the private ones come first.
          network: the decoder, by default that of x.
        """
        network = network or self.synthesis
        if self._architecture["decoder"] == "corrected":
            return network(latents)
        up1, igdn1, up2, igdn2, _, igdn3, up4 = network.layers
        for layer in (up1, igdn1, up2, igdn2, up2, igdn3, up4):
            latents = layer(latents)
        return latents

    def rate_distortion(self, x, out):
        """As of `Codec`, with the loss above; all other terms are those of x."""
        terms = super().rate_distortion(x, out)
        loss = terms["loss"]
        # What weighs nothing is left out and not multiplied by 0: nothing trains it, and it may have overflowed.
        if self.alpha > 0:
            of_y = super().rate_distortion(out["y"], {"x_hat": out["y_hat"], "bpp_estimated": out["bpp_y"]})
            loss += self.alpha * of_y["loss"]
        if self.beta > 0:
            loss += self.beta * out["bpp_w"]
        return {**terms, "loss": loss}

    # Coding. `compress` is that of the base class and sees x alone.

    @property
    def decoder_networks(self):
        return (self.synthesis, self.analysis_w)

    def decompress(self, blob, y, max_pixels=bitstream.MAX_PIXELS, rounded=True):
        """The image, uint8 `[H, W, 3]`, of a file that `compress` wrote; see `unpack` for errors.

        Args:
          blob: bytes, the whole file.
          y: the side information, uint8, of the same size.
          max_pixels: refuse larger images. Memory and time of decoding grow with them.
          rounded: off for float32 neither clipped nor rounded, which the paper measures PSNR on.

        Raises:
          images.ImageError: y is no image, or of another size.
          ValueError: y is missing.
        """
        header, _ = self.unpack(blob, self.coder.count, max_pixels)
        self.check_side(y, header)
        _, decoded = self.decode_latents(blob, max_pixels)
        return self.picture(header, tf.concat([decoded["v_x"], self.analyze(y, self.analysis_w)], axis=-1), rounded)


class NDICBalle2017(NDIC):
    """NDIC with a factorised prior: 16,323,270 parameters."""

    model_name = "ndic_balle2017"
    training_parts = (*NDIC.training_parts, "prior_y")

    def _make_coder(self, make, filters, suffix):
        prior = factorized.FactorizedPrior(filters, seed=make.next_seed(), name=f"prior{suffix}")
        setattr(self, f"prior{suffix}", prior)
        return latents.Factorized(prior)


class NDICBalle2018(NDIC):
    """NDIC with a hyperprior: 25,025,094 parameters."""

    model_name = "ndic_balle2018"
    training_parts = (*NDIC.training_parts, "hyper_analysis_y", "hyper_synthesis_y", "prior_y")

    def _make_coder(self, make, filters, suffix):
        analysis = layers.hyper_analysis(make, filters, name=f"hyper_analysis{suffix}")
        synthesis = layers.hyper_synthesis(make, filters, name=f"hyper_synthesis{suffix}")
        prior = factorized.FactorizedPrior(filters, seed=make.next_seed(), name=f"prior{suffix}")
        self.build_networks((analysis, filters), (synthesis, filters))
        for name, layer in (("hyper_analysis", analysis), ("hyper_synthesis", synthesis), ("prior", prior)):
            setattr(self, name + suffix, layer)
        return latents.Hyperprior(analysis, synthesis, prior)
