"""Which pixels the protocols take."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from dsin_tf import images
from dsin_tf.data import DataError, protocols


def _noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_dsin_takes_the_middle():
    image = _noise(375, 1242)
    np.testing.assert_array_equal(protocols.get("dsin").evaluate(image), image[27:347, 9:1233])


def test_native_takes_everything():
    image = _noise(17, 23)
    np.testing.assert_array_equal(protocols.get("native").evaluate(image), image)


# Offsets as in the fact sheet of the authors' preparation: halves are rounded to even.
@pytest.mark.parametrize(
    ("size", "offset"),
    [((375, 1242), (2, 251)), ((374, 1238), (2, 249)), ((376, 1241), (3, 250)), ((370, 1224), (0, 242))],
)
def test_ndic_crop_offsets(size, offset):
    image = _noise(*size)
    top, left = offset
    cut = Image.fromarray(image).crop((left, top, left + 740, top + 370))
    expected = np.asarray(cut.resize((256, 128), Image.Resampling.BILINEAR), np.int32)
    result = protocols.get("ndic").evaluate(image)
    assert result.shape == (128, 256, 3)
    assert np.abs(result - expected).max() <= 1


def test_ndic_is_within_one_level_of_tensorflows_antialiased_resize():
    image = _noise(370, 740)
    expected = tf.round(tf.image.resize(image, (128, 256), method="bilinear", antialias=True)).numpy()
    assert np.abs(protocols.get("ndic").evaluate(image) - expected).max() <= 1


def test_ndic_makes_the_samples_small_images(sample_data):
    """The 128x256 images were made from the full-size ones by somebody else's program."""
    for scene in ("000007", "000105"):
        folder = sample_data / "kitti_sample/data_scene_flow_multiview/training/image_3"
        small = images.read(sample_data / f"kitti_small_256x128/image_3/{scene}_10.png").astype(int)
        ours = protocols.get("ndic").evaluate(images.read(folder / f"{scene}_10.png"))
        assert np.abs(ours - small).max() <= 1


def test_ndic_resizes_cityscapes_whole():
    image = np.zeros((1024, 2048, 3), np.uint8)
    image[:, :256] = 200  # far outside any 370x740 in the middle
    result = protocols.get("ndic").evaluate(image)
    assert result.shape == (128, 256, 3)
    assert (result[:, :30] == 200).all()


@pytest.mark.parametrize(("name", "size"), [("dsin", (320, 1223)), ("dsin", (319, 1300)), ("ndic", (128, 256))])
def test_too_small_image_is_refused_with_both_sizes(name, size):
    with pytest.raises(images.ImageError, match=f"{size[0]}x{size[1]}.*protocol '{name}' cuts .*native"):
        protocols.get(name).evaluate(np.zeros((*size, 3), np.uint8))


def test_native_asks_for_a_smaller_crop_where_a_picture_has_none_of_its_size():
    native = dataclasses.replace(protocols.get("native"), train_crop=(128, 256))
    with pytest.raises(images.ImageError, match="100x300.*128x256 out of it for training. Take a smaller crop"):
        native.prepare(np.zeros((100, 300, 3), np.uint8))


def test_dsin_trains_on_images_too_narrow_to_be_evaluated():
    protocols.get("dsin").check_size(320, 960, training=True)
    with pytest.raises(images.ImageError, match="320x959.*320x960 out of it for training"):
        protocols.get("dsin").prepare(np.zeros((320, 959, 3), np.uint8))


def test_augment_keeps_x_and_y_at_one_place():
    rows, columns = np.mgrid[:12, :20]
    x = np.stack([rows, columns, np.zeros_like(rows)], axis=-1).astype(np.uint8)
    protocol = dataclasses.replace(protocols.get("dsin"), train_crop=(5, 8))
    seen = set()
    for k in range(300):
        a, b = protocol.augment([x, x + 100], np.random.default_rng(k))
        assert a.shape == (5, 8, 3)
        np.testing.assert_array_equal(a + 100, b)
        flipped = int(a[0, 0, 1]) > int(a[0, 1, 1])
        seen.add((int(a[0, 0, 0]), int(a[0].min(axis=0)[1]), flipped))
    assert {row for row, _, _ in seen} == set(range(8))  # every place from the first to the last
    assert {column for _, column, _ in seen} == set(range(13))
    assert {flip for _, _, flip in seen} == {False, True}


def test_flips_half_of_the_time():
    image = _noise(2, 3)
    flips = sum(
        not np.array_equal(protocols.get("native").augment([image], np.random.default_rng(k))[0], image)
        for k in range(400)
    )
    assert 140 < flips < 260  # 6 standard deviations


def test_unknown_name_lists_the_valid_ones():
    with pytest.raises(DataError, match="'nidc'.*dsin, ndic, native"):
        protocols.get("nidc")
    assert [protocols.get(name).name for name in protocols.names()] == ["dsin", "ndic", "native"]
