"""Many payments at once: one result a row, each order in its sequence, at a pace that follows Vipps' answers."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.batch.shop import MSN, stock, stock_one
from vipps_async import (
    CancelError,
    ConfigurationError,
    Credentials,
    InvalidInputError,
    JournalError,
    MemoryJournal,
    RetryPolicy,
    SqliteJournal,
    TransportError,
    VippsSession,
    eur,
    nok,
)
from vipps_async.batch import (
    BatchOperation,
    BatchRow,
    RowOutcome,
    RowResult,
    cancel_many,
    capture_many,
    preview_many,
    refund_many,
)
from vipps_async.core.operation import Call
from vipps_async.core.pipeline import Pipeline
from vipps_async.not_given import NOT_GIVEN
from vipps_async.sandbox import Fault, State
from vipps_async.testing import Sandbox, ScriptedTransport, answer
from vipps_async.transports.protocol import Request, Response

#: Seconds that anything here may take on a busy machine.
PATIENCE = 30.0
KEYS = Credentials(client_id="a", client_secret="b", subscription_key="c", merchant_serial_number=MSN)


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A Vipps of its own."""
    async with Sandbox(rate_limits=False) as running:
        yield running


def row(number: int, **changes: Any) -> BatchRow:
    """Capture 10 kroner of `order-{number}`."""
    values: dict[str, Any] = {
        "payment": f"order-{number}",
        "amount": 1000,
        "text": "Shipped.",
        "reference": f"shipment-{number}",
    }
    return BatchRow(**values | changes)


async def collect(results: Any) -> dict[str, RowResult]:
    """All results by reference."""
    async with asyncio.timeout(PATIENCE):
        return {result.row.reference: result async for result in results}


async def drain(results: Any, into: list[RowOutcome]) -> None:
    """Take all results; what came before an error counts."""
    async for result in results:
        into.append(result.outcome)  # noqa: PERF401 - as said


def scripted(respond: Callable[[Request], Any]) -> VippsSession:
    """A session whose captures are answered by a function."""
    transport = ScriptedTransport().on("", then=respond)
    return VippsSession(KEYS, transport=transport, retry=RetryPolicy(attempts=1))


def captured(request: Request) -> Response:
    """Vipps' answer to a capture."""
    order_id = request.url.split("/")[-2]
    info = {"amount": 1000, "status": "Captured", "transactionId": "1", "timeStamp": "2026-01-01T12:00:00Z"}
    return answer(200, {"orderId": order_id, "transactionInfo": info})


# --- outcomes ---------------------------------------------------------------------------------------------------------


async def test_each_row_gets_one_result(sandbox: Sandbox) -> None:
    """A mixed bag: every row ends as it should, and what Vipps has explains a refusal."""
    stock(sandbox, 20)
    stock_one(sandbox, "gone", 1000)
    sandbox._book.only("gone").payment.cancel(release_remaining=False, text="x", now=sandbox.clock.now())
    stock_one(sandbox, "waiting", 1000, approve=False)
    rows = [row(number) for number in range(20)] + [
        row(0, payment="unknown", reference="unknown"),
        row(0, payment="gone", reference="gone"),
        row(0, payment="waiting", reference="waiting"),
        row(1, amount=100, reference="nothing left"),
    ]
    async with sandbox.session() as vipps:
        results = await collect(capture_many(vipps.ecom, rows))
    assert len(results) == 24
    for number in range(20):
        result = results[f"shipment-{number}"]
        assert (result.outcome, result.amount) == (RowOutcome.DONE, 1000)
        assert result.time is not None
        assert result.reason == ""
        assert sandbox.payment(f"order-{number}").request_ids == (result.idempotency_key,)
    refusals = {name: results[name] for name in ("unknown", "gone", "waiting", "nothing left")}
    assert {result.outcome for result in refusals.values()} == {RowOutcome.REFUSED}
    assert refusals["unknown"].code == "Merchant 35"
    assert "It is cancelled" in refusals["gone"].reason
    assert "reserved 0.00 NOK" in refusals["waiting"].reason
    assert "captured 10.00 NOK, refunded 0.00 NOK, left to capture 0.00 NOK" in refusals["nothing left"].reason


async def test_a_row_without_an_amount_takes_all_and_says_how_much(sandbox: Sandbox) -> None:
    """The sum in the result is Vipps' own."""
    stock_one(sandbox, "order-1", 12_345)
    async with sandbox.session() as vipps:
        everything = BatchRow(payment="order-1", text="Shipped.", reference="s")
        results = await collect(capture_many(vipps.ecom, [everything]))
    assert results["s"].amount == 12_345


