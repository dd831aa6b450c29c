"""`edgecv bench`: per-layer times and the Chrome trace."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import edgecv
from edgecv.cli import bench
from edgecv.cli.main import main
from edgecv.infos import StepInfo

STEP = StepInfo(
    name="a", op="Conv2d", kernel="k", family="conv_s8", isa="reference", shape=(1, 2, 2, 4),
    macs=3000, packed_bytes=0, scratch_bytes=0, parallel=False,
)  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two convolutions and a pool, fp32."""
    folder = tmp_path_factory.mktemp("bench")
    rng = np.random.default_rng(0)
    weights = {
        "w": rng.normal(size=(8, 3, 3, 3)).astype(np.float32),
        "v": rng.normal(size=(4, 8, 1, 1)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="first", pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["c", "v"], ["d"], name="second"),
        helper.make_node("GlobalAveragePool", ["d"], ["y"], name="pool"),
    ]
    graph = helper.make_graph(
        nodes, "three",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 16, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 1, 1])],
        [numpy_helper.from_array(data, name) for name, data in weights.items()],
    )  # fmt: skip
    source = folder / "three.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]), str(source))
    edgecv.convert(source, folder / "three.ecv")
    return folder / "three.ecv"


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """What the command prints; it must succeed."""
    code = main(["bench", *map(str, arguments)])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return captured.out


def test_layers_are_those_of_the_plan(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = (model, "--runs", 3, "--threads", 1, "--chains", "off")
    document = json.loads(run(capsys, *arguments, "--per-layer", "--json"))
    with edgecv.load(model, threads=1, chains="off") as loaded:
        plan = [(step.name, step.kernel, list(step.shape), step.macs) for step in loaded.steps]
        assert document["isa"] == loaded.isa
    layers = document["layers"]
    assert [(s["name"], s["kernel"], s["shape"], s["macs"]) for s in layers] == plan
    assert all(layer["ms"] > 0 and layer["chain"] is None for layer in layers)
    assert sum(layer["ms"] for layer in layers) < 10 * document["latency_ms"]["p99"]


def test_top_lists_the_slowest(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = run(capsys, model, "--runs", 3, "--threads", 1, "--top", 1, "--isa", "reference")
    lines = [line for line in text.splitlines() if "__reference" in line]
    assert len(lines) == 1
    assert lines[0].startswith("first")  # the 3x3 has by far the most to do in plain loops
    assert "1 of 3 steps" in text


def test_trace_has_every_step_in_order(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "trace.json"
    text = run(capsys, model, "--runs", 2, "--threads", 1, "--chains", "off", "--trace", path)
    assert str(path) in text
    events = json.loads(path.read_text())["traceEvents"]
    spans = [event for event in events if event["ph"] == "X"]
    assert [span["name"] for span in spans] == ["first", "second", "pool"]
    for before, after in zip(spans, spans[1:]):
        assert after["ts"] == pytest.approx(before["ts"] + before["dur"], abs=1e-6)
    assert spans[0]["args"]["macs"] == 16 * 16 * 8 * 27
    assert {event["args"]["name"] for event in events if event["ph"] == "M"} == {
        "three",
        "steps, 1 thread(s)",
    }


def test_a_chain_encloses_its_steps() -> None:
    chains = [None, 0, 0, 1, None]
    steps = [
        replace(STEP, name=str(i), chain=chain, milliseconds=0.5 + i)
        for i, chain in enumerate(chains)
    ]
    events = bench.chrome_trace("m", 2, steps)["traceEvents"][2:]
    assert [event["name"] for event in events] == [
        "0", "chain 0", "1", "2", "chain 1", "3", "4",
    ]  # fmt: skip
    by_name = {event["name"]: event for event in events}
    assert (by_name["chain 0"]["ts"], by_name["chain 0"]["dur"]) == (500.0, 4000.0)
    assert (by_name["2"]["ts"], by_name["2"]["dur"]) == (2000.0, 2500.0)
    assert by_name["chain 1"]["dur"] == by_name["3"]["dur"] == 3500.0
    assert by_name["0"]["args"]["GMAC/s"] == pytest.approx(3000 / 500e3)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--top", "0"], "--top takes at least 1"),
        (["--runs", "0"], "--runs takes at least 1"),
        (["--runs", "1", "--trace", "no/such/folder/t.json"], "cannot write the trace"),
    ],
)
def test_refusals(
    model: Path, options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", str(model), *options]) != 0
    assert words in capsys.readouterr().err
