"""A journal in memory: for tests, and as the simplest implementation of the protocol. Nothing in it is durable."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime

from vipps_async.errors import JournalError
from vipps_async.journals.entries import DamagedEntry, Entry, World
from vipps_async.journals.methods import JournalMethods
from vipps_async.journals.rules import Command, CommandResult, Release, Settle, check_world
from vipps_async.journals.slots import Slots


def _utc_now() -> datetime:
    return datetime.now(UTC)


class MemoryJournal(JournalMethods):
    """A `Journal` that keeps every entry in memory until the process ends.

    It is not bounded: each operation stays in memory. Never use it where money moves.

    Args:
        clock: gives the time that leases are measured by; aware. Tests set it by hand.
    """

    def __init__(self, *, clock: Callable[[], datetime] = _utc_now) -> None:
        self._clock = clock
        self._slots = Slots()
        #: How many have opened it and not closed it.
        self._users = 0
        self._world: World | None = None
        #: See Journal.
        self.on_overruled: list[Callable[[Entry], None]] = []

    def __repr__(self) -> str:
        return f"<MemoryJournal, {len(self._slots)} entries>"

    @property
    def is_open(self) -> bool:
        """See Journal."""
        return self._users > 0

    async def open(self) -> None:
        """Open it. Entries from before it was closed are still there."""
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
        """Return nothing: values in memory are not damaged."""
        self._check_open()
        return []

    async def _ask(self, command: Command) -> CommandResult:
        self._check_open()
        answer = self._slots.answer(command, self._clock())
        if isinstance(command, Settle) and answer[0] is not None and answer[1] is not None:
            for listener in tuple(self.on_overruled):
                listener(answer[1])
        return answer

    async def _accept(self, command: Settle | Release) -> None:
        await self._ask(command)

    def _rows(self) -> list[tuple[int, Entry]]:
        self._check_open()
        return [(position, slot.entry) for position, slot in enumerate(self._slots)]

    async def _open_rows(self) -> AsyncIterator[tuple[int, Entry]]:
        self._check_open()
        for position, slot in enumerate(tuple(self._slots)):
            if slot.entry.settlement is None:
                yield position, slot.entry

    async def _newest_rows(self) -> AsyncIterator[tuple[int, Entry]]:
        for row in reversed(self._rows()):
            yield row

    async def _rows_of_payment(self, payment: str, merchant_serial_number: str) -> list[tuple[int, Entry]]:
        wanted = (payment, merchant_serial_number)
        return [row for row in self._rows() if (row[1].intent.payment, row[1].intent.merchant_serial_number) == wanted]

    async def _delete(self, positions: Sequence[int], *, also_open: bool = False) -> int:
        rows = dict(self._rows())
        settled = [rows[each] for each in positions if also_open or rows[each].settlement is not None]
        for entry in settled:
            self._slots.remove(entry.intent)
        return len(settled)

    async def flush(self) -> None:
        """Return at once: nothing is ever queued."""
        self._check_open()

    async def aclose(self) -> None:
        """Close it, unless somebody else has it open. Its entries stay."""
        self._users = max(0, self._users - 1)

    def _check_open(self) -> None:
        if not self._users:
            raise JournalError("the journal is not open", advice="open it first")
