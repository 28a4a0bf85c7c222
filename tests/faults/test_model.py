"""Any sequence of asks, repeats, faults and recoveries against a plain model of one payment's money."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
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

from tests.faults.attempts import refused_in_its_own_right
from tests.faults.audit import Verdict, told_by_error
from tests.faults.horizon import SETTLE_AFTER, MovableClock, horizon_settings
from tests.faults.plan import Kind
from tests.faults.storm import PATIENT_RETRY, PATIENT_TIMEOUTS
from vipps_async import MemoryJournal, VippsError
from vipps_async.idempotency_keys import derive_idempotency_key
from vipps_async.sandbox import Fault, Faults
from vipps_async.testing import Sandbox
from vipps_async.transports.protocol import Response

pytestmark = pytest.mark.heavy

T = TypeVar("T")

#: Kinds that are left to the storm: they cost time, or happen to callbacks. And the one that no client can prevent.
_LEFT_OUT = {
    Fault.CONNECTION_REFUSED,
    Fault.STALL_BEFORE_EFFECT,
    Fault.STALL_AFTER_EFFECT,
    Fault.SLOW_DRIP,
    Fault.HTTP_429_RETRY_AFTER,
    Fault.OTHER_AMOUNT_MOVED,
}


def _fitting(operation: str) -> list[Fault]:
    found = []
    for fault in Fault:
        with contextlib.suppress(ValueError):
            Faults().script(operation, fault)
            found.append(fault)
    return [fault for fault in found if fault not in _LEFT_OUT]


#: What fits captures fits refunds and cancels, too.
_FAULTS, _FAULTS_OF_DETAILS = _fitting("capture"), _fitting("details")
_Faults = tuple[Fault | None, ...]
#: What happens to the attempts of one call, one after the other: nothing, now and then something, or the same until no
#: attempt is left.
_ANY = st.sampled_from(_FAULTS)
_TROUBLE = (
    st.just(()) | st.lists(st.none() | _ANY, min_size=1, max_size=3).map(tuple) | _ANY.map(lambda one: (one,) * 4)
)
#: The same for the questions that follow.
_DOUBT = st.just(()) | st.sampled_from(_FAULTS_OF_DETAILS).map(lambda one: (one,) * 4)
#: Refusals that are none of JSON.
_DRESSED = {fault.value for fault in Fault if fault.value.startswith("REFUSAL")}
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
    #: The sums before the last ask took effect.
    before: tuple[int, int, int] = (0, 0, 0)
    #: Transaction text → ask.
    known: dict[str, _Ask] = field(factory=dict)

    @property
    def left(self) -> int:
        """What can still be captured."""
        return self.amount - self.captured - self.released

    def take(self, ask: _Ask) -> bool:
        """Let an ask take effect; False if it cannot."""
        self.before = (self.captured, self.refunded, self.released)
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

    def give_back(self, ask: _Ask) -> None:
        """Undo what `take` did last."""
        self.captured, self.refunded, self.released = self.before
        ask.moved = False


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
        self.sandbox = Sandbox(rate_limits=False, keep_requests=10_000, keep_callbacks=0)
        self.sandbox.faults.stall_seconds = 0.01
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
        order.known[ask.text] = ask
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
                self._move_clocks(seconds)
                report = self.run(self.vipps.recover())
        assert report.left_open == []
        assert report.leased_elsewhere == 0
        for order in self.known:
            self._notice(order)
            for ask in order.pending:
                assert ask.moved or not order.take(ask) or self._was_refused(ask), f"{ask} could have been done"
            order.pending.clear()

    @rule(seconds=st.sampled_from([1.0, 60.0, 7200.0]))
    def time_passes(self, seconds: float) -> None:
        """Held requests arrive, and what details did not show yet they show."""
        self._move_clocks(seconds)

    def _move_clocks(self, seconds: float) -> None:
        self.sandbox.clock.advance(seconds)
        self.clock.move(seconds)

    def _perform(self, ask: _Ask) -> None:
        verdict = self.run(self._told(ask))
        order = ask.order
        before = ask.moved
        self._notice(order, ask)
        moved = ask.moved
        ends = ask.kind in {Kind.CANCEL, Kind.RELEASE}
        if moved and not before:
            assert verdict in {Verdict.DONE, Verdict.UNKNOWN}, ask
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

    def _notice(self, order: _Order, current: _Ask | None = None) -> None:
        """Let the model take what moved since, in its order: only what may move, and was possible then."""
        for entry in self.sandbox.payment(order.order_id).history:
            ask = order.known.get(entry.text)
            if ask is None or not entry.success or ask.moved:
                continue
            assert ask is current or ask in order.pending, f"{ask} moved though nobody was told that it may"
            assert order.take(ask), ask

    def _was_refused(self, ask: _Ask) -> bool:
        """Whether an attempt was refused or failed: what nobody asks for again is not sent again then.

        The model has taken it by now, and gives it back.
        """
        order_id, text = ask.order.order_id, f'"{ask.text}"'.encode()
        refused = any(
            text in record.body
            and f"/{order_id}/" in record.path
            and (
                record.fault in _DRESSED or refused_in_its_own_right(Response(status=record.status, body=record.answer))
            )
            for record in self.sandbox.requests
            if record.status is not None
        )
        failed = any(not entry.success and entry.text == ask.text for entry in self.sandbox.payment(order_id).history)
        ask.order.give_back(ask)
        return refused or failed

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

    @invariant()
    def money_is_where_the_model_says(self) -> None:
        """The sandbox has captured, refunded and released what the model says, to the øre."""
        for order in getattr(self, "known", ()):
            self._notice(order)
            history = self.sandbox.payment(order.order_id).history
            texts = Counter(entry.text for entry in history if entry.success and entry.text in order.known)
            assert set(texts.values()) <= {1}, f"moved more than once: {texts}"
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
