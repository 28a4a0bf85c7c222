"""Every exception that this package raises on purpose, as one tree.

::

    VippsError
    ├── ConfigurationError            before any I/O: a setting is missing, or settings contradict each other
    ├── InvalidInputError             before any I/O: an argument breaks a rule of the API (also a ValueError)
    ├── TransportError                no answer that can be used
    │   ├── RequestNotSent            certainly no effect at Vipps
    │   └── OutcomeUnknown            perhaps an effect at Vipps
    ├── ApiError                      Vipps answered, and refused
    │   ├── AuthenticationError       the keys or the token were not accepted
    │   ├── PermissionDeniedError     the sales unit may not do this
    │   │   └── PushNotAllowedError   ... namely send push messages: offer another way into the app
    │   ├── OrderNotFoundError        no such order for this merchant serial number
    │   ├── DuplicateOrderError       the order id was used before
    │   │   └── PaymentUrlLostError   ... by this very call, and the answer with its URL got lost
    │   ├── PaymentRefusedError       the customer's bank, card or agreement said no
    │   ├── CaptureError, CancelError, RefundError
    │   ├── IdempotencyMismatchError  the same key with another payload
    │   ├── OrderLockedError          another operation holds the payment; retry with the same key
    │   ├── RateLimitedError          too many requests
    │   ├── MerchantError             the sales unit's own agreement or limits
    │   ├── UserError                 the customer is no Vipps user, or has an old app
    │   ├── InvalidRequestError       a field was refused
    │   └── ServerError               Vipps failed
    ├── UnexpectedResponseError       an answer came that cannot be read
    ├── JournalError                  the journal could not be opened, read or written
    └── CallbackError                 a request that claims to come from Vipps was malformed or not authentic

The error of a call that was sent says what was tried, whether money may have moved (`effect`) and what to do next
(`advice`).
"""

from __future__ import annotations

import enum
from typing import Any, ClassVar, TypedDict, Unpack

from attrs import frozen

from vipps_async.answers import LastAnswer

__all__ = [
    "ApiError",
    "AuthenticationError",
    "CallbackError",
    "CancelError",
    "CaptureError",
    "ConfigurationError",
    "DuplicateOrderError",
    "Effect",
    "ErrorInfo",
    "IdempotencyMismatchError",
    "InvalidInputError",
    "InvalidRequestError",
    "JournalError",
    "MerchantError",
    "OrderLockedError",
    "OrderNotFoundError",
    "OutcomeUnknown",
    "PaymentRefusedError",
    "PaymentUrlLostError",
    "PermissionDeniedError",
    "PushNotAllowedError",
    "RateLimitedError",
    "RefundError",
    "RequestNotSent",
    "ServerError",
    "TransportError",
    "UnexpectedResponseError",
    "UserError",
    "VippsError",
]


class Effect(enum.Enum):
    """What an operation that ended in an error may have done at Vipps."""

    NONE = "no money moved"
    """Nothing changed at Vipps: no money moved."""
    POSSIBLE = "money may have moved"
    """It may have taken effect: money may have moved."""
    PROBABLE = "the operation probably took effect"
    """It most likely took effect."""


@frozen
class ErrorInfo:
    """One error of an answer, in whichever shape Vipps sent it."""

    group: str
    """Vipps' `errorGroup`, such as ``"Payment"``; empty if the answer's shape has none."""
    code: str
    """Vipps' `errorCode`, such as ``"61"``; for the group ``InvalidRequest`` the name of a field."""
    message: str
    """The text that came with it, personal data taken out."""
    context_id: str | None = None
    """Vipps' own reference for its support, if given."""

    def __str__(self) -> str:
        """Return group, code, text and context id on one line."""
        head = " ".join(part for part in (self.group, self.code) if part)
        text = f"{head}: {self.message}" if head and self.message else head or self.message
        return f"{text} (context id {self.context_id})" if self.context_id else text


def _rebuild(cls: type[VippsError], args: tuple[object, ...], state: dict[str, Any]) -> VippsError:
    error = cls.__new__(cls)
    error.args = args
    error.__dict__.update(state)
    return error


class About(TypedDict, total=False):
    """The arguments of every error about the call it ended; see the attributes of `VippsError`."""

    operation: str | None
    payment: str | None
    idempotency_key: str | None
    effect: Effect | None
    advice: str | None


