"""What the shop and Vipps have to say to each other about an order, by whichever API."""

from __future__ import annotations

import asyncio
import logging
import secrets
import string
import time
from collections.abc import Iterator, Mapping
from functools import partial

from attrs import field, frozen

from examples.shop.api import PaymentApi, Standing
from examples.shop.by_ecom import EcomPayments
from examples.shop.by_epayment import EpaymentPayments
from examples.shop.goods import PRICE
from examples.shop.orders import Api, Kind, Order, Orders, State
from examples.shop.settings import Settings
from examples.shop.webhook_secrets import WebhookSecrets
from vipps_async import OrderNotFoundError, VippsError, VippsSession
from vipps_async.receiver import Source

#: Vipps gives the customer 5 minutes for the link and 5 more in the app. A minute later nobody is paying any more.
LIFETIME = 11 * 60.0

#: Seconds between two orders that are looked after: Vipps answers 120 questions a minute, and customers come first.
_PAUSE = 1.0

_log = logging.getLogger(__name__)


@frozen
class Payments:
    """Begins payments and finds out what became of them. Nothing but what Vipps answers to a question counts."""

    settings: Settings
    orders: Orders
    apis: Mapping[Api, PaymentApi] = field(init=False)

    def __attrs_post_init__(self) -> None:
        secrets = WebhookSecrets(self.settings.data / "webhooks.json")
        apis = {Api.ECOM: EcomPayments(self.settings), Api.EPAYMENT: EpaymentPayments(self.settings, secrets)}
        object.__setattr__(self, "apis", apis)

    def sources(self) -> Iterator[Source]:
        """Yield what Vipps calls. Both APIs', for payments of the one go on when new ones are made by the other."""
        for api in self.apis.values():
            yield from api.sources(partial(self._on_news, api), self.orders.forget_customer)

    async def start(self, vipps: VippsSession) -> None:
        """See to it that Vipps tells news of new payments."""
        await self.apis[self.settings.api].start(vipps)

    async def begin(self, vipps: VippsSession, kind: Kind, mobile_number: str | None = None) -> str:
        """Make an order and return where to send its customer."""
        # 16 of 36 characters: 82 bits that nobody guesses.
        order_id = "socks-" + "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(16))
        order = Order(id=order_id, kind=kind, amount=PRICE.value, api=self.settings.api)
        # Kept before Vipps is told of it: a payment that nobody knows of would be worse than an order that nobody pays.
        await self.orders.add(order)
        return await self.apis[order.api].begin(vipps, order, mobile_number)

    async def begin_again(self, vipps: VippsSession, order: Order) -> str | None:
        """Begin a new attempt at an order; None: there is nothing to begin, look at the order to see why."""
        ended = await self._end(vipps, order)
        if ended.state is not State.ENDED or ended.attempt != order.attempt:
            return None
        # A payment of its own, so it may go by another API than the one before.
        again = await self.orders.begin_again(ended, self.settings.api)
        return None if again is None else await self.apis[again.api].begin(vipps, again, None)

    async def _end(self, vipps: VippsSession, order: Order) -> Order:
        """See to it that nobody can accept an attempt any more, unless somebody has; return the order as it stands."""
        now = await self.look(vipps, order)
        if now.state > State.REFUSED or now.attempt != order.attempt:
            return now
        try:
            await self.apis[order.api].withdraw(vipps, order.payment_id)
        except OrderNotFoundError:
            await self.orders.settle(order, State.ENDED)  # It never reached Vipps.
        now = await self.look(vipps, order)
        if now.state is State.REFUSED:
            await self.orders.settle(order, State.ENDED)
        return await self.orders.get(order.id) or order

    async def look(self, vipps: VippsSession, order: Order) -> Order:
        """Ask Vipps about an order now, and return it as it stands."""
        try:
            standing = await self.apis[order.api].look(vipps, order.payment_id)
        except OrderNotFoundError:
            return order
        return await self.settle(order, standing)

    async def wait(self, vipps: VippsSession, order: Order, patience: float) -> Order:
        """Wait some seconds for the customer of an order, and return it as it stands then."""
        if order.state > State.REFUSED:
            return order
        try:
            standing = await self.apis[order.api].wait(vipps, order.payment_id, patience)
        except OrderNotFoundError:
            return order
        return await self.orders.get(order.id) or order if standing is None else await self.settle(order, standing)

    async def settle(self, order: Order, standing: Standing) -> Order:
        """Note how a payment stands, and return its order as it stands."""
        # In express checkout Vipps adds the shipping, so that the goods alone are not all that it costs.
        if standing.state is State.ACCEPTED and standing.accepted < order.amount + standing.shipping_cost:
            _log.error("order %s is accepted over less than it costs: not delivered", order.payment_id)
        elif standing.state is not State.WAITING:
            await self.orders.settle(
                order,
                standing.state,
                reserved=standing.accepted or None,
                ship_to=standing.ship_to,
                customer_id=standing.customer_id,
            )
        return await self.orders.get(order.id) or order

    async def _on_news(self, api: PaymentApi, vipps: VippsSession, payment_id: str, standing: Standing) -> None:
        """Note what Vipps was asked after news of a payment. May be called twice for the same news."""
        order_id, _, attempt = payment_id.rpartition("-")
        order = await self.orders.get(order_id)
        if order is None:
            return
        if str(order.attempt) == attempt:
            await self.settle(order, standing)
        elif standing.remaining_to_capture:
            # An earlier attempt, accepted after a newer one had begun: nobody pays twice here.
            await api.release(vipps, payment_id)

    # -- whoever never came back -------------------------------------------------------------------------------------

    async def look_after(self, vipps: VippsSession) -> None:
        """Settle what the journal has open, and the orders that neither Vipps' news nor a browser has settled."""
        await vipps.recover()
        for order in await self.orders.waiting():
            try:
                over = time.time() - order.begun_at > LIFETIME
                await (self._end(vipps, order) if over else self.look(vipps, order))
                await asyncio.sleep(_PAUSE)
            except VippsError as error:
                _log.warning("order %s is left for the next time: %s", order.payment_id, error)
