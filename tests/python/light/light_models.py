"""The light models of the onnx package: famous networks whose weights are ConstantOfShape nodes.

As shipped, every weight is 0.02, so that all channels of a layer are alike and the final Softmax is
flat; almost any fault would go unseen. `randomized` puts seeded random weights in their place.
"""

from __future__ import annotations

import os

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

FOLDER = os.path.join(os.path.dirname(str(onnx.__file__)), "backend", "test", "data", "light")
NAMES = (
    "bvlc_alexnet", "densenet121", "inception_v1", "inception_v2", "resnet50", "shufflenet",
    "squeezenet", "vgg19", "zfnet512",
)  # fmt: skip


def shipped(name: str) -> onnx.ModelProto:
    """The model as the onnx package has it."""
    return onnx.load(os.path.join(FOLDER, f"light_{name}.onnx"))


def _role(model: onnx.ModelProto) -> dict[str, tuple[str, int]]:
    """Value name -> the first op that reads it, and as which input."""
    roles: dict[str, tuple[str, int]] = {}
    for node in model.graph.node:
        for i, name in enumerate(node.input):
            roles.setdefault(name, (node.op_type, i))
    return roles


def _weights(
    random: np.random.Generator, op: str, index: int, shape: tuple[int, ...]
) -> NDArray[np.float32]:
    """Values that keep activations of the order of one through any depth."""
    if op in ("Conv", "Gemm") and index == 1:
        values = random.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
    elif (op == "BatchNormalization" and index in (1, 4)) or op == "Unsqueeze":
        values = random.uniform(0.5, 1.5, shape)
    else:
        values = random.standard_normal(shape) * 0.1
    return np.asarray(values, np.float32)


def randomized(name: str, seed: int = 1) -> onnx.ModelProto:
    """The same network with random weights, and what enters its final Softmax as a second output.

    Differences of single logits vanish in a Softmax.
    """
    model = shipped(name)
    graph = model.graph
    random = np.random.default_rng(seed)
    shapes = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    roles = _role(model)
    nodes = []
    used: set[str] = set()
    for node in graph.node:
        if node.op_type != "ConstantOfShape":
            nodes.append(node)
            continue
        used.add(node.input[0])
        shape = tuple(int(dim) for dim in shapes[node.input[0]])
        values = _weights(random, *roles[node.output[0]], shape)
        graph.initializer.append(numpy_helper.from_array(values, node.output[0]))
    initializers = [t for t in graph.initializer if t.name not in used]
    names = {t.name for t in initializers} | used
    inputs = [port for port in graph.input if port.name not in names]
    outputs = list(graph.output)
    if nodes[-1].op_type == "Softmax":
        outputs.append(helper.make_tensor_value_info(nodes[-1].input[0], 1, None))
    small = helper.make_graph(nodes, name, inputs, outputs, initializers)
    return helper.make_model(small, opset_imports=list(model.opset_import), ir_version=8)
