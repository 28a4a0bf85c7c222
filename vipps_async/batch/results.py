"""The result of one row of a batch, and the outcome that each kind of error means."""

from __future__ import annotations

import enum
import re
from datetime import datetime

from attrs import field, frozen

from vipps_async.core.batch import BatchRow
from vipps_async.core.converter import UnreadableAnswer, decode
from vipps_async.core.operation import SettledBy
from vipps_async.core.payment_api import Moved, PaymentApi
from vipps_async.errors import (
    ApiError,
    AuthenticationError,
    CancelError,
    CaptureError,
    ConfigurationError,
    DuplicateOrderError,
    Effect,
    IdempotencyMismatchError,
    InvalidInputError,
    InvalidRequestError,
    JournalError,
    MerchantError,
    OrderLockedError,
    OrderNotFoundError,
    PaymentRefusedError,
    PermissionDeniedError,
    RateLimitedError,
    RefundError,
    RequestNotSent,
    ServerError,
    TransportError,
    UnexpectedResponseError,
    UserError,
    VippsError,
)
from vipps_async.journals.entries import Entry

#: Refusals that are not about the row: the same row may go through when the reason is gone.
_NOT_ABOUT_THE_ROW = (
    AuthenticationError,
    PermissionDeniedError,
    MerchantError,
    OrderLockedError,
    RateLimitedError,
    ServerError,
)

#: What kind of error it is, for those who have never seen a program; the nearest class counts.
_KINDS: dict[type, str] = {
    VippsError: "an error of the program",
    ConfigurationError: "the settings are wrong",
    InvalidInputError: "breaks a rule",
    JournalError: "the journal failed",
    TransportError: "no usable answer",
    RequestNotSent: "not sent",
    UnexpectedResponseError: "an answer that cannot be read",
    ApiError: "refused by Vipps",
    AuthenticationError: "keys not accepted",
    PermissionDeniedError: "not allowed to this sales unit",
    OrderNotFoundError: "no such payment",
    DuplicateOrderError: "id used before",
    PaymentRefusedError: "refused by the bank",
    CaptureError: "capture refused",
    CancelError: "cancel refused",
    RefundError: "refund refused",
    IdempotencyMismatchError: "same reference, other content",
    OrderLockedError: "payment busy with another operation",
    RateLimitedError: "too many requests",
    MerchantError: "refused by the sales unit's agreement",
    UserError: "refused by the customer's account or app",
    InvalidRequestError: "a field was refused",
    ServerError: "Vipps failed",
}
#: A class of a library's errors, which an error about a connection may name.
_CLASS_NAME = re.compile(r" \([A-Za-z_.]*(?:Error|Exception|Disconnected|Timeout)\)")


def without_class_names(message: str) -> str:
    """Return the message of an error without names of classes, for people who have never seen a program."""
    return _CLASS_NAME.sub("", message)


class RowOutcome(enum.Enum):
    """How a row ended."""

    DONE = "done"
    """It took effect, as Vipps answered now. With an empty journal that may be Vipps' repeated answer to an earlier
    run: the two cannot be told apart, and the money moved once.
    """
    DONE_BEFORE = "done before"
    """It had taken effect before, under the row's key: the journal says so. Nothing was done now."""
    FOUND_DONE = "found done"
    """A cancel that Vipps' history shows as done, where no key tells by whom: this run, an earlier one or somebody
    else. Its amount is in none of the sums of this run.
    """
    OTHERWISE = "otherwise"
    """It took effect, but Vipps moved another amount than was asked for, as its history proves. It is not tried again.
    """
    OTHERWISE_BEFORE = "otherwise before"
    """The same, but it was so before this run: the journal has it. Nothing was done now."""
    REFUSED = "refused"
    """Vipps, or a rule of its API that was checked here, refused it: nothing moved by this row. Under its key something
    may have moved before, with other content: see `RowCause`.
    """
    NOT_DONE = "not done"
    """No money moved, for a reason that can pass: not sent, throttled, keys not accepted. Run the batch again."""
    UNKNOWN = "unknown"
    """It may have taken effect. Run the batch again: the same key finds out, and cannot move money twice."""
    HELD = "held"
    """It was not sent, as it may be what was done before: name the payment to say that another one is meant."""
    NOT_BEGUN = "not begun"
    """The batch ended before it was this row's turn, or an earlier row of the same payment has no outcome yet."""

    @property
    def is_final(self) -> bool:
        """Whether another run of the same batch would bring nothing new."""
        return self not in {RowOutcome.NOT_DONE, RowOutcome.UNKNOWN, RowOutcome.NOT_BEGUN}

    @property
    def is_earlier(self) -> bool:
        """Whether it took effect before this run, which did nothing about it."""
        return self in {RowOutcome.DONE_BEFORE, RowOutcome.OTHERWISE_BEFORE}


class RowCause(enum.Enum):
    """Why a row ended so, where that says whether money moved under its key, or what to do."""

    KEY_DONE = "key done"
    """The row's key stands for an operation with other content, and that one is done: its money moved before."""
    KEY_OPEN = "key open"
    """The row's key stands for an operation with other content, and whether that one moved money is not known."""
    KEY_REFUSED = "key refused"
    """The row's reference, and so its key, stays with what was refused: other content needs another reference."""
    PART_CAPTURED = "part captured"
    """A part of the payment is captured, so only a cancel with `release_remaining` releases the rest."""
    DROPPED = "dropped"
    """The operation under the row's key was dropped by hand: `journal send` alone sends it again."""
    UNDECIDED = "undecided"
    """What the row meets is open, or was dropped, and may have moved money or not."""
    DAMAGED = "damaged"
    """The journal has an entry of the row's payment that cannot be read, and may have moved money."""
    OWN_DAMAGED = "own damaged"
    """That entry stands under the row's own key: naming the payment releases nothing."""
    OTHERS_INVALID = "others invalid"
    """The row was not begun, as another one of its file is invalid."""
    TAKEN_EFFECT = "taken effect"
    """In a dry run: Vipps has the row as done and the journal as open, so it counts with the run that settles it."""


