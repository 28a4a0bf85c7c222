"""How an entry stands in the file: its columns, the statements for many rows at once, and the way back."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from vipps_async.journals.checksum import checksum, facts_of, micros, read_entry
from vipps_async.journals.protocol import Attempts, Entry, Intent, Settlement

__all__ = [
    "BEGUN",
    "COLUMNS",
    "ENDED",
    "ROW",
    "STATE",
    "begun_values",
    "blocks",
    "ended_values",
    "entry_of",
    "insert_begun",
    "insert_rows",
    "row_values",
    "select_alike",
    "select_matching",
    "state_values",
    "statements",
    "update_ended",
    "update_states",
]

#: Rows in one statement: more do not go faster, and there is a compiled statement for each number of them. 64 × 25
#: values are far fewer than the 32,766 that SQLite takes since 3.32.
_ROWS = 64

_INTENT = "key, api, operation, payment, merchant_serial_number, amount, currency, digest, body, created_at"
_ATTEMPTS = "begun, ended, last_at, refusal, looked_at"
_STATE = f"{_ATTEMPTS}, outcome, answer, settled_at, checksum, owner, lease_until, note"
_END = "ended, outcome, answer, settled_at, checksum"

#: Position, then the facts that the checksum covers (`facts_of`), then the checksum, and who has it in hand.
COLUMNS = f"position, {_INTENT}, origin, reference, {_STATE}"

#: How many values a row has in `insert_rows`, `update_states`, `insert_begun` and `update_ended`.
ROW, STATE, BEGUN, ENDED = 25, 13, 17, 6

#: How many facts there are of an entry, and how many of them are there from its beginning.
_FACTS, _FIRST_FACTS = 20, 12


def blocks(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Cut into pieces that one statement can take."""
    for start in range(0, len(items), _ROWS):
        yield items[start : start + _ROWS]


def statements(
    make: Callable[[int], str], values: Sequence[object], width: int
) -> Iterator[tuple[str, Sequence[object]]]:
    """Cut the values of many rows, one behind the other, into pieces that one statement can take.

    Args:
        make: makes the statement for a number of rows.
        values: those of all rows.
        width: how many a row has.
    """
    for start in range(0, len(values), _ROWS * width):
        piece = values[start : start + _ROWS * width]
        yield make(len(piece) // width), piece


def _places(width: int, rows: int, more: str = "") -> str:
    return ", ".join([f"({', '.join('?' * width)}{more})"] * rows)


@functools.cache
def select_matching(rows: int) -> str:
    """Read so many entries, each named by the five parts of its identity."""
    # CROSS JOIN keeps SQLite from turning the join round and reading the whole table.
    return (
        f"WITH wanted (k, a, o, i, m) AS (VALUES {_places(5, rows)}) SELECT {COLUMNS} FROM wanted "  # noqa: S608
        "CROSS JOIN entries ON key = k AND api = a AND operation = o AND payment = i AND merchant_serial_number = m"
    )


@functools.cache
def select_alike(rows: int) -> str:
    """Read the open entries with made keys of so many wishes, each named by sales unit, payment, API and operation."""
    return (
        f"WITH wanted (m, i, a, o) AS (VALUES {_places(4, rows)}) SELECT {COLUMNS} FROM wanted "  # noqa: S608
        "CROSS JOIN entries ON payment = i AND merchant_serial_number = m AND api = a AND operation = o "
        "WHERE outcome IS NULL AND origin = 'made' ORDER BY position"
    )


@functools.cache
def insert_rows(rows: int) -> str:
    """Add so many entries: for each its position, then `row_values`."""
    return f"INSERT INTO entries ({COLUMNS}) VALUES {_places(ROW, rows)}"  # noqa: S608 - constants only


@functools.cache
def insert_begun(rows: int) -> str:
    """Add so many entries that have just begun: for each its `begun_values`."""
    columns = f"position, {_INTENT}, origin, reference, last_at, checksum, owner, lease_until"
    values = _places(BEGUN, rows, ", 1, 0, x'', ''")
    return f"INSERT INTO entries ({columns}, begun, ended, refusal, note) VALUES {values}"  # noqa: S608


@functools.cache
def update_ended(rows: int) -> str:
    """Give so many entries their outcome: for each its `ended_values`."""
    news = ", ".join(f"{column} = news.{column}" for column in _END.split(", "))
    return (
        f"WITH news (p, {_END}) AS (VALUES {_places(ENDED, rows)}) UPDATE entries SET {news}, note = '' "  # noqa: S608
        "FROM news WHERE entries.position = news.p"
    )


@functools.cache
def update_states(rows: int) -> str:
    """Give so many entries another state: for each its position, then `state_values`."""
    news = ", ".join(f"{column} = news.{column}" for column in _STATE.split(", "))
    return (
        f"WITH news (p, {_STATE}) AS (VALUES {_places(STATE, rows)}) UPDATE entries SET {news} FROM news "  # noqa: S608
        "WHERE entries.position = news.p"
    )


def row_values(entry: Entry) -> tuple[object, ...]:
    """All that stands of an entry."""
    facts = facts_of(entry.intent, entry.attempts, entry.settlement)
    return (*facts, checksum(facts), entry.owner, micros(entry.lease_until), entry.note)


def state_values(entry: Entry) -> tuple[object, ...]:
    """What stands of an entry as it is now."""
    return row_values(entry)[_FIRST_FACTS:]


def begun_values(position: int, entry: Entry) -> tuple[object, ...]:
    """All that stands of an entry that has just begun."""
    facts = facts_of(entry.intent, entry.attempts, None)
    hold = (checksum(facts), entry.owner, micros(entry.lease_until))
    return (position, *facts[:_FIRST_FACTS], facts[_FIRST_FACTS + 2], *hold)


def ended_values(position: int, intent: Intent, attempts: Attempts, settlement: Settlement) -> tuple[object, ...]:
    """What an outcome changes in an entry that nobody has to be asked about."""
    facts = facts_of(intent, attempts, settlement)
    return (position, attempts.ended, *facts[-3:], checksum(facts))


def entry_of(row: Any) -> Entry:
    """Make the entry of a row with all columns.

    Raises:
        DamagedEntryError: it cannot be read.
    """
    return read_entry(row[0], row[1 : _FACTS + 1], *row[_FACTS + 1 :])
