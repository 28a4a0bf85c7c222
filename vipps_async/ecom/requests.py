"""The bodies that the eCom operations send, under the names of Vipps' own description."""

from __future__ import annotations

from attrs import field, frozen

from vipps_async.airline_data import AirlineData
from vipps_async.ecom.express import ShippingDetails


@frozen(kw_only=True)
class CustomerInfo:
    """The customer, as far as known."""

    #: 8 digits without country code.
    mobile_number: str | None = field(default=None, repr=False)


@frozen(kw_only=True)
class MerchantInfo:
    """The sales unit and where Vipps finds it. The repr leaves out the URLs: some shops put a key into theirs."""

    #: The MSN, as a string.
    merchant_serial_number: str
    #: Where Vipps posts the outcome.
    callback_prefix: str = field(repr=False)
    #: Where the customer returns to.
    fall_back: str = field(repr=False)
    #: Comes back with every callback.
    auth_token: str | None = field(default=None, repr=False)
    #: Whether the answer's URL is a deep link into the app.
    is_app: bool | None = None
    #: Names an express checkout; None: a regular payment.
    payment_type: str | None = None
    #: Where Vipps tells that a customer took back the consent.
    consent_removal_prefix: str | None = field(default=None, repr=False)
    #: Where Vipps asks for ways of shipping.
    shipping_details_prefix: str | None = field(default=None, repr=False)
    #: The ways of shipping, if they do not depend on the address.
    static_shipping_details: tuple[ShippingDetails, ...] | None = None


@frozen(kw_only=True)
class TransactionInfoInitiate:
    """The payment that is asked for."""

    #: The order id.
    order_id: str
    #: The amount in øre.
    amount: int
    #: What the customer reads.
    transaction_text: str
    #: Whether the push message goes out without the landing page.
    skip_landing_page: bool | None = None
    #: What personal information to ask for, separated by spaces.
    scope: str | None = None
    #: Airline data.
    additional_data: AirlineData | None = None
    #: Whether an express customer must confirm address and shipping.
    use_explicit_checkout_flow: bool | None = None


@frozen(kw_only=True)
class InitiatePaymentCommand:
    """The body of initiate."""

    #: The customer; sent even when empty, because Vipps requires it.
    customer_info: CustomerInfo
    #: The sales unit.
    merchant_info: MerchantInfo
    #: The payment.
    transaction: TransactionInfoInitiate


@frozen(kw_only=True)
class MerchantInfoPayment:
    """The sales unit."""

    #: The MSN, as a string.
    merchant_serial_number: str


@frozen(kw_only=True)
class Transaction:
    """A sum to capture or refund, and its text."""

    #: The amount in øre; None leaves it out, which takes all that remains.
    amount: int | None
    #: What the customer reads.
    transaction_text: str


@frozen(kw_only=True)
class PaymentActionsRequest:
    """The body of capture and refund."""

    #: The sales unit.
    merchant_info: MerchantInfoPayment
    #: The sum.
    transaction: Transaction


@frozen(kw_only=True)
class CancelTransaction:
    """The text of a cancel."""

    #: What the customer reads.
    transaction_text: str


@frozen(kw_only=True)
class CancelPaymentActionRequest:
    """The body of cancel."""

    #: The sales unit.
    merchant_info: MerchantInfoPayment
    #: The text.
    transaction: CancelTransaction
    #: Whether to release what is left of a partly captured reservation.
    should_release_remaining_funds: bool | None = None


@frozen(kw_only=True)
class ForceApproveRequest:
    """The body of approve."""

    #: 8 digits without country code.
    customer_phone_number: str | None = field(default=None, repr=False)
    #: The token out of the payment's URL.
    token: str | None = field(default=None, repr=False)
