"""Classical codecs to compare with: JPEG, WebP, JPEG 2000, BPG (a stand-in) and AVIF.

    codec = anchors.get("jpeg2000")
    best = codec.encode_at(image, bpp=0.06)      # None where the codec cannot go that low
    image_hat = codec.decode(best.data)          # best.bpp, best.size_bytes, best.setting

The rate is 8 * bytes / pixels, over all bytes of the file and the pixels of the image as it was given. The one
exception is the stand-in for BPG, whose rate counts the bytes of an equal BPG file (`eval/bpg_standin.py`).

A codec whose library is absent says so in `missing`; all others go on working. Encoders run on one thread or are
told otherwise how to cut their work, so that the same versions give the same bytes on every machine.
"""

import abc
import dataclasses
import hashlib
import io
import math
from typing import Any, ClassVar

import numpy as np
import PIL
from PIL import Image, features

from dsin_tf import images
from eval import bpg_standin, jpeg2000_header


class AnchorError(ValueError):
    """A codec cannot do what was asked; the message says what, why, and what would work."""


@dataclasses.dataclass(frozen=True)
class Encoded:
    """One encode. `data` is what `decode` takes; `size_bytes` and `bpp` are the rate, see the module's docstring."""

    data: bytes
    size_bytes: int
    bpp: float
    setting: Any


class Codec(abc.ABC):
    """What all codecs share. `name` is the key of `get`, `label` is for tables, `description` says all settings.

    A codec has one setting that moves its rate, an element of `ladder(image)`: settings in ascending order of rate.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    setting_name: ClassVar[str]

    @property
    @abc.abstractmethod
    def description(self):
        """One line: chroma format, preset, transform and what the rate counts."""

    @property
    @abc.abstractmethod
    def missing(self):
        """None where the codec can run, else one line: what is not there and how to get it."""

    @abc.abstractmethod
    def ladder(self, image):
        """A sequence of settings, in ascending order of the rate that they give for `image`."""

    @abc.abstractmethod
    def versions(self):
        """Versions of what codes, {"library": "version"}."""

    def encode(self, image, setting):
        """Encodes at one setting.

        Args:
          image: `uint8 [H, W, 3]`.
          setting: an element of `ladder(image)`.

        Returns:
          An `Encoded`.

        Raises:
          AnchorError: the library is missing, or the codec refuses the size or the setting.
          images.ImageError: not an image.
        """
        images.check(image)
        self._need_library()
        rows, columns = image.shape[:2]
        try:
            data = self._encode(image, setting)
        except (OSError, ValueError) as error:
            raise AnchorError(
                f"{self.label} cannot encode {rows}x{columns} (height x width) at {self.setting_name} {setting!r}: "
                f"{error}. Use another size or setting, or leave {self.name!r} out."
            ) from error
        size_bytes = self._counted(data)
        return Encoded(data, size_bytes, 8 * size_bytes / (rows * columns), setting)

    def decode(self, data):
        """The picture in `Encoded.data`, as `uint8 [H, W, 3]`; depends on nothing but these bytes.

        Raises:
          AnchorError: the library is missing, or the bytes are damaged.
        """
        self._need_library()
        try:
            return self._decode(data)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise AnchorError(
                f"{self.label} cannot decode these {len(data)} bytes: {error}. They are damaged, or another codec's."
            ) from error

    def encode_at(self, image, bpp):
        """The encode with the highest rate at or under `bpp`, or None where the lowest setting needs more."""
        return Sweep(self, image).under(bpp)

    def floor(self, image):
        """The rate in bpp at the lowest setting: no target below it can be reached."""
        return Sweep(self, image).floor.bpp

    def checksum(self):
        """A digest of one small encode: it changes when the codec does, whatever the versions say."""
        rows, columns = np.mgrid[:64, :64]
        image = np.stack([4 * rows, rows ^ (3 * columns), 4 * columns], axis=-1).astype(np.uint8)
        ladder = self.ladder(image)
        encoded = self.encode(image, ladder[len(ladder) * 9 // 10])  # fine enough that every part of the codec works
        return hashlib.sha256(encoded.data).hexdigest()[:16]

    def likely_rungs(self, image, bpp):
        """Indices into `ladder(image)` between which the answer for `bpp` probably lies; empty if anywhere."""
        del image, bpp
        return ()

    def _need_library(self):
        if self.missing:
            raise AnchorError(f"{self.label} cannot run here: {self.missing}.")

    def _counted(self, data):
        """Bytes that the rate counts."""
        return len(data)

    @abc.abstractmethod
    def _encode(self, image, setting):
        """The file's bytes."""

    @abc.abstractmethod
    def _decode(self, data):
        """The picture, `uint8 [H, W, 3]`."""


