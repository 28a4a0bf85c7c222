"""The transport over aiohttp: pooled keep-alive connections, one write per request, and a witness of that write."""

from __future__ import annotations

import asyncio
import math
import ssl
from collections.abc import Iterable
from http.cookies import SimpleCookie
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohttp import hdrs
from aiohttp.abc import AbstractStreamWriter
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_writer import StreamWriter
from multidict import CIMultiDict
from yarl import URL

from vipps_async.config import Timeouts
from vipps_async.errors import ConfigurationError, InvalidInputError
from vipps_async.transports.aiohttp_failures import FAILURES, AnsweredTooEarly, Circumstances, translated
from vipps_async.transports.content_coding import UnreadableAnswer, decoded
from vipps_async.transports.protocol import MAX_RESPONSE_BYTES, Request, Response

__all__ = ["AiohttpTransport"]

#: Connections of a session of our own: aiohttp's own default, far more than a shop keeps busy.
_DEFAULT_LIMIT = 100

#: aiohttp's default buffer, in bytes; an adopted session could have one that outgrows MAX_RESPONSE_BYTES.
_READ_BUFFER = 64 * 1024

#: aiohttp's default bounds of a status or header line, in bytes, for the same reason.
_MAX_LINE = 8190

#: Headers that aiohttp adds by itself unless told not to; a request is sent with its own headers only.
_AUTO_HEADERS = frozenset({hdrs.ACCEPT, hdrs.ACCEPT_ENCODING, hdrs.CONTENT_TYPE, hdrs.USER_AGENT})

_NO_AUTO_HEADERS: CIMultiDict[None] = CIMultiDict((name, None) for name in _AUTO_HEADERS)

