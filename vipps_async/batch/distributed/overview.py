"""The state of a distributed batch: its sums, its chunks, and its report row by row."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import orjson
from attrs import frozen

from vipps_async.batch.distributed import sql as statements
from vipps_async.batch.distributed.database import BatchDatabase
from vipps_async.batch.report import ReportRow, Totals, report_row, totals_of
from vipps_async.batch.tables import FileStyle
from vipps_async.core.batch import BatchOperation
from vipps_async.core.payment_api import Unit
from vipps_async.errors import ConfigurationError


@frozen(kw_only=True)
class BatchStatus:
    """A batch as it is now."""

    batch: int
    """Its number."""
    api: str
    """The name of the API that it goes over."""
    operation: BatchOperation
    """What is done with each row."""
    merchant_serial_number: str
    """The sales unit."""
    environment: str
    """``"test"`` or ``"production"``."""
    digest: str
    """The SHA-256 of its file, in hexadecimal."""
    unit: Unit | None
    """What its amounts are counted in; None: it has none."""
    style: FileStyle
    """How its file is written."""
    rate: float | None
    """Rows a second over all workers; None: as many as Vipps takes."""
    submitted_at: datetime
    """Aware, UTC."""
    withdrawn_at: datetime | None
    """Aware, UTC; None: it was not withdrawn."""
    totals: Totals
    """How many rows ended how, and the sums."""
    waiting: int
    """Chunks that wait."""
    running: int
    """Chunks that are in work."""
    ended: int
    """Chunks that have ended."""
    workers: int
    """Workers that have chunks in work."""
    note: str
    """What kept a chunk from ending, if anything did."""

    @property
    def is_ended(self) -> bool:
        """Whether nothing of it will be tried any more, unless it is submitted again."""
        return not self.waiting and not self.running


async def status_of(database: BatchDatabase, batch: int) -> BatchStatus:
    """Add everything up; takes about a second for a million rows.

    Raises:
        ConfigurationError: there is no such batch.
        JournalError: the database failed.
    """
    async with database.transaction(is_long=True) as connection:
        found = await database.run(connection, statements.BATCHES, (batch,))
        if not found:
            text = f"there is no batch {batch} in the schema {database.schema}"
            raise ConfigurationError(text, advice="see what `batch submit` said, and which --schema it was given")
        (counts,) = await database.run(connection, statements.CHUNK_COUNTS, (batch,))
        sums = await database.run(connection, statements.TOTALS, (batch,))
        refusals = await database.run(connection, statements.REFUSALS, (batch,))
    _, api, operation, msn, environment, digest, rate, created_at, withdrawn_at, options = found[0]
    given = orjson.loads(options)
    waiting, running, ended, workers, note = counts
    return BatchStatus(
        batch=batch,
        api=api,
        operation=BatchOperation(operation),
        merchant_serial_number=msn,
        environment=environment,
        digest=digest,
        unit=None if given["unit"] is None else Unit(**given["unit"]),
        style=FileStyle(**given["style"]),
        rate=rate,
        submitted_at=created_at.astimezone(UTC),
        withdrawn_at=None if withdrawn_at is None else withdrawn_at.astimezone(UTC),
        totals=totals_of(sums, refusals),
        waiting=waiting,
        running=running,
        ended=ended,
        workers=workers,
        note=note,
    )


async def open_elsewhere(database: BatchDatabase, merchant_serial_number: str) -> dict[str, int]:
    """Return how many batches of other sales units have not ended, by sales unit.

    Raises:
        JournalError: the database failed.
    """
    found = await database.rows(statements.OPEN_ELSEWHERE, (merchant_serial_number,))
    return dict(found)


async def withdraw(database: BatchDatabase, batch: int) -> BatchStatus:
    """Begin nothing more of a batch; what is on its way is finished. Safe to do twice.

    Returns:
        The batch as it is then: chunks may be in work for some seconds more.

    Raises:
        ConfigurationError: there is no such batch.
        JournalError: the database failed; do it again.
    """
    async with database.transaction() as connection:
        if await database.run(connection, statements.WITHDRAW, (batch,)):
            await database.run(connection, statements.END_WAITING, (batch,))
    return await status_of(database, batch)


def report_of(database: BatchDatabase, batch: int) -> Iterator[ReportRow]:
    """Go through all rows, invalid ones included, in the file's order. Blocking: for a thread.

    Raises:
        JournalError: the database failed.
    """
    return map(report_row, database.stream(statements.REPORT, (batch,)))
