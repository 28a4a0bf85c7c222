"""`vipps-async journal send` and `drop`: one open operation, by its key, and nothing else."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve, frozen

from tests.cli.inline import inline
from tests.cli.open_captures import damage
from tests.cli.processes import Finished
from tests.cli.shell import at_terminal, env
from tests.faults.shop import Fault, Shop, open_shop
from vipps_async import OutcomeUnknown, SqliteJournal, nok
from vipps_async.journals.entries import Entry, KeyOrigin, Outcome, Settlement
from vipps_async.money import format_nok
from vipps_async.sandbox import Fault as SandboxFault


@frozen
class Overtaken:
    """A capture of 100 kroner that got lost, and a later one that the journal has as done."""

    shop: Shop
    path: Path
    key: str

    async def journal(self, action: str, *arguments: str, **further: str) -> Finished:
        """Run a command of `journal`."""
        options = ("--journal", str(self.path), "--wait", "0")
        return await inline("journal", action, *arguments, *options, env=env(self.shop.sandbox, **further))

    @property
    def captured(self) -> int:
        """What is captured, in øre."""
        return self.shop.sandbox.payment("order-1").captured


@pytest.fixture
async def overtaken(tmp_path: Path) -> AsyncIterator[Overtaken]:
    """The journal is closed, for the commands."""
    path = tmp_path / "journal.db"
    journal = SqliteJournal(path)
    async with open_shop(journal) as shop:
        await shop.reserve()
        for ending in ("/capture", "/details"):
            shop.line.fail(ending, Fault.LOSE_REQUEST)
        session = shop.session()
        async with session as vipps:
            with pytest.raises(OutcomeUnknown) as lost:
                await vipps.ecom.capture("order-1", amount=nok(100), transaction_text="Shipped.")
            key = lost.value.idempotency_key
            assert key is not None
            (mine,) = await vipps.unfinished("order-1")
            later = evolve(mine.intent, key="later", created_at=datetime.now(UTC) + timedelta(seconds=1))
            assert later.origin is KeyOrigin.MADE
            await journal.settle(later, Settlement(outcome=Outcome.DONE, answer=b"{}", settled_at=datetime.now(UTC)))
        yield Overtaken(shop, path, key)


async def entry_of(found: Overtaken) -> Entry:
    """What the journal has of the lost capture."""
    journal = SqliteJournal(found.path)
    await journal.open()
    try:
        entries = await journal.find(payment="order-1", merchant_serial_number="123456")
    finally:
        await journal.aclose()
    return next(entry for entry in entries if entry.intent.key == found.key)


async def test_what_was_overtaken_is_sent_by_its_key(overtaken: Overtaken) -> None:
    """Recovery lists it and leaves it; `send` carries it out once, and then there is nothing to decide."""
    recovered = await overtaken.journal("recover")
    assert (recovered.status, overtaken.captured) == (1, 0)
    assert "send or drop it by its key" in recovered.out
    sent = await overtaken.journal("send", overtaken.key)
    assert (sent.status, overtaken.captured) == (0, 10_000)
    assert sent.out.startswith("1 looked at: 0 had taken effect, 1 sent again")
    assert f": ecom.capture of 100.00 NOK, payment order-1, key {overtaken.key}\n" in sent.out
    for action in ("send", "drop"):
        again = await overtaken.journal(action, overtaken.key)
        assert (again.status, overtaken.captured, again.out) == (2, 10_000, "")
        assert "it is settled, done since " in again.err


async def test_what_had_taken_effect_is_not_sent(overtaken: Overtaken) -> None:
    """Details are asked first."""
    async with overtaken.shop.sandbox.session() as vipps:
        await vipps.ecom.capture("order-1", amount=nok(100), transaction_text="Shipped.", idempotency_key=overtaken.key)
    sent = await overtaken.journal("send", overtaken.key)
    assert (sent.status, overtaken.captured) == (0, 10_000)
    assert sent.out.startswith("1 looked at: 1 had taken effect, 0 sent again")


async def test_what_is_dropped_is_sent_by_nobody_but_its_key(overtaken: Overtaken) -> None:
    """It stays open, for it may still take effect; recovery leaves it; `send` takes it up again."""
    dropped = await overtaken.journal("drop", overtaken.key)
    assert dropped.status == 0
    assert dropped.out.startswith(
        f"dropped: ecom.capture of 100.00 NOK, payment order-1, key {overtaken.key}: it is not sent"
    )
    assert (await overtaken.journal("recover")).status == 1
    assert overtaken.captured == 0
    assert (await entry_of(overtaken)).settlement is None
    assert (await overtaken.journal("send", overtaken.key)).status == 0
    assert overtaken.captured == 10_000


async def test_what_stays_open_is_status_3(overtaken: Overtaken) -> None:
    """Vipps does not answer: the text says so, and the operation is open as before."""
    overtaken.shop.sandbox.faults.script("details", *[SandboxFault.HTTP_500_BEFORE] * 20)
    sent = await overtaken.journal("send", overtaken.key)
    assert (sent.status, overtaken.captured) == (3, 0)
    assert "\nopen: ecom.capture of 100.00 NOK, payment order-1" in sent.out


async def test_a_refusal_leaves_it_in_doubt(overtaken: Overtaken) -> None:
    """The payment is cancelled: Vipps refuses, but the first attempt may still arrive."""
    async with overtaken.shop.sandbox.session() as vipps:
        await vipps.ecom.cancel("order-1", transaction_text="No.")
    sent = await overtaken.journal("send", overtaken.key)
    assert (sent.status, overtaken.captured) == (3, 0)


async def test_another_amount_is_told(overtaken: Overtaken) -> None:
    """Vipps moves another amount than was asked for: status 3, both amounts, and what to do about the difference."""
    overtaken.shop.sandbox.faults.script("capture", SandboxFault.OTHER_AMOUNT_MOVED)
    sent = await overtaken.journal("send", overtaken.key)
    assert sent.status == 3
    assert "carried out otherwise than asked: ecom.capture of 100.00 NOK, payment order-1" in sent.out
    assert f"and {format_nok(overtaken.captured)} were moved" in sent.out
    assert "what is missing is captured or refunded under a new key" in sent.out
    done = sent.out.splitlines()[-1]
    assert re.match(rf"done since .* UTC: ecom.capture of {format_nok(overtaken.captured)}, payment order-1", done)


async def test_only_what_was_asked_for_is_sent(overtaken: Overtaken) -> None:
    """What is open of another order, or was begun later, stays as it is."""
    journal = SqliteJournal(overtaken.path)
    await journal.open()
    mine = (await entry_of_open(journal, overtaken)).intent
    others = [evolve(mine, key="k-2", payment="order-2"), evolve(mine, key="k-3")]
    for other in others:
        await journal.begin(other, owner="a", lease=0)
        await journal.release(other, note="the line was dead")
    await journal.aclose()
    assert (await overtaken.journal("send", overtaken.key)).status == 0
    assert overtaken.captured == 10_000
    listed = await overtaken.journal("list", "--open")
    assert "key k-2" in listed.out
    assert "key k-3" in listed.out
    both = await overtaken.journal("drop", "k-2", "--payment", "order-1")
    assert (both.status, "no operation of sales unit 123456 has the key k-2" in both.err) == (2, True)


async def entry_of_open(journal: SqliteJournal, found: Overtaken) -> Entry:
    """The lost capture, in a journal that is open."""
    entries = await journal.find(payment="order-1", merchant_serial_number="123456")
    return next(entry for entry in entries if entry.intent.key == found.key)


async def test_one_key_of_several_operations(overtaken: Overtaken) -> None:
    """A caller's own key may stand with two orders: --payment says which one is meant."""
    journal = SqliteJournal(overtaken.path)
    await journal.open()
    mine = (await entry_of_open(journal, overtaken)).intent
    for order in ("order-8", "order-9"):
        await journal.begin(evolve(mine, key="own", payment=order), owner="a", lease=0)
    initiate = evolve(mine, key="new", operation="initiate", payment="order-7", body=None)
    await journal.begin(initiate, owner="a", lease=0)
    await journal.aclose()
    several = await overtaken.journal("drop", "own")
    assert several.status == 2
    assert "payment order-8, key own; ecom.capture of 100.00 NOK, payment order-9, key own" in several.err
    assert (await overtaken.journal("drop", "own", "--payment", "order-9")).status == 0
    unsendable = await overtaken.journal("send", "new")
    assert (unsendable.status, "the journal keeps no body of it" in unsendable.err) == (2, True)


