"""The options of a session view: sales unit, time-outs, deadline and further headers, all checked."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Final

from attrs import evolve, frozen

from vipps_async.config import Settings, Timeouts
from vipps_async.errors import InvalidInputError
from vipps_async.input_rules import HEADER_VALUE, check_seconds

#: A deadline in seconds: what one attempt, and the look-up after it, take at the very least, and a day.
_SHORTEST_DEADLINE, _LONGEST_DEADLINE = 0.1, 86_400.0
#: What a header may be called (RFC 9110 5.6.2).
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: Headers that say who calls, what is sent, how it is framed and what is read: the SDK's own, or the transport's.
_OWN: Final = frozenset(
    {
        "accept",
        "accept-encoding",
        "authorization",
        "client_id",
        "client_secret",
        "connection",
        "cookie",
        "expect",
        "host",
        "keep-alive",
        "merchant-serial-number",
        "ocp-apim-subscription-key",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_OWN_PREFIXES: Final = ("content-", "proxy-", "vipps-system-")


@frozen(kw_only=True)
class CallOptions:
    """The differences between a view and the session it is of; nothing by default."""

    #: The sales unit; None: the session's own.
    merchant_serial_number: str | None = None
    #: How long one attempt may take; None: as long as the session's.
    timeouts: Timeouts | None = None
    #: How long a call may take in all, in seconds; None: as long as the session's.
    deadline: float | None = None
    #: Further headers: names and values. They may be confidential.
    headers: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        return f"<CallOptions of {self.merchant_serial_number or 'the session'}, {len(self.headers)} headers>"

    def with_headers(self, headers: tuple[tuple[str, str], ...]) -> CallOptions:
        """Return the same with further headers; one of a name that is there already takes its place."""
        named = {name.lower(): (name, value) for name, value in (*self.headers, *headers)}
        return evolve(self, headers=tuple(named[name] for name in sorted(named)))

    def applied_to(self, settings: Settings) -> Settings:
        """Return a session's settings with these differences."""
        msn, retry = self.merchant_serial_number or settings.merchant_serial_number, settings.retry
        if self.deadline is not None:
            retry = evolve(retry, deadline=self.deadline)
        timeouts = self.timeouts or settings.timeouts
        return evolve(settings, merchant_serial_number=msn, retry=retry, timeouts=timeouts)


def checked_timeouts(timeout: object, session: Timeouts) -> Timeouts:
    """Return the time-outs of an attempt, given whole or as the seconds of the attempt.

    Raises:
        InvalidInputError: it is neither.
    """
    if isinstance(timeout, Timeouts):
        return timeout
    seconds = check_seconds("timeout", timeout)
    return Timeouts(connect=min(session.connect, seconds), read=seconds, total=seconds)


def checked_deadline(deadline: object) -> float:
    """Return a deadline in seconds.

    Raises:
        InvalidInputError: it is shorter than any attempt, or longer than a day.
    """
    is_number = isinstance(deadline, int | float) and not isinstance(deadline, bool)
    if not is_number or not _SHORTEST_DEADLINE <= float(deadline) <= _LONGEST_DEADLINE:  # type: ignore[arg-type]
        rule = f"a number of seconds from {_SHORTEST_DEADLINE} (an attempt takes no less) to {_LONGEST_DEADLINE:.0f}"
        raise InvalidInputError("deadline", rule, value=deadline)
    return float(deadline)  # type: ignore[arg-type]


def checked_headers(headers: object, *, idempotency_headers: Collection[str]) -> tuple[tuple[str, str], ...]:
    """Return headers that calls may have beside the SDK's own. No error shows a value.

    Args:
        headers: names and values.
        idempotency_headers: those that carry the idempotency keys of the APIs.

    Raises:
        InvalidInputError: a name is none of HTTP's, is there twice, or belongs to the SDK; or a value is no printable
            ASCII text (a line break would begin another header).
    """
    if not isinstance(headers, Mapping):
        raise InvalidInputError("headers", "a mapping of names to values", secret=True)
    own = _OWN.union(name.lower() for name in idempotency_headers)
    found: dict[str, tuple[str, str]] = {}
    for name, value in headers.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise InvalidInputError("headers", "named by letters, digits and hyphens", value=name)
        lower = name.lower()
        if lower in own or lower.startswith(_OWN_PREFIXES):
            raise InvalidInputError("headers", f"without {name}, which the SDK sets itself", secret=True)
        if lower in found:
            raise InvalidInputError("headers", f"given once each: {name} is there twice", secret=True)
        if not isinstance(value, str) or not HEADER_VALUE.fullmatch(value):
            rule = f"printable ASCII text without line breaks, also {name}"
            raise InvalidInputError("headers", rule, secret=True)
        found[lower] = (name, value)
    return tuple(found.values())
