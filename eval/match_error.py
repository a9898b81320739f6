"""How far the windows that SI-Finder chooses lie from the true ones, where the true disparity is known."""

import numpy as np

from dsin_tf import patches

NEAR = 2.0  # pixels within which a match counts as found


def match_errors(match, disparity, occlusion, patch_size):
    """The distance, in pixels, of each patch's window from its true place.

    The true place of a patch is its own, moved left by the median disparity of those of its pixels that y shows. A
    patch of which y shows less than half is left out: there is nothing right to be found.

    Args:
      match: a `layers.si_finder.Match` of one pair.
      disparity: float `[H, W]`, y shows at column c - disparity what x shows at c.
      occlusion: bool `[H, W]`, where y does not show what x shows.
      patch_size: (height, width), as of the finder.

    Returns:
      float64 `[patches that count]`, patches in raster order.
    """
    height, width = disparity.shape
    visible = patches.to_patches(~occlusion[None, ..., None], *patch_size)[0].reshape(-1, np.prod(patch_size))
    moved = patches.to_patches(disparity[None, ..., None].astype(np.float64), *patch_size)[0].reshape(visible.shape)
    counted = visible.mean(axis=1) >= 0.5
    true_shift = np.array([np.median(row[seen]) for row, seen in zip(moved[counted], visible[counted])])
    own = (
        np.arange(0, side + -side % patch, patch) - patches.padding(side, patch)[0]
        for side, patch in zip((height, width), patch_size)
    )
    own_row, own_column = (grid.ravel()[counted] for grid in np.meshgrid(*own, indexing="ij"))
    found_row, found_column = np.asarray(match.rows)[0][counted], np.asarray(match.columns)[0][counted]
    return np.hypot(found_row - own_row, found_column - own_column + true_shift)
