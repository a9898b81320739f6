"""Trees over a set of images: found, limited, measured, stored."""

import itertools
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsin_tf.sets import tree
from dsin_tf.sets.tree import Tree

#        2
#      / | \
#     0  3  5
#     |    / \
#     4   1   6
BRANCHED = Tree((2, 5, 2, 2, 0, 2, 5))


def random_weights(count, seed):
    """Symmetric, distinct, 0.01 ... 1.01."""
    half = np.triu(np.random.default_rng(seed).uniform(0.01, 1.01, (count, count)), 1)
    return half + half.T


def undirected(found):
    return {frozenset((image, parent)) for image, parent in enumerate(found.parents) if image != parent}


def cheapest_cost(weights):
    """The least sum over all choices of K - 1 edges that reach every image."""
    count, best = len(weights), np.inf
    for chosen in itertools.combinations(itertools.combinations(range(count), 2), count - 1):
        part = list(range(count))
        for i, j in chosen:
            part = [part[i] if p == part[j] else p for p in part]
        if len(set(part)) == 1:
            best = min(best, sum(weights[i, j] for i, j in chosen))
    return best


def test_a_tree_knows_its_order_depths_and_relatives():
    assert BRANCHED.root == 2
    assert BRANCHED.order == (2, 0, 3, 5, 4, 1, 6)
    assert BRANCHED.depths == (1, 2, 0, 1, 2, 1, 2)
    assert BRANCHED.children == ((4,), (), (0, 3, 5), (), (), (1, 6), ())
    assert BRANCHED.ancestors(4) == (2, 0)
    assert BRANCHED.ancestors(2) == ()
    assert BRANCHED.descendants(5) == (1, 6)
    assert BRANCHED.descendants(2) == (0, 3, 5, 4, 1, 6)
    assert BRANCHED.descendants(6) == ()


def test_a_tree_is_a_value():
    same = Tree(np.array(BRANCHED.parents))
    assert same == BRANCHED
    assert hash(same) == hash(BRANCHED)
    assert pickle.loads(pickle.dumps(same)) == BRANCHED
    assert all(type(parent) is int for parent in same.parents)
    with pytest.raises(AttributeError):
        same.parents = (0,)


@pytest.mark.parametrize(
    ("parents", "message"),
    [
        ((), r"images \[\] are their own"),
        ((1, 0), r"images \[\] are their own"),
        ((0, 0, 2), r"images \[0, 2\] are their own"),
        ((0, 3, 0), "Image 1 has parent 3; one of 0 to 2"),
        ((0, -1), "Image 1 has parent -1"),
        ((2, 3, 2, 4, 1, 3), "From image 1 .* circle and not to the root 2"),
    ],
)
def test_what_is_no_tree_is_refused(parents, message):
    with pytest.raises(ValueError, match=message):
        Tree(parents)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.integers(0, 2**32), st.sampled_from([None, 1, 2, 3, 4]))
def test_every_image_comes_after_its_parent_and_not_too_deep(count, seed, max_depth):
    weights = random_weights(count, seed)
    found = tree.span(weights, max_depth)
    assert len(undirected(found)) == count - 1
    assert sorted(found.order) == list(range(count))
    when = {image: k for k, image in enumerate(found.order)}
    assert all(when[parent] < when[image] for image, parent in enumerate(found.parents) if image != parent)
    assert found.depths == tuple(len(found.ancestors(image)) for image in range(count))
    assert max_depth is None or max(found.depths) <= max_depth
    best = tree.cost(tree.span(weights, None), weights)
    assert tree.cost(found, weights) >= best - 1e-12
    if max(tree.span(weights, None).depths) <= (max_depth or count):
        assert tree.cost(found, weights) == pytest.approx(best)  # a limit that is kept anyway changes nothing


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 5), st.integers(0, 2**32))
def test_no_other_tree_costs_less(count, seed):
    weights = random_weights(count, seed)
    assert tree.cost(tree.span(weights, None), weights) == pytest.approx(cheapest_cost(weights))


