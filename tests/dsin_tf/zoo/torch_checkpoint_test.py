"""Checkpoints of PyTorch: what is in them comes back, and nothing in them runs."""

import contextlib
import copyreg
import itertools
import pickle
import pickletools
import re
import struct
import time
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsin_tf.zoo import torch_checkpoint
from dsin_tf.zoo.torch_checkpoint import TorchCheckpointError
from tests.dsin_tf.zoo import torch_files
from tests.dsin_tf.zoo.torch_files import Parameter, Size, Storage, Tensor

legacy_or_zip = pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])


def checkpoint():
    """A small one, with what a driver saves of a model and of Adam."""
    rng = np.random.default_rng(0)
    weights = OrderedDict()
    weights["conv1.weight"] = rng.normal(size=(3, 2, 5, 4)).astype(np.float32)
    weights["conv1.bias"] = rng.normal(size=3).astype(np.float32)
    weights["entropy_bottleneck.steps"] = np.array(7)
    moments = {"step": 12, "exp_avg": rng.normal(size=3), "lr": 1e-4, "amsgrad": True, "note": "größer", "none": None}
    optimizer = {"state": {0: moments}, "param_groups": [{"betas": (0.9, 0.999), "params": [0, 1]}]}
    return {"model_state_dict": weights, "optimizer_state_dict": optimizer, "epoch": 2**40, "loss": -0.5}


def assert_same(found, expected):
    assert type(found) is type(expected)
    if isinstance(expected, np.ndarray):
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        np.testing.assert_array_equal(found, expected)
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        for key, value in expected.items():
            assert_same(found[key], value)
    elif isinstance(expected, (list, tuple)):
        assert len(found) == len(expected)
        for pair in zip(found, expected):
            assert_same(*pair)
    else:
        assert found == expected


def text(string):
    """Instructions that put a string on the stack."""
    return b"X" + struct.pack("<I", len(string)) + string.encode()


def named(module, name):
    """Instructions that put a global on the stack."""
    return f"c{module}\n{name}\n".encode()


def in_dict(instructions):
    """A whole pickle of {"x": what the instructions leave}."""
    return b"\x80\x02}" + text("x") + instructions + b"s."


def refused(path, match):
    """The message, which names the file."""
    with pytest.raises(TorchCheckpointError, match=match) as caught:
        torch_checkpoint.read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert str(caught.value).endswith(".")
    return str(caught.value)


# ---------------------------------------------------------------------------------------------------------------------
# What is in them.


def test_the_files_of_these_tests_hold_the_instructions_that_pytorch_writes():
    """Compared with a listing of a file that PyTorch 1.x wrote."""
    weights = OrderedDict({"conv1.weight": np.zeros((10, 3, 3, 3), np.float32), "conv1.bias": np.zeros(10, np.float32)})
    weights._metadata = OrderedDict({"": {"version": 1}})
    data, _ = torch_files.pickled(weights, legacy=True)
    listed = [f"{op.name} {'' if arg is None else arg}".strip() for op, arg, _ in pickletools.genops(data)]
    assert listed[:47] == [
        *("PROTO 2", "GLOBAL collections OrderedDict", "BINPUT 0", "EMPTY_TUPLE", "REDUCE", "BINPUT 1", "MARK"),
        *("BINUNICODE conv1.weight", "BINPUT 2", "GLOBAL torch._utils _rebuild_tensor_v2", "BINPUT 3", "MARK", "MARK"),
        *("BINUNICODE storage", "BINPUT 4", "GLOBAL torch FloatStorage", "BINPUT 5"),
        *("BINUNICODE 94897549547936", "BINPUT 6", "BINUNICODE cpu", "BINPUT 7", "BININT2 270", "NONE", "TUPLE"),
        *("BINPUT 8", "BINPERSID", "BININT1 0"),
        *("MARK", "BININT1 10", "BININT1 3", "BININT1 3", "BININT1 3", "TUPLE", "BINPUT 9"),
        *("MARK", "BININT1 27", "BININT1 9", "BININT1 3", "BININT1 1", "TUPLE", "BINPUT 10"),
        *("NEWFALSE", "BINGET 0", "EMPTY_TUPLE", "REDUCE", "BINPUT 11", "TUPLE"),
    ]
    assert listed[-4:] == ["SETITEM", "SETITEM", "BUILD", "STOP"]


