"""The client `vipps` 0.1 of PyPI against the sandbox: itself where it is installed, its requests as data everywhere."""

from __future__ import annotations

import asyncio
import importlib.util
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.end_to_end.outsider import KEYS, Outsider, Sent, outsider_at
from tests.missing import skip_without
from vipps_async.sandbox import SandboxServer, SandboxSettings, State

ORDER = "acme-shop-123-order123abc"
#: Øre.
PRICE = 49_900
CALLBACKS, BACK = "https://example.com/vipps/callbacks", "https://example.com/vipps/result"
TEXT = "One pair of socks."
#: Headers that an HTTP library sets.
_OF_HTTP = {"host", "user-agent", "accept", "accept-encoding", "connection", "content-length"}


# -- its requests, as data ---------------------------------------------------------------------------------------------


def token() -> Sent:
    """Return how it asks for a token."""
    headers = {"client_id": "client-id", "client_secret": "client-secret", "Ocp-Apim-Subscription-Key": "key"}
    return Sent("POST", "/accesstoken/get", headers)


def of_order(method: str, operation: str, bearer: str, body: Any = None, *, order_header: bool = False) -> Sent:
    """Return a request about the order."""
    headers = {
        "Authorization": f"Bearer {bearer}",
        "Content-Type": "application/json",
        "Ocp-Apim-Subscription-Key": "key",
        "Merchant-Serial-Number": "123456",
    }
    if order_header:
        headers["orderId"] = ORDER
    return Sent(method, f"/ecomm/v2/payments/{ORDER}/{operation}", headers, body)


def initiate(bearer: str) -> Sent:
    """Return how it initiates."""
    body = {
        "customerInfo": {},
        "merchantInfo": {"merchantSerialNumber": "123456", "callbackPrefix": CALLBACKS, "fallBack": f"{BACK}/{ORDER}"},
        "transaction": {"orderId": ORDER, "amount": PRICE, "transactionText": TEXT},
    }
    return Sent("POST", "/ecomm/v2/payments", of_order("POST", "", bearer).headers, body)


def approve(bearer: str, payment_token: str) -> Sent:
    """Return how it force approves."""
    body = {"customerPhoneNumber": "91234567", "token": payment_token}
    path = f"/ecomm/v2/integration-test/payments/{ORDER}/approve"
    return Sent("POST", path, of_order("POST", "", bearer).headers, body)


def move(operation: str, bearer: str, amount: int) -> Sent:
    """Return how it captures or refunds: without `X-Request-Id`."""
    body = {
        "merchantInfo": {"merchantSerialNumber": "123456"},
        "transaction": {"amount": amount, "transactionText": TEXT},
    }
    return of_order("POST", operation, bearer, body, order_header=operation == "capture")


def details(bearer: str) -> Sent:
    """Return how it asks details."""
    return of_order("GET", "details", bearer)


def cancel(bearer: str) -> Sent:
    """Return how it cancels."""
    body = {"merchantInfo": {"merchantSerialNumber": "123456"}, "transaction": {"transactionText": TEXT}}
    return of_order("PUT", "cancel", bearer, body, order_header=True)


# -- by plain HTTP -----------------------------------------------------------------------------------------------------


@pytest.fixture
async def sandbox() -> AsyncIterator[SandboxServer]:
    """One that looks at the keys."""
    async with SandboxServer(settings=SandboxSettings(credentials=[KEYS])) as server:
        yield server


@pytest.fixture
async def outsider(sandbox: SandboxServer) -> AsyncIterator[Outsider]:
    """Sends the data."""
    async with outsider_at(sandbox.url) as opened:
        yield opened


async def reserve(outsider: Outsider) -> str:
    """Fetch a token, initiate and approve; return the token."""
    status, answer = await outsider.send(token())
    assert status == 200
    bearer: str = answer["access_token"]
    status, payment = await outsider.send(initiate(bearer))
    assert (status, payment["orderId"]) == (200, ORDER)
    assert await outsider.send(approve(bearer, payment["url"].partition("&token=")[2])) == (200, None)
    status, found = await outsider.send(details(bearer))
    assert (status, found["transactionLogHistory"][0]["operation"]) == (200, "RESERVE")
    return bearer


async def test_its_requests_from_initiate_to_cancel(outsider: Outsider, sandbox: SandboxServer) -> None:
    """All but capture and refund are taken as Vipps takes them."""
    bearer = await reserve(outsider)
    status, answer = await outsider.send(cancel(bearer))
    assert (status, answer["transactionInfo"]["status"]) == (200, "Cancelled")
    assert sandbox.payment(ORDER).state is State.VOID


@pytest.mark.parametrize("operation", ["capture", "refund"])
async def test_without_a_request_id_no_money_moves(outsider: Outsider, sandbox: SandboxServer, operation: str) -> None:
    """The vendor's description requires `X-Request-Id` for both: the refusal names it."""
    bearer = await reserve(outsider)
    status, errors = await outsider.send(move(operation, bearer, PRICE))
    assert (status, [(error["errorGroup"], error["errorCode"]) for error in errors]) == (
        400,
        [("InvalidRequest", "X-Request-Id")],
    )
    assert (sandbox.payment(ORDER).captured, len(sandbox.payment(ORDER).history)) == (0, 2)


