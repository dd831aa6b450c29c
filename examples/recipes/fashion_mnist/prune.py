"""Removes channels of a trained network by edgecv, in ONNX, and brings the rest back to torch."""

from __future__ import annotations

from typing import Any, Dict, Tuple

import numpy as np
import onnx
from numpy.typing import NDArray
from torch import nn

from edgecv import compress

from .data import Pictures, View
from .export import to_onnx
from .train import Loss, tensor

_BATCH = 256


def gradients(net: nn.Module, pictures: Pictures, loss: Loss, seed: int) -> Dict[str, NDArray[Any]]:
    """The gradient of the loss over pictures, by the names of parameters, in ONNX as in torch."""
    net.eval()
    net.zero_grad()
    view = View(pictures, seed, 0)
    for start in range(0, len(pictures), _BATCH):
        index = np.arange(start, min(start + _BATCH, len(pictures)))
        loss(index, 0, net(tensor(view.batch(index)))).backward()
    found = {}
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None
        found[name] = parameter.grad.numpy().copy()
    net.zero_grad()
    return found


def prune(
    net: nn.Module, share: float, gradient: Dict[str, NDArray[Any]]
) -> Tuple[onnx.ModelProto, Any]:
    """(the ONNX model without the channels that matter least, the report).

    share: of the multiply-accumulates that go. What reads or carries a channel follows along:
    depthwise layers, batch normalization, both sides of a sum.
    """
    proto = to_onnx(net, folded=False)
    return compress.prune(proto, macs=share, importance="taylor", gradients=gradient, greedy=True)
