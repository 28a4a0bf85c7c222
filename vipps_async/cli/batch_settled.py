"""What `vipps-async batch` settles before its rows: one plan, shown by a dry run, or asked about and carried out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from attrs import define, field

from vipps_async.batch.layout import Layout
from vipps_async.batch.results import RowCause
from vipps_async.batch.row_store import RowStore
from vipps_async.batch.settled_first import (
    SettledBeside,
    left_alone,
    note_open,
    settled_beside,
    tell_what_was_open,
)
from vipps_async.cli.confirmation import is_asked
from vipps_async.cli.journal_open import OpenOperations, agree_to_settle, find_open, may_send
from vipps_async.cli.journal_text import about, is_leased, recovery_facts
from vipps_async.cli.output import plain, say
from vipps_async.config import Settings
from vipps_async.core.recovery_report import RecoveryReport
from vipps_async.errors import VippsError
from vipps_async.journals.entries import Intent
from vipps_async.journals.protocol import Journal
from vipps_async.money import format_amount
from vipps_async.session import VippsSession

#: Operations that are named on the screen.
_MOST_NAMED = 20


@define
class SettlingPlan:
    """What a journal has open of a sales unit before the rows of a file.

    A dry run says `show`; a run says `agree`, `settle`, and at the end `look_back`.
    """

    session: VippsSession
    journal: Journal
    store: RowStore
    layout: Layout
    #: Payments of which nothing is settled.
    leave: frozenset[str] = field(default=frozenset(), init=False)
    found: OpenOperations = field(factory=OpenOperations, init=False)
    #: What was settled; None: nothing was open, or it has not been settled.
    recovered: RecoveryReport | None = field(default=None, init=False)
    #: What of it is done by now, and is no row of the file; None: that has not been looked up.
    beside: SettledBeside | None = field(default=None, init=False)
    is_preview: bool = field(default=False, init=False)
    #: What was open when somebody was about to be asked; None: nobody else can open anything meanwhile.
    _told: frozenset[tuple[str, ...]] | None = field(default=None, init=False)

    @property
    def _unit(self) -> str:
        return self.session.merchant_serial_number

    async def _find(self) -> None:
        self.leave = await left_alone(self.store, self.journal, self.layout.operation, self._unit)
        self.found = await find_open(self.journal, self._unit, leave=self.leave)

    async def show(self) -> None:
        """Find what a run would settle.

        Raises:
            JournalError: the journal cannot be read.
        """
        self.is_preview = True
        await self._find()
        await note_open(self.store, self.journal, self._unit, leave=self.leave)

    # --- carried out -----------------------------------------------------------------------------------------------

    async def agree(self, settings: Settings, *, yes: bool, is_shared: bool) -> int | None:
        """Find what is open, name it, and ask whether to settle it; returns the exit status after a no.

        Args:
            settings: the environment and the sales unit.
            yes: whether the command line has agreed.
            is_shared: whether other processes use the journal meanwhile.

        Raises:
            JournalError: the journal cannot be read.
        """
        if is_shared and is_asked(settings, yes=yes):
            self._told = frozenset([intent.identity async for intent in self._to_send(leased=True)])
        await self._find()
        if (status := await agree_to_settle(self.found, settings, yes=yes)) is not None:
            return status
        await self.leave_what_came()
        return None

    async def leave_what_came(self) -> None:
        """Leave alone what other processes have left open while somebody was asked, and name it: nobody agreed to it.

        Raises:
            JournalError: the journal cannot be read.
        """
        if self._told is None:
            return
        came = [each async for each in self._to_send(leased=False) if each.identity not in self._told]
        if not came:
            return
        self._told |= {intent.identity for intent in came}
        self.leave |= {intent.payment for intent in came}
        say("Left open in the journal since the question, so this run settles nothing of these payments:")
        for intent in came[:_MOST_NAMED]:
            say(f"  {about(intent)}")
        more = f"  ... and {len(came) - _MOST_NAMED:,} more.\n" if len(came) > _MOST_NAMED else ""
        say(f"{more}It may have moved money. To settle it afterwards: vipps-async journal recover")

    async def _to_send(self, *, leased: bool) -> AsyncIterator[Intent]:
        """Go through what recovery may send again; `leased`: also what another process has in work."""
        now = datetime.now(UTC)
        async for entry in self.journal.open_entries(merchant_serial_number=self._unit):
            if may_send(entry) and (leased or not is_leased(entry, now)):
                yield entry.intent

    async def settle(self, stop: asyncio.Event) -> None:
        """Settle what is open, until `stop` is set; cancelled, `recovered` has what was done by then.

        Raises:
            VippsError: the session or the journal cannot be used.
        """
        self.recovered = RecoveryReport()
        await note_open(self.store, self.journal, self._unit, leave=self.leave)
        self.recovered = await self.session.recover(leave=self.leave, stop=stop, progress=self._note)

    def _note(self, report: RecoveryReport) -> None:
        self.recovered = report

    async def look_back(self) -> str:
        """Find what became of what was open, if it was settled; returns why that could not be done, if it could not."""
        if self.recovered is None:
            return ""
        api, operation = self.layout.api, self.layout.operation
        try:
            await tell_what_was_open(self.store, self.journal, api, operation, self._unit)
            self.beside = await settled_beside(self.store, self.journal, api, operation, self._unit)
        except VippsError as error:
            return str(error)
        return ""

    # --- told ------------------------------------------------------------------------------------------------------

    def text(self) -> str:
        """Say on one line or more what was settled beside the rows, or would be settled first; empty: nothing.

        What was settled beside them is named on stderr.
        """
        if self.is_preview:
            return self._would_settle_text()
        if self.beside is None:
            return ""
        _say_what_is_settled(self.beside)
        return _beside_text(self.beside)

    def facts(self) -> dict[str, object]:
        """Render the same for machines; amounts are in minor units."""
        if self.is_preview:
            return {"would_settle_first": self._would_settle_facts()}
        return {"settled_first": _settled_facts(self.recovered, self.beside)}

    @property
    def _of_file(self) -> int:
        """How many of what is open are rows of the file, which are counted among the rows."""
        return self.store.open_of_file(self.layout.api.name, self.layout.operation.value)

    def _would_settle_text(self) -> str:
        found, of_file = self.found, self._of_file
        if not found.count:
            return ""
        what = "operation that is" if found.count == 1 else "operations that are"
        rows = f", of which {of_file:,} counted above with a row of this file" if of_file else ""
        done, moved = self.store.of_cause(RowCause.TAKEN_EFFECT)
        if done:
            has = "has" if done == 1 else "have"
            rows += f" ({done:,} {has} taken effect already, {format_amount(moved, self.layout.api.currency)})"
        text = f"Would be settled first: {found.count:,} {what} open in the journal{rows}."
        if found.to_send:
            text += f"\nWhat Vipps does not have of it is sent again: {found.sum_text()}\n{found.lines()}"
        return text

    def _would_settle_facts(self) -> dict[str, Any]:
        done, moved = self.store.of_cause(RowCause.TAKEN_EFFECT)
        return {
            "open": self.found.count,
            "of_this_file": self._of_file,
            "taken_effect": done,
            "moved_already": moved,
            "may_be_sent_again": self.found.to_send,
            "sums": [
                {
                    "operation": operation,
                    "currency": currency,
                    "count": each.count,
                    "amount": each.amount,
                    "takes_all": each.takes_all,
                }
                for (operation, currency), each in sorted(self.found.sums.items())
            ],
        }


def _say_what_is_settled(beside: SettledBeside) -> None:
    """Name what this run has settled as done that is none of the rows of its file."""
    for each in beside.named[:_MOST_NAMED]:
        moved = "" if each.moved is None else f", {format_amount(each.moved, each.intent.currency)}"
        say(f"settled first: {about(each.intent)}: done{moved}")
    if (count := beside.counts.total()) > _MOST_NAMED:
        say(f"... and {count - _MOST_NAMED:,} more: vipps-async journal reconcile --day today")


def _beside_text(beside: SettledBeside) -> str:
    """Add up on one line what was settled beside the rows of the file; empty: nothing."""
    parts = []
    for (operation, currency), count in sorted(beside.counts.items()):
        moved = beside.moved[operation, currency]
        money = f" of {format_amount(moved, currency)}" if moved else ""
        parts.append(f"{count:,} {plain(operation)}{'' if count == 1 else 's'}{money}")
    return f"Settled first, beside the rows of this file: {' and '.join(parts)}." if parts else ""


def _settled_facts(recovered: RecoveryReport | None, beside: SettledBeside | None) -> dict[str, Any] | None:
    """Render for machines what was settled first; None: nothing was open. Amounts are in minor units."""
    if recovered is None:
        return None
    found = SettledBeside() if beside is None else beside
    return recovery_facts(recovered) | {
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
