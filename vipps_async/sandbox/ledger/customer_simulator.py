"""Simulates the customer's app and time: what happens to a payment between the merchant's calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta

from vipps_async.sandbox.ledger.clock import SandboxClock
from vipps_async.sandbox.ledger.customers import Customer
from vipps_async.sandbox.ledger.entries import PaymentOutcome, State
from vipps_async.sandbox.ledger.orders import Order, OrderBook, ShippingMethod
from vipps_async.sandbox.ledger.reasons import SandboxError
from vipps_async.sandbox.ledger.settings import SandboxSettings


class CustomerSimulator:
    """Acts as the customer, and times payments out.

    Args:
        clock: the sandbox's clock.
        book: its orders.
        settings: the durations.
        announce: tells the merchant what became of an order while the customer had it.
        ask_shipping: asks the merchant for the ways of shipping of an express order.
        changed: is told of each order that changes.
    """

    def __init__(
        self,
        clock: SandboxClock,
        book: OrderBook,
        settings: SandboxSettings,
        *,
        announce: Callable[[Order, PaymentOutcome], None],
        ask_shipping: Callable[[Order, Customer], Awaitable[list[ShippingMethod]]],
        changed: Callable[[Order], None],
    ) -> None:
        self._clock = clock
        self._book = book
        self._settings = settings
        self._announce = announce
        self._ask_shipping = ask_shipping
        self._changed = changed

    # -- time --------------------------------------------------------------------------------------------------------

    def watch(self, order: Order) -> None:
        """Schedule what happens to an order by time."""
        if order.payment.due_at is not None:
            self._clock.call_at(order.payment.due_at, lambda: self._is_due(order))

    def _is_due(self, order: Order) -> None:
        self.settle(order)
        # Opened in the app meanwhile, or waiting for the bank: it comes due once more.
        self.watch(order)

    def settle(self, order: Order) -> None:
        """Apply to an order what is due by time."""
        outcome = order.payment.settle(self._clock.now())
        if outcome is not None:
            self._tell(order, outcome)

    def expire(self, order: Order) -> None:
        """Time out an order now.

        Raises:
            SandboxError: it does not wait for the customer.
        """
        self._waiting(order)
        order.payment.expire(self._clock.now())
        self._tell(order, PaymentOutcome.EXPIRED)

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
        self._tell(order, PaymentOutcome.DECLINED)

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
        if customer.age(self._clock.now().date()) < order.minimum_age:
            raise SandboxError(f"the customer is under {order.minimum_age} years old")
        shipping = None
        if order.express:
            methods = await self.offer(order, customer)
            # The merchant took its time to answer; the payment may have ended meanwhile.
            self._waiting(order)
            shipping = _choose(methods, shipping_method_id)
        now = self._clock.now()
        outcome = order.payment.approve(
            now,
            shipping_cost=0 if shipping is None else shipping.cost,
            force=force,
            unknown_for=timedelta(seconds=self._settings.unknown_for),
        )
        if outcome is not PaymentOutcome.FAILED:
            order.customer, order.shipping = customer, shipping
            order.sub_at = now + timedelta(seconds=self._settings.sub_delay)
            self._book.remember_customer(order)
        # Else the bank said no: the merchant learns nothing about the customer.
        if outcome is PaymentOutcome.UNKNOWN:
            self._changed(order)
            self.watch(order)
        else:
            self._tell(order, outcome)

    async def offer(self, order: Order, customer: Customer | None = None) -> list[ShippingMethod]:
        """Return the ways of shipping of an express order; the merchant is asked once, unless it answers wrongly.

        Raises:
            SandboxError: the merchant gave none.
        """
        if order.offered is None:
            order.offered = await self._ask_shipping(order, payer(order, customer))
            self._changed(order)
        return order.offered

    def waits(self, order: Order) -> bool:
        """Whether an order waits for the customer."""
        self.settle(order)
        return order.payment.state is State.INITIATE and order.payment.known_at is None

    def _waiting(self, order: Order) -> None:
        if not self.waits(order):
            raise SandboxError(
                f"order {order.payment.reference} does not wait for the customer: it is {order.state_word}"
            )

    def _tell(self, order: Order, outcome: PaymentOutcome) -> None:
        self._changed(order)
        self._announce(order, outcome)


def payer(order: Order, customer: Customer | None = None) -> Customer:
    """Return who pays an order: a number that was given for it wins over the customer's own."""
    customer = customer or Customer()
    number = order.entered_number or order.mobile_number
    return customer if number is None else replace(customer, mobile_number=number)


def _choose(methods: Sequence[ShippingMethod], method_id: str | None) -> ShippingMethod:
    by_id = {method.method_id: method for method in methods}
    if method_id is None:
        return next((method for method in methods if method.is_default), methods[0])
    if method_id not in by_id:
        raise SandboxError(f"there is no shipping method {method_id!r}, only {', '.join(sorted(by_id))}")
    return by_id[method_id]
