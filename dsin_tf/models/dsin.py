"""DSIN: image compression with an image at the decoder that shows the same things from elsewhere.

Ayzik and Avidan, "Deep image compression using decoder side information", ECCV 2020, https://arxiv.org/abs/2001.04753.
The sender is CPM's; see cpm.py for it and for what the released code does differently there.

Where that code and the paper disagree, the preset `paper` does as the code, since the published numbers come from it:

- `fetch`: the code takes the patches of y by a bilinear crop-and-resize that stretches them by 5 % ("resample"); the
  paper's equation copies them ("copy", and so do our smaller presets).
- `mask`: on in the released configuration; Fig. 5 to 7 of the paper are without it.
- The colours that are compared, and how wide the mask is: see `layers.SIFinder`.

What differs from that code: batches may hold several pairs; sizes need not divide by those of the patches; x_hat is
rounded and not cut off to integers; and y_dec is made of the padded image where sides do not divide by 8. Ours is what
is put in place of y where there is none (`side="none"`, of which the paper says no more than that y is left out): the
mean colour, so that SI-Net has its size and its other weights their meaning.
"""

import types

import tensorflow as tf

from dsin_tf import bitstream, layers
from dsin_tf.layers import reference_transform, si_finder, si_net
from dsin_tf.models import cpm

SIDES = ("si_finder", "raw_y", "none")

PRESETS = {
    # As published; rates come from target_bpp 0.02 ... 0.2.
    "paper": {**cpm.PRESETS["paper"], "patch_size": (20, 24), "fetch": "resample", "si_filters": 32},
    # Ours, for two CPU cores: at 128x256 a patch of KITTI's size would hold several things at different distances.
    "small": {**cpm.PRESETS["small"], "patch_size": (16, 16), "fetch": "copy", "si_filters": 16},
    # For tests.
    "tiny": {**cpm.PRESETS["tiny"], "patch_size": (8, 8), "fetch": "copy", "si_filters": 8},
}


