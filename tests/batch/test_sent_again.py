"""A report is opened in a spreadsheet, corrected, saved and sent again: no reference changes, and no cell is lost."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import openpyxl
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from tests.batch.row_stores import new_row_store
from tests.support.norwegian_spreadsheet import Changed, Formula, open_csv, save_csv
from tests.support.rows import each_row
from vipps_async.batch import BatchOperation, RowOutcome, RowResult
from vipps_async.batch.layout import Layout
from vipps_async.batch.reading import FileReader, InvalidRow, ValidRow
from vipps_async.batch.report import columns, write_report
from vipps_async.batch.row_store import RowStore
from vipps_async.batch.tables import FileStyle, ReportFormat, unguarded, write_table
from vipps_async.ecom.payment_api import ECOM_API
from vipps_async.not_given import NOT_GIVEN
from vipps_async.time_zone import TimeZone

CAPTURE = Layout(api=ECOM_API, operation=BatchOperation.CAPTURE)
OSLO = TimeZone.named()
#: References that a spreadsheet would change if they stood bare in its file.
REFERENCES = [
    "0007",
    "12-1",
    "3/4",
    "2026-11-27",
    "1.5",
    "1,50",
    "10:30",
    "5%",
    "10000000000000012345",
    "12E5",
    "mai-26",
    "2.jan",
    "des26",
    "sann",
    "=2+3",
    "+47",
    "-1",
    "@x",
    "a;=1",
    'a"b,-c',
]
SPREADSHEET = FileStyle(separator=";", encoding="utf-8-sig", decimal_sign=",")


def loaded(content: bytes, layout: Layout = CAPTURE) -> RowStore:
    """A store of a file."""
    store = new_row_store()
    store.load(io.BytesIO(content), layout)
    return store


def report(store: RowStore, folder: Path, kind: ReportFormat = ReportFormat.CSV, layout: Layout = CAPTURE) -> bytes:
    """The report of a store, written like its file."""
    path = folder / f"report.{kind.value}"
    write_report(path, store.report(), ECOM_API, layout.operation, kind, zone=OSLO, unit=store.unit, style=store.style)
    return path.read_bytes()


def rows_of(content: bytes, layout: Layout = CAPTURE) -> list[ValidRow | InvalidRow]:
    """The rows of a file."""
    return list(FileReader(io.BytesIO(content), layout).rows())


def meant(rows: list[ValidRow | InvalidRow]) -> Iterator[tuple[object, ...]]:
    """What rows ask for, whatever their lines."""
    for row in rows:
        assert isinstance(row, ValidRow), row
        yield row.payment, row.amount, row.text, row.reference


def norwegian(references: tuple[str, ...] | list[str]) -> bytes:
    """A file as a spreadsheet writes it, with these references in quotes."""
    quoted = [f'"{each.replace(chr(34), chr(34) * 2)}"' for each in references]
    lines = [f"order-{number};{number + 5},50;Sokker;{each}" for number, each in enumerate(quoted)]
    return "\r\n".join(["order_id;amount_nok;transaction_text;reference", *lines, ""]).encode("utf-8-sig")


def test_a_report_that_a_spreadsheet_has_saved_asks_for_the_same(tmp_path: Path) -> None:
    """A reference that comes back as a date, or with an apostrophe, would be another one: captured a second time."""
    content = norwegian(REFERENCES)
    store = loaded(content)
    for row in store.rows():
        time = datetime(2026, 3, 29, 0, 59, 59, 999_000, tzinfo=UTC)
        store.save([RowResult(row=row, outcome=RowOutcome.UNKNOWN, idempotency_key="d1-x", amount=5, time=time)])
    table = open_csv(report(store, tmp_path))
    assert not [cell for line in table for cell in line if isinstance(cell, Changed | Formula)]
    heading = columns(ECOM_API, BatchOperation.CAPTURE, OSLO, store.unit, omitted=["another"])
    assert table[0] == list(heading)
    # Read as a time, by the clocks of Oslo.
    assert table[1][heading.index("time_Europe/Oslo")] == datetime.fromisoformat("2026-03-29 01:59:59")
    again = rows_of(save_csv(table))
    assert list(meant(again)) == list(meant(rows_of(content)))


def test_an_invalid_row_keeps_its_cells_and_is_corrected_in_the_report(tmp_path: Path) -> None:
    """Of each row that is wrong the report has what the file has; the cells are mended, and the report is sent."""
    content = (
        "order_id;amount_nok;transaction_text;reference;another\r\n"
        "order-1;10,00;Sokker;0001;\r\n"
        "order-2;1.234;Blåbær;0002;ja\r\n"
        "order 3;3,50;Sokker;12-1;kanskje\r\n"
        "order-4;;Sokker;s-4;nei\r\n"
        "order-5;5,00;Sokker;;\r\n"
    ).encode("utf-8-sig")
    store = loaded(content)
    table = open_csv(report(store, tmp_path))
    heading = table[0]
    asked = [line[heading.index("order_id") : heading.index("outcome") + 1] for line in table[1:]]
    assert asked == [
        ["order-1", Decimal("10.00"), "Sokker", "'0001", "", "not begun"],
        ["order-2", "'1.234", "Blåbær", "'0002", "ja", "invalid"],
        ["order 3", "'3,50", "Sokker", "'12-1", "kanskje", "invalid"],
        ["order-4", "", "Sokker", "s-4", "nei", "invalid"],
        ["order-5", "'5,00", "Sokker", "", "", "invalid"],
    ]
    assert [line[heading.index("money_moved")] for line in table[1:]] == ["not by this row"] * 5
    assert table[2][heading.index("what_to_do")] == "correct the row"
    # Nothing that is not corrected is taken for right.
    assert [isinstance(row, ValidRow) for row in rows_of(save_csv(table))] == [True, False, False, False, False]
    table[2][3], table[3][2], table[3][6], table[4][3], table[5][5] = Decimal(1234), "order-3", "nei", "all", "s-5"
    assert list(meant(rows_of(save_csv(table)))) == [
        ("order-1", 1_000, "Sokker", "0001"),
        ("order-2", 123_400, "Blåbær", "0002"),
        ("order-3", 350, "Sokker", "12-1"),
        ("order-4", NOT_GIVEN, "Sokker", "s-4"),
        ("order-5", 500, "Sokker", "s-5"),
    ]


@pytest.mark.parametrize(
    "line",
    [b"order-1,100,50,Sokker", b"order-1,100", b"order-1,100,Bl\xe5b\xe6r", b"order-1,100,So\0ck"],
    ids=["a comma too many", "a cell too few", "another encoding", "a NUL character"],
)
def test_a_row_whose_cells_nobody_can_tell_stays_invalid(tmp_path: Path, line: bytes) -> None:
    """`100,50` in a file with commas is two cells: sent again as 100 kroner, with the text `50`, it would be taken."""
    store = loaded(b"order_id,amount_nok,transaction_text\n" + line + b"\n")
    content = report(store, tmp_path)
    assert b"order-1,100" in content
    (again,) = rows_of(content)
    assert isinstance(again, InvalidRow)


def test_a_file_that_says_things_for_all_rows_says_them_in_its_report(tmp_path: Path) -> None:
    """Without amounts each row takes all that is left, and the text is the command line's; the report has both."""
    layout = evolve(CAPTURE, text="Sendt")
    store = loaded(b"order_id\norder-1\norder 2\n", layout)
    content = report(store, tmp_path).replace(b"order 2", b"order-2")
    expected = [("order-1", NOT_GIVEN, "Sendt", None), ("order-2", NOT_GIVEN, "Sendt", None)]
    assert list(meant(rows_of(content))) == expected


