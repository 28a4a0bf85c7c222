"""Uses of the API that are never run: mypy and pyright hold the types of results, and refuse what must be refused.

`assert_type` says what a right use gives. A wrong use has a `type: ignore` with its code: mypy reports an ignore that
is not needed, so that each of them stays an error. Pyright does too, in this file.
"""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import assert_type

import aiohttp

from vipps_async import (
    PAYMENT_EVENTS,
    Aggregate,
    AiohttpTransport,
    AirlineData,
    ApiError,
    CancelledPayment,
    CancelResult,
    CapturedPayment,
    CaptureError,
    CaptureResult,
    CreatedPayment,
    Credentials,
    EcomApi,
    Effect,
    Environment,
    EpaymentApi,
    ErrorInfo,
    EventName,
    ExpressCheckout,
    InitiatedPayment,
    InvalidInputError,
    Money,
    OperationName,
    OrderStatus,
    OutcomeUnknown,
    Payment,
    PaymentDetails,
    PaymentEvent,
    PaymentState,
    PaymentStatus,
    RefundedPayment,
    RefundResult,
    RetryPolicy,
    Scope,
    SettledBy,
    ShippingDetails,
    SystemInfo,
    Timeouts,
    TransactionInfo,
    TransactionLogEntry,
    TransactionStatus,
    TransactionSummary,
    UnexpectedResponseError,
    VippsError,
    VippsSession,
    Webhook,
    dkk,
    eur,
    format_nok,
    nok,
)
from vipps_async.not_given import NOT_GIVEN, NotGiven
from vipps_async.receiver import (
    Confirmed,
    ConsentRemoval,
    Contradicted,
    EcomCallbacks,
    Limits,
    NotificationConfirmed,
    NotificationContradicted,
    OtherNotification,
    PaymentNotification,
    PaymentUpdate,
    Receiver,
    Reply,
    ShippingDetailsRequest,
    Webhooks,
)
from vipps_async.testing import Sandbox
from vipps_async.transports.protocol import Request, Response, Transport
from vipps_async.userinfo import UserInfo, UserinfoApi
from vipps_async.webhooks.client import WebhooksApi

KEYS = Credentials(client_id="id", client_secret="secret", subscription_key="key", merchant_serial_number="123456")


def money() -> None:
    """Sums come as text, whole numbers or Decimal, and are Money from then on."""
    assert_type(nok("499.00"), Money)
    assert_type(dkk(499), Money)
    assert_type(eur(Decimal("499.00")), Money)
    assert_type(nok(1) + nok(2), Money)
    assert_type(nok(3) - nok(2), Money)
    assert_type(nok(1) < nok(2), bool)
    assert_type(nok(1).value, int)
    assert_type(nok(1).currency, str)
    nok(1).value = 2  # type: ignore[misc]  # frozen
    assert_type(format_nok(49_900), str)
    nok(499.0)  # type: ignore[arg-type]  # a float cannot hold every øre
    nok(None)  # type: ignore[arg-type]  # a missing amount is no amount
    format_nok("499.00")  # type: ignore[arg-type]  # øre are whole numbers


