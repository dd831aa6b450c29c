"""Small ONNX models, and the one check that every op and pass goes through."""

from __future__ import annotations

from typing import Any, Callable, Sequence

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from edgecv.graph.interpret import interpret, outputs_of
from edgecv.graph.ir import Graph
from edgecv.graph.passes import pipeline
from edgecv.graph.passes.declutter.resolve_windows import resolve_windows
from edgecv.graph.passes.declutter.upgrade_opset import upgrade_opset
from edgecv.graph.passes.lower.lower_graph import lower_graph
from edgecv.graph.passes.rewrite import Result
from edgecv.graph.printer import parse, to_text
from edgecv.graph.verify import verify
from edgecv.onnx.exporter import export
from edgecv.onnx.importer import import_model

Array = NDArray[Any]
# f32 sums in another order differ by about 1e-6 of the largest magnitude; docs/ops.md allows 1e-4.
TOLERANCE = 1e-4


class Builder:
    """Adds nodes one by one; values are known by their names."""

    def __init__(self, opset: int = 21, seed: int = 0) -> None:
        self.opset = opset
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[str] = []

    def input(self, *shape: int | str, name: str = "") -> str:
        name = name or f"x{len(self.inputs)}"
        info = helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, list(shape))
        self.inputs.append(info)
        return name

    def const(self, data: Any, dtype: Any = np.float32) -> str:
        name = f"c{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.asarray(data, dtype), name))
        return name

    def weights(self, *shape: int) -> str:
        fan_in = int(np.prod(shape[1:])) or 1
        return self.const(self.rng.standard_normal(shape) / np.sqrt(fan_in))

    def ints(self, *values: int) -> str:
        return self.const(values, np.int64)

    def op(self, op: str, *inputs: str, outputs: int = 1, **attrs: Any) -> Any:
        index = len(self.nodes)
        names = [f"{op.lower()}{index}" + (f"_{i}" if i else "") for i in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs, names, name=f"{op}{index}", **attrs))
        return names[0] if outputs == 1 else names

    def model(self, *outputs: str) -> onnx.ModelProto:
        infos = [onnx.ValueInfoProto(name=name) for name in outputs]
        graph = helper.make_graph(
            self.nodes, "model", self.inputs, infos, initializer=self.initializers
        )
        imports = [helper.make_opsetid("", self.opset)]
        model = helper.make_model(graph, opset_imports=imports, ir_version=8)
        return onnx.shape_inference.infer_shapes(model)


def run_onnxruntime(model: onnx.ModelProto, feeds: dict[str, Array]) -> list[Array]:
    """onnxruntime's float answers, its graph as it is."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return [np.asarray(item) for item in session.run(None, feeds)]


def feeds_of(graph: Graph, seed: int = 1, scale: float = 2.0) -> dict[str, Array]:
    """Random inputs."""
    rng = np.random.default_rng(seed)
    return {
        port.name: np.asarray(rng.standard_normal(port.shape) * scale, np.float32)
        for port in graph.inputs
    }


def assert_close(got: Array, want: Array, what: str) -> None:
    assert got.shape == want.shape, f"{what}: {got.shape}, not {want.shape}"
    scale = max(1e-6, float(np.abs(want).max()))
    worst = float(np.abs(got.astype(np.float64) - want).max()) / scale
    assert worst <= TOLERANCE, f"{what} differs by {worst:g} of its largest magnitude"


def decluttered(model: onnx.ModelProto) -> Graph:
    """The decluttered graph; a second run of all passes must find nothing."""
    graph = pipeline.declutter(import_model(model))
    before = to_text(graph)
    for one in pipeline.DECLUTTER:
        assert not one(graph).changed, f"{one.__name__} is not idempotent"
    assert to_text(graph) == before
    return graph


def lowered(graph: Graph) -> Graph:
    """The lowered graph, verified after every pass."""
    low = lower_graph(graph)
    verify(low)
    for _ in range(3):
        for one in pipeline.LOWERED:
            one(low)
            verify(low)
    assert to_text(low) == to_text(pipeline.lower(graph))
    return low


def check(
    model: onnx.ModelProto,
    feeds: dict[str, Array] | None = None,
    want: Sequence[Array] | None = None,
) -> tuple[Graph, Graph]:
    """Import, declutter, export and lower a model; each stage must compute what onnxruntime does.

    Also: lowered values hold the numbers of the decluttered values of the same name, the text
    form parses back, and the graphs come out the same twice. Returns (decluttered, lowered).
    """
    graph = decluttered(model)
    feeds = feeds_of(graph) if feeds is None else feeds
    expected = run_onnxruntime(model, feeds) if want is None else list(want)
    assert to_text(graph) == to_text(decluttered(model))

    names = [name for name, value in graph.values.items() if not value.is_constant]
    computed = [name for name in names if name not in {port.value for port in graph.inputs}]
    exported = dict(zip(computed, run_onnxruntime(export(graph, computed), feeds)))
    for port, value in zip(graph.outputs, expected):
        assert_close({**exported, **feeds}[port.value], value, f"decluttered {port.name}")
    for port, value, same in zip(graph.outputs, expected, run_onnxruntime(export(graph), feeds)):
        assert_close(same, value, f"exported {port.name}")

    low = lowered(graph)
    assert to_text(parse(to_text(low))) == to_text(low)
    results = interpret(low, feeds)
    answers = outputs_of(low, results)
    assert [port.name for port in low.outputs] == [item.name for item in model.graph.output]
    for port, value in zip(low.outputs, expected):
        assert_close(answers[port.name], value, f"lowered {port.name}")
    for name in set(results) & set(exported):
        want_sorted = np.sort(exported[name].reshape(-1))
        assert_close(np.sort(results[name].reshape(-1)), want_sorted, f"value {name}")
    return graph, low


def ops(graph: Graph) -> list[str]:
    """The ops of a graph, in order."""
    return [node.op for node in graph.nodes]


def conv(b: Builder, x: str, ins: int, outs: int, size: int = 3, **attrs: Any) -> str:
    """A Conv with random weights and a bias."""
    w = b.weights(outs, ins // attrs.get("group", 1), size, size)
    name: str = b.op("Conv", x, w, b.weights(outs), **attrs)
    return name


def refusals(b: Builder, one: Callable[[Graph], Result], *outputs: str) -> str:
    """What a pass says of a model that it leaves alone."""
    graph = import_model(b.model(*outputs))
    upgrade_opset(graph)
    resolve_windows(graph)
    result = one(graph)
    assert not result.changed
    return "; ".join(reason for _, reason in result.refusals)
