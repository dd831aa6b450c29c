"""Trials of plans: a model is quantized on one half of the calibration data, and its answers are
compared with those of the float model on the other half; then the halves change places.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, List, Optional, Sequence, Tuple

import numpy as np

from edgecv.calibrated import CalibratedModel, Quantized
from edgecv.doctor import scores
from edgecv.doctor.samples import split, views
from edgecv.doctor.scores import Answers, Measured, Score
from edgecv.doctor.state import State
from edgecv.doctor.timing import ratio_of, work_of
from edgecv.format.writer import write
from edgecv.graph.ir import Graph
from edgecv.model import Model, load
from edgecv.quant.data import CalibrationSet, Sample
from edgecv.quant.plan import Plan
from edgecv.quant.progress import Progress
from edgecv.quant.weights import RoundingMemo

DEFAULT = Plan()


class Subset(CalibrationSet):
    """Some samples of a set, read once."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._files = []
        self._samples = list(samples)


@dataclass
class Fold:
    """A model that one side of the samples calibrates, and the other side: of each photograph its
    views, and the float model's answers to them.
    """

    fit: List[Sample]
    model: CalibratedModel
    photos: List[List[Sample]]
    wanted: List[List[Answers]]

    def mixed(self, most: int) -> List[Tuple[int, int]]:
        """Places of pictures, in order: of many photographs one view each, views alike often."""
        count = len(self.photos)
        found = [
            (i, (i + turn) % len(self.photos[i])) for turn in range(most) for i in range(count)
        ]
        return sorted(list(dict.fromkeys(found))[:most])


class Trials:
    """Quantizes on the samples to fit with, and scores on those to check with.

    graph: decluttered. Scores are kept in ``state`` by what the plan says.
    """

    def __init__(
        self,
        graph: Graph,
        samples: Sequence[Sample],
        state: State,
        memo: RoundingMemo,
        progress: Optional[Progress] = None,
    ) -> None:
        self.state = state
        self.folds: List[Fold] = []
        for fit, check in split(samples):
            model = CalibratedModel(graph, Subset([samples[i] for i in fit]), progress, memo)
            photos = [views(samples[i]) for i in check]
            self.folds.append(Fold([samples[i] for i in fit], model, photos, []))
        self.model = self.folds[0].model
        self._float_blob = write(self.model.lowered, meta={}, preprocess={})
        with load(self._float_blob, threads=1) as real:
            for fold in self.folds:
                fold.wanted = [[real.run(view) for view in photo] for photo in fold.photos]
        self.classifies = scores.is_classifier(self.folds[0].wanted[0][0])
        self._default: Optional[Tuple[bytes, str]] = None

    @property
    def samples(self) -> int:
        """Samples that fit or check: those alike are checked once."""
        return sum(len(fold.fit) for fold in self.folds)

    @property
    def pictures(self) -> int:
        """Pictures of a full score."""
        return sum(len(photo) for fold in self.folds for photo in fold.photos)

    def some(self, most: int) -> List[Sample]:
        """Pictures to look at, that the first fold checks with."""
        first = self.folds[0]
        return [first.photos[i][view] for i, view in first.mixed(most)]

    def float_model(self) -> Model:
        """The float model, loaded."""
        return load(self._float_blob, threads=1)

    def quantize(self, plan: Plan, fold: int = 0) -> Tuple[Quantized, bytes]:
        """The int8 graph of a plan, and the file it makes."""
        made = self.folds[fold].model.quantize(plan)
        return made, write(made.graph, meta={}, preprocess={})

    def score(self, plan: Plan, rival: Optional[Score] = None) -> Score:
        """The score of a plan; without times. It ends after the first fold where that brings the
        answers no closer than the rival's.
        """
        found: List[List[List[Measured]]] = []
        for index, fold in enumerate(self.folds):
            places = [
                (i, view) for i, photo in enumerate(fold.photos) for view in range(len(photo))
            ]
            flat = iter(self._measured(plan, index, places))
            found.append([[next(flat) for _ in photo] for photo in fold.photos])
            if rival is None or index > 0:
                continue
            if scores.change(rival, scores.score_of(found))[0] >= 0.0:
                break
        return scores.score_of(found)

    def quick(self, plan: Plan, most: int) -> Score:
        """The score of a plan on a few pictures of the first fold."""
        return scores.score_of(
            [[[one] for one in self._measured(plan, 0, self.folds[0].mixed(most))]]
        )

    def _measured(
        self, plan: Plan, index: int, places: Sequence[Tuple[int, int]]
    ) -> List[Measured]:
        fold = self.folds[index]

        def measure() -> List[Any]:
            _, blob = self.quantize(plan, index)
            with load(blob, threads=1) as model:
                found = [
                    scores.measure(
                        model.run(fold.photos[i][view]), fold.wanted[i][view], self.classifies
                    )
                    for i, view in places
                ]
            return [[one.error, one.peaks, one.agrees] for one in found]

        key = f"score {plan.digest()} fold {index}, {len(places)}"
        return [Measured(*one) for one in self.state.find(key, measure)]

    def time(self, plan: Plan) -> Tuple[float, float]:
        """(milliseconds, ratio to the default conversion) of a run on one thread. Files of the same
        kernels take the same time: they are measured once.
        """
        made, blob = self.quantize(plan)
        if self._default is None:
            default, reference = self.quantize(DEFAULT)
            self._default = reference, work_of(reference, default.layers)
        reference, usual = self._default
        work = work_of(blob, made.layers)
        picture = self.folds[0].photos[0][0]
        found = self.state.find(f"time {work}", lambda: list(ratio_of(reference, blob, picture)))
        milliseconds, ratio = found
        return milliseconds, 1.0 if work == usual else ratio


def digest_of(samples: Sequence[Sample]) -> str:
    """A short digest of calibration data."""
    digest = hashlib.sha256()
    for sample in samples:
        for name, array in sorted(sample.items()):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:12]
