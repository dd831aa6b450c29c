"""Measures converted models side by side on this machine, whole and layer by layer."""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.convert import convert
from edgecv.graph.ir import Port
from edgecv.model import Model, load
from edgecv.onnx.importer import import_model
from edgecv.report import ConversionReport

# Pictures for models without calibration data: what they show does not change how long a run takes.
_GENERATED = 2


@dataclass
class Timing:
    """What runs of one file took: ``ms`` at best, ``median_ms``, and the medians of its steps."""

    ms: float
    median_ms: float
    steps: Dict[str, float] = field(default_factory=dict)


def generated_samples(ports: Sequence[Port], seed: int = 1) -> List[Dict[str, NDArray[Any]]]:
    """Inputs of standard normal values."""
    rng = np.random.default_rng(seed)
    return [
        {port.name: rng.normal(size=port.shape).astype(np.float32) for port in ports}
        for _ in range(_GENERATED)
    ]


def convert_for_timing(
    model: Any,
    calibration: Optional[Any] = None,
    input_shapes: Optional[Mapping[str, Sequence[int]]] = None,
    **options: Any,
) -> Tuple[bytes, ConversionReport]:
    """The int8 file of a model, by default options; calibrated on generated data without any."""
    if calibration is None:
        ports = import_model(model, input_shapes=input_shapes).inputs
        calibration = generated_samples(ports)
        options.pop("preprocess", None)
    with tempfile.TemporaryDirectory(prefix="edgecv-") as folder:
        path = Path(folder) / "model.ecv"
        report = convert(model, path, calibration, input_shapes=input_shapes, **options)
        return path.read_bytes(), report


def interleave(
    files: Sequence[Any], *, seconds: float = 4.0, threads: int = 1, layers: bool = False
) -> List[Timing]:
    """Runs files (paths or bytes) in turn and says what each took; what disturbs one disturbs all.

    Compare the figures as ratios: on a shared machine they all move together.
    """
    models: List[Model] = []
    try:
        for file in files:
            models.append(load(_loadable(file), threads=threads))
        feeds = [model.example_inputs(seed=1) for model in models]
        times: List[List[float]] = [[] for _ in models]
        steps: List[List[List[Tuple[str, float]]]] = [[] for _ in models]
        end = time.perf_counter() + seconds
        while time.perf_counter() < end or len(times[0]) < 5:
            order = range(len(models)) if len(times[0]) % 2 else reversed(range(len(models)))
            for index in order:
                start = time.perf_counter()
                models[index].run(feeds[index])
                times[index].append((time.perf_counter() - start) * 1e3)
        if layers:
            for _ in range(5):
                for index, model in enumerate(models):
                    profile = model.profile(feeds[index], runs=10)
                    steps[index].append([(step.name, step.milliseconds) for step in profile])
    finally:
        for model in models:
            model.close()
    return [
        Timing(min(taken), float(np.median(taken)), _per_name(rounds))
        for taken, rounds in zip(times, steps)
    ]


def _loadable(file: Any) -> Any:
    return file if isinstance(file, bytes) else os.fspath(file)


def _per_name(rounds: List[List[Tuple[str, float]]]) -> Dict[str, float]:
    """The best of the rounds for every node; a node may have several steps."""
    best: Dict[str, float] = {}
    for position in range(len(rounds[0]) if rounds else 0):
        name = rounds[0][position][0]
        best[name] = best.get(name, 0.0) + min(steps[position][1] for steps in rounds)
    return best
