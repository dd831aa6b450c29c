"""Low-rank factors in place of layers, where that is faster."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.compress.factors import Factors, Form, forms
from edgecv.compress.latency import STORE
from edgecv.compress.measure import convert_for_timing, interleave
from edgecv.compress.network import Network, attributes, set_attribute
from edgecv.errors import Error
from edgecv.onnx.load import onnx

from onnx import helper  # isort: skip - load reports a missing onnx

METHODS = ("svd", "spatial", "tucker")
Array = NDArray[Any]


@dataclass
class FactorReport:
    """What became of a layer.

    ``predicted`` and ``measured``: time of the factors as a share of the layer's. ``error``: of the
    weights, as a share of their norm. ``why``: the reason when the layer stays as it is.
    """

    name: str
    shape: Tuple[int, ...]
    method: Optional[str] = None
    ranks: Tuple[int, ...] = ()
    error: float = 0.0
    predicted: Optional[float] = None
    measured: Optional[float] = None
    macs_before: int = 0
    macs_after: int = 0
    why: str = ""


@dataclass
class LowRankReport:
    """What factorization did, layer by layer."""

    energy: float
    layers: List[FactorReport] = field(default_factory=list)

    def to_dict(self) -> Dict[str, Any]:
        """Plain data, ready for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        done = [layer for layer in self.layers if not layer.why]
        before = sum(layer.macs_before for layer in self.layers)
        after = sum(layer.macs_after for layer in self.layers)
        lines = [
            f"factored              {len(done)} of {len(self.layers)} layers, keeping "
            f"{100 * self.energy:g}% of the energy of each",
            f"multiply-accumulates  {before / 1e6:,.1f} -> {after / 1e6:,.1f} million",
        ]
        if not done:
            lines.append("nothing to gain: the model is unchanged")
        return "\n".join(lines)


def factorize(
    model: Any,
    *,
    energy: float = 0.99,
    methods: Sequence[str] = METHODS,
    snap: int = 8,
    keep: Sequence[str] = (),
    measure: bool = False,
    threads: int = 1,
    always: bool = False,
    input_shapes: Optional[Mapping[str, Sequence[int]]] = None,
    progress: Optional[Callable[[str, int, int], None]] = None,
) -> Tuple[Any, LowRankReport]:
    """Replaces layers by two or three of lower rank; returns (onnx.ModelProto, LowRankReport).

    energy: the share of the squared singular values that stays; the rank follows from it.
    methods: "svd" for 1x1 and fully connected layers, "spatial" (a column, then a row) and "tucker"
        (1x1, k x k, 1x1) for k x k; of several the one predicted fastest is taken.
    snap: ranks are rounded up to multiples of it.
    keep: names of nodes (wildcards allowed) that stay.
    measure: time each layer and its factors in int8 on this machine, and keep the layer unless they
        are faster; without, the prediction decides. always: factor every layer with a rank below
        the full one, faster or not.
    progress: called with what is done, and how many nodes of how many are over.
    """
    if not 0 < energy <= 1:
        raise Error(f"energy is {energy!r}: it takes a share up to 1")
    unknown = [method for method in methods if method not in METHODS]
    if unknown:
        raise Error(f"methods: {unknown[0]!r} is none of {', '.join(METHODS)}")
    if snap < 1:
        raise Error(f"snap is {snap!r}: it takes 1 or more")
    net = Network(model, input_shapes)
    report = LowRankReport(energy)
    nodes: List[Any] = []
    for number, node in enumerate(net.nodes):
        if progress is not None:
            progress("factor and time layers" if measure else "factor", number, len(net.nodes))
        layer = _layer(net, node)
        if layer is None:
            nodes.append(node)
            continue
        weights, pixels = layer
        macs = pixels * int(weights.size)
        entry = FactorReport(
            node.name or node.output[0], weights.shape, macs_before=macs, macs_after=macs
        )
        report.layers.append(entry)
        parts = [node]
        if any(fnmatchcase(entry.name, rule) for rule in keep):
            entry.why = "kept as asked"
        else:
            form = _choose(net, node, weights, energy, snap, methods, entry)
            if form is not None and (always or measure or _faster(entry)):
                factors = form.compute(np.asarray(weights))
                entry.error = factors.error
                made = _factored(net, node, factors)
                if always or not measure or _measure(net, node, made, entry, threads):
                    parts = made
                    entry.macs_after = _macs(net, node, form)
                else:
                    entry.why = f"dense is faster: factors take {entry.measured:.2f} of its time"
        nodes += parts
    if not report.layers:
        raise Error("the model has no layer with constant float weights")
    graph = net.proto.graph
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)
    return net.finish(), report


def _layer(net: Network, node: Any) -> Optional[Tuple[Array, int]]:
    """(weights as [O, I, ...], positions they are applied at) of a layer that can be factored."""
    if node.domain not in ("", "ai.onnx") or node.op_type not in ("Conv", "Gemm", "MatMul"):
        return None
    weights = net.weight(node, 1)
    shape = net.shape(node.output[0])
    attrs = attributes(node)
    if weights is None or shape is None or weights.dtype != np.float32:
        return None
    if node.op_type == "Conv":
        if attrs.get("group", 1) != 1 or attrs.get("auto_pad", b"NOTSET") != b"NOTSET":
            return None
        return weights, int(np.prod(shape[2:], dtype=np.int64)) * shape[0]
    if weights.ndim != 2 or attrs.get("transA", 0):
        return None
    pixels = int(np.prod(shape[:-1], dtype=np.int64))
    return (weights if attrs.get("transB", 0) else weights.T), pixels


