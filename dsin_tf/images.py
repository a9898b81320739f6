"""Reading and writing 8-bit RGB images, padding and cropping them.

At every public boundary of the package an image is a numpy array, `uint8 [H, W, 3]`, RGB. What a file
holds beyond that is converted where nothing is lost or made up (grey, palette, fully opaque alpha, CMYK
photographs) and refused where a silent choice would change what is measured (16-bit samples, real
transparency).
"""

import dataclasses
import os
import warnings
from pathlib import Path
from typing import Optional

import numpy as np
from PIL import Image, ImageOps

from dsin_tf import files

MAX_PIXELS = 64 * 2**20
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".ppm", ".tif", ".tiff", ".jp2", ".avif")

# What a mode that is not RGB becomes, in words for the user; modes that are not here are refused.
_CONVERTED = {
    "1": "black and white, repeated over R, G and B",
    "L": "grey, repeated over R, G and B",
    "P": "palette, looked up",
    "RGBA": "alpha channel dropped, every pixel is opaque",
    "LA": "grey with alpha; grey repeated over R, G and B, every pixel is opaque",
    "CMYK": "CMYK, converted without a colour profile",
    "YCbCr": "YCbCr, converted to RGB",
}


class ImageError(ValueError):
    """An image file cannot be used; the message names the file, what was found and what was expected."""


@dataclasses.dataclass(frozen=True)
class ImageInfo:
    """What a file's header says. `conversion` is None for 8-bit RGB, else what `read` does, in words."""

    height: int
    width: int
    conversion: Optional[str]


def inspect(path, max_pixels=MAX_PIXELS):
    """Reads the header of an image file and checks that `read` would accept it, without decoding pixels.

    Args:
      path: the image file.
      max_pixels: refuse more pixels than this, before any memory is taken for them.

    Returns:
      An `ImageInfo`; height and width are those that `read` returns (a camera's rotation mark applied).

    Raises:
      ImageError: missing, a folder, not an image, too large, 16 bits a sample, or a mode that has no RGB.
    """
    with _open(path, max_pixels) as image:
        width, height = image.size
        if _orientation(image) >= 5:  # 5 to 8 lie on their side
            width, height = height, width
        return ImageInfo(height, width, _CONVERTED.get(image.mode))


def read(path, max_pixels=MAX_PIXELS):
    """Reads an image file as RGB.

    Args:
      path: the image file (PNG, JPEG, WebP, JPEG 2000, ...).
      max_pixels: refuse more pixels than this, before any memory is taken for them.

    Returns:
      `uint8 [H, W, 3]`, as a viewer shows it (a camera's rotation mark is applied).

    Raises:
      ImageError: as `inspect`, and where the pixels are cut off, broken, or really transparent.
    """
    with _open(path, max_pixels) as image:
        orientation = _orientation(image)
        try:
            image.load()
        except (OSError, SyntaxError, ValueError) as error:
            raise ImageError(
                f"{path}: cannot be decoded ({error}). The file is cut off or damaged; get a whole copy."
            ) from error
        if "transparency" in image.info and image.mode in ("1", "L", "P", "RGB"):
            image = image.convert("RGBA")
        if image.mode in ("RGBA", "LA"):
            lowest = image.getchannel("A").getextrema()[0]
            if lowest < 255:
                raise ImageError(
                    f"{path}: has transparent pixels (alpha as low as {lowest}), opaque RGB was expected. "
                    "Flatten it onto a background first."
                )
        if orientation > 1:
            image = ImageOps.exif_transpose(image)
        return np.array(image.convert("RGB"), dtype=np.uint8)


def write(path, image, **options):
    """Writes an RGB image, wholly or not at all; the format follows the ending of `path`.

    Args:
      path: where to; missing parent folders are made.
      image: `uint8 [H, W, 3]`.
      **options: passed on to Pillow's `save`.

    Raises:
      ImageError: not an 8-bit RGB array, or an ending that names no format.
      files.OutputError: the file could not be written; nothing of it is left.
    """
    check(image)
    suffix = Path(path).suffix.lower()
    if suffix not in Image.registered_extensions():
        raise ImageError(f"{path}: the ending {suffix!r} names no image format. Use .png to lose nothing.")
    with files.replacing(path) as temporary:
        Image.fromarray(image).save(temporary, **options)


