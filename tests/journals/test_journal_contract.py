"""What every journal promises, tried on each kind of them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from attrs import evolve

from tests.journals.material import LONG, MOMENT, MSN, Shelf, all_open, all_recent, begin_all, intent, only, settlement
from tests.support.rows import each_row
from vipps_async import (
    AcquireResult,
    Attempts,
    Entry,
    Intent,
    Journal,
    KeyOrigin,
    MemoryJournal,
    Outcome,
    PostgresJournal,
    SqliteJournal,
    World,
)
from vipps_async.errors import InvalidInputError, JournalError
from vipps_async.journals.entries import DROPPED


def typed(memory: MemoryJournal, sqlite: SqliteJournal, postgres: PostgresJournal) -> list[Journal]:
    """Checked by the type checkers alone: all three are journals."""
    return [memory, sqlite, postgres]


class TestBegin:
    """Leasing an operation before it is sent."""

    async def test_a_new_intent_is_mine(self, journal: Journal) -> None:
        """A new intent comes back as MINE, open, with its owner and the end of the lease."""
        before = datetime.now(UTC)
        acquired, entry = await journal.begin(intent(), owner="a", lease=LONG)
        assert (acquired, entry.intent, entry.settlement, entry.owner) == (AcquireResult.ACQUIRED, intent(), None, "a")
        assert abs(entry.lease_until - before - timedelta(seconds=LONG)) < timedelta(minutes=1)
        assert entry.lease_until.utcoffset() == timedelta(0)
        assert await only(journal, intent()) == entry

    async def test_the_holder_may_begin_again(self, journal: Journal) -> None:
        """The owner that has leased it gets it again, with the original intent."""
        await journal.begin(intent(), owner="a", lease=LONG)
        later = intent(created_at=MOMENT + timedelta(days=1))
        acquired, entry = await journal.begin(later, owner="a", lease=LONG)
        assert (acquired, entry.intent) == (AcquireResult.ACQUIRED, intent())

    async def test_another_owner_has_to_wait_for_the_lease(self, journal: Journal) -> None:
        """While the lease runs, another owner is told who has it."""
        await journal.begin(intent(), owner="a", lease=LONG)
        acquired, entry = await journal.begin(intent(), owner="b", lease=LONG)
        assert (acquired, entry.owner) == (AcquireResult.HELD, "a")
        assert (await only(journal, intent())).owner == "a"

    async def test_a_lease_that_ran_out_is_taken_over_once(self, journal: Journal) -> None:
        """After the lease the next one takes it, keeps the original intent, and then has it to itself."""
        await journal.begin(intent(), owner="a", lease=0)
        later = intent(created_at=MOMENT + timedelta(days=1))
        acquired, entry = await journal.begin(later, owner="b", lease=LONG)
        assert (acquired, entry.owner, entry.intent) == (AcquireResult.ACQUIRED, "b", intent())
        assert (await journal.begin(intent(), owner="a", lease=LONG))[0] is AcquireResult.HELD
        assert await only(journal, intent()) == entry

    @pytest.mark.parametrize("outcome", [None, *Outcome])
    async def test_another_payload_is_never_sent(self, journal: Journal, outcome: Outcome | None) -> None:
        """The same identity with another digest is a MISMATCH, whatever became of it, and nothing is changed."""
        await journal.begin(intent(), owner="a", lease=0)
        if outcome is not None:
            await journal.settle(intent(), settlement(outcome))
        other = intent(digest="0" * 64, body=b"{}", amount=1)
        before = await only(journal, intent())
        assert await journal.begin(other, owner="a", lease=LONG) == (AcquireResult.MISMATCH, before)
        assert await journal.claim(other, owner="a", lease=LONG) == (AcquireResult.MISMATCH, before)
        await journal.settle(other, settlement(Outcome.DONE, b"other"))
        await journal.release(other, note="other")
        assert await only(journal, intent()) == before

    @pytest.mark.parametrize(
        "part", [{"key": "k2"}, {"operation": "refund"}, {"payment": "acme-2"}, {"merchant_serial_number": "654321"}]
    )
    async def test_each_part_of_the_identity_counts(self, journal: Journal, part: dict[str, Any]) -> None:
        """An intent that differs in one part of the identity is another entry."""
        await journal.begin(intent(), owner="a", lease=LONG)
        assert (await journal.begin(intent(**part), owner="b", lease=LONG))[0] is AcquireResult.ACQUIRED
        assert len(await all_open(journal)) == 2

    @pytest.mark.parametrize("outcome", [Outcome.DONE, Outcome.REFUSED])
    async def test_a_settled_key_replays_its_outcome(self, journal: Journal, outcome: Outcome) -> None:
        """A settled operation comes back with its recorded answer, to the byte."""
        await journal.begin(intent(), owner="a", lease=LONG)
        told = settlement(outcome, bytes(range(256)))
        await journal.settle(intent(), told)
        acquired, entry = await journal.begin(intent(), owner="b", lease=LONG)
        assert (acquired, entry.settlement, entry.intent) == (AcquireResult.SETTLED, told, intent())

    async def test_what_was_not_done_may_begin_again(self, journal: Journal) -> None:
        """After NOT_DONE the same key may be begun by anyone, and can then be settled for good."""
        await journal.begin(intent(), owner="a", lease=LONG)
        await journal.settle(intent(), settlement(Outcome.NOT_DONE), owner="a")
        acquired, entry = await journal.begin(intent(), owner="b", lease=LONG)
        assert (acquired, entry.settlement, entry.owner) == (AcquireResult.ACQUIRED, None, "b")
        assert len(await all_open(journal)) == 1
        await journal.settle(intent(), settlement(Outcome.DONE), owner="b")
        assert (await only(journal, intent())).settlement == settlement(Outcome.DONE)

    async def test_thousand_at_once_are_all_there(self, journal: Journal) -> None:
        """A thousand begins at the same time are each MINE, and each stands in the journal."""
        wanted = [intent(number) for number in range(1000)]
        found = await asyncio.gather(*(journal.begin(one, owner="a", lease=LONG) for one in wanted))
        assert [entry.intent for acquired, entry in found if acquired is AcquireResult.ACQUIRED] == wanted
        assert {entry.intent.key for entry in await all_open(journal)} == {one.key for one in wanted}

    async def test_of_two_owners_exactly_one_goes_on(self, shelf: Shelf, journal: Journal) -> None:
        """The same identity begun by two owners at once is MINE for exactly one of them."""
        other = await shelf.opened() if shelf.shared else journal
        try:
            found = await asyncio.gather(
                *(
                    each.begin(intent(number), owner=owner, lease=LONG)
                    for number in range(100)
                    for each, owner in ((journal, "a"), (other, "b"))
                )
            )
        finally:
            if shelf.shared:
                await other.aclose()
        pairs = [{found[at][0], found[at + 1][0]} for at in range(0, 200, 2)]
        assert pairs == [{AcquireResult.ACQUIRED, AcquireResult.HELD}] * 100
        holders = {entry.intent.key: entry.owner for acquired, entry in found if acquired is AcquireResult.ACQUIRED}
        assert {entry.intent.key: entry.owner for entry in await all_open(journal)} == holders

    async def test_the_same_holder_twice_in_one_group(self, journal: Journal) -> None:
        """The same intent begun twice at once by one owner makes one entry."""
        found = await asyncio.gather(*(journal.begin(intent(), owner="a", lease=LONG) for _ in range(5)))
        assert {acquired for acquired, _ in found} == {AcquireResult.ACQUIRED}
        assert len(await all_recent(journal)) == 1

    @pytest.mark.parametrize("owner", ["", "a\0b", "\ud800"])
    async def test_an_owner_has_a_name(self, journal: Journal, owner: str) -> None:
        """An owner without a name that can be stored is refused before anything is noted."""
        with pytest.raises(InvalidInputError, match="owner"):
            await journal.begin(intent(), owner=owner, lease=LONG)
        assert await all_recent(journal) == []

    @pytest.mark.parametrize("lease", [-1, float("nan"), float("inf"), True, "5", 1e12])
    async def test_a_lease_is_a_number_of_seconds(self, journal: Journal, lease: Any) -> None:
        """A lease that is no number of seconds is refused before anything is noted."""
        for ask in (journal.begin, journal.claim):
            with pytest.raises(InvalidInputError, match="lease"):
                await ask(intent(), owner="a", lease=lease)


class TestManyAtOnce:
    """Many intents begun at once, and so committed together."""

    async def test_a_chunk_of_a_thousand(self, journal: Journal) -> None:
        """A thousand intents begun at once are noted in their order, and each has its own answer."""
        wanted = [intent(number) for number in reversed(range(1000))]
        found = await begin_all(journal, wanted, owner="a", lease=LONG)
        assert [(acquired, entry.intent) for acquired, entry in found] == [
            (AcquireResult.ACQUIRED, one) for one in wanted
        ]
        assert [entry.intent for entry in await all_open(journal)] == wanted

    async def test_a_mixed_chunk(self, journal: Journal) -> None:
        """Each intent of a chunk gets its own acquired, also one that stands in the chunk twice."""
        await journal.begin(intent(1), owner="b", lease=LONG)
        await journal.begin(intent(2), owner="b", lease=LONG)
        await journal.settle(intent(2), settlement())
        await journal.begin(intent(3), owner="b", lease=0)
        chunk = [intent(0), intent(1), intent(2), intent(3), intent(0), intent(1, digest="other")]
        found = await begin_all(journal, chunk, owner="a", lease=LONG)
        mine, taken, settled = AcquireResult.ACQUIRED, AcquireResult.HELD, AcquireResult.SETTLED
        assert [acquired for acquired, _ in found] == [mine, taken, settled, mine, mine, AcquireResult.MISMATCH]
        assert len(await all_recent(journal)) == 4


class TestAttempts:
    """Attempts are counted before they leave."""

    async def test_the_intent_counts_the_first(self, journal: Journal) -> None:
        """A new entry has one attempt, in doubt, begun when the intent was made."""
        _, entry = await journal.begin(intent(), owner="a", lease=LONG)
        assert entry.attempts == Attempts(begun=1, ended=0, last_at=intent().created_at)
        assert (await only(journal, intent())).attempts == entry.attempts

    async def test_each_further_attempt_counts(self, journal: Journal) -> None:
        """Counted attempts are kept, and the last one's time."""
        await journal.begin(intent(), owner="a", lease=LONG)
        at = MOMENT + timedelta(seconds=7)
        assert await journal.attempt(intent(), owner="a", at=at) is AcquireResult.ACQUIRED
        assert await journal.attempt(intent(), owner="a", at=at + timedelta(seconds=1)) is AcquireResult.ACQUIRED
        expected = Attempts(begun=3, ended=0, last_at=at + timedelta(seconds=1))
        assert (await only(journal, intent())).attempts == expected

    async def test_only_the_owner_counts(self, journal: Journal) -> None:
        """Who has leased it no longer must not send: nothing is counted."""
        await journal.begin(intent(), owner="a", lease=0)
        await journal.begin(intent(), owner="b", lease=LONG)
        before = await only(journal, intent())
        assert await journal.attempt(intent(), owner="a", at=MOMENT) is AcquireResult.HELD
        await journal.settle(intent(), settlement(Outcome.DONE))
        assert await journal.attempt(intent(), owner="b", at=MOMENT) is AcquireResult.SETTLED
        assert (await only(journal, intent())).attempts == before.attempts

    async def test_an_attempt_of_nothing_is_an_error(self, journal: Journal) -> None:
        """What was never begun cannot be attempted."""
        with pytest.raises(JournalError):
            await journal.attempt(intent(), owner="a", at=MOMENT)

    async def test_what_is_known_of_attempts_is_kept(self, journal: Journal) -> None:
        """A release keeps how many attempts ended, the last refusal and the last look; `begun` never becomes less."""
        await journal.begin(intent(), owner="a", lease=LONG)
        await journal.attempt(intent(), owner="a", at=MOMENT)
        looked = MOMENT + timedelta(days=2)
        known = Attempts(begun=1, ended=1, last_at=MOMENT, refusal=b'{"class":"CaptureError"}', looked_at=looked)
        await journal.release(intent(), note="in doubt", owner="a", attempts=known)
        assert (await only(journal, intent())).attempts == evolve(known, begun=2)
        _, claimed = await journal.claim(intent(), owner="b", lease=LONG)
        assert claimed.attempts == evolve(known, begun=2)

    async def test_beginning_again_counts_and_forgets_the_refusal(self, journal: Journal) -> None:
        """A begun-again entry has one attempt more, since the new call, and no refusal of its last attempt."""
        await journal.begin(intent(), owner="a", lease=LONG)
        known = Attempts(begun=1, ended=1, last_at=MOMENT, refusal=b"{}", looked_at=MOMENT)
        await journal.release(intent(), note="", owner="a", attempts=known)
        later = intent(created_at=MOMENT + timedelta(hours=1))
        _, entry = await journal.begin(later, owner="b", lease=LONG)
        assert entry.attempts == Attempts(begun=2, ended=1, last_at=later.created_at)
        assert entry.intent == intent()

    @pytest.mark.parametrize("adopt", [False, True])
    async def test_what_was_dropped_is_begun_by_nobody(self, journal: Journal, *, adopt: bool) -> None:
        """Neither under its key nor as an equal call's; it stays as it is, and only a claim takes it."""
        first = intent(origin=KeyOrigin.MADE)
        await journal.begin(first, owner="a", lease=LONG)
        known = Attempts(begun=1, last_at=MOMENT, refusal=DROPPED + b'"2026"}')
        await journal.release(first, note="dropped", owner="a", attempts=known)
        wanted = evolve(first, key="another") if adopt else first
        acquired, entry = await journal.begin(wanted, owner="b", lease=LONG, adopt=adopt)
        assert (acquired, entry) == (AcquireResult.DROPPED, await only(journal, first))
        assert entry.attempts == known
        assert [each.intent.key for each in await all_open(journal)] == [first.key]
        assert (await journal.claim(first, owner="b", lease=LONG))[0] is AcquireResult.ACQUIRED
        await journal.attempt(first, owner="b", at=MOMENT)
        assert not (await only(journal, first)).attempts.is_dropped

    @pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.NOT_DONE])
    async def test_what_had_no_effect_has_no_attempt_in_doubt(self, journal: Journal, outcome: Outcome) -> None:
        """Settled without effect, all attempts are over."""
        await journal.begin(intent(), owner="a", lease=LONG)
        await journal.attempt(intent(), owner="a", at=MOMENT)
        await journal.settle(intent(), settlement(outcome), owner="a")
        assert (await only(journal, intent())).attempts.in_doubt == 0


