"""Faults on purpose, each with a test that must fail: python tools/mutants.py [NAME...].

Copies the sources to --folder (default build/mutants, which a later run reuses), builds the named
tests and sees them pass, then for each fault edits one line, builds, and sees its test fail. Exit
code 0: every fault was noticed; 1: one was not, or a test fails without any; 2: the tool cannot
run.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple

ROOT = Path(__file__).resolve().parents[1]
SOURCES = (
    "CMakeLists.txt",
    "pyproject.toml",
    "cmake",
    "cpp",
    "tests/cpp",
    "tests/data",
    "tests/install",
)
SECONDS = 600  # of one test; a fault may make it run for ever


@dataclass(frozen=True)
class Mutant:
    """One fault: ``old``, which the file holds exactly once, becomes ``new``.

    ``test`` is <room>/<name> of tests/cpp, run on the emulated ``cpu`` if one is given.
    """

    name: str
    file: str
    old: str
    new: str
    test: str
    cpu: Optional[str] = None


MUTANTS: Tuple[Mutant, ...] = (
    Mutant(  # of the input's zero point, folded into the bias
        "sign",
        "cpp/src/kernels/x86/gemm_panel.h",
        "uint32_t bias = static_cast<uint32_t>(source.bias[c]) -",
        "uint32_t bias = static_cast<uint32_t>(source.bias[c]) +",
        "kernels/conv_test",
    ),
    Mutant(  # rows with one element beyond the last vector lose it
        "tail",
        "cpp/src/kernels/simd/binary.h",
        "if (i == count) return;",
        "if (i + 1 >= count) return;",
        "kernels/rows_test",
    ),
    Mutant(  # taken from taps outside the image too
        "zero point",
        "cpp/src/kernels/simd/pool.h",
        "static_cast<int32_t>(w.rows * w.columns * p.in_zero_point)",
        "static_cast<int32_t>(p.kernel_h * p.kernel_w * p.in_zero_point)",
        "kernels/rows_test",
    ),
    Mutant(  # halves away from zero instead of to even
        "rounding",
        "cpp/src/kernels/requant.h",
        "(value + kRounder) - kRounder;",
        "static_cast<float>(static_cast<int32_t>(value + (value < 0 ? -0.5f : 0.5f))) +\n"
        "                        0.0f * kRounder;",
        "kernels/reference_test",
    ),
    Mutant(  # of the other axis
        "stride",
        "cpp/src/kernels/reference/conv_common.h",
        "(at.ow, kw, p.stride_w, p.dilation_w,",
        "(at.ow, kw, p.stride_h, p.dilation_w,",
        "kernels/reference_test",
    ),
    Mutant(  # of the other side
        "pad",
        "cpp/src/kernels/x86/conv_copy.h",
        "const int64_t y = w.oh * p.stride_h - p.pad_top + r * y_step;",
        "const int64_t y = w.oh * p.stride_h - p.pad_left + r * y_step;",
        "kernels/conv_test",
    ),
    Mutant(  # the zero point carries values at the end of s16 round to the other end
        "clamp",
        "cpp/src/kernels/x86/vec256.h",
        "return sat_add_s16(pack_s32_s16(a, b), c.zero_point);",
        "return add_s16(pack_s32_s16(a, b), c.zero_point);",
        "kernels/rows_test",
    ),
    Mutant(
        "operand swap",
        "cpp/src/ops/elementwise.cpp",
        "call->inputs[call->input_count++] = lowering->model.input_id(op, i);",
        "call->inputs[call->input_count++] = lowering->model.input_id(op, 1 - i);",
        "proof/dispatch_test",
    ),
    Mutant(  # an op's output takes the place of an input that it still reads
        "off-by-one",
        "cpp/src/runtime/arena.cpp",
        "other.last < item.first ||",
        "other.last <= item.first ||",
        "runtime/arena_test",
    ),
    Mutant(  # sums of 16 bits are believed to hold more than they do
        "lane bound",
        "cpp/src/kernels/x86/gemm_panel.h",
        "range * largest_word(largest) > 32767",
        "range * largest_word(largest) > 33800",
        "kernels/conv_test",
    ),
    Mutant(  # the same for blocks of sparse weights, whose sums would saturate
        "sparse bound",
        "cpp/src/kernels/x86/sparse_pack.h",
        "return range > 0 ? 32767 / range : 32767;",
        "return range > 0 ? 34400 / range : 32767;",
        "kernels/sparse_test",
    ),
    Mutant(  # a block of sparse weights that changes places meets the inputs of the other
        "sparse place",
        "cpp/src/kernels/x86/sparse_pack.h",
        "  quads[j] = quad;",
        "  quads[j] = quads[i];",
        "kernels/sparse_test",
    ),
    Mutant(  # of two depthwise products in 16 bits
        "pair bound",
        "cpp/src/kernels/simd/dwconv_bytes_pack.h",
        "range * positive[i] > 32767",
        "range * positive[i] > 33800",
        "kernels/depthwise_bounds_test",
    ),
    Mutant(  # a stripe that does not begin at the image's top takes its first rows from elsewhere
        "stripe",
        "cpp/src/runtime/chain.cpp",
        "p->pad_top = in.begin - (out.begin * link.stride - link.pad);",
        "p->pad_top = link.pad;",
        "runtime/chain_test",
    ),
    Mutant(  # chosen on every CPU
        "ISA bit",
        "cpp/src/kernels/avx2/pool.cpp",
        "    kIsaNeeds,\n",
        "    kIsaBaseline,\n",
        "proof/dispatch_test",
        cpu="Westmere",
    ),
)


class ToolError(Exception):
    """The tool cannot run; the text says why."""


def apply(mutant: Mutant, root: Path) -> str:
    """Writes the fault into the file and returns the file's text before."""
    path = root / mutant.file
    text = path.read_text(encoding="utf-8")
    if text.count(mutant.old) != 1:
        raise ToolError(
            f"{mutant.name}: {mutant.file} holds {mutant.old!r} {text.count(mutant.old)} times, "
            "not once: update tools/mutants.py"
        )
    path.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
    return text


