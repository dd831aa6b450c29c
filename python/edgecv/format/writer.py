"""Writes a lowered graph as an ``.ecv`` file. The same graph gives the same bytes.

The version is 1.0, or 1.1 when a constant is coded.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from edgecv.errors import FormatError
from edgecv.format.coded import describe
from edgecv.format.encode import encode
from edgecv.format.reader import read
from edgecv.format.schema import (
    DECLARED_PADS,
    DTYPE_CODES,
    MAX_RANK,
    OP_FLOATS,
    OP_INTS,
    OPS,
    Form,
    Golden,
    expand,
)
from edgecv.graph.ir import DTYPES, Graph, Node, Port, Value
from edgecv.graph.ops.unary import FUNCTIONS

_MAGIC = b"\x89ECV\r\n\x1a\n"
_ABSENT = 0xFFFFFFFF
_ALIGN = 64
STORAGE = ("smallest", "raw")
# Type, flags (1: critical), in the order of the file.
_SECTIONS = (
    ("STRS", 1),
    ("META", 0),
    ("TENS", 1),
    ("OPS_", 1),
    ("EPRD", 1),
    ("PORT", 1),
    ("PREP", 0),
    ("GOLD", 0),
    ("DIGS", 0),
    ("DATA", 1),
)


def _refuse(message: str) -> FormatError:
    return FormatError(f"cannot write the model: {message}")


def _f32(value: float, what: str) -> float:
    """``value`` as it will be read back; refuses one that f32 changes."""
    with np.errstate(over="ignore"):
        stored = float(np.float32(value))
    if stored != value and value == value:
        raise _refuse(f"{what} = {value!r} is not an f32 number")
    return stored


class _Strings:
    """STRS: each string once, in order of first use, ended by a zero byte."""

    def __init__(self) -> None:
        self.data = bytearray()
        self._refs: Dict[str, Tuple[int, int]] = {}

    def add(self, text: str, free_text: bool = False) -> Tuple[int, int]:
        keep = "\t\n" if free_text else ""
        text = "".join(c if c in keep or not (c < " " or c == "\x7f") else "?" for c in text)
        if text not in self._refs:
            encoded = text.encode("utf-8", errors="replace")
            self._refs[text] = (len(self.data), len(encoded))
            self.data += encoded + b"\0"
        return self._refs[text]


class _Writer:
    def __init__(self, graph: Graph, storage: str) -> None:
        self.graph = graph
        self.smallest = storage == "smallest"
        self.minor = 0
        self.strings = _Strings()
        self.tensors: List[bytes] = []
        self.ids: Dict[str, int] = {}
        self.shared: Dict[Tuple[Any, ...], int] = {}
        self.stored: Dict[str, Tuple[int, str]] = {}
        self.coded: Dict[int, Tuple[int, str]] = {}  # the same by tensor id
        self.data = bytearray()
        self.operands: List[int] = []

    def _shape(self, value: Value) -> Tuple[int, ...]:
        shape = tuple(int(d) for d in value.shape)
        if value.is_constant and not shape:
            return (1,)
        if not 1 <= len(shape) <= MAX_RANK or min(shape) < 1:
            raise _refuse(
                f"value {value.name!r} has shape {shape}; rank is 1 to 8, dims at least 1"
            )
        return shape

    def _record(self, value: Value, kind: int, offset: int, size: int, encoding: int = 0) -> int:
        if value.dtype not in DTYPE_CODES:
            raise _refuse(f"value {value.name!r} has dtype {value.dtype}")
        shape = self._shape(value)
        quantized = value.dtype == "s8"
        scale = _f32(float(value.scale), f"scale of {value.name!r}") if quantized else 0.0
        self.tensors.append(
            struct.pack(
                "<IIBBBB8ifi4xQQI20x",
                *self.strings.add(value.name),
                DTYPE_CODES[value.dtype],
                kind,
                encoding,
                len(shape),
                *(shape + (0,) * (MAX_RANK - len(shape))),
                scale,
                int(value.zero_point) if quantized else 0,
                offset,
                size,
                0,
            )
        )
        return len(self.tensors) - 1

    def activation(self, name: str) -> int:
        self.ids[name] = self._record(self.graph.values[name], 0, 0, 0)
        return self.ids[name]

    def constant(self, value: Value) -> int:
        if value.dtype not in DTYPE_CODES:
            raise _refuse(f"value {value.name!r} has dtype {value.dtype}")
        array = np.ascontiguousarray(
            value.data, dtype=np.dtype(DTYPES[value.dtype]).newbyteorder("<")
        )
        if tuple(array.shape) != tuple(value.shape):
            raise _refuse(
                f"value {value.name!r}: its data have shape {array.shape}, not {value.shape}"
            )
        raw = array.tobytes()
        scaled = (float(value.scale), int(value.zero_point)) if value.dtype == "s8" else (0.0, 0)
        key = (value.dtype, self._shape(value), scaled, raw)
        if key not in self.shared:
            self.data += bytes(-len(self.data) % _ALIGN)
            coded = encode(array.reshape(self._shape(value))) if self.smallest else None
            stored = raw if coded is None else coded
            encoding = 0 if coded is None else 1
            self.minor = max(self.minor, encoding)
            self.shared[key] = self._record(value, 1, len(self.data), len(stored), encoding)
            self.data += stored
            how = "" if coded is None else describe(coded)
            self.coded[self.shared[key]] = (len(stored), how)
        self.stored[value.name] = self.coded[self.shared[key]]
        return self.shared[key]

    def operand(self, node: Node, name: str) -> int:
        if not name:
            return _ABSENT
        value = self.graph.values.get(name)
        if value is None:
            raise _refuse(f"node {node.name!r} reads {name!r}, which does not exist")
        if value.is_constant:
            return self.constant(value)
        if name not in self.ids:
            raise _refuse(f"node {node.name!r} reads {name!r} before it is written")
        return self.ids[name]

    def op(self, node: Node) -> bytes:
        schema = OPS.get(node.op)
        if schema is None:
            raise _refuse(f"node {node.name!r}: {node.op} is no op of the format")
        if len(node.outputs) != 1 or node.outputs[0] not in self.graph.values:
            raise _refuse(f"node {node.name!r} ({node.op}) has not exactly one output")
        output = self.graph.values[node.outputs[0]]
        if output.is_constant or output.name in self.ids:
            raise _refuse(f"node {node.name!r} writes {output.name!r}, which is written already")
        try:
            form = schema.form(output.dtype)
        except KeyError:
            raise _refuse(f"node {node.name!r}: {node.op} has no {output.dtype} form") from None
        inputs = [self.operand(node, name) for name in node.inputs]
        inputs += [_ABSENT] * (form.inputs - len(inputs))
        first = len(self.operands)
        self.operands += inputs
        ints, floats = _attributes(node, form, exact=output.dtype == "s8")
        return struct.pack(
            "<IIHHIII16i8fI12x",
            *self.strings.add(node.name),
            schema.code,
            0,
            first,
            len(inputs),
            self.activation(output.name),
            *ints,
            *floats,
            0,
        )

    def port(self, port: Port, kind: int, preprocess: int) -> bytes:
        if port.value not in self.ids:
            raise _refuse(f"port {port.name!r} names {port.value!r}, which nothing writes")
        perm = tuple(int(axis) for axis in port.perm)
        rank = len(self.graph.values[port.value].shape)
        if sorted(perm) != list(range(rank)):
            raise _refuse(f"port {port.name!r}: perm {perm} does not fit rank {rank}")
        return struct.pack(
            "<IIIBB8B2xII8x",
            *self.strings.add(port.name),
            self.ids[port.value],
            kind,
            rank,
            *(perm + (0,) * (MAX_RANK - rank)),
            preprocess,
            0,
        )


def _attributes(node: Node, form: Form, exact: bool) -> Tuple[List[int], List[float]]:
    """The ints and floats of the op record; with ``exact``, floats that f32 changes are refused."""
    where = f"node {node.name!r} ({node.op})"
    attrs = dict(form.defaults)
    attrs.update(node.attrs)
    slots = expand(form.ints), expand(form.floats)
    known = {name for part in slots for name, _ in part}
    unknown = sorted(set(node.attrs) - known)
    if unknown:
        raise _refuse(f"{where}: unknown attributes {', '.join(unknown)}")
    ints = [0] * OP_INTS
    floats = [0.0] * OP_FLOATS
    for store, part in zip((ints, floats), slots):
        for i, (name, entry) in enumerate(part):
            if name == "_":
                continue
            value = (
                attrs[DECLARED_PADS[name]]
                if name in DECLARED_PADS and name not in attrs
                else attrs.get(name)
            )
            if value is None:
                raise _refuse(f"{where}: attribute {name} is missing")
            if entry >= 0:
                if len(value) > MAX_RANK:
                    raise _refuse(f"{where}: attribute {name} has more than {MAX_RANK} entries")
                value = value[entry] if entry < len(value) else 0
            if store is floats:
                value = float(value if exact else np.float32(value))
                floats[i] = _f32(value, f"{where}: {name}")
            elif isinstance(value, str):
                if value not in FUNCTIONS:
                    raise _refuse(f"{where}: unknown function {value!r}")
                ints[i] = FUNCTIONS[value]
            elif int(value) != value or not -(2**31) <= value < 2**31:
                raise _refuse(f"{where}: attribute {name} = {value!r} is no 32-bit integer")
            else:
                ints[i] = int(value)
    return ints, floats


def _preprocess(port: str, fields: Mapping[str, Any]) -> bytes:
    """A PREP record; ``fields`` as docs/format.md names them, mean and std one entry a channel."""
    known = {
        "resize_mode": 0,
        "interpolation": 0,
        "antialias": 0,
        "resize_width": 0,
        "resize_height": 0,
        "crop_width": 0,
        "crop_height": 0,
        "color_order": 0,
        "mean": (),
        "std": (),
        "fill": (),
    }
    unknown = sorted(set(fields) - set(known))
    if unknown:
        raise _refuse(f"preprocess of {port!r}: unknown fields {', '.join(unknown)}")
    values = {**known, **fields}
    channels = 1 if int(values["color_order"]) == 2 else 3
    rows: Dict[str, List[float]] = {}
    for name, rest in (("mean", 0.0), ("std", 1.0), ("fill", 0)):
        wanted = 3 if name == "fill" else channels
        row = [float(np.float32(v)) for v in values[name]] or [rest] * wanted
        # A list of 4 entries is the record's own form.
        row = row if len(row) == 4 else row + [rest] * (4 - wanted)
        if len(row) != 4:
            raise _refuse(f"preprocess of {port!r}: {name} needs {wanted} entries")
        rows[name] = row
    return struct.pack(
        "<IIIiiiiI4f4f4B28x",
        *(int(values[name]) for name in list(known)[:8]),
        *rows["mean"],
        *rows["std"],
        *(int(v) for v in rows["fill"]),
    )


def _goldens(goldens: Sequence[Golden]) -> Tuple[List[bytes], List[bytes]]:
    records: List[bytes] = []
    digests: List[bytes] = []
    for golden in goldens:
        ordered = sorted(golden.digests, key=lambda digest: digest.op)
        records.append(
            struct.pack("<IIIIQ8x", golden.kind, len(digests), len(ordered), 0, golden.seed % 2**64)
        )
        for digest in ordered:
            exact = bool(digest.sha256)
            samples = (0.0,) * 16 if exact else tuple(float(np.float32(v)) for v in digest.samples)
            if len(samples) != 16 or len(digest.sha256) not in (0, 32):
                raise _refuse(f"the digest of op {digest.op} has neither 32 bytes nor 16 samples")
            tolerance = 0.0 if exact else float(np.float32(digest.tolerance))
            digests.append(
                struct.pack(
                    "<II32s16ff12x",
                    digest.op,
                    0 if exact else 1,
                    digest.sha256,
                    *samples,
                    tolerance,
                )
            )
    return records, digests


def _assemble(sections: Mapping[str, Tuple[int, bytes]], minor: int) -> bytes:
    """Header, section table and the padded sections; ``sections`` maps a type to (count, bytes)."""
    table = b""
    body = bytearray()
    start = 64 + 32 * len(_SECTIONS)
    start += -start % _ALIGN
    for name, flags in _SECTIONS:
        count, data = sections[name]
        offset = start + len(body)
        table += struct.pack(
            "<4sIQQII", name.encode(), flags, offset, len(data), zlib.crc32(data), count
        )
        body += data
        body += bytes(-len(body) % _ALIGN)
    header = struct.pack("<8sHHIQI", _MAGIC, 1, minor, len(_SECTIONS), start + len(body), 0)
    crc = zlib.crc32(table, zlib.crc32(header + bytes(36)))
    head = header + struct.pack("<I32x", crc) + table
    return head + bytes(start - len(head)) + bytes(body)


def write(
    graph: Graph,
    *,
    meta: Mapping[str, str],
    preprocess: Mapping[str, Mapping[str, Any]],
    goldens: Sequence[Golden] = (),
    storage: str = "raw",
    stored: Optional[Dict[str, Tuple[int, str]]] = None,
) -> bytes:
    """The bytes of the file of a lowered ``graph``: ops of docs/ops.md on stored layouts.

    ``meta``: META keys and values (docs/format.md lists the known keys); ``name`` is added from
    the graph. ``preprocess``: input port name -> the fields of its PREP record. Identical
    constants are stored once. ``storage``: "raw", or "smallest" for coded constants where these are
    smaller. ``stored`` is filled in: value name of each constant -> its bytes and how it is coded.
    Raises :class:`FormatError` with the reason when the graph cannot be stored.
    """
    unknown = sorted(set(preprocess) - {port.name for port in graph.inputs})
    if unknown:
        raise _refuse(f"preprocess for unknown inputs: {', '.join(unknown)}")
    if storage not in STORAGE:
        raise _refuse(f"storage is {storage!r}: it takes {' or '.join(map(repr, STORAGE))}")
    w = _Writer(graph, storage)
    for port in graph.inputs:
        value = graph.values.get(port.value)
        if value is None or value.is_constant or port.value in w.ids:
            raise _refuse(
                f"input {port.name!r}: {port.value!r} is missing, a constant or given twice"
            )
        w.activation(port.value)
    ops = [w.op(node) for node in graph.nodes]
    prep_names = [port.name for port in graph.inputs if port.name in preprocess]
    prep = [_preprocess(name, preprocess[name]) for name in prep_names]
    ports = [
        w.port(port, 0, prep_names.index(port.name) if port.name in prep_names else _ABSENT)
        for port in graph.inputs
    ]
    computed = {node.outputs[0] for node in graph.nodes}
    for port in graph.outputs:
        if port.value not in computed:
            raise _refuse(f"output {port.name!r}: {port.value!r} is not computed by any node")
        ports.append(w.port(port, 1, _ABSENT))
    entries = {"name": graph.name, **meta}
    pairs = [
        (w.strings.add(k), w.strings.add(entries[k], free_text=True))
        for k in sorted(entries, key=_bytes)
    ]
    records, digests = _goldens(goldens)
    data = _assemble(
        {
            "STRS": (len(w.strings.data), bytes(w.strings.data)),
            "META": (len(pairs), b"".join(struct.pack("<IIII", *k, *v) for k, v in pairs)),
            "TENS": (len(w.tensors), b"".join(w.tensors)),
            "OPS_": (len(ops), b"".join(ops)),
            "EPRD": (len(w.operands), struct.pack(f"<{len(w.operands)}I", *w.operands)),
            "PORT": (len(ports), b"".join(ports)),
            "PREP": (len(prep), b"".join(prep)),
            "GOLD": (len(records), b"".join(records)),
            "DIGS": (len(digests), b"".join(digests)),
            "DATA": (len(w.data), bytes(w.data)),
        },
        w.minor,
    )
    if stored is not None:
        stored.update(w.stored)
    tensors = read(data).tensors  # what a device would refuse is refused here, with the op's name
    for (*_, raw), index in w.shared.items():
        found = tensors[index].data
        if found is None or found.tobytes() != raw:
            raise _refuse(f"constant {tensors[index].name!r} would be read with other values")
    return data


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", errors="replace")
