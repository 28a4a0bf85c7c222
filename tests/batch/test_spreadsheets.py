"""Files of Norwegian spreadsheets are read right or refused, and a report opens in the same spreadsheet right out."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from attrs import evolve
from xlsxwriter.exceptions import FileCreateError

from tests.batch.row_stores import new_row_store
from tests.support.norwegian_spreadsheet import Formula, open_csv
from tests.support.rows import each_row
from vipps_async import ConfigurationError, InvalidInputError
from vipps_async.batch import BatchOperation, BatchRow, Origin, RowOutcome, RowResult
from vipps_async.batch import tables as module
from vipps_async.batch.layout import BatchFileError, Layout
from vipps_async.batch.reading import FileReader, InvalidRow, ValidRow
from vipps_async.batch.report import write_report
from vipps_async.batch.row_store import RowStore
from vipps_async.batch.tables import Amount, Cell, FileStyle, ReportFormat, write_table
from vipps_async.ecom.payment_api import ECOM_API
from vipps_async.epayment.payment_api import EPAYMENT_APIS
from vipps_async.not_given import NOT_GIVEN
from vipps_async.time_zone import TimeZone

CAPTURE = Layout(api=ECOM_API, operation=BatchOperation.CAPTURE)
ORE, NOK = ECOM_API.units
OSLO = TimeZone.named()
NORWEGIAN = evolve(
    CAPTURE,
    columns={
        "order_id": "Ordre",
        "amount_nok": "Beløp å trekke",
        "transaction_text": "Tekst",
        "reference": "Forsendelse",
    },
)
#: As Excel writes "CSV UTF-8" in Norway.
FILE = (
    "\ufeffOrdre;Beløp å trekke;Tekst;Forsendelse\r\n"
    "10000000000000012345;1\u00a0234,50;Blåbær;0007\r\n"
    "acme-2;kr 499,00;=2+3;s-2\r\n"
    ";;;\r\n"
).encode()


def read(content: str | bytes, layout: Layout) -> tuple[list[ValidRow | InvalidRow], FileReader]:
    """Read a whole file."""
    reader = FileReader(io.BytesIO(content if isinstance(content, bytes) else content.encode()), layout)
    return list(reader.rows()), reader


def amount_in(cell: str, layout: Layout, separator: str = ";") -> object:
    """Read one amount; the reason where it is refused."""
    content = f"order_id{separator}amount{separator}transaction_text\na{separator}{cell}{separator}x\n"
    ((row,), _) = read(content, layout)
    return row.amount if isinstance(row, ValidRow) else row.reason


def loaded(content: bytes, layout: Layout) -> RowStore:
    """A store of a file."""
    store = new_row_store()
    store.load(io.BytesIO(content), layout)
    return store


def report_of(store: RowStore, folder: Path, kind: ReportFormat = ReportFormat.CSV) -> bytes:
    """The report of a store, written like its file."""
    path = folder / "report"
    write_report(
        path, store.report(), ECOM_API, BatchOperation.CAPTURE, kind, zone=OSLO, unit=store.unit, style=store.style
    )
    return path.read_bytes()


# --- in ---------------------------------------------------------------------------------------------------------------


def test_a_norwegian_spreadsheet_is_read() -> None:
    """Semicolons, decimal commas, a mark, its own headings, thousands apart, kroner beside, empty rows at the end."""
    rows, reader = read(FILE, NORWEGIAN)
    expected = [("10000000000000012345", 123_450, "Blåbær", "0007", 2), ("acme-2", 49_900, "=2+3", "s-2", 3)]
    assert [(r.payment, r.amount, r.text, r.reference, r.line) for r in rows if isinstance(r, ValidRow)] == expected
    assert len(rows) == 2
    assert reader.style == FileStyle(separator=";", encoding="utf-8-sig", decimal_sign=",", omitted=["another"])
    assert reader.unit == NOK


def test_a_heading_may_be_written_in_either_form_of_unicode() -> None:
    """A Mac writes `å` as two characters, and means the same."""
    rows, _ = read(FILE.decode().replace("å trekke", "a\u030a trekke"), NORWEGIAN)
    assert isinstance(rows[0], ValidRow)


@each_row(
    ("cell", "expected"),
    [
        ("1 234", 123_400),
        ("1\u00a0234,50", 123_450),
        ("1\u202f234\u202f567,5", 123_456_750),
        ("12 345.67", 1_234_567),
        ("1.234,50", 123_450),
        ("1,234.50", 123_450),
        ("1.234.567,55", 123_456_755),
        ("kr 1.234,50", 123_450),
        ("kr 499", 49_900),
        ("kr\u00a01\u00a0234,50", 123_450),
        ("KR499,00", 49_900),
        ("499,00 kr", 49_900),
        ("499 kr.", 49_900),
        ("NOK 1 000", 100_000),
    ],
)
def test_what_can_mean_one_sum_only_is_read(cell: str, expected: int) -> None:
    """Thousands kept apart by each of the three spaces, and the currency on either side, in any case."""
    assert amount_in(cell, evolve(CAPTURE, unit=NOK)) == expected


@each_row(
    "cell",
    [
        "1.234",
        "1,234",
        "1.234.567",
        "1.234,567",
        "1.234,5",
        "1.234.50",
        "1,234,50",
        "12.34,50",
        "1.2345,50",
        "1 234.567,50",
        "0.234,50",
        "12 34",
        "1 2345",
        "1 234 56",
        "1\u00a0234 567",
        "1  234",
        " 1 234",
        "1 234 ",
        "0 234",
        "1\t234",
        "1\u2009234",
        "USD 499",
        "€ 499",
        "kr",
        "kr 499 kr",
        "kr -499",
        "-499,00",
        "1 234,505",
        "499,-",
    ],
)
def test_what_could_mean_another_sum_is_refused(cell: str) -> None:
    """Points before three digits, wrong groups, other currencies, signs: a row that is not sent, with its line."""
    quoted = f'"{cell}"'
    ((row,), _) = read(f"order_id;amount;transaction_text\na;{quoted};x\n", evolve(CAPTURE, unit=NOK))
    assert isinstance(row, InvalidRow)
    assert (row.line, row.reason.startswith("amount must be")) == (2, True)


def test_thousands_or_decimals_is_the_reason_where_it_is() -> None:
    """Whoever wrote `1.234` is told both readings, and how to write each."""
    for cell, readings in (
        ("1.234", """1234 kroner if '.' stands before thousands (then write "1234"), or 1.234 kroner if it stands """),
        ("1,234", """if it stands before decimals (two at most: write "1,23"), not '1,234'"""),
        ("1.234.567", """it is 1234567 kroner if '.' stands before thousands (then write "1234567"), not"""),
    ):
        assert readings in str(amount_in(cell, evolve(CAPTURE, unit=NOK)))
    assert "kroner" not in str(amount_in("1.234", evolve(CAPTURE, unit=ORE)))


@pytest.mark.parametrize(
    ("cell", "unit", "words"),
    [
        ("12O,00", NOK, "amount must be digits: it has the letter 'O' (is it a 0?), not '12O,00'"),
        ("12O", NOK, "it has the letter 'O' (is it a 0?)"),
        ("12O", ORE, "it has the letter 'O' (is it a 0?)"),
        ("l20,00", NOK, "it has the letter 'l' (is it a 1?)"),
        ("1x0", NOK, "it has the letter 'x', not"),
        ("1e3", NOK, "it has the letter 'e', not"),
        ("USD 499", NOK, "in kroner, as the file says, and not in 'USD'"),
    ],
)
def test_a_letter_in_an_amount_is_named(cell: str, unit: Any, words: str) -> None:
    """An O for a zero is not seen at a glance: which letter it is stands there, and what it may be."""
    assert words in str(amount_in(cell, evolve(CAPTURE, unit=unit)))


@pytest.mark.parametrize("cell", ["1.234,50", "1,234.50"])
def test_the_report_has_the_sign_before_decimals(cell: str) -> None:
    """Not the one before thousands: the spreadsheet that wrote the file reads the report."""
    _, reader = read(f"order_id;amount;transaction_text\na;{cell};x\n", evolve(CAPTURE, unit=NOK))
    assert reader.style.decimal_sign == cell[5]


def test_limits_are_told_in_what_the_file_counts_in() -> None:
    """A file in kroner speaks of kroner, and one in øre of øre."""
    assert "from 1.00 to 21474836.47 kroner, not '0,50'" in str(amount_in("0,50", evolve(CAPTURE, unit=NOK)))
    assert "from 100 to 2147483647 øre, not '50'" in str(amount_in("50", evolve(CAPTURE, unit=ORE)))
    for cell in ("0,50", "x", "1e3", "1 2", "1,234", "99999999999"):
        assert not {"øre", "minor"} & set(str(amount_in(cell, evolve(CAPTURE, unit=NOK))).split()), cell


@pytest.mark.parametrize(("cell", "expected"), [("49 900", 49_900), ("1\u00a0000\u00a0000", 1_000_000)])
def test_ore_may_be_kept_apart(cell: str, expected: int) -> None:
    """Whole øre with thousands apart mean one sum only."""
    assert amount_in(cell, evolve(CAPTURE, unit=ORE)) == expected


def test_kroner_are_no_ore() -> None:
    """A cell that says kroner in a column that says øre contradicts it."""
    assert "in øre, as the file says" in str(amount_in("kr 499", evolve(CAPTURE, unit=ORE)))


def test_a_euro_is_written_with_its_own_word() -> None:
    """Each currency has its words: `kr` is none of a euro's."""
    euros = Layout(api=EPAYMENT_APIS["EUR"], operation=BatchOperation.CAPTURE)
    rows, _ = read("reference;amount_eur\nacme-euro-1;€ 1 234,50\nacme-euro-2;kr 5\n", euros)
    assert isinstance(rows[0], ValidRow)
    assert rows[0].amount == 123_450
    assert isinstance(rows[1], InvalidRow)


