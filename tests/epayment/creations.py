"""Requests of create for tests: the least, the parts of a receipt and of shipping, and one of everything."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from vipps_async import AirlineData, Money, nok
from vipps_async.epayment.receipt import Barcode, BottomLine, OrderLine, PaymentSources, Receipt, UnitInfo
from vipps_async.epayment.request_bodies import CreatePaymentRequest, MerchantLegalLinks
from vipps_async.epayment.request_enums import BarcodeFormat, QuantityUnit, ShippingBrand, ShippingType
from vipps_async.epayment.requests import create_request
from vipps_async.epayment.shipping import DynamicOptions, Shipping, ShippingGroup, ShippingOption

__all__ = [
    "AIRLINE",
    "EVERYTHING",
    "RETURN_URL",
    "create",
    "dynamic",
    "fixed",
    "group",
    "line",
    "option",
    "receipt",
]

RETURN_URL = "https://shop.example.com/back?order=7"

AIRLINE = AirlineData(
    passenger_name="FLYER / MARY MS.",
    airline_code="074",
    airline_designator_code="KL",
    ticket_number="074-5799804843",
    agency_invoice_number="123456",
)


def create(**arguments: Any) -> CreatePaymentRequest:
    """Make a request of the least arguments and these."""
    least = {"reference": "acme-shop-7", "amount": nok("499.00"), "return_url": RETURN_URL}
    return create_request(**{**least, **arguments})


def line(**fields: Any) -> OrderLine:
    """Make an order line of the least fields and these."""
    least: dict[str, Any] = {
        "name": "Socks",
        "id": "socks-41",
        "total_amount": nok("10.00"),
        "total_amount_excluding_tax": nok("8.00"),
        "total_tax_amount": nok("2.00"),
    }
    if fields.keys().isdisjoint({"tax_rate", "tax_percentage"}):
        least["tax_rate"] = 2_500
    return OrderLine(**{**least, **fields})


def receipt(*lines: OrderLine, currency: str = "NOK", **fields: Any) -> Receipt:
    """Make a receipt of these lines, or one."""
    return Receipt(order_lines=lines or (line(),), bottom_line=BottomLine(currency=currency, **fields))


def option(id_: str = "parcel", *, amount: Money = nok("59.00"), **fields: Any) -> ShippingOption:  # noqa: B008 - frozen
    """Make a way of shipping."""
    return ShippingOption(**{"id": id_, "name": id_.title(), "amount": amount, **fields})


def group(*options: ShippingOption, **fields: Any) -> ShippingGroup:
    """Make a group of these ways of shipping, or one."""
    least = {"type": ShippingType.MAILBOX, "brand": ShippingBrand.POSTEN, "options": options or (option(),)}
    return ShippingGroup(**{**least, **fields})


def fixed(*groups: ShippingGroup, **fields: Any) -> Shipping:
    """Make an express checkout with these groups, or one."""
    return Shipping(fixed_options=groups or (group(),), **fields)


def dynamic(
    url: str = "https://shop.example.com/shipping?shop=1",
    token: str | None = "s3cret-token",  # noqa: S107 - a test's
) -> Shipping:
    """Make an express checkout whose ways of shipping are asked for."""
    return Shipping(dynamic_options=DynamicOptions(callback_url=url, callback_authorization_token=token))


#: Everything that one request can have, and a receipt that has everything.
EVERYTHING: dict[str, Any] = {
    "payment_description": "One pair of socks.",
    "phone_number": "4712345678",
    "customer_interaction": "CUSTOMER_PRESENT",
    "minimum_user_age": 18,
    "scope": "name phoneNumber",
    "expires_at": datetime(2030, 2, 1, 12, 30, tzinfo=UTC),
    "receipt": receipt(
        line(
            unit_info=UnitInfo(unit_price=nok(5), quantity="0.822", quantity_unit=QuantityUnit.KG),
            discount=nok(0),
            product_url="https://shop.example.com/socks",
            is_return=False,
            is_shipping=False,
        ),
        line(tax_rate=None, tax_percentage=25),
        tip_amount=nok(1),
        pos_id="till-7",
        payment_sources=PaymentSources(gift_card=nok(4), card=nok(3), voucher=nok(2), cash=nok(1)),
        barcode=Barcode(format=BarcodeFormat.CODE_39, data="ABC-1"),
        receipt_number="1007",
    ),
    "receipt_url": "https://shop.example.com/receipts/7",
    "metadata": {"shop_id": "7", "channel": ""},
    "airline_data": AIRLINE,
    "merchant_legal_links": MerchantLegalLinks(
        terms_of_sale_url="https://shop.example.com/terms", privacy_policy_url="https://shop.example.com/privacy"
    ),
    "is_vipps": False,
}
