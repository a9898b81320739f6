"""CPM: an autoencoder with an importance map and six centres, and a context model; DSIN's first stage and baseline.

Mentzer, Agustsson, Tschannen, Timofte and Van Gool, "Conditional probability models for deep image compression",
CVPR 2018, https://arxiv.org/abs/1801.04260; here as DSIN (Ayzik and Avidan, "Deep image compression using decoder side
information", ECCV 2020, https://arxiv.org/abs/2001.04753) takes it over, in the form of its released code.

What differs from CPM, as in that code: images are normalised by KITTI's mean and variance, the mean absolute difference
is the distortion, the target of the rate is a hinge on bits a symbol, and the regularisation that is configured
evaluates to zero, because its lookup uses a scope that holds nothing (`regularize` turns on what was meant). One thing
in that code differs from the paper, and is kept: the logits of the context model pass a ReLU.

What differs from that code: sides need not divide by 8 (the last row and column are repeated), pictures are rounded
and not cut off to integers, and there are real bytes, for which the context model is computed in integers.
"""

import numpy as np
import tensorflow as tf

from dsin_tf import bitstream, images, layers
from dsin_tf.entropy import context3d
from dsin_tf.models import codec
from dsin_tf.ms_ssim import ms_ssim

DISTORTIONS = ("mae", "mse", "psnr", "ms-ssim")

PRESETS = {
    # As published; DSIN's rates come from target_bpp 0.02 ... 0.2.
    "paper": {
        "filters": 128,
        "arch_param_b": 5,
        "channels": 32,
        "centers": 6,
        "k": 24,
        "target_bpp": 0.02,
        "distortion": "mae",
    },
    # Trains in tens of minutes on two CPU cores at 128x256. Ours: a third of the filters, two groups in place of five,
    # half the channels and features.
    "small": {
        "filters": 48,
        "arch_param_b": 2,
        "channels": 16,
        "centers": 6,
        "k": 12,
        "target_bpp": 0.1,
        "distortion": "mae",
    },
    # For tests.
    "tiny": {
        "filters": 8,
        "arch_param_b": 1,
        "channels": 8,
        "centers": 6,
        "k": 4,
        "target_bpp": 0.1,
        "distortion": "mae",
    },
}

# Of KITTI, by colour: red, green, blue.
MEAN = (93.70454143384742, 98.28243432206516, 94.84678088809876)
VARIANCE = (5411.79935676, 5758.60456747, 5890.31451232)
_EPSILON = 1e-10

_BETA = 500.0  # weight of the rate above its target
_K_PSNR, _K_MS_SSIM = 100.0, 5000.0
_KERNEL_FACTOR, _CENTERS_FACTOR = 0.005, 0.1  # of the regularisation

_MS_SSIM_SIDE = 16 * 11  # the smallest side whose coarsest scale holds the usual window; smaller ones get NDIC's, of 7