def test_a_report_in_windows_1252_is_sent_again(tmp_path: Path) -> None:
    """With the same `--encoding`, and without what the first file had to be told: the headings are known ones."""
    layout = evolve(
        CAPTURE,
        columns={"order_id": "Ordre", "amount_nok": "Beløp", "transaction_text": "Tekst", "reference": "Bilag"},
        encoding="windows-1252",
    )
    content = "Ordre;Beløp;Tekst;Bilag\r\norder-1;5,50;Blåbær €;0007\r\n".encode("cp1252")
    store = loaded(content, layout)
    again = rows_of(report(store, tmp_path), evolve(CAPTURE, encoding="windows-1252"))
    assert list(meant(again)) == [("order-1", 550, "Blåbær €", "0007")]


def test_a_report_as_json_lines_is_sent_again(tmp_path: Path) -> None:
    """With its numbers and what it has nothing of."""
    lines = [
        {"order_id": "order-1", "amount_ore": 500, "transaction_text": "x"},
        {"order_id": 17, "amount_ore": 600, "transaction_text": "\ud800"},
        {"order_id": "order-3", "amount_ore": 7.5, "transaction_text": "x"},
    ]
    store = loaded("".join(json.dumps(line) + "\n" for line in lines).encode())
    content = report(store, tmp_path, ReportFormat.JSONL)
    first, second, third = rows_of(content)
    assert list(meant([first])) == [("order-1", 500, "x", None)]
    assert isinstance(second, InvalidRow)
    assert (second.cells["amount"], second.cells["text"]) == ("600", "\\ud800")
    # A line that is no such JSON stands for itself.
    assert isinstance(third, InvalidRow)
    assert "7.5" in third.payment


