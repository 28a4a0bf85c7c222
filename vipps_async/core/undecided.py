"""The record of one payment in a journal, and which of its operations are undecided: open, dropped or unreadable."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from vipps_async.core.batch import TAKING
from vipps_async.core.stored_error import dropped_text
from vipps_async.journals.entries import DamagedEntry, Entry
from vipps_async.journals.protocol import Journal


@frozen(kw_only=True)
class PaymentRecord:
    """The rows of a journal about one payment of a sales unit. Batches and single commands decide by it."""

    #: What can be read of it, oldest first.
    entries: tuple[Entry, ...] = ()
    #: What cannot, and may be any operation of the payment.
    damaged: tuple[DamagedEntry, ...] = ()

    @property
    def open(self) -> list[Entry]:
        """Captures, refunds and cancels that may have moved money, or may still: also those that were dropped."""
        return [entry for entry in self.entries if entry.settlement is None and entry.intent.adjusts]

    def own(self, key: str | None, api: str, operation: str) -> Entry | None:
        """Return the entry of this very operation; None: there is none that can be read."""
        wanted = (key, api, operation)
        mine = (each for each in self.entries if (each.intent.key, each.intent.api, each.intent.operation) == wanted)
        return next(mine, None)


async def read_record(
    journal: Journal, payment: str, merchant_serial_number: str, damaged_open: Sequence[DamagedEntry]
) -> PaymentRecord:
    """Read the rows of a payment.

    Args:
        journal: an open journal.
        payment: the payment, as its API calls it.
        merchant_serial_number: the sales unit.
        damaged_open: what `Journal.damaged` has found among what is open: of such a row any part may be wrong, so that
            its payment's name alone makes it one of this payment, whatever its sales unit.

    Raises:
        JournalError: the journal cannot be read.
    """
    rows = await journal.rows_of(payment=payment, merchant_serial_number=merchant_serial_number)
    named = [row for row in damaged_open if row.payment == payment]
    damaged = {row.position: row for row in (*rows, *named) if isinstance(row, DamagedEntry)}
    return PaymentRecord(
        entries=tuple(row for row in rows if isinstance(row, Entry)),
        damaged=tuple(damaged[position] for position in sorted(damaged)),
    )


def may_yet_capture(entry: Entry) -> bool:
    """Whether an entry is an open capture that recovery may send again: neither dropped nor refused."""
    return entry.settlement is None and entry.intent.operation in TAKING and not entry.attempts.refusal


def damaged_text(row: DamagedEntry) -> str:
    """Describe a row that cannot be read."""
    return f"entry {row.position} of the journal, payment {row.payment} ({row.reason})"


def send_again(entry: Entry) -> str:
    """Return when an entry was dropped, and how to send it again, as text; empty: it was not dropped."""
    if entry.settlement is not None or not (dropped := dropped_text(entry.attempts)):
        return ""
    key = entry.intent.key
    return f"{dropped}: `vipps-async journal send {'-- ' if key.startswith('-') else ''}{key}` sends it again"