@legacy_or_zip
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_checkpoint_comes_back(tmp_path, legacy, protocol):
    path = torch_files.write(tmp_path / "a.pt", checkpoint(), legacy, protocol)
    assert_same(torch_checkpoint.read(path), checkpoint())
    assert_same(torch_checkpoint.read(str(path)), checkpoint())


@legacy_or_zip
def test_parameters_sizes_and_the_versions_of_modules(tmp_path, legacy):
    weights = OrderedDict({"w": Parameter(np.arange(6.0).reshape(2, 3)), "size": Size((2, 3))})
    weights._metadata = OrderedDict({"": {"version": 1}})
    found = torch_checkpoint.read(torch_files.write(tmp_path / "a.pt", weights, legacy))
    assert_same(found, OrderedDict({"w": np.arange(6.0).reshape(2, 3), "size": (2, 3)}))
    assert vars(found) == {}


@st.composite
def views(draw):
    """A tensor, and what it holds, number by number."""
    size = tuple(draw(st.lists(st.integers(0, 4), max_size=4)))
    stride = tuple(draw(st.integers(0, 9)) for _ in size)
    offset = draw(st.integers(0, 5))
    end = offset + sum((n - 1) * step for n, step in zip(size, stride)) + 1 if 0 not in size else offset
    dtype = np.dtype(draw(st.sampled_from(sorted(set(torch_files.STORAGES) - {"uint16"}))))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    numbers = rng.integers(0, 256, (end + draw(st.integers(0, 3))) * dtype.itemsize, dtype=np.uint8)
    numbers = (numbers % 2).astype(bool) if dtype.kind == "b" else numbers.view(dtype)
    expected = np.zeros(size, dtype)
    for index in np.ndindex(*size):
        expected[index] = numbers[offset + sum(i * step for i, step in zip(index, stride))]
    return Tensor(Storage(numbers), offset, size, stride), expected


@settings(max_examples=200, deadline=None)
@given(st.lists(views(), min_size=1, max_size=3), st.booleans(), st.sampled_from([2, 4]))
def test_any_view_of_any_numbers(tmp_path_factory, drawn, legacy, protocol):
    path = tmp_path_factory.getbasetemp() / "any.pt"
    torch_files.write(path, {"all": [view for view, _ in drawn]}, legacy, protocol)
    for found, (_, expected) in zip(torch_checkpoint.read(path)["all"], drawn):
        assert_same(found, expected)
        assert found.flags.c_contiguous
        assert found.flags.owndata
        assert found.flags.writeable


@legacy_or_zip
def test_bfloat16_becomes_float32(tmp_path, legacy):
    halves = np.array([0x3F80, 0xC020, 0x4049, 0x7F80, 0x0001], np.uint16)
    found = torch_checkpoint.read(torch_files.write(tmp_path / "a.pt", {"x": halves}, legacy))
    assert_same(found["x"], np.array([1, -2.5, 3.140625, np.inf, 2.0**-133], np.float32))


def test_files_of_a_big_endian_machine(tmp_path):
    numbers = np.array([1.5, -2, 1e30], np.float32)
    data, _ = torch_files.pickled({"x": numbers})
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        archive.writestr("net/data.pkl", data)
        archive.writestr("net/byteorder", "big")
        archive.writestr("net/data/0", numbers.astype(">f4").tobytes())
    assert_same(torch_checkpoint.read(tmp_path / "a.pt"), {"x": numbers})


@legacy_or_zip
def test_tensors_of_one_storage_are_copies(tmp_path, legacy):
    storage = Storage(np.arange(6, dtype=np.int64))
    obj = {"all": Tensor(storage, 0, (6,), (1,)), "columns": Tensor(storage, 0, (3, 2), (1, 3))}
    found = torch_checkpoint.read(torch_files.write(tmp_path / "a.pt", obj, legacy))
    found["all"][:] = -1
    np.testing.assert_array_equal(found["columns"], [[0, 3], [1, 4], [2, 5]])


# ---------------------------------------------------------------------------------------------------------------------
# Nothing runs.


