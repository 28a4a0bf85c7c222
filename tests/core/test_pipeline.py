"""What each failure of each way of repeating leads to: the requests that go out, and what comes back in the end."""

from __future__ import annotations

import asyncio
import itertools
import re
from typing import Any

import pytest
from attrs import evolve, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.fake_clock import FakeClock
from tests.core.gate import Gate
from tests.core.samples import KEY, NAMES, ORDER, SECRETS, Receipt, call_of, details, done, pipeline, vipps_error
from tests.support.rows import each_row
from vipps_async import errors
from vipps_async.config import RetryPolicy
from vipps_async.core.attempts import AttemptRecord
from vipps_async.core.operation import AuditInfo, Call, NoContent, Operation, Repeat, SettledBy
from vipps_async.core.pipeline import render
from vipps_async.core.verdict import Verdict
from vipps_async.ecom.dialect import ECOM
from vipps_async.errors import (
    ApiError,
    AuthenticationError,
    CaptureError,
    Effect,
    OrderLockedError,
    OrderNotFoundError,
    OutcomeUnknown,
    PermissionDeniedError,
    RateLimitedError,
    RequestNotSent,
    ServerError,
    UnexpectedResponseError,
    VippsError,
)
from vipps_async.journals.entries import KeyOrigin
from vipps_async.testing import Reply, ScriptedTransport, answer, token_answer
from vipps_async.transports.protocol import Request, Response

HTML = b"<html><body>Captured</body></html>"


@frozen
class Row:
    """What a failure that never ends leads to, with details answering each time that it has not happened.

    The requests are written as letters: m for the operation itself, d for details, one d for all looks at the end.
    """

    reply: Reply
    #: For SAFE, KEYED, CONFIRM and ONCE.
    requests: tuple[str, str, str, str]
    #: What is raised for SAFE, and for the others.
    error: tuple[type[VippsError], type[VippsError]]
    #: Whether money may have moved, for the others; for SAFE nothing ever has.
    effect: Effect = Effect.NONE
    #: How many times a token is fetched.
    tokens: int = 1


NONE, POSSIBLE, PROBABLE = Effect
RETRIED = ("mmmm", "mmmm", "mmmm", "mmmm")
ONCE_ASKED = ("mmmm", "mmmm", "mmmm", "mdmdmdmd")
DOUBTFUL = ("mmmm", "mmmmd", "mdmdmdmd", "mdmdmdmd")
UNSETTLED = ("mmmm", "mdmdmdmd", "mdmdmdmd", "mdmdmdmd")
SINGLE = ("m", "m", "m", "m")
UNREADABLE = ("mmmm", "mdmdmdmd", "mdmdmdmd", "md")
unknown = OutcomeUnknown
unreadable = (UnexpectedResponseError, UnexpectedResponseError)
locked = (OrderLockedError, OrderLockedError)
limited = (RateLimitedError, RateLimitedError)

