#!/usr/bin/env python3
"""Measure what int8 costs in accuracy, in edgecv and in the runtimes it is compared with.

Every runtime gets the same inputs (Pillow's pre-processing), one by one, and files made from the
same weights and the same 64 calibration pictures. Scored are the labelled sets (top-1, top-5) and
on every set the agreement of the label with onnxruntime's fp32 answer. Calibration pictures are
never scored; the sets are small and are not ImageNet's validation set.

Writes accuracy.md and accuracy.json into ``--out``. Needs ``benchmarks/peers/setup.sh``.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "peers"))

import about
import models as zoo_models
import peers
import runners
import scoresets

import edgecv
from edgecv import zoo

ROOT = Path(__file__).resolve().parent.parent.parent
REFERENCE = "ort fp32"
COLUMNS = (
    REFERENCE,
    peers.OURS_FP32,
    peers.OURS,
    peers.PLAIN,
    "ort int8 exact",
    "ort int8",
    "openvino int8",
)
SCORED = ("tux139", "natural108", "foolbox20")


def score(
    logits: np.ndarray, reference: np.ndarray, accepted: tuple[tuple[int, ...], ...]
) -> dict[str, float]:
    """Count what a runtime got right on one set; ``error`` is the mean relative logit error.

    ``logits`` and ``reference`` are NxC; a flip is a picture whose correctness differs from the
    reference's ("broken": only the reference is right, "fixed": only this one is).
    """
    order = np.argsort(-logits, axis=1, kind="stable")[:, :5]
    top, wanted = order[:, 0], reference.argmax(axis=1)
    off = np.linalg.norm(logits - reference, axis=1) / np.linalg.norm(reference, axis=1)
    result = {"n": len(logits), "agreement": int(np.count_nonzero(top == wanted))}
    result["error"] = round(float(off.mean()), 4)
    if all(accepted):
        right = np.array([label in ids for label, ids in zip(top, accepted)])
        before = np.array([label in ids for label, ids in zip(wanted, accepted)])
        result["top1"] = int(right.sum())
        result["top5"] = sum(
            any(label in ids for label in row) for row, ids in zip(order, accepted)
        )
        result["broken"] = int((before & ~right).sum())
        result["fixed"] = int((right & ~before).sum())
    return result


def load_sets() -> list[scoresets.ScoreSet]:
    """Return the sets that are scored, fetching what the cache lacks."""
    return [scoresets.load(name, lambda text: print(text, file=sys.stderr)) for name in SCORED]


def logits_of(
    peer: peers.Peer, path: Path, model: zoo.ZooModel, score_set: scoresets.ScoreSet
) -> np.ndarray:
    """Run a model file on every picture of a set: the logits, NxC."""
    feed = runners.open_runner(peer.runtime, peer.setting, str(path), 1)
    return np.concatenate([feed(x)()[0].copy() for x in zoo_models.inputs(model, score_set)])


def measure(folder: Path) -> dict[str, Any]:
    """Run every model in every runtime on every set: model -> runtime -> set -> counts."""
    sets = load_sets()
    result: dict[str, Any] = {}
    for model in zoo_models.make_models(folder):
        references: dict[str, np.ndarray] = {}
        rows = result.setdefault(model.name, {})
        for peer in (peers.find(name) for name in COLUMNS):
            files = peer.find_files(folder, model.name)
            if files is None:
                print(f"SKIPPED: {model.name} in {peer.name}: no model file", file=sys.stderr)
                continue
            counts = rows.setdefault(peer.name, {})
            for score_set in sets:
                logits = logits_of(peer, files[0], model, score_set)
                reference = references.setdefault(score_set.name, logits)
                counts[score_set.name] = score(logits, reference, score_set.accepted)
            print(f"{model.name} {peer.name}: {counts}", file=sys.stderr)
    return result


def tables(result: dict[str, Any]) -> str:
    """Return the result as Markdown: a short table for each set, then all counts."""
    titles = {
        "tux139": "Tux 139: top-1 (label agreement with fp32)",
        "natural108": "108 natural pictures, unlabelled: label agreement with fp32",
        "foolbox20": "foolbox 20: top-1 (label agreement with fp32)",
    }
    lines: list[str] = []
    for name in SCORED:
        lines += [f"| {titles[name]} | " + " | ".join(COLUMNS) + " |"]
        lines += ["|---" * (len(COLUMNS) + 1) + "|"]
        for model, by_runtime in result.items():
            cells = []
            for column in COLUMNS:
                counts = by_runtime.get(column, {}).get(name)
                if counts is None:
                    cells.append("-")
                elif "top1" in counts:
                    cells.append(f"{counts['top1']} ({counts['agreement']})")
                else:
                    cells.append(str(counts["agreement"]))
            lines.append(f"| {model} | " + " | ".join(cells) + " |")
        lines.append("")
    fields = ("n", "top1", "top5", "agreement", "broken", "fixed", "error")
    lines += ["| model | runtime | set | " + " | ".join(fields) + " |"]
    lines += ["|---" * (len(fields) + 3) + "|"]
    for model, by_runtime in result.items():
        for column, by_set in by_runtime.items():
            for name, counts in by_set.items():
                cells = [str(counts.get(field, "-")) for field in fields]
                lines.append(f"| {model} | {column} | {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Parse the command line, measure, write and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", type=Path, default=ROOT / ".peers" / "models")
    parser.add_argument("--out", type=Path, default=ROOT / ".peers" / "results")
    arguments = parser.parse_args()
    try:
        result = measure(arguments.models)
    except edgecv.Error as error:
        print(f"rivals.py: {error}", file=sys.stderr)
        return 2
    facts = {"machine": about.machine(), "versions": about.versions()}
    text = "".join(
        f"{key}: {', '.join(f'{k} {v}' for k, v in value.items())}\n\n"
        for key, value in facts.items()
    )
    text += tables(result)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "accuracy.md").write_text(text, encoding="utf-8")
    record = json.dumps({**facts, "result": result}, indent=1) + "\n"
    (arguments.out / "accuracy.json").write_text(record, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
