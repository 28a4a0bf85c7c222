"""The sandbox server: connects its parts, opens the socket, and has the methods that tests drive it by."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from aiohttp import web

from vipps_async.sandbox.control import Control
from vipps_async.sandbox.ledger.changes import Changes
from vipps_async.sandbox.ledger.clock import RateLimits, SandboxClock
from vipps_async.sandbox.ledger.customer_simulator import CustomerSimulator
from vipps_async.sandbox.ledger.customers import Customer
from vipps_async.sandbox.ledger.entries import PaymentSnapshot
from vipps_async.sandbox.ledger.orders import Order, OrderBook
from vipps_async.sandbox.ledger.reasons import SandboxStateError
from vipps_async.sandbox.ledger.registrations import Registrations
from vipps_async.sandbox.ledger.settings import SandboxSettings
from vipps_async.sandbox.ledger.state_file import StateFile
from vipps_async.sandbox.network.callbacks import CallbackSender
from vipps_async.sandbox.network.callers import Callers, TokenIssuer
from vipps_async.sandbox.network.dispatcher import Dispatcher
from vipps_async.sandbox.network.faults import Faults
from vipps_async.sandbox.network.history import CallbackRecord, RequestRecord
from vipps_async.sandbox.network.listener import Listener
from vipps_async.sandbox.network.request_filter import RequestFilter
from vipps_async.sandbox.network.waits import Waits
from vipps_async.sandbox.network.workers import cancelled
from vipps_async.sandbox.pages.dashboard import Dashboard
from vipps_async.sandbox.pages.landing import Landing, landing_url, qr_url
from vipps_async.sandbox.wire.ecom import EcomFace
from vipps_async.sandbox.wire.epayment import EpaymentFace
from vipps_async.sandbox.wire.face import Face, Ignored, Services
from vipps_async.sandbox.wire.urls import CallbackHosts
from vipps_async.sandbox.wire.userinfo import UserinfoFace
from vipps_async.sandbox.wire.webhooks import WebhooksFace

#: The APIs that a sandbox has unless it is told otherwise.
FACES: tuple[type[Face], ...] = (EcomFace, EpaymentFace, UserinfoFace, WebhooksFace)

#: Seconds between two checks for payments that have timed out.
_TICK = 1.0
#: The largest body that is read, in bytes; the largest honest one has some thousand.
_MAX_BODY = 256 * 1024

_LOG = logging.getLogger("vipps_async.sandbox")


class SandboxServer:
    """A Vipps simulator on this machine, over HTTP.

    Usage::

        async with SandboxServer() as sandbox:
            ...  # initiate at sandbox.url
            await sandbox.approve("acme-shop-123-order123abc")
            assert sandbox.payment("acme-shop-123-order123abc").reserved == 49900

    Args:
        host: the address to bind to. With any other than loopback, other machines reach the sandbox; the log and every
            page of the dashboard warn of that.
        port: the port; 0 takes a free one.
        settings: which keys it accepts, what each sales unit may do, and how strictly requests are read. It makes a
            copy, its attribute `settings`, which may be changed while it runs. None: the defaults.
        rate_limits: whether the vendor's limits for each order apply.
        token_lifetime: seconds that an access token lives: one hour, as on the vendor's test host.
        clock: the clock; None: one that starts at the machine's time.
        longest_wait: the longest real time, in seconds, that a wait takes: of a stall, a slow answer, a closed
            listener, or a session on the clock `waits`. The clock is advanced by the rest. None: waits take their full
            time.
        keep_requests: how many requests are kept on record; 0: none.
        keep_callbacks: how many callbacks are kept on record; 0: none.
        allowed_hosts: further host names that are accepted in the header Host; see `RequestFilter`.
        callback_hosts: the merchant's hosts that callbacks and webhooks are sent to; their URLs may be http. Loopback
            needs no mention where the sandbox listens on loopback only.
        state: a file that keeps payments, webhooks and clock over restarts; each answer is sent after its change is in
            the file. None: in memory only.
        faces: the APIs; one of your own is a subclass of `Face`. They share payments, clock, limits and faults.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        settings: SandboxSettings | None = None,
        rate_limits: bool = True,
        token_lifetime: int = 3600,
        clock: SandboxClock | None = None,
        longest_wait: float | None = None,
        keep_requests: int = 1_000,
        keep_callbacks: int = 1_000,
        allowed_hosts: Collection[str] = frozenset(),
        callback_hosts: Collection[str] = frozenset(),
        state: Path | None = None,
        faces: Sequence[type[Face]] = FACES,
    ) -> None:
        #: The clock of payments, tokens, limits and webhooks.
        self.clock: SandboxClock = clock or SandboxClock()
        #: Timers on that clock.
        self.waits: Waits = Waits(self.clock, longest_wait)
        #: The settings; they may be changed while it runs.
        self.settings: SandboxSettings = replace(
            settings or SandboxSettings(), unit_codes=tuple(code for face in faces for code in face.unit_codes)
        )
        self._changes = Changes()
        self._request_filter = RequestFilter(host, allowed_hosts)
        hosts = CallbackHosts(
            named=frozenset(name.lower() for name in callback_hosts), loopback=self._request_filter.loopback_only
        )
        self._faces: dict[str, Face] = {}
        registrations = Registrations()
        self._sender = CallbackSender(
            self.clock,
            self._faces,
            registrations,
            hosts=hosts,
            keep=keep_callbacks,
            # The faults are made further below.
            copies=lambda reference: self.faults.copies(reference),  # noqa: PLW0108
        )
        self._changes.tell_events_to(self._sender.tell)
        self._book = OrderBook()
        self._customers = CustomerSimulator(
            self.clock,
            self._book,
            self.settings,
            announce=self._sender.announce,
            ask_shipping=lambda order, customer: self._face_of(order).shipping_methods(order, customer),
            changed=self._changes.note,
        )
        self._services = Services(
            clock=self.clock,
            book=self._book,
            customers=self._customers,
            settings=self.settings,
            limits=RateLimits() if rate_limits else None,
            ignored=Ignored(),
            callback_hosts=hosts.named,
            changed=self._changes.note,
            registrations=registrations,
            call=self._sender.call,
            landing_url=lambda order: landing_url(self.url, order),
            qr_url=lambda order: qr_url(self.url, order),
        )
        self._faces.update((face.name, face(self._services)) for face in faces)
        self._state = None if state is None else StateFile(state, self._book, registrations, self.clock)
        if self._state is not None:
            self._changes.keep_with(self._state.note)
        self._callers = Callers(self._services, TokenIssuer(token_lifetime))
        self._listener = Listener(host, port, refusal_seconds=lambda: self.faults.refusal_seconds, waits=self.waits)
        self._dispatcher = Dispatcher(
            self.clock,
            self._faces.values(),
            self._callers,
            self._listener,
            keep=keep_requests,
            settled=self._settled,
            waits=self.waits,
        )
        #: The faults to inject.
        self.faults: Faults = self._dispatcher.faults
        #: What ends what `start` began, last first.
        self._closing = AsyncExitStack()

    def _face_of(self, order: Order) -> Face:
        return self._faces[order.api]

    # -- life ------------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def start(self) -> None:
        """Open the socket. A sandbox that was closed can be started again, on the same port and with the same payments.

        Raises:
            RuntimeError: it is running.
            OSError: the port is taken, or the address is not this machine's.
            SandboxStateError: the state file is damaged, of a newer version, in use, or cannot be written.
        """
        if self._listener.running:
            raise RuntimeError("the sandbox is running")
        async with AsyncExitStack() as begun:
            if self._state is not None:
                for order in await self._state.open():
                    self._customers.watch(order)
                begun.push_async_callback(self._state.aclose)
            begun.push_async_callback(cancelled, asyncio.create_task(self._tick(), name="vipps sandbox time"))
            begun.callback(self.clock.on_advance(self._changes.note))
            await self._sender.start()
            begun.push_async_callback(self._sender.aclose)
            await self._listener.open(self._application())
            begun.push_async_callback(self._listener.close)
            self.waits.begin()
            begun.callback(self.waits.end)
            begun.callback(self._dispatcher.end)
            self._closing = begun.pop_all()
        if not self._request_filter.loopback_only:
            _LOG.warning(
                "listening on %s: anyone who reaches this machine can use this sandbox.", self._request_filter.host
            )

    def _application(self) -> web.Application:
        app = web.Application(
            middlewares=[self._request_filter.middleware, self._dispatcher.middleware], client_max_size=_MAX_BODY
        )
        landing = Landing(self._services, self._face_of)
        control = Control(
            services=self._services,
            faults=self.faults,
            request_filter=self._request_filter,
            held=self._dispatcher.held,
            callbacks=self._sender.records,
            remove_consent=self._sender.remove_consent,
        )
        dashboard = Dashboard(
            services=self._services,
            faults=self.faults,
            changes=self._changes,
            request_filter=self._request_filter,
            faces=self._faces,
            requests=self._dispatcher.requests,
            callbacks=self._sender.records,
            url=lambda: self.url,
        )
        app.add_routes([*self._dispatcher.begin(), *landing.routes(), *control.routes(), *dashboard.routes()])
        return app

    async def aclose(self) -> None:
        """Stop answering, deliver the callbacks that are due, and close. Safe to call twice."""
        closing, self._closing = self._closing, AsyncExitStack()
        await closing.aclose()

    async def _settled(self) -> None:
        if self._state is not None:
            await self._state.settled()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            self.clock.run_due()
            with contextlib.suppress(SandboxStateError):
                # Said in the log; the next request says so, too.
                await self._settled()

    @property
    def url(self) -> str:
        """The URL of the sandbox, such as ``http://127.0.0.1:8787``; it stays after closing.

        Raises:
            RuntimeError: it was never started, so that there is no port yet.
        """
        return self._listener.url

    # -- the customer ----------------------------------------------------------------------------------------------

    async def approve(
        self,
        order_id: str,
        *,
        msn: str | None = None,
        customer: Customer | None = None,
        shipping_method_id: str | None = None,
    ) -> PaymentSnapshot:
        """Let the customer approve in the app.

        Args:
            order_id: the order.
            msn: its sales unit, needed if several have an order by that id.
            customer: who pays; None: an invented one. A phone number that the initiate gave takes precedence.
            shipping_method_id: the shipping method of an express checkout; None: the default one.

        Returns:
            The payment afterwards: reserved, or refused by the bank for a test amount.

        Raises:
            SandboxError: there is no such order, it does not wait for the customer, or it cannot be shipped so.
        """
        order = self._book.only(order_id, msn)
        await self._customers.approve(order, customer=customer, shipping_method_id=shipping_method_id)
        return order.payment.snapshot()

    async def reject(self, order_id: str, *, msn: str | None = None) -> PaymentSnapshot:
        """Let the customer decline in the app; raises as `approve`."""
        return self._after(self._customers.reject, order_id, msn)

    async def open(self, order_id: str, *, msn: str | None = None) -> PaymentSnapshot:
        """Let the customer open the payment in the app, which leaves five more minutes; raises as `approve`."""
        return self._after(self._customers.open, order_id, msn)

    async def expire(self, order_id: str, *, msn: str | None = None) -> PaymentSnapshot:
        """Let the payment time out now, whatever the clock says; raises as `approve`."""
        return self._after(self._customers.expire, order_id, msn)

    def _after(self, act: Callable[[Order], None], order_id: str, msn: str | None) -> PaymentSnapshot:
        order = self._book.only(order_id, msn)
        act(order)
        return order.payment.snapshot()

    async def remove_consent(self, user_id: str) -> None:
        """Let a customer withdraw the consent to keep personal data, and tell the merchant.

        Args:
            user_id: the `userId` of an express payment's user details.

        Raises:
            SandboxError: no express order has a customer by that id.
        """
        await self._sender.remove_consent(user_id)

    # -- what happened ---------------------------------------------------------------------------------------------

    def payment(self, order_id: str, *, msn: str | None = None) -> PaymentSnapshot:
        """Return the sums and the history of a payment.

        Raises:
            SandboxError: there is no such order, or several sales units have one.
        """
        self.clock.run_due()
        return self._after(self._customers.settle, order_id, msn)

    @property
    def payments(self) -> tuple[PaymentSnapshot, ...]:
        """The sums and histories of all payments."""
        self.clock.run_due()
        return tuple(order.payment.snapshot() for order in self._book)

    def landing_url(self, order_id: str, *, msn: str | None = None) -> str:
        """Return the URL that the answer to initiate or create had.

        Raises:
            SandboxError: there is no such order, or several sales units have one.
        """
        return landing_url(self.url, self._book.only(order_id, msn))

    @property
    def held(self) -> int:
        """The number of requests that faults hold, to be delivered later."""
        self.clock.run_due()
        return len(self._dispatcher.held)

    def deliver_held(self) -> int:
        """Deliver now all requests that are held, oldest first; return how many those were."""
        return self._dispatcher.held.deliver_all()

    @property
    def requests(self) -> tuple[RequestRecord, ...]:
        """The last requests that were received, oldest first."""
        return tuple(self._dispatcher.requests)

    @property
    def callbacks(self) -> tuple[CallbackRecord, ...]:
        """The last requests to the merchant, oldest first."""
        return tuple(self._sender.records)

    @property
    def ignored(self) -> Mapping[tuple[str, str, str], int]:
        """Fields that Vipps ignores: (operation, place, ``"unknown"`` or ``"null"``) → how often they were received."""
        return dict(self._services.ignored.counts)

    async def callbacks_delivered(self) -> None:
        """Wait until every callback so far, and every webhook that is due, has been attempted."""
        await self._sender.delivered()

    def revoke_tokens(self) -> None:
        """Invalidate every access token that was issued so far."""
        self._callers.tokens.revoke_all()

    # -- the listener ----------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def refusing_connections(self) -> AsyncIterator[None]:
        """Close the listener and every idle connection inside the `with` block: new connections are refused.

        Raises:
            RuntimeError: the sandbox is not running.
        """
        if not self._listener.running:
            raise RuntimeError("the sandbox is not running")
        async with self._listener.refused():
            yield
