"""Batches over the ePayment API: each row moves money once, and one that takes all has its amount computed once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from attrs import frozen

from tests.epayment.payments import aggregate, payment
from tests.epayment.service import EpaymentService, Fault, problem
from tests.epayment.sessions import opened
from vipps_async import InvalidInputError, MemoryJournal, dkk, nok
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
from vipps_async.epayment.operations import GET
from vipps_async.epayment.payment_api import EPAYMENT_API
from vipps_async.epayment.responses import Payment
from vipps_async.not_given import NOT_GIVEN

ORDER = "acme-order-{}"


def row(number: int, amount: Any = 10000, *, reference: str = "") -> BatchRow:
    """Make a row."""
    return BatchRow(payment=ORDER.format(number), amount=amount, reference=reference or f"r-{number}")


@pytest.fixture
def paid(service: EpaymentService) -> EpaymentService:
    """Return a Vipps with three payments over 499 NOK that their customers have accepted."""
    for number in range(3):
        service.authorized(ORDER.format(number), 49900)
    return service


async def test_a_row_has_the_time_of_its_event(paid: EpaymentService) -> None:
    """Where events proved it, now and from the journal later; an answer that proves it has no time, nor a cancel."""
    captured_at = datetime.max.replace(tzinfo=UTC)
    async with opened(paid, MemoryJournal()) as vipps:
        for outcome in (RowOutcome.DONE, RowOutcome.DONE_BEFORE):
            rows = [row(0), row(1, 49900)]
            part, whole = sorted([each async for each in capture_many(vipps.epayment, rows)], key=_payment_of)
            assert (part.outcome, whole.outcome, whole.time) == (outcome, outcome, None)
            (event,) = [each for each in await vipps.epayment.events(ORDER.format(0)) if each.name == "CAPTURED"]
            assert part.time is not None
            assert part.time == event.timestamp
            captured_at = part.time
        back = [each async for each in refund_many(vipps.epayment, [row(0, 100, reference="back")])]
        assert back[0].time is not None
        assert back[0].time >= captured_at
        gone = [each async for each in cancel_many(vipps.epayment, [row(2, NOT_GIVEN)])]
        assert (gone[0].outcome, gone[0].time) == (RowOutcome.DONE, None)


def _payment_of(result: RowResult) -> str:
    return result.row.payment


async def collect(results: AsyncIterator[RowResult]) -> list[tuple[str | None, RowOutcome, int | None]]:
    """What became of each row, by its reference."""
    return sorted(
        [(found.row.reference, found.outcome, found.amount) async for found in results], key=lambda one: one[0] or ""
    )


async def test_rows_move_money_once(paid: EpaymentService) -> None:
    """Captured, refunded, cancelled; run again they are done before, and nothing is sent."""
    async with opened(paid, MemoryJournal()) as vipps:
        rows = [row(0), row(1, nok(100))]
        for outcome in (RowOutcome.DONE, RowOutcome.DONE_BEFORE):
            found = await collect(capture_many(vipps.epayment, rows))
            assert found == [("r-0", outcome, 10000), ("r-1", outcome, 10000)]
        assert await collect(refund_many(vipps.epayment, [row(0, nok(40))])) == [("r-0", RowOutcome.DONE, 4000)]
        cancels = [row(0, NOT_GIVEN), row(2, NOT_GIVEN)]
        assert await collect(cancel_many(vipps.epayment, cancels)) == [
            ("r-0", RowOutcome.DONE, 39900),
            ("r-2", RowOutcome.DONE, 49900),
        ]
    assert [paid.sums(ORDER.format(number)) for number in range(3)] == [
        (49900, 10000, 4000, 39900),
        (49900, 10000, 0, 0),
        (49900, 0, 0, 49900),
    ]
    keys = {each.idempotency_key(BatchOperation.CAPTURE, "123456") for each in rows}
    assert set(paid.keys("capture")) == keys


@pytest.mark.parametrize("lost", [False, True])
async def test_a_row_that_takes_all_has_its_amount_computed_once(paid: EpaymentService, *, lost: bool) -> None:
    """It stands in the journal's intent: what is left later does not matter, and the result has it."""
    journal = MemoryJournal()
    everything = row(0, NOT_GIVEN)
    async with opened(paid, journal) as vipps:
        assert await collect(capture_many(vipps.epayment, [row(0, nok(99), reference="part")]))
        paid.faults = [Fault.LOSE_ANSWER] if lost else []
        assert await collect(capture_many(vipps.epayment, [everything])) == [("r-0", RowOutcome.DONE, 40000)]
        _, entry = await journal.find(payment=ORDER.format(0), merchant_serial_number="123456")
        assert (entry.intent.amount, entry.intent.currency) == (40000, "NOK")
        assert await collect(capture_many(vipps.epayment, [everything])) == [("r-0", RowOutcome.DONE_BEFORE, 40000)]
        more = row(0, NOT_GIVEN, reference="more")
        assert await collect(capture_many(vipps.epayment, [more])) == [("more", RowOutcome.REFUSED, None)]
        assert await collect(refund_many(vipps.epayment, [row(0, NOT_GIVEN)])) == [("r-0", RowOutcome.DONE, 49900)]
    assert paid.sums(ORDER.format(0)) == (49900, 49900, 49900, 0)


