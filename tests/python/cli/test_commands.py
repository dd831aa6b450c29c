"""The commands on a small model: what they print and their exit codes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import edgecv
from edgecv.cli import console
from edgecv.cli.main import COMMANDS, main


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A classifier of 16x16 pictures with four classes, as ONNX and as int8 `.ecv`."""
    folder = tmp_path_factory.mktemp("cli")
    rng = np.random.default_rng(0)
    weights = {
        "w": rng.normal(size=(8, 3, 3, 3)).astype(np.float32) * 0.3,
        "d": rng.normal(size=(8, 1, 3, 3)).astype(np.float32) * 0.3,
        "f": rng.normal(size=(4, 8)).astype(np.float32),
        "b": rng.normal(size=4).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="stem", pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("Relu", ["c"], ["r"], name="relu"),
        helper.make_node("Conv", ["r", "d"], ["e"], name="depthwise", pads=[1, 1, 1, 1], group=8),
        helper.make_node("Add", ["e", "r"], ["s"], name="residual"),
        helper.make_node("GlobalAveragePool", ["s"], ["p"], name="pool"),
        helper.make_node("Flatten", ["p"], ["l"], name="flatten"),
        helper.make_node("Gemm", ["l", "f", "b"], ["y"], name="head", transB=1),
    ]
    graph = helper.make_graph(
        nodes, "classifier",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 16, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])],
        [numpy_helper.from_array(data, name) for name, data in weights.items()],
    )  # fmt: skip
    onnx_path = folder / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]), str(onnx_path))
    photos = folder / "photos"
    photos.mkdir()
    for i in range(20):
        pixels = rng.integers(0, 256, (20 + i, 30, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(photos / f"{i:02}.png")
    labels = folder / "labels.txt"
    labels.write_text("cup\ncat\ndog\ntree\n")
    path = folder / "m.ecv"
    arguments = [
        "convert", str(onnx_path), "-o", str(path), "--calibrate", str(photos),
        "--preprocess", "resize=16x16,mean=127,std=128", "--labels", str(labels),
    ]  # fmt: skip
    assert main(arguments) == 0
    return {"onnx": onnx_path, "ecv": path, "photos": photos, "folder": folder}


def output(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> str:
    assert main([str(a) for a in arguments]) == code
    return capsys.readouterr().out


def test_same_input_gives_the_same_bytes(files: dict[str, Path]) -> None:
    again = files["folder"] / "again.ecv"
    edgecv.convert(
        files["onnx"], again, files["photos"], preprocess="resize=16x16,mean=127,std=128",
        labels=["cup", "cat", "dog", "tree"],
    )  # fmt: skip
    assert again.read_bytes() == files["ecv"].read_bytes()


def test_convert_reports_every_layer(
    files: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    text = output(
        capsys, "convert", files["onnx"], "-o", files["folder"] / "r.ecv", "--json",
        "--calibrate", files["photos"], "--preprocess", "resize=16x16", "--keep-float", "head",
    )  # fmt: skip
    report = json.loads(text)
    assert report["precision"] == "int8"
    assert report["float_layers"] == ["head"]
    assert report["samples"] == 20
    assert sum(layer["macs"] for layer in report["layers"]) == report["macs"] > 0
    assert report["file_bytes"] == (files["folder"] / "r.ecv").stat().st_size


def test_run_prints_labels(files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    picture = files["photos"] / "03.png"
    lines = output(capsys, "run", files["ecv"], picture, "--top", 2).splitlines()
    assert len(lines) == 2
    document = json.loads(output(capsys, "run", files["ecv"], picture, "--json"))
    assert len(document["top"]) == 4
    with edgecv.load(files["ecv"]) as model:
        scores = model.run_image(picture)["y"].ravel()
    best = int(np.argmax(scores))
    assert document["top"][0]["index"] == best
    assert document["top"][0]["label"] == ["cup", "cat", "dog", "tree"][best]
    assert lines[0].endswith(document["top"][0]["label"])


def test_inspect_and_plan(files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    text = output(capsys, "inspect", files["ecv"])
    for name in ("stem", "depthwise", "residual", "pool", "head", "Conv2d", "FullyConnected"):
        assert name in text
    plan = output(capsys, "inspect", files["ecv"], "--plan", "--isa", "reference")
    assert "conv_s8_any__reference" in plan
    document = json.loads(output(capsys, "inspect", files["ecv"], "--json"))
    assert document["ops"][0]["name"] == "stem"
    assert document["preprocess"].startswith("resize=16x16")


def test_verify_passes(files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert output(capsys, "verify", files["ecv"]).startswith("PASS")


def test_bench(files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("bench", files["ecv"], "--runs", 5, "--threads", 1)
    document = json.loads(output(capsys, *arguments, "--per-layer", "--json"))
    assert document["threads"] == 1
    assert 0 < document["latency_ms"]["min"] <= document["latency_ms"]["p99"]
    assert {layer["name"] for layer in document["layers"]} >= {"stem", "depthwise", "head"}
    assert "p95" in output(capsys, *arguments, "--think", 1)


def test_eval_counts_agreement_and_labels(
    files: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    truth = files["folder"] / "truth.tsv"
    with edgecv.load(files["ecv"]) as model:
        rows = []
        for i in range(6):
            name = f"{i:02}.png"
            best = int(np.argmax(model.run_image(files["photos"] / name)["y"]))
            rows.append(f"{name}\t{best if i else (best + 1) % 4}")
    truth.write_text("\n".join(rows) + "\n")
    text = output(
        capsys, "eval", files["ecv"], "--images", files["photos"], "--labels", truth,
        "--against", files["onnx"], "--json",
    )  # fmt: skip
    score = json.loads(text)
    assert (score["n"], score["labelled"], score["top1"], score["top5"]) == (6, 6, 5, 6)
    assert score["agree"] >= 4


def test_info_and_zoo_list(files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    text = output(capsys, "info")
    assert "conv_s8_any__reference" in text
    fma = [line for line in text.splitlines() if "__fma" in line]
    if "avx2 with fma" in text:  # part of a level, not one
        assert fma
        assert not any("needs" in line for line in fma)
    else:
        assert all("needs fma" in line for line in fma)
    document = json.loads(output(capsys, "info", files["ecv"], "--json"))
    assert sum(document["used"].values()) == 5
    assert "efficientnet-lite0" in output(capsys, "zoo", "--list")


@pytest.mark.parametrize("command", [name for name, _ in COMMANDS])
def test_help_teaches(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as info:
        main([command, "--help"])
    assert info.value.code == 0
    assert f"edgecv {command}" in capsys.readouterr().out.split("usage:")[1]


def test_a_terminal_without_rich_gets_a_plain_table_and_one_hint(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    console.table("t", ("name", "n"), [("a", 1), ("bb", 22)], right=(1,))
    captured = capsys.readouterr()
    assert captured.out.splitlines() == ["t", "name   n", "a      1", "bb    22"]
    assert captured.err.count("\n") == 1
    assert "edgecv[image]" in captured.err
