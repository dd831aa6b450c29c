"""Read a state dict (``.pth``) with numpy alone, running nothing that the file brings along.

A ``.pth`` file is a pickle, and a pickle is a program. This reader first walks over its opcodes
and refuses any that a state dict does not need, then executes it with an unpickler that knows a
short list of names (the ordered dictionary, the tensor rebuild function, the storage types) and
refuses every other, and it judges every number before it is used. The names resolve to inert
objects made here, never to the real functions or classes.

Two containers are read: the zip archive written since PyTorch 1.6, and the older stream of
pickles followed by raw arrays. The result is a flat mapping of names to numpy arrays.
"""

from __future__ import annotations

import io
import os
import pickle
import pickletools
import struct
import zipfile
from typing import Any, Callable, Dict

import numpy as np

from edgecv.errors import FormatError

StateDict = Dict[str, "np.ndarray[Any, Any]"]

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_MAX_RANK = 8
_MAX_EMPTY_DIM = 100  # its power of _MAX_RANK still fits 63 bits, which numpy asks of any shape

_MAX_MEMO = 1 << 20  # the C unpickler allocates as many slots as the largest memo index

_OPCODES = frozenset(
    """PROTO STOP MARK POP EMPTY_DICT EMPTY_LIST EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 APPEND
    APPENDS SETITEM SETITEMS BINPUT LONG_BINPUT BINGET LONG_BINGET BINUNICODE SHORT_BINSTRING
    BINSTRING BININT BININT1 BININT2 LONG1 BINFLOAT NONE NEWTRUE NEWFALSE GLOBAL REDUCE BUILD
    BINPERSID""".split()  # noqa: SIM905
)

_STORAGE_DTYPES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "|i1",
    "ByteStorage": "|u1",
    "BoolStorage": "|b1",
}

# What a damaged or hostile pickle makes the unpickler raise.
_PICKLE_ERRORS = (
    pickle.UnpicklingError,
    EOFError,
    AttributeError,
    TypeError,
    ValueError,
    IndexError,
    KeyError,
    OverflowError,
    ImportError,
    RecursionError,
    MemoryError,
    struct.error,
)


class _Mapping(Dict[Any, Any]):
    """Stands in for an ordered dictionary; has attributes, as state dicts carry metadata."""


class _StorageType:
    """Stands in for a storage class: only the numpy dtype it means."""

    __slots__ = ("dtype",)

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype


class _Storage:
    """A flat array that the file holds (``key``), and how many elements it claims."""

    __slots__ = ("count", "dtype", "key")

    def __init__(self, key: Any, dtype: Any, count: Any) -> None:
        self.key = key
        self.dtype = dtype
        self.count = count


class _Tensor:
    """A view of a storage, kept as the file states it and judged only in :func:`_resolve`."""

    __slots__ = ("offset", "shape", "storage", "strides")

    def __init__(self, storage: Any, offset: Any, shape: Any, strides: Any) -> None:
        self.storage = storage
        self.offset = offset
        self.shape = shape
        self.strides = strides


def _make_function(kind: str) -> Callable[..., Any]:
    """Return an inert function for one load; a pickle that tampers with it harms only itself."""
    if kind == "mapping":
        return lambda *items: _Mapping(*items)
    if kind == "tensor":
        return lambda storage, offset, shape, strides, *rest: _Tensor(
            storage, offset, shape, strides
        )
    return lambda tensor, *rest: tensor


_FUNCTIONS = {
    ("collections", "OrderedDict"): "mapping",
    ("torch._utils", "_rebuild_tensor_v2"): "tensor",
    ("torch._utils", "_rebuild_parameter"): "parameter",
}


