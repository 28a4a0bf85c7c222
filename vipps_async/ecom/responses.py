"""What initiate, capture, cancel, refund and status answer."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import parse_qs, urlsplit

from attrs import field, frozen

from vipps_async.core.converter import NOT_IN_JSON, STRICT, json_name
from vipps_async.core.operation import SettledBy
from vipps_async.ecom.enums import OrderStatus, TransactionStatus

__all__ = [
    "CancelResult",
    "CaptureResult",
    "InitiatedPayment",
    "PaymentStatus",
    "RefundResult",
    "StatusInfo",
    "TransactionInfo",
    "TransactionSummary",
]


@frozen(kw_only=True)
class InitiatedPayment:
    """A payment that waits for the customer."""

    #: The order id, as asked.
    order_id: str
    #: Where to send the customer, unchanged, within 5 minutes. Holds a token, so that the repr leaves it out.
    url: str = field(repr=False)

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

    #: The amount in øre.
    amount: int
    #: The state that it led to.
    status: TransactionStatus
    #: When, in UTC.
    time_stamp: datetime | None = None
    #: Vipps' id of the transaction; the cancel of a payment that nobody accepted may have none.
    transaction_id: str | None = None
    #: The text that the customer reads.
    transaction_text: str | None = None


@frozen(kw_only=True)
class TransactionSummary:
    """The sums of a payment, in øre."""

    #: What was captured in all.
    captured_amount: int
    #: What was refunded in all.
    refunded_amount: int
    #: What can still be captured.
    remaining_amount_to_capture: int
    #: What can still be refunded.
    remaining_amount_to_refund: int
    #: The first six digits of the card; only details has it.
    bank_identification_number: str | None = field(default=None, repr=False)


@frozen(kw_only=True)
class CaptureResult:
    """A capture that took effect."""

    #: The order id.
    order_id: str
    #: The kind of card or account that paid, such as ``"Mastercard"``.
    payment_instrument: str | None = None
    #: The capture itself (`transactionInfo`).
    transaction: TransactionInfo | None = field(
        default=None, metadata=json_name("transactionInfo", "transaction", strict=True)
    )
    #: The payment's sums after it.
    transaction_summary: TransactionSummary | None = field(default=None, metadata=STRICT)
    #: What this result rests on.
    settled_by: SettledBy = field(default=SettledBy.ANSWER, metadata=NOT_IN_JSON)


@frozen(kw_only=True)
class CancelResult:
    """A cancel that took effect."""

    #: The order id.
    order_id: str
    #: The kind of card or account that would have paid.
    payment_instrument: str | None = None
    #: The cancel itself (`transactionInfo`).
    transaction: TransactionInfo | None = field(
        default=None, metadata=json_name("transactionInfo", "transaction", strict=True)
    )
    #: The payment's sums after it.
    transaction_summary: TransactionSummary | None = field(default=None, metadata=STRICT)
    #: What this result rests on.
    settled_by: SettledBy = field(default=SettledBy.ANSWER, metadata=NOT_IN_JSON)


@frozen(kw_only=True)
class RefundResult:
    """A refund that took effect."""

    #: The order id.
    order_id: str
    #: The refund itself. Vipps names it `transaction` here and `transactionInfo` elsewhere; both are read.
    transaction: TransactionInfo | None = field(
        default=None, metadata=json_name("transaction", "transactionInfo", strict=True)
    )
    #: The payment's sums after it.
    transaction_summary: TransactionSummary | None = field(default=None, metadata=STRICT)
    #: What this result rests on.
    settled_by: SettledBy = field(default=SettledBy.ANSWER, metadata=NOT_IN_JSON)


@frozen(kw_only=True)
class StatusInfo:
    """The last transaction of a payment."""

    #: The amount in øre.
    amount: int
    #: The state of the payment.
    status: OrderStatus
    #: When, in UTC.
    time_stamp: datetime | None = None
    #: Vipps' id of the transaction.
    transaction_id: str | None = None


@frozen(kw_only=True)
class PaymentStatus:
    """What the deprecated status call answers; details says more."""

    #: The order id.
    order_id: str | None = field(default=None, metadata=STRICT)
    #: The last transaction (`transactionInfo`).
    transaction: StatusInfo | None = field(
        default=None, metadata=json_name("transactionInfo", "transaction", strict=True)
    )