@pytest.mark.parametrize("action", ["send", "drop"])
async def test_production_asks_and_other_hosts_are_named(overtaken: Overtaken, action: str) -> None:
    """Without a terminal --yes is needed; another host than Vipps' own needs --allow-host; nothing is sent without."""
    sent = len(overtaken.shop.sandbox.requests)
    production = {"VIPPS_ENVIRONMENT": "production"}
    other = await overtaken.journal(action, overtaken.key, **production)
    assert (other.status, "say --allow-host 127.0.0.1" in other.err) == (2, True)
    asked = await overtaken.journal(action, overtaken.key, "--allow-host", "127.0.0.1", **production)
    assert (asked.status, "give --yes. Nothing was sent." in asked.err) == (2, True)
    elsewhere = await overtaken.journal(action, overtaken.key, "--allow-host", "127.0.0.1", "--yes", **production)
    # It agreed, but the journal is that of the test environment.
    assert (elsewhere.status, "has the facts of another Vipps" in elsewhere.err) == (2, True)
    assert len(overtaken.shop.sandbox.requests) == sent


async def test_at_a_terminal_it_names_what_it_asks_about(overtaken: Overtaken) -> None:
    """Only yes is a yes."""
    production = {"VIPPS_ENVIRONMENT": "production"}
    journal = SqliteJournal(overtaken.path)
    await journal.open()
    world = await journal.world()
    assert world is not None
    await journal.rebind(evolve(world, environment="production"))
    await journal.aclose()
    arguments = ("journal", "send", overtaken.key, "--journal", str(overtaken.path), "--allow-host", "127.0.0.1")
    async with at_terminal(overtaken.shop.sandbox, *arguments, **production) as terminal:
        await terminal.until("Send again: ecom.capture of 100.00 NOK, payment order-1, key ")
        await terminal.until("sales unit 123456, in PRODUCTION?")
        terminal.type("y\n")
        ended = await terminal.end()
    assert (ended.status, overtaken.captured) == (1, 0)


