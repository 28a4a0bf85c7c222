"""Checks a capture, refund or cancel against the journal: the owner of its key, and undecided operations."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve, frozen

from vipps_async.cli.journal_text import about
from vipps_async.cli.output import plain
from vipps_async.core.batch import BatchOperation
from vipps_async.core.payment_api import PaymentApi
from vipps_async.core.stored_error import dropped_text
from vipps_async.core.undecided import PaymentRecord, damaged_text, read_record
from vipps_async.errors import Effect, IdempotencyMismatchError, JournalError, OrderLockedError, VippsError
from vipps_async.journals.entries import DamagedEntry, Entry, Outcome
from vipps_async.journals.protocol import Journal
from vipps_async.money import format_amount

#: Entries of any age: more than any journal has.
_ALL = 2**62


@frozen(kw_only=True)
class Checked:
    """What a look at the journal has shown."""

    #: What whoever is asked should know; empty: nothing.
    note: str = ""
    #: What may have moved money of the payment, whatever this command does.
    open: tuple[Entry, ...] = ()
    damaged: tuple[DamagedEntry, ...] = ()
    #: Whether the journal has this very operation as done.
    is_done: bool = False
    #: Why nothing is sent; None: it may be.
    refusal: VippsError | None = None

    @property
    def nothing_sent(self) -> str:
        """Say that this command has sent nothing, and what may have moved money all the same."""
        if not (self.open or self.damaged or self.is_done):
            return "Nothing was sent: no money moved."
        undecided = "".join(f"\nLook out: this {text}." for text in _texts(self.open, self.damaged))
        return f"Nothing was sent by this command.{undecided}"


@frozen(kw_only=True)
class JournalCheck:
    """Holds a command against the journal before anything is sent, and before anybody is asked."""

    api: PaymentApi
    operation: BatchOperation
    payment: str
    #: The idempotency key; None: the API takes none.
    key: str | None
    #: Whether the key was given by hand, to go on with what the journal has.
    is_given: bool
    #: Whether it may be a key of the caller's own that the journal has not seen.
    is_new_key: bool
    #: Minor units; None: all that remains, or a cancel.
    amount: int | None
    #: Whether another operation is meant than what is undecided of the payment.
    is_another: bool

    async def run(self, journal: Journal | None, merchant_serial_number: str, *, agreed: bool) -> Checked:
        """Look.

        Args:
            journal: an open journal; None: there is none yet.
            merchant_serial_number: the sales unit.
            agreed: whether nobody will be asked, as the command line has said yes to real money.

        Raises:
            IdempotencyMismatchError: the key is another operation's, or was for another amount; or the journal does not
                know it though it was given by hand, and nobody will be asked.
            JournalError: the journal cannot be read.
        """
        damaged = [] if journal is None else await journal.damaged(only_open=True)
        record = PaymentRecord()
        if journal is not None:
            record = await read_record(journal, self.payment, merchant_serial_number, damaged)
        mine = record.own(self.key, self.api.name, self.operation.value)
        if mine is not None:
            self._check_amount(mine)
        elif self.is_given and journal is not None:
            await self._check_owner(journal, merchant_serial_number)
        is_done = mine is not None and mine.settlement is not None and mine.settlement.outcome is Outcome.DONE
        found = Checked(open=tuple(record.open), damaged=record.damaged, is_done=is_done)
        if mine is not None and mine.settlement is None and mine.attempts.is_dropped:
            return evolve(found, open=(mine,), damaged=(), refusal=self._locked([mine], "decide about it by that key"))
        if mine is not None and (mine.settlement is None or mine.settlement.outcome is not Outcome.NOT_DONE):
            return found
        if (refusal := self._refusal(record)) is not None:
            return evolve(found, refusal=refusal)
        unknown_key = self._unknown_key(agreed=agreed) if self.is_given and mine is None else ""
        notes = [unknown_key, *self._look_out(record, damaged)]
        return evolve(found, note="\n".join(note for note in notes if note))

    # --- the key -----------------------------------------------------------------------------------------------------

    def _check_amount(self, entry: Entry) -> None:
        earlier = entry.intent.amount
        # Where the API must be told an amount, all that remains is what stands in the journal.
        is_same = earlier == self.amount or (self.amount is None and not self.api.takes_all)
        if is_same or self.operation is BatchOperation.CANCEL:
            return
        asked = "all that remains" if self.amount is None else format_amount(self.amount, self.api.currency)
        raise self._mismatch(f"the journal has this key with another amount ({about(entry.intent)}), not {asked}")

    async def _check_owner(self, journal: Journal, merchant_serial_number: str) -> None:
        """Refuse a key under which the journal has something else of the sales unit, which may be long ago."""
        async for entry in journal.recent_entries(limit=_ALL):
            intent = entry.intent
            if intent.key == self.key and intent.merchant_serial_number == merchant_serial_number:
                raise self._mismatch(f"the journal has this key for something else: {about(intent)}")

    def _unknown_key(self, *, agreed: bool) -> str:
        if self.is_new_key:
            return ""
        text = f"the journal does not know the key {self.key}: this is a NEW {self.operation.value} under it"
        if agreed:
            advice = "look for a slip in it; if a new one is meant, under a key of your own, say --new-key"
            raise IdempotencyMismatchError(f"{text}; nothing was sent", status=0, advice=advice)
        return f"Look out: {text}. To go on with an earlier one, give the key that it had."

    def _mismatch(self, text: str) -> IdempotencyMismatchError:
        return IdempotencyMismatchError(
            f"{text}; nothing was sent",
            status=0,
            advice="give the key of what is meant; for a new operation leave --idempotency-key out",
        )

    # --- the payment -------------------------------------------------------------------------------------------------

    def _refusal(self, record: PaymentRecord) -> VippsError | None:
        """Say why nothing is sent beside what is undecided; None: it may be, or another one is meant."""
        if closing := [entry for entry in record.open if entry.intent.api != self.api.name]:
            # Whatever is said here, the session sends nothing beside it.
            return self._locked(closing, f"settle that first: until then nothing is sent over {self.api.name}")
        if self.is_another:
            return None
        another = "if another one is meant beside it, say --another"
        if record.open:
            return self._locked(record.open, f"settle that first; {another}")
        if record.damaged:
            text = "; ".join(_texts((), record.damaged))
            return JournalError(
                f"this {text}; nothing was sent now",
                effect=Effect.POSSIBLE,
                advice=(
                    f"look at the payment, and compare it with your books; {another}; once they agree, `vipps-async "
                    "journal discard ENTRY` deletes what cannot be read"
                ),
            )
        return None

    def _locked(self, entries: Sequence[Entry], advice: str) -> OrderLockedError:
        return OrderLockedError(
            f"this {'; '.join(_texts(entries, ()))}; nothing was sent now",
            status=0,
            effect=Effect.POSSIBLE,
            idempotency_key=entries[0].intent.key,
            advice=advice,
        )

    def _look_out(self, record: PaymentRecord, damaged_open: Sequence[DamagedEntry]) -> list[str]:
        """Say what is undecided beside this one, what is done that looks the same, and what may be of any payment."""
        notes = [f"Look out: this {text}." for text in _texts(record.open, record.damaged)]
        twins = [entry for entry in record.entries if self._is_twin(entry)]
        if twins and (settlement := twins[-1].settlement) is not None:
            more = f" ({len(twins)} such in all)" if len(twins) > 1 else ""
            notes.append(
                f"Look out: the journal has this as done on {settlement.settled_at:%Y-%m-%d %H:%M:%S} UTC: "
                f"{about(twins[-1].intent)}{more}. This would be another one."
            )
        known = {row.position for row in record.damaged}
        if elsewhere := [damaged_text(row) for row in damaged_open if row.position not in known]:
            notes.append(
                f"Look out: this is open in the journal and cannot be read: {plain('; '.join(elsewhere))}. If its "
                "payment's name is damaged, too, it may be of this payment."
            )
        return notes

    def _is_twin(self, entry: Entry) -> bool:
        """Whether it is done, and looks like this one; one that takes all that is left does no more than once."""
        intent, settlement = entry.intent, entry.settlement
        is_done = settlement is not None and settlement.outcome is Outcome.DONE
        is_same = intent.operation == self.operation.value and intent.amount == self.amount
        return is_done and is_same and self.amount is not None


def _texts(entries: Sequence[Entry], damaged: Sequence[DamagedEntry]) -> list[str]:
    """Say what is undecided of a payment, behind "this"; nothing where nothing is."""
    texts = []
    if entries:
        texts.append(f"is open of the payment, and may have moved money: {'; '.join(map(_open_text, entries))}")
    if damaged:
        rows = plain("; ".join(map(damaged_text, damaged)))
        texts.append(f"is of the payment, cannot be read, and may have moved money: {rows}")
    return texts


def _open_text(entry: Entry) -> str:
    dropped = dropped_text(entry.attempts)
    text = f"{about(entry.intent)}, since {entry.intent.created_at:%Y-%m-%d %H:%M:%S} UTC"
    return f"{text}, {dropped}" if dropped else text