@legacy_or_zip
@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("posix", "system"),
        ("os", "system"),
        ("builtins", "eval"),
        ("__builtin__", "eval"),
        ("torch.storage", "_load_from_bytes"),
        ("torch", "load"),
        ("torch", "FloatStorage.__init__"),
        ("torch", "_utils._rebuild_tensor_v2"),
        ("torch._utils", "_rebuild_tensor_v2.__globals__"),
        ("torch._utils._rebuild_tensor_v2", "__call__"),
        ("collections", "OrderedDict.fromkeys"),
        ("collections", "_sys.modules"),
        ("dsin_tf.zoo.torch_checkpoint", "os.system"),
        ("", "eval"),
    ],
)
@pytest.mark.parametrize("stacked", [False, True])
def test_other_names_are_refused(tmp_path, legacy, module, name, stacked):
    marker = tmp_path / "marker"
    function = text(module) + text(name) + b"\x93" if stacked else named(module, name)
    data = in_dict(function + text(f"touch {marker}") + b"\x85R")
    path = torch_files.write_pickle(tmp_path / "a.pt", data, legacy=legacy)
    refused(path, f"asks for {re.escape(module)}.{re.escape(name)}, which is no tensor. It could run any program")
    assert not marker.exists()


def test_a_name_cannot_dress_up_the_message(tmp_path):
    path = torch_files.write_pickle(tmp_path / "a.pt", in_dict(named("a\x1b[2J", "b" * 1000)))
    assert len(refused(path, r"asks for a\\x1b\[2J\.bbb")) < len(str(path)) + 250


STORAGE = b"(" + text("storage") + named("torch", "FloatStorage") + text("0") + text("cpu") + b"K\x02tQ"
TENSOR = named("torch._utils", "_rebuild_tensor_v2") + b"(" + STORAGE + b"K\x00K\x02\x85K\x01\x85\x89}tR"


@pytest.mark.parametrize(
    ("instructions", "says"),
    [
        (named("torch._utils", "_rebuild_tensor_v2") + b"}" + text("build") + b"Nsb", "sets attributes of a _Function"),
        (named("collections", "OrderedDict") + b"}" + text("build") + b"Nsb", "sets attributes of a _Function"),
        (named("torch", "FloatStorage") + b"}" + text("stored") + b"Nsb", "sets attributes of a _StorageType"),
        (STORAGE + b"N}" + text("fill") + b"Ns\x86b", "sets attributes of a _Storage"),
        (TENSOR + b"(K\x01)Ntb", "sets attributes of a ndarray"),
        (b"}}b", "sets attributes of a dict"),
        (named("torch", "FloatStorage") + b")R", "calls a _StorageType"),
        (STORAGE + b")R", "calls a _Storage"),
        (TENSOR + b")R", "calls a ndarray"),
        (text("eval") + b")R", "calls a str"),
        (b"(iposix\nsystem\n", "instruction 0x69"),
        (b"(" + text("touch") + b"iposix\nsystem\n", "instruction 0x69"),
        (b"(" + named("collections", "OrderedDict") + b"o", "instruction 0x6f"),
        (named("collections", "OrderedDict") + b")\x81", "instruction 0x81"),
        (named("collections", "OrderedDict") + b")}\x92", "instruction 0x92"),
        (TENSOR + b"K\x00K\x01s", "sets an item of a ndarray"),
        (named("torch", "FloatStorage") + b"(" + text("a") + b"Nu", "sets an item of a _StorageType"),
        (TENSOR + b"K\x01a", "'numpy.ndarray' object has no attribute 'append'"),
        (b"C\x01a", "instruction 0x43"),
        (b"\x8f", "instruction 0x8f"),
        (b"P1\n", "instruction 0x50"),
    ],
)
@legacy_or_zip
def test_other_instructions_are_refused(tmp_path, legacy, instructions, says):
    storages = {"0": np.zeros(2, np.float32)}
    refused(torch_files.write_pickle(tmp_path / "a.pt", in_dict(instructions), storages, legacy), says)
    torch_files.write(tmp_path / "a.pt", {"x": np.ones(3)}, legacy)
    assert_same(torch_checkpoint.read(tmp_path / "a.pt"), {"x": np.ones(3)})  # the stand-ins are as they were


@pytest.mark.parametrize("code", [b"\x82\xf7", b"\x83\xf7\x00", b"\x84\xf7\x00\x00\x00"])
@pytest.mark.parametrize("cached", [False, True])
def test_registered_extensions_are_refused(tmp_path, monkeypatch, code, cached):
    copyreg.add_extension("posix", "system", 0xF7)
    try:
        if cached:
            monkeypatch.setitem(copyreg._extension_cache, 0xF7, lambda command: (tmp_path / "marker").touch())
        path = torch_files.write_pickle(tmp_path / "a.pt", in_dict(code + text("true") + b"\x85R"))
        refused(path, f"instruction {code[0]:#x}")
    finally:
        copyreg.remove_extension("posix", "system", 0xF7)
    assert not (tmp_path / "marker").exists()


