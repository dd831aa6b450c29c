"""A doctor's report for people: text, a page of HTML that needs nothing else, and a plot."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any, List, Optional, Sequence, Tuple

from edgecv.doctor.doctor import Proof, Report
from edgecv.doctor.ladder import Row, pareto
from edgecv.doctor.scores import Score

Cells = Sequence[str]
_WIDTH, _HEIGHT, _LEFT, _BELOW, _EDGE = 640, 400, 70, 50, 20
_COLORS = {"front": "#d62728", "kept": "#1f77b4", "other": "#999999"}


def score_cells(score: Optional[Score]) -> List[str]:
    """Errors, agreement and time as text; nothing of a plan that could not be converted."""
    if score is None:
        return [""] * len(SCORE_HEADER)
    return [
        f"{100 * score.error:.2f}%",
        f"{100 * score.peaks:.2f}%",
        "" if score.agree is None else f"{score.agree} of {score.pictures}",
        "" if score.milliseconds is None else f"{score.milliseconds:.2f}",
        "" if score.ratio is None else f"{score.ratio:.3f}",
    ]


SCORE_HEADER = ("error", "of the largest", "agreement", "ms", "of default")


def layer_rows(report: Report) -> List[Cells]:
    """Layers as text, in order."""

    def number(value: Optional[float], text: str) -> str:
        return "" if value is None else text.format(value)

    return [
        (
            layer.name, layer.op, number(layer.sqnr_db, "{:.1f}"),
            number(layer.weights_db, "{:.1f}"),
            number(None if layer.alone is None else 100 * layer.alone, "{:.2f}%"),
            number(None if layer.without is None else 100 * layer.without, "{:.2f}%"),
        )
        for layer in report.diagnosis.layers
    ]  # fmt: skip


LAYER_HEADER = ("node", "op", "SQNR dB", "weights dB", "alone in int8", "all but it")


def candidate_rows(rows: Sequence[Row]) -> List[Cells]:
    """Candidates of the search as text."""
    front = {id(row) for row in pareto(rows)}
    return [
        (
            row.step, row.what, *score_cells(row.score),
            "kept" if row.kept else row.why, "*" if id(row) in front else "",
        )
        for row in rows
    ]  # fmt: skip


CANDIDATE_HEADER = ("step", "candidate", *SCORE_HEADER, "verdict", "Pareto")


def proof_rows(proofs: Sequence[Proof]) -> List[Cells]:
    """Before and after as text."""
    rows: List[Cells] = []
    for proof in proofs:
        found = proof.evaluation
        more = ""
        if found is not None:
            n = found["pictures"]
            parts = [f"error {100 * found['error']:.2f}%"]
            parts += [f"{key} {found[key]} of {n}" for key in ("agree", "top1") if key in found]
            more = ", ".join(parts)
        rows.append((proof.name, *score_cells(proof.score), more))
    return rows


PROOF_HEADER = ("", *SCORE_HEADER, "on --eval")


def how_checked(report: Report) -> str:
    """What scores are over, in words."""
    return (
        f"{report.samples} calibration samples: one half fitted, {report.pictures} pictures made "
        "of the other half checked, and the other way round"
    )


def finding_lines(report: Report, most: int = 20) -> List[str]:
    """Causes in words, at most ``most``."""
    found = report.diagnosis.findings
    lines = [f"{f.kind}: {f.where}: {f.text}. Helps: {f.remedy}." for f in found[:most]]
    if len(found) > most:
        lines.append(f"... and {len(found) - most} more (in the JSON)")
    return lines or ["no rule found a cause"]


# -- the plot


def _points(rows: Sequence[Row]) -> List[Tuple[float, float, str, str]]:
    """(time ratio, error, kind, words) of the candidates that were timed."""
    front = {id(row) for row in pareto(rows)}
    return [
        (
            row.score.ratio, 100 * row.score.off,
            "front" if id(row) in front else "kept" if row.kept else "other",
            f"{row.step}: {row.what}",
        )
        for row in rows
        if row.score is not None and row.score.ratio is not None
    ]  # fmt: skip


class _Axes:
    """From numbers to pixels."""

    def __init__(self, points: Sequence[Tuple[float, float, str, str]]) -> None:
        self.x = self._range([p[0] for p in points])
        self.y = self._range([p[1] for p in points])

    @staticmethod
    def _range(values: Sequence[float]) -> Tuple[float, float]:
        low, high = min(values, default=0.0), max(values, default=1.0)
        margin = max(0.08 * (high - low), 0.01 * abs(high), 1e-6)
        return low - margin, high + margin

    def place(self, x: float, y: float) -> Tuple[float, float]:
        """Pixels from the left and from the top."""
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return (
            _LEFT + across * (_WIDTH - _LEFT - _EDGE),
            _HEIGHT - _BELOW - up * (_HEIGHT - _BELOW - _EDGE),
        )

    def ticks(self, axis: int) -> List[Tuple[float, str]]:
        """Five values along an axis and their text."""
        low, high = self.y if axis else self.x
        return [(v, f"{v:.3g}") for v in (low + (high - low) * i / 4 for i in range(5))]


def svg(rows: Sequence[Row]) -> str:
    """The candidates in time and error, as SVG."""
    points = _points(rows)
    axes = _Axes(points)
    x0, y0 = _LEFT, _HEIGHT - _BELOW
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'width="{_WIDTH}" height="{_HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        f'<path d="M{x0} {_EDGE}V{y0}H{_WIDTH - _EDGE}" fill="none" stroke="black"/>',
    ]
    for value, text in axes.ticks(0):
        x, _ = axes.place(value, axes.y[0])
        parts.append(f'<text x="{x:.1f}" y="{y0 + 18}" text-anchor="middle">{text}</text>')
    for value, text in axes.ticks(1):
        _, y = axes.place(axes.x[0], value)
        parts.append(f'<text x="{x0 - 6}" y="{y + 4:.1f}" text-anchor="end">{text}</text>')
    middle = (x0 + _WIDTH - _EDGE) / 2
    parts.append(
        f'<text x="{middle}" y="{_HEIGHT - 10}" text-anchor="middle">time / default</text>'
    )
    parts.append(f'<text x="12" y="{_EDGE - 6}">error, %</text>')
    for x, y, kind, words in points:
        px, py = axes.place(x, y)
        parts.append(
            f'<circle cx="{px:.1f}" cy="{py:.1f}" r="{5 if kind == "front" else 3.5}" '
            f'fill="{_COLORS[kind]}"><title>{escape(words)}: {y:.2f}%, {x:.3f}</title></circle>'
        )
    return "\n".join([*parts, "</svg>"])


def write_png(path: Path, rows: Sequence[Row]) -> bool:
    """The same plot as PNG; False where Pillow is not installed."""
    try:
        from PIL import Image, ImageDraw
    except ImportError:
        return False
    points = _points(rows)
    axes, x0, y0 = _Axes(points), _LEFT, _HEIGHT - _BELOW
    image = Image.new("RGB", (_WIDTH, _HEIGHT), "white")
    draw = ImageDraw.Draw(image)
    draw.line([(x0, _EDGE), (x0, y0), (_WIDTH - _EDGE, y0)], fill="black")
    for value, text in axes.ticks(0):
        draw.text((axes.place(value, axes.y[0])[0] - 14, y0 + 8), text, fill="black")
    for value, text in axes.ticks(1):
        draw.text((x0 - 45, axes.place(axes.x[0], value)[1] - 6), text, fill="black")
    draw.text(((x0 + _WIDTH) / 2 - 40, _HEIGHT - 20), "time / default", fill="black")
    draw.text((8, 4), "error, %", fill="black")
    for x, y, kind, _ in points:
        px, py = axes.place(x, y)
        r = 5 if kind == "front" else 3
        draw.ellipse((px - r, py - r, px + r, py + r), fill=_COLORS[kind])
    image.save(path)
    return True


# -- the page


def _html_table(header: Cells, rows: Sequence[Cells]) -> str:
    def line(cells: Sequence[Any], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(str(c))}</{tag}>" for c in cells) + "</tr>"

    body = "\n".join(line(row, "td") for row in rows)
    return f"<table>{line(header, 'th')}\n{body}</table>"


def html(report: Report) -> str:
    """The whole report as one page."""
    parts = [
        "<!DOCTYPE html><html lang='en'><head><meta charset='utf-8'>"
        f"<title>{escape(report.source)}</title><style>"
        "body{font-family:sans-serif;margin:2em;max-width:70em}"
        "table{border-collapse:collapse;font-size:90%}"
        "td,th{padding:2px 8px;border-bottom:1px solid #ddd;text-align:left}</style></head><body>",
        f"<h1>{escape(report.source)} in int8</h1>",
        f"<p>{escape(how_checked(report))}; {report.seconds:.0f} s.</p>",
        "<h2>Before and after</h2>", _html_table(PROOF_HEADER, proof_rows(report.proofs)),
        "<h2>Causes</h2><ul>",
        *(f"<li>{escape(line)}</li>" for line in finding_lines(report)), "</ul>",
    ]  # fmt: skip
    if report.rows:
        parts += [
            "<h2>Candidates</h2>", svg(report.rows),
            "<p>Red: none is both faster and closer. Blue: kept on the way.</p>",
            _html_table(CANDIDATE_HEADER, candidate_rows(report.rows)),
        ]  # fmt: skip
    parts += [
        "<h2>Plan</h2>", f"<pre>{escape(report.plan.to_text())}</pre>",
        "<h2>Layers</h2>", _html_table(LAYER_HEADER, layer_rows(report)), "</body></html>\n",
    ]  # fmt: skip
    return "\n".join(parts)