class DSIN(cpm.CPM):
    """What crosses the channel is CPM's; y, which the sender never sees, comes in after it.

        x -> encoder -> symbols ~~~~~~~~> decoder -> x_dec --+--------------+
                                                             |              |
        y ----> encoder -> symbols -----> decoder -> y_dec --+              |
        |                                                    |              |
        +--------------------------------------------> SI-Finder -> y_syn --+-> SI-Net -> x_hat

    SI-Finder has no weights; y goes through encoder and decoder as in evaluation, and no gradient comes back on that
    way. The loss is CPM's with two distortions,

        (1 - alpha) d(x, x_dec) + alpha d(x, x_hat) + rate

    Args:
      patch_size: (rows, columns) of SI-Finder's patches.
      mask: whether SI-Finder prefers windows near the patch's own place.
      fetch: "resample" or "copy", how SI-Finder takes patches out of y.
      distance: "pearson", or "l2_lab", the other one of the released code.
      side: what SI-Net gets besides x_dec: "si_finder" for y_syn, "raw_y" for y as it is, "none" for no side
        information: the model then takes none.
      alpha: weight of x_hat's distortion, 0 ... 1.
      si_filters: channels inside SI-Net.
      The others: see `cpm.CPM`.
    """

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
        patch_size=(20, 24),
        mask=True,
        fetch="resample",
        distance="pearson",
        side="si_finder",
        alpha=0.7,
        si_filters=32,
        seed=0,
    ):
        if side not in SIDES:
            raise ValueError(f"There is no side {side!r}; there are: {', '.join(SIDES)}.")
        if not 0 <= alpha <= 1:
            raise ValueError(f"alpha is {alpha!r}; 0 ... 1 was expected.")
        if si_filters < 1:
            raise ValueError(f"si_filters is {si_filters}; 1 or more was expected.")
        super().__init__(
            filters=filters,
            arch_param_b=arch_param_b,
            channels=channels,
            centers=centers,
            k=k,
            target_bpp=target_bpp,
            distortion=distortion,
            regularize=regularize,
            seed=seed,
        )
        self.alpha = float(alpha)
        search = {"patch_size": tuple(map(int, patch_size)), "mask": bool(mask), "fetch": fetch, "distance": distance}
        self._architecture = types.MappingProxyType(
            {**self._architecture, "side": side, "si_filters": si_filters, **search}
        )
        self.finder = si_finder.SIFinder(**search) if side == "si_finder" else None
        make = layers.Maker(2**31 + seed)  # past every seed that CPM's layers can have
        self.si_net = layers.SINet(si_filters, make.next_seed())
        self.build_networks((self.si_net, 6))

    @property
    def settings(self):
        return {**super().settings, "alpha": self.alpha}

    @property
    def uses_side(self):
        return self._architecture["side"] != "none"

    @property
    def variant(self):
        """ "", or "no_si", "raw_y", "l2_lab" or "no_mask"."""
        settings = self._architecture
        if settings["side"] != "si_finder":
            return {"none": "no_si", "raw_y": "raw_y"}[settings["side"]]
        if settings["distance"] != "pearson":
            return settings["distance"]
        return "" if settings["mask"] else "no_mask"

    def call(self, inputs, training=False):
        """Codes x and decodes it with y, without bytes.

        Args:
          inputs: (x, y), each `[N, H, W, 3]`, 0 ... 255, uint8 or float; x alone for `side="none"`.
          training: of x's way; y's is always that of evaluation.

        Returns:
          A dict: all that `CPM.call` returns for x, with `x_dec`; `x_hat`, float32 `[N, H, W, 3]`, neither clipped nor
          rounded; with side information `y_syn`, `[N, H, W, 3]`, and where patches are searched `y_dec`.
        """
        x, y = inputs if self.uses_side else (inputs, None)
        side = {}
        if self.finder is not None:
            # Before x moves the running averages of batch normalisation, so that the order of the two never matters.
            side["y_dec"] = tf.stop_gradient(self.crop(self.autoencode(y), y))
        out = super().call(x, training)
        if y is not None:
            side["y_syn"] = self.synthesize(out["x_dec"], y, side.get("y_dec"))
        return {**out, **side, "x_hat": self.fuse(out["x_dec"], side.get("y_syn"))}

    def autoencode(self, y):
        """y through encoder and decoder, as in evaluation: float32, 0 ... 255, padded to multiples of `stride`."""
        z, _ = self.importance(self.analysis(self.normalize(y), training=False))
        return self.decode(self.quantizer(z)[0], training=False)

    def synthesize(self, x_dec, y, y_dec):
        """y_syn, float32 `[N, H, W, 3]`, of images of that size, 0 ... 255; y_dec is None where nothing is searched.

        Images smaller than a patch are searched with their edges repeated.
        """
        y = tf.cast(y, tf.float32)
        if self.finder is None:
            return y
        grown = (reference_transform.grown(image, *self.finder.patch_size) for image in (x_dec, y_dec, y))
        y_syn = self.finder(*map(tf.stop_gradient, grown))
        return self.crop(tf.stop_gradient(y_syn), x_dec)

    def fuse(self, x_dec, y_syn):
        """x_hat of images `[N, H, W, 3]`, 0 ... 255; y_syn is None where there is no side information."""
        x_dec = cpm.normalize(x_dec)
        y_syn = tf.zeros_like(x_dec) if y_syn is None else cpm.normalize(y_syn)
        return cpm.denormalize(self.si_net(tf.concat([x_dec, y_syn], axis=-1)))

    # Training.

    def rate_distortion(self, x, out):
        """As of `CPM`, with the loss of both stages together; `distortion_si` is that of x_hat."""
        terms = super().rate_distortion(x, out)
        distortion_si = self.distance(x, out["x_hat"])
        loss = terms["loss"] + self.alpha * (distortion_si - terms["distortion"])
        return {**terms, "distortion_si": distortion_si, "loss": loss}

    # Coding. `compress` is CPM's.

    @property
    def decoder_networks(self):
        searched = () if self.finder is None else (self.analysis,)
        return (*super().decoder_networks, self.si_net, *searched)

    def estimate(self, x):
        x = tf.constant(x)[None]
        return float(self.bpp(self.encode(x), x)[0])

    def decompress(self, blob, y=None, max_pixels=bitstream.MAX_PIXELS):
        """The image, uint8 `[H, W, 3]`, of a file that `compress` wrote; see `unpack` for errors.

        Args:
          blob: bytes, the whole file.
          y: the side information, uint8, of the same size; None for `side="none"`.
          max_pixels: refuse larger images. Memory and time of decoding grow with them.

        Raises:
          images.ImageError: y is no image, or of another size.
          ValueError: y is missing, or there is no use for it.
        """
        header, _ = self.unpack(blob, 1, max_pixels)
        self.check_side(y, header)
        _, latents = self.decode_latents(blob, max_pixels)
        x_dec = self.reconstruct(latents["symbols"])[:, : header.height, : header.width]
        y_syn = y_dec = None
        if self.finder is not None:
            y_dec = self.reconstruct(self.analyze(y)[None])[:, : header.height, : header.width]
        if y is not None:
            y_syn = self.synthesize(x_dec, y[None], y_dec)
        both = x_dec if y_syn is None else tf.concat([x_dec, y_syn], axis=-1)

        def pixels(part):
            x_hat = self.fuse(part[..., :3], None if y_syn is None else part[..., 3:])
            return tf.cast(tf.clip_by_value(tf.round(x_hat), 0, 255), tf.uint8)

        return layers.in_strips(pixels, both, 1, si_net.HALO)[0].numpy()
