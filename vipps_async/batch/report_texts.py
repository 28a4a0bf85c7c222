"""Texts of a batch's report for each row: whether money moved, and what to do now."""

from __future__ import annotations

from typing import Final

from vipps_async.batch.results import RowCause, RowOutcome

_AGAIN: Final = "run the same file again: what is done is not done twice"
_BY_HAND: Final = "compare what was asked with what moved; capture or refund the difference by hand"
_NAME_IT: Final = "write yes in its column another, or say --another {payment} for all rows of this payment"
_DAMAGED: Final = (
    "compare what Vipps has of the payment (`vipps-async payment show`) with your books and with `vipps-async journal "
    "check`; once it is compared: `vipps-async journal discard ENTRY`, then run the same file again"
)
#: Whether money moved, and what to do now, by how a row ended; None: it was not begun. What an earlier run did for a
#: row that this one did not send is not known to this one.
_BY_OUTCOME: Final = {
    RowOutcome.DONE: ("yes", ""),
    RowOutcome.DONE_BEFORE: ("yes, before this run", ""),
    RowOutcome.FOUND_DONE: ("yes, by this run or before", ""),
    RowOutcome.OTHERWISE: ("yes, another amount", _BY_HAND),
    RowOutcome.OTHERWISE_BEFORE: ("yes, another amount, before this run", _BY_HAND),
    RowOutcome.REFUSED: ("no", "look the payment up in the Vipps portal; correct the row, or leave it out"),
    RowOutcome.NOT_DONE: ("no", _AGAIN),
    RowOutcome.UNKNOWN: (
        "perhaps",
        "run the same file again: it finds out, and moves nothing twice; do nothing by hand meanwhile",
    ),
    RowOutcome.HELD: (
        "not by this row",
        (
            "leave it if it is the one that was done before; if it corrects the amount of that one, move the "
            f"difference by hand; if another one is meant: {_NAME_IT}"
        ),
    ),
    RowOutcome.NOT_BEGUN: ("not by this row", _AGAIN),
    None: ("not by this row", _AGAIN),
}
#: The same of a row of which more is known than its outcome.
_BY_CAUSE: Final = {
    RowCause.KEY_DONE: (
        "not by this row; under its key before",
        (
            "leave the row out if what moved before is right; to move more, first see that it is wanted: {changed}, "
            "and moves its amount on top"
        ),
    ),
    RowCause.KEY_OPEN: (
        "not by this row; perhaps under its key",
        "run the same file again: it first finds out what moved under the key; do nothing by hand meanwhile",
    ),
    RowCause.KEY_REFUSED: (
        "no",
        "look the payment up in the Vipps portal; leave the row out, or correct it: {changed}",
    ),
    RowCause.PART_CAPTURED: (
        "no",
        "what is captured can only be refunded; to release the rest, run it again with --release-remaining",
    ),
    RowCause.DROPPED: (
        "not by this row",
        (
            "leave it if it was rightly dropped; to carry it out all the same: `vipps-async journal send` with this "
            "row's key"
        ),
    ),
    RowCause.UNDECIDED: (
        "not by this row",
        (
            "settle what it meets first: `vipps-async journal recover`, or send or drop that by its key; then run the "
            f"same file again. Only where another one is meant: {_NAME_IT}"
        ),
    ),
    RowCause.DAMAGED: (
        "not by this row",
        f"{_DAMAGED}; where this row is another one than what cannot be read: {_NAME_IT}",
    ),
    RowCause.OWN_DAMAGED: ("not by this row", _DAMAGED),
    RowCause.OTHERS_INVALID: (
        "not by this row",
        f"correct the rows that are invalid, or go on without them: --skip-invalid; then {_AGAIN}",
    ),
    RowCause.TAKEN_EFFECT: ("yes, before this run", ""),
}
#: Of these a dry run, which moves nothing itself, says the same.
_BEFORE: Final = {RowCause.KEY_DONE, RowCause.KEY_OPEN}


def _told(outcome: RowOutcome | None, cause: RowCause | None) -> tuple[str, str]:
    # What is not known stays so, whatever else stands under the key.
    return _BY_OUTCOME[outcome] if cause is None or outcome is RowOutcome.UNKNOWN else _BY_CAUSE[cause]


def money_moved(outcome: RowOutcome | None, cause: RowCause | None, *, is_plan: bool) -> str:
    """Say whether money moved.

    Args:
        outcome: how the row ended; None: it was not begun.
        cause: why it ended so, where that is known.
        is_plan: whether the outcome is what a dry run says would be.
    """
    return "no: a dry run" if is_plan and cause not in _BEFORE else _told(outcome, cause)[0]


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
        cause: why it ended so, where that is known.
        payment: its payment.
        reference: its own name; None: it has none.
        heading: what its file calls such a name.
        preview: whether a dry run says so.
    """
    if preview and outcome is not RowOutcome.REFUSED and cause is not RowCause.OTHERS_INVALID:
        return ""
    changed = f"its key stays with its {heading}, so a corrected row needs another {heading}"
    if reference is None:
        changed = f"its key stays with this file, so a corrected row needs a {heading}"
    return _told(outcome, cause)[1].format(payment=payment, changed=changed)
