"""fp32 layers of networks' shapes against onnxruntime, and that fast kernels take them.

docs/ops.md promises 1e-4 of the largest magnitude; layers stay well below it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest
from graph.onnx_models import Builder, run_onnxruntime

import edgecv

Case = Callable[[Builder], str]


def conv(
    channels: int, out: int, size: int, kernel: int, *, stride: int = 1, groups: int = 1, **at: Any
) -> Case:
    def build(b: Builder) -> str:
        x = b.input(1, channels, size, size)
        w = b.weights(out, channels // groups, kernel, kernel)
        pad = at.get("dilation", 1) * (kernel // 2)
        dilation = at.get("dilation", 1)
        y = b.op(
            "Conv",
            x,
            w,
            b.weights(out),
            kernel_shape=[kernel] * 2,
            strides=[stride] * 2,
            pads=[pad] * 4,
            dilations=[dilation] * 2,
            group=groups,
        )
        return str(b.op("Relu", y)) if at.get("relu") else str(y)

    return build


def unary(name: str) -> Case:
    return lambda b: str(b.op(name, b.input(1, 19, 9, 7)))


def silu(b: Builder) -> str:
    x = b.input(1, 24, 9, 7)
    return str(b.op("Mul", x, b.op("Sigmoid", x)))


def gate(b: Builder) -> str:
    """Squeeze-and-excite's last step: a product with one number a channel."""
    x = b.input(1, 20, 9, 7)
    return str(b.op("Mul", x, b.op("GlobalAveragePool", x)))


CASES: dict[str, tuple[Case, str]] = {
    "stem": (conv(3, 32, 33, 3, stride=2, relu=True), "conv_f32_"),
    "stem7x7": (conv(3, 24, 40, 7, stride=2), "conv_f32_"),
    "pointwise": (conv(96, 24, 28, 1), "conv_f32_"),
    "pointwise_stride": (conv(64, 40, 15, 1, stride=2), "conv_f32_"),
    "dense3x3": (conv(64, 64, 28, 3, relu=True), "winograd_f32_"),
    "dense3x3_border": (conv(32, 48, 17, 3), "winograd_f32_"),
    "dense3x3_deep": (conv(256, 32, 7, 3), "winograd_f32_"),
    "dense3x3_stride": (conv(32, 64, 21, 3, stride=2), "conv_f32_"),
    "dense3x3_dilated": (conv(16, 24, 21, 3, dilation=2), "conv_f32_"),
    "grouped": (conv(48, 96, 14, 3, groups=4), "conv_f32_"),
    "depthwise3x3": (conv(96, 96, 28, 3, groups=96, relu=True), "dwconv_f32_row"),
    "depthwise3x3_stride": (conv(44, 44, 15, 3, stride=2, groups=44), "dwconv_f32_row"),
    "depthwise5x5": (conv(72, 72, 14, 5, groups=72), "dwconv_f32_row"),
    "depthwise7x7": (conv(20, 20, 9, 7, stride=2, groups=20), "dwconv_f32_row"),
    "depthwise_dilated": (conv(40, 40, 19, 3, groups=40, dilation=2), "dwconv_f32_any"),
    "sigmoid": (unary("Sigmoid"), "unary_f32_"),
    "hard_swish": (unary("HardSwish"), "unary_f32_"),
    "tanh": (unary("Tanh"), "unary_f32_"),
    "erf": (unary("Erf"), "unary_f32_"),
    "softplus": (unary("Softplus"), "unary_f32_"),
    "silu": (silu, "unary_f32_"),
    "gate": (gate, "binary_f32_"),
}


@pytest.mark.parametrize("name", CASES)
def test_layer(name: str, tmp_path: Path) -> None:
    build, row = CASES[name]
    b = Builder(seed=len(name))
    model = b.model(build(b))
    shape = [d.dim_value for d in b.inputs[0].type.tensor_type.shape.dim]
    x = np.random.default_rng(3).standard_normal(shape).astype(np.float32)
    (want,) = run_onnxruntime(model, {b.inputs[0].name: x})
    edgecv.convert(model, tmp_path / "layer.ecv")
    for threads in (1, 2):
        with edgecv.load(tmp_path / "layer.ecv", threads=threads) as loaded:
            (got,) = loaded.run(x).values()
            kernels = [step.kernel for step in loaded.steps]
        error = np.abs(got.astype(np.float64) - want).max() / np.abs(want).max()
        assert error <= 3e-5, f"{name} is {error:.1e} of the largest magnitude off"
        if any(kernel.endswith("__fma") for kernel in kernels):
            assert any(kernel.startswith(row) for kernel in kernels), kernels
