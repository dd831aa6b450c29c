"""The graphs of tests/data/golden: tiny lowered models; together they use every op and dtype."""

from __future__ import annotations

import hashlib
from typing import Any, Callable, Dict, List, Sequence, Tuple

import numpy as np

from edgecv.format.generator import generate
from edgecv.format.reader import read
from edgecv.format.schema import Digest, Golden
from edgecv.format.to_graph import to_graph
from edgecv.format.writer import write
from edgecv.graph.interpret import interpret, interpret_node
from edgecv.graph.ir import Graph, Node, Port, Value

QUANT = (0.0625, 3)  # the scale and zero point most s8 activations share


class Builder:
    """Adds constants, activations and nodes with names that count up."""

    def __init__(self, name: str, seed: int) -> None:
        self.graph = Graph(name)
        self.random = np.random.default_rng(seed)

    def input(self, name: str, shape: Tuple[int, ...], dtype: str, perm: Sequence[int] = ()) -> str:
        scale, zero_point = QUANT if dtype == "s8" else (0.0, 0)
        self.graph.add(Value(name, shape, dtype, None, scale, zero_point))
        perm = tuple(perm) or tuple(range(len(shape)))
        self.graph.inputs.append(Port(name, name, tuple(shape[p] for p in perm), perm))
        return name

    def output(self, name: str, value: str, perm: Sequence[int] = ()) -> None:
        shape = self.graph.values[value].shape
        perm = tuple(perm) or tuple(range(len(shape)))
        self.graph.outputs.append(Port(name, value, tuple(shape[p] for p in perm), perm))

    def const(self, data: Any, dtype: str) -> str:
        return self.graph.constant("c", np.asarray(data), dtype).name

    def weights(self, *shape: int) -> str:
        return self.const(self.random.integers(-127, 128, shape), "s8")

    def bias(self, n: int) -> str:
        return self.const(self.random.integers(-500, 500, n), "s32")

    def floats(self, *shape: int) -> str:
        return self.const(self.random.integers(-64, 65, shape) / 32.0, "f32")

    def multipliers(self, n: int) -> str:
        return self.const(np.float32(0.001) * np.arange(1, n + 1, dtype=np.float32), "f32")

    def node(
        self,
        op: str,
        inputs: List[str],
        shape: Tuple[int, ...],
        dtype: str = "s8",
        quant: Tuple[float, int] = QUANT,
        **attrs: Any,
    ) -> str:
        scale, zero_point = quant if dtype == "s8" else (0.0, 0)
        name = self.graph.fresh(op.lower())
        self.graph.add(Value(name, shape, dtype, None, scale, zero_point))
        self.graph.nodes.append(Node(op, f"node_{name}", inputs, [name], attrs))
        return name


def window(stride: int = 1, pad: int = 0, dilation: int = 1) -> Dict[str, int]:
    """Stride, dilation and pads, the same on both axes and sides."""
    names = ("stride", stride), ("dilation", dilation)
    attrs = {f"{name}_{axis}": value for name, value in names for axis in "hw"}
    return {**attrs, **{f"pad_{side}": pad for side in ("top", "left", "bottom", "right")}}


def _sha(array: np.ndarray[Any, Any]) -> bytes:
    return hashlib.sha256(array.tobytes()).digest()


def goldens(graph: Graph, seed: int) -> List[Golden]:
    """The whole model and every op alone, as the numpy interpreter has them.

    Outputs of f32 ops are kept as samples, coarse enough that no last bit of a numpy shows in the
    file; all others exactly.
    """
    feed = {
        port.name: generate(
            seed + i, graph.values[port.value].dtype, graph.values[port.value].shape
        )
        for i, port in enumerate(graph.inputs)
    }
    whole = interpret(graph, {p.name: feed[p.name].transpose(p.perm) for p in graph.inputs})
    records = [Golden(seed, []), Golden(seed + 100, [], kind=1)]
    for index, node in enumerate(graph.nodes):
        records[0].digests.append(_digest(index, node, whole[node.outputs[0]]))
        alone = {
            name: generate(seed + 100 + i, graph.values[name].dtype, graph.values[name].shape)
            for i, name in enumerate(node.inputs)
            if name and not graph.values[name].is_constant
        }
        records[1].digests.append(_digest(index, node, interpret_node(graph, node, alone)))
    return records