@frozen
class Hold:
    """Why a row must not be sent."""

    #: What it meets, as a person reads it behind "it".
    reason: str
    cause: RowCause | None = None


@frozen(kw_only=True)
class RowResult:
    """The result of one row."""

    row: BatchRow
    """The row."""
    outcome: RowOutcome
    """How it ended."""
    idempotency_key: str
    """The key that it was carried out with. Where the API takes none it only names the row."""
    amount: int | None = None
    """Minor units that moved, now or before; None: none, or (for a cancel) not known."""
    time: datetime | None = None
    """When it took effect, by Vipps' clock, in UTC; None: it did not, or the answer does not say."""
    error: VippsError | None = None
    """Why it did not take effect, or may not have."""
    hint: str = ""
    """What Vipps has on the payment, where that explains a refusal; or what a row that is held meets."""
    cause: RowCause | None = None
    """Why it is refused, where that changes what is to be done; None: the error says all."""
    result: object = field(default=None, repr=False)
    """The API's result, such as a `CaptureResult`, where there is one."""

    @property
    def reason(self) -> str:
        """The error and the hint on one line; empty if all went well."""
        return " ".join(part for part in ("" if self.error is None else str(self.error), self.hint) if part)

    @property
    def what_happened(self) -> str:
        """The same for people who keep the books: without what stands in a report's other columns."""
        told = "" if self.error is None else f"{without_class_names(self.error.message).rstrip('.')}."
        return " ".join(part for part in (told, self.hint) if part)

    @property
    def code(self) -> str:
        """Vipps' error group and code, or in plain words what kind of error it is; empty without one."""
        error = self.error
        if error is None:
            return ""
        if isinstance(error, ApiError) and error.errors and (error.errors[0].group or error.errors[0].code):
            return f"{error.errors[0].group} {error.errors[0].code}".strip()
        return next(_KINDS[cls] for cls in type(error).__mro__ if cls in _KINDS)


def moved_by(api: PaymentApi, entry: Entry) -> int | None:
    """Return how much an entry moved that is done, in minor units; None: its answer on record does not tell."""
    return effect_of(api, entry).amount


def effect_of(api: PaymentApi, entry: Entry) -> Moved:
    """Return what an entry that is done moved, and when, as far as its answer on record tells."""
    if entry.settlement is None:
        return Moved()
    try:
        return api.moved(decode(entry.settlement.answer, api.rebuild(entry.intent).operation.result))
    except (UnreadableAnswer, JournalError):
        return Moved()


def done(
    row: BatchRow, key: str, moved: Moved, result: object = None, *, outcome: RowOutcome = RowOutcome.DONE
) -> RowResult:
    """Make the result of a row that took effect, with this outcome unless the journal says that it was before."""
    is_on_record = getattr(result, "settled_by", None) is SettledBy.JOURNAL
    return RowResult(
        row=row,
        outcome=RowOutcome.DONE_BEFORE if is_on_record else outcome,
        idempotency_key=key,
        # Vipps' own word: for a row without an amount it is the only one.
        amount=row.minor_units if moved.amount is None else moved.amount,
        time=moved.time,
        result=result,
    )


def failed(row: BatchRow, key: str, error: VippsError, api: PaymentApi, *, hint: str = "") -> RowResult:
    """Make the result of a row that ended in an error."""
    result = _carried_out(error)
    moved = Moved() if result is None else api.moved(result)
    return RowResult(
        row=row,
        outcome=outcome_of(error),
        idempotency_key=key,
        amount=moved.amount,
        time=moved.time,
        error=error,
        hint=hint,
        result=result,
    )


def outcome_of(error: VippsError) -> RowOutcome:
    """Tell what an error means for its row."""
    if (carried_out := _carried_out(error)) is not None:
        before = getattr(carried_out, "settled_by", None) is SettledBy.JOURNAL
        return RowOutcome.OTHERWISE_BEFORE if before else RowOutcome.OTHERWISE
    if error.effect is not Effect.NONE:
        return RowOutcome.UNKNOWN
    if isinstance(error, InvalidInputError):
        # A rule of our own refused it, before Vipps could: the same row will never go through.
        return RowOutcome.REFUSED
    if isinstance(error, ApiError) and not error.retryable and not isinstance(error, _NOT_ABOUT_THE_ROW):
        return RowOutcome.REFUSED
    return RowOutcome.NOT_DONE


def _carried_out(error: VippsError) -> object:
    """Return what Vipps did otherwise than asked, if it is known to have done so; None: it is not."""
    return error.carried_out if isinstance(error, UnexpectedResponseError) else None


def is_outage(error: VippsError) -> bool:
    """Whether the error says that Vipps, or the way to it, is in trouble: not that it refused, nor that it is busy."""
    if isinstance(error, OrderLockedError):
        return False
    return isinstance(error, RequestNotSent) or outcome_of(error) in {RowOutcome.UNKNOWN, RowOutcome.NOT_DONE}
