"""What Vipps answered last: on every error, and for every result in the task that got it; never a secret in it."""

from __future__ import annotations

import asyncio
import copy
import pickle
from typing import Any

import pytest

from tests.core.fake_clock import FakeClock
from tests.support.payments import initiate
from tests.test_session import CAPTURED, CREDENTIALS
from vipps_async import (
    ApiError,
    InvalidInputError,
    LastAnswer,
    MemoryJournal,
    OutcomeUnknown,
    RequestNotSent,
    RetryPolicy,
    UnexpectedResponseError,
    VippsError,
    VippsSession,
    last_answer,
)
from vipps_async.testing import ScriptedTransport, answer

HEADERS = {
    "content-type": "application/json",
    "date": "Thu, 01 Jan 2026 12:00:00 GMT",
    "x-request-id": "req-1",
    "correlation-id": "corr-1",
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "set-cookie": "session=canary-cookie",
    "location": "https://example.com/?token=canary-token",
    "authorization": "Bearer canary-bearer",
    "www-authenticate": "canary-realm",
    "x-customer": "canary-name",
    "server": f"gateway {CREDENTIALS.subscription_key}",
}
SHOWN = {"content-type", "date", "x-request-id", "correlation-id", "traceparent", "server"}
REFUSED = [{"errorGroup": "Payment", "errorCode": "61", "errorMessage": "Too much for 48059528", "contextId": "ctx"}]
#: One attempt a call.
ONCE = RetryPolicy(attempts=1)


def session(transport: ScriptedTransport, **more: Any) -> VippsSession:
    """Make a session over a script, whose clock does not wait."""
    return VippsSession(CREDENTIALS, transport=transport, clock=FakeClock(), **more)


def with_headers(status: int, body: object) -> Any:
    """Make an answer with headers of all kinds."""
    return answer(status, body, headers=HEADERS)


async def capture(vipps: VippsSession) -> None:
    """Capture an order."""
    await vipps.ecom.capture("acme-1", amount=49900, transaction_text="Shipped.")


async def test_a_refusal_has_status_headers_and_redacted_body() -> None:
    """What may be shown of an answer is on the error, and nothing else is."""
    async with session(ScriptedTransport().on("/capture", with_headers(400, REFUSED))) as vipps:
        with pytest.raises(ApiError) as refused:
            await capture(vipps)
    response = refused.value.response
    assert response is not None
    assert response.status == 400
    assert set(response.headers) == SHOWN
    assert response.headers["server"] == "gateway [redacted]"
    assert '"errorCode":"61"' in response.body.replace(" ", "")
    assert "48059528" not in response.body
    assert set(response.trace_ids) == {"x-request-id", "correlation-id", "traceparent"}
    assert "canary" not in repr(response)
    for again in (copy.copy(refused.value), pickle.loads(pickle.dumps(refused.value))):  # noqa: S301 - our own
        assert again.response == response


@pytest.mark.parametrize(
    ("reply", "error", "status", "body"),
    [
        (with_headers(200, b"<html>canary</html>"), UnexpectedResponseError, 200, "HTML"),
        (with_headers(302, b""), UnexpectedResponseError, 302, ""),
        (with_headers(503, {"message": "away"}), ApiError, 503, "away"),
        (with_headers(200, {"orderId": "acme-2"}), UnexpectedResponseError, 200, "acme-2"),
    ],
)
async def test_each_answer_that_brings_no_result_is_on_its_error(
    reply: Any, error: type[VippsError], status: int, body: str
) -> None:
    """A page, a redirect, a server in trouble and an answer of another kind are told with what they said."""
    async with session(ScriptedTransport().on("/details", reply), retry=ONCE) as vipps:
        with pytest.raises(error) as failed:
            await vipps.ecom.details("acme-1")
    response = failed.value.response
    assert response is not None
    assert response.status == status
    assert body in response.body
    assert "canary" not in repr(response)


async def test_an_unknown_outcome_has_the_answer_that_left_it_open() -> None:
    """`OutcomeUnknown` after a 503 has that answer; after silence it has none, though an earlier call was answered."""
    transport = ScriptedTransport().on("/capture", CAPTURED, with_headers(503, b"{}"), OutcomeUnknown("silence"))
    transport.on("/details", then=answer(503))
    async with session(transport, retry=ONCE) as vipps:
        await capture(vipps)
        with pytest.raises(OutcomeUnknown) as answered:
            await capture(vipps)
        with pytest.raises(OutcomeUnknown) as silent:
            await capture(vipps)
    assert answered.value.response is not None
    assert answered.value.response.status == 503
    assert set(answered.value.response.headers) == SHOWN
    assert silent.value.response is None


