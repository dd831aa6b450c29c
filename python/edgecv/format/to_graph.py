"""A judged file back as the converter's graph, with what the writer needs besides it."""

from __future__ import annotations

from typing import Any, Dict, List

from edgecv.format.records import ABSENT, DTYPE_NAMES, Model, Op
from edgecv.format.schema import OPS, Digest, Golden, expand
from edgecv.graph.ir import Graph, Node, Port, Value

_BY_CODE = {schema.code: (name, schema) for name, schema in OPS.items()}


def _attributes(model: Model, op: Op) -> Dict[str, Any]:
    _, schema = _BY_CODE[op.code]
    output = model.tensors[op.output]
    form = schema.form(DTYPE_NAMES[output.dtype])
    attrs: Dict[str, Any] = {}
    for part, values in ((form.ints, op.ints), (form.floats, op.floats.tolist())):
        for (name, entry), value in zip(expand(part), values):
            if entry < 0 and name != "_":
                attrs[name] = value
            elif 0 <= entry < len(output.shape):
                attrs.setdefault(name, []).append(value)
    return attrs


def to_graph(model: Model) -> Graph:
    """The lowered graph of a file. Values keep their names where these are unique."""
    graph = Graph(model.meta.get("name", ""))
    names: List[str] = []
    for tensor in model.tensors:
        name = graph.fresh(tensor.name or "tensor")
        names.append(name)
        graph.add(
            Value(
                name,
                tensor.shape,
                DTYPE_NAMES[tensor.dtype],
                tensor.data,
                float(tensor.scale),
                tensor.zero_point,
            )
        )
    for op in model.ops:
        inputs = ["" if i == ABSENT else names[i] for i in op.inputs]
        name, _ = _BY_CODE[op.code]
        graph.nodes.append(Node(name, op.name, inputs, [names[op.output]], _attributes(model, op)))
    for port in model.ports:
        tensor = model.tensors[port.tensor]
        shape = tuple(tensor.shape[axis] for axis in port.perm)
        dtype = "s32" if DTYPE_NAMES[tensor.dtype] == "s32" else "f32"
        ports = graph.inputs if port.is_input else graph.outputs
        ports.append(Port(port.name, names[port.tensor], shape, port.perm, dtype))
    return graph


def preprocess_of(model: Model) -> Dict[str, Dict[str, Any]]:
    """Input port name -> fields of its PREP record, as the writer takes them."""
    return {
        port.name: model.preprocess[port.preprocess]
        for port in model.ports
        if port.is_input and port.preprocess != ABSENT
    }


def goldens_of(model: Model) -> List[Golden]:
    """The goldens, as the writer takes them."""
    return [
        Golden(
            golden["seed"],
            [
                Digest(d["op"], bytes.fromhex(d["sha256"]), tuple(d["samples"]), d["tolerance"])
                for d in golden["digests"]
            ],
            golden["kind"],
        )
        for golden in model.goldens
    ]
