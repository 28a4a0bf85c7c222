"""Every command that may move real money asks in one way: whom, what counts as a yes, and what a no does."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import click
import orjson
import pytest

from tests.batch.shop import stock_one
from tests.cli.inline import inline
from tests.cli.open_captures import leave_open
from tests.cli.processes import Finished
from tests.cli.shell import HERE, at_terminal, env
from tests.cli.test_payment import CANCEL, CAPTURE, REFUND
from tests.cli.test_payment_safety import until
from vipps_async.cli import batch
from vipps_async.cli.journal import command as journal_group
from vipps_async.cli.payment import _actions
from vipps_async.core.batch import BatchOperation
from vipps_async.ecom.payment_api import ECOM_API
from vipps_async.sandbox import Fault
from vipps_async.testing import Sandbox


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A Vipps of its own, with three payments of 499 kroner that the customer has accepted."""
    async with Sandbox(rate_limits=False) as running:
        for number in range(1, 4):
            stock_one(running, f"order-{number}", 49_900)
        yield running


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """The journal of all commands here, which is not there yet."""
    return tmp_path / "journal.db"


@pytest.fixture
def day(tmp_path: Path) -> Path:
    """A file that captures, refunds or cancels one payment, depending on who reads it."""
    file = tmp_path / "day.csv"
    file.write_text("order_id,transaction_text,reference\norder-2,Shipped.,s-2\n")
    return file


async def live(sandbox: Sandbox, *command: str, journal: Path, typed: tuple[str, ...] | None = None) -> Finished:
    """Run a command in production, with what is typed at its terminal if it has one."""
    production = env(
        sandbox, VIPPS_ENVIRONMENT="production", VIPPS_JOURNAL=str(journal), VIPPS_BATCH_DSN="host=192.0.2.1"
    )
    return await inline(*command, *HERE, env=production, typed=typed)


#: All commands that ask before real money moves; `DAY` is a file.
ASKING: dict[str, tuple[str, ...]] = {
    "payment capture": (*CAPTURE, "--amount", "5"),
    "payment refund": (*REFUND, "--amount", "5"),
    "payment cancel": CANCEL,
    "batch capture": ("batch", "capture", "DAY"),
    "batch refund": ("batch", "refund", "DAY"),
    "batch cancel": ("batch", "cancel", "DAY"),
    "batch submit": ("batch", "submit", "DAY"),
    "journal recover": ("journal", "recover"),
    "journal send": ("journal", "send", "lost"),
    "journal drop": ("journal", "drop", "lost"),
}
#: What a no to a question about what is open says: its own sending may have moved money before.
OPEN_MAY_HAVE_MOVED = "Nothing was sent by this command; what is open may have moved money all the same.\n"
#: Those that can be used where there is no journal.
WITHOUT_JOURNAL = [name for name in ASKING if not name.startswith("journal")]


def files(journal: Path) -> list[str]:
    """What lies in the journal's folder."""
    return [each.name for each in journal.parent.iterdir()]


def sent(sandbox: Sandbox) -> list[str]:
    """What was sent."""
    return [request.operation for request in sandbox.requests]


def test_these_are_all_commands_that_ask() -> None:
    """Whatever has the option `--yes` is here; `journal rebind` and `discard` send nothing, and ask anywhere."""

    def asking(command: click.Command, name: str) -> set[str]:
        if isinstance(command, click.Group):
            return set().union(*(asking(each, f"{name} {each.name}".strip()) for each in command.commands.values()))
        return {name} if any("--yes" in param.opts for param in command.params) else set()

    payments = click.Group("payment", commands=_actions(ECOM_API))
    found = set().union(*(asking(each, each.name or "") for each in (payments, batch.command(), journal_group())))
    assert found == {*ASKING, "journal rebind", "journal discard"}


