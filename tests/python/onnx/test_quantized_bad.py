"""Quantized nodes that are refused: one line that names them, nothing written."""

from __future__ import annotations

from pathlib import Path
from typing import Dict

import numpy as np
import onnx
import pytest
from onnx import helper

import edgecv
from edgecv.errors import Error

from .quantized_nets import Net, imported, qlinear


def damaged(what: str) -> onnx.ModelProto:
    net = Net((1, 4, 6, 6))
    scale = {"zero": 0.0, "nan": np.nan, "negative": -0.1, "infinite": np.inf}.get(what, 0.03)
    zero = np.array(3, np.int8 if what == "type" else np.uint8)
    zero = np.array([3, 4], np.uint8) if what == "shape" else zero
    parameters = [net.scale(scale), net.const(zero)]
    if what == "missing":
        parameters[0] = "lost"
    q = net.op("QuantizeLinear", "x", net.scale(0.03), net.const(np.array(3, np.uint8)))
    if what == "channels":
        x = net.op("DequantizeLinear", q, net.scale(0.03), net.const(np.array(3, np.uint8)))
        w = net.weights(net.integers(4, 4, 1, 1).astype(np.int8), [0.1, 0.2, 0.3])
        return net.model(net.op("Conv", x, w))
    if what == "other":
        parameters[0] = net.scale(0.04)
    return net.model(net.op("DequantizeLinear", q, *parameters))


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("zero", "is a scale of 0; it must be above 0"),
        ("negative", "is a scale of -0.1; it must be above 0"),
        ("nan", "is a scale that is not finite"),
        ("infinite", "is a scale that is not finite"),
        ("type", "is a zero point of dtype s8 for integers of u8"),
        ("shape", "is a zero point of shape [2], its scale []"),
        ("missing", "reads 'lost', which nothing before it computes"),
        ("channels", "has 3 entries for the 4 of axis 0"),
        ("other", "was quantized with another scale or zero point"),
    ],
)
def test_bad_parameters(what: str, message: str, tmp_path: Path) -> None:
    """One line that names node and tensor; nothing is written."""
    target = tmp_path / "m.ecv"
    with pytest.raises(Error) as error:
        edgecv.convert(damaged(what), target)
    assert message in str(error.value)
    assert "DequantizeLinear" in str(error.value)
    assert "\n" not in str(error.value)
    assert not target.exists()


@pytest.mark.parametrize(
    ("name", "attribute", "message"),
    [
        ("QLinearConv", {"channels_last": 1}, "with channels last is not supported"),
        ("QLinearSoftmax", {"opset": 11}, "of opset 11 in a model of opset 17 is not supported"),
    ],
)
def test_forms_of_other_meaning_are_refused(
    name: str, attribute: Dict[str, int], message: str
) -> None:
    """Attributes of com.microsoft that change what an operator computes."""
    model = Net((1, 4, 6, 6), opset=17)
    proto = model.model(qlinear(model, name))
    node = next(node for node in proto.graph.node if node.op_type == name)
    kept = [attr for attr in node.attribute if attr.name not in attribute]
    kept += [helper.make_attribute(key, value) for key, value in attribute.items()]
    node.ClearField("attribute")
    node.attribute.extend(kept)
    with pytest.raises(Error, match=message):
        imported(proto)
