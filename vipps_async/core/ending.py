"""How a call ends that brought no result: which error tells the truth about it."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from vipps_async.core.decision import Failure
from vipps_async.core.error_codes import operation_error
from vipps_async.core.operation import Finding, NotDone, Operation, Repeat, Undecided
from vipps_async.core.recorded_refusal import is_about_operation
from vipps_async.errors import (
    ApiError,
    DuplicateOrderError,
    Effect,
    OutcomeUnknown,
    PaymentUrlLostError,
    VippsError,
)

__all__ = ["Ending", "exists_already"]

_URL_LOST = "the payment exists at Vipps, but the answer with its URL got lost"
_UNKNOWN_ADVICE = {
    Repeat.SAFE: None,
    Repeat.KEYED: "ask details for this key, or repeat the call with the same idempotency key: never with a new one",
    Repeat.CONFIRM: "ask details whether it is cancelled before cancelling again",
    Repeat.ONCE: (
        "ask details for this order id: if it is unknown there, initiate again; if it exists, its URL is lost and "
        "a new order id is needed"
    ),
}


@frozen(kw_only=True)
class Ending:
    """What is known when a call is given up."""

    operation: Operation[Any]
    #: The last failure, and what kind it was.
    error: VippsError
    failure: Failure
    #: Whether that failure is about this very call, not about the token that it never got.
    was_sent: bool
    #: Whether any attempt may have taken effect.
    doubtful: bool
    #: What details said after the last attempt; None: they were not asked.
    finding: Finding[Any] | None
    #: Why it is not repeated once more; empty if a failure of that kind never is.
    reason: str

    def to_raise(self) -> tuple[VippsError, VippsError | None]:
        """Return the error to raise and its cause: the last failure itself if it is harmless, else what is known."""
        error, repeat = self.error, self.operation.repeat
        if repeat is Repeat.SAFE:
            error.effect = Effect.NONE
            if isinstance(error, OutcomeUnknown):
                error.advice = "it was only a question: ask again"
        if self.failure is Failure.UNREADABLE or repeat is Repeat.SAFE or not self.doubtful:
            if self.reason:
                error.message = f"{error.message}; {self.reason}"
            return error, None
        if isinstance(error, DuplicateOrderError) and repeat is Repeat.ONCE:
            return PaymentUrlLostError(_URL_LOST, status=error.status, errors=error.errors), error
        if isinstance(self.finding, NotDone):
            if self.finding.final:
                text = f"Vipps has it on record as failed: {self.finding.reason}"
                return operation_error(self.operation.name)(text, status=200), error
            if self.failure is Failure.REFUSED and self.was_sent and is_about_operation(error):
                # Vipps itself said no to this very operation, and its history bears that out. A refusal of keys or
                # rights says nothing about an earlier attempt, which may be on its way still.
                return error, None
        return self._unknown(), error

    def _unknown(self) -> OutcomeUnknown:
        found = self.finding.reason if isinstance(self.finding, NotDone | Undecided) else "details were not asked"
        text = "; ".join(part for part in (self.error.message, self.reason, found) if part)
        status = self.error.status if isinstance(self.error, ApiError | OutcomeUnknown) else None
        return OutcomeUnknown(text, status=status, advice=_UNKNOWN_ADVICE[self.operation.repeat])


def exists_already(*, doubtful: bool) -> DuplicateOrderError:
    """Make the error of an initiate whose payment details show, though no answer to the call itself told so."""
    if doubtful:
        return PaymentUrlLostError(_URL_LOST, status=200)
    # This call has not got through at all, so it was somebody else's payment from the start.
    return DuplicateOrderError("a payment with this order id exists at Vipps already", status=200)
