"""Compares done entries with the histories of their payments: some payments at once, each looked up once."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import evolve, field, mutable

from vipps_async.apis import APIS, READS_TOO, rebuild_call, session_api
from vipps_async.batch.results import without_class_names
from vipps_async.core.batch import WITH_AMOUNT
from vipps_async.core.batch_limit import BatchLimiter
from vipps_async.core.converter import UnreadableAnswer, decode
from vipps_async.core.operation import Applied, Inconclusive
from vipps_async.core.payment_api import HistoryEntry, Moved
from vipps_async.core.rate_limit import RateLimiter
from vipps_async.errors import InvalidInputError, JournalError
from vipps_async.journals.entries import DamagedEntry, Entry, Intent, Outcome
from vipps_async.money import format_amount
from vipps_async.reconciliation.compared import ComparedOperation, Comparison
from vipps_async.reconciliation.day import Day, KnownOperation, first_cancels
from vipps_async.reconciliation.lookups import Lookups
from vipps_async.reconciliation.unknown import unknown_to_journal
from vipps_async.session import VippsSession
from vipps_async.time_zone import TimeZone

#: Payments at once unless told otherwise, and at most: as many as the transport has connections.
DEFAULT_CONCURRENCY, MOST_AT_ONCE = 16, 100


async def compare_entries(
    session: VippsSession,
    entries: Sequence[Entry],
    *,
    concurrency: int = DEFAULT_CONCURRENCY,
    rate: float | None = None,
    settle_after: float = 86_400.0,
    progress: Callable[[int], None] | None = None,
    known: Mapping[str, Sequence[KnownOperation]] | None = None,
    day: Day | None = None,
    damaged: Sequence[DamagedEntry] = (),
) -> list[ComparedOperation]:
    """Compare entries with Vipps' histories of their payments; changes nothing, neither at Vipps nor in a journal.

    Captures and refunds are found by their idempotency keys in the payment's history (eCom's details, ePayment's
    events), cancels by the payment's state. A payment is looked up once for all of its entries, where that is one
    request. Its concurrency starts low and follows Vipps' responses, as in a batch; if Vipps does not answer any more,
    the rest is inconclusive.

    A history may lag, so what it lacks is no difference before `settle_after` has passed.

    Args:
        session: of the sales unit that the entries are of.
        entries: settled as done, or open.
        concurrency: the most payments at once, 1 to 100.
        rate: the most look-ups begun a second; None: as many as Vipps takes.
        settle_after: for how many seconds after its last attempt an operation may be missing in the history.
        progress: called with how many entries are compared so far.
        known: all that the journal has of the entries' payments. None: what Vipps has beside it is not looked for.
        day: on which what Vipps has beside it is of the day; None: always.
        damaged: what cannot be read. Each is inconclusive; what Vipps has beside the journal is looked for of its
            payment, too.

    Returns:
        One for each entry, in the order given. Behind them, payment by payment, what cannot be read, and the captures
        and refunds that Vipps has of the same payments and the journal does not have as done. ePayment is asked about a
        payment that both APIs have; each history shows it whole.

    Raises:
        InvalidInputError: `concurrency` or `rate` is out of range.
        ConfigurationError: the session is closed.
    """
    _check(concurrency, rate)
    now = asyncio.get_running_loop().time
    limiter = BatchLimiter(most=concurrency, rate=None if rate is None else RateLimiter(rate), now=now)
    run = _ComparisonRun(
        session, limiter, now, timedelta(seconds=settle_after), progress, known, day, [None] * len(entries)
    )

    def watch(operation: str, seconds: float, status: int | None) -> None:
        if operation in _READS:
            limiter.attempted(now(), seconds, status)

    payments: dict[tuple[str, str], list[int]] = {}
    for number, entry in enumerate(entries):
        payments.setdefault((entry.intent.api, entry.intent.payment), []).append(number)
    for api, payment in payments:
        if run.history_over.get(payment) in {None, READS_TOO.get(api)}:
            run.history_over[payment] = api
    run.cancelled_by = first_cancels(entries, known or {})
    for row in damaged:
        run.damaged.setdefault(row.payment, []).append(row)
    work = iter(payments.values())
    unread = iter([payment for payment in run.damaged if payment not in run.history_over])
    with session.listening(watch):
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(concurrency, len(payments) + len(run.damaged))):
                    group.create_task(run.work(work, entries, unread))
        except BaseExceptionGroup as failures:
            # Whoever calls wants the error itself; those beside it are the same.
            raise failures.exceptions[0] from None
    beside = [each for payment in run.history_over | run.damaged for each in run.beside.get(payment, ())]
    return [each for each in run.compared if each is not None] + beside


#: What is told of an operation that the journal has, and not as done.
_NOT_DONE = {Outcome.REFUSED: "refused", Outcome.NOT_DONE: "not done"}
#: The look-ups, by whose times the pace is set.
_READS = {"ecom.details", "epayment.get", "epayment.events"}


def _check(concurrency: object, rate: object) -> None:
    if type(concurrency) is not int or not 1 <= concurrency <= MOST_AT_ONCE:
        raise InvalidInputError("concurrency", f"a whole number from 1 to {MOST_AT_ONCE}", value=concurrency)
    if rate is not None and (isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate < math.inf):
        raise InvalidInputError("rate", "a positive, finite number of look-ups a second, or None", value=rate)


@mutable(eq=False)
class _ComparisonRun:
    """The state that all workers of one comparison share."""

    session: VippsSession
    limiter: BatchLimiter
    now: Callable[[], float]
    settle_after: timedelta
    progress: Callable[[int], None] | None
    known: Mapping[str, Sequence[KnownOperation]] | None
    day: Day | None
    #: By the entries' numbers.
    compared: list[ComparedOperation | None]
    #: Over which API each payment's history is read.
    history_over: dict[str, str] = field(factory=dict)
    #: By which operation of the journal each payment was cancelled first: its API and its key.
    cancelled_by: dict[str, tuple[str, str]] = field(factory=dict)
    #: What cannot be read, by payment.
    damaged: dict[str, list[DamagedEntry]] = field(factory=dict)
    #: That, and what Vipps has beside the journal, by payment.
    beside: dict[str, list[ComparedOperation]] = field(factory=dict)
    count: int = 0

    async def work(self, payments: Iterator[list[int]], entries: Sequence[Entry], unread: Iterator[str]) -> None:
        for numbers in payments:
            lookups = Lookups(self.session, self.limiter, self.now)
            found = []
            for number in numbers:
                self.compared[number] = compared = await self._compared(entries[number], lookups)
                found.append(compared)
                self.count += 1
                if self.progress is not None:
                    self.progress(self.count)
            first = found[0]
            if self.history_over[first.payment] != first.api:
                continue
            is_looked_for = self.known is not None and first.api in APIS
            beside = await self._beside(first.api, first.payment, found, lookups) if is_looked_for else None
            self.beside[first.payment] = [*self._damaged(first.payment, beside), *(beside or ())]
        # Nothing else of these payments is of the day. Last: an API that the sales unit does not have may be asked.
        for payment in unread:
            lookups = Lookups(self.session, self.limiter, self.now)
            beside = None
            for api in self._apis_of(payment):
                if (beside := await self._beside(api, payment, (), lookups)) is not None:
                    break
            self.beside[payment] = [*self._damaged(payment, beside), *(beside or ())]

    def _apis_of(self, payment: str) -> list[str]:
        """Return over which APIs the history of a payment may be read whose entry cannot be, the likeliest first."""
        used = {each.api for each in (self.known or {}).get(payment, ())}

        # Of a payment that both may have: its maker's history, unless the other one is known to have moved it.
        def order(api: str) -> tuple[bool, bool]:
            return api not in used, (api in READS_TOO) is (api not in used)

        return [api for api in sorted(APIS, key=order) if _takes(api, payment)]

    def _damaged(self, payment: str, beside: Sequence[ComparedOperation] | None) -> list[ComparedOperation]:
        """Tell of what cannot be read of a payment; `beside`: what Vipps has beside the journal, None: not known."""
        if beside is None:
            there = "what Vipps has of the payment could not be read; its name may be what is damaged"
        elif beside:
            there = "what Vipps has of the payment and no other entry has is listed"
        else:
            there = "Vipps shows no capture or refund of the payment but what other entries have"
        return [
            ComparedOperation(
                comparison=Comparison.INCONCLUSIVE,
                api="",
                operation="",
                payment=payment,
                currency="",
                reason=f"entry {row.position} of the journal cannot be read ({row.reason}); {there}",
                damaged=(row.position,),
            )
            for row in self.damaged.get(payment, ())
        ]

    async def _compared(self, entry: Entry, lookups: Lookups) -> ComparedOperation:
        intent, settlement = entry.intent, entry.settlement
        empty = ComparedOperation(
            comparison=Comparison.INCONCLUSIVE,
            api=intent.api,
            operation=intent.operation,
            payment=intent.payment,
            currency=intent.currency,
            key=intent.key if intent.operation in WITH_AMOUNT else None,
            reference=intent.reference,
            settled_at=None if settlement is None else settlement.settled_at,
            asked=intent.amount,
        )
        try:
            call = rebuild_call(intent)
            moved = Moved() if settlement is None else _moved(intent, decode(settlement.answer, call.operation.result))
        except (JournalError, UnreadableAnswer) as error:
            if isinstance(error, UnreadableAnswer):
                error = JournalError(f"the answer on record cannot be read ({error.reason})")
            return evolve(empty, reason=error.message)
        has_amount = intent.operation in WITH_AMOUNT
        recorded = moved.amount if has_amount else None
        evidence = await lookups.evidence(call, session_api(self.session, APIS[intent.api]).batch)
        if settlement is None:
            return _open(empty, evidence)
        if isinstance(evidence, Inconclusive):
            return evolve(empty, recorded=recorded, reason=without_class_names(evidence.reason))
        if not isinstance(evidence, Applied):
            horizon = entry.attempts.last_at + self.settle_after
            if datetime.now(UTC) < horizon and not evidence.excluded:
                text = f"{evidence.reason}, and may have it later: compare again after {self._told(horizon)}"
                return evolve(empty, recorded=recorded, reason=text)
            found = 0 if has_amount else None
            only = Comparison.ONLY_IN_JOURNAL
            return evolve(empty, comparison=only, recorded=recorded, found=found, reason=evidence.reason)
        return self._applied(intent, evolve(empty, recorded=recorded), evidence)

    def _applied(self, intent: Intent, empty: ComparedOperation, evidence: Applied[Any]) -> ComparedOperation:
        """Compare an operation that both have as done."""
        has_amount, recorded = intent.operation in WITH_AMOUNT, empty.recorded
        first = self.cancelled_by.get(intent.payment)
        if not has_amount and first is not None and first != (intent.api, intent.key):
            text = "the payment was cancelled before, which is counted there: this one has released nothing more"
            return evolve(empty, comparison=Comparison.REPEATED, reason=text)
        theirs = _moved(intent, evidence.result)
        found = theirs.amount if has_amount else None
        comparison, reason = Comparison.AGREES, ""
        if evidence.misfit:
            comparison, reason = Comparison.OTHERWISE, evidence.misfit
        if found is not None and recorded is not None and found != recorded:
            comparison, currency = Comparison.DIFFERS, intent.currency
            told = f"the journal has {format_amount(recorded, currency)}, Vipps {format_amount(found, currency)}"
            reason = "; ".join(filter(None, (reason, told)))
        return evolve(empty, comparison=comparison, found=found, time=theirs.time, reason=reason)

    async def _beside(
        self, api: str, payment: str, compared: Sequence[ComparedOperation], lookups: Lookups
    ) -> list[ComparedOperation] | None:
        """Return what Vipps has of a payment beside what the journal has as done, some of which is compared already.

        None: that could not be read, which is said of something else.
        """
        damaged = tuple(row.position for row in self.damaged.get(payment, ()))
        known = (self.known or {}).get(payment, ())
        beside = ComparedOperation(
            comparison=Comparison.INCONCLUSIVE,
            api=api,
            operation="",
            payment=payment,
            currency=compared[0].currency if compared else "",
            reason="what else Vipps has of the payment could not be read",
        )
        history = await lookups.history(api, payment)
        if history is None:
            # Where an entry could not be compared that is said already.
            is_said = any(each.comparison is Comparison.INCONCLUSIVE for each in compared)
            is_gone = any(each.comparison is Comparison.ONLY_IN_JOURNAL for each in compared)
            return None if is_said or is_gone or damaged else [beside]
        told = {(each.operation, each.key) for each in compared}
        return [
            evolve(
                beside,
                comparison=self._only_at_vipps(entry, there),
                operation=entry.verb or "",
                key=entry.key,
                currency=entry.currency,
                recorded=0,
                found=entry.amount,
                time=entry.time,
                reason=_reason(entry, there, damaged),
                damaged=damaged if there is None else (),
            )
            for entry, there in unknown_to_journal(history, known, api)
            # What is open is compared already.
            if (entry.verb, entry.key) not in told
        ]

    def _only_at_vipps(self, entry: HistoryEntry, there: KnownOperation | None) -> Comparison:
        if there is not None and there.outcome is None:
            return Comparison.OPEN
        is_of_day = self.day is None or entry.time is None or self.day.begins <= entry.time < self.day.ends
        return Comparison.ONLY_AT_VIPPS if is_of_day else Comparison.ONLY_AT_VIPPS_OTHER_DAY

    def _told(self, moment: datetime) -> str:
        zone = TimeZone.named("UTC") if self.day is None else self.day.zone
        return f"{zone.local(moment):%Y-%m-%d %H:%M} {zone.name}"


def _open(empty: ComparedOperation, evidence: Any) -> ComparedOperation:
    """Say of an operation that is open what Vipps has of it: nothing so far, or all of it."""
    is_open = evolve(empty, comparison=Comparison.OPEN)
    if isinstance(evidence, Applied):
        theirs = APIS[empty.api].moved(evidence.result)
        has_amount = empty.operation in WITH_AMOUNT
        found, recorded = (theirs.amount, 0) if has_amount else (None, None)
        return evolve(is_open, recorded=recorded, found=found, time=theirs.time, reason="Vipps has it as done")
    return evolve(is_open, reason=f"Vipps does not show it as done so far: {without_class_names(evidence.reason)}")


def _takes(api: str, payment: str) -> bool:
    try:
        APIS[api].check_payment(payment)
    except InvalidInputError:
        return False
    return True


def _reason(entry: HistoryEntry, there: KnownOperation | None, damaged: Sequence[int]) -> str:
    """Say what the journal has in the place of an operation that Vipps has."""
    if there is None and damaged:
        which = "entry" if len(damaged) == 1 else "one of the entries"
        return f"it may be {which} {', '.join(map(str, damaged))} of the journal, which cannot be read"
    if there is None:
        return "the journal does not have it" if entry.key else "the journal has no other one like it"
    return "Vipps has it as done" if there.outcome is None else f"the journal has it as {_NOT_DONE[there.outcome]}"


def _moved(intent: Intent, result: Any) -> Moved:
    return APIS[intent.api].moved(result)
