"""The journal file against a plain model, commit by commit."""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve, frozen
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from tests.journals.material import intent, settlement
from vipps_async import AcquireResult, Entry, KeyOrigin, Outcome
from vipps_async.errors import JournalError
from vipps_async.journals.rules import (
    Attempt,
    Begin,
    Claim,
    Command,
    CommandResult,
    Release,
    Settle,
    apply,
    same_operation,
)
from vipps_async.journals.sqlite.store import SqliteStore

NOW = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """An open journal file."""
    with opened(tmp_path) as store:
        yield store


@contextlib.contextmanager
def opened(directory: Path) -> Iterator[SqliteStore]:
    """Open the journal file of a directory."""
    with SqliteStore.opened(directory / "journal.db", clock=lambda: NOW, check=False) as store:
        yield store


def begin(number: int, owner: str = "a", **changes: Any) -> Begin:
    """Begin an intent."""
    return Begin(intent(number, **changes), owner, HOUR)


def settle(number: int, outcome: Outcome = Outcome.DONE, owner: str | None = None, **changes: Any) -> Settle:
    """Settle an intent."""
    return Settle(intent(number, **changes), settlement(outcome), owner)


def results(answers: Sequence[CommandResult]) -> list[AcquireResult | None]:
    """What the works of a commit found."""
    return [acquired for acquired, _ in answers]


def in_file(store: SqliteStore) -> list[tuple[int, Entry]]:
    """All that stands in the file, by its positions."""
    found = sorted(store.recent_page(1_000_000), key=lambda row: row[0])
    return [(position, entry) for position, entry in found if isinstance(entry, Entry)]


class _Failing:
    """A connection one of whose statements fails."""

    def __init__(self, real: sqlite3.Connection, word: str) -> None:
        self._real, self._word = real, word

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def execute(self, statement: str, *given: Any) -> sqlite3.Cursor:
        if statement.startswith(self._word) or f" {self._word} " in statement:
            raise sqlite3.OperationalError("disk I/O error")
        return self._real.execute(statement, *given)


@contextlib.contextmanager
def failing(store: SqliteStore, word: str) -> Iterator[None]:
    """Let statements with this word fail."""
    real = store._connection
    store._connection = _Failing(real, word)  # type: ignore[assignment]  # stands in for it
    try:
        yield
    finally:
        store._connection = real


# --- some commits by themselves ------------------------------------------------------------------------------------


class _Malformed(_Failing):
    """A connection that meets a malformed row where it looks for what is open."""

    def execute(self, statement: str, *given: Any) -> sqlite3.Cursor:
        if self._word in statement:
            error = sqlite3.DatabaseError("database disk image is malformed")
            error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise error
        return self._real.execute(statement, *given)


def test_a_malformed_row_hides_nothing_else(tmp_path: Path) -> None:
    """What is open of a payment is then found row by row, and closes it to another API as ever."""
    with opened(tmp_path) as store:
        assert results(store.commit([begin(1), begin(2)])) == [AcquireResult.ACQUIRED] * 2
    with opened(tmp_path) as store:
        malformed = _Malformed(store._connection, "AS (VALUES (?, ?)) SELECT")
        store._connection = malformed  # type: ignore[assignment]  # stands in for it
        other = [begin(number, key="another", api="toy") for number in (1, 3)]
        assert results(store.commit(other)) == [AcquireResult.CLOSED, AcquireResult.ACQUIRED]


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_key_that_is_there_already_among_others(store: SqliteStore, at: int) -> None:
    """A begin of a settled key replays its answer, and the others in its commit are none the worse."""
    store.commit([begin(5), settle(5)])
    commands = [begin(6), begin(7)]
    commands.insert(at, begin(5, "b"))
    answers = store.commit(commands)
    expected = [AcquireResult.ACQUIRED, AcquireResult.ACQUIRED]
    expected.insert(at, AcquireResult.SETTLED)
    assert results(answers) == expected
    replayed = answers[at][1]
    assert replayed is not None
    assert (replayed.settlement, replayed.intent) == (settlement(), intent(5))
    assert [(place, entry.intent.payment) for place, entry in in_file(store)] == [
        (1, "acme-5"),
        (2, "acme-6"),
        (3, "acme-7"),
    ]


def test_a_key_that_is_there_with_another_payload(store: SqliteStore) -> None:
    """The same key with another payload is found out, whether the first is leased or settled."""
    other = begin(1, digest="other", body=b"[]", amount=7)
    store.commit([begin(1)])
    assert results(store.commit([other])) == [AcquireResult.MISMATCH]
    store.commit([settle(1)])
    answers = store.commit([other])
    assert results(answers) == [AcquireResult.MISMATCH]
    assert answers[0][1] == in_file(store)[0][1]


def test_a_key_that_another_owner_has(store: SqliteStore) -> None:
    """What somebody has leased is not given to another, also beside others."""
    store.commit([begin(1)])
    assert results(store.commit([begin(1, "b")])) == [AcquireResult.HELD]
    assert results(store.commit([begin(1, "b"), begin(2, "b")])) == [AcquireResult.HELD, AcquireResult.ACQUIRED]


