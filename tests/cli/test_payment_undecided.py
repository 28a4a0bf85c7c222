"""`vipps-async payment`: what the journal has of a payment that nobody knows the end of, and what is done already."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from unittest import mock

import orjson
import pytest

from tests.batch.shop import stock_one
from tests.cli.inline import inline
from tests.cli.open_captures import damage, drop, leave_open, note_done
from tests.cli.processes import Finished
from tests.cli.shell import HERE, at_terminal, env, shell
from tests.cli.test_payment import CANCEL, CAPTURE, REFUND
from vipps_async import SqliteJournal
from vipps_async.core.batch import BatchOperation
from vipps_async.errors import Effect, JournalError, OrderLockedError
from vipps_async.sandbox import Fault
from vipps_async.testing import Sandbox

HUNDRED = (*CAPTURE, "--amount", "100.00")
#: The payment's name in another API, which wants 8 characters.
LONG = "order-1234"


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """The journal of all commands here, which is not there yet."""
    return tmp_path / "journal.db"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A Vipps of its own, with payments of 499 kroner that the customer has accepted."""
    async with Sandbox(rate_limits=False) as running:
        for order in ("order-1", "order-2", LONG):
            stock_one(running, order, 49_900)
        yield running


async def live(sandbox: Sandbox, *command: str, journal: Path, typed: tuple[str, ...] | None = None) -> Finished:
    """Run a command in production, with what is typed at its terminal if it has one."""
    production = env(sandbox, VIPPS_ENVIRONMENT="production", VIPPS_JOURNAL=str(journal))
    return await inline(*command, *HERE, env=production, typed=typed)


def moves(sandbox: Sandbox) -> list[str]:
    """What was sent that moves money."""
    return [each.operation for each in sandbox.requests if each.operation in {"capture", "refund", "cancel"}]


# --- what cannot be read ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [HUNDRED, (*CAPTURE, "--all"), (*REFUND, "--all"), CANCEL],
    ids=["the same", "all", "refund", "cancel"],
)
async def test_nothing_is_sent_beside_what_cannot_be_read(
    sandbox: Sandbox, journal: Path, command: tuple[str, ...]
) -> None:
    """It may be this very operation: status 3, which entry it is, where to look, and that nothing was sent."""
    await leave_open(journal, "lost")
    damage(journal, "lost")
    refused = await live(sandbox, *command, "--yes", "--json", journal=journal)
    assert (refused.status, moves(sandbox)) == (3, [])
    assert (
        "this is of the payment, cannot be read, and may have moved money: entry 1 of the journal, payment order-1 "
        "(what it holds does not fit its checksum); nothing was sent now" in refused.err
    )
    assert "compare it with your books; if another one is meant beside it, say --another" in refused.err
    assert "To find out: vipps-async payment show order-1" in refused.err
    # Recovery never settles it, and no key goes on with it.
    assert "recover" not in refused.err
    assert "idempotency-key" not in refused.err
    error = orjson.loads(refused.out)["error"]
    assert (error["kind"], error["effect"]) == ("JournalError", "possible")


async def test_another_one_is_sent_beside_what_cannot_be_read(sandbox: Sandbox, journal: Path) -> None:
    """`--another` says that it is another one; whoever is asked reads what cannot be read."""
    await leave_open(journal, "lost")
    damage(journal, "lost")
    done = await live(sandbox, *HUNDRED, "--another", typed=("yes",), journal=journal)
    assert done.status == 0
    assert "Look out: this is of the payment, cannot be read, and may have moved money: entry 1" in done.err
    assert sandbox.payment("order-1").captured == 10_000


async def test_what_is_done_and_cannot_be_read_counts_as_well(sandbox: Sandbox, journal: Path) -> None:
    """What it was cannot be told, so it may be this very capture."""
    await note_done(journal, "done")
    damage(journal, "done")
    refused = await live(sandbox, *HUNDRED, "--yes", journal=journal)
    assert (refused.status, moves(sandbox)) == (3, [])


