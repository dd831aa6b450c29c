#!/usr/bin/env python3
"""Real figures from a real board: speed, digests, and what the board was doing meanwhile.

    python3 board.py MODEL.ecv[,RIVAL...] ... [--threads 1,4] [--rounds 5] [--runs 20] [--out FILE]

Needs the edgecv wheel and numpy, nothing else of this repository; Python 3.8 will do. A RIVAL is
the same network as .tflite (LiteRT) or .onnx (ONNX Runtime) file, measured beside the model when
that runtime is installed. Runtimes take turns, round by round, so that a board that heats up slows
all of them; quote the ratios, not the milliseconds of one day. Everything is printed and saved as
JSON; send that file. It names no host, user or folder.

Exit code: 0 good, 1 a digest differs: then the board computes something else than the file says.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import statistics
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

import numpy as np

import edgecv
from edgecv import _core

Run = Callable[[], Any]
RIVALS = {".tflite": "litert", ".onnx": "ort"}


def read(path: str) -> str:
    """Return a file's text without blanks at its ends, "" when it cannot be read."""
    try:
        return Path(path).read_text(errors="replace").strip("\0 \n")
    except OSError:
        return ""


def each(pattern: str) -> Dict[str, str]:
    """Return the texts of all files of /sys that match, by the folder they are in."""
    found = {str(p.parent.name): read(str(p)) for p in sorted(Path("/sys").glob(pattern))}
    return {name: text for name, text in found.items() if text}


def cpu_fields() -> Dict[str, List[str]]:
    """Return the different values of what /proc/cpuinfo says of the CPU."""
    wanted = ("model name", "CPU implementer", "CPU part", "CPU revision", "Hardware", "Model")
    fields: Dict[str, List[str]] = {}
    for line in read("/proc/cpuinfo").splitlines():
        key, _, value = (part.strip() for part in line.partition(":"))
        if key in wanted and value not in fields.setdefault(key, []):
            fields[key].append(value)
    return fields


def machine() -> Dict[str, Any]:
    """Return what identifies the kind of machine."""
    memory = read("/proc/meminfo").split("\n", 1)[0].split()
    return {
        "board": read("/proc/device-tree/model"),
        "cpu": _core.cpu_name(),
        "cpu fields": cpu_fields(),
        "cpus": os.cpu_count(),
        "usable threads": _core.available_threads(),
        "architecture": platform.machine(),
        "pointer bits": 64 if sys.maxsize > 2**32 else 32,
        "kernel": platform.release(),
        "libc": " ".join(platform.libc_ver()),
        "memory kB": int(memory[1]) if len(memory) > 1 else 0,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "edgecv": edgecv.__version__,
        "instruction sets": [name for name, usable in _core.isas() if usable],
        "forced": os.environ.get("EDGECV_FORCE_ISA", ""),
    }


def condition() -> Dict[str, Any]:
    """Return what decides how fast the machine runs right now."""
    cpufreq = "devices/system/cpu/cpu[0-9]*/cpufreq/"
    zones = each("class/thermal/thermal_zone*/temp")
    return {
        "load": list(os.getloadavg()),
        "governor": sorted(set(gather(cpufreq + "scaling_governor"))),
        "MHz now": [round(int(khz) / 1000) for khz in gather(cpufreq + "scaling_cur_freq")],
        "MHz most": [round(int(khz) / 1000) for khz in gather(cpufreq + "scaling_max_freq")],
        "degrees": {zone: int(text) / 1000 for zone, text in zones.items() if text.isdigit()},
    }


def gather(pattern: str) -> List[str]:
    """Return the texts of all files of /sys that match and say something."""
    return [text for text in (read(str(p)) for p in sorted(Path("/sys").glob(pattern))) if text]


def open_ort(path: Path, threads: int) -> Tuple[Run, str]:
    """Open a model in ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    port = session.get_inputs()[0]
    shape = [size if isinstance(size, int) else 1 for size in port.shape]
    x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    return lambda: session.run(None, {port.name: x}), f"onnxruntime {onnxruntime.__version__}"


def open_litert(path: Path, threads: int) -> Tuple[Run, str]:
    """Open a model in LiteRT, or in TensorFlow Lite's runtime where only that is installed."""
    try:
        import ai_edge_litert as package
        from ai_edge_litert import interpreter as litert
    except ImportError:
        import tflite_runtime as package
        from tflite_runtime import interpreter as litert
    interpreter = litert.Interpreter(model_path=str(path), num_threads=threads)
    interpreter.allocate_tensors()
    port = interpreter.get_input_details()[0]
    outputs = [output["index"] for output in interpreter.get_output_details()]
    x = np.random.default_rng(1).standard_normal(port["shape"])
    x = (40 * x).astype(port["dtype"]) if port["dtype"] == np.int8 else x.astype(port["dtype"])

    def run() -> List[Any]:
        interpreter.set_tensor(port["index"], x)
        interpreter.invoke()
        return [interpreter.get_tensor(output) for output in outputs]

    return run, f"{package.__name__} {getattr(package, '__version__', '')}".strip()


