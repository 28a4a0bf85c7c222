"""The shop's payments by the ePayment API v1: create, get, and signed webhooks."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from attrs import frozen

from examples.shop.api import Entry, Forget, News, Standing
from examples.shop.goods import EVERYWHERE, PRODUCT, Way, address_lines, ways_to
from examples.shop.orders import Kind, Order, State
from examples.shop.settings import Settings
from examples.shop.webhook_secrets import WebhookSecrets
from vipps_async import (
    PAYMENT_EVENTS,
    CancelError,
    DynamicOptions,
    EventName,
    Money,
    Payment,
    PaymentPending,
    PaymentState,
    Shipping,
    ShippingGroup,
    ShippingOption,
    VippsSession,
    format_nok,
)
from vipps_async.receiver import (
    EpaymentShipping,
    OtherNotification,
    PaymentNotification,
    ShippingQuestion,
    Source,
    Webhooks,
)

#: What eCom calls it, and the merchant's page counts.
_OPERATIONS = {EventName.CAPTURED: "CAPTURE", EventName.REFUNDED: "REFUND"}


@frozen
class EpaymentPayments:
    """Does by ePayment what `PaymentApi` says."""

    settings: Settings
    secrets: WebhookSecrets

    @property
    def _webhook_url(self) -> str:
        return f"{self.settings.url}/vipps/webhooks"

    @property
    def _shipping_url(self) -> str:
        return f"{self.settings.url}/vipps/shipping"

    async def start(self, vipps: VippsSession) -> None:
        """Leave the shop's URL with one registration whose secret we have."""
        await vipps.webhooks.ensure(
            url=self._webhook_url, events=PAYMENT_EVENTS, known_ids=self.secrets.by_id.keys(), save=self.secrets.save
        )

    def sources(self, on_news: News, on_forget: Forget) -> Sequence[Source]:  # noqa: ARG002 - eCom alone tells of it
        """Take in webhooks, and the question about shipping."""

        async def on_event(event: PaymentNotification | OtherNotification, vipps: VippsSession) -> None:
            if isinstance(event, OtherNotification):
                return
            # Confirmed or contradicted: either way the payment is what counts.
            payment = (await event.confirm(vipps)).payment
            if payment is not None:
                await on_news(vipps, event.reference, _standing(payment))

        async def on_shipping(question: ShippingQuestion, _: VippsSession) -> Sequence[ShippingGroup]:
            return _groups(ways_to(question.post_code))

        return (
            Webhooks(url=self._webhook_url, secrets=self.secrets.by_id, on_event=on_event),
            EpaymentShipping(path="/vipps/shipping", auth_tokens=self.settings.callback_token, on_shipping=on_shipping),
        )

    async def begin(self, vipps: VippsSession, order: Order, mobile_number: str | None) -> str:
        """Create."""
        payment = await vipps.epayment.create(
            reference=order.payment_id,
            amount=_nok(order.amount),
            payment_description=PRODUCT,
            return_url=f"{self.settings.url}/orders/{order.id}",
            phone_number=None if mobile_number is None else f"47{mobile_number}",
            shipping=self._shipping(order.kind),
        )
        # None for a payment that was made before and has ended since: the order's own page tells.
        return payment.redirect_url or f"/orders/{order.id}"

    def _shipping(self, kind: Kind) -> Shipping | None:
        if kind is Kind.STATIC:
            return Shipping(fixed_options=_groups(EVERYWHERE))
        if kind is Kind.DYNAMIC:
            return Shipping(
                dynamic_options=DynamicOptions(
                    callback_url=self._shipping_url, callback_authorization_token=self.settings.callback_token
                )
            )
        return None

    async def look(self, vipps: VippsSession, payment_id: str) -> Standing:
        """Get the payment."""
        return _standing(await vipps.epayment.get(payment_id))

    async def look_closely(self, vipps: VippsSession, payment_id: str) -> tuple[Standing, Sequence[Entry]]:
        """Get the events, then the payment.

        In this order: a capture in between is in the sums and not yet counted, so that a form made of both repeats its
        key. The other way round the form would show less than was taken, and take more under a new key.
        """
        events = await vipps.epayment.events(payment_id)
        payment = await vipps.epayment.get(payment_id)
        history = [
            Entry(
                time=event.timestamp,
                operation=_OPERATIONS.get(event.name, str(event.name)),
                amount=event.amount.value,
                success=event.success,
            )
            for event in reversed(events)
        ]
        return _standing(payment), history

    async def wait(self, vipps: VippsSession, payment_id: str, patience: float) -> Standing | None:
        """Wait at ePayment's pace; a webhook wakes it."""
        try:
            payment = await vipps.epayment.wait_for(payment_id, timeout=patience)
        except PaymentPending as waiting:
            if not isinstance(waiting.last, Payment):
                return None
            payment = waiting.last
        return _standing(payment)

    async def withdraw(self, vipps: VippsSession, payment_id: str) -> None:
        """Cancel, unless somebody has accepted in the meantime."""
        # Refused: accepted or over already, or the bank has not made up its mind.
        with contextlib.suppress(CancelError):
            await vipps.epayment.cancel(payment_id, cancel_transaction_only=True)

    async def capture(self, vipps: VippsSession, payment_id: str, oere: int, key: str) -> None:
        """Capture."""
        await vipps.epayment.capture(payment_id, amount=_nok(oere), idempotency_key=key)

    async def refund(self, vipps: VippsSession, payment_id: str, oere: int, key: str) -> None:
        """Refund."""
        await vipps.epayment.refund(payment_id, amount=_nok(oere), idempotency_key=key)

    async def release(self, vipps: VippsSession, payment_id: str) -> None:
        """Cancel: ePayment releases the rest without being asked to."""
        await vipps.epayment.cancel(payment_id)


