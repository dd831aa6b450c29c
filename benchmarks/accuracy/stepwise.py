"""Compares an imported quantized model with onnxruntime, layer by layer on identical inputs.

onnxruntime runs the model with its 8-bit kernels and hands out every quantized tensor
(``session.x64quantprecision=1``, which belongs to its graph optimizations: without it, x86 kernels
without VNNI saturate). Each op of edgecv's graph then computes on what onnxruntime computed, so
that differences do not add up.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from edgecv.graph.interpret import interpret_node
from edgecv.graph.ir import Graph, Port, Value

Array = NDArray[Any]
_CODED = {onnx.TensorProto.UINT8: 128, onnx.TensorProto.INT8: 0}


@dataclass
class Step:
    """One op beside onnxruntime: how many values differ by how many steps."""

    node: str
    op: str
    values: int = 0
    unequal: int = 0
    far: int = 0  # by more than one step
    largest: int = 0


@dataclass
class Comparison:
    """All ops that have a counterpart, and those that have none."""

    steps: Dict[str, Step] = field(default_factory=dict)
    alone: List[str] = field(default_factory=list)

    def total(self) -> Step:
        """The sum over all ops."""
        result = Step("total", "")
        for step in self.steps.values():
            result.values += step.values
            result.unequal += step.unequal
            result.far += step.far
            result.largest = max(result.largest, step.largest)
        return result


class Oracle:
    """A quantized ONNX model in onnxruntime, with every 8-bit tensor as an output."""

    def __init__(self, model: onnx.ModelProto, graph: Graph, optimized: bool = True) -> None:
        """``graph``: edgecv's; its s8 values that are f32 here, though rounded, are handed out too.
        ``optimized`` False: QDQ models compute in f32 between their roundings.
        """
        self.model = onnx.ModelProto()
        self.model.CopyFrom(model)
        theirs = self.model.graph
        names = self._coded(theirs)
        self._zeros = self._zero_points(theirs)
        self.names = list(names)
        self.outputs = [item.name for item in theirs.output]
        known = set(self.outputs)
        computed = {name for node in theirs.node for name in node.output}
        for name, value in graph.values.items():
            if value.dtype == "s8" and name in computed - set(names):
                names[name] = onnx.TensorProto.FLOAT
                self.outputs += [name] if name not in known else []
        for name, elem_type in names.items():
            if name not in known:
                theirs.output.append(onnx.helper.make_tensor_value_info(name, elem_type, None))
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        level = onnxruntime.GraphOptimizationLevel
        options.graph_optimization_level = (
            level.ORT_ENABLE_ALL if optimized else level.ORT_DISABLE_ALL
        )
        options.add_session_config_entry("session.x64quantprecision", "1")
        data = self.model.SerializeToString()
        try:
            self._session = _session(data, options)
        except Exception:  # its optimizer fails on constants that several nodes share
            options.graph_optimization_level = level.ORT_DISABLE_ALL
            self._session = _session(data, options)
        self.input = self._session.get_inputs()[0].name

    @staticmethod
    def _coded(graph: Any) -> Dict[str, int]:
        """Names of the activations of 8 bits: what QuantizeLinear and QLinear ops write, and what
        moves make of it.
        """
        kinds = {tensor.name: tensor.data_type for tensor in graph.initializer}
        constants = set(kinds)
        found: Dict[str, int] = {}
        for node in graph.node:
            kind: Optional[int] = None
            if node.op_type == "QuantizeLinear":
                zero = node.input[2] if len(node.input) > 2 else ""
                kind = kinds.get(zero, onnx.TensorProto.UINT8)
            elif node.op_type == "QLinearConcat":
                kind = kinds.get(node.input[1])
            elif node.op_type.startswith("QLinear") or node.op_type == "QGemm":
                zeros = {"QLinearConv": 7, "QLinearMatMul": 7, "QGemm": 8}
                binary = node.op_type in ("QLinearAdd", "QLinearMul")
                place = zeros.get(node.op_type, 7 if binary else 4)
                kind = kinds.get(node.input[place]) if place < len(node.input) else None
            elif node.op_type != "DequantizeLinear" and node.input and node.input[0] in found:
                kind = found[node.input[0]]
            if kind in _CODED and node.input[0] not in constants:
                found[node.output[0]] = int(kind or 0)
        return found

    @staticmethod
    def _zero_points(graph: Any) -> Dict[str, Array]:
        """Of activations with a zero point a channel, by the name of the quantized tensor."""
        data = {tensor.name: tensor for tensor in graph.initializer}
        found: Dict[str, Array] = {}
        for node in graph.node:
            if node.op_type == "QuantizeLinear" and len(node.input) > 2 and node.input[2] in data:
                zero = onnx.numpy_helper.to_array(data[node.input[2]])
                if zero.size > 1:
                    found[node.output[0]] = zero.astype(np.int16)
        return found

    def run(self, x: Array) -> Dict[str, Array]:
        """Every 8-bit tensor as s8 (u8 shifted by 128), and the outputs as they are."""
        names = [*self.names, *(name for name in self.outputs if name not in self.names)]
        results = dict(zip(names, self._session.run(names, {self.input: x})))
        for name in self.names:
            if results[name].dtype == np.uint8:
                results[name] = (results[name].astype(np.int16) - 128).astype(np.int8)
            if name in self._zeros:  # the import gives all channels the least zero point
                zero = self._zeros[name]
                moved = results[name] + (zero.min() - zero).reshape(-1, 1, 1)
                results[name] = np.clip(moved, -128, 127).astype(np.int8)
        return results


def _session(data: bytes, options: Any) -> Any:
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def stored(array: Array, shape: Any) -> Array:
    """An ONNX tensor in the layout of the value that holds it: channels last where it is not as
    ONNX has it.
    """
    if array.ndim == 4 and len(shape) == 4:
        last = array.transpose(0, 2, 3, 1)
        if last.shape == tuple(shape):
            return np.ascontiguousarray(last)
    return array.reshape(shape)


def compare(graph: Graph, oracle: Oracle, x: Array, into: Comparison) -> Dict[str, Array]:
    """Adds what one input shows to ``into``; returns onnxruntime's tensors.

    graph: edgecv's int8 graph of the oracle's model, with one input.
    """
    theirs = oracle.run(x)
    values: Dict[str, Array] = {}
    for port in graph.inputs:
        values[port.value] = _input(graph, port, theirs, x)
    for node in graph.nodes:
        output = graph.values[node.outputs[0]]
        ours = interpret_node(graph, node, values)
        values[output.name] = ours
        if output.dtype != "s8" or output.name not in theirs:
            if output.name not in into.alone:
                into.alone.append(output.name)
            continue
        reference = stored(integers(theirs[output.name], output), output.shape)
        apart = np.abs(ours.astype(np.int32) - reference.astype(np.int32))
        step = into.steps.setdefault(node.name, Step(node.name, node.op))
        step.values += int(apart.size)
        step.unequal += int((apart > 0).sum())
        step.far += int((apart > 1).sum())
        step.largest = max(step.largest, int(apart.max()))
        values[output.name] = reference
    return theirs


def integers(array: Array, value: Value) -> Array:
    """The integers of an s8 value that onnxruntime has as the f32 they stand for."""
    if array.dtype != np.float32:
        return array
    steps = np.rint(array / np.float32(value.scale)) + value.zero_point
    return np.clip(steps, -128, 127).astype(np.int8)


def _input(graph: Graph, port: Port, theirs: Dict[str, Array], x: Array) -> Array:
    value = graph.values[port.value]
    if value.name in theirs:
        return stored(theirs[value.name], value.shape)
    return stored(x.astype(np.float32), value.shape)
