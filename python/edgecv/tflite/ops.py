"""The ONNX form of each TFLite operator."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Tuple

import numpy as np

from edgecv.tflite.reader import TRANSPOSE_CONV_BIAS, Operator
from edgecv.tflite.translate import TO_NCHW, Translator

Form = Callable[[Translator, Operator], None]
_SAME, _VALID = 0, 1
# Operators whose further inputs repeat what the file says elsewhere: only the first is read.
_FIRST_ONLY = frozenset(("RESHAPE", "SQUEEZE", "EXPAND_DIMS"))


def read_inputs(op: Operator) -> List[int]:
    """The tensors that an operator's form reads."""
    inputs = op.inputs[:1] if op.code in _FIRST_ONLY else op.inputs
    inputs = inputs[1:] if op.code == "TRANSPOSE_CONV" else inputs
    return [index for index in inputs if index >= 0]


def _rank4(t: Translator, op: Operator, *places: int) -> None:
    for index in (*(t.tensor(op, place) for place in places), op.outputs[0]):
        if len(t.shape(index)) != 4:
            raise t.fail(op, f"{t.port_name(index)!r} is not of rank 4")


def _window(
    t: Translator, op: Operator, kernel: Tuple[int, int], dilation: Tuple[int, int]
) -> Dict[str, Any]:
    """Strides and the padding of a window as numbers: [top, left, bottom, right]."""
    source, target = t.shape(op.inputs[0])[1:3], t.shape(op.outputs[0])[1:3]
    strides = [int(op.options["StrideH"]), int(op.options["StrideW"])]
    if op.options["Padding"] not in (_SAME, _VALID) or min(*strides, *kernel, *dilation) < 1:
        raise t.broken(op, "has a window that is none")
    first, last = [], []
    for size, made, k, stride, step in zip(source, target, kernel, strides, dilation):
        reach = (k - 1) * step + 1
        total = 0
        wanted = (size - reach) // stride + 1
        if op.options["Padding"] == _SAME:
            wanted = -(-size // stride)
            total = max((wanted - 1) * stride + reach - size, 0)
        if made != wanted:
            raise t.broken(op, f"its window over {size} gives {wanted}, the file says {made}")
        first.append(total // 2)
        last.append(total - total // 2)
    return {"kernel_shape": list(kernel), "strides": strides, "pads": [*first, *last]}


def _conv(t: Translator, op: Operator) -> None:
    _rank4(t, op, 0, 1)
    weights = t.tensor(op, 1)
    if t.model.tensors[weights].data is None:
        raise t.fail(op, "its weights are not constant")
    depthwise = op.code == "DEPTHWISE_CONV_2D"
    shape, channels = t.shape(weights), t.shape(op.inputs[0])[3]
    group = channels if depthwise else channels // max(shape[3], 1)
    outputs = shape[3] if depthwise else shape[0]
    fits = shape[0] == 1 if depthwise else group * shape[3] == channels
    if not fits or group < 1 or outputs % group or t.shape(op.outputs[0])[3] != outputs:
        raise t.broken(op, f"weights {list(shape)} do not fit {channels} channels")
    dilation = (int(op.options["DilationHFactor"]), int(op.options["DilationWFactor"]))
    window = _window(t, op, (shape[1], shape[2]), dilation)
    inputs = [t.planar(op.inputs[0])]
    inputs.append(t.real_constant(weights, (3, 0, 1, 2) if depthwise else TO_NCHW))
    inputs += _bias(t, op, outputs)
    name = t.node("Conv", inputs, t.base(op), group=group, dilations=list(dilation), **window)
    t.finish(op, name, planar=True)


def _bias(t: Translator, op: Operator, outputs: int, place: int = 2) -> List[str]:
    if len(op.inputs) <= place or op.inputs[place] < 0:
        return []
    if t.shape(op.inputs[place]) != (outputs,):
        raise t.broken(op, f"has a bias of shape {list(t.shape(op.inputs[place]))}")
    return [t.stored(op.inputs[place])]


def _transpose_conv(t: Translator, op: Operator) -> None:
    """The size of the output decides which of its ends are cut off, or stay empty."""
    first = op.code == TRANSPOSE_CONV_BIAS  # else the output's shape stands before
    places = (0, 1) if first else (2, 1)
    _rank4(t, op, *places)
    source, weights = (t.tensor(op, place) for place in places)
    if t.model.tensors[weights].data is None:
        raise t.fail(op, "its weights are not constant")
    shape, outputs = t.shape(weights), t.shape(op.outputs[0])[3]
    if (shape[0], shape[3]) != (outputs, t.shape(source)[3]):
        raise t.broken(op, f"weights {list(shape)} do not fit its channels")
    strides = [int(op.options["StrideH"]), int(op.options["StrideW"])]
    if op.options["Padding"] not in (_SAME, _VALID) or min(strides) < 1:
        raise t.broken(op, "has a window that is none")
    pads, extra = [0, 0, 0, 0], [0, 0]
    for axis, (kernel, stride) in enumerate(zip(shape[1:3], strides)):
        size, made = t.shape(source)[axis + 1], t.shape(op.outputs[0])[axis + 1]
        cut = (size - 1) * stride + kernel - made
        if not -stride < cut < kernel:
            raise t.broken(op, f"cannot make {made} of {size}")
        # Of an output smaller than VALID makes it, TFLite leaves out the end alone.
        pads[axis] = max(cut, 0) // 2 if op.options["Padding"] == _SAME else 0
        pads[axis + 2] = max(cut, 0) - pads[axis]
        extra[axis] = max(-cut, 0)
    inputs = [t.planar(source), t.real_constant(weights, (3, 0, 1, 2))]
    inputs += _bias(t, op, outputs, 2 if first else 3)
    window = {"kernel_shape": list(shape[1:3]), "strides": strides, "pads": pads}
    name = t.node("ConvTranspose", inputs, t.base(op), output_padding=extra, **window)
    t.finish(op, name, planar=True)


def _prelu(t: Translator, op: Operator) -> None:
    source, slopes = t.tensor(op, 0), t.tensor(op, 1)
    if t.model.tensors[slopes].data is None:
        raise t.fail(op, "its slopes are not constant")
    planar = len(t.shape(source)) == 4
    name = t.planar(source) if planar else t.stored(source)
    slope = t.real_constant(slopes, TO_NCHW if planar else None, 4 * planar)
    t.finish(op, t.node("PRelu", [name, slope], t.base(op)), planar)


def _blocks(kind: str) -> Form:
    def form(t: Translator, op: Operator) -> None:
        _rank4(t, op, 0)
        size = int(op.options["BlockSize"])
        batch, high, wide, channels = t.shape(op.inputs[0])
        if kind == "DepthToSpace":
            made = (batch, high * size, wide * size, channels // max(size * size, 1))
        else:
            made = (batch, high // max(size, 1), wide // max(size, 1), channels * size * size)
        fits = size > 0 and np.prod(made) == np.prod(t.shape(op.inputs[0]))
        if not fits or made != t.shape(op.outputs[0]):
            raise t.broken(op, f"its blocks of {size} give {list(made)}, the file says otherwise")
        name = t.node(kind, [t.planar(op.inputs[0])], t.base(op), blocksize=size)
        t.finish(op, name, planar=True)

    return form


def _fully_connected(t: Translator, op: Operator) -> None:
    weights = t.tensor(op, 1)
    shape = t.shape(weights)
    if op.options["WeightsFormat"] != 0 or len(shape) != 2:
        raise t.fail(op, "its weights are shuffled or not of rank 2")
    flat = t.constant(f"{t.base(op)}/shape", np.array([-1, shape[1]], np.int64))
    rows = t.node("Reshape", [t.stored(t.tensor(op, 0)), flat], f"{t.base(op)}/rows")
    name = t.node("Gemm", [rows, t.stored(weights), *_bias(t, op, shape[0])], t.base(op), transB=1)
    made = t.shape(op.outputs[0])
    if len(made) != 2:
        name = _reshaped(t, op, name)
    t.finish(op, name)


def _reshaped(t: Translator, op: Operator, name: str) -> str:
    """The tensor with the dims of the operator's output."""
    shape = np.array(t.shape(op.outputs[0]), np.int64)
    return t.node("Reshape", [name, t.constant(f"{t.base(op)}/dims", shape)], f"{t.base(op)}/moved")


def _binary(kind: str) -> Form:
    def form(t: Translator, op: Operator) -> None:
        operands = [t.tensor(op, 0), t.tensor(op, 1)]
        computed = [i for i in operands if t.model.tensors[i].data is None]
        rank = len(t.shape(op.outputs[0]))
        planar = rank == 4 and all(len(t.shape(i)) == 4 for i in computed)
        names = []
        for index in operands:
            if index in computed:
                names.append(t.planar(index) if planar else t.stored(index))
            else:
                names.append(t.real_constant(index, TO_NCHW if planar else None, 4 * planar))
        t.finish(op, t.node(kind, names, t.base(op)), planar)

    return form


def _pool(t: Translator, op: Operator) -> None:
    _rank4(t, op, 0)
    kernel = (int(op.options["FilterHeight"]), int(op.options["FilterWidth"]))
    kind = "MaxPool" if op.code == "MAX_POOL_2D" else "AveragePool"
    window = _window(t, op, kernel, (1, 1))
    t.finish(op, t.node(kind, [t.planar(op.inputs[0])], t.base(op), **window), planar=True)


def _mean(t: Translator, op: Operator) -> None:
    source = t.tensor(op, 0)
    rank, keep = len(t.shape(source)), bool(op.options["KeepDims"])
    axes = sorted(axis % max(rank, 1) for axis in t.integers(op, 1))
    planar = rank == 4 and (keep or axes == [1, 2])
    if planar:
        axes = sorted(TO_NCHW.index(axis) for axis in axes)
    over = t.constant(f"{t.base(op)}/axes", np.array(axes, np.int64))
    name = t.planar(source) if planar else t.stored(source)
    t.finish(
        op, t.node("ReduceMean", [name, over], t.base(op), keepdims=int(keep)), planar and keep
    )


def _move(t: Translator, op: Operator) -> None:
    """Reshape, Squeeze and ExpandDims: the same values in other dims."""
    t.finish(op, _reshaped(t, op, t.stored(t.tensor(op, 0))))


def _transpose(t: Translator, op: Operator) -> None:
    source, perm = t.tensor(op, 0), t.integers(op, 1)
    if sorted(perm) != list(range(len(t.shape(source)))):
        raise t.broken(op, f"has the permutation {perm}")
    name = t.node("Transpose", [t.stored(source)], t.base(op), perm=perm)
    t.finish(op, name)


def _pad(t: Translator, op: Operator) -> None:
    source = t.tensor(op, 0)
    rank, amounts = len(t.shape(source)), t.integers(op, 1)
    if len(amounts) != 2 * rank or min(amounts, default=0) < 0:
        raise t.broken(op, f"has the paddings {amounts}")
    made = [size + sum(amounts[2 * i : 2 * i + 2]) for i, size in enumerate(t.shape(source))]
    if made != list(t.shape(op.outputs[0])):
        raise t.broken(op, f"its paddings give {made}, the file says another shape")
    order = TO_NCHW if rank == 4 else tuple(range(rank))
    pads = [amounts[2 * axis] for axis in order] + [amounts[2 * axis + 1] for axis in order]
    inputs = [t.planar(source) if rank == 4 else t.stored(source)]
    inputs.append(t.constant(f"{t.base(op)}/pads", np.array(pads, np.int64)))
    t.finish(op, t.node("Pad", inputs, t.base(op)), planar=rank == 4)


def _softmax(t: Translator, op: Operator) -> None:
    name = t.stored(t.tensor(op, 0))
    if op.options["Beta"] != 1.0:
        beta = t.constant(f"{t.base(op)}/beta", np.float32(op.options["Beta"]))
        name = t.node("Mul", [name, beta], f"{t.base(op)}/scaled")
    t.finish(op, t.node("Softmax", [name], t.base(op), axis=-1))


def _unary(kind: str) -> Form:
    def form(t: Translator, op: Operator) -> None:
        source = t.tensor(op, 0)
        planar = t.is_planar(source) and len(t.shape(source)) == 4
        name = t.planar(source) if planar else t.stored(source)
        attrs = {"alpha": op.options["Alpha"]} if kind == "LeakyRelu" else {}
        t.finish(op, t.node(kind, [name], t.base(op), **attrs), planar)

    return form


def _clamp(low: float, high: float) -> Form:
    def form(t: Translator, op: Operator) -> None:
        source = t.tensor(op, 0)
        planar = t.is_planar(source) and len(t.shape(source)) == 4
        name = t.planar(source) if planar else t.stored(source)
        t.finish(op, t.clamp(name, (low, high), t.base(op)), planar)

    return form


def _concat(t: Translator, op: Operator) -> None:
    rank = len(t.shape(op.outputs[0]))
    axis = int(op.options["Axis"]) % max(rank, 1)
    planar = rank == 4
    parts = [t.planar(i) if planar else t.stored(i) for i in op.inputs]
    axis = TO_NCHW.index(axis) if planar else axis
    t.finish(op, t.node("Concat", parts, t.base(op), axis=axis), planar)


def _resize(t: Translator, op: Operator) -> None:
    _rank4(t, op, 0)
    linear = op.code == "RESIZE_BILINEAR"
    corners, half = bool(op.options["AlignCorners"]), bool(op.options["HalfPixelCenters"])
    place = "align_corners" if corners else "half_pixel" if half else "asymmetric"
    nearest = "round_prefer_ceil" if corners or half else "floor"
    source, shape = t.shape(op.inputs[0]), t.shape(op.outputs[0])
    if [source[0], *t.integers(op, 1), source[3]] != list(shape):
        raise t.broken(op, f"makes {list(shape)} of {list(source)}, its size is another")
    sizes = t.constant(f"{t.base(op)}/sizes", np.array([shape[i] for i in TO_NCHW], np.int64))
    attrs = {"mode": "linear"} if linear else {"mode": "nearest", "nearest_mode": nearest}
    inputs = [t.planar(op.inputs[0]), "", "", sizes]
    name = t.node("Resize", inputs, t.base(op), coordinate_transformation_mode=place, **attrs)
    t.finish(op, name, planar=True)


def _rounding(t: Translator, op: Operator) -> None:
    """Quantize and Dequantize: the same real numbers, rounded as the output says."""
    source = t.tensor(op, 0)
    planar = t.is_planar(source) and len(t.shape(source)) == 4
    name = t.planar(source) if planar else t.stored(source)
    if t.is_same_code(source, op.outputs[0]):
        t.alias(op.outputs[0], name, planar)
    else:
        t.finish(op, name, planar)


def _strided_slice(t: Translator, op: Operator) -> None:
    source = t.tensor(op, 0)
    shape = t.shape(source)
    starts, ends, steps = (t.integers(op, place) for place in (1, 2, 3))
    options = op.options
    if (
        options["EllipsisMask"]
        or options["NewAxisMask"]
        or options["Offset"]
        or min(steps, default=1) < 1
    ):
        raise t.fail(op, "an ellipsis, a new axis, an offset or a step below 1 is not supported")
    if not len(starts) == len(ends) == len(steps) <= len(shape):
        raise t.broken(op, "has bounds that do not fit its input")
    for axis, size in enumerate(shape[: len(starts)]):
        starts[axis] += size if starts[axis] < 0 else 0
        ends[axis] += size if ends[axis] < 0 else 0
        if options["BeginMask"] >> axis & 1:
            starts[axis] = 0
        if options["EndMask"] >> axis & 1:
            ends[axis] = size
        if options["ShrinkAxisMask"] >> axis & 1:
            ends[axis] = starts[axis] + 1
    parts = [starts, ends, list(range(len(starts))), steps]
    names = [t.constant(f"{t.base(op)}/part", np.array(part, np.int64)) for part in parts]
    name = t.node("Slice", [t.stored(source), *names], t.base(op))
    if options["ShrinkAxisMask"]:
        name = _reshaped(t, op, name)
    t.finish(op, name)


FORMS: Dict[str, Form] = {
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _conv,
    "FULLY_CONNECTED": _fully_connected,
    "ADD": _binary("Add"),
    "SUB": _binary("Sub"),
    "MUL": _binary("Mul"),
    "DIV": _binary("Div"),
    "AVERAGE_POOL_2D": _pool,
    "MAX_POOL_2D": _pool,
    "MEAN": _mean,
    "RESHAPE": _move,
    "SQUEEZE": _move,
    "EXPAND_DIMS": _move,
    "TRANSPOSE": _transpose,
    "PAD": _pad,
    "SOFTMAX": _softmax,
    "LOGISTIC": _unary("Sigmoid"),
    "TANH": _unary("Tanh"),
    "HARD_SWISH": _unary("HardSwish"),
    "LEAKY_RELU": _unary("LeakyRelu"),
    "PRELU": _prelu,
    "TRANSPOSE_CONV": _transpose_conv,
    TRANSPOSE_CONV_BIAS: _transpose_conv,
    "DEPTH_TO_SPACE": _blocks("DepthToSpace"),
    "SPACE_TO_DEPTH": _blocks("SpaceToDepth"),
    "RELU": _unary("Relu"),
    "RELU6": _clamp(0.0, 6.0),
    "RELU_N1_TO_1": _clamp(-1.0, 1.0),
    "CONCATENATION": _concat,
    "RESIZE_BILINEAR": _resize,
    "RESIZE_NEAREST_NEIGHBOR": _resize,
    "QUANTIZE": _rounding,
    "DEQUANTIZE": _rounding,
    "STRIDED_SLICE": _strided_slice,
}
