"""`edgecv-run`, the native tool, gives the bits that Python gives."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Callable

import numpy as np
import pytest
from proof import models
from proof.test_verify import break_weight

import edgecv

from .conftest import run, write_ppm

GOLDEN = Path(__file__).resolve().parents[2] / "data" / "golden"

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def cnn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small int8 network with a float input."""
    folder = tmp_path_factory.mktemp("cnn")
    path = folder / "cnn.ecv"
    path.write_bytes(models.int8_file(folder))
    return path


@pytest.fixture(scope="module")
def tool(prefix: Path) -> Path:
    return prefix / "bin" / "edgecv-run"


def test_arrays_and_raw_bytes_give_python_s_bits(tool: Path, cnn: Path, tmp_path: Path) -> None:
    x = np.random.default_rng(3).standard_normal(models.INPUT).astype(np.float32)
    with edgecv.load(cnn) as model:
        (expected,) = model.run({model.inputs[0].name: x}).values()
    np.save(tmp_path / "x.npy", x)
    (tmp_path / "x.raw").write_bytes(x.tobytes())
    for name in ("x.npy", "x.raw"):
        run(tool, "run", cnn, tmp_path / name, "--save", tmp_path / "out")
        saved = np.load(tmp_path / "out0.npy")
        assert saved.dtype == expected.dtype
        assert saved.shape == expected.shape
        assert saved.tobytes() == expected.tobytes()
    text = run(tool, "run", cnn, tmp_path / "x.npy", "--isa", "reference", "--top", "10")
    order = np.argsort(-expected.ravel(), kind="stable")
    assert text == "".join(f"{expected.ravel()[i]:9.4f}  class {i}\n" for i in order)


def test_pictures_go_through_the_files_own_preprocessing(tool: Path, tmp_path: Path) -> None:
    picture = np.random.default_rng(4).integers(0, 256, (17, 23, 3)).astype(np.uint8)
    with edgecv.load(GOLDEN / "convnet.ecv") as model:
        expected = model.run_image(picture)
    np.save(tmp_path / "p.npy", picture)
    for path in (write_ppm(tmp_path / "p.ppm", picture), tmp_path / "p.npy"):
        run(tool, "run", GOLDEN / "convnet.ecv", path, "--save", tmp_path / "out")
        for index, values in enumerate(expected.values()):
            saved = np.load(tmp_path / f"out{index}.npy")
            assert saved.dtype == values.dtype
            assert saved.tobytes() == values.tobytes()


def test_arrays_of_other_types(tool: Path, tmp_path: Path) -> None:
    x = np.random.default_rng(5).integers(-128, 128, (1, 2, 3, 4)).astype(np.int8)
    with edgecv.load(GOLDEN / "s8ops.ecv") as model:
        quantization = model.inputs[0].quantization
        assert quantization is not None
        real = (x.astype(np.float32) - quantization.zero_point) * np.float32(quantization.scale)
        expected = model.run({"x": real})
    np.save(tmp_path / "x.npy", x)
    (tmp_path / "x.raw").write_bytes(x.tobytes())
    for name in ("x.npy", "x.raw"):
        run(tool, "run", GOLDEN / "s8ops.ecv", tmp_path / name, "--save", tmp_path / "out")
        for index, values in enumerate(expected.values()):
            saved = np.load(tmp_path / f"out{index}.npy")
            assert saved.dtype == values.dtype
            assert saved.tobytes() == values.tobytes()


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros((1, 8, 40, 41), np.float32), "has another"),
        (np.zeros((1, 8, 40, 40), np.float64), "float32, int8 or int32"),
        (np.asfortranarray(np.zeros((1, 8, 40, 40), np.float32)), "C order"),
        (np.zeros((40, 40, 3), np.uint8), "wrong_state"),
        (np.full((1, 8, 40, 40), np.nan, np.float32), "nan_input"),
    ],
)
def test_arrays_that_do_not_fit(
    tool: Path, cnn: Path, tmp_path: Path, array: np.ndarray, says: str
) -> None:
    np.save(tmp_path / "x.npy", array)
    result = subprocess.run(
        [tool, "run", cnn, tmp_path / "x.npy"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert says in result.stderr
    assert result.stderr.count("\n") == 1


def test_verify_fails_and_names_the_op(tool: Path, cnn: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.ecv"
    broken.write_bytes(break_weight(cnn.read_bytes(), "pointwise"))
    result = subprocess.run([tool, "verify", broken], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stdout.startswith("FAIL")
    assert "pointwise" in result.stdout
    assert run(tool, "verify", cnn).startswith("PASS")


def test_is_one_static_file(tool: Path, need_program: Callable[[str, str], str]) -> None:
    """No interpreter and no shared library: it starts where nothing else is."""
    readelf = need_program("readelf", "binutils")
    headers = run(readelf, "--program-headers", tool)
    assert "INTERP" not in headers
    assert "DYNAMIC" not in headers
