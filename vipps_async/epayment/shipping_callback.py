"""The shipping request of ePayment's express checkout as a source of the receiver: a customer waits for it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final, Generic, TypeVar
from urllib.parse import unquote

import orjson
from attrs import field, frozen

from vipps_async.auth_tokens import check_authorization, read_auth_tokens
from vipps_async.core.converter import UnreadableAnswer, decode, encode, json_name, load_json
from vipps_async.epayment.shipping import Shipping, ShippingGroup
from vipps_async.errors import CallbackError, InvalidInputError

S = TypeVar("S")

_KIND: Final = "shipping"
_PATH = re.compile(r"/[^?#]*")


@frozen(kw_only=True)
class ShippingQuestion:
    """Vipps' request for the shipping options to an address. The repr shows no address."""

    reference: str
    """The payment."""
    address_line1: str | None = field(default=None, repr=False, metadata=json_name("addressline1"))
    """Street and number."""
    address_line2: str | None = field(default=None, repr=False, metadata=json_name("addressline2"))
    """The rest of it, such as a c/o."""
    city: str | None = field(default=None, repr=False)
    """City."""
    post_code: str | None = field(default=None, repr=False, metadata=json_name("postcode"))
    """Post code."""
    country: str | None = None
    """Country, ``"NO"``."""

    @property
    def payment(self) -> str:
        """The reference, as every API calls it."""
        return self.reference

    def respond(self, result: object) -> bytes:
        """Write the body to answer with, as `application/json`.

        Args:
            result: the ways of shipping that the customer can choose, a list of `ShippingGroup`, one for each type and
                brand; empty or None: nothing is shipped there.

        Raises:
            CallbackError: nothing is shipped there, which is answered 400.
            InvalidInputError: the groups break a rule.
        """
        groups = () if result is None else result
        if isinstance(groups, Iterable) and not isinstance(groups, str | bytes | Mapping):
            groups = tuple(groups)
        if groups == ():
            raise CallbackError("cannot ship there", status=400, payment=self.reference)
        return encode(_Response(groups=Shipping(fixed_options=groups).fixed_options))  # type: ignore[arg-type] # it checks them


@frozen(kw_only=True)
class _Response:
    groups: tuple[ShippingGroup, ...] | None


ShippingHandler = Callable[
    [ShippingQuestion, S], Awaitable[Iterable[ShippingGroup] | None] | Iterable[ShippingGroup] | None
]


@frozen(kw_only=True)
class EpaymentShipping(Generic[S]):
    """What Vipps asks of payments with `DynamicOptions`, at one path.

    Args:
        path: the path that requests come to: that of `callback_url`, unless something before the application changes
            it.
        auth_tokens: the `callback_authorization_token` that payments were created with; several while it is changed.
        on_shipping: returns the ways of shipping within 8 seconds; none of them: nothing is shipped there.

    Raises:
        InvalidInputError: the path is of another form, or there is no token, or one that Vipps could not send.
    """

    path: str
    """The path that requests come to."""
    _tokens: tuple[bytes, ...] = field(converter=read_auth_tokens, repr=False, alias="auth_tokens")
    on_shipping: ShippingHandler[S]
    """Handles `ShippingQuestion`."""

    def __attrs_post_init__(self) -> None:
        path: object = self.path
        if not isinstance(path, str) or not _PATH.fullmatch(path):
            raise InvalidInputError("path", "a path such as '/vipps/shipping'", value=path)

    @property
    def api(self) -> str:
        """The API."""
        return "epayment"

    @property
    def handlers(self) -> Mapping[str, Callable[..., object] | None]:
        """The handler."""
        return {_KIND: self.on_shipping}

    def match(self, path: str) -> tuple[str, str] | None:
        """Tell whether a path is the one."""
        return (_KIND, "POST") if unquote(path.partition("?")[0]) == unquote(self.path) else None

    def check_headers(self, headers: Iterable[tuple[str, str]]) -> None:
        """Check `Authorization` in constant time.

        Raises:
            CallbackError: it is missing, or there twice, or none of the tokens (401).
        """
        check_authorization(headers, self._tokens)

    def read(self, _path: str, _headers: Iterable[tuple[str, str]], body: bytes) -> ShippingQuestion:
        """Read a question, whose fields Vipps has written in several cases.

        Raises:
            CallbackError: the body is malformed (400).
        """
        # Raised outside the except block, so that nothing of the body travels along.
        try:
            return decode(_folded(body), ShippingQuestion)
        except UnreadableAnswer as error:
            reason = error.reason.replace("the answer", "the body")
        raise CallbackError(f"the question cannot be read: {reason}", status=400)

    def restore(self, _kind: str, _record: bytes) -> Any:
        """Refuse: a question is not kept, for nobody waits for its answer later.

        Raises:
            CallbackError: always.
        """
        raise CallbackError("a question about shipping is not kept", status=400)

    def notify(self, _session: object, _payment: str) -> None:
        """Wake nobody: a question is no news."""


def _folded(body: bytes) -> bytes:
    said = load_json(body)
    if not isinstance(said, dict):
        return body
    return orjson.dumps({key.casefold(): value for key, value in said.items() if value is not None})
