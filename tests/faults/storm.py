"""The storm: many merchants' tasks, over real sockets, against a sandbox where everything goes wrong that can."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from attrs import define, evolve, field, frozen

from tests.faults.apis import APIS
from tests.faults.attempts import CALL, CountingTransport, noting_keys
from tests.faults.audit import Asked, Audit, Told, Verdict, audit, noted_in, told_by_error
from tests.faults.horizon import SETTLE_AFTER, MovableClock, horizon_settings
from tests.faults.merchant import Merchant
from tests.faults.plan import Ask, Kind, OrderPlan, orders
from tests.faults.sandbox_process import ALL_KINDS, NEW_KINDS, SandboxProcess
from vipps_async import Credentials, Journal, PaymentUrlLostError, RetryPolicy, Timeouts, VippsError, VippsSession
from vipps_async.core.recovery_report import RecoveryReport

__all__ = [
    "CREDENTIALS",
    "PATIENT_RETRY",
    "PATIENT_TIMEOUTS",
    "RETRY",
    "TIMEOUTS",
    "Storm",
    "StormReport",
    "recover_all",
    "run_storm",
]

CREDENTIALS = Credentials(
    client_id="storm-client",
    client_secret="storm-secret",
    subscription_key="storm-key",
    merchant_serial_number="123456",
)
#: Short, so that a stall costs little, and longer than two busy cores take for an honest answer.
TIMEOUTS = Timeouts(connect=0.5, read=0.4, total=1.0)
#: Quick, and with a budget that a storm does not drain: that is tried elsewhere, and would only mean fewer retries.
RETRY = RetryPolicy(
    attempts=4, deadline=4.0, base=0.01, throttled_base=0.02, cap=0.1, budget=1_000_000, retry_cost=1, throttled_cost=1
)
#: The same for work in which nothing stalls: a busy machine must not look like a fault.
PATIENT_TIMEOUTS = Timeouts(connect=10.0, read=20.0, total=30.0)
PATIENT_RETRY = evolve(RETRY, deadline=60.0)
#: How often a lost order is begun anew under another order id.
_ORDER_IDS = 3
#: How many recoveries are tried under fire unless told otherwise, and how many more once it is calm.
_UNDER_FIRE, _IN_CALM = 4, 100
#: Seconds between two recoveries: the last leases, those of a recovery, run out in 7.5 deadlines.
_BETWEEN_RECOVERIES = 0.5
#: Seconds of the client's clock between two recoveries in calm: two looks count only a minute apart.
_BETWEEN_LOOKS = 90.0
#: Seconds before and after the horizon: longer than a storm and its recoveries take; and how long before it a request
#: that is held until then takes effect.
_BEFORE_HORIZON, _AFTER_HORIZON, JUST_BELOW = 3600.0, 3600.0, SETTLE_AFTER - 60.0
#: Which part of the operations each new kind of fault must happen to, and all of them together.
_SHARE_OF_EACH, _SHARE_OF_ALL = 0.005, 0.15
#: So many captures are a storm that has room for all kinds.
_LARGE = 10_000
#: Seconds between two recoveries while the storm goes on.
_RECOVERY_BESIDE = 3.0


@define(kw_only=True)
class StormReport:
    """What a storm prints."""

    audit: Audit
    faults: Mapping[str, int]
    attempts: Mapping[str, int]
    told: Mapping[str, int]
    errors: Mapping[str, int]
    callbacks: Mapping[int, int]
    recoveries: int
    settled: Mapping[str, int]
    captured: int
    refunded: int
    seconds: float
    journal: str
    api: str
    seed: int
    #: Requests that were still held when the storm was over.
    delivered: int
    #: Whether each new kind must have its share.
    shares_wanted: bool = False

    @property
    def new_kinds(self) -> int:
        """How many faults were of the kinds that make Vipps contradict itself, lag or deliver late."""
        return sum(self.faults.get(kind, 0) for kind in NEW_KINDS)

    @property
    def too_rare(self) -> list[str]:
        """The new kinds that happened to too few operations, if that matters."""
        if not self.shares_wanted:
            return []
        operations = self.audit.asked.total()
        rare = [kind for kind in NEW_KINDS if self.faults.get(kind, 0) < _SHARE_OF_EACH * operations]
        return rare + (["all together"] if self.new_kinds < _SHARE_OF_ALL * operations else [])

    @property
    def failed(self) -> bool:
        """Whether money did not do what it should have done, or too little was tried to tell."""
        left = 0 if self.journal == "none" else self.audit.open + self.audit.unknown
        return bool(self.audit.violations + left + len(self.too_rare))

    def lines(self) -> Iterator[str]:
        """Write it for people."""
        found, operations = self.audit, max(1, self.audit.asked.total())
        yield f"storm over {self.api} with seed {self.seed}, journal {self.journal}"
        yield f"  operations          {_counted(found.asked)}"
        yield f"  attempts            {_counted(self.attempts)}"
        yield f"  faults              {_counted(self.faults)}"
        yield f"  told                {_counted(self.told)}"
        yield f"  errors              {_counted(self.errors)}"
        by_effect: Counter[str] = Counter()
        for error, count in self.errors.items():
            by_effect[error.partition(" ")[0]] += count
        yield f"  errors by effect    {_counted(by_effect)}"
        yield f"  new kinds           {self.new_kinds} = {100 * self.new_kinds / operations:.1f} % of the operations"
        for kind in sorted(NEW_KINDS, key=lambda kind: self.faults.get(kind, 0)):
            yield f"    {100 * self.faults.get(kind, 0) / operations:5.2f} % {kind}"
        yield f"  delivered at end    {self.delivered} that were held when the storm was over"
        yield f"  callbacks           {_counted({f'{times} times': n for times, n in self.callbacks.items()})}"
        yield f"  recoveries          {self.recoveries}: {_counted(self.settled)}"
        yield f"  captured, refunded  {self.captured} øre, {self.refunded} øre"
        yield f"  moved twice         {found.moved_twice}"
        yield f"  lost                {found.lost}"
        yield f"  told untruly        {found.told_untruly}"
        yield f"  needless doubt      {found.needless_doubt}"
        yield f"  closed to an API    {found.closed} were told that the payment has something open at the other one"
        yield f"  doubt by cancelling {found.doubt_by_cancelling}"
        yield f"  doubt by journal    {found.doubt_by_journal}"
        yield f"  wrong amounts       {found.wrong_amounts}"
        yield f"  lies believed       {found.lies_believed}"
        yield f"  unknown at the end  {found.unknown}"
        yield f"  open after recovery {'no journal' if self.journal == 'none' else found.open}"
        yield f"  seconds             {self.seconds:.1f}"
        yield from (f"  ! too rare: {kind}" for kind in self.too_rare)
        yield from (f"  ! {words}" for words in found.words)


def _counted(counts: Mapping[Any, int]) -> str:
    parts = ", ".join(f"{name} {count}" for name, count in sorted(counts.items(), key=lambda item: str(item[0])))
    return f"{sum(counts.values())} ({parts})"


@frozen(kw_only=True)
class Storm:
    """The work of one storm on one session."""

    vipps: VippsSession
    sandbox: SandboxProcess
    transport: CountingTransport
    seed: int
    callback_prefix: str
    #: Everything that was asked for, in no order.
    asked: list[Asked] = field(factory=list)
    #: Numbers the begin and the end of each call.
    calls: Iterator[int] = field(factory=lambda: itertools.count(1))
    #: Number of a call → the idempotency keys that the library made for it.
    made_keys: dict[int, list[str]] = field(factory=dict)

    async def weather(self, plans: Iterator[OrderPlan], *, concurrency: int) -> None:
        """Carry out all plans, so many at a time."""

        async def work() -> None:
            for plan in plans:
                await self._trade(plan)

        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(work())

    async def _trade(self, plan: OrderPlan) -> None:
        order_id = await self._initiated(plan)
        if order_id is None:
            return
        await self.sandbox.approve(order_id)
        done: dict[int, Asked] = {}
        for step in plan.steps:
            together = [self._asked(order_id, ask, done) for ask in step]
            async with asyncio.TaskGroup() as group:
                for ask, asked in zip(step, together, strict=True):
                    if asked is not None:
                        group.create_task(self._insist(ask, asked))

    async def _initiated(self, plan: OrderPlan) -> str | None:
        for number in range(1, _ORDER_IDS + 1):
            order_id = f"storm-{self.seed}-{plan.number}-{number}"
            text = f"order {plan.number}"
            asked = Asked(order_id=order_id, operation="initiate", text=text, amount=plan.amount, api=plan.api)
            self.asked.append(asked)
            call = self._begin_call()
            try:
                await APIS[plan.api].create(self.vipps, order_id, plan.amount, text, self.callback_prefix)
            except PaymentUrlLostError:
                # It exists: what the error advises is to cancel it and to take another order id.
                self._note(asked, call, Told(Verdict.DONE))
                ask = Ask(number=0, kind=Kind.CANCEL, api=plan.api)
                cancel = self._asked(order_id, ask, {})
                assert cancel is not None
                await self._insist(ask, cancel)
            except VippsError as error:
                self._note(asked, call, told_by_error(error))
            else:
                self._note(asked, call, Told(Verdict.DONE))
                return order_id
        return None

    def _asked(self, order_id: str, ask: Ask, done: dict[int, Asked]) -> Asked | None:
        if ask.with_key_of is not None and done[ask.with_key_of].verdict is not Verdict.DONE:
            return None
        asked = Asked(
            order_id=order_id,
            operation=ask.kind.operation,
            text=ask.text,
            key=ask.key(self.seed, order_id),
            amount=ask.amount,
            forbidden=ask.with_key_of is not None,
            api=ask.api,
        )
        done[ask.number] = asked
        self.asked.append(asked)
        return asked

    async def _insist(self, ask: Ask, asked: Asked) -> None:
        await self._repeat(ask, asked)
        # No money moved, it was told: so it may be asked for anew.
        may = ask.anew and asked.verdict in {Verdict.REFUSED, Verdict.NO_EFFECT}
        if may or (ask.rash and asked.verdict is Verdict.UNKNOWN):
            asked.ask_anew(ask.key(self.seed, asked.order_id, anew=True), ask.anew_api)
            await self._repeat(ask, asked)

    async def _repeat(self, ask: Ask, asked: Asked) -> None:
        call = APIS[asked.api].call(self.vipps, ask.kind, asked)
        for time_number in range(1 + ask.repeats):
            patience = ask.cancelled_after if time_number == 0 else None
            callers = 2 if ask.by_two and time_number == 0 else 1
            told = await asyncio.gather(*(self._told_by(asked, call, patience) for _ in range(callers)))
            if all(one.verdict in {Verdict.DONE, Verdict.REFUSED} for one in told):
                return

    def _begin_call(self) -> int:
        number = next(self.calls)
        CALL.set(number)
        return number

    def _note(self, asked: Asked, call: int, told: Told) -> None:
        asked.told.append(
            evolve(
                told,
                call=call,
                ended=next(self.calls),
                doubtful=call in self.transport.doubtful,
                api=asked.api,
                made_keys=tuple(self.made_keys.get(call, ())),
            )
        )

    async def _told_by(self, asked: Asked, call: Callable[[], Awaitable[Any]], patience: float | None) -> Told:
        # Runs in a task of its own, so that its number is no other's.
        number = self._begin_call()
        told = await _told_by(call, patience, APIS[asked.api].moved)
        self._note(asked, number, told)
        return told


async def _told_by(
    call: Callable[[], Awaitable[Any]], patience: float | None, moved: Callable[[Any], int | None]
) -> Told:
    async def told() -> Told:
        try:
            result = await call()
        except VippsError as error:
            return told_by_error(error)
        return Told(Verdict.DONE, moved(result))

    if patience is None:
        return await told()
    task = asyncio.ensure_future(told())
    await asyncio.wait({task}, timeout=patience)
    task.cancel()
    await asyncio.wait({task})
    return Told(Verdict.CANCELLED) if task.cancelled() else task.result()


async def recover_all(
    vipps: VippsSession,
    settled: Counter[str],
    *,
    calm: Callable[[], Awaitable[None]],
    pass_horizon: Callable[[], Awaitable[None]],
    clock: MovableClock,
    under_fire: int = _UNDER_FIRE,
) -> int:
    """Recover under fire, then in calm and past the horizon until nothing is open; return how often that was."""
    number = 0
    for _ in range(under_fire):
        number += 1
        if (await _recovered(vipps, settled)).is_complete:
            break
        await asyncio.sleep(_BETWEEN_RECOVERIES)
    await calm()
    await pass_horizon()
    for number_in_calm in range(1, _IN_CALM + 1):
        number += 1
        report = await _recovered(vipps, settled)
        # What was never done takes two looks.
        if report.is_complete and number_in_calm > 1:
            break
        if _waits_for_next_horizon(report, clock):
            await pass_horizon()
        clock.move(_BETWEEN_LOOKS)
        await asyncio.sleep(_BETWEEN_RECOVERIES)
    return number


async def _recovered(vipps: VippsSession, settled: Counter[str]) -> RecoveryReport:
    report = await vipps.recover(concurrency=32)
    count_settled(settled, report)
    return report


def _waits_for_next_horizon(report: RecoveryReport, clock: MovableClock) -> bool:
    """Whether all that is open was sent again just now, and refused, while an earlier attempt is still in doubt.

    Its horizon is counted from that last attempt: no recovery before it can settle anything.
    """
    soon = clock.now() + 2 * timedelta(seconds=_BETWEEN_LOOKS)
    return bool(report.left_open) and all(
        left.decidable_at is not None and left.decidable_at > soon for left in report.left_open
    )


async def _pass_horizon(
    sandbox: SandboxProcess, clock: MovableClock, below: Callable[[], Awaitable[None]] | None = None
) -> int:
    """Move both clocks past the horizon; return how many requests were still held before.

    Args:
        sandbox: delivers what it holds.
        clock: the client's.
        below: what to do when both clocks stand just below the horizon; None: they do not stop there.
    """
    rest = SETTLE_AFTER + _AFTER_HORIZON
    held = await sandbox.held()
    if below is not None:
        step = SETTLE_AFTER - _BEFORE_HORIZON
        await sandbox.advance(step)
        clock.move(step)
        await below()
        rest -= step
    await sandbox.advance(rest)
    await sandbox.deliver_held()
    clock.move(rest)
    return held


def count_settled(settled: Counter[str], report: RecoveryReport) -> None:
    """Add up what recoveries did."""
    for what in ("proven", "sent_again", "refused", "not_done"):
        settled[what.replace("_", " ")] += getattr(report, what)
    settled["in other hands"] += report.leased_elsewhere
    settled["left open"] += len(report.left_open)


@asynccontextmanager
async def _recovering_beside(vipps: VippsSession, settled: Counter[str], *, active: bool) -> AsyncIterator[None]:
    async def again_and_again() -> None:
        while True:
            await asyncio.sleep(_RECOVERY_BESIDE)
            count_settled(settled, await vipps.recover())

    if not active:
        yield
        return
    async with asyncio.TaskGroup() as group:
        task = group.create_task(again_and_again())
        try:
            yield
        finally:
            task.cancel()


async def run_storm(
    *,
    captures: int,
    seed: int,
    rate: float,
    journal: Journal | None,
    journal_name: str,
    api: str = "ecom",
    concurrency: int = 64,
    kinds: tuple[str, ...] = ALL_KINDS,
    operations: tuple[str, ...] | None = None,
    plans: Iterable[OrderPlan] | None = None,
    under_fire: int = _UNDER_FIRE,
    patient: bool = False,
    below_horizon: bool = False,
    shares: bool = False,
) -> StormReport:
    """Let a storm pass and say what came of it.

    Args:
        captures: how many captures are asked for; refunds, cancels and initiates come on top.
        seed: plans what is asked, and what fails.
        rate: which part of all requests fails, from 0 to 1.
        journal: what the session notes its work in, not opened yet; None: nothing.
        journal_name: what to call it.
        api: what is traded over: ecom, epayment or both; see `orders`.
        concurrency: how many orders are in work at the same time.
        kinds: which faults happen.
        operations: which operations they happen to; None: all.
        plans: what is asked, in place of what the seed plans.
        under_fire: how many recoveries are tried before it is calm.
        patient: with long time-outs, for kinds of faults that do not stall.
        below_horizon: requests that are held take effect just below the horizon, and recoveries look before that, too.
        shares: each new kind of fault must have its share, as in a large storm.
    """
    started = time.monotonic()
    settled: Counter[str] = Counter()
    transport = CountingTransport()
    recoveries = delivered = 0
    is_first = True
    clock = MovableClock()
    async with SandboxProcess.running() as sandbox, Merchant.listening() as merchant:
        if below_horizon:
            await sandbox.hold_for(JUST_BELOW)
        await sandbox.randomise(rate=rate, seed=seed, kinds=kinds, operations=operations)
        try:
            async with VippsSession(
                CREDENTIALS,
                base_url=sandbox.url,
                transport=transport,
                journal=journal,
                retry=PATIENT_RETRY if patient else RETRY,
                timeouts=PATIENT_TIMEOUTS if patient else TIMEOUTS,
                **horizon_settings(clock),
            ) as vipps:
                storm = Storm(
                    vipps=vipps,
                    sandbox=sandbox,
                    transport=transport,
                    seed=seed,
                    callback_prefix=merchant.url,
                )
                weather = iter(orders(seed, captures, api) if plans is None else plans)
                async with _recovering_beside(vipps, settled, active=journal is not None):
                    with noting_keys(storm.made_keys):
                        await storm.weather(weather, concurrency=concurrency)

                async def look_below() -> None:
                    if journal is not None:
                        for _ in range(2):
                            await _recovered(vipps, settled)
                            clock.move(_BETWEEN_LOOKS)

                async def pass_horizon() -> None:
                    nonlocal delivered, is_first
                    below = look_below if below_horizon and is_first else None
                    delivered, is_first = delivered + await _pass_horizon(sandbox, clock, below), False

                if journal is None:
                    await sandbox.calm()
                    await pass_horizon()
                else:
                    recoveries = await recover_all(
                        vipps,
                        settled,
                        calm=sandbox.calm,
                        pass_horizon=pass_horizon,
                        clock=clock,
                        under_fire=under_fire,
                    )
        finally:
            await transport.aclose()
        noted = None
        if journal is not None:
            await journal.open()
            noted = await noted_in(journal)
            await journal.aclose()
        payments = await sandbox.payments()
        return StormReport(
            audit=audit(storm.asked, payments, noted),
            faults=await sandbox.counts(),
            attempts=transport.attempts,
            told=Counter(told.verdict.value for asked in storm.asked for told in asked.told),
            errors=Counter(f"{told.effect} {told.error}" for asked in storm.asked for told in asked.told if told.error),
            callbacks=Counter(merchant.callbacks.values()),
            recoveries=recoveries,
            settled=settled,
            captured=sum(payment.captured for payment in payments),
            refunded=sum(payment.refunded for payment in payments),
            seconds=time.monotonic() - started,
            journal=journal_name,
            api=api,
            seed=seed,
            delivered=delivered,
            shares_wanted=shares or captures >= _LARGE,
        )
