"""Count the instructions of other runtimes' aarch64 wheels on emulated CPUs, into rivals.json.

    python benchmarks/arm/rivals.py --root ROOT --site SITE --models FOLDER [--models-of NAME,...]

ROOT is an aarch64 system with Python, SITE a folder with numpy and the runtimes' aarch64 wheels
unpacked, FOLDER that of `make bench-peers` (.peers/models). docs/arm.md tells how to make the first
two. A figure is the middle of five inferences in one process, after one that warms up; the spread
is stored beside it. Not part of `make arm`: it needs both, and takes minutes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

import emulate

STORED = emulate.HERE / "rivals.json"
RUNS = 5
# Name in the table -> what opens it, distribution, file beside the model's name.
RUNTIMES = {
    "LiteRT, int8": ("litert", "ai_edge_litert", "int8.tflite"),
    "ONNX Runtime, u8 activations": ("ort", "onnxruntime", "qdq_u8s8.onnx"),
    "ONNX Runtime, s8 activations": ("ort", "onnxruntime", "qdq_s8s8.onnx"),
}
# What the kernel says of each CPU: runtimes read it to choose their kernels.
ARM_PART = {"cortex-a53": "0xd03", "cortex-a72": "0xd08", "cortex-a76": "0xd0b"}
FEATURES = "fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid"
MORE = {"cortex-a76": " atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp"}


def write_cpuinfo(root: Path, cpu: str) -> None:
    """The emulator shows this file as /proc/cpuinfo."""
    lines = [
        "processor\t: 0",
        f"Features\t: {FEATURES}{MORE.get(cpu, '')}",
        "CPU implementer\t: 0x41",
        "CPU architecture: 8",
        "CPU variant\t: 0x0",
        f"CPU part\t: {ARM_PART[cpu]}",
        "CPU revision\t: 4",
    ]
    (root / "proc").mkdir(exist_ok=True)
    (root / "proc" / "cpuinfo").write_text("\n".join(lines) + "\n\n")


def version(site: Path, distribution: str) -> str:
    """The version of an unpacked wheel."""
    found = sorted(site.glob(f"{distribution}-*.dist-info"))
    return found[0].name[len(distribution) + 1 : -len(".dist-info")] if found else ""


def count(root: Path, site: Path, plugin: Path, cpu: str, opener: str, model: Path) -> list[int]:
    """Instructions of each inference."""
    write_cpuinfo(root, cpu)
    python = sorted((root / "usr" / "bin").glob("python3.[0-9]*"))[0]
    environment = []
    for setting in (f"PYTHONPATH={site}", "OPENBLAS_NUM_THREADS=1", "PYTHONHASHSEED=0"):
        environment += ["-E", setting]
    command = [emulate.EMULATOR, "-L", str(root), "-cpu", cpu, "-plugin", str(plugin)]
    command += [*environment, str(python), str(emulate.HERE / "rival_worker.py")]
    command += [opener, str(model), str(RUNS)]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode != 0:
        sys.exit(f"{' '.join(command)}\ngave {run.returncode}: {run.stderr.strip()[-2000:]}")
    return [int(line) for line in run.stdout.split() if line.isdigit()]


def main() -> int:
    """Count all and store."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--site", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--models-of", default="mobilenet_v2,efficientnet_lite0")
    parser.add_argument("--runtimes", default="litert,ort", help="which of these to count")
    parser.add_argument("--cpus", default=",".join(ARM_PART))
    args = parser.parse_args()
    root, site = args.root.resolve(), args.site.resolve()
    plugin = emulate.build_plugin(root / "count")
    results = json.loads(STORED.read_text()) if STORED.exists() else {}
    for model in args.models_of.split(","):
        for name, (opener, distribution, suffix) in RUNTIMES.items():
            if not version(site, distribution):
                print(f"{name}: {distribution} is not in {site}")
                continue
            for cpu in args.cpus.split(",") if opener in args.runtimes.split(",") else ():
                path = args.models.resolve() / f"{model}.{suffix}"
                counts = count(root, site, plugin.resolve(), cpu, opener, path)
                results.setdefault(model, {}).setdefault(name, {})[cpu] = {
                    "instructions": int(statistics.median(counts)),
                    "spread": round((max(counts) - min(counts)) / min(counts), 5),
                    "version": version(site, distribution),
                }
                print(f"{model}, {name}, {cpu}: {counts}", flush=True)
                STORED.write_text(json.dumps(results, indent=2, sort_keys=True) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
