"""What a conversion did, layer by layer."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from typing import Any, Dict, List, Optional, Tuple

# What rounding and storing an output takes, in multiply-accumulates (docs/compression.md).
_STORE = 16


@dataclass
class LayerReport:
    """One op of the written file.

    ``macs`` are multiply-accumulates of one run, ``weight_bytes`` the bytes of its constants in the
    file, ``sqnr_db`` the signal to quantization noise ratio of its weights, ``weight_bits`` their
    width, ``lane_group`` how many products of them sum exactly in a 16-bit lane (1: plain weights);
    None where nothing was rounded. ``depthwise``: each output channel reads one input channel.
    ``note``: what the model brought along that the file makes nothing of, and what that costs.

    ``coding``: how the file stores the weights, "" for raw, and ``stored_bits`` the bits each of
    them takes there.

    Measured (:meth:`ConversionReport.measure`), else None: ``ms`` of a run, ``packed_bytes`` of the
    weights in memory as the kernels read them, ``kernel``; and ``predicted_ms``, what the layer
    would take if all layers with multiply-accumulates of its dtype did their work at one rate. A
    layer that takes more costs more than its work, on this machine.
    """

    name: str
    op: str
    dtype: str
    shape: Tuple[int, ...]
    macs: int
    weight_bytes: int
    sqnr_db: Optional[float] = None
    weight_bits: Optional[int] = None
    lane_group: Optional[int] = None
    depthwise: bool = False
    note: str = ""
    ms: Optional[float] = None
    packed_bytes: Optional[int] = None
    kernel: Optional[str] = None
    predicted_ms: Optional[float] = None
    coding: str = ""
    stored_bits: Optional[float] = None

    @property
    def work(self) -> float:
        """What the time of a dense layer is nearly proportional to."""
        outputs = 1
        for size in self.shape:
            outputs *= size
        return float(self.macs + _STORE * outputs)


@dataclass
class Measurement:
    """Runs of the written file on this machine.

    ``ms`` is the fastest run, ``median_ms`` the median; ``packed_bytes`` the weights in memory.
    """

    ms: float
    median_ms: float
    packed_bytes: int
    threads: int
    isa: str
    runs: int


@dataclass
class ConversionReport:
    """The result of :func:`edgecv.convert`; ``str()`` is a table, :meth:`to_json` the same as data.

    ``arena_bytes`` is the memory for activations of one session on this machine, ``float_layers``
    the names of nodes that run in f32 in an int8 file, ``sha256`` the digest of the file (the same
    input gives the same file), ``plan`` the plan file and its digest, if one was given.
    ``parameters`` is set for a model that came in quantized: where scales and integers are from;
    ``remarks`` then tells what could not be taken over as it was.
    """

    path: str
    source: str
    source_bytes: int
    file_bytes: int
    sha256: str
    precision: str
    method: Optional[str]
    samples: int
    arena_bytes: int
    macs: int
    weights: Optional[str] = None
    wanted_group: Optional[int] = None
    activation_bits: Optional[int] = None
    layers: List[LayerReport] = field(default_factory=list)
    float_layers: List[str] = field(default_factory=list)
    warnings: List[str] = field(default_factory=list)
    plan: Optional[str] = None
    parameters: Optional[str] = None
    remarks: List[str] = field(default_factory=list)
    measured: Optional[Measurement] = None

    def to_dict(self) -> Dict[str, Any]:
        """Plain data, ready for JSON."""
        return asdict(self)

    def to_json(self) -> str:
        """The report as one JSON object."""
        return json.dumps(self.to_dict(), indent=2)

    def summary(self) -> List[Tuple[str, str]]:
        """The figures of the whole file as (what, value) lines."""
        lines = [
            (
                "file",
                f"{self.path} ({self.file_bytes:,} bytes; {self.source}: {self.source_bytes:,})",
            ),
            ("precision", self.precision),
            ("multiply-accumulates", f"{self.macs / 1e6:,.1f} million a run"),
            ("activation memory", f"{self.arena_bytes:,} bytes"),
        ]
        if self.measured is not None:
            m = self.measured
            lines.append(("weights in memory", f"{m.packed_bytes:,} bytes"))
            lines.append(
                (
                    "measured",
                    f"{m.ms:.3f} ms at best, {m.median_ms:.3f} median of {m.runs} runs, "
                    f"{m.threads} thread(s), {m.isa}",
                )
            )
        if self.method is not None:
            lines.append(("calibration", f"{self.method}, {self.samples} samples"))
        if self.plan is not None:
            lines.append(("plan", self.plan))
        if self.parameters is not None:
            exact = "exactly" if not self.remarks else f"but for {len(self.remarks)} remarks"
            lines.append(("parameters", f"{self.parameters}, {exact}"))
            lines += [("", remark) for remark in self.remarks]
        lines += self._weight_lines()
        if self.float_layers and (self.method is not None or self.parameters is not None):
            lines.append(("kept in float", ", ".join(self.float_layers)))
        lines += [("", f"{layer.name}: {layer.note}") for layer in self.layers if layer.note]
        lines.append(("sha256", self.sha256))
        return lines

    def measure(self, model: Any = None, *, threads: int = 1, runs: int = 30) -> None:
        """Runs the file (or ``model``, its bytes) and fills in what it takes, layer by layer."""
        from edgecv.model import load

        times: List[float] = []
        with load(self.path if model is None else model, threads=threads) as loaded:
            feed = loaded.example_inputs(seed=1)
            for turn in range(runs + 3):
                start = time.perf_counter()
                loaded.run(feed)
                if turn >= 3:
                    times.append((time.perf_counter() - start) * 1e3)
            steps = loaded.profile(feed, runs=runs)
            self.measured = Measurement(
                min(times),
                sorted(times)[len(times) // 2],
                sum(step.packed_bytes for step in steps),
                loaded.threads,
                loaded.isa,
                runs,
            )
        for layer in self.layers:
            mine = [step for step in steps if step.name == layer.name]
            layer.ms = sum(step.milliseconds for step in mine)
            layer.packed_bytes = sum(step.packed_bytes for step in mine)
            layer.kernel = ", ".join(dict.fromkeys(step.kernel for step in mine)) or "view"
        self._predict()

    def _predict(self) -> None:
        """Fills in ``predicted_ms``: each layer's share, by work, of what its dtype's take."""
        for dtype in {layer.dtype for layer in self.layers}:
            alike = [layer for layer in self.layers if layer.dtype == dtype and layer.macs]
            taken, work = sum(x.ms or 0.0 for x in alike), sum(x.work for x in alike)
            for layer in alike:
                layer.predicted_ms = taken * layer.work / work

    def lane_groups(self) -> Dict[int, List[str]]:
        """Lane group -> the layers whose weights keep it, depthwise ones left out."""
        groups: Dict[int, List[str]] = {}
        for layer in self.layers:
            if layer.lane_group is not None and not layer.depthwise:
                groups.setdefault(layer.lane_group, []).append(layer.name)
        return groups

    def _weight_lines(self) -> List[Tuple[str, str]]:
        if self.weights is None:
            return []
        widths = sorted({layer.weight_bits for layer in self.layers if layer.weight_bits})
        lines = [("weights", f"{self.weights}, {' and '.join(map(str, widths))} bits")]
        if self.weights == "lane-safe":
            groups = self.lane_groups()
            counts = [
                f"{len(names)} layers {'plain' if group == 1 else f'of {group}'}"
                for group, names in sorted(groups.items(), reverse=True)
            ]
            depthwise = [layer.lane_group for layer in self.layers if layer.depthwise]
            bounded = sum(group is not None and group > 1 for group in depthwise)
            if bounded:
                counts.append(f"{bounded} depthwise over all taps")
            if len(depthwise) > bounded:
                counts.append(f"{len(depthwise) - bounded} depthwise plain")
            lines.append(("lane groups", ", ".join(counts) or "no layers"))
            lines += [
                ("", f"{name}: {'plain' if group == 1 else f'group {group}'}")
                for group, names in sorted(groups.items())
                if group != self.wanted_group
                for name in names
            ]
        coded = [x.stored_bits for x in self.layers if x.coding and x.stored_bits is not None]
        if coded:
            spread = f"{min(coded):.1f} to {max(coded):.1f} bits a weight"
            lines.append(("coded in the file", f"{len(coded)} layers, {spread}"))
        if self.activation_bits != 8:
            lines.append(("activations", f"{self.activation_bits} bits"))
        return lines

    def __str__(self) -> str:
        rows = [f"{what:<22}{value}" for what, value in self.summary()]
        rows += [f"warning: {text}" for text in self.warnings]
        return "\n".join(rows)
