"""Texts of a batch's report for each row: whether money moved, and what to do now."""

from __future__ import annotations

from typing import Final

from vipps_async.batch.results import RowCause, RowOutcome

__all__ = ["money_moved", "what_to_do"]

#: Whether money moved, and what to do now, by how a row ended; None: it was not begun. What an earlier run did for a
#: row that this one did not send is not known to this one.
_MOVED: Final = {
    RowOutcome.DONE: "yes",
    RowOutcome.DONE_BEFORE: "yes, before this run",
    RowOutcome.FOUND_DONE: "yes, by this run or before",
    RowOutcome.OTHERWISE: "yes, another amount",
    RowOutcome.OTHERWISE_BEFORE: "yes, another amount, before this run",
    RowOutcome.REFUSED: "no",
    RowOutcome.NOT_DONE: "no",
    RowOutcome.UNKNOWN: "perhaps",
    RowOutcome.HELD: "not by this row",
    RowOutcome.NOT_BEGUN: "not by this row",
    None: "not by this row",
}
#: The same of a row that is refused, where that is not all that is known.
_MOVED_UNDER_KEY: Final = {
    RowCause.KEY_DONE: "not by this row; under its key before",
    RowCause.KEY_OPEN: "not by this row; perhaps under its key",
}
_AGAIN: Final = "run the same file again: what is done is not done twice"
_COMPARE: Final = "compare what was asked with what moved; capture or refund the difference by hand"
_TO_DO: Final = {
    RowOutcome.DONE: "",
    RowOutcome.DONE_BEFORE: "",
    RowOutcome.FOUND_DONE: "",
    RowOutcome.OTHERWISE: _COMPARE,
    RowOutcome.OTHERWISE_BEFORE: _COMPARE,
    RowOutcome.REFUSED: "look the payment up in the Vipps portal; correct the row, or leave it out",
    RowOutcome.NOT_DONE: _AGAIN,
    RowOutcome.UNKNOWN: "run the same file again: it finds out, and moves nothing twice; do nothing by hand meanwhile",
    RowOutcome.NOT_BEGUN: _AGAIN,
    None: _AGAIN,
}

_DROPPED_TO_DO: Final = (
    "leave it if it was rightly dropped; to carry it out all the same: `vipps-async journal send` with this row's key"
)


def _hold_to_do(cause: RowCause | None, payment: str) -> str:
    """Say what to do with a row that is held."""
    name_it = f"write yes in its column another, or say --another {payment} for all rows of this payment"
    compare = (
        "compare what Vipps has of the payment (`vipps-async payment show`) with your books and with "
        "`vipps-async journal check`; once it is compared: `vipps-async journal discard ENTRY`, then run the same file "
        "again"
    )
    if cause is RowCause.DROPPED:
        return _DROPPED_TO_DO
    if cause is RowCause.OWN_DAMAGED:
        return compare
    if cause is RowCause.DAMAGED:
        return f"{compare}; where this row is another one than what cannot be read: {name_it}"
    if cause is RowCause.UNDECIDED:
        return (
            "settle what it meets first: `vipps-async journal recover`, or send or drop that by its key; then run the "
            f"same file again. Only where another one is meant: {name_it}"
        )
    return (
        "leave it if it is the one that was done before; if it corrects the amount of that one, move the difference by "
        f"hand; if another one is meant: {name_it}"
    )


def _refused_to_do(cause: RowCause, heading: str, *, is_named: bool) -> str:
    """Say what to do with a refused row; `heading` is that of a row's own name, `is_named`: it has one."""
    changed = f"its key stays with its {heading}, so a corrected row needs another {heading}"
    if not is_named:
        changed = f"its key stays with this file, so a corrected row needs a {heading}"
    return {
        RowCause.KEY_DONE: f"leave the row out if what moved before is right; to move more, first see that it is "
        f"wanted: {changed}, and moves its amount on top",
        RowCause.KEY_OPEN: "run the same file again: it first finds out what moved under the key; do nothing by "
        "hand meanwhile",
        RowCause.KEY_REFUSED: f"look the payment up in the Vipps portal; leave the row out, or correct it: {changed}",
        RowCause.PART_CAPTURED: "what is captured can only be refunded; to release the rest, run it again with "
        "--release-remaining",
    }[cause]


def money_moved(outcome: RowOutcome | None, cause: RowCause | None, *, is_plan: bool) -> str:
    """Say whether money moved.

    Args:
        outcome: how the row ended; None: it was not begun.
        cause: why it is refused, where that is known.
        is_plan: whether the outcome is what a dry run says would be.
    """
    moved = "no: a dry run" if is_plan else _MOVED[outcome]
    return moved if cause is None else _MOVED_UNDER_KEY.get(cause, moved)


def what_to_do(
    outcome: RowOutcome | None,
    cause: RowCause | None,
    payment: str,
    reference: str | None,
    heading: str,
    *,
    preview: bool,
) -> str:
    """Say what to do about a row; empty: nothing.

    Args:
        outcome: how it ended; None: it was not begun.
        cause: why it is refused, held or not begun, where that is known.
        payment: its payment.
        reference: its own name; None: it has none.
        heading: what its file calls such a name.
        preview: whether a dry run says so.
    """
    if outcome is RowOutcome.REFUSED and cause is not None:
        return _refused_to_do(cause, heading, is_named=reference is not None)
    if outcome is RowOutcome.HELD:
        return "" if preview else _hold_to_do(cause, payment)
    if cause is RowCause.OTHERS_INVALID:
        return f"correct the rows that are invalid, or go on without them: --skip-invalid; then {_AGAIN}"
    return "" if preview and outcome is not RowOutcome.REFUSED else _TO_DO[outcome]
