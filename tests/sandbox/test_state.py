"""Whatever happens to a payment, in whatever order: the sums hold to the øre, and no key moves money twice."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from vipps_async.sandbox.ledger.entries import Movement, State
from vipps_async.sandbox.ledger.payment import Payment
from vipps_async.sandbox.ledger.reasons import Refused

AMOUNTS = st.one_of(st.none(), st.integers(100, 6000))
KEYS = st.sampled_from(["key-1", "key-2", "key-3", "key-4"])
STEPS = st.sampled_from([timedelta(seconds=1), timedelta(minutes=4), timedelta(days=100)])


class PaymentMachine(RuleBasedStateMachine):
    """Does anything that customer, merchant and time can do, and keeps books of its own."""

    def __init__(self) -> None:
        super().__init__()
        numbers = itertools.count(1)
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.payment = Payment(
            reference="acme-1",
            sales_unit="123456",
            amount=10_000,
            text="Socks.",
            initiated_at=self.now,
            new_transaction_id=lambda: str(next(numbers)),
        )
        self.captures: dict[str, Movement] = {}
        self.refunds: dict[str, Movement] = {}
        self.payloads: dict[tuple[str, str], int | None] = {}

    def _waits(self) -> bool:
        return self.payment.state is State.INITIATE

    @rule(step=STEPS)
    def time_passes(self, step: timedelta) -> None:
        """The clock moves on, and what is due happens."""
        self.now += step
        self.payment.settle(self.now)

    @precondition(_waits)
    @rule(yes=st.booleans(), shipping=st.sampled_from([0, 4_950]))
    def customer_answers(self, yes: bool, shipping: int) -> None:  # noqa: FBT001 - Hypothesis passes by keyword
        """The customer accepts, with shipping or without, or declines."""
        if yes:
            self.payment.approve(self.now, shipping_cost=shipping)
        else:
            self.payment.decline(self.now)

    @rule(key=KEYS, amount=AMOUNTS)
    def capture(self, key: str, amount: int | None) -> None:
        """The merchant captures; the same key may come again."""
        self._move("capture", key, amount, self.captures)

    @rule(key=KEYS, amount=AMOUNTS)
    def refund(self, key: str, amount: int | None) -> None:
        """The merchant refunds; the same key may come again."""
        self._move("refund", key, amount, self.refunds)

    def _move(self, operation: str, key: str, amount: int | None, done: dict[str, Movement]) -> None:
        name = operation.upper()
        before = self.payment.snapshot()
        same_payload = self.payloads.setdefault((operation, key), amount) == amount
        try:
            movement = self.payment.move(name, amount, key=key, fingerprint=str(amount), text="text", now=self.now)
        except Refused:
            after = self.payment.snapshot()
            assert (after.captured, after.refunded, after.released) == (
                before.captured,
                before.refunded,
                before.released,
            )
            assert not (key in done and same_payload), "a done operation must be answered again"
            return
        assert same_payload, "another payload must be refused"
        if key in done:
            assert movement is done[key]
            assert self.payment.snapshot() == before
        done[key] = movement

    @rule(release=st.booleans())
    def cancel(self, release: bool) -> None:  # noqa: FBT001 - Hypothesis passes by keyword
        """The merchant cancels."""
        before = self.payment.snapshot()
        try:
            self.payment.cancel(release_remaining=release, text="text", now=self.now)
        except Refused:
            assert self.payment.sums.released == before.released
        else:
            assert self.payment.sums.remaining_to_capture == 0
            assert self.payment.state in {State.CANCEL, State.VOID}

    @invariant()
    def sums_hold(self) -> None:
        """Never more captured than reserved, never more refunded than captured, nothing from nowhere."""
        payment, sums = self.payment, self.payment.sums
        assert 0 <= sums.refunded <= sums.captured <= sums.reserved <= payment.amount + payment.shipping_cost
        assert sums.captured + sums.released <= sums.reserved
        assert sums.remaining_to_capture >= 0
        assert (sums.reserved > 0) == (payment.reserved_at is not None)

    @invariant()
    def history_tells_all(self) -> None:
        """The successful lines of the history add up to what moved, and so do the answers, each key once."""
        moved = self.payment.snapshot()
        assert sum(entry.amount for entry in moved.moved("CAPTURE")) == moved.captured
        assert sum(entry.amount for entry in moved.moved("REFUND")) == moved.refunded
        assert sum(entry.amount for entry in moved.moved("VOID")) == moved.released
        assert sum(movement.entry.amount for movement in self.captures.values()) == moved.captured
        assert sum(movement.entry.amount for movement in self.refunds.values()) == moved.refunded
        assert len({entry.request_id for entry in moved.moved("CAPTURE")}) == len(moved.moved("CAPTURE"))


TestPayment = PaymentMachine.TestCase
# A busy machine is slow, not wrong.
TestPayment.settings = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
