"""The file format: a header that says what is needed to read the rest, the payload, a checksum.

    magic                      3 bytes
    version << 4 | strings     1 byte
    identity of the model      4 bytes
    height, width              varints
    length of each string      varints
    the strings                one after the other
    CRC-32 of all before       4 bytes, little-endian

Varints hold 7 bits a byte, lowest first, the high bit saying that more follow; only the shortest form is valid, so
that a picture has one file. A file of one string for 320x1224 carries at most 20 bytes besides the string. The
shapes of the latents follow from height and width and are not stored.

`unpack` finds everything that can be wrong without decoding, and each thing has its own error. All are ValueErrors
that carry the values they speak of as attributes.
"""

import zlib
from dataclasses import dataclass

MAGIC = b"\xd5SI"  # not ASCII, so that no text file begins like it
VERSION = 1
MAX_PIXELS = 64 * 2**20  # of `unpack`: decoding takes memory in proportion
MAX_STRINGS = 15

_IDENTITY_BYTES = 4
_CHECKSUM_BYTES = 4
_FIXED_BYTES = len(MAGIC) + 1 + _IDENTITY_BYTES
_VARINT_BYTES = 5  # enough for 2**32 - 1
_VARINT_END = 2**32


class BitstreamError(ValueError):
    """A file that cannot be read. `values` become attributes of the error."""

    def __init__(self, message, **values):
        super().__init__(message)
        self.__dict__.update(values)


class NotAFileOfOursError(BitstreamError):
    """It does not begin as our files do. Attribute `start`: its first bytes."""


class VersionError(BitstreamError):
    """A version of the format that this code does not know. Attributes `version`, `known`."""


class ModelError(BitstreamError):
    """Written with another model or other weights. Attributes `wanted` (by the file) and `given`, 4 bytes each."""


class SizeError(BitstreamError):
    """No pixels, or more than the limit. Attributes `height`, `width`, `max_pixels`."""


class LengthError(BitstreamError):
    """The file ends before its header or its strings do, or its header is malformed. Attributes `expected`, `found`."""


class TrailingBytesError(BitstreamError):
    """Bytes after the end. Attributes `expected` (length of the file by its header) and `found`."""


class ChecksumError(BitstreamError):
    """Something in the file was changed. Attributes `stored` and `computed`."""


class PayloadError(BitstreamError):
    """A string that no encoder writes. Raised while decoding, by `dsin_tf.entropy.coder`."""


@dataclass(frozen=True)
class Header:
    """What a file says about itself.

    Attributes:
      version: of the format.
      identity: bytes [4], the digest of the model that wrote it and of all its numbers.
      height: of the image, in pixels.
      width: of the image, in pixels.
      lengths: bytes of each string.
    """

    version: int
    identity: bytes
    height: int
    width: int
    lengths: tuple


def pack(identity, height, width, strings):
    """Makes a file.

    Args:
      identity: bytes [4], the model's.
      height: of the image, at least 1.
      width: of the image, at least 1.
      strings: up to 15 bytes objects.

    Returns:
      bytes.

    Raises:
      SizeError: no pixels, or a side that the format cannot hold.
      ValueError: an identity that is not 4 bytes, or too many strings.
    """
    identity, strings = bytes(identity), [bytes(string) for string in strings]
    if len(identity) != _IDENTITY_BYTES:
        raise ValueError(f"The identity is {identity!r}, {_IDENTITY_BYTES} bytes were expected. Pass model.identity.")
    if len(strings) > MAX_STRINGS:
        raise ValueError(f"Got {len(strings)} strings, a file holds at most {MAX_STRINGS}. Join some of them.")
    if not (0 < height < _VARINT_END and 0 < width < _VARINT_END):
        raise _size_error(height, width, _VARINT_END - 1)
    header = MAGIC + bytes([VERSION << 4 | len(strings)]) + identity
    numbers = [height, width, *(len(string) for string in strings)]
    body = b"".join([header, *map(to_varint, numbers), *strings])
    return body + checksum(body)


