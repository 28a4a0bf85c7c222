"""Renders eCom's answers in the vendor's own words, odd ones included."""

from __future__ import annotations

from datetime import datetime

from vipps_async.sandbox.ledger.clock import iso_utc
from vipps_async.sandbox.ledger.customers import EXPIRED, Customer
from vipps_async.sandbox.ledger.entries import LogEntry, Movement, PaymentOutcome, State, Sums
from vipps_async.sandbox.ledger.orders import Order, ShippingMethod
from vipps_async.sandbox.wire.ecom_money import MONEY
from vipps_async.sandbox.wire.face import Json

#: The first six digits of the card that every customer here pays with: a range that is set aside for tests.
_BANK_IDENTIFICATION_NUMBER = 411111
_PAYMENT_INSTRUMENT = "Visa"


def _transaction_info(entry: LogEntry, status: str, *, zone: bool = True) -> Json:
    return {
        "amount": entry.amount,
        "timeStamp": iso_utc(entry.time, zone=zone),
        "transactionText": entry.text,
        "status": status,
        "transactionId": entry.transaction_id,
    }


def _with_summary(answer: Json, sums: Sums | None) -> Json:
    if sums is not None:
        answer["transactionSummary"] = {
            "capturedAmount": sums.captured,
            "remainingAmountToCapture": sums.remaining_to_capture,
            "refundedAmount": sums.refunded,
            "remainingAmountToRefund": sums.remaining_to_refund,
        }
    return answer


def result_answer(operation: str, order_id: str, done: Movement) -> Json:
    """Return the answer to a capture, cancel or refund.

    A cancel of a payment that was never reserved gives no transaction id, no sums and no payment instrument.
    """
    one = MONEY[operation]
    info = _transaction_info(done.entry, one.status, zone=one.has_zone)
    answer: Json = {"orderId": order_id, one.transaction_name: info}
    if done.sums is None:
        del info["transactionId"]
        return answer
    if one.names_instrument:
        answer["paymentInstrument"] = _PAYMENT_INSTRUMENT
    return _with_summary(answer, done.sums)


def details_answer(order: Order, now: datetime, *, as_of: datetime | None = None) -> Json:
    """Return the answer of details: the history, newest first; a stale one shows how it stood at `as_of`."""
    payment = order.payment
    answer: Json = {"orderId": payment.reference}
    expired = order.personal_data_expired(now)
    if order.customer is not None and (order.express or order.scope):
        answer["userDetails"] = user_details(order, order.customer, expired=expired)
    if order.customer is not None and order.shipping is not None:
        answer["shippingDetails"] = shipping_details(order.shipping, order.customer, "postCode", expired=expired)
    if order.sub is not None and order.sub_at is not None and now >= order.sub_at:
        answer["sub"] = order.sub
    history, sums = payment.view(now, as_of or now)
    _with_summary(answer, sums)
    if sums is not None and payment.reserved_at is not None:
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
    elif payment.ending is PaymentOutcome.EXPIRED:
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


def user_details(order: Order, customer: Customer, *, expired: bool = False) -> Json:
    """Return `userDetails` of callbacks and details."""
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


def shipping_details(
    shipping: ShippingMethod, customer: Customer, postal_code_name: str, *, expired: bool = False
) -> Json:
    """Return `shippingDetails` of callbacks and details, which name the postal code differently."""
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
