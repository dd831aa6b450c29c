"""The zoo's networks, quantized by onnxruntime.quantization and imported: every layer within one
step of onnxruntime on the same inputs, real pictures.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import imported
import onnx
import pytest
import realmodels
import stepwise
from onnxruntime.quantization import quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

import edgecv
from edgecv import zoo
from edgecv.format.reader import read
from edgecv.format.to_graph import to_graph

pytestmark = pytest.mark.network


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("mobilenet-v2", "QOperator u8u8, tensor"),
        ("efficientnet-lite0", "QOperator u8s8, channel"),
    ],
)
def test_layers(name: str, config: str, tmp_path: Path) -> None:
    source, path = tmp_path / "p.onnx", tmp_path / "q.onnx"
    quant_pre_process(str(realmodels.onnx_path(name)), str(source), skip_symbolic_shape=True)
    model = zoo.find_model(name)
    calibration = itertools.islice(imported.inputs(model, realmodels.scores("calib64")), 4)
    options = {"weight_type": imported.S8, **imported.CONFIGS[config]}
    quantize_static(str(source), str(path), imported.Reader(calibration), **options)
    report = edgecv.convert(path, tmp_path / "m.ecv")
    assert not report.float_layers
    graph = to_graph(read((tmp_path / "m.ecv").read_bytes()))
    oracle = stepwise.Oracle(onnx.load(str(path)), graph)
    seen = stepwise.Comparison()
    for x in itertools.islice(imported.inputs(model, realmodels.scores("tux139")), 2):
        stepwise.compare(graph, oracle, x, seen)
    total = seen.total()
    print(f"{name}, {config}: {total.unequal} of {total.values} values differ, {total.far} by more")
    assert total.values > 10_000_000
    assert total.far == 0
    assert total.unequal < 1e-4 * total.values
