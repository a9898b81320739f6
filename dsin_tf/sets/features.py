"""Local features of an image: points that are found again in other pictures of the same things.

SIFT (Lowe, IJCV 2004) tells related pictures from unrelated ones best. ORB (Rublee et al., ICCV 2011) is up to thirty
times faster to compute and finds less. Both are OpenCV's, which is loaded on first use and is needed for nothing else.
"""

from typing import NamedTuple

import numpy as np

from dsin_tf import images

KINDS = ("sift", "orb")
MAX_POINTS = 1000

_SMALLEST_SIDE = 16  # pixels; smaller pictures have no room for a feature, and ORB's pyramid fails on them


class Features(NamedTuple):
    """The features of one image.

    Attributes:
      points: float32 [n, 2], (column, row) in pixels.
      descriptors: [n, 128] float32 for SIFT, compared by Euclidean distance; [n, 32] uint8 for ORB, 256 bits compared
        by how many of them differ.
    """

    points: np.ndarray
    descriptors: np.ndarray


def describe(image, kind="sift"):
    """The features of an image.

    Args:
      image: uint8 [H, W, 3]; features are looked for in its grey version.
      kind: "sift" or "orb".

    Returns:
      `Features`, the 1000 strongest at most; none where nothing stands out.

    Raises:
      images.ImageError: not an image.
      ValueError: a kind there is not.
      ImportError: OpenCV is not installed.
    """
    images.check(image)
    finder = detector(kind)
    keypoints = ()
    if min(image.shape[:2]) >= _SMALLEST_SIDE:
        grey = opencv().cvtColor(image, opencv().COLOR_RGB2GRAY)
        keypoints, descriptors = finder.detectAndCompute(grey, None)
    if not keypoints:
        dtype = np.float32 if kind == "sift" else np.uint8
        return Features(np.zeros((0, 2), np.float32), np.zeros((0, finder.descriptorSize()), dtype))
    # OpenCV keeps more than it was asked for where several are equally strong.
    strongest = np.argsort([-k.response for k in keypoints], kind="stable")[:MAX_POINTS]
    return Features(np.array([k.pt for k in keypoints], np.float32)[strongest], descriptors[strongest])


def detector(kind):
    """OpenCV's detector for a kind of features; raises as `describe`."""
    if kind not in KINDS:
        raise ValueError(
            f'feature is {kind!r}; one of {KINDS} was expected. For "latent", give what a model says of the images to '
            "dsin_tf.sets.latent_weights."
        )
    cv2 = opencv()
    return cv2.SIFT_create(MAX_POINTS) if kind == "sift" else cv2.ORB_create(MAX_POINTS)


def opencv():
    """The module `cv2`; ImportError that says what to do where it is missing."""
    try:
        import cv2
    except ImportError as error:
        raise ImportError(
            f"Comparing images by SIFT or ORB features needs OpenCV, which cannot be loaded ({error}). "
            'Run pip install opencv-python-headless, or use feature="latent".'
        ) from error
    return cv2
