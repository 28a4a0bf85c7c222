"""Views of a session with other time-outs, deadlines and headers: what they change, refuse and share."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from tests.core.fake_clock import FakeClock
from tests.core.virtual_time import run_in_virtual_time
from tests.support.rows import each_row
from tests.test_session import CAPTURED, CREDENTIALS
from vipps_async import (
    InvalidInputError,
    MemoryJournal,
    OutcomeUnknown,
    RetryPolicy,
    Timeouts,
    VippsError,
    VippsSession,
    nok,
)
from vipps_async.batch import BatchRow, capture_many
from vipps_async.core.clock import SystemClock
from vipps_async.testing import ScriptedTransport, answer
from vipps_async.testing.scripted import token_answer

LOST = OutcomeUnknown("the connection broke")


def session(transport: ScriptedTransport, **more: Any) -> VippsSession:
    """Make a session over a script."""
    return VippsSession(CREDENTIALS, transport=transport, **more)


# --- headers


async def test_headers_go_with_each_request_of_the_view_and_of_no_other() -> None:
    """The call, its retry and its look-up have them; the token request, and the session's own calls, do not."""
    transport = ScriptedTransport().on("/capture", LOST, CAPTURED, CAPTURED)
    async with session(transport, clock=FakeClock()) as vipps:
        traced = vipps.with_options(headers={"traceparent": "00-abc-1"}).with_options(headers={"X-Shop": "one"})
        await traced.ecom.capture("acme-1", amount=49900, transaction_text="Shipped.")
        await vipps.ecom.capture("acme-1", amount=49900, transaction_text="Shipped.")
    first, again, plain = transport.requests
    for request in (first, again):
        assert (request.headers["traceparent"], request.headers["X-Shop"]) == ("00-abc-1", "one")
        assert request.headers["Authorization"] == "Bearer scripted-token"
    assert not {"traceparent", "X-Shop"} & set(plain.headers)
    assert "traceparent" not in transport.token_requests[0].headers


async def test_a_header_given_again_replaces_the_first_however_it_is_written() -> None:
    """Of a name in two spellings the later value is sent, and only that."""
    transport = ScriptedTransport().on("/capture", CAPTURED)
    async with session(transport) as vipps:
        view = vipps.with_options(headers={"X-Shop": "one"}).with_options(headers={"x-shop": "two"})
        await view.ecom.capture("acme-1", amount=49900, transaction_text="Shipped.")
    sent = {name: value for name, value in transport.requests[0].headers.items() if name.lower() == "x-shop"}
    assert sent == {"x-shop": "two"}


@each_row(
    "name",
    [
        "Authorization",
        "authorization",
        "Ocp-Apim-Subscription-Key",
        "MERCHANT-SERIAL-NUMBER",
        "X-Request-Id",
        "Idempotency-Key",
        "client_id",
        "client_secret",
        "Content-Type",
        "content-length",
        "Content-Encoding",
        "Host",
        "Transfer-Encoding",
        "Connection",
        "Keep-Alive",
        "Expect",
        "TE",
        "Trailer",
        "Upgrade",
        "Cookie",
        "Accept",
        "Accept-Encoding",
        "Vipps-System-Name",
        "Proxy-Authorization",
    ],
)
def test_headers_of_the_sdk_are_refused(name: str) -> None:
    """Who calls, which key, and how a request is framed is not for a caller's headers to say."""
    with pytest.raises(InvalidInputError, match=f"headers must be without {name}, which the SDK sets itself"):
        session(ScriptedTransport()).with_options(headers={name: "canary"})


@each_row(
    "headers",
    [
        {"X-Shop": "canary\r\nX-Request-Id: other"},
        {"X-Shop": "canary\n"},
        {"X-Shop": "canary\0"},
        {"X-Shop": " canary"},
        {"X-Shop": ""},
        {"X-Shop": "canarÿ"},
        {"X-Shop": 7},
        {"X-Shop\r\nX-Other": "canary"},
        {"X Shop": "canary"},
        {"": "canary"},
        {7: "canary"},
        {"X-Shop": "canary", "x-shop": "canary"},
        [("X-Shop", "canary")],
    ],
)
def test_headers_that_cannot_be_sent_are_refused(headers: Any) -> None:
    """A line break would begin another header; no error shows a value."""
    with pytest.raises(InvalidInputError, match="headers must be") as refused:
        session(ScriptedTransport()).with_options(headers=headers)
    assert "canary" not in str(refused.value)


