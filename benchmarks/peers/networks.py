"""The eleven networks, each defined once as a short list of ops that torch and TensorFlow both run.

Weights are random: right for latency, meaningless for accuracy. Batch norm counts as folded; the
weights are set from data so that every convolution's output has zero mean and unit variance a
channel, hence activations and int8 scales are sane.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Callable

import numpy as np

RELU, RELU6, HSWISH, HSIGMOID, SILU = "relu", "relu6", "hswish", "hsigmoid", "silu"


@dataclass
class Op:
    """One op: ``inputs`` and ``output`` are value ids, value 0 is the picture."""

    kind: str
    inputs: tuple[int, ...]
    output: int
    fields: dict[str, Any]


@dataclass
class Network:
    """A network under construction; ``shape`` maps a value id to (C, H, W), or (C, N) and (C,)."""

    size: int
    ops: list[Op] = field(default_factory=list)
    shape: list[tuple[int, ...]] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    macs: int = 0
    parameters: int = 0
    constant: bool = False  # all weights of a layer are the same positive number

    def __post_init__(self) -> None:
        self.shape.append((3, self.size, self.size))

    def _emit(self, kind: str, inputs: list[int], shape: tuple[int, ...], **fields: Any) -> int:
        self.shape.append(shape)
        self.ops.append(Op(kind, tuple(inputs), len(self.shape) - 1, fields))
        return len(self.shape) - 1

    def conv(
        self, x: int, out: int, kernel: int = 1, stride: int = 1, act: str = "", groups: int = 1
    ) -> int:
        """Convolution with bias, padding kernel // 2, and an activation."""
        c, h, w = self.shape[x]
        shape = (out, -(-h // stride), -(-w // stride))
        weights = out * (c // groups) * kernel * kernel
        self.macs += shape[1] * shape[2] * weights
        self.parameters += weights + out
        y = self._emit(
            "conv", [x], shape, kernel=kernel, stride=stride, groups=groups, fan_in=c, fan_out=out
        )
        return self.act(y, act) if act else y

    def depthwise(self, x: int, kernel: int = 3, stride: int = 1, act: str = "") -> int:
        """Depthwise convolution."""
        c = self.shape[x][0]
        return self.conv(x, c, kernel, stride, act, groups=c)

    def act(self, x: int, kind: str) -> int:
        """An activation function."""
        return self._emit("act", [x], self.shape[x], function=kind)

    def add(self, a: int, b: int) -> int:
        """Sum."""
        return self._emit("add", [a, b], self.shape[a])

    def mul(self, a: int, b: int) -> int:
        """Product; b may be one value a channel."""
        return self._emit("mul", [a, b], self.shape[a])

    def average(self, x: int) -> int:
        """Average over the picture."""
        return self._emit("average", [x], (self.shape[x][0], 1, 1))

    def max_pool(self, x: int, kernel: int, stride: int) -> int:
        """Maximum of a window."""
        c, h, w = self.shape[x]
        shape = (c, -(-h // stride), -(-w // stride))
        return self._emit("max_pool", [x], shape, kernel=kernel, stride=stride)

    def connected(self, x: int, out: int) -> int:
        """Fully connected layer."""
        c = self.shape[x][0]
        self.macs += c * out
        self.parameters += c * out + out
        return self._emit("connected", [x], (out,), fan_in=c, fan_out=out)

    def concat(self, xs: list[int]) -> int:
        """Concatenation of channels."""
        c = sum(self.shape[x][0] for x in xs)
        return self._emit("concat", xs, (c, *self.shape[xs[0]][1:]))

    def slice(self, x: int, begin: int, end: int) -> int:
        """Channels [begin, end)."""
        return self._emit("slice", [x], (end - begin, *self.shape[x][1:]), begin=begin, end=end)

    def shuffle(self, x: int) -> int:
        """Channel shuffle of two groups."""
        return self._emit("shuffle", [x], self.shape[x])

    def upsample(self, x: int) -> int:
        """Twice the size, nearest."""
        c, h, w = self.shape[x]
        return self._emit("upsample", [x], (c, h * 2, w * 2))

    def flatten_concat(self, xs: list[int]) -> int:
        """Heads of several scales, pixels side by side."""
        n = sum(self.shape[x][1] * self.shape[x][2] for x in xs)
        return self._emit("flatten_concat", xs, (self.shape[xs[0]][0], n))

    def squeeze_excite(self, x: int, squeezed: int) -> int:
        """Squeeze and excite with a hard sigmoid."""
        y = self.conv(self.average(x), squeezed, act=RELU)
        return self.mul(x, self.conv(y, self.shape[x][0], act=HSIGMOID))

    def classifier(self, x: int) -> Network:
        """Ends the network with average and 1000 classes."""
        self.outputs = [self.connected(self.average(x), 1000)]
        return self


def _round8(value: float) -> int:
    rounded = max(8, int(value + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * value else rounded


def mobilenet_v1(size: int = 224) -> Network:
    """MobileNetV1 1.0."""
    g = Network(size)
    x = g.conv(0, 32, 3, 2, RELU6)
    steps = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5]
    for out, stride in [*steps, (1024, 2), (1024, 1)]:
        x = g.conv(g.depthwise(x, 3, stride, RELU6), out, act=RELU6)
    return g.classifier(x)


def _inverted(
    g: Network,
    x: int,
    out: int,
    kernel: int,
    stride: int,
    expanded: int,
    act: str = RELU6,
    squeezed: int = 0,
    taps: list[int] | None = None,
) -> int:
    inputs, y = g.shape[x][0], x
    if expanded != inputs:
        y = g.conv(y, expanded, act=act)
        if taps is not None:
            taps.append(y)
    y = g.depthwise(y, kernel, stride, act)
    if squeezed:
        y = g.squeeze_excite(y, squeezed)
    y = g.conv(y, out)
    return g.add(x, y) if stride == 1 and inputs == out else y


def _mobilenet_v2_body(g: Network, taps: list[int] | None = None) -> int:
    x = g.conv(0, 32, 3, 2, RELU6)
    stages = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1)]
    for factor, out, count, stride in [*stages, (6, 160, 3, 2), (6, 320, 1, 1)]:
        for i in range(count):
            expanded = g.shape[x][0] * factor
            x = _inverted(g, x, out, 3, stride if i == 0 else 1, expanded, taps=taps)
    return g.conv(x, 1280, act=RELU6)


def mobilenet_v2(size: int = 224) -> Network:
    """MobileNetV2 1.0."""
    g = Network(size)
    return g.classifier(_mobilenet_v2_body(g))


# kernel, expanded, out, squeeze-excite, activation, stride
_V3_LARGE = [
    (3, 16, 16, 0, RELU, 1), (3, 64, 24, 0, RELU, 2), (3, 72, 24, 0, RELU, 1),
    (5, 72, 40, 1, RELU, 2), (5, 120, 40, 1, RELU, 1), (5, 120, 40, 1, RELU, 1),
    (3, 240, 80, 0, HSWISH, 2), (3, 200, 80, 0, HSWISH, 1), (3, 184, 80, 0, HSWISH, 1),
    (3, 184, 80, 0, HSWISH, 1), (3, 480, 112, 1, HSWISH, 1), (3, 672, 112, 1, HSWISH, 1),
    (5, 672, 160, 1, HSWISH, 2), (5, 960, 160, 1, HSWISH, 1), (5, 960, 160, 1, HSWISH, 1),
]  # fmt: skip
_V3_SMALL = [
    (3, 16, 16, 1, RELU, 2), (3, 72, 24, 0, RELU, 2), (3, 88, 24, 0, RELU, 1),
    (5, 96, 40, 1, HSWISH, 2), (5, 240, 40, 1, HSWISH, 1), (5, 240, 40, 1, HSWISH, 1),
    (5, 120, 48, 1, HSWISH, 1), (5, 144, 48, 1, HSWISH, 1), (5, 288, 96, 1, HSWISH, 2),
    (5, 576, 96, 1, HSWISH, 1), (5, 576, 96, 1, HSWISH, 1),
]  # fmt: skip


def _mobilenet_v3(rows: list[tuple[Any, ...]], last: int, features: int) -> Network:
    g = Network(224)
    x = g.conv(0, 16, 3, 2, HSWISH)
    for kernel, expanded, out, squeeze, act, stride in rows:
        squeezed = _round8(expanded / 4) if squeeze else 0
        x = _inverted(g, x, out, kernel, stride, expanded, act, squeezed)
    x = g.conv(x, last, act=HSWISH)
    x = g.conv(g.average(x), features, act=HSWISH)
    g.outputs = [g.connected(x, 1000)]
    return g


def mobilenet_v3_large() -> Network:
    """MobileNetV3-Large 1.0."""
    return _mobilenet_v3(_V3_LARGE, 960, 1280)


def mobilenet_v3_small() -> Network:
    """MobileNetV3-Small 1.0."""
    return _mobilenet_v3(_V3_SMALL, 576, 1024)


def efficientnet_lite0(size: int = 224) -> Network:
    """EfficientNet-Lite0."""
    g = Network(size)
    x = g.conv(0, 32, 3, 2, RELU6)
    stages = [(1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3)]
    stages += [(6, 5, 1, 112, 3), (6, 5, 2, 192, 4), (6, 3, 1, 320, 1)]
    for factor, kernel, stride, out, count in stages:
        for i in range(count):
            x = _inverted(g, x, out, kernel, stride if i == 0 else 1, g.shape[x][0] * factor)
    return g.classifier(g.conv(x, 1280, act=RELU6))


def shufflenet_v2(size: int = 224) -> Network:
    """ShuffleNetV2 1.0."""
    g = Network(size)
    x = g.max_pool(g.conv(0, 24, 3, 2, RELU), 3, 2)
    for channels, count in [(116, 4), (232, 8), (464, 4)]:
        half = channels // 2
        for i in range(count):
            if i == 0:
                a = g.conv(g.depthwise(x, 3, 2), half, act=RELU)
                b = g.depthwise(g.conv(x, half, act=RELU), 3, 2)
            else:
                a, b = g.slice(x, 0, half), g.slice(x, half, channels)
                b = g.depthwise(g.conv(b, half, act=RELU), 3, 1)
            x = g.shuffle(g.concat([a, g.conv(b, half, act=RELU)]))
    return g.classifier(g.conv(x, 1024, act=RELU))


def _resnet(counts: tuple[int, ...], bottleneck: bool) -> Network:
    g = Network(224)
    x = g.max_pool(g.conv(0, 64, 7, 2, RELU), 3, 2)
    for stage, (width, count) in enumerate(zip((64, 128, 256, 512), counts)):
        for i in range(count):
            stride = 2 if i == 0 and stage > 0 else 1
            if bottleneck:
                y, out = g.conv(x, width, act=RELU), width * 4
                y = g.conv(g.conv(y, width, 3, stride, RELU), out)
            else:
                y, out = g.conv(g.conv(x, width, 3, stride, RELU), width, 3), width
            shortcut = x if g.shape[x] == g.shape[y] else g.conv(x, out, 1, stride)
            x = g.act(g.add(y, shortcut), RELU)
    return g.classifier(x)


def resnet18() -> Network:
    """ResNet-18."""
    return _resnet((2, 2, 2, 2), bottleneck=False)


def resnet50() -> Network:
    """ResNet-50 (v1.5)."""
    return _resnet((3, 4, 6, 3), bottleneck=True)


def ssdlite_mobilenet_v2(size: int = 320, anchors: int = 6, classes: int = 91) -> Network:
    """SSDLite on MobileNetV2, raw heads."""
    g = Network(size)
    taps: list[int] = []
    x = _mobilenet_v2_body(g, taps)
    features = [[t for t in taps if g.shape[t][:2] == (576, size // 16)][-1], x]
    for middle, out in [(256, 512), (128, 256), (128, 256), (64, 128)]:
        x = g.conv(g.depthwise(g.conv(x, middle, act=RELU6), 3, 2, RELU6), out, act=RELU6)
        features.append(x)
    boxes = [g.conv(g.depthwise(f, 3, 1, RELU6), anchors * 4) for f in features]
    scores = [g.conv(g.depthwise(f, 3, 1, RELU6), anchors * classes) for f in features]
    g.outputs = [g.flatten_concat(boxes), g.flatten_concat(scores)]
    return g


def yolov8n(size: int, classes: int = 80) -> Network:
    """YOLOv8n, raw heads."""
    g = Network(size)

    def c2f(x: int, out: int, count: int, residual: bool) -> int:
        half = out // 2
        y = g.conv(x, out, act=SILU)
        parts = [g.slice(y, 0, half), g.slice(y, half, out)]
        for _ in range(count):
            z = g.conv(g.conv(parts[-1], half, 3, act=SILU), half, 3, act=SILU)
            parts.append(g.add(parts[-1], z) if residual else z)
        return g.conv(g.concat(parts), out, act=SILU)

    x = g.conv(g.conv(0, 16, 3, 2, SILU), 32, 3, 2, SILU)
    x = c2f(x, 32, 1, True)
    p3 = c2f(g.conv(x, 64, 3, 2, SILU), 64, 2, True)
    p4 = c2f(g.conv(p3, 128, 3, 2, SILU), 128, 2, True)
    x = c2f(g.conv(p4, 256, 3, 2, SILU), 256, 1, True)
    pyramid = [g.conv(x, 128, act=SILU)]
    for _ in range(3):
        pyramid.append(g.max_pool(pyramid[-1], 5, 1))
    p5 = g.conv(g.concat(pyramid), 256, act=SILU)
    n4 = c2f(g.concat([g.upsample(p5), p4]), 128, 1, False)
    n3 = c2f(g.concat([g.upsample(n4), p3]), 64, 1, False)
    m4 = c2f(g.concat([g.conv(n3, 64, 3, 2, SILU), n4]), 128, 1, False)
    m5 = c2f(g.concat([g.conv(m4, 128, 3, 2, SILU), p5]), 256, 1, False)

    def head(x: int, width: int, out: int) -> int:
        return g.conv(g.conv(g.conv(x, width, 3, act=SILU), width, 3, act=SILU), out)

    boxes = [head(f, 64, 64) for f in (n3, m4, m5)]
    scores = [head(f, 80, classes) for f in (n3, m4, m5)]
    g.outputs = [g.flatten_concat(boxes), g.flatten_concat(scores)]
    return g


def saturation_probe() -> Network:
    """Two small layers, 1x1 and 3x3, whose sums are as large as 8-bit products can make them.

    Arithmetic that saturates or overflows in 16 bits gives a wrong answer here, exact arithmetic
    one as near to float as any int8 network's.
    """
    g = Network(32, constant=True)
    x = g.conv(g.conv(0, 64, act=RELU), 64, act=RELU)
    g.outputs = [g.conv(x, 16, 3)]
    return g


NETWORKS: dict[str, Callable[[], Network]] = {
    "mobilenet_v1": mobilenet_v1,
    "mobilenet_v2": mobilenet_v2,
    "mobilenet_v3_large": mobilenet_v3_large,
    "mobilenet_v3_small": mobilenet_v3_small,
    "efficientnet_lite0": efficientnet_lite0,
    "shufflenet_v2": shufflenet_v2,
    "resnet18": resnet18,
    "resnet50": resnet50,
    "ssdlite_mbv2_320": ssdlite_mobilenet_v2,
    "yolov8n_320": lambda: yolov8n(320),
    "yolov8n_640": lambda: yolov8n(640),
}
# Not timed: for `bench.py --check` alone.
PROBE = "saturation_probe"
EVERYTHING = {**NETWORKS, PROBE: saturation_probe}


def pictures(size: int, count: int, seed: int = 0) -> np.ndarray:
    """Return smooth random pictures, [count, 3, size, size], about normal: blobs and noise."""
    random, found = np.random.default_rng(seed), []
    for _ in range(count):
        blobs = np.kron(random.standard_normal((3, 8, 8)), np.ones((size // 8, size // 8)))
        noise = random.standard_normal((3, size, size))
        found.append((0.8 * blobs + 0.5 * noise).astype(np.float32))
    return np.stack(found)