@pytest.mark.parametrize("line", ["sep=;", '"sep=;"', "SEP=;", "\ufeffsep=;", "sep=;;;"])
def test_the_line_that_excel_writes_first_says_what_separates(line: str) -> None:
    """It is none of the table, and decides where the heading alone would leave a doubt."""
    rows, reader = read(f"{line}\r\norder_id;amount_nok;transaction_text\r\na,b;1,50;x\r\n", CAPTURE)
    assert isinstance(rows[0], InvalidRow)
    assert (rows[0].payment, rows[0].line) == ("a,b", 3)
    assert (reader.style.names_separator, reader.style.separator) == (True, ";")


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        ("sep=|\norder_id|transaction_text\n", 1, "separated by '|'"),
        ("sep=;\n", None, "empty"),
        ("sep=;\norder_id;transaction_text;x\n", 2, '"x" is no column'),
        (b"sep=;\norder_id;transaction_text\xff\n", 2, "not UTF-8"),
    ],
)
def test_a_first_line_that_does_not_help_is_refused(content: str | bytes, line: int | None, words: str) -> None:
    """With its line, as every file that cannot be read as a whole."""
    with pytest.raises(BatchFileError) as caught:
        read(content, CAPTURE)
    assert caught.value.line == line
    assert words in str(caught.value)


