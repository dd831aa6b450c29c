"""Options that decide the integers: lane groups, widths of weights and activations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from graph.onnx_models import Builder
from int8.checks import check_int8, samples

import edgecv
from edgecv.cli.convert import parse_weight_bits
from edgecv.cli.main import main
from edgecv.convert import convert
from edgecv.errors import CalibrationError, Error, UnsupportedModelError
from edgecv.graph.ir import Graph
from edgecv.quant.lanes import lane_bound, largest_lane_sum
from edgecv.quant.taps import keeps_taps


def net() -> onnx.ModelProto:
    b = Builder(seed=4)
    x = b.op("Relu", b.op("Conv", b.input(1, 3, 12, 12), b.weights(24, 3, 3, 3), b.weights(24)))
    y = b.op("Conv", x, b.weights(24, 1, 3, 3), b.weights(24), group=24, pads=[1] * 4)
    y = b.op("HardSwish", b.op("Clip", y, b.const(0.0), b.const(6.0)))
    z = b.op("Add", b.op("Conv", y, b.weights(24, 24, 1, 1), b.weights(24)), x)
    z = b.op("MaxPool", z, kernel_shape=[2, 2], strides=[2, 2])
    z = b.op("Concat", z, b.op("Sigmoid", z), axis=1)
    z = b.op("Conv", z, b.weights(16, 24, 3, 3), b.weights(16), group=2, dilations=[2, 2])
    flat = b.op("Flatten", b.op("GlobalAveragePool", z))
    return b.model(b.op("Gemm", flat, b.weights(10, 16), b.weights(10), transB=1))


def weights_of(graph: Graph) -> dict[str, Any]:
    """Node name -> integer weights."""
    layers = [n for n in graph.nodes if n.op in ("Conv2d", "FullyConnected")]
    return {n.name: graph.values[n.inputs[1]].data for n in layers}


@pytest.mark.parametrize("group", [2, 4, 8])
def test_every_layer_keeps_its_group(group: int, tmp_path: Path) -> None:
    graph, report = check_int8(net(), tmp_path, lane_group=group)
    groups = {layer.name: layer.lane_group for layer in report.layers}
    kept = []
    for name, w in weights_of(graph).items():
        if w.shape[-1] == 1:  # bounds of its own
            assert groups[name] == (8 if group == 8 else 1)
            assert group < 8 or keeps_taps(w, 255)
            kept.append(1)
        else:
            kept.append(groups[name])
            assert largest_lane_sum(w, groups[name]) <= lane_bound(255)
    # Layers of few channels keep several counts of k, and may take a smaller group.
    assert sorted(kept)[3:] == [group] * 2
    assert report.weights == "lane-safe"
    assert f"of {group}" in str(report)
    assert json.loads(report.to_json())["wanted_group"] == group


def test_plain_weights_use_all_steps(tmp_path: Path) -> None:
    graph, report = check_int8(net(), tmp_path, weights="plain")
    for w in weights_of(graph).values():
        assert (np.abs(w.reshape(len(w), -1).astype(int)).max(axis=1) == 127).all()
    assert report.weights == "plain"
    assert {layer.lane_group for layer in report.layers} == {None, 1}


@pytest.mark.parametrize("bits", [7, 6, 5, 4])
@pytest.mark.parametrize("weights", ["lane-safe", "plain"])
def test_narrow_weights(bits: int, weights: str, tmp_path: Path) -> None:
    """The floor falls by 6 dB a bit."""
    floor = 30.0 - 6 * (8 - bits)
    graph, report = check_int8(net(), tmp_path, floor=floor, weight_bits=bits, weights=weights)
    for name, w in weights_of(graph).items():
        width = 8 if w.shape[-1] == 1 else bits
        assert 2 ** (width - 2) <= np.abs(w.astype(int)).max() <= 2 ** (width - 1) - 1, name
    assert {layer.weight_bits for layer in report.layers} == {None, bits, 8}


def test_widths_of_single_layers(tmp_path: Path) -> None:
    model = net()
    widths = {"": 6, "Gemm": 8, "Conv0": 4}
    report = convert(model, tmp_path / "m.ecv", samples(model), weight_bits=widths)
    found = {layer.name: layer.weight_bits for layer in report.layers if layer.weight_bits}
    assert sorted(found.values()) == [4, 6, 6, 8, 8]
    widths = {"": 6, "Gemm*": 8, "Conv*": 4, "Conv0": 5}
    report = convert(model, tmp_path / "m.ecv", samples(model), weight_bits=widths)
    found = {layer.name: layer.weight_bits for layer in report.layers if layer.weight_bits}
    assert sorted(found.values()) == [4, 4, 4, 5, 8]  # a rule reaches depthwise layers too
    with pytest.raises(UnsupportedModelError, match="weight_bits rule 'Cnov"):
        convert(model, tmp_path / "m.ecv", samples(model), weight_bits={"Cnov*": 4})


@pytest.mark.parametrize("weights", ["lane-safe", "plain"])
def test_7_bit_activations(weights: str, tmp_path: Path) -> None:
    model = net()
    graph, report = check_int8(
        model, tmp_path, floor=26.0, activation_bits=7, weights=weights, lane_group=8
    )
    assert report.activation_bits == 7
    inputs = {port.value for port in graph.inputs}
    with edgecv.load(tmp_path / "model.ecv") as loaded:
        for feed in samples(model, 3, seed=8, scale=9.0):  # far beyond what calibration saw
            values = loaded.trace(feed, raw=True)
            for name, q in values.items():
                if q.dtype == np.int8 and name not in inputs:
                    assert q.min() >= -64
                    assert q.max() <= 63
    groups = {layer.name: layer.lane_group or 1 for layer in report.layers}
    for node in graph.nodes:
        if groups[node.name] > 1:
            w = graph.values[node.inputs[1]].data
            assert w is not None
            bound = lane_bound(255 if node.inputs[0] in inputs else 127)
            if w.shape[-1] == 1:
                assert keeps_taps(w, 32767 // bound)
            else:
                assert largest_lane_sum(w, groups[node.name]) <= bound
    assert list(groups.values()).count(8) == (4 if weights == "lane-safe" else 0)


def test_activations_of_float_nodes_keep_8_bits(tmp_path: Path) -> None:
    b = Builder()
    x = b.op("Exp", b.op("Conv", b.input(1, 3, 4, 4), b.weights(8, 3, 1, 1)))
    model = b.model(b.op("Conv", x, b.weights(4, 8, 1, 1)))
    graph, _ = check_int8(model, tmp_path, floor=15.0, activation_bits=7)
    with edgecv.load(tmp_path / "model.ecv") as loaded:
        values = loaded.trace(samples(model)[0], raw=True)
    bridged = next(n.outputs[0] for n in graph.nodes if n.op == "Quantize")
    assert values[bridged].min() < -64


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": "fast"}, "lane-safe"),
        ({"lane_group": 3}, "2, 4 or 8"),
        ({"weight_bits": 3}, "8, 7, 6, 5 or 4"),
        ({"weight_bits": {"*": 9}}, "8, 7, 6, 5 or 4"),
        ({"activation_bits": 6}, "8 or 7"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    model = net()
    with pytest.raises(Error, match=message):
        convert(model, tmp_path / "m.ecv", samples(model), **options)


@pytest.mark.parametrize("options", [{"weights": "plain"}, {"weight_bits": 6}, {"lane_group": 8}])
def test_options_of_int8_need_calibration(options: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="for int8 files"):
        convert(net(), tmp_path / "m.ecv", **options)


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = net()
    onnx.save(model, tmp_path / "m.onnx")
    np.save(tmp_path / "x.npy", np.concatenate([f["x0"] for f in samples(model)]))
    base = ["convert", str(tmp_path / "m.onnx"), "-o", str(tmp_path / "m.ecv")]
    base += ["--calibrate", str(tmp_path / "x.npy")]
    assert main([*base, "--json", "--lane-group", "8", "--weight-bits", "6"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["wanted_group"] == 8
    assert {layer["lane_group"] for layer in report["layers"]} == {None, 8}
    assert main([*base, "--weights", "plain", "--activation-bits", "7"]) == 0
    text = capsys.readouterr().out
    assert "plain, 8 bits" in text
    assert "7 bits" in text
    assert main([*base, "--weight-bits", "Gemm=x"]) == 2
    assert "NAME=6" in capsys.readouterr().err


def test_weight_bits_on_the_command_line() -> None:
    assert parse_weight_bits([]) == 8
    assert parse_weight_bits(["6", "5"]) == 5
    assert parse_weight_bits(["a=6", "4", "b=8"]) == {"a": 6, "": 4, "b": 8}
