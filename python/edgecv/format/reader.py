"""Reads an ``.ecv`` file: an implementation of docs/format.md that shares nothing with the writer.

:func:`read` judges everything the C++ reader judges, in the same order and with the same statuses,
so that each can be tested against the other.
"""

from __future__ import annotations

from typing import Any, Set, Tuple

import numpy as np

from edgecv.errors import FormatError
from edgecv.format.coded import decode, describe
from edgecv.format.container import Container, align
from edgecv.format.judge_ops import judge_op
from edgecv.format.records import (
    ABSENT,
    F32,
    ITEM_SIZE,
    MAX_DECODED_BYTES,
    MAX_NAME,
    MAX_SIDE,
    MAX_TENSOR_BYTES,
    MAX_WORK,
    NUMPY_DTYPES,
    PREPROCESS,
    S8,
    S32,
    Model,
    Op,
    Port,
    Tensor,
    between,
    fail,
    zero,
)


class _Reader(Container):
    # --- tensors -------------------------------------------------------------------------------

    def tensors(self) -> None:
        data = self.parts[b"DATA"]
        end = decoded = 0
        for i, record in enumerate(self.records(b"TENS")):
            tensor, constant = self.tensor(i, record)
            if constant:
                begin, size = align(end), int(record["size"])
                whole = tensor.elements * ITEM_SIZE[tensor.dtype]
                coded = record["encoding"] == 1
                if record["offset"] != begin or (not coded and size != whole):
                    fail("corrupt", f"tensor {i} {tensor.name!r} lies at a wrong place of DATA")
                if begin + size > len(data):
                    fail("corrupt", f"tensor {i} {tensor.name!r}: its data end behind DATA")
                if any(data[end:begin]):
                    fail("corrupt", f"tensor {i} {tensor.name!r}: the padding is not zero")
                end = begin + size
                dtype = NUMPY_DTYPES[tensor.dtype]
                tensor.stored = size
                if coded:
                    decoded += whole
                    if decoded > MAX_DECODED_BYTES:
                        fail("limit", f"tensor {i} {tensor.name!r}: too large, decoded")
                    where, part = f"tensor {i} {tensor.name!r}", data[begin:end]
                    tensor.data = decode(self.model, where, part, tensor.shape, dtype)
                    tensor.coding = describe(part)
                else:
                    values = np.frombuffer(data, dtype, tensor.elements, begin)
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
        coded = record["encoding"] == 1
        if record["encoding"] > 1 or (coded and self.model.minor < 1):
            self.model.unknown(f"{where}: unknown encoding")
        if coded and (record["kind"] != 1 or dtype == S32):
            fail("corrupt", f"{where}: only s8 and f32 constants are coded")
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
