"""`payment` and `batch`: a result or a report that cannot be written changes no truth about the money."""

from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TextIO

import orjson
import pytest

from tests.batch.shop import stock
from tests.cli.inline import inline
from tests.cli.processes import command
from tests.cli.shell import env
from vipps_async import SqliteJournal
from vipps_async.batch.row_store import RowStore
from vipps_async.cli import batch, confirmation
from vipps_async.errors import JournalError
from vipps_async.sandbox import Fault
from vipps_async.testing import Sandbox

CAPTURE = ("payment", "capture", "order-0", "--text", "x")


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A Vipps of its own, with two payments of 10 kroner."""
    async with Sandbox(rate_limits=False) as running:
        stock(running, 2)
        yield running


@pytest.fixture
def day(tmp_path: Path) -> Path:
    """A file of two captures."""
    file = tmp_path / "day.csv"
    file.write_text(
        "order_id,amount_ore,transaction_text,reference\norder-0,1000,Shipped.,s-0\norder-1,all,Shipped.,s-1\n"
    )
    return file


def _full() -> TextIO:
    return open("/dev/full", "w", encoding="utf-8")  # noqa: PTH123 - a device, closed by the caller


@pytest.fixture(params=["full disk", "closed pipe"])
def unwritable(request: pytest.FixtureRequest) -> Iterator[TextIO]:
    """What standard output is."""
    if request.param == "full disk":
        stream = _full()
    else:
        reader, writer = os.pipe()
        os.close(reader)
        stream = os.fdopen(writer, "w", encoding="utf-8")
    yield stream
    stream.close()


async def test_a_capture_whose_result_cannot_be_printed(sandbox: Sandbox, unwritable: TextIO) -> None:
    """`> /dev/full` and `| true`: the money has moved, so neither status 1 nor 2, and the result is on stderr."""
    done = await inline(*CAPTURE, "--all", env=env(sandbox), stdout=unwritable)
    assert done.status == 8
    assert "10.00 NOK captured, ecom payment order-0" in done.err
    assert sandbox.payment("order-0").captured == 1000


async def test_a_refusal_that_cannot_be_printed(sandbox: Sandbox, unwritable: TextIO) -> None:
    """A request has left: a script that reads an object gets none, and no status that says more than is known."""
    done = await inline(*CAPTURE, "--amount", "11", "--json", env=env(sandbox), stdout=unwritable)
    assert done.status == 8
    assert "No money moved by this command." in done.err
    assert '{"error":' in done.err


async def test_an_unknown_outcome_that_cannot_be_printed_stays_unknown(sandbox: Sandbox, unwritable: TextIO) -> None:
    """Status 3 says more than 8."""
    sandbox.faults.randomise(rate=1, seed=1, operations={"capture", "details"}, kinds={Fault.HTML_200_AFTER})
    done = await inline(*CAPTURE, "--all", "--json", env=env(sandbox), stdout=unwritable)
    assert done.status == 3


async def test_nobody_reads_either_stream(sandbox: Sandbox) -> None:
    """With stderr closed, too, the capture is carried out, and the status tells."""
    with _full() as out, _full() as err:
        done = await inline(*CAPTURE, "--all", env=env(sandbox), stdout=out, stderr=err)
    assert done.status == 8
    assert sandbox.payment("order-0").captured == 1000


async def test_an_error_that_nobody_has_foreseen_is_not_called_harmless(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it has begun, a defect ends in status 3 with what to do, not in a traceback and status 1."""

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr("vipps_async.cli.payment.operation_result", broken)
    done = await inline(*CAPTURE, "--all", env=env(sandbox))
    assert done.status == 3
    assert "ZeroDivisionError: a defect\nMoney may have moved." in done.err


@pytest.mark.parametrize("arguments", [(*CAPTURE, "--all"), ("batch", "capture")], ids=["payment", "batch"])
async def test_a_real_process_ends_with_that_status(sandbox: Sandbox, day: Path, arguments: tuple[str, ...]) -> None:
    """Python flushes what is left at its end, and that must not decide about the status."""
    file = [str(day)] if arguments[0] == "batch" else []
    with _full() as full:
        process = await asyncio.create_subprocess_exec(
            *command(*arguments, *file), stdout=full, stderr=asyncio.subprocess.PIPE, env=env(sandbox)
        )
        _, err = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 8
    assert b"captured" in err
    assert b"Traceback" not in err


# --- batches ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [(), ("--json",)], ids=["text", "json"])
async def test_sums_that_cannot_be_printed(
    sandbox: Sandbox, day: Path, unwritable: TextIO, more: tuple[str, ...]
) -> None:
    """The batch is carried out; its sums are on stderr, and the status says so."""
    done = await inline("batch", "capture", str(day), *more, env=env(sandbox), stdout=unwritable)
    assert done.status == 8
    assert ('"moved":2000' if more else "2 captured, 20.00 NOK") in done.err


async def test_progress_that_cannot_be_printed_stops_nothing(sandbox: Sandbox, day: Path) -> None:
    """Standard error is only for people."""
    with _full() as full:
        done = await inline("batch", "capture", str(day), env=env(sandbox), stderr=full)
    assert (done.status, done.out) == (0, "        2 captured, 20.00 NOK\n")


