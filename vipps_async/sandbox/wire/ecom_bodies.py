"""Parses and checks eCom's request bodies: corrects what the API corrects, refuses what it refuses."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from vipps_async.sandbox.ledger.customers import corrected_number
from vipps_async.sandbox.ledger.reasons import Reason
from vipps_async.sandbox.wire import ecom_fields, fields
from vipps_async.sandbox.wire.ecom_errors import error_text, invalid_request, vipps_refusal
from vipps_async.sandbox.wire.ecom_fields import ORDER_ID, EcomViolations, merchant_serial_number
from vipps_async.sandbox.wire.face import Json
from vipps_async.sandbox.wire.fields import SCOPES, SURROGATE, Field, Violations, check_body, drop_nulls, read_fields
from vipps_async.sandbox.wire.urls import violation_of_fall_back, violation_of_prefix

#: The `paymentType` of express checkout, and of all else.
EXPRESS, REGULAR = "eComm Express Payment", "eComm Regular Payment"
#: The vendor's limit on `X-Request-Id`, in characters.
MAX_REQUEST_ID = 40


# -- headers and paths ---------------------------------------------------------------------------------------------


def check_headers(headers: Mapping[str, str]) -> None:
    """Check the length of the headers that name the calling system.

    Raises:
        Refusal: 400, for a header that is longer than 30 characters.
    """
    violations = EcomViolations()
    fields.check_system_headers(headers, violations)
    violations.settle()


def check_order_id(order_id: str) -> None:
    """Check the order id of a path.

    Raises:
        Refusal: 400.
    """
    if not ORDER_ID.fullmatch(order_id):
        raise invalid_request([("orderId", "must be 1 to 50 letters, digits or hyphens")])


def check_request_id(request_id: str | None, *, required: bool = True) -> str:
    """Check an idempotency key and return it; empty if there is none and none is required.

    Raises:
        Refusal: 400, if it is missing, empty or too long.
    """
    if request_id is None and not required:
        return ""
    if not request_id or len(request_id) > MAX_REQUEST_ID or SURROGATE.search(request_id):
        text = f"is required and must have at most {MAX_REQUEST_ID} characters"
        raise invalid_request([("X-Request-Id", text)])
    return request_id


# -- bodies --------------------------------------------------------------------------------------------------------

_TRANSACTION_TEXT = Field(fields.text_of(1, 100), required=True)
_MERCHANT = Field(required=True, fields={"merchantSerialNumber": Field(merchant_serial_number, required=True)})

SHIPPING_FIELDS = {
    "isDefault": Field(fields.one_of("Y", "N"), required=True),
    "priority": Field(fields.integer),
    "shippingCost": Field(ecom_fields.cost, required=True),
    "shippingMethod": Field(fields.text_of(1, 256), required=True),
    "shippingMethodId": Field(fields.text_of(1, 100), required=True),
}

_SHIPPING_ANSWER = {
    "addressId": Field(fields.integer, required=True),
    "orderId": Field(ecom_fields.order_id, required=True),
    "shippingDetails": Field(required=True, many=True, fields=SHIPPING_FIELDS),
}

_INITIATION = {
    "customerInfo": Field(required=True, fields={"mobileNumber": Field(fields.text_or_number)}),
    "merchantInfo": Field(
        required=True,
        fields={
            "authToken": Field(fields.auth_token),
            "callbackPrefix": Field(fields.string, required=True),
            "consentRemovalPrefix": Field(fields.string),
            "fallBack": Field(fields.string, required=True),
            "isApp": Field(fields.boolean),
            "merchantSerialNumber": Field(merchant_serial_number, required=True),
            "paymentType": Field(fields.one_of(REGULAR, EXPRESS)),
            "shippingDetailsPrefix": Field(fields.string),
            "staticShippingDetails": Field(many=True, fields=SHIPPING_FIELDS),
        },
    ),
    "transaction": Field(
        required=True,
        fields={
            "amount": Field(ecom_fields.amount, required=True),
            "orderId": Field(ecom_fields.order_id, required=True),
            "transactionText": _TRANSACTION_TEXT,
            "skipLandingPage": Field(fields.boolean),
            "scope": Field(fields.string),
            "additionalData": Field(
                fields={
                    "passengerName": Field(fields.text_of(1, 49), required=True),
                    "airlineCode": Field(fields.text_of(3, 3), required=True),
                    "airlineDesignatorCode": Field(fields.text_of(2, 2), required=True),
                    "ticketNumber": Field(fields.text_of(1, 150)),
                    "agencyInvoiceNumber": Field(fields.text_of(1, 6), required=True),
                }
            ),
            "useExplicitCheckoutFlow": Field(fields.boolean),
        },
    ),
}

_PAYMENT_ACTION = {
    "merchantInfo": _MERCHANT,
    "transaction": Field(
        required=True,
        fields={"amount": Field(ecom_fields.amount_or_all), "transactionText": _TRANSACTION_TEXT},
    ),
}

_CANCELLATION = {
    "merchantInfo": _MERCHANT,
    "transaction": Field(required=True, fields={"transactionText": _TRANSACTION_TEXT}),
    "shouldReleaseRemainingFunds": Field(fields.boolean),
}

_APPROVAL = {"customerPhoneNumber": Field(fields.text_or_number), "token": Field(fields.string)}


def read_initiation(body: Json, hosts: Collection[str] = (), *, violations: Violations | None = None) -> None:
    """Check the body of an initiate, each field and how they go together; correct its phone number, drop its nulls.

    Args:
        body: the body, which is changed.
        hosts: hosts whose URLs pass with http, too.
        violations: collects what is wrong; None: one that ignores what Vipps ignores.

    Raises:
        Refusal: InvalidRequest with the fields' names; 81 for a bad number; HTTP 500 for what Vipps breaks at.
    """
    violations = violations or EcomViolations()
    check_body(body, _INITIATION, violations)
    merchant, transaction = body["merchantInfo"], body["transaction"]
    _check_urls(merchant, hosts, violations)
    _check_express(merchant, transaction, violations)
    if not SCOPES.issuperset(transaction.get("scope", "").split()):
        violations.add("transaction.scope", f"must be some of {' '.join(sorted(SCOPES))}, separated by spaces")
    number = body["customerInfo"].get("mobileNumber")
    if transaction.get("skipLandingPage") and number is None:
        violations.add("customerInfo.mobileNumber", "is required to skip the landing page")
    violations.settle()
    if number is not None:
        body["customerInfo"]["mobileNumber"] = _read_number(number)


def _read_number(given: str | int) -> str:
    number = corrected_number(str(given))
    if number is None:
        raise vipps_refusal("User", "81", error_text(Reason.NO_SUCH_CUSTOMER))
    return number


def _check_urls(merchant: Json, hosts: Collection[str], violations: Violations) -> None:
    is_app = merchant.get("isApp", False)
    for name in ("callbackPrefix", "consentRemovalPrefix", "shippingDetailsPrefix"):
        message = violation_of_prefix(merchant[name], is_app=is_app, hosts=hosts) if name in merchant else None
        if message is not None:
            violations.add(f"merchantInfo.{name}", message)
    message = violation_of_fall_back(merchant["fallBack"], is_app=is_app, hosts=hosts)
    if message is not None:
        violations.add("merchantInfo.fallBack", message)


def _check_express(merchant: Json, transaction: Json, violations: Violations) -> None:
    if merchant.get("paymentType") != EXPRESS:
        return
    if "consentRemovalPrefix" not in merchant:
        violations.add("merchantInfo.consentRemovalPrefix", "is required for express checkout")
    if "shippingDetailsPrefix" not in merchant and not merchant.get("staticShippingDetails"):
        violations.add(
            "merchantInfo.shippingDetailsPrefix", "or staticShippingDetails is required for express checkout"
        )
    if transaction.get("scope", "").split():
        violations.add("transaction.scope", "cannot be combined with express checkout")


def read_payment_action(body: Json, *, violations: Violations | None = None) -> int | None:
    """Check the body of a capture or refund, and return its amount in øre; None takes all that remains.

    Raises:
        Refusal: as for `read_initiation`.
    """
    check_body(body, _PAYMENT_ACTION, violations or EcomViolations())
    return body["transaction"].get("amount") or None


def read_cancellation(body: Json, *, violations: Violations | None = None) -> bool:
    """Check the body of a cancel, and return whether the rest is to be released.

    Raises:
        Refusal: as for `read_initiation`.
    """
    check_body(body, _CANCELLATION, violations or EcomViolations())
    return bool(body.get("shouldReleaseRemainingFunds", False))


def read_approval(body: Json, *, violations: Violations | None = None) -> tuple[str | None, str | None]:
    """Check the body of a force approve, and return number and token of the payment's URL, each None if not given.

    Raises:
        Refusal: as for `read_initiation`.
    """
    check_body(body, _APPROVAL, violations or EcomViolations())
    number = body.get("customerPhoneNumber")
    return None if number is None else _read_number(number), body.get("token")


def violations_of_shipping_answer(answer: Json) -> list[tuple[str, str]]:
    """Return what is wrong with a merchant's answer to the question for shipping methods; its nulls are dropped."""
    violations = EcomViolations()
    drop_nulls(answer, violations)
    read_fields(answer, _SHIPPING_ANSWER, "", violations)
    return violations.found
