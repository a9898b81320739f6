"""Local features: how many, where, of what kind, and what is said where there can be none."""

import sys

import numpy as np
import pytest
from scipy import ndimage

from dsin_tf import images
from dsin_tf.sets import features

LENGTHS = {"sift": (128, np.float32), "orb": (32, np.uint8)}


def texture(height=160, width=240, seed=0):
    """Blobs of many sizes in grey, as detectors like them."""
    noise = np.random.default_rng(seed).standard_normal((height, width))
    sum_of_scales = sum(s * ndimage.gaussian_filter(noise, s) for s in (1, 2, 4, 8))
    grey = np.clip(128 + 50 * sum_of_scales / sum_of_scales.std(), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1)


@pytest.mark.parametrize("kind", features.KINDS)
def test_features_are_inside_the_image_and_of_their_kind(kind):
    found = features.describe(texture(), kind)
    length, dtype = LENGTHS[kind]
    assert len(found.points) > 50
    assert found.points.dtype == np.float32
    assert found.points.shape == (len(found.descriptors), 2)
    assert found.descriptors.shape[1] == length
    assert found.descriptors.dtype == dtype
    assert np.all((found.points >= 0) & (found.points <= (240, 160)))  # (column, row)
    assert found.points[:, 0].max() > 160


def test_there_are_a_thousand_at_most_even_where_several_are_equally_strong():
    tiled = np.tile(texture(128, 128), (1, 7, 1))  # everything is there seven times
    found, _ = features.detector("sift").detectAndCompute(tiled[..., 0], None)
    assert len(found) > 1000
    assert len(features.describe(tiled).points) == 1000


@pytest.mark.parametrize("kind", features.KINDS)
@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (40, 60)])
def test_where_nothing_stands_out_there_are_none(kind, shape):
    found = features.describe(np.full((*shape, 3), 90, np.uint8), kind)
    assert found.points.shape == (0, 2)
    length, dtype = LENGTHS[kind]
    assert found.descriptors.shape == (0, length)
    assert found.descriptors.dtype == dtype


def test_a_picture_of_a_few_rows_has_none_either():
    assert len(features.describe(texture(4, 300), "orb").points) == 0


def test_mistakes_are_named():
    with pytest.raises(ValueError, match=r"feature is 'surf'; one of \('sift', 'orb'\)"):
        features.describe(texture(), "surf")
    with pytest.raises(ValueError, match="'latent'.*latent_weights"):
        features.describe(texture(), "latent")
    with pytest.raises(images.ImageError, match=r"float64 \[160, 240, 3\]"):
        features.describe(texture().astype(float))


def test_without_opencv_the_error_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ImportError, match='install opencv-python-headless, or use feature="latent"'):
        features.describe(texture())
