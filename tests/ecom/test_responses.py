"""What initiate, capture, cancel, refund and status answer."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from tests.support.rows import each_row
from vipps_async import (
    CancelResult,
    CaptureResult,
    InitiatedPayment,
    OrderStatus,
    PaymentStatus,
    RefundResult,
    TransactionInfo,
    TransactionStatus,
    TransactionSummary,
)
from vipps_async.core.converter import UnreadableAnswer, decode
from vipps_async.core.operation import SettledBy

INFO = {
    "amount": 49900,
    "status": "Captured",
    "timeStamp": "2018-12-12T11:18:38.246",
    "transactionId": 5432123456,
    "transactionText": "Socks",
}
SUMMARY = {
    "capturedAmount": 49900,
    "refundedAmount": "0",
    "remainingAmountToCapture": 0,
    "remainingAmountToRefund": 49900,
}
RESULTS: list[type[Any]] = [CaptureResult, CancelResult, RefundResult]


@pytest.mark.parametrize("cls", RESULTS)
@pytest.mark.parametrize("name", ["transaction", "transactionInfo"])
def test_a_transaction_by_either_name(cls: type[Any], name: str) -> None:
    """All results have their transaction under one name, whichever Vipps used."""
    body = {"orderId": "acme-1", name: INFO, "transactionSummary": SUMMARY, "paymentInstrument": "Visa"}
    result = decode(orjson.dumps(body), cls)
    assert result.transaction == TransactionInfo(
        amount=49900,
        status=TransactionStatus.CAPTURED,
        time_stamp=datetime(2018, 12, 12, 11, 18, 38, 246_000, tzinfo=UTC),
        transaction_id="5432123456",
        transaction_text="Socks",
    )
    assert result.transaction_summary == TransactionSummary(
        captured_amount=49900, refunded_amount=0, remaining_amount_to_capture=0, remaining_amount_to_refund=49900
    )


@pytest.mark.parametrize("cls", RESULTS)
def test_the_amount_of_a_result(cls: type[Any]) -> None:
    """Each result has its amount at hand, with and without the payment's sums."""
    result = decode(orjson.dumps({"orderId": "acme-1", "transactionInfo": INFO}), cls)
    assert (result.order_id, result.amount, result.transaction_summary) == ("acme-1", 49900, None)


def test_the_cancel_of_what_nobody_accepted() -> None:
    """An answer that names but the order is a success all the same; nothing was released."""
    result = decode(b'{"orderId":"acme-1"}', CancelResult)
    assert (result.order_id, result.amount, result.transaction, result.transaction_summary) == ("acme-1", 0, None, None)


@pytest.mark.parametrize(("cls", "name"), [(CaptureResult, "transactionInfo"), (RefundResult, "transaction")])
@pytest.mark.parametrize("rest", [{}, {"transactionInfo": None, "transaction": None}, {"transactionSummary": SUMMARY}])
def test_a_capture_or_refund_that_names_no_transaction(cls: type[Any], name: str, rest: dict[str, object]) -> None:
    """It does not say that it did what was asked for, so it cannot be read as its result."""
    with pytest.raises(UnreadableAnswer, match=f"^{name} is missing$"):
        decode(orjson.dumps({"orderId": "acme-1", **rest}), cls)


@pytest.mark.parametrize("cls", [*RESULTS, InitiatedPayment])
def test_an_answer_about_nothing(cls: type[Any]) -> None:
    """JSON that names no order, such as an error's, is no result."""
    with pytest.raises(UnreadableAnswer, match="orderId is missing"):
        decode(b'{"statusCode":401,"message":"no"}', cls)


@each_row("cls", RESULTS)
@each_row("name", ["timeStamp", "transactionId", "transactionText"])
def test_what_decides_nothing_never_sinks_a_result(cls: type[Any], name: str) -> None:
    """One optional field that cannot be read is None; the money that moved is told all the same."""
    body = {"orderId": "acme-1", "transactionInfo": INFO | {name: [1.5]}, "paymentInstrument": ["Visa"]}
    body["transactionSummary"] = SUMMARY | {"bankIdentificationNumber": {"a": 1}}
    result = decode(orjson.dumps(body), cls)
    assert result.transaction.amount == 49900
    assert result.transaction_summary.captured_amount == 49900
    assert result.transaction_summary.bank_identification_number is None
    assert getattr(result, "payment_instrument", None) is None
    attribute = {"timeStamp": "time_stamp", "transactionId": "transaction_id", "transactionText": "transaction_text"}
    assert getattr(result.transaction, attribute[name]) is None


@each_row("cls", RESULTS)
@each_row(
    ("changes", "reason"),
    [
        ({"orderId": ["acme-1"]}, "orderId is not a text"),
        ({"transactionInfo": INFO | {"amount": "all"}}, "amount is not a whole number"),
        ({"transactionInfo": "done"}, "is not an object"),
        ({"transactionSummary": SUMMARY | {"capturedAmount": None}}, "capturedAmount is missing"),
    ],
)
def test_what_tells_of_money_must_be_readable(cls: type[Any], changes: dict[str, object], reason: str) -> None:
    """Order and sums are not guessed: an answer in which they cannot be read is unreadable."""
    with pytest.raises(UnreadableAnswer, match=reason):
        decode(orjson.dumps({"orderId": "acme-1", "transactionInfo": INFO} | changes), cls)


@pytest.mark.parametrize("word", ["CANCEL", "REJECTED"])
def test_the_status_after_a_time_out(word: str) -> None:
    """Sources differ in what the status says when the customer did not act: either word is read."""
    body = {"orderId": "acme-1", "transactionInfo": {"amount": 100, "status": word}}
    found = decode(orjson.dumps(body), PaymentStatus).transaction
    assert found is not None
    assert found.status is OrderStatus(word)
    assert found.status.known


@pytest.mark.parametrize("cls", RESULTS)
def test_what_a_result_rests_on_is_not_read(cls: type[Any]) -> None:
    """Only this package says what a result rests on, never the JSON."""
    for name in ("settledBy", "settled_by"):
        result = decode(orjson.dumps({"orderId": "acme-1", "transactionInfo": INFO, name: "recovery"}), cls)
        assert result.settled_by is SettledBy.ANSWER


@pytest.mark.parametrize(
    ("url", "token"),
    [
        ("https://api.vipps.no/dwo-api-application/v1/deeplink/vippsgateway?v=2&token=eyJ.a-b_c", "eyJ.a-b_c"),
        ("vippsMT://?token=eyJ.x&v=2", "eyJ.x"),
        ("https://example.com/", None),
        ("https://[broken", None),
        ("", None),
    ],
)
def test_the_token_of_a_payment(url: str, token: str | None) -> None:
    """The token is taken out of the URL, if it has one."""
    assert InitiatedPayment(order_id="acme-1", url=url).token == token


def test_status() -> None:
    """The deprecated status names the last transaction."""
    body = {"orderId": "acme-1", "transactionInfo": {"amount": 100, "status": "REGISTER", "timeStamp": None}}
    status = decode(orjson.dumps(body), PaymentStatus)
    assert status.transaction is not None
    assert (status.transaction.amount, status.transaction.status) == (100, OrderStatus.REGISTER)
    assert decode(b"{}", PaymentStatus) == PaymentStatus()
