"""Callbacks are answered in time and handled in the background, whatever the handlers do."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import orjson
import pytest

from tests.ecom.callback_bodies import PERSONAL, QUESTION, TOKEN, with_info
from tests.receiver.served import KEYS, at_work, receiver_of
from tests.receiver.shop import METHODS, Shop, until
from tests.support.rows import each_row
from vipps_async import ConfigurationError, InvalidInputError, VippsSession
from vipps_async.journals.memory import MemoryJournal
from vipps_async.receiver import ANYONE_MAY_CALL, EcomCallbacks, Limits, Receiver
from vipps_async.testing import ScriptedTransport

SHIPPING = "/v2/payments/acme-1/shippingDetails"
USER_ID = "+/uiJskNQ6qNN1iwN891uuob=="
CONSENT = f"/v2/consents/{quote(USER_ID, safe='')}"


async def test_a_callback_is_handed_over(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A callback is answered 200 without a body, its handler gets event and session, and waits are told."""
    async with at_work(shop) as served:
        told: list[str] = []
        monkeypatch.setattr(served.vipps.ecom, "notify", told.append)
        answer = await served.receive()
        assert (answer.status, answer.body) == (200, b"")
        await until(lambda: served.receiver.counts.handled)
        assert [event.order_id for event in shop.payments] == told == ["acme-1"]
        assert not shop.payments[0].is_redelivered
        assert (served.receiver.counts.received, served.receiver.running) == (1, 0)


async def test_the_answer_does_not_wait_for_the_handler(shop: Shop) -> None:
    """The answer is there while the handler has not even ended its first step."""
    shop.trouble = asyncio.Event().wait
    async with at_work(shop) as served:
        async with asyncio.timeout(1):
            assert (await served.receive()).status == 200
        assert served.receiver.running == 1
        assert served.receiver.counts.handled == 0


