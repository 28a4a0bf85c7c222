"""The session: what it opens, what it closes, and what it shows of itself."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from vipps_async import MemoryJournal, nok
from vipps_async.config import Credentials, Environment, RetryPolicy, SystemInfo, Timeouts
from vipps_async.errors import ConfigurationError, Effect, InvalidInputError
from vipps_async.not_given import NOT_GIVEN, NotGiven
from vipps_async.session import VippsSession
from vipps_async.testing import ScriptedTransport, answer
from vipps_async.transports import aiohttp as aiohttp_transports

CREDENTIALS = Credentials(
    client_id="canary-id",
    client_secret="canary-secret",
    subscription_key="canary-key",
    merchant_serial_number="123456",
)
ENV = {
    "VIPPS_CLIENT_ID": "canary-id",
    "VIPPS_CLIENT_SECRET": "canary-secret",
    "VIPPS_SUBSCRIPTION_KEY": "canary-key",
    "VIPPS_MERCHANT_SERIAL_NUMBER": "123456",
}
CAPTURED = answer(
    200,
    {
        "orderId": "acme-1",
        "transactionInfo": {
            "amount": 49900,
            "status": "Captured",
            "transactionId": "5001446662",
            "timeStamp": "2026-01-01T12:00:00.000Z",
            "transactionText": "Shipped.",
        },
        "transactionSummary": {
            "capturedAmount": 49900,
            "remainingAmountToCapture": 0,
            "refundedAmount": 0,
            "remainingAmountToRefund": 49900,
        },
    },
)


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> ScriptedTransport:
    """Put a scripted transport where the session would open its own."""
    transport = ScriptedTransport()
    monkeypatch.setattr(aiohttp_transports, "AiohttpTransport", lambda **_: transport)
    return transport


async def test_a_capture_through_the_whole_house() -> None:
    """A capture goes out with its key, body and headers, and its result is read."""
    transport = ScriptedTransport().on("/capture", CAPTURED)
    async with VippsSession(CREDENTIALS, transport=transport, system=SystemInfo(name="shop", version="1")) as vipps:
        result = await vipps.ecom.capture("acme-1", amount=49900, transaction_text="Shipped.", idempotency_key="k-1")
    (request,) = transport.requests
    assert result.order_id == "acme-1"
    assert request.url == "https://apitest.vipps.no/ecomm/v2/payments/acme-1/capture"
    assert (request.headers["X-Request-Id"], request.headers["Vipps-System-Name"]) == ("k-1", "shop")


async def test_its_own_transport_is_closed(own: ScriptedTransport) -> None:
    """What the session opened it closes, even when the block ends in an error."""
    with pytest.raises(ZeroDivisionError):
        async with VippsSession(CREDENTIALS):
            raise ZeroDivisionError
    assert own.closed == 1


async def test_a_transport_handed_in_stays_open() -> None:
    """A transport that was handed in belongs to whoever made it."""
    transport = ScriptedTransport()
    async with VippsSession(CREDENTIALS, transport=transport):
        pass
    assert transport.closed == 0


async def test_closing_twice(own: ScriptedTransport) -> None:
    """Closing again does no harm."""
    session = VippsSession(CREDENTIALS)
    await session.aclose()
    await session.aclose()
    assert own.closed == 2
    assert own.token_requests == []


@pytest.mark.parametrize("journal", [None, MemoryJournal()], ids=["without a journal", "with one"])
@pytest.mark.parametrize("key", [NOT_GIVEN, "key-1"])
async def test_a_call_after_closing(journal: MemoryJournal | None, key: str | NotGiven) -> None:
    """It is refused before anything is sent, and named; of an earlier call with its key it knows nothing."""
    transport = ScriptedTransport()
    async with VippsSession(CREDENTIALS, transport=transport, journal=journal) as vipps:
        pass
    with pytest.raises(ConfigurationError, match="the session is closed; open a new VippsSession"):
        await vipps.ecom.details("acme-1")
    with pytest.raises(ConfigurationError, match=r"^ecom\.capture of payment acme-1") as caught:
        await vipps.ecom.capture("acme-1", amount=nok(1), transaction_text="Shipped.", idempotency_key=key)
    assert caught.value.effect is Effect.NONE
    if key is not NOT_GIVEN:
        assert caught.value.is_of_this_call_alone
        assert "(idempotency key key-1)" in str(caught.value)
        assert "this call moved no money, but an earlier one with its key may have" in str(caught.value)
    assert transport.requests == transport.token_requests == []


async def test_closing_cancelled_half_way_still_closes_the_transport(own: ScriptedTransport) -> None:
    """If closing is cancelled while it ends a token request, the transport is closed all the same."""
    begun = asyncio.Event()

    async def stubborn(_request: object) -> Any:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)

    own.on("/get", stubborn)
    vipps = VippsSession(CREDENTIALS)
    call = asyncio.create_task(vipps.ecom.details("acme-1"))
    await begun.wait()
    closing = asyncio.create_task(vipps.aclose())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert own.closed == 1
    with pytest.raises(ConfigurationError):
        await call


def test_from_env() -> None:
    """A session is made from the environment's variables, with the same keywords as the class."""
    vipps = VippsSession.from_env(
        ENV | {"VIPPS_BASE_URL": "http://127.0.0.1:1"},
        transport=ScriptedTransport(),
        retry=RetryPolicy(attempts=1),
        timeouts=Timeouts(total=1.0),
        system=SystemInfo(name="shop"),
    )
    assert vipps.environment is Environment.TEST
    assert vipps.merchant_serial_number == "123456"


