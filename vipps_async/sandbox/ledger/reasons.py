"""Why something is refused, in plain words: each API has codes of its own for these reasons."""

from __future__ import annotations

import enum


class Reason(enum.Enum):
    """A reason why the ledger refuses something. Its value is the text for people."""

    # The payment's name.
    REFERENCE_USED = "the sales unit used this reference before"
    UNKNOWN_PAYMENT = "the sales unit has no such payment"
    KEY_REUSED = "the idempotency key was used before with another payload"
    # Capture.
    NOT_RESERVED = "nothing is reserved"
    ENDED = "the payment has ended"
    CAPTURED_AT_ONCE = "the payment was captured with its reservation"
    MORE_THAN_RESERVED = "the amount exceeds what is reserved and not captured"
    RESERVED_TOO_LONG_AGO = "the reservation is too old for captures and cancellations"
    NOT_IN_FULL = "the sales unit captures all that is reserved, or nothing"
    # Refund.
    NOTHING_CAPTURED = "nothing is captured: the payment can be cancelled"
    NEVER_CAPTURED = "the payment ended before anything was captured"
    MORE_THAN_CAPTURED = "the amount exceeds what is captured and not refunded"
    CUSTOMER_GONE = "the customer can no longer be paid"
    TOO_OLD_TO_REFUND = "refunds end 365 days after the reservation"
    # Cancel, and the customer's approval.
    ENDED_BEFORE = "the payment has been ended before"
    RESERVATION_UNKNOWN = "the bank does not know yet whether the amount is reserved"
    RESERVED = "the customer has accepted already"
    CAPTURED = "what is captured cannot be cancelled"
    APPROVED_BEFORE = "the payment does not wait for the customer"
    NOT_TO_BE_FORCED = "this kind of payment cannot be approved without the customer"
    # The customer and the bank.
    BANK_REFUSED = "the bank refused the payment"
    NO_VALID_CARD = "the customer has no valid card"
    CARD_EXPIRED = "the card has expired"
    NOT_ACTED_UPON = "the customer has cancelled or not acted upon the payment"
    NO_SUCH_CUSTOMER = "no customer has this number, or it is malformed"
    APP_TOO_OLD = "the customer's version of the app does not support this payment"
    CUSTOMER_UNVERIFIED = "the customer has not been verified"
    CUSTOMER_UNDER_AGE = "the customer is under 15 years old"
    # What a sales unit may do, and how often.
    UNIT_NOT_AVAILABLE = "the sales unit is not available to these keys"
    MAY_NOT_SKIP_LANDING_PAGE = "the sales unit may not skip the landing page"
    MAY_NOT_ASK_FOR_NIN = "the sales unit may not ask for the national identity number"
    TOO_MANY_CALLS = "the calls of this minute are used up"
    # Only faults bring these about.
    LOCKED = "another operation holds the payment"
    FAILED = "the operation failed"


class Refused(Exception):  # noqa: N818 - a decision, not a failure of the sandbox
    """An operation that is refused.

    Args:
        reason: why.
        sales_unit: whose payment it is, if that is known.
        reference: which payment it is, if that is known.
        wait: whole seconds after which it may be tried again; 0: no word of that.
    """

    def __init__(self, reason: Reason, *, sales_unit: str = "", reference: str = "", wait: int = 0) -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.sales_unit = sales_unit
        self.reference = reference
        self.wait = wait


class SandboxError(Exception):
    """The sandbox was asked, from Python or its pages, for something that makes no sense there."""


class SandboxStateError(SandboxError):
    """The file that keeps the sandbox's state cannot be read or written. The text names it; it was not overwritten."""
