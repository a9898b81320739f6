"""What all models share: units and padding, noise, the loss and the training step, and what surrounds real bytes."""

import hashlib
import json
import types

import numpy as np
import tensorflow as tf

from dsin_tf import bitstream, images, layers
from dsin_tf.entropy import coder
from dsin_tf.models import storage
from dsin_tf.ms_ssim import ms_ssim

DISTORTIONS = ("mse", "ms-ssim")

# Pixels, and latents, that a latent, and a pixel, can depend on to either side: 2 (1 + 2 + 4 + 8) = 30 and 1.9.
_ANALYSIS_HALO, _SYNTHESIS_HALO = 32, 3

_WINDOW = 7  # of the MS-SSIM in the loss: NDIC's, whose 128x256 images are too small for the usual 11


class NotPreparedError(RuntimeError):
    """A model cannot code: its tables were not made yet, or it was trained on since."""


class StrippedError(RuntimeError):
    """A model was asked for what its training parts do, and has none any more."""


class Codec(tf.keras.Model):
    """Base class of the models.

    A model adds `call` for training and estimates, `prepare_for_coding`, `compress` and `decompress` for real bytes,
    and says what decoding depends on: `coding_parts` and `decoder_networks`.

    AutoGraph leaves the steps of training and evaluation alone, and all that they call, for it would take longer than
    tracing them: where a tensor decides what is computed, `tf.cond`, `tf.while_loop` or a `tf.function` says so.

    Args:
      lmbda: weight of the distortion, above 0; None where `uses_lmbda` is off.
      distortion: one of `distortions`.
      seed: of the initial weights and of the noise in training, 0 or more.
      architecture: dict of the other arguments of the model's constructor, integers of 1 or more where integers.

    Attributes:
      distortions: what the loss can count as distortion.
      uses_lmbda: off for models with a loss of their own, without lmbda.
      model_name: as of `models.names()`; None for the class's own in small letters.
      stride: images are padded until both sides divide by it.
      uses_side: whether `call` takes a pair `(x, y)` instead of `x`, and `decompress` y after the file.
      side_is_optional: whether it does without y, too, where it uses any.
      trains_on: the kind of data set that training takes.
      decodes_unrounded: whether `decompress` takes `rounded`.
      variant: which ablation of the published model this is, "" for the model itself.
      training_parts: names of the attributes that coding does without.
      is_stripped: whether these are gone; see `strip`.
      preset: the preset that the settings came from, or None.
      step: int64 variable, training steps taken.
    """

    distortions = DISTORTIONS
    model_name = None
    uses_lmbda = True
    stride = None
    uses_side = False
    side_is_optional = False
    decodes_unrounded = False
    variant = ""
    training_parts = ()

    def __init__(self, lmbda, distortion, seed, architecture):
        self._check_settings(lmbda, distortion, seed, architecture)
        # Without autocast=False, mixed precision would turn images into float16 before they are scaled.
        super().__init__(name=self.model_name or type(self).__name__.lower(), autocast=False)
        self.lmbda = float(lmbda) if self.uses_lmbda else None
        self.distortion, self.seed = distortion, int(seed)
        self.preset, self.is_stripped = None, False
        self.step = tf.Variable(
            0, dtype=tf.int64, trainable=False, name="step", aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA
        )
        self._architecture = types.MappingProxyType(architecture)  # Keras would wrap a plain dict
        self._prepared_at = None
        columns = ("loss", "bpp", "psnr") + (("ms_ssim_db",) if distortion == "ms-ssim" else ())
        self._means = {column: tf.keras.metrics.Mean(name=column) for column in columns}

    @property
    def trains_on(self):
        return "pairs" if self.uses_side else "images"

    @property
    def settings(self):
        """The constructor's arguments, as a dict."""
        objective = {"lmbda": self.lmbda} if self.uses_lmbda else {}
        return {**self._architecture, **objective, "distortion": self.distortion, "seed": self.seed}

    def build_networks(self, *networks):
        """Makes the weights of pairs (network, channels that go in); to be called at the end of a constructor."""
        for network, channels in networks:
            network.build((None, None, None, channels))
        self.built = True

    # What `call` is made of.

    def normalize(self, x):
        """`[N, H, W, 3]`, 0 ... 255, any type -> float32 in [0, 1], the edges repeated up to multiples of `stride`."""
        return layers.pad_to_multiple(tf.cast(x, tf.float32) / 255, self.stride)

    def noise(self, like, stream=0, normal=False):
        """Uniform noise in +-1/2, a function of seed, step and place in the batch alone.

        So a resumed run sees the same noise. Where a batch is spread over devices, each of them draws the noise of the
        whole batch and takes its part: one device with the whole batch would see the same.

        Args:
          like: float `[N, ...]`.
          stream: number of this tensor among those that get noise in one step.
          normal: draws standard normal noise instead.

        Returns:
          float32, the shape of `like`.
        """
        devices, device = 1, 0
        context = tf.distribute.get_replica_context()
        if context is not None:
            devices, device = context.num_replicas_in_sync, context.replica_id_in_sync_group
        # The generator is named because the automatic choice depends on the device.
        seed = tf.constant([self.seed, stream], tf.int64)
        seed = tf.random.experimental.stateless_fold_in(seed, self.step, alg="philox")
        shape = tf.concat([[devices], tf.shape(like)], axis=0)
        if normal:
            return tf.random.stateless_normal(shape, seed, alg="philox")[device]
        return tf.random.stateless_uniform(shape, seed, -0.5, 0.5, alg="philox")[device]

    def result(self, x, x_hat, bits, **more):
        """The dict that `call` returns, of the batch x, the synthesis' output in [0, 1] and the bits `[N]`."""
        height, width = tf.shape(x)[1], tf.shape(x)[2]
        x_hat = tf.ensure_shape(255 * tf.cast(x_hat, tf.float32)[:, :height, :width], x.shape)
        return {"x_hat": x_hat, "bpp_estimated": bits / tf.cast(height * width, tf.float32), **more}

    def estimate(self, x):
        """`bpp_estimated` of one image, uint8 `[H, W, 3]`, as a float; takes no side information."""
        return float(self(x[None], training=False)["bpp_estimated"][0])

    def estimates(self, x):
        """All that is known of the rate of one image without its file, {name as of `call`: float}."""
        return {"bpp_estimated": self.estimate(x)}

    def start_from(self, other):
        """Takes over the weights of another model; what that one does not have keeps its own.

        Raises:
          ValueError: the other model has weights that this one has not, or of another shape.
        """
        own, others = (storage.named_variables(model.layers) for model in (self, other))
        for name, variable in others.items():
            shape = list(own[name].shape) if name in own else "nothing"
            if shape != list(variable.shape):
                raise ValueError(
                    f"{other.name} has {list(variable.shape)} as {name}, {self.name} expects {shape}. Start from a "
                    "model of the same preset and settings."
                )
        for name, variable in others.items():
            own[name].assign(variable)

    def strip(self):
        """Removes what coding does without. The model still writes and reads the same files; it trains no more."""
        if not self.is_stripped:
            for name in self.training_parts:
                delattr(self, name)
            self.is_stripped = True

    # Training.

    def rate_distortion(self, x, out):
        """The loss and its terms. NDIC's loss is

            bpp + lmbda * 255^2 * D,    D = MSE of [0, 1], or 1 - MS-SSIM (window 7).

        Args:
          x: the batch, 0 ... 255.
          out: what `call` returned for it.

        Returns:
          A dict of `[N]`: `loss`; `bpp`; `mse` of the 0 ... 255 scale; `psnr` in dB, of the image that a user would
          get (clipped and rounded); for "ms-ssim" also `ms_ssim_db` = -10 log10(1 - MS-SSIM).
        """
        x, x_hat = tf.cast(x, tf.float32), out["x_hat"]
        mse = mean_square(x - x_hat)
        terms = {"bpp": out["bpp_estimated"], "mse": mse, "psnr": psnr(x, x_hat)}
        if self.distortion == "mse":
            distortion = mse / 255**2
        else:
            distortion = 1 - ms_ssim(x, x_hat, 255, window=_WINDOW)
            terms["ms_ssim_db"] = decibels(distortion)
        return {"loss": terms["bpp"] + self.lmbda * 255**2 * distortion, **terms}

    @tf.autograph.experimental.do_not_convert
    def train_step(self, data):
        """One step on a batch x or (x, y). The loss is the mean over this device's part of the batch."""
        x, inputs = self._inputs(data)
        with tf.GradientTape() as tape:
            terms = self.rate_distortion(x, self(inputs, training=True))
            loss = tf.reduce_mean(terms["loss"])
        self.optimizer.minimize(loss, self.trainable_variables, tape=tape)
        self.step.assign_add(1)
        return self._update_means(terms)

    @tf.autograph.experimental.do_not_convert
    def test_step(self, data):
        """The running means of `rate_distortion` in evaluation mode, on a batch x or (x, y)."""
        x, inputs = self._inputs(data)
        return self._update_means(self.rate_distortion(x, self(inputs, training=False)))

    @property
    def metrics(self):
        return list(self._means.values())

    def _inputs(self, data):
        """`(x, what call takes)`."""
        x = data[0] if isinstance(data, (tuple, list)) else data
        return x, data if self.uses_side else x

    def _update_means(self, terms):
        for name, mean in self._means.items():
            mean.update_state(terms[name])
        return {name: mean.result() for name, mean in self._means.items()}

    # Coding.

    @property
    def coding_parts(self):
        """`{name: part}`: what holds the coder's tables and integers, by `state()` and `load_state(state)`."""
        raise NotImplementedError

    @property
    def decoder_networks(self):
        """The layers whose weights make the image of decoded latents."""
        raise NotImplementedError

    @property
    def is_prepared(self):
        """Whether `compress` and `decompress` can be used."""
        return self._prepared_at is not None and self._prepared_at == int(self.step)

    @property
    def identity(self):
        """bytes [4]: a digest of the model's name, its architecture and every number that decoding depends on.

        Raises:
          NotPreparedError: there are no tables, or training went on since they were made.
        """
        self._check_prepared()
        numbers = self.coding_state()
        for name, variable in storage.named_variables(self.decoder_networks).items():
            numbers[name] = variable.numpy()
        digest = hashlib.sha256(json.dumps([self.name, dict(self._architecture)], sort_keys=True).encode())
        for name, array in sorted(numbers.items()):
            array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
            digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
            digest.update(array.tobytes())
        return digest.digest()[:4]

    def mark_prepared(self):
        """To be called at the end of `prepare_for_coding`."""
        self._prepared_at = int(self.step)

    def coding_state(self):
        """`{"part/name": array}`: everything of `coding_parts`."""
        parts = self.coding_parts.items()
        return {f"{part_name}/{name}": array for part_name, part in parts for name, array in part.state().items()}

    def load_coding_state(self, state):
        """Takes over what `coding_state` returned, in place of `prepare_for_coding`."""
        for part_name, part in self.coding_parts.items():
            start = f"{part_name}/"
            part.load_state({name[len(start) :]: array for name, array in state.items() if name.startswith(start)})
        self.mark_prepared()

    def analyze(self, image, network=None):
        """The latents `[1, h, w, C]`, not yet rounded, of one image, uint8 `[H, W, 3]`.

        Args:
          image: uint8 `[H, W, 3]`.
          network: what makes them, by default `analysis`.

        Raises:
          NotPreparedError: as `identity`.
          images.ImageError: it is not an image.
        """
        self._check_prepared()
        images.check(image)
        padded = images.pad_to_multiple(image, self.stride)[None]
        network = network or self.analysis
        return layers.in_strips(lambda x: network(tf.cast(x, tf.float32) / 255), padded, 1 / 16, _ANALYSIS_HALO)

    def symbols(self, latents):
        """Latents `[1, h, w, C]` as the integers that are coded, int32 `[h, w, C]`.

        Raises:
          ValueError: they are not finite.
        """
        latents = tf.round(tf.cast(latents, tf.float32))[0].numpy()
        if not np.isfinite(latents).all():
            raise ValueError("The latents are not finite: the model's weights are broken. Load good weights.")
        largest = coder.MAX_MAGNITUDE - 1
        return np.clip(latents, -largest, largest).astype(np.int32)

    def pack(self, image, strings):
        """The file of an image, bytes, from its strings."""
        return bitstream.pack(self.identity, *image.shape[:2], strings)

    def unpack(self, blob, count, max_pixels):
        """Checks a file of `count` strings and takes it apart: `(header, strings)`.

        `max_pixels` counts the padded image: one row of pixels becomes `stride` rows of them inside the model.

        Raises:
          NotPreparedError: as `identity`.
          bitstream.BitstreamError: what is wrong with the file, by its subclass.
        """
        header, strings = bitstream.unpack(blob, self.identity, max_pixels)
        if len(strings) != count:
            raise bitstream.LengthError(
                f"The file holds {len(strings)} strings, {self.name} writes {count}. It is damaged; get a clean copy.",
                expected=count,
                found=len(strings),
            )
        height, width = self._padded(header)
        if height * width > max_pixels:
            raise bitstream.SizeError(
                f"The image is {header.height}x{header.width} pixels (height x width), {height}x{width} once padded to "
                f"multiples of {self.stride}; at most {max_pixels} pixels were expected. Raise max_pixels if the file "
                "is to be trusted.",
                height=header.height,
                width=header.width,
                max_pixels=max_pixels,
            )
        return header, strings

    def check_side(self, y, header):
        """Raises an error unless y is what this model takes beside the image of a file.

        Raises:
          images.ImageError: y is no image, or of another size.
          ValueError: y is missing, or there is no use for it.
        """
        if y is None and self.uses_side:
            raise ValueError(f"{self.name} decodes with side information, and y is None. Give the image taken beside.")
        if y is not None and not self.uses_side:
            raise ValueError(f"{self.name} without side information got y. Leave it out.")
        if y is not None:
            images.check(y)
            if y.shape[:2] != (header.height, header.width):
                raise images.ImageError(
                    f"The side information is {y.shape[0]}x{y.shape[1]} (height x width), the file's image "
                    f"{header.height}x{header.width}; one size was expected. Crop both in the same way."
                )

    def latent_shape(self, header, cell=16):
        """`(h, w)` of latents that have one value for `cell` x `cell` pixels, for the image of a file's header."""
        return tuple(side // cell for side in self._padded(header))

    def synthesize(self, latents):
        """The padded image in [0, 1] of latents `[N, h, w, C]`."""
        return self.synthesis(latents)

    def picture(self, header, latents, rounded=True):
        """The image of a file's header, uint8 `[H, W, 3]`, from its latents `[1, h, w, C]`.

        With `rounded` off it is float32, 0 ... 255 but for what is over, as the synthesis makes it.
        """

        def pixels(y):
            return to_pixels(self.synthesize(y), rounded)

        x_hat = layers.in_strips(pixels, latents, 16, _SYNTHESIS_HALO)
        return x_hat[0, : header.height, : header.width].numpy()

    def _padded(self, header):
        """Height and width inside the model."""
        return tuple(side + -side % self.stride for side in (header.height, header.width))

    @classmethod
    def _check_settings(cls, lmbda, distortion, seed, architecture):
        """Raises ValueError for a setting that no model takes."""
        if distortion not in cls.distortions:
            raise ValueError(f"There is no distortion {distortion!r}; there are: {', '.join(cls.distortions)}.")
        if cls.uses_lmbda and not lmbda > 0:
            raise ValueError(f"lmbda is {lmbda!r}; a number above 0 was expected.")
        if not 0 <= seed < 2**31:
            raise ValueError(f"seed is {seed!r}; 0 ... 2^31 - 1 was expected.")
        for name, value in architecture.items():
            if isinstance(value, int) and not isinstance(value, bool) and value < 1:
                raise ValueError(f"{name} is {value}; 1 or more was expected.")

    def _check_prepared(self):
        if self._prepared_at is None:
            raise NotPreparedError("The model has no coding tables yet. Call prepare_for_coding() after training.")
        if not self.is_prepared:
            raise NotPreparedError(
                f"The coding tables were made at step {self._prepared_at}, the model is at step {int(self.step)}. "
                "Call prepare_for_coding() again."
            )


class TransformCodec(Codec):
    """Base class of the models whose latents come from one transform and are coded as they are.

        x -> analysis -> y -> coder -> y_hat -> synthesis -> x_hat

    A model makes `analysis`, `synthesis` and `coder`, an object of `entropy.latents`.

    Attributes:
      latents_name: what `call` and `decode_latents` call the latents.
    """

    decodes_unrounded = True
    latents_name = "y"

    @property
    def stride(self):
        return self.coder.stride

    def call(self, x, training=False):
        """Codes and decodes without bytes.

        Args:
          x: `[N, H, W, 3]`, 0 ... 255, uint8 or float.
          training: adds uniform noise in place of rounding.

        Returns:
          A dict: `x_hat`, float32 `[N, H, W, 3]` on the 0 ... 255 scale, neither clipped nor rounded;
          `bpp_estimated` `[N]`, over the pixels of x; the latents, noisy or rounded, and what the coder adds.
        """
        y, bits, more = self.code(x, training)
        return self.result(x, self.synthesize(y), bits, **{self.latents_name: y}, **more)

    def code(self, x, training=False):
        """What `coder` makes of the latents of a batch: `(latents, bits, more)`."""
        y = tf.cast(self.analysis(self.normalize(x)), tf.float32)
        return self.coder(y, self.noise if training else None)

    def estimate(self, x):
        _, bits, _ = self.code(tf.constant(x)[None])
        return float(bits[0]) / (x.shape[0] * x.shape[1])

    def prepare_for_coding(self):
        """Makes the tables and integers that `compress` and `decompress` share; to be called once, after training."""
        self.coder.prepare()
        self.mark_prepared()

    @property
    def coding_parts(self):
        return self.coder.parts

    @property
    def decoder_networks(self):
        return (self.synthesis,)

    def compress(self, x):
        """The file, bytes, of one image, uint8 `[H, W, 3]` of any size."""
        return self.pack(x, self.coder.compress(self.analyze(x), self.symbols))

    def decompress(self, blob, max_pixels=bitstream.MAX_PIXELS, rounded=True):
        """The image, uint8 `[H, W, 3]`, of a file that `compress` wrote; see `unpack` for errors.

        Args:
          blob: bytes, the whole file.
          max_pixels: refuse larger images. Memory and time of decoding grow with them.
          rounded: off for float32 neither clipped nor rounded, which papers measure PSNR on.
        """
        header, latents = self.decode_latents(blob, max_pixels)
        return self.picture(header, latents[self.latents_name], rounded)

    def decode_latents(self, blob, max_pixels=bitstream.MAX_PIXELS):
        """The first half of `decompress`: the header and the latents, float32 `[1, h, w, C]`, by name."""
        header, strings = self.unpack(blob, self.coder.count, max_pixels)
        decoded = self.coder.decompress(strings, lambda cell: self.latent_shape(header, cell))
        decoded = {self.latents_name: decoded.pop("latents"), **decoded}
        return header, {name: tf.cast(values[None], tf.float32) for name, values in decoded.items()}


def to_pixels(x_hat, rounded=True):
    """An image in [0, 1] as uint8; with `rounded` off as float32 times 255 and nothing else."""
    x_hat = 255 * tf.cast(x_hat, tf.float32)
    return tf.cast(tf.clip_by_value(tf.round(x_hat), 0, 255), tf.uint8) if rounded else x_hat


def psnr(x, x_hat):
    """PSNR in dB `[N]` of the images that a user would get: x_hat, 0 ... 255, is clipped and rounded."""
    shown = tf.clip_by_value(tf.round(x_hat), 0, 255)
    return decibels(mean_square(tf.cast(x, tf.float32) - shown) / 255**2)


def decibels(ratio):
    """-10 log10 of a ratio of at least 1e-10: one perfect image must not make a mean infinite."""
    return -10 / np.log(10) * tf.math.log(tf.maximum(ratio, 1e-10))


def mean_square(difference):
    """`[N, H, W, C]` -> `[N]`."""
    return tf.reduce_mean(tf.math.square(difference), axis=[1, 2, 3])
