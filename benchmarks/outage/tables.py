"""Writes what a simulation brought as CSV, and as the tables of the documentation."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path

import attrs

from benchmarks.outage.clients import CLIENTS
from benchmarks.outage.record import Row, Summary

__all__ = [
    "COURSE",
    "RESULTS",
    "capacity_table",
    "course_csv",
    "read_course",
    "read_results",
    "results_csv",
    "results_table",
]

#: Where they are committed.
COURSE, RESULTS = Path(__file__).with_name("course.csv"), Path(__file__).with_name("results.csv")

_TITLES = {client.name: client.title for client in CLIENTS}


def course_csv(courses: Mapping[str, Iterable[Row]]) -> str:
    """Write the rows of several clients, one below the other."""
    return _csv([{"client": name, **attrs.asdict(row)} for name, rows in courses.items() for row in rows])


def read_course(text: str) -> dict[str, list[Row]]:
    """Read what `course_csv` has written."""
    courses: dict[str, list[Row]] = {}
    for line in csv.DictReader(io.StringIO(text)):
        rows = courses.setdefault(line.pop("client"), [])
        rows.append(Row(**{name: int(value) for name, value in line.items()}))
    return courses


def results_csv(results: Mapping[tuple[float, str], Summary]) -> str:
    """Write the results, by the capacity that Vipps came back with and the client."""
    return _csv([{"capacity": f"{capacity:g}", **attrs.asdict(each)} for (capacity, _), each in results.items()])


def read_results(text: str) -> dict[tuple[float, str], Summary]:
    """Read what `results_csv` has written."""
    fractions = {"amplification", "worst_minute", "peak_requests"}
    results = {}
    for line in csv.DictReader(io.StringIO(text)):
        capacity, client = float(line.pop("capacity")), line.pop("client")
        figures = {name: float(value) if name in fractions else int(value) for name, value in line.items()}
        results[capacity, client] = Summary(client=client, **figures)  # type: ignore[arg-type]  # by name, as written
    return results


def results_table(results: Mapping[tuple[float, str], Summary], capacity: float) -> str:
    """Make the table of the documentation for one capacity: a column for each client."""
    columns = [each for (of, _), each in results.items() if of == capacity]
    lines = [
        ("requests for each web call during the outage", lambda each: f"{each.amplification:.1f}"),
        ("the same in the worst minute", lambda each: f"{each.worst_minute:.1f}"),
        ("requests a second in the busiest minute", lambda each: f"{each.peak_requests:.0f}"),
        ("web calls under way at once, at most", lambda each: f"{each.most_in_flight:,}"),
        ("web calls told “captured”", lambda each: f"{each.captured:,}"),
        ("web calls told “certainly not”", lambda each: f"{each.not_done:,}"),
        ("web calls told “unknown”", lambda each: f"{each.unknown:,}"),
        ("outcomes still unknown at the end", lambda each: f"{each.unknown_at_the_end:,}"),
        ("web calls are captured again after", lambda each: _after(each.works_after)),
        ("… within 5 seconds after", lambda each: _after(each.well_after)),
        ("the batch is done after", lambda each: _after(each.batch_after)),
        ("every outcome is known after", lambda each: _after(each.known_after)),
    ]
    rows = [[name, *map(read, columns)] for name, read in lines]
    return _table(["", *(_TITLES[each.client] for each in columns)], rows)


def capacity_table(results: Mapping[tuple[float, str], Summary], web_rate: float) -> str:
    """Make the table of how much capacity it takes until web calls are captured again."""
    capacities = sorted({capacity for capacity, _ in results})
    clients = [client for of, client in results if of == capacities[0]]
    rows = [
        [
            f"{capacity / web_rate:.2f} × the web traffic",
            *(_cell(results[capacity, client]) for client in clients),
        ]
        for capacity in capacities
    ]
    return _table(["Vipps comes back with", *(_TITLES[client] for client in clients)], rows)


def _cell(summary: Summary) -> str:
    return f"{_after(summary.works_after)}; {_after(summary.well_after)}"


def _after(seconds: int) -> str:
    if seconds < 0:
        return "not by the end"
    return "at once" if seconds == 0 else f"{seconds // 60}:{seconds % 60:02} min"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _csv(lines: list[dict[str, object]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()
