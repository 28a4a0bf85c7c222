"""`vipps-async payment`: money moves once, whatever happens, and what is said about it is true."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import orjson
import pytest

from tests.batch.shop import stock_one
from tests.cli.inline import inline
from tests.cli.processes import run
from tests.cli.shell import HERE, KEYS, MSN, at_terminal, env, shell
from tests.cli.test_payment import APPROVE, CANCEL, CAPTURE, INITIATE, REFUND
from vipps_async import JournalError, SqliteJournal, VippsSession
from vipps_async.cli import journal_file
from vipps_async.cli.commands import Options
from vipps_async.cli.payment_command import PaymentRun, run_command
from vipps_async.core.payment_api import ActionResult
from vipps_async.ecom.payment_api import ECOM_API
from vipps_async.journals.memory import MemoryJournal
from vipps_async.sandbox import Fault
from vipps_async.testing import Sandbox

#: Seconds to wait for something that comes at once on an idle machine.
_PATIENCE = 30.0


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A Vipps of its own, with one payment of 499 kroner that the customer has accepted."""
    async with Sandbox(rate_limits=False) as running:
        stock_one(running, "order-1", 49_900)
        yield running


def key_in(text: str) -> str:
    """Take the key out of the line that tells it."""
    found = re.search(r"^key (\S+): repeat with --idempotency-key=\1 if this is cut off\r?$", text, re.MULTILINE)
    assert found, text
    return found[1]


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something holds that happens in this very process."""
    async with asyncio.timeout(_PATIENCE):
        while not condition():  # noqa: ASYNC110 - counters of the sandbox set no event
            await asyncio.sleep(0.01)


# --- the outcome is not known -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("command", "word"), [(CAPTURE, "captured"), (REFUND, "refunded")], ids=["capture", "refund"])
async def test_repeating_with_the_key_that_was_told_moves_no_money_twice(
    sandbox: Sandbox, command: tuple[str, ...], word: str
) -> None:
    """The answer is a proxy's page: status 3 and the key; the same command with that key tells what happened."""
    if word == "refunded":
        await shell(sandbox, *CAPTURE, "--all")
    unreadable(sandbox, command[1])
    lost = await shell(sandbox, *command, "--amount", "100.00")
    sandbox.faults.clear()
    assert (lost.status, lost.out) == (3, "")
    key = key_in(lost.err)
    assert "It probably took effect. Money may have moved." in lost.err
    assert "To find out: vipps-async payment show order-1" in lost.err
    assert f"the same command with --idempotency-key={key}, never with a new key" in lost.err
    again = await shell(sandbox, *command, "--amount", "100.00", "--idempotency-key", key)
    assert again.status == 0
    assert again.out.startswith(f"100.00 NOK {word}")
    assert len(sandbox.payment("order-1").moved(command[1].upper())) == 1
    assert getattr(sandbox.payment("order-1"), word) == 10_000


def unreadable(sandbox: Sandbox, operation: str) -> None:
    """Let an operation take effect behind a proxy's pages, and details be put off: nobody can tell what happened."""
    sandbox.faults.retry_after = 3600
    sandbox.faults.script(operation, *[Fault.HTML_200_AFTER] * 4)
    sandbox.faults.script("details", *[Fault.HTTP_429_RETRY_AFTER] * 20)


async def test_all_attempts_get_lost(sandbox: Sandbox) -> None:
    """Every answer and every question breaks off: status 3, "money may have moved", as one object for machines, too."""
    sandbox.faults.randomise(rate=1, seed=1, operations={"capture", "details"}, kinds={Fault.RESET_AFTER_EFFECT})
    lost = await shell(sandbox, *CAPTURE, "--all", "--json", "--idempotency-key", "cap-1")
    assert lost.status == 3
    error = orjson.loads(lost.out)["error"]
    assert (error["kind"], error["effect"], error["idempotency_key"]) == ("OutcomeUnknown", "possible", "cap-1")
    assert "\nMoney may have moved.\n" in lost.err
    assert key_in(lost.err) == "cap-1"
    sandbox.faults.clear()
    assert (await shell(sandbox, *CAPTURE, "--all", "--idempotency-key", "cap-1")).status == 0
    assert len(sandbox.payment("order-1").moved("CAPTURE")) == 1


