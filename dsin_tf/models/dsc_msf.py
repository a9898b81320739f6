"""DSC-MSF: images of a set, each decoded with the help of one that is decoded already.

Wang, Shi, Xing, Ling and Yin, "Deep correlated image set compression based on distributed source coding and multi-scale
fusion", DCC 2022. Published are the scheme, the search and the training's optimiser; there is no code. Of the rest we
know nothing, and it is ours: the codec of single images (that of lee2019.py, without context model), all layers, the
losses and the stages of training. So what this model reaches are results of our variant.

Symbols: `x_dec`, what the codec alone makes of x; `y`, the reference as the receiver has it; `y_dec`, the same before
side information, as far as that is known; `y_syn`, y's patches in x's order, and `score`, how well they fit; `x_msf`
after fusion; `x_hat` after enhancement.

Which image is whose reference is what `sets.Tree` says, and `set_codec.py` codes whole sets. The sender of x needs no
other image: its bytes are those of the codec alone. Only the tree is made of all originals, so this is distributed
coding in an order agreed upon.
"""

import tensorflow as tf

from dsin_tf import bitstream, images, layers
from dsin_tf.layers import enhancement
from dsin_tf.models import codec, lee2019, set_codec

# Each with how many pixels to either side its outputs, and fusion's before it, can depend on, but for means over the
# image.
_HALOS = {"ien": 128, "grdn": 336, "grdn_lite": 128, "none": 128}
_STRIDE = 4  # of fusion

ENHANCEMENTS = tuple(_HALOS)
REFERENCES = ("decoded", "original")
STAGES = ("fusion", "joint")

_MSF, _FINAL = 0.3, 0.7  # weights of the images before and after enhancement, or fusion; 0.7 is DSIN's
_PATCH = {"patch_size": (20, 24)}

PRESETS = {
    # For a GPU; lmbda 1e-4 ... 3.2e-3 are near 0.02 ... 0.2 bits a pixel on streets.
    "paper": {
        **lee2019.PRESETS["paper"],
        "context": "none",
        "fusion_channels": (48, 64, 96),
        "enhancement_filters": 64,
        **_PATCH,
    },
    # For two CPU cores.
    "small": {
        **lee2019.PRESETS["small"],
        "context": "none",
        "fusion_channels": (12, 16, 24),
        "enhancement_filters": 24,
        **_PATCH,
    },
    # For tests.
    "tiny": {
        **lee2019.PRESETS["tiny"],
        "context": "none",
        "fusion_channels": (2, 3, 4),
        "enhancement_filters": 8,
        "patch_size": (8, 8),
    },
}


