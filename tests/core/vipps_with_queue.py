"""A small model of a Vipps with a queue before it: what attempts under one key do, and what is told of them.

It knows nothing of verdicts. An attempt is sent, and is delivered at once, later (within `HELD_BELOW` seconds) or
never. What is delivered succeeds, fails with an entry in the history, or is refused by the rules of money. The history
shows each entry some time after it was made.
"""

from __future__ import annotations

import enum
import heapq
import itertools
from collections.abc import Iterator

from attrs import define, field, frozen

__all__ = ["HELD_BELOW", "LAG_AT_MOST", "Attempt", "Course", "Kind", "Told", "World", "let_pass"]

#: A held request arrives before so many seconds have passed since it was sent.
HELD_BELOW = 86_400.0
#: An entry appears in the history this many seconds after it was made, at the latest.
LAG_AT_MOST = 60.0

RESERVED, AMOUNT = 100, 60


class Kind(enum.Enum):
    """The operation that is attempted."""

    CAPTURE = "capture"
    REFUND = "refund"
    #: A cancel that does not ask to release the rest: what is captured excludes it, and it excludes what is captured.
    CANCEL = "cancel"


class Told(enum.Enum):
    """What the sender of one attempt learns of it."""

    NEVER_LEFT = "never left"
    SUCCESS = "success"
    REFUSED_NOW = "refused for a reason that can pass"
    REFUSED_FOR_GOOD = "refused for a reason that cannot change"
    NOTHING = "nothing that settles it"


@frozen
class Attempt:
    """One attempt: when it was begun, and what becomes of it. Times are in seconds."""

    at: float
    #: How long it is held; None: for ever.
    held: float | None = 0.0
    leaves: bool = True
    #: Whether Vipps fails with it: an entry without success.
    fails: bool = False
    #: Whether its answer arrives; that of a held one never does.
    answered: bool = True


@frozen
class World:
    """What happens to the payment beside the attempts. Times are in seconds; None: never."""

    #: When there is money to move: reserved for a capture, captured for a refund.
    funded_at: float = -1.0
    #: When an equal operation under another key takes its part of it.
    rival_at: float | None = None
    #: When the time is over within which Vipps takes such operations at all.
    closes_at: float | None = None
    lag: float = 0.0


@frozen
class Course:
    """What came of it all."""

    told: tuple[Told, ...]
    #: When each entry under the key can be seen, and whether it is a success.
    entries: tuple[tuple[float, bool], ...]
    #: When money moved, or the payment was cancelled, each time.
    moved_at: tuple[float, ...]
    #: When the history shows a capture, which excludes a plain cancel; None: never.
    captured_seen_at: float | None = None

    def seen(self, now: float) -> tuple[bool, int, bool]:
        """What the history shows of the key: whether it succeeded, how many failures, whether something is captured."""
        shown = [success for visible_at, success in self.entries if visible_at <= now]
        is_captured = self.captured_seen_at is not None and self.captured_seen_at <= now
        return any(shown), shown.count(False), is_captured


@define
class _Payment:
    kind: Kind
    reserved: int = 0
    captured: int = 0
    refunded: int = 0
    cancelled: bool = False
    done: set[str] = field(factory=set)

    def fund(self) -> None:
        self.reserved = RESERVED
        if self.kind is Kind.REFUND:
            self.captured = RESERVED

    def move(self, key: str) -> bool:
        if self.kind is Kind.CANCEL:
            if not self.reserved or self.cancelled or self.captured:
                return False
            if key == "key":
                self.cancelled = True
            else:
                self.captured = AMOUNT
        elif self.kind is Kind.CAPTURE:
            if self.captured + AMOUNT > self.reserved:
                return False
            self.captured += AMOUNT
        else:
            if self.refunded + AMOUNT > self.captured:
                return False
            self.refunded += AMOUNT
        self.done.add(key)
        return True


def let_pass(kind: Kind, world: World, attempts: tuple[Attempt, ...]) -> Course:  # noqa: C901, PLR0912 - told in order
    """Let everything happen in its order."""
    payment, told, entries, moved = _Payment(kind), [Told.NOTHING] * len(attempts), list[tuple[float, bool]](), []
    captured_seen_at = None
    for at, what in _in_order(world, attempts):
        if what == "fund":
            payment.fund()
        elif what == "rival":
            if payment.move("another key") and kind is Kind.CANCEL:
                captured_seen_at = at + world.lag
        else:
            attempt = attempts[int(what)]
            outcome = Told.NOTHING
            if "key" in payment.done:
                # The stored answer; a cancel has no key, and is told that it was processed before.
                outcome = Told.NOTHING if kind is Kind.CANCEL else Told.SUCCESS
            elif attempt.fails:
                entries.append((at + world.lag, False))
            elif world.closes_at is not None and at >= world.closes_at:
                outcome = Told.REFUSED_FOR_GOOD
            elif payment.move("key"):
                outcome = Told.SUCCESS
                entries.append((at + world.lag, True))
                moved.append(at)
            else:
                outcome = Told.REFUSED_NOW
            if attempt.answered and not attempt.held:
                told[int(what)] = outcome
    for number, attempt in enumerate(attempts):
        if not attempt.leaves:
            told[number] = Told.NEVER_LEFT
    return Course(tuple(told), tuple(entries), tuple(moved), captured_seen_at)


def _in_order(world: World, attempts: tuple[Attempt, ...]) -> Iterator[tuple[float, str]]:
    numbers = itertools.count()
    queue: list[tuple[float, int, str]] = [(world.funded_at, next(numbers), "fund")]
    if world.rival_at is not None:
        queue.append((world.rival_at, next(numbers), "rival"))
    for number, attempt in enumerate(attempts):
        if attempt.leaves and attempt.held is not None:
            queue.append((attempt.at + attempt.held, next(numbers), str(number)))
    heapq.heapify(queue)
    while queue:
        at, _, what = heapq.heappop(queue)
        yield at, what
