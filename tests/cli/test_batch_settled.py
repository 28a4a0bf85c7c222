"""`vipps-async batch`: what it settles before its rows is told with its amount, in one place and once."""

# ruff: noqa: ASYNC240 - small files, read and written between two commands

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.batch.shop import MSN, stock
from tests.cli.inline import inline
from tests.cli.open_captures import leave_open
from tests.cli.processes import Finished
from tests.cli.shell import HERE, env
from vipps_async import nok
from vipps_async.batch import BatchOperation, BatchRow
from vipps_async.testing import Sandbox

ECOM = "order_id,amount_ore,transaction_text,reference\n"
KEY = BatchRow(payment="order-0", reference="s-0").idempotency_key(BatchOperation.CAPTURE, MSN)


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A Vipps of its own with four payments of fifty kroner."""
    async with Sandbox(rate_limits=False) as running:
        stock(running, 4, amount=5000)
        yield running


@pytest.fixture
async def day(tmp_path: Path) -> Path:
    """A file of two rows, the first of which is open in its journal, as is a capture of seven kroner by hand."""
    day, journal = tmp_path / "day.csv", tmp_path / "journal.db"
    day.write_text(f"{ECOM}order-0,1000,Shipped.,s-0\norder-1,500,Shipped.,s-1\n")
    await leave_open(journal, KEY, payment="order-0", amount=1000)
    await leave_open(journal, "by-hand", payment="order-2", amount=700)
    return day


async def capture(sandbox: Sandbox, day: Path, *arguments: str) -> Finished:
    """Capture the file, with the journal beside it."""
    journal = str(day.with_name("journal.db"))
    return await inline("batch", "capture", str(day), "--journal", journal, *arguments, env=env(sandbox))


def report_of(day: Path) -> list[dict[str, Any]]:
    """Read the report."""
    return [orjson.loads(line) for line in day.with_name("report.jsonl").read_bytes().splitlines()]


@pytest.mark.parametrize("is_at_vipps", [False, True], ids=["sent again", "proven"])
async def test_a_row_that_was_settled_first_is_counted_with_this_run(
    sandbox: Sandbox, day: Path, *, is_at_vipps: bool
) -> None:
    """No run before this one could say that it is captured, so it is in its sums, and of before in a later one's."""
    if is_at_vipps:
        async with sandbox.session() as vipps:
            await vipps.ecom.capture("order-0", amount=nok(10), transaction_text="Shipped.", idempotency_key=KEY)
    done = await capture(sandbox, day, "--report", str(day.with_name("report.jsonl")))
    assert done.status == 0, done.err
    assert "2 captured, 15.00 NOK" in done.out
    assert "before" not in done.out.replace("before the rows", "").replace("beside", "")
    rows = report_of(day)
    assert [(row["outcome"], row["moved_ore"], row["money_moved"]) for row in rows] == [
        ("captured", 1000, "yes"),
        ("captured", 500, "yes"),
    ]
    assert rows[0]["what_happened"] == "It was open in the journal, and was settled before the first row."
    again = await capture(sandbox, day)
    assert "Captured now: 0.00 NOK. Captured before: 15.00 NOK." in again.out
    assert "ettled first" not in again.out + again.err


async def test_what_is_no_row_of_the_file_has_a_sum_of_its_own(sandbox: Sandbox, day: Path) -> None:
    """With payment, amount, key and outcome; no amount stands in both sums."""
    done = await capture(sandbox, day)
    assert done.out.endswith("\nSettled first, beside the rows of this file: 1 capture of 7.00 NOK.\n")
    line = "settled first: ecom.capture of 7.00 NOK, payment order-2, key by-hand: done, 7.00 NOK"
    assert [each for each in done.err.splitlines() if each.startswith("settled first")] == [line]
    moved = [sandbox.payment(f"order-{number}").captured for number in range(3)]
    assert moved == [1000, 500, 700]


async def test_machines_are_told_the_same(sandbox: Sandbox, day: Path) -> None:
    """The rows' sums, and beside them what else was settled."""
    facts = orjson.loads((await capture(sandbox, day, "--json")).out)
    assert (facts["outcomes"]["done"], facts["moved"], facts["moved_before"]) == (2, 1500, 0)
    assert facts["settled_first"]["sent_again"] == 2
    assert facts["settled_first"]["beside"] == [{"operation": "capture", "currency": "NOK", "count": 1, "moved": 700}]
    (named,) = facts["settled_first"]["operations_beside"]
    assert (named["payment"], named["idempotency_key"], named["moved"]) == ("order-2", "by-hand", 700)
    assert orjson.loads((await capture(sandbox, day, "--json")).out)["settled_first"] is None


async def test_a_dry_run_names_what_would_be_settled_first(sandbox: Sandbox, day: Path) -> None:
    """How many, for how much, that they may be sent again, and which of them are rows; nothing is."""
    done = await capture(sandbox, day, "--dry-run")
    assert "2 would be captured, 15.00 NOK\n" in done.out
    assert "Would be settled first: 2 operations that are open in the journal, of which 1 counted above" in done.out
    assert "What Vipps does not have of it is sent again: 2 captures of 17.00 NOK\n" in done.out
    assert "  ecom.capture of 7.00 NOK, payment order-2, key by-hand\n" in done.out
    assert "line 2: order-0: 10.00 NOK, would be captured: It is open in the journal, and would be settled" in done.out
    facts = orjson.loads((await capture(sandbox, day, "--dry-run", "--json")).out)
    assert facts["would_settle_first"] == {
        "open": 2,
        "of_this_file": 1,
        "taken_effect": 0,
        "moved_already": 0,
        "may_be_sent_again": 2,
        "sums": [{"operation": "capture", "currency": "NOK", "count": 2, "amount": 1700, "takes_all": 0}],
    }
    assert all(not payment.captured for payment in sandbox.payments)


