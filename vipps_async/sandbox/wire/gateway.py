"""The refusals of the API gateway, in its two shapes, and of the token endpoint."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime

from vipps_async.sandbox.ledger.reasons import Reason, Refused
from vipps_async.sandbox.wire.face import Answer, Refusal


def gateway_refusal(status: int, message: str, *, headers: Mapping[str, str] | None = None) -> Refusal:
    """Return a refusal of the gateway in its short shape, as for a wrong subscription key."""
    return Refusal(status, {"statusCode": status, "message": message}, headers=headers)


def throttled(wait: int) -> Answer:
    """Return the refusal of a call too many, with the whole seconds to wait; 0: without a word on that."""
    if not wait:
        return gateway_refusal(429, "Rate limit is exceeded.").answer
    text = f"Rate limit is exceeded. Try again in {wait} seconds."
    return gateway_refusal(429, text, headers={"Retry-After": str(wait)}).answer


def management_refusal(status: int, reason: str, message: str, *, code: int | None = None) -> Refusal:
    """Return a refusal of the gateway in its long shape, as for a token that is not valid; `code` is the status."""
    info = {"responseCode": code or status, "responseMessage": reason}
    return Refusal(status, {"responseInfo": info, "result": {"message": message}})


def unauthorised() -> Refusal:
    """Return the answer to a token that is missing, malformed, forged or expired."""
    text = "Something went wrong, please try again later (the access token is missing, not valid or expired)"
    return management_refusal(401, "Unauthorized", text)


def foreign_sales_unit(msn: str) -> Refusal:
    """Return the answer to partner keys that name no sales unit of theirs, in eCom's shape at every API."""
    text = f"This MSN is not valid for the provided super merchant id (merchantSerialNumber: {msn})"
    error = {"errorGroup": "Merchant", "errorCode": "Unauthorized", "errorMessage": text}
    return Refusal(403, [{**error, "contextId": str(uuid.uuid4())}])


def oauth_refusal(status: int, error: str, number: int, description: str, now: datetime) -> Refusal:
    """Return a refusal of the token endpoint."""
    return Refusal(
        status,
        {
            "error": error,
            "error_description": f"AADSTS{number}: {description}",
            "error_codes": [number],
            "timestamp": now.strftime("%Y-%m-%d %H:%M:%SZ"),
            "trace_id": str(uuid.uuid4()),
            "correlation_id": str(uuid.uuid4()),
        },
    )


def problem_refusal(status: int, title: str, detail: str) -> Refusal:
    """Return a refusal in the shape of RFC 7807, which the newer APIs use."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, "instance": str(uuid.uuid4())}
    return Refusal(status, body, media="application/problem+json")


def refused_by_gateway(refused: Refused) -> Answer | None:
    """Return the gateway's answer to what it is that refuses; None: the API does."""
    return throttled(refused.wait) if refused.reason is Reason.TOO_MANY_CALLS else None
