"""Settles what a journal has open: details prove it done, or it is sent again, or it stays open with the reason."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from typing import Any

from attrs import field, frozen, mutable

from vipps_async.core.error_codes import operation_error
from vipps_async.core.journalling import JournalledRunner, mark_settled_by
from vipps_async.core.operation import Call, Done, NotDone, SettledBy
from vipps_async.core.recorded_refusal import write_refusal_record
from vipps_async.errors import JournalError, VippsError
from vipps_async.journals.protocol import Entry, Intent, Outcome, Standing

__all__ = ["LeftOpen", "Recovery", "RecoveryReport"]

#: How many entries wait between the walk through the journal and those who settle them, for each of these.
_AHEAD = 2


@frozen(kw_only=True)
class LeftOpen:
    """An operation whose outcome could not be found out this time."""

    intent: Intent
    #: Why, on one line.
    reason: str


@mutable(kw_only=True)
class RecoveryReport:
    """What a recovery did, in numbers of operations; it counts up while the recovery runs."""

    #: Entries that were looked at.
    seen: int = 0
    #: Details proved that they had taken effect.
    proven: int = 0
    #: Details proved that they had not: they were sent again, with the same key and body, and took effect now.
    sent_again: int = 0
    #: They were refused, now or, as details prove, before.
    refused: int = 0
    #: They never had an effect and need none: an initiate that never arrived, or a request that could not be sent.
    not_done: int = 0
    #: Somebody else has them in hand, or has settled them meanwhile.
    in_other_hands: int = 0
    #: They stay open, with the reason.
    left_open: list[LeftOpen] = field(factory=list)
    #: Payments that exist while the answer with their URL was lost: cancel them if nobody has approved them.
    urls_lost: list[str] = field(factory=list)

    @property
    def settled(self) -> int:
        """How many of them are settled now."""
        return self.proven + self.sent_again + self.refused + self.not_done


class Recovery:
    """Goes through the open entries of one sales unit. Safe to run twice, at once, and beside new work.

    An entry belongs to whoever holds its lease, so a call that is under way is left alone, and of two recoveries only
    one takes an entry in hand.
    """

    def __init__(self, runner: JournalledRunner, *, rebuild: Callable[[Intent], Call[Any]]) -> None:
        """Make a recovery for the journal of a runner.

        Args:
            runner: holds the journal, and sends again what has to be.
            rebuild: makes the call that an intent was written for; raises JournalError if it does not know how.
        """
        self._runner = runner
        self._rebuild = rebuild

    async def run(
        self, *, concurrency: int, progress: Callable[[RecoveryReport], None] | None = None
    ) -> RecoveryReport:
        """Settle what can be settled, and return what was done.

        Args:
            concurrency: how many entries are in work at the same time.
            progress: called after each entry, with the report as it is then.

        Raises:
            JournalError: the journal itself cannot be read or written.
        """
        report = RecoveryReport()
        queue: asyncio.Queue[Entry | None] = asyncio.Queue(concurrency * _AHEAD)
        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(self._work(queue, report, progress))
            async for entry in self._runner.open_entries():
                await queue.put(entry)
            for _ in range(concurrency):
                await queue.put(None)
        await self._runner.flush()
        return report

    async def _work(
        self,
        queue: asyncio.Queue[Entry | None],
        report: RecoveryReport,
        progress: Callable[[RecoveryReport], None] | None,
    ) -> None:
        while (entry := await queue.get()) is not None:
            report.seen += 1
            await self._settle(entry.intent, report)
            if progress is not None:
                progress(report)

    async def _settle(self, intent: Intent, report: RecoveryReport) -> None:
        standing, entry, owner = await self._runner.claim(intent)
        if standing is not Standing.MINE:
            report.in_other_hands += 1
            return
        intent = entry.intent
        call = self._rebuild(intent)
        finding = await self._runner.ask(call)
        if isinstance(finding, Done):
            if intent.operation == "initiate":
                report.urls_lost.append(intent.order_id)
            answer = self._runner.answer(call, mark_settled_by(finding.result, SettledBy.RECOVERY))
            await self._runner.settle(call, intent, Outcome.DONE, answer, owner=owner)
            report.proven += 1
        elif not isinstance(finding, NotDone):
            await self._leave_open(call, intent, finding.reason, owner, report)
        elif finding.final:
            error = operation_error(intent.operation)(f"Vipps has it on record as failed: {finding.reason}", status=200)
            await self._runner.settle(call, intent, Outcome.REFUSED, write_refusal_record(error), owner=owner)
            report.refused += 1
        elif intent.body is None:
            # Nothing to send again, and nobody to send a customer's URL to any more: a payment that never arrived.
            await self._runner.settle(call, intent, Outcome.NOT_DONE, b"", owner=owner)
            report.not_done += 1
        else:
            await self._send_again(call, intent, intent.body, owner, report)

    async def _send_again(
        self, call: Call[Any], intent: Intent, body: bytes, owner: str, report: RecoveryReport
    ) -> None:
        if hashlib.sha256(body).hexdigest() != intent.digest:
            reason = "the journal's entry is damaged: its body does not fit its digest"
            await self._leave_open(call, intent, reason, owner, report)
            return
        try:
            await self._runner.send(call, body, intent, owner=owner)
        except JournalError:
            raise
        except VippsError as error:
            # `send` has noted it; here it is only counted.
            outcome = self._runner.outcome_of(error)
            if outcome is Outcome.REFUSED:
                report.refused += 1
            elif outcome is Outcome.NOT_DONE:
                report.not_done += 1
            else:
                report.left_open.append(LeftOpen(intent=intent, reason=error.message))
        else:
            report.sent_again += 1

    async def _leave_open(
        self, call: Call[Any], intent: Intent, reason: str, owner: str, report: RecoveryReport
    ) -> None:
        await self._runner.release(call, intent, reason, owner=owner)
        report.left_open.append(LeftOpen(intent=intent, reason=reason))
