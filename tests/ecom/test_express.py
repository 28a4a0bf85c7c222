"""Express checkout and airline data keep their rules when they are made."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.support.rows import each_row
from vipps_async import AirlineData, ExpressCheckout, ShippingDetails, dkk, nok
from vipps_async.errors import InvalidInputError

URL = "https://example.com/x"


def shipping(**fields: Any) -> ShippingDetails:
    """Return a way of shipping."""
    given: dict[str, Any] = {"shipping_cost": nok("49.00"), "shipping_method": "Post", "shipping_method_id": "post"}
    return ShippingDetails(**{**given, **fields})


def airline(**fields: Any) -> AirlineData:
    """Return airline data."""
    given: dict[str, Any] = {
        "passenger_name": "FLYER / MARY MS.",
        "airline_code": "074",
        "airline_designator_code": "KL",
        "agency_invoice_number": "123456",
    }
    return AirlineData(**{**given, **fields})


def test_shipping_cost_is_kroner() -> None:
    """A cost is given like every other amount, and kept as an exact number of kroner."""
    assert [Decimal("49.00")] * 2 == [shipping(shipping_cost=cost).shipping_cost for cost in (nok("49"), 4_900)]


@each_row(
    ("parameter", "fields"),
    [
        ("shipping_cost", {"shipping_cost": 49.0}),
        ("shipping_cost", {"shipping_cost": -1}),
        ("shipping_cost", {"shipping_cost": "49.00"}),
        ("shipping_cost", {"shipping_cost": Decimal("49.00")}),
        ("shipping_cost", {"shipping_cost": dkk(49)}),
        ("is_default", {"is_default": "Y"}),
        ("priority", {"priority": "1"}),
        ("priority", {"priority": True}),
        ("shipping_method", {"shipping_method": "x" * 257}),
        ("shipping_method_id", {"shipping_method_id": "x" * 101}),
        ("shipping_method_id", {"shipping_method_id": 7}),
    ],
)
def test_shipping_refuses(parameter: str, fields: dict[str, Any]) -> None:
    """A value that breaks a rule is named."""
    with pytest.raises(InvalidInputError) as caught:
        shipping(**fields)
    assert parameter == caught.value.parameter


@each_row(
    ("parameter", "fields"),
    [
        ("express", {}),
        ("static_shipping_details", {"static_shipping_details": []}),
        ("static_shipping_details", {"static_shipping_details": shipping()}),
        ("static_shipping_details", {"static_shipping_details": 5}),
        ("static_shipping_details", {"static_shipping_details": [{"shipping_cost": 1}]}),
        ("static_shipping_details", {"static_shipping_details": [shipping(), shipping()]}),
        (
            "static_shipping_details",
            {
                "static_shipping_details": [
                    shipping(is_default=True),
                    shipping(is_default=True, shipping_method_id="other"),
                ]
            },
        ),
        ("use_explicit_checkout_flow", {"shipping_details_prefix": URL, "use_explicit_checkout_flow": 1}),
    ],
)
def test_express_refuses(parameter: str, fields: dict[str, Any]) -> None:
    """Shipping has to be given, and it must make sense."""
    with pytest.raises(InvalidInputError) as caught:
        ExpressCheckout(consent_removal_prefix=URL, **fields)
    assert parameter == caught.value.parameter


def test_express_takes_both_kinds_of_shipping() -> None:
    """Vipps takes a prefix and static ways of shipping together, and goes by the static ones."""
    made = ExpressCheckout(
        consent_removal_prefix=URL, shipping_details_prefix=URL, static_shipping_details=[shipping()]
    )
    assert (made.shipping_details_prefix, made.static_shipping_details) == (URL, (shipping(),))


def test_express_takes_any_iterable() -> None:
    """Ways of shipping may come from a generator; they are kept."""
    made = ExpressCheckout(consent_removal_prefix=URL, static_shipping_details=(shipping() for _ in range(1)))
    assert made.static_shipping_details == (shipping(),)


@pytest.mark.parametrize(
    ("parameter", "fields"),
    [
        ("passenger_name", {"passenger_name": "canary" * 9}),
        ("airline_code", {"airline_code": "74"}),
        ("airline_code", {"airline_code": 740}),
        ("airline_designator_code", {"airline_designator_code": "kl"}),
        ("ticket_number", {"ticket_number": "canary" * 26}),
        ("agency_invoice_number", {"agency_invoice_number": "1234567"}),
    ],
)
def test_airline_data_refuses(parameter: str, fields: dict[str, Any]) -> None:
    """A value that breaks a rule is named, and not shown if it is personal."""
    with pytest.raises(InvalidInputError) as caught:
        airline(**fields)
    assert parameter == caught.value.parameter
    assert "canary" not in repr(caught.value)


def test_airline_data() -> None:
    """A carrier's designator may have a digit, and the ticket may be missing."""
    assert airline(airline_designator_code="D8").ticket_number is None
