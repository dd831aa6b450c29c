"""Small lowered graphs, written by hand, and their files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Mapping, Sequence, Tuple

import numpy as np

from edgecv.format.writer import write
from edgecv.golden import golden_records
from edgecv.graph.ir import Graph, Node, Port, Value

INF = float("inf")


class Builder:
    """Adds ops one by one; every method returns the name of its output."""

    def __init__(self, seed: int = 1) -> None:
        self.graph = Graph("small")
        self.random = np.random.default_rng(seed)

    def input(
        self, name: str, shape: Sequence[int], perm: Sequence[int], dtype: str = "s8", **q: Any
    ) -> str:
        """shape: stored."""
        value = self.graph.add(Value(f"{name}_t", tuple(shape), dtype, **self._quantized(dtype, q)))
        api = tuple(shape[axis] for axis in perm)
        self.graph.inputs.append(Port(name, value.name, api, tuple(perm)))
        return value.name

    def output(self, name: str, value: str, perm: Sequence[int]) -> None:
        shape = self.graph.values[value].shape
        self.graph.outputs.append(
            Port(name, value, tuple(shape[axis] for axis in perm), tuple(perm))
        )

    @staticmethod
    def _quantized(dtype: str, q: Mapping[str, Any]) -> dict[str, Any]:
        if dtype != "s8":
            return {}
        return {
            "scale": float(np.float32(q.get("scale", 0.05))),
            "zero_point": q.get("zero_point", 3),
        }

    def op(
        self,
        op: str,
        name: str,
        inputs: Sequence[str],
        shape: Sequence[int],
        dtype: str = "s8",
        q: Mapping[str, Any] | None = None,
        **attrs: Any,
    ) -> str:
        value = self.graph.add(
            Value(f"{name}_t", tuple(shape), dtype, **self._quantized(dtype, q or {}))
        )
        self.graph.nodes.append(Node(op, name, list(inputs), [value.name], attrs))
        return value.name

    def constant(self, name: str, data: Any, dtype: str) -> str:
        return self.graph.constant(name, np.asarray(data), dtype).name

    def conv(
        self,
        name: str,
        x: str,
        out_c: int,
        kernel: int = 3,
        stride: int = 1,
        groups: int = 1,
        lo: int = -128,
        hi: int = 127,
    ) -> str:
        n, h, w, c = self.graph.values[x].shape
        pad = kernel // 2
        oh, ow = (h + 2 * pad - kernel) // stride + 1, (w + 2 * pad - kernel) // stride + 1
        weights = self.random.integers(-127, 128, (out_c, kernel, kernel, c // groups))
        m = (
            np.float32(0.6)
            / (kernel * 73 * np.sqrt(c // groups))
            * self.random.uniform(0.5, 1, out_c)
        )
        return self.op(
            "Conv2d",
            name,
            [
                x,
                self.constant(f"{name}_w", weights, "s8"),
                self.constant(f"{name}_b", self.random.integers(-3000, 3000, out_c), "s32"),
                self.constant(f"{name}_m", m.astype(np.float32), "f32"),
            ],
            (n, oh, ow, out_c),
            stride_h=stride,
            stride_w=stride,
            dilation_h=1,
            dilation_w=1,
            pad_top=pad,
            pad_left=pad,
            pad_bottom=pad,
            pad_right=pad,
            groups=groups,
            lo=lo,
            hi=hi,
        )

    def fully_connected(self, name: str, x: str, n: int) -> str:
        rows, k = self.graph.values[x].shape
        return self.op(
            "FullyConnected",
            name,
            [
                x,
                self.constant(f"{name}_w", self.random.integers(-127, 128, (n, k)), "s8"),
                self.constant(f"{name}_b", self.random.integers(-3000, 3000, n), "s32"),
                self.constant(f"{name}_m", np.full(n, 0.6 / (73 * np.sqrt(k)), np.float32), "f32"),
            ],
            (rows, n),
            lo=-128,
            hi=127,
        )

    def softmax(self, name: str, x: str) -> str:
        value = self.graph.values[x]
        bits = min(23, 30 - int(np.ceil(np.log2(value.shape[-1]))))
        table = np.rint(2.0**bits * np.exp(-value.scale * np.arange(256)))
        return self.op(
            "Softmax",
            name,
            [x, self.constant(f"{name}_table", table, "s32")],
            value.shape,
            q={"scale": 1 / 256, "zero_point": -128},
        )

    def file(self, **options: Any) -> bytes:
        return write(self.graph, **{"meta": {}, "preprocess": {}, **options})


def small_builder(batch: int = 1, side: int = 16) -> Builder:
    """A net with a residual, a concat, views and a softmax, all s8: image [batch, 3, side, side] to
    scores [batch, 10].
    """
    b = Builder()
    half, quarter = side // 2, side // 4
    x = b.input("image", (batch, side, side, 3), (0, 3, 1, 2), scale=1 / 64, zero_point=-5)
    stem = b.conv("stem", x, 16, stride=2, lo=3)
    depthwise = b.conv("depthwise", stem, 16, groups=16)
    mixed = b.op(
        "Add",
        "residual",
        [stem, depthwise],
        b.graph.values[stem].shape,
        ma=0.75,
        mb=0.5,
        lo=-128,
        hi=127,
    )
    point = b.conv("point", mixed, 24, kernel=1)
    joined = b.op("Concat", "joined", [point, mixed], (batch, half, half, 40), axis=3)
    pooled = b.op(
        "MaxPool2d",
        "pooled",
        [joined],
        (batch, quarter, quarter, 40),
        kernel_h=2,
        kernel_w=2,
        stride_h=2,
        stride_w=2,
        dilation_h=1,
        dilation_w=1,
        pad_top=0,
        pad_left=0,
        pad_bottom=0,
        pad_right=0,
    )
    part = b.op(
        "Slice",
        "part",
        [pooled],
        (batch, quarter, quarter, 20),
        start=[0, 0, 0, 1],
        step=[1, 1, 1, 2],
    )
    mean = b.op(
        "ReduceMean",
        "mean",
        [part],
        (batch, 1, 1, 20),
        first_axis=1,
        last_axis=2,
        lo=-128,
        hi=127,
        m=float(np.float32(1 / quarter**2)),
    )
    flat = b.op("Reshape", "flat", [mean], (batch, 20))
    logits = b.fully_connected("logits", flat, 10)
    scores = b.softmax("scores", logits)
    b.output("features", stem, (0, 3, 1, 2))  # early: what follows could take its memory
    b.output("scores", scores, (0, 1))
    return b


def chains_builder(batch: int = 2, height: int = 37, width: int = 21) -> Builder:
    """What chains are made of: a stem, inverted residuals with depthwise layers of every kind,
    windows with uneven borders, pools, elementwise ops; tests/data/runtime/chains.ecv.
    """
    b = Builder(seed=3)

    def shape(name: str) -> Tuple[int, ...]:
        return b.graph.values[name].shape

    def add(name: str, x: str, y: str) -> str:
        return b.op("Add", name, [x, y], shape(x), ma=0.75, mb=0.5, lo=-128, hi=127)

    def pool(op: str, name: str, x: str, inputs: Sequence[str], pads: int, **attrs: Any) -> str:
        n, h, w, c = shape(x)
        oh, ow = (h + 1 + pads - 3) // 2 + 1, (w + 1 + pads - 3) // 2 + 1
        window = {
            f"{what}_{axis}": size
            for axis in "hw"
            for what, size in (("kernel", 3), ("stride", 2), ("dilation", 1))
        }
        pad = {"pad_top": 1, "pad_left": 1, "pad_bottom": pads, "pad_right": pads}
        return b.op(op, name, [x, *inputs], (n, oh, ow, c), **window, **pad, **attrs)

    x = b.input("image", (batch, height, width, 3), (0, 3, 1, 2), scale=1 / 64, zero_point=-5)
    x = b.conv("stem", x, 8, stride=2, lo=3)
    x = b.conv("first_depthwise", x, 8, groups=8, lo=3)
    x = b.conv("first_project", x, 12, kernel=1)
    # An inverted residual with a table behind each of its activations.
    y = b.conv("expand", x, 40, kernel=1)
    table = b.constant("table", np.abs(np.arange(-128, 128)) - 100, "s8")
    y = b.op("Lookup", "swish", [y, table], shape(y))
    y = b.conv("depthwise", y, 40, kernel=5, groups=40)
    y = b.op("Lookup", "swish_again", [y, table], shape(y))
    y = b.conv("project", y, 12, kernel=1)
    x = add("residual", x, y)
    slopes = b.constant("slopes", b.random.uniform(-0.5, 0.5, 12).astype(np.float32), "f32")
    x = b.op("PRelu", "prelu", [x, slopes], shape(x), m_positive=1.0, lo=-120, hi=120)
    # Two branches of one stride, as in a residual network.
    y = b.conv("down", x, 16, stride=2, lo=3)
    y = b.conv("down_again", y, 16)
    x = add("down_residual", b.conv("shortcut", x, 16, kernel=1, stride=2), y)
    bias = b.constant("channel_bias", b.random.integers(-60, 60, 16), "s8")
    x = b.op("Sub", "channels", [x, bias], shape(x), ma=0.875, mb=0.5, lo=-128, hi=100)
    x = pool("MaxPool2d", "max", x, [], 1)
    m = b.constant("m", np.float32(1) / np.arange(1, 10, dtype=np.float32), "f32")
    y = pool(
        "AveragePool2d",
        "average",
        x,
        [m],
        1,
        count_include_pad=1,
        declared_pad_bottom=1,
        declared_pad_right=1,
        lo=-128,
        hi=127,
    )
    y = b.conv("last", y, 8, kernel=1)
    b.output("early", x, (0, 3, 1, 2))
    b.output("y", y, (0, 3, 1, 2))
    return b


def views_builder(height: int = 12, width: int = 10) -> Builder:
    """Concats and slices that can be views, and such that cannot; tests/data/runtime/views.ecv.

    An op whose name begins with "in_place" takes no step, one that begins with "moved" does.
    """
    b = Builder(seed=4)

    def shape(name: str) -> Tuple[int, ...]:
        return b.graph.values[name].shape

    def add(name: str, x: str, y: str) -> str:
        return b.op("Add", name, [x, y], shape(x), ma=0.75, mb=0.5, lo=-128, hi=127)

    def concat(name: str, parts: Sequence[str], axis: int = 3) -> str:
        dims = list(shape(parts[0]))
        dims[axis] = sum(shape(part)[axis] for part in parts)
        return b.op("Concat", name, parts, dims, axis=axis)

    def take(name: str, x: str, axis: int, start: int, length: int, step: int = 1) -> str:
        dims, starts, steps = list(shape(x)), [0] * 4, [1] * 4
        dims[axis], starts[axis], steps[axis] = length, start, step
        return b.op("Slice", name, [x], dims, start=starts, step=steps)

    def reshape(name: str, x: str, dims: Sequence[int]) -> str:
        return b.op("Reshape", name, [x], dims)

    x = b.input("image", (1, height, width, 3), (0, 3, 1, 2), scale=1 / 64, zero_point=-5)
    x = b.conv("stem", x, 24)
    # Slices of one tensor are parts of a concat, where that tensor then lies.
    first = take("in_place_first", x, 3, 0, 11)
    second = take("in_place_second", x, 3, 11, 13)
    third = b.conv("third", second, 13, lo=3)
    fourth = add("fourth", second, third)
    table = b.constant("table", np.abs(np.arange(-128, 128)) - 100, "s8")
    fifth = b.op("Lookup", "fifth", [third, table], shape(third))
    sixth = b.op("MaxPool2d", "sixth", [third], shape(third), kernel_h=3, kernel_w=3, stride_h=1,
                 stride_w=1, dilation_h=1, dilation_w=1, pad_top=1, pad_left=1, pad_bottom=1,
                 pad_right=1)  # fmt: skip
    x = concat("in_place_joined", [first, second, fourth, fifth, sixth])
    x = b.conv("point", x, 16, kernel=1)
    # What another concat has already must move, and so must what is there twice.
    left, right = b.conv("left", x, 8, groups=8), b.conv("right", x, 8, kernel=1)
    both = concat("in_place_both", [left, right])
    again = concat("moved_again", [right, left])
    twice = concat("moved_twice", [both, both])
    # The parts of a channel shuffle.
    pairs = reshape("pairs", again, (1, height, width, 2, 8))
    swapped = b.op("Transpose", "swapped", [pairs], (1, height, width, 8, 2), perm=[0, 1, 2, 4, 3])
    shuffled = reshape("shuffled", swapped, (1, height, width, 16))
    part = take("in_place_part", shuffled, 3, 5, 8)
    nested = concat("in_place_nested", [b.conv("part_conv", part, 6), twice])
    outer = concat("in_place_outer", [nested, b.conv("outer_conv", shuffled, 5, kernel=1)])
    # Rows follow each other; every second channel does not.
    upper = take("in_place_upper", outer, 1, 2, 5)
    lower = take("in_place_lower", upper, 1, 1, 3)
    some = take("moved_some", upper, 3, 1, 9, step=2)
    stacked = concat(
        "in_place_stacked", [b.conv("a", lower, 9), b.conv("b", some, 9), b.conv("c", some, 9)], 1
    )
    # A mean needs its input dense, the caller its own memory.
    dense = take("moved_dense", stacked, 3, 0, 4)
    rows = shape(dense)[1]
    mean = b.op("ReduceMean", "mean", [dense], (1, 1, 1, 4), first_axis=1, last_axis=2, lo=-128,
                hi=127, m=float(np.float32(1 / (rows * width))))  # fmt: skip
    seen = b.conv("seen", stacked, 7, kernel=1)
    y = concat("moved_seen", [seen, b.conv("beside", stacked, 4, lo=3)])
    # Other pixels of the same bytes, one after the other.
    heads = [
        reshape(f"flat_{i}", b.conv(f"head_{i}", y, 6), (1, rows * width * 2, 3)) for i in range(2)
    ]
    anchors = b.op("Concat", "in_place_anchors", heads, (1, rows * width * 4, 3), axis=1)
    one = concat("in_place_one", [mean, b.conv("mean_conv", mean, 5, kernel=1)])
    b.output("seen", seen, (0, 3, 1, 2))
    b.output("anchors", anchors, (0, 1, 2))
    b.output("one", one, (0, 1, 2, 3))
    return b


def file_with_goldens(builder: Builder, seeds: Sequence[int] = (1, 2)) -> bytes:
    """The builder's file with the digests of the reference kernels."""
    return builder.file(goldens=golden_records(builder.graph, builder.file(), list(seeds)))