def test_the_magic_number_and_the_keys_of_a_legacy_file_run_nothing(tmp_path):
    whole = torch_files.write(tmp_path / "a.pt", {"x": np.ones(3)}, legacy=True).read_bytes()
    attack = b"\x80\x02" + named("posix", "system") + text(f"touch {tmp_path / 'marker'}") + b"\x85R."
    ends = [match.end() for match in re.finditer(rb"\.(?=\x80\x02)", whole)]
    for start, end in zip([0, *ends], [*ends, len(whole)]):
        magic = b"" if start else whole[2:14] + b"0"
        (tmp_path / "a.pt").write_bytes(whole[:start] + b"\x80\x02" + magic + attack[2:] + whole[end:])
        refused(tmp_path / "a.pt", "posix.system|instruction 0x30")
    assert len(ends) == 4
    assert not (tmp_path / "marker").exists()


# ---------------------------------------------------------------------------------------------------------------------
# Limits, and damage.


@pytest.mark.parametrize(
    ("offset", "size", "stride", "says"),
    [
        (0, (7,), (1,), r"size \(7,\), strides \(1,\) and offset 0 needs 7 numbers, its storage has 6"),
        (6, (), (), r"offset 6 needs 7 numbers"),
        (1, (2, 3), (3, 1), r"needs 7 numbers"),
        (0, (2,), (2**70,), r"needs 1180591620717411303425 numbers"),
        (-1, (2,), (1,), r"it has a tensor of size \(2,\), strides \(1,\) and offset -1"),
        (3, (2,), (-1,), r"it has a tensor of size \(2,\), strides \(-1,\)"),
        (0, (-2, -3), (3, 1), r"it has a tensor of size \(-2, -3\)"),
        (0, (2, 3), (1,), r"it has a tensor of size \(2, 3\), strides \(1,\)"),
        (0, (2.0,), (1,), r"it has a tensor of size \(2\.0,\)"),
        (0.0, (2,), (1,), r"offset 0\.0"),
        (0, (2**40,), (0,), r"size \(1099511627776,\).* take over 4 times as much as the file"),
        (0, (1,) * 70, (1,) * 70, r"it has a tensor of size \(1, 1, .*"),
        (0, (0, 2**62), (1, 1), "is damaged"),
    ],
)
@legacy_or_zip
def test_tensors_beyond_their_storage_are_refused(tmp_path, legacy, offset, size, stride, says):
    view = Tensor(Storage(np.arange(6, dtype=np.float32)), offset, size, stride)
    path = torch_files.write(tmp_path / "a.pt", {"x": view}, legacy)
    refused(path, says)


def test_tensors_that_repeat_a_storage_are_bounded(tmp_path):
    storage = Storage(np.zeros(2**20, np.uint8))
    views = [Tensor(storage, 0, (2**20,), (1,)) for _ in range(65)]
    torch_files.write(tmp_path / "a.pt", {"all": views[:64]})
    assert len(torch_checkpoint.read(tmp_path / "a.pt")["all"]) == 64
    refused(torch_files.write(tmp_path / "a.pt", {"all": views}), "take over 4 times as much as the file")


@pytest.mark.parametrize("length", [0, 1, 3, 5, 2**20])
@legacy_or_zip
def test_storages_of_another_size_are_refused(tmp_path, legacy, length):
    data, _ = torch_files.pickled({"x": np.zeros(4, np.float32)}, legacy)
    storages = {"94897549547936" if legacy else "0": np.zeros(length, np.float32)}
    path = torch_files.write_pickle(tmp_path / "a.pt", data, storages, legacy)
    refused(
        path, f"has {length} numbers in .*, 4 in 16 were" if legacy else f"has {4 * length} bytes, 16 were expected"
    )


