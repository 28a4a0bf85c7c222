"""The rows of a batch: what is to be done with one payment, and the key that follows from it."""

from __future__ import annotations

import enum
import re
import unicodedata
from collections.abc import Callable
from typing import Final, Protocol

from attrs import frozen

from vipps_async.errors import InvalidInputError
from vipps_async.idempotency_keys import derive_idempotency_key
from vipps_async.input_rules import check_text
from vipps_async.money import Money
from vipps_async.not_given import NOT_GIVEN, NotGiven

#: The longest reference, in characters: room for any shop's number of a shipment or a return.
LONGEST_REFERENCE = 100
#: The longest payment id and the longest text of any API, in characters; each API has rules of its own beside it.
_LONGEST_PAYMENT, _LONGEST_TEXT = 255, 1_000
#: The largest amount that every store can hold.
_LARGEST_AMOUNT = 2**63 - 1


class AmountRule(enum.Enum):
    """Whether an operation is given an amount; the value says it of its rows."""

    NONE = "left out of"
    OPTIONAL = "given in, or left out of"
    """Left out, it means all that remains."""
    REQUIRED = "given in"


class Remainders(Protocol):
    """What can still be moved of a payment, in minor units."""

    @property
    def remaining_to_capture(self) -> int:
        """What can still be captured."""
        ...

    @property
    def remaining_to_refund(self) -> int:
        """What can still be refunded."""
        ...


@frozen(kw_only=True)
class OperationFacts:
    """All that batches and the command line know of one operation."""

    done: str
    """The word for it when it is done."""
    amount: AmountRule
    """Whether it is given an amount. The key of one that can be stands in the payment's history."""
    left: Callable[[Remainders], int]
    """Returns how much of a payment it can still move, in minor units."""
    sign: int
    """What its amount is to the merchant: 1 taken from the customer, -1 paid back, 0 neither."""
    purpose: str
    """What it is for, as the command line's help says it."""
    doubt: str
    """What may have happened if its outcome is not known."""
    example: str
    """A text for the customer, for examples."""


class BatchOperation(enum.Enum):
    """An operation that moves the money of a payment, alone or in a batch."""

    CAPTURE = "capture"
    REFUND = "refund"
    CANCEL = "cancel"

    facts: OperationFacts

    @property
    def done(self) -> str:
        """The word for it when it is done."""
        return self.facts.done

    @property
    def has_amount(self) -> bool:
        """Whether it can be given an amount."""
        return self.facts.amount is not AmountRule.NONE


_FACTS = {
    BatchOperation.CAPTURE: OperationFacts(
        done="captured",
        amount=AmountRule.OPTIONAL,
        left=lambda payment: payment.remaining_to_capture,
        sign=1,
        purpose="capture a reserved payment, or a part of it",
        doubt="Money may have moved.",
        example="Shipped.",
    ),
    BatchOperation.REFUND: OperationFacts(
        done="refunded",
        amount=AmountRule.OPTIONAL,
        left=lambda payment: payment.remaining_to_refund,
        sign=-1,
        purpose="pay back what was captured, or a part of it",
        doubt="Money may have moved.",
        example="Came back.",
    ),
    BatchOperation.CANCEL: OperationFacts(
        done="cancelled",
        amount=AmountRule.NONE,
        left=lambda payment: payment.remaining_to_capture,
        sign=0,
        purpose="cancel a payment that is not captured",
        doubt="The reservation may have been released.",
        example="Sold out.",
    ),
}
for _operation in BatchOperation:
    _operation.facts = _FACTS[_operation]

#: The names of operations that tell an amount of money. A cancel releases what is left by then: no amount was given.
WITH_AMOUNT: Final = frozenset(operation.value for operation in BatchOperation if operation.has_amount)
#: The names of those that take money from the customer.
TAKING: Final = frozenset(operation.value for operation in BatchOperation if operation.facts.sign > 0)


