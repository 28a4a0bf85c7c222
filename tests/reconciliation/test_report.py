"""The report and the sums of a day: each kind of row has its amounts and differences, and sums add all rows up."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import orjson
import pytest

from tests.support.norwegian_spreadsheet import open_csv
from tests.support.rows import each_row
from vipps_async.batch.tables import FileStyle, ReportFormat
from vipps_async.reconciliation import ComparedOperation, Comparison
from vipps_async.reconciliation.report import WHAT_TO_DO, Sum, columns, sums_of, write_day_report
from vipps_async.time_zone import TimeZone

OSLO = TimeZone.named()
NORWEGIAN = FileStyle(separator=";", encoding="utf-8-sig", decimal_sign=",")
LATE = datetime(2026, 11, 26, 23, 30, tzinfo=UTC)


def operation(comparison: Comparison, **values: Any) -> ComparedOperation:
    """One of a day."""
    facts = {"api": "ecom", "operation": "capture", "payment": "order-1", "currency": "NOK", "key": "k", **values}
    return ComparedOperation(comparison=comparison, **facts)


#: Each kind of row with asked, journal, Vipps and the two differences, in minor units.
KINDS = [
    (Comparison.AGREES, 1000, 1000, 1000, 0, 0),
    (Comparison.AGREES, None, 1000, 1000, 0, None),
    (Comparison.OTHERWISE, 1000, 500, 500, 0, -500),
    (Comparison.DIFFERS, 1000, 1000, 700, -300, -300),
    (Comparison.DIFFERS, 1000, 500, 1000, 500, 0),
    (Comparison.REPEATED, None, None, None, None, None),
    (Comparison.ONLY_IN_JOURNAL, 1000, 1000, 0, -1000, -1000),
    (Comparison.ONLY_AT_VIPPS, None, 0, 250, 250, None),
    (Comparison.ONLY_AT_VIPPS_OTHER_DAY, None, 0, 250, 250, None),
    (Comparison.OPEN, 1000, 0, 1000, 1000, 0),
    (Comparison.OPEN, 1000, None, None, None, None),
    (Comparison.INCONCLUSIVE, 1000, 1000, None, None, None),
    (Comparison.INCONCLUSIVE, None, None, None, None, None),
]


def test_every_kind_is_among_them() -> None:
    """So that a new one is told, too, with what to do."""
    assert {kind for kind, *_ in KINDS} == set(Comparison) == set(WHAT_TO_DO)
    assert [kind for kind in Comparison if not WHAT_TO_DO[kind]] == [Comparison.AGREES, Comparison.REPEATED]


@each_row("case", KINDS)
def test_each_kind_of_row(tmp_path: Path, case: tuple[Any, ...]) -> None:
    """What was asked, what the journal has, what Vipps has, and what Vipps has less each; in kroner that add up."""
    kind, asked, journal, vipps, *differences = case
    path = tmp_path / "day.csv"
    row = operation(kind, asked=asked, recorded=journal, found=vipps, settled_at=LATE, reason="so")
    write_day_report(path, [row], ReportFormat.CSV, OSLO, NORWEGIAN)
    heading, cells = open_csv(path.read_bytes())
    assert heading == list(columns(OSLO))
    table = dict(zip(columns(OSLO), cells, strict=True))
    found = [table[name] for name in ("asked", "journal", "vipps", "vipps_less_journal", "vipps_less_asked")]
    expected = (asked, journal, vipps, *differences)
    assert found == ["" if each is None else Decimal(each) / 100 for each in expected]
    assert (table["comparison"], table["currency"]) == (kind.value, "NOK")
    assert (table["what_happened"], table["what_to_do"]) == ("so", WHAT_TO_DO[kind])
    # Half past midnight in Oslo, which a spreadsheet reads as a time.
    assert table["done_Europe/Oslo"] == datetime.fromisoformat("2026-11-27 00:30:00")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "on record since 2026-11-26 23:30:05 UTC, and so on",
            "on record since 2026-11-27 00:30:05 Europe/Oslo, and so on",
        ),
        ("after 2026-07-01 10:00 UTC", "after 2026-07-01 12:00 Europe/Oslo"),
        ("2026-13-01 10:00:00 UTC is no time", "2026-13-01 10:00:00 UTC is no time"),
        ("at 10:00 UTC", "at 10:00 UTC"),
    ],
)
def test_times_in_texts_are_of_the_zone_of_the_columns(tmp_path: Path, text: str, told: str) -> None:
    """A report has one zone: what an error says in UTC would be of another day than the column beside it."""
    path = tmp_path / "day.jsonl"
    for zone, expected in ((OSLO, told), (TimeZone.named("UTC"), text)):
        write_day_report(path, [operation(Comparison.DIFFERS, reason=text)], ReportFormat.JSONL, zone)
        assert orjson.loads(path.read_bytes())["what_happened"] == expected


def test_sums_are_of_all_rows_and_of_each_currency() -> None:
    """Journal, plus the difference, is Vipps, plus what is not known there; another day's is told and not added up."""
    rows = [operation(kind, asked=asked, recorded=mine, found=theirs) for kind, asked, mine, theirs, *_ in KINDS]
    rows += [
        operation(Comparison.AGREES, operation="refund", recorded=200, found=200),
        operation(Comparison.AGREES, operation="cancel"),
        operation(Comparison.AGREES, currency="EUR", recorded=1, found=1),
        operation(Comparison.ONLY_AT_VIPPS, currency="EUR", operation="refund", recorded=0, found=70),
    ]
    sums = sums_of(rows)
    assert sums.sums == {
        ("NOK", "capture"): Sum(journal=6000, vipps=5450, not_known=1000),
        ("NOK", "refund"): Sum(journal=200, vipps=200),
        ("EUR", "capture"): Sum(journal=1, vipps=1),
        ("EUR", "refund"): Sum(journal=0, vipps=70),
    }
    assert sums.sums["NOK", "capture"].difference == sum(
        row.vipps_less_journal or 0 for row in rows[:12] if row.comparison is not Comparison.ONLY_AT_VIPPS_OTHER_DAY
    )
    assert sums.net("EUR") == Sum(journal=1, vipps=-69)
    assert sums.net("NOK").difference == sums.sums["NOK", "capture"].difference
    assert sums.counts == {
        Comparison.AGREES: 5,
        Comparison.OTHERWISE: 1,
        Comparison.DIFFERS: 2,
        Comparison.REPEATED: 1,
        Comparison.ONLY_IN_JOURNAL: 1,
        Comparison.ONLY_AT_VIPPS: 2,
        Comparison.ONLY_AT_VIPPS_OTHER_DAY: 1,
        Comparison.OPEN: 2,
        Comparison.INCONCLUSIVE: 2,
    }


def test_times_are_times_in_a_workbook_and_have_their_offset_in_json_lines(tmp_path: Path) -> None:
    """Whoever reads them needs no second look at the heading, nor a formula."""
    row = operation(Comparison.AGREES, recorded=5, found=5, settled_at=LATE, time=LATE)
    write_day_report(tmp_path / "day.xlsx", [row], ReportFormat.XLSX, OSLO)
    sheet = openpyxl.load_workbook(tmp_path / "day.xlsx").active
    cell = list(sheet.iter_rows())[1][columns(OSLO).index("vipps_time_Europe/Oslo")]
    assert (cell.value, cell.is_date) == (datetime.fromisoformat("2026-11-27 00:30"), True)
    write_day_report(tmp_path / "day.jsonl", [row], ReportFormat.JSONL, TimeZone.named("UTC"))
    assert json.loads((tmp_path / "day.jsonl").read_text())["done_UTC"] == "2026-11-26T23:30:00.000+00:00"
