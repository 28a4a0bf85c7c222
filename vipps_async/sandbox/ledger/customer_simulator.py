"""The customer's app, and time: what happens to a payment between the merchant's calls, and what Vipps then tells."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import orjson

from vipps_async.sandbox.ledger.clock import SandboxClock
from vipps_async.sandbox.ledger.customers import Customer
from vipps_async.sandbox.ledger.entries import Outcome, State
from vipps_async.sandbox.ledger.orders import Order, OrderBook, ShippingChoice
from vipps_async.sandbox.ledger.settings import Settings
from vipps_async.sandbox.network.callbacks import SHIPPING_TIMEOUT, CallbackJob
from vipps_async.sandbox.wire.ecom_answers import callback_body, shipping_question
from vipps_async.sandbox.wire.ecom_fields import breaches_of_shipping_answer
from vipps_async.sandbox.wire.refusals import SandboxError

__all__ = ["Wallet", "payer", "state_word"]

#: The smallest id that an address has at Vipps.
_ADDRESS_ID = 100


class Wallet:
    """Plays the customer, and lets payments run out of time.

    Args:
        clock: the sandbox's clock.
        book: its orders.
        send: queues a callback.
        call: makes a request at the merchant now.
        settings: how long things take, and how callbacks write.
        changed: is told of each order that changes.
    """

    def __init__(
        self,
        clock: SandboxClock,
        book: OrderBook,
        *,
        send: Callable[[CallbackJob], None],
        call: Callable[[CallbackJob], Awaitable[tuple[int, bytes] | None]],
        settings: Settings,
        changed: Callable[[Order], None],
    ) -> None:
        self._clock = clock
        self._book = book
        self._send = send
        self._call = call
        self._settings = settings
        self._changed = changed
        self._due: list[tuple[datetime, int, Order]] = []
        self._sequence = itertools.count()

    # -- time --------------------------------------------------------------------------------------------------------

    def watch(self, order: Order) -> None:
        """Remember when something will happen to an order by itself."""
        due_at = order.payment.due_at
        if due_at is not None:
            heapq.heappush(self._due, (due_at, next(self._sequence), order))

    def settle(self, order: Order) -> None:
        """Let happen to an order what is due."""
        outcome = order.payment.settle(self._clock.now())
        if outcome is not None:
            self._changed(order)
            self._announce(order, outcome)

    def settle_due(self) -> None:
        """Let happen to all orders what is due."""
        now = self._clock.now()
        while self._due and self._due[0][0] <= now:
            _, _, order = heapq.heappop(self._due)
            self.settle(order)
            # Opened in the app meanwhile, or waiting for the bank: it comes due once more.
            self.watch(order)

    def expire(self, order: Order) -> None:
        """Time out an order now.

        Raises:
            SandboxError: it does not wait for the customer.
        """
        self._waiting(order)
        order.payment.expire(self._clock.now())
        self._changed(order)
        self._announce(order, Outcome.EXPIRED)

    # -- the customer ------------------------------------------------------------------------------------------------

    def open(self, order: Order) -> None:
        """Let the customer open the payment in the app.

        Raises:
            SandboxError: it does not wait for the customer.
        """
        self._waiting(order)
        if order.payment.opened_at is None:
            order.payment.open(self._clock.now())
            self._changed(order)

    def notify(self, order: Order, number: str) -> None:
        """Let the customer give a phone number, to which the notification goes; it wins over the merchant's."""
        order.entered_number = number
        self._changed(order)

    def reject(self, order: Order) -> None:
        """Let the customer decline.

        Raises:
            SandboxError: the payment does not wait for the customer.
        """
        self._waiting(order)
        order.payment.decline(self._clock.now())
        self._changed(order)
        self._announce(order, Outcome.DECLINED)

    async def approve(
        self,
        order: Order,
        *,
        customer: Customer | None = None,
        shipping_method_id: str | None = None,
        force: bool = False,
    ) -> None:
        """Let the customer accept; in express checkout after choosing how it is shipped.

        Raises:
            SandboxError: the payment does not wait for the customer, or there is no (such) shipping method.
        """
        self.open(order)
        customer = payer(order, customer)
        shipping = None
        if order.express:
            methods = await self.offer(order, customer)
            # The merchant took its time to answer; the payment may have ended meanwhile.
            self._waiting(order)
            shipping = _choose(methods, shipping_method_id)
        now = self._clock.now()
        outcome = order.payment.approve(
            now,
            shipping_cost=0 if shipping is None else shipping.oere,
            force=force,
            unknown_for=timedelta(seconds=self._settings.unknown_for),
        )
        order.customer, order.shipping = customer, shipping
        if order.payment.state in {State.RESERVE, State.SALE} or outcome is Outcome.UNKNOWN:
            order.sub_at = now + timedelta(seconds=self._settings.sub_delay)
            self._book.remember_customer(order)
        else:
            # The bank said no: the merchant learns nothing about the customer.
            order.customer = order.shipping = None
        self._changed(order)
        if outcome is Outcome.UNKNOWN:
            self.watch(order)
        else:
            self._announce(order, outcome)

    async def offer(self, order: Order, customer: Customer | None = None) -> list[dict[str, Any]]:
        """Return the ways of shipping of an express order; the merchant is asked once, unless it answers wrongly.

        Raises:
            SandboxError: the merchant gave none.
        """
        if order.offered is None:
            order.offered = await self._shipping_methods(order, payer(order, customer))
            self._changed(order)
        return order.offered

    def waits(self, order: Order) -> bool:
        """Whether an order waits for the customer."""
        self.settle(order)
        return order.payment.state is State.INITIATE and order.payment.known_at is None

    def _waiting(self, order: Order) -> None:
        if not self.waits(order):
            payment = order.payment
            raise SandboxError(f"order {payment.order_id} does not wait for the customer: it is {state_word(order)}")

    async def _shipping_methods(self, order: Order, customer: Customer) -> list[dict[str, Any]]:
        prefix = order.shipping_details_prefix
        if order.static_shipping or prefix is None:
            return order.static_shipping
        order_id = order.payment.order_id
        answer = await self._call(
            CallbackJob(
                kind="shippingDetails",
                order_id=order_id,
                merchant_serial_number=order.payment.merchant_serial_number,
                method="POST",
                url=f"{prefix}/v2/payments/{order_id}/shippingDetails",
                auth_token=order.auth_token,
                body=shipping_question(_ADDRESS_ID, customer),
                timeout=SHIPPING_TIMEOUT,
            )
        )
        return _methods_of(answer, order_id)

    # -- the merchant's ears -----------------------------------------------------------------------------------------

    def _announce(self, order: Order, outcome: Outcome) -> None:
        payment = order.payment
        self._send(
            CallbackJob(
                kind="payment",
                order_id=payment.order_id,
                merchant_serial_number=payment.merchant_serial_number,
                method="POST",
                url=f"{order.callback_prefix}/v2/payments/{payment.order_id}",
                auth_token=order.auth_token,
                body=callback_body(
                    order, outcome, self._clock.now(), number_as_integer=self._settings.numeric_callback_msn
                ),
            )
        )

    async def remove_consent(self, user_id: str) -> None:
        """Let the customer withdraw the consent to keep personal data, and tell the merchant.

        Raises:
            SandboxError: no express order has a customer by that id.
        """
        order = self._book.by_user_id(user_id)
        if order is None or order.consent_removal_prefix is None:
            raise SandboxError("no express order has a customer by that user id")
        await self._call(
            CallbackJob(
                kind="consentRemoval",
                order_id=order.payment.order_id,
                merchant_serial_number=order.payment.merchant_serial_number,
                method="DELETE",
                url=f"{order.consent_removal_prefix}/v2/consents/{quote(user_id, safe='')}",
                auth_token=order.auth_token,
            )
        )


