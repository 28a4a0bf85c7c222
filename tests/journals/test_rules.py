"""What each command does to one entry: the rules that every store shares, tried without a store."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve

from tests.journals.material import MOMENT, intent, settlement
from tests.support.rows import each_row
from vipps_async.journals.entries import Attempts, Entry, Intent, KeyOrigin, Outcome
from vipps_async.journals.protocol import AcquireResult
from vipps_async.journals.rules import (
    Attempt,
    Begin,
    Claim,
    Command,
    Release,
    Settle,
    apply,
    open_beside,
    same_operation,
)

LEASE = timedelta(seconds=60)
NOW = MOMENT + timedelta(seconds=10)
LATER = NOW + timedelta(hours=1)


def entry(**changes: Any) -> Entry:
    """An open entry of one attempt, which "first" holds."""
    whole = Entry(intent=intent(), attempts=Attempts(last_at=MOMENT), owner="first", lease_until=NOW + LEASE)
    return evolve(whole, **changes)


def after(before: Entry | None, command: Command, *, now: Any = NOW) -> Entry:
    """The entry after one command."""
    _, found = apply(before, command, now)
    assert found is not None
    return found


def result_of(before: Entry | None, command: Command, *, now: Any = NOW) -> AcquireResult | None:
    """What a command is told."""
    found, _ = apply(before, command, now)
    return found


def again(owner: str = "second", at: Any = LATER) -> Begin:
    """Begin the same intent again."""
    return Begin(intent(created_at=at), owner, LEASE)


def test_the_intent_counts_the_first_attempt() -> None:
    """Begun, in doubt, and with the horizon counted from it."""
    found = after(None, Begin(intent(), "first", LEASE))
    assert found.attempts == Attempts(begun=1, ended=0, last_at=intent().created_at)
    assert found.lease_until == NOW + LEASE


@pytest.mark.parametrize("ended", [0, 1])
def test_to_begin_again_is_an_attempt_more(ended: int) -> None:
    """It is counted, no earlier one is forgotten, and the horizon counts from the new one."""
    before = entry(owner="", attempts=Attempts(begun=1, ended=ended, last_at=MOMENT))
    assert after(before, again()).attempts == Attempts(begun=2, ended=ended, last_at=LATER)


def test_to_begin_what_was_not_done_is_an_attempt_more() -> None:
    """Not done may be begun again; done and refused may not."""
    before = entry(settlement=settlement(Outcome.NOT_DONE), attempts=Attempts(begun=2, ended=2, last_at=MOMENT))
    found = after(before, again())
    assert result_of(before, again()) is AcquireResult.ACQUIRED
    assert found.settlement is None
    assert found.attempts == Attempts(begun=3, ended=2, last_at=LATER)
    for outcome in (Outcome.DONE, Outcome.REFUSED):
        final = entry(settlement=settlement(outcome))
        assert apply(final, again(), NOW) == (AcquireResult.SETTLED, final)


def test_an_attempt_is_counted() -> None:
    """One more, for the owner alone, and the horizon counts from it."""
    before = entry(attempts=Attempts(begun=2, ended=1, last_at=MOMENT))
    assert result_of(before, Attempt(intent(), "first", LATER)) is AcquireResult.ACQUIRED
    assert after(before, Attempt(intent(), "first", LATER)).attempts == Attempts(begun=3, ended=1, last_at=LATER)


def test_no_attempt_without_the_entry() -> None:
    """Another owner's, settled, of another payload, or gone: it must not leave, and is not counted."""
    others = Attempt(intent(), "second", LATER)
    assert apply(entry(), others, NOW) == (AcquireResult.HELD, entry())
    done = entry(settlement=settlement())
    assert apply(done, Attempt(intent(), "first", LATER), NOW) == (AcquireResult.SETTLED, done)
    other = Attempt(intent(digest="0" * 64), "first", LATER)
    assert apply(entry(), other, NOW) == (AcquireResult.MISMATCH, entry())
    assert apply(None, others, NOW) == (None, None)


@pytest.mark.parametrize("command", [again(), Claim(intent(), "second", LEASE)])
def test_a_lease_keeps_others_away(command: Begin | Claim) -> None:
    """Until its end nobody else goes on; after it, or a release, anybody."""
    assert result_of(entry(), command) is AcquireResult.HELD
    assert result_of(entry(), command, now=NOW + LEASE) is AcquireResult.ACQUIRED
    assert result_of(entry(owner=""), command) is AcquireResult.ACQUIRED
    assert result_of(entry(owner="second"), command) is AcquireResult.ACQUIRED


