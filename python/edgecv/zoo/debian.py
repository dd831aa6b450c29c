"""Unpack a Debian package without installing it: ``apt-get download`` needs no root."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

from edgecv.errors import DownloadError


@contextmanager
def unpacked(package: str, purpose: str) -> Iterator[Path]:
    """Give the folder a Debian package was unpacked into, which is removed afterwards.

    ``purpose`` says in errors what is wanted of it ("the pictures"). Files may be links to others:
    resolve a path and see that it still lies inside. Raises :class:`DownloadError` when the package
    cannot be had.
    """
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise DownloadError(f"{purpose} in Debian's {package} need {program}")
    with tempfile.TemporaryDirectory(prefix="edgecv-deb-") as folder:
        done = subprocess.run(
            ["apt-get", "download", "-q", package],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        debs = list(Path(folder).glob("*.deb"))
        if done.returncode != 0 or len(debs) != 1:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise DownloadError(
                f"cannot download Debian package {package} (run apt-get update first?): {reason}"
            )
        root = Path(folder, "files").resolve()
        subprocess.run(["dpkg-deb", "-x", str(debs[0]), str(root)], check=True)
        yield root
