"""Models that third-party tools quantized: imported with their own parameters, each layer within
one step of onnxruntime on the same inputs.

Files of PyTorch and NNCF are in tests/data/quantized, with the script that makes them;
onnxruntime.quantization runs here, on the float network beside them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from stepwise import Comparison, Oracle, compare

import edgecv
from edgecv.errors import Error
from edgecv.format.reader import read
from edgecv.format.to_graph import to_graph
from edgecv.graph.ir import Graph
from edgecv.quant.plan import LayerPlan, Plan

DATA = Path(__file__).resolve().parents[2] / "data" / "quantized"
U8, S8, S4 = QuantType.QUInt8, QuantType.QInt8, QuantType.QInt4
CONFIGS: Dict[str, Dict[str, Any]] = {
    f"{form.name} {name}": {"quant_format": form, **options}
    for form in (QuantFormat.QDQ, QuantFormat.QOperator)
    for name, options in {
        "u8s8 channel": {"activation_type": U8, "weight_type": S8, "per_channel": True},
        "u8s8 tensor": {"activation_type": U8, "weight_type": S8},
        "u8u8 tensor": {"activation_type": U8, "weight_type": U8},
        "s8s8 channel": {"activation_type": S8, "weight_type": S8, "per_channel": True},
        "u8s8 7 bits": {"activation_type": U8, "weight_type": S8, "reduce_range": True},
        "u8s4 tensor": {"activation_type": U8, "weight_type": S4},
    }.items()
    if form == QuantFormat.QDQ or "s4" not in name
}


def inputs(count: int, seed: int = 3) -> Iterator[NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    for _ in range(count):
        yield rng.normal(size=(1, 3, 32, 32)).astype(np.float32)


class Reader(CalibrationDataReader):  # type: ignore[misc, unused-ignore]
    """Calibration pictures for onnxruntime.quantization."""

    def __init__(self, name: str) -> None:
        self.feeds = ({name: x} for x in inputs(8, seed=1))

    def get_next(self) -> Optional[Dict[str, Any]]:
        return next(self.feeds, None)


def check(path: Path, tmp_path: Path, float_ops: int = 0) -> edgecv.ConversionReport:
    """Converts without calibration, holds every layer against onnxruntime, and the core against
    the file's own digests.
    """
    model = onnx.load(str(path))
    target = tmp_path / "m.ecv"
    report = edgecv.convert(path, target)
    assert report.precision == "int8"
    assert report.parameters == "from the model"
    graph = to_graph(read(target.read_bytes()))
    oracle, seen = Oracle(model, graph), Comparison()
    for x in inputs(4):
        compare(graph, oracle, x, seen)
    total = seen.total()
    layers = {node.name for node in graph.nodes if node.op in ("Conv2d", "FullyConnected")}
    missing = [name for name in layers - set(seen.steps) if is_int8(graph, name)]
    assert not missing, "layers without a counterpart"
    assert total.far == 0, [step for step in seen.steps.values() if step.far]
    assert total.unequal <= 0.004 * total.values, total
    assert sum(layer.dtype == "f32" for layer in report.layers) == float_ops
    with edgecv.load(target) as loaded:
        assert loaded.verify().passed
    return report


def is_int8(graph: Graph, name: str) -> bool:
    node = next(node for node in graph.nodes if node.name == name)
    return graph.values[node.outputs[0]].dtype == "s8"


@pytest.mark.parametrize("config", sorted(CONFIGS))
def test_onnxruntime(config: str, tmp_path: Path) -> None:
    path = tmp_path / "q.onnx"
    name = onnx.load(str(DATA / "float.onnx")).graph.input[0].name
    quantize_static(str(DATA / "float.onnx"), str(path), Reader(name), **CONFIGS[config])
    report = check(path, tmp_path)
    assert report.remarks == [] or "u8u8" in config
    assert bool(report.warnings) == ("u8u8" in config)


@pytest.mark.parametrize(
    ("name", "float_ops"),
    # In files of eager-mode QAT the pool's output is not quantized, nor is NNCF's last one; PT2E's
    # quantizer for x86 leaves sums, pool and output real.
    [
        ("torch_qat_fbgemm", 4),
        ("torch_qat_qnnpack", 4),
        ("torch_ptq_fbgemm", 0),
        ("nncf_mixed", 2),
        ("torch_fx", 0),
        ("torch_fx_reference", 0),
        ("torch_pt2e", 9),
    ],
)
def test_other_tools(name: str, float_ops: int, tmp_path: Path) -> None:
    report = check(DATA / f"{name}.onnx", tmp_path, float_ops)
    for remark in report.remarks:
        known = ("are cut there", "upper part of their steps", "layers stay f32")
        assert any(text in remark for text in known), remark


@pytest.mark.parametrize("name", ["torch_fx", "torch_fx_reference", "torch_pt2e"])
def test_answers_of_pytorch(name: str, tmp_path: Path) -> None:
    """The whole network beside PyTorch itself."""
    edgecv.convert(DATA / f"{name}.onnx", tmp_path / "m.ecv")
    with edgecv.load(tmp_path / "m.ecv") as model:
        ours = next(iter(model.run(next(inputs(1))).values()))
    theirs = np.load(DATA / f"{name}.npy")
    assert np.abs(ours - theirs).max() < 0.01 * np.ptp(theirs)


def test_calibration_fills_what_is_missing(tmp_path: Path) -> None:
    """Given parameters stay, and the rest becomes int8."""
    path = DATA / "torch_qat_qnnpack.onnx"
    without = edgecv.convert(path, tmp_path / "a.ecv")
    report = edgecv.convert(path, tmp_path / "b.ecv", list(inputs(16, seed=1)))
    assert "/l/Gemm" in without.float_layers
    assert not report.float_layers
    scales: List[Dict[str, Any]] = []
    for name in ("a.ecv", "b.ecv"):
        graph = to_graph(read((tmp_path / name).read_bytes()))
        scales.append({v.name: (v.scale, v.zero_point) for v in graph.values.values() if v.scale})
    shared = {name for name in scales[0] if name in scales[1] and name.endswith("_output_0")}
    assert len(shared) > 10
    assert all(scales[0][name] == scales[1][name] for name in shared)
    with edgecv.load(tmp_path / "a.ecv") as a, edgecv.load(tmp_path / "b.ecv") as b:
        for x in inputs(3):
            want = next(iter(a.run(x).values()))
            got = next(iter(b.run(x).values()))
            assert np.abs(got - want).max() < 0.06 * np.abs(want).max()


@pytest.mark.parametrize(
    "options",
    [
        {"lane_group": 8},
        {"weights": "plain"},
        {"weight_bits": {"/l/Gemm": 4}},
        {"plan": Plan(layers={"*": LayerPlan(is_float=True)})},
        {"plan": Plan(equalize=0.5)},
    ],
)
def test_options_that_would_do_nothing_are_refused(options: Dict[str, Any], tmp_path: Path) -> None:
    path, data = DATA / "torch_qat_qnnpack.onnx", list(inputs(2, seed=1))
    with pytest.raises(Error, match="is quantized already"):
        edgecv.convert(path, tmp_path / "m.ecv", data, **options)
    assert not list(tmp_path.iterdir())


def test_dynamic_weights_stay(tmp_path: Path) -> None:
    """Dynamic quantization gives weights alone: f32 without calibration, int8 with it."""
    path = tmp_path / "dynamic.onnx"
    quantize_dynamic(str(DATA / "float.onnx"), str(path), weight_type=S8)
    report = edgecv.convert(path, tmp_path / "f.ecv")
    assert report.precision == "fp32"
    assert "calibration data" in report.remarks[-1]
    report = edgecv.convert(path, tmp_path / "q.ecv", list(inputs(16, seed=1)))
    assert report.precision == "int8"
    assert report.remarks == []
    theirs = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(str(path)).graph.initializer}
    graph = to_graph(read((tmp_path / "q.ecv").read_bytes()))
    stored = [graph.values[n.inputs[1]].data for n in graph.nodes if n.op == "Conv2d"]
    given = [t for t in theirs.values() if t.dtype == np.int8 and t.ndim == 4]
    assert len(stored) == len(given) == 6
    for ours, weights in zip(stored, given):
        np.testing.assert_array_equal(ours, weights.transpose(0, 2, 3, 1))