@pytest.mark.parametrize(
    "error", [ValueError("91234567"), TimeoutError(), StopAsyncIteration(), asyncio.CancelledError()]
)
async def test_a_failing_handler_is_seen(shop: Shop, error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    """A handler that raises is counted and logged with class and place, and not with what it said."""

    def fail() -> None:
        raise error

    shop.trouble = fail
    caplog.set_level(logging.INFO, "vipps_async")
    async with at_work(shop) as served:
        assert (await served.receive()).status == 200
        await until(lambda: served.receiver.counts.failed)
    assert "vipps.inbound_failed" in caplog.text
    assert "payment=acme-1" in caplog.text
    assert "redelivered=False" in caplog.text
    assert "91234567" not in caplog.text
    if isinstance(error, ValueError):
        assert "error=ValueError" in caplog.text
        assert "place=test_receiver.py:" in caplog.text


async def test_without_a_journal_there_is_a_bound(shop: Shop) -> None:
    """Beyond so many handlers, a callback is answered 503: nothing piles up."""
    release = asyncio.Event()
    shop.trouble = release.wait
    async with at_work(shop, max_handlers=3) as served:
        answers = [(await served.receive_order(number)).status for number in range(5)]
        assert answers == [200, 200, 200, 503, 503]
        assert served.receiver.counts.rejected == 2
        release.set()
        await until(lambda: served.receiver.counts.handled == 3)
        assert (await served.receive_order(3)).status == 200


async def test_a_duplicate_running(shop: Shop) -> None:
    """The same news twice at the same time runs one handler."""
    release = asyncio.Event()
    shop.trouble = release.wait
    async with at_work(shop) as served:
        assert [(await served.receive()).status for _ in range(3)] == [200, 200, 200]
        release.set()
        await until(lambda: served.receiver.counts.handled)
        assert (len(shop.payments), served.receiver.counts.duplicates) == (1, 2)


async def test_a_handler_that_never_ends(shop: Shop) -> None:
    """A coroutine is cancelled when its time is up, and counts as failed."""
    shop.trouble = asyncio.Event().wait
    async with at_work(shop, handler_timeout=0.01) as served:
        await served.receive()
        await until(lambda: served.receiver.counts.failed)
        assert served.receiver.running == 0


async def test_plain_functions_run_in_threads(shop: Shop) -> None:
    """A handler that blocks does not block the loop; what it raises is seen."""
    release, threads = threading.Event(), list[str]()

    def handler(event: Any, _vipps: VippsSession) -> None:
        threads.append(threading.current_thread().name)
        assert release.wait(10)
        if event.order_id == "acme-2":
            raise StopIteration

    async with at_work(shop, on_payment=handler) as served:
        assert [(await served.receive_order(number)).status for number in (1, 2)] == [200, 200]
        await until(lambda: len(threads) == 2)
        release.set()
        await until(lambda: served.receiver.running == 0)
        assert (served.receiver.counts.handled, served.receiver.counts.failed) == (1, 1)
    assert all(name.startswith("vipps-handlers") for name in threads)


async def test_a_plain_function_is_not_given_up(shop: Shop) -> None:
    """A thread cannot be stopped, so that a slow one is waited for: given up, it would run twice at the same time."""
    release = threading.Event()
    options: dict[str, Any] = {"on_payment": lambda _event, _vipps: release.wait(10) and None, "handler_timeout": 0.01}
    async with at_work(shop, **options) as served:
        await served.receive()
        await asyncio.sleep(0.05)
        assert (served.receiver.running, served.receiver.counts.failed) == (1, 0)
        release.set()
        await until(lambda: served.receiver.counts.handled)


class _Handler:
    def __init__(self, shop: Shop) -> None:
        self._shop = shop

    async def __call__(self, event: Any, vipps: VippsSession) -> None:
        """Handle a payment."""
        await self._shop.on_payment(event, vipps)


def _lambda_around(shop: Shop) -> Any:
    return lambda event, vipps: shop.on_payment(event, vipps)  # noqa: PLW0108 - it is about lambdas


@pytest.mark.parametrize("make", [_Handler, _lambda_around])
async def test_other_things_that_can_be_called(shop: Shop, make: Any) -> None:
    """An object can be a handler, and so can a lambda around a coroutine function."""
    async with at_work(shop, on_payment=make(shop)) as served:
        await served.receive()
        await until(lambda: served.receiver.counts.handled)
    assert len(shop.payments) == 1


# -- the end -----------------------------------------------------------------------------------------------------------


async def test_handlers_are_waited_for_at_the_end(shop: Shop) -> None:
    """Closing waits for handlers that end soon."""
    started = asyncio.Event()

    async def soon() -> None:
        started.set()
        await asyncio.sleep(0.02)

    shop.trouble = soon
    async with at_work(shop, drain_timeout=10) as served:
        await served.receive()
        await started.wait()
    assert served.receiver.counts.handled == 1


async def test_handlers_are_not_waited_for_for_ever(shop: Shop) -> None:
    """Closing cancels what takes too long, gives up on what does not heed that, and says so."""
    release = asyncio.Event()

    async def stubborn() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    shop.trouble = stubborn
    async with at_work(shop, cancel_timeout=0.01) as served:
        await served.receive()
        await until(lambda: shop.payments)
    await until(lambda: served.receiver.counts.failed)
    assert (served.receiver.counts.failed, served.receiver.counts.handled) == (1, 0)
    release.set()
    await asyncio.sleep(0.01)


async def test_before_and_after(shop: Shop) -> None:
    """Who is not at work answers 503; what is malformed is refused all the same."""
    async with at_work(shop) as served:
        with pytest.raises(ConfigurationError, match="serves already"):
            async with served.receiver.serving(served.vipps):
                pass
        assert "serving" in repr(served.receiver)
    assert (await served.receive()).status == 503
    assert (await served.receive(b"{")).status == 400
    assert (await served.receive(QUESTION, path=SHIPPING)).status == 503
    assert served.receiver.running == 0
    assert "closed" in repr(served.receiver)


async def test_while_it_closes(shop: Shop) -> None:
    """While handlers are drained, what comes in is answered 503."""
    release = asyncio.Event()
    shop.trouble = release.wait
    async with at_work(shop, drain_timeout=10) as served:
        await served.receive_order(1)
        closing = asyncio.create_task(_close_later(served, release))
    assert await closing == [503, 503]
    assert served.receiver.counts.handled == 1


async def _close_later(served: Any, release: asyncio.Event) -> list[int]:
    await asyncio.sleep(0.02)
    answers = [await served.receive_order(2), await served.receive(QUESTION, path=SHIPPING)]
    release.set()
    return [answer.status for answer in answers]


async def test_a_session_that_is_not_open(journal: MemoryJournal) -> None:
    """A journal that is not open is found out when the application starts, not when the first callback comes."""
    await journal.aclose()
    receiver = receiver_of(Shop())
    session = VippsSession(KEYS, transport=ScriptedTransport(), journal=journal)
    with pytest.raises(ConfigurationError, match="not open"):
        async with receiver.serving(session):
            pass


# -- refused -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_of", "status"),
    [
        ({"method": "GET"}, 405),
        ({"method": "HEAD"}, 405),
        ({"path": CONSENT}, 405),
        ({"path": "/vipps/v3"}, 404),
        ({"headers": {}}, 401),
        ({"headers": {"Authorization": TOKEN, "Content-Encoding": "gzip"}}, 415),
        ({"body": b"x" * 70_000}, 413),
        ({"body": b"Ada Lovelace"}, 400),
        ({"body": with_info(amount="Ada Lovelace")}, 400),
    ],
)
async def test_what_is_refused(shop: Shop, request_of: Any, status: int, caplog: pytest.LogCaptureFixture) -> None:
    """Each refusal has its status, a text without anything personal, and reaches no handler."""
    async with at_work(shop) as served:
        answer = await served.receive(**request_of)
        assert answer.status == status
        assert not [value for value in (*PERSONAL, TOKEN) if value.encode() in answer.body or value in caplog.text]
        assert ("Allow" in answer.headers) is (status == 405)
        assert (served.receiver.counts.invalid, served.receiver.counts.received) == (1, 0)
    assert not shop.payments
    assert f"status={status}" in caplog.text


