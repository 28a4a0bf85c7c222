"""`vipps-async batch`: what it refuses to guess of a file, and that nothing is sent then."""

from __future__ import annotations

import io
import re
import shlex
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import openpyxl
import orjson
import pytest

from tests.batch.shop import stock_one
from tests.cli.inline import inline
from tests.cli.shell import env
from tests.support.norwegian_spreadsheet import open_csv
from vipps_async.batch import BatchOperation, RowOutcome
from vipps_async.batch.job import Progress
from vipps_async.cli.batch_output import shown
from vipps_async.ecom.payment_api import ECOM_API
from vipps_async.testing import Sandbox


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A Vipps of its own, with a payment of 499 kroner."""
    async with Sandbox(rate_limits=False) as running:
        stock_one(running, "order-1", 49_900)
        yield running


async def test_499_is_not_guessed(sandbox: Sandbox, tmp_path: Path) -> None:
    """A bare `amount` is refused with both sums and status 2; with its unit, said in either way, it is captured."""
    file = tmp_path / "day.csv"
    file.write_text("order_id,amount,transaction_text\norder-1,499,Shipped.\n")
    refused = await inline("batch", "capture", str(file), env=env(sandbox))
    assert refused.status == 2
    assert "4.99 NOK in all if they are øre, 499.00 NOK in all if they are kroner" in refused.err
    assert not sandbox.requests
    assert (await inline("batch", "capture", str(file), "--unit", "nok", env=env(sandbox))).status == 0
    assert sandbox.payment("order-1").captured == 49_900


async def test_the_heading_can_say_it(sandbox: Sandbox, tmp_path: Path) -> None:
    """`amount_ore` in JSON Lines, too; another unit beside it is refused."""
    file = tmp_path / "day.jsonl"
    file.write_text('{"order_id": "order-1", "amount_ore": 499, "transaction_text": "Shipped."}\n')
    refused = await inline("batch", "capture", str(file), "--unit", "nok", env=env(sandbox))
    assert (refused.status, sandbox.requests) == (2, ())
    assert "amount_ore is not counted in nok" in refused.err
    assert (await inline("batch", "capture", str(file), env=env(sandbox))).status == 0
    assert sandbox.payment("order-1").captured == 499


@pytest.mark.parametrize("by_variable", [True, False])
@pytest.mark.parametrize("action", [["capture"], ["submit", "--dsn", "host=nowhere"]], ids=["one machine", "many"])
async def test_an_unknown_api_is_refused_by_name(
    sandbox: Sandbox, tmp_path: Path, action: list[str], *, by_variable: bool
) -> None:
    """Said by `--api` or by `VIPPS_API`: nothing is read or sent, and the known ones are named."""
    file = tmp_path / "day.csv"
    file.write_text("order_id,transaction_text\norder-1,Shipped.\n")
    variables = env(sandbox, VIPPS_API="fpayment") if by_variable else env(sandbox)
    options = [] if by_variable else ["--api", "fpayment"]
    refused = await inline("batch", action[0], str(file), *action[1:], *options, env=variables)
    assert (refused.status, sandbox.requests) == (2, ())
    assert "there is no API 'fpayment'; name one of ecom" in refused.err


async def test_the_api_is_named_on_the_command_line(sandbox: Sandbox, tmp_path: Path) -> None:
    """`--api ecom` beats the variable, and what is done says which API it went over."""
    file, report = tmp_path / "day.csv", tmp_path / "report.csv"
    file.write_text("order_id,transaction_text\norder-1,Shipped.\n")
    options = ["--api", "ecom", "--report", str(report)]
    done = await inline("batch", "capture", str(file), *options, env=env(sandbox, VIPPS_API="fpayment"))
    assert (done.status, sandbox.payment("order-1").captured) == (0, 49_900)
    assert "over ecom for sales unit" in done.err
    assert [line.split(",")[1] for line in report.read_text().splitlines()] == ["api", "ecom"]


async def test_a_unit_that_the_api_does_not_know_is_refused(sandbox: Sandbox, tmp_path: Path) -> None:
    """The units belong to the API, and it says which ones it has."""
    file = tmp_path / "day.csv"
    file.write_text("order_id,amount,transaction_text\norder-1,499,Shipped.\n")
    refused = await inline("batch", "capture", str(file), "--unit", "dkk", env=env(sandbox))
    assert (refused.status, sandbox.requests) == (2, ())
    assert "say --unit ore or nok" in refused.err


# --- spreadsheets -----------------------------------------------------------------------------------------------------

PAGE = Path(__file__).parents[2] / "docs" / "batches.md"
NORWEGIAN = [
    *("--column", "order_id=Ordre", "--column", "amount_nok=Beløp", "--column", "transaction_text=Tekst"),
    *("--column", "reference=Forsendelse", "--ignore-other-columns"),
]


async def test_a_norwegian_spreadsheet_in_and_its_report_out(sandbox: Sandbox, tmp_path: Path) -> None:
    """Semicolons, a decimal comma, a mark, Norwegian headings; the report opens in the same spreadsheet right out."""
    file, report = tmp_path / "dagen.csv", tmp_path / "rapport.csv"
    heading = "\ufeffKunde;Ordre;Beløp;Tekst;Forsendelse\r\n"
    file.write_bytes(f"{heading}Kari;order-1;kr 499,00;Blåbær;s-1\r\n;;;;\r\n".encode())
    done = await inline("batch", "capture", str(file), "--report", str(report), *NORWEGIAN, env=env(sandbox))
    assert (done.status, sandbox.payment("order-1").captured) == (0, 49_900), done.err
    assert "Columns passed over: Kunde" in done.err
    names, line = open_csv(report.read_bytes())
    row = dict(zip(map(str, names), line, strict=True))
    assert (row["order_id"], row["transaction_text"]) == ("order-1", "Blåbær")
    assert (row["amount_nok"], row["moved_nok"]) == (Decimal(499), Decimal(499))
    assert sandbox.payment("order-1").moved("CAPTURE")[0].text == "Blåbær"


async def test_the_documentation_s_norwegian_file_is_read(tmp_path: Path) -> None:
    """The file and the command as they stand there: both rows are captured, and the report is in kroner."""
    part = PAGE.read_text("utf-8").partition("### Files of spreadsheets")[2]
    text, command = re.findall(r"```(?:text|sh)\n(.*?)```", part, re.DOTALL)[:2]
    file, report = tmp_path / "dagen.csv", tmp_path / "rapport.csv"
    file.write_text(text, "utf-8")
    for each in (file, report):
        command = command.replace(each.name, str(each))
    async with Sandbox(rate_limits=False) as sandbox:
        stock_one(sandbox, "acme-shop-1001", 123_450)
        stock_one(sandbox, "acme-shop-1002", 49_900)
        done = await inline(*shlex.split(command.replace("\\\n", " "))[1:], env=env(sandbox))
        captured = [payment.captured for payment in sandbox.payments]
    assert (done.status, captured) == (0, [123_450, 49_900]), done.err
    assert ";1234,50;" in report.read_text("utf-8")


async def test_a_report_is_written_as_asked(sandbox: Sandbox, tmp_path: Path) -> None:
    """By its name or by `--report-format`, which outranks it; a workbook is no text for standard output."""
    file = tmp_path / "day.csv"
    file.write_text("order_id,amount_nok,transaction_text\norder-1,1.50,Shipped.\n")
    books = [["a.xlsx"], ["b.csv", "--report-format", "xlsx"]]
    for name, *options in [*books, ["c", "--report-format", "jsonl"]]:
        done = await inline(
            "batch", "capture", str(file), "--dry-run", "--report", str(tmp_path / name), *options, env=env(sandbox)
        )
        assert done.status == 0, done.err
    for name, *_ in books:
        sheet = openpyxl.load_workbook(io.BytesIO((tmp_path / name).read_bytes())).active
        assert [cell.value for cell in list(sheet.rows)[1]][2:4] == ["order-1", 1.5]
    assert orjson.loads((tmp_path / "c").read_bytes())["amount_nok"] == "1.50"
    printed = ["batch", "capture", str(file), "--report", "-", "--report-format"]
    refused = await inline(*printed, "xlsx", env=env(sandbox))
    assert (refused.status, "no text for standard output" in refused.err) == (2, True)
    told = await inline(*printed, "jsonl", "--dry-run", env=env(sandbox))
    assert orjson.loads(told.out)["order_id"] == "order-1"


async def test_a_workbook_that_cannot_be_written_is_refused_before_anything_is_sent(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its library is missing, or the sheet has too few rows: status 2, and no request has left."""
    file, report = tmp_path / "day.csv", tmp_path / "day.xlsx"
    file.write_text("order_id,amount_nok,transaction_text\norder-1,1.50,Shipped.\n")
    command = ["batch", "capture", str(file), "--report", str(report)]
    monkeypatch.setattr("vipps_async.cli.batch_output.MOST_SHEET_ROWS", 0)
    refused = await inline(*command, env=env(sandbox))
    assert (refused.status, "1 rows are too many for an .xlsx report" in refused.err) == (2, True)
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    refused = await inline(*command, env=env(sandbox))
    assert (refused.status, "needs the extra 'xlsx'" in refused.err) == (2, True)
    assert not sandbox.requests


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--column", "Ordre"], "'Ordre' is not NAME=HEADING"),
        (["--column", "ordre=Ordre"], "columns must be names of order_id"),
        (["--column", "order_id=A", "--column", "order_id=B"], "--column names a column twice"),
        (["--encoding", "klingon"], "encoding must be one of UTF-8, Windows-1252"),
        (["--all"], "cannot take all that is left as well"),
    ],
)
async def test_what_no_file_can_be_is_refused(sandbox: Sandbox, tmp_path: Path, options: list[str], words: str) -> None:
    """On one line with status 2, and nothing is sent."""
    file = tmp_path / "day.csv"
    file.write_text("order_id,amount_nok,transaction_text\norder-1,1.50,Shipped.\n")
    refused = await inline("batch", "capture", str(file), *options, env=env(sandbox))
    assert (refused.status, sandbox.requests) == (2, ())
    assert words in refused.err


