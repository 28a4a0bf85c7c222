"""Holds what was asked, what was told, what the journal says and what moved against each other, to the øre."""

from __future__ import annotations

import enum
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson
from attrs import evolve, field, frozen, mutable

from tests.faults.attempts import Attribution
from vipps_async import Effect, Entry, Intent, Journal, JournalError, Outcome, VippsError
from vipps_async.errors import CancelError, CaptureError, IdempotencyMismatchError, OrderLockedError, RefundError

__all__ = ["Asked", "Audit", "Moved", "Noted", "Paid", "Told", "Verdict", "audit", "noted_in", "told_by_error"]

#: How many violations are told in words; the rest is counted.
_MOST_WORDS = 20
#: What the journal calls an operation of ePayment that eCom calls otherwise.
_ECOM_NAMES = {"create": "initiate"}
#: Any number of entries.
_ALL = 2**31
#: Operation → what it leaves in the history of a payment.
_TRACES = {
    "capture": frozenset({"CAPTURE"}),
    "refund": frozenset({"REFUND"}),
    "cancel": frozenset({"CANCEL", "VOID"}),
    "initiate": frozenset({"INITIATE"}),
}
#: The other way round.
_NAMES = {trace: operation for operation, traces in _TRACES.items() for trace in traces}
#: How the advice begins where the journal did not answer in time, or not before the lease had run out.
_OF_JOURNAL = ("it had no effect, but the journal could not note that", "another worker, or recovery, has taken this")


class Verdict(enum.Enum):
    """What a caller is told."""

    DONE = "done"
    #: Refused for good: neither this call nor an earlier one with its key has done anything.
    REFUSED = "refused"
    #: This call has done nothing; it says nothing of an earlier one.
    NO_EFFECT = "no effect"
    UNKNOWN = "unknown"
    #: The caller did not wait for the answer.
    CANCELLED = "cancelled"


@frozen
class Told:
    """What a caller was told, once."""

    verdict: Verdict
    #: Øre that moved, if it was done and the answer says so.
    amount: int | None = None
    #: The class of the error.
    error: str = ""
    #: The name of its effect.
    effect: str = ""
    #: The number of the call, as the attempts have it; calls of one operation are numbered in their order.
    call: int = 0
    #: Whether an attempt of the call was neither refused in its own right nor kept from leaving.
    doubtful: bool = True
    #: Whether somebody else had leased the operation, who may have been in doubt at that moment.
    leased_elsewhere: bool = False
    #: Whether the doubt came from the journal, which did not answer in time, as the error says.
    by_journal: bool = False
    #: When the call ended, by the same count as its number.
    ended: int = 0
    #: The API that it was asked over.
    api: str = "ecom"
    #: The idempotency keys that the library made for the call; noted for ePayment alone.
    made_keys: tuple[str, ...] = ()


_REFUSALS = (CaptureError, RefundError, CancelError, IdempotencyMismatchError)


def told_by_error(error: VippsError) -> Told:
    """Read from an error what it tells of the money: as an application would, by its effect and class alone."""
    verdict = Verdict.UNKNOWN
    if error.effect is Effect.NONE:
        verdict = Verdict.REFUSED if isinstance(error, _REFUSALS) else Verdict.NO_EFFECT
    # Vipps' own lock has a status.
    leased_elsewhere = isinstance(error, OrderLockedError) and error.status == 0
    by_journal = isinstance(error, JournalError) or error.advice.startswith(_OF_JOURNAL)
    return Told(
        verdict,
        error=type(error).__name__,
        effect=error.effect.name,
        leased_elsewhere=leased_elsewhere,
        by_journal=by_journal,
    )


