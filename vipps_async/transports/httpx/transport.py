"""The transport over httpx: the contract of the others, with the event trace of httpcore as its witness."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Coroutine

from vipps_async.extras import missing_extra

try:
    import httpx
except ModuleNotFoundError as _error:
    raise missing_extra("HttpxTransport", "httpx", _error) from _error
from yarl import URL

from vipps_async.errors import ConfigurationError, InvalidInputError
from vipps_async.transports.connection_limit import ConnectionLimit
from vipps_async.transports.failures import UnusableResponse, host_and_port
from vipps_async.transports.http1 import WITHOUT_LENGTH, check_request, decode_content
from vipps_async.transports.httpx.attempt import Attempt, ExactUrl
from vipps_async.transports.httpx.failures import TRANSPORT_EXCEPTIONS, map_exception
from vipps_async.transports.protocol import MAX_RESPONSE_BYTES, Request, Response
from vipps_async.transports.request_rules import (
    EnvironmentProxies,
    checked_limit,
    checked_url,
    proxy_url,
    refuse_unverified,
)

_log = logging.getLogger("vipps_async")

#: Connections of a transport without a client: as many as AiohttpTransport has.
_DEFAULT_LIMIT = 100

#: For requests without TLS: if httpx is given none, it reads the certificates of a package.
_TRUSTS_NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class HttpxTransport:
    """Sends requests over httpx, for applications that have it anyway (extra ``httpx``).

    A request is written once at most: nothing is resent, redirected or retried. No cookie is kept or sent. An answer
    may have 1 MiB, before and after decompression (gzip and deflate). Headers go out as given, with `Host` and
    `Content-Length`, and no others. TLS certificates and host names are always verified. HTTP/1.1 only.

    Without a client each request gets a connection of its own, which is closed behind its answer. Adopt a client for
    connections that are kept. A transport is used in one event loop.

    An adopted client lends its transports: connections, limits, TLS settings and proxies. Its cookies, headers, `auth`,
    event hooks, `base_url`, redirects and time-outs take no part in requests of this transport, and none of them is
    changed. If it was built with a transport of its own making (a mock, a cache, one that retries), no failure of it
    proves that nothing was sent, so each is an `OutcomeUnknown`.

    What tells whether a client's connection may be used again stands on names that httpx does not call public. Where a
    version does not have them, a warning says so once, and each request gets a connection of its own; or the client
    sends by its public method, so its hooks and logs see the requests, and no failure proves that nothing was sent.

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
        self._slots = ConnectionLimit(most)
        self._ssl_context = ssl_context
        #: Those of requests that are under way, if no client is adopted.
        self._open: set[httpx.AsyncHTTPTransport] = set()
        #: Whether it can be told that nothing came behind an answer, so that its connection may be used again.
        self._reuses = client is not None
        self._warned = False
        if client is not None and not hasattr(client, "_transport_for_url"):
            self._reuses = False
            self._warn("the client sends by its public method, and no failure proves that nothing was sent")
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
        check_request(request)
        url = checked_url(request.url)
        if self._client is not None:
            return await self._exchange(request, url)
        if not self._slots.try_acquire():
            request = await self._slots.acquire(request, host_and_port(url.raw_host, url.port))
        try:
            self._check_usable()
            return await self._exchange(request, url)
        finally:
            self._slots.release()

    async def _exchange(self, request: Request, url: URL) -> Response:
        attempt = Attempt(request, url)
        outgoing = self._outgoing(url, attempt)
        now = asyncio.get_running_loop().time()
        attempt.ends = now + request.timeouts.total
        try:
            # Until the headers leave, this is how long connecting may take; see Attempt.
            async with asyncio.timeout_at(min(now + request.timeouts.connect, attempt.ends)) as attempt.deadline:
                if self._client is not None:
                    return await self._by_client(self._client, outgoing, attempt)
                return await self._alone(url, outgoing, attempt)
        except TRANSPORT_EXCEPTIONS as error:
            raise map_exception(error, attempt.context) from error
        finally:
            # From here on the witness's word is final: nothing may be written any more.
            attempt.over = True

    async def _alone(self, url: URL, outgoing: httpx.Request, attempt: Attempt) -> Response:
        # A pool of our own would lose a place for ever whenever a request is cancelled while it is given one, or TLS
        # fails behind a proxy's tunnel.
        transport = await self._opened(url)
        self._open.add(transport)
        try:
            return await self._through(transport, outgoing, attempt)
        finally:
            self._open.remove(transport)
            await transport.aclose()

    async def _opened(self, url: URL) -> httpx.AsyncHTTPTransport:
        proxy = self._environment.proxy_for(url) if self._environment else self._proxy
        context = _TRUSTS_NOBODY
        if url.scheme == "https" or (proxy is not None and proxy.scheme == "https"):
            if self._ssl_context is None:
                # Reads some hundred files.
                self._ssl_context = await asyncio.to_thread(ssl.create_default_context)
            context = self._ssl_context
        through = None
        if proxy is not None:
            through = httpx.Proxy(str(proxy), ssl_context=context if proxy.scheme == "https" else None)
        return httpx.AsyncHTTPTransport(verify=context, trust_env=False, http2=False, retries=0, proxy=through)

    async def _by_client(self, client: httpx.AsyncClient, outgoing: httpx.Request, attempt: Attempt) -> Response:
        # The client's own `send` would keep cookies, call hooks and write the URL into a log.
        choose = getattr(client, "_transport_for_url", None)
        if choose is None:
            attempt.sent = True
            return await self._read(
                await client.send(outgoing, stream=True, auth=None, follow_redirects=False), attempt
            )
        transport = choose(outgoing.url)
        if type(transport) is not httpx.AsyncHTTPTransport:
            # Nobody knows what another one does before its trace speaks, or whether it does.
            attempt.sent = True
        return await self._through(transport, outgoing, attempt)

    async def _through(
        self, transport: httpx.AsyncBaseTransport, outgoing: httpx.Request, attempt: Attempt
    ) -> Response:
        try:
            response = await transport.handle_async_request(outgoing)
        except BaseException:
            await attempt.close_unused()
            raise
        return await self._read(response, attempt)

    async def _read(self, response: httpx.Response, attempt: Attempt) -> Response:
        try:
            answer = await _answer(response, attempt)
            stream = response.extensions.get("network_stream")
            if self._reuses and stream is not None and not (silent := _is_silent(response)):
                if silent is None:
                    self._warn("each request gets a connection of its own")
                    self._reuses = False
                # The client's pool finds it closed, and does not use it again.
                await stream.aclose()
            return answer
        finally:
            # Past httpx.Response, which wants to be read to its end by itself.
            if isinstance(response.stream, httpx.AsyncByteStream):
                await _come_to_its_end(response.stream.aclose())

    def _warn(self, consequence: str) -> None:
        if not self._warned:
            self._warned = True
            _log.warning("httpx %s is not known to this package: %s", httpx.__version__, consequence)

    async def aclose(self) -> None:
        """Close the connections of requests under way; an adopted client is left alone. Safe to call twice.

        Raises:
            vipps_async.errors.ConfigurationError: called in another event loop than the one it was used in.
        """
        self._closed = True
        if self._loop is not None:
            self._refuse_other_loop()
            for transport in tuple(self._open):
                await transport.aclose()

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

    def _outgoing(self, url: URL, attempt: Attempt) -> httpx.Request:
        try:
            address = httpx.URL(attempt.request.url)
        except httpx.InvalidURL as error:
            error.args = ()
            raise InvalidInputError("url", "an absolute http or https URL", secret=True) from error
        request = attempt.request
        headers = [("Host", address.netloc.decode("ascii")), *request.headers.items()]
        if request.body is not None or request.method not in WITHOUT_LENGTH:
            headers.append(("Content-Length", str(len(request.body or b""))))
        if not self._reuses:
            headers.append(("Connection", "close"))
        outgoing = httpx.Request(
            request.method,
            address,
            headers=[(name.encode("ascii"), value.encode()) for name, value in headers],
            stream=attempt,
            extensions={"timeout": {"read": request.timeouts.read}, "trace": attempt.trace},
        )
        target = url.raw_path_qs.encode("ascii")
        if address.raw_path != target:
            outgoing.url = ExactUrl(address, target)
        return outgoing


