"""What the reader of ``.ecv`` files knows of docs/format.md: records, limits, judged model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, NoReturn, Optional, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.errors import FormatError

MAGIC = bytes([0x89, 0x45, 0x43, 0x56, 0x0D, 0x0A, 0x1A, 0x0A])
ABSENT = 0xFFFFFFFF
MAJOR, MINOR = 1, 1
F32, S8, S32 = 1, 2, 3
ITEM_SIZE = {F32: 4, S8: 1, S32: 4}
DTYPE_NAMES = {F32: "f32", S8: "s8", S32: "s32"}
NUMPY_DTYPES: Dict[int, np.dtype[Any]] = {
    F32: np.dtype("<f4"),
    S8: np.dtype("i1"),
    S32: np.dtype("<i4"),
}

_REF = [("offset", "<u4"), ("size", "<u4")]
HEADER = np.dtype(
    [
        ("magic", "V8"),
        ("major", "<u2"),
        ("minor", "<u2"),
        ("section_count", "<u4"),
        ("file_size", "<u8"),
        ("flags", "<u4"),
        ("header_crc", "<u4"),
        ("hash", "V32"),
    ]
)
SECTION = np.dtype(
    [
        ("type", "V4"),
        ("flags", "<u4"),
        ("offset", "<u8"),
        ("size", "<u8"),
        ("crc", "<u4"),
        ("count", "<u4"),
    ]
)
META = np.dtype([("key", _REF), ("value", _REF)])
TENSOR = np.dtype(
    [
        ("name", _REF),
        ("dtype", "u1"),
        ("kind", "u1"),
        ("encoding", "u1"),
        ("rank", "u1"),
        ("dims", "<i4", 8),
        ("scale", "<f4"),
        ("zero_point", "<i4"),
        ("reserved_a", "V4"),
        ("offset", "<u8"),
        ("size", "<u8"),
        ("variant", "<u4"),
        ("reserved", "V20"),
    ]
)
OP = np.dtype(
    [
        ("name", _REF),
        ("code", "<u2"),
        ("flags", "<u2"),
        ("first_input", "<u4"),
        ("input_count", "<u4"),
        ("output", "<u4"),
        ("ints", "<i4", 16),
        ("floats", "<f4", 8),
        ("exit", "<u4"),
        ("reserved", "V12"),
    ]
)
PORT = np.dtype(
    [
        ("name", _REF),
        ("tensor", "<u4"),
        ("kind", "u1"),
        ("api_rank", "u1"),
        ("perm", "u1", 8),
        ("reserved_a", "V2"),
        ("preprocess", "<u4"),
        ("exit", "<u4"),
        ("reserved", "V8"),
    ]
)
PREPROCESS = np.dtype(
    [
        ("resize_mode", "<u4"),
        ("interpolation", "<u4"),
        ("antialias", "<u4"),
        ("resize_width", "<i4"),
        ("resize_height", "<i4"),
        ("crop_width", "<i4"),
        ("crop_height", "<i4"),
        ("color_order", "<u4"),
        ("mean", "<f4", 4),
        ("std", "<f4", 4),
        ("fill", "u1", 4),
        ("reserved", "V28"),
    ]
)
GOLDEN = np.dtype(
    [
        ("kind", "<u4"),
        ("first_digest", "<u4"),
        ("digest_count", "<u4"),
        ("reserved_a", "V4"),
        ("seed", "<u8"),
        ("reserved", "V8"),
    ]
)
DIGEST = np.dtype(
    [
        ("op", "<u4"),
        ("kind", "<u4"),
        ("digest", "V32"),
        ("samples", "<f4", 16),
        ("tolerance", "<f4"),
        ("reserved", "V12"),
    ]
)

# Type -> (flags, record or None for bytes, limit of the count), in the order of the file.
SECTIONS: Dict[bytes, Tuple[int, Optional[np.dtype[Any]], int]] = {
    b"STRS": (1, None, 16 << 20),
    b"META": (0, META, 1024),
    b"TENS": (1, TENSOR, 65536),
    b"OPS_": (1, OP, 65536),
    b"EPRD": (1, np.dtype("<u4"), 1 << 20),
    b"PORT": (1, PORT, 256),
    b"PREP": (0, PREPROCESS, 256),
    b"GOLD": (0, GOLDEN, 64),
    b"DIGS": (0, DIGEST, 1 << 18),
    b"DATA": (1, None, 2**31 - 1),
}
MAX_FILE = 2**31 - 1
MAX_SECTIONS = 64
MAX_NAME = 4096
MAX_META_VALUE = 1 << 20
MAX_TENSOR_BYTES = 1 << 30
MAX_DECODED_BYTES = 1 << 31
MAX_WORK = 1 << 42
MAX_SIDE = 8192


def fail(status: str, message: str) -> NoReturn:
    """Raises the FormatError of ``status``."""
    raise FormatError(message, status)


def zero(data: Any) -> bool:
    """Whether every byte of a record field or buffer is zero."""
    return not any(data.tobytes() if hasattr(data, "tobytes") else bytes(data))


def between(value: Any, lo: float, hi: float) -> bool:
    """Whether ``value`` lies within lo and hi; False for a NaN."""
    return bool(lo <= value <= hi)


@dataclass
class Tensor:
    """A tensor record; ``data`` is set for constants (read-only view of the file, or decoded).

    ``stored``: bytes in the file; ``coding``: what tells how a coded constant is stored, else "".
    """

    name: str
    dtype: int
    shape: Tuple[int, ...]
    scale: np.float32
    zero_point: int
    data: Optional[NDArray[Any]] = None
    stored: int = 0
    coding: str = ""

    @property
    def constant(self) -> bool:
        """Whether the tensor is a constant of the file."""
        return self.data is not None

    @property
    def elements(self) -> int:
        """Product of the dims."""
        count = 1
        for dim in self.shape:
            count *= dim
        return count


@dataclass
class Op:
    """An op record with its input list; ``ABSENT`` stands for an absent optional input."""

    name: str
    code: int
    inputs: List[int]
    output: int
    ints: List[int]
    floats: NDArray[np.float32]


@dataclass
class Port:
    """A graph input or output."""

    name: str
    tensor: int
    is_input: bool
    perm: Tuple[int, ...]
    preprocess: int


@dataclass
class Model:
    """One judged file."""

    minor: int
    sections: List[Tuple[str, int, int]]  # type, bytes, records
    meta: Dict[str, str] = field(default_factory=dict)
    tensors: List[Tensor] = field(default_factory=list)
    ops: List[Op] = field(default_factory=list)
    ports: List[Port] = field(default_factory=list)
    preprocess: List[Dict[str, Any]] = field(default_factory=list)
    goldens: List[Dict[str, Any]] = field(default_factory=list)
    work: int = 0

    def unknown(self, message: str) -> NoReturn:
        """Refuses a value that this version does not define."""
        fail("version" if self.minor > MINOR else "corrupt", message)
