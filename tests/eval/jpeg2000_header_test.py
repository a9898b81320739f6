import io
import struct

import numpy as np
import pytest
from PIL import Image

from eval.jpeg2000_header import CodingStyle, coding_style

SIZ = b"\xff\x51" + struct.pack(">H", 41) + b"\0" * 39
COM = b"\xff\x64" + struct.pack(">H", 2 + 6) + b"\0\1\xff\x52\0\0"  # a comment that contains COD's code


def cod(layers=1, transform=1, decompositions=5, wavelet=0):
    return b"\xff\x52" + struct.pack(">HBBHBBBBBB", 12, 0, 0, layers, transform, decompositions, 4, 4, 0, wavelet)


def box(kind, payload, wide=False):
    if wide:
        return struct.pack(">I4sQ", 1, kind, 16 + len(payload)) + payload
    return struct.pack(">I4s", 8 + len(payload), kind) + payload


def test_reads_every_field():
    stream = b"\xff\x4f" + SIZ + COM + cod(layers=3, transform=0, decompositions=4, wavelet=1)
    assert coding_style(stream) == CodingStyle(layers=3, resolutions=5, color_transform=False, irreversible=False)
    assert coding_style(b"\xff\x4f" + SIZ + cod()) == CodingStyle(1, 6, True, True)


@pytest.mark.parametrize("wide", [False, True])
def test_finds_the_codestream_among_boxes(wide):
    stream = b"\xff\x4f" + SIZ + cod()
    data = box(b"jP  ", b"\r\n\x87\n") + box(b"jp2h", b"\xff\x52" * 9, wide) + box(b"jp2c", stream, wide)
    assert coding_style(data) == CodingStyle(1, 6, True, True)


@pytest.mark.parametrize(("mct", "irreversible"), [(0, False), (0, True), (1, False), (1, True)])
@pytest.mark.parametrize("bare", [False, True])
def test_agrees_with_what_an_encoder_was_told(mct, irreversible, bare):
    file = io.BytesIO()
    image = Image.fromarray(np.zeros((16, 16, 3), np.uint8))
    image.save(file, "JPEG2000", mct=mct, irreversible=irreversible, no_jp2=bare, num_resolutions=3)
    assert coding_style(file.getvalue()) == CodingStyle(1, 3, bool(mct), irreversible)


def test_a_header_without_the_marker_is_refused():
    with pytest.raises(ValueError, match="no COD"):
        coding_style(b"\xff\x4f" + SIZ + b"\xff\x90" + struct.pack(">H", 10) + b"\0" * 8)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\x4f",
        b"\xff\x4f" + SIZ,
        b"\x89PNG\r\n\x1a\n" + b"\0" * 40,
        struct.pack(">I4sQ", 1, b"jp2h", 0) + b"12",
    ],
    ids=["empty", "soc only", "cut off", "png", "box of length 0"],
)
def test_bytes_without_a_codestream_are_refused(data):
    with pytest.raises(ValueError, match=f"These {len(data)} bytes"):
        coding_style(data)