@pytest.mark.parametrize("memory", ["kept", "lost"])
async def test_a_second_run_captures_nothing_twice(sandbox: Sandbox, tmp_path: Path, memory: str) -> None:
    """With its journal a second run sends nothing; with an empty one Vipps answers again, and money moves once."""
    stock(sandbox, 10, amount=5000)
    rows = [row(number) for number in range(10)]
    for run in range(2):
        path = tmp_path / ("journal.db" if memory == "kept" else f"journal-{run}.db")
        async with sandbox.session(journal=SqliteJournal(path)) as vipps:
            results = await collect(capture_many(vipps.ecom, rows))
        sent = sum(request.operation == "capture" for request in sandbox.requests)
        known = run == 1 and memory == "kept"
        assert sent == (10 if run == 0 or known else 20)
        assert {result.outcome for result in results.values()} == {RowOutcome.DONE_BEFORE if known else RowOutcome.DONE}
        assert {result.amount for result in results.values()} == {1000}
    assert all(payment.captured == 1000 for payment in sandbox.payments)


async def test_the_same_reference_with_another_amount_is_refused(sandbox: Sandbox) -> None:
    """A row that was corrected after it was captured does not move money again."""
    stock(sandbox, 1, amount=5000)
    async with sandbox.session(journal=MemoryJournal()) as vipps:
        await collect(capture_many(vipps.ecom, [row(0)]))
        results = await collect(capture_many(vipps.ecom, [row(0, amount=2000)]))
    assert results["shipment-0"].outcome is RowOutcome.REFUSED
    assert results["shipment-0"].code == "IdempotencyMismatchError"
    assert sandbox.payment("order-0").captured == 1000


async def test_rows_in_money(sandbox: Sandbox) -> None:
    """A row's Money is its sum in øre; in another currency it is refused before anything is sent or noted."""
    stock(sandbox, 2)
    journal = MemoryJournal()
    async with sandbox.session(journal=journal) as vipps:
        first = await collect(capture_many(vipps.ecom, [row(0, amount=nok(10)), row(1, amount=eur(10))]))
        again = await collect(capture_many(vipps.ecom, [row(0, amount=1000)]))
        assert await journal.find(payment="order-1", merchant_serial_number=MSN) == []
    assert (first["shipment-0"].outcome, first["shipment-0"].amount) == (RowOutcome.DONE, 1000)
    assert again["shipment-0"].outcome is RowOutcome.DONE_BEFORE
    assert first["shipment-1"].outcome is RowOutcome.REFUSED
    assert "amount must be in NOK, not Money(value=1000, currency='EUR')" in first["shipment-1"].reason
    assert [payment.captured for payment in sandbox.payments] == [1000, 0]


async def test_refunds(sandbox: Sandbox) -> None:
    """Refunds are as captures; their keys are their own."""
    stock(sandbox, 3)
    rows = [row(number) for number in range(3)]
    async with sandbox.session() as vipps:
        captures = await collect(capture_many(vipps.ecom, rows))
        refunds = await collect(refund_many(vipps.ecom, [*rows, row(0, reference="too much", amount=100)]))
    assert [refunds[f"shipment-{number}"].outcome for number in range(3)] == [RowOutcome.DONE] * 3
    assert refunds["too much"].outcome is RowOutcome.REFUSED
    assert captures["shipment-0"].idempotency_key != refunds["shipment-0"].idempotency_key
    assert all(payment.refunded == 1000 for payment in sandbox.payments)


async def test_cancels_and_cancels_again(sandbox: Sandbox) -> None:
    """A cancelled order is found done by its details; a captured one is refused; the rest goes only if it is asked."""
    stock(sandbox, 3)
    now = sandbox.clock.now()
    sandbox._book.only("order-1").payment.capture(1000, key="k", fingerprint="f", text="x", now=now)
    sandbox._book.only("order-2").payment.capture(400, key="k", fingerprint="f", text="x", now=now)
    rows = [BatchRow(payment=f"order-{number}", text="No.", reference=str(number)) for number in range(3)]
    async with sandbox.session(journal=MemoryJournal()) as vipps:
        first = await collect(cancel_many(vipps.ecom, rows))
        again = await collect(cancel_many(vipps.ecom, rows))
        released = await collect(cancel_many(vipps.ecom, rows, release_remaining=True))
        released_again = await collect(cancel_many(vipps.ecom, rows, release_remaining=True))
    async with sandbox.session(retry=RetryPolicy(attempts=1, deadline=1.0)) as vipps:
        still = await collect(cancel_many(vipps.ecom, rows))
    done, found, refused = RowOutcome.DONE, RowOutcome.FOUND_DONE, RowOutcome.REFUSED
    assert [first[key].outcome for key in "012"] == [done, refused, refused]
    assert "captured 4.00 NOK" in first["2"].reason
    assert [again[key].outcome for key in "012"] == [found, refused, refused]
    assert [released[key].outcome for key in "012"] == [found, refused, done]
    assert [released_again[key].outcome for key in "012"] == [found, refused, found]
    # Nothing remains to release, whoever did it: no error, though this one did not ask for it.
    assert still["2"].outcome is RowOutcome.FOUND_DONE
    assert sandbox.payment("order-2").state is State.VOID


