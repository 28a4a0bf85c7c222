"""The bodies of refusals, in each of the shapes that Vipps and what stands before it use."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime

__all__ = [
    "Refusal",
    "SandboxError",
    "SandboxStateError",
    "gateway_refusal",
    "invalid_request",
    "management_refusal",
    "oauth_refusal",
    "problem_refusal",
    "vipps_refusal",
]


class SandboxError(Exception):
    """The sandbox was asked, from Python or its pages, for something that makes no sense there."""


class SandboxStateError(SandboxError):
    """The file that keeps the sandbox's state cannot be read or written. The text names it; it was not overwritten."""


class Refusal(Exception):  # noqa: N818 - an answer of the API, not a failure of the sandbox
    """A request that is answered with an error."""

    def __init__(self, status: int, body: object, *, headers: Mapping[str, str] | None = None, media: str = "") -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.body = body
        self.headers = dict(headers or {})
        self.media = media or "application/json;charset=UTF-8"


#: What each code says, and the HTTP status it comes with. Of 34, 35, 37, 62, 72 and the foreign sales unit the vendor's
#: words are known, from its pages and from what shops have logged; the other sentences are ours.
_CODES: dict[tuple[str, str], tuple[int, str]] = {
    ("Payment", "41"): (400, "The customer has no valid card"),
    ("Payment", "42"): (400, "The issuer refused the payment"),
    ("Payment", "44"): (400, "The issuer refused the payment: the card has expired"),
    ("Payment", "45"): (400, "User has cancelled or not acted upon the payment"),
    ("Payment", "51"): (400, "A captured payment cannot be cancelled"),
    ("Payment", "52"): (400, "The cancellation failed"),
    ("Payment", "61"): (400, "The capture exceeds what is reserved"),
    ("Payment", "62"): (400, "The amount you tried to capture is not reserved"),
    ("Payment", "63"): (400, "The capture failed"),
    ("Payment", "71"): (400, "The refund exceeds what is captured"),
    ("Payment", "72"): (400, "Cannot refund for reserved order, please use Cancel API"),
    ("Payment", "73"): (400, "A cancelled order cannot be refunded"),
    ("Payment", "74"): (400, "The refund failed at the account of the merchant"),
    ("Payment", "93"): (400, "The idempotency key was used before with another payload"),
    ("Payment", "95"): (400, "Too old to refund, or a direct capture that cannot be captured again"),
    ("Payment", "98"): (400, "Too old: captures and cancellations end 180 days after the reservation"),
    ("Payment", "99"): (500, "Internal error"),
    ("Payment", "1082"): (400, "The test user has not been verified by BankID"),
    ("Payment", "1501"): (400, "The customer is under 15 years old"),
    ("VippsError", "91"): (400, "This transaction is not allowed"),
    ("VippsError", "92"): (400, "The transaction was processed before"),
    ("VippsError", "94"): (409, "The order is locked by another operation"),
    ("VippsError", "99"): (500, "Internal error"),
    ("User", "81"): (400, "No Vipps user has this number, or the number is malformed"),
    ("User", "82"): (400, "The customer's version of the app does not support this payment"),
    ("Merchant", "21"): (400, "The request is invalid"),
    ("Merchant", "22"): (400, "The request is invalid"),
    ("Merchant", "31"): (400, "The merchant is blocked"),
    ("Merchant", "32"): (400, "The merchant's receiving limit is exceeded"),
    ("Merchant", "33"): (400, "The merchant's request limit is exceeded"),
    ("Merchant", "34"): (400, "orderId is already used, and must be unique"),
    ("Merchant", "35"): (404, "Requested Order not found"),
    ("Merchant", "36"): (400, "The merchant's agreement is not signed"),
    ("Merchant", "37"): (400, "Merchant not available or deactivated or blocked"),
    ("Merchant", "38"): (400, "The sales unit may not skip the landing page"),
    ("Merchant", "39"): (400, "The merchant may not make long-living payment requests"),
    ("Merchant", "51"): (403, "The sales unit may not ask for the national identity number"),
    ("Merchant", "97"): (400, "The merchant is not allowed to take payments"),
    ("Merchant", "99"): (500, "Internal error"),
    ("Merchant", "Unauthorized"): (403, "This MSN is not valid for the provided super merchant id"),
}


def _error(group: str, code: str, message: str) -> dict[str, str]:
    return {"errorGroup": group, "errorCode": code, "errorMessage": message, "contextId": str(uuid.uuid4())}


def vipps_refusal(
    group: str, code: str, reason: str = "", *, order_id: str = "", msn: str = "", status: int | None = None
) -> Refusal:
    """Return a refusal of the API itself: an array with one error, and a reason behind what the code says.

    With order and sales unit in the text, if given, and the status that the code comes with, unless one is given.
    """
    usual, message = _CODES[group, code]
    whose = ", ".join(
        f"{name}: {value}" for name, value in (("orderId", order_id), ("merchantSerialNumber", msn)) if value
    )
    text = f"{message} ({whose})" if whose else message
    return Refusal(status or usual, [_error(group, code, f"{text}: {reason}" if reason else text)])


def error_text(group: str, code: str) -> str:
    """Return the sentence that goes with a code."""
    return _CODES[group, code][1]


def invalid_request(breaches: Sequence[tuple[str, str]], *, status: int = 400) -> Refusal:
    """Return a refusal of fields: an array with an error for each, the field's name as its code."""
    return Refusal(status, [_error("InvalidRequest", name, message) for name, message in breaches])


def gateway_refusal(status: int, message: str, *, headers: Mapping[str, str] | None = None) -> Refusal:
    """Return a refusal of the gateway in its short shape, as for a wrong subscription key."""
    return Refusal(status, {"statusCode": status, "message": message}, headers=headers)


def management_refusal(status: int, reason: str, message: str, *, code: int | None = None) -> Refusal:
    """Return a refusal of the gateway in its long shape, as for a token that is not valid; `code` is the status."""
    return Refusal(
        status,
        {"responseInfo": {"responseCode": code or status, "responseMessage": reason}, "result": {"message": message}},
    )


def oauth_refusal(status: int, error: str, number: int, description: str, now: datetime) -> Refusal:
    """Return a refusal of the token endpoint."""
    trace, correlation = str(uuid.uuid4()), str(uuid.uuid4())
    return Refusal(
        status,
        {
            "error": error,
            "error_description": f"AADSTS{number}: {description}",
            "error_codes": [number],
            "timestamp": now.strftime("%Y-%m-%d %H:%M:%SZ"),
            "trace_id": trace,
            "correlation_id": correlation,
        },
    )


def problem_refusal(status: int, title: str, detail: str) -> Refusal:
    """Return a refusal in the shape of RFC 7807, which the newer APIs use."""
    return Refusal(
        status,
        {"type": "about:blank", "title": title, "status": status, "detail": detail, "instance": str(uuid.uuid4())},
        media="application/problem+json",
    )
