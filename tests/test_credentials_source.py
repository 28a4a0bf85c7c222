"""Credentials from a function: when it is asked, how often, what becomes of old tokens, and what is never shown."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest
from attrs import evolve

from tests.core.fake_clock import FakeClock
from tests.core.virtual_time import run_in_virtual_time
from tests.test_session import CAPTURED, CREDENTIALS
from vipps_async import (
    AuthenticationError,
    ConfigurationError,
    Credentials,
    Effect,
    InvalidInputError,
    MemoryJournal,
    Request,
    RequestNotSent,
    Response,
    VippsError,
    VippsSession,
)
from vipps_async.testing import ScriptedTransport, answer
from vipps_async.testing.scripted import token_answer

MSN = CREDENTIALS.merchant_serial_number
WRONG_KEY = {"statusCode": 401, "message": "Access denied due to invalid subscription key."}


class Rotating:
    """A Vipps that takes the newest credentials alone, and the function that knows them."""

    def __init__(self) -> None:
        self.version = 1
        self.asked = 0
        self.transport = ScriptedTransport()
        self.transport.on("/accesstoken/get", then=self.token).on("/capture", then=self.capture)

    @property
    def keys(self) -> Credentials:
        """The keys of now."""
        return evolve(
            CREDENTIALS,
            client_secret=f"canary-secret-{self.version}",
            subscription_key=f"canary-subscription-{self.version}",
        )

    async def source(self) -> Credentials:
        """Give the keys of now, after a while."""
        self.asked += 1
        await asyncio.sleep(0)
        return self.keys

    def token(self, request: Request) -> Response:
        """Answer a token request."""
        if request.headers["client_secret"] != self.keys.client_secret:
            return answer(401, {"error": "invalid_client", "error_description": "no"})
        return token_answer(f"token-{self.version}")

    def capture(self, request: Request) -> Response:
        """Answer a capture."""
        good = (f"Bearer token-{self.version}", self.keys.subscription_key)
        if (request.headers["Authorization"], request.headers["Ocp-Apim-Subscription-Key"]) != good:
            return answer(401, WRONG_KEY)
        order = request.url.split("/")[-2]
        return answer(200, {**orjson.loads(CAPTURED.body), "orderId": order})

    def session(self, **more: Any) -> VippsSession:
        """Make a session."""
        return VippsSession(self.source, merchant_serial_number=MSN, transport=self.transport, **more)


async def capture(vipps: VippsSession, order: str = "acme-1") -> int:
    """Capture an order, and return how much."""
    return (await vipps.ecom.capture(order, amount=49900, transaction_text="Shipped.")).amount


async def test_keys_that_change_are_taken_without_a_restart() -> None:
    """After a 401 the function is asked anew, the old token is dropped, and the call goes on with the new keys."""
    vendor = Rotating()
    async with vendor.session() as vipps:
        await capture(vipps)
        vendor.version = 2
        assert await capture(vipps) == 49900
        assert await capture(vipps) == 49900
    assert vendor.asked == 2
    used = [request.headers["Ocp-Apim-Subscription-Key"][-1] for request in vendor.transport.requests]
    assert used == ["1", "1", "2", "2"]


async def test_a_hundred_calls_ask_once() -> None:
    """Calls that wait for the first token, or were refused together, share one question and one token request."""
    vendor = Rotating()
    async with vendor.session() as vipps:
        await asyncio.gather(*(capture(vipps, f"acme-{number}") for number in range(100)))
        assert (vendor.asked, len(vendor.transport.token_requests)) == (1, 1)
        vendor.version = 2
        await asyncio.gather(*(capture(vipps, f"acme-{number}") for number in range(100)))
    assert (vendor.asked, len(vendor.transport.token_requests)) == (2, 2)


async def test_views_go_by_the_new_keys() -> None:
    """A view that was made before the change uses the new keys, with the sales unit of its own."""
    vendor = Rotating()
    async with vendor.session() as vipps:
        view = vipps.for_merchant("654321")
        await capture(view)
        vendor.version = 2
        await capture(view)
    last = vendor.transport.requests[-1].headers
    assert (last["Ocp-Apim-Subscription-Key"], last["Merchant-Serial-Number"]) == ("canary-subscription-2", "654321")


async def test_a_plain_function_will_do() -> None:
    """The function need not be async, and is asked for each new token."""
    vendor = Rotating()
    async with VippsSession(lambda: vendor.keys, merchant_serial_number=MSN, transport=vendor.transport) as vipps:
        await capture(vipps)
        vendor.version = 2
        assert await capture(vipps) == 49900


async def test_keys_that_stay_wrong_end_the_call() -> None:
    """If the new keys are refused as well, the call fails after one more question; nothing moved."""
    vendor = Rotating()
    stale = vendor.keys
    asked: list[int] = []

    def source() -> Credentials:
        asked.append(1)
        return stale

    async with VippsSession(source, merchant_serial_number=MSN, transport=vendor.transport) as vipps:
        await capture(vipps)
        vendor.version = 2
        with pytest.raises(AuthenticationError) as refused:
            await capture(vipps)
    assert len(asked) == 2
    assert refused.value.effect is Effect.NONE
    assert len(vendor.transport.requests) == 2


def _raising(error: Exception) -> Callable[[], Credentials]:
    def source() -> Credentials:
        raise error

    return source


async def test_a_function_that_fails_at_first_sends_nothing() -> None:
    """Without credentials no call leaves; the error tells the class of what was raised, and not its text."""
    transport, journal = ScriptedTransport(), MemoryJournal()
    source = _raising(KeyError("canary-path"))
    async with VippsSession(source, merchant_serial_number=MSN, transport=transport, journal=journal) as vipps:
        with pytest.raises(RequestNotSent, match=r"the credentials could not be had \(KeyError\)") as failed:
            await capture(vipps)
        assert failed.value.effect is Effect.NONE
        assert "canary" not in f"{failed.value} {failed.value!r}"
        assert await vipps.unfinished("acme-1") == []
    assert transport.requests == transport.token_requests == []


async def test_a_function_that_fails_later_leaves_the_last_keys(caplog: pytest.LogCaptureFixture) -> None:
    """While the keys' own store is away those that were good are used, and a warning says so, without the text."""
    vendor, clock = Rotating(), FakeClock()
    failing = False

    async def source() -> Credentials:
        if failing:
            raise OSError("canary-path")
        return vendor.keys

    transport = vendor.transport
    async with VippsSession(source, merchant_serial_number=MSN, transport=transport, clock=clock) as vipps:
        await capture(vipps)
        failing = True
        clock.advance(7200)
        assert await capture(vipps) == 49900
    assert len(transport.token_requests) == 2
    assert "event=vipps.credentials_failed error=OSError level=warning" in caplog.text
    assert "canary" not in caplog.text


