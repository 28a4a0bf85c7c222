"""Texts of `vipps-async batch` about operations settled before its rows: what was done, or in a dry run would be."""

from __future__ import annotations

from typing import Any

from vipps_async.batch.settled_first import SettledBeside
from vipps_async.cli.journal_open import OpenOperations
from vipps_async.cli.journal_text import about, recovery_facts
from vipps_async.cli.output import plain, say
from vipps_async.core.recovery_report import RecoveryReport
from vipps_async.money import format_amount

__all__ = ["beside_text", "say_what_is_settled", "settled_facts", "would_settle_facts", "would_settle_text"]

#: Operations that are named on the screen.
_MOST_NAMED = 20


def say_what_is_settled(beside: SettledBeside) -> None:
    """Name what this run has settled as done that is none of the rows of its file."""
    for each in beside.named[:_MOST_NAMED]:
        moved = "" if each.moved is None else f", {format_amount(each.moved, each.intent.currency)}"
        say(f"settled first: {about(each.intent)}: done{moved}")
    if (count := beside.counts.total()) > _MOST_NAMED:
        say(f"... and {count - _MOST_NAMED:,} more: vipps-async journal reconcile --day today")


def beside_text(beside: SettledBeside) -> str:
    """Add up on one line what was settled beside the rows of the file; empty: nothing."""
    parts = []
    for (operation, currency), count in sorted(beside.counts.items()):
        moved = beside.moved[operation, currency]
        money = f" of {format_amount(moved, currency)}" if moved else ""
        parts.append(f"{count:,} {plain(operation)}{'' if count == 1 else 's'}{money}")
    return f"Settled first, beside the rows of this file: {' and '.join(parts)}." if parts else ""


def settled_facts(recovered: RecoveryReport | None, beside: SettledBeside | None) -> dict[str, Any] | None:
    """Render for machines what was settled first; None: nothing was open. Amounts are in minor units."""
    if recovered is None and beside is None:
        return None
    facts = {} if recovered is None else recovery_facts(recovered)
    found = SettledBeside() if beside is None else beside
    return facts | {
        "beside": [
            {"operation": operation, "currency": currency, "count": count, "moved": found.moved[operation, currency]}
            for (operation, currency), count in sorted(found.counts.items())
        ],
        "operations_beside": [
            {
                "operation": each.intent.name,
                "payment": each.intent.payment,
                "amount": each.intent.amount,
                "currency": each.intent.currency,
                "idempotency_key": each.intent.key,
                "moved": each.moved,
            }
            for each in found.named
        ],
    }


def would_settle_text(found: OpenOperations, of_file: int) -> str:
    """Say what a run would settle before its rows; empty: nothing is open.

    Args:
        found: what is open.
        of_file: how many of it are rows of the file, which are counted among the rows.
    """
    if not found.count:
        return ""
    what = "operation that is" if found.count == 1 else "operations that are"
    rows = f", of which {of_file:,} counted above with a row of this file" if of_file else ""
    text = f"Would be settled first: {found.count:,} {what} open in the journal{rows}."
    if found.to_send:
        text += f"\nWhat Vipps does not have of it is sent again: {found.sum_text()}\n{found.lines()}"
    return text


def would_settle_facts(found: OpenOperations, of_file: int) -> dict[str, Any]:
    """Render the same for machines; amounts are in minor units."""
    return {
        "open": found.count,
        "of_this_file": of_file,
        "may_be_sent_again": found.to_send,
        "sums": [
            {
                "operation": operation,
                "currency": currency,
                "count": each.count,
                "amount": each.amount,
                "takes_all": each.takes_all,
            }
            for (operation, currency), each in sorted(found.sums.items())
        ],
    }
