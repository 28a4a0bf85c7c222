"""Which error tells the truth about a call that is given up."""

from __future__ import annotations

import pytest

from tests.core.samples import call_of
from vipps_async.core.attempts import AttemptRecord
from vipps_async.core.dialect import FailureKind
from vipps_async.core.ending import Ending, exists_already, moved_otherwise
from vipps_async.core.operation import NotApplied, Repeat
from vipps_async.core.verdict import Verdict
from vipps_async.errors import (
    ApiError,
    CaptureError,
    Effect,
    MerchantError,
    OutcomeUnknown,
    PaymentUrlLostError,
    PermissionDeniedError,
)

REFUSALS = [
    CaptureError("no", status=400),
    PermissionDeniedError("no", status=403),
    MerchantError("no", status=400),
]


def ending(refusal: ApiError, verdict: Verdict, record: AttemptRecord) -> Exception:
    """The error of a keyed call that was refused last."""
    error, _ = Ending(
        operation=call_of(Repeat.KEYED).operation,
        error=refusal,
        failure=FailureKind.REFUSED,
        record=record,
        verdict=verdict,
        evidence=NotApplied("absent"),
        reason="",
    ).to_raise()
    return error


@pytest.mark.parametrize("refusal", REFUSALS)
def test_no_refusal_ends_a_doubt(refusal: ApiError) -> None:
    """A refusal of the last attempt says nothing about one before it, whatever it refuses."""
    error = ending(refusal, Verdict.OPEN, AttemptRecord(begun=2, ended=1))
    assert isinstance(error, OutcomeUnknown)
    assert error.effect is Effect.POSSIBLE


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("verdict", [Verdict.REFUSED, Verdict.NOT_APPLIED])
def test_a_refusal_without_doubt_is_told_as_it_came(refusal: ApiError, verdict: Verdict) -> None:
    """Where every attempt ended without effect, the refusal itself is raised: no money moved."""
    error = ending(refusal, verdict, AttemptRecord(begun=1, ended=1))
    assert error is refusal
    assert refusal.effect is Effect.NONE


def test_what_speaks_for_an_effect_is_said() -> None:
    """An answer that spoke for an effect without proving it makes it probable."""
    error = ending(REFUSALS[0], Verdict.OPEN, AttemptRecord(begun=2, ended=1, probable=True))
    assert isinstance(error, OutcomeUnknown)
    assert error.effect is Effect.PROBABLE


def test_an_attempt_of_an_earlier_call_is_named() -> None:
    """Who repeats a call learns that it is an earlier attempt that has no known outcome."""
    error = ending(REFUSALS[0], Verdict.OPEN, AttemptRecord(earlier_in_doubt=1, begun=1, ended=1))
    assert "an earlier attempt" in str(error)


def test_a_payment_that_exists_lost_its_url_only_if_this_call_may_have_made_it() -> None:
    """A call that never got through has made nothing: the payment is somebody else's, and no URL of ours is lost."""
    assert isinstance(exists_already(doubtful=True), PaymentUrlLostError)
    assert not isinstance(exists_already(doubtful=False), PaymentUrlLostError)


def test_what_was_moved_otherwise_says_that_money_moved() -> None:
    """The history proves it with another amount: the error never says that no money moved, and has what did."""
    error = moved_otherwise("100 were asked for, and 50 were moved", "result")
    assert error.effect is Effect.PROBABLE
    assert error.carried_out == "result"