@pytest.mark.parametrize("many", [capture_many, refund_many, cancel_many])
async def test_rows_look_at_details_for_seconds_only(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, many: Any
) -> None:
    """A row in doubt must not hold its place until its call's deadline: its call says that it is a row."""
    run, calls = Pipeline.run, list[Call[Any]]()

    async def noting(self: Pipeline, call: Call[Any]) -> Any:
        calls.append(call)
        return await run(self, call)

    stock(sandbox, 1)
    monkeypatch.setattr(Pipeline, "run", noting)
    rows = [BatchRow(payment="order-0", text="No.", reference="r")]
    async with sandbox.session() as vipps:
        await collect(many(vipps.ecom, rows))
    assert [call.is_row for call in calls if call.audit is not None] == [True]


async def test_a_cancel_has_no_amount(sandbox: Sandbox) -> None:
    """A row with an amount among cancels is refused, as somebody means something else; the others go on."""
    stock(sandbox, 2)
    other = BatchRow(payment="order-1", text="No.", reference="r")
    async with sandbox.session() as vipps:
        results = await collect(cancel_many(vipps.ecom, [row(0), other]))
    assert {result.outcome for result in results.values()} == {RowOutcome.REFUSED, RowOutcome.DONE}
    assert sandbox.payment("order-0").released == 0
    assert results["r"].outcome is RowOutcome.DONE


async def test_a_refused_cancel_whose_details_cannot_be_had_is_unknown(sandbox: Sandbox) -> None:
    """It may be refused because one that was cut off took effect: without details nobody can tell."""
    stock(sandbox, 1)
    rows = [BatchRow(payment="order-0", text="No.", reference="r")]
    # More faults than questions fit into the deadline: the call asks again and again until then.
    async with sandbox.session(retry=RetryPolicy(attempts=1, deadline=1.0)) as vipps:
        await collect(cancel_many(vipps.ecom, rows))
        sandbox.faults.script("details", *[Fault.HTTP_500_BEFORE] * 200)
        results = await collect(cancel_many(vipps.ecom, rows))
    assert results["r"].outcome is RowOutcome.UNKNOWN


async def test_a_plain_refusal_of_a_cancel_without_details_is_unknown() -> None:
    """Vipps says no to the second cancel of a payment in plain words: without its history nobody knows of the first."""

    def respond(request: Request) -> Response:
        if request.url.endswith("/cancel"):
            return answer(400, [{"errorGroup": "Payment", "errorCode": "51", "errorMessage": "Cannot cancel"}])
        return answer(500, {})

    rows = [BatchRow(payment="order-0", text="No.", reference="r")]
    async with scripted(respond) as vipps:
        results = await collect(cancel_many(vipps.ecom, rows))
    assert isinstance(results["r"].error, CancelError)
    assert results["r"].outcome is RowOutcome.UNKNOWN


@pytest.mark.parametrize(
    "wrong",
    [{"payment": "no spaces"}, {"amount": 99}, {"amount": 2**31}, {"text": ""}, {"text": "x" * 101}],
    ids=["order id", "too little", "too much", "no text", "long text"],
)
async def test_a_row_that_breaks_a_rule_of_its_api_is_refused_unsent(wrong: dict[str, Any]) -> None:
    """It ends as refused, says which rule, and the rows beside it go on."""
    sent: list[Request] = []

    def respond(request: Request) -> Response:
        sent.append(request)
        return captured(request)

    async with scripted(respond) as vipps:
        results = await collect(capture_many(vipps.ecom, [row(0, reference="wrong", **wrong), row(1)]))
    assert isinstance(results["wrong"].error, InvalidInputError)
    assert (results["wrong"].outcome, results["shipment-1"].outcome) == (RowOutcome.REFUSED, RowOutcome.DONE)
    assert [request.url.split("/")[-2] for request in sent] == ["order-1"]