def _nok(oere: int) -> Money:
    return Money(oere, "NOK")


def _groups(ways: Sequence[Way]) -> tuple[ShippingGroup, ...]:
    """Make a group of each way: these ways differ in type or brand."""
    return tuple(
        ShippingGroup(
            type=way.type,
            brand=way.brand,
            options=[ShippingOption(id=way.id, name=way.name, amount=way.cost, is_default=True)],
            is_default=way is ways[0],
        )
        for way in ways
    )


def _standing(payment: Payment) -> Standing:
    sums, shipping = payment.aggregate, payment.shipping_details
    return Standing(
        state=_state(payment),
        accepted=sums.authorized_amount.value,
        shipping_cost=(None if shipping is None else shipping.shipping_cost) or 0,
        captured=sums.captured_amount.value,
        refunded=sums.refunded_amount.value,
        remaining_to_capture=payment.remaining_to_capture.value,
        remaining_to_refund=payment.remaining_to_refund.value,
        ship_to=_ship_to(payment),
        customer_id=None,  # Nobody is told of by this id: there is no call to have a customer forgotten.
    )


def _state(payment: Payment) -> State:
    """Tell the state: it alone does not, for a payment that was cancelled after its acceptance stays AUTHORIZED."""
    if not payment.has_outcome:
        return State.WAITING
    kept = payment.aggregate.captured_amount.value > 0 or not payment.is_cancelled
    return State.ACCEPTED if payment.state == PaymentState.AUTHORIZED and kept else State.ENDED


def _ship_to(payment: Payment) -> str | None:
    user, shipping = payment.user_details, payment.shipping_details
    if user is None or shipping is None:
        return None
    parts = [f"{user.first_name or ''} {user.last_name or ''}"]
    if (address := shipping.address) is not None:
        parts += [address.address_line1 or "", address.address_line2 or ""]
        parts += [f"{address.post_code or ''} {address.city or ''}"]
    if shipping.shipping_cost is not None:
        parts.append(f"{shipping.shipping_option_name} ({format_nok(shipping.shipping_cost)})")
    return address_lines(parts)
