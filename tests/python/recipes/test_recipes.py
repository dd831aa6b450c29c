"""What of the recipes runs without PyTorch: pictures, views, the table, the command line."""

from __future__ import annotations

import argparse
import gzip
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fashion_mnist import data, table

from edgecv.errors import DownloadError
from edgecv.zoo import debian

SCRIPT = Path(__file__).resolve().parents[3] / "examples" / "recipes" / "distil_prune_quantize.py"


def some_pictures(count: int) -> data.Pictures:
    random = np.random.default_rng(1)
    images = random.integers(0, 256, (count, data.SIDE, data.SIDE), np.uint8)
    return data.Pictures(images, random.integers(0, 10, count, np.uint8))


def test_idx_is_read() -> None:
    blob = b"\0\0\x08\3" + b"".join(n.to_bytes(4, "big") for n in (2, 3, 4)) + bytes(range(24))
    assert np.array_equal(data.parse_idx(blob), np.arange(24).reshape(2, 3, 4))
    with pytest.raises(DownloadError, match="not an IDX file"):
        data.parse_idx(gzip.compress(blob))


def test_a_view_is_the_picture_moved_and_mirrored() -> None:
    pictures = some_pictures(40)
    got = data.View(pictures, 3, 1).batch(np.arange(40))[:, 0]
    assert got.dtype == np.float32
    padded = np.pad(pictures.images, ((0, 0), (2, 2), (2, 2))).astype(np.float32) / np.float32(255)
    seen = set()
    for image, view in zip(padded, got):
        found = [
            (dy, dx, mirrored)
            for dy in range(5)
            for dx in range(5)
            for mirrored in (False, True)
            for crop in [image[dy : dy + 28, dx : dx + 28]]
            if np.array_equal(view, crop[:, ::-1] if mirrored else crop)
        ]
        assert len(found) == 1
        seen.update(found)
    assert len({mirrored for _, _, mirrored in seen}) == 2
    assert len({(dy, dx) for dy, dx, _ in seen}) > 10


def test_views_are_repeatable_and_differ() -> None:
    pictures = some_pictures(20)
    index = np.array([7, 3, 19])
    first = data.View(pictures, 0, 0).batch(index)
    assert np.array_equal(first, data.View(pictures, 0, 0).batch(np.arange(20))[index])
    assert not np.array_equal(first, data.View(pictures, 0, 1).batch(index))
    assert not np.array_equal(first, data.View(pictures, 1, 0).batch(index))


def test_batches_hold_every_picture_once_but_for_a_rest() -> None:
    view = data.View(some_pictures(50), 0, 0)
    orders = []
    for epoch in range(2):
        index = [item for item, x in view.batches(16, (0, epoch)) if x.shape == (16, 1, 28, 28)]
        assert len(index) == 3
        assert len(set(np.concatenate(index).tolist())) == 48
        orders.append(np.concatenate(index))
    assert not np.array_equal(orders[0], orders[1])


def test_a_damaged_file_of_the_cache_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGECV_CACHE", str(tmp_path))
    folder = tmp_path / "datasets" / "fashion-mnist"
    folder.mkdir(parents=True)
    for name in data.MEMBERS:
        (folder / name).write_bytes(b"other")
    with pytest.raises(DownloadError, match=r"fashion-mnist.*is damaged: remove it"):
        data.load()


def test_another_package_is_refused_and_nothing_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGECV_CACHE", str(tmp_path / "cache"))
    tools = tmp_path / "tools"
    tools.mkdir()
    unpack = f'mkdir -p "$3/{data.PATH}"; echo x >"$3/{data.PATH}/train-images-idx3-ubyte.gz"'
    for name, line in {"apt-get": "touch $3.deb", "dpkg-deb": unpack}.items():
        (tools / name).write_text(f"#!/bin/sh\n{line}\n")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    said: list[str] = []
    with pytest.raises(DownloadError, match=r"train-images-idx3-ubyte of .* is not the"):
        data.load(said.append)
    assert "downloading" in said[0]
    assert not list(tmp_path.glob("cache/**/*ubyte"))