class TestTwoApis:
    """An adjustment that is open at one API closes the payment to every other one."""

    @staticmethod
    def other(**changes: Any) -> Intent:
        """A refund of the first intent's payment at another API."""
        return intent(1, **{"api": "toy", "operation": "refund", "key": "key-of-the-other", **changes})

    @pytest.mark.parametrize("lease", [0, LONG])
    @pytest.mark.parametrize("origin", list(KeyOrigin))
    async def test_it_is_closed(self, journal: Journal, lease: float, origin: KeyOrigin) -> None:
        """In hand or left in doubt, whoever chose the keys: nothing is written, and the open entry comes back."""
        await journal.begin(intent(origin=origin), owner="a", lease=lease)
        found = await journal.begin(self.other(origin=origin), owner="b", lease=LONG, adopt=origin is KeyOrigin.MADE)
        assert found == (AcquireResult.CLOSED, await only(journal, intent()))
        assert (await journal.begin(self.other(), owner="b", lease=LONG))[0] is AcquireResult.CLOSED

    async def test_it_outlives_the_process(self, shelf: Shelf) -> None:
        """Another object that opens the same journal finds the payment closed."""
        first = await shelf.opened()
        await first.begin(intent(), owner="a", lease=0)
        await first.release(intent(), note="no answer", owner="a")
        await first.aclose()
        second = await shelf.opened()
        assert (await second.begin(self.other(), owner="b", lease=LONG))[0] is AcquireResult.CLOSED
        await second.aclose()

    @pytest.mark.parametrize("outcome", list(Outcome))
    async def test_settled_it_is_open_again(self, journal: Journal, outcome: Outcome) -> None:
        """Once the one is settled, the other goes on; and then closes the payment to the first, that of before, too."""
        await journal.begin(intent(), owner="a", lease=LONG)
        await journal.settle(intent(), settlement(outcome), owner="a")
        assert (await journal.begin(self.other(), owner="b", lease=LONG))[0] is AcquireResult.ACQUIRED
        again = (await journal.begin(intent(), owner="a", lease=LONG))[0]
        # What is on record for good is told whatever is open elsewhere.
        assert again is (AcquireResult.CLOSED if outcome is Outcome.NOT_DONE else AcquireResult.SETTLED)
        assert (await journal.begin(intent(2, payment="acme-1"), owner="a", lease=LONG))[0] is AcquireResult.CLOSED

    async def test_the_api_itself_goes_on(self, journal: Journal) -> None:
        """The same call again, another operation of that API, and recovery are not kept out."""
        await journal.begin(intent(), owner="a", lease=0)
        assert (await journal.begin(intent(), owner="b", lease=0))[0] is AcquireResult.ACQUIRED
        assert (await journal.begin(intent(operation="refund"), owner="b", lease=0))[0] is AcquireResult.ACQUIRED
        assert (await journal.claim(intent(), owner="c", lease=0))[0] is AcquireResult.ACQUIRED

    @pytest.mark.parametrize(
        "change", [{"payment": "acme-2"}, {"merchant_serial_number": "654321"}, {"adjusts": False}, {"api": "ecom"}]
    )
    @pytest.mark.parametrize("adopt", [False, True])
    async def test_what_is_not_kept_out(self, journal: Journal, change: dict[str, Any], *, adopt: bool) -> None:
        """Another payment or sales unit, and what makes a payment or is only handled."""
        await journal.begin(intent(), owner="a", lease=LONG)
        assert (await journal.begin(self.other(**change), owner="b", lease=LONG, adopt=adopt))[
            0
        ] is AcquireResult.ACQUIRED

    async def test_what_makes_a_payment_closes_nothing(self, journal: Journal) -> None:
        """Nor does a notification that waits for its handler."""
        made = intent(adjusts=False, origin=KeyOrigin.MADE)
        await journal.begin(made, owner="a", lease=LONG)
        assert (await only(journal, made)).intent == made
        assert (await journal.begin(self.other(), owner="b", lease=LONG))[0] is AcquireResult.ACQUIRED

    async def test_two_at_once(self, shelf: Shelf) -> None:
        """Of two APIs that begin in the same moment, over one journal or two on one store, one goes on."""
        first = await shelf.opened()
        second = await shelf.opened() if shelf.shared else first
        for number in range(10):
            mine, other = intent(number, payment="acme"), intent(number, api="toy", payment="acme")
            found = await asyncio.gather(
                first.begin(mine, owner="a", lease=LONG), second.begin(other, owner="b", lease=LONG)
            )
            assert sorted(acquired.name for acquired, _ in found) == ["ACQUIRED", "CLOSED"]
            for one, (acquired, _) in zip((mine, other), found, strict=True):
                if acquired is AcquireResult.ACQUIRED:
                    await first.settle(one, settlement())
            await first.flush()
        for journal in {first, second}:
            await journal.aclose()


