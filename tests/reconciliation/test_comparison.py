"""Each done entry is held against Vipps: what agrees, what differs, and what could not be read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from attrs import evolve

from tests.batch.shop import MSN, stock, stock_one
from vipps_async import ConfigurationError, Credentials, InvalidInputError, MemoryJournal, VippsSession, nok
from vipps_async.journals.entries import Entry
from vipps_async.reconciliation import ComparedOperation, Comparison, Day, compare_entries, entries_of_day
from vipps_async.sandbox import Fault
from vipps_async.testing import Sandbox, ScriptedTransport, answer
from vipps_async.transports.protocol import Request

KEYS = Credentials(client_id="a", client_secret="b", subscription_key="c", merchant_serial_number=MSN)


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A Vipps of its own."""
    async with Sandbox(rate_limits=False) as running:
        yield running


async def done_today(journal: MemoryJournal) -> list[Entry]:
    """What the journal has as done today."""
    found = await entries_of_day(journal, Day.of("today", "UTC"), merchant_serial_number=MSN)
    return found.entries


async def compared(sandbox: Sandbox, journal: MemoryJournal, **options: Any) -> dict[str, ComparedOperation]:
    """All comparisons by operation and payment."""
    await journal.open()
    try:
        entries = await done_today(journal)
    finally:
        await journal.aclose()
    async with sandbox.session() as vipps:
        found = await compare_entries(vipps, entries, **options)
    assert [(each.payment, each.key) for each in found] == [(each.intent.payment, each.intent.key) for each in entries]
    return {f"{each.api}.{each.operation} {each.payment}": each for each in found}


def told(found: ComparedOperation) -> tuple[Comparison, int | None, int | None, str]:
    """The parts of a comparison that matter."""
    return (found.comparison, found.recorded, found.found, found.reason)


AGREES = Comparison.AGREES


async def test_a_day_of_ecom_agrees(sandbox: Sandbox) -> None:
    """Captures of a sum and of all that was left, a refund, a cancel: with both amounts and Vipps' own time."""
    journal = MemoryJournal()
    stock(sandbox, 2, amount=50_000)
    async with sandbox.session(journal=journal) as vipps:
        await journal.open()
        await vipps.ecom.capture("order-0", amount=20_000, transaction_text="x")
        await vipps.ecom.capture("order-0", transaction_text="x")
        await vipps.ecom.refund("order-0", amount=nok("1.50"), transaction_text="x")
        await vipps.ecom.cancel("order-1", transaction_text="x")
        entries = await done_today(journal)
        before = len(sandbox.requests)
        found = await compare_entries(vipps, entries)
    assert [told(each) for each in found] == [
        (AGREES, 20_000, 20_000, ""),
        (AGREES, 30_000, 30_000, ""),
        (AGREES, 150, 150, ""),
        (AGREES, None, None, ""),
    ]
    assert all(each.time is not None for each in found)
    # One look-up for each payment.
    assert [request.operation for request in sandbox.requests[before:]] == ["details", "details"]
    await journal.aclose()


async def test_a_day_of_epayment_agrees(sandbox: Sandbox) -> None:
    """By the events, and a cancel by the payment's state; in any currency."""
    journal = MemoryJournal()
    async with sandbox.session(journal=journal) as vipps:
        await journal.open()
        for number in (1, 2):
            await vipps.epayment.create(
                reference=f"acme-order-{number}", amount=nok(500), return_url="https://example.com/back"
            )
            await sandbox.approve(f"acme-order-{number}")
        await vipps.epayment.capture("acme-order-1", amount=nok(200))
        await vipps.epayment.refund("acme-order-1", amount=nok("1.50"))
        await vipps.epayment.cancel("acme-order-2")
        found = await compare_entries(vipps, await done_today(journal))
    assert [told(each) for each in found] == [
        (AGREES, 20_000, 20_000, ""),
        (AGREES, 150, 150, ""),
        (AGREES, None, None, ""),
    ]
    assert [each.operation for each in found] == ["capture", "refund", "cancel"]
    assert [each.time is None for each in found] == [False, False, True]
    await journal.aclose()


