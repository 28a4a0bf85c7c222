"""The codes that ePayment refuses with, and its problems: RFC 7807 with the code, or the fields, in `extraDetails`."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence

import orjson

from vipps_async.sandbox.ledger.entries import State
from vipps_async.sandbox.ledger.payment import Payment
from vipps_async.sandbox.ledger.reasons import Reason
from vipps_async.sandbox.wire.epayment_money import MONEY
from vipps_async.sandbox.wire.face import Answer, Refusal
from vipps_async.sandbox.wire.fields import Violations

PROBLEM_MEDIA = "application/problem+json"
#: Code → status and title. The titles are the vendor's; of the statuses it names those of 4010, 4020, 4150, 5070, 5090,
#: 6080 and the 400s of what is too late. The others are this sandbox's choice.
CODES = {
    "3010": (500, "Internal error"),
    "4010": (409, "Capture idempotency conflict"),
    "4020": (409, "Idempotency error"),
    "4040": (400, "Invalid amount"),
    "4060": (400, "Invalid PersonalQr"),
    "4070": (400, "Invalid phone number"),
    "4080": (400, "Invalid scope"),
    "4090": (400, "Invalid URL"),
    "4100": (400, "Metadata capacity exceeded"),
    "4120": (400, "Invalid metadata key"),
    "4130": (400, "Invalid metadata value"),
    "4140": (400, "Missing required parameter"),
    "4150": (409, "Idempotency error"),
    "4160": (400, "Invalid payment method type"),
    "5010": (400, "Blocking sources not applicable"),
    "5020": (403, "Express payment not allowed"),
    "5030": (403, "Illegal scope"),
    "5040": (400, "Invalid currency for merchant"),
    "5050": (403, "Long-living payment not allowed"),
    "5060": (403, "Merchant bank account not verified"),
    "5070": (422, "Payment cannot be created"),
    "5080": (403, "PUSH_MESSAGE not allowed"),
    "5090": (404, "Reference not found"),
    "5100": (400, "Refund not possible"),
    "6010": (400, "Amount too small"),
    "6020": (400, "Attempted refund before reservation"),
    "6030": (400, "Cancel period expired"),
    "6040": (400, "Cannot cancel a captured payment"),
    "6050": (400, "Cannot cancel a non-reserved payment"),
    "6060": (400, "Cannot cancel authorized payment"),
    "6070": (400, "Cannot capture a cancelled payment"),
    "6080": (400, "Cannot capture before reservation"),
    "6090": (400, "Capture amount too high"),
    "6100": (400, "Capture period expired"),
    "6110": (400, "Expiry too late"),
    "6120": (400, "Expiry too soon"),
    "6130": (400, "Expiry needs a receipt"),
    "6140": (400, "Must capture full amount"),
    "6150": (400, "Not enough refundable"),
    "6160": (423, "Order processing"),
    "6170": (400, "Already captured"),
    "6180": (400, "Already refunded"),
    "6190": (400, "Payment cannot be cancelled"),
    "6200": (400, "Payment cannot be captured"),
    "6210": (400, "Payment cannot be refunded"),
    "6220": (400, "Refund period expired"),
    "6250": (423, "Cannot cancel processing payment"),
    "6280": (400, "Capture failed"),
    "7010": (400, "Customer not found"),
    "10010": (400, "Approve failed"),
    "10020": (400, "Approve not allowed"),
    "10030": (400, "Customer not identified"),
}
#: What is to be repeated under the same key, and so is decided anew each time.
PASSING = frozenset({"6160", "6250", "6280"})
#: Codes that a sales unit's creates can be made to be refused with.
UNIT_CODES = ("5060", "5070")
#: Reason → code, where that hangs on nothing else.
_REASONS = {
    Reason.KEY_REUSED: "4020",
    Reason.FAILED: "3010",
    Reason.REFERENCE_USED: "4150",
    Reason.UNKNOWN_PAYMENT: "5090",
    Reason.NOT_RESERVED: "6080",
    Reason.CAPTURED_AT_ONCE: "6170",
    Reason.NOT_IN_FULL: "6140",
    **dict.fromkeys((Reason.NOTHING_CAPTURED, Reason.NEVER_CAPTURED), "6210"),
    Reason.TOO_OLD_TO_REFUND: "6220",
    Reason.CUSTOMER_GONE: "5100",
    Reason.RESERVATION_UNKNOWN: "6250",
    Reason.CAPTURED: "6040",
    Reason.RESERVED: "6060",
    Reason.APPROVED_BEFORE: "10010",
    Reason.NOT_TO_BE_FORCED: "10020",
    Reason.NO_SUCH_CUSTOMER: "7010",
    Reason.APP_TOO_OLD: "7010",
    Reason.CUSTOMER_UNVERIFIED: "10030",
    Reason.CUSTOMER_UNDER_AGE: "7010",
    Reason.MAY_NOT_SKIP_LANDING_PAGE: "5080",
    Reason.MAY_NOT_ASK_FOR_NIN: "5030",
    Reason.LOCKED: "6160",
}


#: Reason → the code, where it hangs on where the payment stands. It is the one of what was done before, if nothing is
#: left because of that.
_BY_PAYMENT: Mapping[Reason, Callable[[Payment, str], str]] = {
    Reason.MORE_THAN_RESERVED: lambda payment, done: "6090" if payment.sums.remaining_to_capture else done,
    Reason.MORE_THAN_CAPTURED: lambda payment, done: (
        "6020" if payment.reserved_at is None else "6150" if payment.sums.remaining_to_refund else done
    ),
    Reason.ENDED: lambda payment, _: "6070" if _by_merchant(payment) else "6200",
    Reason.ENDED_BEFORE: lambda payment, done: done if _by_merchant(payment) else "6050",
}


def code_of(reason: Reason, operation: str = "", payment: Payment | None = None) -> str:
    """Return the code for a reason; some hang on the operation, or on where the payment stands."""
    one = MONEY.get(operation)
    if one is not None and reason in one.codes:
        return one.codes[reason]
    if one is not None and payment is not None and reason in _BY_PAYMENT:
        return _BY_PAYMENT[reason](payment, one.done_code)
    # What is in no table happens between customer and bank: no request is answered with it.
    return _REASONS.get(reason, "3010")


def _by_merchant(payment: Payment) -> bool:
    return payment.ending is None and payment.state is not State.FAILED


def problem(
    status: int, title: str, detail: str, extra: Sequence[tuple[str, str]] = (), *, media: str = PROBLEM_MEDIA
) -> Refusal:
    """Return a problem; `extra` are names and reasons."""
    body = {
        "type": f"https://httpstatuses.io/{status}",
        "title": title,
        "detail": detail,
        "status": status,
        "traceId": uuid.uuid4().hex,
        "extraDetails": [{"name": name, "reason": reason} for name, reason in extra] or None,
    }
    return Refusal(status, body, media=media)


def coded(code: str, detail: str = "", *, status: int | None = None) -> Refusal:
    """Return the problem with a code, with the status that goes with it unless one is given."""
    usual, title = CODES[code]
    return problem(status or usual, title, detail or f"{title}.", [("ErrorCode", code)])


class EpaymentViolations(Violations):
    """Makes ePayment's refusals: one problem, with each field and what is wrong with it."""

    def refusal(self, found: Sequence[tuple[str, str]], *, status: int = 400) -> Refusal:
        """Return a problem without a code."""
        title = "Unsupported Media Type" if status == 415 else "Bad Request"
        return problem(status, title, "See extraDetails for the fields that are not valid.", found)


def words_of(answer: Answer) -> Mapping[str, str] | None:
    """Return title and code of a problem; None for what is none."""
    said = orjson.loads(answer.body) if answer.headers.get("Content-Type") == PROBLEM_MEDIA else None
    if said is None:
        return None
    return {"title": said["title"], **{part["name"]: part["reason"] for part in said["extraDetails"] or ()}}


def code_in(answer: Answer) -> str | None:
    """Return the code of a problem, or None."""
    return (words_of(answer) or {}).get("ErrorCode")
