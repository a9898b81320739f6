"""The file format, against a writer of its own made from the description, and against damage."""

import contextlib
import pickle
import random
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsin_tf import bitstream

IDENTITY = b"\x01\x02\x03\xff"


def with_checksum(body):
    return body + struct.pack("<I", zlib.crc32(body))


def repaired(blob):
    """The same file with a checksum that fits, as someone would make it who wants it to be read."""
    return with_checksum(blob[:-4])


def test_layout_is_the_one_described():
    strings = [b"a" * 300, b"", b"xyz"]
    # 320 = 2 * 128 + 64, 1224 = 9 * 128 + 72, 300 = 2 * 128 + 44: low seven bits first.
    numbers = bytes([0x80 | 64, 2, 0x80 | 72, 9, 0x80 | 44, 2, 0, 3])
    expected = with_checksum(b"\xd5SI" + bytes([0x13]) + IDENTITY + numbers + b"".join(strings))
    assert bitstream.pack(IDENTITY, 320, 1224, strings) == expected


def test_a_stored_file_is_read_for_ever():
    blob = bytes.fromhex("d55349 12 0a0b0c0d c002 c809 05 02 68656c6c6f 7a7a ede80aec")
    header, strings = bitstream.unpack(blob, identity=bytes.fromhex("0a0b0c0d"))
    assert header == bitstream.Header(1, bytes.fromhex("0a0b0c0d"), 320, 1224, (5, 2))
    assert strings == [b"hello", b"zz"]


@given(
    st.binary(min_size=4, max_size=4),
    st.integers(1, 2**32 - 1),
    st.integers(1, 2**32 - 1),
    st.lists(st.binary(max_size=200), max_size=15),
)
def test_what_is_packed_is_unpacked(identity, height, width, strings):
    blob = bitstream.pack(identity, height, width, strings)
    header, unpacked = bitstream.unpack(blob, identity, max_pixels=2**64)
    assert unpacked == strings
    assert header == bitstream.Header(1, identity, height, width, tuple(map(len, strings)))
    assert bitstream.inspect(blob, max_pixels=2**64) == header


@pytest.mark.parametrize("length", [0, 1, 127, 128, 16383, 16384, 100_000])
def test_one_string_of_a_kitti_image_costs_at_most_20_bytes(length):
    assert len(bitstream.pack(IDENTITY, 320, 1224, [b"x" * length])) - length <= 20


def test_every_fault_has_its_own_error_that_carries_the_values():
    blob = bitstream.pack(IDENTITY, 320, 1224, [b"hello"])

    with pytest.raises(bitstream.NotAFileOfOursError, match=r"b'\\x89PN'") as caught:
        bitstream.unpack(b"\x89PNG" + blob)
    assert caught.value.start == b"\x89PN"

    with pytest.raises(bitstream.VersionError, match="version 2 .* reads version 1") as caught:
        bitstream.unpack(repaired(blob[:3] + b"\x21" + blob[4:]))
    assert (caught.value.version, caught.value.known) == (2, 1)

    with pytest.raises(bitstream.ModelError, match=r"weights 010203ff.*00000000") as caught:
        bitstream.unpack(blob, identity=bytes(4))
    assert (caught.value.wanted, caught.value.given) == (IDENTITY, bytes(4))

    with pytest.raises(bitstream.SizeError, match="320x1224 = 391680 .* 391679") as caught:
        bitstream.unpack(blob, max_pixels=391679)
    assert (caught.value.height, caught.value.width, caught.value.max_pixels) == (320, 1224, 391679)
    bitstream.unpack(blob, max_pixels=391680)

    with pytest.raises(bitstream.LengthError, match="21 bytes, its header asks for at least 22") as caught:
        bitstream.unpack(blob[:-1])
    assert (caught.value.expected, caught.value.found) == (22, 21)

    with pytest.raises(bitstream.TrailingBytesError, match="24 bytes .* 22") as caught:
        bitstream.unpack(blob + b"..")
    assert (caught.value.expected, caught.value.found) == (22, 24)

    with pytest.raises(bitstream.ChecksumError, match="damaged") as caught:
        bitstream.unpack(blob.replace(b"hello", b"hallo"))
    assert caught.value.stored == blob[-4:]
    assert caught.value.computed == repaired(blob.replace(b"hello", b"hallo"))[-4:]


