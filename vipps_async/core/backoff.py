"""How long to pause before the next attempt: exponential back-off with full jitter, and `Retry-After`."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from random import Random

from vipps_async.config import RetryPolicy

__all__ = ["pause_before", "read_retry_after"]

#: The longest wait that is understood, in seconds: a year. Whoever asks for more is heard as asking for this, which is
#: longer than any call may take; taking it for unreadable would mean coming back at once.
_LONGEST_WAIT = 365 * 86_400.0
#: The longest text that is looked at as a date, in characters; one of HTTP has 29.
_LONGEST_DATE = 100


def pause_before(retry: int, policy: RetryPolicy, random: Random, *, throttled: bool) -> float:
    """Draw the pause before the n-th retry.

    Full jitter, from nothing up to the whole step: many clients that failed together must not come back together.

    Args:
        retry: 1 for the first retry.
        policy: gives the step and the cap.
        random: where the draw comes from.
        throttled: whether Vipps said that it is asked too often; then the step is longer.

    Returns:
        Seconds.
    """
    step = policy.throttled_base if throttled else policy.base
    return random.uniform(0.0, min(policy.cap, step * 2.0 ** (retry - 1)))


def read_retry_after(value: str | None, now: datetime) -> float | None:
    """Read a `Retry-After` header: seconds, or a date (RFC 9110, section 10.2.3).

    Returns:
        Seconds from now, at least 0; None if there is no header or it cannot be read.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.replace(".", "", 1).isdigit():
        return min(float(text), _LONGEST_WAIT)
    if len(text) > _LONGEST_DATE:
        return None
    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        seconds = (moment - now).total_seconds()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return min(max(0.0, seconds), _LONGEST_WAIT)
