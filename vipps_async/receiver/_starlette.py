"""Vipps in Starlette and FastAPI: a session for the lifetime of the application, and the routes that Vipps calls.

::

    receiver = Receiver(EcomCallbacks(AUTH_TOKEN, on_payment=on_payment))
    app = FastAPI(lifespan=starlette_lifespan(VippsSession.from_env, receiver))
    app.mount("/vipps", starlette_app(receiver))

    @app.post("/buy")
    async def buy(vipps: Annotated[VippsSession, Depends(starlette_session)]) -> ...:

Needs the extra `starlette`.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Final
from urllib.parse import quote

from vipps_async.extras import missing_extra

try:
    from starlette.applications import Starlette
    from starlette.requests import ClientDisconnect, HTTPConnection, Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send
except ModuleNotFoundError as _error:
    raise missing_extra("vipps_async.receiver for Starlette", "starlette", _error) from _error

from vipps_async.errors import ConfigurationError
from vipps_async.receiver._receiver import Receiver
from vipps_async.session import VippsSession

#: Where the session stands in the state of the lifespan, and so in that of each request.
_STATE: Final = "vipps_session"


def starlette_lifespan(
    open_session: Callable[[], VippsSession], receiver: Receiver | None = None
) -> Callable[[Starlette], contextlib.AbstractAsyncContextManager[dict[str, VippsSession]]]:
    """Make a lifespan that opens a session when the application starts and closes it when it ends.

    If you have a lifespan of your own, enter this one within it, and yield its state along with yours::

        async with starlette_lifespan(VippsSession.from_env, receiver)(app) as state:
            yield {**state, "mine": 1}

    Args:
        open_session: makes the session, such as `VippsSession.from_env`.
        receiver: serves for the same time, and has its handlers drained before the session is closed.
    """

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[dict[str, VippsSession]]:
        async with open_session() as session, receiver.serving(session) if receiver else contextlib.nullcontext():
            yield {_STATE: session}

    return lifespan


def starlette_session(connection: HTTPConnection) -> VippsSession:
    """Return the session of the application: a dependency for FastAPI, a plain function for Starlette.

    Args:
        connection: the request or web socket.

    Raises:
        ConfigurationError: the application runs without `starlette_lifespan`.
    """
    session = connection.scope.get("state", {}).get(_STATE)
    if not isinstance(session, VippsSession):
        advice = "give it lifespan=starlette_lifespan(...), and serve it with it"
        raise ConfigurationError("the application has no Vipps session", advice=advice)
    return session


def starlette_app(receiver: Receiver) -> ASGIApp:
    """Return an application for Vipps' requests; mount it at the path of your callback prefix.

    With ``app.mount("/vipps", starlette_app(receiver))`` eCom's prefix for callbacks, shipping details and consent
    removal alike is ``https://your.host/vipps``. Other paths below it are answered 404.

    Args:
        receiver: has to be `serving`, as `starlette_lifespan` sees to.
    """

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        # Servers need not give the raw path; without it one with encoded slashes comes decoded.
        raw = scope.get("raw_path")
        path = raw.decode("latin-1") if isinstance(raw, bytes) else quote(scope["path"])
        try:
            reply = await receiver.handle(request.method, path, request.headers.items(), request.stream())
        except ClientDisconnect:
            return
        response = Response(reply.body, status_code=reply.status, headers=dict(reply.headers))
        await response(scope, receive, send)

    return answer
