"""SQLite and PostgreSQL against the plainest journal: whatever is done to both, both say the same."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import uuid
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pytest
from attrs import evolve
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from tests.journals.material import MOMENT, all_open, all_recent, intent, settlement
from vipps_async import (
    AcquireResult,
    Entry,
    Intent,
    Journal,
    KeyOrigin,
    MemoryJournal,
    Outcome,
    PostgresJournal,
    SqliteJournal,
)
from vipps_async.errors import JournalError

pytestmark = pytest.mark.heavy

T = TypeVar("T")

OWNERS = st.sampled_from(["a", "b", "c"])
INTENTS = st.builds(
    lambda number, operation, api, other: intent(
        number, operation=operation, api=api, adjusts=operation != "create", **({"digest": "other"} if other else {})
    ),
    st.integers(0, 5),
    st.sampled_from(["capture", "refund", "create"]),
    st.sampled_from(["ecom", "ecom", "toy"]),
    st.integers(0, 9).map(lambda draw: draw == 0),
)
LEASES = st.sampled_from([0, 30, 3600])
SETTLEMENTS = st.builds(settlement, st.sampled_from(Outcome), st.binary(max_size=20))
CLAIMANTS = st.none() | OWNERS


class Twins(RuleBasedStateMachine):
    """Two journals that are told the same."""

    def __init__(self) -> None:
        super().__init__()
        self.now = datetime(2026, 3, 1, tzinfo=UTC)
        self.runner = asyncio.Runner()
        self.model = MemoryJournal(clock=lambda: self.now)
        self.real: Journal = self.make()
        self.run(self.model.open())
        self.run(self.real.open())

    def make(self) -> Journal:
        """Make the journal that is held against the model."""
        raise NotImplementedError

    def seen(self, entry: Entry) -> Entry:
        """What of an entry is compared."""
        return entry

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run to the end on the loop of this machine."""
        return self.runner.run(work)

    async def _both(self, name: str, *given: Any, **more: Any) -> None:
        answers = []
        for journal in (self.model, self.real):
            try:
                answers.append(self._plain(await getattr(journal, name)(*given, **more)))
            except JournalError as error:
                answers.append(str(error))
        assert answers[0] == answers[1]

    def _plain(self, answer: Any) -> Any:
        match answer:
            case (AcquireResult() as acquired, Entry() as entry):
                return (acquired, self.seen(entry))
            case list():
                return [self._plain(one) for one in answer]
            case Entry():
                return self.seen(answer)
        return answer

    @rule(wanted=INTENTS, owner=OWNERS, lease=LEASES)
    def begin(self, wanted: Intent, owner: str, lease: float) -> None:
        """Begin."""
        self.run(self._both("begin", wanted, owner=owner, lease=lease))

    @rule(number=st.integers(0, 2), key=st.integers(0, 3), api=st.sampled_from(["ecom", "toy"]), owner=OWNERS)
    def ask_anew(self, number: int, key: int, api: str, owner: str) -> None:
        """Begin the same operation under a key made for it."""
        wanted = intent(number, key=f"made-{key}", api=api, origin=KeyOrigin.MADE)
        self.run(self._both("begin", wanted, owner=owner, lease=30, adopt=True))

    @rule(wanted=INTENTS, owner=OWNERS, lease=LEASES)
    def claim(self, wanted: Intent, owner: str, lease: float) -> None:
        """Claim."""
        self.run(self._both("claim", wanted, owner=owner, lease=lease))

    @rule(wanted=INTENTS, told=SETTLEMENTS, owner=CLAIMANTS)
    def settle(self, wanted: Intent, told: Any, owner: str | None) -> None:
        """Settle."""
        self.run(self._both("settle", wanted, told, owner=owner))

    @rule(wanted=INTENTS, note=st.text(max_size=5), owner=CLAIMANTS)
    def release(self, wanted: Intent, note: str, owner: str | None) -> None:
        """Release."""
        self.run(self._both("release", wanted, note=note, owner=owner))

    @rule(works=st.lists(st.tuples(INTENTS, SETTLEMENTS, OWNERS), min_size=2, max_size=6))
    def many_at_once(self, works: list[tuple[Intent, Any, str]]) -> None:
        """Begin and settle several at once, so that they share a commit."""

        async def together(journal: Journal) -> None:
            async with asyncio.TaskGroup() as group:
                for wanted, told, owner in works:
                    group.create_task(journal.begin(wanted, owner=owner, lease=0))
                    group.create_task(journal.settle(wanted, told))

        self.run(together(self.model))
        self.run(together(self.real))

    @rule(number=st.integers(0, 5))
    def find(self, number: int) -> None:
        """Find."""
        self.run(self._both("find", payment=f"acme-{number}", merchant_serial_number="123456"))

    @rule()
    def reopen(self) -> None:
        """Close and open, by another object."""
        self.run(self.real.aclose())
        self.real = self.make()
        self.run(self.real.open())
        self.was_reopened()

    def was_reopened(self) -> None:
        """Do to the model what opening anew does besides."""

    @invariant()
    def a_payment_is_open_at_one_api(self) -> None:
        """Of no payment are there open adjustments at two APIs."""
        apis: dict[str, str] = {}
        for entry in self.run(all_open(self.real)):
            if entry.intent.adjusts:
                assert apis.setdefault(entry.intent.payment, entry.intent.api) == entry.intent.api

    @invariant()
    def both_hold_the_same(self) -> None:
        """Walks give the same entries in the same order."""
        for walk in (all_open, all_recent):
            mine, theirs = self.run(walk(self.model)), self.run(walk(self.real))
            assert [self.seen(entry) for entry in mine] == [self.seen(entry) for entry in theirs]

    def teardown(self) -> None:
        """Close."""
        self.run(self.real.aclose())
        self.runner.close()


