"""What the shop asks of an API of Vipps: the one interface behind which eCom and ePayment differ."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Protocol

from attrs import frozen

from examples.shop.orders import Order, State
from vipps_async import VippsSession
from vipps_async.receiver import Source

__all__ = ["Entry", "Forget", "News", "PaymentApi", "Standing"]


@frozen(kw_only=True)
class Standing:
    """How a payment stands at Vipps. All sums in øre."""

    state: State
    #: What the customer accepted, captured since or not; in express checkout with shipping.
    accepted: int
    #: What the customer chose in express checkout; a part of what was accepted.
    shipping_cost: int
    captured: int
    refunded: int
    remaining_to_capture: int
    remaining_to_refund: int
    #: Name, address and way of shipping of an express customer.
    ship_to: str | None
    #: Who that is to Vipps, who may ask to have it forgotten.
    customer_id: str | None


@frozen(kw_only=True)
class Entry:
    """One thing that happened, or failed to happen, to a payment."""

    time: datetime | None
    #: The same in both APIs for what the merchant does: CAPTURE, REFUND.
    operation: str
    #: In øre.
    amount: int
    success: bool
    text: str = ""


#: Takes the id of a payment that Vipps has told news of, and how it stands by Vipps' own word.
News = Callable[[VippsSession, str, Standing], Awaitable[None]]
#: Takes the id of a customer who wants to be forgotten.
Forget = Callable[[str], Awaitable[None]]


class PaymentApi(Protocol):
    """An API that takes payments. A payment belongs to the API that made it."""

    async def start(self, vipps: VippsSession) -> None:
        """See to it that Vipps tells news, before the first payment. Safe to do again."""
        ...

    def sources(self, on_news: News, on_forget: Forget) -> Sequence[Source]:
        """Return what Vipps calls, for the receiver."""
        ...

    async def begin(self, vipps: VippsSession, order: Order, mobile_number: str | None) -> str:
        """Make the payment of an order's attempt, and return where to send its customer."""
        ...

    async def look(self, vipps: VippsSession, payment_id: str) -> Standing:
        """Ask how a payment stands.

        Raises:
            OrderNotFoundError: Vipps knows nothing of it.
        """
        ...

    async def look_closely(self, vipps: VippsSession, payment_id: str) -> tuple[Standing, Sequence[Entry]]:
        """Ask how a payment stands and what happened to it; raises as `look`."""
        ...

    async def wait(self, vipps: VippsSession, payment_id: str, patience: float) -> Standing | None:
        """Wait some seconds for the customer; None: nothing is known yet.

        All who wait share one pace, so that a page loaded again and again does not use up what Vipps answers in a
        minute.
        """
        ...

    async def withdraw(self, vipps: VippsSession, payment_id: str) -> None:
        """See to it that nobody can accept a payment any more. Whether somebody has, `look` tells afterwards.

        Raises:
            OrderNotFoundError: Vipps knows nothing of it.
        """
        ...

    async def capture(self, vipps: VippsSession, payment_id: str, oere: int, key: str) -> None:
        """Take what is reserved, or a part of it."""
        ...

    async def refund(self, vipps: VippsSession, payment_id: str, oere: int, key: str) -> None:
        """Pay back what was taken, or a part of it."""
        ...

    async def release(self, vipps: VippsSession, payment_id: str) -> None:
        """Give back all that is not captured."""
        ...
