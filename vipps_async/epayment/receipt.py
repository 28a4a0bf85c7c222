"""The receipt of an ePayment payment: order lines and bottom line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import chain

from attrs import field, frozen

from vipps_async.core.converter import written_by
from vipps_async.epayment.request_enums import BarcodeFormat, QuantityUnit, check_word
from vipps_async.epayment.request_rules import check_currency, check_items, check_money, check_optional, check_range
from vipps_async.errors import InvalidInputError
from vipps_async.input_rules import check_flag, check_text
from vipps_async.money import Money

_QUANTITY = re.compile(r"(?=.{1,10}\Z)[0-9]+(\.[0-9]{1,8})?")
#: Vipps names no limit for a receipt's texts and links.
_TEXT_LENGTH = 2_500


def _write_value(money: Money | None) -> int | None:
    # A receipt's sums are bare numbers: the bottom line names the currency of all.
    return None if money is None else money.value


_BARE = written_by(_write_value)


def _read_quantity(value: str | int | Decimal) -> str:
    rule = "a str, int or Decimal of at most 10 characters, such as '2' or '0.822' (no float)"
    text = value if isinstance(value, str) else ""
    # Bounded before it is written out: 1E+999999 has a million digits. Exactly int: a bool is one, too.
    if type(value) is int and abs(value) < 10**10:
        text = str(value)
    elif isinstance(value, Decimal) and value.is_finite() and abs(value.adjusted()) < 10:
        text = format(value, "f")
    if not _QUANTITY.fullmatch(text):
        raise InvalidInputError("quantity", rule, value=value)
    return text


@frozen(kw_only=True)
class UnitInfo:
    """How many units an order line has, and what one costs; only shown.

    Raises:
        InvalidInputError: a value breaks a rule.
    """

    unit_price: Money = field(metadata=_BARE)
    """The price of one unit, with tax and without discount."""
    quantity: str = field(converter=_read_quantity)
    """How many units: str, int or Decimal, at most 10 characters; sent as text."""
    quantity_unit: QuantityUnit | None = None
    """What is counted; left out: pieces."""

    def __attrs_post_init__(self) -> None:
        check_money("unit_price", self.unit_price)
        if self.quantity_unit is not None:
            check_word("quantity_unit", self.quantity_unit, QuantityUnit)


@frozen(kw_only=True)
class OrderLine:
    """One line of a receipt. Its tax is told as `tax_rate` or, as Vipps did formerly, as `tax_percentage`.

    The lines should add up to the payment's amount: the app does not show them otherwise.

    Raises:
        InvalidInputError: a value breaks a rule.
    """

    name: str
    """What the product is called."""
    id: str
    """The product's id."""
    total_amount: Money = field(metadata=_BARE)
    """What the line costs, with tax and discount."""
    total_amount_excluding_tax: Money = field(metadata=_BARE)
    """What it costs with discount and without tax."""
    total_tax_amount: Money = field(metadata=_BARE)
    """The tax in it."""
    tax_rate: int | None = None
    """The tax in hundredths of a percent: 2500 is 25 %."""
    tax_percentage: int | None = None
    """The tax in whole percents. Deprecated by Vipps."""
    unit_info: UnitInfo | None = None
    """Quantity and price of a unit; left out: one piece."""
    discount: Money | None = field(default=None, metadata=_BARE)
    """The discount of the whole line."""
    product_url: str | None = None
    """Where the product is shown."""
    is_return: bool | None = None
    """Whether the product comes back: the line then counts negative."""
    is_shipping: bool | None = None
    """Whether it is the cost of shipping, which the app shows otherwise."""

    def __attrs_post_init__(self) -> None:
        check_text("name", self.name, longest=_TEXT_LENGTH)
        check_text("id", self.id, longest=_TEXT_LENGTH)
        for name in ("total_amount", "total_amount_excluding_tax", "total_tax_amount"):
            check_money(name, getattr(self, name))
        if (self.tax_rate is None) == (self.tax_percentage is None):
            raise InvalidInputError("tax_rate", "given unless tax_percentage is, and not with it", value=self.tax_rate)
        check_optional(check_range, "tax_rate", self.tax_rate, 0, 10_000)
        check_optional(check_range, "tax_percentage", self.tax_percentage, 0, 100)
        if self.unit_info is not None and not isinstance(self.unit_info, UnitInfo):
            raise InvalidInputError("unit_info", "a UnitInfo", value=self.unit_info)
        check_optional(check_money, "discount", self.discount)
        if self.product_url is not None:
            check_text("product_url", self.product_url, longest=_TEXT_LENGTH)
        check_optional(check_flag, "is_return", self.is_return)
        check_optional(check_flag, "is_shipping", self.is_shipping)

    def sums(self) -> Iterator[Money]:
        """Yield every sum in it."""
        yield from (self.total_amount, self.total_amount_excluding_tax, self.total_tax_amount)
        if self.unit_info is not None:
            yield self.unit_info.unit_price
        if self.discount is not None:
            yield self.discount


