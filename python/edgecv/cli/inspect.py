"""Show what is in an .ecv file: inputs, outputs, ops and sizes; with --plan the kernels that this
machine runs, their packed weights and scratch, and the memory of a run; with --constants how the
file stores each constant.

examples:
  edgecv inspect m.ecv
  edgecv inspect m.ecv --plan
  edgecv inspect m.ecv --constants
  edgecv inspect m.ecv --json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List

from edgecv.cli import console

if TYPE_CHECKING:
    from edgecv.format.records import Tensor
    from edgecv.infos import TensorInfo
    from edgecv.model import Model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("model", help=".ecv file")
    parser.add_argument("--plan", action="store_true", help="op -> kernel -> packing -> scratch")
    parser.add_argument(
        "--constants", action="store_true", help="constant -> elements -> bytes in the file"
    )
    parser.add_argument("--threads", type=int, help="threads to plan for (default: all allowed)")
    parser.add_argument("--isa", help="force an instruction set, e.g. reference")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Prints what the file and the plan hold."""
    import edgecv
    from edgecv.format.reader import read

    with edgecv.load(args.model, threads=args.threads, isa=args.isa) as model:
        constants = [t for t in read(Path(args.model).read_bytes()).tensors if t.constant]
        if args.json:
            print(json.dumps({**_document(model), "constants": _stored(constants)}, indent=2))
            return 0
        _head(model, constants)
        if args.plan:
            _plan(model)
        if args.constants:
            _constants(constants)
        if not (args.plan or args.constants):
            _ops(model)
    return 0


def _dims(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _port(info: TensorInfo) -> str:
    text = f"{info.name} {_dims(info.shape)} {info.dtype}"
    if info.quantization is not None:
        q = info.quantization
        text += f" (scale {q.scale:.9g}, zero point {q.zero_point})"
    return text


def _raw_bytes(tensor: Tensor) -> int:
    return 0 if tensor.data is None else int(tensor.data.nbytes)


def _stored(constants: List[Tensor]) -> List[Dict[str, Any]]:
    return [
        {
            "name": tensor.name,
            "shape": tensor.shape,
            "dtype": "" if tensor.data is None else str(tensor.data.dtype),
            "raw_bytes": _raw_bytes(tensor),
            "stored_bytes": tensor.stored,
            "coding": tensor.coding or "raw",
        }
        for tensor in constants
    ]


def _constants(constants: List[Tensor]) -> None:
    rows = [
        (
            one["name"],
            _dims(one["shape"]),
            one["dtype"],
            f"{one['stored_bytes']:,}",
            f"{8 * one['stored_bytes'] / tensor.elements:.2f}" if tensor.elements else "",
            one["coding"],
        )
        for one, tensor in zip(_stored(constants), constants)
    ]
    header = ("constant", "elements", "dtype", "bytes", "bits each", "stored as")
    console.table("", header, rows, right=(3, 4))


def _head(model: Model, constants: List[Tensor]) -> None:
    info = model.info
    coded = [tensor for tensor in constants if tensor.coding]
    storage = f"{sum(tensor.stored for tensor in constants):,} bytes in the file"
    if coded:
        storage += f", {sum(map(_raw_bytes, constants)):,} decoded"
        storage += f" ({len(coded)} of {len(constants)} are coded)"
    rows = [("input", _port(port)) for port in model.inputs]
    rows += [("output", _port(port)) for port in model.outputs]
    if model.preprocess is not None:
        rows.append(("pre-processing", model.preprocess.to_text()))
    rows += [(key, value) for key, value in model.meta.items() if key != "labels"]
    if model.labels is not None:
        rows.append(("labels", f"{len(model.labels)}"))
    rows += [
        ("file", f"{info['file_bytes']:,} bytes"),
        ("constants", storage),
        ("multiply-accumulates", f"{info['macs'] / 1e6:,.1f} million a run"),
        ("activation memory", f"{model.arena_bytes:,} bytes a session"),
        ("packed weights", f"{info['packed_bytes']:,} bytes for {model.isa}"),
        ("scratch", f"{info['scratch_bytes']:,} bytes for {model.threads} thread(s)"),
    ]
    for what, value in rows:
        print(f"{what:<22}{value}")


def _ops(model: Model) -> None:
    rows = [
        (op.name, op.op, str(op.dtype), _dims(op.shape), f"{op.macs / 1e6:.2f}" if op.macs else "")
        for op in model.ops
    ]
    console.table("", ("node", "op", "dtype", "output", "MMAC"), rows, right=(4,))


def _plan(model: Model) -> None:
    rows = []
    for step in model.steps:
        packed, scratch = f"{step.packed_bytes:,}", f"{step.scratch_bytes:,}"
        shared = "yes" if step.parallel else ""
        rows.append((step.name, step.op, step.kernel, packed, scratch, shared))
    header = ("node", "op", "kernel", "packed bytes", "scratch bytes", "shared by threads")
    console.table("", header, rows, right=(3, 4))


def _document(model: Model) -> Dict[str, Any]:
    def port(info: TensorInfo) -> Dict[str, Any]:
        q = info.quantization
        return {
            "name": info.name,
            "shape": info.shape,
            "dtype": str(info.dtype),
            "scale": None if q is None else q.scale,
            "zero_point": None if q is None else q.zero_point,
        }

    ops: List[Dict[str, Any]] = [
        {
            "name": op.name,
            "op": op.op,
            "inputs": op.inputs,
            "output": op.output,
            "shape": op.shape,
            "dtype": str(op.dtype),
            "macs": op.macs,
        }
        for op in model.ops
    ]
    steps: List[Dict[str, Any]] = [
        {
            "name": step.name,
            "op": step.op,
            "kernel": step.kernel,
            "isa": step.isa,
            "packed_bytes": step.packed_bytes,
            "scratch_bytes": step.scratch_bytes,
            "parallel": step.parallel,
            "macs": step.macs,
        }
        for step in model.steps
    ]
    preprocess = None if model.preprocess is None else model.preprocess.to_text()
    return {
        "meta": model.meta,
        "inputs": [port(info) for info in model.inputs],
        "outputs": [port(info) for info in model.outputs],
        "preprocess": preprocess,
        "ops": ops,
        "plan": {"isa": model.isa, "threads": model.threads, **model.info, "steps": steps},
    }
