"""The doctor: what it sees, what it changes, what it keeps, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from graph.onnx_models import Builder
from int8.doctor_models import doctor_of, net, pictures

import edgecv
from edgecv.calibrated import copy_of
from edgecv.cli.main import main
from edgecv.doctor.doctor import Doctor
from edgecv.doctor.ladder import Limits, pareto
from edgecv.doctor.samples import split
from edgecv.doctor.speed import by_worth, layer_times
from edgecv.errors import CalibrationError, Error
from edgecv.format.writer import write
from edgecv.graph.passes import pipeline
from edgecv.graph.passes.quantize import LayerWeights
from edgecv.onnx.importer import import_model
from edgecv.quant.data import CalibrationSet
from edgecv.quant.equalize import equalize, links
from edgecv.quant.layer_inputs import channel_reach
from edgecv.quant.plan import ActivationPlan, LayerPlan, Plan, load


@pytest.fixture(autouse=True)
def short_measurements(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgecv.doctor.timing._SECONDS", 0.02)


def kinds(doctor: Doctor) -> dict[str, Any]:
    return {f.kind: f for f in doctor.examine(False, Limits()).diagnosis.findings}


def test_samples_alike_stay_on_one_side() -> None:
    base = pictures(6)
    samples = [{"x": one[None] * scale} for one in base for scale in (1.0, 1.01, 0.99)]
    folds = split(samples)
    for fit, check in folds:
        assert {i // 3 for i in fit}.isdisjoint(i // 3 for i in check)
        assert len(check) == len({i // 3 for i in check}) == 3
    (fit, check), (other_fit, other_check) = folds
    assert sorted(fit + other_fit) == list(range(18))
    assert set(check) <= set(other_fit)
    assert set(other_check) <= set(fit)
    with pytest.raises(CalibrationError, match="all alike"):
        split(samples[:3])


def test_outlier_is_named_and_equalized() -> None:
    doctor = doctor_of(net(outlier=200.0))
    found = {f.kind: f for f in doctor.examine(False, Limits()).diagnosis.findings}
    assert "channel 5 reaches" in found["range outlier"].text
    report = doctor.examine(True, Limits(most_ratio=100.0))
    before, after = report.proofs[0].score, report.proofs[-1].score
    assert after.error < 0.5 * before.error
    assert report.plan.equalize > 0
    assert any(row.kept and row.step == "equalization" for row in report.rows)
    assert "range outlier" not in kinds(doctor_of(net()))


def test_cut_ranges_are_named_and_repaired() -> None:
    start = Plan("percentile", 80.0)
    doctor = doctor_of(net(), start)
    report = doctor.examine(True, Limits(most_ratio=100.0))
    assert report.diagnosis.findings[0].kind == "range too narrow"
    assert "lie outside of" in report.diagnosis.findings[0].text
    names = [proof.name for proof in report.proofs]
    assert names == ["default conversion", "before", "after"]
    default, before, after = (proof.score.error for proof in report.proofs)
    assert before > 2 * default
    assert after < 1.05 * default
    assert report.plan.method != "percentile" or report.plan.percent > 99
    assert (report.rows[1].step, report.rows[1].what) == ("narrow ranges", "mse for every tensor")
    assert report.rows[1].kept


def test_small_branch_and_coarse_weights_are_named() -> None:
    found = kinds(doctor_of(net(branch=0.01)))
    assert "of the 255 steps of the sum" in found["residual scale mismatch"].text
    assert "residual scale mismatch" not in kinds(doctor_of(net()))
    found = kinds(doctor_of(net(), Plan(weight_bits=4)))
    assert found["coarse weights"].figure < 22.0


def test_head_that_must_not_be_int8_is_kept_in_float() -> None:
    b = Builder(seed=2)
    x = b.op("Relu", b.op("Conv", b.input(1, 3, 10, 10), b.weights(8, 3, 3, 3)))
    w = np.random.default_rng(1).normal(0, 1, (8, 8, 1, 1)).astype(np.float32)
    w[0] *= 3000.0  # one output drowns the others: 8 bits cannot hold both
    model = b.model(b.op("Sigmoid", b.op("Conv", x, b.const(w))))
    doctor = doctor_of(model)
    report = doctor.examine(True, Limits(most_ratio=100.0))
    found = {f.kind: f for f in report.diagnosis.findings}
    assert "must not be int8" in found["output head"].text
    assert any(layer.is_float for layer in report.plan.layers.values())
    assert report.proofs[-1].score.error < 0.7 * report.proofs[0].score.error


def test_steps_are_kept_only_where_they_pay_in_time() -> None:
    report = doctor_of(net(outlier=200.0)).examine(True, Limits(most_ratio=1e-6))
    moved = [row for row in report.rows[1:] if row.kept]
    # Nothing that changes weights is fast enough; ranges alone change no time, and count as 1.
    assert not moved
    assert any(row.why.startswith("takes") for row in report.rows)


def test_the_front_of_time_and_error() -> None:
    report = doctor_of(net(outlier=50.0)).examine(True, Limits(most_ratio=100.0))
    front = pareto(report.rows)
    scores = [row.score for row in front if row.score is not None]
    errors = [score.off for score in scores]
    assert errors == sorted(errors, reverse=True)
    timed = [row.score for row in report.rows if row.score and row.score.ratio is not None]
    assert min(score.off for score in timed) == errors[-1]


def test_equalizing_does_not_change_the_float_model() -> None:
    model = net(outlier=40.0)
    graph = pipeline.declutter(import_model(model))
    lowered = pipeline.lower(graph)
    data = CalibrationSet(pictures(), graph.inputs, None)
    assert len(links(lowered)) >= 1
    for strength in (0.5, 1.0):
        other = copy_of(lowered)
        scaled = equalize(other, channel_reach(lowered, data), strength)
        assert scaled
        with edgecv.load(write(lowered, meta={}, preprocess={})) as a, edgecv.load(
            write(other, meta={}, preprocess={})
        ) as b:
            x = pictures(1, seed=9)
            for name, want in a.run(x).items():
                np.testing.assert_allclose(b.run(x)[name], want, rtol=1e-4, atol=1e-4)
    reach = channel_reach(other, data)
    name = next(iter(scaled))
    extents = reach[name][1] - np.minimum(reach[name][0], 0)
    assert extents.max() < 2.5 * np.median(extents)


def test_an_interrupted_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, limits = net(outlier=20.0), Limits(most_ratio=100.0)

    class StopError(Exception):
        pass

    def stop(what: str, done: int, total: int) -> None:
        if what == "one layer in int8" and done == 3:
            raise StopError

    first = doctor_of(model, folder=tmp_path, progress=stop)
    with pytest.raises(StopError):
        first.examine(True, limits)
    second = doctor_of(model, folder=tmp_path)
    # The plan's score in both folds, and three of single layers.
    assert len(second.trials.state._known) == 5
    report = second.examine(True, limits)
    assert second.trials.state.reused >= 4
    assert second.trials.state._known.keys() > first.trials.state._known.keys()
    third = doctor_of(model, folder=tmp_path)
    again = third.examine(True, limits)
    assert again.plan == report.plan
    assert [row.score for row in again.rows] == [row.score for row in report.rows]
    # Measurements of another machine, version or setting are not these.
    monkeypatch.setenv("EDGECV_CHAINS", "off")
    assert doctor_of(model, folder=tmp_path).trials.state._known == {}
    monkeypatch.delenv("EDGECV_CHAINS")
    assert doctor_of(model, folder=tmp_path).trials.state._known
    with monkeypatch.context() as patch:
        patch.setattr("edgecv.doctor.state._processor", lambda: "another")
        assert doctor_of(model, folder=tmp_path).trials.state._known == {}
    with monkeypatch.context() as patch:
        patch.setattr("edgecv.__version__", "99")
        assert doctor_of(model, folder=tmp_path).trials.state._known == {}
    # Another model in the same folder takes nothing over.
    other = doctor_of(net(outlier=21.0), folder=tmp_path)
    assert other.trials.state._known == {}


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    onnx.save(net(outlier=100.0), str(tmp_path / "m.onnx"))
    np.save(tmp_path / "x.npy", pictures())
    np.save(tmp_path / "y.npy", pictures(5, seed=7))
    return {
        name: str(tmp_path / name) for name in ("m.onnx", "x.npy", "y.npy", "m.ecv", "m.doctor")
    }


def test_command_line(files: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    command = ["doctor", files["m.onnx"], "--calibrate", files["x.npy"]]
    options = ["--fix", "-o", files["m.ecv"], "--max-slowdown", "100", "--eval", files["y.npy"]]
    assert main([*command, *options]) == 0
    out = capsys.readouterr().out
    assert "range outlier" in out
    assert "before and after" in out
    folder = Path(files["m.doctor"])
    report = json.loads((folder / "report.json").read_text())
    assert report["proof"][-1]["evaluation"]["pictures"] == 5
    assert (folder / "report.html").read_text().count("<svg") == 1
    assert (folder / "pareto.png").read_bytes()[:4] == b"\x89PNG"
    plan = load(folder / "m.plan")
    assert plan.fingerprint == report["fingerprint"]
    made = Path(files["m.ecv"]).read_bytes()
    with edgecv.load(made) as model:
        assert model.meta["plan"].startswith("m.plan ")
        assert model.verify().passed
    # What the doctor wrote is what convert makes of the plan.
    again = [
        "convert", files["m.onnx"], "-o", files["m.ecv"], "--calibrate", files["x.npy"],
        "--plan", str(folder / "m.plan"),
    ]  # fmt: skip
    assert main(again) == 0
    assert Path(files["m.ecv"]).read_bytes() == made
    capsys.readouterr()
    command += ["--state", files["m.doctor"]]
    assert main([*command, "--max-drop", "0", "--method", "percentile", "--percent", "51"]) == 1
    assert main([*command, "--max-ms", "1e-9"]) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--plan", "missing.plan"], "cannot read the plan"),
        (["-o", "m.ecv"], "give --fix as well"),
        (["--speed"], "give --fix as well"),
        (["--labels", "l.tsv"], "of --eval"),
        (["--agreement"], "give --fix as well"),
        (["--fix", "-o", "missing/m.ecv"], "no such folder"),
        (["--calibrate", "zeros.npy"], "are 0 everywhere"),
        (["--percent", "99"], "of --method percentile"),
        (["--method", "percentile", "--percent", "10"], "more than 50"),
        (["--calibrate", "none.npy"], "no such file or folder"),
        (["--max-slowdown", "0"], "above 0"),
        (["--max-drop", "nan"], "0 or more"),
        (["--fix", "-o", "m.onnx"], "is the model itself"),
        (["--eval", "none"], "no such file or folder"),
        (["--eval", "y.npy", "--labels", "x.npy"], "cannot read"),
        (["--calibrate", "alike.npy"], "all alike"),
    ],
)
def test_bad_input_writes_nothing(
    options: list[str], message: str, files: dict[str, str], tmp_path: Path,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    np.save(tmp_path / "alike.npy", np.repeat(pictures(1), 3, axis=0))
    np.save(tmp_path / "zeros.npy", np.zeros((4, 3, 10, 10), np.float32))
    before = set(tmp_path.iterdir())
    assert main(["doctor", files["m.onnx"], "--calibrate", files["x.npy"], *options]) == 2
    assert message in capsys.readouterr().err
    assert set(tmp_path.iterdir()) == before


def test_plans_of_another_model_and_empty_calibration(tmp_path: Path) -> None:
    with pytest.raises(Error, match="is another model"):
        doctor_of(net(), Plan(fingerprint="0123"), folder=tmp_path / "state")
    with pytest.raises(CalibrationError, match="empty"):
        Doctor(net(), [], folder=tmp_path / "state")
    assert not list(tmp_path.iterdir())
    plan = Plan(layers={"x": LayerPlan(is_float=True)}, activations={"y": ActivationPlan("mse")})
    assert plan.check() is plan


def test_measured_bias_correction_helps_coarse_weights() -> None:
    doctor = Doctor(net(), pictures(40))
    plan = Plan(weights="plain", weight_bits=5)
    plain, corrected = (
        doctor.trials.score(replace(plan, correct_bias=on)).error for on in (False, True)
    )
    assert corrected < 0.9 * plain


def test_gains_are_spent_on_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    def time(self: Any, plan: Plan) -> tuple[float, float]:
        return 1.0, 1.0 - sum(0.05 for one in plan.layers.values() if one.lane_group == 8)

    def layer_times(files: Any, sample: Any) -> list[dict[str, float]]:
        names = [node.name for node in doctor.trials.model.lowered.nodes]
        return [dict.fromkeys(names, 1.0), dict.fromkeys(names, 0.9)]

    monkeypatch.setattr("edgecv.doctor.trial.Trials.time", time)
    monkeypatch.setattr("edgecv.doctor.ladder.layer_times", layer_times)
    doctor = doctor_of(net(outlier=100.0))
    slow = doctor.examine(True, Limits()).proofs[-1].score
    report = doctor.examine(True, Limits(speed=True))
    first, last = report.proofs[0].score, report.proofs[-1].score
    assert slow.ratio == 1.0
    assert last.ratio is not None
    assert last.ratio < 0.96
    assert slow.off <= last.off <= 1.1 * first.off
    assert any(layer.lane_group == 8 for layer in report.plan.layers.values())
    # A time that is missed is reason enough, and no reason to leave the error as it is.
    report = doctor.examine(True, Limits(most_ms=0.5))
    assert [row for row in report.rows if row.step == "faster weights"]
    assert [row for row in report.rows[1:] if row.kept and row.step != "faster weights"]
    assert not report.reached
    report = doctor.examine(True, Limits(most_ms=2.0))
    assert not [row for row in report.rows if row.step == "faster weights"]


def test_layers_are_made_faster_in_the_order_of_what_they_gain_for_the_noise() -> None:
    def layers(*sqnr: float) -> list[LayerWeights]:
        return [LayerWeights(n, 4, 8, db, False) for n, db in zip("abcd", sqnr)]

    before = dict(zip("abcd", (1.0, 1.0, 1.0, 1.0)))
    after = dict(zip("abcd", (0.9, 0.9, 1.0, 0.6)))
    order = by_worth("abcd", (before, after), (layers(40, 40, 40, 40), layers(37, 39, 39, 30)))
    # d gains most but costs nine times the noise it has; c gains nothing.
    assert order == ["b", "a", "d"]


def test_layer_times_are_of_every_node() -> None:
    trials = doctor_of(net()).trials
    made, blob = trials.quantize(Plan())
    first, second = layer_times([blob, blob], trials.some(1)[0])
    assert set(first) == set(second)
    assert {layer.node for layer in made.layers} <= set(first)
    assert all(ms >= 0.0 for ms in first.values())


def test_a_disturbed_measurement_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([(2.0, 1.4), (1.1, 1.04), (1.0, 1.01), (9.0, 9.0)])
    monkeypatch.setattr("edgecv.doctor.timing.compare_times", lambda *_: next(times))
    trials = doctor_of(net()).trials
    plan = Plan(layers={"*": LayerPlan(lane_group=2)})
    assert trials.time(plan) == (1.0, 1.01)
    assert trials.time(plan) == (1.0, 1.01)
    assert next(times) == (9.0, 9.0)
