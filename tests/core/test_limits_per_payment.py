"""The attempts that each order has had of late."""

from __future__ import annotations

import heapq

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vipps_async.core import rate_limit
from vipps_async.core.rate_limit import PerPaymentRateLimiter


def test_the_sixth_waits_until_the_first_is_a_minute_old() -> None:
    """Five attempts are free; the next one waits for the oldest of them to leave the window."""
    limiter = PerPaymentRateLimiter()
    for now in (100.0, 101.0, 102.0, 103.0, 104.0):
        assert limiter.wait_for_slot("capture", "a", 5, now) == 0.0
        limiter.note("capture", "a", 5, now)
    assert limiter.wait_for_slot("capture", "a", 5, 110.0) == 50.0
    assert limiter.wait_for_slot("capture", "a", 5, 160.0) == 0.0


def test_orders_and_operations_are_counted_apart() -> None:
    """An order's captures do not count against its refunds, nor against another order's captures."""
    limiter = PerPaymentRateLimiter()
    for _ in range(5):
        limiter.note("capture", "a", 5, 1.0)
    assert limiter.wait_for_slot("refund", "a", 5, 2.0) == 0.0
    assert limiter.wait_for_slot("capture", "A", 5, 2.0) == 0.0
    assert limiter.wait_for_slot("capture", "a", 5, 2.0) > 0.0


@given(st.lists(st.tuples(st.sampled_from("ab"), st.floats(0.0, 200.0)), min_size=1, max_size=60), st.integers(1, 5))
def test_no_window_ever_holds_too_many(calls: list[tuple[str, float]], limit: int) -> None:
    """Callers that look, wait as told, look again and only then send never exceed the limit in any minute."""
    limiter = PerPaymentRateLimiter()
    queue = [(start, number, order) for number, (order, start) in enumerate(calls)]
    heapq.heapify(queue)
    sent: dict[str, list[float]] = {"a": [], "b": []}
    while queue:
        now, number, order = heapq.heappop(queue)
        wait = limiter.wait_for_slot("capture", order, limit, now)
        if wait > 0.0:
            # At least a hair: a sum of floats may fall just short of the moment it stands for.
            heapq.heappush(queue, (now + max(wait, 1e-6), number, order))
            continue
        limiter.note("capture", order, limit, now)
        sent[order].append(now)
    assert sum(map(len, sent.values())) == len(calls)
    for moments in sent.values():
        for first, beyond in zip(moments, moments[limit:], strict=False):
            assert beyond - first >= 60.0 - 1e-6


def test_polling_one_order_does_not_pile_up() -> None:
    """However often one order is asked about, no more moments are kept than its limit needs."""
    limiter = PerPaymentRateLimiter()
    for tick in range(5000):
        limiter.note("details", "a", 120, 1000.0 + tick / 1000)
    assert len(limiter._current["details", "a"]) <= 120
    assert limiter.wait_for_slot("details", "a", 120, 1005.0) == pytest.approx(59.88, abs=0.01)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the number of orders, only two generations of them are remembered."""
    monkeypatch.setattr(rate_limit, "_GENERATION", 100)
    limiter = PerPaymentRateLimiter()
    for number in range(1000):
        limiter.note("capture", f"order-{number}", 5, 1.0)
        assert len(limiter._current) + len(limiter._previous) <= 200
    assert limiter.wait_for_slot("capture", "order-999", 1, 2.0) > 0.0


def test_what_is_old_is_forgotten() -> None:
    """After a quiet time nothing of before is kept."""
    limiter = PerPaymentRateLimiter()
    limiter.note("capture", "a", 5, 1.0)
    limiter.note("capture", "b", 5, 1000.0)
    assert len(limiter._current) + len(limiter._previous) == 1


def test_the_last_minute_survives_the_turn_of_generations() -> None:
    """An attempt just before the limiter turns a page still counts just after."""
    limiter = PerPaymentRateLimiter()
    limiter.note("capture", "a", 2, 0.0)
    limiter.note("capture", "a", 2, 59.0)
    limiter.note("capture", "b", 2, 61.0)
    limiter.note("capture", "a", 2, 62.0)
    assert limiter.wait_for_slot("capture", "a", 2, 63.0) == pytest.approx(56.0)
