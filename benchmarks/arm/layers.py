"""Make a model of single layers, one behind each input, to count what each kind of kernel takes.

    python benchmarks/arm/layers.py FILE.ecv

Weights are random: the products of dense layers take the form that the converter's default weights
allow. Needs edgecv[convert].
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import edgecv

# Name, input channels, rows and columns, then what the layer is: output channels, kernel, stride,
# groups of a convolution, or an operator.
CONVOLUTIONS = (
    ("dense 3x3 of 64", 64, 56, 64, 3, 1, 1),
    ("dense 3x3 of 256", 256, 14, 256, 3, 1, 1),
    ("dense 3x3, stride 2", 128, 28, 256, 3, 2, 1),
    ("dense 3x3, 32 groups", 256, 14, 256, 3, 1, 32),
    ("first layer, 3x3, stride 2", 3, 224, 32, 3, 2, 1),
    ("pointwise 16 to 96", 16, 112, 96, 1, 1, 1),
    ("pointwise 96 to 24", 96, 56, 24, 1, 1, 1),
    ("pointwise 64 to 384", 64, 14, 384, 1, 1, 1),
    ("pointwise 384 to 64", 384, 14, 64, 1, 1, 1),
    ("pointwise 512 to 512", 512, 14, 512, 1, 1, 1),
    ("depthwise 3x3", 96, 56, 96, 3, 1, 96),
    ("depthwise 3x3, stride 2", 96, 112, 96, 3, 2, 96),
    ("depthwise 5x5", 240, 28, 240, 5, 1, 240),
    ("depthwise 7x7", 96, 28, 96, 7, 1, 96),
)


def build() -> onnx.ModelProto:
    """One graph, as many inputs as layers."""
    rng = np.random.default_rng(1)
    nodes, inputs, outputs, constants = [], [], [], []

    def port(name: str, shape: tuple[int, ...]) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    def constant(name: str, values: np.ndarray) -> str:
        constants.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def layer(
        name: str,
        op: str,
        shape: tuple[int, ...],
        out: tuple[int, ...],
        more: list[str],
        **attributes: object,
    ) -> None:
        inputs.append(port(f"{name}.x", shape))
        outputs.append(port(f"{name}.y", out))
        nodes.append(
            helper.make_node(op, [f"{name}.x", *more], [f"{name}.y"], name=name, **attributes)
        )

    for name, c, size, k, kernel, stride, groups in CONVOLUTIONS:
        depth = c // groups * kernel * kernel
        weights = rng.standard_normal((k, c // groups, kernel, kernel)) / depth**0.5
        made = [constant(f"{name}.w", weights), constant(f"{name}.b", rng.standard_normal(k))]
        side = (size - 1) // stride + 1
        layer(
            name,
            "Conv",
            (1, c, size, size),
            (1, k, side, side),
            made,
            group=groups,
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[kernel // 2] * 4,
        )
    weights = rng.standard_normal((1280, 1000)) / 1280**0.5
    made = [constant("fully connected.w", weights), constant("fully connected.b", np.zeros(1000))]
    layer("fully connected", "Gemm", (1, 1280), (1, 1000), made)
    image, half = (1, 64, 56, 56), (1, 64, 28, 28)
    window = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1] * 4}
    layer("max pool 3x3, stride 2", "MaxPool", image, half, [], **window)
    layer("average pool 3x3, stride 2", "AveragePool", image, half, [], **window)
    layer("mean of 7x7", "GlobalAveragePool", (1, 1280, 7, 7), (1, 1280, 1, 1), [])
    layer("hard swish", "HardSwish", image, image, [])
    layer("sigmoid", "Sigmoid", image, image, [])
    for name, op in (("add", "Add"), ("mul", "Mul")):
        inputs.append(port(f"{name}.z", image))
        layer(name, op, image, image, [f"{name}.z"])
    inputs.append(port("concat.z", image))
    layer("concat", "Concat", image, (1, 128, 56, 56), ["concat.z"], axis=1)
    scales = numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales")
    constants.append(scales)
    layer(
        "resize, 2 x, bilinear", "Resize", image, (1, 64, 112, 112), ["", "scales"], mode="linear"
    )
    graph = helper.make_graph(nodes, "layers", inputs, outputs, constants)
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8)


def make(path: Path) -> Path:
    """Convert the graph; inputs that calibrate it are random."""
    model = build()
    rng = np.random.default_rng(2)
    sample = {
        port.name: rng.standard_normal(
            [d.dim_value for d in port.type.tensor_type.shape.dim]
        ).astype(np.float32)
        for port in model.graph.input
    }
    with tempfile.TemporaryDirectory() as folder:
        onnx.save(model, Path(folder) / "layers.onnx")
        edgecv.convert(Path(folder) / "layers.onnx", path, [sample], golden_seeds=())
    return path


if __name__ == "__main__":
    print(make(Path(sys.argv[1])))
