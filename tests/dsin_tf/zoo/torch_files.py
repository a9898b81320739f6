"""Checkpoint files as PyTorch writes them, made without PyTorch."""

import functools
import io
import math
import pickle
import zipfile
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

STORAGES = {
    "float64": "DoubleStorage",
    "float32": "FloatStorage",
    "float16": "HalfStorage",
    "int64": "LongStorage",
    "int32": "IntStorage",
    "int16": "ShortStorage",
    "int8": "CharStorage",
    "uint8": "ByteStorage",
    "bool": "BoolStorage",
    "uint16": "BFloat16Storage",  # the upper halves of float32
}


@dataclass(eq=False)
class Storage:
    """What tensors are cut from: an array `[numel]`, whose dtype is a key of STORAGES."""

    numbers: np.ndarray


@dataclass(eq=False)
class Tensor:
    """A view of a storage."""

    storage: Storage
    offset: int
    size: tuple
    stride: tuple


@dataclass(eq=False)
class Parameter:
    """A tensor, by way of torch.nn.Parameter."""

    data: object


@dataclass(eq=False)
class Size:
    """A torch.Size."""

    numbers: tuple


def tensor(array):
    """A contiguous tensor of a storage of its own."""
    stride = tuple(math.prod(array.shape[axis + 1 :]) for axis in range(array.ndim))
    return Tensor(Storage(array.ravel()), 0, array.shape, stride)


def write(path, obj, legacy=False, protocol=2):
    """A file as `torch.save(obj, path)` leaves it; arrays become tensors. Returns the path.

    Args:
      path: of the file.
      obj: dicts, lists, numbers, ..., numpy arrays and what is defined above.
      legacy: whether to write the format from before PyTorch 1.6.
      protocol: of the pickle.
    """
    return write_pickle(path, *pickled(obj, legacy, protocol), legacy)


def pickled(obj, legacy=False, protocol=2):
    """`(pickle, storages)`: bytes and {key: array}."""
    stream = io.BytesIO()
    pickler = _Pickler(stream, legacy, protocol)
    pickler.dump(obj)
    return stream.getvalue(), {key: storage.numbers for key, storage in pickler.storages.items()}


def write_pickle(path, data, storages=None, legacy=False):
    """A file around a pickle `data` and {key: array}. Returns the path."""
    storages = storages or {}
    if legacy:
        sizes = {"short": 2, "int": 4, "long": 4}
        machine = {"protocol_version": 1001, "little_endian": True, "type_sizes": sizes}
        head = b"".join(pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, machine))
        body = [v.size.to_bytes(8, "little") + v.tobytes() for _, v in sorted(storages.items())]
        path.write_bytes(b"".join([head, data, pickle.dumps(sorted(storages), 2), *body]))
        return path
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/byteorder", "little")
        for key, numbers in storages.items():
            archive.writestr(f"archive/data/{key}", numbers.tobytes())
        archive.writestr("archive/version", "3\n")
    return path


@functools.cache
def _named(module, name):
    """What pickles as the function or class of that name."""
    return type(name, (), {"__module__": module})


class _Pickler(pickle._Pickler):
    """Pickler of torch.save; leaves {key: Storage} in `storages`."""

    def __init__(self, stream, legacy, protocol):
        super().__init__(stream, protocol)
        self.storages = {}
        self._legacy = legacy

    def persistent_id(self, obj):
        if not isinstance(obj, Storage):
            return None
        known = {id(storage): key for key, storage in self.storages.items()}
        # The legacy format names storages by their addresses.
        key = known.get(id(obj), str(94897549547936 - 64 * len(known) if self._legacy else len(known)))
        self.storages[key] = obj
        kind = _named("torch", STORAGES[str(obj.numbers.dtype)])
        return ("storage", kind, key, "cpu", obj.numbers.size, *([None] if self._legacy else []))

    def reducer_override(self, obj):
        if isinstance(obj, np.ndarray):
            obj = tensor(obj)
        if isinstance(obj, Tensor):
            parts = (obj.storage, obj.offset, obj.size, obj.stride, False, OrderedDict())
            return _named("torch._utils", "_rebuild_tensor_v2"), parts
        if isinstance(obj, Parameter):
            return _named("torch._utils", "_rebuild_parameter"), (obj.data, True, OrderedDict())
        if isinstance(obj, Size):
            return _named("torch", "Size"), (obj.numbers,)
        return NotImplemented

    def save_global(self, obj, name=None):
        """As the base class's, but looks up nothing."""
        name = name or obj.__qualname__
        if self.proto >= 4:
            self.save(obj.__module__)
            self.save(name)
            self.write(pickle.STACK_GLOBAL)
        else:
            self.write(pickle.GLOBAL + f"{obj.__module__}\n{name}\n".encode())
        self.memoize(obj)
