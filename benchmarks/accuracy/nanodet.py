#!/usr/bin/env python3
"""How many of the persons that NanoDet finds in a real video does its int8 model find as well?

Twenty frames of ``vtest.avi`` (Debian's opencv-doc); the pictures of foolbox20 and the first twelve
of calib64 calibrate, none of the video. A person is found at a score above 0.35, after suppression
at an IoU of 0.6, and matched with one of the float model's at an IoU above 0.5, one to one.

    python benchmarks/accuracy/nanodet.py [--plan NAME.plan ...] [--save-calibration FILE.npy]

A plan is what ``edgecv doctor --fix`` made for ``edgecv zoo nanodet``. A table in Markdown goes to
standard output. Needs opencv-python-headless, to decode the video.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Mapping

import numpy as np
import scoresets

import edgecv
from edgecv import zoo
from edgecv.errors import DownloadError
from edgecv.zoo import packages
from edgecv.zoo.nanodet import BINS, SIZE, STRIDES

MEMBER = "usr/share/doc/opencv-doc/examples/data/vtest.avi"
SHA256 = "45cddc9490be69345cbdab64ca583be65987e864ca408038e648db99e10516cf"
EVERY, FRAMES = 40, 20
PERSON, SCORE, SUPPRESS, MATCH = 0, 0.35, 0.6, 0.5
CALIBRATION = (("foolbox20", 20), ("calib64", 12))
# What follows the last convolutions, and they themselves: scores, and logits of distances.
HEADS = ("convolution_29", "convolution_31", "convolution_33")
AFTER_HEADS = ("Sigmoid", "Split_*", "Reshape")
Boxes = np.ndarray[Any, Any]  # rows of left, top, right, bottom, in pixels of the network's input


def video() -> Path:
    """The video file, fetched once into the zoo's cache."""
    path = packages.cache_dir() / "tests" / "vtest.avi"
    if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == SHA256:
        return path
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise DownloadError(f"the video in Debian's opencv-doc needs {program}")
    with tempfile.TemporaryDirectory(prefix="edgecv-deb-") as folder:
        command = ["apt-get", "download", "-q", "opencv-doc"]
        done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
        debs = list(Path(folder).glob("*.deb"))
        if done.returncode != 0 or len(debs) != 1:
            raise DownloadError("cannot download Debian's opencv-doc (run apt-get update first?)")
        subprocess.run(["dpkg-deb", "-x", str(debs[0]), folder], check=True)
        data = Path(folder, MEMBER).read_bytes()
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise DownloadError("Debian's opencv-doc holds another vtest.avi")
    packages.write_atomically(path, data)
    return path


def frames() -> list[np.ndarray[Any, Any]]:
    """The scored frames, HWC RGB."""
    import cv2

    capture = cv2.VideoCapture(str(video()))
    pictures = []
    for number in range(EVERY * (FRAMES - 1) + 1):
        good, picture = capture.read()
        if not good:
            raise RuntimeError(f"the video ends at frame {number}")
        if number % EVERY == 0:
            pictures.append(np.ascontiguousarray(picture[..., ::-1]))
    return pictures


def persons(outputs: Mapping[str, np.ndarray[Any, Any]]) -> Boxes:
    """The boxes of the persons in a model's outputs, the surest first."""
    boxes, scores = [], []
    for stride in STRIDES:
        score = outputs[f"scores{stride}"][0, :, PERSON]
        cells = np.flatnonzero(score > SCORE)
        logits = outputs[f"distances{stride}"][0, cells].reshape(-1, 4, BINS).astype(np.float64)
        weights = np.exp(logits - logits.max(axis=2, keepdims=True))
        weights /= weights.sum(axis=2, keepdims=True)
        left, top, right, bottom = (weights @ np.arange(BINS)).T * stride
        rows, columns = np.divmod(cells, SIZE // stride)
        x, y = (columns + 0.5) * stride - 0.5, (rows + 0.5) * stride - 0.5
        boxes.append(np.stack([x - left, y - top, x + right, y + bottom], axis=1))
        scores.append(score[cells])
    found = np.concatenate(boxes)[np.argsort(-np.concatenate(scores), kind="stable")]
    kept: list[np.ndarray[Any, Any]] = []
    for box in found:
        if all(overlap(box[None], other[None])[0, 0] < SUPPRESS for other in kept):
            kept.append(box)
    return np.array(kept).reshape(-1, 4)


def overlap(a: Boxes, b: Boxes) -> np.ndarray[Any, Any]:
    """Intersection over union of each of the boxes with each of the others."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(axis=2)
    size_a, size_b = ((x[:, 2:] - x[:, :2]).prod(axis=1) for x in (a, b))
    result: np.ndarray[Any, Any] = common / (size_a[:, None] + size_b[None] - common)
    return result


def matched(wanted: Boxes, found: Boxes) -> int:
    """How many boxes of either side have one on the other, the best pairs first."""
    table = overlap(wanted, found)
    count = 0
    while table.size and table.max() > MATCH:
        row, column = np.unravel_index(int(table.argmax()), table.shape)
        table[row, :] = 0.0
        table[:, column] = 0.0
        count += 1
    return count


def calibration() -> list[np.ndarray[Any, Any]]:
    """The calibration pictures as the network wants them."""
    recipe = zoo.find_model("nanodet").preprocess
    arrays = []
    for name, count in CALIBRATION:
        pictures = scoresets.load(name, lambda line: print(line, file=sys.stderr))
        arrays += [as_input(recipe, pictures.image(i)) for i in range(count)]
    return arrays


def as_input(recipe: edgecv.Preprocess, picture: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A picture as 1x3x416x416 float32."""
    return np.ascontiguousarray(
        recipe.apply(picture).reshape(SIZE, SIZE, 3).transpose(2, 0, 1)[None]
    )


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="Count the persons that NanoDet finds in int8.")
    parser.add_argument("--model", type=Path, help="the ONNX file (default: built by the zoo)")
    parser.add_argument("--plan", type=Path, action="append", default=[])
    parser.add_argument("--save-calibration", type=Path, metavar="FILE.npy")
    args = parser.parse_args()
    data = calibration()
    if args.save_calibration:
        np.save(args.save_calibration, np.concatenate(data))
    plans: dict[str, dict[str, Any] | None] = {
        "fp32": None,
        "everything int8": {},
        "in float: what follows the heads": {"keep_float": AFTER_HEADS},
        "in float: the heads and what follows": {"keep_float": HEADS + AFTER_HEADS},
        **{f"--method {method}": {"method": method} for method in ("mse", "percentile")},
        **{f"plan {path.name}": {"plan": path} for path in args.plan},
    }
    recipe = zoo.find_model("nanodet").preprocess
    with tempfile.TemporaryDirectory() as folder:
        source = args.model or zoo.build("nanodet", Path(folder, "nanodet.onnx"))
        inputs = [as_input(recipe, picture) for picture in frames()]
        reference: list[Boxes] = []
        print("| model | persons | matched | fp32's missed | others |\n|---|---|---|---|---|")
        for name, options in plans.items():
            target = Path(folder, "m.ecv")
            target.unlink(missing_ok=True)
            edgecv.convert(source, target, None if options is None else data, **options or {})
            with edgecv.load(target) as model:
                found = [persons(model.run(x)) for x in inputs]
            reference = reference or found
            same = sum(map(matched, reference, found))
            all_found, all_wanted = sum(map(len, found)), sum(map(len, reference))
            print(f"| {name} | {all_found} | {same} of {all_wanted} | {all_wanted - same} "
                  f"| {all_found - same} |", flush=True)  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
