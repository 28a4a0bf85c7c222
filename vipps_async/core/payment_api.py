"""`PaymentApi`: the operations, fields and states of one API as one value, for batches and the command line."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

from attrs import field, frozen

from vipps_async.core.batch import AmountRule, BatchOperation, BatchRow
from vipps_async.core.dialect import Dialect
from vipps_async.core.operation import Call, Operation, Runner
from vipps_async.errors import ApiError, InvalidInputError
from vipps_async.journals.entries import Intent
from vipps_async.money import Money, format_amount
from vipps_async.not_given import NOT_GIVEN, NotGiven

_PRINTABLE = re.compile("[ -~]+")


# --- a payment, and what is done with it ------------------------------------------------------------------------------


@frozen(kw_only=True)
class Unit:
    """A unit that amounts can be written in."""

    #: What ``--unit`` and the headings say, such as ``"ore"`` (``amount_ore``).
    name: str
    #: What people call it, such as ``"cents"``.
    word: str
    #: How many decimals an amount may have; 0: it is the currency's minor unit.
    decimals: int


@frozen(kw_only=True)
class PaymentCommand:
    """A capture, refund or cancel with all that its call is made of."""

    operation: BatchOperation
    payment: str
    merchant_serial_number: str
    #: What the customer reads; empty: nothing.
    text: str = ""
    #: Minor units; left out: all that remains. A cancel has none.
    amount: int | NotGiven = NOT_GIVEN
    #: The idempotency key; None: a new one is made, for an API that takes one.
    key: str | None = None
    #: What the row of a batch calls itself, empty if it has no name; None: it is no row's.
    row_reference: str | None = None
    #: Whether a cancel also releases what is left of a partly captured payment.
    release_remaining: bool = False


@frozen(kw_only=True)
class Moved:
    """What an operation moved, by its result. Minor units; None: the result does not say."""

    amount: int | None = None
    #: When, by Vipps' clock; aware, UTC.
    time: datetime | None = None
    #: What of the payment is left since.
    left_to_capture: int | None = None
    left_to_refund: int | None = None


@frozen(kw_only=True)
class HistoryEntry:
    """One entry of a payment's history."""

    #: What the API calls it.
    name: str
    #: Which operation it is, such as ``"capture"``; None: another one than capture, refund and cancel.
    verb: str | None
    #: Minor units of its currency.
    amount: int
    currency: str
    is_done: bool
    #: The idempotency key that it was sent with; None: the API does not tell.
    key: str | None
    #: By Vipps' clock; aware, UTC. None: the API does not tell.
    time: datetime | None


@frozen(kw_only=True)
class PaymentHistory:
    """How the history of a payment is read at an API."""

    #: Makes the call that asks for it; to look an operation up is the same one, where that is by its key.
    lookup: Callable[[str], Call[Any]]
    #: Reads its answer, for that payment; None: it is about another one. A capture that the customer's acceptance
    #: brings with it is no operation of the merchant's, and has no verb.
    read: Callable[[str, Any], tuple[HistoryEntry, ...] | None]


