"""`vipps-async batch`: what a person types, sees and gets, against a sandbox."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import json
import os
import pty
import re
import signal
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from tests.batch.shop import stock, stock_one
from tests.cli.inline import inline
from tests.cli.processes import Finished, command, environment_with_keys
from vipps_async.cli import batch_file
from vipps_async.cli.main import main
from vipps_async.sandbox import Fault, SandboxSettings
from vipps_async.testing import Sandbox

PATIENCE = 30.0
HEADING = "order_id,amount_ore,transaction_text,reference\n"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A Vipps of its own."""
    async with Sandbox(rate_limits=False) as running:
        yield running


def env(sandbox: Sandbox, **further: str) -> Mapping[str, str]:
    """The environment of a command that talks to the sandbox."""
    return environment_with_keys(
        VIPPS_BASE_URL=sandbox.url,
        **further,
    )


async def batch(sandbox: Sandbox, *arguments: str) -> Finished:
    """Run `vipps-async batch` to its end."""
    return await inline("batch", *arguments, env=env(sandbox))


def lines_of(report: Path) -> dict[str, dict[str, str]]:
    """A CSV report by line of the file."""
    with report.open(encoding="utf-8", newline="") as stream:
        return {line["line"]: line for line in csv.DictReader(stream)}


def orders(tmp_path: Path, count: int) -> Path:
    """A file that captures 10 kroner of each of the first orders."""
    file = tmp_path / "captures.csv"
    file.write_text(HEADING + "".join(f"order-{number},1000,Shipped.,s-{number}\n" for number in range(count)))
    return file


async def test_each_row_ends_as_a_person_expects(sandbox: Sandbox, tmp_path: Path) -> None:
    """Unknown, cancelled, too low, captured already, repeated, 99, 1e3, "100,50", a formula: the rest goes through."""
    stock(sandbox, 8)
    now = sandbox.clock.now()
    sandbox._book.only("order-1").payment.cancel(release_remaining=False, text="x", now=now)
    sandbox._book.only("order-3").payment.move("CAPTURE", 1000, key="k", fingerprint="f", text="x", now=now)
    file, report = tmp_path / "captures.csv", tmp_path / "report.csv"
    rows = [
        "unknown,1000,Shipped.,s-2",
        "order-1,1000,Shipped.,s-3",
        "order-2,1001,Shipped.,s-4",
        "order-3,1000,Shipped.,s-5",
        "order-4,1000,Shipped.,s-6",
        "order-4,1000,Shipped.,s-6",
        "order-5,99,Shipped.,s-8",
        "order-5,1e3,Shipped.,s-9",
        'order-5,"100,50",Shipped.,s-10',
        "order-6,1000,=HYPERLINK(1),s-11",
        "order-7,all,Shipped.,s-12",
    ]
    file.write_text(HEADING + "\n".join(rows))
    refused = await batch(sandbox, "capture", str(file), "--report", str(report))
    assert refused.status == 2
    assert "4 of 11 rows are invalid" in refused.err
    assert "Nothing was sent" in refused.err
    assert not sandbox.requests
    assert {line["outcome"] for line in lines_of(report).values()} == {"invalid", "not begun"}
    to_do = {line["what_to_do"] for line in lines_of(report).values() if line["outcome"] == "not begun"}
    assert [text.partition(";")[0] for text in to_do] == [
        "correct the rows that are invalid, or go on without them: --skip-invalid"
    ]

    done = await batch(sandbox, "capture", str(file), "--report", str(report), "--skip-invalid")
    assert done.status == 1, done.err
    lines = lines_of(report)
    assert {number: line["outcome"] for number, line in lines.items()} == {
        "2": "refused",
        "3": "refused",
        "4": "refused",
        "5": "refused",
        "6": "captured",
        "7": "invalid",
        "8": "invalid",
        "9": "invalid",
        "10": "invalid",
        "11": "captured",
        "12": "captured",
    }
    assert "35" in lines["2"]["what_happened"]
    assert "It is cancelled" in lines["3"]["what_happened"]
    assert "left to capture 10.00 NOK" in lines["4"]["what_happened"]
    assert "captured 10.00 NOK" in lines["5"]["what_happened"]
    assert lines["7"]["what_happened"] == "the same reference as in line 6"
    assert lines["11"]["transaction_text"] == "'=HYPERLINK(1)"
    assert lines["12"]["moved_ore"] == "1000"
    assert sandbox.payment("order-6").moved("CAPTURE")[0].text == "=HYPERLINK(1)"
    assert "3 captured, 30.00 NOK" in done.out
    assert "4 refused" in done.out
    assert "Merchant 35: 1" in done.out


