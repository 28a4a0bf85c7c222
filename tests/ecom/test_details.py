"""What details says about a payment."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson
import pytest

from tests.ecom.payments import details, entry, summary
from tests.support.rows import each_row
from vipps_async import Address, OperationName, PaymentDetails, UserDetails
from vipps_async.core.converter import UnreadableAnswer, decode

INITIATE = entry("INITIATE", key="")
RESERVE = entry("RESERVE", key="")
SALE = entry("SALE", key="")


def facts(found: PaymentDetails) -> tuple[bool, bool, bool, bool]:
    """Return whether a payment is approved, reserved, captured, cancelled."""
    return found.is_approved, found.is_reserved, found.is_captured, found.is_cancelled


@each_row(
    ("history", "expected"),
    [
        ([], (False, False, False, False)),
        ([INITIATE], (False, False, False, False)),
        ([entry("RESERVE", success=False), INITIATE], (False, False, False, False)),
        ([entry("CANCEL", 0), INITIATE], (False, False, False, True)),
        ([entry("CANCEL", 0, success=False), RESERVE, INITIATE], (True, True, False, False)),
        ([RESERVE, INITIATE], (True, True, False, False)),
        ([entry("VOID"), RESERVE, INITIATE], (True, False, False, True)),
        ([entry("CAPTURE", 10000), RESERVE, INITIATE], (True, True, True, False)),
        ([entry("CAPTURE"), RESERVE, INITIATE], (True, False, True, False)),
        ([entry("CAPTURE", success=False), RESERVE, INITIATE], (True, True, False, False)),
        ([entry("VOID", 39900), entry("CAPTURE", 10000), RESERVE, INITIATE], (True, False, True, False)),
        ([SALE, INITIATE], (True, False, True, False)),
        ([entry("REFUND"), SALE, INITIATE], (True, False, True, False)),
        ([entry("BRAND_NEW"), RESERVE, INITIATE], (True, True, False, False)),
    ],
)
def test_the_state_of_a_payment(history: list[Any], expected: tuple[bool, bool, bool, bool]) -> None:
    """The history alone tells whether a payment is approved, reserved, captured or cancelled."""
    assert expected == facts(details(*history))


@each_row(
    ("history", "is_refused", "has_outcome"),
    [
        ([INITIATE], False, False),
        ([entry("RESERVE", success=False), INITIATE], True, True),
        ([entry("SALE", success=False), INITIATE], True, True),
        ([entry("CANCEL", 0), entry("RESERVE", success=False), INITIATE], True, True),
        ([RESERVE, entry("RESERVE", success=False), INITIATE], False, True),
        ([entry("CAPTURE", success=False), RESERVE, INITIATE], False, True),
        ([entry("CANCEL", 0, success=False), INITIATE], False, False),
        ([entry("CANCEL", 0), INITIATE], False, True),
    ],
)
def test_a_payment_that_the_bank_refused(history: list[Any], *, is_refused: bool, has_outcome: bool) -> None:
    """A reservation that failed is a refusal by the bank until one succeeds, and an outcome as much as a success."""
    found = details(*history)
    assert (found.is_refused, found.has_outcome) == (is_refused, has_outcome)


def test_the_sums_by_the_history() -> None:
    """Without a summary the sums follow from the operations that succeeded."""
    found = details(
        entry("REFUND", 1000),
        entry("REFUND", 500, success=False),
        entry("CAPTURE", 10000),
        entry("CAPTURE", 20000),
        RESERVE,
    )
    assert (found.reserved_amount, found.captured_amount, found.refunded_amount) == (49900, 30000, 1000)
    assert (found.remaining_to_capture, found.remaining_to_refund) == (19900, 29000)


def test_the_sums_by_the_summary() -> None:
    """A summary decides, for Vipps knows more than the history shows."""
    found = details(RESERVE, transactionSummary=summary(1, 2, 3, 4))
    assert (
        found.reserved_amount,
        found.captured_amount,
        found.refunded_amount,
        found.remaining_to_capture,
        found.remaining_to_refund,
    ) == (49900, 1, 2, 3, 4)


@pytest.mark.parametrize("history", [[], [INITIATE], [entry("CANCEL", 0), INITIATE]])
def test_nothing_remains_of_what_was_never_reserved(history: list[Any]) -> None:
    """Nothing can be captured or refunded before the customer has accepted."""
    found = details(*history)
    assert (found.reserved_amount, found.remaining_to_capture, found.remaining_to_refund) == (0, 0, 0)


def test_the_remains_are_never_negative() -> None:
    """A history that lacks its beginning does not make sums below 0."""
    found = details(entry("REFUND", 5), entry("CAPTURE", 4))
    assert (found.remaining_to_capture, found.remaining_to_refund) == (0, 0)


def test_the_last_successful_operation() -> None:
    """The newest operation that succeeded counts, by time if all have one, else by Vipps' order."""
    failed = entry("CAPTURE", success=False, at="2026-01-03T00:00:00Z")
    reserve, initiate = entry("RESERVE", at="2026-01-02T00:00:00Z"), entry("INITIATE", at="2026-01-01T00:00:00Z")
    for history in ([failed, reserve, initiate], [initiate, reserve, failed], [entry("RESERVE"), initiate]):
        last = details(*history).last_successful_operation
        assert last is not None
        assert OperationName.RESERVE is last.operation
    assert details(failed).last_successful_operation is None