@frozen(kw_only=True)
class PaymentSources:
    """What was paid by other means than Vipps.

    Raises:
        InvalidInputError: a value is no `Money`.
    """

    gift_card: Money | None = field(default=None, metadata=_BARE)
    """By gift card."""
    card: Money | None = field(default=None, metadata=_BARE)
    """By card."""
    voucher: Money | None = field(default=None, metadata=_BARE)
    """By voucher."""
    cash: Money | None = field(default=None, metadata=_BARE)
    """In cash."""

    def __attrs_post_init__(self) -> None:
        for name in ("gift_card", "card", "voucher", "cash"):
            check_optional(check_money, name, getattr(self, name))

    def sums(self) -> Iterator[Money]:
        """Yield every sum in it."""
        yield from (sum_ for sum_ in (self.gift_card, self.card, self.voucher, self.cash) if sum_ is not None)


@frozen(kw_only=True)
class Barcode:
    """A barcode at the end of a receipt.

    Raises:
        InvalidInputError: a value breaks a rule.
    """

    format: BarcodeFormat
    """How it is drawn."""
    data: str = field(repr=False)
    """What it holds."""

    def __attrs_post_init__(self) -> None:
        check_word("format", self.format, BarcodeFormat)
        check_text("data", self.data, longest=_TEXT_LENGTH)


@frozen(kw_only=True)
class BottomLine:
    """The end of a receipt.

    Raises:
        InvalidInputError: a value breaks a rule.
    """

    currency: str
    """The currency of all sums of the receipt."""
    tip_amount: Money | None = field(default=None, metadata=_BARE)
    """The tip."""
    pos_id: str | None = None
    """The number of the till."""
    payment_sources: PaymentSources | None = None
    """What was paid by other means."""
    barcode: Barcode | None = None
    """A barcode."""
    receipt_number: str | None = None
    """The receipt's number."""

    def __attrs_post_init__(self) -> None:
        check_currency("currency", self.currency)
        check_optional(check_money, "tip_amount", self.tip_amount)
        for name in ("pos_id", "receipt_number"):
            if getattr(self, name) is not None:
                check_text(name, getattr(self, name), longest=_TEXT_LENGTH)
        if self.payment_sources is not None and not isinstance(self.payment_sources, PaymentSources):
            raise InvalidInputError("payment_sources", "a PaymentSources", value=self.payment_sources)
        if self.barcode is not None and not isinstance(self.barcode, Barcode):
            raise InvalidInputError("barcode", "a Barcode", value=self.barcode)

    def sums(self) -> Iterator[Money]:
        """Yield every sum in it."""
        if self.tip_amount is not None:
            yield self.tip_amount
        if self.payment_sources is not None:
            yield from self.payment_sources.sums()


def _read_lines(value: Iterable[OrderLine]) -> tuple[OrderLine, ...]:
    return check_items("order_lines", value, OrderLine)


@frozen(kw_only=True)
class Receipt:
    """What the app shows of an order.

    Raises:
        InvalidInputError: a value breaks a rule, or the sums are of several currencies.
    """

    order_lines: tuple[OrderLine, ...] = field(converter=_read_lines)
    """The lines, at least one."""
    bottom_line: BottomLine
    """The end."""

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.bottom_line, BottomLine):
            raise InvalidInputError("bottom_line", "a BottomLine", value=self.bottom_line)
        for money in chain(self.bottom_line.sums(), *(line.sums() for line in self.order_lines)):
            check_money("receipt", money, currency=self.bottom_line.currency)
