"""Calibration end to end: every method and source on one small network; the bytes are the same
however often and in whichever process a model is converted.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Iterator

import numpy as np
import onnx
import pytest
from graph.onnx_models import Builder, run_onnxruntime
from int8.checks import sqnr
from numpy.typing import NDArray
from PIL import Image

import edgecv
from edgecv.convert import convert
from edgecv.errors import CalibrationError
from edgecv.preprocess import Preprocess

SHAPE = (1, 3, 12, 12)
METHODS = ("auto", "minmax", "percentile", "kl", "mse")


def net() -> onnx.ModelProto:
    b = Builder(13, seed=3)
    x = b.op("Relu", b.op("Conv", b.input(*SHAPE), b.weights(8, 3, 3, 3), b.weights(8)))
    x = b.op("HardSwish" if b.opset >= 14 else "Tanh", b.op("Conv", x, b.weights(8, 8, 1, 1)))
    flat = b.op("Flatten", b.op("GlobalAveragePool", x))
    return b.model(b.op("Gemm", flat, b.weights(5, 8), b.weights(5), transB=1))


def data(count: int = 24) -> NDArray[np.float32]:
    return np.random.default_rng(7).standard_normal((count, *SHAPE[1:])).astype(np.float32)


def digest(out: Path, source: Any, **options: Any) -> str:
    convert(net(), out, source, golden_seeds=(1,), **options)
    return hashlib.sha256(out.read_bytes()).hexdigest()


@pytest.mark.parametrize("method", METHODS)
def test_method(method: str, tmp_path: Path) -> None:
    out = tmp_path / "model.ecv"
    first = digest(out, data(), method=method)
    assert digest(out, data(), method=method) == first
    values = data()
    model = net()
    want = np.concatenate([run_onnxruntime(model, {"x0": v[None]})[0] for v in values])
    with edgecv.load(out) as loaded:
        assert loaded.verify().passed
        (name,) = [port.name for port in loaded.outputs]
        got = np.concatenate([loaded.run(v[None])[name] for v in values])
        quantization = loaded.inputs[0].quantization
    # Gaussian data have no outliers worth cutting: all methods keep nearly the whole range.
    # KL looks for the distribution's shape and may cut at half of the largest value.
    assert quantization is not None
    reach = quantization.scale * 255 / float(values.max() - values.min())
    low = {"auto": 0.999, "minmax": 0.999, "percentile": 0.8, "kl": 0.4, "mse": 0.6}[method]
    assert low <= reach <= 1.001, reach
    if method == "minmax":
        assert reach >= 0.999
    # Means over 100 pixels have small signals of their own; 15 dB is a fifth of the signal.
    assert sqnr(got, want) >= (25.0 if method != "kl" else 15.0)


def test_percent_narrows_the_range(tmp_path: Path) -> None:
    scales = []
    for percent in (99.99, 99.0, 90.0):
        digest(tmp_path / "m.ecv", data(), method="percentile", percent=percent)
        with edgecv.load(tmp_path / "m.ecv") as loaded:
            quantization = loaded.inputs[0].quantization
        assert quantization is not None
        scales.append(quantization.scale)
    assert scales[0] > scales[1] > scales[2] > 0.3 * scales[0]


def test_sources_of_the_same_arrays_give_the_same_bytes(tmp_path: Path) -> None:
    values = data(6)
    np.save(tmp_path / "c.npy", values)
    np.savez(tmp_path / "c.npz", values)
    np.savez(tmp_path / "named.npz", x0=values)

    def generator() -> Iterator[NDArray[np.float32]]:
        yield from values

    sources = {
        "array": values,
        "npy": str(tmp_path / "c.npy"),
        "npz": tmp_path / "c.npz",
        "named npz": tmp_path / "named.npz",
        "list": [v[None] for v in values],
        "samples without batch": list(values),
        "generator": generator(),
        "dicts": ({"x0": v[None]} for v in values),
        "double precision": values.astype(np.float64),
    }
    out = tmp_path / "model.ecv"
    # A method of two passes: a generator must survive them.
    digests = {name: digest(out, s, method="mse") for name, s in sources.items()}
    assert len(set(digests.values())) == 1, digests


def test_folder_equals_the_arrays_that_its_pictures_become(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    folder = tmp_path / "pictures"
    folder.mkdir()
    preprocess = Preprocess.parse("resize=12x12,mean=127,std=128")
    arrays = []
    for i in range(4):
        pixels = random.integers(0, 256, (15, 20, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
        arrays.append(preprocess.apply(pixels).transpose(2, 0, 1)[None])
    one, two = tmp_path / "one.ecv", tmp_path / "two.ecv"
    assert digest(one, folder, preprocess=preprocess) == digest(two, arrays, preprocess=preprocess)


@pytest.mark.parametrize("wrong", [(), (np.zeros((1, 3, 11, 12)),), (np.full(SHAPE, np.nan),)])
def test_unusable_data_leave_no_file(wrong: Any, tmp_path: Path) -> None:
    with pytest.raises(CalibrationError):
        convert(net(), tmp_path / "model.ecv", wrong)
    assert list(tmp_path.iterdir()) == []


PROGRAM = """
import hashlib, sys
import numpy as np
from edgecv.convert import convert
x = np.random.default_rng(7).standard_normal((8, 3, 12, 12)).astype(np.float32)
convert(sys.argv[1], sys.argv[2], x, keep_float=["Softmax"], golden_seeds=(1,))
print(hashlib.sha256(open(sys.argv[2], "rb").read()).hexdigest())
"""


def test_hash_seeds_do_not_change_a_byte(tmp_path: Path) -> None:
    b = Builder(13, seed=3)
    x = b.op("Relu", b.op("Conv", b.input(*SHAPE), b.weights(8, 3, 3, 3)))
    left, right = b.op("Split", x, outputs=2, axis=1)
    right = b.op("Sigmoid", b.op("Conv", right, b.weights(4, 4, 1, 1)))
    y = b.op("Concat", left, right, axis=1)
    z = b.op("Softmax", b.op("Flatten", b.op("GlobalAveragePool", y)))
    onnx.save(b.model(z, y), str(tmp_path / "m.onnx"))
    digests = set()
    for seed in ("0", "1", "12345"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", PROGRAM, str(tmp_path / "m.onnx"), str(tmp_path / "m.ecv")]
        run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        digests.add(run.stdout.strip())
    assert len(digests) == 1
