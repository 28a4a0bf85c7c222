"""With a journal no event is lost: durable before Vipps is answered, redelivered until its handler succeeds."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from attrs import evolve

from tests.ecom.callback_bodies import EXPRESS, NO_INFO, PERSONAL, REGULAR, as_body, with_info
from tests.ecom.payments import entry as history_entry
from tests.receiver.served import at_work
from tests.receiver.shop import Shop, until
from vipps_async import JournalError
from vipps_async.ecom.dialect import CALLBACK, CONSENT_REMOVAL
from vipps_async.journals.entries import Entry, Intent, Outcome, Settlement
from vipps_async.journals.memory import MemoryJournal
from vipps_async.journals.protocol import AcquireResult
from vipps_async.receiver import ConsentRemoval
from vipps_async.testing.scripted import answer

USER_ID = "+/uiJskNQ6qNN1iwN891uuob=="
CONSENT = f"/v2/consents/{quote(USER_ID, safe='')}"


async def entries(journal: MemoryJournal) -> list[Entry]:
    """Return what a journal holds, the newest first."""
    return [entry async for entry in journal.recent_entries()]


async def until_settled(journal: MemoryJournal) -> None:
    """Wait until nothing in a journal is open."""
    async with asyncio.timeout(10):
        while [entry async for entry in journal.open_entries()]:  # noqa: ASYNC110 - a journal sets no event
            await asyncio.sleep(0.005)


class Failing(MemoryJournal):
    """A journal in memory whose steps fail, or take for ever, as a test says."""

    def __init__(self) -> None:
        super().__init__()
        self.trouble: dict[str, Any] = {}

    async def _meet(self, step: str) -> None:
        trouble = self.trouble.get(step)
        if isinstance(trouble, Exception):
            raise trouble
        if trouble is not None:
            await trouble()

    async def begin(
        self, intent: Intent, *, owner: str, lease: float, adopt: bool = False
    ) -> tuple[AcquireResult, Entry]:
        """Begin, unless there is trouble."""
        await self._meet("begin")
        return await super().begin(intent, owner=owner, lease=lease, adopt=adopt)

    async def settle(self, intent: Intent, settlement: Settlement, *, owner: str | None = None) -> None:
        """Settle, unless there is trouble."""
        await self._meet("settle")
        await super().settle(intent, settlement, owner=owner)

    async def release(self, intent: Intent, **how: Any) -> None:
        """Release, unless there is trouble."""
        await self._meet("release")
        await super().release(intent, **how)

    async def open_entries(self, *, merchant_serial_number: str | None = None) -> AsyncIterator[Entry]:
        """Walk, unless there is trouble."""
        await self._meet("walk")
        async for entry in super().open_entries(merchant_serial_number=merchant_serial_number):
            yield entry


async def test_a_note_is_durable_before_the_answer(shop: Shop, journal: MemoryJournal) -> None:
    """When Vipps has its answer, the order is in the journal, open, without anything personal; then it is settled."""
    release = asyncio.Event()
    shop.trouble = release.wait
    async with at_work(shop, journal=journal) as served:
        assert (await served.receive(EXPRESS)).status == 200
        ((entry),) = await entries(journal)
        intent = entry.intent
        assert (intent.name, intent.payment) == (f"ecom.{CALLBACK}", "acme-1")
        assert entry.settlement is None
        assert not [value for value in PERSONAL if value.encode() in (intent.body or b"")]
        release.set()
        await until_settled(journal)
        ((entry),) = await entries(journal)
        assert entry.settlement is not None
        assert entry.settlement.outcome is Outcome.DONE


async def test_a_duplicate_is_handled_once_for_all(shop: Shop, journal: MemoryJournal) -> None:
    """News that has been handled is not handled again, in this process or the next; RESERVE is RESERVED here too."""
    duplicates = []
    for _ in range(2):
        async with at_work(shop, journal=journal) as served:
            for body in (REGULAR, with_info(status="RESERVE"), EXPRESS):
                assert (await served.receive(body)).status == 200
                await until_settled(journal)
            duplicates.append(served.receiver.counts.duplicates)
    assert len(shop.payments) == 1
    assert duplicates == [2, 3]


async def test_what_another_machine_has_running(shop: Shop, journal: MemoryJournal) -> None:
    """The same news on two machines at the same time is handled on one."""
    release = asyncio.Event()
    shop.trouble = release.wait
    other = Shop()
    async with at_work(shop, journal=journal, drain_timeout=5) as one, at_work(other, journal=journal) as two:
        assert [(await one.receive()).status, (await two.receive()).status] == [200, 200]
        await asyncio.sleep(0.1)
        assert (len(shop.payments), len(other.payments)) == (1, 0)
        assert two.receiver.counts.duplicates == 1
        release.set()


async def test_news_without_a_time_is_never_a_duplicate(shop: Shop, journal: MemoryJournal) -> None:
    """What cannot be told from later news is handed over each time."""
    async with at_work(shop, journal=journal) as served:
        for _ in range(2):
            assert (await served.receive(NO_INFO)).status == 200
            await until_settled(journal)
    assert len(shop.payments) == 2


async def test_a_failed_handler_is_called_again(shop: Shop, journal: MemoryJournal) -> None:
    """The event comes again until its handler succeeds, marked, with the same dedup_key, and then no more."""
    failures = iter([KeyError("one"), ValueError("two")])

    def fail() -> None:
        error = next(failures, None)
        if error is not None:
            raise error

    shop.trouble = fail
    async with at_work(shop, journal=journal, redeliver_after=0.01) as served:
        await served.receive(EXPRESS)
        await until(lambda: served.receiver.counts.handled)
        await until_settled(journal)
        assert (served.receiver.counts.failed, served.receiver.counts.redelivered) == (2, 2)
        await asyncio.sleep(0.05)
    assert [event.is_redelivered for event in shop.payments] == [False, True, True]
    assert len({event.dedup_key for event in shop.payments}) == 1
    assert shop.payments[1].claimed_amount == 49900
    assert shop.payments[1].user_details is None


async def test_the_pause_grows(shop: Shop, journal: MemoryJournal) -> None:
    """A handler that keeps failing is called again at longer and longer intervals."""
    at: list[float] = []

    def fail() -> None:
        at.append(asyncio.get_running_loop().time())
        raise KeyError

    shop.trouble = fail
    async with at_work(shop, journal=journal, redeliver_after=0.02) as served:
        await served.receive()
        await until(lambda: len(at) >= 4)
    gaps = [later - earlier for earlier, later in itertools.pairwise(at)]
    # 1, 2 and 4 pauses, each half a pause early at most.
    assert gaps[1] >= 0.03
    assert gaps[2] >= 0.07


async def test_a_receiver_begins_with_what_was_left(shop: Shop, journal: MemoryJournal) -> None:
    """What an earlier process noted and did not finish is handed over when the application starts."""
    shop.trouble = asyncio.Event().wait
    async with at_work(shop, journal=journal) as served:
        await served.receive()
        await served.receive(b"", method="DELETE", path=CONSENT)
        await until(lambda: shop.payments and shop.removals)
    again = Shop()
    async with at_work(again, journal=journal) as served:
        await until_settled(journal)
    assert [event.order_id for event in again.payments] == ["acme-1"]
    assert again.removals == [ConsentRemoval(user_id=USER_ID, is_redelivered=True)]


async def test_a_process_that_was_killed(shop: Shop) -> None:
    """A note whose process died without a word is taken over when its lease has ended, not before."""
    now = datetime(2026, 11, 22, tzinfo=UTC)
    journal = MemoryJournal(clock=lambda: now)
    await journal.open()
    body = as_body(REGULAR)
    async with at_work(shop, journal=journal) as served:
        shop.trouble = asyncio.Event().wait
        await served.receive(body)
        ((entry),) = await entries(journal)
    await journal.claim(entry.intent, owner="the dead", lease=360)
    again = Shop()
    async with at_work(again, journal=journal, redeliver_after=0.01) as served:
        await asyncio.sleep(0.05)
        assert not again.payments
        now += timedelta(seconds=361)
        await until(lambda: again.payments)
        await until_settled(journal)
    await journal.aclose()


async def test_beyond_the_bound_a_callback_is_noted_for_later(shop: Shop, journal: MemoryJournal) -> None:
    """With a journal nobody is turned away: what there is no room for waits in it, and is handled when there is."""
    release = asyncio.Event()
    shop.trouble = release.wait
    async with at_work(shop, journal=journal, max_handlers=3, redeliver_after=60) as served:
        answers = [(await served.receive_order(number)).status for number in range(20)]
        assert answers == [200] * 20
        assert served.receiver.running == 3
        release.set()
        await until(lambda: served.receiver.counts.handled == 20)
        await until_settled(journal)
    assert sorted({event.order_id for event in shop.payments}) == sorted(f"acme-{number}" for number in range(20))
    assert len(shop.payments) == 20


async def test_a_journal_that_fails(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """What cannot be noted is not answered 200, and is handed over all the same, for Vipps does not ask again."""
    journal = Failing()
    await journal.open()
    journal.trouble["begin"] = JournalError("the disk is full")
    async with at_work(shop, journal=journal) as served:
        assert (await served.receive()).status == 503
        await until(lambda: served.receiver.counts.handled)
        assert served.receiver.counts.not_journalled == 1
    assert "vipps.inbound_journal_failed" in caplog.text
    await journal.aclose()


async def test_a_journal_that_does_not_answer(shop: Shop) -> None:
    """Vipps is answered in time though the disk hangs."""
    journal = Failing()
    await journal.open()
    journal.trouble["begin"] = asyncio.Event().wait
    async with at_work(shop, journal=journal, journal_timeout=0.01) as served, asyncio.timeout(2):
        assert (await served.receive()).status == 503
        await until(lambda: served.receiver.counts.handled)
    await journal.aclose()


async def test_a_journal_that_fails_afterwards(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """A journal that cannot settle, release or be read is logged; the receiver goes on."""
    journal = Failing()
    await journal.open()
    journal.trouble = {step: JournalError("no") for step in ("settle", "release", "walk")}
    async with at_work(shop, journal=journal, redeliver_after=0.01) as served:
        assert (await served.receive_order(1)).status == 200
        await until(lambda: served.receiver.counts.handled == 1)
        shop.trouble = lambda: 1 / 0
        assert (await served.receive_order(2)).status == 200
        await until(lambda: served.receiver.counts.failed == 1)
        await until(lambda: caplog.text.count("vipps.inbound_journal_failed") >= 3)
        journal.trouble.clear()
        shop.trouble = lambda: None
        # Their leases have not ended, so that nobody takes them over yet: nothing is handled twice.
        assert (await served.receive_order(3)).status == 200
        await until(lambda: served.receiver.counts.handled == 2)
    assert [event.order_id for event in shop.payments] == ["acme-1", "acme-2", "acme-3"]
    await journal.aclose()


async def test_a_removal_after_a_removal(shop: Shop, journal: MemoryJournal) -> None:
    """A customer may consent again and take it back again: each removal reaches its handler."""
    async with at_work(shop, journal=journal) as served:
        for number in range(2):
            assert (await served.receive(b"", method="DELETE", path=CONSENT)).status == 200
            await until(lambda number=number: served.receiver.counts.handled == number + 1)  # type: ignore[misc] # mypy does not infer defaults of lambdas
        await until_settled(journal)
    assert {entry.intent.operation for entry in await entries(journal)} == {CONSENT_REMOVAL}
    assert [removal.user_id for removal in shop.removals] == [USER_ID] * 2


async def test_a_handler_that_is_gone(shop: Shop, journal: MemoryJournal) -> None:
    """A removal that was noted when there was a handler stays in the journal when there is none any more."""
    shop.trouble = asyncio.Event().wait
    async with at_work(shop, journal=journal) as served:
        await served.receive(b"", method="DELETE", path=CONSENT)
        await until(lambda: shop.removals)
    async with at_work(shop, journal=journal, on_consent_removal=None) as served:
        await until(lambda: served.receiver.counts.failed)
    assert [entry.intent.operation async for entry in journal.open_entries()] == [CONSENT_REMOVAL]


@pytest.mark.parametrize("change", [{"body": b"{}"}, {"body": None}, {"digest": "x"}, {"payment": "acme-3"}])
async def test_a_damaged_note(
    shop: Shop, journal: MemoryJournal, change: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A note that cannot be read is left in the journal and logged; the others are handed over."""
    shop.trouble = asyncio.Event().wait
    other = MemoryJournal()
    await other.open()
    async with at_work(shop, journal=other) as served:
        await served.receive_order(1)
        await served.receive_order(2)
    for entry in await entries(other):
        damaged = evolve(entry.intent, **change) if entry.intent.payment == "acme-1" else entry.intent
        await journal.begin(damaged, owner="x", lease=0)
    again = Shop()
    async with at_work(again, journal=journal) as served:
        await until(lambda: served.receiver.counts.handled)
    assert [event.order_id for event in again.payments] == ["acme-2"]
    assert "DamagedEntry" in caplog.text
    left = [entry.intent.payment async for entry in journal.open_entries()]
    assert left == [change.get("payment", "acme-1")]