async def test_unknown_and_not_done_are_told_apart(sandbox: Sandbox) -> None:
    """An answer that got lost, and no details, may have moved money; a request that was throttled has not."""
    stock(sandbox, 3)
    # With details the lost answer would be found out, and the row be done.
    sandbox.faults.script("details", *[Fault.HTTP_500_BEFORE] * 200, order_id="order-0")
    sandbox.faults.script("capture", Fault.HTML_200_AFTER, order_id="order-0")
    sandbox.faults.script("capture", Fault.HTTP_429, order_id="order-1")
    async with sandbox.session(retry=RetryPolicy(attempts=1, deadline=1.0)) as vipps:
        results = await collect(capture_many(vipps.ecom, [row(number) for number in range(3)]))
    assert [results[f"shipment-{number}"].outcome for number in range(3)] == [
        RowOutcome.UNKNOWN,
        RowOutcome.NOT_DONE,
        RowOutcome.DONE,
    ]


# --- order and back-pressure ------------------------------------------------------------------------------------------


async def test_rows_of_one_order_keep_their_sequence_and_never_overlap() -> None:
    """Of each order one row at a time, in the order of the file; other orders go on beside it."""
    inside: set[str] = set()
    seen: dict[str, list[str]] = {}
    most = 0

    async def respond(request: Request) -> Response:
        nonlocal most
        order_id = request.url.split("/")[-2]
        assert order_id not in inside
        inside.add(order_id)
        most = max(most, len(inside))
        await asyncio.sleep(0.001)
        inside.discard(order_id)
        assert request.body is not None
        seen.setdefault(order_id, []).append(request.headers["X-Request-Id"])
        return captured(request)

    rows = [row(number % 7, reference=f"r{number}") for number in range(200)]
    async with scripted(respond) as vipps:
        results = await collect(capture_many(vipps.ecom, rows, concurrency=16))
    assert len(results) == 200
    assert most > 3
    for number in range(7):
        expected = [r.idempotency_key(BatchOperation.CAPTURE, MSN) for r in rows if r.payment == f"order-{number}"]
        assert seen[f"order-{number}"] == expected


@pytest.mark.parametrize("fault", [Fault.HTML_200_BEFORE, Fault.HTTP_429])
async def test_what_comes_after_a_row_without_an_outcome_waits_for_it(sandbox: Sandbox, fault: Fault) -> None:
    """Of "100 kroner, then the rest" the rest waits until the first is settled: run again, both are right."""
    stock_one(sandbox, "order-1", 50_000)
    stock_one(sandbox, "order-2", 1000)
    rows = [
        row(1, amount=10_000, reference="first"),
        BatchRow(payment="order-1", text="x", reference="rest"),
        row(2),
    ]
    sandbox.faults.script("capture", fault, order_id="order-1")
    async with sandbox.session(journal=MemoryJournal(), retry=RetryPolicy(attempts=1, deadline=2.0)) as vipps:
        results = await collect(capture_many(vipps.ecom, rows))
        assert results["first"].outcome in {RowOutcome.UNKNOWN, RowOutcome.NOT_DONE}
        assert results["rest"].outcome is RowOutcome.NOT_BEGUN
        assert "earlier row" in results["rest"].reason
        assert results["shipment-2"].outcome is RowOutcome.DONE
        again = await collect(capture_many(vipps.ecom, rows))
    assert (again["first"].amount, again["rest"].amount) == (10_000, 40_000)


async def test_a_slow_consumer_holds_the_reading_back() -> None:
    """Rows are read no faster than results are taken: memory does not grow with the file."""
    read = 0

    def rows() -> Iterator[BatchRow]:
        nonlocal read
        for number in range(100_000):
            read += 1
            yield row(number)

    async with scripted(captured) as vipps:
        results = capture_many(vipps.ecom, rows(), concurrency=4)
        taken = 0
        async for _ in results:
            taken += 1
            await asyncio.sleep(0)
            # What waits, and what the reading thread has gathered at most.
            assert read <= taken + 4 * 4 + 2 * 256
            if taken == 600:
                break
        await results.aclose()


async def test_a_source_that_blocks_does_not_block_the_loop() -> None:
    """A file on a slow disk is read in a thread: everything else in the process goes on."""
    release = threading.Event()

    def rows() -> Iterator[BatchRow]:
        yield row(1)
        release.wait(PATIENCE)
        yield row(2)

    async with scripted(captured) as vipps:
        task = asyncio.create_task(collect(capture_many(vipps.ecom, rows())))
        for _ in range(50):
            await asyncio.sleep(0.001)
        assert not task.done()
        release.set()
        assert len(await task) == 2


