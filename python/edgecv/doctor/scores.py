"""How far answers are from those of the float model."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

Answers = Dict[str, NDArray[Any]]
_PEAKS, _PEAK_SHARE = 16, 0.001  # entries of an output that count as its largest: at least, share
TINY = 1e-9  # errors below count as this much when they are compared
_DOUBTS = 1.5  # standard errors that a gain has to be above


@dataclass(frozen=True)
class Score:
    """How far answers are from those of the float model on pictures that calibration did not see.

    error: the mean over pictures and outputs of |y - float| / |float|. peaks: the same over the
    largest entries of each output alone, which are labels and detections. agree: pictures with the
    same largest entry, None where outputs are no scores of classes. milliseconds: of one run on one
    thread; ratio: the same over that of the default conversion, both measured in turn. logs: of
    each photograph, the mean over its views of log((error + peaks) / 2); fewer than a rival has
    where the first of them decided.
    """

    error: float
    peaks: float
    agree: Optional[int]
    pictures: int
    milliseconds: Optional[float] = None
    ratio: Optional[float] = None
    logs: Tuple[float, ...] = field(default=(), repr=False)

    @property
    def off(self) -> float:
        """What plans are judged by: all entries and the largest ones count half each."""
        return (self.error + self.peaks) / 2.0

    def to_dict(self) -> Dict[str, Any]:
        """Plain data, ready for JSON."""
        return {key: value for key, value in vars(self).items() if key != "logs"}


@dataclass(frozen=True)
class Measured:
    """One picture: errors over all entries and over the largest, and whether the label is equal."""

    error: float
    peaks: float
    agrees: Optional[bool]


def measure(got: Answers, want: Answers, classifies: bool) -> Measured:
    """Compares the answers to one picture."""
    agrees = None
    if classifies:
        (x,), (y,) = got.values(), want.values()
        agrees = bool(x.argmax() == y.argmax())
    return Measured(error_of(got, want), peaks_of(got, want, classifies), agrees)


def score_of(folds: Sequence[Sequence[Sequence[Measured]]]) -> Score:
    """The score of pictures by fold, photograph and view."""
    flat = [one for photos in folds for views in photos for one in views]
    logs = tuple(
        sum(math.log(max((one.error + one.peaks) / 2.0, TINY)) for one in views) / len(views)
        for photos in folds
        for views in photos
    )
    agree = None if flat[0].agrees is None else sum(bool(one.agrees) for one in flat)
    error, peaks = (sum(getattr(m, k) for m in flat) / len(flat) for k in ("error", "peaks"))
    return Score(error, peaks, agree, len(flat), logs=logs)


def change(old: Score, new: Score) -> Tuple[float, float]:
    """(mean log ratio of the errors of the new score to the old one's, its standard error), over
    the photographs that both have seen.
    """
    apart = [b - a for a, b in zip(old.logs, new.logs)]
    mean = sum(apart) / len(apart)
    if len(apart) < 2:
        return mean, 0.0
    spread = sum((one - mean) ** 2 for one in apart) / (len(apart) - 1)
    return mean, math.sqrt(spread / len(apart))


def pays(old: Score, new: Score, gain: float) -> str:
    """Why a new score is not worth a change, or nothing: its error has to be below ``gain`` times
    the old one's, and surely below it. Errors that are NaN never pay.
    """
    mean, doubt = change(old, new)
    if not mean <= math.log(gain):
        return "does not lower the error"
    if not mean + _DOUBTS * doubt <= 0.0:
        return f"lowers the error by {-100 * mean:.1f}%, within the noise of the pictures"
    return ""


def harms(old: Score, new: Score) -> str:
    """Why a new score is too bad for a change that is safer, or nothing: its error is surely above
    the old one's, or NaN.
    """
    mean, doubt = change(old, new)
    return "" if mean - _DOUBTS * doubt <= 0.0 else "raises the error"


def error_of(got: Answers, want: Answers) -> float:
    """The mean over outputs of |got - want| / |want|."""
    return _mean_over(got, want, lambda x, y: (x - y, y))


def peaks_of(got: Answers, want: Answers, classifies: bool) -> float:
    """The same over the largest entries of each output, of the float model or of the other; of
    classes only their distances count, as what moves all of them changes no label.
    """

    def parts(x: NDArray[Any], y: NDArray[Any]) -> Tuple[NDArray[Any], NDArray[Any]]:
        count = min(max(_PEAKS, int(_PEAK_SHARE * y.size)), max(1, y.size // 2))
        largest = np.union1d(*(np.argpartition(z, -count)[-count:] for z in (x, y)))
        off, size = (x - y)[largest], y[largest]
        if classifies and len(largest) > 1:
            off, size = off - off.mean(), size - size.mean()
        return off, size

    return _mean_over(got, want, parts)


def _mean_over(got: Answers, want: Answers, parts: Any) -> float:
    errors: List[float] = []
    for name, value in want.items():
        x, y = (np.asarray(a[name], np.float64).ravel() for a in (got, want))
        if value.size == 0:
            continue
        off, real = parts(x, y)
        size = float(np.linalg.norm(real))
        errors.append(float(np.linalg.norm(off)) / size if size > 0 else float(np.any(off != 0)))
    return float(np.mean(errors)) if errors else 0.0


def is_classifier(answers: Answers) -> bool:
    """Whether a model has one output, a vector of scores."""
    arrays = list(answers.values())
    return (
        len(arrays) == 1
        and arrays[0].dtype == np.float32
        and 1 < arrays[0].size == max(arrays[0].shape)
    )
