"""Trials of plans: a model is quantized on one half of the calibration data, and its answers are
compared with those of the float model on the other half.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.calibrated import CalibratedModel, Quantized
from edgecv.doctor.state import State
from edgecv.errors import CalibrationError
from edgecv.format.writer import write
from edgecv.graph.ir import Graph
from edgecv.model import Model, load
from edgecv.quant.data import CalibrationSet, Sample
from edgecv.quant.plan import Plan
from edgecv.quant.progress import Progress
from edgecv.quant.weights import RoundingMemo

Answers = Dict[str, NDArray[Any]]
_ALIKE = 0.95  # correlation of two small pictures from which on they count as one
_SIDE = 12  # of small pictures
_SECONDS = 4.0  # of one measurement of time
# A plan that seems slower is measured again: another job may have got in its way, none makes it
# faster than it is.
_NEAR, _AGAIN = 1.02, 3
DEFAULT = Plan()


@dataclass(frozen=True)
class Score:
    """How far answers are from those of the float model on pictures that calibration did not see.

    error: the mean over pictures and outputs of |y - float| / |float|. agree: pictures with the
    same largest entry, None where outputs are no scores of classes. milliseconds: of one run on one
    thread; ratio: the same over that of the default conversion, both measured in turn.
    """

    error: float
    agree: Optional[int]
    pictures: int
    milliseconds: Optional[float] = None
    ratio: Optional[float] = None


def split(samples: Sequence[Sample]) -> Tuple[List[int], List[int]]:
    """Indices of the samples to fit with and of those to check with, about half each.

    Samples nearly alike (sizes of one photograph) all go to one side: else the check would see what
    the fit has seen. Of those the check takes one: else one close call would count many times.
    """
    small = np.stack([_small(sample) for sample in samples])
    kinds: List[List[int]] = []
    for index, one in enumerate(small):
        for kind in kinds:
            if float(small[kind[0]] @ one) > _ALIKE:
                kind.append(index)
                break
        else:
            kinds.append([index])
    fit: List[int] = []
    check: List[int] = []
    for index, kind in enumerate(sorted(kinds, key=len)):
        if index % 2:
            check.append(kind[0])
        else:
            fit.extend(kind)
    if not check:
        raise CalibrationError(
            f"{len(samples)} calibration samples are all alike: a doctor fits with some and checks "
            "with others, and needs at least two different ones"
        )
    return sorted(fit), sorted(check)


def on_plain_ground(sample: Sample) -> Sample:
    """A sample whose pictures [N, C, H, W] are mirrored, two thirds as large and on a ground of
    their brightest value: another picture to check with, unlike those that ranges were fitted to.
    """
    return {
        name: _smaller(array[..., ::-1]) if array.ndim == 4 and min(array.shape[2:]) >= 6 else array
        for name, array in sample.items()
    }


def _smaller(array: NDArray[Any]) -> NDArray[np.float32]:
    result = np.empty(array.shape, np.float32)
    result[:] = array.max(axis=(2, 3), keepdims=True)
    height, width = (2 * side // 3 for side in array.shape[2:])
    rows = np.arange(height) * array.shape[2] // height
    columns = np.arange(width) * array.shape[3] // width
    # The mean of neighbours: every third pixel alone would make edges that no camera sees.
    right = np.minimum(columns + 1, array.shape[3] - 1)
    below = np.minimum(rows + 1, array.shape[2] - 1)
    corners = [array[:, :, r][..., c] for r in (rows, below) for c in (columns, right)]
    top, left = (array.shape[2] - height) // 2, (array.shape[3] - width) // 2
    result[:, :, top : top + height, left : left + width] = sum(corners) / np.float32(4.0)
    return result


def _small(sample: Sample) -> NDArray[np.float64]:
    """A sample as a vector of length 1 and mean 0."""
    parts = []
    for array in sample.values():
        x = np.asarray(array, np.float64)
        for axis in range(1, x.ndim):
            if x.shape[axis] > _SIDE:
                edges = np.arange(_SIDE) * x.shape[axis] // _SIDE
                counts = np.diff(np.append(edges, x.shape[axis]))
                shape = [1] * x.ndim
                shape[axis] = _SIDE
                x = np.add.reduceat(x, edges, axis=axis) / counts.reshape(shape)
        parts.append(x.ravel())
    flat = np.concatenate(parts)
    flat = flat - flat.mean()
    return np.asarray(flat / max(float(np.linalg.norm(flat)), 1e-30))


def error_of(got: Answers, want: Answers) -> float:
    """The mean over outputs of |got - want| / |want|."""
    errors = []
    for name, value in want.items():
        x, y = got[name].astype(np.float64), value.astype(np.float64)
        size = float(np.linalg.norm(y))
        errors.append(float(np.linalg.norm(x - y)) / size if size > 0 else float(np.any(x != y)))
    return float(np.mean(errors))


def is_classifier(answers: Answers) -> bool:
    """Whether a model has one output, a vector of scores."""
    arrays = list(answers.values())
    return (
        len(arrays) == 1
        and arrays[0].dtype == np.float32
        and 1 < arrays[0].size == max(arrays[0].shape)
    )


class Subset(CalibrationSet):
    """Some samples of a set, read once."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._files = []
        self._samples = list(samples)


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
        fit, check = split(samples)
        self.check = [sample for i in check for sample in (samples[i], on_plain_ground(samples[i]))]
        self.fit = [samples[i] for i in fit]
        self.model = CalibratedModel(graph, Subset(self.fit), progress, memo)
        self.state = state
        self._float_blob = write(self.model.lowered, meta={}, preprocess={})
        with load(self._float_blob, threads=1) as model:
            self.wanted = [model.run(sample) for sample in self.check]
        self.classifies = is_classifier(self.wanted[0])
        self._default: Optional[bytes] = None
        self._default_work = ""

    def float_model(self) -> Model:
        """The float model, loaded."""
        return load(self._float_blob, threads=1)

    def quantize(self, plan: Plan) -> Tuple[Quantized, bytes]:
        """The int8 graph of a plan, and the file it makes."""
        made = self.model.quantize(plan)
        return made, write(made.graph, meta={}, preprocess={})

    def score(self, plan: Plan, most: Optional[int] = None) -> Score:
        """The score of a plan, over at most ``most`` pictures; without times."""
        pictures = self.check[:most]

        def measure() -> List[Any]:
            _, blob = self.quantize(plan)
            return list(self.compare(blob, pictures))

        name = f"score {plan.digest()} {len(pictures)}"
        error, agree = self.state.find(name, measure)
        return Score(error, agree, len(pictures))

    def compare(self, blob: bytes, pictures: Sequence[Sample]) -> Tuple[float, Optional[int]]:
        """(error, agreement) of a file on the first pictures of the check."""
        errors, agree = [], 0
        with load(blob, threads=1) as model:
            for sample, want in zip(pictures, self.wanted):
                got = model.run(sample)
                errors.append(error_of(got, want))
                if self.classifies:
                    (x,), (y,) = got.values(), want.values()
                    agree += int(x.argmax() == y.argmax())
        return float(np.mean(errors)), agree if self.classifies else None

    def time(self, plan: Plan) -> Tuple[float, float]:
        """(milliseconds, ratio to the default conversion) of a run on one thread. Files of equal
        weights take equal time: they are measured once.
        """
        made, blob = self.quantize(plan)
        if self._default is None:
            default, self._default = self.quantize(DEFAULT)
            self._default_work = work_of(default.graph)
        work, usual, reference = work_of(made.graph), self._default_work, self._default

        def measure() -> List[float]:
            best = compare_times(reference, blob, self.check[0])
            for _ in range(_AGAIN):
                if best[1] > _NEAR:
                    best = min(best, compare_times(reference, blob, self.check[0]), key=_ratio)
            return list(best)

        milliseconds, ratio = self.state.find(f"time {work}", measure)
        return milliseconds, 1.0 if work == usual else ratio


