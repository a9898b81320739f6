"""The picture of a tree: every image once, below its parent, nothing on top of another."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsin_tf.sets import Tree, natural
from eval import tree_figure


def pictures(count, height=12, width=20):
    return [np.full((height, width, 3), 40 + 5 * k, np.uint8) for k in range(count)]


def thumbnails(figure):
    """(left, right, top, bottom) of each image shown, by its grey level; y grows downwards."""
    found = {}
    for shown in figure.axes[0].images:
        left, right, bottom, top = shown.get_extent()
        found[(int(shown.get_array().flat[0]) - 40) // 5] = (left, right, top, bottom)
    return found


def random_tree(count, seed):
    rng = np.random.default_rng(seed)
    return Tree([rng.integers(0, max(k, 1)) for k in range(count)])


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 42), st.integers(0, 2**32), st.sampled_from([(12, 20), (20, 12), (6, 40)]))
def test_images_stand_apart_below_their_parents_and_inside_the_picture(count, seed, size):
    tree = random_tree(count, seed)
    figure = tree_figure.figure(pictures(count, *size), tree)
    found = thumbnails(figure)
    assert sorted(found) == list(range(count))
    for image, parent in enumerate(tree.parents):
        assert image == parent or found[image][2] > found[parent][3]
    for a, b in itertools.combinations(found.values(), 2):
        assert a[1] < b[0] or b[1] < a[0] or a[3] < b[2] or b[3] < a[2]
    width, height = figure.get_size_inches()
    for left, right, top, bottom in found.values():
        assert 0 < left < right < width
        assert 0 < top < bottom < height
        assert (bottom - top) / (right - left) == pytest.approx(size[0] / size[1])
        assert (bottom - top) * (right - left) > 0.5  # square inches: large enough to be recognised


def test_images_of_one_depth_share_a_level():
    tree = Tree((2, 5, 2, 2, 0, 2, 5))
    found = thumbnails(tree_figure.figure(pictures(7), tree))
    tops = [{found[k][2] for k in range(7) if tree.depths[k] == depth} for depth in range(3)]
    assert [len(level) for level in tops] == [1, 1, 1]
    assert max(tops[0]) < max(tops[1]) < max(tops[2])


@pytest.mark.parametrize("tree", [Tree([0] * 42), random_tree(42, 0)])
def test_large_sets_do_not_grow_too_wide(tree):
    assert tree_figure.figure(pictures(42), tree).get_size_inches()[0] < 30  # inches; in one row they take 73


def test_names_and_weights_are_written():
    figure = tree_figure.figure(
        pictures(3), Tree((1, 1, 1)), ["$a$_0", "b", "very_long_name_of_picture_07.png"], [0.5, 9, 1.25]
    )
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert {"$a$_0", "b", "0.50", "1.25", "depth 0", "depth 1"} <= set(texts)
    assert "9.00" not in texts  # the root has no edge
    assert any(text.startswith("…") and text.endswith("_07.png") for text in texts)
    figure = tree_figure.figure(pictures(3), natural(3))
    assert [text.get_text() for text in figure.axes[0].texts if text.get_text().isdigit()] == ["0", "1", "2"]


def test_images_of_different_sizes_keep_their_shapes():
    figure = tree_figure.figure([*pictures(2), *pictures(3, 300, 100)[2:]], natural(3))
    left, right, top, bottom = thumbnails(figure)[2]
    assert (bottom - top) / (right - left) == pytest.approx(3)


def test_the_same_input_gives_the_same_bytes(tmp_path):
    for name in ("a.png", "b.png", "a.svg", "b.svg"):
        tree_figure.save(tmp_path / name, pictures(4), natural(4), costs=[0, 1, 2, 3])
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "a.svg").read_bytes().startswith(b"<?xml")


def test_mistakes_are_named(tmp_path):
    with pytest.raises(ValueError, match="2 images for a tree of 3"):
        tree_figure.figure(pictures(2), natural(3))
    with pytest.raises(ValueError, match="1 names for a tree of 3"):
        tree_figure.figure(pictures(3), natural(3), names=["a"])
    with pytest.raises(ValueError, match="4 costs for a tree of 3"):
        tree_figure.figure(pictures(3), natural(3), costs=[1] * 4)
    with pytest.raises(ValueError, match=r"tree.jpg ends in '.jpg'; .png or .svg"):
        tree_figure.save(tmp_path / "tree.jpg", pictures(1), natural(1))
