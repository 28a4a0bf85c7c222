"""Renders entries and recoveries for `vipps-async journal`, as text and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from vipps_async.apis import amount_moved, rebuild_call
from vipps_async.cli.output import folded, plain, wrapped
from vipps_async.core.batch import BatchOperation
from vipps_async.core.converter import UnreadableAnswer, decode
from vipps_async.core.ending import OTHERWISE_ADVICE
from vipps_async.core.recovery_report import CarriedOut, LeftOpen, RecoveryReport, Refused
from vipps_async.core.verdict import LOOKS_APART
from vipps_async.errors import VippsError
from vipps_async.journals.entries import Entry, Intent, Outcome
from vipps_async.money import format_amount

#: Operations of a kind that are named; `journal list` has all of them.
_MOST_NAMED = 20
#: What follows from Ctrl-C while a recovery is under way.
CUT_OFF = (
    "Cut off. What was sent may have moved money, and stands in the journal with its key: the same command again "
    "settles what is open, and nothing is done twice."
)
#: What stands below the first line of an entry begins behind its state.
_INDENT = 10
#: How what stays open is told.
_STAYS_OPEN = "stays open"
#: Operations that are given an amount, or take all that remains.
_MOVING = frozenset(operation.value for operation in BatchOperation if operation.has_amount)

# --- entries ----------------------------------------------------------------------------------------------------------


def about(intent: Intent, *, moved: int | None = None, known: str = "") -> str:
    """Name an operation on one line.

    Args:
        intent: what was begun.
        moved: what moved, in minor units; None: it is named with what was asked for.
        known: what is known of all that remains, where that was asked for.
    """
    amount = intent.amount if moved is None else moved
    money = f" of {format_amount(amount, intent.currency)}" if amount is not None else ""
    if amount is None and takes_all(intent):
        money = f" of all that remains{known}"
    return f"{plain(intent.name)}{money}, payment {plain(intent.payment)}, key {plain(intent.key)}"


def takes_all(intent: Intent) -> bool:
    """Tell whether an operation asks for all that remains."""
    return intent.amount is None and intent.operation in _MOVING


def entry_facts(entry: Entry, now: datetime, settle_after: timedelta) -> dict[str, Any]:
    """Render an entry for machines; `settle_after` is the session's."""
    intent, settlement = entry.intent, entry.settlement
    return {
        "state": _state(entry),
        **_named(intent, entry.note or None),
        "moved": moved_amount(entry),
        "merchant_serial_number": intent.merchant_serial_number,
        "created_at": intent.created_at,
        "age_seconds": max(0, round((now - intent.created_at).total_seconds())),
        "settled_at": None if settlement is None else settlement.settled_at,
        "key_origin": intent.origin.value,
        "reference": intent.reference or None,
        "attempts": entry.attempts.begun,
        "attempts_in_doubt": entry.attempts.in_doubt,
        "decidable_at": decidable_at(entry, settle_after) if settlement is None else None,
        "leased_by": entry.owner if is_leased(entry, now) else None,
        "leased_until": entry.lease_until if is_leased(entry, now) else None,
    }


def entry_text(
    entry: Entry, now: datetime, settle_after: timedelta, *, names_unit: bool = False, width: int | None = None
) -> str:
    """Render an entry for people.

    Args:
        entry: the entry.
        now: the time; aware.
        settle_after: the session's.
        names_unit: with its sales unit.
        width: how wide the terminal is; None: there is none, and each line is as long as it comes.
    """
    intent = entry.intent
    age = age_of((now - intent.created_at).total_seconds())
    operation, payment, key = plain(intent.name), plain(intent.payment), plain(intent.key)
    parts = [f"{_state(entry):<9} {operation:<16} {payment}", _amount_text(entry), f"{age} ago", f"key {key}"]
    below = []
    if names_unit:
        below.append(f"of sales unit {plain(intent.merchant_serial_number)}")
    if is_leased(entry, now):
        below.append(f"leased by {plain(entry.owner[:8])} until {entry.lease_until:%H:%M:%S} UTC")
    if entry.note:
        below.append(plain(entry.note))
    if entry.settlement is None:
        # Before that only proof that it took effect settles it, or sending it.
        decidable = f"{decidable_at(entry, settle_after):%Y-%m-%d %H:%M} UTC"
        below.append(f"if details do not show it: can be decided after {decidable}")
    if width is not None:
        below = [wrapped(text, _INDENT, width=width) for text in below]
    return "\n".join([folded(parts, _INDENT, width), *(f"{'':{_INDENT}}{text}" for text in below)])


def moved_amount(entry: Entry) -> int | None:
    """Return how much a capture or refund moved that is done, in minor units; None: it is not, or does not tell."""
    settlement = entry.settlement
    if entry.intent.operation not in _MOVING or settlement is None or settlement.outcome is not Outcome.DONE:
        return None
    try:
        result = decode(settlement.answer, rebuild_call(entry.intent).operation.result)
    except (UnreadableAnswer, VippsError):
        # Damaged, or written by another version.
        return None
    return amount_moved(entry.intent, result)


def _amount_text(entry: Entry) -> str:
    """Write what moved, or else what was asked for."""
    intent, moved = entry.intent, moved_amount(entry)
    if moved is not None:
        text = format_amount(moved, intent.currency)
        if intent.amount is None or intent.amount == moved:
            return text
        return f"{text} (of {format_amount(intent.amount, intent.currency)})"
    if intent.amount is not None:
        return format_amount(intent.amount, intent.currency)
    return "all that remains" if takes_all(intent) else ""


