"""Renders ePayment's answers about a payment: state, sums and events, whichever API initiated it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from vipps_async.sandbox.ledger.clock import iso_utc
from vipps_async.sandbox.ledger.customers import Customer
from vipps_async.sandbox.ledger.entries import MEANINGS, State
from vipps_async.sandbox.ledger.events import Event, events_of
from vipps_async.sandbox.ledger.orders import Order, ShippingMethod
from vipps_async.sandbox.ledger.payment import Payment
from vipps_async.sandbox.wire.epayment_money import MONEY
from vipps_async.sandbox.wire.face import Json

#: The first six digits of the card that every customer here pays with: a range that is set aside for tests.
_CARD_BIN = "411111"
#: How long the card's scheme vouches for a reservation: the card is a Visa.
_GUARANTEED_FOR = timedelta(days=7)
#: Name of an event → the sum that it adds to.
_SUMS = {
    "AUTHORIZED": "authorizedAmount",
    **dict.fromkeys(("CANCELLED", "TERMINATED"), MONEY["cancel"].sum),
    **{event: one.sum for name, one in MONEY.items() for event in MEANINGS[name.upper()].events},
}
_ENDS = ("ABORTED", "EXPIRED", "TERMINATED")


def amount_of(payment: Payment, value: int) -> Json:
    """Return an amount in the payment's currency."""
    return {"currency": payment.currency, "value": value}


def aggregate_of(payment: Payment, events: Sequence[Event]) -> Json:
    """Return the sums that events tell."""
    sums = dict.fromkeys(sorted({*_SUMS.values()}), 0)
    for event in events:
        if event.success and event.name in _SUMS:
            sums[_SUMS[event.name]] += event.amount
    return {name: amount_of(payment, value) for name, value in sums.items()}


def state_of(payment: Payment, events: Sequence[Event]) -> str:
    """Return the state that events tell; what eCom's bank refused is ABORTED."""
    done = {event.name for event in events if event.success}
    if "AUTHORIZED" in done:
        return "AUTHORIZED"
    if payment.state is State.FAILED and len(events) > 1:
        return "ABORTED"
    return next((name for name in _ENDS if name in done), "CREATED")


def events_answer(payment: Payment, events: Sequence[Event]) -> list[Json]:
    """Return the event log, oldest first."""
    return [event_answer(payment, event) for event in events]


def event_answer(payment: Payment, event: Event) -> Json:
    """Return one event."""
    said: Json = {
        "reference": payment.reference,
        "pspReference": event.psp_reference,
        "name": event.name,
        "amount": amount_of(payment, event.amount),
        "timestamp": iso_utc(event.time),
        "success": event.success,
    }
    return {**said, "idempotencyKey": event.idempotency_key} if event.idempotency_key else said


def adjust_answer(payment: Payment) -> Json:
    """Return the answer to a capture, refund or cancel, as things stand."""
    events = events_of(payment)
    return {
        "amount": amount_of(payment, payment.amount),
        "state": state_of(payment, events),
        "aggregate": aggregate_of(payment, events),
        "pspReference": events[0].psp_reference,
        "reference": payment.reference,
    }


def get_answer(order: Order, events: Sequence[Event], now: datetime, redirect_url: str | None) -> Json:
    """Return the payment as these events, some of all, tell it."""
    payment, state = order.payment, state_of(order.payment, events)
    answer: Json = {
        "aggregate": aggregate_of(payment, events),
        "amount": amount_of(payment, payment.amount),
        "state": state,
        "paymentMethod": {"type": order.details.get("paymentMethod", "WALLET")},
        "profile": {},
        "pspReference": events[0].psp_reference,
        "reference": payment.reference,
    }
    if order.details.get("metadata"):
        answer["metadata"] = order.details["metadata"]
    if redirect_url is not None and state == "CREATED":
        answer["redirectUrl"] = redirect_url
    if state == "AUTHORIZED" and payment.reserved_at is not None:
        answer["paymentMethod"]["cardBin"] = _CARD_BIN
        answer |= authorized_facts(order, now)
        if (sub := answer.pop("sub", None)) is not None:
            answer["profile"]["sub"] = sub
    return answer


def authorized_facts(order: Order, now: datetime) -> Json:
    """Return what an authorization brings: how long it is guaranteed, who paid, and where it is shipped to."""
    payment, customer = order.payment, order.customer
    facts: Json = {}
    if payment.reserved_at is not None:
        until = payment.reserved_at + min(_GUARANTEED_FOR, payment.terms.capture_limit)
        facts["captureGuaranteedUntil"] = iso_utc(until, zone=False) + "+00:00"
    if customer is None or order.personal_data_expired(now):
        return facts
    if order.sub is not None and order.sub_at is not None and now >= order.sub_at:
        facts["sub"] = order.sub
    if details := _user_details(order, customer):
        facts["userDetails"] = details
    if order.shipping is not None:
        facts["shippingDetails"] = _shipping_details(order.shipping, customer)
    return facts


def _user_details(order: Order, customer: Customer) -> Json:
    """Return what the scope allows, and no more."""
    year, month, day = customer.birth_date.split("-")
    allowed: dict[str, Json] = {
        "name": {"firstName": customer.first_name, "lastName": customer.last_name},
        "email": {"email": customer.email},
        "phoneNumber": {"mobileNumber": customer.msisdn},
        # Not by ISO 8601: so stands the vendor's example.
        "birthDate": {"dateOfBirth": f"{year}-{int(month)}-{int(day)}"},
        "address": {"addresses": [_address(customer)]},
    }
    return {name: value for word, part in allowed.items() if word in order.scope for name, value in part.items()}


def _address(customer: Customer) -> Json:
    address = customer.address
    lines = {"addressLine1": address.line1, **({"addressLine2": address.line2} if address.line2 else {})}
    return {**lines, "city": address.city, "country": "NO", "postCode": address.postal_code}


def _shipping_details(shipping: ShippingMethod, customer: Customer) -> Json:
    return {
        "address": _address(customer),
        "shippingCost": shipping.cost,
        "shippingOptionId": shipping.method_id,
        "shippingOptionName": shipping.name,
    }
