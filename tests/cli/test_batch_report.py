"""The report of `vipps-async batch`: corrected and sent again it captures nothing twice, and its times have a zone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import pytest

from tests.batch.shop import stock
from tests.cli.inline import inline
from tests.cli.processes import Finished
from tests.cli.shell import env
from tests.support.norwegian_spreadsheet import open_csv, save_csv
from vipps_async.testing import Sandbox


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A Vipps of its own, with four orders of 10 kroner."""
    async with Sandbox(rate_limits=False) as running:
        stock(running, 4)
        yield running


async def capture(sandbox: Sandbox, file: Path, *options: str) -> Finished:
    """Run `batch capture`, with one journal for all."""
    journal = ("--journal", str(file.with_name("journal.db")))
    return await inline("batch", "capture", str(file), *journal, *options, env=env(sandbox))


def captured(sandbox: Sandbox) -> list[int]:
    """What was captured of each order, in øre."""
    return [sandbox.payment(f"order-{number}").captured for number in range(4)]


@pytest.mark.parametrize("references", [("0001", "12-1", "0003", "=4"), ("", "", "", "")], ids=["with", "without"])
async def test_a_report_that_is_corrected_and_sent_again_captures_the_rest(
    sandbox: Sandbox, tmp_path: Path, references: tuple[str, ...]
) -> None:
    """Out of the spreadsheet as it is, with no option: what was captured is not captured again, the mended row is."""
    has = references[0] != ""
    heading = "order_id;amount_nok;transaction_text" + (";reference" if has else "")
    amounts = ["5,00", "5.000", "5,00", "5,00"]
    rows = [
        f"order-{number};{amount};Sokker" + (f";{references[number]}" if has else "")
        for number, amount in enumerate(amounts)
    ]
    file, report = tmp_path / "dagen.csv", tmp_path / "rapport.csv"
    file.write_bytes("\r\n".join([heading, *rows, ""]).encode("utf-8-sig"))
    first = await capture(sandbox, file, "--report", str(report), "--skip-invalid")
    assert (first.status, captured(sandbox)) == (1, [500, 0, 500, 500]), first.err
    table = open_csv(report.read_bytes())
    position = table[0].index("amount_nok")
    asked = table[2][position : table[0].index("outcome") + 1]
    assert asked == ["'5.000", "Sokker", *([f"'{references[1]}"] if has else []), "invalid"]
    table[2][position] = "5,00"
    again = tmp_path / "igjen.csv"
    again.write_bytes(save_csv(table))
    second = await capture(sandbox, again, "--report", str(report))
    # Rows without a reference are held: in another file their keys are others.
    assert (second.status, captured(sandbox)) == (0 if has else 5, [500, 500, 500, 500]), second.err
    outcomes = [row[table[0].index("outcome")] for row in open_csv(report.read_bytes())[1:]]
    before = "captured before" if has else "held"
    assert outcomes == [before, "captured", before, before]


async def test_times_are_of_oslo_unless_it_is_said(sandbox: Sandbox, tmp_path: Path) -> None:
    """The heading says the zone, and each time is one that a spreadsheet reads."""
    file, report = tmp_path / "day.csv", tmp_path / "report.csv"
    file.write_text("order_id,amount_nok,transaction_text,reference\norder-0,5.00,x,a\n")
    times = []
    for options in ((), ("--time-zone", "UTC"), ("--time-zone", "Europe/Helsinki")):
        await capture(sandbox, file, "--report", str(report), *options)
        heading, cells = open_csv(report.read_bytes(), ",")
        assert f"time_{(*options, 'Europe/Oslo')[1 if options else 0]}" in heading
        found = cells[[str(each).startswith("time_") for each in heading].index(True)]
        assert isinstance(found, datetime)
        times.append(found)
    oslo, utc, helsinki = times
    assert (helsinki - oslo).total_seconds() == 3600
    assert (oslo - utc).total_seconds() in {3600, 7200}


async def test_an_unknown_zone_is_refused_before_anything_is_sent(sandbox: Sandbox, tmp_path: Path) -> None:
    """With the nearest one that there is."""
    file = tmp_path / "day.csv"
    file.write_text("order_id,amount_nok,transaction_text,reference\norder-0,5.00,x,a\n")
    done = await capture(sandbox, file, "--report", str(tmp_path / "r.csv"), "--time-zone", "Europe/Olso")
    assert (done.status, captured(sandbox)) == (2, [0, 0, 0, 0])
    assert "this machine knows no time zone 'Europe/Olso'; Europe/Oslo is near it" in done.err
