"""What the shop sells, and the ways in which it gets to an express customer, whichever API asks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attrs import frozen

from vipps_async import Money, ShippingBrand, ShippingType, nok

__all__ = ["EVERYWHERE", "PRICE", "PRODUCT", "Way", "address_lines", "ways_to"]

PRODUCT = "Wool socks, one pair"
PRICE = nok("249.00")


@frozen
class Way:
    """One way of shipping."""

    id: str
    name: str
    cost: Money
    type: ShippingType
    brand: ShippingBrand


_PICKUP = Way("pickup", "Pick up in the shop", nok(0), ShippingType.IN_STORE, ShippingBrand.OTHER)
_POST = Way("post", "By post, 2-4 days", nok("59.00"), ShippingType.HOME_DELIVERY, ShippingBrand.POSTEN)
_BIKE = Way("bike", "By bike, today", nok("89.00"), ShippingType.HOME_DELIVERY, ShippingBrand.OTHER)
_NORTH = Way("post", "By post, 4-8 days", nok("99.00"), ShippingType.HOME_DELIVERY, ShippingBrand.POSTEN)

#: Where the address makes no difference. The first one is the one chosen unless the customer takes another.
EVERYWHERE: Sequence[Way] = (_POST, _PICKUP)


def ways_to(post_code: str | None) -> Sequence[Way]:
    """Return the ways to an address, the default first: Oslo by bike, the far north for more."""
    code = post_code or ""
    if code.startswith("0"):
        return (_BIKE, _PICKUP)
    return (_NORTH,) if code.startswith(("8", "9")) else (_POST,)


def address_lines(parts: Iterable[str | None]) -> str:
    """Return what there is of an address, line by line."""
    return "\n".join(part.strip() for part in parts if part and part.strip())
