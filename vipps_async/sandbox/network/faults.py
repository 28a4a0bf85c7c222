"""What shall go wrong, and when: scripted, or by a seed that replays. Pure: it decides, `interference.py` does it."""

from __future__ import annotations

import enum
import hashlib
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

__all__ = ["FAULT_OPERATIONS", "HELD", "Decided", "Fault", "Faults", "Randomness"]

T = TypeVar("T")


class Fault(enum.Enum):
    """One way for an exchange to fail. "Effect" is what the request asks for: a capture's money has moved, say."""

    #: The listener is closed for `refusal_seconds`, and so is every connection: who connects then is refused. The
    #: request that meets this fault is itself reset; to have the very next one refused, see `refusing_connections`.
    CONNECTION_REFUSED = "CONNECTION_REFUSED"
    #: The connection is reset as soon as it is known which request comes; it has no effect.
    RESET_BEFORE_READ = "RESET_BEFORE_READ"
    #: The connection is reset when the whole request is read; it has no effect.
    RESET_BEFORE_EFFECT = "RESET_BEFORE_EFFECT"
    #: The request takes effect; the connection is reset instead of an answer.
    RESET_AFTER_EFFECT = "RESET_AFTER_EFFECT"
    #: The request takes effect; the answer breaks off in its headers.
    HEADERS_CUT_IN_HALF = "HEADERS_CUT_IN_HALF"
    #: The request takes effect; the answer's headers come whole, and half of its body.
    ANSWER_CUT_IN_HALF = "ANSWER_CUT_IN_HALF"
    #: No effect, and no answer for `stall_seconds`; then the connection is reset.
    STALL_BEFORE_EFFECT = "STALL_BEFORE_EFFECT"
    #: The request takes effect; no answer for `stall_seconds`; then the connection is reset.
    STALL_AFTER_EFFECT = "STALL_AFTER_EFFECT"
    #: The request takes effect; the answer comes whole, in small pieces over `drip_seconds`.
    SLOW_DRIP = "SLOW_DRIP"
    HTTP_500_BEFORE = "HTTP_500_BEFORE"
    HTTP_500_AFTER = "HTTP_500_AFTER"
    HTTP_502_BEFORE = "HTTP_502_BEFORE"
    HTTP_502_AFTER = "HTTP_502_AFTER"
    HTTP_503_BEFORE = "HTTP_503_BEFORE"
    HTTP_503_AFTER = "HTTP_503_AFTER"
    HTTP_504_BEFORE = "HTTP_504_BEFORE"
    HTTP_504_AFTER = "HTTP_504_AFTER"
    #: Throttled, without a word on how long to wait. No effect.
    HTTP_429 = "HTTP_429"
    #: Throttled, with `Retry-After: <retry_after>`. No effect.
    HTTP_429_RETRY_AFTER = "HTTP_429_RETRY_AFTER"
    #: The order is locked, VippsError 94. No effect.
    LOCKED_94 = "LOCKED_94"
    #: The token counts as expired: 401. No effect.
    TOKEN_EXPIRED_401 = "TOKEN_EXPIRED_401"  # noqa: S105 - the name of a fault
    #: A proxy's page with status 200. No effect.
    HTML_200_BEFORE = "HTML_200_BEFORE"
    #: The request takes effect; its answer is replaced by a proxy's page with status 200.
    HTML_200_AFTER = "HTML_200_AFTER"
    HTML_502_BEFORE = "HTML_502_BEFORE"
    HTML_502_AFTER = "HTML_502_AFTER"
    #: The request takes effect; the right answer comes as text/plain.
    WRONG_CONTENT_TYPE = "WRONG_CONTENT_TYPE"
    #: Payment 63 (capture), 52 (cancel) or 74 (refund): such an answer settles nothing. No effect.
    UNSETTLED_FAILED_BEFORE = "UNSETTLED_FAILED_BEFORE"
    #: The request takes effect and is answered with 63, 52 or 74 all the same.
    UNSETTLED_FAILED_AFTER = "UNSETTLED_FAILED_AFTER"
    #: VippsError 92, "already processed".
    UNSETTLED_92_BEFORE = "UNSETTLED_92_BEFORE"
    UNSETTLED_92_AFTER = "UNSETTLED_92_AFTER"
    #: 99 in the group Payment, VippsError or Merchant.
    UNSETTLED_99_BEFORE = "UNSETTLED_99_BEFORE"
    UNSETTLED_99_AFTER = "UNSETTLED_99_AFTER"
    #: HTTP 402, by the API or the gateway.
    UNSETTLED_402_BEFORE = "UNSETTLED_402_BEFORE"
    UNSETTLED_402_AFTER = "UNSETTLED_402_AFTER"
    #: The gateway's `responseInfo` with the code 1000.
    UNSETTLED_1000_BEFORE = "UNSETTLED_1000_BEFORE"
    UNSETTLED_1000_AFTER = "UNSETTLED_1000_AFTER"
    #: The operation fails: a failed entry in the history, and 63, 52 or 74. The same key succeeds later.
    FAILED_ENTRY = "FAILED_ENTRY"
    #: The same, and the connection is reset instead of an answer.
    FAILED_ENTRY_RESET = "FAILED_ENTRY_RESET"
    #: The request takes effect and is answered rightly; details show it only `lag_seconds` later.
    LATE_ENTRY = "LATE_ENTRY"
    #: The same, and the connection is reset instead of an answer.
    LATE_ENTRY_RESET = "LATE_ENTRY_RESET"
    #: The request is held and takes effect `held_seconds` later, by the rules of then. The client sees a stall.
    HELD_STALL = "HELD_STALL"
    #: The same; the connection is reset.
    HELD_RESET = "HELD_RESET"
    #: The same; the gateway answers 504.
    HELD_504 = "HELD_504"
    #: Details as they were `stale_seconds` ago.
    STALE_DETAILS = "STALE_DETAILS"
    #: The entries of details in no order.
    UNORDERED_DETAILS = "UNORDERED_DETAILS"
    #: The entries of details without `requestId` and `transactionId`.
    DETAILS_WITHOUT_KEYS = "DETAILS_WITHOUT_KEYS"
    #: Details without `orderId`, with sums as text, times with an offset, and `requestId` as a number where it is one.
    DETAILS_ODD_TYPES = "DETAILS_ODD_TYPES"
    #: The request takes effect; the answer names another amount.
    OTHER_AMOUNT_AFTER = "OTHER_AMOUNT_AFTER"
    #: Half of the amount moves, and answer and details say so. Chance does not choose it: no client can prevent it.
    OTHER_AMOUNT_MOVED = "OTHER_AMOUNT_MOVED"
    #: Nothing moves; status 200 with a word of failure, and a failed entry in the history.
    FAILURE_STATUS_BEFORE = "FAILURE_STATUS_BEFORE"
    #: The request takes effect; the answer has a word of failure.
    FAILURE_STATUS_AFTER = "FAILURE_STATUS_AFTER"
    #: The request takes effect; the answer has a word that no client knows.
    UNKNOWN_STATUS_AFTER = "UNKNOWN_STATUS_AFTER"
    #: The request takes effect; the answer lacks the transaction.
    NO_TRANSACTION_AFTER = "NO_TRANSACTION_AFTER"
    #: Status 200 with nothing in it. No effect.
    EMPTY_200_BEFORE = "EMPTY_200_BEFORE"
    EMPTY_200_AFTER = "EMPTY_200_AFTER"
    #: The request takes effect; status 200 with half of the JSON, and a length that fits.
    CUT_200_AFTER = "CUT_200_AFTER"
    #: A redirect to a page. No effect.
    REDIRECT_302_BEFORE = "REDIRECT_302_BEFORE"
    REDIRECT_302_AFTER = "REDIRECT_302_AFTER"
    #: The request's own refusal behind a byte order mark; what would be done is refused with 94. No effect.
    REFUSAL_WITH_BOM = "REFUSAL_WITH_BOM"
    #: The same, as XML.
    REFUSAL_AS_XML = "REFUSAL_AS_XML"
    #: The same, as a form.
    REFUSAL_AS_FORM = "REFUSAL_AS_FORM"
    #: The same, as plain text.
    REFUSAL_AS_TEXT = "REFUSAL_AS_TEXT"
    #: Throttled, with a `Retry-After` that makes no sense. No effect.
    ABSURD_RETRY_AFTER = "ABSURD_RETRY_AFTER"
    #: A callback is delivered twice.
    CALLBACK_TWICE = "CALLBACK_TWICE"
    #: A callback is never sent.
    CALLBACK_LOST = "CALLBACK_LOST"


