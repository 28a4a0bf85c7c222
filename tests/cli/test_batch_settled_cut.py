"""`vipps-async batch`, ended while it settles first or told no after it: what may have moved is told with its row."""

# ruff: noqa: ASYNC240 - small files, read and written between two commands

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.batch.shop import MSN, stock
from tests.cli.inline import inline
from tests.cli.open_captures import leave_open, note_done
from tests.cli.processes import Finished
from tests.cli.shell import HERE, env
from vipps_async.batch import BatchOperation, BatchRow
from vipps_async.batch.job import BatchJob
from vipps_async.cli import confirmation
from vipps_async.core.open_entry import OpenEntry
from vipps_async.core.operation import Call
from vipps_async.testing import Sandbox

HEADING = "order_id,amount_ore,transaction_text,reference"
COUNT = 10


def key_of(number: int) -> str:
    """The key of a row of the file."""
    return BatchRow(payment=f"order-{number}", reference=f"s-{number}").idempotency_key(BatchOperation.CAPTURE, MSN)


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A Vipps of its own."""
    async with Sandbox(rate_limits=False) as running:
        stock(running, COUNT, amount=5000)
        yield running


@pytest.fixture
async def day(tmp_path: Path) -> Path:
    """A file of three rows, the first two of which are open in its journal."""
    day = tmp_path / "day.csv"
    rows = [f"order-{number},1000,Shipped.,s-{number}" for number in range(3)]
    day.write_text("\n".join((HEADING, *rows, "")))
    for number in range(2):
        await leave_open(tmp_path / "journal.db", key_of(number), payment=f"order-{number}", amount=1000)
    return day


async def capture(sandbox: Sandbox, day: Path, *more: str, typed: tuple[str, ...] | None = None) -> Finished:
    """Capture the file, with journal and report beside it."""
    at = ("--journal", str(day.with_name("journal.db")), "--report", str(day.with_name("report.jsonl")))
    live = {} if typed is None else {"VIPPS_ENVIRONMENT": "production"}
    here = () if typed is None else HERE
    command = ("batch", "capture", str(day), *at, *here, *more)
    return await inline(*command, env=env(sandbox, **live), typed=typed)


def told(day: Path) -> list[tuple[Any, ...]]:
    """What the report says: outcome, what moved, whether money moved."""
    rows = [orjson.loads(line) for line in day.with_name("report.jsonl").read_bytes().splitlines()]
    return [(row["outcome"], row["moved_ore"], row["money_moved"]) for row in rows]


def signals(monkeypatch: pytest.MonkeyPatch, count: int, number: int = signal.SIGINT) -> None:
    """Let so many signals come while the first open capture is on its way; after two it never ends by itself."""
    send, has_come = OpenEntry._send_again, asyncio.Event()

    async def gated(self: OpenEntry, call: Call[Any]) -> None:
        async with asyncio.timeout(5):
            if self.intent.payment != "order-0":
                await has_come.wait()
            await send(self, call) if count == 1 else None
            if not has_come.is_set():
                os.kill(os.getpid(), number)
                while not self.shared.limiter.is_closed:  # noqa: ASYNC110 - set by the signal
                    await asyncio.sleep(0)
                has_come.set()
        if count == 2:
            os.kill(os.getpid(), number)
            await asyncio.Event().wait()

    monkeypatch.setattr(OpenEntry, "_send_again", gated)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_first_signal_lets_what_is_settled_end(
    sandbox: Sandbox, day: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """It begins nothing more; what was on its way is counted with its row, whose money has moved."""
    signals(monkeypatch, 1, number)
    done = await capture(sandbox, day)
    assert (done.status, "Finishing what is on its way" in done.err) == (130, True)
    yes = ("captured", 1000, "yes")
    assert told(day) == [yes, yes, ("not begun", None, "not by this row")]
    assert "        2 captured, 20.00 NOK\n        1 not begun" in done.out
    assert "Settled first" not in done.out
    assert [sandbox.payment(f"order-{each}").captured for each in range(3)] == [1000, 1000, 0]


async def test_what_was_settled_when_it_is_cut_off_is_unknown(
    sandbox: Sandbox, day: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second signal ends it at once: what is open is told as unknown, with its key."""
    signals(monkeypatch, 2)
    done = await capture(sandbox, day, "--json")
    assert done.status == 130
    assert "Ended in the middle of it" in done.err
    assert orjson.loads(done.out)["outcomes"] | {"unknown": 2, "not begun": 1} == orjson.loads(done.out)["outcomes"]
    rows = [orjson.loads(line) for line in day.with_name("report.jsonl").read_bytes().splitlines()]
    assert [(row["outcome"], row["money_moved"]) for row in rows] == [
        ("unknown", "perhaps"),
        ("unknown", "perhaps"),
        ("not begun", "not by this row"),
    ]
    assert [row["idempotency_key"] for row in rows[:2]] == [key_of(0), key_of(1)]
    assert rows[0]["what_happened"].startswith("It was open in the journal when this run began, and still is")
    monkeypatch.undo()
    again = await capture(sandbox, day)
    assert (again.status, [sandbox.payment(f"order-{each}").captured for each in range(3)]) == (0, [1000] * 3)


