"""Captures, refunds or cancels many payments: rows in, one result a row out, in constant memory."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TypedDict, Unpack

from attrs import evolve

from vipps_async.batch.engine import Engine, Rows
from vipps_async.batch.refusals import what_is_missing, with_cause_of_refusal, with_what_its_key_did
from vipps_async.batch.results import RowCause, RowOutcome, RowResult, done, failed
from vipps_async.core.batch import BatchOperation, BatchRow
from vipps_async.core.batch_client import BatchClient, SupportsBatch
from vipps_async.core.batch_limit import BatchLimiter
from vipps_async.core.operation import SettledBy
from vipps_async.core.payment_api import Moved, PaymentCommand, PaymentState
from vipps_async.core.rate_limit import RateLimiter, SlotSource
from vipps_async.core.stored_outcome import on_record
from vipps_async.core.undecided import damaged_text
from vipps_async.errors import (
    ApiError,
    CancelError,
    ConfigurationError,
    Effect,
    IdempotencyMismatchError,
    InvalidInputError,
    JournalError,
    OrderNotFoundError,
    VippsError,
)
from vipps_async.journals.entries import Entry, Outcome
from vipps_async.journals.rows import DamagedEntryError
from vipps_async.not_given import NOT_GIVEN

#: Rows at once unless told otherwise: what keeps one core busy at the usual times of an answer.
DEFAULT_CONCURRENCY = 32
#: The most rows at once: as many as the transport has connections.
MOST_AT_ONCE = 100


class ManyOptions(TypedDict, total=False):
    """How fast a batch goes, and what ends it."""

    concurrency: int
    """The most rows at once, 1 to 100; 32 unless told otherwise."""
    rate: float | SlotSource | None
    """The most rows begun a second, or what hands out their slots (`vipps_async.core.rate_limit.SlotSource`); None, the
    default: as many as Vipps' answers allow. Rows that the journal has as done take no slot, as nothing is sent."""
    stop: asyncio.Event | None
    """Once it is set, nothing is begun any more: what is in work is finished, rows that wait for it end as NOT_BEGUN,
    and those behind them get no result."""


def capture_many(api: SupportsBatch, rows: Rows, **options: Unpack[ManyOptions]) -> AsyncGenerator[RowResult, None]:
    """Capture many payments; gives one result for each row, in the order in which they end.

    Rows are read as they are needed, and no faster than results are taken; memory stays the same for any number of
    them. Rows of one payment never run at the same time, and keep their sequence: if one ends as UNKNOWN or NOT_DONE,
    those after it end as NOT_BEGUN, until the rows are run again. It begins slowly, goes as fast as
    Vipps' answers allow, and slows down when they get slower or say that it is too much. No error of a row ends the
    batch. The session should have a journal: with it, rows that an earlier run has finished send nothing.

    Leaving the iteration (`aclose`) finishes what is in work; cancelling it cancels that: then the journal has it open.

    Args:
        api: an API of a session that is open; the session's journal, if it has one, is the batch's.
        rows: what to capture. A blocking iterable, such as one that reads a file, is read in a thread of its own.
        options: see `ManyOptions`.

    Raises:
        InvalidInputError: an argument breaks a rule (at once), or `rows` gives something that is no row.
        TransportError: Vipps has not answered for minutes, or does not accept the keys. Rows without a result were not
            begun.
        ConfigurationError: the session is closed. Rows without a result were not begun.
        JournalError: the journal cannot be written. Rows without a result were not begun.
    """
    return carry_out_many(api, rows, BatchOperation.CAPTURE, **options)


def refund_many(api: SupportsBatch, rows: Rows, **options: Unpack[ManyOptions]) -> AsyncGenerator[RowResult, None]:
    """Refund many payments; everything else is as in `capture_many`."""
    return carry_out_many(api, rows, BatchOperation.REFUND, **options)


def cancel_many(
    api: SupportsBatch, rows: Rows, *, release_remaining: bool = False, **options: Unpack[ManyOptions]
) -> AsyncGenerator[RowResult, None]:
    """Cancel many payments; everything else is as in `capture_many`.

    Vipps refuses the second cancel of a payment, and then its history tells whether it is cancelled: such a row ends as
    FOUND_DONE, whoever has done it.

    Args:
        api: as for `capture_many`.
        rows: as for `capture_many`; none may have an amount.
        release_remaining: releases what is left of partly captured payments, too.
        options: see `ManyOptions`.
    """
    return carry_out_many(api, rows, BatchOperation.CANCEL, release_remaining=release_remaining, **options)