async def test_a_report_that_cannot_be_written_hides_nothing(
    sandbox: Sandbox, day: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full by then: the sums are told, and the status is of its own; the next run writes it."""

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    arguments = ("batch", "capture", str(day), "--report", str(tmp_path / "report.csv"))
    with monkeypatch.context() as patch:
        patch.setattr(batch, "write_report", full)
        done = await inline(*arguments, env=env(sandbox))
    assert done.status == 8
    assert "2 captured, 20.00 NOK" in done.out
    assert "the report could not be written" in done.err
    assert "run the same command again" in done.err
    assert (await inline(*arguments, env=env(sandbox))).status == 0
    assert "captured before" in (tmp_path / "report.csv").read_text()


async def test_a_disk_that_is_full_in_the_middle(sandbox: Sandbox, day: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What became of rows cannot be kept: money may have moved, and the same command finds out."""

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(RowStore, "save", full)
        done = await inline("batch", "capture", str(day), env=env(sandbox))
    assert done.status == 3
    assert "database or disk is full\nMoney may have moved" in done.err
    again = await inline("batch", "capture", str(day), env=env(sandbox))
    assert again.status == 0
    assert [len(payment.moved("CAPTURE")) for payment in sandbox.payments] == [1, 1]


async def test_a_journal_that_fails_in_the_end_makes_no_lie_of_a_result(
    sandbox: Sandbox, day: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was told of the batch holds, and so does its status."""
    close = SqliteJournal.aclose

    async def failing(self: SqliteJournal) -> None:
        await close(self)
        raise JournalError("1 outcomes could not be written to the journal")

    monkeypatch.setattr(SqliteJournal, "aclose", failing)
    done = await inline("batch", "capture", str(day), env=env(sandbox))
    assert (done.status, "2 captured" in done.out) == (0, True)
    assert "What is said above holds all the same." in done.err


# --- where a report may go --------------------------------------------------------------------------------------------


def _bytes(path: Path) -> bytes:
    return path.read_bytes()


@pytest.mark.parametrize("kind", ["input", "hard link", "link", "dangling link", "fifo", "device", "folder", "journal"])
async def test_a_report_never_overwrites_what_it_should_not(
    sandbox: Sandbox, day: Path, tmp_path: Path, kind: str
) -> None:
    """Status 2 before anything is sent, and everything is as it was."""
    target, journal = tmp_path / "target", tmp_path / "j.db"
    content = _bytes(day)
    match kind:
        case "input":
            target = tmp_path / "." / day.name
        case "hard link":
            target.hardlink_to(day)
        case "link":
            target.symlink_to(tmp_path / "other.csv")
            (tmp_path / "other.csv").write_text("kept")
        case "dangling link":
            target.symlink_to(tmp_path / "nothing.csv")
        case "fifo":
            os.mkfifo(target)
        case "device":
            target = Path("/dev/null")
        case "folder":
            target.mkdir()
        case _:
            target = journal
    done = await inline(
        "batch", "capture", str(day), "--journal", str(journal), "--report", str(target), env=env(sandbox)
    )
    assert done.status == 2, done.err
    assert "the report" in done.err
    assert not sandbox.requests
    assert _bytes(day) == content
    assert not (tmp_path / "nothing.csv").exists()


async def test_a_report_on_standard_output(sandbox: Sandbox, day: Path) -> None:
    """`--report -` writes the rows there, and the sums to standard error."""
    done = await inline("batch", "capture", str(day), "--report", "-", env=env(sandbox))
    assert done.status == 0
    assert [line.split(",")[6] for line in done.out.splitlines()] == ["outcome", "captured", "captured"]
    assert "2 captured, 20.00 NOK" in done.err


# --- real money -------------------------------------------------------------------------------------------------------


async def test_a_production_batch_asks(sandbox: Sandbox, day: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Count, sum and sales unit, on a terminal or by --yes; a no is status 1; nobody to ask, or not Vipps, status 2."""
    production = {**env(sandbox), "VIPPS_ENVIRONMENT": "production"}
    elsewhere = await inline("batch", "capture", str(day), "--yes", env=production)
    assert elsewhere.status == 2
    assert "127.0.0.1, which is not Vipps' own host" in elsewhere.err
    capture = ("batch", "capture", str(day), "--allow-host", "127.0.0.1")
    nobody = await inline(*capture, env=production)
    assert nobody.status == 2
    assert "give --yes. Nothing was sent." in nobody.err
    asked: list[str] = []

    async def answer(question: str) -> str:
        asked.append(question)
        return "no"

    monkeypatch.setattr(confirmation, "is_terminal", lambda: True)
    monkeypatch.setattr(confirmation, "typed_line", answer)
    assert (await inline(*capture, env=production)).status == 1
    what = "Capture 2 payments over ecom, 10.00 NOK in all and all that remains of 1, sales unit 123456, in PRODUCTION?"
    assert asked == [f'{what} Type "yes": ']
    assert not sandbox.requests
    done = await inline(*capture, "--yes", "--json", env=production)
    assert (done.status, orjson.loads(done.out)["moved"]) == (0, 2000)
    assert len(asked) == 1