@pytest.mark.parametrize("command", [Begin, Claim])
def test_another_payload_is_a_mismatch(command: type[Begin | Claim]) -> None:
    """Whoever holds it, and settled or not."""
    other = command(intent(digest="0" * 64), "first", LEASE)
    for before in (entry(), entry(owner=""), entry(settlement=settlement())):
        assert apply(before, other, NOW) == (AcquireResult.MISMATCH, before)


def test_a_claim_counts_no_attempt() -> None:
    """To lease it sends nothing yet."""
    assert after(entry(owner=""), Claim(intent(), "second", LEASE)).attempts == entry().attempts


#: Of a settled entry, which outcomes may follow which.
MAY_FOLLOW = {
    (Outcome.REFUSED, Outcome.DONE),
    (Outcome.NOT_DONE, Outcome.DONE),
    (Outcome.NOT_DONE, Outcome.REFUSED),
    (Outcome.NOT_DONE, Outcome.NOT_DONE),
}


@each_row("first", Outcome)
@each_row("second", Outcome)
def test_the_first_final_outcome_stays(first: Outcome, second: Outcome) -> None:
    """But for what Vipps has done, which outranks a refusal."""
    before = entry(settlement=settlement(first))
    new = settlement(second, b'"new"')
    found = after(before, Settle(intent(), new, "second"))
    follows = (first, second) in MAY_FOLLOW and (second is not Outcome.NOT_DONE)
    assert found.settlement == (new if follows else before.settlement)
    # Whoever brings what Vipps has done is told that it was settled otherwise, so that it can tell others.
    overrules = second is Outcome.DONE and first is not Outcome.DONE
    assert result_of(before, Settle(intent(), new, "second")) is (AcquireResult.SETTLED if overrules else None)
    assert (found.owner, bool(found.note)) == (("second", True) if overrules else ("first", False))


def test_an_outcome_of_what_is_open_overrules_nothing() -> None:
    """Nor does one that the journal never received: nobody was told anything."""
    for before in (None, entry()):
        assert result_of(before, Settle(intent(), settlement(), "second")) is None
    assert after(entry(), Settle(intent(), settlement(), "second")).owner == "first"


@pytest.mark.parametrize("outcome", Outcome)
@pytest.mark.parametrize("exists", [True, False])
def test_what_had_no_effect_leaves_no_doubt(outcome: Outcome, exists: bool) -> None:  # noqa: FBT001 - a parameter
    """Refused or not done ends every attempt; done ends none of them without effect."""
    before = entry(attempts=Attempts(begun=3, ended=1, last_at=MOMENT)) if exists else None
    found = after(before, Settle(intent(), settlement(outcome), "first"))
    begun, ended = (3, 1) if exists else (1, 0)
    assert found.attempts.begun == begun
    assert found.attempts.ended == (ended if outcome is Outcome.DONE else begun)


def test_not_done_is_for_the_owner_to_say() -> None:
    """Somebody else may have sent it since; what is done or refused for good is so for everybody."""
    late = Settle(intent(), settlement(Outcome.NOT_DONE), "second")
    assert after(entry(), late) == entry()
    assert after(entry(), evolve_owner(late, None)).settlement is not None
    for outcome in (Outcome.DONE, Outcome.REFUSED):
        assert after(entry(), Settle(intent(), settlement(outcome), "second")).settlement is not None


def evolve_owner(command: Settle, owner: str | None) -> Settle:
    """The same outcome, told by another owner."""
    return Settle(command.intent, command.settlement, owner)


def test_a_settlement_of_another_payload_changes_nothing() -> None:
    """It is about something else."""
    assert after(entry(), Settle(intent(digest="0" * 64), settlement(), "first")) == entry()


def test_a_release_never_lowers_the_count() -> None:
    """Attempts that others have counted meanwhile are kept."""
    before = entry(attempts=Attempts(begun=5, last_at=MOMENT))
    known = Attempts(begun=2, ended=2, last_at=LATER, refusal=b"no")
    found = after(before, Release(intent(), "why", "first", known))
    assert (found.attempts.begun, found.attempts.ended, found.attempts.refusal) == (5, 2, b"no")
    more = after(before, Release(intent(), "why", "first", evolve(known, begun=7)))
    assert more.attempts.begun == 7
    assert (found.owner, found.note, found.lease_until) == ("", "why", NOW)


@pytest.mark.parametrize("unsent", [True, False])
def test_an_attempt_that_was_only_counted_has_ended(unsent: bool) -> None:  # noqa: FBT001 - a parameter
    """The one that was counted last, by whoever lets go of it; of those that it knows of, only a further one."""
    doubtful = Attempts(begun=2, ended=0, last_at=MOMENT)
    before = entry(attempts=doubtful)
    assert after(before, Release(intent(), "why", "first", None, unsent)).attempts.ended == unsent
    known = Release(intent(), "why", "first", doubtful, unsent)
    assert after(before, known).attempts == doubtful
    counted = after(entry(attempts=evolve(doubtful, begun=3)), known).attempts
    assert counted == evolve(doubtful, begun=3, ended=int(unsent))
    all_ended = evolve(doubtful, ended=2)
    assert after(entry(attempts=all_ended), Release(intent(), "why", "first", None, unsent)).attempts == all_ended