#: The request is held, and takes effect later.
HELD = frozenset({Fault.HELD_STALL, Fault.HELD_RESET, Fault.HELD_504})
_CALLBACK_FAULTS = frozenset({Fault.CALLBACK_TWICE, Fault.CALLBACK_LOST})
_MOVES_MONEY = frozenset({"capture", "cancel", "refund"})
_DETAILS = frozenset({"details"})
_CHANGES = _MOVES_MONEY | {"initiate"}
#: What chance does not choose unless told: the first also hits requests beside the one it is chosen for.
_ONLY_IF_ASKED = frozenset({Fault.CONNECTION_REFUSED, Fault.OTHER_AMOUNT_MOVED})

#: Fault → the operations that it fits; those that are not here fit all requests.
_FITTING = {
    Fault.LOCKED_94: _MOVES_MONEY,
    Fault.UNSETTLED_FAILED_BEFORE: _MOVES_MONEY,
    Fault.UNSETTLED_FAILED_AFTER: _MOVES_MONEY,
    Fault.UNSETTLED_92_BEFORE: _MOVES_MONEY,
    Fault.UNSETTLED_92_AFTER: _MOVES_MONEY,
    Fault.UNSETTLED_99_BEFORE: _CHANGES | _DETAILS,
    Fault.UNSETTLED_99_AFTER: _CHANGES,
    Fault.UNSETTLED_402_BEFORE: _CHANGES | _DETAILS,
    Fault.UNSETTLED_402_AFTER: _CHANGES,
    Fault.UNSETTLED_1000_BEFORE: _CHANGES | _DETAILS,
    Fault.UNSETTLED_1000_AFTER: _CHANGES,
    Fault.FAILED_ENTRY: _MOVES_MONEY,
    Fault.FAILED_ENTRY_RESET: _MOVES_MONEY,
    Fault.LATE_ENTRY: _MOVES_MONEY,
    Fault.LATE_ENTRY_RESET: _MOVES_MONEY,
    Fault.HELD_STALL: _CHANGES,
    Fault.HELD_RESET: _CHANGES,
    Fault.HELD_504: _CHANGES,
    Fault.STALE_DETAILS: _DETAILS,
    Fault.UNORDERED_DETAILS: _DETAILS,
    Fault.DETAILS_WITHOUT_KEYS: _DETAILS,
    Fault.DETAILS_ODD_TYPES: _DETAILS,
    Fault.OTHER_AMOUNT_AFTER: _MOVES_MONEY,
    Fault.OTHER_AMOUNT_MOVED: frozenset({"capture", "refund"}),
    Fault.FAILURE_STATUS_BEFORE: _MOVES_MONEY,
    Fault.FAILURE_STATUS_AFTER: _MOVES_MONEY,
    Fault.UNKNOWN_STATUS_AFTER: _MOVES_MONEY,
    Fault.NO_TRANSACTION_AFTER: _MOVES_MONEY,
    Fault.REFUSAL_WITH_BOM: _MOVES_MONEY,
    Fault.REFUSAL_AS_XML: _MOVES_MONEY,
    Fault.REFUSAL_AS_FORM: _MOVES_MONEY,
    Fault.REFUSAL_AS_TEXT: _MOVES_MONEY,
}
#: How often each kind stands among those that chance draws from, by what it fits: what has fewer requests to happen to
#: more often. All others: once.
_WEIGHTS = {_DETAILS: 5, _MOVES_MONEY: 4, _CHANGES: 2, _CHANGES | _DETAILS: 2}
#: Seconds that chance draws from for a request that is held (to two hours), an entry that shows late, a stale view.
_HELD_FOR, _LAG, _STALE = (1.0, 10.0, 60.0, 600.0, 7200.0), (0.5, 2.0, 10.0, 30.0), (0.5, 2.0, 10.0, 60.0)