def state_word(order: Order) -> str:
    """Return the word for where an order stands; REGISTER while the bank does not know."""
    return "REGISTER" if order.payment.known_at is not None else order.payment.state.value


def payer(order: Order, customer: Customer | None = None) -> Customer:
    """Return who pays an order: a number that was given for it wins over the customer's own."""
    customer = customer or Customer()
    number = order.entered_number or order.mobile_number
    return customer if number is None else replace(customer, mobile_number=number)


def _methods_of(answer: tuple[int, bytes] | None, order_id: str) -> list[dict[str, Any]]:
    if answer is None:
        raise SandboxError("no shipping methods: the merchant gave no answer")
    status, body = answer
    if status != 200:
        raise SandboxError(f"no shipping methods: the merchant answered HTTP {status}")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise SandboxError("no shipping methods: the merchant's answer is no JSON") from error
    if not isinstance(value, dict):
        raise SandboxError("no shipping methods: the merchant's answer is no JSON object")
    breaches = [f"{name} {message}" for name, message in breaches_of_shipping_answer(value)]
    if not breaches and value["addressId"] != _ADDRESS_ID:
        breaches.append("addressId must be the one that was asked with")
    if not breaches and value["orderId"] != order_id:
        breaches.append("orderId must be the one that was asked with")
    if breaches:
        raise SandboxError(f"no shipping methods: in the merchant's answer, {'; '.join(breaches)}")
    methods: list[dict[str, Any]] = value["shippingDetails"]
    return methods


def _choose(methods: list[dict[str, Any]], method_id: str | None) -> ShippingChoice:
    by_id = {method["shippingMethodId"]: method for method in methods}
    if method_id is None:
        chosen = next((method for method in methods if method["isDefault"] == "Y"), methods[0])
    elif method_id in by_id:
        chosen = by_id[method_id]
    else:
        raise SandboxError(f"there is no shipping method {method_id!r}, only {', '.join(sorted(by_id))}")
    return ShippingChoice(
        method_id=chosen["shippingMethodId"], method=chosen["shippingMethod"], cost=chosen["shippingCost"]
    )