@pytest.mark.parametrize("name", ASKING)
async def test_a_no_is_status_1_and_sends_nothing(sandbox: Sandbox, journal: Path, day: Path, name: str) -> None:
    """Whichever command it is, and whatever its question is about: anything but "yes" is a no."""
    if name not in WITHOUT_JOURNAL:
        await leave_open(journal, "lost", payment="order-3")
    command = [str(day) if part == "DAY" else part for part in ASKING[name]]
    answered = await live(sandbox, *command, journal=journal, typed=("y",))
    assert (answered.status, answered.out) == (1, "")
    assert "sales unit 123456, in PRODUCTION?" in answered.err
    declined = "Nothing was sent: no money moved.\n" if name in WITHOUT_JOURNAL else OPEN_MAY_HAVE_MOVED
    assert answered.err.endswith(declined)
    is_kept = "The journal is kept from other processes until you answer.\n" in answered.err
    assert is_kept is (name not in WITHOUT_JOURNAL)
    assert sent(sandbox) == []
    assert ("journal.db" in files(journal)) is (name not in WITHOUT_JOURNAL)


@pytest.mark.parametrize("name", ASKING)
async def test_where_nobody_can_be_asked_it_is_refused(sandbox: Sandbox, journal: Path, day: Path, name: str) -> None:
    """Status 2, one sentence for all of them, and nothing is sent."""
    if name not in WITHOUT_JOURNAL:
        await leave_open(journal, "lost", payment="order-3")
    command = [str(day) if part == "DAY" else part for part in ASKING[name]]
    refused = await live(sandbox, *command, journal=journal)
    assert (refused.status, refused.out) == (2, "")
    assert "vipps-async: this moves real money: confirm it on a terminal, or give --yes. Nothing was sent.\n" in (
        refused.err
    )
    assert sent(sandbox) == []
    assert ("journal.db" in files(journal)) is (name not in WITHOUT_JOURNAL)


# --- recovery ---------------------------------------------------------------------------------------------------------


async def several(journal: Path) -> None:
    """Leave two captures and a refund open."""
    await leave_open(journal, "lost-1", payment="order-1", amount=10_000)
    await leave_open(journal, "lost-2", payment="order-2", amount=25_000)
    await leave_open(journal, "lost-3", payment="order-3", amount=None, operation=BatchOperation.REFUND)


async def test_recovery_asks_before_it_sends_real_money(sandbox: Sandbox, journal: Path) -> None:
    """It names payments, operations, amounts and keys, and their sums; a yes sends them."""
    await several(journal)
    done = await live(sandbox, "journal", "recover", journal=journal, typed=("yes",))
    for line in (
        "  ecom.capture of 100.00 NOK, payment order-1, key lost-1\n",
        "  ecom.capture of 250.00 NOK, payment order-2, key lost-2\n",
        "  ecom.refund of all that remains (0.00 NOK now), payment order-3, key lost-3\n",
        "Settle 2 captures of 350.00 NOK and 1 refund of all that remains (0.00 NOK now), sales unit 123456, in PROD",
    ):
        assert line in done.err
    assert [sandbox.payment(f"order-{number}").captured for number in (1, 2, 3)] == [10_000, 25_000, 0]


async def test_recovery_without_a_terminal_reads_nothing(sandbox: Sandbox, journal: Path) -> None:
    """Refused before the journal is opened: another process may have it."""
    await leave_open(journal, "lost")
    refused = await live(sandbox, "journal", "recover", journal=journal)
    assert (refused.status, "Journal: " in refused.err) == (2, False)
    done = await live(sandbox, "journal", "recover", "--yes", journal=journal)
    assert (done.status, sandbox.payment("order-1").captured) == (0, 10_000)


async def test_recovery_asks_only_where_something_may_be_sent(sandbox: Sandbox, journal: Path) -> None:
    """Nothing is open, or of another sales unit only: no question, status 0."""
    await leave_open(journal, "other", merchant_serial_number="654321")
    done = await live(sandbox, "journal", "recover", journal=journal, typed=())
    assert (done.status, done.out[:11]) == (0, "0 looked at")