@frozen(kw_only=True)
class Origin:
    """Where in a file a row stands."""

    digest: str
    """SHA-256 of the whole file, in hexadecimal."""
    number: int
    """Which of the file's rows it is; the first one is 1, a heading does not count."""
    line: int
    """The line that it begins on; the first line is 1."""


#: Characters that show nothing though their category says otherwise (Unicode, Default_Ignorable_Code_Point).
_INVISIBLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
#: Format, control, private and separating characters: what looks like nothing, or like another character.
_INVISIBLE_CATEGORIES = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})


def check_reference(value: object) -> str:
    """Return a reference that cannot be confused with another one.

    Raises:
        InvalidInputError: it is no text of 1 to 100 characters, has white space around it or other spaces than the
            usual one, is not in Unicode's NFC, or has invisible characters.
    """
    text = check_text("reference", value, longest=LONGEST_REFERENCE)
    if text.isascii() and text.isprintable() and text == text.strip():
        return text
    if text != text.strip():
        raise InvalidInputError("reference", "text without white space around it", value=text)
    if not unicodedata.is_normalized("NFC", text):
        raise InvalidInputError("reference", "text in Unicode's form NFC (composed letters)", value=text)
    for char in text:
        category = unicodedata.category(char)
        if category in _INVISIBLE_CATEGORIES or (category == "Zs" and char != " ") or _INVISIBLE.match(char):
            rule = f"text without invisible characters and other spaces than the usual one (U+{ord(char):04X})"
            raise InvalidInputError("reference", rule, value=text)
    return text


@frozen(kw_only=True)
class BatchRow:
    """One capture, refund or cancel of a batch.

    Its idempotency key follows from the sales unit, the operation, the payment and the `reference`; or, without a
    reference, from the file that it came from and its place there. Neither amount nor text is part of it: the same
    reference with another amount is refused, not carried out a second time.

    What its API has as rules of its own (the form of an id, the least amount) is checked before the row is begun: one
    that breaks them ends as REFUSED, and nothing is sent for it.

    Raises:
        InvalidInputError: a part breaks a rule of all APIs, or there is neither `reference` nor `origin`.
    """

    payment: str
    """The payment's id, as its API has it."""
    text: str = ""
    """What the customer reads, for an API that takes such a text; empty: nothing."""
    amount: Money | int | NotGiven = NOT_GIVEN
    """Money, or minor units of the API's currency; left out: all that remains. A cancel has none."""
    reference: str | None = None
    """Your own name for this very capture, refund or cancel: the number of a shipment, of a return."""
    origin: Origin | None = None
    """The file that it came from, if any."""

    def __attrs_post_init__(self) -> None:
        check_text("payment", self.payment, longest=_LONGEST_PAYMENT)
        if self.text != "":
            check_text("text", self.text, longest=_LONGEST_TEXT)
        amount: object = self.amount.value if isinstance(self.amount, Money) else self.amount
        if amount is not NOT_GIVEN and (type(amount) is not int or not 0 < amount <= _LARGEST_AMOUNT):
            rule = "Money, or a positive whole number of minor units; left out: all that remains"
            raise InvalidInputError("amount", rule, value=self.amount)
        if self.reference is not None:
            check_reference(self.reference)
        elif self.origin is None:
            raise InvalidInputError("reference", "given for a row that comes from no file")

    @property
    def minor_units(self) -> int | None:
        """The amount in minor units; None: all that remains."""
        if isinstance(self.amount, NotGiven):
            return None
        return self.amount.value if isinstance(self.amount, Money) else self.amount

    def idempotency_key(self, operation: BatchOperation, merchant_serial_number: str) -> str:
        """Return the key that this row is carried out with, on every machine, in every run and over every API.

        Args:
            operation: what is done.
            merchant_serial_number: the sales unit.
        """
        head = ("batch", operation.value, merchant_serial_number, self.payment)
        if self.reference is not None:
            return derive_idempotency_key(*head, "reference", self.reference)
        assert self.origin is not None  # noqa: S101 - for the type checker; the row was checked when it was made
        return derive_idempotency_key(*head, "file", self.origin.digest, self.origin.number)