def small_file() -> bytes:
    """The file of small_builder(), 16 x 16 pixels; tests/data/runtime/small.ecv is its copy."""
    return file_with_goldens(small_builder())


def wide_file() -> bytes:
    """The same net on 96 x 96 pixels, worth several threads; tests/data/runtime/wide.ecv."""
    return file_with_goldens(small_builder(side=96))


def float_builder() -> Builder:
    """A float net with a quantized middle: x [1, 4, 6, 6] to y, of f32, s8 and f32 ops."""
    b = Builder(seed=2)
    x = b.input("x", (1, 6, 6, 4), (0, 3, 1, 2), dtype="f32")
    w = b.constant("w", b.random.normal(size=(4, 3, 3, 4)) / 6, "f32")
    conv = b.op(
        "Conv2d",
        "conv",
        [x, w, ""],
        (1, 6, 6, 4),
        "f32",
        stride_h=1,
        stride_w=1,
        dilation_h=1,
        dilation_w=1,
        pad_top=1,
        pad_left=1,
        pad_bottom=1,
        pad_right=1,
        groups=1,
        lo=-INF,
        hi=6.0,
    )
    act = b.op("Unary", "act", [conv], (1, 6, 6, 4), "f32", function=7, alpha=0.0, beta=0.0)
    q = b.op("Quantize", "q", [act], (1, 6, 6, 4), q={"scale": 0.03125, "zero_point": -60})
    point = b.conv("point", q, 8, kernel=1)
    moved = b.op("Transpose", "moved", [point], (1, 8, 6, 6), perm=[0, 3, 1, 2])
    y = b.op("Dequantize", "y", [moved], (1, 8, 6, 6), "f32")
    b.output("y", y, (0, 1, 2, 3))
    return b