async def test_a_source_that_trickles_is_not_waited_for() -> None:
    """A row that is there is begun, though the next one is not there yet."""
    more = threading.Event()

    def rows() -> Iterator[BatchRow]:
        yield row(1)
        time.sleep(0.1)  # longer than rows are gathered for
        yield row(2)
        more.wait(PATIENCE)

    async with scripted(captured) as vipps, asyncio.timeout(PATIENCE):
        results = capture_many(vipps.ecom, rows())
        first = await anext(results)
        assert first.outcome is RowOutcome.DONE
        more.set()
        assert [result.outcome async for result in results] == [RowOutcome.DONE]


async def test_async_sources_are_read(sandbox: Sandbox) -> None:
    """Rows may come out of a database as they are asked for."""
    stock(sandbox, 3)

    async def rows() -> AsyncIterator[BatchRow]:
        for number in range(3):
            await asyncio.sleep(0)
            yield row(number)

    async with sandbox.session() as vipps:
        assert len(await collect(capture_many(vipps.ecom, rows()))) == 3


async def test_an_empty_source_ends_at_once(sandbox: Sandbox) -> None:
    """Nothing in, nothing out."""
    async with sandbox.session() as vipps:
        assert await collect(capture_many(vipps.ecom, [])) == {}


async def test_an_error_of_the_source_comes_after_what_was_read(sandbox: Sandbox) -> None:
    """What had been read is carried out and told; then the error of whoever made the rows is raised."""
    stock(sandbox, 3)

    async def rows() -> AsyncIterator[BatchRow]:
        for number in range(3):
            yield row(number)
        raise LookupError("the database is gone")

    outcomes: list[RowOutcome] = []
    async with sandbox.session() as vipps:
        with pytest.raises(LookupError, match="the database is gone"):
            await drain(capture_many(vipps.ecom, rows()), outcomes)
    assert outcomes == [RowOutcome.DONE] * 3


@pytest.mark.parametrize("rows", [7, ["a row"], iter(["a row"])], ids=["a number", "a list", "an iterator"])
async def test_what_is_no_row_is_refused(sandbox: Sandbox, rows: Any) -> None:
    """Something else than rows is told, and nothing is sent."""
    async with sandbox.session() as vipps:
        with pytest.raises(InvalidInputError, match="rows"):
            await collect(capture_many(vipps.ecom, rows))


@pytest.mark.parametrize(
    "wrong",
    [
        *({"concurrency": value} for value in (0, 101, True, 1.5)),
        *({"rate": value} for value in (0, -1.0, float("inf"), True, "10")),
    ],
    ids=str,
)
@pytest.mark.parametrize("many", [capture_many, refund_many, cancel_many])
async def test_wrong_arguments_are_refused_at_once(sandbox: Sandbox, many: Any, wrong: dict[str, Any]) -> None:
    """Before the first row is read."""
    with pytest.raises(InvalidInputError):
        many(sandbox.session(), [], **wrong)


# --- pace -------------------------------------------------------------------------------------------------------------


async def test_it_slows_down_when_vipps_says_too_much_and_speeds_up_again() -> None:
    """While Vipps throttles, few rows are on their way at once; afterwards there are more again."""
    inside, most = 0, {"before": 0, "during": 0, "after": 0}
    phase = "before"

    async def respond(request: Request) -> Response:
        nonlocal inside
        inside += 1
        most[phase] = max(most[phase], inside)
        await asyncio.sleep(0.005)
        inside -= 1
        return answer(429, b"") if phase == "throttling" else captured(request)

    most["throttling"] = 0
    async with scripted(respond) as vipps, asyncio.timeout(PATIENCE):
        results = capture_many(vipps.ecom, (row(number) for number in range(100_000)), concurrency=32)
        done = 0
        async for result in results:
            done += 1
            if phase == "before" and most["before"] == 32:
                phase = "throttling"
            elif phase == "throttling" and result.outcome is RowOutcome.NOT_DONE:
                phase = "draining"
                done = 0
            elif phase == "draining" and done > 64:
                most["during"] = 0
                phase = "during"
                done = 0
            elif phase == "during" and done > 40:
                phase = "after"
            elif phase == "after" and most["after"] > most["during"] + 2:
                break
            most.setdefault("draining", 0)
        await results.aclose()
    assert most["before"] == 32
    assert most["during"] < 32
    assert most["after"] > most["during"]


