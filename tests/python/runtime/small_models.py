"""Small lowered graphs, written by hand, and their files."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

import numpy as np

from edgecv.format.writer import write
from edgecv.graph.ir import Graph, Node, Port, Value

INF = float("inf")


class Builder:
    """Adds ops one by one; every method returns the name of its output."""

    def __init__(self, seed: int = 1) -> None:
        self.graph = Graph("small")
        self.random = np.random.default_rng(seed)

    def input(self, name: str, shape: Sequence[int], perm: Sequence[int], dtype: str = "s8", **q: Any) -> str:
        """shape: stored."""
        value = self.graph.add(Value(f"{name}_t", tuple(shape), dtype, **self._quantized(dtype, q)))
        api = tuple(shape[axis] for axis in perm)
        self.graph.inputs.append(Port(name, value.name, api, tuple(perm)))
        return value.name

    def output(self, name: str, value: str, perm: Sequence[int]) -> None:
        shape = self.graph.values[value].shape
        self.graph.outputs.append(Port(name, value, tuple(shape[axis] for axis in perm), tuple(perm)))

    @staticmethod
    def _quantized(dtype: str, q: Mapping[str, Any]) -> dict[str, Any]:
        if dtype != "s8":
            return {}
        return {"scale": float(np.float32(q.get("scale", 0.05))), "zero_point": q.get("zero_point", 3)}

    def op(self, op: str, name: str, inputs: Sequence[str], shape: Sequence[int], dtype: str = "s8",
           q: Mapping[str, Any] | None = None, **attrs: Any) -> str:  # fmt: skip
        value = self.graph.add(Value(f"{name}_t", tuple(shape), dtype, **self._quantized(dtype, q or {})))
        self.graph.nodes.append(Node(op, name, list(inputs), [value.name], attrs))
        return value.name

    def constant(self, name: str, data: Any, dtype: str) -> str:
        return self.graph.constant(name, np.asarray(data), dtype).name

    def conv(self, name: str, x: str, out_c: int, kernel: int = 3, stride: int = 1, groups: int = 1,
             lo: int = -128, hi: int = 127) -> str:  # fmt: skip
        n, h, w, c = self.graph.values[x].shape
        pad = kernel // 2
        oh, ow = (h + 2 * pad - kernel) // stride + 1, (w + 2 * pad - kernel) // stride + 1
        weights = self.random.integers(-127, 128, (out_c, kernel, kernel, c // groups))
        m = np.float32(0.6) / (kernel * 73 * np.sqrt(c // groups)) * self.random.uniform(0.5, 1, out_c)
        return self.op(
            "Conv2d", name,
            [x, self.constant(f"{name}_w", weights, "s8"),
             self.constant(f"{name}_b", self.random.integers(-3000, 3000, out_c), "s32"),
             self.constant(f"{name}_m", m.astype(np.float32), "f32")],
            (n, oh, ow, out_c), stride_h=stride, stride_w=stride, dilation_h=1, dilation_w=1, pad_top=pad,
            pad_left=pad, pad_bottom=pad, pad_right=pad, groups=groups, lo=lo, hi=hi,
        )  # fmt: skip

    def fully_connected(self, name: str, x: str, n: int) -> str:
        rows, k = self.graph.values[x].shape
        return self.op(
            "FullyConnected", name,
            [x, self.constant(f"{name}_w", self.random.integers(-127, 128, (n, k)), "s8"),
             self.constant(f"{name}_b", self.random.integers(-3000, 3000, n), "s32"),
             self.constant(f"{name}_m", np.full(n, 0.6 / (73 * np.sqrt(k)), np.float32), "f32")],
            (rows, n), lo=-128, hi=127,
        )  # fmt: skip

    def softmax(self, name: str, x: str) -> str:
        value = self.graph.values[x]
        bits = min(23, 30 - int(np.ceil(np.log2(value.shape[-1]))))
        table = np.rint(2.0**bits * np.exp(-value.scale * np.arange(256)))
        return self.op(
            "Softmax", name, [x, self.constant(f"{name}_table", table, "s32")], value.shape,
            q={"scale": 1 / 256, "zero_point": -128},
        )  # fmt: skip

    def file(self, **options: Any) -> bytes:
        return write(self.graph, **{"meta": {}, "preprocess": {}, **options})


def small_builder(batch: int = 1) -> Builder:
    """A net with a residual, a concat, views and a softmax, all s8: image [batch, 3, 16, 16] to scores [batch, 10]."""
    b = Builder()
    x = b.input("image", (batch, 16, 16, 3), (0, 3, 1, 2), scale=1 / 64, zero_point=-5)
    stem = b.conv("stem", x, 16, stride=2, lo=3)
    depthwise = b.conv("depthwise", stem, 16, groups=16)
    mixed = b.op("Add", "residual", [stem, depthwise], b.graph.values[stem].shape, ma=0.75, mb=0.5, lo=-128, hi=127)
    point = b.conv("point", mixed, 24, kernel=1)
    joined = b.op("Concat", "joined", [point, mixed], (batch, 8, 8, 40), axis=3)
    pooled = b.op("MaxPool2d", "pooled", [joined], (batch, 4, 4, 40), kernel_h=2, kernel_w=2, stride_h=2,
                  stride_w=2, dilation_h=1, dilation_w=1, pad_top=0, pad_left=0, pad_bottom=0, pad_right=0)  # fmt: skip
    part = b.op("Slice", "part", [pooled], (batch, 4, 4, 20), start=[0, 0, 0, 1], step=[1, 1, 1, 2])
    mean = b.op("ReduceMean", "mean", [part], (batch, 1, 1, 20), first_axis=1, last_axis=2, lo=-128, hi=127,
                m=float(np.float32(1 / 16)))  # fmt: skip
    flat = b.op("Reshape", "flat", [mean], (batch, 20))
    logits = b.fully_connected("logits", flat, 10)
    scores = b.softmax("scores", logits)
    b.output("features", mixed, (0, 3, 1, 2))
    b.output("scores", scores, (0, 1))
    return b


def small_file(**options: Any) -> bytes:
    """The file of small_builder()."""
    return small_builder().file(**options)
