"""Holds done entries against what Vipps has of their payments: some payments at once, each looked up once."""

from __future__ import annotations

import asyncio
import enum
import math
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import evolve, field, frozen, mutable

from vipps_async.apis import APIS, rebuild_call, session_api
from vipps_async.core.batch import BatchOperation
from vipps_async.core.batch_limit import BatchLimiter
from vipps_async.core.converter import UnreadableAnswer, decode
from vipps_async.core.operation import Applied, Call, Inconclusive
from vipps_async.core.payment_api import BatchClient, Moved
from vipps_async.core.rate_limit import RateLimiter
from vipps_async.core.token import is_about_token
from vipps_async.errors import (
    ApiError,
    AuthenticationError,
    ConfigurationError,
    InvalidInputError,
    JournalError,
    VippsError,
)
from vipps_async.journals.protocol import Entry, Intent
from vipps_async.money import format_amount
from vipps_async.session import VippsSession

__all__ = ["DEFAULT_CONCURRENCY", "MOST_AT_ONCE", "ComparedEntry", "Comparison", "compare_entries"]

#: Payments at once unless told otherwise, and at most: as many as the transport has connections.
DEFAULT_CONCURRENCY, MOST_AT_ONCE = 16, 100
#: Operations whose amounts are compared. A cancel releases what is left by then, which no amount was given for.
_WITH_AMOUNT = {operation.value for operation in BatchOperation if operation.has_amount}
#: Statuses that say nothing about the payment.
_NO_ANSWER = frozenset({401, 403, 408, 425, 429})


class Comparison(enum.Enum):
    """How an entry compares with Vipps."""

    #: Vipps has it as done, with the amount that was asked for and the one that is on record.
    AGREES = "agrees"
    #: Vipps does not have it as done, or with another amount.
    DIFFERS = "differs"
    #: What Vipps has of it, or the entry itself, could not be read; or the history lacks it, and may have it later.
    INCONCLUSIVE = "inconclusive"


@frozen(kw_only=True)
class ComparedEntry:
    """An entry and what Vipps has of it. Amounts are in minor units of the intent's currency."""

    intent: Intent
    #: When it became known as done; aware, UTC.
    settled_at: datetime
    comparison: Comparison
    #: What moved by the journal's answer; None: the answer does not tell, as that of a cancel.
    recorded: int | None = None
    #: What moved by Vipps' history: 0 if nothing did, None if that is not known, or it is a cancel.
    found: int | None = None
    #: When, by Vipps' clock; aware, UTC. None: it does not tell.
    time: datetime | None = None
    #: What differs, or why that is not known; empty: nothing does.
    reason: str = ""


async def compare_entries(
    session: VippsSession,
    entries: Sequence[Entry],
    *,
    concurrency: int = DEFAULT_CONCURRENCY,
    rate: float | None = None,
    settle_after: float = 86_400.0,
    progress: Callable[[int], None] | None = None,
) -> list[ComparedEntry]:
    """Ask Vipps about each entry's payment, and say how they compare; nothing is changed at Vipps nor in a journal.

    Captures and refunds are found by their idempotency keys in the payment's history (eCom's details, ePayment's
    events), cancels by the payment's state. A payment is looked up once for all of its entries, where that is one
    request. It begins slowly and slows down as a batch does when Vipps asks for less; when Vipps gives no answer any
    more the rest is left inconclusive.

    A history may lag, so what it lacks is no difference before `settle_after` has passed.

    Args:
        session: of the sales unit that the entries are of.
        entries: settled as done.
        concurrency: the most payments at once, 1 to 100.
        rate: the most look-ups begun a second; None: as many as Vipps takes.
        settle_after: for how many seconds after its last attempt an operation may be missing in the history.
        progress: called with how many entries are compared so far.

    Returns:
        One for each entry, in the order given.

    Raises:
        InvalidInputError: `concurrency` or `rate` is out of range.
        ConfigurationError: the session is closed.
    """
    _check(concurrency, rate)
    now = asyncio.get_running_loop().time
    limiter = BatchLimiter(most=concurrency, rate=None if rate is None else RateLimiter(rate), now=now)
    run = _Run(session, limiter, now, timedelta(seconds=settle_after), progress, [None] * len(entries))

    def watch(operation: str, seconds: float, status: int | None) -> None:
        if operation in _READS:
            limiter.attempted(now(), seconds, status)

    payments: dict[tuple[str, str], list[int]] = {}
    for number, entry in enumerate(entries):
        payments.setdefault((entry.intent.api, entry.intent.payment), []).append(number)
    work = iter(payments.values())
    with session.listening(watch):
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(concurrency, len(payments))):
                    group.create_task(run.work(work, entries))
        except BaseExceptionGroup as failures:
            # Whoever calls wants the error itself; those beside it are the same.
            raise failures.exceptions[0] from None
    return [each for each in run.compared if each is not None]


#: The look-ups, by whose times the pace is set.
_READS = {"ecom.details", "epayment.get", "epayment.events"}


