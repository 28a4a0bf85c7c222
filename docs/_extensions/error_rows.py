"""What the error catalogue says of each code, by the code's own tables; only what a code means is told here."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from attrs import frozen

from vipps_async import ApiError, DuplicateOrderError, Effect, ErrorInfo, Response
from vipps_async.core.clock import SystemClock
from vipps_async.core.dialect import ErrorRule, FailureKind
from vipps_async.core.operation import Operation
from vipps_async.core.refusal import read_refusal
from vipps_async.ecom import errors as ecom
from vipps_async.ecom.operations import CAPTURE as ECOM_CAPTURE
from vipps_async.epayment import errors as epayment
from vipps_async.epayment.operations import CAPTURE as EPAYMENT_CAPTURE

__all__ = ["ROWS_OF", "Row"]

#: eCom's group and code → what it means, in our words.
_ECOM: Mapping[tuple[str, str], str] = {
    ("Payment", "41"): "the customer has no valid card",
    ("Payment", "42"): "the card's bank refused",
    ("Payment", "43"): "the amount was refused",
    ("Payment", "44"): "the card has expired",
    ("Payment", "45"): "nothing was reserved, mostly because the customer did not act",
    ("Payment", "51"): "captured, so it cannot be cancelled",
    ("Payment", "52"): "the cancel failed",
    ("Payment", "53"): "nothing is reserved that could be cancelled",
    ("Payment", "61"): "more than is reserved",
    ("Payment", "62"): "nothing is reserved to capture",
    ("Payment", "63"): "the capture failed",
    ("Payment", "71"): "more than was captured",
    ("Payment", "72"): "only reserved, so there is nothing to refund",
    ("Payment", "73"): "cancelled, so there is nothing to refund",
    ("Payment", "74"): "the refund failed",
    ("Payment", "93"): "the key was used with another payload",
    ("Payment", "95"): "too late to refund, or direct capture is not allowed",
    ("Payment", "96"): "too late to capture or cancel",
    ("Payment", "98"): "too late to capture or cancel",
    ("Payment", "1082"): "the test user is not identified",
    ("Payment", "1501"): "the customer is under 15",
    ("VippsError", "91"): "the payment's state does not allow it",
    ("VippsError", "92"): "processed before",
    ("VippsError", "93"): "the key was used with another payload",
    ("VippsError", "94"): "another operation holds the payment",
    ("VippsError", "98"): "too many requests at once",
    ("any", "99"): "an internal error",
    ("User", "81"): "no Vipps user has this number",
    ("User", "82"): "the customer's app is too old",
    ("Merchant", "21"): "the request is invalid",
    ("Merchant", "22"): "the request is invalid",
    ("Merchant", "31"): "the sales unit is blocked",
    ("Merchant", "32"): "the sales unit may receive no more",
    ("Merchant", "33"): "the sales unit has made too many requests",
    ("Merchant", "34"): "the order id is taken",
    ("Merchant", "35"): "no such order in this sales unit",
    ("Merchant", "36"): "the agreement is not signed",
    ("Merchant", "37"): "the sales unit is not available",
    ("Merchant", "38"): "may not skip the landing page",
    ("Merchant", "39"): "may not make long-living payments",
    ("Merchant", "51"): "may not ask for the national identity number",
    ("Merchant", "97"): "may not take payments",
    ("Merchant", "a name with a dot"): "that field of the request is wrong",
    ("gateway", "1000"): "the gateway before Vipps failed",
}
#: ePayment's code → what it means, in our words.
_EPAYMENT: Mapping[str, str] = {
    "3010": "an internal error",
    "4010": "the capture's key was used with another payload",
    "4020": "the create's key was used with another payload",
    "4040": "the amount is no whole number of minor units",
    "4050": "the customer token is not valid",
    "4060": "the customer's personal QR code is not valid",
    "4070": "the phone number is not valid",
    "4080": "the scope is not known",
    "4090": "a URL is not valid",
    "4100": "metadata has too many pairs",
    "4110": "metadata has a name twice",
    "4120": "a name in metadata is too long",
    "4130": "a value in metadata is too long",
    "4140": "a field is missing",
    "4150": "to a create: the reference is taken; to a refund: the key was used with another payload",
    "4160": "the payment method cannot be used",
    "5010": "this sales unit cannot block sources of money",
    "5020": "no express checkout for this sales unit",
    "5030": "the sales unit may not ask for this scope",
    "5040": "not the sales unit's currency",
    "5050": "may not make long-living payments",
    "5060": "the sales unit's bank account is not verified",
    "5070": "the payment cannot be made",
    "5080": "the sales unit may not send push messages",
    "5090": "no such payment in this sales unit",
    "5100": "the refund cannot be paid out",
    "6010": "the amount is too small",
    "6020": "refunded before anything was captured",
    "6030": "too late to cancel",
    "6040": "captured, so it cannot be cancelled",
    "6050": "nothing is reserved that could be cancelled",
    "6060": "the customer has accepted, and the cancel was to spare that",
    "6070": "cancelled, so it cannot be captured",
    "6080": "nothing is reserved to capture",
    "6090": "more than is left to capture",
    "6100": "too late to capture",
    "6110": "expires too late",
    "6120": "expires too soon",
    "6130": "an expiry without a receipt",
    "6140": "must be captured all at once",
    "6150": "more than is left to refund",
    "6160": "another operation holds the payment",
    "6170": "all of it is captured already",
    "6180": "all of it is refunded already",
    "6190": "it cannot be cancelled in this state",
    "6200": "it cannot be captured in this state",
    "6210": "it cannot be refunded in this state",
    "6220": "too late to refund",
    "6230": "the customer has accepted it already",
    "6250": "the customer is confirming it at this moment",
    "6260": "the bank holds the money no more, or not now",
    "6280": "the capture failed for the moment",
    "7010": "no such customer, or one who may not pay this",
    "10010": "the approval in the test environment failed",
    "10020": "approve exists in the test environment only",
    "10030": "the test user is not identified",
    "10040": "the test user has no fitting source of money",
    "10050": "the test user has no card",
    "10060": "this payment must be accepted in the test app",
    "10070": "beyond the test user's limit",
    "gateway 1000": "the gateway before Vipps failed",
}


@frozen(kw_only=True)
class Row:
    """What the catalogue says of one code."""

    api: str
    #: As it stands in an error's text, such as ``Payment 61``.
    code: str
    meaning: str
    #: Whether money may have moved by the request that was answered so.
    moved: str
    #: Whether the call sends it again, and whether one may later.
    again: str
    #: The class of the error that a program catches.
    error: str
    #: What to do now.
    advice: str


def _ecom_rows() -> Iterator[Row]:
    for (group, code), meaning in _ECOM.items():
        body: Any = [{"errorGroup": "Payment" if group == "any" else group, "errorCode": code, "errorMessage": "-"}]
        if "dot" in code:
            body[0]["errorCode"] = "merchantInfo.fallBack.invalid"
        if group == "gateway":
            body = {"responseInfo": {"responseCode": code, "responseMessage": "-"}}
        error = {} if group == "gateway" else body[0]
        info = ErrorInfo(error.get("errorGroup", ""), error.get("errorCode", code), "")
        yield _row("ecom", f"{group} {code}", meaning, body=body, operation=ECOM_CAPTURE, rule=ecom.rule_for(info))


def _epayment_rows() -> Iterator[Row]:
    for code, meaning in _EPAYMENT.items():
        body: Any = {"title": "-", "extraDetails": [{"name": epayment.CODE, "reason": code}]}
        info = ErrorInfo(epayment.CODE, code, "")
        if code.startswith("gateway"):
            body, info = {"responseInfo": {"responseCode": "1000", "responseMessage": "-"}}, ErrorInfo("", "1000", "")
        yield _row("epayment", code, meaning, body=body, operation=EPAYMENT_CAPTURE, rule=epayment.rule_for(info))


#: The name of an API → its rows.
ROWS_OF = {"ecom": _ecom_rows, "epayment": _epayment_rows}


def _row(api: str, code: str, meaning: str, *, body: Any, operation: Operation[Any], rule: ErrorRule | None) -> Row:
    if rule is None:
        raise ValueError(f"{api} {code} is in no table of the code")
    # What the library itself makes of such an answer; a status of 400 says nothing beside a code.
    refusal = read_refusal(Response(status=400, body=json.dumps(body).encode()), operation, SystemClock(), ())
    return Row(
        api=api,
        code=code,
        meaning=meaning,
        moved=_moved(refusal.error.effect, suggests_effect=refusal.suggests_effect),
        again=_again(refusal.failure, refusal.error, rule),
        error=_error(refusal.failure, rule),
        advice=_advice(refusal.error.advice, rule),
    )


def _moved(effect: Effect, *, suggests_effect: bool) -> str:
    if effect is Effect.NONE:
        return "not by this request, perhaps by an earlier one with the key" if suggests_effect else "no"
    return "probably" if effect is Effect.PROBABLE else "perhaps"


def _again(failure: FailureKind, error: ApiError, rule: ErrorRule) -> str:
    if failure in {FailureKind.LOCKED, FailureKind.THROTTLED}:
        return "yes, after a pause, with the same key"
    if failure is FailureKind.UNSETTLED:
        return "unless the history shows it as done, with the same key"
    if rule.permanent:
        return "no: it can never succeed"
    return "not by the call; you may, later" if error.retryable else "no"


def _error(failure: FailureKind, rule: ErrorRule) -> str:
    own = rule.error.__name__ if rule.error else "CaptureError, RefundError or CancelError, by the call"
    if rule is _TAKEN:
        own = "DuplicateOrderError to a create, IdempotencyMismatchError to a refund"
    if failure is not FailureKind.UNSETTLED:
        return own
    if rule.retryable:
        return f"OutcomeUnknown, unless the history tells; its cause: {own}"
    return f"{own}; OutcomeUnknown while the history does not tell"


def _advice(advice: str, rule: ErrorRule) -> str:
    return f"to a create: {DuplicateOrderError.default_advice}; to a refund: {advice}" if rule is _TAKEN else advice


#: One code with two meanings, told apart by the call.
_TAKEN = epayment.rule_for(ErrorInfo(epayment.CODE, "4150", ""))