@mutable(kw_only=True)
class Asked:
    """One operation that was asked for, and all that its callers were told."""

    order_id: str
    operation: str
    #: What no other operation on the order has; with eCom it is the transaction text.
    text: str
    #: The API that it is asked over now.
    api: str = "ecom"
    #: None: Vipps knows no key for it.
    key: str | None = None
    #: Øre; None: all that remains, or no amount at all.
    amount: int | None = None
    #: Whether it must not move anything, whatever happens.
    forbidden: bool = False
    told: list[Told] = field(factory=list)
    #: Keys that it was asked for with before its caller, told that no money moved, took another one.
    earlier_keys: list[str | None] = field(factory=list)
    #: How many of the calls were made with those.
    told_before: int = 0

    def ask_anew(self, key: str | None, api: str = "ecom") -> None:
        """Take another key, and perhaps another API."""
        self.earlier_keys.append(self.key)
        self.key = key
        self.api = api
        self.told_before = len(self.told)

    @property
    def keys(self) -> set[str]:
        """All idempotency keys that it was asked for with, as far as they are known."""
        given = {key for key in (self.key, *self.earlier_keys) if key is not None}
        return given.union(*(told.made_keys for told in self.told))

    @property
    def verdict(self) -> Verdict:
        """What its callers know in the end."""
        now = self.told[self.told_before :]
        verdicts = [told.verdict for told in now]
        if Verdict.DONE in verdicts:
            return Verdict.DONE
        # A cancel has no key: that one was refused says nothing of the one before it.
        if Verdict.REFUSED in verdicts and (self.key is not None or len(set(verdicts)) == 1):
            return Verdict.UNKNOWN if self._begun_again(now) else Verdict.REFUSED
        return Verdict.NO_EFFECT if not {Verdict.UNKNOWN, Verdict.CANCELLED} & set(verdicts) else Verdict.UNKNOWN

    def _begun_again(self, now: list[Told]) -> bool:
        """Whether a call after the last refusal, which may have begun it again with the same key, was left in doubt.

        Most refusals pass (72 when something is captured), so a key that was refused may be used again, and a twin does
        so that was told that the other one has leased it. Being told that is no such call: it did nothing itself.
        """
        refused = max(told.call for told in now if told.verdict is Verdict.REFUSED)
        return any(
            told.call > refused and told.verdict in {Verdict.UNKNOWN, Verdict.CANCELLED} and not told.leased_elsewhere
            for told in now
        )


@frozen
class Moved:
    """A successful entry in the sandbox's history."""

    operation: str
    #: Øre.
    amount: int
    text: str
    key: str
    #: The number of the call whose request moved it; 0: a recovery's; None: not known.
    call: int | None = None
    #: Whether an answer to it named another amount.
    lied: bool = False


@frozen(kw_only=True)
class Paid:
    """A payment as the sandbox has it. Amounts in øre."""

    order_id: str
    amount: int
    captured: int
    refunded: int
    moved: tuple[Moved, ...]

    @classmethod
    def of(cls, snapshot: Any, known: Attribution | None = None) -> Paid:
        """Take from a snapshot of the sandbox what matters here, and what `attributing` noted."""
        known = known or Attribution()
        return cls(
            order_id=snapshot.order_id,
            amount=snapshot.amount,
            captured=snapshot.captured,
            refunded=snapshot.refunded,
            moved=tuple(
                Moved(
                    entry.operation,
                    entry.amount,
                    entry.text,
                    entry.request_id,
                    known.moved_by.get(entry.transaction_id),
                    (_NAMES.get(entry.operation, ""), snapshot.order_id, entry.request_id) in known.lies,
                )
                for entry in snapshot.history
                if entry.success
            ),
        )


@frozen(kw_only=True)
class Noted:
    """What the journal has of one operation."""

    key: str
    order_id: str
    operation: str
    text: str
    #: None: it is open.
    outcome: Outcome | None
    #: Øre that the recorded answer says; None if it has none.
    amount: int | None
    #: Why it is open, for people.
    note: str = ""

    @classmethod
    def of(cls, entry: Entry) -> Noted:
        """Take from an entry what matters here."""
        intent, settlement = entry.intent, entry.settlement
        answer: Any = orjson.loads(settlement.answer) if settlement is not None and settlement.answer else {}
        transaction = answer.get("transactionInfo") or answer.get("transaction") or {}
        # ePayment's answers, as they are recorded, have an amount of money.
        moved = answer.get("amount", {}).get("value")
        return cls(
            key=intent.key,
            order_id=intent.payment,
            operation=_ECOM_NAMES.get(intent.operation, intent.operation),
            text=_text_of(intent),
            outcome=None if settlement is None else settlement.outcome,
            amount=transaction.get("amount", moved),
            note=entry.note,
        )


