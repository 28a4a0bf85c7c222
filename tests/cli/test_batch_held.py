"""`vipps-async batch`: the same capture asked for in many ways moves money once, and a wanted second one is named."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest

from tests.batch.shop import stock, stock_one
from tests.cli.inline import inline
from tests.cli.processes import Finished
from tests.cli.shell import MSN, env
from vipps_async import SqliteJournal
from vipps_async.journals.entries import Intent, Outcome, Settlement
from vipps_async.sandbox import Fault
from vipps_async.testing import Sandbox

UNNAMED = "order_id,amount_ore,transaction_text\norder-0,1000,Shipped.\norder-1,1000,Shipped.\n"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A Vipps of its own, with five payments of 50 kroner."""
    async with Sandbox(rate_limits=False) as running:
        stock(running, 5, amount=5000)
        yield running


@pytest.fixture
async def captured(sandbox: Sandbox, tmp_path: Path) -> Path:
    """A file without references whose two rows are captured."""
    file = tmp_path / "day.csv"
    write(file, UNNAMED)
    assert (await batch(sandbox, file)).status == 0
    return file


def write(file: Path, content: str) -> None:
    """Make a file."""
    file.write_text(content)


async def batch(sandbox: Sandbox, file: Path, *arguments: str) -> Finished:
    """Capture a file."""
    return await inline("batch", "capture", str(file), *arguments, env=env(sandbox))


def sums(sandbox: Sandbox) -> list[int]:
    """What is captured of each order, in øre."""
    return [sandbox.payment(f"order-{number}").captured for number in range(5)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("another-name.csv", UNNAMED + "\n"),
        ("rows-on-top.csv", UNNAMED.replace("order-0", "order-2,1000,Shipped.\norder-0", 1)),
        (
            "references.csv",
            UNNAMED.replace("_text", "_text,reference")
            .replace("Shipped.", "Shipped.,s-1", 1)
            .replace("order-1,1000,Shipped.", "order-1,1000,Shipped.,s-2"),
        ),
        ("other-text.csv", UNNAMED.replace("Shipped.", "Sent.")),
        ("kroner.csv", UNNAMED.replace("amount_ore", "amount_nok").replace("1000", "10.00")),
        (
            "lines.jsonl",
            "".join(
                orjson.dumps({"order_id": f"order-{n}", "amount_ore": 1000, "transaction_text": "Shipped."}).decode()
                + "\n"
                for n in range(2)
            ),
        ),
    ],
)
async def test_the_same_captures_in_another_file(sandbox: Sandbox, captured: Path, name: str, content: str) -> None:
    """Each order is captured once; the rows are listed with what they meet, with a status of their own."""
    other = captured.with_name(name)
    write(other, content)
    done = await batch(sandbox, other, "--report", str(captured.with_name("report.jsonl")))
    assert done.status == 5
    assert sums(sandbox)[:2] == [1000, 1000]
    assert "order-0: 10.00 NOK is held: it meets a capture of 10.00 NOK over ecom, done" in done.err
    assert "2 rows are held" in done.err
    assert "2 held" in done.out
    assert sums(sandbox)[2] == (1000 if name == "rows-on-top.csv" else 0)
    report = [orjson.loads(line) for line in captured.with_name("report.jsonl").read_bytes().splitlines()]
    assert [line["outcome"] for line in report if line["order_id"] in {"order-0", "order-1"}] == ["held", "held"]
    assert (await batch(sandbox, other)).status == 5
    assert sums(sandbox)[:2] == [1000, 1000]


async def test_a_wanted_second_part_is_captured_when_its_order_is_named(sandbox: Sandbox, captured: Path) -> None:
    """One order at a time; and the same command again finds it done."""
    write(captured, UNNAMED + "order-2,1000,Shipped.\n")
    done = await batch(sandbox, captured, "--another", "order-0")
    assert (done.status, sums(sandbox)[:3]) == (5, [2000, 1000, 1000])
    assert (await batch(sandbox, captured, "--another", "order-0")).status == 5
    assert (await batch(sandbox, captured)).status == 5
    assert sums(sandbox)[:3] == [2000, 1000, 1000]
    assert (await batch(sandbox, captured, "--another", "order-0", "--another", "order-1")).status == 0
    assert sums(sandbox)[:3] == [2000, 2000, 1000]


async def test_a_column_releases_its_rows(sandbox: Sandbox, captured: Path) -> None:
    """`another`: yes or no, in each row."""
    write(captured, "order_id,amount_ore,transaction_text,another\norder-0,1000,Shipped.,yes\norder-1,1000,Shipped.,\n")
    assert (await batch(sandbox, captured)).status == 5
    assert sums(sandbox)[:2] == [2000, 1000]


