"""Explains why a row is refused: its key has other content in the journal, or the payment has less than is asked."""

from __future__ import annotations

from attrs import evolve

from vipps_async.batch.results import RowCause, RowResult, moved_by
from vipps_async.core.batch import BatchOperation
from vipps_async.core.payment_api import PaymentApi, PaymentCommand, PaymentState
from vipps_async.journals.entries import Entry, Outcome
from vipps_async.money import format_amount
from vipps_async.not_given import NotGiven


def what_is_missing(api: PaymentApi, command: PaymentCommand, state: PaymentState, taken: int) -> str:
    """Say why a command would be refused; `taken` is what earlier rows of the file would take, in minor units."""
    if command.operation is BatchOperation.CANCEL:
        return "a part of it is captured" if is_only_part_captured(api, command, state) else "nothing is left to cancel"
    left = state.remaining(command.operation)
    asked = "all that is left" if isinstance(command.amount, NotGiven) else format_amount(command.amount, api.currency)
    text = f"{asked} is asked for, and {format_amount(left, api.currency)} is left to {command.operation.value}"
    return f"{text}, of which earlier rows take {format_amount(taken, api.currency)}" if taken else text


def with_cause_of_refusal(
    result: RowResult, api: PaymentApi, command: PaymentCommand, state: PaymentState | None, *, is_noted: bool
) -> RowResult:
    """Return the result of a refused row with what else there is to know before it is corrected.

    Args:
        result: that of the row.
        api: the API that it went over.
        command: what it asked for.
        state: the payment as Vipps has it now; None: not known.
        is_noted: whether the refusal stands under the row's key, as that of a dry run does not.
    """
    if state is not None and is_only_part_captured(api, command, state):
        return evolve(result, cause=RowCause.PART_CAPTURED)
    if is_noted and result.row.reference is not None and command.operation.has_amount:
        return evolve(result, cause=RowCause.KEY_REFUSED)
    return result


def is_only_part_captured(api: PaymentApi, command: PaymentCommand, state: PaymentState) -> bool:
    """Whether a cancel is refused only because a part of the payment is captured."""
    if command.operation is not BatchOperation.CANCEL or command.release_remaining or api.cancel_releases_rest:
        return False
    return state.captured_amount > 0 and state.remaining_to_capture > 0


def with_what_its_key_did(
    result: RowResult, api: PaymentApi, command: PaymentCommand, entry: Entry | None, state: PaymentState | None
) -> RowResult:
    """Return the result of a row whose key stands for other content, with what differs and what moved under the key.

    Args:
        result: that of the row.
        api: the API that it went over.
        command: what it asked for.
        entry: what the journal has under the key; None: nothing.
        state: the payment as Vipps has it now; None: not known.
    """
    if entry is not None:
        cause, text = _by_journal(api, command, entry)
    elif state is not None:
        cause, text = _by_history(api, command, state)
    else:
        cause, text = RowCause.KEY_OPEN, "what moved under this key could not be looked up"
    sums = "" if state is None else f" {state.describe()}"
    return evolve(result, cause=cause, hint=f"{text[0].upper()}{text[1:]}.{sums}")


def _by_journal(api: PaymentApi, command: PaymentCommand, entry: Entry) -> tuple[RowCause, str]:
    intent, settlement = entry.intent, entry.settlement
    theirs = "all that was left" if intent.amount is None else format_amount(intent.amount, intent.currency)
    differs = _difference(api, command, intent.amount)
    if settlement is None:
        text = f"under this key a {intent.operation} of {theirs} is open, and may have moved money; {differs}"
        return RowCause.KEY_OPEN, text
    if settlement.outcome is not Outcome.DONE:
        return RowCause.KEY_REFUSED, f"under this key a {intent.operation} of {theirs} was refused; {differs}"
    amount = moved_by(api, entry)
    moved = theirs if amount is None else format_amount(amount, intent.currency)
    when = f"{settlement.settled_at:%Y-%m-%d %H:%M:%S} UTC"
    return RowCause.KEY_DONE, f"under this key {moved} was {command.operation.done}, done {when}; {differs}"


def _by_history(api: PaymentApi, command: PaymentCommand, state: PaymentState) -> tuple[RowCause, str]:
    verb = command.operation.value
    if (done := state.has_done(verb, command.key or "")) is not None:
        when = "" if done.time is None else f", by Vipps' clock {done.time:%Y-%m-%d %H:%M:%S} UTC"
        text = f"under this key {format_amount(done.amount, state.currency)} was {command.operation.done}{when}"
        return RowCause.KEY_DONE, f"{text}; {_difference(api, command, done.amount)}"
    if any((each.verb, each.key) == (verb, command.key) for each in state.history):
        return RowCause.KEY_REFUSED, f"under this key a {verb} was refused"
    return RowCause.KEY_OPEN, f"Vipps' history does not show what became of the {verb} under this key"


def _difference(api: PaymentApi, command: PaymentCommand, theirs: int | None) -> str:
    """Say what this row asks for in place of that."""
    ours = None if isinstance(command.amount, NotGiven) else command.amount
    if ours == theirs:
        return "this row has another text" if api.text_heading is not None else "this row has other content"
    return f"this row asks for {'all that is left' if ours is None else format_amount(ours, api.currency)}"
