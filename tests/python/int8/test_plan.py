"""Plan files: their text, what they change in a conversion, and what is refused."""

from __future__ import annotations

import contextlib
import random
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from graph.onnx_models import Builder
from int8.checks import check_int8, samples

import edgecv
from edgecv.cli.main import main
from edgecv.convert import convert
from edgecv.errors import CalibrationError, Error, UnsupportedModelError
from edgecv.format.reader import read
from edgecv.format.to_graph import to_graph
from edgecv.graph.ir import Graph
from edgecv.quant.lanes import lane_bound, largest_lane_sum
from edgecv.quant.plan import ActivationPlan, LayerPlan, Plan, load, parse


def net(seed: int = 4) -> onnx.ModelProto:
    b = Builder(seed=seed)
    x = b.op("Relu", b.op("Conv", b.input(1, 3, 12, 12), b.weights(16, 3, 3, 3), b.weights(16)))
    y = b.op("Conv", x, b.weights(16, 16, 1, 1), b.weights(16))
    z = b.op("Relu", b.op("Conv", y, b.weights(24, 16, 1, 1), b.weights(24)))
    flat = b.op("Flatten", b.op("GlobalAveragePool", z))
    return b.model(b.op("Gemm", flat, b.weights(10, 24), b.weights(10), transB=1))


def graph_of(path: Path) -> Graph:
    return to_graph(read(path.read_bytes()))


FULL = Plan(
    "percentile", 99.5, "plain", 2, 7, 7, 0.5, True, ("Gemm",),
    {'a "quoted"\n\\name': LayerPlan("plain", 8, 5, True), "x/*": LayerPlan(lane_group=1)},
    {"t#1": ActivationPlan("percentile", 99.0), "é": ActivationPlan(range=(-1.5, 2e-3))},
    "m.onnx", "0123abc",
)  # fmt: skip


@pytest.mark.parametrize("plan", [Plan(), FULL])
def test_text_and_back(plan: Plan) -> None:
    assert parse(plan.to_text()) == plan
    assert parse("# made by hand\r\n" + plan.to_text().replace("\n", "  # why\r\n")) == plan
    if sys.version_info >= (3, 11):
        import tomllib

        table = tomllib.loads(plan.to_text())
        assert table["edgecv_plan"] == 1
        assert set(table.get("layer", {})) == set(plan.layers)
        assert set(table.get("activation", {})) == set(plan.activations)


