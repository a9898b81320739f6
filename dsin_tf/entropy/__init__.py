"""Probability models and range coding: everything between latents and bytes.

`factorized` and `hyperprior` hold the distributions for training and make integer tables of them afterwards;
`context2d` and `context3d` tell each symbol's from the symbols before it; `bit_planes` codes bits of which a map says
whether they are sent; `exact` runs networks in integers, for what
encoder and decoder must agree on; `coder` turns symbols into bytes and back.
"""

import importlib

_SUBMODULES = ("bit_planes", "coder", "context2d", "context3d", "exact", "factorized", "hyperprior")

__all__ = list(_SUBMODULES)


def __getattr__(name):
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has: {', '.join(_SUBMODULES)}")


def __dir__():
    return sorted([*globals(), *_SUBMODULES])
