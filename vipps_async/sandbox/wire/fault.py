"""The kinds of faults, and which operations each of them fits."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


class Kind(enum.Enum):
    """What an operation does, as far as faults care."""

    CREATES = enum.auto()
    #: Moves the amount that it names.
    MOVES = enum.auto()
    ENDS = enum.auto()
    #: Tells the history.
    READS = enum.auto()
    LOGS_IN = enum.auto()
    #: Is made by Vipps, at the merchant.
    CALLS_BACK = enum.auto()
    OTHER = enum.auto()


#: The operations that faults can be given to, whichever API has them; "callback" is what Vipps sends to the merchant.
#: An operation that one API alone has need not stand here: its route says of what kind it is.
KINDS = {
    "initiate": Kind.CREATES,
    "capture": Kind.MOVES,
    "cancel": Kind.ENDS,
    "refund": Kind.MOVES,
    "details": Kind.READS,
    "status": Kind.OTHER,
    "approve": Kind.OTHER,
    "token": Kind.LOGS_IN,
    "userinfo": Kind.OTHER,
    "callback": Kind.CALLS_BACK,
}


class Fault(enum.Enum):
    """One way for an exchange to fail. "Effect" is what the request asks for: a capture's money has moved, say."""

    CONNECTION_REFUSED = "CONNECTION_REFUSED"
    """The listener is closed for `refusal_seconds`, and so is every connection: who connects then is refused. The
    request that meets this fault is itself reset; to have the very next one refused, see `refusing_connections`.
    """
    RESET_BEFORE_READ = "RESET_BEFORE_READ"
    """The connection is reset as soon as it is known which request comes; it has no effect."""
    RESET_BEFORE_EFFECT = "RESET_BEFORE_EFFECT"
    """The connection is reset when the whole request is read; it has no effect."""
    RESET_AFTER_EFFECT = "RESET_AFTER_EFFECT"
    """The request takes effect; the connection is reset instead of an answer."""
    HEADERS_CUT_IN_HALF = "HEADERS_CUT_IN_HALF"
    """The request takes effect; the answer breaks off in its headers."""
    ANSWER_CUT_IN_HALF = "ANSWER_CUT_IN_HALF"
    """The request takes effect; the answer's headers come whole, and half of its body."""
    STALL_BEFORE_EFFECT = "STALL_BEFORE_EFFECT"
    """No effect, and no answer for `stall_seconds`; then the connection is reset."""
    STALL_AFTER_EFFECT = "STALL_AFTER_EFFECT"
    """The request takes effect; no answer for `stall_seconds`; then the connection is reset."""
    SLOW_DRIP = "SLOW_DRIP"
    """The request takes effect; the answer comes whole, in small pieces over `drip_seconds`."""
    HTTP_500_BEFORE = "HTTP_500_BEFORE"
    HTTP_500_AFTER = "HTTP_500_AFTER"
    HTTP_502_BEFORE = "HTTP_502_BEFORE"
    HTTP_502_AFTER = "HTTP_502_AFTER"
    HTTP_503_BEFORE = "HTTP_503_BEFORE"
    HTTP_503_AFTER = "HTTP_503_AFTER"
    HTTP_504_BEFORE = "HTTP_504_BEFORE"
    HTTP_504_AFTER = "HTTP_504_AFTER"
    HTTP_429 = "HTTP_429"
    """Throttled, without a word on how long to wait. No effect."""
    HTTP_429_RETRY_AFTER = "HTTP_429_RETRY_AFTER"
    """Throttled, with `Retry-After: <retry_after>`. No effect."""
    LOCKED_94 = "LOCKED_94"
    """The order is locked, VippsError 94. No effect."""
    TOKEN_EXPIRED_401 = "TOKEN_EXPIRED_401"  # noqa: S105 - the name of a fault
    """The token counts as expired: 401. No effect."""
    HTML_200_BEFORE = "HTML_200_BEFORE"
    """A proxy's page with status 200. No effect."""
    HTML_200_AFTER = "HTML_200_AFTER"
    """The request takes effect; its answer is replaced by a proxy's page with status 200."""
    HTML_502_BEFORE = "HTML_502_BEFORE"
    HTML_502_AFTER = "HTML_502_AFTER"
    WRONG_CONTENT_TYPE = "WRONG_CONTENT_TYPE"
    """The request takes effect; the right answer comes as text/plain."""
    UNSETTLED_FAILED_BEFORE = "UNSETTLED_FAILED_BEFORE"
    """Payment 63 (capture), 52 (cancel) or 74 (refund): such an answer settles nothing. No effect."""
    UNSETTLED_FAILED_AFTER = "UNSETTLED_FAILED_AFTER"
    """The request takes effect and is answered with 63, 52 or 74 all the same."""
    UNSETTLED_92_BEFORE = "UNSETTLED_92_BEFORE"
    """VippsError 92, "already processed"."""
    UNSETTLED_92_AFTER = "UNSETTLED_92_AFTER"
    UNSETTLED_99_BEFORE = "UNSETTLED_99_BEFORE"
    """99 in the group Payment, VippsError or Merchant."""
    UNSETTLED_99_AFTER = "UNSETTLED_99_AFTER"
    UNSETTLED_402_BEFORE = "UNSETTLED_402_BEFORE"
    """HTTP 402, by the API or the gateway."""
    UNSETTLED_402_AFTER = "UNSETTLED_402_AFTER"
    UNSETTLED_1000_BEFORE = "UNSETTLED_1000_BEFORE"
    """The gateway's `responseInfo` with the code 1000."""
    UNSETTLED_1000_AFTER = "UNSETTLED_1000_AFTER"
    FAILED_ENTRY = "FAILED_ENTRY"
    """The operation fails: a failed entry in the history, and 63, 52 or 74. The same key succeeds later."""
    FAILED_ENTRY_RESET = "FAILED_ENTRY_RESET"
    """The same, and the connection is reset instead of an answer."""
    LATE_ENTRY = "LATE_ENTRY"
    """The request takes effect and is answered rightly; details show it only `lag_seconds` later."""
    LATE_ENTRY_RESET = "LATE_ENTRY_RESET"
    """The same, and the connection is reset instead of an answer."""
    HELD_STALL = "HELD_STALL"
    """The request is held and takes effect `held_seconds` later, by the rules of then. The client sees a stall."""
    HELD_RESET = "HELD_RESET"
    """The same; the connection is reset."""
    HELD_504 = "HELD_504"
    """The same; the gateway answers 504."""
    STALE_DETAILS = "STALE_DETAILS"
    """Details as they were `stale_seconds` ago."""
    UNORDERED_DETAILS = "UNORDERED_DETAILS"
    """The entries of details in no order."""
    DETAILS_WITHOUT_KEYS = "DETAILS_WITHOUT_KEYS"
    """The entries of details without `requestId` and `transactionId`."""
    DETAILS_ODD_TYPES = "DETAILS_ODD_TYPES"
    """Details without `orderId`, with sums as text, times with an offset, and `requestId` as a number where it is one.
    """
    OTHER_AMOUNT_AFTER = "OTHER_AMOUNT_AFTER"
    """The request takes effect; the answer names another amount."""
    OTHER_AMOUNT_MOVED = "OTHER_AMOUNT_MOVED"
    """Half of the amount moves, and answer and details say so. Chance does not choose it: no client can prevent it."""
    FAILURE_STATUS_BEFORE = "FAILURE_STATUS_BEFORE"
    """Nothing moves; status 200 with a word of failure, and a failed entry in the history."""
    FAILURE_STATUS_AFTER = "FAILURE_STATUS_AFTER"
    """The request takes effect; the answer has a word of failure."""
    UNKNOWN_STATUS_AFTER = "UNKNOWN_STATUS_AFTER"
    """The request takes effect; the answer has a word that no client knows."""
    NO_TRANSACTION_AFTER = "NO_TRANSACTION_AFTER"
    """The request takes effect; the answer lacks the transaction."""
    EMPTY_200_BEFORE = "EMPTY_200_BEFORE"
    """Status 200 with nothing in it. No effect."""
    EMPTY_200_AFTER = "EMPTY_200_AFTER"
    CUT_200_AFTER = "CUT_200_AFTER"
    """The request takes effect; status 200 with half of the JSON, and a length that fits."""
    REDIRECT_302_BEFORE = "REDIRECT_302_BEFORE"
    """A redirect to a page. No effect."""
    REDIRECT_302_AFTER = "REDIRECT_302_AFTER"
    REFUSAL_WITH_BOM = "REFUSAL_WITH_BOM"
    """The request's own refusal behind a byte order mark; what would be done is refused with 94. No effect."""
    REFUSAL_AS_XML = "REFUSAL_AS_XML"
    """The same, as XML."""
    REFUSAL_AS_FORM = "REFUSAL_AS_FORM"
    """The same, as a form."""
    REFUSAL_AS_TEXT = "REFUSAL_AS_TEXT"
    """The same, as plain text."""
    ABSURD_RETRY_AFTER = "ABSURD_RETRY_AFTER"
    """Throttled, with a `Retry-After` that makes no sense. No effect."""
    CALLBACK_TWICE = "CALLBACK_TWICE"
    """A callback is delivered twice."""
    CALLBACK_LOST = "CALLBACK_LOST"
    """A callback is never sent."""

    @property
    def status(self) -> int:
        """The HTTP status in its name."""
        return next(int(part) for part in self.name.split("_") if part.isdigit())

    @property
    def kinds(self) -> frozenset[Kind]:
        """The kinds of operations that it fits."""
        return _FITTING[self]


