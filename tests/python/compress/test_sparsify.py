"""Weights set to zero in patterns, and what conversion makes of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import edgecv
from edgecv.cli.main import main
from edgecv.compress.compensate import observe
from edgecv.compress.look import look
from edgecv.compress.sparsify import least_squares, sparsify
from edgecv.errors import Error
from edgecv.quant.rate import round_at
from edgecv.quant.rounding import Limits, round_rows
from edgecv.sparsity import share_of_blocks, sparse_gain, sparsity_of

from .nets import Array, Net, run


@pytest.fixture(scope="module")
def net() -> Any:
    """Three pointwise layers of 32 to 64 channels, a 3x3 and a depthwise one, a classifier."""
    n = Net(5, channels=32, size=8)
    y = n.act(n.conv("x", 64))
    y = n.conv(y, 64, 3, group=64)
    y = n.node("Relu", [n.conv(y, 48)], 48)
    y = n.conv(y, 32, 3)
    return n.finish(n.conv(y, 40))


def weights_of(model: Any) -> dict[str, Array]:
    values = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    return {node.name: values[node.input[1]] for node in model.graph.node if node.op_type == "Conv"}


@pytest.fixture(scope="module")
def data() -> list[Any]:
    """Inputs of a few factors, so that channels predict each other."""
    rng = np.random.default_rng(2)
    mix = rng.normal(size=(8, 32))
    parts = rng.normal(size=(24, 8, 8, 8))
    x = np.einsum("nfhw,fc->nchw", parts, mix) + 0.1 * rng.normal(size=(24, 32, 8, 8)) + 0.3
    return [{"x": one[None].astype(np.float32)} for one in x]


@pytest.mark.parametrize(
    ("pattern", "found", "share"),
    [("1x4", "1x4 blocks", 0.75), ("2:4", "2:4", 0.5), ("unstructured", "unstructured", 0.75)],
)
def test_patterns(net: Any, pattern: str, found: str, share: float) -> None:
    """The layers that take part have the pattern, the others are as they were."""
    sparse, report = sparsify(net, pattern=pattern, amount=0.75)
    before, after = weights_of(net), weights_of(sparse)
    entries = {entry.name: entry for entry in report.layers}
    assert set(entries) - set(before) == {net.graph.node[-1].name}
    for name, w in after.items():
        took_part = w.shape[1] > 1 and (pattern != "1x4" or w.shape[2:] == (1, 1))
        assert bool(entries[name].why) != took_part
        if not took_part:
            np.testing.assert_array_equal(w, before[name])
            continue
        assert np.mean(w == 0) == pytest.approx(share, abs=0.01)
        assert entries[name].zeros == np.mean(w == 0)
        seen = sparsity_of(w)
        assert seen is not None
        assert seen.pattern == found
        np.testing.assert_array_equal(w[w != 0], before[name][w != 0])


def test_the_least_goes(net: Any) -> None:
    """Of the blocks of a row, one that stays weighs at least as much as any that goes."""
    sparse, _ = sparsify(net, amount=0.5)
    for name, w in weights_of(sparse).items():
        if w.shape[1] == 1 or w.shape[2:] != (1, 1):
            continue
        blocks = np.square(weights_of(net)[name]).reshape(len(w), -1, 4).sum(2)
        stays = w.reshape(len(w), -1, 4).any(2)
        for row, kept in zip(blocks, stays):
            if 0 < kept.sum() < len(kept):
                assert row[kept].min() >= row[~kept].max()


def test_least_squares_is_the_optimum() -> None:
    """The error's gradient vanishes where weights stay, in rows of different counts, too."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(100, 12)) @ rng.normal(size=(12, 12))
    covariance = x.T @ x / 100
    rows = rng.normal(size=(40, 12))
    stays = rng.random((40, 12)) < 0.4
    stays[3], stays[4] = False, True
    made = least_squares(rows, stays, covariance)
    assert (made[~stays] == 0).all()
    gradient = (rows - made) @ covariance
    assert np.abs(gradient[stays]).max() < 1e-8
    np.testing.assert_allclose(made[4], rows[4], atol=1e-8)


def test_making_up_loses_less(net: Any, data: list[Any]) -> None:
    seen = observe(net, data)
    want = [run(net, sample)[0] for sample in data]
    errors = []
    for options in ({}, {"seen": seen, "make_up": True}):
        sparse, report = sparsify(net, amount=0.5, **options)
        got = [run(sparse, sample)[0] for sample in data]
        errors.append(sum(float(np.square(a - b).sum()) for a, b in zip(got, want)))
        assert "sparse" in str(report)
    assert errors[1] < 0.5 * errors[0]
    assert all(0 <= e.error < 1 for e in report.layers if e.error is not None)
    assert all((e.error is None) == bool(e.why) for e in report.layers)


def test_making_up_for_nothing_is_refused(net: Any, data: list[Any]) -> None:
    """Layers are known by name: without names what was seen would be left unused."""
    unnamed = onnx.ModelProto()
    unnamed.CopyFrom(net)
    for node in unnamed.graph.node:
        node.name = ""
    with pytest.raises(Error, match="inputs were observed"):
        sparsify(unnamed, seen=observe(unnamed, data), make_up=True)


