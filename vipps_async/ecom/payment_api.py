"""The payments of the eCom API: its fields, states and calls, and the actions that it alone has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from attrs import evolve

from vipps_async.core.batch import BatchOperation
from vipps_async.core.operation import Call, Runner
from vipps_async.core.payment_api import (
    Action,
    ActionResult,
    HistoryEntry,
    Moved,
    Option,
    PaymentApi,
    PaymentCommand,
    PaymentHistory,
    PaymentState,
    Unit,
)
from vipps_async.ecom.calls import cancel_call, money_call, rebuild_call
from vipps_async.ecom.details import PaymentDetails, TransactionLogEntry
from vipps_async.ecom.dialect import ECOM, NOTES
from vipps_async.ecom.enums import OperationName
from vipps_async.ecom.operations import DETAILS, OPERATIONS, EcomMoneyOperation, ask_details
from vipps_async.ecom.requests import MerchantInfoPayment
from vipps_async.ecom.responses import CancelResult, CaptureResult, InitiatedPayment, RefundResult
from vipps_async.input_rules import check_mobile_number, check_order_id, check_token, check_transaction_text
from vipps_async.money import LARGEST_AMOUNT, MINIMUM_AMOUNT

_OPERATIONS: Final[dict[BatchOperation, EcomMoneyOperation[Any]]] = {
    BatchOperation(operation.verb): operation
    for operation in OPERATIONS.values()
    if isinstance(operation, EcomMoneyOperation)
}
#: Which operation an entry of the history is.
_VERBS: Final = {name: operation.verb for operation in _OPERATIONS.values() for name in operation.in_history}


# --- capture, refund and cancel ---------------------------------------------------------------------------------------


def _call(command: PaymentCommand) -> Call[Any]:
    merchant = MerchantInfoPayment(merchant_serial_number=command.merchant_serial_number)
    if command.operation is BatchOperation.CANCEL:
        return cancel_call(
            command.payment,
            merchant=merchant,
            transaction_text=command.text,
            should_release_remaining_funds=command.release_remaining,
            row_reference=command.row_reference,
        )
    return money_call(
        _OPERATIONS[command.operation],
        command.payment,
        merchant=merchant,
        transaction_text=command.text,
        amount=command.amount,
        idempotency_key=command.key,
        row_reference=command.row_reference,
    )


def _moved(result: CaptureResult | RefundResult | CancelResult) -> Moved:
    transaction, sums = result.transaction, result.transaction_summary
    return Moved(
        amount=None if transaction is None else transaction.amount,
        time=None if transaction is None else transaction.time_stamp,
        left_to_capture=None if sums is None else sums.remaining_amount_to_capture,
        left_to_refund=None if sums is None else sums.remaining_amount_to_refund,
    )


# --- a payment's state ------------------------------------------------------------------------------------------------


async def _read_state(runner: Runner, order_id: str) -> PaymentState:
    details = await runner.run(ask_details(order_id))
    is_rest_released = 0 < details.captured_amount < details.reserved_amount and details.remaining_to_capture == 0
    return PaymentState(
        currency="NOK",
        reserved_amount=details.reserved_amount,
        captured_amount=details.captured_amount,
        refunded_amount=details.refunded_amount,
        remaining_to_capture=details.remaining_to_capture,
        remaining_to_refund=details.remaining_to_refund,
        is_released=details.is_cancelled or is_rest_released,
        status=_status(details),
        vendor_state=next(map(_word, details.transaction_log_history), ""),
        history=tuple(map(_entry, details.transaction_log_history)),
        answer=details,
    )


def _status(details: PaymentDetails) -> str:
    if details.is_cancelled:
        return "cancelled"
    if details.is_refused:
        return "refused by the bank"
    return "" if details.is_approved else "not accepted so far"


def _word(entry: TransactionLogEntry) -> str:
    return entry.operation.value if entry.operation_success else f"{entry.operation.value} failed"


def _entry(entry: TransactionLogEntry) -> HistoryEntry:
    return HistoryEntry(
        name=entry.operation.value,
        verb=_VERBS.get(entry.operation),
        amount=entry.amount,
        currency="NOK",
        is_done=entry.operation_success,
        key=entry.request_id,
        time=entry.time_stamp,
    )


def _history(order_id: str, details: PaymentDetails) -> tuple[HistoryEntry, ...] | None:
    if details.order_id not in {None, order_id}:
        return None
    # What a sales unit captures by itself when the customer accepts was asked for by nobody.
    return tuple(
        evolve(_entry(entry), verb=None) if entry.operation == OperationName.SALE else _entry(entry)
        for entry in details.transaction_log_history
    )


# --- initiate and approve ---------------------------------------------------------------------------------------------


# The API is an `EcomApi`, which imports this file.


async def _initiate(ecom: Any, order_id: str, values: Mapping[str, Any]) -> ActionResult:
    payment: InitiatedPayment = await ecom.initiate(
        order_id=order_id,
        amount=values["amount"],
        transaction_text=values["text"],
        callback_prefix=values["callback_prefix"],
        fall_back=values["fall_back"],
        mobile_number=values["mobile_number"],
    )
    return ActionResult(payment.url, {"url": payment.url})


async def _approve(ecom: Any, order_id: str, values: Mapping[str, Any]) -> ActionResult:
    # The payment's URL, or the bare token in it; the error does not show it.
    line = values["token"]
    token = InitiatedPayment(order_id=order_id, url=line).token if "://" in line else line
    await ecom.approve(order_id, mobile_number=values["mobile_number"], token=check_token(token) if line else None)
    return ActionResult(f"approved, payment {order_id}", {"approved": True})


_ACTIONS: Final = (
    Action(
        verb="initiate",
        purpose="ask for a payment, and print the URL for the customer",
        more="No money moves before the customer accepts. Nothing but the URL goes to stdout; it is good for 5 "
        "minutes. ",
        options=(
            Option("amount", "KRONER", "how much, such as 499.00", None, required=True, example="499.00"),
            Option(
                "text",
                "TEXT",
                "what the customer reads in Vipps",
                check_transaction_text,
                required=True,
                example="Socks.",
            ),
            Option(
                "callback_prefix",
                "URL",
                "where Vipps posts the outcome: https, of a public host",
                str,
                required=True,
                example="https://shop.example/vipps",
            ),
            Option(
                "fall_back",
                "URL",
                "where the customer comes back to, paid or not",
                str,
                required=True,
                example="https://shop.example/thanks",
            ),
            Option("mobile_number", "NUMBER", "the customer's, 8 digits, if you know it already", check_mobile_number),
        ),
        doubt="The payment may exist; no money moves before the customer accepts it.",
        is_journalled=True,
        run=_initiate,
    ),
    Action(
        verb="approve",
        purpose="accept a payment as the customer would, in the test environment only",
        more="The payment's URL, as initiate prints it, is read from standard input: it holds a token. An empty line "
        "sends none, which Vipps takes, too. ",
        options=(
            Option("mobile_number", "NUMBER", "the test user's, 8 digits; left out, none is sent", check_mobile_number),
        ),
        reads=("token", "The payment's URL: "),
        doubt="The payment may have been accepted.",
        run=_approve,
    ),
)


ECOM_API: Final = PaymentApi(
    dialect=ECOM,
    payment_heading="order_id",
    text_heading="transaction_text",
    currency="NOK",
    units=(Unit(name="ore", word="øre", decimals=0), Unit(name="nok", word="kroner", decimals=2)),
    least=MINIMUM_AMOUNT,
    largest=LARGEST_AMOUNT,
    check_payment=check_order_id,
    check_text=check_transaction_text,
    operations=_OPERATIONS,
    make_call=_call,
    rebuild=rebuild_call,
    moved=_moved,
    read_state=_read_state,
    read=DETAILS,
    history=PaymentHistory(lookup=ask_details, read=_history),
    passed_over=NOTES,
    personal_fields=frozenset({"user_details", "shipping_details", "sub", "bank_identification_number"}),
    actions=_ACTIONS,
)