def float_chains_builder() -> Builder:
    """An f32 residual block of dense 3x3 and depthwise convolutions, rows and columns uneven;
    tests/data/runtime/float_chains.ecv.
    """
    b = Builder(seed=4)
    n, h, w, c = 1, 21, 19, 16

    def conv(name: str, x: str, kernel: int, groups: int = 1) -> str:
        pad = kernel // 2
        weights = b.random.normal(size=(c, kernel, kernel, c // groups)) / (kernel * kernel)
        inputs = [x, b.constant(f"{name}_w", weights, "f32"), ""]
        sides = {f"pad_{side}": pad for side in ("top", "left", "bottom", "right")}
        steps = {f"{what}_{axis}": 1 for what in ("stride", "dilation") for axis in "hw"}
        return b.op(
            "Conv2d", name, inputs, (n, h, w, c), "f32", **steps, **sides, groups=groups, lo=-1.0,
            hi=INF,
        )  # fmt: skip

    x = b.input("x", (n, h, w, c), (0, 3, 1, 2), dtype="f32")
    y = conv("point", x, 1)
    y = conv("dense", y, 3)
    y = b.op("Unary", "act", [y], (n, h, w, c), "f32", function=6, alpha=0.0, beta=0.0)
    y = conv("depthwise", y, 3, c)
    y = conv("project", y, 1)
    y = b.op("Add", "residual", [y, x], (n, h, w, c), "f32", lo=-INF, hi=INF)
    b.output("y", y, (0, 3, 1, 2))
    return b


def write_data() -> None:
    """Writes the copies the C++ tests read."""
    folder = Path(__file__).resolve().parents[2] / "data" / "runtime"
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in (
        ("small", small_file()),
        ("wide", wide_file()),
        ("float", file_with_goldens(float_builder())),
        ("chains", file_with_goldens(chains_builder())),
        ("float_chains", file_with_goldens(float_chains_builder())),
        ("views", file_with_goldens(views_builder())),
    ):
        (folder / f"{name}.ecv").write_bytes(data)


if __name__ == "__main__":
    write_data()
