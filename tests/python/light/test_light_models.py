"""fp32 files of the onnx package's light models against onnxruntime; those with an op that edgecv
lacks are refused by name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from light import light_models
from numpy.typing import NDArray

import edgecv
from edgecv.convert import convert
from edgecv.errors import UnsupportedModelError

# A network with tens of layers adds f32 sums in another order: 1e-4 of the largest value is the
# promise of docs/ops.md.
TOLERANCE = 1e-4

UNSUPPORTED = {"bvlc_alexnet": 2, "inception_v1": 2, "zfnet512": 2}  # LRN nodes
SLOW = {"resnet50", "vgg19"}
SUPPORTED = [
    pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name
    for name in light_models.NAMES
    if name not in UNSUPPORTED
]


def onnxruntime_outputs(
    model: onnx.ModelProto, feed: dict[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [port.name for port in session.get_outputs()]
    return {n: np.asarray(y) for n, y in zip(names, session.run(names, feed))}


def compare(model: onnx.ModelProto, out: Path) -> dict[str, float]:
    """Converts to fp32 and runs on random input; output name -> largest relative difference."""
    report = convert(model, out, golden_seeds=())
    assert report.precision == "fp32"
    random = np.random.default_rng(2)
    with edgecv.load(out) as loaded:
        feed = {p.name: random.standard_normal(p.shape).astype(np.float32) for p in loaded.inputs}
        got = loaded.run(feed)
    want = onnxruntime_outputs(model, feed)
    assert set(got) == set(want)
    worst = {}
    for name, y in want.items():
        assert got[name].shape == y.shape
        assert np.isfinite(y).all()
        worst[name] = float(np.abs(got[name] - y).max() / np.abs(y).max())
    return worst


@pytest.mark.parametrize("name", SUPPORTED)
def test_random_weights(name: str, tmp_path: Path) -> None:
    model = light_models.randomized(name)
    worst = compare(model, tmp_path / "model.ecv")
    print(name, worst)
    assert max(worst.values()) <= TOLERANCE, worst


def test_weights_as_shipped(tmp_path: Path) -> None:
    """Weights that are ConstantOfShape nodes fold."""
    worst = compare(light_models.shipped("squeezenet"), tmp_path / "model.ecv")
    assert max(worst.values()) <= TOLERANCE, worst


@pytest.mark.parametrize("name", sorted(UNSUPPORTED))
def test_unsupported_nodes_are_all_named(name: str, tmp_path: Path) -> None:
    model = light_models.shipped(name)
    out = tmp_path / "model.ecv"
    with pytest.raises(UnsupportedModelError) as caught:
        convert(model, out)
    message = str(caught.value)
    normalized = [node for node in model.graph.node if node.op_type == "LRN"]
    assert len(normalized) == UNSUPPORTED[name]
    for node in normalized:
        assert (node.name or node.output[0]) in message
    assert message.count("LRN") >= len(normalized)
    for other in {node.op_type for node in model.graph.node} - {"LRN"}:
        assert f"{other} (" not in message.replace("LRN (", "")
    assert not out.exists()


def test_every_light_model_has_its_test() -> None:
    found = {path.stem[len("light_") :] for path in Path(light_models.FOLDER).glob("light_*.onnx")}
    assert found == set(light_models.NAMES)
