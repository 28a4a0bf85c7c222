"""Reads what Vipps calls at the merchant: bytes and headers in, a typed event out, whatever the web framework.

::

    reader = CallbackReader([current_token, previous_token])
    event = reader.read("POST", "/vipps/v2/payments/acme-1", headers, body)

Every malformed or forged request raises `CallbackError` with the HTTP status to answer; no other exception comes out of
here. Vipps calls once, waits 3 seconds (10 for shipping details), and takes no answer as proof of anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TypeVar

from attrs import field, frozen

from vipps_async.core.converter import STRICT, UnreadableAnswer, decode, json_name
from vipps_async.core.redaction import redact
from vipps_async.ecom.callback_authentication import (
    ANYONE_MAY_CALL,
    AnyoneMayCall,
    AuthTokens,
    Headers,
    refuse_coded,
)
from vipps_async.ecom.callback_models import (
    AddressType,
    CallbackStatus,
    ConsentRemoval,
    PaymentUpdate,
    ShippingDetailsRequest,
    ShippingDetailsResponse,
)
from vipps_async.ecom.callback_target import CallbackTarget, Kind, target_of
from vipps_async.ecom.confirmation import AsksDetails, Confirmed, Contradicted, Disagreement
from vipps_async.ecom.details import PaymentShippingDetails, UserDetails
from vipps_async.ecom.dialect import ECOM
from vipps_async.errors import CallbackError, ErrorInfo, InvalidInputError

__all__ = [
    "ANYONE_MAY_CALL",
    "LARGEST_BODY",
    "AddressType",
    "AnyoneMayCall",
    "AsksDetails",
    "CallbackReader",
    "CallbackStatus",
    "CallbackTarget",
    "Confirmed",
    "ConsentRemoval",
    "Contradicted",
    "Disagreement",
    "Event",
    "Headers",
    "Kind",
    "PaymentUpdate",
    "ShippingDetailsRequest",
    "ShippingDetailsResponse",
    "target_of",
]

R = TypeVar("R")

#: What Vipps can tell.
Event = PaymentUpdate | ShippingDetailsRequest | ConsentRemoval

#: The largest body that is read, in bytes: many times what Vipps sends, and nothing that could hurt.
LARGEST_BODY = 64 * 1024

#: The group that callbacks name, and what Vipps' answers call the same.
_GROUPS = {"PAYMENTS": "Payment"}


# How the bodies look on the wire. Nothing but the order is required: what Vipps leaves out at times must not lose the
# news that the order has changed.


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


@frozen(kw_only=True)
class _ShippingQuestion:
    address_id: int
    address_line1: str | None = field(default=None, repr=False)
    address_line2: str | None = field(default=None, repr=False)
    city: str | None = field(default=None, repr=False)
    country: str | None = None
    post_code: str | None = field(default=None, repr=False, metadata=json_name("postCode", "zipCode", "postalCode"))
    address_type: AddressType | None = None


class CallbackReader:
    """Checks and reads requests that claim to come from Vipps.

    Args:
        auth_tokens: the `auth_token` that payments were initiated with; several while it is being changed. Payments
            can live for a while: keep the previous one until the last payment that has it has ended.
            `ANYONE_MAY_CALL` switches the check off: then everybody on the internet can make your handlers run.
        largest_body: the largest body that is read, in bytes.

    Raises:
        InvalidInputError: there is no token, or one that is empty or that Vipps could not send, or `largest_body` is
            not positive.
    """

    def __init__(self, auth_tokens: str | Iterable[str] | AnyoneMayCall, *, largest_body: int = LARGEST_BODY) -> None:
        if type(largest_body) is not int or largest_body < 1:
            raise InvalidInputError("largest_body", "a positive whole number of bytes", value=largest_body)
        self._tokens = None if auth_tokens is ANYONE_MAY_CALL else AuthTokens(auth_tokens)
        self.largest_body = largest_body

    def __repr__(self) -> str:
        return "<CallbackReader that anyone may call>" if self._tokens is None else "<CallbackReader>"

    def authenticate(self, headers: Headers) -> None:
        """Check the headers before the body is read: `Authorization` in constant time, so that no token can be guessed.

        Args:
            headers: the request's headers.

        Raises:
            CallbackError: it is missing, or there twice, or not one of the tokens (401); the body is compressed (415).
        """
        if self._tokens is not None:
            self._tokens.check(headers)
        refuse_coded(headers)

    def read(self, method: str, path: str, headers: Headers, body: bytes) -> Event:
        """Read a request of any of the three kinds.

        Args:
            method: the HTTP method.
            path: the path as it was sent, still percent-encoded, with or without query; what stands before Vipps' own
                part of it is of no matter.
            headers: the request's headers.
            body: the request's body.

        Raises:
            CallbackError: with the status to answer: 404 no path of Vipps', 405 another method, 401 not authentic,
                415 compressed, 413 too large, 400 malformed.
        """
        target = target_of(path)
        if method != target.kind.method:
            raise CallbackError(f"a {target.kind.value} comes by {target.kind.method}", status=405)
        self.authenticate(headers)
        return self.read_target(target, body)

    def read_target(self, target: CallbackTarget, body: bytes) -> Event:
        """Read a request whose headers are checked already.

        Raises:
            CallbackError: the body is too large (413) or malformed (400).
        """
        if len(body) > self.largest_body:
            raise CallbackError(f"the body has more than {self.largest_body} bytes", status=413)
        if target.kind is Kind.CONSENT_REMOVAL:
            return ConsentRemoval(user_id=target.user_id())
        order_id = target.order_id()
        if target.kind is Kind.SHIPPING_DETAILS:
            return _read_shipping_question(body, order_id)
        return read_payment_update(body, order_id)


def read_payment_update(body: bytes, order_id: str) -> PaymentUpdate:
    """Read the body of a transaction update.

    Args:
        body: what was received.
        order_id: the order that the path names.

    Raises:
        CallbackError: it is malformed or about another order (400).
    """
    payment = _read(body, _Payment, order_id)
    if payment.order_id != order_id:
        raise CallbackError("path and body name different orders", status=400, payment=order_id)
    info = _TransactionInfo() if payment.transaction_info is None else payment.transaction_info
    return PaymentUpdate(
        order_id=order_id,
        merchant_serial_number=payment.merchant_serial_number,
        claimed_status=info.status,
        claimed_amount=info.amount,
        time_stamp=info.time_stamp,
        transaction_id=info.transaction_id,
        error_info=None if payment.error_info is None else _error_info(payment.error_info),
        shipping_details=payment.shipping_details,
        user_details=payment.user_details,
    )


def _read_shipping_question(body: bytes, order_id: str) -> ShippingDetailsRequest:
    question = _read(body, _ShippingQuestion, order_id)
    return ShippingDetailsRequest(
        order_id=order_id,
        address_id=question.address_id,
        address_line1=question.address_line1,
        address_line2=question.address_line2,
        city=question.city,
        country=question.country,
        post_code=question.post_code,
        address_type=question.address_type,
    )


def _error_info(error: _ErrorInfo) -> ErrorInfo:
    return ErrorInfo(
        group=_GROUPS.get(error.error_group, error.error_group),
        code=error.error_code,
        message=redact(error.error_message, personal_keys=ECOM.personal_keys),
        context_id=error.context_id,
    )


def _read(body: bytes, cls: type[R], order_id: str) -> R:
    # Raised outside the except block, so that nothing of the body travels along.
    try:
        return decode(body, cls)
    except UnreadableAnswer as error:
        reason = error.reason.replace("the answer", "the body")
    raise CallbackError(f"the request cannot be read: {reason}", status=400, payment=order_id)
