"""Rules of the client, broken on purpose: storm and kills must notice each of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import evolve

from vipps_async import AcquireResult, Outcome
from vipps_async.core import stored_outcome
from vipps_async.core.answer_reader import AnswerReader
from vipps_async.core.ending import Ending
from vipps_async.core.operation import Repeat
from vipps_async.core.pipeline import Pipeline, render
from vipps_async.core.recorder import Recorder
from vipps_async.core.verdict import Verdict
from vipps_async.epayment import errors, reconcile
from vipps_async.errors import Effect, OutcomeUnknown, RequestNotSent
from vipps_async.idempotency_keys import new_idempotency_key
from vipps_async.journals import slots

__all__ = ["BROKEN"]

#: Sets an attribute of an object: `monkeypatch.setattr`, or `setattr` in a process that is killed anyway.
SetAttribute = Callable[[Any, str, Any], None]


def _new_key_for_each_attempt(set_attribute: SetAttribute) -> None:
    attempt = Pipeline._attempt

    async def broken(self: Pipeline, call: Any, body: Any, must_end: float, *, number: int, **more: Any) -> Any:
        if number > 1 and call.operation.repeat is Repeat.KEYED:
            call = evolve(call, idempotency_key=new_idempotency_key())
        return await attempt(self, call, body, must_end, number=number, **more)

    set_attribute(Pipeline, "_attempt", broken)


def _settle_before_send(set_attribute: SetAttribute) -> None:
    carry_out = Recorder._carry_out

    async def broken(self: Recorder, call: Any, body: Any, entry: Any, owner: str) -> Any:
        await self.settle(entry.intent, Outcome.DONE, b"{}", owner=owner)
        return await carry_out(self, call, body, entry, owner)

    set_attribute(Recorder, "_carry_out", broken)


def _intent_after_send(set_attribute: SetAttribute) -> None:
    run = Recorder.run

    async def broken(self: Recorder, call: Any) -> Any:
        if call.operation.repeat is not Repeat.KEYED:
            return await run(self, call)
        result = await self._pipeline.run(call)
        intent = self._intent(call, render(call))
        acquired, _ = await self.journal.begin(intent, owner="broken", lease=self._lease)
        if acquired is AcquireResult.ACQUIRED:
            await self.settle(intent, Outcome.DONE, stored_outcome.answer_record(call, result), owner="broken")
        return result

    set_attribute(Recorder, "run", broken)


def _unknown_noted_as_not_done(set_attribute: SetAttribute) -> None:
    note_failure = Recorder.note_failure

    async def broken(self: Recorder, call: Any, entry: Any, record: Any, error: Any, *, owner: str) -> Any:
        if record.verdict is Verdict.OPEN:
            record.verdict = Verdict.NOT_APPLIED
        return await note_failure(self, call, entry, record, error, owner=owner)

    set_attribute(Recorder, "note_failure", broken)


def _unknown_told_as_not_sent(set_attribute: SetAttribute) -> None:
    to_raise = Ending.to_raise

    def broken(self: Ending) -> Any:
        error, cause = to_raise(self)
        return (RequestNotSent(error.message) if isinstance(error, OutcomeUnknown) else error), cause

    set_attribute(Ending, "to_raise", broken)


def _unreadable_answer_is_a_failure(set_attribute: SetAttribute) -> None:
    unreadable = AnswerReader._unreadable

    def broken(self: AnswerReader, call: Any, response: Any, token: Any, why: str, _effect: Effect) -> Any:
        return unreadable(self, call, response, token, why, Effect.NONE)

    set_attribute(AnswerReader, "_unreadable", broken)


def _failed_event_is_a_success(set_attribute: SetAttribute) -> None:
    interpret = reconcile._interpret_by_key

    def broken(events: Any, **more: Any) -> Any:
        return interpret(tuple(evolve(event, success=True) for event in events), **more)

    set_attribute(reconcile, "_interpret_by_key", broken)


def _done_before_is_a_refusal(set_attribute: SetAttribute) -> None:
    codes = {
        code: evolve(rule, unsettled=False, suggests_effect=False) if code in {"6170", "6180", "6190"} else rule
        for code, rule in errors._CODES.items()
    }
    set_attribute(errors, "_CODES", codes)


def _open_to_both_apis(set_attribute: SetAttribute) -> None:
    set_attribute(slots, "open_beside", lambda *_, **__: None)


#: Name of a rule → what breaks it.
BROKEN: dict[str, Callable[[SetAttribute], None]] = {
    "a new key for each attempt": _new_key_for_each_attempt,
    "settle before send": _settle_before_send,
    "intent after send": _intent_after_send,
    "unknown noted as not done": _unknown_noted_as_not_done,
    "unknown told as not sent": _unknown_told_as_not_sent,
    "an unreadable answer is a failure": _unreadable_answer_is_a_failure,
    "a failed event is a success": _failed_event_is_a_success,
    "done before is a refusal": _done_before_is_a_refusal,
    "open to both APIs": _open_to_both_apis,
}
