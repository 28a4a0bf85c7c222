"""A second API for the sandbox: problems by RFC 7807, amounts of value and currency, another header for the key."""

from __future__ import annotations

from typing import Any

import orjson

from vipps_async.sandbox.ledger.entries import PaymentOutcome
from vipps_async.sandbox.ledger.orders import Order
from vipps_async.sandbox.ledger.payment import Payment
from vipps_async.sandbox.ledger.reasons import Reason, Refused
from vipps_async.sandbox.wire.face import Answer, ApiRequest, CallbackJob, Face, Route, json_answer
from vipps_async.sandbox.wire.fault import Kind
from vipps_async.sandbox.wire.gateway import problem_refusal, refused_by_gateway

__all__ = ["ToyFace"]


class ToyFace(Face):
    """Creates payments, captures them, and tells what succeeded."""

    name = "toy"

    def routes(self) -> list[Route]:
        """Return the operations; `tell` is a name that no other API has."""
        one = "/toy/payments/{reference}"
        return [
            Route(operation="initiate", method="POST", path="/toy/payments", handle=self._create),
            Route(operation="capture", method="POST", path=f"{one}/capture", handle=self._capture),
            Route(operation="tell", method="GET", path=one, handle=self._tell, kind=Kind.READS),
        ]

    def refused(self, refused: Refused, operation: str) -> Answer:
        """Return a problem, but for what the gateway refuses."""
        status = 404 if refused.reason is Reason.UNKNOWN_PAYMENT else 409
        return refused_by_gateway(refused) or problem_refusal(status, refused.reason.name, str(refused)).answer

    def callback(self, order: Order, outcome: PaymentOutcome) -> CallbackJob:
        """Return an event."""
        payment = order.payment
        body = {"reference": payment.reference, "name": outcome.name, "amount": _amount(payment, payment.amount)}
        return CallbackJob(kind="payment", order_id=payment.reference, url=order.details["events"], body=body)

    def facts(self, order: Order) -> list[tuple[str, str]]:
        """Return where events go."""
        return [("Events to", order.details["events"])]

    async def _create(self, request: ApiRequest) -> Answer:
        body, services = orjson.loads(request.body), self.services
        unit, reference, currency = _unit(request), body["reference"], body["amount"]["currency"]
        services.book.check_unused(reference, unit)
        payment = Payment(
            reference=reference,
            sales_unit=unit,
            amount=body["amount"]["value"],
            currency=currency,
            text=body["description"],
            initiated_at=services.clock.now(),
            new_transaction_id=services.book.new_transaction_id,
        )
        details = {"events": body["events"]}
        order = Order(payment=payment, api=self.name, return_url=body["returnUrl"], details=details)
        services.book.add(order)
        services.customers.watch(order)
        services.changed(order)
        return json_answer({"reference": reference, "redirectUrl": services.landing_url(order)}, 201)

    async def _capture(self, request: ApiRequest) -> Answer:
        body, payment = orjson.loads(request.body), self._payment(request)
        self.services.count_call("toy.capture", 2, payment.sales_unit, payment.reference)
        done = payment.move(
            "CAPTURE",
            body["amount"]["value"],
            key=request.headers[self.key_header],
            fingerprint=request.body.decode(),
            text="",
            now=self.services.clock.now(),
            fault=request.disturbance,
        )
        return json_answer({"captured": _amount(payment, done.entry.amount)})

    async def _tell(self, request: ApiRequest) -> Answer:
        payment, now = self._payment(request), self.services.clock.now()
        entries, _ = payment.view(now, now - request.stale_by)
        events = [
            {"name": entry.operation, "amount": _amount(payment, entry.amount)} for entry in entries if entry.success
        ]
        return json_answer(events)

    def _payment(self, request: ApiRequest) -> Payment:
        order = self.services.book.find(request.path["reference"], _unit(request))
        self.services.customers.settle(order)
        return order.payment


def _unit(request: ApiRequest) -> str:
    return request.headers["Merchant-Serial-Number"]


def _amount(payment: Payment, value: int) -> dict[str, Any]:
    return {"currency": payment.currency, "value": value}
