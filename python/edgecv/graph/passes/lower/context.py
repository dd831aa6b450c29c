"""The state of a lowering: the graph being made, and where each ONNX value is in it."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence, Set, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.graph.ir import Graph, Node, Port, Shape, Value
from edgecv.graph.passes import rewrite
from edgecv.graph.passes.lower.layout import Layout

INF = float("inf")
NO_CLAMP: Dict[str, Any] = {"lo": -INF, "hi": INF}


class Lowering:
    """Builds the lowered graph of ``source``, a decluttered graph.

    A lowered value has the name of the ONNX value it equals up to layout; values with no such
    counterpart have fresh names. The node that computes such a value has the ONNX node's name.
    """

    def __init__(self, source: Graph) -> None:
        self.source = source
        self.graph = Graph(
            source.name,
            opset=source.opset,
            given=dict(source.given),
            given_weights=dict(source.given_weights),
            remarks=list(source.remarks),
        )
        self._where: Dict[str, Tuple[str, Layout]] = {}
        self._moved: Dict[Tuple[str, str, Tuple[int, ...]], str] = {}
        self._constants: Dict[Tuple[str, Layout], str] = {}
        self._names: Set[str] = set()
        self.node: Optional[Node] = None  # the ONNX node whose rule is at work

    # Questions about the ONNX graph

    def shape(self, name: str) -> Shape:
        """The ONNX shape of a value."""
        return self.source.values[name].shape

    def constant(self, name: str) -> Optional[NDArray[Any]]:
        """The data of an ONNX constant, None for activations and absent inputs."""
        return rewrite.constant(self.source, name)

    def layout(self, name: str) -> Layout:
        """The layout in which an activation is there already."""
        return self._where[name][1]

    # Making values and nodes

    def fresh(self, base: str) -> str:
        """A value name that neither graph uses."""
        name, count = base, 0
        while name in self.source.values or name in self.graph.values:
            count += 1
            name = f"{base}.{count}"
        return name

    def add_constant(self, base: str, data: Any, dtype: str = "f32") -> str:
        """Adds a constant; returns its name."""
        kinds = {"f32": np.float32, "s32": np.int32}
        array = np.ascontiguousarray(data, kinds[dtype])
        name = self.fresh(base)
        self.graph.add(Value(name, tuple(array.shape), dtype, array))
        if base in self.source.given:
            self.graph.given[name] = self.source.given[base]
        return name

    def _emit(
        self, op: str, inputs: Sequence[str], output: str, attrs: Optional[Dict[str, Any]]
    ) -> None:
        name = output
        if self.node is not None and output in self.node.outputs:
            name = self.node.name
        while name in self._names:
            name += "'"
        self._names.add(name)
        self.graph.nodes.append(Node(op, name, list(inputs), [output], dict(attrs or {})))

    def temp(
        self,
        base: str,
        op: str,
        inputs: Sequence[str],
        shape: Sequence[int],
        attrs: Optional[Dict[str, Any]] = None,
    ) -> str:
        """Adds a node whose output has no ONNX counterpart; returns the stored value's name."""
        dtype = self.graph.values[inputs[0]].dtype
        name = self.graph.add(Value(self.fresh(base), tuple(shape), dtype)).name
        self._emit(op, inputs, name, attrs)
        return name

    def define(
        self,
        name: str,
        op: str,
        inputs: Sequence[str],
        layout: Layout,
        attrs: Optional[Dict[str, Any]] = None,
        dtype: str = "",
    ) -> None:
        """Adds the node that computes ONNX value ``name``, stored as ``layout`` says."""
        kind = dtype or self.graph.values[inputs[0]].dtype
        self.graph.add(Value(name, layout.stored(self.shape(name)), kind))
        self._emit(op, inputs, name, attrs)
        self._where[name] = (name, layout)

    def alias(self, name: str, stored: str, layout: Layout) -> None:
        """Makes ONNX value ``name`` another view of a stored value."""
        self._where[name] = (stored, layout)

    def where(self, name: str) -> Tuple[str, Layout]:
        """(stored value, layout) of an activation."""
        return self._where[name]

    # Values in the layout a rule needs

    def get(self, name: str, layout: Layout) -> str:
        """The stored name of an ONNX value (activation or constant) in a layout."""
        data = self.constant(name)
        if data is not None:
            key = (name, layout)
            if key not in self._constants:
                self._constants[key] = self.add_constant(name, layout.store(data))
            return self._constants[key]
        stored, have = self._where[name]
        return self.convert(stored, self.shape(name), have, layout)

    def convert(self, stored: str, shape: Sequence[int], have: Layout, want: Layout) -> str:
        """Moves a stored value of ONNX shape ``shape`` from one layout to another.

        A move of axes of size 1 only is a Reshape, any other a Transpose.
        """
        if have.order_of_data(shape) != want.order_of_data(shape):
            packed = self.reshape(stored, have.compact().stored(shape))
            compact = want.compact()
            perm = [have.compact().perm[axis] for axis in compact.order()]
            stored = self.transpose(packed, perm)
        return self.reshape(stored, want.stored(shape))

    def reshape(self, stored: str, shape: Sequence[int]) -> str:
        """A stored value with other dims, the memory order kept."""
        if self.graph.values[stored].shape == tuple(shape):
            return stored
        key = ("Reshape", stored, tuple(shape))
        if key not in self._moved:
            self._moved[key] = self.temp(f"{stored}.reshaped", "Reshape", [stored], shape)
        return self._moved[key]

    def transpose(self, stored: str, perm: Sequence[int]) -> str:
        """A stored value with its axes permuted: output axis i is input axis perm[i]."""
        if list(perm) == list(range(len(perm))):
            return stored
        key = ("Transpose", stored, tuple(perm))
        if key not in self._moved:
            dims = self.graph.values[stored].shape
            self._moved[key] = self.temp(
                f"{stored}.transposed",
                "Transpose",
                [stored],
                [dims[axis] for axis in perm],
                {"perm": list(perm)},
            )
        return self._moved[key]

    # Ports

    def add_input(self, port: Port, layout: Layout) -> None:
        """Adds a graph input stored as ``layout`` says."""
        value = self.source.values[port.value]
        self.graph.add(Value(port.value, layout.stored(value.shape), value.dtype))
        self._where[port.value] = (port.value, layout)
        self.graph.inputs.append(Port(port.name, port.value, value.shape, layout.perm, value.dtype))

    def add_output(self, port: Port) -> None:
        """Adds a graph output, in whatever order of axes it has."""
        shape = self.shape(port.value)
        stored, layout = self._where[port.value]
        stored = self.reshape(stored, layout.compact().stored(shape))
        layout = layout.compact()
        if stored in {entry.value for entry in self.graph.inputs} or stored in {
            entry.value for entry in self.graph.outputs
        }:
            dims = self.graph.values[stored].shape
            stored = self.temp(f"{port.name}.copy", "Reshape", [stored], dims)
        dtype = self.graph.values[stored].dtype
        self.graph.outputs.append(Port(port.name, stored, shape, layout.perm, dtype))


def lists(node: Node, attr: str, default: Sequence[int]) -> List[int]:
    """A list attribute of an ONNX node."""
    return [int(item) for item in node.attrs.get(attr) or default]
