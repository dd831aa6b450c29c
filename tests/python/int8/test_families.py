"""The blocks that families of vision networks are made of, tiny but with their real structure: int8
against float onnxruntime and bit for bit on every path; fp32 against onnxruntime.
"""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Dict, Tuple

import numpy as np
import pytest
from graph.onnx_models import Builder
from int8.checks import check_f32, check_int8

Build = Callable[[Builder], "str | list[str]"]
# Ten to twenty layers: each adds its rounding noise to what came before, some paths average it away
# again; 35 to 48 dB are usual. A factor of two in one scale or a lost operand gives less than 20.
DEEP = 28.0


def conv(
    b: Builder, x: str, c_in: int, c_out: int, k: int = 1, stride: int = 1, group: int = 1
) -> str:
    w, bias = b.weights(c_out, c_in // group, k, k), b.const(b.rng.uniform(-0.3, 0.3, c_out))
    pads = [k // 2] * 4
    return str(b.op("Conv", x, w, bias, strides=[stride] * 2, pads=pads, group=group))


def relu(b: Builder, x: str) -> str:
    return str(b.op("Relu", x))


def shufflenet(b: Builder) -> str:
    x = relu(b, conv(b, b.input(1, 3, 16, 16), 3, 16, 3, 2))
    for _ in range(2):
        left, right = b.op("Split", x, b.ints(8, 8), outputs=2, axis=1)
        right = relu(b, conv(b, right, 8, 8))
        right = relu(b, conv(b, conv(b, right, 8, 8, 3, group=8), 8, 8))
        x = b.op("Concat", left, right, axis=1)
        x = b.op("Reshape", x, b.ints(1, 2, 8, 8, 8))
        x = b.op("Reshape", b.op("Transpose", x, perm=[0, 2, 1, 3, 4]), b.ints(1, -1, 8, 8))
    return str(b.op("GlobalAveragePool", x))


def squeeze_excite(b: Builder) -> str:
    x = b.op("HardSwish", conv(b, b.input(2, 3, 12, 12), 3, 16, 3, 2))
    gate = relu(b, conv(b, b.op("GlobalAveragePool", x), 16, 4))
    gate = b.op("HardSigmoid", conv(b, gate, 4, 16), alpha=1 / 6, beta=0.5)
    return conv(b, b.op("Mul", x, gate), 16, 8)


def ghostnet(b: Builder) -> str:
    x = b.input(1, 8, 10, 10)
    first = relu(b, conv(b, x, 8, 8))
    cheap = relu(b, conv(b, first, 8, 8, 3, group=8))
    y = conv(b, b.op("Concat", first, cheap, axis=1), 16, 8)
    return str(b.op("Add", x, y))


def mbconv(b: Builder) -> str:
    def silu(x: str) -> str:
        return str(b.op("Mul", x, b.op("Sigmoid", x)))

    x = silu(conv(b, b.input(1, 3, 12, 12), 3, 8, 3, 2))
    y = silu(conv(b, x, 8, 24))
    y = silu(conv(b, y, 24, 24, 5, group=24))
    gate = b.op("ReduceMean", y, b.ints(2, 3), keepdims=1)
    gate = b.op("Sigmoid", conv(b, silu(conv(b, gate, 24, 4)), 4, 24))
    return str(b.op("Add", conv(b, b.op("Mul", y, gate), 24, 8), x))


def vit(b: Builder) -> str:
    dim, heads, tokens = 16, 2, 17

    def linear(x: str, n_in: int, n_out: int) -> str:
        w = b.const(b.rng.standard_normal((n_in, n_out)) / np.sqrt(n_in))
        return str(b.op("Add", b.op("MatMul", x, w), b.weights(n_out)))

    def norm(x: str) -> str:
        gamma = b.const(b.rng.uniform(0.5, 1.5, dim))
        return str(b.op("LayerNormalization", x, gamma, b.weights(dim)))

    patches = b.op("Conv", b.input(1, 3, 16, 16), b.weights(dim, 3, 4, 4), strides=[4, 4])
    x = b.op("Transpose", b.op("Reshape", patches, b.ints(1, dim, -1)), perm=[0, 2, 1])
    x = b.op("Concat", b.const(b.rng.standard_normal((1, 1, dim))), x, axis=1)
    x = b.op("Add", x, b.const(b.rng.standard_normal((1, tokens, dim)) * 0.3))
    y = norm(x)
    q, k, v = (
        b.op("Transpose", b.op("Reshape", linear(y, dim, dim), b.ints(1, tokens, heads, 8)), perm=p)
        for p in ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3])
    )
    scores = b.op("Div", b.op("MatMul", q, k), b.const(np.sqrt(dim / heads)))
    mixed = b.op("MatMul", b.op("Softmax", scores, axis=-1), v)
    mixed = b.op("Reshape", b.op("Transpose", mixed, perm=[0, 2, 1, 3]), b.ints(1, tokens, dim))
    x = b.op("Add", x, linear(mixed, dim, dim))
    hidden = b.op("Gelu", linear(norm(x), dim, 32))
    x = b.op("Add", x, linear(hidden, 32, dim))
    return linear(b.op("Gather", norm(x), b.const(0, np.int64), axis=1), dim, 10)


