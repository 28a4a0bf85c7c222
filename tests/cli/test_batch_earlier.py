"""`vipps-async batch`: what an earlier run did, what this one does, and which rows are not done as asked."""

# ruff: noqa: ASYNC240 - small files, read and written between two commands

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest

from tests.batch.shop import MSN, stock
from tests.cli.inline import inline
from tests.cli.open_captures import leave_open
from tests.cli.processes import Finished
from tests.cli.shell import env
from vipps_async import CaptureError, SqliteJournal, nok
from vipps_async.batch import BatchOperation, BatchRow
from vipps_async.core.stored_error import write_stored_error
from vipps_async.errors import ErrorInfo
from vipps_async.journals.entries import Outcome, Settlement
from vipps_async.testing import Sandbox

ECOM = "order_id,amount_ore,transaction_text,reference\n"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A Vipps of its own with four payments of ten kroner."""
    async with Sandbox(rate_limits=False) as running:
        stock(running, 4)
        yield running


@pytest.fixture
def day(tmp_path: Path) -> Path:
    """The file that is written anew for each run."""
    return tmp_path / "day.csv"


async def capture(sandbox: Sandbox, day: Path, *arguments: str, api: str = "ecom") -> Finished:
    """Capture a file, with the journal beside it."""
    named = ("--api", api, "--journal", str(day.with_name("journal.db")))
    return await inline("batch", "capture", str(day), *named, *arguments, env=env(sandbox))


# --- a known reference with another amount ----------------------------------------------------------------------------


async def outcomes(sandbox: Sandbox, day: Path, *arguments: str, api: str = "ecom") -> list[tuple[str, str]]:
    """Return outcome and reason of each row, as the report has them."""
    report = day.with_name("report.jsonl")
    await capture(sandbox, day, "--report", str(report), *arguments, api=api)
    lines = [orjson.loads(line) for line in report.read_bytes().splitlines()]
    return [(line["outcome"].replace("would be ", ""), line["what_happened"] or "") for line in lines]


@pytest.mark.parametrize(
    ("changed", "is_journal_lost"),
    [
        ("order-0,900,Shipped.,s-0", False),
        ("order-0,1000,Sent.,s-0", False),
        ("order-0,all,Shipped.,s-0", False),
        # Vipps' history has the amount alone.
        ("order-0,900,Shipped.,s-0", True),
    ],
    ids=["amount", "text", "all", "amount, without the journal"],
)
async def test_a_dry_run_refuses_a_known_reference_with_another_payload(
    sandbox: Sandbox, day: Path, changed: str, *, is_journal_lost: bool
) -> None:
    """As the real run does: another amount, another text, or all instead of an amount, under the reference's key."""
    day.write_text(f"{ECOM}order-0,1000,Shipped.,s-0\n")
    await outcomes(sandbox, day)
    if is_journal_lost:
        day.with_name("journal.db").unlink()
    day.write_text(f"{ECOM}{changed}\norder-1,1000,Shipped.,s-1\n")
    dry = await outcomes(sandbox, day, "--dry-run")
    real = await outcomes(sandbox, day)
    assert [outcome for outcome, _ in dry] == [outcome for outcome, _ in real] == ["refused", "captured"]
    assert "another" in dry[0][1]
    assert sandbox.payment("order-0").captured == 1000


async def test_a_dry_run_over_epayment_refuses_it_as_well(sandbox: Sandbox, day: Path) -> None:
    """Its amount is computed once where all is asked for: the same row again is done before, another one refused."""
    async with sandbox.session() as vipps:
        await vipps.epayment.create(
            reference="acme-order-1",
            amount=nok(10),
            payment_description="Socks",
            return_url="https://example.com/",
        )
    await sandbox.approve("acme-order-1")
    heading = "reference,amount_nok,row_reference\n"
    day.write_text(f"{heading}acme-order-1,all,s-1\n")
    assert (await outcomes(sandbox, day, api="epayment"))[0][0] == "captured"
    assert (await outcomes(sandbox, day, "--dry-run", api="epayment"))[0][0] == "captured before"
    day.write_text(f"{heading}acme-order-1,9.00,s-1\n")
    for further in (("--dry-run",), ()):
        outcome, reason = (await outcomes(sandbox, day, *further, api="epayment"))[0]
        assert (outcome, "Oslo with another amount, 10.00 NOK; nothing was sent" in reason) == ("refused", True)


async def test_a_dry_run_tells_a_refusal_on_record(sandbox: Sandbox, day: Path) -> None:
    """What the journal has as refused for good is refused, as the real run refuses it without asking Vipps."""
    key = BatchRow(payment="order-0", reference="s-0").idempotency_key(BatchOperation.CAPTURE, MSN)
    path = day.with_name("journal.db")
    intent = await leave_open(path, key, payment="order-0", amount=1000)
    refusal = write_stored_error(CaptureError("no", status=400, errors=(ErrorInfo("Payment", "95", "too much"),)))
    journal = SqliteJournal(path)
    await journal.open()
    await journal.settle(intent, Settlement(outcome=Outcome.REFUSED, answer=refusal, settled_at=datetime.now(UTC)))
    await journal.aclose()
    day.write_text(f"{ECOM}order-0,1000,Shipped.,s-0\n")
    dry, real = await outcomes(sandbox, day, "--dry-run"), await outcomes(sandbox, day)
    assert [outcome for outcome, _ in dry] == [outcome for outcome, _ in real] == ["refused"]
    assert "on record since" in dry[0][1]
    assert sandbox.payment("order-0").captured == 0


