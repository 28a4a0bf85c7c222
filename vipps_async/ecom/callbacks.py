"""eCom's callbacks as a source of the receiver: authenticates requests and reads them as typed events.

Vipps calls once, and waits 3 seconds for the response (10 for shipping details).
"""

from __future__ import annotations

import enum
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from typing import Final, Generic, TypeVar
from urllib.parse import unquote

from attrs import evolve, field, frozen

from vipps_async.auth_tokens import check_authorization, read_auth_tokens
from vipps_async.core.converter import STRICT, UnreadableAnswer, decode
from vipps_async.core.redaction import redact
from vipps_async.ecom.callback_models import (
    CallbackStatus,
    ConsentRemoval,
    EcomSession,
    PaymentUpdate,
    ShippingDetailsRequest,
)
from vipps_async.ecom.details import PaymentShippingDetails, UserDetails
from vipps_async.ecom.dialect import CALLBACK, CONSENT_REMOVAL, ECOM
from vipps_async.ecom.express import ShippingDetails
from vipps_async.errors import CallbackError, ErrorInfo, InvalidInputError
from vipps_async.input_rules import check_order_id

R = TypeVar("R")
S = TypeVar("S", bound=EcomSession)
PaymentHandler = Callable[[PaymentUpdate, S], Awaitable[None] | None]
ShippingHandler = Callable[
    [ShippingDetailsRequest, S], Awaitable[Iterable[ShippingDetails]] | Iterable[ShippingDetails]
]
ConsentHandler = Callable[[ConsentRemoval, S], Awaitable[None] | None]

_SHIPPING_DETAILS: Final = "shipping_details"

_CONSENTS_PATH = "/v2/consents/"
_PAYMENTS_PATH = "/v2/payments/"
_SHIPPING_PATH = "/shippingDetails"
#: The longest path that is looked at, in characters: a prefix has 255 at most, and a user id 900 if each character is
#: encoded as often as it may be.
_LONGEST_PATH = 2_000
#: Base64 of either alphabet. Vipps gives 50 characters at most; twice that leaves room for other ids.
_USER_ID = re.compile(r"[A-Za-z0-9+/_-]{1,100}={0,2}")
#: How often a user id is decoded at most: once by the rules, once more for a proxy that has encoded it again, and one
#: in reserve.
_ENCODINGS = 3

#: The group that callbacks name, and what Vipps' answers call the same.
_GROUPS = {"PAYMENTS": "Payment"}


class AnyoneMayCall(enum.Enum):
    """The type of `ANYONE_MAY_CALL`."""

    ANYONE_MAY_CALL = "anyone may call"


#: In place of auth tokens: requests are not authenticated at all. For a development machine, or behind something that
#: lets nobody but Vipps through.
ANYONE_MAY_CALL: Final = AnyoneMayCall.ANYONE_MAY_CALL


def _read_tokens(tokens: str | Iterable[str] | AnyoneMayCall) -> tuple[bytes, ...] | None:
    if tokens is ANYONE_MAY_CALL:
        return None
    return read_auth_tokens(tokens)


@frozen
class EcomCallbacks(Generic[S]):
    """The requests of eCom: payment callbacks, requests for shipping methods, and consent removals.

    Args:
        auth_tokens: the `auth_token` that payments were initiated with; several while it is being changed. Payments
            can live for a while: keep the previous one until the last payment that has it has ended.
            `ANYONE_MAY_CALL` switches the check off: then everybody on the internet can make your handlers run.
        on_payment: called when something happened to a payment.
        on_shipping_details: returns the shipping methods of an express checkout, within 8 seconds.
        on_consent_removal: deletes what you know of a customer.

    What has no handler is answered 404.

    Raises:
        InvalidInputError: there is no token, or one that is empty or that Vipps could not send.
    """

    _tokens: tuple[bytes, ...] | None = field(converter=_read_tokens, repr=False, alias="auth_tokens")
    on_payment: PaymentHandler[S] | None = field(default=None, kw_only=True)
    """Handles `PaymentUpdate`."""
    on_shipping_details: ShippingHandler[S] | None = field(default=None, kw_only=True)
    """Handles `ShippingDetailsRequest`."""
    on_consent_removal: ConsentHandler[S] | None = field(default=None, kw_only=True)
    """Handles `ConsentRemoval`."""

    @property
    def api(self) -> str:
        """The API."""
        return ECOM.name

    @property
    def handlers(self) -> Mapping[str, Callable[..., object] | None]:
        """The handler of each kind of request."""
        return {
            CALLBACK: self.on_payment,
            _SHIPPING_DETAILS: self.on_shipping_details,
            CONSENT_REMOVAL: self.on_consent_removal,
        }

    def match(self, path: str) -> tuple[str, str] | None:
        """Return the kind of a request by its path, and its HTTP method; None: it is not eCom's."""
        found = _split(path)
        return found and (found[0], "DELETE" if found[0] == CONSENT_REMOVAL else "POST")

    def check_headers(self, headers: Iterable[tuple[str, str]]) -> None:
        """Check `Authorization` in constant time, so that no token can be guessed.

        Raises:
            CallbackError: it is missing, or there twice, or none of the tokens (401).
        """
        if self._tokens is not None:
            check_authorization(headers, self._tokens)

    def read(
        self, path: str, _headers: Iterable[tuple[str, str]], body: bytes
    ) -> PaymentUpdate | ShippingDetailsRequest | ConsentRemoval:
        """Read a request whose headers are checked already.

        Raises:
            CallbackError: path or body is malformed, or they name different orders (400).
        """
        kind, encoded = _split(path) or ("", "")
        if kind == CONSENT_REMOVAL:
            return ConsentRemoval(user_id=_user_id(encoded))
        order_id = _order_id(encoded)
        if kind == _SHIPPING_DETAILS:
            return evolve(_decode(body, ShippingDetailsRequest, order_id), order_id=order_id)
        update = _read_payment_update(body, order_id)
        if update.order_id != order_id:
            raise CallbackError("path and body name different orders", status=400, payment=order_id)
        return update

    def restore(self, kind: str, record: bytes) -> PaymentUpdate | ConsentRemoval:
        """Rebuild an event from its record in the journal.

        Raises:
            CallbackError: the record is damaged.
        """
        if kind == CONSENT_REMOVAL:
            return ConsentRemoval(user_id=_user_id(record.decode("latin-1")), is_redelivered=True)
        return evolve(_decode(record, PaymentUpdate, None), is_redelivered=True)

    def notify(self, session: EcomSession, payment: str) -> None:
        """Wake `wait_for`."""
        session.ecom.notify(payment)


