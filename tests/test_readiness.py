"""Whether a session can carry calls out, what its journal has open, and the order in which all of it ends."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.core.fake_clock import FakeClock
from tests.core.virtual_time import run_in_virtual_time
from tests.journals.material import intent
from tests.test_session import CAPTURED, CREDENTIALS
from vipps_async import (
    ConfigurationError,
    InvalidInputError,
    JournalError,
    MemoryJournal,
    OutcomeUnknown,
    Readiness,
    RetryPolicy,
    VippsSession,
    World,
)
from vipps_async.core import open_operations
from vipps_async.receiver import EcomCallbacks, Receiver
from vipps_async.testing import ScriptedTransport, answer
from vipps_async.testing.scripted import token_answer
from vipps_async.transports import aiohttp as aiohttp_transports

REFUSED = answer(401, {"error": "invalid_client", "error_description": "canary-secret is wrong"})


def session(transport: ScriptedTransport, **more: Any) -> VippsSession:
    """Make a session over a script, whose clock does not wait."""
    more.setdefault("clock", FakeClock())
    return VippsSession(CREDENTIALS, transport=transport, **more)


class Sick(MemoryJournal):
    """A journal that does not work."""

    def __init__(self, *, opens: bool = True, hangs: bool = False) -> None:
        super().__init__()
        self.opens, self.hangs = opens, hangs

    async def open(self) -> None:
        """Open, or not."""
        if not self.opens:
            raise JournalError("the disk is full")
        await super().open()

    async def world(self) -> World | None:
        """Answer nothing good."""
        if self.hangs:
            await asyncio.Event().wait()
        raise JournalError("the disk is broken")


# --- ready


@pytest.mark.parametrize("journal", [None, MemoryJournal()])
async def test_a_session_that_works_is_ready(journal: MemoryJournal | None) -> None:
    """One token request, no other; a session that was not entered opens its journal for it."""
    transport = ScriptedTransport()
    vipps = session(transport, journal=journal)
    assert (await vipps.ready()).is_ready
    assert await vipps.ready() == Readiness()
    assert (len(transport.token_requests), len(transport.requests)) == (1, 0)
    await vipps.aclose()
    assert await vipps.ready() == Readiness(reasons=("the session is closed",))


async def test_keys_that_are_refused_are_the_reason() -> None:
    """The reason tells what Vipps said, and no secret."""
    async with session(ScriptedTransport().on("/accesstoken/get", REFUSED)) as vipps:
        found = await vipps.ready()
    assert not found.is_ready
    (reason,) = found.reasons
    assert reason.startswith("fetching a token failed: Vipps answered HTTP 401: invalid_client")
    assert "canary" not in reason


async def test_probes_share_what_was_found_for_five_seconds() -> None:
    """A hundred probes at once ask once; five seconds later it is asked again."""
    clock, transport = FakeClock(), ScriptedTransport().on("/accesstoken/get", REFUSED, token_answer())
    async with session(transport, clock=clock) as vipps:
        found = await asyncio.gather(*(vipps.ready() for _ in range(100)), vipps.for_merchant("654321").ready())
        assert {readiness.is_ready for readiness in found} == {False}
        clock.advance(4.9)
        assert not (await vipps.ready()).is_ready
        assert len(transport.token_requests) == 1
        clock.advance(0.2)
        assert (await vipps.ready()).is_ready
    assert len(transport.token_requests) == 2


@pytest.mark.parametrize(
    ("journal", "reason"),
    [
        (Sick(), "the journal cannot be used: the disk is broken"),
        (Sick(opens=False), "the journal cannot be used: the disk is full"),
        (Sick(hangs=True), "the journal does not answer within 2 s"),
    ],
)
def test_a_journal_that_does_not_work_is_the_reason(journal: Sick, reason: str) -> None:
    """It cannot be opened or read, or does not answer in time."""

    async def found() -> Readiness:
        vipps = session(ScriptedTransport(), journal=journal)
        try:
            return await vipps.ready(timeout=2)
        finally:
            await vipps.aclose()

    assert run_in_virtual_time(found()) == Readiness(reasons=(reason,))


def test_both_reasons_are_told_and_neither_waits_for_the_other() -> None:
    """A token that does not come and a journal that hangs take their time side by side."""

    async def hang(_request: object) -> Any:
        await asyncio.Event().wait()

    async def main() -> tuple[Readiness, float]:
        loop = asyncio.get_running_loop()
        vipps = session(ScriptedTransport().on("/accesstoken/get", hang), journal=Sick(hangs=True))
        try:
            started = loop.time()
            return await vipps.ready(timeout=3), loop.time() - started
        finally:
            await vipps.aclose()

    found, seconds = run_in_virtual_time(main())
    assert len(found.reasons) == 2
    assert "no token came" in found.reasons[0]
    assert seconds == pytest.approx(3)


@pytest.mark.parametrize("timeout", [0, -1, float("inf"), "1", True])
async def test_a_time_that_is_none_is_refused(timeout: Any) -> None:  # noqa: ASYNC109 - it is only passed on
    """Nothing is asked with a time that never ends."""
    transport = ScriptedTransport()
    async with session(transport) as vipps:
        with pytest.raises(InvalidInputError, match="timeout must be"):
            await vipps.ready(timeout=timeout)
    assert transport.token_requests == []


# --- what is open


async def test_what_is_open_is_counted_by_sales_unit() -> None:
    """Count and age of the own unit, or of all; what is settled, or no operation, is not in it."""
    journal, began = MemoryJournal(), datetime(2026, 1, 1, tzinfo=UTC)
    async with session(ScriptedTransport().on("/capture", CAPTURED), journal=journal) as vipps:
        assert await vipps.open_operations() == open_operations.OpenOperations()
        units = ("123456", "123456", "654321")
        for number, unit in enumerate(units):
            at = began - timedelta(hours=number)
            begun = intent(key=f"k-{number}", merchant_serial_number=unit, payment=f"p-{number}", created_at=at)
            await journal.begin(begun, owner="somebody", lease=0)
        note = intent(key="n", merchant_serial_number="123456", payment="p-n", operation="callback")
        await journal.begin(note, owner="somebody", lease=0)
        await vipps.ecom.capture("acme-1", amount=49900, transaction_text="Shipped.")
        own, everybody = await vipps.open_operations(), await vipps.open_operations(all_units=True)
        assert (own.count, own.oldest, own.by_unit) == (2, began - timedelta(hours=1), {"123456": 2})
        assert (everybody.count, everybody.oldest) == (3, began - timedelta(hours=2))
        assert everybody.by_unit == {"123456": 2, "654321": 1}
        assert (await vipps.for_merchant("654321").open_operations()).count == 1


async def test_more_than_can_matter_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The walk ends at a number that is an alarm in any case."""
    monkeypatch.setattr(open_operations, "MOST_COUNTED", 3)
    journal = MemoryJournal()
    async with session(ScriptedTransport(), journal=journal) as vipps:
        for number in range(5):
            await journal.begin(intent(key=f"k-{number}", payment=f"p-{number}"), owner="somebody", lease=0)
        assert (await vipps.open_operations(all_units=True)).count == 3