# --- rows that are not done as asked ----------------------------------------------------------------------------------


async def test_refused_rows_are_named_where_no_report_has_them(sandbox: Sandbox, day: Path) -> None:
    """Line, payment, reference and reason, one line each; with a report they stand there."""
    rows = ["order-0,1000,Shipped.,s-0", "unknown-1,1000,Shipped.,s-1", "unknown-2,all,Shipped.,s-2"]
    day.write_text(ECOM + "\n".join(rows))
    done = await capture(sandbox, day)
    assert done.status == 1
    named = [line for line in done.err.splitlines() if line.startswith("line ")]
    assert [line.split(": Vipps answered", 1)[0] for line in named] == [
        "line 3: unknown-1 (reference s-1): refused",
        "line 4: unknown-2 (reference s-2): refused",
    ]
    assert all("35" in line for line in named)
    reported = await capture(sandbox, day, "--report", str(day.with_name("report.csv")))
    assert "line 3" not in reported.err


async def test_many_refused_rows_are_counted(sandbox: Sandbox, day: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first ones by name, the others by number, also in a dry run that is too long to be shown."""
    monkeypatch.setattr("vipps_async.cli.batch.MOST_NAMED", 2)
    monkeypatch.setattr("vipps_async.cli.batch.MOST_ROWS", 2)
    day.write_text(ECOM + "".join(f"unknown-{number},1000,Shipped.,s-{number}\n" for number in range(5)))
    for further, word in (((), "refused"), (("--dry-run",), "would be refused")):
        done = await capture(sandbox, day, *further)
        assert done.err.count(f": {word}: ") == 2
        assert "... and 3 more: --report lists them all.\n" in done.err


# --- sums and files without rows --------------------------------------------------------------------------------------


async def test_a_rerun_tells_what_it_moved_from_what_was_moved_before(sandbox: Sandbox, day: Path) -> None:
    """The sums of this run are those of its own rows."""
    day.write_text(f"{ECOM}order-0,1000,Shipped.,s-0\n")
    first = await capture(sandbox, day)
    assert "before" not in first.out
    day.write_text(f"{ECOM}order-0,1000,Shipped.,s-0\norder-1,700,Shipped.,s-1\n")
    second = await capture(sandbox, day)
    assert "1 captured, 7.00 NOK\n        1 captured before, 10.00 NOK\n" in second.out
    assert second.out.endswith("Captured now: 7.00 NOK. Captured before: 10.00 NOK.\n")
    dry = await capture(sandbox, day, "--dry-run")
    assert "Captured now" not in dry.out


async def test_what_is_found_cancelled_by_other_means_is_told_apart(sandbox: Sandbox, day: Path) -> None:
    """Somebody else has done it, or an earlier run, as Vipps' history shows: its amount is none of this run's."""
    async with sandbox.session() as vipps:
        await vipps.ecom.cancel("order-0", transaction_text="By somebody else.")
    day.write_text("order_id,transaction_text,reference\norder-0,No.,s-0\norder-1,No.,s-1\n")
    command = ("batch", "cancel", str(day), "--journal", str(day.with_name("journal.db")))
    for further, words in (
        (("--dry-run",), ("1 would be cancelled", "1 found cancelled")),
        ((), ("1 cancelled, 10.00 NOK", "1 found cancelled, 10.00 NOK")),
        ((), ("2 found cancelled, 20.00 NOK",)),
    ):
        done = await inline(*command, *further, env=env(sandbox))
        assert (done.status, [word for word in words if word not in done.out]) == (0, []), done.out
    facts = orjson.loads((await inline(*command, "--json", env=env(sandbox))).out)
    assert (facts["outcomes"]["found done"], facts["moved"], facts["moved_found"]) == (2, 0, 2000)


@pytest.mark.parametrize("further", [(), ("--dry-run",)], ids=["real", "dry run"])
async def test_a_file_of_headings_alone_is_told(sandbox: Sandbox, day: Path, further: tuple[str, ...]) -> None:
    """A day without orders is no error, but is said: nothing is asked, opened or made; the report has its heading."""
    day.write_text(ECOM)
    report = day.with_name("report.csv")
    done = await capture(sandbox, day, "--report", str(report), *further)
    assert (done.status, done.out) == (0, f"{day} has 0 rows: nothing to do.\n")
    assert report.read_text().startswith("line,api,order_id")
    assert not day.with_name("journal.db").exists()
    assert not sandbox.requests
    facts = orjson.loads((await capture(sandbox, day, "--json", *further)).out)
    assert facts["rows"] == 0


async def test_an_empty_file_is_an_error(sandbox: Sandbox, day: Path) -> None:
    """Without even a heading it is what a failed export leaves: status 2."""
    day.write_text("\n")
    done = await capture(sandbox, day)
    assert (done.status, "the file is empty" in done.err) == (2, True)


async def test_submitting_a_file_of_headings_alone_is_told(sandbox: Sandbox, day: Path) -> None:
    """Nothing is submitted, and no database is asked for it."""
    day.write_text(ECOM)
    done = await inline("batch", "submit", str(day), "--dsn", "host=192.0.2.1", env=env(sandbox))
    assert (done.status, done.out) == (0, f"{day} has 0 rows: nothing was submitted.\n")