ROWS = {
    "not sent": Row(RequestNotSent("refused"), RETRIED, (RequestNotSent, RequestNotSent)),
    "unknown": Row(OutcomeUnknown("cut"), DOUBTFUL, (OutcomeUnknown, unknown), POSSIBLE),
    "401": Row(answer(401), ("mm", "mm", "mm", "mm"), (AuthenticationError, AuthenticationError), tokens=2),
    "403": Row(answer(403), SINGLE, (PermissionDeniedError, PermissionDeniedError)),
    "404 html": Row(answer(404, HTML), ("m", "md", "md", "md"), (ApiError, unknown), POSSIBLE),
    "404 of Vipps": Row(vipps_error(404, "Merchant", "35"), SINGLE, (OrderNotFoundError, OrderNotFoundError)),
    "408": Row(answer(408), DOUBTFUL, (ApiError, unknown), POSSIBLE),
    "409": Row(answer(409), UNSETTLED, (ApiError, unknown), POSSIBLE),
    "423": Row(answer(423), ONCE_ASKED, locked),
    "425": Row(answer(425), ONCE_ASKED, (ApiError, ApiError)),
    "code 94": Row(vipps_error(423, "VippsError", "94"), ONCE_ASKED, locked),
    "code 98": Row(vipps_error(400, "VippsError", "98"), ONCE_ASKED, limited),
    "code 99": Row(vipps_error(400, "VippsError", "99"), UNSETTLED, (ServerError, unknown), POSSIBLE),
    "code 63": Row(vipps_error(400, "Payment", "63"), UNSETTLED, (CaptureError, unknown), POSSIBLE),
    "code 92": Row(vipps_error(400, "VippsError", "92"), UNSETTLED, (errors.InvalidRequestError, unknown), PROBABLE),
    "402": Row(answer(402), UNSETTLED, (ApiError, unknown), POSSIBLE),
    "429": Row(answer(429), ONCE_ASKED, limited),
    "429, wait 2 s": Row(answer(429, headers={"retry-after": "2"}), ONCE_ASKED, limited),
    "429, wait 600 s": Row(answer(429, headers={"retry-after": "600"}), ("m", "m", "m", "md"), limited),
    "500": Row(answer(500), DOUBTFUL, (ServerError, unknown), POSSIBLE),
    "502 html": Row(answer(502, HTML), DOUBTFUL, (ServerError, unknown), POSSIBLE),
    "503": Row(answer(503), DOUBTFUL, (ServerError, unknown), POSSIBLE),
    "504": Row(answer(504), DOUBTFUL, (ServerError, unknown), POSSIBLE),
    "refused": Row(vipps_error(400, "Payment", "61"), SINGLE, (CaptureError, CaptureError)),
    "200 html": Row(answer(200, HTML), UNREADABLE, unreadable, PROBABLE),
    "200 truncated": Row(answer(200, b'{"orderId":"acme-1","sta'), UNREADABLE, unreadable, PROBABLE),
    "200 array": Row(answer(200, [{"orderId": ORDER}]), UNREADABLE, unreadable, PROBABLE),
    "200 empty": Row(answer(200), UNREADABLE, unreadable, PROBABLE),
    "204": Row(answer(204), UNREADABLE, unreadable, PROBABLE),
    "another order": Row(done("acme-2"), UNREADABLE, unreadable, PROBABLE),
    "307": Row(answer(307, headers={"location": "https://evil.example"}), UNREADABLE, unreadable, POSSIBLE),
}
PATIENT = RetryPolicy(deadline=600.0, throttled_base=0.5)


def letters(transport: ScriptedTransport) -> str:
    """Write the requests as in a Row."""
    return "".join("d" if request.url.endswith("/details") else "m" for request in transport.requests)


def mains(transport: ScriptedTransport) -> list[Request]:
    """Return the requests of the operation itself."""
    return [request for request in transport.requests if not request.url.endswith("/details")]


@each_row("repeat", Repeat)
@each_row("name", ROWS)
async def test_a_failure_that_never_ends(name: str, repeat: Repeat) -> None:
    """Each failure leads to exactly these requests, all with the same bytes, and to an error that tells all facts."""
    row = ROWS[name]
    transport = ScriptedTransport().on("/details", then=details("no")).on("", then=row.reply)
    call = call_of(repeat)
    clock = FakeClock()
    began = clock.monotonic()
    with pytest.raises(VippsError) as caught:
        await pipeline(transport, clock=clock).run(call)
    error = caught.value
    column = list(Repeat).index(repeat)
    assert row.requests[column] == re.sub("d+$", "d", letters(transport))
    assert row.tokens == len(transport.token_requests)
    assert (row.error[0] if repeat is Repeat.SAFE else row.error[1]) is type(error)
    assert (Effect.NONE if repeat is Repeat.SAFE else row.effect) is error.effect
    assert (error.operation, error.payment, error.idempotency_key) == (
        f"ecom.{NAMES[repeat]}",
        ORDER,
        call.idempotency_key,
    )
    assert len({(r.method, r.url, r.body, r.headers.get("X-Request-Id")) for r in mains(transport)}) == 1
    assert clock.monotonic() - began <= 60.0
    if type(error) is OutcomeUnknown and name != "unknown":
        assert error.__cause__ is not None
        assert error.status == getattr(error.__cause__, "status", None)
    assert error.advice
    assert len(str(error).splitlines()) == 1


