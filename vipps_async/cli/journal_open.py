"""What a journal has open that recovery may send again: counted, named, and asked about before it is."""

from __future__ import annotations

from collections import Counter

from attrs import field, mutable

from vipps_async.apis import passed_over
from vipps_async.cli.confirmation import ask, is_asked
from vipps_async.cli.journal_text import about
from vipps_async.cli.output import plain, say
from vipps_async.config import Settings
from vipps_async.journals.protocol import Entry, Intent, Journal
from vipps_async.money import format_amount

__all__ = ["OpenOperations", "agree_to_settle", "find_open", "may_send", "open_of_others"]

#: Operations that are named; `journal list --open` has all of them.
_MOST_NAMED = 20


def may_send(entry: Entry) -> bool:
    """Tell whether recovery may send an open entry again, and so move money.

    What makes a payment never is, nor what was refused or dropped, nor what the journal keeps no body of.
    """
    return entry.intent.adjusts and entry.intent.body is not None and not entry.attempts.refusal


@mutable(kw_only=True)
class _Sum:
    count: int = 0
    #: Minor units, of those that name an amount.
    amount: int = 0
    takes_all: int = 0

    def text(self, operation: str, currency: str) -> str:
        parts = []
        if self.count > self.takes_all:
            parts.append(format_amount(self.amount, currency))
        if self.takes_all and operation != "cancel":
            parts.append("all that remains" if self.takes_all == 1 else f"all that remains of {self.takes_all:,}")
        money = f" of {' and '.join(parts)}" if parts else ""
        return f"{self.count:,} {plain(operation)}{'' if self.count == 1 else 's'}{money}"


@mutable(kw_only=True)
class OpenOperations:
    """What is open of one sales unit; memory does not grow with it."""

    count: int = 0
    #: How many of them recovery may send again.
    to_send: int = 0
    #: The first of those, one line each.
    named: list[str] = field(factory=list)
    sums: dict[tuple[str, str], _Sum] = field(factory=dict)

    def add(self, entry: Entry) -> None:
        """Count an open entry."""
        self.count += 1
        if not may_send(entry):
            return
        self.to_send += 1
        if len(self.named) < _MOST_NAMED:
            self.named.append(about(entry.intent))
        self._add_sum(entry.intent)

    def _add_sum(self, intent: Intent) -> None:
        found = self.sums.setdefault((intent.operation, intent.currency), _Sum())
        found.count += 1
        found.amount += intent.amount or 0
        found.takes_all += intent.amount is None

    def lines(self) -> str:
        """Name what may be sent again, one line each."""
        more = self.to_send - len(self.named)
        shown = [*self.named, *([f"... and {more:,} more: vipps-async journal list --open"] if more else [])]
        return "\n".join(f"  {line}" for line in shown)

    def sum_text(self) -> str:
        """Add up on one line what may be sent again, such as ``2 captures of 150.00 NOK and 1 cancel``."""
        return " and ".join(found.text(*key) for key, found in self.sums.items())


async def find_open(journal: Journal, merchant_serial_number: str, *, besides: Intent | None = None) -> OpenOperations:
    """Count what is open of a sales unit, and name what recovery may send again.

    Args:
        journal: an open journal.
        merchant_serial_number: the sales unit.
        besides: an operation that is left out; None: there is none.

    Raises:
        JournalError: the journal cannot be read.
    """
    found, ignored = OpenOperations(), passed_over()
    async for entry in journal.open_entries(merchant_serial_number=merchant_serial_number):
        is_left_out = besides is not None and entry.intent.identity == besides.identity
        if entry.intent.operation not in ignored and not is_left_out:
            found.add(entry)
    return found


async def open_of_others(journal: Journal, merchant_serial_number: str) -> dict[str, int]:
    """Count what is open of all other sales units, by sales unit.

    Raises:
        JournalError: the journal cannot be read.
    """
    counts: Counter[str] = Counter()
    ignored = passed_over()
    async for entry in journal.open_entries():
        if entry.intent.operation not in ignored:
            counts[entry.intent.merchant_serial_number] += 1
    return {unit: count for unit, count in sorted(counts.items()) if unit != merchant_serial_number}


async def agree_to_settle(found: OpenOperations, settings: Settings, *, yes: bool, quiet: bool = False) -> int | None:
    """Name what recovery may send again, and in production ask whether to go on; see `ask`.

    Where nothing may be sent, nothing is said and nobody asked. `quiet`: nor is it where nobody is asked.
    """
    if not found.to_send:
        return None
    if not quiet or is_asked(settings, yes=yes):
        say(f"Open in the journal; what Vipps does not have of it is sent again, under its own key:\n{found.lines()}")

    async def what() -> str:
        return f"Settle {found.sum_text()}"

    return await ask(what, settings, yes=yes, keeps_journal=True)
