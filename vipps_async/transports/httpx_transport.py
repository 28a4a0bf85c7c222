"""The transport over httpx: the contract of the others, with the event trace of httpcore as its witness."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Coroutine

try:
    import httpcore
    import httpx
except ModuleNotFoundError as error:
    text = "HttpxTransport needs httpx: pip install 'vipps-async[httpx]'"
    raise ImportError(text, name=error.name) from error
from yarl import URL

from vipps_async.errors import ConfigurationError, InvalidInputError
from vipps_async.transports.content_coding import UnreadableAnswer, decoded
from vipps_async.transports.early_answer import AnsweredTooEarly
from vipps_async.transports.httpx_failures import FAILURES, Circumstances, NotWritten, translated
from vipps_async.transports.httpx_lines import Destination, Lines
from vipps_async.transports.httpx_silence import spoil, was_silent
from vipps_async.transports.places import Places
from vipps_async.transports.plain_words import host_and_port
from vipps_async.transports.protocol import MAX_RESPONSE_BYTES, Request, Response
from vipps_async.transports.request_rules import (
    WITHOUT_LENGTH,
    EnvironmentProxies,
    checked_limit,
    checked_url,
    proxy_url,
    refuse_unverified,
)

__all__ = ["HttpxTransport"]

#: Connections of a transport without a client: as many as AiohttpTransport has.
_DEFAULT_LIMIT = 100


class HttpxTransport:
    """Sends requests over httpx, for applications that have it anyway (extra ``httpx``).

    A request is written once at most: nothing is resent, redirected or retried. No cookie is kept or sent. An answer
    may have 1 MiB, before and after decompression (gzip and deflate). Headers go out as given, with `Host` and
    `Content-Length`, and no others. TLS certificates and host names are always verified. HTTP/1.1 only.

    The connections belong to the event loop in which the first request is sent; another loop needs another transport.

    An adopted client lends its transports: connections, limits, TLS settings and proxies. Its cookies, headers, `auth`,
    event hooks, `base_url`, redirects and time-outs take no part in requests of this transport, and none of them is
    changed. If it was built with a transport of its own making (a mock, a cache, one that retries), no failure of it
    proves that nothing was sent, so each is an `OutcomeUnknown`.

    Args:
        client: a client to adopt. It is neither closed nor changed; the caller closes it after this transport.
        limit: the most connections at once, at least 1; 100 by default. Further requests wait for a free one, in the
            order in which they came.
        proxy: the URL of an http or https proxy, with user and password if it wants them.
        ssl_context: certificates to trust, or a client certificate to show; by default those of the system. It must
            verify, and take TLS 1.2 or newer only.
        trust_env: take the proxy from `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, read once for each host. Passwords of
            a netrc file are never used.

    Raises:
        ConfigurationError: an argument contradicts another one, TLS certificates would not be verified, or TLS be older
            than 1.2.
        InvalidInputError: `limit` is no whole number of at least 1, or `proxy` is no URL of a proxy.
    """

    def __init__(
        self,
        client: httpx.AsyncClient | None = None,
        *,
        limit: int | None = None,
        proxy: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        trust_env: bool = False,
    ) -> None:
        most = _DEFAULT_LIMIT if limit is None else checked_limit(limit)
        refuse_unverified(ssl_context)
        if client is not None:
            if trust_env or not (limit is None and proxy is None and ssl_context is None):
                raise ConfigurationError(
                    "limit, proxy, ssl_context and trust_env cannot be given together with a client",
                    advice="set them where that client is made",
                )
            _refuse_unverified_client(client)
        self._client = client
        self._proxy = None if proxy is None else proxy_url(proxy)
        self._environment = EnvironmentProxies() if trust_env and proxy is None else None
        self._places = Places(most)
        self._lines = Lines(most, ssl_context)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    async def send(self, request: Request) -> Response:
        """Send the request once and return the answer, whatever its status.

        Raises:
            vipps_async.errors.RequestNotSent: not one byte of the request was written: it certainly had no effect.
            vipps_async.errors.OutcomeUnknown: anything else that kept a whole answer from coming back.
            vipps_async.errors.ConfigurationError: the transport or its client is closed, was opened in another event
                loop, or the client speaks HTTP/2; nothing was sent.
            vipps_async.errors.InvalidInputError: the URL is no absolute http or https URL, or a header cannot be
                written; before any I/O.
            asyncio.CancelledError: the calling task was cancelled; the transport stays usable.
        """
        self._check_usable()
        url = checked_url(request.url)
        if self._client is not None:
            return await self._exchange(request, url)
        if not self._places.take():
            request = await self._places.wait(request, host_and_port(url.raw_host, url.port))
        try:
            self._check_usable()
            return await self._exchange(request, url)
        finally:
            self._places.give_back()

    async def _exchange(self, request: Request, url: URL) -> Response:
        attempt = _Attempt(request, url)
        outgoing = self._outgoing(url, attempt)
        now = asyncio.get_running_loop().time()
        attempt.ends = now + request.timeouts.total
        try:
            # Until the request is written this is the time that connecting may take; see _Attempt.
            async with asyncio.timeout_at(min(now + request.timeouts.connect, attempt.ends)) as attempt.deadline:
                if self._client is not None:
                    return await _exchanged(_transport_of(self._client, outgoing.url), outgoing, attempt, shared=True)
                proxy = self._environment.proxy_for(url) if self._environment else self._proxy
                async with self._lines.lent(_destination(url, proxy)) as line:
                    attempt.kept = line.stream
                    response = await _exchanged(line.transport, outgoing, attempt, shared=False)
                    line.reusable, line.stream = attempt.left_silent, attempt.kept
                    return response
        except FAILURES as error:
            raise translated(error, attempt.circumstances) from error
        finally:
            # From here on the witness's word is final: nothing may be written any more.
            attempt.over = True

    async def aclose(self) -> None:
        """Close the connections; an adopted client is left alone. Safe to call twice.

        Raises:
            vipps_async.errors.ConfigurationError: called in another event loop than the one it was used in.
        """
        self._closed = True
        if self._loop is not None:
            self._refuse_other_loop()
            await self._lines.aclose()

    def _check_usable(self) -> None:
        if self._closed:
            raise ConfigurationError("the transport is closed", advice="open a new one")
        if self._client is not None and self._client.is_closed:
            raise ConfigurationError(
                "the httpx.AsyncClient of this transport is closed", advice="close it after the transport only"
            )
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        self._refuse_other_loop()

    def _refuse_other_loop(self) -> None:
        if asyncio.get_running_loop() is not self._loop:
            raise ConfigurationError(
                "the transport was opened in another event loop", advice="open and close one in each event loop"
            )

    @staticmethod
    def _outgoing(url: URL, attempt: _Attempt) -> httpx.Request:
        try:
            address = httpx.URL(attempt.request.url)
        except httpx.InvalidURL as error:
            error.args = ()
            raise InvalidInputError("url", "an absolute http or https URL", secret=True) from error
        outgoing = httpx.Request(
            attempt.request.method,
            address,
            headers=_headers(attempt.request, address),
            stream=attempt,
            extensions={"timeout": {"read": attempt.request.timeouts.read}, "trace": attempt.trace},
        )
        target = url.raw_path_qs.encode("ascii")
        if address.raw_path != target:
            outgoing.url = _ExactUrl(address, target)
        return outgoing


class _ExactUrl(httpx.URL):
    """A URL whose path and query reach the wire as they are; httpx has tidied them up."""

    def __init__(self, address: httpx.URL, target: bytes) -> None:
        super().__init__(address)
        self._target = target

    @property
    def raw_path(self) -> bytes:
        """What stands in the request line."""
        return self._target


class _Attempt(httpx.AsyncByteStream):
    """The body of one request, and the witness of whether it was written.

    httpcore tells its trace of each step before it takes it, and a step is not taken if the trace raises. So the
    witness knows, before the first byte of the headers, that they are about to leave, and keeps the latch: they are
    written once, in time, on a connection that is silent. Steps that it does not know count as if they had written
    something: a new version may change their names. The body is a second witness: it is asked for after the headers.
    """

    #: What httpcore does before it writes a request, or afterwards, and what a proxy or TLS needs.
    _HARMLESS = frozenset(
        {
            "connection.connect_tcp",
            "connection.connect_unix_socket",
            "connection.retry",
            "connection.start_tls",
            "http11.response_closed",
            "proxy.start_tls",
            "socks.connect_tcp",
            "socks.setup_socks5_connection",
            "socks.start_tls",
        }
    )

    def __init__(self, request: Request, url: URL) -> None:
        self.request = request
        self._host, self._port = url.raw_host, url.port
        #: When the time for everything is over, by the event loop's clock.
        self.ends = 0.0
        #: The time that is left: first for connecting, then for everything.
        self.deadline: asyncio.Timeout | None = None
        #: Whether a byte of the request may have been handed to the connection.
        self.sent = False
        #: Whether the request was answered or given up.
        self.over = False
        #: The status of the answer, once it came.
        self.status: int | None = None
        #: Whether nothing came behind the answer.
        self.left_silent = False
        #: The connection kept from an earlier request, then the one of this answer: to look whether it is silent.
        self.kept: httpcore.AsyncNetworkStream | None = None
        self._proxy: str | None = None
        self._written = False
        self._opened: httpcore.AsyncNetworkStream | None = None

    @property
    def circumstances(self) -> Circumstances:
        """What is known now, for the words of an error."""
        return Circumstances(
            peer=host_and_port(self._host, self._port),
            proxy=self._proxy,
            timeouts=self.request.timeouts,
            sent=self.sent,
            status=self.status,
        )

    async def trace(self, event: str, info: dict[str, object]) -> None:
        """Hear of a step of httpcore's before it is taken."""
        name, _, moment = event.rpartition(".")
        if moment == "complete" and name.startswith("connection.connect_"):
            opened = info.get("return_value")
            self._opened = opened if isinstance(opened, httpcore.AsyncNetworkStream) else None
        if moment != "started":
            return
        if name.startswith("http2."):
            raise ConfigurationError("the httpx.AsyncClient speaks HTTP/2", advice="make it with http2=False")
        if name in self._HARMLESS:
            if name.endswith("connect_tcp"):
                self._note_proxy(info)
        elif getattr(info.get("request"), "stream", self) is not self:
            pass  # of the CONNECT to a proxy, which has a body of its own
        elif name == "http11.send_request_headers":
            self._latch()
        else:
            self.sent = True

    async def hang_up(self) -> None:
        """Close the connection that was opened for this request and never written to.

        httpcore forgets it if it is cancelled in a TLS handshake, or if one behind a proxy's tunnel fails.
        """
        if self._opened is not None and not self.sent:
            await self._opened.aclose()

    def _note_proxy(self, info: dict[str, object]) -> None:
        host, port = info.get("host"), info.get("port")
        if isinstance(host, str) and isinstance(port, int) and (host, port) != (self._host, self._port):
            self._proxy = host_and_port(host, port)

    def _latch(self) -> None:
        if self._written or self.over or self.deadline is None or self.deadline.expired():
            raise NotWritten
        if self.kept is not None and self._opened is None and self.kept.get_extra_info("is_readable"):
            # httpx has looked as well, some turns of the loop ago.
            raise AnsweredTooEarly
        self.sent = self._written = True
        self.deadline.reschedule(self.ends)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Give the body; it is asked for when the headers have left."""
        self.sent = True
        if self.request.body:
            yield self.request.body


def _headers(request: Request, address: httpx.URL) -> list[tuple[bytes, bytes]]:
    written: list[tuple[bytes, bytes]] = []
    names: set[str] = set()
    for name, value in request.headers.items():
        if not name.isascii() or any(character in name + value for character in "\r\n\0"):
            raise InvalidInputError("headers", "names and values that HTTP can carry", secret=True)
        names.add(name.lower())
        written.append((name.encode("ascii"), value.encode()))
    if "host" not in names:
        written.insert(0, (b"Host", address.netloc))
    if "content-length" not in names and (request.body is not None or request.method not in WITHOUT_LENGTH):
        written.append((b"Content-Length", str(len(request.body or b"")).encode("ascii")))
    return written


async def _exchanged(
    transport: httpx.AsyncBaseTransport, outgoing: httpx.Request, attempt: _Attempt, *, shared: bool
) -> Response:
    if type(transport) is not httpx.AsyncHTTPTransport:
        # Nobody knows what another one does before its trace speaks, or whether it does.
        attempt.sent = True
    try:
        response = await transport.handle_async_request(outgoing)
    except BaseException:
        await attempt.hang_up()
        raise
    try:
        return await _answer(response, attempt)
    finally:
        # Past httpx.Response, which wants to be read to its end by itself.
        if isinstance(response.stream, httpx.AsyncByteStream):
            closing = response.stream.aclose()
            await (_come_to_its_end(closing) if shared else closing)


async def _come_to_its_end(closing: Coroutine[object, object, None]) -> None:
    # A pool that others share loses a place for ever if the task is cancelled in the turns that this takes.
    task = asyncio.ensure_future(closing)
    try:
        await asyncio.shield(task)
    finally:
        if not task.done():
            await asyncio.wait({task})


async def _answer(response: httpx.Response, attempt: _Attempt) -> Response:
    status = response.status_code
    if not 200 <= status <= 599:
        # 101 would leave HTTP, and the others do not exist (RFC 9110 15).
        raise UnreadableAnswer(f"{status} is no status of an answer")
    attempt.status = status
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers.raw}
    body = await _body(response)
    attempt.left_silent = was_silent(response)
    attempt.kept = response.extensions.get("network_stream")
    if not attempt.left_silent:
        spoil(response)
    if "content-encoding" in headers:
        body = decoded(body, headers["content-encoding"], limit=MAX_RESPONSE_BYTES)
    return Response(status=status, headers=headers, body=body)


async def _body(response: httpx.Response) -> bytes:
    if not isinstance(response.stream, httpx.AsyncByteStream):
        raise UnreadableAnswer("its body cannot be read in an event loop")
    parts: list[bytes] = []
    size = 0
    async for part in response.stream:
        size += len(part)
        if size > MAX_RESPONSE_BYTES:
            raise UnreadableAnswer(f"it is larger than {MAX_RESPONSE_BYTES} bytes")
        parts.append(part)
    return b"".join(parts)


def _destination(url: URL, proxy: URL | None) -> Destination:
    return Destination(url.scheme, url.raw_host, url.port, proxy)


def _transport_of(client: httpx.AsyncClient, url: httpx.URL) -> httpx.AsyncBaseTransport:
    # The client's own `send` would keep cookies, call hooks and write the URL into a log. There is no public way past.
    return client._transport_for_url(url)  # noqa: SLF001


def _refuse_unverified_client(client: httpx.AsyncClient) -> None:
    # Private, as is the way of AiohttpTransport: no client says in public how it verifies.
    mounts = getattr(client, "_mounts", {})
    for transport in (getattr(client, "_transport", None), *mounts.values()):
        refuse_unverified(getattr(getattr(transport, "_pool", None), "_ssl_context", None))
