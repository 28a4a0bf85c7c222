"""The arithmetic of "Capacity and outages" is right, and the page has what it gives."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest
from attrs import evolve

from benchmarks.page_tables import PAGE, put_tables
from benchmarks.sizing import MEASURED, Fleet, bounds, connections_for, memory, tables

#: Round figures, so that the results can be worked out in the head.
COSTS = evolve(
    MEASURED,
    cpu_plain=100,
    cpu_sqlite=200,
    cpu_postgres=400,
    sqlite_rows=(64_000, 100_000, 200_000),
    postgres_rows=(10_000, 20_000, 30_000),
    memory_per_call=1024,
    memory_of_process=1,
)


def _rates(fleet: Fleet) -> dict[str, float]:
    return {limit.what: limit.rate for limit in bounds(COSTS, fleet)}


def test_under_way_at_once_is_rate_times_latency() -> None:
    """Little's law, rounded up: a thousand a second that take half a second each are 500 at once."""
    assert connections_for(1_000, 0.5) == 500
    assert connections_for(1, 0.3) == 1


def test_one_process_is_bound_by_its_connections_its_core_and_its_disk() -> None:
    """100 connections at half a second are 200 a second; 200 µs are 5,000; two rows a capture halve the commits."""
    rates = _rates(Fleet(connections=100, latency=0.5))
    assert rates == {"connections": 200, "processor": 5_000, "SQLite commits": 32_000, "Vipps": math.inf}


def test_the_tightest_bound_comes_first() -> None:
    """Whoever reads the first one knows how far it goes."""
    assert [limit.what for limit in bounds(COSTS, Fleet(agreed=10))][:2] == ["Vipps", "connections"]
    assert bounds(COSTS, Fleet(connections=10_000))[0].what == "processor"


def test_processes_multiply_connections_and_cores_but_not_the_disk() -> None:
    """The files of one machine share its disk; ten machines have ten."""
    assert _rates(Fleet(processes=8))["processor"] == 40_000
    assert _rates(Fleet(processes=8))["SQLite commits"] == 32_000
    assert _rates(Fleet(processes=8, machines=10))["SQLite commits"] == 320_000
    assert _rates(Fleet(processes=8, machines=10))["connections"] == 16_000


def test_postgresql_is_one_for_all_machines() -> None:
    """More machines do not make one server's commits faster; more calls in a commit do."""
    assert _rates(Fleet(machines=10, journal="postgres"))["PostgreSQL commits"] == 5_000
    assert _rates(Fleet(connections=256, journal="postgres"))["PostgreSQL commits"] == 10_000
    assert _rates(Fleet(connections=32, journal="postgres"))["PostgreSQL commits"] == 2_500


def test_without_a_journal_nothing_is_committed() -> None:
    """Then a capture costs the processor less, too."""
    assert _rates(Fleet(journal="none")) == {"connections": 200, "processor": 10_000, "Vipps": math.inf}


def test_memory_is_calls_and_processes() -> None:
    """Two processes of 1 MiB with 511 calls of 1 MiB each are 1 GiB."""
    assert memory(COSTS, Fleet(processes=2, connections=511)) == 1.0


def test_a_journal_that_there_is_not_is_refused() -> None:
    """A slip of the finger gives no table."""
    with pytest.raises(ValueError, match="journal"):
        Fleet(journal="mysql")


def test_the_page_has_what_the_arithmetic_gives() -> None:
    """The tables of the page are those of the measured figures; `python -m benchmarks.sizing --write` renews them."""
    page = PAGE.read_text()
    assert put_tables(page, tables(MEASURED)) == page


def test_own_figures_are_answered_on_the_command_line() -> None:
    """A reader puts in processes and latency, and reads what comes out."""
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.sizing", "--latency", "1", "--processes", "2", "--connections", "50"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "| 360,000 | connections |" in run.stdout
