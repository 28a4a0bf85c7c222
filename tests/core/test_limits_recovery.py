"""When a recovery gives up, on simulated time and without any I/O; how it goes is in test_recovery_under_load.py."""

from __future__ import annotations

import pytest

from vipps_async import AuthenticationError, OutcomeUnknown, PermissionDeniedError, RateLimitedError
from vipps_async.core.recovery_limit import RecoveryLimiter


def test_silence_is_counted_from_the_last_answer() -> None:
    """A question that took minutes while others were answered says nothing about how long Vipps has been silent."""
    pace = RecoveryLimiter(most=8)
    pace.lookup_answered(199.0)
    pace.lookup_unanswered(0.0, 200.0, None)
    for moment in (201.0, 202.0, 203.0):
        pace.lookup_unanswered(moment - 0.5, moment, None)
    assert pace.stopped == ""


def test_an_answer_begins_the_count_anew() -> None:
    """Nineteen in vain, an answer, nineteen in vain: that goes on."""
    pace, now = RecoveryLimiter(most=1), 0.0
    for _ in range(2):
        for _ in range(19):
            now += 2.0
            pace.lookup_unanswered(now - 1.0, now, None)
        pace.lookup_answered(now)
    assert pace.stopped == ""


@pytest.mark.parametrize(("error", "status"), [(AuthenticationError, 401), (PermissionDeniedError, 403)])
def test_keys_that_are_refused_neither_pause_nor_last(error: type[AuthenticationError], status: int) -> None:
    """Twenty in a row within a second end it, and nothing waits before that."""
    pace = RecoveryLimiter(most=8)
    for number in range(20):
        assert pace.stopped == ""
        pace.lookup_unanswered(number / 20, number / 20, error("no", status=status))
        assert pace.pause(number / 20) == 0
    assert pace.stopped == "Vipps did not answer 20 questions in a row"


def test_the_wish_to_wait_is_found_behind_an_unknown_outcome() -> None:
    """A capture that was answered 429 may end as unknown; what Vipps asked for stands in the cause."""
    pace, error = RecoveryLimiter(most=8), OutcomeUnknown("who knows")
    error.__cause__ = RateLimitedError("too much", status=429, retry_after=7.0)
    assert pace.asked_to_wait(100.0, error) == 7.0
    assert pace.pause(103.0) == 4.0
    assert pace.pause(107.0) == 0.0


def test_a_shorter_wish_does_not_shorten_a_longer_one() -> None:
    """Of several answers the one that asks for most counts; one without a wish changes nothing."""
    pace = RecoveryLimiter(most=8)
    for seconds in (30.0, 2.0, None):
        pace.asked_to_wait(0.0, RateLimitedError("too much", status=429, retry_after=seconds))
    pace.asked_to_wait(0.0, None)
    assert pace.pause(0.0) == 30.0
