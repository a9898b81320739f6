"""Multi-channel multi-loss compression: brightness and two colours in streams of their own, with a loss for each.

"Multi-Channel Multi-Loss Deep Learning Based Compression Model for Color Images", a poster; no paper and no code are
known to us. The binariser and the importance map are those of its reference, Li et al. (see content_weighted.py). Its
autoencoders, "16 ResNet blocks with 5 skip connections", are those of Mentzer et al. (see layers/residual.py), and its
fusion networks with "15 ResNet blocks" are such decoders without the last block.

Published are the three streams, the fusion of brightness into the decoders of colour, which therefore get by with fewer
channels, and the loss but for its weights. Ours is what the poster does not say:

- JFIF's YCbCr in floats, without subsampling; planes in about -1 ... 1; all widths; nu; means in place of sums.
- Colours are sent whole, or with `chroma_mask` under the map of brightness, for rates that all their bits would exceed.
- Where codes meet: `fuse_at` "code" is what the diagram says, binariser, then concatenation, then fusion network;
  "feature" takes the output of the blocks of brightness' decoder. Gradients pass from colour to brightness.
- Batch normalisation is for batches of 8 and more; see layers/residual.py for what is done without.
- A fifth of training without map.
- `side`: y, the other image of a pair, as side information for the decoders of colour. The poster knows nothing of it.

The poster's three rows are `chroma_channels=16, fuse_at="none"`, `8, "none"` and `8, "code"`, the model itself.
"""

import tensorflow as tf

from dsin_tf import bitstream, color, layers
from dsin_tf.models import binary_codec, codec

STREAMS = ("luma", "cb", "cr")
FUSIONS = ("code", "feature", "none")

PRESETS = {
    # Rates come from rate_weight 2, 5, 10, 20.
    "paper": {
        "filters": 128,
        "groups": 5,
        "channels": 64,
        "levels": 16,
        "chroma_channels": 8,
        "batch_norm": True,
        "rate_weight": 5.0,
        "steps_without_map": 60_000,
    },
    # For two CPU cores: a quarter of the filters, one group in place of five, half of brightness' code. Those of colour
    # keep their channels, so that they are twice as large beside it, as long as brightness is sent whole.
    "small": {
        "filters": 32,
        "groups": 1,
        "channels": 32,
        "levels": 16,
        "chroma_channels": 8,
        "batch_norm": False,
        "rate_weight": 5.0,
        "steps_without_map": 2000,
    },
    # For tests.
    "tiny": {
        "filters": 8,
        "groups": 1,
        "channels": 8,
        "levels": 4,
        "chroma_channels": 8,
        "batch_norm": False,
        "rate_weight": 5.0,
        "steps_without_map": 2,
    },
}

_SCALE = 127.5  # of planes, which go from -1 to 1 around
_MIDDLES = (127.5, 128.0, 128.0)
_SIDE_HALO = 16  # 2 + 4 + 8 pixels for its three convolutions


