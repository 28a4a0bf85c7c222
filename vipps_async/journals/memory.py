"""A journal in memory: for tests, and as the plainest statement of what a journal does. Nothing in it is durable."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime

from attrs import evolve

from vipps_async.errors import JournalError
from vipps_async.journals.methods import JournalMethods
from vipps_async.journals.protocol import AcquireResult, DamagedEntry, Entry, Intent, World
from vipps_async.journals.rules import Answer, Begin, Command, Release, Settle, apply, check_world, same_wish
from vipps_async.journals.slots import Identity, wish_of

__all__ = ["MemoryJournal"]


def _utc_now() -> datetime:
    return datetime.now(UTC)


class MemoryJournal(JournalMethods):
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

    async def damaged(self, *, only_open: bool = False) -> list[DamagedEntry]:  # noqa: ARG002 - the protocol's
        """Return nothing: what it holds are values, which take no damage."""
        self._check_open()
        return []

    async def _ask(self, command: Command) -> Answer:
        self._check_open()
        if isinstance(command, Begin) and command.adopt:
            met = same_wish(self._open_entries_like(command.intent), command.intent)
            if met is not None and met.intent.digest != command.intent.digest:
                return AcquireResult.MISMATCH, met
            if met is not None:
                command = evolve(command, intent=evolve(met.intent, created_at=command.intent.created_at))
        answer = apply(self._entries.get(command.intent.identity), command, self._clock())
        if answer[1] is not None:
            self._entries[command.intent.identity] = answer[1]
            if answer[0] is not None and isinstance(command, Settle):
                for listener in tuple(self.on_overruled):
                    listener(answer[1])
        return answer

    async def _accept(self, command: Settle | Release) -> None:
        await self._ask(command)

    def _rows(self) -> list[tuple[int, Entry]]:
        self._check_open()
        return list(enumerate(self._entries.values()))

    async def _open_rows(self) -> AsyncIterator[tuple[int, Entry]]:
        for position, entry in self._rows():
            now = self._entries.get(entry.intent.identity, entry)
            if now.settlement is None:
                yield position, now

    async def _newest_rows(self) -> AsyncIterator[tuple[int, Entry]]:
        for row in reversed(self._rows()):
            yield row

    async def _rows_of_payment(self, payment: str, merchant_serial_number: str) -> list[tuple[int, Entry]]:
        wanted = (payment, merchant_serial_number)
        return [row for row in self._rows() if (row[1].intent.payment, row[1].intent.merchant_serial_number) == wanted]

    async def _delete(self, positions: Sequence[int]) -> int:
        rows = dict(self._rows())
        settled = [rows[position] for position in positions if rows[position].settlement is not None]
        for entry in settled:
            del self._entries[entry.intent.identity]
        return len(settled)

    async def flush(self) -> None:
        """Return at once: nothing is ever queued."""
        self._check_open()

    async def aclose(self) -> None:
        """Refuse further use until it is opened again, unless somebody else has it open. What it holds stays."""
        self._users = max(0, self._users - 1)

    def _open_entries_like(self, intent: Intent) -> list[Entry]:
        wanted = wish_of(intent)
        return [e for e in self._entries.values() if e.settlement is None and wish_of(e.intent) == wanted]

    def _check_open(self) -> None:
        if not self._users:
            raise JournalError("the journal is not open", advice="open it first")
