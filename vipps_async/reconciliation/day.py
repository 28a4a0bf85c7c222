"""A calendar day in a time zone, and what a journal has as done on it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Self

from attrs import field, frozen, mutable

from vipps_async.core.batch import BatchOperation
from vipps_async.errors import InvalidInputError
from vipps_async.journals.entries import DamagedEntry, Entry, Outcome
from vipps_async.journals.methods import JournalMethods
from vipps_async.time_zone import DEFAULT_ZONE, TimeZone

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@frozen(kw_only=True)
class Day:
    """A calendar day: from midnight to midnight in its zone, 23 or 25 hours where clocks change."""

    on: date
    zone: TimeZone

    @classmethod
    def of(cls, text: str, zone: str = DEFAULT_ZONE, *, now: datetime | None = None) -> Self:
        """Read a day.

        Args:
            text: ``2026-11-27``, ``today`` or ``yesterday``.
            zone: ``UTC``, or a name of the IANA time zone database.
            now: aware; None: the machine's own time.

        Raises:
            InvalidInputError: there is no such day, or it has not begun.
            ConfigurationError: the machine knows no such zone.
        """
        found = TimeZone.named(zone)
        today = found.local(now or datetime.now(UTC)).date()
        named = {"today": today, "yesterday": today - timedelta(days=1)}.get(text)
        if named is None:
            try:
                named = date.fromisoformat(text) if _DATE.fullmatch(text) else None
            except ValueError:
                named = None
        # The first day has no hours before it, which a zone may need.
        if named is None or named.year < 2000 or named > today:
            raise InvalidInputError("day", "such as 2026-11-27, today or yesterday, and not in the future", value=text)
        return cls(on=named, zone=found)

    @property
    def begins(self) -> datetime:
        """Its first moment, in UTC."""
        return self._midnight(self.on)

    @property
    def ends(self) -> datetime:
        """The first moment of the next day, in UTC."""
        return self._midnight(self.on + timedelta(days=1))

    def _midnight(self, day: date) -> datetime:
        return datetime.combine(day, time(), self.zone.rules).astimezone(UTC)

    def __str__(self) -> str:
        """Say which one it is, and what that means in UTC."""
        if self.zone.rules is UTC:
            return f"{self.on} (UTC)"
        return f"{self.on} in {self.zone.name} ({self.begins:%Y-%m-%d %H:%M} to {self.ends:%Y-%m-%d %H:%M} UTC)"


@frozen(kw_only=True)
class KnownOperation:
    """What a journal has of an operation of a payment, of whatever day: enough to know it again at Vipps."""

    api: str
    operation: str
    key: str
    #: Minor units; None: all that was left.
    amount: int | None
    #: None: it is open.
    outcome: Outcome | None
    #: When it was settled; aware, UTC. None: it is open.
    settled_at: datetime | None = None


@mutable(kw_only=True)
class DayEntries:
    """What a journal has of a day."""

    #: What is done, oldest first, about a kB each.
    entries: list[Entry] = field(factory=list)
    #: What is open and was tried on that day: whether it is done is not known.
    open_entries: list[Entry] = field(factory=list)
    #: All that the journal has of the payments of these and of `damaged`, of whatever day, API and outcome.
    known: dict[str, tuple[KnownOperation, ...]] = field(factory=dict)
    #: How many of other sales units are done: they are not among these.
    of_other_units: int = 0
    #: How many operations of the sales unit are open and were begun on that day or before: each may have been carried
    #: out on it.
    open: int = 0
    #: What cannot be read and may be of that day, oldest first. Any part may be wrong, the sales unit too.
    damaged: list[DamagedEntry] = field(factory=list)


async def entries_of_day(
    journal: JournalMethods, day: Day, *, merchant_serial_number: str, api: str | None = None
) -> DayEntries:
    """Find what was done on a day: what became known as done then, whenever it was begun; and what is open since then.

    Looks through the whole journal; of its rows those of the day are kept. Then looks up what else it has of their
    payments.

    Args:
        journal: open.
        day: which one.
        merchant_serial_number: the sales unit.
        api: the name of the one API to look at; None: all.

    Raises:
        JournalError: the journal cannot be read.
    """
    found, ends = DayEntries(), day.ends
    async for row in journal.all_rows():
        if not isinstance(row, Entry):
            if row.earliest is None or row.earliest < ends:
                found.damaged.append(row)
        elif not _is_about_money(row) or api not in {None, row.intent.api} or not _may_be_of(row, day):
            continue
        elif row.intent.merchant_serial_number != merchant_serial_number:
            found.of_other_units += row.settlement is not None
        elif row.settlement is not None:
            found.entries.append(row)
        else:
            found.open += 1
            if day.begins <= row.attempts.last_at:
                found.open_entries.append(row)
    found.entries.sort(key=_settled_at)
    found.damaged.reverse()
    payments = [entry.intent.payment for entry in found.entries + found.open_entries]
    for payment in dict.fromkeys(payments + [row.payment for row in found.damaged]):
        entries = await journal.find(payment=payment, merchant_serial_number=merchant_serial_number)
        found.known[payment] = tuple(map(_known, entries))
    return found


def _known(entry: Entry) -> KnownOperation:
    intent = entry.intent
    return KnownOperation(
        api=intent.api,
        operation=intent.operation,
        key=intent.key,
        amount=intent.amount,
        outcome=None if entry.settlement is None else entry.settlement.outcome,
        settled_at=None if entry.settlement is None else entry.settlement.settled_at,
    )


def first_cancels(
    entries: Sequence[Entry], known: Mapping[str, Sequence[KnownOperation]]
) -> dict[str, tuple[str, str]]:
    """Return by which operation each payment was cancelled first, as its API and its key; by the payment.

    A payment is cancelled once: a cancel that is asked for again finds it so, and is done as well.

    Args:
        entries: of the day.
        known: all that the journal has of their payments, of other days too.
    """
    operations = [(entry.intent.payment, _known(entry)) for entry in entries]
    operations += [(payment, each) for payment, all_of_it in known.items() for each in all_of_it]
    found: dict[str, tuple[datetime, str, str]] = {}
    for payment, each in operations:
        is_done = each.outcome is Outcome.DONE and each.operation == BatchOperation.CANCEL.value
        if is_done and each.settled_at is not None:
            name = (each.settled_at, each.api, each.key)
            found[payment] = min(found.get(payment, name), name)
    return {payment: (api, key) for payment, (_, api, key) in found.items()}


def _is_about_money(entry: Entry) -> bool:
    # What makes a payment moves nothing, and a notification from Vipps is no operation.
    return entry.intent.adjusts


def _may_be_of(entry: Entry, day: Day) -> bool:
    """Whether it became known as done on a day, or is open and was begun by then."""
    if (settlement := entry.settlement) is None:
        return entry.intent.created_at < day.ends
    return settlement.outcome is Outcome.DONE and day.begins <= settlement.settled_at < day.ends


def _settled_at(entry: Entry) -> datetime:
    assert entry.settlement is not None  # noqa: S101 - for the type checker: only settled ones are kept
    return entry.settlement.settled_at