class _PillowCodec(Codec):
    """A codec of Pillow's. Subclasses name the format, the library's feature and the options of `save`."""

    _format: ClassVar[str]
    _feature: ClassVar[str]
    _library: ClassVar[str]

    @property
    def missing(self):
        if features.check(self._feature):
            return None
        return (
            f"Pillow {PIL.__version__} was built without {self._library}; "
            "pip install --force-reinstall --only-binary :all: pillow brings a build that has it"
        )

    def versions(self):
        return {"pillow": PIL.__version__, self._library: str(features.version(self._feature))}

    @abc.abstractmethod
    def _options(self, setting):
        """Options of Pillow's `save`."""

    def _encode(self, image, setting):
        file = io.BytesIO()
        Image.fromarray(image).save(file, self._format, **self._options(setting))
        return file.getvalue()

    def _decode(self, data):
        with Image.open(io.BytesIO(data), formats=[self._format]) as picture:
            return np.array(picture.convert("RGB"))


class Jpeg(_PillowCodec):
    """Baseline of every comparison. Tables and headers alone take several hundred bytes."""

    name, label, setting_name = "jpeg", "JPEG", "quality"
    description = "4:2:0, progressive, optimised Huffman tables"
    _format, _feature, _library = "JPEG", "jpg", "libjpeg"

    def ladder(self, image):
        return range(1, 101)

    def versions(self):
        turbo = features.version("libjpeg_turbo")
        return {**super().versions(), **({"libjpeg-turbo": turbo} if turbo else {})}

    def _options(self, setting):
        return {"quality": setting, "subsampling": 2, "optimize": True, "progressive": True}


class WebP(_PillowCodec):
    """Lossy WebP, one VP8 key frame."""

    name, label, setting_name = "webp", "WebP", "quality"
    description = "lossy, 4:2:0, method 6"
    _format, _feature, _library = "WEBP", "webp", "libwebp"

    def ladder(self, image):
        return range(101)

    def _options(self, setting):
        return {"quality": setting, "method": 6}


class Jpeg2000(_PillowCodec):
    """JPEG 2000. Pillow would by default leave out the colour transform and use the lossless wavelet.

    The setting is the compression ratio against 24 bits a pixel. OpenJPEG meets it to about 2 %, in steps of whole
    coding passes, sometimes on the wrong side; so `encode_at` searches.
    """

    name, label, setting_name = "jpeg2000", "JPEG 2000", "compression ratio"
    description = "9/7 wavelet, multi-component transform on, 6 resolutions, 1 layer, 1 tile, .jp2 file"
    _format, _feature, _library = "JPEG2000", "jpg_2000", "openjpeg"

    # Ratios in steps of 0.2 %, from far below any header down to 1, which takes nothing away.
    _STEP, _LAST = 1.002, 5760
    _PRECISION = 16  # rungs: OpenJPEG's 2 % and a little more

    def ladder(self, image):
        return [float(f"{self._STEP ** (self._LAST - rung):.5g}") for rung in range(self._LAST + 1)]

    def likely_rungs(self, image, bpp):
        expected = self._LAST - round(math.log(24 / bpp, self._STEP))
        return [min(max(rung, 0), self._LAST) for rung in (expected - self._PRECISION, expected + self._PRECISION)]

    def _options(self, setting):
        return {"quality_mode": "rates", "quality_layers": [setting], "irreversible": True, "mct": 1}

    def _encode(self, image, setting):
        data = super()._encode(image, setting)
        style = jpeg2000_header.coding_style(data)
        if not (style.color_transform and style.irreversible):
            raise ValueError(
                f"the encoder wrote {style}, the colour transform and the 9/7 wavelet were asked for; "
                "this build of Pillow or OpenJPEG ignores the options"
            )
        return data


