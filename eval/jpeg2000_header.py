"""What a JPEG 2000 file says about how it was coded: the guard against an encoder that ignores its options."""

import dataclasses
import struct

_SOC, _COD, _SOT = 0xFF4F, 0xFF52, 0xFF90


@dataclasses.dataclass(frozen=True)
class CodingStyle:
    """The coding style default (COD) of a codestream."""

    layers: int
    resolutions: int
    color_transform: bool  # the multi-component transform (MCT): YCbCr-like instead of three separate channels
    irreversible: bool  # the 9/7 wavelet; False is the reversible 5/3


def coding_style(data):
    """Reads the COD marker segment (ISO/IEC 15444-1, A.6.1) of a .jp2 file or a bare codestream.

    Args:
      data: the file's bytes.

    Returns:
      A `CodingStyle`.

    Raises:
      ValueError: there is no codestream, or no such marker in its main header.
    """
    try:
        at = _codestream_start(data) + 2  # behind SOC, which has no length
        while True:
            marker, length = struct.unpack_from(">HH", data, at)
            if marker == _COD:
                # length, Scod, progression, layers, MCT, decompositions, block width and height, block style, wavelet
                _, _, _, layers, transform, decompositions, _, _, _, wavelet = struct.unpack_from(
                    ">HBBHBBBBBB", data, at + 2
                )
                return CodingStyle(layers, decompositions + 1, transform == 1, wavelet == 0)
            if marker == _SOT:
                raise ValueError("The main header of the JPEG 2000 codestream has no COD marker; the file is damaged.")
            at += 2 + length
    except struct.error as error:
        raise ValueError(
            f"These {len(data)} bytes end before a JPEG 2000 codestream and its COD marker; the file is cut off, "
            "or it is no JPEG 2000 file."
        ) from error


def _codestream_start(data):
    """Where SOC stands: at once in a bare codestream, else at the head of the box "jp2c"."""
    at = 0
    while struct.unpack_from(">H", data, at)[0] != _SOC:
        length, kind = struct.unpack_from(">I4s", data, at)
        header = 8
        if length == 1:  # the real length follows in 64 bits
            (length,) = struct.unpack_from(">Q", data, at + 8)
            header = 16
        # A box that says it is shorter than its own header reaches to the end of the file (0) or is damaged.
        at += header if kind == b"jp2c" else length if length >= header else len(data)
    return at
