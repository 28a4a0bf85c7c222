"""Notes every operation that moves money in a journal before it leaves, and its outcome afterwards."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator
from typing import Any, NoReturn, TypeVar, cast

from attrs import evolve

from vipps_async.core.clock import Clock
from vipps_async.core.converter import decode, encode
from vipps_async.core.events import EventLog
from vipps_async.core.operation import Call, Finding, SettledBy
from vipps_async.core.pipeline import Pipeline, render
from vipps_async.core.recorded_refusal import is_lasting, read_refusal_record, write_refusal_record
from vipps_async.errors import (
    ApiError,
    Effect,
    IdempotencyMismatchError,
    JournalError,
    OrderLockedError,
    PaymentUrlLostError,
    RequestNotSent,
    VippsError,
)
from vipps_async.idempotency_keys import new_idempotency_key
from vipps_async.journals.protocol import Entry, Intent, Journal, Outcome, Settlement, Standing

__all__ = ["JournalledRunner", "mark_settled_by"]

R = TypeVar("R")

#: How much longer than a call's deadline its intent belongs to its owner, as a share of it: for writing the outcome
#: down, and for a machine that was busy.
_LEASE_MARGIN = 0.5


class JournalledRunner:
    """Runs calls through the pipeline, with a durable note before and after.

    The order of things is what makes money safe: nothing leaves before its intent is durable, and an intent stays open
    until its outcome is known.
    """

    def __init__(self, pipeline: Pipeline, journal: Journal, *, merchant_serial_number: str, deadline: float) -> None:
        """Put a journal before a pipeline.

        Args:
            pipeline: carries the calls out.
            journal: keeps the notes; it is opened before the first one.
            merchant_serial_number: the sales unit.
            deadline: the longest that one call can take, in seconds: so long an intent belongs to its owner.
        """
        self._pipeline = pipeline
        self._journal = journal
        self._merchant_serial_number = merchant_serial_number
        self._deadline = deadline
        self._lease = deadline * (1 + _LEASE_MARGIN)
        self._opening = asyncio.Lock()
        self._opened = False
        self._owns_journal = False
        self._clock: Clock = pipeline.clock
        self._log: EventLog = pipeline.log

    async def open(self) -> None:
        """Open the journal, unless its owner has done so already. A second call does nothing.

        Raises:
            JournalError: it cannot be opened.
        """
        async with self._opening:
            if self._opened:
                return
            owns = not self._journal.is_open
            await self._journal.open()
            self._owns_journal, self._opened = owns, True

    async def aclose(self) -> None:
        """Close the journal if it was opened here, else only make durable what has been noted."""
        if not self._opened:
            return
        if self._owns_journal:
            await self._journal.aclose()
        elif self._journal.is_open:
            await self._journal.flush()

    async def run(self, call: Call[R]) -> R:
        """Carry the call out, once for all time under its key.

        Raises:
            JournalError: the intent could not be made durable; nothing was sent.
            IdempotencyMismatchError: the journal has this key with another payload; nothing was sent.
            OrderLockedError: another worker has this very operation in hand; nothing was sent.
            VippsError: as the pipeline raises it, or as it was recorded for this key.
        """
        if call.note is None:
            return await self._pipeline.run(call)
        if not self._opened:
            await self.open()
        body = render(call)
        intent = self._intent(call, body)
        # One owner for each call, not each session: of two tasks with the same key, too, only one goes on.
        owner = uuid.uuid4().hex
        standing, entry = await self._journal.begin(intent, owner=owner, lease=self._lease)
        if standing is Standing.MINE:
            return await self.send(call, body, entry.intent, owner=owner)
        return self._on_record(call, standing, entry)

    async def open_entries(self) -> AsyncIterator[Entry]:
        """Go through the open entries of this sales unit, oldest first."""
        await self.open()
        async for entry in self._journal.open_entries(merchant_serial_number=self._merchant_serial_number):
            yield entry

    async def flush(self) -> None:
        """Return when all that was noted is durable."""
        await self._journal.flush()

    async def ask(self, call: Call[R]) -> Finding[R]:
        """Ask whether a call took effect; see `Pipeline.ask`."""
        return await self._pipeline.ask(call, within=self._deadline)

    async def claim(self, intent: Intent) -> tuple[Standing, Entry, str]:
        """Take an open entry in hand for recovery; also returns the owner's name to go on with."""
        owner = uuid.uuid4().hex
        standing, entry = await self._journal.claim(intent, owner=owner, lease=self._lease)
        return standing, entry, owner

    def _on_record(self, call: Call[R], standing: Standing, entry: Entry) -> R:
        intent = entry.intent
        if standing is Standing.MISMATCH:
            self._raise(
                call,
                IdempotencyMismatchError(
                    f"the journal has this idempotency key since {intent.created_at:%Y-%m-%d %H:%M:%S} UTC "
                    "with another payload",
                    status=0,
                ),
            )
        settlement = entry.settlement
        if standing is Standing.TAKEN or settlement is None:
            error = OrderLockedError("another worker has this very operation in hand", status=0, retryable=True)
            error.effect = Effect.POSSIBLE
            self._raise(call, error)
        if settlement.outcome is Outcome.REFUSED:
            self._raise(call, read_refusal_record(settlement))
        result = decode(settlement.answer, call.operation.result)
        return mark_settled_by(result, SettledBy.JOURNAL)

    @staticmethod
    def _raise(call: Call[Any], error: VippsError) -> NoReturn:
        error.operation = call.operation.name
        error.order_id = call.order_id
        error.idempotency_key = call.idempotency_key
        raise error

    def _intent(self, call: Call[Any], body: bytes | None) -> Intent:
        assert call.note is not None  # noqa: S101 - for the type checker; `run` has looked
        return Intent(
            key=call.idempotency_key or new_idempotency_key(),
            operation=call.operation.name,
            order_id=call.order_id or "",
            merchant_serial_number=self._merchant_serial_number,
            amount=call.note.amount,
            transaction_text=call.note.transaction_text,
            digest=hashlib.sha256(body or b"").hexdigest(),
            body=body if call.note.keep_body else None,
            created_at=self._clock.now(),
        )

    async def send(self, call: Call[R], body: bytes | None, intent: Intent, *, owner: str) -> R:
        """Send a call whose intent is durable and in our hands, and note what came of it."""
        try:
            result = await self._pipeline.run_rendered(call, body)
        except VippsError as error:
            await self._note_failure(call, intent, error, owner)
            raise
        except BaseException as error:
            # Cancelled, or a mistake in a program: what it did at Vipps is not known, so the entry stays open. A second
            # cancellation may cut this short; then the lease runs out by itself.
            await self.release(call, intent, f"ended by {type(error).__name__}", owner=owner)
            raise
        await self.settle(call, intent, Outcome.DONE, self.answer(call, result), owner=owner)
        return result

    @staticmethod
    def answer(call: Call[R], result: R) -> bytes:
        """Render what the journal keeps of a result."""
        # The answer of initiate holds a token in its URL; that it was answered is all that recovery needs to know.
        return encode(result) if call.note is not None and call.note.keep_answer else b"{}"

    async def _note_failure(self, call: Call[Any], intent: Intent, error: VippsError, owner: str) -> None:
        outcome = self.outcome_of(error)
        if outcome is None:
            await self.release(call, intent, error.message, owner=owner)
        else:
            record = write_refusal_record(error) if isinstance(error, ApiError) else b""
            await self.settle(call, intent, outcome, record, owner=owner)

    @staticmethod
    def outcome_of(error: VippsError) -> Outcome | None:
        """Tell what an error says about the outcome; None: it is not known, or there is more to do."""
        if isinstance(error, RequestNotSent):
            return Outcome.NOT_DONE
        if isinstance(error, ApiError) and error.effect is Effect.NONE and not isinstance(error, PaymentUrlLostError):
            return Outcome.REFUSED if is_lasting(error) else Outcome.NOT_DONE
        return None

    async def settle(self, call: Call[Any], intent: Intent, outcome: Outcome, answer: bytes, *, owner: str) -> None:
        """Note a known outcome. A journal that fails now must not hide it from the caller: the entry stays open."""
        settlement = Settlement(outcome=outcome, answer=answer, settled_at=self._clock.now())
        try:
            await self._journal.settle(intent, settlement, owner=owner)
        except JournalError as error:
            self._log.journal_failed(call, error)

    async def release(self, call: Call[Any], intent: Intent, note: str, *, owner: str) -> None:
        """Leave an entry open, with the reason, for anyone to go on with."""
        try:
            await self._journal.release(intent, note=note, owner=owner)
        except JournalError as error:
            self._log.journal_failed(call, error)


def mark_settled_by(result: R, how: SettledBy) -> R:
    """Say in a result how it became known, if its class can say so."""
    if not hasattr(result, "settled_by"):
        return result
    return cast("R", evolve(cast("Any", result), settled_by=how))