class TestAdoption:
    """A wish uttered again, without a key of its own, is not carried out twice."""

    @staticmethod
    def made(number: int = 1, **changes: Any) -> Intent:
        """An intent with a made key, of an order that all of them share."""
        return intent(number, **{"origin": KeyOrigin.MADE, "payment": "acme", **changes})

    def again(self, **changes: Any) -> Intent:
        """The wish of the first intent under another key."""
        first = self.made()
        return evolve(first, key="key-of-another-call", created_at=MOMENT + timedelta(minutes=5), **changes)

    async def test_an_open_one_stands_for_its_equal(self, journal: Journal) -> None:
        """An equal call leases the open entry, with its key and body, and counts one attempt more."""
        await journal.begin(self.made(), owner="a", lease=0, adopt=True)
        acquired, entry = await journal.begin(self.again(), owner="b", lease=LONG, adopt=True)
        assert (acquired, entry.intent, entry.owner) == (AcquireResult.ACQUIRED, self.made(), "b")
        assert entry.attempts == Attempts(begun=2, last_at=self.again().created_at)
        assert len(await all_open(journal)) == 1

    async def test_one_in_flight_is_leased_elsewhere(self, journal: Journal) -> None:
        """While its owner has leased it, an equal call is told of that entry and writes nothing."""
        await journal.begin(self.made(), owner="a", lease=LONG, adopt=True)
        acquired, entry = await journal.begin(self.again(), owner="b", lease=LONG, adopt=True)
        assert (acquired, entry.intent) == (AcquireResult.HELD, self.made())
        assert len(await all_open(journal)) == 1

    async def test_two_equal_ones_at_once(self, journal: Journal) -> None:
        """Of two equal wishes begun in the same moment, one is written."""
        found = await asyncio.gather(
            journal.begin(self.made(), owner="a", lease=LONG, adopt=True),
            journal.begin(self.again(), owner="b", lease=LONG, adopt=True),
        )
        assert sorted(acquired.value for acquired, _ in found) == ["acquired", "held"]
        assert found[0][1].intent.key == found[1][1].intent.key
        assert len(await all_open(journal)) == 1

    async def test_another_text_of_the_same_amount_is_a_mismatch(self, journal: Journal) -> None:
        """The same amount under another text is neither the same operation nor surely another one."""
        await journal.begin(self.made(), owner="a", lease=0, adopt=True)
        acquired, entry = await journal.begin(self.again(digest="0" * 64), owner="b", lease=LONG, adopt=True)
        assert (acquired, entry.intent.key) == (AcquireResult.MISMATCH, self.made().key)
        assert len(await all_open(journal)) == 1

    @pytest.mark.parametrize(
        "change",
        [
            {"digest": "0" * 64, "amount": 99_900},
            {"payment": "acme-9"},
            {"operation": "refund"},
            {"merchant_serial_number": "654321"},
        ],
    )
    async def test_another_wish_is_begun_beside_it(self, journal: Journal, change: dict[str, Any]) -> None:
        """Another amount, order, operation or sales unit is another operation."""
        await journal.begin(self.made(), owner="a", lease=0, adopt=True)
        acquired, entry = await journal.begin(self.again(**change), owner="b", lease=LONG, adopt=True)
        assert (acquired, entry.intent) == (AcquireResult.ACQUIRED, self.again(**change))
        assert len(await all_open(journal)) == 2

    @pytest.mark.parametrize("outcome", list(Outcome))
    async def test_after_it_is_settled_an_equal_one_is_a_new_wish(self, journal: Journal, outcome: Outcome) -> None:
        """What is settled is no open wish any more."""
        await journal.begin(self.made(), owner="a", lease=LONG, adopt=True)
        await journal.settle(self.made(), settlement(outcome), owner="a")
        acquired, entry = await journal.begin(self.again(), owner="b", lease=LONG, adopt=True)
        assert (acquired, entry.intent) == (AcquireResult.ACQUIRED, self.again())

    @pytest.mark.parametrize("origin", [KeyOrigin.GIVEN, KeyOrigin.ROW])
    async def test_given_keys_are_wishes_of_their_own(self, journal: Journal, origin: KeyOrigin) -> None:
        """A given key is neither adopted nor passed by an equal call without one; with another one it is begun."""
        await journal.begin(self.made(origin=origin), owner="a", lease=0)
        acquired, entry = await journal.begin(self.again(), owner="b", lease=LONG, adopt=True)
        assert (acquired, entry.intent) == (AcquireResult.CLOSED, self.made(origin=origin))
        assert len(await all_open(journal)) == 1
        other = self.again(amount=1)
        assert (await journal.begin(other, owner="b", lease=LONG, adopt=True))[0] is AcquireResult.ACQUIRED
        third = evolve(self.again(), key="third", origin=origin)
        assert (await journal.begin(third, owner="c", lease=LONG))[1].intent == third


