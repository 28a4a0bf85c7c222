"""Cancelling again what is cancelled is no error, and a cancel that captured money excludes is in no doubt."""

from __future__ import annotations

from typing import Any

import pytest

from tests.core.fake_clock import FakeClock
from tests.core.samples import CREDENTIALS, vipps_error
from vipps_async import (
    CancelError,
    Effect,
    OutcomeUnknown,
    RetryPolicy,
    SettledBy,
    UnexpectedResponseError,
    VippsSession,
)
from vipps_async.testing import ScriptedTransport, answer
from vipps_async.transports.protocol import Response


def history(*operations: tuple[str, int], captured: int, to_capture: int) -> Response:
    """Make an answer of details; newest operation first."""
    entries = [
        {
            "amount": amount,
            "operation": operation,
            "operationSuccess": True,
            "timeStamp": "2026-01-01T00:00:00Z",
            "requestId": "",
            "transactionId": "1",
            "transactionText": "Socks",
        }
        for operation, amount in operations
    ]
    sums = {
        "capturedAmount": captured,
        "refundedAmount": 0,
        "remainingAmountToCapture": to_capture,
        "remainingAmountToRefund": captured,
    }
    return answer(200, {"orderId": "acme-1", "transactionSummary": sums, "transactionLogHistory": entries})


CAPTURED = [("CAPTURE", 100), ("RESERVE", 500)]
REST_THERE = history(*CAPTURED, captured=100, to_capture=400)
RELEASED = history(("VOID", 400), *CAPTURED, captured=100, to_capture=0)


async def cancel(transport: ScriptedTransport, **policy: Any) -> Any:
    """Cancel without asking to release the rest."""
    retry = RetryPolicy(**policy)
    async with VippsSession(CREDENTIALS, transport=transport, retry=retry, clock=FakeClock()) as vipps:
        return await vipps.ecom.cancel("acme-1", transaction_text="Out of socks")


@pytest.mark.parametrize(
    "refusal",
    [vipps_error(400, "VippsError", "92"), vipps_error(400, "Payment", "52"), vipps_error(400, "Payment", "51")],
)
async def test_what_was_released_already_is_cancelled(refusal: Response) -> None:
    """Whatever Vipps calls it: nothing remains to cancel, and the result has what was released."""
    transport = ScriptedTransport().on("/details", then=RELEASED)
    transport.on("/cancel", then=refusal)
    result = await cancel(transport)
    assert result.settled_by is SettledBy.HISTORY
    assert result.transaction.amount == 400
    assert len([request for request in transport.requests if request.url.endswith("/cancel")]) == 1


@pytest.mark.parametrize("then", [vipps_error(400, "Payment", "51"), vipps_error(400, "VippsError", "92")])
async def test_what_is_captured_leaves_no_doubt_of_a_cancel(then: Response) -> None:
    """An attempt without an answer cannot have cancelled it, nor can it when it arrives later: no money moved."""
    transport = ScriptedTransport().on("/details", then=REST_THERE)
    transport.on("/cancel", OutcomeUnknown("cut"), then=then)
    with pytest.raises(CancelError if b'"51"' in then.body else Exception) as caught:
        await cancel(transport)
    assert caught.value.effect is Effect.NONE  # type: ignore[attr-defined]  # of every VippsError


def answered(*, to_capture: int) -> Response:
    """Make an answer to a cancel that calls it cancelled, with what its sums say can still be captured."""
    sums = {"capturedAmount": 0, "refundedAmount": 0, "remainingAmountToRefund": 0}
    return answer(
        200,
        {
            "orderId": "acme-1",
            "transactionInfo": {"amount": 500, "status": "Cancelled", "transactionId": "1"},
            "transactionSummary": {**sums, "remainingAmountToCapture": to_capture},
        },
    )


RESERVED = history(("RESERVE", 500), captured=0, to_capture=500)


async def test_a_cancel_that_contradicts_itself_may_be_done() -> None:
    """Where the history has it, only the sums of the answer were wrong."""
    transport = ScriptedTransport().on("/details", then=history(("VOID", 500), captured=0, to_capture=0))
    transport.on("/cancel", answered(to_capture=500))
    assert (await cancel(transport)).settled_by is SettledBy.HISTORY


async def test_a_cancel_that_contradicts_itself_is_not_called_done() -> None:
    """Called cancelled while all can still be captured, and not so in the history: in doubt, and may be repeated."""
    transport = ScriptedTransport().on("/details", then=RESERVED)
    transport.on("/cancel", answered(to_capture=500), then=answered(to_capture=0))
    with pytest.raises(UnexpectedResponseError, match="500 øre can still be captured") as caught:
        await cancel(transport)
    assert caught.value.effect is Effect.PROBABLE
    assert (await cancel(transport)).settled_by is SettledBy.ANSWER


async def test_why_there_is_no_doubt_is_said() -> None:
    """The error is the last failure itself, with the reason why nothing can come of it; one look is enough."""
    transport = ScriptedTransport().on("/details", then=REST_THERE)
    transport.on("/cancel", OutcomeUnknown("cut"))
    with pytest.raises(OutcomeUnknown, match="something is captured, and this cancel did not ask to release") as caught:
        await cancel(transport, attempts=1)
    assert caught.value.effect is Effect.NONE
    assert len([request for request in transport.requests if request.url.endswith("/details")]) == 1
