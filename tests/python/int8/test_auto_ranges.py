"""The default ranges: mse for sums that nothing clamps, minmax for all else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from graph.onnx_models import Builder
from int8.checks import check_int8

from edgecv.graph.passes import pipeline
from edgecv.onnx.importer import import_model
from edgecv.quant.scales import open_sums


def test_which_values_are_open_sums() -> None:
    b = Builder()
    x = b.op("Relu", b.op("Conv", b.input(1, 4, 8, 8), b.weights(8, 4, 1, 1)))
    linear = b.op("Conv", x, b.weights(8, 8, 1, 1))
    gated = b.op("Conv", linear, b.weights(8, 8, 1, 1))
    total = b.op("Add", linear, b.op("HardSwish", gated))
    clipped = b.op("Clip", b.op("Conv", total, b.weights(8, 8, 1, 1)), b.const(-1.0), b.const(1.0))
    y = b.op("Conv", b.op("Add", total, clipped), b.weights(4, 8, 1, 1))
    graph = pipeline.lower(pipeline.declutter(import_model(b.model(y))))
    found = open_sums(graph, set())
    add = [node.outputs[0] for node in graph.nodes if node.op == "Add"]
    assert found == [linear, *add]
    reader = next(node.name for node in graph.nodes if node.inputs[0] == add[1])
    assert open_sums(graph, {reader}) == [linear, add[0]]


def test_few_large_values_of_an_open_sum_are_cut(tmp_path: Path) -> None:
    b = Builder(seed=2)
    x = b.input(1, 8, 64, 64)
    linear = b.op("Conv", x, b.const(np.eye(8).reshape(8, 8, 1, 1)))
    model = b.model(b.op("Conv", linear, b.weights(4, 8, 1, 1)))
    rng = np.random.default_rng(0)
    feeds = [{"x0": rng.uniform(-1, 1, (1, 8, 64, 64)).astype(np.float32)} for _ in range(32)]
    feeds[3]["x0"][0, 0, 0, 0] = 3.0  # a million values are coarser for this one
    scale = {}
    for method in ("auto", "minmax"):
        graph, report = check_int8(model, tmp_path, feeds=feeds, method=method, floor=25.0)
        assert report.method == method
        scale[method] = {name: value.scale for name, value in graph.values.items()}
    assert scale["auto"]["x0"] == scale["minmax"]["x0"]
    assert scale["auto"][linear] < 0.8 * scale["minmax"][linear]