@each_row("repeat", Repeat)
@each_row("name", ["not sent", "401", "423", "code 98", "429", "429, wait 2 s", "unknown", "409", "500"])
async def test_a_failure_that_passes(name: str, repeat: Repeat) -> None:
    """A passing failure is hidden from the caller: the second attempt's answer is the result."""
    transport = ScriptedTransport().on("/details", then=details("no")).on("", ROWS[name].reply, done())
    clock = FakeClock()
    receipt = await pipeline(transport, clock=clock).run(call_of(repeat))
    assert receipt == Receipt(order_id=ORDER, status="Captured", settled_by=SettledBy.ANSWER)
    assert len(mains(transport)) == 2
    if name == "429, wait 2 s":
        assert clock.pauses == [2.0]


async def test_the_first_request() -> None:
    """A keyed call goes out once, to its path, with its headers and the exact bytes of its body."""
    transport = ScriptedTransport().on("/capture", done())
    await pipeline(transport).run(call_of(Repeat.KEYED))
    (request,) = transport.requests
    (token_request,) = transport.token_requests
    assert (request.method, request.url) == ("POST", "https://apitest.vipps.no/pay/acme-1/capture")
    assert request.body == b'{"amount":49900,"text":"Two socks."}'
    assert request.headers == {
        "Accept": "application/json",
        "Authorization": "Bearer scripted-token",
        "Content-Type": "application/json",
        "Merchant-Serial-Number": "123456",
        "Ocp-Apim-Subscription-Key": "canary-sub-key",
        "Vipps-System-Name": "vipps-async",
        "Vipps-System-Version": request.headers["Vipps-System-Version"],
        "X-Request-Id": KEY,
    }
    assert (token_request.method, token_request.url) == ("POST", "https://apitest.vipps.no/accesstoken/get")
    assert token_request.body is None
    assert token_request.headers["client_secret"] == SECRETS["client_secret"]
    assert "client_secret" not in request.headers


async def test_an_order_id_cannot_change_the_path() -> None:
    """Whatever an order id holds, it stays one segment of the path."""
    kind = call_of(Repeat.KEYED).operation
    assert kind.path_for("../x?a#b/%2e") == "/pay/..%2Fx%3Fa%23b%2F%252e/capture"


async def test_an_operation_without_content() -> None:
    """If an answer's body does not matter, any 2xx with JSON or nothing is a success; a proxy's page is not."""
    kind = Operation(dialect=ECOM, verb="approve", method="POST", path="/approve", result=NoContent, repeat=Repeat.SAFE)
    call: Any = call_of(Repeat.SAFE, operation=kind, path="/approve")
    for body in (b"", b"{}"):
        transport = ScriptedTransport().on("/approve", answer(200, body))
        assert await pipeline(transport).run(call) == NoContent()
    page = answer(200, b"<html>ok</html>")
    with pytest.raises(UnexpectedResponseError):
        await pipeline(ScriptedTransport().on("/approve", page, page, page, page)).run(call)


async def test_an_unreadable_answer_is_kept_without_secrets() -> None:
    """The beginning of an answer that cannot be read stays for the reader, without tokens and confidential values."""
    body = b'["scripted-token canary-secret 99887766 Service down"]'
    transport = ScriptedTransport().on("/capture", answer(200, body))
    with pytest.raises(UnexpectedResponseError) as caught:
        await pipeline(transport).run(call_of(Repeat.KEYED, ask=False, secrets=("99887766",)))
    assert "Service down" in caught.value.body
    page = ScriptedTransport().on("/capture", answer(200, b"<p>Kari Nordmann, 99887766</p>"))
    with pytest.raises(UnexpectedResponseError) as told:
        await pipeline(page).run(call_of(Repeat.KEYED, ask=False))
    assert "Kari" not in told.value.body
    assert not any(canary in caught.value.body for canary in ("scripted-token", "canary", "99887766"))


