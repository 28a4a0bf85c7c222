"""Many calls at once, and little time: one token for all, the deadline, the budget and an order's turns."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.core.fake_clock import FakeClock
from tests.core.gate import Gate
from tests.core.samples import KEY, ORDER, Receipt, call_of, details, done, pipeline, settings
from vipps_async.config import RetryPolicy, Timeouts
from vipps_async.core.operation import Repeat
from vipps_async.core.pipeline import Pipeline
from vipps_async.errors import AuthenticationError, Effect, OutcomeUnknown, RequestNotSent, ServerError, VippsError
from vipps_async.testing import ScriptedTransport, answer, token_answer
from vipps_async.transports.protocol import Request, Response

CROWD = 1000


# --- the token -------------------------------------------------------------------------------------------------------


async def test_a_cold_session_makes_one_token_request() -> None:
    """A thousand tasks that start at once on a cold session make one token request between them."""
    gate = Gate(token_answer())
    transport = ScriptedTransport().on("/get", gate).on("", then=done())
    line = pipeline(transport)
    calls = asyncio.gather(*(line.run(call_of(Repeat.KEYED)) for _ in range(CROWD)))
    await gate.reached.wait()
    gate.open.set()
    assert len(await calls) == CROWD
    assert len(transport.token_requests) == 1
    assert len(transport.requests) == CROWD


async def test_an_expired_token_costs_one_more_request() -> None:
    """With a token that expires in between, a second thousand make one more."""
    transport = ScriptedTransport().on("", then=done())
    clock = FakeClock()
    line = pipeline(transport, clock=clock)
    for expected in (1, 2):
        await asyncio.gather(*(line.run(call_of(Repeat.KEYED)) for _ in range(CROWD)))
        assert expected == len(transport.token_requests)
        clock.advance(4000)


async def test_a_thousand_refused_tokens_cost_one_more_request() -> None:
    """A thousand calls that are answered 401 together share one new token, and all succeed."""
    valid = "second"

    def endpoint(request: Request) -> Response:
        return done() if request.headers["Authorization"] == f"Bearer {valid}" else answer(401)

    transport = ScriptedTransport().on("/get", token_answer("first"), then=token_answer(valid)).on("", then=endpoint)
    line = pipeline(transport)
    receipts = await asyncio.gather(*(line.run(call_of(Repeat.KEYED)) for _ in range(CROWD)))
    assert {receipt.order_id for receipt in receipts} == {ORDER}
    assert len(transport.token_requests) == 2


async def test_a_401_never_becomes_a_loop() -> None:
    """If the new token is refused as well, the call ends after its second attempt."""
    transport = ScriptedTransport().on("", then=answer(401))
    with pytest.raises(AuthenticationError):
        await pipeline(transport).run(call_of(Repeat.SAFE))
    assert len(transport.requests) == 2
    assert len(transport.token_requests) == 2


async def test_a_failed_token_fails_every_call_with_the_reason() -> None:
    """Calls that wait for a token which is refused all say so, name themselves, and have sent nothing."""
    gate = Gate(answer(401, {"error": "invalid_client", "error_description": "Wrong secret"}))
    transport = ScriptedTransport().on("/get", gate)
    line = pipeline(transport)
    calls = asyncio.gather(*(line.run(call_of(Repeat.KEYED)) for _ in range(20)), return_exceptions=True)
    await gate.reached.wait()
    gate.open.set()
    results = await calls
    assert len({id(result) for result in results}) == 20
    for error in results:
        assert type(error) is AuthenticationError
        assert (error.operation, error.idempotency_key, error.effect) == ("ecom.capture", KEY, Effect.NONE)
        assert "fetching a token failed: Vipps answered HTTP 401: invalid_client: Wrong secret" in str(error)
        assert isinstance(error.__cause__, AuthenticationError)
        assert error.__cause__.operation == "token.get"
    assert transport.requests == []


async def test_an_unknown_outcome_of_the_token_request_is_not_one_of_the_call() -> None:
    """If the token request breaks off, the call itself was certainly not sent."""
    transport = ScriptedTransport().on("/get", then=OutcomeUnknown("cut"))
    with pytest.raises(RequestNotSent, match="fetching a token failed: cut") as caught:
        await pipeline(transport).run(call_of(Repeat.KEYED))
    assert caught.value.effect is Effect.NONE
    assert len(transport.token_requests) == 4


# --- time ------------------------------------------------------------------------------------------------------------


async def test_the_deadline_holds_while_waiting_for_a_token() -> None:
    """A call that waits for a token ends at its own deadline as not sent; the fetch goes on for others."""
    gate = Gate(token_answer())
    transport = ScriptedTransport().on("/get", gate).on("", then=done())
    line = Pipeline(settings(retry=RetryPolicy(deadline=0.2)), transport)
    began = time.monotonic()
    with pytest.raises(RequestNotSent, match="no token came within") as caught:
        await line.run(call_of(Repeat.KEYED))
    assert time.monotonic() - began < 5.0
    assert (caught.value.effect, caught.value.idempotency_key) == (Effect.NONE, KEY)
    gate.open.set()
    assert (await line.run(call_of(Repeat.KEYED))).order_id == ORDER
    assert len(transport.token_requests) == 1
    await line.aclose()


async def test_the_wait_for_a_token_shortens_the_attempt() -> None:
    """Time spent on the token is no longer there for the first attempt, and time for asking is kept back."""
    clock = FakeClock()

    def slow_token(_request: Request) -> Response:
        clock.advance(40.0)
        return token_answer()

    transport = ScriptedTransport().on("/get", slow_token).on("", then=done())
    line = pipeline(transport, clock=clock)
    await line.run(call_of(Repeat.KEYED))
    assert transport.requests[0].timeouts == Timeouts(total=15.0)
    await line.run(call_of(Repeat.KEYED))
    assert transport.requests[1].timeouts == Timeouts(total=30.0)


async def test_a_token_that_comes_too_late_sends_nothing() -> None:
    """If the token comes when the time is over, nothing is sent any more."""
    clock = FakeClock()

    def late_token(_request: Request) -> Response:
        clock.advance(54.99)
        return token_answer()

    transport = ScriptedTransport().on("/get", late_token)
    with pytest.raises(RequestNotSent, match="left no time"):
        await pipeline(transport, clock=clock).run(call_of(Repeat.KEYED))
    assert transport.requests == []


async def test_each_attempt_ends_within_the_deadline() -> None:
    """Later attempts get only the time that is left, whatever their time-outs say."""
    clock = FakeClock()

    def stall(request: Request) -> Response:
        clock.advance(request.timeouts.total)
        raise OutcomeUnknown("silence")

    transport = ScriptedTransport().on("/details", then=details("no")).on("", then=stall)
    with pytest.raises(OutcomeUnknown):
        await pipeline(transport, clock=clock).run(call_of(Repeat.KEYED))
    totals = [request.timeouts.total for request in transport.requests if not request.url.endswith("details")]
    assert totals[0] == 30.0
    assert sum(totals) <= 55.0
    assert clock.monotonic() <= 1000.0 + 60.0


async def test_details_that_stall_end_with_the_deadline() -> None:
    """Asking details takes no longer than the call may: then the outcome is unknown."""
    gate = Gate(details("yes"))
    transport = ScriptedTransport().on("/details", gate).on("", then=OutcomeUnknown("cut"))
    line = Pipeline(settings(retry=RetryPolicy(deadline=0.5, attempts=1)), transport)
    with pytest.raises(OutcomeUnknown, match="did not end within this call's deadline"):
        await line.run(call_of(Repeat.KEYED))


async def test_no_time_left_for_details() -> None:
    """If the transport overran its time there is none left to ask, and that is said."""
    clock = FakeClock()

    def overrun(_request: Request) -> Response:
        clock.advance(61.0)
        raise OutcomeUnknown("silence")

    transport = ScriptedTransport().on("", overrun)
    with pytest.raises(OutcomeUnknown, match="no time was left to look the payment up"):
        await pipeline(transport, clock=clock).run(call_of(Repeat.KEYED))


async def test_a_longer_retry_after_than_the_deadline_is_told() -> None:
    """If Vipps asks for more patience than the call has, the call ends at once and says so."""
    transport = ScriptedTransport().on("", then=answer(503, headers={"retry-after": "120"}))
    clock = FakeClock()
    with pytest.raises(ServerError, match="Vipps asks to wait 120 s, longer than this call may take"):
        await pipeline(transport, clock=clock).run(call_of(Repeat.SAFE))
    assert clock.pauses == []


# --- budget and limits -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failure", "error"), [(RequestNotSent("refused"), RequestNotSent), (OutcomeUnknown("cut"), OutcomeUnknown)]
)
async def test_a_drained_budget_ends_with_what_is_true(failure: VippsError, error: type[VippsError]) -> None:
    """Without budget a call ends as unknown or not sent, whichever is true."""
    assert isinstance(failure, RequestNotSent | OutcomeUnknown)
    transport = ScriptedTransport().on("/details", then=details("no")).on("", then=failure)
    line = pipeline(transport, retry=RetryPolicy(budget=14))
    for attempts in (2, 1):
        transport.requests.clear()
        with pytest.raises(error):
            await line.run(call_of(Repeat.KEYED))
        assert attempts == sum(request.url.endswith("capture") for request in transport.requests)


async def test_an_outage_is_no_storm() -> None:
    """A thousand calls into an outage make hardly more requests than a thousand."""
    transport = ScriptedTransport().on("", then=answer(503))
    line = pipeline(transport)
    results = await asyncio.gather(*(line.run(call_of(Repeat.SAFE)) for _ in range(CROWD)), return_exceptions=True)
    assert all(isinstance(result, ServerError) for result in results)
    assert len(transport.requests) <= CROWD + 500 // 14


async def test_calls_side_by_side_share_an_orders_turns() -> None:
    """Two calls for one order that fail together do not make more retries than Vipps' limit allows."""
    clock = FakeClock()
    moments: list[float] = []

    def busy(_request: Request) -> Response:
        moments.append(clock.monotonic())
        return answer(423)

    transport = ScriptedTransport().on("", then=busy)
    line = pipeline(transport, clock=clock, retry=RetryPolicy(deadline=300.0))
    await asyncio.gather(*(line.run(call_of(Repeat.KEYED, per_minute=5)) for _ in range(4)), return_exceptions=True)
    for first, sixth in zip(moments, moments[5:], strict=False):
        assert sixth - first >= 60.0
    assert len(moments) > 5


async def test_a_success_fills_the_budget_again() -> None:
    """Successes at first try earn the retries that later calls need."""
    transport = ScriptedTransport().on("/capture", answer(423), *[done()] * 16, answer(423), done())
    line = pipeline(transport, retry=RetryPolicy(budget=14))
    results: list[Receipt] = [await line.run(call_of(Repeat.KEYED)) for _ in range(17)]
    assert len(results) == 17
    assert transport.unused == 0
