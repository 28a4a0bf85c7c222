"""Puts a checked file into the database: its rows, its chunks and their jobs in one transaction, each file once."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import time
import zlib
from collections.abc import Iterator, Sequence

import orjson
from attrs import asdict, frozen
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from vipps_async.apis import name_with_currency
from vipps_async.batch.distributed import OtherSettingsError, SubmissionUnknownError, jobs
from vipps_async.batch.distributed import sql as statements
from vipps_async.batch.distributed.database import BatchDatabase
from vipps_async.batch.layout import Layout
from vipps_async.batch.report import FINAL, HeldRow, ReportRow, held_rows
from vipps_async.batch.results import RowOutcome
from vipps_async.batch.row_store import RowStore
from vipps_async.batch.tables import FileStyle
from vipps_async.config import Environment
from vipps_async.core.batch import BatchOperation
from vipps_async.core.payment_api import Unit
from vipps_async.errors import ConfigurationError, JournalError

#: Rows of a chunk: what a worker does in some seconds, and what is looked up again when it dies. Less in a small batch,
#: so that there is something for each of many workers; but never so few that taking a chunk costs more than its rows.
LARGEST_CHUNK, _SMALLEST_CHUNK, _CHUNKS_AT_LEAST = 1000, 50, 32
#: Rows read from the file's database at a time, and jobs queued in one statement.
_PAGE = 1000


#: For how long the database is asked whether a batch is there, and how often, in seconds.
_PATIENCE, _TRY_EVERY = 30.0, 0.5


def chunk_size(rows: int) -> int:
    """Return how many rows a chunk has in a batch of so many, about."""
    return max(_SMALLEST_CHUNK, min(LARGEST_CHUNK, rows // _CHUNKS_AT_LEAST))


@frozen(kw_only=True)
class Submission:
    """How a file is submitted."""

    layout: Layout
    """What the columns of the file mean."""
    merchant_serial_number: str
    """The sales unit."""
    environment: Environment
    """Which Vipps."""
    base_url: str
    """The host that the batch is carried out at."""
    released: Sequence[str] = ()
    """Payments whose rows are other ones than what they meet."""
    rate: float | None = None
    """Rows a second over all workers; None: as many as Vipps takes."""
    release_remaining: bool = False
    """Releases what is left of partly captured payments (a cancel)."""
    new_batch: bool = False
    """Makes another batch although there is one of this file."""
    chunk_size: int | None = None
    """Rows of a chunk, about; None: by the size of the file."""

    def options(self, unit: Unit | None, style: FileStyle) -> str:
        """Return what, beside its bytes, says what the file means, as JSON.

        Args:
            unit: what its amounts are counted in.
            style: how it is written, as its report will be.
        """
        text = self.layout.text
        facts = {
            "unit": None if unit is None else asdict(unit),
            "text": None if text is None else hashlib.sha256(text.encode()).hexdigest(),
            "release_remaining": self.release_remaining,
            "columns": dict(self.layout.columns),
            "style": asdict(style),
        }
        return orjson.dumps(facts, option=orjson.OPT_SORT_KEYS).decode()


@frozen(kw_only=True)
class Submitted:
    """What came of it."""

    batch: int
    """The batch's number."""
    is_new: bool
    """Whether it was made now; else there was one of this file."""
    chunks: int
    """How many chunks were queued now: all, or of an older batch those with rows that another try may settle."""
    held: list[HeldRow]
    """The first rows that are held."""
    held_count: int
    """How many rows are held."""


async def submit(database: BatchDatabase, store: RowStore, submission: Submission) -> Submitted:
    """Put a file there and queue its chunks; find it if it is there. Safe on several machines at once.

    Rows of one payment are always in one chunk, and so never run at the same time.

    Args:
        database: open.
        store: the file, loaded: rows that are invalid are kept for the report, and not carried out.
        submission: how.

    Raises:
        ConfigurationError: the file was submitted to mean something else.
        JournalError: the database failed; nothing was put there.
        SubmissionUnknownError: the database failed in the last moment, and does not say whether the batch is there.
        OtherSettingsError: the schema has batches of another environment or host.
    """
    made: list[Submitted] = []
    try:
        await _put(database, store, submission, made)
    except JournalError as error:
        # Before COMMIT was sent nothing can be there. After that the database has to say.
        if not made:
            raise
        await _make_sure(database, store, submission, made[0], error)
    return made[0]


async def _put(database: BatchDatabase, store: RowStore, submission: Submission, made: list[Submitted]) -> None:
    """Do all of it in one transaction; `made` gets the result before that is committed."""
    msn = submission.merchant_serial_number
    identity = (store.digest, name_with_currency(submission.layout.api), submission.layout.operation.value, msn)
    meaning = submission.options(store.unit, store.style)
    async with database.transaction(is_long=True) as connection:
        # One at a time, in any environment: the first batch of a schema says which one it is for.
        await connection.execute(statements.LOCK_SUBMISSION, (database.schema,))
        await check_world(connection, database, submission.environment, submission.base_url)
        known = await database.run(connection, statements.FIND_BATCHES, (*identity, False))
        if known and not submission.new_batch:
            batch, _, options = known[0]
            if options != meaning:
                raise ConfigurationError(
                    f"this very file is batch {batch}, but there its amounts or texts were read in another way",
                    advice="submit it with the same options; --new-batch makes a second one, whose rows that were "
                    "done before are refused or found done",
                )
            made.append(await _reopen(connection, database, batch, submission))
            return
        earlier = await database.run(connection, statements.FIND_BATCHES, (*identity, True))
        made.append(await _add(connection, database, store, submission, earlier[0][1] + 1 if earlier else 0))


