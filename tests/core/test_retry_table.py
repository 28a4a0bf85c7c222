"""The decision table: every cell, and its picture in the docstring."""

from __future__ import annotations

import re

from tests.support.rows import each_row
from vipps_async.core import retry
from vipps_async.core.dialect import FailureKind
from vipps_async.core.operation import Repeat
from vipps_async.core.retry import _Reaction as Step
from vipps_async.core.retry import _reaction_to as step_after

# Written down here a second time, cell by cell, from what repeating means for money.
EXPECTED = {
    (FailureKind.NOT_SENT, Repeat.SAFE): Step.RETRY,
    (FailureKind.NOT_SENT, Repeat.KEYED): Step.RETRY,
    (FailureKind.NOT_SENT, Repeat.CONFIRM): Step.RETRY,
    (FailureKind.NOT_SENT, Repeat.ONCE): Step.RETRY,
    (FailureKind.THROTTLED, Repeat.SAFE): Step.RETRY,
    (FailureKind.THROTTLED, Repeat.KEYED): Step.RETRY,
    (FailureKind.THROTTLED, Repeat.CONFIRM): Step.RETRY,
    (FailureKind.THROTTLED, Repeat.ONCE): Step.ASK,
    (FailureKind.LOCKED, Repeat.SAFE): Step.RETRY,
    (FailureKind.LOCKED, Repeat.KEYED): Step.RETRY,
    (FailureKind.LOCKED, Repeat.CONFIRM): Step.RETRY,
    (FailureKind.LOCKED, Repeat.ONCE): Step.ASK,
    (FailureKind.UNKNOWN, Repeat.SAFE): Step.RETRY,
    (FailureKind.UNKNOWN, Repeat.KEYED): Step.RETRY,
    (FailureKind.UNKNOWN, Repeat.CONFIRM): Step.ASK,
    (FailureKind.UNKNOWN, Repeat.ONCE): Step.ASK,
    (FailureKind.CONFLICT, Repeat.SAFE): Step.RETRY,
    (FailureKind.CONFLICT, Repeat.KEYED): Step.ASK,
    (FailureKind.CONFLICT, Repeat.CONFIRM): Step.ASK,
    (FailureKind.CONFLICT, Repeat.ONCE): Step.ASK,
    (FailureKind.UNSETTLED, Repeat.SAFE): Step.RETRY,
    (FailureKind.UNSETTLED, Repeat.KEYED): Step.ASK,
    (FailureKind.UNSETTLED, Repeat.CONFIRM): Step.ASK,
    (FailureKind.UNSETTLED, Repeat.ONCE): Step.ASK,
    (FailureKind.UNAUTHORIZED, Repeat.SAFE): Step.REFRESH,
    (FailureKind.UNAUTHORIZED, Repeat.KEYED): Step.REFRESH,
    (FailureKind.UNAUTHORIZED, Repeat.CONFIRM): Step.REFRESH,
    (FailureKind.UNAUTHORIZED, Repeat.ONCE): Step.REFRESH,
    (FailureKind.UNREADABLE, Repeat.SAFE): Step.RETRY,
    (FailureKind.UNREADABLE, Repeat.KEYED): Step.ASK,
    (FailureKind.UNREADABLE, Repeat.CONFIRM): Step.ASK,
    (FailureKind.UNREADABLE, Repeat.ONCE): Step.LOOK,
    (FailureKind.MISFIT, Repeat.SAFE): Step.RETRY,
    (FailureKind.MISFIT, Repeat.KEYED): Step.LOOK,
    (FailureKind.MISFIT, Repeat.CONFIRM): Step.LOOK,
    (FailureKind.MISFIT, Repeat.ONCE): Step.RAISE,
    (FailureKind.UNPROVEN, Repeat.SAFE): Step.RETRY,
    (FailureKind.UNPROVEN, Repeat.KEYED): Step.LOOK,
    (FailureKind.UNPROVEN, Repeat.CONFIRM): Step.LOOK,
    (FailureKind.UNPROVEN, Repeat.ONCE): Step.RAISE,
    (FailureKind.FOREIGN, Repeat.SAFE): Step.RAISE,
    (FailureKind.FOREIGN, Repeat.KEYED): Step.RAISE,
    (FailureKind.FOREIGN, Repeat.CONFIRM): Step.RAISE,
    (FailureKind.FOREIGN, Repeat.ONCE): Step.RAISE,
    (FailureKind.REFUSED, Repeat.SAFE): Step.RAISE,
    (FailureKind.REFUSED, Repeat.KEYED): Step.RAISE,
    (FailureKind.REFUSED, Repeat.CONFIRM): Step.RAISE,
    (FailureKind.REFUSED, Repeat.ONCE): Step.RAISE,
}


@each_row("repeat", Repeat)
@each_row("failure", FailureKind)
def test_every_cell(failure: FailureKind, repeat: Repeat) -> None:
    """Each failure of each way of repeating leads to the step written down for it."""
    assert EXPECTED[failure, repeat] is step_after(failure, repeat)


def test_the_docstring_draws_the_same_table() -> None:
    """The table that people read is the table that the code follows."""
    assert retry.__doc__ is not None
    lines = retry.__doc__.split("::", 1)[1].strip("\n").splitlines()
    columns = [Repeat[name] for name in lines[0].split()]
    drawn = {}
    for line in lines[1:]:
        if not line.strip():
            break
        # Columns are at least two spaces apart, and "not sent" has a single one.
        name, *cells = re.split(r"\s{2,}", line.strip())
        for repeat, cell in zip(columns, cells, strict=False):
            drawn[FailureKind(name), repeat] = Step(cell)
    assert drawn == EXPECTED


def test_which_failures_leave_a_doubt() -> None:
    """Only a failure that Vipps may have acted upon counts as doubtful."""
    doubtful = {
        FailureKind.UNKNOWN,
        FailureKind.CONFLICT,
        FailureKind.UNSETTLED,
        FailureKind.FOREIGN,
        FailureKind.UNREADABLE,
        FailureKind.MISFIT,
        FailureKind.UNPROVEN,
    }
    assert doubtful == {each for each in FailureKind if each.doubtful}
