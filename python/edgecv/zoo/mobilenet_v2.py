"""MobileNetV2 (width 1.0) as an ONNX graph.

Architecture: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks" (2018), with
the layer names, symmetric padding and BatchNorm epsilon (1e-5) of torchvision's implementation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgecv.zoo.onnx_graph import GraphBuilder

if TYPE_CHECKING:
    from edgecv.zoo.torch_pickle import StateDict

SIZE = 224
CLASSES = 1000
_EPSILON = 1e-5

# expansion, output channels, repeats, stride of the first
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def build_mobilenet_v2(state: StateDict) -> bytes:
    """Return the serialized ONNX model: input 1x3x224x224 float32, output ``logits`` 1x1000.

    ``state`` has torchvision's names (``features.0.0.weight``, ..., ``classifier.1.bias``). Raises
    FormatError when a tensor is missing, left over or of another shape.
    """
    graph = GraphBuilder("mobilenet-v2", state, (1, 3, SIZE, SIZE))

    def unit(x: str, name: str, inputs: int, outputs: int, kernel: int, stride: int) -> str:
        """Conv, BatchNorm and ReLU6; depthwise when the kernel is 3 and channels are equal."""
        group = inputs if inputs == outputs and kernel == 3 else 1
        pad = kernel // 2
        x = graph.conv(x, name + ".0", (inputs, outputs), kernel, stride, (pad, pad), group)
        return graph.relu6(graph.batch_norm(x, name + ".1", outputs, _EPSILON), name + ".2")

    x = unit(graph.input, "features.0", 3, 32, 3, 2)
    channels, index = 32, 1
    for expansion, outputs, repeats, first_stride in _STAGES:
        for repeat in range(repeats):
            stride = first_stride if repeat == 0 else 1
            prefix, entry, wide, step = f"features.{index}.conv.", x, channels * expansion, 0
            if expansion != 1:
                x, step = unit(x, f"{prefix}{step}", channels, wide, 1, 1), step + 1
            x, step = unit(x, f"{prefix}{step}", wide, wide, 3, stride), step + 1
            x = graph.conv(x, f"{prefix}{step}", (wide, outputs))
            x = graph.batch_norm(x, f"{prefix}{step + 1}", outputs, _EPSILON)
            if stride == 1 and channels == outputs:
                x = graph.node("Add", [entry, x], f"features.{index}.add")
            channels, index = outputs, index + 1
    x = unit(x, f"features.{index}", channels, 1280, 1, 1)
    return graph.finish(graph.classifier(x, "classifier.1", 1280, CLASSES), (1, CLASSES))
