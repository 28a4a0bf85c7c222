"""What Vipps has of a payment and the journal does not is listed; what the journal has is not taken for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from attrs import evolve

from tests.batch.shop import MSN, stock, stock_one
from tests.support.rows import each_row
from vipps_async import MemoryJournal, RetryPolicy, VippsError, nok
from vipps_async.core.payment_api import HistoryEntry
from vipps_async.ecom.details import PaymentDetails
from vipps_async.ecom.payment_api import ECOM_API
from vipps_async.epayment.enums import EventName
from vipps_async.epayment.payment_api import EPAYMENT_API
from vipps_async.epayment.responses import PaymentEvent
from vipps_async.journals.entries import Outcome
from vipps_async.reconciliation import ComparedOperation, Comparison, Day, compare_entries, entries_of_day
from vipps_async.reconciliation.day import KnownOperation
from vipps_async.reconciliation.unknown import unknown_to_journal
from vipps_async.sandbox import Fault, SandboxSettings
from vipps_async.testing import Sandbox

TODAY = Day.of("today", "UTC")
AT_VIPPS = Comparison.ONLY_AT_VIPPS


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A Vipps of its own."""
    async with Sandbox(rate_limits=False) as running:
        yield running


@pytest.fixture
async def journal() -> AsyncIterator[MemoryJournal]:
    """An open journal."""
    made = MemoryJournal()
    await made.open()
    yield made
    await made.aclose()


async def compared(
    sandbox: Sandbox, journal: MemoryJournal, day: Day = TODAY, **options: Any
) -> list[ComparedOperation]:
    """All of a day, with what Vipps has beside it."""
    found = await entries_of_day(journal, TODAY, merchant_serial_number=MSN, **options)
    async with sandbox.session() as vipps:
        return await compare_entries(vipps, found.entries + found.open_entries, known=found.known, day=day)


def told(found: Sequence[ComparedOperation]) -> list[tuple[object, ...]]:
    """The parts that matter."""
    return [(each.comparison, each.operation, each.payment, each.recorded, each.found, each.reason) for each in found]


async def test_captures_and_refunds_of_another_system_are_listed(sandbox: Sandbox, journal: MemoryJournal) -> None:
    """Behind what the journal has, over both APIs: with keys, Vipps' time, and the whole sum as the difference."""
    stock(sandbox, 2, amount=10_000)
    async with sandbox.session(journal=journal) as ours, sandbox.session() as portal:
        await ours.epayment.create(reference="acme-order-1", amount=nok(100), return_url="https://example.com/back")
        await sandbox.approve("acme-order-1")
        await ours.epayment.capture("acme-order-1", amount=nok(10))
        await ours.ecom.capture("order-0", amount=1000, transaction_text="x")
        await portal.ecom.capture("order-0", amount=2000, transaction_text="x", idempotency_key="portal-1")
        await portal.ecom.refund("order-0", amount=300, transaction_text="x", idempotency_key="portal-2")
        await portal.epayment.capture("acme-order-1", amount=nok(7), idempotency_key="portal-3")
        # A payment that this journal never touched: nobody can find it.
        await portal.ecom.capture("order-1", transaction_text="x")
    found = await compared(sandbox, journal)
    reason = "the journal does not have it"
    assert [each.comparison for each in found[:2]] == [Comparison.AGREES] * 2
    assert sorted(told(found[2:]), key=str) == [
        (AT_VIPPS, "capture", "acme-order-1", 0, 700, reason),
        (AT_VIPPS, "capture", "order-0", 0, 2000, reason),
        (AT_VIPPS, "refund", "order-0", 0, 300, reason),
    ]
    assert {each.key for each in found[2:]} == {"portal-1", "portal-2", "portal-3"}
    assert all((each.vipps_less_journal, each.asked, each.settled_at) == (each.found, None, None) for each in found[2:])
    assert all(each.time is not None for each in found[2:])


