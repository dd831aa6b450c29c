"""A small CNN with every kind of layer that the real networks have, and its `.ecv` files."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgecv.convert import convert

INPUT = (1, 8, 40, 40)


def _weights(random: np.random.Generator, *shape: int) -> NDArray[np.float32]:
    """He initialization, so that no layer's values vanish."""
    fan_in = int(np.prod(shape[1:]))
    return (random.standard_normal(shape) * np.sqrt(2 / fan_in)).astype(np.float32)


@functools.lru_cache(maxsize=None)
def cnn() -> onnx.ModelProto:
    """Dense, pointwise and depthwise convolutions, residual add, relu, pools, fully connected.

    Channel counts are no multiples of a SIMD register, and the layers are large enough to be shared
    by several threads.
    """
    random = np.random.default_rng(5)
    constants: list[TensorProto] = []
    nodes: list[onnx.NodeProto] = []

    def constant(name: str, data: NDArray[np.float32]) -> str:
        constants.append(numpy_helper.from_array(data, name))
        return name

    def add(op: str, name: str, inputs: list[str], **attrs: Any) -> str:
        nodes.append(helper.make_node(op, inputs, [f"{name}_out"], name=name, **attrs))
        return f"{name}_out"

    def conv(name: str, x: str, out_c: int, in_c: int, kernel: int, **attrs: Any) -> str:
        w = constant(f"{name}_w", _weights(random, out_c, in_c, kernel, kernel))
        bias = random.standard_normal(out_c).astype(np.float32) * np.float32(0.1)
        pad = kernel // 2
        inputs = [x, w, constant(f"{name}_b", bias)]
        return add("Conv", name, inputs, pads=[pad] * 4, kernel_shape=[kernel] * 2, **attrs)

    x = add("Relu", "stem_relu", [conv("stem", "x", 40, INPUT[1], 3)])
    y = conv("depthwise", x, 40, 1, 3, group=40)
    y = add("Clip", "relu6", [y, constant("zero", np.float32(0)), constant("six", np.float32(6))])
    y = conv("pointwise", y, 40, 40, 1)
    x = add("Add", "residual", [x, y])
    x = add("MaxPool", "pool", [x], kernel_shape=[2, 2], strides=[2, 2])
    x = conv("down", x, 37, 40, 3, strides=[2, 2])
    x = add("Relu", "down_relu", [x])
    x = add("GlobalAveragePool", "mean", [x])
    x = add("Flatten", "flatten", [x])
    fc = [constant("fc_w", _weights(random, 10, 37)), constant("fc_b", np.zeros(10, np.float32))]
    x = add("Gemm", "fc", [x, *fc], transB=1)
    graph = helper.make_graph(
        nodes,
        "proof",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, INPUT)],
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, (1, 10))],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def samples(count: int = 16) -> list[NDArray[np.float32]]:
    """Calibration arrays."""
    random = np.random.default_rng(6)
    return [random.uniform(-1, 1, INPUT).astype(np.float32) for _ in range(count)]


def int8_file(folder: Path, **options: Any) -> bytes:
    """The int8 file of the CNN."""
    out = folder / "int8.ecv"
    convert(cnn(), out, samples(), **options)
    return out.read_bytes()


def fp32_file(folder: Path) -> bytes:
    """The fp32 file of the CNN."""
    out = folder / "fp32.ecv"
    convert(cnn(), out)
    return out.read_bytes()
