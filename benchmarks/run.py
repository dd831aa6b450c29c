#!/usr/bin/env python3
"""Latency of the zoo's real models on this machine: edgecv beside whatever runtimes are installed.

    python benchmarks/run.py [--keep] [options of benchmarks/peers/bench.py]

A runtime that is not installed is skipped and named. --keep: do not convert the models again. The
eleven networks of ``make bench-peers`` have random weights; these have real ones.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent / "accuracy"))
sys.path.insert(0, str(Path(__file__).resolve().parent / "peers"))

import bench
import models as zoo_models
import scoresets

import edgecv

ROOT = Path(os.environ.get("PEERS_ROOT", Path(__file__).resolve().parent.parent / ".peers"))
PEERS = "edgecv,edgecv fp32,ort,openvino"


def prepare(folder: Path, keep: bool) -> None:
    """Make the models, their input and what bench.py wants to know about them."""
    info = {}
    models = zoo_models.make_models(folder, keep_ecv=keep)
    picture = scoresets.load("calib64").pictures[2]
    for model in models:
        pictures = zoo_models.inputs(model, scoresets.ScoreSet("calib64", 256, (picture,)))
        x = next(pictures)
        x.astype(np.float32).tofile(folder / f"{model.name}.input.f32")
        info[model.name] = {"macs": 0, "hw": int(x.shape[2])}
    (folder / "info.json").write_text(json.dumps(info) + "\n", encoding="utf-8")


def main() -> int:
    """Prepare and measure."""
    arguments = [word for word in sys.argv[1:] if word != "--keep"]
    folder = ROOT / "zoo"
    if "-h" in arguments or "--help" in arguments:
        print(__doc__)
    else:
        try:
            prepare(folder, keep="--keep" in sys.argv)
        except edgecv.Error as error:
            print(f"run.py: {error}", file=sys.stderr)
            return 2
    places = ["--root", str(ROOT), "--folder", str(folder), "--python", sys.executable]
    return bench.main(
        [*places, "--out", str(ROOT / "results" / "zoo"), "--peers", PEERS, *arguments]
    )


if __name__ == "__main__":
    sys.exit(main())
