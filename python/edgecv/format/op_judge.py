"""What the rules of the single ops share: one op with its tensors at hand."""

from __future__ import annotations

from typing import Any, List, NoReturn, Optional, Sequence, Tuple

from numpy.typing import NDArray

from edgecv.format.records import ABSENT, DTYPE_NAMES, S8, S32, Model, Tensor, between, fail, zero

ACC_MAX = 2**31 - 1
WINDOW_MAX = 32767


class OpJudge:
    """One op with its tensors at hand; every failure names it."""

    def __init__(self, model: Model, index: int) -> None:
        self.model = model
        self.op = model.ops[index]
        self.index = index
        self.ints = self.op.ints
        self.floats = self.op.floats
        self.y = model.tensors[self.op.output]
        self.x: List[Optional[Tensor]] = [
            None if i == ABSENT else model.tensors[i] for i in self.op.inputs
        ]

    def bad(self, rule: str) -> NoReturn:
        """Refuses the op, by name."""
        fail("corrupt", f"op {self.index} {self.op.name!r} (code {self.op.code}): {rule}")

    def need(self, good: Any, rule: str) -> None:
        """Refuses the op unless ``good``."""
        if not good:
            self.bad(rule)

    @property
    def s8(self) -> bool:
        """Whether the output is s8."""
        return self.y.dtype == S8

    def operand(self, i: int) -> Tensor:
        """Input ``i``; refuses an absent one."""
        tensor = self.x[i] if i < len(self.x) else None
        if tensor is None:
            self.bad(f"input {i} is absent")
        return tensor

    def inputs(self, count: int, optional: Sequence[int] = ()) -> None:
        """Exactly ``count`` inputs, absent only at ``optional``; input 0 is an activation."""
        self.need(len(self.x) == count, f"{len(self.x)} inputs, not {count}")
        for i in range(count):
            if i not in optional:
                self.operand(i)
        self.need(not self.operand(0).constant, "input 0 is a constant")

    def attributes(self, ints: int, floats: int) -> None:
        """Ints and floats from these positions on are 0."""
        self.need(not any(self.ints[ints:]), "unused ints are not 0")
        self.need(zero(self.floats[floats:]), "unused floats are not 0")

    def int_range(self, i: int, lo: int, hi: int) -> None:
        """``ints[i]`` lies within lo and hi."""
        self.need(
            lo <= self.ints[i] <= hi, f"ints[{i}] = {self.ints[i]} is not within {lo} and {hi}"
        )

    def activation(self, i: int, dtype: int) -> None:
        """Input ``i`` is an activation of ``dtype``."""
        tensor = self.operand(i)
        self.need(
            not tensor.constant and tensor.dtype == dtype,
            f"input {i} is no {DTYPE_NAMES[dtype]} activation",
        )

    def constant(self, i: int, dtype: int, shape: Tuple[int, ...]) -> NDArray[Any]:
        """The values of input ``i``, a constant of this dtype and shape without a scale."""
        tensor = self.operand(i)
        plain = tensor.data is not None and tensor.dtype == dtype and zero(tensor.scale)
        if not plain or tensor.shape != shape or tensor.data is None:
            self.bad(f"input {i} is no plain {DTYPE_NAMES[dtype]} constant of shape {shape}")
        return tensor.data

    def s8_or_f32(self) -> None:
        """Input 0 and output are both s8 or both f32."""
        self.need(self.operand(0).dtype == self.y.dtype != S32, "not both s8 or both f32")

    def shape(self, want: Tuple[int, ...]) -> None:
        """The output has this shape."""
        self.need(self.y.shape == want, f"the output has shape {self.y.shape}, not {want}")

    def moves(self, tensor: Tensor) -> None:
        """The output has the dtype, scale and zero point of ``tensor``."""
        same = tensor.dtype == self.y.dtype and tensor.zero_point == self.y.zero_point
        same = same and tensor.scale.tobytes() == self.y.scale.tobytes()
        self.need(same, "input and output differ in dtype, scale or zero point")

    def clamp_s8(self, i: int) -> None:
        """``ints[i]``, ``ints[i + 1]`` are a range of s8."""
        lo, hi = self.ints[i], self.ints[i + 1]
        self.need(-128 <= lo <= hi <= 127, f"lo {lo} and hi {hi} are no range of s8")

    def clamp_f32(self) -> None:
        """``floats[0]``, ``floats[1]`` are a range."""
        self.need(self.floats[0] <= self.floats[1], "lo is above hi, or one is a NaN")

    def accumulator(self, bound: int) -> None:
        """``bound`` fits an s32."""
        self.need(bound <= ACC_MAX, f"an accumulator can reach {bound}, beyond 2^31 - 1")

    def multiplier(self, m: Any, bound: int) -> None:
        """``m`` is in range and keeps ``bound`` below 2^31."""
        self.need(between(m, 2.0**-100, 2.0**20), f"multiplier {m} is not within 2^-100 and 2^20")
        self.need(float(bound) * float(m) < 2.0**31, f"multiplier {m} takes {bound} beyond 2^31")


def reach(tensor: Tensor) -> int:
    """The largest |q - zero_point| of an s8 tensor."""
    return max(127 - tensor.zero_point, tensor.zero_point + 128)
