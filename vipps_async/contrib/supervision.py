"""Watches over handlers: bounded in number, counted, drained at the end, and called again until they succeed."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime
from typing import Any

from attrs import define, frozen, mutable

from vipps_async.contrib.callback_notes import event_of, is_note
from vipps_async.contrib.handlers import ConsentHandler, HandlerRunner, PaymentHandler, is_async
from vipps_async.contrib.reception_log import ReceptionLog, place_of
from vipps_async.ecom.callbacks import ConsentRemoval, Kind, PaymentUpdate
from vipps_async.errors import JournalError
from vipps_async.journals.protocol import Intent, Journal, Outcome, Settlement, Standing
from vipps_async.session import VippsSession

__all__ = ["Counts", "InHand", "Supervision"]

#: How much longer than its handler may run a note belongs to whoever runs it, in seconds: for cancelling and settling.
_LEASE_MARGIN = 60.0
#: Seconds that a handler has to end after it was cancelled.
_GRACE = 2.0
#: How often the pause before calling a failing handler again is doubled.
_DOUBLINGS = 6
#: Failing notes that are remembered; of others, the pause begins anew.
_MOST_FAILING = 10_000


@mutable(kw_only=True)
class Counts:
    """What happened at a reception, in numbers."""

    #: Requests that were authentic and well-formed.
    received: int = 0
    #: Requests that were neither, or came where nothing is.
    refused: int = 0
    #: News that was in hand or handled already.
    duplicates: int = 0
    #: Requests that were answered 503 because there was no room, or nobody at work.
    turned_away: int = 0
    #: Callbacks that the journal could not take; they were handed over all the same, if there was room.
    not_noted: int = 0
    #: Handlers that succeeded.
    handled: int = 0
    #: Handlers that raised, ran out of time, were cut short, or were told by `confirm` that there is no outcome yet.
    failed: int = 0
    #: Callbacks of an earlier time that were handed over again.
    offered_again: int = 0


@frozen(kw_only=True)
class InHand:
    """A callback on its way through its handler."""

    event: PaymentUpdate | ConsentRemoval
    note: Intent
    owner: str
    #: Whether there is a journal to settle it in.
    is_journalled: bool

    @property
    def kind(self) -> Kind:
        """What it is about."""
        return Kind.PAYMENT_UPDATE if isinstance(self.event, PaymentUpdate) else Kind.CONSENT_REMOVAL

    @property
    def order_id(self) -> str | None:
        """Its order, if it has one."""
        return self.event.order_id if isinstance(self.event, PaymentUpdate) else None


@define
class _Pause:
    """How long a note that failed is left alone."""

    failures: int
    until: float


class Supervision:
    """Runs the handlers of one session, from `start` to `stop`."""

    def __init__(
        self,
        session: VippsSession,
        *,
        on_payment: PaymentHandler,
        on_consent_removal: ConsentHandler | None,
        runner: HandlerRunner,
        log: ReceptionLog,
        counts: Counts,
        most_at_once: int,
        handler_timeout: float,
        offer_again_every: float,
    ) -> None:
        self._session = session
        self._journal: Journal | None = session.journal
        self._on_payment = on_payment
        self._on_consent_removal = on_consent_removal
        self._runner = runner
        self._log = log
        self._counts = counts
        self._most_at_once = most_at_once
        self._handler_timeout = handler_timeout
        self._offer_again_every = offer_again_every
        self._in_hand: dict[tuple[str, ...], asyncio.Task[None]] = {}
        self._handlers: set[asyncio.Task[Any]] = set()
        self._failing: dict[str, _Pause] = {}
        self._room = asyncio.Event()
        self._wants_room = False
        self._offering: asyncio.Task[None] | None = None
        self.is_stopping = False

    @property
    def lease(self) -> float:
        """For how many seconds a note belongs to whoever runs its handler."""
        return self._handler_timeout + _LEASE_MARGIN

    @property
    def in_hand(self) -> int:
        """How many handlers are running."""
        return len(self._in_hand)

    @property
    def has_room(self) -> bool:
        """Whether one more handler may be begun."""
        return not self.is_stopping and len(self._in_hand) < self._most_at_once

    def has(self, note: Intent) -> bool:
        """Whether this very news is in hand."""
        return note.identity in self._in_hand

    def start(self) -> None:
        """Begin to offer again what the journal has from an earlier time."""
        if self._journal is not None:
            self._offering = asyncio.create_task(self._offer_again_for_ever(self._journal), name="vipps callbacks")

    async def stop(self, timeout: float) -> None:  # noqa: ASYNC109 - handlers are waited for so long, then cancelled
        """Begin nothing more, wait for what is running, cancel what runs for too long.

        Args:
            timeout: how long to wait, in seconds.
        """
        self.is_stopping = True
        try:
            if self._offering is not None:
                self._offering.cancel()
                await asyncio.wait({self._offering})
                if not self._offering.cancelled():
                    # It ends by itself only by a mistake, which must not go unseen.
                    self._offering.result()
            if self._in_hand:
                await asyncio.wait(self._in_hand.values(), timeout=timeout)
        finally:
            for handler in tuple(self._handlers):
                handler.cancel()
            try:
                if self._in_hand:
                    await asyncio.wait(self._in_hand.values(), timeout=_GRACE)
            finally:
                # Who does not even heed that is left to the loop; the note stays with its lease.
                for task in tuple(self._in_hand.values()):
                    task.cancel()
                self._runner.close()

    def begin(self, work: InHand) -> None:
        """Run a handler in the background. There must be room."""
        task = asyncio.create_task(self._handle(work), name=f"vipps callback {work.order_id or work.kind.value}")
        self._in_hand[work.note.identity] = task
        task.add_done_callback(lambda _: self._ended(work))

    async def leave_for_later(self, note: Intent, owner: str) -> None:
        """Leave a note that is ours in the journal, for when there is room."""
        self._wants_room = True
        await self._release(note, owner, "there was no room for its handler")

    def _ended(self, work: InHand) -> None:
        self._in_hand.pop(work.note.identity, None)
        # At half, so that the journal is not read anew for each single one.
        if self._wants_room and len(self._in_hand) <= self._most_at_once // 2:
            self._wants_room = False
            self._room.set()

    # -- one handler -------------------------------------------------------------------------------------------------

    async def _handle(self, work: InHand) -> None:
        handler: Callable[..., Any] | None = (
            self._on_payment if work.kind is Kind.PAYMENT_UPDATE else self._on_consent_removal
        )
        if handler is None:
            # Noted by an earlier version of the application, which had a handler for it.
            await self._failed(work, "there is no handler for it", "")
            return
        task = asyncio.create_task(self._runner.run(handler, work.event, self._session), name="vipps handler")
        self._handlers.add(task)
        task.add_done_callback(self._handlers.discard)
        # A thread cannot be cancelled: to give up on it would be to run it twice at the same time.
        patience = self._handler_timeout if is_async(handler) else None
        try:
            await asyncio.wait({task}, timeout=patience)
        except asyncio.CancelledError:
            self._counts.failed += 1
            self._log.failed(work.kind.value, work.order_id, "abandoned", offered_again=work.is_journalled)
            raise
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
        if task.cancelled():
            if is_async(handler):
                await self._failed(work, "CancelledError" if self.is_stopping else "TimeoutError", "")
            else:
                # It may be running still; its note can be taken over when the lease ends.
                self._counts.failed += 1
                self._log.failed(work.kind.value, work.order_id, "abandoned", offered_again=work.is_journalled)
        elif (error := task.exception()) is not None:
            await self._failed(work, type(error).__name__, place_of(error))
        elif isinstance(work.event, PaymentUpdate) and work.event.lacks_outcome:
            # Whatever the handler made of that: a callback may come before details know what it tells of.
            await self._failed(work, "NoOutcomeYet", "")
        else:
            await self._succeeded(work)

    async def _succeeded(self, work: InHand) -> None:
        self._counts.handled += 1
        self._failing.pop(work.note.key, None)
        self._log.handled(work.kind.value, work.order_id)
        if self._journal is not None:
            settlement = Settlement(outcome=Outcome.DONE, answer=b"{}", settled_at=datetime.now(UTC))
            try:
                await self._journal.settle(work.note, settlement, owner=work.owner)
            except JournalError as error:
                self._log.journal_trouble("settling a callback", error)

    async def _failed(self, work: InHand, why: str, place: str) -> None:
        self._counts.failed += 1
        self._log.failed(work.kind.value, work.order_id, why, place=place, offered_again=work.is_journalled)
        if self._journal is None:
            return
        pause = self._failing.pop(work.note.key, _Pause(0, 0.0))
        now = asyncio.get_running_loop().time()
        pause.until = now + self._offer_again_every * 2 ** min(pause.failures, _DOUBLINGS)
        pause.failures += 1
        self._failing[work.note.key] = pause
        if len(self._failing) > _MOST_FAILING:
            del self._failing[next(iter(self._failing))]
        await self._release(work.note, work.owner, f"its handler ended with {why}")

    async def _release(self, note: Intent, owner: str, why: str) -> None:
        if self._journal is not None:
            try:
                await self._journal.release(note, note=why, owner=owner)
            except JournalError as error:
                # Its lease ends all the same.
                self._log.journal_trouble("releasing a callback", error)

    # -- again -------------------------------------------------------------------------------------------------------

    async def _offer_again_for_ever(self, journal: Journal) -> None:
        while True:
            try:
                await self._offer_again(journal)
            except JournalError as error:
                self._log.journal_trouble("offering callbacks again", error)
            try:
                async with asyncio.timeout(self._offer_again_every):
                    await self._room.wait()
            except TimeoutError:
                pass
            self._room.clear()

    async def _offer_again(self, journal: Journal) -> None:
        entries = journal.open_entries(merchant_serial_number=self._session.merchant_serial_number)
        try:
            async for entry in entries:
                if not is_note(entry.intent) or self.has(entry.intent) or self._is_pausing(entry.intent):
                    continue
                if not self.has_room:
                    self._wants_room = True
                    return
                await self._take_over(journal, entry.intent)
        finally:
            if isinstance(entries, AsyncGenerator):
                await entries.aclose()

    async def _take_over(self, journal: Journal, note: Intent) -> None:
        try:
            event = event_of(note)
        except JournalError as error:
            self._log.journal_trouble("reading the note of a callback", error)
            return
        owner = uuid.uuid4().hex
        standing, _ = await journal.claim(note, owner=owner, lease=self.lease)
        # Asked again: the same news may have come in, or the last room been taken, while the journal was busy.
        if standing is not Standing.MINE or self.has(note):
            return
        if not self.has_room:
            await self.leave_for_later(note, owner)
            return
        self._counts.offered_again += 1
        self.begin(InHand(event=event, note=note, owner=owner, is_journalled=True))

    def _is_pausing(self, note: Intent) -> bool:
        pause = self._failing.get(note.key)
        # Half a pause early rather than half a pause late: the journal is looked through once a pause.
        return pause is not None and asyncio.get_running_loop().time() < pause.until - self._offer_again_every / 2
