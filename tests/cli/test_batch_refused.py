"""`vipps-async batch`: a refused row says what differs, what moved under its key, and what a corrected one needs."""

# ruff: noqa: ASYNC240 - small files, read and written between two commands

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from tests.batch.shop import MSN, stock
from tests.cli.inline import inline
from tests.cli.open_captures import leave_open
from tests.cli.shell import env
from vipps_async import nok
from vipps_async.batch import BatchOperation, BatchRow
from vipps_async.sandbox import Fault
from vipps_async.testing import Sandbox

ECOM = "order_id,amount_ore,transaction_text,reference\n"
UNNAMED = "order_id,amount_ore,transaction_text\n"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A Vipps of its own with four payments of fifty kroner."""
    async with Sandbox(rate_limits=False) as running:
        stock(running, 4, amount=5000)
        yield running


@pytest.fixture
def day(tmp_path: Path) -> Path:
    """The file that is written anew for each run."""
    return tmp_path / "day.csv"


async def row_of(sandbox: Sandbox, day: Path, *arguments: str, operation: str = "capture") -> dict[str, str]:
    """Run the file and return the first line of its report."""
    report = day.with_name("report.jsonl")
    journal = str(day.with_name("journal.db"))
    command = ("batch", operation, str(day), "--journal", journal, "--report", str(report), *arguments)
    await inline(*command, env=env(sandbox))
    line: dict[str, str] = orjson.loads(report.read_bytes().splitlines()[0])
    return line


@pytest.mark.parametrize("further", [(), ("--dry-run",)], ids=["real", "dry run"])
@pytest.mark.parametrize("is_journal_lost", [False, True], ids=["by the journal", "by Vipps"])
async def test_a_known_reference_with_another_amount_says_what_moved_under_it(
    sandbox: Sandbox, day: Path, further: tuple[str, ...], *, is_journal_lost: bool
) -> None:
    """Money did move under the row's key: both amounts are told, and a correction needs another reference."""
    day.write_text(f"{ECOM}order-0,1000,Shipped.,s-0\n")
    await row_of(sandbox, day)
    if is_journal_lost:
        day.with_name("journal.db").unlink()
    day.write_text(f"{ECOM}order-0,900,Shipped.,s-0\n")
    for _ in range(2):
        row = await row_of(sandbox, day, *further)
        assert row["money_moved"] == "not by this row; under its key before"
        assert "Under this key 10.00 NOK was captured" in row["what_happened"]
        assert "this row asks for 9.00 NOK" in row["what_happened"]
        assert "a corrected row needs another reference, and moves its amount on top" in row["what_to_do"]
        # Its column of times is of Oslo, and so are the times in its texts.
        assert " Europe/Oslo" in row["what_happened"]
        assert " UTC" not in row["what_happened"]
    assert sandbox.payment("order-0").captured == 1000


async def test_a_known_reference_with_another_text_says_that(sandbox: Sandbox, day: Path) -> None:
    """The amount is the same, so it is not the amount that is told to differ."""
    day.write_text(f"{ECOM}order-0,1000,Shipped.,s-0\n")
    await row_of(sandbox, day)
    day.write_text(f"{ECOM}order-0,1000,Sent.,s-0\n")
    row = await row_of(sandbox, day)
    assert "Under this key 10.00 NOK was captured" in row["what_happened"]
    assert "this row has another text" in row["what_happened"]


