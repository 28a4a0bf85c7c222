"""The payments of the ePayment API: its states and calls, and the actions that it alone has.

There is one value for each currency, since a batch has one: payments in another are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from vipps_async.core.batch import BatchOperation
from vipps_async.core.operation import Call, MoneyOperation, Runner
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
from vipps_async.epayment.calls import cancel_call, money_call, rebuild_call
from vipps_async.epayment.dialect import EPAYMENT
from vipps_async.epayment.enums import PaymentState as PaymentStateName
from vipps_async.epayment.operations import GET, OPERATIONS, AmountOperation, get_call, get_events_call
from vipps_async.epayment.request_rules import LARGEST, LEAST, check_phone_number
from vipps_async.epayment.responses import CancelledPayment, CreatedPayment, MovedPayment, Payment, PaymentEvent
from vipps_async.input_rules import check_reference, check_token
from vipps_async.money import Money
from vipps_async.not_given import NotGiven

_OPERATIONS: Final[dict[BatchOperation, MoneyOperation[Any]]] = {
    BatchOperation(operation.verb): operation
    for operation in OPERATIONS.values()
    if isinstance(operation, MoneyOperation)
}
#: Which operation an event is.
_VERBS: Final = {name: operation.verb for operation in _OPERATIONS.values() for name in operation.in_history}


# --- capture, refund and cancel ---------------------------------------------------------------------------------------


def _call(command: PaymentCommand, *, currency: str) -> Call[Any]:
    operation = _OPERATIONS[command.operation]
    if not isinstance(operation, AmountOperation):
        return cancel_call(
            command.payment,
            cancel_transaction_only=False,
            idempotency_key=command.key,
            row_reference=command.row_reference,
        )
    assert not isinstance(command.amount, NotGiven)  # noqa: S101 - for the type checker: it is computed before
    return money_call(
        operation,
        command.payment,
        amount=Money(command.amount, currency),
        idempotency_key=command.key,
        row_reference=command.row_reference,
    )


def _moved(result: MovedPayment | CancelledPayment) -> Moved:
    return Moved(
        amount=result.amount.value,
        # What proves a cancel is the payment, which does not tell when.
        time=None if isinstance(result, CancelledPayment) else result.time,
        left_to_capture=result.remaining_to_capture.value,
        left_to_refund=result.remaining_to_refund.value,
    )


# --- a payment's state ------------------------------------------------------------------------------------------------


async def _read_state(runner: Runner, reference: str) -> PaymentState:
    payment = await runner.run(get_call(reference))
    events = await runner.run(get_events_call(reference))
    sums = payment.aggregate
    return PaymentState(
        currency=payment.amount.currency,
        reserved_amount=sums.authorized_amount.value,
        captured_amount=sums.captured_amount.value,
        refunded_amount=sums.refunded_amount.value,
        remaining_to_capture=payment.remaining_to_capture.value,
        remaining_to_refund=payment.remaining_to_refund.value,
        is_released=payment.is_cancelled and not payment.remaining_to_capture,
        status=_status(payment),
        vendor_state=payment.state.value,
        history=tuple(_entry(event) for event in reversed(events)),
        answer=payment,
    )


_STATES = {
    PaymentStateName.CREATED: "not accepted so far",
    PaymentStateName.ABORTED: "declined by the customer",
    PaymentStateName.EXPIRED: "not accepted in time",
    PaymentStateName.TERMINATED: "cancelled before it was accepted",
}


def _status(payment: Payment) -> str:
    if payment.is_cancelled and not payment.aggregate.captured_amount:
        return "cancelled"
    return "" if payment.is_authorized else _STATES.get(payment.state, payment.state.value.lower())


def _entry(event: PaymentEvent) -> HistoryEntry:
    return HistoryEntry(
        name=event.name.value,
        verb=_VERBS.get(event.name),
        amount=event.amount.value,
        currency=event.amount.currency,
        is_done=event.success,
        key=event.idempotency_key,
        time=event.timestamp,
    )


def _history(reference: str, events: tuple[PaymentEvent, ...]) -> tuple[HistoryEntry, ...] | None:
    return None if any(event.reference != reference for event in events) else tuple(map(_entry, events))


# --- create and approve -----------------------------------------------------------------------------------------------


# The API is an `EpaymentApi`, which imports this file.


async def _create(epayment: Any, reference: str, values: Mapping[str, Any], *, currency: str) -> ActionResult:
    payment: CreatedPayment = await epayment.create(
        reference=reference,
        amount=Money(values["amount"], currency),
        payment_description=values["payment_description"],
        return_url=values["return_url"],
        phone_number=values["phone_number"],
    )
    url = payment.redirect_url or ""
    return ActionResult(url, {"url": url})


async def _approve(epayment: Any, reference: str, values: Mapping[str, Any]) -> ActionResult:
    # The payment's URL, or the bare token in it; the error does not show it.
    line = values["token"]
    token = CreatedPayment(reference=reference, redirect_url=line).token if "://" in line else line
    token = check_token(token) if line else None
    await epayment.approve(reference, phone_number=values["phone_number"], token=token)
    return ActionResult(f"approved, payment {reference}", {"approved": True})


_PHONE_HELP: Final = "9 to 15 digits, the country's code first"


def _actions(currency: str) -> tuple[Action, ...]:
    return (
        Action(
            verb="create",
            purpose="ask for a payment, and print the URL for the customer",
            more="No money moves before the customer accepts. Nothing but the URL goes to stdout; it is good for 5 "
            "minutes. ",
            options=(
                Option("amount", "AMOUNT", "how much, such as 499.00", None, required=True, example="499.00"),
                Option(
                    "payment_description",
                    "TEXT",
                    "what the customer reads in Vipps",
                    str,
                    required=True,
                    example="Socks.",
                ),
                Option(
                    "return_url",
                    "URL",
                    "where the customer comes back to, paid or not",
                    str,
                    required=True,
                    example="https://shop.example/thanks",
                ),
                Option(
                    "phone_number",
                    "NUMBER",
                    f"the customer's, if you know it already: {_PHONE_HELP}",
                    check_phone_number,
                ),
            ),
            doubt="The payment may exist; no money moves before the customer accepts it.",
            is_journalled=True,
            run=partial(_create, currency=currency),
        ),
        Action(
            verb="approve",
            purpose="accept a payment as the customer would, in the test environment only",
            more="The payment's URL, as create prints it, is read from standard input: it holds a token. An empty line "
            "sends none, which Vipps takes, too. ",
            options=(
                Option(
                    "phone_number",
                    "NUMBER",
                    f"the test user's: {_PHONE_HELP}; left out, none is sent",
                    check_phone_number,
                ),
            ),
            reads=("token", "The payment's URL: "),
            doubt="The payment may have been accepted.",
            run=_approve,
        ),
    )


def _api_in(currency: str, *units: Unit) -> PaymentApi:
    return PaymentApi(
        dialect=EPAYMENT,
        payment_heading="reference",
        text_heading=None,
        currency=currency,
        units=units,
        least=LEAST[currency],
        largest=LARGEST,
        check_payment=check_reference,
        check_text=str,
        operations=_OPERATIONS,
        make_call=partial(_call, currency=currency),
        rebuild=rebuild_call,
        moved=_moved,
        read_state=_read_state,
        read=GET,
        history=PaymentHistory(lookup=get_events_call, read=_history),
        takes_all=False,
        cancel_releases_rest=True,
        personal_fields=frozenset({"user_details", "shipping_details", "sub", "card_bin", "metadata", "redirect_url"}),
        actions=_actions(currency),
    )


_ORE: Final = Unit(name="ore", word="øre", decimals=0)
#: By their currency.
EPAYMENT_APIS: Final = {
    "NOK": _api_in("NOK", _ORE, Unit(name="nok", word="kroner", decimals=2)),
    "DKK": _api_in("DKK", _ORE, Unit(name="dkk", word="kroner", decimals=2)),
    "EUR": _api_in("EUR", Unit(name="cent", word="cents", decimals=0), Unit(name="eur", word="euros", decimals=2)),
}
#: What `--api epayment` means.
EPAYMENT_API: Final = EPAYMENT_APIS["NOK"]
