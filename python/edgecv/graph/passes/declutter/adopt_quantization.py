"""Takes over the parameters of a model that came in quantized.

QuantizeLinear and DequantizeLinear disappear; what lies between them, integers so far, becomes the
f32 values that the integers stand for.

Cases:
1. QuantizeLinear of an activation becomes FakeQuant, which rounds f32 values to those its scale,
   zero point and bounds allow; DequantizeLinear of its output goes. One FakeQuant for several
   QuantizeLinear that do the same, be it once as u8 and once as s8.
2. Ops that move integers (Reshape, MaxPool, Concat, ...) move what they stand for. Clip of integers
   becomes a FakeQuant of narrower bounds.
3. DequantizeLinear of a constant (or of a constant's QuantizeLinear, with Cast, Clip or moves
   between) is computed. The graph notes the scales of weights by the node that reads them, those
   of other constants by name.
4. Integer graph inputs and outputs become f32; the API rounds.
5. QuantizeLinear to 16 bits becomes a Clip: its values stay f32.
6. QuantizeLinear of an activation with a scale a channel (before depthwise layers) becomes a
   FakeQuant of one scale between two BatchNormalization, which divide and multiply by what the
   scales differ in, and which the layers before and behind take into their weights.

Raises UnsupportedModelError for parameters that mean nothing, naming node and tensor.
"""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.errors import UnsupportedModelError
from edgecv.graph.ir import Given, GivenWeights, Graph, Node, Value
from edgecv.graph.passes.declutter.channel_scales import per_channel, rounded_f32, unclamped
from edgecv.graph.passes.declutter.given_parameters import (
    CODES,
    WIDE,
    by_output,
    code_of,
    fail,
    moved_integers,
    parameters_of,
    spread,
)
from edgecv.graph.passes.rewrite import (
    UNKNOWN_SHAPE,
    Result,
    constant,
    floats,
    input_name,
    normal_axis,
    replace_uses,
    scalar,
)

Array = NDArray[Any]
_MOVES = frozenset(
    {
        "Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Slice", "Split",
        "Gather", "Expand", "Tile", "MaxPool", "DepthToSpace", "SpaceToDepth", "Concat", "Dropout",
    }
)  # fmt: skip


def adopt_quantization(graph: Graph) -> Result:
    """Runs the pass."""
    if all(node.op not in ("QuantizeLinear", "DequantizeLinear") for node in graph.nodes):
        return Result()
    return Result(changed=_Adopter(graph).run())


