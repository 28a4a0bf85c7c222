"""Maps an HTTP error response to an exception and a failure kind.

The kind is decided on what was received: by the codes first, then by the status. Only what is shown is redacted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any

from attrs import frozen

from vipps_async.answers import LastAnswer
from vipps_async.core.clock import Clock
from vipps_async.core.dialect import Dialect, ErrorRule, FailureKind
from vipps_async.core.error_body import ErrorBody, read_error_body
from vipps_async.core.last_answer import shown_headers
from vipps_async.core.operation import Operation
from vipps_async.core.redaction import redact
from vipps_async.errors import ApiError, Effect, ErrorInfo
from vipps_async.transports.protocol import Response

#: The longest wait that is understood, in seconds: a year. Whoever asks for more is taken to ask for this, which is
#: longer than any call may take; taking it for unreadable would mean coming back at once.
_LONGEST_WAIT = 365 * 86_400.0
#: Statuses by which it is not the payment that was looked at: keys, limits, a server in trouble.
_NOT_ABOUT_PAYMENT = frozenset({401, 403, 408, 425, 429})
#: The longest text that is looked at as a date, in characters; one of HTTP has 29.
_LONGEST_DATE = 100
#: The longest error text that is kept of one error, in characters.
_LONGEST_TEXT = 500
#: The longest description of a body that is no JSON, in characters.
_LONGEST_KIND = 200
#: 4xx statuses that mean "not processed" whoever says so, Vipps, its gateway or a proxy before it.
_PLAIN_REFUSALS = frozenset({401, 403, 405, 406, 411, 413, 414, 415, 429, 431})
_RETRYABLE = frozenset(
    {FailureKind.THROTTLED, FailureKind.LOCKED, FailureKind.UNKNOWN, FailureKind.CONFLICT, FailureKind.UNSETTLED}
)
_SETTLES_NOTHING = (
    "the answer settles nothing: look the payment up, then repeat it with the same idempotency key, never with a new "
    "one"
)
#: Frees a text of what must not be shown.
Show = Callable[[str], str]
_FIREWALL = (
    "look the payment up, as a filter may have kept Vipps' answer back; then look at the firewall or proxy between "
    "here and Vipps, and at what in the request looks like an attack to it: the keys are not the reason"
)


@frozen
class Refusal:
    """An HTTP error response, classified."""

    failure: FailureKind
    error: ApiError
    #: Whether it is evidence that an attempt under this key took effect: such a key has been processed before.
    suggests_effect: bool = False


def read_refusal(
    response: Response, operation: Operation[Any], clock: Clock, secrets: Iterable[str], *, payment: str = ""
) -> Refusal:
    """Turn a response outside 2xx into an error and a kind of failure.

    Args:
        response: the answer.
        operation: what was asked for.
        clock: the local time, for a date in `Retry-After`.
        secrets: values that must not stand in the error.
        payment: the id of the payment, which may.
    """
    status, dialect = response.status, operation.dialect
    show = partial(redact, secrets=tuple(secrets), personal_keys=dialect.personal_keys, payment=payment)
    body = read_error_body(response.body, dialect.read_error)
    rules = [rule for rule in map(dialect.rule_for, body.errors) if rule is not None]
    failure = _failure(status, body, rules, dialect)
    suggests_effect = any(rule.suggests_effect for rule in rules)
    # What settles nothing outranks what is refused beside it.
    rule = next((rule for rule in rules if rule.unsettled), next(iter(rules), None))
    shown = tuple(_redacted(info, show, dialect) for info in body.errors)
    error = dialect.error_class(status, body.errors, rule, operation.error)(
        _message(status, body, shown, show),
        status=status,
        errors=shown,
        retryable=_is_retryable(failure, rule),
        retry_after=read_retry_after(response.headers.get("retry-after"), clock.now()),
        body=_shown(body, show) if body.json is not None else "",
        effect=_effect(failure, suggests_effect=suggests_effect),
        advice=_advice(failure, status, body, rule),
    )
    text = error.body or _shown(body, show)
    error.response = LastAnswer(status=status, headers=shown_headers(response.headers, show), body=text)
    return Refusal(failure, error, suggests_effect)


def _is_retryable(failure: FailureKind, rule: ErrorRule | None) -> bool:
    if failure is FailureKind.UNSETTLED and rule is not None and rule.unsettled:
        return rule.retryable
    return failure in _RETRYABLE or (rule is not None and rule.retryable)


def shown_body(body: bytes, dialect: Dialect, secrets: Iterable[str]) -> str:
    """Return a response body as it may be shown: JSON redacted; of any other its kind and length.

    Names and phone numbers stand in XML, forms and free text where no key tells what they are.
    """
    show = partial(redact, secrets=tuple(secrets), personal_keys=dialect.personal_keys)
    return _shown(read_error_body(body, dialect.read_error), show)


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


def _failure(status: int, body: ErrorBody, rules: list[ErrorRule], dialect: Dialect) -> FailureKind:
    kinds = {rule.kind for rule in rules}
    for known, failure in (
        # Any 402 is answered like this by the vendor's rule, whatever stands in it.
        (status == 402 or any(rule.unsettled for rule in rules), FailureKind.UNSETTLED),
        (FailureKind.LOCKED in kinds, FailureKind.LOCKED),
        (FailureKind.THROTTLED in kinds, FailureKind.THROTTLED),
        # Before anything of the request is looked at.
        (status == 401, FailureKind.UNAUTHORIZED),
        # A code that Vipps has added later: whether it is a refusal cannot be known.
        (
            any(dialect.may_tell_of_money(info) and dialect.rule_for(info) is None for info in body.errors),
            FailureKind.UNSETTLED,
        ),
        (status == 429, FailureKind.THROTTLED),
        (status in {423, 425}, FailureKind.LOCKED),
        (status == 409 and not rules, FailureKind.CONFLICT),
        (status == 408 or status >= 500, FailureKind.UNKNOWN),
        # A filter may have looked at Vipps' answer, and not at the request.
        (_is_firewall(status, body), FailureKind.FOREIGN),
        (body.in_vipps_words or status in _PLAIN_REFUSALS, FailureKind.REFUSED),
    ):
        if known:
            return failure
    return FailureKind.FOREIGN


def _effect(failure: FailureKind, *, suggests_effect: bool) -> Effect:
    if not failure.doubtful:
        return Effect.NONE
    return Effect.PROBABLE if suggests_effect else Effect.POSSIBLE


def _advice(failure: FailureKind, status: int, body: ErrorBody, rule: ErrorRule | None) -> str | None:
    if failure is FailureKind.UNSETTLED and not (rule is not None and rule.unsettled):
        return _SETTLES_NOTHING
    if _is_firewall(status, body):
        return _FIREWALL
    return (rule.advice or None) if rule is not None else None


def _is_firewall(status: int, body: ErrorBody) -> bool:
    return status == 403 and body.is_html


def _message(status: int, body: ErrorBody, shown: tuple[ErrorInfo, ...], show: Show) -> str:
    if _is_firewall(status, body):
        return f"HTTP 403: refused by something between here and Vipps ({_shown(body, show)})"
    text = "; ".join(filter(None, map(str, shown)))
    if not text:
        text = "no readable error text"
        text += f" ({_shown(body, show)})" if body.json is None else ""
    return f"Vipps answered HTTP {status}: {text}"


def is_about_payment(error: ApiError) -> bool:
    """Return whether a refusal is about the payment, and not about the keys, a limit or a server in trouble."""
    return error.status < 500 and error.status not in _NOT_ABOUT_PAYMENT


def _shown(body: ErrorBody, show: Show) -> str:
    if body.json is not None:
        return show(body.json.decode("utf-8", "replace"))
    return show(body.kind)[:_LONGEST_KIND]


def _redacted(info: ErrorInfo, show: Show, dialect: Dialect) -> ErrorInfo:
    def clean(text: str) -> str:
        return show(text)[:_LONGEST_TEXT]

    # Groups and codes that stand in the tables are words of the API, and a program goes by them.
    is_known = dialect.is_known_group(info)
    has_rule = is_known and dialect.rule_for(info) is not None and "." not in info.code
    return ErrorInfo(
        info.group if is_known else clean(info.group),
        info.code if has_rule else clean(info.code),
        clean(info.message),
        clean(info.context_id) if info.context_id else None,
    )
