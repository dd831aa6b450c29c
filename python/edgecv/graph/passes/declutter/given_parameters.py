"""The parameters of QuantizeLinear and DequantizeLinear, checked: what :mod:`adopt_quantization`
reads them by.
"""

from __future__ import annotations

from typing import Any, Dict, NoReturn, Optional, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.errors import UnsupportedModelError
from edgecv.graph.ir import Given, Graph, Node
from edgecv.graph.passes.rewrite import constant, input_name, normal_axis

Array = NDArray[Any]
# dtype -> (least, largest, what is taken off to make it s8)
CODES: Dict[str, Tuple[int, int, int]] = {
    "s8": (-128, 127, 0),
    "u8": (0, 255, 128),
    "s4": (-8, 7, 0),
    "u4": (0, 15, 0),
}
WIDE: Dict[str, Tuple[int, int]] = {
    "s16": (-(2**15), 2**15 - 1),
    "u16": (0, 2**16 - 1),
    "s32": (-(2**31), 2**31 - 1),
}


def fail(node: Node, tensor: str, reason: str) -> NoReturn:
    """Raises UnsupportedModelError that names node and tensor."""
    raise UnsupportedModelError(f"node {node.name!r} ({node.op}): {tensor!r} {reason}")


def parameters_of(graph: Graph, node: Node, dtype: str) -> Tuple[Array, Array]:
    """(scale in f64, zero point in s64), of one shape, of a (De)QuantizeLinear, checked."""
    name, zero_name = input_name(node, 1), input_name(node, 2)
    if not name:
        fail(node, node.inputs[0], "has no scale")
    scale = constant(graph, name)
    if scale is None:
        fail(node, name, "is a scale that is not constant")
    if graph.values[name].dtype != "f32":
        fail(node, name, f"is a scale of dtype {graph.values[name].dtype}")
    scale = scale.astype(np.float64)
    if scale.size == 0 or not np.isfinite(scale).all():
        fail(node, name, "is a scale that is not finite")
    if (scale <= 0).any():
        fail(node, name, f"is a scale of {scale.min():g}; it must be above 0")
    if not zero_name:
        return scale, np.zeros(scale.shape, np.int64)
    zero = constant(graph, zero_name)
    if zero is None:
        fail(node, zero_name, "is a zero point that is not constant")
    if graph.values[zero_name].dtype != dtype:
        have = graph.values[zero_name].dtype
        fail(node, zero_name, f"is a zero point of dtype {have} for integers of {dtype}")
    if zero.shape != scale.shape and (zero.size, scale.size) != (1, 1):
        fail(
            node, zero_name,
            f"is a zero point of shape {list(zero.shape)}, its scale {list(scale.shape)}",
        )  # fmt: skip
    return scale, zero.astype(np.int64).reshape(scale.shape)


def code_of(graph: Graph, node: Node, tensor: str, dtype: str) -> Given:
    """How an activation of an integer dtype is coded."""
    scale, zero = parameters_of(graph, node, dtype)
    if scale.size != 1:
        fail(node, input_name(node, 1), "gives an activation more than one scale")
    low, high, shift = CODES[dtype]
    least = 2.0**-100
    if float(scale.max()) < least:
        fail(node, input_name(node, 1), f"is a scale of {scale.max():g}, below 2^-100")
    return Given(
        float(np.float32(scale.reshape(-1)[0])),
        int(zero.reshape(-1)[0]) - shift,
        low - shift,
        high - shift,
    )


def spread(node: Node, data: Array, parameter: Array) -> Array:
    """A scale or zero point, broadcastable to the data: one, one a slice, or one a block."""
    if parameter.size == 1:
        return parameter.reshape((1,) * data.ndim)
    axis = normal_axis(int(node.attrs.get("axis", 1)), data.ndim)
    block = int(node.attrs.get("block_size", 0))
    name = input_name(node, 1)
    if not 0 <= axis < data.ndim:
        fail(node, name, f"belongs to axis {axis} of a tensor of rank {data.ndim}")
    if block:
        wide = np.repeat(parameter, block, axis=axis) if parameter.ndim == data.ndim else None
        if wide is None or wide.shape[axis] < data.shape[axis]:
            fail(node, name, f"does not fit blocks of {block} on axis {axis}")
        wide = wide.take(range(data.shape[axis]), axis)
        if wide.shape != data.shape:
            fail(node, name, f"does not fit blocks of {block} on axis {axis}")
        return wide
    if parameter.ndim != 1 or parameter.size != data.shape[axis]:
        fail(
            node, name,
            f"has {parameter.size} entries for the {data.shape[axis]} of axis {axis}",
        )  # fmt: skip
    return parameter.reshape([-1 if i == axis else 1 for i in range(data.ndim)])


def moved_integers(graph: Graph, node: Node) -> Optional[Array]:
    """What a Cast, Clip or move makes of constant integers; None for other nodes and inputs."""
    if node.op not in ("Cast", "Clip", "Identity", "Reshape", "Transpose"):
        return None
    dtype = graph.values[node.outputs[0]].dtype
    data, *others = (constant(graph, name) if name else None for name in node.inputs)
    given = sum(bool(name) for name in node.inputs[1:])
    if data is None or dtype not in CODES or given != sum(each is not None for each in others):
        return None
    if node.op == "Transpose":
        return np.transpose(data, node.attrs.get("perm"))
    if node.op == "Reshape":
        shape = graph.values[node.outputs[0]].shape
        return data.reshape(shape) if data.size == np.prod(shape) else None
    bounds = CODES[dtype][:2]
    if node.op == "Clip":
        low, high = (
            bound if each is None else int(each.reshape(-1)[0])
            for each, bound in zip([*others, None, None], bounds)
        )
        cut: Array = np.clip(data, low, high)
        return cut
    if data.size and not bounds[0] <= data.min() <= data.max() <= bounds[1]:
        fail(node, node.inputs[0], f"is integers that {dtype} cannot hold")
    return data


def by_output(node: Node, index: int, array: Array) -> Array:
    """[output channels, all else] of an array of the weights' shape."""
    if node.op == "ConvTranspose":
        groups = int(node.attrs.get("group", 1))
        split = array.reshape(groups, -1, *array.shape[1:]).swapaxes(1, 2)
        return split.reshape(groups * array.shape[1], -1)
    if node.op == "Gemm" and not node.attrs.get("transB", 0):
        array = array.T
    elif node.op == "MatMul":
        array = np.moveaxis(array, -1 if index else -2, 0)
    return array.reshape(array.shape[0], -1)
