"""How a payment shows itself: in kroner for people, in øre for machines, and without personal data unless asked."""

from __future__ import annotations

from typing import Any

import attrs
import orjson
from attrs import frozen

from vipps_async.cli.output import plain
from vipps_async.core.operation import SettledBy
from vipps_async.ecom.details import PaymentDetails, TransactionLogEntry
from vipps_async.ecom.responses import CancelResult, CaptureResult, RefundResult
from vipps_async.money import format_nok

__all__ = ["Shown", "json_line", "shown_details", "shown_result"]

#: What details say about the customer; the card's first digits as well.
_PERSONAL = ("user_details", "shipping_details", "sub")
_PERSONAL_IN_SUMMARY = "bank_identification_number"
_DONE = {"capture": "captured", "refund": "refunded", "cancel": "cancelled"}
_HOW = {
    SettledBy.ANSWER: "",
    SettledBy.HISTORY: "Vipps' answer got lost; the payment's history proves it.",
    SettledBy.JOURNAL: "It was done before under this key, as the journal has it; nothing was sent now.",
    SettledBy.EARLIER_CALL: "An equal command that was under way brought it.",
}


@frozen
class Shown:
    """A result, ready to be printed."""

    #: For people.
    text: str
    #: For machines, by name.
    facts: dict[str, Any]


def json_line(facts: dict[str, Any]) -> str:
    """Write one JSON object; a decimal number is written as text, so that none of it is lost."""
    return orjson.dumps(facts, default=str).decode()


# --- capture, refund and cancel --------------------------------------------------------------------------------------


def shown_result(
    operation: str, result: CaptureResult | RefundResult | CancelResult, *, idempotency_key: str | None
) -> Shown:
    """Show what a capture, refund or cancel did.

    Args:
        operation: ``capture``, ``refund`` or ``cancel``.
        result: what the call returned.
        idempotency_key: what it was sent with; None: it has no key.
    """
    done = _DONE[operation]
    transaction = result.transaction
    what = done if transaction is None else f"{format_nok(transaction.amount)} {done}"
    lines = [f"{what}, order {plain(result.order_id)}"]
    if result.transaction_summary is not None:
        lines[0] += f"; left to capture: {format_nok(result.transaction_summary.remaining_amount_to_capture)}"
        lines[0] += f", to refund: {format_nok(result.transaction_summary.remaining_amount_to_refund)}"
    if how := _HOW[result.settled_by]:
        lines.append(how)
    facts = {"operation": operation, "idempotency_key": idempotency_key, **attrs.asdict(result)}
    _leave_out_card(facts)
    return Shown("\n".join(lines), facts)


def _leave_out_card(facts: dict[str, Any]) -> None:
    summary = facts.get("transaction_summary")
    if summary is not None:
        del summary[_PERSONAL_IN_SUMMARY]


# --- details ---------------------------------------------------------------------------------------------------------


def shown_details(order_id: str, details: PaymentDetails, *, personal: bool) -> Shown:
    """Show a payment with its history.

    Args:
        order_id: as it was asked for; an answer may come without one.
        details: what Vipps has.
        personal: show the customer as well.
    """
    sums = {
        "reserved": details.reserved_amount,
        "captured": details.captured_amount,
        "refunded": details.refunded_amount,
        "left to capture": details.remaining_to_capture,
        "left to refund": details.remaining_to_refund,
    }
    lines = [f"Order {order_id}{_state(details)}"]
    lines += [f"  {name:<16}{format_nok(amount):>20}" for name, amount in sums.items()]
    lines += ["", *_history(details.transaction_log_history)]
    if personal:
        lines += ["", *_customer(details)]
    return Shown("\n".join(lines), _details_facts(order_id, details, personal=personal))


def _state(details: PaymentDetails) -> str:
    if details.is_cancelled:
        return " (cancelled)"
    if details.is_refused:
        return " (refused by the bank)"
    return "" if details.is_approved else " (not accepted so far)"


def _history(entries: tuple[TransactionLogEntry, ...]) -> list[str]:
    rows = [("time (UTC)", "operation", "amount", "done", "idempotency key")]
    for entry in entries:
        time = "" if entry.time_stamp is None else f"{entry.time_stamp:%Y-%m-%d %H:%M:%S}"
        done = "yes" if entry.operation_success else "FAILED"
        rows.append(
            (time, plain(entry.operation), format_nok(entry.amount), done, plain(entry.request_id or "")),
        )
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return [
        f"{time:<{widths[0]}}  {operation:<{widths[1]}}  {amount:>{widths[2]}}  {done:<{widths[3]}}  {key}".rstrip()
        for time, operation, amount, done, key in rows
    ]


def _customer(details: PaymentDetails) -> list[str]:
    lines = []
    for name, value in _personal_facts(details).items():
        if isinstance(value, dict):
            lines += [f"{name}.{part}: {plain(item)}" for part, item in _flat(value) if item is not None]
        elif value is not None:
            lines.append(f"{name}: {plain(value)}")
    return lines or ["Vipps has nothing about the customer here."]


def _flat(facts: dict[str, Any]) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in facts.items():
        found += (
            [(f"{name}.{part}", item) for part, item in _flat(value)] if isinstance(value, dict) else [(name, value)]
        )
    return found


def _personal_facts(details: PaymentDetails) -> dict[str, Any]:
    facts = attrs.asdict(details)
    summary = details.transaction_summary
    card = None if summary is None else summary.bank_identification_number
    return {name: facts[name] for name in _PERSONAL} | {_PERSONAL_IN_SUMMARY: card}


def _details_facts(order_id: str, details: PaymentDetails, *, personal: bool) -> dict[str, Any]:
    facts = attrs.asdict(details) | {"order_id": order_id}
    if not personal:
        for name in _PERSONAL:
            del facts[name]
        _leave_out_card(facts)
    return facts | {
        "is_approved": details.is_approved,
        "is_refused": details.is_refused,
        "is_cancelled": details.is_cancelled,
        "reserved_amount": details.reserved_amount,
        "captured_amount": details.captured_amount,
        "refunded_amount": details.refunded_amount,
        "remaining_to_capture": details.remaining_to_capture,
        "remaining_to_refund": details.remaining_to_refund,
    }
