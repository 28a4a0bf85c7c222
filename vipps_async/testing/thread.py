"""A sandbox in a thread of its own, for synchronous tests: `TestClient`, Flask, Django."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

from vipps_async.config import RetryPolicy, Timeouts
from vipps_async.journals.protocol import Journal
from vipps_async.sandbox import CallbackRecord, Customer, Faults, PaymentSnapshot, RequestRecord
from vipps_async.session import VippsSession
from vipps_async.testing.delivery import SyncRequest
from vipps_async.testing.sandbox import SHORT_WAIT, Sandbox
from vipps_async.transports.protocol import Transport

R = TypeVar("R")


class SandboxThread:
    """A sandbox that runs in a thread of its own and is driven by synchronous calls.

    Usage::

        with SandboxThread() as sandbox:
            app = make_app(sandbox.session)  # a session belongs to the event loop that it is used in
            ...
            sandbox.approve("acme-shop-123-order123abc")

    The methods are those of `SandboxServer`, and each returns when it is done. They would block the event loop of an
    asynchronous test: there, use `Sandbox`.

    Args:
        sandbox: the sandbox to run, not started; None: a new one with `longest_wait=SHORT_WAIT`.
    """

    def __init__(self, sandbox: Sandbox | None = None) -> None:
        self._sandbox = Sandbox(longest_wait=SHORT_WAIT) if sandbox is None else sandbox
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

    # -- life --------------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        if self._thread is not None:
            raise RuntimeError("the sandbox has been started before: make another one")
        started: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(started)), name="vipps sandbox", daemon=True
        )
        self._thread.start()
        try:
            started.result()
        except BaseException:
            self._thread.join()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        loop, self._loop = self._loop, None
        if loop is not None and self._thread is not None and self._stop is not None:
            loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()

    async def _serve(self, started: concurrent.futures.Future[None]) -> None:
        try:
            async with self._sandbox:
                self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
                started.set_result(None)
                await self._stop.wait()
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    def _await(self, make: Callable[[], Coroutine[Any, Any, R]]) -> R:
        if self._loop is None:
            raise RuntimeError("the sandbox does not run")
        return asyncio.run_coroutine_threadsafe(make(), self._loop).result()

    def _call(self, call: Callable[[], R]) -> R:
        async def called() -> R:
            return call()

        return self._await(called)

    # -- sessions --------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Where the sandbox answers; raises as `Sandbox.url`."""
        return self._sandbox.url

    @property
    def env(self) -> Mapping[str, str]:
        """See `Sandbox.env`."""
        return self._sandbox.env

    def session(
        self,
        *,
        transport: Transport | None = None,
        journal: Journal | None = None,
        retry: RetryPolicy | None = None,
        timeouts: Timeouts | None = None,
    ) -> VippsSession:
        """Make a session that talks to this sandbox, for the event loop that will use it; see `Sandbox.session`."""
        return self._sandbox.session(transport=transport, journal=journal, retry=retry, timeouts=timeouts)

    # -- customer, clock and faults ------------------------------------------------------------------------------

    def approve(
        self, order_id: str, *, customer: Customer | None = None, shipping_method_id: str | None = None
    ) -> PaymentSnapshot:
        """Let the customer approve in the app; see `SandboxServer.approve`."""
        return self._await(
            lambda: self._sandbox.approve(order_id, customer=customer, shipping_method_id=shipping_method_id)
        )

    def reject(self, order_id: str) -> PaymentSnapshot:
        """Let the customer decline in the app; see `SandboxServer.reject`."""
        return self._await(lambda: self._sandbox.reject(order_id))

    def open(self, order_id: str) -> PaymentSnapshot:
        """Let the customer open the payment in the app; see `SandboxServer.open`."""
        return self._await(lambda: self._sandbox.open(order_id))

    def expire(self, order_id: str) -> PaymentSnapshot:
        """Let the payment run out of time now; see `SandboxServer.expire`."""
        return self._await(lambda: self._sandbox.expire(order_id))

    @property
    def faults(self) -> Faults:
        """The faults to inject."""
        return self._sandbox.faults

    @property
    def clock(self) -> _ThreadClock:
        """The sandbox's clock, with `now()` and `advance(seconds)`."""
        return _ThreadClock(self._sandbox, self._call)

    @contextlib.contextmanager
    def refusing_connections(self) -> Iterator[None]:
        """Refuse connections inside the `with` block; see `SandboxServer.refusing_connections`."""
        refusing = self._sandbox.refusing_connections()
        self._await(refusing.__aenter__)
        try:
            yield
        finally:
            self._await(lambda: refusing.__aexit__(None, None, None))

    def deliver_held(self) -> int:
        """Deliver now all requests that faults hold; return how many those were."""
        return self._call(self._sandbox.deliver_held)

    def deliver_to(self, request: SyncRequest | None) -> None:
        """Deliver callbacks, webhooks and shipping requests by a function instead of HTTP, whatever their URL.

        For an application without a port: ``sandbox.deliver_to(client.request)``, with a `TestClient`. See
        `Sandbox.deliver_to`.
        """
        self._call(lambda: self._sandbox.deliver_in_thread_to(request))

    # -- what happened -----------------------------------------------------------------------------------------------

    def landing_url(self, order_id: str) -> str:
        """Return the URL that the customer was sent to; raises as `SandboxServer.landing_url`."""
        return self._call(lambda: self._sandbox.landing_url(order_id))

    def payment(self, order_id: str) -> PaymentSnapshot:
        """Return the sums and the history of a payment; raises as `SandboxServer.payment`."""
        return self._call(lambda: self._sandbox.payment(order_id))

    @property
    def payments(self) -> tuple[PaymentSnapshot, ...]:
        """The sums and histories of all payments."""
        return self._call(lambda: self._sandbox.payments)

    @property
    def requests(self) -> tuple[RequestRecord, ...]:
        """The last requests that were received, oldest first."""
        return self._call(lambda: self._sandbox.requests)

    @property
    def callbacks(self) -> tuple[CallbackRecord, ...]:
        """The last requests to the merchant, oldest first."""
        return self._call(lambda: self._sandbox.callbacks)

    def callbacks_delivered(self) -> None:
        """Wait until every callback so far, and every webhook that is due, has been attempted."""
        self._await(self._sandbox.callbacks_delivered)


class _ThreadClock:
    """The clock of a sandbox that runs in another thread."""

    def __init__(self, sandbox: Sandbox, call: Callable[[Callable[[], None]], None]) -> None:
        self._sandbox = sandbox
        self._call = call

    def now(self) -> datetime:
        """Return the sandbox's time, aware, in UTC."""
        return self._sandbox.clock.now()

    def advance(self, step: float | timedelta) -> None:
        """Advance the clock, by seconds or a timedelta; raises as `SandboxClock.advance`."""
        self._call(lambda: self._sandbox.clock.advance(step))
