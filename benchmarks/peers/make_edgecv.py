#!/usr/bin/env python3
"""Make the .ecv files of the networks, all by the same command:

    edgecv convert NAME.onnx -o NAME.ecv --calibrate NAME.calib.npz [VARIANT'S OPTIONS]

A file that this converter has made before is kept. Also writes what every peer is fed:
NAME.calib.npz (the pictures the other runtimes were calibrated on) and NAME.input.f32. Needs
NAME.onnx and info.json from make_torch.py.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import networks
import numpy as np

CALIBRATION = 8
# Suffix of the file -> options beside the calibration; None: no calibration, which gives fp32.
VARIANTS: dict[str, list[str] | None] = {
    "ecv": [],
    "plain.ecv": ["--weights", "plain"],
    "fp32.ecv": None,
    "w4.ecv": ["--weight-bits", "4"],
    "a7.ecv": ["--activation-bits", "7"],
}
DEFAULT = "ecv,plain.ecv,fp32.ecv"


def feed(folder: Path, model: str, size: int) -> None:
    """Write the pictures for calibration and the one that is timed, when they are missing."""
    path = folder / f"{model}.calib.npz"
    if not path.is_file():
        np.savez(path, x=networks.pictures(size, CALIBRATION, seed=1))
    path = folder / f"{model}.input.f32"
    if not path.is_file():
        networks.pictures(size, 1, seed=7).tofile(path)


def fingerprint() -> str:
    """Return a digest of the converter's sources, which decide what a file holds."""
    import edgecv

    package, sha = Path(edgecv.__file__).parent, hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        name = str(path.relative_to(package))
        if name.startswith(("format/", "graph/", "onnx/", "quant/", "convert.py", "golden.py")):
            sha.update(name.encode() + path.read_bytes())
    return sha.hexdigest()


def convert(folder: Path, model: str, suffix: str, maker: str) -> bool:
    """Convert one model to one variant unless ``maker`` has made it; say what happened."""
    options = VARIANTS[suffix]
    source, target = folder / f"{model}.onnx", folder / f"{model}.{suffix}"
    stamp = folder / f"{model}.{suffix}.maker"
    text = f"{maker} {options} {source.stat().st_mtime_ns}"
    if target.is_file() and stamp.is_file() and stamp.read_text(encoding="utf-8") == text:
        return True
    command = [sys.executable, "-m", "edgecv.cli.main", "convert", str(source), "-o", str(target)]
    if options is not None:
        command += ["--calibrate", str(folder / f"{model}.calib.npz"), *options]
    start = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        target.unlink(missing_ok=True)
        word = (done.stderr.strip().splitlines() or ["no word"])[-1]
        print(f"{model}.{suffix}: FAILED: {word}", flush=True)
        return False
    stamp.write_text(text, encoding="utf-8")
    print(f"{model}.{suffix}: {time.monotonic() - start:.1f} s", flush=True)
    return True


def main() -> int:
    """Convert the chosen models."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--folder", type=Path, required=True, help="holds NAME.onnx, info.json")
    parser.add_argument("--models", default="all")
    parser.add_argument("--variants", default=DEFAULT, help=f"of {', '.join(VARIANTS)}")
    options = parser.parse_args()
    folder: Path = options.folder
    info = json.loads((folder / "info.json").read_text(encoding="utf-8"))
    chosen = list(info) if options.models == "all" else options.models.split(",")
    maker, jobs = fingerprint(), []
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for model in chosen:
            feed(folder, model, info[model]["hw"])
            for suffix in options.variants.split(","):
                jobs.append(pool.submit(convert, folder, model, suffix, maker))
    return 0 if all(job.result() for job in jobs) else 1


if __name__ == "__main__":
    sys.exit(main())