async def noted_in(journal: Journal) -> list[Noted]:
    """Read the whole journal."""
    return [Noted.of(entry) async for entry in journal.recent_entries(limit=_ALL)]


def _text_of(intent: Intent) -> str:
    """Read the text that the customer is shown out of the recorded body; an initiate's body is not recorded."""
    body: Any = orjson.loads(intent.body) if intent.body else {}
    return str(body.get("transaction", {}).get("transactionText", ""))


@mutable(kw_only=True)
class Audit:
    """What came of it: all but the first must be zero, and, with a journal, the last two as well."""

    asked: Counter[str] = field(factory=Counter)
    #: Operations that moved money more than once.
    moved_twice: int = 0
    #: What was told or noted as done and has not moved, and what moved without being noted.
    lost: int = 0
    #: What moved though it was told or noted as not done.
    told_untruly: int = 0
    #: What moved, was told or was noted with another amount than was asked for.
    wrong_amounts: int = 0
    #: Operations of which nobody knows what came of them.
    unknown: int = 0
    #: Open in the journal.
    open: int = 0
    #: Operations called unknown of which no attempt was in doubt.
    needless_doubt: int = 0
    #: The same, of which a caller was cancelled before anything left: no violation, since its intent may be open.
    doubt_by_cancelling: int = 0
    #: The same, of which the journal did not answer within seconds, on a machine with too much to do: no violation.
    doubt_by_journal: int = 0
    #: Those who were told that the payment has something open at the other API: no violation where that may be so.
    closed: int = 0
    #: Wrong amounts that were told or noted because Vipps answered so, where none was asked for: no violation, since
    #: there is nothing to hold such an answer against.
    lies_believed: int = 0
    #: The first violations, in words.
    words: list[str] = field(factory=list)

    @property
    def violations(self) -> int:
        """How often money did not do what was asked, told and noted."""
        return self.moved_twice + self.lost + self.told_untruly + self.wrong_amounts + self.needless_doubt

    def blame(self, what: str, asked: Asked | Noted, why: str) -> None:
        """Count a violation."""
        setattr(self, what, getattr(self, what) + 1)
        if len(self.words) < _MOST_WORDS:
            self.words.append(f"{what}: {asked.text} of {asked.order_id} ({asked.operation}): {why}")


def audit(asked: Iterable[Asked], payments: Iterable[Paid], noted: Iterable[Noted] | None) -> Audit:
    """Compare.

    Args:
        asked: everything that was asked for.
        payments: everything that the sandbox has.
        noted: everything in the journal, after recovery; None: there was no journal.
    """
    found = Audit()
    asked = list(asked)
    names = _names(asked)
    paid = {payment.order_id: _named(payment, names) for payment in payments}
    of_order: defaultdict[str, list[Asked]] = defaultdict(list)
    for one in asked:
        of_order[one.order_id].append(one)
    entries: defaultdict[tuple[str, str, str], list[Noted]] | None = None
    if noted is not None:
        entries = defaultdict(list)
        for entry in noted:
            text = entry.text or names.get((entry.order_id, entry.operation, _key_of(entry)), "")
            entries[entry.order_id, entry.operation, text].append(entry)
            if entry.outcome is None:
                found.blame("open", entry, f"it is open: {entry.note}")
    accounted: Counter[tuple[str, str, str]] = Counter()
    for one in asked:
        found.asked[one.operation] += 1
        moved = list(_moved(one, paid))
        if not moved and one.operation == "cancel" and _ended_by_vipps(one, paid):
            # Nobody approved it in time, and it ended before the cancel came: what was wanted is so, and no money is
            # in it. Whether the cancel is called done or refused, both are true.
            accounted[one.order_id, one.operation, one.text] += 1
            continue
        accounted[one.order_id, one.operation, one.text] += 1
        _check_moves(found, one, moved, journalled=entries is not None)
        _check_doubt(found, one, of_order[one.order_id], journalled=entries is not None)
        if entries is None:
            found.unknown += one.verdict is Verdict.UNKNOWN
        else:
            _check_notes(
                found,
                one,
                moved,
                entries.get((one.order_id, one.operation, "" if one.operation == "initiate" else one.text), []),
            )
    _check_sums(found, paid, accounted)
    return found


