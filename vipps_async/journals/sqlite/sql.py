"""The SQL statements of the SQLite journal, each for many rows at once."""

# ruff: noqa: S608 - put together from constants only

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from vipps_async.journals.rows import COLUMNS, STATE_COLUMNS

#: Rows in one statement: more do not go faster, and there is a compiled statement for each number of them. 64 × 26
#: values are far fewer than the 32,766 that SQLite takes since 3.32.
_ROWS = 64

#: How many values a row has in `insert_rows` and `update_states`.
ROW, STATE = 26, 13


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
        f"WITH wanted (k, a, o, i, m) AS (VALUES {_places(5, rows)}) SELECT {COLUMNS} FROM wanted "
        "CROSS JOIN entries ON key = k AND api = a AND operation = o AND payment = i AND merchant_serial_number = m"
    )


@functools.cache
def select_open(rows: int) -> str:
    """Read the open entries of so many payments, each named by sales unit and payment."""
    return (
        f"WITH wanted (m, i) AS (VALUES {_places(2, rows)}) SELECT {COLUMNS} FROM wanted "
        "CROSS JOIN entries ON payment = i AND merchant_serial_number = m WHERE outcome IS NULL ORDER BY position"
    )


@functools.cache
def insert_rows(rows: int) -> str:
    """Add so many entries: for each its position, then `row_values`."""
    return f"INSERT INTO entries ({COLUMNS}) VALUES {_places(ROW, rows)}"


@functools.cache
def update_states(rows: int) -> str:
    """Give so many entries another state: for each its position, then `state_values`."""
    news = ", ".join(f"{column} = news.{column}" for column in STATE_COLUMNS.split(", "))
    return (
        f"WITH news (p, {STATE_COLUMNS}) AS (VALUES {_places(STATE, rows)}) UPDATE entries SET {news} FROM news "
        "WHERE entries.position = news.p"
    )
