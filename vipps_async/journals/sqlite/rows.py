"""How an entry stands in the file: its columns, the statements for many rows at once, and the way back."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import evolve

from vipps_async.journals.protocol import Entry, Intent, Outcome, Settlement

__all__ = [
    "BEGUN",
    "COLUMNS",
    "ENDED",
    "LIGHT_COLUMNS",
    "ROW",
    "STATE",
    "begun_values",
    "blocks",
    "ended_values",
    "entry_of",
    "insert_begun",
    "insert_rows",
    "intent_values",
    "light_entry_of",
    "select_matching",
    "state_values",
    "statements",
    "update_ended",
    "update_states",
]

#: Rows in one statement: more do not go faster, and there is a compiled statement for each number of them. 64 × 16
#: values are far fewer than the 32,766 that SQLite takes since 3.32.
_ROWS = 64

COLUMNS = (
    "position, key, operation, order_id, merchant_serial_number, amount, transaction_text, digest, body, created_at, "
    "outcome, answer, settled_at, owner, lease_until, note"
)
LIGHT_COLUMNS = (
    "position, key, operation, order_id, merchant_serial_number, digest, outcome, settled_at, owner, lease_until"
)

#: How many values a row has in `insert_rows`, `update_states`, `insert_begun` and `update_ended`.
ROW, STATE, BEGUN, ENDED = 16, 7, 12, 4

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


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


@functools.cache
def select_matching(columns: str, rows: int) -> str:
    """Read these columns of so many entries, each named by the four parts of its identity."""
    wanted = ", ".join(["(?, ?, ?, ?)"] * rows)
    # CROSS JOIN keeps SQLite from turning the join round and reading the whole table.
    return (
        f"WITH wanted (k, o, i, m) AS (VALUES {wanted}) SELECT {columns} FROM wanted CROSS JOIN entries "  # noqa: S608
        "ON key = k AND operation = o AND order_id = i AND merchant_serial_number = m"
    )


@functools.cache
def insert_rows(rows: int) -> str:
    """Add so many entries: for each its position, then `intent_values` and `state_values`."""
    values = ", ".join([f"({', '.join('?' * ROW)})"] * rows)
    return f"INSERT INTO entries ({COLUMNS}) VALUES {values}"  # noqa: S608 - constants only


@functools.cache
def insert_begun(rows: int) -> str:
    """Add so many entries that have just begun: for each its `begun_values`."""
    columns = "position, key, operation, order_id, merchant_serial_number, amount, transaction_text, digest, body"
    values = ", ".join([f"({', '.join('?' * BEGUN)}, '')"] * rows)
    return f"INSERT INTO entries ({columns}, created_at, owner, lease_until, note) VALUES {values}"  # noqa: S608


@functools.cache
def update_ended(rows: int) -> str:
    """Give so many entries their outcome: for each its `ended_values`."""
    values = ", ".join([f"({', '.join('?' * ENDED)})"] * rows)
    return (
        f"WITH news (p, outcome, answer, settled_at) AS (VALUES {values}) UPDATE entries SET "  # noqa: S608
        "outcome = news.outcome, answer = news.answer, settled_at = news.settled_at, note = '' FROM news "
        "WHERE entries.position = news.p"
    )


@functools.cache
def update_states(rows: int) -> str:
    """Give so many entries another state: for each its position, then `state_values`."""
    values = ", ".join([f"({', '.join('?' * STATE)})"] * rows)
    return (
        f"WITH news (p, outcome, answer, settled_at, owner, lease_until, note) AS (VALUES {values}) "  # noqa: S608
        "UPDATE entries SET outcome = news.outcome, answer = news.answer, settled_at = news.settled_at, "
        "owner = news.owner, lease_until = news.lease_until, note = news.note FROM news WHERE entries.position = news.p"
    )


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _moment(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)


def intent_values(entry: Entry) -> tuple[object, ...]:
    """What stands of an entry from its beginning."""
    intent = entry.intent
    head = (intent.key, intent.operation, intent.order_id, intent.merchant_serial_number, intent.amount)
    return (*head, intent.transaction_text, intent.digest, intent.body, _micros(intent.created_at))


def begun_values(position: int, entry: Entry) -> tuple[object, ...]:
    """All that stands of an entry that has just begun."""
    intent = entry.intent
    head = (position, intent.key, intent.operation, intent.order_id, intent.merchant_serial_number, intent.amount)
    tail = (_micros(intent.created_at), entry.owner, _micros(entry.lease_until))
    return (*head, intent.transaction_text, intent.digest, intent.body, *tail)


def ended_values(position: int, settlement: Settlement) -> tuple[object, ...]:
    """What an outcome changes in an entry that nobody has to be asked about."""
    return (position, settlement.outcome.value, settlement.answer, _micros(settlement.settled_at))


def state_values(entry: Entry) -> tuple[object, ...]:
    """What stands of an entry as it is now."""
    hold = (entry.owner, _micros(entry.lease_until), entry.note)
    if (settled := entry.settlement) is None:
        return (None, None, None, *hold)
    return (settled.outcome.value, settled.answer, _micros(settled.settled_at), *hold)


def entry_of(row: Any) -> Entry:
    """Make the entry of a row with all columns."""
    (_, key, operation, order_id, msn, amount, text, digest, body, created, outcome, answer, settled, *hold) = row
    owner, lease_until, note = hold
    intent = Intent(
        key=key,
        operation=operation,
        order_id=order_id,
        merchant_serial_number=msn,
        amount=amount,
        transaction_text=text,
        digest=digest,
        body=body,
        created_at=_moment(created),
    )
    return Entry(
        intent=intent,
        settlement=_settlement(outcome, answer, settled),
        owner=owner,
        lease_until=_moment(lease_until),
        note=note,
    )


def light_entry_of(row: Any, intent: Intent) -> Entry:
    """Make the entry of a row with the light columns: all that decides what becomes of it."""
    *_, digest, outcome, settled, owner, lease_until = row
    if intent.digest != digest:
        intent = evolve(intent, digest=digest)
    settlement = _settlement(outcome, b"", settled)
    return Entry(intent=intent, settlement=settlement, owner=owner, lease_until=_moment(lease_until))


def _settlement(outcome: str | None, answer: bytes | None, settled_at: int | None) -> Settlement | None:
    if outcome is None or settled_at is None:
        return None
    return Settlement(outcome=Outcome(outcome), answer=answer or b"", settled_at=_moment(settled_at))
