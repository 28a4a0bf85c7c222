"""Headings of a batch file: all that are not known are told at once, and blanks around them do no harm."""

from __future__ import annotations

import io

import pytest
from attrs import evolve

from tests.support.rows import each_row
from vipps_async import InvalidInputError
from vipps_async.batch import BatchOperation
from vipps_async.batch.layout import BatchFileError, Layout
from vipps_async.batch.reading import FileReader, ValidRow
from vipps_async.ecom.payment_api import ECOM_API
from vipps_async.epayment.payment_api import EPAYMENT_APIS

CAPTURE = Layout(api=ECOM_API, operation=BatchOperation.CAPTURE)
EURO = Layout(api=EPAYMENT_APIS["EUR"], operation=BatchOperation.CAPTURE)


def refusal(heading: str, layout: Layout = CAPTURE) -> str:
    """What is said of a file with this heading."""
    with pytest.raises(BatchFileError) as caught:
        list(FileReader(io.BytesIO(f"{heading}\n".encode()), layout).rows())
    return str(caught.value)


def test_all_unknown_columns_are_told_at_once_with_the_nearest_known_name() -> None:
    """Nobody corrects one, sends the file again, and hears of the next one."""
    said = refusal("Ordrenr;Beløp;Tekst til kunden;Bilagsnr;Kunde;Orderid")
    assert said.startswith(
        'line 1: "Ordrenr" (is it order_id?), "Beløp" (is it amount_nok?), "Tekst til kunden" (is it '
        'transaction_text?), "Bilagsnr" (is it reference?), "Kunde", "Orderid" (is it order_id?) are no columns of a '
        "batch file; there are order_id, amount, amount_ore, amount_nok, transaction_text, reference, another; "
        "--column order_id=Ordrenr gives one another name, --ignore-other-columns skips all that are not known"
    )


@each_row(
    ("heading", "near", "layout"),
    [
        ("amuont_nok", "amount_nok", CAPTURE),
        ("Beløp i øre", "amount_ore", CAPTURE),
        ("Amount in cents", "amount_cent", EURO),
        ("Sum", "amount_eur", EURO),
        ("order_id", "reference", EURO),
        ("Retur", "row_reference", EURO),
        ("transaction text", "transaction_text", CAPTURE),
        ("Order ID", "order_id", CAPTURE),
        ("REFERENCE", "reference", CAPTURE),
    ],
)
def test_the_nearest_name(heading: str, near: str, layout: Layout) -> None:
    """By its letters, or by what people in Norway call it; in the API's own words."""
    assert f'"{heading}" (is it {near}?)' in refusal(heading, layout)


def test_a_name_that_the_file_has_is_not_the_nearest() -> None:
    """It is there already."""
    assert '"order_ids" is no column' in refusal("order_id,order_ids")
    assert '--column order_id="Order ID"' in refusal("Order ID")


@pytest.mark.parametrize(
    "heading",
    [" order_id ;amount_nok\u00a0;\u00a0transaction_text", "order_id\t;\u202famount_nok;transaction_text  "],
)
def test_blanks_around_a_heading_do_no_harm(heading: str) -> None:
    """Neither plain ones nor fixed ones, which nobody sees in a spreadsheet."""
    (row,) = FileReader(io.BytesIO(f"{heading}\norder-1;5,00;x\n".encode()), CAPTURE).rows()
    assert isinstance(row, ValidRow)
    assert (row.payment, row.amount, row.text) == ("order-1", 500, "x")


def test_blanks_in_a_heading_are_all_alike() -> None:
    """`Beløp kr` with a fixed blank in it is what was named; two headings that differ in blanks alone are one twice."""
    layout = evolve(CAPTURE, columns={"amount_nok": "Beløp kr"})
    content = "order_id;Beløp\u00a0 kr ;transaction_text\norder-1;5,00;x\n".encode()
    assert isinstance(next(FileReader(io.BytesIO(content), layout).rows()), ValidRow)
    assert "the column order_id stands there 2 times" in refusal("order_id;order_id\u00a0;transaction_text")
    with pytest.raises(InvalidInputError, match="a heading of its own"):
        evolve(CAPTURE, columns={"order_id": "A b", "transaction_text": " A\u00a0b"})


def test_what_nobody_sees_is_shown_in_quotes() -> None:
    """A mark of no width is no blank: where it stands is shown."""
    assert '"order_id\ufffd" (is it order_id?)' in refusal("order_id\u200b,transaction_text")
    assert '"" is no column' in refusal("order_id,transaction_text,")


def test_the_same_in_json_lines() -> None:
    """All fields that are not known, with their nearest names."""
    content = b'{"ordre": "a", "belop": 5, "transaction_text": "x"}\n'
    (row,) = FileReader(io.BytesIO(content), CAPTURE).rows()
    assert not isinstance(row, ValidRow)
    assert row.reason.startswith('"ordre" (is it order_id?), "belop" (is it amount_nok?) are no columns')