async def test_what_is_no_note_is_left_alone(shop: Shop, journal: MemoryJournal) -> None:
    """Captures and refunds in the same journal are nobody's business here."""
    capture = Intent(
        key="k",
        api="ecom",
        operation="capture",
        payment="acme-1",
        merchant_serial_number="123456",
        amount=100,
        currency="NOK",
        digest="d",
        created_at=datetime.now(UTC),
    )
    await journal.begin(capture, owner="x", lease=0)
    async with at_work(shop, journal=journal, redeliver_after=0.01):
        await asyncio.sleep(0.05)
    ((entry),) = await entries(journal)
    assert entry.owner == "x"
    assert not shop.payments


async def test_a_thread_that_cannot_be_stopped_keeps_its_note(shop: Shop, journal: MemoryJournal) -> None:
    """A plain function that outlives the application may still be at work: its note keeps its lease."""
    release = threading.Event()
    options: dict[str, Any] = {"on_payment": lambda _event, _vipps: release.wait(10) and None, "drain_timeout": 0.01}
    async with at_work(shop, journal=journal, **options) as served:
        await served.receive()
        await until(lambda: served.receiver.running)
    ((entry),) = await entries(journal)
    assert entry.owner
    assert entry.lease_until > datetime.now(UTC)
    assert served.receiver.counts.failed == 1
    release.set()


@pytest.mark.parametrize("body", [NO_INFO, with_info(status="ON_HOLD"), REGULAR], ids=["nothing", "tomorrow", "lag"])
async def test_what_details_do_not_know_yet_is_redelivered(
    shop: Shop, journal: MemoryJournal, body: dict[str, Any]
) -> None:
    """A callback is no news before details show an acceptance or an end, even if its handler leaves it at that."""
    shop.confirms = True
    begun = history_entry("INITIATE")
    histories = [[begun], [begun], [history_entry("RESERVE", success=False), begun]]
    async with at_work(shop, journal=journal, redeliver_after=0.01) as served:
        answers = [answer(200, {"orderId": "acme-1", "transactionLogHistory": history}) for history in histories]
        served.transport.on("/details", *answers)
        await served.receive(body)
        await until(lambda: served.receiver.counts.handled)
        await until_settled(journal)
    assert len(shop.payments) == 3
    assert [outcome.details.has_outcome for outcome in shop.outcomes] == [False, False, True]
