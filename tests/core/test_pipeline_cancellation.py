"""A call cancelled or a session closed at any moment: what holds afterwards."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable

import pytest

from tests.core.fake_clock import FakeClock
from tests.core.gate import Gate
from tests.core.samples import KEY, ORDER, call_of, details, done, pipeline
from vipps_async.core.clock import SystemClock
from vipps_async.core.operation import Repeat, SettledBy
from vipps_async.errors import ConfigurationError, Effect, OutcomeUnknown, RequestNotSent, TransportError
from vipps_async.testing import Reply, ScriptedTransport, answer, token_answer
from vipps_async.transports.protocol import Request, Response


def token_wait() -> tuple[ScriptedTransport, Gate]:
    """Hold the token request back."""
    gate = Gate(token_answer())
    return ScriptedTransport().on("/get", gate), gate


def first_attempt() -> tuple[ScriptedTransport, Gate]:
    """Hold the first attempt back."""
    gate = Gate(done())
    return ScriptedTransport().on("/capture", gate), gate


def second_attempt() -> tuple[ScriptedTransport, Gate]:
    """Hold the second attempt back."""
    gate = Gate(done())
    return ScriptedTransport().on("/capture", answer(503), gate), gate


def question() -> tuple[ScriptedTransport, Gate]:
    """Hold the question at the end back."""
    gate = Gate(details("no"))
    return ScriptedTransport().on("/details", gate).on("/capture", *[answer(503)] * 4), gate


def second_token() -> tuple[ScriptedTransport, Gate]:
    """Hold the token after a 401 back."""
    gate = Gate(token_answer())
    return ScriptedTransport().on("/get", token_answer(), gate).on("/capture", answer(401)), gate


@pytest.mark.parametrize("where", [token_wait, first_attempt, second_attempt, question, second_token])
async def test_cancelled_at_each_wait(where: Callable[[], tuple[ScriptedTransport, Gate]]) -> None:
    """A call cancelled wherever it waits is over at once, and the next call goes through."""
    transport, gate = where()
    line = pipeline(transport)
    task = asyncio.create_task(line.run(call_of(Repeat.KEYED)))
    await gate.reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.open.set()
    transport.on("", then=done())
    transport.on("/details", then=details("no"))
    transport.on("/capture", then=done())
    assert (await line.run(call_of(Repeat.KEYED))).settled_by is SettledBy.ANSWER
    await line.aclose()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_cancelled_during_a_pause() -> None:
    """A call cancelled while it pauses sends nothing more."""
    clock = FakeClock(by_hand=True)
    transport = ScriptedTransport().on("/capture", RequestNotSent("refused"), done())
    line = pipeline(transport, clock=clock)
    task = asyncio.create_task(line.run(call_of(Repeat.KEYED)))
    async with asyncio.timeout(5):
        await clock.asleep.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    clock.advance(60.0)
    assert len(transport.requests) == 1
    assert (await line.run(call_of(Repeat.KEYED))).order_id == ORDER


def slowly(reply: Response | TransportError) -> Reply:
    """Reply like a network does: after a few turns of the event loop."""

    async def respond(_request: Request) -> Response:
        for _ in range(3):
            await asyncio.sleep(0)
        if isinstance(reply, TransportError):
            raise copy.copy(reply)
        return reply

    return respond


async def test_cancelling_steps_through_every_await() -> None:
    """Whichever step of a difficult call the cancellation hits, the pipeline stays usable, with nothing left behind."""
    for steps in range(200):
        transport = (
            ScriptedTransport().on("/details", then=slowly(details("no"))).on("/get", then=slowly(token_answer()))
        )
        story = [slowly(reply) for reply in (answer(401), OutcomeUnknown("cut"), RequestNotSent("refused"), done())]
        transport.on("/cancel", *story, then=done())
        line = pipeline(transport)
        task = asyncio.create_task(line.run(call_of(Repeat.CONFIRM)))
        for _ in range(steps):
            await asyncio.sleep(0)
        if task.done():
            assert task.result().order_id == ORDER
            break
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await line.run(call_of(Repeat.CONFIRM))).order_id == ORDER
        await line.aclose()
        assert asyncio.all_tasks() == {asyncio.current_task()}
    else:
        pytest.fail("the call never ended")
    assert steps > 20


async def test_a_call_after_closing() -> None:
    """After closing, a call is refused before anything is sent, and closing again does no harm."""
    transport = ScriptedTransport()
    line = pipeline(transport)
    await line.aclose()
    await line.aclose()
    with pytest.raises(ConfigurationError, match="the session is closed"):
        await line.run(call_of(Repeat.KEYED))
    assert (transport.requests, transport.token_requests, transport.closed) == ([], [], 0)


async def test_closing_while_a_call_waits_for_the_token() -> None:
    """Closing ends the token request; the call that waited for it says that the session was closed."""
    transport, gate = token_wait()
    line = pipeline(transport)
    task = asyncio.create_task(line.run(call_of(Repeat.KEYED)))
    await gate.reached.wait()
    await line.aclose()
    with pytest.raises(ConfigurationError, match="closed while a token was being fetched") as caught:
        await task
    assert caught.value.effect is Effect.NONE


async def test_closing_before_details_are_asked() -> None:
    """If the session closes while an outcome is in doubt, the outcome is unknown, not refused."""
    transport = ScriptedTransport()
    line = pipeline(transport)
    closing: list[asyncio.Task[None]] = []

    async def close_and_fail(_request: Request) -> Response:
        closing.append(asyncio.create_task(line.aclose()))
        await closing[0]
        raise OutcomeUnknown("cut")

    transport.on("/cancel", close_and_fail)
    with pytest.raises(OutcomeUnknown, match="the session is closed"):
        await line.run(call_of(Repeat.CONFIRM))


def closed(_request: Request) -> Response:
    """Answer as a transport that was closed meanwhile."""
    raise ConfigurationError("the transport is closed")


async def test_a_transport_that_was_closed_meanwhile_hides_no_doubt() -> None:
    """If the transport is closed between two attempts, a doubt about the first one stays a doubt."""
    transport = ScriptedTransport().on("/details", then=closed).on("/capture", OutcomeUnknown("cut"), closed)
    with pytest.raises(OutcomeUnknown, match="the transport is closed; the payment could not be looked up") as caught:
        await pipeline(transport).run(call_of(Repeat.KEYED))
    assert caught.value.idempotency_key == KEY
    assert isinstance(caught.value.__cause__, ConfigurationError)


async def test_a_closed_transport_at_first() -> None:
    """If the transport is closed from the start, the error says so and names the call; nothing has moved."""
    transport = ScriptedTransport().on("/capture", closed)
    with pytest.raises(ConfigurationError, match=r"capture of payment acme-1 .*: the transport is closed") as caught:
        await pipeline(transport).run(call_of(Repeat.KEYED))
    assert caught.value.effect is Effect.NONE
    assert len(transport.requests) == 1


async def test_the_real_clock() -> None:
    """The machine's clock tells monotonic seconds and UTC, and sleeps without blocking."""
    clock = SystemClock()
    before = clock.monotonic()
    sleeping: Awaitable[None] = clock.sleep(0.01)
    await sleeping
    assert clock.monotonic() - before >= 0.009
    offset = clock.now().utcoffset()
    assert offset is not None
    assert offset.total_seconds() == 0
