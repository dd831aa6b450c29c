"""Compress ONNX vision models into a compact int8 file and run it bit-identically on every CPU.

    import edgecv

    edgecv.convert("model.onnx", "model.ecv", "photographs/", preprocess="imagenet")
    with edgecv.load("model.ecv") as model:
        scores = model.run_image("cat.jpg")

Running needs numpy alone; converting needs ``edgecv[convert]``.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any, List

from edgecv import _core
from edgecv.errors import (
    CalibrationError,
    DownloadError,
    Error,
    FileError,
    FormatError,
    InputError,
    InputTypeError,
    OutOfMemoryError,
    StateError,
    UnsupportedModelError,
)
from edgecv.frames import Frame
from edgecv.infos import OpInfo, Quantization, StepInfo, TensorInfo, VerifyReport
from edgecv.model import Model, load

if TYPE_CHECKING:
    from edgecv import zoo
    from edgecv.convert import convert
    from edgecv.preprocess import Preprocess
    from edgecv.report import ConversionReport

__version__: str = _core.version()

__all__ = [
    "CalibrationError",
    "ConversionReport",
    "DownloadError",
    "Error",
    "FileError",
    "FormatError",
    "Frame",
    "InputError",
    "InputTypeError",
    "Model",
    "OpInfo",
    "OutOfMemoryError",
    "Preprocess",
    "Quantization",
    "StateError",
    "StepInfo",
    "TensorInfo",
    "UnsupportedModelError",
    "VerifyReport",
    "__version__",
    "convert",
    "load",
    "zoo",
]

# Loaded on first use: public name -> the module that holds it.
_LAZY = {
    "convert": "edgecv.convert",
    "ConversionReport": "edgecv.report",
    "Preprocess": "edgecv.preprocess",
}


def __getattr__(name: str) -> Any:
    if name == "zoo":
        return importlib.import_module("edgecv.zoo")
    if name not in _LAZY:
        raise AttributeError(f"module 'edgecv' has no attribute {name!r}")
    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> List[str]:
    return sorted(__all__)


class _Package(ModuleType):
    """Keeps ``edgecv.convert`` the function when the import system binds the module's name."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "convert" and isinstance(value, ModuleType):
            value = value.convert
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
