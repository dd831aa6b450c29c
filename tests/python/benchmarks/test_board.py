"""The script for owners of boards, run as they do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
MODEL = ROOT / "tests" / "data" / "golden" / "convnet.ecv"


def board(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "benchmarks" / "board.py", *arguments]
    return subprocess.run([str(word) for word in command], capture_output=True, text=True)


def quick(out: Path) -> tuple[object, ...]:
    return ("--rounds", 2, "--runs", 2, "--out", out)


def make_onnx(path: Path) -> Path:
    import onnx
    from onnx import TensorProto, helper

    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", 3, 4, 4]) for n in "xy")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu", [x], [y])
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    return path


def test_figures_digests_and_a_rival(tmp_path: Path) -> None:
    rival = make_onnx(tmp_path / "relu.onnx")
    run = board(f"{MODEL},{rival}", "--threads", "1,2", *quick(tmp_path / "board.json"))
    assert run.returncode == 0, run.stderr
    assert "All digests match" in run.stdout
    report = json.loads((tmp_path / "board.json").read_text())
    assert report["machine"]["edgecv"]
    assert "reference" in report["machine"]["instruction sets"]
    assert [result["threads"] for result in report["results"]] == [1, 2]
    first, second = report["results"]
    assert first["digests"]["match"]
    assert first["digests"]["output of seed 1"] == second["digests"]["output of seed 1"]
    assert sum(first["digests"]["steps by kernel folder"].values()) > 0
    times = first["times"]
    assert set(times) == {"edgecv", "relu.onnx"}
    assert times["edgecv"]["times edgecv"] == 1.0
    ratio = times["relu.onnx"]["ms min"] / times["edgecv"]["ms min"]
    assert abs(times["relu.onnx"]["times edgecv"] - ratio) < 1e-2
    assert "onnxruntime" in first["rivals"]["relu.onnx"]
    # What is sent tells nothing of the owner.
    assert str(tmp_path) not in (tmp_path / "board.json").read_text()


def test_a_runtime_that_is_absent_is_said(tmp_path: Path) -> None:
    script = (
        "import runpy, sys\n"
        "sys.modules['onnxruntime'] = None\n"
        f"sys.argv = {['', f'{MODEL},gone.onnx', *map(str, quick(tmp_path / 'b.json'))]!r}\n"
        f"runpy.run_path({str(ROOT / 'benchmarks' / 'board.py')!r}, run_name='__main__')\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "gone.onnx: left out" in run.stdout


def test_a_digest_that_differs_is_an_error(tmp_path: Path) -> None:
    script = (
        "import runpy, sys, edgecv\n"
        "from edgecv.infos import VerifyReport\n"
        "edgecv.Model.verify = lambda self: VerifyReport(False, 1, 2, 1, 'a', 'k', 'a: differs')\n"
        f"sys.argv = {['board.py', str(MODEL), *map(str, quick(tmp_path / 'b.json'))]!r}\n"
        f"runpy.run_path({str(ROOT / 'benchmarks' / 'board.py')!r}, run_name='__main__')\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert run.returncode == 1
    assert "A DIGEST DIFFERS" in run.stdout
    assert not json.loads((tmp_path / "b.json").read_text())["results"][0]["digests"]["match"]
