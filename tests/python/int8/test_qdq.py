"""`edgecv export-qdq`: the int8 file back as ONNX, run by onnxruntime."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from graph.onnx_models import Builder
from int8.checks import samples, sqnr
from int8.test_families import FAMILIES
from int8.test_ops import CASES
from numpy.typing import NDArray

import edgecv
from edgecv.cli.main import main
from edgecv.convert import convert
from edgecv.graph.ir import Value
from edgecv.onnx.qdq import export_qdq, weight_scale

LEVELS = onnxruntime.GraphOptimizationLevel
# Float ops between quantizers round a few results of each layer to the other side of a half: one
# step, as s8 noise is anyhow. A wrong scale, axis or operand gives less than 15 dB.
SAME = 32.0
REFUSED = {
    "conv transpose grouped",
    "conv transpose depthwise",
    "average pool 3 1",
    "average pool 4 1",
}


def run(path: Path, feed: dict[str, Any], *, exact: bool = False, plain: bool = False) -> list[Any]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    if plain:
        options.graph_optimization_level = LEVELS.ORT_DISABLE_ALL
    if exact:
        options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return [np.asarray(y) for y in session.run(None, feed)]


def check_export(model: onnx.ModelProto, folder: Path, **options: Any) -> onnx.ModelProto:
    """Exports and compares onnxruntime's float reading of the QDQ graph with edgecv."""
    feeds = samples(model)
    convert(model, folder / "m.ecv", feeds, golden_seeds=(), **options)
    proto = export_qdq(folder / "m.ecv", folder / "m.onnx")
    got = run(folder / "m.onnx", feeds[0], plain=True)
    with edgecv.load(folder / "m.ecv", threads=1) as loaded:
        want = loaded.run(feeds[0])
        names = [port.name for port in loaded.outputs]
    assert [port.name for port in proto.graph.output] == names
    assert [port.name for port in proto.graph.input] == list(feeds[0])
    for name, y in zip(names, got):
        assert y.shape == want[name].shape
        if y.dtype == np.float32:
            assert sqnr(y, want[name].astype(np.float32)) >= SAME
    return proto


@pytest.mark.parametrize("name", FAMILIES)
def test_families(name: str, tmp_path: Path) -> None:
    build, opset = FAMILIES[name]
    b = Builder(opset, seed=5)
    outputs = build(b)
    model = b.model(*([outputs] if isinstance(outputs, str) else outputs))
    check_export(model, tmp_path)


@pytest.mark.parametrize("name", CASES)
def test_ops(name: str, tmp_path: Path) -> None:
    build, _, options = CASES[name]
    b = Builder(options.get("opset", 21), seed=zlib.crc32(name.encode()))
    outputs = build(b, 1)
    model = b.model(*([outputs] if isinstance(outputs, str) else outputs))
    if name in REFUSED:
        with pytest.raises(edgecv.Error, match="is not exported"):
            check_export(model, tmp_path)
    else:
        check_export(model, tmp_path)


def small_net(seed: int = 0) -> onnx.ModelProto:
    b = Builder(seed=seed)
    x = b.op("Relu", b.op("Conv", b.input(1, 3, 12, 12), b.weights(16, 3, 3, 3), b.weights(16)))
    y = b.op("Conv", x, b.weights(16, 1, 3, 3), b.weights(16), group=16, pads=[1] * 4)
    y = b.op("Clip", y, b.const(0.0), b.const(6.0))
    z = b.op("Add", b.op("Conv", y, b.weights(16, 16, 1, 1), b.weights(16)), x)
    flat = b.op("Flatten", b.op("GlobalAveragePool", z))
    return b.model(b.op("Gemm", flat, b.weights(10, 16), b.weights(10), transB=1))


def test_integer_kernels_of_a_saturating_runtime_give_our_bits(tmp_path: Path) -> None:
    """Lane-safe weights: the default arithmetic of onnxruntime equals its exact one and ours."""
    model = small_net()
    feeds = samples(model)
    convert(model, tmp_path / "m.ecv", feeds, golden_seeds=())
    export_qdq(tmp_path / "m.ecv", tmp_path / "m.onnx")
    with edgecv.load(tmp_path / "m.ecv") as loaded:
        for feed in samples(model, 20, seed=9):
            want = next(iter(loaded.run(feed).values()))
            assert np.array_equal(run(tmp_path / "m.onnx", feed, exact=True)[0], want)
            assert np.array_equal(run(tmp_path / "m.onnx", feed)[0], want)


def test_types_are_those_other_runtimes_expect(tmp_path: Path) -> None:
    proto = check_export(small_net(), tmp_path)
    constants = {c.name: onnx.numpy_helper.to_array(c) for c in proto.graph.initializer}
    for node in proto.graph.node:
        if node.op_type == "QuantizeLinear":
            assert constants[node.input[2]].dtype == np.uint8
        if node.op_type == "DequantizeLinear" and node.input[0] in constants:
            q, scale = constants[node.input[0]], constants[node.input[1]]
            assert q.dtype == (np.int32 if q.ndim == 1 else np.int8)
            assert scale.shape == (q.shape[0],)
    ops = [node.op_type for node in proto.graph.node]
    assert ops.count("Transpose") <= 1  # of one pixel, before the Gemm
    assert ops.count("Conv") == 3


@pytest.mark.parametrize("op", ["HardSwish", "Sigmoid", "Tanh"])
def test_known_tables_become_float_ops(op: str, tmp_path: Path) -> None:
    b = Builder()
    model = b.model(b.op(op, b.op("Conv", b.input(1, 3, 4, 4), b.weights(4, 3, 1, 1))))
    ops = [node.op_type for node in check_export(model, tmp_path).graph.node]
    assert op in ops
    assert "Gather" not in ops


def test_an_unknown_table_is_gathered_bit_for_bit(tmp_path: Path) -> None:
    b = Builder(opset=13)
    model = b.model(b.op("LeakyRelu", b.input(1, 3, 4, 4), alpha=0.377))
    ops = [node.op_type for node in check_export(model, tmp_path).graph.node]
    assert "Gather" in ops
    feed = samples(model)[0]
    with edgecv.load(tmp_path / "m.ecv") as loaded:
        assert np.array_equal(
            run(tmp_path / "m.onnx", feed)[0], next(iter(loaded.run(feed).values()))
        )


def test_scales_reproduce_multipliers_bit_for_bit() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        sx, sy = (float(np.float32(s)) for s in np.exp(rng.uniform(-9, 3, 2)))
        s = np.exp(rng.uniform(-12, 0, 64)).astype(np.float32)
        m: NDArray[np.float32] = ((np.float32(sx) * s) / np.float32(sy)).astype(np.float32)
        x, y = Value("x", (1,), "s8", scale=sx), Value("y", (1,), "s8", scale=sy)
        found = weight_scale(m, x, y)
        assert (((np.float32(sx) * found) / np.float32(sy)).astype(np.float32) == m).all()


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = small_net()
    onnx.save(model, tmp_path / "m.onnx")
    np.save(tmp_path / "x.npy", np.concatenate([f["x0"] for f in samples(model)]))
    source, out = str(tmp_path / "m.onnx"), str(tmp_path / "q.onnx")
    assert main(["export-qdq", source, "-o", out]) == 2
    assert "--calibrate" in capsys.readouterr().err
    assert main(["export-qdq", source, "-o", out, "--calibrate", str(tmp_path / "x.npy")]) == 0
    assert "QuantizeLinear" in capsys.readouterr().out
    onnx.checker.check_model(onnx.load(out))
    assert main(["export-qdq", source, "-o", source, "--calibrate", "x"]) == 2
