"""The details response: a payment, its transaction history, and properties derived from them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

from attrs import field, frozen

from vipps_async.core.converter import STRICT, YES_NO, json_name
from vipps_async.ecom.enums import CAPTURES, REFUNDS, RELEASES, RESERVES, OperationName
from vipps_async.ecom.responses import TransactionSummary


@frozen(kw_only=True)
class TransactionLogEntry:
    """One entry of the history: an operation that succeeded or failed."""

    amount: int
    """The amount in øre."""
    operation: OperationName
    """What was done."""
    operation_success: bool
    """Whether it succeeded: failed operations stand in the history too."""
    request_id: str | None = None
    """The idempotency key that the operation was sent with (`requestId`)."""
    time_stamp: datetime | None = None
    """When, in UTC."""
    transaction_id: str | None = None
    """Vipps' id of the transaction."""
    transaction_text: str | None = None
    """The text that the customer reads."""


@frozen(kw_only=True)
class Address:
    """A postal address. Reads ``"[Expired]"`` seven days after the reservation."""

    address_line1: str | None = field(default=None, repr=False)
    """Street and number."""
    address_line2: str | None = field(default=None, repr=False)
    """The rest of it, such as a c/o."""
    city: str | None = field(default=None, repr=False)
    """City."""
    country: str | None = field(default=None, repr=False)
    """Country."""
    post_code: str | None = field(default=None, repr=False, metadata=json_name("postCode", "zipCode", "postalCode"))
    """Post code; express answers call it `zipCode` or `postalCode`."""


@frozen(kw_only=True)
class PaymentShippingDetails:
    """What the customer of an express checkout chose."""

    address: Address | None = field(default=None, repr=False)
    """Where to ship."""
    shipping_cost: Decimal | None = None
    """The cost in **NOK with decimals**, not øre; a part of what was reserved."""
    shipping_method: str | None = None
    """The name of the way of shipping."""
    shipping_method_id: str | None = field(default=None, metadata=json_name("shippingMethodId", "ShippingMethodId"))
    """Your own id of it."""


@frozen(kw_only=True)
class UserDetails:
    """The customer of an express checkout. Reads ``"[Expired]"`` seven days after the reservation."""

    email: str | None = field(default=None, repr=False)
    """E-mail address."""
    first_name: str | None = field(default=None, repr=False)
    """First name."""
    last_name: str | None = field(default=None, repr=False)
    """Last name."""
    mobile_number: str | None = field(default=None, repr=False)
    """Phone number, 8 digits."""
    user_id: str | None = field(default=None, repr=False)
    """The customer's id, which a consent removal names."""
    bank_id_verified: bool | None = field(default=None, repr=False, metadata={**json_name("bankIdVerified"), **YES_NO})
    """Whether the customer is verified by BankID, where Vipps tells so (`bankIdVerified`, ``"Y"`` or ``"N"``)."""


