"""Any mix of captures, refunds, cancels, lost requests and answers, crashes and recoveries, against a plain model."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.faults.interrupt import AtSuspension
from tests.faults.shop import ONE_TRY, TWO_TRIES, Fault, Shop, open_shop
from vipps_async import Effect, JournalError, OrderLockedError, VippsError, nok
from vipps_async.core.recovery import RecoveryReport
from vipps_async.journals.memory import MemoryJournal
from vipps_async.journals.protocol import Entry, Intent, Outcome, Settlement, Standing

ORDERS = ("order-1", "order-2")
AMOUNTS = (nok(100), nok(200), nok(300))
WORDS = {"capture": "CAPTURE", "refund": "REFUND"}


class Mortal(MemoryJournal):
    """A journal as one process sees it: once that process is dead, nothing it does reaches the store."""

    def __init__(self, store: MemoryJournal) -> None:
        super().__init__()
        self.store = store
        self.is_dead = False

    def _do(self, work: Any) -> Any:
        if self.is_dead:
            raise JournalError("this process is dead")
        return self.store._do(work)

    async def open_entries(self, *, merchant_serial_number: str | None = None) -> Any:
        async for entry in self.store.open_entries(merchant_serial_number=merchant_serial_number):
            yield entry

    async def begin(self, intent: Intent, *, owner: str, lease: float) -> tuple[Standing, Entry]:
        # A real store suspends before and after the commit: a process can die at either.
        await asyncio.sleep(0)
        answer = await super().begin(intent, owner=owner, lease=lease)
        await asyncio.sleep(0)
        return answer

    async def settle(self, intent: Intent, settlement: Settlement, *, owner: str | None = None) -> None:
        await asyncio.sleep(0)
        await super().settle(intent, settlement, owner=owner)


faults = st.lists(st.sampled_from([None, None, *(fault for fault in Fault if fault is not Fault.BUG)]), max_size=3)


class MoneyMovesOnce(RuleBasedStateMachine):
    """The merchant asks; the line and the processes fail; in the end journal and sandbox must agree to the øre."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.shop: Shop
        #: What the merchant asked for: key → operation, order, amount.
        self.asked: dict[str, tuple[str, str, int]] = {}
        self.cancels: set[str] = set()

    def do(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run something on the machine's own loop."""
        return self.runner.run(coroutine)

    @initialize()
    def open(self) -> None:
        """Two orders over 500 kr, reserved."""

        async def opened() -> None:
            self.shop = await self.stack.enter_async_context(open_shop())
            for order_id in ORDERS:
                await self.shop.reserve(order_id)

        self.do(opened())

    def store(self) -> MemoryJournal:
        """Return the one store that outlives all processes."""
        assert isinstance(self.shop.journal, MemoryJournal)
        return self.shop.journal

    async def process(self, work: str, arguments: dict[str, Any], *, dies_at: int, tries: int) -> Any:
        """Do something in a process of its own that may die at a suspension; return what its caller was told."""
        mortal = Mortal(self.store())
        vipps = self.shop.session(journal=mortal, retry=TWO_TRIES if tries == 2 else ONE_TRY)
        await mortal.open()
        task = asyncio.current_task()
        assert task is not None
        method = vipps.recover if work == "recover" else getattr(vipps.ecom, work)

        def die() -> None:
            mortal.is_dead = True
            task.cancel()

        try:
            return await AtSuspension(method(**arguments), dies_at, die)
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
            assert not (moved and answer.effect is Effect.NONE), f"told {answer!r}, but it moved"
        elif answer is not None:
            assert moved, f"told {answer!r}, but nothing moved"

    def plan(self, sends: Sequence[Fault | None], asks: Sequence[Fault | None]) -> None:
        """Let the next requests fail so; None lets one through."""
        self.shop.line.plan.clear()
        for ending, planned in (("/capture", sends), ("/refund", sends), ("/cancel", sends), ("/details", asks)):
            self.shop.line.fail(ending, *planned)  # type: ignore[arg-type]  # None is "no fault"

    @rule(
        name=st.sampled_from(["capture", "refund"]),
        order_id=st.sampled_from(ORDERS),
        amount=st.sampled_from(AMOUNTS),
        sends=faults,
        asks=faults,
        dies_at=st.integers(0, 25),
        tries=st.integers(1, 2),
    )
    def ask(
        self,
        name: str,
        order_id: str,
        amount: int,
        sends: list[Fault | None],
        asks: list[Fault | None],
        dies_at: int,
        tries: int,
    ) -> None:
        """The merchant asks for a new capture or refund."""
        key = f"key-{len(self.asked)}"
        self.asked[key] = (name, order_id, amount)
        self.repeat_key(key, sends, asks, dies_at, tries)

    @rule(pick=st.integers(0, 100), sends=faults, asks=faults, dies_at=st.integers(0, 25), tries=st.integers(1, 2))
    def repeat(self, pick: int, sends: list[Fault | None], asks: list[Fault | None], dies_at: int, tries: int) -> None:
        """The merchant asks for the same again, with the same key."""
        if self.asked:
            self.repeat_key(list(self.asked)[pick % len(self.asked)], sends, asks, dies_at, tries)

    def repeat_key(
        self, key: str, sends: list[Fault | None], asks: list[Fault | None], dies_at: int, tries: int
    ) -> None:
        """Carry out what stands under a key."""
        name, order_id, amount = self.asked[key]
        self.plan(sends, asks)
        arguments = {"order_id": order_id, "amount": amount, "transaction_text": "x", "idempotency_key": key}
        self.told(key, order_id, name, self.do(self.process(name, arguments, dies_at=dies_at, tries=tries)))

    @rule(order_id=st.sampled_from(ORDERS), rest=st.booleans(), sends=faults, asks=faults, dies_at=st.integers(0, 25))
    def cancel(
        self,
        order_id: str,
        rest: bool,
        sends: list[Fault | None],
        asks: list[Fault | None],
        dies_at: int,  # noqa: FBT001 - Hypothesis passes by name
    ) -> None:
        """The merchant cancels, or releases the rest."""
        self.plan(sends, asks)
        self.cancels.add(order_id)
        arguments = {"order_id": order_id, "transaction_text": "x", "should_release_remaining_funds": rest}
        answer = self.do(self.process("cancel", arguments, dies_at=dies_at, tries=1))
        released = self.shop.sandbox.payment(order_id).moved("VOID")
        assert isinstance(answer, VippsError) or answer is None or released

    @rule(sends=faults, asks=faults, dies_at=st.integers(0, 60), concurrency=st.integers(1, 4))
    def recover(self, sends: list[Fault | None], asks: list[Fault | None], dies_at: int, concurrency: int) -> None:
        """A recovery runs, over the same bad line, and may die."""
        self.plan(sends, asks)
        self.do(self.process("recover", {"concurrency": concurrency}, dies_at=dies_at, tries=1))

    @rule(sends=faults, asks=faults)
    def recover_twice_at_once(self, sends: list[Fault | None], asks: list[Fault | None]) -> None:
        """Two recoveries on two machines."""
        self.plan(sends, asks)

        async def both() -> None:
            sessions = [self.shop.session(), self.shop.session()]
            await asyncio.gather(*(vipps.recover(concurrency=2) for vipps in sessions))

        self.do(both())

    @rule()
    def time_passes(self) -> None:
        """All leases run out."""
        self.shop.hands.let_leases_run_out()

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
        self.shop.hands.let_leases_run_out()
        report: RecoveryReport = await self.shop.session().recover()
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
            for name, word in WORDS.items():
                moved = [entry.request_id for entry in payment.moved(word)]
                assert len(moved) == len(set(moved)), "something moved twice"
                done = {
                    key
                    for key, (asked, order, _) in self.asked.items()
                    if (asked, order) == (name, order_id) and outcomes.get((key, name)) is Outcome.DONE
                }
                assert done == set(moved), "the journal and Vipps do not agree"
                amount = sum(self.asked[key][2] for key in done)
                assert amount == (payment.captured if name == "capture" else payment.refunded)
            assert len(payment.moved("VOID")) <= 1
            assert payment.released == 0 or order_id in self.cancels


MoneyMovesOnce.TestCase.settings = settings(
    max_examples=60, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True
)
TestMoneyMovesOnce = MoneyMovesOnce.TestCase
