"""Reads request bodies field by field and refuses what the API would not take, or would silently ignore."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, NoReturn

from vipps_async.sandbox.fields import (
    ORDER_ID,
    Breaches,
    Field,
    amount,
    amount_or_all,
    boolean,
    cost,
    integer,
    one_of,
    read_fields,
    string,
    text_of,
    text_or_number,
    valid_auth_token,
    valid_merchant_serial_number,
    valid_order_id,
)
from vipps_async.sandbox.problems import invalid_request, vipps_refusal
from vipps_async.sandbox.urls import breach_of_fall_back, breach_of_prefix

__all__ = [
    "EXPRESS",
    "SCOPES",
    "breaches_of_shipping_answer",
    "check_headers",
    "check_order_id",
    "check_request_id",
    "read_approval",
    "read_cancellation",
    "read_initiation",
    "read_payment_action",
]

Json = Mapping[str, Any]

#: The `paymentType` of express checkout, and of all else.
EXPRESS, REGULAR = "eComm Express Payment", "eComm Regular Payment"
#: The words that `scope` may hold.
SCOPES = frozenset({"name", "address", "email", "phoneNumber", "birthDate", "nin"})
#: The vendor's limit on `X-Request-Id`, in characters.
MAX_REQUEST_ID = 40
#: The vendor's limit on each of the four headers that name the calling system, in characters.
MAX_SYSTEM_HEADER = 30
SYSTEM_HEADERS = (
    "Vipps-System-Name",
    "Vipps-System-Version",
    "Vipps-System-Plugin-Name",
    "Vipps-System-Plugin-Version",
)

#: What stands for a header's bytes that are no UTF-8.
_SURROGATE = re.compile("[\ud800-\udfff]")
_MOBILE_NUMBER = re.compile(r"[0-9]{8}")


def _refuse(name: str, message: str) -> NoReturn:
    raise invalid_request([(name, message)])


# -- headers and paths ---------------------------------------------------------------------------------------------


def check_headers(headers: Mapping[str, str]) -> None:
    """Hold the headers that name the calling system against their length.

    Raises:
        Refusal: 400, for a header that is longer than 30 characters.
    """
    breaches = Breaches()
    for name in SYSTEM_HEADERS:
        if len(headers.get(name, "")) > MAX_SYSTEM_HEADER:
            breaches.add(name, f"must have at most {MAX_SYSTEM_HEADER} characters")
    breaches.settle()


def check_order_id(order_id: str) -> None:
    """Hold the order id of a path against its pattern.

    Raises:
        Refusal: 400.
    """
    if not ORDER_ID.fullmatch(order_id):
        _refuse("orderId", "must be 1 to 50 letters, digits or hyphens")


def check_request_id(request_id: str | None, *, required: bool = True) -> str:
    """Hold an idempotency key against its rules and return it; empty if there is none and none is required.

    Raises:
        Refusal: 400, if it is missing, empty or too long.
    """
    if request_id is None and not required:
        return ""
    if not request_id or len(request_id) > MAX_REQUEST_ID or _SURROGATE.search(request_id):
        _refuse("X-Request-Id", f"is required and must have at most {MAX_REQUEST_ID} characters")
    return request_id


# -- bodies --------------------------------------------------------------------------------------------------------

_TRANSACTION_TEXT = Field(text_of(1, 100), required=True)
_MERCHANT = Field(required=True, fields={"merchantSerialNumber": Field(valid_merchant_serial_number, required=True)})
#: Taken and ignored.
_IGNORED = Field(lambda _: None)

SHIPPING_FIELDS = {
    "isDefault": Field(one_of("Y", "N"), required=True),
    "priority": Field(integer),
    "shippingCost": Field(cost, required=True),
    "shippingMethod": Field(text_of(1, 256), required=True),
    "shippingMethodId": Field(text_of(1, 100), required=True),
}

_SHIPPING_ANSWER = {
    "addressId": Field(integer, required=True),
    "orderId": Field(valid_order_id, required=True),
    "shippingDetails": Field(required=True, many=True, fields=SHIPPING_FIELDS),
}

_INITIATION = {
    "customerInfo": Field(required=True, fields={"mobileNumber": Field(text_or_number)}),
    "merchantInfo": Field(
        required=True,
        fields={
            "authToken": Field(valid_auth_token),
            "callbackPrefix": Field(string, required=True),
            "consentRemovalPrefix": Field(string),
            "fallBack": Field(string, required=True),
            "isApp": Field(boolean),
            "merchantSerialNumber": Field(valid_merchant_serial_number, required=True),
            "paymentType": Field(one_of(REGULAR, EXPRESS)),
            "shippingDetailsPrefix": Field(string),
            "staticShippingDetails": Field(many=True, fields=SHIPPING_FIELDS),
        },
    ),
    "transaction": Field(
        required=True,
        fields={
            "amount": Field(amount, required=True),
            "orderId": Field(valid_order_id, required=True),
            "transactionText": _TRANSACTION_TEXT,
            "skipLandingPage": Field(boolean),
            "scope": Field(string),
            "additionalData": Field(
                fields={
                    "passengerName": Field(text_of(1, 49), required=True),
                    "airlineCode": Field(text_of(3, 3), required=True),
                    "airlineDesignatorCode": Field(text_of(2, 2), required=True),
                    "ticketNumber": Field(text_of(1, 150)),
                    "agencyInvoiceNumber": Field(text_of(1, 6), required=True),
                }
            ),
            "useExplicitCheckoutFlow": Field(boolean),
            # Of older descriptions; the vendor's Python example sends the time.
            "timeStamp": _IGNORED,
            "refOrderId": _IGNORED,
        },
    ),
}

#: The vendor's Python example sends all of initiate's `merchantInfo` with captures and refunds.
_MERCHANT_OF_INITIATION = (
    "authToken",
    "callbackPrefix",
    "consentRemovalPrefix",
    "fallBack",
    "isApp",
    "paymentType",
    "shippingDetailsPrefix",
    "staticShippingDetails",
)
_PAYMENT_ACTION = {
    "merchantInfo": Field(
        required=True, fields={**dict.fromkeys(_MERCHANT_OF_INITIATION, _IGNORED), **(_MERCHANT.fields or {})}
    ),
    "transaction": Field(
        required=True,
        fields={"amount": Field(amount_or_all), "transactionText": _TRANSACTION_TEXT},
    ),
}

_CANCELLATION = {
    "merchantInfo": _MERCHANT,
    "transaction": Field(required=True, fields={"transactionText": _TRANSACTION_TEXT}),
    "shouldReleaseRemainingFunds": Field(boolean),
}

_APPROVAL = {"customerPhoneNumber": Field(text_or_number), "token": Field(string)}


def _checked(body: Json, fields: Mapping[str, Field]) -> None:
    breaches = Breaches()
    read_fields(body, fields, "", breaches)
    breaches.settle()


def read_initiation(body: Json, hosts: Collection[str] = ()) -> None:
    """Check the body of an initiate, each field and how they go together.

    Args:
        body: the body.
        hosts: hosts whose URLs pass with http, too.

    Raises:
        Refusal: InvalidRequest with the fields' names; 81 for a bad number; HTTP 500 for an MSN that is no string.
    """
    _checked(body, _INITIATION)
    merchant, transaction = body["merchantInfo"], body["transaction"]
    breaches = Breaches()
    _check_urls(merchant, hosts, breaches)
    _check_express(merchant, transaction, breaches)
    words = transaction.get("scope", "name").split()
    if not words or len(set(words)) != len(words) or not SCOPES.issuperset(words):
        breaches.add("transaction.scope", f"must be some of {' '.join(sorted(SCOPES))}, separated by spaces")
    number = body["customerInfo"].get("mobileNumber")
    if number is not None:
        body["customerInfo"]["mobileNumber"] = number = str(number)
    if transaction.get("skipLandingPage") and number is None:
        breaches.add("customerInfo.mobileNumber", "is required to skip the landing page")
    breaches.settle()
    if number is not None and not _MOBILE_NUMBER.fullmatch(number):
        raise vipps_refusal("User", "81")


def _check_urls(merchant: Json, hosts: Collection[str], breaches: Breaches) -> None:
    is_app = merchant.get("isApp", False)
    for name in ("callbackPrefix", "consentRemovalPrefix", "shippingDetailsPrefix"):
        message = breach_of_prefix(merchant[name], is_app=is_app, hosts=hosts) if name in merchant else None
        if message is not None:
            breaches.add(f"merchantInfo.{name}", message)
    message = breach_of_fall_back(merchant["fallBack"], is_app=is_app, hosts=hosts)
    if message is not None:
        breaches.add("merchantInfo.fallBack", message)


def _check_express(merchant: Json, transaction: Json, breaches: Breaches) -> None:
    if merchant.get("paymentType") != EXPRESS:
        return
    if "consentRemovalPrefix" not in merchant:
        breaches.add("merchantInfo.consentRemovalPrefix", "is required for express checkout")
    if "shippingDetailsPrefix" not in merchant and "staticShippingDetails" not in merchant:
        breaches.add("merchantInfo.shippingDetailsPrefix", "or staticShippingDetails is required for express checkout")
    if "scope" in transaction:
        breaches.add("transaction.scope", "cannot be combined with express checkout")


def read_payment_action(body: Json) -> int | None:
    """Check the body of a capture or refund, and return its amount in øre; None takes all that remains.

    Raises:
        Refusal: as for `read_initiation`.
    """
    _checked(body, _PAYMENT_ACTION)
    return body["transaction"].get("amount") or None


def read_cancellation(body: Json) -> bool:
    """Check the body of a cancel, and return whether the rest is to be released.

    Raises:
        Refusal: as for `read_initiation`.
    """
    _checked(body, _CANCELLATION)
    return bool(body.get("shouldReleaseRemainingFunds", False))


def read_approval(body: Json) -> str | None:
    """Check the body of a force approve, and return the token of the payment's URL, if given.

    Raises:
        Refusal: as for `read_initiation`.
    """
    _checked(body, _APPROVAL)
    number = body.get("customerPhoneNumber")
    if number is not None and not _MOBILE_NUMBER.fullmatch(str(number)):
        raise vipps_refusal("User", "81")
    token: str | None = body.get("token")
    return token


def breaches_of_shipping_answer(answer: Json) -> list[tuple[str, str]]:
    """Return what is wrong with a merchant's answer to the question for shipping methods."""
    breaches = Breaches()
    read_fields(answer, _SHIPPING_ANSWER, "", breaches)
    return breaches.found