def test_only_the_owner_releases_what_is_open() -> None:
    """Not another, and nothing that is settled or of another payload."""
    assert after(entry(), Release(intent(), "why", "second", unsent=True)) == entry()
    assert after(entry(), Release(intent(), "why", None)).owner == ""
    done = entry(settlement=settlement())
    assert after(done, Release(intent(), "why", "first")) == done
    assert after(entry(), Release(intent(digest="0" * 64), "why", "first")) == entry()


# --- another API -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("other", "is_found"),
    [
        ({"api": "toy"}, True),
        ({"api": "toy", "operation": "refund", "digest": "0" * 64}, True),
        ({"api": "ecom", "operation": "refund"}, False),
        ({"api": "toy", "adjusts": False}, False),
    ],
)
def test_what_closes_a_payment(other: dict[str, Any], *, is_found: bool) -> None:
    """An open adjustment at another API, whatever it asks for; not for what adjusts nothing."""
    found = entry(intent=intent(1, key="other", **other))
    assert (open_beside([found], intent(1), adopt=False) is found) is is_found
    assert open_beside([evolve(found, settlement=settlement())], intent(1), adopt=False) is None
    assert open_beside([found], intent(1, adjusts=False), adopt=False) is None


@pytest.mark.parametrize(
    ("other", "is_found"),
    [
        ({"origin": KeyOrigin.GIVEN}, True),
        ({"origin": KeyOrigin.ROW, "digest": "0" * 64}, True),
        ({"origin": KeyOrigin.MADE}, False),
        ({"origin": KeyOrigin.GIVEN, "amount": 1}, False),
        ({"origin": KeyOrigin.GIVEN, "operation": "refund"}, False),
    ],
    ids=["given", "a row with another text", "made: it is adopted instead", "another amount", "another operation"],
)
def test_a_call_without_a_key_does_not_pass_an_equal_one_with_a_key(other: dict[str, Any], *, is_found: bool) -> None:
    """Who asks again and leaves the key out most likely means the same; a key of its own says that it is another."""
    found = entry(intent=intent(1, key="other", **other))
    assert (open_beside([found], intent(1), adopt=True) is found) is is_found
    assert open_beside([found], intent(1), adopt=False) is None
    assert open_beside([evolve(found, settlement=settlement())], intent(1), adopt=True) is None


# --- the same operation ------------------------------------------------------------


def made(number: int = 1, **changes: Any) -> Intent:
    """An intent with a made key."""
    return intent(1, key=f"key-{number}", origin=KeyOrigin.MADE, **changes)


def test_an_equal_open_intent_with_a_made_key_is_the_same_wish() -> None:
    """Found by its payload, also behind one of the same amount alone."""
    text = entry(intent=made(1, digest="0" * 64))
    equal = entry(intent=made(2))
    assert same_operation([equal], made(3)) is equal
    assert same_operation([text, equal], made(3)) is equal
    assert same_operation([text], made(3)) is text
    assert same_operation([text, entry(intent=made(2, digest="1" * 64))], made(3)) is text


@pytest.mark.parametrize("origin", [each for each in KeyOrigin if each is not KeyOrigin.MADE])
def test_a_key_that_was_given_is_a_wish_of_its_own(origin: KeyOrigin) -> None:
    """Two parts of the same amount with keys of their own are two operations."""
    assert same_operation([entry(intent=evolve(made(1), origin=origin))], made(2)) is None


def test_what_is_no_wish_of_the_same() -> None:
    """What is settled, what is the call itself, and another amount with another payload."""
    assert same_operation([entry(intent=made(1), settlement=settlement())], made(2)) is None
    assert same_operation([entry(intent=made(1))], made(1)) is None
    assert same_operation([entry(intent=made(1, digest="0" * 64, amount=7))], made(2)) is None
    assert same_operation([entry(intent=made(1, operation="refund"))], made(2)) is None
    assert same_operation([entry(intent=made(1, api="toy"))], made(2)) is None
    assert same_operation([], made(1)) is None


def test_the_same_amount_is_not_the_same_payload() -> None:
    """One with an equal amount and another text must not stand in for the equal one that comes after it."""
    text = entry(intent=made(1, digest="0" * 64))
    assert same_operation([text, entry(intent=made(2))], made(3)) is not text