async def test_turns_may_come_from_elsewhere(sandbox: Sandbox) -> None:
    """A rate that is shared with others is asked before each row, and waited for."""
    stock(sandbox, 6)

    class Slots:
        taken = 0

        async def slot(self, now: float) -> float:
            self.taken += 1
            return 0.02

    slots = Slots()
    async with sandbox.session() as vipps:
        found = await collect(capture_many(vipps.ecom, [row(number) for number in range(6)], rate=slots))
    assert {result.outcome for result in found.values()} == {RowOutcome.DONE}
    assert slots.taken == 6


async def test_rows_that_are_done_take_no_turn(sandbox: Sandbox) -> None:
    """Nothing is sent for them: a file that is run again is through at once, and the new row alone has its turn.

    Neither another wish under another key nor what was refused counts as done.
    """
    stock(sandbox, 8)

    class Slots:
        taken = 0

        async def slot(self, now: float) -> float:
            self.taken += 1
            return 0.0

    slots = Slots()
    async with sandbox.session(journal=MemoryJournal()) as vipps:
        await collect(capture_many(vipps.ecom, [row(number) for number in range(6)], rate=slots))
        assert slots.taken == 6
        again = [*(row(number) for number in range(6)), row(6), row(0, amount=NOT_GIVEN, reference="the rest")]
        found = await collect(capture_many(vipps.ecom, again, rate=slots))
        outcomes = [found[each.reference or ""].outcome for each in again]
        assert outcomes == [RowOutcome.DONE_BEFORE] * 6 + [RowOutcome.DONE, RowOutcome.REFUSED]
        assert slots.taken == 8
        # Of one that was refused before, Vipps is asked why.
        await collect(capture_many(vipps.ecom, again[-1:], rate=slots))
        assert slots.taken == 9


async def test_a_journal_that_cannot_be_asked_ends_a_batch_with_a_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    """No row is sent by guess: it ends with the journal's error, and nothing was begun."""
    journal = MemoryJournal()

    async def broken(**_: str) -> list[Any]:
        raise JournalError("the disk is gone")

    outcomes: list[RowOutcome] = []
    async with VippsSession(KEYS, transport=ScriptedTransport(), journal=journal) as vipps, asyncio.timeout(PATIENCE):
        monkeypatch.setattr(journal, "find", broken)
        with pytest.raises(JournalError, match="the disk is gone"):
            await drain(capture_many(vipps.ecom, [row(0), row(1)], rate=50), outcomes)
    assert set(outcomes) == {RowOutcome.NOT_BEGUN}


async def test_the_rate_is_a_limit() -> None:
    """With twenty rows a second, ten rows take at least almost half a second, however quick Vipps is."""
    async with scripted(captured) as vipps:
        started = time.monotonic()
        await collect(capture_many(vipps.ecom, [row(number) for number in range(10)], rate=20))
    assert time.monotonic() - started >= 0.4


async def test_wrong_keys_end_it_at_once() -> None:
    """A million rows with the wrong keys are one refusal, not a million."""
    transport = ScriptedTransport().on("/accesstoken/get", then=answer(401, {"error": "unauthorized_client"}))
    outcomes: list[RowOutcome] = []
    async with VippsSession(KEYS, transport=transport) as vipps, asyncio.timeout(PATIENCE):
        with pytest.raises(TransportError, match="rest of the batch was not begun"):
            await drain(capture_many(vipps.ecom, (row(number) for number in range(10_000)), concurrency=4), outcomes)
    assert set(outcomes) <= {RowOutcome.NOT_DONE, RowOutcome.NOT_BEGUN}
    assert len(outcomes) <= 4 * 4 + 4


async def test_an_outage_pauses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """When nothing is answered any more, rows are not burnt one after the other: it waits."""
    waits: list[float] = []

    async def wait(_gate: object, seconds: float) -> None:
        waits.append(seconds)
        await asyncio.sleep(0)

    monkeypatch.setattr("vipps_async.core.limits.BatchLimiter._wait", wait)
    monkeypatch.setattr("vipps_async.core.limits._BATCH_FIRST_PAUSE", 0.01)
    monkeypatch.setattr("vipps_async.core.limits._BATCH_LONGEST_PAUSE", 0.01)
    outcomes: list[RowOutcome] = []
    async with scripted(lambda _: answer(500, b"")) as vipps, asyncio.timeout(PATIENCE):
        with pytest.raises(TransportError, match="no row gets a usable answer"):
            await drain(capture_many(vipps.ecom, (row(number) for number in range(10_000)), concurrency=2), outcomes)
    assert waits
    assert 12 <= len(outcomes) < 200


# --- ending -----------------------------------------------------------------------------------------------------------