def test_rounding_keeps_zeros() -> None:
    """Single steps that lower the error would lift zeros; those of few zeros may."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(200, 4)) @ rng.normal(size=(4, 32)) + 0.2 * rng.normal(size=(200, 32))
    covariance = (x.T @ x / 200).astype(np.float32)
    w = rng.normal(size=(16, 32)).astype(np.float32)
    w[rng.random((16, 32)) < 0.6] = 0
    h = np.diagonal(covariance).copy()
    limits = Limits(7, 0, [])
    q = round_rows(w, h, covariance, np.full(16, 1e-6), limits, 1).q
    assert (q[w == 0] == 0).all()
    few = w.copy()
    few[w == 0] = 1e-6
    assert (round_rows(few, h, covariance, np.full(16, 1e-6), limits, 1).q[w == 0] != 0).any()


def test_coarse_rounding_keeps_zeros() -> None:
    rng = np.random.default_rng(4)
    covariance = (np.ones((256, 256)) + 0.01 * np.eye(256)).astype(np.float32)
    w = rng.normal(size=(16, 256)).astype(np.float32)
    w[rng.random(w.shape) < 0.6] = 0
    h = np.diagonal(covariance).copy()
    rounded = round_at(0.7, 0.0)
    few = w.copy()
    few[w == 0] = 1e-6
    floor, limits = np.full(16, 1e-6), Limits(127, 0, [])
    assert (rounded(w, h, covariance, floor, limits, 1).q[w == 0] == 0).all()
    assert (rounded(few, h, covariance, floor, limits, 1).q[w == 0] != 0).any()


def test_conversion_tells_and_keeps_blocks(tmp_path: Path, data: list[Any]) -> None:
    n = Net(7, channels=32, size=8)
    model = n.finish(n.node("Relu", [n.conv(n.conv("x", 256), 128)], 128))
    sparse, _ = sparsify(model, amount=0.8)
    report = edgecv.convert(sparse, tmp_path / "m.ecv", data)
    noted = {layer.name: layer.note for layer in report.layers if layer.note}
    assert len(noted) == 3
    assert all(note.startswith("80% zeros (1x4 blocks): ") for note in noted.values())
    with edgecv.load(tmp_path / "m.ecv", threads=1) as loaded:
        kernels = {step.name: step.kernel for step in loaded.steps}
    for name, note in noted.items():
        assert ("sparse kernel, about " in note) == ("_sparse_" in kernels[name])
        assert ("kept dense" in note) != ("_sparse_" in kernels[name])


def test_gain() -> None:
    """Grows with zeros and with depth; dense layers gain nothing."""
    gains = [sparse_gain(256, 256, share) for share in (1.0, 0.5, 0.25, 0.1)]
    assert gains == sorted(gains)
    assert gains[0] < 1 < gains[2]
    assert sparse_gain(256, 512, 0.25) > sparse_gain(256, 32, 0.25)
    assert (
        sparse_gain(1000, 1280, 0.25, single=True) < 1 < sparse_gain(1000, 1280, 0.1, single=True)
    )
    w = np.zeros((2, 10, 1, 1))
    w[0, 3], w[1, 9] = 1, 1
    assert share_of_blocks(w) == pytest.approx(2 / 6)


def test_command(net: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = tmp_path / "m.onnx", tmp_path / "s.onnx"
    onnx.save(net, str(path))
    assert main(["compress", "sparsify", str(path), "-o", str(out), "--amount", "60%",
                 "--keep", net.graph.node[0].name]) == 0  # fmt: skip
    assert "kept as asked" in capsys.readouterr().out
    assert main(["compress", "sparsify", str(path), "-o", str(out), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["amount"] == 0.75
    advice = [layer.advice for layer in look(str(out)) if layer.pattern == "1x4 blocks"]
    assert len(advice) == 4
    assert any("sparse kernel on x86, about " in text for text in advice)
    for options, said in (
        (["--make-up"], "needs --calibrate"),
        (["--amount", "140%"], "write it as 75%"),
        (["--amount", ""], "write it as 75%"),
        (["--pattern", "2:4", "--amount", "60%"], "'60%': --pattern 2:4 takes half"),
    ):
        assert main(["compress", "sparsify", str(path), "-o", str(out), *options]) == 2
        assert said in capsys.readouterr().err
    for options in (["--pattern", "2:4"], ["--pattern", "2:4", "--amount", "50%"]):
        assert main(["compress", "sparsify", str(path), "-o", str(out), "--json", *options]) == 0
        assert json.loads(capsys.readouterr().out)["amount"] == 0.5
    with pytest.raises(SystemExit):
        main(["compress", "sparsify", "--help"])
    shown = capsys.readouterr().out
    assert "--amount 75% " in shown
    assert "%%" not in shown


def test_refusals(net: Any) -> None:
    for options in ({"pattern": "4x1"}, {"amount": 0.0}, {"amount": 1.0}, {"make_up": True}):
        with pytest.raises(Error):
            sparsify(net, **options)