async def test_what_vipps_does_not_have_differs(sandbox: Sandbox) -> None:
    """The journal has a capture as done under a key that Vipps' history lacks, or of a payment that it lacks."""
    journal = MemoryJournal()
    stock(sandbox, 1)
    async with sandbox.session(journal=journal) as vipps:
        await journal.open()
        await vipps.ecom.capture("order-0", transaction_text="x")
        (entry,) = await done_today(journal)
        others = [
            evolve(entry, intent=evolve(entry.intent, key="another")),
            evolve(entry, intent=evolve(entry.intent, payment="order-9")),
        ]
        early = await compare_entries(vipps, others)
        long_ago = evolve(entry.attempts, last_at=entry.attempts.last_at - timedelta(days=1))
        found = await compare_entries(vipps, [evolve(each, attempts=long_ago) for each in others])
        soon = await compare_entries(vipps, others, settle_after=0.0)
    await journal.aclose()
    assert soon == found
    # The history may lag: what it lacks today it may have tomorrow.
    assert [(each.comparison, each.found) for each in early] == [(Comparison.INCONCLUSIVE, None)] * 2
    assert "and may have it later: compare again after " in early[0].reason
    only = Comparison.ONLY_IN_JOURNAL
    assert told(found[0]) == (only, 1000, 0, "the history does not have this idempotency key")
    assert told(found[1]) == (only, 1000, 0, "Vipps does not know the order")


async def test_another_amount_differs(sandbox: Sandbox) -> None:
    """From what was asked for, as Vipps moved otherwise; and from what is on record."""
    journal = MemoryJournal()
    stock(sandbox, 2)
    sandbox.faults.script("capture", Fault.OTHER_AMOUNT_MOVED, order_id="order-0")
    async with sandbox.session(journal=journal) as vipps:
        await journal.open()
        with pytest.raises(Exception, match="otherwise than asked"):
            await vipps.ecom.capture("order-0", amount=1000, transaction_text="x")
        await vipps.ecom.capture("order-1", transaction_text="x")
        otherwise, right = await done_today(journal)
        assert right.settlement is not None
        record = right.settlement.answer.replace(b"1000", b"900")
        changed = evolve(right, settlement=evolve(right.settlement, answer=record))
        found = await compare_entries(vipps, [otherwise, changed])
    await journal.aclose()
    assert found[0].comparison is Comparison.OTHERWISE
    assert (found[0].asked, found[0].recorded, found[0].found) == (1000, 500, 500)
    assert (found[0].vipps_less_journal, found[0].vipps_less_asked) == (0, -500)
    assert found[0].reason == "10.00 NOK were asked for, and 5.00 NOK were moved"
    assert told(found[1]) == (Comparison.DIFFERS, 900, 1000, "the journal has 9.00 NOK, Vipps 10.00 NOK")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda e: evolve(e, settlement=evolve(e.settlement, answer=b"[")), "the answer on record cannot be read"),
        (lambda e: evolve(e, intent=evolve(e.intent, api="fpayment")), "of an API that this version does not know"),
    ],
)
async def test_an_entry_that_cannot_be_read_is_not_looked_up(
    sandbox: Sandbox, change: Callable[[Entry], Entry], words: str
) -> None:
    """It is told as such, and agrees with nothing."""
    journal = MemoryJournal()
    stock(sandbox, 1)
    async with sandbox.session(journal=journal) as vipps:
        await journal.open()
        await vipps.ecom.capture("order-0", transaction_text="x")
        (entry,) = await done_today(journal)
        before = len(sandbox.requests)
        (found,) = await compare_entries(vipps, [change(entry)])
    await journal.aclose()
    assert found.comparison is Comparison.INCONCLUSIVE
    assert words in found.reason
    assert len(sandbox.requests) == before


async def _entry(sandbox: Sandbox, order_id: str) -> Entry:
    journal = MemoryJournal()
    await journal.open()
    stock_one(sandbox, order_id, 1000)
    async with sandbox.session(journal=journal) as vipps:
        await vipps.ecom.capture(order_id, transaction_text="x")
    (entry,) = await done_today(journal)
    await journal.aclose()
    return entry


def _scripted(respond: Callable[[Request], Any]) -> VippsSession:
    token = answer(200, {"access_token": "t", "expires_in": "3600", "expires_on": "9999999999"})
    transport = ScriptedTransport().on("/accesstoken/get", then=token).on("/details", then=respond)
    return VippsSession(KEYS, transport=transport)


