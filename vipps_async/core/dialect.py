"""Dialect: the API-specific settings and functions, as one value that the shared core reads."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import frozen

from vipps_async.errors import (
    ApiError,
    AuthenticationError,
    ErrorInfo,
    InvalidRequestError,
    OrderLockedError,
    PermissionDeniedError,
    RateLimitedError,
    ServerError,
)


class FailureKind(enum.Enum):
    """How one attempt failed."""

    NOT_SENT = "not sent"
    THROTTLED = "throttled"
    LOCKED = "locked"
    UNKNOWN = "unknown"
    CONFLICT = "conflict"
    UNAUTHORIZED = "unauthorized"
    UNSETTLED = "unsettled"
    UNREADABLE = "unreadable"
    MISFIT = "misfit"
    UNPROVEN = "unproven"
    FOREIGN = "foreign"
    REFUSED = "refused"

    @property
    def doubtful(self) -> bool:
        """Whether the attempt may have taken effect."""
        return self in _DOUBTFUL


_DOUBTFUL = frozenset(
    {
        FailureKind.UNKNOWN,
        FailureKind.CONFLICT,
        FailureKind.UNSETTLED,
        FailureKind.FOREIGN,
        FailureKind.UNREADABLE,
        FailureKind.MISFIT,
        FailureKind.UNPROVEN,
    }
)


@frozen
class ErrorRule:
    """The meaning of one error code."""

    #: The class of the error; None: the class that belongs to the operation.
    error: type[ApiError] | None
    #: What to do next; empty: what the class says.
    advice: str = ""
    #: Whether the same request may be sent again later.
    retryable: bool = False
    #: Whether the answer settles nothing: the operation may have taken effect, or may yet.
    unsettled: bool = False
    #: Whether the answer is evidence that an attempt under this key took effect.
    suggests_effect: bool = False
    #: Whether the same operation would be refused again for ever, whatever else happens to the payment.
    permanent: bool = False
    #: The kind of failure, whatever the status: LOCKED or THROTTLED; None: as its other facts and the status tell.
    kind: FailureKind | None = None


STATUS_CLASSES: dict[int, type[ApiError]] = {
    400: InvalidRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    422: InvalidRequestError,
    423: OrderLockedError,
    429: RateLimitedError,
}


def class_by_status(
    status: int, _errors: Sequence[ErrorInfo], rule: ErrorRule | None, operation_error: type[ApiError]
) -> type[ApiError]:
    """Choose the class of an error by its rule, else by the status: the default of a dialect."""
    if rule is not None:
        return rule.error or operation_error
    if status >= 500:
        return ServerError
    return STATUS_CLASSES.get(status, ApiError)


@frozen(kw_only=True)
class Dialect:
    """The settings and functions that differ from API to API."""

    #: What its operations' names begin with: ``ecom`` in ``ecom.capture``.
    name: str
    #: The header that carries an idempotency key.
    idempotency_header: str = "Idempotency-Key"
    #: The longest idempotency key, in characters.
    longest_key: int = 50
    #: Which payment an answer is about; None: it does not say.
    payment_of: Callable[[Any], str | None] = lambda _answer: None
    #: Reads one object of an error body in the API's own shape, its keys casefolded; empty: it is in another shape.
    read_error: Callable[[Mapping[str, Any]], Sequence[ErrorInfo]] = lambda _item: ()
    #: Looks an error up by its group and code; None: it is in no table.
    rule_for: Callable[[ErrorInfo], ErrorRule | None] = lambda _info: None
    #: Chooses the class of an error: by status, all errors, the rule that decides, and the class of the operation.
    error_class: Callable[[int, Sequence[ErrorInfo], ErrorRule | None, type[ApiError]], type[ApiError]] = (
        class_by_status
    )
    #: Whether an error that is in no table may be about an operation that took effect: it may, unless the API says not.
    may_tell_of_money: Callable[[ErrorInfo], bool] = lambda _info: True
    #: Whether an error's group is a word of the API, which may be shown as it is.
    is_known_group: Callable[[ErrorInfo], bool] = lambda info: not info.group
    #: Keys of JSON whose value is personal, beside those that are so everywhere; regular expressions.
    personal_keys: tuple[str, ...] = ()

    def is_permanent(self, error: ApiError) -> bool:
        """Whether the same operation would be refused again for ever, by the table of codes.

        Not so where the reason can pass: more may be reserved or captured later, and a field that Vipps calls wrong
        today may be mended at Vipps.
        """
        return not error.retryable and any(
            rule is not None and rule.permanent for rule in map(self.rule_for, error.errors)
        )
