"""Quantization-aware training on the very grid that edgecv computes with.

- Activations: s8, one scale and zero point a tensor, from the values seen before training.
- Weights: s8 in [-127, 127], one scale an output channel. The scale also keeps the sum of every
  lane set of a dense layer within what a 16-bit lane holds, so that the fast kernels take the layer
  (docs/quantization.md). It follows the weights during training.
- Batch normalization is folded before: what is rounded is what will run.

A module trained so is exported with QuantizeLinear and DequantizeLinear around its layers, and
`edgecv convert` keeps all its scales, zero points and integers.
"""

from __future__ import annotations

import copy
from typing import Any, Dict, List, Optional, Tuple

import numpy as np
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from edgecv.quant.lanes import lane_bound, lane_maps

from .data import Pictures
from .models import Point, Unit
from .train import tensor

GROUP = 4  # products that a kernel sums in a 16-bit lane
QMAX = 127
_LEAST_SCALE = 1e-8
_VALUES = 200_000  # of an activation that ranges are chosen by


class RoundedPoint(nn.Module):
    """Values on the grid scale * (q - zero_point), q from -128 to 127."""

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.scale = max((high - low) / 255, _LEAST_SCALE)
        self.zero_point = round(-128 - low / self.scale)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.fake_quantize_per_tensor_affine(x, self.scale, self.zero_point, -128, 127)


class RoundedWeights(nn.Module):
    """A convolution or fully connected layer whose weights are rounded, one scale a channel."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        self.depthwise = getattr(layer, "groups", 1) > 1
        weight = layer.weight
        assert isinstance(weight, torch.Tensor)
        taps = (weight.shape[2], weight.shape[3]) if weight.dim() == 4 else (1, 1)
        self.frozen: Optional[torch.Tensor] = None
        self._lanes = [torch.from_numpy(m) for m in lane_maps(taps, weight.shape[1], GROUP)]

    def scales(self) -> torch.Tensor:
        """The scale of each output channel for the weights of now."""
        weight = self.layer.weight.detach()
        # [O, taps, I]: the order in which kernels count what they sum.
        rows = weight.movedim(1, -1).flatten(1) if weight.dim() == 4 else weight
        scale = rows.abs().amax(1) / QMAX
        if not self.depthwise:
            # Rounding adds up to half a step to each of the GROUP weights of a set.
            most = lane_bound(255) - GROUP / 2
            for lanes in self._lanes:
                for signed in (rows.clamp(min=0), (-rows).clamp(min=0)):
                    sums = torch.zeros(len(rows), int(lanes.max()) + 1).index_add_(1, lanes, signed)
                    scale = torch.maximum(scale, sums.amax(1) / most)
        return scale.clamp(min=_LEAST_SCALE)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight, bias = self.layer.weight, self.layer.bias
        scale = self.scales() if self.frozen is None else self.frozen
        zero = torch.zeros(len(scale), dtype=torch.int32)
        weight = torch.fake_quantize_per_channel_affine(weight, scale, zero, 0, -128, 127)
        if isinstance(self.layer, nn.Conv2d):
            of = self.layer
            return nn.functional.conv2d(x, weight, bias, of.stride, of.padding, 1, of.groups)
        return nn.functional.linear(x, weight, bias)


def quantize_aware(net: nn.Module, seen: Pictures) -> nn.Module:
    """A copy of a trained network that computes as edgecv's int8 will, ready to be trained on."""
    net = copy.deepcopy(net).eval()
    for module in net.modules():
        if isinstance(module, Unit) and isinstance(module.norm, nn.BatchNorm2d):
            module.conv = fuse_conv_bn_eval(module.conv, module.norm)
            module.norm = nn.Identity()
    ranges = _ranges(net, seen)
    for parent, key, module in _children(net):
        if isinstance(module, Point):
            if module in ranges:
                setattr(parent, key, RoundedPoint(*ranges[module]))
        elif isinstance(module, (nn.Conv2d, nn.Linear)):
            setattr(parent, key, RoundedWeights(module))
    return net


def freeze(net: nn.Module) -> nn.Module:
    """Makes the scales of weights constants, for the export; the module is not trained any more."""
    for module in net.modules():
        if isinstance(module, RoundedWeights):
            module.frozen = module.scales()
    return net.eval()


def _children(net: nn.Module) -> List[Tuple[nn.Module, str, nn.Module]]:
    return [(p, key, child) for p in net.modules() for key, child in p.named_children()]


def _ranges(net: nn.Module, seen: Pictures) -> Dict[nn.Module, Tuple[float, float]]:
    """The range of each point that is reached, chosen for the least squared error of rounding."""
    values: Dict[nn.Module, torch.Tensor] = {}

    def keep(module: nn.Module, _: Any, output: torch.Tensor) -> None:
        flat = output.detach().flatten()
        values[module] = flat[:: max(1, len(flat) // _VALUES)].clone()

    hooks = [m.register_forward_hook(keep) for m in net.modules() if isinstance(m, Point)]
    with torch.no_grad():
        net(tensor(seen.inputs()))
    for hook in hooks:
        hook.remove()
    return {module: _best_range(x) for module, x in values.items()}


def _best_range(x: torch.Tensor) -> Tuple[float, float]:
    """(low, high) around zero, of those cut by up to half."""
    low, high = min(0.0, float(x.min())), max(0.0, float(x.max()))
    best = (float("inf"), 1.0)
    for part in np.linspace(1.0, 0.5, 26):
        point = RoundedPoint(low * part, high * part)
        error = float(((point(x) - x) ** 2).mean())
        best = min(best, (error, float(part)), key=lambda pair: pair[0])
    return low * best[1], high * best[1]
