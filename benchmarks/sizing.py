"""What one process, one machine and ten machines capture an hour, and what ends it: the arithmetic of the page.

`python -m benchmarks.sizing` prints the tables, `--write` puts them into the documentation. Own figures go in by name:
`python -m benchmarks.sizing --latency 0.7 --processes 4 --connections 200`.
"""

from __future__ import annotations

import argparse
import datetime as dt
import math

from attrs import Attribute, evolve, field, fields, frozen
from attrs.validators import in_

from benchmarks.page_tables import PAGE, put_tables

__all__ = ["MEASURED", "Costs", "Fleet", "Limit", "bounds", "connections_for", "memory", "tables"]

_HOUR, _MICRO, _KIB, _GIB = 3600, 1e-6, 1024, 1024**3


@frozen(kw_only=True)
class Costs:
    """What was measured, where and when. Everything else on the page follows from it and from a `Fleet`."""

    date: dt.date
    machine: str
    #: Processor time of one capture without a journal, SDK and aiohttp together, in µs.
    cpu_plain: float
    #: The same with `SqliteJournal`, and with `PostgresJournal`.
    cpu_sqlite: float
    cpu_postgres: float
    #: Rows that become durable a second when 64, 256 and 1,000 of them share a commit: in one SQLite file, and on one
    #: PostgreSQL server.
    sqlite_rows: tuple[float, float, float]
    postgres_rows: tuple[float, float, float]
    #: Memory of one call that waits for its answer, connection and TLS included, in KiB.
    memory_per_call: float
    #: Memory of a process before its first call, in MiB.
    memory_of_process: float
    #: Which of these are not measured but estimated.
    estimates: frozenset[str] = frozenset()


#: The one place for measured figures: change them here, then run `python -m benchmarks.sizing --write`.
MEASURED = Costs(
    date=dt.date(2026, 11, 22),
    machine="2 shared cores (AMD EPYC), ext4, loopback, Python 3.11, aiohttp 3.14.5, SQLite 3.40, PostgreSQL 18.4",
    cpu_plain=220,
    cpu_sqlite=338,
    # What SQLite costs, and the way over a socket.
    cpu_postgres=400,
    sqlite_rows=(80_000, 122_000, 139_000),
    # INSERT … SELECT unnest.
    postgres_rows=(18_000, 28_000, 33_000),
    # On the high side: most of it is the buffers of TLS.
    memory_per_call=64,
    memory_of_process=60,
    estimates=frozenset({"cpu_postgres", "memory_per_call", "memory_of_process"}),
)
#: With how many rows to a commit the journals were measured.
_ROWS = (64, 256, 1_000)
#: Rows that a capture costs a journal: its intent, and its outcome.
_ROWS_A_CAPTURE = 2


@frozen(kw_only=True)
class Fleet:
    """What is set up and asked for: the reader's own figures."""

    #: Processes on one machine: one for each core that they may fill.
    processes: int = field(default=1, metadata={"help": "processes on one machine"})
    #: Machines.
    machines: int = field(default=1, metadata={"help": "machines"})
    #: Connections of each process: the transport's `limit`.
    connections: int = field(default=100, metadata={"help": "connections of each process"})
    #: How long Vipps takes over an answer, in seconds.
    latency: float = field(default=0.5, metadata={"help": "seconds that Vipps takes over an answer"})
    #: Where the journal is: none, sqlite or postgres.
    journal: str = field(
        default="sqlite", validator=in_(("none", "sqlite", "postgres")), metadata={"help": "none, sqlite or postgres"}
    )
    #: Captures a second that Vipps takes from this sales unit; not published, so infinite unless agreed with Vipps.
    agreed: float = field(default=math.inf, metadata={"help": "captures a second that Vipps has agreed to"})

    @property
    def all_processes(self) -> int:
        """How many processes there are in all."""
        return self.processes * self.machines


@frozen(kw_only=True)
class Limit:
    """One thing that ends growth."""

    what: str
    #: Captures a second that it allows, all machines together.
    rate: float


def connections_for(rate: float, latency: float) -> int:
    """Return how many captures are under way at a rate (a second) and a latency (seconds): Little's law."""
    return math.ceil(rate * latency)


def bounds(costs: Costs, fleet: Fleet) -> list[Limit]:
    """Return what each thing allows, the tightest first."""
    cpu = {"none": costs.cpu_plain, "sqlite": costs.cpu_sqlite, "postgres": costs.cpu_postgres}[fleet.journal]
    at_once = fleet.connections * fleet.all_processes
    limits = [
        Limit(what="connections", rate=at_once / fleet.latency),
        Limit(what="processor", rate=fleet.all_processes / (cpu * _MICRO)),
        Limit(what="Vipps", rate=fleet.agreed),
    ]
    # No more rows can share a commit than one process has calls under way. The files of one machine share its disk, so
    # they count as one; PostgreSQL is one server for all.
    if fleet.journal == "sqlite":
        rows = _at(costs.sqlite_rows, fleet.connections) * fleet.machines
        limits.append(Limit(what="SQLite commits", rate=rows / _ROWS_A_CAPTURE))
    elif fleet.journal == "postgres":
        limits.append(
            Limit(what="PostgreSQL commits", rate=_at(costs.postgres_rows, fleet.connections) / _ROWS_A_CAPTURE)
        )
    return sorted(limits, key=lambda limit: limit.rate)


def memory(costs: Costs, fleet: Fleet) -> float:
    """Return the memory of one machine's processes with every connection in use, in GiB."""
    calls = fleet.connections * costs.memory_per_call * _KIB
    return fleet.processes * (calls + costs.memory_of_process * _KIB * _KIB) / _GIB