def test_entries_of_the_same_time_keep_their_order() -> None:
    """Of two operations in the same instant the one that Vipps puts first is the newer."""
    at = "2026-01-01T00:00:00Z"
    last = details(entry("CAPTURE", at=at), entry("RESERVE", at=at)).last_successful_operation
    assert last is not None
    assert OperationName.CAPTURE is last.operation


def test_the_entry_of_a_key() -> None:
    """The entry of an idempotency key is found, the successful one before a failed one."""
    found = details(
        entry("REFUND", 1, "k"),
        entry("CAPTURE", 2, "k", success=False),
        entry("CAPTURE", 3, "k"),
        entry("CAPTURE", 4, "other"),
    )
    assert [
        one.amount if one else None
        for one in (
            found.entry("k"),
            found.entry("k", operation=OperationName.CAPTURE),
            details(entry("CAPTURE", 2, "k", success=False)).entry("k", operation="CAPTURE"),
            found.entry("K"),
        )
    ] == [1, 3, 2, None]
    assert [one.amount for one in found.entries("k", operation="CAPTURE")] == [2, 3]


def test_everything_is_read() -> None:
    """Customer, shipping, sums and history are read, whichever form Vipps chose for them."""
    found = details(
        {"operation": "RESERVE", "amount": "49900", "operationSuccess": "true", "timeStamp": "2019-02-05T12:27:42.311"},
        sub="a-b-c",
        transactionSummary={**summary(to_capture=49900), "bankIdentificationNumber": 123456},
        shippingDetails={
            "address": {"addressLine1": "Gate 5", "city": "Oslo", "country": "Norway", "zipCode": "0154"},
            "shippingCost": 109.90,
            "shippingMethod": "Post",
            "shippingMethodId": 7,
        },
        userDetails={"email": "[Expired]", "firstName": "Ada", "mobileNumber": 91234567, "userId": "x=="},
    )
    assert datetime(2019, 2, 5, 12, 27, 42, 311_000, tzinfo=UTC) == found.transaction_log_history[0].time_stamp
    assert found.sub == "a-b-c"
    assert found.transaction_summary is not None
    assert found.transaction_summary.bank_identification_number == "123456"
    assert (
        UserDetails(email="[Expired]", first_name="Ada", mobile_number="91234567", user_id="x==") == found.user_details
    )
    shipping = found.shipping_details
    assert shipping is not None
    assert (Decimal("109.9"), "Post", "7") == (
        shipping.shipping_cost,
        shipping.shipping_method,
        shipping.shipping_method_id,
    )
    assert Address(address_line1="Gate 5", city="Oslo", country="Norway", post_code="0154") == shipping.address


def test_nearly_nothing_is_read() -> None:
    """Details of which everything optional is missing can still be read."""
    assert PaymentDetails() == decode(orjson.dumps({}), PaymentDetails)


ENTRY = {"amount": 100, "operation": "CAPTURE", "operationSuccess": True, "requestId": "key-1"}
SUMS = {
    "capturedAmount": 100,
    "refundedAmount": 0,
    "remainingAmountToCapture": 0,
    "remainingAmountToRefund": 100,
}


@pytest.mark.parametrize("name", ["timeStamp", "transactionId", "transactionText", "requestId"])
def test_what_decides_nothing_never_sinks_details(name: str) -> None:
    """One optional field of an entry, or of the customer, that cannot be read is None; the rest is there."""
    body = {
        "orderId": "acme-1",
        "transactionLogHistory": [ENTRY | {name: {"x": 1.5}}],
        "transactionSummary": SUMS,
        "userDetails": {"email": ["x"], "firstName": "Ada"},
        "shippingDetails": {"shippingCost": "free", "address": "Gate 5"},
        "sub": 1.5,
    }
    found = decode(orjson.dumps(body), PaymentDetails)
    assert (found.captured_amount, found.sub) == (100, None)
    assert found.user_details == UserDetails(first_name="Ada")
    assert found.shipping_details is not None
    assert (found.shipping_details.address, found.shipping_details.shipping_cost) == (None, None)
    (only,) = found.transaction_log_history
    assert only.amount == 100


@each_row(
    "changes",
    [
        {"orderId": ["acme-1"]},
        {"transactionLogHistory": {}},
        {"transactionLogHistory": [ENTRY | {"amount": "all"}]},
        {"transactionLogHistory": [ENTRY | {"operation": 7}]},
        {"transactionLogHistory": [ENTRY | {"operationSuccess": "perhaps"}]},
        {"transactionLogHistory": [ENTRY | {"operationSuccess": None}]},
        {"transactionSummary": []},
        {"transactionSummary": SUMS | {"refundedAmount": 1.5}},
    ],
)
def test_what_tells_of_money_must_be_readable(changes: dict[str, object]) -> None:
    """Order, sums, operations and their success are not guessed."""
    with pytest.raises(UnreadableAnswer):
        decode(orjson.dumps({"orderId": "acme-1", "transactionLogHistory": [ENTRY]} | changes), PaymentDetails)