class _Held:
    """Answers captures only when it is told to."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.inside = 0
        self.answered = 0

    async def __call__(self, request: Request) -> Response:
        self.inside += 1
        await self.go.wait()
        self.answered += 1
        return captured(request)

    async def has(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while self.inside < count:  # noqa: ASYNC110 - the counting is in the transport's own task
                await asyncio.sleep(0.001)


async def test_stopping_finishes_what_is_in_work_and_begins_nothing() -> None:
    """Rows that wait end as not begun; rows behind them are not read."""
    held, stop = _Held(), asyncio.Event()
    read = 0

    async def rows() -> AsyncIterator[BatchRow]:
        nonlocal read
        while True:
            read += 1
            yield row(read)

    async with scripted(held) as vipps:
        task = asyncio.create_task(collect(capture_many(vipps.ecom, rows(), concurrency=4, stop=stop)))
        await held.has(4)
        stop.set()
        await asyncio.sleep(0.01)
        assert not task.done()
        held.go.set()
        results = await task
    outcomes = [result.outcome for result in results.values()]
    assert outcomes.count(RowOutcome.DONE) == 4
    assert outcomes.count(RowOutcome.NOT_BEGUN) == len(outcomes) - 4 <= 4 * 4
    assert held.inside == 4
    assert read <= 4 * 4 + 1


@pytest.mark.parametrize("why", ["rate", "place"])
async def test_stopping_wakes_rows_that_wait_for_their_turn(why: str) -> None:
    """Nobody waits a minute for a turn that will not be taken."""
    held, stop = _Held(), asyncio.Event()
    rate = 0.01 if why == "rate" else None
    async with scripted(held) as vipps:
        rows = [row(number) for number in range(40)]
        task = asyncio.create_task(collect(capture_many(vipps.ecom, rows, concurrency=20, rate=rate, stop=stop)))
        await held.has(1 if why == "rate" else 8)
        stop.set()
        held.go.set()
        results = await task
    assert len(results) == 40
    expected = 1 if why == "rate" else 8
    assert sum(result.outcome is RowOutcome.DONE for result in results.values()) == held.answered == expected


async def test_leaving_the_iteration_finishes_what_is_in_work() -> None:
    """A consumer that has seen enough leaves no capture cut in the middle, and nothing is begun any more."""
    held = _Held()

    async def respond(request: Request) -> Response:
        return captured(request) if request.url.endswith("/order-0/capture") else await held(request)

    async with scripted(respond) as vipps, asyncio.timeout(PATIENCE):
        results = capture_many(vipps.ecom, (row(number) for number in range(1000)), concurrency=4)
        await anext(results)
        await held.has(4)
        leaving = asyncio.create_task(results.aclose())
        await asyncio.sleep(0.01)
        assert not leaving.done()
        held.go.set()
        await leaving
        assert held.inside == held.answered == 4
        await _nothing_runs()


async def test_cancelling_cancels_what_is_in_work(tmp_path: Path) -> None:
    """It ends at once; the journal has what was on its way open, and nothing goes on in the background."""
    held = _Held()
    journal = SqliteJournal(tmp_path / "journal.db")
    await journal.open()
    transport = ScriptedTransport().on("", then=held)
    async with VippsSession(KEYS, transport=transport, journal=journal) as vipps:
        task = asyncio.create_task(
            collect(capture_many(vipps.ecom, [row(number) for number in range(100)], concurrency=4))
        )
        await held.has(4)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            async with asyncio.timeout(PATIENCE):
                await task
        assert held.answered == 0
        await _nothing_runs()
    open_entries = [entry async for entry in journal.open_entries()]
    assert len(open_entries) == 4
    assert all(not entry.owner for entry in open_entries)
    await journal.aclose()


async def _nothing_runs() -> None:
    for _ in range(20):
        await asyncio.sleep(0)
    assert [task for task in asyncio.all_tasks() if "vipps batch" in task.get_name()] == []


async def test_a_journal_that_fails_ends_the_batch(sandbox: Sandbox, tmp_path: Path) -> None:
    """Without a journal nothing may be sent: the error is raised, and the other rows are not begun."""
    stock(sandbox, 50)
    journal = SqliteJournal(tmp_path / "journal.db")
    await journal.open()
    outcomes: list[RowOutcome] = []

    async def rows() -> AsyncIterator[BatchRow]:
        for number in range(50):
            if number == 20:
                # The session's part in it as well as our own: it is closed under the session's hands.
                await journal.aclose()
                await journal.aclose()
            yield row(number)

    async with sandbox.session(journal=journal) as vipps:
        with pytest.raises(JournalError):
            await drain(capture_many(vipps.ecom, rows(), concurrency=2), outcomes)
    assert outcomes.count(RowOutcome.DONE) < 50
    assert sum(payment.captured > 0 for payment in sandbox.payments) <= outcomes.count(RowOutcome.DONE) + 2


async def test_a_closed_session_ends_the_batch(sandbox: Sandbox) -> None:
    """That is the program's mistake, and no row's."""
    vipps = sandbox.session()
    await vipps.aclose()
    with pytest.raises(ConfigurationError, match="closed"):
        await collect(capture_many(vipps.ecom, [row(0)]))


async def test_a_mistake_in_the_engine_does_not_hang(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception that nobody foresaw ends the batch and is raised."""

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("vipps_async.batch.many.done", broken)
    stock(sandbox, 5)
    async with sandbox.session() as vipps:
        with pytest.raises(ZeroDivisionError):
            await collect(capture_many(vipps.ecom, [row(number) for number in range(5)]))
        await _nothing_runs()


