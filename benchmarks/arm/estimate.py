"""Estimate cycles: how often each block of code runs, times what llvm-mca says of one execution.

The emulator counts executions of blocks exactly. llvm-mca schedules a block as if it ran over and
over again on the pipeline of one CPU, all data in L1 and every branch guessed: right for the inner
loops in which nearly all of the time goes, optimistic elsewhere. The hottest blocks are scheduled
until they hold COVER of the instructions; the rest counts as many cycles an instruction as these.
"""

from __future__ import annotations

import bisect
import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import emulate

COVER = 0.99
MOST_BLOCKS = 400
# llvm-mca's tables of Cortex-A57, A72, A76 and A78 are one and the same; Neoverse N1 is A76's core.
PIPELINES = {"cortex-a53": "cortex-a53", "cortex-a76": "neoverse-n1"}
BRANCH = re.compile(r"(b|bl|br|blr|ret|b\..*|cbn?z|tbn?z)$")


@dataclass(frozen=True)
class Estimate:
    """Cycles of one inference, and the share of its instructions that was scheduled."""

    cycles: float
    covered: float


@dataclass(frozen=True)
class Instruction:
    """One line of a disassembly."""

    address: int
    text: str
    target: int | None  # of a branch to a known address


def find_mca() -> str:
    """The newest llvm-mca of this machine that knows the pipelines."""
    for name in ("llvm-mca-21", "llvm-mca-20", "llvm-mca-19", "llvm-mca"):
        path = shutil.which(name)
        if path is None:
            continue
        text = subprocess.run([path, "--version"], capture_output=True, text=True).stdout
        found = re.search(r"LLVM version (\d+)", text)
        if found and int(found[1]) >= 19:
            return path
    raise emulate.NotAvailableError("needs llvm-mca 19 or newer (Debian: apt-get install llvm-19)")


def disassemble(program: Path) -> list[Instruction]:
    """All instructions in the order of their addresses, in a form llvm-mca reads."""
    command = [f"{emulate.TRIPLE}-objdump", "-d", "--no-show-raw-insn", str(program)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = []
    for line in text.splitlines():
        match = re.match(r"\s*([0-9a-f]+):\s+(.+)$", line)
        if match is None:
            continue
        words = match[2].split("//")[0].replace("\t", " ").strip()
        target = re.search(r"\b([0-9a-f]+) <[^>]*>", words)
        is_branch = BRANCH.match(words.split(" ", 1)[0]) is not None
        found.append(
            Instruction(
                int(match[1], 16),
                re.sub(r"\b(0x)?[0-9a-f]+ <[^>]*>", "somewhere", words),
                int(target[1], 16) if target and is_branch else None,
            )
        )
    return found


def executions(code: list[Instruction], blocks: Path) -> list[int]:
    """How often each instruction ran: the emulator's blocks may overlap."""
    addresses = [instruction.address for instruction in code]
    changes = [0] * (len(code) + 1)
    for line in blocks.read_text().splitlines():
        address, count, runs = line.split()
        first = bisect.bisect_left(addresses, int(address, 16))
        if first < len(code) and addresses[first] == int(address, 16):
            changes[first] += int(runs)
            changes[min(first + int(count), len(code))] -= int(runs)
    counts, running = [], 0
    for change in changes[:-1]:
        running += change
        counts.append(running)
    return counts


def basic_blocks(code: list[Instruction], counts: list[int]) -> list[tuple[int, int]]:
    """Ranges of instructions that run as often as each other, without a way in or out between."""
    targets = {instruction.target for instruction in code}
    ranges = []
    begin = 0
    for i in range(1, len(code) + 1):
        ends = (
            i == len(code)
            or counts[i] != counts[begin]
            or code[i].address in targets
            or BRANCH.match(code[i - 1].text.split(" ", 1)[0]) is not None
        )
        if ends:
            if counts[begin] != 0:
                ranges.append((begin, i))
            begin = i
    return ranges


def schedule(mca: str, pipeline: str, bodies: list[list[str]]) -> list[float]:
    """Cycles of one execution of each body, in the steady state."""
    source = []
    for i, body in enumerate(bodies):
        source += [f"# LLVM-MCA-BEGIN block{i}", *body, f"# LLVM-MCA-END block{i}"]
    command = [mca, "-mtriple=aarch64-linux-gnu", f"-mcpu={pipeline}", "-iterations=100", "-json"]
    command += ["-mattr=+dotprod,+i8mm", "-skip-unsupported-instructions=any"]
    run = subprocess.run(command, input="\n".join(source) + "\n", capture_output=True, text=True)
    if run.returncode != 0:
        raise emulate.NotAvailableError(f"{mca}: {run.stderr.strip()[-500:]}")
    cycles = [0.0] * len(bodies)
    for region in json.loads(run.stdout)["CodeRegions"]:
        summary = region["SummaryView"]
        index = int(region["Name"].replace("block", ""))
        cycles[index] = summary["TotalCycles"] / summary["Iterations"]
    return cycles


def estimate(program: Path, blocks: Path, cpu: str) -> Estimate:
    """Cycles of the inference whose blocks were counted on `cpu`."""
    mca = find_mca()
    code = disassemble(program)
    counts = executions(code, blocks)
    total = sum(counts)
    hottest = sorted(basic_blocks(code, counts), key=lambda b: -counts[b[0]] * (b[1] - b[0]))
    chosen, covered = [], 0
    for begin, end in hottest[:MOST_BLOCKS]:
        if covered >= COVER * total:
            break
        covered += counts[begin] * (end - begin)
        chosen.append((begin, end))
    bodies = [[instruction.text for instruction in code[a:b]] for a, b in chosen]
    cycles = schedule(mca, PIPELINES[cpu], bodies)
    spent = sum(c * counts[begin] for c, (begin, _) in zip(cycles, chosen))
    return Estimate(spent * total / covered, covered / total)
