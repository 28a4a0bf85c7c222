"""What follows each failure, enumerated: every sequence of failures up to five, for every way of repeating."""

from __future__ import annotations

import random
from typing import Any

import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from tests.core.samples import ORDER, TOKEN, operation
from tests.support.rows import each_row
from vipps_async.config import RetryPolicy
from vipps_async.core.attempts import AttemptRecord, FailedAttempt
from vipps_async.core.dialect import FailureKind
from vipps_async.core.operation import Evidence, Inconclusive, NotApplied, Repeat
from vipps_async.core.rate_limit import PerPaymentRateLimiter
from vipps_async.core.retry import Ask, Refresh, RetryAction, RetryBudget, RetryState, Send, Stop, time_to_send
from vipps_async.errors import ApiError

START = 1000.0


@define
class PlayedCall:
    """One call played through: what the pipeline would do, without any I/O."""

    repeat: Repeat
    can_ask: bool = True
    policy: RetryPolicy = field(factory=RetryPolicy)
    per_minute: int | None = 5
    is_row: bool = False
    budget: RetryBudget = field(init=False)
    limiter: PerPaymentRateLimiter = field(factory=PerPaymentRateLimiter)
    state: RetryState = field(init=False)
    now: float = START
    steps: list[RetryAction] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.budget = RetryBudget(self.policy)
        self.state = RetryState(
            operation(self.repeat, "op", per_minute=self.per_minute),
            ORDER,
            policy=self.policy,
            budget=self.budget,
            limiter=self.limiter,
            random=random.Random(3),
            started=START,
            can_ask=self.can_ask,
            record=AttemptRecord(),
            is_row=self.is_row,
        )

    def send(self, seconds: float = 0.1) -> None:
        """Make an attempt that takes so long."""
        self.limiter.note("ecom.op", ORDER, 5, self.now)
        self.now += seconds

    def fail(self, failure: FailureKind, retry_after: float | None = None) -> RetryAction:
        """Say how the attempt failed."""
        failed = FailedAttempt(failure, ApiError("it failed", status=503, retry_after=retry_after), TOKEN)
        return self.step(self.state.after_failure(self.state.record.failed(failed), self.now))

    def step(self, step: RetryAction) -> RetryAction:
        """Keep the step and let its pause pass."""
        self.steps.append(step)
        if isinstance(step, Send):
            self.now += step.pause
        return step


def play(call: PlayedCall, failures: tuple[FailureKind, ...], *, absent: bool) -> RetryAction:
    """Play failures one after the other, as far as the call goes on; every question answers `absent` or nothing."""
    step: RetryAction = Stop("")
    for failure in failures:
        call.send()
        step = call.fail(failure)
        if isinstance(step, Ask):
            if not (step.then_send and absent):
                return step
            step = call.step(call.state.after_looking(NotApplied("absent"), call.now))
            assert not isinstance(step, Ask), "asked twice without an attempt in between"
        if isinstance(step, Stop):
            return step
    return step


@each_row("absent", [True, False])
@each_row("can_ask", [True, False])
@each_row("repeat", Repeat)
def test_every_sequence_of_failures(repeat: Repeat, can_ask: bool, absent: bool) -> None:  # noqa: FBT001 - cases
    """No sequence breaks a rule about money, attempts, time or budget."""
    stories: list[tuple[FailureKind, ...]] = [(failure,) for failure in FailureKind]
    # Breadth first; a story that has ended is not told further, since nothing can follow it.
    for failures in stories:
        call = PlayedCall(repeat, can_ask)
        last = play(call, failures, absent=absent)
        if isinstance(last, Send | Refresh) and len(failures) < 5:
            stories.extend((*failures, failure) for failure in FailureKind)
        made = failures[: call.state.record.begun]
        sends = [step for step in call.steps if isinstance(step, Send | Refresh)]
        assert call.state.record.begun <= 4
        assert sum(isinstance(step, Refresh) for step in call.steps) <= 1
        assert len(sends) + 1 >= call.state.record.begun
        assert call.now <= call.state.last_send
        assert call.budget.tokens >= 0
        if repeat in {Repeat.CONFIRM, Repeat.ONCE}:
            assert not _sent_again_in_doubt(call, made), failures
        assert (call.state.record.in_doubt > 0) is any(failure.doubtful for failure in made)
        if not can_ask:
            assert not any(isinstance(step, Ask) for step in call.steps)


def _sent_again_in_doubt(call: PlayedCall, failures: tuple[FailureKind, ...]) -> bool:
    """Tell whether an attempt directly followed a doubtful one, without a question in between."""
    steps = iter(call.steps)
    for failure in failures:
        step = next(steps, None)
        if failure.doubtful and isinstance(step, Send | Refresh):
            return True
        if isinstance(step, Ask):
            next(steps, None)
    return False