#: The request is held, and takes effect later.
HELD = frozenset({Fault.HELD_STALL, Fault.HELD_RESET, Fault.HELD_504})
#: What chance does not choose unless told: the first also hits requests beside the one it is chosen for.
ONLY_IF_ASKED = frozenset({Fault.CONNECTION_REFUSED, Fault.OTHER_AMOUNT_MOVED})
_MOVES_MONEY = frozenset({Kind.MOVES, Kind.ENDS})
_CHANGES = _MOVES_MONEY | {Kind.CREATES}
_READS = frozenset({Kind.READS})
_REQUESTS = frozenset(Kind) - {Kind.CALLS_BACK}


#: How a fault's name begins → the kinds of operations that it fits; the first that holds counts.
_BEGINNINGS = {
    "CALLBACK": frozenset({Kind.CALLS_BACK}),
    "TOKEN": _REQUESTS - {Kind.LOGS_IN},
    "OTHER_AMOUNT_MOVED": frozenset({Kind.MOVES}),
    **dict.fromkeys([f"UNSETTLED_{code}_BEFORE" for code in (99, 402, 1000)], _CHANGES | _READS),
    **dict.fromkeys([*(f"UNSETTLED_{code}_AFTER" for code in (99, 402, 1000)), "HELD"], _CHANGES),
    **dict.fromkeys(["STALE", "UNORDERED", "DETAILS"], _READS),
    **dict.fromkeys(["LOCKED", "UNSETTLED", "FAIL", "LATE", "OTHER", "UNKNOWN", "NO", "REFUSAL"], _MOVES_MONEY),
}
#: Fault → the kinds of operations that it fits; any request, if no beginning is its.
_FITTING = {
    fault: next((kinds for word, kinds in _BEGINNINGS.items() if fault.name.startswith(word)), _REQUESTS)
    for fault in Fault
}
#: How often each fault stands among those that chance draws from, by what it fits: what has fewer requests to happen to
#: more often. All others: once.
WEIGHTS = {_READS: 5, _MOVES_MONEY: 4, _CHANGES: 2, _CHANGES | _READS: 2}


@dataclass(frozen=True, slots=True)
class Decided:
    """A fault that happens to one request."""

    fault: Fault
    operation: str
    #: Chooses among the variants of the fault.
    number: int

    def one_of(self, variants: Sequence[T], *, skip: int = 1) -> T:
        """Choose a variant; `skip` is the number of variants that were chosen from before, by the same number."""
        return variants[self.number // skip % len(variants)]
