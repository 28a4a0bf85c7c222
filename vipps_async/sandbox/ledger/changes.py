"""Change notifications: to the state file, and of each event to whoever listens."""

from __future__ import annotations

from collections.abc import Callable

from vipps_async.sandbox.ledger.events import Event
from vipps_async.sandbox.ledger.orders import Order


class Changes:
    """Passes on each change of an order or of the sandbox."""

    def __init__(self) -> None:
        #: The order that changed last; None: none did.
        self.latest: Order | None = None
        self._keepers: list[Callable[[Order | None], None]] = []
        self._event_listeners: list[Callable[[Order, Event], None]] = []

    def tell_events_to(self, listener: Callable[[Order, Event], None]) -> None:
        """Call the listener with each event of each order from now on: once, in the order in which they happened.

        It gets the events of every API's orders (`Order.api`), before what changed is kept. A listener that does not
        return at once holds up the sandbox.
        """
        self._event_listeners.append(listener)

    def keep_with(self, keeper: Callable[[Order | None], None]) -> None:
        """Call the keeper at every change from now on, with the order that changed."""
        self._keepers.append(keeper)

    def note(self, order: Order | None = None) -> None:
        """Pass on a change of an order, or of the sandbox itself (None)."""
        if order is not None:
            self.latest = order
            for event in order.untold_events():
                for listener in self._event_listeners:
                    listener(order, event)
        for keeper in self._keepers:
            keeper(order)
