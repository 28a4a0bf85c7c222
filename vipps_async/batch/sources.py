"""Reads rows from wherever they come: an async iterable, one in memory, or one that blocks while it is read."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator

from vipps_async.batch.rows import BatchRow
from vipps_async.errors import InvalidInputError

__all__ = ["Rows", "rows_of"]

#: Where the rows of a batch may come from.
Rows = AsyncIterable[BatchRow] | Iterable[BatchRow]

#: Rows that a thread reads in one go, and for how long it gathers them, in seconds: enough of them to pay for the way
#: there and back, and a slow source's rows are not kept waiting for each other.
_CHUNK, _GATHERING = 256, 0.05


async def rows_of(source: Rows) -> AsyncIterator[BatchRow]:
    """Go through the rows of any source, in constant memory and without blocking the loop.

    Raises:
        InvalidInputError: it is no iterable, or gives something that is no row.
    """
    if isinstance(source, AsyncIterable):
        async for row in source:
            yield _checked(row)
    elif isinstance(source, list | tuple):
        for row in source:
            yield _checked(row)
    elif isinstance(source, Iterable):
        rows = iter(source)
        while chunk := await asyncio.to_thread(_gathered, rows):
            for row in chunk:
                yield _checked(row)
    else:
        raise InvalidInputError("rows", "an iterable or async iterable of BatchRow", value=type(source).__name__)


def _gathered(rows: Iterator[BatchRow]) -> list[BatchRow]:
    chunk: list[BatchRow] = []
    until = time.monotonic() + _GATHERING
    for row in itertools.islice(rows, _CHUNK):
        chunk.append(row)
        if time.monotonic() >= until:
            break
    return chunk


def _checked(row: object) -> BatchRow:
    if not isinstance(row, BatchRow):
        raise InvalidInputError("rows", "an iterable or async iterable of BatchRow", value=type(row).__name__)
    return row
