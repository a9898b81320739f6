"""How much one image helps to predict another, as the weights of a graph over a set of images: small means much.

The weight of two images is made from their local features, as in Shi, Sun and Wu, "Photo album compression for cloud
storage using local features", JETCAS 2014. The formula is ours: the distance of matching features alone is noisy where
few match, so the share of features that agree on one homography carries most of it.
"""

import os

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from scipy.sparse.csgraph import minimum_spanning_tree

from dsin_tf.sets import features, parallel

UNRELATED = 1.25  # the weight of two images that have no homography in common
SMALLEST = 1e-3  # of all weights: zero would mean "no edge" to `scipy.sparse.csgraph`

_RATIO = 0.8  # Lowe's: of the distance to the second nearest descriptor, above which the nearest is no match
_TOLERANCE = 3.0  # pixels
_FEWEST = 8  # matches that a homography must explain
_IN_PROCESS_PAIRS = 150  # so many are compared about as soon as worker processes have started


def pair_weight(a, b):
    """The weight of two images, `1 - s + d / 4`, the mean over both directions.

    s is the share of features whose match in the other image fits a homography, d the mean distance of these matches'
    descriptors (in units of SIFT's norm, 512; ORB: the share of differing bits).

    Args:
      a, b: `Features` of one kind.

    Returns:
      A float from 0.001; 1.25 where fewer than 8 features fit.
    """
    return (_weight_towards(a, b) + _weight_towards(b, a)) / 2


def homography(a, b):
    """The projective map that takes most features of one image to their matches in another.

    Args:
      a, b: `Features` of one kind.

    Returns:
      float64 [3, 3], from (column, row, 1) in a's image to b's; None where fewer than 8 features fit.
    """
    return _fit(a, b)[0]


def weights(images, feature="sift", workers=None, progress=False, all_pairs_up_to=64, neighbours=8):
    """The weights between the images of a set.

    Up to `all_pairs_up_to` images, all pairs are compared. Of more, each is compared with those that look most alike as
    a whole, so that time grows with the number of images and not with its square.

    Args:
      images: sequence of uint8 [H, W, 3]; sizes may differ.
      feature: "sift" or "orb".
      workers: processes that share the pairs. None is one for each core, or this process alone where the pairs are so
        few that starting others takes longer; 1 is this process alone. Like all that starts processes, more than one
        needs `if __name__ == "__main__":` in the script that is run.
      progress: shows a bar on stderr, if that is a terminal.
      all_pairs_up_to: the largest set whose pairs are all compared.
      neighbours: in larger sets, with how many others each image is compared at least.

    Returns:
      float64 [n, n], symmetric, zero on the diagonal, np.inf where two images were not compared. Those that were
      connect all images.

    Raises:
      images.ImageError: not an image.
      ValueError: an unknown feature.
      ImportError: OpenCV is not installed.
      RuntimeError: a worker process died.
    """
    features.detector(feature)  # without images, too, what is wrong with it is said
    count = len(images)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not (progress and console.is_terminal)) as bar:
        # OpenCV shares this work among its own threads.
        described = [features.describe(image, feature) for image in bar.track(images, description="features")]
        wanted = np.ones((count, count), bool) if count <= all_pairs_up_to else _near(described, neighbours)
        pairs = np.argwhere(np.triu(wanted, 1))
        if workers is None:
            workers = os.cpu_count() or 1 if len(pairs) > _IN_PROCESS_PAIRS else 1
        task = bar.add_task("pairs", total=len(pairs))
        found = parallel.over_pairs(pair_weight, described, pairs.tolist(), workers, lambda: bar.advance(task))
    matrix = np.full((count, count), np.inf)
    np.fill_diagonal(matrix, 0)
    matrix[tuple(pairs.T)] = matrix[tuple(pairs.T[::-1])] = found
    return matrix


def latent_weights(vectors):
    """The weights between images of which a model has made vectors: their cosine distances.

    Args:
      vectors: float [n, d], for example means and standard deviations of latents. To a vector of zeros all others are
        at distance 1.

    Returns:
      float64 [n, n], symmetric, zero on the diagonal, elsewhere 0.001 to 2.

    Raises:
      ValueError: not two axes, or a number that is not finite.
    """
    vectors = np.asarray(vectors, np.float64)
    if vectors.ndim != 2 or not np.isfinite(vectors).all():
        raise ValueError(
            f"vectors has shape {vectors.shape} and {np.count_nonzero(~np.isfinite(vectors))} numbers that are not "
            "finite; finite numbers [images, length] were expected. Give one row for each image."
        )
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    directions = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    matrix = np.maximum(1 - directions @ directions.T, SMALLEST)
    matrix = (matrix + matrix.T) / 2
    np.fill_diagonal(matrix, 0)
    return matrix


def _weight_towards(a, b):
    matrix, distances = _fit(a, b)
    if matrix is None:
        return UNRELATED
    share = len(distances) / min(len(a.points), len(b.points))
    return max(1 - share + distances.mean() / 4, SMALLEST)


def _fit(a, b):
    """(homography from a to b, descriptor distances of the matches that fit it), or (None, None)."""
    if min(len(a.points), len(b.points)) < _FEWEST:
        return None, None
    cv2 = features.opencv()
    binary = a.descriptors.dtype == np.uint8
    kind, norm, unit = (cv2.CV_32S, cv2.NORM_HAMMING, 256) if binary else (cv2.CV_32F, cv2.NORM_L2, 512)
    distances, nearest = cv2.batchDistance(a.descriptors, b.descriptors, kind, normType=norm, K=2)
    kept = distances[:, 0] < _RATIO * distances[:, 1]
    if np.count_nonzero(kept) < _FEWEST:
        return None, None
    # OpenCV starts the random numbers of this method from a constant, so equal features give equal results.
    matrix, fits = cv2.findHomography(a.points[kept], b.points[nearest[kept, 0]], cv2.RANSAC, _TOLERANCE)
    if matrix is None or np.count_nonzero(fits) < _FEWEST:
        return None, None
    return matrix, distances[kept, 0][fits[:, 0] > 0] / unit


def _near(described, neighbours):
    """Which pairs are worth comparing: bool [n, n], symmetric and connected.

    Each image with its nearest; and the spanning tree of the same distances, which joins what is still apart by the
    closest pairs.
    """
    distances = latent_weights(_moments(described))
    chosen = minimum_spanning_tree(distances).toarray() > 0
    np.fill_diagonal(distances, np.inf)
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :neighbours]
    np.put_along_axis(chosen, nearest, True, axis=1)
    return chosen | chosen.T


def _moments(described):
    """What images look like as a whole, wherever things are in them: float [n, d * d].

    Second moments of the descriptors about their mean over the set, pooled as by Carreira et al., "Semantic
    segmentation with second-order pooling", ECCV 2012: with signed roots, so that many small entries win over few large
    ones.
    """
    sides = [_unit_length(each.descriptors) for each in described]
    centre = sum(side.sum(axis=0) for side in sides) / max(sum(map(len, sides)), 1)
    moments = [(side - centre).T @ (side - centre) for side in sides]
    return np.array([np.sign(m) * np.sqrt(np.abs(m)) for m in moments]).reshape(len(described), -1)


def _unit_length(descriptors):
    """float32 [n, d] of unit rows; bits become -1 and 1 first."""
    if descriptors.dtype == np.uint8:
        descriptors = np.unpackbits(descriptors, axis=1).astype(np.float32) * 2 - 1
    return descriptors / np.maximum(np.linalg.norm(descriptors, axis=1, keepdims=True), 1e-6)
