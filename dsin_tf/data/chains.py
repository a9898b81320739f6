"""What models of image sets train on: chains of references, and single images, drawn from a source of sets.

A codec of sets decodes an image with the help of another one of its set, the reference, which was itself decoded
with the help of a third, and so on to a root that had none. `Chains` gives what a training step needs to play that
through: an image, its reference, and the reference's reference. How far back it goes, and in what numbers the three
cases come, is ours.
"""

import functools
import hashlib

import numpy as np

from dsin_tf.data.sources import DataError, check_whole, read_one_size


class _OfSets:
    """Items made of images of sets; each item a tuple of places (set, number of the image in it).

    Attributes:
      sets: the source of the sets.
    """

    kind = ""

    def __init__(self, sets, items, names):
        self.sets, self._items = sets, tuple(items)
        self.name, self.split, self.names = sets.name, sets.split, tuple(names)
        text = "".join(f"{line}\n" for line in (self.kind, sets.digest, *self.names))
        self.digest = hashlib.sha256(text.encode("utf-8")).hexdigest()

    def __len__(self):
        return len(self._items)

    def __repr__(self):
        return f"<{self.name} {self.split}: {len(self)} {self.kind}>"

    def read_x(self, index):
        """Item `index`'s image to be coded: `uint8 [H, W, 3]`."""
        return self.sets.read_image(*self._items[index][0])

    def parts(self, index):
        """Item `index` image by image: a tuple of (name, function that reads it). One name is one image."""
        return tuple(
            (
                f"{self.name} {self.sets.names[set_index]} image {k}",
                functools.partial(self.sets.read_image, set_index, k),
            )
            for set_index, k in self._items[index]
        )


class Flat(_OfSets):
    """Every image of every set singly: for models that know no sets."""

    kind = "images"

    def __init__(self, sets):
        """Lists the images; reads none.

        Args:
          sets: a source of kind "sets".

        Raises:
          DataError: it is of another kind.
        """
        counts = _counts(sets)
        items = [((index, k),) for index, count in enumerate(counts) for k in range(count)]
        super().__init__(sets, items, [f"{sets.names[index]}/{k}" for ((index, k),) in items])

    def read(self, index):
        """Image `index`: `uint8 [H, W, 3]`."""
        return self.read_x(index)


class Chains(_OfSets):
    """Chains of three images of one set: x, its reference, and the reference's reference.

    Each image i of a set is x in up to three items:

        (i, i, i)   x is a root: it has no reference
        (i, j, j)   its reference j is a root; in sets of at least two images
        (i, j, k)   its reference j has another reference, k; in sets of at least three

    j is near i and k near j: at most `steps` places away in the set's order. With steps=1 the third item is missing
    where j has no neighbour but i.
    """

    kind = "chains"

    def __init__(self, sets, steps=3, seed=0):
        """Draws the chains; reads no image.

        Args:
          sets: a source of kind "sets"; its images follow each other in an order that means something, as time.
          steps: how many places a reference may be away.
          seed: another seed draws other references.

        Raises:
          DataError: sets is of another kind, or steps or seed is out of range.
        """
        check_whole("steps", steps, 1)
        check_whole("seed", seed, 0)
        items, names = [], []
        for index, count in enumerate(_counts(sets)):
            for chain in _draw(count, steps, np.random.default_rng([seed, index])):
                items.append(tuple((index, k) for k in chain))
                names.append(f"{sets.names[index]}/{'-'.join(map(str, chain))}")
        super().__init__(sets, items, names)

    def read(self, index):
        """Chain `index`: three `uint8 [H, W, 3]` of one size.

        Raises:
          images.ImageError: an image cannot be read, or the three differ in size.
        """
        return tuple(read_one_size(self.parts(index)))


def _draw(count, steps, rng):
    """The chains (i, j, k) of a set of `count` images."""

    def near(k):
        return [other for other in range(max(k - steps, 0), min(k + steps + 1, count)) if other != k]

    chains = []
    for i in range(count):
        chains.append((i, i, i))
        if near(i):
            j = int(rng.choice(near(i)))
            chains.append((i, j, j))
            others = [k for k in near(j) if k != i]
            if others:
                chains.append((i, j, int(rng.choice(others))))
    return chains


def _counts(sets):
    """How many images each set has."""
    if sets.kind != "sets":
        raise DataError(
            f"{sets.name} is a source of {sets.kind}, sets were expected. Choose a data set of those, as street_sets."
        )
    return [sets.count(index) for index in range(len(sets))]
