"""The interface between batches and APIs: rows, operations, and the API-specific part as one value."""

from __future__ import annotations

import enum
import re
import unicodedata
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol

from attrs import frozen

from vipps_async.core.dialect import Dialect
from vipps_async.core.events import AttemptListener
from vipps_async.core.operation import Call, Operation, Runner
from vipps_async.errors import InvalidInputError
from vipps_async.idempotency_keys import derive_idempotency_key
from vipps_async.input_rules import check_text
from vipps_async.journals.protocol import Journal
from vipps_async.money import Money, format_amount
from vipps_async.not_given import NOT_GIVEN, NotGiven

__all__ = [
    "LONGEST_REFERENCE",
    "BatchApi",
    "BatchClient",
    "BatchOperation",
    "BatchRow",
    "DryRun",
    "Moved",
    "Origin",
    "RowCommand",
    "SupportsBatch",
    "Unit",
    "check_reference",
]

#: The longest reference, in characters: room for any shop's number of a shipment or a return.
LONGEST_REFERENCE = 100
#: The longest payment id and the longest text of any API, in characters; each API has rules of its own beside it.
_LONGEST_PAYMENT, _LONGEST_TEXT = 255, 1_000
#: The largest amount that every store can hold.
_LARGEST_AMOUNT = 2**63 - 1


class BatchOperation(enum.Enum):
    """What a batch does with each of its rows."""

    CAPTURE = "capture"
    REFUND = "refund"
    CANCEL = "cancel"

    @property
    def done(self) -> str:
        """What it is called when it is done."""
        return {"capture": "captured", "refund": "refunded", "cancel": "cancelled"}[self.value]


# --- rows -------------------------------------------------------------------------------------------------------------


@frozen(kw_only=True)
class Origin:
    """Where in a file a row stands."""

    #: SHA-256 of the whole file, in hexadecimal.
    digest: str
    #: Which of the file's rows it is; the first one is 1, a heading does not count.
    number: int
    #: The line that it begins on; the first line is 1.
    line: int


#: Characters that show nothing though their category says otherwise (Unicode, Default_Ignorable_Code_Point).
_INVISIBLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
#: Format, control, private and separating characters: what looks like nothing, or like another character.
_INVISIBLE_CATEGORIES = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})