async def session(own: aiohttp.ClientSession) -> None:
    """A session is made from keys or from the environment, with keywords only."""
    async with VippsSession(KEYS) as vipps:
        assert_type(vipps, VippsSession)
        assert_type(vipps.ecom, EcomApi)
        assert_type(vipps.userinfo, UserinfoApi)
        assert_type(vipps.webhooks, WebhooksApi)
        assert_type(vipps.environment, Environment)
        assert_type(vipps.merchant_serial_number, str)
    async with VippsSession.from_env() as vipps:
        assert_type(vipps, VippsSession)
    transport: Transport = AiohttpTransport(own)
    VippsSession(
        KEYS,
        environment=Environment.PRODUCTION,
        base_url=None,
        transport=transport,
        retry=RetryPolicy(attempts=2, deadline=10),
        timeouts=Timeouts(read=5.0),
        system=SystemInfo(name="acme", version="1.0"),
    )
    VippsSession.from_env({"VIPPS_CLIENT_ID": "id"}, timeouts=Timeouts())
    VippsSession(lambda: KEYS, merchant_serial_number="123456")
    VippsSession(_keys, merchant_serial_number="123456")
    VippsSession(lambda: "keys", merchant_serial_number="123456")  # type: ignore[arg-type]  # no Credentials
    view = vipps.for_merchant("654321").with_options(timeout=3, deadline=30.0, headers={"traceparent": "00"})
    assert_type(view, VippsSession)
    vipps.with_options(timeout=Timeouts(read=5.0))
    vipps.with_options(timeout="3")  # type: ignore[arg-type]  # a number
    vipps.with_options(headers={"traceparent": 7})  # type: ignore[dict-item]  # text
    vipps.for_merchant(654321)  # type: ignore[arg-type]  # Vipps answers an integer with HTTP 500
    VippsSession()  # type: ignore[call-arg]  # keys are needed
    VippsSession(KEYS, Environment.TEST)  # type: ignore[call-arg]  # keywords only
    VippsSession(KEYS, environment="test")  # type: ignore[arg-type]  # an Environment, not its name
    VippsSession(KEYS, transport=own)  # type: ignore[arg-type]  # an aiohttp session is adopted by a transport
    VippsSession(KEYS, retry=3)  # type: ignore[arg-type]  # a policy, not a number
    Credentials("id", "secret", "key", "123456")  # type: ignore[call-arg]  # keywords only: four texts are easily mixed up
    Credentials(
        client_id="id",
        client_secret="secret",
        subscription_key="key",
        merchant_serial_number=123456,  # type: ignore[arg-type]  # Vipps answers an integer with HTTP 500
    )
    KEYS.client_secret = "other"  # type: ignore[misc]  # frozen


async def _keys() -> Credentials:
    return KEYS


async def initiate(ecom: EcomApi) -> None:
    """Initiate takes everything by keyword and gives a URL."""
    payment = await ecom.initiate(
        order_id="acme-shop-1",
        amount=nok("499.00"),
        transaction_text="Socks",
        callback_prefix="https://example.com/callbacks",
        fall_back="https://example.com/back",
        mobile_number="91234567",
        scope=[Scope.NAME, "email"],
        airline_data=AirlineData(
            passenger_name="FLYER / MARY MS.",
            airline_code="074",
            airline_designator_code="KL",
            agency_invoice_number="1",
        ),
    )
    assert_type(payment, InitiatedPayment)
    assert_type(payment.order_id, str)
    assert_type(payment.url, str)
    assert_type(payment.token, str | None)
    payment.url = "https://example.com"  # type: ignore[misc]  # frozen
    ShippingDetails(shipping_method_id="post", shipping_method="Post", shipping_cost=nok("79.90"))
    ShippingDetails(shipping_method_id="post", shipping_method="Post", shipping_cost="79.90")  # type: ignore[arg-type]  # Money or whole øre
    ExpressCheckout(
        consent_removal_prefix="https://example.com/consents",
        static_shipping_details=[
            ShippingDetails(shipping_method_id="post", shipping_method="Post", shipping_cost=7_900)
        ],
    )
    ExpressCheckout(shipping_details_prefix="https://example.com")  # type: ignore[call-arg]  # consent can be withdrawn
    await ecom.initiate("acme-shop-1", 49_900)  # type: ignore[call-arg]  # keywords only, and more of them
    await ecom.initiate(
        order_id="acme-shop-1",
        amount=499.0,  # type: ignore[arg-type]  # øre, never a float
        transaction_text="Socks",
        callback_prefix="https://example.com/callbacks",
        fall_back="https://example.com/back",
    )


