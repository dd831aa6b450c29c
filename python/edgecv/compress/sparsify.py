"""Sets weights to zero, in a pattern that kernels or files gain from."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.compress.compensate import Seen, add_biases
from edgecv.compress.network import Network, attributes
from edgecv.errors import Error

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
PATTERNS = ("1x4", "2:4", "unstructured")
_OF_FOUR = 4
_LEAST_INPUTS = 16  # fewer are the first layer, where every weight matters
_ROWS = 16  # solved at a time


@dataclass
class SparseLayer:
    """What became of a layer: the share of zeros before and after; with calibration data, the
    variance of the error of its outputs as a share of theirs.
    """

    name: str
    shape: Tuple[int, ...]
    zeros_before: float
    zeros: float
    error: Optional[float] = None
    why: str = ""


@dataclass
class SparsifyReport:
    """What was set to zero."""

    pattern: str
    amount: float
    made_up: bool
    layers: List[SparseLayer] = field(default_factory=list)

    def to_dict(self) -> Dict[str, Any]:
        """Plain data, ready for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        done = [layer for layer in self.layers if not layer.why]
        weights = sum(int(np.prod(layer.shape)) for layer in done)
        zeros = sum(layer.zeros * float(np.prod(layer.shape)) for layer in done)
        lines = [
            f"sparse                {len(done)} of {len(self.layers)} layers, pattern "
            f"{self.pattern}, {100 * zeros / max(weights, 1):.1f}% zeros"
        ]
        errors = [layer.error for layer in done if layer.error is not None]
        if errors:
            how = "made up for" if self.made_up else "not made up for"
            middle = 100 * float(np.median(errors))
            lines.append(f"error of a layer      {middle:.1f}% of its variance (median), {how}")
        return "\n".join(lines)


def sparsify(
    model: Any,
    *,
    pattern: str = "1x4",
    amount: float = 0.75,
    seen: Optional[Mapping[str, Seen]] = None,
    make_up: bool = False,
    keep: Sequence[str] = (),
    input_shapes: Optional[Mapping[str, Sequence[int]]] = None,
) -> Tuple[Any, SparsifyReport]:
    """Sets weights to zero; returns (onnx.ModelProto, SparsifyReport).

    pattern: "1x4" takes blocks of four inputs side by side of an output, of pointwise and fully
    connected layers, which have a kernel that skips them; "2:4" the two of every four inputs that
    matter least, "unstructured" single weights, both of convolutions of any size, too. amount: the
    share of a layer's weights that becomes zero (2:4: always half).

    What goes is what matters least: by its square or, for layers in ``seen`` (of
    ``edgecv.compress.observe``), by the error that is left once the other weights of the output
    have made up for it. make_up: they do, by least squares over what the layer reads, and the bias
    makes up for the mean. keep: names of nodes (wildcards allowed) that stay.
    """
    if pattern not in PATTERNS:
        raise Error(f"pattern is {pattern!r}: it takes {', '.join(PATTERNS)}")
    if not 0 < amount < 1:
        raise Error(f"amount is {amount}: it takes a share between 0 and 1")
    if make_up and not seen:
        raise Error("make_up needs what layers read: seen, of edgecv.compress.observe")
    net = Network(model, input_shapes)
    if make_up:
        add_biases(net)
    report = SparsifyReport(pattern, 0.5 if pattern == "2:4" else amount, make_up)
    uses: Dict[str, int] = {}
    for node in net.nodes:
        for name in node.input:
            uses[name] = uses.get(name, 0) + 1
    for node in net.nodes:
        axis = _input_axis(net, node)
        if axis is not None:
            report.layers.append(_layer(net, node, axis, report, seen or {}, keep, uses))
    if not report.layers:
        raise Error("the model has no layer with constant float weights")
    if make_up and all(layer.error is None for layer in report.layers):
        raise Error(
            "make_up: no layer that got zeros is one whose inputs were observed: those are "
            "pointwise and fully connected layers, known by the names of their nodes"
        )
    return net.finish(), report


def _input_axis(net: Network, node: Any) -> Optional[int]:
    """The axis of a layer's weights along which its inputs are."""
    weights = net.weight(node, 1)
    if weights is None or weights.dtype != np.float32 or node.domain not in ("", "ai.onnx"):
        return None
    if node.op_type == "Conv":
        return 1
    if node.op_type == "Gemm" and weights.ndim == 2:
        return 1 if attributes(node).get("transB", 0) else 0
    return 0 if node.op_type == "MatMul" and weights.ndim == 2 else None