def _names(asked: Iterable[Asked]) -> dict[tuple[str, str, str], str]:
    """Say which ask an operation is whose text does not tell, as over ePayment: by its key, a cancel by its payment.

    Returns:
        Order id, operation and key (of a cancel: nothing) → the text of the ask. What must not move anything has none:
        its key is another's.
    """
    names: dict[tuple[str, str, str], str] = {}
    for one in asked:
        if one.operation != "initiate" and not one.forbidden and any(told.api == "epayment" for told in one.told):
            for key in {""} if one.operation == "cancel" else one.keys:
                names[one.order_id, one.operation, key] = one.text
    return names


def _key_of(entry: Moved | Noted) -> str:
    return "" if _NAMES.get(entry.operation, entry.operation) == "cancel" else entry.key


def _named(payment: Paid, names: Mapping[tuple[str, str, str], str]) -> Paid:
    """Give what was moved over ePayment the text of its ask."""

    def text(entry: Moved) -> str:
        name = names.get((payment.order_id, _NAMES.get(entry.operation, ""), _key_of(entry)))
        return entry.text if name is None or _is_vipps_own(entry) else name

    return evolve(payment, moved=tuple(evolve(entry, text=text(entry)) for entry in payment.moved))


def _is_vipps_own(entry: Moved) -> bool:
    """Whether Vipps itself has ended the payment: no call has."""
    return entry.operation == "CANCEL" and entry.call is None


def _moved(one: Asked, paid: Mapping[str, Paid]) -> Iterator[Moved]:
    payment = paid.get(one.order_id)
    if payment is not None:
        for entry in payment.moved:
            if entry.operation in _TRACES[one.operation] and entry.text == one.text:
                yield entry


def _ended_by_vipps(one: Asked, paid: Mapping[str, Paid]) -> bool:
    payment = paid.get(one.order_id)
    texts = {entry.operation: entry.text for entry in payment.moved} if payment is not None else {}
    is_own = payment is not None and any(map(_is_vipps_own, payment.moved))
    return is_own and texts["CANCEL"] == texts.get("INITIATE")


def _check_moves(found: Audit, one: Asked, moved: list[Moved], *, journalled: bool) -> None:
    if len(moved) > 1:
        found.blame("moved_twice", one, f"it moved {len(moved)} times, with the keys {[m.key for m in moved]}")
    if moved and one.forbidden:
        found.blame("lost", one, "it moved though its key belongs to another payload")
    if one.amount is not None and any(entry.amount != one.amount for entry in moved):
        found.blame("wrong_amounts", one, f"{one.amount} øre were asked for, {[m.amount for m in moved]} moved")
    if one.verdict is Verdict.DONE and not moved:
        found.blame("lost", one, "it was told done and has not moved")
    if moved and _told_untruly(one, moved, journalled=journalled):
        told_so = [(told.verdict.value, told.error, told.call) for told in one.told]
        found.blame("told_untruly", one, f"it moved by {[entry.call for entry in moved]} and was told {told_so}")
    _check_amounts(found, one, moved, {told.amount for told in one.told}, "told")


def _check_amounts(found: Audit, one: Asked, moved: list[Moved], said: set[int | None], how: str) -> None:
    wrong = said - {None} - {entry.amount for entry in moved}
    if not moved or not wrong:
        return
    # With ePayment only a cancel is asked for without an amount.
    has_none = one.amount is None and (one.api == "ecom" or one.operation == "cancel")
    if has_none and any(entry.lied for entry in moved):
        found.lies_believed += 1
    else:
        found.blame("wrong_amounts", one, f"{wrong} øre were {how}, {[m.amount for m in moved]} moved")


def _told_untruly(one: Asked, moved: list[Moved], *, journalled: bool) -> bool:
    """Whether a "no money moved" was untrue.

    It speaks of the call that says it. A refusal for good of an operation with a key and a journal speaks of earlier
    calls, too; and with a journal nothing that all its callers were told not to have happened may happen later.
    """
    if one.verdict in {Verdict.REFUSED, Verdict.NO_EFFECT} and (
        journalled or any(entry.call is None for entry in moved)
    ):
        return True
    return any(
        entry.call == told.call
        or (
            journalled and one.key is not None and told.verdict is Verdict.REFUSED and 0 < (entry.call or 0) < told.call
        )
        for told in one.told
        if told.verdict in {Verdict.REFUSED, Verdict.NO_EFFECT}
        for entry in moved
    )


