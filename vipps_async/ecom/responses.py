"""The responses of initiate, capture, cancel, refund and status."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import parse_qs, urlsplit

from attrs import field, frozen

from vipps_async.core.converter import NOT_IN_JSON, STRICT, json_name
from vipps_async.core.operation import SettledBy
from vipps_async.ecom.enums import OrderStatus, TransactionStatus


@frozen(kw_only=True)
class InitiatedPayment:
    """A payment that waits for the customer."""

    order_id: str
    """The order id, as asked."""
    url: str = field(repr=False)
    """Where to send the customer, unchanged, within 5 minutes. Holds a token, so that the repr leaves it out."""

    @property
    def token(self) -> str | None:
        """The token in the URL, which `approve` takes; None if the URL has none."""
        try:
            values = parse_qs(urlsplit(self.url).query).get("token", [])
        except ValueError:
            return None
        return values[0] if values else None


@frozen(kw_only=True)
class TransactionInfo:
    """The transaction that a capture, cancel or refund made."""

    amount: int
    """The amount in øre."""
    status: TransactionStatus
    """The state that it led to."""
    time_stamp: datetime | None = None
    """When, in UTC."""
    transaction_id: str | None = None
    """Vipps' id of the transaction; the cancel of a payment that nobody accepted may have none."""
    transaction_text: str | None = None
    """The text that the customer reads."""


@frozen(kw_only=True)
class TransactionSummary:
    """The sums of a payment, in øre."""

    captured_amount: int
    """What was captured in all."""
    refunded_amount: int
    """What was refunded in all."""
    remaining_amount_to_capture: int
    """What can still be captured."""
    remaining_amount_to_refund: int
    """What can still be refunded."""
    bank_identification_number: str | None = field(default=None, repr=False)
    """The first six digits of the card; only details has it."""


@frozen(kw_only=True)
class _Result:
    """What capture, refund and cancel have in common."""

    order_id: str
    """The order id."""
    transaction_summary: TransactionSummary | None = field(default=None, metadata=STRICT)
    """The payment's sums after it."""
    settled_by: SettledBy = field(default=SettledBy.ANSWER, metadata=NOT_IN_JSON)
    """What this result rests on."""


@frozen(kw_only=True)
class CaptureResult(_Result):
    """A capture that took effect."""

    transaction: TransactionInfo = field(metadata=json_name("transactionInfo", "transaction"))
    """The capture itself (`transactionInfo`)."""
    payment_instrument: str | None = None
    """The kind of card or account that paid, such as ``"Mastercard"``."""

    @property
    def amount(self) -> int:
        """What was captured, in øre."""
        return self.transaction.amount


@frozen(kw_only=True)
class RefundResult(_Result):
    """A refund that took effect."""

    transaction: TransactionInfo = field(metadata=json_name("transaction", "transactionInfo"))
    """The refund itself. Vipps names it `transaction` here and `transactionInfo` elsewhere; both are read."""

    @property
    def amount(self) -> int:
        """What was refunded, in øre."""
        return self.transaction.amount


@frozen(kw_only=True)
class CancelResult(_Result):
    """A cancel that took effect."""

    transaction: TransactionInfo | None = field(
        default=None, metadata=json_name("transactionInfo", "transaction", strict=True)
    )
    """The cancel itself (`transactionInfo`)."""
    payment_instrument: str | None = None
    """The kind of card or account that would have paid."""

    @property
    def amount(self) -> int:
        """What was released, in øre; 0 if no transaction is named, as for a payment that nobody has accepted."""
        return 0 if self.transaction is None else self.transaction.amount


@frozen(kw_only=True)
class StatusInfo:
    """The last transaction of a payment."""

    amount: int
    """The amount in øre."""
    status: OrderStatus
    """The state of the payment."""
    time_stamp: datetime | None = None
    """When, in UTC."""
    transaction_id: str | None = None
    """Vipps' id of the transaction."""


@frozen(kw_only=True)
class PaymentStatus:
    """What the deprecated status call answers; details says more."""

    order_id: str | None = field(default=None, metadata=STRICT)
    """The order id."""
    transaction: StatusInfo | None = field(
        default=None, metadata=json_name("transactionInfo", "transaction", strict=True)
    )
    """The last transaction (`transactionInfo`)."""