#: Methods whose requests say nothing about a length when they have no body (RFC 9110 8.6).
_WITHOUT_LENGTH = frozenset({hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS, hdrs.METH_TRACE, hdrs.METH_DELETE})


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
        limit: the most connections at once, at least 1; 100 by default. An adopted session has its own.
        proxy: the URL of an http or https proxy, with user and password if it wants them.
        ssl_context: certificates to trust, or a client certificate to show; by default those of the system. It must
            verify.
        trust_env: take the proxy from `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, read once for each host. Passwords of
            a netrc file are never used. An adopted session has its own.

    Raises:
        ConfigurationError: an argument contradicts another one, or TLS certificates would not be verified.
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
        if limit is not None and not _is_positive_integer(limit):
            raise InvalidInputError("limit", "a whole number of at least 1", value=limit)
        if session is not None and (limit is not None or trust_env):
            raise ConfigurationError(
                "limit and trust_env cannot be given together with a session",
                advice="set them where that session is made",
            )
        _refuse_unverified(ssl_context)
        if session is not None and ssl_context is None:
            _refuse_unverified(getattr(session.connector, "_ssl", None))
        self._adopted = session
        self._session = session
        self._limit = limit or _DEFAULT_LIMIT
        self._proxy = None if proxy is None else _proxy_url(proxy)
        self._trust_env = trust_env and proxy is None
        self._environment_proxies: dict[tuple[str, str, int | None], URL | None] = {}
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
            vipps_async.errors.InvalidInputError: the URL is no absolute http or https URL; before any I/O.
            asyncio.CancelledError: the calling task was cancelled; the transport stays usable.

        A request with `Expect` is sent with its headers first, so its failure always counts as unknown.
        """
        session = self._session_in_this_loop()
        url = _checked_url(request.url)
        proxy = self._environment_proxy(url) if self._trust_env else self._proxy
        if request.timeouts is not self._timeouts:
            self._timeouts = request.timeouts
            self._client_timeout = _client_timeout(request.timeouts)
        attempt = _Attempt(request, replace_headers=self._adopted is not None)
        response: aiohttp.ClientResponse | None = None
        try:
            response = await session.request(
                request.method,
                url,
                data=attempt,
                # Headers of an adopted session would mix with these; see _Attempt.guard.
                headers=None if attempt.replace_headers else request.headers,
                # A session of our own has been told once.
                skip_auto_headers=_AUTO_HEADERS if attempt.replace_headers else None,
                allow_redirects=False,
                raise_for_status=False,
                # Decompressed here, as aiohttp before 3.13 lets a small body grow without bounds.
                auto_decompress=False,
                timeout=self._client_timeout,
                ssl=self._ssl,
                proxy=proxy,
                read_bufsize=_READ_BUFFER,
                max_line_size=_MAX_LINE,
                max_field_size=_MAX_LINE,
                # aiohttp never resends a POST, so the session of our own needs no guard for it.
                middlewares=(attempt.guard,) if attempt.replace_headers or request.method != "POST" else (),
            )
            return await _answer(response, attempt)
        except _NotResent as held:
            raise translated(held.error, _circumstances(request, url, proxy, attempt, response)) from held.error
        except FAILURES as error:
            raise translated(error, _circumstances(request, url, proxy, attempt, response)) from error
        finally:
            # From here on the witness's word is final: nothing may be written any more.
            attempt.over = True
            if response is not None and not response.closed:
                response.close()

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
                skip_auto_headers=_AUTO_HEADERS,
                request_class=_LeanRequest,
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

    def _environment_proxy(self, url: URL) -> URL | None:
        key = (url.scheme, url.raw_host or "", url.port)
        if key not in self._environment_proxies:
            found = getproxies().get(url.scheme)
            if found and proxy_bypass(f"{url.raw_host}:{url.port}"):
                found = None
            self._environment_proxies[key] = _proxy_url(found) if found else None
        return self._environment_proxies[key]


class _LeanRequest(aiohttp.ClientRequest):
    """Spares each request the copying of its headers by which aiohttp finds out that it has none to add.

    Where a version of aiohttp does not call this method, `skip_auto_headers` of the session does the same work.
    """

    def update_auto_headers(self, skip_auto_headers: Iterable[str] | None) -> None:  # noqa: ARG002 - aiohttp's signature
        """Add nothing."""
        self._skip_auto_headers = _NO_AUTO_HEADERS


class _NotResent(Exception):  # noqa: N818 - the name states the fact
    """Carries an error past aiohttp's resending of idempotent methods, which looks for its own classes only."""

    def __init__(self, error: aiohttp.ClientError) -> None:
        super().__init__()
        self.error = error


class _Attempt(aiohttp.BytesPayload):
    """The body of one request, and the witness of whether it was written.

    aiohttp buffers the headers and writes them together with the first bytes of the body, inside
    `write_with_length`: before that call nothing is on the wire, and after it something may be. So the body knows.
    Requests without a body get an empty one, to have the witness too. It is also a latch: it lets itself be written
    once, on a connection that is open and silent, and never after the request was given up.
    """

    def __init__(self, request: Request, *, replace_headers: bool) -> None:
        super().__init__(request.body or b"")
        self._request = request
        self.replace_headers = replace_headers
        #: Whether a byte of the request may have been handed to the connection.
        self.sent = False
        #: Whether the request was answered or given up.
        self.over = False
        #: Whether aiohttp has looked at this body; a stand-in for a session, in a test, does not.
        self.framed = False
        #: The connection's protocol, once written.
        self.connection: ResponseHandler | None = None

    @property
    def size(self) -> int | None:
        """The number of bytes, from which aiohttp makes `Content-Length`."""
        self.framed = True
        return self._size

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write the body behind the headers, if the latch is open."""
        await self.write_with_length(writer, None)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """Write the body behind the headers, if the latch is open."""
        if self.sent or self.over:
            raise aiohttp.ClientConnectionError
        if isinstance(writer, StreamWriter):
            protocol = writer.protocol
            if writer.transport is None or writer.transport.is_closing():
                raise aiohttp.ServerDisconnectedError
            if isinstance(protocol, ResponseHandler):
                # Bytes that wait here answer no request of ours: an idle connection that the server gave up with a
                # parting 408, say. Taken for the answer, they could be a capture's success.
                if protocol.should_close:
                    raise AnsweredTooEarly
                self.connection = protocol
        self.sent = True
        await super().write_with_length(writer, content_length)

    async def guard(self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        """Keep aiohttp, or the session that was adopted, from adding anything to the exchange."""
        headers = request.headers
        if self.replace_headers:
            if hdrs.EXPECT in headers:
                # aiohttp would send the headers ahead of the body, past the witness.
                raise ConfigurationError("the aiohttp.ClientSession adds Expect", advice="take it out of its headers")
            kept = {name: headers[name] for name in (hdrs.HOST, hdrs.CONTENT_LENGTH) if name in headers}
            headers.clear()
            headers.update(kept)
            headers.update(self._request.headers)
        if self._request.body is None and request.method in _WITHOUT_LENGTH:
            headers.pop(hdrs.CONTENT_LENGTH, None)
        try:
            response = await handler(request)
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
            raise _NotResent(error) from error
        # The session would put them into its cookie jar.
        response.cookies = SimpleCookie()
        return response


async def _answer(response: aiohttp.ClientResponse, attempt: _Attempt) -> Response:
    if attempt.framed and not attempt.sent:
        raise AnsweredTooEarly
    status = response.status
    if not 200 <= status <= 599:
        # 101 would leave HTTP, and the others do not exist (RFC 9110 15).
        raise UnreadableAnswer(f"{status} is no status of an answer")
    # latin-1 reads every byte; headers that matter are ASCII (RFC 9110 5.5).
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.raw_headers}
    body = await _body(response.content)
    if not ("content-length" in headers or "transfer-encoding" in headers) and attempt.connection is not None:
        # Such a body ends where the connection does, and aiohttp takes a reset for that end as well.
        lost = attempt.connection.exception()
        if isinstance(lost, aiohttp.ClientOSError):
            raise lost
    if "content-encoding" in headers:
        body = decoded(body, headers["content-encoding"], limit=MAX_RESPONSE_BYTES)
    return Response(status=status, headers=headers, body=body)


async def _body(content: aiohttp.StreamReader) -> bytes:
    parts: list[bytes] = []
    size = 0
    while part := await content.readany():
        size += len(part)
        if size > MAX_RESPONSE_BYTES:
            raise UnreadableAnswer(f"it is larger than {MAX_RESPONSE_BYTES} bytes")
        parts.append(part)
    return b"".join(parts)


def _circumstances(
    request: Request, url: URL, proxy: URL | None, attempt: _Attempt, response: aiohttp.ClientResponse | None
) -> Circumstances:
    status = response.status if response is not None and attempt.sent and 200 <= response.status <= 599 else None
    # With Expect, aiohttp sends the headers ahead of the body: then the body has not seen all.
    sent = attempt.sent or any(name.lower() == "expect" for name in request.headers)
    return Circumstances(url=url, proxy=proxy, timeouts=request.timeouts, sent=sent, status=status)


def _checked_url(text: str) -> URL:
    rule = "an absolute http or https URL"
    try:
        url = URL(text, encoded=True)
        usable = url.scheme in {"http", "https"} and bool(url.raw_host) and url.port is not None
    except ValueError as error:
        raise InvalidInputError("url", rule, secret=True) from error
    if not usable:
        raise InvalidInputError("url", rule, secret=True)  # its path may name a person
    return url


def _client_timeout(timeouts: Timeouts) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(
        total=timeouts.total,
        connect=timeouts.connect,
        sock_read=timeouts.read,
        # aiohttp would round time-outs over 5 s up to whole seconds of the loop's clock.
        ceil_threshold=math.inf,
    )


def _is_positive_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _refuse_unverified(context: object) -> None:
    # aiohttp takes False for "do not verify"; a context can be told the same.
    unverified = context is False or (
        isinstance(context, ssl.SSLContext)
        and not (context.verify_mode is ssl.CERT_REQUIRED and context.check_hostname)
    )
    if unverified:
        raise ConfigurationError(
            "the TLS settings do not verify certificates and host names",
            advice="add a private certificate authority to the context instead",
        )


def _proxy_url(proxy: object) -> URL:
    rule = "the URL of an http or https proxy"
    try:
        url = URL(proxy) if isinstance(proxy, str) else URL()  # a URL without a scheme
        usable = url.scheme in {"http", "https"} and bool(url.host) and url.port is not None
    except ValueError as error:
        raise InvalidInputError("proxy", rule, secret=True) from error
    if not usable:
        raise InvalidInputError("proxy", rule, secret=True)  # it may hold a password
    return url