def test_tabs_separate_too() -> None:
    """As Excel writes text files; commas are free for decimals then."""
    rows, reader = read("order_id\tamount_nok\ttransaction_text\na\t1 234,50\tOne, two; three\n", CAPTURE)
    assert isinstance(rows[0], ValidRow)
    assert (rows[0].amount, rows[0].text) == (123_450, "One, two; three")
    assert (reader.style.separator, reader.style.decimal_sign) == ("\t", ",")


def test_of_two_separators_the_one_that_makes_a_heading_is_taken() -> None:
    """Quoted ones do not count, and where one alone makes known columns it is clear which is meant."""
    wide = evolve(CAPTURE, ignore_other_columns=True, columns={"amount_nok": "Beløp, kr"})
    for heading in ('order_id;"Beløp, kr";transaction_text', "order_id;Beløp, kr;transaction_text;Navn, sted"):
        rows, reader = read(f"{heading}\na;5;x{';y' * heading.count('Navn')}\n", wide)
        assert isinstance(rows[0], ValidRow), rows
        assert reader.style.separator == ";"


# --- columns ----------------------------------------------------------------------------------------------------------


def test_other_columns_are_passed_over_and_named() -> None:
    """As a shop's system exports them: nothing of them is looked at, empty or not, and they are told."""
    wide = evolve(NORWEGIAN, ignore_other_columns=True)
    rows, reader = read("Kunde;Ordre;Dato;Beløp å trekke;Tekst;Forsendelse;\nKari;a;;1,50;x;s;\n", wide)
    assert isinstance(rows[0], ValidRow)
    assert (rows[0].payment, rows[0].amount) == ("a", 150)
    assert reader.ignored == ("Kunde", "Dato", "")