async def test_a_row_whose_outcome_is_not_known_finds_out_later(paid: EpaymentService) -> None:
    """The same key, and the same amount, though by then less is left than it asked for."""
    async with opened(paid, MemoryJournal()) as vipps:
        paid.faults, paid.lag = [Fault.LOSE_ANSWER], 9
        assert await collect(capture_many(vipps.epayment, [row(0, NOT_GIVEN)])) == [("r-0", RowOutcome.UNKNOWN, None)]
        paid.lag = 0
        found = await collect(capture_many(vipps.epayment, [row(0, NOT_GIVEN)]))
    assert found == [("r-0", RowOutcome.DONE, 49900)]
    assert paid.sums(ORDER.format(0))[1] == 49900


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (BatchRow(payment="short", amount=nok(1), reference="r"), "handled by eCom only"),
        (row(0, dkk(100), reference="r"), "amount must be in NOK"),
        (row(0, 99, reference="r"), "1.00 NOK at least"),
        (row(0, 65_000_001, reference="r"), "from 100 to 65000000"),
        (BatchRow(payment=ORDER.format(0), amount=nok(1), text="Shipped", reference="r"), "epayment takes none"),
    ],
)
async def test_a_row_that_breaks_a_rule(paid: EpaymentService, bad: BatchRow, reason: str) -> None:
    """It is refused before anything is sent, and the others are carried out."""
    async with opened(paid) as vipps:
        found = [one async for one in capture_many(vipps.epayment, [bad, row(1)])]
    by_name = {one.row.reference: one for one in found}
    assert (by_name["r"].outcome, by_name["r-1"].outcome) == (RowOutcome.REFUSED, RowOutcome.DONE)
    assert reason in by_name["r"].reason
    assert len(paid.sent) == 1


@pytest.mark.parametrize("name", ["capture", "refund"])
async def test_a_payment_in_another_currency(service: EpaymentService, name: str) -> None:
    """A batch is in NOK: what is left of such a payment is no sum of it, and a sum of NOK is refused by Vipps."""
    service.authorized(ORDER.format(0), 49900, "EUR")
    many = {"capture": capture_many, "refund": refund_many}[name]
    async with opened(service) as vipps:
        (found,) = [one async for one in many(vipps.epayment, [row(0, NOT_GIVEN)])]
        assert found.outcome is RowOutcome.REFUSED
        assert "one in NOK" in found.reason
        assert service.sent == []
        (found,) = [one async for one in many(vipps.epayment, [row(0)])]
    assert found.outcome is RowOutcome.REFUSED
    assert "Vipps has of this payment: reserved 499.00 EUR" in found.reason


@pytest.mark.parametrize("currency", ["DKK", "EUR"])
async def test_a_batch_in_another_currency(service: EpaymentService, currency: str) -> None:
    """Its rows and payments are in it, and from one minor unit on; the session's own batches stay in NOK."""
    for number in range(3):
        service.authorized(ORDER.format(number), 49900, "NOK" if number == 2 else currency)
    rows = [row(0, 1), row(0, NOT_GIVEN, reference="rest"), row(1, nok(100)), row(2, NOT_GIVEN)]
    async with opened(service, MemoryJournal()) as vipps:
        api = vipps.epayment.in_currency(currency)
        found = await collect(capture_many(api, rows))
        assert vipps.epayment.batch.api.currency == "NOK"
        with pytest.raises(InvalidInputError, match="currency"):
            vipps.epayment.in_currency("SEK")
    assert found == [
        ("r-0", RowOutcome.DONE, 1),
        ("r-1", RowOutcome.REFUSED, None),
        ("r-2", RowOutcome.REFUSED, None),
        ("rest", RowOutcome.DONE, 49899),
    ]
    assert [service.sums(ORDER.format(number))[1] for number in range(3)] == [49900, 0, 0]