async def test_a_cancel_of_unknown_outcome(sandbox: Sandbox) -> None:
    """A cancel has no key: status 3, what may have happened, and where to look."""
    unreadable(sandbox, "cancel")
    lost = await shell(sandbox, *CANCEL)
    assert lost.status == 3
    assert "It probably took effect. The reservation may have been released." in lost.err
    assert "To find out: vipps-async payment show order-1" in lost.err
    assert "idempotency" not in lost.err


async def test_the_same_key_with_another_sum_moves_nothing(sandbox: Sandbox) -> None:
    """It is refused before anything is sent, with both amounts, and the text says that this command moved nothing."""
    await shell(sandbox, *CAPTURE, "--amount", "100.00", "--idempotency-key", "cap-1")
    other = await shell(sandbox, *CAPTURE, "--amount", "200.00", "--idempotency-key", "cap-1")
    assert other.status == 2
    assert "another amount (ecom.capture of 100.00 NOK, payment order-1, key cap-1), not 200.00 NOK" in other.err
    assert "No money moved by this command." in other.err
    assert sandbox.payment("order-1").captured == 10_000


async def test_a_key_that_looks_like_an_option_can_be_repeated(sandbox: Sandbox) -> None:
    """The key is told in a way that a shell and the command line take as it stands."""
    first = await shell(sandbox, *CAPTURE, "--amount", "100.00", "--idempotency-key=-k 1")
    assert "repeat with --idempotency-key='-k 1' if" in first.err
    assert (await shell(sandbox, *CAPTURE, "--amount", "100.00", "--idempotency-key=-k 1")).status == 0
    assert sandbox.payment("order-1").captured == 10_000


# --- with a journal ---------------------------------------------------------------------------------------------------


async def test_what_the_journal_has_open_is_settled_by_recovery(sandbox: Sandbox, tmp_path: Path) -> None:
    """Status 3 names the command that settles it; that command does, and nothing is done twice."""
    path = tmp_path / "pay.db"
    unreadable(sandbox, "capture")
    lost = await shell(sandbox, *CAPTURE, "--all", "--journal", str(path))
    sandbox.faults.clear()
    assert lost.status == 3
    recover = f"vipps-async journal recover --journal {path}"
    assert f"To settle it, which carries it out if it never arrived: {recover}" in lost.err
    settled = await shell(sandbox, *recover.split()[1:])
    assert settled.status == 0
    assert "1 had taken effect" in settled.out
    again = await shell(sandbox, *CAPTURE, "--all", "--journal", str(path), "--idempotency-key", key_in(lost.err))
    assert again.status == 0
    assert "nothing was sent now" in again.out
    assert len(sandbox.payment("order-1").moved("CAPTURE")) == 1


async def test_recovery_only_tells_of_an_initiate(sandbox: Sandbox, tmp_path: Path) -> None:
    """It is not said that recovery would initiate again, for it never does."""
    path = tmp_path / "pay.db"
    unreadable(sandbox, "initiate")
    lost = await shell(sandbox, *INITIATE, "--journal", str(path))
    sandbox.faults.clear()
    assert lost.status == 3
    assert f"To settle it: vipps-async journal recover --journal {path}" in lost.err
    settled = await shell(sandbox, "journal", "recover", "--journal", str(path))
    assert "URL lost: payment order-2 exists" in settled.out


async def test_a_journal_in_use_stops_it_before_anything_is_sent(sandbox: Sandbox, tmp_path: Path) -> None:
    """The process that owns it is named, and nothing is sent; what that process does with money is not known."""
    path = tmp_path / "pay.db"
    journal = SqliteJournal(path)
    await journal.open()
    try:
        finished = await run(*CAPTURE, "--all", "--journal", str(path), "--wait", "0", env=env(sandbox))
    finally:
        await journal.aclose()
    assert finished.status == 6
    assert "is in use by process" in finished.err
    assert "Nothing was sent by this command. Wait longer" in finished.err
    assert not sandbox.requests


class _Unwritable(MemoryJournal):
    """A journal that fails when it is closed."""

    def __init__(self, _path: Path, **_more: object) -> None:
        super().__init__()

    async def aclose(self) -> None:
        await super().aclose()
        raise JournalError("1 outcomes could not be written to the journal")


