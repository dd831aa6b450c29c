"""Whether the peers' answers are sane, and how large they are on disk."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import measure
import numpy as np
import peers
import report

# TensorFlow pads otherwise than torch at stride 2: its files have a float answer of their own.
_FLOAT_OF = {"litert": "litert fp32"}
_FLOAT = "ort fp32"


def _outputs(path: Path, transposed: bool) -> np.ndarray:
    """All outputs in one vector, the smallest first; heads of detectors as [channels][pixels]."""
    with np.load(path) as data:
        arrays = sorted((data[key].squeeze() for key in data.files), key=lambda a: a.size)
    return np.concatenate([(a.T if a.ndim == 2 and transposed else a).ravel() for a in arrays])


def check(
    setup: measure.Setup, chosen: list[peers.Peer], models: list[measure.Model]
) -> dict[str, dict[str, Any]]:
    """Return model -> peer -> correlation of the outputs with the fp32 ones, or a word."""
    needed = [peers.find(name) for name in (_FLOAT, *_FLOAT_OF.values())]
    result: dict[str, dict[str, Any]] = {}
    dump = setup.root / "logs" / "outputs.npz"
    for model in models:
        outputs: dict[str, np.ndarray] = {}
        row: dict[str, Any] = {}
        for peer in [*needed, *(peer for peer in chosen if peer not in needed)]:
            try:
                worker = measure.Worker(setup, peer, model, str(dump))
                worker.wait()
                worker.close()
                outputs[peer.name] = _outputs(dump, peer.runtime == "litert")
            except (OSError, RuntimeError) as error:
                row[peer.name] = str(error)
        for peer in chosen:
            if peer.name not in outputs:
                continue
            wanted = outputs.get(_FLOAT_OF.get(peer.runtime, _FLOAT))
            found = outputs[peer.name]
            if wanted is None or wanted.size != found.size:
                row[peer.name] = f"{found.size} values"
            else:
                row[peer.name] = float(np.corrcoef(wanted, found)[0, 1])
        result[model.name] = row
        print(model.name, row, file=sys.stderr, flush=True)
    return result


def check_table(result: dict[str, dict[str, Any]]) -> str:
    """Return the correlations as a table."""
    names = list(dict.fromkeys(name for row in result.values() for name in row))
    body = []
    for model, row in result.items():
        cells = [row.get(name, math.nan) for name in names]
        texts = [f"{cell:.4f}" if isinstance(cell, float) else str(cell) for cell in cells]
        body.append([model, *texts])
    return "Correlation of the outputs with fp32\n\n" + report.markdown(["network", *names], body)


# Distribution -> its files below site-packages.
_FILES = {
    "edgecv": ["edgecv"],
    "onnxruntime": ["onnxruntime"],
    "ai-edge-litert": ["ai_edge_litert"],
    "ncnn": ["ncnn", "ncnn.libs"],
    "MNN": ["MNN", "mnn.libs", "_mnncengine*.so", "_tools*.so"],
    "openvino": ["openvino"],
    "opencv-python-headless": ["cv2", "opencv_python_headless.libs"],
    "numpy": ["numpy", "numpy.libs"],
}


def sizes(setup: measure.Setup) -> dict[str, dict[str, float]]:
    """Return the installed MB of every peer, and of its native code."""
    result = {}
    for name, patterns in _FILES.items():
        total = native = 0
        for pattern in patterns:
            for root in (setup.root / "venv").glob(f"lib/python3.*/site-packages/{pattern}"):
                for path in [root] if root.is_file() else root.rglob("*"):
                    if path.is_symlink() or not path.is_file() or "__pycache__" in path.parts:
                        continue
                    total += path.stat().st_size
                    native += path.stat().st_size if ".so" in path.name else 0
        if total:
            result[name] = {"mb": total / 1e6, "native_mb": native / 1e6}
    return result


def sizes_table(result: dict[str, dict[str, float]]) -> str:
    """Return the sizes as a table."""
    body = [[name, f"{row['mb']:.1f}", f"{row['native_mb']:.1f}"] for name, row in result.items()]
    return report.markdown(["package", "installed MB", "of it native MB"], body)
