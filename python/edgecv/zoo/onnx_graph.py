"""A small builder of ONNX graphs for convolutional networks whose weights are in a state dict.

Needs the onnx package, which is imported when a builder is made and not before. Graphs use opset
13; BatchNormalization stays a node of its own with the trained statistics, as exporters leave it.
The same state dict gives the same bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Mapping, Sequence

import numpy as np

from edgecv.errors import Error, FormatError

if TYPE_CHECKING:
    from edgecv.zoo.torch_pickle import StateDict

OPSET = 13
_IR_VERSION = 8


def _import_onnx() -> Any:
    try:
        import onnx
    except ImportError as error:
        raise Error(
            "building a zoo model needs the onnx package: pip install edgecv[convert]"
        ) from error
    return onnx


class GraphBuilder:
    """Adds nodes one by one; a value is known by its name (str).

    ``state`` gives the weights. Each tensor is taken by name, its shape is checked against what
    the layer needs, and :meth:`finish` refuses a state dict with tensors left over, so that a
    graph is never made from the weights of another network.
    """

    def __init__(self, name: str, state: StateDict, input_shape: Sequence[int]) -> None:
        self._onnx = _import_onnx()
        self._name = name
        self._state = dict(state)
        self._input_shape = tuple(input_shape)
        self._nodes: list[Any] = []
        self._initializers: dict[str, Any] = {}
        self.input = "input"

    def _take(self, name: str, shape: tuple[int, ...]) -> str:
        array = self._state.pop(name, None)
        if array is None:
            raise FormatError(f"{self._name}: the weights lack {name}")
        if array.shape != shape or array.dtype != np.float32:
            raise FormatError(
                f"{self._name}: {name} is {array.dtype}{list(array.shape)}, "
                f"not float32{list(shape)}"
            )
        return self.constant(name, array)

    def constant(self, name: str, array: np.ndarray[Any, Any]) -> str:
        """Add an initializer (or find the one of that name) and return its name."""
        if name not in self._initializers:
            self._initializers[name] = self._onnx.numpy_helper.from_array(
                np.ascontiguousarray(array), name
            )
        return name

    def node(self, op: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        """Add a node with one output, called as the node, and return the output's name."""
        make_node = self._onnx.helper.make_node
        self._nodes.append(make_node(op, list(inputs), [name], name=name, **attributes))
        return name

    def node_of_several(
        self, op: str, inputs: Sequence[str], name: str, outputs: Sequence[str], **attributes: Any
    ) -> None:
        """Add a node with the outputs of the given names."""
        make_node = self._onnx.helper.make_node
        self._nodes.append(make_node(op, list(inputs), list(outputs), name=name, **attributes))

    def conv(
        self,
        x: str,
        name: str,
        channels: tuple[int, int],
        kernel: int = 1,
        stride: int = 1,
        pads: tuple[int, int] = (0, 0),
        group: int = 1,
    ) -> str:
        """Add a square Conv without bias; ``pads`` are (top and left, bottom and right)."""
        inputs, outputs = channels
        weight = self._take(name + ".weight", (outputs, inputs // group, kernel, kernel))
        return self.node(
            "Conv",
            [x, weight],
            name,
            dilations=[1, 1],
            group=group,
            kernel_shape=[kernel, kernel],
            pads=[pads[0], pads[0], pads[1], pads[1]],
            strides=[stride, stride],
        )

    def batch_norm(self, x: str, name: str, channels: int, epsilon: float) -> str:
        """Add a BatchNormalization with the statistics of the state dict."""
        self._state.pop(name + ".num_batches_tracked", None)
        parts = ("weight", "bias", "running_mean", "running_var")
        inputs = [self._take(f"{name}.{part}", (channels,)) for part in parts]
        return self.node("BatchNormalization", [x, *inputs], name, epsilon=epsilon)

    def relu6(self, x: str, name: str) -> str:
        """Add a Clip to [0, 6]."""
        low = self.constant("relu6.min", np.array(0, np.float32))
        high = self.constant("relu6.max", np.array(6, np.float32))
        return self.node("Clip", [x, low, high], name)

    def classifier(self, x: str, name: str, channels: int, classes: int) -> str:
        """Add global average pooling, Flatten and Gemm; the result is named ``logits``."""
        pooled = self.node("GlobalAveragePool", [x], name + ".pool")
        flat = self.node("Flatten", [pooled], name + ".flatten", axis=1)
        weight = self._take(name + ".weight", (classes, channels))
        bias = self._take(name + ".bias", (classes,))
        return self.node("Gemm", [flat, weight, bias], "logits", transB=1)

    def finish(self, output: str, output_shape: Sequence[int]) -> bytes:
        """Return the checked model, serialized; every tensor of the state dict must be used."""
        return self.finish_all({output: output_shape})

    def finish_all(self, outputs: Mapping[str, Sequence[int]]) -> bytes:
        """The same for a model of several outputs, given with their shapes."""
        if self._state:
            raise FormatError(f"{self._name}: weights left over: {', '.join(sorted(self._state))}")
        onnx = self._onnx
        float_type = onnx.TensorProto.FLOAT
        value = onnx.helper.make_tensor_value_info
        graph = onnx.helper.make_graph(
            self._nodes,
            self._name,
            [value(self.input, float_type, list(self._input_shape))],
            [value(name, float_type, list(shape)) for name, shape in outputs.items()],
            initializer=list(self._initializers.values()),
        )
        model = onnx.helper.make_model(
            graph,
            producer_name="edgecv.zoo",
            ir_version=_IR_VERSION,
            opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        )
        onnx.checker.check_model(model, full_check=True)
        data: bytes = model.SerializeToString(deterministic=True)
        return data


def same_pads(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return TensorFlow's SAME padding (before, after) of one dimension of ``size`` pixels."""
    out = -(-size // stride)
    total = max((out - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2
