"""Schedules faults: scripted, or drawn from a seed that replays. `fault_injection.py` applies them."""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta

from vipps_async.sandbox.wire.fault import KINDS, ONLY_IF_ASKED, WEIGHTS, Decided, Fault, Kind

#: Seconds that random faults draw from: how long a request is held, an entry is missing, a view is stale.
_HELD_FOR, _LAG, _STALE = (1.0, 10.0, 60.0, 600.0, 7200.0), (0.5, 2.0, 10.0, 30.0), (0.5, 2.0, 10.0, 60.0)

#: The longest that anything lasts, in seconds: a year.
_LONGEST = 365 * 86_400
#: Attempts that are counted for each key; beyond that the least recently used are dropped, so that memory is bounded.
_MAX_COUNTED = 200_000
#: Entries of one script; a script is written by hand.
_MAX_SCRIPT = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Randomness:
    """The settings of random faults."""

    #: The share of requests that fails, from 0 to 1.
    rate: float
    seed: int
    operations: frozenset[str]
    kinds: tuple[Fault, ...]


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
}


def _is_never(_: object) -> bool:
    return False


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
    """Schedules faults. A script takes precedence over random faults, and one for an order over one for all orders.

    Args:
        operations: which operations there are, and of what kind each is.
        groups: what `unsettled_group` can choose from.
    """

    def __init__(self, operations: Mapping[str, Kind] = KINDS, groups: Collection[str] = ()) -> None:
        #: The operations that faults can be given to; "callback" is what Vipps sends to the merchant.
        self.operations = operations
        self._groups = groups
        #: Seconds that a stalled request is held: longer than any client's time-out.
        self.stall_seconds: float = 60.0
        #: Seconds over which a dripping answer is spread.
        self.drip_seconds: float = 2.0
        #: Whole seconds of `Retry-After`.
        self.retry_after = 1
        #: Seconds that the listener stays closed.
        self.refusal_seconds: float = 0.2
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
        #: Operation → the faults that may be drawn, each as often as its weight.
        self._fitting: dict[str, list[Fault]] = {}
        self._attempts: OrderedDict[tuple[str, str, str], int] = OrderedDict()
        self._counts: Counter[Fault] = Counter()

    @property
    def settings(self) -> Mapping[str, float | str | None]:
        """Durations in seconds and chosen variants of faults, by name."""
        return {name: getattr(self, name) for name in (*_SETTINGS, "unsettled_group")}

    def configure(self, settings: Mapping[str, object]) -> None:
        """Set some of the `settings`.

        Raises:
            ValueError: there is no such setting, or it cannot have such a value; nothing was set.
        """
        for name, value in settings.items():
            good = _SETTINGS.get(name, self._can_be_group if name == "unsettled_group" else _is_never)
            if not good(value):
                raise ValueError(f"no setting {name!r} with the value {value!r}")
        for name, value in settings.items():
            setattr(self, name, value)

    def script(self, operation: str, *faults: Fault | str | None, order_id: str | None = None) -> None:
        """Schedule faults for the next requests of an operation, one for each; None lets a request pass.

        Args:
            operation: one of `operations`.
            faults: for the next request, the one after it, and so on; faults or their names.
            order_id: counts only the requests for this order.

        Raises:
            TypeError: something is no fault, no name of one and not None, or the order id is no text.
            ValueError: there is no such operation or fault, the fault does not fit it, or the script is too long.
        """
        self._known(operation)
        if order_id is not None and not isinstance(order_id, str):
            raise TypeError(f"order_id is text, not {order_id!r}")
        chosen = [None if fault is None else _fault(fault) for fault in faults]
        for fault in chosen:
            if fault is not None and not self._fits(fault, operation):
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
        """Let a part of all requests fail, chosen by a seed.

        What happens follows from the seed, the operation, the order id, the idempotency key and the number of the
        attempt alone: not from the order in which concurrent requests arrive. The same work replays the same faults.

        Args:
            rate: the share that fails, from 0 to 1.
            seed: any integer.
            operations: the operations that may fail; None: all.
            kinds: the faults that occur, or their names; None: all but CONNECTION_REFUSED, which also hits other
                requests than the one it is chosen for, and OTHER_AMOUNT_MOVED, which moves another amount than was
                asked for.

        Raises:
            TypeError: something is no fault and no name of one.
            ValueError: the rate is out of range, there is no such operation, or no kind fits any of the operations.
        """
        if not 0 <= rate <= 1:
            raise ValueError("rate must be from 0 to 1")
        chosen = frozenset(self.operations if operations is None else operations)
        for operation in chosen:
            self._known(operation)
        wanted = set(Fault) - ONLY_IF_ASKED if kinds is None else {_fault(kind) for kind in kinds}
        # In the order of the enumeration: a set's own order differs from process to process.
        in_order = tuple(fault for fault in Fault if fault in wanted)
        fitting = {
            operation: [
                fault for fault in in_order if self._fits(fault, operation) for _ in range(WEIGHTS.get(fault.kinds, 1))
            ]
            for operation in chosen
        }
        if not any(fitting.values()):
            raise ValueError("none of these kinds fits any of these operations")
        self._fitting = fitting
        self._randomness = Randomness(rate=rate, seed=seed, operations=chosen, kinds=in_order)
        self._attempts.clear()

    def clear(self) -> None:
        """Remove all scripts and random faults. The counts stay."""
        self._scripts.clear()
        self._randomness = None
        self._attempts.clear()

    @property
    def counts(self) -> Mapping[Fault, int]:
        """How often each fault has occurred; a fault that never did is missing."""
        return dict(self._counts)

    @property
    def randomness(self) -> Randomness | None:
        """The arguments of the last `randomise`; None: no random faults."""
        return self._randomness

    @property
    def scripts(self) -> Mapping[tuple[str, str | None], tuple[Fault | None, ...]]:
        """The scripted faults that have not occurred yet: (operation, order id or None) → faults."""
        return {key: tuple(script) for key, script in self._scripts.items()}

    @property
    def active(self) -> bool:
        """Whether any fault is scheduled."""
        return bool(self._scripts) or self._randomness is not None

    def pick(self, operation: str, order_id: str, key: str) -> Fault | None:
        """Return the fault of a request, and count it; None: it has none."""
        decided = self.decide(operation, order_id, key)
        return None if decided is None else decided.fault

    def decide(self, operation: str, order_id: str, key: str) -> Decided | None:
        """Return the fault of a request with its variant, and count it; None: it has none."""
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

    def _fits(self, fault: Fault, operation: str) -> bool:
        return self.operations[operation] in fault.kinds

    def _known(self, operation: str) -> None:
        if operation not in self.operations:
            raise ValueError(f"{operation!r} is no operation; there are {', '.join(self.operations)}")

    def _can_be_group(self, value: object) -> bool:
        return value is None or value in self._groups

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
        """Return how often a callback about an order is delivered, and count the fault if there is one."""
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
        fitting = self._fitting[operation]
        drawn = repr((randomness.seed, operation, order_id, key, attempt)).encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(drawn, digest_size=24).digest()
        # Three independent numbers: whether, which, and in which variant.
        if not fitting or int.from_bytes(digest[:8], "big") / 2**64 >= randomness.rate:
            return None
        fault = fitting[int.from_bytes(digest[8:16], "big") % len(fitting)]
        return Decided(fault, operation, int.from_bytes(digest[16:], "big"))
