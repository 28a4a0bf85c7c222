"""`vipps-async payment`: what the journal has of a payment keeps money from moving without a word."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest

from tests.batch.shop import stock_one
from tests.cli.inline import inline
from tests.cli.open_captures import leave_open, note_done
from tests.cli.processes import Finished
from tests.cli.shell import HERE, env
from tests.cli.test_payment import CANCEL, CAPTURE, REFUND
from vipps_async import SqliteJournal
from vipps_async.journals.entries import Outcome, Settlement
from vipps_async.testing import Sandbox


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """The journal of all commands here, which is not there yet."""
    return tmp_path / "journal.db"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A Vipps of its own, with two payments of 499 kroner that the customer has accepted."""
    async with Sandbox(rate_limits=False) as running:
        for order in ("order-1", "order-2"):
            stock_one(running, order, 49_900)
        yield running


async def live(sandbox: Sandbox, *command: str, journal: Path, typed: tuple[str, ...] | None = None) -> Finished:
    """Run a command in production, with what is typed at its terminal if it has one."""
    production = env(sandbox, VIPPS_ENVIRONMENT="production", VIPPS_JOURNAL=str(journal))
    return await inline(*command, *HERE, env=production, typed=typed)


def sent_since(sandbox: Sandbox, before: int = 0) -> list[str]:
    """What was sent that moves money, but for the first so many requests."""
    return [each.operation for each in sandbox.requests[before:] if each.operation in {"capture", "refund", "cancel"}]


# --- a key by hand ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [CAPTURE, REFUND], ids=["capture", "refund"])
async def test_a_mistyped_key_moves_nothing_where_nobody_is_asked(
    sandbox: Sandbox, journal: Path, command: tuple[str, ...]
) -> None:
    """The journal does not know it, so it would be a new operation: `--yes` alone does not agree to that."""
    typo = await live(sandbox, *command, "--amount", "100.00", "--idempotency-key", "typo", "--yes", journal=journal)
    assert (typo.status, typo.out) == (2, "")
    assert f"does not know the key typo: this is a NEW {command[1]} under it; nothing was sent" in typo.err
    assert "say --new-key" in typo.err
    assert not sandbox.requests


async def test_a_key_that_the_journal_does_not_know_stands_in_the_question(sandbox: Sandbox, journal: Path) -> None:
    """Whoever is asked reads that it is a new capture; a no moves nothing, a yes carries it out."""
    command = (*CAPTURE, "--amount", "100.00", "--idempotency-key", "typo")
    for answer, status in (("no", 1), ("yes", 0)):
        asked = await live(sandbox, *command, typed=(answer,), journal=journal)
        assert asked.status == status
        before, _, question = asked.err.partition("Capture 100.00 NOK of ecom payment order-1")
        assert "Look out: the journal does not know the key typo: this is a NEW capture under it." in before
        assert question
    assert sandbox.payment("order-1").captured == 10_000


async def test_a_key_of_ones_own_is_named_as_new(sandbox: Sandbox, journal: Path) -> None:
    """`--new-key` is for scripts that make their own keys: the first run captures, a second one with it does not."""
    command = (*CAPTURE, "--amount", "100.00", "--idempotency-key", "ship-1", "--new-key", "--yes")
    for _ in range(2):
        assert (await live(sandbox, *command, journal=journal)).status == 0
    assert sent_since(sandbox) == ["capture"]
    alone = await live(sandbox, *CAPTURE, "--amount", "100.00", "--new-key", "--yes", journal=journal)
    assert (alone.status, "--new-key belongs to --idempotency-key" in alone.err) == (2, True)


async def test_in_the_test_environment_an_unknown_key_is_told(sandbox: Sandbox, journal: Path) -> None:
    """Nobody is asked there: a line says it, and it goes on."""
    done = await inline(*CAPTURE, "--amount", "1", "--idempotency-key", "typo", env=env(sandbox))
    assert done.status == 0
    assert "Look out: the journal does not know the key typo" in done.err
    again = await inline(*CAPTURE, "--amount", "1", "--idempotency-key", "typo", env=env(sandbox))
    assert (again.status, "Look out" in again.err) == (0, False)


