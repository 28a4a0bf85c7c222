"""The ePayment API against the sandbox, which shares no code with it: whole lives of payments, and every trouble."""

from __future__ import annotations

import pytest

from tests.end_to_end.checkout import FAST
from vipps_async import Effect, MemoryJournal, SettledBy, VippsError, VippsSession, nok
from vipps_async.testing import Sandbox

ORDER = "acme-order-1"
#: What happens to one request, and whether its effect comes all the same.
TROUBLE = [
    f"{name}_{when}"
    for name in ("HTTP_500", "HTTP_503", "HTML_200", "HTML_502", "EMPTY_200", "REDIRECT_302")
    for when in ("BEFORE", "AFTER")
] + [
    "RESET_BEFORE_EFFECT",
    "RESET_AFTER_EFFECT",
    "ANSWER_CUT_IN_HALF",
    "CUT_200_AFTER",
    "HTTP_429",
    "TOKEN_EXPIRED_401",
]
#: Answers that say one thing while another is true.
UNTRUE = [
    "UNSETTLED_99_BEFORE",
    "UNSETTLED_99_AFTER",
    "UNSETTLED_92_BEFORE",
    "UNSETTLED_92_AFTER",
    "UNSETTLED_402_AFTER",
    "UNSETTLED_1000_BEFORE",
    "UNSETTLED_1000_AFTER",
    "UNSETTLED_FAILED_BEFORE",
    "UNSETTLED_FAILED_AFTER",
    "FAILED_ENTRY",
    "FAILURE_STATUS_BEFORE",
    "OTHER_AMOUNT_AFTER",
]


async def begun(vipps: VippsSession) -> None:
    """Make a payment that the customer has accepted."""
    created = await vipps.epayment.create(reference=ORDER, amount=nok(499), return_url="https://example.com/back")
    await vipps.epayment.approve(ORDER, token=created.token)


async def test_the_life_of_a_payment(sandbox: Sandbox, vipps: VippsSession) -> None:
    """Sums, states and events are read as the sandbox writes them, and a second cancel is a success."""
    await begun(vipps)
    vipps.epayment.notify(ORDER)
    payment = await vipps.epayment.wait_for(ORDER)
    assert payment.is_authorized
    assert payment.capture_guaranteed_until is not None
    captured = await vipps.epayment.capture(ORDER, amount=nok(300))
    assert (captured.amount, captured.remaining_to_capture) == (nok(300), nok(199))
    assert (await vipps.epayment.refund(ORDER, amount=nok(100))).remaining_to_refund == nok(200)
    assert [(await vipps.epayment.cancel(ORDER)).settled_by for _ in range(2)] == [
        SettledBy.ANSWER,
        SettledBy.HISTORY,
    ]
    done = [event.name for event in await vipps.epayment.events(ORDER) if event.success]
    assert done == ["CREATED", "AUTHORIZED", "CAPTURED", "REFUNDED", "CANCELLED"]
    found = sandbox.payment(ORDER)
    assert (found.captured, found.refunded) == (30_000, 10_000)


@pytest.mark.parametrize("trouble", TROUBLE)
async def test_a_create_in_trouble_has_its_url(sandbox: Sandbox, trouble: str) -> None:
    """Answered again under its key, or found again by the payment itself."""
    sandbox.faults.script("create", trouble)
    async with sandbox.session(retry=FAST, journal=MemoryJournal()) as vipps:
        created = await vipps.epayment.create(reference=ORDER, amount=nok(499), return_url="https://example.com/back")
        assert created.redirect_url
        assert created.redirect_url == (await vipps.epayment.get(ORDER)).redirect_url


@pytest.mark.parametrize("verb", ["capture", "refund", "cancel"])
@pytest.mark.parametrize("trouble", TROUBLE + UNTRUE)
async def test_trouble_moves_money_once_and_is_told_truly(sandbox: Sandbox, verb: str, trouble: str) -> None:
    """A result means that it moved; an error that says no money moved is true."""
    async with sandbox.session(retry=FAST, journal=MemoryJournal()) as vipps:
        await begun(vipps)
        if verb == "refund":
            await vipps.epayment.capture(ORDER, amount=nok(300))
        sandbox.faults.script(verb, trouble)
        error: VippsError | None = None
        try:
            if verb == "cancel":
                assert (await vipps.epayment.cancel(ORDER)).amount == nok(499)
            else:
                assert (await getattr(vipps.epayment, verb)(ORDER, amount=nok(300))).amount == nok(300)
        except VippsError as caught:
            error = caught
        payment = await vipps.epayment.get(ORDER)
    moved = {
        "capture": payment.aggregate.captured_amount,
        "refund": payment.aggregate.refunded_amount,
        "cancel": payment.aggregate.cancelled_amount,
    }[verb]
    whole = nok(499) if verb == "cancel" else nok(300)
    assert moved in {nok(0), whole}
    if error is None:
        assert moved == whole
    elif error.effect is Effect.NONE:
        assert moved == nok(0)
    if trouble in TROUBLE:
        assert error is None