def test_a_heading_that_was_given_to_another_name_is_another_column() -> None:
    """An export that has an `order_id` of its own, which is not the payment's."""
    layout = evolve(CAPTURE, columns={"order_id": "Vipps"}, ignore_other_columns=True, takes_all=True)
    rows, reader = read("order_id,Vipps,transaction_text\n17,acme-1,x\n", layout)
    assert isinstance(rows[0], ValidRow)
    assert (rows[0].payment, reader.ignored) == ("acme-1", ("order_id",))


def test_amounts_are_never_passed_over_in_silence() -> None:
    """A heading of amounts that is not known must not mean "all that is left": it has to be said."""
    content = "order_id,Amount,transaction_text\na,5,x\n"
    with pytest.raises(BatchFileError, match=r"no column has the amounts, if Amount are not looked at.*--all"):
        read(content, evolve(CAPTURE, ignore_other_columns=True))
    rows, _ = read(content, evolve(CAPTURE, ignore_other_columns=True, takes_all=True))
    assert isinstance(rows[0], ValidRow)
    assert rows[0].amount is NOT_GIVEN
    cancels = evolve(CAPTURE, operation=BatchOperation.CANCEL, ignore_other_columns=True)
    assert isinstance(read(content, cancels)[0][0], ValidRow)


def test_all_and_amounts_contradict_each_other() -> None:
    """Which one is meant?"""
    with pytest.raises(BatchFileError, match="cannot take all that is left as well"):
        read("order_id,amount_nok,transaction_text\n", evolve(CAPTURE, takes_all=True))


def test_a_column_that_was_named_and_is_not_there_is_told() -> None:
    """By both names."""
    with pytest.raises(BatchFileError, match="no column Ordre for order_id and no column Tekst for transaction_text"):
        read("Beløp å trekke;Forsendelse\n", NORWEGIAN)


def test_an_unknown_column_is_told_with_what_to_do() -> None:
    """It is named, and both options are."""
    with pytest.raises(
        BatchFileError, match=r'"Ordre" .* is no column.*--column order_id=Ordre.*--ignore-other-columns'
    ):
        read("Ordre;transaction_text\n", CAPTURE)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"columns": {"ordre": "Ordre"}}, "columns must be names of order_id, amount"),
        ({"columns": {"order_id": "A", "transaction_text": "A"}}, "a heading of its own"),
        ({"columns": {"order_id": ""}}, "a heading of its own"),
        ({"columns": {"amount_nok": "A"}, "operation": BatchOperation.CANCEL}, "columns must be names of"),
        ({"encoding": "utf-16"}, "encoding must be one of UTF-8, Windows-1252"),
        ({"encoding": "klingon"}, "encoding must be one of UTF-8, Windows-1252"),
    ],
)
def test_what_no_file_can_have_is_refused_before_it_is_read(changes: dict[str, Any], words: str) -> None:
    """A name that is no column's, two for one heading, an encoding in which lines do not end as they should."""
    with pytest.raises(InvalidInputError, match=words):
        evolve(CAPTURE, **changes)