class TestWorld:
    """A journal knows which Vipps its facts are about."""

    HERE = World(environment="test", host="vipps")

    async def test_first_use_binds_it(self, journal: Journal) -> None:
        """Bound once, it stays bound to the same world."""
        assert await journal.world() is None
        await journal.bind(self.HERE)
        await journal.bind(World(environment="test", host="vipps"))
        assert await journal.world() == self.HERE

    @pytest.mark.parametrize(
        "other",
        [
            World(environment="production", host="vipps"),
            World(environment="test", host="127.0.0.1:8080"),
            World(environment="test", host="vipps", instance="abc"),
        ],
    )
    async def test_another_world_is_refused(self, journal: Journal, other: World) -> None:
        """A journal of another world is refused by both names, and stays as it is."""
        await journal.bind(self.HERE)
        with pytest.raises(JournalError, match="another Vipps"):
            await journal.bind(other)
        assert await journal.world() == self.HERE

    async def test_it_can_be_bound_anew(self, journal: Journal) -> None:
        """An operator may bind it to another world."""
        other = World(environment="test", host="127.0.0.1:8080", instance="abc")
        await journal.bind(self.HERE)
        await journal.rebind(other)
        await journal.bind(other)
        assert await journal.world() == other


class TestSettle:
    """Noting outcomes."""

    @pytest.mark.parametrize("first", [Outcome.DONE, Outcome.REFUSED])
    @pytest.mark.parametrize("second", list(Outcome))
    async def test_the_first_truth_wins(self, journal: Journal, first: Outcome, second: Outcome) -> None:
        """An outcome that is final stays, whatever is said later; but what took effect outranks a refusal."""
        await journal.begin(intent(), owner="a", lease=LONG)
        await journal.settle(intent(), settlement(first, b"first"), owner="a")
        await journal.settle(intent(), settlement(second, b"second"), owner="a")
        await journal.release(intent(), note="late", owner="a")
        entry = await only(journal, intent())
        overruled = (first, second) == (Outcome.REFUSED, Outcome.DONE)
        expected = settlement(second, b"second") if overruled else settlement(first, b"first")
        assert entry.settlement == expected
        assert bool(entry.note) is overruled

    @pytest.mark.parametrize("first", [None, *Outcome])
    @pytest.mark.parametrize("second", list(Outcome))
    async def test_what_is_done_though_it_was_settled_otherwise_is_told(
        self, journal: Journal, first: Outcome | None, second: Outcome
    ) -> None:
        """Whoever listens learns of it by the next flush, with the entry that notes what it was settled as; once."""
        overruled: list[Entry] = []
        journal.on_overruled.append(overruled.append)
        await journal.begin(intent(), owner="a", lease=LONG)
        if first is not None:
            await journal.settle(intent(), settlement(first), owner="a")
        for _ in range(2):
            await journal.settle(intent(), settlement(second), owner="a")
            await journal.flush()
        if first in {Outcome.REFUSED, Outcome.NOT_DONE} and second is Outcome.DONE:
            assert overruled == [await only(journal, intent())]
            assert overruled[0].settlement == settlement(Outcome.DONE)
            assert f"settled as {first.value} at 2026-" in overruled[0].note
        else:
            assert overruled == []

    async def test_what_was_begun_again_overrules_nothing(self, journal: Journal) -> None:
        """Not done, begun again and done is the ordinary way."""
        overruled: list[Entry] = []
        journal.on_overruled.append(overruled.append)
        await journal.begin(intent(), owner="a", lease=LONG)
        await journal.settle(intent(), settlement(Outcome.NOT_DONE), owner="a")
        await journal.begin(intent(), owner="a", lease=LONG)
        await journal.settle(intent(), settlement(Outcome.DONE), owner="a")
        await journal.flush()
        assert overruled == []
        assert (await only(journal, intent())).note == ""

    async def test_not_done_gives_way_to_the_truth(self, journal: Journal) -> None:
        """NOT_DONE is replaced by an outcome that is final."""
        await journal.begin(intent(), owner="a", lease=LONG)
        await journal.settle(intent(), settlement(Outcome.NOT_DONE))
        await journal.settle(intent(), settlement(Outcome.DONE))
        assert (await only(journal, intent())).settlement == settlement(Outcome.DONE)

    async def test_a_late_not_done_does_not_reopen(self, journal: Journal) -> None:
        """NOT_DONE from an owner that lost the entry to another one does not count; DONE does."""
        await journal.begin(intent(), owner="a", lease=0)
        await journal.begin(intent(), owner="b", lease=LONG)
        await journal.settle(intent(), settlement(Outcome.NOT_DONE), owner="a")
        assert (await only(journal, intent())).settlement is None
        await journal.settle(intent(), settlement(Outcome.DONE), owner="a")
        assert (await only(journal, intent())).settlement == settlement(Outcome.DONE)

    async def test_an_outcome_is_known_at_once(self, journal: Journal) -> None:
        """Whatever is asked after an outcome was accepted knows of it, flushed or not."""
        await begin_all(journal, [intent(1), intent(2), intent(3)], owner="a", lease=LONG)
        await journal.settle(intent(1), settlement())
        assert (await journal.begin(intent(1), owner="a", lease=LONG))[0] is AcquireResult.SETTLED
        await journal.settle(intent(2), settlement())
        assert [entry.intent for entry in await all_open(journal)] == [intent(3)]
        await journal.settle(intent(3), settlement())
        assert (await only(journal, intent(3))).settlement == settlement()

    async def test_what_is_not_there_is_put_there(self, journal: Journal) -> None:
        """An outcome whose intent is missing is noted together with the intent."""
        await journal.settle(intent(), settlement(), owner="a")
        entry = await only(journal, intent())
        assert (entry.intent, entry.settlement) == (intent(), settlement())

    async def test_many_outcomes(self, journal: Journal) -> None:
        """Outcomes of a thousand operations all arrive, and nothing stays open."""
        wanted = [intent(number) for number in range(1000)]
        await begin_all(journal, wanted, owner="a", lease=LONG)
        await asyncio.gather(*(journal.settle(one, settlement(), owner="a") for one in wanted))
        await journal.flush()
        assert await all_open(journal) == []
        assert [entry.settlement for entry in await all_recent(journal, limit=2000)] == [settlement()] * 1000


