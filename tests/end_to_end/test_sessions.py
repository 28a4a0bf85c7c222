"""One session, many tasks: its token, its connections, and what is left when calls are cancelled or it is closed."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest
import pytest_asyncio

from tests.end_to_end.checkout import FAST, KEYS
from tests.support.payments import PRICE, initiate
from vipps_async import (
    AiohttpTransport,
    CaptureResult,
    ConfigurationError,
    Credentials,
    HttpxTransport,
    MemoryJournal,
    OutcomeUnknown,
    PaymentDetails,
    RequestNotSent,
    RetryPolicy,
    Timeouts,
    Transport,
    VippsError,
    VippsSession,
)
from vipps_async.sandbox import Fault
from vipps_async.testing import Sandbox
from vipps_async.testing.transport_conformance.raw_server import Connection, raw_server
from vipps_async.transports.protocol import Request, Response

#: What the promise about tokens is made for.
MANY = 1_000
ORDER = "acme-shop-1"


@pytest_asyncio.fixture
async def busy(nothing_is_left_behind: None) -> AsyncIterator[Sandbox]:
    """A sandbox that remembers all requests of a test with many tasks."""
    async with Sandbox(rate_limits=False, keep_requests=20 * MANY) as sandbox:
        yield sandbox


def _count(sandbox: Sandbox, operation: str) -> int:
    return sum(request.operation == operation for request in sandbox.requests)


async def test_a_thousand_tasks_on_a_cold_session_make_one_token_request(busy: Sandbox) -> None:
    """However many tasks start at once, the token is fetched once."""
    async with busy.session(retry=FAST) as first:
        await initiate(first)
    assert _count(busy, "token") == 1
    async with busy.session() as vipps:
        answers = await asyncio.gather(*(vipps.ecom.details(ORDER) for _ in range(MANY)))
    assert len(answers) == MANY
    assert _count(busy, "token") == 2
    assert _count(busy, "details") == MANY


async def test_a_token_that_expires_in_between_costs_one_more_request(busy: Sandbox) -> None:
    """A token that runs out while a thousand tasks are at work is replaced once, for all of them."""
    async with busy.session() as vipps:
        answered = 0

        async def buy(number: int) -> None:
            # An order each: of one order Vipps takes only so many calls a minute, and the client keeps to that.
            nonlocal answered
            await initiate(vipps, f"acme-shop-{number}")
            answered += 1
            if answered == MANY // 3:
                busy.clock.advance(3_601)

        await asyncio.gather(*(buy(number) for number in range(MANY)))
    assert answered == MANY
    assert any(request.status == 401 for request in busy.requests)
    assert _count(busy, "token") == 2


async def test_revoked_tokens_are_replaced_once(busy: Sandbox) -> None:
    """After a revocation, calls of all kinds go through with one new token."""
    async with busy.session() as vipps:
        await initiate(vipps)
        await busy.approve(ORDER)
        busy.revoke_tokens()
        await asyncio.gather(
            *(vipps.ecom.details(ORDER) for _ in range(20)),
            vipps.ecom.capture(ORDER, amount=100, transaction_text="Once."),
        )
    assert _count(busy, "token") == 2
    assert busy.payment(ORDER).captured == 100


class _LateAnswer:
    """A transport that holds back the next answer about one order until it is told to hand it over."""

    def __init__(self, order_id: str) -> None:
        self._inner = AiohttpTransport()
        self._order_id = order_id
        self.held = asyncio.Event()
        self.release = asyncio.Event()

    async def send(self, request: Request) -> Response:
        """See Transport."""
        response = await self._inner.send(request)
        if f"/{self._order_id}/" in request.url and not self.held.is_set():
            self.held.set()
            await self.release.wait()
        return response

    async def aclose(self) -> None:
        """See Transport."""
        await self._inner.aclose()


async def test_a_late_refusal_of_the_old_token_leaves_the_new_one_alone(busy: Sandbox) -> None:
    """A 401 for a token that was replaced meanwhile is answered with the token at hand, not with another fetch."""
    transport = _LateAnswer("late")
    async with busy.session(transport=transport, retry=FAST) as vipps:
        await initiate(vipps, "late")
        await initiate(vipps, "early")
        busy.revoke_tokens()
        late = asyncio.create_task(vipps.ecom.details("late"))
        async with asyncio.timeout(5):
            await transport.held.wait()
            await vipps.ecom.details("early")
            transport.release.set()
            assert (await late).order_id == "late"
    await transport.aclose()
    assert _count(busy, "token") == 2


async def test_many_payments_at_once(busy: Sandbox) -> None:
    """A hundred payments are initiated, captured and refunded by as many tasks, and each has its own money."""
    async with busy.session() as vipps:

        async def buy(number: int) -> None:
            order_id, amount = f"acme-shop-{number}", 10_000 + number
            await initiate(vipps, order_id, amount=amount)
            await busy.approve(order_id)
            captured = await vipps.ecom.capture(order_id, transaction_text="Shipped.")
            assert captured.order_id == order_id
            assert captured.transaction is not None
            assert captured.transaction.amount == amount
            await vipps.ecom.refund(order_id, amount=number + 100, transaction_text="Back.")

        await asyncio.gather(*(buy(number) for number in range(100)))
    for number in range(100):
        truth = busy.payment(f"acme-shop-{number}")
        assert (truth.captured, truth.refunded) == (10_000 + number, 100 + number)
    assert _count(busy, "token") == 1


@pytest.mark.parametrize("made", [AiohttpTransport, HttpxTransport])
async def test_more_captures_at_once_than_connections(busy: Sandbox, made: Callable[..., Transport]) -> None:
    """Captures that wait for a free connection longer than connecting may take succeed, at the first attempt each."""
    orders = [f"acme-shop-{number}" for number in range(60)]
    transport = made(limit=1)
    connect = 1.0
    async with busy.session(
        transport=transport, timeouts=Timeouts(connect=connect), retry=RetryPolicy(budget=1)
    ) as vipps:
        for order_id in orders:
            await initiate(vipps, order_id)
            await busy.approve(order_id)
        # It is Vipps that takes its time, not the loop: else a busy machine would connect too slowly.
        busy.faults.drip_seconds = 0.03
        busy.faults.randomise(rate=1, seed=1, operations={"capture"}, kinds={Fault.SLOW_DRIP})
        captures = (vipps.ecom.capture(order_id, transaction_text="Shipped.") for order_id in orders)
        began = asyncio.get_running_loop().time()
        await asyncio.gather(*captures)
        assert asyncio.get_running_loop().time() - began > connect, "too few to have to wait"
    await transport.aclose()
    assert all(busy.payment(order_id).captured == PRICE for order_id in orders)
    assert _count(busy, "capture") == len(orders)


# -- cancelling --------------------------------------------------------------------------------------------------------


async def test_a_capture_cancelled_at_any_step_can_be_made_again_with_its_key(busy: Sandbox) -> None:
    """Cancelled after n steps of the event loop, for every n: the session goes on, and money moves once.

    There is one connection only, so that a leaked one would stop everything after it.
    """
    transport = AiohttpTransport(limit=1)
    finished = cancelled = 0
    async with busy.session(transport=transport, retry=FAST) as vipps:
        steps = 0
        while finished < 3:
            order_id = f"acme-shop-{steps}"
            await initiate(vipps, order_id)
            await busy.approve(order_id)
            if steps % 3 == 0:
                busy.revoke_tokens()  # so that the capture is cancelled while it waits for a token, too
            call = asyncio.create_task(_capture_with_key(vipps, order_id))
            for _ in range(steps):
                await asyncio.sleep(0)
            call.cancel()
            (outcome,) = await asyncio.gather(call, return_exceptions=True)
            if isinstance(outcome, asyncio.CancelledError):
                cancelled += 1
            else:
                assert isinstance(outcome, CaptureResult)
                finished += 1
            async with asyncio.timeout(5):
                again = await _capture_with_key(vipps, order_id)
            assert again.transaction is not None
            assert again.transaction.amount == PRICE
            truth = busy.payment(order_id)
            assert truth.captured == PRICE
            assert truth.request_ids == (f"key-of-{order_id}",)
            steps += 1
    await transport.aclose()
    assert cancelled >= 5


async def _capture_with_key(vipps: VippsSession, order_id: str) -> CaptureResult:
    return await vipps.ecom.capture(order_id, transaction_text="Shipped.", idempotency_key=f"key-of-{order_id}")


async def test_a_call_cancelled_in_the_middle_of_an_answer_gives_its_connection_back() -> None:
    """A caller that gives up while the body comes leaves no connection behind, and the next call has a clean one."""
    asyncio.get_running_loop().set_debug(True)  # aiohttp then warns of answers that nobody closed
    half = asyncio.Event()

    async def script(connection: Connection) -> None:
        request = await connection.read_request()
        if "/accesstoken/get " in request.line:
            await connection.send(_http(b'{"access_token": "token", "expires_in": "3600"}'))
            return
        if not half.is_set():
            await connection.send(_http(b'{"orderId": "acme-shop-1"}')[:-5])
            half.set()
            await connection.take_in()
            return
        await connection.send(_http(b'{"orderId": "acme-shop-1"}'))

    transport = AiohttpTransport(limit=1)
    async with raw_server(script) as server:
        async with VippsSession(Credentials(**KEYS), base_url=server.url, transport=transport, retry=FAST) as vipps:
            call = asyncio.create_task(vipps.ecom.details(ORDER))
            async with asyncio.timeout(5):
                await half.wait()
                await asyncio.wait({call}, timeout=0.05)
                call.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await call
                assert (await vipps.ecom.details(ORDER)).order_id == ORDER
        await transport.aclose()


def _http(body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
    return head.encode() + b"\r\n" + body


async def test_a_cancelled_waiter_does_not_take_the_token_from_the_others(busy: Sandbox) -> None:
    """The task that happened to start the token fetch may be cancelled; the others get their token all the same."""
    async with busy.session(retry=FAST) as vipps:
        first = asyncio.create_task(vipps.ecom.details(ORDER))
        await asyncio.sleep(0)
        others = [asyncio.create_task(initiate(vipps, f"acme-shop-{number}")) for number in range(5)]
        await asyncio.sleep(0)
        first.cancel()
        payments = await asyncio.gather(*others)
        with pytest.raises(asyncio.CancelledError):
            await first
    assert len({payment.order_id for payment in payments}) == 5
    assert _count(busy, "token") == 1


async def test_a_time_limit_of_the_caller_leaves_the_session_usable(busy: Sandbox) -> None:
    """asyncio.timeout around a call ends the call alone."""
    async with busy.session(retry=FAST) as vipps:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await vipps.ecom.details(ORDER)
        await initiate(vipps)
        assert (await vipps.ecom.details(ORDER)).order_id == ORDER


# -- closing -----------------------------------------------------------------------------------------------------------


async def test_closing_while_calls_are_under_way(busy: Sandbox) -> None:
    """Calls that a close overtakes end soon, each with a result or a VippsError; none hangs."""
    vipps = busy.session(retry=FAST)
    await initiate(vipps)
    calls = [asyncio.create_task(vipps.ecom.details(ORDER)) for _ in range(50)]
    await asyncio.sleep(0)
    await vipps.aclose()
    async with asyncio.timeout(10):
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(outcome, VippsError | PaymentDetails) for outcome in outcomes)
    assert any(isinstance(outcome, VippsError) for outcome in outcomes)


async def test_closing_while_the_token_is_being_fetched(busy: Sandbox) -> None:
    """Calls that wait for the first token when the session is closed are told so, and nothing of theirs was sent."""
    vipps = busy.session(retry=FAST)
    calls = [asyncio.create_task(initiate(vipps, f"acme-shop-{number}")) for number in range(5)]
    await asyncio.sleep(0)
    await vipps.aclose()
    async with asyncio.timeout(10):
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(outcome, ConfigurationError | RequestNotSent) for outcome in outcomes)
    assert _count(busy, "initiate") == 0


async def test_a_closed_session_says_so(sandbox: Sandbox) -> None:
    """After the end of `async with`, a call is refused before any I/O; closing again is no mistake."""
    async with sandbox.session() as vipps:
        await initiate(vipps)
    before = len(sandbox.requests)
    with pytest.raises(ConfigurationError):
        await vipps.ecom.details(ORDER)
    await vipps.aclose()
    assert len(sandbox.requests) == before


async def test_two_sessions_share_one_transport(sandbox: Sandbox) -> None:
    """A transport that was handed in serves several sales units, and stays open when one session is closed."""
    transport = AiohttpTransport()
    async with sandbox.session(transport=transport, retry=FAST) as one:
        async with sandbox.session(transport=transport, retry=FAST) as other:
            await asyncio.gather(initiate(one, "order-of-one"), initiate(other, "order-of-the-other"))
        assert (await one.ecom.details("order-of-the-other")).order_id == "order-of-the-other"
    async with sandbox.session(transport=transport, retry=FAST) as third:
        await third.ecom.details("order-of-one")
    await transport.aclose()
    assert _count(sandbox, "token") == 3


async def test_an_adopted_aiohttp_session_stays_open_and_as_it_was(sandbox: Sandbox) -> None:
    """An aiohttp.ClientSession of the application is used and neither closed nor changed; its own headers stay out."""
    async with aiohttp.ClientSession(headers={"X-Of-The-Shop": "private"}) as own:
        async with sandbox.session(transport=AiohttpTransport(own), retry=FAST) as vipps:
            await initiate(vipps)
        assert not own.closed
        assert own.headers == {"X-Of-The-Shop": "private"}
        async with own.get(f"{sandbox.url}/nowhere") as response:
            assert response.status == 404
    assert not any("X-Of-The-Shop" in request.headers for request in sandbox.requests[:-1])


async def test_nothing_is_left_after_async_with() -> None:
    """No task, no open connection and no warning stays behind a session and a sandbox."""
    before = asyncio.all_tasks()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        async with Sandbox() as sandbox, sandbox.session() as vipps:
            await initiate(vipps)
            await asyncio.gather(*(vipps.ecom.details(ORDER) for _ in range(10)))
        del vipps, sandbox
        await asyncio.sleep(0)
        gc.collect()
    assert asyncio.all_tasks() == before
    assert [str(warning.message) for warning in caught if issubclass(warning.category, ResourceWarning)] == []


async def test_a_vipps_that_was_restarted_is_found_again(sandbox: Sandbox, vipps: VippsSession) -> None:
    """Connections that died while the other side restarted do not fail the next call."""
    await initiate(vipps)
    await sandbox.approve(ORDER)
    await sandbox.aclose()
    await sandbox.start()
    await vipps.ecom.capture(ORDER, transaction_text="Shipped.")
    assert sandbox.payment(ORDER).captured == PRICE
    assert len(sandbox.payment(ORDER).request_ids) == 1


async def test_a_vipps_that_is_down_had_nothing_sent_to_it(sandbox: Sandbox, vipps: VippsSession) -> None:
    """When nobody listens, a capture ends as not sent, and says that it is safe to try again with its key."""
    await initiate(vipps)
    await sandbox.approve(ORDER)
    await sandbox.aclose()
    with pytest.raises(RequestNotSent) as caught:
        await vipps.ecom.capture(ORDER, transaction_text="Shipped.", idempotency_key="key-1")
    assert "safe to try again, with the same idempotency key" in str(caught.value)
    assert caught.value.idempotency_key == "key-1"
    assert sandbox.payment(ORDER).captured == 0


@pytest.mark.parametrize("has_journal", [True, False])
async def test_what_an_earlier_call_with_the_key_did_is_not_denied(sandbox: Sandbox, *, has_journal: bool) -> None:
    """A capture whose answer was lost, and the same key while nobody listens: only a journal knows what moved."""
    journal = MemoryJournal() if has_journal else None
    async with sandbox.session(journal=journal, retry=RetryPolicy(attempts=1, deadline=1.0)) as vipps:
        await initiate(vipps)
        await sandbox.approve(ORDER)
        sandbox.faults.script("capture", Fault.RESET_AFTER_EFFECT, order_id=ORDER)
        sandbox.faults.script("details", *[Fault.HTTP_500_BEFORE] * 9, order_id=ORDER)
        with pytest.raises(OutcomeUnknown):
            await vipps.ecom.capture(ORDER, transaction_text="Shipped.", idempotency_key="key-1")
        assert sandbox.payment(ORDER).captured == PRICE
        await sandbox.aclose()
        with pytest.raises(OutcomeUnknown if has_journal else RequestNotSent) as caught:
            await vipps.ecom.capture(ORDER, transaction_text="Shipped.", idempotency_key="key-1")
    assert "no money moved" not in str(caught.value).replace("this call moved no money", "")
    assert has_journal or "this call moved no money, but an earlier one with its key may have" in str(caught.value)
