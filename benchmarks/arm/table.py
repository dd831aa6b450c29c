"""Write the counts into docs/arm.md: instructions, estimated cycles, cache misses, other runtimes.

    python benchmarks/arm/table.py --library libedgecv.a --models FOLDER

FOLDER is that of make_models.py (`make arm`: build/arm-models). Needs edgecv[convert], for a model
of single layers, and llvm-mca 19 for estimates, which are left out without it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import emulate
import estimate
import layers
from emulate import CPUS, Count, Step

DOCUMENT = emulate.ROOT / "docs" / "arm.md"
BEGIN, END = "<!-- benchmarks/arm/table.py begin -->", "<!-- benchmarks/arm/table.py end -->"
MODELS = {"mobilenet-v2": "MobileNetV2-224", "efficientnet-lite0": "EfficientNet-Lite0"}


def kind_of(step: Step) -> str:
    """The kind of layer, as in the rows of the table."""
    if step.kernel.startswith("dwconv"):
        return "depthwise"
    if step.op == "Conv2d":
        weights = step.shapes.split()[1].split("x")
        return "pointwise" if weights[1:3] == ["1", "1"] else "dense 3x3"
    return {"FullyConnected": "fully connected", "Add": "add"}.get(step.op, "other")


def row(*cells: object) -> str:
    """One line of a table."""
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def head(*cells: str) -> list[str]:
    """The first two lines of a table."""
    return [row(*cells), "|" + "---|" * len(cells)]


def million(value: float) -> str:
    """Millions, three digits."""
    return f"{value / 1e6:.1f}"


def rival_counts(by_cpu: dict[str, dict[str, float]], cpu: str) -> list[float]:
    """Of another runtime on a CPU; A53's column holds A72, which has the same instructions."""
    names = (cpu, "cortex-a72") if cpu == "cortex-a53" else (cpu,)
    return [by_cpu[name]["instructions"] for name in names if name in by_cpu]


def rival_text(by_cpu: dict[str, dict[str, float]], cpu: str) -> str:
    """The cell of a runtime in a CPU's column."""
    counts = rival_counts(by_cpu, cpu)
    if not counts:
        return "-"
    return million(counts[0]) + "".join(f"; as A72 {million(n)}" for n in counts[1:])


class Counter:
    """Counts models on all CPUs, with caches and blocks where their geometry is known."""

    def __init__(self, library: Path, work: Path) -> None:
        self.plugin = emulate.build_plugin(work)
        self.program = emulate.build_program(work, library)
        self.work = work
        self.notes: list[str] = []

    def plain(self, model: Path) -> dict[str, Count]:
        """Instructions alone."""
        return {cpu: emulate.count(self.plugin, self.program, model, cpu) for cpu in CPUS}

    def full(self, model: Path) -> tuple[dict[str, Count], dict[str, estimate.Estimate]]:
        """Instructions, misses and estimates."""
        counts = self.plain(model)
        estimates = {}
        for cpu in emulate.CACHES:
            blocks = self.work / f"blocks-{cpu}"
            counts[cpu] = emulate.count(
                self.plugin, self.program, model, cpu, caches=True, blocks=str(blocks)
            )
            try:
                estimates[cpu] = estimate.estimate(self.program, blocks, cpu)
            except emulate.NotAvailableError as reason:
                self.notes.append(str(reason))
        return counts, estimates