async def test_leased_elsewhere(overtaken: Overtaken, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else has leased the operation: status 6, and until when; nothing is sent."""

    async def leased(self: SqliteJournal, *, merchant_serial_number: str | None = None) -> AsyncIterator[Entry]:
        async for entry in everything(self, merchant_serial_number=merchant_serial_number):
            yield evolve(entry, owner="b" * 32, lease_until=datetime.now(UTC) + timedelta(minutes=5))

    everything = SqliteJournal.open_entries
    monkeypatch.setattr(SqliteJournal, "open_entries", leased)
    sent = await overtaken.journal("send", overtaken.key)
    assert (sent.status, overtaken.captured) == (6, 0)
    assert "another process has leased it, until " in sent.err


async def test_a_busy_journal_is_status_6(overtaken: Overtaken) -> None:
    """A running process has the file."""
    journal = SqliteJournal(overtaken.path)
    await journal.open()
    try:
        assert (await overtaken.journal("send", overtaken.key)).status == 6
    finally:
        await journal.aclose()


@pytest.mark.parametrize("action", ["send", "drop"])
async def test_a_key_that_cannot_be_read_is_not_said_to_be_no_one_s(overtaken: Overtaken, action: str) -> None:
    """Which entry may have it is named, settled or open, and nothing is sent."""
    damage(overtaken.path, overtaken.key)
    refused = await overtaken.journal(action, overtaken.key)
    assert (refused.status, overtaken.captured) == (2, 0)
    assert (
        f"an entry of the journal cannot be read, and it may have the key {overtaken.key}: entry 1 (payment order-1)"
        in refused.err
    )
    damage(overtaken.path, "later")
    refused = await overtaken.journal(action, "later")
    assert "2 entries of the journal cannot be read, and one of them may have the key later: entry 1 (" in refused.err


async def test_send_names_what_was_carried_out_later(overtaken: Overtaken) -> None:
    """By its amount and its key, before anything is sent and without a question, too: it would be done once more."""
    sent = await overtaken.journal("send", overtaken.key)
    assert sent.status == 0
    told = "Look out: a later capture was carried out: ecom.capture of 100.00 NOK, payment order-1, key later. This one"
    assert told in sent.err
    assert "cannot be read" not in sent.err


async def test_send_names_a_later_one_of_all_that_was_left_and_what_cannot_be_read(overtaken: Overtaken) -> None:
    """Either may have done the same; another amount, a refund or an earlier one has not."""
    journal = SqliteJournal(overtaken.path)
    await journal.open()
    (mine,) = [entry async for entry in journal.open_entries()]
    others: dict[str, dict[str, Any]] = {
        "rest": {"amount": None},
        "other": {"amount": 5},
        "back": {"operation": "refund"},
        "before": {"created_at": mine.intent.created_at - timedelta(seconds=1)},
    }
    for key, changes in others.items():
        later: dict[str, Any] = {"created_at": mine.intent.created_at + timedelta(seconds=2), **changes}
        other = evolve(mine.intent, key=key, origin=KeyOrigin.GIVEN, **later)
        await journal.settle(other, Settlement(outcome=Outcome.DONE, answer=b"{}", settled_at=datetime.now(UTC)))
    await journal.aclose()
    damage(overtaken.path, "later")
    asked = await overtaken.journal("send", overtaken.key)
    told = [line for line in asked.err.splitlines() if line.startswith("Look out: ")]
    unread, rest = told
    assert unread.startswith("Look out: entry 2 of the journal, payment order-1 (what it holds does not fit")
    assert unread.endswith("cannot be read, and may have done the same already.")
    assert "of all that remains, payment order-1, key rest" in rest
