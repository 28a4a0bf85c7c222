"""What went wrong, in words for people: nothing of a program's, and above all whether money has moved."""

from __future__ import annotations

from vipps_async import (
    ApiError,
    CancelError,
    CaptureError,
    Effect,
    IdempotencyMismatchError,
    InvalidInputError,
    OrderLockedError,
    OrderNotFoundError,
    OutcomeUnknown,
    PaymentUrlLostError,
    RateLimitedError,
    RefundError,
    UnexpectedResponseError,
    UserError,
    VippsError,
)

_IN_HAND = "Somebody is doing this at the very moment. Look at the order before you go on."
_ASKED_BEFORE = (
    "This was asked for before, in another way. Nothing moved this time, but the first time money may have: look at "
    "the order before you go on."
)
_LOST = "The line to Vipps broke, and we could not find out what became of it."

#: The first that fits is said.
_WORDS: tuple[tuple[type[VippsError], str], ...] = (
    (OrderLockedError, _IN_HAND),
    (CaptureError, "Vipps did not take the money: more was asked for than is reserved, or it is no longer reserved."),
    (RefundError, "Vipps did not pay back: more was asked for than was taken, or the account could not cover it."),
    (CancelError, "This payment can no longer be cancelled. What was taken can be paid back instead."),
    (UserError, "There is no Vipps for this phone number. Check the number, or leave it out."),
    (OrderNotFoundError, "Vipps knows nothing of this payment."),
    (RateLimitedError, "Vipps was asked too often. Wait a minute, then try again."),
    (PaymentUrlLostError, _LOST),
    (OutcomeUnknown, _LOST),
    (UnexpectedResponseError, _LOST),
    (ApiError, "Vipps did not accept this."),
)

_EFFECTS = {
    Effect.NONE: "No money moved.",
    Effect.POSSIBLE: "Money may have moved: look at the order before you do it again.",
    Effect.PROBABLE: "Money has probably moved: look at the order before you do it again.",
}


def in_words(error: VippsError) -> str:
    """Say what went wrong, and whether money has moved."""
    if isinstance(error, InvalidInputError):
        what = "an amount in kroner, at least 1.00, such as 99.50" if error.parameter == "amount" else error.rule
        return f"That does not fit. It must be {what}. No money moved."
    if isinstance(error, IdempotencyMismatchError):
        return _ASKED_BEFORE  # its effect speaks for this call alone
    sentence = next((words for cls, words in _WORDS if isinstance(error, cls)), "Vipps cannot be reached just now.")
    return f"{sentence} {_EFFECTS[error.effect]}"
