"""What merchants will ask for in a storm: orders and what is done to them, all of it from a seed."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from random import Random

from attrs import evolve, field, frozen

from vipps_async.idempotency_keys import derive_idempotency_key

__all__ = ["TRADES", "Ask", "Kind", "OrderPlan", "orders"]

#: How large a payment is, in øre: from 50 to 2,000 kroner.
_SMALLEST, _LARGEST = 5_000, 200_000
#: The smallest capture or refund, in øre.
_LEAST = 100
#: How long a caller waits before it cancels its own task, at most, in seconds: from before the first byte to after the
#: last one of most exchanges.
_LONGEST_PATIENCE = 0.03
#: Which part of the captures and refunds is asked for without a key.
_MADE_KEYS = 0.2


class Kind(enum.Enum):
    """What is asked for."""

    CAPTURE = "capture"
    REFUND = "refund"
    CANCEL = "cancel"
    #: A cancel that releases what is left of a partly captured payment.
    RELEASE = "release"

    @property
    def operation(self) -> str:
        """The name of the operation that does it."""
        return "cancel" if self is Kind.RELEASE else self.value

    @property
    def keyed(self) -> bool:
        """Whether Vipps knows an idempotency key for it."""
        return self in {Kind.CAPTURE, Kind.REFUND}


@frozen(kw_only=True)
class Ask:
    """One thing that a merchant wants done once."""

    #: Its place among those of its order: it tells them apart.
    number: int
    kind: Kind
    #: Øre; None: all that remains, or no amount at all.
    amount: int | None = None
    #: How often its caller comes back with it, and the same key, while its outcome is not known.
    repeats: int = 0
    #: After how many seconds the caller cancels its own task, the first time; None: never.
    cancelled_after: float | None = None
    #: Whether two tasks ask for it at once, with the same key.
    by_two: bool = False
    #: Whether its caller, told that no money moved, asks for it anew, with another key.
    anew: bool = False
    #: Whether it is asked for without a key, so that the library makes one; then nobody comes back with it.
    made_key: bool = False
    #: The number of an earlier ask whose key it takes by mistake. It is asked only if that one was done, and must never
    #: move anything.
    with_key_of: int | None = None
    #: The API that it is asked over, and the one that it is asked anew over.
    api: str = "ecom"
    anew_api: str = "ecom"
    #: Whether its caller, told that its outcome is not known, asks for it anew all the same, as nobody should. No seed
    #: plans it: once the first is settled, nothing keeps the second from being carried out.
    rash: bool = False

    @property
    def text(self) -> str:
        """Its name, unique in its order: with eCom the transaction text, which the history has whatever the key."""
        return f"{self.kind.value} {self.number}"

    def key(self, seed: int, order_id: str, *, anew: bool = False) -> str | None:
        """Its idempotency key, the same in each run of the same plan; `anew`: the one to ask anew with."""
        if not self.kind.keyed or self.made_key:
            return None
        number = self.number if self.with_key_of is None else self.with_key_of
        return derive_idempotency_key("storm", seed, order_id, number, *(["anew"] if anew else []))


@frozen(kw_only=True)
class OrderPlan:
    """One payment and what its merchant will do with it."""

    number: int
    #: Øre.
    amount: int
    #: Done one after the other; the asks of one step at the same time.
    steps: tuple[tuple[Ask, ...], ...]
    #: The API that the payment is made by.
    api: str = "ecom"

    @property
    def captures(self) -> int:
        """How many captures it asks for."""
        return sum(ask.kind is Kind.CAPTURE for step in self.steps for ask in step)


@frozen
class _Draft:
    """An order that is being planned."""

    random: Random
    #: The APIs that its payment can be adjusted over.
    apis: tuple[str, ...]
    steps: list[tuple[Ask, ...]] = field(factory=list)

    def add(self, kind: Kind, *amounts: int | None, given_key: bool = False, with_key_of: int | None = None) -> None:
        """Add one step; `given_key`: always with the one key, neither made by the library nor another one later."""
        first = sum(map(len, self.steps)) + 1
        self.steps.append(
            tuple(
                self._ask(
                    Ask(number=first + index, kind=kind, amount=amount, with_key_of=with_key_of),
                    given_key=given_key or with_key_of is not None,
                )
                for index, amount in enumerate(amounts)
            )
        )

    def _ask(self, ask: Ask, *, given_key: bool) -> Ask:
        draw, keyed = self.random.random, ask.kind.keyed
        ask = self._over(ask)
        ask = evolve(ask, cancelled_after=draw() * _LONGEST_PATIENCE if draw() < 0.04 else None)
        if keyed and not given_key and draw() < _MADE_KEYS:
            # Asked for a second time without a key, it would be another wish once the first is settled.
            return evolve(ask, made_key=True)
        return evolve(
            ask,
            repeats=self.random.choice((0, 0, 1, 2)),
            # The key of what is asked anew may be one that Vipps has never seen: it belongs to no payload then.
            anew=keyed and not given_key and draw() < 0.5,
            # Two who compute at once what is left are two operations under one key, and one of them is refused.
            by_two=keyed and draw() < 0.03 and (ask.amount is not None or ask.api == "ecom"),
        )

    def _over(self, ask: Ask) -> Ask:
        if len(self.apis) == 1:
            return evolve(ask, api=self.apis[0], anew_api=self.apis[0])
        # A key is one of its API: only there it can be taken by mistake.
        same = [other.api for step in self.steps for other in step if other.number == ask.with_key_of]
        return evolve(ask, api=self.random.choice(same or self.apis), anew_api=self.random.choice(self.apis))


def _whole(draft: _Draft, amount: int) -> None:
    draft.add(Kind.CAPTURE, draft.random.choice((None, amount)))


def _parts(draft: _Draft, amount: int) -> None:
    count = draft.random.randint(2, 3)
    parts = [draft.random.randint(_LEAST, amount // count) for _ in range(count)]
    if draft.random.random() < 0.3:
        draft.add(Kind.CAPTURE, *parts)
    else:
        for part in parts:
            draft.add(Kind.CAPTURE, part)


def _parts_and_rest(draft: _Draft, amount: int) -> None:
    _parts(draft, amount)
    draft.add(Kind.CAPTURE, None)


def _refunded(draft: _Draft, amount: int) -> None:
    draft.random.choice((_whole, _parts))(draft, amount)
    draft.add(Kind.REFUND, draft.random.randint(_LEAST, amount // 4))
    if draft.random.random() < 0.5:
        draft.add(Kind.REFUND, draft.random.choice((None, draft.random.randint(_LEAST, amount // 4))))


def _cancelled(draft: _Draft, _amount: int) -> None:
    draft.add(Kind.CANCEL, None)


def _released(draft: _Draft, amount: int) -> None:
    draft.add(Kind.CAPTURE, draft.random.randint(_LEAST, amount // 2))
    draft.add(Kind.RELEASE, None)


def _too_much(draft: _Draft, amount: int) -> None:
    draft.add(Kind.CAPTURE, amount + draft.random.randint(1, amount))
    draft.add(Kind.CAPTURE, amount // 2)
    draft.add(Kind.REFUND, amount)


def _same_key_by_mistake(draft: _Draft, amount: int) -> None:
    draft.add(Kind.CAPTURE, amount // 4, given_key=True)
    draft.add(Kind.CAPTURE, amount // 2, with_key_of=1)


_SHAPES = {
    _whole: 3,
    _parts: 3,
    _parts_and_rest: 3,
    _refunded: 5,
    _cancelled: 1,
    _released: 2,
    _too_much: 1,
    _same_key_by_mistake: 1,
}


#: What is traded over → for a payment, by equal chance: the API that it is made by, and those that adjust it.
TRADES = {
    "ecom": (("ecom", ("ecom",)),),
    "epayment": (("epayment", ("epayment",)),),
    # The bridge between them leads one way only.
    "both": (("ecom", ("ecom", "epayment")), ("ecom", ("ecom", "epayment")), ("epayment", ("epayment",))),
}


def orders(seed: int, captures: int, api: str = "ecom") -> Iterator[OrderPlan]:
    """Plan orders until so many captures are asked for; the same seed plans the same ones.

    Args:
        seed: plans them.
        captures: how many.
        api: what is traded over, one of `TRADES`.
    """
    planned = number = 0
    while planned < captures:
        random = Random(f"{seed} {number}")
        amount = random.randint(_SMALLEST, _LARGEST)
        made_by, apis = random.choice(TRADES[api]) if len(TRADES[api]) > 1 else TRADES[api][0]
        draft = _Draft(random, apis)
        (shape,) = random.choices(list(_SHAPES), list(_SHAPES.values()))
        shape(draft, amount)
        plan = OrderPlan(number=number, amount=amount, steps=tuple(draft.steps), api=made_by)
        yield plan
        planned += plan.captures
        number += 1