@legacy_or_zip
def test_missing_storages_are_refused(tmp_path, legacy):
    data, _ = torch_files.pickled({"x": np.zeros(4, np.float32)}, legacy)
    path = torch_files.write_pickle(tmp_path / "a.pt", data, {}, legacy)
    refused(path, "its list of storages does not name" if legacy else "storage '0' has no bytes, 16 were expected")


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        (("storage", "FloatStorage", 0, "cpu", 2), "it has a storage 0 of 2 numbers"),
        (("storage", "FloatStorage", "0", "cpu", -2), "it has a storage '0' of -2 numbers"),
        (("storage", "FloatStorage", "0", "cpu", 2.0), r"it has a storage '0' of 2\.0 numbers"),
        (("storage", "FloatStorage", "0", "cpu", 2, ("1", 0, 1)), "outside of its pickle that is no storage"),
        (("module", "FloatStorage", "0", "cpu", 2), "outside of its pickle that is no storage"),
        (("storage", "Size", "0", "cpu", 2), "outside of its pickle that is no storage"),
        (("storage",), "is damaged"),
        ((), "is damaged"),
    ],
)
def test_odd_references_to_storages_are_refused(tmp_path, reference, says):
    data = b"("
    for part in reference:
        data += named("torch", part) if part in ("FloatStorage", "Size") else pickle.dumps(part, 2)[2:-1]
    refused(torch_files.write_pickle(tmp_path / "a.pt", in_dict(data + b"tQ")), says)


def test_a_storage_has_one_type(tmp_path):
    other = STORAGE.replace(b"FloatStorage", b"IntStorage")
    path = torch_files.write_pickle(tmp_path / "a.pt", in_dict(STORAGE + other + b"\x86"), {"0": np.zeros(2)})
    refused(path, "describes storage '0' in two ways")


@pytest.mark.parametrize(
    ("instructions", "says"),
    [
        (STORAGE, "it holds a bare Storage"),
        (b"](" + named("torch", "FloatStorage") + b"e", "it holds a bare StorageType"),
        (named("collections", "OrderedDict") + b"\x85", "it holds a bare Function"),
        (b"}" + b"K\x01\x85Ns", "key of type tuple"),
        (b"}" + b"G" + bytes(8) + b"Ns", "key of type float"),
        (b"}" + b"\x8a\x09" + bytes(8) + b"\x01Ns", "key of type int"),
    ],
)
def test_what_is_neither_plain_nor_a_tensor_is_refused(tmp_path, instructions, says):
    storages = {"0": np.zeros(2, np.float32)}
    refused(torch_files.write_pickle(tmp_path / "a.pt", in_dict(instructions), storages), says)


@legacy_or_zip
def test_a_dict_is_expected(tmp_path, legacy):
    refused(torch_files.write(tmp_path / "a.pt", np.ones(3), legacy), "holds a ndarray, a dict was expected")
    refused(torch_files.write(tmp_path / "a.pt", [1], legacy), "holds a list, a dict was expected")


@pytest.mark.parametrize(
    ("instructions", "says"),
    [
        (b"}N" + b"\x85" * 10**6 + b"Ns", "key of type tuple"),  # that would take a deep recursion to hash
        (b"Nr\xff\xff\xff\xff", "holds a NoneType"),  # a place far away in the memo
        (b"X\xff\xff\xff\xff", "is damaged"),  # a string far beyond the end
        (b"(" * (2**22 - 50), "is damaged"),
        (b"]" * 2**18, "holds a list, a dict was expected"),
    ],
)
def test_hostile_pickles_end_soon(tmp_path, instructions, says):
    path = torch_files.write_pickle(tmp_path / "a.pt", in_dict(instructions)[:-2] + b".")
    began = time.process_time()
    assert len(refused(path, says)) < len(str(path)) + 300
    assert time.process_time() - began < 10


def test_tensors_of_many_axes_are_refused(tmp_path):
    axes = b"(" + b"K\x00" * 10**5 + b"t"
    tensor = named("torch._utils", "_rebuild_tensor_v2") + b"(" + STORAGE + b"K\x00" + axes * 2 + b"\x89}tR"
    assert len(refused(torch_files.write_pickle(tmp_path / "a.pt", in_dict(tensor)), "has a tensor of size")) < 1000


def test_containers_may_hold_themselves_and_each_other(tmp_path):
    loop, doubling = [], []
    loop.append(loop)
    for _ in range(100):
        doubling = [doubling, doubling]
    data = pickle.dumps({"loop": loop, "doubling": doubling}, 2)
    found = torch_checkpoint.read(torch_files.write_pickle(tmp_path / "a.pt", data))
    assert found["loop"][0] is found["loop"]
    assert found["doubling"][0] is found["doubling"][1]


def test_deep_lists_are_no_trouble(tmp_path):
    data = in_dict(b"]" * 10**5 + b"a" * (10**5 - 1))
    found = torch_checkpoint.read(torch_files.write_pickle(tmp_path / "a.pt", data))["x"]
    depth = 0
    while found:
        (found,) = found
        depth += 1
    assert depth == 10**5 - 1


