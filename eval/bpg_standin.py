"""A stand-in for BPG: one HEVC intra picture, 4:4:4, made by x265 with the BPG encoder's settings.

BPG (Fabrice Bellard's Better Portable Graphics) is an HEVC intra picture whose parameter sets are squeezed into
a short header. No package of it exists, so the same picture is coded through PyAV's x265: preset veryslow,
tune ssim, constant QP, full-range BT.601 YCbCr, sides padded to multiples of 8 by replication, no SEI. Against the
reference BPG encoder at equal rate this lies within 0.05 dB.

A stream has two sizes. The raw stream is what is written and decoded. The BPG-equivalent size counts the slice
data as it stands and BPG's own overhead in place of the parameter sets; it is the rate.

x265 codes a lone picture 3 QP steps finer than it is told, because its intra pictures carry an offset that
expects predicted pictures to follow. The QP here is the one x265 is told, 0 to 51.
"""

import functools
import re
from fractions import Fraction

import numpy as np

from dsin_tf import color, images

# BPG's 24-byte header and the start code of one slice, in place of VPS, SPS and PPS.
BPG_OVERHEAD = 27
# The smallest coding tree unit of HEVC; x265 refuses pictures that do not hold one.
MIN_SIDE = 16
QP_COARSEST = 51

# Wavefront coding writes other bytes than plain coding, and x265 takes it only where it finds a thread pool.
# One pool thread and wavefront by name give the bytes of the calibration on a machine with any number of cores.
_X265 = (
    "keyint=1:info={info}:range=full:repeat-headers=1:rect=1:amp=1:wpp=1:pools=1:frame-threads=1:log-level=none:qp={qp}"
)
_SLICE_TYPES = range(32)  # NAL unit types below 32 hold slices, those above hold parameters


def missing():
    """None where the stand-in can run, else one line: what is not there and how to get it."""
    try:
        import av
    except ImportError as error:
        return f"PyAV cannot be imported ({error}); pip install av"
    for name, mode in (("libx265", "w"), ("hevc", "r")):
        try:
            av.Codec(name, mode)
        except ValueError:
            return f"PyAV {av.__version__} was built without {name}; pip install av brings a build that has it"
    return None


@functools.cache
def versions():
    """PyAV's and x265's versions: {"pyav": ..., "x265": ...}."""
    import av

    # x265 names itself nowhere but in an optional message inside the stream.
    stream = _encode_planes(np.zeros((3, MIN_SIDE, MIN_SIDE), np.uint8), QP_COARSEST, info=1)
    found = re.search(rb"x265 \(build \d+\) - ([^:]+):", stream)
    return {"pyav": av.__version__, "x265": found.group(1).decode("ascii") if found else "unknown"}


def encode(image, qp):
    """Codes one picture.

    Args:
      image: `uint8 [H, W, 3]` RGB, both sides at least `MIN_SIDE`.
      qp: what x265 is told, 0 (finest) to 51 (coarsest).

    Returns:
      A raw HEVC stream: VPS, SPS, PPS and one slice. The SPS holds the true size, so the stream decodes alone.
    """
    rows, columns = image.shape[:2]
    if min(rows, columns) < MIN_SIDE:
        raise ValueError(f"the image is {rows}x{columns} (height x width), HEVC needs {MIN_SIDE} each way")
    ycbcr = images.to_uint8(color.rgb_to_ycbcr(image))
    return _encode_planes(np.ascontiguousarray(ycbcr.transpose(2, 0, 1)), qp)


def decode(stream):
    """The picture of a stream that `encode` made: `uint8 [H, W, 3]` RGB."""
    import av

    decoder = av.CodecContext.create("hevc", "r")
    decoder.thread_count = 1
    frames = [frame for packet in decoder.parse(stream) + decoder.parse(b"") for frame in decoder.decode(packet)]
    frames += decoder.decode(None)
    if len(frames) != 1:
        raise ValueError(f"the stream holds {len(frames)} pictures, one was expected")
    ycbcr = frames[0].to_ndarray(format="yuv444p").transpose(1, 2, 0)
    return images.to_uint8(color.ycbcr_to_rgb(ycbcr))


def equivalent_size(stream):
    """Bytes that the picture of a raw HEVC stream would take in a BPG file."""
    return BPG_OVERHEAD + sum(len(unit) for kind, unit in nal_units(stream) if kind in _SLICE_TYPES)


def nal_units(stream):
    """The stream cut at its start codes: a list of (NAL unit type, bytes without the start code)."""
    units = [unit.rstrip(b"\0") for unit in stream.split(b"\0\0\1")[1:]]
    return [(unit[0] >> 1 & 63, unit) for unit in units]


def _encode_planes(planes, qp, info=0):
    """Y, Cb and Cr `uint8 [3, H, W]` as a raw HEVC stream; x265 itself pads to multiples of 8 by replication."""
    import av

    encoder = av.CodecContext.create("libx265", "w")
    encoder.height, encoder.width = planes.shape[1:]
    encoder.pix_fmt = "yuv444p"
    encoder.time_base = Fraction(1, 25)
    encoder.framerate = Fraction(25)
    encoder.options = {"preset": "veryslow", "tune": "ssim", "x265-params": _X265.format(qp=qp, info=info)}
    packets = encoder.encode(av.VideoFrame.from_ndarray(planes, format="yuv444p")) + encoder.encode(None)
    return b"".join(bytes(packet) for packet in packets)