async def test_nothing_of_an_unreadable_token_is_kept() -> None:
    """A token answer cut short may hold the token: none of it stands in the error."""
    transport = ScriptedTransport().on("/get", then=answer(200, b'{"access":"canary-tok'))
    with pytest.raises(UnexpectedResponseError) as caught:
        await pipeline(transport).run(call_of(Repeat.KEYED))
    cause = caught.value.__cause__
    assert isinstance(cause, UnexpectedResponseError)
    assert "canary" not in f"{caught.value!r} {caught.value.body} {cause!r} {cause.body}"
    assert caught.value.effect is Effect.NONE
    assert transport.requests == []


# --- reconciliation --------------------------------------------------------------------------------------------------


@each_row("repeat", [Repeat.KEYED, Repeat.CONFIRM])
@each_row("name", ["unknown", "409", "500", "404 html"])
async def test_proven_by_details(name: str, repeat: Repeat) -> None:
    """If the answer got lost but details prove the effect, the proven result comes back, marked as such."""
    transport = ScriptedTransport().on("/details", details("yes")).on("", then=ROWS[name].reply)
    receipt = await pipeline(transport).run(call_of(repeat))
    assert receipt == Receipt(order_id=ORDER, status="Proven", settled_by=SettledBy.HISTORY)
    assert letters(transport).count("d") == 1


@pytest.mark.parametrize("repeat", [Repeat.KEYED, Repeat.CONFIRM, Repeat.ONCE])
async def test_a_failed_entry_is_no_verdict(repeat: Repeat) -> None:
    """A failed entry in the history is the end of one attempt, not of the operation: money may have moved."""
    transport = ScriptedTransport().on("/details", then=details("failed")).on("", then=OutcomeUnknown("cut"))
    with pytest.raises(OutcomeUnknown, match="the bank said no") as caught:
        await pipeline(transport).run(call_of(repeat))
    assert caught.value.effect is Effect.POSSIBLE


async def test_a_failed_entry_and_then_success_under_the_same_key() -> None:
    """After an answer that settles nothing and a failed entry, the same key is sent again, and its success counts."""
    transport = ScriptedTransport().on("/details", then=details("failed"))
    transport.on("/capture", vipps_error(400, "Payment", "63"), done())
    assert (await pipeline(transport).run(call_of(Repeat.KEYED))).settled_by is SettledBy.ANSWER
    assert len({request.headers["X-Request-Id"] for request in mains(transport)}) == 1


@pytest.mark.parametrize("repeat", [Repeat.KEYED, Repeat.CONFIRM])
async def test_details_lag(repeat: Repeat) -> None:
    """Absent once is not absent: the history is looked at again until the operation shows, within the deadline."""
    clock = FakeClock()
    transport = ScriptedTransport().on("/details", *[details("no")] * 4, then=details("yes"))
    transport.on("", OutcomeUnknown("cut"), then=vipps_error(400, "Payment", "61"))
    receipt = await pipeline(transport, clock=clock).run(call_of(repeat))
    assert receipt.settled_by is SettledBy.HISTORY
    assert clock.monotonic() < 1060.0