def test_from_the_process_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a mapping the process's own environment is read, at that moment."""
    for name, value in ENV.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("VIPPS_ENVIRONMENT", "production")
    monkeypatch.delenv("VIPPS_BASE_URL", raising=False)
    assert VippsSession.from_env(transport=ScriptedTransport()).environment is Environment.PRODUCTION
    monkeypatch.delenv("VIPPS_CLIENT_ID")
    with pytest.raises(ConfigurationError, match="VIPPS_CLIENT_ID"):
        VippsSession.from_env(transport=ScriptedTransport())


def test_bad_settings_open_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting that breaks a rule is refused before a transport is made."""
    monkeypatch.setattr(aiohttp_transports, "AiohttpTransport", lambda: pytest.fail("a transport was made"))
    with pytest.raises(InvalidInputError):
        VippsSession(CREDENTIALS, base_url="http://elsewhere.example")
    with pytest.raises(ConfigurationError):
        VippsSession(CREDENTIALS, base_url="https://api.vipps.no")


def test_the_repr_has_no_secret() -> None:
    """The repr shows sales unit and host, and no key."""
    vipps = VippsSession(CREDENTIALS, transport=ScriptedTransport())
    assert repr(vipps) == "<VippsSession 123456 at https://apitest.vipps.no>"


# --- proxies


@pytest.mark.parametrize(
    ("env", "trust_env", "expected"),
    [
        ({}, False, {"proxy": None, "trust_env": False}),
        ({}, True, {"proxy": None, "trust_env": True}),
        (
            {"VIPPS_PROXY": "http://u:canary@p:1"},
            False,
            {"proxy": "http://u:canary@p:1", "trust_env": False},
        ),
        ({"VIPPS_PROXY": "http://proxy:3128"}, True, {"proxy": "http://proxy:3128", "trust_env": True}),
    ],
)
def test_its_own_transport_goes_through_the_proxy(
    monkeypatch: pytest.MonkeyPatch, env: dict[str, str], expected: dict[str, object], *, trust_env: bool
) -> None:
    """VIPPS_PROXY names the proxy; with trust_env the environment's own variables do, where it names none."""
    made: list[dict[str, object]] = []

    def make(**arguments: object) -> ScriptedTransport:
        made.append(arguments)
        return ScriptedTransport()

    monkeypatch.setattr(aiohttp_transports, "AiohttpTransport", make)
    session = VippsSession.from_env({**ENV, **env}, trust_env=trust_env)
    assert made == [expected]
    assert "canary" not in repr(session)


def test_a_transport_that_is_given_has_its_own_proxy() -> None:
    """What would have no effect is refused; VIPPS_PROXY is for the session's own transport."""
    transport = ScriptedTransport()
    for more in ({"proxy": "http://proxy:3128"}, {"trust_env": True}):
        with pytest.raises(ConfigurationError, match="together with a transport"):
            VippsSession(CREDENTIALS, transport=transport, **more)
    VippsSession.from_env({**ENV, "VIPPS_PROXY": "http://proxy:3128"}, transport=transport)
    with pytest.raises(InvalidInputError, match="proxy must be"):
        VippsSession(CREDENTIALS, proxy="socks5://proxy")


async def test_what_could_not_be_read_can_be_asked_for() -> None:
    """A field of another shape than expected sinks no capture, and the session tells how often that was."""
    captured = {"amount": 100, "status": "Captured"}
    odd = answer(200, {"orderId": "acme-1", "paymentInstrument": ["Visa"], "transactionInfo": captured})
    before = VippsSession(CREDENTIALS, transport=ScriptedTransport()).unread_fields.get(
        "CaptureResult.paymentInstrument", 0
    )
    async with VippsSession(CREDENTIALS, transport=ScriptedTransport().on("/capture", odd)) as vipps:
        result = await vipps.ecom.capture("acme-1", transaction_text="Shipped.")
        assert result.payment_instrument is None
        assert vipps.unread_fields["CaptureResult.paymentInstrument"] == before + 1


async def test_a_success_in_an_unknown_word_is_the_result_and_can_be_asked_for() -> None:
    """The right amount and a transaction are a capture, and the session tells how often its word was not known."""
    odd = answer(200, {"orderId": "acme-1", "transactionInfo": {"amount": 100, "status": "Settled"}})
    async with VippsSession(CREDENTIALS, transport=ScriptedTransport().on("/capture", odd)) as vipps:
        before = vipps.unknown_words.get("CaptureResult.status", 0)
        result = await vipps.ecom.capture("acme-1", amount=100, transaction_text="Shipped.")
        assert result.transaction is not None
        assert result.transaction.status.value == "Settled"
        assert vipps.unknown_words["CaptureResult.status"] == before + 1