async def test_all_captured_is_status_0_and_again_nothing_is_sent(
    sandbox: Sandbox, tmp_path: Path, state_folder: Path
) -> None:
    """The same command a second time finds everything done, by the journal of this world and user."""
    stock(sandbox, 30)
    file, report = orders(tmp_path, 30), tmp_path / "report.jsonl"
    first = await batch(sandbox, "capture", str(file), "--json")
    assert first.status == 0, first.err
    assert re.fullmatch(r"journal \S+\.journal\.db \(the command line's own: [^\n]+\)\n", first.err)
    expected = {
        "api": "ecom",
        "operation": "capture",
        "rows": 30,
        "invalid": 0,
        "moved": 30_000,
        "moved_before": 0,
        "refusals": {},
    }
    assert expected.items() <= json.loads(first.out).items()
    sent = len([request for request in sandbox.requests if request.operation == "capture"])
    second = await batch(sandbox, "capture", str(file), "--report", str(report))
    assert second.status == 0
    assert "30 captured before, 300.00 NOK" in second.out
    assert len([request for request in sandbox.requests if request.operation == "capture"]) == sent
    assert f"journal {state_folder / 'vipps_async' / 'test-127.0.0.1_'}" in second.err
    assert os.listdir(tmp_path) == ["captures.csv", "report.jsonl"]  # noqa: PTH208 - a name is all that counts
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    assert [line["outcome"] for line in lines] == ["captured before"] * 30


async def test_refunds_and_cancels(sandbox: Sandbox, tmp_path: Path) -> None:
    """The same for refunds, in kroner, and for cancels, from standard input."""
    stock(sandbox, 4)
    now = sandbox.clock.now()
    for number in range(2):
        sandbox._book.only(f"order-{number}").payment.move("CAPTURE", 1000, key="k", fingerprint="f", text="x", now=now)
    file = tmp_path / "refunds.csv"
    file.write_text("order_id;amount\norder-0;5,50\norder-1;all\n")
    done = await batch(sandbox, "refund", str(file), "--unit", "nok", "--transaction-text", "Returned.")
    assert done.status == 0, done.err
    assert (sandbox.payment("order-0").refunded, sandbox.payment("order-1").refunded) == (550, 1000)

    process = await asyncio.create_subprocess_exec(
        *command("batch", "cancel", "-", "--journal", str(tmp_path / "j.db"), "--report", str(tmp_path / "r.csv")),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=env(sandbox),
    )
    rows = b'{"order_id": "order-2", "transaction_text": "No."}\n{"order_id": "order-0", "transaction_text": "No."}\n'
    out, err = await asyncio.wait_for(process.communicate(rows), PATIENCE)
    assert process.returncode == 1, err
    assert b"1 cancelled" in out
    assert [line["outcome"] for line in lines_of(tmp_path / "r.csv").values()] == ["cancelled", "refused"]


async def test_a_dry_run_says_what_would_happen(sandbox: Sandbox, tmp_path: Path) -> None:
    """Nothing is captured, and no journal is made."""
    stock(sandbox, 3)
    file, report = orders(tmp_path, 4), tmp_path / "report.csv"
    done = await batch(sandbox, "capture", str(file), "--dry-run", "--report", str(report))
    assert done.status == 1, done.err
    told, *rows = done.out.splitlines()
    assert told == "Capture 4 payments over ecom, 40.00 NOK in all."
    assert rows[:3] == [f"line {n + 2}: order-{n}: 10.00 NOK, would be captured" for n in range(3)]
    assert rows[3].startswith("line 5: order-3: 10.00 NOK, would be refused: ")
    assert "3 would be captured, 30.00 NOK" in done.out
    assert "1 would be refused" in done.out
    assert [line["outcome"] for line in lines_of(report).values()] == ["would be captured"] * 3 + ["would be refused"]
    assert {request.operation for request in sandbox.requests} == {"token", "details"}
    assert {"captures.csv", "report.csv"} == set(os.listdir(tmp_path))  # noqa: PTH208 - a name is all that counts


