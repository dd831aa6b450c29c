"""Scores the `.ecv` files of all seeds by edgecv itself, times them in turn, prints one table."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

import edgecv

from .data import LABELS, Pictures

# (file, what it is, the record whose "top1" is PyTorch's own score of the same network)
ROWS: Tuple[Tuple[str, str, Optional[str]], ...] = (
    ("teacher.fp32", "teacher, fp32", "teacher"),
    ("teacher.int8", "teacher, int8", None),
    ("student.fp32", "student, distilled, fp32", "student"),
    ("student.int8", "student, distilled, int8", None),
    ("pruned.fp32", "pruned, fp32", "prune"),
    ("tuned.fp32", "pruned, fine-tuned, fp32", "tune"),
    ("tuned.int8", "pruned, fine-tuned, int8", None),
    ("qat.int8", "pruned, fine-tuned, QAT, int8", "qat"),
)
TEACHER, OWN_FP32, FINAL = "teacher.int8", "tuned.fp32", "qat.int8"
STAGES = ("teacher", "answers", "student", "prune", "tune", "qat", "files")
MOST_LOST, LEAST_SMALLER, LEAST_FASTER = 0.5, 4.0, 3.0  # points, times, times


def score(path: Path, pictures: Pictures) -> float:
    """Per cent of the pictures that a file labels right."""
    with edgecv.load(path, threads=1) as model:
        found = [model.run(x[None])["logits"].argmax() for x in pictures.inputs()]
    return 100.0 * float(np.mean(np.array(found) == pictures.labels))


def milliseconds(paths: Sequence[Path], seconds: float) -> List[float]:
    """The shortest run of each file, the files taking turns; one thread."""
    models = [edgecv.load(path, threads=1) for path in paths]
    x = np.random.default_rng(0).random((1, 1, 28, 28), np.float32)
    best = [float("inf")] * len(models)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for index, model in enumerate(models):
            model.run(x)  # brings its weights back into the caches
            for _ in range(5):
                start = time.perf_counter()
                model.run(x)
                best[index] = min(best[index], 1e3 * (time.perf_counter() - start))
    for model in models:
        model.close()
    return best


def measure(folder: Path, seeds: Sequence[int], test: Pictures, seconds: float) -> Dict[str, Any]:
    """Everything the table says, as plain data."""
    runs = []
    for seed in seeds:
        of_seed = folder / f"seed{seed}"
        records = {name: json.loads((of_seed / f"{name}.json").read_text()) for name in STAGES}
        paths = [of_seed / f"{file}.ecv" for file, _, _ in ROWS]
        times = milliseconds(paths, seconds)
        files = {}
        for path, ms, (file, _, record) in zip(paths, times, ROWS):
            files[file] = {
                "top1": score(path, test),
                "torch_top1": None if record is None else records[record]["top1"],
                "bytes": path.stat().st_size,
                "macs": _macs(path),
                "ms": ms,
            }
        spent = {
            name: {key: records[name][key] for key in ("seconds", "cpu_seconds")} for name in STAGES
        }
        runs.append({"seed": seed, "files": files, "stages": spent, "verdict": verdict(files)})
    return {"edgecv": edgecv.__version__, "test_pictures": len(test), "runs": runs}


def verdict(files: Dict[str, Any]) -> Dict[str, float]:
    """The final int8 student beside its own fp32 network and beside its teacher in int8."""
    final, teacher = files[FINAL], files[TEACHER]
    return {
        "points_lost": files[OWN_FP32]["top1"] - final["top1"],
        "times_smaller": teacher["bytes"] / final["bytes"],
        "times_faster": teacher["ms"] / final["ms"],
    }


def failures(found: Dict[str, Any], most_lost: float = MOST_LOST) -> List[str]:
    """What a seed misses of: at most 0.5 points lost, 4 times smaller, 3 times faster."""
    missed = []
    for run in found["runs"]:
        is_good = {
            "points_lost": run["verdict"]["points_lost"] <= most_lost,
            "times_smaller": run["verdict"]["times_smaller"] >= LEAST_SMALLER,
            "times_faster": run["verdict"]["times_faster"] >= LEAST_FASTER,
        }
        for name, good in is_good.items():
            if not good:
                value = run["verdict"][name]
                missed.append(f"seed {run['seed']}: {name.replace('_', ' ')} {value:.2f}")
    return missed


def markdown(found: Dict[str, Any]) -> str:
    """The table: a line for each stage, all seeds in it."""
    runs = found["runs"]
    seeds = ", ".join(str(run["seed"]) for run in runs)
    lines = [
        f"Top-1 on {found['test_pictures']:,} test pictures, seeds {seeds}; ms: the shortest of"
        " runs in turn, one thread, the fastest seed.",
        "",
        "| stage | top-1 %, by edgecv | mean | PyTorch's mean | bytes | million MACs | ms |",
        "|---|---|---|---|---|---|---|",
    ]
    for file, title, record in ROWS:
        each = [run["files"][file] for run in runs]
        top1 = [item["top1"] for item in each]
        torch = "" if record is None else f"{np.mean([item['torch_top1'] for item in each]):.2f}"
        macs = " to ".join(_ends([f"{item['macs'] / 1e6:.2f}" for item in each]))
        size = " to ".join(_ends([f"{item['bytes']:,}" for item in each]))
        lines.append(
            f"| {title} | {', '.join(f'{value:.2f}' for value in top1)} | {np.mean(top1):.2f} | "
            f"{torch} | {size} | {macs} | {min(item['ms'] for item in each):.4f} |"
        )
    lines += ["", "| seed | points lost to its own fp32 | smaller than the int8 teacher | faster |"]
    lines += ["|---|---|---|---|"]
    for run in runs:
        said = run["verdict"]
        lines.append(
            f"| {run['seed']} | {said['points_lost']:+.2f} | {said['times_smaller']:.2f} x | "
            f"{said['times_faster']:.2f} x |"
        )
    lines += ["", "| minutes, wall (CPU) | " + " | ".join(STAGES) + " | all |"]
    lines += ["|---" * (len(STAGES) + 2) + "|"]
    for run in runs:
        spent = [run["stages"][name] for name in STAGES]
        pairs = [(item["seconds"] / 60, item["cpu_seconds"] / 60) for item in spent]
        pairs.append((sum(wall for wall, _ in pairs), sum(cpu for _, cpu in pairs)))
        cells = " | ".join(f"{wall:.1f} ({cpu:.1f})" for wall, cpu in pairs)
        lines.append(f"| seed {run['seed']} | {cells} |")
    return "\n".join(lines) + "\n"


def _ends(texts: Sequence[str]) -> List[str]:
    """The one text, or the two that the seeds' lie between."""
    order = sorted(set(texts), key=lambda text: float(text.replace(",", "")))
    return order if len(order) < 3 else [order[0], order[-1]]


def _macs(path: Path) -> int:
    with edgecv.load(path, threads=1) as model:
        if model.labels != list(LABELS):
            raise ValueError(f"{path}: does not know the classes")
        return int(model.info["macs"])
