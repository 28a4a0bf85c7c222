"""A merchant's handlers that note what they were given, and do what the test tells them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from vipps_async import ShippingDetails, VippsSession, nok
from vipps_async.receiver import ConsentRemoval, PaymentUpdate, ShippingDetailsRequest

__all__ = ["METHODS", "Shop", "until"]

#: Seconds to wait for what happens in the background.
PATIENCE = 10.0

METHODS = (
    ShippingDetails(
        shipping_method_id="post", shipping_method="Posten", shipping_cost=nok("109.50"), is_default=True, priority=1
    ),
    ShippingDetails(shipping_method_id="pickup", shipping_method="Hent selv", shipping_cost=nok(1)),
)


async def until(condition: Callable[[], object]) -> None:
    """Wait until it holds: for what happens in other tasks and threads and tells nobody."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - threads and counters set no event
            await asyncio.sleep(0.005)


class Shop:
    """Handlers of each kind. `trouble` is called first: it may raise, or return something to wait for."""

    def __init__(self) -> None:
        self.payments: list[PaymentUpdate] = []
        self.outcomes: list[Any] = []
        self.removals: list[ConsentRemoval] = []
        self.questions: list[ShippingDetailsRequest] = []
        self.trouble: Callable[[], Any] = lambda: None
        self.confirms = False

    async def _meet_trouble(self) -> None:
        met = self.trouble()
        if met is not None:
            await met

    async def on_payment(self, event: PaymentUpdate, vipps: VippsSession) -> None:
        """Handle a payment, and confirm it if so told."""
        self.payments.append(event)
        await self._meet_trouble()
        if self.confirms:
            self.outcomes.append(await event.confirm(vipps))

    async def on_shipping_details(self, request: ShippingDetailsRequest, _vipps: VippsSession) -> Any:
        """Return two ways of shipping."""
        self.questions.append(request)
        await self._meet_trouble()
        return METHODS

    async def on_consent_removal(self, event: ConsentRemoval, _vipps: VippsSession) -> None:
        """Forget a customer."""
        self.removals.append(event)
        await self._meet_trouble()