async def test_a_dry_run_shows_its_first_rows(sandbox: Sandbox, tmp_path: Path) -> None:
    """Twenty of them, invalid ones among them, and how many there are; for machines what is asked for as well."""
    stock(sandbox, 25)
    file = orders(tmp_path, 25)
    file.write_text(file.read_text().replace("order-1,1000,", "order-1,99,"))
    done = await batch(sandbox, "capture", str(file), "--dry-run", "--skip-invalid")
    lines = done.out.splitlines()
    assert lines[0] == "Capture 24 payments over ecom, 240.00 NOK in all."
    assert lines[2].startswith("line 3: order-1: invalid: amount must be")
    assert lines[21] == "... and 5 more; --report lists them all."
    facts = json.loads((await batch(sandbox, "capture", str(file), "--dry-run", "--skip-invalid", "--json")).out)
    assert facts["asked"] == {"rows": 24, "amount": 24_000, "takes_all": 0}


async def test_unknown_rows_are_settled_before_it_ends(sandbox: Sandbox, tmp_path: Path) -> None:
    """An answer that got lost is looked up in details: the row ends as captured, in this very run."""
    stock(sandbox, 3)
    sandbox.faults.script("capture", Fault.HTML_200_AFTER, order_id="order-1")
    sandbox.faults.script("capture", Fault.HTML_200_BEFORE, order_id="order-2")
    done = await batch(sandbox, "capture", str(orders(tmp_path, 3)))
    assert done.status == 0, done.err
    assert "3 captured, 30.00 NOK" in done.out
    assert all(payment.captured == 1000 for payment in sandbox.payments)


async def test_what_stays_unknown_is_status_3(sandbox: Sandbox, tmp_path: Path) -> None:
    """If details cannot be had either, it says so, and how to go on."""
    stock(sandbox, 1)
    # Details have a capture without its key, so that nobody can tell whose it is.
    sandbox.faults.script("capture", *[Fault.HTML_200_AFTER] * 40)
    sandbox.faults.script("details", *[Fault.DETAILS_WITHOUT_KEYS] * 200)
    file = orders(tmp_path, 1)
    done = await batch(sandbox, "capture", str(file))
    assert done.status == 3, done.err
    assert "1 unknown" in done.out
    assert "run the same command again" in done.err
    sandbox.faults.clear()
    again = await batch(sandbox, "capture", str(file))
    assert again.status == 0
    assert sandbox.payment("order-0").captured == 1000


async def test_wrong_keys_are_told_once(tmp_path: Path) -> None:
    """A file of many rows and keys that are not accepted: one sentence, and nothing done."""
    from vipps_async.sandbox import SandboxCredentials  # noqa: PLC0415 - needed here only

    keys = SandboxCredentials(client_id="other", client_secret="other", subscription_key="other")
    async with Sandbox(settings=SandboxSettings(credentials=[keys])) as sandbox:
        done = await batch(sandbox, "capture", str(orders(tmp_path, 500)))
    assert done.status == 1
    assert done.err.count("no row gets a usable answer") == 1
    assert "run the same command again" in done.err