class MultiChannel(binary_codec.BinaryCodec):
    """Three autoencoders; those of colour get by with few channels, since their decoders know the code of brightness.

        Y  -> analysis -> F -> to_map  -> p -> levels -> mask
                          +--> to_code -> bits -> (*) ----> luma --+--> synthesis -> Y_hat
                                                                   |
        Cb -> analysis -----> to_code -> bits ------------> cb ----+--> fusion ----> Cb_hat
                                                                   |
        Cr -> analysis -----> to_code -> bits ------------> cr ----+--> fusion ----> Cr_hat
                                                                   |
        y (side) -------------------------> analysis_side ---------+

    The loss is, with means over the pixels in 0 ... 255 and over the map,

        |Y - Y_hat| + nu (|Cb - Cb_hat| + |Cr - Cr_hat|) + rate_weight p

    Neither colour's code or bytes depend on the other's, and brightness is decoded without either (`decode_luma`).

    Args:
      filters: channels in the middle of every encoder and decoder; even.
      groups: of three residual blocks in each of these.
      channels: n_Y, of the code of brightness; a multiple of `levels`.
      levels: L, of the map; a power of two.
      chroma_channels: n_C, of the code of each colour.
      fuse_at: "code", "feature", or "none" for colours whose decoders see their own codes alone.
      chroma_mask: whether colours are sent under the map, too.
      batch_norm: whether convolutions are followed by batch normalisation.
      side: whether the decoders of colour see y, too: its planes go through three convolutions to 1/8 of their sides.
      nu: weight of the colours' losses, 0 or more.
      rate_weight: the poster's lambda, 0 or more: larger means fewer bits, as opposed to lmbda of other models.
      context, map_gradient, steps_without_map: as of `binary_codec.BinaryCodec`.
      distortion: "mae".
      seed: of the initial weights.
    """

    distortions = ("mae",)
    model_name = "multichannel"

    def __init__(
        self,
        filters=128,
        groups=5,
        channels=64,
        levels=16,
        chroma_channels=8,
        fuse_at="code",
        chroma_mask=False,
        batch_norm=True,
        side=False,
        nu=1.0,
        rate_weight=5.0,
        context="counts",
        map_gradient="local",
        steps_without_map=0,
        distortion="mae",
        seed=0,
    ):
        _check(filters, fuse_at, nu, rate_weight)
        super().__init__(
            codes=dict(zip(STREAMS, (channels, chroma_channels, chroma_channels))),
            masked=STREAMS if chroma_mask else ("luma",),
            levels=levels,
            context=context,
            map_gradient=map_gradient,
            steps_without_map=steps_without_map,
            distortion=distortion,
            seed=seed,
            architecture={
                "filters": filters,
                "groups": groups,
                "channels": channels,
                "chroma_channels": chroma_channels,
                "fuse_at": fuse_at,
                "chroma_mask": bool(chroma_mask),
                "batch_norm": bool(batch_norm),
                "side": bool(side),
            },
        )
        self.nu, self.rate_weight = float(nu), float(rate_weight)
        make = layers.Maker(seed)
        blocks, plain = layers.ResidualMaker(make, batch_norm), layers.ResidualMaker(make, norm=False)
        self.analysis, self.to_code, self.synthesis, self.join = {}, {}, {}, {}
        for name, own in self.codes.items():
            self.analysis[name] = blocks.encoder(filters, groups, filters, tf.nn.relu, f"analysis_{name}")
            self.to_code[name] = binary_codec.to_code(plain, own, f"to_code_{name}")
            fuses = name != "luma" and fuse_at != "none"
            self.synthesis[name] = blocks.decoder(filters, groups, 1, not fuses, f"synthesis_{name}")
            if fuses and fuse_at == "feature":
                self.join[name] = tf.keras.Sequential([blocks.conv(filters, 3, 1, tf.nn.relu, "conv")], f"join_{name}")
        self.to_map = binary_codec.to_map(plain, filters)
        self.analysis_side = _analysis_side(blocks, filters) if side else None
        fused = channels if fuse_at == "code" else 0
        seen = chroma_channels + fused + (filters if side else 0)
        self.build_networks(
            *((network, 1) for network in self.analysis.values()),
            *((network, filters) for network in (*self.to_code.values(), self.to_map)),
            *((network, channels if name == "luma" else seen) for name, network in self.synthesis.items()),
            *((network, 2 * filters) for network in self.join.values()),
            *([(self.analysis_side, 3)] if side else []),
        )

    @property
    def settings(self):
        return {**super().settings, "nu": self.nu, "rate_weight": self.rate_weight}

    @property
    def uses_side(self):
        return self._architecture["side"]

    @property
    def variant(self):
        """What is different from the model itself, "" or words joined by "-", such as "no_fusion_16"."""
        settings = self._architecture
        kind = {"code": "fusion", "feature": "feature_fusion", "none": "no_fusion"}[settings["fuse_at"]]
        fusion = f"{kind}_{settings['chroma_channels']}"
        differences = {
            fusion: fusion != "fusion_8",
            "chroma_mask": settings["chroma_mask"],
            "side": settings["side"],
            "learned_context": settings["context"] == "learned",
        }
        return "-".join(name for name, differs in differences.items() if differs)

    @property
    def analysis_halo(self):
        # CPM's (see `cpm.CPM.analyze`) and 8 more for the convolution of the map.
        return 24 * self._architecture["groups"] + 32

    # What `call` is made of.

    def normalize(self, x):
        """`[N, H, W, 3]` RGB, 0 ... 255, any type -> its Y, Cb and Cr in about -1 ... 1, padded to multiples of 8."""
        return (color.rgb_to_ycbcr(layers.pad_to_multiple(tf.cast(x, tf.float32), self.stride)) - _MIDDLES) / _SCALE

    def encode(self, x, training=False):
        e = {}
        for name, plane in zip(STREAMS, tf.split(x, 3, axis=-1)):
            features = self.analysis[name](plane, training=training)
            e[name] = tf.sigmoid(tf.cast(self.to_code[name](features), tf.float32))
            if name == "luma":
                p = tf.sigmoid(tf.cast(self.to_map(features), tf.float32))
        return p, e

    def see(self, y, training=False):
        """What the decoders of colour get of y `[N, H, W, 3]`, 0 ... 255: float32 `[N, h, w, filters]`."""
        return tf.cast(self.analysis_side(self.normalize(y), training=training), tf.float32)

    def decode(self, known, training=False):
        """Planes of decoded codes.

        Args:
          known: {stream: code `[N, h, w, n]`}, and "side": what `see` returned where there is side information.
          training: whether batch normalisation uses the batch's statistics.

        Returns:
          float32 `[N, 8 h, 8 w, 3]`: Y, Cb and Cr, about 0 ... 255, not clipped.
        """
        luma, features = self._decode_stream("luma", known["luma"], None, training)
        fuse_at, planes = self._architecture["fuse_at"], [luma]
        for name in ("cb", "cr"):
            seen = [known["luma"]] if fuse_at == "code" else []
            seen += [known[key] for key in (name, "side") if key in known]
            fused = features if fuse_at == "feature" else None
            planes.append(self._decode_stream(name, tf.concat(seen, axis=-1), fused, training)[0])
        return tf.concat(planes, axis=-1)

    def _decode_stream(self, name, seen, fused, training):
        """A plane `[N, 8 h, 8 w, 1]`, and the output of the blocks that it is made of."""
        begin, body, *ending = self.synthesis[name].layers
        x = begin(seen, training=training)
        if fused is not None:
            x = self.join[name](tf.concat([fused, x], axis=-1), training=training)
        x = features = body(x, training=training)
        for layer in ending:
            x = layer(x, training=training)
        return _MIDDLES[STREAMS.index(name)] + _SCALE * tf.cast(x, tf.float32), features

    def call(self, inputs, training=False):
        """Codes x and decodes it, without bytes.

        Args:
          inputs: x, `[N, H, W, 3]`, 0 ... 255, uint8 or float; with side information (x, y).
          training: as of `code` and `decode`.

        Returns:
          A dict: `ycbcr`, float32 `[N, H, W, 3]`, the planes, and `x_hat`, the same as RGB, 0 ... 255, neither clipped
          nor rounded; what `code` returns.
        """
        x, y = inputs if self.uses_side else (inputs, None)
        code = self.code(x, training)
        known = {name: code[name] for name in STREAMS}
        if y is not None:
            known["side"] = self.see(y, training)
        ycbcr = self.crop(self.decode(known, training), x)
        return {"x_hat": color.ycbcr_to_rgb(ycbcr), "ycbcr": ycbcr, **code}

    # Training.

    def rate_distortion(self, x, out):
        """The loss and its terms, all `[N]`; `mae_luma`, `mae_cb` and `mae_cr` are those of the class."""
        errors = tf.reduce_mean(tf.abs(color.rgb_to_ycbcr(tf.cast(x, tf.float32)) - out["ycbcr"]), axis=[1, 2])
        luma, cb, cr = tf.unstack(errors, axis=-1)
        loss = luma + self.nu * (cb + cr) + self.rate_weight * out["p_mean"]
        return {**self.terms(x, out, loss), "mae_luma": luma, "mae_cb": cb, "mae_cr": cr}

    # Coding. `compress` is `BinaryCodec`'s.

    @property
    def decoder_networks(self):
        side = () if self.analysis_side is None else (self.analysis_side,)
        return (*self.synthesis.values(), *self.join.values(), *side)

    def decompress(self, blob, y=None, max_pixels=bitstream.MAX_PIXELS):
        """The image, uint8 `[H, W, 3]`, of a file that `compress` wrote; see `unpack` for errors.

        Args:
          blob: bytes, the whole file.
          y: the side information, uint8, of the same size; None for a model without.
          max_pixels: refuse larger images. Memory and time of decoding grow with them.

        Raises:
          images.ImageError: y is no image, or of another size.
          ValueError: y is missing, or there is no use for it.
        """
        header, _ = self.unpack(blob, 1 + len(STREAMS), max_pixels)
        self.check_side(y, header)
        _, latents = self.decode_latents(blob, max_pixels)
        known = {name: latents[name] for name in STREAMS}
        if y is not None:
            padded = layers.pad_to_multiple(tf.constant(y)[None], self.stride)
            known["side"] = layers.in_strips(self.see, padded, 1 / 8, _SIDE_HALO)
        return self._pixels(header, known, lambda part: color.ycbcr_to_rgb(self.decode(part)))

    def decode_luma(self, blob, max_pixels=bitstream.MAX_PIXELS):
        """The brightness, uint8 `[H, W]`, of a file; its strings of colour are not looked at."""
        header, latents = self.decode_latents(blob, max_pixels, only=("luma",))

        def luma(part):
            return self._decode_stream("luma", part["luma"], None, False)[0]

        return self._pixels(header, {"luma": latents["luma"]}, luma)[..., 0]

    def _pixels(self, header, known, network):
        """uint8 `[H, W, C]`, what the network makes of `known` `[1, h, w, ...]`, as of `decode`, in strips."""
        # CPM's, see `cpm.CPM.reconstruct`; after the blocks of brightness may come those of colour and, before them, a
        # convolution.
        halo = 3 * self._architecture["groups"] + 4
        if self.join:
            halo *= 2
        sizes = [values.shape[-1] for values in known.values()]

        def pixels(joined):
            return codec.to_pixels(network(dict(zip(known, tf.split(joined, sizes, axis=-1)))) / 255)

        x_hat = layers.in_strips(pixels, tf.concat([*known.values()], axis=-1), self.stride, halo)
        return x_hat[0, : header.height, : header.width].numpy()


def _analysis_side(blocks, filters):
    """Planes `[N, H, W, 3]` to `[N, H / 8, W / 8, filters]`."""
    parts = [
        blocks.conv(filters // 2, 5, 2, tf.nn.relu, "h1"),
        blocks.conv(filters, 5, 2, tf.nn.relu, "h2"),
        blocks.conv(filters, 5, 2, tf.nn.relu, "h3"),
    ]
    return tf.keras.Sequential(parts, name="analysis_side")


def _check(filters, fuse_at, nu, rate_weight):
    """Raises ValueError for what `binary_codec.BinaryCodec` does not look at."""
    if filters % 2:
        raise ValueError(f"filters is {filters}; an even number was expected, half of it goes to the outer layers.")
    if fuse_at not in FUSIONS:
        raise ValueError(f"There is no fuse_at {fuse_at!r}; there are: {', '.join(FUSIONS)}.")
    for name, value in (("nu", nu), ("rate_weight", rate_weight)):
        if not value >= 0:
            raise ValueError(f"{name} is {value!r}; 0 or more was expected.")
