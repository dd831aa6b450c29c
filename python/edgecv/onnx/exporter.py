"""Decluttered Graph -> ONNX model, for running it with other engines."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence

import numpy as np

from edgecv.graph.ir import Graph, Node, Value
from edgecv.onnx.load import onnx

OPSET = 21
_IR_VERSION = 10
_T = onnx.TensorProto
_ELEM_TYPES: Dict[str, int] = {
    "f32": _T.FLOAT,
    "s8": _T.INT8,
    "u8": _T.UINT8,
    "s32": _T.INT32,
    "s64": _T.INT64,
    "bool": _T.BOOL,
}


def export(graph: Graph, outputs: Optional[Sequence[str]] = None) -> Any:
    """Return a ModelProto (opset 21) of a graph of ONNX ops.

    ``outputs``: names of values that become the model's outputs, in this order; any value a node
    computes may be one. Without it the outputs are the graph's, under the names of its ports.
    The op ``Silu`` (see the declutter passes) is written as Sigmoid and Mul.
    """
    helper = onnx.helper
    nodes: List[Any] = []
    for node in graph.nodes:
        nodes.extend(_nodes(graph, node))
    inputs = [_info(graph.values[port.value]) for port in graph.inputs]
    initializers = [
        onnx.numpy_helper.from_array(np.ascontiguousarray(value.data).reshape(value.shape), name)
        for name, value in graph.values.items()
        if value.data is not None
    ]
    infos: List[Any] = []
    if outputs is not None:
        infos = [_info(graph.values[name]) for name in outputs]
    else:
        taken = set(graph.values)
        for port in graph.outputs:
            info = _info(graph.values[port.value])
            if port.name != port.value:
                name = port.name if port.name not in taken else f"{port.name}.out"
                nodes.append(helper.make_node("Identity", [port.value], [name]))
                info.name = name
            infos.append(info)
    proto = helper.make_graph(nodes, graph.name, inputs, infos, initializer=initializers)
    return helper.make_model(
        proto,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=_IR_VERSION,
        producer_name="edgecv",
    )


def _info(value: Value) -> Any:
    return onnx.helper.make_tensor_value_info(
        value.name, _ELEM_TYPES[value.dtype], list(value.shape)
    )


def _nodes(graph: Graph, node: Node) -> List[Any]:
    make_node = onnx.helper.make_node
    if node.op == "Silu":
        gate = graph.fresh(f"{node.outputs[0]}.sigmoid")
        return [
            make_node("Sigmoid", node.inputs, [gate], name=f"{node.name}.sigmoid"),
            make_node("Mul", [node.inputs[0], gate], node.outputs, name=node.name),
        ]
    if node.op == "FakeQuant":
        return _fake_quant(graph, node)
    domain, _, op = node.op.rpartition("::")
    attrs = {
        name: onnx.numpy_helper.from_array(value) if isinstance(value, np.ndarray) else value
        for name, value in node.attrs.items()
    }
    return [make_node(op, node.inputs, node.outputs, name=node.name, domain=domain, **attrs)]


def _fake_quant(graph: Graph, node: Node) -> List[Any]:
    """Rounding to the values that quantized parameters allow."""
    code = node.attrs["code"]
    base = node.outputs[0]
    arrays = {
        "scale": np.array(code.scale, np.float32),
        "zero": np.array(code.zero_point, np.int8),
        "low": np.array(code.qmin, np.int8),
        "high": np.array(code.qmax, np.int8),
    }
    names = {key: graph.fresh(f"{base}.{key}") for key in (*arrays, "steps", "clipped")}
    make_node = onnx.helper.make_node
    nodes = [
        make_node("Constant", [], [names[key]], value=onnx.numpy_helper.from_array(array))
        for key, array in arrays.items()
    ]
    parameters = [names["scale"], names["zero"]]
    nodes += [
        make_node("QuantizeLinear", [node.inputs[0], *parameters], [names["steps"]]),
        make_node("Clip", [names["steps"], names["low"], names["high"]], [names["clipped"]]),
        make_node("DequantizeLinear", [names["clipped"], *parameters], [base], name=node.name),
    ]
    return nodes