def test_no_other_tree_of_six_costs_less_where_edges_are_missing():
    weights = random_weights(6, 0)
    weights[0, 1:5] = weights[1:5, 0] = np.inf
    found = tree.span(weights, None)
    assert found.parents[0] == 5 or found.parents[5] == 0
    assert tree.cost(found, weights) == pytest.approx(cheapest_cost(weights))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.integers(0, 2**32), st.randoms(use_true_random=False))
def test_the_order_of_the_images_does_not_matter(count, seed, random):
    weights = random_weights(count, seed)
    place = random.sample(range(count), count)  # image k of the second order is place[k] of the first
    first, second = (tree.span(w, None) for w in (weights, weights[np.ix_(place, place)]))
    assert {frozenset(place[k] for k in edge) for edge in undirected(second)} == undirected(first)
    if place[second.root] == first.root:  # else two roots were equally good
        for limit in (1, 2):
            first, second = (tree.span(w, limit) for w in (weights, weights[np.ix_(place, place)]))
            assert {place[k]: place[parent] for k, parent in enumerate(second.parents)} == dict(
                enumerate(first.parents)
            )


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.integers(0, 2**32))
def test_the_root_is_nearest_to_all_others(count, seed):
    weights = random_weights(count, seed)
    found = tree.span(weights, None)

    def distance(i, j):
        """Along the tree: down from the last common ancestor to both."""
        up_i, up_j = ((*found.ancestors(k), k) for k in (i, j))
        steps = set(up_i) ^ set(up_j)
        return sum(weights[k, found.parents[k]] for k in steps)

    sums = [sum(distance(i, j) for j in range(count)) for i in range(count)]
    assert sums[found.root] == pytest.approx(min(sums))


def test_of_equally_good_roots_the_first_is_taken():
    assert tree.span([[0, 1], [1, 0]]).parents == (0, 0)
    chain = np.abs(np.subtract.outer(np.arange(4), np.arange(4))) * 0.1
    assert tree.span(chain).parents == (1, 1, 1, 2)
    assert tree.span(chain[::-1, ::-1]).parents == (1, 1, 1, 2)


def test_a_branch_too_deep_moves_where_it_costs_least():
    """A chain 0 - 1 - 2 - 3 - 4 - 5 - 6, rooted in the middle. The end 0 is cheaply moved to 3, 6 only with 5."""
    weights = np.full((7, 7), 9.0)
    for i in range(6):
        weights[i, i + 1] = weights[i + 1, i] = 1
    weights[0, 3] = weights[3, 0] = 1.5
    weights[5, 3] = weights[3, 5] = 2
    assert tree.span(weights, 3).parents == (1, 2, 3, 3, 3, 4, 5)
    limited = tree.span(weights, 2)
    assert limited.parents == (3, 2, 3, 3, 3, 3, 5)
    assert tree.cost(limited, weights) == 6 + 0.5 + 1
    assert tree.span(weights, 1).parents == (3, 3, 3, 3, 3, 3, 3)


def test_the_limit_holds_where_no_edge_is_left():
    """Of a chain, all but the middle's neighbours get a parent they were not compared with."""
    weights = np.full((7, 7), np.inf)
    for i in range(6):
        weights[i, i + 1] = weights[i + 1, i] = 1
    found = tree.span(weights, 2)
    assert max(found.depths) == 2
    assert tree.cost(found, weights) == np.inf
    assert found.parents == (2, 2, 3, 3, 3, 3, 5)  # the shortest paths count: two steps each