async def test_attempts_are_heard_only_while_the_batch_runs(sandbox: Sandbox) -> None:
    """The session does not go on reporting to a batch that has ended."""
    heard: list[tuple[str, int | None]] = []
    stock(sandbox, 1)
    async with sandbox.session() as vipps:
        with vipps.listening(lambda operation, _seconds, status: heard.append((operation, status))):
            await collect(capture_many(vipps.ecom, [row(0)]))
        assert vipps._parts.pipeline.log.listeners == []
        await vipps.ecom.details("order-0")
    assert ("ecom.capture", 200) in heard
    assert "details" not in {operation for operation, _ in heard}


# --- looking ahead ----------------------------------------------------------------------------------------------------


async def test_a_preview_says_what_would_happen_and_changes_nothing(sandbox: Sandbox) -> None:
    """Details are asked, sums are reckoned over the rows of an order, and no money moves."""
    stock(sandbox, 3, amount=5000)
    key = row(2).idempotency_key(BatchOperation.CAPTURE, MSN)
    sandbox._book.only("order-2").payment.capture(1000, key=key, fingerprint="f", text="x", now=sandbox.clock.now())
    rows = [
        row(0, amount=3000),
        row(0, amount=3000, reference="too much together"),
        BatchRow(payment="order-1", text="x", reference="everything"),
        BatchRow(payment="order-1", text="x", reference="nothing left"),
        row(2),
        row(9),
    ]
    before = [(payment.captured, payment.history) for payment in sandbox.payments]
    async with sandbox.session() as vipps:
        repeated = frozenset({"order-0", "order-1"})
        results = await collect(preview_many(vipps.ecom, rows, BatchOperation.CAPTURE, repeated_payments=repeated))
    assert {name: result.outcome for name, result in results.items()} == {
        "shipment-0": RowOutcome.DONE,
        "too much together": RowOutcome.REFUSED,
        "everything": RowOutcome.DONE,
        "nothing left": RowOutcome.REFUSED,
        "shipment-2": RowOutcome.DONE_BEFORE,
        "shipment-9": RowOutcome.REFUSED,
    }
    assert results["everything"].amount == 5000
    assert "earlier rows take 30.00 NOK" in results["too much together"].reason
    assert [(payment.captured, payment.history) for payment in sandbox.payments] == before


async def test_a_preview_of_refunds_and_cancels(sandbox: Sandbox) -> None:
    """What was captured can be refunded, what was not can be cancelled."""
    stock(sandbox, 4)
    now = sandbox.clock.now()
    sandbox._book.only("order-1").payment.capture(1000, key="k", fingerprint="f", text="x", now=now)
    sandbox._book.only("order-2").payment.capture(400, key="k", fingerprint="f", text="x", now=now)
    sandbox._book.only("order-3").payment.cancel(release_remaining=False, text="x", now=now)
    rows = [BatchRow(payment=f"order-{number}", text="x", reference=str(number)) for number in range(4)]
    done, before, refused = RowOutcome.DONE, RowOutcome.FOUND_DONE, RowOutcome.REFUSED
    async with sandbox.session() as vipps:
        refunds = await collect(preview_many(vipps.ecom, rows, BatchOperation.REFUND))
        cancels = await collect(preview_many(vipps.ecom, rows, BatchOperation.CANCEL))
        releases = await collect(preview_many(vipps.ecom, rows, BatchOperation.CANCEL, release_remaining=True))
    assert [refunds[key].outcome for key in "0123"] == [refused, done, done, refused]
    assert refunds["2"].amount == 400
    assert [cancels[key].outcome for key in "0123"] == [done, refused, refused, before]
    assert [releases[key].outcome for key in "0123"] == [done, refused, done, before]
