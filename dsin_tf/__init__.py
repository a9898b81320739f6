"""Image compression with decoder-only side information, in TensorFlow 2 / Keras.

A sender compresses an image x alone; the receiver owns a correlated image y and uses it to rebuild x
better than the bytes alone allow.

Submodules load on first use, so that `import dsin_tf` is quick and a process that only reads images
never pays for TensorFlow.
"""

import importlib
import os

__version__ = "0.1.0"

# TensorFlow's C++ side reads this once, when it is first imported. At the default level it reports
# CUDA libraries it did not find and the instructions it was built with, on every start. Whoever
# wants to see that sets the variable: a value that is already there is left alone.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

_SUBMODULES = (
    "bitstream",
    "color",
    "data",
    "entropy",
    "files",
    "images",
    "layers",
    "models",
    "ms_ssim",
    "sets",
    "training",
    "zoo",
)

__all__ = [*_SUBMODULES, "load"]


def load(name):
    """A trained model, ready to code if it was prepared for that.

    Args:
      name: a directory that `models.save` or a driver wrote, or the name of shipped weights (`zoo.names()`).
    """
    from dsin_tf import models, zoo

    return models.load(zoo.folder(name) if name in zoo.names() else name)


def __getattr__(name):
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has: {', '.join(_SUBMODULES)}")


def __dir__():
    return sorted([*globals(), *_SUBMODULES])