@pytest.mark.parametrize("status", [400, 403, 500])
async def test_an_answer_that_proves_nothing_is_not_read(sandbox: Sandbox, status: int) -> None:
    """Neither a refusal of the keys, nor a gateway's error, nor one that is not Vipps' own is a difference."""
    entry = await _entry(sandbox, "order-0")
    async with _scripted(lambda _: answer(status, {"message": "no"})) as vipps:
        (found,) = await compare_entries(vipps, [entry])
    assert found.comparison is Comparison.INCONCLUSIVE
    assert (found.recorded, found.found) == (1000, None)
    assert str(status) in found.reason


async def test_a_vipps_that_is_away_is_not_asked_for_ever(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """After some look-ups without an answer the rest is left unread, and nothing is sent for it."""
    monkeypatch.setattr("vipps_async.core.batch_limit._BATCH_FIRST_PAUSE", 0.0)
    monkeypatch.setattr("vipps_async.core.batch_limit._BATCH_LONGEST_PAUSE", 0.0)
    entry = await _entry(sandbox, "order-0")
    entries = [evolve(entry, intent=evolve(entry.intent, payment=f"order-{number}")) for number in range(200)]
    asked = []

    def respond(request: Request) -> Any:
        asked.append(request)
        return answer(401, {"message": "no"})

    async with _scripted(respond) as vipps, asyncio.timeout(20):
        found = await compare_entries(vipps, entries, concurrency=4)
    assert {each.comparison for each in found} == {Comparison.INCONCLUSIVE}
    assert len(found) == 200
    assert found[-1].reason == "not looked up: Vipps gave no usable answer any more"
    assert len(asked) < 60


async def test_no_more_at_once_and_a_second_than_was_said(sandbox: Sandbox) -> None:
    """Both bounds hold, and the progress counts each entry."""
    entry = await _entry(sandbox, "order-0")
    entries = [evolve(entry, intent=evolve(entry.intent, payment=f"order-{number}")) for number in range(6)]
    inside = most = 0

    async def respond(_: Request) -> Any:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0)
        inside -= 1
        return answer(404, {"errorGroup": "Payment", "errorCode": "41", "errorMessage": "unknown"})

    counts: list[int] = []
    async with _scripted(respond) as vipps:
        loop = asyncio.get_running_loop()
        started = loop.time()
        await compare_entries(vipps, entries, concurrency=2, rate=20, progress=counts.append)
        # The first two at once, each of the others a twentieth of a second later.
        assert loop.time() - started >= 0.15
    assert most <= 2
    assert counts == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    "options", [{"concurrency": 0}, {"concurrency": 101}, {"concurrency": True}, {"rate": 0}, {"rate": float("inf")}]
)
async def test_bounds_are_checked(options: dict[str, Any]) -> None:
    """Before anything is asked."""
    async with VippsSession(KEYS, transport=ScriptedTransport()) as vipps:
        with pytest.raises(InvalidInputError, match=next(iter(options))):
            await compare_entries(vipps, [], **options)
        assert await compare_entries(vipps, []) == []


async def test_a_closed_session_is_told(sandbox: Sandbox) -> None:
    """As one error, and not as a day that could not be read."""
    entry = await _entry(sandbox, "order-0")
    vipps = VippsSession(KEYS, transport=ScriptedTransport())
    await vipps.aclose()
    with pytest.raises(ConfigurationError):
        await compare_entries(vipps, [entry])


async def test_nothing_is_changed_by_looking(sandbox: Sandbox) -> None:
    """Only reads leave, and the journal has the same as before."""
    journal = MemoryJournal()
    stock(sandbox, 3)
    async with sandbox.session(journal=journal) as vipps:
        for number in range(3):
            await vipps.ecom.capture(f"order-{number}", transaction_text="x")
    before = len(sandbox.requests)
    found = await compared(sandbox, journal, concurrency=1)
    assert {each.comparison for each in found.values()} == {AGREES}
    assert {request.operation for request in sandbox.requests[before:]} == {"token", "details"}
    assert datetime.now(UTC) >= max(each.settled_at for each in found.values() if each.settled_at is not None)