async def test_what_was_moved_otherwise_is_no_success() -> None:
    """If the history has the key with another amount, the error names both amounts, and nothing is sent again.

    What was moved goes on record, so that the journal settles it as done with that amount.
    """
    transport = ScriptedTransport().on("/details", details("otherwise")).on("", OutcomeUnknown("cut"), answer(500))
    call, record = call_of(Repeat.KEYED), AttemptRecord()
    with pytest.raises(UnexpectedResponseError, match="49900 øre were asked for, and 100 øre were moved") as caught:
        await pipeline(transport, retry=RetryPolicy(attempts=2)).run_rendered(call, render(call), record)
    assert caught.value.effect is Effect.PROBABLE
    assert record.moved_otherwise == caught.value.carried_out == Receipt(order_id=ORDER, status="Proven")
    assert record.verdict is Verdict.APPLIED


async def test_an_answer_that_does_not_fit_is_looked_up_before_anything_is_raised() -> None:
    """A 2xx that says something else than was asked for counts only if details have the operation as it was asked."""
    odd = evolve(call_of(Repeat.KEYED).operation, misfit=lambda _call, receipt: f"it says {receipt.status!r}")
    call = call_of(Repeat.KEYED, operation=odd)
    transport = ScriptedTransport().on("/details", details("no"), details("yes")).on("/capture", done())
    assert (await pipeline(transport).run(call)).settled_by is SettledBy.HISTORY
    assert letters(transport) == "mdd"
    never = ScriptedTransport().on("/details", then=details("no")).on("/capture", done())
    with pytest.raises(UnexpectedResponseError, match="not what was asked for: it says 'Captured'") as caught:
        await pipeline(never).run(call)
    assert caught.value.effect is Effect.PROBABLE
    assert len(mains(never)) == 1


async def test_what_an_answer_does_not_repeat_is_put_into_its_result() -> None:
    """After it was held against the call; what the history proves is taken as it is."""
    seen: list[str] = []

    def fits(_call: Call[Receipt], receipt: Receipt) -> None:
        seen.append(receipt.status)

    filled = evolve(
        call_of(Repeat.KEYED).operation,
        misfit=fits,
        complete=lambda call, receipt: evolve(receipt, status=f"{receipt.status} by {call.idempotency_key}"),
    )
    call = call_of(Repeat.KEYED, operation=filled)
    transport = ScriptedTransport().on("/details", details("yes")).on("/capture", done(), answer(200, b"?"))
    line = pipeline(transport)
    assert [(await line.run(call)).status for _ in range(2)] == [f"Captured by {KEY}", "Proven"]
    assert seen == ["Captured"]


async def test_a_refused_cancel_of_what_is_cancelled_is_done() -> None:
    """Cancelling again what is cancelled is no error: one look at details tells."""
    transport = ScriptedTransport().on("/details", details("yes"))
    transport.on("/cancel", vipps_error(400, "Payment", "51"))
    call = call_of(Repeat.CONFIRM, audit=AuditInfo(amount=None, currency="NOK"))
    assert (await pipeline(transport).run(call)).settled_by is SettledBy.HISTORY


async def test_a_key_makes_another_attempt_safe_whatever_the_history_lacks() -> None:
    """After an answer that settles nothing and a history that cannot be relied on, the same key is sent again."""
    transport = ScriptedTransport().on("/details", details("perhaps"))
    transport.on("/capture", vipps_error(400, "Payment", "63"), done())
    assert (await pipeline(transport).run(call_of(Repeat.KEYED))).settled_by is SettledBy.ANSWER


def _with(origin: KeyOrigin) -> Call[Receipt]:
    return call_of(Repeat.KEYED, audit=AuditInfo(amount=49900, currency="NOK", origin=origin))


@pytest.mark.parametrize(("origin", "looks"), [(KeyOrigin.MADE, 0), (KeyOrigin.GIVEN, 1), (KeyOrigin.ROW, 1)])
async def test_a_refused_call_with_a_given_key_looks_once(origin: KeyOrigin, looks: int) -> None:
    """A given key may have been used before: one look at details; absent, this call moved nothing."""
    transport = ScriptedTransport().on("/details", then=details("no"))
    transport.on("/capture", then=vipps_error(400, "Payment", "61"))
    with pytest.raises(CaptureError) as caught:
        await pipeline(transport).run(_with(origin))
    assert caught.value.effect is Effect.NONE
    assert letters(transport) == "m" + "d" * looks


