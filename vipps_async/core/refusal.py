"""Reads an answer that is no success: its errors, in whichever shape they came, and what kind of failure it is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson
from attrs import frozen

from vipps_async.core.backoff import read_retry_after
from vipps_async.core.clock import Clock
from vipps_async.core.decision import Failure
from vipps_async.core.error_codes import INTERNAL, LOCKED, TOO_MANY_CONCURRENT, error_class, has_code, rule_for
from vipps_async.core.redaction import redact
from vipps_async.errors import ApiError, ErrorInfo
from vipps_async.transports.protocol import Response

__all__ = ["Refusal", "parse_errors", "read_refusal"]

#: The longest error text that is kept of one error, in characters.
_LONGEST_TEXT = 500
#: How many errors of one answer are kept.
_MOST_ERRORS = 20
#: 4xx statuses that mean "not processed" whoever says so, Vipps, its gateway or a proxy before it.
_PLAIN_REFUSALS = frozenset({401, 403, 405, 406, 411, 413, 414, 415, 429, 431})


@frozen
class Refusal:
    """An answer that is no success."""

    failure: Failure
    error: ApiError


def read_refusal(response: Response, operation: str, clock: Clock, confidential: Iterable[str]) -> Refusal:
    """Turn an answer outside 2xx into an error and say what kind of failure it is."""
    errors = parse_errors(response.body, confidential)
    retry_after = read_retry_after(response.headers.get("retry-after"), clock.now())
    failure = _failure(response.status, errors)
    cls = error_class(response.status, errors, operation)
    rule = next((rule for rule in map(rule_for, errors) if rule is not None), None)
    text = "; ".join(str(info) for info in errors) or "no readable error text"
    return Refusal(
        failure,
        cls(
            f"Vipps answered HTTP {response.status}: {text}",
            status=response.status,
            errors=errors,
            retryable=failure in _RETRYABLE or (rule is not None and rule.retryable),
            retry_after=retry_after,
            advice=(rule.advice or None) if rule is not None else None,
        ),
    )


_RETRYABLE = frozenset({Failure.THROTTLED, Failure.LOCKED, Failure.UNKNOWN, Failure.CONFLICT})


def _failure(status: int, errors: tuple[ErrorInfo, ...]) -> Failure:
    for known, failure in (
        (has_code(errors, LOCKED), Failure.LOCKED),
        (has_code(errors, TOO_MANY_CONCURRENT), Failure.THROTTLED),
        (status == 401, Failure.UNAUTHORIZED),
        (status == 429, Failure.THROTTLED),
        (status in {423, 425}, Failure.LOCKED),
        (status == 409 and not any(map(rule_for, errors)), Failure.CONFLICT),
        # An internal error is no refusal, whatever status it came with: how far Vipps got is not known.
        (status == 408 or status >= 500 or has_code(errors, INTERNAL), Failure.UNKNOWN),
        (bool(errors) or status in _PLAIN_REFUSALS, Failure.REFUSED),
    ):
        if known:
            return failure
    return Failure.FOREIGN


def parse_errors(body: bytes, confidential: Iterable[str] = ()) -> tuple[ErrorInfo, ...]:
    """Read all errors of a body, in any of the shapes that Vipps and its gateway use.

    The shapes: a list of ``errorGroup``/``errorCode``/``errorMessage``; one such object; the gateway's
    ``statusCode``/``message`` and ``responseInfo``/``result``; OAuth's ``error``/``error_description``; RFC 7807.

    Returns:
        The errors, in order; none if the body is in no such shape (HTML of a proxy, nothing, cut short).
    """
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ()
    items = data if isinstance(data, list) else [data]
    found = [info for item in items[:_MOST_ERRORS] if isinstance(item, dict) for info in _read_item(item)][
        :_MOST_ERRORS
    ]
    known = tuple(confidential)
    return tuple(
        ErrorInfo(
            redact(info.group, confidential=known)[:_LONGEST_TEXT],
            redact(info.code, confidential=known)[:_LONGEST_TEXT],
            redact(info.message, confidential=known)[:_LONGEST_TEXT],
            redact(info.context_id, confidential=known)[:_LONGEST_TEXT] if info.context_id else None,
        )
        for info in found
    )


def _read_item(item: dict[str, Any]) -> list[ErrorInfo]:
    if "errorCode" in item or "errorGroup" in item or "errorMessage" in item:
        context = _text(item.get("contextId"))
        return [
            ErrorInfo(
                _text(item.get("errorGroup")),
                _text(item.get("errorCode")),
                _text(item.get("errorMessage")),
                context or None,
            )
        ]
    if isinstance(item.get("responseInfo"), dict):
        result = item.get("result")
        info = item["responseInfo"]
        message = _text(result.get("message")) if isinstance(result, dict) else ""
        return [ErrorInfo("", _text(info.get("responseCode")), message or _text(info.get("responseMessage")))]
    if "statusCode" in item and "message" in item:
        return [ErrorInfo("", _text(item["statusCode"]), _text(item["message"]))]
    if isinstance(item.get("error"), str):
        trace = _text(item.get("trace_id")) or _text(item.get("correlation_id"))
        return [ErrorInfo("", item["error"], _text(item.get("error_description")), trace or None)]
    if "title" in item or "detail" in item:
        return _read_problem(item)
    return []


def _read_problem(item: dict[str, Any]) -> list[ErrorInfo]:
    message = ": ".join(part for part in (_text(item.get("title")), _text(item.get("detail"))) if part)
    trace = _text(item.get("traceId")) or _text(item.get("contextId"))
    head = ErrorInfo("", _text(item.get("type")) or _text(item.get("status")), message, trace or None)
    details = item.get("extraDetails") or item.get("invalidParams") or item.get("errors")
    rest = [
        ErrorInfo("", _text(detail.get("name")), _text(detail.get("reason")))
        for detail in (details if isinstance(details, list) else [])[:_MOST_ERRORS]
        if isinstance(detail, dict)
    ]
    return [head, *rest]


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""