async def test_its_own_key_does_not_pass_what_cannot_be_read(sandbox: Sandbox, journal: Path) -> None:
    """The journal cannot say what the key was for: with it, too, nothing is sent, not even as another one."""
    await leave_open(journal, "lost")
    damage(journal, "lost")
    named = (*HUNDRED, "--idempotency-key", "lost", "--new-key", "--yes")
    assert (await live(sandbox, *named, journal=journal)).status == 3
    another = await live(sandbox, *named, "--another", journal=journal)
    assert (another.status, moves(sandbox)) == (3, [])
    assert "To repeat it" not in another.err
    assert "Nothing was sent by this command." in another.err


@pytest.mark.parametrize("change", ["amount = amount + 1", "payment = 'prder-2'"], ids=["amount", "payment"])
async def test_what_may_be_of_any_payment_is_told_and_holds_nothing(
    sandbox: Sandbox, journal: Path, change: str
) -> None:
    """The name of the payment may be what is damaged: every command that moves money says it, once, and goes on."""
    await leave_open(journal, "lost", payment="order-2")
    damage(journal, "lost", change)
    done = await live(sandbox, *HUNDRED, "--yes", journal=journal)
    assert (done.status, sandbox.payment("order-1").captured) == (0, 10_000)
    assert done.err.count("Look out: this is open in the journal and cannot be read: entry 1 of the journal") == 1
    assert "it may be of this payment" in done.err


async def test_what_is_open_goes_on_by_its_key_beside_what_cannot_be_read(sandbox: Sandbox, journal: Path) -> None:
    """It is no other operation than what its key says."""
    await leave_open(journal, "mine")
    await leave_open(journal, "lost", amount=5_000)
    damage(journal, "lost")
    assert (await live(sandbox, *HUNDRED, "--idempotency-key", "mine", "--yes", journal=journal)).status == 0
    assert sandbox.payment("order-1").captured == 10_000


# --- what was dropped -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("another", [(), ("--another",)], ids=["", "another"])
async def test_what_was_dropped_is_not_sent_by_its_key(
    sandbox: Sandbox, journal: Path, another: tuple[str, ...]
) -> None:
    """Somebody has decided so: status 3, when that was, and the command that sends it after all, which does."""
    await drop(journal, await leave_open(journal, "lost"))
    refused = await live(sandbox, *HUNDRED, "--idempotency-key", "lost", "--yes", *another, journal=journal)
    assert (refused.status, moves(sandbox)) == (3, [])
    assert "key lost, since " in refused.err
    assert "UTC, dropped by hand on 20" in refused.err
    assert "--another" not in refused.err
    assert "To go on with it" not in refused.err
    line = next(each for each in refused.err.splitlines() if each.startswith("To send again what was dropped"))
    sent = await live(sandbox, *line.partition(": ")[2].split()[1:], "--yes", journal=journal)
    assert (sent.status, sandbox.payment("order-1").captured) == (0, 10_000)


async def test_a_drop_lasts_through_recovery(sandbox: Sandbox, journal: Path) -> None:
    """Recovered any number of times, also while Vipps does not answer: the list says it, and nothing sends it."""
    await leave_open(journal, "lost")
    at = ("--journal", str(journal))
    dropped = await shell(sandbox, "journal", "drop", "lost", *at)
    assert dropped.status == 0
    for faults in ([], [Fault.HTTP_500_BEFORE] * 20, []):
        sandbox.faults.script("details", *faults)
        assert (await shell(sandbox, "journal", "recover", *at)).status == 1
        sandbox.faults.clear()
        listed = await shell(sandbox, "journal", "list", "--open", *at)
        assert "\n          dropped by hand on 20" in listed.out
        refused = await shell(sandbox, *HUNDRED, "--idempotency-key", "lost", *at)
        assert (refused.status, moves(sandbox)) == (3, [])


