"""The data sets, by name, and what a model sees of them.

    source = dsin_tf.data.load("kitti_stereo", split="test", data_dir="/data/kitti")
    x, y = source.read(0)                                       # uint8 [H, W, 3] each
    protocol = dsin_tf.data.protocols.get("dsin")
    protocol.evaluate(x)                                        # uint8 [320, 1224, 3]
    dsin_tf.data.pipeline.train(source, protocol, batch_size=1, seed=0)         # a tf.data.Dataset

Every source can be pickled and has `name`, `split`, `kind` ("pairs", "images", "sets" or "chains"), `names` (a unique
id for each item), `digest` (over the list, not the pixels), `len()`, `read(i)` and `read_x(i)`. Sets also have
`count(i)` and `read_image(i, k)`, which reads image k of set i alone. Models of sets train on what is made of them:

    sets = dsin_tf.data.load("kitti_scenes", "train", "/data/kitti", set_size=8)
    dsin_tf.data.chains.Chains(sets).read(0)        # (x, its reference, the reference's reference)
    dsin_tf.data.chains.Flat(sets).read(0)          # every image of every set singly

Names with "+" between are one data set together: "kitti_scenes+street_sets" has the sets of both.

Only `pipeline` needs TensorFlow; it is imported on first use.
"""

import importlib
import inspect
import os
from typing import NamedTuple, Optional

from dsin_tf.data.sources import DataError, Joined, MissingFilesError

_SUBMODULES = ("chains", "pipeline", "protocols", "sources", "street")

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
    "kitti_scenes": _Entry("kitti_scenes", "open_scenes", ("train", "val", "test")),
    "kitti_small": _Entry("kitti", "open_small", ("train", "test")),
    "cityscapes": _Entry("cityscapes", "open_pairs", ("train", "val", "test")),
    "list": _Entry("folders", "open_list", None),
    "pairs": _Entry("folders", "open_pairs", None),
    "images": _Entry("folders", "open_images", None),
    "image_sets": _Entry("folders", "open_sets", None),
}
_STREET = {"street": "StreetPairs", "street_general": "StreetGeneral", "street_sets": "StreetSets"}


def names():
    """The names that `load` takes, alone or joined by "+"."""
    return (*_FILES, *_STREET)


def splits(name):
    """The parts of a data set, or None where the user's folder or list file decides which there are."""
    declared = [("train", "val", "test") if part in _STREET else _entry(part).splits for part in name.split("+")]
    declared = [parts for parts in declared if parts is not None]
    # Joined data sets have the parts that all of them have.
    return tuple(part for part in declared[0] if all(part in parts for parts in declared)) if declared else None


def load(name, split="test", data_dir=None, partial=False, limit=None, **options):
    """Opens a data set; looks its files up and reads none of them.

    Args:
      name: one of `names()`, or several with "+" between, such as "kitti_scenes+street_sets": the items of the
        first, then those of the next.
      split: the part, usually "train", "val" or "test".
      data_dir: folder that holds the data set as its owners distribute it. The rendered street sets need none.
      partial: go on with the items that are there when others are missing; how many are, is logged.
      limit: use only the first so many items of the list; of joined data sets, of each.
      **options: what else the data set takes; see the function that opens it. For example `list_file` of
        "list" and "kitti_general", `steps` and `both_directions` of "pairs", `size=(H, W)` of "street". Of joined
        data sets, each gets those it takes.

    Returns:
      A source.

    Raises:
      DataError: unknown name, split or option; no data_dir; an empty folder; a malformed list; joined data sets
        of different kinds.
      MissingFilesError: files of the list are missing and `partial` is off.
    """
    takes = {part: _options(part) for part in name.split("+")}
    known = list(dict.fromkeys(option for part in takes.values() for option in part))
    for option in options:
        if option not in known:
            raise DataError(f"{name} has no option {option!r}; the options it takes: {', '.join(known) or 'none'}.")
    sources = []
    for part in name.split("+"):
        own = {option: value for option, value in options.items() if option in takes[part]}
        sources.append(
            _load_street(part, split, limit, own)
            if part in _STREET
            else _load_files(part, split, data_dir, partial, limit, own)
        )
    return Joined(sources) if len(sources) > 1 else sources[0]


def _load_files(name, split, data_dir, partial, limit, options):
    entry = _entry(name)
    if entry.splits is not None and split not in entry.splits:
        raise DataError(f"{name} has no split {split!r}; it has: {', '.join(entry.splits)}.")
    if data_dir is None and name != "list":
        raise DataError(f"{name} got no data_dir; name the folder that holds the data set (--data_dir).")
    if data_dir is not None and not os.path.isdir(data_dir):
        found = "is a file" if os.path.exists(data_dir) else "does not exist"
        raise DataError(f"{data_dir}: {found}; the folder of data set {name} was expected. Check data_dir.")
    return _function(name)(split, data_dir, partial, limit, **options)


def _load_street(name, split, limit, options):
    """Street is rendered here: nothing can be missing, and its list has as many items as one asks for."""
    kind = _function(name)
    source = kind(split, **options)
    return source if limit is None or limit >= len(source) else kind(split, **{**options, "count": limit})


def _function(name):
    """What opens a data set: a function of (split, data_dir, partial, limit, ...), for street of (split, ...)."""
    if name in _STREET:
        return getattr(importlib.import_module(f"{__name__}.street.sources"), _STREET[name])
    entry = _entry(name)
    return getattr(importlib.import_module(f"{__name__}.{entry.module}"), entry.function)


def _options(name):
    """The options that a data set takes."""
    return list(inspect.signature(_function(name)).parameters)[1 if name in _STREET else 4 :]


def _entry(name):
    if name not in _FILES:
        raise DataError(f"There is no data set {name!r}; the names are: {', '.join(names())}.")
    return _FILES[name]


def __getattr__(name):
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has: {', '.join(__all__)}")


def __dir__():
    return sorted([*globals(), *_SUBMODULES])
