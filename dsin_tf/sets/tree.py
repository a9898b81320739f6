"""Which image of a set is predicted from which: a tree over the images, found, measured and stored.

The root is coded alone; every other image has its parent, decoded before it, as side information. The tree is a minimum
spanning tree, as in Wang et al., "Deep correlated image set compression based on distributed source coding and
multi-scale fusion", DCC 2022. How its root is chosen, the limit of its depth and how it is stored are ours.
"""

import dataclasses
import operator

import numpy as np
from scipy.sparse import csgraph


@dataclasses.dataclass(frozen=True)
class Tree:
    """A tree over images 0 ... K - 1.

    Attributes:
      parents: tuple of K ints, the image that each is predicted from; the root's is itself.

    Raises:
      ValueError: not one root, a parent that is no image of the set, or images that do not lead to the root.
    """

    parents: tuple

    def __post_init__(self):
        object.__setattr__(self, "parents", tuple(operator.index(parent) for parent in self.parents))
        for image, parent in enumerate(self.parents):
            if not 0 <= parent < len(self.parents):
                raise ValueError(
                    f"Image {image} has parent {parent}; one of 0 to {len(self.parents) - 1} was expected. "
                    "Give the parent's position in the set."
                )
        roots = [image for image, parent in enumerate(self.parents) if image == parent]
        if len(roots) != 1:
            raise ValueError(f"The images {roots} are their own parents; one, the root, was expected. Keep one root.")
        apart = sorted(set(range(len(self.parents))) - set(self.order))
        if apart:
            raise ValueError(
                f"From image {apart[0]} the parents lead round a circle and not to the root {roots[0]}. "
                "Give one image of the circle a parent outside."
            )

    @property
    def root(self):
        """The image that is coded without side information."""
        return next(image for image, parent in enumerate(self.parents) if image == parent)

    @property
    def children(self):
        """For each image the tuple of those predicted from it, in ascending order."""
        found = [[] for _ in self.parents]
        for image, parent in enumerate(self.parents):
            if image != parent:
                found[parent].append(image)
        return tuple(map(tuple, found))

    @property
    def order(self):
        """All images in coding order: by depth, parents before children."""
        return self._from(self.root)

    @property
    def depths(self):
        """For each image, how many others must be decoded before it."""
        depths = [0] * len(self.parents)
        for image in self.order[1:]:
            depths[image] = depths[self.parents[image]] + 1
        return tuple(depths)

    def ancestors(self, image):
        """The images that must be decoded before an image, in that order: the root first, its parent last."""
        found = []
        while image != self.parents[image]:
            image = self.parents[image]
            found.append(image)
        return tuple(reversed(found))

    def descendants(self, image):
        """The images that need an image, by depth."""
        return self._from(image)[1:]

    def _from(self, image):
        """An image and all below it, breadth first."""
        children, found = self.children, [image]
        for each in found:
            found.extend(children[each])
        return tuple(found)


def span(weights, max_depth=4):
    """The minimum spanning tree of a set of images, rooted where the others are near.

    The root is the image with the least sum of distances along the tree, so that chains are short. As long as there are
    images too deep even so, one image moves to another parent, with all below it, to where none of them is too deep:
    the move that raises the cost least. The result may cost more than the best tree of that depth.

    Args:
      weights: float [K, K], symmetric and positive, as `similarity.weights` gives them; the diagonal does not
        matter, np.inf is no edge.
      max_depth: at most so many images are decoded before an image; None is no limit. Where the limit leaves no edge
        to choose, the length of the shortest path takes its place.

    Returns:
      A `Tree`.

    Raises:
      ValueError: other weights than expected, images without any path between them, or a limit below 1.
    """
    weights = _checked(weights)
    if max_depth is not None and operator.index(max_depth) < 1:
        raise ValueError(f"max_depth is {max_depth}; 1 or more was expected. Use None for no limit.")
    edges = csgraph.minimum_spanning_tree(weights)
    distances = csgraph.shortest_path(edges, directed=False)
    if np.isinf(distances).any():
        groups, labels = csgraph.connected_components(edges, directed=False)
        raise ValueError(
            f"The graph falls into {groups} parts without an edge between them; image {np.argmax(labels > 0)} cannot "
            "be reached from image 0. Compare more pairs."
        )
    # Sums that are equal but for the order of additions are a tie; the first image wins.
    root = int(np.argmin(np.round(distances.sum(axis=1), 9)))
    _, parents = csgraph.breadth_first_order(edges, root, directed=False)
    parents[root] = root
    tree = Tree(parents)
    return tree if max_depth is None else _limited(tree, weights, max_depth)


