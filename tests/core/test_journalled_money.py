"""How long an intent belongs to whoever carries it out."""

from __future__ import annotations

from typing import Any

from tests.core.samples import call_of, done, pipeline
from vipps_async.core.operation import AuditInfo, Repeat
from vipps_async.core.recorder import Recorder
from vipps_async.journals.entries import Entry, Intent, KeyOrigin, World
from vipps_async.journals.memory import MemoryJournal
from vipps_async.journals.protocol import AcquireResult
from vipps_async.testing import ScriptedTransport

DEADLINE = 30.0


class Leases(MemoryJournal):
    """Notes for how long entries are taken."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: list[float] = []
        self.claimed: list[float] = []
        self.intents: list[Intent] = []

    async def begin(self, intent: Intent, *, owner: str, lease: float, **how: Any) -> tuple[AcquireResult, Entry]:
        """See Journal."""
        self.begun.append(lease)
        self.intents.append(intent)
        return await super().begin(intent, owner=owner, lease=lease, **how)

    async def claim(self, intent: Intent, *, owner: str, lease: float) -> tuple[AcquireResult, Entry]:
        """See Journal."""
        self.claimed.append(lease)
        return await super().claim(intent, owner=owner, lease=lease)


async def _vipps() -> World:
    return World(environment="test", host="vipps")


async def test_leases_outlast_what_they_are_taken_for() -> None:
    """A call's is longer than its deadline and the writing after it; a recovery asks, sends and asks once more."""
    journal, call = (
        Leases(),
        call_of(Repeat.KEYED, audit=AuditInfo(amount=49900, currency="NOK", origin=KeyOrigin.GIVEN)),
    )
    runner = Recorder(
        pipeline(ScriptedTransport().on("/capture", done())),
        journal,
        rebuild=lambda _intent: call,
        merchant_serial_number="123456",
        deadline=DEADLINE,
        settle_after=86_400,
        find_world=_vipps,
    )
    await runner.run(call)
    (entry,) = await journal.find(payment=journal.intents[0].payment, merchant_serial_number="123456")
    await runner.claim(entry)
    assert [lease >= DEADLINE + 5.0 for lease in journal.begun] == [True]
    assert [lease >= 3 * DEADLINE for lease in journal.claimed] == [True]
    await runner.aclose()