@frozen(kw_only=True)
class PaymentState:
    """A payment as its API has it now. Sums are in minor units."""

    currency: str
    reserved_amount: int
    captured_amount: int
    refunded_amount: int
    remaining_to_capture: int
    remaining_to_refund: int
    #: Whether it is cancelled, or what was not captured of it has been released.
    is_released: bool
    #: What else people should know, such as ``"refused by the bank"``; empty: nothing.
    status: str = ""
    #: Vipps' own word for where it is, such as ``"AUTHORIZED"`` or the newest operation; empty: there is none.
    vendor_state: str = ""
    #: The newest first.
    history: tuple[HistoryEntry, ...] = ()
    #: The API's own answer, an attrs model.
    answer: Any = field(repr=False)

    def remaining(self, operation: BatchOperation) -> int:
        """Return how much an operation can still move, in minor units."""
        return operation.facts.left(self)

    def has_done(self, verb: str, key: str) -> HistoryEntry | None:
        """Return the entry that shows an operation as done under a key; None: there is none."""
        shown = (entry for entry in self.history if entry.is_done and (entry.verb, entry.key) == (verb, key))
        return next(shown, None)

    @property
    def sums(self) -> Mapping[str, str]:
        """All sums by their names, written for people."""
        amounts = {
            "reserved": self.reserved_amount,
            "captured": self.captured_amount,
            "refunded": self.refunded_amount,
            "left to capture": self.remaining_to_capture,
            "left to refund": self.remaining_to_refund,
        }
        return {name: format_amount(amount, self.currency) for name, amount in amounts.items()}

    @property
    def state_word(self) -> str:
        """The state of the payment in words: by its sums, and by `status` where no money is reserved."""
        if not self.captured_amount:
            if self.is_released:
                return "cancelled"
            return "reserved" if self.remaining_to_capture else self.status or "not accepted so far"
        is_part = self.captured_amount < self.reserved_amount
        words = (
            f"captured{' in part' if is_part else ''}{', the rest released' if is_part and self.is_released else ''}"
        )
        if not self.refunded_amount:
            return words
        return f"{words}, refunded{' in part' if self.remaining_to_refund else ''}"

    def describe(self) -> str:
        """Return the state and the sums of the payment on one line."""
        parts = ", ".join(f"{name} {amount}" for name, amount in self.sums.items())
        return f"Vipps has of this payment: {parts}.{' It is cancelled.' if self.is_released else ''}"


@frozen(kw_only=True)
class DryRun:
    """What a command would do to a payment as it is now."""

    #: What would move, or has moved under the command's key.
    moved: Moved = Moved()
    #: Whether it has taken effect already.
    is_done: bool = False
    #: Whether it would be refused.
    is_refused: bool = False


# --- an API -----------------------------------------------------------------------------------------------------------


@frozen
class Option:
    """An option of an action of the command line."""

    #: The argument of the API's method, and the option: ``fall_back`` is ``--fall-back``.
    name: str
    metavar: str
    help: str
    #: Returns the value that is meant; raises InvalidInputError else. None: an amount, in the API's currency.
    check: Callable[[str], object] | None
    required: bool = False
    #: What the help's example gives it, for one that is required.
    example: str = ""


@frozen
class ActionResult:
    """What an action prints: for people, and for machines by name."""

    text: str
    facts: Mapping[str, Any]


@frozen(kw_only=True)
class Action:
    """An action of `vipps-async payment` that one API alone has, such as the one that makes a payment."""

    verb: str
    purpose: str
    more: str = ""
    options: tuple[Option, ...] = ()
    #: The argument that is read from standard input, and how it is asked for; None: nothing is read.
    reads: tuple[str, str] | None = None
    #: What may have happened if the outcome is not known.
    doubt: str
    is_journalled: bool = False
    #: Carries it out over the session's API: for a payment, with the values of the options.
    run: Callable[[Any, str, Mapping[str, Any]], Awaitable[ActionResult]]