def model_table(
    title: str,
    counts: dict[str, Count],
    estimates: dict[str, estimate.Estimate],
    rivals: dict[str, dict[str, dict[str, float]]],
) -> list[str]:
    """Everything about one model."""
    lines = head(f"{title}, int8, one thread", *(f"`{cpu}`" for cpu in CPUS))

    def line(name: str, cells: list[str]) -> None:
        lines.append(row(name, *cells))

    every = [counts[cpu] for cpu in CPUS]
    line("million instructions", [f"**{million(c.instructions)}**" for c in every])
    line("instructions per MAC", [f"{c.instructions / c.macs:.3f}" for c in every])
    kinds: dict[str, list[list[Step]]] = {}
    for i, count in enumerate(every):
        for step in count.steps:
            kinds.setdefault(kind_of(step), [[] for _ in every])[i].append(step)
    for kind, by_cpu in kinds.items():
        sums = [sum(s.instructions for s in steps) for steps in by_cpu]
        macs = [sum(s.macs for s in steps) for steps in by_cpu]
        cells = [million(n) + (f" ({n / m:.3f} per MAC)" if m else "") for n, m in zip(sums, macs)]
        line(f"- {kind}", cells)
    found = [estimates.get(cpu) for cpu in CPUS]
    cycles = [f"{million(e.cycles)} ({e.covered:.0%} scheduled)" if e else "-" for e in found]
    line("estimated million cycles, all data in L1", cycles)
    known = [c if c.accesses else None for c in every]
    line("million loads and stores", [million(c.accesses) if c else "-" for c in known])
    line("thousand L1D misses, modelled", [f"{c.l1_misses / 1e3:.0f}" if c else "-" for c in known])
    line("thousand L2 misses, modelled", [f"{c.l2_misses / 1e3:.0f}" if c else "-" for c in known])
    for name, by_name in rivals.items():
        version = {f["version"] for f in by_name.values()}
        cells = [rival_text(by_name, cpu) for cpu in CPUS]
        line(f"{name} ({', '.join(sorted(map(str, version)))})", cells)
    lowest = [
        min((n for by_name in rivals.values() for n in rival_counts(by_name, cpu)), default=0)
        for cpu in CPUS
    ]
    ratios = [f"{c.instructions / low:.2f}" if low else "-" for c, low in zip(every, lowest)]
    line("edgecv's share of the lowest of these", ratios)
    return [*lines, ""]


def layer_table(counts: dict[str, Count]) -> list[str]:
    """Instructions of single layers."""
    lines = head("layer", "input, weights -> output", *(f"`{cpu}`" for cpu in CPUS))
    for steps in zip(*(counts[cpu].steps for cpu in CPUS)):
        step: Step = steps[0]
        cells = []
        for s in steps:
            unit = s.macs or size_of(s.shapes.split()[-1])
            cells.append(f"{s.instructions / unit:.3f} a {'MAC' if s.macs else 'value'}")
        lines.append(row(step.node, step.shapes.strip(), *cells))
    return [*lines, ""]


def size_of(shape: str) -> int:
    """Elements of a shape."""
    product = 1
    for side in shape.split("x"):
        product *= int(side)
    return product


def section(counter: Counter, folder: Path) -> str:
    """The text between the marks."""
    stored = emulate.HERE / "rivals.json"
    rivals = json.loads(stored.read_text()) if stored.exists() else {}
    lines = [BEGIN, "", f"{emulate.compiler()}, `-O3`:", ""]
    for stem, title in MODELS.items():
        counts, estimates = counter.full(folder / f"{stem}.ecv")
        lines += model_table(title, counts, estimates, rivals.get(stem.replace("-", "_"), {}))
    spreads = [f["spread"] for m in rivals.values() for n in m.values() for f in n.values()]
    if spreads:
        lines += [f"Spread of the other runtimes' counts: at most {max(spreads):.1%}.", ""]
    single = counter.work / "layers.ecv"
    layers.make(single)
    lines += ["Single layers, random weights:", "", *layer_table(counter.plain(single)), END]
    return "\n".join(lines)


def main() -> int:
    """Count all and rewrite the section."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--library", type=Path, required=True, help="libedgecv.a for aarch64")
    parser.add_argument("--models", type=Path, required=True)
    args = parser.parse_args()
    text = DOCUMENT.read_text()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    with tempfile.TemporaryDirectory() as work:
        counter = Counter(args.library, Path(work))
        DOCUMENT.write_text(before + section(counter, args.models) + after)
    for note in sorted(set(counter.notes)):
        print(f"left out: {note}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
