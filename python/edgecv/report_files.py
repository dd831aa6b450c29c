"""Writes reports of conversion and compression as JSON or HTML, with what runs take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

from edgecv.errors import Error
from edgecv.report import ConversionReport, LayerReport
from edgecv.report_html import Chart, page

# What is told of a file before and after: (key of totals(), in words, how it is written).
FIGURES = (
    ("file_bytes", "int8 file, bytes", "{:,}"),
    ("arena_bytes", "activation memory, bytes", "{:,}"),
    ("packed_bytes", "weights in memory, bytes", "{:,}"),
    ("macs", "multiply-accumulates", "{:,}"),
    ("ms", "ms, minimum", "{:.3f}"),
    ("median_ms", "ms, median", "{:.3f}"),
)


def check_name(path: str) -> str:
    """The path, when its ending says how to write the report."""
    if Path(path).suffix.lower() not in (".json", ".html"):
        raise Error(f"{path}: a report is a .json or .html file")
    if not Path(path).absolute().parent.is_dir():
        raise Error(f"{path}: there is no such folder to write the report to")
    return path


def save_conversion(path: str, report: ConversionReport) -> None:
    """Writes the report of one conversion."""
    layers = report.layers
    names = [layer.name for layer in layers]
    header = ("node", "op", "dtype", "output", "MMAC", "constant bytes", "bytes in memory", "ms",
              "ms by work", "weight SQNR dB", "kernel", "remark")  # fmt: skip
    rows = [
        (
            layer.name,
            layer.op,
            layer.dtype,
            "x".join(map(str, layer.shape)),
            f"{layer.macs / 1e6:.2f}",
            f"{layer.weight_bytes:,}",
            _number(layer.packed_bytes, "{:,}"),
            _number(layer.ms, "{:.4f}"),
            _number(layer.predicted_ms, "{:.4f}"),
            _number(layer.sqnr_db, "{:.1f}"),
            layer.kernel or "",
            layer.note,
        )
        for layer in layers
    ]
    charts = [
        Chart("Time", "ms", names, [layer.ms for layer in layers]),
        Chart("Constants in the file", "bytes", names, [float(x.weight_bytes) for x in layers]),
        Chart("Work", "million multiply-accumulates", names, [x.macs / 1e6 for x in layers]),
        Chart("Signal to noise of weights", "dB", names, [layer.sqnr_db for layer in layers]),
    ]
    facts = [*report.summary(), *(("warning", text) for text in report.warnings)]
    title = f"Conversion of {report.source}"
    _write(path, report.to_dict(), page(title, facts, header, rows, charts, (4, 5, 6, 7, 8, 9)))


def compare(before: ConversionReport, after: ConversionReport) -> List[Dict[str, Any]]:
    """The layers of two conversions side by side, in the order of the second.

    ``predicted_ms`` is the time before, scaled by the work; of a factor of a layer, ``NAME.0``, by
    that of the layer. Layers that are gone come last.
    """
    old = {layer.name: layer for layer in before.layers}
    rows = []
    seen = set()
    for layer in after.layers:
        origin = old.get(layer.name) or old.get(layer.name.rpartition(".")[0])
        same = old.get(layer.name)
        seen.add(layer.name)
        predicted = None
        if origin is not None and origin.ms is not None and origin.work:
            predicted = origin.ms * layer.work / origin.work
        rows.append(_row(layer.name, same, layer, predicted))
    rows += [_row(name, layer, None, None) for name, layer in old.items() if name not in seen]
    return rows


def _row(
    name: str,
    before: Optional[LayerReport],
    after: Optional[LayerReport],
    predicted: Optional[float],
) -> Dict[str, Any]:
    row: Dict[str, Any] = {"name": name, "predicted_ms": predicted}
    for which, layer in (("before", before), ("after", after)):
        row[which] = (
            None
            if layer is None
            else {
                "shape": list(layer.shape),
                "macs": layer.macs,
                "file_bytes": layer.weight_bytes,
                "packed_bytes": layer.packed_bytes,
                "ms": layer.ms,
                "sqnr_db": layer.sqnr_db,
            }
        )
    row["note"] = after.note if after is not None else "gone"
    return row


def totals(before: ConversionReport, after: ConversionReport) -> Dict[str, Dict[str, float]]:
    """What the files take in all, before and after."""
    return {
        which: {
            "file_bytes": report.file_bytes,
            "arena_bytes": report.arena_bytes,
            "packed_bytes": report.measured.packed_bytes if report.measured else 0,
            "macs": report.macs,
            "ms": report.measured.ms if report.measured else 0.0,
            "median_ms": report.measured.median_ms if report.measured else 0.0,
        }
        for which, report in (("before", before), ("after", after))
    }


def save_comparison(
    path: str,
    title: str,
    facts: Sequence[Tuple[str, str]],
    details: Dict[str, Any],
    before: ConversionReport,
    after: ConversionReport,
) -> None:
    """Writes what compression did: ``details`` of the way, and both int8 conversions."""
    layers = compare(before, after)
    sums = totals(before, after)
    lines = list(facts)
    for key, what, form in FIGURES:
        a, b = sums["before"][key], sums["after"][key]
        change = f" ({100 * (b / a - 1):+.1f}%)" if a else ""
        lines.append((what, f"{form.format(a)} → {form.format(b)}{change}"))
    predicted = [row["predicted_ms"] for row in layers if row["predicted_ms"] is not None]
    lines.append(("sum of layers, ms", f"predicted {sum(predicted):.3f}"))
    keys = (("macs", "MAC"), ("file_bytes", "bytes"), ("ms", "ms"), ("sqnr_db", "dB"))
    header = ["layer"]
    for _, what in keys:
        header += [f"{what} before", "after"]
    header += ["ms predicted", "remark"]
    rows = []
    for row in layers:
        cells: List[str] = [row["name"]]
        for key, _ in keys:
            form = "{:,}" if key in ("macs", "file_bytes") else "{:.4g}"
            cells += [_number((row[w] or {}).get(key), form) for w in ("before", "after")]
        rows.append([*cells, _number(row["predicted_ms"], "{:.4g}"), row["note"]])
    names = [row["name"] for row in layers]
    charts = [
        Chart(
            what,
            unit,
            names,
            [_value(row["after"], key) for row in layers],
            [_value(row["before"], key) for row in layers],
        )
        for key, what, unit in (
            ("ms", "Time", "ms"),
            ("macs", "Work", "multiply-accumulates"),
            ("file_bytes", "Constants in the file", "bytes"),
        )
    ]
    document = {**details, "totals": sums, "layers_compared": layers,
                "before": before.to_dict(), "after": after.to_dict()}  # fmt: skip
    _write(path, document, page(title, lines, header, rows, charts, range(1, len(header) - 1)))


def _value(layer: Optional[Dict[str, Any]], key: str) -> Optional[float]:
    return None if layer is None or layer[key] is None else float(layer[key])


def _number(value: Optional[float], form: str) -> str:
    return "" if value is None else form.format(value)


def _write(path: str, document: Dict[str, Any], html: str) -> None:
    text = html if Path(path).suffix.lower() == ".html" else json.dumps(document, indent=2) + "\n"
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as cause:
        raise Error(f"{path}: cannot write the report ({cause.strerror})") from cause
