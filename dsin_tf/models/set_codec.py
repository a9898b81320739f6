"""Sets of images as bytes, each image decoded with the help of one that was decoded before.

    blob = compress(model, images)                  # plans the tree, codes each image by itself
    images = decompress(model, blob)
    image = decompress_one(model, blob, 3)          # decodes its ancestors and it

`model` is a `dsc_msf.DSCMSF`. The file holds the tree and the images' files, which are what `model.compress` writes;
or these are kept one by one beside a small index (`write_folder`). Optionally it holds how each image's reference is to
be warped before it is searched ("geometry"): a bit for each image that is no root, and where it is set the 16 bytes of
`layers.quantize_homography`. That is made of both originals, so it is no distributed coding any
more.
"""

from pathlib import Path

import numpy as np

from dsin_tf import bitstream, files, layers, sets
from dsin_tf.bitstream import image_sets

INDEX_NAME = "set.index"
FEATURES = ("sift", "orb", "latent")

_HOMOGRAPHY_BYTES = 16


class AncestorError(bitstream.BitstreamError):
    """An image cannot be decoded because one that it depends on is damaged. Attributes `index`, `ancestor`."""


class DamagedSetError(bitstream.BitstreamError):
    """Not all images of a set could be decoded.

    Attributes:
      images: list of what could be, None elsewhere.
      errors: {index of an image: why it could not be}.
    """


def plan(model, images, feature="sift", max_depth=4, progress=False):
    """Which image is decoded with the help of which: a `sets.Tree`.

    Args:
      model: a codec; makes the features where `feature` is "latent".
      images: list of uint8 `[H, W, 3]`.
      feature: one of `FEATURES`.
      max_depth: of the tree; None for no limit.
      progress: shows a progress bar on stderr.
    """
    if feature == "latent":
        return sets.span(sets.latent_weights(np.stack([_pooled(model, image) for image in images])), max_depth)
    return sets.plan(images, feature, max_depth, progress=progress)


def compress(model, images, tree=None, geometry=False):
    """The file of a set, bytes.

    Args:
      model: a model ready to code.
      images: list of uint8 `[H, W, 3]`, of any sizes.
      tree: a `sets.Tree`; None makes one, see `plan`.
      geometry: also sends how references are to be warped.

    Raises:
      ValueError: the tree is of another number of images.
      images.ImageError: not an image.
      ImportError: OpenCV is not installed, which `geometry` and the usual plan need.
    """
    tree = tree or plan(model, images)
    if len(tree.parents) != len(images):
        raise ValueError(f"The tree is of {len(tree.parents)} images, {len(images)} were given. Plan it for these.")
    warps = _geometry(images, tree) if geometry else b""
    return image_sets.pack(sets.pack(tree), [model.compress(image) for image in images], warps)


def decompress(model, blob, max_pixels=bitstream.MAX_PIXELS):
    """The images of a set's file, list of uint8 `[H, W, 3]`.

    Raises:
      DamagedSetError: some could not be decoded; it holds the others.
      bitstream.BitstreamError: what comes before the images is damaged.
    """
    found, errors = {}, {}
    for index, image, error in iterate(model, *read(blob), max_pixels):
        found[index] = image
        if error is not None:
            errors[index] = error
    images = [found[index] for index in range(len(found))]
    if errors:
        named = "; ".join(f"image {index}: {error}" for index, error in sorted(errors.items()))
        raise DamagedSetError(
            f"{len(errors)} of {len(images)} images could not be decoded. {named}", images=images, errors=errors
        )
    return images


def decompress_one(model, blob, index, max_pixels=bitstream.MAX_PIXELS):
    """One image of a set's file; decodes those that it depends on, and no others.

    Raises:
      bitstream.BitstreamError: it, or one that it depends on, is damaged.
      IndexError: there is no such image.
    """
    tree, blobs, warps = read(blob)
    if not 0 <= index < len(blobs):
        raise IndexError(f"There is no image {index}; the set holds {len(blobs)}, counted from 0.")
    *_, (_, image, error) = iterate(model, tree, blobs, warps, max_pixels, (*tree.ancestors(index), index))
    if error is not None:
        raise error
    return image


def iterate(model, tree, blobs, warps=None, max_pixels=bitstream.MAX_PIXELS, wanted=None, originals=None):
    """Decodes images in the tree's order.

    Args:
      model: a model ready to code.
      tree: a `sets.Tree`.
      blobs: the images' files, list of bytes.
      warps: {index: how its reference is warped, int16 [8] of `layers.quantize_homography`}, or None.
      max_pixels: refuse larger images.
      wanted: indexes of images that are decoded, with each all its ancestors; None for all.
      originals: images in place of the references' decoded ones, to measure what coding takes from them.

    Yields:
      `(index, image, error)`: uint8 `[H, W, 3]` and None, or None and the BitstreamError of an image that is damaged
      or depends on one that is.
    """
    wanted = range(len(blobs)) if wanted is None else wanted
    waiting = [sum(tree.parents[i] == index != i for i in wanted) for index in range(len(blobs))]
    decoded = {}  # index -> (x_dec, x_hat), as long as others wait for it
    lost = {}  # index -> the image to blame, which is itself or an ancestor
    for index in (i for i in tree.order if i in wanted):
        parent, x_hat, error = tree.parents[index], None, None
        try:
            if parent in lost:
                raise AncestorError(
                    f"It is decoded with the help of image {lost[parent]}, which could not be decoded. Get a clean "
                    "copy of that one's file.",
                    index=index,
                    ancestor=lost[parent],
                )
            x_dec = _x_dec(model, blobs[index], max_pixels)
            reference = ()
            if parent != index:
                y_dec, y = decoded[parent]
                reference = _reference(
                    y_dec, y if originals is None else originals[parent], (warps or {}).get(index), x_dec.shape[1:3]
                )
            x_hat = model.finish(x_dec, *reference)
        except bitstream.BitstreamError as caught:
            lost[index], error = lost.get(parent, index), caught
        if error is None and waiting[index]:
            decoded[index] = x_dec, x_hat
        if parent != index:
            waiting[parent] -= 1
            if not waiting[parent]:
                decoded.pop(parent, None)
        yield index, x_hat, error