def test_four_attempts_are_the_most() -> None:
    """The fourth failure ends the call and says that the attempts are used up."""
    call = PlayedCall(Repeat.SAFE, can_ask=False)
    assert play(call, (FailureKind.UNKNOWN,) * 5, absent=True) == Stop("all 4 attempts are used up")
    assert call.state.record.begun == 4


def test_a_single_attempt_may_still_refresh_its_token() -> None:
    """A policy of one attempt allows the one repetition that a stale token needs, and no other."""
    call = PlayedCall(Repeat.KEYED, policy=RetryPolicy(attempts=1))
    call.send()
    assert isinstance(call.fail(FailureKind.UNAUTHORIZED), Refresh)
    call.send()
    assert isinstance(call.fail(FailureKind.UNAUTHORIZED), Stop)
    other = PlayedCall(Repeat.KEYED, policy=RetryPolicy(attempts=1))
    other.send()
    assert isinstance(other.fail(FailureKind.NOT_SENT), Stop)


def test_retry_after_is_honoured() -> None:
    """The pause is at least what Vipps asks for."""
    call = PlayedCall(Repeat.KEYED)
    call.send()
    assert call.fail(FailureKind.THROTTLED, retry_after=17.0) == Send(17.0)


def test_a_retry_after_beyond_the_deadline_stops() -> None:
    """If Vipps asks for more time than the call has, the call ends at once, says so, and pays nothing for it."""
    call = PlayedCall(Repeat.KEYED)
    call.send()
    assert call.fail(FailureKind.THROTTLED, retry_after=61.0) == Stop(
        "Vipps asks to wait 61 s, longer than this call may take"
    )
    assert call.budget.tokens == 500


def test_the_orders_limit_is_waited_for() -> None:
    """With two a minute, the third attempt waits for its turn or, if that takes too long, is not made."""
    call = PlayedCall(Repeat.KEYED, per_minute=2, policy=RetryPolicy(deadline=100.0))
    call.send()
    call.fail(FailureKind.NOT_SENT)
    call.send()
    step = call.fail(FailureKind.NOT_SENT)
    assert isinstance(step, Send)
    assert call.now >= START + 60.0
    hasty = PlayedCall(Repeat.KEYED, per_minute=1)
    hasty.send()
    stop = hasty.fail(FailureKind.NOT_SENT)
    assert stop == Stop("Vipps' limit for this payment leaves no further attempt within this call's deadline")


def test_a_refused_token_is_no_reason_to_go_beyond_the_limit() -> None:
    """If the order's limit is used up, the attempt with the next token waits for its turn, or is not made."""
    call = PlayedCall(Repeat.KEYED, per_minute=1, policy=RetryPolicy(deadline=90.0))
    call.send(seconds=10.0)
    assert call.fail(FailureKind.UNAUTHORIZED) == Refresh(50.0)
    hasty = PlayedCall(Repeat.KEYED, per_minute=1)
    hasty.send()
    assert isinstance(hasty.fail(FailureKind.UNAUTHORIZED), Stop)


def test_the_deadline_ends_it() -> None:
    """When the time is over nothing is sent any more."""
    call = PlayedCall(Repeat.KEYED)
    call.send(seconds=54.96)
    assert call.fail(FailureKind.NOT_SENT) == Stop("the deadline of 60 s leaves no time for another attempt")
    late = PlayedCall(Repeat.KEYED)
    late.send(seconds=54.96)
    assert isinstance(late.fail(FailureKind.UNAUTHORIZED), Stop)


def test_a_drained_budget_ends_it() -> None:
    """Without budget there is no retry, and no second look at the history."""
    call = PlayedCall(Repeat.KEYED, policy=RetryPolicy(budget=13))
    call.send()
    assert call.fail(FailureKind.NOT_SENT) == Stop("the session's retry budget is drained: too much has failed of late")
    doubtful = PlayedCall(Repeat.KEYED, policy=RetryPolicy(budget=13))
    doubtful.send()
    assert isinstance(doubtful.fail(FailureKind.UNKNOWN), Stop)
    assert doubtful.state.pause_before_look(1, doubtful.now) is None


def test_looks_at_the_history_are_repeated_with_growing_pauses_within_the_deadline() -> None:
    """Details lag: asked again after half a second, then after twice as long each time, eight seconds at most."""
    call = PlayedCall(Repeat.KEYED)
    call.send()
    assert looked(call) == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0, 8.0, 8.0, 8.0]
    assert call.now < call.state.deadline < call.now + 8.0
    long = PlayedCall(Repeat.KEYED, policy=RetryPolicy(deadline=10**5, budget=10**9))
    assert len(looked(long)) > 10_000
    hasty = PlayedCall(Repeat.KEYED, policy=RetryPolicy(deadline=2.0))
    hasty.send()
    assert hasty.state.pause_before_look(2, hasty.now) == 1.0
    assert hasty.state.pause_before_look(3, hasty.now) is None


