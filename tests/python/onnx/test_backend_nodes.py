"""The node tests of the onnx package, imported, decluttered, lowered and interpreted.

A case is tried with all inputs computed and, when that is refused, with all but the first as
constants. Cases of ops that edgecv covers must pass unless REFUSED says why not; the test prints
how many passed and which ops are not covered.
"""

from __future__ import annotations

import warnings
from collections import Counter
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from edgecv.errors import Error
from edgecv.graph.interpret import interpret, outputs_of
from edgecv.graph.passes.pipeline import declutter, lower
from edgecv.graph.passes.settle import is_quantized
from edgecv.graph.verify import verify
from edgecv.onnx.importer import import_model

COVERED = frozenset(
    """Abs Add ArgMax ArgMin AveragePool BatchNormalization Ceil Celu Clip Concat Conv ConvTranspose
    DepthToSpace Div Dropout Elu Erf Exp Expand Flatten Floor Gather Gelu Gemm GlobalAveragePool
    GlobalMaxPool GroupNormalization HardSigmoid HardSwish Identity InstanceNormalization
    LayerNormalization LeakyRelu Log LogSoftmax LpNormalization MatMul Max MaxPool Mean Min Mish Mul
    Neg PRelu Pad Pow RMSNormalization Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp
    ReduceMax ReduceMean ReduceMin ReduceSum ReduceSumSquare Relu Reshape Resize Selu Sigmoid Slice
    Softmax Softplus Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum Swish Tanh Tile Transpose
    Unsqueeze Upsample""".split()  # noqa: SIM905
)
# Part of a case's name -> why it is refused, or taken differently, though its op is covered.
REFUSED = {
    "3d": "volumes",
    "averagepool_2d_dilations": "a dilated average",
    "training_mode": "training",
    "test_training_dropout": "training",
    "default_mask": "the mask of Dropout is an output",
    "select_last_index": "the last index of the largest",
    "with_argmax": "indices of the pool",
    "layer_normalization": "mean and deviation are outputs",
    "prelu_example": "a slope per element",
    "cubic": "cubic resize",
    "antialias": "antialiased resize",
    "tf_crop_and_resize": "cropping resize",
    "downsample_scales_linear_align_corners": "onnxruntime and PyTorch align the corners of whole"
    " pixels; this case expects corners of a fractional size",
    "slice_neg": "steps backwards",
    "empty_set": "an empty tensor",
    "zero_size": "an empty tensor",
    "out_of_bounds": "an empty tensor",
    "allowzero": "an empty tensor",
    "l1normalization": "the 1-norm",
    "test_pow": "a computed power",
    "test_max_": "the maximum of two tensors",
    "test_min_": "the minimum of two tensors",
}
# Of the largest magnitude. docs/ops.md promises 1e-4 for f32, but a few cases state their results
# with four digits; the other types have 11, 8 and 53 bits, and edgecv computes them in f32.
TOLERANCES = {"float32": 2e-4, "float16": 2e-3, "bfloat16": 1.6e-2, "float64": 1e-4}

Array = NDArray[Any]


def attempt(model: onnx.ModelProto, inputs: list[Array], computed: int) -> list[Array]:
    """The outputs, with the first ``computed`` inputs given and the others constant."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    feeds: dict[str, Array] = {}
    for index, item in enumerate(model.graph.input):
        if index < computed:
            feeds[item.name] = inputs[index]
        else:
            copy.graph.initializer.append(numpy_helper.from_array(inputs[index], item.name))
    graph = declutter(import_model(copy))
    if is_quantized(graph):
        raise Error("quantized: see test_quantized_nodes.py")
    low = lower(graph)
    verify(low)
    answers = outputs_of(low, interpret(low, feeds))
    return [answers[item.name] for item in model.graph.output]


def is_float(array: Array) -> bool:
    return str(array.dtype) in TOLERANCES


def agrees(got: Array, want: Array) -> bool:
    if got.shape != want.shape:
        return False
    if not is_float(want):
        return bool(np.array_equal(got, want))
    limit = TOLERANCES[str(want.dtype)] * max(1e-6, float(np.abs(want.astype(np.float64)).max()))
    return bool(np.allclose(got.astype(np.float64), want.astype(np.float64), rtol=0, atol=limit))


def cases() -> list[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package's own cases divide by zero
        from onnx.backend.test.loader import load_model_tests

        return list(load_model_tests(kind="node"))


def test_node_cases(capsys: pytest.CaptureFixture[str]) -> None:
    outcomes: Counter[str] = Counter()
    uncovered: Counter[str] = Counter()
    wrong: list[str] = []
    used: set[str] = set()
    for case in cases():
        op = case.model.graph.node[0].op_type
        if case.name.endswith("_expanded"):
            op = "expanded functions"
        inputs, want = case.data_sets[0]
        arrays = [*inputs, *want]
        if not all(isinstance(item, (np.ndarray, np.generic)) for item in arrays):
            outcomes["not tensors"] += 1
            continue
        inputs, want = [np.asarray(item) for item in inputs], [np.asarray(item) for item in want]
        error: Error | None = None
        for computed in dict.fromkeys((len(inputs), min(1, len(inputs)))):
            try:
                answers = attempt(case.model, inputs, computed)
            except Error as reason:
                error = reason
                continue
            same = all(agrees(got, item) for got, item in zip(answers, want))
            outcomes["passed" if same else "taken differently"] += 1
            if not same:
                known = {part for part in REFUSED if part in case.name}
                used |= known
                wrong += [] if known else [f"{case.name} differs"]
            break
        else:
            outcomes["refused"] += 1
            uncovered[op] += 1
            floats = all(is_float(item) for item in inputs[:1])
            if op in COVERED and floats:
                known = {part for part in REFUSED if part in case.name}
                used |= known
                wrong += [] if known else [f"{case.name}: {error}"]
    with capsys.disabled():
        print(f"\nONNX node cases: {dict(outcomes)}")
        others = sorted(set(uncovered) - COVERED - {"expanded functions"})
        print(f"ops not covered: {' '.join(others)}")
    assert not wrong, "\n".join(wrong)
    assert used == set(REFUSED)
    assert outcomes["taken differently"] == 1
    assert outcomes["passed"] >= 550
