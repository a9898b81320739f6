"""Sets of correlated images: which image is predicted from which, and the order they are coded in.

    tree = dsin_tf.sets.plan(images)                    # from what the images show; their order does not matter
    for i in tree.order:                                # a parent always comes before its children
        y = None if i == tree.root else decoded[tree.parents[i]]
        decoded[i] = ...                                # images[i] with side information y
    blob = dsin_tf.sets.pack(tree)                      # 3 bytes for 8 images
    tree == dsin_tf.sets.unpack(blob, len(images))

Two steps make the plan: `weights` says how much images have in common, `span` chooses the tree. `latent_weights` takes
the first step without OpenCV, from what a model says of the images.
"""

from dsin_tf.sets.features import Features, describe
from dsin_tf.sets.similarity import homography, latent_weights, pair_weight, weights
from dsin_tf.sets.tree import Tree, cost, natural, pack, span, unpack

__all__ = [
    "Features",
    "Tree",
    "cost",
    "describe",
    "homography",
    "latent_weights",
    "natural",
    "pack",
    "pair_weight",
    "plan",
    "span",
    "unpack",
    "weights",
]


def plan(images, feature="sift", max_depth=4, workers=None, progress=False):
    """The tree of a set of images.

    Args:
      images: sequence of at least one uint8 [H, W, 3].
      feature: what they are compared by, "sift" or "orb"; see `weights`.
      max_depth: at most so many images are decoded before an image; None is no limit. See `span`.
      workers: processes that compare the images; see `weights`.
      progress: shows a bar on stderr.

    Returns:
      A `Tree`.

    Raises:
      ValueError, ImportError, RuntimeError: as `weights` and `span`.
    """
    return span(weights(images, feature, workers, progress), max_depth)
