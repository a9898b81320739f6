"""How a model's latents are counted and coded: by a factorised prior, a hyperprior, or a context model besides.

One interface, so that a model does not depend on which of them it has. All are made of layers that the model owns;
these objects hold no weights themselves.
"""

import numpy as np
import tensorflow as tf

from dsin_tf.entropy import context2d, hyperprior


class Factorized:
    """Latents `[N, h, w, C]` with one density a channel.

    Args:
      prior: a `factorized.FactorizedPrior` of C channels.

    Attributes:
      stride: of an image's sides, so that its latents fit; each latent stands for 16 x 16 pixels.
      count: strings of a file.
      parts: `{name: part}` of the coder's tables, as of `codec.Codec.coding_parts`.
    """

    stride = 16
    count = 1

    def __init__(self, prior):
        self._prior = prior
        self.parts = {"prior": prior}

    def __call__(self, latents, noise=None):
        """What the decoder gets, and what that costs.

        Args:
          latents: float32 `[N, h, w, C]`.
          noise: draws uniform noise in place of rounding, `noise(like, stream)`; None rounds.

        Returns:
          `(latents, bits, more)`: noisy or rounded latents; float32 `[N]`; a dict of what else there is to know.
        """
        latents = tf.round(latents) if noise is None else latents + noise(latents, 0)
        return latents, self._prior.bits(latents), {}

    def bits(self, latents):
        """What latents cost that are neither rounded nor noisy: float32 `[N]`."""
        return self._prior.bits(latents)

    def prepare(self):
        """Makes the tables for coding, once, after training."""
        self._prior.build_tables()

    def compress(self, latents, symbols):
        """The strings of latents `[1, h, w, C]`; `symbols` makes integers `[h, w, C]` of them."""
        return [self._prior.compress(symbols(latents))]

    def decompress(self, strings, shape):
        """`{"latents": integers [h, w, C]}` of strings; `shape(cell)` is (h, w) where a value has `cell`^2 pixels."""
        (string,) = strings
        return {"latents": self._prior.decompress(string, shape(16))}


class Hyperprior:
    """The same with Gaussians whose scales come from hyper latents z, sent first.

        latents -> |.| -> hyper analysis -> z -> round -> hyper synthesis -> sigma

    Args:
      analysis, synthesis: the hyper networks.
      prior: a `factorized.FactorizedPrior`, of z.
    """

    stride = 64
    count = 2

    def __init__(self, analysis, synthesis, prior):
        self._analysis, self._synthesis, self._prior = analysis, synthesis, prior
        self.scale_tables = hyperprior.ScaleTables()
        self.exact_scales = hyperprior.ExactParameters(synthesis)
        self.parts = {"prior": prior, "scale_tables": self.scale_tables, "exact_scales": self.exact_scales}

    def __call__(self, latents, noise=None):
        """As of `Factorized`; more is `z`, noisy or rounded, and `sigma`."""
        z = self._hyper(latents)
        if noise is None:
            latents, z = tf.round(latents), tf.round(z)
        else:
            latents, z = latents + noise(latents, 0), z + noise(z, 1)
        sigma = self._synthesis(z)
        return latents, hyperprior.bits(latents, sigma) + self._prior.bits(z), {"z": z, "sigma": sigma}

    def bits(self, latents):
        z = self._hyper(latents)
        return hyperprior.bits(latents, self._synthesis(z)) + self._prior.bits(z)

    def prepare(self):
        self._prior.build_tables()
        self.scale_tables.build_tables()
        self.exact_scales.quantize()

    def compress(self, latents, symbols):
        z = symbols(self._hyper(latents))
        return [self._prior.compress(z), self.scale_tables.compress(symbols(latents), self.exact_scales.tiles(z))]

    def decompress(self, strings, shape):
        """As of `Factorized`, with the integers `z`."""
        z_string, string = strings
        z = self._prior.decompress(z_string, shape(64))
        latents = self.scale_tables.decompress(string, (*shape(16), z.shape[-1]), self.exact_scales.tiles(z))
        return {"latents": latents, "z": z}

    def _hyper(self, latents):
        return tf.cast(self._analysis(tf.abs(latents)), tf.float32)


