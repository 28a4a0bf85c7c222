"""What `vipps-async payment` says of a payment as Vipps has it, and of what was done with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from vipps_async.cli.output import columns, plain
from vipps_async.core.batch import BatchOperation
from vipps_async.core.operation import Repeat, SettledBy
from vipps_async.core.payment_api import ActionResult, HistoryEntry, PaymentApi, PaymentState
from vipps_async.money import format_amount

_SETTLED_BY = {
    SettledBy.ANSWER: "",
    SettledBy.CONFIRMED: "",
    SettledBy.HISTORY: "Vipps' answer got lost; the payment's history proves it.",
    SettledBy.JOURNAL: "It was done before under this key, as the journal has it; nothing was sent now.",
    SettledBy.EARLIER_CALL: "An equal command that was under way brought it.",
}


def state_result(api: PaymentApi, payment: str, state: PaymentState, *, personal: bool) -> ActionResult:
    """Show a payment with its history.

    Args:
        api: what it was made with.
        payment: its id as it was asked for; an answer may come without one.
        state: what Vipps has.
        personal: show the customer as well.
    """
    theirs = f" (Vipps: {plain(state.vendor_state)})" if state.vendor_state else ""
    lines = [f"{api.name} payment {payment}: {plain(state.state_word)}{theirs}"]
    lines += [f"  {name:<16}{amount:>20}" for name, amount in state.sums.items()]
    lines += ["", *_history(state.history, state.currency)]
    facts = attrs.asdict(state.answer)
    if personal:
        known = [f"{name}: {plain(value)}" for name, value in _personal(facts, api.personal_fields)]
        lines += ["", *(known or ["Vipps has nothing about the customer here."])]
    else:
        facts = _without(facts, api.personal_fields)
    own = attrs.asdict(state, filter=lambda at, _: at.name != "answer")
    return ActionResult("\n".join(lines), facts | own | {"state_word": state.state_word})


def _history(entries: tuple[HistoryEntry, ...], currency: str) -> list[str]:
    rows = [("time (UTC)", "operation", "amount", "done", "idempotency key")]
    for entry in entries:
        time = "" if entry.time is None else f"{entry.time:%Y-%m-%d %H:%M:%S}"
        done = "yes" if entry.is_done else "FAILED"
        rows.append((time, plain(entry.name), format_amount(entry.amount, currency), done, plain(entry.key or "")))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    width = columns()
    # Beside all other columns or below them, the same in each row.
    is_key_below = width is not None and sum(widths) + 2 * (len(widths) - 1) > width
    lines = []
    for time, operation, amount, done, key in rows:
        row = f"{time:<{widths[0]}}  {operation:<{widths[1]}}  {amount:>{widths[2]}}  {done:<{widths[3]}}"
        if is_key_below:
            lines += [row.rstrip(), *([f"    {key}"] if key else [])]
        else:
            lines.append(f"{row}  {key}".rstrip())
    return lines


def _without(facts: Any, names: frozenset[str]) -> Any:
    """Leave fields out, at any depth."""
    if isinstance(facts, dict):
        return {name: _without(value, names) for name, value in facts.items() if name not in names}
    return [_without(each, names) for each in facts] if isinstance(facts, list) else facts


def _personal(facts: Any, names: frozenset[str], within: str = "") -> Iterator[tuple[str, Any]]:
    """Find the values of these fields at any depth, with the way to each."""
    for name, value in facts.items() if isinstance(facts, dict) else ():
        way = f"{within}.{name}" if within else name if name in names else ""
        if isinstance(value, dict):
            yield from _personal(value, names, way)
        elif way and value is not None:
            yield way, value


def operation_result(
    api: PaymentApi, operation: BatchOperation, payment: str, result: Any, *, idempotency_key: str | None
) -> ActionResult:
    """Show what a capture, refund or cancel did.

    Args:
        api: the payment's.
        operation: what was done.
        payment: its id.
        result: what the call returned.
        idempotency_key: what it was sent with; None: it has no key.
    """
    moved = api.moved(result)
    amount = "" if moved.amount is None else f"{format_amount(moved.amount, api.currency)} "
    lines = [f"{amount}{operation.done}, {api.name} payment {payment}"]
    if moved.left_to_capture is not None and moved.left_to_refund is not None:
        lines[0] += f"; left to capture: {format_amount(moved.left_to_capture, api.currency)}"
        lines[0] += f", to refund: {format_amount(moved.left_to_refund, api.currency)}"
    how = _SETTLED_BY[result.settled_by]
    if result.settled_by is SettledBy.HISTORY and api.operations[operation].repeat is Repeat.CONFIRM:
        # Nothing in its history says whose cancel it was.
        how = "It was found cancelled; whether by this command or an earlier one, or by somebody else, cannot be told."
    if how:
        lines.append(how)
    facts = _without(attrs.asdict(result), api.personal_fields)
    return ActionResult("\n".join(lines), {"idempotency_key": idempotency_key, **facts})
