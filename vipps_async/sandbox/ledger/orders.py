"""Orders: a payment, what the merchant said when initiating it, who paid, and how to find it again."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from vipps_async.sandbox.ledger.customers import Customer
from vipps_async.sandbox.ledger.payment import Payment
from vipps_async.sandbox.wire.ecom_fields import EXPRESS
from vipps_async.sandbox.wire.refusals import SandboxError, vipps_refusal

__all__ = ["Order", "OrderBook", "ShippingChoice", "oere_of"]

#: The merchant may read personal data this long after the reservation.
PERSONAL_DATA_LIFETIME = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShippingChoice:
    """The way of shipping that the customer chose in express checkout."""

    method_id: str
    method: str
    #: NOK with decimals, as the API has it.
    cost: float

    @property
    def oere(self) -> int:
        """What it adds to the payment, in øre."""
        return oere_of(self.cost)


def oere_of(cost: float) -> int:
    """Return a cost in NOK with decimals as whole øre: the unit of every other sum of the API."""
    # By its shortest decimals, as it came: 1.15 * 100 is a little less than 115.
    return round(Decimal(str(cost)) * 100)


@dataclass(slots=True, kw_only=True)
class Order:
    """A payment and all that goes with it."""

    payment: Payment
    callback_prefix: str
    fall_back: str
    auth_token: str | None = field(repr=False)
    is_app: bool
    express: bool
    consent_removal_prefix: str | None
    shipping_details_prefix: str | None
    static_shipping: list[dict[str, Any]]
    scope: frozenset[str]
    skip_landing_page: bool
    mobile_number: str | None = field(repr=False)
    #: The secret of the landing page's URL.
    token: str = field(repr=False)
    #: The number that the customer gave on the landing page.
    entered_number: str | None = field(default=None, repr=False)
    #: The ways of shipping that the merchant offered when it was asked.
    offered: list[dict[str, Any]] | None = None
    customer: Customer | None = None
    shipping: ShippingChoice | None = None
    #: When `sub` may first be seen.
    sub_at: datetime | None = None

    @property
    def sub(self) -> str | None:
        """The customer's id for user info, if the merchant asked for a scope and the customer accepted."""
        if self.customer is None or not self.scope:
            return None
        return self.customer.sub(self.payment.merchant_serial_number)

    def personal_data_expired(self, now: datetime) -> bool:
        """Whether the merchant may no longer read what is personal."""
        reserved_at = self.payment.reserved_at
        return reserved_at is not None and now - reserved_at > PERSONAL_DATA_LIFETIME


class OrderBook:
    """All orders of a sandbox, each found in one step."""

    def __init__(self) -> None:
        self._in_order: list[Order] = []
        self._by_order_id: dict[str, dict[str, Order]] = {}
        self._by_token: dict[str, Order] = {}
        self._by_sub: dict[str, Order] = {}
        self._by_user_id: dict[str, Order] = {}
        #: The number of the next transaction.
        self.next_transaction = 5_000_000_001
        #: Tells this sandbox from every other one, as long as it remembers these orders.
        self.instance = secrets.randbits(62)

    def __iter__(self) -> Iterator[Order]:
        return iter(self._in_order)

    def __len__(self) -> int:
        return len(self._in_order)

    def newest(self, skip: int, count: int) -> list[Order]:
        """Return some orders, the newest first."""
        end = max(0, len(self._in_order) - skip)
        return self._in_order[max(0, end - count) : end][::-1]

    def new_transaction_id(self) -> str:
        """Return a number that no other transaction of this sandbox has."""
        number = self.next_transaction
        self.next_transaction += 1
        return str(number)

    def add(self, body: Mapping[str, Any], *, direct_capture: bool, now: datetime) -> Order:
        """Enter the order of a checked initiate body.

        Raises:
            Refusal: 34, if the sales unit used the order id before.
        """
        merchant, transaction = body["merchantInfo"], body["transaction"]
        msn, order_id = merchant["merchantSerialNumber"], transaction["orderId"]
        if msn in self._by_order_id.get(order_id, {}):
            raise vipps_refusal("Merchant", "34", order_id=order_id, msn=msn)
        order = Order(
            payment=Payment(
                order_id=order_id,
                merchant_serial_number=msn,
                amount=transaction["amount"],
                text=transaction["transactionText"],
                initiated_at=now,
                new_transaction_id=self.new_transaction_id,
                direct_capture=direct_capture,
            ),
            callback_prefix=merchant["callbackPrefix"],
            fall_back=merchant["fallBack"],
            auth_token=merchant.get("authToken") or None,
            is_app=merchant.get("isApp", False),
            express=merchant.get("paymentType") == EXPRESS,
            consent_removal_prefix=merchant.get("consentRemovalPrefix"),
            shipping_details_prefix=merchant.get("shippingDetailsPrefix"),
            static_shipping=merchant.get("staticShippingDetails", []),
            scope=frozenset(transaction.get("scope", "").split()),
            skip_landing_page=transaction.get("skipLandingPage", False),
            mobile_number=body["customerInfo"].get("mobileNumber"),
            token=secrets.token_urlsafe(32),
        )
        self.restore(order)
        return order

    def restore(self, order: Order) -> None:
        """Enter an order as it is."""
        payment = order.payment
        self._in_order.append(order)
        self._by_order_id.setdefault(payment.order_id, {})[payment.merchant_serial_number] = order
        self._by_token[order.token] = order
        self.remember_customer(order)

    def find(self, order_id: str, merchant_serial_number: str) -> Order:
        """Return a sales unit's order.

        Raises:
            Refusal: 35, if it has none by that id, whoever else may.
        """
        order = self._by_order_id.get(order_id, {}).get(merchant_serial_number)
        if order is None:
            raise vipps_refusal("Merchant", "35", order_id=order_id, msn=merchant_serial_number)
        return order

    def all_of(self, order_id: str) -> tuple[Order, ...]:
        """Return the orders by that id, one for each sales unit that used it."""
        return tuple(self._by_order_id.get(order_id, {}).values())

    def only(self, order_id: str, merchant_serial_number: str | None = None) -> Order:
        """Return the one order by that id.

        Raises:
            SandboxError: there is none, or several sales units have one and none was named.
        """
        found = [
            order
            for order in self.all_of(order_id)
            if merchant_serial_number in {None, order.payment.merchant_serial_number}
        ]
        if len(found) != 1:
            reason = "several sales units have" if found else "no sales unit has"
            raise SandboxError(f"{reason} an order {order_id!r}")
        return found[0]

    def by_token(self, token: str) -> Order | None:
        """Return the order whose landing page has this token."""
        return self._by_token.get(token)

    def remember_customer(self, order: Order) -> None:
        """Make an order findable by the ids that its customer is known by."""
        customer, msn = order.customer, order.payment.merchant_serial_number
        if customer is not None and order.sub is not None:
            self._by_sub[order.sub] = order
        if customer is not None and order.express:
            self._by_user_id[customer.user_id(msn)] = order

    def by_sub(self, sub: str) -> Order | None:
        """Return the last order that was paid by the customer with this `sub`."""
        return self._by_sub.get(sub)

    def by_user_id(self, user_id: str) -> Order | None:
        """Return the last express order of the customer with this user id."""
        return self._by_user_id.get(user_id)