async def test_values_of_headers_stay_out_of_errors_logs_and_reprs(caplog: pytest.LogCaptureFixture) -> None:
    """What Vipps repeats of a header in a refusal is taken out, and nothing else shows it."""
    caplog.set_level(logging.DEBUG)
    refusal = answer(400, [{"errorGroup": "InvalidRequest", "errorCode": "X", "errorMessage": "bad canary-value!"}])
    async with session(ScriptedTransport().on("/details", refusal)) as vipps:
        view = vipps.with_options(headers={"X-Shop": "canary-value"})
        with pytest.raises(VippsError) as refused:
            await view.ecom.details("acme-1")
    shown = f"{refused.value} {refused.value!r} {vars(refused.value)} {view!r} {view._options!r} {caplog.text}"
    assert "canary-value" not in shown


# --- time-outs


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (3.0, Timeouts(connect=3.0, read=3.0, total=3.0)),
        (20, Timeouts(connect=5.0, read=20.0, total=20.0)),
        (Timeouts(connect=1.0, read=2.0, total=9.0), Timeouts(connect=1.0, read=2.0, total=9.0)),
    ],
)
async def test_a_time_out_is_that_of_each_attempt(given: Any, expected: Timeouts) -> None:
    """Seconds are those of the whole attempt, silence included; the session's own calls keep theirs."""
    transport = ScriptedTransport().on("/capture", CAPTURED, CAPTURED)
    async with session(transport) as vipps:
        await vipps.with_options(timeout=given).ecom.capture("acme-1", amount=49900, transaction_text="Shipped.")
        await vipps.ecom.capture("acme-1", amount=49900, transaction_text="Shipped.")
    assert [request.timeouts for request in transport.requests] == [expected, Timeouts()]


@pytest.mark.parametrize("timeout", [0, -1, float("inf"), float("nan"), "3", True])
def test_a_time_out_that_never_ends_is_refused(timeout: Any) -> None:
    """A time-out is a positive, finite number of seconds."""
    with pytest.raises(InvalidInputError, match="timeout must be"):
        session(ScriptedTransport()).with_options(timeout=timeout)


# --- deadlines


async def test_retries_end_with_the_deadline() -> None:
    """Of attempts three seconds apart five seconds have room for two, and the session's own deadline for all four."""
    clock, always = FakeClock(), ScriptedTransport()
    always.on("/details", then=answer(503, headers={"retry-after": "3"}))
    async with session(always, clock=clock, retry=RetryPolicy(base=0.001)) as vipps:
        started = clock.monotonic()
        with pytest.raises(VippsError, match="Vipps asks to wait 3 s, longer than this call may take"):
            await vipps.with_options(deadline=5).ecom.details("acme-1")
        assert clock.monotonic() - started <= 5
        few = len(always.requests)
        with pytest.raises(VippsError, match="all 4 attempts are used up"):
            await vipps.ecom.details("acme-1")
    assert (few, len(always.requests)) == (2, 6)
    assert all(request.deadline is not None and request.deadline <= 5 for request in always.requests[:few])


def test_looks_at_the_history_end_with_the_deadline() -> None:
    """A capture in doubt is looked up within its deadline, and its last attempt leaves time for that."""
    transport = ScriptedTransport().on("/capture", then=LOST).on("/details", then=answer(503))

    async def seconds() -> float:
        started = asyncio.get_running_loop().time()
        async with session(transport, clock=LoopClock()) as vipps:
            with pytest.raises(OutcomeUnknown):
                await vipps.with_options(deadline=3).ecom.capture("acme-1", amount=49900, transaction_text="Shipped.")
        return asyncio.get_running_loop().time() - started

    assert run_in_virtual_time(seconds()) <= 3
    captures = [request.deadline for request in transport.requests if request.url.endswith("/capture")]
    assert all(deadline is not None and deadline <= 2.4 for deadline in captures)
    assert any(request.url.endswith("/details") for request in transport.requests)


class LoopClock(SystemClock):
    """A clock that goes with the event loop's."""

    def monotonic(self) -> float:
        """See `Clock`."""
        return asyncio.get_running_loop().time()


