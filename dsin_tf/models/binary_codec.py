"""What the models with binary codes share: an importance map, masks, what all of it costs, and the strings of a file.

The scheme is that of content_weighted.py, where its source stands. A file holds the string of the map and one for each
code; each of these depends on the map and on nothing else.

How codes are coded (`context`):

- "counts": by counts of the bits before, which need no training; see `bit_planes.AdaptiveCoder`.
- "learned": by the published kind of network; see `bit_planes.PlaneContext`. It is trained on codes that stay as they
  are: a model with this setting trains its contexts alone, and begins with the weights of one with "counts".

Three rates are in use. `bpp_raw` is that without entropy coding: log2 L bits for every place of the map, one for every
bit that is sent. `bpp_estimated` is the cross-entropy of the learned contexts where there are any; else the sum of
-log2 p under the counts, which takes a pass over each image and is therefore left to evaluation: while the codec
trains, it is `bpp_raw`. And there are the bytes of real files.
"""

import types

import numpy as np
import tensorflow as tf

from dsin_tf import bitstream, images, layers
from dsin_tf.entropy import bit_planes
from dsin_tf.models import codec

CONTEXTS = ("counts", "learned")


class BinaryCodec(codec.Codec):
    """Base class of the models whose codes are bits, sent where a map says so.

        x -> encode -> p -> levels Q(p) ~~~~~~~> map --+
                |             |                        v
                +--> e -> mask * (e > 1/2) ~~~~~> codes -> decode -> x_hat

    A model makes its networks, and has `encode`, `call` and `decompress`.

    Args:
      codes: {name: channels n} of the codes, in the order of their strings; n of the first is a multiple of L.
      masked: names of those that are sent under the map; of the others everything is.
      levels: L of the map, a power of two.
      context: "counts" or "learned".
      map_gradient: "local" or "global", see `layers.binarizer`.
      steps_without_map: steps at the beginning of training in which all of the code passes and no rate counts.
        Evaluation always has the map.
      distortion, seed, architecture: as of `codec.Codec`; `levels` and `context` are added to the last.

    Attributes:
      analysis_halo: pixels that `encode` can depend on to either side, a multiple of 8; the model's.
      codes: as above.
      contexts: {name: `PlaneContext`} of the map and the codes; empty with "counts".
    """

    uses_lmbda = False
    stride = 8
    analysis_halo = None

    def __init__(self, codes, masked, levels, context, map_gradient, steps_without_map, distortion, seed, architecture):
        if context not in CONTEXTS:
            raise ValueError(f"There is no context {context!r}; there are: {', '.join(CONTEXTS)}.")
        if steps_without_map < 0:
            raise ValueError(f"steps_without_map is {steps_without_map}; 0 or more was expected.")
        architecture = {**architecture, "levels": levels, "context": context}
        super().__init__(lmbda=None, distortion=distortion, seed=seed, architecture=architecture)
        self.map_gradient, self.steps_without_map = map_gradient, int(steps_without_map)
        self.codes, self._masked, self._levels = types.MappingProxyType(codes), frozenset(masked), levels
        self._planes = types.MappingProxyType({"map": bit_planes.map_depth(levels), **codes})
        self._means["p_mean"] = tf.keras.metrics.Mean(name="p_mean")
        self._planes_of_levels = bit_planes.planes_of_map(np.arange(levels)[:, None], levels)
        layers.importance_mask(tf.zeros([1, 1, 1, 1]), next(iter(codes.values())), levels, map_gradient)  # or refuses
        self.contexts, self._coders = {}, types.MappingProxyType({})

    def build_networks(self, *networks):
        """Makes the weights; then the coders, and with "learned" all weights so far are kept as they are."""
        super().build_networks(*networks)
        if self._architecture["context"] == "counts":
            self._coders = types.MappingProxyType({name: bit_planes.AdaptiveCoder() for name in self._planes})
            return
        for network in self.layers:
            network.trainable = False
        make = layers.Maker(2**31 + self.seed)  # past every seed that the codec's layers can have
        for name, channels in self._planes.items():
            self.contexts[name] = bit_planes.PlaneContext(channels, seed=make.next_seed(), name=f"context_{name}")
        self._coders = types.MappingProxyType(
            {name: bit_planes.ExactPlaneContext(context) for name, context in self.contexts.items()}
        )

    def start_from(self, other):
        """As of `codec.Codec`; with "learned", other must be the model whose codes the contexts are trained on.

        Raises:
          ValueError: also where other codes or was trained otherwise.
        """
        if self.contexts:
            free = ("context", "steps_without_map", "seed")
            differ = {k: own for k, own in self.settings.items() if k not in free and own != other.settings.get(k)}
            if differ:
                found = ", ".join(f"{name} {other.settings.get(name)}" for name in differ)
                asked = ", ".join(f"{name} {own}" for name, own in differ.items())
                raise ValueError(
                    f"Contexts are learned for the codes of one model; {other.name} has {found}, {asked} was asked "
                    "for. Give the settings of the model to start from."
                )
        super().start_from(other)

    @property
    def settings(self):
        own = {"map_gradient": self.map_gradient, "steps_without_map": self.steps_without_map}
        return {**super().settings, **own}

    # What `call` is made of.

    def encode(self, x, training=False):
        """`(p, {name: e})` of normalised images: float32 in (0, 1), `[N, h, w, 1]` and `[N, h, w, n]` each."""
        raise NotImplementedError

    def code(self, x, training=False):
        """What is sent of images, and what that takes.

        Args:
          x: `[N, H, W, 3]`, 0 ... 255, uint8 or float.
          training: as of `encode`; and leaves out the map in the first steps, and counting, see above.

        Returns:
          A dict: `p`, the importance map, float32 `[N, h, w, 1]`; `map`, its levels, int32; each code by its name,
          float32 `[N, h, w, n]`, 0 or 1, 0 where it is not sent; `masks`, {name: the same shape}; `p_mean` `[N]`, the
          mean of p, 0 in steps without map; `bpp_estimated` and `bpp_raw` `[N]`, over the pixels of x.
        """
        p, e = self.encode(self.normalize(x), training)
        levels = layers.quantize_map(p, self._levels)
        masks = self._masks(
            tf.shape(p), lambda channels: layers.chroma_mask(p, channels, self._levels, self.map_gradient)
        )
        p_mean = tf.reduce_mean(p, axis=[1, 2, 3])
        if training and not self.contexts and self.steps_without_map:
            whole = self.step < self.steps_without_map
            masks = {name: tf.where(whole, tf.ones_like(mask), mask) for name, mask in masks.items()}
            p_mean = tf.where(whole, tf.zeros_like(p_mean), p_mean)
        codes = {name: masks[name] * layers.binarize(e[name]) for name in self.codes}
        pixels = tf.cast(tf.shape(x)[1] * tf.shape(x)[2], tf.float32)
        raw, estimated = self._bits(levels, codes, masks, training)
        rates = {"bpp_estimated": estimated / pixels, "bpp_raw": raw / pixels}
        return {"p": p, "map": levels, **codes, "masks": masks, "p_mean": p_mean, **rates}

    def crop(self, padded, x):
        """The part of a padded batch that belongs to the pixels of x."""
        return tf.ensure_shape(padded[:, : tf.shape(x)[1], : tf.shape(x)[2]], x.shape)

    def estimate(self, x):
        return self.estimates(x)["bpp_estimated"]

    def estimates(self, x):
        out = self.code(tf.constant(x)[None])
        return {name: float(out[name][0]) for name in ("bpp_estimated", "bpp_raw", "p_mean")}

    def _masks(self, shape, masked):
        """{name: mask} of codes `[N, h, w, n]`; `masked(channels)` makes one of the map, shape is the map's."""
        return {
            name: masked(channels) if name in self._masked else tf.ones([*tf.unstack(shape[:3]), channels])
            for name, channels in self.codes.items()
        }

    def _bits(self, levels, codes, masks, training):
        """`(raw, estimated)` bits of a batch, float32 `[N]` both; see above."""
        planes = {"map": tf.gather(self._planes_of_levels, levels[..., 0]), **codes}
        masks = {"map": tf.ones_like(planes["map"], tf.float32), **masks}
        raw = tf.add_n([tf.reduce_sum(mask, axis=[1, 2, 3]) for mask in masks.values()])
        if self.contexts:
            each = [self.contexts[name].bits(planes[name], masks[name]) for name in planes]
            return raw, tf.add_n([tf.reduce_sum(bits, axis=[1, 2, 3]) for bits in each])
        if training:
            return raw, raw
        counted = tf.numpy_function(self._count, [*planes.values(), *masks.values()], tf.float32)
        return raw, tf.ensure_shape(counted, raw.shape)

    def _count(self, *arrays):
        """By counts, of planes and then masks `[N, h, w, n]`, each in the order of the strings."""
        half = len(self._coders)
        coded = list(zip(self._coders.values(), arrays[:half], arrays[half:]))
        batch = range(len(arrays[0]))
        return np.float32([sum(coder.bits(planes[i], mask[i]) for coder, planes, mask in coded) for i in batch])

    # Training.

    def terms(self, x, out, loss):
        """The terms of every loss `[N]`; with "learned" the loss is the rate, which nothing else can change."""
        x = tf.cast(x, tf.float32)
        return {
            "loss": out["bpp_estimated"] if self.contexts else loss,
            "bpp": out["bpp_estimated"],
            "p_mean": out["p_mean"],
            "mse": codec.mean_square(x - out["x_hat"]),
            "psnr": codec.psnr(x, out["x_hat"]),
        }

    # Coding.

    def prepare_for_coding(self):
        """Makes the integers of learned contexts, which `compress` and `decompress` share; once, after training."""
        if self.contexts:
            for coder in self._coders.values():
                coder.quantize()
        self.mark_prepared()

    @property
    def coding_parts(self):
        return self._coders

    def analyze(self, image):
        """What is sent of one image, uint8 `[H, W, 3]`: {"map": int32 `[h, w, 1]`, code: int32 `[h, w, n]`}.

        Raises:
          NotPreparedError: the model is not prepared for coding.
          images.ImageError: it is not an image.
          ValueError: the map or a code is not finite.
        """
        self._check_prepared()
        images.check(image)
        padded = images.pad_to_multiple(image, self.stride)[None]

        def network(part):
            p, e = self.encode(self.normalize(part))
            return tf.concat([p, *e.values()], axis=-1)

        joined = layers.in_strips(network, padded, 1 / 8, self.analysis_halo)
        if not np.isfinite(joined).all():
            raise ValueError("The latents are not finite: the model's weights are broken. Load good weights.")
        p, *e = tf.split(joined, [1, *self.codes.values()], axis=-1)
        levels = layers.quantize_map(p, self._levels)[0].numpy()
        masks = self.masks_of(levels)
        bits = {name: layers.binarize(each)[0].numpy() for name, each in zip(self.codes, e)}
        return {"map": levels, **{name: (masks[name] * bits[name]).astype(np.int32) for name in self.codes}}

    def masks_of(self, levels):
        """{name: mask, bool `[h, w, n]`} by the levels of the map, `[h, w, 1]`; all that a decoder has."""
        masks = self._masks(
            [1, *levels.shape], lambda channels: layers.mask_of_levels(levels[None], channels, self._levels)
        )
        return {name: mask[0].numpy() > 0 for name, mask in masks.items()}

    def strings(self, latents):
        """The strings of what `analyze` returned: that of the map, then one of each code."""
        planes = {**latents, "map": bit_planes.planes_of_map(latents["map"], self._levels)}
        masks = {"map": np.ones_like(planes["map"]), **self.masks_of(latents["map"])}
        return [coder.compress(planes[name], masks[name]) for name, coder in self._coders.items()]

    def compress(self, x):
        """The file, bytes, of one image, uint8 `[H, W, 3]` of any size."""
        return self.pack(x, self.strings(self.analyze(x)))

    def decode_latents(self, blob, max_pixels=bitstream.MAX_PIXELS, only=None):
        """The first half of `decompress`, bit by bit.

        Args:
          blob, max_pixels: as of `decompress`.
          only: names of codes; the strings of others are not looked at.

        Returns:
          The header and {"map": int32 `[1, h, w, 1]`, code: float32 `[1, h, w, n]`}.
        """
        header, (of_map, *of_codes) = self.unpack(blob, len(self._coders), max_pixels)
        shape = (*self.latent_shape(header, self.stride), self._planes["map"])
        levels = bit_planes.map_of_planes(self._coders["map"].decompress(of_map, np.ones(shape, bool)))
        masks = self.masks_of(levels)
        codes = {
            name: tf.constant(self._coders[name].decompress(string, masks[name])[None], tf.float32)
            for name, string in zip(self.codes, of_codes)
            if only is None or name in only
        }
        return header, {"map": tf.constant(levels[None]), **codes}


def to_map(blocks, filters, name="to_map"):
    """Features `[N, h, w, C]` to the map before its sigmoid, `[N, h, w, 1]`; blocks is a `layers.ResidualMaker`."""
    parts = [blocks.conv(filters, 3, 1, tf.nn.relu, "conv1"), blocks.conv(1, 1, 1, None, "conv2")]
    return tf.keras.Sequential(parts, name=name)


def to_code(blocks, channels, name="to_code"):
    """Features `[N, h, w, C]` to e before its sigmoid, `[N, h, w, channels]`."""
    return tf.keras.Sequential([blocks.conv(channels, 1, 1, None, "conv")], name=name)