class VippsError(Exception):
    """The root of every error of this package.

    Attributes:
        message: what happened, on one line.
        operation: the name of the operation, such as ``"ecom.capture"``, if one was under way.
        payment: the payment it concerned, if any.
        idempotency_key: the key it was sent with, if it had one; keep it to try again.
        effect: whether something may have changed at Vipps.
        advice: what to do next.
        response: what Vipps answered to the last attempt, redacted; None: nothing, or nothing was sent.
    """

    response: LastAnswer | None = None
    default_effect: ClassVar[Effect] = Effect.NONE
    """The effect that errors of this class have unless one is given."""
    default_advice: ClassVar[str] = ""
    """The advice that errors of this class give unless one is given."""
    is_of_this_call_alone: bool = False
    """Whether `effect` speaks of this call alone: an earlier one with the same idempotency key may have moved money. So
    it is where the key was given and no journal knows what was tried under it, where it was refused before the journal
    was asked, or where Vipps has it with another payload.
    """

    def __init__(
        self,
        message: str,
        *,
        operation: str | None = None,
        payment: str | None = None,
        idempotency_key: str | None = None,
        effect: Effect | None = None,
        advice: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.operation = operation
        self.payment = payment
        self.idempotency_key = idempotency_key
        self.effect: Effect = self.default_effect if effect is None else effect
        self.advice: str = self.default_advice if advice is None else advice

    is_of_read: bool = False
    """Whether the operation only reads: then its text says nothing of money, which another one may have moved."""

    @property
    def effect_text(self) -> str:
        """`effect` in words, as the error's text has it: "no money moved" only where that holds for the key as well.

        Empty for an operation that only reads.
        """
        if self.is_of_read:
            return ""
        if self.effect is Effect.NONE and self.is_of_this_call_alone:
            return "this call moved no money, but an earlier one with its key may have"
        return self.effect.value

    def __str__(self) -> str:
        """Return what was tried, what happened, whether money may have moved and what to do: one line."""
        parts = [self.message.rstrip(".")]
        if self.operation is not None:
            parts += filter(None, [self.effect_text])
        if self.advice:
            parts.append(self.advice.rstrip("."))
        text = "; ".join(parts) + "."
        if self.operation is not None:
            tried = self.operation
            if self.payment is not None:
                tried += f" of payment {self.payment}"
            if self.idempotency_key is not None:
                tried += f" (idempotency key {self.idempotency_key})"
            text = f"{tried}: {text}"
        # What came from outside must not forge a line of a log, nor steer a terminal.
        return " ".join("".join(char if char.isprintable() else " " for char in text).split())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __reduce__(self) -> tuple[object, ...]:
        # The default would call __init__ with args alone and drop every keyword-only fact.
        return _rebuild, (type(self), self.args, self.__dict__)


class ConfigurationError(VippsError):
    """A setting is missing or contradicts another one; raised before any I/O."""

    is_of_this_call_alone = True


class InvalidInputError(VippsError, ValueError):
    """An argument breaks a rule of the API; raised before any I/O.

    Attributes:
        parameter: the name of the argument.
        value: its value, or None if it is secret or personal.
        rule: the rule that it breaks.
    """

    is_of_this_call_alone = True

    def __init__(self, parameter: str, rule: str, *, value: object = None, secret: bool = False) -> None:
        shown = "" if secret else f", not {_shown(value)}"
        super().__init__(f"{parameter} must be {rule}{shown}")
        self.parameter = parameter
        self.rule = rule
        self.value: object | None = None if secret else value


def _shown(value: object, limit: int = 80) -> str:
    try:
        text = repr(value)
    except ValueError:  # Python refuses to write whole numbers of more than 4,300 digits
        text = f"<{type(value).__name__}>"
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


class TransportError(VippsError):
    """No usable answer came: the two subclasses say whether the request may have had an effect."""


class RequestNotSent(TransportError):  # noqa: N818 - the name states the fact that matters
    """The request certainly never reached Vipps: it had no effect."""

    default_advice = "nothing was sent, so it is safe to try again, with the same idempotency key if it had one"


class OutcomeUnknown(TransportError):  # noqa: N818 - the name states the fact that matters
    """The request may have reached Vipps: whether it took effect is not known.

    Attributes:
        status: the HTTP status, if the answer got that far before it broke off.
    """

    default_effect = Effect.POSSIBLE
    default_advice = "look the payment up before doing it again, or repeat it with the same idempotency key"

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        **about: Unpack[About],
    ) -> None:
        super().__init__(message, **about)
        self.status = status


class ApiError(VippsError):
    """Vipps answered with an error.

    Attributes:
        status: the HTTP status.
        errors: all errors of the answer, in its order; empty if the body had none that can be read.
        retryable: whether the same request may be sent again later, with the same idempotency key.
        retry_after: seconds that Vipps asked to wait, if it did.
        body: the answer's JSON as text, secrets and personal data taken out, at most 2,000 characters; empty if the
            answer was no JSON.
    """

    default_advice = "see what Vipps answered, and look the payment up before doing it again"

    def __init__(
        self,
        message: str,
        *,
        status: int,
        errors: tuple[ErrorInfo, ...] = (),
        retryable: bool = False,
        retry_after: float | None = None,
        body: str = "",
        **about: Unpack[About],
    ) -> None:
        super().__init__(message, **about)
        self.status = status
        self.errors = errors
        self.retryable = retryable
        self.retry_after = retry_after
        self.body = body

    @property
    def trace_id(self) -> str | None:
        """The id by which Vipps' support finds the answer; None: it has none."""
        return next((info.context_id for info in self.errors if info.context_id), None)


