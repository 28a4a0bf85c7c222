"""Operations that are left open in a journal, and what a recovery makes of them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.faults.shop import Fault, Shop
from vipps_async import VippsError, nok
from vipps_async.core.recovery_report import RecoveryReport
from vipps_async.journals.entries import Outcome

__all__ = ["LOST", "left_open", "outcome", "sums"]


LOST = Fault.LOSE_REQUEST


async def left_open(shop: Shop, fault: Fault, *, payment: str = "order-1", name: str = "capture", **more: Any) -> str:
    """Begin an operation whose outcome stays unknown, and return the key that it is in the journal under."""
    asked: dict[str, Any] = {"transaction_text": "Shipped", **more}
    if name != "cancel":
        asked = {"amount": nok(100), **asked}
    shop.line.fail(f"/{payment}/{name}", fault)
    shop.line.fail(f"/{payment}/details", LOST)
    with pytest.raises(VippsError):
        await getattr(shop.session().ecom, name)(payment, **asked)
    entry = (await shop.entries(payment))[-1]
    assert entry.settlement is None
    # A call that ends as unreadable asks no details.
    shop.line.plan.clear()
    return entry.intent.key


async def outcome(shop: Shop, payment: str = "order-1") -> Outcome | None:
    """Return what the journal has as the outcome of the one entry of an order."""
    settlement = (await shop.entry(payment)).settlement
    return None if settlement is None else settlement.outcome


def sums(report: RecoveryReport) -> dict[str, int]:
    """Return the counts of a report that are not 0."""
    names = (
        *("seen", "proven", "sent_again", "refused", "not_done", "settled_meanwhile", "leased_elsewhere"),
        "stays_open",
    )
    return {name: getattr(report, name) for name in names if getattr(report, name)}