def natural(count):
    """The tree that leaves images in their order, each predicted from the one before: what `span` is compared with."""
    return Tree(tuple(max(image - 1, 0) for image in range(count)))


def cost(tree, weights):
    """The sum of the weights between images and their parents; np.inf where two of them were not compared."""
    weights = np.asarray(weights)
    return float(sum(weights[image, tree.parents[image]] for image in tree.order[1:]))


def pack(tree):
    """A tree as bytes: each image's parent in ⌈log2 K⌉ bits, highest first, filled up with zeros to whole bytes."""
    count, number = len(tree.parents), 0
    for parent in tree.parents:
        number = number << _bits(count) | parent
    return (number << _filling(count)).to_bytes(_size(count), "big")


def unpack(data, count):
    """Undoes `pack`.

    Args:
      data: bytes.
      count: K, the number of images.

    Returns:
      A `Tree`.

    Raises:
      ValueError: bytes that `pack` does not make for so many images.
    """
    if count < 1:
        raise ValueError(f"A tree of {count} images was asked for; at least 1 was expected. The count is damaged.")
    if len(data) != _size(count):
        raise ValueError(
            f"A tree of {count} images takes {_size(count)} bytes, here are {len(data)}. They are damaged or of "
            "another set."
        )
    number, filling = divmod(int.from_bytes(data, "big"), 1 << _filling(count))
    if filling:
        raise ValueError(f"The tree ends in the bits {filling:b} where zeros were expected. It is damaged.")
    mask = (1 << _bits(count)) - 1
    return Tree(tuple(number >> _bits(count) * (count - 1 - image) & mask for image in range(count)))


def _checked(weights):
    """The weights as float64 with a diagonal of zeros."""
    weights = np.array(weights, np.float64)
    if weights.ndim != 2 or weights.shape[0] != weights.shape[1] or weights.size == 0:
        raise ValueError(f"weights has shape {weights.shape}; [K, K] for K images, at least 1, was expected.")
    np.fill_diagonal(weights, 0)
    wrong = np.argwhere(~(weights > 0) & ~np.eye(len(weights), dtype=bool) | (weights != weights.T))
    if len(wrong):
        i, j = wrong[0]
        raise ValueError(
            f"The weight from image {i} to {j} is {weights[i, j]} and back {weights[j, i]}; twice the same above 0 was "
            "expected. Raise weights of 0 to a small number."
        )
    return weights


def _limited(tree, weights, max_depth):
    """The tree with no image deeper than `max_depth`; see `span`."""
    if max(tree.depths) > max_depth:
        weights = np.where(np.isinf(weights), csgraph.shortest_path(weights, directed=False), weights)
    while max(tree.depths) > max_depth:
        depths, heights = np.array(tree.depths), _heights(tree)
        # Moves of a branch that reaches too deep to where all of it fits. A place inside the branch itself never fits.
        fits = (depths + heights > max_depth)[:, None] & (depths + 1 + heights[:, None] <= max_depth)
        rise = weights - weights[np.arange(len(weights)), tree.parents][:, None]
        moved, parent = np.unravel_index(np.argmin(np.where(fits, rise, np.inf)), fits.shape)
        parents = list(tree.parents)
        parents[moved] = parent
        tree = Tree(parents)
    return tree


def _heights(tree):
    """For each image, how many steps it is to the deepest one below it: int [K]."""
    heights = np.zeros(len(tree.parents), int)
    for image in reversed(tree.order[1:]):
        parent = tree.parents[image]
        heights[parent] = max(heights[parent], heights[image] + 1)
    return heights


def _bits(count):
    """Bits that name one of `count` images."""
    return (count - 1).bit_length()


def _size(count):
    """Bytes of a packed tree."""
    return -(-count * _bits(count) // 8)


def _filling(count):
    """Bits of a packed tree that mean nothing."""
    return 8 * _size(count) - count * _bits(count)
