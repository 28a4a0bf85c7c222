"""Records every operation that moves money in the journal before it is sent, and its outcome afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any, TypeVar

from attrs import evolve

from vipps_async.core.attempts import AttemptRecord
from vipps_async.core.clock import Clock
from vipps_async.core.events import EventLog
from vipps_async.core.journal_access import JournalAccess
from vipps_async.core.operation import Call, Evidence, Repeat, SettledBy
from vipps_async.core.pipeline import Pipeline, render
from vipps_async.core.stored_error import write_stored_error
from vipps_async.core.stored_outcome import OUTCOMES, about, answer_on_record, answer_record, attempts_after
from vipps_async.core.verdict import Verdict, effect_of
from vipps_async.errors import ApiError, ConfigurationError, Effect, JournalError, OrderLockedError, VippsError
from vipps_async.idempotency_keys import new_idempotency_key
from vipps_async.journals.entries import Attempts, DamagedEntry, Entry, Intent, KeyOrigin, Outcome, Settlement, World
from vipps_async.journals.protocol import AcquireResult, Journal
from vipps_async.journals.rows import DamagedEntryError
from vipps_async.time_limits import TimeLimit

R = TypeVar("R")

#: How long an intent belongs to its owner, in deadlines of its call: the journal may take one to begin it, the call
#: itself another one, and the rest is for writing the outcome down, and for a machine that was busy.
_LEASE = 2.5
#: A recovery asks, sends and asks once more, so it takes an entry for this many times as long as a call does.
_RECOVERY_LEASES = 3
#: How long a result waits until its outcome is written, in seconds: longer than a disk stalls, but a journal that hangs
#: must not keep the result from the caller.
_NOTE_PATIENCE = 5.0
#: How long to wait before a call that is under way elsewhere is looked at again, in seconds: longer each time.
_FIRST_WAIT, _LONGEST_WAIT = 0.02, 1.0

#: What to do after an error of an operation that another worker has taken over meanwhile.
_TAKEN_OVER = (
    "another worker, or recovery, has taken this operation over, as its lease had run out, and may have sent it: "
    "repeat it with the same idempotency key, which tells what became of it, never with a new one"
)
#: What to do after an error that the journal could not note.
_NOT_NOTED = (
    "it had no effect, but the journal could not note that and recovery will send it again: repeat it with the same "
    "idempotency key, never with a new one"
)


class Recorder:
    """Runs calls through the pipeline, with a durable note before and after.

    Nothing is sent before its intent is durable, and an intent stays open until its outcome is known.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        journal: Journal,
        *,
        rebuild: Callable[[Intent], Call[Any]],
        merchant_serial_number: str,
        deadline: float,
        settle_after: float,
        find_world: Callable[[], Awaitable[World]],
    ) -> None:
        """Make a recorder for a pipeline.

        Args:
            pipeline: carries the calls out.
            journal: stores intents and outcomes; it is opened before the first one.
            rebuild: makes the call that an intent was written for; raises JournalError if it does not know how.
            merchant_serial_number: the sales unit.
            deadline: the longest that one call can take, in seconds; leases are a multiple of it.
            settle_after: how long after an attempt began its request may still arrive, in seconds.
            find_world: finds out which Vipps the calls go to.
        """
        #: Shared with recovery.
        self.journal: Journal = journal
        self._rebuild = rebuild
        #: How long after an attempt began its request may still arrive, and its entry still appear.
        self.settle_after: timedelta = timedelta(seconds=settle_after)
        self._clock: Clock = pipeline.clock
        self._access = JournalAccess(journal, find_world, pipeline.log)
        self._new_owner = self._access.new_owner
        self._set_view(pipeline, merchant_serial_number, deadline)

    def _set_view(self, pipeline: Pipeline, merchant_serial_number: str, deadline: float) -> None:
        self._pipeline = pipeline
        #: The event log, shared with recovery.
        self.log: EventLog = pipeline.log
        self._merchant_serial_number = merchant_serial_number
        self._deadline = deadline
        self._lease = deadline * _LEASE
        self._access.units.add(merchant_serial_number)

    def view(self, pipeline: Pipeline, *, merchant_serial_number: str, deadline: float) -> Recorder:
        """Return a recorder with the same journal for other calls; it is open while this one is.

        Args:
            pipeline: carries its calls out.
            merchant_serial_number: the sales unit that they are for.
            deadline: as for the class.
        """
        view = copy.copy(self)
        view._set_view(pipeline, merchant_serial_number, deadline)  # noqa: SLF001 - a copy of ours
        return view

    async def open(self) -> None:
        """Open the journal, unless its owner has done so already. A second call does nothing.

        Raises:
            ConfigurationError: the session is closed.
            JournalError: it cannot be opened, or has the facts of another world.
        """
        await self._access.open()

    async def aclose(self) -> None:
        """Make durable what has been noted, and close the journal unless somebody else has it open, too."""
        await self._access.aclose()

    def listening_for_overruled(self, listener: Callable[[Entry], None]) -> AbstractContextManager[None]:
        """Call a function with each entry of this sales unit that is done though it was settled as refused.

        Args:
            listener: called with the entry; it must not raise.
        """
        return self._access.listening_for_overruled(listener, unit=self._merchant_serial_number)

    async def run(self, call: Call[R]) -> R:
        """Carry the call out, at most once under its key.

        Raises:
            JournalError: the intent could not be made durable, and nothing was sent; or the outcome that is on record
                for this key cannot be read.
            IdempotencyMismatchError: the journal has this key with another payload; nothing was sent.
            OrderLockedError: another worker has leased this very operation, or one of the same payment is open at
                another API; nothing was sent.
            VippsError: as the pipeline raises it, or as it was recorded for this key.
        """
        if call.audit is None:
            return await self._pipeline.run(call)
        if not self._access.is_open:
            await self._open_for(call)
        body = render(call)
        intent = self._intent(call, body)
        # One owner for each call, not each session: of two tasks with the same key, too, only one goes on.
        owner = self._new_owner()
        # A key made for this call alone says nothing about the operation: an equal one that is open is the same.
        adopt = call.audit.origin is KeyOrigin.MADE and call.operation.repeat is Repeat.KEYED
        acquired, entry = await self._begin(call, intent, owner, adopt=adopt)
        if adopt and acquired is not AcquireResult.CLOSED and entry.intent.key != intent.key:
            return await self._join(call, acquired, entry, owner)
        if acquired is AcquireResult.ACQUIRED:
            return await self._carry_out(call, body, entry, owner)
        return answer_on_record(call, acquired, entry)

    async def _open_for(self, call: Call[Any]) -> None:
        try:
            await self._access.open()
        except (ConfigurationError, JournalError) as error:
            raise about(call, copy.copy(error)) from error

    # --- for recovery ----------------------------------------------------------------------------------------------

    async def open_entries(self) -> AsyncGenerator[Entry, None]:
        """Go through the open entries of this sales unit, oldest first."""
        await self.open()
        entries = self.journal.open_entries(merchant_serial_number=self._merchant_serial_number)
        try:
            async for entry in entries:
                yield entry
        finally:
            # A walk that ends early must release the store now, not when it is garbage-collected.
            close = getattr(entries, "aclose", None)
            if close is not None:
                await close()

    async def damaged(self) -> list[DamagedEntry]:
        """Return the open rows of the journal that cannot be read, of whatever sales unit."""
        return await self.journal.damaged(only_open=True)

    async def entries_of(self, payment: str) -> list[Entry]:
        """Return what the journal has of one payment, oldest first."""
        await self.open()
        return await self.journal.find(payment=payment, merchant_serial_number=self._merchant_serial_number)

    async def ping(self) -> None:
        """Return once the journal has answered.

        Raises:
            ConfigurationError: the session is closed.
            JournalError: it cannot be opened or read, or has the facts of another world.
        """
        await self.open()
        await self.journal.world()

    async def flush(self) -> None:
        """Return when all that was noted is durable."""
        await self.journal.flush()

    async def reconcile(self, call: Call[R]) -> Evidence[R]:
        """Ask whether a call took effect; see `Pipeline.reconcile`."""
        return await self._pipeline.reconcile(call, within=self._deadline)

    async def claim(self, found: Entry) -> tuple[AcquireResult, Entry, str]:
        """Lease an open entry for recovery; also returns the name of the lease's owner."""
        owner = self._new_owner()
        try:
            acquired, entry = await self.journal.claim(found.intent, owner=owner, lease=self._lease * _RECOVERY_LEASES)
        except asyncio.CancelledError:
            # It may be leased or not.
            await self.give_back(found, owner)
            raise
        return acquired, entry, owner

    async def give_back(self, entry: Entry, owner: str) -> None:
        """End the lease of a recovery that is cut short: nobody need wait for its end. Raises nothing of its own."""
        with contextlib.suppress(JournalError, TimeoutError):
            async with asyncio.timeout(_NOTE_PATIENCE):
                await self.release(entry.intent, entry.note or "a recovery was cut short", owner=owner)

    def now(self) -> datetime:
        """Return the time by which attempts and lookups are recorded; aware, UTC."""
        return self._clock.now()

    def record_of(self, entry: Entry, owner: str) -> AttemptRecord:
        """Make the record of a call that goes on with a claimed entry, none of whose attempts is its own."""
        attempts = entry.attempts
        return self._with_count(
            AttemptRecord(earlier_in_doubt=attempts.in_doubt, one_look=True),
            entry.intent,
            owner,
        )

    async def send_again(self, call: Call[R], body: bytes | None, record: AttemptRecord) -> R:
        """Send a call that may have been sent before; the attempt is counted first, and the caller records the outcome.

        Raises:
            JournalError: it could not be counted, so nothing was sent.
            VippsError: as the pipeline raises it. Its effect holds for the earlier attempts as well.
        """
        assert record.count is not None  # noqa: S101 - for the type checker: `record_of` has set it
        await record.count()
        return await self._pipeline.run_rendered(call, body, record)

    async def settle(self, intent: Intent, outcome: Outcome, answer: bytes, *, owner: str) -> None:
        """Record a known outcome.

        Raises:
            JournalError: the store has failed.
        """
        settlement = Settlement(outcome=outcome, answer=answer, settled_at=self._clock.now())
        await self.journal.settle(intent, settlement, owner=owner)

    async def release(
        self, intent: Intent, note: str, *, owner: str, attempts: Attempts | None = None, unsent: bool = False
    ) -> None:
        """Leave an entry open, with the reason and what is known of its attempts, for anyone to go on with.

        Args:
            intent: what was begun or claimed.
            note: why it stays open.
            owner: who has leased it.
            attempts: what is known of its attempts; None: what was known.
            unsent: whether the attempt that was being counted last never left; see `Journal.release`.

        Raises:
            JournalError: the store has failed.
        """
        await self.journal.release(intent, note=note, owner=owner, attempts=attempts, unsent=unsent)

    # --- before it is sent -----------------------------------------------------------------------------------------

    def _intent(self, call: Call[Any], body: bytes | None) -> Intent:
        assert call.audit is not None  # noqa: S101 - for the type checker; `run` has looked
        return Intent(
            key=call.idempotency_key or new_idempotency_key(),
            api=call.operation.dialect.name,
            operation=call.operation.verb,
            payment=call.payment or "",
            merchant_serial_number=self._merchant_serial_number,
            amount=call.audit.amount,
            currency=call.audit.currency,
            digest=hashlib.sha256(body or b"").hexdigest(),
            body=body if call.audit.keep_body else None,
            created_at=self._clock.now(),
            origin=call.audit.origin,
            reference=call.audit.reference,
            adjusts=call.operation.adjusts,
        )

    def _with_count(self, record: AttemptRecord, intent: Intent, owner: str) -> AttemptRecord:
        async def count() -> None:
            at = self._clock.now()
            acquired = await self.journal.attempt(intent, owner=owner, at=at)
            if acquired is not AcquireResult.ACQUIRED:
                raise JournalError("another worker has leased this operation by now: it was not sent again")
            record.last_at = at
            record.counted += 1

        record.count = count
        return record

    async def _begin(
        self, call: Call[Any], intent: Intent, owner: str, *, adopt: bool = False
    ) -> tuple[AcquireResult, Entry]:
        try:
            with TimeLimit(self._deadline):
                return await self.journal.begin(intent, owner=owner, lease=self._lease, adopt=adopt)
        except JournalError as error:
            if error.effect is not Effect.NONE and not isinstance(error, DamagedEntryError):
                # It may be in the journal all the same.
                await self._release_unsent(call, intent, "the journal failed before it was sent", owner, adopt=adopt)
            # A copy: a store may raise the same error for all intents of a failed commit.
            raise about(call, copy.copy(error)) from error
        except TimeoutError as error:
            await self._release_unsent(call, intent, "the journal did not answer in time", owner, adopt=adopt)
            # It may be in the journal all the same, and recovery then carries it out: not to be asked for anew.
            text = f"the journal did not answer within {self._deadline:g} s, and nothing was sent now"
            advice = (
                "look at the journal's store, and repeat it with the same idempotency key, never with a new one: if "
                "the intent is in the journal all the same, recovery will carry it out"
            )
            raise about(call, JournalError(text, effect=Effect.POSSIBLE, advice=advice)) from error
        except asyncio.CancelledError:
            # It may be in the journal or not. If it is, nobody need wait for the lease to end.
            await self._release_unsent(call, intent, "cancelled before it was sent", owner, adopt=adopt)
            raise

    async def _release_unsent(self, call: Call[Any], intent: Intent, note: str, owner: str, *, adopt: bool) -> None:
        """End the lease of an entry that may be in the journal and was certainly not sent."""
        await self._quietly(call, self.release(intent, note, owner=owner, unsent=True))
        if adopt:
            await self._quietly(call, self._release_adopted(intent, note, owner))

    async def _release_adopted(self, intent: Intent, note: str, owner: str) -> None:
        # Under which key it was begun only the journal knows.
        for entry in await self.journal.find(
            payment=intent.payment, merchant_serial_number=intent.merchant_serial_number
        ):
            if entry.owner == owner and entry.settlement is None:
                await self.release(entry.intent, note, owner=owner, unsent=True)

    async def _join(self, call: Call[R], acquired: AcquireResult, entry: Entry, owner: str) -> R:
        """Go on with the open entry of an equal call: carry it out with its key and bytes, or wait for its result."""
        intent = entry.intent
        since = f"since {intent.created_at:%Y-%m-%d %H:%M:%S} UTC under the key {intent.key}"
        if acquired is AcquireResult.MISMATCH:
            raise about(
                call,
                OrderLockedError(
                    f"an operation of the same amount with another text is open {since}; nothing was sent now",
                    status=0,
                    effect=Effect.POSSIBLE,
                    advice=(
                        "if it is the same one, repeat it with that key and that text, or let recovery settle it; if "
                        "it is another one, give it an idempotency key of its own"
                    ),
                ),
            )
        earlier: Call[R] = self._rebuild(intent)
        until, pause = self._clock.monotonic() + self._deadline, _FIRST_WAIT
        while acquired is AcquireResult.HELD:
            if self._clock.monotonic() + pause > until:
                text = f"an equal call is under way {since}, and has not ended in time"
                raise about(earlier, OrderLockedError(text, status=0, retryable=True, effect=Effect.POSSIBLE))
            await self._clock.sleep(pause)
            pause = min(2 * pause, _LONGEST_WAIT)
            # By its own key: once it is done, an equal call would be a new operation, and this one is not.
            acquired, entry = await self._begin(earlier, evolve(intent, created_at=self._clock.now()), owner)
        if acquired is AcquireResult.ACQUIRED:
            return await self._carry_out(earlier, intent.body, entry, owner)
        return answer_on_record(earlier, acquired, entry, settled_by=SettledBy.EARLIER_CALL)

    # --- leased ---------------------------------------------------------------------------------------------------

    async def _carry_out(self, call: Call[R], body: bytes | None, entry: Entry, owner: str) -> R:
        """Send a call whose intent is durable and leased to us, and record its outcome."""
        intent, attempts = entry.intent, entry.attempts
        # The attempt that is about to leave is counted already: it is none of the earlier ones.
        record = AttemptRecord(earlier_in_doubt=attempts.in_doubt - 1)
        try:
            result = await self._pipeline.run_rendered(call, body, self._with_count(record, intent, owner))
        except VippsError as error:
            if record.verdict is None:
                # Raised before anything was tried: the attempt that the intent counts has not left.
                record.begun = record.ended = 1
            await self.note_failure(call, entry, record, error, owner=owner)
            raise
        except GeneratorExit:
            # The loop is gone, and nothing can be awaited any more: the lease runs out by itself.
            raise
        except BaseException as error:
            # Cancelled, or a mistake in a program: what it did at Vipps is not known, so the entry stays open. A second
            # cancellation may cut this short; then the lease runs out by itself.
            note = f"ended by {type(error).__name__}; what it did at Vipps is not known"
            if not record.left:
                note = f"ended by {type(error).__name__} before it was sent"
                record.begun = record.ended = 1
            known = attempts_after(entry, record)
            await self._quietly(call, self.release(intent, note, owner=owner, attempts=known, unsent=True))
            raise
        await self._note_done(call, intent, answer_record(call, result), owner)
        return result

    async def _note_done(self, call: Call[Any], intent: Intent, answer: bytes, owner: str) -> None:
        settlement = Settlement(outcome=Outcome.DONE, answer=answer, settled_at=self._clock.now())
        await self._quietly(call, self.journal.settle(intent, settlement, owner=owner))

    async def note_failure(
        self, call: Call[Any], entry: Entry, record: AttemptRecord, error: VippsError, *, owner: str
    ) -> Verdict:
        """Record the end of a call that raised: settle it by the verdict, or leave it open with what is known.

        Returns:
            The verdict, which the error's effect agrees with.
        """
        intent = entry.intent
        if record.moved_otherwise is not None:
            await self._note_done(call, intent, answer_record(call, record.moved_otherwise), owner)
            return Verdict.APPLIED
        verdict = record.verdict
        if verdict is None:
            verdict = Verdict.OPEN if record.in_doubt else Verdict.NOT_APPLIED
            error.effect = effect_of(verdict)
        if verdict is Verdict.OPEN:
            known = attempts_after(entry, record)
            await self._quietly(call, self.release(intent, error.message, owner=owner, attempts=known, unsent=True))
            return verdict
        answer = write_stored_error(error) if isinstance(error, ApiError) else b""
        # Recovery sends again what is open. So before the caller is told that nothing happened, and perhaps asks for
        # it under a new key, that must be durable: else a process that dies now would leave it to be done twice.
        noted = await self._quietly(call, self.settle(intent, OUTCOMES[verdict], answer, owner=owner))
        if not (noted and await self._quietly(call, self.journal.flush())):
            error.effect, error.advice = Effect.POSSIBLE, _NOT_NOTED
        elif not await self._is_ours(call, intent, owner):
            error.effect, error.advice = Effect.POSSIBLE, _TAKEN_OVER
        return verdict

    async def _is_ours(self, call: Call[Any], intent: Intent, owner: str) -> bool:
        """Whether no other worker has taken the operation over; its outcome would not be known here."""
        try:
            async with asyncio.timeout(_NOTE_PATIENCE):
                entries = await self.entries_of(intent.payment)
        except (JournalError, TimeoutError) as error:
            self.log.journal_failed(call, error)
            return False
        return any(entry.intent.identity == intent.identity and entry.owner == owner for entry in entries)

    async def _quietly(self, call: Call[Any], writing: Coroutine[Any, Any, None]) -> bool:
        """Write to the journal without raising if that fails or hangs: the caller must get the outcome all the same.

        Returns:
            Whether it was written.
        """
        try:
            async with asyncio.timeout(_NOTE_PATIENCE):
                await writing
        except (JournalError, TimeoutError) as error:
            self.log.journal_failed(call, error)
            return False
        return True
