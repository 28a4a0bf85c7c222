"""Batch files as shops write them, and as they should not: each row is read right, or is bad with a reason."""

from __future__ import annotations

import io
import json

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.rows import each_row
from vipps_async.batch import BatchOperation
from vipps_async.batch.layout import BatchFileError, FileFormat, Layout
from vipps_async.batch.reading import FileReader, InvalidRow, ValidRow
from vipps_async.core.payment_api import Unit
from vipps_async.ecom.payment_api import ECOM_API
from vipps_async.not_given import NOT_GIVEN

ORE, NOK = ECOM_API.units
CAPTURE = Layout(api=ECOM_API, operation=BatchOperation.CAPTURE, unit=ORE)
KRONER = Layout(api=ECOM_API, operation=BatchOperation.CAPTURE, unit=NOK)
HEADING = "order_id,amount,transaction_text,reference\n"


def read(content: str | bytes, layout: Layout = CAPTURE) -> list[ValidRow | InvalidRow]:
    """Read a whole file."""
    data = content if isinstance(content, bytes) else content.encode()
    return list(FileReader(io.BytesIO(data), layout).rows())


def good(content: str | bytes, layout: Layout = CAPTURE) -> list[ValidRow]:
    """Read a file of good rows only."""
    rows = read(content, layout)
    assert not [row for row in rows if isinstance(row, InvalidRow)], rows
    return [row for row in rows if isinstance(row, ValidRow)]


def the_violation(content: str | bytes, layout: Layout = CAPTURE) -> str:
    """Read a file with one row, which is bad, and return why."""
    (row,) = read(content, layout)
    assert isinstance(row, InvalidRow), row
    return row.reason


def amounts(cells: str, layout: Layout = CAPTURE, separator: str = ",") -> object:
    """Read one amount out of a CSV file."""
    content = f"order_id{separator}amount{separator}transaction_text\nacme-1{separator}{cells}{separator}Socks\n"
    (row,) = read(content, layout)
    return row.amount if isinstance(row, ValidRow) else row.reason


# --- CSV --------------------------------------------------------------------------------------------------------------


def test_a_row_is_read_as_it_stands() -> None:
    """All four columns, the row's number and its line."""
    expected = ValidRow(number=1, line=2, payment="acme-1", amount=49900, text="One pair, blue", reference="s-1")
    assert good(HEADING + 'acme-1,49900,"One pair, blue",s-1\n') == [expected]


def test_columns_come_in_any_order() -> None:
    """The heading says which is which."""
    (row,) = good("reference;transaction_text;order_id;amount\ns-1;Socks;acme-1;100\n")
    assert (row.payment, row.amount, row.reference) == ("acme-1", 100, "s-1")


@each_row("end", ["\n", "\r\n"])
@each_row("bom", [b"", b"\xef\xbb\xbf"])
@each_row("separator", [",", ";"])
def test_spreadsheets_of_all_kinds_are_read(end: str, bom: bytes, separator: str) -> None:
    """With and without byte order mark, commas or semicolons, either line end, empty lines, no end at the end."""
    lines = ["order_id,amount,transaction_text", "", "acme-1,100,Blåbær", "acme-2,200,Øl"]
    content = bom + end.join(lines).replace(",", separator).encode()
    assert [(row.payment, row.amount, row.text, row.line) for row in good(content)] == [
        ("acme-1", 100, "Blåbær", 3),
        ("acme-2", 200, "Øl", 4),
    ]


def test_a_line_break_in_quotes_belongs_to_the_text_and_lines_are_counted_on() -> None:
    """A row is found by the line that it begins on, whatever stands in the rows before it."""
    rows = read('order_id,amount,transaction_text\nacme-1,100,"two\nlines ""here"""\nacme-2,99,Socks\n')
    assert isinstance(rows[0], ValidRow)
    assert rows[0].text == 'two\nlines "here"'
    assert (rows[0].line, rows[1].line) == (2, 4)