def test_json_lines_have_other_names_too() -> None:
    """The same options say the same there; what is passed over may differ from line to line."""
    wide = evolve(NORWEGIAN, ignore_other_columns=True)
    line = {"Ordre": "a", "Beløp å trekke": "1.50", "Tekst": "x", "Forsendelse": "s"}
    content = "".join(json.dumps(line | more) + "\n" for more in ({"Kunde": 1}, {"Forsendelse": "t"}, {"Dato": None}))
    rows, reader = read(content, wide)
    assert [row.amount for row in rows if isinstance(row, ValidRow)] == [150] * 3
    assert reader.ignored == ("Kunde",)
    assert isinstance(read(content, NORWEGIAN)[0][0], InvalidRow)


def test_a_field_of_a_later_json_line_is_no_amount_that_is_passed_over() -> None:
    """The first line takes all that is left; one that has something else may mean an amount, and is refused."""
    layout = evolve(CAPTURE, ignore_other_columns=True)
    line = {"order_id": "a", "transaction_text": "x"}
    content = "".join(json.dumps(line | more) + "\n" for more in ({}, {"Amount": 5}))
    (first, second), _ = read(content, layout)
    assert isinstance(first, ValidRow)
    assert isinstance(second, InvalidRow)
    assert "no column has the amounts, if Amount are not looked at" in second.reason
    assert isinstance(read(content, evolve(layout, takes_all=True))[0][1], ValidRow)


# --- encodings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["windows-1252", "cp1252", "ISO-8859-1", "latin1"])
def test_an_older_encoding_is_read_where_it_is_said(name: str) -> None:
    """As older systems export: what the customer reads is right."""
    content = "order_id;amount_nok;transaction_text\r\na;5;Blåbær på øya\r\n".encode("cp1252")
    rows, reader = read(content, evolve(CAPTURE, encoding=name))
    assert isinstance(rows[0], ValidRow)
    assert rows[0].text == "Blåbær på øya"
    assert reader.style.encoding in {"cp1252", "iso8859-1"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a;5;Blåbær".encode(), "line 2 is UTF-8 and not Windows-1252"),
        (b"a;5;Bl\x81", "not Windows-1252 (byte 0x81 in line 2)"),
    ],
)
def test_an_encoding_that_is_not_the_files_is_found_out(content: bytes, words: str) -> None:
    """A customer should read no `BlÃ¥bÃ¦r`."""
    ((row,), _) = read(b"order_id;amount_nok;transaction_text\n" + content, evolve(CAPTURE, encoding="windows-1252"))
    assert isinstance(row, InvalidRow)
    assert row.reason.startswith(words)


def test_a_mark_of_another_encoding_is_refused() -> None:
    """The file says itself what it is."""
    with pytest.raises(BatchFileError, match="line 1: the file begins with the mark of UTF-8"):
        read(FILE, evolve(NORWEGIAN, encoding="windows-1252"))


# --- out --------------------------------------------------------------------------------------------------------------


def test_the_report_of_a_norwegian_spreadsheet_opens_right_in_it(tmp_path: Path) -> None:
    """Sums are numbers with their comma, ids are text with all of their digits, and nothing is computed."""
    store = loaded(FILE, NORWEGIAN)
    row = next(store.rows())
    store.save([RowResult(row=row, outcome=RowOutcome.DONE, idempotency_key="d1-abc", amount=123_450)])
    content = report_of(store, tmp_path)
    heading, first, second = open_csv(content)
    assert heading[2:7] == ["order_id", "amount_nok", "transaction_text", "reference", "outcome"]
    assert heading[7:9] == ["moved_nok", "time_Europe/Oslo"]
    assert first[2:8] == [
        "'10000000000000012345",
        Decimal("1234.50"),
        "Blåbær",
        "'0007",
        "captured",
        Decimal("1234.50"),
    ]
    assert second[2:5] == ["acme-2", Decimal("499.00"), "'=2+3"]
    assert not [cell for line in (first, second) for cell in line if isinstance(cell, Formula)]
    assert content.startswith(b"\xef\xbb\xbf")
    assert content.count(b"\r\n") == content.count(b"\n") == 3