#: The operations that faults can be given to; "callback" is what Vipps sends to the merchant.
FAULT_OPERATIONS = (
    "initiate",
    "capture",
    "cancel",
    "refund",
    "details",
    "status",
    "approve",
    "token",
    "userinfo",
    "callback",
)

#: The longest that anything lasts, in seconds: a year.
_LONGEST = 365 * 86_400
#: Attempts that are counted apart; the longest unused are forgotten beyond that, so that memory stays bounded.
_MAX_COUNTED = 200_000
#: Entries of one script; a script is written by hand.
_MAX_SCRIPT = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Randomness:
    """Which part of the requests fails, and how."""

    #: From 0 to 1.
    rate: float
    seed: int
    operations: frozenset[str]
    kinds: tuple[Fault, ...]


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


def _fits(fault: Fault, operation: str) -> bool:
    if operation == "callback":
        return fault in _CALLBACK_FAULTS
    if fault in _FITTING:
        return operation in _FITTING[fault]
    if fault is Fault.TOKEN_EXPIRED_401:
        return operation != "token"
    return fault not in _CALLBACK_FAULTS


def _known(operation: str) -> None:
    if operation not in FAULT_OPERATIONS:
        raise ValueError(f"{operation!r} is no operation; there are {', '.join(FAULT_OPERATIONS)}")


