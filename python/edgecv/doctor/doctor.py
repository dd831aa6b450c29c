"""The doctor: diagnosis of a model in int8, search for a better plan, proof."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Dict, FrozenSet, List, Mapping, Optional, Sequence

import numpy as np

from edgecv import __version__
from edgecv.calibrated import CalibratedModel, fingerprint
from edgecv.doctor import diagnosis as diagnosing
from edgecv.doctor.diagnosis import Diagnosis, diagnose
from edgecv.doctor.ladder import Ladder, Limits, Row, drop_of, pareto
from edgecv.doctor.scores import Score, error_of, is_classifier
from edgecv.doctor.state import State, conditions
from edgecv.doctor.trial import DEFAULT, Subset, Trials, digest_of
from edgecv.errors import Error
from edgecv.format.writer import write
from edgecv.graph.ir import Graph
from edgecv.graph.passes import pipeline
from edgecv.graph.passes.settle import is_quantized
from edgecv.model import load
from edgecv.onnx.importer import import_model
from edgecv.preprocess import Preprocess
from edgecv.quant.data import CalibrationSet, Sample, Source, check_varied
from edgecv.quant.plan import Plan
from edgecv.quant.progress import Progress
from edgecv.quant.weights import RoundingMemo


@dataclass
class Evaluation:
    """Pictures beyond calibration, and the accepted classes of each (None: not labelled)."""

    samples: Sequence[Sample]
    accepted: Optional[Sequence[FrozenSet[int]]] = None


@dataclass
class Proof:
    """A plan's score on held-out calibration pictures; and, of the whole conversion, on evaluation
    pictures: n, error, agree and top1.
    """

    name: str
    score: Score
    evaluation: Optional[Dict[str, Any]] = None


@dataclass
class Report:
    """What a doctor found. ``rows`` are the candidates of the search, ``plan`` the one chosen.

    samples: of calibration; pictures: that a full score is over, other views included.
    """

    source: str
    fingerprint: str
    samples: int
    pictures: int
    diagnosis: Diagnosis
    plan: Plan
    rows: List[Row] = field(default_factory=list)
    proofs: List[Proof] = field(default_factory=list)
    limits: Limits = field(default_factory=Limits)
    seconds: float = 0.0

    @property
    def reached(self) -> bool:
        """Whether the chosen plan keeps the accuracy and the time that were asked for."""
        drop, score = self.limits.most_drop, self.proofs[-1].score
        most = self.limits.most_ms
        is_fast = most is None or score.milliseconds is None or score.milliseconds <= most
        return is_fast and (drop is None or drop_of(score) <= drop)

    def to_dict(self) -> Dict[str, Any]:
        """Plain data, ready for JSON."""
        front = {id(row) for row in pareto(self.rows)}
        return {
            "source": self.source,
            "fingerprint": self.fingerprint,
            "samples": self.samples,
            "pictures": self.pictures,
            "seconds": round(self.seconds, 1),
            "diagnosis": diagnosing.to_dict(self.diagnosis),
            "candidates": [
                {
                    "step": row.step, "what": row.what,
                    **({} if row.score is None else row.score.to_dict()),
                    "kept": row.kept, "why": row.why, "pareto": id(row) in front,
                }
                for row in self.rows
            ],
            "proof": [
                {"name": proof.name, **proof.score.to_dict(), "evaluation": proof.evaluation}
                for proof in self.proofs
            ],
            "plan": self.plan.to_text(),
            "reached": self.reached,
        }  # fmt: skip

    def to_json(self) -> str:
        """The report as one JSON object."""
        return json.dumps(self.to_dict(), indent=2)


class Doctor:
    """Examines one model. Bad input raises before anything is written.

    folder: where measurements are kept, for a run that goes on after an interruption; ``examine``
        makes it.
    """

    def __init__(
        self,
        model: Any,
        calibration: Source,
        *,
        preprocess: Optional[Preprocess] = None,
        input_shapes: Optional[Mapping[str, Sequence[int]]] = None,
        start: Plan = DEFAULT,
        folder: Optional[Path] = None,
        progress: Optional[Progress] = None,
    ) -> None:
        from edgecv.convert import source_name

        imported = import_model(model, input_shapes=input_shapes)
        self.source, self.fingerprint = source_name(model), fingerprint(imported)
        start.check_model(self.fingerprint, self.source)
        self.start = replace(start, model=self.source, fingerprint=self.fingerprint)
        self.graph: Graph = pipeline.declutter(imported)
        if is_quantized(self.graph):
            raise Error(
                f"{self.source} is quantized already, and its own parameters are kept: give the "
                "float model it was made from"
            )
        data = CalibrationSet(calibration, self.graph.inputs, preprocess)
        self.samples: List[Sample] = list(data)
        check_varied((float(a.min()), float(a.max())) for s in self.samples for a in s.values())
        self.progress: Progress = progress or _silent
        self.folder = folder
        self._whole: Optional[CalibratedModel] = None
        key = f"{self.fingerprint}-{digest_of(self.samples)}-{conditions()}"
        self.memo = RoundingMemo(self.weights_folder)
        self.trials = Trials(
            self.graph, self.samples, State(folder, key), self.memo, self._only_long_work
        )

    @property
    def weights_folder(self) -> Optional[Path]:
        """Where rounded weights are kept: those of one version of edgecv."""
        return None if self.folder is None else self.folder / f"weights-{__version__}"

    def _make_folder(self) -> None:
        if self.weights_folder is None:
            return
        try:
            self.weights_folder.mkdir(parents=True, exist_ok=True)
        except OSError as cause:
            raise Error(f"{self.folder}: cannot write here ({cause.strerror})") from cause

    def _only_long_work(self, what: str, done: int, total: int) -> None:
        """Tells of passes over data, not of the layers of each trial."""
        if what != "choose integers":
            self.progress(what, done, total)

    def examine(self, fix: bool, limits: Limits, evaluation: Optional[Evaluation] = None) -> Report:
        """Diagnoses; with ``fix`` also searches a better plan; measures both at the end."""
        began = time.perf_counter()
        if limits.labels and not self.trials.classifies:
            raise Error(
                "labels are of models with one vector of scores: this one has other outputs"
            )
        self._make_folder()
        found = diagnose(self.trials, self.start, self.progress)
        report = Report(
            self.source, self.fingerprint, self.trials.samples, self.trials.pictures, found,
            self.start, limits=limits,
        )  # fmt: skip
        if fix:
            ladder = Ladder(self.trials, found, limits, self.progress)
            ladder.climb()
            report.rows, report.plan = ladder.rows, ladder.plan
        plans = {"default conversion": DEFAULT, "before": self.start, "after": report.plan}
        if not fix:
            del plans["after"]
        if replace(self.start, model="", fingerprint="") == DEFAULT:
            del plans["default conversion"]
        for done, (name, plan) in enumerate(plans.items()):
            self.progress("proof", done, len(plans))
            milliseconds, ratio = self.trials.time(plan)
            score = replace(self.trials.score(plan), milliseconds=milliseconds, ratio=ratio)
            result = None if evaluation is None else self._evaluate(plan, evaluation)
            report.proofs.append(Proof(name, score, result))
        report.seconds = time.perf_counter() - began
        return report

    def _evaluate(self, plan: Plan, evaluation: Evaluation) -> Dict[str, Any]:
        """Counts of a plan's conversion on pictures beyond calibration."""
        if self._whole is None:
            every = Subset(self.samples)
            self._whole = CalibratedModel(self.graph, every, self._only_long_work, self.memo)
        blob = write(self._whole.quantize(plan).graph, meta={}, preprocess={})
        errors: List[float] = []
        agree = top1 = 0
        with self.trials.float_model() as real, load(blob, threads=1) as model:
            for index, sample in enumerate(evaluation.samples):
                got, want = model.run(sample), real.run(sample)
                errors.append(error_of(got, want))
                if is_classifier(want):
                    label = int(next(iter(got.values())).argmax())
                    agree += label == int(next(iter(want.values())).argmax())
                    if evaluation.accepted is not None:
                        top1 += label in evaluation.accepted[index]
        result: Dict[str, Any] = {"pictures": len(errors), "error": float(np.mean(errors))}
        if self.trials.classifies:
            result["agree"] = agree
            if evaluation.accepted is not None:
                result["top1"] = top1
        return result


def _silent(what: str, done: int, total: int) -> None:
    pass
