"""The eCom API as methods: each checks its arguments, builds a call and passes it to the runner."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from vipps_async.airline_data import AirlineData
from vipps_async.config import Environment
from vipps_async.core.operation import Call
from vipps_async.core.payment_calls import given_secrets, key_if_given
from vipps_async.core.payment_client import PaymentClient
from vipps_async.ecom.calls import cancel_call, initiate_call, money_call
from vipps_async.ecom.details import PaymentDetails
from vipps_async.ecom.express import ExpressCheckout
from vipps_async.ecom.operations import APPROVE, CAPTURE, REFUND, STATUS, ask_details
from vipps_async.ecom.payment_api import ECOM_API
from vipps_async.ecom.requests import (
    CustomerInfo,
    ForceApproveRequest,
    InitiatePaymentCommand,
    MerchantInfo,
    MerchantInfoPayment,
    TransactionInfoInitiate,
)
from vipps_async.ecom.responses import CancelResult, CaptureResult, InitiatedPayment, PaymentStatus, RefundResult
from vipps_async.errors import ConfigurationError, InvalidInputError
from vipps_async.idempotency_keys import new_idempotency_key
from vipps_async.input_rules import (
    check_amount,
    check_auth_token,
    check_callback_url,
    check_fall_back,
    check_flag,
    check_mobile_number,
    check_order_id,
    check_scope,
    check_token,
    check_transaction_text,
)
from vipps_async.money import Money
from vipps_async.not_given import NOT_GIVEN, NotGiven

#: Vipps' word for an express checkout, its two m's included.
_EXPRESS = "eComm Express Payment"


class EcomApi(PaymentClient[PaymentDetails]):
    """Payments through the Vipps eCom API v2.

    Amounts are given as `Money` in NOK or as whole øre; results have whole øre, as Vipps does.
    """

    _payment_api = ECOM_API

    @cached_property
    def _merchant(self) -> MerchantInfoPayment:
        # Made once: each call has it in its body.
        return MerchantInfoPayment(merchant_serial_number=self._merchant_serial_number)

    async def initiate(
        self,
        *,
        order_id: str,
        amount: Money | int,
        transaction_text: str,
        callback_prefix: str,
        fall_back: str,
        mobile_number: str | None = None,
        is_app: bool = False,
        skip_landing_page: bool = False,
        auth_token: str | None = None,
        scope: str | Iterable[str] | None = None,
        express: ExpressCheckout | None = None,
        airline_data: AirlineData | None = None,
    ) -> InitiatedPayment:
        """Ask for a payment. Send the customer to the result's `url` within 5 minutes.

        Not idempotent at Vipps: if the answer gets lost, the payment exists but its URL is gone.

        Args:
            order_id: unique for ever in this sales unit: 1 to 50 characters of a-z, A-Z, 0-9 and "-". Vipps
                discourages short ones and ones of digits only. A new attempt takes a suffix, such as "-1".
            amount: `nok("499.00")`, or whole øre; at least 1 NOK. In express checkout without shipping: Vipps adds what
                the customer chooses.
            transaction_text: what the customer reads in Vipps, 1 to 100 characters. Nothing sensitive.
            callback_prefix: https URL without a query; Vipps posts the outcome to
                ``{callback_prefix}/v2/payments/{order_id}``. Slashes at its end are taken off. Vipps' own hosts reach
                public hosts only, on the ports 80, 443 and 8080.
            fall_back: where the customer comes back to, paid or not: an https URL, an app's ``myapp://...``, or
                ``INTENT``. Vipps' own hosts refuse ``localhost``; in tests ``http://127.0.0.1`` can be used.
            mobile_number: the customer's number, 8 digits; only if you know it already.
            is_app: whether the payment starts in an app; the URL is then a deep link into Vipps.
            skip_landing_page: sends a push message at once; only for sales units that Vipps allows it to, and only
                with `mobile_number`.
            auth_token: comes back as the header `Authorization` of every callback, at most 255 characters.
            scope: personal information to ask the customer for: values of `Scope`. Not together with `express`.
            express: makes it an express checkout.
            airline_data: for airlines and travel agencies.

        Raises:
            InvalidInputError: an argument breaks a rule; nothing was sent.
            DuplicateOrderError: the order id was used before.
            PaymentUrlLostError: the payment exists, but the answer that held its URL got lost.
            VippsError: see `vipps_async.errors`.
        """
        loopback = self._environment is not Environment.PRODUCTION
        check_order_id(order_id)
        oere = check_amount(amount)
        check_transaction_text(transaction_text)
        callback_prefix = check_callback_url(
            "callback_prefix", callback_prefix, loopback=loopback, is_vipps=self._is_vipps
        )
        check_fall_back(fall_back, loopback=loopback, is_vipps=self._is_vipps)
        if mobile_number is not None:
            check_mobile_number(mobile_number)
        check_flag("is_app", is_app)
        if check_flag("skip_landing_page", skip_landing_page) and mobile_number is None:
            raise InvalidInputError("skip_landing_page", "False when there is no mobile_number", value=True)
        if auth_token is not None:
            check_auth_token(auth_token)
        if airline_data is not None and not isinstance(airline_data, AirlineData):
            raise InvalidInputError("airline_data", "an AirlineData", secret=True)
        consent_prefix, shipping_prefix = _check_express(
            express, scope=scope, loopback=loopback, is_vipps=self._is_vipps
        )
        body = InitiatePaymentCommand(
            customer_info=CustomerInfo(mobile_number=mobile_number),
            merchant_info=MerchantInfo(
                merchant_serial_number=self._merchant_serial_number,
                callback_prefix=callback_prefix,
                fall_back=fall_back,
                auth_token=auth_token,
                is_app=is_app or None,
                payment_type=None if express is None else _EXPRESS,
                consent_removal_prefix=consent_prefix,
                shipping_details_prefix=shipping_prefix,
                static_shipping_details=None if express is None else express.static_shipping_details,
            ),
            transaction=TransactionInfoInitiate(
                order_id=order_id,
                amount=oere,
                transaction_text=transaction_text,
                skip_landing_page=skip_landing_page or None,
                scope=None if scope is None else check_scope(scope),
                additional_data=airline_data,
                use_explicit_checkout_flow=None if express is None else express.use_explicit_checkout_flow or None,
            ),
        )
        passenger = None if airline_data is None else airline_data.passenger_name
        ticket = None if airline_data is None else airline_data.ticket_number
        return await self._runner.run(
            initiate_call(
                order_id,
                amount=oere,
                body=body,
                secrets=given_secrets(mobile_number, auth_token, passenger, ticket),
            )
        )

    async def capture(
        self,
        order_id: str,
        *,
        transaction_text: str,
        amount: Money | int | NotGiven = NOT_GIVEN,
        idempotency_key: str | NotGiven = NOT_GIVEN,
    ) -> CaptureResult:
        """Capture a reserved payment or a part of it, up to 180 days after the reservation.

        Takes effect at most once for one call: the same key goes with every attempt.

        Args:
            order_id: the payment.
            transaction_text: what the customer reads in Vipps, 1 to 100 characters.
            amount: Money in NOK or whole øre, at least 1 NOK. Leave it out to capture all that remains; None and 0 are
                refused, so that a sum computed wrongly never takes everything.
            idempotency_key: your own key, at most 40 characters; the same key with the same arguments has no further
                effect. Left out, a new one is made for this call; None is refused: it may be a key
                that got lost.

        Raises:
            InvalidInputError: an argument breaks a rule; nothing was sent.
            CaptureError: Vipps refused, for example because more was asked than is reserved.
            OutcomeUnknown: it could not be found out whether the capture took effect; the error has the key.
            VippsError: see `vipps_async.errors`.
        """
        call: Call[CaptureResult] = money_call(
            CAPTURE,
            order_id,
            merchant=self._merchant,
            transaction_text=transaction_text,
            amount=amount,
            idempotency_key=key_if_given(idempotency_key),
        )
        return await self._runner.run(call)

    async def refund(
        self,
        order_id: str,
        *,
        transaction_text: str,
        amount: Money | int | NotGiven = NOT_GIVEN,
        idempotency_key: str | NotGiven = NOT_GIVEN,
    ) -> RefundResult:
        """Pay back what was captured or a part of it, up to 365 days after the reservation.

        Takes effect at most once for one call: the same key goes with every attempt.

        Args:
            order_id: the payment.
            transaction_text: what the customer reads in Vipps, 1 to 100 characters.
            amount: Money in NOK or whole øre, at least 1 NOK. Leave it out to refund all that remains; None and 0 are
                refused.
            idempotency_key: your own key, at most 40 characters; see `capture`.

        Raises:
            InvalidInputError: an argument breaks a rule; nothing was sent.
            RefundError: Vipps refused, for example because more was asked than was captured.
            OutcomeUnknown: it could not be found out whether the refund took effect; the error has the key.
            VippsError: see `vipps_async.errors`.
        """
        call: Call[RefundResult] = money_call(
            REFUND,
            order_id,
            merchant=self._merchant,
            transaction_text=transaction_text,
            amount=amount,
            idempotency_key=key_if_given(idempotency_key),
        )
        return await self._runner.run(call)

    async def cancel(
        self, order_id: str, *, transaction_text: str, should_release_remaining_funds: bool = False
    ) -> CancelResult:
        """Cancel a payment that is not captured, or release the rest of one that is captured in part.

        Up to 180 days after the reservation.

        Args:
            order_id: the payment.
            transaction_text: what the customer reads in Vipps, 1 to 100 characters.
            should_release_remaining_funds: releases what is left of a partly captured payment, which Vipps otherwise
                refuses to cancel.

        Raises:
            InvalidInputError: an argument breaks a rule; nothing was sent.
            CancelError: Vipps refused, for example because the payment is captured.
            OutcomeUnknown: it could not be found out whether the cancel took effect.
            VippsError: see `vipps_async.errors`.
        """
        call = cancel_call(
            order_id,
            merchant=self._merchant,
            transaction_text=transaction_text,
            should_release_remaining_funds=should_release_remaining_funds,
        )
        return await self._runner.run(call)

    async def details(self, order_id: str) -> PaymentDetails:
        """Read a payment with its whole history. It decides, whatever a callback says.

        Args:
            order_id: the payment.

        Raises:
            InvalidInputError: the order id breaks its rule; nothing was sent.
            OrderNotFoundError: there is no such payment in this sales unit.
            VippsError: see `vipps_async.errors`.
        """
        return await self._runner.run(ask_details(check_order_id(order_id)))

    async def status(self, order_id: str) -> PaymentStatus:
        """Read the last transaction of a payment. Deprecated by Vipps: `details` says more.

        Args:
            order_id: the payment.

        Raises:
            InvalidInputError: the order id breaks its rule; nothing was sent.
            OrderNotFoundError: there is no such payment in this sales unit.
            VippsError: see `vipps_async.errors`.
        """
        check_order_id(order_id)
        return await self._runner.run(Call(operation=STATUS, path=STATUS.path_for(order_id), payment=order_id))

    async def approve(self, order_id: str, *, mobile_number: str | None = None, token: str | None = None) -> None:
        """Accept a payment in place of the customer, in the test environment.

        Not for express checkouts and payments with `skip_landing_page`. Vipps wants the test user to have accepted one
        payment in the app before.

        Args:
            order_id: the payment.
            mobile_number: the test user's number, 8 digits; left out, it is not sent.
            token: the token in the payment's URL: `InitiatedPayment.token`; left out, it is not sent.

        Raises:
            ConfigurationError: the environment is production; nothing was sent.
            InvalidInputError: an argument breaks a rule; nothing was sent.
            VippsError: see `vipps_async.errors`.
        """
        if self._environment is Environment.PRODUCTION:
            raise ConfigurationError(
                "approve exists in the test environment only", advice="let the customer accept the payment in Vipps"
            )
        check_order_id(order_id)
        body = ForceApproveRequest(
            customer_phone_number=None if mobile_number is None else check_mobile_number(mobile_number),
            token=None if token is None else check_token(token),
        )
        await self._runner.run(
            Call(
                operation=APPROVE,
                path=APPROVE.path_for(order_id),
                payment=order_id,
                body=body,
                idempotency_key=new_idempotency_key(),
                secrets=given_secrets(mobile_number, token),
            )
        )

    async def wait_for(self, order_id: str, *, timeout: float = 600.0) -> PaymentDetails:  # noqa: ASYNC109 - it paces questions, and ends between two of them
        """Wait until the customer has accepted the payment, the bank has refused it, or it is cancelled.

        Reads details after 5 seconds and then every 2, as Vipps' guidelines say, and at once after `notify`. All waits
        of a session together read at most 120 times a minute, which is Vipps' limit; beyond that the order that has
        been due for longest comes first. Passing failures do not end the wait; a `Retry-After` holds for the order that
        it came for, and for a minute at most.

        Args:
            order_id: the payment.
            timeout: how long to wait, in seconds. Vipps gives the customer 5 minutes for the link and 5 in the app.
                With less than 10 the first read comes at half time.

        Returns:
            The details that ended the wait: look at their `is_approved`, `is_refused` and `is_cancelled`.

        Raises:
            InvalidInputError: an argument breaks a rule; nothing was sent.
            vipps_async.PaymentPending: a TimeoutError: the customer has done neither in time. The payment may still
                be accepted later: cancel it. It has the `last` details.
            OrderNotFoundError: there is no such payment in this sales unit.
            ConfigurationError: the session was closed meanwhile.
            VippsError: details failed for good, or failed last when the time was up; see `vipps_async.errors`.
        """
        unit = self._merchant_serial_number
        return await self._poller.wait(check_order_id(order_id), timeout=timeout, unit=unit, ask=self.details)

    def notify(self, order_id: str) -> None:
        """Make the waits for a payment in this session read it at once, because something has happened to it.

        `vipps_async.receiver` does so for every callback. It may be called before the wait begins.

        Args:
            order_id: the payment.

        Raises:
            InvalidInputError: the order id breaks its rule.
            ConfigurationError: called in another event loop or thread than the session belongs to; from there use
                ``loop.call_soon_threadsafe(vipps.ecom.notify, order_id)``.
        """
        self._poller.notify(check_order_id(order_id), unit=self._merchant_serial_number)


def _check_express(express: object, *, scope: object, loopback: bool, is_vipps: bool) -> tuple[str | None, str | None]:
    """Return the prefixes for the removal of consents and for shipping, as they are sent."""
    if express is None:
        return None, None
    if not isinstance(express, ExpressCheckout):
        raise InvalidInputError("express", "an ExpressCheckout", value=express)
    if scope is not None:
        # Vipps refuses the two together: an express checkout gives name, address and e-mail anyway.
        raise InvalidInputError("scope", "left out of an express checkout", value=scope)
    consent, shipping = express.consent_removal_prefix, express.shipping_details_prefix
    consent = check_callback_url("consent_removal_prefix", consent, loopback=loopback, is_vipps=is_vipps)
    if shipping is not None:
        shipping = check_callback_url("shipping_details_prefix", shipping, loopback=loopback, is_vipps=is_vipps)
    return consent, shipping
