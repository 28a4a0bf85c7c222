"""What `vipps-async journal` says of operations and recoveries: for people and for machines."""

from __future__ import annotations

from typing import Any

from vipps_async.cli.output import plain
from vipps_async.core.recovery_report import RecoveryReport
from vipps_async.journals.protocol import Intent
from vipps_async.money import format_nok

__all__ = ["about", "recovery_facts", "recovery_text"]


def recovery_facts(report: RecoveryReport) -> dict[str, Any]:
    """Render a report for machines."""
    return {
        "complete": report.is_complete,
        "seen": report.seen,
        "proven": report.proven,
        "sent_again": report.sent_again,
        "refused": report.refused,
        "not_done": report.not_done,
        "settled_meanwhile": report.settled_meanwhile,
        "in_other_hands": report.in_other_hands,
        "in_other_hands_until": report.in_other_hands_until,
        "stays_open": report.stays_open,
        "damaged": [{"position": row.position, "payment": row.payment, "reason": row.reason} for row in report.damaged],
        "overruled": [_named(done.intent, done.reason) for done in report.overruled],
        "stopped": report.stopped or None,
        "urls_lost": report.urls_lost,
        "left_open": [_named(left.intent, left.reason) for left in report.left_open],
        "moved_otherwise": [_named(moved.intent, moved.reason) for moved in report.moved_otherwise],
        "refusals": [_named(refused.intent, refused.reason) for refused in report.refusals],
    }


def _named(intent: Intent, reason: str) -> dict[str, Any]:
    return {
        "operation": intent.name,
        "payment": intent.payment,
        "amount": intent.amount,
        "idempotency_key": intent.key,
        "reason": reason,
    }


def recovery_text(report: RecoveryReport) -> str:
    """Render a report for people."""
    how = f"{report.proven} had taken effect, {report.sent_again} sent again, {report.refused} refused"
    how += f", {report.not_done} had never arrived, {report.settled_meanwhile} settled meanwhile"
    lines = [f"{report.seen} looked at: {how}."]
    if report.in_other_hands and report.in_other_hands_until is not None:
        until = f"{report.in_other_hands_until:%H:%M:%S} UTC"
        lines.append(f"{report.in_other_hands} are in other hands, until {until} at the latest: recover again then.")
    lines += [
        f"carried out otherwise than asked: {about(moved.intent)}: {plain(moved.reason)}"
        for moved in report.moved_otherwise
    ]
    lines += [f"refused: {about(refused.intent)}: {plain(refused.reason)}" for refused in report.refusals]
    lines += [f"stays open: {about(left.intent)}: {plain(left.reason)}" for left in report.left_open]
    lines += [f"done after all: {about(done.intent)}: {plain(done.reason)}" for done in report.overruled]
    lines += [
        f"cannot be read: entry {row.position}, payment {plain(row.payment)}: {plain(row.reason)}; it is never sent, "
        "compare details with your books"
        for row in report.damaged
    ]
    if report.stays_open > len(report.left_open):
        lines.append(f"... {report.stays_open} stay open in all.")
    lines += [
        f"URL lost: order {plain(order_id)} exists; cancel it if details show that nobody has approved it."
        for order_id in report.urls_lost
    ]
    if report.stopped:
        lines.append(f"Stopped early: {plain(report.stopped)}.")
    return "\n".join(lines)


def about(intent: Intent) -> str:
    """Name an operation on one line."""
    amount = "" if intent.amount is None else f" of {format_nok(intent.amount)}"
    return f"{plain(intent.name)}{amount}, payment {plain(intent.payment)}, key {plain(intent.key)}"
