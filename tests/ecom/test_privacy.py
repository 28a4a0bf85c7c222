"""No secret or personal value shows in a repr: reprs end up in logs."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

import vipps_async.airline_data
import vipps_async.ecom.details
import vipps_async.ecom.express
import vipps_async.ecom.requests
import vipps_async.ecom.responses
import vipps_async.userinfo
from tests.ecom.scripted_runner import ScriptedRunner
from tests.support.rows import each_row
from vipps_async import AirlineData, EcomApi
from vipps_async.errors import InvalidInputError

CANARY = "canary"
#: Fields that anybody may see. Whatever is not named here must not show: a new field is personal until someone has
#: thought about it.
PUBLIC = {
    "address_type",
    "agency_invoice_number",
    "airline_code",
    "airline_designator_code",
    "amount",
    "is_app",
    "is_default",
    "merchant_serial_number",
    "operation",
    "operation_success",
    "order_id",
    "payment_instrument",
    "payment_type",
    "priority",
    "request_id",
    "scope",
    "settled_by",
    "shipping_cost",
    "shipping_method",
    "shipping_method_id",
    "should_release_remaining_funds",
    "skip_landing_page",
    "status",
    "static_shipping_details",
    "time_stamp",
    "transaction_id",
    "transaction_text",
    "use_explicit_checkout_flow",
    "captured_amount",
    "refunded_amount",
    "remaining_amount_to_capture",
    "remaining_amount_to_refund",
}
#: Fields that show a model, which is looked at by itself.
NESTED = {
    "additional_data",
    "customer_info",
    "merchant_info",
    "shipping_details",
    "transaction",
    "transaction_log_history",
    "transaction_summary",
}
MODELS = [
    model
    for module in (
        vipps_async.airline_data,
        vipps_async.ecom.responses,
        vipps_async.ecom.details,
        vipps_async.ecom.express,
        vipps_async.ecom.requests,
        vipps_async.userinfo,
    )
    for name, model in vars(module).items()
    if isinstance(model, type) and attrs.has(model) and model.__module__ == module.__name__ and name[0] != "_"
]


def filled(model: type[Any]) -> Any:
    """Make a model whose every field that is not public holds the canary, unchecked."""
    made = object.__new__(model)
    for attribute in attrs.fields(model):
        value = "plain" if attribute.name in PUBLIC | NESTED else f"{CANARY}-{attribute.name}"
        object.__setattr__(made, attribute.name, value)
    return made


@each_row("model", MODELS)
def test_reprs_show_nothing_personal(model: type[Any]) -> None:
    """The repr of a model has none of its fields but those that anybody may see."""
    assert CANARY not in repr(filled(model))
    assert CANARY not in str(filled(model))


def test_the_models_are_all_there() -> None:
    """The test above looks at all models."""
    assert len(MODELS) == 29


@pytest.mark.parametrize(
    "arguments",
    [
        {"mobile_number": "canary"},
        {"auth_token": "canary\n"},
        {"auth_token": "canary", "amount": 1},
        {"fall_back": "https://canary:canary@example.com/"},
        {"callback_prefix": "http://example.com/?key=canary"},
        {"mobile_number": "91234567", "scope": "name name,", "auth_token": "canary"},
        {"airline_data": {"passenger_name": "canary"}},
    ],
)
async def test_refusals_show_nothing_personal(ecom: EcomApi, arguments: dict[str, Any]) -> None:
    """An error about an argument shows neither that argument nor another one, if it is secret or personal."""
    given = {
        "order_id": "acme-1",
        "amount": 100,
        "transaction_text": "Socks",
        "callback_prefix": "https://example.com/",
        "fall_back": "https://example.com/",
        **arguments,
    }
    with pytest.raises(InvalidInputError) as caught:
        await ecom.initiate(**given)
    assert CANARY not in f"{caught.value} {caught.value!r} {vars(caught.value)}"
    assert "91234567" not in f"{caught.value!r}"


async def test_calls_show_nothing_personal(ecom: EcomApi, runner: ScriptedRunner) -> None:
    """The repr of a call shows neither its body nor secrets."""
    await ecom.initiate(
        order_id="acme-1",
        amount=100,
        transaction_text="Socks",
        callback_prefix="https://example.com/",
        fall_back="https://example.com/",
        mobile_number="91234567",
        auth_token="canary",
        airline_data=AirlineData(
            passenger_name="canary", airline_code="074", airline_designator_code="KL", agency_invoice_number="1"
        ),
    )
    await ecom.approve("acme-1", mobile_number="91234567", token="canary")
    shown = repr(runner.calls) + repr([call.body for call in runner.calls])
    assert CANARY not in shown
    assert "91234567" not in shown
