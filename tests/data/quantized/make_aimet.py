"""Makes the encodings that AIMET writes beside float.onnx.

    pip install aimet-onnx    (2.42 made those stored)
    python tests/data/quantized/make_aimet.py

- ``aimet_0.6.1.encodings``, ``aimet_1.0.0.encodings``, ``aimet_2.0.0.encodings``: 8 bits, weights a
  channel, in the three versions.
- ``aimet_w4.encodings``: weights of 4 bits; ``aimet_a16.encodings``: activations of 16.

``aimet.npz`` holds the answers of AIMET's simulation to the first input of the tests.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import onnx
from aimet_onnx.quantsim import QuantizationSimModel

FOLDER = Path(__file__).resolve().parent


def pictures(count: int, seed: int) -> list[np.ndarray]:
    """Inputs, as the tests make them."""
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(1, 3, 32, 32)).astype(np.float32) for _ in range(count)]


def simulate(weights: str, activations: str, versions: dict[str, str]) -> np.ndarray:
    """Writes version -> NAME.encodings; returns the simulation's answer."""
    model = onnx.load(FOLDER / "float.onnx")
    name = model.graph.input[0].name
    sim = QuantizationSimModel(
        model, param_type=weights, activation_type=activations, quant_scheme="min_max"
    )

    def forward(session: object, _: object = None) -> None:
        for x in pictures(8, 1):
            session.run(None, {name: x})

    sim.compute_encodings(forward, None)
    for version, target in versions.items():
        with tempfile.TemporaryDirectory() as folder:
            sim.export(folder, "m", export_model=False, encoding_version=version)
            data = json.loads(Path(folder, "m.encodings").read_text())
        text = json.dumps(data, separators=(",", ":"))
        (FOLDER / f"{target}.encodings").write_text(text + "\n")
    return sim.session.run(None, {name: pictures(1, 3)[0]})[0]


def main() -> None:
    """Writes all files."""
    plain = {version: f"aimet_{version}" for version in ("0.6.1", "1.0.0", "2.0.0")}
    np.savez_compressed(
        FOLDER / "aimet.npz",
        w8=simulate("int8", "int8", plain),
        w4=simulate("int4", "int8", {"1.0.0": "aimet_w4"}),
        a16=simulate("int8", "int16", {"2.0.0": "aimet_a16"}),
    )


if __name__ == "__main__":
    main()
