"""The state transitions of an entry: begin, claim, attempt, settle, release. Pure, the same for every store."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime, timedelta

from attrs import define, evolve

from vipps_async.errors import InvalidInputError, JournalError
from vipps_async.journals.entries import Attempts, Entry, Intent, KeyOrigin, Outcome, Settlement, World, is_storable
from vipps_async.journals.protocol import AcquireResult

#: Why an entry is open whose owner has not said so.
_ABANDONED = "its owner has left it without an outcome"

#: Outcomes that nothing changes any more.
FINAL = frozenset({Outcome.DONE, Outcome.REFUSED})

#: The longest note, in characters: enough for an error's text, too little to fill a disk with.
_LONGEST_NOTE = 1000

#: The longest lease, in seconds: 10 years. Beyond some thousand years the end of a lease is no date any more.
_LONGEST_LEASE = 10 * 365 * 86_400


# Nobody changes these. They are not frozen, as that takes twice the time, and each call makes two.


@define
class Begin:
    """Lease an entry, creating or reopening it if necessary."""

    intent: Intent
    owner: str
    lease: timedelta
    #: Whether an equal open entry with a made key is the same operation; see `same_operation`.
    adopt: bool = False


@define
class Attempt:
    """Count one more attempt."""

    intent: Intent
    owner: str
    at: datetime


@define
class Claim:
    """Lease an open entry."""

    intent: Intent
    owner: str
    lease: timedelta


@define
class Settle:
    """Store an outcome."""

    intent: Intent
    settlement: Settlement
    owner: str | None


@define
class Release:
    """Leave an entry open and end its lease."""

    intent: Intent
    note: str
    owner: str | None
    attempts: Attempts | None = None
    #: Whether the attempt that was being counted last never left.
    unsent: bool = False


Command = Begin | Claim | Attempt | Settle | Release

#: What a command found (None: nothing to report) and the entry as it is now (None: there is none). A settle reports
#: SETTLED if it overruled an entry that was settled as without effect.
CommandResult = tuple[AcquireResult | None, Entry | None]


def checked_hold(owner: str, lease: float) -> timedelta:
    """Check the owner and the length of a lease.

    Raises:
        InvalidInputError: `owner` is empty or no text, or `lease` is no number of seconds from 0 to ten years.
    """
    if not owner or not is_storable(owner):
        raise InvalidInputError("owner", "text that is not empty, without NUL characters", value=owner)
    if not _is_number(lease) or not 0 <= lease <= _LONGEST_LEASE:
        raise InvalidInputError("lease", "a number of seconds from 0 to ten years", value=lease)
    return timedelta(seconds=lease)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def clean_note(note: str) -> str:
    """Make a note storable everywhere: no NUL, no lone surrogate, not too long."""
    return note[:_LONGEST_NOTE].replace("\0", "").encode(errors="replace").decode()


def acquired_by(answer: CommandResult, intent: Intent) -> tuple[AcquireResult, Entry]:
    """Return the answer to a begin or claim with its entry.

    Raises:
        JournalError: there is no such entry to claim.
    """
    acquired, entry = answer
    if acquired is None or entry is None:
        text = f"there is no {intent.name} of {intent.payment} with the key {intent.key} to claim"
        raise JournalError(text, advice="begin it instead")
    return acquired, entry


def check_world(bound: World | None, world: World, place: str) -> None:
    """Check that a journal may be used for a world.

    Args:
        bound: the world that it is bound to; None: none yet.
        world: the world that it is to be used for.
        place: what the journal is called in the error.

    Raises:
        JournalError: they differ.
    """
    if bound is None or bound == world:
        return
    advice = "use the journal of this environment and host: --journal or VIPPS_JOURNAL names it to a command"
    if bound.instance != world.instance and bound.host == world.host:
        advice = "a sandbox that was started anew is another one: name another file by --journal, or, if what it holds "
        advice += "is of no use any more, remove the sandbox's journal"
    raise JournalError(
        f"{place} has the facts of another Vipps ({bound}) than this session talks to ({world}); nothing was sent",
        advice=advice,
    )


def same_operation(open_entries: Iterable[Entry], intent: Intent) -> Entry | None:
    """Find the open entry that a call without a key of its own meets; the same for every store.

    Args:
        open_entries: the open entries of the same sales unit and payment, oldest first.
        intent: what the call is about to begin.

    Returns:
        The entry with a made key and the same digest, else one with a made key and the same amount, else None.
    """
    similar: Entry | None = None
    for entry in open_entries:
        other = entry.intent
        if other.origin is not KeyOrigin.MADE or entry.settlement is not None or other.key == intent.key:
            continue
        if other.name != intent.name:
            continue
        if other.digest == intent.digest:
            return entry
        if other.amount == intent.amount and similar is None:
            similar = entry
    return similar


def open_beside(open_entries: Iterable[Entry], intent: Intent, *, adopt: bool) -> Entry | None:
    """Find the open adjustment that keeps this one from beginning; None: there is none.

    It is one at another API; or, for a call without a key of its own, an equal one under a key that the caller chose:
    whoever asks again and leaves the key out most likely means the same operation.

    Args:
        open_entries: as for `same_operation`.
        intent: what is about to begin.
        adopt: whether its key was made for this call alone.
    """
    for entry in open_entries if intent.adjusts else ():
        other = entry.intent
        if not other.adjusts or entry.settlement is not None:
            continue
        is_equal = other.name == intent.name and other.amount == intent.amount and other.origin is not KeyOrigin.MADE
        if other.api != intent.api or (adopt and is_equal and other.key != intent.key):
            return entry
    return None


def apply(entry: Entry | None, command: Command, now: datetime) -> CommandResult:
    """Apply one command to the entry of its identity, if there is one; return the answer and the new entry.

    An entry that comes back as the same object has not changed.
    """
    match command:
        case Begin():
            return _begin(entry, command, now)
        case Settle():
            settled = _settle(entry, command, now)
            return AcquireResult.SETTLED if _is_overruled(entry, settled) else None, settled
        case Claim():
            return _claim(entry, command, now)
        case Attempt():
            return _attempt(entry, command)
        case Release():
            return None, _release(entry, command, now)


def _begin(entry: Entry | None, command: Begin, now: datetime) -> tuple[AcquireResult, Entry]:
    if entry is None:
        attempts = Attempts(last_at=command.intent.created_at)
        return AcquireResult.ACQUIRED, Entry(
            intent=command.intent, attempts=attempts, owner=command.owner, lease_until=now + command.lease
        )
    acquired = _acquire(entry, command, now)
    if acquired is AcquireResult.SETTLED and not _is_final(entry):
        acquired = AcquireResult.ACQUIRED
    elif acquired is AcquireResult.ACQUIRED and entry.attempts.is_dropped:
        acquired = AcquireResult.DROPPED
    if acquired is not AcquireResult.ACQUIRED:
        return acquired, entry
    attempts = Attempts(begun=entry.attempts.begun + 1, ended=entry.attempts.ended, last_at=command.intent.created_at)
    return acquired, evolve(_taken(entry, command, now), attempts=attempts)


def _attempt(entry: Entry | None, command: Attempt) -> CommandResult:
    if entry is None:
        return None, None
    if entry.settlement is not None or entry.intent.digest != command.intent.digest:
        return AcquireResult.SETTLED if entry.settlement is not None else AcquireResult.MISMATCH, entry
    if entry.owner != command.owner:
        return AcquireResult.HELD, entry
    attempts = Attempts(begun=entry.attempts.begun + 1, ended=entry.attempts.ended, last_at=command.at)
    return AcquireResult.ACQUIRED, evolve(entry, attempts=attempts)


def _claim(entry: Entry | None, command: Claim, now: datetime) -> CommandResult:
    if entry is None:
        return None, None
    acquired = _acquire(entry, command, now)
    return (acquired, _taken(entry, command, now)) if acquired is AcquireResult.ACQUIRED else (acquired, entry)


def _acquire(entry: Entry, command: Begin | Claim, now: datetime) -> AcquireResult:
    if entry.intent.digest != command.intent.digest:
        return AcquireResult.MISMATCH
    if entry.settlement is not None:
        return AcquireResult.SETTLED
    # A released entry belongs to nobody, even if the clock was set back since.
    if entry.owner not in {"", command.owner} and entry.lease_until > now:
        return AcquireResult.HELD
    return AcquireResult.ACQUIRED


def _taken(entry: Entry, command: Begin | Claim, now: datetime) -> Entry:
    note = entry.note
    if not note and entry.settlement is None and entry.owner != command.owner:
        # Told apart from one that begins anew: the owner before may have sent it.
        note = _ABANDONED
    return Entry(
        intent=entry.intent, attempts=entry.attempts, owner=command.owner, lease_until=now + command.lease, note=note
    )


def _settle(entry: Entry | None, command: Settle, now: datetime) -> Entry:
    if entry is None:
        attempts = Attempts(last_at=command.intent.created_at)
        return Entry(
            intent=command.intent,
            attempts=attempts if command.settlement.outcome is Outcome.DONE else _all_ended(attempts),
            settlement=command.settlement,
            owner=command.owner or "",
            lease_until=now,
        )
    if entry.intent.digest != command.intent.digest or not _may_settle(entry, command.settlement):
        return entry
    if command.settlement.outcome is Outcome.NOT_DONE and command.owner not in {None, entry.owner}:
        return entry
    is_done = command.settlement.outcome is Outcome.DONE
    overrules = is_done and entry.settlement is not None
    return Entry(
        intent=entry.intent,
        attempts=entry.attempts if is_done else _all_ended(entry.attempts),
        settlement=command.settlement,
        # Whoever brings the truth tells of it.
        owner=(command.owner or "") if overrules else entry.owner,
        lease_until=entry.lease_until,
        note=_overruled_note(entry.settlement) if overrules else "",
    )


def _is_overruled(before: Entry | None, after: Entry) -> bool:
    """Whether what was settled as without effect is done all the same, and nobody had begun it again."""
    was, now = (None if before is None else before.settlement), after.settlement
    return was is not None and now is not None and now is not was and now.outcome is Outcome.DONE


def _overruled_note(settlement: Settlement | None) -> str:
    if settlement is None:
        return ""
    was, at = settlement.outcome.value, settlement.settled_at
    return f"Vipps carried it out, though it was settled as {was} at {at:%Y-%m-%d %H:%M:%S} UTC"


def _may_settle(entry: Entry, settlement: Settlement) -> bool:
    """Whether the outcome may be noted: the first one stays, but what Vipps has done outranks every refusal."""
    if entry.settlement is None or not _is_final(entry):
        return True
    return settlement.outcome is Outcome.DONE and entry.settlement.outcome is Outcome.REFUSED


def _all_ended(attempts: Attempts) -> Attempts:
    return attempts if attempts.ended == attempts.begun else evolve(attempts, ended=attempts.begun)


def _release(entry: Entry | None, command: Release, now: datetime) -> Entry | None:
    if entry is None or entry.settlement is not None or entry.intent.digest != command.intent.digest:
        return entry
    if command.owner not in {None, entry.owner}:
        return entry
    attempts = known = entry.attempts
    if command.attempts is not None:
        attempts = evolve(command.attempts, begun=max(known.begun, command.attempts.begun))
    if command.unsent and (command.attempts is None or known.begun > command.attempts.begun):
        attempts = evolve(attempts, ended=min(attempts.ended + 1, attempts.begun))
    return Entry(intent=entry.intent, attempts=attempts, owner="", lease_until=now, note=command.note)


def _is_final(entry: Entry) -> bool:
    return entry.settlement is not None and entry.settlement.outcome in FINAL