def decidable_at(entry: Entry, settle_after: timedelta) -> datetime:
    """Tell from when on it can be settled as never having happened; see `vipps_async.core.verdict`."""
    horizon, looked_at = entry.attempts.last_at + settle_after, entry.attempts.looked_at
    return horizon if looked_at is None or looked_at < horizon else looked_at + LOOKS_APART


def _state(entry: Entry) -> str:
    return "open" if entry.settlement is None else entry.settlement.outcome.value


def is_leased(entry: Entry, now: datetime) -> bool:
    """Whether a process has an open entry in work."""
    return entry.settlement is None and bool(entry.owner) and entry.lease_until > now


def age_of(seconds: float) -> str:
    """Write how long ago something was."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} s"


# --- recoveries -------------------------------------------------------------------------------------------------------


def recovery_facts(report: RecoveryReport) -> dict[str, Any]:
    """Render a report for machines."""
    return {
        "complete": report.is_complete,
        "seen": report.seen,
        "proven": report.proven,
        "proven_operations": [_done(done) for done in report.proven_operations],
        "sent_again": report.sent_again,
        "sent_again_operations": [_done(done) for done in report.sent_again_operations],
        "refused": report.refused,
        "not_done": report.not_done,
        "settled_meanwhile": report.settled_meanwhile,
        "leased_elsewhere": report.leased_elsewhere,
        "leased_elsewhere_until": report.leased_elsewhere_until,
        "stays_open": report.stays_open,
        "damaged": [{"position": row.position, "payment": row.payment, "reason": row.reason} for row in report.damaged],
        "overruled": [_named(done.intent, done.reason) for done in report.overruled],
        "stopped": report.stopped or None,
        "urls_lost": report.urls_lost,
        "left_open": [_named(left.intent, left.reason) for left in report.left_open],
        "moved_otherwise": [_named(moved.intent, moved.reason) for moved in report.moved_otherwise],
        "refusals": [_named(refused.intent, refused.reason) for refused in report.refusals],
    }


def _named(intent: Intent, reason: str | None) -> dict[str, Any]:
    return {
        "operation": intent.name,
        "payment": intent.payment,
        "amount": intent.amount,
        "currency": intent.currency,
        "idempotency_key": intent.key,
        "reason": reason,
    }


def _done(done: CarriedOut) -> dict[str, Any]:
    return {**_named(done.intent, None), "moved": done.amount}


def recovery_text(report: RecoveryReport) -> str:
    """Render a report for people."""
    how = f"{report.proven} had taken effect, {report.sent_again} sent again, {report.refused} refused"
    how += f", {report.not_done} had never arrived, {report.settled_meanwhile} settled meanwhile"
    lines = [f"{report.seen} looked at: {how}."]
    if report.leased_elsewhere and report.leased_elsewhere_until is not None:
        until = f"{report.leased_elsewhere_until:%H:%M:%S} UTC"
        lines.append(
            f"{report.leased_elsewhere} are leased elsewhere, until {until} at the latest: recover again then."
        )
    otherwise = {moved.intent.identity for moved in report.moved_otherwise}
    as_asked = [done for done in report.proven_operations if done.intent.identity not in otherwise]
    lines += _done_lines("had taken effect", as_asked, report.proven - len(otherwise))
    lines += _done_lines("sent again", report.sent_again_operations, report.sent_again)
    for moved in report.moved_otherwise:
        lines.append(f"carried out otherwise than asked: {about(moved.intent)}: {plain(moved.reason)}")
    if report.moved_otherwise:
        lines.append(f"  what to do: {OTHERWISE_ADVICE}.")
    lines += _open_lines("refused", report.refusals, report.refused)
    lines += _open_lines(_STAYS_OPEN, report.left_open, report.stays_open)
    lines += [f"done after all: {about(done.intent)}: {plain(done.reason)}" for done in report.overruled]
    lines += [
        f"cannot be read: entry {row.position}, payment {plain(row.payment)}: {plain(row.reason)}; it is never sent, "
        "compare details with your books"
        for row in report.damaged
    ]
    lines += [
        f"URL lost: payment {plain(payment)} exists; cancel it if its history shows that nobody has approved it."
        for payment in report.urls_lost
    ]
    if report.stopped:
        lines.append(f"Stopped early: {plain(report.stopped)}.")
    return "\n".join(lines)


def _done_lines(word: str, named: list[CarriedOut], count: int) -> list[str]:
    return _first(word, [about(done.intent, moved=done.amount) for done in named[:_MOST_NAMED]], count)


def _open_lines(word: str, named: Sequence[LeftOpen | Refused], count: int) -> list[str]:
    return _first(word, [f"{about(each.intent)}: {plain(each.reason)}" for each in named[:_MOST_NAMED]], count)


def _first(word: str, texts: list[str], count: int) -> list[str]:
    """Name the first ones, a line each, and say how many there are more."""
    where = f"vipps-async journal list{' --open' if word == _STAYS_OPEN else ''}"
    more = [f"{word}: ... and {count - len(texts):,} more: {where}"] if count > len(texts) else []
    return [*(f"{word}: {text}" for text in texts), *more]
