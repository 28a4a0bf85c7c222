"""What the journal has against a capture, refund or cancel by hand: the key of another one, or one that is open."""

from __future__ import annotations

from attrs import frozen

from vipps_async.apis import passed_over
from vipps_async.cli.journal_text import about
from vipps_async.core.batch import BatchOperation
from vipps_async.core.payment_api import PaymentApi
from vipps_async.errors import Effect, IdempotencyMismatchError, OrderLockedError
from vipps_async.journals.protocol import Entry, Journal, Outcome
from vipps_async.money import format_amount

__all__ = ["JournalCheck"]

#: Entries of any age: more than any journal has.
_ALL = 2**62


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
    #: Whether another operation is meant than what is open of the payment.
    is_another: bool

    async def run(self, journal: Journal | None, merchant_serial_number: str, *, agreed: bool) -> str:
        """Look, and return what whoever is asked should know; empty: nothing.

        Args:
            journal: an open journal; None: there is none yet.
            merchant_serial_number: the sales unit.
            agreed: whether nobody will be asked, as the command line has said yes to real money.

        Raises:
            IdempotencyMismatchError: the key is another operation's, or was for another amount; or the journal does not
                know it though it was given by hand, and nobody will be asked.
            OrderLockedError: another operation of the payment is open; the error has its key.
            JournalError: the journal cannot be read.
        """
        msn = merchant_serial_number
        of_payment = [] if journal is None else await journal.find(payment=self.payment, merchant_serial_number=msn)
        mine = next((entry for entry in of_payment if self._is_mine(entry)), None)
        notes = []
        if mine is not None:
            self._check_amount(mine)
        elif self.is_given:
            if journal is not None:
                await self._check_owner(journal, msn)
            notes.append(self._unknown_key(agreed=agreed))
        if mine is None or (mine.settlement is not None and mine.settlement.outcome is Outcome.NOT_DONE):
            notes += self._open_ones(of_payment)
        return "\n".join(note for note in notes if note)

    def _is_mine(self, entry: Entry) -> bool:
        intent = entry.intent
        return (intent.key, intent.api, intent.operation) == (self.key, self.api.name, self.operation.value)

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

    def _open_ones(self, entries: list[Entry]) -> list[str]:
        ignored = passed_over()
        found = [entry for entry in entries if entry.settlement is None and entry.intent.adjusts]
        found = [entry for entry in found if entry.intent.operation not in ignored]
        if not found:
            return []
        texts = [f"{about(each.intent)}, since {each.intent.created_at:%Y-%m-%d %H:%M:%S} UTC" for each in found]
        if self.is_another:
            return [f"Look out: this is open of the payment, and may take effect as well: {text}" for text in texts]
        raise OrderLockedError(
            f"this is open of the payment, and may have moved money: {'; '.join(texts)}; nothing was sent now",
            status=0,
            effect=Effect.POSSIBLE,
            idempotency_key=found[0].intent.key,
            advice="settle that first; if another one is meant beside it, say --another",
        )

    def _mismatch(self, text: str) -> IdempotencyMismatchError:
        return IdempotencyMismatchError(
            f"{text}; nothing was sent",
            status=0,
            advice="give the key of what is meant; for a new operation leave --idempotency-key out",
        )
