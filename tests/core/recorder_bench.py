"""A recorder over a scripted pipeline, and a journal that fails where a test says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, cast

from attrs import frozen

from vipps_async import ApiError, JournalError, VippsSession
from vipps_async.core.attempts import AttemptRecord
from vipps_async.core.clock import SystemClock
from vipps_async.core.events import EventLog
from vipps_async.core.operation import AuditInfo, Call
from vipps_async.core.pipeline import Pipeline
from vipps_async.core.recorder import Recorder
from vipps_async.core.verdict import Verdict
from vipps_async.ecom.calls import rebuild_call
from vipps_async.ecom.enums import TransactionStatus
from vipps_async.ecom.operations import CAPTURE
from vipps_async.ecom.requests import MerchantInfoPayment, PaymentActionsRequest, Transaction
from vipps_async.ecom.responses import CaptureResult, TransactionInfo
from vipps_async.journals.entries import Entry, Intent, KeyOrigin, Settlement, World
from vipps_async.journals.memory import MemoryJournal
from vipps_async.journals.protocol import AcquireResult

__all__ = [
    "DONE",
    "KEY",
    "Bench",
    "BrokenJournal",
    "Ends",
    "ScriptedPipeline",
    "bench",
    "capture",
    "capture_call",
    "fail",
    "hang",
]


KEY = "key-1"


async def capture(vipps: VippsSession, *, amount: int = 10_000, key: str = KEY, payment: str = "order-1") -> Any:
    """Capture a part of an order."""
    return await vipps.ecom.capture(payment, amount=amount, transaction_text="Shipped", idempotency_key=key)


class BrokenJournal(MemoryJournal):
    """Fails, hangs or errs where a test tells it to."""

    def __init__(
        self, clock: Callable[[], datetime] = lambda: datetime.now(UTC), /, **on: Callable[[], Awaitable[None]]
    ) -> None:
        super().__init__(clock=clock)
        self.on = on

    async def begin(
        self, intent: Intent, *, owner: str, lease: float, adopt: bool = False
    ) -> tuple[AcquireResult, Entry]:
        """See Journal."""
        if "begin" in self.on:
            await self.on["begin"]()
        answer = await super().begin(intent, owner=owner, lease=lease, adopt=adopt)
        if "begun" in self.on:
            await self.on["begun"]()
        return answer

    async def settle(self, intent: Intent, settlement: Settlement, *, owner: str | None = None) -> None:
        """See Journal."""
        if "settle" in self.on:
            await self.on["settle"]()
        await super().settle(intent, settlement, owner=owner)

    async def attempt(self, intent: Intent, *, owner: str, at: datetime) -> AcquireResult:
        """See Journal."""
        if "attempt" in self.on:
            await self.on["attempt"]()
        acquired = await super().attempt(intent, owner=owner, at=at)
        if "attempted" in self.on:
            await self.on["attempted"]()
        return acquired

    async def release(self, intent: Intent, **how: Any) -> None:
        """See Journal."""
        if "release" in self.on:
            await self.on["release"]()
        await super().release(intent, **how)


async def fail() -> None:
    """Fail as a store does."""
    raise JournalError("the disk is full")


async def hang() -> None:
    """Never answer."""
    await asyncio.Event().wait()


@frozen
class Ends:
    """How a call ends in an error: what the pipeline notes of its attempts, and what it says of the operation."""

    error: BaseException
    #: None: it was raised before anything was tried.
    verdict: Verdict | None = None
    begun: int = 1
    ended: int = 0
    refusal: ApiError | None = None
    moved_otherwise: object = None
    left: bool = True


class ScriptedPipeline:
    """Ends each call as told, and looks into the journal while it is on its way."""

    def __init__(self, *ends: object, journal: MemoryJournal) -> None:
        self.clock = SystemClock()
        self.log = EventLog()
        self.ends = list(ends)
        self.journal = journal
        self.bodies: list[bytes | None] = []
        self.open_when_sent: list[int] = []

    async def run_rendered(self, call: Call[Any], body: bytes | None, record: AttemptRecord | None = None) -> Any:
        """Note what is sent, and end as the script says."""
        self.bodies.append(body)
        self.open_when_sent.append(len([entry async for entry in self.journal.open_entries()]))
        end = self.ends.pop(0)
        if isinstance(end, Ends):
            assert record is not None
            record.left = end.left
            if end.verdict is not None:
                record.begun, record.ended, record.refusal = end.begun, end.ended, end.refusal
            record.verdict, record.moved_otherwise = end.verdict, end.moved_otherwise
            raise end.error
        if isinstance(end, BaseException):
            raise end
        return end

    async def run(self, call: Call[Any]) -> Any:
        """Run a call that is not journalled."""
        return await self.run_rendered(call, None)


def capture_call(key: str = KEY, payment: str = "order-1", origin: KeyOrigin = KeyOrigin.GIVEN) -> Call[CaptureResult]:
    """Make a capture as the eCom API does, without a way to ask afterwards."""
    body = PaymentActionsRequest(
        merchant_info=MerchantInfoPayment(merchant_serial_number="123456"),
        transaction=Transaction(amount=100_00, transaction_text="Shipped"),
    )
    return Call(
        operation=CAPTURE,
        path=CAPTURE.path_for(payment),
        payment=payment,
        body=body,
        idempotency_key=key,
        audit=AuditInfo(amount=100_00, currency="NOK", origin=origin),
    )


@frozen
class Bench:
    """A runner over a scripted pipeline."""

    runner: Recorder
    pipeline: ScriptedPipeline
    journal: MemoryJournal

    async def entry(self) -> Entry:
        """Return the one entry."""
        (entry,) = [entry async for entry in self.journal.recent_entries()]
        return entry


async def _vipps() -> World:
    return World(environment="test", host="vipps")


@asynccontextmanager
async def bench(*ends: object, journal: MemoryJournal | None = None, deadline: float = 20.0) -> AsyncIterator[Bench]:
    """Put a runner before a script."""
    journal = journal or MemoryJournal()
    pipeline = ScriptedPipeline(*ends, journal=journal)
    runner = Recorder(
        cast("Pipeline", pipeline),
        journal,
        rebuild=rebuild_call,
        merchant_serial_number="123456",
        deadline=deadline,
        settle_after=86_400,
        find_world=_vipps,
    )
    yield Bench(runner, pipeline, journal)
    await runner.aclose()


DONE = CaptureResult(order_id="order-1", transaction=TransactionInfo(amount=100_00, status=TransactionStatus.CAPTURED))