async def test_a_refused_call_whose_given_key_was_used_before() -> None:
    """If details have a given key as done, its result is the call's."""
    transport = ScriptedTransport().on("/details", details("yes"))
    transport.on("/capture", vipps_error(400, "Payment", "61"))
    assert (await pipeline(transport).run(_with(KeyOrigin.GIVEN))).settled_by is SettledBy.HISTORY


async def test_a_refused_call_whose_given_key_moved_another_amount() -> None:
    """If details have a given key with another amount, this call moved nothing, and both amounts are named."""
    transport = ScriptedTransport().on("/details", details("otherwise"))
    transport.on("/capture", vipps_error(400, "Payment", "61"))
    with pytest.raises(CaptureError, match=r"this call moved nothing.*49900.*100 øre were moved") as caught:
        await pipeline(transport).run(_with(KeyOrigin.GIVEN))
    assert caught.value.effect is Effect.NONE


async def test_a_used_key_after_the_same_bytes_speaks_for_an_effect() -> None:
    """A key told as used, after our own attempt with the same bytes, is no refusal: it probably took effect."""
    transport = ScriptedTransport().on("/details", then=details("no"))
    transport.on("/capture", OutcomeUnknown("cut"), then=vipps_error(400, "Payment", "93"))
    with pytest.raises(OutcomeUnknown) as caught:
        await pipeline(transport).run(call_of(Repeat.KEYED))
    assert caught.value.effect is Effect.PROBABLE


async def test_a_used_key_at_the_first_attempt_is_a_refusal() -> None:
    """At the first attempt under a key the same answer means that somebody else used it: this call moved nothing."""
    transport = ScriptedTransport().on("/capture", then=vipps_error(400, "Payment", "93"))
    with pytest.raises(errors.IdempotencyMismatchError) as caught:
        await pipeline(transport).run(_with(KeyOrigin.GIVEN))
    assert caught.value.effect is Effect.NONE
    assert letters(transport) == "m"


async def test_a_cancelled_call_names_its_key() -> None:
    """Whoever cancels a call, or lets it time out, finds its key in a note on the exception."""
    gate = Gate(done())
    running = asyncio.create_task(pipeline(ScriptedTransport().on("/capture", gate)).run(_with(KeyOrigin.MADE)))
    await gate.reached.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await running
    assert KEY in "".join(caught.value.__notes__)


@each_row("repeat", [Repeat.KEYED, Repeat.CONFIRM, Repeat.ONCE])
@each_row(
    ("reply", "words"),
    [
        (details("perhaps"), "the history is torn"),
        (answer(403), "details answered 403"),
        (answer(200, HTML), "the payment could not be looked up"),
        (RequestNotSent("unplugged"), "the payment could not be looked up (unplugged"),
        (OutcomeUnknown("silence"), "the payment could not be looked up (silence"),
        (answer(500), "details answered 500"),
    ],
)
async def test_details_that_prove_nothing(reply: Reply, words: str, repeat: Repeat) -> None:
    """If details prove neither, nothing is sent again after a doubt, and the outcome is unknown, with the reason."""
    transport = ScriptedTransport().on("/details", then=reply).on("", then=OutcomeUnknown("cut", status=200))
    with pytest.raises(OutcomeUnknown, match="money may have moved") as caught:
        await pipeline(transport).run(call_of(repeat))
    assert words in str(caught.value)
    assert caught.value.status == 200
    assert caught.value.idempotency_key == (KEY if repeat is Repeat.KEYED else None)
    assert len(mains(transport)) == (4 if repeat is Repeat.KEYED else 1)


