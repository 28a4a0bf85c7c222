"""What the API answers and what callbacks say, in the vendor's own words, odd ones included."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from vipps_async.sandbox.ledger.clock import iso_utc
from vipps_async.sandbox.ledger.customers import EXPIRED, Customer
from vipps_async.sandbox.ledger.entries import LogEntry, Movement, Outcome, State, Summary
from vipps_async.sandbox.ledger.orders import Order, ShippingMethod
from vipps_async.sandbox.ledger.reasons import Reason
from vipps_async.sandbox.wire.ecom_errors import code_of, error_text

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
        answer["transactionSummary"] = {
            "capturedAmount": summary.captured,
            "remainingAmountToCapture": summary.remaining_to_capture,
            "refundedAmount": summary.refunded,
            "remainingAmountToRefund": summary.remaining_to_refund,
        }
    return answer


def result_answer(operation: str, order_id: str, done: Movement) -> Json:
    """Return the answer to a capture, cancel or refund.

    A refund has its transaction under another name and its time without a zone; a cancel of a payment that was never
    reserved gives no transaction id.
    """
    if operation == "refund":
        answer = {"orderId": order_id, "transaction": _transaction_info(done.entry, "Refund", zone=False)}
        return _with_summary(answer, done.summary)
    info = _transaction_info(done.entry, "Captured" if operation == "capture" else "Cancelled")
    if done.summary is None:
        del info["transactionId"]
        return {"orderId": order_id, "transactionInfo": info}
    answer = {"paymentInstrument": _PAYMENT_INSTRUMENT, "orderId": order_id, "transactionInfo": info}
    return _with_summary(answer, done.summary)


def details_answer(order: Order, now: datetime, *, as_of: datetime | None = None) -> Json:
    """Return the answer of details: the history, newest first; a stale one shows how it stood at `as_of`."""
    payment = order.payment
    answer: Json = {"orderId": payment.reference}
    expired = order.personal_data_expired(now)
    if order.customer is not None and (order.express or order.scope):
        answer["userDetails"] = _user_details(order, order.customer, expired=expired)
    if order.customer is not None and order.shipping is not None:
        answer["shippingDetails"] = _shipping(order.shipping, order.customer, "postCode", expired=expired)
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
        "orderId": payment.reference,
        "transactionInfo": {
            "amount": entry.amount,
            "status": status,
            "timeStamp": iso_utc(entry.time),
            "transactionId": entry.transaction_id,
        },
    }


def _user_details(order: Order, customer: Customer, *, expired: bool = False) -> Json:
    personal = {
        "email": customer.email,
        "firstName": customer.first_name,
        "lastName": customer.last_name,
        "mobileNumber": customer.mobile_number,
    }
    if expired:
        personal = dict.fromkeys(personal, EXPIRED)
    # Not in the description; the vendor's guide has it for payments with a scope.
    verified = {"bankIdVerified": "Y"} if order.scope else {}
    return {**verified, **personal, "userId": customer.user_id(order.payment.sales_unit)}


def _shipping(shipping: ShippingMethod, customer: Customer, postal_code_name: str, *, expired: bool = False) -> Json:
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
        # NOK with decimals, where every other sum is whole øre.
        "shippingCost": shipping.cost / 100,
        "shippingMethod": shipping.name,
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
    msn: str | int = payment.sales_unit
    body: Json = {
        "merchantSerialNumber": int(msn) if number_as_integer else msn,
        "orderId": payment.reference,
        "transactionInfo": info,
    }
    if rich and order.customer is not None and outcome in {Outcome.RESERVED, Outcome.SALE}:
        body["userDetails"] = _user_details(order, order.customer)
        if order.shipping is not None:
            body["shippingDetails"] = _shipping(order.shipping, order.customer, "zipCode")
    reason = payment.failure if outcome is Outcome.FAILED else Reason.NOT_ACTED_UPON
    if reason is not None and outcome in {Outcome.FAILED, Outcome.EXPIRED}:
        # The plural is Vipps' own: callbacks name the group so, answers say "Payment".
        body["errorInfo"] = {
            "errorGroup": "PAYMENTS",
            "errorCode": code_of(reason)[1],
            "errorMessage": error_text(reason),
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
