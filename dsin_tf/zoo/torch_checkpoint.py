"""Reads the checkpoints that PyTorch writes, without PyTorch.

    weights = torch_checkpoint.read("model.pt")["model_state_dict"]
    weights["conv1.weight"]  # a numpy array

`torch.save` writes a pickle: a program for a stack machine, which may import and call whatever it names. Here it runs
on a machine that knows the instructions for numbers, strings, containers and tensors, a handful of names, and nothing
else. The numbers of the tensors lie beside it, in storages:

    since PyTorch 1.6, a zip archive               before
      NAME/data.pkl   the pickle                     five pickles: magic number, version of the format, sizes of
      NAME/byteorder  "little" or "big"              C's integers, the object, the keys of the storages
      NAME/data/KEY   a storage                      each storage: how many numbers (8 bytes), the numbers
"""

import io
import math
import os
import pickle
import zipfile
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

_ZIP_START = b"PK\x03\x04"
_MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001

# A tensor takes about 150 bytes of the pickle; a hostile pickle takes up to 75 times its size in memory.
_MAX_PICKLE = 4 * 2**20
# What all arrays may take: tensors can share a storage and repeat its numbers, which a copy cannot.
_MAX_GROWTH, _MIN_ROOM = 4, 64 * 2**20
_MAX_RANK = 32  # numpy's

# What torch.save writes in Python 3, with any of pickle's protocols 2 ... 5.
_INSTRUCTIONS = """
    PROTO FRAME STOP MARK NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINFLOAT BINUNICODE SHORT_BINUNICODE
    EMPTY_DICT EMPTY_LIST EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 APPEND APPENDS SETITEM SETITEMS
    BINPUT LONG_BINPUT MEMOIZE BINGET LONG_BINGET GLOBAL STACK_GLOBAL BINPERSID REDUCE BUILD
"""
_CODES = [getattr(pickle, name)[0] for name in _INSTRUCTIONS.split()]


class TorchCheckpointError(ValueError):
    """A file is no checkpoint of tensors and plain values, or is damaged; says what is wrong with it."""


def read(path):
    """What `torch.save` wrote: a state dict, or a dict that holds some.

    Args:
      path: of the file.

    Returns:
      A dict of dict, OrderedDict, list, tuple, int, float, str, bool, None and, for tensors and parameters, numpy
      arrays of their own: contiguous and writable. bfloat16, which numpy lacks, becomes float32.

    Raises:
      TorchCheckpointError: the file cannot be opened, is none of PyTorch's, is damaged, or holds anything else.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(32)
            file.seek(0)
            if start.startswith(_ZIP_START):
                content = _read_zip(file)
            elif _MAGIC.to_bytes(10, "little") in start:
                content = _read_legacy(file)
            else:
                raise TorchCheckpointError("does not begin as what torch.save writes. Name a PyTorch checkpoint.")
        _check_plain(content)
    except TorchCheckpointError as error:
        raise TorchCheckpointError(f"{path}: {error}") from None
    except OSError as error:
        raise TorchCheckpointError(
            f"{path}: cannot be read ({error.strerror or error}). Name a file that torch.save wrote."
        ) from error
    except Exception as error:  # of pickle, zipfile and numpy: there is no saying what a damaged file makes them raise
        raise TorchCheckpointError(
            f"{path}: is damaged or was cut off ({type(error).__name__}: {error}). Get a whole copy."
        ) from error
    return content


def _read_zip(file):
    """The object in a zip archive."""
    with zipfile.ZipFile(file) as archive:
        members = {member.filename: member for member in archive.infolist()}
        for name, member in members.items():
            if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
                raise _malformed(f"its member {name!r} is compressed")
        claimed, size = sum(member.file_size for member in archive.infolist()), _size(file)
        if claimed > size:
            raise _malformed(f"its members claim {claimed} bytes, the file has {size}")
        roots = [name[: -len("data.pkl")] for name in members if name.endswith("/data.pkl") and name.count("/") == 1]
        if len(roots) != 1:
            raise _malformed(f"it has {len(roots)} members NAME/data.pkl where one was expected")
        (root,) = roots
        if members[f"{root}data.pkl"].file_size > _MAX_PICKLE:
            raise _malformed(f"its pickle has {members[f'{root}data.pkl'].file_size} bytes, over {_MAX_PICKLE}")
        byteorder = archive.read(f"{root}byteorder") if f"{root}byteorder" in members else b"little"
        if byteorder not in (b"little", b"big"):
            raise _malformed(f"its byte order is {byteorder[:20]!r}")
        unpickler = _Unpickler(io.BytesIO(archive.read(f"{root}data.pkl")), _room(size))
        content = unpickler.load()
        for key, storage in unpickler.storages.items():
            name = f"{root}data/{key}"
            found = members[name].file_size if name in members else "no"
            if found != storage.nbytes:
                raise _malformed(f"storage {key!r:.100} has {found} bytes, {storage.nbytes} were expected")
            storage.fill(archive.read(name), "<" if byteorder == b"little" else ">")
    return content


def _read_legacy(file):
    """The object in a file from before zip archives."""
    stream = io.BytesIO(file.read(_MAX_PICKLE))
    magic, version, _ = (_Unpickler(stream).load() for _ in range(3))
    if (magic, version) != (_MAGIC, _VERSION):
        raise _malformed(f"its version is {version!r}, {_VERSION} was expected")
    unpickler = _Unpickler(stream, _room(_size(file)))
    content = unpickler.load()
    keys = _Unpickler(stream).load()
    if keys != sorted(unpickler.storages):
        raise _malformed("its list of storages does not name those that its tensors use")
    file.seek(stream.tell())
    for key in keys:
        storage = unpickler.storages[key]
        numel = int.from_bytes(file.read(8), "little")
        rest = _size(file) - file.tell()
        if numel != storage.numel or rest < storage.nbytes:
            raise _malformed(
                f"storage {key!r:.100} has {numel} numbers in the {rest} bytes left, {storage.numel} in "
                f"{storage.nbytes} were expected"
            )
        storage.fill(file.read(storage.nbytes), "<")
    return content


@dataclass(frozen=True)
class _Function:
    """Stands for a function or class that the pickle names; `build` does what remains of it here."""

    build: object


@dataclass(frozen=True)
class _StorageType:
    """Stands for a class of storages: numpy's codes for their numbers in the file and in the arrays."""

    stored: str
    returned: str