async def test_what_was_dropped_is_open_beside_another_one(sandbox: Sandbox, journal: Path) -> None:
    """It may take effect still: another capture is refused, or sent with `--another`, and told of it either way."""
    await drop(journal, await leave_open(journal, "lost"))
    refused = await live(sandbox, *HUNDRED, "--yes", journal=journal)
    assert (refused.status, moves(sandbox)) == (3, [])
    assert "say --another" in refused.err
    assert "To settle it without that, once it can be decided: vipps-async journal recover" in refused.err
    done = await live(sandbox, *HUNDRED, "--yes", "--another", journal=journal)
    assert (done.status, "dropped by hand on" in done.err) == (0, True)


# --- a no, an end -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["open", "damaged", "own"])
async def test_a_no_does_not_say_that_no_money_moved_where_it_may_have(
    sandbox: Sandbox, journal: Path, kind: str
) -> None:
    """This command has sent nothing; what is open is named again."""
    await leave_open(journal, "lost")
    if kind == "damaged":
        damage(journal, "lost")
    more = ("--idempotency-key", "lost") if kind == "own" else ("--another",)
    said_no = await live(sandbox, *HUNDRED, *more, typed=("no",), journal=journal)
    assert (said_no.status, moves(sandbox)) == (1, [])
    ending = said_no.err.partition("Nothing was sent by this command.\nLook out: this ")[2]
    assert "may have moved money: e" in ending
    assert "no money moved" not in said_no.err


async def test_a_no_to_what_is_done_speaks_for_this_command_alone(sandbox: Sandbox, journal: Path) -> None:
    """Under this key money has moved."""
    await note_done(journal, "done")
    said_no = await live(sandbox, *HUNDRED, "--idempotency-key", "done", typed=("no",), journal=journal)
    assert said_no.err.endswith("Nothing was sent by this command.\n")


async def test_an_end_at_the_question_names_what_is_open(sandbox: Sandbox, journal: Path) -> None:
    """Ctrl-C is no other answer than a no."""
    await leave_open(journal, "lost")
    production = {"VIPPS_ENVIRONMENT": "production", "VIPPS_JOURNAL": str(journal)}
    async with at_terminal(sandbox, *HUNDRED, "--another", *HERE, **production) as terminal:
        await terminal.until('Type "yes": ')
        terminal.interrupt()
        ended = await terminal.end()
    assert ended.status == 130
    told = ended.err.replace("\r\n", "\n")
    assert "Cut off. Nothing was sent by this command.\nLook out: this is open of the payment" in told


async def test_a_no_where_nothing_is_open_says_that_no_money_moved(sandbox: Sandbox, journal: Path) -> None:
    """That is known, and worth knowing."""
    await leave_open(journal, "lost", payment="order-2")
    said_no = await live(sandbox, *HUNDRED, typed=("no",), journal=journal)
    assert said_no.err.endswith("Nothing was sent: no money moved.\n")


# --- over another API -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("another", [(), ("--another",)], ids=["", "another"])
async def test_another_is_not_offered_where_it_does_not_work(
    sandbox: Sandbox, journal: Path, another: tuple[str, ...]
) -> None:
    """What is open over another API closes the payment: that is to be settled first, and nothing else is advised."""
    await leave_open(journal, "lost", payment=LONG)
    command = ("payment", "capture", LONG, "--api", "epayment", "--amount", "100.00", "--yes")
    refused = await live(sandbox, *command, *another, journal=journal)
    assert (refused.status, moves(sandbox)) == (3, [])
    assert "settle that first: until then nothing is sent over epayment" in refused.err
    assert "vipps-async journal recover" in refused.err
    for word in ("--another", "idempotency-key", "new key"):
        assert word not in refused.err