class Leases(MemoryJournal):
    """A journal that keeps how long its entries were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    async def begin(self, *args: Any, lease: float, **more: Any) -> Any:
        """Note the lease."""
        self.seconds.append(lease)
        return await super().begin(*args, lease=lease, **more)


async def test_entries_in_the_journal_are_leased_for_as_long_as_the_call_may_take() -> None:
    """A call of two hours keeps its entry from others for longer than that, one of ten seconds not for much longer."""
    journal, transport = Leases(), ScriptedTransport().on("/capture", then=CAPTURED)
    async with session(transport, journal=journal) as vipps:
        for deadline in (7200, 10):
            view = vipps.with_options(deadline=deadline)
            await view.ecom.capture("acme-1", amount=49900, transaction_text="Shipped.")
    long, short = journal.seconds
    assert long > 7200
    assert 10 < short < 30


@each_row("deadline", [0, 0.05, -1, 86_401, float("inf"), float("nan"), "5", True])
def test_a_deadline_that_no_attempt_fits_in_is_refused(deadline: Any) -> None:
    """Less than an attempt takes is refused, and so is more than a day."""
    with pytest.raises(InvalidInputError, match=r"deadline must be a number of seconds from 0\.1"):
        session(ScriptedTransport()).with_options(deadline=deadline)


# --- what is shared


async def test_a_view_shares_the_token_and_closes_nothing() -> None:
    """One token serves all; a view that is left leaves the session open, and a closed session ends its views."""
    transport = ScriptedTransport().on("/capture", then=CAPTURED)
    vipps = session(transport)
    await vipps.ecom.capture("acme-1", amount=49900, transaction_text="Shipped.")
    async with vipps.with_options(timeout=3) as view:
        await view.ecom.capture("acme-1", amount=49900, transaction_text="Shipped.")
    await view.aclose()
    await vipps.ecom.capture("acme-1", amount=49900, transaction_text="Shipped.")
    assert len(transport.token_requests) == 1
    await vipps.aclose()
    with pytest.raises(VippsError, match="the session is closed"):
        await view.ecom.details("acme-1")


async def test_a_batch_goes_by_the_options() -> None:
    """`capture_many` over a view sends its headers and keeps its time-outs."""
    transport = ScriptedTransport().on("/capture", then=CAPTURED)
    async with session(transport) as vipps:
        view = vipps.with_options(timeout=3, headers={"X-Shop": "one"})
        rows = [BatchRow(payment="acme-1", amount=nok(499), text="Shipped.", reference="row-1")]
        results = [result async for result in capture_many(view.ecom, rows)]
    (request,) = transport.requests
    assert len(results) == 1
    assert (request.headers["X-Shop"], request.timeouts.total) == ("one", 3.0)


async def test_each_api_goes_by_the_options() -> None:
    """ePayment, webhooks and user info are the view's as well."""
    transport = ScriptedTransport().on("", then=answer(200, {"webhooks": []}))
    async with session(transport, clock=FakeClock()) as vipps:
        view = vipps.with_options(headers={"X-Shop": "one"})
        await view.webhooks.list()
        with pytest.raises(VippsError):
            await view.epayment.get("acme-shop-1")
        await view.userinfo.get("c06c4afe")
    assert {request.headers.get("X-Shop") for request in transport.requests} == {"one"}
    assert len(transport.requests) >= 3


def test_views_with_the_same_options_are_equal() -> None:
    """Equal options make equal views of one session, and of no other."""
    vipps = session(ScriptedTransport())
    view = vipps.with_options(timeout=3, headers={"A": "1"})
    assert view == vipps.with_options(headers={"A": "1"}).with_options(timeout=3)
    assert len({view, vipps.with_options(timeout=3, headers={"A": "1"}), vipps}) == 2
    assert view != vipps.with_options(timeout=4, headers={"A": "1"})
    assert view != session(ScriptedTransport()).with_options(timeout=3, headers={"A": "1"})
    assert vipps != "vipps"
    assert vipps.with_options() == vipps


async def test_a_token_refused_in_a_view_is_dropped_for_all() -> None:
    """After a 401 in a view the next token is fetched once, and the session's calls use it."""
    transport = ScriptedTransport().on("/capture", answer(401, {"statusCode": 401}), then=CAPTURED)
    transport.on("/accesstoken/get", token_answer("old"), token_answer("new"))
    async with session(transport) as vipps:
        await vipps.with_options(timeout=3).ecom.capture("acme-1", amount=49900, transaction_text="Shipped.")
        await vipps.ecom.capture("acme-1", amount=49900, transaction_text="Shipped.")
    sent = [request.headers["Authorization"] for request in transport.requests]
    assert sent == ["Bearer old", "Bearer new", "Bearer new"]