def unpack(blob, identity=None, max_pixels=MAX_PIXELS):
    """Takes a file apart, after every check that is possible without decoding.

    The checksum is looked at before identity and size, so that a damaged file is called damaged and not made for
    another model.

    Args:
      blob: bytes, the whole file.
      identity: bytes [4] of the model that is to decode it; None does not compare.
      max_pixels: refuse larger images.

    Returns:
      `(header, strings)`: a Header and a list of bytes objects.

    Raises:
      BitstreamError: one of its subclasses, in this order: NotAFileOfOursError, VersionError, LengthError,
        TrailingBytesError, ChecksumError, ModelError, SizeError.
    """
    blob = bytes(blob)
    header, start = _read_header(blob)
    expected = start + sum(header.lengths) + _CHECKSUM_BYTES
    if len(blob) < expected:
        raise cut_off(expected, len(blob))
    if len(blob) > expected:
        raise TrailingBytesError(
            f"The file has {len(blob)} bytes where its header speaks of {expected}. "
            f"Something was appended or the header is damaged; get a clean copy.",
            expected=expected,
            found=len(blob),
        )
    stored, computed = blob[-_CHECKSUM_BYTES:], checksum(blob[:-_CHECKSUM_BYTES])
    if stored != computed:
        raise ChecksumError(
            f"The file's checksum is {stored.hex()}, its content gives {computed.hex()}. "
            "It was damaged after it was written; get a clean copy.",
            stored=stored,
            computed=computed,
        )
    if identity is not None and header.identity != bytes(identity):
        raise ModelError(
            f"The file was written with weights {header.identity.hex()}, the model at hand is {bytes(identity).hex()}. "
            f"Load the model whose identity is {header.identity.hex()}.",
            wanted=header.identity,
            given=bytes(identity),
        )
    if not 0 < header.height * header.width <= max_pixels:
        raise _size_error(header.height, header.width, max_pixels)
    strings = []
    for length in header.lengths:
        strings.append(blob[start : start + length])
        start += length
    return header, strings


def inspect(blob, max_pixels=MAX_PIXELS):
    """The Header of a file, without any model; checks and raises as `unpack` does."""
    return unpack(blob, max_pixels=max_pixels)[0]


def _read_header(blob):
    """`(header, position of the first string)`."""
    if blob[: len(MAGIC)] != MAGIC:
        start = blob[: len(MAGIC)]
        raise NotAFileOfOursError(
            f"The file begins with {start!r}, {MAGIC!r} was expected. It is no compressed image of this package.",
            start=start,
        )
    if len(blob) < _FIXED_BYTES:
        raise cut_off(_FIXED_BYTES, len(blob))
    version, count = divmod(blob[len(MAGIC)], 16)
    if version != VERSION:
        raise VersionError(
            f"The file has version {version} of the format, this code reads version {VERSION}. "
            "Update dsin_tf if it is newer; otherwise the file is damaged.",
            version=version,
            known=VERSION,
        )
    position = _FIXED_BYTES
    numbers = []
    for _ in range(2 + count):
        number, position = read_varint(blob, position)
        numbers.append(number)
    identity = blob[len(MAGIC) + 1 : _FIXED_BYTES]
    return Header(version, identity, numbers[0], numbers[1], tuple(numbers[2:])), position


def to_varint(number):
    """A number of 0 ... 2**32 - 1 as bytes."""
    groups = []
    while number >= 0x80:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*groups, number])


def read_varint(blob, position):
    """`(number, position after it)`; raises LengthError."""
    encoded = blob[position : position + _VARINT_BYTES]
    number = 0
    for i, byte in enumerate(encoded):
        number |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            if to_varint(number) != encoded[: i + 1] or number >= _VARINT_END:
                break
            return number, position + i + 1
    else:
        if len(encoded) < _VARINT_BYTES:
            raise cut_off(position + len(encoded) + 1, len(blob))
    raise LengthError(
        f"A number of the header is stored as {encoded.hex()}, which no writer produces. "
        "The file is damaged; get a clean copy.",
        expected=None,
        found=encoded,
    )


def checksum(data):
    """CRC-32 of bytes, as bytes [4]."""
    return zlib.crc32(data).to_bytes(_CHECKSUM_BYTES, "little")


def cut_off(expected, found):
    """The LengthError of a file that ends too early."""
    return LengthError(
        f"The file has {found} bytes, its header asks for at least {expected}. It was cut off; get a whole copy.",
        expected=expected,
        found=found,
    )


def _size_error(height, width, max_pixels):
    return SizeError(
        f"The image is {height}x{width} = {height * width} pixels (height x width), between 1 and {max_pixels} were "
        "expected. Raise max_pixels if the file is to be trusted.",
        height=height,
        width=width,
        max_pixels=max_pixels,
    )
