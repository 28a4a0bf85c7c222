"""Which error tells the truth about a call that is given up."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from tests.core.fake_clock import FakeClock
from tests.core.samples import call_of, vipps_error
from tests.epayment.service import problem
from vipps_async.core.attempts import AttemptRecord
from vipps_async.core.dialect import FailureKind
from vipps_async.core.ending import Ending, exists_already, moved_otherwise
from vipps_async.core.operation import NotApplied, Operation, Repeat
from vipps_async.core.refusal import read_refusal
from vipps_async.core.verdict import Verdict
from vipps_async.ecom import errors as ecom
from vipps_async.ecom.operations import OPERATIONS as ECOM_OPERATIONS
from vipps_async.epayment import errors as epayment
from vipps_async.epayment.operations import OPERATIONS as EPAYMENT_OPERATIONS
from vipps_async.errors import (
    ApiError,
    CaptureError,
    Effect,
    MerchantError,
    OutcomeUnknown,
    PaymentUrlLostError,
    PermissionDeniedError,
    ServerError,
    VippsError,
)
from vipps_async.transports.protocol import Response

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


def _answers() -> Iterator[tuple[Operation[Any], Response]]:
    """Each code of both APIs as an answer to each operation."""
    codes = [*((group, code) for group, found in ecom._CODES.items() for code in found), ("payment", "99")]
    for operation, (group, code), status in itertools.product(ECOM_OPERATIONS.values(), codes, (400, 402, 500)):
        yield operation, vipps_error(status, group, code)
    for operation, code, status in itertools.product(EPAYMENT_OPERATIONS.values(), epayment._CODES, (400, 402, 500)):
        yield operation, problem(status, code)


def test_each_code_says_what_to_do_before_and_after_a_look_up() -> None:
    """No answer with a code of either API leaves the reader without advice, also when its history shows no effect."""
    silent = set()
    for operation, response in _answers():
        refusal = read_refusal(response, operation, FakeClock(), ())
        told = [refusal.error.advice]
        for evidence in (NotApplied("absent"), NotApplied("used up", excluded=True)):
            error, _ = Ending(
                operation=operation,
                error=read_refusal(response, operation, FakeClock(), ()).error,
                failure=refusal.failure,
                record=AttemptRecord(begun=1),
                verdict=Verdict.NOT_APPLIED,
                evidence=evidence,
                reason="",
            ).to_raise()
            told.append(error.advice)
        if not all(told):
            silent.add((operation.name, *map(str, refusal.error.errors)))
    assert silent == set()


@pytest.mark.parametrize(
    ("error", "excluded", "advice"),
    [
        (OutcomeUnknown("lost"), False, "make the call again later"),
        (OutcomeUnknown("lost"), True, "can never take effect"),
        (ServerError("broken", status=500), False, "make the call again later"),
    ],
)
def test_a_doubt_that_the_history_has_ended_is_not_advised_on(
    error: VippsError, advice: str, *, excluded: bool
) -> None:
    """What was in doubt and is proven not done is not to be looked up again."""
    raised, _ = Ending(
        operation=call_of(Repeat.KEYED).operation,
        error=error,
        failure=FailureKind.UNKNOWN,
        record=AttemptRecord(begun=1),
        verdict=Verdict.NOT_APPLIED,
        evidence=NotApplied("absent", excluded=excluded),
        reason="",
    ).to_raise()
    assert advice in raised.advice