def test_a_report_keeps_the_line_that_names_the_separator(tmp_path: Path) -> None:
    """In a file that began with it, whatever the spreadsheet is set up for."""
    store = loaded(b"sep=\t\r\norder_id\tamount_nok\ttransaction_text\r\nacme-1\t1,50\tx\r\n", CAPTURE)
    rows = open_csv(report_of(store, tmp_path))
    assert rows[1][2:4] == ["acme-1", Decimal("1.50")]


def test_a_report_in_an_older_encoding(tmp_path: Path) -> None:
    """What the encoding lacks is written as an escape, so that all else can be read."""
    content = "order_id;amount_ore;transaction_text\r\nacme-1;100;Blåbær €\r\n".encode("cp1252")
    store = loaded(content, evolve(CAPTURE, encoding="windows-1252"))
    (row,) = store.rows()
    store.save([RowResult(row=row, outcome=RowOutcome.HELD, idempotency_key="k", hint="\u2192 \u0159")])
    rows = open_csv(report_of(store, tmp_path))
    assert rows[0][3] == "amount_ore"
    assert (rows[1][3], rows[1][4], rows[1][-2]) == (Decimal(100), "Blåbær €", "\\u2192 \\u0159")


@pytest.mark.parametrize(
    ("cells", "sign"),
    [(["1,50", "2"], ","), (["1.50", "2"], "."), (["1.50", "2,50"], ","), (["1", "all"], ","), (["kr. 5"], ",")],
)
def test_the_decimal_sign_is_the_files(cells: list[str], sign: str) -> None:
    """The one that it writes; where it writes both or neither, the one of what separates its cells."""
    rows = "".join(f"a{number};{cell};x\n" for number, cell in enumerate(cells))
    _, reader = read(f"order_id;amount_nok;transaction_text\n{rows}", CAPTURE)
    assert reader.style.decimal_sign == sign


def test_a_programs_file_has_a_programs_report(tmp_path: Path) -> None:
    """Commas, points and ids as they are: no apostrophe stands before digits where no spreadsheet opens it."""
    store = loaded(b"order_id,amount_nok,transaction_text\n10000000000000012345,1.50,x\n", CAPTURE)
    (line,) = csv.DictReader(io.StringIO(report_of(store, tmp_path).decode()))
    assert (line["order_id"], line["amount_nok"]) == ("10000000000000012345", "1.50")


@each_row("text", ["=1", "+1", "-1", "@x", "a,=1", "a;=1", "a\t=1", "\t-1", "a,\t=1", "\uff1d1"])
@each_row("own", [",", ";", "\t"])
@each_row("theirs", [",", ";", "\t"])
def test_no_spreadsheet_computes_what_came_from_outside(tmp_path: Path, text: str, own: str, theirs: str) -> None:
    """Whatever separates the report, and whatever the spreadsheet believes separates it."""
    path = tmp_path / "table.csv"
    write_table(
        path,
        ["text", "sum"],
        [[text, Amount(-150, ORE)]],
        ReportFormat.CSV,
        FileStyle(separator=own, encoding="utf-8-sig"),
    )
    cells = [cell for row in open_csv(path.read_bytes(), theirs) for cell in row]
    assert not [cell for cell in cells if isinstance(cell, Formula)]


def test_negative_sums_stay_numbers(tmp_path: Path) -> None:
    """A difference below 0 is no formula: it is added up with the others."""
    path = tmp_path / "table.csv"
    style = FileStyle(separator=";", encoding="utf-8-sig", decimal_sign=",")
    sums: list[list[Cell]] = [[Amount(-5, NOK)], [Amount(-123_456, NOK)], [Amount(-7, ORE)], [-3]]
    write_table(path, ["sum"], sums, ReportFormat.CSV, style)
    assert open_csv(path.read_bytes())[1:] == [[Decimal("-0.05")], [Decimal("-1234.56")], [Decimal(-7)], [Decimal(-3)]]


