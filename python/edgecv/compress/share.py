"""Weight sharing: each layer, or each of its channels, keeps 16 or 256 different weights."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.compress.network import Network, attributes
from edgecv.errors import Error

Array = NDArray[Any]
_STEPS = 50
_ZEROS = 0.05  # a layer with at least so many zeros keeps them: they are there on purpose


@dataclass
class SharedLayer:
    """What became of a layer; ``values``: how many different weights its largest codebook has."""

    name: str
    shape: Tuple[int, ...]
    codebooks: int
    values: int
    sqnr_db: Optional[float] = None
    why: str = ""


@dataclass
class ShareReport:
    """What weight sharing did. ``bits_after``: of indices and codebooks, if a file has them."""

    bits: int
    per: str
    bits_before: int
    bits_after: int
    layers: List[SharedLayer] = field(default_factory=list)

    def to_dict(self) -> Dict[str, Any]:
        """Plain data, ready for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        done = [layer for layer in self.layers if not layer.why]
        worst = min((layer.sqnr_db for layer in done if layer.sqnr_db is not None), default=None)
        lines = [
            f"shared                {len(done)} of {len(self.layers)} layers, {2**self.bits} "
            f"weights a {self.per}",
            f"weights alone         {self.bits_before // 8:,} -> {self.bits_after // 8:,} bytes as "
            "indices and float codebooks; an ONNX file stays as large",
        ]
        if worst is not None:
            lines.append(f"worst layer           {worst:.1f} dB")
        return "\n".join(lines)


def share(
    model: Any,
    *,
    bits: int = 4,
    per: str = "channel",
    keep: Sequence[str] = (),
    input_shapes: Optional[Mapping[str, Sequence[int]]] = None,
) -> Tuple[Any, ShareReport]:
    """Replaces weights by the nearest of 2^bits values; returns (onnx.ModelProto, ShareReport).

    bits: 4 (16 values) or 8 (256). per: "channel" for a codebook for each output channel, "layer"
    for one for all. The values are chosen by k-means, which minimizes the squared error.
    keep: names of nodes (wildcards allowed) that stay.

    Zeros of a layer that has many stay zeros. A codebook that would not be smaller than the weights
    it stands for is not made.
    """
    if bits not in (4, 8):
        raise Error(f"bits is {bits!r}: it takes 4 or 8")
    if per not in ("channel", "layer"):
        raise Error(f"per is {per!r}: it takes 'channel' or 'layer'")
    net = Network(model, input_shapes)
    report = ShareReport(bits, per, 0, 0)
    done: Dict[str, Array] = {}
    for node in net.nodes:
        axis = _output_axis(net, node)
        if axis is None:
            continue
        name = node.input[1]
        weights = net.weights[name]
        rows = np.moveaxis(weights, axis, 0).reshape(weights.shape[axis], -1)
        rows = rows if per == "channel" else rows.reshape(1, -1)
        entry = SharedLayer(
            node.name or node.output[0], weights.shape, len(rows),
            max(len(np.unique(row)) for row in rows),
        )  # fmt: skip
        report.layers.append(entry)
        if name in done:
            entry.why = "shares the weights of a layer before"
            continue
        done[name] = weights
        report.bits_before += 32 * int(weights.size)
        report.bits_after += 32 * int(weights.size)
        stored = len(rows) * (rows.shape[1] * bits + 32 * 2**bits)
        if any(fnmatchcase(entry.name, rule) for rule in keep):
            entry.why = "kept as asked"
        elif entry.values > 2**bits and stored >= 32 * int(weights.size):
            entry.why = "kept: its codebooks would be as large as the weights"
        elif entry.values > 2**bits:
            made = np.stack([codebook(row, 2**bits)[0] for row in rows])
            entry.values = max(len(np.unique(row)) for row in made)
            noise = float(np.square(made - rows, dtype=np.float64).sum())
            signal = float(np.square(rows, dtype=np.float64).sum())
            entry.sqnr_db = float(10 * np.log10(signal / noise)) if noise else None
            shape = np.moveaxis(weights, axis, 0).shape
            net.set_weight(name, np.moveaxis(made.reshape(shape), 0, axis))
        if not entry.why:
            report.bits_after += min(stored - 32 * int(weights.size), 0)
    if not report.layers:
        raise Error("the model has no layer with constant float weights")
    return net.finish(), report


def _output_axis(net: Network, node: Any) -> Optional[int]:
    """The axis of a layer's weights along which its output channels are."""
    weights = net.weight(node, 1)
    if weights is None or weights.dtype != np.float32 or node.domain not in ("", "ai.onnx"):
        return None
    if node.op_type == "Conv":
        return 0
    if node.op_type == "ConvTranspose" and attributes(node).get("group", 1) == 1:
        return 1
    if node.op_type == "Gemm":
        return 0 if attributes(node).get("transB", 0) else 1
    return 1 if node.op_type == "MatMul" and weights.ndim == 2 else None


def codebook(values: Array, count: int) -> Tuple[Array, Array]:
    """(values rounded to at most ``count`` different ones, these values), by k-means on a line.

    Starts at quantiles, so that equal input gives equal output. Where many values are zero, zero
    stays one of the codes.
    """
    values = np.asarray(values, np.float32)
    exact = np.sort(values.astype(np.float64))
    distinct = np.unique(values)
    if len(distinct) <= count:
        return values.copy(), distinct
    has_zeros = float(np.mean(values == 0)) >= _ZEROS
    spread = np.quantile(exact, (np.arange(count) + 0.5) / count)
    line = np.linspace(exact[0], exact[-1], count)
    centers = np.unique((spread + line) / 2)
    sums = np.concatenate([[0.0], np.cumsum(exact)])
    for _ in range(_STEPS):
        if has_zeros:
            centers[np.argmin(np.abs(centers))] = 0.0
        edges = np.searchsorted(exact, (centers[1:] + centers[:-1]) / 2)
        bounds = np.concatenate([[0], edges, [len(exact)]])
        counts = np.diff(bounds)
        means = np.diff(sums[bounds]) / np.maximum(counts, 1)
        moved = np.where(counts > 0, means, centers)
        if np.array_equal(moved, centers):
            break
        centers = np.sort(moved)
    codes = centers.astype(np.float32)
    if has_zeros:
        codes[np.argmin(np.abs(codes))] = 0.0
    codes = np.unique(codes)
    middles = (codes[1:].astype(np.float64) + codes[:-1]) / 2
    return codes[np.searchsorted(middles, values.astype(np.float64))], codes
