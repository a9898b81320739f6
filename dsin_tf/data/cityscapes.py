"""Cityscapes (Cordts et al., CVPR 2016): stereo pairs of the packages leftImg8bit and rightImg8bit.

    leftImg8bit/{train,val,test}/CITY/CITY_SSSSSS_FFFFFF_leftImg8bit.png       2975, 500, 1525 images
    rightImg8bit/{train,val,test}/CITY/CITY_SSSSSS_FFFFFF_rightImg8bit.png

x is left, y is right, as in NDIC. Cities and frames are in sorted order; NDIC takes a folder's own order,
which differs from disk to disk and does not change a mean.
"""

from pathlib import Path

from dsin_tf.data.sources import DataError, FilePairs

_COUNTS = {"train": 2975, "val": 500, "test": 1525}


def open_pairs(split, data_dir, partial, limit):
    """Cityscapes as a source; an image of which only one side is there counts as a missing pair.

    Raises:
      DataError: neither package is below data_dir.
      MissingFilesError: there are fewer pairs than the data set has, and not `partial`.
    """
    frames = set()
    for side in ("leftImg8bit", "rightImg8bit"):
        top = Path(data_dir) / side / split
        ending = f"_{side}.png"
        frames |= {path.relative_to(top).as_posix()[: -len(ending)] for path in top.glob(f"*/*{ending}")}
    if not frames:
        raise DataError(
            f"cityscapes {split}: no images in {Path(data_dir) / 'leftImg8bit' / split}. "
            "Unpack the packages leftImg8bit and rightImg8bit side by side and name their folder as data_dir."
        )
    pairs = [
        (f"leftImg8bit/{split}/{frame}_leftImg8bit.png", f"rightImg8bit/{split}/{frame}_rightImg8bit.png")
        for frame in sorted(frames)
    ]
    return FilePairs("cityscapes", split, data_dir, pairs, partial, limit, expected=_COUNTS[split])
