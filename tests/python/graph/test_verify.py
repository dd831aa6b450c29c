"""verify finds what is wrong with a lowered graph; the text form of a graph parses back."""

from __future__ import annotations

from typing import Callable

import numpy as np
import pytest
from graph.onnx_models import Builder

from edgecv.graph.ir import Graph, Node, Port, Value
from edgecv.graph.passes.pipeline import declutter, lower
from edgecv.graph.printer import parse, to_text
from edgecv.graph.verify import VerifyError, verify
from edgecv.onnx.importer import import_model


def lowered() -> Graph:
    """Conv2d, MaxPool2d, ReduceMean, Reshape, FullyConnected."""
    b = Builder()
    x = b.op("Relu", b.op("Conv", b.input(1, 3, 8, 8), b.weights(4, 3, 3, 3), b.weights(4)))
    x = b.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = b.op("Flatten", b.op("GlobalAveragePool", x))
    return lower(declutter(import_model(b.model(b.op("Gemm", x, b.weights(5, 4), transB=1)))))


def node(graph: Graph, op: str) -> Node:
    return next(item for item in graph.nodes if item.op == op)


def set_shape(graph: Graph, op: str, shape: tuple[int, ...]) -> None:
    graph.values[node(graph, op).outputs[0]].shape = shape


def swap(graph: Graph) -> None:
    graph.nodes[0], graph.nodes[1] = graph.nodes[1], graph.nodes[0]


def quantized_without_scale(graph: Graph) -> None:
    output = graph.values[graph.outputs[0].value]
    graph.add(Value("q", output.shape, "s8"))
    graph.nodes.append(Node("Quantize", "q", [output.name], ["q"], {}))


Fault = Callable[[Graph], object]
FAULTS: list[tuple[Fault, str]] = [
    (lambda g: set_shape(g, "MaxPool2d", (1, 3, 4, 4)), "'maxpool2' is (1, 3, 4, 4)"),
    (lambda g: set_shape(g, "Reshape", (1, 5)), "sizes differ"),
    (swap, "before it is computed"),
    (lambda g: node(g, "Conv2d").attrs.pop("groups"), "attributes -groups"),
    (lambda g: node(g, "Conv2d").attrs.update(extra=1), "attributes +extra"),
    (lambda g: node(g, "Conv2d").attrs.update(lo=2.0, hi=1.0), "lo 2.0 exceeds hi 1.0"),
    (lambda g: node(g, "Conv2d").attrs.update(stride_h=0), "stride_h must be positive"),
    (lambda g: node(g, "Conv2d").attrs.update(groups=2), "channels, groups and weights disagree"),
    (lambda g: node(g, "MaxPool2d").attrs.update(pad_top=2), "a window sees padding only"),
    (lambda g: setattr(node(g, "MaxPool2d"), "op", "Pool"), "no op is called 'Pool'"),
    (lambda g: node(g, "MaxPool2d").inputs.append("relu1"), "has 2 inputs"),
    (lambda g: node(g, "MaxPool2d").outputs.append("more"), "has 2 outputs"),
    (lambda g: g.nodes.append(g.nodes[-1]), "is computed twice"),
    (lambda g: g.outputs.append(Port("y", "none", (1,), (0,))), "'y' is never computed"),
    (lambda g: setattr(g.inputs[0], "perm", (0, 1, 2, 2)), "has a bad perm"),
    (lambda g: setattr(g.inputs[0], "shape", (1, 8, 8, 3)), "its value (1, 8, 8, 3)"),
    (lambda g: setattr(g.values["relu1"], "name", "other"), "calls itself 'other'"),
    (lambda g: setattr(g.values["relu1"], "dtype", "f64"), "has dtype 'f64'"),
    (lambda g: setattr(g.values["relu1"], "dtype", "s8"), "gives another dtype than its value"),
    (lambda g: setattr(g.values["relu1"], "shape", (1, 0, 6, 4)), "has shape (1, 0, 6, 4)"),
    (quantized_without_scale, "'q' has no scale"),
]


def test_a_sound_graph_is_accepted() -> None:
    verify(lowered())


@pytest.mark.parametrize(("fault", "reason"), FAULTS, ids=[reason for _, reason in FAULTS])
def test_faults_are_named(fault: Fault, reason: str) -> None:
    graph = lowered()
    fault(graph)
    with pytest.raises(VerifyError) as error:
        verify(graph)
    assert reason in str(error.value)


def test_text_parses_back() -> None:
    graph = lowered()
    graph.values["relu1"].scale, graph.values["relu1"].zero_point = 0.1, -7
    text = to_text(graph)
    again = parse(text)
    assert to_text(again) == text
    assert again.nodes == graph.nodes
    assert (again.inputs, again.outputs) == (graph.inputs, graph.outputs)
    for name, value in graph.values.items():
        data = again.values[name].data
        assert (data is None) == (value.data is None)
        if data is not None and value.data is not None:
            assert data.dtype == value.data.dtype
            assert np.array_equal(data, value.data)
    assert again.values["relu1"].zero_point == -7


def test_text_without_data_is_short_and_cannot_be_parsed() -> None:
    graph = lowered()
    text = to_text(graph, data=False)
    assert len(text) < len(to_text(graph))
    with pytest.raises(ValueError, match="printed without its data"):
        parse(text)


@pytest.mark.parametrize("line", ["nonsense 1", "node 1", "value {", "const 1, 2, 3, 4"])
def test_text_that_is_wrong_names_the_line(line: str) -> None:
    with pytest.raises(ValueError, match="line 2 is not part of a graph"):
        parse('graph "g", 21, 9\n' + line)


def test_tensor_attributes_parse_back() -> None:
    graph = Graph("g", nodes=[Node("Constant", "c", [], [], {"value": np.arange(6).reshape(2, 3)})])
    data = parse(to_text(graph)).nodes[0].attrs["value"]
    assert np.array_equal(data, np.arange(6).reshape(2, 3))