def copy_sources(tree: Path) -> None:
    """Brings ``tree`` to this checkout's state; files that are equal keep their times."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *SOURCES]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    wanted = {name for name in names.stdout.splitlines() if (ROOT / name).is_file()}
    for path in sorted(tree.rglob("*")):
        if path.is_file() and path.relative_to(tree).as_posix() not in wanted:
            path.unlink()
    for name in wanted:
        source, target = ROOT / name, tree / name
        if target.is_file() and target.read_bytes() == source.read_bytes():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def run(command: Sequence[str], log: Path, environment: Dict[str, str]) -> int:
    """The exit code of a command, -1 when it ran too long; what it prints goes to ``log``."""
    with log.open("w", encoding="utf-8") as out:
        try:
            return subprocess.run(
                command, stdout=out, stderr=out, timeout=SECONDS, env=environment, check=False
            ).returncode
        except subprocess.TimeoutExpired:
            return -1


class Bench:
    """The copy, its build directory and its logs."""

    def __init__(self, folder: Path, jobs: int) -> None:
        self.tree = folder / "tree"
        self.build = folder / "build"
        self.log = folder / "log.txt"
        self.jobs = jobs
        # Objects of another folder's copy are found in the cache again.
        base = {"CCACHE_BASEDIR": str(folder), "CCACHE_NOHASHDIR": "1"}
        self.environment = {**os.environ, **base}

    def configure(self) -> None:
        """Configures the build directory."""
        command = ["cmake", "-S", str(self.tree), "-B", str(self.build)]
        command += ["-DCMAKE_BUILD_TYPE=Release", "-DEDGECV_BUILD_TESTS=ON"]
        if shutil.which("ccache"):
            command.append("-DCMAKE_CXX_COMPILER_LAUNCHER=ccache")
        if run(command, self.log, self.environment) != 0:
            raise ToolError(f"cmake failed:\n{self.tail()}")

    def make(self, tests: Sequence[str]) -> None:
        """Builds the executables of some tests."""
        targets = [test.replace("/", "_") for test in tests]
        command = ["cmake", "--build", str(self.build), "-j", str(self.jobs), "--target", *targets]
        if run(command, self.log, self.environment) != 0:
            raise ToolError(f"the build failed:\n{self.tail()}")

    def test(self, mutant: Mutant) -> int:
        """The exit code of a mutant's test."""
        command = [str(self.build / "tests" / mutant.test)]
        if mutant.cpu is not None:
            command = ["qemu-x86_64", "-cpu", mutant.cpu, *command]
        return run(command, self.log, self.environment)

    def tail(self) -> str:
        """The end of what the last command printed."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-2000:]


def how(code: int) -> str:
    """What a test's end says in the table."""
    if code == -1:
        return "ran too long"
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def check(bench: Bench, mutants: Sequence[Mutant]) -> List[Mutant]:
    """The faults no test noticed; prints the table."""
    copy_sources(bench.tree)
    bench.configure()
    bench.make(sorted({mutant.test for mutant in mutants}))
    for mutant in {(mutant.test, mutant.cpu): mutant for mutant in mutants}.values():
        code = bench.test(mutant)
        if code != 0:
            raise ToolError(f"without a fault, {mutant.test}: {how(code)}\n{bench.tail()}")
    survivors = []
    print(f"{'fault':<13} {'file':<40} {'test':<34} result")
    for mutant in mutants:
        before, started = apply(mutant, bench.tree), time.monotonic()
        try:
            bench.make([mutant.test])
            code = bench.test(mutant)
        finally:
            (bench.tree / mutant.file).write_text(before, encoding="utf-8")
        # 77: every test skipped.
        killed = code not in (0, 77)
        if not killed:
            survivors.append(mutant)
        test = mutant.test + (f" on {mutant.cpu}" if mutant.cpu else "")
        verdict = f"killed ({how(code)})" if killed else f"SURVIVED ({how(code)})"
        seconds = time.monotonic() - started
        print(
            f"{mutant.name:<13} {mutant.file:<40} {test:<34} {verdict}, {seconds:.0f} s", flush=True
        )
    return survivors


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Runs the chosen faults."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", help="faults (default: all)")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "mutants")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args(argv)
    known = {mutant.name: mutant for mutant in MUTANTS}
    unknown = [name for name in args.names if name not in known]
    if unknown:
        parser.error(f"no fault {unknown[0]!r}; there are: {', '.join(known)}")
    chosen = [known[name] for name in args.names] or list(MUTANTS)
    try:
        if any(m.cpu for m in chosen) and shutil.which("qemu-x86_64") is None:
            raise ToolError("needs qemu-x86_64 (Debian, Ubuntu: apt-get install qemu-user)")
        survivors = check(Bench(args.folder.resolve(), args.jobs), chosen)
    except ToolError as error:
        print(f"mutants: {error}", file=sys.stderr)
        return 2
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} faults were noticed")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