class _Unpickler(pickle.Unpickler):
    """Unpickles with the allowlist above and collects the storages the pickle refers to."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, encoding="utf-8")
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _FUNCTIONS:
            return _make_function(_FUNCTIONS[module, name])
        if module == "torch" and name in _STORAGE_DTYPES:
            return _StorageType(np.dtype(_STORAGE_DTYPES[name]))
        raise FormatError(f"refused: the pickle asks for {module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        if not isinstance(pid, tuple) or len(pid) not in (5, 6) or pid[0] != "storage":
            raise FormatError("refused: the pickle refers to something that is not a storage")
        if len(pid) == 6 and pid[5] is not None:
            raise FormatError("refused: a storage that is a view of another is not supported")
        kind, key, count = pid[1], pid[2], pid[4]
        if not isinstance(kind, _StorageType) or type(key) is not str or type(count) is not int:
            raise FormatError("refused: the pickle describes a storage wrongly")
        if not isinstance(kind.dtype, np.dtype) or count < 0:
            raise FormatError("refused: the pickle describes a storage wrongly")
        storage = self.storages.setdefault(key, _Storage(key, kind.dtype, count))
        if (storage.dtype, storage.count) != (kind.dtype, count):
            raise FormatError(f"storage {key} is described in two ways")
        return storage


def _unpickle(file: io.BytesIO) -> tuple[Any, dict[str, _Storage]]:
    start = file.tell()
    try:
        for opcode, argument, _ in pickletools.genops(file):
            if opcode.name not in _OPCODES:
                raise FormatError(f"refused: the pickle uses {opcode.name}")
            if opcode.name == "LONG_BINPUT" and int(argument or 0) >= _MAX_MEMO:
                raise FormatError("refused: the pickle's memo is too large")
        file.seek(start)
        unpickler = _Unpickler(file)
        return unpickler.load(), unpickler.storages
    except _PICKLE_ERRORS as error:
        raise FormatError(f"damaged pickle: {type(error).__name__}: {error}") from error


def _resolve(name: str, tensor: Any, arrays: dict[str, np.ndarray[Any, Any]]) -> Any:
    """Return the array a tensor record means; raise FormatError when it does not fit."""
    if not isinstance(tensor, _Tensor) or not isinstance(tensor.storage, _Storage):
        raise FormatError(f"{name} is not a tensor")
    base = arrays.get(tensor.storage.key) if type(tensor.storage.key) is str else None
    shape, strides, offset = tensor.shape, tensor.strides, tensor.offset
    ok = base is not None and type(offset) is int and offset >= 0
    for numbers in (shape, strides):
        ok = ok and isinstance(numbers, tuple) and len(numbers) <= _MAX_RANK
        ok = ok and all(type(number) is int and number >= 0 for number in numbers)
    if not ok or base is None or len(shape) != len(strides):
        raise FormatError(f"{name}: the tensor record is damaged")
    if 0 in shape:
        if max(shape) > _MAX_EMPTY_DIM:
            raise FormatError(f"{name}: an empty tensor of a strange shape")
        return np.zeros(shape, base.dtype.newbyteorder("="))
    count = 1
    for size in shape:
        count *= size
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides))
    if count > base.size or last >= base.size:
        raise FormatError(f"{name}: the tensor reaches beyond its storage")
    view = np.lib.stride_tricks.as_strided(
        base[offset:], shape, tuple(stride * base.itemsize for stride in strides), writeable=False
    )
    return np.array(view, dtype=base.dtype.newbyteorder("="), order="C")


def _collect(tree: Any, arrays: dict[str, np.ndarray[Any, Any]]) -> StateDict:
    if not isinstance(tree, dict):
        raise FormatError("the file holds no state dict (a mapping of names to tensors)")
    state: StateDict = {}
    for name, tensor in dict.items(tree):
        if type(name) is not str:
            raise FormatError("the state dict has a name that is not text")
        state[name] = _resolve(name, tensor, arrays)
    return state


def _read_zip(data: bytes) -> StateDict:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = {info.filename: info for info in archive.infolist()}
            pickles = [name for name in infos if name.partition("/")[2] == "data.pkl"]
            if len(pickles) != 1:
                raise FormatError("the archive holds no state dict (data.pkl)")
            root = pickles[0][: -len("data.pkl")]

            def member(name: str, size: int | None = None) -> bytes:
                info = infos.get(root + name)
                if info is None:
                    raise FormatError(f"the archive lacks {name}")
                if info.compress_type != zipfile.ZIP_STORED:
                    raise FormatError(f"{name} is compressed, which no state dict is")
                if info.file_size != (info.file_size if size is None else size):
                    raise FormatError(f"{name} has {info.file_size} bytes instead of {size}")
                return archive.read(info)

            if root + "byteorder" in infos and member("byteorder") != b"little":
                raise FormatError("big-endian weights are not supported")
            tree, storages = _unpickle(io.BytesIO(member("data.pkl")))
            arrays = {
                key: np.frombuffer(
                    member("data/" + key, storage.count * storage.dtype.itemsize), storage.dtype
                )
                for key, storage in storages.items()
            }
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError) as error:
        raise FormatError(f"damaged archive: {error}") from error
    return _collect(tree, arrays)


def _read_stream(data: bytes) -> StateDict:
    file = io.BytesIO(data)
    try:
        magic = _unpickle(file)[0]
    except FormatError as error:
        raise FormatError(f"not a .pth file: {error}") from error
    if magic != _LEGACY_MAGIC:
        raise FormatError("not a .pth file")
    if _unpickle(file)[0] != _LEGACY_PROTOCOL:
        raise FormatError("a .pth file of an unknown protocol")
    system = _unpickle(file)[0]
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise FormatError("big-endian weights are not supported")
    tree, storages = _unpickle(file)
    keys = _unpickle(file)[0]
    if not isinstance(keys, list) or any(type(key) is not str for key in keys):
        raise FormatError("the list of storages is damaged")
    if sorted(keys) != sorted(storages):
        raise FormatError("the list of storages does not match the tensors")
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    for key in keys:
        storage, header = storages[key], file.read(8)
        size = storage.count * storage.dtype.itemsize
        if len(header) != 8 or struct.unpack("<q", header)[0] != storage.count:
            raise FormatError(f"storage {key} is damaged")
        if size > len(data) - file.tell():
            raise FormatError(f"storage {key} is cut short")
        arrays[key] = np.frombuffer(file.read(size), storage.dtype)
    if file.tell() != len(data):
        raise FormatError("bytes left over after the last storage")
    return _collect(tree, arrays)


def read_state_dict(source: bytes | str | os.PathLike[str]) -> StateDict:
    """Return the tensors of a state dict file as a mapping of names to C-contiguous arrays.

    ``source`` is a path or the file's bytes. Shapes and dtypes are the file's; order is kept.
    Raises :class:`FormatError` for anything that is not a plain, whole state dict, without having
    run any code of the file.
    """
    if isinstance(source, bytes):
        data = source
    else:
        try:
            with open(source, "rb") as file:
                data = file.read()
        except OSError as error:
            raise FormatError(f"cannot read {os.fspath(source)}: {error.strerror}") from error
    if data[:4] == b"PK\x03\x04":
        return _read_zip(data)
    return _read_stream(data)