async def test_what_the_journal_did_on_other_days_is_known(sandbox: Sandbox, journal: MemoryJournal) -> None:
    """Only what the day has is compared, and nothing else of the journal is taken for another system's."""
    stock_one(sandbox, "order-0", 10_000)
    async with sandbox.session(journal=journal) as vipps:
        for _ in range(2):
            await vipps.ecom.capture("order-0", amount=1000, transaction_text="x")
    earlier, _ = await journal.find(payment="order-0", merchant_serial_number=MSN)
    assert earlier.settlement is not None
    await _settled_again(journal, earlier.intent.key, settled_at=earlier.settlement.settled_at - timedelta(days=9))
    assert [each.comparison for each in await compared(sandbox, journal)] == [Comparison.AGREES]


async def _settled_again(journal: MemoryJournal, key: str, **changes: Any) -> None:
    """Let an entry have ended otherwise."""
    entries = await journal.find(payment="order-0", merchant_serial_number=MSN)
    await journal.erase(payment="order-0", merchant_serial_number=MSN)
    for entry in entries:
        assert entry.settlement is not None
        settlement = evolve(entry.settlement, **changes) if entry.intent.key == key else entry.settlement
        await journal.settle(entry.intent, settlement)


async def test_what_the_journal_has_as_refused_and_vipps_as_done_is_listed(
    sandbox: Sandbox, journal: MemoryJournal
) -> None:
    """By its key, and with what the journal says of it."""
    stock_one(sandbox, "order-0", 10_000)
    async with sandbox.session(journal=journal) as vipps:
        for key in ("a", "b"):
            await vipps.ecom.capture("order-0", amount=1000, transaction_text="x", idempotency_key=key)
    await _settled_again(journal, "a", outcome=Outcome.REFUSED, answer=b"")
    first, second = await compared(sandbox, journal)
    assert (first.comparison, first.key) == (Comparison.AGREES, "b")
    assert (second.comparison, second.key, second.reason) == (AT_VIPPS, "a", "the journal has it as refused")


async def test_what_is_of_another_day_is_told_apart(sandbox: Sandbox, journal: MemoryJournal) -> None:
    """A refund of today does not make a capture of last month one of today."""
    stock_one(sandbox, "order-0", 10_000)
    async with sandbox.session() as portal:
        await portal.ecom.capture("order-0", transaction_text="x")
    async with sandbox.session(journal=journal) as vipps:
        await vipps.ecom.refund("order-0", amount=100, transaction_text="x")
    yesterday = Day.of("yesterday", "UTC")
    assert [each.comparison for each in await compared(sandbox, journal)] == [Comparison.AGREES, AT_VIPPS]
    other = await compared(sandbox, journal, day=yesterday)
    assert other[1].comparison is Comparison.ONLY_AT_VIPPS_OTHER_DAY


async def test_a_payment_of_two_apis_is_listed_once(sandbox: Sandbox, journal: MemoryJournal) -> None:
    """Initiated over eCom, captured over both: the portal's capture is one, and none of ours is taken for its."""
    stock_one(sandbox, "acme-order-1", 10_000)
    async with sandbox.session(journal=journal) as vipps, sandbox.session() as portal:
        await vipps.ecom.capture("acme-order-1", amount=1000, transaction_text="x")
        await vipps.epayment.capture("acme-order-1", amount=nok(20))
        await portal.epayment.capture("acme-order-1", amount=nok(5), idempotency_key="portal")
    for api in (None, "ecom", "epayment"):
        found = await compared(sandbox, journal, api=api)
        beside = [(each.key, each.found) for each in found if each.comparison is not Comparison.AGREES]
        assert beside == [("portal", 500)], api


