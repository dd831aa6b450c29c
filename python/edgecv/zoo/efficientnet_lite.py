"""EfficientNet-Lite0 as an ONNX graph.

Architecture: Tan and Le, "EfficientNet" (2019), in the Lite variant of TensorFlow's TPU models:
no squeeze-and-excitation, ReLU6 everywhere, stem and head not scaled. The weights were trained in
TensorFlow: padding is SAME (more below and right at stride 2), BatchNorm's epsilon is 1e-3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgecv.zoo.onnx_graph import GraphBuilder, same_pads

if TYPE_CHECKING:
    from edgecv.zoo.torch_pickle import StateDict

SIZE = 224
CLASSES = 1000
_EPSILON = 1e-3

# repeats, kernel, stride of the first, expansion, output channels
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


def build_lite0(state: StateDict) -> bytes:
    """Return the serialized ONNX model: input 1x3x224x224 float32, output ``logits`` 1x1000.

    ``state`` has the names of the efficientnet-lite0 state dict (``_conv_stem.weight``, ...).
    Raises FormatError when a tensor is missing, left over or of another shape.
    """
    graph = GraphBuilder("efficientnet-lite0", state, (1, 3, SIZE, SIZE))
    size, channels, index = SIZE, 32, 0
    x = graph.conv(graph.input, "_conv_stem", (3, 32), 3, 2, same_pads(size, 3, 2))
    x = graph.relu6(graph.batch_norm(x, "_bn0", 32, _EPSILON), "_relu0")
    size = -(-size // 2)
    for repeats, kernel, first_stride, expansion, outputs in _STAGES:
        for repeat in range(repeats):
            stride = first_stride if repeat == 0 else 1
            prefix, entry, wide = f"_blocks.{index}.", x, channels * expansion
            if expansion != 1:
                x = graph.conv(x, prefix + "_expand_conv", (channels, wide))
                x = graph.batch_norm(x, prefix + "_bn0", wide, _EPSILON)
                x = graph.relu6(x, prefix + "_relu0")
            pads = same_pads(size, kernel, stride)
            name = prefix + "_depthwise_conv"
            x = graph.conv(x, name, (wide, wide), kernel, stride, pads, group=wide)
            x = graph.batch_norm(x, prefix + "_bn1", wide, _EPSILON)
            x = graph.relu6(x, prefix + "_relu1")
            x = graph.conv(x, prefix + "_project_conv", (wide, outputs))
            x = graph.batch_norm(x, prefix + "_bn2", outputs, _EPSILON)
            if stride == 1 and channels == outputs:
                x = graph.node("Add", [x, entry], prefix + "_add")
            size, channels, index = -(-size // stride), outputs, index + 1
    x = graph.conv(x, "_conv_head", (channels, 1280))
    x = graph.relu6(graph.batch_norm(x, "_bn1", 1280, _EPSILON), "_relu1")
    return graph.finish(graph.classifier(x, "_fc", 1280, CLASSES), (1, CLASSES))