def write_folder(model, images, folder, tree=None, geometry=False):
    """A file for each image, 00000.dsin and so on, and the index of the set; the bytes of all together.

    Raises:
      files.OutputError: a file could not be written.
    """
    blob = compress(model, images, tree, geometry)
    header, blobs = image_sets.unpack(blob)
    for index, one in enumerate(blobs):
        files.write_bytes(image_path(folder, index), one)
    index_blob = image_sets.pack(header.tree, blobs, header.geometry, together=False)
    files.write_bytes(Path(folder) / INDEX_NAME, index_blob)
    return len(blob)


def read_folder(folder):
    """What `write_folder` wrote as the file of a set, bytes; files that are missing are empty in it.

    Raises:
      bitstream.BitstreamError: the index is damaged.
      OSError: it, or a file, cannot be read.
    """
    header, _ = image_sets.unpack((Path(folder) / INDEX_NAME).read_bytes())
    blobs = []
    for index in range(len(header.lengths)):
        path = image_path(folder, index)
        blobs.append(path.read_bytes() if path.is_file() else b"")
    return image_sets.pack(header.tree, blobs, header.geometry)


def image_path(folder, index):
    """Where `write_folder` keeps an image's file."""
    return Path(folder) / f"{index:05d}.dsin"


def read(blob):
    """`(tree, blobs, warps)` of a set's file, as `iterate` takes them.

    Raises:
      bitstream.BitstreamError: what comes before the images is damaged, or the images are elsewhere.
    """
    header, blobs = image_sets.unpack(blob)
    if blobs is None:
        raise bitstream.LengthError(
            "The file is the index of a set whose images are files of their own. Name the folder that holds them all.",
            expected=sum(header.lengths),
            found=0,
        )
    try:
        tree = sets.unpack(header.tree, len(blobs))
    except ValueError as error:
        raise bitstream.PayloadError(f"The set's tree is damaged: {error} Get a clean copy.", length=0) from error
    return tree, blobs, _warps(header.geometry, tree)


def _pooled(model, image):
    """Mean and standard deviation of each latent channel, float64 `[2 M]`."""
    latents = model.analyze(image)[0].numpy().astype(np.float64)
    return np.concatenate([latents.mean(axis=(0, 1)), latents.std(axis=(0, 1))])


def _x_dec(model, blob, max_pixels):
    """float32 `[1, H, W, 3]`."""
    if not blob:
        raise bitstream.LengthError(
            "Its file is missing: the set's was cut off before it, or the folder holds none. Get a whole copy.",
            expected=1,
            found=0,
        )
    return model.decode(blob, max_pixels)


def _reference(y_dec, y, warp, size):
    """`(y, y_dec)` as `model.finish` takes them; as they would look from where x was taken, if that is known."""
    if warp is None:
        return y, y_dec
    try:
        matrix = layers.homography_from_integers(warp, *size)
    except ValueError as error:
        raise bitstream.PayloadError(
            f"How its reference is to be warped is damaged: {error} Get a clean copy.", length=_HOMOGRAPHY_BYTES
        ) from error
    return layers.warp(y[None].astype(np.float32), matrix, size)[0], layers.warp(y_dec, matrix, size)


def _geometry(images, tree):
    """bytes: a bit for each image that has a reference, and the homographies of those that have one."""
    features = [sets.describe(image) for image in images]
    found = {}
    for index in _with_reference(tree):
        matrix = sets.homography(features[index], features[tree.parents[index]])
        integers = None if matrix is None else layers.quantize_homography(matrix, *images[index].shape[:2])
        if integers is not None:
            found[index] = integers
    bits = np.array([index in found for index in _with_reference(tree)], bool)
    return np.packbits(bits).tobytes() + b"".join(integers.astype(">i2").tobytes() for integers in found.values())


def _warps(data, tree):
    """The inverse of `_geometry` for bytes; {} where there are none."""
    if not data:
        return {}
    indexes = _with_reference(tree)
    length = -(-len(indexes) // 8)
    bits = np.unpackbits(np.frombuffer(data[:length], np.uint8))
    expected = length + _HOMOGRAPHY_BYTES * int(bits.sum())
    if len(data) != expected or bits[len(indexes) :].any():
        raise bitstream.PayloadError(
            f"The set's geometry has {len(data)} bytes, of which the first {length} name images; {expected} and images "
            "that have a reference were expected. It is damaged; get a clean copy.",
            length=len(data),
        )
    chosen = [index for index, bit in zip(indexes, bits) if bit]
    return dict(zip(chosen, np.frombuffer(data[length:], ">i2").reshape(len(chosen), 8)))


def _with_reference(tree):
    return [index for index, parent in enumerate(tree.parents) if index != parent]