async def test_a_cancel_that_was_done_before(paid: EpaymentService) -> None:
    """By its state and sums: Vipps' refusal of the second one is no failure."""
    async with opened(paid) as vipps:
        await vipps.epayment.cancel(ORDER.format(0))
        found = await collect(cancel_many(vipps.epayment, [row(0, NOT_GIVEN)]))
    assert found[0][:2] == ("r-0", RowOutcome.FOUND_DONE)


@frozen
class OnePayment:
    """Answers every read with one payment, to which nothing has happened."""

    payment: Payment

    async def run(self, call: Call[Any]) -> Any:
        """Answer a read."""
        return self.payment if call.operation is GET else ()


async def test_what_counts_as_cancelled() -> None:
    """Something is, and nothing can be captured any more: else a cancel that was refused is not called done."""

    async def counts(sums: Any) -> bool:
        state = await EPAYMENT_API.read_state(OnePayment(payment(sums=sums)), ORDER.format(0))
        return state.is_released

    for sums in (aggregate(49900, cancelled=49900), aggregate(49900, 100, cancelled=49800), aggregate(cancelled=49900)):
        assert await counts(sums)
    for sums in (aggregate(49900, cancelled=100), aggregate(49900, 49900), aggregate(49900)):
        assert not await counts(sums)


async def test_a_refused_cancel_is_explained(paid: EpaymentService) -> None:
    """With what Vipps has of the payment."""
    async with opened(paid) as vipps:
        await vipps.epayment.capture(ORDER.format(0), amount=nok(499))
        (found,) = [one async for one in cancel_many(vipps.epayment, [row(0, NOT_GIVEN)])]
    assert found.outcome is RowOutcome.REFUSED
    assert "captured 499.00 NOK" in found.reason


async def preview(service: EpaymentService, operation: BatchOperation, *rows: BatchRow) -> list[Any]:
    """Say what rows would do."""
    async with opened(service) as vipps:
        previews = preview_many(vipps.epayment, list(rows), operation, repeated_payments=frozenset({ORDER.format(0)}))
        return await collect(previews)


async def test_a_dry_run_moves_nothing(paid: EpaymentService) -> None:
    """Earlier rows count, what a key has done before is told, and nothing is sent."""
    done, captured = row(1), paid.payments[ORDER.format(1)]
    async with opened(paid) as vipps:
        assert await collect(capture_many(vipps.epayment, [done]))
    assert captured["aggregate"]["capturedAmount"]["value"] == 10000
    sent = len(paid.sent)
    rows = [row(0, nok(400), reference="a"), row(0, nok(100), reference="b"), done, row(2, NOT_GIVEN)]
    assert await preview(paid, BatchOperation.CAPTURE, *rows) == [
        ("a", RowOutcome.DONE, 40000),
        ("b", RowOutcome.REFUSED, None),
        ("r-1", RowOutcome.DONE_BEFORE, 10000),
        ("r-2", RowOutcome.DONE, 49900),
    ]
    assert await preview(paid, BatchOperation.REFUND, row(0), row(1, NOT_GIVEN)) == [
        ("r-0", RowOutcome.REFUSED, None),
        ("r-1", RowOutcome.DONE, 10000),
    ]
    assert len(paid.sent) == sent


async def test_a_dry_run_of_cancels(paid: EpaymentService) -> None:
    """Found done, possible before and after the acceptance, and refused when all is captured."""
    paid.make(ORDER.format(3), 100)
    async with opened(paid) as vipps:
        await vipps.epayment.capture(ORDER.format(0), amount=nok(499))
        await vipps.epayment.cancel(ORDER.format(1))
    rows = [row(number, NOT_GIVEN) for number in range(4)]
    assert [outcome for _, outcome, _ in await preview(paid, BatchOperation.CANCEL, *rows)] == [
        RowOutcome.REFUSED,
        RowOutcome.FOUND_DONE,
        RowOutcome.DONE,
        RowOutcome.DONE,
    ]


async def test_a_locked_payment_can_be_tried_again(paid: EpaymentService) -> None:
    """It is no refusal of the row."""
    paid.faults = [problem(423, "6160")]
    async with opened(paid) as vipps:
        assert await collect(capture_many(vipps.epayment, [row(0)])) == [("r-0", RowOutcome.NOT_DONE, None)]
        assert await collect(capture_many(vipps.epayment, [row(0)])) == [("r-0", RowOutcome.DONE, 10000)]