def _is_duration(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _LONGEST


def _is_duration_or_none(value: object) -> bool:
    return value is None or _is_duration(value)


#: Name of a setting → whether it can have a value.
_SETTINGS: dict[str, Callable[[object], bool]] = {
    "stall_seconds": _is_duration,
    "drip_seconds": _is_duration,
    "retry_after": lambda value: _is_duration(value) and isinstance(value, int),
    "refusal_seconds": _is_duration,
    "held_seconds": _is_duration_or_none,
    "lag_seconds": _is_duration_or_none,
    "stale_seconds": _is_duration_or_none,
    "unsettled_status": lambda value: value is None or (isinstance(value, int) and 400 <= value <= 599),
    "unsettled_group": lambda value: value in (None, "Payment", "VippsError", "Merchant"),
}


def _fault(given: object) -> Fault:
    if isinstance(given, Fault):
        return given
    if not isinstance(given, str):
        raise TypeError(f"a fault is one of Fault or its name, each an argument of its own, not {given!r}")
    try:
        return Fault[given]
    except KeyError:
        raise ValueError(f"{given!r} is no fault; there are {', '.join(Fault.__members__)}") from None


class Faults:
    """Scripts and randomises faults. A script goes before chance, one for an order before one for all."""

    def __init__(self) -> None:
        #: Seconds that a stalled request is held; longer than any patience, but not for ever.
        self.stall_seconds = 60.0
        #: Seconds over which a dripping answer is spread.
        self.drip_seconds = 2.0
        #: Whole seconds of `Retry-After`.
        self.retry_after = 1
        #: Seconds that the listener stays closed.
        self.refusal_seconds = 0.2
        #: HTTP status of the answers that settle nothing; None: one of several.
        self.unsettled_status: int | None = None
        #: Group of the 99 that settles nothing; None: one of several.
        self.unsettled_group: str | None = None
        #: Seconds of the sandbox's clock until a held request takes effect; None: from one to 7,200.
        self.held_seconds: float | None = None
        #: Seconds of the sandbox's clock until a late entry shows; None: up to 30.
        self.lag_seconds: float | None = None
        #: How many seconds a stale view is old; None: up to 60.
        self.stale_seconds: float | None = None
        self._scripts: dict[tuple[str, str | None], deque[Fault | None]] = {}
        self._randomness: Randomness | None = None
        self._attempts: OrderedDict[tuple[str, str, str], int] = OrderedDict()
        self._counts: Counter[Fault] = Counter()

    @property
    def settings(self) -> Mapping[str, float | str | None]:
        """How long things last, and which variants occur, by name."""
        return {name: getattr(self, name) for name in _SETTINGS}

    def configure(self, settings: Mapping[str, object]) -> None:
        """Set some of the `settings`.

        Raises:
            ValueError: there is no such setting, or it cannot have such a value; nothing was set.
        """
        for name, value in settings.items():
            if name not in _SETTINGS or not _SETTINGS[name](value):
                raise ValueError(f"no setting {name!r} with the value {value!r}")
        for name, value in settings.items():
            setattr(self, name, value)

    def script(self, operation: str, *faults: Fault | str | None, order_id: str | None = None) -> None:
        """Let the next requests of an operation fail one after the other; None lets one pass.

        Args:
            operation: one of `FAULT_OPERATIONS`.
            faults: what happens to the next request, the one after it ...; faults or their names.
            order_id: counts only the requests for this order.

        Raises:
            TypeError: something is no fault, no name of one and not None, or the order id is no text.
            ValueError: there is no such operation or fault, the fault does not fit it, or the script is too long.
        """
        _known(operation)
        if order_id is not None and not isinstance(order_id, str):
            raise TypeError(f"order_id is text, not {order_id!r}")
        chosen = [None if fault is None else _fault(fault) for fault in faults]
        for fault in chosen:
            if fault is not None and not _fits(fault, operation):
                raise ValueError(f"{fault.value} does not fit {operation}")
        script = self._scripts.get((operation, order_id), deque())
        if len(script) + len(chosen) > _MAX_SCRIPT:
            raise ValueError(f"a script has at most {_MAX_SCRIPT} entries")
        if chosen:
            script.extend(chosen)
            self._scripts[operation, order_id] = script

    def randomise(
        self,
        *,
        rate: float,
        seed: int,
        operations: Collection[str] | None = None,
        kinds: Collection[Fault | str] | None = None,
    ) -> None:
        """Let a part of all requests fail by chance.

        What happens follows from the seed, the operation, the order id, the idempotency key and the number of the
        attempt alone: not from the order in which concurrent requests arrive. The same work replays the same faults.

        Args:
            rate: the part that fails, from 0 to 1.
            seed: any integer.
            operations: where; None: everywhere.
            kinds: what, faults or their names; None: all but CONNECTION_REFUSED, which also hits requests beside the
                one it is chosen for, and OTHER_AMOUNT_MOVED, which moves another amount than was asked for.

        Raises:
            TypeError: something is no fault and no name of one.
            ValueError: the rate is out of range, there is no such operation, or no kind fits any of the operations.
        """
        if not 0 <= rate <= 1:
            raise ValueError("rate must be from 0 to 1")
        chosen = frozenset(FAULT_OPERATIONS if operations is None else operations)
        for operation in chosen:
            _known(operation)
        wanted = set(Fault) - _ONLY_IF_ASKED if kinds is None else {_fault(kind) for kind in kinds}
        # In the order of the enumeration: a set's own order differs from process to process.
        in_order = tuple(fault for fault in Fault if fault in wanted)
        if not any(_fits(fault, operation) for fault in in_order for operation in chosen):
            raise ValueError("none of these kinds fits any of these operations")
        self._randomness = Randomness(rate=rate, seed=seed, operations=chosen, kinds=in_order)
        self._attempts.clear()

    def clear(self) -> None:
        """Let nothing fail from now on. The counts stay."""
        self._scripts.clear()
        self._randomness = None
        self._attempts.clear()

    @property
    def counts(self) -> Mapping[Fault, int]:
        """How often each kind has happened; what never did is missing."""
        return dict(self._counts)

    @property
    def randomness(self) -> Randomness | None:
        """What `randomise` was told last, or None."""
        return self._randomness

    @property
    def scripts(self) -> Mapping[tuple[str, str | None], tuple[Fault | None, ...]]:
        """What is still to come: (operation, order id or None) → faults."""
        return {key: tuple(script) for key, script in self._scripts.items()}

    @property
    def active(self) -> bool:
        """Whether anything may go wrong at all."""
        return bool(self._scripts) or self._randomness is not None

    def pick(self, operation: str, order_id: str, key: str) -> Fault | None:
        """Say what happens to a request, and count it."""
        decided = self.decide(operation, order_id, key)
        return None if decided is None else decided.fault

    def decide(self, operation: str, order_id: str, key: str) -> Decided | None:
        """Say what happens to a request, and in which variant; count it."""
        for whose in (order_id, None):
            script = self._scripts.get((operation, whose))
            if script:
                fault = script.popleft()
                if not script:
                    del self._scripts[operation, whose]
                # Scripted, the variants come one after the other.
                decided = None if fault is None else Decided(fault, operation, self._counts[fault])
                break
        else:
            decided = self._by_chance(operation, order_id, key)
        if decided is not None:
            self._counts[decided.fault] += 1
        return decided

    def held_for(self, decided: Decided) -> timedelta:
        """Return how long a request is held."""
        return timedelta(seconds=decided.one_of(_HELD_FOR) if self.held_seconds is None else self.held_seconds)

    def lag_of(self, decided: Decided) -> timedelta:
        """Return how long details do not show an entry."""
        return timedelta(seconds=decided.one_of(_LAG) if self.lag_seconds is None else self.lag_seconds)

    def stale_by(self, decided: Decided) -> timedelta:
        """Return how old a view of details is."""
        return timedelta(seconds=decided.one_of(_STALE) if self.stale_seconds is None else self.stale_seconds)

    def copies(self, order_id: str) -> int:
        """Say how often a callback about an order is delivered, and count what goes wrong with it."""
        fault = self.pick("callback", order_id, "")
        return {Fault.CALLBACK_TWICE: 2, Fault.CALLBACK_LOST: 0}.get(fault, 1) if fault is not None else 1

    def _by_chance(self, operation: str, order_id: str, key: str) -> Decided | None:
        randomness = self._randomness
        if randomness is None or operation not in randomness.operations:
            return None
        whose = (operation, order_id, key)
        attempt = self._attempts.get(whose, 0) + 1
        self._attempts[whose] = attempt
        self._attempts.move_to_end(whose)
        if len(self._attempts) > _MAX_COUNTED:
            self._attempts.popitem(last=False)
        fitting = [
            fault
            for fault in randomness.kinds
            if _fits(fault, operation)
            for _ in range(_WEIGHTS.get(_FITTING.get(fault, frozenset()), 1))
        ]
        drawn = repr((randomness.seed, operation, order_id, key, attempt)).encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(drawn, digest_size=24).digest()
        # Three independent numbers: whether, which, and in which variant.
        if not fitting or int.from_bytes(digest[:8], "big") / 2**64 >= randomness.rate:
            return None
        fault = fitting[int.from_bytes(digest[8:16], "big") % len(fitting)]
        return Decided(fault, operation, int.from_bytes(digest[16:], "big"))
