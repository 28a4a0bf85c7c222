"""A toy API: other headers, amounts, errors and evidence than eCom's. What works over it knows no API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Final

from attrs import field, frozen

from vipps_async.core.batch import BatchOperation
from vipps_async.core.batch_client import BatchClient
from vipps_async.core.converter import NOT_IN_JSON
from vipps_async.core.dialect import Dialect, ErrorRule, FailureKind
from vipps_async.core.events import AttemptListener
from vipps_async.core.operation import (
    Applied,
    AuditInfo,
    Call,
    Evidence,
    Inconclusive,
    NotApplied,
    Operation,
    Reconciliation,
    Repeat,
    Runner,
    SettledBy,
)
from vipps_async.core.payment_api import (
    HistoryEntry,
    Moved,
    PaymentApi,
    PaymentCommand,
    PaymentHistory,
    PaymentState,
    Unit,
)
from vipps_async.errors import CancelError, CaptureError, ErrorInfo, InvalidInputError, OrderNotFoundError, RefundError
from vipps_async.idempotency_keys import new_idempotency_key
from vipps_async.journals.entries import Intent, KeyOrigin
from vipps_async.journals.protocol import Journal
from vipps_async.not_given import NotGiven

__all__ = ["CAPTURE", "EVENTS", "TOY", "TOY_API", "ToyApi", "rebuild", "row_call"]


@frozen(kw_only=True)
class Amount:
    """Minor units of a currency."""

    currency: str
    value: int


@frozen(kw_only=True)
class Adjustment:
    """What capture, refund and cancel answer."""

    reference: str
    amount: Amount
    settled_by: SettledBy = field(default=SettledBy.ANSWER, metadata=NOT_IN_JSON)


@frozen(kw_only=True)
class Event:
    """Something that happened to a payment; the first one says how much is authorized."""

    name: str
    amount: Amount
    success: bool
    key: str | None = None


@frozen(kw_only=True)
class EventLog:
    """All that happened to a payment, the oldest first."""

    reference: str
    events: tuple[Event, ...]

    def total(self, *names: str) -> int:
        """Add up what succeeded under these names."""
        return sum(event.amount.value for event in self.events if event.success and event.name in names)


@frozen(kw_only=True)
class Body:
    """What capture, refund and cancel ask."""

    amount: Amount | None = None


def _read_problem(item: Mapping[str, Any]) -> list[ErrorInfo]:
    return [ErrorInfo("", str(item["type"]), str(item.get("title", "")))] if "type" in item and "status" in item else []


_RULES: Final = {
    "urn:toy:too-much": ErrorRule(None, "see the payment's events", permanent=True),
    "urn:toy:no-payment": ErrorRule(OrderNotFoundError, permanent=True),
    "urn:toy:busy": ErrorRule(None, retryable=True, kind=FailureKind.LOCKED),
}
TOY: Final = Dialect(
    name="toy",
    idempotency_header="Toy-Key",
    payment_of=lambda answer: getattr(answer, "reference", None),
    read_error=_read_problem,
    rule_for=lambda info: _RULES.get(info.code),
)


def _misfit(call: Call[Adjustment], result: Adjustment) -> str | None:
    asked = None if call.audit is None else call.audit.amount
    return None if asked in {None, result.amount.value} else f"{asked} were asked for, {result.amount.value} were moved"


def _operation(verb: str, error: type[Any]) -> Operation[Adjustment]:
    path = f"/toy/v1/payments/{{}}/{verb}"
    return Operation(
        dialect=TOY,
        verb=verb,
        method="POST",
        path=path,
        result=Adjustment,
        repeat=Repeat.KEYED,
        error=error,
        misfit=_misfit,
    )


CAPTURE: Final = _operation("capture", CaptureError)
_OPERATIONS: Final[dict[BatchOperation, Operation[Any]]] = {
    BatchOperation.CAPTURE: CAPTURE,
    BatchOperation.REFUND: _operation("refund", RefundError),
    BatchOperation.CANCEL: _operation("cancel", CancelError),
}
EVENTS: Final = Operation(
    dialect=TOY, verb="events", method="GET", path="/toy/v1/payments/{}/events", result=EventLog, repeat=Repeat.SAFE
)


def _ask(reference: str) -> Call[EventLog]:
    return Call(operation=EVENTS, path=EVENTS.path_for(reference), payment=reference)


def _interpret(log: EventLog, *, verb: str, key: str, amount: int | None) -> Evidence[Adjustment]:
    found = [event for event in log.events if event.key == key and event.name == verb]
    for event in found:
        if event.success:
            misfit = "" if amount in {None, event.amount.value} else f"{event.amount.value} were moved"
            return Applied(
                Adjustment(reference=log.reference, amount=event.amount, settled_by=SettledBy.HISTORY), misfit
            )
    return NotApplied("the events do not have the key as done", failed=len(found))


def _call(
    operation: Operation[Any], reference: str, key: str, audit: AuditInfo, body: Body | None, *, is_row: bool
) -> Call[Any]:
    interpret = partial(_interpret, verb=operation.verb, key=key, amount=audit.amount)
    return Call(
        operation=operation,
        path=operation.path_for(reference),
        payment=reference,
        body=body,
        idempotency_key=key,
        make_reconciliation=lambda: Reconciliation(
            lookup=_ask(reference),
            interpret=interpret,
            interpret_refusal=lambda error: Inconclusive(f"HTTP {error.status}"),
        ),
        audit=audit,
        is_row=is_row,
    )


def rebuild(intent: Intent) -> Call[Any]:
    """Make the call that an intent was written for."""
    audit = AuditInfo(amount=intent.amount, currency=intent.currency, origin=intent.origin, reference=intent.reference)
    return _call(_OPERATIONS[BatchOperation(intent.operation)], intent.payment, intent.key, audit, None, is_row=False)


def row_call(operation: BatchOperation, reference: str, value: int, *, key: str) -> Call[Any]:
    """Make the call of one operation."""
    audit = AuditInfo(amount=value, currency="EUR", origin=KeyOrigin.GIVEN)
    body = Body(amount=Amount(currency="EUR", value=value))
    return _call(_OPERATIONS[operation], reference, key, audit, body, is_row=False)


def _command_call(command: PaymentCommand) -> Call[Any]:
    is_cancel, is_row = command.operation is BatchOperation.CANCEL, command.row_reference is not None
    assert is_cancel or not isinstance(command.amount, NotGiven), "the amount of what takes all is computed before"
    value = None if isinstance(command.amount, NotGiven) else command.amount
    origin = KeyOrigin.ROW if is_row else KeyOrigin.GIVEN if command.key else KeyOrigin.MADE
    audit = AuditInfo(amount=value, currency="EUR", origin=origin, reference=command.row_reference or "")
    body = Body(amount=None if value is None else Amount(currency="EUR", value=value))
    key = command.key or new_idempotency_key()
    return _call(_OPERATIONS[command.operation], command.payment, key, audit, body, is_row=is_row)


def _history(log: EventLog) -> tuple[HistoryEntry, ...]:
    verbs = {operation.value for operation in BatchOperation}
    return tuple(
        HistoryEntry(
            name=event.name,
            verb=event.name if event.name in verbs else None,
            amount=event.amount.value,
            currency=event.amount.currency,
            is_done=event.success,
            key=event.key,
            time=None,
        )
        for event in reversed(log.events)
    )


async def _read_state(runner: Runner, reference: str) -> PaymentState:
    log = await runner.run(_ask(reference))
    return PaymentState(
        currency="EUR",
        reserved_amount=log.total("authorize"),
        captured_amount=log.total("capture"),
        refunded_amount=log.total("refund"),
        remaining_to_capture=log.total("authorize") - log.total("capture", "cancel"),
        remaining_to_refund=log.total("capture") - log.total("refund"),
        is_released=log.total("cancel") > 0,
        history=_history(log),
        answer=log,
    )


def _check_reference(value: object) -> str:
    if not isinstance(value, str) or not value.startswith("toy-"):
        raise InvalidInputError("payment", "text that begins with toy-", value=value)
    return value


TOY_API: Final = PaymentApi(
    dialect=TOY,
    payment_heading="toy",
    text_heading=None,
    currency="EUR",
    units=(Unit(name="cent", word="cents", decimals=0), Unit(name="eur", word="euro", decimals=2)),
    least=1,
    largest=1_000_000,
    check_payment=_check_reference,
    check_text=str,
    operations=_OPERATIONS,
    make_call=_command_call,
    rebuild=rebuild,
    moved=lambda result: Moved(amount=result.amount.value),
    read_state=_read_state,
    history=PaymentHistory(lookup=_ask, read=lambda _, log: _history(log)),
    read=EVENTS,
    takes_all=False,
    cancel_releases_rest=True,
)


@frozen(kw_only=True)
class ToyApi:
    """The API upon a runner."""

    runner: Runner
    listening: Callable[[AttemptListener], AbstractContextManager[None]]
    journal: Journal | None = None

    @property
    def batch(self) -> BatchClient:
        """What a batch needs of it."""
        return BatchClient(
            api=TOY_API,
            runner=self.runner,
            merchant_serial_number="123456",
            listening=self.listening,
            journal=self.journal,
        )