async def test_an_older_system_s_export_is_read_as_it_is_said(sandbox: Sandbox, tmp_path: Path) -> None:
    """Windows-1252 by `--encoding`; without it the line and what to say are named."""
    file = tmp_path / "day.csv"
    file.write_text("order_id;amount_nok;transaction_text\norder-1;1,50;Blåbær\n", "cp1252")
    refused = await inline("batch", "capture", str(file), env=env(sandbox))
    assert (refused.status, "say --encoding windows-1252" in refused.err) == (2, True)
    done = await inline("batch", "capture", str(file), "--encoding", "windows-1252", env=env(sandbox))
    assert (done.status, sandbox.payment("order-1").moved("CAPTURE")[0].text) == (0, "Blåbær")


# --- progress ---------------------------------------------------------------------------------------------------------


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("variables", "draws"),
    [({"TERM": "dumb"}, False), ({}, False), ({"TERM": "xterm", "NO_COLOR": "1"}, True), ({"TERM": "xterm"}, True)],
)
async def test_progress_is_drawn_where_it_can_be(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], *, draws: bool
) -> None:
    """A terminal that cannot move its cursor gets whole lines; no terminal gets a colour."""
    screen = _Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    for name in ("TERM", "NO_COLOR", "FORCE_COLOR", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    progress = Progress(rows=10)
    async with shown(progress, ECOM_API, BatchOperation.CAPTURE, quiet=False, preview=False):
        progress.outcomes[RowOutcome.DONE] = 10
    assert "10 of 10" in screen.getvalue()
    assert ("\x1b" in screen.getvalue()) is draws
    assert not re.search(r"\x1b\[[0-9;]*m", screen.getvalue())


@pytest.mark.parametrize(
    ("amounts", "words"),
    [([9], "1 of 1 row is invalid."), ([9, 1000], "1 of 2 rows is invalid."), ([9, 9], "2 of 2 rows are invalid.")],
)
async def test_one_row_is_told_as_one(sandbox: Sandbox, tmp_path: Path, amounts: list[int], words: str) -> None:
    """What is counted is named as people do."""
    file = tmp_path / "day.csv"
    rows = "".join(f"order-{number},{amount},x\n" for number, amount in enumerate(amounts))
    file.write_text(f"order_id,amount_ore,transaction_text\n{rows}")
    done = await inline("batch", "capture", str(file), env=env(sandbox))
    assert (done.status, words in done.err) == (2, True), done.err
