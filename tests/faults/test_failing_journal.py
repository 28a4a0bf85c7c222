"""A journal that fails after the fact: the caller must not be told "no money moved" where recovery may yet move it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.faults.storm import CREDENTIALS
from vipps_async import (
    CaptureError,
    Effect,
    JournalError,
    MemoryJournal,
    RequestNotSent,
    RetryPolicy,
    VippsError,
    VippsSession,
)
from vipps_async.testing import ScriptedTransport, answer

#: Vipps' own words for "more than is reserved".
_REFUSAL = answer(400, [{"errorGroup": "Payment", "errorCode": "61", "errorMessage": "Too much."}])
_KEY = "acme-1-capture"


class _Journal(MemoryJournal):
    """Fails or hangs where it is told to."""

    def __init__(self, fails: str = "", hangs: str = "") -> None:
        super().__init__()
        self._fails, self._hangs = fails, hangs
        self.calls: list[str] = []

    async def _trouble(self, name: str) -> None:
        self.calls.append(name)
        if name == self._hangs:
            await asyncio.Event().wait()
        if name == self._fails:
            raise JournalError("the disk is full")

    async def begin(self, *given: Any, **more: Any) -> Any:
        """Note it, then have trouble: the answer is what gets lost."""
        found = await super().begin(*given, **more)
        await self._trouble("begin")
        return found

    async def settle(self, *given: Any, **more: Any) -> None:
        """Have trouble, then settle."""
        await self._trouble("settle")
        await super().settle(*given, **more)

    async def flush(self) -> None:
        """Have trouble."""
        await self._trouble("flush")


async def _error(journal: _Journal, reply: Any) -> VippsError:
    # A refused call with a given key looks once whether the key was used before.
    absent = answer(
        200, {"transactionLogHistory": [{"amount": 1_000, "operation": "RESERVE", "operationSuccess": True}]}
    )
    transport = ScriptedTransport().on("/capture", then=reply).on("/details", then=absent)
    retry = RetryPolicy(attempts=1, deadline=0.3)
    session = VippsSession(CREDENTIALS, transport=transport, journal=journal, retry=retry)
    with pytest.raises(VippsError) as caught:
        await session.ecom.capture("acme-1", amount=1_000, transaction_text="Socks.", idempotency_key=_KEY)
    return caught.value


@pytest.mark.parametrize(("reply", "kind"), [(RequestNotSent("unplugged"), RequestNotSent), (_REFUSAL, CaptureError)])
async def test_that_nothing_happened_is_durable_before_the_caller_learns_it(reply: Any, kind: type[VippsError]) -> None:
    """An error that says "no money moved" comes after the journal has been flushed."""
    journal = _Journal()
    error = await _error(journal, reply)
    assert isinstance(error, kind)
    assert error.effect is Effect.NONE
    assert journal.calls == ["begin", "settle", "flush"]


@pytest.mark.parametrize("where", ["settle", "flush"])
@pytest.mark.parametrize("reply", [RequestNotSent("unplugged"), _REFUSAL], ids=["not sent", "refused"])
async def test_what_the_journal_could_not_note_is_not_called_harmless(where: str, reply: Any) -> None:
    """If the journal may still have it open, recovery may carry it out: the error says so, and to keep the key."""
    error = await _error(_Journal(fails=where), reply)
    assert error.effect is Effect.POSSIBLE
    assert "same idempotency key" in error.advice
    assert error.idempotency_key == _KEY


async def test_a_journal_that_answers_too_late_may_hold_the_intent_all_the_same() -> None:
    """A call that gave up waiting for the journal says that recovery may carry it out, and to keep the key."""
    error = await _error(_Journal(hangs="begin"), RequestNotSent("unplugged"))
    assert isinstance(error, JournalError)
    assert error.effect is Effect.POSSIBLE
    assert "same idempotency key" in error.advice
    assert error.idempotency_key == _KEY
