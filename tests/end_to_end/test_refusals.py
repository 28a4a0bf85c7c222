"""Each refusal that the sandbox can give arrives as the right class, with Vipps' words and what to do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import attrs
import pytest
import pytest_asyncio

from tests.end_to_end.checkout import FAST, KEYS, holds_together
from tests.support.payments import PRICE, initiate
from vipps_async import (
    ApiError,
    AuthenticationError,
    CancelError,
    CaptureError,
    Credentials,
    DuplicateOrderError,
    Effect,
    IdempotencyMismatchError,
    InvalidRequestError,
    MerchantError,
    OrderNotFoundError,
    OutcomeUnknown,
    PermissionDeniedError,
    RefundError,
    VippsSession,
)
from vipps_async.sandbox import SandboxCredentials, SandboxSettings
from vipps_async.testing import Sandbox

ORDER = "acme-shop-1"
Step = Callable[[Sandbox, VippsSession], Awaitable[Any]]


async def _approved(sandbox: Sandbox, vipps: VippsSession) -> None:
    await initiate(vipps)
    await sandbox.approve(ORDER)


async def _capture(vipps: VippsSession, **further: Any) -> None:
    await vipps.ecom.capture(ORDER, transaction_text="Shipped.", **further)


async def _refund(vipps: VippsSession, **further: Any) -> None:
    await vipps.ecom.refund(ORDER, transaction_text="Back.", **further)


async def _cancel(vipps: VippsSession, **further: Any) -> None:
    await vipps.ecom.cancel(ORDER, transaction_text="Out of stock.", **further)


async def _capture_more_than_reserved(sandbox: Sandbox, vipps: VippsSession) -> None:
    await _approved(sandbox, vipps)
    await _capture(vipps, amount=PRICE + 1)


async def _capture_too_early(sandbox: Sandbox, vipps: VippsSession) -> None:
    await initiate(vipps)
    await _capture(vipps)


async def _capture_of_a_cancelled_order(sandbox: Sandbox, vipps: VippsSession) -> None:
    await _approved(sandbox, vipps)
    await _cancel(vipps)
    await _capture(vipps)


async def _capture_after_180_days(sandbox: Sandbox, vipps: VippsSession) -> None:
    await _approved(sandbox, vipps)
    sandbox.clock.advance(timedelta(days=180, seconds=1))
    await _capture(vipps)


async def _cancel_after_180_days(sandbox: Sandbox, vipps: VippsSession) -> None:
    await _approved(sandbox, vipps)
    sandbox.clock.advance(timedelta(days=180, seconds=1))
    await _cancel(vipps)


async def _refund_after_365_days(sandbox: Sandbox, vipps: VippsSession) -> None:
    await _approved(sandbox, vipps)
    await _capture(vipps)
    sandbox.clock.advance(timedelta(days=365, seconds=1))
    await _refund(vipps)


async def _cancel_of_a_captured_order(sandbox: Sandbox, vipps: VippsSession) -> None:
    await _approved(sandbox, vipps)
    await _capture(vipps)
    await _cancel(vipps)


async def _cancel_after_a_partial_capture(sandbox: Sandbox, vipps: VippsSession) -> None:
    await _approved(sandbox, vipps)
    await _capture(vipps, amount=100)
    await _cancel(vipps)


async def _cancel_twice(sandbox: Sandbox, vipps: VippsSession) -> None:
    await initiate(vipps)
    await _cancel(vipps)
    await _cancel(vipps)


async def _cancel_while_the_bank_thinks(sandbox: Sandbox, vipps: VippsSession) -> None:
    await initiate(vipps, amount=201)
    await sandbox.approve(ORDER)
    await _cancel(vipps)


async def _refund_more_than_captured(sandbox: Sandbox, vipps: VippsSession) -> None:
    await _approved(sandbox, vipps)
    await _capture(vipps, amount=1_000)
    await _refund(vipps, amount=1_001)


async def _refund_of_a_reservation(sandbox: Sandbox, vipps: VippsSession) -> None:
    await _approved(sandbox, vipps)
    await _refund(vipps)


async def _refund_of_a_cancelled_order(sandbox: Sandbox, vipps: VippsSession) -> None:
    await initiate(vipps)
    await _cancel(vipps)
    await _refund(vipps)


async def _capture_key_with_another_payload(sandbox: Sandbox, vipps: VippsSession) -> None:
    await _approved(sandbox, vipps)
    await _capture(vipps, amount=100, idempotency_key="the-same")
    await _capture(vipps, amount=200, idempotency_key="the-same")


async def _refund_key_with_another_payload(sandbox: Sandbox, vipps: VippsSession) -> None:
    await _approved(sandbox, vipps)
    await _capture(vipps)
    await _refund(vipps, amount=100, idempotency_key="the-same")
    await _refund(vipps, amount=200, idempotency_key="the-same")


async def _the_same_order_twice(sandbox: Sandbox, vipps: VippsSession) -> None:
    await initiate(vipps)
    await initiate(vipps)


async def _skip_the_landing_page(sandbox: Sandbox, vipps: VippsSession) -> None:
    await initiate(vipps, skip_landing_page=True, mobile_number="91234567")


async def _ask_for_the_identity_number(sandbox: Sandbox, vipps: VippsSession) -> None:
    await initiate(vipps, scope="name nin")


async def _wrong_token_at_approve(sandbox: Sandbox, vipps: VippsSession) -> None:
    await initiate(vipps)
    await vipps.ecom.approve(ORDER, mobile_number="91234567", token="of-another-payment")


async def _approve_twice(sandbox: Sandbox, vipps: VippsSession) -> None:
    payment = await initiate(vipps)
    assert payment.token is not None
    await sandbox.approve(ORDER)
    await vipps.ecom.approve(ORDER, mobile_number="91234567", token=payment.token)


async def _unknown(operation: str, vipps: VippsSession) -> None:
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "details": lambda: vipps.ecom.details(ORDER),
        "status": lambda: vipps.ecom.status(ORDER),
        "capture": lambda: _capture(vipps),
        "refund": lambda: _refund(vipps),
        "cancel": lambda: _cancel(vipps),
        "approve": lambda: vipps.ecom.approve(ORDER, mobile_number="91234567", token="of-no-payment"),
    }
    await calls[operation]()


@attrs.frozen
class Case:
    """A way to be refused, and what must come of it."""

    step: Step
    operation: str
    kind: type[ApiError]
    group: str
    code: str
    status: int = 400


CASES = [
    Case(_capture_more_than_reserved, "capture", CaptureError, "Payment", "61"),
    Case(_capture_too_early, "capture", CaptureError, "Payment", "62"),
    Case(_capture_of_a_cancelled_order, "capture", CaptureError, "VippsError", "91"),
    Case(_capture_after_180_days, "capture", CaptureError, "Payment", "98"),
    Case(_cancel_after_180_days, "cancel", CancelError, "Payment", "98"),
    Case(_refund_after_365_days, "refund", RefundError, "Payment", "95"),
    Case(_cancel_of_a_captured_order, "cancel", CancelError, "Payment", "51"),
    Case(_cancel_after_a_partial_capture, "cancel", CancelError, "Payment", "51"),
    Case(_refund_more_than_captured, "refund", RefundError, "Payment", "71"),
    Case(_refund_of_a_reservation, "refund", RefundError, "Payment", "72"),
    Case(_refund_of_a_cancelled_order, "refund", RefundError, "Payment", "73"),
    Case(_capture_key_with_another_payload, "capture", IdempotencyMismatchError, "Payment", "93"),
    Case(_refund_key_with_another_payload, "refund", IdempotencyMismatchError, "Payment", "93"),
    Case(_the_same_order_twice, "initiate", DuplicateOrderError, "Merchant", "34"),
    Case(_skip_the_landing_page, "initiate", MerchantError, "Merchant", "38"),
    Case(_ask_for_the_identity_number, "initiate", PermissionDeniedError, "Merchant", "51", 403),
    Case(_wrong_token_at_approve, "approve", InvalidRequestError, "InvalidRequest", "token"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.step.__name__.strip("_"))
async def test_each_refusal_says_what_vipps_said(sandbox: Sandbox, vipps: VippsSession, case: Case) -> None:
    """A refusal has the class of its code, the code itself with its text, and no effect."""
    with pytest.raises(ApiError) as caught:
        await case.step(sandbox, vipps)
    error = caught.value
    assert type(error) is case.kind
    assert error.status == case.status
    (info,) = error.errors
    assert (info.group, info.code) == (case.group, case.code)
    assert info.message
    assert info.message in str(error)
    assert info.context_id
    assert error.effect is Effect.NONE
    assert not error.retryable
    assert (error.idempotency_key is not None) is (case.operation in {"capture", "refund", "approve"})
    holds_together(error, operation=case.operation)


async def test_cancelling_again_what_is_cancelled_is_no_error(sandbox: Sandbox, vipps: VippsSession) -> None:
    """Vipps says that it was processed before, details show the cancel, and that is the result."""
    await _cancel_twice(sandbox, vipps)
    assert sandbox.payment(ORDER).state.value == "CANCEL"


@pytest.mark.parametrize(
    ("step", "code", "effect"),
    [
        (_cancel_while_the_bank_thinks, "Payment 52", Effect.POSSIBLE),
        (_approve_twice, "VippsError 92", Effect.PROBABLE),
    ],
)
async def test_an_answer_that_settles_nothing_leaves_a_doubt(
    sandbox: Sandbox, vipps: VippsSession, step: Step, code: str, effect: Effect
) -> None:
    """What Vipps' own rule tells to ask details about is no refusal: it may have taken effect, and 92 speaks for it."""
    with pytest.raises(OutcomeUnknown, match=code) as caught:
        await step(sandbox, vipps)
    assert caught.value.effect is effect
    assert any(text in caught.value.advice for text in ("ask details", "look the payment up"))