class _Adopter:
    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._codes: Dict[str, Optional[Given]] = {}  # of what was integers; None: 16 bits
        self._kinds: Dict[str, str] = {}  # the integer types they had
        self._channels: Dict[Tuple[str, Tuple[float, ...]], str] = {}
        self._of_channels: Dict[str, Tuple[Array, Array, str]] = {}  # scales, zeros, real values
        self._fake: Dict[Tuple[str, Given], str] = {}
        self._weights: Dict[str, Tuple[Array, Array]] = {}  # constant -> scales, magnitudes
        self._nodes: List[Node] = []

    def run(self) -> bool:
        graph = self._graph
        self._inputs()
        for node in list(graph.nodes):
            if node.op == "QuantizeLinear":
                self._quantize(node)
            elif node.op == "DequantizeLinear":
                self._dequantize(node)
            elif any(name in self._codes for name in node.inputs):
                self._compute(node)
            else:
                integers = moved_integers(graph, node)
                if integers is not None:
                    value = graph.values[node.outputs[0]]
                    value.data, value.shape = integers, integers.shape
                    continue
                self._note_weights(node)
                self._nodes.append(node)
        graph.nodes = self._nodes
        for port in graph.outputs:
            if port.dtype in WIDE and port.value in self._codes:
                raise UnsupportedModelError(
                    f"the output {port.name!r} is integers of 16 bits; take it as f32"
                )
            of_channels = self._of_channels.get(port.value)
            if of_channels is not None:
                port.value = of_channels[2]
            if port.dtype in CODES and (of_channels is not None or port.value in self._codes):
                port.dtype = "f32"
                graph.remarks.append(f"the output {port.name!r} was integers and is f32 now")
        graph.drop_unused()
        return True

    def _inputs(self) -> None:
        """An integer input becomes the f32 values it stands for, as its first reader says."""
        graph = self._graph
        for port in graph.inputs:
            value = graph.values[port.value]
            if value.dtype not in ("u8", "s8"):
                continue
            readers = graph.consumers().get(port.value, [])
            first = next((node for node in readers if node.op == "DequantizeLinear"), None)
            if first is None:
                continue  # refused where dtypes are checked
            code = code_of(graph, first, port.value, value.dtype)
            name = graph.fresh(f"{port.value}.quantized")
            integers = graph.add(Value(name, value.shape, value.dtype))
            replace_uses(graph, port.value, integers.name)
            value.dtype = port.dtype = "f32"
            self._emit_fake(f"{port.value}.quantize", port.value, integers.name, code)
            graph.remarks.append(f"the input {port.name!r} was integers and is f32 now")

    # -- QuantizeLinear, DequantizeLinear

    def _quantize(self, node: Node) -> None:
        graph = self._graph
        x, y = node.inputs[0], node.outputs[0]
        dtype = graph.values[y].dtype
        if dtype not in CODES and dtype not in WIDE:
            fail(node, y, "is of a type that is not an integer of 4, 8 or 16 bits")
        data = constant(graph, x)
        if data is not None:
            scale, zero = parameters_of(graph, node, dtype)
            low, high = CODES[dtype][:2] if dtype in CODES else WIDE[dtype]
            steps = np.rint(data / spread(node, data, scale).astype(np.float32))
            steps = steps + spread(node, data, zero)
            graph.values[y].data = np.clip(steps, low, high).astype(np.int32)
            graph.values[y].shape = data.shape
            return
        if dtype in WIDE:
            scale, zero = parameters_of(graph, node, dtype)
            if scale.size != 1:
                fail(node, input_name(node, 1), "gives an activation more than one scale")
            self._remark_wide(x)
            ends = [float(((end - zero) * scale).reshape(-1)[0]) for end in WIDE[dtype]]
            bounds = [floats(graph, f"{node.name}.bound", end) for end in ends]
            graph.values[y].dtype = "f32"
            self._kinds[y] = dtype
            self._nodes.append(Node("Clip", node.name, [x, *bounds], [y]))
            self._codes[y] = None
            return
        scale, zero = parameters_of(graph, node, dtype)
        if scale.size > 1:
            self._quantize_channels(node, dtype, scale, zero)
            return
        code = code_of(graph, node, x, dtype)
        same = x if self._codes.get(x) == code else self._fake.get((x, code))
        if same is None:
            self._emit_fake(node.name, x, y, code)
        elif self._kinds[same] == dtype:
            self._same(y, same)
        else:  # u8 read as s8 of a zero point 128 below, or the other way: the same steps
            graph.values[y].dtype = "f32"
            self._kinds[y], self._codes[y] = dtype, code
            self._nodes.append(Node("Identity", node.name, [same], [y]))

    def _remark_wide(self, name: str) -> None:
        self._graph.remarks.append(
            f"{name}: its parameters of 16 bits are not used; it is f32, or int8 by calibration"
        )

    def _quantize_channels(self, node: Node, dtype: str, scale: Array, zero: Array) -> None:
        graph = self._graph
        x, y = node.inputs[0], node.outputs[0]
        shape, name = graph.values[x].shape, input_name(node, 1)
        axis = normal_axis(int(node.attrs.get("axis", 1)), len(shape))
        if axis != 1 or scale.shape != shape[1:2]:
            fail(node, name, "gives an activation scales that are not of its channels")
        known = self._channels.get((x, tuple(scale)))
        if known is not None:
            self._same(y, known)
            return
        low, high, shift = CODES[dtype]
        first = int(zero.min())
        unequal = int((zero != first).sum())
        source, least = unclamped(
            graph, x, scale * (low - first), scale * (high - first), self._nodes
        )
        if unequal and (first != low or least < 0):
            graph.remarks.append(
                f"{x}: its channels have unequal zero points; it is rounded in f32"
            )
            real, nodes = rounded_f32(graph, node.name, x, scale, zero, (low, high))
            self._nodes += nodes
            self._kinds[y] = dtype
            self._of_channels[y] = (scale, zero, real)
            return
        if unequal:
            graph.remarks.append(
                f"{x}: {unequal} channels of another zero point use the upper part of their steps "
                "alone; they keep these steps, but are cut at a higher end"
            )
        whole = float(np.float32(scale.max()))
        code = Given(whole, first - shift, low - shift, high - shift)
        scaled = graph.add(Value(graph.fresh(f"{y}.scaled"), shape)).name
        self._nodes.append(per_channel(graph, f"{node.name}.divide", source, scaled, whole / scale))
        self._emit_fake(node.name, scaled, y, code)
        real = graph.add(Value(graph.fresh(f"{y}.real"), shape)).name
        self._nodes.append(per_channel(graph, f"{node.name}.multiply", y, real, scale / whole))
        self._channels[x, tuple(scale)] = y
        self._of_channels[y] = (scale, zero, real)

    def _dequantize_channels(self, node: Node) -> None:
        x, y = node.inputs[0], node.outputs[0]
        scale, zero, real = self._of_channels[x]
        other, other_zero = parameters_of(self._graph, node, self._kinds[x])
        if not (np.array_equal(scale, other) and np.array_equal(zero, other_zero)):
            fail(node, x, "was quantized with another scale or zero point")
        self._same(y, real)

    def _emit_fake(self, name: str, x: str, y: str, code: Given) -> None:
        graph = self._graph
        self._kinds.setdefault(y, graph.values[y].dtype)
        graph.values[y].dtype = "f32"
        self._nodes.append(Node("FakeQuant", name, [x], [y], {"code": code}))
        self._codes[y] = code
        self._fake[x, code] = y

    def _same(self, old: str, new: str) -> None:
        replace_uses(self._graph, old, new)

    def _dequantize(self, node: Node) -> None:
        graph = self._graph
        x, y = node.inputs[0], node.outputs[0]
        value = graph.values[x]
        if value.data is not None:
            self._constant(node, value)
            return
        if x in self._of_channels:
            self._dequantize_channels(node)
            return
        if x in self._codes:
            code = self._codes[x]
            if code is not None:
                other = code_of(graph, node, x, self._kinds[x])
                if (other.scale, other.zero_point) != (code.scale, code.zero_point):
                    fail(node, x, "was quantized with another scale or zero point")
        elif value.dtype != "f32" or scalar(graph, input_name(node, 1)) != 1.0:
            fail(node, x, f"is computed integers ({value.dtype}) that nothing quantized")
        self._same(y, x)

    def _constant(self, node: Node, value: Value) -> None:
        """The real numbers that constant integers stand for, and where they came from."""
        graph = self._graph
        assert value.data is not None
        data = value.data.astype(np.int64)
        scale, zero = parameters_of(graph, node, value.dtype)
        wide, centred = spread(node, data, scale), data - spread(node, data, zero)
        target = graph.values[node.outputs[0]]
        target.shape = tuple(data.shape)
        target.data = np.ascontiguousarray(centred * wide, np.float32)
        target.dtype = "f32"
        if value.dtype in ("s16", "u16"):
            self._remark_wide(value.name)
        if value.dtype in CODES:
            self._weights[target.name] = (np.broadcast_to(wide, data.shape), np.abs(centred))
            if scale.size == 1:
                graph.given[target.name] = code_of(graph, node, target.name, value.dtype)

    # -- other nodes

    def _compute(self, node: Node) -> None:
        """A node with an input that was integers: a move of it, or a node of real numbers."""
        graph = self._graph
        outputs = [graph.values[name] for name in node.outputs if name]
        if not any(v.dtype in CODES or v.dtype in WIDE for v in outputs):  # reads real numbers
            self._note_weights(node)
            self._nodes.append(node)
            return
        if any(name in self._of_channels for name in node.inputs):
            fail(node, node.inputs[0], "is integers of several scales")
        code = self._codes.get(node.inputs[0])
        if node.op in ("Clip", "Max", "Min", "Relu") and code is not None:
            self._clip(node, code)
            return
        if node.op == "Pad" and code is not None:
            self._pad(node, code)
        elif node.op not in _MOVES and not self._keeps_type(node):
            fail(node, node.inputs[0], "is integers, on which this op is not supported")
        if node.op == "Concat" and any(self._codes.get(name) != code for name in node.inputs):
            fail(node, node.outputs[0], "is made of integers of unequal scales")
        for value in outputs:
            if value.dtype in CODES or value.dtype in WIDE:
                self._kinds[value.name] = value.dtype
                value.dtype = "f32"
                self._codes[value.name] = code
        self._nodes.append(node)

    def _keeps_type(self, node: Node) -> bool:
        """Whether it is a Cast of integers to the type they have."""
        same = self._graph.values[node.outputs[0]].dtype == self._kinds[node.inputs[0]]
        return node.op == "Cast" and same

    def _pad(self, node: Node, code: Given) -> None:
        fill = scalar(self._graph, input_name(node, 2))
        shift = 128 if self._is_unsigned(node) else 0
        real = ((0.0 if fill is None else fill) - shift - code.zero_point) * code.scale
        name = self._graph.constant(f"{node.name}.fill", np.array(real, np.float32), "f32").name
        node.inputs = [*node.inputs, "", ""][: max(3, len(node.inputs))]
        node.inputs[2] = name

    def _is_unsigned(self, node: Node) -> bool:
        return self._graph.values[node.outputs[0]].dtype == "u8"

    def _clip(self, node: Node, code: Given) -> None:
        graph = self._graph
        shift = 128 if self._is_unsigned(node) else 0
        low, high = code.qmin, code.qmax
        if node.op == "Relu":
            low = max(low, -shift)
        names = ["", *node.inputs[1:]] if node.op == "Min" else node.inputs[1:]
        for position, name in enumerate([*names, "", ""][:2]):
            bound = scalar(graph, name) if name else None
            if name and bound is None:
                fail(node, name, "is a bound that is not constant")
            if bound is not None and position == 0:
                low = max(low, int(bound) - shift)
            elif bound is not None:
                high = min(high, int(bound) - shift)
        narrow = Given(code.scale, code.zero_point, low, max(low, high))
        source = node.inputs[0]
        for before in reversed(self._nodes):
            if source in before.outputs:
                source = before.inputs[0] if before.op == "FakeQuant" else source
                break
        self._emit_fake(node.name, source, node.outputs[0], narrow)

    def _note_weights(self, node: Node) -> None:
        """Notes the scale of each output channel of a layer with quantized weights."""
        graph = self._graph
        if node.op not in ("Conv", "ConvTranspose", "Gemm", "MatMul"):
            return
        index = 0 if node.op == "MatMul" and node.inputs[0] in self._weights else 1
        found = self._weights.get(input_name(node, index))
        if found is None or any(graph.values[n].shape == UNKNOWN_SHAPE for n in node.outputs):
            return
        scales, sizes = (by_output(node, index, array) for array in found)
        if (scales != scales[:, :1]).any():
            graph.remarks.append(f"{node.name}: its weights have scales of another axis")
            return
        graph.given_weights[node.name] = GivenWeights(scales[:, 0].copy(), sizes.max(axis=1))
