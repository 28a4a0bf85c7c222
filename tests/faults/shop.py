"""A shop for tests: a sandbox, a line to it that fails as told, and a journal whose clock the test sets."""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from attrs import define, field

from tests.faults.apis import APIS
from vipps_async import AiohttpTransport, Credentials, RetryPolicy, VippsSession
from vipps_async.core.clock import SystemClock
from vipps_async.errors import OutcomeUnknown, RequestNotSent
from vipps_async.journals.entries import Entry
from vipps_async.journals.memory import MemoryJournal
from vipps_async.journals.protocol import Journal
from vipps_async.testing import Sandbox
from vipps_async.transports.protocol import Request, Response, Transport

#: One attempt a call and one look at details, so that each fault is seen by itself: the budget pays for no more.
ONE_TRY = RetryPolicy(attempts=1, deadline=20.0, budget=13)
#: Two attempts at once, for tests that fail a lot; a call that stays in doubt looks at details for a second or two.
TWO_TRIES = RetryPolicy(attempts=2, base=0.001, cap=0.001, throttled_base=0.001, deadline=2.0, budget=1_000_000)

#: Words that must not turn up anywhere but in requests.
CREDENTIALS = Credentials(
    client_id="canary-client-id",
    client_secret="canary-client-secret",
    subscription_key="canary-subscription-key",
    merchant_serial_number="123456",
)


class Fault(enum.Enum):
    """What the line does to one request."""

    NOT_SENT = "not sent, and known to be"
    LOSE_REQUEST = "lost before Vipps"
    LOSE_ANSWER = "lost after it took effect"
    ERROR_BEFORE = "HTTP 503, nothing done"
    ERROR_AFTER = "HTTP 502 after it took effect"
    HTML = "HTTP 200 with a page of a proxy, nothing done"
    CUT = "HTTP 200 with half the answer"
    BUG = "a mistake in the transport after it took effect"


class LossyTransport:
    """Sends through another transport, and does to each request what is planned for its path's ending."""

    def __init__(self, inner: Transport) -> None:
        self.inner = inner
        self.requests: list[Request] = []
        self.plan: dict[str, deque[Fault | None]] = {}
        self.always: dict[str, Fault] = {}

    def fail(self, ending: str, *faults: Fault | None) -> None:
        """Plan what happens to the next requests whose path ends so; None lets one through."""
        self.plan.setdefault(ending, deque()).extend(faults)

    def sent(self, ending: str) -> list[Request]:
        """Return the requests whose path ends so, those that got lost included."""
        return [request for request in self.requests if urlsplit(request.url).path.endswith(ending)]

    async def send(self, request: Request) -> Response:
        """Send one request, or pretend to; which sandbox it is may always be asked, and is none of the requests."""
        if request.url.endswith("/sandbox/instance"):
            return await self.inner.send(request)
        self.requests.append(request)
        fault = self._next(urlsplit(request.url).path)
        if fault is Fault.NOT_SENT:
            raise RequestNotSent("connection refused")
        if fault is Fault.LOSE_REQUEST:
            raise OutcomeUnknown("the connection broke")
        if fault is Fault.ERROR_BEFORE:
            return Response(status=503, body=b"")
        if fault is Fault.HTML:
            return Response(status=200, body=b"<html>Please log in</html>")
        response = await self.inner.send(request)
        if fault is Fault.LOSE_ANSWER:
            raise OutcomeUnknown("the connection broke")
        if fault is Fault.ERROR_AFTER:
            return Response(status=502, body=b"")
        if fault is Fault.CUT:
            return Response(status=response.status, body=response.body[: len(response.body) // 2])
        if fault is Fault.BUG:
            raise TypeError("a mistake in a transport")
        return response

    def _next(self, path: str) -> Fault | None:
        for ending, faults in self.plan.items():
            if path.endswith(ending) and faults:
                return faults.popleft()
        return next((fault for ending, fault in self.always.items() if path.endswith(ending)), None)

    async def aclose(self) -> None:
        """Close what is behind it."""
        await self.inner.aclose()


class Hands:
    """A clock whose hands the test moves."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Tell the time."""
        return self.time

    def let_leases_run_out(self) -> None:
        """Go on to a time at which no lease is left."""
        self.time += timedelta(hours=1)


class MovedClock(SystemClock):
    """The machine's clock, with a time of day that the test moves on."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        """Tell the time of day."""
        return super().now() + self.ahead


@define
class Shop:
    """All that one test needs."""

    sandbox: Sandbox
    line: LossyTransport
    hands: Hands
    journal: Journal
    clock: MovedClock = field(factory=MovedClock)
    sessions: list[VippsSession] = field(factory=list)

    def session(
        self,
        *,
        journal: Journal | None = None,
        retry: RetryPolicy = ONE_TRY,
        credentials: Credentials = CREDENTIALS,
        journalled: bool = True,
        settle_after: float = 86_400.0,
    ) -> VippsSession:
        """Make a session; it is closed with the shop."""
        session = VippsSession(
            credentials,
            base_url=self.sandbox.url,
            transport=self.line,
            journal=(journal or self.journal) if journalled else None,
            retry=retry,
            settle_after=settle_after,
            clock=self.clock,
        )
        self.sessions.append(session)
        return session

    async def reserve(self, order_id: str = "order-1", amount: int = 50_000, api: str = "ecom") -> None:
        """Let a customer approve an order, without a trace in the journal."""
        async with self.sandbox.session(CREDENTIALS) as vipps:
            await APIS[api].create(vipps, order_id, amount, "Socks", "https://example.com/back")
        await self.sandbox.approve(order_id)

    async def entries(self, order_id: str = "order-1") -> list[Entry]:
        """Return what the journal has of an order."""
        await self.journal.open()
        return await self.journal.find(payment=order_id, merchant_serial_number=CREDENTIALS.merchant_serial_number)

    async def entry(self, order_id: str = "order-1") -> Entry:
        """Return the one entry of an order."""
        (entry,) = await self.entries(order_id)
        return entry


@asynccontextmanager
async def open_shop(journal: Journal | None = None) -> AsyncIterator[Shop]:
    """Open a shop; a journal that is handed in is open already, or closed with the first session."""
    hands = Hands()
    if journal is None:
        journal = MemoryJournal(clock=hands)
        await journal.open()
    line = LossyTransport(AiohttpTransport())
    async with Sandbox(rate_limits=False) as sandbox:
        shop = Shop(sandbox=sandbox, line=line, hands=hands, journal=journal)
        try:
            yield shop
        finally:
            for session in shop.sessions:
                await session.aclose()
            await line.aclose()
