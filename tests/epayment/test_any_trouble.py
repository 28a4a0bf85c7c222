"""Whatever goes wrong, in whatever order: each operation moves money once at most, and its outcome is told truly."""

from __future__ import annotations

import asyncio
from typing import Any

from attrs import define, field
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.core.fake_clock import FakeClock
from tests.epayment.service import EpaymentService, Fault, problem
from tests.epayment.sessions import ORDER, opened
from vipps_async import Effect, MemoryJournal, Outcome, VippsError, VippsSession, nok

#: What a request can meet. An answer of success that lies is told by the sums only where nothing was moved before it.
TROUBLE: list[Any] = [
    *(fault for fault in Fault if fault is not Fault.LIE),
    None,
    problem(423, "6160"),
    problem(503),
    problem(400, "6090"),
    problem(400, "9999"),
    problem(409),
]


@define(kw_only=True)
class Operation:
    """One capture or refund, and what its requests meet."""

    verb: str
    amount: int
    troubles: list[Any]
    #: How many of the last events cannot be read meanwhile.
    lag: int
    #: Whether it has a key of its own.
    is_given: bool
    error: VippsError | None = field(default=None, init=False)
    result: Any = field(default=None, init=False)

    async def utter(self, vipps: VippsSession, service: EpaymentService, number: int) -> None:
        """Ask for it once."""
        service.faults = [each for each in self.troubles if each is not None]
        service.lag = self.lag
        given = {"idempotency_key": f"operation-{number}"} if self.is_given else {}
        try:
            self.result = await getattr(vipps.epayment, self.verb)(ORDER, amount=nok(self.amount), **given)
        except VippsError as error:
            self.error = error
        service.faults = []


WISHES = st.lists(
    st.builds(
        Operation,
        verb=st.sampled_from(["capture", "refund"]),
        amount=st.integers(1, 300),
        troubles=st.lists(st.sampled_from(TROUBLE), max_size=4),
        lag=st.integers(0, 2),
        is_given=st.booleans(),
    ),
    min_size=1,
    max_size=4,
)


async def _settled(vipps: VippsSession, clock: FakeClock) -> None:
    """Recover until nothing is open, beyond the horizon if need be."""
    report = await vipps.recover()
    for _ in range(5):
        assert not report.moved_otherwise
        assert not report.overruled
        if not report.stays_open:
            return
        clock.advance(86_401 if report.left_open[0].decidable_at is None else 86_401 + 61)
        report = await vipps.recover()
    raise AssertionError(report.left_open)


async def _live(operations: list[Operation], attempts: int) -> None:
    service, journal, clock = EpaymentService(), MemoryJournal(), FakeClock()
    service.authorized(ORDER, 49900)
    async with opened(service, journal, attempts=attempts, clock=clock) as vipps:
        for number, operation in enumerate(operations):
            await operation.utter(vipps, service, number)
        service.lag = 0
        # What is on its way arrives before anybody decides that it cannot any more.
        service.deliver()
        await _settled(vipps, clock)
        entries = await journal.find(payment=ORDER, merchant_serial_number="123456")
    moved: dict[tuple[str, str], int] = {}
    for event in service.events[ORDER]:
        if event["success"] and event["name"] in {"CAPTURED", "REFUNDED"}:
            identity = ({"CAPTURED": "capture", "REFUNDED": "refund"}[event["name"]], event["idempotencyKey"])
            assert identity not in moved, "money moved twice"
            moved[identity] = event["amount"]["value"]
    for entry in entries:
        identity = (entry.intent.operation, entry.intent.key)
        assert entry.settlement is not None
        assert (entry.settlement.outcome is Outcome.DONE) is (identity in moved)
        assert moved.get(identity, entry.intent.amount) == entry.intent.amount
    assert set(moved) <= {(entry.intent.operation, entry.intent.key) for entry in entries}
    for operation in operations:
        if operation.result is not None:
            assert operation.result.amount == nok(operation.amount)
        elif operation.error is not None and operation.error.effect is Effect.NONE and operation.error.idempotency_key:
            assert (operation.verb, operation.error.idempotency_key) not in moved, "it said that no money moved"
    assert sum(value for (verb, _), value in moved.items() if verb == "capture") == service.sums(ORDER)[1] <= 49900


@settings(max_examples=60)
@given(WISHES, st.integers(1, 3))
@example(
    [Operation(verb="capture", amount=50, troubles=[Fault.FAIL_SILENTLY, Fault.ARRIVE_LATE], lag=0, is_given=False)],
    2,
)
@example(
    [Operation(verb="capture", amount=50, troubles=[Fault.ARRIVE_LATE, problem(400, "6090")], lag=0, is_given=True)],
    2,
)
@example(
    [Operation(verb="capture", amount=50, troubles=[Fault.FAIL_SILENTLY, Fault.ARRIVE_LATE], lag=2, is_given=False)],
    2,
)
@example(
    [
        Operation(verb="capture", amount=50, troubles=[Fault.LOSE_ANSWER], lag=2, is_given=False),
        Operation(verb="capture", amount=50, troubles=[], lag=0, is_given=False),
    ],
    1,
)
@example(
    [
        Operation(verb="capture", amount=300, troubles=[Fault.LOSE_REQUEST], lag=0, is_given=True),
        Operation(verb="capture", amount=300, troubles=[], lag=0, is_given=True),
    ],
    1,
)
def test_money_moves_once_and_is_told_truly(operations: list[Operation], attempts: int) -> None:
    """With a journal and recovery everything is settled in the end, as the events have it."""
    asyncio.run(_live(operations, attempts))
