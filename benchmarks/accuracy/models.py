"""Make files of the zoo's real models for comparisons: the same weights and calibration for all.

For every zoo model: ``NAME.onnx`` from the zoo; ``NAME.qdq_u8s8.onnx`` by
onnxruntime.quantization (static QDQ, MinMax, per-channel s8 weights, u8 activations) on calib64; on
the same arrays ``NAME.ecv`` by edgecv's defaults and ``NAME.plain.ecv`` with weights rounded to
nearest and minmax ranges; and ``NAME.fp32.ecv``.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from pathlib import Path
from typing import Any, Iterator

import numpy as np
import scoresets

import edgecv
from edgecv import zoo


def inputs(model: zoo.ZooModel, score_set: scoresets.ScoreSet) -> Iterator[np.ndarray]:
    """Yield the pre-processed pictures of a set as the model wants them: 1x3x224x224 float32."""
    mean = np.array(model.preprocess.mean, np.float32)
    std = np.array(model.preprocess.std, np.float32)
    for picture in score_set.references():
        x = (picture.astype(np.float32) - mean) / std
        yield np.ascontiguousarray(x.transpose(2, 0, 1)[None])


def make_qdq(source: Path, out: Path, arrays: Iterator[np.ndarray]) -> None:
    """Write the statically quantized QDQ model of ``source`` (an onnx file) to ``out``."""
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(quantization.CalibrationDataReader):
        """Hands the calibration arrays over one by one."""

        def get_next(self) -> dict[str, Any] | None:
            x = next(arrays, None)
            return None if x is None else {"input": x}

    logging.getLogger().setLevel(logging.ERROR)  # it warns through the root logger
    with tempfile.TemporaryDirectory() as folder:
        prepared, part = Path(folder, "prepared.onnx"), Path(folder, "qdq.onnx")
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        quantization.quantize_static(
            str(prepared),
            str(part),
            Reader(),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            weight_type=quantization.QuantType.QInt8,
            activation_type=quantization.QuantType.QUInt8,
            calibrate_method=quantization.CalibrationMethod.MinMax,
        )
        out.write_bytes(part.read_bytes())


def make_models(folder: Path, keep_ecv: bool = False) -> list[zoo.ZooModel]:
    """Make what ``folder`` lacks and return the models.

    The .ecv files are made every time, as edgecv changes, unless ``keep_ecv``.
    """
    models = zoo.list_models("classification")
    calibration = scoresets.load("calib64", _say)
    for model in models:
        source, qdq = find_source(folder, model), folder / f"{model.name}.qdq_u8s8.onnx"
        if not qdq.is_file():
            _say(f"quantizing {model.name} with onnxruntime")
            make_qdq(source, qdq, inputs(model, calibration))
        for suffix, options in _VARIANTS.items():
            path = folder / f"{model.name}.{suffix}"
            if not keep_ecv or not path.is_file():
                make_ecv(model, source, path, None if options is None else calibration, options)
    return models


def find_source(folder: Path, model: zoo.ZooModel) -> Path:
    """Return the model's onnx file in ``folder``, made when it is missing."""
    source = folder / f"{model.name}.onnx"
    if not source.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        zoo.build(model.name, source, report=_say)
    return source


# Suffix of the file -> options beside the calibration; None: no calibration, which gives fp32.
_VARIANTS: dict[str, dict[str, Any] | None] = {
    "ecv": {},
    "plain.ecv": {"weights": "plain", "method": "minmax"},
    "fp32.ecv": None,
}


def make_ecv(
    model: zoo.ZooModel,
    source: Path,
    path: Path,
    calibration: scoresets.ScoreSet | None,
    options: dict[str, Any] | None = None,
) -> None:
    """Convert a model's onnx file; without calibration pictures to fp32."""
    path.unlink(missing_ok=True)
    _say(f"converting {path.name}")
    arrays = None if calibration is None else inputs(model, calibration)
    edgecv.convert(str(source), str(path), arrays, preprocess=model.preprocess, **options or {})


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