async def test_the_body_of_a_stranger_is_not_read(shop: Shop) -> None:
    """Who has no token is answered before a byte of the body is waited for."""
    read: list[bytes] = []

    async def chunks() -> AsyncIterator[bytes]:
        read.append(b"{")
        yield b"{"

    async with at_work(shop) as served:
        reply = await served.receiver.handle("POST", "/v2/payments/acme-1", {}, chunks())
        assert (reply.status, read) == (401, [])


async def test_a_body_that_does_not_come(shop: Shop) -> None:
    """Who sends slowly is answered 408 in time."""

    async def chunks() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    async with at_work(shop, body_timeout=0.01) as served:
        reply = await served.receiver.handle("POST", "/v2/payments/acme-1", {"Authorization": TOKEN}, chunks())
        assert reply.status == 408


async def test_no_more_of_a_body_is_read_than_is_taken(shop: Shop) -> None:
    """Whoever sends too much is answered 413 as soon as it is."""
    given = iter(range(100))

    async def chunks() -> AsyncIterator[bytes]:
        for _ in given:
            yield bytes(10)

    async with at_work(shop, max_body=25) as served:
        reply = await served.receiver.handle("POST", "/v2/payments/acme-1", {"Authorization": TOKEN}, chunks())
        assert (reply.status, next(given)) == (413, 3)


async def test_kinds_without_a_handler(shop: Shop) -> None:
    """A shop without express checkout answers 404 to what belongs to it."""
    async with at_work(shop, on_shipping_details=None, on_consent_removal=None) as served:
        assert (await served.receive(QUESTION, path=SHIPPING)).status == 404
        assert (await served.receive(b"", method="DELETE", path=CONSENT)).status == 404


@each_row(
    "options",
    [
        {"max_handlers": 0},
        {"max_handlers": True},
        {"threads": 1.5},
        {"handler_timeout": 0},
        {"drain_timeout": -1},
        {"redeliver_after": "1"},
        {"max_body": 0},
        {"max_body": -1},
        {"max_body": "1"},
    ],
)
def test_settings_that_break_a_rule(options: Any) -> None:
    """A setting that makes no sense is refused when the receiver is made."""
    (name,) = options
    with pytest.raises(InvalidInputError, match=name):
        Limits(**options)


