"""Reports of conversion and compression: what they hold, as JSON and as HTML."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import edgecv
from edgecv.cli.main import main
from edgecv.report import ConversionReport, LayerReport
from edgecv.report_files import compare
from edgecv.report_html import Chart, page

from .nets import Net


class Strict(HTMLParser):
    """Fails on tags that do not close, and notes what would be loaded."""

    VOID = ("meta", "rect", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not {name for name, _ in attrs} & {"src", "href", "onload", "onclick"}
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network with a layer of 62% zeros."""
    net = Net(3, channels=16, size=16)
    y = net.act(net.norm(net.conv("x", 64, 3)))
    name = net.nodes[0].input[1]
    weights = net.weights[name].copy()
    flat = weights.reshape(-1)
    flat[net.rng.permutation(flat.size)[: round(0.62 * flat.size)]] = 0
    net.weights[name] = weights
    proto = net.finish(net.conv(y, 32))
    proto.graph.node[0].name = "<first>"
    folder = tmp_path_factory.mktemp("report")
    onnx.save(proto, str(folder / "m.onnx"))
    np.savez(folder / "calib.npz", x=net.rng.normal(size=(16, 16, 16, 16)).astype(np.float32))
    return folder / "m.onnx"


def test_conversion_as_json(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, saved = model.with_name("a.ecv"), model.with_name("a.json")
    assert main(["convert", str(model), "-o", str(out), "--calibrate",
                 str(model.with_name("calib.npz")), "--report", str(saved)]) == 0  # fmt: skip
    text = capsys.readouterr().out
    assert "<first>: 62% zeros (unstructured): kept dense, file 0%, time 0" in text
    assert "ms at best" in text
    report = json.loads(saved.read_text())
    assert report["file_bytes"] == out.stat().st_size
    measured = report["measured"]
    assert 0 < measured["ms"] <= measured["median_ms"]
    with edgecv.load(out, threads=1) as loaded:
        assert measured["packed_bytes"] == sum(step.packed_bytes for step in loaded.steps)
        assert report["arena_bytes"] == loaded.arena_bytes
        ops = {op.name: op for op in loaded.ops}
        kernels = {step.name: step.kernel for step in loaded.steps}
    layers = {layer["name"]: layer for layer in report["layers"]}
    assert sum(x["packed_bytes"] for x in report["layers"]) == measured["packed_bytes"]
    assert layers["<first>"]["kernel"] == kernels["<first>"]
    for name, op in ops.items():
        assert layers[name]["macs"] == op.macs
        assert (layers[name]["ms"] > 0) == bool(op.steps)
    assert [bool(x["note"]) for x in report["layers"]].count(True) == 1
    predicted = [x for x in report["layers"] if x["predicted_ms"] is not None]
    assert {x["name"] for x in predicted} == {x["name"] for x in report["layers"] if x["macs"]}
    assert len(predicted) == 3
    rates = [x["predicted_ms"] / (x["macs"] + 16 * np.prod(x["shape"])) for x in predicted]
    assert rates == pytest.approx([rates[0]] * 3)
    total = sum(x["ms"] for x in predicted)
    assert sum(x["predicted_ms"] for x in predicted) == pytest.approx(total)


def test_conversion_as_html(model: Path) -> None:
    out, saved = model.with_name("b.ecv"), model.with_name("b.html")
    assert main(["convert", str(model), "-o", str(out), "--report", str(saved)]) == 0
    found = Strict(saved.read_text(encoding="utf-8"))
    assert "<first>" in found.text
    assert "62% zeros" in found.text
    assert "ms by work" in found.text
    assert found.tags.count("svg") == 3  # without int8 no signal to noise
    assert found.tags.count("rect") > 6


def test_pruning_compared(model: Path) -> None:
    out, saved = model.with_name("small.onnx"), model.with_name("small.json")
    command = ["compress", "prune", str(model), "-o", str(out), "--channels", "-50%", "--report"]
    assert main([*command, str(saved)]) == 0
    report = json.loads(saved.read_text())
    rows = {row["name"]: row for row in report["layers_compared"]}
    first = rows["<first>"]
    assert first["after"]["macs"] * 2 == first["before"]["macs"]
    assert first["predicted_ms"] == pytest.approx(first["before"]["ms"] / 2)
    assert report["totals"]["after"]["macs"] == report["macs_after"]
    assert report["totals"]["after"]["file_bytes"] < report["totals"]["before"]["file_bytes"]
    assert report["totals"]["after"]["ms"] > 0
    page_of = model.with_name("small.html")
    assert main([*command, str(page_of)]) == 0
    found = Strict(page_of.read_text(encoding="utf-8"))
    assert "before" in found.text
    assert found.tags.count("svg") == 3


def report_of(layers: list[LayerReport]) -> ConversionReport:
    return ConversionReport("p", "s", 1, 1, "0", "int8", "auto", 1, 1, 1, layers=layers)


def test_factors_are_predicted_from_their_layer() -> None:
    before = report_of([
        LayerReport("a", "Conv2d", "s8", (1, 2, 2, 8), 8 * 4 * 16, 1, ms=2.0),
        LayerReport("gone", "Conv2d", "s8", (1, 1, 1, 1), 1, 1, ms=1.0),
    ])  # fmt: skip
    after = report_of([
        LayerReport("a.0", "Conv2d", "s8", (1, 2, 2, 4), 4 * 4 * 16, 1, ms=0.7),
        LayerReport("a", "Conv2d", "s8", (1, 2, 2, 8), 8 * 4 * 4, 1, ms=0.5),
        LayerReport("new", "Add", "s8", (1, 2, 2, 8), 0, 0, ms=0.1),
    ])  # fmt: skip
    rows = {row["name"]: row for row in compare(before, after)}
    assert rows["a.0"]["predicted_ms"] == pytest.approx(1.0)
    assert rows["a.0"]["before"] is None
    assert rows["a"]["predicted_ms"] == pytest.approx(2.0 * (128 + 512) / 1024)
    assert rows["new"]["predicted_ms"] is None
    assert rows["gone"]["note"] == "gone"


def test_page_escapes_and_draws_to_scale() -> None:
    chart = Chart("t", "ms", ["a<b", "c"], [2.0, 1.0], [4.0, None])
    text = page("<T>", [("k", "v & w")], ["h"], [["<x>"]], [chart, Chart("n", "", ["a"], [None])])
    found = Strict(text)
    assert "<x>" in found.text
    assert "a<b" in found.text
    widths = [float(part.split('"')[0]) for part in text.split('width="')[2:]]
    bars = [w for w in widths if w in (420.0, 210.0, 105.0)]
    assert bars == [420.0, 210.0, 105.0]
    assert found.tags.count("svg") == 1


@pytest.mark.parametrize(
    ("name", "message"), [("r.txt", "a .json or .html file"), ("no/r.json", "no such folder")]
)
@pytest.mark.parametrize("command", [["convert"], ["compress", "prune", "--macs", "-30%"]])
def test_a_wrong_report_file_stops_before_any_work(
    command: list[str], name: str, message: str, model: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    out = tmp_path / "out"
    arguments: list[Any] = [*command, str(model), "-o", str(out)]
    assert main([*arguments, "--report", str(tmp_path / name)]) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()