def test_no_amount_column_takes_all_that_is_left() -> None:
    """A file without the column, and the word all, mean the same."""
    assert good("order_id,transaction_text\nacme-1,Socks\n")[0].amount is NOT_GIVEN
    assert amounts("all") is NOT_GIVEN


@each_row(
    "cell",
    [
        "99",
        "0",
        "-5",
        "+100",
        "1e3",
        "1E3",
        " 100 ",
        "100 ",
        "１００",
        "١٠٠",
        "100.50",
        "100.00",
        "1_000",
        "0x64",
        "0100",
        "ALL",
        "none",
        "1000000000000",
        "2147483648",
        "=100",
        "NaN",
        "9" * 5000,
    ],
)
def test_an_amount_in_ore_is_digits_and_nothing_else(cell: str) -> None:
    """Whatever could mean another sum than it seems to is refused: exponents, spaces, signs, other digits."""
    assert "amount must be" in str(amounts(cell))


@pytest.mark.parametrize(("cell", "expected"), [("100", 100), ("49900", 49900), ("2147483647", 2147483647)])
def test_amounts_in_ore(cell: str, expected: int) -> None:
    """Whole øre, from 1 NOK on."""
    assert amounts(cell) == expected


@pytest.mark.parametrize(("cell", "expected"), [("100.50", 10050), ("100", 10000), ("1.5", 150), ("1.00", 100)])
def test_amounts_in_kroner(cell: str, expected: int) -> None:
    """Exactly, with at most two decimals."""
    assert amounts(cell, KRONER) == expected


@each_row(
    "cell",
    ["0.99", "100.505", "1.000,5", "1.000", "12 34", "1 0000", ".5", "5.", "1e3", "-1", "１００", "10000000000"],
)
def test_wrong_amounts_in_kroner(cell: str) -> None:
    """Signs that may stand before decimals, parts of an øre, bare points and less than 1 NOK are refused."""
    assert "amount must be" in str(amounts(f'"{cell}"', KRONER))


def test_a_decimal_comma_is_norwegian_where_semicolons_separate() -> None:
    """`100,50` means kroner in a file as Norwegian spreadsheets write it, and nothing sure in any other."""
    assert amounts("100,50", KRONER, ";") == 10050
    assert amounts("100.50", KRONER, ";") == 10050
    assert "semicolon" in str(amounts("100,50", KRONER)) or '";"' in str(amounts('"100,50"', KRONER))
    assert "a decimal comma" in str(amounts('"100,50"', KRONER))
    assert "amount must be" in str(amounts("100,50", CAPTURE, ";"))


def test_an_empty_cell_makes_a_bad_row() -> None:
    """Nothing where an amount should stand must not take everything."""
    assert the_violation(HEADING + "acme-1,,Socks,s-1\n") == "amount must not be empty"
    assert the_violation(HEADING + "acme-1,100,Socks,\n") == "reference must not be empty"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("acme-1,100,Socks", "3 cells where the heading has 4"),
        ("acme-1,100,50,Socks,s-1", "5 cells where the heading has 4 (a decimal comma"),
        ("acme 1,100,Socks,s-1", "order_id must be"),
        (f"acme-1,100,{'x' * 101},s-1", "transaction_text must be"),
        (f"acme-1,100,Socks,{'x' * 101}", "reference must be"),
        ("acme-1,100,So\0cks,s-1", "a NUL character in line 2"),
        ("   ", "1 cells where the heading has 4"),
    ],
)
def test_a_bad_row_is_told_with_its_reason(line: str, reason: str) -> None:
    """A row that breaks a rule does not end the reading: it is listed."""
    rows = read(f"{HEADING}{line}\nacme-2,100,Socks,s-2\n")
    assert isinstance(rows[0], InvalidRow)
    assert rows[0].reason.startswith(reason)
    assert (rows[0].number, rows[0].line) == (1, 2)
    assert isinstance(rows[1], ValidRow)