@pytest.mark.parametrize("repeat", [Repeat.KEYED, Repeat.CONFIRM, Repeat.ONCE])
async def test_without_a_way_to_ask(repeat: Repeat) -> None:
    """Without a way to ask, a doubt ends as unknown, and what must not be repeated blindly is not."""
    transport = ScriptedTransport().on("", then=OutcomeUnknown("cut"))
    with pytest.raises(OutcomeUnknown, match="the payment was not looked up"):
        await pipeline(transport).run(call_of(repeat, ask=False))
    assert len(transport.requests) == (4 if repeat is Repeat.KEYED else 1)


async def test_an_initiate_that_never_arrived_is_sent_again() -> None:
    """After an unknown outcome, an order that Vipps does not know is initiated again."""
    transport = ScriptedTransport()
    transport.on("/details", vipps_error(404, "Merchant", "35")).on("/initiate", OutcomeUnknown("cut"), done())
    receipt = await pipeline(transport).run(call_of(Repeat.ONCE))
    assert receipt.status == "Captured"
    assert letters(transport) == "mdm"


async def test_an_initiate_whose_answer_got_lost() -> None:
    """If the payment is there after an unknown outcome, the error says that its URL is lost."""
    transport = ScriptedTransport().on("/details", details("yes")).on("/initiate", OutcomeUnknown("cut"))
    with pytest.raises(errors.PaymentUrlLostError, match="new id") as caught:
        await pipeline(transport).run(call_of(Repeat.ONCE))
    assert type(caught.value.__cause__) is OutcomeUnknown


@pytest.mark.parametrize("happened", ["yes", "no", "perhaps"])
async def test_a_duplicate_after_a_doubt_is_our_own(happened: str) -> None:
    """The order exists after an attempt in doubt: it is this very call's, whatever details say now."""
    transport = ScriptedTransport().on("/details", details("no"), details(happened))
    transport.on("/initiate", OutcomeUnknown("cut"), vipps_error(400, "Merchant", "34"))
    with pytest.raises(errors.PaymentUrlLostError):
        await pipeline(transport).run(call_of(Repeat.ONCE))


async def test_a_duplicate_at_first_is_somebody_elses() -> None:
    """The order exists already at the first attempt: the order id was used before."""
    transport = ScriptedTransport().on("/initiate", vipps_error(400, "Merchant", "34"))
    with pytest.raises(errors.DuplicateOrderError) as caught:
        await pipeline(transport).run(call_of(Repeat.ONCE))
    assert type(caught.value) is errors.DuplicateOrderError
    assert letters(transport) == "m"


async def test_an_order_that_exists_though_this_call_never_got_through() -> None:
    """A throttled initiate had no effect, so an order that details know is somebody else's."""
    transport = ScriptedTransport().on("/details", details("yes")).on("/initiate", answer(429))
    with pytest.raises(errors.DuplicateOrderError) as caught:
        await pipeline(transport).run(call_of(Repeat.ONCE))
    assert type(caught.value) is errors.DuplicateOrderError


@pytest.mark.parametrize(
    "refusal",
    [
        vipps_error(400, "Payment", "61"),
        vipps_error(400, "Payment", "73"),
        vipps_error(404, "Merchant", "35"),
        vipps_error(400, "InvalidRequest", "transaction.amount"),
        answer(403),
    ],
)
async def test_a_refusal_after_a_doubt_settles_nothing(refusal: Response) -> None:
    """A doubt, then a refusal of any kind, and a history without it: the first attempt may arrive later."""
    transport = ScriptedTransport().on("/details", then=details("no"))
    transport.on("/capture", OutcomeUnknown("cut"), refusal)
    with pytest.raises(OutcomeUnknown) as caught:
        await pipeline(transport).run(call_of(Repeat.KEYED))
    assert caught.value.effect is Effect.POSSIBLE
    assert re.fullmatch("mmd+", letters(transport))


async def test_a_refusal_after_a_doubt_that_was_done() -> None:
    """A doubt, then a refusal because it has been done already: details prove it done."""
    transport = ScriptedTransport().on("/details", details("yes"))
    transport.on("/capture", OutcomeUnknown("cut"), vipps_error(400, "VippsError", "92"))
    assert (await pipeline(transport).run(call_of(Repeat.KEYED))).settled_by is SettledBy.HISTORY


