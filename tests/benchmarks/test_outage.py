"""What the library promises of an outage, held in a short one: no storm, no lie, no second key, back soon."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from attrs import evolve

from benchmarks.outage.clients import CLIENTS, Client, Known, NoRetry
from benchmarks.outage.line import Line
from benchmarks.outage.scenario import FULL, SHORT
from benchmarks.outage.simulation import Result, simulate
from benchmarks.outage.tables import (
    COURSE,
    RESULTS,
    capacity_table,
    course_csv,
    read_course,
    read_results,
    results_csv,
    results_table,
)
from benchmarks.page_tables import PAGE, put_tables
from vipps_async import RetryPolicy

#: Simulations of many thousand calls: they try our rules, not the interpreter.
pytestmark = pytest.mark.heavy

CLIENT = {client.name: client for client in CLIENTS}
#: What the short outage gives, as committed.
SHORT_COURSE = Path(__file__).parent / "short_course.csv"


@pytest.fixture(scope="module")
def shipped() -> Result:
    """What the shipped client makes of the short outage."""
    return simulate(SHORT, CLIENT["vipps_async"])


def _requests_and_most(result: Result) -> tuple[int, int]:
    """Return the web requests of the outage, and the most that the budget allows."""
    policy = RetryPolicy()
    down, up = SHORT.outage
    before = next(row for row in reversed(result.rows) if row.second < down)
    outage = [row for row in result.rows if down <= row.second < up]
    calls = before.in_flight + sum(row.begun for row in outage)
    # The capture itself and the question what became of it; nothing succeeds, so no budget is refilled.
    most = 2 * calls + SHORT.processes * (policy.budget // policy.retry_cost)
    return sum(row.requests_web for row in outage), most


def test_an_outage_is_not_answered_with_a_storm(shipped: Result) -> None:
    """Each call asks twice at most, the capture and its details, but for the retries that the budget pays for."""
    requests, most = _requests_and_most(shipped)
    assert requests <= most
    assert shipped.summary.amplification < 2.2


@pytest.mark.long
def test_without_the_budget_there_would_be_one() -> None:
    """The bound is the budget's doing: the same client with an endless one breaks it."""
    requests, most = _requests_and_most(simulate(SHORT, CLIENT["no_budget"]))
    assert requests > 2 * most


def test_web_calls_work_again_soon_after_the_outage(shipped: Result) -> None:
    """Once Vipps works, captures are done within the longest time that one attempt takes, and a row of the CSV."""
    assert 0 <= shipped.summary.works_after <= 30 + SHORT.bin


@pytest.mark.parametrize(("capacity", "longest"), [(6, SHORT.bin), (5, 60)])
def test_background_work_that_leaves_room_does_not_keep_customers_waiting(capacity: float, longest: float) -> None:
    """With one row and one recovery at a time web calls are captured at once, and soon quickly, on little capacity."""
    summary = simulate(SHORT.returning_with(capacity), CLIENT["gentle"]).summary
    assert summary.works_after == 0
    assert 0 <= summary.well_after <= longest
    assert summary.unknown_at_the_end == 0


def test_every_outcome_is_known_in_the_end(shipped: Result) -> None:
    """There were unknown outcomes, all of them told as such, and recovery settled each one; the batch was finished."""
    summary = shipped.summary
    assert summary.unknown > 300
    assert summary.unknown_at_the_end == 0
    assert summary.known_after >= 0
    assert summary.batch_after >= 0


def test_nobody_is_told_an_untruth_and_no_order_gets_two_keys(shipped: Result) -> None:
    """What was told as captured is, what was told as not done is not, whatever Vipps did silently."""
    assert (shipped.summary.untrue, shipped.summary.two_keys) == (0, 0)
    down, up = SHORT.outage
    assert sum(row.effects for row in shipped.rows if down + SHORT.bin <= row.second < up) > 10