@pytest.mark.parametrize(
    ("error", "is_repeated"),
    [
        (OrderLockedError("ecom.capture of this payment is open", status=0, effect=Effect.POSSIBLE), False),
        (OrderLockedError("leased", status=0, effect=Effect.POSSIBLE, retryable=True), True),
        (JournalError("no answer", effect=Effect.POSSIBLE), True),
    ],
    ids=["closed", "leased", "silent"],
)
async def test_what_the_journal_refuses_beside_another_one_is_not_to_be_repeated(
    sandbox: Sandbox, journal: Path, error: JournalError, *, is_repeated: bool
) -> None:
    """There is nothing under this command's key; where there may be, the key is what to go on with."""
    with mock.patch.object(SqliteJournal, "begin", side_effect=error):
        refused = await live(sandbox, *HUNDRED, "--yes", journal=journal)
    assert refused.status == 3
    assert ("To repeat it: " in refused.err) is is_repeated
    assert ("Nothing was sent by this command." in refused.err) is not is_repeated
    assert "vipps-async journal recover" in refused.err


# --- the key, and what is done already --------------------------------------------------------------------------------


async def test_a_key_is_told_only_when_something_is_sent(sandbox: Sandbox, journal: Path) -> None:
    """Refused here, or with a no, there is nothing to repeat; else it stands before the first request."""
    await leave_open(journal, "lost")
    for typed, more in (((), ()), (("no",), ("--another",)), (None, ("--another",)), (None, ("--yes",))):
        refused = await live(sandbox, *HUNDRED, *more, typed=typed, journal=journal)
        assert (refused.status != 0, "repeat with" in refused.err) == (True, False)
    before = len(sandbox.requests)
    done = await live(sandbox, *HUNDRED, "--another", "--yes", journal=journal)
    assert (done.status, "repeat with --idempotency-key=" in done.err, before) == (0, True, 0)


async def test_a_twin_that_is_done_stands_in_the_question(sandbox: Sandbox, journal: Path) -> None:
    """The same operation, payment and amount under another key: told with its key before anybody answers."""
    await note_done(journal, "first")
    said_no = await live(sandbox, *HUNDRED, typed=("no",), journal=journal)
    before, _, _ = said_no.err.partition("Capture 100.00 NOK of ecom payment order-1")
    assert "Look out: the journal has this as done on 20" in before
    assert "ecom.capture of 100.00 NOK, payment order-1, key first. This would be another one." in before
    assert moves(sandbox) == []
    # With --yes nobody is asked: it is said, and goes on.
    done = await live(sandbox, *HUNDRED, "--yes", journal=journal)
    assert (done.status, "key first. This would be another one." in done.err) == (0, True)


@pytest.mark.parametrize(
    "command",
    [(*CAPTURE, "--amount", "99.00"), (*HUNDRED, "--idempotency-key", "first"), (*CAPTURE, "--all"), REFUND],
    ids=["another amount", "its own key", "all", "another operation"],
)
async def test_what_is_no_twin_is_not_told(sandbox: Sandbox, journal: Path, command: tuple[str, ...]) -> None:
    """Another amount or operation, the very same operation, and what takes all that is left."""
    await note_done(journal, "first")
    amount = ("--amount", "100.00") if command is REFUND else ()
    said_no = await live(sandbox, *command, *amount, typed=("no",), journal=journal)
    assert (said_no.status, "as done on" in said_no.err) == (1, False)


async def test_a_second_cancel_is_told_as_found(sandbox: Sandbox, journal: Path) -> None:
    """No answer got lost: it was cancelled before, and nothing says by whom."""
    at = ("--journal", str(journal))
    first = await shell(sandbox, *CANCEL, *at)
    again = await shell(sandbox, *CANCEL, *at)
    assert (first.status, again.status) == (0, 0)
    assert "found" not in first.out
    assert "It was found cancelled; whether by this command or an earlier one" in again.out
    assert "got lost" not in again.out


async def test_what_an_open_cancel_refuses(sandbox: Sandbox, journal: Path) -> None:
    """A cancel that is open is undecided like a capture; it has no key to go on with."""
    await leave_open(journal, "lost", operation=BatchOperation.CANCEL, amount=None)
    refused = await live(sandbox, *CANCEL, "--yes", journal=journal)
    assert (refused.status, moves(sandbox)) == (3, [])
    assert "To go on with it" not in refused.err
