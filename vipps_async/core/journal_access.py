"""The journal of a session: opened once for all its recorders; its overruled outcomes go to listeners."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import uuid
from collections.abc import Awaitable, Callable, Iterator

from vipps_async.core.events import EventLog
from vipps_async.errors import ConfigurationError
from vipps_async.journals.entries import Entry, World
from vipps_async.journals.protocol import Journal


class JournalAccess:
    """Opens and closes a session's journal, whichever of its recorders needs it first."""

    def __init__(self, journal: Journal, find_world: Callable[[], Awaitable[World]], log: EventLog) -> None:
        """Prepare; nothing is opened.

        Args:
            journal: the journal.
            find_world: finds out which Vipps the calls go to.
            log: gets each outcome that is overruled.
        """
        self.journal = journal
        #: The sales units that the session acts for.
        self.units: set[str] = set()
        #: Whether the journal is open.
        self.is_open = False
        self._find_world = find_world
        self._log = log
        # A fresh name for this session and a number for each call, cheaper than a random name for each.
        self._name, self._numbers = uuid.uuid4().hex, itertools.count(1)
        self._opening = asyncio.Lock()
        self._closed = False
        self._overruled_listeners: list[Callable[[Entry], None]] = []

    def new_owner(self) -> str:
        """Return a new name of a lease's owner: no other call has it, in any process."""
        return f"{self._name}-{next(self._numbers)}"

    async def open(self) -> None:
        """Open the journal, unless that is done already. A second call does nothing.

        Raises:
            ConfigurationError: the session is closed.
            JournalError: it cannot be opened, or has the facts of another world.
        """
        if self._closed:
            raise ConfigurationError("the session is closed", advice="open a new VippsSession")
        async with self._opening:
            if self.is_open:
                return
            await self.journal.open()
            try:
                await self.journal.bind(await self._find_world())
            except BaseException:
                await self.journal.aclose()
                raise
            self.journal.on_overruled.append(self._tell_overruled)
            self.is_open = True

    async def aclose(self) -> None:
        """Make durable what has been noted, and close the journal unless somebody else has it open, too."""
        self._closed = True
        if self.is_open:
            self.is_open = False
            try:
                # Before its listener goes: what is still queued may overrule something.
                await self.journal.aclose()
            finally:
                self.journal.on_overruled.remove(self._tell_overruled)

    def _tell_overruled(self, entry: Entry) -> None:
        # Of several sessions that share a journal, the one that brought the outcome tells of it.
        is_mine = entry.owner.startswith(f"{self._name}-") if entry.owner else True
        if is_mine and entry.intent.merchant_serial_number in self.units:
            self._log.refusal_overruled(entry.intent)
            for listener in tuple(self._overruled_listeners):
                listener(entry)

    @contextlib.contextmanager
    def listening_for_overruled(self, listener: Callable[[Entry], None], *, unit: str) -> Iterator[None]:
        """Call a function with each entry of a sales unit that is done though it was settled as refused.

        Args:
            listener: called with the entry; it must not raise.
            unit: the sales unit's serial number.
        """

        def tell(entry: Entry) -> None:
            if entry.intent.merchant_serial_number == unit:
                listener(entry)

        self._overruled_listeners.append(tell)
        try:
            yield
        finally:
            self._overruled_listeners.remove(tell)