@pytest.mark.parametrize("operation", ["details", "status", "capture", "refund", "cancel", "approve"])
async def test_an_unknown_order_is_not_found(vipps: VippsSession, operation: str) -> None:
    """Whatever is asked of an order that was never initiated, the error is that there is none."""
    with pytest.raises(OrderNotFoundError) as caught:
        await _unknown(operation, vipps)
    assert [(info.group, info.code) for info in caught.value.errors] == [("Merchant", "35")]
    assert caught.value.effect is Effect.NONE
    holds_together(caught.value, operation=operation)


async def test_a_refused_capture_moved_nothing(sandbox: Sandbox, vipps: VippsSession) -> None:
    """Effect.NONE is true: after every refusal the sandbox has moved no money by it."""
    with pytest.raises(CaptureError):
        await _capture_more_than_reserved(sandbox, vipps)
    assert sandbox.payment(ORDER).captured == 0
    await _capture(vipps)
    assert sandbox.payment(ORDER).captured == PRICE


async def test_the_first_payload_of_a_key_stands(sandbox: Sandbox, vipps: VippsSession) -> None:
    """After a mismatch only what the key first asked for has moved."""
    with pytest.raises(IdempotencyMismatchError):
        await _capture_key_with_another_payload(sandbox, vipps)
    assert sandbox.payment(ORDER).captured == 100


