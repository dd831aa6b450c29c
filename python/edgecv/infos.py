"""What a loaded model says about itself: its inputs and outputs, ops, plan and self-check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional, Tuple

import numpy as np


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