class TestReleaseAndClaim:
    """Handing operations on."""

    async def test_a_released_entry_is_free_and_says_why(self, journal: Journal) -> None:
        """After a release anyone may go on at once, and the reason stands there while it is open."""
        await journal.begin(intent(), owner="a", lease=LONG)
        await journal.release(intent(), note="no answer from Vipps", owner="a")
        (entry,) = await all_open(journal)
        assert (entry.note, entry.owner) == ("no answer from Vipps", "")
        acquired, entry = await journal.claim(intent(), owner="b", lease=LONG)
        assert (acquired, entry.owner, entry.note) == (AcquireResult.ACQUIRED, "b", "no answer from Vipps")
        await journal.settle(intent(), settlement(), owner="b")
        assert (await only(journal, intent())).note == ""

    async def test_a_released_entry_may_begin(self, journal: Journal) -> None:
        """After a release another owner may begin it."""
        await journal.begin(intent(), owner="a", lease=LONG)
        await journal.release(intent(), note="")
        assert (await journal.begin(intent(), owner="b", lease=LONG))[0] is AcquireResult.ACQUIRED

    async def test_a_late_release_does_not_free(self, journal: Journal) -> None:
        """A release from an owner that lost the entry to another one does not end the other's lease."""
        await journal.begin(intent(), owner="a", lease=0)
        await journal.begin(intent(), owner="b", lease=LONG)
        await journal.release(intent(), note="late", owner="a")
        assert (await journal.claim(intent(), owner="c", lease=LONG))[0] is AcquireResult.HELD

    async def test_releasing_nothing(self, journal: Journal) -> None:
        """A release of an entry that is not there makes none."""
        await journal.release(intent(), note="x")
        assert await all_recent(journal) == []

    async def test_a_note_is_made_storable(self, journal: Journal) -> None:
        """A note is cut to a thousand characters and loses what cannot be stored."""
        await journal.begin(intent(), owner="a", lease=LONG)
        await journal.release(intent(), note="\0\ud800ø" + "x" * 5000)
        assert (await only(journal, intent())).note == "?ø" + "x" * 997

    async def test_claims(self, journal: Journal) -> None:
        """A claim gets what is free or its own, and is told of what is taken or settled."""
        await journal.begin(intent(), owner="a", lease=LONG)
        assert (await journal.claim(intent(), owner="b", lease=LONG))[0] is AcquireResult.HELD
        assert (await journal.claim(intent(), owner="a", lease=0))[0] is AcquireResult.ACQUIRED
        assert (await journal.claim(intent(), owner="b", lease=LONG))[0] is AcquireResult.ACQUIRED
        assert (await journal.claim(intent(), owner="a", lease=LONG))[0] is AcquireResult.HELD
        await journal.settle(intent(), settlement(Outcome.NOT_DONE))
        acquired, entry = await journal.claim(intent(), owner="b", lease=LONG)
        assert (acquired, entry.settlement) == (AcquireResult.SETTLED, settlement(Outcome.NOT_DONE))
        await journal.settle(intent(), settlement(Outcome.DONE))
        assert (await journal.claim(intent(), owner="b", lease=LONG))[0] is AcquireResult.SETTLED

    async def test_claiming_what_is_not_there(self, journal: Journal) -> None:
        """A claim of an operation that was never begun is an error that names it, and makes no entry."""
        await journal.begin(intent(2), owner="a", lease=0)
        results = await asyncio.gather(
            journal.claim(intent(1), owner="a", lease=LONG),
            journal.claim(intent(2), owner="a", lease=LONG),
            return_exceptions=True,
        )
        assert isinstance(results[0], JournalError)
        assert "acme-1" in str(results[0])
        assert isinstance(results[1], tuple)
        assert len(await all_recent(journal)) == 1

    async def test_of_many_claims_one_wins(self, journal: Journal) -> None:
        """Of many recoveries that claim the same entry at once, one gets it."""
        await journal.begin(intent(), owner="a", lease=0)
        found = await asyncio.gather(*(journal.claim(intent(), owner=f"r{n}", lease=LONG) for n in range(20)))
        assert [acquired for acquired, _ in found].count(AcquireResult.ACQUIRED) == 1


