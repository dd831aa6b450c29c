#!/usr/bin/env python3
"""Quantize the zoo's MobileNetV2 by AIMET: FOLDER/aimet.onnx and, beside it, aimet.encodings.

    pip install aimet-onnx    (2.42)
    python aimet_files.py MOBILENET.onnx PICTURES.npz FOLDER [VERSION]

PICTURES.npz is what ``imported.py --save`` writes; VERSION is that of the encodings (1.0.0).
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import onnx
from aimet_onnx.batch_norm_fold import fold_all_batch_norms_to_weight
from aimet_onnx.quantsim import QuantizationSimModel


def main() -> None:
    """Writes both files."""
    source, pictures, folder, *rest = sys.argv[1:]
    model = onnx.load(source)
    fold_all_batch_norms_to_weight(model)
    onnx.save(model, f"{folder}/aimet.onnx")
    sim = QuantizationSimModel(model, param_type="int8", activation_type="int8")
    calibration = np.load(pictures)["calib"]

    def forward(session: Any, _: Any = None) -> None:
        for x in calibration:
            session.run(None, {"input": x[None]})

    sim.compute_encodings(forward, None)
    version = rest[0] if rest else "1.0.0"
    sim.export(folder, "aimet", export_model=False, encoding_version=version)


if __name__ == "__main__":
    main()
