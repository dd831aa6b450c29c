"""What a doctor has measured, in a folder, so that an interrupted run goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from pathlib import Path
from typing import Any, Callable, Dict, Optional

_SCHEME = 2  # of what is measured and how: raised when that changes


def conditions() -> str:
    """A short digest of what measurements depend on besides model and data: this version of edgecv,
    the machine, and settings of the environment that kernels are chosen by.
    """
    from edgecv import __version__

    settings = [(name, os.environ.get(name)) for name in ("EDGECV_FORCE_ISA", "EDGECV_CHAINS")]
    told = (_SCHEME, __version__, platform.machine(), _processor(), os.cpu_count(), settings)
    return hashlib.sha256(repr(told).encode()).hexdigest()[:8]


def _processor() -> str:
    """The name of the CPU, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    named = ("model name", "Model", "CPU part", "Hardware", "uarch")
    return "; ".join(sorted({line for line in lines if line.startswith(named)}))


class State:
    """Measured values by key; in ``folder``, when there is one, from run to run.

    ``key`` names everything that measurements depend on: a state of another key is not used.
    """

    def __init__(self, folder: Optional[Path], key: str) -> None:
        self._path = None if folder is None else folder / f"measured-{key}.json"
        self._known: Dict[str, Any] = {}
        self.reused = 0
        if self._path is not None and self._path.exists():
            try:
                known = json.loads(self._path.read_text(encoding="utf-8"))
            except ValueError:
                known = {}  # cut off when it was written
            self._known = known if isinstance(known, dict) else {}

    def find(self, name: str, measure: Callable[[], Any]) -> Any:
        """The value of a name, measured when it is not known; values are what JSON holds."""
        if name in self._known:
            self.reused += 1
            return self._known[name]
        self._known[name] = json.loads(json.dumps(measure()))
        if self._path is not None:
            part = self._path.with_suffix(".part")
            part.write_text(json.dumps(self._known), encoding="utf-8")
            os.replace(part, self._path)
        return self._known[name]
