"""What the ePayment API has of its own for batches: headings, how a row becomes a call, and what it would do.

A batch has one currency, so there is one value for each: payments in another are refused. A cancel cancels what is left
of a partly captured payment without being asked for it, as the API does.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from attrs import frozen

from vipps_async.core.batch import BatchApi, BatchOperation, DryRun, Moved, RowCommand, Unit
from vipps_async.core.operation import Call, Operation, Runner
from vipps_async.epayment.calls import cancel_call, money_call
from vipps_async.epayment.dialect import EPAYMENT
from vipps_async.epayment.enums import EventName, PaymentState
from vipps_async.epayment.operations import CANCEL, CAPTURE, GET, REFUND, get_call, get_events_call
from vipps_async.epayment.request_rules import LARGEST, LEAST
from vipps_async.epayment.responses import CancelledPayment, CapturedPayment, Payment, PaymentEvent, RefundedPayment
from vipps_async.errors import InvalidInputError
from vipps_async.input_rules import check_reference
from vipps_async.money import Money

__all__ = ["EPAYMENT_BATCH", "EPAYMENT_BATCHES"]

_OPERATIONS: Final[dict[BatchOperation, Operation[Any]]] = {
    BatchOperation.CAPTURE: CAPTURE,
    BatchOperation.REFUND: REFUND,
    BatchOperation.CANCEL: CANCEL,
}
_EVENTS: Final = {BatchOperation.CAPTURE: EventName.CAPTURED, BatchOperation.REFUND: EventName.REFUNDED}


@frozen
class _State:
    """A payment with its events, which tell what a row's key has done."""

    payment: Payment
    events: tuple[PaymentEvent, ...]


def _call(command: RowCommand, *, currency: str) -> Call[Any]:
    row = command.row
    # The journal notes the row's reference (empty: it has none): what a row may repeat is told by it.
    reference = row.reference or ""
    if command.operation is BatchOperation.CANCEL:
        return cancel_call(
            row.payment, cancel_transaction_only=False, idempotency_key=command.key, row_reference=reference
        )
    value = row.minor_units
    assert value is not None  # noqa: S101 - for the type checker: that of a row that takes all is computed before
    return money_call(
        _OPERATIONS[command.operation],
        row.payment,
        amount=Money(value, currency),
        idempotency_key=command.key,
        row_reference=reference,
    )


def _moved(result: CapturedPayment | RefundedPayment | CancelledPayment) -> Moved:
    return Moved(amount=result.amount.value)


async def _read_state(runner: Runner, reference: str) -> _State:
    payment = await runner.run(get_call(reference))
    return _State(payment, await runner.run(get_events_call(reference)))


def _remaining(operation: BatchOperation, state: _State, *, currency: str) -> int:
    payment = state.payment
    left = payment.remaining_to_capture if operation is BatchOperation.CAPTURE else payment.remaining_to_refund
    if left.currency != currency:
        raise InvalidInputError("payment", f"one in {currency}: this batch has no other currency", value=left)
    return left.value


def _dry_run(command: RowCommand, state: _State, planned: int, *, currency: str) -> DryRun:
    payment = state.payment
    if command.operation is BatchOperation.CANCEL:
        if _is_released(state):
            return DryRun(is_done=True)
        return DryRun(is_refused=payment.state != PaymentState.CREATED and not payment.remaining_to_capture)
    for event in state.events:
        if event.success and event.idempotency_key == command.key and event.name == _EVENTS[command.operation]:
            return DryRun(is_done=True, moved=Moved(amount=event.amount.value, time=event.timestamp))
    left = _remaining(command.operation, state, currency=currency) - planned
    asked = command.row.minor_units
    wanted = left if asked is None else asked
    if left <= 0 or wanted > left:
        return DryRun(is_refused=True)
    return DryRun(moved=Moved(amount=wanted))


def _is_released(state: _State) -> bool:
    return state.payment.is_cancelled and not state.payment.remaining_to_capture


def _describe(state: _State) -> str:
    payment, sums = state.payment, state.payment.aggregate
    parts = [
        f"authorized {sums.authorized_amount}",
        f"captured {sums.captured_amount}",
        f"refunded {sums.refunded_amount}",
        f"left to capture {payment.remaining_to_capture}",
    ]
    word = " It is cancelled." if _is_released(state) else ""
    return f"Vipps has of this payment: {payment.state.value}, {', '.join(parts)}.{word}"


def _batch_in(currency: str, minor: Unit, major: Unit) -> BatchApi:
    return BatchApi(
        dialect=EPAYMENT,
        payment_heading="reference",
        text_heading=None,
        currency=currency,
        units=(minor, major),
        least=LEAST[currency],
        largest=LARGEST,
        check_payment=check_reference,
        check_text=str,
        operations=_OPERATIONS,
        make_call=partial(_call, currency=currency),
        moved=_moved,
        read_state=_read_state,
        read=GET,
        dry_run=partial(_dry_run, currency=currency),
        is_released=_is_released,
        describe=_describe,
        remaining=partial(_remaining, currency=currency),
    )


_ORE: Final = Unit(name="ore", word="øre", decimals=0)
#: By their currency.
EPAYMENT_BATCHES: Final = {
    "NOK": _batch_in("NOK", _ORE, Unit(name="nok", word="kroner", decimals=2)),
    "DKK": _batch_in("DKK", _ORE, Unit(name="dkk", word="kroner", decimals=2)),
    "EUR": _batch_in("EUR", Unit(name="cent", word="cents", decimals=0), Unit(name="eur", word="euros", decimals=2)),
}
#: What `--api epayment` carries out.
EPAYMENT_BATCH: Final = EPAYMENT_BATCHES["NOK"]