@frozen(kw_only=True)
class PaymentApi:
    """The payments of one API: its operations, fields, rules and states."""

    dialect: Dialect
    #: The headings of a file's columns: of the payment's id, and of the text that the customer reads (None: the API
    #: takes no such text).
    payment_heading: str
    text_heading: str | None
    #: The currency of amounts that a file or a person gives, and what they may be counted in.
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
    #: Makes the call that carries a command out, with its key in the request (if the API takes one) and in the journal.
    make_call: Callable[[PaymentCommand], Call[Any]]
    #: Makes the call that an intent in the journal was written for; raises JournalError if it knows no such operation.
    rebuild: Callable[[Intent], Call[Any]]
    #: Reads the amount, the time and what is left from a result of capture, refund or cancel.
    moved: Callable[[Any], Moved]
    #: Reads a payment's state; raises OrderNotFoundError if there is no such payment.
    read_state: Callable[[Runner, str], Awaitable[PaymentState]]
    #: What that takes, for the pace of a dry run.
    read: Operation[Any]
    #: How to read what happened to a payment.
    history: PaymentHistory
    #: Whether the API itself takes all that is left where no amount is given. Else the amount is computed once, and
    #: stands in the journal's intent.
    takes_all: bool = True
    #: Whether a cancel releases what is left of a partly captured payment without being asked to.
    cancel_releases_rest: bool = False
    #: Operations in the journal that recovery passes over: what Vipps has called.
    passed_over: frozenset[str] = frozenset()
    #: Fields of answers, at any depth, that are shown only if personal data are asked for.
    personal_fields: frozenset[str] = frozenset()
    #: What else the command line can do with a payment.
    actions: tuple[Action, ...] = ()

    @property
    def name(self) -> str:
        """The API's name, as in ``--api`` and in reports."""
        return self.dialect.name

    @property
    def main_unit(self) -> Unit:
        """The unit of amounts that people type."""
        return max(self.units, key=lambda unit: unit.decimals)

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

    def check_key(self, value: str) -> str:
        """Return an idempotency key that fits the API's header.

        Raises:
            InvalidInputError: it does not.
        """
        longest = self.dialect.longest_key
        if not _PRINTABLE.fullmatch(value) or len(value) > longest:
            raise InvalidInputError("idempotency_key", f"1 to {longest} printable ASCII characters", value=value)
        return value

    def check_currency(self, state: PaymentState) -> None:
        """Check that a payment has the currency that amounts are given in.

        Raises:
            InvalidInputError: it has another one.
        """
        if state.currency != self.currency:
            raise InvalidInputError("payment", f"one in {self.currency}", value=state.currency)

    def dry_run(self, command: PaymentCommand, state: PaymentState, planned: int) -> DryRun:
        """Return what a command would do; `planned` is the sum that earlier ones would take, in minor units.

        Raises:
            InvalidInputError: the payment has another currency.
        """
        self.check_currency(state)
        if command.operation is BatchOperation.CANCEL:
            may = self.cancel_releases_rest or command.release_remaining or not state.captured_amount
            if may and state.is_released:
                return DryRun(is_done=True)
            return DryRun(is_refused=not may or (state.reserved_amount > 0 and state.remaining_to_capture <= 0))
        if command.key and (done := state.has_done(command.operation.value, command.key)):
            return DryRun(is_done=True, moved=Moved(amount=done.amount, time=done.time))
        left = state.remaining(command.operation) - planned
        wanted = left if isinstance(command.amount, NotGiven) else command.amount
        return DryRun(is_refused=True) if left <= 0 or wanted > left else DryRun(moved=Moved(amount=wanted))

    def refusal(self, command: PaymentCommand, text: str) -> ApiError:
        """Make the error of a command that would be refused, and for which nothing was sent."""
        operation = self.operations[command.operation]
        return operation.error(
            text,
            status=0,
            operation=operation.name,
            payment=command.payment,
            idempotency_key=command.key,
            advice="see what Vipps has of the payment",
        )

    def check(self, row: BatchRow, operation: BatchOperation) -> None:
        """Check a row by the API's own rules.

        Raises:
            InvalidInputError: it breaks one.
        """
        self.check_payment(row.payment)
        if operation not in self.operations:
            raise InvalidInputError("operation", f"one that {self.name} has", value=operation.value)
        if operation.facts.amount is (AmountRule.REQUIRED if row.minor_units is None else AmountRule.NONE):
            rule = f"{operation.facts.amount.value} the rows of a {operation.value}"
            raise InvalidInputError("amount", rule, value=row.amount)
        if row.minor_units is not None:
            if isinstance(row.amount, Money) and row.amount.currency != self.currency:
                raise InvalidInputError("amount", f"in {self.currency}", value=row.amount)
            self.check_amount(row.minor_units)
        if self.text_heading is not None:
            self.check_text(row.text)
        elif row.text:
            raise InvalidInputError("text", f"left out: {self.name} takes none", value=row.text)
