"""Stored outcomes: how the end of a call is written to the journal, and how later calls are answered from it."""

from __future__ import annotations

import hashlib
from typing import Any, Final, TypeVar

from vipps_async.core.attempts import AttemptRecord
from vipps_async.core.converter import UnreadableAnswer, decode, encode
from vipps_async.core.ending import moved_otherwise
from vipps_async.core.operation import Call, SettledBy, mark_settled_by
from vipps_async.core.pipeline import render
from vipps_async.core.stored_error import dropped_text, read_stored_error, write_stored_error
from vipps_async.core.verdict import Verdict
from vipps_async.errors import Effect, IdempotencyMismatchError, JournalError, OrderLockedError, VippsError
from vipps_async.journals.entries import Attempts, Entry, Intent, Outcome
from vipps_async.journals.protocol import AcquireResult
from vipps_async.money import format_amount

R = TypeVar("R")

#: What the journal notes of each verdict but OPEN.
OUTCOMES: Final = {
    Verdict.APPLIED: Outcome.DONE,
    Verdict.REFUSED: Outcome.REFUSED,
    Verdict.NOT_APPLIED: Outcome.NOT_DONE,
}


def attempts_after(entry: Entry, record: AttemptRecord) -> Attempts:
    """Return an entry's attempts after a call; the journal itself has counted those that were begun."""
    attempts = entry.attempts
    return Attempts(
        begun=attempts.begun + record.counted,
        # What could not be counted is none of the journal's attempts, so its end is none, either.
        ended=attempts.ended + record.ended - record.uncounted,
        last_at=record.last_at or attempts.last_at,
        refusal=write_stored_error(record.refusal) if record.refusal is not None else b"",
    )


def answer_record(call: Call[R], result: R) -> bytes:
    """Render a result as the journal stores it."""
    # The answer of initiate holds a token in its URL; that it was answered is all that recovery needs to know.
    return encode(result) if call.audit is not None and call.audit.keep_answer else b"{}"


def answer_on_record(
    call: Call[R], acquired: AcquireResult, entry: Entry, *, settled_by: SettledBy = SettledBy.JOURNAL
) -> R:
    """Return the stored result of a call that the journal does not let be sent, or raise.

    Args:
        call: the call.
        acquired: why it is not to be sent: any but ACQUIRED.
        entry: the entry that stands for it, or in its way.
        settled_by: what the result then rests on.

    Raises:
        VippsError: as it was recorded; or why nothing was sent now, and no result can be given.
    """
    intent = entry.intent
    if acquired is AcquireResult.CLOSED:
        raise about(call, _closed_by(intent))
    if acquired is AcquireResult.DROPPED:
        raise about(call, _dropped(entry))
    if acquired is AcquireResult.MISMATCH:
        text = f"the journal has this idempotency key since {intent.created_at:%Y-%m-%d %H:%M:%S} UTC"
        text = f"{text} with another {_difference(call, intent)}; nothing was sent"
        raise about(call, IdempotencyMismatchError(text, status=0))
    settlement = entry.settlement
    if acquired is AcquireResult.HELD or settlement is None:
        text = "another worker has leased this very operation"
        raise about(call, OrderLockedError(text, status=0, retryable=True, effect=Effect.POSSIBLE))
    if settlement.outcome is Outcome.REFUSED:
        raise about(call, read_stored_error(settlement, call.operation.error))
    try:
        result = decode(settlement.answer, call.operation.result)
    except UnreadableAnswer as error:
        text = f"the journal has it as done since {settlement.settled_at:%Y-%m-%d %H:%M:%S} UTC"
        text = f"{text}, but the answer on record cannot be read ({error.reason}); nothing was sent now"
        advice = "do not do it again under a new key; look the payment's sums up"
        raise about(call, JournalError(text, effect=Effect.PROBABLE, advice=advice)) from error
    misfit = None if call.operation.misfit is None else call.operation.misfit(call, result)
    if misfit is not None:
        text = f"{misfit}, on record since {settlement.settled_at:%Y-%m-%d %H:%M:%S} UTC"
        raise about(call, moved_otherwise(text, mark_settled_by(result, settled_by)))
    return mark_settled_by(result, settled_by)


def on_record(call: Call[R], entry: Entry) -> R | None:
    """Return the stored result that `Recorder.run` would return without sending; None: it would send the call.

    Args:
        call: what would be run.
        entry: what the journal has of it, under its key.

    Raises:
        JournalError: the outcome on record cannot be read.
        IdempotencyMismatchError: the entry has another payload.
        VippsError: as it was recorded for this key.
    """
    acquired = AcquireResult.SETTLED
    if entry.intent.digest != hashlib.sha256(render(call) or b"").hexdigest():
        acquired = AcquireResult.MISMATCH
    elif entry.settlement is None or entry.settlement.outcome is Outcome.NOT_DONE:
        return None
    return answer_on_record(call, acquired, entry)


def _difference(call: Call[Any], intent: Intent) -> str:
    """Name what an intent has that a call under its key has not: the amount, if that is it."""
    if call.audit is None or call.audit.amount == intent.amount:
        return "payload"
    earlier = "all that remains" if intent.amount is None else format_amount(intent.amount, intent.currency)
    return f"amount, {earlier}"


def _closed_by(intent: Intent) -> OrderLockedError:
    return OrderLockedError(
        f"{intent.name} of this payment is open since {intent.created_at:%Y-%m-%d %H:%M:%S} UTC under the key "
        f"{intent.key}, and may have moved money; nothing was sent now",
        status=0,
        effect=Effect.POSSIBLE,
        advice=(
            "settle that one first: wait for its call to end, or run recovery (`recover`, or `vipps-async journal "
            "recover`); then look the payment up before you ask for more, under an idempotency key of its own"
        ),
    )


def _dropped(entry: Entry) -> OrderLockedError:
    intent = entry.intent
    return OrderLockedError(
        f"it is open since {intent.created_at:%Y-%m-%d %H:%M:%S} UTC under the key {intent.key}, may have moved money, "
        f"and was {dropped_text(entry.attempts)}; nothing was sent now",
        status=0,
        effect=Effect.POSSIBLE,
        advice=(
            "to have it sent after all, `vipps-async journal send` or `recover(send=[key])`; if another one is meant, "
            "give it an idempotency key of its own"
        ),
    )


def about(call: Call[Any], error: VippsError) -> VippsError:
    """Return an error with operation, payment and key of its call in it."""
    error.operation = call.operation.name
    error.payment = call.payment
    error.idempotency_key = call.idempotency_key
    return error
