"""Fast path for commits that only begin fresh intents and settle leased entries, which nearly all do.

What stands of an intent goes from the call to its row, and what stands of an outcome as well, without an entry being
looked up, changed and written back. Everything else goes the long way, by `vipps_async.journals.rules.apply`, which
also says what is right here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from attrs import define, evolve, field

from vipps_async.journals.entries import Attempts, Entry, Intent, KeyOrigin, Outcome
from vipps_async.journals.protocol import AcquireResult
from vipps_async.journals.rows import begun_values, ended_values
from vipps_async.journals.rules import FINAL, Begin, Command, CommandResult, Settle
from vipps_async.journals.slots import Identity, Payment, payment_of, payment_to_read

__all__ = ["MOST_PAYMENTS", "LeasedEntry", "OpenPayments", "PlainCommit", "decides", "plain_commit"]

#: The most payments that are remembered: some 30 MB. With more, each begin looks in the file.
MOST_PAYMENTS = 100_000


def decides(intent: Intent) -> bool:
    """Whether its open entry decides on others of its payment; see `same_operation` and `open_beside`."""
    return intent.adjusts or intent.origin is KeyOrigin.MADE


class OpenPayments:
    """Counts the open entries of each payment that decide on others.

    Args:
        payments: one for each such entry in the file; more than `MOST_PAYMENTS` are too many to remember.
    """

    def __init__(self, payments: Iterable[Payment]) -> None:
        self._counts: dict[Payment, int] | None = {}
        for payment in payments:
            self._change(payment, 1)

    def may_have(self, payment: Payment) -> bool:
        """Whether the file may have such an entry of this payment; False is certain."""
        return self._counts is None or payment in self._counts

    def began(self, intent: Intent) -> None:
        """Note that the file has one more open entry."""
        if decides(intent):
            self._change(payment_of(intent), 1)

    def ended(self, intent: Intent) -> None:
        """Note that the file has one open entry less."""
        if decides(intent):
            self._change(payment_of(intent), -1)

    def _change(self, payment: Payment, by: int) -> None:
        if self._counts is None:
            return
        count = self._counts.get(payment, 0) + by
        if count > 0:
            self._counts[payment] = count
            if len(self._counts) > MOST_PAYMENTS:
                self._counts = None
        else:
            self._counts.pop(payment, None)


#: A leased entry: its position, and how it stands in the file.
LeasedEntry = tuple[int, Entry]

#: There is nothing to tell whoever notes an outcome.
_NOTED: CommandResult = (None, None)


@define(eq=False)
class PlainCommit:
    """What is to be written, and what to tell and remember once it is."""

    #: The position of the newest entry.
    newest: int
    answers: list[CommandResult] = field(factory=list)
    begun: dict[Identity, LeasedEntry] = field(factory=dict)
    ended: set[Identity] = field(factory=set)
    #: The payments of those that begin and decide on the next one of the same.
    payments: set[Payment] = field(factory=set)
    #: For each that begins its `begun_values`, one behind the other: a list for each would keep the collector busy.
    begun_values: list[object] = field(factory=list)
    #: For each that ends its `ended_values`.
    ended_values: list[object] = field(factory=list)


def plain_commit(
    commands: Sequence[Command],
    leased: Mapping[Identity, LeasedEntry],
    open_payments: OpenPayments,
    newest: int,
    now: datetime,
) -> PlainCommit | None:
    """Command out what a commit writes; None: something in it has to go the long way, and so has all of it.

    Fresh keys are presumed to be new: if one is not, adding its row fails, and with it the whole commit.

    Args:
        commands: what to do.
        leased: entries that are open in the file and have an owner.
        open_payments: what is open in the file.
        newest: the position of the newest entry in the file.
        now: from when leases run.
    """
    commit = PlainCommit(newest)
    for command in commands:
        if type(command) is Begin:
            is_plain = _begin(commit, command, leased, open_payments, now)
        elif type(command) is Settle:
            is_plain = _settle(commit, command, leased)
        else:
            is_plain = False
        if not is_plain:
            return None
    return commit


def _begin(
    commit: PlainCommit,
    command: Begin,
    leased: Mapping[Identity, LeasedEntry],
    open_payments: OpenPayments,
    now: datetime,
) -> bool:
    intent = command.intent
    identity = intent.identity
    if identity in leased or identity in commit.begun:
        return False
    looked_at = payment_to_read(command)
    if looked_at is not None and (looked_at in commit.payments or open_payments.may_have(looked_at)):
        return False
    if decides(intent):
        commit.payments.add(payment_of(intent))
    commit.newest = position = commit.newest + 1
    attempts = Attempts(last_at=intent.created_at)
    entry = Entry(intent=intent, attempts=attempts, owner=command.owner, lease_until=now + command.lease)
    commit.begun[identity] = position, entry
    commit.begun_values += begun_values(position, entry)
    commit.answers.append((AcquireResult.ACQUIRED, entry))
    return True


def _settle(commit: PlainCommit, command: Settle, leased: Mapping[Identity, LeasedEntry]) -> bool:
    identity = command.intent.identity
    held = leased.get(identity)
    if held is None or identity in commit.ended or command.settlement.outcome not in FINAL:
        return False
    position, entry = held
    if entry.intent.digest != command.intent.digest:
        return False
    attempts = entry.attempts
    if command.settlement.outcome is not Outcome.DONE and attempts.in_doubt:
        attempts = evolve(attempts, ended=attempts.begun)
    commit.ended.add(identity)
    commit.ended_values += ended_values(position, entry.intent, attempts, command.settlement)
    commit.answers.append(_NOTED)
    return True