class CPM(codec.Codec):
    """x -> analysis -> importance map -> z -> nearest centre -> q_bar -> synthesis -> x_dec, and bits of the symbols.

        x -> analysis -> b -> mask -> z -> quantizer -> q_bar -> synthesis -> x_dec
                         |                    |
                         +-> importance    symbols: bits by the classifier, each from those before it

    The loss, with means over all symbols of a batch, of the bits and of the bits times the mask,

        d(x, x_dec) + 500 max((mean(bits) + mean(mask bits)) / 2 - H_target, 0),    H_target = target_bpp 64 / C

    is a hinge: below the target the rate does not matter. The classifier does not pull at q_bar; the rate reaches the
    encoder through the mask alone.

    Args:
      filters: n, channels in the middle of encoder and decoder; even.
      arch_param_b: B, groups of residual blocks in each of the two.
      channels: C, of the symbols.
      centers: L, symbols are 0 ... L - 1; at least 2.
      k: features of the classifier.
      target_bpp: bits a pixel that the rate is not driven below; above 0.
      distortion: "mae" or "mse" of 0 ... 255, "psnr" (100 - PSNR) or "ms-ssim" (5000 (1 - MS-SSIM)).
      regularize: adds 0.005 |w|^2 / 2 of all kernels but the classifier's and 0.1 |c|^2 / 2 of the centres to the
        loss: as designed, and not as released.
      seed: of the initial weights, but for those of the centres, which are the released ones.
    """

    distortions = DISTORTIONS
    uses_lmbda = False
    stride = 8

    def __init__(
        self,
        filters=128,
        arch_param_b=5,
        channels=32,
        centers=6,
        k=24,
        target_bpp=0.02,
        distortion="mae",
        regularize=False,
        seed=0,
    ):
        architecture = {"filters": filters, "arch_param_b": arch_param_b, "channels": channels}
        architecture.update(centers=centers, k=k)
        super().__init__(lmbda=None, distortion=distortion, seed=seed, architecture=architecture)
        _check(filters, centers, target_bpp)
        self.target_bpp, self.regularize = float(target_bpp), bool(regularize)
        make = layers.Maker(seed)
        blocks = layers.ResidualMaker(make)
        self.analysis = blocks.encoder(filters, arch_param_b, channels + 1)
        self.importance = layers.ImportanceMap(name="importance")
        self.quantizer = layers.CentersQuantizer(centers)
        self.synthesis = blocks.decoder(filters, arch_param_b)
        self.classifier = context3d.Classifier3D(centers, k, seed=make.next_seed())
        self.classifier_optimizer = None
        self.build_networks((self.analysis, 3), (self.synthesis, channels))
        self.context = context3d.ExactClassifier3D(self.classifier, self.quantizer.centers)

    @property
    def settings(self):
        return {**super().settings, "target_bpp": self.target_bpp, "regularize": self.regularize}

    # What `call` is made of.

    def normalize(self, x):
        """`[N, H, W, 3]`, 0 ... 255, any type -> the function `normalize` of it, the edges repeated up to `stride`."""
        return normalize(layers.pad_to_multiple(tf.cast(x, tf.float32), self.stride))

    def encode(self, x, training=False):
        """Symbols of images and what they cost.

        Args:
          x: `[N, H, W, 3]`, 0 ... 255, uint8 or float.
          training: whether batch normalisation uses the batch's statistics, and moves its own.

        Returns:
          A dict of `[N, h, w, C]`, h and w being an eighth of the padded sides: `z`, what is quantised; `mask`, of the
          importance map; `q_bar`, what the decoder gets; `symbols`, int32; `bit_cost`, bits of each symbol.
        """
        z, mask = self.importance(self.analysis(self.normalize(x), training=training))
        q_bar, symbols = self.quantizer(z)
        bit_cost = self.classifier.bits(tf.stop_gradient(q_bar), symbols, tf.stop_gradient(self.quantizer.centers[0]))
        return {"z": z, "mask": mask, "q_bar": q_bar, "symbols": symbols, "bit_cost": bit_cost}

    def decode(self, q, training=False):
        """Centres `[N, h, w, C]` to images float32 `[N, 8 h, 8 w, 3]`, 0 ... 255, not rounded."""
        return tf.clip_by_value(denormalize(self.synthesis(q, training=training)), 0.0, 255.0)

    def call(self, x, training=False):
        """Codes and decodes without bytes.

        Args:
          x: `[N, H, W, 3]`, 0 ... 255, uint8 or float.
          training: as of `encode`.

        Returns:
          A dict: what `encode` returns; `x_dec`, float32 `[N, H, W, 3]`, 0 ... 255, not rounded, and `x_hat`, which
          is the same; `bpp_estimated` `[N]`, over the pixels of x.
        """
        code = self.encode(x, training)
        x_dec = self.crop(self.decode(code["q_bar"], training), x)
        return {"x_hat": x_dec, "x_dec": x_dec, "bpp_estimated": self.bpp(code, x), **code}

    def crop(self, padded, x):
        """The part of a padded image or batch that belongs to the pixels of x."""
        return tf.ensure_shape(padded[:, : tf.shape(x)[1], : tf.shape(x)[2]], x.shape)

    def bpp(self, code, x):
        """The estimated rate `[N]`: the bits of all symbols over the pixels of x."""
        pixels = tf.cast(tf.shape(x)[1] * tf.shape(x)[2], tf.float32)
        return tf.reduce_sum(code["bit_cost"], axis=[1, 2, 3]) / pixels

    # Training.

    def rate_distortion(self, x, out):
        """The loss and its terms.

        Args:
          x: the batch, 0 ... 255.
          out: what `call` returned for it.

        Returns:
          A dict: scalars `loss`, `distortion`, `rate` (the hinge's term) and `regularization`; `bpp` and `psnr` `[N]`,
          the latter in dB, of the image that a user would get (clipped and rounded); for "ms-ssim" also `ms_ssim_db`
          `[N]` = -10 log10(1 - MS-SSIM), of x_hat.
        """
        distortion, rate, regularization = self.distance(x, out["x_dec"]), self.rate(out), self.regularization()
        terms = {
            "loss": distortion + rate + regularization,
            "distortion": distortion,
            "rate": rate,
            "regularization": regularization,
            "bpp": out["bpp_estimated"],
            "psnr": codec.psnr(x, out["x_hat"]),
        }
        if self.distortion == "ms-ssim":
            terms["ms_ssim_db"] = codec.decibels(1 - _similarity(x, out["x_hat"]))
        return terms

    def distance(self, x, x_hat):
        """The distortion of a batch of images, a scalar."""
        x = tf.cast(x, tf.float32)
        if self.distortion == "mae":
            return tf.reduce_mean(tf.abs(x - x_hat))
        if self.distortion == "ms-ssim":
            return _K_MS_SSIM * (1 - tf.reduce_mean(_similarity(x, x_hat)))
        mse = tf.reduce_mean(tf.math.squared_difference(x, x_hat), axis=[1, 2, 3])
        if self.distortion == "mse":
            return tf.reduce_mean(mse)
        return _K_PSNR - tf.reduce_mean(codec.decibels(mse / 255**2))

    def rate(self, out):
        """The hinge's term of the loss, a scalar, for what `encode` returned."""
        h_real = tf.reduce_mean(out["bit_cost"])
        h_mask = tf.reduce_mean(out["bit_cost"] * out["mask"])
        h_target = self.target_bpp * self.stride**2 / self._architecture["channels"]
        return _BETA * tf.maximum((h_mask + h_real) / 2 - h_target, 0.0)

    def regularization(self):
        """The regularisation's term of the loss, a scalar; zero as released."""
        if not self.regularize:
            return tf.zeros([])
        convolutions = [*layers.convolutions(self.analysis), *layers.convolutions(self.synthesis)]
        kernels = tf.add_n([tf.nn.l2_loss(convolution.kernel) for convolution in convolutions])
        return _KERNEL_FACTOR * kernels + _CENTERS_FACTOR * tf.nn.l2_loss(self.quantizer.centers)

    def make_optimizer(self, adam):
        """Two Adams with one learning rate: one for the classifier, one for everything else; see `compile_model`."""
        optimizer = adam()
        self.classifier_optimizer = adam(learning_rate=_Same(optimizer))
        for each, variables in zip((optimizer, self.classifier_optimizer), self._parts()):
            each.build(variables)
        return optimizer

    @tf.autograph.experimental.do_not_convert
    def train_step(self, data):
        """One step on a batch x or (x, y). The loss is that of this device's part of the batch."""
        x, inputs = self._inputs(data)
        with tf.GradientTape() as tape:
            terms = self.rate_distortion(x, self(inputs, training=True))
        parts = self._parts()
        gradients = tape.gradient(terms["loss"], parts)
        if self.classifier_optimizer is None:  # compiled by hand, with one optimiser
            parts, gradients = [sum(parts, [])], [sum(gradients, [])]
        for optimizer, variables, part in zip((self.optimizer, self.classifier_optimizer), parts, gradients):
            optimizer.apply_gradients(zip(part, variables))
        self.step.assign_add(1)
        return self._update_means(terms)

    def _parts(self):
        """The trained variables of the two optimisers: (everything else, the classifier's), lists."""
        own = self.classifier.trainable_variables
        names = {id(variable) for variable in own}
        return [variable for variable in self.trainable_variables if id(variable) not in names], list(own)

    # Coding.

    def prepare_for_coding(self):
        """Makes the integers that `compress` and `decompress` share; to be called once, after training."""
        self.context.quantize()
        self.mark_prepared()

    @property
    def coding_parts(self):
        return {"context": self.context}

    @property
    def decoder_networks(self):
        return (self.synthesis, self.quantizer)

    def analyze(self, image):
        """The symbols, int32 `[h, w, C]`, of one image, uint8 `[H, W, 3]`.

        Raises:
          NotPreparedError: the model is not prepared for coding.
          images.ImageError: it is not an image.
          ValueError: what is quantised is not finite.
        """
        self._check_prepared()
        images.check(image)
        padded = images.pad_to_multiple(image, self.stride)[None]
        # Pixels that a symbol can depend on to either side: 2 + 4 + 8 for the three convolutions that make the image
        # smaller, 2 * 4 for each of the 3 B + 1 blocks in between; and then a multiple of 8.
        halo = 24 * self._architecture["arch_param_b"] + 24
        z = layers.in_strips(lambda part: self.importance(self.analysis(self.normalize(part)))[0], padded, 1 / 8, halo)
        if not np.isfinite(z).all():
            raise ValueError("The latents are not finite: the model's weights are broken. Load good weights.")
        return self.quantizer.symbols(z)[0].numpy()

    def reconstruct(self, symbols):
        """x_dec, float32 `[1, 8 h, 8 w, 3]`, 0 ... 255, not rounded, of symbols int32 `[1, h, w, C]`."""
        # Symbols that a pixel can depend on to either side: 1 for each of the 3 B + 1 blocks, and less than 3 for the
        # convolutions that make the image larger.
        halo = 3 * self._architecture["arch_param_b"] + 4
        return layers.in_strips(lambda part: self.decode(self.quantizer.dequantize(part)), symbols, 8, halo)

    def compress(self, x):
        """The file, bytes, of one image, uint8 `[H, W, 3]` of any size."""
        return self.pack(x, [self.context.compress(self.analyze(x))])

    def decompress(self, blob, max_pixels=bitstream.MAX_PIXELS):
        """The image, uint8 `[H, W, 3]`, of a file that `compress` wrote; see `unpack` for errors.

        Args:
          blob: bytes, the whole file.
          max_pixels: refuse larger images. Memory and time of decoding grow with them.
        """
        header, latents = self.decode_latents(blob, max_pixels)
        x_dec = tf.cast(tf.round(self.reconstruct(latents["symbols"])), tf.uint8)
        return x_dec[0, : header.height, : header.width].numpy()

    def decode_latents(self, blob, max_pixels=bitstream.MAX_PIXELS):
        """The first half of `decompress`: `(header, {"symbols": int32 [1, h, w, C]})`, bit by bit."""
        header, (string,) = self.unpack(blob, 1, max_pixels)
        shape = (*self.latent_shape(header, self.stride), self._architecture["channels"])
        return header, {"symbols": tf.constant(self.context.decompress(string, shape)[None])}


