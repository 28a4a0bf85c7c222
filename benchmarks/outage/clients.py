"""Who captures: a process with the shipped session in it, and one that is written as retries often are."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from types import SimpleNamespace
from typing import Protocol, TypedDict
from unittest.mock import patch

from attrs import evolve, frozen

from benchmarks.outage.line import Line
from benchmarks.outage.vendor import AMOUNT
from vipps_async import (
    AcquireResult,
    Attempts,
    Credentials,
    Entry,
    Intent,
    MemoryJournal,
    RetryPolicy,
    Settlement,
    VippsError,
    VippsSession,
)
from vipps_async.batch import BatchRow, RowOutcome, capture_many
from vipps_async.batch.results import outcome_of
from vipps_async.config import Timeouts
from vipps_async.core.clock import Timers
from vipps_async.core.retry import pause_before
from vipps_async.errors import OutcomeUnknown, RequestNotSent, TransportError
from vipps_async.transports.protocol import Request

__all__ = ["CLIENTS", "Client", "Known", "NoRetry", "PatientRetry", "Process", "ShippedProcess"]

CREDENTIALS = Credentials(
    client_id="simulated", client_secret="simulated", subscription_key="simulated", merchant_serial_number="123456"
)
TEXT = "Shipped."
_BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
#: Rows at once in the batch of a process that is not ours: what `capture_many` has by default.
_ROWS_AT_ONCE = 32


class Known(enum.Enum):
    """What a client says of one capture."""

    CAPTURED = "captured"
    #: It certainly has not taken effect.
    NOT_DONE = "not done"
    UNKNOWN = "unknown"


class Process(Protocol):
    """One process of a merchant."""

    async def capture(self, order_id: str) -> Known:
        """Capture one order and say what became of it."""
        ...

    def capture_rows(self, order_ids: Sequence[str]) -> AsyncIterator[tuple[str, Known]]:
        """Capture many orders once through, and say of each what became of it; of those not begun nothing is said."""
        ...

    async def open(self) -> None:
        """Begin."""
        ...

    async def recover(self) -> None:
        """Find out what became of captures of unknown outcome, if it knows how."""
        ...

    def unknown(self) -> set[str]:
        """Return the orders of which it does not know what became."""
        ...

    async def aclose(self) -> None:
        """End it."""
        ...


class _LoopClock:
    """The session's clock, made of the event loop's, so that virtual seconds pass for it too."""

    def monotonic(self) -> float:
        """See Clock."""
        return asyncio.get_running_loop().time()

    def now(self) -> datetime:
        """See Clock."""
        return _BEGINNING + timedelta(seconds=self.monotonic())

    async def sleep(self, seconds: float) -> None:
        """See Clock."""
        await asyncio.sleep(seconds)

    def timers(self) -> Timers:
        """See Clock."""
        return asyncio.get_running_loop()


class _WatchedJournal(MemoryJournal):
    """Knows at any time what is open and leased by nobody: that is what has no known outcome."""

    def __init__(self, *, clock: Callable[[], datetime]) -> None:
        super().__init__(clock=clock)
        self.loose: set[str] = set()

    async def begin(
        self, intent: Intent, *, owner: str, lease: float, adopt: bool = False
    ) -> tuple[AcquireResult, Entry]:
        """See Journal."""
        self.loose.discard(intent.payment)
        return await super().begin(intent, owner=owner, lease=lease, adopt=adopt)

    async def claim(self, intent: Intent, *, owner: str, lease: float) -> tuple[AcquireResult, Entry]:
        """See Journal."""
        self.loose.discard(intent.payment)
        return await super().claim(intent, owner=owner, lease=lease)

    async def settle(self, intent: Intent, settlement: Settlement, *, owner: str | None = None) -> None:
        """See Journal."""
        self.loose.discard(intent.payment)
        await super().settle(intent, settlement, owner=owner)

    async def release(
        self,
        intent: Intent,
        *,
        note: str,
        owner: str | None = None,
        attempts: Attempts | None = None,
        unsent: bool = False,
    ) -> None:
        """See Journal."""
        self.loose.add(intent.payment)
        await super().release(intent, note=note, owner=owner, attempts=attempts, unsent=unsent)


class SideWork(TypedDict, total=False):
    """What may be asked of a batch or a recovery; what is not given is left to the defaults."""

    concurrency: int


class ShippedProcess:
    """`VippsSession` with a journal and `capture_many` as they are shipped: only clock, dice and line are replaced."""

    def __init__(self, line: Line, random: Random, retry: RetryPolicy, side_work: int | None) -> None:
        """Start one; `side_work` is as in `Client`."""
        self._side_work: SideWork = {} if side_work is None else {"concurrency": side_work}
        clock = _LoopClock()
        self._journal = _WatchedJournal(clock=clock.now)
        with (
            patch("vipps_async.core.pipeline.SystemClock", _LoopClock),
            patch("vipps_async.core.pipeline.random", SimpleNamespace(Random=lambda: random)),
        ):
            self.session = VippsSession(CREDENTIALS, transport=line, journal=self._journal, retry=retry)

    async def open(self) -> None:
        """See Process."""
        await self._journal.open()

    async def capture(self, order_id: str) -> Known:
        """See Process."""
        try:
            await self.session.ecom.capture(order_id, transaction_text=TEXT, amount=AMOUNT)
        except VippsError as error:
            return Known.UNKNOWN if outcome_of(error) is RowOutcome.UNKNOWN else Known.NOT_DONE
        return Known.CAPTURED

    async def capture_rows(self, order_ids: Sequence[str]) -> AsyncIterator[tuple[str, Known]]:
        """See Process."""
        rows = [BatchRow(payment=each, text=TEXT, amount=AMOUNT, reference=each) for each in order_ids]
        try:
            async for result in capture_many(self.session.ecom, rows, **self._side_work):
                if result.outcome in {RowOutcome.DONE, RowOutcome.DONE_BEFORE}:
                    yield result.row.payment, Known.CAPTURED
                elif result.outcome is not RowOutcome.NOT_BEGUN:
                    unknown = result.outcome is RowOutcome.UNKNOWN
                    yield result.row.payment, Known.UNKNOWN if unknown else Known.NOT_DONE
        except TransportError:
            # Vipps has not answered for minutes: the batch gave up.
            return

    async def recover(self) -> None:
        """See Process."""
        await self.session.recover(**self._side_work)

    def unknown(self) -> set[str]:
        """See Process."""
        return self._journal.loose

    async def aclose(self) -> None:
        """See Process."""
        await self.session.aclose()


class NoRetry:
    """One attempt with a key, and nothing else: no journal, no question afterwards."""

    def __init__(self, line: Line, random: Random) -> None:
        self._line = line
        self._random = random
        self._unknown: set[str] = set()

    async def capture(self, order_id: str) -> Known:
        """See Process."""
        known = await self._attempt(order_id)
        if known is Known.UNKNOWN:
            self._unknown.add(order_id)
        elif known is Known.CAPTURED:
            self._unknown.discard(order_id)
        return known

    async def capture_rows(self, order_ids: Sequence[str]) -> AsyncIterator[tuple[str, Known]]:
        """See Process: always as many at once."""
        results: asyncio.Queue[tuple[str, Known]] = asyncio.Queue()
        rows = iter(order_ids)

        async def work() -> None:
            for order_id in rows:
                results.put_nowait((order_id, await self.capture(order_id)))

        async with asyncio.TaskGroup() as group:
            for _ in range(_ROWS_AT_ONCE):
                group.create_task(work())
            for _ in order_ids:
                yield await results.get()

    async def open(self) -> None:
        """See Process."""

    async def recover(self) -> None:
        """See Process: it has nothing to recover from."""

    def unknown(self) -> set[str]:
        """See Process."""
        return self._unknown

    async def aclose(self) -> None:
        """See Process."""

    def _key(self, order_id: str) -> str:
        """Return the key of an order: as good as any, if it stays the same on every attempt."""
        return order_id

    async def _attempt(self, order_id: str, *, seconds: float = Timeouts().total) -> Known:
        request = Request(
            method="POST",
            url=f"https://api.vipps.no/ecomm/v2/payments/{order_id}/capture",
            headers={"X-Request-Id": self._key(order_id)},
            body=b"{}",
            timeouts=Timeouts() if seconds >= Timeouts().total else evolve(Timeouts(), total=seconds),
        )
        try:
            response = await self._line.send(request)
        except RequestNotSent:
            return Known.NOT_DONE
        except OutcomeUnknown:
            return Known.UNKNOWN
        if response.status == 200:
            return Known.CAPTURED
        return Known.UNKNOWN if response.status >= 500 else Known.NOT_DONE


class PatientRetry(NoRetry):
    """Tries until its deadline, as often as that allows; back-off, jitter and key are as good as ours."""

    async def _attempt(self, order_id: str, *, seconds: float = RetryPolicy().deadline) -> Known:
        now = asyncio.get_running_loop().time
        ends = now() + seconds
        retries, doubtful = 0, False
        while True:
            known = await super()._attempt(order_id, seconds=ends - now())
            doubtful = doubtful or known is Known.UNKNOWN
            retries += 1
            pause = pause_before(retries, RetryPolicy(), self._random, throttled=False)
            if known is Known.CAPTURED:
                return known
            if now() + pause >= ends:
                return Known.UNKNOWN if doubtful else known
            await asyncio.sleep(pause)


@frozen(kw_only=True)
class Client:
    """One way of writing a client."""

    #: In the CSV.
    name: str
    #: In the plot and the table.
    title: str
    #: The policy of the shipped session; None: it is another client.
    retry: RetryPolicy | None = None
    #: Rows of its batch, and entries of its recoveries, in work at the same time; None: the defaults.
    side_work: int | None = None
    #: What it is if it is not the shipped session.
    other: type[NoRetry] | None = None

    def start(self, line: Line, random: Random) -> Process:
        """Start a process of it."""
        if self.retry is not None:
            return ShippedProcess(line, random, self.retry, self.side_work)
        assert self.other is not None
        return self.other(line, random)


#: A budget that no outage drains.
_ENDLESS = 10**9

CLIENTS = (
    Client(name="vipps_async", title="vipps_async", retry=RetryPolicy()),
    Client(name="gentle", title="vipps_async, `concurrency=1`", retry=RetryPolicy(), side_work=1),
    Client(name="no_budget", title="vipps_async without a budget", retry=RetryPolicy(budget=_ENDLESS)),
    Client(name="until_deadline", title="retry until the deadline", other=PatientRetry),
    Client(name="no_retry", title="no retry", other=NoRetry),
)