class _Storage:
    """Numbers in the file, and the arrays that want some of them."""

    def __init__(self, numbers, numel):
        self.type, self.numel = numbers, numel
        self.nbytes = numel * np.dtype(numbers.stored).itemsize
        self._views = []

    def view(self, offset, size, stride):
        """An array `size`, which `fill` fills with what lies at `offset`, `stride` apart."""
        array = np.empty(size, self.type.returned)
        self._views.append((array, offset, stride))
        return array

    def fill(self, data, byteorder):
        numbers = np.frombuffer(data, byteorder + self.type.stored, self.numel)
        if self.type == _BFLOAT16:  # the upper half of a float32
            numbers = (numbers.astype(np.uint32) << 16).view(np.float32)
        for array, offset, stride in self._views:
            steps = [step * numbers.itemsize for step in stride]
            array[...] = np.lib.stride_tricks.as_strided(numbers[offset:], array.shape, steps)


_BFLOAT16 = _StorageType("u2", "f4")
_STORAGE_TYPES = {
    ("torch", "DoubleStorage"): _StorageType("f8", "f8"),
    ("torch", "FloatStorage"): _StorageType("f4", "f4"),
    ("torch", "HalfStorage"): _StorageType("f2", "f2"),
    ("torch", "BFloat16Storage"): _BFLOAT16,
    ("torch", "LongStorage"): _StorageType("i8", "i8"),
    ("torch", "IntStorage"): _StorageType("i4", "i4"),
    ("torch", "ShortStorage"): _StorageType("i2", "i2"),
    ("torch", "CharStorage"): _StorageType("i1", "i1"),
    ("torch", "ByteStorage"): _StorageType("u1", "u1"),
    ("torch", "BoolStorage"): _StorageType("u1", "?"),
}


class _Instructions(dict):
    """What to do for each instruction of a pickle, by its code."""

    def __missing__(self, code):
        raise _malformed(f"its pickle has the instruction {code:#04x}")