def fpn(b: Builder) -> list[str]:
    c2 = relu(b, conv(b, b.input(1, 3, 16, 16), 3, 8, 3, 2))
    c3 = relu(b, conv(b, c2, 8, 12, 3, 2))
    p3 = conv(b, c3, 12, 8)
    up = b.op("Resize", p3, "", b.const([1, 1, 2, 2]), mode="nearest",
              coordinate_transformation_mode="asymmetric", nearest_mode="floor")  # fmt: skip
    p2 = b.op("Add", conv(b, c2, 8, 8), up)
    down = b.op("MaxPool", p2, kernel_shape=[2, 2], strides=[2, 2])
    n3 = conv(b, b.op("Concat", down, p3, axis=1), 16, 8, 3)
    wide = b.op("Resize", p2, "", b.const([1, 1, 2, 2]), mode="linear",
                coordinate_transformation_mode="half_pixel")  # fmt: skip
    return [b.op("Sigmoid", conv(b, wide, 8, 2)), n3]


def unet(b: Builder) -> str:
    x = b.input(1, 3, 16, 16)
    one = relu(b, conv(b, x, 3, 8, 3))
    two = relu(b, conv(b, b.op("MaxPool", one, kernel_shape=[2, 2], strides=[2, 2]), 8, 16, 3))
    up = b.op("ConvTranspose", two, b.weights(16, 8, 2, 2), b.weights(8), strides=[2, 2])
    return conv(b, relu(b, conv(b, b.op("Concat", one, up, axis=1), 16, 8, 3)), 8, 2)


def early_exit(b: Builder) -> list[str]:
    def head(x: str, c: int) -> str:
        flat = b.op("Flatten", b.op("GlobalAveragePool", x))
        return str(b.op("Softmax", b.op("Gemm", flat, b.weights(5, c), b.weights(5), transB=1)))

    x = relu(b, conv(b, b.input(1, 3, 12, 12), 3, 8, 3, 2))
    return [head(x, 8), head(relu(b, conv(b, x, 8, 12, 3, 2)), 12)]


def two_inputs(b: Builder) -> str:
    image = relu(b, conv(b, b.input(1, 3, 8, 8, name="image"), 3, 8, 3, 2))
    flat = b.op("Flatten", b.op("GlobalAveragePool", image))
    both = b.op("Concat", flat, b.op("Tanh", b.input(1, 4, name="numbers")), axis=1)
    return str(b.op("Gemm", both, b.weights(6, 12), b.weights(6), transB=1))


FAMILIES: Dict[str, Tuple[Build, int]] = {
    "shufflenet": (shufflenet, 13),
    "squeeze_excite": (squeeze_excite, 14),
    "ghostnet": (ghostnet, 11),
    "mbconv": (mbconv, 18),
    "vit": (vit, 20),
    "fpn": (fpn, 13),
    "unet": (unet, 11),
    "early_exit": (early_exit, 13),
    "two_inputs": (two_inputs, 13),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_int8(name: str, tmp_path: Path) -> None:
    build, opset = FAMILIES[name]
    b = Builder(opset, seed=5)
    outputs = build(b)
    model = b.model(*([outputs] if isinstance(outputs, str) else outputs))
    _, report = check_int8(model, tmp_path, floor=DEEP)
    assert report.float_layers == []
    middle = report.layers[len(report.layers) // 2].name
    _, mixed = check_int8(model, tmp_path, floor=DEEP, keep_float=[middle])
    assert mixed.float_layers


@pytest.mark.parametrize("name", FAMILIES)
def test_f32(name: str, tmp_path: Path) -> None:
    build, opset = FAMILIES[name]
    b = Builder(opset, seed=5)
    outputs = build(b)
    check_f32(b.model(*([outputs] if isinstance(outputs, str) else outputs)), tmp_path)
