"""Weights that come with the package.

    dsin_tf.zoo.names()
    model = dsin_tf.load("balle2018-kitti-small-0.0008")        # ready to code
    print(dsin_tf.zoo.card("balle2018-kitti-small-0.0008"))     # trained on what, how long, and what came out

A name is that of the model, of the data, of the preset and what sets the rate: the weight of the distortion or the
target. Each is a folder here that `models.save` wrote, with card.json beside.

Weights that others publish are read from their files:

    model = dsin_tf.zoo.import_dsin(prefix)     # a TensorFlow 1 checkpoint of DSIN's authors
    model = dsin_tf.zoo.import_ndic(path)       # a PyTorch checkpoint of NDIC's
"""

import json
from pathlib import Path

PLACE = Path(__file__).resolve().parent  # a folder for each name


def names():
    """The names that `dsin_tf.load` takes besides directories, sorted."""
    return tuple(sorted(path.parent.name for path in PLACE.glob("*/model.json")))


def folder(name):
    """The folder of shipped weights.

    Raises:
      ValueError: there are none of that name.
    """
    if name not in names():
        raise ValueError(f"There are no shipped weights {name!r}; the names are: {', '.join(names())}.")
    return PLACE / name


def card(name):
    """What is known of shipped weights, as a dict: data and its licence, split, steps, time, results, limits."""
    return json.loads((folder(name) / "card.json").read_text(encoding="utf-8"))


def import_dsin(prefix, **settings):
    """The model with the weights of a checkpoint of DSIN's authors; see `dsin_import.import_dsin`."""
    from dsin_tf.zoo import dsin_import  # needs TensorFlow, the rest here does not

    return dsin_import.import_dsin(prefix, **settings)


def import_ndic(path, **settings):
    """The model with the weights of a checkpoint of NDIC's authors; see `ndic_import.import_ndic`."""
    from dsin_tf.zoo import ndic_import

    return ndic_import.import_ndic(path, **settings)
