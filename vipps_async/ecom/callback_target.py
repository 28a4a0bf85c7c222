"""Where Vipps calls: which of the three kinds a path is, and what it names."""

from __future__ import annotations

import enum
import re
from urllib.parse import unquote

from attrs import field, frozen

from vipps_async.errors import CallbackError, InvalidInputError
from vipps_async.input_rules import check_order_id

__all__ = ["CallbackTarget", "Kind", "target_of"]

_CONSENTS = "/v2/consents/"
_PAYMENTS = "/v2/payments/"
_SHIPPING = "/shippingDetails"

#: Base64 of either alphabet. Vipps gives 50 characters at most; twice that leaves room for other ids.
_USER_ID = re.compile(r"[A-Za-z0-9+/_-]{1,100}={0,2}")
#: How often a user id is decoded at most: once by the rules, once more for a proxy that has encoded it again, and one
#: in reserve.
_ENCODINGS = 3


#: The longest path that is looked at, in characters: a prefix has 255 at most, and a user id 900 if each character is
#: encoded as often as it may be.
_LONGEST_PATH = 2_000


class Kind(enum.Enum):
    """What a request is about."""

    #: Something happened to a payment.
    PAYMENT_UPDATE = "payment update"
    #: Vipps asks for ways of shipping.
    SHIPPING_DETAILS = "shipping details request"
    #: A customer takes back a consent.
    CONSENT_REMOVAL = "consent removal"

    @property
    def method(self) -> str:
        """The HTTP method that it comes by."""
        return "DELETE" if self is Kind.CONSENT_REMOVAL else "POST"


@frozen(kw_only=True)
class CallbackTarget:
    """A path that Vipps calls. The repr leaves out whom it names."""

    kind: Kind
    #: The order id or user id, still percent-encoded.
    encoded: str = field(repr=False)

    def order_id(self) -> str:
        """Return the order that the path names.

        Raises:
            CallbackError: it is no order id (400).
        """
        try:
            return check_order_id(unquote(self.encoded))
        except InvalidInputError:
            pass
        raise CallbackError("the path names no valid order id", status=400)

    def user_id(self) -> str:
        """Return the user that the path names: base64, percent-encoded once, not at all, or once more by a proxy.

        Raises:
            CallbackError: it is no user id (400).
        """
        user_id = self.encoded
        for _ in range(_ENCODINGS):
            # Base64 has no percent sign, so what still has one is still encoded. A plus sign is a plus sign.
            if "%" not in user_id:
                break
            user_id = unquote(user_id)
        if not _USER_ID.fullmatch(user_id):
            raise CallbackError("the path names no valid user id", status=400)
        return user_id


def target_of(path: str) -> CallbackTarget:
    """Tell what a path is about.

    Args:
        path: as it was sent, still percent-encoded, with or without query.

    Raises:
        CallbackError: it is none that Vipps calls (404).
    """
    if len(path) > _LONGEST_PATH:
        raise CallbackError("Vipps calls no such path", status=404)
    path = path.partition("?")[0]
    # All that follows is the user id: it may have slashes in it, if something on the way has decoded them.
    _, found, user_id = path.partition(_CONSENTS)
    if found and user_id:
        return CallbackTarget(kind=Kind.CONSENT_REMOVAL, encoded=user_id)
    _, found, rest = path.rpartition(_PAYMENTS)
    rest = rest.removesuffix("/")
    kind = Kind.SHIPPING_DETAILS if rest.endswith(_SHIPPING) else Kind.PAYMENT_UPDATE
    order_id = rest.removesuffix(_SHIPPING)
    if not found or not order_id or "/" in order_id:
        raise CallbackError("Vipps calls no such path", status=404)
    return CallbackTarget(kind=kind, encoded=order_id)
