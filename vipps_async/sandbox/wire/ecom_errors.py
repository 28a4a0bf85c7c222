"""eCom's errors: groups and codes for the ledger's reasons, what each says, and the shapes of their bodies."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from vipps_async.sandbox.ledger.reasons import Reason, Refused
from vipps_async.sandbox.wire.ecom_money import MONEY
from vipps_async.sandbox.wire.face import Answer, Refusal
from vipps_async.sandbox.wire.gateway import refused_by_gateway

#: Codes of the group Merchant that a sales unit's initiates can be made to be refused with, and what they say.
UNIT_CODES = {
    "21": "The request is invalid",
    "22": "The request is invalid",
    "31": "The merchant is blocked",
    "32": "The merchant's receiving limit is exceeded",
    "33": "The merchant's request limit is exceeded",
    "36": "The merchant's agreement is not signed",
    "37": "Merchant not available or deactivated or blocked",
    "39": "The merchant may not make long-living payment requests",
    "97": "The merchant is not allowed to take payments",
}
#: Reason → group and code, and the vendor's own words where they are known from its pages or from what shops logged.
#: What fails by a fault has another code for each operation.
_REASONS = {
    Reason.REFERENCE_USED: ("Merchant", "34", "orderId is already used, and must be unique"),
    Reason.UNKNOWN_PAYMENT: ("Merchant", "35", "Requested Order not found"),
    Reason.KEY_REUSED: ("Payment", "93"),
    Reason.NOT_RESERVED: ("Payment", "62", "The amount you tried to capture is not reserved"),
    Reason.ENDED: ("VippsError", "91"),
    Reason.CAPTURED_AT_ONCE: ("Payment", "95"),
    Reason.MORE_THAN_RESERVED: ("Payment", "61"),
    Reason.RESERVED_TOO_LONG_AGO: ("Payment", "98"),
    Reason.NOT_IN_FULL: ("Payment", "61"),
    Reason.NOTHING_CAPTURED: ("Payment", "72", "Cannot refund for reserved order, please use Cancel API"),
    Reason.NEVER_CAPTURED: ("Payment", "73"),
    Reason.MORE_THAN_CAPTURED: ("Payment", "71"),
    Reason.CUSTOMER_GONE: ("Payment", "74"),
    Reason.TOO_OLD_TO_REFUND: ("Payment", "95"),
    Reason.ENDED_BEFORE: ("VippsError", "92"),
    Reason.RESERVATION_UNKNOWN: ("Payment", "52"),
    Reason.RESERVED: ("Payment", "52"),
    Reason.CAPTURED: ("Payment", "51"),
    Reason.APPROVED_BEFORE: ("VippsError", "92"),
    Reason.NOT_TO_BE_FORCED: ("VippsError", "91"),
    Reason.BANK_REFUSED: ("Payment", "42"),
    Reason.NO_VALID_CARD: ("Payment", "41"),
    Reason.CARD_EXPIRED: ("Payment", "44"),
    Reason.NOT_ACTED_UPON: ("Payment", "45", "User has cancelled or not acted upon the payment"),
    Reason.NO_SUCH_CUSTOMER: ("User", "81"),
    Reason.APP_TOO_OLD: ("User", "82"),
    Reason.CUSTOMER_UNVERIFIED: ("Payment", "1082"),
    Reason.CUSTOMER_UNDER_AGE: ("Payment", "1501"),
    Reason.UNIT_NOT_AVAILABLE: ("Merchant", "37", UNIT_CODES["37"]),
    Reason.MAY_NOT_SKIP_LANDING_PAGE: ("Merchant", "38"),
    Reason.MAY_NOT_ASK_FOR_NIN: ("Merchant", "51"),
    Reason.LOCKED: ("VippsError", "94"),
}
#: Group and code → HTTP status; all others 400.
_STATUSES = {
    ("Merchant", "35"): 404,
    ("Merchant", "51"): 403,
    ("VippsError", "94"): 409,
    **{(group, "99"): 500 for group in ("Payment", "VippsError", "Merchant")},
}


def code_of(reason: Reason, operation: str = "") -> tuple[str, str]:
    """Return group and code for a reason; what failed has another code for each operation."""
    if reason is Reason.FAILED:
        return "Payment", MONEY[operation].failed_code
    group, code, *_ = _REASONS[reason]
    return group, code


def error_text(reason: Reason) -> str:
    """Return the sentence that goes with a reason."""
    said = _REASONS.get(reason, ())[2:]
    return said[0] if said else reason.value.capitalize()


def refusal_for(refused: Refused, operation: str, *, status: int | None = None) -> Answer:
    """Return the answer to what is refused for a reason, with the status that goes with it unless one is given."""
    by_gateway = refused_by_gateway(refused)
    if by_gateway is not None:
        return by_gateway
    group, code = code_of(refused.reason, operation)
    return vipps_refusal(
        group, code, error_text(refused.reason), order_id=refused.reference, msn=refused.sales_unit, status=status
    ).answer


def _error(group: str, code: str, message: str) -> dict[str, str]:
    return {"errorGroup": group, "errorCode": code, "errorMessage": message, "contextId": str(uuid.uuid4())}


def vipps_refusal(
    group: str, code: str, text: str, *, order_id: str = "", msn: str = "", status: int | None = None
) -> Refusal:
    """Return a refusal of the API itself: an array with one error, with order and sales unit in the text, if given."""
    whose = ", ".join(
        f"{name}: {value}" for name, value in (("orderId", order_id), ("merchantSerialNumber", msn)) if value
    )
    status = status or _STATUSES.get((group, code), 400)
    return Refusal(status, [_error(group, code, f"{text} ({whose})" if whose else text)])


def invalid_request(violations: Sequence[tuple[str, str]], *, status: int = 400) -> Refusal:
    """Return a refusal of fields: an array with an error for each, the field's name as its code."""
    return Refusal(status, [_error("InvalidRequest", name, message) for name, message in violations])
