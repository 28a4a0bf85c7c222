"""A journal in memory: for tests, and as the plainest statement of what a journal does. Nothing in it is durable."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime

from attrs import evolve

from vipps_async.errors import JournalError
from vipps_async.journals.protocol import Attempts, DamagedEntry, Entry, Intent, Settlement, Standing, World
from vipps_async.journals.rules import (
    Answer,
    Attempt,
    Begin,
    Claim,
    Release,
    Settle,
    Work,
    apply,
    check_world,
    checked_hold,
    clean_note,
    same_wish,
    standing_of,
)
from vipps_async.journals.slots import Identity, wish_of

__all__ = ["MemoryJournal"]


def _utc_now() -> datetime:
    return datetime.now(UTC)


class MemoryJournal:
    """A `Journal` that forgets everything when the process ends, and holds everything until then.

    It is not bounded: each operation stays in memory. Never use it where money moves.

    Args:
        clock: gives the time that leases are measured by; aware. Tests set it by hand.
    """

    def __init__(self, *, clock: Callable[[], datetime] = _utc_now) -> None:
        self._clock = clock
        self._entries: dict[Identity, Entry] = {}
        #: How many have opened it and not closed it.
        self._users = 0
        self._world: World | None = None
        #: See Journal.
        self.on_overruled: list[Callable[[Entry], None]] = []

    def __repr__(self) -> str:
        return f"<MemoryJournal, {len(self._entries)} entries>"

    @property
    def is_open(self) -> bool:
        """See Journal."""
        return self._users > 0

    async def open(self) -> None:
        """Make it usable. What it held before it was closed is still there."""
        self._users += 1

    async def bind(self, world: World) -> None:
        """Hold the journal to its world; see `Journal.bind`."""
        self._check_open()
        check_world(self._world, world, "this journal")
        self._world = world

    async def rebind(self, world: World) -> None:
        """Bind it to another world; see `Journal.rebind`."""
        self._check_open()
        self._world = world

    async def world(self) -> World | None:
        """Return the world that it is bound to; see `Journal.world`."""
        self._check_open()
        return self._world

    async def begin(self, intent: Intent, *, owner: str, lease: float, adopt: bool = False) -> tuple[Standing, Entry]:
        """Note the intent and take it in hand; see `Journal.begin`."""
        work = Begin(intent, owner, checked_hold(owner, lease), adopt)
        self._check_open()
        if adopt and (met := same_wish(self._open_entries_like(intent), intent)) is not None:
            if met.intent.digest != intent.digest:
                return Standing.MISMATCH, met
            work = evolve(work, intent=evolve(met.intent, created_at=intent.created_at))
        return standing_of(self._do(work), work.intent)

    async def attempt(self, intent: Intent, *, owner: str, at: datetime) -> Standing:
        """Count one more attempt; see `Journal.attempt`."""
        return standing_of(self._do(Attempt(intent, owner, at)), intent)[0]

    async def prepare(self, intents: Sequence[Intent], *, owner: str, lease: float) -> list[tuple[Standing, Entry]]:
        """Do what `begin` does for many intents; see `Journal.prepare`."""
        hold = checked_hold(owner, lease)
        self._check_open()
        return [standing_of(self._do(Begin(intent, owner, hold)), intent) for intent in intents]

    async def settle(self, intent: Intent, settlement: Settlement, *, owner: str | None = None) -> None:
        """Note the outcome; see `Journal.settle`."""
        self._do(Settle(intent, settlement, owner))

    def try_settle(self, intent: Intent, settlement: Settlement, *, owner: str | None = None) -> bool:  # noqa: ARG002 - the protocol's
        """See `Journal.try_settle`; here `settle` costs no more."""
        return False

    async def release(
        self,
        intent: Intent,
        *,
        note: str,
        owner: str | None = None,
        attempts: Attempts | None = None,
        unsent: bool = False,
    ) -> None:
        """Leave the entry open and end its lease; see `Journal.release`."""
        self._do(Release(intent, clean_note(note), owner, attempts, unsent))

    async def claim(self, intent: Intent, *, owner: str, lease: float) -> tuple[Standing, Entry]:
        """Take an open entry in hand; see `Journal.claim`."""
        return standing_of(self._do(Claim(intent, owner, checked_hold(owner, lease))), intent)

    async def open_entries(self, *, merchant_serial_number: str | None = None) -> AsyncIterator[Entry]:
        """Go through all open entries, oldest first; see `Journal.open_entries`."""
        self._check_open()
        for identity in list(self._entries):
            entry = self._entries[identity]
            wanted = merchant_serial_number in {None, entry.intent.merchant_serial_number}
            if entry.settlement is None and wanted:
                yield entry

    async def damaged(self, *, only_open: bool = False) -> list[DamagedEntry]:  # noqa: ARG002 - the protocol's
        """Return nothing: what it holds are values, which take no damage."""
        self._check_open()
        return []

    async def recent_entries(self, *, limit: int = 50) -> AsyncIterator[Entry]:
        """Go through the newest entries, newest first; see `Journal.recent_entries`."""
        self._check_open()
        for entry in list(reversed(self._entries.values()))[: max(limit, 0)]:
            yield entry

    async def find(self, *, payment: str, merchant_serial_number: str) -> list[Entry]:
        """Return all entries of one payment, oldest first."""
        self._check_open()
        wanted = (payment, merchant_serial_number)
        return [
            entry
            for entry in self._entries.values()
            if (entry.intent.payment, entry.intent.merchant_serial_number) == wanted
        ]

    async def flush(self) -> None:
        """Return at once: nothing is ever queued."""
        self._check_open()

    async def aclose(self) -> None:
        """Refuse further use until it is opened again, unless somebody else has it open. What it holds stays."""
        self._users = max(0, self._users - 1)

    def _open_entries_like(self, intent: Intent) -> list[Entry]:
        wanted = wish_of(intent)
        return [e for e in self._entries.values() if e.settlement is None and wish_of(e.intent) == wanted]

    def _do(self, work: Work) -> Answer:
        self._check_open()
        answer = apply(self._entries.get(work.intent.identity), work, self._clock())
        if answer[1] is not None:
            self._entries[work.intent.identity] = answer[1]
            if answer[0] is not None and isinstance(work, Settle):
                for listener in tuple(self.on_overruled):
                    listener(answer[1])
        return answer

    def _check_open(self) -> None:
        if not self._users:
            raise JournalError("the journal is not open", advice="open it first")