async def test_without_a_journal_nothing_can_be_counted() -> None:
    """The error says what to do."""
    async with session(ScriptedTransport()) as vipps:
        with pytest.raises(ConfigurationError, match="the session has no journal"):
            await vipps.open_operations()


# --- the order of the end


class Told(MemoryJournal):
    """A journal that tells when it is closed, and what was noted before."""

    def __init__(self, ended: list[str]) -> None:
        super().__init__()
        self.ended = ended

    async def release(self, *args: Any, **more: Any) -> None:
        """Tell that an operation was left open."""
        self.ended.append("noted as open")
        await super().release(*args, **more)

    async def aclose(self) -> None:
        """Tell."""
        self.ended.append("journal")
        await super().aclose()


async def test_all_of_it_ends_in_an_order_in_which_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls end first, then handlers, then connections, and the journal last: each can still note what it has done."""
    ended: list[str] = []

    class Transport(ScriptedTransport):
        async def aclose(self) -> None:
            ended.append("transport")

    transport = Transport()
    monkeypatch.setattr(aiohttp_transports, "AiohttpTransport", lambda **_: transport)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_request: object) -> Any:
        begun.set()
        await go_on.wait()
        raise OutcomeUnknown("the connection broke")

    transport.on("/capture", slow).on("/details", then=answer(503))
    receiver = Receiver(EcomCallbacks("token", on_payment=lambda *_: None))

    async def capture(vipps: VippsSession) -> None:
        with pytest.raises(OutcomeUnknown):
            await vipps.ecom.capture("acme-1", amount=49900, transaction_text="Shipped.")
        ended.append("call")

    async with VippsSession(CREDENTIALS, journal=Told(ended), retry=RetryPolicy(attempts=1, budget=1)) as vipps:
        async with receiver.serving(vipps):
            async with asyncio.TaskGroup() as group:
                group.create_task(capture(vipps))
                await begun.wait()
                go_on.set()
            ended.append("calls ended")
        ended.append("receiver")
    assert ended == ["noted as open", "call", "calls ended", "receiver", "transport", "journal"]