async def test_what_stays_open_is_in_no_sum(sandbox: Sandbox, day: Path) -> None:
    """Vipps refuses it: nothing of it moved, and nothing is added up."""
    await leave_open(day.with_name("journal.db"), "too-much", payment="order-3", amount=9_900)
    done = await capture(sandbox, day)
    assert "Settled first, beside the rows of this file: 1 capture of 7.00 NOK.\n" in done.out
    assert sandbox.payment("order-3").captured == 0


@pytest.mark.parametrize("payment", ["order-3", "order-1"], ids=["of the file", "of another"])
async def test_the_cancels_of_a_payment_are_one(sandbox: Sandbox, day: Path, payment: str) -> None:
    """Each try of a cancel has an entry of its own: together they released once what was reserved."""
    journal = day.with_name("cancels.db")
    for number in range(3):
        await leave_open(journal, f"try-{number}", payment=payment, amount=None, operation=BatchOperation.CANCEL)
    day.write_text("order_id,transaction_text\norder-3,No.\n")
    command = ("batch", "cancel", str(day), "--journal", str(journal))
    dry = await inline(*command, "--dry-run", env=env(sandbox))
    assert "Would be settled first: 3 operations that are open in the journal" in dry.out
    assert (", of which 3 counted above" in dry.out) is (payment == "order-3")
    done = await inline(*command, env=env(sandbox))
    assert done.status == 0, done.err
    beside = "Settled first, beside the rows of this file: 1 cancel.\n"
    assert (beside in done.out) is (payment == "order-1")
    assert ("Settled first" in done.out) is (payment == "order-1")


async def test_what_another_process_left_open_meanwhile_is_asked_about_and_then_the_file_again(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There was no journal at the question; what is settled since then is told before another yes to the file."""
    file, journal = tmp_path / "day.csv", tmp_path / "journal.db"
    file.write_text(f"{ECOM}order-2,600,Shipped.,s-0\n")
    questions: list[str] = []
    answers = ["yes", "yes", "no"]

    async def typed_line(question: str) -> str:
        questions.append(question)
        if len(questions) == 1:
            await leave_open(journal, "by-hand", payment="order-2", amount=700)
        return answers.pop(0)

    monkeypatch.setattr("vipps_async.cli.confirmation.typed_line", typed_line)
    monkeypatch.setattr("vipps_async.cli.confirmation.is_terminal", lambda: True)
    done = await inline(
        *("batch", "capture", str(file), "--journal", str(journal), *HERE),
        env=env(sandbox, VIPPS_ENVIRONMENT="production"),
    )
    assert [question.split(",")[0] for question in questions] == [
        "Capture 1 payment over ecom",
        "Settle 1 capture of 7.00 NOK",
        "Capture 1 payment over ecom",
    ]
    assert (done.status, sandbox.payment("order-2").captured) == (1, 700)
    assert "what was settled before it stands above" in done.err


@pytest.mark.parametrize("more", [(), ("--dry-run",), ("--another", "order-0")], ids=["run", "dry run", "named"])
async def test_a_file_of_cancels_sends_no_open_capture_of_its_payments(
    sandbox: Sandbox, day: Path, more: tuple[str, ...]
) -> None:
    """It was to be released: the row is held with what is open, unless its payment is named; what is beside it goes."""
    day.write_text("order_id,transaction_text\norder-0,No.\norder-3,No.\n")
    command = ("batch", "cancel", str(day), "--journal", str(day.with_name("journal.db")), *more)
    done = await inline(*command, env=env(sandbox))
    is_named, is_dry = "--another" in more, "--dry-run" in more
    assert (done.status, "line 2: order-0: is held" in done.err) == ((0, False) if is_named else (5, True)), done.err
    why = f"it is to cancel a payment with a capture of 10.00 NOK that is open under the key {KEY}, and may have moved"
    assert (why in done.err) is not is_named
    open_first = "Would be settled first" if is_dry else "Open in the journal"
    assert (open_first in done.out + done.err, "of 10.00 NOK, payment order-0" in done.err) == (True, False)
    assert [sandbox.payment(f"order-{each}").captured for each in (0, 2)] == [0, 0 if is_dry else 700]
    assert [sandbox.payment(f"order-{each}").released for each in (0, 3)] == [
        5000 if is_named else 0,
        0 if is_dry else 5000,
    ]


async def test_a_dry_run_counts_what_took_effect_as_the_run_will(sandbox: Sandbox, day: Path) -> None:
    """Vipps has it as done while the journal has it open: in the sums of the run, and as money that has moved."""
    async with sandbox.session() as vipps:
        await vipps.ecom.capture("order-0", amount=nok(10), transaction_text="Shipped.", idempotency_key=KEY)
    dry = await capture(sandbox, day, "--dry-run", "--report", str(day.with_name("report.jsonl")))
    assert "2 would be captured, 15.00 NOK\n" in dry.out
    assert "line 2: order-0: 10.00 NOK, would be captured: It is open in the journal" in dry.out
    assert "Vipps has it as done, so its money has moved, and it counts with the run that settles it" in dry.out
    assert "of which 1 counted above with a row of this file (1 has taken effect already, 10.00 NOK)" in dry.out
    rows = report_of(day)
    assert [(row["outcome"], row["would_move_ore"], row["money_moved"]) for row in rows] == [
        ("would be captured", None, "yes, before this run"),
        ("would be captured", 500, "no: a dry run"),
    ]
    assert "2 captured, 15.00 NOK" in (await capture(sandbox, day)).out
