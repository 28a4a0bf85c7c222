"""Reads request bodies field by field: corrects what the API corrects, and refuses what it would not take."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, NoReturn

from vipps_async.sandbox.ledger.phone_numbers import corrected_number
from vipps_async.sandbox.wire.fields import (
    ORDER_ID,
    Breaches,
    Field,
    amount,
    amount_or_all,
    boolean,
    cost,
    drop_nulls,
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
from vipps_async.sandbox.wire.refusals import invalid_request, vipps_refusal
from vipps_async.sandbox.wire.urls import breach_of_fall_back, breach_of_prefix

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

Json = dict[str, Any]

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
        },
    ),
}

_PAYMENT_ACTION = {
    "merchantInfo": _MERCHANT,
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


def _check(body: Json, fields: Mapping[str, Field], breaches: Breaches) -> None:
    drop_nulls(body, breaches)
    read_fields(body, fields, "", breaches)
    breaches.settle()


def read_initiation(body: Json, hosts: Collection[str] = (), *, breaches: Breaches | None = None) -> None:
    """Check the body of an initiate, each field and how they go together; correct its phone number, drop its nulls.

    Args:
        body: the body, which is changed.
        hosts: hosts whose URLs pass with http, too.
        breaches: collects what is wrong; None: one that ignores what Vipps ignores.

    Raises:
        Refusal: InvalidRequest with the fields' names; 81 for a bad number; HTTP 500 for what Vipps breaks at.
    """
    breaches = breaches or Breaches()
    _check(body, _INITIATION, breaches)
    merchant, transaction = body["merchantInfo"], body["transaction"]
    _check_urls(merchant, hosts, breaches)
    _check_express(merchant, transaction, breaches)
    if not SCOPES.issuperset(transaction.get("scope", "").split()):
        breaches.add("transaction.scope", f"must be some of {' '.join(sorted(SCOPES))}, separated by spaces")
    number = body["customerInfo"].get("mobileNumber")
    if transaction.get("skipLandingPage") and number is None:
        breaches.add("customerInfo.mobileNumber", "is required to skip the landing page")
    breaches.settle()
    if number is not None:
        body["customerInfo"]["mobileNumber"] = _read_number(number)


def _read_number(given: str | int) -> str:
    number = corrected_number(str(given))
    if number is None:
        raise vipps_refusal("User", "81")
    return number


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
    if "shippingDetailsPrefix" not in merchant and not merchant.get("staticShippingDetails"):
        breaches.add("merchantInfo.shippingDetailsPrefix", "or staticShippingDetails is required for express checkout")
    if transaction.get("scope", "").split():
        breaches.add("transaction.scope", "cannot be combined with express checkout")


def read_payment_action(body: Json, *, breaches: Breaches | None = None) -> int | None:
    """Check the body of a capture or refund, and return its amount in øre; None takes all that remains.

    Raises:
        Refusal: as for `read_initiation`.
    """
    _check(body, _PAYMENT_ACTION, breaches or Breaches())
    return body["transaction"].get("amount") or None


def read_cancellation(body: Json, *, breaches: Breaches | None = None) -> bool:
    """Check the body of a cancel, and return whether the rest is to be released.

    Raises:
        Refusal: as for `read_initiation`.
    """
    _check(body, _CANCELLATION, breaches or Breaches())
    return bool(body.get("shouldReleaseRemainingFunds", False))


def read_approval(body: Json, *, breaches: Breaches | None = None) -> tuple[str | None, str | None]:
    """Check the body of a force approve, and return number and token of the payment's URL, each None if not given.

    Raises:
        Refusal: as for `read_initiation`.
    """
    _check(body, _APPROVAL, breaches or Breaches())
    number = body.get("customerPhoneNumber")
    return None if number is None else _read_number(number), body.get("token")


def breaches_of_shipping_answer(answer: Json) -> list[tuple[str, str]]:
    """Return what is wrong with a merchant's answer to the question for shipping methods; its nulls are dropped."""
    breaches = Breaches()
    drop_nulls(answer, breaches)
    read_fields(answer, _SHIPPING_ANSWER, "", breaches)
    return breaches.found
