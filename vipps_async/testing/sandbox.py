"""The sandbox for tests: makes sessions that talk to it, and lets their waits take no time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Self

from attrs import frozen

from vipps_async.config import Credentials, Environment, RetryPolicy, SystemInfo, Timeouts
from vipps_async.core.clock import Clock
from vipps_async.journals.protocol import Journal
from vipps_async.sandbox import SandboxServer
from vipps_async.sandbox.network.waits import Waits
from vipps_async.session import VippsSession
from vipps_async.testing.delivery import AsyncRequest, SyncRequest, by_async, by_sync
from vipps_async.transports.aiohttp import AiohttpTransport
from vipps_async.transports.protocol import Request, Response, Transport

#: A `longest_wait` for tests, in seconds: hardly any time, but callbacks that are ready run first.
SHORT_WAIT = 0.003

#: The default of `session`; a sandbox accepts any credentials unless its settings name some.
_CREDENTIALS = Credentials(
    client_id="sandbox-client",
    client_secret="sandbox-secret",  # noqa: S106 - opens nothing
    subscription_key="sandbox-key",
    merchant_serial_number="123456",
)


@frozen
class _CountedTransport:
    """Counts each request in the sandbox's waits, so that the clock is not advanced while it is under way."""

    transport: Transport
    waits: Waits

    async def send(self, request: Request) -> Response:
        """See Transport."""
        with self.waits.request():
            return await self.transport.send(request)

    async def aclose(self) -> None:
        """See Transport."""
        await self.transport.aclose()


class _RehearsedOnce(AiohttpTransport):
    """Probes the installed aiohttp once in a process, not once for each test."""

    _found: ClassVar[tuple[bool, bool] | None] = None

    async def _choose_way(self, *, one_write: bool) -> None:
        if not one_write or self._found is None:
            await super()._choose_way(one_write=one_write)
            if one_write:
                _RehearsedOnce._found = self._one_write, self._witnessed
        else:
            self._one_write, self._witnessed = self._found


class _SandboxSession(VippsSession):
    """A session that may own the transport it was given."""

    def owning(self, transport: Transport) -> Self:
        """Close a transport with the session."""
        self._own_transport = transport
        return self


class Sandbox(SandboxServer):
    """Vipps' eCom and ePayment on this machine, for tests.

    Usage::

        async with Sandbox() as sandbox, sandbox.session() as vipps:
            ...

    With `longest_wait`, in seconds, each wait of a session takes that long at most: in `wait_for`, between attempts,
    and before details are read again. The session uses the sandbox's clock, which is advanced by the rest, so that
    payments expire and limits pass as if the time had passed. A stall ends by a reset when the session's read time-out
    would have ended it. The clock is not advanced while a request is under way.

    The arguments, and everything else, are those of `SandboxServer`.
    """

    def session(
        self,
        credentials: Credentials = _CREDENTIALS,
        *,
        transport: Transport | None = None,
        journal: Journal | None = None,
        retry: RetryPolicy | None = None,
        timeouts: Timeouts | None = None,
        system: SystemInfo | None = None,
        settle_after: float = 86_400.0,
        clock: Clock | None = None,
    ) -> VippsSession:
        """Make a session that talks to this sandbox; the arguments are those of `VippsSession`.

        It may be made before it is used, in another thread than the sandbox's; it belongs to the loop it is used in.

        Raises:
            RuntimeError: the sandbox was never started, so that it has no address yet.
        """
        own: Transport | None = None
        if self.waits.longest is not None:
            # The stall must end when the session's read time-out would end it, which is known here only.
            self.faults.stall_seconds = min(self.faults.stall_seconds, (timeouts or Timeouts()).read)
            if transport is None:
                transport = own = _CountedTransport(_RehearsedOnce(), self.waits)
            else:
                transport = _CountedTransport(transport, self.waits)
            clock = clock or self.waits
        session = _SandboxSession(
            credentials,
            environment=Environment.TEST,
            base_url=self.url,
            transport=transport,
            journal=journal,
            retry=retry,
            timeouts=timeouts,
            system=system,
            settle_after=settle_after,
            clock=clock,
        )
        return session if own is None else session.owning(own)

    def deliver_to(self, request: AsyncRequest | None) -> None:
        """Deliver callbacks, webhooks and shipping requests by a function instead of HTTP, whatever their URL.

        For an application without a port: ``sandbox.deliver_to(client.request)``, with a client of httpx whose
        transport is `ASGITransport`. What the function raises counts as no answer.

        Args:
            request: is called with method and URL, and with `content` and `headers` by name; what it returns has a
                `status_code` and a `content`. None: they are delivered by HTTP again.
        """
        self._sender.deliver = None if request is None else by_async(request)

    def deliver_in_thread_to(self, request: SyncRequest | None) -> None:
        """Do the same as `deliver_to` with a synchronous function, which is called in another thread."""
        self._sender.deliver = None if request is None else by_sync(request)

    @property
    def env(self) -> Mapping[str, str]:
        """The `VIPPS_…` variables with which `VippsSession.from_env` talks to this sandbox; its waits are real.

        Raises:
            RuntimeError: the sandbox was never started, so that it has no address yet.
        """
        return {
            "VIPPS_CLIENT_ID": _CREDENTIALS.client_id,
            "VIPPS_CLIENT_SECRET": _CREDENTIALS.client_secret,
            "VIPPS_SUBSCRIPTION_KEY": _CREDENTIALS.subscription_key,
            "VIPPS_MERCHANT_SERIAL_NUMBER": _CREDENTIALS.merchant_serial_number,
            "VIPPS_ENVIRONMENT": "test",
            "VIPPS_BASE_URL": self.url,
        }