async def test_a_receiver_that_could_receive_nothing(shop: Shop) -> None:
    """No source, two for the same requests, a handler that is none, and no handler at all are told at once."""
    source: Any = EcomCallbacks(ANYONE_MAY_CALL, on_payment=shop.on_payment)
    wrong: Any = EcomCallbacks(TOKEN, on_payment="shop")  # type: ignore[arg-type] # that is the point
    for sources in ((), (source, source), (wrong,)):
        with pytest.raises(InvalidInputError):
            Receiver(*sources)
    async with VippsSession(KEYS, transport=ScriptedTransport()) as session:
        with pytest.raises(ConfigurationError, match="no handler"):
            async with Receiver(EcomCallbacks(TOKEN)).serving(session):
                pass


# -- shipping ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"on_shipping_details": lambda _request, _vipps: METHODS}])
async def test_shipping(shop: Shop, options: Any) -> None:
    """The handler's ways of shipping are the answer; a plain function will do."""
    async with at_work(shop, **options) as served:
        answer = await served.receive(QUESTION, path=SHIPPING)
        assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json;charset=UTF-8")
        assert orjson.loads(answer.body)["addressId"] == 3960
        assert [method["isDefault"] for method in orjson.loads(answer.body)["shippingDetails"]] == ["Y", "N"]
        assert served.receiver.counts.handled == 1
        assert "Posten" not in repr(answer)


@pytest.mark.parametrize("wrong", [(), None, "post", METHODS[1:], METHODS[:1] * 2, 5])
async def test_shipping_that_vipps_would_not_take(shop: Shop, wrong: Any) -> None:
    """A handler that returns nonsense is a failure of ours: 500, counted."""
    async with at_work(shop, on_shipping_details=lambda _request, _vipps: wrong) as served:
        answer = await served.receive(QUESTION, path=SHIPPING)
        assert (answer.status, answer.body) == (500, b"")
        assert served.receiver.counts.failed == 1


async def test_shipping_that_raises(shop: Shop) -> None:
    """A handler that raises is answered 500."""
    shop.trouble = lambda: 1 / 0
    async with at_work(shop) as served:
        assert (await served.receive(QUESTION, path=SHIPPING)).status == 500
        assert served.receiver.counts.failed == 1


@pytest.mark.parametrize("blocking", [False, True])
async def test_shipping_that_takes_too_long(shop: Shop, *, blocking: bool) -> None:
    """A handler that takes too long is answered for with 503, in time, though it does not even stop when told to."""
    release = threading.Event()

    async def stubborn() -> None:
        while not release.is_set():
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                continue
        raise KeyError("too late")

    def blocked(_request: Any, _vipps: Any) -> Any:
        release.wait(10)

    shop.trouble = stubborn
    handler = blocked if blocking else shop.on_shipping_details
    async with at_work(shop, on_shipping_details=handler, max_handlers=1, threads=1, query_timeout=0.02) as served:
        try:
            answer = await served.receive(QUESTION, path=SHIPPING)
            assert (answer.status, served.receiver.counts.failed) == (503, 1)
            if not blocking:
                # It runs on, so that it keeps its place: there is no room for a second one.
                assert (await served.receive(QUESTION, path=SHIPPING)).status == 503
                assert served.receiver.counts.rejected == 1
        finally:
            release.set()
        await until(lambda: not served.receiver._queries)


async def test_payments_do_not_take_the_threads_of_shipping(shop: Shop) -> None:
    """While all threads are busy with payments, a customer still learns what shipping costs."""
    release = threading.Event()
    options: dict[str, Any] = {
        "on_payment": lambda _event, _vipps: release.wait(10) and None,
        "on_shipping_details": lambda _request, _vipps: METHODS,
        "threads": 1,
    }
    async with at_work(shop, **options) as served:
        for number in range(3):
            await served.receive_order(number)
        assert (await served.receive(QUESTION, path=SHIPPING)).status == 200
        release.set()
        await until(lambda: served.receiver.running == 0)
