"""Makes the bodies that the ePayment operations send, and holds arguments to Vipps' rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from vipps_async.airline_data import AirlineData
from vipps_async.epayment.receipt import Receipt
from vipps_async.epayment.request_bodies import (
    CancelRequest,
    CreatePaymentRequest,
    Customer,
    ForceApproveRequest,
    IndustryData,
    MerchantLegalLinks,
    ModificationRequest,
    PaymentMethod,
    Profile,
    QrFormat,
)
from vipps_async.epayment.request_enums import (
    BlockedSource,
    CustomerInteraction,
    PaymentMethodType,
    UserFlow,
    check_word,
)
from vipps_async.epayment.request_rules import (
    check_items,
    check_money,
    check_payment_amount,
    check_phone_number,
    check_range,
)
from vipps_async.epayment.shipping import Shipping
from vipps_async.errors import InvalidInputError
from vipps_async.input_rules import (
    check_callback_url,
    check_flag,
    check_reference,
    check_return_url,
    check_scope,
    check_text,
    check_token,
)
from vipps_async.money import Money

#: What an express checkout asks for: exactly these, or Vipps refuses it (API guide, express).
_EXPRESS_SCOPES: Final = ("name", "address", "email", "phoneNumber")
#: When a long-living payment may expire at the earliest and latest (OpenAPI description, `expiresAt`), and how far off
#: this machine's clock may be before a bound is no longer certain.
_SOONEST: Final = timedelta(minutes=10)
_LATEST: Final = timedelta(days=60)
_CLOCK_ERROR: Final = timedelta(minutes=5)
_LONGEST_REFERENCE: Final = 64


def create_request(
    *,
    reference: str,
    amount: Money,
    payment_description: str | None = None,
    return_url: str | None = None,
    user_flow: UserFlow | str = UserFlow.WEB_REDIRECT,
    payment_method: PaymentMethodType | str = PaymentMethodType.WALLET,
    phone_number: str | None = None,
    personal_qr: str | None = None,
    customer_token: str | None = None,
    customer_interaction: CustomerInteraction | str | None = None,
    minimum_user_age: int | None = None,
    scope: str | Iterable[str] | None = None,
    expires_at: datetime | None = None,
    qr_format: QrFormat | None = None,
    receipt: Receipt | None = None,
    receipt_url: str | None = None,
    metadata: Mapping[str, str] | None = None,
    shipping: Shipping | None = None,
    airline_data: AirlineData | None = None,
    blocked_sources: Iterable[BlockedSource | str] | None = None,
    merchant_legal_links: MerchantLegalLinks | None = None,
    loopback: bool = False,
    is_vipps: bool = True,
) -> CreatePaymentRequest:
    """Make the body of create.

    Args: those of `EpaymentApi.create`, and:
        loopback: whether http URLs of this very machine are allowed.
        is_vipps: whether it goes to Vipps' own host, which reaches public hosts only and goes by the world's clock.

    Raises:
        InvalidInputError: an argument breaks a rule, or does not go with another.
    """
    check_reference(reference)
    check_payment_amount(amount)
    flow = check_word("user_flow", user_flow, UserFlow)
    method = check_word("payment_method", payment_method, PaymentMethodType)
    if method is PaymentMethodType.CARD and flow is not UserFlow.WEB_REDIRECT:
        raise InvalidInputError("user_flow", "WEB_REDIRECT with payment_method CARD", value=user_flow)
    if payment_description is not None:
        check_text("payment_description", payment_description, shortest=3, longest=100)
    if return_url is not None:
        check_return_url("return_url", return_url, loopback=loopback, is_vipps=is_vipps)
    elif flow is UserFlow.WEB_REDIRECT:
        raise InvalidInputError("return_url", "given with user_flow WEB_REDIRECT", value=None)
    customer = _customer(phone_number, personal_qr, customer_token)
    if customer is None and flow is UserFlow.PUSH_MESSAGE:
        rule = "given, or personal_qr or customer_token, with user_flow PUSH_MESSAGE"
        raise InvalidInputError("phone_number", rule, value=None)
    if minimum_user_age is not None:
        check_range("minimum_user_age", minimum_user_age, 0, 100)
    if receipt_url is not None:
        check_return_url("receipt_url", receipt_url, loopback=loopback, is_vipps=is_vipps)
    if airline_data is not None and not isinstance(airline_data, AirlineData):
        raise InvalidInputError("airline_data", "an AirlineData", secret=True)
    _check_receipt(receipt, currency=amount.currency)
    _check_qr_format(qr_format, flow)
    _check_shipping(shipping, method, currency=amount.currency, loopback=loopback, is_vipps=is_vipps)
    _check_legal_links(merchant_legal_links, loopback=loopback, is_vipps=is_vipps)
    return CreatePaymentRequest(
        amount=amount,
        payment_method=PaymentMethod(
            type=method, blocked_sources=_blocked_sources(blocked_sources, method, currency=amount.currency)
        ),
        reference=reference,
        user_flow=flow,
        customer=customer,
        customer_interaction=None
        if customer_interaction is None
        else check_word("customer_interaction", customer_interaction, CustomerInteraction),
        minimum_user_age=minimum_user_age,
        industry_data=None if airline_data is None else IndustryData(airline_data=airline_data),
        profile=_profile(scope, is_express=shipping is not None),
        return_url=return_url,
        expires_at=_expiry(expires_at, method, has_receipt=receipt is not None, is_vipps=is_vipps),
        qr_format=qr_format,
        payment_description=payment_description,
        receipt=receipt,
        receipt_url=receipt_url,
        metadata=_metadata(metadata),
        shipping=shipping,
        merchant_legal_links=merchant_legal_links,
    )


def modification_request(amount: Money) -> ModificationRequest:
    """Make the body of capture and refund.

    Raises:
        InvalidInputError: the amount is no `Money` that Vipps takes.
    """
    return ModificationRequest(modification_amount=check_payment_amount(amount))


def cancel_request(*, cancel_transaction_only: bool) -> CancelRequest:
    """Make the body of cancel.

    Raises:
        InvalidInputError: the argument is no bool.
    """
    check_flag("cancel_transaction_only", cancel_transaction_only)
    return CancelRequest(cancel_transaction_only=cancel_transaction_only or None)


def force_approve_request(
    *,
    phone_number: str | None = None,
    personal_qr: str | None = None,
    customer_token: str | None = None,
    token: str | None = None,
) -> ForceApproveRequest:
    """Make the body of approve.

    Raises:
        InvalidInputError: an argument breaks its rule, or more than one names the customer.
    """
    return ForceApproveRequest(
        customer=_customer(phone_number, personal_qr, customer_token),
        token=None if token is None else check_token(token),
    )


def next_attempt(reference: str, *, attempt: int = 1) -> str:
    """Return the reference of a further attempt to pay an order: a payment that ended cannot be paid again.

    The number is put behind the reference and never replaces one that stands there: ``order-2024-7`` is followed by
    ``order-2024-7-1``, not by the ``order-2024-8`` that may be another order. Count up `attempt` with the first
    reference, or call it again with the last one.

    Args:
        reference: of the order's first payment.
        attempt: the number of the further attempt, 1 or more.

    Raises:
        InvalidInputError: the reference or the number breaks its rule, or the result has more than 64 characters.
    """
    check_reference(reference)
    check_range("attempt", attempt, 1, 9_999)
    following = f"{reference}-{attempt}"
    if len(following) > _LONGEST_REFERENCE:
        rule = f"short enough to have -{attempt} behind it: {_LONGEST_REFERENCE} characters in all"
        raise InvalidInputError("reference", rule, value=reference)
    return following


def _customer(phone_number: str | None, personal_qr: str | None, customer_token: str | None) -> Customer | None:
    given = [
        name
        for name, value in (
            ("phone_number", phone_number),
            ("personal_qr", personal_qr),
            ("customer_token", customer_token),
        )
        if value is not None
    ]
    if not given:
        return None
    if len(given) > 1:
        raise InvalidInputError(given[1], f"left out when {given[0]} is given", secret=True)
    if phone_number is not None:
        check_phone_number(phone_number)
    if personal_qr is not None:
        check_text("personal_qr", personal_qr, shortest=5, longest=255, secret=True)
    if customer_token is not None:
        check_text("customer_token", customer_token, longest=4_096, secret=True)
    return Customer(phone_number=phone_number, personal_qr=personal_qr, customer_token=customer_token)


def _profile(scope: str | Iterable[str] | None, *, is_express: bool) -> Profile | None:
    if scope is None:
        return Profile(scope=" ".join(_EXPRESS_SCOPES)) if is_express else None
    words = check_scope(scope)
    if is_express and set(words.split(" ")) != set(_EXPRESS_SCOPES):
        rule = f"exactly {', '.join(_EXPRESS_SCOPES)} with shipping, in any order, or left out"
        raise InvalidInputError("scope", rule, value=scope)
    return Profile(scope=words)


def _expiry(expires_at: object, method: PaymentMethodType, *, has_receipt: bool, is_vipps: bool) -> str | None:
    if expires_at is None:
        return None
    if not isinstance(expires_at, datetime) or expires_at.utcoffset() is None:
        raise InvalidInputError("expires_at", "a datetime with its time zone", value=expires_at)
    if not has_receipt:
        raise InvalidInputError("expires_at", "given only with a receipt", value=expires_at)
    if method is not PaymentMethodType.WALLET:
        raise InvalidInputError("expires_at", "left out unless payment_method is WALLET", value=expires_at)
    if is_vipps:
        ahead = expires_at - datetime.now(UTC)
        if not _SOONEST - _CLOCK_ERROR < ahead < _LATEST + _CLOCK_ERROR:
            rule = "more than 10 minutes and less than 60 days ahead"
            raise InvalidInputError("expires_at", rule, value=expires_at)
    return expires_at.isoformat()


def _check_receipt(receipt: object, *, currency: str) -> None:
    if receipt is None:
        return
    if not isinstance(receipt, Receipt):
        raise InvalidInputError("receipt", "a Receipt", value=receipt)
    if receipt.bottom_line.currency != currency:
        raise InvalidInputError("receipt", f"in {currency} like the amount", value=receipt.bottom_line.currency)


def _check_qr_format(qr_format: object, flow: UserFlow) -> None:
    if qr_format is None:
        return
    if not isinstance(qr_format, QrFormat):
        raise InvalidInputError("qr_format", "a QrFormat", value=qr_format)
    if flow is not UserFlow.QR:
        raise InvalidInputError("qr_format", f"left out unless user_flow is QR, and it is {flow}", secret=True)


def _check_shipping(
    shipping: object, method: PaymentMethodType, *, currency: str, loopback: bool, is_vipps: bool
) -> None:
    if shipping is None:
        return
    if not isinstance(shipping, Shipping):
        raise InvalidInputError("shipping", "a Shipping", secret=True)
    if method is not PaymentMethodType.WALLET:
        raise InvalidInputError("shipping", f"left out with payment_method {method}", secret=True)
    for cost in shipping.sums():
        check_money("shipping", cost, currency=currency)
    if shipping.dynamic_options is not None:
        url = shipping.dynamic_options.callback_url
        # Up from here: create_request, the API's method, and the application.
        check_callback_url("callback_url", url, loopback=loopback, is_vipps=is_vipps, is_prefix=False, stacklevel=4)


def _check_legal_links(links: object, *, loopback: bool, is_vipps: bool) -> None:
    if links is None:
        return
    if not isinstance(links, MerchantLegalLinks):
        raise InvalidInputError("merchant_legal_links", "a MerchantLegalLinks", value=links)
    for name in ("terms_of_sale_url", "privacy_policy_url"):
        if getattr(links, name) is not None:
            check_return_url(name, getattr(links, name), loopback=loopback, is_vipps=is_vipps)


def _blocked_sources(
    sources: Iterable[BlockedSource | str] | None, method: PaymentMethodType, *, currency: str
) -> tuple[BlockedSource, ...] | None:
    if sources is None:
        return None
    words = tuple(
        check_word("blocked_sources", word, BlockedSource) for word in check_items("blocked_sources", sources, str)
    )
    if method is not PaymentMethodType.WALLET:
        raise InvalidInputError("blocked_sources", f"left out with payment_method {method}", value=words)
    if currency == "NOK":
        raise InvalidInputError("blocked_sources", "left out in NOK: they apply in Denmark and Finland", value=words)
    return words


def _metadata(metadata: object) -> dict[str, str] | None:
    if metadata is None:
        return None
    if not isinstance(metadata, Mapping) or len(metadata) > 5:
        raise InvalidInputError("metadata", "a mapping of at most 5 names to texts", secret=True)
    for name, value in metadata.items():
        check_text("metadata", name, longest=100, secret=True)
        if value != "":
            check_text("metadata", value, longest=500, secret=True)
    return dict(metadata)