def test_a_report_of_cancels_is_sent_again(tmp_path: Path) -> None:
    """It has no column of amounts, as a file of cancels has none."""
    layout = evolve(CAPTURE, operation=BatchOperation.CANCEL)
    store = loaded(b"order_id,transaction_text\norder-1,x\n", layout)
    assert list(meant(rows_of(report(store, tmp_path, layout=layout), layout))) == [("order-1", NOT_GIVEN, "x", None)]


def test_another_one_is_not_meant_twice(tmp_path: Path) -> None:
    """A row that may have been carried out is not released in its report, where its key is a new one."""
    store = loaded(b"order_id,amount_nok,transaction_text,another\norder-1,5.00,x,yes\n")
    (row,) = store.rows()
    store.save([RowResult(row=row, outcome=RowOutcome.UNKNOWN, idempotency_key="k")])
    (again,) = rows_of(report(store, tmp_path))
    assert isinstance(again, ValidRow)
    assert not again.another


def test_other_columns_of_a_report_are_not_passed_over() -> None:
    """Only a report's own: what somebody has added may be an amount."""
    own = ",".join(columns(ECOM_API, BatchOperation.CAPTURE, OSLO, preview=True))
    assert rows_of(f"{own}\n".encode()) == []
    with pytest.raises(ValueError, match=r'"Belop" .*is no column'):
        rows_of(f"{own},Belop\n".encode())
    with pytest.raises(ValueError, match='"outcome"'):
        rows_of(b"order_id,amount_nok,transaction_text,outcome\n")


@given(st.text(alphabet='=+-@\t\r\n;, "019ae./:%\uff1d'), st.sampled_from([",", ";", "\t"]))
def test_what_stands_in_front_is_taken_away_again(text: str, separator: str) -> None:
    """Whatever a cell has, but for apostrophes of its own."""
    cells = _written(text, separator)
    assert unguarded(cells, separator) == text


def _written(text: str, separator: str) -> str:
    from vipps_async.batch.tables import _csv_cell  # noqa: PLC0415

    return str(_csv_cell(text, evolve(SPREADSHEET, separator=separator)))


@each_row("text", ['a"b', '"', "two\r\nlines", "two\nlines", "a;b", " leading", "trailing ", "it's"])
def test_quotes_and_line_breaks_stay_in_their_cell(tmp_path: Path, text: str) -> None:
    """And what stands behind them in its column."""
    path = tmp_path / "table.csv"
    write_table(path, ["text", "next"], [[text, "next"], ["second", "x"]], ReportFormat.CSV, SPREADSHEET)
    assert open_csv(path.read_bytes())[1:] == [[text, "next"], ["second", "x"]]


def test_times_are_times_in_every_format(tmp_path: Path) -> None:
    """A workbook's can be reckoned with, CSV's are read as such, and those of JSON Lines have their offset."""
    store = loaded(b"order_id,amount_nok,transaction_text\norder-1,5.00,x\n")
    (row,) = store.rows()
    time = datetime(2026, 7, 31, 22, 30, tzinfo=UTC)
    store.save([RowResult(row=row, outcome=RowOutcome.DONE, idempotency_key="k", amount=500, time=time)])
    report(store, tmp_path, ReportFormat.XLSX)
    sheet = openpyxl.load_workbook(tmp_path / "report.xlsx").active
    heading, cells = sheet.iter_rows()
    position = [cell.value for cell in heading].index("time_Europe/Oslo")
    assert (cells[position].value, cells[position].is_date) == (datetime.fromisoformat("2026-08-01 00:30"), True)
    line = json.loads(report(store, tmp_path, ReportFormat.JSONL))
    assert line["time_Europe/Oslo"] == "2026-08-01T00:30:00.000+02:00"
    assert b"2026-08-01 00:30:00" in report(store, tmp_path)
