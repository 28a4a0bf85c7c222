"""Many payments at once: one result a row, told truly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.batch.many_rows import captured, collect, row, scripted
from tests.batch.shop import MSN, stock, stock_one
from vipps_async import (
    CancelError,
    InvalidInputError,
    MemoryJournal,
    RetryPolicy,
    SqliteJournal,
    eur,
    nok,
)
from vipps_async.batch import (
    BatchRow,
    RowOutcome,
    cancel_many,
    capture_many,
    refund_many,
)
from vipps_async.core.operation import Call
from vipps_async.core.pipeline import Pipeline
from vipps_async.sandbox import Fault, State
from vipps_async.testing import Sandbox, answer
from vipps_async.transports.protocol import Request, Response


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
    assert results["shipment-0"].code == "same reference, other content"
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
    sandbox._book.only("order-1").payment.move("CAPTURE", 1000, key="k", fingerprint="f", text="x", now=now)
    sandbox._book.only("order-2").payment.move("CAPTURE", 400, key="k", fingerprint="f", text="x", now=now)
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