class MeanScale:
    """The same with Gaussians that have means as well; latents come out at whole distances from them.

        latents -> hyper analysis -> z -> round -> hyper synthesis -> log sigma, mu

    Args:
      analysis, synthesis, prior: as of `Hyperprior`; the synthesis gives twice the latents' channels.
    """

    stride = 64
    count = 2

    def __init__(self, analysis, synthesis, prior):
        self._analysis, self._synthesis, self._prior = analysis, synthesis, prior
        self._tables = hyperprior.ScaleTables()
        self._exact = self._exact_twin()
        self.parts = {"prior": prior, "scale_tables": self._tables, "exact": self._exact}

    def __call__(self, latents, noise=None):
        """As of `Factorized`, the latents multiples of 1/64; more is `z`, noisy or rounded, `sigma` and `mean`."""
        z = self._hyper(latents)
        if noise is None:
            z = tf.round(z)
            latents, parameters = self._decode(latents, self._features(z))
        else:
            latents, z = latents + noise(latents, 0), z + noise(z, 1)
            parameters = self._parameters(latents, self._features(z))
        sigma, mean = hyperprior.split(parameters)
        bits = hyperprior.bits(latents, sigma, mean) + self._prior.bits(z)
        return latents, bits, {"z": z, "sigma": sigma, "mean": mean}

    def prepare(self):
        self._prior.build_tables()
        self._tables.build_tables()
        self._exact.quantize()

    def compress(self, latents, symbols):
        z = symbols(self._hyper(latents))
        return [self._prior.compress(z), self._code(tf.cast(latents[0], tf.float32).numpy(), z, symbols)]

    def decompress(self, strings, shape):
        """As of `Factorized`, with the integers `z`; the latents are multiples of 1/64."""
        z_string, string = strings
        z = self._prior.decompress(z_string, shape(64))
        return {"latents": self._decode_string(string, (*shape(16), self._channels), z), "z": z}

    def _hyper(self, latents):
        return tf.cast(self._analysis(latents), tf.float32)

    def _features(self, z):
        return tf.cast(self._synthesis(z), tf.float32)

    @property
    def _channels(self):
        return self._synthesis.layers[-1].filters // 2

    # What a context model does in another way.

    def _exact_twin(self):
        return hyperprior.ExactParameters(self._synthesis, has_means=True)

    def _parameters(self, latents, features):
        """Logarithms of sigma and means, of noisy latents."""
        del latents
        return features

    def _decode(self, latents, features):
        """`(latents, parameters)` of the decoder."""
        return hyperprior.round_around(latents, hyperprior.split(features)[1]), features

    def _code(self, latents, z, symbols):
        """The bytes of latents, float `[h, w, C]`."""
        means = np.empty_like(latents)
        tiles = list(self._tiles(z, means))
        return self._tables.compress(symbols((latents - means)[None]), tiles)

    def _decode_string(self, string, shape, z):
        means = np.zeros(shape, np.float32)
        return self._tables.decompress(string, shape, self._tiles(z, means)) + means

    def _tiles(self, z, means):
        """Places and rows of the tables; fills in the means of each place before."""
        for place, (indexes, means[place]) in self._exact.tiles(z):
            yield place, indexes


class Context(MeanScale):
    """The same where the latents decoded before tell of the next ones as well.

    Args:
      context: a `context2d.Context2D`.
      The others: see `MeanScale`.
    """

    def __init__(self, analysis, synthesis, prior, context):
        self._context = context
        super().__init__(analysis, synthesis, prior)

    def _exact_twin(self):
        return context2d.ExactContext2D(self._synthesis, self._context, self._tables)

    def _parameters(self, latents, features):
        return self._context(latents, features)

    def _decode(self, latents, features):
        return self._context.decode(latents, features)

    def _code(self, latents, z, symbols):
        return self._exact.compress(latents, z, symbols)

    def _decode_string(self, string, shape, z):
        return self._exact.decompress(string, shape, z)