def test_settled_and_begun_in_one_commit(store: SqliteStore) -> None:
    """Commands of one entry in one commit see each other in their order, whatever stood there before."""
    assert results(store.commit([begin(1), settle(1), begin(1, "b")])) == [
        AcquireResult.ACQUIRED,
        None,
        AcquireResult.SETTLED,
    ]
    assert results(store.commit([settle(1, Outcome.REFUSED), begin(1, "c")])) == [None, AcquireResult.SETTLED]
    assert results(store.commit([settle(2), begin(2)])) == [None, AcquireResult.SETTLED]
    assert [entry.settlement for _, entry in in_file(store)] == [settlement(), settlement()]


def test_done_stands_among_two_outcomes_in_one_commit(store: SqliteStore) -> None:
    """Of two tasks that settle the same entry at once, the one that knows that it took effect is believed."""
    store.commit([begin(1), begin(2)])
    store.commit([settle(1), settle(1, Outcome.REFUSED), settle(2, Outcome.REFUSED), settle(2)])
    outcomes = [entry.settlement.outcome for _, entry in in_file(store) if entry.settlement]
    assert outcomes == [Outcome.DONE, Outcome.DONE]


@pytest.mark.parametrize(
    "other",
    [settle(1, digest="other", body=b"[]", amount=7), settle(1, Outcome.NOT_DONE, "b")],
    ids=["another payload", "not done, by another"],
)
def test_an_outcome_that_is_not_of_what_is_leased(store: SqliteStore, other: Command) -> None:
    """An outcome of another payload, or by somebody who lost it, leaves what is leased open."""
    store.commit([begin(1), begin(2)])
    store.commit([settle(2), other])
    assert [entry.settlement for _, entry in in_file(store)] == [None, settlement()]
    assert results(store.commit([begin(1, "c")])) == [AcquireResult.HELD]


@pytest.mark.parametrize(
    "late",
    [
        settle(1, digest="other", body=b"[]", amount=7),
        settle(1, Outcome.NOT_DONE, "b", body=b"[]", amount=7),
        Release(intent(1, body=b"[]", amount=7), "mine", "b"),
    ],
    ids=["another payload", "not done, by another", "released by another"],
)
def test_an_outcome_of_another_changes_nothing(store: SqliteStore, late: Command) -> None:
    """An outcome that changes nothing leaves the entry as it stands: its own payload and note are what comes back."""
    store.commit([begin(1), Release(intent(1), "why", "a"), begin(1, "c")])
    before = in_file(store)
    assert before[0][1].note == "why"
    store.commit([late])
    assert in_file(store) == before
    ((acquired, entry),) = store.commit([Claim(intent(1), "c", HOUR)])
    assert (acquired, entry) == (AcquireResult.ACQUIRED, before[0][1])
    assert in_file(store) == before


@pytest.mark.parametrize("word", ["BEGIN", "INSERT", "UPDATE", "COMMIT"])
def test_a_failed_commit_leaves_nothing(store: SqliteStore, word: str) -> None:
    """After a failure of any statement nothing of the commit stands in the file, and the next one goes as if new."""
    store.commit([begin(1), begin(2)])
    before = in_file(store)
    with failing(store, word), pytest.raises(JournalError):
        store.commit([begin(3), settle(1), begin(2)])
    assert in_file(store) == before
    assert results(store.commit([begin(1, "b"), begin(4)])) == [AcquireResult.HELD, AcquireResult.ACQUIRED]
    store.commit([settle(1)])
    assert results(store.commit([begin(3)])) == [AcquireResult.ACQUIRED]
    assert [(at, entry.intent.payment) for at, entry in in_file(store)] == [
        (1, "acme-1"),
        (2, "acme-2"),
        (3, "acme-4"),
        (4, "acme-3"),
    ]


def test_positions_go_on_where_the_file_ends(tmp_path: Path) -> None:
    """In a file that was there before, new entries come after all others."""
    with opened(tmp_path) as store:
        store.commit([begin(2), begin(1)])
    with opened(tmp_path) as store:
        store.commit([begin(0), begin(1)])
        assert [entry.intent.payment for _, entry in in_file(store)] == ["acme-2", "acme-1", "acme-0"]
        assert store.newest_position() == 3


# --- any commits in any order -----------------------------------------------------------------------------------------


@frozen
class Commit:
    """Some commands, and the statement that fails, if one does."""

    commands: tuple[Command, ...]
    fails: str | None


class Model:
    """Entries by their identity, in order of arrival."""

    def __init__(self) -> None:
        self.entries: dict[object, Entry] = {}

    def commit(self, commands: Sequence[Command]) -> list[CommandResult]:
        """Do all works in their order."""
        return [self._one(command) for command in commands]

    def _one(self, command: Command) -> CommandResult:
        if isinstance(command, Begin) and command.adopt:
            wanted = (command.intent.payment, command.intent.name)
            alike = [one for one in self.entries.values() if (one.intent.payment, one.intent.name) == wanted]
            if (met := same_operation(alike, command.intent)) is not None:
                if met.intent.digest != command.intent.digest:
                    return AcquireResult.MISMATCH, met
                command = evolve(command, intent=evolve(met.intent, created_at=command.intent.created_at))
        acquired, entry = apply(self.entries.get(command.intent.identity), command, NOW)
        if isinstance(command, Begin) and acquired is AcquireResult.ACQUIRED and command.intent.adjusts:
            for one in self.entries.values():
                is_same = one.intent.payment == command.intent.payment and one.intent.adjusts
                if is_same and one.settlement is None and one.intent.api != command.intent.api:
                    return AcquireResult.CLOSED, one
        if entry is not None:
            self.entries[command.intent.identity] = entry
        return acquired, entry