class SqliteTwins(Twins):
    """SQLite beside the model, with the same clock."""

    def make(self) -> Journal:
        """Make one in a directory of this machine."""
        if not hasattr(self, "directory"):
            self.directory = Path(tempfile.mkdtemp(prefix="vipps-model-"))
        return SqliteJournal(self.directory / "journal.db", clock=lambda: self.now)

    def was_reopened(self) -> None:
        """Take everything out of everybody's hands: a file has one owner, and that one is gone."""
        for slot in self.model._slots:
            if slot.entry.settlement is None:
                slot.entry = evolve(slot.entry, owner="")

    @rule(seconds=st.sampled_from([-10, 0, 29, 30, 4000]))
    def time_passes(self, seconds: float) -> None:
        """Let time pass, or set the clock back."""
        self.now += timedelta(seconds=seconds)

    def teardown(self) -> None:
        """Close, and remove the directory."""
        super().teardown()
        shutil.rmtree(self.directory)


class PostgresTwins(Twins):
    """PostgreSQL beside the model; it goes by its own clock, so ends of leases are not compared."""

    dsn: ClassVar[str]
    schemas: ClassVar[list[str]]

    def make(self) -> Journal:
        """Make one in a schema of this machine."""
        if not hasattr(self, "schema"):
            self.schema = f"test_{uuid.uuid4().hex}"
            self.schemas.append(self.schema)
        return PostgresJournal(self.dsn, schema=self.schema)

    def seen(self, entry: Entry) -> Entry:
        """Leave out when the lease ends."""
        return evolve(entry, lease_until=MOMENT)


def test_sqlite_is_as_the_model() -> None:
    """SQLite answers and holds the same as the journal in memory, whatever is done to both."""
    run_state_machine_as_test(
        SqliteTwins,
        settings=settings(max_examples=25, stateful_step_count=30, deadline=None, derandomize=True),
    )


def test_postgres_is_as_the_model(postgres_dsn: str) -> None:
    """PostgreSQL answers and holds the same as the journal in memory, whatever is done to both."""
    import psycopg  # noqa: PLC0415 - belongs to an extra
    from psycopg import sql  # noqa: PLC0415 - belongs to an extra

    PostgresTwins.dsn, PostgresTwins.schemas = postgres_dsn, []
    try:
        run_state_machine_as_test(
            PostgresTwins,
            settings=settings(
                max_examples=15,
                stateful_step_count=25,
                deadline=None,
                derandomize=True,
                suppress_health_check=[HealthCheck.too_slow],
                # Each example opens connections: to shrink a failure would take many minutes.
                phases=[Phase.generate],
            ),
        )
    finally:
        with psycopg.connect(postgres_dsn, autocommit=True) as connection:
            for schema in PostgresTwins.schemas:
                connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema)))
