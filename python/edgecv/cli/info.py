"""Show version, CPU, instruction sets and kernels: which ones this machine can run, and, for a
file, which one each step of its plan takes.

examples:
  edgecv info
  edgecv info m.ecv
"""

from __future__ import annotations

import argparse
import json
import os
from typing import Any, Dict, List

from edgecv.cli import console

# A kernel folder that is no level of its own: the level that allows it where the CPU has it.
PART_OF = {"fma": "avx2"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("model", nargs="?", help=".ecv file: count the kernels its plan takes")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Prints the machine and the kernel table."""
    import platform

    import numpy

    import edgecv
    from edgecv import _core

    kernels: List[Dict[str, Any]] = _core.kernels()
    isas = dict(_core.isas())
    used: Dict[str, int] = {}
    plan = None
    if args.model:
        with edgecv.load(args.model) as model:
            for step in model.steps:
                used[step.kernel] = used.get(step.kernel, 0) + 1
            plan = model.meta.get("plan")
    also = {PART_OF[k["isa"]]: k["isa"] for k in kernels if k["isa"] in PART_OF and k["usable"]}
    facts = {
        "edgecv": edgecv.__version__,
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "machine": platform.machine(),
        "cpu": _core.cpu_name(),
        "threads": _core.available_threads(),
        "instruction sets": ", ".join(
            f"{name}{' with ' + also[name] if name in also else ''}"
            f" ({'yes' if present else 'no kernels in this build, or not on this CPU'})"
            for name, present in isas.items()
        ),
    }
    if plan is not None:
        facts["plan of the file"] = plan
    if args.json:
        print(json.dumps({**facts, "isas": isas, "kernels": kernels, "used": used}, indent=2))
        return 0
    for what, value in facts.items():
        print(f"{what:<18}{value}")
    forced = os.environ.get("EDGECV_FORCE_ISA")
    if forced:
        print(f"{'forced':<18}{forced} (EDGECV_FORCE_ISA)")
    allowed = list(isas)[: list(isas).index(forced) + 1] if forced in isas else list(isas)
    rows = []
    taken = set()
    for kernel in kernels:
        level = PART_OF.get(kernel["isa"], kernel["isa"])
        runnable = kernel["usable"]
        if not runnable:
            why = "needs " + kernel["isa"]
        elif level not in allowed:
            why = "excluded by EDGECV_FORCE_ISA"
        elif kernel["family"] in taken:
            why = "when no kernel above takes the layer"
        else:
            why = "first choice"
        if runnable and level in allowed:
            taken.add(kernel["family"])
        row = (kernel["family"], kernel["name"], why)
        rows.append((*row, used.get(kernel["name"], "")) if args.model else row)
    header = ("family", "kernel", "on this machine") + (("steps",) if args.model else ())
    console.table("kernels, best first within a family", header, rows, right=(3,))
    return 0
