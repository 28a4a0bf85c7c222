"""The open operations of a journal that recovery may send again: counts them, lists them, and asks before it does."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import TypeAlias

from attrs import field, mutable

from vipps_async.apis import APIS, passed_over, session_api
from vipps_async.cli.confirmation import ask, is_asked, telling_if_cut_off
from vipps_async.cli.journal_text import about, takes_all
from vipps_async.cli.output import plain, say
from vipps_async.config import Settings
from vipps_async.core.batch import BatchOperation
from vipps_async.core.payment_api import PaymentState
from vipps_async.errors import VippsError
from vipps_async.journals.entries import Entry, Intent
from vipps_async.journals.protocol import Journal
from vipps_async.money import format_amount
from vipps_async.session import VippsSession

#: Operations that are named; `journal list --open` has all of them.
_MOST_NAMED = 20
#: Payments that Vipps is asked about, and for how long, in seconds: somebody waits for the question.
_MOST_LOOKED_UP, _PATIENCE = 5, 10.0
#: What follows from a no, and from Ctrl-C at the question.
_DECLINED = "Nothing was sent by this command; what is open may have moved money all the same."

#: Payments as Vipps has them, by API and id; None: it did not answer.
States: TypeAlias = Mapping[tuple[str, str], PaymentState | None]


def may_send(entry: Entry) -> bool:
    """Tell whether recovery may send an open entry again, and so move money.

    What makes a payment never is, nor what was refused or dropped, nor what the journal keeps no body of.
    """
    return entry.intent.adjusts and entry.intent.body is not None and not entry.attempts.refusal


async def refuse_other_vipps(journal: Journal) -> None:
    """Refuse a journal of another Vipps before anything in it is named: it concerns nobody here.

    Raises:
        JournalError: it has the facts of another Vipps, or a sandbox does not say which one it is.
    """
    async with VippsSession.from_env(journal=journal):
        pass


# --- all that remains -------------------------------------------------------------------------------------------------


async def look_up(intents: Sequence[Intent]) -> States:
    """Ask Vipps about the payments of operations that take all that remains, of the first ones of them."""
    named = dict.fromkeys((intent.api, intent.payment) for intent in intents if takes_all(intent))
    looked_up = [(api, payment) for api, payment in named if api in APIS][:_MOST_LOOKED_UP]
    if not looked_up:
        return {}
    async with VippsSession.from_env() as vipps:

        async def read(name: str, payment: str) -> PaymentState | None:
            api = APIS[name]
            with contextlib.suppress(VippsError, TimeoutError):
                async with asyncio.timeout(_PATIENCE):
                    return await api.read_state(session_api(vipps, api).batch.runner, payment)
            return None

        states = await asyncio.gather(*(read(*key) for key in looked_up))
    return dict(zip(looked_up, states, strict=True))


def _left(intent: Intent, states: States) -> int | None:
    """Return how much an operation that takes all that remains would move now; None: that is not known."""
    state = states.get((intent.api, intent.payment))
    if state is None:
        return None
    # What Vipps has done under this key is not sent again.
    is_done = state.has_done(intent.operation, intent.key) is not None
    return 0 if is_done else state.remaining(BatchOperation(intent.operation))


def name_open(intent: Intent, states: States) -> str:
    """Name an open operation on one line, with the sum that "all that remains" stands for now.

    Args:
        intent: what was begun.
        states: what Vipps has of its payment, as `look_up` found it.
    """
    if not takes_all(intent):
        return about(intent)
    state, left = states.get((intent.api, intent.payment)), _left(intent, states)
    known = " (the sum is not known)"
    if state is not None and (done := state.has_done(intent.operation, intent.key)) is not None:
        known = f" (Vipps has it as done, {format_amount(done.amount, state.currency)})"
    elif left is not None:
        known = f" ({format_amount(left, intent.currency)} now)"
    return about(intent, known=known)


# --- what is open -----------------------------------------------------------------------------------------------------


@mutable(kw_only=True)
class _Sum:
    count: int = 0
    #: Of how many: those that name an amount, and those that take all that remains. A cancel does neither.
    names_amount: int = 0
    takes_all: int = 0
    #: Minor units, of those that name an amount.
    amount: int = 0
    #: The first of those that take all that remains.
    all_of: list[Intent] = field(factory=list)

    def text(self, operation: str, currency: str, states: States | None) -> str:
        parts = []
        if self.names_amount:
            parts.append(format_amount(self.amount, currency))
        if self.takes_all:
            of = "" if self.takes_all == 1 else f" of {self.takes_all:,}"
            parts.append(f"all that remains{of}{'' if states is None else self._sum_of_all(currency, states)}")
        money = f" of {' and '.join(parts)}" if parts else ""
        return f"{self.count:,} {plain(operation)}{'' if self.count == 1 else 's'}{money}"

    def _sum_of_all(self, currency: str, states: States) -> str:
        # Two of one payment take its rest once.
        left = {(intent.api, intent.payment): _left(intent, states) for intent in self.all_of}
        known = [amount for amount in left.values() if amount is not None]
        if len(known) < len(left) or len(self.all_of) < self.takes_all:
            return " (the sum is not known)"
        return f" ({format_amount(sum(known), currency)} now)"


@mutable(kw_only=True)
class OpenOperations:
    """What is open of one sales unit; memory does not grow with it."""

    count: int = 0
    #: How many of them recovery may send again.
    to_send: int = 0
    #: The first of those.
    named: list[Intent] = field(factory=list)
    sums: dict[tuple[str, str], _Sum] = field(factory=dict)

    def add(self, entry: Entry) -> None:
        """Count an open entry."""
        self.count += 1
        if not may_send(entry):
            return
        self.to_send += 1
        if len(self.named) < _MOST_NAMED:
            self.named.append(entry.intent)
        self._add_sum(entry.intent)

    def _add_sum(self, intent: Intent) -> None:
        found = self.sums.setdefault((intent.operation, intent.currency), _Sum())
        found.count += 1
        if intent.amount is not None:
            found.names_amount += 1
            found.amount += intent.amount
        elif takes_all(intent):
            found.takes_all += 1
            if len(found.all_of) < _MOST_NAMED:
                found.all_of.append(intent)

    @property
    def all_of(self) -> list[Intent]:
        """The first of those that take all that remains."""
        return [intent for found in self.sums.values() for intent in found.all_of]

    def lines(self, states: States | None = None) -> str:
        """Name what may be sent again, one line each; `states`: what Vipps has of the payments, if it was asked."""
        more = self.to_send - len(self.named)
        named = [about(intent) if states is None else name_open(intent, states) for intent in self.named]
        shown = [*named, *([f"... and {more:,} more: vipps-async journal list --open"] if more else [])]
        return "\n".join(f"  {line}" for line in shown)

    def sum_text(self, states: States | None = None) -> str:
        """Add up on one line what may be sent again, such as ``2 captures of 150.00 NOK and 1 cancel``."""
        return " and ".join(found.text(*key, states) for key, found in self.sums.items())


async def find_open(
    journal: Journal, merchant_serial_number: str, *, besides: Intent | None = None, leave: Collection[str] = ()
) -> OpenOperations:
    """Count what is open of a sales unit, and name what recovery may send again.

    Args:
        journal: an open journal.
        merchant_serial_number: the sales unit.
        besides: an operation that is left out; None: there is none.
        leave: payments that are left out.

    Raises:
        JournalError: the journal cannot be read.
    """
    found, ignored = OpenOperations(), passed_over()
    async for entry in journal.open_entries(merchant_serial_number=merchant_serial_number):
        is_left_out = besides is not None and entry.intent.identity == besides.identity
        is_left_out = is_left_out or entry.intent.payment in leave
        if entry.intent.operation not in ignored and not is_left_out:
            found.add(entry)
    return found


async def open_of_others(journal: Journal, merchant_serial_number: str) -> dict[str, int]:
    """Count what is open of all other sales units, by sales unit.

    Raises:
        JournalError: the journal cannot be read.
    """
    counts: Counter[str] = Counter()
    ignored = passed_over()
    async for entry in journal.open_entries():
        if entry.intent.operation not in ignored:
            counts[entry.intent.merchant_serial_number] += 1
    return {unit: count for unit, count in sorted(counts.items()) if unit != merchant_serial_number}


# --- the question -----------------------------------------------------------------------------------------------------


async def agree_to_settle(found: OpenOperations, settings: Settings, *, yes: bool, quiet: bool = False) -> int | None:
    """Name what recovery may send again, and in production ask whether to go on; see `ask`.

    Where nothing may be sent, nothing is said and nobody asked. `quiet`: nor is it where nobody is asked.
    """
    if not found.to_send:
        return None
    named = "Open in the journal; what Vipps does not have of it is sent again, under its own key:"
    if not quiet and not is_asked(settings, yes=yes):
        say(f"{named}\n{found.lines()}")

    async def what() -> str:
        # Whoever confirms "all that remains" should know how much that is.
        states = await look_up(found.all_of)
        say(f"{named}\n{found.lines(states)}")
        return f"Settle {found.sum_text(states)}"

    return await ask_about_open(what, settings, yes=yes)


async def ask_about_open(what: Callable[[], Awaitable[str]], settings: Settings, *, yes: bool) -> int | None:
    """Ask about operations that are open, whose own sending may have moved money before; see `ask`."""
    with telling_if_cut_off(_DECLINED):
        return await ask(what, settings, yes=yes, keeps_journal=True, declined=_DECLINED)
