"""Make files of the zoo's real models for comparisons: the same weights and calibration for all.

For every zoo model: ``NAME.onnx`` from the zoo; ``NAME.qdq.onnx`` by onnxruntime.quantization
(static QDQ, MinMax, per-channel s8 weights, u8 activations) on calib64; on the same arrays
``NAME.int8.ecv`` by edgecv's defaults and ``NAME.plain.ecv`` with weights rounded to nearest and
minmax ranges; and ``NAME.fp32.ecv``.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from pathlib import Path
from typing import Any, Iterator

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "accuracy"))

import scoresets

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

    The .ecv files are made every time, as edgecv changes, unless ``keep_ecv``; when the edgecv at
    hand cannot convert, that is said on stderr and they are left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    models = zoo.list_models()
    calibration = scoresets.load("calib64", _say)
    for model in models:
        source, qdq = folder / f"{model.name}.onnx", folder / f"{model.name}.qdq.onnx"
        if not source.is_file():
            zoo.build(model.name, source, report=_say)
        if not qdq.is_file():
            _say(f"quantizing {model.name} with onnxruntime")
            make_qdq(source, qdq, inputs(model, calibration))
        if not keep_ecv or not (folder / f"{model.name}.int8.ecv").is_file():
            _make_ecv(model, folder, calibration)
    return models


def _make_ecv(model: zoo.ZooModel, folder: Path, calibration: scoresets.ScoreSet) -> None:
    import edgecv

    source = folder / f"{model.name}.onnx"
    int8, fp32 = folder / f"{model.name}.int8.ecv", folder / f"{model.name}.fp32.ecv"
    plain = folder / f"{model.name}.plain.ecv"
    for path in (int8, plain, fp32):
        path.unlink(missing_ok=True)
    convert = getattr(edgecv, "convert", None)
    if not callable(convert):
        _say(f"SKIPPED: this edgecv cannot convert, so {model.name} has no .ecv files")
        return
    _say(f"converting {model.name} with edgecv")
    try:
        convert(str(source), str(fp32), preprocess=model.preprocess)
        arrays = list(inputs(model, calibration))
        convert(str(source), str(int8), arrays, preprocess=model.preprocess)
        options = {"preprocess": model.preprocess, "weights": "plain", "method": "minmax"}
        convert(str(source), str(plain), arrays, **options)
    except edgecv.Error as error:
        _say(f"SKIPPED: edgecv could not convert {model.name}: {error}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