def finish(
    b: Builder, seed: int, meta: Dict[str, str], storage: str = "raw", **preprocess: Any
) -> bytes:
    """The file with goldens; the interpreter takes the graph as a file has it, attributes set."""
    plain = to_graph(read(write(b.graph, meta=meta, preprocess=preprocess)))
    records = goldens(plain, seed)
    return write(b.graph, meta=meta, preprocess=preprocess, goldens=records, storage=storage)


def _digest(index: int, node: Node, y: np.ndarray[Any, Any]) -> Digest:
    if y.dtype != np.float32 or node.op == "Dequantize":
        return Digest(index, _sha(np.ascontiguousarray(y)))
    flat = y.ravel()[np.arange(16) * y.size // 16]
    coarse = np.clip(np.nan_to_num(np.rint(flat * 64) / 64), -1e30, 1e30)
    return Digest(index, samples=tuple(coarse.tolist()), tolerance=2.0**-5)


def mlp() -> bytes:
    """Quantize, FullyConnected, Dequantize; its digests come from docs/ops.md, spelt out here."""
    b = Builder("mlp", 1)
    x = b.input("x", (2, 3), "f32")
    q = b.node("Quantize", [x], (2, 3))
    names = [b.weights(4, 3), b.bias(4), b.multipliers(4)]
    y = b.node("FullyConnected", [q, *names], (2, 4), quant=(0.25, -5), lo=-100, hi=100)
    b.output("y", b.node("Dequantize", [y], (2, 4), "f32"))
    weights, bias, m = (b.graph.values[name].data for name in names)
    assert weights is not None
    assert bias is not None
    assert m is not None

    def quantize(v: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        t = np.rint(v / np.float32(QUANT[0]))
        return (np.clip(t, -128 - QUANT[1], 127 - QUANT[1]) + QUANT[1]).astype(np.int8)

    def connected(v: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        acc = (v.astype(np.int32) - QUANT[1]) @ weights.astype(np.int32).T + bias
        scaled = np.rint(acc.astype(np.float32) * m)
        return np.clip(scaled - 5, -100, 100).astype(np.int8)

    def dequantize(v: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return (v.astype(np.int32) + 5).astype(np.float32) * np.float32(0.25)

    steps = [quantize(generate(7, "f32", (2, 3)))]
    steps.append(connected(steps[0]))
    steps.append(dequantize(steps[1]))
    alone = [
        quantize(generate(9, "f32", (2, 3))),
        connected(generate(9, "s8", (2, 3))),
        dequantize(generate(9, "s8", (2, 4))),
    ]
    goldens = [
        Golden(7, [Digest(i, _sha(step)) for i, step in enumerate(steps)]),
        Golden(9, [Digest(i, _sha(step)) for i, step in enumerate(alone)], kind=1),
    ]
    return write(b.graph, meta={"producer": "golden"}, preprocess={}, goldens=goldens)


def convnet() -> bytes:
    """A classifier in small: pre-processing, labels, NCHW ports, convolutions, pools, softmax."""
    b = Builder("convnet", 2)
    x = b.input("image", (1, 6, 6, 3), "f32", (0, 3, 1, 2))
    q = b.node("Quantize", [x], (1, 6, 6, 3))
    parts = [b.weights(4, 3, 3, 3), b.bias(4), b.multipliers(4)]
    c = b.node("Conv2d", [q, *parts], (1, 3, 3, 4), **window(2, 1), groups=1, lo=3, hi=127)
    parts = [b.weights(4, 3, 3, 1), b.bias(4), b.multipliers(4)]
    d = b.node("Conv2d", [c, *parts], (1, 3, 3, 4), **window(1, 1), groups=4)
    s = b.node("Add", [c, d], (1, 3, 3, 4), ma=0.5, mb=0.75)
    pool = dict(kernel_h=2, kernel_w=2, **window(2))
    pool["pad_bottom"] = pool["pad_right"] = 1
    p = b.node("MaxPool2d", [s], (1, 2, 2, 4), **pool)
    m = b.const(np.float32(1) / np.arange(1, 5, dtype=np.float32), "f32")
    average = dict(kernel_h=2, kernel_w=2, **window(1), count_include_pad=1)
    a = b.node("AveragePool2d", [p, m], (1, 1, 1, 4), **average)
    r = b.node("Reshape", [a], (1, 4))
    parts = [b.weights(5, 4), b.bias(5), b.multipliers(5)]
    f = b.node("FullyConnected", [r, *parts], (1, 5))
    table = np.rint(2.0**20 * np.exp(-QUANT[0] * np.arange(256.0)))
    f = b.node("Softmax", [f, b.const(table, "s32")], (1, 5), quant=(2.0**-8, -128))
    b.output("scores", b.node("Dequantize", [f], (1, 5), "f32"))
    b.output("class", b.node("ArgMax", [f], (1, 1), "s32"))
    preprocess = {
        "resize_mode": 1,
        "antialias": 1,
        "resize_width": 8,
        "resize_height": 8,
        "crop_width": 6,
        "crop_height": 6,
        "mean": [127.0, 127.0, 127.0],
        "std": [128.0, 128.0, 128.0],
    }
    meta = {"producer": "golden", "labels": "ant\nbee\nçat\ndog\neel"}
    return finish(b, 20, meta, image=preprocess)


def s8ops() -> bytes:
    """Every s8 op that convnet lacks."""
    b = Builder("s8ops", 3)
    x = b.input("x", (1, 2, 3, 4), "s8")
    parts = [b.weights(2, 2, 2, 2), b.bias(2), b.multipliers(2)]
    attrs = dict(window(2), groups=2, output_pad_h=1)
    t = b.node("ConvTranspose2d", [x, *parts], (1, 5, 6, 2), **attrs)
    b.output("transposed", t)
    k = b.node("MatMul", [x, x], (1, 2, 3, 3), transpose_b=1, m=2.0**-10)
    k = b.node("Sub", [k, b.weights(3)], (1, 2, 3, 3), ma=1.0, mb=0.5)
    k = b.node("Mul", [k, k], (1, 2, 3, 3), m=0.125, lo=-90)
    k = b.node("Lookup", [k, b.const(np.arange(-128, 128)[::-1], "s8")], (1, 2, 3, 3))
    slopes = b.const(np.float32([0.5, -0.25, 0]), "f32")
    k = b.node("PRelu", [k, slopes], (1, 2, 3, 3), m_positive=1.0)
    k = b.node("LayerNorm", [k, b.floats(3), b.floats(3)], (1, 2, 3, 3), e=0.5)
    b.output("mean", b.node("ReduceMean", [k], (1, 1, 1, 3), first_axis=1, last_axis=2, m=0.25))
    index = b.const([[0, 0, 1], [1, 1, 1]], "s32")
    weight = b.const([0, 1024, 2048], "s32")
    index_w = b.const([[0], [2]], "s32")
    k = b.node("Resize2d", [k, index, weight, index_w, b.const([512], "s32")], (1, 3, 1, 3))
    k = b.node("Pad", [k], (1, 3, 2, 3), before=[0, 0, 1, 0], fill_s8=-7)
    k = b.node("Concat", [k, k], (1, 3, 2, 6), axis=3)
    k = b.node("Slice", [k], (1, 2, 2, 2), start=[0, 0, 0, 1], step=[1, 2, 1, 4])
    k = b.node("Transpose", [k], (2, 1, 2, 2), perm=[3, 0, 1, 2])
    b.output("moved", b.node("Reshape", [k], (8,)))
    return finish(b, 30, {"producer": "golden"})


def f32ops() -> bytes:
    """Every f32 op, with optional inputs absent once and present once."""
    b = Builder("f32ops", 4)
    x = b.input("x", (1, 4, 4, 2), "f32", (0, 3, 1, 2))
    inf = float("inf")

    def f32(op: str, inputs: List[str], shape: Tuple[int, ...], **attrs: Any) -> str:
        return b.node(op, inputs, shape, "f32", **attrs)

    k = f32("Conv2d", [x, b.floats(2, 3, 3, 2)], (1, 4, 4, 2), **window(1, 1), groups=1, lo=0.0)
    parts = [b.floats(2, 2, 2, 1), b.floats(2)]
    k = f32("ConvTranspose2d", [k, *parts], (1, 8, 8, 2), **window(2), groups=2, lo=-inf, hi=6.0)
    pool = dict(kernel_h=2, kernel_w=2, **window(2))
    k = f32("MaxPool2d", [k], (1, 4, 4, 2), **pool)
    k = f32("AveragePool2d", [k], (1, 2, 2, 2), **pool, count_include_pad=0)
    k = f32("Add", [k, b.floats(2)], (1, 2, 2, 2))
    k = f32("Sub", [b.floats(1), k], (1, 2, 2, 2))
    k = f32("Mul", [k, k], (1, 2, 2, 2), hi=6.0)
    k = f32("Div", [k, b.const([3.0], "f32")], (1, 2, 2, 2))
    k = f32("Unary", [k], (1, 2, 2, 2), function="clip", alpha=-1.0, beta=1.0)
    k = f32("Unary", [k], (1, 2, 2, 2), function="hard_swish")
    k = f32("PRelu", [k, b.floats(1)], (1, 2, 2, 2))
    k = f32("LayerNorm", [k, b.floats(2), b.floats(2)], (1, 2, 2, 2), epsilon=1e-5)
    k = f32("Softmax", [k], (1, 2, 2, 2))
    index = b.const([[0, 1], [1, 1]], "s32")
    weight = b.const([0.25, 0.0], "f32")
    k = f32("Resize2d", [k, index, weight, index, weight], (1, 2, 2, 2))
    k = f32("Pad", [k], (1, 3, 2, 2), before=[0, 1, 0, 0], fill_f32=-2.5)
    k = f32("Slice", [k], (1, 2, 2, 2), start=[0, 1, 0, 0], step=[1, 1, 1, 1])
    k = f32("Concat", [k, k], (1, 4, 2, 2), axis=1)
    k = f32("Transpose", [k], (1, 2, 2, 4), perm=[0, 3, 2, 1])
    k = f32("MatMul", [k, k], (1, 2, 2, 2), transpose_b=1)
    m = f32("ReduceMean", [k], (1, 1, 1, 2), first_axis=1, last_axis=2)
    k = f32("Reshape", [k], (2, 4))
    k = f32("FullyConnected", [k, b.floats(3, 4), ""], (2, 3))
    b.output("mean", m, (0, 3, 1, 2))
    b.output("class", b.node("ArgMax", [k], (2,), "s32"))
    return finish(b, 40, {"producer": "golden"})


def coded() -> bytes:
    """Fully connected layers whose weights are best coded in ways of their own."""
    b = Builder("coded", 5)
    r = b.random
    x = b.input("x", (1, 16), "s8")
    spread = np.where(np.arange(64) % 2, 2, 40)
    layers = {
        "nibbles": r.integers(-8, 8, (16, 16)),
        "book": r.choice([-90, -41, -3, 0, 17, 66, 120], (16, 16)),
        "books": np.stack([r.choice(r.integers(-127, 128, 4), 16) for _ in range(16)]),
        "bitmap": r.integers(-127, 128, (16, 16)) * (r.random((16, 16)) < 0.2),
        "table": np.rint(r.laplace(0, 3, (64, 16))),
        "rows": np.rint(r.normal(0, 1, (96, 64)) * np.tile(spread, 2)[:96, None]),
        "columns": np.rint(r.normal(0, 1, (64, 96)) * np.tile(spread, 2)[None, :96]),
        "sparse_table": np.rint(r.laplace(0, 6, (64, 64))) * (r.random((64, 64)) < 0.05),
    }
    k = x
    for name, weights in layers.items():
        weights = np.clip(weights, -127, 127)
        rows = len(weights)
        w = b.graph.constant(name, weights.astype(np.int8), "s8").name
        m = b.const(np.full(rows, 0.001, np.float32), "f32")
        k = b.node("FullyConnected", [k, w, b.bias(rows), m], (1, rows))
    k = b.node("Dequantize", [k], (1, 64), "f32")
    shared = np.float32(r.choice([-0.5, -0.125, 0.0, 0.25, 1.5], (8, 64)))
    w = b.graph.constant("f32_book", shared, "f32").name
    b.output("y", b.node("FullyConnected", [k, w, ""], (1, 8), "f32"))
    return finish(b, 50, {"producer": "golden"}, "smallest")


GOLDEN: Dict[str, Callable[[], bytes]] = {
    "mlp": mlp,
    "convnet": convnet,
    "s8ops": s8ops,
    "f32ops": f32ops,
    "coded": coded,
}
