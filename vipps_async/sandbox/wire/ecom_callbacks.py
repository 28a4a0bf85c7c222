"""Renders eCom's callbacks and shipping queries, and parses the merchant's shipping answers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from vipps_async.sandbox.ledger.clock import iso_utc
from vipps_async.sandbox.ledger.customers import Customer
from vipps_async.sandbox.ledger.entries import PaymentOutcome
from vipps_async.sandbox.ledger.orders import Order, ShippingMethod
from vipps_async.sandbox.ledger.reasons import Reason, SandboxError
from vipps_async.sandbox.wire.ecom_answers import shipping_details, user_details
from vipps_async.sandbox.wire.ecom_bodies import violations_of_shipping_answer
from vipps_async.sandbox.wire.ecom_errors import code_of, error_text
from vipps_async.sandbox.wire.face import Json
from vipps_async.sandbox.wire.fields import read_merchant_answer

#: The smallest id that an address has at Vipps.
_ADDRESS_ID = 100
#: The callback's word for each outcome, as regular payments have it; express says RESERVE where these say RESERVED.
_CALLBACK_STATUS = {
    PaymentOutcome.RESERVED: "RESERVED",
    PaymentOutcome.SALE: "SALE",
    PaymentOutcome.DECLINED: "CANCELLED",
    PaymentOutcome.EXPIRED: "REJECTED",
}


def callback_body(order: Order, outcome: PaymentOutcome, now: datetime, *, number_as_integer: bool = False) -> Json:
    """Return what the callback says about an outcome, in the regular shape or that of express checkout.

    A payment with a scope has the shape of express checkout too, without the shipping that it never had.
    """
    payment = order.payment
    rich = order.express or bool(order.scope)
    info: Json = {"amount": payment.total, "status": _callback_status(order, outcome, rich=rich)}
    info["timeStamp"] = iso_utc(now)
    if payment.opened_at is not None:
        # A payment that nobody opened in the app never became a transaction.
        info["transactionId"] = payment.transaction_id
    msn: str | int = payment.sales_unit
    body: Json = {
        "merchantSerialNumber": int(msn) if number_as_integer else msn,
        "orderId": payment.reference,
        "transactionInfo": info,
    }
    if rich and order.customer is not None and outcome in {PaymentOutcome.RESERVED, PaymentOutcome.SALE}:
        body["userDetails"] = user_details(order, order.customer)
        if order.shipping is not None:
            body["shippingDetails"] = shipping_details(order.shipping, order.customer, "zipCode")
    reason = payment.failure if outcome is PaymentOutcome.FAILED else Reason.NOT_ACTED_UPON
    if reason is not None and outcome in {PaymentOutcome.FAILED, PaymentOutcome.EXPIRED}:
        # The plural is Vipps' own: callbacks name the group so, answers say "Payment".
        body["errorInfo"] = {
            "errorGroup": "PAYMENTS",
            "errorCode": code_of(reason)[1],
            "errorMessage": error_text(reason),
        }
    return body


def _callback_status(order: Order, outcome: PaymentOutcome, *, rich: bool) -> str:
    if outcome is PaymentOutcome.FAILED:
        return "SALE_FAILED" if order.payment.direct_capture else "RESERVE_FAILED"
    status = _CALLBACK_STATUS[outcome]
    return "RESERVE" if rich and status == "RESERVED" else status


def shipping_question(customer: Customer) -> Json:
    """Return what the merchant is asked in express checkout with dynamic shipping."""
    return {
        "addressId": _ADDRESS_ID,
        "addressLine1": customer.address.line1,
        "addressLine2": customer.address.line2,
        "country": "NO",
        "city": customer.address.city,
        "postCode": customer.address.postal_code,
        "addressType": "H",
    }


def read_methods(given: Sequence[Json]) -> list[ShippingMethod]:
    """Return checked ways of shipping as the ledger knows them."""
    return [
        ShippingMethod(
            method_id=method["shippingMethodId"],
            name=method["shippingMethod"],
            # NOK with decimals, by its shortest ones, as it came: 1.15 * 100 is a little less than 115.
            cost=round(Decimal(str(method["shippingCost"])) * 100),
            is_default=method["isDefault"] == "Y",
        )
        for method in given
    ]


def read_shipping_answer(answer: tuple[int, bytes] | None, order_id: str) -> list[ShippingMethod]:
    """Return the ways of shipping of a merchant's answer: status and body, or None if there was none.

    Raises:
        SandboxError: it gives none.
    """
    value = read_merchant_answer(answer, "shipping methods")
    violations = [f"{name} {message}" for name, message in violations_of_shipping_answer(value)]
    for name, asked in (("addressId", _ADDRESS_ID), ("orderId", order_id)):
        if not violations and value[name] != asked:
            violations.append(f"{name} must be the one that was asked with")
    if violations:
        raise SandboxError(f"no shipping methods: in the merchant's answer, {'; '.join(violations)}")
    return read_methods(value["shippingDetails"])
