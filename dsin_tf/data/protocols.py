"""Protocols: which pixels of an image a result is about. A result states its protocol by name.

    name    trains on                                          is evaluated on
    dsin    a random 320x960 of x and y at one place, flip     the middle 320x1224
    ndic    the evaluated image, flip                          the middle 370x740, made 128x256
    native  the image as it is, flip                           the image as it is

"Flip" mirrors x and y together, left to right, with probability one half; their roles stay.
"""

import dataclasses
from typing import Optional

import numpy as np
from PIL import Image

from dsin_tf import images
from dsin_tf.data.sources import DataError

_NDIC_CROP = (370, 740)
_NDIC_SIZE = (128, 256)
_CITYSCAPES_SIZE = (1024, 2048)


@dataclasses.dataclass(frozen=True)
class Protocol:
    """A named way from the image in a file to the image in a model.

    Attributes:
      name: what results call it.
      train_crop: (height, width) of the random part that training sees, or None for the whole image. A copy
        with another one (`dataclasses.replace(protocol, train_crop=(160, 160))`) is the same protocol as far
        as results are concerned: only training differs.
      evaluation_crop: (height, width) of the middle part that is evaluated, or None.
      resized: (height, width) that the evaluated part is brought to, or None.
    """

    name: str
    train_crop: Optional[tuple[int, int]] = None
    evaluation_crop: Optional[tuple[int, int]] = None
    resized: Optional[tuple[int, int]] = None

    def evaluate(self, image):
        """What an evaluated image becomes: `uint8 [H, W, 3] -> uint8 [H', W', 3]`.

        Raises:
          images.ImageError: the image is smaller than the crop.
        """
        images.check(image)
        self.check_size(*image.shape[:2])
        if self.resized is not None:
            return self._resize(image)
        if self.evaluation_crop is not None:
            return images.center_crop(image, *self.evaluation_crop)
        return image

    def prepare(self, image):
        """The part of training's way that is the same every time, and so worth keeping in memory."""
        self.check_size(*image.shape[:2], training=True)
        return self._resize(image) if self.resized is not None else image

    def augment(self, prepared, rng):
        """The random part: one place and one flip for all images of an item.

        Args:
          prepared: sequence of `uint8 [H, W, 3]` of one size, from `prepare`.
          rng: a `numpy.random.Generator`.

        Returns:
          A list of `uint8 [H', W', 3]`.
        """
        rows, columns = prepared[0].shape[:2]
        height, width = self.train_crop or (rows, columns)
        top = int(rng.integers(rows - height + 1))
        left = int(rng.integers(columns - width + 1))
        step = -1 if rng.random() < 0.5 else 1
        return [np.ascontiguousarray(image[top : top + height, left : left + width][:, ::step]) for image in prepared]

    def check_size(self, height, width, training=False):
        """Raises images.ImageError for an image of this size when the protocol cannot take it."""
        crop = self.train_crop if training and self.resized is None else self.evaluation_crop
        if crop is not None and (height < crop[0] or width < crop[1]):
            way_out = "Use protocol 'native' for images that are small or prepared already, or larger images."
            raise images.ImageError(
                f"The image is {height}x{width} (height x width), protocol {self.name!r} cuts {crop[0]}x{crop[1]} "
                f"out of it{' for training' if training else ''}. "
                + ("Take a smaller crop, or larger images." if self.name == "native" else way_out)
            )

    def train_size(self):
        """(height, width) that every training image has, or None where it is the file's own."""
        return self.train_crop or self.resized

    def _resize(self, image):
        """NDIC's preparation, by the library its authors use: Pillow's bilinear, which antialiases.

        TensorFlow's `resize(antialias=True)` comes within one grey level of it; with Pillow itself there
        is nothing to differ. Cityscapes' frames are resized whole; all others are cropped first.
        """
        if image.shape[:2] != _CITYSCAPES_SIZE:
            height, width = self.evaluation_crop
            # Python rounds halves to even, as NDIC's crop does: 375 rows begin at 2, 1241 columns at 250.
            top, left = round((image.shape[0] - height) / 2), round((image.shape[1] - width) / 2)
            image = image[top : top + height, left : left + width]
        size = (self.resized[1], self.resized[0])
        return np.array(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))


_PROTOCOLS = {
    "dsin": Protocol("dsin", train_crop=(320, 960), evaluation_crop=(320, 1224)),
    "ndic": Protocol("ndic", evaluation_crop=_NDIC_CROP, resized=_NDIC_SIZE),
    "native": Protocol("native"),
}


def names():
    """The names that `get` takes."""
    return tuple(_PROTOCOLS)


def get(name):
    """The protocol of this name.

    Raises:
      DataError: there is none; the message lists those there are.
    """
    if name not in _PROTOCOLS:
        raise DataError(f"There is no protocol {name!r}; the names are: {', '.join(_PROTOCOLS)}.")
    return _PROTOCOLS[name]
