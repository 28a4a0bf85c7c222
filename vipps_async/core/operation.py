"""Operations and calls as values: all that core needs to send, repeat and reconcile a request."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Coroutine
from typing import Any, Generic, Protocol, TypeVar, cast
from urllib.parse import quote

from attrs import evolve, field, frozen

from vipps_async.core.dialect import Dialect
from vipps_async.errors import ApiError, VippsError
from vipps_async.journals.entries import KeyOrigin

R = TypeVar("R")
A = TypeVar("A")

#: What stands in a URL for itself (RFC 3986 2.3).
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]+")


class Repeat(enum.Enum):
    """How an operation may be repeated when its outcome is not known (see core/retry.py for the table)."""

    #: A read: repeat at will.
    SAFE = "safe"
    #: Vipps recognises the idempotency key: repeat with the same key and the same bytes.
    KEYED = "keyed"
    #: No key, but done twice it does no more than once: ask details first, then repeat.
    CONFIRM = "confirm"
    #: Not idempotent: ask details first; repeat only if it is proven absent.
    ONCE = "once"


class SettledBy(enum.Enum):
    """What a result rests on."""

    ANSWER = "answer"
    """Vipps' own answer to the request."""
    CONFIRMED = "confirmed answer"
    """Vipps' own answer, which alone did not prove it, and the payment's history, which does."""
    HISTORY = "history"
    """The answer got lost, or could not be used; the payment's history proves the outcome."""
    JOURNAL = "journal"
    """The outcome was on record in the journal; nothing was sent."""
    EARLIER_CALL = "earlier call"
    """An equal call that was under way brought it."""


@frozen
class NoContent:
    """The result of an operation whose response body is ignored."""


@frozen(kw_only=True)
class Operation(Generic[R]):
    """One operation of a Vipps API, as declared in that API's folder."""

    #: The API that it belongs to.
    dialect: Dialect
    #: Its name within the API, as in the method that a user calls: ``capture``.
    verb: str
    #: The HTTP method.
    method: str
    #: The path with one placeholder at most, such as ``/payments/{}/capture``.
    path: str
    #: The class that the answer is read into.
    result: type[R]
    #: How it may be repeated.
    repeat: Repeat
    #: Whether it changes what a payment has moved; see `Intent`. Not so what makes a payment.
    adjusts: bool = True
    #: The class of an error that belongs to the operation itself.
    error: type[ApiError] = ApiError
    #: How many attempts a minute Vipps takes for one payment; None: no published limit.
    per_minute: int | None = None
    #: Says in what a result differs from what the call asked for; None: whatever can be read is right. Its own result
    #: None means that it fits.
    misfit: Callable[[Call[R], R], str | None] | None = None
    #: Says why a result that fits does not prove that this call brought it, so that the history is looked at; None: an
    #: answer of success proves it. Its own result None means that this one does.
    unproven: Callable[[Call[R], R], str | None] | None = None
    #: Puts into a result what the call asked for where the answer does not repeat it; None: the answer says all.
    complete: Callable[[Call[R], R], R] | None = None
    #: Whether it is sent with a token; fetching the token itself is not.
    authenticated: bool = True
    #: Whether the subscription key is sent; not every API wants it.
    subscription_key: bool = True
    #: Its name in journals, logs, limits and reports: ``ecom.capture``.
    name: str = field(init=False)

    def __attrs_post_init__(self) -> None:
        # Put together once: each call asks for it several times.
        object.__setattr__(self, "name", f"{self.dialect.name}.{self.verb}")

    def path_for(self, segment: str) -> str:
        """Fill the placeholder with one path segment, percent-encoded so that it stays one segment."""
        # Nearly all ids are of these characters alone.
        encoded = segment if _UNRESERVED.fullmatch(segment) else quote(segment, safe="")
        return self.path.replace("{}", encoded)


