"""What a result has to name: the machine and the versions of what was compared."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path

import peers


def versions() -> dict[str, str]:
    """Return the installed version of every package that is compared."""
    found = {}
    for package in (*peers.PACKAGES, "numpy"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, str]:
    """Return what kind of CPU this is, and which int8 instructions it has."""
    fields: dict[str, str] = {}
    cpuinfo = Path("/proc/cpuinfo")
    for line in cpuinfo.read_text().splitlines() if cpuinfo.is_file() else ():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    flags = fields.get("flags", "").split()
    wanted = ("avx2", "avx512f", "avx512_vnni", "avx_vnni")
    return {
        "cpu": fields.get("model name", platform.machine()),
        "int8": " ".join(flag for flag in wanted if flag in flags) or "none of " + " ".join(wanted),
    }
