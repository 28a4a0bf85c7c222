"""What was acknowledged is there: writers killed at any instant, and what they had been told."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.journals.children import child
from tests.journals.material import all_recent
from vipps_async import PostgresJournal, SqliteJournal

pytestmark = pytest.mark.heavy

#: Enough for a crash in each phase to be likely; the long run has a session of its own.
KILLS = 5

#: Begins and settles with 64 tasks, and prints each key once its begin, and its settlement's flush, came back.
WORKER = """
import asyncio, sys
from tests.journals.material import intent, settlement
from vipps_async import PostgresJournal, SqliteJournal
async def main(kind, place, schema, first):
    journal = SqliteJournal(place) if kind == "sqlite" else PostgresJournal(place, schema=schema)
    await journal.open()
    numbers = iter(range(int(first), int(first) + 1_000_000))

    async def work():
        for number in numbers:
            await journal.begin(intent(number), owner="a", lease=60)
            print("begun", number, flush=True)
            await journal.settle(intent(number), settlement())
            if number % 10 == 0:
                await journal.flush()
                print("settled", number, flush=True)

    await asyncio.gather(*(work() for _ in range(64)))

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[list[str], Callable[[], Any]]:
    """Where the journal is, for a worker and for us."""
    if request.param == "sqlite":
        path = tmp_path / "journal.db"
        return ["sqlite", str(path), ""], lambda: SqliteJournal(path)
    dsn, schema = request.getfixturevalue("postgres_dsn"), request.getfixturevalue("postgres_schema")
    return ["postgres", dsn, schema], lambda: PostgresJournal(dsn, schema=schema)


async def test_nothing_acknowledged_is_lost(place: tuple[list[str], Callable[[], Any]]) -> None:
    """After each of several kills by SIGKILL every acknowledged intent and settlement stands in the journal."""
    arguments, make = place
    chance = random.Random(7)
    told: set[tuple[str, int]] = set()
    for kill in range(KILLS):
        with child(WORKER, *arguments, str(kill * 1_000_000)) as worker:
            assert worker.stdout is not None
            wanted = chance.randint(1, 1500)
            for _ in range(wanted):
                what, number = worker.stdout.readline().split()
                told.add((what, int(number)))
            worker.send_signal(signal.SIGKILL)
            # What it had printed by then counts as well; the last line may be cut short.
            for line in worker.stdout.read().splitlines(keepends=True):
                if line.endswith("\n"):
                    what, number = line.split()
                    told.add((what, int(number)))
        journal = make()
        await journal.open()
        found = {entry.intent.key: entry async for entry in journal.recent_entries(limit=10_000_000)}
        await journal.aclose()
        begun = {f"key-{number:06d}" for what, number in told if what == "begun"}
        settled = {f"key-{number:06d}" for what, number in told if what == "settled"}
        assert begun <= found.keys()
        assert all(found[key].settlement is not None for key in settled)
    assert len(told) > KILLS


async def test_a_worker_leaves_a_journal_that_can_be_used(place: tuple[list[str], Callable[[], Any]]) -> None:
    """After a kill the journal opens at once and lists what was open."""
    arguments, make = place
    with child(WORKER, *arguments, "0") as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline().startswith("begun")
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        journal = make()
        await journal.open()
        assert await all_recent(journal)
        await journal.aclose()