def test_another_encoding_is_told_with_its_line() -> None:
    """A file that was saved as Latin-1 names the byte and the line; the other rows are read."""
    rows = read(HEADING.encode() + b"acme-1,100,Bl\xe5b\xe6r,s-1\nacme-2,100,Socks,s-2\n")
    assert isinstance(rows[0], InvalidRow)
    assert rows[0].reason == "not UTF-8 (byte 0xe5 in line 2): save the file as UTF-8, or say --encoding windows-1252"
    assert isinstance(rows[1], ValidRow)


def test_a_formula_like_text_is_a_text() -> None:
    """What a spreadsheet would compute is what the customer reads in Vipps: data."""
    assert good(HEADING + "acme-1,100,=1+1,@SUM(A1)\n")[0].text == "=1+1"


def test_a_text_for_all_rows_may_be_given() -> None:
    """A file that has no column for it."""
    layout = Layout(api=ECOM_API, operation=BatchOperation.REFUND, unit=ORE, text="Returned.")
    assert good("order_id\nacme-1\n", layout)[0].text == "Returned."


@each_row(
    ("content", "line", "words"),
    [
        (b"", None, "empty"),
        (b"\n\n", None, "empty"),
        (b"order_id,amount\n", 1, "no column transaction_text"),
        (b"transaction_text\n", 1, "no column order_id"),
        (b"order_id,transaction_text,order_id\n", 1, "the column order_id stands there 2 times"),
        (b"order_id,transaction_text,amonut\n", 1, '"amonut" (is it amount?) is no column'),
        (b"order_id,transaction_text,\n", 1, "is no column"),
        (b"order_id;transaction_text,amount\n", 1, "both commas and semicolons"),
        (b"order_id;transaction_text\r,x\n", 1, "both commas and semicolons"),
        ("order_id,transaction_text\n".encode("utf-16"), 1, "UTF-16"),
        ("order_id,transaction_text\n".encode("utf-32"), 1, "UTF-32"),
        (b"order_id,transaction_text\xff\n", 1, "not UTF-8"),
        (b'order_id,transaction_text\nacme-1,"Socks\n', 2, "not CSV"),
        (b'order_id,transaction_text\na,b\nacme-1,"So"cks\n', 3, "not CSV"),
        (b'order_id,transaction_text\nacme-1,"' + b"x\n" * 200, 2, "a quote is opened there"),
        (b"order_id,transaction_text\nacme-1," + b"x" * 70_000, 2, "longer than 65536 bytes"),
        (b"order_id,transaction_text\racme-1,Socks\r", 1, "not CSV"),
    ],
)
def test_a_file_that_is_wrong_as_a_whole_is_refused_with_its_line(content: bytes, line: int | None, words: str) -> None:
    """Where no row can be trusted any more, none is read."""
    with pytest.raises(BatchFileError) as caught:
        read(content, Layout(api=ECOM_API, operation=BatchOperation.CAPTURE, format=FileFormat.CSV))
    assert caught.value.line == line
    assert words in str(caught.value)


def test_a_cancel_has_no_amount() -> None:
    """An amount in a file of cancels is a misunderstanding."""
    with pytest.raises(BatchFileError, match="a cancel has no amount"):
        read(HEADING, Layout(api=ECOM_API, operation=BatchOperation.CANCEL))


def test_a_text_for_all_rows_beside_a_column_of_texts_is_refused() -> None:
    """Which one should the customer read?"""
    with pytest.raises(BatchFileError, match="give no text for all rows"):
        read(HEADING, Layout(api=ECOM_API, operation=BatchOperation.CAPTURE, text="Shipped."))


