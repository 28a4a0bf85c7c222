"""How long a retry waits, and what a `Retry-After` says."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.rows import each_row
from vipps_async.config import RetryPolicy
from vipps_async.core.refusal import read_retry_after
from vipps_async.core.retry import pause_before

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
YEAR = 365 * 86_400.0


@given(st.integers(1, 200), st.booleans(), st.integers())
def test_pauses_stay_within_the_step(retry: int, throttled: bool, seed: int) -> None:  # noqa: FBT001 - drawn
    """A pause is never negative, nor longer than the doubled step or the cap."""
    pause = pause_before(retry, RetryPolicy(), random.Random(seed), throttled=throttled)
    assert 0.0 <= pause <= min(8.0, (2.0 if throttled else 0.5) * 2.0 ** (retry - 1))


def test_jitter_is_full() -> None:
    """The draws fill the whole range from nothing to the step, so that clients come back spread out."""
    dice = random.Random(1)
    draws = [pause_before(3, RetryPolicy(), dice, throttled=False) for _ in range(2000)]
    assert min(draws) < 0.05
    assert max(draws) > 1.95
    assert 0.9 < sum(draws) / len(draws) < 1.1


@each_row(
    ("value", "expected"),
    [
        (None, None),
        ("", None),
        ("0", 0.0),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("1.5", 1.5),
        (".", None),
        ("-5", None),
        ("+5", None),
        ("1e3", None),
        ("5, 10", None),
        ("٧", None),
        ("nan", None),
        ("soon", None),
        ("9" * 400, YEAR),
        ("9" * 20_000, YEAR),
    ],
)
def test_retry_after_in_seconds(value: str | None, expected: float | None) -> None:
    """Seconds are read, garbage and negatives are not, and what is huge stays huge instead of being ignored."""
    assert expected == read_retry_after(value, NOW)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Sun, 01 Mar 2026 12:00:30 GMT", 30.0),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0.0),
        ("Sunday, 01-Mar-26 12:01:00 GMT", 60.0),
        ("Sun, 01 Mar 2026 12:00:30 -0000", 30.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", YEAR),
        ("Fri, 32 Dec 2026 23:59:59 GMT", None),
        ("Sun, 01 Mar 2026 12:00:30 +99999999", None),
    ],
)
def test_retry_after_as_a_date(value: str, expected: float | None) -> None:
    """A date is read as seconds from now, never as less than nothing."""
    assert expected == read_retry_after(value, NOW)


@given(st.text(max_size=60) | st.from_regex(r"[A-Z][a-z]{2}, [0-9]{1,9} [A-Z][a-z]{2} [0-9]{1,9} [0-9:]{1,12} .{0,9}"))
@example("Mon, 01 Jan 0001 00:00:00 +2359")
@example("1 jan 1 1:1:1 1")
def test_no_header_breaks_it(value: str) -> None:
    """Whatever stands in the header, the result is None or a bearable number of seconds."""
    seconds = read_retry_after(value, NOW)
    assert seconds is None or 0.0 <= seconds <= YEAR


@given(st.integers(0, 10_000_000))
def test_dates_round_trip(ahead: int) -> None:
    """A date that is so many seconds ahead is read as that many seconds."""
    header = format_datetime(NOW + timedelta(seconds=ahead), usegmt=True)
    assert float(ahead) == read_retry_after(header, NOW)
