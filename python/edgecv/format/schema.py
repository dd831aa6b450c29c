"""The op table of docs/ops.md as data: codes, and attribute names by position.

``Node.attrs`` of a lowered graph uses exactly these names. Lists (``start``, ``step``, ``perm``,
``before``) have one entry a dim.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Tuple

MAX_RANK = 8
OP_INTS = 16
OP_FLOATS = 8

DTYPE_CODES: Dict[str, int] = {"f32": 1, "s8": 2, "s32": 3}


@dataclass(frozen=True)
class Form:
    """How one op is stored for one dtype: attribute names by position, ``_`` where unused.

    ``name[8]`` is a list of up to 8 entries. ``inputs`` is the length of the input list, 0 when
    it varies; absent optional inputs are stored as such up to that length.
    """

    inputs: int
    ints: Tuple[str, ...] = ()
    floats: Tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class OpSchema:
    """One op: its code and its forms by the output's dtype (``any`` when all are the same)."""

    code: int
    forms: Mapping[str, Form]

    def form(self, dtype: str) -> Form:
        """The form for an output of ``dtype``; KeyError when the op has none."""
        return self.forms["any"] if "any" in self.forms else self.forms[dtype]


_INF = float("inf")
_WINDOW = "stride_h stride_w dilation_h dilation_w pad_top pad_left pad_bottom pad_right"
_CLAMP_S8: Dict[str, Any] = {"lo": -128, "hi": 127}
_CLAMP_F32: Dict[str, Any] = {"lo": -_INF, "hi": _INF}
_CONV: Dict[str, Any] = {"dilation_h": 1, "dilation_w": 1, "output_pad_h": 0, "output_pad_w": 0}


def _form(inputs: int, ints: str = "", floats: str = "", **defaults: Any) -> Form:
    return Form(inputs, tuple(ints.split()), tuple(floats.split()), defaults)


def _binary(code: int, multipliers: str) -> OpSchema:
    forms: Dict[str, Form] = {"f32": _form(2, "", "lo hi", **_CLAMP_F32)}
    if multipliers:
        forms["s8"] = _form(2, "lo hi", multipliers, **_CLAMP_S8)
    return OpSchema(code, forms)


_POOL = "kernel_h kernel_w " + _WINDOW

OPS: Dict[str, OpSchema] = {
    "Conv2d": OpSchema(
        1,
        {
            "s8": _form(4, _WINDOW + " groups lo hi", **_CONV, **_CLAMP_S8),
            "f32": _form(3, _WINDOW + " groups", "lo hi", **_CONV, **_CLAMP_F32),
        },
    ),
    "ConvTranspose2d": OpSchema(
        2,
        {
            "s8": _form(
                4, _WINDOW + " groups lo hi output_pad_h output_pad_w", **_CONV, **_CLAMP_S8
            ),
            "f32": _form(
                3, _WINDOW + " groups _ _ output_pad_h output_pad_w", "lo hi", **_CONV, **_CLAMP_F32
            ),
        },
    ),
    "FullyConnected": OpSchema(
        3, {"s8": _form(4, "lo hi", **_CLAMP_S8), "f32": _form(3, "", "lo hi", **_CLAMP_F32)}
    ),
    "MatMul": OpSchema(
        4,
        {
            "s8": _form(2, "transpose_b lo hi", "m", transpose_b=0, **_CLAMP_S8),
            "f32": _form(2, "transpose_b", transpose_b=0),
        },
    ),
    "Add": _binary(5, "ma mb"),
    "Sub": _binary(6, "ma mb"),
    "Mul": _binary(7, "m"),
    "Div": _binary(8, ""),
    "Lookup": OpSchema(9, {"s8": _form(2)}),
    "Unary": OpSchema(10, {"f32": _form(1, "function", "alpha beta", alpha=0.0, beta=0.0)}),
    "PRelu": OpSchema(11, {"s8": _form(2, "lo hi", "m_positive", **_CLAMP_S8), "f32": _form(2)}),
    "Softmax": OpSchema(12, {"s8": _form(2), "f32": _form(1)}),
    "LayerNorm": OpSchema(
        13, {"s8": _form(3, "lo hi", "e", **_CLAMP_S8), "f32": _form(3, "", "epsilon")}
    ),
    "MaxPool2d": OpSchema(14, {"any": _form(1, _POOL, dilation_h=1, dilation_w=1)}),
    "AveragePool2d": OpSchema(
        15,
        {
            "s8": _form(
                2,
                _POOL + " count_include_pad lo hi declared_pad_bottom declared_pad_right",
                dilation_h=1,
                dilation_w=1,
                **_CLAMP_S8,
            ),
            "f32": _form(
                1,
                _POOL + " count_include_pad _ _ declared_pad_bottom declared_pad_right",
                dilation_h=1,
                dilation_w=1,
            ),
        },
    ),
    "ReduceMean": OpSchema(
        16,
        {
            "s8": _form(1, "first_axis last_axis lo hi", "m", **_CLAMP_S8),
            "f32": _form(1, "first_axis last_axis"),
        },
    ),
    "Concat": OpSchema(17, {"any": _form(0, "axis")}),
    "Slice": OpSchema(18, {"any": _form(1, "start[8] step[8]")}),
    "Pad": OpSchema(
        19, {"s8": _form(1, "before[8] fill_s8"), "f32": _form(1, "before[8]", "fill_f32")}
    ),
    "Reshape": OpSchema(20, {"any": _form(1)}),
    "Transpose": OpSchema(21, {"any": _form(1, "perm[8]")}),
    "Resize2d": OpSchema(22, {"any": _form(5)}),
    "ArgMax": OpSchema(23, {"any": _form(1)}),
    "Quantize": OpSchema(24, {"any": _form(1)}),
    "Dequantize": OpSchema(25, {"any": _form(1)}),
}

# The pads an average pool counts: where they are not given they are the pads themselves.
DECLARED_PADS: Dict[str, str] = {
    "declared_pad_bottom": "pad_bottom",
    "declared_pad_right": "pad_right",
}


def expand(names: Tuple[str, ...]) -> List[Tuple[str, int]]:
    """Positions of a form as (name, entry); entry is -1 for a plain attribute."""
    slots: List[Tuple[str, int]] = []
    for name in names:
        if name.endswith("[8]"):
            slots.extend((name[:-3], i) for i in range(MAX_RANK))
        else:
            slots.append((name, -1))
    return slots


@dataclass
class Digest:
    """What must come out of op number ``op`` (its place in ``Graph.nodes``).

    Exact when ``sha256`` is set: SHA-256 of the output's stored bytes (stored layout,
    little-endian, no padding). Otherwise ``samples`` are the f32 elements floor(i * count / 16),
    i = 0..15, and ``tolerance`` the largest absolute difference allowed.
    """

    op: int
    sha256: bytes = b""
    samples: Tuple[float, ...] = ()
    tolerance: float = 0.0


@dataclass
class Golden:
    """One way to check a file: inputs generated from ``seed``, and what must come out.

    ``kind`` 0: the whole model runs; 1: each op of ``digests`` runs alone, its activation inputs
    generated.
    """

    seed: int
    digests: List[Digest]
    kind: int = 0
