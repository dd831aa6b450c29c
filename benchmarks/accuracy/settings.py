#!/usr/bin/env python3
"""Measure what the options of `edgecv convert` cost in accuracy, on the real models.

Every row is a conversion with the same 64 calibration pictures and its scores against edgecv's fp32
answer. The table tells what an option does; defaults are not chosen by scored pictures.

Writes settings.md and settings.json into ``--out``. Takes about six minutes.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import models as zoo_models
import numpy as np
import rivals
import scoresets

import edgecv
from edgecv import zoo

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "peers"))

import peers

SETTINGS: dict[str, dict[str, Any]] = {
    "default": {},
    "--method minmax": {"method": "minmax"},
    "--method mse": {"method": "mse"},
    "--lane-group 2": {"lane_group": 2},
    "--lane-group 8": {"lane_group": 8},
    "--weights plain": {"weights": "plain"},
    "--weights plain --method minmax": {"weights": "plain", "method": "minmax"},
}
PLAIN = "--weights plain --method minmax"  # what errors are divided by


def measure(folder: Path, names: list[str]) -> dict[str, Any]:
    """Return model -> setting -> set -> counts (see ``rivals.score``)."""
    sets, calibration = rivals.load_sets(), scoresets.load("calib64")
    ours = peers.find(peers.OURS)
    result: dict[str, Any] = {}
    for model in zoo.list_models("classification"):
        source = zoo_models.find_source(folder, model)
        path = folder / f"{model.name}.setting.ecv"
        zoo_models.make_ecv(model, source, path, None)
        wanted = {s.name: rivals.logits_of(ours, path, model, s) for s in sets}
        for name in names:
            zoo_models.make_ecv(model, source, path, calibration, SETTINGS[name])
            counts = result.setdefault(model.name, {}).setdefault(name, {})
            for s in sets:
                logits = rivals.logits_of(ours, path, model, s)
                counts[s.name] = rivals.score(logits, wanted[s.name], s.accepted)
            print(f"{model.name} {name}: {counts}", file=sys.stderr, flush=True)
        path.unlink()
    return result


def mean_error(counts: dict[str, Any]) -> float:
    """Return the mean relative error of the logits over all scored pictures."""
    rows = [counts[name] for name in rivals.SCORED]
    return float(np.average([row["error"] for row in rows], weights=[row["n"] for row in rows]))


def table(result: dict[str, Any]) -> str:
    """Return the result as Markdown."""
    heads = ("model", "options", "Tux 139 top-1 (agreement)", "natural 108 agreement")
    heads += ("foolbox 20 top-1 (agreement)", "error of the logits", "of plain minmax")
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for model, rows in result.items():
        for name, counts in rows.items():
            labelled = [
                f"{counts[s]['top1']} ({counts[s]['agreement']})" for s in ("tux139", "foolbox20")
            ]
            error, ratio = mean_error(counts), "-"
            if PLAIN in rows:
                ratio = f"{error / mean_error(rows[PLAIN]):.2f}"
            natural = str(counts["natural108"]["agreement"])
            cells = [model, f"`{name}`", labelled[0], natural, labelled[1], f"{error:.3f}", ratio]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Parse the command line, measure, write and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--models", type=Path, default=rivals.ROOT / ".peers" / "models")
    parser.add_argument("--out", type=Path, default=rivals.ROOT / ".peers" / "results")
    parser.add_argument("--settings", default=",".join(SETTINGS), help="default: all")
    arguments = parser.parse_args()
    try:
        result = measure(arguments.models, arguments.settings.split(","))
    except edgecv.Error as error:
        print(f"settings.py: {error}", file=sys.stderr)
        return 2
    arguments.out.mkdir(parents=True, exist_ok=True)
    text = table(result)
    (arguments.out / "settings.md").write_text(text, encoding="utf-8")
    record = json.dumps(result, indent=1) + "\n"
    (arguments.out / "settings.json").write_text(record, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
