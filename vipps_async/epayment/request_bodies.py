"""The bodies that the ePayment operations send, under the names of Vipps' own description."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from vipps_async.airline_data import AirlineData
from vipps_async.core.payment_calls import given_secrets
from vipps_async.epayment.receipt import Receipt
from vipps_async.epayment.request_enums import (
    BlockedSource,
    CustomerInteraction,
    PaymentMethodType,
    QrImage,
    UserFlow,
    check_word,
)
from vipps_async.epayment.request_rules import check_range
from vipps_async.epayment.shipping import Shipping
from vipps_async.errors import InvalidInputError
from vipps_async.money import Money


@frozen(kw_only=True)
class Customer:
    """The customer, by exactly one of these."""

    phone_number: str | None = field(default=None, repr=False)
    """Digits only, the country's code first."""
    personal_qr: str | None = field(default=None, repr=False)
    """All that the customer's own QR code holds."""
    customer_token: str | None = field(default=None, repr=False)
    """The token out of a check-in."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not stand in an error or a log."""
        return given_secrets(self.phone_number, self.personal_qr, self.customer_token)


@frozen(kw_only=True)
class PaymentMethod:
    """What the customer pays with."""

    type: PaymentMethodType
    """Wallet or card."""
    blocked_sources: tuple[BlockedSource, ...] | None = None
    """What the wallet must not be paid from."""


@frozen(kw_only=True)
class Profile:
    """What personal information to ask the customer for."""

    scope: str
    """Values of `Scope`, separated by spaces."""


@frozen(kw_only=True)
class IndustryData:
    """What some trades have to tell."""

    airline_data: AirlineData
    """A ticket."""


@frozen(kw_only=True)
class QrFormat:
    """How the QR code of a QR payment comes.

    Raises:
        InvalidInputError: a value breaks a rule.
    """

    format: QrImage
    """What the payment's link leads to."""
    size: int | None = None
    """The width and height of a PNG in pixels, 100 to 2000; left out: 1024."""

    def __attrs_post_init__(self) -> None:
        image = check_word("format", self.format, QrImage)
        if self.size is not None:
            check_range("size", self.size, 100, 2_000)
            if image is not QrImage.PNG:
                raise InvalidInputError("size", f"left out of {image}: only a PNG has one", value=self.size)


@frozen(kw_only=True)
class MerchantLegalLinks:
    """The merchant's legal texts. The URLs are checked when the payment is created."""

    terms_of_sale_url: str | None = None
    """The terms of sale."""
    privacy_policy_url: str | None = None
    """The privacy policy."""


@frozen(kw_only=True)
class CreatePaymentRequest:
    """The body of create; `create_request` makes one that keeps all rules."""

    amount: Money
    """What is to be paid."""
    payment_method: PaymentMethod
    """With what."""
    reference: str
    """The payment's name."""
    user_flow: UserFlow
    """How the customer gets to the payment."""
    customer: Customer | None = None
    """Who pays, if known."""
    customer_interaction: CustomerInteraction | None = None
    """Whether the customer stands before the merchant."""
    minimum_user_age: int | None = None
    """How old the customer must be, in years."""
    industry_data: IndustryData | None = None
    """What some trades have to tell."""
    profile: Profile | None = None
    """What to ask the customer for."""
    return_url: str | None = field(default=None, repr=False)
    """Where the customer comes back to."""
    expires_at: str | None = None
    """When a long-living payment ends, by RFC 3339."""
    qr_format: QrFormat | None = None
    """How the QR code comes."""
    payment_description: str | None = None
    """What the customer reads."""
    receipt: Receipt | None = field(default=None, repr=False)
    """What was bought."""
    receipt_url: str | None = field(default=None, repr=False)
    """Where the receipt is."""
    metadata: Mapping[str, str] | None = field(default=None, repr=False)
    """What comes back with the payment."""
    shipping: Shipping | None = None
    """Makes it an express checkout."""
    merchant_legal_links: MerchantLegalLinks | None = None
    """The merchant's legal texts."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not stand in an error or a log."""
        customer = () if self.customer is None else self.customer.secrets
        dynamic = None if self.shipping is None else self.shipping.dynamic_options
        token = None if dynamic is None else dynamic.callback_authorization_token
        airline = None if self.industry_data is None else self.industry_data.airline_data
        passenger = None if airline is None else airline.passenger_name
        ticket = None if airline is None else airline.ticket_number
        return customer + given_secrets(token, passenger, ticket)


@frozen(kw_only=True)
class ModificationRequest:
    """The body of what is given an amount."""

    modification_amount: Money
    """How much."""


@frozen(kw_only=True)
class CancelRequest:
    """The body of cancel."""

    cancel_transaction_only: bool | None = None
    """Whether to leave a payment alone that the customer has accepted."""


@frozen(kw_only=True)
class ForceApproveRequest:
    """The body of approve."""

    customer: Customer | None = None
    """The test user."""
    token: str | None = field(default=None, repr=False)
    """The token out of the payment's URL."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not stand in an error or a log."""
        return (() if self.customer is None else self.customer.secrets) + given_secrets(self.token)
