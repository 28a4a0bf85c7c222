"""How fast a batch goes: on simulated time, without any I/O."""

from __future__ import annotations

import pytest

from vipps_async.core.batch_limit import BatchLimiter
from vipps_async.core.rate_limit import RateLimiter

#: Seconds that a good answer takes here.
QUICK = 0.05


def _round(pace: BatchLimiter, now: float, *, seconds: float = QUICK, status: int | None = 200) -> float:
    """Let as many requests as the limit allows be answered at once; returns the time afterwards."""
    now += seconds
    for _ in range(pace.limit):
        pace.attempted(now, seconds, status)
    return now


def _fast(most: int = 64) -> tuple[BatchLimiter, float]:
    pace, now = BatchLimiter(most=most), 100.0
    while pace.limit < most:
        now = _round(pace, now)
    return pace, now


def test_it_begins_slowly_and_doubles_with_each_round_of_answers() -> None:
    """Nobody knows at first how much Vipps takes: eight at once, then twice as many each time it answers well."""
    pace = BatchLimiter(most=64)
    assert pace.limit == 8
    now = _round(pace, 0.0)
    assert pace.limit == 16
    _round(pace, now)
    assert pace.limit == 32


def test_it_never_exceeds_what_was_asked_for() -> None:
    """The concurrency that was given is the end of growing."""
    pace, now = _fast(20)
    for _ in range(50):
        now = _round(pace, now)
    assert pace.limit == 20
    assert BatchLimiter(most=1).limit == 1


@pytest.mark.parametrize("status", [429, 503, 504])
def test_too_much_halves_it(status: int) -> None:
    """Throttled, unavailable, timed out at the gateway: half as many at once."""
    pace, now = _fast()
    pace.attempted(now, QUICK, status)
    assert pace.limit == 32


def test_answers_that_take_seconds_are_too_much_however_long_they_have_done_so() -> None:
    """An overloaded Vipps answers slowly for minutes: nothing gets used to that, and one row at a time is left."""
    pace, now = _fast()
    for _ in range(60):
        now = _round(pace, now, seconds=5.0)
    assert pace.limit == 1
    now = _round(pace, now, seconds=5.0, status=None)
    assert _round(pace, now) > now
    for _ in range(5):
        now = _round(pace, now)
    assert pace.limit > 1


def test_signals_of_one_moment_count_once() -> None:
    """All that were on their way together get the same answer: that is one sign, not thirty."""
    pace, now = _fast()
    for _ in range(30):
        pace.attempted(now + 0.1, QUICK, 429)
    assert pace.limit == 32
    pace.attempted(now + 1.2, QUICK, 429)
    assert pace.limit == 16


def test_it_never_goes_below_one() -> None:
    """However long Vipps is in trouble, one row at a time goes on asking."""
    pace, now = _fast()
    for _ in range(20):
        now += 2.0
        pace.attempted(now, QUICK, 503)
    assert pace.limit == 1


def test_it_speeds_up_again_by_one_a_round() -> None:
    """After a sign it feels its way: one more for each round of good answers."""
    pace, now = _fast()
    pace.attempted(now, QUICK, 429)
    for expected in (33, 34, 35):
        now = _round(pace, _round(pace, now)) if expected == 33 else _round(pace, now)
        assert abs(pace.limit - expected) <= 1
    for _ in range(100):
        now = _round(pace, now)
    assert pace.limit == 64


def test_answers_that_take_longer_slow_it_down() -> None:
    """Rising latency comes before refusals: ten times the time of an answer, and fewer go out at once."""
    pace, now = _fast()
    for _ in range(40):
        now = _round(pace, now, seconds=0.5)
    assert pace.limit < 64 * 0.5


def test_small_changes_in_latency_do_not_matter() -> None:
    """A busy machine makes answers some milliseconds slower: no sign of anything."""
    pace, now = _fast()
    for _ in range(40):
        now = _round(pace, now, seconds=0.12)
    assert pace.limit == 64


def test_a_vipps_that_is_slower_for_good_does_not_hold_it_down_for_ever() -> None:
    """What was quick half a minute ago is no measure any more."""
    pace, now = _fast()
    for _ in range(40):
        now = _round(pace, now, seconds=0.5)
    assert pace.limit < 32
    for _ in range(400):
        now = _round(pace, now, seconds=0.5)
    assert pace.limit == 64


def test_an_answer_that_never_came_does_not_speed_it_up() -> None:
    """Only answers show that Vipps keeps up."""
    pace = BatchLimiter(most=64)
    _round(pace, 0.0, status=None)
    assert pace.limit == 8


# --- outages ----------------------------------------------------------------------------------------------------------