async def test_what_was_not_sent_has_no_answer() -> None:
    """An error before any answer came has none."""
    transport = ScriptedTransport().on("/details", RequestNotSent("refused"))
    async with session(transport, retry=ONCE) as vipps:
        with pytest.raises(RequestNotSent) as failed:
            await vipps.ecom.details("acme-1")
        assert failed.value.response is None
        with pytest.raises(InvalidInputError) as invalid:
            await vipps.ecom.details("")
        assert invalid.value.response is None


async def _alone(coroutine: Any) -> LastAnswer | None:
    """Run something in a task of its own, which begins without an answer, and return what it was answered last."""
    await coroutine
    return last_answer()


@pytest.mark.parametrize("journalled", [False, True])
async def test_the_answer_behind_a_result(*, journalled: bool) -> None:
    """The task that got a result can ask what it was read from; the result itself is as it was."""
    transport = ScriptedTransport().on("/capture", then=with_headers(200, CAPTURED.body))
    journal = MemoryJournal() if journalled else None
    async with session(transport, journal=journal) as vipps:
        result = await vipps.ecom.capture("acme-1", amount=49900, transaction_text="Shipped.")
        last = last_answer()
        assert last is not None
        assert (last.status, set(last.headers)) == (200, SHOWN)
        assert '"amount":49900' in last.body
        assert result == await vipps.ecom.capture("acme-1", amount=49900, transaction_text="Shipped.")
        assert "canary" not in repr(result)


async def test_each_operation_tells_its_answer() -> None:
    """Operations whose result is nothing, a list, or a secret tell theirs as well, and no secret."""
    secret = {"id": "7b6f2a4e-7f0a-4f3e-9a35-1f9a3c0a9d10", "secret": "canary-secret-of-a-webhook"}
    personal = {"sub": "canary-sub", "name": "Canary Canarysen", "email": "canary@example.com"}
    initiated = {"orderId": "acme-1", "url": "https://api.vipps.no/dwo?v=2&token=canary-token-of-a-payment"}
    transport = (
        ScriptedTransport()
        .on("/approve", with_headers(200, b""))
        .on("/events", with_headers(200, []))
        .on("/webhooks", with_headers(200, secret))
        .on("canary-sub", with_headers(200, personal))
        .on("/payments", with_headers(200, initiated))
    )
    async with session(transport) as vipps:
        calls = [
            vipps.ecom.approve("acme-1"),
            vipps.epayment.events("acme-shop-1"),
            vipps.webhooks.register("https://example.com/hooks", ["epayments.payment.captured.v1"]),
            vipps.userinfo.get("canary-sub"),
            initiate(vipps, "acme-1"),
        ]
        for call in calls:
            last = await asyncio.create_task(_alone(call))
            assert last is not None
            assert last.status == 200
            assert "anary" not in repr(last)


async def test_an_unreadable_registration_shows_nothing_of_its_body() -> None:
    """The secret of a webhook may stand in it under any name."""
    reply = answer(200, {"hookSecret": "canary-secret-of-a-webhook"})
    async with session(ScriptedTransport().on("/webhooks", reply, answer(200, {"webhooks": []})), retry=ONCE) as vipps:
        with pytest.raises(UnexpectedResponseError) as failed:
            await vipps.webhooks.register("https://example.com/hooks", ["epayments.payment.captured.v1"])
    assert failed.value.response is None
    assert "canary" not in str(vars(failed.value))


async def test_tasks_have_answers_of_their_own() -> None:
    """Side by side each task is told its own answer, and the one that waits for them nothing of theirs."""
    transport = ScriptedTransport().on("/details", answer(404, {"message": "a"}), answer(400, {"message": "b"}))

    async def status(order: str) -> int | None:
        with pytest.raises(ApiError):
            await vipps.ecom.details(order)
        await asyncio.sleep(0)
        last = last_answer()
        return None if last is None else last.status

    async def both() -> tuple[list[int | None], LastAnswer | None]:
        return list(await asyncio.gather(status("acme-1"), status("acme-2"))), last_answer()

    async with session(transport) as vipps:
        assert await asyncio.create_task(both()) == ([404, 400], None)


async def test_a_refused_token_request_shows_nothing_of_an_answer_that_may_hold_a_token() -> None:
    """A token request whose answer cannot be read is told without its body."""
    transport = ScriptedTransport().on("/accesstoken/get", with_headers(200, {"accessToken": "canary-token"}))
    async with session(transport, retry=ONCE) as vipps:
        with pytest.raises(VippsError) as failed:
            await vipps.ecom.details("acme-1")
    assert failed.value.response is not None
    assert (failed.value.response.status, failed.value.response.body) == (200, "")
    assert last_answer() is None or "canary" not in repr(last_answer())