def test_a_function_that_hangs_is_given_up() -> None:
    """A function that never returns is given up before the calls that wait for it are, and asked anew by the next."""
    transport = ScriptedTransport().on("/capture", CAPTURED)
    hangs = [True, False]

    async def source() -> Credentials:
        if hangs.pop(0):
            await asyncio.Event().wait()
        return CREDENTIALS

    async def main() -> float:
        loop = asyncio.get_running_loop()
        started = loop.time()
        async with VippsSession(source, merchant_serial_number=MSN, transport=transport) as vipps:
            with pytest.raises(RequestNotSent, match=r"the credentials could not be had \(TimeoutError\)"):
                await capture(vipps)
            assert await capture(vipps) == 49900
        return loop.time() - started

    assert run_in_virtual_time(main()) == pytest.approx(30)


async def test_closing_ends_the_question() -> None:
    """A session that is closed while the function is asked ends it, and the call says why."""
    asked, ended = asyncio.Event(), asyncio.Event()

    async def source() -> Credentials:
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return CREDENTIALS

    vipps = VippsSession(source, merchant_serial_number=MSN, transport=ScriptedTransport())
    call = asyncio.create_task(capture(vipps))
    await asked.wait()
    await vipps.aclose()
    assert ended.is_set()
    with pytest.raises(ConfigurationError, match="the session was closed"):
        await call


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("canary-text", "the function gave a str, no Credentials"),
        (None, "the function gave a NoneType, no Credentials"),
        (evolve(CREDENTIALS, merchant_serial_number="999999"), "of sales unit 999999, but the session is for 123456"),
    ],
)
async def test_what_is_no_credentials_of_this_unit_is_refused(given: Any, named: str) -> None:
    """Anything but this sales unit's credentials ends the call before anything is sent, and is not shown."""
    transport = ScriptedTransport()
    async with VippsSession(lambda: given, merchant_serial_number=MSN, transport=transport) as vipps:
        with pytest.raises(ConfigurationError, match=named) as refused:
            await capture(vipps)
        assert "canary" not in str(refused.value)
    assert transport.token_requests == []


async def test_old_and_new_secrets_are_taken_out_of_errors(caplog: pytest.LogCaptureFixture) -> None:
    """What Vipps repeats of the keys before, or of those now, stands in no error and no log."""
    caplog.set_level(logging.DEBUG)
    vendor = Rotating()
    async with vendor.session() as vipps:
        await capture(vipps)
        vendor.version = 2
        await capture(vipps)
        echo = (
            f"keys canary-secret-1 canary-subscription-1 canary-secret-2 canary-subscription-2 {CREDENTIALS.client_id}"
        )
        body = [{"errorGroup": "InvalidRequest", "errorCode": "X", "errorMessage": echo}]
        vendor.transport.on("/details", answer(400, body))
        with pytest.raises(VippsError) as refused:
            await vipps.ecom.details("acme-1")
    assert "canary" not in f"{refused.value} {vars(refused.value)} {caplog.text} {vipps!r}"


@pytest.mark.parametrize("credentials", [None, "keys", {"client_id": "a"}])
def test_what_is_neither_credentials_nor_a_function(credentials: Any) -> None:
    """The mistake is told when the session is made."""
    with pytest.raises(InvalidInputError, match="credentials must be Credentials, or a function that returns them"):
        VippsSession(credentials, merchant_serial_number=MSN, transport=ScriptedTransport())


def test_the_sales_unit_must_be_known() -> None:
    """A function comes with the sales unit, Credentials have theirs; a contradiction is refused."""

    def source() -> Awaitable[Credentials]:
        raise AssertionError("it is not asked yet")

    transport = ScriptedTransport()
    with pytest.raises(ConfigurationError, match="the sales unit is not known"):
        VippsSession(source, transport=transport)
    with pytest.raises(InvalidInputError, match="merchant_serial_number must be a string of 4 to 10 digits"):
        VippsSession(source, merchant_serial_number="12", transport=transport)
    with pytest.raises(ConfigurationError, match="merchant_serial_number is not that of the credentials"):
        VippsSession(CREDENTIALS, merchant_serial_number="999999", transport=transport)
    assert VippsSession(CREDENTIALS, merchant_serial_number=MSN, transport=transport).merchant_serial_number == MSN
    assert VippsSession(source, merchant_serial_number=MSN, transport=transport).merchant_serial_number == MSN