class TestReading:
    """Walks and look-ups."""

    async def test_open_entries_come_oldest_first(self, journal: Journal) -> None:
        """All open entries come in the order in which they were noted, leased ones as well."""
        numbers = [3, 1, 2]
        for number in numbers:
            await journal.begin(intent(number), owner="a", lease=LONG)
        assert [entry.intent for entry in await all_open(journal)] == [intent(number) for number in numbers]

    async def test_open_entries_of_one_merchant(self, journal: Journal) -> None:
        """A walk can be kept to one merchant serial number."""
        await begin_all(journal, [intent(1), intent(2, merchant_serial_number="654321")], owner="a", lease=LONG)
        assert [entry.intent for entry in await all_open(journal, merchant_serial_number=MSN)] == [intent(1)]

    async def test_a_walk_is_steady_while_work_goes_on(self, journal: Journal) -> None:
        """A walk over several pages sees each old entry once and ends, while some settle and new ones arrive."""
        old = [intent(number) for number in range(700)]
        await begin_all(journal, old, owner="a", lease=LONG)
        seen = []
        async for entry in journal.open_entries():
            seen.append(entry.intent)
            number = len(seen)
            await journal.settle(entry.intent, settlement())
            if number % 100 == 1:
                await journal.begin(intent(10_000 + number), owner="a", lease=LONG)
        assert seen == old
        assert len(await all_open(journal)) == 7

    async def test_recent_entries_come_newest_first(self, journal: Journal) -> None:
        """The newest entries come first, settled ones too, and no more than asked for."""
        await begin_all(journal, [intent(number) for number in range(600)], owner="a", lease=LONG)
        await journal.settle(intent(599), settlement())
        assert [entry.intent for entry in await all_recent(journal)] == [intent(n) for n in range(599, 549, -1)]
        assert [entry.intent for entry in await all_recent(journal, limit=599)] == [
            intent(n) for n in range(599, 0, -1)
        ]
        assert len(await all_recent(journal, limit=10_000)) == 600
        assert await all_recent(journal, limit=0) == []

    async def test_a_walk_may_be_left(self, journal: Journal) -> None:
        """A walk that is broken off leaves the journal as usable as before."""
        await begin_all(journal, [intent(number) for number in range(600)], owner="a", lease=LONG)
        async for entry in journal.open_entries():
            assert entry.intent == intent(0)
            break
        assert (await journal.begin(intent(601), owner="a", lease=LONG))[0] is AcquireResult.ACQUIRED

    async def test_finding_an_order(self, journal: Journal) -> None:
        """All entries of an order are found, oldest first, and no others."""
        mine = [intent(1, key="z"), intent(1, key="a", operation="refund"), intent(1, key="m")]
        for one in [*mine, intent(2), intent(1, merchant_serial_number="654321")]:
            await journal.begin(one, owner="a", lease=LONG)
        found = await journal.find(payment="acme-1", merchant_serial_number=MSN)
        assert [entry.intent for entry in found] == mine
        assert await journal.find(payment="acme-9", merchant_serial_number=MSN) == []


