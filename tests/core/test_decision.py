"""The decision table: every cell, and its picture in the docstring."""

from __future__ import annotations

import re

import pytest

from vipps_async.core import decision
from vipps_async.core.decision import Failure, Step, step_after
from vipps_async.core.operation import Repeat

# Written down here a second time, cell by cell, from what repeating means for money.
EXPECTED = {
    (Failure.NOT_SENT, Repeat.SAFE): Step.RETRY,
    (Failure.NOT_SENT, Repeat.KEYED): Step.RETRY,
    (Failure.NOT_SENT, Repeat.CONFIRM): Step.RETRY,
    (Failure.NOT_SENT, Repeat.ONCE): Step.RETRY,
    (Failure.THROTTLED, Repeat.SAFE): Step.RETRY,
    (Failure.THROTTLED, Repeat.KEYED): Step.RETRY,
    (Failure.THROTTLED, Repeat.CONFIRM): Step.RETRY,
    (Failure.THROTTLED, Repeat.ONCE): Step.ASK,
    (Failure.LOCKED, Repeat.SAFE): Step.RETRY,
    (Failure.LOCKED, Repeat.KEYED): Step.RETRY,
    (Failure.LOCKED, Repeat.CONFIRM): Step.RETRY,
    (Failure.LOCKED, Repeat.ONCE): Step.ASK,
    (Failure.UNKNOWN, Repeat.SAFE): Step.RETRY,
    (Failure.UNKNOWN, Repeat.KEYED): Step.RETRY,
    (Failure.UNKNOWN, Repeat.CONFIRM): Step.ASK,
    (Failure.UNKNOWN, Repeat.ONCE): Step.ASK,
    (Failure.CONFLICT, Repeat.SAFE): Step.RETRY,
    (Failure.CONFLICT, Repeat.KEYED): Step.ASK,
    (Failure.CONFLICT, Repeat.CONFIRM): Step.ASK,
    (Failure.CONFLICT, Repeat.ONCE): Step.ASK,
    (Failure.UNSETTLED, Repeat.SAFE): Step.RETRY,
    (Failure.UNSETTLED, Repeat.KEYED): Step.ASK,
    (Failure.UNSETTLED, Repeat.CONFIRM): Step.ASK,
    (Failure.UNSETTLED, Repeat.ONCE): Step.ASK,
    (Failure.UNAUTHORIZED, Repeat.SAFE): Step.REFRESH,
    (Failure.UNAUTHORIZED, Repeat.KEYED): Step.REFRESH,
    (Failure.UNAUTHORIZED, Repeat.CONFIRM): Step.REFRESH,
    (Failure.UNAUTHORIZED, Repeat.ONCE): Step.REFRESH,
    (Failure.UNREADABLE, Repeat.SAFE): Step.RETRY,
    (Failure.UNREADABLE, Repeat.KEYED): Step.ASK,
    (Failure.UNREADABLE, Repeat.CONFIRM): Step.ASK,
    (Failure.UNREADABLE, Repeat.ONCE): Step.LOOK,
    (Failure.MISFIT, Repeat.SAFE): Step.RETRY,
    (Failure.MISFIT, Repeat.KEYED): Step.LOOK,
    (Failure.MISFIT, Repeat.CONFIRM): Step.LOOK,
    (Failure.MISFIT, Repeat.ONCE): Step.RAISE,
    (Failure.FOREIGN, Repeat.SAFE): Step.RAISE,
    (Failure.FOREIGN, Repeat.KEYED): Step.RAISE,
    (Failure.FOREIGN, Repeat.CONFIRM): Step.RAISE,
    (Failure.FOREIGN, Repeat.ONCE): Step.RAISE,
    (Failure.REFUSED, Repeat.SAFE): Step.RAISE,
    (Failure.REFUSED, Repeat.KEYED): Step.RAISE,
    (Failure.REFUSED, Repeat.CONFIRM): Step.RAISE,
    (Failure.REFUSED, Repeat.ONCE): Step.RAISE,
}


@pytest.mark.parametrize("repeat", Repeat)
@pytest.mark.parametrize("failure", Failure)
def test_every_cell(failure: Failure, repeat: Repeat) -> None:
    """Each failure of each way of repeating leads to the step written down for it."""
    assert EXPECTED[failure, repeat] is step_after(failure, repeat)


def test_the_docstring_draws_the_same_table() -> None:
    """The table that people read is the table that the code follows."""
    assert decision.__doc__ is not None
    lines = decision.__doc__.split("::", 1)[1].strip("\n").splitlines()
    columns = [Repeat[name] for name in lines[0].split()]
    drawn = {}
    for line in lines[1:]:
        if not line.strip():
            break
        # Columns are at least two spaces apart, and "not sent" has a single one.
        name, *cells = re.split(r"\s{2,}", line.strip())
        for repeat, cell in zip(columns, cells, strict=False):
            drawn[Failure(name), repeat] = Step(cell)
    assert drawn == EXPECTED


def test_which_failures_leave_a_doubt() -> None:
    """Only a failure that Vipps may have acted upon counts as doubtful."""
    doubtful = {
        Failure.UNKNOWN,
        Failure.CONFLICT,
        Failure.UNSETTLED,
        Failure.FOREIGN,
        Failure.UNREADABLE,
        Failure.MISFIT,
    }
    assert doubtful == {each for each in Failure if each.doubtful}
