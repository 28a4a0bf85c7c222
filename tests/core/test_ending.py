"""Which error tells the truth about a call that is given up."""

from __future__ import annotations

import pytest

from tests.core.samples import call_of
from vipps_async.core.decision import Failure
from vipps_async.core.ending import Ending
from vipps_async.core.operation import NotDone, Repeat
from vipps_async.errors import ApiError, CaptureError, Effect, MerchantError, OutcomeUnknown, PermissionDeniedError


@pytest.mark.parametrize(
    ("refusal", "raised"),
    [
        (CaptureError("no", status=400), CaptureError),
        (PermissionDeniedError("no", status=403), OutcomeUnknown),
        (MerchantError("no", status=400), OutcomeUnknown),
    ],
)
def test_only_a_refusal_of_the_operation_itself_ends_a_doubt(refusal: ApiError, raised: type[Exception]) -> None:
    """After an attempt in doubt, absent now is not absent for ever, unless Vipps has refused the operation as such."""
    error, _ = Ending(
        operation=call_of(Repeat.KEYED).operation,
        error=refusal,
        failure=Failure.REFUSED,
        was_sent=True,
        doubtful=True,
        finding=NotDone("absent"),
        reason="",
    ).to_raise()
    assert type(error) is raised
    assert (error.effect is Effect.NONE) is (raised is CaptureError)
