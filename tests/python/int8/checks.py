"""The checks that every int8 model of this folder goes through.

The floor of a signal-to-noise ratio (SQNR, 10 log10 of signal over error power, in dB): eight bits
over the range of Gaussian numbers (about 7 standard deviations) give 42 dB. Input, weights and
output each add such a noise, which leaves 35 to 40 dB for one op; a deep net loses 3 dB each time
its independent layers double. A wrong scale, zero point, channel or operand gives less than 15 dB.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Sequence

import numpy as np
import onnx
from graph.onnx_models import run_onnxruntime
from numpy.typing import NDArray

import edgecv
from edgecv import _core
from edgecv.convert import convert
from edgecv.format.reader import read
from edgecv.format.to_graph import to_graph
from edgecv.graph.interpret import interpret
from edgecv.graph.ir import Graph
from edgecv.report import ConversionReport

Array = NDArray[Any]
Feed = Dict[str, Array]
ISAS = [name for name, usable in _core.isas() if usable]
ONE_OP = 30.0  # dB, see above
F32_TOLERANCE = 1e-4  # of the largest magnitude: docs/ops.md


def samples(
    model: onnx.ModelProto, count: int = 4, seed: int = 1, scale: float = 1.5
) -> list[Feed]:
    """Random inputs for a model with fixed shapes."""
    rng = np.random.default_rng(seed)
    shapes = {
        port.name: [dim.dim_value for dim in port.type.tensor_type.shape.dim]
        for port in model.graph.input
    }
    return [
        {name: (rng.standard_normal(s) * scale).astype(np.float32) for name, s in shapes.items()}
        for _ in range(count)
    ]


def sqnr(got: Array, want: Array) -> float:
    """Signal over error in dB."""
    want = want.astype(np.float64)
    noise = float(((got - want) ** 2).sum())
    power = float((want**2).sum())
    return float("inf") if noise == 0 else 10 * float(np.log10(max(power, 1e-30) / noise))


def same_bits(path: Path, feed: Feed) -> Graph:
    """Every activation of every instruction set against the numpy interpreter; returns the graph.

    Integers must be equal. An f32 op may differ by its tolerance, so that what follows one is not
    compared here: `edgecv verify` runs those ops one by one.
    """
    graph = to_graph(read(path.read_bytes()))
    feed = dict(feed)
    for port in graph.inputs:
        if graph.values[port.value].dtype == "f32":  # raw means stored layout
            order = np.argsort(port.perm)
            feed[port.name] = np.ascontiguousarray(feed[port.name].transpose(order))
    with edgecv.load(path, threads=2) as model:
        best = model.trace(feed, raw=True)
    stored = {port.name: best[port.value] for port in graph.inputs}
    want = interpret(graph, {p.name: stored[p.name].transpose(p.perm) for p in graph.inputs})
    exact = {port.value for port in graph.inputs}
    for node in graph.nodes:
        sources = [name for name in node.inputs if name and graph.values[name].data is None]
        y = node.outputs[0]
        if graph.values[y].dtype != "f32" and all(name in exact for name in sources):
            exact.add(y)
            assert np.array_equal(best[y], want[y]), f"{node.name} ({node.op}) differs: best ISA"
    for isa in ISAS:
        with edgecv.load(path, threads=1, isa=isa) as model:
            values = model.trace(feed, raw=True)
        for name in exact:
            assert np.array_equal(values[name], best[name]), f"{name} differs on {isa}"
    return graph


def verified(path: Path) -> None:
    """The file proves itself on every instruction set."""
    for isa in ISAS:
        with edgecv.load(path, threads=1, isa=isa) as model:
            report = model.verify()
        assert report.passed, f"{isa}: {report}"


def outputs_close(path: Path, feed: Feed, want: Sequence[Array], floor: float) -> list[float]:
    """SQNR of each float output; integer outputs (indices) must agree where they can."""
    with edgecv.load(path, threads=1) as model:
        got = model.run(feed)
        names = [port.name for port in model.outputs]
    ratios = []
    for name, value in zip(names, want):
        assert got[name].shape == value.shape, f"{name}: {got[name].shape}, not {value.shape}"
        if value.dtype == np.float32:
            ratios.append(sqnr(got[name], value))
            assert ratios[-1] >= floor, f"{name}: SQNR {ratios[-1]:.1f} dB is below {floor}"
    return ratios


def check_int8(
    model: onnx.ModelProto,
    tmp_path: Path,
    *,
    floor: float = ONE_OP,
    keep_float: Sequence[str] = (),
    feeds: Sequence[Feed] | None = None,
    **options: Any,
) -> tuple[Graph, ConversionReport]:
    """Converts and checks: float answer, bits on every path, golden digests."""
    onnx.checker.check_model(model)
    feeds = samples(model) if feeds is None else feeds
    path = tmp_path / "model.ecv"
    report = convert(model, path, feeds, keep_float=keep_float, golden_seeds=(1,), **options)
    assert report.precision == "int8"
    want = run_onnxruntime(model, feeds[0])
    ratios = outputs_close(path, feeds[0], want, floor)
    print(f"SQNR {[round(r, 1) for r in ratios]} dB, float: {report.float_layers}")
    graph = same_bits(path, feeds[0])
    verified(path)
    return graph, report


def check_f32(model: onnx.ModelProto, tmp_path: Path) -> None:
    """The fp32 file against onnxruntime; it verifies too."""
    path = tmp_path / "model-fp32.ecv"
    convert(model, path, golden_seeds=(1,))
    feed = samples(model, 1)[0]
    with edgecv.load(path, threads=2) as loaded:
        got = loaded.run(feed)
    for port, value in zip(model.graph.output, run_onnxruntime(model, feed)):
        worst = np.abs(got[port.name] - value).max() / np.abs(value).max()
        assert worst <= F32_TOLERANCE, f"{port.name} differs by {worst:g} of its largest magnitude"
    verified(path)