async def test_an_order_that_is_not_there_releases_nothing(sandbox: Sandbox, captured: Path) -> None:
    """A slip behind --another is wrong usage."""
    sent = len(sandbox.requests)
    done = await batch(sandbox, captured, "--another", "order-9")
    assert (done.status, len(sandbox.requests)) == (2, sent)
    assert "no row of the payment order-9" in done.err


async def test_a_payment_by_hand_holds_the_row(sandbox: Sandbox, captured: Path) -> None:
    """`payment capture` has the same journal."""
    by_hand = ("payment", "capture", "order-3", "--amount", "10.00", "--text", "By hand.")
    assert (await inline(*by_hand, env=env(sandbox))).status == 0
    write(captured, "order_id,amount_ore,transaction_text,reference\norder-3,1000,Shipped.,s-3\n")
    assert (await batch(sandbox, captured)).status == 5
    assert sums(sandbox)[3] == 1000


@pytest.mark.parametrize("api", ["ecom", "epayment"])
@pytest.mark.parametrize("is_done", [True, False])
async def test_a_capture_over_either_api_holds_the_row(
    sandbox: Sandbox, tmp_path: Path, api: str, *, is_done: bool
) -> None:
    """It moves the same payment's money, whichever API it was asked of; done or open."""
    path, file, now = tmp_path / "journal.db", tmp_path / "day.csv", datetime.now(UTC)
    journal = SqliteJournal(path)
    await journal.open()
    intent = Intent(
        key="k-1",
        api=api,
        operation="capture",
        payment="order-0",
        merchant_serial_number=MSN,
        amount=1000,
        currency="NOK",
        digest="d",
        body=b"{}",
        created_at=now,
    )
    if is_done:
        await journal.settle(intent, Settlement(outcome=Outcome.DONE, answer=b"{}", settled_at=now))
    else:
        # In the hands of nobody; its body does not fit its digest, so that recovery leaves it as it is.
        await journal.begin(intent, owner="a", lease=0)
    await journal.aclose()
    write(
        file, "order_id,amount_ore,transaction_text,reference\norder-0,1000,Shipped.,s-0\norder-1,1000,Shipped.,s-1\n"
    )
    done = await batch(sandbox, file, "--journal", str(path))
    assert (done.status, sums(sandbox)[:2]) == (5, [0, 1000])
    assert f"order-0: 10.00 NOK is held: it meets a capture of 10.00 NOK over {api}, " in done.err


async def test_a_cancel_that_took_effect_is_never_refused(sandbox: Sandbox, tmp_path: Path) -> None:
    """Its answer was lost and the process died: the same command finds it done, with its journal or without."""
    file = tmp_path / "day.csv"
    write(file, "order_id,transaction_text\norder-0,Sold out.\n")
    sandbox.faults.script("cancel", *[Fault.RESET_AFTER_EFFECT] * 4)
    sandbox.faults.script("details", *[Fault.HTTP_500_BEFORE] * 60)
    lost = await inline("batch", "cancel", str(file), env=env(sandbox))
    assert lost.status == 3
    sandbox.faults.clear()
    for journal in ((), ("--journal", str(tmp_path / "other.db"))):
        done = await inline("batch", "cancel", str(file), *journal, env=env(sandbox))
        assert (done.status, "1 found cancelled" in done.out) == (0, True), done.err


async def test_rows_that_take_all_go_on(sandbox: Sandbox, captured: Path) -> None:
    """Twice they take no more than once."""
    write(captured, "order_id,transaction_text\norder-0,Shipped.\n")
    assert (await batch(sandbox, captured)).status == 0
    assert sums(sandbox)[0] == 5000


async def test_every_row_is_held_not_a_sample(sandbox: Sandbox, tmp_path: Path) -> None:
    """The last of many rows as well as the first."""
    for number in range(5, 700):
        stock_one(sandbox, f"order-{number}", 1000)
    file = tmp_path / "many.csv"
    write(file, "order_id,amount_ore,transaction_text\norder-699,1000,x\n")
    assert (await batch(sandbox, file)).status == 0
    heading = "order_id,amount_ore,transaction_text\n"
    write(file, heading + "".join(f"order-{number},1000,x\n" for number in range(5, 700)))
    done = await batch(sandbox, file)
    assert done.status == 5
    assert "1 row is held: not sent, as it may be" in done.err
    assert sandbox.payment("order-699").captured == 1000


