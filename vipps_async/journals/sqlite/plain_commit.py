"""A commit of nothing but fresh intents and final outcomes of what is in hand: nearly every one, so told apart early.

What stands of an intent goes from the call to its row, and what stands of an outcome as well, without an entry being
looked up, changed and written back. Everything else goes the long way, by `vipps_async.journals.rules.apply`, which
also says what is right here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from attrs import define, evolve, field

from vipps_async.journals.protocol import Attempts, Entry, KeyOrigin, Outcome, Standing
from vipps_async.journals.rows import begun_values, ended_values
from vipps_async.journals.rules import FINAL, Answer, Begin, Command, Settle
from vipps_async.journals.slots import Identity, Wish, wish_of
from vipps_async.journals.sqlite.open_wishes import OpenWishes

__all__ = ["LeasedEntry", "PlainCommit", "plain_commit"]

#: An entry in hand: its position, and how it stands in the file.
LeasedEntry = tuple[int, Entry]

#: There is nothing to tell whoever notes an outcome.
_NOTED: Answer = (None, None)


@define(eq=False)
class PlainCommit:
    """What is to be written, and what to tell and remember once it is."""

    #: The position of the newest entry.
    newest: int
    answers: list[Answer] = field(factory=list)
    begun: dict[Identity, LeasedEntry] = field(factory=dict)
    ended: set[Identity] = field(factory=set)
    #: What those that begin with a made key are about: the next one of the same may be the same wish.
    wishes: set[Wish] = field(factory=set)
    #: For each that begins its `begun_values`, one behind the other: a list for each would keep the collector busy.
    begun_values: list[object] = field(factory=list)
    #: For each that ends its `ended_values`.
    ended_values: list[object] = field(factory=list)


def plain_commit(
    commands: Sequence[Command],
    leased: Mapping[Identity, LeasedEntry],
    open_wishes: OpenWishes,
    newest: int,
    now: datetime,
) -> PlainCommit | None:
    """Command out what a commit writes; None: something in it has to go the long way, and so has all of it.

    Fresh keys are presumed to be new: if one is not, adding its row fails, and with it the whole commit.

    Args:
        commands: what to do.
        leased: entries that are open in the file and have an owner.
        open_wishes: what is open in the file with a made key.
        newest: the position of the newest entry in the file.
        now: from when leases run.
    """
    commit = PlainCommit(newest)
    for command in commands:
        if type(command) is Begin:
            is_plain = _begin(commit, command, leased, open_wishes, now)
        elif type(command) is Settle:
            is_plain = _settle(commit, command, leased)
        else:
            is_plain = False
        if not is_plain:
            return None
    return commit


def _begin(
    commit: PlainCommit, command: Begin, leased: Mapping[Identity, LeasedEntry], open_wishes: OpenWishes, now: datetime
) -> bool:
    intent = command.intent
    identity = intent.identity
    if identity in leased or identity in commit.begun:
        return False
    if intent.origin is KeyOrigin.MADE:
        wish = wish_of(intent)
        if command.adopt and (wish in commit.wishes or open_wishes.may_have(wish)):
            return False
        commit.wishes.add(wish)
    elif command.adopt:
        return False
    commit.newest = position = commit.newest + 1
    attempts = Attempts(last_at=intent.created_at)
    entry = Entry(intent=intent, attempts=attempts, owner=command.owner, lease_until=now + command.lease)
    commit.begun[identity] = position, entry
    commit.begun_values += begun_values(position, entry)
    commit.answers.append((Standing.MINE, entry))
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