async def _conducted(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, do: Callable[[VippsSession], Awaitable[ActionResult]]
) -> int:
    monkeypatch.setattr(journal_file, "SqliteJournal", _Unwritable)
    for name, value in {**KEYS, "VIPPS_MERCHANT_SERIAL_NUMBER": MSN, "VIPPS_BASE_URL": sandbox.url}.items():
        monkeypatch.setenv(name, value)
    place = {"journal": Path("pay.db"), "dsn": None, "schema": None, "wait": 0.0, "trust_owner": None}
    options = Options(json=False, yes=False, allow_host=[], **place)
    command = PaymentRun(
        api=ECOM_API, verb="capture", payment="order-1", call=do, key="cap-1", doubt="Money may have moved."
    )
    return await run_command(options, command)


async def test_a_journal_that_fails_in_the_end_makes_no_lie_of_a_result(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The money has moved, and that is what is said, besides the journal's trouble: status 0."""

    async def capture(vipps: VippsSession) -> ActionResult:
        await vipps.ecom.capture("order-1", transaction_text="x", idempotency_key="cap-1")
        return ActionResult("captured", {})

    assert await _conducted(sandbox, monkeypatch, capture) == 0
    out, err = capsys.readouterr()
    assert out == "captured\n"
    assert "1 outcomes could not be written" in err
    assert "What is said above holds all the same." in err
    assert "No money moved" not in err


async def test_a_journal_that_fails_after_ctrl_c_makes_no_lie_either(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It was cut off while it was under way: money may have moved, and status 130 stays."""

    async def cut_off(vipps: VippsSession) -> ActionResult:
        await vipps.ecom.details("order-1")
        raise asyncio.CancelledError

    assert await _conducted(sandbox, monkeypatch, cut_off) == 130
    err = capsys.readouterr().err
    assert "Money may have moved." in err
    assert "No money moved" not in err


# --- Ctrl-C -----------------------------------------------------------------------------------------------------------


async def _interrupted(sandbox: Sandbox, operation: str, fault: Fault, *arguments: str) -> tuple[int, str]:
    sandbox.faults.script(operation, fault)
    async with at_terminal(sandbox, *arguments) as terminal:
        await until(lambda: bool(sandbox.faults.counts.get(fault)))
        if fault is Fault.STALL_AFTER_EFFECT:
            await until(lambda: sandbox.payment("order-1").captured > 0)
        terminal.interrupt()
        finished = await terminal.end()
    return finished.status, finished.err.replace("\r\n", "\n")


async def test_ctrl_c_while_a_capture_is_under_way(sandbox: Sandbox) -> None:
    """Money may have moved: the key, and how to find out; repeating with that key does nothing twice. Status 130."""
    status, screen = await _interrupted(sandbox, "capture", Fault.STALL_AFTER_EFFECT, *CAPTURE, "--all")
    assert status == 130
    assert "Cut off while it was under way. Money may have moved.\n" in screen
    key = key_in(screen)
    assert screen.count(key) == 3
    again = await shell(sandbox, *CAPTURE, "--all", "--idempotency-key", key)
    assert again.status == 0
    assert len(sandbox.payment("order-1").moved("CAPTURE")) == 1


async def test_sigterm_is_answered_like_ctrl_c(sandbox: Sandbox) -> None:
    """`timeout` or a service manager ends it: what is known is said all the same."""
    sandbox.faults.script("capture", Fault.STALL_BEFORE_EFFECT)
    async with at_terminal(sandbox, *CAPTURE, "--all") as terminal:
        await until(lambda: bool(sandbox.faults.counts))
        terminal.process.terminate()
        finished = await terminal.end()
    assert finished.status == 130
    assert "Cut off while it was under way. Money may have moved." in finished.err
    assert key_in(finished.err.replace("\r\n", "\n"))


async def test_ctrl_c_before_the_capture_could_leave(sandbox: Sandbox) -> None:
    """As long as no token has come nothing can have been sent, and that is what is said."""
    status, screen = await _interrupted(sandbox, "token", Fault.STALL_BEFORE_EFFECT, *CAPTURE, "--all")
    assert status == 130
    assert "Cut off. Nothing was sent: no money moved.\n" in screen
    assert sandbox.payment("order-1").captured == 0


async def test_ctrl_c_with_a_journal_tells_that_recovery_would_go_on(sandbox: Sandbox, tmp_path: Path) -> None:
    """Nothing was sent, but the intent is on the disk: recovery carries it out, which is said, and so it does."""
    path = tmp_path / "pay.db"
    status, screen = await _interrupted(
        sandbox, "token", Fault.STALL_BEFORE_EFFECT, *CAPTURE, "--all", "--journal", str(path)
    )
    assert status == 130
    assert (
        "Nothing was sent: no money moved.\nThe journal may have it as open. To settle it, which carries it out"
        in screen
    )
    assert (await shell(sandbox, "journal", "recover", "--journal", str(path))).status == 0
    assert sandbox.payment("order-1").captured == 49_900


async def test_ctrl_c_during_a_question(sandbox: Sandbox) -> None:
    """Details move nothing."""
    status, screen = await _interrupted(sandbox, "details", Fault.STALL_BEFORE_EFFECT, "payment", "show", "order-1")
    assert status == 130
    assert "Cut off. It was only a question: no money moved." in screen


async def test_ctrl_c_while_an_answer_is_awaited(sandbox: Sandbox) -> None:
    """At a prompt nothing has been sent, of whichever command."""
    async with at_terminal(sandbox, *CAPTURE, "--amount", "5", *HERE, VIPPS_ENVIRONMENT="production") as terminal:
        await terminal.until('Type "yes": ')
        terminal.interrupt()
        finished = await terminal.end()
    assert finished.status == 130
    assert "Nothing was sent: no money moved." in finished.err
    async with at_terminal(sandbox, *APPROVE) as terminal:
        await terminal.until("The payment's URL: ")
        terminal.interrupt()
        assert (await terminal.end()).status == 130
    assert not sandbox.requests


# --- real money -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command", [(*CAPTURE, "--amount", "5"), (*REFUND, "--amount", "5"), CANCEL], ids=lambda c: c[1]
)
async def test_production_without_a_terminal_needs_yes(sandbox: Sandbox, command: tuple[str, ...]) -> None:
    """Where nobody can be asked it is refused with status 2 and nothing is sent; --yes answers beforehand."""
    refused = await shell(sandbox, *command, *HERE, VIPPS_ENVIRONMENT="production")
    assert (refused.status, refused.out) == (2, "")
    assert "give --yes. Nothing was sent." in refused.err
    assert not sandbox.requests
    if command[1] == "refund":
        await shell(sandbox, *CAPTURE, "--all")
    assert (await shell(sandbox, *command, "--yes", *HERE, VIPPS_ENVIRONMENT="production")).status == 0


async def test_production_at_another_host_is_named(sandbox: Sandbox) -> None:
    """Real money goes to Vipps' own host: status 2, nothing is asked and nothing sent, unless the host is named."""
    for command in ((*CAPTURE, "--all", "--yes"), CANCEL, ("payment", "show", "order-1"), INITIATE):
        for host in ((), ("--allow-host", "example.com")):
            refused = await inline(*command, *host, env=env(sandbox, VIPPS_ENVIRONMENT="production"))
            assert (refused.status, refused.out) == (2, "")
            assert "127.0.0.1, which is not Vipps' own host" in refused.err
    assert not sandbox.requests


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give a file away")
async def test_a_journal_of_another_user_is_named_by_number(sandbox: Sandbox, tmp_path: Path) -> None:
    """`--trust-owner` opens it, for a payment and for a batch."""
    path, file = tmp_path / "pay.db", tmp_path / "day.csv"
    options = ("--journal", str(path))
    file.write_text("order_id,amount_ore,transaction_text,reference\norder-1,1000,Shipped.,s-1\n")
    commands = ((*CAPTURE, "--amount", "5", *options), ("batch", "capture", str(file), *options))
    assert (await inline(*commands[0], env=env(sandbox))).status == 0
    os.chown(path, 12345, -1)
    for command in commands:
        refused = await inline(*command, env=env(sandbox))
        assert refused.status in {1, 2}
        assert "--trust-owner 12345" in refused.err
        assert (await inline(*command, "--trust-owner", "12345", env=env(sandbox))).status == 0
    assert sandbox.payment("order-1").captured == 2_000


async def test_production_does_not_ask_where_no_money_moves(sandbox: Sandbox) -> None:
    """Details, and a payment that the customer has yet to accept, go without a question."""
    assert (await shell(sandbox, "payment", "show", "order-1", *HERE, VIPPS_ENVIRONMENT="production")).status == 0
    assert (await shell(sandbox, *INITIATE, *HERE, VIPPS_ENVIRONMENT="production")).status == 0


async def test_a_yes_that_is_typed_at_a_terminal(sandbox: Sandbox) -> None:
    """The question stands there before anything is typed, and a yes carries it out."""
    async with at_terminal(sandbox, *CAPTURE, "--amount", "5", *HERE, VIPPS_ENVIRONMENT="production") as terminal:
        await terminal.until('Type "yes": ')
        assert not sandbox.requests
        terminal.type("yes\n")
        assert (await terminal.end()).status == 0
    assert sandbox.payment("order-1").captured == 500


async def _answered(sandbox: Sandbox, *command: str, answer: str) -> tuple[int, str]:
    finished = await shell(sandbox, *command, *HERE, typed=(answer,), VIPPS_ENVIRONMENT="production")
    return finished.status, finished.err


@pytest.mark.parametrize("answer", ["no", "y", "", "YES"])
async def test_only_yes_is_a_yes(sandbox: Sandbox, answer: str) -> None:
    """Anything else ends it with status 1, and no money moves."""
    status, screen = await _answered(sandbox, *CAPTURE, "--amount", "5", answer=answer)
    assert status == 1
    assert "Capture 5.00 NOK of ecom payment order-1, sales unit 123456, in PRODUCTION?" in screen
    assert "Nothing was sent: no money moved." in screen
    assert not sandbox.requests


@pytest.mark.parametrize(
    ("command", "question"),
    [
        ((*CAPTURE, "--all"), "Capture all that remains, 399.00 NOK, of ecom payment order-1, sales unit 123456"),
        ((*REFUND, "--all"), "Refund all that remains, 100.00 NOK, of ecom payment order-1, sales unit 123456"),
        ((*CANCEL, "--release-remaining"), "Release what is left of ecom payment order-1, sales unit 123456"),
    ],
    ids=["capture", "refund", "cancel"],
)
async def test_whoever_confirms_knows_how_much_it_is(sandbox: Sandbox, command: tuple[str, ...], question: str) -> None:
    """The question names the sum that "all" stands for; yes carries it out."""
    await shell(sandbox, *CAPTURE, "--amount", "100.00")
    status, screen = await _answered(sandbox, *command, answer="yes")
    assert status == 0
    assert question in screen


async def test_a_question_that_cannot_be_put_moves_nothing(sandbox: Sandbox) -> None:
    """The sum cannot be asked for: status 1, and it ends there."""
    command = [text.replace("order-1", "order-9") for text in CAPTURE]
    finished = await shell(sandbox, *command, "--all", *HERE, typed=(), VIPPS_ENVIRONMENT="production")
    assert finished.status == 1
    assert "ecom.details of payment order-9" in finished.err
    assert {request.operation for request in sandbox.requests} == {"token", "details"}


async def test_cancel_asks_as_well(sandbox: Sandbox) -> None:
    """A cancel cannot be undone either."""
    status, screen = await _answered(sandbox, *CANCEL, answer="no")
    assert status == 1
    assert "Cancel ecom payment order-1, sales unit 123456, in PRODUCTION?" in screen


async def test_the_key_is_told_before_anything_is_sent(sandbox: Sandbox) -> None:
    """It stands on the screen while not one request has been answered."""
    sandbox.faults.script("token", Fault.STALL_BEFORE_EFFECT)
    async with at_terminal(sandbox, *CAPTURE, "--all") as terminal:
        await terminal.until("if this is cut off")
        await until(lambda: bool(sandbox.faults.counts))
        # Not even the token has been answered.
        assert key_in(terminal.seen)
        assert not sandbox.requests