def test_large_pickles_are_refused(tmp_path):
    path = torch_files.write(tmp_path / "a.pt", {"x": "a" * 2**22})
    refused(path, r"its pickle has 41943\d\d bytes, over 4194304")
    refused(torch_files.write(path, {"x": "a" * 2**22}, legacy=True), "is damaged or was cut off")


def test_compressed_members_are_refused(tmp_path):
    data, storages = torch_files.pickled({"x": np.zeros(10**6, np.float32)})
    with zipfile.ZipFile(tmp_path / "a.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/data/0", storages["0"].tobytes())
    refused(tmp_path / "a.pt", "its member 'archive/data.pkl' is compressed")


def test_members_that_overlap_are_refused(tmp_path):
    """Each member holds the next, so that together they are far more than the file."""
    names = [f"archive/data/{i}" for i in range(20)]
    content = {names[-1]: bytes(1000)}
    for name, inner in zip(names[-2::-1], names[:0:-1]):
        content[name] = local_header(inner, content[inner]) + content[inner]
    path = tmp_path / "a.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(names[0], content[names[0]])
        for before, name in zip(names, names[1:]):
            info = member(name, content[name])
            info.header_offset = archive.filelist[-1].header_offset + len(local_header(before, b""))
            archive.filelist.append(info)
        archive.writestr("archive/data.pkl", torch_files.pickled({"x": 1})[0])
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist()[:20] == names
    refused(path, r"its members claim \d+ bytes, the file has \d+")


def member(name, content):
    info = zipfile.ZipInfo(name)
    info.CRC, info.file_size, info.compress_size = zipfile.crc32(content), len(content), len(content)
    return info


def local_header(name, content):
    return member(name, content).FileHeader()


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({}, "it has 0 members NAME/data.pkl"),
        ({"data.pkl": b"}."}, "it has 0 members NAME/data.pkl"),
        ({"a/b/data.pkl": b"}."}, "it has 0 members NAME/data.pkl"),
        ({"a/data.pkl": b"}.", "b/data.pkl": b"}."}, "it has 2 members NAME/data.pkl"),
        ({"a/data.pkl": b"}.", "a/byteorder": b"middle"}, "its byte order is b'middle'"),
        ({"a/data.pkl": b""}, "is damaged or was cut off"),
    ],
)
def test_other_archives_are_refused(tmp_path, members, says):
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        for name, content in {"x": b"", **members}.items():
            archive.writestr(name, content)
    refused(tmp_path / "a.pt", says)


@legacy_or_zip
def test_a_file_cut_off_somewhere_is_refused(tmp_path, legacy):
    path = tmp_path / "a.pt"
    whole = torch_files.write(path, checkpoint(), legacy).read_bytes()
    for length in range(0, len(whole), 3):
        path.write_bytes(whole[:length])
        refused(path, "a.pt")


def test_no_byte_of_the_numbers_can_change_unnoticed(tmp_path):
    path = tmp_path / "a.pt"
    whole = torch_files.write(path, {"x": np.arange(5)}).read_bytes()
    start = whole.index(np.arange(5).tobytes())
    for position in range(start, start + 40):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        refused(path, "CRC")


@legacy_or_zip
def test_a_changed_byte_raises_nothing_else(tmp_path, legacy):
    path = tmp_path / "a.pt"
    whole = torch_files.write(path, checkpoint(), legacy).read_bytes()
    for position, flip in itertools.product(range(0, len(whole), 5), (1, 128)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ flip]) + whole[position + 1 :])
        with contextlib.suppress(TorchCheckpointError):
            assert isinstance(torch_checkpoint.read(path), dict)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60), st.booleans())
def test_any_instructions_end_in_a_dict_or_an_error(tmp_path_factory, data, legacy):
    path = torch_files.write_pickle(tmp_path_factory.getbasetemp() / "any.pt", in_dict(data), legacy=legacy)
    with contextlib.suppress(TorchCheckpointError):
        assert isinstance(torch_checkpoint.read(path), dict)


def test_what_is_no_file_of_pytorch_is_named(tmp_path):
    refused(tmp_path / "nowhere", r"cannot be read \(No such file or directory\)\. Name a file that torch\.save wrote")
    refused(tmp_path, r"cannot be read \(Is a directory\)")
    for content in (b"", b"P", b"hello", pickle.dumps({"x": 1}), b"PK\x05\x06" + bytes(18)):
        (tmp_path / "a.pt").write_bytes(content)
        refused(tmp_path / "a.pt", "does not begin as what torch.save writes. Name a PyTorch checkpoint")
