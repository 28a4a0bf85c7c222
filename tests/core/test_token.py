"""The token of a session under many hands: one fetch at a time, and its truth for everyone who waits."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator

import orjson
import pytest

from tests.core.fake_clock import FakeClock
from tests.core.samples import settings
from vipps_async.core.converter import decode
from vipps_async.core.events import EventLog
from vipps_async.core.headers import Headers
from vipps_async.core.operation import Repeat
from vipps_async.core.token import FETCH_TOKEN, Token, TokenAnswer, TokenSource
from vipps_async.errors import (
    AuthenticationError,
    ConfigurationError,
    Effect,
    RequestNotSent,
    UnexpectedResponseError,
    VippsError,
)

CROWD = 1000


class Endpoint:
    """A token endpoint that answers when the test says so.

    Attributes:
        fetches: how many fetches have begun.
        gate: fetches wait for it; open unless a test closes it.
        answer: what a fetch brings: an answer, or an error that is raised.
    """

    def __init__(self) -> None:
        self.fetches = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.begun = asyncio.Event()
        self.answer: TokenAnswer | VippsError | None = None

    async def fetch(self) -> TokenAnswer:
        """Fetch a token; each has a name of its own."""
        self.fetches += 1
        number = self.fetches
        self.begun.set()
        await self.gate.wait()
        if isinstance(self.answer, VippsError):
            raise self.answer
        return self.answer or TokenAnswer(access_token=f"token-{number}", expires_in=3600)


@pytest.fixture
async def endpoint() -> Endpoint:
    """Make an endpoint that answers at once."""
    return Endpoint()


@pytest.fixture
def clock() -> FakeClock:
    """Make a clock that the test moves."""
    return FakeClock(by_hand=True)


@pytest.fixture
async def source(endpoint: Endpoint, clock: FakeClock) -> AsyncIterator[TokenSource]:
    """Make a source over the endpoint, and close it."""
    source = TokenSource(endpoint.fetch, Headers(settings()).with_token, clock, EventLog())
    yield source
    await source.aclose()
    assert [task for task in asyncio.all_tasks() if task.get_name() == "vipps_async token"] == []


async def settle() -> None:
    """Let everything that can run do so."""
    for _ in range(10):
        await asyncio.sleep(0)


async def crowd(source: TokenSource, size: int = CROWD) -> list[Token | BaseException]:
    """Ask for the token from many tasks at once."""
    return await asyncio.gather(*(source.get() for _ in range(size)), return_exceptions=True)


async def test_a_thousand_tasks_make_one_fetch(source: TokenSource, endpoint: Endpoint) -> None:
    """On a cold source a thousand tasks that start at once share one fetch."""
    endpoint.gate.clear()
    waiting = asyncio.create_task(crowd(source))
    await endpoint.begun.wait()
    await settle()
    endpoint.gate.set()
    tokens = await waiting
    assert endpoint.fetches == 1
    assert {token.value for token in tokens if isinstance(token, Token)} == {"token-1"}
    assert len(tokens) == CROWD


async def test_an_expired_token_is_fetched_once_more(source: TokenSource, endpoint: Endpoint, clock: FakeClock) -> None:
    """When the token expires in between, the next thousand share one more fetch."""
    await crowd(source)
    clock.advance(3600)
    assert source.at_hand() is None
    tokens = await crowd(source)
    assert endpoint.fetches == 2
    assert {token.value for token in tokens if isinstance(token, Token)} == {"token-2"}


async def test_renewal_runs_behind_the_old_token(source: TokenSource, endpoint: Endpoint, clock: FakeClock) -> None:
    """Shortly before it expires the token is renewed in the background, once; meanwhile everyone uses the old one."""
    await source.get()
    clock.advance(3299)
    await source.get()
    await settle()
    assert endpoint.fetches == 1
    endpoint.gate.clear()
    clock.advance(2)
    tokens = [await source.get() for _ in range(100)]
    await settle()
    assert {token.value for token in tokens} == {"token-1"}
    assert endpoint.fetches == 2
    endpoint.gate.set()
    await settle()
    assert (await source.get()).value == "token-2"
    assert endpoint.fetches == 2


async def test_the_margin_before_expiry(source: TokenSource, clock: FakeClock) -> None:
    """A token with less than ten seconds left is not sent any more."""
    await source.get()
    clock.advance(3591)
    assert source.at_hand() is None


async def test_a_failing_renewal_keeps_the_old_token_and_pauses(
    source: TokenSource, endpoint: Endpoint, clock: FakeClock
) -> None:
    """If renewal fails the old token stays in use, and the next try comes five seconds later, not at once."""
    await source.get()
    endpoint.answer = RequestNotSent("unplugged")
    clock.advance(3301)
    for _ in range(50):
        assert (await source.get()).value == "token-1"
        await settle()
    assert endpoint.fetches == 2
    clock.advance(5.1)
    assert (await source.get()).value == "token-1"
    await settle()
    assert endpoint.fetches == 3
    endpoint.answer = None
    clock.advance(5.1)
    await source.get()
    await settle()
    assert (await source.get()).value == "token-4"


async def test_a_failed_fetch_fails_everyone_with_the_reason(source: TokenSource, endpoint: Endpoint) -> None:
    """All waiters get the real reason, each a copy of its own, and the next caller starts afresh."""
    refused = AuthenticationError("Vipps answered HTTP 401: wrong key", status=401)
    endpoint.answer = refused
    results = await crowd(source)
    assert endpoint.fetches == 1
    assert all(isinstance(result, AuthenticationError) and result.status == 401 for result in results)
    assert len({id(result) for result in results}) == CROWD
    assert refused not in results
    assert all(isinstance(result, BaseException) and result.__cause__ is refused for result in results)
    endpoint.answer = None
    assert (await source.get()).value == "token-2"


async def test_a_cancelled_waiter_leaves_the_fetch_to_the_others(source: TokenSource, endpoint: Endpoint) -> None:
    """The task that happened to begin the fetch may be cancelled: the others get their token all the same."""
    endpoint.gate.clear()
    first = asyncio.create_task(source.get())
    await endpoint.begun.wait()
    others = asyncio.create_task(crowd(source, 50))
    await settle()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    endpoint.gate.set()
    assert all(isinstance(token, Token) for token in await others)
    assert endpoint.fetches == 1


async def test_all_waiters_cancelled(source: TokenSource, endpoint: Endpoint) -> None:
    """If everyone who waited is gone the fetch still ends, and serves whoever comes next."""
    endpoint.gate.clear()
    waiters = [asyncio.create_task(source.get()) for _ in range(20)]
    await endpoint.begun.wait()
    for waiter in waiters:
        waiter.cancel()
    assert all(
        isinstance(each, asyncio.CancelledError) for each in await asyncio.gather(*waiters, return_exceptions=True)
    )
    endpoint.gate.set()
    await settle()
    assert (await source.get()).value == "token-1"
    assert endpoint.fetches == 1


async def test_a_fetch_that_fails_with_nobody_waiting_is_silent(source: TokenSource, endpoint: Endpoint) -> None:
    """A failure that nobody waits for does not surface as an exception that was never retrieved."""
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
    endpoint.gate.clear()
    endpoint.answer = RequestNotSent("unplugged")
    waiter = asyncio.create_task(source.get())
    await endpoint.begun.wait()
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    endpoint.gate.set()
    await settle()
    assert complaints == []


async def test_a_thousand_refusals_make_one_more_fetch(source: TokenSource, endpoint: Endpoint) -> None:
    """A thousand calls refused together share the one fetch that follows, and a late one drops no newer token."""
    old = await source.get()

    async def refused() -> Token:
        source.forget(old)
        return await source.get()

    tokens = await asyncio.gather(*(refused() for _ in range(CROWD)))
    source.forget(old)
    assert endpoint.fetches == 2
    assert {token.value for token in tokens} == {"token-2"}
    assert (await source.get()).value == "token-2"


@pytest.mark.parametrize(
    ("answer", "lifetime"),
    [
        ({"expires_in": "3600"}, 3600),
        ({"expires_in": 3600}, 3600),
        ({"expires_in": 3600.0}, 3600),
        ({"expires_on": "1767225900"}, 300),
        ({"expires_on": 1767225900, "expires_in": "50"}, 50),
        ({}, 300),
        ({"expires_in": None}, 300),
        ({"expires_in": "soon"}, 300),
        ({"expires_in": {"seconds": 50}, "expires_on": "tomorrow"}, 300),
        ({"expires_in": "0"}, 0),
        ({"expires_in": "-5"}, 0),
        ({"expires_on": "12"}, 0),
    ],
)
async def test_lifetimes_come_from_the_answer(
    source: TokenSource, endpoint: Endpoint, clock: FakeClock, answer: dict[str, object], lifetime: float
) -> None:
    """Lifetimes come as text or number, as a span or a moment, or not at all; the token is good for that long."""
    endpoint.answer = decode(orjson.dumps({"token_type": "Bearer", "access_token": "x"} | answer), TokenAnswer)
    token = await source.get()
    assert token.value == "x"
    assert token.unusable_at <= clock.monotonic() + lifetime
    assert token.unusable_at >= clock.monotonic() + lifetime * 0.95
    assert token.renew_at <= token.unusable_at
    endpoint.answer = None
    assert (source.at_hand() is None) is (lifetime == 0)


async def test_a_token_without_a_lifetime_serves_those_who_waited(source: TokenSource, endpoint: Endpoint) -> None:
    """A token that expires at once is handed to those who waited for it, and fetched anew for the next."""
    endpoint.answer = TokenAnswer(access_token="x", expires_in=0)
    tokens = await crowd(source, 10)
    assert all(isinstance(token, Token) for token in tokens)
    assert endpoint.fetches == 1
    await source.get()
    assert endpoint.fetches == 2


@pytest.mark.parametrize(
    "value", ["", "canary b", "canary\r\nX-Evil: 1", "canary\n", "cånary", "canary\x00", " canary"]
)
async def test_a_token_that_cannot_stand_in_a_header(source: TokenSource, endpoint: Endpoint, value: str) -> None:
    """A token with a line break, a space or nothing in it is refused without being quoted; nothing has moved."""
    endpoint.answer = TokenAnswer(access_token=value)
    with pytest.raises(UnexpectedResponseError, match="cannot stand in a header") as caught:
        await source.get()
    assert caught.value.effect is Effect.NONE
    assert "details" not in caught.value.advice
    assert "nary" not in str(caught.value)


async def test_closing_during_a_fetch(source: TokenSource, endpoint: Endpoint) -> None:
    """Closing ends the fetch, and those who waited are told that the session was closed."""
    endpoint.gate.clear()
    waiting = asyncio.create_task(crowd(source, 20))
    await endpoint.begun.wait()
    await settle()
    await asyncio.gather(source.aclose(), source.aclose())
    results = await waiting
    assert all(isinstance(result, ConfigurationError) and "closed" in str(result) for result in results)


async def test_cancelled_while_closing(source: TokenSource, endpoint: Endpoint) -> None:
    """A waiter that is itself cancelled in the moment of closing stays cancelled."""
    endpoint.gate.clear()
    waiter = asyncio.create_task(source.get())
    await endpoint.begun.wait()
    closing = asyncio.create_task(source.aclose())
    await asyncio.sleep(0)
    waiter.cancel()
    await closing
    with pytest.raises(asyncio.CancelledError):
        await waiter


async def test_a_waiters_own_time_limit_holds(source: TokenSource, endpoint: Endpoint) -> None:
    """A time limit around the wait ends the wait as a time-out, and not the fetch."""
    endpoint.gate.clear()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await source.get()
    endpoint.gate.set()
    await settle()
    assert (await source.get()).value == "token-1"
    assert endpoint.fetches == 1


async def test_no_repr_shows_the_token(source: TokenSource) -> None:
    """Neither the token nor the answer it came in shows its value."""
    token = await source.get()
    assert "token-1" not in repr(token)
    assert "canary" not in repr(token)
    assert "canary" not in repr(TokenAnswer(access_token="canary"))
    assert "canary" not in repr(copy.copy(source))


def test_the_token_request_is_safe_to_repeat() -> None:
    """Fetching a token is a read as far as money goes, and needs no token itself."""
    assert FETCH_TOKEN.operation.repeat is Repeat.SAFE
    assert not FETCH_TOKEN.operation.authenticated
    assert FETCH_TOKEN.body is None
