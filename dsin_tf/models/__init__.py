"""The published models, by name.

    model = dsin_tf.models.create("balle2018", preset="small", lmbda=0.0014)    # untrained
    out = model(batch, training=False)              # a dict: x_hat, bpp_estimated, latents
    model.prepare_for_coding()                      # once, after training
    blob = model.compress(x)
    x_hat = model.decompress(blob)
    dsin_tf.models.save(model, "runs/mine")
    model = dsin_tf.models.load("runs/mine")        # in another process: the same identity, the same bytes

A preset is a dict of constructor arguments in the model's file: `paper` as published, `small` for two CPU cores,
`tiny` for tests. A model from outside the package joins in with `register`.
"""

import importlib
import inspect

from dsin_tf.models.storage import check_files, check_identity, load_weights, read_settings, round_to_half, save

__all__ = ["create", "load", "names", "presets", "register", "round_to_half", "save"]

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

_REGISTERED = {}  # Name -> class, presets; of models from outside.


def register(model_class, presets):
    """Makes `create` and `load` know a model from outside, by its `model_name` or its class's name in small letters.

    It lasts as long as the process. Registering a model again, as a notebook does, replaces it.

    Args:
      model_class: a subclass of `codec.Codec`; its constructor takes what its `settings` are.
      presets: `{preset: constructor arguments}`.

    Raises:
      ValueError: the name is that of a model of the package.
    """
    name = model_class.model_name or model_class.__name__.lower()
    if name in _CLASSES:
        raise ValueError(f"{name!r} is a model of the package. Give {model_class.__name__} a model_name of its own.")
    _REGISTERED[name] = model_class, presets


def names():
    """The names that `create` takes."""
    return (*_CLASSES, *_REGISTERED)


def presets(name):
    """The presets of a model: `{preset: constructor arguments}`.

    Raises:
      ValueError: there is no such model.
    """
    return {preset: dict(settings) for preset, settings in _find(name)[1].items()}


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
    model_class, _ = _find(name)
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
    check_files(directory)
    model = create(name, preset, **settings)
    if is_stripped:
        model.strip()
    load_weights(model, directory)
    check_identity(model, directory)
    return model


def _find(name):
    """A model's class and presets."""
    if name in _REGISTERED:
        return _REGISTERED[name]
    if name not in _CLASSES:
        raise ValueError(f"There is no model {name!r}; the names are: {', '.join(names())}, and those you register.")
    module = importlib.import_module(f"{__name__}.{_CLASSES[name][0]}")
    return getattr(module, _CLASSES[name][1]), module.PRESETS
