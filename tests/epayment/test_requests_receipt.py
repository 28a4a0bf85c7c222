"""A receipt keeps its rules when it is made."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import orjson
import pytest

from tests.epayment.creations import line, receipt
from tests.support.rows import each_row
from vipps_async import InvalidInputError, Money, dkk, nok
from vipps_async.core.converter import encode
from vipps_async.epayment.receipt import Barcode, BottomLine, OrderLine, PaymentSources, Receipt, UnitInfo
from vipps_async.epayment.request_enums import BarcodeFormat, QuantityUnit


def unit(**fields: Any) -> UnitInfo:
    """Make a unit of the least fields and these."""
    return UnitInfo(**{"unit_price": nok(5), "quantity": 2, **fields})


@pytest.mark.parametrize(
    ("quantity", "written"),
    [
        (2, "2"),
        (0, "0"),
        ("0.822", "0.822"),
        ("1234567890", "1234567890"),
        ("1.12345678", "1.12345678"),
        (Decimal("0.50"), "0.50"),
        (Decimal("1E+2"), "100"),
    ],
)
def test_quantities(quantity: Any, written: str) -> None:
    """A quantity is sent as text, however it was given."""
    made = orjson.loads(encode(unit(quantity=quantity, quantity_unit=QuantityUnit.LITRE)))
    assert made == {"unitPrice": 500, "quantity": written, "quantityUnit": "LITRE"}


@pytest.mark.parametrize("word", list(QuantityUnit))
def test_units(word: QuantityUnit) -> None:
    """Each unit goes by its member and by its text."""
    assert unit(quantity_unit=word) == unit(quantity_unit=word.value)


@each_row(
    ("parameter", "make"),
    [
        ("quantity", lambda: unit(quantity=2.0)),
        ("quantity", lambda: unit(quantity=True)),
        ("quantity", lambda: unit(quantity=None)),
        ("quantity", lambda: unit(quantity=-1)),
        ("quantity", lambda: unit(quantity="1,5")),
        ("quantity", lambda: unit(quantity="1.")),
        ("quantity", lambda: unit(quantity=".5")),
        ("quantity", lambda: unit(quantity="1\n")),
        ("quantity", lambda: unit(quantity="٢")),
        ("quantity", lambda: unit(quantity="12345678901")),
        ("quantity", lambda: unit(quantity=10**5_000)),
        ("quantity", lambda: unit(quantity="1.123456789")),
        ("quantity", lambda: unit(quantity=Decimal("NaN"))),
        ("quantity", lambda: unit(quantity=Decimal("sNaN"))),
        ("quantity", lambda: unit(quantity=Decimal("1E+999999"))),
        ("quantity", lambda: unit(quantity=Decimal("1E-999999"))),
        ("quantity", lambda: unit(quantity=Decimal(-1))),
        ("unit_price", lambda: unit(unit_price=500)),
        ("unit_price", lambda: unit(unit_price=None)),
        ("quantity_unit", lambda: unit(quantity_unit="KILO")),
        ("name", lambda: line(name="")),
        ("id", lambda: line(id=41)),
        ("total_amount", lambda: line(total_amount=1_000)),
        ("total_amount", lambda: line(total_amount=None)),
        ("total_amount", lambda: line(total_amount=Money(65_000_001, "NOK"))),
        ("total_amount_excluding_tax", lambda: line(total_amount_excluding_tax=8.0)),
        ("total_tax_amount", lambda: line(total_tax_amount="2.00")),
        ("total_tax_amount", lambda: line(total_tax_amount=Money(200, "SEK"))),
        ("tax_rate", lambda: line(tax_rate=None)),
        ("tax_rate", lambda: line(tax_rate=2_500, tax_percentage=25)),
        ("tax_rate", lambda: line(tax_rate=10_001)),
        ("tax_rate", lambda: line(tax_rate=-1)),
        ("tax_rate", lambda: line(tax_rate=25.0)),
        ("tax_percentage", lambda: line(tax_percentage=101)),
        ("tax_percentage", lambda: line(tax_percentage=True)),
        ("unit_info", lambda: line(unit_info={"quantity": "2"})),
        ("discount", lambda: line(discount=100)),
        ("product_url", lambda: line(product_url="")),
        ("is_return", lambda: line(is_return=0)),
        ("is_shipping", lambda: line(is_shipping="true")),
        ("gift_card", lambda: PaymentSources(gift_card=100)),  # type: ignore[arg-type]
        ("card", lambda: PaymentSources(card="1.00")),  # type: ignore[arg-type]
        ("voucher", lambda: PaymentSources(voucher=Money(1, "SEK"))),
        ("cash", lambda: PaymentSources(cash=1.0)),  # type: ignore[arg-type]
        ("format", lambda: Barcode(format="QR", data="1")),  # type: ignore[arg-type]
        ("data", lambda: Barcode(format=BarcodeFormat.EAN_13, data="")),
        ("currency", lambda: BottomLine(currency="SEK")),
        ("currency", lambda: BottomLine(currency=None)),  # type: ignore[arg-type]
        ("tip_amount", lambda: BottomLine(currency="NOK", tip_amount=100)),  # type: ignore[arg-type]
        ("pos_id", lambda: BottomLine(currency="NOK", pos_id=7)),  # type: ignore[arg-type]
        ("receipt_number", lambda: BottomLine(currency="NOK", receipt_number="")),
        ("payment_sources", lambda: BottomLine(currency="NOK", payment_sources={})),  # type: ignore[arg-type]
        ("barcode", lambda: BottomLine(currency="NOK", barcode="1")),  # type: ignore[arg-type]
        ("order_lines", lambda: Receipt(order_lines=[], bottom_line=BottomLine(currency="NOK"))),
        ("order_lines", lambda: Receipt(order_lines="ab", bottom_line=BottomLine(currency="NOK"))),  # type: ignore[arg-type]
        ("order_lines", lambda: Receipt(order_lines=line(), bottom_line=BottomLine(currency="NOK"))),  # type: ignore[arg-type]
        ("order_lines", lambda: Receipt(order_lines=[{}], bottom_line=BottomLine(currency="NOK"))),  # type: ignore[list-item]
        ("bottom_line", lambda: Receipt(order_lines=[line()], bottom_line={})),  # type: ignore[arg-type]
    ],
)
def test_each_rule(parameter: str, make: Any) -> None:
    """A value that breaks a rule is refused by the name of its field."""
    with pytest.raises(InvalidInputError) as caught:
        make()
    assert caught.value.parameter == parameter


@each_row(
    ("lines", "end"),
    [
        ([line(), line(total_amount=dkk(10))], {}),
        ([line(total_amount_excluding_tax=dkk(8))], {}),
        ([line(total_tax_amount=dkk(2))], {}),
        ([line(discount=dkk(0))], {}),
        ([line(unit_info=unit(unit_price=dkk(5)))], {}),
        ([line()], {"tip_amount": dkk(1)}),
        ([line()], {"payment_sources": PaymentSources(cash=dkk(1))}),
        ([line()], {"currency": "DKK"}),
    ],
)
def test_one_currency(lines: list[OrderLine], end: dict[str, Any]) -> None:
    """A receipt's sums are sent without a currency, so all must be in that of the bottom line."""
    with pytest.raises(InvalidInputError, match=r"^receipt must be Money in (NOK|DKK)"):
        receipt(*lines, **end)


def test_order_lines_come_from_anywhere() -> None:
    """Order lines may come from a generator; they are kept."""
    made = Receipt(order_lines=(line() for _ in range(2)), bottom_line=BottomLine(currency="NOK"))
    assert made.order_lines == (line(), line())
