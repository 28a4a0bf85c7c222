"""What may happen to one payment, and what it does to the money. Pure: no I/O, no clock of its own.

::

    INITIATE ──approve──▶ RESERVE ──cancel──▶ VOID          direct capture: INITIATE ──approve──▶ SALE
        │                   │  capture, refund in parts
        ├──decline, cancel, time-out──▶ CANCEL
        └──the bank says no──▶ FAILED

Money is counted in whole øre, and always: released + captured ≤ reserved, refunded ≤ captured.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NoReturn

from vipps_async.sandbox.ledger.entries import (
    UNDISTURBED,
    Disturbance,
    LogEntry,
    Movement,
    Outcome,
    PaymentSnapshot,
    State,
    Summary,
)
from vipps_async.sandbox.wire.refusals import Refusal, vipps_refusal

__all__ = ["Payment", "Seen"]

#: The landing page lives this long, and so does the payment in the app once it was opened there.
LIFETIME = timedelta(minutes=5)
#: Captures and cancellations end this long after the reservation.
CAPTURE_LIMIT = timedelta(days=180)
#: Refunds end this long after the reservation.
REFUND_LIMIT = timedelta(days=365)
#: The test amount 201 leaves the reservation unknown for this long.
UNKNOWN_FOR = timedelta(hours=1)
#: The test amount whose reservation is not known for an hour, in øre.
UNKNOWN_AMOUNT = 201
#: Test amounts in øre that the customer's bank refuses, and the code of the group Payment that it gives as the reason:
#: insufficient funds, refused, suspected fraud, withdrawal limit, expired card, invalid card, 3-D Secure, SCA required.
REFUSED_AMOUNTS = {151: "42", 182: "42", 183: "42", 184: "42", 186: "44", 187: "41", 197: "45", 202: "45"}
#: Failed operations that one payment keeps on record; a client in a loop must not fill the memory.
MAX_FAILURES = 200


@dataclass(frozen=True, slots=True)
class Seen:
    """What an idempotency key was used for."""

    fingerprint: str
    #: None: it was refused.
    movement: Movement | None


@dataclass(slots=True, kw_only=True)
class Payment:
    """One payment and the rules that it obeys. Each operation is told the time."""

    order_id: str
    merchant_serial_number: str
    amount: int
    text: str
    initiated_at: datetime
    #: Gives a number that no other transaction of this sandbox has.
    new_transaction_id: Callable[[], str]
    direct_capture: bool = False
    #: Øre that the way of shipping adds which the customer chose in express checkout; 0 until then.
    shipping_cost: int = 0
    state: State = State.INITIATE
    reserved: int = 0
    captured: int = 0
    refunded: int = 0
    released: int = 0
    reserved_at: datetime | None = None
    opened_at: datetime | None = None
    #: Set while the outcome of the reservation is unknown: when it becomes known.
    known_at: datetime | None = None
    #: The code of the group Payment with which the bank refused.
    failure: str | None = None
    #: Oldest first.
    history: list[LogEntry] = field(default_factory=list)
    #: The id of the reservation.
    transaction_id: str = ""
    #: Operation and idempotency key → what they were first used for, and what came of it.
    seen: dict[tuple[str, str], Seen] = field(default_factory=dict)
    #: Failed operations on record.
    failures: int = 0
    #: DECLINED or EXPIRED, if the customer ended it so.
    ending: Outcome | None = None

    def __post_init__(self) -> None:
        if self.history:
            # Read back from a file: it was initiated long ago.
            return
        self.transaction_id = self.new_transaction_id()
        self._log("INITIATE", self.amount, self.initiated_at, self.text, transaction_id=self.transaction_id)

    @property
    def total(self) -> int:
        """Øre that the customer is to pay: the merchant's amount, and in express checkout the chosen shipping."""
        return self.amount + self.shipping_cost

    @property
    def remaining_to_capture(self) -> int:
        """Øre that are reserved, not captured and not released."""
        return self.reserved - self.captured - self.released

    @property
    def remaining_to_refund(self) -> int:
        """Øre that are captured and not refunded."""
        return self.captured - self.refunded

    @property
    def acted(self) -> bool:
        """Whether the customer has accepted, as far as the answers show."""
        return self.reserved_at is not None or self.failure is not None

    @property
    def due_at(self) -> datetime | None:
        """When something will happen to it by itself; None: never."""
        if self.state is not State.INITIATE:
            return None
        return self.known_at or (self.opened_at or self.initiated_at) + LIFETIME

    def summary(self) -> Summary | None:
        """Return the sums, or None as long as the customer has not acted."""
        if not self.acted:
            return None
        return Summary(
            captured=self.captured,
            refunded=self.refunded,
            remaining_to_capture=self.remaining_to_capture,
            remaining_to_refund=self.remaining_to_refund,
        )

    def view(self, now: datetime, as_of: datetime) -> tuple[list[LogEntry], Summary | None]:
        """Return the history, oldest first, and the sums as details show them now, with entries up to `as_of`."""
        shown = [self.history[0], *(entry for entry in self.history[1:] if entry.visible(now, as_of))]
        if len(shown) == len(self.history):
            return shown, self.summary()
        if not any(entry.operation in {"RESERVE", "SALE"} for entry in shown):
            return shown, None
        moved: Counter[str] = Counter()
        for entry in shown:
            moved[entry.operation] += entry.amount if entry.success else 0
        captured = moved["CAPTURE"] + moved["SALE"]
        summary = Summary(
            captured=captured,
            refunded=moved["REFUND"],
            remaining_to_capture=moved["RESERVE"] + moved["SALE"] - captured - moved["VOID"],
            remaining_to_refund=captured - moved["REFUND"],
        )
        return shown, summary

    def snapshot(self) -> PaymentSnapshot:
        """Return what moved so far."""
        return PaymentSnapshot(
            order_id=self.order_id,
            merchant_serial_number=self.merchant_serial_number,
            state=self.state,
            amount=self.amount,
            reserved=self.reserved,
            captured=self.captured,
            refunded=self.refunded,
            released=self.released,
            history=tuple(self.history),
        )

    # -- the customer, and time ------------------------------------------------------------------------------------

    def settle(self, now: datetime) -> Outcome | None:
        """Let happen what is due by now; return it if it just happened."""
        due_at = self.due_at
        if due_at is None or now < due_at:
            return None
        if self.known_at is not None:
            return self._reserve(due_at)
        self.expire(due_at)
        return Outcome.EXPIRED

    def expire(self, now: datetime) -> None:
        """Time out now. The payment waits for the customer."""
        self.state, self.ending = State.CANCEL, Outcome.EXPIRED
        self._log("CANCEL", self.amount, now, self.text)

    def open(self, now: datetime) -> None:
        """Let the customer open the payment in the app, which gives five more minutes; only the first time counts."""
        if self.opened_at is None:
            self.opened_at = now

    def approve(
        self, now: datetime, *, shipping_cost: int = 0, force: bool = False, unknown_for: timedelta = UNKNOWN_FOR
    ) -> Outcome:
        """Let the customer accept; the payment waits for that.

        Args:
            now: the time.
            shipping_cost: øre that the chosen way of shipping adds to the amount.
            force: ignores the test amounts.
            unknown_for: how long the test amount 201 leaves the reservation unknown.
        """
        self.open(now)
        self.shipping_cost = shipping_cost
        if not force and self.amount == UNKNOWN_AMOUNT:
            self.known_at = now + unknown_for
            return Outcome.UNKNOWN
        if not force and self.amount in REFUSED_AMOUNTS:
            self.state, self.failure = State.FAILED, REFUSED_AMOUNTS[self.amount]
            operation = "SALE" if self.direct_capture else "RESERVE"
            self._log(operation, self.total, now, self.text, success=False, transaction_id=self.transaction_id)
            return Outcome.FAILED
        return self._reserve(now)

    def approved_by(self, key: str, fingerprint: str) -> bool:
        """Whether a force approve by this idempotency key has been done; if not, the key belongs to it from now on.

        Raises:
            Refusal: 93, if the key came with another payload.
        """
        return self._repeated("APPROVE", key, fingerprint) is not None

    def note_approval(self, key: str) -> None:
        """Remember that the force approve by this key has been done."""
        self.seen["APPROVE", key] = Seen(
            self.seen["APPROVE", key].fingerprint, Movement(entry=self.history[-1], summary=self.summary())
        )

    def decline(self, now: datetime) -> None:
        """Let the customer say no; the payment waits for an answer."""
        self.open(now)
        self.state, self.ending = State.CANCEL, Outcome.DECLINED
        self._log("CANCEL", self.amount, now, self.text, transaction_id=self.transaction_id)

    def _reserve(self, now: datetime) -> Outcome:
        self.known_at = None
        self.reserved, self.reserved_at = self.total, now
        self.state, operation = (State.SALE, "SALE") if self.direct_capture else (State.RESERVE, "RESERVE")
        if self.direct_capture:
            self.captured = self.total
        self._log(operation, self.total, now, self.text, transaction_id=self.transaction_id)
        return Outcome.SALE if self.direct_capture else Outcome.RESERVED

    # -- the merchant ----------------------------------------------------------------------------------------------

    def capture(
        self,
        amount: int | None,
        *,
        key: str,
        fingerprint: str,
        text: str,
        now: datetime,
        disturbance: Disturbance = UNDISTURBED,
    ) -> Movement:
        """Take what is reserved, or a part of it.

        Args:
            amount: øre; None takes all that remains.
            key: the idempotency key; empty if it came without one.
            fingerprint: the same for the same payload.
            text: the transaction text.
            now: the time.
            disturbance: what a fault does to it.

        Raises:
            Refusal: 62, 91, 95, 98, 61, or 93 for a key that came with another payload.
        """
        done = self._repeated("CAPTURE", key, fingerprint)
        if done is not None:
            return done
        wanted = self.remaining_to_capture if amount is None else amount
        refusal = self._why_no_capture(wanted, now)
        if refusal is not None:
            self._refuse("CAPTURE", refusal, wanted, now, text, key=key)
        wanted = self._disturbed("CAPTURE", disturbance, wanted, now, text, key=key)
        self.captured += wanted
        return self._done("CAPTURE", wanted, now, text, key=key, shown_after=disturbance.shown_after)

    def _why_no_capture(self, wanted: int, now: datetime) -> tuple[str, str] | None:
        if self.state in {State.INITIATE, State.FAILED}:
            return "Payment", "62"
        if self.state in {State.CANCEL, State.VOID}:
            return "VippsError", "91"
        if self.state is State.SALE:
            return "Payment", "95"
        if self._older_than(CAPTURE_LIMIT, now):
            return "Payment", "98"
        return ("Payment", "61") if wanted > self.remaining_to_capture or wanted <= 0 else None

    def refund(
        self,
        amount: int | None,
        *,
        key: str,
        fingerprint: str,
        text: str,
        now: datetime,
        disturbance: Disturbance = UNDISTURBED,
    ) -> Movement:
        """Give back what was captured, or a part of it; arguments as for `capture`.

        Raises:
            Refusal: 72, 73, 95, 71, or 93 for a key that came with another payload.
        """
        done = self._repeated("REFUND", key, fingerprint)
        if done is not None:
            return done
        wanted = self.remaining_to_refund if amount is None else amount
        refusal = self._why_no_refund(wanted, now)
        if refusal is not None:
            self._refuse("REFUND", refusal, wanted, now, text, key=key)
        wanted = self._disturbed("REFUND", disturbance, wanted, now, text, key=key)
        self.refunded += wanted
        return self._done("REFUND", wanted, now, text, key=key, shown_after=disturbance.shown_after)

    def _why_no_refund(self, wanted: int, now: datetime) -> tuple[str, str] | None:
        if not self.captured:
            if self.state in {State.CANCEL, State.VOID}:
                return "Payment", "73"
            return "Payment", "72" if self.state is State.RESERVE else "71"
        if self._older_than(REFUND_LIMIT, now):
            return "Payment", "95"
        return ("Payment", "71") if wanted > self.remaining_to_refund or wanted <= 0 else None

    def cancel(
        self, *, release_remaining: bool, text: str, now: datetime, disturbance: Disturbance = UNDISTURBED
    ) -> Movement:
        """End a payment that waits, or release what is reserved; after a partial capture only if told to.

        Raises:
            Refusal: 92 if it was ended before, 52 while the reservation is unknown, 51 if captured, 98 if too old.
        """
        refusal = self._why_no_cancel(release_remaining=release_remaining, now=now)
        if refusal is not None:
            self._refuse("CANCEL", refusal, self.remaining_to_capture or self.total, now, text)
        amount = self.remaining_to_capture or self.total
        self._disturbed("CANCEL", disturbance, amount, now, text)
        if self.state is State.INITIATE:
            self.state = State.CANCEL
            return self._done("CANCEL", amount, now, text, shown_after=disturbance.shown_after)
        self.released += amount
        self.state = State.VOID
        return self._done("VOID", amount, now, text, shown_after=disturbance.shown_after)

    def _why_no_cancel(self, *, release_remaining: bool, now: datetime) -> tuple[str, str] | None:
        if self.state in {State.CANCEL, State.VOID, State.FAILED}:
            return "VippsError", "92"
        if self.state is State.INITIATE:
            return ("Payment", "52") if self.known_at is not None else None
        if self.remaining_to_capture == 0 or (self.captured and not release_remaining):
            return "Payment", "51"
        return ("Payment", "98") if self._older_than(CAPTURE_LIMIT, now) else None

    # -- the record ------------------------------------------------------------------------------------------------

    def _older_than(self, limit: timedelta, now: datetime) -> bool:
        return self.reserved_at is not None and now - self.reserved_at > limit

    def _repeated(self, operation: str, key: str, fingerprint: str) -> Movement | None:
        if not key:
            # Nothing tells it from a new operation.
            return None
        seen = self.seen.get((operation, key))
        if seen is None:
            # A key belongs to its first payload even if that was refused: 93 knows no second thoughts.
            self.seen[operation, key] = Seen(fingerprint, None)
            return None
        if seen.fingerprint != fingerprint:
            raise self._refusal("Payment", "93")
        return seen.movement

    def _disturbed(
        self, operation: str, disturbance: Disturbance, amount: int, now: datetime, text: str, *, key: str = ""
    ) -> int:
        """Fail if the disturbance wants it; else return the amount that moves."""
        if disturbance.refusal is not None:
            if disturbance.in_history:
                self._refuse(operation, disturbance.refusal, amount, now, text, key=key)
            raise self._refusal(*disturbance.refusal)
        return max(1, amount // 2) if disturbance.half else amount

    def _done(
        self,
        operation: str,
        amount: int,
        now: datetime,
        text: str,
        *,
        key: str = "",
        shown_after: timedelta = timedelta(0),
    ) -> Movement:
        shown_at = now + shown_after if shown_after else None
        entry = self._log(operation, amount, now, text, key=key, shown_at=shown_at)
        movement = Movement(entry=entry, summary=self.summary())
        if key:
            self.seen[operation, key] = Seen(self.seen[operation, key].fingerprint, movement)
        return movement

    def _refuse(
        self, operation: str, refusal: tuple[str, str], amount: int, now: datetime, text: str, *, key: str = ""
    ) -> NoReturn:
        if self.failures < MAX_FAILURES:
            self.failures += 1
            self._log(operation, amount, now, text, key=key, success=False)
        raise self._refusal(*refusal)

    def _refusal(self, group: str, code: str) -> Refusal:
        return vipps_refusal(group, code, order_id=self.order_id, msn=self.merchant_serial_number)

    def _log(
        self,
        operation: str,
        amount: int,
        now: datetime,
        text: str,
        *,
        key: str = "",
        success: bool = True,
        transaction_id: str = "",
        shown_at: datetime | None = None,
    ) -> LogEntry:
        entry = LogEntry(
            operation=operation,
            amount=amount,
            success=success,
            time=now,
            text=text,
            transaction_id=transaction_id or self.new_transaction_id(),
            request_id=key,
            shown_at=shown_at,
        )
        self.history.append(entry)
        return entry
