"""Every int8 layer of the real networks against onnxruntime on the same parameters and inputs.

Convolutions and fully connected layers must not differ in a single output. Elsewhere onnxruntime
computes in float from dequantized values, so that a result may fall on the other side of a half:
one step at most.
"""

from __future__ import annotations

import numpy as np
import pytest
import realmodels
from parity.layer_models import EXACT, MOVES, onnxruntime_output

import edgecv
from edgecv.format.reader import read
from edgecv.format.to_graph import to_graph

pytestmark = pytest.mark.network


@pytest.mark.parametrize("name", realmodels.NAMES)
def test_every_layer_against_onnxruntime(name: str) -> None:
    path = realmodels.int8_path(name)
    graph = to_graph(read(path.read_bytes()))
    pictures = realmodels.scores("calib64")
    image = pictures.image(5)
    compared = {"exact": 0, "other": 0}
    off_by_one = total = 0
    with edgecv.load(path) as model:
        values = model.trace(model.preprocess_image(image), raw=True)
    for node in graph.nodes:
        if node.op in MOVES:
            continue
        inputs = [
            values[i] if graph.values[i].data is None else graph.values[i].data
            for i in node.inputs
            if i and graph.values[i].dtype == "s8"
        ]
        got = values[node.outputs[0]].astype(np.int16)
        difference = np.abs(got - onnxruntime_output(graph, node, inputs))
        if node.op in EXACT:
            assert difference.max() == 0, f"{node.name} ({node.op}) differs"
            compared["exact"] += 1
        else:
            assert difference.max() <= 1, f"{node.name} ({node.op}) is {difference.max()} steps off"
            off_by_one += int((difference == 1).sum())
            total += difference.size
            compared["other"] += 1
    print(f"{name}: {compared}, off by one elsewhere: {off_by_one} of {total}")
    assert compared["exact"] >= 50
    assert compared["other"] >= 10


@pytest.mark.parametrize("name", realmodels.NAMES)
def test_fp32_against_onnxruntime(name: str) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(
        str(realmodels.onnx_path(name)), providers=["CPUExecutionProvider"]
    )
    pictures = realmodels.scores("calib64")
    with edgecv.load(realmodels.fp32_path(name)) as model:
        for i in (0, 17):
            x = model.preprocess_image(pictures.image(i))
            expected = session.run(None, {"input": x})[0]
            got = model.run(x)["logits"]
            # f32 sums in another order: 1e-4 of the largest logit is the promise of docs/ops.md.
            assert np.abs(got - expected).max() <= 1e-4 * np.abs(expected).max()
