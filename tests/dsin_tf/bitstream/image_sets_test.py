"""The file of a set, against the layout of its description, and against damage."""

import contextlib
import random
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsin_tf import bitstream
from dsin_tf.bitstream import image_sets

TREE, GEOMETRY = b"tr", b"geometry"
FILES = [b"a" * 300, b"", b"xyz"]
HEAD = b"\xd5SS\x10" + bytes([3, 2, 8, 0x80 | 44, 2, 0, 3]) + TREE + GEOMETRY  # 300 = 2 * 128 + 44, low bits first


def with_checksum(head):
    return head + struct.pack("<I", zlib.crc32(head))


def header_length(blob):
    return len(blob) - sum(map(len, FILES))


def test_layout_is_the_one_described():
    assert image_sets.pack(TREE, FILES, GEOMETRY) == with_checksum(HEAD) + b"".join(FILES)


def test_the_index_alone_is_the_same_without_the_files():
    head = HEAD.replace(b"SS\x10", b"SS\x11")
    blob = image_sets.pack(TREE, FILES, GEOMETRY, together=False)
    assert blob == with_checksum(head)
    header, files = image_sets.unpack(blob)
    assert header == image_sets.SetHeader(TREE, GEOMETRY, (300, 0, 3))
    assert files is None


def test_a_stored_file_is_read_for_ever():
    blob = bytes.fromhex("d55353 10 02 01 00 05 02 80 d192f704 68656c6c6f 7a7a")
    header, files = image_sets.unpack(blob)
    assert header == image_sets.SetHeader(b"\x80", b"", (5, 2))
    assert files == [b"hello", b"zz"]


@given(st.binary(max_size=300), st.lists(st.binary(max_size=200), min_size=1, max_size=40), st.binary(max_size=300))
def test_what_is_packed_is_unpacked(tree, files, geometry):
    blob = image_sets.pack(tree, files, geometry)
    header, unpacked = image_sets.unpack(blob)
    assert header == image_sets.SetHeader(tree, geometry, tuple(map(len, files)))
    assert unpacked == files
    assert image_sets.unpack(image_sets.pack(tree, files, geometry, together=False)) == (header, None)


def test_sets_are_told_from_images_by_how_they_begin():
    blob = image_sets.pack(TREE, FILES)
    image = bitstream.pack(bytes(4), 8, 8, [])
    assert image_sets.is_set(blob)
    assert image_sets.is_set(blob[:3])
    assert not image_sets.is_set(blob[:2])
    assert not image_sets.is_set(image)
    with pytest.raises(bitstream.NotAFileOfOursError):
        bitstream.unpack(blob)
    with pytest.raises(bitstream.NotAFileOfOursError, match=r"b'\\xd5SI'.*holds no set") as caught:
        image_sets.unpack(image)
    assert caught.value.start == b"\xd5SI"


def test_a_set_holds_an_image():
    with pytest.raises(ValueError, match="at least one"):
        image_sets.pack(b"", [])
    with pytest.raises(bitstream.LengthError, match="speaks of 0 images"):
        image_sets.unpack(with_checksum(b"\xd5SS\x10" + bytes([0, 0, 0])))


@pytest.mark.parametrize(("byte", "version"), [(0x20, 2), (0x12, 1), (0x00, 0)])
def test_other_versions_and_kinds_are_refused(byte, version):
    with pytest.raises(bitstream.VersionError, match=f"version {version}, kind {byte % 16} .* version 1") as caught:
        image_sets.unpack(with_checksum(HEAD[:3] + bytes([byte]) + HEAD[4:]))
    assert (caught.value.version, caught.value.known) == (version, 1)


def test_more_images_than_bytes_are_refused_before_their_lengths_are_read():
    blob = with_checksum(b"\xd5SS\x10" + bitstream.to_varint(2**32 - 1) + b"\x00\x00")
    with pytest.raises(bitstream.LengthError, match=f"4294967295 images and has {len(blob)} bytes") as caught:
        image_sets.unpack(blob)
    assert (caught.value.expected, caught.value.found) == (2**32 - 1, len(blob))


def test_numbers_have_one_spelling():
    with pytest.raises(bitstream.LengthError, match="no writer produces"):
        image_sets.unpack(with_checksum(b"\xd5SS\x10" + bytes([0x81, 0, 0, 0, 0])))


def test_bytes_after_the_end_are_refused():
    for together in (True, False):
        blob = image_sets.pack(TREE, FILES, GEOMETRY, together)
        with pytest.raises(bitstream.TrailingBytesError, match=f"{len(blob) + 1} bytes where .* {len(blob)}") as caught:
            image_sets.unpack(blob + b".")
        assert (caught.value.expected, caught.value.found) == (len(blob), len(blob) + 1)


def test_a_changed_header_is_found():
    blob = image_sets.pack(TREE, FILES, GEOMETRY)
    with pytest.raises(bitstream.ChecksumError, match="damaged") as caught:
        image_sets.unpack(blob.replace(b"geometry", b"geometrx"))
    assert caught.value.stored == blob[len(HEAD) : len(HEAD) + 4]
    assert caught.value.computed != caught.value.stored


def test_every_flipped_bit_of_the_header_is_a_named_error():
    for together in (True, False):
        blob = image_sets.pack(TREE, FILES, GEOMETRY, together)
        for bit in range(8 * (len(HEAD) + 4)):
            damaged = bytearray(blob)
            damaged[bit // 8] ^= 1 << bit % 8
            with pytest.raises(bitstream.BitstreamError) as caught:
                image_sets.unpack(bytes(damaged))
            assert type(caught.value) is not bitstream.BitstreamError


def test_a_cut_leaves_the_files_before_it_whole():
    blob = image_sets.pack(TREE, FILES, GEOMETRY)
    start = header_length(blob)
    for length in range(start):
        with pytest.raises((bitstream.LengthError, bitstream.NotAFileOfOursError)):
            image_sets.unpack(blob[:length])
    for length in range(start, len(blob)):
        header, files = image_sets.unpack(blob[:length])
        assert header.lengths == (300, 0, 3)
        assert files == [blob[start:][:300][: length - start], b"", b"xyz"[: max(length - start - 300, 0)]]


def test_damage_to_a_file_is_left_to_that_file():
    blob = bytearray(image_sets.pack(TREE, FILES, GEOMETRY))
    blob[-1] ^= 1
    _, files = image_sets.unpack(bytes(blob))
    assert files == [*FILES[:2], b"xy\x7b"]


def test_hostile_headers_with_a_good_checksum_end_in_an_error_or_in_a_file_that_pack_would_write():
    chance = random.Random(0)
    payload = b"".join(FILES)
    accepted = 0
    for _ in range(5000):
        head = bytearray(HEAD)
        for _ in range(chance.randint(1, 3)):
            head[chance.randrange(4, len(head))] = chance.randrange(256)
        damaged = with_checksum(bytes(head)) + payload
        try:
            header, files = image_sets.unpack(damaged)
        except bitstream.BitstreamError:
            continue
        if tuple(map(len, files)) == header.lengths:
            assert image_sets.pack(header.tree, files, header.geometry) == damaged
            accepted += 1
    assert accepted > 100  # so that the second half of the statement was tried


@given(st.binary(max_size=60))
def test_anything_after_the_magic_ends_in_a_named_error_or_a_header(data):
    for blob in (b"\xd5SS\x10" + data, with_checksum(b"\xd5SS\x11" + data)):
        with contextlib.suppress(*bitstream.BitstreamError.__subclasses__()):
            assert isinstance(image_sets.unpack(blob)[0], image_sets.SetHeader)
