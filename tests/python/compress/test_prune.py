"""Pruned networks compute what the whole ones compute when nothing reads the removed channels."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
import realmodels
from onnx import helper, numpy_helper

from edgecv.compress.network import Network
from edgecv.compress.prune import PruneJob, prune
from edgecv.compress.surgery import remove_channels
from edgecv.compress.trace import trace
from edgecv.errors import Error

from .nets import Net, copy_of, random_net, run


def masked(model: Any, job: PruneJob, counts: list[int]) -> Any:
    """The whole model with zeros in all weights that read a channel that goes."""
    kept = job.mask(counts)
    result = copy_of(model)
    nodes = job.found.net.nodes
    by_name = {tensor.name: tensor for tensor in result.graph.initializer}
    for take in job.found.takes:
        if take.role != "in":
            continue
        tensor = by_name[nodes[take.node].input[take.slot]]
        value = numpy_helper.to_array(tensor).copy()
        node = nodes[take.node]
        groups = next((a.i for a in node.attribute if a.name == "group"), 1)
        mask = kept[take.labels]
        assert groups == 1 or len(mask) == value.shape[take.axis]
        np.moveaxis(value, take.axis, 0)[~mask] = 0
        tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
    return result


def check_against_masked(model: Any, feed: dict[str, Any], share: float, snap: int) -> int:
    """Compares; returns how many channels went."""
    job = PruneJob(model, snap=snap)
    counts = job.uniform(share)
    pruned, report = job.finish(counts, "uniform")
    onnx.checker.check_model(pruned, full_check=True)
    for before, after in zip(model.graph.output, pruned.graph.output):
        assert before == after
    wanted = run(masked(model, job, counts), feed)
    for expected, found in zip(wanted, run(pruned, feed)):
        scale = max(1e-6, float(np.abs(expected).max()))
        np.testing.assert_allclose(found / scale, expected / scale, atol=2e-5, rtol=0)
    assert report.macs_after == job.macs(counts)
    return sum(group.channels - group.kept for group in report.groups)


@pytest.mark.parametrize("seed", range(24))
def test_random_networks_lose_only_what_nothing_reads(seed: int) -> None:
    model, feed = random_net(seed)
    assert check_against_masked(model, feed, 0.5, snap=1) > 0


@pytest.mark.parametrize("snap", [4, None])
def test_counts_are_snapped(snap: int | None) -> None:
    net = Net(3)
    x = net.conv(net.act(net.norm(net.conv("x", 40, 3))), 96)
    _, report = prune(net.finish(net.conv(net.act(x), 24)), share=0.28, snap=snap)
    kept = [group.kept for group in report.groups]
    assert kept == ([28, 68, 16] if snap == 4 else [32, 64, 16])


@pytest.mark.parametrize("name", realmodels.NAMES)
def test_real_networks(name: str) -> None:
    model = onnx.load(str(realmodels.onnx_path(name)))
    rng = np.random.default_rng(0)
    feed = {"input": rng.normal(size=(1, 3, 224, 224)).astype(np.float32)}
    if any(d.dim_value == 192 for d in model.graph.input[0].type.tensor_type.shape.dim):
        feed = {"input": feed["input"][:, :, :192, :192]}
    assert check_against_masked(model, feed, 0.25, snap=8) > 500


def test_shuffle_network() -> None:
    """Units of ShuffleNetV2: half of the channels passes, the halves are interleaved."""
    net = Net(21, size=8)
    x = net.act(net.norm(net.conv("x", 48, 3)))
    for _ in range(3):
        a, b = net.split(x, 24)
        y = net.act(net.norm(net.conv(b, 24)))
        y = net.norm(net.conv(y, 24, 3, group=24))
        y = net.act(net.norm(net.conv(y, 24)))
        x = net.shuffle(net.node("Concat", [a, y], 48, axis=1), 2, 8)
    model = net.finish(net.conv(x, 32))
    assert check_against_masked(model, net.example(), 0.5, snap=1) > 40


def test_residual_network() -> None:
    """Basic blocks of ResNet, with a projection where the width changes."""
    net = Net(22, size=8)
    x = net.node("Relu", [net.norm(net.conv("x", 16, 3))], 16)
    for width in (16, 16, 32, 32):
        y = net.node("Relu", [net.norm(net.conv(x, width, 3))], width)
        y = net.norm(net.conv(y, width, 3))
        if net.width[x] != width:
            x = net.norm(net.conv(x, width))
        x = net.node("Relu", [net.node("Add", [y, x], width)], width)
    job = PruneJob(net.finish(x), snap=1)
    # A sum of three blocks is one group, as is the one behind the projection.
    assert sorted(len(group.roots) for group in job.groups) == [16, 16, 16, 32, 32, 32]
    assert check_against_masked(net.finish(x), net.example(), 0.5, snap=1) > 60


def test_dead_channels_go_first_and_change_nothing() -> None:
    net = Net(5)
    a = net.conv("x", 32, 3)
    first = net.nodes[0].input
    dead = [3, 4, 9, 10, 20, 21, 22, 31]
    for name in list(first)[1:]:
        net.weights[name][dead] = 0
    b = net.conv(net.node("Relu", [a], 32), 16, 3)
    model = net.finish(b)
    pruned, report = prune(model, share=0.25, snap=8, keep=[b])
    assert [(g.channels, g.kept) for g in report.groups] == [(32, 24)]
    np.testing.assert_allclose(
        run(pruned, net.example())[0], run(model, net.example())[0], atol=1e-5
    )


def test_removing_nothing_changes_no_weight_and_pruning_repeats() -> None:
    model, _ = random_net(11)
    found = trace(Network(model))
    same = remove_channels(found, np.ones(len(found.roots()), bool))
    weights = {t.name: t.SerializeToString() for t in model.graph.initializer}
    assert all(weights[t.name] == t.SerializeToString() for t in same.graph.initializer)
    assert [n.SerializeToString() for n in same.graph.node] == [
        n.SerializeToString() for n in model.graph.node
    ]
    a, b = (prune(model, macs=0.3)[0].SerializeToString(deterministic=True) for _ in range(2))
    assert a == b


def test_macs_target_is_met_closely() -> None:
    model, _ = random_net(2)
    _, report = prune(model, macs=0.3, snap=1)
    assert 0.3 <= 1 - report.macs_after / report.macs_before < 0.36


def narrow_net(depth: int) -> Any:
    net = Net(7)
    x = "x"
    for _ in range(depth):
        x = net.act(net.conv(x, 16, 3))
    return net.finish(net.conv(x, 8))


def test_narrow_layers_do_not_all_step_at_once() -> None:
    _, report = prune(narrow_net(12), macs=0.3)
    gone = 1 - report.macs_after / report.macs_before
    assert 0.3 <= gone < 0.34  # the same share everywhere halves all of them: 0.75
    assert {group.kept for group in report.groups} >= {8, 16}
    assert not report.warnings


def test_more_than_asked_is_said() -> None:
    _, report = prune(narrow_net(1), macs=0.2)
    (text,) = report.warnings
    assert "multiply-accumulates went where 20.0% were asked for" in text
    assert "warning: " + text in str(report)
    _, report = prune(narrow_net(2), share=0.3)
    (text,) = report.warnings
    assert "40.0% of the channels that may go went where 30.0%" in text


def test_greedy_takes_where_it_costs_least() -> None:
    net = Net(8)
    a = net.conv("x", 32, 3)
    b = net.conv(a, 32, 3)
    model = net.finish(net.conv(b, 32, 3))
    weights = net.weights[net.nodes[1].input[1]].copy()
    weights[8:] *= 1e-3  # most of b's filters hardly count
    for tensor in model.graph.initializer:
        if tensor.name == net.nodes[1].input[1]:
            tensor.CopyFrom(numpy_helper.from_array(weights, tensor.name))
    _, report = prune(model, macs=0.4, snap=8, greedy=True)
    kept = {group.name: group.kept for group in report.groups}
    assert kept[b] < min(kept[a], kept[net.nodes[2].name])
    assert report.macs_after <= 0.6 * report.macs_before


def test_importance_decides_what_goes() -> None:
    net = Net(8)
    model = net.finish(net.conv(net.act(net.norm(net.conv("x", 16, 3))), 8))
    conv, norm = net.nodes[0], net.nodes[1]
    rng = np.random.default_rng(1)
    gradients = {
        n: rng.normal(size=w.shape) for n, w in net.weights.items() if w.dtype == np.float32
    }
    weights = {
        "l1": np.abs(net.weights[conv.input[1]]).sum((1, 2, 3)),
        "l2": np.square(net.weights[conv.input[1]]).sum((1, 2, 3)),
        "bn-scale": np.abs(net.weights[norm.input[1]]),
        "taylor": np.abs((net.weights[conv.input[1]] * gradients[conv.input[1]]).sum((1, 2, 3))),
    }
    for criterion, values in weights.items():
        given = gradients if criterion == "taylor" else None
        pruned, _ = prune(
            model,
            share=0.5,
            snap=1,
            importance=criterion,
            gradients=given,
            keep=[net.nodes[3].name],
        )
        stays = np.sort(np.argsort(values)[8:])
        left = next(t for t in pruned.graph.initializer if t.name == conv.input[1])
        np.testing.assert_array_equal(
            numpy_helper.to_array(left), net.weights[conv.input[1]][stays], criterion
        )


def test_layers_that_share_weights_lose_the_same_channels() -> None:
    net = Net(9)
    w = net.normal(16, 12, 3, 3)
    a = net.node("Conv", [net.conv("x", 12), w], 16, pads=[1] * 4)
    b = net.node("Conv", [net.conv("x", 12, 3), w], 16, pads=[1] * 4)
    model = net.finish(net.node("Concat", [a, b], 32, axis=1))
    assert check_against_masked(model, net.example(), 0.5, snap=1) > 0
    pruned, _ = prune(model, share=0.5, snap=1)
    shapes = [tuple(t.dims) for t in pruned.graph.initializer if t.name.startswith(w)]
    assert shapes == [(8, 6, 3, 3)]


def test_a_shape_computed_from_channels_keeps_them() -> None:
    net = Net(4)
    y = net.conv("x", 16, 3)
    net.node("Shape", [y], 0)
    zeros = net.node("ConstantOfShape", [net.nodes[-1].name], 16)
    x = net.node("Add", [y, zeros], 16)
    model = net.finish(net.conv(x, 8))
    _, report = prune(model, share=0.5, snap=1)
    assert [(g.channels, g.kept) for g in report.groups] == [(8, 4)]


def test_old_opset_with_attributes() -> None:
    """Opset 11: Split has its sizes, Squeeze its axes as attributes."""
    rng = np.random.default_rng(0)
    weights = {
        "w": rng.normal(size=(16, 3, 3, 3)), "v": rng.normal(size=(8, 6, 1, 1)),
        "f": rng.normal(size=(18, 4)),
    }  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], name="a"),
        helper.make_node("Split", ["a"], ["b", "c"], name="split", axis=1, split=[6, 10]),
        helper.make_node("Conv", ["b", "v"], ["d"], name="d"),
        helper.make_node("Concat", ["d", "c"], ["e"], axis=1),
        helper.make_node("GlobalAveragePool", ["e"], ["p"]),
        helper.make_node("Squeeze", ["p"], ["s"], axes=[2, 3]),
        helper.make_node("MatMul", ["s", "f"], ["y"], name="head"),
    ]
    graph = helper.make_graph(
        nodes, "old",
        [helper.make_tensor_value_info("x", 1, [1, 3, 6, 6])],
        [helper.make_tensor_value_info("y", 1, [1, 4])],
        [numpy_helper.from_array(v.astype(np.float32), k) for k, v in weights.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6)
    feed = {"x": rng.normal(size=(1, 3, 6, 6)).astype(np.float32)}
    assert check_against_masked(model, feed, 0.5, snap=1) > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"macs": 0.0}, "macs is 0.0"),
        ({"macs": 0.3, "share": 0.3}, "either macs or share"),
        ({"macs": 0.3, "snap": 0}, "snap is 0"),
        ({"macs": 0.3, "importance": "best"}, "importance is 'best'"),
        ({"macs": 0.3, "importance": "taylor"}, "belong together"),
        ({"macs": 0.3, "importance": "taylor", "gradients": {}}, "lack the initializer"),
        ({"macs": 0.3, "importance": "bn-scale"}, "no weights to judge by"),
        ({"macs": 0.3, "keep": ["nothing*"]}, "no layer is named 'nothing"),
        ({"macs": 0.999}, "at most"),
        ({"macs": 0.999, "greedy": True}, "so much cannot go"),
        ({"share": 0.5, "greedy": True}, "greedy goes with macs"),
    ],
)
def test_refusals(options: dict[str, Any], message: str) -> None:
    net = Net(1)
    model = net.finish(net.conv(net.conv("x", 16), 8))
    with pytest.raises(Error, match=message):
        prune(model, **options)


def test_nothing_to_prune() -> None:
    net = Net(1)
    with pytest.raises(Error, match="no channels that could go"):
        prune(net.model(net.node("Flatten", ["x"], 0), 5), share=0.5)