def _ratio(measured: Tuple[float, float]) -> float:
    return measured[1]


def work_of(graph: Graph) -> str:
    """A digest of what decides the time of a run: ops and integer weights, not scales."""
    digest = hashlib.sha256()
    for node in graph.nodes:
        digest.update(f"{node.op} {graph.values[node.outputs[0]].shape}".encode())
        for value in graph.inputs_of(node):
            if value.data is not None and node.op != "Lookup":
                digest.update(value.dtype.encode())
                if value.dtype == "s8":
                    digest.update(np.ascontiguousarray(value.data).tobytes())
    return digest.hexdigest()[:16]


def compare_times(reference: bytes, other: bytes, sample: Sample) -> Tuple[float, float]:
    """(least milliseconds of the other file, its time over that of the reference): of runs that
    take turns, those a quarter of which were faster. It is the CPU time of the one thread that
    runs, which does not go on while other jobs have the CPU.
    """
    times: Tuple[List[float], List[float]] = ([], [])
    with load(reference, threads=1) as a, load(other, threads=1) as b:
        for model in (a, b):
            model.run(sample)
        end = time.perf_counter() + _SECONDS
        while len(times[0]) < 9 or time.perf_counter() < end:
            order = (0, 1) if len(times[0]) % 2 == 0 else (1, 0)
            for which in order:
                start = time.thread_time()
                (a, b)[which].run(sample)
                times[which].append(time.thread_time() - start)
    usual, found = (float(np.quantile(one, 0.25)) for one in times)
    return min(times[1]) * 1e3, found / usual


def digest_of(samples: Sequence[Sample]) -> str:
    """A short digest of calibration data."""
    digest = hashlib.sha256()
    for sample in samples:
        for name, array in sorted(sample.items()):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:12]
