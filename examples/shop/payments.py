"""What the shop and Vipps have to say to each other about an order."""

from __future__ import annotations

import asyncio
import logging
import secrets
import string
import time
from collections.abc import Sequence

from attrs import frozen

from examples.shop.orders import Kind, Order, Orders, State
from examples.shop.settings import Settings
from vipps_async import (
    CancelError,
    Effect,
    ExpressCheckout,
    OrderNotFoundError,
    OutcomeUnknown,
    PaymentDetails,
    PaymentPending,
    ShippingDetails,
    VippsError,
    VippsSession,
    nok,
)
from vipps_async.receiver import ConsentRemoval, PaymentUpdate, ShippingDetailsRequest

PRODUCT = "Wool socks, one pair"
PRICE = nok("249.00")

#: Vipps gives the customer 5 minutes for the link and 5 more in the app. A minute later nobody is paying any more.
LIFETIME = 11 * 60.0

#: Seconds between two orders that are looked after: Vipps answers 120 questions a minute, and customers come first.
_PAUSE = 1.0

_PICKUP = ShippingDetails(shipping_method_id="pickup", shipping_method="Pick up in the shop", shipping_cost=nok(0))
_POST = ShippingDetails(
    shipping_method_id="post", shipping_method="By post, 2-4 days", shipping_cost=nok("59.00"), is_default=True
)
_BIKE = ShippingDetails(
    shipping_method_id="bike", shipping_method="By bike, today", shipping_cost=nok("89.00"), is_default=True
)
_NORTH = ShippingDetails(
    shipping_method_id="post", shipping_method="By post, 4-8 days", shipping_cost=nok("99.00"), is_default=True
)

_log = logging.getLogger(__name__)