class DSCMSF(codec.TransformCodec):
    """What crosses the channel is the codec's; the reference comes in after it.

        x -> codec ~~~~~~~~~~~~> x_dec --+------------------+-> fusion -> x_msf -> enhancement -> x_hat
                                         |                  |                           |
        reference's file ~~~~~~> y_dec --+                  |                           |
                                         +-> search -> y_syn, score --------------------+
        reference, decoded --------> y --+

    An image without a reference goes the same way with x_dec as y_syn and a score of 0.

    Trains in stages: the codec alone, as `lee2019` with `context="none"`; then from its weights fusion and enhancement
    (`stage="fusion"`, the codec stays as it is), with the loss of images of 0 ... 255

        0.3 |x - x_msf| + 0.7 |x - x_hat|;

    then all of it (`stage="joint"`): bpp + lmbda (0.3 |x - x_dec|^2 + 0.7 |x - x_hat|^2). Training takes chains of
    three images (see `data.chains`): in half of those that have a reference it comes from the codec alone, as a
    root's would but for fusion, in the others it was itself decoded with a reference.

    Args:
      filters, latents, context: N, M and context model of the codec, as of `lee2019.Lee2019`.
      fusion_channels: of fusion's three scales.
      multi_scale: off for one scale of the same number of parameters.
      enhancement: "ien", "grdn", "grdn_lite" or "none".
      enhancement_filters: channels inside IEN.
      patch_size: (rows, columns) of the search's patches.
      side: off for the same networks without side information: x_dec in place of y_syn.
      references: "decoded", or "original" for training with references as they were before coding.
      stage: "fusion" or "joint", what is trained.
      lmbda, distortion, seed: as of `lee2019.Lee2019`; the distortion is "mse".
    """

    distortions = ("mse",)
    model_name = "dsc_msf"
    side_is_optional = True
    decodes_unrounded = False

    def __init__(
        self,
        filters,
        latents,
        context,
        lmbda,
        fusion_channels,
        enhancement_filters,
        patch_size=(20, 24),
        multi_scale=True,
        enhancement="ien",
        side=True,
        references="decoded",
        stage="fusion",
        distortion="mse",
        seed=0,
    ):
        for name, value, known in (
            ("context", context, lee2019.CONTEXTS),
            ("enhancement", enhancement, ENHANCEMENTS),
            ("references", references, REFERENCES),
            ("stage", stage, STAGES),
        ):
            if value not in known:
                raise ValueError(f"There is no {name} {value!r}; there are: {', '.join(known)}.")
        architecture = {
            "filters": filters,
            "latents": latents,
            "context": context,
            "fusion_channels": tuple(map(int, fusion_channels)),
            "multi_scale": bool(multi_scale),
            "enhancement": enhancement,
            "enhancement_filters": enhancement_filters,
            "patch_size": tuple(map(int, patch_size)),
            "side": bool(side),
        }
        super().__init__(lmbda=lmbda, distortion=distortion, seed=seed, architecture=architecture)
        self.references, self.stage = references, stage
        lee2019.make_networks(self, layers.Maker(seed), filters, latents, context)
        if stage == "fusion":
            for network in self.layers:
                network.trainable = False
        make = layers.Maker(2**31 + seed)  # past every seed that the codec's layers can have
        self.transform = layers.ReferenceTransform(patch_size=architecture["patch_size"])
        self.fusion = layers.MultiScaleFusion(fusion_channels, multi_scale=multi_scale, seed=make.next_seed())
        self.enhance = _enhancement(enhancement, enhancement_filters, make.next_seed())

    @property
    def settings(self):
        return {**super().settings, "references": self.references, "stage": self.stage}

    @property
    def uses_side(self):
        return self._architecture["side"]

    @property
    def trains_on(self):
        return "chains" if self.uses_side else "images"

    @property
    def variant(self):
        """What is different from the model itself, "" or words joined by "-", such as "no_msf" or "grdn_lite"."""
        settings = self._architecture
        differences = {
            "no_side": not settings["side"],
            "no_msf": not settings["multi_scale"],
            {"none": "no_ien"}.get(settings["enhancement"], settings["enhancement"]): settings["enhancement"] != "ien",
            "original_training": self.references == "original",
            "joint": self.stage == "joint",
        }
        return "-".join(name for name, differs in differences.items() if differs)

    def call(self, inputs, training=False):
        """Codes x and decodes it with a reference, without bytes.

        Args:
          inputs: `(x, y)`, each `[N, H, W, 3]`, 0 ... 255, uint8 or float, y as the receiver has it; or a chain
            `(x, r, s)` of originals, r being x's reference and s r's: where two are equal the first has no reference.
            x alone for an image without reference.
          training: adds noise in place of rounding where the codec is trained.

        Returns:
          A dict: all that `lee2019` returns for x, with `x_dec` in place of `x_hat`; `y_syn`, `score`, `x_msf` and
          `x_hat`, float32 `[N, H, W, 3]`, 0 ... 255, neither clipped nor rounded.
        """
        x, *references = inputs if isinstance(inputs, (tuple, list)) else (inputs,)
        out = super().call(x, training and self.stage == "joint")
        x_dec = out.pop("x_hat")
        if self.stage == "fusion":
            x_dec = tf.stop_gradient(x_dec)
        if not (references and self.uses_side):
            y_syn, score = self.without_reference(x_dec)
        elif len(references) == 1:
            (y,) = references
            y_syn, score = self.side_information(x_dec, self.autoencode(y), y)
        else:
            y_syn, score = self._chain(x, x_dec, *references)
        x_msf, x_hat = self.reconstruct(x_dec, y_syn, score)
        return {**out, "x_dec": x_dec, "y_syn": y_syn, "score": score, "x_msf": x_msf, "x_hat": x_hat}

    def autoencode(self, y):
        """y through the codec, as in evaluation, without gradients: float32 `[N, H, W, 3]`, 0 ... 255."""
        return tf.stop_gradient(super().call(y)["x_hat"])

    def side_information(self, x_dec, y_dec, y):
        """`(y_syn, score)`, `[N, H, W, 3]` and `[N, H, W, 1]`, without gradients; y and y_dec may have another size."""
        return self.transform(x_dec, y_dec, tf.cast(y, tf.float32))

    def without_reference(self, x_dec):
        """The same for an image that has none."""
        return x_dec, tf.zeros_like(x_dec[..., :1])

    def reconstruct(self, x_dec, y_syn, score):
        """`(x_msf, x_hat)` of images of 0 ... 255."""
        x_msf = self.fusion(x_dec / 255, y_syn / 255, score)
        x_hat = x_msf if self.enhance is None else self.enhance(x_msf, y_syn / 255)
        return 255 * x_msf, 255 * x_hat

    # The same for a step of training, which needs each of them twice: traced once.
    _autoencode = tf.function(autoencode, autograph=False)
    _side_information = tf.function(side_information, autograph=False)

    def _chain(self, x, x_dec, r, s):
        """Side information from a chain of originals."""
        r_dec = self._autoencode(r)
        if self.references == "original":
            y = r
        else:

            def with_reference():
                s_dec = self._autoencode(s)
                return self.reconstruct(r_dec, *self._side_information(r_dec, s_dec, s_dec))[1]

            y = _unless(_equal(r, s), r_dec, with_reference)
        both = _unless(
            _equal(x, r),
            tf.concat(self.without_reference(x_dec), axis=-1),
            lambda: tf.concat(self._side_information(x_dec, r_dec, y), axis=-1),
        )
        return both[..., :3], both[..., 3:]

    # Training.

    def rate_distortion(self, x, out):
        """The loss and its terms; see the class and `Codec.rate_distortion`."""
        x = tf.cast(x, tf.float32)
        before = out["x_msf" if self.stage == "fusion" else "x_dec"]
        mse = codec.mean_square(x - out["x_hat"])
        if self.stage == "fusion":
            loss = _MSF * _mean_absolute(x - before) + _FINAL * _mean_absolute(x - out["x_hat"])
        else:
            loss = out["bpp_estimated"] + self.lmbda * (_MSF * codec.mean_square(x - before) + _FINAL * mse)
        return {"loss": loss, "bpp": out["bpp_estimated"], "mse": mse, "psnr": codec.psnr(x, out["x_hat"])}

    # Coding. `compress` is the codec's; sets of images are coded by `set_codec`.

    compress_set = set_codec.compress
    decompress_set = set_codec.decompress

    @property
    def decoder_networks(self):
        """The codec's encoder is among them: y goes through it where its own file is not at hand."""
        networks = (*super().decoder_networks, self.fusion, self.enhance, self.analysis, self.hyper_analysis)
        return tuple(network for network in networks if network is not None)

    def decompress(self, blob, y=None, y_blob=None, max_pixels=bitstream.MAX_PIXELS):
        """The image, uint8 `[H, W, 3]`, of a file that `compress` wrote; see `unpack` for errors.

        Args:
          blob: bytes, the whole file.
          y: the reference as it came out of decoding, uint8 of any size; None for an image without reference.
          y_blob: the reference's file, from which y_dec comes; without it y goes through the codec once more.
          max_pixels: refuse larger images. Memory and time of decoding grow with them.
        """
        x_dec = self.decode(blob, max_pixels)
        if y is None:
            return self.finish(x_dec)
        if not self.uses_side:
            raise ValueError(f"{self.name} without side information got y. Leave it out.")
        images.check(y)
        return self.finish(x_dec, y, self.decode(y_blob, max_pixels) if y_blob is not None else self.recode(y))

    def decode(self, blob, max_pixels=bitstream.MAX_PIXELS):
        """x_dec, float32 `[1, H, W, 3]`, 0 ... 255, of a file."""
        return super().decompress(blob, max_pixels, rounded=False)[None]

    def recode(self, y):
        """y_dec, float32 `[1, H, W, 3]`, of an image: what its file would hold."""
        return self.decode(self.compress(y))

    def finish(self, x_dec, y=None, y_dec=None):
        """x_hat, uint8 `[H, W, 3]`, of x_dec `[1, H, W, 3]` and its reference, `[H', W', 3]`, if it has one.

        Large images are finished in strips; enhancement then takes its means over each of these.
        """
        if y is None or not self.uses_side:
            y_syn, score = self.without_reference(tf.constant(x_dec))
        else:
            y_syn, score = self.side_information(x_dec, y_dec, y[None])

        def pixels(part):
            return codec.to_pixels(self.reconstruct(part[..., :3], part[..., 3:6], part[..., 6:])[1] / 255)

        joined = tf.concat([x_dec, y_syn, score], axis=-1)
        return layers.in_strips(pixels, joined, 1, _HALOS[self._architecture["enhancement"]], _STRIDE)[0].numpy()


def _enhancement(name, filters, seed):
    """A layer, or None."""
    if name == "ien":
        return layers.IEN(filters, seed=seed, name="enhance")
    if name == "none":
        return None
    return layers.GRDN(**(enhancement.GRDN_LITE if name == "grdn_lite" else {}), seed=seed, name="enhance")


def _equal(a, b):
    """bool `[N]`: which images of two batches are the same."""
    return tf.reduce_all(tf.equal(a, b), axis=[1, 2, 3])


def _unless(which, these, others):
    """`these` where `which` holds, elsewhere without gradients what the function `others` returns; called if needed."""
    found = tf.stop_gradient(tf.cond(tf.reduce_all(which), lambda: these, others))
    return tf.where(which[:, None, None, None], these, found)


def _mean_absolute(difference):
    """`[N, H, W, C]` -> `[N]`."""
    return tf.reduce_mean(tf.abs(difference), axis=[1, 2, 3])