class AuthenticationError(ApiError):
    """The client id, client secret, subscription key or token was not accepted."""

    default_advice = "check the keys, and that they belong to this environment and this merchant serial number"


class PermissionDeniedError(ApiError):
    """The sales unit is not allowed to do this."""

    default_advice = "check what the sales unit is allowed to do, or ask Vipps to open it"


class PushNotAllowedError(PermissionDeniedError):
    """The sales unit may not send push messages, so that the customer gets to the payment in another way only."""

    default_advice = (
        "create it again with user_flow WEB_REDIRECT or QR under the same reference, or ask Vipps to allow PUSH_MESSAGE"
    )


class OrderNotFoundError(ApiError):
    """There is no such order for this merchant serial number."""

    default_advice = "check its id, and that the keys belong to the sales unit that made it"


class DuplicateOrderError(ApiError):
    """The order id has been used before, and is unique for ever: the payment that has it may be a paid one."""

    default_advice = (
        "look that payment up first, with details or get: it may be paid; take a new id, for example with a suffix -1, "
        "-2, only once it has ended unpaid, and cancel it before that if it is open or refused"
    )

    @property
    def effect_text(self) -> str:
        """`effect` in words: that this call moved nothing says nothing of the payment that has the id."""
        if self.effect is not Effect.NONE:
            return super().effect_text
        return "this call moved no money, but the payment that has this id may be paid"


class PaymentUrlLostError(DuplicateOrderError):
    """The payment exists under this order id, but the answer that held its URL got lost."""

    default_advice = (
        "its URL is lost: look the payment up; if nobody has approved it, cancel it, and only then make a new payment "
        "under a new id, for example with a suffix -1, -2"
    )


class PaymentRefusedError(ApiError):
    """The customer's card, bank or account refused the payment."""

    default_advice = (
        "look the payment up: it may still be paid, so cancel it if it is open or refused, and only then let the "
        "customer try again under a new order id, with another card if need be"
    )


class CaptureError(ApiError):
    """A capture was refused."""

    default_advice = "look the payment up to see what is reserved and what was captured before"


class CancelError(ApiError):
    """A cancel was refused."""

    default_advice = "look the payment up; what has been captured can only be refunded"


class RefundError(ApiError):
    """A refund was refused."""

    default_advice = "look the payment up to see what was captured and what was refunded before"


class IdempotencyMismatchError(ApiError):
    """The idempotency key was used before with another payload: what moved then, this error does not tell."""

    is_of_this_call_alone = True
    default_advice = (
        "the earlier payload stands; look the payment up to see it, and use a new key only for a new operation"
    )


class OrderLockedError(ApiError):
    """Another operation holds the payment."""

    default_advice = "try again in a moment with the same idempotency key"


class RateLimitedError(ApiError):
    """Too many requests for this payment or this subscription key."""

    default_advice = "wait before trying again, with the same idempotency key"


class MerchantError(ApiError):
    """The sales unit's agreement or limits do not allow this."""

    default_advice = "check the sales unit in the Vipps portal, or ask Vipps"


class UserError(ApiError):
    """The customer is not a Vipps user, or the customer's app is too old."""

    default_advice = "ask the customer to check the phone number and the app, or offer another way to pay"


class InvalidRequestError(ApiError):
    """Vipps refused a field of the request."""

    default_advice = "correct the named field; the request as it is will not be accepted"


class ServerError(ApiError):
    """Vipps, or something in front of it, failed."""

    default_advice = "try again later"


class UnexpectedResponseError(VippsError):
    """An answer came that cannot be read: not JSON, not the promised shape, or about another payment.

    Attributes:
        status: the HTTP status.
        body: the beginning of the answer as text, secrets and personal data taken out.
        carried_out: what Vipps did, where its history proves that it did otherwise than asked; None: that is not known.
    """

    default_effect = Effect.PROBABLE
    default_advice = "look the payment up before doing it again"

    def __init__(
        self,
        message: str,
        *,
        status: int,
        body: str,
        **about: Unpack[About],
    ) -> None:
        super().__init__(message, **about)
        self.status = status
        self.body = body
        self.carried_out: object | None = None


class JournalError(VippsError):
    """The journal could not be opened, read or written; nothing was sent unless the text says otherwise."""

    default_advice = "mend the journal's store first; what is open in it can be settled by recovery"


class CallbackError(VippsError):
    """A request that claims to come from Vipps is malformed, too large or not authentic.

    Attributes:
        status: the HTTP status to answer it with.
    """

    def __init__(self, message: str, *, status: int, payment: str | None = None) -> None:
        super().__init__(message, payment=payment)
        self.status = status
