"""Chains of references and single images, made of sets."""

import itertools
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsin_tf import data, images
from dsin_tf.data.chains import Chains, Flat


class _Sets:
    """Sets of one-pixel images that say where they are from."""

    kind, name, split, digest = "sets", "made", "train", "0"

    def __init__(self, counts):
        self._counts = counts
        self.names = tuple(f"s{index}" for index in range(len(counts)))

    def __len__(self):
        return len(self._counts)

    def count(self, index):
        return self._counts[index]

    def read_image(self, index, k):
        return np.array([[[index, k, 0]]], np.uint8)


def _places(source):
    """(set, number) of each image of each chain, by what is read."""
    return [[tuple(map(int, image[0, 0, :2])) for image in source.read(k)] for k in range(len(source))]


@given(st.lists(st.integers(1, 12), min_size=1, max_size=5), st.integers(1, 5), st.integers(0, 2**32))
def test_each_image_is_a_root_has_a_root_and_has_a_reference_with_another(counts, steps, seed):
    source = Chains(_Sets(counts), steps, seed)
    chains = _places(source)
    assert len({place[0] for chain in chains for place in chain}) == len(counts)
    for index, count in enumerate(counts):
        for i in range(count):
            mine = [tuple(k for _, k in chain) for chain in chains if chain[0] == (index, i)]
            kinds = ["root" if i == j else "short" if j == k else "long" for _, j, k in mine]
            assert kinds[: min(count, 2)] == ["root", "short"][: min(count, 2)]
            if count >= 3 and steps > 1:
                assert kinds == ["root", "short", "long"]
            for _, j, k in mine:
                assert abs(i - j) <= steps
                assert abs(j - k) <= steps
                assert len({i, j}) == 1 or k != i
                assert 0 <= k < count
    assert all(len({place[0] for place in chain}) == 1 for chain in chains)


def test_at_a_distance_of_one_a_chain_may_end_at_the_border():
    # In a set of three in a row the middle one's reference is at an end, whose only neighbour is the middle.
    assert [[k for _, k in chain] for chain in _places(Chains(_Sets([3]), steps=1)) if chain[0] == (0, 1)] in (
        [[1, 1, 1], [1, 0, 0]],
        [[1, 1, 1], [1, 2, 2]],
    )


def test_every_near_image_comes_to_be_a_reference():
    drawn = {tuple(k for _, k in chain) for seed in range(200) for chain in _places(Chains(_Sets([4]), 2, seed))}
    near = [(i, j) for i, j in itertools.permutations(range(4), 2) if abs(i - j) <= 2]
    expected = {(i, i, i) for i in range(4)} | {(i, j, j) for i, j in near}
    expected |= {(i, j, k) for i, j in near for j_, k in near if j == j_ and k != i}
    assert drawn == expected


def test_the_draw_follows_the_seed_and_a_shorter_list_is_its_beginning():
    source = Chains(_Sets([5, 6]), seed=1)
    assert Chains(_Sets([5, 6]), seed=1).digest == source.digest
    assert Chains(_Sets([5, 6]), seed=2).digest != source.digest
    assert Chains(_Sets([5]), seed=1).names == source.names[: 3 * 5]


def test_names_are_unique_and_tell_the_chain():
    source = Chains(_Sets([3, 3]))
    assert len(set(source.names)) == len(source) == 18
    for name, chain in zip(source.names, _places(source)):
        index = chain[0][0]
        assert name == f"s{index}/" + "-".join(str(k) for _, k in chain)
    assert (source.kind, source.name, source.split) == ("chains", "made", "train")
    copy = pickle.loads(pickle.dumps(source))
    assert (copy.names, copy.digest, _places(copy)) == (source.names, source.digest, _places(source))


def test_an_image_that_is_there_twice_is_read_once(monkeypatch):
    reads = []
    read = _Sets.read_image
    monkeypatch.setattr(_Sets, "read_image", lambda self, *place: reads.append(place) or read(self, *place))
    source = Chains(_Sets([2]))
    for k, distinct in enumerate((1, 2, 1, 2)):
        reads.clear()
        source.read(k)
        assert len(reads) == distinct
    reads.clear()
    np.testing.assert_array_equal(source.read_x(3), [[[0, 1, 0]]])
    assert reads == [(0, 1)]


def test_flat_is_every_image_once_in_order():
    source = Flat(_Sets([2, 1]))
    assert (source.kind, source.names) == ("images", ("s0/0", "s0/1", "s1/0"))
    assert [tuple(source.read(k)[0, 0, :2]) for k in range(3)] == [(0, 0), (0, 1), (1, 0)]
    np.testing.assert_array_equal(source.read_x(2), source.read(2))
    assert source.digest != Flat(_Sets([2, 2])).digest


def test_images_of_two_sizes_name_their_set(tmp_path):
    for k, width in enumerate((5, 6)):
        images.write(tmp_path / f"odd/{k}.png", np.zeros((4, width, 3), np.uint8))
    source = Chains(data.load("image_sets", "test", tmp_path))
    with pytest.raises(images.ImageError, match="image_sets odd image 0 is 4x5 .* and image_sets odd image 1 is 4x6"):
        source.read(1)


def test_other_sources_and_numbers_are_refused(tmp_path):
    for make in (Chains, Flat):
        with pytest.raises(data.DataError, match="street is a source of pairs, sets were expected"):
            make(data.load("street", limit=1))
    with pytest.raises(data.DataError, match="steps is 0"):
        Chains(_Sets([2]), steps=0)
    with pytest.raises(data.DataError, match="seed is -1"):
        Chains(_Sets([2]), seed=-1)


def test_chains_of_joined_and_rendered_sets(tmp_path):
    for k in range(2):
        images.write(tmp_path / f"s/{k}.png", np.full((16, 32, 3), k, np.uint8))
    options = {"size": (16, 32), "set_size": 2}
    sets = data.load("image_sets+street_sets", "test", tmp_path, limit=1, **options)
    source = Chains(sets)
    assert source.names[4] == "street_sets/seed0/2000000_scattered_2/0-0-0"
    x, reference, third = source.read(5)  # 0-1-1 of the second set
    street = data.load("street_sets", "test", limit=1, **options).read(0)
    np.testing.assert_array_equal(x, street[0])
    np.testing.assert_array_equal(reference, street[1])
    np.testing.assert_array_equal(third, street[1])
