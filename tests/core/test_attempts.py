"""What a record of attempts counts: in doubt is whatever is not known to have ended without effect."""

from __future__ import annotations

import pytest

from tests.core.samples import TOKEN
from tests.support.rows import each_row
from vipps_async.core.attempts import AttemptRecord, FailedAttempt
from vipps_async.core.dialect import FailureKind
from vipps_async.errors import ApiError, OutcomeUnknown, VippsError

REFUSAL = ApiError("no", status=400)
#: Written down a second time: after which kinds of failure money may have moved.
MAY_HAVE_MOVED = {
    FailureKind.UNKNOWN,
    FailureKind.CONFLICT,
    FailureKind.UNSETTLED,
    FailureKind.FOREIGN,
    FailureKind.UNREADABLE,
    FailureKind.MISFIT,
    FailureKind.UNPROVEN,
}


def failed(
    record: AttemptRecord,
    failure: FailureKind,
    error: VippsError = REFUSAL,
    *,
    was_sent: bool = True,
    suggests_effect: bool = False,
) -> FailureKind:
    """Note a failure in the record, as the pipeline does."""
    attempt = FailedAttempt(failure, error, TOKEN if was_sent else None, suggests_effect)
    return record.failed(attempt).failure


@each_row("failure", FailureKind)
def test_what_may_have_moved_money_is_in_doubt(failure: FailureKind) -> None:
    """An attempt ends only where nothing left, or it was refused in its own right."""
    record = AttemptRecord()
    assert failed(record, failure) is failure
    assert record.begun == 1
    assert record.in_doubt == (failure in MAY_HAVE_MOVED)
    assert failure.doubtful == (failure in MAY_HAVE_MOVED)


@pytest.mark.parametrize("earlier_in_doubt", [0, 1, 2])
def test_attempts_of_earlier_calls_stay_in_doubt(earlier_in_doubt: int) -> None:
    """What this call learns of its own attempts says nothing about those of another."""
    record = AttemptRecord(earlier_in_doubt=earlier_in_doubt)
    failed(record, FailureKind.REFUSED)
    assert record.in_doubt == earlier_in_doubt
    failed(record, FailureKind.UNKNOWN)
    assert record.in_doubt == earlier_in_doubt + 1
    failed(record, FailureKind.NOT_SENT)
    assert record.in_doubt == earlier_in_doubt + 1


def test_a_key_that_was_used_before_by_nobody_of_ours_is_a_refusal() -> None:
    """The first attempt of all cannot be what used the key before."""
    assert failed(AttemptRecord(), FailureKind.REFUSED, suggests_effect=True) is FailureKind.REFUSED


@pytest.mark.parametrize("earlier", [0, 1])
def test_a_key_that_was_used_before_by_ourselves_is_in_doubt(earlier: int) -> None:
    """After an attempt of this call or of an earlier one, such a refusal may tell of that one's success.

    It is on record as the last word of Vipps, so that recovery does not ask for it again.
    """
    record = AttemptRecord(earlier_in_doubt=earlier)
    if not earlier:
        failed(record, FailureKind.UNKNOWN)
    assert failed(record, FailureKind.REFUSED, suggests_effect=True) is FailureKind.UNSETTLED
    assert record.probable
    assert record.in_doubt == 2
    assert record.refusal is not None


@each_row("failure", FailureKind)
@each_row("suggests_effect", [False, True])
def test_what_speaks_for_an_effect(failure: FailureKind, suggests_effect: bool) -> None:  # noqa: FBT001 - a parameter
    """An answer of success that proves nothing does, and so does a doubtful one that says it was done before."""
    record = AttemptRecord()
    failed(record, failure, suggests_effect=suggests_effect)
    told = failure in {FailureKind.UNREADABLE, FailureKind.MISFIT, FailureKind.UNPROVEN}
    assert record.probable == (told or (suggests_effect and failure in MAY_HAVE_MOVED))
    # Nothing later takes it back.
    failed(record, FailureKind.REFUSED)
    assert record.probable == (told or (suggests_effect and failure in MAY_HAVE_MOVED))


def test_only_a_refusal_that_was_sent_for_is_one() -> None:
    """A refused token, or an answer that settles nothing, is no refusal of the operation; the last attempt counts."""
    record = AttemptRecord()
    failed(record, FailureKind.REFUSED, was_sent=False)
    assert record.refusal is None
    failed(record, FailureKind.REFUSED)
    refusals = [record.refusal]
    failed(record, FailureKind.UNKNOWN, OutcomeUnknown("cut"))
    assert [*refusals, record.refusal] == [REFUSAL, None]