async def test_what_is_open_under_a_key_may_have_moved(sandbox: Sandbox, day: Path) -> None:
    """With other content, and open still: nobody knows, so the report does not say that nothing moved."""
    key = BatchRow(payment="order-0", reference="s-0").idempotency_key(BatchOperation.CAPTURE, MSN)
    await leave_open(day.with_name("journal.db"), key, payment="order-0", amount=1000)
    sandbox.faults.script("capture", *[Fault.HTTP_503_BEFORE] * 40, order_id="order-0")
    day.write_text(f"{ECOM}order-0,900,Shipped.,s-0\n")
    row = await row_of(sandbox, day)
    assert (row["outcome"], row["money_moved"]) == ("refused", "not by this row; perhaps under its key")
    assert "a capture of 10.00 NOK is open" in row["what_happened"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (f"{ECOM}order-0,6000,Shipped.,s-0\n", "so a corrected row needs another reference"),
        (f"{UNNAMED}order-0,6000,Shipped.\n", "correct the row, or leave it out"),
    ],
    ids=["with a reference", "without"],
)
async def test_what_is_refused_for_good_says_what_a_correction_needs(
    sandbox: Sandbox, day: Path, content: str, words: str
) -> None:
    """The key follows from the reference and stays with the refusal; without one a changed file has other keys."""
    day.write_text(content)
    row = await row_of(sandbox, day)
    assert (row["outcome"], row["money_moved"]) == ("refused", "no")
    assert row["what_to_do"].endswith(words)


async def test_a_dry_run_says_why_it_would_be_refused(sandbox: Sandbox, day: Path) -> None:
    """With both amounts, once; nothing stands under its key, so the row can be corrected as it is."""
    day.write_text(f"{ECOM}order-0,3000,x,s-0\norder-0,3000,x,s-1\n")
    report = day.with_name("report.jsonl")
    done = await inline("batch", "capture", str(day), "--dry-run", env=env(sandbox))
    words = (
        "would be refused: 30.00 NOK is asked for, and 50.00 NOK is left to capture, of which earlier rows take 30.00"
    )
    assert words in done.out
    assert "it would be refused" not in done.out
    day.write_text(f"{ECOM}order-0,6000,x,s-0\n")
    row = await row_of(sandbox, day, "--dry-run")
    assert row["what_to_do"] == "look the payment up in the Vipps portal; correct the row, or leave it out"
    assert report.exists()


@pytest.mark.parametrize("further", [(), ("--dry-run",)], ids=["real", "dry run"])
async def test_a_cancel_after_a_part_was_captured_names_the_option(
    sandbox: Sandbox, day: Path, further: tuple[str, ...]
) -> None:
    """It is refused; what releases the rest is named, and does it."""
    async with sandbox.session() as vipps:
        await vipps.ecom.capture("order-0", amount=nok(10), transaction_text="x", idempotency_key="k")
    day.write_text("order_id,transaction_text\norder-0,No.\n")
    command = ("batch", "cancel", str(day), "--journal", str(day.with_name("other.db")), *further)
    words = "1 payment is captured in part: to release the rest, run it again with --release-remaining\n"
    assert words in (await inline(*command, env=env(sandbox))).err
    row = await row_of(sandbox, day, *further, operation="cancel")
    assert row["what_to_do"].endswith("to release the rest, run it again with --release-remaining")
    assert (await row_of(sandbox, day, "--release-remaining", operation="cancel"))["outcome"] == "cancelled"


async def test_nothing_left_to_cancel_names_no_option(sandbox: Sandbox, day: Path) -> None:
    """Where all is captured, releasing the rest would do nothing."""
    async with sandbox.session() as vipps:
        await vipps.ecom.capture("order-0", transaction_text="x", idempotency_key="k")
    day.write_text("order_id,transaction_text\norder-0,No.\n")
    row = await row_of(sandbox, day, operation="cancel")
    assert (row["outcome"], "--release-remaining" in row["what_to_do"]) == ("refused", False)


async def test_a_cancel_by_hand_after_a_part_was_captured_names_the_option(sandbox: Sandbox, day: Path) -> None:
    """As the batch does: Vipps' own words tell no way to go on."""
    async with sandbox.session() as vipps:
        await vipps.ecom.capture("order-0", amount=nok(10), transaction_text="x", idempotency_key="k")
    command = ("payment", "cancel", "order-0", "--text", "No.", "--journal", str(day.with_name("journal.db")))
    done = await inline(*command, env=env(sandbox))
    assert (done.status, "A part of it is captured: --release-remaining releases the rest. " in done.err) == (1, True)
    assert (await inline(*command, "--release-remaining", env=env(sandbox))).status == 0
