"""What holds for every further attempt of a call: the same bytes and key, counted first, and no doubt forgotten."""

from __future__ import annotations

import math

import pytest
from attrs import define

from tests.core.fake_clock import FakeClock
from tests.core.samples import KEY, ORDER, call_of, details, done, pipeline, vipps_error
from vipps_async.config import RetryPolicy
from vipps_async.core import retry
from vipps_async.core.attempts import AttemptRecord
from vipps_async.core.operation import AuditInfo, Repeat
from vipps_async.core.pipeline import render
from vipps_async.errors import (
    CaptureError,
    Effect,
    JournalError,
    OutcomeUnknown,
    RequestNotSent,
    UnexpectedResponseError,
    VippsError,
)
from vipps_async.testing import Reply, ScriptedTransport, answer
from vipps_async.transports.protocol import Request, Response


@define(kw_only=True)
class Basket:
    """A body that somebody changes while the call is under way."""

    amount: int


class Changing(ScriptedTransport):
    """Changes the body after each request."""

    def __init__(self, body: Basket) -> None:
        super().__init__()
        self.body = body

    async def send(self, request: Request) -> Response:
        """See Transport."""
        try:
            return await super().send(request)
        finally:
            self.body.amount += 1


async def test_the_body_is_rendered_once() -> None:
    """A key means one payload: every attempt sends the bytes of the first, whatever becomes of the object."""
    body = Basket(amount=49900)
    transport = Changing(body).on("/capture", OutcomeUnknown("cut"), RequestNotSent("refused"), done())
    await pipeline(transport).run(call_of(Repeat.KEYED, body=body))
    sent = [request.body for request in transport.requests]
    assert len(sent) == 3
    assert len(set(sent)) == 1
    assert {request.headers["X-Request-Id"] for request in transport.requests} == {KEY}


@pytest.mark.parametrize("in_doubt", [0, 1])
async def test_a_refusal_ends_no_doubt_of_an_earlier_call(in_doubt: int) -> None:
    """*No money moved* only if no attempt of an earlier call under the key is in doubt."""
    transport = ScriptedTransport().on("/details", then=details("no"))
    transport.on("/capture", vipps_error(400, "Payment", "61"))
    call = call_of(Repeat.KEYED)
    record = AttemptRecord(earlier_in_doubt=in_doubt)
    with pytest.raises(OutcomeUnknown if in_doubt else CaptureError) as caught:
        await pipeline(transport).run_rendered(call, render(call), record)
    assert caught.value.effect is (Effect.POSSIBLE if in_doubt else Effect.NONE)


async def test_what_an_earlier_call_did_is_found() -> None:
    """A refused call whose earlier attempt is in doubt is done if details show it."""
    transport = ScriptedTransport().on("/details", then=details("yes"))
    transport.on("/capture", vipps_error(400, "Payment", "61"))
    call = call_of(Repeat.KEYED)
    receipt = await pipeline(transport).run_rendered(call, render(call), AttemptRecord(earlier_in_doubt=1))
    assert receipt.status == "Proven"


@pytest.mark.parametrize(
    "first",
    [OutcomeUnknown("cut"), answer(200, b"<html>"), vipps_error(409, "X", "1")],
    ids=["cut", "unreadable", "conflict"],
)
@pytest.mark.parametrize("found", ["unclear", "yes"])
async def test_the_history_of_an_initiate_is_read_once(first: Reply, found: str) -> None:
    """Whichever failure asked for it: nobody waits for a payment whose URL is lost."""
    transport = ScriptedTransport().on("/details", then=details(found)).on("/initiate", then=first)
    with pytest.raises(VippsError):
        await pipeline(transport).run(call_of(Repeat.ONCE))
    assert len([request for request in transport.requests if request.url.endswith("/details")]) == 1


async def test_what_cannot_be_counted_is_not_sent() -> None:
    """A further attempt is counted durably before it leaves; if it cannot be, the one before stays in doubt."""

    async def count() -> None:
        raise JournalError("the disk is full")

    transport = ScriptedTransport().on("/details", then=details("no"))
    transport.on("/capture", OutcomeUnknown("cut"), then=done())
    call = call_of(Repeat.KEYED)
    with pytest.raises(OutcomeUnknown) as caught:
        await pipeline(transport).run_rendered(call, render(call), AttemptRecord(count=count))
    assert caught.value.effect is Effect.POSSIBLE
    assert len([request for request in transport.requests if request.url.endswith("/capture")]) == 1


@pytest.mark.parametrize("found", ["yes", "no"])
async def test_an_answer_about_another_order_is_no_success(found: str) -> None:
    """Details are looked at first; only what they do not have is sent again, with the same key and bytes."""
    transport = ScriptedTransport().on("/details", then=details(found)).on("/capture", done("acme-2"), done())
    receipt = await pipeline(transport).run(call_of(Repeat.KEYED))
    asked = [request.url.rpartition("/")[2] for request in transport.requests if "/pay/" in request.url]
    assert receipt.order_id == ORDER
    assert receipt.status == ("Proven" if found == "yes" else "Captured")
    assert asked == (["capture", "details"] if found == "yes" else ["capture", "details", "capture"])
    sent = [request for request in transport.requests if request.url.endswith("/capture")]
    assert {(request.headers["X-Request-Id"], request.body) for request in sent} == {(KEY, sent[0].body)}


async def test_an_answer_about_another_order_stays_in_doubt() -> None:
    """Where details never show it, money may have moved, and the error is no success either."""
    transport = ScriptedTransport().on("/details", then=details("no")).on("/capture", then=done("acme-2"))
    with pytest.raises(UnexpectedResponseError, match="about another payment") as caught:
        await pipeline(transport).run(call_of(Repeat.KEYED))
    assert caught.value.effect is Effect.PROBABLE


@pytest.mark.parametrize(("is_row", "looks"), [(False, 11), (True, 5)])
@pytest.mark.parametrize("audit", [None, AuditInfo(amount=49900, currency="NOK")])
async def test_looks_go_on_until_the_deadline(
    monkeypatch: pytest.MonkeyPatch, audit: AuditInfo | None, looks: int, *, is_row: bool
) -> None:
    """A call in doubt looks until nearly a minute is over; a row of a batch for seven and a half seconds."""
    monkeypatch.setattr(retry, "_FIRST_LOOK_PAUSE", 0.5)
    monkeypatch.setattr(retry, "_MOST_LOOKS", math.inf)
    clock = FakeClock()
    transport = ScriptedTransport().on("/details", then=details("no")).on("/capture", then=OutcomeUnknown("cut"))
    call = call_of(Repeat.KEYED, audit=audit, is_row=is_row)
    began = clock.monotonic()
    with pytest.raises(OutcomeUnknown):
        await pipeline(transport, clock=clock, retry=RetryPolicy(attempts=1)).run(call)
    asked = [request for request in transport.requests if request.url.endswith("/details")]
    assert len(asked) == looks
    assert clock.monotonic() - began < 60.0


async def test_what_details_show_late_is_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry that appears half a minute after the answer got lost is found by the call itself."""
    monkeypatch.setattr(retry, "_FIRST_LOOK_PAUSE", 0.5)
    monkeypatch.setattr(retry, "_MOST_LOOKS", math.inf)
    transport = ScriptedTransport().on("/details", *[details("no")] * 8, then=details("yes"))
    transport.on("/capture", then=OutcomeUnknown("cut"))
    receipt = await pipeline(transport, retry=RetryPolicy(attempts=1)).run(call_of(Repeat.KEYED))
    assert receipt.status == "Proven"
