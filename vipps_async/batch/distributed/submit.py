"""Puts a checked file into the database: its rows, its chunks and their jobs in one transaction, each file once."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import zlib
from collections.abc import Iterator

import orjson
from attrs import frozen
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from vipps_async.batch.amounts import Unit
from vipps_async.batch.distributed import sql as statements
from vipps_async.batch.distributed.chunks import FINAL
from vipps_async.batch.distributed.database import BatchDatabase
from vipps_async.batch.distributed.jobs import Jobs
from vipps_async.batch.reading import Layout
from vipps_async.batch.worklist import ReportRow, Worklist
from vipps_async.config import Environment
from vipps_async.errors import ConfigurationError

__all__ = ["LARGEST_CHUNK", "Submission", "Submitted", "chunk_size", "submit"]

#: Rows of a chunk: what a worker does in some seconds, and what is looked up again when it dies. Less in a small batch,
#: so that there is something for each of many workers; but never so few that taking a chunk costs more than its rows.
LARGEST_CHUNK, _SMALLEST_CHUNK, _CHUNKS_AT_LEAST = 1000, 50, 32
#: Rows read from the file's database at a time, and jobs queued in one statement.
_PAGE = 1000


def chunk_size(rows: int) -> int:
    """Return how many rows a chunk has in a batch of so many, about."""
    return max(_SMALLEST_CHUNK, min(LARGEST_CHUNK, rows // _CHUNKS_AT_LEAST))


@frozen(kw_only=True)
class Submission:
    """How a file is submitted."""

    layout: Layout
    merchant_serial_number: str
    environment: Environment
    #: Rows a second over all workers; None: as many as Vipps takes.
    rate: float | None = None
    #: Releases what is left of partly captured payments (a cancel).
    release_remaining: bool = False
    #: Makes another batch although there is one of this file.
    another: bool = False
    #: Rows of a chunk, about; None: by the size of the file.
    chunk_size: int | None = None

    def options(self, unit: Unit | None) -> str:
        """Return what, beside its bytes, says what the file means; `unit`: what its amounts are counted in."""
        text = self.layout.transaction_text
        facts = {
            "unit": None if unit is None else unit.value,
            "text": None if text is None else hashlib.sha256(text.encode()).hexdigest(),
            "release_remaining": self.release_remaining,
        }
        return orjson.dumps(facts, option=orjson.OPT_SORT_KEYS).decode()


@frozen(kw_only=True)
class Submitted:
    """What came of it."""

    batch: int
    #: Whether it was made now; else there was one of this file.
    is_new: bool
    #: How many chunks were queued now: all, or of an older batch those with rows that another try may settle.
    chunks: int


async def submit(database: BatchDatabase, worklist: Worklist, submission: Submission) -> Submitted:
    """Put a file there and queue its chunks; find it if it is there. Safe on several machines at once.

    Rows of one order are always in one chunk, and so never run at the same time.

    Args:
        database: open.
        worklist: the file, loaded: rows that are invalid are kept for the report, and not carried out.
        submission: how.

    Raises:
        ConfigurationError: the file was submitted to mean something else, or the schema has batches of the other
            environment.
        JournalError: the database failed; nothing was put there.
    """
    operation, msn = submission.layout.operation, submission.merchant_serial_number
    identity = (worklist.digest, operation.value, msn)
    meaning = submission.options(worklist.unit)
    async with database.transaction(is_long=True) as connection:
        # One at a time, in any environment: the first batch of a schema says which one it is for.
        await connection.execute(statements.LOCK_SUBMISSION, (database.schema,))
        await _check_environment(connection, database, submission.environment)
        known = await (await connection.execute(database.sql(statements.FIND_BATCHES), identity)).fetchall()
        if known and not submission.another:
            batch, _, options = known[0]
            if options != meaning:
                raise ConfigurationError(
                    f"this very file is batch {batch}, but there its amounts or texts were read in another way",
                    advice="submit it with the same options; --another makes a second batch, whose rows that were "
                    "done before are refused or found done",
                )
            return await _reopen(connection, database, batch, msn)
        edition = known[0][1] + 1 if known else 0
        values = (
            operation.value,
            worklist.digest,
            edition,
            msn,
            submission.environment.value,
            meaning,
            submission.release_remaining,
            submission.rate,
        )
        ((batch,),) = await (await connection.execute(database.sql(statements.ADD_BATCH), values)).fetchall()
        chunks = await _copy(connection, database, batch, worklist, submission.chunk_size)
        await connection.execute(database.sql(statements.ADD_CHUNKS), (batch, chunks))
        await _queue(connection, database, batch, chunks, msn)
    return Submitted(batch=batch, is_new=True, chunks=len(chunks))


async def _check_environment(
    connection: AsyncConnection[TupleRow], database: BatchDatabase, environment: Environment
) -> None:
    statement = database.sql(statements.OTHER_ENVIRONMENT)
    other = await (await connection.execute(statement, (environment.value,))).fetchone()
    if other is not None:
        # What is done in one is not done in the other, and their journal would be the same.
        raise ConfigurationError(
            f"the schema {database.schema} has batches of the {other[0]} environment, and this is the "
            f"{environment.value} environment",
            advice="name another one with --schema",
        )


async def _reopen(connection: AsyncConnection[TupleRow], database: BatchDatabase, batch: int, msn: str) -> Submitted:
    found = await (await connection.execute(database.sql(statements.REOPEN), (batch, FINAL))).fetchall()
    chunks = sorted(number for (number,) in found)
    await _queue(connection, database, batch, chunks, msn)
    return Submitted(batch=batch, is_new=False, chunks=len(chunks))


async def _queue(
    connection: AsyncConnection[TupleRow],
    database: BatchDatabase,
    batch: int,
    chunks: list[int],
    msn: str,
) -> None:
    jobs = Jobs.detached()
    for begin in range(0, len(chunks), _PAGE):
        page = chunks[begin : begin + _PAGE]
        ids = await jobs.defer(connection, batch, page, merchant_serial_number=msn)
        await connection.execute(database.sql(statements.NOTE_JOBS), (page, ids, batch))


async def _copy(
    connection: AsyncConnection[TupleRow], database: BatchDatabase, batch: int, worklist: Worklist, size: int | None
) -> list[int]:
    totals = await asyncio.to_thread(worklist.totals)
    good = totals.rows - totals.bad
    count = max(1, -(-good // (size or chunk_size(good))))
    used: set[int] = set()
    rows = enumerate(worklist.report(), start=1)
    async with connection.cursor() as cursor, cursor.copy(database.sql(statements.COPY_ROWS)) as copy:
        while page := await asyncio.to_thread(_page, rows):
            for number, row in page:
                chunk = None if row.flaw is not None else zlib.crc32(row.order_id.encode()) % count
                if chunk is not None:
                    used.add(chunk)
                await copy.write_row((batch, number, chunk, row.line, *_facts(row)))
    return sorted(used)


def _page(rows: Iterator[tuple[int, ReportRow]]) -> list[tuple[int, ReportRow]]:
    return list(itertools.islice(rows, _PAGE))


def _facts(row: ReportRow) -> tuple[object, ...]:
    return (row.order_id, row.amount, row.transaction_text, row.reference, row.flaw)
