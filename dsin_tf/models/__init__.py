"""The published models, by name.

    model = dsin_tf.models.create("balle2018", preset="small", lmbda=0.0014)    # untrained
    out = model(batch, training=False)              # a dict: x_hat, bpp_estimated, latents
    model.prepare_for_coding()                      # once, after training
    blob = model.compress(x)
    x_hat = model.decompress(blob)
    dsin_tf.models.save(model, "runs/mine")
    model = dsin_tf.models.load("runs/mine")        # in another process: the same identity, the same bytes

A preset is a dict of constructor arguments in the model's file: `paper` as published, `small` for two CPU cores,
`tiny` for tests.
"""

import importlib
import inspect

from dsin_tf.models.storage import load_weights, read_settings, round_to_half, save

__all__ = ["create", "load", "names", "presets", "round_to_half", "save"]

# Name -> module, class.
_CLASSES = {
    "balle2017": ("balle2017", "Balle2017"),
    "balle2018": ("balle2018", "Balle2018"),
    "content_weighted": ("content_weighted", "ContentWeighted"),
    "cpm": ("cpm", "CPM"),
    "dsc_msf": ("dsc_msf", "DSCMSF"),
    "dsin": ("dsin", "DSIN"),
    "lee2019": ("lee2019", "Lee2019"),
    "multichannel": ("multichannel", "MultiChannel"),
    "ndic_balle2017": ("ndic", "NDICBalle2017"),
    "ndic_balle2018": ("ndic", "NDICBalle2018"),
    "ndic_cam": ("ndic_cam", "NDICCam"),
}


def names():
    """The names that `create` takes."""
    return tuple(_CLASSES)


def presets(name):
    """The presets of a model: `{preset: constructor arguments}`.

    Raises:
      ValueError: there is no such model.
    """
    return {preset: dict(settings) for preset, settings in _module(name).PRESETS.items()}


def create(name, preset="paper", **overrides):
    """Makes an untrained model; the same arguments give the same initial weights.

    Args:
      name: one of `names()`.
      preset: one of `presets(name)`.
      **overrides: constructor arguments that replace the preset's (`lmbda`, `distortion`, `seed`, `filters`, ...).

    Returns:
      A `codec.Codec`, which is a `tf.keras.Model`.

    Raises:
      ValueError: unknown name, preset or override, or a value that the model refuses.
    """
    known = presets(name)
    if preset not in known:
        raise ValueError(f"{name} has no preset {preset!r}; it has: {', '.join(known)}.")
    model_class = getattr(_module(name), _CLASSES[name][1])
    takes = list(inspect.signature(model_class).parameters)
    for override in overrides:
        if override not in takes:
            raise ValueError(f"{name} has no setting {override!r}; its settings: {', '.join(takes)}.")
    model = model_class(**{**known[preset], **overrides})
    model.preset = preset
    return model


def load(directory):
    """Reads a model that `save` wrote: weights, and what coding needs if it was prepared.

    Raises:
      storage.ModelFilesError: the directory holds no model, or its files are damaged or do not fit together.
    """
    name, preset, settings, is_stripped = read_settings(directory)
    model = create(name, preset, **settings)
    if is_stripped:
        model.strip()
    load_weights(model, directory)
    return model


def _module(name):
    if name not in _CLASSES:
        raise ValueError(f"There is no model {name!r}; the names are: {', '.join(names())}.")
    return importlib.import_module(f"{__name__}.{_CLASSES[name][0]}")
