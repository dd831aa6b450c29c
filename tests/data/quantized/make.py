"""Makes the models of this folder with the tools that people quantize with.

    pip install torch onnx nncf    (PyTorch 2.13 and NNCF 3.4 made the files that are stored)
    python tests/data/quantized/make.py

One small network of depthwise blocks with a residual, random weights:

- ``float.onnx``: not quantized.
- ``torch_qat_fbgemm.onnx``, ``torch_qat_qnnpack.onnx``: eager-mode QAT without fusing, so that
  Conv, BatchNormalization and Relu are quantized one by one; activations of 7 and 8 bits.
- ``torch_ptq_fbgemm.onnx``: eager-mode static quantization, fused, with integer modules.
- ``nncf_mixed.onnx``: NNCF's post-training quantization, activations before depthwise layers with
  a scale a channel.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
import torch.ao.quantization as quantization
from torch import nn

FOLDER = Path(__file__).resolve().parent


class Block(nn.Module):
    """Conv, BatchNormalization, Relu."""

    def __init__(
        self, inputs: int, outputs: int, stride: int = 1, groups: int = 1, k: int = 3
    ) -> None:
        super().__init__()
        self.c = nn.Conv2d(inputs, outputs, k, stride, k // 2, groups=groups, bias=False)
        self.b = nn.BatchNorm2d(outputs)
        self.r = nn.ReLU()

    def forward(self, x: Any) -> Any:
        """One block."""
        return self.r(self.b(self.c(x)))


class Net(nn.Module):
    """Five blocks, a residual one, a pool and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.d = quantization.QuantStub(), quantization.DeQuantStub()
        self.f = nn.Sequential(
            Block(3, 16, 2), Block(16, 16, 1, 16), Block(16, 32, k=1), Block(32, 32, 2, 32),
            Block(32, 32, k=1),
        )  # fmt: skip
        self.add = torch.ao.nn.quantized.FloatFunctional()
        self.e = Block(32, 32, 1, 32)
        self.p, self.l = nn.AdaptiveAvgPool2d(1), nn.Linear(32, 10)

    def forward(self, x: Any) -> Any:
        """Logits."""
        x = self.f(self.q(x))
        x = self.p(self.add.add(x, self.e(x))).flatten(1)
        return self.d(self.l(x))


class Sum(nn.Module):
    """What FloatFunctional does, in a float model."""

    def add(self, a: Any, b: Any) -> Any:
        """a + b."""
        return a + b


def save(model: onnx.ModelProto, name: str) -> None:
    """Writes a model without what its source files say of themselves."""
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    onnx.save(model, FOLDER / name)


def export(net: nn.Module, name: str) -> None:
    """Writes a network as ONNX, opset 13."""
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        torch.onnx.export(net, torch.randn(1, 3, 32, 32), file.name, opset_version=13, dynamo=False)
        save(onnx.load(file.name), name)


def qat(engine: str) -> nn.Module:
    """A few steps of quantization-aware training; nothing is fused."""
    net = Net().train()
    net.qconfig = quantization.get_default_qat_qconfig(engine, version=0)
    quantization.prepare_qat(net, inplace=True)
    optimizer = torch.optim.SGD(net.parameters(), 0.05)
    for _ in range(30):
        x = torch.randn(8, 3, 32, 32)
        loss = ((net(x) - x.mean((2, 3))[:, [0]] * 5) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net.eval().apply(quantization.disable_observer)


def ptq() -> nn.Module:
    """Fused blocks, calibrated, converted."""
    net = Net().eval()
    for block in [*net.f, net.e]:
        quantization.fuse_modules(block, ["c", "b", "r"], inplace=True)
    net.qconfig = quantization.get_default_qconfig("fbgemm")
    quantization.prepare(net, inplace=True)
    for _ in range(8):
        net(torch.randn(4, 3, 32, 32))
    return quantization.convert(net)


def float_net() -> nn.Module:
    """The network in float, with statistics that matter and ReLU6."""
    net = Net().eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.3)
    for block in [*net.f, net.e]:
        block.r = nn.ReLU6()
    net.q, net.d, net.add = nn.Identity(), nn.Identity(), Sum()
    return net


def main() -> None:
    """Writes all files."""
    torch.manual_seed(0)
    torch.backends.quantized.engine = "fbgemm"
    export(qat("fbgemm"), "torch_qat_fbgemm.onnx")
    export(qat("qnnpack"), "torch_qat_qnnpack.onnx")
    export(ptq(), "torch_ptq_fbgemm.onnx")
    export(float_net(), "float.onnx")
    import nncf

    model = onnx.load(FOLDER / "float.onnx")
    rng = np.random.default_rng(0)
    name = model.graph.input[0].name
    pictures = [{name: rng.normal(size=(1, 3, 32, 32)).astype(np.float32)} for _ in range(16)]
    mixed = nncf.QuantizationPreset.MIXED
    save(
        nncf.quantize(model, nncf.Dataset(pictures), preset=mixed, subset_size=16),
        "nncf_mixed.onnx",
    )


if __name__ == "__main__":
    main()
