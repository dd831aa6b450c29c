"""How files are stored: coded constants change no bit of an answer, a size in bytes is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from graph.onnx_models import Builder

import edgecv
from edgecv.cli.convert import parse_size
from edgecv.cli.main import main
from edgecv.compress import share
from edgecv.errors import Error
from edgecv.format.reader import read
from edgecv.format.records import S8

SIDE = 12


def net(wide: int = 96) -> onnx.ModelProto:
    b = Builder(seed=8)
    x = b.op("Relu", b.op("Conv", b.input(1, 3, SIDE, SIDE), b.weights(48, 3, 3, 3), b.weights(48)))
    x = b.op("Relu", b.op("Conv", x, b.weights(wide, 48, 1, 1), b.weights(wide)))
    x = b.op("Relu", b.op("Conv", x, b.weights(wide, wide, 1, 1), b.weights(wide)))
    flat = b.op("Flatten", b.op("GlobalAveragePool", x))
    return b.model(b.op("Gemm", flat, b.weights(100, wide), b.weights(100), transB=1))


def pictures(count: int = 16) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).normal(size=(count, 1, 3, SIDE, SIDE)).astype(np.float32)


def answers(path: Path) -> np.ndarray[Any, Any]:
    with edgecv.load(path) as model:
        assert model.verify().passed
        return np.stack([next(iter(model.run(x).values())) for x in pictures(4)])


def test_coded_files_are_smaller_and_answer_the_same(tmp_path: Path) -> None:
    raw, small = tmp_path / "raw.ecv", tmp_path / "small.ecv"
    edgecv.convert(net(), raw, list(pictures()))
    report = edgecv.convert(net(), small, list(pictures()), storage="smallest")
    assert small.stat().st_size < 0.97 * raw.stat().st_size
    assert report.file_bytes == small.stat().st_size
    assert np.array_equal(answers(raw), answers(small))
    coded = [layer for layer in report.layers if layer.coding]
    assert coded
    assert all(4 < (layer.stored_bits or 0) < 8 for layer in coded)
    sizes = {t.name: t.stored for t in read(small.read_bytes()).tensors if t.constant}
    assert sum(layer.weight_bytes for layer in report.layers) == sum(sizes.values())
    assert "coded in the file" in str(report)


def test_a_float_file_of_shared_weights_gets_smaller(tmp_path: Path) -> None:
    shared, _ = share(net(), bits=4)
    raw, small = tmp_path / "raw.ecv", tmp_path / "small.ecv"
    edgecv.convert(shared, raw)
    edgecv.convert(shared, small, storage="smallest")
    assert small.stat().st_size < 0.5 * raw.stat().st_size
    assert np.array_equal(answers(raw), answers(small))


def test_int8_keeps_shared_weights(tmp_path: Path) -> None:
    shared, _ = share(net(320), bits=4)
    whole, apart, small = (tmp_path / f"{name}.ecv" for name in ("whole", "apart", "small"))
    edgecv.convert(net(320), apart, list(pictures()), storage="smallest")
    edgecv.convert(shared, whole)
    report = edgecv.convert(shared, small, list(pictures()), storage="smallest")
    assert {layer.lane_group for layer in report.layers if layer.weight_bytes} == {4}
    assert all(layer.stored_bits < 5 for layer in report.layers if layer.weight_bytes > 20_000)
    large = [
        t.data
        for t in read(small.read_bytes()).tensors
        if t.constant and t.dtype == S8 and t.data is not None and t.data[0].size >= 48
    ]
    assert len(large) == 3
    for data in large:
        assert max(len(np.unique(channel)) for channel in data) <= 16
    assert small.stat().st_size < 0.72 * apart.stat().st_size
    want, got = answers(whole), answers(small)
    assert np.linalg.norm(got - want) < 0.04 * np.linalg.norm(want)


def test_inspect_tells_how_constants_are_stored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw, small = tmp_path / "raw.ecv", tmp_path / "small.ecv"
    shared, _ = share(net(), bits=4)
    edgecv.convert(shared, raw, list(pictures()))
    edgecv.convert(shared, small, list(pictures()), storage="smallest")
    totals = {}
    for path in (raw, small):
        capsys.readouterr()
        assert main(["inspect", str(path), "--json"]) == 0
        constants = json.loads(capsys.readouterr().out)["constants"]
        kept = {t.name: t for t in read(path.read_bytes()).tensors if t.data is not None}
        assert [c["name"] for c in constants] == list(kept)
        for c in constants:
            data = kept[c["name"]].data
            assert data is not None
            assert (c["raw_bytes"], c["dtype"]) == (data.nbytes, str(data.dtype))
            assert (c["stored_bytes"] == c["raw_bytes"]) == (c["coding"] == "raw")
        totals[path] = sum(c["stored_bytes"] for c in constants)
        coded = [c for c in constants if c["coding"] != "raw"]
        assert bool(coded) == (path == small)
        assert main(["inspect", str(path), "--constants"]) == 0
        text = capsys.readouterr().out
        assert f"constants             {totals[path]:,} bytes in the file" in text
        assert ("are coded)" in text) == (path == small)
        assert all(f"{c['stored_bytes']:,}" in text and c["coding"] in text for c in constants)
    assert totals[small] < totals[raw]


@pytest.mark.parametrize("target", [26_000, 22_000])
def test_a_file_of_a_size_in_bytes(target: int, tmp_path: Path) -> None:
    raw, small, float_file = (tmp_path / f"{name}.ecv" for name in ("raw", "small", "float"))
    edgecv.convert(net(), float_file)
    edgecv.convert(net(), raw, list(pictures()))
    report = edgecv.convert(net(), small, list(pictures()), target_bytes=target)
    assert 0.93 * target < report.file_bytes <= target < raw.stat().st_size
    want, got, default = answers(float_file), answers(small), answers(raw)
    error = np.linalg.norm(got - want) / np.linalg.norm(want)
    assert error < 0.25
    assert error > np.linalg.norm(default - want) / np.linalg.norm(want)


def test_a_size_just_below_that_of_fine_steps(tmp_path: Path) -> None:
    out = tmp_path / "m.ecv"
    fine = edgecv.convert(net(), out, list(pictures(8)), storage="smallest").file_bytes
    report = edgecv.convert(net(), out, list(pictures(8)), target_bytes=fine - 1)
    assert 0.97 * fine < report.file_bytes < fine


def test_a_size_that_cannot_be(tmp_path: Path) -> None:
    out = tmp_path / "m.ecv"
    with pytest.raises(Error, match="cannot make a file of 9,000 bytes"):
        edgecv.convert(net(), out, list(pictures()), target_bytes=9_000)
    with pytest.raises(Error, match="calibration"):
        edgecv.convert(net(), out, target_bytes=20_000)
    with pytest.raises(Error, match="storage is 'zip'"):
        edgecv.convert(net(), out, storage="zip")
    assert not out.exists()


def test_sizes_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert parse_size("3.2MB") == 3_200_000
    assert parse_size("64 KiB") == 65_536
    assert parse_size("12345") == 12_345
    assert parse_size(None) is None
    for text in ("", "MB", "-1", "3.2XB", "nan", "9999999MB"):
        with pytest.raises(Error, match="--target-bytes"):
            parse_size(text)
    model, data, out = (tmp_path / name for name in ("m.onnx", "c.npy", "m.ecv"))
    onnx.save(net(), str(model))
    np.save(data, pictures()[:, 0])
    options = ["--calibrate", str(data), "--target-bytes", "26KB"]
    assert main(["convert", str(model), "-o", str(out), *options]) == 0
    assert out.stat().st_size <= 26_000
    assert "coded in the file" in capsys.readouterr().out