async def actions(ecom: EcomApi, computed: int | None, given: int | NotGiven) -> None:
    """Capture, refund and cancel name the order, and everything else by keyword."""
    captured = await ecom.capture("acme-shop-1", transaction_text="Shipped.")
    assert_type(captured, CaptureResult)
    assert_type(captured.order_id, str)
    assert_type(captured.settled_by, SettledBy)
    assert_type(captured.amount, int)
    assert_type(captured.transaction, TransactionInfo)
    assert_type(captured.transaction.status, TransactionStatus)
    assert_type(captured.transaction.time_stamp, datetime | None)
    assert_type(captured.transaction_summary, TransactionSummary | None)
    if captured.transaction_summary is not None:
        assert_type(captured.transaction_summary.remaining_amount_to_capture, int)
    refunded = await ecom.refund("acme-shop-1", transaction_text="Back.", amount=100)
    assert_type(refunded, RefundResult)
    assert_type(refunded.amount, int)
    assert_type(await ecom.capture("acme-shop-1", transaction_text="All.", amount=NOT_GIVEN), CaptureResult)
    # A key that may be missing is no key.
    await ecom.capture("acme-shop-1", transaction_text="All.", idempotency_key=None)  # type: ignore[arg-type]
    assert_type(await ecom.capture("acme-shop-1", transaction_text="All.", amount=given), CaptureResult)
    released = await ecom.cancel("acme-shop-1", transaction_text="Rest.", should_release_remaining_funds=True)
    assert_type(released, CancelResult)
    assert_type(released.amount, int)
    assert_type(await ecom.approve("acme-shop-1", mobile_number="91234567", token="token"), None)

    await ecom.capture("acme-shop-1", transaction_text="All.", amount=None)  # type: ignore[arg-type]  # not "everything"
    await ecom.refund("acme-shop-1", transaction_text="All.", amount=None)  # type: ignore[arg-type]  # not "everything"
    await ecom.capture("acme-shop-1", transaction_text="A sum.", amount=computed)  # type: ignore[arg-type]  # may be None
    await ecom.capture("acme-shop-1", transaction_text="A part.", amount=99.5)  # type: ignore[arg-type]  # never a float
    await ecom.capture("acme-shop-1", "Shipped.")  # type: ignore[call-arg]  # keyword only
    await ecom.capture("acme-shop-1")  # type: ignore[call-arg]  # the customer reads why
    await ecom.cancel("acme-shop-1", transaction_text="No.", amount=100)  # type: ignore[call-arg]  # releases the rest
    await ecom.capture("acme-shop-1", transaction_text="Shipped.", key="1")  # type: ignore[call-arg]  # idempotency_key
    _ = ecom.capture("acme-shop-1", transaction_text="Shipped.").transaction  # type: ignore[attr-defined]  # not awaited


async def reading(vipps: VippsSession) -> None:
    """Details, status, waiting and user info give typed answers, in which what may be missing is optional."""
    details = await vipps.ecom.details("acme-shop-1")
    assert_type(details, PaymentDetails)
    assert_type(await vipps.ecom.wait_for("acme-shop-1", timeout=600), PaymentDetails)
    assert_type(details.is_reserved, bool)
    assert_type(details.remaining_to_capture, int)
    assert_type(details.remaining_to_refund, int)
    assert_type(details.transaction_log_history, tuple[TransactionLogEntry, ...])
    assert_type(details.entry("key", operation=OperationName.CAPTURE), TransactionLogEntry | None)
    assert_type(details.last_successful_operation, TransactionLogEntry | None)
    assert_type(details.sub, str | None)
    _ = details.transaction_summary.captured_amount  # type: ignore[union-attr]  # missing until the customer has acted
    await vipps.userinfo.get(details.sub)  # type: ignore[arg-type]  # comes some moments after the approval
    status = await vipps.ecom.status("acme-shop-1")
    assert_type(status, PaymentStatus)
    if status.transaction is not None:
        assert_type(status.transaction.status, OrderStatus)
    user = await vipps.userinfo.get("sub")
    assert_type(user, UserInfo)
    assert_type(user.email, str | None)


def errors(error: VippsError) -> None:
    """Errors carry facts that a program can use."""
    assert_type(error.effect, Effect)
    assert_type(error.advice, str)
    assert_type(error.operation, str | None)
    assert_type(error.payment, str | None)
    assert_type(error.idempotency_key, str | None)
    _ = error.status  # type: ignore[attr-defined]  # not every error has an answer behind it
    if isinstance(error, ApiError):
        assert_type(error.status, int)
        assert_type(error.errors, tuple[ErrorInfo, ...])
        assert_type(error.retryable, bool)
        assert_type(error.retry_after, float | None)
    if isinstance(error, CaptureError):
        assert_type([info.code for info in error.errors], list[str])
    if isinstance(error, OutcomeUnknown):
        assert_type(error.status, int | None)
    if isinstance(error, UnexpectedResponseError):
        assert_type(error.body, str)
    if isinstance(error, InvalidInputError):
        assert_type(error.parameter, str)


class MyTransport:
    """A transport is whatever has these two methods."""

    async def send(self, request: Request) -> Response:
        """Answer nothing."""
        return Response(status=204)

    async def aclose(self) -> None:
        """Close nothing."""


class NotATransport:
    """A transport that takes something else is none."""

    async def send(self, url: str) -> bytes:
        """Answer bytes."""
        return url.encode()

    async def aclose(self) -> None:
        """Close nothing."""


