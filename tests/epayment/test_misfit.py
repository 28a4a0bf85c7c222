"""An answer of success is held against what was asked for, by the payment's sums."""

from __future__ import annotations

from typing import Any

import attrs
import orjson
import pytest

from tests.epayment.creations import create
from tests.epayment.payments import aggregate
from tests.epayment.service import money
from vipps_async import Aggregate, CancelledPayment, CapturedPayment, CreatedPayment, RefundedPayment
from vipps_async.core.converter import decode
from vipps_async.core.operation import AuditInfo, Call, MoneyOperation
from vipps_async.epayment import operations
from vipps_async.epayment.enums import EventName
from vipps_async.epayment.operations import CANCEL, CAPTURE, CREATE, REFUND
from vipps_async.epayment.responses import SUMS

CLASSES: dict[str, Any] = {"capture": CapturedPayment, "refund": RefundedPayment, "cancel": CancelledPayment}
OPERATIONS: dict[str, Any] = {"capture": CAPTURE, "refund": REFUND, "cancel": CANCEL}


def call_of(name: str, asked: int | None = 10000, currency: str = "NOK") -> Call[Any]:
    """Make a call that asks for 100 NOK."""
    audit = AuditInfo(amount=asked, currency=currency)
    return Call(operation=OPERATIONS[name], path="/", payment="acme-order-1", audit=audit)


def result_of(name: str, sums: Any, *, amount: Any = None, state: str = "AUTHORIZED") -> Any:
    """Read an answer of success with these sums."""
    body = {"reference": "acme-order-1", "amount": amount or money(49900), "state": state, "aggregate": sums}
    return decode(orjson.dumps(body), CLASSES[name])


def misfit(name: str, sums: Any, **more: Any) -> str | None:
    """Say what is wrong with an answer."""
    found: str | None = OPERATIONS[name].misfit(call_of(name), result_of(name, sums, **more))
    return found


@pytest.mark.parametrize(
    ("name", "sums"),
    [
        ("capture", aggregate(49900, 10000)),
        ("capture", aggregate(49900, 30000, 5000)),
        ("refund", aggregate(49900, 30000, 10000)),
        ("refund", aggregate(49900, 30000, 20000)),
        ("cancel", aggregate(49900, 0, 0, 49900)),
        ("cancel", aggregate(49900, 10000, 0, 39900)),
    ],
)
def test_what_was_asked_for_fits(name: str, sums: Any) -> None:
    """At least what was asked for was moved in all, and nothing is left of what was cancelled."""
    assert misfit(name, sums) is None


@pytest.mark.parametrize("name", ["capture", "refund"])
@pytest.mark.parametrize("moved", [0, 9999])
def test_less_than_was_asked_for(name: str, moved: int) -> None:
    """Sums by which less was moved in all than by this call alone do not fit; both are named."""
    sums = aggregate(49900, moved) if name == "capture" else aggregate(49900, 49900, moved)
    found = misfit(name, sums)
    assert found is not None
    assert "100.00 NOK were asked for" in found


@pytest.mark.parametrize("name", ["capture", "refund"])
def test_another_currency(name: str) -> None:
    """Of the amount, or of the sums."""
    sums = aggregate(49900, 49900, 49900)
    assert misfit(name, sums, amount=money(49900, "DKK")) is not None
    foreign = {key: money(value["value"], "EUR") for key, value in sums.items()}
    assert misfit(name, foreign) is not None


def test_a_cancel_that_cancelled_nothing() -> None:
    """Neither state nor sums say that it did; or something can still be captured."""
    assert misfit("cancel", aggregate(49900)) == "it says AUTHORIZED, and nothing was cancelled"
    assert misfit("cancel", aggregate(), state="CREATED") == "it says CREATED, and nothing was cancelled"
    assert misfit("cancel", aggregate(49900, 0, 0, 100)) == "it says that 498.00 NOK can still be captured"
    assert misfit("cancel", aggregate(), state="TERMINATED") is None
    found = misfit("cancel", aggregate(49900, 0, 0, 49901))
    assert found == "its sums do not add up: 499.01 NOK cancelled of 499.00 NOK"


@pytest.mark.parametrize("name", ["capture", "refund"])
def test_the_amount_of_a_result_is_the_operations(name: str) -> None:
    """What an answer's own amount means is not published: that of the payment must not pass for what was captured."""
    result = result_of(name, aggregate(49900, 10000, 10000))
    assert result.amount.value == 49900
    completed = OPERATIONS[name].complete(call_of(name), result)
    assert completed.amount.value == 10000
    assert (completed.aggregate, completed.settled_by) == (result.aggregate, result.settled_by)


@pytest.mark.parametrize("name", ["capture", "refund"])
def test_a_call_without_an_amount_is_held_against_nothing(name: str) -> None:
    """There is none of these but in a journal that is damaged."""
    result = result_of(name, aggregate(49900))
    assert OPERATIONS[name].misfit(call_of(name, None), result) is None
    assert OPERATIONS[name].complete(call_of(name, None), result) is result


@pytest.mark.parametrize(
    ("body", "reference", "url", "fits"),
    [
        (create(), "acme-shop-7", "https://x/", True),
        (create(), "acme-shop-7", None, False),
        (create(user_flow="QR"), "acme-shop-7", None, False),
        (create(user_flow="PUSH_MESSAGE", phone_number="4791234567"), "acme-shop-7", None, True),
        # As a journal has it.
        (create(), "", None, True),
        (None, "acme-shop-7", None, True),
    ],
)
def test_a_payment_without_its_url(body: Any, reference: str, url: str | None, *, fits: bool) -> None:
    """Nobody can pay it, unless a message to the customer's phone leads there."""
    assert CREATE.misfit is not None
    call: Call[Any] = Call(operation=CREATE, path="/", payment="acme-shop-7", body=body)
    assert (CREATE.misfit(call, CreatedPayment(reference=reference, redirect_url=url)) is None) is fits


def test_each_operation_that_moves_money_raises_a_sum_of_its_own() -> None:
    """By that sum its answers are held against what was asked for; and every sum of a payment is raised by an event."""
    moving = [each for each in operations.OPERATIONS.values() if isinstance(each, MoneyOperation)]
    raised = [{SUMS[EventName(event)] for event in each.in_history} for each in moving]
    assert [len(sums) for sums in raised] == [1] * len(moving)
    assert len(set().union(*raised)) == len(moving)
    assert set(SUMS.values()) == set(attrs.fields_dict(Aggregate))