def _check(concurrency: object, rate: object) -> None:
    if type(concurrency) is not int or not 1 <= concurrency <= MOST_AT_ONCE:
        raise InvalidInputError("concurrency", f"a whole number from 1 to {MOST_AT_ONCE}", value=concurrency)
    if rate is not None and (isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate < math.inf):
        raise InvalidInputError("rate", "a positive, finite number of look-ups a second, or None", value=rate)


@mutable(eq=False)
class _Run:
    """What all workers of one comparison share."""

    session: VippsSession
    limiter: BatchLimiter
    now: Callable[[], float]
    settle_after: timedelta
    progress: Callable[[int], None] | None
    #: By the entries' numbers.
    compared: list[ComparedEntry | None]
    count: int = 0

    async def work(self, payments: Iterator[list[int]], entries: Sequence[Entry]) -> None:
        for numbers in payments:
            lookups = _Lookups(self)
            for number in numbers:
                self.compared[number] = await self._compared(entries[number], lookups)
                self.count += 1
                if self.progress is not None:
                    self.progress(self.count)

    async def _compared(self, entry: Entry, lookups: _Lookups) -> ComparedEntry:
        intent, settlement = entry.intent, entry.settlement
        assert settlement is not None  # noqa: S101 - for the type checker: the entries are settled
        empty = ComparedEntry(intent=intent, settled_at=settlement.settled_at, comparison=Comparison.INCONCLUSIVE)
        try:
            call = rebuild_call(intent)
            moved = _moved(intent, decode(settlement.answer, call.operation.result))
        except JournalError as error:
            return evolve(empty, reason=error.message)
        except UnreadableAnswer as error:
            return evolve(empty, reason=f"the answer on record cannot be read ({error.reason})")
        has_amount = intent.operation in _WITH_AMOUNT
        recorded = moved.amount if has_amount else None
        evidence = await lookups.evidence(call, session_api(self.session, APIS[intent.api]).batch)
        if isinstance(evidence, Inconclusive):
            return evolve(empty, recorded=recorded, reason=evidence.reason)
        if not isinstance(evidence, Applied):
            horizon = entry.attempts.last_at + self.settle_after
            if datetime.now(UTC) < horizon and not evidence.excluded:
                text = f"{evidence.reason}, and may have it later: compare again after {horizon:%Y-%m-%d %H:%M} UTC"
                return evolve(empty, recorded=recorded, reason=text)
            found = 0 if has_amount else None
            return evolve(empty, comparison=Comparison.DIFFERS, recorded=recorded, found=found, reason=evidence.reason)
        theirs = _moved(intent, evidence.result)
        found = theirs.amount if has_amount else None
        reasons = [evidence.misfit] if evidence.misfit else []
        if found is not None and recorded is not None and found != recorded:
            currency = intent.currency
            told = f"the journal has {format_amount(recorded, currency)}, Vipps {format_amount(found, currency)}"
            reasons.append(told)
        return evolve(
            empty,
            comparison=Comparison.DIFFERS if reasons else Comparison.AGREES,
            recorded=recorded,
            found=found,
            time=theirs.time,
            reason="; ".join(reasons),
        )


def _moved(intent: Intent, result: Any) -> Moved:
    return APIS[intent.api].moved(result)


@mutable(eq=False)
class _Lookups:
    """What was looked up of one payment: the same question is asked once."""

    run: _Run
    answers: dict[str, Any] = field(factory=dict)

    async def evidence(self, call: Call[Any], client: BatchClient) -> Any:
        """Return the evidence of a call: what the history says of it."""
        reconciliation = call.reconciliation
        if reconciliation is None:
            return Inconclusive("there is no way to look it up")
        lookup = reconciliation.lookup
        name = f"{lookup.operation.name} {lookup.path}"
        if name not in self.answers:
            self.answers[name] = await self._asked(lookup, client)
        answer = self.answers[name]
        if isinstance(answer, Inconclusive):
            return answer
        return (
            reconciliation.interpret_refusal(answer)
            if isinstance(answer, ApiError)
            else reconciliation.interpret(answer)
        )

    async def _asked(self, lookup: Call[Any], client: BatchClient) -> Any:
        """Return the answer, a refusal of the question, or why there is neither."""
        limiter, now = self.run.limiter, self.run.now
        if limiter.is_closed or not await limiter.acquire():
            return Inconclusive("not looked up: Vipps gave no usable answer any more")
        began = now()
        try:
            answer = await client.runner.run(lookup)
        except ConfigurationError:
            raise
        except VippsError as error:
            if isinstance(error, ApiError) and not is_about_token(error) and _is_about_payment(error):
                limiter.row_answered()
                return error
            limiter.row_failed(began, now(), keys_refused=isinstance(error, AuthenticationError))
            if limiter.circuit_open:
                limiter.close()
            return Inconclusive(f"the payment could not be looked up ({error.message})")
        finally:
            limiter.release()
        limiter.row_answered()
        return answer


def _is_about_payment(error: ApiError) -> bool:
    return error.status < 500 and error.status not in _NO_ANSWER
