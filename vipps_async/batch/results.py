"""What became of one row of a batch, and how an error is told from another kind of error there."""

from __future__ import annotations

import enum
from datetime import datetime

from attrs import field, frozen

from vipps_async.batch.rows import BatchRow
from vipps_async.core.operation import SettledBy
from vipps_async.ecom.responses import CancelResult, CaptureResult, RefundResult
from vipps_async.errors import (
    ApiError,
    AuthenticationError,
    Effect,
    InvalidInputError,
    MerchantError,
    OrderLockedError,
    PermissionDeniedError,
    RateLimitedError,
    RequestNotSent,
    ServerError,
    UnexpectedResponseError,
    VippsError,
)
from vipps_async.not_given import NotGiven

__all__ = ["RowOutcome", "RowResult", "done", "failed", "held", "is_outage", "not_begun", "outcome_of"]

#: Refusals that are not about the row: the same row may go through when the reason is gone.
_NOT_ABOUT_THE_ROW = (
    AuthenticationError,
    PermissionDeniedError,
    MerchantError,
    OrderLockedError,
    RateLimitedError,
    ServerError,
)


class RowOutcome(enum.Enum):
    """How a row ended."""

    #: It took effect, as Vipps answered now. With an empty journal that may be Vipps' repeated answer to an earlier
    #: run: the two cannot be told apart, and the money moved once.
    DONE = "done"
    #: It had taken effect before: the journal, or for a cancel Vipps' history, says so. Nothing was done now.
    DONE_BEFORE = "done before"
    #: It took effect, but Vipps moved another amount than was asked for, as details confirm. It is not tried again.
    OTHERWISE = "otherwise"
    #: Vipps refused it; no money moved.
    REFUSED = "refused"
    #: No money moved, for a reason that can pass: not sent, throttled, keys not accepted. Run the batch again.
    NOT_DONE = "not done"
    #: It may have taken effect. Run the batch again: the same key finds out, and cannot move money twice.
    UNKNOWN = "unknown"
    #: It was not sent, as it may be what was done before: name the order to say that another one is meant.
    HELD = "held"
    #: The batch ended before it was this row's turn, or an earlier row of the same order has no outcome yet.
    NOT_BEGUN = "not begun"

    @property
    def is_final(self) -> bool:
        """Whether another run of the same batch would bring nothing new."""
        return self not in {RowOutcome.NOT_DONE, RowOutcome.UNKNOWN, RowOutcome.NOT_BEGUN}


@frozen(kw_only=True)
class RowResult:
    """What became of one row."""

    row: BatchRow
    outcome: RowOutcome
    #: The key that it was carried out with. Vipps takes none for a cancel: there it only names the row.
    idempotency_key: str
    #: Øre that moved, now or before; None: none, or (for a cancel) not known.
    amount: int | None = None
    #: When it took effect, by Vipps' clock, in UTC; None: it did not, or the answer does not say.
    time: datetime | None = None
    #: Why it did not take effect, or may not have.
    error: VippsError | None = None
    #: What Vipps has on the order, where that explains a refusal.
    remark: str = ""
    #: Vipps' answer, where there is one.
    result: CaptureResult | RefundResult | CancelResult | None = field(default=None, repr=False)

    @property
    def reason(self) -> str:
        """The error and the remark on one line; empty if all went well."""
        return " ".join(part for part in ("" if self.error is None else str(self.error), self.remark) if part)

    @property
    def code(self) -> str:
        """Vipps' error group and code, or the name of the error; empty without one."""
        error = self.error
        if error is None:
            return ""
        if isinstance(error, ApiError) and error.errors and (error.errors[0].group or error.errors[0].code):
            return f"{error.errors[0].group} {error.errors[0].code}".strip()
        return type(error).__name__


def done(
    row: BatchRow, key: str, result: CaptureResult | RefundResult | CancelResult, *, before: bool = False
) -> RowResult:
    """Make the result of a row that took effect, now or (as the journal or the caller says) before."""
    before = before or result.settled_by is SettledBy.JOURNAL
    transaction = result.transaction
    asked = None if isinstance(row.amount, NotGiven) else row.amount
    return RowResult(
        row=row,
        outcome=RowOutcome.DONE_BEFORE if before else RowOutcome.DONE,
        idempotency_key=key,
        # Vipps' own word: for a row without an amount it is the only one.
        amount=asked if transaction is None else transaction.amount,
        time=None if transaction is None else transaction.time_stamp,
        result=result,
    )


def failed(row: BatchRow, key: str, error: VippsError, *, remark: str = "") -> RowResult:
    """Make the result of a row that ended in an error."""
    moved = _carried_out(error)
    transaction = None if moved is None else moved.transaction
    return RowResult(
        row=row,
        outcome=outcome_of(error),
        idempotency_key=key,
        amount=None if transaction is None else transaction.amount,
        time=None if transaction is None else transaction.time_stamp,
        error=error,
        remark=remark,
        result=moved,
    )


def not_begun(row: BatchRow, key: str, *, remark: str = "") -> RowResult:
    """Make the result of a row whose turn did not come."""
    return RowResult(row=row, outcome=RowOutcome.NOT_BEGUN, idempotency_key=key, remark=remark)


def held(row: BatchRow, key: str, *, remark: str) -> RowResult:
    """Make the result of a row that is not sent; `remark` says what it meets."""
    return RowResult(row=row, outcome=RowOutcome.HELD, idempotency_key=key, remark=remark)


def outcome_of(error: VippsError) -> RowOutcome:
    """Tell what an error means for its row."""
    if _carried_out(error) is not None:
        return RowOutcome.OTHERWISE
    if error.effect is not Effect.NONE:
        return RowOutcome.UNKNOWN
    if isinstance(error, InvalidInputError):
        # A rule of our own refused it, before Vipps could: the same row will never go through.
        return RowOutcome.REFUSED
    if isinstance(error, ApiError) and not error.retryable and not isinstance(error, _NOT_ABOUT_THE_ROW):
        return RowOutcome.REFUSED
    return RowOutcome.NOT_DONE


def _carried_out(error: VippsError) -> CaptureResult | RefundResult | None:
    """Return what Vipps did otherwise than asked, if it is known to have done so."""
    result = error.carried_out if isinstance(error, UnexpectedResponseError) else None
    return result if isinstance(result, CaptureResult | RefundResult) else None


def is_outage(error: VippsError) -> bool:
    """Whether the error says that Vipps, or the way to it, is in trouble: not that it refused, nor that it is busy."""
    if isinstance(error, OrderLockedError):
        return False
    return isinstance(error, RequestNotSent) or outcome_of(error) in {RowOutcome.UNKNOWN, RowOutcome.NOT_DONE}
