"""The row format of an entry, the same in every store: columns, values, and the checksum over them."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString

from vipps_async.errors import Effect, JournalError
from vipps_async.journals.entries import Attempts, DamagedEntry, Entry, Intent, KeyOrigin, Outcome, Settlement

#: What stays of an entry from its beginning, what changes, and both behind its place in the order of arrival.
INTENT_COLUMNS: LiteralString = (
    "key, api, operation, payment, merchant_serial_number, amount, currency, digest, body, created_at, origin, "
    "reference, adjusts"
)
STATE_COLUMNS: LiteralString = (
    "begun, ended, last_at, refusal, looked_at, outcome, answer, settled_at, checksum, owner, lease_until, note"
)
COLUMNS: LiteralString = "position, " + INTENT_COLUMNS + ", " + STATE_COLUMNS

#: How many columns an intent has, and how many columns, behind the position, the checksum covers.
_INTENT = len(INTENT_COLUMNS.split(", "))
_FACTS = _INTENT + STATE_COLUMNS.split(", ").index("checksum")
#: Where times stand among those.
_CREATED_AT, _LAST_AT, _SETTLED_AT = 9, 15, 20

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class UnfitError(JournalError):
    """One command cannot be written; the others of its commit may."""


class DamagedEntryError(UnfitError):
    """An entry that decides on a command cannot be read: it may be the same operation, and may have moved money."""

    damaged: DamagedEntry

    @classmethod
    def of(cls, damaged: DamagedEntry) -> DamagedEntryError:
        """Make the error of a row."""
        error = cls(
            f"entry {damaged.position} of the journal (payment {damaged.payment}) cannot be read: {damaged.reason}; "
            "it is never sent, and nothing was sent now",
            effect=Effect.POSSIBLE,
            advice=(
                "compare the payment at Vipps with your books; if another operation is meant, give it an idempotency "
                "key of its own"
            ),
        )
        error.damaged = damaged
        return error


def micros(moment: datetime) -> int:
    """Turn an aware time into microseconds since 1970 (UTC): exact, and sortable."""
    return (moment - _EPOCH) // _MICROSECOND


def moment(micros: int) -> datetime:
    """Turn microseconds since 1970 into a time in UTC."""
    return _EPOCH + timedelta(microseconds=micros)


def _facts_of(intent: Intent, attempts: Attempts, settlement: Settlement | None) -> tuple[object, ...]:
    """List what an entry's checksum covers: all fields except the lease and the note.

    Those may be damaged without harm: an entry is carried out again with the same key and body only.
    """
    return (
        intent.key,
        intent.api,
        intent.operation,
        intent.payment,
        intent.merchant_serial_number,
        intent.amount,
        intent.currency,
        intent.digest,
        intent.body,
        micros(intent.created_at),
        intent.origin.value,
        intent.reference,
        int(intent.adjusts),
        attempts.begun,
        attempts.ended,
        micros(attempts.last_at),
        attempts.refusal,
        None if attempts.looked_at is None else micros(attempts.looked_at),
        None if settlement is None else settlement.outcome.value,
        None if settlement is None else settlement.answer,
        None if settlement is None else micros(settlement.settled_at),
    )


def _checksum(facts: Sequence[Any]) -> int:
    """Compute the CRC-32 of an entry's facts: it tells each flipped bit, and all but one in 4 billion larger faults.

    Raises:
        TypeError: a text is none.
        UnicodeEncodeError: a text cannot be encoded.
    """
    (key, api, operation, payment, msn, amount, currency, digest, body, created_at, origin, reference, *rest) = facts
    adjusts, begun, ended, last_at, refusal, looked_at, outcome, answer, settled_at = rest
    # No text has a NUL in it, so none can pass for two.
    texts = "\0".join((key, api, operation, payment, msn, currency, digest, origin, reference, outcome or ""))
    numbers = f"{amount}\0{created_at}\0{adjusts}\0{begun}\0{ended}\0{last_at}\0{looked_at}\0{settled_at}"
    crc = zlib.crc32(refusal, zlib.crc32(f"{texts}\0{numbers}".encode()))
    return zlib.crc32(answer or b"", zlib.crc32(body or b"", crc))


def row_values(entry: Entry) -> tuple[object, ...]:
    """Return the values of all columns of an entry but its position.

    Raises:
        TypeError: a value is not of its type.
        ValueError: a text cannot be encoded.
    """
    facts = _facts_of(entry.intent, entry.attempts, entry.settlement)
    return (*facts, _checksum(facts), entry.owner, micros(entry.lease_until), entry.note)


def state_values(entry: Entry) -> tuple[object, ...]:
    """Return the values of the columns of an entry that can change."""
    return row_values(entry)[_INTENT:]


def entry_of(row: Sequence[Any]) -> Entry:
    """Make the entry of a row with all `COLUMNS`.

    Columns that the checksum does not cover (lease and note) may be damaged: they only decide who waits for whom.

    Raises:
        DamagedEntryError: the checksum does not fit.
    """
    position, facts = row[0], row[1 : _FACTS + 1]
    stored_checksum, owner, lease_until, note = row[_FACTS + 1 :]
    if not _fits(facts, stored_checksum):
        reason = "what it holds does not fit its checksum"
        damaged = DamagedEntry(position=position, payment=_shown(facts[3]), reason=reason, earliest=_earliest(facts))
        raise DamagedEntryError.of(damaged)
    key, api, operation, payment, msn, amount, currency, digest, body, created, origin, reference, *rest = facts
    adjusts, begun, ended, last_at, refusal, looked_at, outcome, answer, settled_at = rest
    settlement = None
    if outcome is not None:
        settlement = Settlement(outcome=Outcome(outcome), answer=answer, settled_at=moment(settled_at))
    return Entry(
        intent=Intent(
            key=key,
            api=api,
            operation=operation,
            payment=payment,
            merchant_serial_number=msn,
            amount=amount,
            currency=currency,
            digest=digest,
            body=body,
            created_at=moment(created),
            origin=KeyOrigin(origin),
            reference=reference,
            adjusts=bool(adjusts),
        ),
        attempts=Attempts(
            begun=begun,
            ended=ended,
            last_at=moment(last_at),
            refusal=refusal,
            looked_at=None if looked_at is None else moment(looked_at),
        ),
        settlement=settlement,
        owner=owner if isinstance(owner, str) else "",
        lease_until=_any_moment(lease_until),
        note=str(note),
    )


def read_row(row: Sequence[Any]) -> tuple[int, Entry | DamagedEntry]:
    """Return position and entry of a row with all `COLUMNS`; of an unreadable row a `DamagedEntry`."""
    try:
        return row[0], entry_of(row)
    except DamagedEntryError as error:
        return row[0], error.damaged


def _fits(facts: Sequence[Any], stored_checksum: object) -> bool:
    try:
        return _checksum(facts) == stored_checksum
    except (TypeError, ValueError):
        # A damaged text that is none any more.
        return False


def _earliest(facts: Sequence[Any]) -> datetime | None:
    """Return the earliest time of damaged facts; None: one of them is no time."""
    times = [facts[_CREATED_AT], facts[_LAST_AT], *([] if facts[_SETTLED_AT] is None else [facts[_SETTLED_AT]])]
    try:
        return min(map(moment, times))
    except (TypeError, OverflowError):
        return None


def _any_moment(stored: object) -> datetime:
    try:
        return moment(stored) if isinstance(stored, int) else _EPOCH
    except OverflowError:
        return _EPOCH


def _shown(payment: object) -> str:
    """Make a text that may be damaged fit to be shown."""
    return ascii(payment)[1:-1][:100] if isinstance(payment, str) else "unknown"
