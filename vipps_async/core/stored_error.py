"""Stored refusals: which are permanent, and how they, and drops, are written to the journal and read again."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

import orjson

from vipps_async import errors
from vipps_async.core.dialect import Dialect
from vipps_async.core.token import is_about_token
from vipps_async.errors import ApiError, ErrorInfo
from vipps_async.journals.entries import Attempts, Outcome, Settlement


def is_permanent(error: ApiError, dialect: Dialect) -> bool:
    """Whether the same operation would be refused again for ever, by the dialect's table of codes."""
    return not is_about_token(error) and dialect.is_permanent(error)


def write_stored_error(error: ApiError) -> bytes:
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


def write_drop(at: datetime) -> bytes:
    """Render that somebody has decided that an operation is never sent again, in place of its last refusal."""
    dropped = ApiError("it was dropped before it was known to have taken effect", status=0)
    # First of all the time: it tells a drop from a refusal, see `Attempts.is_dropped`.
    return orjson.dumps({"dropped_at": at, **orjson.loads(write_stored_error(dropped))})


def dropped_text(attempts: Attempts) -> str:
    """Return when an operation was dropped, as text; empty: it was not."""
    if not attempts.is_dropped:
        return ""
    try:
        at = datetime.fromisoformat(orjson.loads(attempts.refusal)["dropped_at"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return "dropped by hand"
    return f"dropped by hand on {at:%Y-%m-%d %H:%M:%S} UTC"


def stored_error(answer: bytes, since: datetime) -> ApiError | None:
    """Rebuild the error that an entry's last attempt was refused with; None: it was not refused."""
    if not answer:
        return None
    return read_stored_error(Settlement(outcome=Outcome.NOT_DONE, answer=answer, settled_at=since), ApiError)


def read_stored_error(settlement: Settlement, plain: type[ApiError]) -> ApiError:
    """Rebuild the error of a stored refusal: a new object each time, since callers add to it.

    Args:
        settlement: what the journal has.
        plain: the class of the error if the record, of another version, cannot be read.
    """
    since = f"on record since {settlement.settled_at:%Y-%m-%d %H:%M:%S} UTC, nothing was sent now"
    try:
        record = cast("dict[str, Any]", orjson.loads(settlement.answer))
        cls = getattr(errors, str(record["class"]), None)
        infos = tuple(ErrorInfo(str(group), str(code), str(text), ref) for group, code, text, ref in record["errors"])
        message, status, advice = str(record["message"]), int(record["status"]), str(record["advice"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return plain(f"Vipps refused it, for a reason that cannot be read; {since}", status=0)
    if not (isinstance(cls, type) and issubclass(cls, ApiError)):
        cls = plain
    advice = f"{advice}; use a new idempotency key for a new try" if advice else ""
    return cls(f"{message}; {since}", status=status, errors=infos, advice=advice or None)