async def test_a_token_that_fails_after_a_doubt_is_no_proof() -> None:
    """If the token cannot be fetched for the repetition, the first attempt's outcome stays unknown."""
    transport = ScriptedTransport().on("/get", token_answer(lifetime=0), then=answer(403))
    transport.on("/details", then=details("no")).on("/capture", OutcomeUnknown("cut"))
    with pytest.raises(OutcomeUnknown, match="fetching a token failed") as caught:
        await pipeline(transport).run(call_of(Repeat.KEYED))
    assert caught.value.effect is Effect.POSSIBLE


@pytest.mark.parametrize("repeat", [Repeat.CONFIRM, Repeat.ONCE])
async def test_a_refused_token_is_no_answer_about_the_order(repeat: Repeat) -> None:
    """If details cannot be asked because the token is refused, even as not found, nothing is proven or sent again."""
    transport = ScriptedTransport().on("/get", token_answer(lifetime=0), then=vipps_error(404, "Merchant", "35"))
    transport.on("", OutcomeUnknown("cut"))
    with pytest.raises(OutcomeUnknown, match=r"the payment could not be looked up \(fetching a token failed"):
        await pipeline(transport).run(call_of(repeat))
    assert letters(transport) == "m"


# --- one call, one key, one body -------------------------------------------------------------------------------------


REPLIES = [row.reply for row in ROWS.values()]


@given(
    st.sampled_from(Repeat),
    st.lists(st.sampled_from(REPLIES), max_size=6),
    st.lists(st.sampled_from([*map(details, ("yes", "no", "failed", "?")), *REPLIES]), max_size=8),
    st.lists(st.sampled_from([token_answer(), token_answer(lifetime=0), *REPLIES]), max_size=4),
    st.integers(1, 4),
)
@settings(max_examples=500)
async def test_no_call_ever_sends_two_keys_or_two_bodies(
    repeat: Repeat, story: list[Reply], asked: list[Reply], tokens: list[Reply], attempts: int
) -> None:
    """Whatever happens, one call has one key and one body, few attempts, and an end that is our own."""
    transport = ScriptedTransport().on("/get", *tokens, then=token_answer())
    transport.on("/details", *asked, then=details("no")).on("", *story, then=done())
    call = call_of(repeat)
    clock = FakeClock()
    began = clock.monotonic()
    end: Receipt | VippsError
    try:
        end = await pipeline(transport, clock=clock, retry=RetryPolicy(attempts=attempts)).run(call)
    except VippsError as error:
        end = error
    assert (end.payment if isinstance(end, VippsError) else end.order_id) == ORDER
    if isinstance(end, VippsError):
        assert (end.operation, end.idempotency_key) == (f"ecom.{NAMES[repeat]}", call.idempotency_key)
        assert end.effect is Effect.NONE or repeat is not Repeat.SAFE
    sent = mains(transport)
    assert len(sent) <= max(attempts, 2)
    assert {request.body for request in sent} <= {render(call)}
    assert {request.headers.get("X-Request-Id") for request in sent} <= {call.idempotency_key}
    if repeat in {Repeat.CONFIRM, Repeat.ONCE}:
        assert not any(_in_doubt(story[at]) for at in _followed_directly(transport) if at < len(story))
    assert clock.monotonic() - began <= 60.0 * 2


def _in_doubt(reply: Reply) -> bool:
    names = ("unknown", "404 html", "408", "409", "code 99", "500", "502 html", "503", "504")
    return reply in [ROWS[name].reply for name in names]


def _followed_directly(transport: ScriptedTransport) -> list[int]:
    """Return the numbers of the attempts that were followed by another one with no question in between."""
    found, number = [], -1
    for this, following in itertools.pairwise(letters(transport)):
        number += this == "m"
        if this == following == "m":
            found.append(number)
    return found