# -- paths -------------------------------------------------------------------------------------------------------------


def _split(path: str) -> tuple[str, str] | None:
    """Return the kind of a path, and the order id or user id in it, still percent-encoded."""
    if len(path) > _LONGEST_PATH:
        return None
    path = path.partition("?")[0]
    # All that follows is the user id: it may have slashes in it, if something on the way has decoded them.
    _, found, user_id = path.partition(_CONSENTS_PATH)
    if found and user_id:
        return CONSENT_REMOVAL, user_id
    _, found, rest = path.rpartition(_PAYMENTS_PATH)
    rest = rest.removesuffix("/")
    order_id = rest.removesuffix(_SHIPPING_PATH)
    if not found or not order_id or "/" in order_id:
        return None
    return CALLBACK if order_id == rest else _SHIPPING_DETAILS, order_id


def _order_id(encoded: str) -> str:
    # Raised outside the except block, so that nothing of the path travels along.
    try:
        return check_order_id(unquote(encoded))
    except InvalidInputError:
        pass
    raise CallbackError("the path names no valid order id", status=400)


def _user_id(encoded: str) -> str:
    for _ in range(_ENCODINGS):
        # Base64 has no percent sign, so what still has one is still encoded. A plus sign is a plus sign.
        if "%" not in encoded:
            break
        encoded = unquote(encoded)
    if not _USER_ID.fullmatch(encoded):
        raise CallbackError("the path names no valid user id", status=400)
    return encoded


# -- bodies ------------------------------------------------------------------------------------------------------------

# Nothing but the order is required: what Vipps leaves out at times must not lose the news that the order has changed.


@frozen(kw_only=True)
class _TransactionInfo:
    amount: int | None = field(default=None, metadata=STRICT)
    status: CallbackStatus | None = None
    time_stamp: datetime | None = None
    transaction_id: str | None = None


@frozen(kw_only=True)
class _ErrorInfo:
    error_group: str = ""
    error_code: str = ""
    error_message: str = ""
    context_id: str | None = None


@frozen(kw_only=True)
class _Payment:
    order_id: str
    merchant_serial_number: str | None = None
    transaction_info: _TransactionInfo | None = field(default=None, metadata=STRICT)
    error_info: _ErrorInfo | None = None
    shipping_details: PaymentShippingDetails | None = None
    user_details: UserDetails | None = field(default=None, repr=False)


def _read_payment_update(body: bytes, order_id: str) -> PaymentUpdate:
    payment = _decode(body, _Payment, order_id)
    info = payment.transaction_info or _TransactionInfo()
    error = payment.error_info
    return PaymentUpdate(
        order_id=payment.order_id,
        merchant_serial_number=payment.merchant_serial_number,
        claimed_status=info.status,
        claimed_amount=info.amount,
        time_stamp=info.time_stamp,
        transaction_id=info.transaction_id,
        error_info=None
        if error is None
        else ErrorInfo(
            group=_GROUPS.get(error.error_group, error.error_group),
            code=error.error_code,
            message=redact(error.error_message, personal_keys=ECOM.personal_keys),
            context_id=error.context_id,
        ),
        shipping_details=payment.shipping_details,
        user_details=payment.user_details,
    )


def _decode(body: bytes, cls: type[R], order_id: str | None) -> R:
    # Raised outside the except block, so that nothing of the body travels along.
    try:
        return decode(body, cls)
    except UnreadableAnswer as error:
        reason = error.reason.replace("the answer", "the body")
    raise CallbackError(f"the request cannot be read: {reason}", status=400, payment=order_id)
