"""A callback claims, details decide."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import define

from tests.ecom.payments import details, entry
from tests.ecom.scripted_runner import ScriptedRunner
from tests.support.rows import each_row
from vipps_async import EcomApi, PaymentDetails
from vipps_async.config import Environment
from vipps_async.errors import OrderNotFoundError, OutcomeUnknown
from vipps_async.receiver import CallbackStatus, Confirmed, Contradicted, Disagreement, PaymentUpdate

INITIATED = details(entry("INITIATE"))
RESERVED = details(entry("RESERVE"), entry("INITIATE"))
CAPTURED = details(entry("CAPTURE"), entry("RESERVE"), entry("INITIATE"))
VOIDED = details(entry("VOID"), entry("RESERVE"), entry("INITIATE"))
SOLD = details(entry("SALE"), entry("INITIATE"))
CANCELLED = details(entry("CANCEL"), entry("INITIATE"))
REFUSED = details(entry("RESERVE", success=False), entry("INITIATE"))
SECOND_CARD = details(entry("RESERVE"), entry("RESERVE", success=False), entry("INITIATE"))


@define
class Session:
    """The part of a session that a confirmation needs."""

    answer: Any
    merchant_serial_number: str = "123456"

    @property
    def ecom(self) -> EcomApi:
        """The API over a script of one answer."""
        return EcomApi(
            ScriptedRunner([self.answer]),
            merchant_serial_number=self.merchant_serial_number,
            environment=Environment.TEST,
        )


def claim(status: str | None = "RESERVED", amount: int | None = 49900, msn: str | None = "123456") -> PaymentUpdate:
    """Return an event."""
    return PaymentUpdate(
        order_id="acme-1",
        merchant_serial_number=msn,
        claimed_status=None if status is None else CallbackStatus(status),
        claimed_amount=amount,
    )


@each_row(
    ("status", "found"),
    [
        ("RESERVED", RESERVED),
        ("RESERVED", CAPTURED),
        ("RESERVED", VOIDED),
        ("SALE", SOLD),
        ("CANCELLED", CANCELLED),
        ("CANCELLED", VOIDED),
        ("REJECTED", CANCELLED),
        ("RESERVE_FAILED", REFUSED),
        ("RESERVE_FAILED", SECOND_CARD),
        ("SALE_FAILED", CANCELLED),
        ("ON_HOLD", RESERVED),
        ("ON_HOLD", CANCELLED),
        (None, REFUSED),
        (None, CAPTURED),
    ],
)
async def test_details_agree(status: str | None, found: PaymentDetails) -> None:
    """What has happened to the payment, now or earlier, is confirmed, and the details say what it is now."""
    assert await claim(status).confirm(Session(found)) == Confirmed(details=found)


@each_row(
    ("status", "found"),
    [
        ("RESERVED", INITIATED),
        ("RESERVED", CANCELLED),
        ("RESERVED", REFUSED),
        ("SALE", INITIATED),
        ("CANCELLED", INITIATED),
        ("CANCELLED", RESERVED),
        ("REJECTED", SOLD),
        ("RESERVE_FAILED", RESERVED),
        ("SALE_FAILED", INITIATED),
    ],
)
async def test_details_disagree_about_the_state(status: str, found: PaymentDetails) -> None:
    """Something that has not happened is contradicted: neither a forged acceptance nor a forged end is believed."""
    outcome = await claim(status).confirm(Session(found))
    assert outcome == Contradicted(details=found, disagreements=(Disagreement.STATE,))
    assert str(outcome) == "the callback disagrees with details in: state"


@pytest.mark.parametrize("status", [None, "ON_HOLD", "reserved"])
async def test_a_callback_that_claims_nothing_confirms_nothing(status: str | None) -> None:
    """No claim, or a status of tomorrow, is no news while details show neither acceptance nor end."""
    event = claim(status)
    outcome = await event.confirm(Session(INITIATED))
    assert outcome == Contradicted(details=INITIATED, disagreements=(Disagreement.NO_OUTCOME,))
    assert str(outcome) == ("the callback confirms nothing: details show neither acceptance nor end of the payment yet")


@pytest.mark.parametrize(
    ("answer", "lacks"),
    [(INITIATED, True), (RESERVED, False), (REFUSED, False), (OrderNotFoundError("no", status=404), False)],
)
async def test_whether_there_is_an_outcome(answer: Any, *, lacks: bool) -> None:
    """An event knows whether its last confirmation found one; that is none of what two events have in common."""
    event = claim()
    assert not event.is_pending
    await event.confirm(Session(answer))
    assert event.is_pending is lacks
    assert event == claim()
    await event.confirm(Session(RESERVED))
    assert not event.is_pending


@pytest.mark.parametrize(
    ("amount", "disagreements"),
    [(49900, ()), (None, ()), (49901, (Disagreement.AMOUNT,)), (0, (Disagreement.AMOUNT,))],
)
async def test_the_amount(amount: int | None, disagreements: tuple[Disagreement, ...]) -> None:
    """An accepted amount is held against what was reserved, to the øre."""
    outcome = await claim(amount=amount).confirm(Session(RESERVED))
    assert getattr(outcome, "disagreements", ()) == disagreements


async def test_no_amount_was_reserved_when_it_failed() -> None:
    """The amount of a payment that came to nothing is of no matter."""
    assert isinstance(await claim("CANCELLED", amount=1).confirm(Session(CANCELLED)), Confirmed)


async def test_an_order_that_vipps_does_not_know() -> None:
    """A callback about an order that is none is contradicted, without details."""
    outcome = await claim().confirm(Session(OrderNotFoundError("no", status=404)))
    assert outcome == Contradicted(details=None, disagreements=(Disagreement.ORDER,))


async def test_an_answer_about_another_order() -> None:
    """Details that name another order confirm nothing."""
    other = details(entry("RESERVE"), orderId="acme-2")
    outcome = await claim().confirm(Session(other))
    assert isinstance(outcome, Contradicted)
    assert Disagreement.ORDER in outcome.disagreements


@pytest.mark.parametrize(
    ("msn", "own", "agrees"),
    [
        ("123456", "123456", True),
        (None, "123456", True),
        ("", "123456", True),
        ("12345", "012345", True),
        ("654321", "123456", False),
        ("12345", "123450", False),
    ],
)
async def test_the_sales_unit(msn: str | None, own: str, *, agrees: bool) -> None:
    """A callback that names another sales unit is contradicted; one that came as a number has no leading zeros."""
    outcome = await claim(msn=msn).confirm(Session(RESERVED, own))
    assert isinstance(outcome, Confirmed) is agrees
    if isinstance(outcome, Contradicted):
        assert outcome.disagreements == (Disagreement.SALES_UNIT,)


async def test_everything_that_is_wrong_is_named() -> None:
    """All disagreements are there, not only the first."""
    outcome = await claim(msn="654321", amount=1).confirm(Session(RESERVED))
    assert isinstance(outcome, Contradicted)
    assert outcome.disagreements == (Disagreement.SALES_UNIT, Disagreement.AMOUNT)


async def test_vipps_cannot_be_asked() -> None:
    """If details cannot be had, nothing is confirmed: the error comes through."""
    with pytest.raises(OutcomeUnknown):
        await claim().confirm(Session(OutcomeUnknown("no answer")))


def test_an_event_cannot_be_taken_for_a_payment() -> None:
    """No attribute of an event sounds like a fact about the payment: what is claimed is called so."""
    names = {name for name in dir(PaymentUpdate) if not name.startswith("_")}
    assert not names & {"status", "amount", "is_paid", "is_reserved", "is_approved", "is_captured", "paid"}