async def _add(
    connection: AsyncConnection[TupleRow],
    database: BatchDatabase,
    store: RowStore,
    submission: Submission,
    edition: int,
) -> Submitted:
    operation, msn = submission.layout.operation, submission.merchant_serial_number
    values = (
        store.digest,
        name_with_currency(submission.layout.api),
        operation.value,
        msn,
        edition,
        submission.environment.value,
        submission.base_url,
        submission.options(store.unit, store.style),
        submission.release_remaining,
        submission.rate,
    )
    ((batch,),) = await database.run(connection, statements.ADD_BATCH, values)
    chunks = await _copy(connection, database, batch, store, submission.chunk_size)
    await database.run(connection, statements.ADD_CHUNKS, (batch, chunks))
    await _queue(connection, database, batch, chunks, msn)
    if operation is not BatchOperation.CANCEL:
        await database.run(connection, statements.HOLD_ROWS, (batch, batch))
    return await _submitted(connection, database, batch, chunks, is_new=True)


async def _make_sure(
    database: BatchDatabase, store: RowStore, submission: Submission, made: Submitted, error: JournalError
) -> None:
    """Find out whether a COMMIT that was not answered took effect.

    Raises:
        JournalError: it did not: nothing was submitted.
        SubmissionUnknownError: the database does not say.
    """
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        await asyncio.sleep(_TRY_EVERY)
        try:
            if not made.is_new:
                # Nothing is lost by doing it twice.
                await _put(database, store, submission, [])
                return
            async with database.transaction() as connection:
                # Held by the first transaction until it has ended, one way or the other.
                await connection.execute(statements.LOCK_SUBMISSION, (database.schema,))
                found = await database.run(connection, statements.FIND_BATCH, (made.batch, store.digest))
        except JournalError:
            continue
        if not found:
            raise JournalError(f"{error.message}; nothing was submitted", advice="submit it again") from error
        return
    raise SubmissionUnknownError(
        f"the database does not say whether batch {made.batch} is there ({error.message})",
        advice=f"look with `vipps-async batch status {made.batch}`, or submit the same file again without --new-batch: "
        "if it is there it is found, and not put there twice",
    ) from error


async def check_world(
    connection: AsyncConnection[TupleRow], database: BatchDatabase, environment: Environment, base_url: str
) -> None:
    """Make sure that the batches of a schema belong to one environment and host.

    Raises:
        OtherSettingsError: it has batches of another one.
    """
    other = await database.run(connection, statements.OTHER_WORLD, (environment.value, base_url))
    if other:
        # What is done in one is not done in the other, and their journal would be the same.
        raise OtherSettingsError(
            f"the schema {database.schema} has batches of the {other[0][0]} environment at {other[0][1]}, and this is "
            f"the {environment.value} environment at {base_url}",
            advice="name another schema with --schema, or correct VIPPS_ENVIRONMENT and VIPPS_BASE_URL",
        )


async def _reopen(
    connection: AsyncConnection[TupleRow], database: BatchDatabase, batch: int, submission: Submission
) -> Submitted:
    if submission.released:
        values = (batch, list(submission.released))
        await database.run(connection, statements.RELEASE_ROWS, values)
    found = await database.run(connection, statements.REOPEN, (batch, FINAL))
    chunks = sorted(number for (number,) in found)
    await _queue(connection, database, batch, chunks, submission.merchant_serial_number)
    return await _submitted(connection, database, batch, chunks, is_new=False)


async def _submitted(
    connection: AsyncConnection[TupleRow], database: BatchDatabase, batch: int, chunks: list[int], *, is_new: bool
) -> Submitted:
    held = await database.run(connection, statements.HELD_ROWS, (batch,))
    rows, count = held_rows(held)
    return Submitted(batch=batch, is_new=is_new, chunks=len(chunks), held=rows, held_count=count)


async def _queue(
    connection: AsyncConnection[TupleRow],
    database: BatchDatabase,
    batch: int,
    chunks: list[int],
    msn: str,
) -> None:
    for begin in range(0, len(chunks), _PAGE):
        page = chunks[begin : begin + _PAGE]
        ids = await jobs.defer(connection, batch, page, merchant_serial_number=msn)
        await database.run(connection, statements.NOTE_JOBS, (page, ids, batch))


async def _copy(
    connection: AsyncConnection[TupleRow], database: BatchDatabase, batch: int, store: RowStore, size: int | None
) -> list[int]:
    totals = await asyncio.to_thread(store.totals)
    good = totals.rows - totals.bad
    count = max(1, -(-good // (size or chunk_size(good))))
    used: set[int] = set()
    rows = enumerate(store.report(), start=1)
    async with connection.cursor() as cursor, cursor.copy(database.sql(statements.COPY_ROWS)) as copy:
        while page := await asyncio.to_thread(_page, rows):
            for number, row in page:
                chunk = None if row.violation is not None else zlib.crc32(row.payment.encode()) % count
                if chunk is not None:
                    used.add(chunk)
                held: tuple[str | None, ...] = (None, None, None)
                if row.outcome is RowOutcome.HELD:
                    held = (row.outcome.value, row.reason, None if row.cause is None else row.cause.value)
                await copy.write_row((batch, chunk, *held, number, row.line, *row.asked))
    return sorted(used)


def _page(rows: Iterator[tuple[int, ReportRow]]) -> list[tuple[int, ReportRow]]:
    return list(itertools.islice(rows, _PAGE))
