"""Change notifications, for open dashboards and the state file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from vipps_async.sandbox.ledger.events import Event
from vipps_async.sandbox.ledger.orders import Order

#: Dashboards that may be open at a time; each holds a connection.
MAX_SUBSCRIPTIONS = 50


class Subscription:
    """The changes that one open dashboard has not received yet: the last order and a count."""

    def __init__(self) -> None:
        #: Set: there is something to tell, or nothing ever again.
        self.woken: asyncio.Event = asyncio.Event()
        #: Set: the sandbox closes.
        self.end: asyncio.Event = asyncio.Event()
        #: The order that changed last.
        self.latest: Order | None = None
        #: How many changes of orders there were since it was last asked.
        self.count: int = 0

    def note(self, order: Order | None) -> None:
        """Note a change; None: the sandbox changed, not an order."""
        if order is not None:
            self.latest = order
            self.count += 1
        self.woken.set()

    def taken(self) -> tuple[Order | None, int]:
        """Return the order that changed last, if any, and how many changes there were; begin anew."""
        what = self.latest, self.count
        self.latest, self.count = None, 0
        self.woken.clear()
        return what


class Changes:
    """Publishes changes to subscribers; cheap while there are none."""

    def __init__(self) -> None:
        self._subscriptions: set[Subscription] = set()
        self._keepers: list[Callable[[Order | None], None]] = []
        self._event_listeners: list[Callable[[Order, Event], None]] = []

    def tell_events_to(self, listener: Callable[[Order, Event], None]) -> None:
        """Call the listener with each event of each order from now on: once, in the order in which they happened.

        Told are orders of every API (`Order.api`), before what changed is kept. A listener that does not return at once
        holds up the sandbox.
        """
        self._event_listeners.append(listener)

    def keep_with(self, keeper: Callable[[Order | None], None]) -> None:
        """Call the keeper at every change from now on, with the order that changed."""
        self._keepers.append(keeper)

    def note(self, order: Order | None = None) -> None:
        """Publish a change of an order, or of the sandbox itself (None)."""
        if order is not None:
            for event in order.untold_events():
                for listener in self._event_listeners:
                    listener(order, event)
        for keeper in self._keepers:
            keeper(order)
        for subscription in self._subscriptions:
            subscription.note(order)

    def wake(self) -> None:
        """Spread the word that there is more to see, though nothing that has to be kept."""
        for subscription in self._subscriptions:
            subscription.note(None)

    def subscribe(self) -> Subscription | None:
        """Return a subscription, or None if there are too many."""
        if len(self._subscriptions) >= MAX_SUBSCRIPTIONS:
            return None
        subscription = Subscription()
        self._subscriptions.add(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription."""
        self._subscriptions.discard(subscription)

    def end(self) -> None:
        """End all subscriptions: the sandbox closes."""
        for subscription in self._subscriptions:
            subscription.end.set()
            subscription.woken.set()
