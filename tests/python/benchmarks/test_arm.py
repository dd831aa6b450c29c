"""What counts instructions for ARM: the plugin, here on an emulated x86-64, and the gate."""

from __future__ import annotations

import importlib
import platform
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Callable

import pytest

FOLDER = Path(__file__).resolve().parents[3] / "benchmarks" / "arm"
NAMES = ("emulate", "gate", "estimate")

# Two instructions a turn; then every line of a megabyte twice, and one line over and over.
PROGRAM = r"""
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "counters.h"
static char data[1 << 20] __attribute__((aligned(64)));
static struct counters now(void) {
  struct counters c;
  memset(&c, 0, sizeof(c));
  syscall(EDGECV_COUNTERS, EDGECV_READ, &c);
  return c;
}
static uint64_t turns(uint64_t n) {
  const struct counters before = now();
  __asm__ volatile("1: dec %0\n jnz 1b" : "+r"(n));
  return now().instructions - before.instructions;
}
static void touch(size_t bytes, size_t step) {
  const struct counters before = now();
  for (size_t i = 0; i < bytes; i += step) ((volatile char*)data)[i] = 1;
  const struct counters after = now();
  printf("%llu %llu ", (unsigned long long)(after.l1_misses - before.l1_misses),
         (unsigned long long)(after.l2_misses - before.l2_misses));
}
int main(void) {
  turns(1);
  const uint64_t once = turns(1000);
  syscall(EDGECV_COUNTERS, EDGECV_BLOCKS_BEGIN);
  const uint64_t twice = turns(2000);
  syscall(EDGECV_COUNTERS, EDGECV_BLOCKS_END);
  printf("%llu ", (unsigned long long)(twice - once));
  for (int i = 0; i < 2; ++i) touch(sizeof(data), 64);
  touch(64, 1);
  return 0;
}
"""


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    """The modules of benchmarks/arm, which import each other as scripts do."""
    monkeypatch.syspath_prepend(str(FOLDER))
    for name in NAMES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    found = {name: importlib.import_module(name) for name in NAMES}
    for name in NAMES:
        monkeypatch.delitem(sys.modules, name)
    return found


@pytest.mark.emulator
@pytest.mark.system
@pytest.mark.skipif(platform.machine() != "x86_64", reason="its program is x86-64's")
def test_the_plugin_counts_exactly(
    modules: dict[str, ModuleType], tmp_path: Path, need_program: Callable[[str, str], str]
) -> None:
    emulator = need_program("qemu-x86_64", "qemu-user")
    compiler = need_program("cc", "gcc")
    (tmp_path / "program.c").write_text(PROGRAM)
    program = tmp_path / "program"
    command = [compiler, "-O1", f"-I{FOLDER}", "-o", program, tmp_path / "program.c"]
    subprocess.run([str(word) for word in command], check=True)
    plugin = modules["emulate"].build_plugin(tmp_path)
    blocks = tmp_path / "blocks"
    options = f"{plugin},l1=32768:4,l2=524288:16,blocks={blocks}"
    command = [emulator, "-plugin", options, program]
    run = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if "Could not load plugin" in run.stderr:
        pytest.skip(f"this emulator takes other plugins: {run.stderr.strip()}")
    assert run.returncode == 0, run.stderr
    turns, *misses = (int(word) for word in run.stdout.split())
    assert turns == 2 * 1000
    lines = (1 << 20) // 64
    # The calls that read the counters touch a few lines of their own.
    for counted, wanted in zip(misses, (lines, lines, lines, lines, 0, 0)):
        assert wanted <= counted <= wanted + 40
    executions = [line.split() for line in blocks.read_text().splitlines()]
    # The loop's own block: the first turn came with what is before it.
    assert ["2", "1999"] in [words[1:] for words in executions]


def test_the_gate_lets_one_percent_pass(
    modules: dict[str, ModuleType], capsys: pytest.CaptureFixture[str]
) -> None:
    judge = modules["gate"].judge
    assert judge("m", "cortex-a53", 100_900, 100_000)
    assert not judge("m", "cortex-a53", 101_100, 100_000)
    assert "FAILED" in capsys.readouterr().out
    assert judge("m", "cortex-a53", 98_000, 100_000)
    assert "--update" in capsys.readouterr().out
    assert judge("m", "cortex-a53", 98_000, None)
    assert "none stored" in capsys.readouterr().out


def test_counts_are_read_with_their_steps(modules: dict[str, ModuleType]) -> None:
    count = modules["emulate"].parse(
        "total\t1000\t10\t5\t2\t400\tneon\nstep\t900\t400\tk__neon\tConv2d\ta node\t1x2 -> 1x3 \n"
    )
    assert (count.instructions, count.l1_misses, count.macs, count.isa) == (1000, 5, 400, "neon")
    (step,) = count.steps
    assert (step.instructions, step.node, step.shapes) == (900, "a node", "1x2 -> 1x3 ")


def test_overlapping_blocks_add_up(modules: dict[str, ModuleType], tmp_path: Path) -> None:
    estimate = modules["estimate"]
    texts = ("mov x0, x1", "add x0, x0, #1", "b.ne somewhere", "ret")
    code = [
        estimate.Instruction(0x1000 + 4 * i, text, 0x1004 if i == 2 else None)
        for i, text in enumerate(texts)
    ]
    (tmp_path / "blocks").write_text("1000 3 1\n1004 2 9\n100c 1 1\n")
    counts = estimate.executions(code, tmp_path / "blocks")
    assert counts == [1, 10, 10, 1]
    assert estimate.basic_blocks(code, counts) == [(0, 1), (1, 3), (3, 4)]
