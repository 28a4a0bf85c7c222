"""Express checkout: what makes an eCom payment one, and its ways of shipping."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from attrs import field, frozen

from vipps_async.core.converter import YES_NO
from vipps_async.errors import InvalidInputError
from vipps_async.input_rules import check_flag, check_shipping_cost, check_text
from vipps_async.money import Money


def _read_cost(value: Money | int) -> Decimal:
    return check_shipping_cost(value)


@frozen(kw_only=True)
class ShippingDetails:
    """One way of shipping that the customer can choose in an express checkout.

    Raises:
        InvalidInputError: a value breaks a rule.
    """

    is_default: bool = field(default=False, metadata=YES_NO)
    """Whether it is the one chosen unless the customer takes another."""
    priority: int | None = None
    """Where it stands among the others, the lowest first."""
    shipping_cost: Decimal = field(converter=_read_cost)
    """What it costs, kept and sent in **kroner**, not øre: the only such sum in the API. Given like every other amount,
    as `Money` in NOK or in whole øre."""
    shipping_method: str
    """What the customer reads, at most 256 characters; 25 fit on most screens."""
    shipping_method_id: str
    """Your own name for it, at most 100 characters."""

    def __attrs_post_init__(self) -> None:
        check_flag("is_default", self.is_default)
        if self.priority is not None and (isinstance(self.priority, bool) or not isinstance(self.priority, int)):
            raise InvalidInputError("priority", "a whole number", value=self.priority)
        check_text("shipping_method", self.shipping_method, longest=256)
        check_text("shipping_method_id", self.shipping_method_id, longest=100)


def _read_methods(value: Iterable[ShippingDetails] | None) -> tuple[ShippingDetails, ...] | None:
    rule = "a non-empty list of ShippingDetails"
    if value is None:
        return None
    if isinstance(value, ShippingDetails) or not isinstance(value, Iterable):
        raise InvalidInputError("static_shipping_details", rule, value=value)
    methods = tuple(value)
    if not methods or not all(isinstance(method, ShippingDetails) for method in methods):
        raise InvalidInputError("static_shipping_details", rule, value=value)
    return methods


@frozen(kw_only=True)
class ExpressCheckout:
    """Makes a payment an express checkout: Vipps asks the customer for address and way of shipping.

    Vipps adds the cost of the chosen way of shipping to the payment's `amount`: ask for the goods alone. What is
    reserved, told in callbacks and captured by a capture without an amount is goods and shipping; a shop that adds
    shipping itself charges it twice (API guide, express checkout).

    Give `shipping_details_prefix` or `static_shipping_details`. Where both are given, Vipps goes by the static ones.

    Raises:
        InvalidInputError: a value breaks a rule. The URLs are checked when the payment is initiated.
    """

    consent_removal_prefix: str = field(repr=False)
    """Vipps calls ``{consent_removal_prefix}/v2/consents/{userId}`` when a customer takes back the consent.
    Required."""
    shipping_details_prefix: str | None = field(default=None, repr=False)
    """Vipps calls ``{shipping_details_prefix}/v2/payments/{orderId}/shippingDetails`` and is answered with the ways of
    shipping."""
    static_shipping_details: tuple[ShippingDetails, ...] | None = field(default=None, converter=_read_methods)
    """The ways of shipping, where they do not depend on the address: faster for the customer."""
    use_explicit_checkout_flow: bool = False
    """Makes the customer confirm address and way of shipping explicitly."""

    def __attrs_post_init__(self) -> None:
        if self.shipping_details_prefix is None and self.static_shipping_details is None:
            rule = "given with shipping_details_prefix or static_shipping_details"
            raise InvalidInputError("express", rule, secret=True)
        check_flag("use_explicit_checkout_flow", self.use_explicit_checkout_flow)
        methods = self.static_shipping_details or ()
        if len({method.shipping_method_id for method in methods}) != len(methods):
            raise InvalidInputError("static_shipping_details", "a list without the same shipping_method_id twice")
        if sum(method.is_default for method in methods) > 1:
            raise InvalidInputError("static_shipping_details", "a list with at most one default")
