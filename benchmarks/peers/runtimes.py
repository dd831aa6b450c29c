"""The runtimes that are compared: one way to open a model in each, all limited to N threads.

A model is a folder's ``NAME.onnx`` (float), ``NAME.qdq.onnx`` (int8, made by
onnxruntime.quantization), ``NAME.int8.ecv`` and ``NAME.fp32.ecv``; see ``models.py``.

"ort int8 default" and "openvino int8" are what users get; on x86 CPUs without VNNI their int8
products saturate. "ort int8 exact" sets ``session.x64quantprecision``, which avoids that.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

import numpy as np

Run = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Runtime:
    """A runtime's name in tables, the suffix of its model file and what opens it."""

    name: str
    suffix: str
    opener: Callable[[Path, int], Run]

    def open(self, folder: Path, model: str, threads: int = 1) -> Run:
        """Return a function from an input (1x3xHxW float32) to the logits (1xN float32)."""
        return self.opener(folder / (model + self.suffix), threads)


def _open_ort(path: Path, threads: int, exact: bool = False) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if exact:
        options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(x: np.ndarray) -> np.ndarray:
        y: np.ndarray = session.run(None, {name: x})[0]
        return y

    return run


def _open_ort_exact(path: Path, threads: int) -> Run:
    return _open_ort(path, threads, exact=True)


def _open_openvino(path: Path, threads: int) -> Run:
    import openvino

    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": "f32",
    }
    compiled = openvino.Core().compile_model(str(path), "CPU", settings)
    request = compiled.create_infer_request()

    def run(x: np.ndarray) -> np.ndarray:
        request.infer([x], share_inputs=True)
        y: np.ndarray = request.get_output_tensor(0).data
        return y

    return run


def _open_edgecv(path: Path, threads: int) -> Run:
    import edgecv

    model = edgecv.load(str(path), threads=threads)

    def run(x: np.ndarray) -> np.ndarray:
        y: np.ndarray = model.run(x)["logits"]
        return y

    return run


RUNTIMES = (
    Runtime("edgecv int8", ".int8.ecv", _open_edgecv),
    Runtime("edgecv int8 plain", ".plain.ecv", _open_edgecv),
    Runtime("edgecv fp32", ".fp32.ecv", _open_edgecv),
    Runtime("ort int8 default", ".qdq.onnx", _open_ort),
    Runtime("ort int8 exact", ".qdq.onnx", _open_ort_exact),
    Runtime("ort fp32", ".onnx", _open_ort),
    Runtime("openvino int8", ".qdq.onnx", _open_openvino),
)


def find_runtime(name: str) -> Runtime:
    """Return the runtime of that name."""
    return next(runtime for runtime in RUNTIMES if runtime.name == name)


def versions() -> dict[str, str]:
    """Return the installed version of every package that is compared."""
    from importlib import metadata

    import peers

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
