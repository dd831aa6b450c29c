"""The .pth reader: what it reads, and that it refuses everything else without running it."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections import OrderedDict
from typing import Any, ClassVar

import numpy as np
import pytest

from edgecv.errors import FormatError
from edgecv.zoo.torch_pickle import read_state_dict

MAGIC = 0x1950A86A20F9469CFC6C
SYSTEM = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2}}


class Global:
    """Pickles as a reference to ``module.name``; called, it pickles as that call."""

    def __init__(self, module: str, name: str, *args: Any, call: bool = False) -> None:
        self.module, self.name, self.args, self.call = module, name, args, call

    def __call__(self, *args: Any) -> Global:
        return Global(self.module, self.name, *args, call=True)


class Storage:
    def __init__(self, key: str, array: np.ndarray, kind: str = "FloatStorage") -> None:
        self.key, self.array, self.kind = key, array, kind
        self.count: Any = array.size


class Writer(pickle._Pickler):
    """Writes the pickles that torch.save writes, and wrong ones, without torch."""

    dispatch: ClassVar[Any] = dict(pickle._Pickler.dispatch)

    def save_global_stub(self, obj: Global) -> None:
        self.write(b"c" + obj.module.encode() + b"\n" + obj.name.encode() + b"\n")
        if obj.call:
            self.save(obj.args)
            self.write(b"R")

    dispatch[Global] = save_global_stub

    def persistent_id(self, obj: Any) -> Any:
        if isinstance(obj, Storage):
            return ("storage", Global("torch", obj.kind), obj.key, "cpu", obj.count)
        return None


def dumps(obj: Any) -> bytes:
    file = io.BytesIO()
    Writer(file, 2).dump(obj)
    return file.getvalue()


REBUILD = Global("torch._utils", "_rebuild_tensor_v2")


def tensor(storage: Any, shape: Any, strides: Any, offset: Any = 0) -> Global:
    return REBUILD(storage, offset, shape, strides, False, OrderedDict())


def stream(tree: Any, storages: list[Storage], keys: Any = None, tail: bytes = b"") -> bytes:
    data = dumps(MAGIC) + dumps(1001) + dumps(SYSTEM)
    data += tree if isinstance(tree, bytes) else dumps(tree)
    data += dumps([storage.key for storage in storages] if keys is None else keys)
    for storage in storages:
        data += struct.pack("<q", storage.array.size) + storage.array.tobytes()
    return data + tail


def archive(
    tree: Any, storages: list[Storage], compression: int = zipfile.ZIP_STORED, **extra: bytes
) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as out:
        out.writestr("net/data.pkl", tree if isinstance(tree, bytes) else dumps(tree))
        for name, data in extra.items():
            out.writestr("net/" + name, data)
        for storage in storages:
            out.writestr("net/data/" + storage.key, storage.array.tobytes())
    return file.getvalue()


CONTAINERS = [pytest.param(stream, id="stream"), pytest.param(archive, id="zip")]


@pytest.mark.parametrize("container", CONTAINERS)
def test_reads_tensors_views_and_parameters(container: Any) -> None:
    values = np.arange(24, dtype=np.float32)
    floats = Storage("0", values)
    counts = Storage("1", np.array([7], np.int64), "LongStorage")
    halves = Storage("2", np.arange(6, dtype=np.float16), "HalfStorage")
    parameter = Global("torch._utils", "_rebuild_parameter")(
        tensor(floats, (2, 3), (3, 1)), True, OrderedDict()
    )
    tree = {
        "whole": tensor(floats, (2, 3, 4), (12, 4, 1)),
        "turned": tensor(floats, (4, 3), (1, 4), 12),
        "scalar": tensor(counts, (), ()),
        "half": tensor(halves, (6,), (1,)),
        "parameter": parameter,
        "empty": tensor(floats, (0, 3), (3, 1)),
    }
    state = read_state_dict(container(tree, [floats, counts, halves]))
    assert list(state) == list(tree)
    np.testing.assert_array_equal(state["whole"], values.reshape(2, 3, 4))
    np.testing.assert_array_equal(state["turned"], values[12:].reshape(3, 4).T)
    assert state["turned"].flags.c_contiguous
    assert (state["scalar"].shape, state["scalar"].dtype, state["scalar"][()]) == ((), np.int64, 7)
    assert state["half"].dtype == np.float16
    np.testing.assert_array_equal(state["parameter"], values[:6].reshape(2, 3))
    assert state["empty"].shape == (0, 3)


def test_ordered_dictionary_with_metadata() -> None:
    floats = Storage("0", np.ones(3, np.float32))
    mapping = dumps(Global("collections", "OrderedDict")())[:-1]  # without STOP
    items = dumps({"a": tensor(floats, (3,), (1,))})[2:-1]  # without PROTO and STOP
    # an empty OrderedDict, then MARK name tensor SETITEMS, then BUILD with its attributes
    assert items[:1] == b"}"
    pair = items[items.index(b"X") :].rstrip(b"s")
    attributes = dumps({"_metadata": {"": {"version": 1}}})[2:-1]
    state = read_state_dict(archive(mapping + pair + b"s" + attributes + b"b.", [floats]))
    np.testing.assert_array_equal(state["a"], np.ones(3))


def test_reads_a_path(tmp_path: Any) -> None:
    floats = Storage("0", np.ones(3, np.float32))
    path = tmp_path / "net.pth"
    path.write_bytes(stream({"a": tensor(floats, (3,), (1,))}, [floats]))
    assert list(read_state_dict(path)) == ["a"]
    with pytest.raises(FormatError, match="cannot read"):
        read_state_dict(tmp_path / "absent.pth")


MALICIOUS = {
    "os.system": b"cposix\nsystem\n(X\x04\x00\x00\x00touctR.",
    "builtins.eval": b"c__builtin__\neval\n(X\x01\x00\x00\x001tR.",
    "getattr": b"cbuiltins\ngetattr\n.",
    "numpy": b"cnumpy.core.multiarray\n_reconstruct\n.",
    "other_torch_name": b"ctorch.serialization\nload\n.",
    "nested_name": b"\x80\x04\x8c\x05torch\x8c\x0eFloatStorage.a\x93.",
    "stack_global": b"\x80\x04\x8c\x08builtins\x8c\x04exec\x93.",
    "inst": b"(iposix\nsystem\n.",
    "obj": b"(cposix\nsystem\no.",
    "newobj": b"\x80\x02ccollections\nOrderedDict\n)\x81.",
    "extension": b"\x80\x02\x82\x01.",
    "memo_bomb": b"\x80\x02}r\xff\xff\xff\x7f.",
    "buffer": b"\x80\x05\x97.",
}


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("name", MALICIOUS)
def test_refuses_malicious_pickles(
    name: str, container: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    def ran(*_: Any) -> None:
        pytest.fail("the pickle ran code")

    monkeypatch.setattr(os, "system", ran)
    with pytest.raises(FormatError, match="refused"):
        read_state_dict(container(MALICIOUS[name], []))


def test_each_malicious_pickle_is_one_plain_pickle_would_act_on() -> None:
    """The set is not refused for being damaged: the standard unpickler follows the plain ones."""
    import builtins

    assert pickle.loads(MALICIOUS["getattr"]) is builtins.getattr
    assert pickle.loads(MALICIOUS["stack_global"]) is builtins.exec
    assert pickle.loads(MALICIOUS["builtins.eval"]) == 1


def test_tampering_with_the_rebuild_function_harms_nothing() -> None:
    floats = Storage("0", np.ones(3, np.float32))
    function = dumps(REBUILD)[:-1]
    defaults = dumps({"__defaults__": (1,)})[2:-1]
    # BUILD with the slot state {"__defaults__": ...} sets attributes of whatever is on the stack.
    tampering = function + b"N" + defaults + b"\x86b."
    with pytest.raises(FormatError):
        read_state_dict(archive(tampering, []))
    state = read_state_dict(archive({"a": tensor(floats, (3,), (1,))}, [floats]))
    np.testing.assert_array_equal(state["a"], np.ones(3))


BAD_TENSORS = {
    "beyond": ((4, 4), (4, 1), 0),
    "offset": ((3,), (1,), 10),
    "negative_offset": ((3,), (1,), -1),
    "negative_size": ((-3,), (1,), 0),
    "negative_stride": ((3,), (-1,), 2),
    "stride_bomb": ((1 << 40,), (0,), 0),
    "rank": ((1,) * 9, (1,) * 9, 0),
    "strides_missing": ((3,), (), 0),
    "float_size": ((3.0,), (1,), 0),
    "bool_size": ((True,), (1,), 0),
    "empty_bomb": ((0, 1 << 62, 1 << 62), (1, 1, 1), 0),
    "not_a_tuple": ([3], [1], 0),
}


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("name", BAD_TENSORS)
def test_refuses_tensors_that_do_not_fit(name: str, container: Any) -> None:
    shape, strides, offset = BAD_TENSORS[name]
    floats = Storage("0", np.ones(12, np.float32))
    with pytest.raises(FormatError, match=r"^bad: "):
        read_state_dict(container({"bad": tensor(floats, shape, strides, offset)}, [floats]))


def test_refuses_what_is_not_a_state_dict() -> None:
    floats = Storage("0", np.ones(12, np.float32))
    good = tensor(floats, (12,), (1,))
    cases: list[tuple[bytes, str]] = [
        (b"", "not a .pth file: damaged pickle"),
        (b"hello", "not a .pth file: refused"),
        (dumps(5), "not a .pth"),
        (dumps(MAGIC) + dumps(1), "unknown protocol"),
        (dumps(MAGIC) + dumps(1001) + dumps({"little_endian": False}), "big-endian"),
        (stream([good], [floats]), "no state dict"),
        (stream({"a": 5}, []), "not a tensor"),
        (stream({3: good}, [floats]), "not text"),
        (stream({"a": good}, [floats], keys=["1"]), "does not match"),
        (stream({"a": good}, [floats], keys=["0", "0"]), "does not match"),
        (stream({"a": good}, [floats], keys={"0": 1}), "list of storages is damaged"),
        (stream({"a": good}, [floats], tail=b"x"), "left over"),
        (archive({"a": good}, []), "lacks data/0"),
        (archive({"a": good}, [floats], zipfile.ZIP_DEFLATED), "compressed"),
        (archive({"a": good}, [floats], byteorder=b"big"), "big-endian"),
        (archive({"a": good}, [Storage("0", np.ones(11, np.float32))]), "bytes instead of"),
        (b"PK\x03\x04" + bytes(100), "damaged archive"),
    ]
    for data, words in cases:
        with pytest.raises(FormatError, match=words):
            read_state_dict(data)


def test_refuses_one_storage_described_twice() -> None:
    first = Storage("0", np.ones(12, np.float32))
    second = Storage("0", np.ones(12, np.float32), "IntStorage")
    tree = {"a": tensor(first, (12,), (1,)), "b": tensor(second, (12,), (1,))}
    with pytest.raises(FormatError, match="in two ways"):
        read_state_dict(archive(tree, [first]))


@pytest.mark.parametrize("count", [-1, 1 << 62, 12.0, "12", True])
def test_refuses_wrong_storage_counts(count: Any) -> None:
    floats = Storage("0", np.ones(12, np.float32))
    floats.count = count
    with pytest.raises(FormatError):
        read_state_dict(stream({"a": tensor(floats, (12,), (1,))}, [floats]))


@pytest.mark.parametrize("container", CONTAINERS)
def test_every_truncation_is_refused(container: Any) -> None:
    floats = Storage("0", np.ones(12, np.float32))
    data = container({"a": tensor(floats, (12,), (1,))}, [floats])
    for length in range(len(data)):
        with pytest.raises(FormatError):
            read_state_dict(data[:length])


def test_no_byte_flip_escapes_as_another_error() -> None:
    floats = Storage("0", np.ones(4, np.float32))
    data = stream({"a": tensor(floats, (4,), (1,))}, [floats])
    refused = 0
    for position in range(len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[position] ^= 1 << bit
            try:
                read_state_dict(bytes(flipped))
            except FormatError:
                refused += 1
    assert refused > len(data) * 3
