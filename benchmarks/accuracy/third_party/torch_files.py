#!/usr/bin/env python3
"""Quantize MobileNetV2's real weights as PyTorch's users do, in six ways, and export each as ONNX.

    pip install torch torchao onnx onnxscript    (PyTorch 2.13, torchao 0.18)
    python torch_files.py MOBILENET.onnx PICTURES.npz FOLDER

MOBILENET.onnx is the zoo's, PICTURES.npz what ``imported.py --save`` writes. Made are eager-mode
QAT without fusing (fbgemm with 7-bit activations, qnnpack), eager-mode static quantization (fused),
FX graph mode converted and as its reference model, and PT2E with the quantizer for x86.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
import torch.ao.quantization as quantization
from torch import nn
from torch.ao.quantization import quantize_fx
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86

STAGES = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
    (6, 320, 1, 1),
)  # fmt: skip


class Block(nn.Sequential):
    """Conv, BatchNormalization, ReLU6."""

    def __init__(self, inputs: int, outputs: int, k: int, stride: int = 1, groups: int = 1) -> None:
        conv = nn.Conv2d(inputs, outputs, k, stride, k // 2, groups=groups, bias=False)
        super().__init__(conv, nn.BatchNorm2d(outputs), nn.ReLU6())


class Sum(nn.Module):
    """What FloatFunctional does, in a float model."""

    def add(self, a: Any, b: Any) -> Any:
        """a + b."""
        return a + b


class Residual(nn.Module):
    """Expansion, depthwise convolution, projection."""

    def __init__(self, inputs: int, outputs: int, stride: int, factor: int, eager: bool) -> None:
        super().__init__()
        wide = inputs * factor
        first = [Block(inputs, wide, 1)] if factor != 1 else []
        last = [nn.Conv2d(wide, outputs, 1, bias=False), nn.BatchNorm2d(outputs)]
        self.conv = nn.Sequential(*first, Block(wide, wide, 3, stride, wide), *last)
        self.adds = stride == 1 and inputs == outputs
        self.sum = torch.ao.nn.quantized.FloatFunctional() if eager else Sum()

    def forward(self, x: Any) -> Any:
        """One block."""
        return self.sum.add(x, self.conv(x)) if self.adds else self.conv(x)


class Net(nn.Module):
    """MobileNetV2 with the names of torchvision's."""

    def __init__(self, eager: bool) -> None:
        super().__init__()
        parts: list[nn.Module] = [Block(3, 32, 3, 2)]
        width = 32
        for factor, outputs, count, stride in STAGES:
            for i in range(count):
                parts.append(Residual(width, outputs, 1 if i else stride, factor, eager))
                width = outputs
        self.features = nn.Sequential(*parts, Block(width, 1280, 1))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Identity(), nn.Linear(1280, 1000))
        self.q = quantization.QuantStub() if eager else nn.Identity()
        self.d = quantization.DeQuantStub() if eager else nn.Identity()

    def forward(self, x: Any) -> Any:
        """Logits."""
        return self.d(self.classifier(self.pool(self.features(self.q(x))).flatten(1)))


class Maker:
    """Makes the files of one network."""

    def __init__(self, source: str, pictures: str, folder: str) -> None:
        self._weights = {
            tensor.name: torch.from_numpy(onnx.numpy_helper.to_array(tensor).copy())
            for tensor in onnx.load(source).graph.initializer
        }
        with np.load(pictures) as file:
            self._calibration = torch.from_numpy(file["calib"])
            self._example = torch.from_numpy(file["pics"][:1])
        self._folder = Path(folder)

    def _net(self, eager: bool = False) -> Net:
        net = Net(eager)
        state = net.state_dict()
        for name in state:
            if "num_batches" not in name:
                state[name] = self._weights[name].reshape(state[name].shape)
        net.load_state_dict(state)
        return net.eval()

    def _calibrate(self, net: Any) -> None:
        with torch.no_grad():
            for x in self._calibration:
                net(x[None])

    def _export(self, net: Any, name: str, dynamo: bool = False) -> None:
        path = str(self._folder / f"{name}.onnx")
        torch.onnx.export(
            net, (self._example,), path, input_names=["input"], output_names=["logits"],
            dynamo=dynamo, opset_version=21 if dynamo else 13, external_data=False,
        )  # fmt: skip
        print(path, flush=True)

    def eager_qat(self, engine: str) -> None:
        """Two steps of training; nothing is fused."""
        net, teacher = self._net(True).train(), self._net()
        net.qconfig = quantization.get_default_qat_qconfig(engine, version=0)
        quantization.prepare_qat(net, inplace=True)
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        self._calibrate(net)
        optimizer = torch.optim.SGD(net.parameters(), 1e-6)
        for x in self._calibration[:8].split(4):
            loss = ((net(x) - teacher(x).detach()) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        self._export(net.eval().apply(quantization.disable_observer), f"eager_qat_{engine}")

    def eager_static(self) -> None:
        """Fused and converted; ReLU for ReLU6, whose integer module PyTorch does not export."""
        net = self._net(True)
        for module in net.modules():
            if isinstance(module, Block):
                module[2] = nn.ReLU().eval()
                quantization.fuse_modules(module, ["0", "1", "2"], inplace=True)
            elif isinstance(module, Residual):
                last = len(module.conv)
                pair = [str(last - 2), str(last - 1)]
                quantization.fuse_modules(module.conv, pair, inplace=True)
        net.qconfig = quantization.get_default_qconfig("fbgemm")
        quantization.prepare(net, inplace=True)
        self._calibrate(net)
        self._export(quantization.convert(net), "eager_static")

    def fx(self, reference: bool) -> None:
        """FX graph mode."""
        mapping = quantization.get_default_qconfig_mapping("qnnpack" if reference else "fbgemm")
        net = quantize_fx.prepare_fx(self._net(), mapping, (self._example,))
        self._calibrate(net)
        if reference:
            traced = torch.jit.trace(quantize_fx.convert_to_reference_fx(net), self._example)
            self._export(traced, "fx_reference")
        else:
            self._export(quantize_fx.convert_fx(net), "fx")

    def pt2e(self) -> None:
        """PT2E, by torch.export."""
        quantizer = x86.X86InductorQuantizer()
        quantizer.set_global(x86.get_default_x86_inductor_quantization_config())
        net = prepare_pt2e(torch.export.export(self._net(), (self._example,)).module(), quantizer)
        self._calibrate(net)
        self._export(convert_pt2e(net), "pt2e", dynamo=True)


def main() -> None:
    """Makes all files."""
    torch.manual_seed(0)
    torch.backends.quantized.engine = "fbgemm"
    maker = Maker(*sys.argv[1:4])
    maker.pt2e()
    maker.fx(reference=False)
    maker.fx(reference=True)
    maker.eager_static()
    maker.eager_qat("fbgemm")
    maker.eager_qat("qnnpack")


if __name__ == "__main__":
    main()
