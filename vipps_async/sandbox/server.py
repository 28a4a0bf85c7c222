"""The sandbox: opens the socket, connects the parts, and offers tests the methods that drive it."""

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

#: How often payments are looked at that run out of time by themselves, in seconds: a customer would not notice.
_TICK = 1.0
#: The largest body that is read, in bytes; the largest honest one has some thousand.
_MAX_BODY = 256 * 1024

_LOG = logging.getLogger("vipps_async.sandbox")


class SandboxServer:
    """Vipps on this machine.

    Usage::

        async with SandboxServer() as sandbox:
            ...  # initiate at sandbox.url
            await sandbox.approve("acme-shop-123-order123abc")
            assert sandbox.payment("acme-shop-123-order123abc").reserved == 49900

    Args:
        host: the address to bind to. Anything but loopback shows the sandbox to others, and is warned of in the log
            and on every page of the dashboard.
        port: the port; 0 takes a free one.
        settings: which keys it accepts, what each sales unit may do, and how strictly requests are read. It makes a
            copy, its attribute `settings`, which may be changed while it runs. None: the defaults.
        rate_limits: whether the vendor's limits for each order apply.
        token_lifetime: seconds that an access token lives: one hour, as on the vendor's test host.
        clock: the time; None: the machine's, from now on.
        longest_wait: the longest real time, in seconds, that a stall, a slow answer or a closed listener takes, and a
            pause of a client that waits by `waits`; the clock is moved on by the rest. None: as long as it is.
        keep_requests: how many requests are kept on record; 0: none.
        keep_callbacks: how many callbacks are kept on record; 0: none.
        allowed_hosts: further host names that requests may come to; see `RequestFilter`.
        callback_hosts: hosts that may be called at the merchant, and whose URLs pass with http, too. Loopback may be
            called without being named where the sandbox listens on loopback alone, and no other host.
        state: a file that keeps payments, webhooks and clock over restarts; what was answered is in it. None: in
            memory only.
        faces: the APIs that it has; see `Face`, which one of your own is made after. They share the payments, the
            clock, limits and faults.
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
        #: The time that everything here goes by.
        self.clock: SandboxClock = clock or SandboxClock()
        #: How it passes for whoever waits.
        self.waits: Waits = Waits(self.clock, longest_wait)
        #: What it is told to be; it may be changed while it runs.
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
        #: What shall go wrong.
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
        """Open the socket and answer. A sandbox that was closed can be started again: same port, same payments.

        Raises:
            RuntimeError: it is running.
            OSError: the port is taken, or the address is not this machine's.
            SandboxStateError: the file of the state is damaged, newer, in use, or cannot be written.
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
        """Where the sandbox answers, such as ``http://127.0.0.1:8787``; it keeps that after closing.

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
            customer: who pays; one is invented if none is given. The number of the initiate call wins.
            shipping_method_id: what to choose in express checkout; the default method if not given.

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
        """Let the payment run out of time now, whatever the clock says; raises as `approve`."""
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
        """Return what moved on an order so far.

        Raises:
            SandboxError: there is no such order, or several sales units have one.
        """
        self.clock.run_due()
        return self._after(self._customers.settle, order_id, msn)

    @property
    def payments(self) -> tuple[PaymentSnapshot, ...]:
        """What moved on all orders so far."""
        self.clock.run_due()
        return tuple(order.payment.snapshot() for order in self._book)

    def landing_url(self, order_id: str, *, msn: str | None = None) -> str:
        """Return the URL that initiate answered with.

        Raises:
            SandboxError: there is no such order, or several sales units have one.
        """
        return landing_url(self.url, self._book.only(order_id, msn))

    @property
    def held(self) -> int:
        """How many requests are held, to be delivered later."""
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
        """The last calls at merchants, oldest first."""
        return tuple(self._sender.records)

    @property
    def ignored(self) -> Mapping[tuple[str, str, str], int]:
        """What Vipps takes and ignores: (operation, place, ``"unknown"`` or ``"null"``) → how often it came."""
        return dict(self._services.ignored.counts)

    async def callbacks_delivered(self) -> None:
        """Wait until every callback so far, and every webhook that is due, has been attempted."""
        await self._sender.delivered()

    def revoke_tokens(self) -> None:
        """Make every access token invalid that was issued so far."""
        self._callers.tokens.revoke_all()

    # -- the listener ----------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def refusing_connections(self) -> AsyncIterator[None]:
        """Close the listener and every idle connection meanwhile: who connects is refused.

        Raises:
            RuntimeError: the sandbox is not running.
        """
        if not self._listener.running:
            raise RuntimeError("the sandbox is not running")
        async with self._listener.refused():
            yield
