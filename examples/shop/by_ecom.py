"""The shop's payments by the eCom API v2: initiate, details, and callbacks with a token."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from examples.shop.api import Entry, Forget, News, Standing
from examples.shop.goods import EVERYWHERE, PRODUCT, Way, address_lines, ways_to
from examples.shop.orders import Kind, Order, State
from examples.shop.settings import Settings
from vipps_async import (
    CancelError,
    Effect,
    ExpressCheckout,
    OutcomeUnknown,
    PaymentDetails,
    PaymentPending,
    ShippingDetails,
    VippsSession,
    nok,
)
from vipps_async.receiver import ConsentRemoval, EcomCallbacks, PaymentUpdate, ShippingDetailsRequest, Source


@frozen
class EcomPayments:
    """Does by eCom what `PaymentApi` says."""

    settings: Settings

    async def start(self, vipps: VippsSession) -> None:
        """Do nothing: each payment names where its callbacks go."""

    def sources(self, on_news: News, on_forget: Forget) -> Sequence[Source]:
        """Take in callbacks, the question about shipping, and the wish to be forgotten."""

        async def on_payment(event: PaymentUpdate, vipps: VippsSession) -> None:
            # Confirmed or contradicted: either way the details are what counts.
            details = (await event.confirm(vipps)).details
            if details is not None:
                await on_news(vipps, event.order_id, _standing(details))

        async def on_shipping_details(request: ShippingDetailsRequest, _: VippsSession) -> Sequence[ShippingDetails]:
            return _methods(ways_to(request.post_code))

        async def on_consent_removal(event: ConsentRemoval, _: VippsSession) -> None:
            await on_forget(event.user_id)

        return (
            EcomCallbacks(
                self.settings.callback_token,
                on_payment=on_payment,
                on_shipping_details=on_shipping_details,
                on_consent_removal=on_consent_removal,
            ),
        )

    async def begin(self, vipps: VippsSession, order: Order, mobile_number: str | None) -> str:
        """Initiate."""
        payment = await vipps.ecom.initiate(
            order_id=order.payment_id,
            amount=order.amount,
            transaction_text=PRODUCT,
            callback_prefix=f"{self.settings.url}/vipps",
            fall_back=f"{self.settings.url}/orders/{order.id}",
            auth_token=self.settings.callback_token,
            mobile_number=mobile_number,
            express=self._express(order.kind),
        )
        return payment.url

    def _express(self, kind: Kind) -> ExpressCheckout | None:
        prefix = f"{self.settings.url}/vipps"
        if kind is Kind.STATIC:
            return ExpressCheckout(consent_removal_prefix=prefix, static_shipping_details=_methods(EVERYWHERE))
        if kind is Kind.DYNAMIC:
            return ExpressCheckout(consent_removal_prefix=prefix, shipping_details_prefix=prefix)
        return None

    async def look(self, vipps: VippsSession, payment_id: str) -> Standing:
        """Ask for details."""
        return _standing(await vipps.ecom.details(payment_id))

    async def look_closely(self, vipps: VippsSession, payment_id: str) -> tuple[Standing, Sequence[Entry]]:
        """Ask for details, which have the history."""
        details = await vipps.ecom.details(payment_id)
        history = [
            Entry(
                time=entry.time_stamp,
                operation=str(entry.operation),
                amount=entry.amount,
                success=entry.operation_success,
                text=entry.transaction_text or "",
            )
            for entry in details.transaction_log_history
        ]
        return _standing(details), history

    async def wait(self, vipps: VippsSession, payment_id: str, patience: float) -> Standing | None:
        """Wait at eCom's pace."""
        try:
            details = await vipps.ecom.wait_for(payment_id, timeout=patience)
        except PaymentPending as waiting:
            if not isinstance(waiting.last, PaymentDetails):
                return None
            details = waiting.last
        return _standing(details)

    async def withdraw(self, vipps: VippsSession, payment_id: str) -> None:
        """Cancel. eCom gives back what somebody has accepted in the meantime; nothing is paid then."""
        try:
            await vipps.ecom.cancel(payment_id, transaction_text="Not paid.")
        except CancelError:
            pass  # Over already, or the bank has not made up its mind.
        except OutcomeUnknown as doubt:
            # "Already processed" is what Vipps says to this after the bank has refused: nothing was reserved, so no
            # history will ever show a cancellation. Any other doubt is the customer's to hear of.
            if doubt.effect is not Effect.PROBABLE or not (await vipps.ecom.details(payment_id)).is_refused:
                raise

    async def capture(self, vipps: VippsSession, payment_id: str, oere: int, key: str) -> None:
        """Capture."""
        await vipps.ecom.capture(payment_id, amount=oere, transaction_text=PRODUCT, idempotency_key=key)

    async def refund(self, vipps: VippsSession, payment_id: str, oere: int, key: str) -> None:
        """Refund."""
        await vipps.ecom.refund(payment_id, amount=oere, transaction_text=f"Refund: {PRODUCT}", idempotency_key=key)

    async def release(self, vipps: VippsSession, payment_id: str) -> None:
        """Cancel, also the rest of a payment of which a part was captured."""
        text = f"Cancelled: {PRODUCT}"
        await vipps.ecom.cancel(payment_id, transaction_text=text, should_release_remaining_funds=True)


def _methods(ways: Sequence[Way]) -> tuple[ShippingDetails, ...]:
    return tuple(
        ShippingDetails(
            shipping_method_id=way.id, shipping_method=way.name, shipping_cost=way.cost, is_default=way is ways[0]
        )
        for way in ways
    )


def _standing(details: PaymentDetails) -> Standing:
    user, shipping = details.user_details, details.shipping_details
    # The only sum in the API that is in kroner, not øre.
    kroner = None if shipping is None else shipping.shipping_cost
    return Standing(
        state=_state(details),
        accepted=details.reserved_amount,
        shipping_cost=0 if kroner is None else nok(kroner).value,
        captured=details.captured_amount,
        refunded=details.refunded_amount,
        remaining_to_capture=details.remaining_to_capture,
        remaining_to_refund=details.remaining_to_refund,
        ship_to=_ship_to(details),
        customer_id=None if user is None else user.user_id,
    )


def _state(details: PaymentDetails) -> State:
    if details.is_cancelled:
        return State.ENDED
    if details.is_approved:
        return State.ACCEPTED
    return State.REFUSED if details.is_refused else State.WAITING


def _ship_to(details: PaymentDetails) -> str | None:
    user, shipping = details.user_details, details.shipping_details
    if user is None or shipping is None:
        return None
    parts = [f"{user.first_name or ''} {user.last_name or ''}"]
    if (address := shipping.address) is not None:
        parts += [address.address_line1 or "", address.address_line2 or ""]
        parts += [f"{address.post_code or ''} {address.city or ''}"]
    if shipping.shipping_cost is not None:
        parts.append(f"{shipping.shipping_method} ({shipping.shipping_cost:.2f} NOK)")
    return address_lines(parts)