def carry_out_many(
    api: SupportsBatch,
    rows: Rows,
    operation: BatchOperation,
    *,
    release_remaining: bool = False,
    planned: dict[str, int] | None = None,
    leftover: Callable[[RowResult], None] | None = None,
    **options: Unpack[ManyOptions],
) -> AsyncGenerator[RowResult, None]:
    """Do what `capture_many`, `refund_many`, `cancel_many` or, with `planned`, `preview_many` does.

    Args:
        api: as there.
        rows: as there.
        operation: what is done.
        release_remaining: as there.
        planned: for a dry run, what rows so far would take.
        leftover: called, when the iteration ends early, with each result that nobody has taken: UNKNOWN of rows that
            were cut off under way.
        options: as there.
    """
    concurrency, rate = options.get("concurrency", DEFAULT_CONCURRENCY), options.get("rate")
    _check(concurrency, rate)
    batch = _Batch(api.batch, operation, release_remaining=release_remaining, planned=planned)
    return batch.run(rows, concurrency, rate, options.get("stop"), leftover)


def preview_many(
    api: SupportsBatch,
    rows: Rows,
    operation: BatchOperation,
    *,
    release_remaining: bool = False,
    repeated_payments: frozenset[str] = frozenset(),
    **options: Unpack[ManyOptions],
) -> AsyncGenerator[RowResult, None]:
    """Read each payment and say what the batch would do. Nothing is changed at Vipps, nor in the journal.

    Args:
        api: as for `capture_many`.
        rows: as for `capture_many`.
        operation: what the batch would do.
        release_remaining: as for `cancel_many`.
        repeated_payments: those that several rows are about: for them, what the earlier ones would take is counted.
        options: see `ManyOptions`; `rate` limits the questions.
    """
    planned = dict.fromkeys(repeated_payments, 0)
    return carry_out_many(api, rows, operation, release_remaining=release_remaining, planned=planned, **options)


def _check(concurrency: object, rate: object) -> None:
    if isinstance(concurrency, bool) or not isinstance(concurrency, int) or not 1 <= concurrency <= MOST_AT_ONCE:
        raise InvalidInputError("concurrency", f"a whole number from 1 to {MOST_AT_ONCE}", value=concurrency)
    if rate is None or hasattr(rate, "slot"):
        return
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate < math.inf:
        raise InvalidInputError("rate", "a positive, finite number of rows a second, or None", value=rate)


