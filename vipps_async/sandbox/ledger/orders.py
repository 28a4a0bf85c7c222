"""Orders: a payment with the merchant's request and the customer, and the book that finds them."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from vipps_async.sandbox.ledger.customers import Customer
from vipps_async.sandbox.ledger.events import Event, events_of
from vipps_async.sandbox.ledger.payment import Payment
from vipps_async.sandbox.ledger.reasons import Reason, Refused, SandboxError

#: The merchant may read personal data this long after the reservation.
PERSONAL_DATA_LIFETIME = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShippingMethod:
    """A way of shipping that the merchant offers in express checkout."""

    method_id: str
    name: str
    #: What it adds to the payment, in minor units.
    cost: int
    is_default: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAnswer:
    """The stored response to a request with an idempotency key, for its repetitions."""

    #: The same for the same payload.
    fingerprint: str
    status: int
    body: str = field(repr=False)
    media: str


@dataclass(slots=True, kw_only=True)
class Order:
    """A payment and all that goes with it."""

    payment: Payment
    #: The API that it was initiated by, which tells the merchant what becomes of it.
    api: str
    #: Where the customer goes afterwards.
    return_url: str
    is_app: bool = False
    express: bool = False
    scope: frozenset[str] = frozenset()
    skip_landing_page: bool = False
    mobile_number: str | None = field(default=None, repr=False)
    #: Years that the customer must be old.
    minimum_age: int = 0
    #: Sales unit, operation and idempotency key, with blanks between them → what was answered.
    answers: dict[str, KeptAnswer] = field(default_factory=dict, repr=False)
    #: What else the merchant said, by names that its API alone knows.
    details: dict[str, Any] = field(default_factory=dict, repr=False)
    #: The secret of the landing page's URL.
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    #: The number that the customer gave on the landing page.
    entered_number: str | None = field(default=None, repr=False)
    #: The ways of shipping; None: the merchant has not been asked yet.
    offered: list[ShippingMethod] | None = None
    customer: Customer | None = None
    shipping: ShippingMethod | None = None
    #: When `sub` may first be seen.
    sub_at: datetime | None = None
    #: Lines of the history whose events have been told; see `Changes.tell_events_to`.
    told: int = 0

    @property
    def sub(self) -> str | None:
        """The customer's id for user info, if the merchant asked for a scope and the customer accepted."""
        if self.customer is None or not self.scope:
            return None
        return self.customer.sub(self.payment.sales_unit)

    def untold_events(self) -> list[Event]:
        """Return the events that have not been told yet, oldest first; they are from now on."""
        history, told = self.payment.history, self.told
        if told >= len(history):
            return []
        self.told = len(history)
        return events_of(self.payment)[len(events_of(self.payment, history[:told])) :]

    @property
    def state_word(self) -> str:
        """The word for where it stands; REGISTER while the bank does not know."""
        return "REGISTER" if self.payment.known_at is not None else self.payment.state.value

    def personal_data_expired(self, now: datetime) -> bool:
        """Whether the merchant may no longer read what is personal."""
        reserved_at = self.payment.reserved_at
        return reserved_at is not None and now - reserved_at > PERSONAL_DATA_LIFETIME


class OrderBook:
    """All orders of a sandbox, indexed by every key that they are looked up by."""

    def __init__(self) -> None:
        self._in_order: list[Order] = []
        self._by_reference: dict[str, dict[str, Order]] = {}
        self._by_key: dict[tuple[str, str], Order] = {}
        self._by_token: dict[str, Order] = {}
        self._by_sub: dict[str, Order] = {}
        self._by_user_id: dict[str, Order] = {}
        #: The number of the next transaction.
        self.next_transaction: int = 5_000_000_001
        #: Tells this sandbox from every other one, as long as it remembers these orders.
        self.instance: int = secrets.randbits(62)

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

    def check_unused(self, reference: str, sales_unit: str) -> None:
        """Check that a new payment's name is not taken.

        Raises:
            Refused: REFERENCE_USED, if the sales unit used it before.
        """
        if sales_unit in self._by_reference.get(reference, {}):
            raise Refused(Reason.REFERENCE_USED, sales_unit=sales_unit, reference=reference)

    def add(self, order: Order) -> None:
        """Enter an order, whose name is not used."""
        payment = order.payment
        self._in_order.append(order)
        self._by_reference.setdefault(payment.reference, {})[payment.sales_unit] = order
        if payment.key:
            self._by_key[payment.sales_unit, payment.key] = order
        self._by_token[order.token] = order
        self.remember_customer(order)

    def find(self, reference: str, sales_unit: str, *, api: str | None = None) -> Order:
        """Return a sales unit's order, of one API or of any.

        Raises:
            Refused: UNKNOWN_PAYMENT, if it has none by that name, whoever else may.
        """
        order = self._by_reference.get(reference, {}).get(sales_unit)
        if order is None or api not in {None, order.api}:
            raise Refused(Reason.UNKNOWN_PAYMENT, sales_unit=sales_unit, reference=reference)
        return order

    def by_key(self, sales_unit: str, key: str) -> Order | None:
        """Return the order that a sales unit initiated by this idempotency key."""
        return self._by_key.get((sales_unit, key))

    def all_of(self, reference: str) -> tuple[Order, ...]:
        """Return the orders by that name, one for each sales unit that used it."""
        return tuple(self._by_reference.get(reference, {}).values())

    def only(self, reference: str, sales_unit: str | None = None) -> Order:
        """Return the one order by that name.

        Raises:
            SandboxError: there is none, or several sales units have one and none was named.
        """
        found = [order for order in self.all_of(reference) if sales_unit in {None, order.payment.sales_unit}]
        if len(found) != 1:
            reason = "several sales units have" if found else "no sales unit has"
            raise SandboxError(f"{reason} an order {reference!r}")
        return found[0]

    def by_token(self, token: str) -> Order | None:
        """Return the order whose landing page has this token."""
        return self._by_token.get(token)

    def remember_customer(self, order: Order) -> None:
        """Index an order by the ids of its customer."""
        customer, sales_unit = order.customer, order.payment.sales_unit
        if customer is not None and order.sub is not None:
            self._by_sub[order.sub] = order
        if customer is not None and order.express:
            self._by_user_id[customer.user_id(sales_unit)] = order

    def by_sub(self, sub: str) -> Order | None:
        """Return the last order that was paid by the customer with this `sub`."""
        return self._by_sub.get(sub)

    def by_user_id(self, user_id: str) -> Order | None:
        """Return the last express order of the customer with this user id."""
        return self._by_user_id.get(user_id)
