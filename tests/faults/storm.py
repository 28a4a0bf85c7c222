"""The storm: many merchants' tasks, over real sockets, against a sandbox where everything goes wrong that can."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from attrs import define, evolve, field, frozen

from tests.faults.audit import Asked, Audit, Told, Verdict, audit, noted_in, told_by_error
from tests.faults.merchant import Merchant
from tests.faults.plan import Ask, Kind, OrderPlan, orders
from tests.faults.sandbox_process import ALL_KINDS, SandboxProcess
from vipps_async import (
    Credentials,
    PaymentUrlLostError,
    RetryPolicy,
    Timeouts,
    VippsError,
    VippsSession,
)
from vipps_async.core.recovery_report import RecoveryReport
from vipps_async.journals import Journal
from vipps_async.transports.aiohttp_transport import AiohttpTransport
from vipps_async.transports.protocol import Request, Response

__all__ = [
    "CREDENTIALS",
    "PATIENT_RETRY",
    "PATIENT_TIMEOUTS",
    "RETRY",
    "TIMEOUTS",
    "CountingTransport",
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
_UNDER_FIRE, _IN_CALM = 4, 40
#: Seconds between two recoveries: the last leases run out in 1.5 deadlines.
_BETWEEN_RECOVERIES = 0.5
#: Seconds between two recoveries while the storm goes on.
_RECOVERY_BESIDE = 3.0

#: The last part of a path, where it is not the operation's own name.
_OPERATIONS = {"get": "token", "payments": "initiate"}


class CountingTransport:
    """The real transport, which counts how often each operation is sent."""

    def __init__(self) -> None:
        self._inner = AiohttpTransport()
        #: Operation → attempts.
        self.attempts: Counter[str] = Counter()

    async def send(self, request: Request) -> Response:
        """Send it."""
        last = request.url.rpartition("/")[2]
        self.attempts[_OPERATIONS.get(last, last)] += 1
        return await self._inner.send(request)

    async def aclose(self) -> None:
        """Close the inner one."""
        await self._inner.aclose()


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
    seed: int

    @property
    def failed(self) -> bool:
        """Whether money did not do what it should have done."""
        left = 0 if self.journal == "none" else self.audit.open + self.audit.unknown
        return bool(self.audit.violations + left)

    def lines(self) -> Iterator[str]:
        """Write it for people."""
        found = self.audit
        yield f"storm with seed {self.seed}, journal {self.journal}"
        yield f"  operations          {_counted(found.asked)}"
        yield f"  attempts            {_counted(self.attempts)}"
        yield f"  faults              {_counted(self.faults)}"
        yield f"  told                {_counted(self.told)}"
        yield f"  errors              {_counted(self.errors)}"
        yield f"  callbacks           {_counted({f'{times} times': n for times, n in self.callbacks.items()})}"
        yield f"  recoveries          {self.recoveries}: {_counted(self.settled)}"
        yield f"  captured, refunded  {self.captured} øre, {self.refunded} øre"
        yield f"  moved twice         {found.moved_twice}"
        yield f"  lost                {found.lost}"
        yield f"  wrong amounts       {found.wrong_amounts}"
        yield f"  unknown at the end  {found.unknown}"
        yield f"  open after recovery {'no journal' if self.journal == 'none' else found.open}"
        yield f"  seconds             {self.seconds:.1f}"
        yield from (f"  ! {words}" for words in found.words)


def _counted(counts: Mapping[Any, int]) -> str:
    parts = ", ".join(f"{name} {count}" for name, count in sorted(counts.items(), key=lambda item: str(item[0])))
    return f"{sum(counts.values())} ({parts})"


@frozen(kw_only=True)
class Storm:
    """The work of one storm on one session."""

    vipps: VippsSession
    sandbox: SandboxProcess
    seed: int
    callback_prefix: str
    #: Everything that was asked for, in no order.
    asked: list[Asked] = field(factory=list)

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
            asked = Asked(order_id=order_id, operation="initiate", text=f"order {plan.number}", amount=plan.amount)
            self.asked.append(asked)
            try:
                await self.vipps.ecom.initiate(
                    order_id=order_id,
                    amount=plan.amount,
                    transaction_text=asked.text,
                    callback_prefix=self.callback_prefix,
                    fall_back=self.callback_prefix,
                )
            except PaymentUrlLostError:
                # It exists: what the error advises is to cancel it and to take another order id.
                asked.told.append(Told(Verdict.DONE))
                ask = Ask(number=0, kind=Kind.CANCEL)
                cancel = self._asked(order_id, ask, {})
                assert cancel is not None
                await self._insist(ask, cancel)
            except VippsError as error:
                asked.told.append(told_by_error(error))
            else:
                asked.told.append(Told(Verdict.DONE))
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
        )
        done[ask.number] = asked
        self.asked.append(asked)
        return asked

    async def _insist(self, ask: Ask, asked: Asked) -> None:
        call = self._call(ask, asked)
        for time_number in range(1 + ask.repeats):
            patience = ask.cancelled_after if time_number == 0 else None
            callers = 2 if ask.by_two and time_number == 0 else 1
            told = await asyncio.gather(*(_told_by(call, patience) for _ in range(callers)))
            asked.told.extend(told)
            if all(one.verdict in {Verdict.DONE, Verdict.REFUSED} for one in told):
                return

    def _call(self, ask: Ask, asked: Asked) -> Callable[[], Awaitable[Any]]:
        ecom = self.vipps.ecom
        if asked.operation == "cancel":
            return partial(
                ecom.cancel,
                asked.order_id,
                transaction_text=asked.text,
                should_release_remaining_funds=ask.kind is Kind.RELEASE,
            )
        method = ecom.capture if ask.kind is Kind.CAPTURE else ecom.refund
        call = partial(method, asked.order_id, transaction_text=asked.text, idempotency_key=asked.key)
        return call if asked.amount is None else partial(call, amount=asked.amount)


async def _told_by(call: Callable[[], Awaitable[Any]], patience: float | None) -> Told:
    async def told() -> Told:
        try:
            result = await call()
        except VippsError as error:
            return told_by_error(error)
        return Told(Verdict.DONE, None if result.transaction is None else result.transaction.amount)

    if patience is None:
        return await told()
    task = asyncio.ensure_future(told())
    await asyncio.wait({task}, timeout=patience)
    task.cancel()
    await asyncio.wait({task})
    return Told(Verdict.CANCELLED) if task.cancelled() else task.result()


async def recover_all(
    vipps: VippsSession, settled: Counter[str], *, calm: Callable[[], Awaitable[None]], under_fire: int = _UNDER_FIRE
) -> int:
    """Recover until nothing is open, first under fire, then in calm; returns how many recoveries that took."""
    number = 0
    for number in range(1, under_fire + _IN_CALM + 1):
        if number == under_fire + 1:
            await calm()
        report = await vipps.recover(concurrency=32)
        count_settled(settled, report)
        if not report.left_open and not report.in_other_hands:
            break
        await asyncio.sleep(_BETWEEN_RECOVERIES)
    return number


def count_settled(settled: Counter[str], report: RecoveryReport) -> None:
    """Add up what recoveries did."""
    for what in ("proven", "sent_again", "refused", "not_done"):
        settled[what.replace("_", " ")] += getattr(report, what)
    settled["in other hands"] += report.in_other_hands
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
    concurrency: int = 64,
    kinds: tuple[str, ...] = ALL_KINDS,
    operations: tuple[str, ...] | None = None,
    plans: Iterable[OrderPlan] | None = None,
    under_fire: int = _UNDER_FIRE,
    patient: bool = False,
) -> StormReport:
    """Let a storm pass and say what came of it.

    Args:
        captures: how many captures are asked for; refunds, cancels and initiates come on top.
        seed: plans what is asked, and what fails.
        rate: which part of all requests fails, from 0 to 1.
        journal: what the session notes its work in, not opened yet; None: nothing.
        journal_name: what to call it.
        concurrency: how many orders are in work at the same time.
        kinds: which faults happen.
        operations: which operations they happen to; None: all.
        plans: what is asked, in place of what the seed plans.
        under_fire: how many recoveries are tried before it is calm.
        patient: with long time-outs, for kinds of faults that do not stall.
    """
    started = time.monotonic()
    settled: Counter[str] = Counter()
    transport = CountingTransport()
    recoveries = 0
    async with SandboxProcess.running() as sandbox, Merchant.listening() as merchant:
        await sandbox.randomise(rate=rate, seed=seed, kinds=kinds, operations=operations)
        try:
            async with VippsSession(
                CREDENTIALS,
                base_url=sandbox.url,
                transport=transport,
                journal=journal,
                retry=PATIENT_RETRY if patient else RETRY,
                timeouts=PATIENT_TIMEOUTS if patient else TIMEOUTS,
            ) as vipps:
                storm = Storm(vipps=vipps, sandbox=sandbox, seed=seed, callback_prefix=merchant.url)
                async with _recovering_beside(vipps, settled, active=journal is not None):
                    weather = iter(orders(seed, captures) if plans is None else plans)
                    await storm.weather(weather, concurrency=concurrency)
                if journal is not None:
                    recoveries = await recover_all(vipps, settled, calm=sandbox.calm, under_fire=under_fire)
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
            errors=Counter(told.error for asked in storm.asked for told in asked.told if told.error),
            callbacks=Counter(merchant.callbacks.values()),
            recoveries=recoveries,
            settled=settled,
            captured=sum(payment.captured for payment in payments),
            refunded=sum(payment.refunded for payment in payments),
            seconds=time.monotonic() - started,
            journal=journal_name,
            seed=seed,
        )