def test_single_failures_do_not_pause_it() -> None:
    """One row in ten fails and the others go through: that is a bad line, no outage."""
    pace = BatchLimiter(most=8)
    for moment in range(1000):
        if moment % 10 == 0:
            pace.row_failed(moment - 0.5, float(moment))
        else:
            pace.row_answered()
        assert pace.pause(float(moment)) == 0
    assert not pace.circuit_open


def test_rows_that_fail_together_count_once() -> None:
    """A connection that breaks takes all with it that were on their way: one failure, not a hundred."""
    pace = BatchLimiter(most=64)
    for _ in range(100):
        pace.row_failed(10.0, 11.0)
    assert pace.pause(11.0) == 0
    assert not pace.circuit_open


def test_an_outage_pauses_it_ever_longer_and_then_ends_it() -> None:
    """While no row gets an answer: pauses that double up to half a minute, and after some minutes the end."""
    pace, now, pauses = BatchLimiter(most=64), 0.0, list[float]()
    while not pace.circuit_open:
        began = now + pace.pause(now)
        now = began + 0.01
        pace.row_failed(began, now)
        pauses.append(round(pace.pause(now), 6))
    assert pauses[:8] == [0, 0, 1, 2, 4, 8, 16, 30]
    assert set(pauses[8:]) == {30}
    assert 120 < sum(pauses) < 240


def test_an_answer_ends_an_outage() -> None:
    """One row that went through, and everything is as if nothing had been."""
    pace, now = BatchLimiter(most=64), 0.0
    for _ in range(11):
        now += 60
        pace.row_failed(now - 1, now)
    pace.row_answered()
    pace.row_failed(now + 60, now + 61)
    assert not pace.circuit_open
    assert pace.pause(now + 61) == 0


def test_keys_that_are_refused_at_the_very_first_row_end_it_at_once() -> None:
    """Wrong keys do not get right by waiting; after a good answer a refused token is something that passes."""
    pace = BatchLimiter(most=64)
    pace.row_failed(0.0, 1.0, keys_refused=True)
    assert pace.circuit_open
    later = BatchLimiter(most=64)
    later.row_answered()
    later.row_failed(0.0, 1.0, keys_refused=True)
    assert not later.circuit_open


# --- rate -------------------------------------------------------------------------------------------------------------


def test_turns_are_evenly_spaced() -> None:
    """Ten a second: one each tenth of a second, whoever asks when."""
    rate = RateLimiter(10)
    assert [round(rate.take(50.0), 6) for _ in range(5)] == [0, 0.1, 0.2, 0.3, 0.4]


@pytest.mark.parametrize("per_second", [0.5, 3.0, 10.0, 250.0, 5_000.0])
def test_the_rate_holds_over_any_ten_seconds(per_second: float) -> None:
    """In ten seconds at most ten seconds' worth is begun, however late timers are, but for a tenth of a second's."""
    rate, now, begun = RateLimiter(per_second), 0.0, list[float]()
    while now < 20:
        wait = rate.take(now)
        # A timer that comes up to 3 ms late.
        now += wait + (0.003 if wait else 0)
        begun.append(now)
    for start in (0.0, 3.3, 8.1):
        count = sum(1 for moment in begun if start <= moment < start + 10)
        assert per_second * 10 * 0.9 - 1 <= count <= per_second * 10.1 + 2


def test_a_lull_is_not_caught_up_with_a_burst() -> None:
    """After a minute of nothing there is no minute's worth to be sent at once."""
    rate = RateLimiter(100)
    rate.take(0.0)
    waits = [rate.take(60.0) for _ in range(20)]
    assert sum(1 for wait in waits if wait == 0) <= 11


def test_a_burst_that_was_saved_up_is_used_at_once_and_comes_back_at_the_rate() -> None:
    """Twenty at once after any lull, then one each 0.6 s: in no minute more than burst and rate together."""
    limiter, begun, now = RateLimiter(100 / 60, burst=20), list[float](), 1000.0
    while now < 1200.0:
        # Closer than a microsecond is the same moment to a sum of floats.
        wait = limiter.wait(now)
        if wait > 1e-6:
            now += wait
            continue
        assert limiter.take(now) < 1e-6
        begun.append(now)
    assert begun.count(1000.0) == 20
    assert begun[20] - begun[19] == pytest.approx(0.6, abs=1e-6)
    assert max(sum(start <= moment < start + 60.0 - 1e-6 for moment in begun) for start in begun) <= 120


def test_a_reserve_is_left_for_what_is_urgent() -> None:
    """Of twenty that are saved up ten are left; whoever needs no reserve has them at once."""
    limiter = RateLimiter(100 / 60, burst=20)
    for _ in range(10):
        assert limiter.wait(50.0, reserve=10) < 1e-6
        limiter.take(50.0)
    assert limiter.wait(50.0, reserve=10) == pytest.approx(0.6)
    assert limiter.wait(50.0) == 0.0