def test_cut_and_changed_texts_are_plans_or_errors() -> None:
    rng, text = random.Random(3), FULL.to_text()
    for _ in range(2000):
        at = rng.randrange(len(text))
        changed = text[:at] + rng.choice(['"', "[", "]", "=", "#", "\n", "\\", "1", ""]) + text[
            at + rng.randrange(3) :
        ]  # fmt: skip
        with contextlib.suppress(Error):
            assert parse(changed).check()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a plan"),
        ("edgecv_plan = 2", "not a plan"),
        ("edgecv_plan = 1\nhello\n", "not TOML.*line 2"),
        ("edgecv_plan = 1\nwhat = 1", "unknown key 'what'"),
        ("edgecv_plan = 1\n[options]\nmethod = mse", "not TOML.*line 3"),
        ("edgecv_plan = 1\n[options]\nmethod = 'best'", "method is 'best': it takes 'auto'"),
        ("edgecv_plan = 1\n[options]\npercent = nan", "percent is nan"),
        ("edgecv_plan = 1\n[options]\nlane_group = 4.0", "lane_group is 4.0, not a whole number"),
        ("edgecv_plan = 1\n[options]\n[options]", r"not TOML.*line 3"),
        ("edgecv_plan = 1\n[options]\nlane_group = 3", "lane_group is 3: it takes 2, 4 or 8"),
        ("edgecv_plan = 1\n[options]\nkeep_float = [1]", "not a list of strings"),
        ("edgecv_plan = 1\n[layers]\n", r"unknown table \[layers\]"),
        ("edgecv_plan = 1\n[layer.a]\nweight_bits = 3", "layer 'a': weight_bits is 3"),
        ("edgecv_plan = 1\n[layer.a]\nfloat = 1", "float is 1, not true or false"),
        ("edgecv_plan = 1\n[activation.a]\n", "either a method or a range"),
        ("edgecv_plan = 1\n[activation.a]\nrange = [1]", r"it takes \[low, high\]"),
        ("edgecv_plan = 1\n[activation.a]\nrange = [0, inf]", "low < high"),
        ("edgecv_plan = 1\n[activation.a]\nrange = [2, 1]", "low < high"),
        ("edgecv_plan = 1\n[activation.a]\nmethod = 'mse'\npercent = 99", "percent is for"),
        ('edgecv_plan = 1\n[layer."a]\n', "line 2"),
        ('edgecv_plan = 1\nmodel = "\\q"', "not TOML.*line 2"),
    ],
)
def test_refused_texts(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(Error, match=message):
        parse(text)
    (tmp_path / "p").write_text(text)
    with pytest.raises(Error, match=r"/p: "):
        load(tmp_path / "p")


def test_a_plan_of_options_gives_the_same_file(tmp_path: Path) -> None:
    model = net()
    plan = Plan("mse", lane_group=2, layers={"Gemm": LayerPlan(weight_bits=5)})
    convert(model, tmp_path / "a.ecv", samples(model), method="mse", lane_group=2,
            weight_bits={"Gemm": 5})  # fmt: skip
    (tmp_path / "my.plan").write_text("# mine\n" + plan.to_text())
    report = convert(model, tmp_path / "b.ecv", samples(model), plan=tmp_path / "my.plan")
    assert report.plan == f"my.plan {plan.digest()}"
    assert report.plan in str(report)
    with edgecv.load(tmp_path / "b.ecv") as made, edgecv.load(tmp_path / "a.ecv") as wanted:
        assert made.meta["plan"] == report.plan
        x = samples(model)[0]
        for name, value in wanted.run(x).items():
            assert np.array_equal(made.run(x)[name], value)


def test_single_layers_and_activations(tmp_path: Path) -> None:
    model = net()
    convert(model, tmp_path / "d.ecv", samples(model))
    default = graph_of(tmp_path / "d.ecv")
    layers = [n for n in default.nodes if n.op in ("Conv2d", "FullyConnected")]
    first, second, third, head = layers
    y = second.outputs[0]
    plan = Plan(
        layers={
            "*": LayerPlan(lane_group=8),
            second.name: LayerPlan(lane_group=1),
            third.name: LayerPlan(weights="plain"),
            head.name: LayerPlan(is_float=True),
        },
        activations={y: ActivationPlan(range=(-0.5, 2.05)), "*": ActivationPlan("minmax")},
    )
    plan = parse(plan.to_text())
    graph, report = check_int8(model, tmp_path, plan=plan)
    groups = {layer.name: layer.lane_group for layer in report.layers}
    assert [groups[n.name] for n in layers] == [8, 1, 1, None]
    assert head.name in report.float_layers
    w = {n.name: graph.values[n.inputs[1]].data for n in graph.nodes if len(n.inputs) > 1}
    assert largest_lane_sum(w[first.name], 8) <= lane_bound(255)
    # The last rule that fits wins: "*" stands behind the range.
    minmax = graph.values[y].scale
    graph, _ = check_int8(
        model, tmp_path, floor=5.0, plan=Plan(activations={y: ActivationPlan(range=(-0.5, 2.05))})
    )
    assert graph.values[y].scale == pytest.approx(2.55 / 255)
    assert minmax != graph.values[y].scale


def test_methods_of_single_activations(tmp_path: Path) -> None:
    model, scales = net(), []
    convert(model, tmp_path / "d.ecv", samples(model))
    y = next(n.outputs[0] for n in graph_of(tmp_path / "d.ecv").nodes if n.op == "Conv2d")
    for one in (
        ActivationPlan("minmax"),
        ActivationPlan("percentile", 99.0),
        ActivationPlan("percentile", 90.0),
    ):
        convert(model, tmp_path / "m.ecv", samples(model), plan=Plan(activations={y: one}))
        scales.append(graph_of(tmp_path / "m.ecv").values[y].scale)
    assert scales == sorted(scales, reverse=True)
    assert len(set(scales)) == 3


@pytest.mark.parametrize(
    "plan",
    [
        Plan(layers={"nothing": LayerPlan(lane_group=2)}),
        Plan(layers={"nothing": LayerPlan(is_float=True)}),
        Plan(activations={"nothing*": ActivationPlan("mse")}),
    ],
)
def test_rules_that_select_nothing(plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match=r"^(layer|plan: the activation).* 'nothing"):
        convert(net(), tmp_path / "m.ecv", samples(net()), plan=plan)
    assert not (tmp_path / "m.ecv").exists()


def test_plans_for_another_model_and_beside_options(tmp_path: Path) -> None:
    model = net()
    plan = Plan(model="other.onnx", fingerprint="0123")
    with pytest.raises(Error, match=r"made for other.onnx \(0123\), and onnx is another model"):
        convert(model, tmp_path / "m.ecv", samples(model), plan=plan)
    with pytest.raises(Error, match="either a plan or such options"):
        convert(model, tmp_path / "m.ecv", samples(model), plan=Plan(), method="mse")
    with pytest.raises(CalibrationError, match="a plan is for int8 files"):
        convert(model, tmp_path / "m.ecv", plan=Plan())
    assert not list(tmp_path.iterdir())


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = net()
    onnx.save(model, str(tmp_path / "m.onnx"))
    np.save(tmp_path / "x.npy", np.concatenate([next(iter(x.values())) for x in samples(model)]))
    (tmp_path / "m.plan").write_text(Plan(fingerprint="0123").to_text())
    files = {"-o": "m.ecv", "--calibrate": "x.npy", "--plan": "m.plan"}
    convert_it = ["convert", str(tmp_path / "m.onnx")]
    for option, name in files.items():
        convert_it += [option, str(tmp_path / name)]
    assert main(convert_it) == 2
    message = capsys.readouterr().err
    found = message.split("another model (")[1].split(")")[0]
    assert not (tmp_path / "m.ecv").exists()
    (tmp_path / "m.plan").write_text(Plan(lane_group=2, fingerprint=found).to_text())
    assert main(convert_it) == 0
    assert "m.plan" in capsys.readouterr().out
    for command in ("inspect", "info"):
        assert main([command, str(tmp_path / "m.ecv")]) == 0
        assert "m.plan" in capsys.readouterr().out
