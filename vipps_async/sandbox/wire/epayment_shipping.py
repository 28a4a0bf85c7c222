"""Shipping methods in ePayment's express checkout: fixed by the merchant, or queried while the customer waits."""

from __future__ import annotations

from collections.abc import Sequence

from vipps_async.sandbox.ledger.customers import Customer
from vipps_async.sandbox.ledger.orders import Order, ShippingMethod
from vipps_async.sandbox.ledger.reasons import SandboxError
from vipps_async.sandbox.wire import fields
from vipps_async.sandbox.wire.epayment_errors import EpaymentViolations
from vipps_async.sandbox.wire.face import Json
from vipps_async.sandbox.wire.fields import Field, check_that, drop_nulls, is_integer, read_fields, read_merchant_answer

#: Seconds that Vipps waits for ways of shipping; not published, and so the ten of eCom.
SHIPPING_TIMEOUT = 10.0
_PRIORITY = Field(fields.integer)
_FLAG = Field(fields.boolean)
GROUP_FIELDS = {
    "type": Field(fields.one_of("HOME_DELIVERY", "PICKUP_POINT", "MAILBOX", "IN_STORE", "OTHER"), required=True),
    "brand": Field(
        fields.one_of(
            *("POSTEN", "BRING", "POSTNORD", "HELTHJEM", "PORTERBUDDY", "DHL", "INSTABOX", "FEDEX", "MATKAHUOLTO"),
            *("GLS", "POSTI", "GORDON", "OTHER"),
        ),
        required=True,
    ),
    "options": Field(
        required=True,
        many=True,
        fields={
            "id": Field(fields.text_of(1, 256), required=True),
            "name": Field(fields.text_of(1, 256), required=True),
            "amount": Field(
                required=True,
                fields={
                    "currency": Field(fields.string, required=True),
                    "value": Field(
                        check_that(
                            lambda value: is_integer(value) and 0 <= value <= 65_000_000,
                            "must be an integer, not negative, in minor units",
                        ),
                        required=True,
                    ),
                },
            ),
            "isDefault": _FLAG,
            "priority": _PRIORITY,
            "meta": Field(fields.string),
            "estimatedDelivery": Field(fields.string),
        },
    ),
    "isDefault": _FLAG,
    "priority": _PRIORITY,
}


def methods_of(groups: Sequence[Json]) -> list[ShippingMethod]:
    """Return the options of checked groups as the ledger knows them, in the order in which the app shows them.

    The default is the default option of the default group; else its first one; without such a group, any default.
    """
    methods: list[ShippingMethod] = []
    marked = any(group.get("isDefault") for group in groups)
    for group in _by_priority(groups):
        options = _by_priority(group["options"])
        default = next((option for option in options if option.get("isDefault")), None)
        if marked:
            default = (default or options[0]) if group.get("isDefault") else None
        methods += [
            ShippingMethod(
                method_id=option["id"],
                name=option["name"],
                cost=option["amount"]["value"],
                is_default=option is default,
            )
            for option in options
        ]
    return methods


def _by_priority(items: Sequence[Json]) -> list[Json]:
    # What has none stands behind, in the order in which it came.
    return sorted(items, key=lambda item: (item.get("priority") is None, item.get("priority", 0)))


def shipping_question(order: Order, customer: Customer) -> Json:
    """Return what the merchant is asked with: names as the vendor's plug-ins read them, not as it describes them."""
    address = customer.address
    return {
        "reference": order.payment.reference,
        "addressLine1": address.line1,
        "addressLine2": address.line2,
        "city": address.city,
        "postCode": address.postal_code,
        "country": "NO",
    }


def read_shipping_answer(answer: tuple[int, bytes] | None, currency: str) -> list[ShippingMethod]:
    """Return the ways of shipping of a merchant's answer: status and body, or None if there was none.

    Raises:
        SandboxError: it gives none.
    """
    value = read_merchant_answer(answer, "shipping options")
    violations = EpaymentViolations()
    drop_nulls(value, violations)
    read_fields(value, {"groups": Field(required=True, many=True, fields=GROUP_FIELDS)}, "", violations)
    if not violations.found:
        amounts = [option["amount"]["currency"] for group in value["groups"] for option in group["options"]]
        if set(amounts) != {currency}:
            violations.add("groups", f"must have amounts in {currency}")
    if violations.found:
        wrong = "; ".join(f"{name} {message}" for name, message in violations.found)
        raise SandboxError(f"no shipping options: in the merchant's answer, {wrong}")
    return methods_of(value["groups"])
