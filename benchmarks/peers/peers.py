"""The peers: every runtime and precision that is compared, as data.

A peer reads one or more files of a model from the models folder; ``{m}`` is the model's name.
``runners.py`` holds the code that opens them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Iterable

OURS = "edgecv"  # the column that ratios are about
PLAIN = "edgecv plain"
OURS_FP32 = "edgecv fp32"
OURS_SSE41 = "edgecv sse41"

# The distributions that `setup.sh` installs.
PACKAGES = (
    "edgecv",
    "ai-edge-litert",
    "onnxruntime",
    "openvino",
    "ncnn",
    "MNN",
    "opencv-python-headless",
)


@dataclass(frozen=True)
class Peer:
    """One column.

    runtime: chooses ``runners.open_<runtime>``. setting: passed to it. exact: gives the saturation
    probe's answer (``bench.py --check``; fp32 peers do, too). default: part of the default
    selection; the others are never the fastest of their kind on the eleven networks and run when
    they are named. venv: environment below the root. path: put before the module search path.
    """

    name: str
    runtime: str
    precision: str
    files: tuple[str, ...]
    setting: str = ""
    exact: bool = True
    default: bool = True
    venv: str = "venv"
    path: str = ""

    @property
    def ours(self) -> bool:
        """Whether it is edgecv, in any form."""
        return self.runtime == "edgecv"

    def find_files(self, folder: Path, model: str) -> list[Path] | None:
        """Return the peer's files of a model, or None when one is missing."""
        found = [folder / name.format(m=model) for name in self.files]
        return found if all(path.is_file() for path in found) else None


_QDQ = "{m}.qdq_u8s8.onnx"
PEERS = (
    Peer(OURS, "edgecv", "int8", ("{m}.ecv",)),
    Peer(PLAIN, "edgecv", "int8", ("{m}.plain.ecv",)),
    Peer(OURS_FP32, "edgecv", "fp32", ("{m}.fp32.ecv",)),
    Peer(OURS_SSE41, "edgecv", "int8", ("{m}.ecv",), setting="sse41"),
    Peer("litert int8", "litert", "int8", ("{m}.int8.tflite",)),
    Peer("litert fp32", "litert", "fp32", ("{m}.tflite",)),
    Peer("ort int8", "ort", "int8", (_QDQ,), exact=False),
    Peer("ort int8 s8s8", "ort", "int8", ("{m}.qdq_s8s8.onnx",), exact=False, default=False),
    Peer("ort int8 exact", "ort", "int8", (_QDQ,), setting="exact"),
    Peer("ort fp32", "ort", "fp32", ("{m}.onnx",)),
    Peer("openvino int8", "openvino", "int8", (_QDQ,), exact=False),
    Peer("openvino fp32", "openvino", "fp32", ("{m}.onnx",)),
    Peer(
        "ncnn int8",
        "ncnn",
        "int8",
        ("{m}.int8.ncnn.bin", "{m}.int8.ncnn.param"),
        exact=False,  # its 3x3 layers overflow in 16 bits (Winograd)
    ),
    Peer("ncnn fp32", "ncnn", "fp32", ("{m}.ncnn.bin", "{m}.ncnn.param")),
    Peer("mnn int8", "mnn", "int8", ("{m}.int8.mnn",)),
    Peer("mnn fp32", "mnn", "fp32", ("{m}.mnn",)),
    Peer("opencv int8", "opencv", "int8", (_QDQ,), setting="classic"),
    Peer("opencv fp32", "opencv", "fp32", ("{m}.onnx",)),
    Peer(
        "tflite214 int8", "litert", "int8", ("{m}.int8.tflite",), default=False, venv="venv-tflite"
    ),
)


def select(words: str, builds: Iterable[str] = ()) -> list[Peer]:
    """Return the peers that a comma-separated list asks for.

    "default", "all", or words: a peer is meant when its name is the word or begins with it and a
    space ("ncnn": both precisions), or has it as its precision. ``builds`` are NAME=FOLDER: every
    chosen edgecv peer also runs as "... @NAME" with the package found in FOLDER.
    """
    chosen = []
    for peer in PEERS:
        for word in (part.strip() for part in words.split(",")):
            named = peer.name == word or peer.name.startswith(word + " ") or peer.precision == word
            if named or word == "all" or (word == "default" and peer.default):
                chosen.append(peer)
                break
    if not chosen:
        names = ", ".join(peer.name for peer in PEERS)
        raise SystemExit(f"no peer is meant by {words!r}; there are: {names}")
    for build in builds:
        name, _, folder = build.partition("=")
        chosen += [
            replace(peer, name=f"{peer.name} @{name}", path=folder)
            for peer in PEERS
            if peer in chosen and peer.ours
        ]
    return chosen


def find(name: str) -> Peer:
    """Return the peer of that name, whatever build of it."""
    plain = name.split(" @")[0]
    return next(peer for peer in PEERS if peer.name == plain)
