"""Any sequence of asks, repeats, faults and recoveries against a plain model of one payment's money."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

import pytest
from attrs import define, field
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.faults.audit import Verdict, told_by_error
from tests.faults.horizon import SETTLE_AFTER, MovableClock, horizon_settings
from tests.faults.plan import Kind
from tests.faults.sandbox_process import NEW_KINDS
from tests.faults.storm import PATIENT_RETRY, PATIENT_TIMEOUTS
from vipps_async import VippsError
from vipps_async.idempotency_keys import derive_idempotency_key
from vipps_async.journals import MemoryJournal
from vipps_async.sandbox.faults import Fault
from vipps_async.testing import Sandbox

pytestmark = pytest.mark.heavy

T = TypeVar("T")

#: What is scripted: every kind that costs no time. Those that stall are left to the storm, and so are those with which
#: Vipps contradicts itself, lags or delivers late: the model does not know them yet.
_FAULTS = [
    fault
    for fault in Fault
    if fault.value not in NEW_KINDS
    and fault
    not in {
        Fault.CONNECTION_REFUSED,
        Fault.STALL_BEFORE_EFFECT,
        Fault.STALL_AFTER_EFFECT,
        Fault.SLOW_DRIP,
        Fault.HTTP_429_RETRY_AFTER,
        Fault.CALLBACK_TWICE,
        Fault.CALLBACK_LOST,
        Fault.OTHER_AMOUNT_MOVED,
    }
]
_FAULTS_OF_DETAILS = [fault for fault in _FAULTS if fault is not Fault.LOCKED_94]
_Faults = tuple[Fault | None, ...]
#: What happens to the attempts of one call, one after the other: nothing, now and then something, or the same until no
#: attempt is left.
_ANY = st.sampled_from(_FAULTS)
_TROUBLE = (
    st.just(()) | st.lists(st.none() | _ANY, min_size=1, max_size=3).map(tuple) | _ANY.map(lambda one: (one,) * 4)
)
#: The same for the question that follows.
_DOUBT = st.just(()) | st.sampled_from(_FAULTS_OF_DETAILS).map(lambda one: (one,) * 4)
#: Øre.
_AMOUNTS = st.sampled_from([100, 400, 1_000, 2_500]) | st.none()


@define(eq=False)
class _Order:
    """What a payment's sums must be, in øre. The whole of the vendor's rules that matter to money."""

    order_id: str
    amount: int
    captured: int = 0
    refunded: int = 0
    released: int = 0
    #: How often it has been asked for something.
    asks: int = 0
    #: Asks whose outcome is not known, oldest first.
    pending: list[_Ask] = field(factory=list)

    @property
    def left(self) -> int:
        """What can still be captured."""
        return self.amount - self.captured - self.released

    def take(self, ask: _Ask) -> bool:
        """Let an ask take effect; False if it cannot."""
        if ask.kind is Kind.CAPTURE:
            wanted = self.left if ask.amount is None else ask.amount
            if self.released or not 0 < wanted <= self.left:
                return False
            self.captured += wanted
        elif ask.kind is Kind.REFUND:
            wanted = self.captured - self.refunded if ask.amount is None else ask.amount
            if not 0 < wanted <= self.captured - self.refunded:
                return False
            self.refunded += wanted
        else:
            if self.released or not self.left or (self.captured and ask.kind is Kind.CANCEL):
                return False
            self.released = self.left
        ask.moved = True
        return True


@define(eq=False)
class _Ask:
    """One thing that is wanted once."""

    order: _Order
    number: int
    kind: Kind
    amount: int | None
    moved: bool = False
    refused: bool = False

    @property
    def text(self) -> str:
        """Its transaction text."""
        return f"{self.kind.value} {self.number}"


class Merchant(RuleBasedStateMachine):
    """A merchant with a journal, a sandbox, and a model of what each payment must look like."""

    orders = Bundle("orders")
    asks = Bundle("asks")

    @initialize()
    def open(self) -> None:
        """Open everything."""
        self.runner = asyncio.Runner()
        self.stack = contextlib.AsyncExitStack()
        self.sandbox = Sandbox(rate_limits=False, keep_requests=0, keep_callbacks=0)
        self.known: list[_Order] = []
        self.run(self._open())

    async def _open(self) -> None:
        await self.stack.enter_async_context(self.sandbox)
        self.clock = MovableClock()
        session = self.sandbox.session(
            journal=MemoryJournal(), retry=PATIENT_RETRY, timeouts=PATIENT_TIMEOUTS, **horizon_settings(self.clock)
        )
        self.vipps = await self.stack.enter_async_context(session)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run to the end on the loop of this machine."""
        return self.runner.run(work)

    def teardown(self) -> None:
        """Settle what is open, compare a last time, and close everything."""
        if hasattr(self, "runner"):
            try:
                self.recover()
                self.money_is_where_the_model_says()
            finally:
                self.run(self.stack.aclose())
                self.runner.close()

    @rule(target=orders, amount=st.sampled_from([2_500, 20_000]))
    def initiate_and_approve(self, amount: int) -> _Order:
        """Begin a payment that the customer approves."""
        order = _Order(f"model-{len(self.known) + 1}", amount)
        self.known.append(order)
        self.run(self._begin(order))
        return order

    async def _begin(self, order: _Order) -> None:
        await self.vipps.ecom.initiate(
            order_id=order.order_id,
            amount=order.amount,
            transaction_text="An order.",
            callback_prefix="http://127.0.0.1:9/callbacks",
            fall_back="http://127.0.0.1:9/back",
        )
        await self.sandbox.approve(order.order_id)

    @rule(
        target=asks,
        order=orders,
        wanted=st.lists(
            st.tuples(st.sampled_from([Kind.CAPTURE, Kind.CAPTURE, Kind.REFUND]), _AMOUNTS, _TROUBLE, _DOUBT),
            min_size=2,
            max_size=4,
        ),
    )
    def ask_for_money(self, order: _Order, wanted: list[tuple[Kind, int | None, _Faults, _Faults]]) -> Any:
        """Capture and refund parts, or all that remains, while requests and questions fail."""
        return multiple(*(self._ask_in_trouble(order, *one) for one in wanted))

    def _ask_in_trouble(self, order: _Order, kind: Kind, amount: int | None, trouble: _Faults, doubt: _Faults) -> _Ask:
        faults = self.sandbox.faults
        faults.clear()
        faults.script(kind.operation, *trouble, order_id=order.order_id)
        faults.script("details", *doubt, order_id=order.order_id)
        return self._new(order, kind, amount)

    @rule(order=orders, kind=st.sampled_from([Kind.CANCEL, Kind.RELEASE]), trouble=_TROUBLE)
    def end(self, order: _Order, kind: Kind, trouble: tuple[Fault | None, ...]) -> None:
        """Cancel, or release what is left."""
        self.sandbox.faults.script("cancel", *trouble, order_id=order.order_id)
        # Two cancels cannot be told apart at Vipps: one of unknown outcome is settled before the next.
        if not any(ask.kind in {Kind.CANCEL, Kind.RELEASE} for ask in order.pending):
            self._new(order, kind, None)

    def _new(self, order: _Order, kind: Kind, amount: int | None) -> _Ask:
        order.asks += 1
        ask = _Ask(order, order.asks, kind, amount)
        self._perform(ask)
        return ask

    @rule(target=asks, ask=consumes(asks), times=st.integers(1, 2))
    def repeat_with_the_same_key(self, ask: _Ask, times: int) -> Any:
        """Come back with the same ask and the same key."""
        for _ in range(times):
            self._perform(ask)
        return multiple(ask)

    @rule()
    def let_it_be_calm(self) -> None:
        """Forget what was still to fail."""
        self.sandbox.faults.clear()

    @precondition(lambda self: any(order.pending for order in self.known))
    @rule()
    def recover(self) -> None:
        """Settle everything: what could be done is done now, once; what could not is refused."""
        self.sandbox.faults.clear()
        report = self.run(self.vipps.recover())
        for seconds in (SETTLE_AFTER, 90.0):
            if report.left_open:
                # What is in doubt and was not done takes two looks beyond the horizon.
                self.clock.move(seconds)
                report = self.run(self.vipps.recover())
        assert report.left_open == []
        assert report.in_other_hands == 0
        for order in self.known:
            for ask in order.pending:
                assert ask.moved or self._has_moved(ask) == order.take(ask), ask
            order.pending.clear()

    def _perform(self, ask: _Ask) -> None:
        verdict = self.run(self._told(ask))
        order = ask.order
        moved = self._has_moved(ask)
        ends = ask.kind in {Kind.CANCEL, Kind.RELEASE}
        if moved and not ask.moved:
            # It happened now, or just then: it must have been possible.
            assert verdict in {Verdict.DONE, Verdict.UNKNOWN}, ask
            assert order.take(ask), ask
        if verdict is Verdict.DONE:
            # A cancel that finds everything ended has what it wants.
            assert moved or (ends and order.released), ask
        elif verdict is Verdict.REFUSED:
            assert not moved, ask
            assert ask.refused or not order.take(ask), f"{ask} was refused and should not have been"
            ask.refused = True
        elif verdict is Verdict.NO_EFFECT:
            assert not moved, ask
        if verdict is Verdict.UNKNOWN and ask not in order.pending:
            order.pending.append(ask)
        elif verdict is not Verdict.UNKNOWN and ask in order.pending:
            order.pending.remove(ask)

    async def _told(self, ask: _Ask) -> Verdict:
        order, ecom = ask.order, self.vipps.ecom
        call: Callable[..., Coroutine[Any, Any, Any]]
        if ask.kind in {Kind.CANCEL, Kind.RELEASE}:
            call = partial(ecom.cancel, should_release_remaining_funds=ask.kind is Kind.RELEASE)
        else:
            key = derive_idempotency_key("model", order.order_id, ask.number)
            method: Callable[..., Coroutine[Any, Any, Any]] = ecom.refund
            if ask.kind is Kind.CAPTURE:
                method = ecom.capture
            more = {} if ask.amount is None else {"amount": ask.amount}
            call = partial(method, idempotency_key=key, **more)
        try:
            await call(order.order_id, transaction_text=ask.text)
        except VippsError as error:
            return told_by_error(error).verdict
        return Verdict.DONE

    def _has_moved(self, ask: _Ask) -> bool:
        history = self.sandbox.payment(ask.order.order_id).history
        entries = [entry for entry in history if entry.success and entry.text == ask.text]
        assert len(entries) <= 1, f"{ask} moved {len(entries)} times"
        return bool(entries)

    @invariant()
    def money_is_where_the_model_says(self) -> None:
        """The sandbox has captured, refunded and released what the model says, to the øre."""
        for order in getattr(self, "known", ()):
            paid = self.sandbox.payment(order.order_id)
            assert (paid.captured, paid.refunded, paid.released) == (order.captured, order.refunded, order.released)


def test_a_payment_is_as_the_model_whatever_happens() -> None:
    """Sums agree after every step; what was done, refused or unknown was rightly called so; recovery leaves nothing."""
    run_state_machine_as_test(
        Merchant,
        settings=settings(
            max_examples=30,
            stateful_step_count=15,
            deadline=None,
            derandomize=True,
            # Each example opens sockets: to shrink a failure would take many minutes.
            phases=[Phase.generate],
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