@pytest.mark.parametrize(
    "other",
    [
        ("payment", "capture", "order-2", "--text", "Shipped.", "--amount", "100.00"),
        (*REFUND, "--amount", "100.00"),
        (*CAPTURE, "--amount", "200.00"),
        (*CAPTURE, "--all"),
    ],
    ids=["payment", "operation", "amount", "all"],
)
async def test_the_key_of_something_else_is_refused(sandbox: Sandbox, journal: Path, other: tuple[str, ...]) -> None:
    """Of another payment, operation or amount: status 2, what it is the key of, and nothing is sent."""
    await live(
        sandbox, *CAPTURE, "--amount", "100.00", "--idempotency-key", "mine", "--new-key", "--yes", journal=journal
    )
    before = len(sandbox.requests)
    refused = await live(sandbox, *other, "--idempotency-key", "mine", "--new-key", "--yes", "--json", journal=journal)
    assert refused.status == 2
    assert "ecom.capture of 100.00 NOK, payment order-1, key mine" in refused.err
    assert "No money moved by this command." in refused.err
    assert orjson.loads(refused.out)["error"]["effect"] == "none"
    assert sent_since(sandbox, before) == []


async def test_the_same_key_over_another_api_is_refused(sandbox: Sandbox, journal: Path) -> None:
    """EPayment captures what eCom made: the same key there would be a second capture."""
    stock_one(sandbox, "order-1234", 49_900)
    named = ("--amount", "100.00", "--idempotency-key", "mine", "--new-key", "--yes")
    await live(sandbox, "payment", "capture", "order-1234", "--text", "Shipped.", *named, journal=journal)
    refused = await live(sandbox, "payment", "capture", "order-1234", "--api", "epayment", *named, journal=journal)
    assert (refused.status, "ecom.capture of 100.00 NOK, payment order-1234" in refused.err) == (2, True)
    assert sandbox.payment("order-1234").captured == 10_000


async def test_the_key_of_an_open_one_goes_on_with_it(sandbox: Sandbox, journal: Path) -> None:
    """That is what it is for: no note, and the money moves once."""
    await leave_open(journal, "lost")
    again = await live(sandbox, *CAPTURE, "--amount", "100.00", "--idempotency-key", "lost", "--yes", journal=journal)
    assert (again.status, "Look out" in again.err) == (0, False)
    assert sandbox.payment("order-1").captured == 10_000


# --- what is open of the payment --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [(*CAPTURE, "--amount", "100.00"), (*CAPTURE, "--amount", "50"), (*REFUND, "--all"), CANCEL],
    ids=["the same", "another amount", "refund", "cancel"],
)
async def test_nothing_is_sent_beside_what_is_open(sandbox: Sandbox, journal: Path, command: tuple[str, ...]) -> None:
    """Status 3, as the open one may have moved money; it is named, and so is what settles it."""
    await leave_open(journal, "lost")
    before = len(sandbox.requests)
    refused = await live(sandbox, *command, "--yes", "--json", journal=journal)
    assert refused.status == 3
    assert (
        "open of the payment, and may have moved money: ecom.capture of 100.00 NOK, payment order-1, key lost, s"
        in (refused.err)
    )
    assert "nothing was sent now" in refused.err
    told = "To go on with it: its own operation and amount with --idempotency-key=lost\n"
    assert (told in refused.err) is (command is not CANCEL)
    recover = next(line for line in refused.err.splitlines() if line.startswith("To settle it")).partition(": ")[2]
    assert orjson.loads(refused.out)["error"] | {"message": "", "advice": ""} == {
        "api": "ecom",
        "operation": command[1],
        "payment": "order-1",
        "kind": "OrderLockedError",
        "idempotency_key": "lost",
        "effect": "possible",
        "message": "",
        "advice": "",
        "codes": [],
    }
    assert sent_since(sandbox, before) == []
    assert (await live(sandbox, *recover.split()[1:], "--yes", journal=journal)).status == 0
    assert sandbox.payment("order-1").captured == 10_000


