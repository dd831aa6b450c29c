"""Reads an ``.ecv`` file: an implementation of docs/format.md that shares nothing with the writer.

:func:`read` judges everything the C++ reader judges, in the same order and with the same statuses,
so that each can be tested against the other.
"""

from __future__ import annotations

import zlib
from typing import Any, Dict, Set, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.errors import FormatError
from edgecv.format.judge_ops import judge_op
from edgecv.format.records import (
    ABSENT,
    F32,
    HEADER,
    ITEM_SIZE,
    MAGIC,
    MAJOR,
    MAX_FILE,
    MAX_META_VALUE,
    MAX_NAME,
    MAX_SECTIONS,
    MAX_SIDE,
    MAX_TENSOR_BYTES,
    MAX_WORK,
    NUMPY_DTYPES,
    PREPROCESS,
    S8,
    S32,
    SECTION,
    SECTIONS,
    Model,
    Op,
    Port,
    Tensor,
    between,
    fail,
    zero,
)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.model = Model(0, [])
        self.parts: Dict[bytes, bytes] = {}
        self.counts: Dict[bytes, int] = {}

    # --- container -----------------------------------------------------------------------------

    def header(self) -> NDArray[Any]:
        data = self.data
        if data[:8] != MAGIC[: len(data[:8])]:
            fail("not_ecv", "not an .ecv file: the first bytes are not its magic")
        if len(data) < HEADER.itemsize:
            fail("truncated", f"the file has {len(data)} bytes, at least 64 are needed")
        header = np.frombuffer(data, HEADER, 1)[0]
        if header["major"] != MAJOR:
            fail("version", f"format version {header['major']}.{header['minor']}")
        self.model.minor = int(header["minor"])
        if len(data) > MAX_FILE:
            fail("limit", f"{len(data)} bytes")
        if len(data) != header["file_size"]:
            status = "truncated" if len(data) < header["file_size"] else "corrupt"
            fail(status, f"the file has {len(data)} bytes, its header says {header['file_size']}")
        if header["section_count"] > MAX_SECTIONS:
            fail("limit", f"{header['section_count']} sections")
        end = 64 + 32 * int(header["section_count"])
        if end > len(data):
            fail("corrupt", "the section table does not fit into the file")
        covered = data[:28] + bytes(4) + data[32:end]
        if zlib.crc32(covered) != header["header_crc"]:
            fail("checksum", "header or section table")
        return np.frombuffer(data, SECTION, int(header["section_count"]), 64)

    def container(self) -> None:
        table = self.header()
        header = np.frombuffer(self.data, HEADER, 1)[0]
        if header["flags"] != 0 or not zero(header["hash"]):
            self.model.unknown("the header uses flags or a hash")
        end = 64 + table.nbytes
        wanted = list(SECTIONS)
        gaps = []
        for i, entry in enumerate(table):
            kind = entry["type"].tobytes()
            count, offset, size = int(entry["count"]), int(entry["offset"]), int(entry["size"])
            if kind in SECTIONS:
                if not wanted or wanted.pop(0) != kind:
                    fail("corrupt", f"section {i} ({kind!r}) is out of order")
                flags, record, limit = SECTIONS[kind]
                if entry["flags"] != flags:
                    self.model.unknown(f"section {i} ({kind!r}): flags")
                if size != count * (record.itemsize if record is not None else 1):
                    fail("corrupt", f"section {i} ({kind!r}): size and count do not fit")
                if count > limit:
                    fail("limit", f"section {i} ({kind!r}): {count} entries, the limit is {limit}")
                self.counts[kind] = count
            elif entry["flags"] & 1:
                fail("version", f"section {i} ({kind!r}) is critical and unknown")
            elif entry["flags"]:
                self.model.unknown(f"section {i} ({kind!r}): flags")
            if offset != _align(end) or offset + size > len(self.data):
                fail("corrupt", f"section {i} ({kind!r}) lies at a wrong place")
            gaps.append((end, offset))
            end = offset + size
            self.parts[kind] = self.data[offset:end]
            self.model.sections.append((kind.decode("latin-1"), size, count))
        if wanted:
            fail("corrupt", f"section {wanted[0]!r} is missing")
        if _align(end) != len(self.data):
            fail("corrupt", "the sections do not end with the file")
        gaps.append((end, len(self.data)))
        for i, entry in enumerate(table):
            start = int(entry["offset"])
            if zlib.crc32(self.data[start : start + int(entry["size"])]) != entry["crc"]:
                fail("checksum", f"section {i} ({entry['type'].tobytes()!r})")
        for begin, stop in gaps:
            if any(self.data[begin:stop]):
                fail("corrupt", f"the padding at {begin} is not zero")

    def records(self, kind: bytes) -> NDArray[Any]:
        record = SECTIONS[kind][1]
        assert record is not None
        found: NDArray[Any] = np.frombuffer(self.parts[kind], record, self.counts[kind])
        return found

    # --- strings and meta ----------------------------------------------------------------------

    def strings(self) -> None:
        strs = self.parts[b"STRS"]
        if strs and strs[-1] != 0:
            fail("corrupt", "STRS does not end with a zero byte")
        try:
            text = strs.decode("utf-8")
        except UnicodeDecodeError:
            fail("corrupt", "STRS is not UTF-8")
        if any((c < " " and c not in "\0\t\n") or c == "\x7f" for c in text):
            fail("corrupt", "STRS holds a control character")

    def text(self, ref: Any, limit: int, free_text: bool = False) -> str:
        strs = self.parts[b"STRS"]
        offset, size = int(ref["offset"]), int(ref["size"])
        if offset + size >= len(strs) or (offset and strs[offset - 1]) or strs[offset + size]:
            fail("corrupt", f"{size} bytes at {offset} of STRS are not one of its strings")
        if size > limit:
            fail("limit", f"a string of {size} bytes, the limit is {limit}")
        raw = strs[offset : offset + size]
        if 0 in raw or (not free_text and any(c < 32 or c == 127 for c in raw)):
            fail("corrupt", "a name holds a control character")
        return raw.decode("utf-8")

    def meta(self) -> None:
        last = b""
        for record in self.records(b"META"):
            key = self.text(record["key"], MAX_NAME)
            value = self.text(record["value"], MAX_META_VALUE, free_text=True)
            if key.encode() <= last:
                fail("corrupt", f"meta key {key!r}: keys are not empty, unique and sorted")
            last = key.encode()
            self.model.meta[key] = value

    # --- tensors -------------------------------------------------------------------------------

    def tensors(self) -> None:
        data = self.parts[b"DATA"]
        end = 0
        for i, record in enumerate(self.records(b"TENS")):
            tensor, constant = self.tensor(i, record)
            if constant:
                begin = _align(end)
                size = tensor.elements * ITEM_SIZE[tensor.dtype]
                if record["offset"] != begin or record["size"] != size:
                    fail("corrupt", f"tensor {i} {tensor.name!r} lies at a wrong place of DATA")
                if begin + size > len(data):
                    fail("corrupt", f"tensor {i} {tensor.name!r}: its data end behind DATA")
                if any(data[end:begin]):
                    fail("corrupt", f"tensor {i} {tensor.name!r}: the padding is not zero")
                end = begin + size
                values = np.frombuffer(data, NUMPY_DTYPES[tensor.dtype], tensor.elements, begin)
                tensor.data = values.reshape(tensor.shape)
            self.model.tensors.append(tensor)
        if end != len(data):
            fail("corrupt", "DATA does not end with its last tensor")

    def tensor(self, i: int, record: Any) -> Tuple[Tensor, bool]:
        name = self.text(record["name"], MAX_NAME)
        where = f"tensor {i} {name!r}"
        dtype = int(record["dtype"])
        if dtype not in ITEM_SIZE:
            self.model.unknown(f"{where}: unknown dtype")
        if record["kind"] not in (0, 1):
            self.model.unknown(f"{where}: unknown kind")
        if record["encoding"] != 0:
            self.model.unknown(f"{where}: unknown encoding")
        if not zero(record["reserved_a"]) or record["variant"] != 0 or not zero(record["reserved"]):
            self.model.unknown(f"{where}: reserved fields are not zero")
        rank = int(record["rank"])
        if not 1 <= rank <= 8:
            fail("corrupt", f"{where}: rank {rank}")
        dims = [int(d) for d in record["dims"]]
        if min(dims[:rank]) < 1 or any(dims[rank:]):
            fail("corrupt", f"{where}: dims {dims}")
        constant = record["kind"] == 1
        tensor = Tensor(name, dtype, tuple(dims[:rank]), record["scale"], int(record["zero_point"]))
        if tensor.elements * ITEM_SIZE[dtype] > MAX_TENSOR_BYTES:
            fail("limit", f"{where} has more than {MAX_TENSOR_BYTES} bytes")
        if dtype != S8 or (constant and zero(record["scale"])):
            if not zero(record["scale"]) or tensor.zero_point != 0:
                fail("corrupt", f"{where}: only an s8 tensor with a scale is quantized")
        elif not between(tensor.scale, 2.0**-100, 2.0**100):
            fail("corrupt", f"{where}: scale {tensor.scale}")
        elif not -128 <= tensor.zero_point <= 127:
            fail("corrupt", f"{where}: zero point {tensor.zero_point}")
        if not constant and (record["offset"] != 0 or record["size"] != 0):
            fail("corrupt", f"{where}: an activation has no data")
        return tensor, bool(constant)

    # --- preprocess and ports ------------------------------------------------------------------

    def preprocess(self) -> None:
        for i, record in enumerate(self.records(b"PREP")):
            where = f"preprocess {i}"
            mode = int(record["resize_mode"])
            unknown = mode > 3 or record["interpolation"] > 1 or record["antialias"] > 1
            if unknown or record["color_order"] > 2 or not zero(record["reserved"]):
                self.model.unknown(f"{where}: unknown mode or reserved fields")
            resize = [int(record["resize_width"]), int(record["resize_height"])]
            crop = [int(record["crop_width"]), int(record["crop_height"])]
            if mode == 0 and any(resize):
                fail("corrupt", f"{where}: a resize size without a resize mode")
            for side in resize if mode else []:
                _side(where, side)
            if mode == 1 and resize[0] != resize[1]:
                fail("corrupt", f"{where}: two different sizes for the shorter side")
            if any(crop):
                for side in crop:
                    _side(where, side)
                if mode == 3:
                    fail("corrupt", f"{where}: a letterbox cannot be cropped")
            channels = 1 if record["color_order"] == 2 else 3
            for c in range(4):
                mean, std = record["mean"][c], record["std"][c]
                if c < channels:
                    good = between(mean, -65536, 65536) and between(std, 2.0**-20, 65536)
                else:
                    good = mean == 0 and std == 1
                if not good:
                    fail("corrupt", f"{where}: bad mean or std of channel {c}")
            if record["fill"][3] != 0:
                fail("corrupt", f"{where}: bad fill colour")
            names = [name for name in PREPROCESS.names or () if name != "reserved"]
            self.model.preprocess.append({name: record[name].tolist() for name in names})

    def ports(self) -> None:
        model = self.model
        for i, record in enumerate(self.records(b"PORT")):
            name = self.text(record["name"], MAX_NAME)
            where = f"port {i} {name!r}"
            reserved = (
                zero(record["reserved_a"]) and record["exit"] == 0 and zero(record["reserved"])
            )
            if record["kind"] > 1 or not reserved:
                model.unknown(f"{where}: unknown kind or reserved fields")
            if not name:
                fail("corrupt", f"{where}: a port needs a name")
            index = int(record["tensor"])
            if index >= len(model.tensors) or model.tensors[index].constant:
                fail("corrupt", f"{where}: its tensor is out of range or a constant")
            tensor = model.tensors[index]
            rank = len(tensor.shape)
            perm = [int(axis) for axis in record["perm"]]
            if (
                record["api_rank"] != rank
                or sorted(perm[:rank]) != list(range(rank))
                or any(perm[rank:])
            ):
                fail("corrupt", f"{where}: the axes are no permutation of its tensor's")
            port = Port(
                name, index, record["kind"] == 0, tuple(perm[:rank]), int(record["preprocess"])
            )
            self.port_preprocess(where, port, tensor)
            for other in model.ports:
                if port.is_input and not other.is_input:
                    fail("corrupt", f"{where}: inputs come before outputs")
                if port.is_input != other.is_input:
                    continue
                if other.name == name or (port.is_input and other.tensor == index):
                    fail("corrupt", f"{where}: a second port of that name or tensor")
            model.ports.append(port)
        if len({port.is_input for port in model.ports}) != 2:
            fail("corrupt", "a model needs an input and an output")

    def port_preprocess(self, where: str, port: Port, tensor: Tensor) -> None:
        if port.preprocess == ABSENT:
            return
        if not port.is_input or port.preprocess >= len(self.model.preprocess):
            fail("corrupt", f"{where}: no such pre-processing")
        fields = self.model.preprocess[port.preprocess]
        size = (fields["resize_height"], fields["resize_width"])
        fixed = fields["resize_mode"] in (2, 3)
        if fields["crop_width"] > 0:
            size, fixed = (fields["crop_height"], fields["crop_width"]), True
        channels = 1 if fields["color_order"] == 2 else 3
        if (
            not fixed
            or tensor.dtype == S32
            or tensor.shape[1:] != (*size, channels)
            or len(tensor.shape) != 4
        ):
            fail("corrupt", f"{where}: its pre-processing does not give its shape")

    # --- ops and goldens -----------------------------------------------------------------------

    def ops(self) -> None:
        model = self.model
        operands = self.records(b"EPRD")
        by_input = {port.tensor for port in model.ports if port.is_input}
        by_op: Set[int] = set()
        total = 0
        for i, record in enumerate(self.records(b"OPS_")):
            name = self.text(record["name"], MAX_NAME)
            where = f"op {i} {name!r}"
            if not 1 <= record["code"] <= 25:
                model.unknown(f"{where}: unknown op code {record['code']}")
            if record["flags"] != 0 or record["exit"] != 0 or not zero(record["reserved"]):
                model.unknown(f"{where}: reserved fields are not zero")
            count = int(record["input_count"])
            if record["first_input"] != total or total + count > len(operands):
                fail("corrupt", f"{where}: its inputs are not the next ones of EPRD")
            inputs = [int(x) for x in operands[total : total + count]]
            total += count
            for index in inputs:
                if index == ABSENT:
                    continue
                if index >= len(model.tensors):
                    fail("corrupt", f"{where}: reads tensor {index}")
                if not (model.tensors[index].constant or index in by_input or index in by_op):
                    fail("corrupt", f"{where}: reads tensor {index} before it is written")
            output = int(record["output"])
            free = output < len(model.tensors) and not model.tensors[output].constant
            if not free or output in by_input or output in by_op:
                fail("corrupt", f"{where}: its output is out of range, a constant or written twice")
            by_op.add(output)
            ints = [int(x) for x in record["ints"]]
            model.ops.append(Op(name, int(record["code"]), inputs, output, ints, record["floats"]))
        if total != len(operands):
            fail("corrupt", "EPRD has ids that no op uses")
        for i, tensor in enumerate(model.tensors):
            if not (tensor.constant or i in by_input or i in by_op):
                fail("corrupt", f"tensor {i} {tensor.name!r} is never written")
        for port in model.ports:
            if not port.is_input and port.tensor not in by_op:
                fail("corrupt", f"port {port.name!r}: an output has to be the output of an op")

    def goldens(self) -> None:
        model = self.model
        digests = self.records(b"DIGS")
        total = 0
        for i, record in enumerate(self.records(b"GOLD")):
            count = int(record["digest_count"])
            if record["kind"] > 1 or not zero(record["reserved_a"]) or not zero(record["reserved"]):
                model.unknown(f"golden {i}: unknown kind or reserved fields")
            if record["first_digest"] != total or count == 0 or total + count > len(digests):
                fail("corrupt", f"golden {i}: its digests are not the next ones of DIGS")
            last = -1
            rows = []
            for d in digests[total : total + count]:
                if d["kind"] > 1 or not zero(d["reserved"]):
                    model.unknown(f"golden {i}: unknown kind of digest or reserved fields")
                op = int(d["op"])
                if op >= len(model.ops) or op <= last:
                    fail("corrupt", f"golden {i}: op {op} is out of range or order")
                last = op
                if d["kind"] == 0:
                    good = zero(d["samples"]) and zero(d["tolerance"])
                else:
                    good = zero(d["digest"]) and between(d["tolerance"], 0.0, 2.0**100)
                    good = good and model.tensors[model.ops[op].output].dtype == F32
                    good = good and all(between(x, -(2.0**127), 2.0**127) for x in d["samples"])
                if not good:
                    fail("corrupt", f"golden {i}: fields of a digest do not fit its kind")
                exact = d["kind"] == 0
                rows.append(
                    {
                        "op": op,
                        "sha256": d["digest"].tobytes().hex() if exact else "",
                        "samples": [] if exact else [float(x) for x in d["samples"]],
                        "tolerance": float(d["tolerance"]),
                    }
                )
            total += count
            model.goldens.append(
                {"kind": int(record["kind"]), "seed": int(record["seed"]), "digests": rows}
            )
        if total != len(digests):
            fail("corrupt", "DIGS has digests that no golden uses")


def _align(value: int) -> int:
    return -(-value // 64) * 64


def _side(where: str, side: int) -> None:
    if side < 1:
        fail("corrupt", f"{where}: a side of {side} pixels")
    if side > MAX_SIDE:
        fail("limit", f"{where}: a side of {side} pixels, the limit is {MAX_SIDE}")


def read(data: bytes) -> Model:
    """Judges the bytes of a file; raises :class:`FormatError` with a status of docs/format.md."""
    reader = _Reader(bytes(data))
    reader.container()
    reader.strings()
    reader.meta()
    reader.tensors()
    reader.preprocess()
    reader.ports()
    reader.ops()
    reader.goldens()
    model = reader.model
    for i in range(len(model.ops)):
        model.work += judge_op(model, i)
        if model.work > MAX_WORK:
            fail("limit", f"op {i}: the model needs more than {MAX_WORK} multiply-accumulates")
    return model


def judge(data: bytes) -> str:
    """The status of a file as one word; ``ok`` for a good one."""
    try:
        read(data)
    except FormatError as error:
        return error.status
    return "ok"