async def test_on_the_last_day_it_still_works(sandbox: Sandbox, vipps: VippsSession) -> None:
    """A capture just within 180 days and a refund just within 365 days go through."""
    await _approved(sandbox, vipps)
    sandbox.clock.advance(timedelta(days=180) - timedelta(seconds=30))
    await _capture(vipps)
    sandbox.clock.advance(timedelta(days=185))
    await _refund(vipps)
    assert sandbox.payment(ORDER).refunded == PRICE


# -- keys --------------------------------------------------------------------------------------------------------------


@pytest_asyncio.fixture
async def guarded() -> AsyncIterator[Sandbox]:
    """A sandbox that takes one pair of keys only."""
    keys = SandboxCredentials(
        client_id=KEYS["client_id"],
        client_secret=KEYS["client_secret"],
        subscription_key=KEYS["subscription_key"],
        merchant_serial_numbers=["123456"],
    )
    async with Sandbox(settings=SandboxSettings(credentials=[keys]), rate_limits=False) as sandbox:
        yield sandbox


async def test_the_right_keys_open(guarded: Sandbox) -> None:
    """The control: with the right keys the guarded sandbox lets a payment through."""
    async with guarded.session(Credentials(**KEYS), retry=FAST) as vipps:
        await initiate(vipps)


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [("client_id", ApiError), ("client_secret", AuthenticationError), ("subscription_key", AuthenticationError)],
)
async def test_wrong_keys_are_an_error_of_the_call(guarded: Sandbox, wrong: str, kind: type[ApiError]) -> None:
    """A key that is not accepted ends the call with one token request, and says nothing of the keys."""
    keys = KEYS | {wrong: "something-wrong-entirely"}
    async with guarded.session(Credentials(**keys), retry=FAST) as vipps:
        with pytest.raises(kind) as caught:
            await initiate(vipps)
    error = caught.value
    assert error.effect is Effect.NONE
    assert "token" in str(error)
    assert "something-wrong-entirely" not in str(error)
    holds_together(error, operation="initiate")
    assert [request.operation for request in guarded.requests] == ["token"]


async def test_keys_of_another_sales_unit(guarded: Sandbox) -> None:
    """With the keys of another sales unit a payment is not found, and none can be initiated."""
    async with guarded.session(Credentials(**KEYS), retry=FAST) as ours:
        await initiate(ours)
    async with guarded.session(Credentials(**(KEYS | {"merchant_serial_number": "654321"})), retry=FAST) as theirs:
        with pytest.raises(OrderNotFoundError):
            await theirs.ecom.details(ORDER)
        with pytest.raises(MerchantError) as caught:
            await initiate(theirs)
        assert [info.code for info in caught.value.errors] == ["37"]
