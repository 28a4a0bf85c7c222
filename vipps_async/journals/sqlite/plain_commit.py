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
from vipps_async.journals.rules import FINAL, Answer, Begin, Settle, Work
from vipps_async.journals.slots import Identity, Wish, wish_of
from vipps_async.journals.sqlite.open_wishes import OpenWishes
from vipps_async.journals.sqlite.rows import begun_values, ended_values

__all__ = ["Held", "PlainCommit", "plain_commit"]

#: An entry in hand: its position, and how it stands in the file.
Held = tuple[int, Entry]

#: There is nothing to tell whoever notes an outcome.
_NOTED: Answer = (None, None)


@define(eq=False)
class PlainCommit:
    """What is to be written, and what to tell and remember once it is."""

    #: The position of the newest entry.
    newest: int
    answers: list[Answer] = field(factory=list)
    begun: dict[Identity, Held] = field(factory=dict)
    ended: set[Identity] = field(factory=set)
    #: What those that begin with a made key are about: the next one of the same may be the same wish.
    wishes: set[Wish] = field(factory=set)
    #: For each that begins its `begun_values`, one behind the other: a list for each would keep the collector busy.
    begun_values: list[object] = field(factory=list)
    #: For each that ends its `ended_values`.
    ended_values: list[object] = field(factory=list)


def plain_commit(
    works: Sequence[Work], in_hand: Mapping[Identity, Held], open_wishes: OpenWishes, newest: int, now: datetime
) -> PlainCommit | None:
    """Work out what a commit writes; None: something in it has to go the long way, and so has all of it.

    Fresh keys are presumed to be new: if one is not, adding its row fails, and with it the whole commit.

    Args:
        works: what to do.
        in_hand: entries that are open in the file and have an owner.
        open_wishes: what is open in the file with a made key.
        newest: the position of the newest entry in the file.
        now: from when leases run.
    """
    commit = PlainCommit(newest)
    for work in works:
        if type(work) is Begin:
            is_plain = _begin(commit, work, in_hand, open_wishes, now)
        elif type(work) is Settle:
            is_plain = _settle(commit, work, in_hand)
        else:
            is_plain = False
        if not is_plain:
            return None
    return commit


def _begin(
    commit: PlainCommit, work: Begin, in_hand: Mapping[Identity, Held], open_wishes: OpenWishes, now: datetime
) -> bool:
    intent = work.intent
    identity = intent.identity
    if identity in in_hand or identity in commit.begun:
        return False
    if intent.origin is KeyOrigin.MADE:
        wish = wish_of(intent)
        if work.adopt and (wish in commit.wishes or open_wishes.may_have(wish)):
            return False
        commit.wishes.add(wish)
    elif work.adopt:
        return False
    commit.newest = position = commit.newest + 1
    attempts = Attempts(last_at=intent.created_at)
    entry = Entry(intent=intent, attempts=attempts, owner=work.owner, lease_until=now + work.lease)
    commit.begun[identity] = position, entry
    commit.begun_values += begun_values(position, entry)
    commit.answers.append((Standing.MINE, entry))
    return True


def _settle(commit: PlainCommit, work: Settle, in_hand: Mapping[Identity, Held]) -> bool:
    identity = work.intent.identity
    held = in_hand.get(identity)
    if held is None or identity in commit.ended or work.settlement.outcome not in FINAL:
        return False
    position, entry = held
    if entry.intent.digest != work.intent.digest:
        return False
    attempts = entry.attempts
    if work.settlement.outcome is not Outcome.DONE and attempts.in_doubt:
        attempts = evolve(attempts, ended=attempts.begun)
    commit.ended.add(identity)
    commit.ended_values += ended_values(position, entry.intent, attempts, work.settlement)
    commit.answers.append(_NOTED)
    return True
