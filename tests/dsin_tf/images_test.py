"""Reading, refusing, writing, cropping and padding images."""

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dsin_tf import files, images

RGB = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


def _png(width, height, bits, colour, rows=b""):
    """A PNG file written by hand: IHDR, one IDAT with `rows`, IEND."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    parts = (b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_png_round_trip_of_any_size(tmp_path_factory, height, width, seed):
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    path = tmp_path_factory.getbasetemp() / "any.png"
    images.write(path, image)
    np.testing.assert_array_equal(images.read(path), image)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 4000, 3), (4000, 1, 3)])
def test_extreme_shapes(tmp_path, shape):
    image = np.full(shape, 77, np.uint8)
    images.write(tmp_path / "a.png", image)
    info = images.inspect(tmp_path / "a.png")
    assert (info.height, info.width, info.conversion) == (*shape[:2], None)
    np.testing.assert_array_equal(images.read(tmp_path / "a.png"), image)


@pytest.mark.parametrize(
    ("mode", "says"),
    [("L", "grey"), ("1", "black and white"), ("P", "palette"), ("RGBA", "opaque"), ("LA", "grey with alpha")],
)
def test_lossless_conversions_are_made_and_named(tmp_path, mode, says):
    source = Image.fromarray(RGB).convert(mode)
    source.save(tmp_path / "a.png")
    assert says in images.inspect(tmp_path / "a.png").conversion
    np.testing.assert_array_equal(images.read(tmp_path / "a.png"), np.array(source.convert("RGB")))


def test_grey_is_repeated_over_the_channels(tmp_path):
    grey = RGB[..., 0]
    Image.fromarray(grey).save(tmp_path / "a.png")
    np.testing.assert_array_equal(images.read(tmp_path / "a.png"), np.stack([grey] * 3, axis=-1))


def test_cmyk_photograph(tmp_path):
    Image.new("CMYK", (16, 8), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=95)
    assert "CMYK" in images.inspect(tmp_path / "a.jpg").conversion
    red, green, blue = images.read(tmp_path / "a.jpg").reshape(-1, 3).mean(axis=0)
    assert red > 245
    assert max(green, blue) < 10


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_refused(tmp_path, mode):
    source = Image.fromarray(RGB).convert(mode)
    source.putalpha(128)
    source.save(tmp_path / "a.png")
    with pytest.raises(images.ImageError, match="alpha as low as 128"):
        images.read(tmp_path / "a.png")


def test_transparent_palette_entry_is_refused(tmp_path):
    Image.fromarray(RGB).convert("P").save(tmp_path / "a.png", transparency=bytes(256))
    with pytest.raises(images.ImageError, match="transparent"):
        images.read(tmp_path / "a.png")


@pytest.mark.parametrize(("colour", "bytes_a_pixel"), [(0, 2), (2, 6), (6, 8)])
def test_sixteen_bits_are_refused(tmp_path, colour, bytes_a_pixel):
    """Grey, RGB and RGBA: Pillow alone would cut the last two down to 8 bits without a word."""
    rows = (b"\0" + bytes(3 * bytes_a_pixel)) * 2
    (tmp_path / "a.png").write_bytes(_png(3, 2, 16, colour, rows))
    for function in (images.read, images.inspect):
        with pytest.raises(images.ImageError, match="has 16 bits a sample"):
            function(tmp_path / "a.png")


def test_truncated_png(tmp_path):
    images.write(tmp_path / "a.png", np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(images.ImageError, match=r"a\.png: cannot be decoded"):
        images.read(tmp_path / "a.png")


def test_inspect_reads_the_header_alone(tmp_path):
    """A file whose pixels are damaged is found by `read`; `inspect` does not touch them."""
    (tmp_path / "a.png").write_bytes(_png(3, 2, 8, 2, rows=b"too short"))
    assert images.inspect(tmp_path / "a.png") == images.ImageInfo(2, 3, None)
    with pytest.raises(images.ImageError, match="cannot be decoded"):
        images.read(tmp_path / "a.png")


@pytest.mark.parametrize("content", [b"", b"P", b"not an image", b"\x89PNG\r\n\x1a\n"])
def test_files_that_are_no_images(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(images.ImageError, match=r"a\.png: is not an image"):
        images.read(tmp_path / "a.png")


def test_huge_header_is_refused_before_decoding(tmp_path):
    (tmp_path / "a.png").write_bytes(_png(50_000, 50_000, 8, 2))
    with pytest.raises(images.ImageError, match="2500000000 pixels"):
        images.read(tmp_path / "a.png")


def test_the_limit_can_be_raised_and_lowered(tmp_path):
    images.write(tmp_path / "a.png", RGB)
    with pytest.raises(images.ImageError, match="5x7 = 35 pixels, the limit is 34"):
        images.read(tmp_path / "a.png", max_pixels=34)
    assert images.read(tmp_path / "a.png", max_pixels=35).shape == (5, 7, 3)


def test_missing_file_and_directory(tmp_path):
    with pytest.raises(images.ImageError, match=r"b\.png: does not exist"):
        images.read(tmp_path / "b.png")
    with pytest.raises(images.ImageError, match="is a directory"):
        images.read(tmp_path)


def test_rotation_mark_of_a_camera_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(RGB).save(tmp_path / "a.png", exif=exif)
    info = images.inspect(tmp_path / "a.png")
    assert (info.height, info.width) == (7, 5)
    np.testing.assert_array_equal(images.read(tmp_path / "a.png"), np.rot90(RGB, -1))


def test_write_refuses_what_is_not_an_image(tmp_path):
    with pytest.raises(images.ImageError, match=r"float64 \[5, 7, 3\]"):
        images.write(tmp_path / "a.png", RGB.astype(float))
    with pytest.raises(images.ImageError, match=r"uint8 \[5, 7\]"):
        images.write(tmp_path / "a.png", RGB[..., 0])
    with pytest.raises(images.ImageError, match="'.xyz' names no image format"):
        images.write(tmp_path / "a.xyz", RGB)
    with pytest.raises(files.OutputError, match="/proc/a.png"):
        images.write("/proc/a.png", RGB)
    assert list(tmp_path.iterdir()) == []


def test_to_uint8_clips_and_rounds_to_the_nearest():
    np.testing.assert_array_equal(images.to_uint8(np.array([-3.0, 0.49, 0.51, 254.6, 300.0])), [0, 0, 1, 255, 255])


def test_center_crop_leaves_the_odd_line_below_and_right():
    image = np.arange(6 * 9).reshape(6, 9, 1)
    np.testing.assert_array_equal(images.center_crop(image, 3, 4), image[1:4, 2:6])
    with pytest.raises(images.ImageError, match="6x9 .* crop of 7x4"):
        images.center_crop(image, 7, 4)


@given(st.integers(1, 20), st.integers(1, 20), st.sampled_from([1, 8, 16, 64]))
def test_padding_repeats_the_edge(height, width, multiple):
    image = np.random.default_rng(height * 100 + width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    padded = images.pad_to_multiple(image, multiple)
    assert padded.shape[0] % multiple == padded.shape[1] % multiple == 0
    assert padded.shape[0] < height + multiple
    assert padded.shape[1] < width + multiple
    np.testing.assert_array_equal(padded[height:], np.broadcast_to(padded[height - 1], padded[height:].shape))
    np.testing.assert_array_equal(
        padded[:, width:], np.broadcast_to(padded[:, width - 1 : width], padded[:, width:].shape)
    )


def test_list_files(tmp_path):
    with pytest.raises(images.ImageError, match="holds no images"):
        images.list_files(tmp_path)
    for name in ("b.PNG", "a.jpg", "notes.txt", ".hidden.png"):
        (tmp_path / name).touch()
    assert [p.name for p in images.list_files(tmp_path)] == ["a.jpg", "b.PNG"]
    with pytest.raises(images.ImageError, match="is not a directory"):
        images.list_files(tmp_path / "a.jpg")