class _Same(tf.keras.optimizers.schedules.LearningRateSchedule):
    """The learning rate that another optimiser has at the moment."""

    def __init__(self, optimizer):
        self._optimizer = optimizer

    def __call__(self, step):
        del step
        return tf.convert_to_tensor(self._optimizer.learning_rate)


def normalize(image):
    """Pixels `[..., 3]`, 0 ... 255, as floats of about mean 0 and variance 1: (v - mean) / sqrt(variance + 1e-10)."""
    return (tf.cast(image, tf.float32) - MEAN) / _deviation()


def denormalize(image):
    """The inverse of `normalize`, in float32; not clipped."""
    return tf.cast(image, tf.float32) * _deviation() + MEAN


def _deviation():
    return np.sqrt(np.array(VARIANCE) + _EPSILON).astype(np.float32)


def _similarity(x, x_hat):
    """MS-SSIM `[N]`, with the window that fits; the smaller one where a graph learns the size only when it runs."""
    window = 11 if min(side or 0 for side in x.shape[1:3]) >= _MS_SSIM_SIDE else 7
    return ms_ssim(tf.cast(x, tf.float32), x_hat, 255.0, window)


def _check(filters, centers, target_bpp):
    """Raises ValueError for what `codec.Codec` does not look at."""
    if filters % 2:
        raise ValueError(f"filters is {filters}; an even number was expected, half of it goes to the outer layers.")
    if centers < 2:
        raise ValueError(f"centers is {centers}; 2 or more were expected.")
    if not target_bpp > 0:
        raise ValueError(f"target_bpp is {target_bpp!r}; a number above 0 was expected.")