async def transports_and_sandbox() -> None:
    """Own transports fit by their shape; a sandbox hands out sessions."""
    VippsSession(KEYS, transport=MyTransport())
    VippsSession(KEYS, transport=NotATransport())  # type: ignore[arg-type]  # takes no Request
    async with Sandbox() as sandbox, sandbox.session(transport=MyTransport()) as vipps:
        assert_type(sandbox, Sandbox)
        assert_type(vipps, VippsSession)
        assert_type(sandbox.url, str)
        assert_type(sandbox.payment("acme-shop-1").captured, int)


async def receiving(vipps: VippsSession) -> None:
    """Handlers are coroutine functions or plain ones, and know what they are given."""

    async def on_payment(event: PaymentUpdate, vipps: VippsSession) -> None:
        assert_type(await event.confirm(vipps), Confirmed | Contradicted)

    def on_shipping_details(_request: ShippingDetailsRequest, _vipps: VippsSession) -> list[ShippingDetails]:
        return []

    async def on_consent_removal(removal: ConsentRemoval, _vipps: VippsSession) -> None:
        assert_type(removal.user_id, str)

    async def of_another_kind(_: ConsentRemoval, _vipps: VippsSession) -> None: ...

    callbacks = EcomCallbacks(
        ["new", "old"],
        on_payment=on_payment,
        on_shipping_details=on_shipping_details,
        on_consent_removal=on_consent_removal,
    )
    EcomCallbacks("token", on_payment=of_another_kind)  # type: ignore[arg-type]
    receiver = Receiver(callbacks, limits=Limits(max_handlers=10))
    async with receiver.serving(vipps):
        assert_type(await receiver.handle("POST", "/v2/payments/acme-1", {"Authorization": "new"}, b"{}"), Reply)


async def webhooks(vipps: VippsSession) -> None:
    """Registrations, and what comes of them."""
    assert_type((await vipps.webhooks.register("https://example.com/", PAYMENT_EVENTS)).secret, str)
    assert_type(await vipps.webhooks.list(), tuple[Webhook, ...])
    ensured = await vipps.webhooks.ensure(url="https://example.com/", events=["user.checked-in.v1"], known_ids={"id"})
    assert_type(ensured.secret, str | None)
    await vipps.webhooks.ensure("https://example.com/", PAYMENT_EVENTS)  # type: ignore[call-arg]  # by their names

    async def on_event(event: PaymentNotification | OtherNotification, session: VippsSession) -> None:
        if isinstance(event, PaymentNotification):
            assert_type(await event.confirm(session), NotificationConfirmed | NotificationContradicted)

    Receiver(Webhooks(url="https://example.com/", secrets={}, on_event=on_event))


async def epayment(api: EpaymentApi) -> None:
    """Sums are Money, and nothing stands in the way of a result's amount."""
    created = await api.create(reference="acme-order-1", amount=nok(499), return_url="https://example.com/")
    assert_type(created, CreatedPayment)
    assert_type(created.redirect_url, str | None)
    payment = await api.wait_for(created.reference, timeout=600)
    assert_type(payment, Payment)
    assert_type(payment.state, PaymentState)
    assert_type(payment.aggregate, Aggregate)
    assert_type(payment.remaining_to_capture, Money)
    assert_type(payment.capture_guaranteed_until, datetime | None)
    captured = await api.capture("acme-order-1", amount=payment.remaining_to_capture)
    assert_type(captured, CapturedPayment)
    assert_type(captured.amount, Money)
    assert_type(captured.settled_by, SettledBy)
    refunded = await api.refund("acme-order-1", amount=captured.amount, idempotency_key="mine")
    assert_type(refunded, RefundedPayment)
    assert_type(refunded.amount, Money)
    cancelled = await api.cancel("acme-order-1", cancel_transaction_only=True)
    assert_type(cancelled, CancelledPayment)
    assert_type(cancelled.amount, Money)
    events = await api.events("acme-order-1")
    assert_type(events, tuple[PaymentEvent, ...])
    assert_type(events[0].name, EventName)
    await api.capture("acme-order-1", amount=49900)  # type: ignore[arg-type]
    await api.capture("acme-order-1")  # type: ignore[call-arg]
    await api.capture("acme-order-1", nok(1))  # type: ignore[call-arg]
