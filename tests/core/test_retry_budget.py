"""The retry budget that all calls of a session share."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vipps_async.config import RetryPolicy
from vipps_async.core.retry import RetryBudget


def test_an_outage_drains_it() -> None:
    """With the defaults 35 retries in a row are free, or 100 after being throttled, and then none."""
    budget = RetryBudget(RetryPolicy())
    assert [budget.spend(throttled=False) for _ in range(36)] == [True] * 35 + [False]
    assert budget.tokens == 10
    patient = RetryBudget(RetryPolicy())
    assert sum(patient.spend(throttled=True) for _ in range(1000)) == 100


def test_successes_fill_it_again() -> None:
    """Fourteen successes at first try earn one retry."""
    budget = RetryBudget(RetryPolicy(budget=14))
    assert budget.spend(throttled=False)
    for _ in range(13):
        budget.refill()
    assert not budget.spend(throttled=False)
    budget.refill()
    assert budget.spend(throttled=False)


@given(
    st.lists(st.sampled_from(["retry", "throttled", "success"]), max_size=300), st.integers(1, 60), st.integers(1, 9)
)
def test_it_stays_between_nothing_and_its_size(events: list[str], size: int, refill: int) -> None:
    """Whatever happens, the budget is never below nothing nor above its size, and a refusal takes nothing."""
    budget = RetryBudget(RetryPolicy(budget=size, success_refill=refill))
    for event in events:
        before = budget.tokens
        if event == "success":
            budget.refill()
        elif not budget.spend(throttled=event == "throttled"):
            assert before == budget.tokens
        assert 0 <= budget.tokens <= size