def test_a_missing_apt_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    wanted = "the pictures in Debian's some-package need apt-get"
    with pytest.raises(DownloadError, match=wanted), debian.unpacked(
        "some-package", "the pictures"
    ):
        pass


def measured(final: dict[str, Any]) -> dict[str, Any]:
    files = {
        file: {"top1": 90.0, "torch_top1": 90.5, "bytes": 160_000, "macs": 10**7, "ms": 0.3}
        for file, _, _ in table.ROWS
    }
    files[table.FINAL] = {**files[table.FINAL], **final}
    stages = {name: {"seconds": 60.0, "cpu_seconds": 30.0} for name in table.STAGES}
    run = {"seed": 4, "files": files, "stages": stages, "verdict": table.verdict(files)}
    return {"edgecv": "0", "test_pictures": 10_000, "runs": [run]}


@pytest.mark.parametrize(
    ("final", "missed"),
    [
        ({"top1": 89.5, "bytes": 40_000, "ms": 0.09}, []),
        ({"top1": 89.4, "bytes": 40_000, "ms": 0.09}, ["seed 4: points lost 0.60"]),
        ({"top1": 91.0, "bytes": 50_000, "ms": 0.09}, ["seed 4: times smaller 3.20"]),
        ({"top1": 91.0, "bytes": 20_000, "ms": 0.15}, ["seed 4: times faster 2.00"]),
    ],
)
def test_what_a_seed_misses(final: dict[str, Any], missed: list[str]) -> None:
    assert table.failures(measured(final)) == missed


def test_the_table_has_a_line_for_every_stage() -> None:
    text = table.markdown(measured({"top1": 89.25, "bytes": 40_000, "ms": 0.0321}))
    for _, title, _ in table.ROWS:
        assert f"| {title} | " in text
    assert (
        "| pruned, fine-tuned, QAT, int8 | 89.25 | 89.25 | 90.50 | 40,000 | 10.00 | 0.0321 |"
        in text
    )
    assert "| 4 | +0.75 | 4.00 x | 9.35 x |" in text
    assert "| seed 4 | 1.0 (0.5) | " in text
    assert "| 7.0 (3.5) |" in text


def run_script(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


def test_help_names_every_stage() -> None:
    done = run_script("--help")
    assert done.returncode == 0
    for stage in table.STAGES:
        assert f" {stage} " in done.stdout


def test_a_missing_torch_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError(\"No module named 'torch'\")\n")
    paths = [str(tmp_path), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    done = run_script("--quick", PYTHONPATH=os.pathsep.join(filter(None, paths)))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "No module named 'torch': pip install 'edgecv[recipes]'\n"


class Ended:
    """A process that has ended by the time anybody asks."""

    def __init__(self, code: int) -> None:
        self.returncode = code

    def wait(self, timeout: float) -> int:
        return self.returncode

    def poll(self) -> int:
        return self.returncode


def test_a_seed_that_fails_beside_a_good_one_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    run_seeds = runpy.run_path(str(SCRIPT))["run_seeds"]
    codes, begun = {0: 0, 1: 3, 2: 0, 3: 0}, []

    def begin(command: list[str]) -> Ended:
        begun.append(int(command[command.index("--seeds") + 1]))
        return Ended(codes[begun[-1]])

    monkeypatch.setattr(subprocess, "Popen", begin)
    args = argparse.Namespace(seeds=[0, 1, 2, 3], jobs=2, out=Path("out"), quick=False)
    assert run_seeds(args) == 3
    assert begun == [0, 1, 2]
    begun.clear()
    args.seeds = [0, 2, 3]
    assert run_seeds(args) == 0
    assert begun == [0, 2, 3]


def test_seeds_that_are_no_numbers_are_one_clear_line() -> None:
    done = run_script("--seeds", "0,one")
    assert done.returncode == 2
    assert "--seeds takes numbers, such as 0,1,2: not '0,one'" in done.stderr
    assert "Traceback" not in done.stderr