def test_weights_that_cannot_be_spanned_are_refused():
    apart = np.full((4, 4), np.inf)
    apart[0, 2] = apart[2, 0] = apart[1, 3] = apart[3, 1] = 1
    with pytest.raises(ValueError, match="2 parts.*image 1 cannot be reached from image 0"):
        tree.span(apart)
    for wrong in (0.0, -1.0, np.nan):
        weights = np.ones((3, 3))
        weights[1, 2] = weights[2, 1] = wrong
        with pytest.raises(ValueError, match=f"from image 1 to 2 is {wrong}"):
            tree.span(weights)
    weights = np.ones((3, 3))
    weights[2, 0] = 3
    with pytest.raises(ValueError, match=r"from image 0 to 2 is 1.0 and back 3.0"):
        tree.span(weights)
    for shape in ((2, 3), (0, 0), (4,)):
        with pytest.raises(ValueError, match=r"weights has shape \(" + str(shape[0])):
            tree.span(np.ones(shape))
    with pytest.raises(ValueError, match="max_depth is 0"):
        tree.span(np.ones((2, 2)), 0)


def test_the_weights_given_stay_as_they_are():
    weights = np.ones((3, 3))
    tree.span(weights, 1)
    np.testing.assert_array_equal(weights, np.ones((3, 3)))


def test_natural_order_is_a_chain():
    assert tree.natural(1).parents == (0,)
    assert tree.natural(4).parents == (0, 0, 1, 2)
    assert tree.natural(4).order == (0, 1, 2, 3)
    with pytest.raises(ValueError):
        tree.natural(0)


def test_the_cost_is_the_sum_of_the_edges():
    weights = np.arange(49.0).reshape(7, 7)
    assert tree.cost(BRANCHED, weights) == 2 + (7 + 5) + (21 + 2) + 28 + (35 + 2) + (42 + 5)
    assert tree.cost(Tree((0,)), [[5.0]]) == 0


@pytest.mark.parametrize(
    ("count", "size"),
    [(1, 0), (2, 1), (3, 1), (4, 1), (5, 2), (8, 3), (9, 5), (16, 8), (17, 11), (42, 32), (64, 48), (255, 255)],
)
def test_a_packed_tree_takes_so_many_bytes(count, size):
    assert len(tree.pack(tree.natural(count))) == size


def test_bits_by_hand():
    # 2 5 2 2 0 2 5 in three bits each: 010 101 010 010 000 010 101, then three zeros.
    assert tree.pack(BRANCHED) == bytes([0b01010101, 0b00100000, 0b10101000])
    assert tree.pack(Tree((0, 0))) == b"\x00"
    assert tree.pack(Tree((1, 1))) == b"\xc0"
    assert tree.unpack(b"", 1) == Tree((0,))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 70), st.integers(0, 2**32))
def test_round_trip(count, seed):
    rng = np.random.default_rng(seed)
    order = rng.permutation(count)
    parents = np.zeros(count, int)
    for k, image in enumerate(order):
        parents[image] = order[rng.integers(0, max(k, 1))]
    found = Tree(parents)
    assert tree.unpack(tree.pack(found), count) == found


def test_damaged_bytes_are_refused():
    packed = tree.pack(BRANCHED)
    for length, data in ((2, packed[:-1]), (4, packed + b"\0"), (0, b"")):
        with pytest.raises(ValueError, match=f"7 images takes 3 bytes, here are {length}"):
            tree.unpack(data, 7)
    with pytest.raises(ValueError, match="ends in the bits 100 "):
        tree.unpack(packed[:2] + bytes([packed[2] | 0b100]), 7)
    with pytest.raises(ValueError, match="Image 0 has parent 7"):
        tree.unpack(bytes([0b11110101, *packed[1:]]), 7)
    with pytest.raises(ValueError, match=r"images \[2, 4\]"):
        tree.unpack(bytes([packed[0], packed[1] | 0b1000, packed[2]]), 7)
    with pytest.raises(ValueError, match="tree of 0 images"):
        tree.unpack(b"", 0)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 20), st.data())
def test_any_bytes_are_a_tree_that_packs_to_them_or_refused(count, data):
    blob = data.draw(st.binary(max_size=14))
    try:
        found = tree.unpack(blob, count)
    except ValueError:
        return
    assert tree.pack(found) == blob
