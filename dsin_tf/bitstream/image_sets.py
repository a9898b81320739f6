"""The file of a set of images: how they depend on each other, and the file of each, which can be read alone.

    magic                      3 bytes
    version << 4 | kind        1 byte; kind 0: the images' files follow, 1: they are elsewhere
    number of images           varint
    length of the tree         varint
    length of the geometry     varint
    length of each image file  varints
    the tree, the geometry
    CRC-32 of all before       4 bytes, little-endian
    the images' files          one after the other, if they follow

What tree and geometry mean is not this file's business. Each image's file has a checksum of its own, so damage there
is not looked for here: it costs that image, and those that were to be decoded with its help.
"""

from dataclasses import dataclass

from dsin_tf import bitstream

MAGIC = b"\xd5SS"
VERSION = 1

_TOGETHER, _APART = 0, 1


@dataclass(frozen=True)
class SetHeader:
    """What the file of a set says.

    Attributes:
      tree: bytes.
      geometry: bytes.
      lengths: bytes of each image's file.
    """

    tree: bytes
    geometry: bytes
    lengths: tuple


def is_set(blob):
    """Whether bytes begin as the file of a set."""
    return bytes(blob[: len(MAGIC)]) == MAGIC


def pack(tree, files, geometry=b"", together=True):
    """Makes the file of a set.

    Args:
      tree, geometry: bytes.
      files: list of bytes, at least one.
      together: off for the index alone, which goes with files that are kept one by one.
    """
    if not files:
        raise ValueError("Got no image, a set holds at least one.")
    kind = _TOGETHER if together else _APART
    numbers = [len(files), len(tree), len(geometry), *map(len, files)]
    head = MAGIC + bytes([VERSION << 4 | kind]) + b"".join(map(bitstream.to_varint, numbers)) + tree + geometry
    return head + bitstream.checksum(head) + (b"".join(files) if together else b"")


def unpack(blob):
    """Takes the file of a set apart.

    Args:
      blob: bytes.

    Returns:
      `(header, files)`: a `SetHeader`, and a list of bytes; where the set's file ends early, the last of them are cut
      off or empty. None where the files are elsewhere.

    Raises:
      bitstream.BitstreamError: it is no such file, or what comes before the images' files is damaged: one of
        NotAFileOfOursError, VersionError, LengthError, ChecksumError, TrailingBytesError.
    """
    blob = bytes(blob)
    if not is_set(blob):
        raise bitstream.NotAFileOfOursError(
            f"The file begins with {blob[: len(MAGIC)]!r}, {MAGIC!r} was expected. It holds no set of images.",
            start=blob[: len(MAGIC)],
        )
    position = len(MAGIC) + 1
    if len(blob) < position:
        raise bitstream.cut_off(position, len(blob))
    version, kind = divmod(blob[position - 1], 16)
    if version != VERSION or kind not in (_TOGETHER, _APART):
        raise bitstream.VersionError(
            f"The file has version {version}, kind {kind} of the format of sets; this code reads version {VERSION}, "
            f"kinds {_TOGETHER} and {_APART}. Update dsin_tf if it is newer; otherwise the file is damaged.",
            version=version,
            known=VERSION,
        )
    count, position = bitstream.read_varint(blob, position)
    if not 0 < count <= len(blob):  # each has a length of a byte at least
        raise bitstream.LengthError(
            f"The file speaks of {count} images and has {len(blob)} bytes. It is damaged; get a clean copy.",
            expected=count,
            found=len(blob),
        )
    numbers = []
    for _ in range(2 + count):
        number, position = bitstream.read_varint(blob, position)
        numbers.append(number)
    tree_length, geometry_length, *lengths = numbers
    start = position + tree_length + geometry_length
    tree, geometry = blob[position : position + tree_length], blob[position + tree_length : start]
    stored, head = blob[start : start + 4], blob[:start]
    start += 4
    if len(blob) < start:
        raise bitstream.cut_off(start, len(blob))
    if stored != bitstream.checksum(head):
        raise bitstream.ChecksumError(
            f"The checksum of the set's header is {stored.hex()}, its content gives {bitstream.checksum(head).hex()}. "
            "It was damaged after it was written; get a clean copy.",
            stored=stored,
            computed=bitstream.checksum(head),
        )
    end = start + (sum(lengths) if kind == _TOGETHER else 0)
    if len(blob) > end:
        raise bitstream.TrailingBytesError(
            f"The file has {len(blob)} bytes where its header speaks of {end}. Something was appended; get a clean "
            "copy.",
            expected=end,
            found=len(blob),
        )
    header = SetHeader(tree, geometry, tuple(lengths))
    if kind == _APART:
        return header, None
    files = []
    for length in lengths:
        files.append(blob[start : start + length])
        start += length
    return header, files