def _check_doubt(found: Audit, one: Asked, of_order: list[Asked], *, journalled: bool) -> None:
    for told in one.told:
        if told.verdict is not Verdict.UNKNOWN or told.doubtful:
            continue
        # Without a journal a call knows of itself alone. With one it knows of those before it, and of its twin, which
        # has the number before or after its own.
        known = [other for other in one.told if other is not told and other.call <= told.call + 1] if journalled else []
        if any(other.doubtful for other in known) or (told.leased_elsewhere and known):
            continue
        if journalled and told.leased_elsewhere and _may_be_closed(told, of_order):
            found.closed += 1
            continue
        if any(other.verdict is Verdict.CANCELLED for other in known):
            # It was cancelled while its intent was written: in the journal that is begun, whether it left or not.
            found.doubt_by_cancelling += 1
            continue
        if told.by_journal:
            found.doubt_by_journal += 1
            continue
        found.blame("needless_doubt", one, f"no attempt was in doubt, and it was told {told.effect} {told.error}")


def _may_be_closed(told: Told, of_order: list[Asked]) -> bool:
    """Whether a call on the same payment over the other API was under way, or had left something open."""
    return any(
        other.api != told.api
        and other.call < told.ended
        and (other.ended > told.call or other.verdict in {Verdict.UNKNOWN, Verdict.CANCELLED})
        for asked in of_order
        if asked.operation != "initiate"
        for other in asked.told
    )


def _check_notes(found: Audit, one: Asked, moved: list[Moved], entries: list[Noted]) -> None:
    outcomes = {entry.outcome for entry in entries}
    if moved and not entries:
        found.blame("lost", one, "it moved without an intent in the journal")
    _check_keys(found, one, {entry.key for entry in moved} | {entry.key for entry in entries})
    if None in outcomes:
        found.unknown += 1
        return
    if moved and entries and Outcome.DONE not in outcomes:
        found.blame("told_untruly", one, f"it moved and is noted as {[entry.outcome for entry in entries]}")
    elif one.earlier_keys:
        done = {entry.key for entry in entries if entry.outcome is Outcome.DONE}
        if {entry.key for entry in moved} - done:
            found.blame("told_untruly", one, "it moved with a key that is not noted as done")
    if not moved and Outcome.DONE in outcomes:
        found.blame("lost", one, "it is noted as done and has not moved")
    if one.verdict is Verdict.DONE and Outcome.DONE not in outcomes and moved:
        found.blame("lost", one, "it was told done and is not noted as done")
    if one.operation != "cancel":
        _check_amounts(found, one, moved, {entry.amount for entry in entries}, "noted")


def _check_keys(found: Audit, one: Asked, keys: set[str]) -> None:
    if one.key is not None and keys - {one.key, *one.earlier_keys}:
        found.blame("lost", one, "it moved, or is noted, with a key that nobody asked with")
    if one.key is None and one.operation in {"capture", "refund"} and len(keys) > 1:
        found.blame("lost", one, f"it moved, or is noted, with more than the one key that was made: {sorted(keys)}")


def _check_sums(found: Audit, paid: Mapping[str, Paid], accounted: Counter[tuple[str, str, str]]) -> None:
    for payment in paid.values():
        captured = refunded = 0
        for entry in payment.moved:
            operation = next((name for name, traces in _TRACES.items() if entry.operation in traces), None)
            if operation is None:
                continue
            captured += entry.amount if operation == "capture" else 0
            refunded += entry.amount if operation == "refund" else 0
            if _is_vipps_own(entry) and accounted[payment.order_id, "initiate", entry.text]:
                # Nobody approved it in time: Vipps ends such a payment by itself.
                continue
            if not accounted[payment.order_id, operation, entry.text]:
                unasked = Asked(order_id=payment.order_id, operation=operation, text=entry.text)
                found.blame("lost", unasked, "it moved and nobody asked for it")
        if (captured, refunded) != (payment.captured, payment.refunded):
            whole = Asked(order_id=payment.order_id, operation="payment", text="sums")
            found.blame("wrong_amounts", whole, "the history does not add up to the sums")