@pytest.mark.parametrize(
    ("content", "arguments", "words"),
    [
        (None, (), "no such file"),
        ("", (), "the file is empty"),
        ("order_id\na\n", (), "no column transaction_text"),
        (HEADING + "a,100,x,s\n", ("--transaction-text", "y"), "give no text"),
        (HEADING + "a,100,x,s\n", ("--concurrency", "0"), "is not from 1 to 100"),
        (HEADING + "a,100,x,s\n", ("--rate", "-1"), "is no positive number"),
        (HEADING + "a,100,x,s\n", ("--journal", "/nowhere/j.db"), "journal"),
        (HEADING + "a,100,x,s\n", ("--unit", "eur"), "--unit"),
        (HEADING + "a,100,x,s\n", ("--report", "/nowhere/report.csv"), "no directory /nowhere"),
        (HEADING + "a,99,x,s\n" * 30, (), "and 10 more; --report lists them all"),
    ],
)
async def test_wrong_usage_and_input_is_status_2(
    sandbox: Sandbox, tmp_path: Path, content: str | None, arguments: tuple[str, ...], words: str
) -> None:
    """It says what is wrong, in one place, without a traceback, and sends nothing."""
    file = tmp_path / "captures.csv"
    if content is not None:
        file.write_text(content)
    done = await batch(sandbox, "capture", str(file), *arguments)
    assert done.status == 2
    assert words in done.err
    assert "Traceback" not in done.err
    assert not sandbox.requests