def check(image, name="image"):
    """Raises ImageError unless `image` is `uint8 [H, W, 3]` with at least one pixel."""
    if not isinstance(image, np.ndarray):
        raise ImageError(f"{name} is a {type(image).__name__}, a numpy array uint8 [H, W, 3] was expected.")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ImageError(
            f"{name} is {image.dtype} {list(image.shape)}, uint8 [H, W, 3] was expected. "
            "Clip, round and convert it first."
        )


def to_uint8(image):
    """Float samples on the 0...255 scale, clipped and rounded to the nearest level: `uint8`, same shape."""
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def center_crop(image, height, width):
    """The middle `height` x `width` of `image [H, W, C]`; an odd remainder leaves the extra line below and right.

    Raises:
      ImageError: the image is smaller than the crop.
    """
    rows, columns = image.shape[:2]
    if rows < height or columns < width:
        raise ImageError(
            f"The image is {rows}x{columns} (height x width), a crop of {height}x{width} was asked for. "
            "Use a smaller crop or larger images."
        )
    top, left = (rows - height) // 2, (columns - width) // 2
    return image[top : top + height, left : left + width]


def pad_to_multiple(image, multiple):
    """`image [H, W, C]`, its last row and column repeated until both sides divide by `multiple`."""
    rows, columns = image.shape[:2]
    return np.pad(image, ((0, -rows % multiple), (0, -columns % multiple), (0, 0)), mode="edge")


def list_files(folder):
    """The image files directly inside `folder`, sorted by name; hidden files are passed over.

    Raises:
      ImageError: not a folder, or no image in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ImageError(f"{folder}: is not a directory; a folder of images was expected.")
    found = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
    if not found:
        raise ImageError(f"{folder}: holds no images. Files ending in {', '.join(SUFFIXES)} were expected.")
    return found


def _open(path, max_pixels):
    """The file as a Pillow image, header read and judged, pixels not yet decoded."""
    if os.path.isdir(path):
        raise ImageError(f"{path}: is a directory, an image file was expected. Name a file inside it.")
    if not os.path.exists(path):
        raise ImageError(f"{path}: does not exist; an image file was expected. Check the spelling and the folder.")
    try:
        with warnings.catch_warnings():
            # Pillow's own alarm about large images; the limit below is ours and is an error.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(path)
    except Image.DecompressionBombError as error:
        raise ImageError(f"{path}: {error}. The limit here is {max_pixels} pixels; make the image smaller.") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise ImageError(f"{path}: is not an image that can be read ({error}).") from error
    try:
        width, height = image.size
        if width * height > max_pixels:
            raise ImageError(
                f"{path}: is {height}x{width} = {width * height} pixels, the limit is {max_pixels}. "
                "Make it smaller, or raise the limit if that is what you want."
            )
        bits = _bits_per_sample(path, image)
        if bits > 8:
            raise ImageError(
                f"{path}: has {bits} bits a sample (mode {image.mode}), 8 were expected. "
                "Convert it to 8 bits first; doing that silently would change what is measured."
            )
        if image.mode != "RGB" and image.mode not in _CONVERTED:
            raise ImageError(f"{path}: has mode {image.mode}, RGB was expected. Convert it to 8-bit RGB first.")
    except BaseException:
        image.close()
        raise
    return image


def _orientation(image):
    """The camera's rotation mark, 1 to 8, if the header has it; a PNG's own getexif() would decode all pixels."""
    return Image.Image.getexif(image).get(0x0112, 1)


def _bits_per_sample(path, image):
    """Bits a sample in the file. Pillow cuts 16-bit RGB PNGs down to 8 without a word, so ask the header."""
    if image.format == "PNG":
        with open(path, "rb") as file:
            return file.read(25)[24]
    return 16 if image.mode.startswith("I") or image.mode == "F" else 8
