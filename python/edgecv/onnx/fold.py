"""Walks an ONNX graph in order with every shape fixed: infers types, computes what is constant.

Because every input has a fixed shape, each ``Shape`` is a constant, and with it all arithmetic on
shapes. Types come from ONNX's own inference, constants from ONNX's reference evaluator.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.errors import FormatError
from edgecv.onnx.load import onnx

from onnx import helper, numpy_helper, shape_inference  # isort: skip - load reports a missing onnx
from onnx.reference import ReferenceEvaluator  # isort: skip

_LOG = logging.getLogger("edgecv")

# Types and constants that inference may need are small; weights are never sent through it.
_INFERENCE_DATA = 4096
# A folded constant may not exceed this many elements.
_MAX_FOLDED = 1 << 28
_NOT_FOLDED = frozenset(
    (
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
        "Bernoulli",
        "Multinomial",
        "If",
        "Loop",
        "Scan",
        "QuantizeLinear",
        "DequantizeLinear",
    )
)


@dataclass
class TensorInfo:
    """What is known of a tensor: ONNX element type, shape (None when unknown), constant value."""

    elem_type: int
    shape: Optional[Tuple[int, ...]]
    data: Optional[NDArray[Any]] = None


@dataclass
class FoldedGraph:
    """The nodes that remain, in order, and all tensors they touch."""

    nodes: List[Any] = field(default_factory=list)
    tensors: Dict[str, TensorInfo] = field(default_factory=dict)


class Folder:
    """Processes the nodes of a model in order; :attr:`result` holds what remains."""

    def __init__(self, proto: Any, where: str) -> None:
        self.result = FoldedGraph()
        self._where = where
        self._imports = list(proto.opset_import)
        self._opsets = {entry.domain: entry.version for entry in proto.opset_import}
        if "ai.onnx" in self._opsets:
            self._opsets.setdefault("", self._opsets["ai.onnx"])
        self._ir_version = min(int(proto.ir_version) or 8, onnx.IR_VERSION)

    def add_initializers(self, initializers: Any) -> None:
        """Adds constants from TensorProtos."""
        for tensor in initializers:
            try:
                data = numpy_helper.to_array(tensor)
            except Exception as error:
                raise FormatError(
                    f"{self._where}: the data of initializer {tensor.name!r} does not fit its shape"
                ) from error
            self._define(tensor.name, TensorInfo(tensor.data_type, tuple(data.shape), data))

    def add_input(self, name: str, elem_type: int, shape: Tuple[int, ...]) -> None:
        """Adds a graph input of a fixed shape."""
        self._define(name, TensorInfo(elem_type, shape))

    def _define(self, name: str, info: TensorInfo) -> None:
        if name in self.result.tensors:
            raise FormatError(f"{self._where}: the value {name!r} is defined twice")
        self.result.tensors[name] = info

    def run(self, nodes: Any) -> None:
        """Processes nodes (in the order of the file, which must be one they can run in)."""
        for node in nodes:
            self._node(node)

    def _node(self, node: Any) -> None:
        tensors = self.result.tensors
        for name in node.input:
            if name and name not in tensors:
                raise FormatError(
                    f"{self._where}: node {node.name or node.op_type!r} reads {name!r}, "
                    "which nothing before it computes"
                )
        if node.op_type == "If" and self._inline_if(node):
            return
        if node.op_type in ("Shape", "Size") and self._fold_shape(node):
            return
        if node.op_type == "CastLike" and tensors[node.input[0]].data is not None:
            # Only the type of the second input matters.
            target = tensors[node.input[1]].elem_type
            node = helper.make_node(
                "Cast", [node.input[0]], list(node.output), name=node.name, to=target
            )
        types = self._infer(node)
        if self._foldable(node, types) and self._evaluate(node):
            return
        for index, name in enumerate(node.output):
            if name:
                self._define(name, types[index])
        self.result.nodes.append(node)

    def _inline_if(self, node: Any) -> bool:
        condition = self.result.tensors[node.input[0]].data
        if condition is None:
            return False
        wanted = "then_branch" if bool(condition.reshape(-1)[0]) else "else_branch"
        branch = next(attr.g for attr in node.attribute if attr.name == wanted)
        self.add_initializers(branch.initializer)
        self.run(branch.node)
        for inner, outer in zip(branch.output, node.output):
            name = f"{node.name or outer}.{inner.name}"
            self._node(helper.make_node("Identity", [inner.name], [outer], name=name))
        return True

    def _fold_shape(self, node: Any) -> bool:
        shape = self.result.tensors[node.input[0]].shape
        if shape is None:
            return False
        if node.op_type == "Size":
            data = np.array(int(np.prod(shape, dtype=np.int64)), np.int64)
        else:
            attrs = {attr.name: attr.i for attr in node.attribute}
            data = np.array(shape[attrs.get("start", 0) : attrs.get("end", len(shape))], np.int64)
        self._define(node.output[0], TensorInfo(onnx.TensorProto.INT64, tuple(data.shape), data))
        return True

    def _infer(self, node: Any) -> List[TensorInfo]:
        unknown = [TensorInfo(0, None) for _ in node.output]
        tensors = self.result.tensors
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            return self._infer_quantization(node)
        inputs = [name for name in dict.fromkeys(node.input) if name]
        if any(tensors[name].shape is None for name in inputs):
            return unknown
        domain = "" if node.domain == "ai.onnx" else node.domain
        if domain not in self._opsets:
            return unknown
        try:
            schema = onnx.defs.get_schema(node.op_type, self._opsets[domain], domain)
            types = {
                name: helper.make_tensor_type_proto(tensors[name].elem_type, tensors[name].shape)
                for name in inputs
            }
            data = {}
            for name in inputs:
                array = tensors[name].data
                if array is not None and array.size <= _INFERENCE_DATA:
                    data[name] = numpy_helper.from_array(array, name)
            inferred = shape_inference.infer_node_outputs(
                schema, node, types, data, None, self._imports, self._ir_version
            )
            found = [self._info(inferred.get(name)) for name in node.output]
            by_function = schema.has_function or schema.has_context_dependent_function
            if found[0].shape is None and by_function:
                found = self._infer_body(node)
            if node.op_type in ("MaxPool", "AveragePool"):
                self._drop_outside_windows(node, found)
        except Exception as error:
            _LOG.debug("no types for node %s (%s): %s", node.name, node.op_type, error)
            return unknown
        return found

    def _infer_quantization(self, node: Any) -> List[TensorInfo]:
        """Types of QuantizeLinear and DequantizeLinear, in the form of any opset."""
        tensors = self.result.tensors
        elem_type = int(onnx.TensorProto.FLOAT)
        if node.op_type == "QuantizeLinear":
            zero = node.input[2] if len(node.input) > 2 else ""
            wanted = [attr.i for attr in node.attribute if attr.name == "output_dtype" and attr.i]
            elem_type = wanted[0] if wanted else int(onnx.TensorProto.UINT8)
            elem_type = tensors[zero].elem_type if zero else elem_type
        return [TensorInfo(elem_type, tensors[node.input[0]].shape)]

    def _drop_outside_windows(self, node: Any, found: List[TensorInfo]) -> None:
        """Takes away the windows of ceil_mode that would start behind the image.

        The ONNX operator text ignores them, and so do onnxruntime and PyTorch; the shape
        inference of the onnx package counts them.
        """
        attrs = {attr.name: helper.get_attribute_value(attr) for attr in node.attribute}
        image, result = self.result.tensors[node.input[0]].shape, found[0].shape
        if not attrs.get("ceil_mode", 0) or image is None or result is None:
            return
        count = len(image) - 2
        strides = list(attrs.get("strides") or [1] * count)
        pads = list(attrs.get("pads") or [0] * (2 * count))
        sizes = list(result)
        for axis in range(count):
            if (sizes[axis + 2] - 1) * strides[axis] >= image[axis + 2] + pads[axis]:
                sizes[axis + 2] -= 1
        for info in found:
            info.shape = tuple(sizes)

    def _infer_body(self, node: Any) -> List[TensorInfo]:
        """Types of an op that ONNX defines by a function without a rule of its own.

        The function is run on zeros: what it computes is thrown away, its shapes are kept.
        """
        tensors = self.result.tensors
        feeds = {}
        for name in dict.fromkeys(item for item in node.input if item):
            info = tensors[name]
            kind = helper.tensor_dtype_to_np_dtype(info.elem_type)
            feeds[name] = np.zeros(info.shape or (), kind) if info.data is None else info.data
        names = [name for name in node.output if name]
        with np.errstate(all="ignore"):
            results = ReferenceEvaluator(self._model_of(node, names)).run(names, feeds)
        found = {}
        for name, result in zip(names, results):
            kind = helper.np_dtype_to_tensor_dtype(np.asarray(result).dtype)
            found[name] = TensorInfo(int(kind), tuple(np.shape(result)))
        return [found.get(name, TensorInfo(0, None)) for name in node.output]

    def _model_of(self, node: Any, outputs: List[str]) -> Any:
        """A model of one node."""
        tensors = self.result.tensors
        inputs = [
            helper.make_tensor_value_info(name, tensors[name].elem_type, tensors[name].shape)
            for name in dict.fromkeys(node.input)
            if name
        ]
        results = [helper.make_tensor_value_info(name, 0, None) for name in outputs]
        return helper.make_model(
            helper.make_graph([node], "one", inputs, results),
            opset_imports=self._imports,
            ir_version=self._ir_version,
        )

    @staticmethod
    def _info(inferred: Any) -> TensorInfo:
        if inferred is None or not inferred.HasField("tensor_type"):
            return TensorInfo(0, None)
        tensor = inferred.tensor_type
        if not tensor.HasField("shape"):
            return TensorInfo(tensor.elem_type, None)
        if not all(dim.HasField("dim_value") for dim in tensor.shape.dim):
            return TensorInfo(tensor.elem_type, None)
        shape = tuple(int(dim.dim_value) for dim in tensor.shape.dim)
        return TensorInfo(tensor.elem_type, shape if min(shape, default=0) >= 0 else None)

    def _foldable(self, node: Any, types: List[TensorInfo]) -> bool:
        if node.op_type in _NOT_FOLDED or node.domain not in ("", "ai.onnx"):
            return False
        if any(self.result.tensors[name].data is None for name in node.input if name):
            return False
        sizes = [int(np.prod(info.shape, dtype=np.float64)) for info in types if info.shape]
        return max(sizes, default=0) <= _MAX_FOLDED

    def _evaluate(self, node: Any) -> bool:
        tensors = self.result.tensors
        names = [name for name in dict.fromkeys(node.input) if name]
        outputs = [name for name in node.output if name]
        model = self._model_of(node, outputs)
        feeds = {name: tensors[name].data for name in names}
        try:
            with np.errstate(all="ignore"):
                results = ReferenceEvaluator(model).run(outputs, feeds)
        except Exception as error:
            _LOG.debug("node %s (%s) is not folded: %s", node.name, node.op_type, error)
            return False
        if not all(isinstance(result, (np.ndarray, np.generic)) for result in results):
            return False
        for name, result in zip(outputs, results):
            array = np.asarray(result)
            elem_type = helper.np_dtype_to_tensor_dtype(array.dtype)
            self._define(name, TensorInfo(int(elem_type), tuple(array.shape), array))
        return True