def open_rival(path: Path, threads: int) -> Tuple[Run, str]:
    """Open a rival's file by its suffix."""
    if path.suffix not in RIVALS:
        raise edgecv.Error(f"{path}: a rival is one of {', '.join(RIVALS)}")
    return (open_ort if RIVALS[path.suffix] == "ort" else open_litert)(path, threads)


def take_turns(runs: Dict[str, Run], rounds: int, count: int) -> Dict[str, Dict[str, float]]:
    """Measure all, round by round."""
    times: Dict[str, List[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            run()
            for _ in range(count):
                start = time.perf_counter()
                run()
                times[name].append(1e3 * (time.perf_counter() - start))
    return {
        name: {"ms min": round(min(ms), 3), "ms median": round(statistics.median(ms), 3)}
        for name, ms in times.items()
    }


def digests(model: edgecv.Model) -> Dict[str, Any]:
    """Compare with the digests in the file; a digest of the outputs besides, to hold boards side by
    side.
    """
    report = model.verify()
    outputs = model.run(model.example_inputs(seed=1))
    text = hashlib.sha256(b"".join(np.ascontiguousarray(y).tobytes() for y in outputs.values()))
    return {
        "match": report.passed,
        "said": str(report),
        "output of seed 1": text.hexdigest()[:16],
        "isa": model.isa,
        "steps by kernel folder": count_folders(model),
    }


def count_folders(model: edgecv.Model) -> Dict[str, int]:
    """How many steps take kernels of each folder."""
    found: Dict[str, int] = {}
    for step in model.steps:
        found[step.isa] = found.get(step.isa, 0) + 1
    return found


def measure(group: List[Path], threads: int, args: argparse.Namespace) -> Dict[str, Any]:
    """Measure a model and its rivals at one number of threads."""
    notes: Dict[str, str] = {}
    with edgecv.load(group[0], threads=threads) as model:
        proof = digests(model)
        feed = model.example_inputs(seed=1)
        runs: Dict[str, Run] = {"edgecv": lambda: model.run(feed)}
        for path in group[1:]:
            try:
                run, version = open_rival(path, threads)
            except ImportError as error:
                notes[path.name] = f"left out: {error}"
                continue
            runs[path.name] = run
            notes[path.name] = version
        before = condition()
        times = take_turns(runs, args.rounds, args.runs)
    own = times["edgecv"]
    for row in times.values():
        row["times edgecv"] = round(row["ms min"] / own["ms min"], 3)
    return {
        "model": group[0].name,
        "sha256": hashlib.sha256(group[0].read_bytes()).hexdigest(),
        "threads": threads,
        "digests": proof,
        "before": before,
        "after": condition(),
        "times": times,
        "rivals": notes,
    }


def show(result: Dict[str, Any]) -> None:
    """Print one measurement."""
    proof = result["digests"]
    print(f"\n{result['model']}, {result['threads']} thread(s), {proof['isa']}: {proof['said']}")
    for name, row in result["times"].items():
        print(
            f"  {name:<40} min {row['ms min']:9.3f}  median {row['ms median']:9.3f} ms"
            f"  {row['times edgecv']:6.2f} x edgecv"
        )
    for name, note in result["rivals"].items():
        print(f"  {name}: {note}")
    for when in ("before", "after"):
        now = result[when]
        print(
            f"  {when}: MHz {now['MHz now']}, degrees {now['degrees']}, load {now['load'][0]:.2f}"
        )


def main() -> int:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("models", nargs="+", metavar="MODEL.ecv[,RIVAL...]")
    parser.add_argument("--threads", help="numbers, by commas (default: 1 and all)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each runtime (default: 5)")
    parser.add_argument("--runs", type=int, default=20, help="runs in a turn (default: 20)")
    parser.add_argument("--out", default="board.json", help="the file to write and send")
    args = parser.parse_args()
    all_threads = sorted({1, _core.available_threads()})
    threads = [int(word) for word in args.threads.split(",")] if args.threads else all_threads
    facts = machine()
    for key, value in facts.items():
        print(f"{key:<18}{value}")
    results = []
    for group in args.models:
        for count in threads:
            results.append(measure([Path(word) for word in group.split(",")], count, args))
            show(results[-1])
    report = {"machine": facts, "results": results}
    Path(args.out).write_text(json.dumps(report, indent=2) + "\n")
    good = all(result["digests"]["match"] for result in results)
    governors = sorted({g for r in results for g in r["before"]["governor"]} - {"performance"})
    if governors:
        print(f"\nThe governor is {', '.join(governors)}: 'performance' gives steadier figures.")
    print(f"\n{'All digests match' if good else 'A DIGEST DIFFERS'}; saved: {args.out}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