_INTENTS = st.builds(
    lambda number, other, api: intent(
        number, api=api, **({"digest": "other", "body": b"[]", "amount": 7} if other else {})
    ),
    st.integers(0, 5),
    st.integers(0, 4).map(lambda draw: draw == 0),
    st.sampled_from(["ecom", "ecom", "ecom", "toy"]),
)
_OWNERS = st.sampled_from(["a", "b"])
_LEASES = st.sampled_from([timedelta(0), HOUR])
#: Calls without keys of their own, of two orders, two payloads and two APIs.
_CALLS = st.builds(
    lambda number, order, other, api: intent(
        1,
        key=f"made-{number}",
        api=api,
        payment=f"shared-{order}",
        origin=KeyOrigin.MADE,
        **({"digest": "other"} if other else {}),
    ),
    st.integers(0, 3),
    st.integers(0, 1),
    st.integers(0, 4).map(lambda draw: draw == 0),
    st.sampled_from(["ecom", "ecom", "toy"]),
)
_ADOPTING = st.builds(Begin, _CALLS, _OWNERS, _LEASES, st.sampled_from([True, True, False]))
_COMMANDS = st.one_of(
    _ADOPTING,
    st.builds(Settle, _CALLS, st.builds(settlement, st.sampled_from(Outcome)), st.none() | _OWNERS),
    st.builds(Release, _CALLS, st.just("why"), st.none() | _OWNERS),
    st.builds(Attempt, _INTENTS | _CALLS, _OWNERS, st.just(NOW)),
    st.builds(Begin, _INTENTS, _OWNERS, _LEASES),
    st.builds(Begin, _INTENTS, _OWNERS, _LEASES),
    st.builds(Claim, _INTENTS, _OWNERS, _LEASES),
    st.builds(Settle, _INTENTS, st.builds(settlement, st.sampled_from(Outcome)), st.none() | _OWNERS),
    st.builds(Release, _INTENTS, st.sampled_from(["", "why"]), st.none() | _OWNERS),
)
#: Of these alone most commits consist.
_FREQUENT = st.one_of(
    st.builds(Begin, st.integers(0, 9).map(intent), st.just("a"), st.just(HOUR)),
    st.builds(
        Settle, st.integers(0, 9).map(intent), st.builds(settlement, st.sampled_from(Outcome)), st.sampled_from("ab")
    ),
    _ADOPTING,
    st.builds(Settle, _CALLS, st.builds(settlement, st.sampled_from(Outcome)), st.just("a")),
)
_COMMITS = st.builds(
    Commit,
    (st.lists(_COMMANDS, min_size=1, max_size=6) | st.lists(_FREQUENT, min_size=1, max_size=6)).map(tuple),
    st.sampled_from([None, None, None, None, None, "INSERT", "UPDATE", "COMMIT"]),
)


@settings(deadline=None, max_examples=200)  # a busy machine is no failure
@given(st.lists(_COMMITS, max_size=12))
@example(
    [
        Commit((begin(1), settle(1)), None),
        Commit((begin(2, payment="acme-1", api="toy"), begin(1)), None),
    ]
)
@example(
    [
        Commit((begin(1),), None),
        Commit((begin(2), Claim(intent(1), "a", HOUR)), "COMMIT"),
        Commit((settle(1, digest="other", body=b"[]"),), None),
        Commit((begin(1),), None),
    ]
)
def test_the_file_is_as_the_model(commits: list[Commit]) -> None:
    """Whatever is committed, and whichever commits fail: answers and file are those of a plain table."""
    model = Model()
    with tempfile.TemporaryDirectory() as directory, opened(Path(directory)) as store:
        for commit in commits:
            kept = dict(model.entries)
            expected = model.commit(commit.commands)
            try:
                with failing(store, commit.fails) if commit.fails else contextlib.nullcontext():
                    answers = store.commit(commit.commands)
            except JournalError:
                event("a commit failed")
                assert commit.fails
                model.entries = kept
            else:
                assert _to_callers(commit.commands, answers) == _to_callers(commit.commands, expected)
            # In the order in which they came, and numbered without a gap.
            assert in_file(store) == list(enumerate(model.entries.values(), start=1))


def _to_callers(commands: Sequence[Command], answers: Sequence[CommandResult]) -> list[CommandResult]:
    """What somebody gets to see: who settles or releases is told nothing."""
    return [
        answer
        for command, answer in zip(commands, answers, strict=True)
        if isinstance(command, Begin | Attempt | Claim)
    ]
