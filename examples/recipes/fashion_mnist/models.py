"""The teacher and the student, and how a pruned ONNX file becomes a torch module again."""

from __future__ import annotations

import onnx.numpy_helper
import torch
from torch import nn

from .data import LABELS


class Point(nn.Identity):
    """Marks values that become int8 (see qat.py); does nothing in float."""


class Unit(nn.Module):
    """A convolution, its normalization and, unless it ends a residual branch, a ReLU."""

    def __init__(
        self, inputs: int, outputs: int, size: int, stride: int = 1, groups: int = 1,
        relu: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(outputs)
        self.act = nn.ReLU(inplace=True) if relu else nn.Identity()
        self.point: nn.Module = Point()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.point(self.act(self.norm(self.conv(x))))
        return y


class Residual(nn.Module):
    """Two 3x3 convolutions beside the identity, or beside a 1x1 one where shapes change."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = Unit(inputs, outputs, 3, stride)
        self.second = Unit(outputs, outputs, 3, relu=False)
        changes = inputs != outputs or stride > 1
        self.side = Unit(inputs, outputs, 1, stride, relu=False) if changes else nn.Identity()
        self.act = nn.ReLU(inplace=True)
        self.point = Point()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.point(self.act(self.second(self.first(x)) + self.side(x)))
        return y


class Separable(nn.Module):
    """A depthwise 3x3 and a pointwise convolution; with a sum where shapes stay."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.sums = inputs == outputs and stride == 1
        self.depthwise = Unit(inputs, inputs, 3, stride, groups=inputs)
        self.pointwise = Unit(inputs, outputs, 1)
        self.point = Point()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.pointwise(self.depthwise(x))
        summed: torch.Tensor = self.point(x + y) if self.sums else y
        return summed


class Classifier(nn.Module):
    """Blocks, the mean over all pixels, one fully connected layer."""

    def __init__(self, blocks: nn.Sequential, channels: int) -> None:
        super().__init__()
        self.input = Point()
        self.blocks = blocks
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.pooled = Point()
        self.linear = nn.Linear(channels, len(LABELS))
        self.logits = Point()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.pooled(self.pool(self.blocks(self.input(x))))
        logits: torch.Tensor = self.logits(self.linear(y.flatten(1)))
        return logits


def teacher() -> Classifier:
    """A small ResNet: 173 thousand weights, 14.5 million multiply-accumulates a picture."""
    blocks = [Unit(1, 48, 3, 2), Residual(48, 48, 1), Residual(48, 96, 2)]
    return _laid_out(Classifier(nn.Sequential(*blocks), 96))


def student() -> Classifier:
    """A small MobileNet: 32 thousand weights, 1.7 million multiply-accumulates a picture."""
    blocks = [Unit(1, 24, 3, 2), Separable(24, 48, 1), Separable(48, 96, 2)]
    blocks += [Separable(96, 96, 1), Separable(96, 128, 1)]
    return _laid_out(Classifier(nn.Sequential(*blocks), 128))


def _laid_out(net: Classifier) -> Classifier:
    laid_out: Classifier = net.to(memory_format=torch.channels_last)
    return laid_out


def adopt(net: nn.Module, proto: onnx.ModelProto) -> nn.Module:
    """Give a network the weights of an ONNX file made from it, and with them its channels.

    Works for any module exported with names kept (export.to_onnx(folded=False)): initializers
    are then called as in its state_dict, and what was cut out of the file is cut out of the module.
    """
    arrays = {item.name: onnx.numpy_helper.to_array(item) for item in proto.graph.initializer}
    for name, module in net.named_modules():
        parameters = dict(module.named_parameters(recurse=False))
        for key, value in (*parameters.items(), *module.named_buffers(recurse=False)):
            if value.dim() == 0:
                continue  # a BatchNorm2d's count of batches, which training alone reads
            if f"{name}.{key}" not in arrays:
                raise ValueError(f"the ONNX file holds no {name}.{key}")
            array = torch.from_numpy(arrays[f"{name}.{key}"].copy())
            setattr(module, key, nn.Parameter(array) if key in parameters else array)
        _count_channels(module)
    return net


def _count_channels(module: nn.Module) -> None:
    """Sets what a module says of its channels to those of its weights."""
    if isinstance(module, nn.Conv2d):
        outputs, per_group = module.weight.shape[:2]
        if module.groups > 1:
            module.groups = outputs  # depthwise
        module.out_channels, module.in_channels = outputs, per_group * module.groups
        module.to(memory_format=torch.channels_last)
    elif isinstance(module, nn.BatchNorm2d):
        module.num_features = len(module.weight)
    elif isinstance(module, nn.Linear):
        module.out_features, module.in_features = module.weight.shape