class TestFaithfulness:
    """What comes back is what was put in."""

    @pytest.mark.parametrize(
        "changes",
        [
            {"reference": "Blåbær 🫐 \u202eנקודה\u0301 \n\t'\"\\"},
            {"key": "ключ-🔑", "payment": "Ærø"},
            {"body": None, "amount": None},
            {"body": b"", "reference": ""},
            {"body": bytes(range(256)) * 8192},
            {"amount": 2**63 - 1},
            {"amount": 0},
            {"created_at": datetime(1970, 1, 1, tzinfo=UTC)},
            {"created_at": datetime(2026, 7, 1, 12, 0, 0, 999999, tzinfo=timezone(timedelta(hours=2)))},
        ],
        ids=["unicode", "unicode-identity", "nothing", "empty", "big", "largest", "zero", "epoch", "zone"],
    )
    async def test_an_intent_comes_back_whole(self, shelf: Shelf, changes: dict[str, Any]) -> None:
        """Every part of an intent and a settlement survives closing and opening, to the byte and the microsecond."""
        wanted = intent(**changes)
        journal = await shelf.opened()
        await journal.begin(wanted, owner="eier ø", lease=LONG)
        await journal.settle(wanted, settlement(Outcome.REFUSED, bytes(range(256))))
        await journal.aclose()
        journal = await shelf.opened()
        entry = await only(journal, wanted)
        await journal.aclose()
        assert (entry.intent, entry.owner) == (wanted, "eier ø")
        assert entry.settlement == settlement(Outcome.REFUSED, bytes(range(256)))