def test_all_calls_end(shipped: Result) -> None:
    """None of them is lost on the way: each one that began said something."""
    summary = shipped.summary
    assert summary.web_calls == summary.captured + summary.not_done + summary.unknown


class _Liar(NoRetry):
    async def capture(self, order_id: str) -> Known:
        known = await super().capture(order_id)
        return Known.NOT_DONE if known is Known.UNKNOWN else known


class _KeyChanger(NoRetry):
    def __init__(self, line: Line, random: Random) -> None:
        super().__init__(line, random)
        self._keys = 0

    def _key(self, order_id: str) -> str:
        self._keys += 1
        return f"{order_id}-{self._keys}"


@pytest.mark.parametrize(
    ("other", "count"),
    [(_Liar, lambda result: result.summary.untrue), (_KeyChanger, lambda result: result.summary.two_keys)],
)
def test_the_simulation_catches_who_lies_or_changes_keys(other: type[NoRetry], count: Callable[[Result], int]) -> None:
    """A client that says "not done" where it does not know, or makes a new key for a new attempt, is found out."""
    result = simulate(SHORT, Client(name="other", title="other", other=other))
    assert count(result) > 0


@pytest.mark.long
def test_the_same_seed_gives_the_same_course(shipped: Result) -> None:
    """Row for row what is committed, in a process with another order of hashing too; another seed gives another."""
    assert course_csv({"vipps_async": shipped.rows}) == SHORT_COURSE.read_text()
    program = (
        "from benchmarks.outage import clients, scenario, simulation, tables;"
        "result = simulation.simulate(scenario.SHORT, clients.CLIENTS[0]);"
        "print(tables.course_csv({'vipps_async': result.rows}), end='')"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert run.stdout == SHORT_COURSE.read_text()
    assert simulate(evolve(SHORT, seed=2), CLIENT["vipps_async"]).rows != shipped.rows


def test_what_is_written_can_be_read(shipped: Result) -> None:
    """The CSV files hold all there is."""
    assert read_course(course_csv({"one": shipped.rows})) == {"one": shipped.rows}
    results = {(5.0, "vipps_async"): shipped.summary}
    assert read_results(results_csv(results)) == results


@pytest.mark.long
def test_the_committed_course_is_what_the_code_gives() -> None:
    """The long outage of the documentation, once more: the shipped client's rows and results are those committed."""
    result = simulate(FULL, CLIENT["vipps_async"])
    assert read_course(COURSE.read_text())["vipps_async"] == result.rows
    drawn = FULL.phase_at(FULL.outage[1]).capacity
    assert read_results(RESULTS.read_text())[drawn, "vipps_async"] == result.summary


def test_no_committed_result_has_an_untruth_or_a_second_key() -> None:
    """What the page says of all of them is so in the results that it shows."""
    results = read_results(RESULTS.read_text()).values()
    assert {(each.untrue, each.two_keys) for each in results} == {(0, 0)}


def test_the_page_has_the_results() -> None:
    """The tables of the page are those of the committed results; `python -m benchmarks.outage --draw` renews them."""
    results = read_results(RESULTS.read_text())
    drawn = FULL.phase_at(FULL.outage[1]).capacity
    tables = {
        "outage results": results_table(results, drawn),
        "outage capacities": capacity_table(results, FULL.web_rate),
    }
    page = PAGE.read_text()
    assert put_tables(page, tables) == page


@pytest.mark.long
def test_the_pictures_are_drawn_the_same_each_time(tmp_path: Path) -> None:
    """Two runs write the same bytes, one picture for light pages and one for dark ones."""
    plot = pytest.importorskip("benchmarks.outage.plot", reason="matplotlib is missing", exc_type=ImportError)
    courses = read_course(COURSE.read_text())
    first, second = plot.draw(FULL, courses, tmp_path / "one"), plot.draw(FULL, courses, tmp_path / "two")
    assert [path.name for path in first] == ["outage-light.svg", "outage-dark.svg"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