def _layer(
    net: Network, node: Any, axis: int, report: SparsifyReport, all_seen: Mapping[str, Seen],
    keep: Sequence[str], uses: Mapping[str, int],
) -> SparseLayer:  # fmt: skip
    """Sets the weights of a layer to zero, or says why not."""
    name = node.input[1]
    weights = net.weights[name]
    before = float(np.mean(weights == 0))
    entry = SparseLayer(node.name or node.output[0], tuple(weights.shape), before, before)
    inputs = weights.shape[axis]
    single = weights.size == weights.shape[0] * weights.shape[1]
    if any(fnmatchcase(entry.name, rule) for rule in keep):
        entry.why = "kept as asked"
    elif uses[name] > 1:
        entry.why = "kept: layers share its weights"
    elif attributes(node).get("group", 1) != 1:
        entry.why = "kept: it has groups"
    elif inputs < _LEAST_INPUTS:
        entry.why = f"kept: fewer than {_LEAST_INPUTS} inputs"
    elif report.pattern == "1x4" and not single:
        entry.why = "kept: no kernel skips blocks of k x k layers"
    if entry.why:
        return entry
    # [rows, inputs]: outputs, or outputs and taps.
    moved = np.moveaxis(np.asarray(weights, np.float64), axis, -1)
    rows = moved.reshape(-1, inputs)
    seen = all_seen.get(node.name)
    if seen is not None and (not single or len(seen.mean) != inputs):
        seen = None
    stays = _stays(rows, report.pattern, report.amount, seen)
    result = np.where(stays, rows, 0.0)
    if seen is not None:
        if report.made_up:
            result = least_squares(rows, stays, seen.covariance)
            _move_mean(net, node, (rows - result) @ seen.mean)
        off = rows - result
        variance = float(np.einsum("ij,ij->", rows @ seen.covariance, rows))
        entry.error = float(np.einsum("ij,ij->", off @ seen.covariance, off)) / max(variance, 1e-30)
    final = np.moveaxis(result.reshape(moved.shape), -1, axis).astype(weights.dtype)
    entry.zeros = float(np.mean(final == 0))
    net.set_weight(name, final)
    return entry


def _stays(rows: Floats, pattern: str, amount: float, seen: Optional[Seen]) -> Mask:
    """Which weights stay. Rows compare by shares of theirs, since their scales may differ."""
    count, inputs = rows.shape
    fours = -(-inputs // _OF_FOUR)
    if pattern == "1x4":
        blocks = _block_losses(rows, seen)
        blocks = blocks / np.maximum(blocks.sum(1, keepdims=True), 1e-30)
        return np.repeat(_largest(blocks, amount), _OF_FOUR, axis=1)[:, :inputs]
    single = np.square(rows)
    if seen is not None:
        single = single / np.diagonal(np.linalg.inv(seen.covariance))
    if pattern == "unstructured":
        return _largest(single / np.maximum(single.sum(1, keepdims=True), 1e-30), amount)
    padded = np.zeros((count, fours * _OF_FOUR))
    padded[:, :inputs] = single
    order = np.argsort(padded.reshape(count, fours, _OF_FOUR), axis=2, kind="stable")
    places = np.argsort(order, axis=2, kind="stable").reshape(count, -1)
    kept: Mask = places[:, :inputs] >= _OF_FOUR // 2
    return kept


def _block_losses(rows: Floats, seen: Optional[Seen]) -> Floats:
    """What each block of four costs: [rows, blocks]."""
    count, inputs = rows.shape
    inverse = None if seen is None else np.asarray(np.linalg.inv(seen.covariance), np.float64)
    losses = np.zeros((count, -(-inputs // _OF_FOUR)))
    for block in range(losses.shape[1]):
        at = slice(_OF_FOUR * block, min(_OF_FOUR * (block + 1), inputs))
        w = rows[:, at]
        weighted = w if inverse is None else np.linalg.solve(inverse[at, at], w.T).T
        losses[:, block] = (weighted * w).sum(1)
    return losses


def _largest(values: Floats, amount: float) -> Mask:
    """All but the ``amount`` least of the values."""
    gone = round(amount * values.size)
    stays = np.ones(values.size, bool)
    stays[np.argsort(values, axis=None, kind="stable")[:gone]] = False
    return stays.reshape(values.shape)


def least_squares(rows: Floats, stays: Mask, covariance: Floats) -> Floats:
    """The rows with zeros where not ``stays`` whose products have the least error for inputs of
    that covariance.
    """
    result = np.zeros_like(rows)
    target = rows @ covariance
    counts = stays.sum(1)
    order = np.argsort(counts, kind="stable")
    for first in range(0, len(rows), _ROWS):
        part = order[first : first + _ROWS]
        most = int(counts[part].max())
        if most == 0:
            continue
        # Rows of fewer weights are filled up with equations of their own, x = 0.
        at = np.argsort(~stays[part], axis=1, kind="stable")[:, :most]
        real = np.take_along_axis(stays[part], at, axis=1)
        matrix = covariance[at[:, :, None], at[:, None, :]] * (real[:, :, None] & real[:, None, :])
        matrix[:, np.arange(most), np.arange(most)] += ~real
        side = np.take_along_axis(target[part], at, axis=1) * real
        found = np.linalg.solve(matrix, side[:, :, None])[:, :, 0]
        values = np.zeros((len(part), rows.shape[1]))
        np.put_along_axis(values, at, np.where(real, found, 0.0), axis=1)
        result[part] = values
    return result


def _move_mean(net: Network, node: Any, extra: Floats) -> None:
    """Adds what weights that went gave on average to the bias, where there is one."""
    bias = net.weight(node, 2)
    if node.op_type not in ("Conv", "Gemm") or bias is None or bias.shape != extra.shape:
        return
    attrs = attributes(node)
    if node.op_type == "Gemm":
        extra = extra * attrs.get("alpha", 1.0) / attrs.get("beta", 1.0)
    private = net.fresh(f"{node.input[2]}.made_up")
    net.set_weight(private, (bias + extra).astype(bias.dtype))
    node.input[2] = private