# --- workbooks --------------------------------------------------------------------------------------------------------


def test_a_workbook_has_texts_as_texts_and_sums_as_numbers(tmp_path: Path) -> None:
    """Read back by another library: ids keep their digits, nothing is a formula or a link, sums can be added up."""
    path = tmp_path / "report.xlsx"
    texts = ["10000000000000012345", "0007", "=2+3", "https://example.com", "-1", "\x1b[2J", "x" * 40_000]
    rows = [[2, text, Amount(-150, NOK), Amount(99, ORE), None] for text in texts]
    write_table(path, ["line", "text", "sum_nok", "sum_ore", "nothing"], rows, ReportFormat.XLSX, FileStyle())
    sheet = openpyxl.load_workbook(path).active
    heading, *found = sheet.iter_rows()
    assert [cell.value for cell in heading] == ["line", "text", "sum_nok", "sum_ore", "nothing"]
    assert [row[1].value for row in found[:5]] == texts[:5]
    assert {row[1].data_type for row in found} == {"s"}
    assert found[5][1].value == "\\u001b[2J"
    assert len(found[6][1].value) == 32_767
    assert {(row[0].value, row[2].value, row[3].value, row[4].value) for row in found} == {(2, -1.5, 99, None)}
    assert (found[0][2].number_format, found[0][1].hyperlink) == ("0.00", None)
    assert path.stat().st_mode & 0o077 == 0


def test_without_its_library_a_workbook_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is written, with what to install."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(ConfigurationError, match=r"needs the extra 'xlsx'"):
        write_table(tmp_path / "report.xlsx", ["a"], [["b"]], ReportFormat.XLSX, FileStyle())
    assert not list(tmp_path.iterdir())


def test_a_sheet_that_is_too_short_is_no_half_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Excel has a last row: what does not fit is refused, and the older report stays."""
    monkeypatch.setattr(module, "MOST_SHEET_ROWS", 2)
    path = tmp_path / "report.xlsx"
    path.write_bytes(b"older")
    with pytest.raises(ConfigurationError, match="2 rows at most"):
        write_table(path, ["a"], [["b"]] * 3, ReportFormat.XLSX, FileStyle())
    assert (path.read_bytes(), list(tmp_path.iterdir())) == (b"older", [path])


def test_a_full_disk_is_an_error_of_the_system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Also where the library has an error of its own for it."""

    def full(*_: object) -> None:
        raise FileCreateError(OSError("no space left"))

    monkeypatch.setattr(module, "_fill", full)
    with pytest.raises(OSError, match="no space left"):
        write_table(tmp_path / "report.xlsx", ["a"], [["b"]], ReportFormat.XLSX, FileStyle())
    assert not list(tmp_path.iterdir())


def test_a_row_keeps_its_key_under_any_heading() -> None:
    """What a column is called makes no other wish: the key follows from the reference, or from bytes and place."""
    (first, _), reader = read(FILE, NORWEGIAN)
    assert isinstance(first, ValidRow)
    origin = Origin(digest=reader.digest, number=first.number, line=first.line)
    row = BatchRow(payment=first.payment, text=first.text, reference=first.reference, origin=origin)
    plain = BatchRow(payment="10000000000000012345", reference="0007")
    assert plain.idempotency_key(BatchOperation.CAPTURE, "1") == row.idempotency_key(BatchOperation.CAPTURE, "1")


@pytest.mark.parametrize(
    ("cell", "expected"), [("ja", True), ("nei", False), ("yes", True), ("no", False), ("", False)]
)
def test_another_one_may_be_meant_in_norwegian(cell: str, expected: bool) -> None:  # noqa: FBT001 - a parameter
    """The cells of `another` under their own heading."""
    layout = evolve(CAPTURE, columns={"another": "Enda en"})
    rows, _ = read(f"order_id;amount_nok;transaction_text;Enda en\na;5;x;{cell}\n", layout)
    assert isinstance(rows[0], ValidRow)
    assert rows[0].another is expected
