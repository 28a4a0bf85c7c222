"""Refusals as a journal keeps them: which ones last, and how they are written down and raised again."""

from __future__ import annotations

from typing import Any, cast

import orjson

from vipps_async import errors
from vipps_async.core.error_codes import rule_for
from vipps_async.errors import (
    ApiError,
    CancelError,
    CaptureError,
    DuplicateOrderError,
    ErrorInfo,
    IdempotencyMismatchError,
    InvalidRequestError,
    RefundError,
)
from vipps_async.journals.protocol import Settlement

__all__ = ["is_lasting", "read_refusal_record", "write_refusal_record"]

#: Refusals of the operation itself. All others (keys, limits, the merchant's agreement, a server in trouble) can pass,
#: and then the same key may be sent again.
_LASTING = (
    CaptureError,
    CancelError,
    RefundError,
    DuplicateOrderError,
    IdempotencyMismatchError,
    InvalidRequestError,
)


def is_lasting(error: ApiError) -> bool:
    """Whether the same operation would be refused again for ever.

    Not so where the reason can pass: nothing is reserved yet, or the merchant's account could not pay just then.
    """
    if not isinstance(error, _LASTING) or error.retryable:
        return False
    return not any(rule is not None and rule.can_pass for rule in map(rule_for, error.errors))


def write_refusal_record(error: ApiError) -> bytes:
    """Render a refusal; its texts have been freed of personal data when it was read."""
    return orjson.dumps(
        {
            "class": type(error).__name__,
            "message": error.message,
            "status": error.status,
            "advice": error.advice,
            "errors": [[info.group, info.code, info.message, info.context_id] for info in error.errors],
        }
    )


def read_refusal_record(settlement: Settlement) -> ApiError:
    """Make the error again that a refusal was; one that cannot be read becomes a plain ApiError."""
    try:
        record = cast("dict[str, Any]", orjson.loads(settlement.answer))
        cls = getattr(errors, str(record["class"]))
        infos = tuple(ErrorInfo(*item) for item in record["errors"])
        message, status, advice = str(record["message"]), int(record["status"]), str(record["advice"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError):
        cls, infos, message, status, advice = ApiError, (), "refused", 0, ""
    if not (isinstance(cls, type) and issubclass(cls, ApiError)):
        cls = ApiError
    return cls(
        f"{message}; on record since {settlement.settled_at:%Y-%m-%d %H:%M:%S} UTC, nothing was sent now",
        status=status,
        errors=infos,
        advice=f"{advice}; use a new idempotency key for a new try" if advice else None,
    )