@frozen(kw_only=True)
class PaymentDetails:
    """A payment with its whole history. All sums are in øre."""

    order_id: str | None = field(default=None, metadata=STRICT)
    """The order id."""
    shipping_details: PaymentShippingDetails | None = None
    """What an express customer chose."""
    transaction_log_history: tuple[TransactionLogEntry, ...] = field(default=(), metadata=STRICT)
    """What happened, the newest first."""
    transaction_summary: TransactionSummary | None = field(default=None, metadata=STRICT)
    """The sums; missing until the customer has acted."""
    user_details: UserDetails | None = field(default=None, repr=False)
    """An express customer."""
    sub: str | None = field(default=None, repr=False)
    """The customer's id for `userinfo.get`, if the payment had a scope. It comes some moments after the customer's
    approval: ask again if it is missing."""

    @property
    def is_approved(self) -> bool:
        """Whether the customer has accepted the payment, whatever happened to it since."""
        return self.reserved_amount > 0

    @property
    def is_reserved(self) -> bool:
        """Whether an amount is reserved that can still be captured."""
        return self.remaining_to_capture > 0

    @property
    def is_captured(self) -> bool:
        """Whether the payment, or a part of it, has been captured, refunded since or not."""
        return self.captured_amount > 0

    @property
    def is_cancelled(self) -> bool:
        """Whether the payment ended without a capture: declined, timed out, or cancelled by the merchant."""
        return not self.is_captured and any(self._successes(RELEASES))

    @property
    def is_refused(self) -> bool:
        """Whether the customer accepted and the bank refused, and no reservation has succeeded since.

        The customer may mend it in the same payment, with another card: then it is approved after all. So cancel it
        before you begin another payment for the same goods. If it was cancelled since, `is_cancelled` holds as well.
        """
        failed = (entry for entry in self.transaction_log_history if not entry.operation_success)
        return not self.is_approved and any(entry.operation in RESERVES for entry in failed)

    @property
    def has_outcome(self) -> bool:
        """Whether the payment is approved, refused by the bank, or cancelled."""
        return self.is_approved or self.is_refused or self.is_cancelled

    @property
    def reserved_amount(self) -> int:
        """What the customer accepted, captured since or not; 0 if nothing was. In express checkout with shipping."""
        return self._sum(RESERVES)

    @property
    def captured_amount(self) -> int:
        """What was captured in all, refunded since or not."""
        if self.transaction_summary is not None:
            return self.transaction_summary.captured_amount
        return self._sum(CAPTURES)

    @property
    def refunded_amount(self) -> int:
        """What was refunded in all."""
        if self.transaction_summary is not None:
            return self.transaction_summary.refunded_amount
        return self._sum(REFUNDS)

    @property
    def remaining_to_capture(self) -> int:
        """What can still be captured: by the summary if there is one, else by the history."""
        if self.transaction_summary is not None:
            return self.transaction_summary.remaining_amount_to_capture
        if any(self._successes(RELEASES)):
            return 0
        return max(0, self._sum(RESERVES) - self._sum(CAPTURES))

    @property
    def remaining_to_refund(self) -> int:
        """What can still be refunded: by the summary if there is one, else by the history."""
        if self.transaction_summary is not None:
            return self.transaction_summary.remaining_amount_to_refund
        return max(0, self.captured_amount - self.refunded_amount)

    @property
    def last_successful_operation(self) -> TransactionLogEntry | None:
        """The newest entry of the history that succeeded; None if there is none."""
        for entry in self._newest_first():
            if entry.operation_success:
                return entry
        return None

    def entry(
        self, idempotency_key: str, *, operation: OperationName | str | None = None
    ) -> TransactionLogEntry | None:
        """Return the entry of the history that an idempotency key left; None if it left none.

        Args:
            idempotency_key: the key. Vipps keeps keys apart by operation: a capture and a refund may have the same.
            operation: the operation to look for; None: any.

        Returns:
            The entry that succeeded, if one did; else the newest.
        """
        found = self.entries(idempotency_key, operation=operation)
        return next((entry for entry in found if entry.operation_success), found[0] if found else None)

    def entries(
        self, idempotency_key: str, *, operation: OperationName | str | None = None
    ) -> tuple[TransactionLogEntry, ...]:
        """Return all entries of the history that an idempotency key left, the newest first."""
        return tuple(
            entry
            for entry in self._newest_first()
            if entry.request_id == idempotency_key and (operation is None or entry.operation == operation)
        )

    def _newest_first(self) -> list[TransactionLogEntry]:
        # Vipps sorts them so; where all have a time, the time decides. The sort is stable: ties keep Vipps' order.
        stamped = [(entry.time_stamp, entry) for entry in self.transaction_log_history if entry.time_stamp is not None]
        if len(stamped) < len(self.transaction_log_history):
            return list(self.transaction_log_history)
        return [entry for _, entry in sorted(stamped, key=lambda pair: pair[0], reverse=True)]

    def _successes(self, operations: frozenset[OperationName]) -> Iterator[TransactionLogEntry]:
        return (
            entry for entry in self.transaction_log_history if entry.operation_success and entry.operation in operations
        )

    def _sum(self, operations: frozenset[OperationName]) -> int:
        return sum(entry.amount for entry in self._successes(operations))