async def test_where_it_is_told_to_the_sandbox_takes_them(outsider: Outsider, sandbox: SandboxServer) -> None:
    """With the switch each capture moves money anew, be it the same one sent twice: no key tells them apart."""
    sandbox.settings.request_id_required = False
    bearer = await reserve(outsider)
    for captured in (20_000, 40_000):
        status, answer = await outsider.send(move("capture", bearer, 20_000))
        assert (status, answer["transactionSummary"]["capturedAmount"]) == (200, captured)
    status, errors = await outsider.send(move("capture", bearer, 20_000))
    assert (status, errors[0]["errorCode"]) == (400, "61")
    for refunded in (15_000, 30_000):
        status, answer = await outsider.send(move("refund", bearer, 15_000))
        assert (status, answer["transactionSummary"]["refundedAmount"]) == (200, refunded)
    _, found = await outsider.send(details(bearer))
    assert {entry["requestId"] for entry in found["transactionLogHistory"]} == {""}


# -- itself ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def client(sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The installed client, which talks to the sandbox past any proxy."""
    if importlib.util.find_spec("vipps") is None:
        skip_without("clients", "the client vipps of PyPI is not installed: dependency group clients")
    from vipps import VippsEcomApi  # noqa: PLC0415 - where it is installed

    monkeypatch.setenv("NO_PROXY", "*")
    return VippsEcomApi(
        client_id="client-id",
        client_secret="client-secret",
        vipps_subscription_key="key",
        merchant_serial_number="123456",
        vipps_server=sandbox.url,
        callback_prefix=CALLBACKS,
        fall_back=BACK,
    )


async def call(method: Callable[..., Any], **arguments: Any) -> Any:
    """Call a method that blocks in a thread."""
    return await asyncio.to_thread(method, order_id=ORDER, **arguments)


async def begin(client: Any) -> None:
    """Initiate and approve by the client."""
    payment = await call(client.init_payment, amount=PRICE, transaction_text=TEXT)
    payment_token = payment["url"].partition("&token=")[2]
    await call(client.force_approve_payment, customer_phone_number="91234567", token=payment_token)


async def test_the_client_itself_from_end_to_end(client: Any, sandbox: SandboxServer) -> None:
    """Initiate, approve, details, capture and refund of a part, by its own code; its captures need the switch."""
    await begin(client)
    found = await call(client.details_payment)
    assert found["transactionSummary"]["remainingAmountToCapture"] == PRICE
    with pytest.raises(OSError, match="400 Client Error"):
        await call(client.capture_payment, amount=PRICE, transaction_text=TEXT)
    assert sandbox.payment(ORDER).captured == 0
    sandbox.settings.request_id_required = False
    done = await call(client.capture_payment, amount=PRICE, transaction_text=TEXT)
    assert done["transactionInfo"]["status"] == "Captured"
    done = await call(client.refund_payment, amount=9_900, transaction_text=TEXT)
    assert done["transaction"]["status"] == "Refund"
    assert (sandbox.payment(ORDER).captured, sandbox.payment(ORDER).refunded) == (PRICE, 9_900)


async def test_the_client_itself_cancels(client: Any, sandbox: SandboxServer) -> None:
    """What is reserved is released by its own code."""
    await begin(client)
    done = await call(client.cancel_payment, transaction_text=TEXT)
    assert done["transactionInfo"]["status"] == "Cancelled"
    assert sandbox.payment(ORDER).state is State.VOID


async def test_the_data_is_what_the_client_sends(client: Any, sandbox: SandboxServer) -> None:
    """Method, path, headers and JSON of each of its requests are those of the data, so that the data cannot drift."""
    sandbox.settings.request_id_required = False
    await begin(client)
    await call(client.details_payment)
    await call(client.capture_payment, amount=PRICE, transaction_text=TEXT)
    await call(client.refund_payment, amount=PRICE, transaction_text=TEXT)
    with pytest.raises(OSError, match="400 Client Error"):
        await call(client.cancel_payment, transaction_text=TEXT)
    bearer = client.access_token
    payment_token = sandbox.landing_url(ORDER).partition("&token=")[2]
    assert [
        Sent(
            record.method,
            record.path,
            {name.lower(): value for name, value in record.headers.items() if name.lower() not in _OF_HTTP},
            json.loads(record.body) if record.body else None,
        )
        for record in sandbox.requests
    ] == [
        Sent(sent.method, sent.path, {name.lower(): value for name, value in sent.headers.items()}, sent.body)
        for sent in (
            token(),
            initiate(bearer),
            approve(bearer, payment_token),
            details(bearer),
            move("capture", bearer, PRICE),
            move("refund", bearer, PRICE),
            cancel(bearer),
        )
    ]


async def test_its_signup_is_another_api(outsider: Outsider) -> None:
    """It also knows the Signup API, which the sandbox does not have: 404."""
    async with outsider.session.post(f"{outsider.url}/v1/partial/signup", json={"orgnumber": "123456789"}) as answer:
        assert answer.status == 404