def workbook() -> bytes:
    """As Excel saves one."""
    book, file = openpyxl.Workbook(), io.BytesIO()
    book.active.append(["order_id", "amount_nok"])
    book.save(file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (workbook(), "this is a workbook (.xlsx), or another archive, and no file of text; save it as CSV"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100_000), "this is a workbook of an older Excel (.xls)"),
        (b"%PDF-1.7\n", "this is a PDF document"),
        (b'[\n{"order_id": "a"}\n]\n', "this is a JSON array; write JSON Lines: one object a line"),
    ],
    ids=["xlsx", "xls", "pdf", "json"],
)
def test_another_kind_of_file_is_named(content: bytes, words: str) -> None:
    """What it is and what to save it as, not which byte of it is odd."""
    with pytest.raises(BatchFileError) as caught:
        read(content)
    assert words in str(caught.value)


# --- what amounts are counted in --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("column", "expected"), [("amount_ore", 499), ("amount_nok", 49_900)])
def test_the_heading_says_what_amounts_are_counted_in(column: str, expected: int) -> None:
    """499 is 4.99 kroner in one column and 499 kroner in the other, in CSV and in JSON Lines."""
    unsaid = Layout(api=ECOM_API, operation=BatchOperation.CAPTURE)
    assert good(f"order_id,{column},transaction_text\nacme-1,499,Socks\n", unsaid)[0].amount == expected
    assert good(_line(**{column: 499}), unsaid)[0].amount == expected


@pytest.mark.parametrize(
    "content",
    [
        "order_id,amount,transaction_text\nacme-1,499,Socks\nacme-2,101,Socks\nacme-3,all,Socks\n",
        '{"order_id":"a","amount":499,"transaction_text":"x"}\n{"order_id":"b","amount":101,"transaction_text":"x"}',
    ],
    ids=["csv", "jsonl"],
)
def test_a_bare_amount_is_refused_with_both_sums(content: str) -> None:
    """Nobody should find out by the money what the file was counted in."""
    with pytest.raises(BatchFileError) as caught:
        read(content, Layout(api=ECOM_API, operation=BatchOperation.CAPTURE))
    assert "6.00 NOK in all if they are øre, 600.00 NOK in all if they are kroner" in str(caught.value)
    assert "--unit ore for øre or --unit nok for kroner" in str(caught.value)


def test_both_sums_say_which_amounts_would_be_invalid() -> None:
    """Decimals are no øre, and 99 øre are too little."""
    with pytest.raises(BatchFileError, match=r"2.00 NOK in all \(2 amounts would be invalid\) if they are øre, 303.50"):
        read(
            "order_id,amount,transaction_text\na,200,x\nb,99,x\nc,4.50,x\n",
            Layout(api=ECOM_API, operation=BatchOperation.CAPTURE),
        )


@pytest.mark.parametrize(
    ("heading", "unit", "words"),
    [
        ("order_id,amount_ore,transaction_text", NOK, "the column amount_ore is not counted in nok"),
        ("order_id,amount_nok,transaction_text", ORE, "the column amount_nok is not counted in ore"),
        ("order_id,amount_nok,amount_ore,transaction_text", None, "stand in amount_nok and in amount_ore"),
        ("order_id,amount_nok,amount,transaction_text", None, "stand in amount_nok and in amount"),
    ],
)
def test_two_units_are_one_too_many(heading: str, unit: Unit | None, words: str) -> None:
    """What contradicts itself is refused as a whole."""
    with pytest.raises(BatchFileError, match=words):
        read(f"{heading}\n", Layout(api=ECOM_API, operation=BatchOperation.CAPTURE, unit=unit))


# --- JSON Lines -------------------------------------------------------------------------------------------------------


def _line(**fields: object) -> str:
    return json.dumps({"order_id": "acme-1", "transaction_text": "Socks"} | fields) + "\n"


def test_json_lines_are_read_and_recognised() -> None:
    """One object a line, empty lines between; the format is found out."""
    (first, second) = good("\ufeff" + _line(amount=100, reference="s-1") + "\n" + _line(amount="all", reference="s-2"))
    assert (first.amount, first.reference, first.line) == (100, "s-1", 1)
    assert (second.amount, second.reference, second.line) == (NOT_GIVEN, "s-2", 3)