@frozen
class Payments:
    """Begins payments and finds out what became of them. Nothing but `details` counts as an answer to that."""

    settings: Settings
    orders: Orders

    async def begin(self, vipps: VippsSession, kind: Kind, mobile_number: str | None = None) -> str:
        """Make an order and return where to send its customer."""
        # 16 of 36 characters: 82 bits that nobody guesses.
        order_id = "socks-" + "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(16))
        order = Order(id=order_id, kind=kind, amount=PRICE.value)
        # Kept before Vipps hears of it: a payment that nobody knows of would be worse than an order that nobody pays.
        await self.orders.add(order)
        return await self._initiate(vipps, order, mobile_number)

    async def begin_again(self, vipps: VippsSession, order: Order) -> str | None:
        """Begin a new attempt at an order; None: there is nothing to begin, look at the order to see why."""
        ended = await self._end(vipps, order)
        if ended.state is not State.ENDED or ended.attempt != order.attempt:
            return None
        again = await self.orders.begin_again(ended)
        return None if again is None else await self._initiate(vipps, again)

    async def _end(self, vipps: VippsSession, order: Order) -> Order:
        """See to it that nobody can accept an attempt any more, unless somebody has; return the order as it stands."""
        now = await self.look(vipps, order)
        if now.state > State.REFUSED or now.attempt != order.attempt:
            return now
        try:
            await vipps.ecom.cancel(order.payment_id, transaction_text="Not paid.")
        except OrderNotFoundError:
            await self.orders.settle(order, State.ENDED)  # It never reached Vipps.
        except CancelError:
            pass  # Over already, or the bank has not made up its mind. Which of them, the next line tells.
        except OutcomeUnknown as doubt:
            # "Already processed" is what Vipps says to this after the bank has refused: nothing was reserved, so no
            # history will ever show a cancellation. Any other doubt is the customer's to hear of.
            if now.state is not State.REFUSED or doubt.effect is not Effect.PROBABLE:
                raise
        now = await self.look(vipps, order)
        if now.state is State.REFUSED:
            await self.orders.settle(order, State.ENDED)
        return await self.orders.get(order.id) or order

    async def _initiate(self, vipps: VippsSession, order: Order, mobile_number: str | None = None) -> str:
        url = self.settings.url
        payment = await vipps.ecom.initiate(
            order_id=order.payment_id,
            amount=order.amount,
            transaction_text=PRODUCT,
            callback_prefix=f"{url}/vipps",
            fall_back=f"{url}/orders/{order.id}",
            auth_token=self.settings.callback_token,
            mobile_number=mobile_number,
            express=self._express(order.kind),
        )
        return payment.url

    def _express(self, kind: Kind) -> ExpressCheckout | None:
        prefix = f"{self.settings.url}/vipps"
        if kind is Kind.STATIC:
            return ExpressCheckout(consent_removal_prefix=prefix, static_shipping_details=(_POST, _PICKUP))
        if kind is Kind.DYNAMIC:
            return ExpressCheckout(consent_removal_prefix=prefix, shipping_details_prefix=prefix)
        return None

    async def look(self, vipps: VippsSession, order: Order) -> Order:
        """Ask Vipps about an order now, and return it as it stands."""
        try:
            details = await vipps.ecom.details(order.payment_id)
        except OrderNotFoundError:
            return order
        return await self.settle(order, details)

    async def wait(self, vipps: VippsSession, order: Order, patience: float) -> Order:
        """Wait some seconds for the customer of an order, and return it as it stands then.

        `wait_for` shares one pace between all who wait, so that a page loaded again and again does not use up what
        Vipps answers in a minute.
        """
        if order.state > State.REFUSED:
            return order
        try:
            details = await vipps.ecom.wait_for(order.payment_id, timeout=patience)
        except PaymentPending as waiting:
            if waiting.last is None:
                return await self.orders.get(order.id) or order
            details = waiting.last
        except OrderNotFoundError:
            return order
        return await self.settle(order, details)

    async def settle(self, order: Order, details: PaymentDetails) -> Order:
        """Note what details say of an order, and return it as it stands."""
        state = _state(details)
        if state is State.ACCEPTED and details.reserved_amount < _costs(order, details):
            _log.error("order %s is accepted over less than it costs: not delivered", order.payment_id)
        elif state is not State.WAITING:
            user = details.user_details
            customer_id = None if user is None else user.user_id
            await self.orders.settle(
                order,
                state,
                reserved=details.reserved_amount or None,
                ship_to=_ship_to(details),
                customer_id=customer_id,
            )
        return await self.orders.get(order.id) or order

    # -- what Vipps calls --------------------------------------------------------------------------------------------

    async def on_payment(self, event: PaymentUpdate, vipps: VippsSession) -> None:
        """Something happened to a payment, perhaps: ask Vipps. May be called twice for the same news."""
        order_id, _, attempt = event.order_id.rpartition("-")
        order = await self.orders.get(order_id)
        if order is None:
            return
        # Confirmed or contradicted: either way the details are what counts.
        details = (await event.confirm(vipps)).details
        if details is None:
            return
        if str(order.attempt) == attempt:
            await self.settle(order, details)
        elif details.is_reserved:
            # An earlier attempt, accepted after a newer one had begun: nobody pays twice here.
            await vipps.ecom.cancel(event.order_id, transaction_text="Paid by a newer attempt.")

    async def on_shipping_details(self, request: ShippingDetailsRequest, _: VippsSession) -> Sequence[ShippingDetails]:
        """Tell what shipping to this address costs: Oslo by bike, the far north for more."""
        post_code = request.post_code or ""
        if post_code.startswith("0"):
            return (_BIKE, _PICKUP)
        return (_NORTH,) if post_code.startswith(("8", "9")) else (_POST,)

    async def on_consent_removal(self, event: ConsentRemoval, _: VippsSession) -> None:
        """Forget a customer."""
        await self.orders.forget_customer(event.user_id)

    # -- whoever never came back -------------------------------------------------------------------------------------

    async def look_after(self, vipps: VippsSession) -> None:
        """Settle what the journal has open, and the orders that neither a callback nor a browser has settled."""
        await vipps.recover()
        for order in await self.orders.waiting():
            try:
                over = time.time() - order.begun_at > LIFETIME
                await (self._end(vipps, order) if over else self.look(vipps, order))
                await asyncio.sleep(_PAUSE)
            except VippsError as error:
                _log.warning("order %s is left for the next time: %s", order.payment_id, error)


def _state(details: PaymentDetails) -> State:
    if details.is_cancelled:
        return State.ENDED
    if details.is_approved:
        return State.ACCEPTED
    return State.REFUSED if details.is_refused else State.WAITING


def _costs(order: Order, details: PaymentDetails) -> int:
    """Return what a customer has to accept, in øre: the goods, and the shipping that Vipps adds in express checkout."""
    shipping = details.shipping_details
    if shipping is None or shipping.shipping_cost is None:
        return order.amount
    return order.amount + nok(shipping.shipping_cost).value


def _ship_to(details: PaymentDetails) -> str | None:
    user, shipping = details.user_details, details.shipping_details
    if user is None or shipping is None:
        return None
    parts: list[str | None] = [f"{user.first_name or ''} {user.last_name or ''}".strip()]
    if shipping.address is not None:
        address = shipping.address
        parts += [
            address.address_line1,
            address.address_line2,
            f"{address.post_code or ''} {address.city or ''}".strip(),
        ]
    if shipping.shipping_cost is not None:
        # The only sum in the API that is in kroner, not øre.
        parts.append(f"{shipping.shipping_method} ({shipping.shipping_cost:.2f} NOK)")
    return "\n".join(part for part in parts if part)
