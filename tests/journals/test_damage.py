"""A row that cannot be read is a row, not the end of the journal; and what cannot be written fails alone."""

# ruff: noqa: S608 - statements put together from constants of this file

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import sqlite3
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from attrs import evolve

from tests.journals import sqlite_cells
from tests.journals.material import LONG, MOMENT, MSN, all_open, all_recent, begin_all, intent, only, settlement
from vipps_async import AcquireResult, Attempts, Entry, KeyOrigin, Outcome, PostgresJournal, SqliteJournal
from vipps_async.errors import Effect, JournalError
from vipps_async.journals.rows import DamagedEntryError

#: How many flips the test tries; all of the promise's thousand with the variable.
FLIPS = int(os.environ.get("VIPPS_TEST_FLIPS", "150"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the journal of a test is."""
    return tmp_path / "journal.db"


async def filled(journal: Any) -> None:
    """Put one entry of each kind into a journal, several times, and close it."""
    await journal.open()
    for number in range(0, 40, 5):
        origin = KeyOrigin.MADE if number % 2 else KeyOrigin.GIVEN
        batch = [intent(number + kind, origin=origin, reference=f"row {number}") for kind in range(5)]
        await begin_all(journal, batch, owner="a", lease=LONG)
        await journal.settle(batch[0], settlement())
        await journal.settle(batch[1], settlement(Outcome.REFUSED, b'{"class":"CaptureError"}'))
        await journal.settle(batch[2], settlement(Outcome.NOT_DONE))
        await journal.attempt(batch[3], owner="a", at=MOMENT)
        known = Attempts(begun=2, ended=1, last_at=MOMENT, refusal=b"{}", looked_at=MOMENT)
        await journal.release(batch[3], note="in doubt", attempts=known)
    await journal.aclose()


def meaning(entry: Entry) -> tuple[object, ...]:
    """All of an entry on which money hangs."""
    return entry.intent, entry.attempts, entry.settlement


def cells(path: Path) -> list[range]:
    """Where the rows of the journal stand in its file."""
    with contextlib.closing(sqlite3.connect(path)) as other:
        (root,) = other.execute("SELECT rootpage FROM sqlite_master WHERE name = 'entries'").fetchone()
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return list(sqlite_cells.rows(path.read_bytes(), root))


def flipped(whole: bytes, where: range, chance: random.Random) -> bytes:
    """The file with one bit of a row flipped."""
    damaged = bytearray(whole)
    damaged[chance.choice(where)] ^= 1 << chance.randrange(8)
    return bytes(damaged)


async def test_flipped_bits(path: Path) -> None:
    """After one bit of a row was flipped: new captures begin, and what can be read is what was written.

    All but those that may be the very one that cannot be read: of its payment, without a key of their own.
    """
    await filled(SqliteJournal(path))
    rows = cells(path)
    whole = content(path)
    keeper = SqliteJournal(path)
    await keeper.open()
    true = {entry.intent.identity: meaning(entry) for entry in await all_recent(keeper, limit=1000)}
    await keeper.aclose()
    assert len(rows) == len(true) == 40
    chance, seen = random.Random(14), Counter[str]()
    for number in range(FLIPS):
        write(path, flipped(whole, chance.choice(rows), chance))
        journal = SqliteJournal(path, check_on_open=number % 2 == 0)
        await journal.open()
        # Of another order, of each order that is there, and such as would be adopted.
        new = [(intent(100, origin=KeyOrigin.MADE), True)]
        for old in range(0, 40, 7):
            new.append((intent(old, key=f"new {old}", origin=KeyOrigin.GIVEN), False))
            new.append((intent(old, key=f"made {old}", amount=1, digest="1", origin=KeyOrigin.MADE), True))
        unread = {row.payment for row in await journal.damaged(only_open=True)}
        for one, adopt in new:
            may_be_it = adopt and one.payment in unread
            seen["may be it"] += may_be_it
            try:
                assert (await journal.begin(one, owner="b", lease=LONG, adopt=adopt))[0] is AcquireResult.ACQUIRED
            except DamagedEntryError:
                assert may_be_it
                seen["refused"] += 1
        readable = [entry for entry in await all_recent(journal, limit=1000) if entry.intent.identity in true]
        for entry in readable:
            assert meaning(entry) == true[entry.intent.identity]
        damaged = await journal.damaged()
        assert len(readable) + len(damaged) == 40
        assert len(damaged) <= 1
        seen["damaged" if damaged else "of no weight"] += 1
        # What recovery would send: as it was written, or not at all.
        sent = [entry.intent for entry in await all_open(journal) if entry.intent.identity in true]
        for acquired, claimed in await asyncio.gather(*(journal.claim(one, owner="c", lease=LONG) for one in sent)):
            assert acquired is AcquireResult.ACQUIRED
            assert meaning(claimed) == true[claimed.intent.identity]
        await journal.aclose()
    assert seen["damaged"] > FLIPS * 0.7
    # What is damaged may be the sales unit, or what says that it decides on others.
    assert seen["may be it"] >= seen["refused"] > seen["may be it"] * 0.8


def content(path: Path) -> bytes:
    """What is in a file."""
    return path.read_bytes()


def write(path: Path, whole: bytes) -> None:
    """Put this into a file, and nothing into its log."""
    path.write_bytes(whole)
    path.with_name("journal.db-wal").unlink(missing_ok=True)


COLUMNS = {
    "key": "'another-key'",
    "amount": "amount + 1",
    "body": "body || ' '",
    "digest": "'0'",
    "origin": "'nobody'",
    "begun": "0",
    "ended": "1",
    "last_at": "last_at - 1",
    "created_at": "9000000000000000000",
    "checksum": "checksum + 1",
}


async def look_at_damaged(journal: Any) -> None:
    """What holds of a journal whose second entry of three is damaged."""
    await journal.open()
    assert [entry.intent.payment for entry in await all_open(journal)] == ["acme-1", "acme-3"]
    assert [entry.intent.payment for entry in await all_recent(journal)] == ["acme-3", "acme-1"]
    assert await journal.find(payment="acme-2", merchant_serial_number=MSN) == []
    assert [(row.position, row.payment) for row in await journal.damaged()] == [(2, "acme-2")]
    assert (await journal.begin(intent(4), owner="b", lease=LONG))[0] is AcquireResult.ACQUIRED
    await journal.aclose()


async def three(journal: Any) -> None:
    """Begin three operations and close."""
    await journal.open()
    await begin_all(journal, [intent(1), intent(2), intent(3)], owner="a", lease=0)
    await journal.aclose()


@pytest.mark.parametrize("column", COLUMNS)
async def test_a_damaged_row_in_sqlite(path: Path, column: str) -> None:
    """A row whose content does not fit its checksum is left out of all walks, and listed by itself."""
    await three(SqliteJournal(path))
    with contextlib.closing(sqlite3.connect(path)) as other, other:
        other.execute(f"UPDATE entries SET {column} = {COLUMNS[column]} WHERE payment = 'acme-2'")
    await look_at_damaged(SqliteJournal(path))


@pytest.mark.parametrize("column", COLUMNS)
async def test_a_damaged_row_in_postgres(
    postgres: Callable[..., PostgresJournal], postgres_dsn: str, postgres_schema: str, column: str
) -> None:
    """The same in PostgreSQL."""
    await three(postgres())
    value = COLUMNS[column].replace("body || ' '", "body || '\\x20'::bytea")
    statement = f"UPDATE {postgres_schema}.journal_entries SET {column} = {value} WHERE payment = 'acme-2'"
    with psycopg.connect(postgres_dsn, autocommit=True) as other:
        other.execute(statement.encode())
    await look_at_damaged(postgres())


def damaged_wish(**changes: Any) -> Any:
    """A capture of the payment whose row is damaged, under another key."""
    return intent(2, **{"key": "another", "origin": KeyOrigin.MADE, **changes})


@pytest.mark.parametrize(
    ("wish", "adopt", "is_begun"),
    [
        (damaged_wish(), True, False),
        (damaged_wish(amount=1, digest="1"), True, False),
        (damaged_wish(origin=KeyOrigin.GIVEN), False, True),
        (damaged_wish(merchant_serial_number="654321"), True, True),
    ],
    ids=["equal", "another amount", "a key of its own", "another sales unit"],
)
async def test_an_open_row_that_cannot_be_read_is_not_captured_beside(
    damaged: Any, wish: Any, *, adopt: bool, is_begun: bool
) -> None:
    """It may be this very operation, unless the caller's own key says that it is another one. Others go on."""
    results: Any = await asyncio.gather(
        damaged.begin(wish, owner="b", lease=LONG, adopt=adopt),
        damaged.begin(intent(4, origin=KeyOrigin.MADE), owner="c", lease=LONG, adopt=True),
        return_exceptions=True,
    )
    assert results[1][0] is AcquireResult.ACQUIRED
    if is_begun:
        assert results[0][0] is AcquireResult.ACQUIRED
        return
    assert isinstance(results[0], DamagedEntryError)
    assert results[0].effect is Effect.POSSIBLE
    assert "give it an idempotency key of its own" in results[0].advice


async def test_what_cannot_be_read_stands_among_the_rows_of_its_payment(damaged: Any) -> None:
    """`rows_of` has it in its place, and `find` leaves it out."""
    await damaged.begin(intent(2, key="later"), owner="b", lease=LONG)
    rows = await damaged.rows_of(payment="acme-2", merchant_serial_number=MSN)
    assert [type(row).__name__ for row in rows] == ["DamagedEntry", "Entry"]
    found = await damaged.find(payment="acme-2", merchant_serial_number=MSN)
    assert [entry.intent.key for entry in found] == ["later"]


async def test_the_payment_of_a_malformed_row_stands_in_an_index(path: Path) -> None:
    """Of the row nothing can be read, and yet it is known of which payment it is, and closes that to the same wish."""
    await three(SqliteJournal(path))
    whole = bytearray(content(path))
    # The length of the row: what it holds cannot be found any more.
    whole[cells(path)[1].start] ^= 0x7F
    write(path, bytes(whole))
    journal = SqliteJournal(path, check_on_open=False)
    await journal.open()
    malformed = [(2, "acme-2", "its row is malformed")]
    assert [(row.position, row.payment, row.reason) for row in await journal.damaged(only_open=True)] == malformed
    with pytest.raises(DamagedEntryError):
        await journal.begin(damaged_wish(), owner="b", lease=LONG, adopt=True)
    await journal.aclose()


async def damage_second(journal: Any, dsn: str | None, schema: str) -> None:
    """Damage the second of three entries."""
    await three(journal)
    if isinstance(journal, SqliteJournal):
        with contextlib.closing(sqlite3.connect(journal.path)) as other, other:
            other.execute("UPDATE entries SET amount = 1 WHERE payment = 'acme-2'")
    else:
        assert dsn is not None
        with psycopg.connect(dsn, autocommit=True) as postgres:
            postgres.execute(f"UPDATE {schema}.journal_entries SET amount = 1 WHERE payment = 'acme-2'".encode())


@pytest.fixture(params=["sqlite", "postgres"])
async def damaged(request: pytest.FixtureRequest, path: Path) -> Any:
    """An open journal whose second entry of three is damaged."""
    dsn, schema = None, ""
    journal: Any = SqliteJournal(path)
    if request.param == "postgres":
        dsn, schema = request.getfixturevalue("postgres_dsn"), request.getfixturevalue("postgres_schema")
        journal = PostgresJournal(dsn, schema=schema)
    await damage_second(journal, dsn, schema)
    await journal.open()
    yield journal
    with contextlib.suppress(JournalError):
        await journal.aclose()


async def test_a_row_that_cannot_be_read_is_deleted_by_hand_alone(damaged: Any) -> None:
    """`prune` leaves it, `discard` deletes it, open as it is, and no other row; from then on it keeps nothing back."""
    assert await damaged.prune(older_than=timedelta(0), force=True) == 0
    for other in (1, 99):
        with pytest.raises(JournalError, match=f"entry {other} of the journal can be read, or is not there"):
            await damaged.discard(other)
    assert (await damaged.discard(2)).payment == "acme-2"
    assert await damaged.damaged() == []
    assert len(await all_open(damaged)) == 2
    acquired, _ = await damaged.begin(damaged_wish(), owner="b", lease=LONG, adopt=True)
    assert acquired is AcquireResult.ACQUIRED


async def test_what_needs_a_damaged_row_fails_alone(damaged: Any) -> None:
    """In one group: who asks for the damaged entry is told so, and all others get theirs."""
    results: Any = await asyncio.gather(
        *(damaged.begin(intent(number), owner="b", lease=LONG) for number in range(6)), return_exceptions=True
    )
    assert isinstance(results[2], JournalError)
    assert "entry 2 of the journal (payment acme-2) cannot be read" in str(results[2])
    assert [found[0] for number, found in enumerate(results) if number != 2] == [AcquireResult.ACQUIRED] * 5


async def test_an_outcome_of_a_damaged_row_is_lost_alone(damaged: Any) -> None:
    """Outcomes beside it are noted at once; closing says how many could not be, and it is not tried for ever."""
    for number in (1, 2, 3):
        await damaged.settle(intent(number), settlement())
    assert (await only(damaged, intent(1))).settlement == settlement()
    assert (await only(damaged, intent(3))).settlement == settlement()
    with pytest.raises(JournalError, match="1 outcomes could not be written"):
        await damaged.aclose()


@pytest.fixture(params=["sqlite", "postgres"])
async def journal(request: pytest.FixtureRequest, path: Path) -> Any:
    """An open journal on a disk."""
    make: Callable[[], Any] = lambda: SqliteJournal(path)  # noqa: E731 - one of two
    if request.param == "postgres":
        make = request.getfixturevalue("postgres")
    journal = make()
    await journal.open()
    yield journal
    with contextlib.suppress(JournalError):
        await journal.aclose()


def unfit(number: int) -> Any:
    """An intent with a text that cannot be encoded, which its own checks would have refused."""
    broken = intent(number)
    object.__setattr__(broken, "reference", "\ud800")
    return broken


async def test_what_cannot_be_encoded_fails_alone(journal: Any) -> None:
    """Of many in one group the one whose text cannot be encoded fails, and the others are written."""
    wanted = [unfit(number) if number == 7 else intent(number) for number in range(20)]
    results: Any = await asyncio.gather(
        *(journal.begin(one, owner="a", lease=LONG) for one in wanted), return_exceptions=True
    )
    assert isinstance(results[7], JournalError)
    assert "cannot be written" in str(results[7])
    assert [found[0] for number, found in enumerate(results) if number != 7] == [AcquireResult.ACQUIRED] * 19
    assert len(await all_open(journal)) == 19


async def test_times_that_are_none_fail_alone(journal: Any) -> None:
    """A release whose attempts have a naive time is lost, and the outcomes beside it are noted."""
    await begin_all(journal, [intent(1), intent(2)], owner="a", lease=LONG)
    naive = Attempts(last_at=datetime(2026, 1, 1))  # noqa: DTZ001 - the mistake
    await journal.release(intent(1), note="", attempts=naive)
    await journal.settle(intent(2), settlement())
    assert (await only(journal, intent(2))).settlement == settlement()
    assert (await only(journal, intent(1))).note == ""
    with pytest.raises(JournalError, match="1 outcomes could not be written"):
        await journal.aclose()


async def test_a_store_that_fails_while_one_is_found_out(journal: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the store itself fails while a group is halved, what comes later does not overtake what came earlier."""
    await begin_all(journal, [intent(1), intent(2), intent(3)], owner="a", lease=LONG)
    store_class: Any = type(journal._opening.store)
    real, calls = store_class.commit, 0

    def broken_once(*given: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise JournalError("the disk is full")
        return real(*given)

    monkeypatch.setattr(store_class, "commit", broken_once)
    await journal.settle(evolve(intent(1)), settlement())
    await journal.settle(unfit(2), settlement())
    results = await asyncio.gather(
        journal.begin(unfit(5), owner="a", lease=LONG),
        journal.begin(intent(6), owner="a", lease=LONG),
        return_exceptions=True,
    )
    assert all(isinstance(result, JournalError) for result in results)
    monkeypatch.undo()
    await journal.flush()
    assert (await only(journal, intent(1))).settlement == settlement()