@each_row("amount", ["100.0", "1e3", "1.5", '"100"', "true", "null", "99", "-100", "[100]", "NaN", "1" * 5000])
def test_json_amounts_are_whole_numbers(amount: str) -> None:
    """Floats are refused even where they are whole, and so is everything else that is no integer."""
    assert the_violation('{"order_id": "acme-1", "transaction_text": "Socks", "amount": ' + amount + "}\n")


@pytest.mark.parametrize(("amount", "expected"), [('"100.50"', 10050), ("100", 10000), ('"all"', NOT_GIVEN)])
def test_json_amounts_in_kroner(amount: str, expected: object) -> None:
    """Text with decimals, or whole kroner."""
    content = '{"order_id": "acme-1", "transaction_text": "Socks", "amount": ' + amount + "}\n"
    assert good(content, KRONER)[0].amount == expected


@pytest.mark.parametrize("amount", ["100.5", "true", '"100,50"', "null"])
def test_wrong_json_amounts_in_kroner(amount: str) -> None:
    """A float cannot hold every øre."""
    assert the_violation('{"order_id": "acme-1", "transaction_text": "Socks", "amount": ' + amount + "}\n", KRONER)


@each_row(
    ("line", "reason"),
    [
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        ("{} {}", "not JSON"),
        ('{"order_id": "a", "order_id": "b", "transaction_text": "c"}', "a field stands there twice"),
        ('{"order_id": "a", "transaction_text": "c", "mobile": "1"}', '"mobile" is no column'),
        ('{"order_id": 17, "transaction_text": "c"}', "order_id must be"),
        ('{"order_id": "a", "transaction_text": null}', "transaction_text must be"),
        ("[" * 60_000, "not JSON"),
    ],
)
def test_a_wrong_json_line_is_bad(line: str, reason: str) -> None:
    """Strict: unknown and repeated fields and wrong types are refused, each in its own line."""
    layout = Layout(api=ECOM_API, operation=BatchOperation.CAPTURE, format=FileFormat.JSONL)
    rows = read(f"{line}\n{_line()}", layout)
    assert isinstance(rows[0], InvalidRow)
    assert reason in rows[0].reason
    assert isinstance(rows[1], ValidRow)


def test_a_json_reference_is_a_text() -> None:
    """The number 7 and the text "7" would be two references."""
    assert the_violation('{"order_id": "a", "transaction_text": "c", "reference": 7}').startswith("reference must be")


def test_every_json_line_has_the_same_fields() -> None:
    """An amount that is missing in one line alone would take everything: it is a mistake."""
    rows = read(_line(amount=100) + _line() + _line(amount=200))
    assert [type(row) for row in rows] == [ValidRow, InvalidRow, ValidRow]


# --- any bytes --------------------------------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=300),
        st.text(alphabet='order_id,amountransctx;"\n\r 10{}[]:-=é', max_size=200).map(lambda text: text.encode()),
        st.lists(st.sampled_from(["acme-1", "100", "all", '"', ",", ";", "\n", "Socks", "\0", "ø"]), max_size=60).map(
            lambda parts: (HEADING + "".join(parts)).encode()
        ),
    ),
    st.sampled_from(list(FileFormat)),
)
def test_any_bytes_are_read_or_refused(content: bytes, kind: FileFormat) -> None:
    """Whatever a file holds: rows, bad rows with a reason on one line, or one error that names what is wrong."""
    try:
        rows = read(content, Layout(api=ECOM_API, operation=BatchOperation.CAPTURE, format=kind))
    except BatchFileError:
        return
    assert [row.number for row in rows] == list(range(1, len(rows) + 1))
    for row in rows:
        if isinstance(row, InvalidRow):
            assert row.reason.isprintable()
            assert row.reason
