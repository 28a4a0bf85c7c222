"""The tables that are printed: Markdown, so that they can stand in the documentation as they are."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from benchmarks.pairing import Spread
from benchmarks.results import Failed, Row

__all__ = ["HEAD", "line", "render"]

HEAD = (
    "| what | left | right | left (median) | right (median) | figure | median | quartiles | extremes | "
    "processor ratio | server busy | target |\n"
    "|---|---|---|--:|--:|---|--:|--:|--:|--:|--:|---|"
)
_COLUMNS = HEAD.partition("\n")[0].count("|") - 1


def _number(value: float) -> str:
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 20 else f"{value:.2f}"


def _range(lower: float, upper: float) -> str:
    return f"{_number(lower)} … {_number(upper)}"


def _with_unit(figures: Sequence[float], unit: str) -> str:
    if not figures:
        return "–"
    return f"{_number(statistics.median(figures))} {unit}".rstrip()


def _target(row: Row) -> str:
    if row.target is None:
        return ""
    return f"{row.target} {'met' if row.is_met else '**missed**'}"


def line(row: Row | Failed) -> str:
    """Render one row."""
    if isinstance(row, Failed):
        said = "left out" if row.is_left_out else "**FAILED**"
        return f"| {row.what} | {said}: {row.why.replace('|', '/')} |" + " |" * (_COLUMNS - 2)
    judged: Spread | None = row.judged
    cpu = row.cpu_ratio
    cells = [
        row.what + (f" ({row.note})" if row.note else ""),
        row.left_name,
        row.right_name or "–",
        _with_unit(row.left, row.unit),
        _with_unit(row.right, row.unit),
        row.figure.value,
        "–" if judged is None else _number(judged.median),
        "–" if judged is None else _range(judged.lower, judged.upper),
        "–" if judged is None else _range(judged.smallest, judged.largest),
        "–" if cpu is None else f"{_number(cpu.median)} ({_range(cpu.lower, cpu.upper)})",
        "–" if row.server_busy is None else f"{row.server_busy:.0%}",
        _target(row),
    ]
    return "| " + " | ".join(cells) + " |"


def render(rows: Sequence[Row | Failed]) -> str:
    """Render a whole table."""
    return "\n".join([HEAD, *map(line, rows)])
