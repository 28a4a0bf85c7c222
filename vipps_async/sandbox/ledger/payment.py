"""The rules of one payment: which operations are allowed, and how they change the sums. No I/O, no clock.

::

    INITIATE ──approve──▶ RESERVE ──cancel──▶ VOID          direct capture: INITIATE ──approve──▶ SALE
        │                   │  capture, refund in parts
        ├──decline, cancel, time-out──▶ CANCEL
        └──the bank says no──▶ FAILED

Money is counted in whole minor units of one currency, and always: released + captured ≤ reserved, refunded ≤ captured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta

from vipps_async.sandbox.ledger.entries import (
    MEANINGS,
    UNDISTURBED,
    Disturbance,
    LogEntry,
    MerchantRequest,
    Movement,
    PaymentOutcome,
    PaymentSnapshot,
    Seen,
    State,
    Sums,
    told_sums,
)
from vipps_async.sandbox.ledger.reasons import Reason, Refused
from vipps_async.sandbox.ledger.terms import LIFETIME, REFUND_LIMIT, UNKNOWN_AMOUNT, UNKNOWN_FOR, Terms, bank_refusal

#: Failed operations that one payment keeps on record; a client in a loop must not fill the memory.
MAX_FAILURES = 200


@dataclass(slots=True, kw_only=True)
class Payment:
    """One payment and the rules that it obeys. Each operation is told the time."""

    #: The shop's name for it, unique for its sales unit.
    reference: str
    sales_unit: str
    #: In minor units, as every sum here.
    amount: int
    text: str
    initiated_at: datetime
    #: Gives a number that no other transaction of this sandbox has.
    new_transaction_id: Callable[[], str]
    currency: str = "NOK"
    #: The idempotency key that it was initiated by; empty: there was none.
    key: str = ""
    terms: Terms = field(default_factory=Terms)
    #: When it times out, if not by the page and the app.
    expires_at: datetime | None = None
    direct_capture: bool = False
    #: What the way of shipping adds which the customer chose in express checkout; 0 until then.
    shipping_cost: int = 0
    state: State = State.INITIATE
    reserved_at: datetime | None = None
    opened_at: datetime | None = None
    #: Set while the outcome of the reservation is unknown: when it becomes known.
    known_at: datetime | None = None
    #: Why the bank refused; None: it did not.
    failure: Reason | None = None
    #: Oldest first.
    history: list[LogEntry] = field(default_factory=list)
    #: The id of the reservation.
    transaction_id: str = ""
    #: Operation and idempotency key → what they were first used for, and what came of it.
    seen: dict[tuple[str, str], Seen] = field(default_factory=dict)
    #: Failed operations on record.
    failures: int = 0
    #: DECLINED or EXPIRED, if the customer ended it so.
    ending: PaymentOutcome | None = None

    def __post_init__(self) -> None:
        if self.history:
            # Read back from a file: it was initiated long ago.
            return
        self.transaction_id = self.new_transaction_id()
        self._log(
            "INITIATE", self.amount, self.initiated_at, self.text, key=self.key, transaction_id=self.transaction_id
        )

    @property
    def total(self) -> int:
        """What the customer is to pay: the merchant's amount, and in express checkout the chosen shipping."""
        return self.amount + self.shipping_cost

    @property
    def sums(self) -> Sums:
        """What moved so far, by the history."""
        return Sums.of(self.history)

    @property
    def due_at(self) -> datetime | None:
        """When something will happen to it by itself; None: never."""
        if self.state is State.INITIATE:
            return self.known_at or self.expires_at or (self.opened_at or self.initiated_at) + LIFETIME
        if self.reserved_at is not None and self.terms.released_in_time and self.sums.remaining_to_capture:
            return self.reserved_at + self.terms.capture_limit
        return None

    def view(self, now: datetime, as_of: datetime) -> tuple[list[LogEntry], Sums | None]:
        """Return the history, oldest first, and the sums as it shows them now, with entries up to `as_of`."""
        shown = [self.history[0], *(entry for entry in self.history[1:] if entry.visible(now, as_of))]
        return shown, told_sums(shown)

    def snapshot(self) -> PaymentSnapshot:
        """Return its sums and history so far."""
        return PaymentSnapshot(
            order_id=self.reference,
            merchant_serial_number=self.sales_unit,
            currency=self.currency,
            state=self.state,
            amount=self.amount,
            history=tuple(self.history),
            **asdict(self.sums),
        )

    # -- the customer, and time ------------------------------------------------------------------------------------

    def settle(self, now: datetime) -> PaymentOutcome | None:
        """Apply what is due by now; return the outcome if it has just happened."""
        due_at = self.due_at
        if due_at is None or now < due_at:
            return None
        if self.known_at is not None:
            return self._reserve(due_at)
        if self.state is not State.INITIATE:
            self._release(due_at)
            return PaymentOutcome.RELEASED
        self.expire(due_at)
        return PaymentOutcome.EXPIRED

    def expire(self, now: datetime) -> None:
        """Time out now. The payment waits for the customer."""
        self.state, self.ending = State.CANCEL, PaymentOutcome.EXPIRED
        self._log("CANCEL", self.amount, now, self.text)

    def open(self, now: datetime) -> None:
        """Let the customer open the payment in the app, which gives five more minutes; only the first time counts."""
        if self.opened_at is None:
            self.opened_at = now

    def approve(
        self, now: datetime, *, shipping_cost: int = 0, force: bool = False, unknown_for: timedelta = UNKNOWN_FOR
    ) -> PaymentOutcome:
        """Let the customer accept; the payment waits for that.

        Args:
            now: the time.
            shipping_cost: what the chosen way of shipping adds to the amount.
            force: ignores the test amounts.
            unknown_for: how long the test amount 201 leaves the reservation unknown.
        """
        self.open(now)
        self.shipping_cost = shipping_cost
        if not force and self.amount == UNKNOWN_AMOUNT:
            self.known_at = now + unknown_for
            return PaymentOutcome.UNKNOWN
        refusal = None if force else bank_refusal(self.amount, self.currency)
        if refusal is not None:
            self.failure = refusal
            if self.terms.refusal_ends:
                self.state = State.FAILED
            operation = "SALE" if self.direct_capture else "RESERVE"
            self._log_reservation(operation, now, success=False)
            return PaymentOutcome.FAILED
        return self._reserve(now)

    def approved_by(self, key: str, fingerprint: str) -> bool:
        """Whether a force approve by this idempotency key has been done; if not, the key belongs to it from now on.

        Raises:
            Refused: KEY_REUSED, if the key came with another payload.
        """
        return self._repeated("APPROVE", key, fingerprint) is not None

    def note_approval(self, key: str) -> None:
        """Remember that the force approve by this key has been done."""
        self.seen["APPROVE", key] = Seen(
            self.seen["APPROVE", key].fingerprint, Movement(entry=self.history[-1], sums=told_sums(self.history))
        )

    def decline(self, now: datetime) -> None:
        """Let the customer say no; the payment waits for an answer."""
        self.open(now)
        self.state, self.ending = State.CANCEL, PaymentOutcome.DECLINED
        self._log("CANCEL", self.amount, now, self.text, transaction_id=self.transaction_id)

    def _reserve(self, now: datetime) -> PaymentOutcome:
        self.known_at = None
        self.reserved_at = now
        self.state, operation = (State.SALE, "SALE") if self.direct_capture else (State.RESERVE, "RESERVE")
        self._log_reservation(operation, now)
        return PaymentOutcome.SALE if self.direct_capture else PaymentOutcome.RESERVED

    def _log_reservation(self, operation: str, now: datetime, *, success: bool = True) -> None:
        # A card tried again is a transaction of its own; the first one goes by the payment's.
        again = any(entry.operation == operation for entry in self.history)
        number = "" if again else self.transaction_id
        self._log(operation, self.total, now, self.text, key=self.key, success=success, transaction_id=number)

    def _release(self, now: datetime) -> None:
        self._log("VOID", self.sums.remaining_to_capture, now, self.text)

    # -- the merchant ----------------------------------------------------------------------------------------------

    def move(
        self,
        operation: str,
        amount: int | None,
        *,
        key: str,
        fingerprint: str,
        text: str,
        now: datetime,
        fault: Disturbance = UNDISTURBED,
    ) -> Movement:
        """Capture what is reserved, or refund what was captured, or a part of it.

        Args:
            operation: a word of the history that takes from a remainder, such as ``"CAPTURE"``.
            amount: minor units; None takes all that remains.
            key: the idempotency key; empty if it came without one.
            fingerprint: the same for the same payload; empty: who calls knows that it is no repetition.
            text: the transaction text.
            now: the time.
            fault: what a fault does to it.

        Raises:
            Refused: KEY_REUSED, or a reason why this operation is not allowed now.
        """
        takes = MEANINGS[operation].takes
        why_not = {"remaining_to_capture": self._why_no_capture, "remaining_to_refund": self._why_no_refund}[takes]
        request = MerchantRequest(operation, text, now, fault, key, fingerprint)
        done = self._repeated(operation, key, fingerprint)
        if done is not None:
            return done
        wanted = getattr(self.sums, takes) if amount is None else amount
        return self._done(request, operation, self._allowed(request, why_not(wanted, now), wanted))

    def _why_no_capture(self, wanted: int, now: datetime) -> Reason | None:
        if self.state in {State.INITIATE, State.FAILED}:
            return Reason.NOT_RESERVED
        if self.state in {State.CANCEL, State.VOID}:
            return Reason.ENDED
        if self.state is State.SALE:
            return Reason.CAPTURED_AT_ONCE
        sums = self.sums
        if sums.released or self._older_than(self.terms.capture_limit, now):
            # Released by itself: that does not end the payment.
            return Reason.RESERVED_TOO_LONG_AGO
        if wanted > sums.remaining_to_capture or wanted <= 0:
            return Reason.MORE_THAN_RESERVED
        return Reason.NOT_IN_FULL if self.terms.full_capture_only and wanted < sums.reserved else None

    def _why_no_refund(self, wanted: int, now: datetime) -> Reason | None:
        sums = self.sums
        if not sums.captured:
            if self.state in {State.CANCEL, State.VOID}:
                return Reason.NEVER_CAPTURED
            return Reason.NOTHING_CAPTURED if self.state is State.RESERVE else Reason.MORE_THAN_CAPTURED
        if self._older_than(REFUND_LIMIT, now):
            return Reason.TOO_OLD_TO_REFUND
        return Reason.MORE_THAN_CAPTURED if wanted > sums.remaining_to_refund or wanted <= 0 else None

    def cancel(
        self, *, release_remaining: bool, text: str, now: datetime, fault: Disturbance = UNDISTURBED
    ) -> Movement:
        """End a payment that waits, or release what is reserved; after a partial capture only if told to.

        Raises:
            Refused: a reason of `_why_no_cancel`.
        """
        request, amount = MerchantRequest("CANCEL", text, now, fault), self.sums.remaining_to_capture or self.total
        self._allowed(request, self._why_no_cancel(release_remaining=release_remaining, now=now), amount)
        if self.state is State.INITIATE:
            self.state = State.CANCEL
            return self._done(request, "CANCEL", amount)
        self.state = State.VOID
        return self._done(request, "VOID", amount)

    def _why_no_cancel(self, *, release_remaining: bool, now: datetime) -> Reason | None:
        if self.state in {State.CANCEL, State.VOID, State.FAILED}:
            return Reason.ENDED_BEFORE
        if self.state is State.INITIATE:
            return Reason.RESERVATION_UNKNOWN if self.known_at is not None else None
        sums = self.sums
        left = sums.remaining_to_capture or sums.released
        if not left or (sums.captured and not release_remaining):
            return Reason.CAPTURED
        return (
            Reason.RESERVED_TOO_LONG_AGO if sums.released or self._older_than(self.terms.capture_limit, now) else None
        )

    # -- the record ------------------------------------------------------------------------------------------------

    def _older_than(self, limit: timedelta, now: datetime) -> bool:
        return self.reserved_at is not None and now - self.reserved_at > limit

    def _repeated(self, operation: str, key: str, fingerprint: str) -> Movement | None:
        if not key or not fingerprint:
            # Nothing tells it from a new operation, or something else did.
            return None
        seen = self.seen.get((operation, key))
        if seen is None:
            # A key belongs to its first payload even if that was refused.
            self.seen[operation, key] = Seen(fingerprint, None)
            return None
        if seen.fingerprint != fingerprint:
            raise self._refused(Reason.KEY_REUSED)
        return seen.movement

    def _allowed(self, request: MerchantRequest, reason: Reason | None, amount: int) -> int:
        """Refuse for a reason, of the rules or of a fault; else return the amount that moves."""
        in_history = reason is not None or request.fault.in_history
        reason = reason or request.fault.reason
        if reason is None:
            return max(1, amount // 2) if request.fault.half else amount
        if in_history and self.failures < MAX_FAILURES:
            self.failures += 1
            self._log(request.operation, amount, request.now, request.text, key=request.key, success=False)
        raise self._refused(reason)

    def _done(self, request: MerchantRequest, operation: str, amount: int) -> Movement:
        shown_at = request.now + request.fault.shown_after if request.fault.shown_after else None
        entry = self._log(operation, amount, request.now, request.text, key=request.key, shown_at=shown_at)
        movement = Movement(entry=entry, sums=told_sums(self.history))
        if request.fingerprint and request.key:
            self.seen[operation, request.key] = Seen(request.fingerprint, movement)
        return movement

    def _refused(self, reason: Reason) -> Refused:
        return Refused(reason, sales_unit=self.sales_unit, reference=self.reference)

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