async def _come_to_its_end(closing: Coroutine[object, object, None]) -> None:
    # A pool that others share loses a place for ever if the task is cancelled in the turns that this takes.
    task = asyncio.ensure_future(closing)
    try:
        await asyncio.shield(task)
    finally:
        if not task.done():
            await asyncio.wait({task})


async def _answer(response: httpx.Response, attempt: Attempt) -> Response:
    status = response.status_code
    if not 200 <= status <= 599:
        # 101 would leave HTTP, and the others do not exist (RFC 9110 15).
        raise UnusableResponse(f"{status} is no status of an answer")
    attempt.status = status
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers.raw}
    body = await _body(response)
    if "content-encoding" in headers:
        body = decode_content(body, headers["content-encoding"], limit=MAX_RESPONSE_BYTES)
    return Response(status=status, headers=headers, body=body)


async def _body(response: httpx.Response) -> bytes:
    if not isinstance(response.stream, httpx.AsyncByteStream):
        raise UnusableResponse("its body cannot be read in an event loop")
    parts: list[bytes] = []
    size = 0
    async for part in response.stream:
        size += len(part)
        if size > MAX_RESPONSE_BYTES:
            raise UnusableResponse(f"it is larger than {MAX_RESPONSE_BYTES} bytes")
        parts.append(part)
    return b"".join(parts)


def _is_silent(response: httpx.Response) -> bool | None:
    """Tell whether nothing has come behind the end of an answer that was read whole, and nothing waits to be read.

    httpx looks at the socket before it uses a connection again. Bytes that came together with the last answer have left
    the socket by then, and lie in a buffer of h11, of the TLS layer, or of anyio, which have no public names.

    Returns:
        None: this version of httpx does not show it.
    """
    try:
        trailing, ended = response.stream._httpcore_stream._stream._connection._h11_state.trailing_data  # type: ignore[union-attr]  # noqa: SLF001
        stream = response.extensions["network_stream"]._stream  # noqa: SLF001 - see above
        if (tls_buffer := getattr(stream, "_read_bio", None)) is not None:
            if tls_buffer.pending:
                return False
            stream = stream.transport_stream
        waiting = stream._protocol.read_queue  # noqa: SLF001 - see above
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    return not (trailing or ended or waiting)


def _refuse_unverified_client(client: httpx.AsyncClient) -> None:
    # Private, as is the way of AiohttpTransport: no client says in public how it verifies.
    try:
        transports = [client._transport, *client._mounts.values()]  # noqa: SLF001 - see above
        contexts = [each._pool._ssl_context for each in transports if isinstance(each, httpx.AsyncHTTPTransport)]  # noqa: SLF001
    except AttributeError as error:
        raise ConfigurationError(
            f"httpx {httpx.__version__} does not show whether a client verifies TLS certificates",
            advice="give the transport no client, or install an older httpx",
        ) from error
    for context in contexts:
        refuse_unverified(context)
