"""Any mix of captures, refunds, cancels, lost requests and answers, crashes and recoveries, against a plain model."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from attrs import frozen
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.faults.interrupt import AtSuspension
from tests.faults.sandbox_process import NEW_KINDS
from tests.faults.shop import ONE_TRY, TWO_TRIES, Fault, Shop, open_shop
from vipps_async import Effect, JournalError, Money, OrderLockedError, RetryPolicy, VippsError, nok
from vipps_async.core.recovery_report import RecoveryReport
from vipps_async.journals.entries import Entry, Intent, Outcome, Settlement
from vipps_async.journals.memory import MemoryJournal
from vipps_async.journals.protocol import AcquireResult
from vipps_async.sandbox.wire.fault import Fault as VippsFault

pytestmark = pytest.mark.heavy

ORDERS = ("order-01", "order-02")
AMOUNTS = (nok(100), nok(200), nok(300))
WORDS = {"capture": "CAPTURE", "refund": "REFUND"}


class Mortal(MemoryJournal):
    """A journal as one process sees it: once that process is dead, nothing it does reaches the store."""

    def __init__(self, store: MemoryJournal) -> None:
        super().__init__()
        self.store = store
        self.is_dead = False

    async def _ask(self, command: Any) -> Any:
        if self.is_dead:
            raise JournalError("this process is dead")
        return await self.store._ask(command)

    async def open_entries(self, *, merchant_serial_number: str | None = None) -> Any:
        """See Journal."""
        async for entry in self.store.open_entries(merchant_serial_number=merchant_serial_number):
            yield entry

    async def begin(
        self, intent: Intent, *, owner: str, lease: float, adopt: bool = False
    ) -> tuple[AcquireResult, Entry]:
        """See Journal."""
        # A real store suspends before and after the commit: a process can die at either.
        await asyncio.sleep(0)
        answer = await super().begin(intent, owner=owner, lease=lease, adopt=adopt)
        await asyncio.sleep(0)
        return answer

    async def settle(self, intent: Intent, settlement: Settlement, *, owner: str | None = None) -> None:
        """See Journal."""
        await asyncio.sleep(0)
        await super().settle(intent, settlement, owner=owner)


@frozen
class Day:
    """What goes wrong while one thing is done."""

    #: What the line does to the next requests that move money; None lets one through.
    sends: list[Fault | None]
    #: The same for the next questions.
    asks: list[Fault | None]
    #: What Vipps itself does to the next requests that move money, and to the next questions, that arrive.
    at_vipps: list[VippsFault | None]
    views: list[VippsFault | None]
    #: At which suspension the task is cancelled; 0: at none.
    ends_at: int
    #: Whether its process dies with it.
    dies: bool
    retry: RetryPolicy


_DEAD = [Fault.NOT_SENT, Fault.LOSE_REQUEST, Fault.LOSE_ANSWER]
#: A good line, one that is dead for all that follows, or some of this and that.
_lines: st.SearchStrategy[list[Fault | None]] = st.one_of(
    st.just([]),
    st.sampled_from(_DEAD).map(lambda fault: [fault] * 8),
    st.lists(st.sampled_from([None, *(fault for fault in Fault if fault is not Fault.BUG)]), min_size=1, max_size=3),
)
#: Vipps contradicts itself, lags, or takes a request only later.
_NEW = [VippsFault[kind] for kind in NEW_KINDS]
_VIEWS = [
    *(VippsFault.STALE_DETAILS, VippsFault.UNORDERED_DETAILS, VippsFault.DETAILS_WITHOUT_KEYS),
    *(VippsFault.DETAILS_ODD_TYPES, VippsFault.UNSETTLED_99_BEFORE, VippsFault.EMPTY_200_BEFORE),
]


def _some(faults: list[VippsFault]) -> st.SearchStrategy[list[VippsFault | None]]:
    return st.just([]) | st.lists(st.none() | st.sampled_from(faults), min_size=1, max_size=3)


days = st.builds(
    Day,
    sends=_lines,
    asks=_lines,
    at_vipps=_some([fault for fault in _NEW if fault not in _VIEWS[:4]]),
    views=_some(_VIEWS),
    ends_at=st.just(0) | st.integers(1, 8),
    dies=st.booleans(),
    retry=st.sampled_from([ONE_TRY, TWO_TRIES]),
)


class MoneyMovesOnce(RuleBasedStateMachine):
    """The merchant asks; the line and the processes fail; in the end journal and sandbox must agree to the øre."""

    #: The API, what its methods call an order, and the operations that look one up, with the ends of their paths.
    api, payment = "ecom", "order_id"
    lookups: ClassVar[dict[str, tuple[str, ...]]] = {"details": ("/details",)}
    #: What no client of the API can prevent.
    unpreventable: ClassVar[set[VippsFault]] = set()

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.shop: Shop
        #: What the merchant asked for: key → operation, order, amount.
        self.asked: dict[str, tuple[str, str, Money]] = {}
        self.cancels: set[str] = set()
        #: Keys of which the merchant was told that nothing happened, and that were not asked for since.
        self.harmless: set[str] = set()

    def do(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run something on the machine's own loop."""
        return self.runner.run(coroutine)

    @initialize()
    def open(self) -> None:
        """Two orders over 500 kr, reserved."""

        async def opened() -> None:
            self.shop = await self.stack.enter_async_context(open_shop())
            self.shop.sandbox.faults.stall_seconds = 0.01
            for order_id in ORDERS:
                await self.shop.reserve(order_id, api=self.api)

        self.do(opened())

    def store(self) -> MemoryJournal:
        """Return the one store that outlives all processes."""
        assert isinstance(self.shop.journal, MemoryJournal)
        return self.shop.journal

    async def process(self, work: str, arguments: dict[str, Any], day: Day) -> Any:
        """Do something in a process of its own, and return what its caller was told; None if nobody was."""
        mortal = Mortal(self.store())
        vipps = self.shop.session(journal=mortal, retry=day.retry)
        await mortal.open()
        task = asyncio.current_task()
        assert task is not None
        method = vipps.recover if work == "recover" else getattr(getattr(vipps, self.api), work)

        def end() -> None:
            mortal.is_dead = day.dies
            task.cancel()

        self.plan(day)
        try:
            return await AtSuspension(method(**arguments), day.ends_at, end)
        except asyncio.CancelledError:
            task.uncancel()
            return None
        except VippsError as error:
            return None if mortal.is_dead else error

    def told(self, key: str, order_id: str, name: str, answer: object) -> None:
        """Hold what a caller was told against what moved, at that very moment."""
        moved = key in [entry.request_id for entry in self.shop.sandbox.payment(order_id).moved(WORDS[name])]
        if isinstance(answer, OrderLockedError):
            return
        if isinstance(answer, VippsError):
            if answer.effect is Effect.NONE:
                self.harmless.add(key)
            assert not (moved and answer.effect is Effect.NONE), f"told {answer!r}, but it moved"
        elif answer is not None:
            assert moved, f"told {answer!r}, but nothing moved"

    def plan(self, day: Day) -> None:
        """Let the next requests fail as the day says."""
        self.shop.line.plan.clear()
        for ending in ("/capture", "/refund", "/cancel"):
            self.shop.line.fail(ending, *day.sends)
        faults = self.shop.sandbox.faults
        faults.clear()
        for operation in ("capture", "refund", "cancel"):
            faults.script(operation, *(fault for fault in day.at_vipps if fault not in self.unpreventable))
        for operation, endings in self.lookups.items():
            faults.script(operation, *day.views)
            for ending in endings:
                self.shop.line.fail(ending, *day.asks)

    @rule(
        name=st.sampled_from(["capture", "refund"]),
        order_id=st.sampled_from(ORDERS),
        amount=st.sampled_from(AMOUNTS),
        day=days,
    )
    def ask(self, name: str, order_id: str, amount: Money, day: Day) -> None:
        """The merchant asks for a new capture or refund."""
        key = f"key-{len(self.asked)}"
        self.asked[key] = (name, order_id, amount)
        self.carry_out(key, day)

    @rule(pick=st.integers(0, 3), day=days)
    def repeat(self, pick: int, day: Day) -> None:
        """The merchant asks for one of the latest again, with the same key."""
        if self.asked:
            self.carry_out(list(reversed(self.asked))[pick % len(self.asked)], day)

    def text(self, **more: Any) -> dict[str, Any]:
        """Give the arguments that eCom alone has."""
        return {"transaction_text": "x", **more} if self.api == "ecom" else {}

    def carry_out(self, key: str, day: Day) -> None:
        """Carry out what stands under a key, and judge what the caller is told."""
        self.harmless.discard(key)
        name, order_id, amount = self.asked[key]
        arguments = {self.payment: order_id, "amount": amount, "idempotency_key": key, **self.text()}
        self.told(key, order_id, name, self.do(self.process(name, arguments, day)))

    @rule(order_id=st.sampled_from(ORDERS), release=st.sampled_from([False, True]), day=days)
    def cancel(self, order_id: str, *, release: bool, day: Day) -> None:
        """The merchant cancels, or releases the rest."""
        self.cancels.add(order_id)
        arguments = {self.payment: order_id, **self.text(should_release_remaining_funds=release)}
        answer = self.do(self.process("cancel", arguments, day))
        released = self.shop.sandbox.payment(order_id).moved("VOID")
        assert isinstance(answer, VippsError) or answer is None or released

    @rule(day=days, concurrency=st.integers(1, 4))
    def recover(self, day: Day, concurrency: int) -> None:
        """A recovery runs, over the same bad line, and may die."""
        self.do(self.process("recover", {"concurrency": concurrency}, day))

    @rule(day=days)
    def recover_twice_at_once(self, day: Day) -> None:
        """Two recoveries on two machines."""

        async def both() -> None:
            self.plan(day)
            sessions = [self.shop.session(), self.shop.session()]
            await asyncio.gather(*(vipps.recover(concurrency=2) for vipps in sessions))

        self.do(both())

    @rule(seconds=st.sampled_from([1.0, 60.0, 7200.0]))
    def time_passes(self, seconds: float) -> None:
        """All leases run out; held requests arrive, and details show what they did not show yet."""
        self.shop.hands.let_leases_run_out()
        self.move_clocks(timedelta(seconds=seconds))

    def move_clocks(self, step: timedelta) -> None:
        """Let time pass for the merchant and for Vipps."""
        self.shop.clock.ahead += step
        self.shop.sandbox.clock.advance(step)

    def teardown(self) -> None:
        """With the line mended, one or two recoveries settle everything, and all agree."""
        try:
            if hasattr(self, "shop"):
                self.do(self.settle_and_compare())
        finally:
            self.do(self.stack.aclose())
            self.runner.close()

    async def settle_and_compare(self) -> None:
        """Hold journal against sandbox."""
        self.shop.line.plan.clear()
        self.shop.sandbox.faults.clear()
        self.shop.hands.let_leases_run_out()
        report: RecoveryReport = await self.shop.session().recover()
        for step in (timedelta(days=2), timedelta(minutes=2)):
            # What is in doubt and was not done takes two looks beyond the horizon. What is held arrives before it.
            self.move_clocks(step)
            if not report.is_complete:
                self.shop.hands.let_leases_run_out()
                report = await self.shop.session().recover()
        assert report.is_complete, report
        entries = [entry for order_id in ORDERS for entry in await self.shop.entries(order_id)]
        outcomes = {
            (entry.intent.key, entry.intent.operation): entry.settlement.outcome
            for entry in entries
            if entry.settlement is not None
        }
        assert len(outcomes) == len(entries), "something is open after the last recovery"
        for order_id in ORDERS:
            payment = self.shop.sandbox.payment(order_id)
            assert not self.harmless & set(payment.request_ids), "something moved that was called harmless"
            for name, word in WORDS.items():
                moved = [entry.request_id for entry in payment.moved(word)]
                assert len(moved) == len(set(moved)), "something moved twice"
                done = {
                    key
                    for key, (asked, order, _) in self.asked.items()
                    if (asked, order) == (name, order_id) and outcomes.get((key, name)) is Outcome.DONE
                }
                assert done == set(moved), "the journal and Vipps do not agree"
                amount = sum(self.asked[key][2].value for key in done)
                assert amount == (payment.captured if name == "capture" else payment.refunded)
            assert len(payment.moved("VOID")) <= 1
            assert payment.released == 0 or order_id in self.cancels


MoneyMovesOnce.TestCase.settings = settings(
    max_examples=50, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True
)
TestMoneyMovesOnce = MoneyMovesOnce.TestCase


class MoneyMovesOnceOverEpayment(MoneyMovesOnce):
    """The same over ePayment, whose events have the key and whose cancels have none."""

    api, payment = "epayment", "reference"
    lookups: ClassVar = {"events": ("/events",), "get": ORDERS}
    #: Success with the sums as they were: nothing tells it from a part that was moved before.
    unpreventable: ClassVar = {VippsFault.FAILURE_STATUS_BEFORE}


MoneyMovesOnceOverEpayment.TestCase.settings = settings(MoneyMovesOnce.TestCase.settings, max_examples=25)
TestMoneyMovesOnceOverEpayment = MoneyMovesOnceOverEpayment.TestCase
