"""The comparison's arithmetic, its selection of peers and its worker processes."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parents[3] / "benchmarks" / "peers"
NAMES = ("bars", "peers", "report", "measure", "runners")


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    """The modules of benchmarks/peers, which import each other as scripts do."""
    import importlib

    monkeypatch.syspath_prepend(str(FOLDER))
    for name in NAMES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    found = {name: importlib.import_module(name) for name in NAMES}
    for name in NAMES:
        monkeypatch.delitem(sys.modules, name)
    return found


def row(ms: float) -> dict[str, Any]:
    return {"min_ms": ms, "p50_ms": 2 * ms, "cpu_min_ms": ms}


ROWS = {
    "edgecv": row(2.0),
    "edgecv plain": row(2.5),
    "edgecv fp32": row(4.0),
    "ort int8": row(2.6),
    "openvino int8": {"error": "ended: no word"},
    "litert int8": row(5.0),
    "litert fp32": row(3.5),
}


def test_fastest_rival_is_no_own_form_and_no_error(modules: dict[str, ModuleType]) -> None:
    fastest = modules["report"].fastest
    assert fastest(ROWS, "min_ms") == ("ort int8", 2.6)
    assert fastest(ROWS, "min_ms", exact=True) == ("litert fp32", 3.5)
    assert fastest(ROWS, "min_ms", precision="int8") == ("ort int8", 2.6)
    name, ms = fastest({"edgecv": row(1.0)}, "min_ms")
    assert name == ""
    assert math.isnan(ms)


def test_ratios_and_missed_bars(modules: dict[str, ModuleType]) -> None:
    ratios = modules["report"].Ratios("min_ms")
    cells = ratios.row("mobilenet_v2", ROWS)
    assert cells[1:] == [
        "2.00", "ort int8", "1.30 (< 1.4)", "litert fp32", "1.75", "1.04 (< 1.05)", "1.40", "2.00",
        "litert fp32", "0.88 (< 0.9)",
    ]  # fmt: skip
    ratios.row("resnet18", {**ROWS, "ort int8": row(2.6 * 4), "litert fp32": row(3.5 * 4)})
    mean = ratios.mean()
    assert mean[0] == "**geometric mean of 2**"
    assert mean[3] == f"{math.sqrt(1.3 * 2.5):.2f}"  # litert int8 leads the second network
    assert "nan" not in " ".join(mean)


def test_two_threads_are_compared_with_one(modules: dict[str, ModuleType]) -> None:
    one = {"a": {"edgecv": row(4.0)}, "b": {"edgecv": row(9.0)}}
    two = {"a": {"edgecv": row(2.0)}, "b": {"edgecv": row(9.0)}}
    table = modules["report"].scaling_table(one, two)
    assert "| a | 2.00 | 2.00 |" in table
    assert "1.41 (< 1.75)" in table


def test_select(modules: dict[str, ModuleType]) -> None:
    peers = modules["peers"]

    def names(words: str, *builds: str) -> list[str]:
        return [peer.name for peer in peers.select(words, builds)]

    assert names("ncnn,litert fp32") == ["litert fp32", "ncnn int8", "ncnn fp32"]
    assert names("all") == [peer.name for peer in peers.PEERS]
    assert set(names("default")) < set(names("all"))
    assert names("edgecv plain,ort fp32", "old=folder")[-1] == "edgecv plain @old"
    assert peers.find("edgecv plain @old").ours
    with pytest.raises(SystemExit, match="no peer is meant"):
        peers.select("nothing")


@pytest.mark.parametrize("name", ["edgecv fp32", "ort fp32"])
def test_open_runner_runs_every_picture_it_is_fed(
    modules: dict[str, ModuleType], tmp_path: Path, name: str
) -> None:
    from onnx import TensorProto, helper

    import edgecv

    port = [1, 3, 4, 4]
    source = helper.make_model(
        helper.make_graph(
            [helper.make_node("Relu", ["x"], ["y"])],
            "relu",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, port)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, port)],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=10,
    )
    (tmp_path / "m.onnx").write_bytes(source.SerializeToString())
    edgecv.convert(source, tmp_path / "m.fp32.ecv")
    peer = modules["peers"].find(name)
    assert peer.find_files(tmp_path, "other") is None
    (path,) = peer.find_files(tmp_path, "m")
    feed = modules["runners"].open_runner(peer.runtime, peer.setting, str(path), 1)
    pictures = np.random.default_rng(1).standard_normal((2, *port)).astype(np.float32)
    for x in pictures:
        np.testing.assert_array_equal(feed(x)()[0], np.maximum(x, 0))


def test_worker_runs_stops_and_goes_on(modules: dict[str, ModuleType], tmp_path: Path) -> None:
    measure, peers = modules["measure"], modules["peers"]
    np.zeros((1, 3, 8, 8), np.float32).tofile(tmp_path / "m.input.f32")
    setup = measure.Setup(tmp_path, tmp_path, python=sys.executable)
    peer = peers.Peer("numpy", "numpy", "none", ())
    worker = measure.Worker(setup, peer, measure.Model("m", 8))
    worker.wait()
    assert worker.first["cold_ms"] > worker.first["numpy_ms"] > 0
    worker.stop()
    worker.turn(1, 3)
    worker.turn(0, 2)
    worker.close()
    summary = worker.summary()
    assert summary["runs"] == 5
    assert summary["min_ms"] <= summary["p50_ms"] <= summary["p95_ms"]


def test_worker_that_fails_says_why(modules: dict[str, ModuleType], tmp_path: Path) -> None:
    measure, peers = modules["measure"], modules["peers"]
    setup = measure.Setup(tmp_path, tmp_path, python=sys.executable)
    worker = measure.Worker(setup, peers.Peer("x", "nosuch", "int8", ()), measure.Model("m", 8))
    with pytest.raises(RuntimeError, match=r"ended: .*m\.input\.f32"):
        worker.wait()
    worker.close()