def check_reference(value: object) -> str:
    """Return a reference that no other one looks like.

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
    """What is to be done with one payment.

    Its idempotency key follows from the sales unit, the operation, the payment and the `reference`; or, without a
    reference, from the file that it came from and its place there. Neither amount nor text is part of it: the same
    reference with another amount is refused, not carried out a second time.

    What its API has as rules of its own (the form of an id, the least amount) is checked before the row is begun: one
    that breaks them ends as REFUSED, and nothing is sent for it.

    Raises:
        InvalidInputError: a part breaks a rule of all APIs, or there is neither `reference` nor `origin`.
    """

    #: The payment's id, as its API has it.
    payment: str
    #: What the customer reads, for an API that takes such a text; empty: nothing.
    text: str = ""
    #: Money, or minor units of the API's currency; left out: all that remains. A cancel has none.
    amount: Money | int | NotGiven = NOT_GIVEN
    #: Your own name for this very capture, refund or cancel: the number of a shipment, of a return.
    reference: str | None = None
    #: The file that it came from, if any.
    origin: Origin | None = None

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


# --- what an API has of its own ---------------------------------------------------------------------------------------


@frozen(kw_only=True)
class Unit:
    """What the amounts of a file may be counted in."""

    #: What ``--unit`` and the headings say, such as ``"ore"`` (``amount_ore``).
    name: str
    #: What people call it, such as ``"cents"``.
    word: str
    #: How many decimals an amount may have; 0: it is the currency's minor unit.
    decimals: int


@frozen(kw_only=True)
class Moved:
    """What an operation did, as its result tells."""

    #: Minor units; None: it does not tell.
    amount: int | None = None
    #: When, by Vipps' clock; aware, UTC. None: it does not tell.
    time: datetime | None = None


@frozen(kw_only=True)
class DryRun:
    """What a row would do to a payment as it is now."""

    #: What would move, or has moved under the row's key; None: nothing, or a cancel.
    moved: Moved = Moved()
    #: Whether it has taken effect already.
    is_done: bool = False
    #: Whether it would be refused.
    is_refused: bool = False


@frozen(kw_only=True)
class RowCommand:
    """A row with all that its call is made of."""

    operation: BatchOperation
    row: BatchRow
    merchant_serial_number: str
    #: Whether a cancel also releases what is left of a partly captured payment.
    release_remaining: bool = False

    @property
    def key(self) -> str:
        """The idempotency key of the row."""
        return self.row.idempotency_key(self.operation, self.merchant_serial_number)


@frozen(kw_only=True)
class BatchApi:
    """What one API has of its own for batches. A payment's state is what `read_state` returns."""

    dialect: Dialect
    #: The headings of a file's columns: of the payment's id, and of the text that the customer reads (None: the API
    #: takes no such text).
    payment_heading: str
    text_heading: str | None
    #: The currency of all amounts, and what a file may count them in.
    currency: str
    units: tuple[Unit, ...]
    #: The least and the largest amount, in minor units.
    least: int
    largest: int
    #: Return a field that keeps the API's rules; raise InvalidInputError else.
    check_payment: Callable[[object], str]
    check_text: Callable[[object], str]
    #: What each operation is to the API.
    operations: Mapping[BatchOperation, Operation[Any]]
    #: Makes the call that carries a row out, with the row's key in the request (if the API takes one) and in the note.
    make_call: Callable[[RowCommand], Call[Any]]
    #: Reads the amount and the time of a result of capture, refund or cancel.
    moved: Callable[[Any], Moved]
    #: Reads a payment's state.
    read_state: Callable[[Runner, str], Awaitable[Any]]
    #: What that takes, for the pace of a dry run.
    read: Operation[Any]
    #: Says from a state what a row would do; the number is what earlier rows would take, in minor units.
    dry_run: Callable[[RowCommand, Any, int], DryRun]
    #: Whether a payment is cancelled, or what was not captured of it has been released.
    is_released: Callable[[Any], bool]
    #: Says on one line what has happened to a payment.
    describe: Callable[[Any], str]
    #: How much is left to capture or refund, for an API that must be told an amount: it is then computed once for a row
    #: that takes all, and stands in the journal's intent. None: the API itself takes all that is left.
    remaining: Callable[[BatchOperation, Any], int] | None = None

    @property
    def name(self) -> str:
        """The API's name, as in ``--api`` and in reports."""
        return self.dialect.name

    def check_amount(self, amount: int) -> int:
        """Return an amount that the API takes.

        Raises:
            InvalidInputError: it takes none so small, or so large.
        """
        if not self.least <= amount <= self.largest:
            least = format_amount(self.least, self.currency)
            rule = f"from {self.least} to {self.largest} minor units ({least} at least)"
            raise InvalidInputError("amount", rule, value=amount)
        return amount

    def check(self, row: BatchRow, operation: BatchOperation) -> None:
        """Check a row by the API's own rules.

        Raises:
            InvalidInputError: it breaks one.
        """
        self.check_payment(row.payment)
        if row.minor_units is not None:
            if operation is BatchOperation.CANCEL:
                raise InvalidInputError("amount", "left out of the rows of a cancel", value=row.amount)
            if isinstance(row.amount, Money) and row.amount.currency != self.currency:
                raise InvalidInputError("amount", f"in {self.currency}", value=row.amount)
            self.check_amount(row.minor_units)
        if self.text_heading is not None:
            self.check_text(row.text)
        elif row.text:
            raise InvalidInputError("text", f"left out: {self.name} takes none", value=row.text)


@frozen(kw_only=True)
class BatchClient:
    """An API of an open session, as batches need it."""

    api: BatchApi
    runner: Runner
    merchant_serial_number: str
    #: Adds a listener of attempts for the length of a `with` block.
    listening: Callable[[AttemptListener], AbstractContextManager[None]]
    #: The session's journal; None: it has none.
    journal: Journal | None


class SupportsBatch(Protocol):
    """An API whose captures, refunds and cancels can be carried out as a batch: ``vipps.ecom``, for example."""

    @property
    def batch(self) -> BatchClient:
        """What a batch needs of it."""
        ...
