"""One run of a batch file: carries out the rows, settles what stays open of them, and tries the rest again."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from functools import partial

from attrs import evolve, field, frozen, mutable

from vipps_async.apis import session_api
from vipps_async.batch.holding import hold_rows
from vipps_async.batch.many import DEFAULT_CONCURRENCY, carry_out_many, preview_many
from vipps_async.batch.report import Totals
from vipps_async.batch.results import RowCause, RowOutcome, RowResult
from vipps_async.batch.row_store import RowStore
from vipps_async.batch.settled_first import SETTLED_FIRST
from vipps_async.core.batch import BatchOperation
from vipps_async.core.payment_api import PaymentApi
from vipps_async.core.recovery_limit import retry_after_of
from vipps_async.errors import RateLimitedError
from vipps_async.session import VippsSession

#: How often rows that did not end for good are tried again within one run, and the pause before each time, in seconds.
#: Vipps takes a payment's captures five times a minute, and a row may have had four attempts.
_ROUNDS, _PAUSE = 2, 5.0
#: For how long Vipps counts what it limits, in seconds; and the longest `Retry-After` that is waited for.
_LIMIT_PASSES, _LONGEST_WAIT = 60.0, 120.0
#: Rows in a row that Vipps asks to wait for longer than that, until no other one is begun: it is not about one payment.
_ASKED_IN_A_ROW = 3
#: Results that are noted in one go, and how long the first of them may wait, in seconds.
_SAVE, _SAVE_EVERY = 500, 0.5


@frozen(kw_only=True)
class JobOptions:
    """How a batch is run."""

    api: PaymentApi
    operation: BatchOperation
    concurrency: int = DEFAULT_CONCURRENCY
    rate: float | None = None
    release_remaining: bool = False
    #: Payments whose open operations stay as they are; see `settled_first.left_alone`.
    leave: Collection[str] = ()
    #: Whether to ask and say only, and change nothing.
    preview: bool = False


@frozen(kw_only=True)
class Wait:
    """A pause of a run between two tries."""

    #: When it ends, in monotonic seconds.
    until: float
    reason: str
    #: How many rows are tried again after it.
    left: int


@mutable(kw_only=True)
class Progress:
    """How far a run has come; it counts up while the run goes on."""

    #: Good rows in all.
    rows: int = 0
    #: How many of them have ended each way.
    outcomes: Counter[RowOutcome] = field(factory=Counter)
    #: Minor units that moved in this run.
    moved: int = 0
    #: Refusals by Vipps' code.
    refusals: Counter[str] = field(factory=Counter)
    #: Whether rows that were done before take as long as the others: in a dry run, which asks Vipps about them, too.
    counts_earlier: bool = False
    #: Rows that `worked_on` counted when this round began, and when that was, in monotonic seconds.
    began_with: int = 0
    began: float = field(factory=time.monotonic)

    #: What it waits for; None: it is at work.
    wait: Wait | None = None

    @property
    def ended(self) -> int:
        """How many rows have ended; not those that a stopped run has not begun, nor those that are tried again."""
        again = 0 if self.wait is None else self.outcomes[RowOutcome.UNKNOWN] + self.outcomes[RowOutcome.NOT_DONE]
        return sum(self.outcomes.values()) - self.outcomes[RowOutcome.NOT_BEGUN] - again

    @property
    def worked_on(self) -> int:
        """How many of them took time: what was done before this run is through at once, and says nothing of speed."""
        if self.counts_earlier:
            return self.ended
        return self.ended - sum(count for outcome, count in self.outcomes.items() if outcome.is_earlier)

    @property
    def rate(self) -> float:
        """Rows a second that this run has worked on, so far."""
        return (self.worked_on - self.began_with) / max(time.monotonic() - self.began, 1e-3)

    @property
    def seconds_left(self) -> float | None:
        """How long it will take at this rate; None: not known yet."""
        return (self.rows - self.ended) / self.rate if self.worked_on > self.began_with else None


class BatchJob:
    """One run over a store. `run` may be called once."""

    def __init__(self, session: VippsSession, store: RowStore, options: JobOptions, *, stop: asyncio.Event) -> None:
        """Make a run ready.

        Args:
            session: who carries it out, with the journal of this batch.
            store: the rows, loaded.
            options: how.
            stop: ends the run once it is set; what is in work is finished.
        """
        self._session = session
        self._store = store
        self._options = options
        self._stop = stop
        self.progress: Progress = Progress(counts_earlier=options.preview)
        #: Whether a row of this round was not done because Vipps takes only so many of its kind a minute.
        self._throttled = False
        #: The longest that Vipps asked to wait in this round, in seconds; for how many rows that was too long, and in a
        #: row.
        self._asked, self._asked_too_long, self._asked_in_a_row = 0.0, 0, 0
        #: Why rows are left that are not tried again in this run; empty: for no such reason.
        self.gave_up: str = ""

    async def run(self) -> Totals:
        """Carry out what has not ended for good, and return the sums; what is open is settled before it.

        Raises:
            TransportError: Vipps did not answer for minutes. What is done is noted; run it again.
            VippsError: the session or the journal cannot be used.
        """
        options, session = self._options, self._session
        await hold_rows(self._store, options.api, options.operation, session.merchant_serial_number, session.journal)
        totals = await asyncio.to_thread(self._store.totals)
        self.progress.rows = totals.rows - totals.bad - totals.outcomes.get(RowOutcome.HELD, 0)
        await self._round()
        tries = 0
        while not options.preview and tries < _ROUNDS:
            totals = await asyncio.to_thread(self._store.totals)
            left = totals.outcomes.get(RowOutcome.UNKNOWN, 0) + totals.outcomes.get(RowOutcome.NOT_DONE, 0)
            if not left or self._stop.is_set() or self._asked_too_long == left or self._gives_up:
                break
            # A limit that passes is waited for, and is none of the tries.
            tries += not self._throttled or self._asked_too_long > 0
            await self._pause(left)
            if not self._stop.is_set():
                # What Vipps has of them settles most; the others are sent once more, with the same keys.
                await session.recover(leave=options.leave, stop=self._stop)
                await self._again()
        totals = await asyncio.to_thread(self._store.totals)
        if self._asked_too_long and not self._stop.is_set():
            self.gave_up = self._too_long(totals)
        return totals

    async def _again(self) -> None:
        for outcome in (RowOutcome.UNKNOWN, RowOutcome.NOT_DONE, RowOutcome.NOT_BEGUN):
            del self.progress.outcomes[outcome]
        await self._round()

    @property
    def _gives_up(self) -> bool:
        """Whether Vipps asks to wait for too long whatever is begun."""
        return self._asked_in_a_row >= _ASKED_IN_A_ROW

    def _too_long(self, totals: Totals) -> str:
        until = datetime.now(UTC) + timedelta(seconds=self._asked)
        again = (RowOutcome.UNKNOWN, RowOutcome.NOT_DONE, RowOutcome.NOT_BEGUN)
        left = sum(totals.outcomes.get(outcome, 0) for outcome in again)
        rows = "1 row is" if left == 1 else f"{left:,} rows are"
        text = f"Vipps asks to wait {self._asked:,.0f} s, until {until:%Y-%m-%d %H:%M:%S} UTC: too long for a run"
        return f"{text}. {rows} left; nothing is lost by that"

    async def _pause(self, left: int) -> None:
        seconds, reason = _PAUSE, "what has no outcome is looked up and tried again"
        if self._throttled:
            seconds, reason = _LIMIT_PASSES, "Vipps takes no more of them for a moment"
        if seconds < self._asked <= _LONGEST_WAIT:
            seconds, reason = self._asked, "Vipps asks for it"
        self.progress.wait = Wait(until=time.monotonic() + seconds, reason=reason, left=left)
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            return
        finally:
            self.progress.wait = None

    async def _round(self) -> None:
        progress = self.progress
        progress.began_with, progress.began = progress.worked_on, time.monotonic()
        self._throttled, self._asked, self._asked_too_long, self._asked_in_a_row = False, 0.0, 0, 0
        waiting: list[RowResult] = []
        leftover: list[RowResult] = []
        saved = time.monotonic()
        try:
            async with aclosing(await self._results(leftover)) as results:
                async for found in results:
                    result = self._with_what_was_open(found)
                    self._count(result)
                    waiting.append(result)
                    if len(waiting) >= _SAVE or time.monotonic() - saved >= _SAVE_EVERY:
                        ready, waiting = waiting, []
                        await asyncio.to_thread(self._store.save, ready)
                        saved = time.monotonic()
                    if self._gives_up:
                        break
        finally:
            # Also when Vipps or the journal is gone, or this run is cancelled: the report shall have them.
            for result in leftover:
                self._count(result)
            self._store.save(waiting + leftover)

    def _with_what_was_open(self, result: RowResult) -> RowResult:
        """Count a row as this run's that was open when it began: the run before could not say what became of it."""
        options, row = self._options, result.row
        name = (options.api.name, options.operation.value, row.payment, result.idempotency_key)
        if options.preview:
            return self._with_what_is_open(result) if self._store.was_open(name) else result
        if not result.outcome.is_earlier:
            return result
        outcome = RowOutcome.DONE if result.outcome is RowOutcome.DONE_BEFORE else RowOutcome.OTHERWISE
        if self._store.was_open(name):
            return evolve(result, outcome=outcome, hint=SETTLED_FIRST)
        # What an earlier round of this run has begun, and what was found finished since, is this run's as well.
        return evolve(result, outcome=outcome) if self._store.has_come_up(row) else result

    def _with_what_is_open(self, result: RowResult) -> RowResult:
        """Say in a dry run of a row that is open what the run would say of it, which settles it first."""
        hint = "It is open in the journal, and would be settled first"
        if result.outcome is RowOutcome.DONE_BEFORE:
            text = f"{hint}: Vipps has it as done, so its money has moved, and it counts with the run that settles it."
            return evolve(result, outcome=RowOutcome.DONE, cause=RowCause.TAKEN_EFFECT, hint=text)
        return evolve(result, hint=f"{hint}.") if result.outcome is RowOutcome.DONE else result

    def _count(self, result: RowResult) -> None:
        progress = self.progress
        self._throttled = self._throttled or isinstance(result.error, RateLimitedError)
        if result.outcome in {RowOutcome.UNKNOWN, RowOutcome.NOT_DONE}:
            asked = retry_after_of(result.error)
            is_too_long = asked > _LONGEST_WAIT
            self._asked = max(self._asked, asked)
            self._asked_too_long += is_too_long
            self._asked_in_a_row = self._asked_in_a_row + 1 if is_too_long else 0
        elif result.outcome is not RowOutcome.NOT_BEGUN and not result.outcome.is_earlier:
            self._asked_in_a_row = 0
        progress.outcomes[result.outcome] += 1
        if result.outcome in {RowOutcome.DONE, RowOutcome.OTHERWISE}:
            progress.moved += result.amount or 0
        elif result.outcome is RowOutcome.REFUSED:
            progress.refusals[result.code] += 1

    async def _results(self, leftover: list[RowResult]) -> AsyncGenerator[RowResult, None]:
        options = self._options
        many = partial(carry_out_many, leftover=leftover.append)
        if options.preview:
            repeated = await asyncio.to_thread(self._store.repeated_payments)
            many = partial(preview_many, repeated_payments=repeated)
        return many(
            session_api(self._session, options.api),
            self._store.rows(),
            options.operation,
            release_remaining=options.release_remaining,
            concurrency=options.concurrency,
            rate=options.rate,
            stop=self._stop,
        )
