"""Shared weights and recognised zeros."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgecv.cli.main import main
from edgecv.compress.look import look
from edgecv.compress.share import codebook, share
from edgecv.errors import Error
from edgecv.sparsity import sparsity_of

from .nets import Net, random_net


def weights_of(model: Any) -> dict[str, np.ndarray[Any, Any]]:
    return {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}


@pytest.mark.parametrize("count", [4, 16])
def test_codebook_is_a_local_optimum(count: int) -> None:
    """Every value has its nearest code, every code is the mean of its values."""
    values = np.random.default_rng(count).normal(size=500).astype(np.float32)
    rounded, codes = codebook(values, count)
    assert len(codes) == count
    distances = np.abs(values[:, None].astype(np.float64) - codes)
    np.testing.assert_allclose(np.abs(values - rounded), distances.min(1), atol=1e-6)
    for code in codes:
        assert values[rounded == code].mean() == pytest.approx(code, abs=1e-4)


def test_codebook_beats_uniform_steps() -> None:
    values = np.random.default_rng(0).normal(size=4000).astype(np.float32)
    rounded, _ = codebook(values, 16)
    step = np.abs(values).max() * 2 / 15
    uniform = (np.round(values / step - 0.5) + 0.5) * step
    assert np.square(values - rounded).sum() < 0.6 * np.square(values - uniform).sum()


def test_few_values_and_zeros_stay() -> None:
    values = np.array([1.5, -2.0, 0.0, 1.5, 3.0], np.float32)
    np.testing.assert_array_equal(codebook(values, 16)[0], values)
    sparse = np.random.default_rng(1).normal(size=1000).astype(np.float32) + 0.5
    sparse[::3] = 0
    rounded, codes = codebook(sparse, 16)
    assert len(codes) <= 16
    np.testing.assert_array_equal(rounded[::3], 0)


@pytest.mark.parametrize("per", ["channel", "layer"])
@pytest.mark.parametrize("bits", [4, 8])
def test_counts_and_error(per: str, bits: int) -> None:
    net = Net(1, channels=64)
    model = net.finish(net.conv(net.conv("x", 32), 48, 3))
    changed, report = share(model, bits=bits, per=per, keep=["gemm*"])
    onnx.checker.check_model(changed, full_check=True)
    before, after = weights_of(model), weights_of(changed)
    for layer, node in zip(report.layers, [n for n in model.graph.node if len(n.input) > 1]):
        w, shared = before[node.input[1]], after[node.input[1]]
        rows = shared.reshape(len(shared), -1) if per == "channel" else shared.reshape(1, -1)
        if layer.sqnr_db is None:
            np.testing.assert_array_equal(w, shared)
            continue
        assert layer.values == max(len(np.unique(row)) for row in rows) <= 2**bits
        noise = np.square(w - shared, dtype=np.float64).sum()
        wanted = 10 * np.log10(np.square(w, dtype=np.float64).sum() / noise)
        assert layer.sqnr_db == pytest.approx(wanted, abs=1e-6)
        assert layer.sqnr_db > (18 if bits == 4 else 35)
    reasons = [layer.why for layer in report.layers]
    assert reasons[-1] == "kept as asked"
    if per == "layer":
        assert reasons[:2] == ["", ""]
        assert report.bits_after < report.bits_before
    if (per, bits) == ("channel", 8):
        assert reasons[0] == ""  # 64 weights a channel are no more than 256
        assert "as large as the weights" in reasons[1]


def test_sharing_again_changes_nothing() -> None:
    model, _ = random_net(3)
    once, _ = share(model, bits=4)
    twice, report = share(once, bits=4)
    assert once.SerializeToString(deterministic=True) == twice.SerializeToString(deterministic=True)
    assert all(layer.sqnr_db is None for layer in report.layers)


@pytest.mark.parametrize("options", [{"bits": 5}, {"per": "model"}])
def test_refusals(options: dict[str, Any]) -> None:
    net = Net(1)
    with pytest.raises(Error, match="it takes"):
        share(net.finish(net.conv("x", 8)), **options)


def zeros(pattern: str) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(2)
    w = rng.normal(size=(16, 32, 3, 3))
    if pattern == "filters":
        w[::2] = 0
    elif pattern == "1x4 blocks":
        blocks = rng.random((16, 8, 1, 3, 3)) < 0.75
        w = (w.reshape(16, 8, 4, 3, 3) * ~blocks).reshape(w.shape)
    elif pattern == "2:4":
        order = np.argsort(rng.random((16, 8, 4, 3, 3)), axis=2)
        w = (w.reshape(16, 8, 4, 3, 3) * (order < 2)).reshape(w.shape)
    elif pattern == "unstructured":
        w[rng.random(w.shape) < 0.62] = 0
    return w


@pytest.mark.parametrize("pattern", ["filters", "1x4 blocks", "2:4", "unstructured"])
def test_patterns(pattern: str) -> None:
    w = zeros(pattern)
    found = sparsity_of(w)
    assert found is not None
    assert found.pattern == pattern
    assert found.zeros == np.mean(w == 0)
    if pattern in ("1x4 blocks", "2:4"):
        spoilt = w.copy()  # one group of 2:4 with a single zero, many blocks with one weight left
        first = spoilt.reshape(16, 8, 4, 3, 3)
        first[0, 0, :, 0, 0] = [0, 1, 1, 1]
        first[:, :, 0][:, ::2] = 1
        again = sparsity_of(spoilt)
        assert again is None or again.pattern == "unstructured"


def test_dense_weights_have_no_pattern() -> None:
    assert sparsity_of(np.random.default_rng(0).normal(size=(8, 8))) is None


def test_look(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = Net(1, channels=32)
    w = zeros("unstructured").astype(np.float32)
    y = net.node("Conv", ["x", net.constant(w)], 16, pads=[1] * 4)
    model = net.finish(net.conv(y, 8))
    layers = look(model)
    assert [layer.pattern for layer in layers] == ["unstructured", None, None]
    assert layers[0].advice == "kept dense: file 0%, time 0"
    path = tmp_path / "m.onnx"
    onnx.save(model, str(path))
    assert main(["compress", "look", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found[0]["zeros"] == pytest.approx(np.mean(w == 0))
    assert main(["compress", "look", str(path)]) == 0
    assert "unstructured" in capsys.readouterr().out


@pytest.mark.parametrize("way", [["share", "--bits", "4"], ["lowrank", "--energy", "0.5"]])
def test_commands_write_sound_models(
    way: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / "m.onnx", tmp_path / "out.onnx"
    onnx.save(random_net(5)[0], str(path))
    for extra in ([], ["--json"]):
        assert main(["compress", way[0], str(path), "-o", str(out), *way[1:], *extra]) == 0
        onnx.checker.check_model(str(out), full_check=True)
    text = capsys.readouterr().out
    assert json.loads(text[text.index("\n{") :])["layers"]
