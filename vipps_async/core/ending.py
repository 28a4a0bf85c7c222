"""Chooses the exception to raise when a call is given up.

An answer of success that is about another payment, or that cannot be read, is never taken for a success: the operation
may have taken effect. So its history is looked at first, and only then a keyed call is sent again, with its key and
bytes.
"""

from __future__ import annotations

from typing import Any

from attrs import frozen

from vipps_async.core.attempts import AttemptRecord
from vipps_async.core.dialect import FailureKind
from vipps_async.core.operation import Applied, Evidence, Inconclusive, NotApplied, Operation, Repeat
from vipps_async.core.verdict import Verdict, effect_of
from vipps_async.errors import (
    ApiError,
    DuplicateOrderError,
    Effect,
    OutcomeUnknown,
    PaymentUrlLostError,
    UnexpectedResponseError,
    VippsError,
)

#: What an error of an operation that moved another amount than was asked for begins with, and what to do then.
OTHERWISE = "Vipps has carried it out otherwise than asked"
OTHERWISE_ADVICE = (
    "it is settled with what was moved: compare both amounts with the payment's sums and your books; what is missing "
    "is captured or refunded under a new key, what was captured too much is refunded, and what was refunded too much "
    "only the customer can pay back"
)
_URL_LOST = "the payment exists at Vipps, but the answer with its URL got lost"
_UNKNOWN_ADVICE = {
    Repeat.SAFE: None,
    Repeat.KEYED: (
        "look the payment up for this key, or repeat the call with the same idempotency key: never with a new one"
    ),
    Repeat.CONFIRM: "look the payment up before doing it again: it may be done",
    Repeat.ONCE: (
        "look the payment up: if it is unknown there, make it again; if it exists, its URL is lost: "
        "cancel it, unless it was approved, before a new id is taken"
    ),
}
_NO_EFFECT_ADVICE = "make the call again later, with the same idempotency key if it had one"
_EXCLUDED_ADVICE = "look the payment up: as it stands now, this call can never take effect"
#: An answer of success that cannot be used: its own error says more than "unknown".
_UNUSABLE = frozenset({FailureKind.UNREADABLE, FailureKind.MISFIT})


@frozen(kw_only=True)
class Ending:
    """The facts when a call is given up, from which the exception follows."""

    operation: Operation[Any]
    #: The last failure, and what kind it was.
    error: VippsError
    failure: FailureKind
    record: AttemptRecord
    verdict: Verdict
    #: What details said after the last attempt; None: they were not asked.
    evidence: Evidence[Any] | None
    #: Why it is not repeated once more; empty if a failure of that kind never is.
    reason: str

    def to_raise(self) -> tuple[VippsError, VippsError | None]:
        """Return the error to raise and its cause: the last failure if it had no effect, else one by the verdict."""
        error = self.error
        if self.operation.repeat is Repeat.SAFE:
            error.effect = Effect.NONE
            if isinstance(error, OutcomeUnknown):
                error.advice = "it was only a question: ask again"
            return self._with_reason(error), None
        if self.verdict is not Verdict.OPEN:
            error.effect = effect_of(self.verdict)
            if self.record.in_doubt > 0 and isinstance(self.evidence, NotApplied):
                error.message = f"{error.message}; {self.evidence.reason}"
                error.advice = self._advice_after_lookup(self.evidence)
            return self._with_reason(error), None
        if isinstance(error, DuplicateOrderError) and self.operation.repeat is Repeat.ONCE:
            return _url_lost(error.status, error.errors), error
        if self.failure in _UNUSABLE:
            return self._with_reason(error), None
        return self._unknown(), error

    def _advice_after_lookup(self, evidence: NotApplied) -> str:
        """Return the advice when the history shows no effect; that of a known error code still holds."""
        codes = self.error.errors if isinstance(self.error, ApiError) else ()
        rules = [rule for rule in map(self.operation.dialect.rule_for, codes) if rule is not None]
        if not rules:
            # Its own advice, that of an outcome in doubt, no longer holds.
            return _EXCLUDED_ADVICE if evidence.excluded else _NO_EFFECT_ADVICE
        return next((rule.advice for rule in rules if rule.advice), self.error.default_advice)

    def _with_reason(self, error: VippsError) -> VippsError:
        if self.reason:
            error.message = f"{error.message}; {self.reason}"
        return error

    def _unknown(self) -> OutcomeUnknown:
        known = isinstance(self.evidence, NotApplied | Inconclusive)
        found = self.evidence.reason if known and not isinstance(self.evidence, Applied | None) else ""
        doubt = ""
        if self.record.earlier_in_doubt:
            doubt = "an earlier attempt under this key has no known outcome"
        text = "; ".join(
            part for part in (self.error.message, self.reason, doubt, found or "the payment was not looked up") if part
        )
        status = self.error.status if isinstance(self.error, ApiError | OutcomeUnknown) else None
        return OutcomeUnknown(
            text,
            status=status,
            effect=effect_of(self.verdict, probable=self.record.probable),
            advice=_UNKNOWN_ADVICE[self.operation.repeat],
        )


def _url_lost(status: int, errors: Any) -> PaymentUrlLostError:
    return PaymentUrlLostError(_URL_LOST, status=status, errors=errors, effect=Effect.NONE)


def exists_already(*, doubtful: bool) -> DuplicateOrderError:
    """Make the error of a call whose payment its history shows, though no answer to the call itself told so."""
    if doubtful:
        return _url_lost(200, ())
    # This call has not got through at all, so it was somebody else's payment from the start.
    return DuplicateOrderError("a payment of this name exists at Vipps already", status=200, effect=Effect.NONE)


def moved_otherwise(misfit: str, result: object) -> UnexpectedResponseError:
    """Make the error of an operation that the history proves, with that result, but not as it was asked for."""
    error = UnexpectedResponseError(
        f"{OTHERWISE}: {misfit}",
        status=200,
        body="",
        effect=Effect.PROBABLE,
        advice=OTHERWISE_ADVICE,
    )
    error.carried_out = result
    return error
