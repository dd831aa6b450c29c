"""Small ONNX networks for the tests of compression, and runs of them in onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array = NDArray[Any]


class Net:
    """Adds nodes one by one; a value is known by its name."""

    def __init__(self, seed: int, channels: int = 3, size: int = 8) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[Any] = []
        self.weights: dict[str, Array] = {}
        self.width = {"x": channels}
        self.input_shape = [1, channels, size, size]

    def constant(self, value: Array) -> str:
        name = f"c{len(self.weights)}"
        self.weights[name] = value
        return name

    def normal(self, *shape: int, scale: float = 1.0) -> str:
        return self.constant((self.rng.normal(size=shape) * scale).astype(np.float32))

    def node(self, op: str, inputs: list[str], width: int, **attrs: Any) -> str:
        name = f"{op.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attrs))
        self.width[name] = width
        return name

    def conv(self, x: str, out: int, kernel: int = 1, group: int = 1, stride: int = 1) -> str:
        inputs = self.width[x] // group
        scale = float(inputs * kernel * kernel) ** -0.5
        w = self.normal(out, inputs, kernel, kernel, scale=scale)
        pads = [kernel // 2] * 4
        inputs_of = [x, w] if self.rng.random() < 0.5 else [x, w, self.normal(out)]
        return self.node("Conv", inputs_of, out, group=group, pads=pads, strides=[stride] * 2)

    def norm(self, x: str) -> str:
        n = self.width[x]
        parts = [self.normal(n), self.normal(n), self.normal(n)]
        variance = self.constant((self.rng.random(n) + 0.5).astype(np.float32))
        return self.node("BatchNormalization", [x, *parts, variance], n)

    def act(self, x: str) -> str:
        op = str(self.rng.choice(["Relu", "HardSwish", "Sigmoid", "LeakyRelu"]))
        return self.node(op, [x], self.width[x])

    def attention(self, x: str) -> str:
        """Squeeze and excitation."""
        n = self.width[x]
        pooled = self.node("GlobalAveragePool", [x], n)
        squeezed = self.act(self.conv(pooled, 8))
        scale = self.node("HardSigmoid", [self.conv(squeezed, n)], n)
        return self.node("Mul", [x, scale], n)

    def shuffle(self, x: str, groups: int, size: int) -> str:
        n = self.width[x]
        apart = self.constant(np.array([1, groups, n // groups, size, size], np.int64))
        back = self.constant(np.array([1, -1, size, size], np.int64))
        y = self.node("Reshape", [x, apart], n)
        y = self.node("Transpose", [y], n, perm=[0, 2, 1, 3, 4])
        return self.node("Reshape", [y, back], n)

    def split(self, x: str, first: int) -> tuple[str, str]:
        n = self.width[x]
        sizes = self.constant(np.array([first, n - first], np.int64))
        a = f"split{len(self.nodes)}"
        self.nodes.append(helper.make_node("Split", [x, sizes], [a, a + ".2"], name=a, axis=1))
        self.width[a], self.width[a + ".2"] = first, n - first
        return a, a + ".2"

    def slice(self, x: str, start: int, end: int) -> str:
        parts = [np.array([v], np.int64) for v in (start, end, 1)]
        count = len(range(self.width[x])[start:end])
        return self.node("Slice", [x, *(self.constant(p) for p in parts)], count)

    def finish(self, x: str, classes: int = 5) -> Any:
        """Flattens, with the pixels, into a classifier."""
        pooled = self.node("AveragePool", [x], self.width[x], kernel_shape=[2, 2], strides=[2, 2])
        flat = self.node("Flatten", [pooled], 0)
        return self.model(flat, classes)

    def model(self, flat: str, classes: int) -> Any:
        probe = self._proto(flat, ["n", "k"])
        depth = run(probe, self.example())[0].shape[1]
        w = self.normal(classes, depth, scale=depth**-0.5)
        y = self.node("Gemm", [flat, w, self.normal(classes)], classes, transB=1)
        return self._proto(y, [1, classes])

    def _proto(self, output: str, shape: list[Any]) -> Any:
        graph = helper.make_graph(
            self.nodes, "net",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, self.input_shape)],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)],
            [numpy_helper.from_array(value, name) for name, value in self.weights.items()],
        )  # fmt: skip
        opset = [helper.make_opsetid("", 17)]
        return helper.make_model(graph, opset_imports=opset, ir_version=8)

    def example(self) -> dict[str, Array]:
        rng = np.random.default_rng(7)
        return {"x": rng.normal(size=self.input_shape).astype(np.float32)}


def run(model: Any, feed: dict[str, Array]) -> list[Array]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return list(session.run(None, feed))


def random_net(seed: int) -> tuple[Any, dict[str, Array]]:
    """A network of random blocks: residual sums, concats, depthwise, grouped, shuffles, ..."""
    net = Net(seed)
    rng = net.rng
    x = net.act(net.norm(net.conv("x", 24, 3)))
    for _ in range(int(rng.integers(3, 7))):
        n = net.width[x]
        kind = rng.integers(8)
        if kind == 0:
            y = net.act(net.norm(net.conv(x, 2 * n)))
            y = net.act(net.norm(net.conv(y, 2 * n, 3, group=2 * n)))
            x = net.node("Add", [net.norm(net.conv(y, n)), x], n)
        elif kind == 1:
            x = net.node("Concat", [net.conv(x, 16), x, net.act(net.conv(x, 8, 3))], n + 24, axis=1)
        elif kind == 2:
            x = net.attention(net.conv(x, 24))
        elif kind == 3:
            x = net.act(net.conv(net.conv(x, 24), 32, 3, group=4))
        elif kind == 4:
            a, b = net.split(net.conv(x, 40), 16)
            x = net.node("Concat", [a, net.act(net.conv(b, 24, 3))], 40, axis=1)
        elif kind == 5:
            x = net.shuffle(net.conv(x, 32), 2, 8)
        elif kind == 6:
            y = net.conv(x, 32)
            x = net.node("Add", [net.slice(y, 0, 16), net.slice(y, -16, 2**40)], 16)
        else:
            net.weights["shift"] = rng.normal(size=(1, n, 1, 1)).astype(np.float32)
            x = net.node("Mul", [net.node("Add", [x, "shift"], n), net.normal(n, 1, 1)], n)
            x = net.conv(x, 24)
            net.weights[f"shift{len(net.nodes)}"] = net.weights.pop("shift")
            for node in net.nodes:
                names = [f"shift{len(net.nodes)}" if i == "shift" else i for i in node.input]
                del node.input[:]
                node.input.extend(names)
    return net.finish(x), net.example()


def copy_of(model: Any) -> Any:
    result = onnx.ModelProto()
    result.CopyFrom(model)
    return result
