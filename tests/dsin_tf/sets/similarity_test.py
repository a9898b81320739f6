"""Weights of pairs and of whole sets: small for what is alike, the same in any order and in any process."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree

from dsin_tf import data, images, sets
from dsin_tf.sets import features, similarity
from tests.dsin_tf.sets.features_test import texture

WIDE = texture(200, 400)


def described(image, kind="sift"):
    return features.describe(np.ascontiguousarray(image), kind)


def noise(seed, size=(120, 160)):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3)).astype(np.uint8)


@pytest.mark.parametrize("kind", features.KINDS)
def test_a_shifted_copy_is_near_and_unrelated_noise_is_not(kind):
    left, right = described(WIDE[:, :300], kind), described(WIDE[5:, 20:320], kind)
    assert similarity.SMALLEST <= similarity.pair_weight(left, left) < 0.05
    assert similarity.pair_weight(left, right) < 0.5
    assert similarity.pair_weight(described(noise(0), kind), described(noise(1), kind)) == 1.25
    assert similarity.pair_weight(left, described(np.zeros((50, 50, 3), np.uint8), kind)) == 1.25


def test_the_weight_is_the_same_both_ways():
    left, right = described(WIDE[:, :250]), described(WIDE[:, 100:])
    assert similarity.pair_weight(left, right) == similarity.pair_weight(right, left)


def test_the_weight_is_one_minus_the_share_of_inliers_plus_a_quarter_of_their_distance():
    """Twelve features, moved by (3, 5), each descriptor off by 64 in one place; four more that match nowhere."""
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 100, (12, 2)).astype(np.float32)
    descriptors = np.zeros((12, 128), np.float32)
    descriptors[np.arange(12), np.arange(12)] = 512
    moved = descriptors.copy()
    moved[:, 127] = 64
    lost = np.zeros((4, 128), np.float32)  # as far from one of the others as from any
    a = features.Features(points, descriptors)
    b = features.Features(
        np.concatenate([points + (3, 5), np.zeros((4, 2), np.float32)]).astype(np.float32),
        np.concatenate([moved, lost]),
    )
    assert similarity.pair_weight(a, b) == pytest.approx(0 + 0.25 * 64 / 512)
    fewer = features.Features(points[:9], descriptors[:9])
    assert similarity.pair_weight(fewer, a) == similarity.SMALLEST  # all found, at distance 0
    assert similarity.pair_weight(features.Features(points[:7], descriptors[:7]), a) == 1.25  # fewer than 8
    half = descriptors.copy()
    half[9:] = 0  # 9 of 12 match
    assert similarity.pair_weight(features.Features(points, half), a) == pytest.approx(1 - 9 / 12)


def test_bits_count_by_the_share_that_differs():
    rng = np.random.default_rng(1)
    points = rng.uniform(0, 100, (10, 2)).astype(np.float32)
    bits = rng.integers(0, 256, (10, 32)).astype(np.uint8)
    other = bits.copy()
    other[:, 0] ^= 0b11110000  # 4 of 256
    a, b = features.Features(points, bits), features.Features(points, other)
    assert similarity.pair_weight(a, b) == pytest.approx(0.25 * 4 / 256)


def test_the_homography_leads_from_the_first_image_to_the_second():
    moved = similarity.homography(described(WIDE[:, :300]), described(WIDE[5:, 20:320]))
    np.testing.assert_allclose(moved @ (100, 50, 1) / (moved @ (100, 50, 1))[2], (80, 45, 1), atol=0.5)
    assert similarity.homography(described(noise(0)), described(noise(1))) is None


def test_the_homography_does_not_depend_on_random_numbers_drawn_before():
    cv2 = features.opencv()
    pair = described(WIDE[:, :250]), described(WIDE[:, 150:])
    found = []
    for seed in (1, 2):
        cv2.setRNGSeed(seed)
        found.append(similarity.homography(*pair))
    np.testing.assert_array_equal(*found)


def crops(count=5):
    return [np.ascontiguousarray(WIDE[:120, 30 * k : 30 * k + 160]) for k in range(count)]


def test_weights_of_a_set_are_those_of_its_pairs_in_any_order():
    pictures = crops()
    matrix = similarity.weights(pictures)
    each = [described(picture) for picture in pictures]
    expected = [[0 if i == j else similarity.pair_weight(a, b) for j, b in enumerate(each)] for i, a in enumerate(each)]
    np.testing.assert_array_equal(matrix, expected)
    assert matrix.dtype == np.float64
    order = [3, 0, 4, 1, 2]
    np.testing.assert_array_equal(similarity.weights([pictures[k] for k in order]), matrix[np.ix_(order, order)])


def test_worker_processes_find_the_same():
    pictures = crops(4)
    np.testing.assert_array_equal(similarity.weights(pictures, workers=2), similarity.weights(pictures, workers=1))


def test_a_bar_is_shown_on_stderr_when_asked_for(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")  # makes rich take anything for a terminal
    monkeypatch.setenv("TERM", "xterm")
    for progress in (True, False):
        similarity.weights(crops(3), progress=progress)
        out, err = capsys.readouterr()
        assert out == ""
        assert all((word in err) == progress for word in ("features", "pairs", "3/3"))


def test_one_image_has_no_pairs():
    np.testing.assert_array_equal(similarity.weights(crops(1)), [[0]])


def test_blank_images_are_unrelated_in_small_sets_and_in_large_ones():
    blank = [np.zeros((20, 20, 3), np.uint8)] * 4
    np.testing.assert_array_equal(similarity.weights(blank), 1.25 * (1 - np.eye(4)))
    assert set(similarity.weights(blank, all_pairs_up_to=1, neighbours=1).ravel()) == {0, 1.25, np.inf}


def test_an_unknown_feature_is_refused_before_any_work():
    with pytest.raises(ValueError, match="feature is 'latent'.*latent_weights"):
        similarity.weights([], feature="latent")


@pytest.mark.parametrize("kind", features.KINDS)
def test_of_large_sets_only_likely_pairs_are_compared(kind):
    """Two groups, and one image without any feature."""
    other = texture(160, 260, seed=1)
    pictures = [*crops(4), *(np.ascontiguousarray(other[:120, 20 * k : 20 * k + 160]) for k in range(4))]
    pictures.append(np.zeros((30, 30, 3), np.uint8))
    matrix = similarity.weights(pictures, kind, all_pairs_up_to=8, neighbours=1)
    compared = np.isfinite(matrix) & (matrix > 0)
    np.testing.assert_array_equal(matrix, matrix.T)
    assert connected_components(compared)[0] == 1
    assert compared[:8, :8].any(axis=1).all()
    assert np.count_nonzero(compared[:4, 4:8]) <= 1  # the groups meet at most once
    assert compared.sum() / 2 <= 9  # far from all 36
    whole = similarity.weights(pictures, kind)
    np.testing.assert_array_equal(matrix[compared], whole[compared])


def _small(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB").reduce(3))


@pytest.mark.parametrize("name", ["lund_street", "buddha", "drive"])
def test_likely_pairs_give_nearly_the_tree_of_all_pairs(name, request, monkeypatch):
    if name == "drive":
        pictures = data.load("street_sets", views="drive", set_size=16, limit=1).read(0)
    else:
        folder = request.getfixturevalue("sample_data") / "image_sets" / name
        pictures = [_small(path) for path in images.list_files(folder)]
    matrix = similarity.weights(pictures)
    best = minimum_spanning_tree(matrix).sum()
    monkeypatch.setattr(similarity, "pair_weight", lambda a, b: 1.0)  # which pairs are compared is all that is new
    # Half of what is usual: 8 are most of a set of 12, and more neighbours only add edges.
    compared = np.isfinite(similarity.weights(pictures, all_pairs_up_to=1, neighbours=4))
    found = minimum_spanning_tree(np.where(compared, matrix, np.inf)).sum()
    assert best <= found + 1e-9
    assert found <= 1.05 * best
    assert compared.sum() < 0.7 * compared.size


def test_latent_weights_are_cosine_distances():
    matrix = similarity.latent_weights([[1, 0], [2, 0], [0, 3], [-1, 0], [1, 1], [0, 0]])
    expected = np.array(
        [
            [0, 1e-3, 1, 2, 1 - 0.5**0.5, 1],
            [1e-3, 0, 1, 2, 1 - 0.5**0.5, 1],
            [1, 1, 0, 1, 1 - 0.5**0.5, 1],
            [2, 2, 1, 0, 1 + 0.5**0.5, 1],
            [1 - 0.5**0.5, 1 - 0.5**0.5, 1 - 0.5**0.5, 1 + 0.5**0.5, 0, 1],
            [1, 1, 1, 1, 1, 0],
        ]
    )
    np.testing.assert_allclose(matrix, expected, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(np.float32, st.tuples(st.integers(1, 9), st.integers(1, 5)), elements=st.floats(-100, 100, width=32)))
def test_latent_weights_can_always_be_spanned(vectors):
    matrix = similarity.latent_weights(vectors)
    np.testing.assert_array_equal(matrix, matrix.T)
    assert np.all(matrix[~np.eye(len(matrix), dtype=bool)] >= 1e-3)
    assert len(sets.span(matrix).parents) == len(vectors)


def test_vectors_that_are_none_are_refused():
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        similarity.latent_weights([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"shape \(2, 2\) and 1 numbers that are not finite"):
        similarity.latent_weights([[1.0, 2.0], [np.nan, 0.0]])