def test_a_row_of_a_batch_holds_its_place_for_seconds_only() -> None:
    """Others wait for it, and what stays open is looked at again later: four further looks, whatever the deadline."""
    call = PlayedCall(Repeat.KEYED, is_row=True)
    call.send()
    assert looked(call) == [0.5, 1.0, 2.0, 4.0]


@pytest.mark.parametrize(
    ("repeat", "evidence", "sent"),
    [
        (Repeat.KEYED, NotApplied("absent"), True),
        (Repeat.KEYED, Inconclusive("no history"), True),
        # Its key makes it safe, and nothing can come of it.
        (Repeat.KEYED, NotApplied("all of it is taken", excluded=True), False),
        # Without a key it costs one request to be told why.
        (Repeat.CONFIRM, NotApplied("something is captured", excluded=True), True),
        (Repeat.CONFIRM, NotApplied("absent"), True),
        (Repeat.CONFIRM, Inconclusive("no history"), False),
    ],
)
def test_what_follows_a_look(repeat: Repeat, evidence: Evidence[Any], *, sent: bool) -> None:
    """With a key it is sent again unless it can take effect no more, without one if it is proven absent."""
    call = PlayedCall(repeat)
    call.send()
    call.fail(FailureKind.UNKNOWN)
    assert isinstance(call.state.after_looking(evidence, call.now), Send) is sent


def test_looks_end_with_the_budget() -> None:
    """Each further look costs as much as an attempt, so that a session in trouble asks for less."""
    call = PlayedCall(Repeat.KEYED, policy=RetryPolicy(budget=3 * 14 + 13))
    call.send()
    assert looked(call) == [0.5, 1.0, 2.0]


def test_looking_for_the_proof_of_a_success_costs_no_budget() -> None:
    """Vipps has answered: a session that captures parts all day long is not in trouble. The deadline ends it."""
    call = PlayedCall(Repeat.KEYED, policy=RetryPolicy(budget=13))
    call.send()
    call.fail(FailureKind.UNPROVEN)
    assert len(looked(call)) == 10
    assert call.now < call.state.deadline


def looked(call: PlayedCall) -> list[float]:
    """Look until no further look is allowed; the pauses before each but the first."""
    pauses: list[float] = []
    while (pause := call.state.pause_before_look(len(pauses) + 1, call.now)) is not None:
        pauses.append(pause)
        call.now += pause
    return pauses


def test_a_throttled_retry_costs_less() -> None:
    """Being told to slow down costs the session less budget than a failure."""
    call = PlayedCall(Repeat.KEYED)
    call.send()
    call.fail(FailureKind.THROTTLED)
    call.send()
    call.fail(FailureKind.UNKNOWN)
    assert call.budget.tokens == 500 - 5 - 14


@given(
    st.sampled_from(Repeat),
    st.lists(
        st.tuples(st.sampled_from(FailureKind), st.floats(0, 40), st.none() | st.floats(0, 1e6)), min_size=1, max_size=6
    ),
    st.integers(1, 4),
    st.floats(0.1, 120),
)
def test_nothing_is_sent_past_the_deadline(
    repeat: Repeat, story: list[tuple[FailureKind, float, float | None]], attempts: int, deadline: float
) -> None:
    """However long attempts take and whatever Vipps asks for, no attempt begins after its time."""
    call = PlayedCall(repeat, policy=RetryPolicy(attempts=attempts, deadline=deadline))
    for failure, seconds, retry_after in story:
        assert call.now < call.state.last_send
        call.send(seconds)
        step = call.fail(failure, retry_after)
        if isinstance(step, Ask) and step.then_send:
            step = call.step(call.state.after_looking(NotApplied("absent"), call.now))
        if not isinstance(step, Send | Refresh):
            break
        assert call.now + 0.049 <= call.state.last_send
    assert call.state.record.begun <= max(attempts, 2)


def test_time_is_kept_back_for_asking() -> None:
    """A fifth of the deadline, five seconds at most, belongs to the question at the end, if there is one to ask."""
    assert time_to_send(RetryPolicy(deadline=60.0), can_ask=True) == 55.0
    assert time_to_send(RetryPolicy(deadline=10.0), can_ask=True) == 8.0
    assert time_to_send(RetryPolicy(deadline=10.0), can_ask=False) == 10.0
