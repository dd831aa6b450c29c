"""Tables of the results, with the ratios and the bars they miss."""

from __future__ import annotations

import math
from typing import Any, Dict, Iterable

import bars
import peers

Rows = Dict[str, Dict[str, Any]]  # peer -> statistics
Results = Dict[str, Rows]  # model -> rows
KEYS = {"min_ms": "minimum", "p50_ms": "median"}
CPU_KEYS = {"cpu_min_ms": "minimum of CPU time"}  # for a busy machine, at one thread


def markdown(header: list[str], rows: Iterable[list[str]]) -> str:
    """Return a Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def geometric_mean(values: list[float]) -> float:
    """Return the geometric mean, NaN of nothing."""
    return math.exp(sum(map(math.log, values)) / len(values)) if values else math.nan


def fastest(rows: Rows, key: str, precision: str = "", exact: bool = False) -> tuple[str, float]:
    """Return (name, time) of the fastest rival of a kind, ("", NaN) when there is none."""
    best = ("", math.nan)
    for name, row in rows.items():
        peer = peers.find(name)
        if peer.ours or "error" in row or (precision and peer.precision != precision):
            continue
        if exact and not peer.exact:
            continue
        if not best[0] or row[key] < best[1]:
            best = (name, row[key])
    return best


def time_of(rows: Rows, name: str, key: str) -> float:
    """Return a peer's time, NaN when it was not measured."""
    value: float = rows.get(name, {}).get(key, math.nan)
    return value


def _cell(value: float, bar: float | None = None) -> str:
    if math.isnan(value):
        return "-"
    missed = bar is not None and value < bar
    return f"{value:.2f} (< {bar:g})" if missed else f"{value:.2f}"


class Ratios:
    """The columns of the ratio table, collected model by model for their geometric means."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.columns: list[list[float]] = [[] for _ in range(6)]

    def row(self, model: str, rows: Rows) -> list[str]:
        """Return the cells of one model."""
        key = self.key
        ours, plain, ours_fp32 = (
            time_of(rows, name, key) for name in (peers.OURS, peers.PLAIN, peers.OURS_FP32)
        )
        (any_name, any_ms) = fastest(rows, key)
        (exact_name, exact_ms) = fastest(rows, key, exact=True)
        (fp32_name, fp32_ms) = fastest(rows, key, precision="fp32")
        values = (
            any_ms / ours,
            exact_ms / ours,
            any_ms / plain,
            exact_ms / plain,
            ours_fp32 / ours,
            fp32_ms / ours_fp32,
        )
        for column, value in zip(self.columns, values):
            if not math.isnan(value):
                column.append(value)
        mobile = bars.PLAIN_MOBILE if model in bars.MOBILE else None
        limits = (bars.ANY_RIVAL.get(model), None, mobile, None, bars.OWN_FP32, bars.RIVAL_FP32)
        cells = [_cell(value, bar) for value, bar in zip(values, limits)]
        return [
            model,
            _cell(ours),
            any_name,
            cells[0],
            exact_name,
            *cells[1:5],
            fp32_name,
            cells[5],
        ]

    def mean(self) -> list[str]:
        """Return the cells of the last line."""
        means = [geometric_mean(column) for column in self.columns]
        limits = (
            bars.ANY_RIVAL_MEAN,
            bars.EXACT_RIVAL_MEAN,
            bars.PLAIN_MEAN,
            bars.PLAIN_EXACT_MEAN,
            None,
            None,
        )
        cells = [_cell(value, bar) for value, bar in zip(means, limits)]
        name = f"**geometric mean of {len(self.columns[0])}**"
        return [name, "", "", cells[0], "", *cells[1:5], "", cells[5]]


def latency_tables(result: Results, threads: int) -> str:
    """Return all tables of one latency measurement; result: model -> peer -> statistics."""
    names = list(dict.fromkeys(name for rows in result.values() for name in rows))
    lines = []
    for key, word in {**KEYS, **(CPU_KEYS if threads == 1 else {})}.items():
        lines.append(f"\n### Rival / edgecv, by the {word}, {threads} thread(s)\n")
        ratios = Ratios(key)
        header = ["network", "edgecv ms", "fastest rival", "/ edgecv", "fastest exact rival"]
        header += ["/ edgecv", "any / plain", "exact / plain", "our fp32 / int8"]
        header += ["fastest fp32 rival", "/ our fp32"]
        table = [ratios.row(model, rows) for model, rows in result.items()]
        lines.append(markdown(header, [*table, ratios.mean()]))
    lines.append(
        f"\n### edgecv's forms: their speed as a share of the default's, {threads} thread(s)\n"
    )
    lines.append(own_table(result))
    lines.append(f"\n### Milliseconds, minimum / median, {threads} thread(s)\n")
    body = []
    for model, rows in result.items():
        cells = [model]
        for name in names:
            row = rows.get(name, {})
            lost = "error" if "error" in row else "-"
            known = "min_ms" in row
            cells.append(f"{row['min_ms']:.2f} / {row['p50_ms']:.2f}" if known else lost)
        body.append(cells)
    lines.append(markdown(["network", *names], body))
    return "\n".join(lines)


def own_table(result: Results) -> str:
    """Return how edgecv's own forms compare with its default: shares of its speed."""
    forms = (peers.PLAIN, peers.OURS_FP32, peers.OURS_SSE41)
    body: list[list[str]] = []
    columns: list[list[float]] = [[] for _ in range(len(forms) * len(KEYS))]
    for model, rows in result.items():
        cells = [model]
        for i, (form, key) in enumerate((form, key) for form in forms for key in KEYS):
            share = time_of(rows, peers.OURS, key) / time_of(rows, form, key)
            if not math.isnan(share):
                columns[i].append(share)
            cells.append(_cell(share, bars.SSE41 if form == peers.OURS_SSE41 else None))
        body.append(cells)
    body.append(["**geometric mean**", *(_cell(geometric_mean(column)) for column in columns)])
    header = [f"{form}, {word}" for form in forms for word in KEYS.values()]
    return markdown(["network", *header], body)