class TestLife:
    """Opening, closing, cancelling."""

    async def test_everything_survives_closing(self, shelf: Shelf) -> None:
        """What was accepted before closing is there after opening, without a flush."""
        journal = await shelf.opened()
        await begin_all(journal, [intent(1), intent(2), intent(3)], owner="a", lease=LONG)
        await journal.settle(intent(1), settlement())
        await journal.release(intent(2), note="why")
        await journal.aclose()
        journal = await shelf.opened()
        found = await all_recent(journal)
        await journal.aclose()
        assert [entry.note for entry in found] == ["", "why", ""]
        assert [entry.settlement for entry in found] == [None, None, settlement()]

    async def test_the_last_to_close_it_closes_it(self, shelf: Shelf) -> None:
        """Two that share a journal object each open and close it: it is open until the second one closes it."""
        journal = shelf.make()
        await journal.open()
        await journal.open()
        await journal.begin(intent(), owner="a", lease=LONG)
        await journal.settle(intent(), settlement(), owner="a")
        await journal.aclose()
        assert journal.is_open
        assert (await only(journal, intent())).settlement == settlement()
        await journal.aclose()
        assert not journal.is_open

    async def test_opening_again(self, shelf: Shelf) -> None:
        """Closing what is closed does nothing; the same object can be opened again."""
        journal = shelf.make()
        await journal.aclose()
        assert not journal.is_open
        await journal.open()
        assert journal.is_open
        await journal.begin(intent(), owner="a", lease=LONG)
        await journal.aclose()
        await journal.aclose()
        assert not journal.is_open
        await journal.open()
        assert len(await all_open(journal)) == 1
        await journal.aclose()

    async def test_a_closed_journal_refuses(self, shelf: Shelf) -> None:
        """Before it is opened and after it is closed every use is a clear error."""
        journal = shelf.make()

        async def every_use_refused() -> None:
            for use in (
                journal.begin(intent(), owner="a", lease=1),
                journal.claim(intent(), owner="a", lease=1),
                journal.settle(intent(), settlement()),
                journal.release(intent(), note=""),
                journal.find(payment="x", merchant_serial_number=MSN),
                journal.flush(),
                all_open(journal),
                all_recent(journal),
            ):
                with pytest.raises(JournalError, match="not open"):
                    await use

        await every_use_refused()
        await journal.open()
        await journal.aclose()
        await every_use_refused()

    async def test_cancelling_begin_anywhere(self, journal: Journal) -> None:
        """A begin that is cancelled after any number of steps leaves a journal that works and tells the truth."""
        cancelled = 0
        for steps in range(200):
            wanted = intent(steps)
            task = asyncio.ensure_future(journal.begin(wanted, owner="a", lease=LONG))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            try:
                assert (await task)[0] is AcquireResult.ACQUIRED
            except asyncio.CancelledError:
                cancelled += 1
            assert (await journal.begin(wanted, owner="a", lease=LONG))[0] is AcquireResult.ACQUIRED
            assert (await only(journal, wanted)).settlement is None
        assert cancelled >= 1
        assert len(await all_open(journal)) == 200

    async def test_cancelling_one_of_a_group(self, journal: Journal) -> None:
        """Cancelling some of many begins does not touch the others."""
        tasks = [asyncio.ensure_future(journal.begin(intent(n), owner="a", lease=LONG)) for n in range(100)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [result[0] for result in found[1::2] if isinstance(result, tuple)] == [AcquireResult.ACQUIRED] * 50
        kept = {entry.intent.key for entry in await all_open(journal)}
        assert {intent(n).key for n in range(1, 100, 2)} <= kept

    async def test_its_repr_shows_no_entry(self, journal: Journal) -> None:
        """The repr names the kind of journal, and nothing of what it holds."""
        await journal.begin(intent(), owner="a", lease=LONG)
        assert "Journal" in repr(journal)
        assert "socks" not in repr(journal)


class TestIntent:
    """What an intent may hold."""

    @each_row(
        "changes",
        [
            {"key": ""},
            {"operation": ""},
            {"payment": "a\0b"},
            {"reference": "\ud800"},
            {"digest": None},
            {"amount": -1},
            {"amount": 2**63},
            {"amount": 1.0},
            {"amount": True},
            {"body": "text"},
            {"created_at": datetime(2026, 1, 1)},  # noqa: DTZ001 - that is the point
        ],
    )
    def test_what_no_store_can_hold_is_refused(self, changes: dict[str, Any]) -> None:
        """A part that some store could not hold is refused before it can spoil a group, without being shown."""
        with pytest.raises(InvalidInputError, match=next(iter(changes))):
            intent(**changes)

    def test_a_settlement_is_checked_too(self) -> None:
        """A settlement needs bytes and an aware time."""
        text: Any = "text"
        with pytest.raises(InvalidInputError, match="answer"):
            evolve(settlement(), answer=text)
        with pytest.raises(InvalidInputError, match="settled_at"):
            evolve(settlement(), settled_at=datetime(2026, 1, 1))  # noqa: DTZ001 - that is the point

    def test_an_entry_does_not_show_bodies(self) -> None:
        """The repr of an entry leaves out request and answer."""
        attempts = Attempts(last_at=MOMENT, refusal=b"canary")
        given: dict[str, Any] = {
            "attempts": attempts,
            "settlement": settlement(answer=b"canary"),
            "lease_until": MOMENT,
        }
        entry = Entry(intent=intent(body=b"canary"), **given)
        assert "canary" not in repr(entry)
