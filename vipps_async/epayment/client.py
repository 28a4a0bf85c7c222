"""The ePayment API as methods: each checks its arguments, builds a call and passes it to the runner."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Self

from vipps_async.airline_data import AirlineData
from vipps_async.config import Environment
from vipps_async.core.operation import Call, SettledBy
from vipps_async.core.payment_calls import key_if_given
from vipps_async.core.payment_client import PaymentClient
from vipps_async.epayment.calls import cancel_call, create_call, money_call
from vipps_async.epayment.operations import APPROVE, CAPTURE, REFUND, get_call, get_events_call
from vipps_async.epayment.payment_api import EPAYMENT_API, EPAYMENT_APIS
from vipps_async.epayment.receipt import Receipt
from vipps_async.epayment.request_bodies import MerchantLegalLinks, QrFormat
from vipps_async.epayment.request_enums import BlockedSource, CustomerInteraction, PaymentMethodType, UserFlow
from vipps_async.epayment.request_rules import check_currency
from vipps_async.epayment.requests import create_request, force_approve_request
from vipps_async.epayment.responses import (
    CancelledPayment,
    CapturedPayment,
    CreatedPayment,
    Payment,
    PaymentEvent,
    RefundedPayment,
)
from vipps_async.epayment.shipping import Shipping
from vipps_async.errors import ConfigurationError
from vipps_async.input_rules import check_reference
from vipps_async.money import Money
from vipps_async.not_given import NOT_GIVEN, NotGiven


class EpaymentApi(PaymentClient[Payment]):
    """Payments through the Vipps MobilePay ePayment API v1, in NOK, DKK and EUR. All amounts are `Money`."""

    _payment_api = EPAYMENT_API

    async def create(
        self,
        *,
        reference: str,
        amount: Money,
        payment_description: str | None = None,
        return_url: str | None = None,
        user_flow: UserFlow | str = UserFlow.WEB_REDIRECT,
        payment_method: PaymentMethodType | str = PaymentMethodType.WALLET,
        phone_number: str | None = None,
        personal_qr: str | None = None,
        customer_token: str | None = None,
        customer_interaction: CustomerInteraction | str | None = None,
        minimum_user_age: int | None = None,
        scope: str | Iterable[str] | None = None,
        expires_at: datetime | None = None,
        qr_format: QrFormat | None = None,
        receipt: Receipt | None = None,
        receipt_url: str | None = None,
        metadata: Mapping[str, str] | None = None,
        shipping: Shipping | None = None,
        airline_data: AirlineData | None = None,
        blocked_sources: Iterable[BlockedSource | str] | None = None,
        merchant_legal_links: MerchantLegalLinks | None = None,
        idempotency_key: str | NotGiven = NOT_GIVEN,
    ) -> CreatedPayment:
        """Ask for a payment. Send the customer to the result's `redirect_url` within 5 minutes.

        If the response is lost, the request is sent again under the same key, or the payment is looked up with its URL.
        You may call it again, too: a payment with this reference and amount that exists already counts as yours.

        Args:
            reference: unique for ever in this sales unit: 8 to 64 characters of a-z, A-Z, 0-9 and "-". A new attempt to
                pay takes another, see `next_attempt`.
            amount: from 1 NOK, 0.01 DKK or 0.01 EUR, in the sales unit's currency. With `shipping` without the cost of
                it: the app adds what the customer chooses.
            payment_description: what the customer reads in the app, 3 to 100 characters. Nothing sensitive.
            return_url: where the customer comes back to, paid or not: an https URL or an app's ``myapp://...``, at most
                2,500 characters. Must be given with WEB_REDIRECT.
            user_flow: how the customer gets to the payment. With QR the `redirect_url` leads to the code, with
                PUSH_MESSAGE there is none.
            payment_method: WALLET or, with WEB_REDIRECT only, CARD.
            phone_number: the customer's, if known: 9 to 15 digits, the country's code first. At most one of this,
                `personal_qr` and `customer_token`; exactly one with PUSH_MESSAGE.
            personal_qr: all that the QR code in the customer's app holds, 5 to 255 characters.
            customer_token: the token out of a check-in.
            customer_interaction: CUSTOMER_PRESENT at a till; left out, Vipps assumes CUSTOMER_NOT_PRESENT.
            minimum_user_age: in years, 0 to 100; a younger customer cannot pay.
            scope: personal information to ask the customer for: values of `Scope`. With `shipping` it is name, address,
                email and phoneNumber, and may be left out.
            expires_at: when a long-living payment ends, with its time zone: more than 10 minutes and less than 60 days
                ahead; needs WALLET, a `receipt`, and Vipps' permission.
            qr_format: how the QR code comes; with QR only.
            receipt: what was bought, in the same currency.
            receipt_url: where the receipt is: an https URL or an app's.
            metadata: up to 5 texts of at most 500 characters under names of at most 100; come back with the payment.
            shipping: makes it an express checkout; WALLET only.
            airline_data: for airlines and travel agencies.
            blocked_sources: what a wallet must not be paid from; not in NOK.
            merchant_legal_links: the merchant's terms of sale and privacy policy.
            idempotency_key: your own key, at most 50 characters. Left out, a new one is made for this call; None is
                refused.

        Raises:
            InvalidInputError: an argument breaks a rule, or does not go with another; nothing was sent.
            DuplicateOrderError: the reference is another payment's.
            PushNotAllowedError: the sales unit may not send push messages: offer WEB_REDIRECT or QR instead.
            OutcomeUnknown: it could not be found out whether the payment was made; call it again.
            VippsError: see `vipps_async.errors`.
        """
        body = create_request(
            reference=reference,
            amount=amount,
            payment_description=payment_description,
            return_url=return_url,
            user_flow=user_flow,
            payment_method=payment_method,
            phone_number=phone_number,
            personal_qr=personal_qr,
            customer_token=customer_token,
            customer_interaction=customer_interaction,
            minimum_user_age=minimum_user_age,
            scope=scope,
            expires_at=expires_at,
            qr_format=qr_format,
            receipt=receipt,
            receipt_url=receipt_url,
            metadata=metadata,
            shipping=shipping,
            airline_data=airline_data,
            blocked_sources=blocked_sources,
            merchant_legal_links=merchant_legal_links,
            loopback=self._environment is not Environment.PRODUCTION,
            is_vipps=self._is_vipps,
        )
        created = await self._runner.run(create_call(body, idempotency_key=key_if_given(idempotency_key)))
        if created.settled_by is not SettledBy.JOURNAL:
            return created
        # The journal knows that it was made, and keeps no URL.
        payment = await self.get(reference)
        url = None if payment.has_outcome else payment.redirect_url
        return CreatedPayment(reference=reference, redirect_url=url, settled_by=SettledBy.JOURNAL)

    async def get(self, reference: str) -> Payment:
        """Read a payment with its state and sums. It decides, whatever a webhook says.

        Args:
            reference: the payment.

        Raises:
            InvalidInputError: the reference breaks its rule; nothing was sent.
            OrderNotFoundError: there is no such payment in this sales unit.
            VippsError: see `vipps_async.errors`.
        """
        return await self._runner.run(get_call(check_reference(reference)))

    async def events(self, reference: str) -> tuple[PaymentEvent, ...]:
        """Read the events of a payment, failed operations included, the oldest first.

        Args:
            reference: the payment.

        Raises:
            InvalidInputError: the reference breaks its rule; nothing was sent.
            OrderNotFoundError: there is no such payment in this sales unit.
            VippsError: see `vipps_async.errors`.
        """
        found = await self._runner.run(get_events_call(check_reference(reference)))
        stamped = [(event.timestamp, event) for event in found if event.timestamp is not None]
        if len(stamped) < len(found):
            return found
        return tuple(event for _, event in sorted(stamped, key=lambda pair: pair[0]))

    async def capture(
        self, reference: str, *, amount: Money, idempotency_key: str | NotGiven = NOT_GIVEN
    ) -> CapturedPayment:
        """Capture an authorized payment or a part of it, within 180 days in Norway and 14 in Denmark and Finland.

        Takes effect at most once for one call: the same key goes with every attempt. After `capture_guaranteed_until`,
        a week or a month after the acceptance, captures fail more and more often.

        Args:
            reference: the payment.
            amount: how much, in the payment's currency; for all that is left the `remaining_to_capture` of `get`.
            idempotency_key: your own key, at most 50 characters; the same key with the same amount has no further
                effect. Left out, a new one is made for this call; None is refused: it may be a key that got lost.

        Raises:
            InvalidInputError: an argument breaks a rule; nothing was sent.
            CaptureError: Vipps refused, for example because more was asked than is reserved.
            OutcomeUnknown: it could not be found out whether the capture took effect; the error has the key.
            VippsError: see `vipps_async.errors`.
        """
        key = key_if_given(idempotency_key)
        return await self._runner.run(money_call(CAPTURE, reference, amount=amount, idempotency_key=key))

    async def refund(
        self, reference: str, *, amount: Money, idempotency_key: str | NotGiven = NOT_GIVEN
    ) -> RefundedPayment:
        """Pay back what was captured or a part of it, up to 365 days after the reservation.

        Takes effect at most once for one call: the same key goes with every attempt.

        Args:
            reference: the payment.
            amount: how much, in the payment's currency; for all of it the `remaining_to_refund` of `get`.
            idempotency_key: your own key, at most 50 characters; see `capture`.

        Raises:
            InvalidInputError: an argument breaks a rule; nothing was sent.
            RefundError: Vipps refused, for example because more was asked than was captured.
            OutcomeUnknown: it could not be found out whether the refund took effect; the error has the key.
            VippsError: see `vipps_async.errors`.
        """
        key = key_if_given(idempotency_key)
        return await self._runner.run(money_call(REFUND, reference, amount=amount, idempotency_key=key))

    async def cancel(self, reference: str, *, cancel_transaction_only: bool = False) -> CancelledPayment:
        """Cancel all of a payment that is not captured, for good: before the customer accepts, or what is left after.

        Of a payment that is captured in part it releases the rest without being asked twice.

        Args:
            reference: the payment.
            cancel_transaction_only: leaves a payment alone that the customer has accepted: for a cancel that may come
                at the same moment as the acceptance.

        Raises:
            InvalidInputError: an argument breaks a rule; nothing was sent.
            CancelError: Vipps refused, for example because all is captured, or the customer is confirming the payment
                with the bank at this moment.
            OutcomeUnknown: it could not be found out whether the cancel took effect.
            VippsError: see `vipps_async.errors`.
        """
        return await self._runner.run(cancel_call(reference, cancel_transaction_only=cancel_transaction_only))

    async def approve(self, reference: str, *, phone_number: str | None = None, token: str | None = None) -> None:
        """Accept a payment in place of the customer, in the test environment.

        Not for express checkouts. Vipps wants the test user to have accepted one payment in the app before.

        Args:
            reference: the payment.
            phone_number: the test user's number, 9 to 15 digits, the country's code first; left out, it is not sent.
            token: the token in the payment's URL: `CreatedPayment.token`; left out, it is not sent.

        Raises:
            ConfigurationError: the environment is production; nothing was sent.
            InvalidInputError: an argument breaks a rule; nothing was sent.
            VippsError: see `vipps_async.errors`.
        """
        if self._environment is Environment.PRODUCTION:
            raise ConfigurationError(
                "approve exists in the test environment only", advice="let the customer accept the payment in the app"
            )
        check_reference(reference)
        body = force_approve_request(phone_number=phone_number, token=token)
        path = APPROVE.path_for(reference)
        await self._runner.run(Call(operation=APPROVE, path=path, payment=reference, body=body, secrets=body.secrets))

    async def wait_for(self, reference: str, *, timeout: float = 600.0) -> Payment:  # noqa: ASYNC109 - it paces questions, and ends between two of them
        """Wait until the customer has accepted or declined the payment, has run out of time, or it is cancelled.

        Reads the payment after 5 seconds and then every 2, as Vipps' guidelines say, and at once after `notify`. All
        waits of a session for this API together read at most 120 times a minute; beyond that the payment that has been
        due for longest comes first. Passing failures do not end the wait.

        Args:
            reference: the payment.
            timeout: how long to wait, in seconds. Vipps gives the customer 5 minutes for the link and 5 in the app:
                do not give up before. With less than 10 the first read comes at half time.

        Returns:
            The payment that ended the wait: look at its `state`.

        Raises:
            InvalidInputError: an argument breaks a rule; nothing was sent.
            vipps_async.PaymentPending: a TimeoutError: the customer has done neither in time. The payment may still
                be accepted later: cancel it with `cancel_transaction_only`. It has the `last` payment read.
            OrderNotFoundError: there is no such payment in this sales unit.
            ConfigurationError: the session was closed meanwhile.
            VippsError: the payment could not be read for good, or not when the time was up; see `vipps_async.errors`.
        """
        unit = self._merchant_serial_number
        return await self._poller.wait(check_reference(reference), timeout=timeout, unit=unit, ask=self.get)

    def notify(self, reference: str) -> None:
        """Make the waits for a payment in this session read it at once, because a webhook has told of it.

        It may be called before the wait begins.

        Args:
            reference: the payment.

        Raises:
            InvalidInputError: the reference breaks its rule.
            ConfigurationError: called in another event loop or thread than the session belongs to; from there use
                ``loop.call_soon_threadsafe(vipps.epayment.notify, reference)``.
        """
        self._poller.notify(check_reference(reference), unit=self._merchant_serial_number)

    def in_currency(self, currency: str) -> Self:
        """Return the same API for batches in a currency: ``capture_many(vipps.epayment.in_currency("DKK"), rows)``.

        Args:
            currency: ``"NOK"``, which it has by itself, ``"DKK"`` or ``"EUR"``. All rows of a batch are in it.

        Raises:
            InvalidInputError: it is another one.
        """
        other = copy.copy(self)
        other._payment_api = EPAYMENT_APIS[check_currency("currency", currency)]  # noqa: SLF001 - a copy of ours
        return other
