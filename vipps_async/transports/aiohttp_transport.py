"""The transport over aiohttp: pooled keep-alive connections, one write per request, and a witness of that write."""

from __future__ import annotations

import asyncio
import math
import ssl

import aiohttp

from vipps_async.config import Timeouts
from vipps_async.errors import ConfigurationError
from vipps_async.time_limits import TimeLimits
from vipps_async.transports import aiohttp_adopted, aiohttp_one_write
from vipps_async.transports.aiohttp_adopted import AUTO_HEADERS, LeanRequest
from vipps_async.transports.aiohttp_answer import BOUNDS
from vipps_async.transports.aiohttp_location import Location, Locations
from vipps_async.transports.aiohttp_one_write import OneWriteRequest
from vipps_async.transports.places import Places
from vipps_async.transports.plain_words import host_and_port
from vipps_async.transports.protocol import Request, Response
from vipps_async.transports.request_rules import EnvironmentProxies, checked_limit, proxy_url, refuse_unverified
from vipps_async.transports.unread_bytes import UnreadBytes

__all__ = ["AiohttpTransport"]

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
            refuse_unverified(getattr(session.connector, "_ssl", None))
        self._adopted = session
        self._session = session
        self._limit = _DEFAULT_LIMIT if limit is None else checked_limit(limit)
        self._proxy = None if proxy is None else proxy_url(proxy)
        self._trust_env = trust_env and proxy is None
        #: Whether nothing stands between a request and its connection: no proxy, and nobody else's session.
        self._is_plain = session is None and proxy is None and not trust_env
        self._places = Places(self._limit)
        self._locations = Locations()
        self._limits = TimeLimits()
        self._unread = UnreadBytes()
        self._environment_proxies = EnvironmentProxies()
        self._ssl: ssl.SSLContext | bool = True if ssl_context is None else ssl_context
        # None until the first request. A session knows its loop from the start, but has no public word for it.
        self._loop: asyncio.AbstractEventLoop | None = getattr(session, "_loop", None)
        self._closed = False
        self._timeouts: Timeouts | None = None
        self._client_timeout = aiohttp.ClientTimeout()

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
        session = self._session_in_this_loop()
        location = self._locations.of(request.url)
        if self._adopted is not None:
            return await self._exchange(session, request, location)
        if not self._places.take():
            request = await self._places.wait(request, host_and_port(location.url.host, location.url.port))
        try:
            if self._closed:
                # Meanwhile, while it waited.
                session = self._session_in_this_loop()
            if self._is_plain:
                return await aiohttp_one_write.exchange(
                    session, request, location, limits=self._limits, unread=self._unread, verify=self._ssl
                )
            return await self._exchange(session, request, location)
        finally:
            self._places.give_back()

    async def _exchange(self, session: aiohttp.ClientSession, request: Request, location: Location) -> Response:
        if request.timeouts is not self._timeouts:
            self._timeouts = request.timeouts
            self._client_timeout = _client_timeout(request.timeouts)
        return await aiohttp_adopted.exchange(
            session,
            request,
            location,
            is_own=self._adopted is None,
            unread=self._unread,
            proxy=self._environment_proxies.proxy_for(location.url) if self._trust_env else self._proxy,
            timeout=self._client_timeout,
            verify=self._ssl,
        )

    async def aclose(self) -> None:
        """Close the connections; an adopted session is left alone. Safe to call twice.

        Raises:
            vipps_async.errors.ConfigurationError: called in another event loop than the one it was used in.
        """
        self._closed = True
        if self._adopted is not None or self._session is None:
            return
        self._refuse_other_loop()
        await self._session.close()
        self._session = None

    def _session_in_this_loop(self) -> aiohttp.ClientSession:
        if self._closed:
            raise ConfigurationError("the transport is closed", advice="open a new one")
        if self._loop is not None:
            self._refuse_other_loop()
        session = self._session
        if session is None:
            session = self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._limit),
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=AUTO_HEADERS,
                request_class=OneWriteRequest if self._is_plain else LeanRequest,
                # Decompressed by us, as aiohttp before 3.13 lets a small body grow without bounds.
                auto_decompress=False,
                **BOUNDS,
            )
        elif session.closed:
            raise ConfigurationError(
                "the aiohttp.ClientSession of this transport is closed", advice="close it after the transport only"
            )
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        return session

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
