"""The sandbox as a test uses it: with a session that is ready to talk to it."""

from __future__ import annotations

from vipps_async.config import Credentials, Environment, RetryPolicy, SystemInfo, Timeouts
from vipps_async.core.clock import Clock
from vipps_async.journals.protocol import Journal
from vipps_async.sandbox import SandboxServer
from vipps_async.session import VippsSession
from vipps_async.transports.protocol import Transport

__all__ = ["Sandbox"]

#: What `session` says it is; a sandbox takes any credentials unless it was told which to take.
_CREDENTIALS = Credentials(
    client_id="sandbox-client",
    client_secret="sandbox-secret",  # noqa: S106 - opens nothing
    subscription_key="sandbox-key",
    merchant_serial_number="123456",
)


class Sandbox(SandboxServer):
    """Vipps' eCom and ePayment on this machine, for tests.

    Usage::

        async with Sandbox() as sandbox, sandbox.session() as vipps:
            ...

    Everything else is said in `SandboxServer`, whose arguments it takes.
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

        Raises:
            RuntimeError: the sandbox was never started, so that it has no address yet.
        """
        return VippsSession(
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