# Pickle's own reader in Python rather than the one in C, because only its instructions can be taken away.
class _Unpickler(pickle._Unpickler):
    """Runs a pickle that makes plain values and tensors. `storages`, by their keys, are then to be filled.

    Args:
      stream: the pickle.
      room: bytes that all arrays may take.
    """

    def __init__(self, stream, room=0):
        super().__init__(stream)
        self.storages = {}
        self._room = room
        self._globals = {
            ("collections", "OrderedDict"): _Function(lambda: OrderedDict()),
            ("torch", "Size"): _Function(lambda numbers: numbers),
            ("torch._utils", "_rebuild_tensor_v2"): _Function(self._rebuild_tensor),
            ("torch._utils", "_rebuild_parameter"): _Function(lambda data, requires_grad, hooks: data),
            **_STORAGE_TYPES,
        }

    def find_class(self, module, name):
        if (module, name) not in self._globals:
            asked = ascii(f"{module}.{name}"[:100])[1:-1]
            raise TorchCheckpointError(
                f"asks for {asked}, which is no tensor. It could run any program; do not open it with anything else."
            )
        return self._globals[module, name]

    def persistent_load(self, pid):
        kind, numbers, key, _, numel, view = pid if len(pid) == 6 else (*pid, None)
        if kind != "storage" or view is not None or not isinstance(numbers, _StorageType):
            raise _malformed("it refers to something outside of its pickle that is no storage")
        if type(key) is not str or not _is_count(numel):
            raise _malformed(f"it has a storage {key!r:.100} of {numel!r} numbers")
        storage = self.storages.setdefault(key, _Storage(numbers, numel))
        if (storage.type, storage.numel) != (numbers, numel):
            raise _malformed(f"it describes storage {key!r:.100} in two ways")
        return storage

    def _rebuild_tensor(self, storage, offset, size, stride, requires_grad, hooks, metadata=None):
        if not len(size) == len(stride) <= _MAX_RANK or not all(map(_is_count, (offset, *size, *stride))):
            raise _malformed(f"it has {_text(offset, size, stride)}")
        numel = math.prod(size)
        end = offset + sum((length - 1) * step for length, step in zip(size, stride)) + 1 if numel else 0
        if end > storage.numel:
            raise _malformed(f"{_text(offset, size, stride)} needs {end} numbers, its storage has {storage.numel}")
        self._room -= numel * np.dtype(storage.type.returned).itemsize
        if self._room < 0:
            raise _malformed(
                f"with {_text(offset, size, stride)} its tensors take over {_MAX_GROWTH} times as much as the file"
            )
        return storage.view(offset, size, stride)

    def load_reduce(self):
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, _Function):
            raise _malformed(f"it calls a {type(function).__name__}")
        self.append(function.build(*arguments))

    def load_build(self):
        """Drops the attributes of an object: those of state dicts are the versions of their modules."""
        self.stack.pop()
        if type(self.stack[-1]) is not OrderedDict:
            raise _malformed(f"it sets attributes of a {type(self.stack[-1]).__name__}")

    def load_setitem(self):
        value, key = self.stack.pop(), self.stack.pop()
        _put(self.stack[-1], [(key, value)])

    def load_setitems(self):
        items = self.pop_mark()
        _put(self.stack[-1], zip(items[::2], items[1::2]))

    dispatch = _Instructions({code: pickle._Unpickler.dispatch[code] for code in _CODES})
    dispatch[pickle.REDUCE[0]] = load_reduce
    dispatch[pickle.BUILD[0]] = load_build
    dispatch[pickle.SETITEM[0]] = load_setitem
    dispatch[pickle.SETITEMS[0]] = load_setitems


def _put(target, items):
    """Sets items of a dict. Other keys than these can be chosen so that looking them up takes hours, or the stack."""
    if not isinstance(target, dict):
        raise _malformed(f"it sets an item of a {type(target).__name__}")
    for key, value in items:
        if not (type(key) is str or type(key) is int and abs(key) < 2**63):
            raise _malformed(f"it has a dict with a key of type {type(key).__name__}")
        target[key] = value


def _check_plain(content):
    """Raises TorchCheckpointError if something is left that `read` does not return."""
    if not isinstance(content, dict):
        raise TorchCheckpointError(f"holds a {type(content).__name__}, a dict was expected. Save a state dict.")
    waiting, seen = [content], set()  # containers may hold one another
    while waiting:
        value = waiting.pop()
        if isinstance(value, (dict, list, tuple)):
            if id(value) not in seen:
                seen.add(id(value))
                waiting.extend(value.values() if isinstance(value, dict) else value)
        elif not isinstance(value, (np.ndarray, int, float, str, type(None))):
            raise _malformed(f"it holds a bare {type(value).__name__.lstrip('_')}")


def _text(offset, size, stride):
    return f"a tensor of size {size!r:.200}, strides {stride!r:.200} and offset {offset!r:.200}"


def _is_count(value):
    return type(value) is int and value >= 0


def _size(file):
    return os.fstat(file.fileno()).st_size


def _room(size):
    return max(_MAX_GROWTH * size, _MIN_ROOM)


def _malformed(what):
    return TorchCheckpointError(
        f"{what}; torch.save in Python 3 writes no such thing. Get a clean copy, or save it again."
    )