def _at(measured: tuple[float, float, float], rows: int) -> float:
    """Take the figure for the most rows a commit that are reached; below all of them, the smallest in proportion."""
    reached = [rate for count, rate in zip(_ROWS, measured, strict=True) if count <= rows]
    return reached[-1] if reached else measured[0] * rows / _ROWS[0]


# --- the tables ----------------------------------------------------------------------------------------------------


def tables(costs: Costs) -> dict[str, str]:
    """Make the tables of the page, by their marks."""
    return {
        "sizing inputs": _inputs(costs),
        "sizing little": _little(),
        "sizing process": _process(costs),
        "sizing fleets": _fleets(costs),
    }


def _inputs(costs: Costs) -> str:
    def three(figures: tuple[float, float, float]) -> str:
        return " / ".join(f"{figure:,.0f}" for figure in figures)

    said = {
        "cpu_plain": ("processor time of a capture, SDK and aiohttp, no journal", f"{costs.cpu_plain:g} µs"),
        "cpu_sqlite": ("… with `SqliteJournal`", f"{costs.cpu_sqlite:g} µs"),
        "cpu_postgres": ("… with `PostgresJournal`", f"{costs.cpu_postgres:g} µs"),
        "sqlite_rows": ("rows a second in one SQLite file, 64 / 256 / 1,000 to a commit", three(costs.sqlite_rows)),
        "postgres_rows": ("the same on one PostgreSQL server", three(costs.postgres_rows)),
        "memory_per_call": ("memory of a call under way", f"{costs.memory_per_call:g} KiB"),
        "memory_of_process": ("memory of a process before its first call", f"{costs.memory_of_process:g} MiB"),
    }
    rows = [[*texts, "estimated" if name in costs.estimates else "measured"] for name, texts in said.items()]
    return f"{_table(['what', 'figure', ''], rows)}\n\n{costs.date.isoformat()}; {costs.machine}."


def _little() -> str:
    rates, latencies = (10, 100, 1_000, 5_000), (0.1, 0.3, 0.5, 1.0)
    rows = [
        [f"{rate:,} captures a second", *(f"{connections_for(rate, latency):,}" for latency in latencies)]
        for rate in rates
    ]
    return _table(["under way at once", *(f"answers take {latency:g} s" for latency in latencies)], rows)


def _process(costs: Costs) -> str:
    rows = []
    for latency in (0.1, 0.3, 0.5, 1.0):
        cells = [f"{latency:g} s"]
        for connections in (100, 1_000):
            first = bounds(costs, Fleet(latency=latency, connections=connections))[0]
            cells.append(f"{_hourly(first.rate)} ({first.what})")
        full = Fleet(latency=latency)
        processor = next(limit.rate for limit in bounds(costs, full) if limit.what == "processor")
        cells.append(f"{connections_for(processor, latency):,}")
        rows.append(cells)
    head = ["an answer takes", "with 100 connections (the default)", "with 1,000", "connections that fill a core"]
    return _table(head, rows)


_SETUPS = (
    ("one process", Fleet()),
    ("one process, `limit=1000`", Fleet(connections=1_000)),
    ("one machine, 8 processes", Fleet(processes=8)),
    ("one machine, 8 processes, `limit=1000`", Fleet(processes=8, connections=1_000)),
    ("ten machines, 80 processes", Fleet(processes=8, machines=10)),
    ("ten machines, 80 processes, PostgreSQL", Fleet(processes=8, machines=10, journal="postgres")),
    ("the same, `limit=1000`", Fleet(processes=8, machines=10, connections=1_000, journal="postgres")),
)


def _fleets(costs: Costs) -> str:
    return _table(_FLEET_HEAD, [_fleet_row(costs, name, fleet) for name, fleet in _SETUPS])


_FLEET_HEAD = [
    "set up as",
    "captures an hour",
    "bound by",
    "the next limit",
    "sockets a machine",
    "memory a machine",
]


def _fleet_row(costs: Costs, name: str, fleet: Fleet) -> list[str]:
    first, second = bounds(costs, fleet)[:2]
    return [
        name,
        _hourly(first.rate),
        first.what,
        f"{second.what}, {_hourly(second.rate)}",
        f"{fleet.connections * fleet.processes:,}",
        f"{memory(costs, fleet):.1f} GiB",
    ]


def _hourly(rate: float) -> str:
    hourly = rate * _HOUR
    if math.isinf(hourly):
        return "not known"
    return f"{hourly / 1e6:.1f} million" if hourly >= 1e6 else f"{round(hourly, -3):,.0f}"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _add(parser: argparse.ArgumentParser, attribute: Attribute[object]) -> None:
    kind = type(attribute.default)
    parser.add_argument(f"--{attribute.name}", type=kind, help=attribute.metadata["help"])


def main() -> None:
    """Print the tables, or write them, or answer for the figures that were given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put the tables into the documentation")
    for attribute in fields(Fleet):
        _add(parser, attribute)
    given = {name: value for name, value in vars(parser.parse_args()).items() if value is not None}
    if given.pop("write"):
        PAGE.write_text(put_tables(PAGE.read_text(), tables(MEASURED)))
    elif given:
        print(_table(_FLEET_HEAD, [_fleet_row(MEASURED, "as given", evolve(Fleet(), **given))]))
    else:
        print("\n\n".join(tables(MEASURED).values()))


if __name__ == "__main__":
    main()