@pytest.mark.parametrize("arrived", [True, False])
async def test_what_is_open_is_told_with_what_vipps_has_of_it(
    sandbox: Sandbox, journal: MemoryJournal, *, arrived: bool
) -> None:
    """A day is not in order while nobody knows what became of something; each is listed once, with what to do."""
    stock_one(sandbox, "order-0", 10_000)
    fault = Fault.HTTP_500_AFTER if arrived else Fault.HTTP_500_BEFORE
    sandbox.faults.script("capture", *[fault] * 20)
    sandbox.faults.script("details", *[Fault.HTTP_500_BEFORE] * 20)
    retry = RetryPolicy(attempts=1)
    async with sandbox.session(journal=journal, retry=retry) as vipps:
        with pytest.raises(VippsError):
            await vipps.ecom.capture("order-0", amount=1000, transaction_text="x", idempotency_key="a")
    sandbox.faults.clear()
    (found,) = await compared(sandbox, journal)
    assert (found.comparison, found.key, found.asked, found.settled_at) == (Comparison.OPEN, "a", 1000, None)
    if arrived:
        assert (found.recorded, found.found, found.reason) == (0, 1000, "Vipps has it as done")
    else:
        assert (found.recorded, found.found) == (None, None)
        assert found.reason.startswith("Vipps does not show it as done so far: the history does not have")
    yesterday = await entries_of_day(journal, Day.of("yesterday", "UTC"), merchant_serial_number=MSN)
    assert (yesterday.open, yesterday.open_entries) == (0, [])


async def test_what_is_open_since_another_day_is_told_if_its_payment_is_looked_at(
    sandbox: Sandbox, journal: MemoryJournal
) -> None:
    """As open, and not as another system's."""
    stock_one(sandbox, "order-0", 10_000)
    async with sandbox.session(journal=journal) as vipps:
        for key in ("a", "b"):
            await vipps.ecom.capture("order-0", amount=1000, transaction_text="x", idempotency_key=key)
        found = await entries_of_day(journal, TODAY, merchant_serial_number=MSN)
        known = tuple(
            evolve(each, outcome=None if each.key == "a" else each.outcome) for each in found.known["order-0"]
        )
        result = await compare_entries(vipps, found.entries[1:], known={"order-0": known})
    assert [(each.key, each.comparison) for each in result] == [("b", Comparison.AGREES), ("a", Comparison.OPEN)]
    assert result[1].reason == "Vipps has it as done"


async def test_of_two_apis_epayment_is_asked(sandbox: Sandbox, journal: MemoryJournal) -> None:
    """Whichever came first: it has the payments of both."""
    stock_one(sandbox, "acme-order-1", 10_000)
    async with sandbox.session(journal=journal) as vipps, sandbox.session() as portal:
        await vipps.epayment.capture("acme-order-1", amount=nok(20))
        await vipps.ecom.capture("acme-order-1", amount=1000, transaction_text="x")
        await portal.epayment.capture("acme-order-1", amount=nok(5))
        found = await entries_of_day(journal, TODAY, merchant_serial_number=MSN)
        result = await compare_entries(vipps, found.entries, known=found.known, concurrency=1)
    assert [(each.api, each.comparison) for each in result] == [
        ("epayment", Comparison.AGREES),
        ("ecom", Comparison.AGREES),
        ("epayment", AT_VIPPS),
    ]


def test_an_answer_about_another_payment_is_no_history() -> None:
    """What stands in it is not listed for this one."""
    details = PaymentDetails(order_id="order-2")
    assert ECOM_API.history.read("order-2", details) == ()
    assert ECOM_API.history.read("order-1", details) is None
    event = PaymentEvent(reference="order-2", name=EventName.CAPTURED, amount=nok(5), success=True)
    read = EPAYMENT_API.history.read("order-2", (event,))
    assert read is not None
    assert [each.amount for each in read] == [500]
    assert EPAYMENT_API.history.read("order-1", (event,)) is None


async def test_what_a_sales_unit_captures_by_itself_is_nobodys_operation(journal: MemoryJournal) -> None:
    """Direct capture: the customer's acceptance is the capture, and no system has asked for it."""
    async with Sandbox(settings=SandboxSettings(direct_capture={MSN}), rate_limits=False) as sandbox:
        stock_one(sandbox, "order-0", 10_000)
        async with sandbox.session(journal=journal) as vipps:
            await vipps.ecom.refund("order-0", amount=100, transaction_text="x")
        assert [each.comparison for each in await compared(sandbox, journal)] == [Comparison.AGREES]