async def test_rows_of_one_file_are_held_against_each_other(sandbox: Sandbox, tmp_path: Path) -> None:
    """Another text, or a reference on one side only, makes no other wish; two references and two amounts do."""
    file = tmp_path / "day.csv"
    write(
        file, "order_id,amount_ore,transaction_text\norder-0,1000,Shipped.\norder-0,1000,Sent.\norder-0,1001,Shipped.\n"
    )
    done = await batch(sandbox, file)
    assert done.status == 5
    assert "line 3: order-0: 10.00 NOK is held: it meets line 2 of this file" in done.err
    assert sums(sandbox)[0] == 2001
    write(
        file, "order_id,amount_ore,transaction_text,reference\norder-1,1000,Shipped.,s-1\norder-1,1000,Shipped.,s-2\n"
    )
    assert (await batch(sandbox, file)).status == 0
    assert sums(sandbox)[1] == 2000


async def test_two_references_in_two_files_are_two_wishes(sandbox: Sandbox, tmp_path: Path) -> None:
    """The second part of an order, of the same amount and with a reference of its own, is captured."""
    file = tmp_path / "day.csv"
    for reference in ("s-1", "s-2"):
        write(file, f"order_id,amount_ore,transaction_text,reference\norder-0,1000,Shipped.,{reference}\n")
        assert (await batch(sandbox, file)).status == 0
    assert sums(sandbox)[0] == 2000


async def test_a_dry_run_says_what_would_be_held(sandbox: Sandbox, captured: Path) -> None:
    """It looks into the journal, too."""
    write(captured, UNNAMED + "order-2,1000,Shipped.\n")
    done = await batch(sandbox, captured, "--dry-run")
    assert done.status == 5
    assert "1 would be captured, 10.00 NOK" in done.out
    assert "2 held" in done.out


@pytest.mark.parametrize(
    "reference", [" s-1", "s-1 ", "s\u00a01", "s\u200b1", "a\u030a", "s\u00ad1", "\u3164", "s\u2028x"], ids=ascii
)
async def test_references_that_look_like_others_are_refused(sandbox: Sandbox, tmp_path: Path, reference: str) -> None:
    """White space around them, other forms of Unicode than NFC, invisible characters: status 2, nothing sent."""
    file = tmp_path / "day.jsonl"
    row = {"order_id": "order-0", "amount_ore": 1000, "transaction_text": "x", "reference": reference}
    write(file, orjson.dumps(row).decode())
    done = await batch(sandbox, file)
    assert (done.status, sandbox.requests) == (2, ())
    assert "reference must be text" in done.err


async def test_an_amount_that_was_changed_in_the_file_is_held(sandbox: Sandbox, captured: Path) -> None:
    """Whoever corrects it wants no second capture on top of the first; whoever wants one names the payment."""
    write(captured, UNNAMED.replace("order-0,1000", "order-0,900"))
    done = await batch(sandbox, captured, "--report", str(captured.with_name("report.jsonl")))
    assert (done.status, sums(sandbox)[:2]) == (5, [1000, 1000])
    assert "line 2: order-0: 9.00 NOK is held: it meets a capture of 10.00 NOK over ecom, done" in done.err
    assert "this row has another amount: is it a correction, or another one?" in done.err
    row = orjson.loads(captured.with_name("report.jsonl").read_bytes().splitlines()[0])
    assert row["money_moved"] == "not by this row"
    assert "if it corrects the amount of that one, move the difference by hand" in row["what_to_do"]
    assert row["what_to_do"].endswith("say --another order-0 for all rows of this payment")
    assert (await batch(sandbox, captured, "--another", "order-0")).status == 5
    assert sums(sandbox)[:2] == [1900, 1000]


async def test_two_amounts_of_one_file_go_on_after_an_interruption(sandbox: Sandbox, tmp_path: Path) -> None:
    """They are two rows of one file: run again, the second is not taken for a correction of the first."""
    file = tmp_path / "parts.csv"
    write(file, "order_id,amount_ore,transaction_text\norder-0,1000,Part one.\norder-0,700,Part two.\n")
    sandbox.faults.script("capture", Fault.HTML_200_AFTER, *[Fault.LOCKED_94] * 60, order_id="order-0")
    done = await batch(sandbox, file)
    assert (done.status, sums(sandbox)[0]) == (1, 1000), done.err
    sandbox.faults.clear()
    done = await batch(sandbox, file)
    assert (done.status, sums(sandbox)[0]) == (0, 1700), done.err
