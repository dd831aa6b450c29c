"""An ONNX model as compression reads and rewrites it: nodes in order, weights, fixed shapes."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.errors import Error
from edgecv.onnx.fold import Folder
from edgecv.onnx.importer import input_shapes_of
from edgecv.onnx.load import ModelSource, load_model, onnx

from onnx import helper, numpy_helper  # isort: skip - load reports a missing onnx

Array = NDArray[Any]
Shape = Tuple[int, ...]
# How ops on integers begin, those of com.microsoft included.
_QUANTIZED = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinear", "QGemm",
              "ConvInteger", "MatMulInteger")  # fmt: skip


class Network:
    """A copy of a model that can be changed.

    ``Constant`` nodes become initializers, and initializers are no inputs. ``shapes`` has the shape
    of every tensor for inputs of batch 1 (or ``input_shapes``), None where ONNX cannot tell.
    """

    def __init__(
        self,
        source: ModelSource,
        input_shapes: Optional[Mapping[str, Sequence[int]]] = None,
    ) -> None:
        self.proto = load_model(source)
        self._wanted_shapes = dict(input_shapes or {})
        graph = self.proto.graph
        if any(node.op_type.startswith(_QUANTIZED) for node in graph.node):
            raise Error(
                "the model is quantized already: compress the float model it was made from, and "
                "quantize the result"
            )
        self._constants_to_initializers()
        self.weights: Dict[str, Array] = {
            tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer
        }
        inputs = [item for item in graph.input if item.name not in self.weights]
        _replace(graph.input, inputs)
        self._new: Dict[str, Array] = {}
        self.shapes = self.find_shapes()

    @property
    def nodes(self) -> List[Any]:
        """The NodeProtos in the order they run."""
        return list(self.proto.graph.node)

    @property
    def outputs(self) -> List[str]:
        """Names of the graph's outputs."""
        return [item.name for item in self.proto.graph.output]

    def _constants_to_initializers(self) -> None:
        graph = self.proto.graph
        kept = []
        for node in graph.node:
            value = None
            if node.op_type == "Constant" and node.domain in ("", "ai.onnx"):
                value = _constant(node)
            if value is None:
                kept.append(node)
            else:
                graph.initializer.append(numpy_helper.from_array(value, node.output[0]))
        _replace(graph.node, kept)

    def find_shapes(self) -> Dict[str, Optional[Shape]]:
        """The shape of every tensor, from ONNX's own inference."""
        folder = Folder(self.proto, "model")
        folder.add_initializers(self.proto.graph.initializer)
        inputs = list(self.proto.graph.input)
        shapes = input_shapes_of(inputs, self._wanted_shapes)
        for item in inputs:
            folder.add_input(item.name, item.type.tensor_type.elem_type, shapes[item.name])
        folder.run(self.proto.graph.node)
        return {name: info.shape for name, info in folder.result.tensors.items()}

    def shape(self, name: str) -> Optional[Shape]:
        """The shape of a tensor, None when unknown."""
        return self.shapes.get(name)

    def known(self, name: str) -> Shape:
        """The shape of a tensor that has one."""
        shape = self.shapes[name]
        assert shape is not None
        return shape

    def weight(self, node: Any, slot: int) -> Optional[Array]:
        """The array behind an input of a node, None when it is computed or missing."""
        if slot >= len(node.input):
            return None
        return self.weights.get(node.input[slot])

    def fresh(self, name: str) -> str:
        """A tensor name that is not in use, made from ``name``."""
        taken = set(self.shapes) | set(self.weights)
        candidate, count = name, 1
        while candidate in taken:
            count += 1
            candidate = f"{name}.{count}"
        self.shapes[candidate] = None
        return candidate

    def set_weight(self, name: str, value: Array) -> None:
        """Replaces the data of an initializer, or adds one."""
        self.weights[name] = np.ascontiguousarray(value)
        self.shapes[name] = tuple(value.shape)
        self._new[name] = self.weights[name]

    def finish(self) -> Any:
        """The checked ModelProto; initializers that nothing reads are gone."""
        graph = self.proto.graph
        used = {name for node in _all_nodes(graph) for name in node.input} | set(self.outputs)
        tensors = []
        for tensor in graph.initializer:
            if tensor.name in used:
                value = self._new.pop(tensor.name, None)
                tensors.append(
                    tensor if value is None else numpy_helper.from_array(value, tensor.name)
                )
        for name, value in self._new.items():
            if name in used:
                tensors.append(numpy_helper.from_array(value, name))
        self._new = {}
        _replace(graph.initializer, tensors)
        del graph.value_info[:]
        if self.proto.ir_version < 4:
            self.proto.ir_version = 4  # initializers that are no inputs
        if self.proto.ByteSize() < 1 << 31:
            try:
                onnx.checker.check_model(self.proto)
            except onnx.checker.ValidationError as error:
                raise Error(f"the changed model is not sound: {error}") from error
        self.shapes = self.find_shapes()
        return self.proto


def _constant(node: Any) -> Optional[Array]:
    for attr in node.attribute:
        value = helper.get_attribute_value(attr)
        if attr.name == "value":
            return np.asarray(numpy_helper.to_array(value))
        if attr.name in ("value_float", "value_floats"):
            return np.asarray(value, np.float32)
        if attr.name in ("value_int", "value_ints"):
            return np.asarray(value, np.int64)
    return None


def _all_nodes(graph: Any) -> List[Any]:
    """The nodes of a graph and of all graphs inside it."""
    nodes = []
    for node in graph.node:
        nodes.append(node)
        for inner in subgraphs(node):
            nodes += _all_nodes(inner)
    return nodes


def subgraphs(node: Any) -> List[Any]:
    """The graphs in a node's attributes (If, Loop, Scan)."""
    graphs = [attr.g for attr in node.attribute if attr.HasField("g")]
    return graphs + [graph for attr in node.attribute for graph in attr.graphs]


def attributes(node: Any) -> Dict[str, Any]:
    """A node's attributes as Python values."""
    return {attr.name: helper.get_attribute_value(attr) for attr in node.attribute}


def set_attribute(node: Any, name: str, value: Any) -> None:
    """Sets one attribute of a node."""
    _replace(node.attribute, [attr for attr in node.attribute if attr.name != name])
    node.attribute.append(helper.make_attribute(name, value))


def _replace(field: Any, items: Sequence[Any]) -> None:
    """Makes a repeated field of a protobuf hold ``items``."""
    copies = list(items)
    del field[:]
    field.extend(copies)
