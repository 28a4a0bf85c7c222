"""Chunks in the database: claim, heartbeat, save results, finish, requeue. Only the current owner may write."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

from attrs import frozen
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from vipps_async.apis import APIS, IN_OTHER_CURRENCIES, payment_api
from vipps_async.batch import report as stored
from vipps_async.batch.distributed import OtherSettingsError, jobs
from vipps_async.batch.distributed import sql as statements
from vipps_async.batch.distributed.database import BatchDatabase
from vipps_async.batch.distributed.fence import STALE_AFTER, Fence, now
from vipps_async.batch.results import RowResult
from vipps_async.batch.row_store import Sibling
from vipps_async.core.batch import BatchOperation, BatchRow
from vipps_async.core.payment_api import PaymentApi
from vipps_async.errors import InvalidInputError, JournalError

#: How often rows that did not end for good are tried, the first time included; as in a batch on one machine.
ROUNDS = 3

#: How many looks in a row may find a job in work and its chunk not: between the two lie some milliseconds.
_MOST_SUSPICION = 3

#: A batch and a chunk.
_Place = tuple[int, int]
_BEFORE_ALL: _Place = (0, -1)

#: Chunks that are queued anew in one transaction.
PAGE = 100

#: The longest note that is kept, in characters.
_LONGEST_NOTE = 500


class LostError(JournalError):
    """The chunk has another owner now: nothing more may be written or sent for it."""


@frozen(kw_only=True)
class ClaimedChunk:
    """A claimed chunk, with the settings of its batch."""

    batch: int
    chunk: int
    fence: Fence
    #: What it goes over, in the batch's currency.
    api: PaymentApi
    operation: BatchOperation
    merchant_serial_number: str
    digest: str
    #: Whether the batch releases what is left of partly captured payments (a cancel).
    release_remaining: bool
    #: Rows a second over all workers; None: any number.
    rate: float | None
    #: When the batch was submitted; aware, UTC.
    submitted_at: datetime
    #: Whether somebody has worked on it before.
    again: bool


@frozen
class ChunkRow:
    """A row of a chunk."""

    row: BatchRow
    #: Whether it was said to be another one than what it looks like.
    another: bool


@frozen
class Chunks:
    """The chunks in one database."""

    database: BatchDatabase

    async def claim(
        self, batch: int, chunk: int, *, owner: str, merchant_serial_number: str, environment: str, base_url: str
    ) -> ClaimedChunk | None:
        """Take a chunk, unless it has ended or another worker has it and is alive.

        Args:
            batch: its batch.
            chunk: its number.
            owner: the name of the worker, for people.
            merchant_serial_number: the sales unit that the worker has the keys of.
            environment: which Vipps it talks to.
            base_url: the host that it talks to.

        Raises:
            OtherSettingsError: the batch is of another sales unit, environment, host or API.
            JournalError: the database failed.
        """
        asked_at = now()
        async with self.database.transaction() as connection:
            found = await self.database.run(connection, statements.CHUNK, (STALE_AFTER, batch, chunk))
            if not found:
                return None
            (row,) = found
            state, epoch, stale, api, operation, digest, msn, place, host, release, rate, created_at, withdrawn = row
            if (msn, place, host) != (merchant_serial_number, environment, base_url):
                raise OtherSettingsError(
                    f"batch {batch} is of sales unit {msn} in the {place} environment at {host}, and this worker of "
                    f"{merchant_serial_number} in the {environment} environment at {base_url}",
                    advice="run a worker with the settings that the batch was submitted with",
                )
            if api not in APIS and api not in IN_OTHER_CURRENCIES:
                raise OtherSettingsError(
                    f"batch {batch} goes over the API {api}, which this version does not know",
                    advice="run a worker of the version that submitted it, or of a newer one",
                )
            if withdrawn or state == "ended" or (state == "running" and not stale):
                return None
            await self.database.run(connection, statements.CLAIM, (owner, batch, chunk))
        condition = statements.STILL_OWNER.replace("{schema}", f'"{self.database.schema}"').encode()
        return ClaimedChunk(
            batch=batch,
            chunk=chunk,
            fence=Fence.around(batch, chunk, epoch + 1, statement=condition, asked_at=asked_at),
            api=payment_api(api),
            operation=BatchOperation(operation),
            merchant_serial_number=msn,
            digest=digest,
            release_remaining=release,
            rate=rate,
            submitted_at=created_at.astimezone(UTC),
            again=epoch > 0,
        )

    async def heartbeat(self, fence: Fence) -> bool:
        """Show that the worker is alive, and learn whether the chunk is still its own.

        Returns:
            Whether its batch was withdrawn: nothing more of it is to be begun.

        Raises:
            LostError: it is not.
            JournalError: the database failed.
        """
        asked_at = now()
        async with self.database.transaction() as connection:
            found = await self.database.run(connection, statements.HEARTBEAT, (fence.batch, fence.chunk, fence.epoch))
            if not found:
                raise _lost(fence)
        fence.confirmed(asked_at)
        return bool(found[0][0])

    async def rows(self, claim: ClaimedChunk) -> list[ChunkRow]:
        """Return the rows of a chunk that have not ended for good, in the file's order.

        Raises:
            JournalError: the database failed.
        """
        found = await self.database.rows(statements.CHUNK_ROWS, (claim.batch, claim.chunk, stored.FINAL))
        rows = []
        for values in found:
            try:
                row = stored.batch_row(claim.digest, values)
            except InvalidInputError as error:
                # It was put there by somebody else, or by a version with other rules: it must not keep the others.
                spoilt = (error.message, claim.batch, values[0], claim.chunk)
                await self.database.rows(statements.SPOIL_ROW, spoilt)
            else:
                rows.append(ChunkRow(row, values[-1]))
        return rows

    async def rows_of_payments(self, claim: ClaimedChunk) -> dict[str, list[Sibling]]:
        """Return all rows of a chunk, ended or not, by payment: all of a payment are in one chunk.

        Raises:
            JournalError: the database failed.
        """
        found: dict[str, list[Sibling]] = {}
        for payment, *sibling in await self.database.rows(statements.SIBLINGS, (claim.batch, claim.chunk)):
            number, reference = sibling
            found.setdefault(payment, []).append((number, reference))
        return found

    async def save(self, claim: ClaimedChunk, results: Sequence[RowResult]) -> None:
        """Note what became of rows.

        Raises:
            LostError: the chunk is another worker's now; nothing was noted.
            JournalError: the database failed.
        """
        if not results:
            return
        async with self.database.transaction() as connection:
            condition = claim.fence.condition
            if await (await connection.execute(condition.statement, condition.values)).fetchone() is None:
                raise _lost(claim.fence)
            await self._save(connection, claim, results)

    async def finish(
        self,
        claim: ClaimedChunk,
        results: Sequence[RowResult],
        *,
        note: str = "",
        wait: float = 0.0,
        counts: bool = True,
    ) -> bool:
        """Note the last results, and end the chunk, or queue it again for the rows that are left.

        Args:
            claim: the chunk.
            results: what is not saved yet.
            note: what kept rows from ending, for people.
            wait: for how many seconds it should rest if rows are left.
            counts: whether this was one of the tries that it has; not if it was interrupted.

        Returns:
            Whether it has ended.

        Raises:
            LostError: the chunk is another worker's now; nothing was noted.
            JournalError: the database failed.
        """
        batch, chunk, fence = claim.batch, claim.chunk, claim.fence
        async with self.database.transaction() as connection:
            found = await self.database.run(connection, statements.LOCK_CHUNK, (batch, chunk, fence.epoch))
            if not found:
                raise _lost(fence)
            await self._save(connection, claim, results)
            ((rows,),) = await self.database.run(connection, statements.ROWS_LEFT, (batch, chunk, stored.FINAL))
            tries = found[0][0] + counts
            ended = not rows or tries >= ROUNDS or found[0][1]
            values = ("ended" if ended else "waiting", tries, note[:_LONGEST_NOTE] if rows else "", batch, chunk)
            await self.database.run(connection, statements.PUT_BACK, values)
            if not ended:
                await self._queue(connection, batch, chunk, claim.merchant_serial_number, wait=wait, first=not counts)
        return ended

    async def _save(
        self, connection: AsyncConnection[TupleRow], claim: ClaimedChunk, results: Sequence[RowResult]
    ) -> None:
        if results:
            columns = [list(column) for column in zip(*(_values(result, claim) for result in results), strict=True)]
            await self.database.run(connection, statements.SAVE_RESULTS, (*columns, claim.batch))

    async def _queue(
        self,
        connection: AsyncConnection[TupleRow],
        batch: int,
        chunk: int,
        merchant_serial_number: str,
        *,
        first: bool = True,
        wait: float = 0.0,
    ) -> None:
        job = await jobs.ensure(
            connection, batch, chunk, merchant_serial_number=merchant_serial_number, first=first, wait=wait
        )
        if job is not None:
            await self.database.run(connection, statements.NOTE_JOBS, ([chunk], [job], batch))

    # --- chunks whose worker is gone -------------------------------------------------------------------------------

    async def requeue_abandoned(self) -> int:
        """Queue chunks whose worker has given no sign of life, and such as no job is left for; returns how many.

        Raises:
            JournalError: the database failed.
        """
        return await self._page_by_page(self._requeue_abandoned) + await self._page_by_page(self._requeue_jobless)

    async def _page_by_page(
        self, requeue: Callable[[tuple[int, int]], Awaitable[tuple[int, tuple[int, int] | None]]]
    ) -> int:
        # In small transactions: after an outage there may be thousands, and each one locks its chunk.
        count, after = 0, _BEFORE_ALL
        while True:
            requeued, last = await requeue(after)
            count += requeued
            if last is None:
                return count
            after = last

    async def _requeue_abandoned(self, after: _Place) -> tuple[int, _Place | None]:
        async with self.database.transaction() as connection:
            found = await self.database.run(connection, statements.ABANDONED_CHUNKS, (STALE_AFTER, *after, PAGE))
            for batch, chunk, msn in found:
                await self.database.run(connection, statements.GIVE_AWAY, (batch, chunk))
                await self._queue(connection, batch, chunk, msn)
        return len(found), (found[-1][0], found[-1][1]) if len(found) == PAGE else None

    async def _requeue_jobless(self, after: _Place) -> tuple[int, _Place | None]:
        count = 0
        async with self.database.transaction() as connection:
            found = await self.database.run(connection, statements.LOST_JOBS, (*after, PAGE))
            for batch, chunk, msn, in_work, _ in found:
                if in_work and not await self._is_suspect(connection, batch, chunk):
                    continue
                await self._queue(connection, batch, chunk, msn)
                count += 1
        return count, (found[-1][0], found[-1][1]) if len(found) == PAGE else None

    async def give_up_job(self, batch: int, chunk: int) -> bool:
        """Queue a chunk whose job has no worker any more, unless it needs none; returns whether that job is done with.

        Raises:
            JournalError: the database failed.
        """
        async with self.database.transaction() as connection:
            found = await self.database.run(connection, statements.CHUNK, (STALE_AFTER, batch, chunk))
            if not found or found[0][0] == "ended":
                return True
            if found[0][0] == "running":
                # Its own sign of life decides; if there is none, the next look at it finds it waiting.
                return False
            await self._queue(connection, batch, chunk, found[0][6])
        return True

    async def _is_suspect(self, connection: AsyncConnection[TupleRow], batch: int, chunk: int) -> bool:
        """Tell whether a job has been in work for several looks, while its chunk was not."""
        ((suspicion,),) = await self.database.run(connection, statements.SUSPECT, (batch, chunk))
        return int(suspicion) >= _MOST_SUSPICION


def _lost(fence: Fence) -> LostError:
    fence.is_lost = True
    return LostError(f"chunk {fence.chunk} of batch {fence.batch} went to another worker")


def _values(result: RowResult, claim: ClaimedChunk) -> tuple[object, ...]:
    # A chunk that is run again finds done what its first worker did: that was this batch, by Vipps' own time.
    own = claim.again and result.time is not None and result.time >= claim.submitted_at
    return (*stored.result_values(result), own)
