"""A report as one HTML page: tables, and bars as inline SVG. It loads nothing from elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any, List, Optional, Sequence, Tuple

_STYLE = """
body { font: 14px/1.4 system-ui, sans-serif; margin: 2em; color: #222; background: #fff; }
h2 { margin-top: 1.6em; } table { border-collapse: collapse; } td, th { padding: 2px 10px; }
th { text-align: left; border-bottom: 2px solid #888; } td { border-bottom: 1px solid #ddd; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; } svg text { font-size: 11px; }
.a { fill: #9bb; } .b { fill: #147; } summary { cursor: pointer; margin: 1em 0; }
@media (prefers-color-scheme: dark) {
  body { color: #ddd; background: #181818; } td { border-color: #333; } svg text { fill: #ddd; }
  .a { fill: #577; } .b { fill: #6ae; }
}
"""
_ROW, _LABEL, _BAR = 14, 260, 420


@dataclass
class Chart:
    """Bars, one a layer; with ``before`` two. A value of None has no bar."""

    title: str
    unit: str
    labels: Sequence[str]
    values: Sequence[Optional[float]]
    before: Optional[Sequence[Optional[float]]] = None


def page(
    title: str,
    facts: Sequence[Tuple[str, str]],
    header: Sequence[str],
    rows: Sequence[Sequence[Any]],
    charts: Sequence[Chart],
    right: Sequence[int] = (),
) -> str:
    """The whole document."""
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{escape(title)}</h1>",
        _table((), facts, ()),
    ]
    parts += [_chart(chart) for chart in charts if any(v is not None for v in chart.values)]
    parts += ["<h2>Layers</h2>", _table(header, rows, right), "</body></html>"]
    return "\n".join(parts) + "\n"


def _table(header: Sequence[str], rows: Sequence[Sequence[Any]], right: Sequence[int]) -> str:
    def cells(tag: str, row: Sequence[Any]) -> str:
        return "".join(
            f"<{tag}{' class=n' if i in right else ''}>{escape(str(cell))}</{tag}>"
            for i, cell in enumerate(row)
        )

    lines = ["<table>"]
    if header:
        lines.append(f"<tr>{cells('th', header)}</tr>")
    lines += [f"<tr>{cells('td', row)}</tr>" for row in rows]
    return "\n".join([*lines, "</table>"])


def _chart(chart: Chart) -> str:
    series: List[Tuple[str, Sequence[Optional[float]]]] = [("b", chart.values)]
    if chart.before is not None:
        series.insert(0, ("a", chart.before))
    most = max((v for _, values in series for v in values if v is not None), default=0.0) or 1.0
    step = _ROW * len(series) + 4
    height = step * len(chart.labels)
    lines = [
        f"<h2>{escape(chart.title)} ({escape(chart.unit)})</h2>",
        f'<svg width="{_LABEL + _BAR + 90}" height="{height}" role="img">',
    ]
    if chart.before is not None:
        lines.insert(1, "<p>Light: before. Dark: after.</p>")
    for i, label in enumerate(chart.labels):
        top = i * step
        shown = label if len(label) <= 40 else "…" + label[-39:]
        lines.append(
            f'<text x="{_LABEL - 6}" y="{top + _ROW - 3}" text-anchor="end">{escape(shown)}'
            f"<title>{escape(label)}</title></text>"
        )
        for j, (css, values) in enumerate(series):
            value = values[i]
            if value is None:
                continue
            y, width = top + j * _ROW, _BAR * max(value, 0.0) / most
            lines.append(
                f'<rect class="{css}" x="{_LABEL}" y="{y + 1}" width="{width:.1f}" '
                f'height="{_ROW - 2}"/><text x="{_LABEL + width + 4:.1f}" y="{y + _ROW - 3}">'
                f"{value:,.4g}</text>"
            )
    return "\n".join([*lines, "</svg>"])
