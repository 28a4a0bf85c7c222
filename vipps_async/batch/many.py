"""Captures, refunds or cancels many payments: rows in, one result a row out, in constant memory."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

from attrs import evolve

from vipps_async.batch.engine import Engine
from vipps_async.batch.foresight import foresee, is_released, sums
from vipps_async.batch.pace import Pace, RateLimit, Turns
from vipps_async.batch.results import RowOutcome, RowResult, done, failed, not_begun, outcome_of
from vipps_async.batch.rows import BatchOperation, BatchRow
from vipps_async.batch.sources import Rows
from vipps_async.core.operation import Operation
from vipps_async.ecom.details import PaymentDetails
from vipps_async.ecom.operations import DETAILS, OPERATIONS
from vipps_async.ecom.responses import CancelResult, CaptureResult, RefundResult
from vipps_async.errors import (
    ApiError,
    CancelError,
    ConfigurationError,
    Effect,
    InvalidInputError,
    JournalError,
    OrderNotFoundError,
    VippsError,
)
from vipps_async.not_given import NotGiven
from vipps_async.session import VippsSession

__all__ = ["DEFAULT_CONCURRENCY", "MOST_AT_ONCE", "cancel_many", "capture_many", "preview_many", "refund_many"]

#: Rows at once unless told otherwise: what keeps one core busy at the usual times of an answer.
DEFAULT_CONCURRENCY = 32
#: The most rows at once: as many as the transport has connections.
MOST_AT_ONCE = 100

_CarryOut = Callable[[BatchRow, str], Awaitable[RowResult]]


def capture_many(
    session: VippsSession,
    rows: Rows,
    *,
    concurrency: int = DEFAULT_CONCURRENCY,
    rate: float | Turns | None = None,
    stop: asyncio.Event | None = None,
) -> AsyncGenerator[RowResult, None]:
    """Capture many payments; gives one result for each row, in the order in which they end.

    Rows are read as they are needed, and no faster than results are taken; memory stays the same for any number of
    them. Rows of one order never run at the same time, and keep their sequence: if one ends as UNKNOWN or NOT_DONE,
    those after it end as NOT_BEGUN, until the rows are run again. It begins slowly, goes as fast as
    Vipps' answers allow, and slows down when they get slower or say that it is too much. No error of a row ends the
    batch. The session should have a journal: with it, rows that an earlier run has finished send nothing.

    Leaving the iteration (`aclose`) finishes what is in work; cancelling it cancels that: then the journal has it open.

    Args:
        session: who captures; its journal, if it has one, is the batch's.
        rows: what to capture. A blocking iterable, such as one that reads a file, is read in a thread of its own.
        concurrency: the most rows at once, 1 to 100.
        rate: the most rows begun a second, or what hands out their turns (`vipps_async.batch.pace.Turns`); None: as
            many as Vipps' answers allow.
        stop: once it is set, nothing is begun any more: what is in work is finished, rows that wait for it end as
            NOT_BEGUN, and those behind them get no result.

    Raises:
        InvalidInputError: an argument breaks a rule (at once), or `rows` gives something that is no row.
        TransportError: Vipps has not answered for minutes, or does not accept the keys. Rows without a result were not
            begun.
        ConfigurationError: the session is closed. Rows without a result were not begun.
        JournalError: the journal cannot be written. Rows without a result were not begun.
    """
    _check(concurrency, rate)
    move = _move(session.ecom._capture_row)  # noqa: SLF001 - for a batch alone
    return _Batch(session, BatchOperation.CAPTURE, move).run(rows, concurrency, rate, stop)


def refund_many(
    session: VippsSession,
    rows: Rows,
    *,
    concurrency: int = DEFAULT_CONCURRENCY,
    rate: float | Turns | None = None,
    stop: asyncio.Event | None = None,
) -> AsyncGenerator[RowResult, None]:
    """Refund many payments; everything else is as in `capture_many`."""
    _check(concurrency, rate)
    move = _move(session.ecom._refund_row)  # noqa: SLF001 - for a batch alone
    return _Batch(session, BatchOperation.REFUND, move).run(rows, concurrency, rate, stop)


def _move(call: Callable[..., Awaitable[CaptureResult | RefundResult]]) -> _CarryOut:
    async def move(row: BatchRow, key: str) -> RowResult:
        # The one place where a row's key meets the call. The journal notes that the key is a row's, and the row's
        # reference (empty: it has none): `batch/held.py` goes by both.
        result = await call(
            row.order_id,
            transaction_text=row.transaction_text,
            amount=row.amount,
            idempotency_key=key,
            reference=row.reference or "",
        )
        return done(row, key, result)

    return move


def cancel_many(
    session: VippsSession,
    rows: Rows,
    *,
    should_release_remaining_funds: bool = False,
    concurrency: int = DEFAULT_CONCURRENCY,
    rate: float | Turns | None = None,
    stop: asyncio.Event | None = None,
) -> AsyncGenerator[RowResult, None]:
    """Cancel many payments; everything else is as in `capture_many`.

    Vipps takes no key for a cancel. It refuses the second one of an order, and then details tell whether the order is
    cancelled: such a row ends as DONE_BEFORE.

    Args:
        session: as for `capture_many`.
        rows: as for `capture_many`; none may have an amount.
        should_release_remaining_funds: releases what is left of partly captured payments, too.
        concurrency: as for `capture_many`.
        rate: as for `capture_many`.
        stop: as for `capture_many`.
    """

    async def cancel(row: BatchRow, key: str) -> RowResult:
        if not isinstance(row.amount, NotGiven):
            raise InvalidInputError("amount", "left out of the rows of a cancel", value=row.amount)
        try:
            result = await session.ecom._cancel_row(  # noqa: SLF001 - for a batch alone
                row.order_id,
                transaction_text=row.transaction_text,
                should_release_remaining_funds=should_release_remaining_funds,
                reference=row.reference or "",
            )
        except CancelError as error:
            details = await _details(session, row.order_id)
            if details is None:
                # Vipps refuses the second cancel of an order: this one may be the second, after one that was cut off.
                return evolve(failed(row, key, error), outcome=RowOutcome.UNKNOWN)
            if not is_released(details):
                return failed(row, key, error, remark=sums(details))
            result = CancelResult(order_id=row.order_id, transaction_summary=details.transaction_summary)
            return done(row, key, result, before=True)
        return done(row, key, result)

    _check(concurrency, rate)
    return _Batch(session, BatchOperation.CANCEL, cancel).run(rows, concurrency, rate, stop)


def preview_many(
    session: VippsSession,
    rows: Rows,
    operation: BatchOperation,
    *,
    should_release_remaining_funds: bool = False,
    repeated_orders: frozenset[str] = frozenset(),
    concurrency: int = DEFAULT_CONCURRENCY,
    rate: float | Turns | None = None,
    stop: asyncio.Event | None = None,
) -> AsyncGenerator[RowResult, None]:
    """Ask details of each order and say what the batch would do. Nothing is changed at Vipps, nor in the journal.

    Args:
        session: who asks.
        rows: as for `capture_many`.
        operation: what the batch would do.
        should_release_remaining_funds: as for `cancel_many`.
        repeated_orders: orders that several rows are about: for those, what the earlier ones would take is counted.
        concurrency: as for `capture_many`.
        rate: the most questions a second.
        stop: as for `capture_many`.
    """
    planned = dict.fromkeys(repeated_orders, 0)

    async def preview(row: BatchRow, key: str) -> RowResult:
        details = await session.ecom.details(row.order_id)
        taken = planned.get(row.order_id, 0)
        result = foresee(
            row, operation, key, details, taken=taken, should_release_remaining_funds=should_release_remaining_funds
        )
        if row.order_id in planned and result.outcome is RowOutcome.DONE:
            planned[row.order_id] = taken + (result.amount or 0)
        return result

    _check(concurrency, rate)
    return _Batch(session, operation, preview, sends=DETAILS).run(rows, concurrency, rate, stop)


def _check(concurrency: object, rate: object) -> None:
    if isinstance(concurrency, bool) or not isinstance(concurrency, int) or not 1 <= concurrency <= MOST_AT_ONCE:
        raise InvalidInputError("concurrency", f"a whole number from 1 to {MOST_AT_ONCE}", value=concurrency)
    if rate is None or hasattr(rate, "turn"):
        return
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate < math.inf:
        raise InvalidInputError("rate", "a positive, finite number of rows a second, or None", value=rate)


class _Batch:
    """What is done with each row, and what is made of an error."""

    def __init__(
        self,
        session: VippsSession,
        operation: BatchOperation,
        carry_out: _CarryOut,
        *,
        sends: Operation[Any] | None = None,
    ) -> None:
        self._session = session
        self._operation = operation
        self._carry_out = carry_out
        #: The name of the calls whose answers set the pace.
        self._sends = sends or OPERATIONS[operation.value]

    async def run(
        self, rows: Rows, concurrency: int, rate: float | Turns | None, stop: asyncio.Event | None
    ) -> AsyncGenerator[RowResult, None]:
        pace = Pace(most=concurrency)
        now = asyncio.get_running_loop().time

        def watch(operation: str, seconds: float, status: int | None) -> None:
            if operation == self._sends.name:
                pace.attempted(now(), seconds, status)

        engine = Engine(
            rows,
            self._result_of,
            lambda row, remark: not_begun(row, self._key(row), remark=remark),
            pace=pace,
            rate=RateLimit(rate) if isinstance(rate, int | float) else rate,
            concurrency=concurrency,
            stop=stop,
        )
        with self._session.listening(watch):
            async with aclosing(engine.results()) as results:
                async for result in results:
                    yield result

    def _key(self, row: BatchRow) -> str:
        return row.idempotency_key(self._operation, self._session.merchant_serial_number)

    async def _result_of(self, row: BatchRow) -> RowResult:
        key = self._key(row)
        try:
            return await self._carry_out(row, key)
        except ConfigurationError:
            raise
        except VippsError as error:
            if isinstance(error, JournalError) and error.effect is Effect.NONE:
                # Nothing can be sent any more without a journal; one that says more is about this row alone.
                raise
            return failed(row, key, error, remark=await self._remark(row, error))

    async def _remark(self, row: BatchRow, error: VippsError) -> str:
        """Say what Vipps has of an order, where that explains a refusal."""
        if self._sends is DETAILS or not isinstance(error, ApiError) or outcome_of(error) is not RowOutcome.REFUSED:
            return ""
        if isinstance(error, OrderNotFoundError):
            return ""
        details = await _details(self._session, row.order_id)
        return "" if details is None else sums(details)


async def _details(session: VippsSession, order_id: str) -> PaymentDetails | None:
    try:
        return await session.ecom.details(order_id)
    except VippsError:
        # It was asked for an explanation only.
        return None
