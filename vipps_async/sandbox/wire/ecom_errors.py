"""eCom's errors: groups and codes for the ledger's reasons, what each says, and the shapes of their bodies."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from vipps_async.sandbox.ledger.reasons import Reason, Refused
from vipps_async.sandbox.wire.face import Answer, Refusal
from vipps_async.sandbox.wire.gateway import refused_by_gateway

__all__ = ["FAILED_CODES", "UNIT_CODES", "code_of", "error_text", "invalid_request", "refusal_for", "vipps_refusal"]

#: Operation → the code of the group Payment that says it failed.
FAILED_CODES = {"capture": "63", "cancel": "52", "refund": "74"}
#: Codes of the group Merchant that a sales unit's initiates can be made to be refused with.
UNIT_CODES = ("21", "22", "31", "32", "33", "36", "37", "39", "97")

#: Reason → group and code. What fails by a fault has another code for each operation.
_REASONS = {
    Reason.REFERENCE_USED: ("Merchant", "34"),
    Reason.UNKNOWN_PAYMENT: ("Merchant", "35"),
    Reason.KEY_REUSED: ("Payment", "93"),
    Reason.NOT_RESERVED: ("Payment", "62"),
    Reason.ENDED: ("VippsError", "91"),
    Reason.CAPTURED_AT_ONCE: ("Payment", "95"),
    Reason.MORE_THAN_RESERVED: ("Payment", "61"),
    Reason.RESERVED_TOO_LONG_AGO: ("Payment", "98"),
    Reason.NOTHING_CAPTURED: ("Payment", "72"),
    Reason.NEVER_CAPTURED: ("Payment", "73"),
    Reason.MORE_THAN_CAPTURED: ("Payment", "71"),
    Reason.TOO_OLD_TO_REFUND: ("Payment", "95"),
    Reason.ENDED_BEFORE: ("VippsError", "92"),
    Reason.RESERVATION_UNKNOWN: ("Payment", "52"),
    Reason.CAPTURED: ("Payment", "51"),
    Reason.APPROVED_BEFORE: ("VippsError", "92"),
    Reason.NOT_TO_BE_FORCED: ("VippsError", "91"),
    Reason.BANK_REFUSED: ("Payment", "42"),
    Reason.NO_VALID_CARD: ("Payment", "41"),
    Reason.CARD_EXPIRED: ("Payment", "44"),
    Reason.NOT_ACTED_UPON: ("Payment", "45"),
    Reason.NO_SUCH_CUSTOMER: ("User", "81"),
    Reason.APP_TOO_OLD: ("User", "82"),
    Reason.CUSTOMER_UNVERIFIED: ("Payment", "1082"),
    Reason.CUSTOMER_UNDER_AGE: ("Payment", "1501"),
    Reason.UNIT_NOT_AVAILABLE: ("Merchant", "37"),
    Reason.MAY_NOT_SKIP_LANDING_PAGE: ("Merchant", "38"),
    Reason.MAY_NOT_ASK_FOR_NIN: ("Merchant", "51"),
    Reason.LOCKED: ("VippsError", "94"),
}

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
}


def code_of(reason: Reason, operation: str = "") -> tuple[str, str]:
    """Return group and code for a reason; what failed has another code for each operation."""
    return ("Payment", FAILED_CODES[operation]) if reason is Reason.FAILED else _REASONS[reason]


def error_text(reason: Reason) -> str:
    """Return the sentence that goes with a reason."""
    return _CODES[code_of(reason)][1]


def refusal_for(refused: Refused, operation: str) -> Answer:
    """Return the answer to what is refused for a reason."""
    by_gateway = refused_by_gateway(refused)
    if by_gateway is not None:
        return by_gateway
    group, code = code_of(refused.reason, operation)
    return vipps_refusal(group, code, order_id=refused.reference, msn=refused.sales_unit).answer


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


def invalid_request(breaches: Sequence[tuple[str, str]], *, status: int = 400) -> Refusal:
    """Return a refusal of fields: an array with an error for each, the field's name as its code."""
    return Refusal(status, [_error("InvalidRequest", name, message) for name, message in breaches])