class Bpg(Codec):
    """BPG's picture without BPG's container; see `eval/bpg_standin.py`. The setting is x265's QP."""

    name, label, setting_name = "bpg", "BPG (stand-in)", "QP"
    description = (
        "HEVC intra 4:4:4 by x265, preset veryslow, tune ssim, constant QP, full-range BT.601, within 0.05 dB of the "
        "BPG reference encoder; rate = BPG-equivalent size (slice data + 27 bytes), decoded from the whole raw stream"
    )

    @property
    def missing(self):
        return bpg_standin.missing()

    def ladder(self, image):
        return range(bpg_standin.QP_COARSEST, -1, -1)

    def versions(self):
        return bpg_standin.versions()

    def _counted(self, data):
        return bpg_standin.equivalent_size(data)

    def _encode(self, image, setting):
        return bpg_standin.encode(image, setting)

    def _decode(self, data):
        return bpg_standin.decode(data)


@dataclasses.dataclass(frozen=True)
class Avif(_PillowCodec):
    """AVIF (AV1 intra). Slow: speed 3 takes ten times as long as speed 6 and gains about half a dB."""

    speed: int = 3

    name, label, setting_name = "avif", "AVIF", "quality"
    _format, _feature, _library = "AVIF", "avif", "libavif"

    @property
    def description(self):
        return f"AV1 intra, 4:4:4, speed {self.speed}"

    def ladder(self, image):
        return range(101)

    def versions(self):
        from PIL import _avif  # Pillow has no public name for the version of the encoder inside libavif

        return {**super().versions(), "av1": _avif.codec_versions()}

    def _options(self, setting):
        # More threads cut the picture into tiles, and the bytes would depend on the machine.
        return {"quality": setting, "subsampling": "4:4:4", "speed": self.speed, "max_threads": 1}


_CODECS = {codec.name: codec for codec in (Jpeg, WebP, Jpeg2000, Bpg, Avif)}


def names():
    """The codecs' names, oldest first."""
    return tuple(_CODECS)


def get(name, **options):
    """The codec called `name`.

    Args:
      name: one of `names()`.
      **options: what the codec's class takes; AVIF has `speed`, 0 (slowest) to 10.

    Raises:
      AnchorError: there is no such codec.
    """
    if name not in _CODECS:
        raise AnchorError(f"There is no codec {name!r}. Use one of: {', '.join(names())}.")
    return _CODECS[name](**options)


class Sweep:
    """Encodes of one image, searched by rate. What was encoded for one target serves the next one, too.

    The search takes the rate to ascend along the ladder. Where an encoder breaks this by a few bytes, `under` still
    returns a file at or under the target, if not always the very largest.
    """

    def __init__(self, codec, image):
        self.codec, self.image = codec, image
        self._ladder = codec.ladder(image)
        self._known = {}

    @property
    def floor(self):
        """The encode at the lowest setting."""
        return self._encoded(0)

    def under(self, bpp):
        """The last encode at or under `bpp`, or None where the floor lies above."""
        rung = self._last_under(bpp)
        return None if rung < 0 else self._encoded(rung)

    def over(self, bpp):
        """The first encode above `bpp`, or None where even the highest setting needs no more."""
        rung = self._last_under(bpp) + 1
        return None if rung == len(self._ladder) else self._encoded(rung)

    def _encoded(self, rung):
        if rung not in self._known:
            self._known[rung] = self.codec.encode(self.image, self._ladder[rung])
        return self._known[rung]

    def _last_under(self, bpp):
        """The last rung at or under `bpp`, -1 where there is none: bisection, begun where the codec expects it."""
        if bpp <= 0:
            raise AnchorError(f"A rate of {bpp} bpp was asked for; rates are positive.")
        low, high = -1, len(self._ladder)

        def narrow(rung):
            nonlocal low, high
            if low < rung < high:
                if self._encoded(rung).bpp <= bpp:
                    low = rung
                else:
                    high = rung

        for rung in [*sorted(self._known), *self.codec.likely_rungs(self.image, bpp)]:
            narrow(rung)
        while high - low > 1:
            narrow((low + high) // 2)
        return low
