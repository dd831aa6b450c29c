"""Layers that read a removed channel make up for it as far as the others predict it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from edgecv.cli.main import main
from edgecv.compress.channels import Take
from edgecv.compress.compensate import Reader, Seen, elimination, observe
from edgecv.compress.prune import prune
from edgecv.errors import Error

from .nets import Array, Net, random_net, run


def correlated(seed: int = 0) -> tuple[Any, Array, Net]:
    """A net whose first layer has 12 channels of which 4 are sums of others, plus a constant."""
    net = Net(seed, size=8)
    y = net.conv("x", 12)
    node = net.nodes[0]
    w = net.weights[node.input[1]].copy()
    mix = net.rng.normal(size=(4, 8))
    w[8:] = np.einsum("ab,bcij->acij", mix, w[:8]) * 3
    net.weights[node.input[1]] = w.astype(np.float32)
    if len(node.input) == 2:
        node.input.append(net.normal(12))
    model = net.finish(net.conv(y, 6))
    samples = np.random.default_rng(3).normal(size=(64, 3, 8, 8)).astype(np.float32)
    return model, samples, net


def error_of(model: Any, pruned: Any, samples: Array) -> float:
    worst = []
    for sample in samples[:8]:
        a, b = (run(m, {"x": sample[None]})[0] for m in (model, pruned))
        worst.append(float(np.linalg.norm(a - b) / np.linalg.norm(a)))
    return float(np.mean(worst))


@pytest.mark.parametrize("seed", range(2))
def test_what_others_predict_costs_little(seed: int) -> None:
    """3 inputs of the net span all 12 channels: 8 of them predict the rest."""
    model, samples, net = correlated(seed)
    keep = [net.nodes[1].name]
    seen = observe(model, samples)
    plain, _ = prune(model, share=0.34, snap=1, keep=keep)
    made_up, report = prune(model, share=0.34, snap=1, keep=keep, seen=seen, importance="output")
    assert [(g.channels, g.kept) for g in report.groups] == [(12, 8)]
    assert report.made_up == 1
    onnx.checker.check_model(made_up, full_check=True)
    assert error_of(model, made_up, samples) < 0.05 * error_of(model, plain, samples)


@pytest.mark.parametrize("seed", range(3))
def test_random_networks_lose_less(seed: int) -> None:
    model, feed = random_net(seed)
    shape = feed["x"].shape[1:]
    samples = np.random.default_rng(5).normal(size=(48, *shape)).astype(np.float32)
    seen = observe(model, samples)
    plain, _ = prune(model, share=0.25, snap=1)
    made_up, report = prune(model, share=0.25, snap=1, seen=seen)
    output, _ = prune(model, share=0.25, snap=1, seen=seen, importance="output")
    assert report.made_up > 0
    errors = [error_of(model, other, samples) for other in (plain, made_up, output)]
    assert errors[1] < errors[0]
    assert errors[2] < errors[0]


def test_a_constant_channel_goes_into_the_bias() -> None:
    net = Net(2)
    y = net.node("Sigmoid", [net.conv("x", 16)], 16)
    first = net.nodes[0]
    w = net.weights[first.input[1]].copy()
    w[5] = 0  # its sigmoid is constant, not zero
    net.weights[first.input[1]] = w
    model = net.finish(net.conv(y, 6))
    samples = np.random.default_rng(3).normal(size=(32, 3, 8, 8)).astype(np.float32)
    seen = observe(model, samples)
    keep = [net.nodes[2].name]
    pruned, _ = prune(model, share=0.07, snap=1, seen=seen, importance="output", keep=keep)
    plain, _ = prune(model, share=0.07, snap=1, keep=keep)
    left = next(t for t in pruned.graph.initializer if t.name == first.input[1])
    assert list(left.dims) == [15, 3, 1, 1]
    assert error_of(model, pruned, samples) < 0.01 * error_of(model, plain, samples)


def test_elimination_is_that_of_least_squares() -> None:
    """Each loss is what the best prediction from all that are left leaves of the output."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 90)) @ rng.normal(size=(90, 90))
    w = rng.normal(size=(90, 7))
    seen = Seen(x.mean(0), np.cov(x.T, bias=True))
    take = Take(0, 1, 1, np.arange(1, 91), "in")
    group = np.arange(11, 71)
    result = elimination(group, np.arange(91), [Reader(take, seen, w)])
    assert result is not None
    order, losses = result
    assert sorted(order.tolist()) == list(range(60))
    y = (x - seen.mean) @ w
    stays = np.ones(90, bool)
    lost = 0.0
    for step in range(45):
        stays[10 + order[step]] = False
        fit = (x - seen.mean)[:, stays]
        rest = y - fit @ np.linalg.lstsq(fit, y, rcond=None)[0]
        lost += losses[step]
        assert np.square(rest).sum() / np.square(y).sum() == pytest.approx(lost, rel=1e-6)


def test_few_samples_do_not_predict_everything() -> None:
    """20 samples of 100 independent channels fit each other exactly, and say nothing."""
    rng = np.random.default_rng(0)
    net = Net(1, channels=100, size=1)
    model = net.model(net.node("Flatten", ["x"], 0), 5)
    samples = rng.normal(size=(20, 100, 1, 1)).astype(np.float32)
    seen = next(iter(observe(model, samples).values()))
    take = Take(0, 1, 1, np.arange(1, 101), "in")
    rows = rng.normal(size=(100, 5))
    result = elimination(np.arange(1, 101), np.arange(101), [Reader(take, seen, rows)])
    assert result is not None
    assert 0.2 < result[1][result[0][:50]].sum() < 0.8  # 0.04 if the samples were believed


def test_one_sample_predicts_nothing() -> None:
    """Channels that were seen once do not vary: the noise of their sums is no covariance."""
    net = Net(1, channels=64, size=1)
    model = net.model(net.node("Flatten", ["x"], 0), 5)
    sample = np.random.default_rng(0).uniform(0.5, 1.5, (1, 64, 1, 1)).astype(np.float32)
    seen = next(iter(observe(model, sample).values()))
    assert np.linalg.eigvalsh(seen.covariance).min() > 0
    rows = np.random.default_rng(1).normal(size=(64, 5))
    take = Take(0, 1, 1, np.arange(1, 65), "in")
    result = elimination(np.arange(1, 65), np.arange(65), [Reader(take, seen, rows)])
    assert result is not None
    assert sorted(result[0].tolist()) == list(range(64))
    assert result[1].max() < 1.0


def test_names_are_needed_to_make_up() -> None:
    model, samples, _ = correlated()
    for node in model.graph.node:
        node.name = ""
    seen = observe(model, samples)
    with pytest.raises(Error, match="give its nodes names"):
        prune(model, share=0.3, seen=seen)


def test_output_needs_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, samples, _ = correlated()
    with pytest.raises(Error, match="'output' needs calibration data"):
        prune(model, share=0.3, importance="output")
    path, out = tmp_path / "m.onnx", tmp_path / "small.onnx"
    onnx.save(model, str(path))
    command = ["compress", "prune", str(path), "-o", str(out), "--channels", "-30%", "--make-up"]
    assert main(command) == 2
    assert "need --calibrate" in capsys.readouterr().err
    np.save(tmp_path / "samples.npy", samples)
    assert main([*command, "--snap", "1", "--calibrate", str(tmp_path / "samples.npy")]) == 0
    assert "made up for" in capsys.readouterr().out