@frozen(kw_only=True)
class MoneyOperation(Operation[R]):
    """An operation that moves the money of a payment, or releases what is reserved of it."""

    #: What the payment's history at this API calls it when it is done.
    in_history: frozenset[str]
    #: Whether it is given an amount and a key, which stand in the history beside it. Not so a cancel.
    has_amount: bool = True


@frozen
class Applied(Generic[R]):
    """The history proves that the operation took effect."""

    result: R
    #: In what it differs from what was asked for, with both amounts; empty: in nothing.
    misfit: str = ""


@frozen
class NotApplied:
    """The history does not have the operation as successful, at the time of asking. It may have it later."""

    #: Why, on one line.
    reason: str
    #: How many attempts the history has as failed. Each is the end of that attempt, not of its key.
    failed: int = 0
    #: Whether the history shows what excludes it for good: it has not taken effect, and no request that arrives later
    #: can, since what excludes it never goes away.
    excluded: bool = False


@frozen
class Inconclusive:
    """The response to the lookup proves neither."""

    reason: str
    #: Why there was no answer to read; None: there was one, or it did not come in time.
    error: VippsError | None = field(default=None, eq=False, repr=False)


Evidence = Applied[R] | NotApplied | Inconclusive


@frozen(kw_only=True)
class Reconciliation(Generic[R, A]):
    """How to find out afterwards whether a call took effect: what to look up, and how to interpret the answer."""

    #: The read; its operation is SAFE.
    lookup: Call[A]
    #: Reads the answer as evidence.
    interpret: Callable[[A], Evidence[R]]
    #: Reads a refusal of the lookup itself; an unknown payment may prove that it was never made.
    interpret_refusal: Callable[[ApiError], Evidence[R]]


@frozen(kw_only=True)
class AuditInfo:
    """What a journal keeps of a call that moves money, or makes a payment."""

    #: Minor units; None: all that remains, or no amount.
    amount: int | None
    currency: str
    #: Whether the request's body may be kept, to send it again: not if it holds personal data.
    keep_body: bool = True
    #: Whether the answer may be kept: not if it holds a token.
    keep_answer: bool = True
    #: Who chose the idempotency key.
    origin: KeyOrigin = KeyOrigin.MADE
    #: What a row of a batch calls itself; empty: nothing.
    reference: str = ""


@frozen(kw_only=True)
class Call(Generic[R]):
    """An operation with its arguments: what is sent, once or, if need be, several times."""

    operation: Operation[R]
    #: The path of the URL, placeholders filled and percent-encoded.
    path: str
    #: The payment that it concerns, for logs, errors and the limits per payment.
    payment: str | None = None
    #: The attrs model to send as JSON, rendered once; None: no body.
    body: object = field(default=None, repr=False)
    #: The idempotency key, made once and kept over every attempt.
    idempotency_key: str | None = None
    #: Makes what is needed to find out afterwards, to which hardly any call comes; None: there is no way.
    make_reconciliation: Callable[[], Reconciliation[R, Any]] | None = field(default=None, repr=False)
    #: What a journal keeps of it; None: it is not journalled.
    audit: AuditInfo | None = field(default=None, repr=False)
    #: Whether it is a row of a batch, which holds a place that others wait for.
    is_row: bool = False
    #: Values that must never appear in an error's text: phone numbers, tokens.
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def reconciliation(self) -> Reconciliation[R, Any] | None:
        """How to find out afterwards; None: there is no way."""
        return None if self.make_reconciliation is None else self.make_reconciliation()


def mark_settled_by(result: R, how: SettledBy) -> R:
    """Return a result that says what it rests on, if its class has a place for it."""
    if not hasattr(result, "settled_by"):
        return result
    return cast("R", evolve(cast("Any", result), settled_by=how))


class Runner(Protocol):
    """Runs calls: the pipeline, the recorder, or a script in a test."""

    # Not `async`: what passes calls on need not be a coroutine of its own.
    def run(self, call: Call[R]) -> Coroutine[Any, Any, R]:
        """Run a call to its end and return its result.

        Raises:
            vipps_async.errors.VippsError: see the pipeline.
        """
        ...
