"""What all paces share: fewer at once after trouble, more after good answers, pauses when nothing succeeds."""

from __future__ import annotations

import pytest

from vipps_async.core.concurrency_limit import ConcurrencyLimiter


def pace_of(most: int = 64, start: float = 64, *, pause_after: int = 2) -> ConcurrencyLimiter:
    """A pace with pauses of 1 to 5 seconds."""
    return ConcurrencyLimiter(most=most, start=start, pause_after=pause_after, first_pause=1.0, longest_pause=5.0)


@pytest.mark.parametrize(("start", "limit"), [(1, 1), (8, 8), (200, 64)])
def test_it_begins_where_it_is_told_but_never_above_the_most(start: float, limit: int) -> None:
    """The start is the first limit, the most the highest."""
    pace = pace_of(start=start)
    assert pace.limit == limit
    for _ in range(100):
        pace.speed_up()
    assert pace.limit == 64


def test_a_sign_of_trouble_halves_it_once_a_second() -> None:
    """Signs of one moment are one, and one is the least that there is."""
    pace = pace_of()
    assert [pace.slow_down(moment) for moment in (0.0, 0.5, 0.9, 1.0)] == [True, False, False, True]
    assert pace.limit == 16
    for second in range(2, 20):
        pace.slow_down(float(second))
    assert pace.limit == 1


def test_after_a_sign_it_grows_by_one_a_round() -> None:
    """As many good answers as the limit is make it one more."""
    pace = pace_of()
    pace.slow_down(0.0)
    for _ in range(33):
        pace.speed_up()
    assert pace.limit == 33


def test_failures_in_a_row_pause_it_ever_longer() -> None:
    """From the second on, doubling up to the longest; a success ends it."""
    pace, now, pauses = pace_of(), 0.0, list[float]()
    for _ in range(6):
        began = now + pace.pause(now)
        now = began + 0.5
        pace.failed(began, now)
        pauses.append(pace.pause(now))
    assert pauses == [0, 1, 2, 4, 5, 5]
    assert pace.failures_in_a_row == 6
    pace.succeeded()
    assert pace.failures_in_a_row == 0
    pace.failed(now + 10, now + 11)
    assert pace.pause(now + 11) == 0


def test_failures_that_were_on_their_way_together_are_one() -> None:
    """A hundred that break with one connection say no more than one."""
    pace = pace_of(pause_after=1)
    for _ in range(100):
        pace.failed(10.0, 11.0)
    assert pace.failures_in_a_row == 1
    assert pace.pause(11.0) == 1