def scaling_table(one: Results, two: Results) -> str:
    """Return how two threads compare with one, for edgecv and the rivals' best."""
    body = []
    means: dict[str, list[float]] = {"min_ms": [], "p50_ms": []}
    for model in one:
        cells = [model]
        for key, column in means.items():
            ratio = time_of(one[model], peers.OURS, key) / time_of(
                two.get(model, {}), peers.OURS, key
            )
            if not math.isnan(ratio):
                column.append(ratio)
            cells.append(_cell(ratio))
        body.append(cells)
    limits = [_cell(geometric_mean(column), bars.TWO_THREADS_MEAN) for column in means.values()]
    body.append(["**geometric mean**", *limits])
    return markdown(["network", "one / two threads, minimum", "median"], body)


def cold_table(model: str, rows: Rows) -> str:
    """Return the cold starts of one model."""
    floor = rows.get("numpy", {})
    body = []
    for name, row in rows.items():
        if "error" in row:
            body.append([name, row["error"]] + [""] * 8)
            continue
        over_ms = row["cold_ms"] - floor.get("cold_ms", math.nan)
        over_mb = row["rss_mb"] - floor.get("rss_mb", math.nan)
        over = [over_ms, over_mb, row["load_ms"]]
        flags = ["", "", ""]
        if name == peers.OURS and model == bars.COLD_MODEL:
            limits = (bars.COLD_OVER_NUMPY_MS, bars.MEMORY_OVER_NUMPY_MB, bars.LOAD_MS)
            flags = [f" (> {bar:g})" if value > bar else "" for value, bar in zip(over, limits)]
        body.append(
            [
                name,
                f"{row['cold_ms']:.0f}",
                f"{row['cold_ms_min']:.0f}",
                f"{over_ms:.0f}{flags[0]}",
                f"{row['import_ms']:.1f}",
                f"{row['load_ms']:.1f}{flags[2]}",
                f"{row['first_ms']:.1f}",
                f"{row['rss_mb']:.1f}",
                f"{over_mb:.1f}{flags[1]}",
            ]
        )
    header = [model, "start to first result ms", "minimum", "over numpy ms"]
    header += ["import ms", "load ms", "first run ms", "peak RSS MB", "over numpy MB"]
    return markdown(header, body)
