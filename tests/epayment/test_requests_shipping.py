"""The ways of shipping of an express checkout keep their rules when they are made."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.epayment.creations import dynamic, fixed, group, option
from tests.support.rows import each_row
from vipps_async import InvalidInputError, Money, nok
from vipps_async.core.converter import encode
from vipps_async.epayment.request_enums import ShippingBrand, ShippingType
from vipps_async.epayment.shipping import DynamicOptions, Shipping, ShippingGroup


@each_row("brand", list(ShippingBrand))
def test_brands(brand: ShippingBrand) -> None:
    """Each brand goes by its member and by its text."""
    assert orjson.loads(encode(group(brand=brand))) == orjson.loads(encode(group(brand=brand.value)))


@pytest.mark.parametrize("kind", list(ShippingType))
def test_types(kind: ShippingType) -> None:
    """Each type goes by its member and by its text."""
    assert orjson.loads(encode(group(type=kind))) == orjson.loads(encode(group(type=kind.value)))


def test_options_come_from_anywhere() -> None:
    """Ways of shipping and groups may come from a generator; they are kept."""
    made = ShippingGroup(type=ShippingType.OTHER, brand=ShippingBrand.OTHER, options=(option() for _ in range(1)))
    assert made.options == (option(),)
    assert Shipping(fixed_options=(made for _ in range(1))).fixed_options == (made,)


def test_one_default_in_each_group() -> None:
    """Each group may have a default, and one group may be it."""
    chosen = option(is_default=True)
    fixed(group(chosen, option("letter"), is_default=True), group(chosen, brand="DHL", is_default=False))


@each_row(
    ("parameter", "make"),
    [
        ("id", lambda: option(id="")),
        ("name", lambda: option(name=" ")),
        ("amount", lambda: option(amount=5_900)),  # type: ignore[arg-type]
        ("amount", lambda: option(amount=Money(1, "SEK"))),
        ("is_default", lambda: option(is_default="Y")),
        ("priority", lambda: option(priority="1")),
        ("priority", lambda: option(priority=True)),
        ("meta", lambda: option(meta="")),
        ("estimated_delivery", lambda: option(estimated_delivery=2)),
        ("type", lambda: group(type="DRONE")),
        ("brand", lambda: group(brand="posten")),
        ("options", lambda: group(options=[])),
        ("options", lambda: group(options=option())),
        ("options", lambda: group(options=[{"id": "parcel"}])),
        ("options", lambda: group(option(), option(amount=nok(1)))),
        ("options", lambda: group(option(is_default=True), option("letter", is_default=True))),
        ("is_default", lambda: group(is_default=1)),
        ("priority", lambda: group(priority=1.0)),
        ("callback_authorization_token", lambda: dynamic(token="")),
        ("callback_authorization_token", lambda: dynamic(token="Bearer canary")),
        ("callback_authorization_token", lambda: dynamic(token="x" * 51)),
        ("callback_authorization_token", lambda: dynamic(token="canary\n")),
        ("callback_authorization_token", lambda: dynamic(token=5)),  # type: ignore[arg-type]
        ("shipping", Shipping),
        ("shipping", lambda: Shipping(fixed_options=[group()], dynamic_options=dynamic().dynamic_options)),
        ("dynamic_options", lambda: Shipping(dynamic_options={"callbackUrl": "https://canary"})),  # type: ignore[arg-type]
        ("fixed_options", lambda: Shipping(fixed_options=[])),
        ("fixed_options", lambda: Shipping(fixed_options=group())),  # type: ignore[arg-type]
        ("fixed_options", lambda: fixed(group(), group(option("letter")))),
        ("fixed_options", lambda: fixed(group(is_default=True), group(brand="DHL", is_default=True))),
        ("allowed_countries", lambda: fixed(allowed_countries=[])),
        ("allowed_countries", lambda: fixed(allowed_countries="NO")),
        ("allowed_countries", lambda: fixed(allowed_countries=["no"])),
        ("allowed_countries", lambda: fixed(allowed_countries=["NOR"])),
        ("allowed_countries", lambda: fixed(allowed_countries=[47])),
    ],
)
def test_each_rule(parameter: str, make: Any) -> None:
    """A value that breaks a rule is refused by the name of its field, and not shown if it is secret."""
    with pytest.raises(InvalidInputError) as caught:
        make()
    assert caught.value.parameter == parameter
    assert "canary" not in repr(caught.value)


def test_reprs_show_no_token() -> None:
    """The repr of where Vipps asks shows neither URL nor token."""
    assert repr(DynamicOptions(callback_url="https://canary", callback_authorization_token="canary")) == (
        "DynamicOptions()"
    )
