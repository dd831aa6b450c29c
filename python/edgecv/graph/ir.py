"""Graph, Node, Value: the one intermediate representation of the converter.

Before lowering, nodes carry ONNX ops on ONNX layouts (``Conv`` on NCHW). After lowering they carry
the ops of docs/ops.md on stored layouts (``Conv2d`` on NHWC), with attributes named as in that
table. Values are referenced by name; every value has a fixed shape.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, Iterator, List, Optional, Tuple

import numpy as np
from numpy.typing import NDArray

Shape = Tuple[int, ...]

DTYPES: Dict[str, Any] = {
    "f32": np.float32,
    "s8": np.int8,
    "s32": np.int32,
    "s64": np.int64,
    "bool": np.bool_,
}


@dataclass
class Value:
    """A tensor: an activation, or a constant when ``data`` is set.

    ``scale`` (real units per step, exactly representable in f32) and ``zero_point`` belong to s8
    activations: real = scale * (q - zero_point).
    """

    name: str
    shape: Shape
    dtype: str = "f32"
    data: Optional[NDArray[Any]] = None
    scale: float = 0.0
    zero_point: int = 0

    @property
    def is_constant(self) -> bool:
        """Whether the value is data of the file."""
        return self.data is not None


@dataclass
class Node:
    """One operation. ``inputs`` are value names, ``""`` where an optional input is absent."""

    op: str
    name: str
    inputs: List[str]
    outputs: List[str]
    attrs: Dict[str, Any] = field(default_factory=dict)


@dataclass
class Port:
    """A graph input or output: the public ``name``, the value behind it, and how the API's axes map
    to it.

    API axis ``i`` is axis ``perm[i]`` of the value. ``shape`` is the API's shape. ``dtype`` is the
    API's dtype.
    """

    name: str
    value: str
    shape: Shape
    perm: Tuple[int, ...]
    dtype: str = "f32"


@dataclass(frozen=True)
class Given:
    """How a model that came in quantized codes a tensor: real = scale * (q - zero_point),
    qmin <= q <= qmax, in s8 (u8 shifted by 128).
    """

    scale: float
    zero_point: int
    qmin: int = -128
    qmax: int = 127


@dataclass(frozen=True)
class GivenWeights:
    """The scale of each output channel of weights that came in quantized, and the largest integer
    magnitude in it: enough to find the integers again in the real weights.
    """

    scale: NDArray[np.float64]
    largest: NDArray[np.int64]


@dataclass
class Graph:
    """A list of nodes in an order in which they can run, over named values."""

    name: str
    inputs: List[Port] = field(default_factory=list)
    outputs: List[Port] = field(default_factory=list)
    nodes: List[Node] = field(default_factory=list)
    values: Dict[str, Value] = field(default_factory=dict)
    opset: int = 0  # of the nodes as they stand
    source_opset: int = 0  # of the model as it came in, for messages
    # Of a model that came in quantized: value name -> how it is coded, node name -> its weights,
    # and what could not be taken over as it was.
    given: Dict[str, Given] = field(default_factory=dict)
    given_weights: Dict[str, GivenWeights] = field(default_factory=dict)
    remarks: List[str] = field(default_factory=list)

    def add(self, value: Value) -> Value:
        """Adds a value; its name must be free."""
        if value.name in self.values:
            raise ValueError(f"value {value.name!r} exists already")
        self.values[value.name] = value
        return value

    def constant(self, name: str, data: NDArray[Any], dtype: str) -> Value:
        """Adds a constant under a free name derived from ``name``."""
        array = np.asarray(data, dtype=DTYPES[dtype], order="C")
        return self.add(Value(self.fresh(name), tuple(array.shape), dtype, array))

    def fresh(self, name: str) -> str:
        """``name``, or ``name.1``, ``name.2``, ... when it is taken."""
        if name not in self.values:
            return name
        i = 1
        while f"{name}.{i}" in self.values:
            i += 1
        return f"{name}.{i}"

    def producers(self) -> Dict[str, Node]:
        """Value name -> the node that computes it."""
        return {output: node for node in self.nodes for output in node.outputs}

    def consumers(self) -> Dict[str, List[Node]]:
        """Value name -> the nodes that read it, in order, once each."""
        table: Dict[str, List[Node]] = {}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                if name:
                    table.setdefault(name, []).append(node)
        return table

    def output_values(self) -> List[str]:
        """Names of the values behind the outputs."""
        return [port.value for port in self.outputs]

    def inputs_of(self, node: Node) -> Iterator[Value]:
        """The present inputs of a node."""
        return (self.values[name] for name in node.inputs if name)

    def drop_unused(self) -> bool:
        """Removes nodes and values nothing reads; True when something went."""
        live = set(self.output_values())
        kept: List[Node] = []
        for node in reversed(self.nodes):
            if any(output in live for output in node.outputs):
                kept.append(node)
                live.update(name for name in node.inputs if name)
        kept.reverse()
        live.update(port.value for port in self.inputs)
        for node in kept:
            live.update(node.outputs)
        changed = len(kept) != len(self.nodes) or len(live & set(self.values)) != len(self.values)
        self.nodes = kept
        self.values = {name: value for name, value in self.values.items() if name in live}
        return changed
