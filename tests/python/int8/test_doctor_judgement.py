"""How a doctor judges: errors, gains above the noise, labels, time; and detections."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from int8.doctor_models import detector, doctor_of, net, pictures, scenes

from edgecv.doctor import page
from edgecv.doctor.diagnosis import Diagnosis
from edgecv.doctor.doctor import Doctor
from edgecv.doctor.ladder import Ladder, Limits, pareto
from edgecv.doctor.samples import views
from edgecv.doctor.scores import Score, harms, measure, pays, score_of
from edgecv.doctor.timing import work_of
from edgecv.errors import Error
from edgecv.quant.plan import LayerPlan, Plan


@pytest.fixture(autouse=True)
def short_measurements(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgecv.doctor.timing._SECONDS", 0.02)


def test_peaks_of_answers_are_seen_and_never_cut() -> None:
    start = Plan("percentile", 98.0)
    doctor = Doctor(detector(), scenes(), start=start)
    report = doctor.examine(True, Limits(most_ratio=100.0))
    assert not doctor.trials.classifies
    names = set(doctor.trials.model.view(0.0).activations())
    assert {"conv2", "conv5"} <= names  # of scores and of boxes
    for row in report.rows[1:]:
        cut = [n for n, one in row.plan.activations.items() if one.method not in ("minmax", None)]
        assert not {"conv2", "conv5"}.intersection(cut)
        if row.plan.method in ("mse", "percentile", "kl"):
            is_repair = row.step != "output heads in float"
            assert not is_repair or row.plan.activations["conv2"].method == "minmax"
    default, before, after = (proof.score for proof in report.proofs)
    assert before.peaks > 2 * default.peaks
    assert after.peaks < 1.05 * default.peaks
    assert report.rows[1].step == "narrow ranges"
    assert report.rows[1].kept
    ladder = ladder_of(doctor, Limits(most_ratio=100.0), start)  # where no rule named them
    ladder._uncut()
    assert ladder.rows[-1].kept
    assert ladder.plan.method == "percentile"
    assert ladder.plan.activations["conv2"].method == "minmax"


def answers(**arrays: list[float]) -> dict[str, np.ndarray]:
    return {name: np.array(values, np.float32) for name, values in arrays.items()}


def test_errors_count_all_entries_and_the_largest() -> None:
    ground = [0.5] * 3000
    want = answers(scores=[8.0, *ground], far=[1.0, 2.0, 3.0, 4.0])
    cut = measure(answers(scores=[0.5, *ground], far=[1.0, 2.0, 3.0, 4.0]), want, False)
    noisy = measure(answers(scores=[8.0, *[0.6] * 3000], far=[1.0, 2.0, 3.0, 4.0]), want, False)
    assert cut.error < 0.15
    assert cut.peaks > 0.4
    assert noisy.peaks < 0.05
    # Two outputs count alike, whatever their size.
    off = measure(answers(scores=[8.0, *ground], far=[0.0, 0.0, 0.0, 0.0]), want, False)
    assert off.error == off.peaks == 0.5
    # What moves all classes changes no label.
    logits = answers(y=[[float(i % 7) for i in range(40)]])
    moved = measure({"y": logits["y"] + 3}, logits, True)
    assert moved.agrees
    assert moved.peaks == 0.0
    assert moved.error > 0.5


def score(logs: list[float]) -> Score:
    return Score(0.1, 0.1, None, len(logs), logs=tuple(logs))


def test_gains_have_to_be_above_the_noise_of_pictures() -> None:
    before = score([0.0] * 10)
    assert pays(before, score([-0.05] * 10), 0.995) == ""
    assert "does not lower" in pays(before, score([0.01] * 10), 0.995)
    assert "does not lower" in pays(before, score([-0.001] * 10), 0.995)
    assert "within the noise" in pays(before, score([-0.5, 0.4] * 5), 0.995)
    assert harms(before, score([-0.1, 0.11] * 5)) == ""  # not surely
    assert harms(before, score([-0.01] * 10)) == ""
    assert harms(before, score([0.01] * 10)) == "raises the error"
    lost = score([float("nan")] * 10)
    assert pays(before, lost, 0.995)
    assert harms(before, lost)
    # A score of the first fold alone is compared with the rival's first fold.
    half = score([0.1] * 5)
    assert "does not lower" in pays(score([0.0] * 5 + [9.0] * 5), half, 0.995)


def ladder_of(doctor: Doctor, limits: Limits, plan: Plan | None = None) -> Ladder:
    """A ladder of a model that nothing is known of but the score of its plan."""
    plan = plan or Plan()
    return Ladder(
        doctor.trials, Diagnosis(plan, doctor.trials.score(plan)), limits, lambda *_: None
    )


def test_a_candidate_that_cannot_be_converted_shows_no_figures() -> None:
    ladder = ladder_of(doctor_of(net()), Limits(most_ratio=100.0))
    plan = Plan(layers={"nothing": LayerPlan(is_float=True)})
    assert not ladder.offer("step", "a rule that selects nothing", plan)
    assert not ladder._offer_faster("a rule that selects nothing", plan)
    assert ladder.plan == Plan()
    for row in ladder.rows[1:]:
        assert row.score is None
        assert "cannot be converted: " in row.why
    cells = page.candidate_rows(ladder.rows)
    assert not any("%" in cell for cell in [*cells[1], *cells[2]])
    assert pareto(ladder.rows) == ladder.rows[:1]
    assert "nothing" not in page.svg(ladder.rows)


def test_labels_first() -> None:
    ladder = ladder_of(doctor_of(net(outlier=50.0)), Limits(labels=True))
    ladder.score = Score(0.1, 0.1, 30, 36, logs=(0.0,) * 12)
    judge = [Score(0.1, 0.1, n, 36, logs=(log,) * 12) for n, log in
             ((29, -1.0), (31, 0.0), (31, 0.1), (30, 0.0), (30, -0.1))]  # fmt: skip
    words = [ladder._objection(one, 0.995) for one in judge]
    assert words == ["loses labels", "", "raises the error", "does not lower the error", ""]
    ladder._limits = Limits()
    words = [ladder._objection(one, 0.995) for one in judge]
    assert words == ["", *["does not lower the error"] * 3, ""]
    ladder.score = Score(0.1, 0.1, 36, 36, logs=(0.0,) * 12)
    assert ladder._objection(judge[-1], 0.995) == "loses labels"
    with pytest.raises(Error, match="one vector of scores"):
        Doctor(detector(), scenes()).examine(True, Limits(labels=True))


def test_equal_kernels_take_equal_time(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = []
    monkeypatch.setattr(
        "edgecv.doctor.timing.compare_times", lambda *_: measured.append(1) or (1.0, 0.9)
    )
    trials = doctor_of(net(outlier=50.0)).trials
    assert trials.time(Plan(equalize=1.0)) == trials.time(Plan("mse")) == (1.0, 1.0)
    assert len(measured) == 1
    assert trials.time(Plan(layers={"*": LayerPlan(lane_group=2)})) == (1.0, 0.9)
    assert len(measured) == 2
    works = [work_of(blob, made.layers) for made, blob in map(trials.quantize, (
        Plan(), Plan(weight_bits=4), Plan(layers={"Gemm": LayerPlan(is_float=True)})))]  # fmt: skip
    assert len(set(works)) == 3


def test_views_are_other_pictures_of_the_same_size() -> None:
    sample = {"x": pictures(1), "size": np.ones((1, 2), np.float32)}
    made = views(sample)
    assert len(made) == 3
    for other in made[1:]:
        assert other["size"] is sample["size"]
        assert other["x"].shape == sample["x"].shape
        assert np.abs(other["x"] - sample["x"]).max() > 0.1
        assert other["x"].min() >= sample["x"].min() - 1e-5
        assert other["x"].max() <= sample["x"].max() + 1e-5
    edge = made[1]["x"][:, :, 0, 0]
    np.testing.assert_array_equal(edge, sample["x"].max(axis=(2, 3)))
    assert len(views({"v": np.ones((1, 7), np.float32)})) == 1


def test_an_empty_or_single_score() -> None:
    one = measure(answers(y=[[1.0, 2.0]]), answers(y=[[1.0, 2.0]]), True)
    found = score_of([[[one]]])
    assert (found.error, found.agree, found.pictures, len(found.logs)) == (0.0, 1, 1, 1)
    assert pays(found, found, 0.995) == "does not lower the error"


def test_the_time_left_is_of_the_stage_that_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from edgecv.cli.doctor import Told

    clock = iter([0.0, *(float(t) for t in (0, 1, 100, 1000, 1020))])
    timer = SimpleNamespace(monotonic=lambda: next(clock))
    monkeypatch.setattr("edgecv.cli.doctor.time", timer)
    told = Told()
    for done in (1, 2, 32):  # 100 s for 31 of 32
        told("look", done, 32)
    told("look", 1, 32)  # once more, long after
    told("look", 11, 32)  # 10 in 20 s
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == "look 11/32, about 42 s left"
    assert lines[-2] == "look 1/32"