async def test_what_recovery_never_sends_is_not_asked_about(sandbox: Sandbox, journal: Path) -> None:
    """What was dropped is looked up only: no question, and it stays open."""
    await leave_open(journal, "lost")
    assert (await live(sandbox, "journal", "drop", "lost", "--yes", journal=journal)).status == 0
    done = await live(sandbox, "journal", "recover", journal=journal, typed=())
    assert (done.status, sandbox.payment("order-1").captured) == (1, 0)
    assert "stays open: ecom.capture of 100.00 NOK, payment order-1, key lost" in done.out


async def test_the_test_environment_is_not_asked(sandbox: Sandbox, journal: Path) -> None:
    """What is sent again is named all the same, but not beside JSON."""
    await leave_open(journal, "lost")
    done = await inline("journal", "recover", "--journal", str(journal), env=env(sandbox), typed=())
    assert (done.status, "ecom.capture of 100.00 NOK, payment order-1, key lost" in done.err) == (0, True)


async def test_a_long_list_is_cut_and_its_sum_is_whole(
    sandbox: Sandbox, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first ones are named; the rest is counted, and `journal list` has it."""
    monkeypatch.setattr("vipps_async.cli.journal_open._MOST_NAMED", 1)
    await several(journal)
    asked = await live(sandbox, "journal", "recover", journal=journal, typed=("no",))
    assert asked.err.count("  ecom.") == 1
    assert "  ... and 2 more: vipps-async journal list --open\n" in asked.err
    assert "Settle 2 captures of 350.00 NOK and 1 refund of all that remains (0.00 NOK now), sales unit" in asked.err


async def test_the_question_says_how_much_all_that_remains_is(sandbox: Sandbox, journal: Path) -> None:
    """Vipps is asked first: each operation is named with its sum, and all of them with theirs."""
    await leave_open(journal, "all-1", payment="order-1", amount=None)
    await leave_open(journal, "all-2", payment="order-2", amount=None)
    asked = await live(sandbox, "journal", "recover", journal=journal, typed=("no",))
    assert "  ecom.capture of all that remains (499.00 NOK now), payment order-1, key all-1\n" in asked.err
    assert "Settle 2 captures of all that remains of 2 (998.00 NOK now), sales unit" in asked.err
    sent = await live(sandbox, "journal", "send", "all-1", journal=journal, typed=("no",))
    assert "Send again: ecom.capture of all that remains (499.00 NOK now), payment order-1, key all-1" in sent.err


async def test_what_vipps_has_done_is_not_told_as_what_remains(sandbox: Sandbox, journal: Path) -> None:
    """An answer got lost: recovery will prove it and send nothing, so what was captured since is no sum that moves."""
    capture = ("payment", "capture", "order-1", "--text", "Socks.", "--yes", "--amount")
    assert (await live(sandbox, *capture, "100", journal=journal)).status == 0
    await leave_open(journal, "lost", amount=None, operation=BatchOperation.REFUND)
    await asyncio.to_thread(shutil.copy, journal, f"{journal}.copy")
    assert (await live(sandbox, "journal", "recover", "--yes", journal=journal)).status == 0
    assert (await live(sandbox, *capture, "200", journal=journal)).status == 0
    await asyncio.to_thread(shutil.copy, f"{journal}.copy", journal)
    asked = await live(sandbox, "journal", "recover", journal=journal, typed=("no",))
    named = "ecom.refund of all that remains (Vipps has it as done, 100.00 NOK), payment order-1, key lost"
    assert named in asked.err
    assert "Settle 1 refund of all that remains (0.00 NOK now), sales unit" in asked.err


async def test_two_of_one_payment_take_what_remains_once(sandbox: Sandbox, journal: Path) -> None:
    """The sum in the question is what can move, not that once for each."""
    await leave_open(journal, "all-1", amount=None)
    await leave_open(journal, "all-2", amount=None)
    asked = await live(sandbox, "journal", "recover", journal=journal, typed=("no",))
    assert "Settle 2 captures of all that remains of 2 (499.00 NOK now), sales unit" in asked.err


@pytest.mark.parametrize("trouble", ["no answer", "no end", "too many"])
async def test_a_sum_that_is_not_known_is_told_as_that(
    sandbox: Sandbox, journal: Path, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    """Vipps does not answer, or there are more payments than are asked for: the question comes all the same."""
    await leave_open(journal, "all-1", payment="order-1", amount=None)
    await leave_open(journal, "all-2", payment="order-2", amount=None)
    if trouble == "no answer":
        sandbox.faults.script("details", *[Fault.RESET_BEFORE_READ] * 20)
    elif trouble == "no end":
        monkeypatch.setattr("vipps_async.cli.journal_open._PATIENCE", 0.1)
        sandbox.faults.script("details", *[Fault.STALL_BEFORE_EFFECT] * 20)
    else:
        monkeypatch.setattr("vipps_async.cli.journal_open._MOST_LOOKED_UP", 1)
    asked = await live(sandbox, "journal", "recover", journal=journal, typed=("no",))
    assert "of all that remains (the sum is not known), payment order-2, key all-2" in asked.err
    assert "Settle 2 captures of all that remains of 2 (the sum is not known), sales unit" in asked.err
    known = "(499.00 NOK now)" if trouble == "too many" else "(the sum is not known)"
    assert f"of all that remains {known}, payment order-1" in asked.err


@pytest.mark.parametrize("command", [("recover",), ("send", "lost"), ("drop", "lost")], ids=lambda given: given[0])
async def test_ctrl_c_at_the_question(sandbox: Sandbox, journal: Path, command: tuple[str, ...]) -> None:
    """One plain line says what follows from it, and status 130: nothing was sent, and nothing is said of before."""
    await leave_open(journal, "lost")
    arguments = ("journal", *command, "--journal", str(journal), *HERE)
    async with at_terminal(sandbox, *arguments, VIPPS_ENVIRONMENT="production") as terminal:
        await terminal.until('Type "yes": ')
        terminal.interrupt()
        ended = await terminal.end()
    assert (ended.status, ended.out) == (130, "")
    said = ended.err.replace("\r\n", "\n").partition('Type "yes": ')[2]
    assert said == f"\n{OPEN_MAY_HAVE_MOVED}"
    assert sent(sandbox) == []


async def test_ctrl_c_while_it_is_settled(sandbox: Sandbox, journal: Path) -> None:
    """What was sent may have moved money: that is said, and what to do; the same command goes on with it."""
    await leave_open(journal, "lost")
    sandbox.faults.script("capture", Fault.STALL_BEFORE_EFFECT)
    async with at_terminal(sandbox, "journal", "recover", "--journal", str(journal)) as terminal:
        await until(lambda: bool(sandbox.faults.counts))
        terminal.interrupt()
        ended = await terminal.end()
    assert (ended.status, ended.out) == (130, "")
    assert "Cut off. What was sent may have moved money, and stands in the journal with its key" in ended.err
    again = await inline("journal", "recover", "--journal", str(journal), env=env(sandbox), typed=())
    assert (again.status, sandbox.payment("order-1").captured) == (0, 10_000)


async def test_sending_one_by_its_key_names_what_is_settled_before_it(sandbox: Sandbox, journal: Path) -> None:
    """What is open of the same payment before it moves money, too; what was begun after it does not."""
    await leave_open(journal, "first", amount=10_000)
    await leave_open(journal, "second", amount=20_000)
    await leave_open(journal, "third", amount=5_000)
    await leave_open(journal, "other", payment="order-2")
    sent = await live(sandbox, "journal", "send", "second", journal=journal, typed=("yes",))
    before, _, question = sent.err.partition("Send again: ")
    named = "settled before it and perhaps sent again, too:\n  ecom.capture of 100.00 NOK, payment order-1, key first\n"
    assert named in before
    assert question.startswith("ecom.capture of 200.00 NOK, payment order-1, key second, sales unit 123456")
    assert (sandbox.payment("order-1").captured, sandbox.payment("order-2").captured) == (30_000, 0)


# --- recovery before a batch ------------------------------------------------------------------------------------------


async def test_what_is_settled_before_a_batch_is_asked_about_by_itself(
    sandbox: Sandbox, journal: Path, day: Path
) -> None:
    """Two questions, one about the open operations and one about the file; each has lines of its own."""
    await leave_open(journal, "lost")
    done = await live(sandbox, "batch", "capture", str(day), journal=journal, typed=("yes", "yes"))
    assert done.status == 0, done.err
    questions = [line for line in done.err.splitlines() if "in PRODUCTION?" in line]
    assert questions == [
        'Settle 1 capture of 100.00 NOK, sales unit 123456, in PRODUCTION? Type "yes": ',
        'Capture 1 payment over ecom, all that remains of 1, sales unit 123456, in PRODUCTION? Type "yes": ',
    ]
    told = "Settled before the first row: 1 looked at: 0 had taken effect, 1 sent again"
    assert done.err.index(questions[0]) < done.err.index(told) < done.err.index(questions[1])
    assert "1 captured, 499.00 NOK" in done.out
    assert sandbox.payment("order-1").captured == 10_000


@pytest.mark.parametrize(("typed", "captured"), [(("no",), 0), (("yes", "no"), 10_000)], ids=["first", "second"])
async def test_a_no_to_either_question_sends_no_row(
    sandbox: Sandbox, journal: Path, day: Path, typed: tuple[str, ...], captured: int
) -> None:
    """Status 1; after the second one it is said that the first step is done."""
    await leave_open(journal, "lost")
    answered = await live(sandbox, "batch", "capture", str(day), journal=journal, typed=typed)
    assert answered.status == 1
    assert ("Nothing of the file was sent; what was settled before it stands above." in answered.err) is bool(captured)
    assert (OPEN_MAY_HAVE_MOVED in answered.err) is not bool(captured)
    assert "no money moved" not in answered.err
    assert (sandbox.payment("order-1").captured, sandbox.payment("order-2").captured) == (captured, 0)


async def test_what_was_settled_first_stands_in_the_json(sandbox: Sandbox, journal: Path, day: Path) -> None:
    """By itself, and not in the sums of the rows."""
    await leave_open(journal, "lost")
    facts = orjson.loads((await live(sandbox, "batch", "capture", str(day), "--json", "--yes", journal=journal)).out)
    assert (facts["settled_first"]["sent_again"], facts["moved"]) == (1, 49_900)
    again = orjson.loads((await live(sandbox, "batch", "capture", str(day), "--json", "--yes", journal=journal)).out)
    assert (again["settled_first"], again["moved"], again["moved_before"]) == (None, 0, 49_900)


async def test_what_another_process_leaves_open_meanwhile_is_asked_about(
    sandbox: Sandbox, journal: Path, day: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There was no journal when somebody was asked about the file: what stands in it now has its own question."""

    async def agree(*_: object, **__: object) -> None:
        await leave_open(journal, "lost")

    monkeypatch.setattr("vipps_async.cli.batch.agree", agree)
    answered = await live(sandbox, "batch", "capture", str(day), journal=journal, typed=("no",))
    assert (answered.status, "Settle 1 capture of 100.00 NOK" in answered.err) == (1, True)
    assert [sandbox.payment(f"order-{number}").captured for number in (1, 2)] == [0, 0]


@pytest.mark.parametrize("name", ["payment capture", "batch capture"])
async def test_a_journal_that_is_there_is_kept_while_somebody_is_asked(
    sandbox: Sandbox, journal: Path, day: Path, name: str
) -> None:
    """What it has must not change meanwhile; it is said, as other processes wait for it."""
    await leave_open(journal, "other", payment="order-9", merchant_serial_number="654321")
    command = [str(day) if part == "DAY" else part for part in ASKING[name]]
    asked = await live(sandbox, *command, journal=journal, typed=("no",))
    assert (asked.status, "The journal is kept from other processes until you answer." in asked.err) == (1, True)
