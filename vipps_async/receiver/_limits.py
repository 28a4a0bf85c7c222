"""The limits of a receiver, in size, number and time, as one value; and its counters."""

from __future__ import annotations

from attrs import Attribute, field, frozen, mutable

from vipps_async.errors import InvalidInputError
from vipps_async.input_rules import check_seconds


def _check_count(_: object, attribute: Attribute[int], value: object) -> None:
    if type(value) is not int or not 1 <= value <= 1_000_000:
        raise InvalidInputError(attribute.name, "a whole number from 1 to 1,000,000", value=value)


def _check_seconds(_: object, attribute: Attribute[float], value: object) -> None:
    check_seconds(attribute.name, value)


@frozen(kw_only=True)
class Limits:
    """The limits of a receiver; times are in seconds.

    Vipps waits 3 seconds for the answer to an eCom callback, and 10 for ways of shipping (API guide, callbacks): the
    body, the journal and the way there and back have to fit in.

    Raises:
        InvalidInputError: one is no positive number.
    """

    max_body: int = field(default=64 * 1024, validator=_check_count)
    """The largest body that is read, in bytes: many times what Vipps sends, and nothing that could hurt."""
    max_handlers: int = field(default=100, validator=_check_count)
    """How many handlers may run at the same time. What comes on top is journalled and handled later; without a journal
    it is answered 503.
    """
    threads: int = field(default=8, validator=_check_count)
    """How many plain functions run at the same time, for notifications, and again for queries."""
    handler_timeout: float = field(default=300.0, validator=_check_seconds)
    """After how long a coroutine is cancelled. A plain function cannot be."""
    query_timeout: float = field(default=8.0, validator=_check_seconds)
    """How long a query's handler may take before Vipps is answered 503."""
    body_timeout: float = field(default=1.0, validator=_check_seconds)
    """How long a body may take to come in."""
    journal_timeout: float = field(default=1.5, validator=_check_seconds)
    """How long an event may take to become durable before Vipps is answered 503."""
    drain_timeout: float = field(default=10.0, validator=_check_seconds)
    """How long `serving` waits at its end for handlers that are still running."""
    cancel_timeout: float = field(default=2.0, validator=_check_seconds)
    """How long a handler that was cancelled then may still take."""
    redeliver_after: float = field(default=60.0, validator=_check_seconds)
    """After how long a handler that has failed is called again. Doubled with each failure up to 64 times as long."""


@mutable(kw_only=True)
class Counts:
    """The counters of a receiver."""

    received: int = 0
    """Requests that were authentic and well-formed."""
    invalid: int = 0
    """Requests that were not authentic or not well-formed, or came to an unknown path."""
    duplicates: int = 0
    """Events that were running or handled already."""
    rejected: int = 0
    """Requests that were answered 503 because there was no room, or nothing was serving."""
    not_journalled: int = 0
    """Events that the journal could not take; they were handled all the same, if there was room."""
    handled: int = 0
    """Handlers that succeeded."""
    failed: int = 0
    """Handlers that raised, ran out of time, were cut short, or were told by `confirm` that there is no outcome yet."""
    redelivered: int = 0
    """Events of an earlier time whose handlers were called again."""