async def test_a_history_that_cannot_be_read_is_told(sandbox: Sandbox, journal: MemoryJournal) -> None:
    """A cancel agrees by the payment's state; what else there is would stand in the events."""
    async with sandbox.session(journal=journal) as vipps:
        await vipps.epayment.create(reference="acme-order-1", amount=nok(5), return_url="https://example.com/back")
        await sandbox.approve("acme-order-1")
        await vipps.epayment.cancel("acme-order-1")
    sandbox.faults.script("events", *[Fault.HTML_200_BEFORE] * 20)
    agrees, other = await compared(sandbox, journal)
    assert agrees.comparison is Comparison.AGREES
    assert told([other]) == [
        (
            Comparison.INCONCLUSIVE,
            "",
            "acme-order-1",
            None,
            None,
            "what else Vipps has of the payment could not be read",
        )
    ]


async def test_without_keys_nothing_is_taken_for_another_systems(sandbox: Sandbox, journal: MemoryJournal) -> None:
    """Where a history lacks keys, what fits an operation of ours is that one; what is over is listed."""
    stock_one(sandbox, "order-0", 10_000)
    async with sandbox.session(journal=journal) as vipps, sandbox.session() as portal:
        await vipps.ecom.capture("order-0", amount=1000, transaction_text="x")
        await portal.ecom.capture("order-0", amount=1000, transaction_text="x")
    sandbox.faults.script("details", *[Fault.DETAILS_WITHOUT_KEYS] * 20)
    ours, other = await compared(sandbox, journal)
    assert (ours.comparison, ours.recorded, ours.found) == (Comparison.INCONCLUSIVE, 1000, None)
    assert told([other]) == [(AT_VIPPS, "capture", "order-0", 0, 1000, "the journal has no other one like it")]


def entry(amount: int, key: str | None = None, *, verb: str | None = "capture", is_done: bool = True) -> HistoryEntry:
    """Something in a history."""
    time = datetime(2026, 1, 1, tzinfo=UTC)
    return HistoryEntry(name="x", verb=verb, amount=amount, currency="NOK", is_done=is_done, key=key, time=time)


def known(key: str, amount: int | None, outcome: Outcome | None = Outcome.DONE, **more: Any) -> KnownOperation:
    """Something in a journal."""
    facts: dict[str, Any] = {"api": "ecom", "operation": "capture", "key": key, **more}
    return KnownOperation(**facts, amount=amount, outcome=outcome)


@each_row(
    ("history", "journal", "expected"),
    [
        ([entry(5, "a")], [known("a", 5)], []),
        ([entry(5, "a")], [known("a", 5, operation="refund")], [(5, None)]),
        ([entry(5, "a", is_done=False), entry(5, "b", verb="cancel"), entry(5, "c", verb=None)], [], []),
        ([entry(5, "a")], [known("a", 5, None)], [(5, known("a", 5, None))]),
        ([entry(5, "a")], [known("a", 5, Outcome.NOT_DONE)], [(5, known("a", 5, Outcome.NOT_DONE))]),
        ([entry(5, "a")], [known("a", 5, Outcome.REFUSED), known("a", 5, api="epayment")], []),
        # Without keys: one entry for one operation, the one of this amount before the one of all that was left.
        ([entry(5), entry(7)], [known("a", None), known("b", 5)], []),
        ([entry(5), entry(5)], [known("a", 5)], [(5, None)]),
        ([entry(5)], [known("a", 6)], [(5, None)]),
        ([entry(5)], [known("a", 5, Outcome.REFUSED)], [(5, None)]),
        ([entry(5), entry(5, "a")], [known("a", 5)], [(5, None)]),
        # A key that may be shown otherwise, as it is of an operation that went over the other API.
        ([entry(5, "z")], [known("a", 5, api="epayment")], []),
        ([entry(5, "z")], [known("a", 5)], [(5, None)]),
    ],
)
def test_what_is_taken_for_what(
    history: list[HistoryEntry], journal: list[KnownOperation], expected: list[tuple[int, KnownOperation | None]]
) -> None:
    """Each entry for one operation at most, each operation for one entry."""
    found = unknown_to_journal(history, journal, "ecom")
    assert [(each.amount, there) for each, there in found] == expected
