"""Bad input on the command line: one clear line on stderr, exit code 2, nothing written."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgecv.cli.main import main


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A small convolutional model, input ``x`` 1x3x8x8."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 6, 6])
    w = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"])], "net", [x], [y],
        [numpy_helper.from_array(w, "w")],
    )  # fmt: skip
    path = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]), str(path))
    return path


@pytest.fixture
def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs convert with arguments that must be refused, and returns the message."""

    def convert(*arguments: object) -> str:
        out = tmp_path / "out.ecv"
        before = set(tmp_path.iterdir())
        assert main(["convert", *map(str, arguments), "-o", str(out)]) == 2
        assert set(tmp_path.iterdir()) == before, "something was written"
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith("edgecv convert: ")
        assert "Traceback" not in captured.err
        return captured.err

    return convert


def one_line(message: str) -> bool:
    return message.count("\n") == 1


def test_missing_truncated_empty_and_other_files(
    tmp_path: Path, model: Path, refused: Callable[..., str]
) -> None:
    files = {
        "truncated.onnx": model.read_bytes()[:200],
        "empty.onnx": b"",
        "text.onnx": b"this is no model\n",
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    for name in ["missing.onnx", *files]:
        message = refused(tmp_path / name)
        assert one_line(message)
        assert name in message


def test_calibration_of_wrong_shape(
    tmp_path: Path, model: Path, refused: Callable[..., str]
) -> None:
    np.save(tmp_path / "wrong.npy", np.zeros((4, 3, 9, 8), np.float32))
    message = refused(model, "--calibrate", tmp_path / "wrong.npy")
    assert one_line(message)
    assert "(4, 3, 9, 8)" in message
    assert "(1, 3, 8, 8)" in message


def test_nan_in_calibration(tmp_path: Path, model: Path, refused: Callable[..., str]) -> None:
    data = np.zeros((4, 3, 8, 8), np.float32)
    data[2, 1, 0, 0] = np.nan
    np.save(tmp_path / "nan.npy", data)
    message = refused(model, "--calibrate", tmp_path / "nan.npy")
    assert one_line(message)
    assert "NaN" in message


def test_constant_calibration(tmp_path: Path, model: Path, refused: Callable[..., str]) -> None:
    np.save(tmp_path / "dark.npy", np.zeros((4, 3, 8, 8), np.float32))
    message = refused(model, "--calibrate", tmp_path / "dark.npy")
    assert one_line(message)
    assert "0 everywhere" in message


def test_output_into_a_missing_folder(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "missing" / "m.ecv"
    assert main(["convert", str(model), "-o", str(out)]) == 2
    message = capsys.readouterr().err
    assert one_line(message)
    assert "no such folder" in message
    assert not out.parent.exists()


def test_empty_folder_and_missing_recipe(
    tmp_path: Path, model: Path, refused: Callable[..., str]
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    message = refused(model, "--calibrate", folder, "--preprocess", "resize=8x8")
    assert one_line(message)
    assert "no pictures" in message
    message = refused(model, "--calibrate", folder)
    assert one_line(message)
    assert "--preprocess" in message


def test_preprocess_of_another_size(model: Path, refused: Callable[..., str]) -> None:
    message = refused(model, "--preprocess", "resize=9x8")
    assert one_line(message)
    assert "9x8" in message
    assert "8x8" in message


def test_keep_float_that_matches_nothing(
    tmp_path: Path, model: Path, refused: Callable[..., str]
) -> None:
    np.save(tmp_path / "good.npy", np.random.default_rng(1).random((4, 3, 8, 8), np.float32))
    message = refused(model, "--calibrate", tmp_path / "good.npy", "--keep-float", "Softmx")
    assert one_line(message)
    assert "Softmx" in message


def test_five_unsupported_nodes_are_all_named(tmp_path: Path, refused: Callable[..., str]) -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 8, 8])
    y = helper.make_tensor_value_info("v", TensorProto.FLOAT, None)
    ops = ["LRN", "Sin", "Cos", "Sign", "TopK"]
    nodes = [
        helper.make_node("LRN", ["x"], ["a"], name="norm_1", size=3),
        helper.make_node("Sin", ["a"], ["b"], name="wave_2"),
        helper.make_node("Cos", ["b"], ["c"], name="wave_3"),
        helper.make_node("Sign", ["c"], ["d"], name="sign_4"),
        helper.make_node("TopK", ["d", "k"], ["v", "i"], name="best_5", axis=1),
    ]
    k = numpy_helper.from_array(np.asarray([2], np.int64), "k")
    graph = helper.make_graph(nodes, "net", [x], [y], [k])
    path = tmp_path / "five.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]), str(path))
    message = refused(path)
    for node, op in zip(nodes, ops):
        line = next(line for line in message.splitlines() if node.name in line)
        assert f"({op}, opset 13, inputs 1x4x8x8" in line
        assert "nearest supported form" in line


def test_usage_errors_exit_2(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["convert"], ["nonsense"], ["convert", "m.onnx"]):
        with pytest.raises(SystemExit) as info:
            main(arguments)
        assert info.value.code == 2
    assert "usage: edgecv" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["run", "inspect", "verify", "bench"])
def test_commands_on_a_file_that_is_no_model(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.ecv"
    path.write_bytes(b"not a model" * 20)
    arguments = [command, str(path)] + (["picture.png"] if command == "run" else [])
    assert main(arguments) == 2
    message = capsys.readouterr().err
    assert one_line(message)
    assert "bad.ecv" in message


def test_the_model_itself_is_never_overwritten(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = model.read_bytes()
    for out in (model, model.parent):
        assert main(["convert", str(model), "-o", str(out)]) == 2
        assert one_line(capsys.readouterr().err)
    assert model.read_bytes() == data


def test_options_that_would_be_ignored_or_make_no_sense(
    tmp_path: Path, model: Path, refused: Callable[..., str]
) -> None:
    np.save(tmp_path / "good.npy", np.random.default_rng(1).random((4, 3, 8, 8), np.float32))
    good = ("--calibrate", tmp_path / "good.npy")
    assert "calibration" in refused(model, "--keep-float", "Conv")
    assert "calibration" in refused(model, "--method", "kl")
    assert "percent" in refused(model, *good, "--method", "percentile", "--percent", "150")
    assert "percent" in refused(model, *good, "--method", "percentile", "--percent", "nan")
    (tmp_path / "labels.txt").write_text("")
    assert "class names" in refused(model, *good, "--labels", tmp_path / "labels.txt")


@pytest.mark.parametrize(
    ("labels", "against", "words"),
    [
        ("# nothing\n", False, "no picture"),
        ("a.png\t999\n", False, "999"),
        ("a.png\t1\n", True, "scores"),
    ],
)
def test_eval_tells_what_does_not_fit(
    labels: str,
    against: bool,
    words: str,
    tmp_path: Path,
    model: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from PIL import Image

    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "truth.tsv").write_text(labels)
    out = tmp_path / "m.ecv"
    assert main(["convert", str(model), "-o", str(out), "--preprocess", "resize=8x8"]) == 0
    other = tmp_path / "other.onnx"
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    node = helper.make_node("GlobalAveragePool", ["x"], ["y"])
    graph = helper.make_graph([node], "net", [x], [y])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]), str(other))
    capsys.readouterr()
    arguments = [
        "eval",
        str(out),
        "--images",
        str(tmp_path),
        "--labels",
        str(tmp_path / "truth.tsv"),
    ]
    assert main(arguments + (["--against", str(other)] if against else [])) == 2
    message = capsys.readouterr().err
    assert one_line(message)
    assert words in message
