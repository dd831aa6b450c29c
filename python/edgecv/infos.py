"""What a loaded model says about itself: its inputs and outputs, ops, plan and self-check; and what
callers hand to it, as arrays that the core takes.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from edgecv.errors import InputError, InputTypeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]
    Feed = Union[Array, Mapping[str, Array]]

_PICTURE = "a picture is uint8 of shape [height, width, 3], RGB"
DTYPES: Dict[str, np.dtype[Any]] = {
    "f32": np.dtype(np.float32),
    "s8": np.dtype(np.int8),
    "s32": np.dtype(np.int32),
}


@dataclass(frozen=True)
class Quantization:
    """Of an int8 tensor: real = scale * (q - zero_point)."""

    scale: float
    zero_point: int


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of a model.

    ``shape`` is the shape of the ONNX graph, which ``Model.run`` takes and gives by default, as
    float32. ``dtype`` is how the core stores the values, ``quantization`` set when that is int8.
    Raw values have ``raw_shape``: axis i of ``shape`` is axis ``perm[i]`` of ``raw_shape``.
    """

    name: str
    shape: Tuple[int, ...]
    dtype: np.dtype[Any]
    quantization: Optional[Quantization]
    raw_shape: Tuple[int, ...]
    perm: Tuple[int, ...]


@dataclass(frozen=True)
class OpInfo:
    """One op of the file: the ONNX node's name, the op of docs/ops.md, tensor names.

    ``steps`` are indices into ``Model.steps``; an op without steps is a view of its input.
    """

    name: str
    op: str
    inputs: Tuple[Optional[str], ...]
    output: str
    shape: Tuple[int, ...]
    dtype: np.dtype[Any]
    steps: Tuple[int, ...]
    macs: int


@dataclass(frozen=True)
class StepInfo:
    """One kernel call of the plan.

    ``name`` and ``op`` are those of its op, ``macs`` multiply-adds of one run, ``scratch_bytes``
    for each thread, ``parallel`` whether several threads share it. ``chain`` is the same number for
    the steps that run together a stripe of rows at a time, None for one that runs alone.
    ``milliseconds`` is the median that ``Model.profile`` measured, 0 elsewhere; the time of a chain
    is divided among its steps.
    """

    name: str
    op: str
    kernel: str
    family: str
    isa: str
    shape: Tuple[int, ...]
    macs: int
    packed_bytes: int
    scratch_bytes: int
    parallel: bool
    chain: Optional[int] = None
    milliseconds: float = 0.0


@dataclass(frozen=True)
class VerifyReport:
    """Outcome of ``Model.verify``; ``str()`` is one line.

    ``passed`` is False when a digest differs, or when the file holds none. ``op`` and ``kernel``
    name the first op that differs; the kernel is None for a view.
    """

    passed: bool
    goldens: int
    digests: int
    failed: int
    op: Optional[str]
    kernel: Optional[str]
    message: str

    def __str__(self) -> str:
        if self.passed:
            return f"PASS: {self.digests} digests of {self.goldens} golden inputs"
        if self.failed == 0:
            return "NOTHING TO VERIFY: the file holds no golden inputs"
        return f"FAIL: {self.failed} of {self.digests} digests differ; the first: {self.message}"


def tensor_info(port: Mapping[str, Any]) -> TensorInfo:
    """A port as the core describes it."""
    s8 = port["dtype"] == "s8"
    return TensorInfo(
        name=port["name"],
        shape=port["shape"],
        dtype=DTYPES[port["dtype"]],
        quantization=Quantization(port["scale"], port["zero_point"]) if s8 else None,
        raw_shape=port["stored_shape"],
        perm=port["perm"],
    )


def make_inputs(infos: Sequence[TensorInfo], x: Feed, raw: bool) -> List[Tuple[Array, bool]]:
    """The inputs in order, each with whether it is in the raw layout."""
    if isinstance(x, Mapping):
        names = [info.name for info in infos]
        unknown = [str(name) for name in x if name not in names]
        missing = [name for name in names if name not in x]
        if unknown or missing:
            wrong = [f"unknown: {', '.join(map(repr, unknown))}"] if unknown else []
            wrong += [f"missing: {', '.join(map(repr, missing))}"] if missing else []
            raise InputError(
                f"the model's inputs are {', '.join(map(repr, names))}; {'; '.join(wrong)}"
            )
        return [_input(info, x[info.name], raw) for info in infos]
    if len(infos) != 1:
        listed = ", ".join(repr(info.name) for info in infos)
        raise InputError(f"the model has {len(infos)} inputs: give a dict of {listed}")
    return [_input(infos[0], x, raw)]


def shape_text(shape: Sequence[int]) -> str:
    """A shape as messages show it."""
    return "[" + ", ".join(map(str, shape)) + "]"


def _input(info: TensorInfo, value: Any, raw: bool) -> Tuple[Array, bool]:
    """The array as the core takes it, and whether it is in the raw layout."""
    array = np.asarray(value)
    floating = array.dtype.kind == "f"
    as_stored = raw and not (info.dtype == np.int8 and floating)
    shape = info.raw_shape if as_stored else info.shape
    if as_stored or info.dtype == np.int32:
        wanted = info.dtype
        fits = array.dtype == wanted or (wanted == np.float32 and floating)
    else:
        wanted = np.dtype(np.float32)
        fits = floating
    if not fits or array.shape != shape:
        what = InputError if fits else InputTypeError
        raise what(
            f"input {info.name!r} takes {wanted} of shape {shape_text(shape)}, "
            f"not {array.dtype} of shape {shape_text(array.shape)}"
        )
    return np.require(array, wanted, ["C", "A"]), as_stored


def make_picture(image: Any) -> NDArray[np.uint8]:
    """A path or an array as a picture: uint8 [height, width, 3]."""
    if isinstance(image, (str, os.PathLike)):
        from edgecv.images import read_image

        return read_image(image)
    array = np.asarray(image)
    if array.dtype != np.uint8:
        raise InputTypeError(f"{_PICTURE}, not {array.dtype}")
    if array.ndim != 3 or array.shape[2] != 3:
        raise InputError(f"{_PICTURE}, not of shape {shape_text(array.shape)}")
    return np.ascontiguousarray(array)
