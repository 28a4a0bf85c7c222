"""A transport for tests that answers by a script.

Usage::

    transport = ScriptedTransport()
    transport.on("/capture", answer(200, {...}), RequestNotSent("unplugged"))
    session = VippsSession(credentials, transport=transport)
"""

from __future__ import annotations

import copy
import inspect
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import urlsplit

import orjson

from vipps_async.errors import TransportError
from vipps_async.transports.protocol import Request, Response

#: Where the token is fetched.
TOKEN_PATH = "/accesstoken/get"  # noqa: S105 - a path

#: What one request gets: an answer, a failure that is raised, or a function that makes either out of the request.
Reply = Response | TransportError | Callable[[Request], Response | Awaitable[Response]]


class ScriptError(AssertionError):
    """The script has no reply for a request: the test, or the code under test, is wrong."""


def answer(status: int, body: object = b"", *, headers: Mapping[str, str] | None = None) -> Response:
    """Make an answer.

    Args:
        status: the HTTP status.
        body: bytes as they are; anything else is written as JSON.
        headers: the answer's headers, names in lower case.
    """
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    return Response(status=status, headers=dict(headers or {}), body=content)


def token_answer(token: str = "scripted-token", *, lifetime: int = 3600) -> Response:  # noqa: S107 - no real token
    """Make the answer to a token request, as Vipps writes it.

    Args:
        token: the access token.
        lifetime: how long it is good, in seconds.
    """
    return answer(200, {"token_type": "Bearer", "expires_in": str(lifetime), "access_token": token})


class ScriptedTransport:
    """A transport without a network: it answers or raises at once by its script, and records the requests.

    A request takes the next reply of the first route whose ending its path has. Token requests get a token unless a
    route for them is scripted. An exception is raised as a copy, so that the script's own stays unchanged.

    Attributes:
        requests: all requests but those for a token, in their order; their repr leaves out headers and body.
        token_requests: the requests for a token, in their order.
        closed: how many times it was closed.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.token_requests: list[Request] = []
        self.closed: int = 0
        self._routes: dict[str, deque[Reply]] = {}
        self._always: dict[str, Reply] = {}

    def __repr__(self) -> str:
        return f"<ScriptedTransport, {len(self.requests)} requests, {len(self.token_requests)} token requests>"

    def on(self, ending: str, *replies: Reply, then: Reply | None = None) -> ScriptedTransport:
        """Add replies for requests whose path has this ending; each is used once, in their order.

        Args:
            ending: how the path ends, such as ``"/capture"``; the empty text fits every path but the token's.
            replies: one for each request.
            then: what every further request gets; without it a further request raises `ScriptError`.

        Returns:
            The transport itself, so that routes can be chained.
        """
        self._routes.setdefault(ending, deque()).extend(replies)
        if then is not None:
            self._always[ending] = then
        return self

    @property
    def unused(self) -> int:
        """How many scripted replies have not been asked for."""
        return sum(map(len, self._routes.values()))

    async def send(self, request: Request) -> Response:
        """Answer as the script says.

        Raises:
            ScriptError: the script has no reply for it.
        """
        path = urlsplit(request.url).path
        (self.token_requests if path == TOKEN_PATH else self.requests).append(request)
        reply = self._next(path)
        if isinstance(reply, TransportError):
            raise copy.copy(reply)
        if isinstance(reply, Response):
            return reply
        made = reply(request)
        return await made if inspect.isawaitable(made) else made

    def _next(self, path: str) -> Reply:
        for ending, replies in self._routes.items():
            if path.endswith(ending) and (ending or path != TOKEN_PATH):
                if replies:
                    return replies.popleft()
                if ending in self._always:
                    return self._always[ending]
        if path == TOKEN_PATH and path not in self._routes:
            return token_answer()
        raise ScriptError(f"no reply is scripted for {path}")

    async def aclose(self) -> None:
        """Count the call in `closed`."""
        self.closed += 1
