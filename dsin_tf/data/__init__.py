"""The data sets, by name, and what a model sees of them.

    source = dsin_tf.data.load("kitti_stereo", split="test", data_dir="/data/kitti")
    x, y = source.read(0)                                       # uint8 [H, W, 3] each
    protocol = dsin_tf.data.protocols.get("dsin")
    protocol.evaluate(x)                                        # uint8 [320, 1224, 3]
    dsin_tf.data.pipeline.train(source, protocol, batch_size=1, seed=0)         # a tf.data.Dataset

Every source can be pickled and has `name`, `split`, `kind` ("pairs", "images" or "sets"), `names` (a unique id
for each item), `digest` (over the list, not the pixels), `len()`, `read(i)` and `read_x(i)`.

Only `pipeline` needs TensorFlow; it is imported on first use.
"""

import importlib
import inspect
import os
from typing import NamedTuple, Optional

from dsin_tf.data.sources import DataError, MissingFilesError

_SUBMODULES = ("pipeline", "protocols", "sources", "street")

__all__ = ["DataError", "MissingFilesError", "load", "names", "splits", *_SUBMODULES]


class _Entry(NamedTuple):
    """Where a data set's opening function is. `splits` is None where the user's folder decides."""

    module: str
    function: str
    splits: Optional[tuple]


_FILES = {
    "kitti_stereo": _Entry("kitti", "open_stereo", ("train", "val", "test")),
    "kitti_stereo_clean": _Entry("kitti", "open_stereo_clean", ("train", "val", "test")),
    "kitti_general": _Entry("kitti", "open_general", ("train", "heldout", "val", "test")),
    "kitti_small": _Entry("kitti", "open_small", ("train", "test")),
    "cityscapes": _Entry("cityscapes", "open_pairs", ("train", "val", "test")),
    "list": _Entry("folders", "open_list", None),
    "pairs": _Entry("folders", "open_pairs", None),
    "images": _Entry("folders", "open_images", None),
    "image_sets": _Entry("folders", "open_sets", None),
}
_STREET = {"street": "StreetPairs", "street_general": "StreetGeneral", "street_sets": "StreetSets"}


def names():
    """The names that `load` takes."""
    return (*_FILES, *_STREET)


def splits(name):
    """The parts of a data set, or None where the user's folder or list file decides which there are."""
    if name in _STREET:
        return ("train", "val", "test")
    return _entry(name).splits


def load(name, split="test", data_dir=None, partial=False, limit=None, **options):
    """Opens a data set; looks its files up and reads none of them.

    Args:
      name: one of `names()`.
      split: the part, usually "train", "val" or "test".
      data_dir: folder that holds the data set as its owners distribute it. The rendered street sets need none.
      partial: go on with the items that are there when others are missing; how many are, is logged.
      limit: use only the first so many items of the list.
      **options: what else the data set takes; see the function that opens it. For example `list_file` of
        "list" and "kitti_general", `steps` and `both_directions` of "pairs", `size=(H, W)` of "street".

    Returns:
      A source.

    Raises:
      DataError: unknown name, split or option; no data_dir; an empty folder; a malformed list.
      MissingFilesError: files of the list are missing and `partial` is off.
    """
    if name in _STREET:
        return _load_street(name, split, limit, options)
    entry = _entry(name)
    if entry.splits is not None and split not in entry.splits:
        raise DataError(f"{name} has no split {split!r}; it has: {', '.join(entry.splits)}.")
    if data_dir is None and name != "list":
        raise DataError(f"{name} got no data_dir; name the folder that holds the data set (--data_dir).")
    if data_dir is not None and not os.path.isdir(data_dir):
        found = "is a file" if os.path.exists(data_dir) else "does not exist"
        raise DataError(f"{data_dir}: {found}; the folder of data set {name} was expected. Check data_dir.")
    function = getattr(importlib.import_module(f"{__name__}.{entry.module}"), entry.function)
    _check_options(name, options, list(inspect.signature(function).parameters)[4:])
    return function(split, data_dir, partial, limit, **options)


def _load_street(name, split, limit, options):
    """Street is rendered here: nothing can be missing, and its list has as many items as one asks for."""
    from dsin_tf.data.street import sources as street_sources

    kind = getattr(street_sources, _STREET[name])
    _check_options(name, options, list(inspect.signature(kind).parameters)[1:])
    source = kind(split, **options)
    return source if limit is None or limit >= len(source) else kind(split, **{**options, "count": limit})


def _entry(name):
    if name not in _FILES:
        raise DataError(f"There is no data set {name!r}; the names are: {', '.join(names())}.")
    return _FILES[name]


def _check_options(name, options, known):
    for option in options:
        if option not in known:
            takes = ", ".join(known) or "none"
            raise DataError(f"{name} has no option {option!r}; the options it takes: {takes}.")


def __getattr__(name):
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has: {', '.join(__all__)}")


def __dir__():
    return sorted([*globals(), *_SUBMODULES])