def test_errors_are_value_errors_and_can_be_pickled():
    with pytest.raises(ValueError) as caught:
        bitstream.unpack(bitstream.pack(IDENTITY, 1, 1, [])[:-1])
    copied = pickle.loads(pickle.dumps(caught.value))
    assert type(copied) is bitstream.LengthError
    assert (str(copied), copied.expected) == (str(caught.value), caught.value.expected)


def test_damage_to_the_identity_is_not_called_another_model():
    blob = bytearray(bitstream.pack(IDENTITY, 8, 8, [b"hello"]))
    blob[5] ^= 1
    with pytest.raises(bitstream.ChecksumError):
        bitstream.unpack(bytes(blob), identity=IDENTITY)
    with pytest.raises(bitstream.ModelError):
        bitstream.unpack(repaired(bytes(blob)), identity=IDENTITY)


@pytest.mark.parametrize(("height", "width"), [(0, 8), (8, 0)])
def test_images_without_pixels_are_refused(height, width):
    with pytest.raises(bitstream.SizeError, match=f"{height}x{width}"):
        bitstream.pack(IDENTITY, height, width, [])
    blob = with_checksum(b"\xd5SI\x10" + IDENTITY + bytes([height, width]))
    with pytest.raises(bitstream.SizeError, match=f"{height}x{width}"):
        bitstream.unpack(blob)


@pytest.mark.parametrize("number", ["8800", "808000", "ffffffff7f", "ffffffffff01", "808080808001"])
def test_numbers_have_one_spelling(number):
    blob = with_checksum(b"\xd5SI\x10" + IDENTITY + bytes.fromhex(number) + b"\x08")
    with pytest.raises(bitstream.LengthError, match="no writer produces"):
        bitstream.unpack(blob)


def test_pack_refuses_what_the_format_cannot_hold():
    with pytest.raises(ValueError, match=r"b'abc', 4 bytes"):
        bitstream.pack(b"abc", 8, 8, [])
    with pytest.raises(ValueError, match="16 strings, a file holds at most 15"):
        bitstream.pack(IDENTITY, 8, 8, [b""] * 16)
    with pytest.raises(bitstream.SizeError, match="4294967296"):
        bitstream.pack(IDENTITY, 2**32, 8, [])


def test_every_flipped_bit_and_every_cut_is_found():
    blob = bitstream.pack(IDENTITY, 320, 1224, [bytes(range(200)), b"second"])
    for length in range(len(blob)):
        with pytest.raises(bitstream.BitstreamError):
            bitstream.unpack(blob[:length], IDENTITY)
    for bit in range(8 * len(blob)):
        damaged = bytearray(blob)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(bitstream.BitstreamError):
            bitstream.unpack(bytes(damaged), IDENTITY)


def test_hostile_files_with_a_good_checksum_end_in_an_error_or_in_a_file_that_pack_would_write():
    blob = bitstream.pack(IDENTITY, 320, 1224, [bytes(range(40)), b"second"])
    chance = random.Random(0)
    accepted = 0
    for _ in range(5000):
        damaged = bytearray(blob)
        for _ in range(chance.randint(1, 4)):
            place = chance.randrange(3, 20 if chance.random() < 0.7 else len(damaged) - 4)
            damaged[place] = chance.randrange(256)
        if chance.random() < 0.2:
            del damaged[chance.randrange(3, len(damaged) - 4)]
        damaged = repaired(bytes(damaged))
        try:
            header, strings = bitstream.unpack(damaged)
        except bitstream.BitstreamError:
            continue
        accepted += 1
        assert header.height * header.width <= bitstream.MAX_PIXELS
        assert bitstream.pack(header.identity, header.height, header.width, strings) == damaged
    assert accepted > 100  # so that the second half of the statement was tried


@given(st.binary(max_size=40))
def test_anything_after_the_magic_ends_in_a_named_error_or_a_header(data):
    for blob in (b"\xd5SI\x11" + data, with_checksum(b"\xd5SI\x12" + data)):
        with contextlib.suppress(*bitstream.BitstreamError.__subclasses__()):
            assert isinstance(bitstream.inspect(blob), bitstream.Header)
