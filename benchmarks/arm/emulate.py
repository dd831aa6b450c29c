"""Run a model in the emulator and read what its plugin counted (plugin.c, count_model.c)."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TRIPLE = "aarch64-linux-gnu"
EMULATOR = "qemu-aarch64"
COMPILER = f"{TRIPLE}-gcc"

# Data caches, bytes:ways: Raspberry Pi 3 (Cortex-A53), Raspberry Pi 5 (Cortex-A76, L2 of a core).
CACHES = {
    "cortex-a53": ("32768:4", "524288:16"),
    "cortex-a76": ("65536:4", "524288:8"),
}
CPUS = ("cortex-a53", "cortex-a76", "max,sve=off")


class NotAvailableError(Exception):
    """Counting does not work on this machine; the text says why."""


@dataclass(frozen=True)
class Step:
    """One step of a model's plan."""

    instructions: int
    macs: int
    kernel: str
    op: str
    node: str
    shapes: str


@dataclass(frozen=True)
class Count:
    """What one inference took; accesses and misses are 0 without a cache model."""

    instructions: int
    accesses: int
    l1_misses: int
    l2_misses: int
    macs: int
    isa: str
    steps: tuple[Step, ...]


def compiler() -> str:
    """The version of the cross compiler, as it tells it."""
    if shutil.which(COMPILER) is None:
        raise NotAvailableError(f"needs {COMPILER} (Debian, Ubuntu: g++-{TRIPLE})")
    text = subprocess.run([COMPILER, "--version"], check=True, capture_output=True, text=True)
    return text.stdout.splitlines()[0]


def _is_older(target: Path, sources: list[Path]) -> bool:
    return not target.exists() or any(s.stat().st_mtime > target.stat().st_mtime for s in sources)


def build_plugin(folder: Path) -> Path:
    """Compile the plugin for this machine."""
    plugin = folder / "plugin.so"
    folder.mkdir(parents=True, exist_ok=True)
    if _is_older(plugin, [HERE / "plugin.c", HERE / "counters.h"]):
        subprocess.run(
            ["cc", "-O2", "-shared", "-fPIC", "-o", str(plugin), str(HERE / "plugin.c")], check=True
        )
    return plugin


def build_program(folder: Path, library: Path) -> Path:
    """Link count_model with a cross-built library."""
    program = folder / "count_model"
    source = HERE / "count_model.c"
    if _is_older(program, [source, HERE / "counters.h", library]):
        include = ROOT / "cpp" / "include"
        command = [COMPILER, "-O2", "-static", f"-I{include}", "-o", str(program), str(source)]
        subprocess.run([*command, str(library), "-lm", "-lpthread"], check=True)
    return program


def fixed_addresses() -> list[str]:
    """A prefix that keeps addresses the same in every run, where the machine allows it."""
    prefix = ["setarch", "-R"]
    if shutil.which("setarch") is None:
        return []
    return prefix if subprocess.run([*prefix, "true"], capture_output=True).returncode == 0 else []


def count(
    plugin: Path, program: Path, model: Path, cpu: str, caches: bool = False, blocks: str = ""
) -> Count:
    """Count one inference of `model` on an emulated CPU."""
    options = str(plugin)
    if caches:
        l1, l2 = CACHES[cpu]
        options += f",l1={l1},l2={l2}"
    if blocks:
        options += f",blocks={blocks}"
    command = [EMULATOR, "-cpu", cpu, "-plugin", options, str(program), str(model)]
    run = subprocess.run([*fixed_addresses(), *command], capture_output=True, text=True)
    refused = "Could not load plugin" in run.stderr or "-plugin" in run.stderr
    if run.returncode != 0 and refused:
        raise NotAvailableError(f"{EMULATOR} takes no such plugin: {run.stderr.strip()}")
    if run.returncode != 0:
        sys.exit(f"{' '.join(command)}\ngave {run.returncode}: {run.stderr.strip()}")
    return parse(run.stdout)


def parse(text: str) -> Count:
    """Read what count_model printed."""
    total: list[str] = []
    steps = []
    for line in text.splitlines():
        kind, *words = line.split("\t")
        if kind == "total":
            total = words
        elif kind == "step":
            steps.append(Step(int(words[0]), int(words[1]), *words[2:6]))
    figures = [int(word) for word in total[:5]]
    return Count(figures[0], figures[1], figures[2], figures[3], figures[4], total[5], tuple(steps))
