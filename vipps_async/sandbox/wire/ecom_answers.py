"""What the API answers and what callbacks say, in the vendor's own words, odd ones included."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from vipps_async.sandbox.ledger.clock import iso_utc
from vipps_async.sandbox.ledger.customers import EXPIRED, Customer
from vipps_async.sandbox.ledger.entries import LogEntry, Movement, Outcome, State, Summary
from vipps_async.sandbox.ledger.orders import Order
from vipps_async.sandbox.wire.refusals import error_text

__all__ = [
    "callback_body",
    "cancel_answer",
    "capture_answer",
    "details_answer",
    "refund_answer",
    "shipping_question",
    "status_answer",
]

Json = dict[str, Any]

#: The first six digits of the card that every customer here pays with: a range that is set aside for tests.
_BANK_IDENTIFICATION_NUMBER = 411111
_PAYMENT_INSTRUMENT = "Visa"
#: The callback's word for each outcome, as regular payments have it; express says RESERVE where these say RESERVED.
_CALLBACK_STATUS = {
    Outcome.RESERVED: "RESERVED",
    Outcome.SALE: "SALE",
    Outcome.DECLINED: "CANCELLED",
    Outcome.EXPIRED: "REJECTED",
}


def _summary(summary: Summary) -> Json:
    return {
        "capturedAmount": summary.captured,
        "remainingAmountToCapture": summary.remaining_to_capture,
        "refundedAmount": summary.refunded,
        "remainingAmountToRefund": summary.remaining_to_refund,
    }


def _transaction_info(entry: LogEntry, status: str, *, zone: bool = True) -> Json:
    return {
        "amount": entry.amount,
        "timeStamp": iso_utc(entry.time, zone=zone),
        "transactionText": entry.text,
        "status": status,
        "transactionId": entry.transaction_id,
    }


def _with_summary(answer: Json, summary: Summary | None) -> Json:
    if summary is not None:
        answer["transactionSummary"] = _summary(summary)
    return answer


def capture_answer(order_id: str, done: Movement) -> Json:
    """Return the answer to a capture: `Captured`, under `transactionInfo`."""
    answer = {
        "paymentInstrument": _PAYMENT_INSTRUMENT,
        "orderId": order_id,
        "transactionInfo": _transaction_info(done.entry, "Captured"),
    }
    return _with_summary(answer, done.summary)


def refund_answer(order_id: str, done: Movement) -> Json:
    """Return the answer to a refund: `Refund`, under `transaction`, and its time without a zone."""
    answer = {"orderId": order_id, "transaction": _transaction_info(done.entry, "Refund", zone=False)}
    return _with_summary(answer, done.summary)


def cancel_answer(order_id: str, done: Movement) -> Json:
    """Return the answer to a cancel: `Cancelled`; a payment that was never reserved gives no transaction id."""
    info = _transaction_info(done.entry, "Cancelled")
    answer: Json = {"orderId": order_id, "transactionInfo": info}
    if done.summary is None:
        del info["transactionId"]
        return answer
    return _with_summary({"paymentInstrument": _PAYMENT_INSTRUMENT, **answer}, done.summary)


def details_answer(order: Order, now: datetime, *, as_of: datetime | None = None) -> Json:
    """Return the answer of details: the history, newest first; a stale one shows how it stood at `as_of`."""
    payment = order.payment
    answer: Json = {"orderId": payment.order_id}
    expired = order.personal_data_expired(now)
    if order.customer is not None and (order.express or order.scope):
        answer["userDetails"] = _user_details(order, order.customer, expired=expired)
    if order.customer is not None and order.shipping is not None:
        answer["shippingDetails"] = _shipping(order, order.customer, "postCode", expired=expired)
    if order.sub is not None and order.sub_at is not None and now >= order.sub_at:
        answer["sub"] = order.sub
    history, summary = payment.view(now, as_of or now)
    _with_summary(answer, summary)
    if summary is not None and payment.reserved_at is not None:
        answer["transactionSummary"]["bankIdentificationNumber"] = _BANK_IDENTIFICATION_NUMBER
    answer["transactionLogHistory"] = [_history_line(entry) for entry in reversed(history)]
    return answer


def _history_line(entry: LogEntry) -> Json:
    return {
        "amount": entry.amount,
        "transactionText": entry.text,
        "transactionId": entry.transaction_id,
        "timeStamp": iso_utc(entry.time),
        "operation": entry.operation,
        "requestId": entry.request_id,
        "operationSuccess": entry.success,
    }


def status_answer(order: Order) -> Json:
    """Return the answer of the deprecated status: the last success, FAILED, or REJECTED after a time-out."""
    payment = order.payment
    entry = next(entry for entry in reversed(payment.history) if entry.success)
    status = entry.operation
    if payment.state is State.FAILED:
        status = "FAILED"
    elif payment.ending is Outcome.EXPIRED:
        status = "REJECTED"
    elif payment.known_at is not None:
        status = "REGISTER"
    return {
        "orderId": payment.order_id,
        "transactionInfo": {
            "amount": entry.amount,
            "status": status,
            "timeStamp": iso_utc(entry.time),
            "transactionId": entry.transaction_id,
        },
    }


def _user_details(order: Order, customer: Customer, *, expired: bool = False) -> Json:
    details: Json = customer.user_details(order.payment.merchant_serial_number, expired=expired)
    # Not in the description; the vendor's guide has it for payments with a scope.
    return {"bankIdVerified": "Y", **details} if order.scope else details


def _shipping(order: Order, customer: Customer, postal_code_name: str, *, expired: bool = False) -> Json:
    shipping = order.shipping
    if shipping is None:
        raise AssertionError("unreachable: asked for the shipping of an order that has none")
    address = {
        "addressLine1": customer.address.line1,
        "addressLine2": customer.address.line2,
        "city": customer.address.city,
        postal_code_name: customer.address.postal_code,
    }
    if expired:
        address = dict.fromkeys(address, EXPIRED)
    return {
        "address": {**address, "country": "Norway"},
        "shippingCost": shipping.cost,
        "shippingMethod": shipping.method,
        "shippingMethodId": shipping.method_id,
    }


def callback_body(order: Order, outcome: Outcome, now: datetime, *, number_as_integer: bool = False) -> Json:
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
    msn: str | int = payment.merchant_serial_number
    body: Json = {
        "merchantSerialNumber": int(msn) if number_as_integer else msn,
        "orderId": payment.order_id,
        "transactionInfo": info,
    }
    if rich and order.customer is not None and outcome in {Outcome.RESERVED, Outcome.SALE}:
        body["userDetails"] = _user_details(order, order.customer)
        if order.shipping is not None:
            body["shippingDetails"] = _shipping(order, order.customer, "zipCode")
    code = payment.failure if outcome is Outcome.FAILED else "45" if outcome is Outcome.EXPIRED else None
    if code is not None:
        # The plural is Vipps' own: callbacks name the group so, answers say "Payment".
        body["errorInfo"] = {
            "errorGroup": "PAYMENTS",
            "errorCode": code,
            "errorMessage": error_text("Payment", code),
        }
    return body


def _callback_status(order: Order, outcome: Outcome, *, rich: bool) -> str:
    if outcome is Outcome.FAILED:
        return "SALE_FAILED" if order.payment.direct_capture else "RESERVE_FAILED"
    status = _CALLBACK_STATUS[outcome]
    return "RESERVE" if rich and status == "RESERVED" else status


def shipping_question(address_id: int, customer: Customer) -> Json:
    """Return what the merchant is asked in express checkout with dynamic shipping."""
    return {
        "addressId": address_id,
        "addressLine1": customer.address.line1,
        "addressLine2": customer.address.line2,
        "country": "NO",
        "city": customer.address.city,
        "postCode": customer.address.postal_code,
        "addressType": "H",
    }
