"""What shall go wrong, and when: scripted, or by a seed that replays. Pure: it decides, `interference.py` does it."""

from __future__ import annotations

import enum
import hashlib
from collections import Counter, OrderedDict, deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass

__all__ = ["FAULT_OPERATIONS", "Fault", "Faults", "Randomness"]


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
    #: A callback is delivered twice.
    CALLBACK_TWICE = "CALLBACK_TWICE"
    #: A callback is never sent.
    CALLBACK_LOST = "CALLBACK_LOST"


_CALLBACK_FAULTS = frozenset({Fault.CALLBACK_TWICE, Fault.CALLBACK_LOST})
_MOVES_MONEY = frozenset({"capture", "cancel", "refund"})

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


def _fits(fault: Fault, operation: str) -> bool:
    if operation == "callback":
        return fault in _CALLBACK_FAULTS
    if fault is Fault.LOCKED_94:
        return operation in _MOVES_MONEY
    if fault is Fault.TOKEN_EXPIRED_401:
        return operation != "token"
    return fault not in _CALLBACK_FAULTS


def _known(operation: str) -> None:
    if operation not in FAULT_OPERATIONS:
        raise ValueError(f"{operation!r} is no operation; there are {', '.join(FAULT_OPERATIONS)}")


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
        self._scripts: dict[tuple[str, str | None], deque[Fault | None]] = {}
        self._randomness: Randomness | None = None
        self._attempts: OrderedDict[tuple[str, str, str], int] = OrderedDict()
        self._counts: Counter[Fault] = Counter()

    def script(self, operation: str, *faults: Fault | None, order_id: str | None = None) -> None:
        """Let the next requests of an operation fail one after the other; None lets one pass.

        Args:
            operation: one of `FAULT_OPERATIONS`.
            faults: what happens to the next request, the one after it ...
            order_id: counts only the requests for this order.

        Raises:
            ValueError: there is no such operation, the fault does not fit it, or the script is too long.
        """
        _known(operation)
        for fault in faults:
            if fault is not None and not _fits(fault, operation):
                raise ValueError(f"{fault.value} does not fit {operation}")
        script = self._scripts.get((operation, order_id), deque())
        if len(script) + len(faults) > _MAX_SCRIPT:
            raise ValueError(f"a script has at most {_MAX_SCRIPT} entries")
        if faults:
            script.extend(faults)
            self._scripts[operation, order_id] = script

    def randomise(
        self,
        *,
        rate: float,
        seed: int,
        operations: Collection[str] | None = None,
        kinds: Collection[Fault] | None = None,
    ) -> None:
        """Let a part of all requests fail by chance.

        What happens follows from the seed, the operation, the order id, the idempotency key and the number of the
        attempt alone: not from the order in which concurrent requests arrive. The same work replays the same faults.

        Args:
            rate: the part that fails, from 0 to 1.
            seed: any integer.
            operations: where; None: everywhere.
            kinds: what; None: all but CONNECTION_REFUSED, which also hits requests beside the one it is chosen for.

        Raises:
            ValueError: the rate is out of range, there is no such operation, or no kind fits any of the operations.
        """
        if not 0 <= rate <= 1:
            raise ValueError("rate must be from 0 to 1")
        chosen = frozenset(FAULT_OPERATIONS if operations is None else operations)
        for operation in chosen:
            _known(operation)
        wanted = set(Fault) - {Fault.CONNECTION_REFUSED} if kinds is None else set(kinds)
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
        for whose in (order_id, None):
            script = self._scripts.get((operation, whose))
            if script:
                fault = script.popleft()
                if not script:
                    del self._scripts[operation, whose]
                break
        else:
            fault = self._by_chance(operation, order_id, key)
        if fault is not None:
            self._counts[fault] += 1
        return fault

    def copies(self, order_id: str) -> int:
        """Say how often a callback about an order is delivered, and count what goes wrong with it."""
        fault = self.pick("callback", order_id, "")
        return {Fault.CALLBACK_TWICE: 2, Fault.CALLBACK_LOST: 0}.get(fault, 1) if fault is not None else 1

    def _by_chance(self, operation: str, order_id: str, key: str) -> Fault | None:
        randomness = self._randomness
        if randomness is None or operation not in randomness.operations:
            return None
        whose = (operation, order_id, key)
        attempt = self._attempts.get(whose, 0) + 1
        self._attempts[whose] = attempt
        self._attempts.move_to_end(whose)
        if len(self._attempts) > _MAX_COUNTED:
            self._attempts.popitem(last=False)
        fitting = [fault for fault in randomness.kinds if _fits(fault, operation)]
        drawn = repr((randomness.seed, operation, order_id, key, attempt)).encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(drawn, digest_size=16).digest()
        # Two independent numbers: whether, and which.
        if not fitting or int.from_bytes(digest[:8], "big") / 2**64 >= randomness.rate:
            return None
        return fitting[int.from_bytes(digest[8:], "big") % len(fitting)]