async def test_a_key_that_came_to_nothing_begins_anew(sandbox: Sandbox, journal: Path) -> None:
    """It is sent for the first time, so that what is open beside it counts."""
    intent = await leave_open(journal, "mine")
    await leave_open(journal, "lost")
    store = SqliteJournal(journal)
    await store.open()
    await store.settle(intent, Settlement(outcome=Outcome.NOT_DONE, settled_at=datetime.now(UTC)))
    await store.aclose()
    named = ("--amount", "100.00", "--idempotency-key", "mine", "--yes")
    refused = await live(sandbox, *CAPTURE, *named, journal=journal)
    assert (refused.status, "payment order-1, key lost" in refused.err) == (3, True)
    assert (await live(sandbox, *CAPTURE, *named, "--another", journal=journal)).status == 0
    assert sandbox.payment("order-1").captured == 10_000


async def test_nothing_is_asked_beside_what_is_open(sandbox: Sandbox, journal: Path) -> None:
    """It is refused before the question, also at a terminal."""
    await leave_open(journal, "lost")
    assert (await live(sandbox, *CAPTURE, "--amount", "100.00", typed=(), journal=journal)).status == 3


async def test_another_one_beside_what_is_open_is_named(sandbox: Sandbox, journal: Path) -> None:
    """`--another` sends it all the same; whoever is asked reads what is open."""
    await leave_open(journal, "lost")
    done = await live(sandbox, *CAPTURE, "--amount", "50", "--another", typed=("yes",), journal=journal)
    assert done.status == 0
    assert "Look out: this is open of the payment, and may have moved money: ecom.capture of 100.00 NOK" in done.err
    assert sandbox.payment("order-1").captured == 5_000


async def test_what_is_open_of_another_payment_holds_nothing_up(sandbox: Sandbox, journal: Path) -> None:
    """Each payment is by itself."""
    await leave_open(journal, "lost")
    other = [part.replace("order-1", "order-2") for part in CAPTURE]
    assert (await live(sandbox, *other, "--amount", "50", "--yes", journal=journal)).status == 0


async def test_what_another_process_leaves_open_meanwhile_counts(
    sandbox: Sandbox, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There was no journal when somebody was asked, and there is one now: the command looks again before it sends."""

    async def ask(*_: object, **__: object) -> None:
        await leave_open(journal, "lost")

    monkeypatch.setattr("vipps_async.cli.payment_command.ask", ask)
    refused = await live(sandbox, *CAPTURE, "--amount", "100.00", journal=journal, typed=())
    assert (refused.status, "payment order-1, key lost" in refused.err) == (3, True)
    assert sent_since(sandbox) == []


@pytest.mark.parametrize(("again", "status"), [("no", 1), ("yes", 0)])
async def test_what_another_process_has_done_meanwhile_is_asked_about_again(
    sandbox: Sandbox, journal: Path, monkeypatch: pytest.MonkeyPatch, again: str, status: int
) -> None:
    """Two are asked while there is no journal; the second's yes was to one capture: it is told and asked again."""
    answers = ["yes", again]

    async def typed_line(_: str) -> str:
        if len(answers) == 2:
            await note_done(journal, "of-the-first")
        return answers.pop(0)

    monkeypatch.setattr("vipps_async.cli.confirmation.typed_line", typed_line)
    monkeypatch.setattr("vipps_async.cli.confirmation.is_terminal", lambda: True)
    done = await live(sandbox, *CAPTURE, "--amount", "100.00", journal=journal)
    assert (done.status, answers) == (status, [])
    assert "The journal has changed meanwhile.\nLook out: the journal has this as done on " in done.err
    assert sent_since(sandbox) == ["capture"] * (status == 0)


async def test_where_nobody_is_asked_what_is_done_meanwhile_is_said(
    sandbox: Sandbox, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `--yes` a capture that looks the same is only said, as it is at the first look; and it goes on."""
    others = ["of-the-first"]

    async def ask(*_: object, **__: object) -> None:
        if others:
            await note_done(journal, others.pop())

    monkeypatch.setattr("vipps_async.cli.payment_command.ask", ask)
    done = await live(sandbox, *CAPTURE, "--amount", "100.00", "--yes", journal=journal)
    assert (done.status, done.err.count("Look out: the journal has this as done")) == (0, 1)


async def test_a_no_makes_no_journal(sandbox: Sandbox, journal: Path) -> None:
    """Whoever says no leaves nothing behind."""
    assert (await live(sandbox, *CAPTURE, "--amount", "5", journal=journal, typed=("no",))).status == 1
    assert os.listdir(journal.parent) == []  # noqa: PTH208 - blocks no longer than that