class _Batch:
    """What is done with each row, and what is made of an error."""

    def __init__(
        self,
        client: BatchClient,
        operation: BatchOperation,
        *,
        release_remaining: bool,
        planned: dict[str, int] | None = None,
    ) -> None:
        """Make it ready; `planned`: for a dry run, what rows so far would take of payments that have several."""
        self._client = client
        self._api = client.api
        self._operation = operation
        self._release_remaining = release_remaining
        self._planned = planned

    async def run(
        self,
        rows: Rows,
        concurrency: int,
        rate: float | SlotSource | None,
        stop: asyncio.Event | None,
        leftover: Callable[[RowResult], None] | None,
    ) -> AsyncGenerator[RowResult, None]:
        now = asyncio.get_running_loop().time
        slots = RateLimiter(rate) if isinstance(rate, int | float) else rate
        limiter = BatchLimiter(most=concurrency, rate=slots, now=now)
        # The name of the calls whose answers set the pace.
        sends = (self._api.operations[self._operation] if self._planned is None else self._api.read).name

        def watch(operation: str, seconds: float, status: int | None) -> None:
            if operation == sends:
                limiter.attempted(now(), seconds, status)

        engine = Engine(
            rows,
            self._result_of,
            self._not_begun,
            limiter=limiter,
            concurrency=concurrency,
            stop=stop,
            # Without a rate there are no slots to save, and the journal need not be asked twice.
            is_done=None if rate is None or self._planned is not None else self._is_done,
            cut_off=None if self._planned is not None else self._cut_off,
            leftover=leftover,
        )
        with self._client.listening(watch):
            async with aclosing(engine.results()) as results:
                async for result in results:
                    yield result

    @property
    def _is_keyless(self) -> bool:
        """Whether no key in Vipps' history tells who has done it."""
        return self._operation is BatchOperation.CANCEL

    def _not_begun(self, row: BatchRow, hint: str) -> RowResult:
        return RowResult(row=row, outcome=RowOutcome.NOT_BEGUN, idempotency_key=self._key(row), hint=hint)

    def _cut_off(self, row: BatchRow) -> RowResult:
        hint = "It was cut off while it was under way. Run the batch again: the same key finds out what became of it."
        return RowResult(row=row, outcome=RowOutcome.UNKNOWN, idempotency_key=self._key(row), hint=hint)

    def _key(self, row: BatchRow) -> str:
        return row.idempotency_key(self._operation, self._client.merchant_serial_number)

    async def _is_done(self, row: BatchRow) -> bool:
        """Tell whether the journal has the row as done, so that nothing is sent for it."""
        entry = await self._entry_of(row)
        return entry is not None and entry.settlement is not None and entry.settlement.outcome is Outcome.DONE

    async def _entry_of(self, row: BatchRow) -> Entry | None:
        """Return what the journal has of the row, from an earlier run or from this one; None: nothing."""
        client, key = self._client, self._key(row)
        if client.journal is None:
            return None
        entries = await client.journal.find(payment=row.payment, merchant_serial_number=client.merchant_serial_number)
        mine = (self._api.name, self._api.operations[self._operation].verb, key)
        return next(
            (each for each in entries if (each.intent.api, each.intent.operation, each.intent.key) == mine), None
        )

    async def _result_of(self, row: BatchRow) -> RowResult:
        key = self._key(row)
        # The one place where a row's key meets the call.
        command = PaymentCommand(
            operation=self._operation,
            payment=row.payment,
            merchant_serial_number=self._client.merchant_serial_number,
            text=row.text,
            amount=NOT_GIVEN if row.minor_units is None else row.minor_units,
            key=key,
            row_reference=row.reference or "",
            release_remaining=self._release_remaining,
        )
        try:
            self._api.check(row, self._operation)
            if self._planned is not None:
                return await self._dry_run(row, command, key, self._planned)
            command = await self._client.with_amount(command)
            result = await self._client.runner.run(self._api.make_call(command))
            is_found = getattr(result, "settled_by", None) is SettledBy.HISTORY and self._is_keyless
            outcome = RowOutcome.FOUND_DONE if is_found else RowOutcome.DONE
            return done(row, key, self._api.moved(result), result, outcome=outcome)
        except ConfigurationError:
            raise
        except DamagedEntryError as error:
            # No later run would fare better: only a person can tell what it was.
            hint = (
                f"has an entry of its own that cannot be read, and may have moved money: {damaged_text(error.damaged)}"
            )
            cause = RowCause.OWN_DAMAGED
            return RowResult(row=row, outcome=RowOutcome.HELD, idempotency_key=key, hint=hint, cause=cause)
        except VippsError as error:
            if isinstance(error, JournalError) and error.effect is Effect.NONE:
                # Nothing can be sent any more without a journal; one that says more is about this row alone.
                raise
            return await self._failed(command, failed(row, key, error, self._api), error)

    async def _dry_run(self, row: BatchRow, command: PaymentCommand, key: str, planned: dict[str, int]) -> RowResult:
        if (entry := await self._entry_of(row)) is not None:
            # What the journal has under the row's key it answers now as it would then: nothing is sent for it.
            recorded = on_record(self._api.make_call(await self._client.with_amount(command)), entry)
            if recorded is not None:
                return done(row, key, self._api.moved(recorded), recorded)
        taken = planned.get(row.payment, 0)
        state = await self._state(row.payment)
        found = self._api.dry_run(command, state, taken)
        if found.is_refused:
            error = self._api.refusal(command, what_is_missing(self._api, command, state, taken))
            result = failed(row, key, error, self._api, hint=state.describe())
            return with_cause_of_refusal(result, self._api, command, state, is_noted=False)
        if found.is_done and row.minor_units not in {None, found.moved.amount}:
            text = "Vipps has this row's key with another amount"
            error = IdempotencyMismatchError(text, status=0, payment=row.payment, idempotency_key=key)
            return with_what_its_key_did(failed(row, key, error, self._api), self._api, command, None, state)
        if row.payment in planned and not found.is_done:
            planned[row.payment] = taken + (found.moved.amount or 0)
        found_done = RowOutcome.FOUND_DONE if self._is_keyless else RowOutcome.DONE_BEFORE
        return done(row, key, found.moved, outcome=found_done if found.is_done else RowOutcome.DONE)

    async def _failed(self, command: PaymentCommand, result: RowResult, error: VippsError) -> RowResult:
        row, key, is_preview = result.row, result.idempotency_key, self._planned is not None
        if isinstance(error, IdempotencyMismatchError):
            # Where Vipps has said so, what the journal has is this very row.
            state, entry = None, None if error.status else await self._entry_of(row)
            if entry is None or not is_preview:
                with contextlib.suppress(VippsError):
                    state = await self._state(row.payment)
            return with_what_its_key_did(result, self._api, command, entry, state)
        if is_preview or not isinstance(error, ApiError):
            return result
        is_cancel, is_refused = isinstance(error, CancelError), result.outcome is RowOutcome.REFUSED
        if isinstance(error, OrderNotFoundError) or not (is_cancel or is_refused):
            return self._with_cause(result, command, None) if is_refused else result
        try:
            state = await self._state(row.payment)
        except VippsError:
            # Vipps refuses the second cancel of a payment: this may be the second one, after one that was cut off.
            return evolve(result, outcome=RowOutcome.UNKNOWN) if is_cancel else self._with_cause(result, command, None)
        if is_cancel and state.is_released:
            return done(row, key, Moved(), outcome=RowOutcome.FOUND_DONE)
        return self._with_cause(evolve(result, hint=state.describe()), command, state)

    def _with_cause(self, result: RowResult, command: PaymentCommand, state: PaymentState | None) -> RowResult:
        return with_cause_of_refusal(result, self._api, command, state, is_noted=True)

    async def _state(self, payment: str) -> PaymentState:
        return await self._api.read_state(self._client.runner, payment)
