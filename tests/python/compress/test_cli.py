"""`edgecv compress` on a small model: what it writes and prints, and its errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import edgecv
from edgecv.cli.main import main
from edgecv.compress.latency import LayerTimes, prune_by_latency
from edgecv.compress.measure import Timing, convert_for_timing, interleave
from edgecv.compress.network import Network
from edgecv.compress.trace import trace
from edgecv.errors import Error

from .nets import Net


def model_of(width: int = 64) -> Any:
    net = Net(6, size=16)
    x = net.act(net.norm(net.conv("x", width, 3)))
    for _ in range(2):
        x = net.node("Relu", [net.conv(x, width, 3)], width)
    return net.finish(net.conv(x, 16, 1))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "m.onnx"
    onnx.save(model_of(), str(path))
    return path


def test_prune_measures_before_and_after(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "small.onnx"
    command = ["compress", "prune", str(model), "-o", str(out), "--macs", "-60%"]
    assert main([*command, "--measure", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["macs_after"] <= 0.4 * report["macs_before"]
    before, after = report["measured"]["before"], report["measured"]["after"]
    assert after["file_bytes"] < before["file_bytes"]
    assert after["macs"] == report["macs_after"] < report["macs_before"] == before["macs"]
    assert 0 < after["ms"] <= after["median_ms"]
    onnx.checker.check_model(str(out), full_check=True)
    assert main(command) == 0
    assert "multiply-accumulates" in capsys.readouterr().out


def times_by_work(files: list[bytes], **_: Any) -> list[Timing]:
    """Times of a machine that nothing disturbs: the products of a step, and what it stores."""
    timings = []
    for file in files:
        steps: dict[str, float] = {}
        with edgecv.load(file) as model:
            for step in model.steps:
                stored = int(np.prod(step.shape))
                steps[step.name] = steps.get(step.name, 0.0) + (step.macs + 16 * stored) / 1e6
        timings.append(Timing(sum(steps.values()), sum(steps.values()), steps))
    return timings


def test_target_time_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgecv.compress.latency.interleave", times_by_work)
    model = model_of(128)
    whole = times_by_work([convert_for_timing(model)[0]])[0]
    proto, report = prune_by_latency(model, target_ms=0.6 * whole.ms)
    small = times_by_work([convert_for_timing(proto)[0]])[0]
    assert 0.5 * whole.ms < small.ms <= 0.6 * whole.ms
    assert report.macs_after < 0.65 * report.macs_before
    assert not report.warnings
    with pytest.raises(Error, match="cannot go"):
        prune_by_latency(model, target_ms=1e-6)


def test_files_are_timed_in_turn() -> None:
    large, small = (convert_for_timing(model_of(width))[0] for width in (128, 32))
    a, b = interleave([large, small], seconds=0.3, layers=True)
    assert 0 < b.ms < a.ms <= a.median_ms
    assert sum(a.steps.values()) > sum(b.steps.values()) > 0


def test_predicted_time_falls_with_the_channels() -> None:
    net = Net(2)
    a = net.conv("x", 32, 3)
    b = net.conv(a, 64)
    found = trace(Network(net.finish(b)))
    times = LayerTimes(found, {a: 2.0, b: 4.0, "elsewhere": 1.0})
    kept = np.ones(len(found.roots()), bool)
    assert times.predict(kept) == pytest.approx(7.0)
    kept[found.tensors[a].labels[:16]] = False
    # Layer a reads the picture: half. Layer b: 16 of 32 products, and what 16 more would cost.
    assert times.predict(kept) == pytest.approx(1.0 + 1.0 + 4.0 * (16 + 16) / (32 + 16))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--macs", "lots"], "write it as -30%"),
        (["--macs", "-30%", "--keep", "nobody"], "no layer is named"),
        (["--macs", "-30%", "--importance", "taylor"], "belong together"),
        (["--macs", "-30%", "--gradients", "absent.npz"], "absent.npz"),
        (["--target-ms", "1000"], "is met"),
        (["--target-ms", "nan"], "above 0"),
        (["--macs", "-30%", "--measure", "--calibrate", "absent.npz"], "absent.npz"),
        (["--macs", "-30%", "--measure", "--threads", "0"], "takes 1 or more"),
        (["--macs", "-30%", "-o", "absent/out.onnx"], "not there"),
        (["--channels", "30%", "--by-time"], "--by-time goes with --macs"),
    ],
)
def test_errors_are_one_line_and_write_nothing(
    model: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = model.with_name("out.onnx")
    assert main(["compress", "prune", str(model), "-o", str(out), *arguments]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize("way", ["prune --macs 30% -o {out}", "share -o {out}", "look"])
def test_quantized_models_are_refused(
    way: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(__file__).resolve().parents[2] / "data" / "quantized" / "torch_ptq_fbgemm.onnx"
    name, *options = way.format(out=tmp_path / "out.onnx").split()
    assert main(["compress", name, str(path), *options]) == 2
    assert "quantized already" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_model_itself_is_not_overwritten(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = model.read_bytes()
    assert main(["compress", "prune", str(model), "-o", str(model), "--macs", "30%"]) == 2
    assert "is the model itself" in capsys.readouterr().err
    assert model.read_bytes() == before


def test_names_are_needed_for_times() -> None:
    model = model_of()
    for node in model.graph.node:
        node.name = ""
    with pytest.raises(Error, match="give the nodes of the model names"):
        prune_by_latency(model, macs=0.3, seconds=0.1)
