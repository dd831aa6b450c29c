"""Each ONNX op that moves or resamples values: imported, decluttered, exported, lowered and
interpreted against onnxruntime.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graph.onnx_models import Builder, check, ops


@pytest.mark.parametrize("axis", [0, 1, 2, 3, -1])
def test_concat(axis: int) -> None:
    b = Builder()
    x = b.input(2, 3, 4, 5)
    y = b.op("Concat", x, b.op("Sigmoid", x), b.weights(2, 3, 4, 5), axis=axis)
    check(b.model(y))


@pytest.mark.parametrize("opset", [9, 13, 18])
@pytest.mark.parametrize("sizes", [None, (1, 3, 2)], ids=str)
def test_split(opset: int, sizes: tuple[int, ...] | None) -> None:
    b = Builder(opset)
    x = b.input(2, 6, 4)
    attrs: dict[str, Any] = {"axis": 1}
    extra = []
    if sizes and opset == 9:
        attrs["split"] = list(sizes)
    elif sizes:
        extra = [b.ints(*sizes)]
    elif opset == 18:
        attrs["num_outputs"] = 3
    parts = b.op("Split", x, *extra, outputs=3, **attrs)
    _, low = check(b.model(*parts))
    assert ops(low) == ["Slice"] * 3


SLICES: list[tuple[list[int], list[int], list[int], list[int]]] = [
    ([0], [2], [0], [1]),
    ([1, -3], [5, 2**31 - 1], [2, 3], [2, 1]),
    ([-100], [100], [1], [2]),
    ([0, 1, 0, 2], [2, 3, 3, 5], [0, 1, 2, 3], [1, 1, 1, 1]),
]


@pytest.mark.parametrize("case", SLICES, ids=str)
def test_slice(case: tuple[list[int], ...]) -> None:
    b = Builder()
    check(b.model(b.op("Slice", b.input(2, 3, 5, 6), *(b.ints(*item) for item in case))))


def test_slice_of_opset_9() -> None:
    b = Builder(9)
    y = b.op("Slice", b.input(2, 3, 5, 6), starts=[1, 1], ends=[3, 4], axes=[1, 3])
    check(b.model(y))


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect"])
def test_pad(mode: str) -> None:
    b = Builder()
    pads = b.ints(0, 1, 2, 1, 0, 1, 0, 3)
    check(b.model(b.op("Pad", b.input(2, 3, 5, 6), pads, b.const(1.5), mode=mode)))


def test_pad_of_opset_9() -> None:
    b = Builder(9)
    y = b.op("Pad", b.input(2, 3, 5, 6), pads=[0, 0, 1, 2, 0, 1, 0, 3], value=2.5)
    check(b.model(y))


RESHAPES: list[tuple[int, ...]] = [
    (2, 60),
    (6, 4, 5),
    (2, 3, 20),
    (2, 3, 2, 2, 5),
    (0, -1),
    (40, 3),
    (1, 2, 3, 4, 5, 1),
    (-1,),
]


@pytest.mark.parametrize("layout", ["identity", "image", "transposed"])
@pytest.mark.parametrize("shape", RESHAPES, ids=str)
def test_reshape(shape: tuple[int, ...], layout: str) -> None:
    b = Builder()
    x = b.input(2, 3, 4, 5)
    if layout == "image":
        x = b.op("Conv", x, b.weights(3, 3, 1, 1))
    elif layout == "transposed":
        x = b.op("Sigmoid", b.op("Transpose", b.input(5, 4, 3, 2), perm=[3, 2, 1, 0]))
    check(b.model(b.op("Sigmoid", b.op("Reshape", x, b.ints(*shape)))))


@pytest.mark.parametrize("axis", [0, 1, 2, 4, -1])
def test_flatten(axis: int) -> None:
    b = Builder()
    check(b.model(b.op("Flatten", b.input(2, 3, 4, 5), axis=axis)))


@pytest.mark.parametrize("opset", [9, 13])
def test_squeeze_and_unsqueeze(opset: int) -> None:
    b = Builder(opset)
    x = b.op("GlobalAveragePool", b.input(2, 3, 4, 5))
    if opset == 9:
        y = b.op("Unsqueeze", b.op("Squeeze", x, axes=[2, 3]), axes=[0])
    else:
        y = b.op("Unsqueeze", b.op("Squeeze", x, b.ints(2, 3)), b.ints(0))
    check(b.model(b.op("Relu", y)))


@pytest.mark.parametrize("perm", [(0, 2, 3, 1), (3, 2, 1, 0), (0, 1, 3, 2), None], ids=str)
def test_transpose(perm: tuple[int, ...] | None) -> None:
    b = Builder()
    x = b.op("Conv", b.input(2, 3, 4, 5), b.weights(3, 3, 1, 1))
    attrs = {} if perm is None else {"perm": list(perm)}
    check(b.model(b.op("Relu", b.op("Transpose", x, **attrs))))


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_depth_to_space(mode: str) -> None:
    b = Builder()
    x = b.op("Conv", b.input(2, 8, 3, 5), b.weights(8, 8, 1, 1))
    _, low = check(b.model(b.op("DepthToSpace", x, blocksize=2, mode=mode)))
    assert ops(low) == ["Conv2d", "Reshape", "Transpose", "Reshape"]


def test_space_to_depth() -> None:
    b = Builder()
    x = b.op("Conv", b.input(2, 2, 6, 4), b.weights(2, 2, 1, 1))
    y = b.op("Conv", b.op("SpaceToDepth", x, blocksize=2), b.weights(3, 8, 1, 1))
    _, low = check(b.model(y))
    assert ops(low) == ["Conv2d", "Reshape", "Transpose", "Reshape", "Conv2d"]


COORDINATES = ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"]
NEAREST = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]


@pytest.mark.parametrize("sizes", [(8, 10), (3, 4), (7, 3), (1, 1)], ids=str)
@pytest.mark.parametrize("coordinates", COORDINATES)
def test_resize_linear(coordinates: str, sizes: tuple[int, int]) -> None:
    b = Builder()
    target = b.ints(2, 3, *sizes)
    x = b.input(2, 3, 4, 5)
    mode = {"mode": "linear", "coordinate_transformation_mode": coordinates}
    _, low = check(b.model(b.op("Resize", x, "", "", target, **mode)))
    assert ops(low) == ["Resize2d"]


@pytest.mark.parametrize("sizes", [(8, 10), (3, 4), (7, 3), (12, 15)], ids=str)
@pytest.mark.parametrize("nearest", NEAREST)
@pytest.mark.parametrize("coordinates", COORDINATES)
def test_resize_nearest(coordinates: str, nearest: str, sizes: tuple[int, int]) -> None:
    b = Builder()
    target = b.ints(2, 3, *sizes)
    mode = {"coordinate_transformation_mode": coordinates, "nearest_mode": nearest}
    check(b.model(b.op("Resize", b.input(2, 3, 4, 5), "", "", target, **mode)))


@pytest.mark.parametrize("scale", [(2.0, 2.0), (1.7, 0.6), (3.0, 1.5)], ids=str)
@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("coordinates", ["half_pixel", "asymmetric", "align_corners"])
def test_resize_by_scales(coordinates: str, mode: str, scale: tuple[float, float]) -> None:
    b = Builder()
    x = b.input(1, 3, 4, 5)
    attrs = {"mode": mode, "coordinate_transformation_mode": coordinates}
    check(b.model(b.op("Resize", x, "", b.const([1.0, 1.0, *scale]), **attrs)))


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("op", ["Upsample", "Resize"])
def test_resize_of_older_opsets(op: str, mode: str) -> None:
    b = Builder(9 if op == "Upsample" else 10)
    y = b.op(op, b.input(1, 3, 4, 5), b.const([1.0, 1.0, 2.0, 3.0]), mode=mode)
    check(b.model(y))


@pytest.mark.parametrize("index", [1, -1, [0, 2, 4], [3, 0, 1], [[0, 1], [2, 3]]], ids=str)
def test_gather(index: Any) -> None:
    b = Builder()
    indices = b.const(index, np.int64)
    check(b.model(b.op("Gather", b.input(2, 5, 6), indices, axis=1)))


def test_expand_and_tile() -> None:
    b = Builder()
    x = b.op("Expand", b.input(1, 3, 1, 5), b.ints(2, 3, 4, 5))
    check(b.model(b.op("Tile", x, b.ints(1, 2, 1, 3))))
