"""Answers that settle nothing, say the wrong thing, or the right thing in a wrong shape. Pure: no I/O."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import orjson
from aiohttp import web

from vipps_async.sandbox.answers import cancel_answer, capture_answer, refund_answer
from vipps_async.sandbox.api import json_answer, refusal_answer
from vipps_async.sandbox.faults import Decided, Fault
from vipps_async.sandbox.ledger import Movement
from vipps_async.sandbox.orders import OrderBook
from vipps_async.sandbox.problems import Refusal, gateway_refusal, management_refusal, vipps_refusal

__all__ = [
    "DRESSED",
    "FAILED_CODES",
    "UNSETTLED",
    "absurd_retry_after",
    "distorted",
    "dressed",
    "empty",
    "failure",
    "redirect",
    "unsettled",
]

#: Operation → the code of the group Payment that says it failed.
FAILED_CODES = {"capture": "63", "cancel": "52", "refund": "74"}
#: The statuses that answers which settle nothing come with.
_STATUSES = (400, 402, 403, 409, 422, 500)
_GROUPS = ("Payment", "VippsError", "Merchant")
#: Fault → whether the request takes effect.
UNSETTLED = {
    Fault.UNSETTLED_FAILED_BEFORE: False,
    Fault.UNSETTLED_FAILED_AFTER: True,
    Fault.UNSETTLED_92_BEFORE: False,
    Fault.UNSETTLED_92_AFTER: True,
    Fault.UNSETTLED_99_BEFORE: False,
    Fault.UNSETTLED_99_AFTER: True,
    Fault.UNSETTLED_402_BEFORE: False,
    Fault.UNSETTLED_402_AFTER: True,
    Fault.UNSETTLED_1000_BEFORE: False,
    Fault.UNSETTLED_1000_AFTER: True,
}
DRESSED = frozenset({Fault.REFUSAL_WITH_BOM, Fault.REFUSAL_AS_XML, Fault.REFUSAL_AS_FORM, Fault.REFUSAL_AS_TEXT})
_ANSWERS = {"capture": capture_answer, "cancel": cancel_answer, "refund": refund_answer}
#: Words of failure that occur in answers, and words that no client knows.
_FAILURE_WORDS, _UNKNOWN_WORDS = ("Failed", "FAILED", "Rejected", "Cancelled"), ("Processed", "CAPTURE_PENDING", "Ok")
#: The last year that a date has, more seconds than a timer takes, and no time at all.
_ABSURD = ("999999999999", "-5", "Fri, 31 Dec 9999 23:59:59 GMT", "soon", "1e400", "", "NaN", "0x10", "9" * 400)
#: What no message should quote.
_PERSON = "Kari Nordmann, 48059528"


def unsettled(
    decided: Decided, status: int | None, group: str | None, *, order_id: str = "", msn: str = ""
) -> web.Response:
    """Return an answer that settles nothing.

    Args:
        decided: which, for which operation, and in which variant.
        status: its HTTP status; None: one of several.
        group: the group of a 99; None: one of several.
        order_id: the order that it names.
        msn: the sales unit that it names.
    """
    status = status or decided.one_of(_STATUSES)
    group = group or decided.one_of(_GROUPS, skip=len(_STATUSES))
    return refusal_answer(_unsettled(decided, status, group, order_id, msn))


def _unsettled(decided: Decided, status: int, group: str, order_id: str, msn: str) -> Refusal:
    match decided.fault:
        case Fault.UNSETTLED_FAILED_BEFORE | Fault.UNSETTLED_FAILED_AFTER:
            return vipps_refusal("Payment", FAILED_CODES[decided.operation], order_id=order_id, msn=msn, status=status)
        case Fault.UNSETTLED_92_BEFORE | Fault.UNSETTLED_92_AFTER:
            return vipps_refusal("VippsError", "92", order_id=order_id, msn=msn, status=status)
        case Fault.UNSETTLED_99_BEFORE | Fault.UNSETTLED_99_AFTER:
            return vipps_refusal(group, "99", status=status)
        case Fault.UNSETTLED_1000_BEFORE | Fault.UNSETTLED_1000_AFTER:
            return management_refusal(status, "Error", "The request could not be completed.", code=1000)
        case _:
            of_gateway = gateway_refusal(402, "Payment Required")
            return decided.one_of((of_gateway, vipps_refusal("Payment", "42", status=402)))


def failure(decided: Decided, answer: web.Response, order_id: str, body: bytes, book: OrderBook) -> web.Response:
    """Return a success with a word of failure in the place of the refusal with which an operation just failed.

    Args:
        decided: for which operation, and in which variant.
        answer: the refusal.
        order_id: the order.
        body: what the request said.
        book: has the order, whose last entry is the failed one.
    """
    if _code(answer) != ("Payment", FAILED_CODES[decided.operation]):
        # It was refused in its own right.
        return answer
    payment = book.find(order_id, orjson.loads(body)["merchantInfo"]["merchantSerialNumber"]).payment
    entry = payment.history[-1]
    said = _ANSWERS[decided.operation](payment.order_id, Movement(entry=entry, summary=payment.summary()))
    _call_it_failed(decided, said[_where(decided)])
    return json_answer(said)


def _code(answer: web.Response) -> tuple[str, str] | None:
    said = orjson.loads(answer.body) if isinstance(answer.body, bytes) and answer.status >= 400 else None
    return (said[0]["errorGroup"], said[0]["errorCode"]) if isinstance(said, list) else None


def absurd_retry_after(decided: Decided) -> web.Response:
    """Return a 429 whose `Retry-After` makes no sense."""
    headers = {"Retry-After": decided.one_of(_ABSURD)}
    return refusal_answer(gateway_refusal(429, "Rate limit is exceeded.", headers=headers))


def dressed(fault: Fault, answer: web.Response) -> web.Response:
    """Return a refusal in the shape that the fault names; what is none stays as it is."""
    code = _code(answer)
    if code is None or not isinstance(answer.body, bytes):
        return answer
    group, number = code
    if fault is Fault.REFUSAL_WITH_BOM:
        body, media = b"\xef\xbb\xbf" + answer.body, answer.headers["Content-Type"]
    elif fault is Fault.REFUSAL_AS_XML:
        text = f"<error><group>{group}</group><code>{number}</code><customer>{_PERSON}</customer></error>"
        body, media = text.encode(), "application/xml; charset=utf-8"
    elif fault is Fault.REFUSAL_AS_FORM:
        fields = {"errorGroup": group, "errorCode": number, "customer": _PERSON}
        body, media = urlencode(fields).encode(), "application/x-www-form-urlencoded"
    else:
        body, media = f"Refused for {_PERSON}: {group} {number}.".encode(), "text/plain; charset=utf-8"
    return web.Response(status=answer.status, body=body, headers={"Content-Type": media})


def distorted(decided: Decided, answer: web.Response) -> web.Response:
    """Return a success with something wrong in it; a refusal stays as it is."""
    if answer.status != 200 or not isinstance(answer.body, bytes):
        return answer
    fault = decided.fault
    if fault is Fault.EMPTY_200_AFTER:
        return empty()
    if fault is Fault.REDIRECT_302_AFTER:
        return redirect()
    if fault is Fault.CUT_200_AFTER:
        return web.Response(body=answer.body[: len(answer.body) // 2], headers=_type_of(answer))
    said = orjson.loads(answer.body)
    if "transactionLogHistory" in said:
        _distort_details(decided, said)
    else:
        _distort_result(decided, said)
    return json_answer(said)


def empty() -> web.Response:
    """Return a success that says nothing."""
    return web.Response(status=200)


def redirect() -> web.Response:
    """Return a redirect to a page."""
    return web.Response(status=302, headers={"Location": "https://example.com/maintenance"})


def _type_of(answer: web.Response) -> dict[str, str]:
    return {"Content-Type": answer.headers["Content-Type"]}


def _where(decided: Decided) -> str:
    return "transaction" if decided.operation == "refund" else "transactionInfo"


def _distort_result(decided: Decided, said: dict[str, Any]) -> None:
    where = _where(decided)
    match decided.fault:
        case Fault.OTHER_AMOUNT_AFTER:
            amount = said[where]["amount"]
            said[where]["amount"] = decided.one_of((amount + 1, amount * 2, max(1, amount // 2), 0))
        case Fault.FAILURE_STATUS_AFTER:
            _call_it_failed(decided, said[where])
        case Fault.UNKNOWN_STATUS_AFTER:
            said[where]["status"] = decided.one_of(_UNKNOWN_WORDS)
        case Fault.NO_TRANSACTION_AFTER:
            del said[where]


def _call_it_failed(decided: Decided, transaction: dict[str, Any]) -> None:
    # A cancel's own word of success is the failure of any other operation.
    words = [word for word in _FAILURE_WORDS if word != transaction["status"]]
    transaction["status"] = decided.one_of(words)


def _distort_details(decided: Decided, said: dict[str, Any]) -> None:
    entries: list[dict[str, Any]] = said["transactionLogHistory"]
    match decided.fault:
        case Fault.UNORDERED_DETAILS:
            # Turned, and with its ends swapped: neither oldest nor newest first.
            turn = decided.number % len(entries)
            entries[:] = entries[turn:] + entries[:turn]
            entries.sort(key=lambda entry: str(entry["transactionId"])[::-1])
        case Fault.DETAILS_WITHOUT_KEYS:
            for entry in entries:
                del entry["requestId"], entry["transactionId"]
        case Fault.DETAILS_ODD_TYPES:
            del said["orderId"]
            for name, value in said.get("transactionSummary", {}).items():
                said["transactionSummary"][name] = str(value)
            for entry in entries:
                entry["timeStamp"] = entry["timeStamp"].replace("Z", "+00:00")
                if entry["requestId"].isdigit():
                    entry["requestId"] = int(entry["requestId"])
