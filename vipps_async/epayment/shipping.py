"""Express checkout of the ePayment API: the ways of shipping that the customer chooses from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from attrs import field, frozen

from vipps_async.epayment.request_enums import ShippingBrand, ShippingType, check_word
from vipps_async.epayment.request_rules import check_items, check_money
from vipps_async.errors import InvalidInputError
from vipps_async.input_rules import check_flag, check_text
from vipps_async.money import Money

#: Vipps names no limit for these texts.
_TEXT_LENGTH = 2_500
#: What Vipps' description allows in the header `Authorization` of its callbacks.
_CALLBACK_TOKEN = re.compile(r"[a-zA-Z0-9-]{1,50}")
_COUNTRY = re.compile(r"[A-Z]{2}")


def _check_order(is_default: object, priority: object) -> None:
    if is_default is not None:
        check_flag("is_default", is_default)
    if priority is not None and (isinstance(priority, bool) or not isinstance(priority, int)):
        raise InvalidInputError("priority", "a whole number", value=priority)


def _check_one_default(parameter: str, items: Iterable[ShippingGroup | ShippingOption]) -> None:
    if sum(item.is_default is True for item in items) > 1:
        raise InvalidInputError(parameter, "a list with at most one default")


@frozen(kw_only=True)
class ShippingOption:
    """One way of shipping.

    Raises:
        InvalidInputError: a value breaks a rule.
    """

    id: str
    """Your own name for it; comes back as `shipping_option_id`."""
    amount: Money
    """What it costs; 0 is free. The app adds it to the payment's amount."""
    name: str
    """What the customer reads: the way of shipping, or the shop's name."""
    is_default: bool | None = None
    """Whether it is the one chosen unless the customer takes another."""
    priority: int | None = None
    """Where it stands among the others, the lowest first."""
    meta: str | None = None
    """What else the customer reads, such as the shop's address."""
    estimated_delivery: str | None = None
    """When it arrives, or when the shop is open, in words."""

    def __attrs_post_init__(self) -> None:
        check_text("id", self.id, longest=_TEXT_LENGTH)
        check_money("amount", self.amount)
        check_text("name", self.name, longest=_TEXT_LENGTH)
        _check_order(self.is_default, self.priority)
        for name in ("meta", "estimated_delivery"):
            if getattr(self, name) is not None:
                check_text(name, getattr(self, name), longest=_TEXT_LENGTH)


def _read_options(value: Iterable[ShippingOption]) -> tuple[ShippingOption, ...]:
    return check_items("options", value, ShippingOption)


@frozen(kw_only=True)
class ShippingGroup:
    """The ways of shipping of one type and brand.

    Raises:
        InvalidInputError: a value breaks a rule, an option's id stands there twice, or two options are the default.
    """

    type: ShippingType
    """How the goods come."""
    brand: ShippingBrand
    """Who brings them."""
    options: tuple[ShippingOption, ...] = field(converter=_read_options)
    """What the customer chooses from, such as several places to fetch the goods."""
    is_default: bool | None = None
    """Whether it is the one chosen unless the customer takes another."""
    priority: int | None = None
    """Where it stands among the others, the lowest first."""

    def __attrs_post_init__(self) -> None:
        check_word("type", self.type, ShippingType)
        check_word("brand", self.brand, ShippingBrand)
        _check_order(self.is_default, self.priority)
        if len({option.id for option in self.options}) != len(self.options):
            raise InvalidInputError("options", "a list without the same id twice")
        _check_one_default("options", self.options)


@frozen(kw_only=True)
class DynamicOptions:
    """Ways of shipping that your server tells when Vipps asks it with the customer's address.

    Raises:
        InvalidInputError: the token breaks its rule. The URL is checked when the payment is created.
    """

    callback_url: str = field(repr=False)
    """The https URL that Vipps posts the address to, as it stands here."""
    callback_authorization_token: str | None = field(default=None, repr=False)
    """Comes with that request as the header `Authorization`: 1 to 50 characters of a-z, A-Z, 0-9 and "-"."""

    def __attrs_post_init__(self) -> None:
        token: object = self.callback_authorization_token
        if token is not None and not (isinstance(token, str) and _CALLBACK_TOKEN.fullmatch(token)):
            rule = "1 to 50 characters of a-z, A-Z, 0-9 and '-'"
            raise InvalidInputError("callback_authorization_token", rule, secret=True)


def _read_groups(value: Iterable[ShippingGroup] | None) -> tuple[ShippingGroup, ...] | None:
    return None if value is None else check_items("fixed_options", value, ShippingGroup)


def _read_countries(value: Iterable[str] | None) -> tuple[str, ...] | None:
    if value is None:
        return None
    countries = check_items("allowed_countries", value, str)
    if not all(map(_COUNTRY.fullmatch, countries)):
        rule = "a list of countries of two capital letters, such as 'NO' (ISO 3166-1)"
        raise InvalidInputError("allowed_countries", rule, value=value)
    return countries


@frozen(kw_only=True)
class Shipping:
    """Makes a payment an express checkout: the customer gives the address and chooses a way of shipping in the app.

    The app adds the cost of the chosen way to the payment's `amount`: ask for the goods alone, or shipping is charged
    twice. Capture what the payment's aggregate says is authorized. Vipps must have allowed the sales unit to use it.

    Raises:
        InvalidInputError: a value breaks a rule, or not exactly one of `fixed_options` and `dynamic_options` is given.
    """

    fixed_options: tuple[ShippingGroup, ...] | None = field(default=None, converter=_read_groups)
    """The ways of shipping, where they do not depend on the address: one group for a brand and a type."""
    dynamic_options: DynamicOptions | None = None
    """Where Vipps asks for the ways of shipping to an address."""
    allowed_countries: tuple[str, ...] | None = field(default=None, converter=_read_countries)
    """Where goods can be sent to, by ISO 3166-1's two letters; left out: the sales unit's own country."""

    def __attrs_post_init__(self) -> None:
        dynamic = self.dynamic_options
        if dynamic is not None and not isinstance(dynamic, DynamicOptions):
            raise InvalidInputError("dynamic_options", "a DynamicOptions", secret=True)
        if (self.fixed_options is None) == (dynamic is None):
            raise InvalidInputError("shipping", "given either fixed_options or dynamic_options", secret=True)
        groups = self.fixed_options or ()
        if len({(group.type, group.brand) for group in groups}) != len(groups):
            raise InvalidInputError("fixed_options", "a list with one group for each type and brand")
        _check_one_default("fixed_options", groups)

    def sums(self) -> Iterator[Money]:
        """Yield the cost of every way of shipping."""
        yield from (option.amount for group in self.fixed_options or () for option in group.options)