def _choose(
    net: Network, node: Any, weights: Array, energy: float, snap: int,
    methods: Sequence[str], entry: FactorReport,
) -> Optional[Form]:  # fmt: skip
    """The form predicted fastest, None when every rank is the full one."""
    found = forms(weights, energy, snap, methods)
    if not found:
        entry.why = "the rank for this energy is the full one"
        return None
    times = [_time(_positions(net, node, form), form.shapes) for form in found]
    best = int(np.argmin(times))
    entry.method, entry.ranks = found[best].method, found[best].ranks
    pixels = entry.macs_before // int(weights.size)
    entry.predicted = times[best] / _time([pixels], [weights.shape])
    return found[best]


def _faster(entry: FactorReport) -> bool:
    """Whether the factors are predicted faster; if not, says so."""
    assert entry.predicted is not None
    if entry.predicted < 1:
        return True
    entry.why = f"dense is faster: factors would take {entry.predicted:.2f} of its time"
    return False


def _positions(net: Network, node: Any, form: Form) -> List[int]:
    """At how many positions each factor is applied."""
    shape, before = net.known(node.output[0]), net.known(node.input[0])
    if node.op_type != "Conv":
        return [int(np.prod(shape[:-1], dtype=np.int64))] * len(form.shapes)
    whole = shape[0] * int(np.prod(shape[2:], dtype=np.int64))
    if form.method == "spatial":
        return [shape[0] * shape[2] * before[3], whole]
    if form.method == "tucker-2":
        return [shape[0] * int(np.prod(before[2:], dtype=np.int64)), whole, whole]
    return [whole, whole]


def _macs(net: Network, node: Any, form: Form) -> int:
    positions = _positions(net, node, form)
    return sum(count * int(np.prod(shape)) for count, shape in zip(positions, form.shapes))


def _time(positions: Sequence[int], shapes: Sequence[Tuple[int, ...]]) -> float:
    """Predicted time in arbitrary units: outputs times (depth + STORE)."""
    return float(
        sum(
            count * (int(np.prod(shape)) + shape[0] * STORE)
            for count, shape in zip(positions, shapes)
        )
    )


def _factored(net: Network, node: Any, factors: Factors) -> List[Any]:
    """The nodes in place of a layer; the last has its name, bias and output."""
    name = node.name or node.output[0]
    values = []
    for index, weights in enumerate(factors.weights):
        if node.op_type != "Conv":
            transposed = index == len(factors.weights) - 1 and attributes(node).get("transB", 0)
            weights = weights if transposed else weights.T
        values.append(net.fresh(f"{name}.factor{index}"))
        net.set_weight(values[-1], weights.astype(np.float32))
    made = []
    x = node.input[0]
    for index, value in enumerate(values):
        last = index == len(values) - 1
        y = node.output[0] if last else net.fresh(f"{name}.{index}")
        rest = list(node.input[2:]) if last else []
        part = helper.make_node(
            node.op_type, [x, value, *rest], [y], name=name if last else f"{name}.{index}"
        )
        if node.op_type == "Conv":
            _conv_attributes(node, part, factors, index)
        elif last:
            part.attribute.extend(node.attribute)
        made.append(part)
        x = y
    return made


def _conv_attributes(node: Any, part: Any, factors: Factors, index: int) -> None:
    """Each axis of the window goes to the factor that has it: stride, pads, dilations."""
    attrs = attributes(node)
    kernel = list(factors.weights[index].shape[2:])
    rank = len(kernel)
    strides = list(attrs.get("strides") or [1] * rank)
    dilations = list(attrs.get("dilations") or [1] * rank)
    pads = list(attrs.get("pads") or [0] * (2 * rank))
    if factors.method == "svd":
        mine = [index == 0] * rank
    elif factors.method == "spatial":
        mine = [index == 0, index == 1]
    else:
        mine = [index == 1] * rank
    set_attribute(part, "kernel_shape", kernel)
    set_attribute(part, "strides", [s if m else 1 for s, m in zip(strides, mine)])
    set_attribute(part, "dilations", [d if m else 1 for d, m in zip(dilations, mine)])
    set_attribute(part, "pads", [p if m else 0 for p, m in zip(pads, mine * 2)])


def _measure(net: Network, node: Any, made: List[Any], entry: FactorReport, threads: int) -> bool:
    """Times the layer and its factors alone, in turn; tells whether the factors are faster."""
    files = []
    for nodes in ([node], made):
        used = {name for part in nodes for name in part.input if name in net.weights}
        graph = helper.make_graph(
            nodes,
            "layer",
            [helper.make_tensor_value_info(node.input[0], 1, net.known(node.input[0]))],
            [helper.make_tensor_value_info(node.output[0], 1, net.known(node.output[0]))],
            [onnx.numpy_helper.from_array(net.weights[name], name) for name in sorted(used)],
        )
        model = helper.make_model(
            graph, opset_imports=net.proto.opset_import, ir_version=max(4, net.proto.ir_version)
        )
        files.append(convert_for_timing(model)[0])
    a, b = interleave(files, seconds=0.2, threads=threads)
    entry.measured = b.ms / a.ms
    return entry.measured < 1