def test_a_file_that_changes_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that is still being copied here looks whole at every moment: it is read, and its digest taken again."""
    file = orders(tmp_path, 1)
    grown = batch_file._digest

    def while_it_grows(path: str) -> str:
        with file.open("a") as stream:
            stream.write("order-1,1000,Shipped.,s-1\n")
        return grown(path)

    for name in ("CLIENT_ID", "CLIENT_SECRET", "SUBSCRIPTION_KEY"):
        monkeypatch.setenv(f"VIPPS_{name}", "any")
    monkeypatch.setenv("VIPPS_MERCHANT_SERIAL_NUMBER", "123456")
    monkeypatch.setattr(batch_file, "_digest", while_it_grows)
    assert main(["batch", "capture", str(file)]) == 2
    assert "the file changed while it was read" in capsys.readouterr().err
    assert set(os.listdir(tmp_path)) == {"captures.csv"}  # noqa: PTH208 - a name is all that counts


async def test_a_journal_in_use_is_left_alone(sandbox: Sandbox, tmp_path: Path) -> None:
    """Two runs of one file at the same time: the second one says so and does nothing."""
    from vipps_async import SqliteJournal  # noqa: PLC0415 - needed here only

    file = orders(tmp_path, 1)
    path = tmp_path / "j.db"
    journal = SqliteJournal(path)
    await journal.open()
    try:
        done = await batch(sandbox, "capture", str(file), "--journal", str(path), "--wait", "0")
    finally:
        await journal.aclose()
    assert done.status == 6
    assert not sandbox.requests
    assert "in use" in done.err


# --- interrupted ------------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def _running(sandbox: Sandbox, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *command("batch", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=env(sandbox),
    )
    try:
        async with asyncio.timeout(PATIENCE):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def _some_captured(sandbox: Sandbox, count: int) -> None:
    while sum(payment.captured > 0 for payment in sandbox.payments) < count:  # noqa: ASYNC110 - done by the sandbox
        await asyncio.sleep(0.01)


async def test_ctrl_c_finishes_what_is_on_its_way_and_the_same_command_goes_on(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """Interrupted: a whole report, a word on how to go on, status 130; run again: everything is captured once."""
    stock(sandbox, 400)
    file, report = orders(tmp_path, 400), tmp_path / "report.csv"
    arguments = ("capture", str(file), "--report", str(report))
    async with _running(sandbox, *arguments, "--rate", "200") as process:
        await _some_captured(sandbox, 20)
        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
    assert process.returncode == 130
    assert b"Finishing what is on its way" in err
    assert b"run the same command again" in err
    assert b"not begun" in out
    captured = sum(payment.captured > 0 for payment in sandbox.payments)
    outcomes = [line["outcome"] for line in lines_of(report).values()]
    assert (outcomes.count("captured"), outcomes.count("not begun")) == (captured, 400 - captured)
    again = await batch(sandbox, *arguments)
    assert again.status == 0
    assert all(payment.captured == 1000 and len(payment.request_ids) == 1 for payment in sandbox.payments)
    outcomes = [line["outcome"] for line in lines_of(report).values()]
    assert (outcomes.count("captured before"), outcomes.count("captured")) == (captured, 400 - captured)


async def test_a_second_ctrl_c_ends_it_at_once(sandbox: Sandbox, tmp_path: Path) -> None:
    """What is on its way is noted as open, and called unknown; the next run settles it."""
    stock(sandbox, 50)
    file, report = orders(tmp_path, 50), tmp_path / "report.csv"
    sandbox.faults.randomise(rate=1.0, seed=1, operations=("capture",), kinds=(Fault.STALL_AFTER_EFFECT,))
    async with _running(sandbox, "capture", str(file), "--report", str(report)) as process:
        await _some_captured(sandbox, 3)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        while b"Finishing" not in await process.stderr.readline():
            pass
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()
    assert process.returncode == 130
    assert b"Ended in the middle of it" in err
    told = {line["order_id"]: line["outcome"] for line in lines_of(report).values()}
    assert {told[payment.order_id] for payment in sandbox.payments if payment.captured} == {"unknown"}
    sandbox.faults.clear()
    again = await batch(sandbox, "capture", str(file))
    assert again.status == 0, again.err
    assert all(payment.captured == 1000 and len(payment.request_ids) == 1 for payment in sandbox.payments)


async def test_what_is_open_is_named_before_the_first_row(sandbox: Sandbox, tmp_path: Path) -> None:
    """It is settled first, and may be sent again: whoever confirms the batch is told which money that is."""
    stock(sandbox, 2)
    journal = tmp_path / "journal.db"
    sandbox.faults.script("capture", *[Fault.HTTP_503_BEFORE] * 9)
    lost = ("payment", "capture", "order-0", "--amount", "7.00", "--text", "Shipped.", "--journal", str(journal))
    assert (await inline(*lost, env=env(sandbox))).status == 3
    sandbox.faults.clear()
    file = tmp_path / "day.csv"
    file.write_text("order_id,amount_ore,transaction_text,reference\norder-1,1000,Shipped.,s-1\n")
    done = await batch(sandbox, "capture", str(file), "--journal", str(journal))
    assert done.status == 0, done.err
    named = done.err.index("  ecom.capture of 7.00 NOK, payment order-0, key ")
    assert done.err.index("Open in the journal; what Vipps does not have of it is sent again") < named
    settled = done.err.index("Settled before the first row: 1 looked at: 0 had taken effect, 1 sent again")
    assert named < settled < done.err.index("To be captured: ")
    assert sandbox.payment("order-0").captured == 700


# --- display ----------------------------------------------------------------------------------------------------------


async def test_a_terminal_gets_a_live_display(sandbox: Sandbox, tmp_path: Path) -> None:
    """With rich and a terminal: done, rate, money and refusals by code, drawn in place."""
    stock(sandbox, 100)
    stock_one(sandbox, "waiting", 1000, approve=False)
    file = orders(tmp_path, 100)
    file.write_text(file.read_text() + "waiting,1000,Shipped.,w\n")
    ours, theirs = pty.openpty()
    try:
        process = await asyncio.create_subprocess_exec(
            *command("batch", "capture", str(file), "--rate", "150"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=theirs,
            env=env(sandbox, TERM="xterm", COLUMNS="120"),
        )
        out, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
        screen = os.read(ours, 1_000_000).decode(errors="replace")
    finally:
        os.close(ours)
        os.close(theirs)
    assert process.returncode == 1
    assert b"100 captured, 1,000.00 NOK" in out or b"100 captured, 1000.00 NOK" in out
    assert "of 101" in screen
    assert "a second" in screen
    assert "NOK captured" in screen
    assert "\x1b[" in screen


async def test_without_a_terminal_there_are_plain_lines(sandbox: Sandbox, tmp_path: Path) -> None:
    """In a log: whole lines, no control characters."""
    stock(sandbox, 10)
    done = await batch(sandbox, "capture", str(orders(tmp_path, 10)))
    assert "To be captured: " in done.err
    assert "over ecom for sales unit 123456 in the test environment." in done.err
    assert "10 of 10, " in done.err
    assert "\x1b" not in done.err + done.out