@pytest.mark.parametrize("is_json", [False, True])
async def test_a_no_to_the_file_tells_what_was_settled_of_it(sandbox: Sandbox, day: Path, *, is_json: bool) -> None:
    """Money of its rows has just moved: that is said, and stands in the report and in the JSON as of this run."""
    done = await capture(sandbox, day, *(["--json"] if is_json else []), typed=("yes", "no"))
    assert done.status == 1
    assert "2 rows of the file were settled before the question (20.00 NOK); no other one was sent.\n" in done.err
    assert "Nothing was sent" not in done.err
    yes = ("captured", 1000, "yes")
    assert told(day) == [yes, yes, ("not begun", None, "not by this row")]
    if is_json:
        facts = orjson.loads(done.out)
        assert (facts["moved"], facts["outcomes"]["done"], facts["settled_first"]["sent_again"]) == (2000, 2, 2)


async def test_a_no_where_all_of_the_file_was_settled_is_status_0(sandbox: Sandbox, day: Path) -> None:
    """All that it asks for is captured, and nothing is left to ask about."""
    day.write_text(f"{HEADING}\norder-0,1000,Shipped.,s-0\n")
    done = await capture(sandbox, day, typed=("yes",))
    assert (done.status, told(day)) == (0, [("captured", 1000, "yes")])
    assert "Settled first, beside the rows of this file: 1 capture of 10.00 NOK." in done.out


async def test_the_question_names_what_is_about_to_move(sandbox: Sandbox, day: Path) -> None:
    """Not the rows that are done by their key, nor those that are held: of these nothing moves now."""
    with day.open("a") as file:
        file.write("order-3,400,Shipped.,s-3\norder-4,300,Shipped.,s-4\n")
    await note_done(day.with_name("journal.db"), "by-hand", payment="order-3", amount=400)
    done = await capture(sandbox, day, typed=("yes", "yes"))
    assert (done.status, sandbox.payment("order-3").captured) == (5, 0)
    what = "Capture 2 payments over ecom, 13.00 NOK in all (2 rows done already and 1 row held not counted), sales unit"
    assert what in done.err
    again = await capture(sandbox, day, typed=())
    assert "4 rows done already and 1 row held: nothing of the file is left to be sent." in again.err
    assert "4 captured before, 33.00 NOK" in again.out


async def test_ctrl_c_at_the_question_about_the_file_tells_the_same(
    sandbox: Sandbox, day: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever leaves there gets the report of what was settled, too."""
    asked = []

    async def typed_line(question: str) -> str:
        asked.append(question)
        if len(asked) == 1:
            return "yes"
        raise asyncio.CancelledError

    real: Any = pytest.MonkeyPatch.setattr

    def setattr_but(self: pytest.MonkeyPatch, target: Any, name: Any, *rest: Any, **more: Any) -> None:
        real(self, target, name, *((typed_line,) if name == "typed_line" else rest), **more)

    monkeypatch.setattr(pytest.MonkeyPatch, "setattr", setattr_but)
    done = await capture(sandbox, day, typed=())
    assert confirmation.typed_line is not typed_line
    assert (done.status, len(asked)) == (130, 2)
    assert "2 rows of the file were settled before the question (20.00 NOK); no other one was sent.\n" in done.err
    assert told(day)[0] == ("captured", 1000, "yes")


async def test_a_row_that_was_changed_meanwhile_does_not_take_the_amount_of_its_key(
    sandbox: Sandbox, day: Path
) -> None:
    """What moved under its key is told as that; the row itself was not carried out."""
    day.write_text(day.read_text().replace("order-0,1000", "order-0,1100"))
    await capture(sandbox, day, typed=("yes", "no"))
    assert told(day)[:2] == [
        ("not begun", None, "not by this row; under its key before"),
        ("captured", 1000, "yes"),
    ]


async def test_ctrl_c_when_all_is_done_is_no_interruption(
    sandbox: Sandbox, day: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last row was on its way: all is captured, and there is nothing to go on with."""
    run = BatchJob.run

    async def interrupted(self: BatchJob) -> Any:
        totals = await run(self)
        os.kill(os.getpid(), signal.SIGINT)
        while not self._stop.is_set():  # noqa: ASYNC110 - set by the signal
            await asyncio.sleep(0)
        return totals

    monkeypatch.setattr(BatchJob, "run", interrupted)
    done = await capture(sandbox, day)
    assert (done.status, "To go on" in done.err) == (0, False), done.err
