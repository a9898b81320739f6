import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage import color as skimage_color

from dsin_tf import color

# Every 15th level of each channel: 18^3 colours, corners of the cube included.
DENSE = np.stack(np.meshgrid(*[np.arange(0, 256, 15)] * 3, indexing="ij"), axis=-1).reshape(-1, 3).astype(np.uint8)

# JFIF's values for the corners, worked out from its equations.
PRIMARIES = {
    (255, 0, 0): (76.245, 84.97235, 255.5),
    (0, 255, 0): (149.685, 43.52765, 21.23466),
    (0, 0, 255): (29.07, 255.5, 107.26534),
    (0, 0, 0): (0, 128, 128),
    (255, 255, 255): (255, 128, 128),
}

# Reference pairs of Sharma, Wu and Dalal (2005), table 1: those where implementations go astray (blue, opposite
# hues, mean hue across 0 degrees, a grey partner, small and large differences).
SHARMA = [
    ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
    ((50.0, 3.1571, -77.2803), (50.0, 0.0, -82.7485), 2.8615),
    ((50.0, -1.3802, -84.2814), (50.0, 0.0, -82.7485), 1.0000),
    ((50.0, 0.0, 0.0), (50.0, -1.0, 2.0), 2.3669),
    ((50.0, 2.4900, -0.0010), (50.0, -2.4900, 0.0009), 7.1792),
    ((50.0, 2.4900, -0.0010), (50.0, -2.4900, 0.0011), 7.2195),
    ((50.0, -0.0010, 2.4900), (50.0, 0.0009, -2.4900), 4.8045),
    ((50.0, -0.0010, 2.4900), (50.0, 0.0011, -2.4900), 4.7461),
    ((50.0, 2.5, 0.0), (50.0, 0.0, -2.5), 4.3065),
    ((50.0, 2.5, 0.0), (73.0, 25.0, -18.0), 27.1492),
    ((50.0, 2.5, 0.0), (58.0, 24.0, 15.0), 19.4535),
    ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ((22.7233, 20.0904, -46.6940), (23.0331, 14.9730, -42.5619), 2.0373),
    ((90.8027, -2.0831, 1.4410), (91.1528, -1.6435, 0.0447), 1.4441),
    ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
]


@pytest.mark.parametrize(("rgb", "ycbcr"), PRIMARIES.items())
def test_ycbcr_of_primaries_follows_jfif(rgb, ycbcr):
    np.testing.assert_allclose(color.rgb_to_ycbcr(np.array(rgb, np.uint8)), ycbcr, atol=1e-4)


def test_ycbcr_round_trip_gives_back_a_dense_sample_of_colours():
    np.testing.assert_allclose(color.ycbcr_to_rgb(color.rgb_to_ycbcr(DENSE)), DENSE, atol=1e-10)
    in_float32 = color.ycbcr_to_rgb(color.rgb_to_ycbcr(DENSE.astype(np.float32)))
    assert in_float32.dtype == np.float32
    np.testing.assert_allclose(in_float32, DENSE, atol=1e-3)


@given(hnp.arrays(np.float64, (4, 3), elements=st.floats(0, 255)))
def test_ycbcr_round_trip_gives_back_any_colour(rgb):
    np.testing.assert_allclose(color.ycbcr_to_rgb(color.rgb_to_ycbcr(rgb)), rgb, atol=1e-10)


@given(hnp.arrays(np.float64, (4, 3), elements=st.floats(0, 255)))
def test_chroma_stays_in_its_range_and_is_centred_for_grey(rgb):
    _, cb, cr = color.rgb_to_ycbcr(rgb).T
    assert min(cb.min(), cr.min()) >= 0.5 - 1e-9
    assert max(cb.max(), cr.max()) <= 255.5 + 1e-9
    grey = np.repeat(rgb[:, :1], 3, axis=1)
    np.testing.assert_allclose(color.rgb_to_ycbcr(grey)[:, 1:], 128, atol=1e-9)


def test_tensors_and_arrays_convert_alike_and_gradients_flow():
    rgb = tf.constant(DENSE.reshape(1, 18, 324, 3), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(rgb)
        ycbcr = color.rgb_to_ycbcr(rgb)
        luma = tf.reduce_sum(ycbcr[..., 0])
    assert ycbcr.dtype == tf.float32
    np.testing.assert_allclose(ycbcr, color.rgb_to_ycbcr(DENSE).reshape(ycbcr.shape), atol=1e-4)
    np.testing.assert_allclose(color.ycbcr_to_rgb(ycbcr), rgb, atol=1e-3)
    np.testing.assert_allclose(tape.gradient(luma, rgb)[0, 0, 0], [0.299, 0.587, 0.114], atol=1e-6)


def test_whole_number_tensors_are_taken_as_floats():
    ycbcr = color.rgb_to_ycbcr(tf.constant([[255, 0, 0]], tf.uint8))
    np.testing.assert_allclose(ycbcr, [PRIMARIES[255, 0, 0]], atol=1e-4)


@pytest.mark.parametrize("convert", [color.rgb_to_ycbcr, color.ycbcr_to_rgb, color.rgb_to_lab])
def test_wrong_channel_count_is_refused_with_the_shape(convert):
    with pytest.raises(ValueError, match=r"\(5, 4\).*3 colour channels"):
        convert(np.zeros((5, 4)))


def test_lab_of_white_black_and_greys():
    greys = np.repeat(np.arange(256)[:, None], 3, axis=1)
    lab = color.rgb_to_lab(greys)
    np.testing.assert_allclose(lab[:, 1:], 0, atol=1e-10)
    np.testing.assert_allclose(lab[[0, 255], 0], [0, 100], atol=1e-10)
    assert np.all(np.diff(lab[:, 0]) > 0)


def test_lab_agrees_with_scikit_image():
    # scikit-image rounds the white point to other digits, worth up to 0.03 of a* and b*.
    np.testing.assert_allclose(color.rgb_to_lab(DENSE), skimage_color.rgb2lab(DENSE), atol=0.03)
    # The dark end, where both curves are straight lines.
    dark = np.arange(30, dtype=np.uint8).reshape(10, 3)
    np.testing.assert_allclose(color.rgb_to_lab(dark), skimage_color.rgb2lab(dark), atol=0.03)


@pytest.mark.parametrize(("lab_1", "lab_2", "difference"), SHARMA)
def test_ciede2000_of_published_reference_pairs(lab_1, lab_2, difference):
    assert color.ciede2000(lab_1, lab_2) == pytest.approx(difference, abs=5e-5)
    assert color.ciede2000(lab_2, lab_1) == pytest.approx(difference, abs=5e-5)


def test_ciede2000_agrees_with_scikit_image_on_random_colours():
    random = np.random.default_rng(0)
    lab_1, lab_2 = random.uniform([0, -100, -100], [100, 100, 100], (2, 4000, 3))
    np.testing.assert_allclose(color.ciede2000(lab_1, lab_2), skimage_color.deltaE_ciede2000(lab_1, lab_2), atol=1e-9)


def test_ciede2000_of_equal_colours_is_zero():
    lab = color.rgb_to_lab(DENSE)
    np.testing.assert_allclose(color.ciede2000(lab, lab), 0, atol=1e-12)
