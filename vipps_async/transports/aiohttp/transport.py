"""The transport over aiohttp: pooled keep-alive connections, one write per request, and a witness of that write."""

from __future__ import annotations

import asyncio
import logging
import math
import ssl

import aiohttp

from vipps_async.config import Timeouts
from vipps_async.errors import ConfigurationError
from vipps_async.transports.aiohttp import one_write, session_request
from vipps_async.transports.aiohttp.connection import BOUNDS
from vipps_async.transports.aiohttp.one_write import Destination, UnknownVersion
from vipps_async.transports.aiohttp.rehearsal import are_sessions_aiohttps, rehearse
from vipps_async.transports.connection_limit import ConnectionLimit
from vipps_async.transports.failures import host_and_port
from vipps_async.transports.http1 import Target, parse_target
from vipps_async.transports.protocol import Request, Response
from vipps_async.transports.request_rules import EnvironmentProxies, checked_limit, proxy_url, refuse_unverified

_log = logging.getLogger("vipps_async")

#: Connections of a session of our own: aiohttp's own default, far more than a shop keeps busy.
_DEFAULT_LIMIT = 100


class AiohttpTransport:
    """Sends requests over a pool of keep-alive connections.

    A request is written once at most: nothing is resent, redirected or retried. No cookie is kept or sent. An answer
    may have 1 MiB, before and after decompression (gzip and deflate). Headers go out as given, with `Host` and
    `Content-Length`, and no others. TLS certificates and host names are always verified.

    The connections belong to the event loop in which the first request is sent; another loop needs another transport.

    An adopted session lends its connector (pool, resolver, TLS settings), its proxy and its traces. Everything that
    decides about money is set for each request over it, so what else it was built with does not matter: its cookies,
    default headers, `auth`, netrc, `base_url`, `middlewares`, `raise_for_status`, `auto_decompress`, time-outs and
    buffer sizes take no part in requests of this transport, and none of them is changed. Classes of its own for
    requests or responses are not supported.

    It uses private names of aiohttp, to be fast and to prove that nothing was sent. They are tested before the first
    request. Where a version of aiohttp does not have them, a warning says so once, each request gets a connection of
    its own, and fewer failures prove that it was not sent; an adopted session is refused.

    Args:
        session: a session to adopt. It is neither closed nor changed; the caller closes it after this transport.
        limit: the most connections at once, at least 1; 100 by default. Further requests wait for a free one, in the
            order in which they came. An adopted session has its own.
        proxy: the URL of an http or https proxy, with user and password if it wants them.
        ssl_context: certificates to trust, or a client certificate to show; by default those of the system. It must
            verify, and take TLS 1.2 or newer only.
        trust_env: take the proxy from `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, read once for each host. Passwords of
            a netrc file are never used. An adopted session has its own.

    Raises:
        ConfigurationError: an argument contradicts another one, TLS certificates would not be verified, or TLS be older
            than 1.2.
        InvalidInputError: `limit` is no whole number of at least 1, or `proxy` is no URL of a proxy.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession | None = None,
        *,
        limit: int | None = None,
        proxy: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        trust_env: bool = False,
    ) -> None:
        if session is not None and (limit is not None or trust_env):
            raise ConfigurationError(
                "limit and trust_env cannot be given together with a session",
                advice="set them where that session is made",
            )
        refuse_unverified(ssl_context)
        if session is not None and ssl_context is None:
            settings = getattr(session.connector, "_ssl", None)
            refuse_unverified(settings)
            # Where a session does not show how it verifies, the certificates of the system decide.
            ssl_context = ssl.create_default_context() if settings is None else None
        self._adopted = session
        self._session = session
        #: Sessions of our own: one, or one more where the way of sending had to be changed.
        self._made: list[aiohttp.ClientSession] = []
        self._limit = _DEFAULT_LIMIT if limit is None else checked_limit(limit)
        self._proxy = None if proxy is None else proxy_url(proxy)
        self._environment = EnvironmentProxies() if trust_env and proxy is None else None
        self._slots = ConnectionLimit(self._limit)
        self._ssl: ssl.SSLContext | bool = True if ssl_context is None else ssl_context
        #: Whether a request leaves in one write: the session is ours, and no proxy stands before its connections.
        self._one_write = session is None and proxy is None and not trust_env
        #: Whether a body is known to be asked to write itself.
        self._witnessed = True
        # None until the first request. A session knows its loop from the start, but has no public word for it.
        self._loop: asyncio.AbstractEventLoop | None = getattr(session, "_loop", None)
        self._opening = asyncio.Lock()
        self._is_open = False
        self._closed = False
        self._timeouts: Timeouts | None = None
        self._client_timeout = aiohttp.ClientTimeout()
        #: Where the last request went.
        self._destination: Destination | None = None

    async def send(self, request: Request) -> Response:
        """Send the request once and return the answer, whatever its status.

        Raises:
            vipps_async.errors.RequestNotSent: not one byte of the request was written: it certainly had no effect.
            vipps_async.errors.OutcomeUnknown: anything else that kept a whole answer from coming back.
            vipps_async.errors.ConfigurationError: the transport or its session is closed, or was opened in another
                event loop; before any I/O.
            vipps_async.errors.InvalidInputError: the URL is no absolute http or https URL, or the method or a header
                cannot be sent; before any I/O.
            asyncio.CancelledError: the calling task was cancelled; the transport stays usable.

        Headers that frame a request (`Content-Length`, `Expect`, `Host` and the like) are the transport's own, and
        refused.
        """
        self._check_usable()
        target = parse_target(request.url)
        if not self._is_open:
            await self._open()
        if self._adopted is not None:
            return await self._exchange(request, target)
        if not self._slots.try_acquire():
            request = await self._slots.acquire(request, host_and_port(target.server.host, target.server.port))
        try:
            if self._closed:
                # It was, while this waited.
                self._check_usable()
            if self._one_write and are_sessions_aiohttps():
                session = self._in_use()
                connector = session.connector
                assert connector is not None  # noqa: S101 - that of a session which is open
                try:
                    return await one_write.exchange(
                        connector,
                        request,
                        target,
                        destination=self._to(target),
                        is_alone=self._slots.free == self._limit - 1,
                    )
                except UnknownVersion:
                    await self._fall_back(session)
            return await self._exchange(request, target)
        finally:
            self._slots.release()

    def _to(self, target: Target) -> Destination:
        destination = self._destination
        if destination is None or destination.url is not target.server:
            assert self._loop is not None  # noqa: S101 - it was asked for before the first request
            destination = self._destination = Destination(target.server, verify=self._ssl, loop=self._loop)
        return destination

    async def _exchange(self, request: Request, target: Target) -> Response:
        if request.timeouts is not self._timeouts:
            self._timeouts = request.timeouts
            self._client_timeout = _client_timeout(request.timeouts)
        return await session_request.exchange(
            self._in_use(),
            request,
            target,
            timeout=self._client_timeout,
            verify=self._ssl,
            proxy=self._environment.proxy_for(target.url) if self._environment else self._proxy,
            witnessed=self._witnessed,
        )

    async def _open(self) -> None:
        async with self._opening:
            if self._is_open:
                return
            await self._choose_way(one_write=self._one_write)
            self._check_usable()
            if self._adopted is None:
                self._session = self._make_session()
            elif not self._witnessed:
                raise ConfigurationError(
                    f"aiohttp {aiohttp.__version__} does not show whether a connection of an adopted session is silent",
                    advice="give the transport no session, or install an older aiohttp",
                )
            self._is_open = True

    async def _fall_back(self, broken: aiohttp.ClientSession) -> None:
        # The rehearsal had not shown it. What others have under way over that session comes to its end there.
        async with self._opening:
            if self._session is broken:
                await self._choose_way(one_write=False)
                self._check_usable()
                self._session = self._make_session()

    async def _choose_way(self, *, one_write: bool) -> None:
        in_one = one_write and await rehearse(_send_in_one_write)
        witnessed = in_one or not are_sessions_aiohttps() or await rehearse(_send_by_session)
        is_as_wanted = in_one is self._one_write and witnessed
        self._one_write, self._witnessed = in_one, witnessed
        if not is_as_wanted:
            _log.warning(
                "aiohttp %s is not known to this package: requests are written by aiohttp itself%s",
                aiohttp.__version__,
                ""
                if self._witnessed
                else ", each over its own connection, and fewer failures prove that none was sent",
            )

    def _make_session(self) -> aiohttp.ClientSession:
        session = aiohttp.ClientSession(
            # Where nobody can tell whether a kept connection is silent, none is kept.
            connector=aiohttp.TCPConnector(limit=self._limit, force_close=not self._witnessed),
            cookie_jar=aiohttp.DummyCookieJar(),
            # Decompressed by us, as aiohttp before 3.13 lets a small body grow without bounds.
            auto_decompress=False,
            **BOUNDS,
        )
        self._made.append(session)
        # Whoever observes every session of a program is to see each request.
        self._one_write = self._one_write and not session.trace_configs
        return session

    async def aclose(self) -> None:
        """Close the connections; an adopted session is left alone. Safe to call twice.

        Raises:
            vipps_async.errors.ConfigurationError: called in another event loop than the one it was used in.
        """
        self._closed = True
        if self._made:
            self._refuse_other_loop()
        for session in self._made:
            await session.close()
        self._made.clear()

    def _check_usable(self) -> None:
        if self._closed:
            raise ConfigurationError("the transport is closed", advice="open a new one")
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        self._refuse_other_loop()

    def _in_use(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            raise ConfigurationError(
                "the aiohttp.ClientSession of this transport is closed", advice="close it after the transport only"
            )
        return self._session

    def _refuse_other_loop(self) -> None:
        if asyncio.get_running_loop() is not self._loop:
            raise ConfigurationError(
                "the transport was opened in another event loop", advice="open and close one in each event loop"
            )


def _client_timeout(timeouts: Timeouts) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(
        total=timeouts.total,
        connect=timeouts.connect,
        sock_read=timeouts.read,
        # aiohttp would round time-outs over 5 s up to whole seconds of the loop's clock.
        ceil_threshold=math.inf,
    )


async def _send_in_one_write(session: aiohttp.ClientSession, request: Request, target: Target) -> Response:
    assert session.connector is not None  # noqa: S101 - the rehearsal's own
    destination = Destination(target.server, verify=True, loop=asyncio.get_running_loop())
    return await one_write.exchange(session.connector, request, target, destination=destination)


async def _send_by_session(session: aiohttp.ClientSession, request: Request, target: Target) -> Response:
    timeout = _client_timeout(request.timeouts)
    return await session_request.exchange(session, request, target, timeout=timeout, verify=True)
